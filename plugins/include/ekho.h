/*
 * Writing a plugin in C: include this file; in one source file define EKHO_IMPLEMENT before. Implement every function
 * under "What a plugin implements". Generated from wit/ by host/plugin/generate.ts; do not edit.
 *
 * Memory. What the host passes lies in an arena that is emptied when the call returns: copy what you keep. Results may lie
 * in the arena (ekho_alloc), in memory that stays (ekho_keep) or in your own static memory. Lists that a device
 * function returns lie in the arena too; ekho_mark and ekho_release give them back earlier. There is no libc.
 */
#ifndef EKHO_H
#define EKHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Not terminated by a zero byte. */
typedef struct { const char *bytes; uint32_t length; } ekho_string;

#define EKHO_STRING(literal) ((ekho_string){(literal), sizeof(literal) - 1})

/* Uninitialised, aligned to 8 bytes, valid until the call into the plugin returns. Traps when memory runs out. */
void *ekho_alloc(size_t size);
/* Zeroed, aligned to 8 bytes, never given back. Whole pages of 64 KiB: for tables, not for single entries. */
void *ekho_keep(size_t size);
/* The arena as it is now, and back to that. */
size_t ekho_mark(void);
void ekho_release(size_t mark);

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

/* Names one planned entry for as long as it is planned. The upper 4 bits are its `kind` plus one, the lower 28 an index from
 * 0 to one below the capacity that the plugin declared for the kind, so that arrays may be sized by it. An index is given
 * again once its entry was removed. 0 means "none". */
typedef uint32_t ekho_handle;

/* The kinds of entry, in dependency order: an entry refers only to entries of kinds before its own. */
typedef uint8_t ekho_kind;
enum {
  EKHO_KIND_PORT = 0,
  EKHO_KIND_ROUTER_INTERFACE = 1,
  EKHO_KIND_NEXTHOP = 2,
  EKHO_KIND_GROUP = 3,
  EKHO_KIND_ROUTE = 4,
  EKHO_KIND_VLAN_MEMBER = 5,
  EKHO_KIND_FDB_ENTRY = 6,
  EKHO_KIND_ACL_RULE = 7,
  EKHO_KIND_FLOW = 8,
  EKHO_KIND_CUSTOM = 9,
  EKHO_KIND_TUNNEL = 10,
  EKHO_KIND_REMOTE = 11,
  EKHO_KIND_MULTICAST_GROUP = 12,
};

/* `put` adds the entry, or replaces the one that has the same handle in place: traffic that both the old and the
 * new entry would forward must not be lost in between. A put that is refused or fails leaves what was held before.
 * With `remove`, the fields are those of the entry as it was put (or read back), so that it can be found by key. */
typedef uint8_t ekho_operation;
enum {
  EKHO_OPERATION_PUT = 0,
  EKHO_OPERATION_REMOVE = 1,
};

/* What to do with a packet. `trap` hands it to the kernel unchanged, on the port it came in by. */
typedef uint8_t ekho_action;
enum {
  EKHO_ACTION_FORWARD = 0,
  EKHO_ACTION_TRAP = 1,
  EKHO_ACTION_DROP = 2,
};

typedef uint8_t ekho_family;
enum {
  EKHO_FAMILY_IPV4 = 0,
  EKHO_FAMILY_IPV6 = 1,
};

/* An IP address. IPv4: `high` is 0 and the upper half of `low` is 0. */
typedef struct {
  uint64_t high;
  uint64_t low;
} ekho_address;
_Static_assert(sizeof(ekho_address) == 16, "ekho_address");
_Static_assert(offsetof(ekho_address, low) == 8, "ekho_address.low");

typedef uint8_t ekho_port_flags;
enum {
  /* IFF_UP is set. */
  EKHO_PORT_FLAGS_ADMIN_UP = 1u << 0,
  /* The link has carrier (IFF_LOWER_UP). */
  EKHO_PORT_FLAGS_CARRIER = 1u << 1,
  /* The bridge forwards on this port (STP state forwarding). */
  EKHO_PORT_FLAGS_BRIDGE_FORWARDING = 1u << 2,
  /* The bridge learns source addresses here. */
  EKHO_PORT_FLAGS_LEARNING = 1u << 3,
  /* Hand every frame that enters here to the kernel: something on this port cannot be done in hardware. */
  EKHO_PORT_FLAGS_TRAP_ALL = 1u << 4,
};

/* A front port: a kernel link that this plugin's device owns. */
typedef struct {
  ekho_operation operation;
  ekho_handle handle;
  /* The kernel's interface index. */
  uint32_t ifindex;
  /* Bytes, without the link-layer header. */
  uint32_t mtu;
  uint64_t mac;
  /* Interface index of the bridge it is a port of, 0 for none. */
  uint32_t bridge;
  ekho_port_flags flags;
} ekho_port;
_Static_assert(sizeof(ekho_port) == 32, "ekho_port");
_Static_assert(offsetof(ekho_port, flags) == 28, "ekho_port.flags");

typedef uint8_t ekho_router_interface_flags;
enum {
  /* Route IPv4 packets that arrive here for `mac`; clear: trap them. */
  EKHO_ROUTER_INTERFACE_FLAGS_IPV4 = 1u << 0,
  /* Route IPv6 packets that arrive here for `mac`; clear: trap them. */
  EKHO_ROUTER_INTERFACE_FLAGS_IPV6 = 1u << 1,
  /* Trap IPv4 packets whose source would not be routed at all (RFC 3704 loose mode). */
  EKHO_ROUTER_INTERFACE_FLAGS_REVERSE_PATH_LOOSE = 1u << 2,
  /* Trap IPv4 packets whose source would not be routed out of the interface they came in by (strict mode). */
  EKHO_ROUTER_INTERFACE_FLAGS_REVERSE_PATH_STRICT = 1u << 3,
  /* IPv4 packets that arrive here for `mac` and are of a flow are forwarded by it, even with `ipv4` clear. */
  EKHO_ROUTER_INTERFACE_FLAGS_FLOWS_IPV4 = 1u << 4,
  /* The same for IPv6. */
  EKHO_ROUTER_INTERFACE_FLAGS_FLOWS_IPV6 = 1u << 5,
};

/* Where a port (or a VLAN on it) meets routing. IPv4 packets that arrive here are trapped whatever the flags say if their source
 * has a route of full length with action `trap`: it is an address of this machine. */
typedef struct {
  ekho_operation operation;
  ekho_handle handle;
  ekho_handle port;
  /* The kernel's interface index of the layer-3 link (the port itself, or a VLAN link on it). */
  uint32_t ifindex;
  /* Routing domain: the table of the VRF, 0 for the default domain. */
  uint32_t vrf;
  uint64_t mac;
  /* Largest IP packet in bytes that may leave here; larger ones are trapped. */
  uint32_t mtu;
  /* VLAN id 1-4094, 0 for untagged. */
  uint16_t vlan;
  ekho_router_interface_flags flags;
} ekho_router_interface;
_Static_assert(sizeof(ekho_router_interface) == 40, "ekho_router_interface");
_Static_assert(offsetof(ekho_router_interface, flags) == 38, "ekho_router_interface.flags");

/* How a packet leaves: rewritten to `destination-mac` from the interface's `mac`, TTL lowered by one. */
typedef struct {
  ekho_operation operation;
  /* `trap` while the neighbour is unresolved. */
  ekho_action action;
  ekho_family family;
  ekho_handle handle;
  /* 0 when `action` is not `forward` and there is no interface of this plugin. */
  ekho_handle router_interface;
  /* The kernel's interface index of the outgoing link: part of the entry's identity. */
  uint32_t ifindex;
  ekho_address gateway;
  uint64_t destination_mac;
} ekho_nexthop;
_Static_assert(sizeof(ekho_nexthop) == 40, "ekho_nexthop");
_Static_assert(offsetof(ekho_nexthop, destination_mac) == 32, "ekho_nexthop.destination_mac");

/* One member of a group: `weight` of 1-65535 shares. Members stand in `batch.members` in one run per group. */
typedef struct {
  ekho_handle group;
  ekho_handle nexthop;
  uint32_t weight;
} ekho_member;
_Static_assert(sizeof(ekho_member) == 12, "ekho_member");
_Static_assert(offsetof(ekho_member, weight) == 8, "ekho_member.weight");

/* A set of nexthops that share load by flow (equal or weighted cost). */
typedef struct {
  ekho_operation operation;
  ekho_handle handle;
  /* The kernel's nexthop object id, or 0 for a group the host made for routes that embed their gateways. */
  uint32_t id;
  /* Where its members start in `batch.members`, and how many there are (0 with `remove`). */
  uint32_t first;
  uint32_t count;
} ekho_group;
_Static_assert(sizeof(ekho_group) == 20, "ekho_group");
_Static_assert(offsetof(ekho_group, count) == 16, "ekho_group.count");

/* Longest-prefix match in routing domain `vrf`. A packet that matches nothing is trapped. */
typedef struct {
  ekho_operation operation;
  ekho_action action;
  ekho_family family;
  /* 0-32 or 0-128. */
  uint8_t prefix_length;
  ekho_handle handle;
  uint32_t vrf;
  /* With `action` forward, else 0. */
  ekho_handle group;
  ekho_address prefix;
} ekho_route;
_Static_assert(sizeof(ekho_route) == 32, "ekho_route");
_Static_assert(offsetof(ekho_route, prefix) == 16, "ekho_route.prefix");

typedef uint8_t ekho_vlan_flags;
enum {
  EKHO_VLAN_FLAGS_PVID = 1u << 0,
  EKHO_VLAN_FLAGS_UNTAGGED = 1u << 1,
};

/* Membership of a port in a VLAN of its bridge. */
typedef struct {
  ekho_operation operation;
  ekho_vlan_flags flags;
  uint16_t vlan;
  ekho_handle handle;
  ekho_handle port;
  uint32_t bridge;
} ekho_vlan_member;
_Static_assert(sizeof(ekho_vlan_member) == 16, "ekho_vlan_member");
_Static_assert(offsetof(ekho_vlan_member, bridge) == 12, "ekho_vlan_member.bridge");

/* Layer-2 destination. A frame whose destination is not found is trapped: the kernel floods it. */
typedef struct {
  ekho_operation operation;
  ekho_action action;
  /* 0 on a bridge that does not filter VLANs. */
  uint16_t vlan;
  ekho_handle handle;
  uint32_t bridge;
  /* With `action` forward, else 0. */
  ekho_handle port;
  uint64_t mac;
} ekho_fdb_entry;
_Static_assert(sizeof(ekho_fdb_entry) == 24, "ekho_fdb_entry");
_Static_assert(offsetof(ekho_fdb_entry, mac) == 16, "ekho_fdb_entry.mac");

/* When a rule is looked at: `ingress` before bridging and routing (tc), `routing` only for packets about to be routed
 * (policy rules and netfilter chains; the action is `accept` or `trap`). */
typedef uint8_t ekho_acl_stage;
enum {
  EKHO_ACL_STAGE_INGRESS = 0,
  EKHO_ACL_STAGE_ROUTING = 1,
};

typedef uint8_t ekho_acl_action;
enum {
  /* Go on as if no rule had matched. */
  EKHO_ACL_ACTION_ACCEPT = 0,
  EKHO_ACL_ACTION_DROP = 1,
  EKHO_ACL_ACTION_TRAP = 2,
  /* Send out of `redirect-port`, with the rule's `edits`; unchanged if there are none. */
  EKHO_ACL_ACTION_REDIRECT = 3,
};

/* What a rule does with a packet besides its action: `mirror`, `police`, `count-trapped`, and with the action `redirect` what it changes before the
 * packet leaves. The checksums of the IPv4 header, TCP, UDP and ICMPv6 go with what they cover; a UDP checksum of 0 stays.
 * 
 * Rules with one of the edits from `ttl` to `destination-port` match the `ethertype` of `family`, those with an edit of ports also the
 * `protocol` TCP or UDP. Trapped instead: fragments, packets with IPv4 options or IPv6 extension headers, those whose lengths do not
 * fit, and, where an address or a port changes, those with a wrong checksum and those that are neither TCP, UDP nor ICMP. */
typedef uint32_t ekho_acl_edits;
enum {
  /* The tag is taken off, if there is one. */
  EKHO_ACL_EDITS_VLAN_POP = 1u << 0,
  /* A tag with `new-vlan` and `new-vlan-priority` is put on. A frame that has one is trapped, unless `vlan-pop` takes that off. */
  EKHO_ACL_EDITS_VLAN_PUSH = 1u << 1,
  /* The tag gets `new-vlan` and `new-vlan-priority`, if there is one; its DEI bit stays. With the priority 0 frames of another
   * priority are trapped. Never together with the two above. */
  EKHO_ACL_EDITS_VLAN_MODIFY = 1u << 2,
  EKHO_ACL_EDITS_SOURCE_MAC = 1u << 3,
  EKHO_ACL_EDITS_DESTINATION_MAC = 1u << 4,
  /* The TTL or hop limit becomes `new-ttl`. */
  EKHO_ACL_EDITS_TTL = 1u << 5,
  /* `new-ttl` is added to the TTL or hop limit, modulo 256: 255 lowers it by one. Never together with `ttl`. */
  EKHO_ACL_EDITS_TTL_ADD = 1u << 6,
  EKHO_ACL_EDITS_SOURCE_ADDRESS = 1u << 7,
  EKHO_ACL_EDITS_DESTINATION_ADDRESS = 1u << 8,
  EKHO_ACL_EDITS_SOURCE_PORT = 1u << 9,
  EKHO_ACL_EDITS_DESTINATION_PORT = 1u << 10,
  /* A copy of the packet leaves by `mirror-port`, as it came. There is none of a packet that is trapped, by whatever: the kernel makes
   * one. Not with the action `trap`. */
  EKHO_ACL_EDITS_MIRROR = 1u << 11,
  /* With `mirror`: there is a copy of a packet that is trapped, too, as the kernel makes none. */
  EKHO_ACL_EDITS_MIRROR_TRAPPED = 1u << 12,
  /* With the actions `accept` and `trap`: packets that are trapped, by whatever, count for the rule like all others that it matches, as
   * the kernel does not have the rule. Without, the kernel counts those. */
  EKHO_ACL_EDITS_COUNT_TRAPPED = 1u << 13,
  /* Packets are dropped, and counted as such, that come faster than `police-rate` by more than `police-burst`, and frames larger than
   * `police-mtu`; of what is dropped there is no copy. Packets that are trapped, by whatever, are not policed: the kernel does it. Not with
   * the action `trap`. */
  EKHO_ACL_EDITS_POLICE = 1u << 14,
  /* With `police`: its rate is of packets, not of bytes. */
  EKHO_ACL_EDITS_POLICE_PACKETS = 1u << 15,
  /* With `police`: packets that are trapped are policed, too, as the kernel does not. */
  EKHO_ACL_EDITS_POLICE_TRAPPED = 1u << 16,
};

/* Which fields of an `acl-rule` count; the others are zero. */
typedef uint16_t ekho_acl_fields;
enum {
  EKHO_ACL_FIELDS_SOURCE_MAC = 1u << 0,
  EKHO_ACL_FIELDS_DESTINATION_MAC = 1u << 1,
  EKHO_ACL_FIELDS_ETHERTYPE = 1u << 2,
  EKHO_ACL_FIELDS_VLAN = 1u << 3,
  EKHO_ACL_FIELDS_SOURCE_ADDRESS = 1u << 4,
  EKHO_ACL_FIELDS_DESTINATION_ADDRESS = 1u << 5,
  EKHO_ACL_FIELDS_PROTOCOL = 1u << 6,
  EKHO_ACL_FIELDS_DSCP = 1u << 7,
  EKHO_ACL_FIELDS_SOURCE_PORT = 1u << 8,
  EKHO_ACL_FIELDS_DESTINATION_PORT = 1u << 9,
  EKHO_ACL_FIELDS_TCP_FLAGS = 1u << 10,
  EKHO_ACL_FIELDS_ICMP_TYPE = 1u << 11,
  EKHO_ACL_FIELDS_ICMP_CODE = 1u << 12,
  /* No value: the packet is a fragment of a larger one, or may be. All are that have more fragments to come or an offset (IPv4), or a
   * fragment header (IPv6); others with IPv6 extension headers may count as some. Only with the action `trap`. */
  EKHO_ACL_FIELDS_FRAGMENT = 1u << 13,
  /* No value: the packet is no fragment, or no IP packet at all. One that may be a fragment may be trapped instead, whatever other rules
   * say of it. */
  EKHO_ACL_FIELDS_UNFRAGMENTED = 1u << 14,
  /* Of the tag. Only together with `vlan`. */
  EKHO_ACL_FIELDS_VLAN_PRIORITY = 1u << 15,
};

/* Ternary match. Rules of a stage are tried by ascending `priority`, the first match decides; no match accepts. */
typedef struct {
  ekho_operation operation;
  ekho_acl_stage stage;
  ekho_acl_action action;
  /* Counts when an address is in `fields`, or something of IP in `edits`. */
  ekho_family family;
  ekho_handle handle;
  /* Ingress port, 0 for every port. */
  ekho_handle port;
  uint32_t priority;
  ekho_handle redirect_port;
  ekho_acl_fields fields;
  /* Of the frame's outermost header: 0x8100 for a tagged frame, unless `vlan` is in `fields` too; then what the tag carries. */
  uint16_t ethertype;
  uint16_t vlan;
  uint8_t protocol;
  /* Upper 6 bits of the TOS or traffic class byte. */
  uint8_t dscp;
  uint8_t icmp_type;
  uint8_t icmp_code;
  /* Both ends included. */
  uint16_t source_port_low;
  uint16_t source_port_high;
  uint16_t destination_port_low;
  uint16_t destination_port_high;
  uint16_t tcp_flags;
  uint16_t tcp_flags_mask;
  /* 0-7. */
  uint8_t vlan_priority;
  uint64_t source_mac;
  uint64_t source_mac_mask;
  uint64_t destination_mac;
  uint64_t destination_mac_mask;
  ekho_address source_address;
  ekho_address source_mask;
  ekho_address destination_address;
  ekho_address destination_mask;
  /* The fields below count as they say; the others are zero. */
  ekho_acl_edits edits;
  uint16_t new_vlan;
  uint8_t new_vlan_priority;
  uint8_t new_ttl;
  uint16_t new_source_port;
  uint16_t new_destination_port;
  /* A packet with fewer bytes takes as many as these. */
  uint16_t police_minimum;
  ekho_handle mirror_port;
  /* Rules with the same number, rate and burst take from one bucket, which is there as long as one of them is. */
  uint32_t police;
  /* Largest frame that may pass, in bytes with the Ethernet header and without a tag; of several packets that travel as one the largest counts. */
  uint32_t police_mtu;
  /* A second, 1 or more: packets, or bytes from the network header to the end of the frame. */
  uint64_t police_rate;
  /* Nanoseconds in which the bucket fills at that rate. It begins full, and a packet passes if enough for all of it is there. */
  uint64_t police_burst;
  uint64_t new_source_mac;
  uint64_t new_destination_mac;
  ekho_address new_source_address;
  ekho_address new_destination_address;
} ekho_acl_rule;
_Static_assert(sizeof(ekho_acl_rule) == 240, "ekho_acl_rule");
_Static_assert(offsetof(ekho_acl_rule, new_destination_address) == 224, "ekho_acl_rule.new_destination_address");

typedef uint8_t ekho_flow_flags;
enum {
  /* The kernel asks for the flow's counters, and sees by them that it is in use (conntrack's `HW_OFFLOAD`). */
  EKHO_FLOW_FLAGS_POLLED = 1u << 0,
};

/* One direction of a connection that the kernel forwards past its netfilter chains (a flowtable): packets with exactly these
 * addresses, ports and protocol that arrive at a router interface with the flag. A flow is looked for before the rules of stage
 * routing. Its packets get the new addresses and ports, TTL and checksums with them, and leave by the route to the new destination.
 * 
 * Trapped unchanged, as the kernel's flowtable does: fragments, packets with options, those too large for the way out, and TCP
 * packets with SYN, FIN or RST. Further packets of both directions are trapped for some seconds after FIN or RST, as the kernel
 * has ended the flow by then and says so with a `remove`, or has not and goes on. Also trapped is what does not come in by the one
 * router interface that the route to `source` leads to, and what would leave by a route with several members.
 * 
 * The kernel must see that the flow is in use: unless it is `polled`, one of its packets a second is trapped. A flow without packets
 * grows old in the kernel and is then removed. */
typedef struct {
  ekho_operation operation;
  ekho_family family;
  /* 6 (TCP) or 17 (UDP). */
  uint8_t protocol;
  ekho_flow_flags flags;
  ekho_handle handle;
  /* Routing domain of the router interface it arrives at. */
  uint32_t vrf;
  uint16_t source_port;
  uint16_t destination_port;
  uint16_t new_source_port;
  uint16_t new_destination_port;
  ekho_address source;
  ekho_address destination;
  /* The same as before where nothing is translated; so are the ports. */
  ekho_address new_source;
  ekho_address new_destination;
} ekho_flow;
_Static_assert(sizeof(ekho_flow) == 88, "ekho_flow");
_Static_assert(offsetof(ekho_flow, new_destination) == 72, "ekho_flow.new_destination");

/* An object of a kind that the plugin declares itself (`offload-kinds` of its description), which the kernel has nothing of: a user asked
 * for it. Its fields stand in the words `data0` to `data15` in the order of the kind's `fields`, each from the word behind the one
 * before. A field without a value has words of zeros and no bit in `present`. What a field of each `field-type` takes is there.
 * 
 * Two objects of a kind never have the same values in all `key` fields. */
typedef struct {
  ekho_operation operation;
  ekho_handle handle;
  /* Place of its kind in `offload-kinds`, from 0. */
  uint32_t offload_kind;
  /* Bit n is set if field n has a value. */
  uint32_t present;
  uint64_t data0;
  uint64_t data1;
  uint64_t data2;
  uint64_t data3;
  uint64_t data4;
  uint64_t data5;
  uint64_t data6;
  uint64_t data7;
  uint64_t data8;
  uint64_t data9;
  uint64_t data10;
  uint64_t data11;
  uint64_t data12;
  uint64_t data13;
  uint64_t data14;
  uint64_t data15;
} ekho_custom;
_Static_assert(sizeof(ekho_custom) == 144, "ekho_custom");
_Static_assert(offsetof(ekho_custom, data15) == 136, "ekho_custom.data15");

typedef uint8_t ekho_tunnel_flags;
enum {
  /* The VXLAN link is up and its bridge forwards on it. */
  EKHO_TUNNEL_FLAGS_FORWARDING = 1u << 0,
  /* Decapsulated frames whose source is not a remote of this tunnel are trapped: the bridge learns from them. */
  EKHO_TUNNEL_FLAGS_LEARNING = 1u << 1,
  /* So are those whose source is a remote with another address than the packet came from: the VXLAN link learns. */
  EKHO_TUNNEL_FLAGS_LEARNS_ADDRESSES = 1u << 2,
  /* Fill in the outer UDP checksum. */
  EKHO_TUNNEL_FLAGS_CHECKSUM = 1u << 3,
  /* The outer TTL is that of an IPv4 or IPv6 packet in the frame. */
  EKHO_TUNNEL_FLAGS_INHERIT_TTL = 1u << 4,
  /* The upper 6 bits of the outer TOS are those of the packet in the frame. Its lower 2 bits always are (RFC 6040). */
  EKHO_TUNNEL_FLAGS_INHERIT_TOS = 1u << 5,
  /* The outer header says "don't fragment". */
  EKHO_TUNNEL_FLAGS_DONT_FRAGMENT = 1u << 6,
  /* It does so for IPv6 packets, and for IPv4 packets that do. */
  EKHO_TUNNEL_FLAGS_INHERIT_DONT_FRAGMENT = 1u << 7,
};

/* A VXLAN link in a bridge: stands for a VLAN of the bridge (all of it, on one that does not filter) as network `vni`.
 * 
 * An IPv4 packet of routing domain 0 for `mac` of its router interface, with `local` as its destination (which is an address of this
 * machine: its route traps), UDP port `port`, a right UDP checksum or none, VXLAN flags 0x08 and this `vni` is decapsulated, and the
 * frame bridged as if it had come from a port, but not to other tunnels. A tagged frame is trapped, as is what would change
 * in the frame for congestion (RFC 6040). "Trapped" is the packet as it arrived, not the frame in it. */
typedef struct {
  ekho_operation operation;
  ekho_handle handle;
  /* The kernel's interface index of the VXLAN link. */
  uint32_t ifindex;
  /* Interface index of the bridge. */
  uint32_t bridge;
  /* 0 on a bridge that does not filter VLANs. */
  uint16_t vlan;
  uint16_t port;
  uint32_t vni;
  /* Bytes without the link-layer header of the inner frame; larger ones are trapped. */
  uint32_t mtu;
  ekho_tunnel_flags flags;
  uint8_t ttl;
  uint8_t tos;
  /* The outer UDP source port is a hash of the inner flow in this range, both ends included. */
  uint16_t source_port_low;
  uint16_t source_port_high;
  /* Interface index that packets must leave by, 0 for any. */
  uint32_t link;
  /* Decapsulated frames from this address are trapped. */
  uint64_t mac;
  ekho_address local;
} ekho_tunnel;
_Static_assert(sizeof(ekho_tunnel) == 64, "ekho_tunnel");
_Static_assert(offsetof(ekho_tunnel, local) == 48, "ekho_tunnel.local");

/* Layer-2 destination behind a tunnel, found as an `fdb-entry` is where there is none for that address: the frame is encapsulated and
 * leaves by the route of domain 0 to `address`, with the next hop's MAC. Trapped where that does not forward, for tagged frames on a
 * bridge that does not filter, and for what is larger than the way out with the outer headers. */
typedef struct {
  ekho_operation operation;
  ekho_handle handle;
  ekho_handle tunnel;
  /* Of the tunnel. */
  uint32_t bridge;
  uint16_t vlan;
  uint64_t mac;
  ekho_address address;
} ekho_remote;
_Static_assert(sizeof(ekho_remote) == 48, "ekho_remote");
_Static_assert(offsetof(ekho_remote, address) == 32, "ekho_remote.address");

/* How a frame to a group is looked for: IP packets by their destination address, all others by their destination MAC. */
typedef uint8_t ekho_multicast_family;
enum {
  EKHO_MULTICAST_FAMILY_MAC = 0,
  EKHO_MULTICAST_FAMILY_IPV4 = 1,
  EKHO_MULTICAST_FAMILY_IPV6 = 2,
};

/* Layer-2 destination of many: the ports of a bridge that want a multicast group. A frame whose destination MAC has the group bit
 * and for which an entry of its bridge and VLAN is found leaves by each of the ports but the one it came in by; one copy each,
 * tagged as the membership of the port says. Left out are ports that do not forward (flag `bridge-forwarding`) or are not in the
 * VLAN; if no port is left, the frame is dropped. If a port that is left is down, or the frame does not fit its MTU, the
 * frame is trapped and leaves by none. So is a device to do that cannot send as many copies as there are to be.
 * 
 * A frame without an entry is trapped: the kernel floods it. Always trapped are IGMP and ICMPv6, which tell the kernel who wants
 * what, IP packets that are not sound, tagged frames on a bridge that does not filter VLANs, and frames out of tunnels. A frame
 * counts once, however many copies leave. */
typedef struct {
  ekho_operation operation;
  ekho_multicast_family family;
  /* 0 on a bridge that does not filter VLANs. */
  uint16_t vlan;
  ekho_handle handle;
  uint32_t bridge;
  /* How many of the ports below count, 1-32; the others are 0. No port stands there twice. */
  uint32_t count;
  /* With `mac`: 01:00:5e:00:00:01 is a `low` of 0x01005e000001. */
  ekho_address address;
  ekho_handle port0;
  ekho_handle port1;
  ekho_handle port2;
  ekho_handle port3;
  ekho_handle port4;
  ekho_handle port5;
  ekho_handle port6;
  ekho_handle port7;
  ekho_handle port8;
  ekho_handle port9;
  ekho_handle port10;
  ekho_handle port11;
  ekho_handle port12;
  ekho_handle port13;
  ekho_handle port14;
  ekho_handle port15;
  ekho_handle port16;
  ekho_handle port17;
  ekho_handle port18;
  ekho_handle port19;
  ekho_handle port20;
  ekho_handle port21;
  ekho_handle port22;
  ekho_handle port23;
  ekho_handle port24;
  ekho_handle port25;
  ekho_handle port26;
  ekho_handle port27;
  ekho_handle port28;
  ekho_handle port29;
  ekho_handle port30;
  ekho_handle port31;
} ekho_multicast_group;
_Static_assert(sizeof(ekho_multicast_group) == 160, "ekho_multicast_group");
_Static_assert(offsetof(ekho_multicast_group, port31) == 156, "ekho_multicast_group.port31");

typedef struct { ekho_port *items; uint32_t count; } ekho_port_list;

typedef struct { ekho_router_interface *items; uint32_t count; } ekho_router_interface_list;

typedef struct { ekho_nexthop *items; uint32_t count; } ekho_nexthop_list;

typedef struct { ekho_member *items; uint32_t count; } ekho_member_list;

typedef struct { ekho_group *items; uint32_t count; } ekho_group_list;

typedef struct { ekho_route *items; uint32_t count; } ekho_route_list;

typedef struct { ekho_vlan_member *items; uint32_t count; } ekho_vlan_member_list;

typedef struct { ekho_fdb_entry *items; uint32_t count; } ekho_fdb_entry_list;

typedef struct { ekho_acl_rule *items; uint32_t count; } ekho_acl_rule_list;

typedef struct { ekho_flow *items; uint32_t count; } ekho_flow_list;

typedef struct { ekho_custom *items; uint32_t count; } ekho_custom_list;

typedef struct { ekho_tunnel *items; uint32_t count; } ekho_tunnel_list;

typedef struct { ekho_remote *items; uint32_t count; } ekho_remote_list;

typedef struct { ekho_multicast_group *items; uint32_t count; } ekho_multicast_group_list;

/* Changes for the device, at most 4,096 entries in all, members counted; a handle stands here at most once. Process the lists in
 * the order they stand here, each from first to last; the host has arranged that every reference is then valid. */
typedef struct {
  ekho_port_list ports;
  ekho_router_interface_list router_interfaces;
  ekho_nexthop_list nexthops;
  ekho_member_list members;
  ekho_group_list groups;
  ekho_route_list routes;
  ekho_vlan_member_list vlan_members;
  ekho_fdb_entry_list fdb_entries;
  ekho_acl_rule_list acl_rules;
  ekho_flow_list flows;
  ekho_custom_list customs;
  ekho_tunnel_list tunnels;
  ekho_remote_list remotes;
  ekho_multicast_group_list multicast_groups;
} ekho_batch;
_Static_assert(sizeof(ekho_batch) == 112, "ekho_batch");
_Static_assert(offsetof(ekho_batch, multicast_groups) == 104, "ekho_batch.multicast_groups");

/* What became of a change that was not plainly carried out. */
typedef uint8_t ekho_status;
enum {
  /* Held, but the hardware hands matching packets to the kernel. No answer to a removal. */
  EKHO_STATUS_TRAPPED = 0,
  /* The device cannot hold it as it is; asking again without a change elsewhere is pointless. */
  EKHO_STATUS_REFUSED = 1,
  /* The device should have held it but did not; the host retries. */
  EKHO_STATUS_FAILED = 2,
  /* Carried out later; `event.completed` follows. */
  EKHO_STATUS_PENDING = 3,
};

/* Why: `none` with `trapped` and `pending`, another with `refused` and `failed`. `detail` of the outcome adds a device-specific number. */
typedef uint8_t ekho_reason;
enum {
  EKHO_REASON_NONE = 0,
  EKHO_REASON_TABLE_FULL = 1,
  EKHO_REASON_UNSUPPORTED_MATCH = 2,
  EKHO_REASON_UNSUPPORTED_ACTION = 3,
  EKHO_REASON_INVALID = 4,
  EKHO_REASON_MISSING_REFERENCE = 5,
  EKHO_REASON_DEVICE_ERROR = 6,
  EKHO_REASON_DEVICE_OFF = 7,
  EKHO_REASON_BUSY = 8,
};

typedef struct {
  ekho_handle handle;
  ekho_status status;
  ekho_reason reason;
  uint32_t detail;
} ekho_outcome;
_Static_assert(sizeof(ekho_outcome) == 12, "ekho_outcome");
_Static_assert(offsetof(ekho_outcome, detail) == 8, "ekho_outcome.detail");

typedef uint8_t ekho_event_type;
enum {
  /* The device lost what it held: read back and program again. */
  EKHO_EVENT_TYPE_DEVICE_RESET = 0,
  /* A `pending` change is done: `handle`, `value` is 0 or the `reason`. */
  EKHO_EVENT_TYPE_COMPLETED = 1,
  /* The hardware saw a new source address: `port`, `vlan`, `mac`. */
  EKHO_EVENT_TYPE_MAC_LEARNED = 2,
  /* An fdb entry has been idle for the bridge's ageing time: `handle`. */
  EKHO_EVENT_TYPE_MAC_AGED = 3,
  /* `value` is 1 for carrier, 0 for none: `port`. */
  EKHO_EVENT_TYPE_PORT_CARRIER = 4,
  /* A table's fill crossed its limit: `value` is the `kind`. */
  EKHO_EVENT_TYPE_TABLE_FULL = 5,
};

/* Something the hardware reports. */
typedef struct {
  ekho_event_type event_type;
  uint16_t vlan;
  ekho_handle handle;
  ekho_handle port;
  uint32_t value;
  uint64_t mac;
} ekho_event;
_Static_assert(sizeof(ekho_event) == 24, "ekho_event");
_Static_assert(offsetof(ekho_event, mac) == 16, "ekho_event.mac");

typedef uint8_t ekho_notice_type;
enum {
  EKHO_NOTICE_TYPE_LINK_UP = 0,
  EKHO_NOTICE_TYPE_LINK_DOWN = 1,
  EKHO_NOTICE_TYPE_CARRIER_ON = 2,
  EKHO_NOTICE_TYPE_CARRIER_OFF = 3,
  EKHO_NOTICE_TYPE_LINK_RENAMED = 4,
  EKHO_NOTICE_TYPE_LINK_DELETED = 5,
  EKHO_NOTICE_TYPE_MTU_CHANGED = 6,
  EKHO_NOTICE_TYPE_MAC_CHANGED = 7,
  EKHO_NOTICE_TYPE_BRIDGE_JOINED = 8,
  EKHO_NOTICE_TYPE_BRIDGE_LEFT = 9,
  EKHO_NOTICE_TYPE_NEIGHBOUR_UPDATE = 10,
  EKHO_NOTICE_TYPE_NEIGHBOUR_FAILED = 11,
  EKHO_NOTICE_TYPE_FDB_FLUSHED = 12,
  EKHO_NOTICE_TYPE_RESYNC_STARTED = 13,
  EKHO_NOTICE_TYPE_RESYNC_FINISHED = 14,
  EKHO_NOTICE_TYPE_ROUTE_CHANGED = 15,
  EKHO_NOTICE_TYPE_ROUTE_REMOVED = 16,
  EKHO_NOTICE_TYPE_NEXTHOP_CHANGED = 17,
  EKHO_NOTICE_TYPE_NEXTHOP_REMOVED = 18,
  EKHO_NOTICE_TYPE_FDB_CHANGED = 19,
  EKHO_NOTICE_TYPE_FDB_REMOVED = 20,
  EKHO_NOTICE_TYPE_STP_STATE = 21,
};

/* Which notices a plugin wants. The first three come with every kernel, from what the host mirrors. The others are what the
 * kernel tells its own drivers, sooner than the plan can follow, and come only where the host may listen to that. */
typedef uint8_t ekho_notice_set;
enum {
  /* From link-up to bridge-left. */
  EKHO_NOTICE_SET_LINKS = 1u << 0,
  /* neighbour-update and neighbour-failed. */
  EKHO_NOTICE_SET_NEIGHBOURS = 1u << 1,
  /* resync-started and resync-finished. */
  EKHO_NOTICE_SET_RESYNCS = 1u << 2,
  /* route-changed (the first route of a prefix is new or another one) and route-removed (the prefix has none left). */
  EKHO_NOTICE_SET_ROUTES = 1u << 3,
  /* nexthop-changed and nexthop-removed: nexthop objects of the kernel and groups of them. */
  EKHO_NOTICE_SET_NEXTHOPS = 1u << 4,
  /* fdb-changed, fdb-removed and fdb-flushed, on ports of this plugin. */
  EKHO_NOTICE_SET_FDB = 1u << 5,
  /* stp-state of ports of this plugin. */
  EKHO_NOTICE_SET_STP = 1u << 6,
};

/* Something that happened in the kernel, in order of `sequence`. It asks for nothing: what the device is to hold comes by `apply`. */
typedef struct {
  ekho_notice_type notice_type;
  ekho_family family;
  /* Of `address`, where that is a route's. */
  uint8_t prefix_length;
  uint16_t vlan;
  /* 0 where it is not about a port of this plugin. */
  ekho_handle port;
  uint32_t ifindex;
  /* By `notice-type`: interface index of the bridge, MTU in bytes, routing table, id of the nexthop object, or STP state (BR_STATE_*:
   * disabled, listening, learning, forwarding, blocking). */
  uint32_t value;
  uint64_t sequence;
  /* CLOCK_MONOTONIC, ns. */
  uint64_t time;
  uint64_t mac;
  ekho_address address;
} ekho_notice;
_Static_assert(sizeof(ekho_notice) == 64, "ekho_notice");
_Static_assert(offsetof(ekho_notice, address) == 48, "ekho_notice.address");

/* Cumulative since the entry was added to the device; never lowered by an in-place put. After a reset of the device, which
 * `device-reset` tells when `offload.poll` is asked next, it begins anew. One that falls otherwise breaks the contract. */
typedef struct {
  ekho_handle handle;
  uint64_t packets;
  uint64_t bytes;
  /* `clock.now` when the entry was last hit, 0 for never. Of an fdb entry and a remote: when its address was last the source of a frame, which is
   * what keeps it from ageing. The kernel is told what is in use. */
  uint64_t last_used;
  /* Of an ACL rule: how many of the packets its `police` dropped. */
  uint64_t drops;
} ekho_counter;
_Static_assert(sizeof(ekho_counter) == 40, "ekho_counter");
_Static_assert(offsetof(ekho_counter, drops) == 32, "ekho_counter.drops");

/* Fill of one of the device's tables, in entries. */
typedef struct {
  ekho_kind kind;
  uint32_t capacity;
  uint32_t used;
} ekho_table_usage;
_Static_assert(sizeof(ekho_table_usage) == 12, "ekho_table_usage");
_Static_assert(offsetof(ekho_table_usage, used) == 8, "ekho_table_usage.used");

typedef uint8_t ekho_log_level;
enum {
  EKHO_LOG_LEVEL_ERROR = 0,
  EKHO_LOG_LEVEL_WARN = 1,
  EKHO_LOG_LEVEL_INFO = 2,
  EKHO_LOG_LEVEL_DEBUG = 3,
};

typedef uint8_t ekho_asic_table;
enum {
  EKHO_ASIC_TABLE_PORT = 0,
  EKHO_ASIC_TABLE_ROUTER_INTERFACE = 1,
  EKHO_ASIC_TABLE_NEXTHOP = 2,
  EKHO_ASIC_TABLE_GROUP = 3,
  EKHO_ASIC_TABLE_LPM4 = 4,
  EKHO_ASIC_TABLE_LPM6 = 5,
  EKHO_ASIC_TABLE_VLAN = 6,
  EKHO_ASIC_TABLE_FDB = 7,
  EKHO_ASIC_TABLE_ACL = 8,
  EKHO_ASIC_TABLE_MDB = 9,
};

typedef uint8_t ekho_asic_status;
enum {
  EKHO_ASIC_STATUS_OK = 0,
  EKHO_ASIC_STATUS_TABLE_FULL = 1,
  EKHO_ASIC_STATUS_INVALID = 2,
  EKHO_ASIC_STATUS_MISSING = 3,
  EKHO_ASIC_STATUS_REFUSED = 4,
  EKHO_ASIC_STATUS_IO_ERROR = 5,
  EKHO_ASIC_STATUS_POWERED_OFF = 6,
};

/* How far a burst got: rows before `done` were carried out, row `done` met `status` (ok: all of them). */
typedef struct {
  uint32_t done;
  ekho_asic_status status;
} ekho_asic_completion;
_Static_assert(sizeof(ekho_asic_completion) == 8, "ekho_asic_completion");
_Static_assert(offsetof(ekho_asic_completion, status) == 4, "ekho_asic_completion.status");

/* `capacity` and `used` in rows, `words` per row, `key-words` of a key. */
typedef struct {
  uint32_t capacity;
  uint32_t used;
  uint32_t words;
  uint32_t key_words;
} ekho_asic_table_info;
_Static_assert(sizeof(ekho_asic_table_info) == 16, "ekho_asic_table_info");
_Static_assert(offsetof(ekho_asic_table_info, key_words) == 12, "ekho_asic_table_info.key_words");

typedef uint8_t ekho_tables_organisation;
enum {
  /* An array, the key is one word: the slot. A row whose first value word is 0 is not held. */
  EKHO_TABLES_ORGANISATION_SLOTS = 0,
  /* Matched by the whole key. */
  EKHO_TABLES_ORGANISATION_EXACT = 1,
  /* Longest prefix; the first word of the key is its length in bits, the others are in network byte order. */
  EKHO_TABLES_ORGANISATION_PREFIX = 2,
  /* Slots of packets, bytes and CLOCK_MONOTONIC in ns when last counted, each of two words, the lower first. Rows of
   * all zeros are not read. */
  EKHO_TABLES_ORGANISATION_COUNTERS = 3,
};

typedef uint8_t ekho_tables_status;
enum {
  EKHO_TABLES_STATUS_OK = 0,
  EKHO_TABLES_STATUS_FULL = 1,
  EKHO_TABLES_STATUS_INVALID = 2,
  EKHO_TABLES_STATUS_MISSING = 3,
  EKHO_TABLES_STATUS_REFUSED = 4,
  EKHO_TABLES_STATUS_BUSY = 5,
  EKHO_TABLES_STATUS_IO_ERROR = 6,
};

/* How far it got: rows before `done` were carried out, row `done` met `status` (ok: all of them). */
typedef struct {
  uint32_t done;
  ekho_tables_status status;
} ekho_tables_completion;
_Static_assert(sizeof(ekho_tables_completion) == 8, "ekho_tables_completion");
_Static_assert(offsetof(ekho_tables_completion, status) == 4, "ekho_tables_completion.status");

/* `capacity` and `used` in rows; `words` per row, of which the first `key-words` are the key. Counters have no `used`. */
typedef struct {
  ekho_tables_organisation organisation;
  uint32_t capacity;
  uint32_t used;
  uint32_t words;
  uint32_t key_words;
} ekho_tables_table_info;
_Static_assert(sizeof(ekho_tables_table_info) == 20, "ekho_tables_table_info");
_Static_assert(offsetof(ekho_tables_table_info, key_words) == 16, "ekho_tables_table_info.key_words");

typedef uint8_t ekho_rtnetlink_table;
enum {
  EKHO_RTNETLINK_TABLE_ROUTER_INTERFACE = 0,
  EKHO_RTNETLINK_TABLE_NEXTHOP = 1,
  EKHO_RTNETLINK_TABLE_GROUP = 2,
  EKHO_RTNETLINK_TABLE_ROUTE = 3,
  EKHO_RTNETLINK_TABLE_FDB = 4,
};

typedef uint8_t ekho_rtnetlink_status;
enum {
  EKHO_RTNETLINK_STATUS_OK = 0,
  /* Nothing in the other kernel stands for the link. */
  EKHO_RTNETLINK_STATUS_MISSING_LINK = 1,
  EKHO_RTNETLINK_STATUS_INVALID = 2,
  /* There is one already that is not the device's. */
  EKHO_RTNETLINK_STATUS_FOREIGN = 3,
  /* The other kernel refused it. */
  EKHO_RTNETLINK_STATUS_REFUSED = 4,
  EKHO_RTNETLINK_STATUS_IO_ERROR = 5,
};

/* How far it got: rows before `done` were carried out, row `done` met `status` (ok: all of them) with the kernel's `errno`. */
typedef struct {
  uint32_t done;
  ekho_rtnetlink_status status;
  uint32_t errno;
} ekho_rtnetlink_completion;
_Static_assert(sizeof(ekho_rtnetlink_completion) == 12, "ekho_rtnetlink_completion");
_Static_assert(offsetof(ekho_rtnetlink_completion, errno) == 8, "ekho_rtnetlink_completion.errno");

/* What a plugin can do with one kind of entry. */
typedef struct {
  ekho_kind kind;
  /* Entries the device can hold; the host never plans more. */
  uint32_t capacity;
  /* A `put` of a held handle takes effect without a gap. Without it the host removes an entry before it puts the new one, with
   * packets going to the kernel in between. Only for routes, VLAN members and fdb entries: all others must be updated in place. */
  bool update_in_place;
  /* `stats.collect` reports packets and bytes for it. */
  bool counts;
  /* `offload.readback` lists it. Otherwise the plugin clears the kind at `start`, so that nothing stale stays. */
  bool reads_back;
} ekho_plugin_ability;
_Static_assert(sizeof(ekho_plugin_ability) == 12, "ekho_plugin_ability");
_Static_assert(offsetof(ekho_plugin_ability, reads_back) == 10, "ekho_plugin_ability.reads_back");

/* What a field of an offload kind holds, and the 64-bit words that it takes in a `custom`. */
typedef uint8_t ekho_plugin_field_type;
enum {
  /* One word: 0 or 1. */
  EKHO_PLUGIN_FIELD_TYPE_BOOLEAN = 0,
  /* One word, 0 to 2^32-1. */
  EKHO_PLUGIN_FIELD_TYPE_NUMBER32 = 1,
  /* One word. */
  EKHO_PLUGIN_FIELD_TYPE_NUMBER64 = 2,
  /* A word for every 8 bytes of `length`: UTF-8, the first byte in the lowest 8 bits, zeros behind it. */
  EKHO_PLUGIN_FIELD_TYPE_TEXT = 3,
  /* Three words: the family (0 or 1, as `family`) in the upper half of the first and the prefix length in its lower half, then
   * `high` and `low` of `address`. Bits behind the prefix length are 0. */
  EKHO_PLUGIN_FIELD_TYPE_PREFIX = 4,
  /* As `prefix`, of IPv4 alone. */
  EKHO_PLUGIN_FIELD_TYPE_PREFIX4 = 5,
  /* As `prefix`, of IPv6 alone. */
  EKHO_PLUGIN_FIELD_TYPE_PREFIX6 = 6,
  /* As `prefix`, with the full length. */
  EKHO_PLUGIN_FIELD_TYPE_ADDRESS = 7,
  /* One word. */
  EKHO_PLUGIN_FIELD_TYPE_MAC = 8,
  /* One word: the kernel's interface index in its lower half, the handle of the link's port in the upper one, 0 if it is none. The link is
   * there: without it the object is not planned. */
  EKHO_PLUGIN_FIELD_TYPE_LINK = 9,
  /* One word: place of the value in `choices`, from 0. */
  EKHO_PLUGIN_FIELD_TYPE_CHOICE = 10,
};

/* One field of an offload kind. */
typedef struct {
  /* 1-32 of a-z, 0-9 and -, first a letter; each name once in a kind. */
  ekho_string name;
  ekho_plugin_field_type field_type;
  /* The objects' identity, in the order of the fields. Keys are always `required`; a kind has at least one. */
  bool key;
  bool required;
  /* Of numbers, in decimal digits; empty for what the type allows. */
  ekho_string minimum;
  ekho_string maximum;
  /* Bytes of a text, at most 64; 0 for others. */
  uint32_t length;
  /* What is measured, for people; `bit/s` and `bytes` also let numbers be given as `10mbit` and `64k`. Empty for none. */
  ekho_string unit;
  /* Value as a user would write it, where none is given; empty for none. */
  ekho_string fallback;
  /* Names of a choice, with a space between. */
  ekho_string choices;
  /* A sentence for people. */
  ekho_string documentation;
} ekho_plugin_offload_field;
_Static_assert(sizeof(ekho_plugin_offload_field) == 64, "ekho_plugin_offload_field");
_Static_assert(offsetof(ekho_plugin_offload_field, documentation) == 56, "ekho_plugin_offload_field.documentation");

typedef struct { ekho_plugin_offload_field *items; uint32_t count; } ekho_plugin_offload_field_list;

/* A kind of object that users create for this plugin. Its fields take at most 16 words. */
typedef struct {
  /* VENDOR:KIND, each 1-31 of a-z, 0-9 and -, first a letter; each name once. */
  ekho_string name;
  /* Objects that were made for another version are refused until they are made again. From 1. */
  uint32_t version;
  /* A sentence for people. */
  ekho_string documentation;
  /* What `counter` means for its objects, such as `dropped`; empty if they do not count. */
  ekho_string counts;
  /* Objects that the device can hold of it, of those that the ability `custom` has. */
  uint32_t capacity;
  ekho_plugin_offload_field_list fields;
} ekho_plugin_offload_kind;
_Static_assert(sizeof(ekho_plugin_offload_kind) == 40, "ekho_plugin_offload_kind");
_Static_assert(offsetof(ekho_plugin_offload_kind, fields) == 32, "ekho_plugin_offload_kind.fields");

typedef struct { ekho_plugin_ability *items; uint32_t count; } ekho_plugin_ability_list;

typedef struct { ekho_plugin_offload_kind *items; uint32_t count; } ekho_plugin_offload_kind_list;

typedef struct {
  ekho_string vendor;
  ekho_string name;
  /* Semantic version of the plugin. */
  ekho_string version;
  /* Kinds not listed are never planned. */
  ekho_plugin_ability_list abilities;
  /* Fields `acl-rule` may match on; a rule that needs another is never planned. */
  ekho_acl_fields acl_fields;
  /* Edits it may make; packets of a rule that needs another are trapped. */
  ekho_acl_edits acl_edits;
  /* Largest number of members in a group, 1-4,095. */
  uint32_t group_members;
  /* Reverse path checks can be done in hardware. */
  bool reverse_path;
  /* VLAN router interfaces are supported. */
  bool vlan_interfaces;
  /* Milliseconds between calls of `offload.poll`, 10-60,000; 0: never. */
  uint32_t poll_interval;
  /* What `notifier.notify` is called for; nothing: it never is. */
  ekho_notice_set notices;
  /* Kinds of its own, at most 32, with the ability `custom`. None: users cannot make objects for it. */
  ekho_plugin_offload_kind_list offload_kinds;
} ekho_plugin_description;
_Static_assert(sizeof(ekho_plugin_description) == 64, "ekho_plugin_description");
_Static_assert(offsetof(ekho_plugin_description, offload_kinds) == 56, "ekho_plugin_description.offload_kinds");

typedef struct {
  ekho_string name;
  ekho_string value;
} ekho_plugin_setting;
_Static_assert(sizeof(ekho_plugin_setting) == 16, "ekho_plugin_setting");
_Static_assert(offsetof(ekho_plugin_setting, value) == 8, "ekho_plugin_setting.value");

/* What the device holds, a page at a time. */
typedef struct {
  /* Where to go on, 0 when this was the last page. */
  uint32_t next;
  ekho_batch entries;
} ekho_offload_page;
_Static_assert(sizeof(ekho_offload_page) == 116, "ekho_offload_page");
_Static_assert(offsetof(ekho_offload_page, entries) == 4, "ekho_offload_page.entries");

typedef struct { ekho_counter *items; uint32_t count; } ekho_counter_list;

typedef struct {
  uint32_t next;
  ekho_counter_list counters;
} ekho_stats_page;
_Static_assert(sizeof(ekho_stats_page) == 12, "ekho_stats_page");
_Static_assert(offsetof(ekho_stats_page, counters) == 4, "ekho_stats_page.counters");

typedef struct { ekho_plugin_setting *items; uint32_t count; } ekho_plugin_setting_list;

typedef struct { bool is_error; union { ekho_string error; }; } ekho_result_none_string;
_Static_assert(sizeof(ekho_result_none_string) == 12, "ekho_result_none_string");

typedef struct { ekho_outcome *items; uint32_t count; } ekho_outcome_list;

typedef struct { ekho_event *items; uint32_t count; } ekho_event_list;

typedef struct { ekho_table_usage *items; uint32_t count; } ekho_table_usage_list;

typedef struct { ekho_notice *items; uint32_t count; } ekho_notice_list;

typedef struct { uint32_t *items; uint32_t count; } ekho_u32_list;

/* What a plugin implements. `result` arrives zeroed. */

/* Who the plugin is and its life cycle. None of these is called while another call is running. */
void ekho_plugin_describe(ekho_plugin_description *result);
/* The plugin's own settings from the host's configuration, before `start`. The error names the setting. */
void ekho_plugin_configure(const ekho_plugin_setting_list *settings, ekho_result_none_string *result);
/* Take the device into use. What it already holds stays: the host reads it back and sends only differences. */
void ekho_plugin_start(ekho_result_none_string *result);
/* The last call. What the device holds stays. */
void ekho_plugin_stop(void);

/* Keeping the device equal to the plan. */
/* Carry out changes. Returns only the outcomes that are not plain success, in any order. */
void ekho_offload_apply(const ekho_batch *changes, ekho_outcome_list *result);
/* `cursor` is 0 for the first page, then the last page's `next`. At most `limit` (1-4,096) entries a page, members
 * counted; a group and its members are never split. Entries changed while paging may show old or new, never both or neither. */
void ekho_offload_readback(uint32_t cursor, uint32_t limit, ekho_offload_page *result);
/* What the hardware has to say; at most 1,024 events, the rest at the next call. */
void ekho_offload_poll(ekho_event_list *result);
/* Fill of every table. */
void ekho_offload_tables(ekho_table_usage_list *result);

/* Kernel events, as they happen. A plugin that is too slow loses the oldest of those that wait. */
void ekho_notifier_notify(const ekho_notice_list *notices);

/* Counters in bulk. */
/* Paged like `offload.readback`. */
void ekho_stats_collect(uint32_t cursor, uint32_t limit, ekho_stats_page *result);

/* What a plugin may call. */

/* A line for the operator, kept with the plugin. At most 1,024 bytes, cut beyond. */
__attribute__((import_module("ekho:offload/log@0.1.0"), import_name("write")))
extern void ekho_log_write_import_(uint32_t, uint32_t, uint32_t);
static inline void ekho_log_write(ekho_log_level level, ekho_string message) { ekho_log_write_import_(level, (uint32_t)message.bytes, message.length); }

/* CLOCK_MONOTONIC in nanoseconds. */
__attribute__((import_module("ekho:offload/clock@0.1.0"), import_name("now")))
extern uint64_t ekho_clock_now_import_(void);
static inline uint64_t ekho_clock_now(void) { return (uint64_t)ekho_clock_now_import_(); }

/* The simulated switch ASIC. Tables hold rows of 32-bit words; the layouts are in docs/asic.md. A row's first word is a
 * cookie the ASIC only keeps. `port`, `router-interface`, `nexthop`, `group` and `acl` are arrays (key: the slot, word
 * 1); the others are matched by content. */
__attribute__((import_module("ekho:offload/asic@0.1.0"), import_name("info")))
extern void ekho_asic_info_import_(uint32_t, void *);
static inline ekho_asic_table_info ekho_asic_info(ekho_asic_table table) { ekho_asic_table_info result; ekho_asic_info_import_(table, &result); return result; }
/* Add rows, or replace those with the same key. Stops at the first that fails. */
__attribute__((import_module("ekho:offload/asic@0.1.0"), import_name("write")))
extern void ekho_asic_write_import_(uint32_t, uint32_t, uint32_t, void *);
static inline ekho_asic_completion ekho_asic_write(ekho_asic_table table, ekho_u32_list rows) { ekho_asic_completion result; ekho_asic_write_import_(table, (uint32_t)rows.items, rows.count, &result); return result; }
/* Remove rows by key. `missing` for a key that is not there. */
__attribute__((import_module("ekho:offload/asic@0.1.0"), import_name("remove")))
extern void ekho_asic_remove_import_(uint32_t, uint32_t, uint32_t, void *);
static inline ekho_asic_completion ekho_asic_remove(ekho_asic_table table, ekho_u32_list keys) { ekho_asic_completion result; ekho_asic_remove_import_(table, (uint32_t)keys.items, keys.count, &result); return result; }
/* The first word is where to go on (0: done), then whole rows, at most `limit`. Start with `cursor` 0. */
__attribute__((import_module("ekho:offload/asic@0.1.0"), import_name("read")))
extern void ekho_asic_read_import_(uint32_t, uint32_t, uint32_t, void *);
static inline ekho_u32_list ekho_asic_read(ekho_asic_table table, uint32_t cursor, uint32_t limit) { ekho_u32_list result; ekho_asic_read_import_(table, cursor, limit, &result); return result; }
/* Like `read`, but 7 words an entry: cookie, packets low, packets high, bytes low, bytes high, last used low, high. */
__attribute__((import_module("ekho:offload/asic@0.1.0"), import_name("counters")))
extern void ekho_asic_counters_import_(uint32_t, uint32_t, uint32_t, void *);
static inline ekho_u32_list ekho_asic_counters(ekho_asic_table table, uint32_t cursor, uint32_t limit) { ekho_u32_list result; ekho_asic_counters_import_(table, cursor, limit, &result); return result; }
/* Goes up by one each time the ASIC lost its tables (power). */
__attribute__((import_module("ekho:offload/asic@0.1.0"), import_name("epoch")))
extern uint32_t ekho_asic_epoch_import_(void);
static inline uint32_t ekho_asic_epoch(void) { return (uint32_t)ekho_asic_epoch_import_(); }

/* Hardware that is a set of tables which the device names, sizes and lays out; docs/xdp.md has those of the XDP data path. Rows
 * are 32-bit words in the machine's byte order, a key and then a value; the hardware meets the old or the new words of a row
 * that is replaced, and a row of one word is replaced whole: a generation that other rows carry is switched by such a row. */
/* Number of the table of that name, 0xffffffff if there is none. */
__attribute__((import_module("ekho:offload/tables@0.1.0"), import_name("find")))
extern uint32_t ekho_tables_find_import_(uint32_t, uint32_t);
static inline uint32_t ekho_tables_find(ekho_string name) { return (uint32_t)ekho_tables_find_import_((uint32_t)name.bytes, name.length); }
__attribute__((import_module("ekho:offload/tables@0.1.0"), import_name("info")))
extern void ekho_tables_info_import_(uint32_t, void *);
static inline ekho_tables_table_info ekho_tables_info(uint32_t table) { ekho_tables_table_info result; ekho_tables_info_import_(table, &result); return result; }
/* Add rows or replace those with the same key; stops at the first that fails. `added`: their keys are new, for `used`. */
__attribute__((import_module("ekho:offload/tables@0.1.0"), import_name("put")))
extern void ekho_tables_put_import_(uint32_t, uint32_t, uint32_t, uint32_t, void *);
static inline ekho_tables_completion ekho_tables_put(uint32_t table, ekho_u32_list rows, bool added) { ekho_tables_completion result; ekho_tables_put_import_(table, (uint32_t)rows.items, rows.count, added, &result); return result; }
/* Remove rows by key. `missing` for a key that is not there. */
__attribute__((import_module("ekho:offload/tables@0.1.0"), import_name("remove")))
extern void ekho_tables_remove_import_(uint32_t, uint32_t, uint32_t, void *);
static inline ekho_tables_completion ekho_tables_remove(uint32_t table, ekho_u32_list keys) { ekho_tables_completion result; ekho_tables_remove_import_(table, (uint32_t)keys.items, keys.count, &result); return result; }
/* The first word is where to go on (0: done), then whole rows, at most `limit`. Start with `cursor` 0; reading from 0 again
 * ends what was being read of that table. In slots and counters a cursor is the slot that comes next; an answer may then have
 * no rows before the end. */
__attribute__((import_module("ekho:offload/tables@0.1.0"), import_name("read")))
extern void ekho_tables_read_import_(uint32_t, uint32_t, uint32_t, void *);
static inline ekho_u32_list ekho_tables_read(uint32_t table, uint32_t cursor, uint32_t limit) { ekho_u32_list result; ekho_tables_read_import_(table, cursor, limit, &result); return result; }
/* Goes up each time the device lost its tables, or rows of them. */
__attribute__((import_module("ekho:offload/tables@0.1.0"), import_name("epoch")))
extern uint32_t ekho_tables_epoch_import_(void);
static inline uint32_t ekho_tables_epoch(void) { return (uint32_t)ekho_tables_epoch_import_(); }

/* Routing of another kernel: a network namespace that the host writes into by netlink. The configuration says which link there
 * stands for which of the mirrored kernel, and which table decides what would arrive on it. Rows are 32-bit words; addresses
 * are four, the highest first, MACs two. Handles are the plan's own, an entry is removed by its handle.
 * 
 * router-interface   handle, ifindex, vrf, flags
 * nexthop            handle, action, family, router-interface, ifindex, gateway (4), mac (2)
 * group              handle, id, nexthop, weight: a row for each member, those of a group together
 * route              handle, vrf, family, prefix-length, action, group, prefix (4)
 * fdb                handle, bridge, vlan, action, port, ifindex (of the port), mac (2)
 * 
 * Only what carries the device's protocol number is read, replaced or removed; of bridge entries, what is marked as learned
 * from outside (NTF_EXT_LEARNED) on the links of the configuration. */
/* Rows the table may have. */
__attribute__((import_module("ekho:offload/rtnetlink@0.1.0"), import_name("capacity")))
extern uint32_t ekho_rtnetlink_capacity_import_(uint32_t);
static inline uint32_t ekho_rtnetlink_capacity(ekho_rtnetlink_table table) { return (uint32_t)ekho_rtnetlink_capacity_import_(table); }
/* Entries in it; the members of a group count as one. */
__attribute__((import_module("ekho:offload/rtnetlink@0.1.0"), import_name("used")))
extern uint32_t ekho_rtnetlink_used_import_(uint32_t);
static inline uint32_t ekho_rtnetlink_used(ekho_rtnetlink_table table) { return (uint32_t)ekho_rtnetlink_used_import_(table); }
/* Add rows, or replace those with the same handle, without a gap. Stops at the first that fails. */
__attribute__((import_module("ekho:offload/rtnetlink@0.1.0"), import_name("write")))
extern void ekho_rtnetlink_write_import_(uint32_t, uint32_t, uint32_t, void *);
static inline ekho_rtnetlink_completion ekho_rtnetlink_write(ekho_rtnetlink_table table, ekho_u32_list rows) { ekho_rtnetlink_completion result; ekho_rtnetlink_write_import_(table, (uint32_t)rows.items, rows.count, &result); return result; }
/* Remove by handle; what is not there is removed already. */
__attribute__((import_module("ekho:offload/rtnetlink@0.1.0"), import_name("remove")))
extern void ekho_rtnetlink_remove_import_(uint32_t, uint32_t, uint32_t, void *);
static inline ekho_rtnetlink_completion ekho_rtnetlink_remove(ekho_rtnetlink_table table, ekho_u32_list handles) { ekho_rtnetlink_completion result; ekho_rtnetlink_remove_import_(table, (uint32_t)handles.items, handles.count, &result); return result; }
/* The first word is where to go on (0: done), then whole rows, at most `limit` (a group is never split). Start with
 * `cursor` 0, which reads the other kernel. Router interfaces are not read. */
__attribute__((import_module("ekho:offload/rtnetlink@0.1.0"), import_name("read")))
extern void ekho_rtnetlink_read_import_(uint32_t, uint32_t, uint32_t, void *);
static inline ekho_u32_list ekho_rtnetlink_read(ekho_rtnetlink_table table, uint32_t cursor, uint32_t limit) { ekho_u32_list result; ekho_rtnetlink_read_import_(table, cursor, limit, &result); return result; }
/* What the last `write` or `remove` met, in the kernel's words; empty if all went well. */
__attribute__((import_module("ekho:offload/rtnetlink@0.1.0"), import_name("reason")))
extern void ekho_rtnetlink_reason_import_(void *);
static inline ekho_string ekho_rtnetlink_reason(void) { ekho_string result; ekho_rtnetlink_reason_import_(&result); return result; }
/* Goes up when links or nexthops in the other kernel changed that were not the device's doing. */
__attribute__((import_module("ekho:offload/rtnetlink@0.1.0"), import_name("epoch")))
extern uint32_t ekho_rtnetlink_epoch_import_(void);
static inline uint32_t ekho_rtnetlink_epoch(void) { return (uint32_t)ekho_rtnetlink_epoch_import_(); }

#ifdef EKHO_IMPLEMENT

extern unsigned char __heap_base;

static struct { size_t start, top, end; } ekho_arena_;

static size_t ekho_grow_(size_t size) {
  size_t before = __builtin_wasm_memory_grow(0, (size + 0xffff) >> 16);
  if (before == (size_t)-1) __builtin_trap();
  return before << 16;
}

static void ekho_open_(void) {
  if (ekho_arena_.end != 0) return;
  ekho_arena_.start = ekho_arena_.top = ((size_t)&__heap_base + 7) & ~(size_t)7;
  ekho_arena_.end = __builtin_wasm_memory_size(0) << 16;
}

void *ekho_alloc(size_t size) {
  ekho_open_();
  if (size > 0x7fffffff) __builtin_trap();
  size = (size + 7) & ~(size_t)7;
  if (size > ekho_arena_.end - ekho_arena_.top) {
    /* At least doubled, so growing is rare. Not adjacent when ekho_keep grew memory in between: then start afresh. */
    size_t more = ekho_arena_.end - ekho_arena_.start;
    if (more < size) more = size;
    more = (more + 0xffff) & ~(size_t)0xffff;
    size_t at = ekho_grow_(more);
    if (at != ekho_arena_.end) ekho_arena_.start = ekho_arena_.top = at;
    ekho_arena_.end = at + more;
  }
  void *found = (void *)ekho_arena_.top;
  ekho_arena_.top += size;
  return found;
}

void *ekho_keep(size_t size) {
  if (size > 0x7fffffff) __builtin_trap();
  return (void *)ekho_grow_(size);
}

size_t ekho_mark(void) {
  ekho_open_();
  return ekho_arena_.top;
}

void ekho_release(size_t mark) {
  if (mark >= ekho_arena_.start && mark <= ekho_arena_.top) ekho_arena_.top = mark;
}

static void ekho_empty_(void) { ekho_arena_.top = ekho_arena_.start; }

__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)align;
  void *found = ekho_alloc(size);
  if (old_size != 0) memcpy(found, old, old_size < size ? old_size : size);
  return found;
}

void *memcpy(void *to, const void *from, size_t size) { return __builtin_memcpy(to, from, size); }
void *memmove(void *to, const void *from, size_t size) { return __builtin_memmove(to, from, size); }
void *memset(void *to, int byte, size_t size) { return __builtin_memset(to, byte, size); }

int memcmp(const void *a, const void *b, size_t size) {
  const unsigned char *x = a, *y = b;
  for (; size != 0; size--, x++, y++)
    if (*x != *y) return *x < *y ? -1 : 1;
  return 0;
}

static ekho_plugin_description ekho_plugin_describe_result_;
__attribute__((export_name("ekho:offload/plugin@0.1.0#describe")))
ekho_plugin_description * ekho_plugin_describe_export_(void) {
  memset(&ekho_plugin_describe_result_, 0, sizeof ekho_plugin_describe_result_);
  ekho_plugin_describe(&ekho_plugin_describe_result_);
  return &ekho_plugin_describe_result_;
}
__attribute__((export_name("cabi_post_ekho:offload/plugin@0.1.0#describe")))
void ekho_plugin_describe_post_(void *result) {
  (void)result;
  ekho_empty_();
}

static ekho_result_none_string ekho_plugin_configure_result_;
__attribute__((export_name("ekho:offload/plugin@0.1.0#configure")))
ekho_result_none_string * ekho_plugin_configure_export_(uint32_t settings0, uint32_t settings1) {
  ekho_plugin_setting_list settings = {(void *)settings0, settings1};
  memset(&ekho_plugin_configure_result_, 0, sizeof ekho_plugin_configure_result_);
  ekho_plugin_configure(&settings, &ekho_plugin_configure_result_);
  return &ekho_plugin_configure_result_;
}
__attribute__((export_name("cabi_post_ekho:offload/plugin@0.1.0#configure")))
void ekho_plugin_configure_post_(void *result) {
  (void)result;
  ekho_empty_();
}

static ekho_result_none_string ekho_plugin_start_result_;
__attribute__((export_name("ekho:offload/plugin@0.1.0#start")))
ekho_result_none_string * ekho_plugin_start_export_(void) {
  memset(&ekho_plugin_start_result_, 0, sizeof ekho_plugin_start_result_);
  ekho_plugin_start(&ekho_plugin_start_result_);
  return &ekho_plugin_start_result_;
}
__attribute__((export_name("cabi_post_ekho:offload/plugin@0.1.0#start")))
void ekho_plugin_start_post_(void *result) {
  (void)result;
  ekho_empty_();
}

__attribute__((export_name("ekho:offload/plugin@0.1.0#stop")))
void ekho_plugin_stop_export_(void) {
  ekho_plugin_stop();
}
__attribute__((export_name("cabi_post_ekho:offload/plugin@0.1.0#stop")))
void ekho_plugin_stop_post_(void) {
  ekho_empty_();
}

typedef struct { ekho_batch changes; } ekho_offload_apply_parameters_;
static ekho_outcome_list ekho_offload_apply_result_;
__attribute__((export_name("ekho:offload/offload@0.1.0#apply")))
ekho_outcome_list * ekho_offload_apply_export_(ekho_offload_apply_parameters_ *p) {
  memset(&ekho_offload_apply_result_, 0, sizeof ekho_offload_apply_result_);
  ekho_offload_apply(&p->changes, &ekho_offload_apply_result_);
  return &ekho_offload_apply_result_;
}
__attribute__((export_name("cabi_post_ekho:offload/offload@0.1.0#apply")))
void ekho_offload_apply_post_(void *result) {
  (void)result;
  ekho_empty_();
}

static ekho_offload_page ekho_offload_readback_result_;
__attribute__((export_name("ekho:offload/offload@0.1.0#readback")))
ekho_offload_page * ekho_offload_readback_export_(uint32_t cursor0, uint32_t limit0) {
  memset(&ekho_offload_readback_result_, 0, sizeof ekho_offload_readback_result_);
  ekho_offload_readback((uint32_t)cursor0, (uint32_t)limit0, &ekho_offload_readback_result_);
  return &ekho_offload_readback_result_;
}
__attribute__((export_name("cabi_post_ekho:offload/offload@0.1.0#readback")))
void ekho_offload_readback_post_(void *result) {
  (void)result;
  ekho_empty_();
}

static ekho_event_list ekho_offload_poll_result_;
__attribute__((export_name("ekho:offload/offload@0.1.0#poll")))
ekho_event_list * ekho_offload_poll_export_(void) {
  memset(&ekho_offload_poll_result_, 0, sizeof ekho_offload_poll_result_);
  ekho_offload_poll(&ekho_offload_poll_result_);
  return &ekho_offload_poll_result_;
}
__attribute__((export_name("cabi_post_ekho:offload/offload@0.1.0#poll")))
void ekho_offload_poll_post_(void *result) {
  (void)result;
  ekho_empty_();
}

static ekho_table_usage_list ekho_offload_tables_result_;
__attribute__((export_name("ekho:offload/offload@0.1.0#tables")))
ekho_table_usage_list * ekho_offload_tables_export_(void) {
  memset(&ekho_offload_tables_result_, 0, sizeof ekho_offload_tables_result_);
  ekho_offload_tables(&ekho_offload_tables_result_);
  return &ekho_offload_tables_result_;
}
__attribute__((export_name("cabi_post_ekho:offload/offload@0.1.0#tables")))
void ekho_offload_tables_post_(void *result) {
  (void)result;
  ekho_empty_();
}

__attribute__((export_name("ekho:offload/notifier@0.1.0#notify")))
void ekho_notifier_notify_export_(uint32_t notices0, uint32_t notices1) {
  ekho_notice_list notices = {(void *)notices0, notices1};
  ekho_notifier_notify(&notices);
}
__attribute__((export_name("cabi_post_ekho:offload/notifier@0.1.0#notify")))
void ekho_notifier_notify_post_(void) {
  ekho_empty_();
}

static ekho_stats_page ekho_stats_collect_result_;
__attribute__((export_name("ekho:offload/stats@0.1.0#collect")))
ekho_stats_page * ekho_stats_collect_export_(uint32_t cursor0, uint32_t limit0) {
  memset(&ekho_stats_collect_result_, 0, sizeof ekho_stats_collect_result_);
  ekho_stats_collect((uint32_t)cursor0, (uint32_t)limit0, &ekho_stats_collect_result_);
  return &ekho_stats_collect_result_;
}
__attribute__((export_name("cabi_post_ekho:offload/stats@0.1.0#collect")))
void ekho_stats_collect_post_(void *result) {
  (void)result;
  ekho_empty_();
}

#endif
#endif
