/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Copies of an skb out of the ports of a multicast group. */
#ifndef DATAPATH_SKB_MULTICAST_H
#define DATAPATH_SKB_MULTICAST_H

/* Out of the ports that take it with this tag. */
static __always_inline void skb_send_copies(struct __sk_buff *skb, const struct dp_multicast *group, __u32 index,
					    __u32 bridge, __u32 vlan, __u32 wanted)
{
	for (int place = 0; place < DP_GROUP_PORTS; place++) {
		__u32 port = group->ports[place], tag;
		struct dp_port *out;

		if (place >= group->count)
			break;
		if (port == index)
			continue;
		out = bpf_map_lookup_elem(&ports, &port);
		if (!out || out->bridge != bridge || !is_delivered(out, port, bridge, vlan, &tag) || tag != wanted)
			continue;
		bpf_clone_redirect(skb, out->ifindex, 0);
	}
}

/* As VERDICT_COPIES has it; `index` is the port it came in by. A function of its own to the verifier, as judge() is. */
__noinline int skb_leave_copies(struct __sk_buff *skb, struct frame *frame, __u32 index, struct verdict *verdict)
{
	struct dp_multicast *group;
	__u32 bridge, vlan, tag;

	if (!frame || !verdict)
		return SKB_DROP;
	bridge = verdict->out;
	vlan = verdict->detail;
	tag = frame->match.vlan;
	group = find_group(frame, bridge, vlan);
	if (!group)
		return skb_to_kernel(REASON_GROUP_MAC, frame->length);
	count_verdict(verdict, frame->length);
	skb_send_copies(skb, group, index, bridge, vlan, tag);
	if (vlan == 0)
		return SKB_DROP;
	if (tag != 0 ? bpf_skb_vlan_pop(skb) : bpf_skb_vlan_push(skb, bpf_htons(ETHERTYPE_VLAN), vlan))
		return SKB_DROP;
	skb_send_copies(skb, group, index, bridge, vlan, tag != 0 ? 0 : vlan);
	return SKB_DROP;
}

#endif
