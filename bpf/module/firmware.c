// SPDX-License-Identifier: GPL-2.0
/*
 * Ports whose offload BPF firmware decides about: what drivers call, and which
 * firmware serves which port.
 *
 * Locks, outermost first: RTNL, ekho_ports_lock, a port's. Firmware comes and
 * goes without RTNL, so nothing inside of the two others may take it.
 */
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/pkt_cls.h>
#include "ekho.h"

DEFINE_MUTEX(ekho_ports_lock);
static LIST_HEAD(ekho_ports);
static DEFINE_HASHTABLE(ekho_ports_by_dev, 8);

/* With RTNL or in an RCU section. */
struct ekho_firmware_port *ekho_port_find(const struct net_device *dev)
{
	struct ekho_firmware_port *port;

	hash_for_each_possible_rcu(ekho_ports_by_dev, port, by_dev,
				   (unsigned long)dev, lockdep_rtnl_is_held())
		if (port->dev == dev)
			return port;
	return NULL;
}

/* Calls @visit for the ports of a bridge but one, in an RCU section. */
void ekho_ports_of_bridge(const struct net_device *bridge,
			  const struct net_device *except,
			  void (*visit)(struct ekho_firmware_port *port,
					const void *data),
			  const void *data)
{
	struct ekho_firmware_port *port;
	int bucket;

	hash_for_each_rcu(ekho_ports_by_dev, bucket, port, by_dev)
		if (port->dev != except &&
		    READ_ONCE(port->bridge) == bridge->ifindex &&
		    net_eq(dev_net(port->dev), dev_net(bridge)))
			visit(port, data);
}

/* Calls @visit for all ports. */
void ekho_ports_visit(void (*visit)(struct ekho_firmware_port *port))
{
	struct ekho_firmware_port *port;
	int bucket;

	ASSERT_RTNL();
	hash_for_each(ekho_ports_by_dev, bucket, port, by_dev)
		visit(port);
}

/* Gives every port the firmware that is there for it now. */
void ekho_ports_resolve(void)
{
	struct ekho_firmware_port *port;

	lockdep_assert_held(&ekho_ports_lock);
	list_for_each_entry(port, &ekho_ports, list)
		ekho_flows_move(port, ekho_ops_find(port));
	ekho_switches_resolve();
}

/* A device has come, or has moved to another namespace. */
static void ekho_port_place(struct ekho_firmware_port *port)
{
	lockdep_assert_held(&ekho_ports_lock);
	mutex_lock(&port->lock);
	if (port->dev) {
		ASSERT_RTNL();
		port->netns = dev_net(port->dev)->ns.inum;
		port->ifindex = port->dev->ifindex;
	} else {
		port->netns = port->net->ns.inum;
	}
	mutex_unlock(&port->lock);
	ekho_flows_move(port, ekho_ops_find(port));
}

/* Gives the ports of one firmware to another. */
void ekho_ports_hand_over(struct ekho_offload_ops *from,
			  struct ekho_offload_ops *to)
{
	struct ekho_firmware_port *port;

	lockdep_assert_held(&ekho_ports_lock);
	list_for_each_entry(port, &ekho_ports, list)
		if (port->ops == from)
			ekho_flows_hand_over(port, to);
	ekho_switches_hand_over(from, to);
}

/* A port of a switch, unless the link is a tunnel's. */
static bool ekho_port_is_switched(const struct ekho_firmware_port *port)
{
	return port->dev && !port->tunnel.kind;
}

/*
 * Of a device, or for the actions of a namespace; @tunnel for the link of one,
 * else NULL.
 */
struct ekho_firmware_port *ekho_port_create(struct net_device *dev,
					    struct net *net,
					    const struct ekho_tunnel *tunnel)
{
	struct ekho_firmware_port *port;
	int hook, err;

	port = kvzalloc(sizeof(*port), GFP_KERNEL);
	if (!port)
		return ERR_PTR(-ENOMEM);
	port->dev = dev;
	port->net = net;
	if (tunnel)
		port->tunnel = *tunnel;
	mutex_init(&port->lock);
	for (hook = 0; hook < EKHO_HOOKS; hook++) {
		port->bindings[hook].port = port;
		port->bindings[hook].hook = hook;
		INIT_LIST_HEAD(&port->bindings[hook].blocks);
	}
	err = ekho_flows_init(port);
	if (err)
		goto err_port;
	err = ekho_bridge_init(port);
	if (err)
		goto err_flows;
	ekho_fdb_open(port);
	if (ekho_port_is_switched(port))
		hash_add_rcu(ekho_ports_by_dev, &port->by_dev,
			     (unsigned long)dev);
	mutex_lock(&ekho_ports_lock);
	list_add_tail(&port->list, &ekho_ports);
	ekho_port_place(port);
	mutex_unlock(&ekho_ports_lock);
	return port;

err_flows:
	ekho_flows_exit(port);
err_port:
	mutex_destroy(&port->lock);
	kvfree(port);
	return ERR_PTR(err);
}

/*
 * The one for a namespace's actions, or NULL. It stays while the kernel can
 * have something to say of them: until the namespace goes.
 */
struct ekho_firmware_port *ekho_port_of_actions(const struct net *net)
{
	struct ekho_firmware_port *port, *found = NULL;

	mutex_lock(&ekho_ports_lock);
	list_for_each_entry(port, &ekho_ports, list)
		if (!port->dev && port->net == net)
			found = port;
	mutex_unlock(&ekho_ports_lock);
	return found;
}

struct ekho_firmware_port *ekho_firmware_register(struct net_device *dev)
{
	ASSERT_RTNL();
	return ekho_port_create(dev, NULL, NULL);
}
EXPORT_SYMBOL_GPL(ekho_firmware_register);

void ekho_firmware_unregister(struct ekho_firmware_port *port)
{
	if (port->dev)
		ASSERT_RTNL();
	if (ekho_port_is_switched(port)) {
		hash_del_rcu(&port->by_dev);
		synchronize_net();
		ekho_fdb_forget(port);
	}
	mutex_lock(&ekho_ports_lock);
	list_del(&port->list);
	ekho_flows_move(port, NULL);
	mutex_unlock(&ekho_ports_lock);
	ekho_bridge_exit(port);
	ekho_flows_exit(port);
	mutex_destroy(&port->lock);
	kvfree(port);
}
EXPORT_SYMBOL_GPL(ekho_firmware_unregister);

static int ekho_bind(struct ekho_binding *binding, struct flow_block_offload *block)
{
	binding->is_shared = block->block_shared;
	return flow_block_cb_setup_simple(block, &binding->blocks, ekho_flow_setup,
					  binding, binding, false);
}

/* As flow_block_cb_setup_simple(), and hears when the block lets go of it. */
static int ekho_bind_flowtable(struct ekho_binding *binding,
			       struct flow_block_offload *block)
{
	struct flow_block_cb *cb;

	block->driver_block_list = &binding->blocks;
	switch (block->command) {
	case FLOW_BLOCK_BIND:
		if (flow_block_cb_is_busy(ekho_flow_setup, binding,
					  &binding->blocks))
			return -EBUSY;
		cb = flow_block_cb_alloc(ekho_flow_setup, binding, binding,
					 ekho_flows_release);
		if (IS_ERR(cb))
			return PTR_ERR(cb);
		flow_block_cb_add(cb, block);
		list_add_tail(&cb->driver_list, &binding->blocks);
		return 0;
	case FLOW_BLOCK_UNBIND:
		cb = flow_block_cb_lookup(block->block, ekho_flow_setup,
					  binding);
		if (!cb)
			return -ENOENT;
		flow_block_cb_remove(cb, block);
		list_del(&cb->driver_list);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int ekho_firmware_setup_tc(struct ekho_firmware_port *port,
			   enum tc_setup_type type, void *type_data)
{
	struct flow_block_offload *block = type_data;

	if (type == TC_SETUP_FT)
		return ekho_bind_flowtable(&port->bindings[EKHO_HOOK_FLOWTABLE],
					   block);
	if (type != TC_SETUP_BLOCK)
		return -EOPNOTSUPP;
	switch (block->binder_type) {
	case FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS:
		return ekho_bind(&port->bindings[EKHO_HOOK_INGRESS], block);
	case FLOW_BLOCK_BINDER_TYPE_CLSACT_EGRESS:
		return ekho_bind(&port->bindings[EKHO_HOOK_EGRESS], block);
	default:
		/* Queueing disciplines bind blocks, too. */
		return -EOPNOTSUPP;
	}
}
EXPORT_SYMBOL_GPL(ekho_firmware_setup_tc);

bool ekho_firmware_attached(struct ekho_firmware_port *port)
{
	return READ_ONCE(port->ops);
}
EXPORT_SYMBOL_GPL(ekho_firmware_attached);

unsigned int ekho_firmware_flows(struct ekho_firmware_port *port,
				 unsigned int *offloaded)
{
	*offloaded = READ_ONCE(port->offloaded_count);
	return READ_ONCE(port->flow_count);
}
EXPORT_SYMBOL_GPL(ekho_firmware_flows);

/* A port that moves to another namespace has left all behind. */
static int ekho_netdev_event(struct notifier_block *nb, unsigned long event,
			     void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct ekho_firmware_port *port = ekho_port_find(dev);

	if (!port)
		return NOTIFY_DONE;
	if (event == NETDEV_PRECHANGEUPPER || event == NETDEV_CHANGEUPPER)
		ekho_bridge_event(port, event, ptr);
	if (event != NETDEV_REGISTER)
		return NOTIFY_DONE;
	mutex_lock(&ekho_ports_lock);
	ekho_flows_move(port, NULL);
	ekho_port_place(port);
	mutex_unlock(&ekho_ports_lock);
	return NOTIFY_DONE;
}

static struct notifier_block ekho_netdev_notifier = {
	.notifier_call = ekho_netdev_event,
};

int ekho_firmware_init(void)
{
	int err = ekho_switchdev_init();

	if (err)
		return err;
	err = register_netdevice_notifier(&ekho_netdev_notifier);
	if (err)
		ekho_switchdev_exit();
	return err;
}

void ekho_firmware_exit(void)
{
	unregister_netdevice_notifier(&ekho_netdev_notifier);
	ekho_switchdev_exit();
}
