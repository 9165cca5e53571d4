/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * VXLAN between a bridge and IPv4: what drivers/net/vxlan/vxlan_core.c (vxlan_xmit_one, vxlan_rcv) does for a known unicast frame. What
 * is decided here is carried out in datapath_encap.h.
 */
#ifndef DATAPATH_TUNNEL_H
#define DATAPATH_TUNNEL_H

/* IPv4, UDP, VXLAN: what is before the inner frame, without the outer Ethernet header. */
#define OUTER_HEADERS (20 + 8 + 8)
/* Flags word of the VXLAN header with nothing but a network id. */
#define VXLAN_FLAGS 0x08000000
#define ECN_MASK 3

/* Blocks of 64 bytes that are summed up: as much as XDP has in one buffer. */
#define SUM_BLOCKS 56
#define SUM_MAX (SUM_BLOCKS * 64)

/* The compiler would move the length to the other side, and the verifier allows no reckoning with the end. */
#define is_there(at, bytes, end)			\
	({						\
		__u8 *behind = (at) + (bytes);		\
		asm volatile("" : "+r"(behind));	\
		behind <= (end);			\
	})

/* The folded sum of `length` bytes at `at`; -1 when they are not there or too many. */
static __always_inline int sum_of(__u8 *at, __u8 *end, __u32 length)
{
	__u64 sum = 0;

	for (int block = 0; block < SUM_BLOCKS && length >= 64; block++) {
		if (!is_there(at, 64, end))
			return -1;
		sum = (__u32)bpf_csum_diff(NULL, 0, (void *)at, 64, sum);
		at += 64;
		length -= 64;
	}
	for (int word = 0; word < 16 && length >= 4; word++) {
		if (!is_there(at, 4, end))
			return -1;
		sum += *(__u32 *)at;
		at += 4;
		length -= 4;
	}
	if (length >= 4)
		return -1;
	if (length >= 2) {
		if (!is_there(at, 2, end))
			return -1;
		sum += *(__u16 *)at;
		at += 2;
		length -= 2;
	}
	if (length != 0) {
		if (!is_there(at, 1, end))
			return -1;
		sum += bpf_htons((__u16)*at << 8);
	}
	return fold(sum);
}

/* From `offset` on, which is at most 127. A function of its own to the verifier, as judge() is. */
__noinline int sum_bytes(struct xdp_md *context, __u32 offset, __u32 length)
{
	__u8 *at = (void *)(long)context->data, *end = (void *)(long)context->data_end;

	return sum_of(at + (offset & 127), end, length);
}

/* What the addresses, protocol and length of an IPv4 UDP packet add to its checksum. */
static __always_inline __u64 udp_pseudo(__u32 source, __u32 destination, __u32 length)
{
	return (__u64)source + destination + bpf_htons(length) + bpf_htons(PROTOCOL_UDP);
}

/* TOS or traffic class of the packet in an Ethernet frame at `at`; 0 for what is no IP. */
static __always_inline __u32 inner_tos(const struct frame *frame, const __u8 *at, const __u8 *end)
{
	at += frame->network_offset == 18 ? 18 : 14;
	if (at + 2 > end)
		return 0;
	if (frame->ethertype == ETHERTYPE_IPV4)
		return at[1];
	if (frame->ethertype == ETHERTYPE_IPV6)
		return (at[0] & 0x0f) << 4 | at[1] >> 4;
	return 0;
}

/* A frame whose destination no port of the bridge has: `verdict` has the bridge and the VLAN. A function of its own, as above. */
__noinline int send_by_tunnel(struct frame *frame, __u32 mode, struct verdict *verdict)
{
	struct dp_group *members;
	struct dp_remote *remote;
	struct dp_tunnel *tunnel;
	struct dp_nexthop *way;
	__u32 slot, length;
	__u64 route;

	if (!frame || !verdict)
		return VERDICT_KERNEL;
	remote = find_remote(verdict->tunnel, verdict->detail, frame->destination_mac);
	verdict->tunnel = 0;
	if (!remote)
		return to_kernel(verdict, REASON_FDB_MISS);
	verdict->fdb = remote->handle;
	verdict->detail = remote->address;
	slot = remote->tunnel;
	tunnel = bpf_map_lookup_elem(&tunnels, &slot);
	if (!tunnel || tunnel->handle == 0 || !(tunnel->flags & DP_TUNNEL_FORWARDING))
		return to_kernel(verdict, REASON_TUNNEL_STATE);
	verdict->tunnel = tunnel->handle;
	/* On a bridge that filters, the tunnel's VLAN leaves without its tag. */
	if (frame->match.vlan != 0 && tunnel->vlan == 0)
		return to_kernel(verdict, REASON_TUNNEL_FRAME);
	if (tunnel->flags & DP_TUNNEL_INHERIT_TTL && frame->ttl == 0)
		return to_kernel(verdict, REASON_TUNNEL_FRAME);
	length = bridged_length(frame);
	if (length > tunnel->mtu)
		return to_kernel(verdict, REASON_EGRESS_MTU);
	length += 14;
	if (tunnel->flags & DP_TUNNEL_CHECKSUM && length + 16 >= SUM_MAX)
		return to_kernel(verdict, REASON_TUNNEL_FRAME);
	route = find_route4(0, verdict->detail);
	if (!route)
		return to_kernel(verdict, REASON_LPM_MISS);
	verdict->route = ROUTE_HANDLE(route);
	if (ROUTE_ACTION(route) != DP_FORWARD || is_special4(verdict->detail))
		return to_kernel(verdict, REASON_ROUTE);
	slot = ROUTE_GROUP(route);
	members = bpf_map_lookup_elem(&groups, &slot);
	if (!members)
		return to_kernel(verdict, REASON_GROUP);
	verdict->group = members->handle;
	slot = choose_member(members, frame);
	way = bpf_map_lookup_elem(&nexthops, &slot);
	if (!way)
		return to_kernel(verdict, REASON_GROUP);
	if (tunnel->link != 0 && way->ifindex != tunnel->link)
		return to_kernel(verdict, REASON_TUNNEL_LINK);
	/* What has to fit the way out. */
	frame->segment_length = length + OUTER_HEADERS;
	if (leave_by(frame, mode, verdict, slot) != VERDICT_ROUTE)
		return verdict->action;
	return decide(verdict, VERDICT_ENCAPSULATE);
}

/* Whether the bridge, and the VXLAN link, know the frame's source to be behind the address that it came from. */
static __always_inline bool knows_source(const struct frame *frame, const struct dp_tunnel *tunnel, __u32 slot,
					 __u32 address, struct verdict *verdict)
{
	struct dp_remote *source;

	/* The VXLAN link drops what it sent itself, the bridge what no station can have sent. */
	if (frame->source_mac == tunnel->mac || frame->source_mac == 0 || is_group_mac(frame->source_mac))
		return false;
	if (!(tunnel->flags & (DP_TUNNEL_LEARNING | DP_TUNNEL_LEARNS_ADDRESSES)))
		return true;
	source = find_remote(tunnel->bridge, tunnel->vlan, frame->source_mac);
	if (!source || source->tunnel != slot)
		return false;
	if (tunnel->flags & DP_TUNNEL_LEARNS_ADDRESSES && source->address != address)
		return false;
	verdict->source_fdb = source->handle;
	return true;
}

/*
 * An IPv4 UDP packet to an address of this machine: the frame in it stands in `frame` afterwards, if it is a tunnel's. `context` has
 * the packet as it arrived.
 */
__noinline int receive_tunnel(struct xdp_md *context, struct frame *frame, __u32 mode, struct verdict *verdict)
{
	const __u8 *at = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct dp_tunnel_key key = {};
	struct dp_tunnel_at *found;
	struct dp_tunnel *tunnel;
	const struct iphdr *ip;
	__u32 slot, length, source, tos, mark;
	int reason;

	if (!frame || !verdict)
		return VERDICT_KERNEL;
	if (frame->ethertype != ETHERTYPE_IPV4)
		return to_kernel(verdict, REASON_ROUTE);
	verdict->detail = OUTER_HEADERS + (frame->network_offset == 18 ? 18 : 14);
	at += frame->network_offset == 18 ? 18 : 14;
	if (at + OUTER_HEADERS > end)
		return to_kernel(verdict, REASON_ROUTE);
	ip = (void *)at;
	source = ip->saddr;
	tos = ip->tos;
	key.local = ip->daddr;
	key.vni = at[32] << 16 | at[33] << 8 | at[34];
	key.port = frame->match.ports & 0xffff;
	found = bpf_map_lookup_elem(&tunnels_at, &key);
	if (!found)
		return to_kernel(verdict, REASON_ROUTE);
	slot = found->tunnel;
	tunnel = bpf_map_lookup_elem(&tunnels, &slot);
	if (!tunnel || tunnel->handle == 0 || !(tunnel->flags & DP_TUNNEL_FORWARDING))
		return to_kernel(verdict, REASON_TUNNEL_STATE);
	verdict->tunnel = tunnel->handle;
	verdict->route = 0;
	length = frame->packet_length - 20;
	if (length < 16 + 14 || (__u32)(at[24] << 8 | at[25]) != length || at[35] != 0 ||
	    *(const __u32 *)(at + 28) != bpf_htonl(VXLAN_FLAGS))
		return to_kernel(verdict, REASON_TUNNEL_HEADER);
	/* Summed up last: only of what is decapsulated, and where there is more stack. */
	if (*(const __u16 *)(at + 26) != 0)
		verdict->difference = fold(udp_pseudo(source, key.local, length));
	at = (void *)(long)context->data;
	end = (void *)(long)context->data_end;
	at += verdict->detail == OUTER_HEADERS + 18 ? OUTER_HEADERS + 18 : OUTER_HEADERS + 14;
	/* An skb of a sender who left the inner checksum to hardware would leave with it unfinished. */
	reason = read_frame(frame, at, end, length - 16, 0, mode | (mode & MODE_NATIVE ? 0 : MODE_PARTIAL_CHECKSUMS));
	if (reason >= 0)
		return to_kernel(verdict, reason);
	if (frame->match.vlan != 0)
		return to_kernel(verdict, REASON_TUNNEL_FRAME);
	if (frame->unroutable >= 0 && frame->unroutable != REASON_NOT_IP)
		return to_kernel(verdict, frame->unroutable);
	mark = tos & ECN_MASK;
	if (mark != 0 && mark != (inner_tos(frame, at, end) & ECN_MASK))
		return to_kernel(verdict, REASON_TUNNEL_ECN);
	/* For bridge_inner(). */
	verdict->out = source;
	return decide(verdict, VERDICT_DECAPSULATE);
}

/* Bridges the frame that receive_tunnel() found. Two functions, as one would need more stack than there is. */
__noinline int bridge_inner(struct frame *frame, __u32 mode, struct verdict *verdict)
{
	struct dp_tunnel *tunnel;
	__u32 slot;

	if (!frame || !verdict)
		return VERDICT_KERNEL;
	slot = DP_INDEX(verdict->tunnel);
	tunnel = bpf_map_lookup_elem(&tunnels, &slot);
	if (!tunnel)
		return to_kernel(verdict, REASON_TUNNEL_STATE);
	if (!knows_source(frame, tunnel, slot, verdict->out, verdict))
		return to_kernel(verdict, REASON_TUNNEL_SOURCE);
	if (bridge_out(frame, mode, DP_NONE, tunnel->bridge, tunnel->vlan, verdict) != VERDICT_BRIDGE)
		return verdict->action;
	return decide(verdict, VERDICT_DECAPSULATE);
}

/* Both, one after the other. */
static __always_inline int decide_on_tunnel(struct xdp_md *context, struct frame *frame, __u32 mode,
					    struct verdict *verdict)
{
	int action = receive_tunnel(context, frame, mode, verdict);

	return action == VERDICT_DECAPSULATE ? bridge_inner(frame, mode, verdict) : action;
}

#endif
