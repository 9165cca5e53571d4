// SPDX-License-Identifier: GPL-2.0
/*
 * What a rule matches, from the kernel's dissector keys into the flat form. A
 * key that has no place there is refused: leaving it out would make the rule
 * wider than it is.
 */
#include <linux/etherdevice.h>
#include "ekho.h"

#define EKHO_KEY(name) BIT_ULL(FLOW_DISSECTOR_KEY_##name)

static const u64 ekho_keys_known =
	EKHO_KEY(META) | EKHO_KEY(CONTROL) | EKHO_KEY(BASIC) |
	EKHO_KEY(ETH_ADDRS) | EKHO_KEY(VLAN) | EKHO_KEY(CVLAN) |
	EKHO_KEY(IPV4_ADDRS) | EKHO_KEY(IPV6_ADDRS) | EKHO_KEY(PORTS) |
	EKHO_KEY(PORTS_RANGE) | EKHO_KEY(TCP) | EKHO_KEY(IP) | EKHO_KEY(ICMP) |
	EKHO_KEY(ARP) | EKHO_KEY(CT) | EKHO_KEY(ENC_CONTROL) |
	EKHO_KEY(ENC_KEYID) | EKHO_KEY(ENC_IPV4_ADDRS) |
	EKHO_KEY(ENC_IPV6_ADDRS) | EKHO_KEY(ENC_PORTS) | EKHO_KEY(ENC_IP);

static bool has(const struct flow_rule *rule, enum flow_dissector_key_id key)
{
	return flow_rule_match_key(rule, key);
}

static int ekho_match_meta(struct ekho_flow_match *to,
			   const struct flow_rule *rule)
{
	struct flow_match_meta from;

	if (!has(rule, FLOW_DISSECTOR_KEY_META))
		return 0;
	flow_rule_match_meta(rule, &from);
	if (from.mask->ingress_iftype || from.mask->l2_miss)
		return -EOPNOTSUPP;
	to->keys |= EKHO_MATCH_PORT;
	to->ifindex = from.key->ingress_ifindex;
	to->ifindex_mask = from.mask->ingress_ifindex;
	return 0;
}

/* Sets *addr_type to the key that addresses are in. */
static int ekho_match_control(struct ekho_flow_match *to,
			      const struct flow_rule *rule, u16 *addr_type)
{
	struct flow_match_control from;

	if (!has(rule, FLOW_DISSECTOR_KEY_CONTROL))
		return 0;
	flow_rule_match_control(rule, &from);
	*addr_type = from.key->addr_type;
	if (!from.mask->flags)
		return 0;
	if (from.mask->flags & ~(FLOW_DIS_IS_FRAGMENT | FLOW_DIS_FIRST_FRAG))
		return -EOPNOTSUPP;
	to->keys |= EKHO_MATCH_FRAGMENT;
	to->fragment = from.key->flags & from.mask->flags;
	to->fragment_mask = from.mask->flags;
	return 0;
}

static void ekho_match_basic(struct ekho_flow_match *to,
			     const struct flow_rule *rule)
{
	struct flow_match_basic from;

	if (!has(rule, FLOW_DISSECTOR_KEY_BASIC))
		return;
	flow_rule_match_basic(rule, &from);
	to->keys |= EKHO_MATCH_PROTOCOL;
	to->protocol = from.key->n_proto;
	to->protocol_mask = from.mask->n_proto;
	to->ip_protocol = from.key->ip_proto;
	to->ip_protocol_mask = from.mask->ip_proto;
}

static void ekho_match_ethernet(struct ekho_flow_match *to,
				const struct flow_rule *rule)
{
	struct flow_match_eth_addrs from;

	if (!has(rule, FLOW_DISSECTOR_KEY_ETH_ADDRS))
		return;
	flow_rule_match_eth_addrs(rule, &from);
	to->keys |= EKHO_MATCH_ETHERNET;
	ether_addr_copy(to->source_mac, from.key->src);
	ether_addr_copy(to->source_mac_mask, from.mask->src);
	ether_addr_copy(to->destination_mac, from.key->dst);
	ether_addr_copy(to->destination_mac_mask, from.mask->dst);
}

static int ekho_match_tag(struct ekho_vlan_match *to,
			  const struct flow_match_vlan *from)
{
	if (from->mask->vlan_dei)
		return -EOPNOTSUPP;
	to->tpid = from->key->vlan_tpid;
	to->tpid_mask = from->mask->vlan_tpid;
	to->id = from->key->vlan_id;
	to->id_mask = from->mask->vlan_id;
	to->priority = from->key->vlan_priority;
	to->priority_mask = from->mask->vlan_priority;
	return 0;
}

/*
 * What follows a tag is matched once more with it; that is the next tag, or the
 * packet's protocol, which have their own places.
 */
static int ekho_match_vlan(struct ekho_flow_match *to,
			   const struct flow_rule *rule)
{
	struct flow_match_vlan from;
	int err = 0;

	if (has(rule, FLOW_DISSECTOR_KEY_VLAN)) {
		flow_rule_match_vlan(rule, &from);
		to->keys |= EKHO_MATCH_VLAN;
		err = ekho_match_tag(&to->vlan[0], &from);
	}
	if (!err && has(rule, FLOW_DISSECTOR_KEY_CVLAN)) {
		flow_rule_match_cvlan(rule, &from);
		to->keys |= EKHO_MATCH_CVLAN;
		err = ekho_match_tag(&to->vlan[1], &from);
	}
	return err;
}

/* Flower uses the keys of both families for either. */
static void ekho_match_addresses(struct ekho_flow_match *to,
				 const struct flow_rule *rule, u16 addr_type)
{
	if (addr_type == FLOW_DISSECTOR_KEY_IPV4_ADDRS &&
	    has(rule, FLOW_DISSECTOR_KEY_IPV4_ADDRS)) {
		struct flow_match_ipv4_addrs from;

		flow_rule_match_ipv4_addrs(rule, &from);
		to->keys |= EKHO_MATCH_IPV4;
		to->source[0] = from.key->src;
		to->source_mask[0] = from.mask->src;
		to->destination[0] = from.key->dst;
		to->destination_mask[0] = from.mask->dst;
	}
	if (addr_type == FLOW_DISSECTOR_KEY_IPV6_ADDRS &&
	    has(rule, FLOW_DISSECTOR_KEY_IPV6_ADDRS)) {
		struct flow_match_ipv6_addrs from;

		flow_rule_match_ipv6_addrs(rule, &from);
		to->keys |= EKHO_MATCH_IPV6;
		memcpy(to->source, &from.key->src, sizeof(to->source));
		memcpy(to->source_mask, &from.mask->src, sizeof(to->source));
		memcpy(to->destination, &from.key->dst, sizeof(to->source));
		memcpy(to->destination_mask, &from.mask->dst,
		       sizeof(to->source));
	}
}

static void ekho_match_ip(struct ekho_flow_match *to,
			  const struct flow_rule *rule)
{
	struct flow_match_ip from;

	if (!has(rule, FLOW_DISSECTOR_KEY_IP))
		return;
	flow_rule_match_ip(rule, &from);
	to->keys |= EKHO_MATCH_IP;
	to->tos = from.key->tos;
	to->tos_mask = from.mask->tos;
	to->ttl = from.key->ttl;
	to->ttl_mask = from.mask->ttl;
}

static void ekho_match_ports(struct ekho_flow_match *to,
			     const struct flow_rule *rule)
{
	if (has(rule, FLOW_DISSECTOR_KEY_PORTS)) {
		struct flow_match_ports from;

		flow_rule_match_ports(rule, &from);
		to->keys |= EKHO_MATCH_PORTS;
		to->source_port = from.key->src;
		to->source_port_mask = from.mask->src;
		to->destination_port = from.key->dst;
		to->destination_port_mask = from.mask->dst;
	}
	if (has(rule, FLOW_DISSECTOR_KEY_PORTS_RANGE)) {
		struct flow_match_ports_range from;

		flow_rule_match_ports_range(rule, &from);
		to->keys |= EKHO_MATCH_PORT_RANGE;
		to->source_port_min = from.key->tp_min.src;
		to->source_port_max = from.key->tp_max.src;
		to->destination_port_min = from.key->tp_min.dst;
		to->destination_port_max = from.key->tp_max.dst;
	}
}

static void ekho_match_above_ip(struct ekho_flow_match *to,
				const struct flow_rule *rule)
{
	if (has(rule, FLOW_DISSECTOR_KEY_TCP)) {
		struct flow_match_tcp from;

		flow_rule_match_tcp(rule, &from);
		to->keys |= EKHO_MATCH_TCP;
		to->tcp_flags = from.key->flags;
		to->tcp_flags_mask = from.mask->flags;
	}
	if (has(rule, FLOW_DISSECTOR_KEY_ICMP)) {
		struct flow_match_icmp from;

		flow_rule_match_icmp(rule, &from);
		to->keys |= EKHO_MATCH_ICMP;
		to->icmp_type = from.key->type;
		to->icmp_type_mask = from.mask->type;
		to->icmp_code = from.key->code;
		to->icmp_code_mask = from.mask->code;
	}
}

static void ekho_match_arp(struct ekho_flow_match *to,
			   const struct flow_rule *rule)
{
	struct flow_match_arp from;

	if (!has(rule, FLOW_DISSECTOR_KEY_ARP))
		return;
	flow_rule_match_arp(rule, &from);
	to->keys |= EKHO_MATCH_ARP;
	to->arp_source = (__force __be32)from.key->sip;
	to->arp_source_mask = (__force __be32)from.mask->sip;
	to->arp_target = (__force __be32)from.key->tip;
	to->arp_target_mask = (__force __be32)from.mask->tip;
	to->arp_operation = from.key->op;
	to->arp_operation_mask = from.mask->op;
	ether_addr_copy(to->arp_sender_mac, from.key->sha);
	ether_addr_copy(to->arp_sender_mac_mask, from.mask->sha);
	ether_addr_copy(to->arp_target_mac, from.key->tha);
	ether_addr_copy(to->arp_target_mac_mask, from.mask->tha);
}

static void ekho_match_ct(struct ekho_flow_match *to,
			  const struct flow_rule *rule)
{
	struct flow_match_ct from;

	if (!has(rule, FLOW_DISSECTOR_KEY_CT))
		return;
	flow_rule_match_ct(rule, &from);
	to->keys |= EKHO_MATCH_CT;
	to->ct_state = from.key->ct_state;
	to->ct_state_mask = from.mask->ct_state;
	to->ct_zone = from.key->ct_zone;
	to->ct_zone_mask = from.mask->ct_zone;
	to->ct_mark = from.key->ct_mark;
	to->ct_mark_mask = from.mask->ct_mark;
	memcpy(to->ct_labels, from.key->ct_labels, sizeof(to->ct_labels));
	memcpy(to->ct_labels_mask, from.mask->ct_labels, sizeof(to->ct_labels));
}

static void ekho_match_tunnel_addresses(struct ekho_tunnel_match *to,
					const struct flow_rule *rule,
					u16 addr_type)
{
	if (addr_type == FLOW_DISSECTOR_KEY_IPV4_ADDRS) {
		struct flow_match_ipv4_addrs from;

		flow_rule_match_enc_ipv4_addrs(rule, &from);
		to->family = 4;
		to->source[0] = from.key->src;
		to->source_mask[0] = from.mask->src;
		to->destination[0] = from.key->dst;
		to->destination_mask[0] = from.mask->dst;
	}
	if (addr_type == FLOW_DISSECTOR_KEY_IPV6_ADDRS) {
		struct flow_match_ipv6_addrs from;

		flow_rule_match_enc_ipv6_addrs(rule, &from);
		to->family = 6;
		memcpy(to->source, &from.key->src, sizeof(to->source));
		memcpy(to->source_mask, &from.mask->src, sizeof(to->source));
		memcpy(to->destination, &from.key->dst, sizeof(to->source));
		memcpy(to->destination_mask, &from.mask->dst,
		       sizeof(to->source));
	}
}

#define EKHO_TUNNEL_HEADER                                         \
	(FLOW_DIS_F_TUNNEL_CSUM | FLOW_DIS_F_TUNNEL_DONT_FRAGMENT | \
	 FLOW_DIS_F_TUNNEL_OAM | FLOW_DIS_F_TUNNEL_CRIT_OPT)

static u8 ekho_tunnel_header_flags(u32 from)
{
	u8 to = 0;

	if (from & FLOW_DIS_F_TUNNEL_CSUM)
		to |= EKHO_TUNNEL_HAS_CHECKSUM;
	if (from & FLOW_DIS_F_TUNNEL_DONT_FRAGMENT)
		to |= EKHO_TUNNEL_DONT_FRAGMENT;
	if (from & FLOW_DIS_F_TUNNEL_OAM)
		to |= EKHO_TUNNEL_OAM;
	if (from & FLOW_DIS_F_TUNNEL_CRIT_OPT)
		to |= EKHO_TUNNEL_CRITICAL;
	return to;
}

static int ekho_match_tunnel(struct ekho_flow_match *match,
			     const struct flow_rule *rule)
{
	struct ekho_tunnel_match *to = &match->tunnel;

	if (has(rule, FLOW_DISSECTOR_KEY_ENC_CONTROL)) {
		struct flow_match_control from;

		flow_rule_match_enc_control(rule, &from);
		if (from.mask->flags & ~EKHO_TUNNEL_HEADER)
			return -EOPNOTSUPP;
		match->keys |= EKHO_MATCH_TUNNEL;
		to->flags_mask = ekho_tunnel_header_flags(from.mask->flags);
		to->flags = ekho_tunnel_header_flags(from.key->flags) &
			    to->flags_mask;
		ekho_match_tunnel_addresses(to, rule, from.key->addr_type);
	}
	if (has(rule, FLOW_DISSECTOR_KEY_ENC_KEYID)) {
		struct flow_match_enc_keyid from;

		flow_rule_match_enc_keyid(rule, &from);
		match->keys |= EKHO_MATCH_TUNNEL;
		to->key = from.key->keyid;
		to->key_mask = from.mask->keyid;
	}
	if (has(rule, FLOW_DISSECTOR_KEY_ENC_PORTS)) {
		struct flow_match_ports from;

		flow_rule_match_enc_ports(rule, &from);
		match->keys |= EKHO_MATCH_TUNNEL;
		to->source_port = from.key->src;
		to->source_port_mask = from.mask->src;
		to->destination_port = from.key->dst;
		to->destination_port_mask = from.mask->dst;
	}
	if (has(rule, FLOW_DISSECTOR_KEY_ENC_IP)) {
		struct flow_match_ip from;

		flow_rule_match_enc_ip(rule, &from);
		match->keys |= EKHO_MATCH_TUNNEL;
		to->tos = from.key->tos;
		to->tos_mask = from.mask->tos;
		to->ttl = from.key->ttl;
		to->ttl_mask = from.mask->ttl;
	}
	return 0;
}

int ekho_match_fill(struct ekho_flow_match *match, const struct flow_rule *rule,
		    struct netlink_ext_ack *extack)
{
	u64 unknown = rule->match.dissector->used_keys & ~ekho_keys_known;
	u16 addr_type = 0;
	int err;

	if (unknown) {
		NL_SET_ERR_MSG_FMT_MOD(extack, "no place for dissector key %lu",
				       (unsigned long)__ffs64(unknown));
		return -EOPNOTSUPP;
	}
	err = ekho_match_meta(match, rule);
	if (!err)
		err = ekho_match_control(match, rule, &addr_type);
	if (!err)
		err = ekho_match_vlan(match, rule);
	if (!err)
		err = ekho_match_tunnel(match, rule);
	if (err) {
		NL_SET_ERR_MSG_MOD(extack, "no place for a part of the match");
		return err;
	}
	ekho_match_basic(match, rule);
	ekho_match_ethernet(match, rule);
	ekho_match_addresses(match, rule, addr_type);
	ekho_match_ip(match, rule);
	ekho_match_ports(match, rule);
	ekho_match_above_ip(match, rule);
	ekho_match_arp(match, rule);
	ekho_match_ct(match, rule);
	return 0;
}
