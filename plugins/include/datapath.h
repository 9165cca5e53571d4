/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 OR BSD-2-Clause */
/*
 * Rows of the tables of the XDP data path (bpf/datapath.bpf.c), for the data path itself and for plugins that fill them
 * through the device `tables`. docs/xdp.md says what each table does.
 *
 * A row is its key, then its value; all of it is 32-bit words. Addresses in keys and in rules are in network byte order,
 * everything else in the machine's. Where a value has 64 bits it stands at a multiple of 8 bytes. The first word of a value is a
 * handle that the data path only hands to its counters: a row is counted at the index in its lower 28 bits.
 */
#ifndef DATAPATH_H
#define DATAPATH_H

#ifndef __bpf__
#include <stdint.h>
#endif

#define DP_INDEX(handle) ((handle) & 0x0fffffffu)

/* Where a word names a row of another table: none. */
#define DP_NONE 0xffffffffu

enum { DP_FORWARD, DP_TRAP, DP_DROP };

/* Table `ports`, by index. */
enum {
	DP_PORT_UP = 1 << 0,
	DP_PORT_CARRIER = 1 << 1,
	DP_PORT_BRIDGE_FORWARDING = 1 << 2,
	DP_PORT_LEARNING = 1 << 3,
	DP_PORT_TRAP_ALL = 1 << 4,
	/* It is in some VLAN: its bridge filters. */
	DP_PORT_IN_VLAN = 1 << 5,
};

struct dp_port {
	uint32_t handle;
	/* 0: no port. */
	uint32_t ifindex;
	uint32_t mtu;
	uint32_t bridge;
	uint32_t flags;
	/* Its only pvid, 0 for none. */
	uint32_t pvid;
	uint64_t mac;
};

/* Table `interfaces`, by index. */
enum {
	DP_INTERFACE_IPV4 = 1 << 0,
	DP_INTERFACE_IPV6 = 1 << 1,
	DP_INTERFACE_LOOSE = 1 << 2,
	DP_INTERFACE_STRICT = 1 << 3,
	/* Flows are looked for. */
	DP_INTERFACE_FLOWS4 = 1 << 4,
	DP_INTERFACE_FLOWS6 = 1 << 5,
};

struct dp_interface {
	uint32_t handle;
	uint32_t port;
	uint32_t ifindex;
	uint32_t vrf;
	uint32_t mtu;
	uint32_t flags;
	uint64_t mac;
	uint32_t vlan;
	uint32_t unused;
};

/* Table `interfaces_at`: which interface a frame of a port and VLAN (0: untagged) belongs to. */
struct dp_interface_key {
	uint32_t port;
	uint32_t vlan;
};

struct dp_interface_at {
	uint32_t interface;
};

/* Table `nexthops`, by index. */
struct dp_nexthop {
	uint32_t handle;
	uint32_t ifindex;
	/* All that decides where a packet leaves and to whom, in one word of 64 bits, so that it changes as one. */
	uint64_t way;
	uint32_t family;
	uint32_t unused;
	uint32_t gateway[4];
};

/* From the top: index of the interface (14 bits, DP_WAY_NONE for none), action (2), destination MAC (48). */
#define DP_WAY_NONE 0x3fffu
#define DP_WAY(mac, action, interface) ((uint64_t)(mac) | (uint64_t)(action) << 48 | (uint64_t)(interface) << 50)
#define DP_WAY_MAC(way) ((way) & 0xffffffffffffull)
#define DP_WAY_ACTION(way) ((uint32_t)((way) >> 48) & 3)
#define DP_WAY_INTERFACE(way) ((uint32_t)((way) >> 50))

/* Table `groups`, by index. A flow whose hash, scaled to 0..total-1, is below `end` and not below that of the member before
 * leaves by `nexthop`. */
#define DP_MEMBERS 64

struct dp_member {
	uint32_t nexthop;
	uint32_t end;
};

struct dp_group {
	uint32_t handle;
	uint32_t id;
	uint32_t count;
	uint32_t total;
	struct dp_member members[DP_MEMBERS];
};

/* Tables `routes4` and `routes6`: longest prefix. `bits` counts from `vrf` on. */
struct dp_route4_key {
	uint32_t bits;
	uint32_t vrf;
	uint32_t address;
};

struct dp_route6_key {
	uint32_t bits;
	uint32_t vrf;
	uint32_t address[4];
};

struct dp_route {
	uint32_t handle;
	uint32_t action;
	uint32_t group;
	/* Of the prefix. */
	uint32_t length;
};

/* Table `vlans`. */
enum { DP_VLAN_PVID = 1 << 0, DP_VLAN_UNTAGGED = 1 << 1 };

struct dp_vlan_key {
	uint32_t bridge;
	uint32_t vlan;
	uint32_t port;
};

struct dp_vlan {
	uint32_t handle;
	uint32_t flags;
};

/* Table `fdb_entries`. */
struct dp_fdb_key {
	uint32_t bridge;
	uint32_t vlan;
	uint32_t mac_high;
	uint32_t mac_low;
};

struct dp_fdb {
	uint32_t handle;
	uint32_t action;
	uint32_t port;
};

/* Table `flows`: one direction of a connection, as its packets arrive. Of IPv4 addresses the last word counts, the others are 0. */
struct dp_flow_key {
	uint32_t vrf;
	/* Lower 8 bits: protocol; then the family. */
	uint32_t kind;
	/* Upper half: source. */
	uint32_t ports;
	uint32_t source[4];
	uint32_t destination[4];
};

#define DP_FLOW_KIND(family, protocol) ((uint32_t)(family) << 8 | (protocol))

/* Flags of flows. */
enum {
	/* Addresses or ports differ from the key. */
	DP_FLOW_TRANSLATES = 1 << 0,
	/* The kernel sees by its counters that it is in use. */
	DP_FLOW_POLLED = 1 << 1,
};

struct dp_flow {
	uint32_t handle;
	/* DP_FLOW_* */
	uint32_t flags;
	uint32_t new_source[4];
	uint32_t new_destination[4];
	uint32_t new_ports;
	/* Kept by the data path. Nexthop it leaves by, DP_NONE before the first packet. */
	uint32_t nexthop;
	/* CLOCK_MONOTONIC in ns when the kernel was last given a packet, and when the flow was seen to end; 0 for never. */
	uint64_t refreshed;
	uint64_t ended;
};

/* Table `tunnels`, by index: a VXLAN link in a bridge. */
enum {
	DP_TUNNEL_FORWARDING = 1 << 0,
	DP_TUNNEL_LEARNING = 1 << 1,
	DP_TUNNEL_LEARNS_ADDRESSES = 1 << 2,
	DP_TUNNEL_CHECKSUM = 1 << 3,
	DP_TUNNEL_INHERIT_TTL = 1 << 4,
	DP_TUNNEL_INHERIT_TOS = 1 << 5,
	DP_TUNNEL_DF = 1 << 6,
	DP_TUNNEL_INHERIT_DF = 1 << 7,
};

struct dp_tunnel {
	uint32_t handle;
	uint32_t ifindex;
	uint32_t bridge;
	uint32_t vlan;
	uint32_t vni;
	uint32_t flags;
	uint64_t mac;
	/* Network byte order. */
	uint32_t local;
	uint32_t port;
	/* Of the source port: upper half low, lower half high end. */
	uint32_t source_ports;
	/* Upper half TTL, lower half TOS. */
	uint32_t hops;
	uint32_t mtu;
	uint32_t link;
};

/* Table `tunnels_at`: whose packets these are. */
struct dp_tunnel_key {
	uint32_t local;
	uint32_t vni;
	uint32_t port;
};

struct dp_tunnel_at {
	uint32_t tunnel;
};

/* Table `remotes`, by struct dp_fdb_key. */
struct dp_remote {
	uint32_t handle;
	uint32_t tunnel;
	/* Network byte order. */
	uint32_t address;
};

/*
 * Table `multicast_groups`. Addresses in network byte order, of IPv4 in the last word; a MAC stands in the last two, upper 16 bits first, in the
 * machine's.
 */
enum { DP_GROUP_MAC, DP_GROUP_IPV4, DP_GROUP_IPV6 };
#define DP_GROUP_PORTS 32

struct dp_multicast_key {
	uint32_t bridge;
	/* Upper half: family. */
	uint32_t vlan;
	uint32_t address[4];
};

#define DP_GROUP_VLAN(family, vlan) ((uint32_t)(family) << 16 | (vlan))

struct dp_multicast {
	uint32_t handle;
	uint32_t count;
	/* Indexes. */
	uint32_t ports[DP_GROUP_PORTS];
};

/*
 * Rules. Table `acl_rules` keeps them as they were given, for reading back only: `words` are the record of wit/types.wit. What
 * frames are matched against is made from them, for one of two generations: masks in `acl_masks` by generation × DP_MASKS, in the
 * order of the lowest priority below each, and in `acl_keys` what a rule says under its mask. Table `acl_state`
 * says which generation counts; it is one word, so frames meet all of the old rules or all of the new.
 */
#define DP_MASKS 64
#define DP_RULE_WORDS 60

enum { DP_STAGE_INGRESS, DP_STAGE_ROUTING };
enum { DP_ACL_ACCEPT, DP_ACL_DROP, DP_ACL_TRAP, DP_ACL_REDIRECT };

struct dp_acl_rule {
	uint32_t handle;
	uint32_t words[DP_RULE_WORDS];
};

/* What a frame is, for rules. Fields that it does not have are 0, and `has` says which it has. */
enum {
	DP_HAS_TAG = 1 << 0,
	DP_HAS_IPV4 = 1 << 1,
	DP_HAS_IPV6 = 1 << 2,
	DP_HAS_PORTS = 1 << 3,
	DP_HAS_TCP = 1 << 4,
	DP_HAS_ICMP = 1 << 5,
	/* A fragment, or extension headers that may say it is one. */
	DP_HAS_FRAGMENT = 1 << 6,
};

struct dp_match {
	uint32_t port;
	uint32_t has;
	uint32_t source_mac_high, source_mac_low;
	uint32_t destination_mac_high, destination_mac_low;
	/* Upper half: of the frame's outermost header; lower: behind the tag, if there is one. */
	uint32_t ethertypes;
	uint32_t vlan;
	uint32_t source[4];
	uint32_t destination[4];
	/* Upper half: source. */
	uint32_t ports;
	/* From the top: protocol, DSCP, ICMP type, ICMP code. */
	uint32_t kinds;
	/* Upper half: priority of the tag; lower: TCP flags. */
	uint32_t flags;
};

struct dp_acl_mask {
	/* Lowest priority of the rules under it. */
	uint32_t priority;
	uint32_t stage;
	struct dp_match bits;
};

struct dp_acl_key {
	/* Index of the mask in `acl_masks`. */
	uint32_t mask;
	struct dp_match match;
};

struct dp_acl {
	uint32_t handle;
	uint32_t priority;
	/* DP_ACL_DOES */
	uint32_t action;
	uint32_t port;
};

/* Lower 7 bits: DP_ACL_…; then DP_ACL_COUNTS; above them the row of `acl_edits` plus one, 0 for none. */
#define DP_ACL_DOES(action, edits) ((uint32_t)(action) | (uint32_t)(edits) << 8)
#define DP_ACL_ACTION(word) ((word) & 0x7fu)
/* What goes on to the kernel counts for the rule, too: with DP_ACL_ACCEPT and DP_ACL_TRAP. */
#define DP_ACL_COUNTS 0x80u
#define DP_ACL_EDITS(word) ((word) >> 8)

/* Table `acl_edits`: what a rule changes before the frame leaves, its copy and its rate; half of the rows for each generation. The bits are `acl-edits` of
 * wit/types.wit. */
enum {
	DP_EDIT_VLAN_POP = 1 << 0,
	DP_EDIT_VLAN_PUSH = 1 << 1,
	DP_EDIT_VLAN_MODIFY = 1 << 2,
	DP_EDIT_SOURCE_MAC = 1 << 3,
	DP_EDIT_DESTINATION_MAC = 1 << 4,
	DP_EDIT_TTL = 1 << 5,
	DP_EDIT_TTL_ADD = 1 << 6,
	DP_EDIT_SOURCE = 1 << 7,
	DP_EDIT_DESTINATION = 1 << 8,
	DP_EDIT_SOURCE_PORT = 1 << 9,
	DP_EDIT_DESTINATION_PORT = 1 << 10,
	DP_EDIT_MIRROR = 1 << 11,
	DP_EDIT_MIRROR_TRAPPED = 1 << 12,
	DP_EDIT_POLICE = 1 << 14,
	DP_EDIT_POLICE_PACKETS = 1 << 15,
	DP_EDIT_POLICE_TRAPPED = 1 << 16,
};

/* Those that change nothing in the packet. */
#define DP_EDIT_BESIDES                                                                                               \
	(DP_EDIT_MIRROR | DP_EDIT_MIRROR_TRAPPED | DP_EDIT_POLICE | DP_EDIT_POLICE_PACKETS | DP_EDIT_POLICE_TRAPPED)

struct dp_edit {
	uint32_t handle;
	/* DP_EDIT_… */
	uint32_t edits;
	/* 0: IPv4, 1: IPv6. */
	uint32_t family;
	/* Upper 16 bits: priority of the new tag; lower: its VLAN. */
	uint32_t tag;
	uint64_t source_mac;
	uint64_t destination_mac;
	uint32_t ttl;
	/* Upper half: source. */
	uint32_t ports;
	uint32_t source[4];
	uint32_t destination[4];
	/* With DP_EDIT_MIRROR: index of the port that copies leave by. */
	uint32_t mirror;
	/* With DP_EDIT_POLICE: number; bytes or packets a second; nanoseconds in which the bucket fills; largest frame; least bytes that a packet
	 * takes; row of the bucket. */
	uint32_t police;
	uint64_t police_rate;
	uint64_t police_burst;
	uint32_t police_mtu;
	uint32_t police_minimum;
	uint32_t bucket;
	uint32_t unused;
};

/* Table `acl_buckets`: CLOCK_MONOTONIC in ns up to which what passed has used its rate. Kept by the data path; all zeros in a full one. */
struct dp_bucket {
	uint64_t due;
};

/* Lower 8 bits: which generation (0 or 1); the next 8: masks in use; then flags. */
#define DP_ACL_STATE(generation, masks, flags) ((generation) | (masks) << 8 | (flags) << 16)
enum {
	/* Some rule looks behind the IP header. */
	DP_ACL_PORTS = 1 << 0,
	DP_ACL_INGRESS = 1 << 1,
	DP_ACL_ROUTING = 1 << 2,
};

struct dp_acl_state {
	uint32_t state;
};

/*
 * Table `meters`: longest prefix. Frames with an address in the prefix, as destination or as source, that come faster than `rate` (bit/s)
 * by more than `burst` (bytes) are dropped and counted. The scope is in network byte order, as is the address; that of IPv4 is in the first
 * word. `bits` counts from `scope` on.
 */
enum { DP_METER_DESTINATION, DP_METER_SOURCE };
#define DP_METER_SCOPE(family, direction) ((uint32_t)(family) << 8 | (direction))

struct dp_meter_key {
	uint32_t bits;
	uint32_t scope;
	uint32_t address[4];
};

struct dp_meter {
	uint32_t handle;
	uint32_t burst;
	uint32_t rate_low, rate_high;
};

/* Table `meter_states`, by index of the meter's handle: CLOCK_MONOTONIC in ns up to which what passed has used its rate. Kept by the data
 * path; all zeros when a meter begins. */
struct dp_meter_state {
	uint64_t due;
};

/* Table `samples`, by index of the port: one frame in `every` is told to the host, for a collector. */
struct dp_sample {
	uint32_t handle;
	uint32_t every;
	uint32_t udp_port;
	uint32_t family;
	/* In network byte order; that of IPv4 in the last word. */
	uint32_t collector[4];
};

/* Table `custom_state`, one row: what there is of the two. */
enum {
	DP_CUSTOM_METERS = 1 << 0,
	DP_CUSTOM_SAMPLES = 1 << 1,
};

struct dp_custom_state {
	uint32_t flags;
};

/* Tables `…_counts`, by index of the handle: read as one row, however many CPUs count. */
struct dp_count {
	uint64_t packets;
	/* Of whole frames. */
	uint64_t bytes;
	/* CLOCK_MONOTONIC, ns. */
	uint64_t last_used;
};

#endif
