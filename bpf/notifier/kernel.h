/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The kernel's own types, as far as the notifiers read them. Members are found by name when the programs are loaded
 * (CO-RE), so neither order nor offsets matter here; what is missing on some kernels is asked for with
 * bpf_core_field_exists(). Follows Linux 6.1 to 6.18.
 */
#ifndef EKHO_NOTIFIER_KERNEL_H
#define EKHO_NOTIFIER_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10
#define ETH_ALEN 6
#define NTF_USE 0x01
#define NTF_EXT_LEARNED 0x10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

/* include/net/net_namespace.h, include/linux/netdevice.h */
struct net {
	__u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	char name[16];
	int ifindex;
	unsigned int flags;
	unsigned int mtu;
	unsigned char operstate;
	unsigned char addr_len;
	const unsigned char *dev_addr;
	possible_net_t nd_net;
};

struct netdev_notifier_info {
	struct net_device *dev;
};

struct netdev_notifier_changeupper_info {
	struct netdev_notifier_info info;
	struct net_device *upper_dev;
	bool master;
	bool linking;
};

/* include/net/neighbour.h */
struct neigh_table {
	int family;
	unsigned int key_len;
};

struct neighbour {
	struct neigh_table *tbl;
	__u8 nud_state;
	__u8 type;
	__u8 dead;
	__u8 protocol;
	__u32 flags;
	unsigned char ha[32];
	struct net_device *dev;
	__u8 primary_key[0];
};

/* include/net/lwtunnel.h, include/net/ip_fib.h */
struct lwtunnel_state {
	__u16 type;
};

struct fib_nh_common {
	struct net_device *nhc_dev;
	int nhc_oif;
	unsigned char nhc_scope;
	__u8 nhc_family;
	__u8 nhc_gw_family;
	unsigned char nhc_flags;
	struct lwtunnel_state *nhc_lwtstate;
	union {
		__u32 ipv4;
	} nhc_gw;
	int nhc_weight;
};

struct fib_nh {
	struct fib_nh_common nh_common;
	struct fib_info *nh_parent;
};

struct fib_info {
	struct net *fib_net;
	unsigned int fib_flags;
	unsigned char fib_protocol;
	unsigned char fib_scope;
	unsigned char fib_type;
	__u32 fib_prefsrc;
	__u32 fib_tb_id;
	__u32 fib_priority;
	int fib_nhs;
	struct nexthop *nh;
	struct fib_nh fib_nh[0];
};

/* include/net/ip6_fib.h */
struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct rt6key {
	struct in6_addr addr;
	int plen;
};

struct fib6_table {
	__u32 tb6_id;
};

struct fib6_nh {
	struct fib_nh_common nh_common;
};

struct fib6_info {
	struct fib6_table *fib6_table;
	union {
		struct list_head fib6_siblings;
	};
	struct rt6key fib6_dst;
	__u32 fib6_flags;
	struct rt6key fib6_src;
	struct rt6key fib6_prefsrc;
	__u32 fib6_metric;
	__u8 fib6_protocol;
	__u8 fib6_type;
	struct nexthop *nh;
	struct fib6_nh fib6_nh[0];
};

/* include/net/fib_notifier.h and those above */
struct fib_notifier_info {
	int family;
};

struct fib_entry_notifier_info {
	struct fib_notifier_info info;
	__u32 dst;
	int dst_len;
	struct fib_info *fi;
	__u8 dscp;
	__u8 type;
	__u32 tb_id;
};

struct fib6_entry_notifier_info {
	struct fib_notifier_info info;
	struct fib6_info *rt;
	unsigned int nsiblings;
};

struct fib_nh_notifier_info {
	struct fib_notifier_info info;
	struct fib_nh *fib_nh;
};

struct fib_rule_notifier_info {
	struct fib_notifier_info info;
	struct fib_rule *rule;
};

/* include/net/fib_rules.h, net/ipv4/fib_rules.c, net/ipv6/fib6_rules.c */
struct fib_kuid_range {
	struct {
		unsigned int val;
	} start, end;
};

struct fib_rule_port_range {
	__u16 start;
	__u16 end;
};

struct fib_rule {
	__u32 mark;
	__u32 mark_mask;
	__u32 flags;
	__u32 table;
	__u8 action;
	__u8 l3mdev;
	__u8 proto;
	__u8 ip_proto;
	__u32 target;
	__u64 tun_id;
	__u32 pref;
	int suppress_ifgroup;
	int suppress_prefixlen;
	char iifname[16];
	char oifname[16];
	struct fib_kuid_range uid_range;
	struct fib_rule_port_range sport_range;
	struct fib_rule_port_range dport_range;
};

struct fib4_rule {
	struct fib_rule common;
	__u8 dst_len;
	__u8 src_len;
	__u8 dscp;
	__u32 src;
	__u32 dst;
};

struct fib6_rule {
	struct fib_rule common;
	struct rt6key src;
	struct rt6key dst;
	__u8 dscp;
};

/* include/net/nexthop.h, net/ipv4/nexthop.c */
struct nh_info {
	__u8 family;
	bool reject_nh;
	bool fdb_nh;
	union {
		struct fib_nh_common fib_nhc;
	};
};

struct nh_grp_entry {
	struct nexthop *nh;
	__u16 weight;
	union {
		struct {
			struct list_head uw_nh_entry;
		} res;
	};
};

struct nh_group {
	__u16 num_nh;
	bool resilient;
	bool fdb_nh;
	struct nh_grp_entry nh_entries[0];
};

struct nexthop {
	struct net *net;
	__u32 id;
	__u8 protocol;
	__u8 nh_flags;
	bool is_group;
	union {
		struct nh_info *nh_info;
		struct nh_group *nh_grp;
	};
};

struct nh_res_bucket {
	struct nh_grp_entry *nh_entry;
};

struct nh_res_table {
	struct net *net;
	__u32 nhg_id;
	struct list_head uw_nh_entries;
	__u16 num_nh_buckets;
	struct nh_res_bucket nh_buckets[0];
};

/* include/net/switchdev.h */
struct switchdev_notifier_info {
	struct net_device *dev;
};

struct switchdev_notifier_fdb_info {
	struct switchdev_notifier_info info;
	const unsigned char *addr;
	__u16 vid;
	__u8 added_by_user : 1, is_local : 1, locked : 1, offloaded : 1;
};

struct switchdev_brport_flags {
	unsigned long val;
	unsigned long mask;
};

struct switchdev_mst_state {
	__u16 msti;
	__u8 state;
};

struct switchdev_vlan_msti {
	__u16 vid;
	__u16 msti;
};

enum switchdev_attr_id {
	SWITCHDEV_ATTR_ID_PORT_STP_STATE = 1,
	SWITCHDEV_ATTR_ID_PORT_MST_STATE,
	SWITCHDEV_ATTR_ID_PORT_BRIDGE_FLAGS,
	SWITCHDEV_ATTR_ID_PORT_PRE_BRIDGE_FLAGS,
	SWITCHDEV_ATTR_ID_PORT_MROUTER,
	SWITCHDEV_ATTR_ID_BRIDGE_AGEING_TIME,
	SWITCHDEV_ATTR_ID_BRIDGE_VLAN_FILTERING,
	SWITCHDEV_ATTR_ID_BRIDGE_VLAN_PROTOCOL,
	SWITCHDEV_ATTR_ID_BRIDGE_MC_DISABLED,
	SWITCHDEV_ATTR_ID_BRIDGE_MROUTER,
	SWITCHDEV_ATTR_ID_BRIDGE_MST,
	SWITCHDEV_ATTR_ID_MRP_PORT_ROLE,
	SWITCHDEV_ATTR_ID_VLAN_MSTI,
};

struct switchdev_attr {
	struct net_device *orig_dev;
	enum switchdev_attr_id id;
	__u32 flags;
	union {
		__u8 stp_state;
		struct switchdev_mst_state mst_state;
		struct switchdev_brport_flags brport_flags;
		bool mrouter;
		long ageing_time;
		bool vlan_filtering;
		__u16 vlan_protocol;
		bool mst;
		bool mc_disabled;
		__u8 mrp_port_role;
		struct switchdev_vlan_msti vlan_msti;
	} u;
};

enum switchdev_obj_id {
	SWITCHDEV_OBJ_ID_PORT_VLAN = 1,
	SWITCHDEV_OBJ_ID_PORT_MDB,
	SWITCHDEV_OBJ_ID_HOST_MDB,
	SWITCHDEV_OBJ_ID_MRP,
	SWITCHDEV_OBJ_ID_RING_TEST_MRP,
	SWITCHDEV_OBJ_ID_RING_ROLE_MRP,
	SWITCHDEV_OBJ_ID_RING_STATE_MRP,
	SWITCHDEV_OBJ_ID_IN_TEST_MRP,
	SWITCHDEV_OBJ_ID_IN_ROLE_MRP,
	SWITCHDEV_OBJ_ID_IN_STATE_MRP,
};

struct switchdev_obj {
	struct net_device *orig_dev;
	enum switchdev_obj_id id;
	__u32 flags;
};

struct switchdev_obj_port_vlan {
	struct switchdev_obj obj;
	__u16 flags;
	__u16 vid;
	bool changed;
};

struct switchdev_obj_port_mdb {
	struct switchdev_obj obj;
	unsigned char addr[ETH_ALEN];
	__u16 vid;
};

/* include/uapi/linux/neighbour.h */
struct ndmsg {
	__u16 ndm_state;
	__u8 ndm_flags;
};

/* net/bridge/br_private.h */
typedef struct {
	unsigned char addr[ETH_ALEN];
} mac_addr;

struct net_bridge {
	struct net_device *dev;
};

struct net_bridge_port {
	struct net_device *dev;
};

struct net_bridge_fdb_key {
	mac_addr addr;
	__u16 vlan_id;
};

struct net_bridge_fdb_entry {
	struct net_bridge_port *dst;
	struct net_bridge_fdb_key key;
};

#pragma clang attribute pop

/* The names are the kernel's, the values are asked for with bpf_core_enum_value(). */
enum fib_event_type {
	FIB_EVENT_ENTRY_REPLACE,
	FIB_EVENT_ENTRY_APPEND,
	FIB_EVENT_ENTRY_ADD,
	FIB_EVENT_ENTRY_DEL,
	FIB_EVENT_RULE_ADD,
	FIB_EVENT_RULE_DEL,
	FIB_EVENT_NH_ADD,
	FIB_EVENT_NH_DEL,
};

enum nexthop_event_type {
	NEXTHOP_EVENT_DEL,
	NEXTHOP_EVENT_REPLACE,
};

enum netevent_notif_type {
	NETEVENT_NEIGH_UPDATE = 1,
};

enum netdev_cmd {
	NETDEV_UP = 1,
	NETDEV_DOWN,
	NETDEV_CHANGE = 4,
	NETDEV_REGISTER,
	NETDEV_UNREGISTER,
	NETDEV_CHANGEMTU,
	NETDEV_CHANGEADDR,
	NETDEV_CHANGENAME = 11,
	NETDEV_CHANGEUPPER = 22,
};

enum switchdev_notifier_type {
	SWITCHDEV_FDB_ADD_TO_BRIDGE = 1,
	SWITCHDEV_FDB_DEL_TO_BRIDGE,
	SWITCHDEV_FDB_ADD_TO_DEVICE,
	SWITCHDEV_FDB_DEL_TO_DEVICE,
	SWITCHDEV_FDB_OFFLOADED,
	SWITCHDEV_FDB_FLUSH_TO_BRIDGE,
	SWITCHDEV_VXLAN_FDB_ADD_TO_BRIDGE = 10,
	SWITCHDEV_VXLAN_FDB_DEL_TO_BRIDGE,
	SWITCHDEV_VXLAN_FDB_ADD_TO_DEVICE,
	SWITCHDEV_VXLAN_FDB_DEL_TO_DEVICE,
	SWITCHDEV_VXLAN_FDB_OFFLOADED,
};

/* include/net/vxlan.h: union vxlan_addr */
union vxlan_address {
	__u16 family;
	struct {
		__u16 family;
		__u16 port;
		__u32 address;
	} v4;
	struct {
		__u16 family;
		__u16 port;
		__u32 flow;
		__u8 address[16];
		__u32 scope;
	} v6;
};

struct switchdev_notifier_vxlan_fdb_info {
	union {
		__u16 family;
	} remote_ip;
	__u16 remote_port;
	__u32 remote_vni;
	__u32 remote_ifindex;
	__u8 eth_addr[ETH_ALEN];
	__u32 vni;
	bool offloaded;
	bool added_by_user;
} __attribute__((preserve_access_index));

/*
 * The same, complete: where vxlan is a module that is not loaded, the kernel has no BTF of it to find members by, and
 * the layout of Linux 5.5 to 6.18 stands in.
 */
struct vxlan_fdb_info {
	void *info[3];
	union vxlan_address remote_ip;
	__u16 remote_port;
	__u32 remote_vni;
	__u32 remote_ifindex;
	__u8 eth_addr[ETH_ALEN];
	__u32 vni;
	bool offloaded;
	bool added_by_user;
};

#endif
