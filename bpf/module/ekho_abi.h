/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the module and firmware programs share: contexts of calls, flat and
 * without pointers, so that a program copies one in a single read and passes it
 * on to user space as it is. Fields are only ever added at the end of a struct;
 * what cannot be said that way counts EKHO_ABI_VERSION up.
 */
#ifndef EKHO_ABI_H
#define EKHO_ABI_H

#include <linux/types.h>

#define EKHO_ABI_VERSION 1
#define EKHO_ACTIONS_MAX 32
#define EKHO_NAME_LEN 16

/* Where a rule comes from. */
enum ekho_flow_kind {
	EKHO_FLOW_FLOWER = 1,
	EKHO_FLOW_MATCHALL = 2,
	EKHO_FLOW_FLOWTABLE = 3,
	/* An action of tc by itself, for several rules: of no port. */
	EKHO_FLOW_ACTION = 4,
};

enum ekho_direction {
	EKHO_INGRESS = 1,
	EKHO_EGRESS = 2,
};

/* Flags of a call. */
enum ekho_flow_flags {
	/* The rule is known to the kernel for long: the firmware is new. */
	EKHO_FLOW_REPLAY = 1 << 0,
	/* The rule stays in the kernel: the firmware goes. */
	EKHO_FLOW_DETACH = 1 << 1,
	/* The firmware has this rule already, perhaps with other actions. */
	EKHO_FLOW_KNOWN = 1 << 2,
	/* The filter's block is shared with other ports. */
	EKHO_FLOW_SHARED = 1 << 3,
	/* RTNL is held: waiting for user space stalls the whole machine. */
	EKHO_FLOW_RTNL = 1 << 4,
};

/* Which members of struct ekho_flow_match hold something. */
enum ekho_match_keys {
	EKHO_MATCH_PORT = 1 << 0,
	EKHO_MATCH_FRAGMENT = 1 << 1,
	EKHO_MATCH_PROTOCOL = 1 << 2,
	EKHO_MATCH_ETHERNET = 1 << 3,
	EKHO_MATCH_VLAN = 1 << 4,
	EKHO_MATCH_CVLAN = 1 << 5,
	EKHO_MATCH_IPV4 = 1 << 6,
	EKHO_MATCH_IPV6 = 1 << 7,
	EKHO_MATCH_PORTS = 1 << 8,
	EKHO_MATCH_PORT_RANGE = 1 << 9,
	EKHO_MATCH_TCP = 1 << 10,
	EKHO_MATCH_IP = 1 << 11,
	EKHO_MATCH_ICMP = 1 << 12,
	EKHO_MATCH_ARP = 1 << 13,
	EKHO_MATCH_CT = 1 << 14,
	EKHO_MATCH_TUNNEL = 1 << 15,
};

/* vlan[0] is the outer tag. Of ids and priorities the tag's bits count. */
struct ekho_vlan_match {
	__be16 tpid, tpid_mask;
	__u16 id, id_mask;
	__u8 priority, priority_mask;
	__u16 unused;
};

/* Of the outer packet. */
enum ekho_tunnel_header_flags {
	EKHO_TUNNEL_HAS_CHECKSUM = 1 << 0,
	EKHO_TUNNEL_DONT_FRAGMENT = 1 << 1,
	EKHO_TUNNEL_OAM = 1 << 2,
	EKHO_TUNNEL_CRITICAL = 1 << 3,
};

/* The tunnel a packet came out of. */
struct ekho_tunnel_match {
	__be32 key, key_mask;
	__be32 source[4], source_mask[4];
	__be32 destination[4], destination_mask[4];
	__be16 source_port, source_port_mask;
	__be16 destination_port, destination_port_mask;
	__u8 tos, tos_mask, ttl, ttl_mask;
	/* 4 or 6, or 0 if no address is matched */
	__u16 family;
	/* enum ekho_tunnel_header_flags */
	__u8 flags, flags_mask;
};

/*
 * Big-endian fields are as in packets. IPv4 addresses are the first of four
 * words.
 */
struct ekho_flow_match {
	__u32 keys;
	/* Ingress port of a shared or egress rule. */
	__u32 ifindex, ifindex_mask;
	/* 1: a fragment, 2: the first one */
	__u32 fragment, fragment_mask;
	__be16 protocol, protocol_mask;
	__u8 ip_protocol, ip_protocol_mask;
	__u8 tos, tos_mask, ttl, ttl_mask;
	__u8 source_mac[6], source_mac_mask[6];
	__u8 destination_mac[6], destination_mac_mask[6];
	struct ekho_vlan_match vlan[2];
	__be32 source[4], source_mask[4];
	__be32 destination[4], destination_mask[4];
	__be16 source_port, source_port_mask;
	__be16 destination_port, destination_port_mask;
	__be16 source_port_min, source_port_max;
	__be16 destination_port_min, destination_port_max;
	__be16 tcp_flags, tcp_flags_mask;
	__u8 icmp_type, icmp_type_mask, icmp_code, icmp_code_mask;
	__be32 arp_source, arp_source_mask, arp_target, arp_target_mask;
	__u8 arp_sender_mac[6], arp_sender_mac_mask[6];
	__u8 arp_target_mac[6], arp_target_mac_mask[6];
	__u8 arp_operation, arp_operation_mask;
	__u16 ct_state, ct_state_mask;
	__u16 ct_zone, ct_zone_mask;
	__u16 unused;
	__u32 ct_mark, ct_mark_mask;
	__u32 ct_labels[4], ct_labels_mask[4];
	struct ekho_tunnel_match tunnel;
};

enum ekho_action_kind {
	EKHO_ACTION_ACCEPT = 1,
	EKHO_ACTION_DROP,
	EKHO_ACTION_TRAP,
	EKHO_ACTION_GOTO,
	EKHO_ACTION_REDIRECT,
	EKHO_ACTION_MIRROR,
	EKHO_ACTION_REDIRECT_INGRESS,
	EKHO_ACTION_MIRROR_INGRESS,
	EKHO_ACTION_VLAN_PUSH,
	EKHO_ACTION_VLAN_POP,
	EKHO_ACTION_VLAN_MODIFY,
	EKHO_ACTION_TUNNEL_SET,
	EKHO_ACTION_TUNNEL_UNSET,
	EKHO_ACTION_SET,
	EKHO_ACTION_ADD,
	EKHO_ACTION_CHECKSUM,
	EKHO_ACTION_MARK,
	EKHO_ACTION_PACKET_TYPE,
	EKHO_ACTION_PRIORITY,
	EKHO_ACTION_SAMPLE,
	EKHO_ACTION_POLICE,
};

struct ekho_flow_action {
	/* enum ekho_action_kind */
	__u32 kind;
	/* tc's index of the action, which rules may share */
	__u32 index;
	union {
		__u32 chain;
		/* redirect, mirror */
		__u32 ifindex;
		struct {
			__be16 tpid;
			__u16 id;
			__u8 priority;
		} vlan;
		/* 1: IPv4, 2: IPv6 */
		struct {
			__be64 key;
			__be32 source[4], destination[4];
			__be16 destination_port;
			__u8 tos, ttl;
			__u16 family;
			/* enum ekho_tunnel_header_flags: what the outer packet gets */
			__u8 flags, unused;
		} tunnel;
		/* set, add: enum flow_action_mangle_base; bits of mask stay */
		struct {
			__u32 header, offset, mask, value;
		} edit;
		/* TCA_CSUM_UPDATE_FLAG_… */
		__u32 checksums;
		__u32 mark;
		__u32 packet_type;
		__u32 priority;
		struct {
			__u32 group, rate, truncate;
		} sample;
		/* bytes and packets a second, 0 for no limit */
		struct {
			__u64 bytes, packets, burst;
			/* enum ekho_action_kind of packets above the rate, and of others, 0 for the next action */
			__u32 exceed, conform;
		} police;
	};
};

enum ekho_tunnel_kind {
	EKHO_TUNNEL_VXLAN = 1,
};

enum ekho_tunnel_flags {
	/* The link is of many tunnels: its rules match their keys. */
	EKHO_TUNNEL_EXTERNAL = 1 << 0,
};

/* The link of a tunnel. */
struct ekho_tunnel {
	/* enum ekho_tunnel_kind, 0 for none */
	__u16 kind;
	/* UDP port it listens on */
	__be16 port;
	/* VNI, unless it is of many */
	__be32 key;
	/* enum ekho_tunnel_flags */
	__u32 flags;
	__u32 unused;
};

/* A rule, as every call about it sees it. */
struct ekho_flow_ctx {
	/* EKHO_ABI_VERSION, and how many bytes the module filled */
	__u32 version, size;
	/* Of the rule while it lives, and never used again. */
	__u64 id;
	/* Of this call: what ekho_request_complete() names. */
	__u64 request;
	/* Inode of the port's network namespace, and the port's index in it, or 0. */
	__u32 netns, ifindex;
	/* enum ekho_flow_kind; enum ekho_direction, or 0; enum ekho_flow_flags */
	__u32 kind, direction, flags;
	/* The lower preference is looked at first. */
	__u32 chain, preference;
	__be16 protocol;
	__u16 unused;
	/* What the kernel has been told that hardware counted. */
	__u64 packets, bytes, drops;
	struct ekho_flow_match match;
	__u32 action_count;
	struct ekho_flow_action actions[EKHO_ACTIONS_MAX];
	/* The link with that index is one of a tunnel, if there is a kind. */
	struct ekho_tunnel tunnel;
};

/* More flags of calls about bridges, beside enum ekho_flow_flags. */
enum ekho_bridge_call_flags {
	/* An entry that was not learned. */
	EKHO_BRIDGE_STATIC = 1 << 8,
	/* It is for the bridge itself: VLANs and groups. */
	EKHO_BRIDGE_HOST = 1 << 9,
	/* An entry of a locked port that admits nobody yet. */
	EKHO_BRIDGE_LOCKED = 1 << 10,
};

/* What a bridge has to say about one of its ports. */
enum ekho_port_attr {
	/* Index of the bridge, 0 when the port has left it. */
	EKHO_PORT_BRIDGE = 0,
	/* BR_STATE_... of linux/if_bridge.h */
	EKHO_PORT_STP_STATE = 1,
	/* enum ekho_port_flags */
	EKHO_PORT_FLAGS = 2,
	/* Milliseconds. */
	EKHO_PORT_AGEING_TIME = 3,
	EKHO_PORT_VLAN_FILTERING = 4,
	/* An Ethernet type, as the machine counts. */
	EKHO_PORT_VLAN_PROTOCOL = 5,
	/* Groups are not snooped. */
	EKHO_PORT_NO_SNOOPING = 6,
	/* A router for groups is behind the port. */
	EKHO_PORT_MROUTER = 7,
};

#define EKHO_PORT_ATTRS (EKHO_PORT_MROUTER + 1)

enum ekho_port_flags {
	EKHO_BRIDGE_LEARNS = 1 << 0,
	EKHO_BRIDGE_FLOODS = 1 << 1,
	EKHO_BRIDGE_FLOODS_GROUPS = 1 << 2,
	EKHO_BRIDGE_FLOODS_BROADCAST = 1 << 3,
	EKHO_BRIDGE_HAIRPIN = 1 << 4,
	EKHO_BRIDGE_ISOLATED = 1 << 5,
	EKHO_BRIDGE_TO_UNICAST = 1 << 6,
	/* Sources that the bridge has no entry of are dropped. */
	EKHO_BRIDGE_ADMITS_KNOWN = 1 << 7,
	EKHO_BRIDGE_ALL_FLAGS = 255,
};

/* A call about a port of a bridge. */
struct ekho_bridge_ctx {
	/* EKHO_ABI_VERSION, and how many bytes the module filled */
	__u32 version, size;
	/* Inode of the port's network namespace, indexes of port and bridge. */
	__u32 netns, ifindex, bridge;
	/* enum ekho_flow_flags, enum ekho_bridge_call_flags */
	__u32 flags;
	/* Of entries and groups. */
	__u8 mac[6];
	/* 0 for none */
	__u16 vlan;
	/* BRIDGE_VLAN_INFO_... of linux/if_bridge.h */
	__u16 vlan_flags;
	__u16 unused;
	/* enum ekho_port_attr, and which bits of its value were ever set */
	__u32 attr, value, mask;
};

/* Longest that calls tell of: routes and groups of more ways are software's. */
#define EKHO_WAYS_MAX 128

enum ekho_way_flags {
	/* Packets are dropped. */
	EKHO_WAY_BLACKHOLE = 1 << 0,
	/* An entry of a bridge or a tunnel, not a neighbour. */
	EKHO_WAY_FDB = 1 << 1,
	/* Packets are put into a tunnel or get labels. */
	EKHO_WAY_ENCAP = 1 << 2,
	/* The gateway needs no route. */
	EKHO_WAY_ONLINK = 1 << 3,
	/* The link is down, or has no carrier. */
	EKHO_WAY_DEAD = 1 << 4,
};

/* A way out, of a route or a nexthop object. */
struct ekho_way {
	/* Of the nexthop object, 0 for none. */
	__u32 id;
	__u32 ifindex;
	/* From 1 on; 0 in buckets. */
	__u32 weight;
	/* enum ekho_way_flags */
	__u16 flags;
	/* 4 or 6, or 0 without a gateway; IPv4 is the first of four words. */
	__u16 family;
	__be32 gateway[4];
};

/* More flags of calls about routes, beside enum ekho_flow_flags. */
enum ekho_route_flags {
	/* It has metrics of its own: an MTU. */
	EKHO_ROUTE_MTU = 1 << 8,
};

/* A route: of each prefix and table the one that counts. */
struct ekho_route_ctx {
	/* EKHO_ABI_VERSION, and how many bytes the module filled */
	__u32 version, size;
	/* Of the prefix while it has a route, and never used again. */
	__u64 id;
	/* Inode of the switch's network namespace. */
	__u32 netns;
	__u32 table, metric;
	/* enum ekho_flow_flags, enum ekho_route_flags */
	__u32 flags;
	/* 4 or 6, length of the prefix, RTN_..., and DSCP with ECN bits 0 */
	__u8 family, length, type, tos;
	/* What it does, as in struct ekho_mark. */
	__u32 check;
	__be32 address[4];
	/* Of the nexthop object; then no ways are told. */
	__u32 nexthop;
	__u32 way_count;
	struct ekho_way ways[EKHO_WAYS_MAX];
};

enum ekho_nexthop_kind {
	EKHO_NEXTHOP_SINGLE = 1,
	EKHO_NEXTHOP_GROUP = 2,
	/* A group with a table of buckets. */
	EKHO_NEXTHOP_RESILIENT = 3,
};

/* A nexthop object. */
struct ekho_nexthop_ctx {
	/* EKHO_ABI_VERSION, and how many bytes the module filled */
	__u32 version, size;
	/* Inode of the switch's network namespace, and the kernel's id. */
	__u32 netns, id;
	/* enum ekho_nexthop_kind, enum ekho_flow_flags */
	__u32 kind, flags;
	/* Of a resilient group: which bucket, in calls about one. */
	__u32 bucket;
	/* Of a resilient group: buckets. */
	__u32 way_count;
	/* Of a resilient group: only the first, of that bucket. */
	struct ekho_way ways[EKHO_WAYS_MAX];
};

/* What is marked, and which of it. */
enum ekho_mark_kind {
	/* place: table, number: metric, address and length: prefix */
	EKHO_MARK_ROUTE4 = 1,
	EKHO_MARK_ROUTE6 = 2,
	/* place: id */
	EKHO_MARK_NEXTHOP = 3,
	/* place: id of the resilient group, number: index of the bucket */
	EKHO_MARK_BUCKET = 4,
	/* place: ifindex of the bridge port, number: VLAN or 0, address: MAC */
	EKHO_MARK_FDB = 5,
	/*
	 * The same, learned by hardware; without flags it has aged there. Only
	 * where the bridge has none from others.
	 */
	EKHO_MARK_FDB_LEARNED = 6,
};

enum ekho_mark_flags {
	EKHO_MARK_OFFLOADED = 1 << 0,
	/* Hardware hands its packets to the kernel. Routes and nexthops. */
	EKHO_MARK_TRAPPED = 1 << 1,
	/* Routes. */
	EKHO_MARK_FAILED = 1 << 2,
	EKHO_MARK_ALL = 7,
};

enum ekho_marks_flags {
	/* The kernel goes on to show the marks when the file is closed. */
	EKHO_MARKS_KEEP = 1 << 0,
};

/* One of the array that ekho_marks_set() takes. */
struct ekho_mark {
	/* enum ekho_mark_kind, enum ekho_mark_flags */
	__u8 kind, flags;
	__u8 length;
	__u8 unused;
	__u32 place, number;
	union {
		/* Of a route: what it does (check.c), 0 for any. */
		__u32 check;
		/* What became of it: 0 or a negative errno. */
		__s32 result;
	};
	__u8 address[16];
};

#endif
