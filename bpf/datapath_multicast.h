/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Multicast groups of bridges: as net/bridge/br_forward.c br_multicast_flood() does where the kernel snoops and no router listens. */
#ifndef DATAPATH_MULTICAST_H
#define DATAPATH_MULTICAST_H

#define PROTOCOL_IGMP 2
#define BROADCAST_MAC 0xffffffffffffull
/* 01:80:c2:00:00:00 to 0f: what bridges say to each other. */
#define LINK_LOCAL_MAC 0x0180c2000000ull

/* The entry of the group that a frame is for; NULL if it is the kernel's. */
static __always_inline struct dp_multicast *find_group(const struct frame *frame, __u32 bridge, __u32 vlan)
{
	struct dp_multicast_key key = { .bridge = bridge };
	__u64 mac = frame->destination_mac;

	if (mac == BROADCAST_MAC || (mac & ~0xfull) == LINK_LOCAL_MAC)
		return NULL;
	/* A bridge that does not filter has no entry for what a tag says. */
	if (vlan == 0 && frame->match.vlan != 0)
		return NULL;
	if (frame->ethertype == ETHERTYPE_IPV4) {
		if (frame->protocol == PROTOCOL_IGMP)
			return NULL;
		key.vlan = DP_GROUP_VLAN(DP_GROUP_IPV4, vlan);
		key.address[3] = frame->match.destination[3];
	} else if (frame->ethertype == ETHERTYPE_IPV6) {
		if (frame->protocol == PROTOCOL_ICMP6)
			return NULL;
		key.vlan = DP_GROUP_VLAN(DP_GROUP_IPV6, vlan);
		__builtin_memcpy(key.address, frame->match.destination, sizeof(key.address));
	} else {
		key.vlan = DP_GROUP_VLAN(DP_GROUP_MAC, vlan);
		key.address[2] = mac >> 32;
		key.address[3] = mac;
	}
	return bpf_map_lookup_elem(&multicast_groups, &key);
}

/* Whether the bridge sends a frame of `vlan` by a port, and with which tag (should_deliver(), br_handle_vlan()). */
static __always_inline bool is_delivered(const struct dp_port *out, __u32 port, __u32 bridge, __u32 vlan, __u32 *tag)
{
	struct dp_vlan *member;

	*tag = 0;
	if (!(out->flags & DP_PORT_BRIDGE_FORWARDING))
		return false;
	if (vlan == 0)
		return true;
	member = find_vlan(bridge, vlan, port);
	if (!member)
		return false;
	if (!(member->flags & DP_VLAN_UNTAGGED))
		*tag = vlan;
	return true;
}

/*
 * A frame for a group, of the bridge and VLAN in `tunnel` and `detail`. VERDICT_COPIES: it leaves by several ports, with the bridge in
 * `out`. A function of its own to the verifier, as judge() is. Which ports are left stands in `detail` meanwhile: the verifier does not
 * follow what is there, and so need not try all of the combinations.
 */
__noinline int send_to_group(struct frame *frame, __u32 mode, __u32 index, struct verdict *verdict)
{
	struct dp_multicast *group;
	__u32 bridge, vlan, left, tag;

	if (!frame || !verdict)
		return VERDICT_KERNEL;
	bridge = verdict->tunnel;
	vlan = verdict->detail;
	verdict->tunnel = 0;
	verdict->detail = 0;
	group = find_group(frame, bridge, vlan);
	if (!group)
		return to_kernel(verdict, REASON_GROUP_MAC);
	verdict->fdb = group->handle;
	for (int place = 0; place < DP_GROUP_PORTS; place++) {
		__u32 port = group->ports[place];
		struct dp_port *out;

		if (place >= group->count)
			break;
		if (port == index)
			continue;
		out = bpf_map_lookup_elem(&ports, &port);
		if (!out || out->bridge != bridge)
			return to_kernel(verdict, REASON_FDB_BRIDGE);
		if (!is_delivered(out, port, bridge, vlan, &tag))
			continue;
		if (check_out(frame, verdict, mode, port, bridged_length(frame), out))
			return VERDICT_KERNEL;
		verdict->vlan = tag;
		verdict->detail |= 1u << place;
	}
	left = verdict->detail;
	verdict->detail = vlan;
	if (left == 0)
		return decide(verdict, VERDICT_DROP);
	if ((left & (left - 1)) == 0)
		return decide(verdict, VERDICT_BRIDGE);
	if (!(mode & MODE_TCX))
		return to_kernel(verdict, REASON_GROUP_COPIES);
	verdict->out = bridge;
	return decide(verdict, VERDICT_COPIES);
}

#endif
