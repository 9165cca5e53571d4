/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What rules change in frames that they send elsewhere, as net/sched/act_vlan.c, act_pedit.c and act_csum.c do. What is
 * not as plain as the edits need it goes to the kernel before anything is changed.
 */
#ifndef DATAPATH_EDIT_H
#define DATAPATH_EDIT_H

#define DP_EDIT_ADDRESSES (DP_EDIT_SOURCE | DP_EDIT_DESTINATION)
#define DP_EDIT_PORTS (DP_EDIT_SOURCE_PORT | DP_EDIT_DESTINATION_PORT)
#define DP_EDIT_HOPS (DP_EDIT_TTL | DP_EDIT_TTL_ADD)
#define DP_EDIT_IP (DP_EDIT_HOPS | DP_EDIT_ADDRESSES | DP_EDIT_PORTS)

/* The DEI bit, which a tag keeps. */
#define TAG_DEI 0x1000

/* Whether the IP packet is one that the edits can be made in. */
static __always_inline bool can_edit_packet(const struct frame *frame, __u32 edits, __u32 family)
{
	bool six = frame->ethertype == ETHERTYPE_IPV6;
	bool ports = frame->protocol == PROTOCOL_TCP || frame->protocol == PROTOCOL_UDP;

	if (frame->blind || frame->unroutable >= 0)
		return false;
	if (frame->ethertype != (family ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4))
		return false;
	if (edits & DP_EDIT_PORTS)
		return ports;
	if (edits & DP_EDIT_ADDRESSES)
		return ports || frame->protocol == (six ? PROTOCOL_ICMP6 : PROTOCOL_ICMP);
	return true;
}

/* The tag that the frame leaves with, DP_NONE if it is to leave with two. */
static __always_inline __u32 edited_tag(const struct frame *frame, __u32 edits, __u32 tag)
{
	bool tagged = frame->match.vlan != 0;
	__u32 old = tagged ? frame->tci & 0xffff : 0;
	__u32 tci = tag >> 16 << 13 | (tag & 0xfff);

	if (edits & DP_EDIT_VLAN_PUSH)
		return tagged && !(edits & DP_EDIT_VLAN_POP) ? DP_NONE : tci;
	if (edits & DP_EDIT_VLAN_POP)
		return 0;
	if (edits & DP_EDIT_VLAN_MODIFY && tagged)
		return tci | (old & TAG_DEI);
	return old;
}

/* Whether a rule's edits can be made in the frame: VERDICT_EDIT if so. A function of its own to the verifier, as judge() is. */
__noinline int check_edits(const struct frame *frame, __u32 row, struct verdict *verdict)
{
	struct dp_edit *edit;
	__u32 tci;

	if (!frame || !verdict)
		return VERDICT_KERNEL;
	edit = bpf_map_lookup_elem(&acl_edits, &row);
	if (!edit)
		return to_kernel(verdict, REASON_ACL);
	if (!(edit->edits & ~DP_EDIT_BESIDES))
		return decide(verdict, VERDICT_REDIRECT);
	if (edit->edits & DP_EDIT_IP && !can_edit_packet(frame, edit->edits, edit->family))
		return to_kernel(verdict, REASON_ACL_EDIT);
	tci = edited_tag(frame, edit->edits, edit->tag);
	if (tci == DP_NONE)
		return to_kernel(verdict, REASON_ACL_EDIT);
	/* The kernel does not tell whether the priority 0 is to be set, or the old one to stay. */
	if (edit->edits & DP_EDIT_VLAN_MODIFY && frame->match.vlan != 0 && TAG_PRIORITY(tci) == 0 &&
	    TAG_PRIORITY(frame->tci) != 0)
		return to_kernel(verdict, REASON_ACL_EDIT);
	verdict->vlan = tci & 0xfff;
	verdict->source_mac = edit->edits & DP_EDIT_SOURCE_MAC ? edit->source_mac : frame->source_mac;
	verdict->destination_mac = edit->edits & DP_EDIT_DESTINATION_MAC ? edit->destination_mac : frame->destination_mac;
	verdict->detail = row;
	return decide(verdict, VERDICT_EDIT);
}

/* With the sum over what the packet carries: whether that is right. */
static __always_inline bool adds_up(const struct frame *frame, __u32 length, __u32 sum)
{
	__u64 pseudo = sum;

	if (frame->protocol != PROTOCOL_ICMP) {
		for (int word = 0; word < 4; word++)
			pseudo += (__u64)frame->match.source[word] + frame->match.destination[word];
		pseudo += bpf_htonl(length) + (__u64)bpf_htonl(frame->protocol);
	}
	return fold(pseudo) == 0xffff;
}

enum udp_sum { UDP_SUM_NONE, UDP_SUM_SOME, UDP_SUM_WRONG };

/* Of UDP whose length is not that of the packet the kernel makes no checksum. */
static __always_inline enum udp_sum udp_sum_of(const __u8 *at, const __u8 *end, __u32 length)
{
	if (at + 8 > end || bpf_ntohs(*(const __u16 *)(at + 4)) != length)
		return UDP_SUM_WRONG;
	return *(const __u16 *)(at + 6) == 0 ? UDP_SUM_NONE : UDP_SUM_SOME;
}

/*
 * Whether what the packet carries has a right checksum, or UDP none. The kernel makes it anew, so a wrong one would leave as a right one.
 */
static __always_inline bool is_sum_right(struct xdp_md *context, const struct frame *frame)
{
	__u8 *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	__u32 header = frame->ethertype == ETHERTYPE_IPV6 ? 40 : 20;
	__u32 offset = (frame->network_offset == 18 ? 18 : 14) + header;
	__u32 length = frame->packet_length - header;
	int sum;

	if (frame->protocol == PROTOCOL_UDP) {
		enum udp_sum udp = udp_sum_of(data + offset, end, length);

		if (udp != UDP_SUM_SOME)
			return udp == UDP_SUM_NONE;
	}
	sum = sum_bytes(context, offset, length);
	return sum >= 0 && adds_up(frame, length, sum);
}

/* Puts a word in the place of another; by how much that changes a sum over it. */
static __always_inline __u64 replace_word(__u32 *at, __u32 word)
{
	__u32 before = *at;

	*at = word;
	return (__u64)word + (0xffffffff - before);
}

/* New addresses at `at`, where those of the IP header begin; by how much they change a sum. */
static __always_inline __u64 edit_addresses(__u32 *at, bool six, const struct dp_edit *edit)
{
	__u64 difference = 0;

	if (!six) {
		if (edit->edits & DP_EDIT_SOURCE)
			difference += replace_word(&at[0], edit->source[3]);
		if (edit->edits & DP_EDIT_DESTINATION)
			difference += replace_word(&at[1], edit->destination[3]);
		return difference;
	}
#pragma unroll
	for (int word = 0; word < 4; word++) {
		if (edit->edits & DP_EDIT_SOURCE)
			difference += replace_word(&at[word], edit->source[word]);
		if (edit->edits & DP_EDIT_DESTINATION)
			difference += replace_word(&at[4 + word], edit->destination[word]);
	}
	return difference;
}

static __always_inline __u8 edited_hops(__u8 hops, const struct dp_edit *edit)
{
	if (edit->edits & DP_EDIT_TTL)
		return edit->ttl;
	return edit->edits & DP_EDIT_TTL_ADD ? hops + edit->ttl : hops;
}

/* Ports and checksum of what the packet carries. `difference` is that of the addresses. */
static __always_inline bool edit_transport(__u8 *at, const __u8 *end, const struct frame *frame,
					   const struct dp_edit *edit, __u64 difference)
{
	bool tcp = frame->protocol == PROTOCOL_TCP, udp = frame->protocol == PROTOCOL_UDP;
	__u32 *ports = (void *)at;
	__u16 *check;
	__u32 new;

	/* The checksum of ICMP covers no addresses. */
	if (frame->protocol == PROTOCOL_ICMP)
		return true;
	if (at + 8 > end)
		return false;
	if (edit->edits & DP_EDIT_PORTS) {
		new = bpf_ntohl(*ports);
		if (edit->edits & DP_EDIT_SOURCE_PORT)
			new = (new & 0xffff) | (edit->ports & 0xffff0000);
		if (edit->edits & DP_EDIT_DESTINATION_PORT)
			new = (new & 0xffff0000) | (edit->ports & 0xffff);
		difference += replace_word(ports, bpf_htonl(new));
	}
	check = (void *)(at + (tcp ? 16 : udp ? 6 : 2));
	if ((void *)(check + 1) > (void *)end)
		return false;
	if (udp && *check == 0)
		return true;
	adjust_sum(check, difference);
	if (udp && *check == 0)
		*check = 0xffff;
	return true;
}

/* The IP packet at `at`. False when the headers are not all there. */
static __always_inline bool edit_packet(__u8 *at, const __u8 *end, const struct frame *frame, const struct dp_edit *edit)
{
	__u64 difference;

	if (frame->ethertype == ETHERTYPE_IPV4) {
		struct iphdr *ip = (void *)at;
		__u32 before, after;

		if (at + sizeof(*ip) > end)
			return false;
		before = bpf_htonl((__u32)ip->ttl << 24);
		ip->ttl = edited_hops(ip->ttl, edit);
		after = bpf_htonl((__u32)ip->ttl << 24);
		difference = edit_addresses((__u32 *)(at + 12), false, edit);
		adjust_sum(&ip->check, difference + after + (0xffffffffull - before));
		at += sizeof(*ip);
	} else {
		struct ipv6hdr *ip = (void *)at;

		if (at + sizeof(*ip) > end)
			return false;
		ip->hop_limit = edited_hops(ip->hop_limit, edit);
		difference = edit_addresses((__u32 *)(at + 8), true, edit);
		at += sizeof(*ip);
	}
	if (!(edit->edits & (DP_EDIT_ADDRESSES | DP_EDIT_PORTS)))
		return true;
	return edit_transport(at, end, frame, edit, difference);
}

static __always_inline int leave_edited(struct xdp_md *context, const struct frame *frame, struct verdict *verdict)
{
	__u32 row = verdict->detail, tci;
	struct dp_edit *edit = bpf_map_lookup_elem(&acl_edits, &row);
	__u8 *data, *end;

	if (!edit)
		return count_kernel(REASON_ACL, frame->length);
	if (edit->edits & (DP_EDIT_ADDRESSES | DP_EDIT_PORTS) && !is_sum_right(context, frame))
		return count_kernel(REASON_ACL_EDIT, frame->length);
	tci = edited_tag(frame, edit->edits, edit->tag);
	if (edit->edits & (DP_EDIT_VLAN_POP | DP_EDIT_VLAN_PUSH | DP_EDIT_VLAN_MODIFY) &&
	    (verdict->vlan != 0 || frame->match.vlan != 0) && !retag(context, frame, verdict->vlan))
		return count_kernel(REASON_ROOM, frame->length);
	data = (void *)(long)context->data;
	end = (void *)(long)context->data_end;
	if (data + 18 > end)
		return XDP_DROP;
	if (verdict->vlan != 0) {
		data[14] = tci >> 8;
		data[15] = tci;
	}
	put_mac(data, verdict->destination_mac);
	put_mac(data + 6, verdict->source_mac);
	if (edit->edits & DP_EDIT_IP && !edit_packet(data + (verdict->vlan != 0 ? 18 : 14), end, frame, edit))
		return XDP_DROP;
	count_verdict(verdict, frame->length);
	return bpf_redirect_map(&devices, verdict->out, 0);
}

#endif
