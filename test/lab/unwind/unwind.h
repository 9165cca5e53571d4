/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands before every source of the module when it is built to be tested: each step that can fail, be it that memory is short or that a name is
 * taken, does so when its turn comes.
 */
#ifndef EKHO_UNWIND_H
#define EKHO_UNWIND_H

/* As the sources have it, which come too late for it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/etherdevice.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/netdevice.h>
#include <linux/platform_device.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/devlink.h>
#include <net/fib_notifier.h>
#include <net/flow_offload.h>
#include <net/net_namespace.h>
#include <net/nexthop.h>
#include <net/rtnetlink.h>
#include <net/switchdev.h>

bool ekho_unwind_fails(const char *what);

#define EKHO_FAILS(what, otherwise, error) \
	(ekho_unwind_fails(what) ? (error) : (otherwise))

#undef kzalloc
#define kzalloc(...) \
	EKHO_FAILS("kzalloc", alloc_hooks(kzalloc_noprof(__VA_ARGS__)), NULL)
#undef kvzalloc
#define kvzalloc(size, flags) \
	EKHO_FAILS("kvzalloc", kvmalloc(size, (flags) | __GFP_ZERO), NULL)
#define alloc_workqueue(...) \
	EKHO_FAILS("alloc_workqueue", alloc_workqueue(__VA_ARGS__), NULL)
#define ida_alloc(...) \
	EKHO_FAILS("ida_alloc", ida_alloc(__VA_ARGS__), -ENOMEM)
#define devlink_alloc_ns(...) \
	EKHO_FAILS("devlink_alloc_ns", devlink_alloc_ns(__VA_ARGS__), NULL)
#define flow_block_cb_alloc(...) \
	EKHO_FAILS("flow_block_cb_alloc", flow_block_cb_alloc(__VA_ARGS__), ERR_PTR(-ENOMEM))
#define platform_device_register_simple(...) \
	EKHO_FAILS("platform_device_register_simple", \
		   platform_device_register_simple(__VA_ARGS__), ERR_PTR(-ENOMEM))

/* Those that return 0 or a negative errno. */
#define EKHO_FAILS_INT(what, otherwise) EKHO_FAILS(what, otherwise, -ENOMEM)

#undef rhashtable_init
#define rhashtable_init(...) \
	EKHO_FAILS_INT("rhashtable_init", alloc_hooks(rhashtable_init_noprof(__VA_ARGS__)))
#define rhashtable_insert_fast(...) \
	EKHO_FAILS_INT("rhashtable_insert_fast", rhashtable_insert_fast(__VA_ARGS__))
#define anon_inode_getfd(...) \
	EKHO_FAILS_INT("anon_inode_getfd", anon_inode_getfd(__VA_ARGS__))
#define devl_resource_register(...) \
	EKHO_FAILS_INT("devl_resource_register", devl_resource_register(__VA_ARGS__))
#define devl_port_register(...) \
	EKHO_FAILS_INT("devl_port_register", devl_port_register(__VA_ARGS__))
#define flow_indr_dev_register(...) \
	EKHO_FAILS_INT("flow_indr_dev_register", flow_indr_dev_register(__VA_ARGS__))
#define register_btf_kfunc_id_set(...) \
	EKHO_FAILS_INT("register_btf_kfunc_id_set", register_btf_kfunc_id_set(__VA_ARGS__))
#define __register_bpf_struct_ops(...) \
	EKHO_FAILS_INT("register_bpf_struct_ops", __register_bpf_struct_ops(__VA_ARGS__))
/* The kernel has told of all routes by then, as when there is no room for the last of them. */
static inline int ekho_unwind_fib_notifier(struct net *net, struct notifier_block *nb,
					   void (*cb)(struct notifier_block *nb),
					   struct netlink_ext_ack *extack)
{
	bool fails = ekho_unwind_fails("register_fib_notifier");
	int err = register_fib_notifier(net, nb, cb, extack);

	if (err || !fails)
		return err;
	unregister_fib_notifier(net, nb);
	return -ENOMEM;
}

#define register_fib_notifier(...) ekho_unwind_fib_notifier(__VA_ARGS__)
#define register_netdevice(...) \
	EKHO_FAILS_INT("register_netdevice", register_netdevice(__VA_ARGS__))
#define register_netdevice_notifier(...) \
	EKHO_FAILS_INT("register_netdevice_notifier", register_netdevice_notifier(__VA_ARGS__))
#define register_nexthop_notifier(...) \
	EKHO_FAILS_INT("register_nexthop_notifier", register_nexthop_notifier(__VA_ARGS__))
#define register_pernet_subsys(...) \
	EKHO_FAILS_INT("register_pernet_subsys", register_pernet_subsys(__VA_ARGS__))
#define register_switchdev_notifier(...) \
	EKHO_FAILS_INT("register_switchdev_notifier", register_switchdev_notifier(__VA_ARGS__))
#define register_switchdev_blocking_notifier(...) \
	EKHO_FAILS_INT("register_switchdev_blocking_notifier", \
		       register_switchdev_blocking_notifier(__VA_ARGS__))
#define rtnl_link_register(...) \
	EKHO_FAILS_INT("rtnl_link_register", rtnl_link_register(__VA_ARGS__))

#endif
