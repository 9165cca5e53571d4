/* SPDX-License-Identifier: GPL-2.0 */
/* The switch that a network namespace's ports of type ekho are of. */
#ifndef EKHO_SWITCH_H
#define EKHO_SWITCH_H

#include <linux/atomic.h>
#include <net/devlink.h>
#include "ekho.h"

struct platform_device;
struct dentry;

/* Where a port is plugged in; under RTNL. */
struct ekho_plug {
	struct list_head list;
	struct net_device *dev;
	/* NULL without one. */
	struct ekho_switch *sw;
	struct devlink_port port;
};

/* Room in hardware. */
struct ekho_room {
	u64 size;
	atomic64_t used;
};

struct ekho_fib {
	/* Everything but what belongs to the switch's lock. */
	spinlock_t lock;
	struct rhashtable table;
	/* In the order in which they came. */
	struct list_head routes;
	/* Those that firmware is to be told of. */
	struct list_head dirty;
	struct ekho_room room4, room6;
	u64 last_id;
	struct notifier_block notifier;
	struct delayed_work work;
};

struct ekho_switch {
	/* Under RTNL and ekho_ports_lock; either is enough to look. */
	struct list_head list;
	struct net *net;
	struct platform_device *parent;
	struct devlink *devlink;
	struct list_head plugs;
	/* Opens and closes what takes RTNL itself. */
	struct work_struct work;
	bool is_opening, is_open, is_going;

	/* Everything below; taken inside of all other locks but fib.lock. */
	struct mutex lock;
	struct ekho_offload_ops *ops;
	/* Between the two halves of a reload, and after one that failed. */
	bool is_down;
	/* The kernel is about to tell no more of nexthops. */
	bool is_closing;
	struct ekho_fib fib;
	struct ekho_route_call route_call;
	struct notifier_block nexthop_notifier;
	struct rhashtable nexthop_table;
	/* In the order in which they came. */
	struct list_head nexthops;
	struct ekho_room nexthop_room;
	struct ekho_nexthop_call nexthop_call;
	struct dentry *knobs;
	bool fail_route_offload, fail_route_delete;
	bool fail_res_nexthop_group_replace, fail_nexthop_bucket_replace;
};

/* devlink.c */
int ekho_devlink_register(struct ekho_switch *sw);
void ekho_devlink_unregister(struct ekho_switch *sw);

/* switch.c */
void ekho_switch_withdraw(struct ekho_switch *sw);
int ekho_switch_offer(struct ekho_switch *sw, struct netlink_ext_ack *extack);
int ekho_plug_join(struct ekho_plug *plug, struct net_device *dev,
		   unsigned int number);
void ekho_plug_leave(struct ekho_plug *plug);
int ekho_switch_init(void);
void ekho_switch_exit(void);

/* fib.c */
int ekho_fib_init(struct ekho_switch *sw);
void ekho_fib_exit(struct ekho_switch *sw);
int ekho_fib_open(struct ekho_switch *sw);
void ekho_fib_close(struct ekho_switch *sw);
void ekho_fib_detach(struct ekho_switch *sw);
void ekho_fib_replay(struct ekho_switch *sw);

/* nexthop.c */
extern const struct file_operations ekho_activity_fops;
int ekho_nexthops_init(struct ekho_switch *sw);
void ekho_nexthops_exit(struct ekho_switch *sw);
int ekho_nexthops_open(struct ekho_switch *sw);
void ekho_nexthops_close(struct ekho_switch *sw);
void ekho_nexthops_detach(struct ekho_switch *sw);
void ekho_nexthops_replay(struct ekho_switch *sw);

#endif
