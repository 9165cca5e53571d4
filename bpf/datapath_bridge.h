/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Bridging: as net/bridge/br_input.c and br_forward.c do for a frame from a known source. Groups are datapath_multicast.h's. */
#ifndef DATAPATH_BRIDGE_H
#define DATAPATH_BRIDGE_H

static __always_inline struct dp_fdb *find_fdb(__u32 bridge, __u32 vlan, __u64 mac)
{
	struct dp_fdb_key key = { .bridge = bridge, .vlan = vlan, .mac_high = mac >> 32, .mac_low = mac };

	return bpf_map_lookup_elem(&fdb_entries, &key);
}

static __always_inline struct dp_vlan *find_vlan(__u32 bridge, __u32 vlan, __u32 port)
{
	struct dp_vlan_key key = { .bridge = bridge, .vlan = vlan, .port = port };

	return bpf_map_lookup_elem(&vlans, &key);
}

static __always_inline struct dp_remote *find_remote(__u32 bridge, __u32 vlan, __u64 mac)
{
	struct dp_fdb_key key = { .bridge = bridge, .vlan = vlan, .mac_high = mac >> 32, .mac_low = mac };

	return bpf_map_lookup_elem(&remotes, &key);
}

/* A frame from a source that is known, in `vlan`. `index` is the port it came in by, DP_NONE for a tunnel. */
static __always_inline int bridge_out(const struct frame *frame, __u32 mode, __u32 index, __u32 bridge, __u32 vlan,
				      struct verdict *verdict)
{
	struct dp_fdb *destination;
	struct dp_port *out;
	__u32 out_index;

	if (is_group_mac(frame->destination_mac)) {
		if (index == DP_NONE)
			return to_kernel(verdict, REASON_GROUP_MAC);
		verdict->tunnel = bridge;
		verdict->detail = vlan;
		return decide(verdict, VERDICT_GROUP);
	}
	destination = find_fdb(bridge, vlan, frame->destination_mac);
	if (!destination) {
		if (index == DP_NONE)
			return to_kernel(verdict, REASON_FDB_MISS);
		/* Perhaps a tunnel leads there. */
		verdict->tunnel = bridge;
		verdict->detail = vlan;
		return decide(verdict, VERDICT_TUNNEL);
	}
	verdict->fdb = destination->handle;
	if (destination->action == DP_DROP)
		return decide(verdict, VERDICT_DROP);
	if (destination->action != DP_FORWARD)
		return to_kernel(verdict, REASON_FDB);
	out_index = destination->port;
	if (out_index == index)
		return to_kernel(verdict, REASON_FDB_SAME);
	out = bpf_map_lookup_elem(&ports, &out_index);
	if (!out || out->bridge != bridge)
		return to_kernel(verdict, REASON_FDB_BRIDGE);
	if (!(out->flags & DP_PORT_BRIDGE_FORWARDING))
		return to_kernel(verdict, REASON_EGRESS_STATE);
	verdict->vlan = frame->match.vlan;
	if (vlan != 0) {
		struct dp_vlan *member = find_vlan(bridge, vlan, out_index);

		if (!member)
			return to_kernel(verdict, REASON_EGRESS_VLAN);
		verdict->vlan = member->flags & DP_VLAN_UNTAGGED ? 0 : vlan;
	}
	/* is_skb_forwardable(): a tag beside the MTU is allowed for. */
	if (check_out(frame, verdict, mode, out_index, bridged_length(frame), out))
		return VERDICT_KERNEL;
	return decide(verdict, VERDICT_BRIDGE);
}

/* `index` and `port` are where it came in. */
static __always_inline int bridge_frame(const struct frame *frame, __u32 mode, __u32 index, const struct dp_port *port,
					struct verdict *verdict)
{
	__u32 bridge = port->bridge;
	__u32 flags = port->flags;
	__u32 tag = frame->match.vlan;
	struct dp_fdb *source;
	__u32 vlan = 0;

	if (!(flags & DP_PORT_BRIDGE_FORWARDING))
		return to_kernel(verdict, REASON_BRIDGE_STATE);
	/* br_netfilter drops IP that is not sound. */
	if (frame->unroutable >= 0 && frame->unroutable != REASON_NOT_IP)
		return to_kernel(verdict, frame->unroutable);
	if (flags & DP_PORT_IN_VLAN) {
		vlan = tag;
		if (tag == 0)
			vlan = port->pvid;
		if (vlan == 0)
			return to_kernel(verdict, REASON_NO_PVID);
		if (tag != 0 && !find_vlan(bridge, vlan, index))
			return to_kernel(verdict, REASON_VLAN_MISSING);
	}
	if (flags & DP_PORT_LEARNING) {
		source = find_fdb(bridge, vlan, frame->source_mac);
		if (!source || source->action != DP_FORWARD || source->port != index)
			return to_kernel(verdict, REASON_LEARN);
		verdict->source_fdb = source->handle;
	} else if (frame->source_mac == 0 || is_group_mac(frame->source_mac)) {
		/* The bridge drops what no station can have sent (is_valid_ether_addr). */
		return to_kernel(verdict, REASON_LEARN);
	}
	return bridge_out(frame, mode, index, bridge, vlan, verdict);
}

#endif
