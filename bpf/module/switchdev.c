// SPDX-License-Identifier: GPL-2.0
/*
 * What bridges tell drivers (switchdev), for ports that firmware decides about.
 *
 * Entries come in atomic context, with a lock of the bridge held: they wait in a
 * list of the port for a work item. All else comes under RTNL, and is answered.
 */
#include <linux/etherdevice.h>
#include <linux/if_bridge.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/switchdev.h>
#include "ekho.h"

/* Entries of a port that wait; of what is more software is in charge alone. */
#define EKHO_FDB_WAITING_MAX 65536

struct ekho_fdb_event {
	struct list_head list;
	struct ekho_object_key key;
	u32 object_flags, flags;
	bool is_gone, is_moved;
};

static struct workqueue_struct *ekho_fdb_queue;

/* A replay is for one port, though it tells of all ports of the bridge. */
static bool ekho_is_meant(const void *ctx, struct ekho_firmware_port *port)
{
	return !ctx || ctx == port;
}

static void ekho_fdb_apply(struct ekho_firmware_port *port,
			   const struct ekho_fdb_event *event)
{
	/* The port has left the bridge since. */
	if (!port->bridge)
		return;
	if (event->is_gone)
		ekho_bridge_del(port, &event->key, event->is_moved);
	else
		ekho_bridge_add(port, &event->key, event->object_flags, 0,
				event->flags);
}

static void ekho_fdb_work(struct work_struct *work)
{
	struct ekho_firmware_port *port = container_of(work, struct ekho_firmware_port,
						       fdb_work);
	struct ekho_fdb_event *event, *next;
	LIST_HEAD(events);

	mutex_lock(&port->lock);
	spin_lock_bh(&port->fdb_lock);
	list_splice_init(&port->fdb_events, &events);
	port->fdb_waiting = 0;
	spin_unlock_bh(&port->fdb_lock);
	list_for_each_entry_safe(event, next, &events, list) {
		ekho_fdb_apply(port, event);
		kfree(event);
		cond_resched();
	}
	mutex_unlock(&port->lock);
}

static void ekho_fdb_event(struct ekho_firmware_port *port,
			   const struct switchdev_notifier_fdb_info *info,
			   bool is_gone, bool is_moved)
{
	struct ekho_fdb_event *event;

	/* That an entry is gone must be known, whatever waits. */
	if (!is_gone && READ_ONCE(port->fdb_waiting) >= EKHO_FDB_WAITING_MAX)
		return;
	event = kzalloc(sizeof(*event), GFP_ATOMIC);
	if (!event) {
		net_warn_ratelimited("%s: no memory: firmware does not hear of an entry of its bridge\n",
				     port->dev->name);
		return;
	}
	event->key.kind = EKHO_OBJECT_FDB;
	event->key.vlan = info->vid;
	ether_addr_copy(event->key.mac, info->addr);
	event->object_flags = (info->added_by_user ? EKHO_BRIDGE_STATIC : 0) |
			      (info->locked ? EKHO_BRIDGE_LOCKED : 0);
	event->flags = info->info.ctx ? EKHO_FLOW_REPLAY : 0;
	event->is_gone = is_gone;
	event->is_moved = is_moved;
	spin_lock_bh(&port->fdb_lock);
	list_add_tail(&event->list, &port->fdb_events);
	port->fdb_waiting++;
	spin_unlock_bh(&port->fdb_lock);
	queue_work(ekho_fdb_queue, &port->fdb_work);
}

static void ekho_fdb_moved(struct ekho_firmware_port *other, const void *data)
{
	ekho_fdb_event(other, data, true, true);
}

static int ekho_switchdev_event(struct notifier_block *nb, unsigned long event,
				void *ptr)
{
	struct switchdev_notifier_fdb_info *info = ptr;
	struct ekho_firmware_port *port;

	if (event != SWITCHDEV_FDB_ADD_TO_DEVICE &&
	    event != SWITCHDEV_FDB_DEL_TO_DEVICE)
		return NOTIFY_DONE;
	/* Addresses of the bridge itself are none of hardware's. */
	if (info->is_local)
		return NOTIFY_DONE;
	rcu_read_lock();
	port = ekho_port_find(info->info.dev);
	if (!port || !READ_ONCE(port->bridge) ||
	    !ekho_is_meant(info->info.ctx, port))
		goto out;
	/* Where a user's entry was before the bridge does not tell. */
	if (event == SWITCHDEV_FDB_ADD_TO_DEVICE && info->added_by_user &&
	    !info->info.ctx)
		ekho_port_others(port, ekho_fdb_moved, info);
	ekho_fdb_event(port, info, event == SWITCHDEV_FDB_DEL_TO_DEVICE, false);
out:
	rcu_read_unlock();
	return NOTIFY_DONE;
}

/* Of a bridge that has the port itself, not one that has a bond with it. */
static bool ekho_is_bridged(const struct net_device *dev)
{
	struct ekho_firmware_port *port = ekho_port_find(dev);

	return port && port->bridge;
}

/*
 * What is said of a link on top of a port (a VLAN of it, say), or of the bridge
 * that has that one, comes down to the port as well, and is none of it.
 */
static bool ekho_is_of(const struct ekho_firmware_port *port,
		       const struct net_device *orig_dev)
{
	return orig_dev == port->dev ||
	       (netif_is_bridge_master(orig_dev) &&
		orig_dev->ifindex == port->bridge);
}

/* Fills @key; whether firmware is told of such objects at all. */
static bool ekho_object_key_of(const struct switchdev_obj *obj,
			       struct ekho_object_key *key)
{
	memset(key, 0, sizeof(*key));
	key->is_host = netif_is_bridge_master(obj->orig_dev);
	switch (obj->id) {
	case SWITCHDEV_OBJ_ID_PORT_VLAN:
		key->kind = EKHO_OBJECT_VLAN;
		key->vlan = SWITCHDEV_OBJ_PORT_VLAN(obj)->vid;
		return true;
	case SWITCHDEV_OBJ_ID_HOST_MDB:
		key->is_host = true;
		fallthrough;
	case SWITCHDEV_OBJ_ID_PORT_MDB:
		key->kind = EKHO_OBJECT_MDB;
		key->vlan = SWITCHDEV_OBJ_PORT_MDB(obj)->vid;
		ether_addr_copy(key->mac, SWITCHDEV_OBJ_PORT_MDB(obj)->addr);
		return true;
	default:
		return false;
	}
}

static int ekho_obj_add(struct net_device *dev, const void *ctx,
			const struct switchdev_obj *obj,
			struct netlink_ext_ack *extack)
{
	struct ekho_firmware_port *port = ekho_port_find(dev);
	u32 flags = EKHO_FLOW_RTNL | (ctx ? EKHO_FLOW_REPLAY : 0);
	struct ekho_object_key key;
	u16 vlan_flags = 0;
	int err;

	if (!ekho_is_meant(ctx, port) || !ekho_is_of(port, obj->orig_dev) ||
	    !ekho_object_key_of(obj, &key))
		return -EOPNOTSUPP;
	if (key.kind == EKHO_OBJECT_VLAN)
		vlan_flags = SWITCHDEV_OBJ_PORT_VLAN(obj)->flags;
	mutex_lock(&port->lock);
	err = ekho_bridge_add(port, &key, key.is_host ? EKHO_BRIDGE_HOST : 0,
			      vlan_flags, flags);
	mutex_unlock(&port->lock);
	if (err && err != -EOPNOTSUPP)
		NL_SET_ERR_MSG_WEAK_MOD(extack, "firmware refuses it");
	/* The bridge has had it for long. */
	return ctx && err ? -EOPNOTSUPP : err;
}

static int ekho_obj_del(struct net_device *dev, const void *ctx,
			const struct switchdev_obj *obj)
{
	struct ekho_firmware_port *port = ekho_port_find(dev);
	struct ekho_object_key key;

	if (!ekho_is_meant(ctx, port) || !ekho_is_of(port, obj->orig_dev) ||
	    !ekho_object_key_of(obj, &key))
		return -EOPNOTSUPP;
	mutex_lock(&port->lock);
	ekho_bridge_del(port, &key, false);
	mutex_unlock(&port->lock);
	return 0;
}

/* Of the kernel's flags those that are for hardware, as programs know them. */
static u32 ekho_bridge_flags_of(unsigned long from)
{
	return (from & BR_LEARNING ? EKHO_BRIDGE_LEARNS : 0) |
	       (from & BR_FLOOD ? EKHO_BRIDGE_FLOODS : 0) |
	       (from & BR_MCAST_FLOOD ? EKHO_BRIDGE_FLOODS_GROUPS : 0) |
	       (from & BR_BCAST_FLOOD ? EKHO_BRIDGE_FLOODS_BROADCAST : 0) |
	       (from & BR_HAIRPIN_MODE ? EKHO_BRIDGE_HAIRPIN : 0) |
	       (from & BR_ISOLATED ? EKHO_BRIDGE_ISOLATED : 0) |
	       (from & BR_MULTICAST_TO_UNICAST ? EKHO_BRIDGE_TO_UNICAST : 0) |
	       (from & BR_PORT_LOCKED ? EKHO_BRIDGE_ADMITS_KNOWN : 0);
}

static int ekho_attr_set(struct net_device *dev, const void *ctx,
			 const struct switchdev_attr *attr,
			 struct netlink_ext_ack *extack)
{
	struct ekho_firmware_port *port = ekho_port_find(dev);
	u32 value, mask = ~0u;
	int name, err;

	if (!ekho_is_meant(ctx, port) || !ekho_is_of(port, attr->orig_dev))
		return -EOPNOTSUPP;
	switch (attr->id) {
	case SWITCHDEV_ATTR_ID_PORT_STP_STATE:
		name = EKHO_PORT_STP_STATE;
		value = attr->u.stp_state;
		break;
	case SWITCHDEV_ATTR_ID_PORT_BRIDGE_FLAGS:
		name = EKHO_PORT_FLAGS;
		value = ekho_bridge_flags_of(attr->u.brport_flags.val);
		mask = ekho_bridge_flags_of(attr->u.brport_flags.mask);
		break;
	case SWITCHDEV_ATTR_ID_PORT_MROUTER:
		name = EKHO_PORT_MROUTER;
		value = attr->u.mrouter;
		break;
	case SWITCHDEV_ATTR_ID_BRIDGE_AGEING_TIME:
		name = EKHO_PORT_AGEING_TIME;
		value = jiffies_to_msecs(clock_t_to_jiffies(attr->u.ageing_time));
		break;
	case SWITCHDEV_ATTR_ID_BRIDGE_VLAN_FILTERING:
		name = EKHO_PORT_VLAN_FILTERING;
		value = attr->u.vlan_filtering;
		break;
	case SWITCHDEV_ATTR_ID_BRIDGE_VLAN_PROTOCOL:
		name = EKHO_PORT_VLAN_PROTOCOL;
		value = attr->u.vlan_protocol;
		break;
	case SWITCHDEV_ATTR_ID_BRIDGE_MC_DISABLED:
		name = EKHO_PORT_NO_SNOOPING;
		value = attr->u.mc_disabled;
		break;
	default:
		return -EOPNOTSUPP;
	}
	mutex_lock(&port->lock);
	err = ekho_bridge_set(port, name, value, mask, EKHO_FLOW_RTNL);
	mutex_unlock(&port->lock);
	return err;
}

static int ekho_switchdev_blocking_event(struct notifier_block *nb,
					 unsigned long event, void *ptr)
{
	struct net_device *dev = switchdev_notifier_info_to_dev(ptr);
	int err;

	switch (event) {
	case SWITCHDEV_PORT_OBJ_ADD:
		err = switchdev_handle_port_obj_add(dev, ptr, ekho_is_bridged,
						    ekho_obj_add);
		break;
	case SWITCHDEV_PORT_OBJ_DEL:
		err = switchdev_handle_port_obj_del(dev, ptr, ekho_is_bridged,
						    ekho_obj_del);
		break;
	case SWITCHDEV_PORT_ATTR_SET:
		err = switchdev_handle_port_attr_set(dev, ptr, ekho_is_bridged,
						     ekho_attr_set);
		break;
	default:
		return NOTIFY_DONE;
	}
	return notifier_from_errno(err);
}

static struct notifier_block ekho_switchdev_notifier = {
	.notifier_call = ekho_switchdev_event,
};

static struct notifier_block ekho_switchdev_blocking_notifier = {
	.notifier_call = ekho_switchdev_blocking_event,
};

/* Calls a function of the module `bridge`, which this one can do without. */
#define EKHO_BRIDGE_ASK(function, dev, otherwise)                        \
	({                                                               \
		typeof(&function) ask = symbol_get(function);            \
		typeof(function(dev)) answer = otherwise;                \
									 \
		if (ask) {                                               \
			answer = ask(dev);                               \
			symbol_put(function);                            \
		}                                                        \
		answer;                                                  \
	})

/* Attributes that a bridge has told nobody since the port joined it. */
static void ekho_bridge_joined(struct ekho_firmware_port *port,
			       const struct net_device *bridge)
{
	clock_t ageing = EKHO_BRIDGE_ASK(br_get_ageing_time, bridge, 0);
	bool filters = EKHO_BRIDGE_ASK(br_vlan_enabled, bridge, false);
	u8 state = EKHO_BRIDGE_ASK(br_port_get_stp_state, port->dev,
				   BR_STATE_DISABLED);
	/* As br_add_if() has it. */
	const u32 flags = EKHO_BRIDGE_LEARNS | EKHO_BRIDGE_FLOODS |
			  EKHO_BRIDGE_FLOODS_GROUPS |
			  EKHO_BRIDGE_FLOODS_BROADCAST;

	lockdep_assert_held(&port->lock);
	WRITE_ONCE(port->bridge, bridge->ifindex);
	ekho_bridge_set(port, EKHO_PORT_BRIDGE, bridge->ifindex, ~0u,
			EKHO_FLOW_RTNL);
	ekho_bridge_set(port, EKHO_PORT_FLAGS, flags, EKHO_BRIDGE_ALL_FLAGS,
			EKHO_FLOW_RTNL);
	ekho_bridge_set(port, EKHO_PORT_AGEING_TIME,
			jiffies_to_msecs(clock_t_to_jiffies(ageing)), ~0u,
			EKHO_FLOW_RTNL);
	ekho_bridge_set(port, EKHO_PORT_VLAN_FILTERING, filters, ~0u,
			EKHO_FLOW_RTNL);
	ekho_bridge_set(port, EKHO_PORT_STP_STATE, state, ~0u, EKHO_FLOW_RTNL);
}

static void ekho_bridge_left(struct ekho_firmware_port *port)
{
	switchdev_bridge_port_unoffload(port->dev, port, &ekho_switchdev_notifier,
					&ekho_switchdev_blocking_notifier);
	flush_work(&port->fdb_work);
	mutex_lock(&port->lock);
	ekho_bridge_clear(port);
	mutex_unlock(&port->lock);
}

/* A port joined, or is about to leave, something. */
void ekho_bridge_event(struct ekho_firmware_port *port, unsigned long event,
		       const struct netdev_notifier_changeupper_info *info)
{
	int err;

	ASSERT_RTNL();
	if (!netif_is_bridge_master(info->upper_dev))
		return;
	if (event == NETDEV_PRECHANGEUPPER && !info->linking && port->bridge)
		ekho_bridge_left(port);
	if (event != NETDEV_CHANGEUPPER || !info->linking)
		return;
	mutex_lock(&port->lock);
	ekho_bridge_joined(port, info->upper_dev);
	mutex_unlock(&port->lock);
	err = switchdev_bridge_port_offload(port->dev, port->dev, port,
					    &ekho_switchdev_notifier,
					    &ekho_switchdev_blocking_notifier,
					    false, NULL);
	if (!err)
		return;
	netdev_warn(port->dev, "the bridge does without firmware: %d\n", err);
	mutex_lock(&port->lock);
	ekho_bridge_clear(port);
	mutex_unlock(&port->lock);
}

void ekho_switchdev_open(struct ekho_firmware_port *port)
{
	spin_lock_init(&port->fdb_lock);
	INIT_LIST_HEAD(&port->fdb_events);
	INIT_WORK(&port->fdb_work, ekho_fdb_work);
}

/* The port cannot be found any more. */
void ekho_switchdev_close(struct ekho_firmware_port *port)
{
	struct ekho_fdb_event *event, *next;

	cancel_work_sync(&port->fdb_work);
	list_for_each_entry_safe(event, next, &port->fdb_events, list)
		kfree(event);
}

int ekho_switchdev_init(void)
{
	int err;

	/* One port after the other, so that entries move in order. */
	ekho_fdb_queue = alloc_ordered_workqueue("ekho_fdb", 0);
	if (!ekho_fdb_queue)
		return -ENOMEM;
	err = register_switchdev_notifier(&ekho_switchdev_notifier);
	if (err)
		goto err_queue;
	err = register_switchdev_blocking_notifier(&ekho_switchdev_blocking_notifier);
	if (err)
		goto err_notifier;
	return 0;

err_notifier:
	unregister_switchdev_notifier(&ekho_switchdev_notifier);
err_queue:
	destroy_workqueue(ekho_fdb_queue);
	return err;
}

/* No port is left. */
void ekho_switchdev_exit(void)
{
	unregister_switchdev_blocking_notifier(&ekho_switchdev_blocking_notifier);
	unregister_switchdev_notifier(&ekho_switchdev_notifier);
	destroy_workqueue(ekho_fdb_queue);
}
