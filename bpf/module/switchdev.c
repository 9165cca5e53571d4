// SPDX-License-Identifier: GPL-2.0
/*
 * What bridges tell drivers (switchdev), for ports that firmware decides about.
 *
 * Entries come in atomic context and wait (fdb.c). All else comes under RTNL,
 * and is answered.
 */
#include <linux/etherdevice.h>
#include <linux/if_bridge.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <net/switchdev.h>
#include "ekho.h"

/* A replay is for one port, though it tells of all ports of the bridge. */
static bool ekho_is_meant(const void *ctx, struct ekho_firmware_port *port)
{
	return !ctx || ctx == port;
}

/* The bridge a device is, or is a port of, or NULL. */
static struct net_device *ekho_bridge_of(struct net_device *dev)
{
	if (netif_is_bridge_master(dev))
		return dev;
	return netif_is_bridge_port(dev) ? netdev_master_upper_dev_get_rcu(dev) :
					   NULL;
}

static void ekho_fdb_left(struct ekho_firmware_port *port, const void *info)
{
	ekho_fdb_tell(port, info, true, 0);
}

/* Ports that the bridge does not tell that an entry of theirs is elsewhere. */
static void ekho_fdb_leaves(const struct switchdev_notifier_fdb_info *info,
			    const struct net_device *except)
{
	struct net_device *bridge = ekho_bridge_of(info->info.dev);

	if (bridge)
		ekho_ports_of_bridge(bridge, except, ekho_fdb_left, info);
}

/*
 * A replay brings also what bridges tell drivers nothing of: stations that are
 * not admitted yet, and what users made as dynamic.
 */
static bool ekho_fdb_is_told(const struct switchdev_notifier_fdb_info *info)
{
	struct net_device *bridge = ekho_bridge_of(info->info.dev);
	struct ekho_fdb_entry entry;

	if (!bridge || ekho_fdb_look(bridge, info->addr, info->vid, &entry,
				     GFP_ATOMIC))
		return false;
	return entry.is_there && !entry.is_locked &&
	       (!info->added_by_user || entry.is_static || entry.is_learned);
}

static void ekho_fdb_event(const struct switchdev_notifier_fdb_info *info,
			   bool is_gone)
{
	struct ekho_firmware_port *port = ekho_port_find(info->info.dev);

	/* Where a user's entry was before: also one of the bridge itself. */
	if (!is_gone && info->added_by_user && !info->info.ctx)
		ekho_fdb_leaves(info, info->info.dev);
	/* Addresses of the bridge itself are none of hardware's. */
	if (info->is_local || !port || !READ_ONCE(port->bridge) ||
	    !ekho_is_meant(info->info.ctx, port))
		return;
	if (info->info.ctx && !is_gone && !ekho_fdb_is_told(info))
		return;
	ekho_fdb_tell(port, info, is_gone,
		      info->info.ctx ? EKHO_FLOW_REPLAY : 0);
}

static int ekho_switchdev_event(struct notifier_block *nb, unsigned long event,
				void *ptr)
{
	struct switchdev_notifier_fdb_info *info = ptr;

	rcu_read_lock();
	switch (event) {
	case SWITCHDEV_FDB_ADD_TO_DEVICE:
	case SWITCHDEV_FDB_DEL_TO_DEVICE:
		ekho_fdb_event(info, event == SWITCHDEV_FDB_DEL_TO_DEVICE);
		break;
	/* Said to the bridge, which has done it and tells nobody of it. */
	case SWITCHDEV_FDB_ADD_TO_BRIDGE:
		ekho_fdb_leaves(info, info->info.dev);
		break;
	case SWITCHDEV_FDB_DEL_TO_BRIDGE:
		ekho_fdb_leaves(info, NULL);
		break;
	}
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
	return err;
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
	ekho_bridge_del(port, &key);
	mutex_unlock(&port->lock);
	return 0;
}

static u32 ekho_ageing_ms(clock_t ageing)
{
	return min_t(u64, jiffies64_to_msecs(clock_t_to_jiffies(ageing)),
		     U32_MAX);
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

struct ekho_attr_told {
	/* enum ekho_port_attr */
	u32 name;
	u32 value, mask;
};

/* Fills @told; whether firmware is told of it at all. */
static bool ekho_attr_of(const struct switchdev_attr *attr,
			 struct ekho_attr_told *told)
{
	told->mask = ~0u;
	switch (attr->id) {
	case SWITCHDEV_ATTR_ID_PORT_STP_STATE:
		told->name = EKHO_PORT_STP_STATE;
		told->value = attr->u.stp_state;
		return true;
	case SWITCHDEV_ATTR_ID_PORT_BRIDGE_FLAGS:
		told->name = EKHO_PORT_FLAGS;
		told->value = ekho_bridge_flags_of(attr->u.brport_flags.val);
		told->mask = ekho_bridge_flags_of(attr->u.brport_flags.mask);
		return told->mask;
	case SWITCHDEV_ATTR_ID_PORT_MROUTER:
		told->name = EKHO_PORT_MROUTER;
		told->value = attr->u.mrouter;
		return true;
	case SWITCHDEV_ATTR_ID_BRIDGE_AGEING_TIME:
		told->name = EKHO_PORT_AGEING_TIME;
		told->value = ekho_ageing_ms(attr->u.ageing_time);
		return true;
	case SWITCHDEV_ATTR_ID_BRIDGE_VLAN_FILTERING:
		told->name = EKHO_PORT_VLAN_FILTERING;
		told->value = attr->u.vlan_filtering;
		return true;
	case SWITCHDEV_ATTR_ID_BRIDGE_VLAN_PROTOCOL:
		told->name = EKHO_PORT_VLAN_PROTOCOL;
		told->value = attr->u.vlan_protocol;
		return true;
	case SWITCHDEV_ATTR_ID_BRIDGE_MC_DISABLED:
		told->name = EKHO_PORT_NO_SNOOPING;
		told->value = attr->u.mc_disabled;
		return true;
	default:
		return false;
	}
}

static int ekho_attr_set(struct net_device *dev, const void *ctx,
			 const struct switchdev_attr *attr,
			 struct netlink_ext_ack *extack)
{
	struct ekho_firmware_port *port = ekho_port_find(dev);
	struct ekho_attr_told told;
	int err;

	if (!ekho_is_meant(ctx, port) || !ekho_is_of(port, attr->orig_dev) ||
	    !ekho_attr_of(attr, &told))
		return -EOPNOTSUPP;
	mutex_lock(&port->lock);
	err = ekho_bridge_set(port, told.name, told.value, told.mask,
			      EKHO_FLOW_RTNL);
	mutex_unlock(&port->lock);
	/* What firmware does not want is set all the same, in software. */
	return err ? -EOPNOTSUPP : 0;
}

static int ekho_switchdev_blocking_event(struct notifier_block *nb,
					 unsigned long event, void *ptr)
{
	struct net_device *dev = switchdev_notifier_info_to_dev(ptr);
	const struct switchdev_notifier_info *info = ptr;
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
	/* A replay goes on: the bridge has had it for long, or it is others'. */
	return notifier_from_errno(info->ctx ? 0 : err);
}

/* After the bridge, which may refuse what it is told. */
static struct notifier_block ekho_switchdev_notifier = {
	.notifier_call = ekho_switchdev_event,
	.priority = -1,
};

static struct notifier_block ekho_switchdev_blocking_notifier = {
	.notifier_call = ekho_switchdev_blocking_event,
};

/* Calls a function of the module `bridge`, which this one can do without. */
#define EKHO_BRIDGE_ASK(function, otherwise, ...)                        \
	({                                                               \
		typeof(&function) ask = symbol_get(function);            \
		typeof(function(__VA_ARGS__)) answer = otherwise;        \
									 \
		if (ask) {                                               \
			answer = ask(__VA_ARGS__);                       \
			symbol_put(function);                            \
		}                                                        \
		answer;                                                  \
	})

static void ekho_bridge_begin(struct ekho_firmware_port *port, u32 attr,
			      u32 value)
{
	ekho_bridge_set(port, attr, value,
			attr == EKHO_PORT_FLAGS ? EKHO_BRIDGE_ALL_FLAGS : ~0u,
			EKHO_FLOW_RTNL);
}

/* Attributes that a bridge has told nobody since the port joined it. */
static void ekho_bridge_joined(struct ekho_firmware_port *port,
			       const struct net_device *bridge)
{
	clock_t ageing = EKHO_BRIDGE_ASK(br_get_ageing_time, 0, bridge);
	bool filters = EKHO_BRIDGE_ASK(br_vlan_enabled, false, bridge);
	bool snoops = EKHO_BRIDGE_ASK(br_multicast_enabled, false, bridge);
	u8 state = EKHO_BRIDGE_ASK(br_port_get_stp_state, BR_STATE_DISABLED,
				   port->dev);
	u16 protocol = ETH_P_8021Q;
	/* As br_add_if() has it. */
	const u32 flags = EKHO_BRIDGE_LEARNS | EKHO_BRIDGE_FLOODS |
			  EKHO_BRIDGE_FLOODS_GROUPS |
			  EKHO_BRIDGE_FLOODS_BROADCAST;

	EKHO_BRIDGE_ASK(br_vlan_get_proto, -ENOENT, bridge, &protocol);
	lockdep_assert_held(&port->lock);
	WRITE_ONCE(port->bridge, bridge->ifindex);
	ekho_bridge_begin(port, EKHO_PORT_BRIDGE, bridge->ifindex);
	ekho_bridge_begin(port, EKHO_PORT_FLAGS, flags);
	ekho_bridge_begin(port, EKHO_PORT_AGEING_TIME, ekho_ageing_ms(ageing));
	ekho_bridge_begin(port, EKHO_PORT_VLAN_FILTERING, filters);
	ekho_bridge_begin(port, EKHO_PORT_VLAN_PROTOCOL, protocol);
	ekho_bridge_begin(port, EKHO_PORT_NO_SNOOPING, !snoops);
	ekho_bridge_begin(port, EKHO_PORT_STP_STATE, state);
}

static void ekho_bridge_left(struct ekho_firmware_port *port)
{
	switchdev_bridge_port_unoffload(port->dev, port, &ekho_switchdev_notifier,
					&ekho_switchdev_blocking_notifier);
	ekho_fdb_forget(port);
	mutex_lock(&port->lock);
	ekho_bridge_clear(port);
	mutex_unlock(&port->lock);
}

/* Has a port's bridge tell it what it has, entries or all else. */
int ekho_switchdev_replay(struct ekho_firmware_port *port, bool is_fdb)
{
	return switchdev_bridge_port_replay(port->dev, port->dev, port,
					    is_fdb ? &ekho_switchdev_notifier : NULL,
					    is_fdb ? NULL : &ekho_switchdev_blocking_notifier,
					    NULL);
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
	/* What came too late for the bridge before. */
	ekho_fdb_forget(port);
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

int ekho_switchdev_init(void)
{
	int err = ekho_fdb_init();

	if (err)
		return err;
	err = register_switchdev_notifier(&ekho_switchdev_notifier);
	if (err)
		goto err_fdb;
	err = register_switchdev_blocking_notifier(&ekho_switchdev_blocking_notifier);
	if (err)
		goto err_notifier;
	return 0;

err_notifier:
	unregister_switchdev_notifier(&ekho_switchdev_notifier);
err_fdb:
	ekho_fdb_exit();
	return err;
}

/* No port is left. */
void ekho_switchdev_exit(void)
{
	unregister_switchdev_blocking_notifier(&ekho_switchdev_blocking_notifier);
	unregister_switchdev_notifier(&ekho_switchdev_notifier);
	ekho_fdb_exit();
}
