/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What rules change in frames that are skbs: as datapath_edit.h, with checksums that may be unfinished and several packets as one. */
#ifndef DATAPATH_SKB_EDIT_H
#define DATAPATH_SKB_EDIT_H

/* Where checksums stand in an IPv4 header, and the addresses in both. */
#define CHECK4 (14 + 10)
#define ADDRESSES4 (14 + 12)
#define ADDRESSES6 (14 + 8)

/*
 * As is_sum_right(). One that is left to hardware is that of the pseudo header alone, as one of several packets as one always is; which it is
 * programs are not told.
 */
static __always_inline bool is_skb_sum_right(struct __sk_buff *skb, const struct frame *frame)
{
	__u32 header = frame->ethertype == ETHERTYPE_IPV6 ? 40 : 20;
	__u32 length = frame->packet_length - header;
	__u8 *at, *end;
	int sum;

	if (skb->gso_size != 0)
		return true;
	if (skb->data_end - skb->data < skb->len && bpf_skb_pull_data(skb, skb->len))
		return false;
	at = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	at += 14 + header;
	if (frame->protocol == PROTOCOL_UDP) {
		enum udp_sum udp = udp_sum_of(at, end, length);

		if (udp != UDP_SUM_SOME)
			return udp == UDP_SUM_NONE;
	}
	if (frame->protocol != PROTOCOL_ICMP && frame->protocol != PROTOCOL_ICMP6 &&
	    is_partial(frame, at, end, length, 0))
		return true;
	sum = sum_of(at, end, length);
	return sum >= 0 && adds_up(frame, length, sum);
}

/* Whether the edits can be made in the packet. A function of its own to the verifier, as judge() is. */
__noinline int can_edit_skb(struct __sk_buff *skb, const struct frame *frame, __u32 row)
{
	struct dp_edit *edit;

	if (!frame)
		return 0;
	edit = bpf_map_lookup_elem(&acl_edits, &row);
	if (!edit)
		return 0;
	return !(edit->edits & (DP_EDIT_ADDRESSES | DP_EDIT_PORTS)) || is_skb_sum_right(skb, frame);
}

static __always_inline bool edit_skb_hops(struct __sk_buff *skb, const struct frame *frame, const struct dp_edit *edit)
{
	__u8 hops = edited_hops(frame->ttl, edit);
	__u32 before = bpf_htons((__u16)frame->ttl << 8), after = bpf_htons((__u16)hops << 8);

	if (frame->ethertype == ETHERTYPE_IPV6)
		return bpf_skb_store_bytes(skb, 14 + 7, &hops, sizeof(hops), BPF_F_RECOMPUTE_CSUM) == 0;
	return bpf_l3_csum_replace(skb, CHECK4, before, after, sizeof(__u16)) == 0 &&
	       bpf_skb_store_bytes(skb, 14 + 8, &hops, sizeof(hops), 0) == 0;
}

/* New addresses. IPv4 has its own in the last of the four words. */
static __always_inline bool store_addresses(struct __sk_buff *skb, bool six, const struct dp_edit *edit)
{
	__u32 at = six ? ADDRESSES6 : ADDRESSES4, size = six ? 16 : 4, first = six ? 0 : 3;

	if (edit->edits & DP_EDIT_SOURCE && bpf_skb_store_bytes(skb, at, &edit->source[first], size, 0))
		return false;
	return !(edit->edits & DP_EDIT_DESTINATION) ||
	       bpf_skb_store_bytes(skb, at + size, &edit->destination[first], size, 0) == 0;
}

static __always_inline bool edit_skb_transport(struct __sk_buff *skb, const struct frame *frame, const struct dp_edit *edit)
{
	bool six = frame->ethertype == ETHERTYPE_IPV6, udp = frame->protocol == PROTOCOL_UDP;
	__u32 transport = 14 + (six ? 40 : 20);
	__u32 check = transport + (udp ? 6 : frame->protocol == PROTOCOL_TCP ? 16 : 2);
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 ports = frame->match.ports, before, after, difference = 0;

	if (edit->edits & DP_EDIT_SOURCE)
		difference = bpf_csum_diff((void *)frame->match.source, 16, (void *)edit->source, 16, difference);
	if (edit->edits & DP_EDIT_DESTINATION)
		difference = bpf_csum_diff((void *)frame->match.destination, 16, (void *)edit->destination, 16, difference);
	/* The checksum of ICMP covers no addresses. */
	if (edit->edits & DP_EDIT_ADDRESSES && frame->protocol != PROTOCOL_ICMP &&
	    bpf_l4_csum_replace(skb, check, 0, difference, flags | BPF_F_PSEUDO_HDR))
		return false;
	if (edit->edits & DP_EDIT_PORTS) {
		before = bpf_htonl(ports);
		if (edit->edits & DP_EDIT_SOURCE_PORT)
			ports = (ports & 0xffff) | (edit->ports & 0xffff0000);
		if (edit->edits & DP_EDIT_DESTINATION_PORT)
			ports = (ports & 0xffff0000) | (edit->ports & 0xffff);
		after = bpf_htonl(ports);
		if (bpf_l4_csum_replace(skb, check, before, after, flags | sizeof(before)) ||
		    bpf_skb_store_bytes(skb, transport, &after, sizeof(after), 0))
			return false;
	}
	if (!(edit->edits & DP_EDIT_ADDRESSES))
		return true;
	/* As in skb_translate(). */
	if (six)
		bpf_csum_update(skb, difference);
	else if (bpf_l3_csum_replace(skb, CHECK4, 0, difference, 0))
		return false;
	return store_addresses(skb, six, edit);
}

/* The frame leaves as the rule edits it; can_edit_skb() was asked. A function of its own to the verifier, as judge() is. */
__noinline int skb_leave_edited(struct __sk_buff *skb, const struct frame *frame, struct verdict *verdict)
{
	__u32 row, index, tci;
	struct dp_edit *edit;
	struct dp_port *out;
	__u8 *data;

	if (!frame || !verdict)
		return SKB_DROP;
	row = verdict->detail;
	index = verdict->out;
	edit = bpf_map_lookup_elem(&acl_edits, &row);
	out = bpf_map_lookup_elem(&ports, &index);
	if (!edit || !out)
		return SKB_DROP;
	tci = edited_tag(frame, edit->edits, edit->tag);
	if (edit->edits & DP_EDIT_HOPS && !edit_skb_hops(skb, frame, edit))
		return SKB_DROP;
	if (edit->edits & (DP_EDIT_ADDRESSES | DP_EDIT_PORTS) && !edit_skb_transport(skb, frame, edit))
		return SKB_DROP;
	if (edit->edits & (DP_EDIT_VLAN_POP | DP_EDIT_VLAN_PUSH | DP_EDIT_VLAN_MODIFY)) {
		if (frame->match.vlan != 0 && bpf_skb_vlan_pop(skb))
			return SKB_DROP;
		if (verdict->vlan != 0 && bpf_skb_vlan_push(skb, bpf_htons(ETHERTYPE_VLAN), tci))
			return SKB_DROP;
	}
	data = (void *)(long)skb->data;
	if (data + 14 > (__u8 *)(long)skb->data_end)
		return SKB_DROP;
	put_mac(data, verdict->destination_mac);
	put_mac(data + 6, verdict->source_mac);
	count_verdict(verdict, frame->length);
	return bpf_redirect(out->ifindex, 0);
}

#endif
