/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* New addresses and ports of a flow's packet, and the checksums that go with them. */
#ifndef DATAPATH_TRANSLATE_H
#define DATAPATH_TRANSLATE_H

/* RFC 1624, equation 3. */
static __always_inline void adjust_sum(__u16 *check, __u64 difference)
{
	*check = ~fold((__u64)(__u16)~*check + difference);
}

/* Whether the packet's sender left its checksum to hardware. `data` is the frame as it came. */
static __always_inline bool awaits_checksum(const struct frame *frame, const struct verdict *verdict, const __u8 *data,
					    const __u8 *end)
{
	bool six = frame->ethertype == ETHERTYPE_IPV6;
	__u32 header = six ? 40 : 20;

	data += (frame->network_offset == 18 ? 18 : 14) + header;
	return is_partial(frame, data, end, frame->packet_length - header, 0xffffffff - verdict->difference);
}

/* `at` is the IP header. False when the headers are not all there. */
static __always_inline bool translate(__u8 *at, __u8 *end, const struct frame *frame, const struct verdict *verdict)
{
	const struct dp_match *match = &frame->match;
	__u64 difference = verdict->difference;
	bool tcp = frame->protocol == PROTOCOL_TCP;
	__u16 *ports, *check;
	__u32 before, after;

	if (frame->ethertype == ETHERTYPE_IPV4) {
		struct iphdr *ip = (void *)at;

		if (at + sizeof(*ip) + 8 > end)
			return false;
		ip->saddr = match->source[3];
		ip->daddr = match->destination[3];
		adjust_sum(&ip->check, difference);
		at += sizeof(*ip);
	} else {
		if (at + sizeof(struct ipv6hdr) + 8 > end)
			return false;
		__builtin_memcpy(at + 8, match->source, ADDRESSES);
		at += sizeof(struct ipv6hdr);
	}
	ports = (void *)at;
	check = (void *)(at + (tcp ? 16 : 6));
	if ((void *)(check + 1) > (void *)end)
		return false;
	before = ports[0] + ports[1];
	ports[0] = bpf_htons(match->ports >> 16);
	ports[1] = bpf_htons(match->ports);
	after = ports[0] + ports[1];
	if (!tcp && *check == 0)
		return true;
	adjust_sum(check, difference + after + (0xffffffffull - before));
	if (!tcp && *check == 0)
		*check = 0xffff;
	return true;
}

/* The same for an skb whose Ethernet header has no tag in it. */
static __always_inline bool skb_translate(struct __sk_buff *skb, const struct frame *frame, const struct verdict *verdict)
{
	bool six = frame->ethertype == ETHERTYPE_IPV6, tcp = frame->protocol == PROTOCOL_TCP;
	const struct dp_match *match = &frame->match;
	__u32 difference = verdict->difference;
	__u32 transport = 14 + (six ? 40 : 20);
	__u32 check = transport + (tcp ? 16 : 6);
	__u64 flags = tcp ? 0 : BPF_F_MARK_MANGLED_0;
	__u32 before = bpf_htonl(verdict->detail), after = bpf_htonl(match->ports);

	if (bpf_l4_csum_replace(skb, check, 0, difference, flags | BPF_F_PSEUDO_HDR) ||
	    bpf_l4_csum_replace(skb, check, before, after, flags | sizeof(before)) ||
	    bpf_skb_store_bytes(skb, transport, &after, sizeof(after), 0))
		return false;
	if (six) {
		/* The transport's sum balances the addresses in what the driver summed up, which the helper does not know. */
		bpf_csum_update(skb, difference);
		return bpf_skb_store_bytes(skb, 14 + 8, match->source, ADDRESSES, 0) == 0;
	}
	return bpf_l3_csum_replace(skb, 14 + 10, 0, difference, 0) == 0 &&
	       bpf_skb_store_bytes(skb, 14 + 12, &match->source[3], 4, 0) == 0 &&
	       bpf_skb_store_bytes(skb, 14 + 16, &match->destination[3], 4, 0) == 0;
}

#endif
