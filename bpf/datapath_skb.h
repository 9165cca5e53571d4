/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Frames that are skbs already: their headers, rewriting and sending. */
#ifndef DATAPATH_SKB_H
#define DATAPATH_SKB_H

/* TC_ACT_UNSPEC, of tcx TCX_NEXT: the kernel goes on as if there were no program. */
#define SKB_KERNEL (-1)
#define SKB_DROP 2

/* Ethernet, IPv6, TCP: what is read of a frame. */
#define HEADERS_MAX (14 + 40 + 20)

static __always_inline int skb_to_kernel(__u32 reason, __u32 bytes)
{
	count_kernel(reason, bytes);
	return SKB_KERNEL;
}

/* Has the headers stand in one piece. */
static __always_inline bool pull_headers(struct __sk_buff *skb)
{
	__u32 there = skb->data_end - skb->data;
	__u32 wanted = skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX;

	return there >= wanted || bpf_skb_pull_data(skb, wanted) == 0;
}

/* Several packets as one: the largest of them is what must fit. What is not TCP is the kernel's. */
static __always_inline void measure_segments(struct frame *frame, struct __sk_buff *skb)
{
	const __u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const __u8 *at = data + 14 + (frame->ethertype == ETHERTYPE_IPV6 ? 40 : 20);

	frame->segment_length = 0xffffffff;
	if (!(frame->match.has & DP_HAS_TCP) || at + 20 > end)
		return;
	frame->segment_length = (frame->ethertype == ETHERTYPE_IPV6 ? 40 : 20) + (at[12] >> 4) * 4 + skb->gso_size;
}

/* Tunnels are its own here. */
static __always_inline bool is_kernels(int action)
{
	return action == VERDICT_KERNEL || action == VERDICT_LOCAL || action == VERDICT_ENCAPSULATE;
}

/* A rule's copy. The kernel makes one of what it gets, unless hardware alone has the rule. */
static __always_inline void skb_mirror(struct __sk_buff *skb, const struct frame *frame, const struct verdict *verdict,
				       bool kernels)
{
	__u32 row = (verdict->extras & EXTRA_ROW) - 1, index;
	struct dp_edit *edit;
	struct dp_port *out;

	if (kernels) {
		if (!(verdict->extras & EXTRA_MIRROR_TRAPPED))
			return;
		if (!(verdict->extras & EXTRA_COUNTED))
			COUNT(acl_counts, verdict->rule, frame->length, bpf_ktime_get_coarse_ns());
	}
	edit = bpf_map_lookup_elem(&acl_edits, &row);
	if (!edit)
		return;
	index = edit->mirror;
	out = bpf_map_lookup_elem(&ports, &index);
	if (out)
		bpf_clone_redirect(skb, out->ifindex, 0);
}

static __always_inline int skb_leave(struct __sk_buff *skb, const struct frame *frame, struct verdict *verdict)
{
	bool routed = verdict->action == VERDICT_ROUTE;
	__u32 index = verdict->out;
	struct dp_port *out;
	__u32 ifindex;

	if (verdict->action == VERDICT_DROP) {
		count_verdict(verdict, frame->length);
		return SKB_DROP;
	}
	out = bpf_map_lookup_elem(&ports, &index);
	if (!out)
		return skb_to_kernel(REASON_EGRESS_DOWN, frame->length);
	ifindex = out->ifindex;
	if (routed) {
		__u32 wanted = frame->network_offset + frame->packet_length;

		/* The kernel cuts off what only filled up the frame. */
		if (wanted < frame->length && bpf_skb_change_tail(skb, wanted, 0))
			return skb_to_kernel(REASON_ROOM, frame->length);
	}
	if (verdict->action != VERDICT_REDIRECT &&
	    /* A VLAN link gives its frames the priority 0. */
	    (verdict->vlan != frame->match.vlan || (routed && frame->tci != verdict->vlan))) {
		if (frame->match.vlan != 0 && bpf_skb_vlan_pop(skb))
			return skb_to_kernel(REASON_ROOM, frame->length);
		/* Without its tag the frame is no longer what the kernel is to have. */
		if (verdict->vlan != 0 && bpf_skb_vlan_push(skb, bpf_htons(ETHERTYPE_VLAN), verdict->vlan))
			return SKB_DROP;
	}
	if (routed) {
		__u8 *data, *end;
		__u8 hops = frame->ttl - 1;

		/* Where the driver summed up the packet, the sum goes with the hop limit; IPv4 balances it in its header. */
		if (frame->ethertype == ETHERTYPE_IPV6 &&
		    bpf_skb_store_bytes(skb, 14 + 7, &hops, sizeof(hops), BPF_F_RECOMPUTE_CSUM))
			return SKB_DROP;
		if (verdict->extras & EXTRA_TRANSLATES && !skb_translate(skb, frame, verdict))
			return SKB_DROP;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		if (data + 14 + sizeof(struct iphdr) > end)
			return SKB_DROP;
		put_mac(data, verdict->destination_mac);
		put_mac(data + 6, verdict->source_mac);
		if (frame->ethertype == ETHERTYPE_IPV4)
			age_ipv4((void *)(data + 14));
	}
	count_verdict(verdict, frame->length);
	return bpf_redirect(ifindex, 0);
}

#endif
