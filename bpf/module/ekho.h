/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the module know of each other. */
#ifndef EKHO_H
#define EKHO_H

#include <linux/completion.h>
#include <linux/etherdevice.h>
#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/workqueue.h>
#include <net/flow_offload.h>
#include <net/inet_dscp.h>
#include "ekho_firmware.h"

struct fib_info;
struct fib6_info;
struct switchdev_notifier_fdb_info;

#define EKHO_KIND "ekho"
/* Rules of one port; the kernel is refused what is more. */
#define EKHO_FLOWS_MAX 1000000
/* Entries, VLANs and groups of one port; software does what is more. */
#define EKHO_OBJECTS_MAX 1000000
/* Longest that a program may wait for user space. */
#define EKHO_WAIT_MS_MAX 500

/* Routes of one namespace; software does what is more. */
#define EKHO_ROUTES_MAX (4 * 1024 * 1024)

enum ekho_hook {
	EKHO_HOOK_INGRESS,
	EKHO_HOOK_EGRESS,
	EKHO_HOOK_FLOWTABLE,
	EKHO_HOOKS,
	/* Of no port, and nothing is bound to it. */
	EKHO_HOOK_ACTION,
};

/* A place where blocks of rules are bound to a port. */
struct ekho_binding {
	struct ekho_firmware_port *port;
	enum ekho_hook hook;
	bool is_shared;
	struct list_head blocks;
};

/*
 * One call of a program. The context comes first: it is what the program gets
 * and hands back to kfuncs.
 */
struct ekho_call {
	struct ekho_flow_ctx ctx;
	struct flow_stats *stats;
	struct netlink_ext_ack *extack;
	struct ekho_flow *flow;
	/* Under ekho_requests_lock while the call is open. */
	struct list_head list;
	/* Whom it is a call of. */
	const struct ekho_offload_ops *ops;
	struct completion done;
	bool is_answered;
	int answer;
};

/* Firmware that goes, from the first look at its calls until it is gone. */
struct ekho_leave {
	struct list_head list;
	const struct ekho_offload_ops *ops;
};

/* One call about a route. */
struct ekho_route_call {
	struct ekho_route_ctx ctx;
	/* enum ekho_mark_flags */
	u32 mark;
};

/* One call about a nexthop object. */
struct ekho_nexthop_call {
	struct ekho_nexthop_ctx ctx;
	/* enum ekho_mark_flags */
	u32 mark;
	struct netlink_ext_ack *extack;
};

struct ekho_attr {
	/* Which bits of the value were ever set. */
	u32 value, mask;
};

struct ekho_firmware_port {
	/* Under ekho_ports_lock. */
	struct list_head list;
	/* NULL: it is for the actions of a namespace, @net. */
	struct net_device *dev;
	struct net *net;
	/* Of the link of a tunnel, which is no port of a switch. */
	struct ekho_tunnel tunnel;
	/* Everything below; taken inside of RTNL and ekho_ports_lock. */
	struct mutex lock;
	/* The device's, which changes them without these locks. */
	u32 netns, ifindex;
	struct ekho_offload_ops *ops;
	struct rhashtable table;
	/* In the order the kernel brought them. */
	struct list_head flows;
	unsigned int flow_count, offloaded_count;
	struct ekho_call call;
	struct ekho_binding bindings[EKHO_HOOKS];
	/* What the bridge wants, in the order in which it told. */
	struct rhashtable object_table;
	struct list_head objects;
	unsigned int object_count;
	/* Index of the bridge; set under RTNL, too. */
	u32 bridge;
	struct ekho_attr attrs[EKHO_PORT_ATTRS];

	/* There are groups of which it is not known whether they are gone. */
	bool has_doubts;

	/* By device, with RTNL or RCU. */
	struct hlist_node by_dev;
	/* Of fdb.c. */
	struct list_head fdb_events;
	unsigned int fdb_waiting;
	bool fdb_overrun;
};

enum ekho_object_kind {
	EKHO_OBJECT_FDB,
	EKHO_OBJECT_VLAN,
	EKHO_OBJECT_MDB,
};

struct ekho_object_key {
	/* enum ekho_object_kind */
	u8 kind;
	/* Of the bridge itself. */
	u8 is_host;
	u16 vlan;
	u8 mac[ETH_ALEN];
	u16 unused;
};

/* An entry, a VLAN or a group of the port's bridge. */
struct ekho_object {
	struct rhash_head node;
	struct list_head list;
	struct ekho_object_key key;
	/* enum ekho_bridge_call_flags */
	u32 flags;
	u16 vlan_flags;
	/* The firmware that is attached now has it. */
	bool is_offloaded;
	/* The bridge shows that. */
	bool is_marked;
	/* The bridge told of it more than once. */
	bool is_shared;
	/* It is gone, or the bridge still has another one that looks like it. */
	bool is_doubted;
};

struct ekho_flow_key {
	/* The kernel's, which is used again when the rule is gone. */
	unsigned long cookie;
	/* enum ekho_hook */
	u32 hook;
	u32 kind;
};

/* A rule the kernel believes to be offloaded. */
struct ekho_flow {
	struct rhash_head node;
	struct list_head list;
	struct ekho_flow_key key;
	u64 id;
	/* Whether the firmware that is attached now has it. */
	bool is_offloaded;
	u32 flags;
	u32 chain, preference;
	__be16 protocol;
	u64 packets, bytes, drops;
	struct ekho_flow_match match;
	u32 action_count;
	struct ekho_flow_action actions[] __counted_by(action_count);
};

/* firmware.c */
extern struct mutex ekho_ports_lock;
struct ekho_firmware_port *ekho_port_find(const struct net_device *dev);
void ekho_ports_of_bridge(const struct net_device *bridge,
			  const struct net_device *except,
			  void (*visit)(struct ekho_firmware_port *port,
					const void *data),
			  const void *data);
void ekho_ports_visit(void (*visit)(struct ekho_firmware_port *port));
struct ekho_firmware_port *ekho_port_create(struct net_device *dev,
					    struct net *net,
					    const struct ekho_tunnel *tunnel);
struct ekho_firmware_port *ekho_port_of_actions(const struct net *net);
void ekho_ports_resolve(void);
void ekho_ports_hand_over(struct ekho_offload_ops *from,
			  struct ekho_offload_ops *to);
int ekho_firmware_init(void);
void ekho_firmware_exit(void);

/* ops.c */
struct ekho_offload_ops *ekho_ops_find(const struct ekho_firmware_port *port);
struct ekho_offload_ops *ekho_ops_find_net(const struct net *net);
int ekho_ops_init(void);

/* kfunc.c */
int ekho_kfunc_init(void);
void ekho_call_open(struct ekho_call *call, const struct ekho_offload_ops *ops);
void ekho_call_close(struct ekho_call *call);
void ekho_calls_abort(struct ekho_leave *leave,
		      const struct ekho_offload_ops *ops);
void ekho_calls_aborted(struct ekho_leave *leave);

/* flow.c */
int ekho_flows_init(struct ekho_firmware_port *port);
void ekho_flows_exit(struct ekho_firmware_port *port);
void ekho_flows_move(struct ekho_firmware_port *port,
		     struct ekho_offload_ops *ops);
void ekho_flows_hand_over(struct ekho_firmware_port *port,
			  struct ekho_offload_ops *ops);
int ekho_flow_setup(enum tc_setup_type type, void *type_data, void *priv);
void ekho_flows_release(void *priv);
int ekho_flow_action(struct ekho_firmware_port *port,
		     struct flow_offload_action *offload);

/* bridge.c */
int ekho_bridge_init(struct ekho_firmware_port *port);
void ekho_bridge_exit(struct ekho_firmware_port *port);
int ekho_bridge_add(struct ekho_firmware_port *port,
		    const struct ekho_object_key *key, u32 object_flags,
		    u16 vlan_flags, u32 flags);
void ekho_bridge_del(struct ekho_firmware_port *port,
		     const struct ekho_object_key *key);
int ekho_bridge_set(struct ekho_firmware_port *port, u32 attr, u32 value,
		    u32 mask, u32 flags);
void ekho_bridge_withdraw_fdb(struct ekho_firmware_port *port);
void ekho_bridge_settle(struct ekho_firmware_port *port);
void ekho_bridge_clear(struct ekho_firmware_port *port);
void ekho_bridge_detach(struct ekho_firmware_port *port);
void ekho_bridge_replay(struct ekho_firmware_port *port);

/* What a bridge has of an address. */
struct ekho_fdb_entry {
	bool is_there;
	/* The bridge itself for its own. */
	u32 port;
	bool is_static;
	/* By others than the bridge. */
	bool is_learned;
	/* Of a station that is not admitted yet. */
	bool is_locked;
};

/* fdb_look.c */
int ekho_fdb_look(struct net_device *bridge, const u8 *mac, u16 vlan,
		  struct ekho_fdb_entry *entry, gfp_t gfp);

/* fdb.c */
void ekho_fdb_tell(struct ekho_firmware_port *port,
		   const struct switchdev_notifier_fdb_info *info, bool is_gone,
		   u32 flags);
void ekho_fdb_forget(struct ekho_firmware_port *port);
void ekho_resync(void);
void ekho_fdb_open(struct ekho_firmware_port *port);
int ekho_fdb_init(void);
void ekho_fdb_exit(void);

/* switchdev.c */
int ekho_switchdev_replay(struct ekho_firmware_port *port, bool is_fdb);
void ekho_bridge_event(struct ekho_firmware_port *port, unsigned long event,
		       const struct netdev_notifier_changeupper_info *info);
int ekho_switchdev_init(void);
void ekho_switchdev_exit(void);

/* match.c */
int ekho_match_fill(struct ekho_flow_match *match, const struct flow_rule *rule,
		    struct netlink_ext_ack *extack);

/* action.c */
int ekho_actions_fill(struct ekho_flow_action *actions,
		      const struct flow_action *from,
		      struct netlink_ext_ack *extack);

/* act.c */
int ekho_act_init(void);
void ekho_act_exit(void);

/* tunnel.c */
int ekho_tunnel_init(void);
void ekho_tunnel_exit(void);

/* mark.c: kfuncs */
int ekho_marks_open(int netns, u32 flags);
int ekho_marks_set(int fd, void *marks, u32 marks__sz, u32 count);
int ekho_marks_activity(int fd, u32 nexthop, void *buckets, u32 buckets__sz,
			u32 count);

/* check.c */
u32 ekho_check_route4(struct fib_info *route, u8 type, dscp_t dscp);
u32 ekho_check_route6(struct fib6_info **routes, unsigned int count);

/* switch.c */
void ekho_switches_resolve(void);
void ekho_switches_hand_over(struct ekho_offload_ops *from,
			     struct ekho_offload_ops *to);

/* port.c */
int ekho_link_init(void);
void ekho_link_exit(void);

#endif
