/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a frame is: its headers, read once and checked as the kernel would. */
#ifndef DATAPATH_FRAME_H
#define DATAPATH_FRAME_H

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_SERVICE_VLAN 0x88a8
/* Below it stands a length. */
#define ETHERTYPE_MIN 0x0600

#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ICMP6 58

#define FRAGMENT_BITS 0x3fff
#define FRAGMENT_OFFSET 0x1fff

struct frame {
	/* What rules are matched against; its addresses are those of the frame too. */
	struct dp_match match;
	__u64 source_mac;
	__u64 destination_mac;
	/* Of the whole frame, as it came. */
	__u32 length;
	/* Behind Ethernet header and tag. */
	__u32 network_offset;
	/* IP packet without what pads the frame. */
	__u32 packet_length;
	/* Of several packets that travel as one (GSO): the size of the largest; else 0. */
	__u32 segment_length;
	__u16 ethertype;
	__u16 tci;
	__u8 ttl;
	__u8 protocol;
	/* Ports and the like cannot be told although the protocol has them. */
	__u8 blind;
	/* The TCP or UDP checksum may still have to be filled in. */
	__u8 partial;
	/* -1, or why it goes to the kernel if it is to be routed. */
	__s8 unroutable;
};

/* The verifier lets packets be read and written at any alignment where the machine does. */
static __always_inline __u64 mac_of(const __u8 *bytes)
{
	return (__u64)bpf_ntohl(*(const __u32 *)bytes) << 16 | bpf_ntohs(*(const __u16 *)(bytes + 4));
}

static __always_inline void put_mac(__u8 *bytes, __u64 mac)
{
	*(__u32 *)bytes = bpf_htonl(mac >> 16);
	*(__u16 *)(bytes + 4) = bpf_htons(mac);
}

static __always_inline bool is_group_mac(__u64 mac)
{
	return mac >> 40 & 1;
}

/* Addresses that no router forwards, as destination or source. */
static __always_inline bool is_special4(__u32 address)
{
	__u32 host = bpf_ntohl(address);
	__u32 first = host >> 24;

	return first == 0 || first == 127 || first >= 224 || host >> 16 == 0xa9fe;
}

static __always_inline bool is_special6(const __u32 *address)
{
	__u32 first = bpf_ntohl(address[0]);

	if (first >> 24 == 0xff || first >> 22 == 0x3fa)
		return true;
	if (address[0] != 0 || address[1] != 0)
		return false;
	/* Unspecified, loopback and IPv4 addresses in either form. */
	return address[2] == 0 || address[2] == bpf_htonl(0xffff);
}

/*
 * Ports, ICMP type and TCP flags from `at` on, behind an IP header of `header` bytes. What lies beyond the length that it tells only
 * fills up the frame. A function of its own, as its registers would not fit the stack of whoever calls judge().
 */
static __noinline void read_transport(struct frame *frame, const __u8 *at, const __u8 *end, __u32 header)
{
	struct dp_match *match = &frame->match;

	switch (frame->protocol) {
	case PROTOCOL_TCP:
		if (frame->packet_length < header + 20 || at + 20 > end) {
			frame->blind = 1;
			return;
		}
		match->flags |= (at[12] & 0x0f) << 8 | at[13];
		match->has |= DP_HAS_TCP | DP_HAS_PORTS;
		match->ports = at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
		return;
	case PROTOCOL_UDP:
		if (frame->packet_length < header + 8 || at + 8 > end) {
			frame->blind = 1;
			return;
		}
		match->has |= DP_HAS_PORTS;
		match->ports = at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
		return;
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMP6:
		if (frame->packet_length < header + 4 || at + 4 > end) {
			frame->blind = 1;
			return;
		}
		match->has |= DP_HAS_ICMP;
		match->kinds |= at[0] << 8 | at[1];
		return;
	case 132: /* SCTP and UDP-Lite have ports at the same place. */
	case 136:
		if (frame->packet_length < header + 4 || at + 4 > end) {
			frame->blind = 1;
			return;
		}
		match->has |= DP_HAS_PORTS;
		match->ports = at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
		return;
	}
}

static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/*
 * Whether the checksum of a TCP or UDP header at `at` is that of the pseudo header alone, as a sender leaves it who counts
 * on hardware (CHECKSUM_PARTIAL). A finished one looks like it once in 65,536 packets. `sum` is by how much the addresses in `frame`
 * are not those of the header.
 */
static __always_inline bool is_partial(const struct frame *frame, const __u8 *at, const __u8 *end, __u32 length,
				       __u64 sum)
{
	const __u32 *source = frame->match.source;
	const __u32 *destination = frame->match.destination;
	const __u8 *check;

	if (frame->protocol == PROTOCOL_TCP)
		check = at + 16;
	else if (frame->protocol == PROTOCOL_UDP)
		check = at + 6;
	else
		/* SCTP, DCCP, UDP-Lite: not looked into. ICMP is always complete. */
		return frame->protocol == 132 || frame->protocol == 33 || frame->protocol == 136;
	if (check + 2 > end)
		return false;
	for (int word = 0; word < 4; word++)
		sum += (__u64)source[word] + destination[word];
	sum += bpf_htonl(length) + bpf_htonl(frame->protocol);
	return fold(sum) == *(const __u16 *)check;
}

static __always_inline void read_ipv4(struct frame *frame, const __u8 *at, const __u8 *end, __u32 mode)
{
	struct dp_match *match = &frame->match;
	const struct iphdr *ip = (const void *)at;
	const __u32 *words = (const void *)at;
	__u32 fragment;
	__u64 sum = 0;

	if (at + sizeof(*ip) > end) {
		frame->blind = 1;
		frame->unroutable = REASON_SHORT;
		return;
	}
	frame->protocol = ip->protocol;
	frame->ttl = ip->ttl;
	frame->packet_length = bpf_ntohs(ip->tot_len);
	frame->partial = mode & MODE_PARTIAL_CHECKSUMS;
	match->has |= DP_HAS_IPV4;
	match->source[3] = ip->saddr;
	match->destination[3] = ip->daddr;
	match->kinds = ip->protocol << 24 | (__u32)(ip->tos >> 2) << 16;
	fragment = bpf_ntohs(ip->frag_off) & FRAGMENT_BITS;
	if (ip->version != 4 || ip->ihl < 5 || frame->packet_length < sizeof(*ip) ||
	    frame->network_offset + frame->packet_length > frame->length) {
		frame->blind = 1;
		frame->unroutable = REASON_BAD_HEADER;
		return;
	}
	if (ip->ihl != 5) {
		frame->blind = 1;
		frame->unroutable = REASON_OPTIONS;
		return;
	}
	for (int word = 0; word < 5; word++)
		sum += words[word];
	if (fold(sum) != 0xffff) {
		frame->blind = 1;
		frame->unroutable = REASON_BAD_HEADER;
		return;
	}
	if (fragment != 0) {
		/* What a fragment carries is not known without the first one. It was made from a finished packet. */
		match->has |= DP_HAS_FRAGMENT;
		frame->blind = 1;
		frame->partial = 0;
		return;
	}
	at += sizeof(*ip);
	read_transport(frame, at, end, sizeof(*ip));
	if (mode & MODE_PARTIAL_CHECKSUMS)
		frame->partial = is_partial(frame, at, end, frame->packet_length - sizeof(*ip), 0);
}

static __always_inline void read_ipv6(struct frame *frame, const __u8 *at, const __u8 *end, __u32 mode)
{
	struct dp_match *match = &frame->match;
	const struct ipv6hdr *ip = (const void *)at;
	__u32 class;

	if (at + sizeof(*ip) > end) {
		frame->blind = 1;
		frame->unroutable = REASON_SHORT;
		return;
	}
	frame->protocol = ip->nexthdr;
	frame->ttl = ip->hop_limit;
	frame->packet_length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	frame->partial = mode & MODE_PARTIAL_CHECKSUMS;
	match->has |= DP_HAS_IPV6;
	__builtin_memcpy(match->source, &ip->saddr, sizeof(match->source));
	__builtin_memcpy(match->destination, &ip->daddr, sizeof(match->destination));
	class = (at[0] & 0x0f) << 4 | at[1] >> 4;
	match->kinds = ip->nexthdr << 24 | (class >> 2) << 16;
	if (at[0] >> 4 != 6 || frame->network_offset + frame->packet_length > frame->length) {
		frame->blind = 1;
		frame->unroutable = REASON_BAD_HEADER;
		return;
	}
	at += sizeof(*ip);
	switch (ip->nexthdr) {
	case 0: /* hop-by-hop options */
		frame->blind = 1;
		frame->unroutable = REASON_OPTIONS;
		return;
	case 43: /* routing, fragment, authentication, destination options, mobility, host identity, shim6 */
	case 44:
	case 51:
	case 60:
	case 135:
	case 139:
	case 140:
		match->has |= DP_HAS_FRAGMENT;
		frame->blind = 1;
		return;
	}
	if (frame->packet_length == sizeof(*ip)) {
		/* A jumbogram, or nothing: neither is worth knowing. */
		frame->blind = 1;
		frame->unroutable = REASON_OPTIONS;
		return;
	}
	read_transport(frame, at, end, sizeof(*ip));
	if (mode & MODE_PARTIAL_CHECKSUMS)
		frame->partial = is_partial(frame, at, end, frame->packet_length - sizeof(*ip), 0);
}

/* What must fit the way out, bridged and routed. */
static __always_inline __u32 bridged_length(const struct frame *frame)
{
	return frame->segment_length != 0 ? frame->segment_length : frame->length - frame->network_offset;
}

static __always_inline __u32 routed_length(const struct frame *frame)
{
	return frame->segment_length != 0 ? frame->segment_length : frame->packet_length;
}

#define TAG_PRIORITY(tci) ((tci) >> 13 & 7)
/* Set in the tag that stands beside a frame, if there is one. */
#define TAG_BESIDE (1u << 16)

/*
 * -1, or the reason why this frame cannot be understood. `length` is that of the whole frame, of which the headers are before `end`;
 * `beside` is a tag that does not stand in it, with TAG_BESIDE, or 0.
 */
static __always_inline int read_frame(struct frame *frame, const __u8 *data, const __u8 *end, __u32 length,
				      __u32 beside, __u32 mode)
{
	struct dp_match *match = &frame->match;
	const __u8 *at = data + 14;
	__u32 outer;

	__builtin_memset(frame, 0, sizeof(*frame));
	frame->length = length;
	frame->unroutable = -1;
	if (at > end)
		return REASON_SHORT;
	frame->destination_mac = mac_of(data);
	frame->source_mac = mac_of(data + 6);
	frame->ethertype = data[12] << 8 | data[13];
	frame->network_offset = 14;
	outer = frame->ethertype;
	if (beside != 0) {
		outer = ETHERTYPE_VLAN;
		frame->tci = beside;
	} else if (outer == ETHERTYPE_VLAN) {
		if (at + 4 > end)
			return REASON_SHORT;
		frame->tci = at[0] << 8 | at[1];
		frame->ethertype = at[2] << 8 | at[3];
		frame->network_offset = 18;
		at += 4;
	}
	if (frame->ethertype == ETHERTYPE_VLAN || frame->ethertype == ETHERTYPE_SERVICE_VLAN)
		return REASON_TAG;
	if (outer == ETHERTYPE_VLAN) {
		if ((frame->tci & 0xfff) == 0 || (frame->tci & 0xfff) == 0xfff)
			return REASON_TAG;
		match->has = DP_HAS_TAG;
		match->vlan = frame->tci & 0xfff;
		match->flags = TAG_PRIORITY(frame->tci) << 16;
	}
	if (frame->ethertype < ETHERTYPE_MIN)
		return REASON_LLC;
	match->ethertypes = outer << 16 | frame->ethertype;
	match->source_mac_high = frame->source_mac >> 32;
	match->source_mac_low = frame->source_mac;
	match->destination_mac_high = frame->destination_mac >> 32;
	match->destination_mac_low = frame->destination_mac;
	if (frame->ethertype == ETHERTYPE_IPV4)
		read_ipv4(frame, at, end, mode);
	else if (frame->ethertype == ETHERTYPE_IPV6)
		read_ipv6(frame, at, end, mode);
	else
		frame->unroutable = REASON_NOT_IP;
	return -1;
}

#endif
