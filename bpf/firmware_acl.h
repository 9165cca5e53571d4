/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Whether the planner can make entries of a rule for the plugin that has its port: the same questions that
 * host/offload/acl.ts asks of a filter, and its answers in the words of host/offload/reasons.ts. What is accepted here cannot be
 * taken back, so a rule that the planner would only approach is refused.
 */
#ifndef FIRMWARE_ACL_H
#define FIRMWARE_ACL_H

#include <bpf/bpf_endian.h>
#include "firmware_edits.h"

#define FIRMWARE_PLUGINS_MAX 64

#define ETH_P_ALL 3
/* Of members `fragment` and `fragment_mask` */
#define FRAGMENT_ANY 1

/* ACL_FIELDS of wit/types.wit */
enum acl_field {
	ACL_SOURCE_MAC = 1 << 0,
	ACL_DESTINATION_MAC = 1 << 1,
	ACL_ETHERTYPE = 1 << 2,
	ACL_VLAN = 1 << 3,
	ACL_SOURCE_ADDRESS = 1 << 4,
	ACL_DESTINATION_ADDRESS = 1 << 5,
	ACL_PROTOCOL = 1 << 6,
	ACL_DSCP = 1 << 7,
	ACL_SOURCE_PORT = 1 << 8,
	ACL_DESTINATION_PORT = 1 << 9,
	ACL_TCP_FLAGS = 1 << 10,
	ACL_ICMP_TYPE = 1 << 11,
	ACL_ICMP_CODE = 1 << 12,
	/* Rules of the planner alone have it. */
	ACL_FRAGMENT = 1 << 13,
	ACL_UNFRAGMENTED = 1 << 14,
	ACL_VLAN_PRIORITY = 1 << 15,
	/* No field has it: what has none cannot be matched. */
	ACL_NONE = 1u << 31,
};

enum firmware_port_flags {
	/* The plugin takes changes. */
	FIRMWARE_PORT_READY = 1 << 0,
	/* It forwards established connections. */
	FIRMWARE_PORT_FLOWS = 1 << 1,
	/* It forwards between ports of bridges. */
	FIRMWARE_PORT_BRIDGES = 1 << 2,
	/* It is attached by XDP, where packets are not copied. */
	FIRMWARE_PORT_NO_MIRRORS = 1 << 3,
	/* Frames of multicast groups that arrive there go on in hardware. */
	FIRMWARE_PORT_GROUPS = 1 << 4,
};

/* A port that a plugin has. */
struct firmware_port {
	/* enum acl_field */
	__u32 fields;
	/* enum acl_edit */
	__u32 edits;
	/* Place in `room` and `taken`. */
	__u32 plugin;
	__u32 flags;
	/* No rule of this preference or a later one gets a packet: one before it hands over all. 0: there is none such. */
	__u32 behind;
};
BTF_KEEP(firmware_port);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct firmware_port);
} ports SEC(".maps");

/* Rules that there is room for, by plugin. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FIRMWARE_PLUGINS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} room SEC(".maps");

/* Rules that have a place in its table, by plugin. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FIRMWARE_PLUGINS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} taken SEC(".maps");

/* Where a rule has its place: the port may be another plugin's by the time the rule goes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u32);
} holders SEC(".maps");

/* The place that a rule has in a table, if it has one, is free again. */
static __always_inline void release(__u64 id)
{
	__u32 *holder = bpf_map_lookup_elem(&holders, &id);
	__u32 plugin, *used;

	if (!holder)
		return;
	plugin = *holder;
	bpf_map_delete_elem(&holders, &id);
	used = bpf_map_lookup_elem(&taken, &plugin);
	if (used)
		__sync_fetch_and_add(used, -1);
}

/* A place in the plugin's table, unless the rule has it already. */
static __always_inline int take(__u64 id, __u32 plugin)
{
	__u32 *limit = bpf_map_lookup_elem(&room, &plugin);
	__u32 *used = bpf_map_lookup_elem(&taken, &plugin);
	__u32 *holder = bpf_map_lookup_elem(&holders, &id);

	if (holder && *holder == plugin)
		return 0;
	release(id);
	if (!limit || !used)
		return -ENOSPC;
	if (__sync_fetch_and_add(used, 1) < *limit && !bpf_map_update_elem(&holders, &id, &plugin, BPF_ANY))
		return 0;
	__sync_fetch_and_add(used, -1);
	return -ENOSPC;
}

static __always_inline int is_set(const __be32 words[4])
{
	return (words[0] | words[1] | words[2] | words[3]) != 0;
}

static __always_inline int has_mac(const __u8 mac[6])
{
	return (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]) != 0;
}

/* A number of which all bits are matched, or none; some cannot be. */
static __always_inline __u32 whole(__u32 mask, __u32 all, __u32 field)
{
	return !mask ? 0 : mask == all ? field : ACL_NONE;
}

static __always_inline __u32 fields_of_tag(const struct ekho_flow_match *match)
{
	const struct ekho_vlan_match *tag = &match->vlan[0];

	if (tag->id_mask != 0xfff || (tag->tpid_mask && tag->tpid != bpf_htons(ETH_P_8021Q)))
		return ACL_NONE;
	return ACL_VLAN | whole(tag->priority_mask, 7, ACL_VLAN_PRIORITY);
}

/*
 * Rules are each of one port, so it is no field: of another port's packets this one has none, and of its own all. The planner knows that
 * from the filter.
 */
static __always_inline __u32 fields_of_port(const struct ekho_flow_match *match)
{
	return match->keys & EKHO_MATCH_PORT && match->ifindex_mask != 0xffffffff ? ACL_NONE : 0;
}

/* Of fragments some may be told from others by none. */
static __always_inline __u32 fields_of_fragment(const struct ekho_flow_match *match)
{
	if (!match->fragment_mask)
		return 0;
	return match->fragment_mask == FRAGMENT_ANY && !match->fragment ? ACL_UNFRAGMENTED : ACL_NONE;
}

/* Which fields say what a rule matches; ACL_NONE among them if none says it exactly. */
static __always_inline __u32 fields_of(const struct ekho_flow_match *match)
{
	const __u32 plain = EKHO_MATCH_PORT | EKHO_MATCH_FRAGMENT | EKHO_MATCH_PROTOCOL | EKHO_MATCH_ETHERNET | EKHO_MATCH_VLAN | EKHO_MATCH_IPV4 |
			    EKHO_MATCH_IPV6 | EKHO_MATCH_PORTS | EKHO_MATCH_PORT_RANGE | EKHO_MATCH_TCP |
			    EKHO_MATCH_IP | EKHO_MATCH_ICMP;
	__u32 fields = match->keys & ~plain ? ACL_NONE : 0;

	fields |= fields_of_port(match);
	fields |= fields_of_fragment(match);
	fields |= whole(match->protocol_mask, 0xffff, ACL_ETHERTYPE);
	fields |= whole(match->ip_protocol_mask, 0xff, ACL_PROTOCOL);
	if (match->keys & EKHO_MATCH_VLAN)
		fields |= fields_of_tag(match);
	if (has_mac(match->source_mac_mask))
		fields |= ACL_SOURCE_MAC;
	if (has_mac(match->destination_mac_mask))
		fields |= ACL_DESTINATION_MAC;
	if (is_set(match->source_mask))
		fields |= ACL_SOURCE_ADDRESS;
	if (is_set(match->destination_mask))
		fields |= ACL_DESTINATION_ADDRESS;
	fields |= whole(match->tos_mask, 0xfc, ACL_DSCP);
	fields |= whole(match->ttl_mask, 0, 0);
	fields |= whole(match->source_port_mask, 0xffff, ACL_SOURCE_PORT);
	fields |= whole(match->destination_port_mask, 0xffff, ACL_DESTINATION_PORT);
	if (match->source_port_max)
		fields |= ACL_SOURCE_PORT;
	if (match->destination_port_max)
		fields |= ACL_DESTINATION_PORT;
	if (match->tcp_flags_mask)
		fields |= ACL_TCP_FLAGS;
	fields |= whole(match->icmp_type_mask, 0xff, ACL_ICMP_TYPE);
	fields |= whole(match->icmp_code_mask, 0xff, ACL_ICMP_CODE);
	return fields;
}

static __always_inline int check_redirect(struct ekho_flow_ctx *flow, __u32 ifindex, const struct firmware_port *port)
{
	const struct firmware_port *to = bpf_map_lookup_elem(&ports, &ifindex);

	if (!to || to->plugin != port->plugin)
		REFUSE(flow, "egress-not-a-port: it leaves by a link that is not a port of this device");
	return 0;
}

/* There is one, which drops what is more, and what it drops has no copy. `after`: something was before that it must not come after. */
static __always_inline int check_police(struct ekho_flow_ctx *flow, const struct ekho_flow_action *action,
					const struct firmware_port *port, bool after, bool last)
{
	__u32 needed = EDIT_POLICES | (action->police.packets ? EDIT_POLICE_PACKETS : 0);
	bool goes_on = action->police.conform == 0 || last;

	if (after || !goes_on || action->police.exceed != EKHO_ACTION_DROP || (port->edits & needed) != needed ||
	    (action->police.bytes == 0) == (action->police.packets == 0))
		REFUSE(flow, "unsupported-action: the plugin cannot do its action");
	return 0;
}

/* A copy is of the packet as it came, and there is one: the first action. */
static __always_inline int check_mirror(struct ekho_flow_ctx *flow, const struct ekho_flow_action *action,
					const struct firmware_port *port, __u32 place)
{
	if (place != 0 || (port->edits & EDIT_MIRRORS) != EDIT_MIRRORS)
		REFUSE(flow, "unsupported-action: the plugin cannot do its action");
	if (port->flags & FIRMWARE_PORT_NO_MIRRORS)
		REFUSE(flow, "xdp-mirrors: its port is attached by XDP, which cannot copy packets; tcx can");
	return check_redirect(flow, action->ifindex, port);
}

/* The last action, behind so many that change nothing. What was edited goes nowhere but out of a port; what is dropped may have been anything. */
static __always_inline int check_end(struct ekho_flow_ctx *flow, const struct ekho_flow_ctx *rule,
				     const struct ekho_flow_action *action, const struct firmware_port *port,
				     const struct packet_edits *edits, __u32 besides)
{
	switch (action->kind) {
	case EKHO_ACTION_DROP:
		return 0;
	case EKHO_ACTION_ACCEPT:
		if (rule->action_count == besides + 1)
			return 0;
		break;
	case EKHO_ACTION_TRAP:
		if (rule->action_count == 1)
			return 0;
		break;
	case EKHO_ACTION_REDIRECT:
		if (edits_of(edits, rule) & ~port->edits)
			break;
		return check_redirect(flow, action->ifindex, port);
	}
	REFUSE(flow, "unsupported-action: the plugin cannot do its action");
}

/* No action accepts, as with tc. */
static __always_inline int check_actions(struct ekho_flow_ctx *flow, const struct ekho_flow_ctx *rule,
					 const struct firmware_port *port)
{
	struct packet_edits edits = {};
	__u32 polices = 0, mirrors = 0;
	int err;

	for (__u32 i = 0; i < EKHO_ACTIONS_MAX && i < rule->action_count; i++) {
		bool last = i + 1 == rule->action_count;

		if (rule->actions[i].kind == EKHO_ACTION_POLICE) {
			/* What was edited goes nowhere but out of a port. */
			err = check_police(flow, &rule->actions[i], port, polices | mirrors | (last && i), last);
			if (err)
				return err;
			polices = 1;
			continue;
		}
		if (rule->actions[i].kind == EKHO_ACTION_MIRROR) {
			err = check_mirror(flow, &rule->actions[i], port, i - polices);
			if (err)
				return err;
			mirrors = 1;
			continue;
		}
		if (last)
			return check_end(flow, rule, &rule->actions[i], port, &edits, polices + mirrors);
		if (!add_edit(&edits, &rule->actions[i]))
			REFUSE(flow, "unsupported-action: the plugin cannot do its action");
	}
	return 0;
}

/* It is of a shared block, and this port has no packets for it: nothing is planned, so it needs no place. */
static __always_inline int is_of_other_port(const struct ekho_flow_ctx *rule)
{
	return rule->match.keys & EKHO_MATCH_PORT && rule->match.ifindex != rule->ifindex;
}

static __always_inline int check_filter(struct ekho_flow_ctx *flow, const struct ekho_flow_ctx *rule,
					const struct firmware_port *port)
{
	__u32 fields = fields_of(&rule->match);
	int err;

	if (rule->direction != EKHO_INGRESS || rule->chain)
		REFUSE(flow, "unsupported-kind: the plugin does not hold this kind");
	if (rule->kind == EKHO_FLOW_MATCHALL && rule->protocol != bpf_htons(ETH_P_ALL))
		fields |= ACL_ETHERTYPE;
	if (fields & ~port->fields)
		REFUSE(flow, "unsupported-match: it matches on a field the plugin cannot match");
	err = check_actions(flow, rule, port);
	if (err)
		return err;
	if (is_of_other_port(rule)) {
		release(rule->id);
		return 0;
	}
	if (port->behind && rule->preference >= port->behind)
		REFUSE(flow, "after-refused-filter: a filter of higher priority is not in hardware");
	if (take(rule->id, port->plugin)) {
		ekho_flow_explain(flow, "table-full: the device has no room left in the table");
		return -ENOSPC;
	}
	return 0;
}

static __always_inline int check_flow_action(struct ekho_flow_ctx *flow, const struct ekho_flow_action *action,
					     const struct firmware_port *port)
{
	switch (action->kind) {
	case EKHO_ACTION_SET:
	case EKHO_ACTION_CHECKSUM:
		return 0;
	case EKHO_ACTION_REDIRECT:
		return check_redirect(flow, action->ifindex, port);
	default:
		REFUSE(flow, "unsupported-action: the plugin cannot do its action");
	}
}

/* One direction of a connection in a flowtable: what is planned for it comes from conntrack (host/offload/flows.ts). */
static __always_inline int check_flow(struct ekho_flow_ctx *flow, const struct ekho_flow_ctx *rule,
				      const struct firmware_port *port)
{
	const __u32 odd = EKHO_MATCH_VLAN | EKHO_MATCH_CVLAN | EKHO_MATCH_TUNNEL | EKHO_MATCH_CT;
	int err = 0;

	if (!(port->flags & FIRMWARE_PORT_FLOWS))
		REFUSE(flow, "unsupported-kind: the plugin does not hold this kind");
	if (rule->match.keys & odd)
		REFUSE(flow, "unsupported-match: it matches on a field the plugin cannot match");
	if (rule->match.ip_protocol != IPPROTO_TCP && rule->match.ip_protocol != IPPROTO_UDP)
		REFUSE(flow, "unsupported-match: it matches on a field the plugin cannot match");
	for (__u32 i = 0; i < EKHO_ACTIONS_MAX && i < rule->action_count && !err; i++)
		err = check_flow_action(flow, &rule->actions[i], port);
	return err;
}

static __always_inline int check_by_port(struct ekho_flow_ctx *flow, const struct ekho_flow_ctx *rule)
{
	__u32 ifindex = rule->ifindex;
	const struct firmware_port *port = bpf_map_lookup_elem(&ports, &ifindex);

	if (rule->kind == EKHO_FLOW_ACTION)
		REFUSE(flow, "unsupported-kind: the plugin does not hold this kind");
	if (!port && rule->tunnel.kind)
		REFUSE(flow, "the link is a tunnel, and no port of a plugin's device");
	if (!port)
		REFUSE(flow, "the link is not a port of a plugin's device");
	if (!(port->flags & FIRMWARE_PORT_READY))
		REFUSE(flow, "not-started: the plugin is not running");
	if (rule->kind == EKHO_FLOW_FLOWTABLE)
		return check_flow(flow, rule, port);
	return check_filter(flow, rule, port);
}

#endif
