/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the actions of a rule that edit come to, in the bits of ACL_EDITS of wit/types.wit: the same questions that
 * host/offload/packet-edits.ts asks of a filter. Values do not matter here, only which there are.
 */
#ifndef FIRMWARE_EDITS_H
#define FIRMWARE_EDITS_H

#include <stdbool.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021Q 0x8100
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define VLAN_MAX 4094

enum acl_edit {
	EDIT_VLAN_POP = 1 << 0,
	EDIT_VLAN_PUSH = 1 << 1,
	EDIT_VLAN_MODIFY = 1 << 2,
	EDIT_SOURCE_MAC = 1 << 3,
	EDIT_DESTINATION_MAC = 1 << 4,
	EDIT_TTL = 1 << 5,
	EDIT_TTL_ADD = 1 << 6,
	EDIT_SOURCE_ADDRESS = 1 << 7,
	EDIT_DESTINATION_ADDRESS = 1 << 8,
	EDIT_SOURCE_PORT = 1 << 9,
	EDIT_DESTINATION_PORT = 1 << 10,
	EDIT_MIRROR = 1 << 11,
	EDIT_MIRROR_TRAPPED = 1 << 12,
	EDIT_COUNT_TRAPPED = 1 << 13,
	EDIT_POLICE = 1 << 14,
	EDIT_POLICE_PACKETS = 1 << 15,
	EDIT_POLICE_TRAPPED = 1 << 16,
	/* No plugin has it: what needs it cannot be said. */
	EDIT_NONE = 1u << 31,
};

#define EDIT_HOPS (EDIT_TTL | EDIT_TTL_ADD)
#define EDIT_ADDRESSES (EDIT_SOURCE_ADDRESS | EDIT_DESTINATION_ADDRESS)
#define EDIT_MIRRORS (EDIT_MIRROR | EDIT_MIRROR_TRAPPED)
#define EDIT_POLICES (EDIT_POLICE | EDIT_POLICE_TRAPPED)
#define EDIT_PORTS (EDIT_SOURCE_PORT | EDIT_DESTINATION_PORT)

/* linux/tc_act/tc_csum.h */
enum csum_flag {
	CSUM_IP = 1,
	CSUM_ICMP = 2,
	CSUM_TCP = 8,
	CSUM_UDP = 16,
};

/* enum flow_action_mangle_base */
enum edit_header {
	HEADER_ETH = 1,
	HEADER_IP4,
	HEADER_IP6,
	HEADER_TCP,
	HEADER_UDP,
};

/* What becomes of the tag: in front of what there is, or in the place of it. */
enum edit_tag {
	TAG_KEPT,
	TAG_GONE,
	TAG_PUSH,
	TAG_REPLACE,
	TAG_MODIFY,
};

/* Offsets of bytes that may be edited, as bits. */
#define BYTES(from, count) (((1ull << (count)) - 1) << (from))
#define ETH_BYTES BYTES(0, 12)
#define TTL4 BYTES(8, 1)
#define IP4_BYTES (TTL4 | BYTES(12, 8))
#define TTL6 BYTES(7, 1)
#define IP6_BYTES (TTL6 | BYTES(8, 32))
#define PORT_BYTES BYTES(0, 4)

struct packet_edits {
	/* enum edit_tag, and the priority of the new one */
	__u32 tag, priority;
	/* Offsets of bytes with a new value, by header. */
	__u64 eth, ip4, ip6, tcp, udp;
	/* Something was added to the TTL. */
	__u32 adds;
	/* Checksums made since something in the IP header, and something that transports sum up, was edited: enum csum_flag */
	__u32 ip_sums, transport_sums;
	/* All of it is written before it is handed to a function of its own. */
	__u32 unused;
};

static __always_inline bool edit_tag(struct packet_edits *edits, const struct ekho_flow_action *action)
{
	__u32 priority = action->vlan.priority, id = action->vlan.id;

	if (action->kind == EKHO_ACTION_VLAN_POP) {
		edits->tag = edits->tag == TAG_PUSH ? TAG_KEPT : TAG_GONE;
		return true;
	}
	if (action->vlan.tpid != bpf_htons(ETH_P_8021Q) || id < 1 || id > VLAN_MAX || priority > 7)
		return false;
	if (action->kind == EKHO_ACTION_VLAN_PUSH) {
		if (edits->tag != TAG_KEPT && edits->tag != TAG_GONE)
			return false;
		edits->tag = edits->tag == TAG_KEPT ? TAG_PUSH : TAG_REPLACE;
	} else {
		if (edits->tag == TAG_GONE)
			return true;
		/* The priority 0 may also leave the old one. */
		if (edits->tag != TAG_KEPT && priority == 0 && edits->priority != 0)
			return false;
		if (edits->tag == TAG_KEPT)
			edits->tag = TAG_MODIFY;
	}
	edits->priority = priority;
	return true;
}

/* Offsets that one word of an edit gives new values, 0 where it is not all of a byte. */
static __always_inline __u64 edited_bytes(const struct ekho_flow_action *action)
{
	__u32 mask = action->edit.mask, value = action->edit.value, offset = action->edit.offset;
	const __u8 *masks = (const void *)&mask, *values = (const void *)&value;
	__u64 bytes = 0;

	if (offset & 3 || offset > 36)
		return 0;
#pragma unroll
	for (int at = 0; at < 4; at++) {
		if (masks[at] == 0)
			bytes |= 1ull << at;
		else if (masks[at] != 0xff || values[at] != 0)
			return 0;
	}
	return bytes << (offset & 63);
}

static __always_inline bool edit_header(struct packet_edits *edits, const struct ekho_flow_action *action)
{
	__u64 bytes = edited_bytes(action), hops = 0, allowed;

	switch (action->edit.header) {
	case HEADER_ETH:
		allowed = ETH_BYTES;
		edits->eth |= bytes;
		break;
	case HEADER_IP4:
		allowed = IP4_BYTES;
		hops = TTL4;
		edits->ip4 |= bytes;
		edits->ip_sums = 0;
		break;
	case HEADER_IP6:
		allowed = IP6_BYTES;
		hops = TTL6;
		edits->ip6 |= bytes;
		break;
	case HEADER_TCP:
		allowed = PORT_BYTES;
		edits->tcp |= bytes;
		break;
	case HEADER_UDP:
		allowed = PORT_BYTES;
		edits->udp |= bytes;
		break;
	default:
		return false;
	}
	if (bytes == 0 || bytes & ~allowed)
		return false;
	if (action->edit.header != HEADER_ETH && bytes != hops)
		edits->transport_sums = 0;
	if (action->kind == EKHO_ACTION_ADD) {
		edits->adds = 1;
		return bytes == hops;
	}
	return true;
}

/* The next action. 0: it is none that edits, or one that cannot be said. Checked by itself: with what led to it, it is too much. */
__noinline int add_edit(struct packet_edits *edits, const struct ekho_flow_action *action)
{
	if (!edits || !action)
		return 0;
	switch (action->kind) {
	case EKHO_ACTION_VLAN_POP:
	case EKHO_ACTION_VLAN_PUSH:
	case EKHO_ACTION_VLAN_MODIFY:
		return edit_tag(edits, action);
	case EKHO_ACTION_SET:
	case EKHO_ACTION_ADD:
		return edit_header(edits, action);
	case EKHO_ACTION_CHECKSUM:
		edits->ip_sums |= action->checksums;
		edits->transport_sums |= action->checksums;
		return 1;
	default:
		return 0;
	}
}

/* A value of which all bytes are edited, or none. */
static __always_inline __u32 all_of(__u64 bytes, __u64 value, __u32 edit)
{
	return !(bytes & value) ? 0 : (bytes & value) == value ? edit : EDIT_NONE;
}

static __always_inline __u32 edits_of_tag(__u32 tag)
{
	switch (tag) {
	case TAG_GONE:
		return EDIT_VLAN_POP;
	case TAG_PUSH:
		return EDIT_VLAN_PUSH;
	case TAG_REPLACE:
		return EDIT_VLAN_POP | EDIT_VLAN_PUSH;
	case TAG_MODIFY:
		return EDIT_VLAN_MODIFY;
	default:
		return 0;
	}
}

/* Checksums that must be made where addresses or ports were edited: `protocol` 0 if it may be any. */
static __always_inline __u32 needed_sums(__u32 protocol, bool six)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return CSUM_TCP;
	case IPPROTO_UDP:
		return CSUM_UDP;
	case IPPROTO_ICMP:
		return 0;
	case IPPROTO_ICMPV6:
		return CSUM_ICMP;
	default:
		return CSUM_TCP | CSUM_UDP | (six ? CSUM_ICMP : 0);
	}
}

/* The edits that all actions come to; EDIT_NONE among them if they cannot be said. Checked by itself, too. */
__noinline __u32 edits_of(const struct packet_edits *edits, const struct ekho_flow_ctx *rule)
{
	__u32 protocol, all;
	bool six, four;
	__be16 type;

	if (!edits || !rule)
		return EDIT_NONE;
	type = rule->kind == EKHO_FLOW_MATCHALL ? rule->protocol : rule->match.protocol_mask ? rule->match.protocol : 0;
	protocol = rule->match.ip_protocol_mask ? rule->match.ip_protocol : 0;
	six = type == bpf_htons(ETH_P_IPV6);
	four = type == bpf_htons(ETH_P_IP);
	all = edits_of_tag(edits->tag);

	/* All packets of the match must have the header. */
	if ((edits->ip4 && !four) || (edits->ip6 && !six))
		return EDIT_NONE;
	if ((edits->tcp && !((four || six) && protocol == IPPROTO_TCP)) ||
	    (edits->udp && !((four || six) && protocol == IPPROTO_UDP)))
		return EDIT_NONE;
	all |= all_of(edits->eth, BYTES(0, 6), EDIT_DESTINATION_MAC) | all_of(edits->eth, BYTES(6, 6), EDIT_SOURCE_MAC);
	all |= all_of(edits->ip4, TTL4, EDIT_TTL) | all_of(edits->ip6, TTL6, EDIT_TTL);
	all |= all_of(edits->ip4, BYTES(12, 4), EDIT_SOURCE_ADDRESS) |
	       all_of(edits->ip4, BYTES(16, 4), EDIT_DESTINATION_ADDRESS);
	all |= all_of(edits->ip6, BYTES(8, 16), EDIT_SOURCE_ADDRESS) |
	       all_of(edits->ip6, BYTES(24, 16), EDIT_DESTINATION_ADDRESS);
	all |= all_of(edits->tcp | edits->udp, BYTES(0, 2), EDIT_SOURCE_PORT) |
	       all_of(edits->tcp | edits->udp, BYTES(2, 2), EDIT_DESTINATION_PORT);
	if (edits->adds)
		all |= EDIT_TTL_ADD;
	if (four && all & (EDIT_HOPS | EDIT_ADDRESSES) && !(edits->ip_sums & CSUM_IP))
		return EDIT_NONE;
	if (all & (EDIT_ADDRESSES | EDIT_PORTS) && needed_sums(protocol, six) & ~edits->transport_sums)
		return EDIT_NONE;
	return all;
}

#endif
