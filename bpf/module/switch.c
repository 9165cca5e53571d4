// SPDX-License-Identifier: GPL-2.0
/*
 * Switches: all ports of type ekho in a network namespace are of one, which is
 * there from the first of them to the last. Firmware that is for the whole
 * namespace serves it.
 *
 * Ports come and go under RTNL, so a switch's devlink lock is taken inside of
 * RTNL: nothing that devlink calls may take RTNL. What takes RTNL by itself, to
 * follow routes, is done by a worker.
 */
#include <linux/debugfs.h>
#include <linux/platform_device.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include "switch.h"

static LIST_HEAD(ekho_switches);
/* Switches are opened and closed one after the other. */
static struct workqueue_struct *ekho_switch_queue;
static struct dentry *ekho_knobs;

/* Firmware goes, or hardware starts anew. */
void ekho_switch_withdraw(struct ekho_switch *sw)
{
	lockdep_assert_held(&sw->lock);
	ekho_fib_detach(sw);
	ekho_nexthops_detach(sw);
}

/* Firmware gets all there is; -ENOSPC if that is more than there is room for. */
int ekho_switch_offer(struct ekho_switch *sw, struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&sw->lock);
	if (atomic64_read(&sw->fib.room4.used) > sw->fib.room4.size ||
	    atomic64_read(&sw->fib.room6.used) > sw->fib.room6.size) {
		NL_SET_ERR_MSG_MOD(extack, "the kernel has more routes than the switch has room for");
		return -ENOSPC;
	}
	if (atomic64_read(&sw->nexthop_room.used) > sw->nexthop_room.size) {
		NL_SET_ERR_MSG_MOD(extack, "the kernel has more nexthops than the switch has room for");
		return -ENOSPC;
	}
	ekho_nexthops_replay(sw);
	ekho_fib_replay(sw);
	return 0;
}

static void ekho_switch_move(struct ekho_switch *sw,
			     struct ekho_offload_ops *ops)
{
	mutex_lock(&sw->lock);
	if (sw->ops != ops) {
		ekho_switch_withdraw(sw);
		sw->ops = ops;
		if (ops && !sw->is_down)
			ekho_switch_offer(sw, NULL);
	}
	mutex_unlock(&sw->lock);
}

/* Gives every switch the firmware that is there for it now. */
void ekho_switches_resolve(void)
{
	struct ekho_switch *sw;

	lockdep_assert_held(&ekho_ports_lock);
	list_for_each_entry(sw, &ekho_switches, list)
		ekho_switch_move(sw, ekho_ops_find_net(sw->net));
}

/* Gives the switches of one firmware to another, with all it holds. */
void ekho_switches_hand_over(struct ekho_offload_ops *from,
			     struct ekho_offload_ops *to)
{
	struct ekho_switch *sw;

	lockdep_assert_held(&ekho_ports_lock);
	list_for_each_entry(sw, &ekho_switches, list) {
		mutex_lock(&sw->lock);
		if (sw->ops == from) {
			sw->ops = to;
			ekho_switch_offer(sw, NULL);
		}
		mutex_unlock(&sw->lock);
	}
}

static void ekho_switch_open(struct ekho_switch *sw)
{
	int err = ekho_nexthops_open(sw);

	if (err)
		goto err_nexthops;
	err = ekho_fib_open(sw);
	if (err)
		goto err_fib;
	sw->is_open = true;
	return;

err_fib:
	ekho_nexthops_close(sw);
err_nexthops:
	dev_warn(&sw->parent->dev, "routes are not followed: %d\n", err);
}

static void ekho_switch_free(struct ekho_switch *sw)
{
	if (sw->is_open) {
		ekho_fib_close(sw);
		ekho_nexthops_close(sw);
	}
	ekho_fib_exit(sw);
	ekho_nexthops_exit(sw);
	platform_device_unregister(sw->parent);
	mutex_destroy(&sw->lock);
	kvfree(sw);
}

/* Without RTNL. */
static void ekho_switch_work(struct work_struct *work)
{
	struct ekho_switch *sw = container_of(work, struct ekho_switch, work);

	if (READ_ONCE(sw->is_going))
		ekho_switch_free(sw);
	else
		ekho_switch_open(sw);
}

/* What a test can have the switch do; nobody misses it without debugfs. */
static void ekho_switch_add_knobs(struct ekho_switch *sw)
{
	struct dentry *fib;

	sw->knobs = debugfs_create_dir(dev_name(&sw->parent->dev), ekho_knobs);
	fib = debugfs_create_dir("fib", sw->knobs);
	debugfs_create_bool("fail_route_offload", 0600, fib,
			    &sw->fail_route_offload);
	debugfs_create_bool("fail_route_delete", 0600, fib,
			    &sw->fail_route_delete);
	debugfs_create_bool("fail_res_nexthop_group_replace", 0600, fib,
			    &sw->fail_res_nexthop_group_replace);
	debugfs_create_bool("fail_nexthop_bucket_replace", 0600, fib,
			    &sw->fail_nexthop_bucket_replace);
	debugfs_create_file("nexthop_bucket_activity", 0200, fib, sw,
			    &ekho_activity_fops);
}

static struct ekho_switch *ekho_switch_find(const struct net *net)
{
	struct ekho_switch *sw;

	ASSERT_RTNL();
	list_for_each_entry(sw, &ekho_switches, list)
		if (net_eq(sw->net, net))
			return sw;
	return NULL;
}

static struct ekho_switch *ekho_switch_make(struct net *net)
{
	struct ekho_switch *sw;
	int err;

	sw = kvzalloc(sizeof(*sw), GFP_KERNEL);
	if (!sw)
		return ERR_PTR(-ENOMEM);
	sw->net = net;
	mutex_init(&sw->lock);
	INIT_LIST_HEAD(&sw->plugs);
	INIT_WORK(&sw->work, ekho_switch_work);
	err = ekho_nexthops_init(sw);
	if (err)
		goto err_switch;
	err = ekho_fib_init(sw);
	if (err)
		goto err_nexthops;
	sw->parent = platform_device_register_simple(EKHO_KIND,
						     PLATFORM_DEVID_AUTO,
						     NULL, 0);
	if (IS_ERR(sw->parent)) {
		err = PTR_ERR(sw->parent);
		goto err_fib;
	}
	err = ekho_devlink_register(sw);
	if (err)
		goto err_parent;
	ekho_switch_add_knobs(sw);
	mutex_lock(&ekho_ports_lock);
	list_add_tail(&sw->list, &ekho_switches);
	ekho_switch_move(sw, ekho_ops_find_net(net));
	mutex_unlock(&ekho_ports_lock);
	queue_work(ekho_switch_queue, &sw->work);
	return sw;

err_parent:
	platform_device_unregister(sw->parent);
err_fib:
	ekho_fib_exit(sw);
err_nexthops:
	ekho_nexthops_exit(sw);
err_switch:
	mutex_destroy(&sw->lock);
	kvfree(sw);
	return ERR_PTR(err);
}

static void ekho_switch_drop(struct ekho_switch *sw)
{
	mutex_lock(&ekho_ports_lock);
	list_del(&sw->list);
	ekho_switch_move(sw, NULL);
	mutex_unlock(&ekho_ports_lock);
	debugfs_remove_recursive(sw->knobs);
	ekho_devlink_unregister(sw);
	WRITE_ONCE(sw->is_going, true);
	queue_work(ekho_switch_queue, &sw->work);
}

/*
 * ekho_plug_join - makes a device a port of its namespace's switch
 * @dev: not registered yet, or just moved to another namespace
 * @number: of the port, unlike all others
 */
int ekho_plug_join(struct ekho_plug *plug, struct net_device *dev,
		   unsigned int number)
{
	struct devlink_port_attrs attrs = {
		.flavour = DEVLINK_PORT_FLAVOUR_PHYSICAL,
		.phys.port_number = number,
	};
	struct ekho_switch *sw = ekho_switch_find(dev_net(dev));
	int err;

	if (!sw)
		sw = ekho_switch_make(dev_net(dev));
	if (IS_ERR(sw))
		return PTR_ERR(sw);
	memset(&plug->port, 0, sizeof(plug->port));
	/* Of a device that moves the kernel adds the interface, not the type. */
	plug->port.type = DEVLINK_PORT_TYPE_ETH;
	attrs.switch_id.id_len = sizeof(sw->net->net_cookie);
	memcpy(attrs.switch_id.id, &sw->net->net_cookie, attrs.switch_id.id_len);
	devlink_port_attrs_set(&plug->port, &attrs);
	devl_lock(sw->devlink);
	err = devl_port_register(sw->devlink, &plug->port, number);
	devl_unlock(sw->devlink);
	if (err) {
		if (list_empty(&sw->plugs))
			ekho_switch_drop(sw);
		return err;
	}
	plug->dev = dev;
	plug->sw = sw;
	list_add_tail(&plug->list, &sw->plugs);
	dev->devlink_port = &plug->port;
	return 0;
}

/* The device goes, to another namespace or for good. */
void ekho_plug_leave(struct ekho_plug *plug)
{
	struct ekho_switch *sw = plug->sw;

	ASSERT_RTNL();
	if (!sw)
		return;
	plug->dev->devlink_port = NULL;
	/* The kernel clears the type only of a device that is unregistered. */
	spin_lock_bh(&plug->port.type_lock);
	plug->port.type = DEVLINK_PORT_TYPE_NOTSET;
	plug->port.type_eth.netdev = NULL;
	spin_unlock_bh(&plug->port.type_lock);
	devl_lock(sw->devlink);
	devl_port_unregister(&plug->port);
	devl_unlock(sw->devlink);
	list_del(&plug->list);
	plug->sw = NULL;
	if (list_empty(&sw->plugs))
		ekho_switch_drop(sw);
}

/*
 * A namespace goes, before its ports do: devlink would move the switch to the
 * first namespace.
 */
static void __net_exit ekho_switch_pre_exit(struct net *net)
{
	struct ekho_switch *sw;

	rtnl_lock();
	while ((sw = ekho_switch_find(net)))
		ekho_plug_leave(list_first_entry(&sw->plugs, struct ekho_plug,
						 list));
	rtnl_unlock();
	/* Nothing that follows the namespace's routes outlives it. */
	flush_workqueue(ekho_switch_queue);
}

static struct pernet_operations ekho_switch_net_ops = {
	.pre_exit = ekho_switch_pre_exit,
};

int ekho_switch_init(void)
{
	int err;

	ekho_switch_queue = alloc_ordered_workqueue("ekho", 0);
	if (!ekho_switch_queue)
		return -ENOMEM;
	ekho_knobs = debugfs_create_dir(EKHO_KIND, NULL);
	err = register_pernet_subsys(&ekho_switch_net_ops);
	if (err) {
		debugfs_remove_recursive(ekho_knobs);
		destroy_workqueue(ekho_switch_queue);
	}
	return err;
}

void ekho_switch_exit(void)
{
	unregister_pernet_subsys(&ekho_switch_net_ops);
	destroy_workqueue(ekho_switch_queue);
	debugfs_remove_recursive(ekho_knobs);
}
