/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The records in the ring, a struct for each kind of payload, all beginning with the same header. Their layout is the same
 * on every architecture: members are aligned to their size and nothing is left to padding. host/kernel/notifier/layouts.ts
 * describes them once more, and a test holds both to be equal.
 */
#ifndef EKHO_NOTIFIER_RECORD_H
#define EKHO_NOTIFIER_RECORD_H

#include <linux/types.h>

/* Gateways in one record; those of a route or a group beyond it are counted in `total` only. */
#define GATEWAYS_MAX 32

enum notifier_event {
	EVENT_ROUTE_REPLACE = 1,
	EVENT_ROUTE_APPEND,
	EVENT_ROUTE_ADD,
	EVENT_ROUTE_DELETE,
	EVENT_RULE_ADD,
	EVENT_RULE_DELETE,
	EVENT_NEXTHOP_ADD,
	EVENT_NEXTHOP_DELETE,
	EVENT_NEXTHOP_OBJECT_REPLACE,
	EVENT_NEXTHOP_OBJECT_DELETE,
	EVENT_NEXTHOP_BUCKET_REPLACE,
	EVENT_NEIGHBOUR_UPDATE,
	EVENT_LINK_UP,
	EVENT_LINK_DOWN,
	EVENT_LINK_CHANGE,
	EVENT_LINK_REGISTER,
	EVENT_LINK_UNREGISTER,
	EVENT_LINK_CHANGE_MTU,
	EVENT_LINK_CHANGE_ADDRESS,
	EVENT_LINK_CHANGE_NAME,
	EVENT_LINK_CHANGE_UPPER,
	EVENT_FDB_ADD_TO_BRIDGE,
	EVENT_FDB_DELETE_TO_BRIDGE,
	EVENT_FDB_ADD_TO_DEVICE,
	EVENT_FDB_DELETE_TO_DEVICE,
	EVENT_FDB_OFFLOADED,
	EVENT_FDB_FLUSH,
	EVENT_FDB_ADD,
	EVENT_FDB_LEARN,
	EVENT_FDB_EXTERNAL_LEARN,
	EVENT_FDB_DELETE,
	EVENT_VXLAN_FDB_ADD_TO_BRIDGE,
	EVENT_VXLAN_FDB_DELETE_TO_BRIDGE,
	EVENT_VXLAN_FDB_ADD_TO_DEVICE,
	EVENT_VXLAN_FDB_DELETE_TO_DEVICE,
	EVENT_VXLAN_FDB_OFFLOADED,
	EVENT_PORT_OBJECT_ADD,
	EVENT_PORT_OBJECT_DELETE,
	EVENT_PORT_ATTRIBUTE_SET,
	EVENT_BRIDGE_PORT_OFFLOAD,
	EVENT_BRIDGE_PORT_UNOFFLOAD,
};

struct notifier_header {
	__u64 time;	/* bpf_ktime_get_ns(): CLOCK_MONOTONIC */
	__u64 netns;	/* net->net_cookie */
	__u64 sequence;	/* of this CPU, from 0 on, lost records included */
	__u32 cpu;
	__s32 ifindex;
	enum notifier_event event;
	__u8 family;
	__u8 unused[3];
};

/* A nexthop: struct fib_nh_common. */
struct gateway {
	__u8 address[16];
	__s32 ifindex;
	__u32 weight;
	__u32 nexthop_id;	/* of the nexthop object, if it is one */
	__u8 family;		/* of the address; 0 without a gateway */
	__u8 flags;		/* RTNH_F_* */
	__u8 scope;
	__u8 encap;		/* enum lwtunnel_encap_types */
};

struct route_record {
	struct notifier_header header;
	__u8 dst[16];
	__u8 src[16];
	__u8 prefsrc[16];
	__u32 table;
	__u32 priority;
	__u32 nexthop_id;
	__u32 flags;		/* RTNH_F_* of a fib_info, RTF_* of a fib6_info */
	__u8 dst_len;
	__u8 src_len;
	__u8 tos;
	__u8 type;
	__u8 protocol;
	__u8 scope;
	__u8 unused[2];
	__u32 total;		/* gateways the route has */
	__u32 count;		/* gateways in the record */
	struct gateway gateways[1];
};

struct route_multipath_record {
	struct route_record route;
	struct gateway more[GATEWAYS_MAX - 1];
};

struct rule_record {
	struct notifier_header header;
	__u8 dst[16];
	__u8 src[16];
	char iif[16];
	char oif[16];
	__u64 tun_id;
	__u32 table;
	__u32 priority;
	__u32 target;
	__u32 mark;
	__u32 mark_mask;
	__u32 flags;		/* FIB_RULE_* */
	__s32 suppress_ifgroup;
	__s32 suppress_prefixlen;
	__u32 uid_start;
	__u32 uid_end;
	__u16 sport_start;
	__u16 sport_end;
	__u16 dport_start;
	__u16 dport_end;
	__u8 dst_len;
	__u8 src_len;
	__u8 tos;
	__u8 action;
	__u8 l3mdev;
	__u8 protocol;
	__u8 ip_proto;
	__u8 unused;
};

/* The gateway of a fib_info that came alive or died. */
struct fib_nexthop_record {
	struct notifier_header header;
	struct gateway gateway;
	__u32 table;
	__u32 priority;
};

struct nexthop_record {
	struct notifier_header header;
	__u32 id;
	__u8 protocol;
	__u8 flags;
	__u8 is_group;
	__u8 is_resilient;
	__u8 is_blackhole;
	__u8 is_fdb;
	__u8 unused[2];
	__u32 total;
	__u32 count;
	__u32 unused2;
	struct gateway gateways[1];
};

struct nexthop_group_record {
	struct nexthop_record nexthop;
	struct gateway more[GATEWAYS_MAX - 1];
};

struct nexthop_bucket_record {
	struct notifier_header header;
	__u32 id;
	__u32 bucket;
	__u32 old_nexthop;
	__u32 new_nexthop;
	__u32 force;
	__u32 unused;
};

struct neighbour_record {
	struct notifier_header header;
	__u8 dst[16];
	__u8 lladdr[32];
	__u32 flags;		/* NTF_*, extended ones from bit 8 on */
	__u8 state;		/* NUD_* */
	__u8 type;
	__u8 protocol;
	__u8 dead;
	__u8 dst_length;
	__u8 lladdr_length;
	__u8 unused[6];
};

struct link_record {
	struct notifier_header header;
	char name[16];
	__u8 address[32];
	__u32 flags;		/* IFF_* */
	__u32 mtu;
	__s32 upper;
	__u8 operstate;
	__u8 address_length;
	__u8 master;
	__u8 linking;
	char upper_name[16];
};

struct fdb_record {
	struct notifier_header header;
	__u8 mac[6];
	__u16 vlan;
	__s32 bridge;		/* ifindex, where the kernel tells it */
	__u16 state;		/* NUD_*, of entries that are added by users */
	__u8 flags;		/* FDB_* */
	__u8 ndm_flags;		/* NTF_* */
};

#define FDB_ADDED_BY_USER 1
#define FDB_LOCAL 2
#define FDB_LOCKED 4
#define FDB_OFFLOADED 8

struct vxlan_fdb_record {
	struct notifier_header header;
	__u8 remote[16];
	__u8 mac[6];
	__u16 remote_port;
	__u32 vni;
	__u32 remote_vni;
	__s32 remote_ifindex;
	__u8 flags;		/* FDB_* */
	__u8 unused[3];
};

struct port_object_record {
	struct notifier_header header;
	__s32 orig;		/* ifindex of the device the bridge named */
	__u32 id;		/* enum switchdev_obj_id */
	__u32 flags;		/* SWITCHDEV_F_* */
	__u16 vlan;
	__u16 vlan_flags;	/* BRIDGE_VLAN_INFO_* */
	__u8 mac[6];
	__u8 changed;
	__u8 unused;
};

struct port_attribute_record {
	struct notifier_header header;
	__s32 orig;
	__u32 id;		/* enum switchdev_attr_id */
	__u64 value;
	__u64 mask;		/* of bridge flags; the VLAN or MST instance of their states */
};

struct bridge_port_record {
	struct notifier_header header;
	__s32 device;		/* the one that takes over; 0 when it is given back */
	__u32 tx_forward;
};

#endif
