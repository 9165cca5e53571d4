/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Adding and taking away the outer headers of tunnels. */
#ifndef DATAPATH_ENCAP_H
#define DATAPATH_ENCAP_H

/* The kernel's own (udp_flow_src_port) has a random key that it tells nobody; what counts is that a flow keeps its port. */
static __always_inline __u16 source_port(const struct frame *frame, __u32 range)
{
	const struct dp_match *match = &frame->match;
	__u32 low = range >> 16, ports = (range & 0xffff) - low + 1;
	__u32 hash = 0x811c9dc5;

	for (int word = 0; word < 4; word++)
		hash = mix(mix(hash, match->source[word]), match->destination[word]);
	if (frame->ethertype == ETHERTYPE_IPV4 || frame->ethertype == ETHERTYPE_IPV6)
		hash = mix(mix(hash, match->ports), frame->protocol);
	else
		hash = mix(mix(hash, frame->source_mac), frame->destination_mac);
	return low + ((__u64)hash * ports >> 32);
}

/* Outer IPv4 header; `length` is the whole packet's, `inner` the packet's in the frame. */
static __always_inline void put_outer_ip(struct iphdr *ip, const struct dp_tunnel *tunnel, const struct frame *frame,
					 const struct verdict *verdict, __u32 length, __u32 inner, bool inner_df)
{
	__u32 tos = tunnel->flags & DP_TUNNEL_INHERIT_TOS ? inner : tunnel->hops & 0xff;
	/* RFC 6040, as INET_ECN_encapsulate() has it. */
	__u32 mark = (inner & ECN_MASK) == 3 ? 2 : inner & ECN_MASK;
	bool df = tunnel->flags & DP_TUNNEL_DF;
	const __u16 *words = (const void *)ip;
	__u32 sum = 0;

	if (tunnel->flags & DP_TUNNEL_INHERIT_DF)
		df = frame->ethertype == ETHERTYPE_IPV6 || inner_df;
	*(__u8 *)ip = 0x45;
	ip->tos = (tos & ~ECN_MASK) | mark;
	ip->tot_len = bpf_htons(length);
	ip->id = bpf_get_prandom_u32();
	ip->frag_off = df ? bpf_htons(0x4000) : 0;
	ip->ttl = tunnel->flags & DP_TUNNEL_INHERIT_TTL ? frame->ttl : tunnel->hops >> 16;
	ip->protocol = PROTOCOL_UDP;
	ip->check = 0;
	ip->saddr = tunnel->local;
	ip->daddr = verdict->detail;
#pragma unroll
	for (int word = 0; word < 10; word++)
		sum += words[word];
	ip->check = ~fold(sum);
}

/* Puts the frame behind outer headers. A function of its own to the verifier, as judge() is. */
__noinline int encapsulate(struct xdp_md *context, struct frame *frame, struct verdict *verdict, __u32 mode)
{
	__u8 *data = (void *)(long)context->data, *end = (void *)(long)context->data_end, *at, *inner;
	bool tagged, inner_df = false;
	__u32 slot, tos, length, add;
	struct dp_tunnel *tunnel;
	__u16 port;

	if (!frame || !verdict)
		return XDP_DROP;
	tagged = frame->network_offset == 18;
	slot = DP_INDEX(verdict->tunnel);
	tunnel = bpf_map_lookup_elem(&tunnels, &slot);
	if (!tunnel)
		return count_kernel(REASON_TUNNEL_STATE, frame->length);
	if (!(mode & MODE_NATIVE) && awaits_checksum(frame, verdict, data, end))
		return count_kernel(REASON_CHECKSUM, frame->length);
	tos = inner_tos(frame, data, end);
	at = data + (tagged ? 18 : 14);
	if (frame->ethertype == ETHERTYPE_IPV4 && at + 8 <= end)
		inner_df = at[6] & 0x40;
	length = frame->length - (tagged ? 4 : 0);
	add = 14 + OUTER_HEADERS + (verdict->vlan != 0 ? 4 : 0) - (tagged ? 4 : 0);
	if (bpf_xdp_adjust_head(context, -(int)add))
		return count_kernel(REASON_ROOM, frame->length);
	data = (void *)(long)context->data;
	end = (void *)(long)context->data_end;
	at = data + 14;
	if (verdict->vlan != 0)
		at += 4;
	inner = at + OUTER_HEADERS;
	if (inner + 14 > end)
		return XDP_DROP;
	put_mac(data, verdict->destination_mac);
	put_mac(data + 6, verdict->source_mac);
	if (verdict->vlan != 0) {
		data[12] = ETHERTYPE_VLAN >> 8;
		data[13] = ETHERTYPE_VLAN & 0xff;
		data[14] = verdict->vlan >> 8;
		data[15] = verdict->vlan;
	}
	*(__u16 *)(at - 2) = bpf_htons(ETHERTYPE_IPV4);
	put_outer_ip((void *)at, tunnel, frame, verdict, length + OUTER_HEADERS, tos, inner_df);
	port = source_port(frame, tunnel->source_ports);
	*(__u16 *)(at + 20) = bpf_htons(port);
	*(__u16 *)(at + 22) = bpf_htons(tunnel->port);
	*(__u16 *)(at + 24) = bpf_htons(length + 16);
	*(__u16 *)(at + 26) = 0;
	*(__u32 *)(at + 28) = bpf_htonl(VXLAN_FLAGS);
	*(__u32 *)(at + 32) = bpf_htonl(tunnel->vni << 8);
	put_mac(inner, frame->destination_mac);
	put_mac(inner + 6, frame->source_mac);
	*(__u16 *)(inner + 12) = bpf_htons(frame->ethertype);
	if (tunnel->flags & DP_TUNNEL_CHECKSUM) {
		int sum = sum_bytes(context, verdict->vlan != 0 ? 38 : 34, length + 16);

		/* Never so: its length was checked before. */
		if (sum < 0)
			return XDP_DROP;
		sum = ~fold(sum + udp_pseudo(tunnel->local, verdict->detail, length + 16)) & 0xffff;
		data = (void *)(long)context->data;
		end = (void *)(long)context->data_end;
		at = data + 14;
		if (verdict->vlan != 0)
			at += 4;
		if (at + OUTER_HEADERS > end)
			return XDP_DROP;
		*(__u16 *)(at + 26) = sum == 0 ? 0xffff : sum;
	}
	count_verdict(verdict, frame->length);
	return bpf_redirect_map(&devices, verdict->out, 0);
}

/* Takes the outer headers away. */
__noinline int decapsulate(struct xdp_md *context, struct frame *frame, struct verdict *verdict)
{
	__u32 arrived = context->data_end - context->data;
	__s32 padding;

	if (!frame || !verdict)
		return XDP_DROP;
	if (verdict->difference != 0) {
		int sum = sum_bytes(context, verdict->detail - 16, frame->length + 16);

		if (sum < 0 || fold((__u32)sum + verdict->difference) != 0xffff)
			return count_kernel(REASON_TUNNEL_HEADER, arrived);
	}
	padding = arrived - verdict->detail - frame->length;
	/* It only filled up the outer frame: the kernel does without it, too. */
	if (padding > 0 && bpf_xdp_adjust_tail(context, -padding))
		return count_kernel(REASON_ROOM, arrived);
	if (bpf_xdp_adjust_head(context, verdict->detail))
		return count_kernel(REASON_ROOM, arrived);
	if (verdict->vlan != 0 && !retag(context, frame, verdict->vlan))
		return XDP_DROP;
	COUNT(port_counts, verdict->port, arrived, bpf_ktime_get_coarse_ns());
	verdict->port = 0;
	count_verdict(verdict, frame->length);
	return bpf_redirect_map(&devices, verdict->out, 0);
}

#endif
