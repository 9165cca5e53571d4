/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Counting, rewriting and sending. */
#ifndef DATAPATH_LEAVE_H
#define DATAPATH_LEAVE_H

static __always_inline void add_count(struct dp_count *count, __u32 bytes, __u64 now)
{
	if (!count)
		return;
	count->packets++;
	count->bytes += bytes;
	count->last_used = now;
}

#define COUNT(counts, handle, bytes, now)							\
	do {											\
		__u32 count_index = DP_INDEX(handle);						\
		if (handle)									\
			add_count(bpf_map_lookup_elem(&counts, &count_index), bytes, now);	\
	} while (0)

/* Kind of the handles of stations behind tunnels (wit/types.wit), plus one. */
#define HANDLE_REMOTE 12
/* And of multicast groups. */
#define HANDLE_GROUP 13

/* The counter of a bridge's address: at a port, behind a tunnel, or a group's. */
static __always_inline struct dp_count *fdb_count(__u32 handle)
{
	__u32 index = DP_INDEX(handle);

	if (handle == 0)
		return NULL;
	if (handle >> 28 == HANDLE_REMOTE)
		return bpf_map_lookup_elem(&remote_counts, &index);
	if (handle >> 28 == HANDLE_GROUP)
		return bpf_map_lookup_elem(&multicast_counts, &index);
	return bpf_map_lookup_elem(&fdb_counts, &index);
}

/* A bridge's addresses are in use as sources, as the kernel has it: frames to a station that is gone do not keep it. */
static __always_inline void count_fdb(const struct verdict *verdict, __u32 bytes, __u64 now)
{
	struct dp_count *count = fdb_count(verdict->fdb);

	if (count) {
		count->packets++;
		count->bytes += bytes;
		if (verdict->fdb >> 28 == HANDLE_GROUP)
			count->last_used = now;
	}
	count = fdb_count(verdict->source_fdb);
	if (count)
		count->last_used = now;
}

static __always_inline int count_kernel(__u32 reason, __u32 bytes)
{
	add_count(bpf_map_lookup_elem(&reason_counts, &reason), bytes, bpf_ktime_get_coarse_ns());
	return XDP_PASS;
}

static __always_inline void count_verdict(const struct verdict *verdict, __u32 bytes)
{
	/* Good to some milliseconds, and far cheaper than the exact one. */
	__u64 now = bpf_ktime_get_coarse_ns();

	COUNT(port_counts, verdict->port, bytes, now);
	if (!(verdict->extras & EXTRA_COUNTED))
		COUNT(acl_counts, verdict->rule, bytes, now);
	COUNT(acl_counts, verdict->routing_rule, bytes, now);
	COUNT(route_counts, verdict->route, bytes, now);
	COUNT(nexthop_counts, verdict->nexthop, bytes, now);
	count_fdb(verdict, bytes, now);
	COUNT(flow_counts, verdict->flow, bytes, now);
	COUNT(tunnel_counts, verdict->tunnel, bytes, now);
}

/* Lowers the TTL; the checksum changes with it (ip_decrease_ttl() of the kernel). */
static __always_inline void age_ipv4(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += bpf_htons(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

/* Gives the frame the tag of a VLAN, with priority 0; 0 for none. False when there is no room for one. */
static __always_inline bool retag(struct xdp_md *context, const struct frame *frame, __u32 vlan)
{
	bool tagged = frame->network_offset == 18;
	__u16 type = bpf_htons(frame->ethertype);
	__u8 *data, *end;
	__u64 source = frame->source_mac, destination = frame->destination_mac;

	if (tagged == (vlan != 0)) {
		if (!tagged)
			return true;
	} else if (bpf_xdp_adjust_head(context, tagged ? 4 : -4)) {
		return false;
	}
	data = (void *)(long)context->data;
	end = (void *)(long)context->data_end;
	if (data + 14 > end)
		return false;
	/* Never so once the head was moved: a tag that goes leaves 14 bytes, one that comes makes 18 of them. */
	if (vlan != 0 && data + 18 > end)
		return false;
	put_mac(data, destination);
	put_mac(data + 6, source);
	if (vlan != 0) {
		data[12] = ETHERTYPE_VLAN >> 8;
		data[13] = ETHERTYPE_VLAN & 0xff;
		data[14] = vlan >> 8;
		data[15] = vlan;
		*(__u16 *)(data + 16) = type;
	} else {
		*(__u16 *)(data + 12) = type;
	}
	return true;
}

/* Ethernet addresses and TTL of a routed packet, and what its flow changes. */
static __always_inline bool rewrite(struct xdp_md *context, const struct frame *frame, const struct verdict *verdict)
{
	__u8 *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	__u8 *at = data + (verdict->vlan != 0 ? 18 : 14);

	if (at + sizeof(struct iphdr) > end)
		return false;
	put_mac(data, verdict->destination_mac);
	put_mac(data + 6, verdict->source_mac);
	if (frame->ethertype == ETHERTYPE_IPV4)
		age_ipv4((void *)at);
	else
		((struct ipv6hdr *)at)->hop_limit--;
	return !(verdict->extras & EXTRA_TRANSLATES) || translate(at, end, frame, verdict);
}

static __always_inline int leave(struct xdp_md *context, const struct frame *frame, struct verdict *verdict)
{
	bool routed = verdict->action == VERDICT_ROUTE;

	if (verdict->action == VERDICT_DROP) {
		count_verdict(verdict, frame->length);
		return XDP_DROP;
	}
	if (verdict->extras & EXTRA_TRANSLATES &&
	    awaits_checksum(frame, verdict, (void *)(long)context->data, (void *)(long)context->data_end))
		return count_kernel(REASON_CHECKSUM, frame->length);
	if (routed) {
		__s32 padding = frame->length - frame->network_offset - frame->packet_length;

		/* The kernel cuts off what only filled up the frame. */
		if (padding > 0 && bpf_xdp_adjust_tail(context, -padding))
			return count_kernel(REASON_ROOM, frame->length);
	}
	if (verdict->action != VERDICT_REDIRECT &&
	    /* A VLAN link gives its frames the priority 0. */
	    (verdict->vlan != frame->match.vlan || (routed && frame->tci != verdict->vlan))) {
		if (!retag(context, frame, verdict->vlan))
			return count_kernel(REASON_ROOM, frame->length);
	}
	if (routed && !rewrite(context, frame, verdict))
		return XDP_DROP;
	count_verdict(verdict, frame->length);
	return bpf_redirect_map(&devices, verdict->out, 0);
}

#endif
