// SPDX-License-Identifier: GPL-2.0
/*
 * What bridges want of a port: the module's own copy of its entries, VLANs,
 * groups and attributes, and the calls of firmware about them.
 *
 * All of it is kept whether firmware has it or not, so that firmware that comes
 * later is asked, too; it is told once that something it accepted is gone.
 */
#include <linux/if_bridge.h>
#include <linux/slab.h>
#include <net/switchdev.h>
#include "ekho.h"

static const struct rhashtable_params ekho_object_params = {
	.key_len = sizeof(struct ekho_object_key),
	.key_offset = offsetof(struct ekho_object, key),
	.head_offset = offsetof(struct ekho_object, node),
	.automatic_shrinking = true,
};

int ekho_bridge_init(struct ekho_firmware_port *port)
{
	INIT_LIST_HEAD(&port->objects);
	return rhashtable_init(&port->object_table, &ekho_object_params);
}

static void ekho_object_remove(struct ekho_firmware_port *port,
			       struct ekho_object *object)
{
	rhashtable_remove_fast(&port->object_table, &object->node,
			       ekho_object_params);
	list_del(&object->list);
	port->object_count--;
	kfree(object);
}

void ekho_bridge_exit(struct ekho_firmware_port *port)
{
	struct ekho_object *object, *next;

	list_for_each_entry_safe(object, next, &port->objects, list)
		ekho_object_remove(port, object);
	rhashtable_destroy(&port->object_table);
}

/* One call of a program; 0 or a negative errno. */
static int ekho_bridge_call(struct ekho_firmware_port *port,
			    struct ekho_bridge_ctx *ctx,
			    int (*operation)(struct ekho_bridge_ctx *ctx))
{
	int err;

	lockdep_assert_held(&port->lock);
	if (!operation)
		return -EOPNOTSUPP;
	ctx->version = EKHO_ABI_VERSION;
	ctx->size = sizeof(*ctx);
	ctx->netns = port->netns;
	ctx->ifindex = port->ifindex;
	ctx->bridge = port->bridge;
	err = operation(ctx);
	/* A program may return anything. */
	return err > 0 || err < -MAX_ERRNO ? -EINVAL : err;
}

static int ekho_object_call(struct ekho_firmware_port *port,
			    const struct ekho_object *object, bool is_gone,
			    u32 flags)
{
	struct ekho_offload_ops *ops = port->ops;
	struct ekho_bridge_ctx ctx = {
		.flags = flags | object->flags,
		.vlan = object->key.vlan,
		.vlan_flags = object->vlan_flags,
	};

	if (!ops)
		return -EOPNOTSUPP;
	if (object->is_offloaded && !is_gone)
		ctx.flags |= EKHO_FLOW_KNOWN;
	ether_addr_copy(ctx.mac, object->key.mac);
	switch (object->key.kind) {
	case EKHO_OBJECT_FDB:
		return ekho_bridge_call(port, &ctx, is_gone ? ops->fdb_destroy :
							      ops->fdb_replace);
	case EKHO_OBJECT_VLAN:
		return ekho_bridge_call(port, &ctx, is_gone ? ops->vlan_destroy :
							      ops->vlan_replace);
	default:
		return ekho_bridge_call(port, &ctx, is_gone ? ops->mdb_destroy :
							      ops->mdb_replace);
	}
}

/* What the bridge shows of an entry, wherever the entry is by now. */
static void ekho_fdb_mark(struct ekho_firmware_port *port,
			  struct ekho_object *object, bool is_marked)
{
	struct switchdev_notifier_fdb_info info = {
		.addr = object->key.mac,
		.vid = object->key.vlan,
		.offloaded = is_marked,
	};

	if (object->key.kind != EKHO_OBJECT_FDB)
		return;
	object->is_marked = is_marked;
	rcu_read_lock();
	if (netif_is_bridge_port(port->dev))
		call_switchdev_notifiers(SWITCHDEV_FDB_OFFLOADED, port->dev,
					 &info.info, NULL);
	rcu_read_unlock();
}

/* Asks firmware; what it said, of which -EINPROGRESS is a yes, too. */
static int ekho_object_offer(struct ekho_firmware_port *port,
			     struct ekho_object *object, u32 flags)
{
	int err = ekho_object_call(port, object, false, flags);

	object->is_offloaded = !err || err == -EINPROGRESS;
	if (!err || object->is_marked)
		ekho_fdb_mark(port, object, !err);
	return err;
}

static void ekho_object_withdraw(struct ekho_firmware_port *port,
				 struct ekho_object *object, u32 flags)
{
	if (!object->is_offloaded)
		return;
	ekho_object_call(port, object, true, flags);
	object->is_offloaded = false;
}

static struct ekho_object *ekho_object_find(struct ekho_firmware_port *port,
					    const struct ekho_object_key *key)
{
	return rhashtable_lookup_fast(&port->object_table, key,
				      ekho_object_params);
}

static struct ekho_object *ekho_object_make(struct ekho_firmware_port *port,
					    const struct ekho_object_key *key)
{
	struct ekho_object *object;
	int err;

	if (port->object_count >= EKHO_OBJECTS_MAX)
		return ERR_PTR(-ENOSPC);
	object = kzalloc(sizeof(*object), GFP_KERNEL_ACCOUNT);
	if (!object)
		return ERR_PTR(-ENOMEM);
	object->key = *key;
	err = rhashtable_insert_fast(&port->object_table, &object->node,
				     ekho_object_params);
	if (err) {
		kfree(object);
		return ERR_PTR(err);
	}
	list_add_tail(&object->list, &port->objects);
	port->object_count++;
	return object;
}

/* A VLAN that is refused is not added, one that is to change stays as it was. */
static void ekho_vlan_refused(struct ekho_firmware_port *port,
			      struct ekho_object *object, bool is_new,
			      u16 vlan_flags, bool was_offloaded)
{
	if (is_new) {
		ekho_object_remove(port, object);
		return;
	}
	object->vlan_flags = vlan_flags;
	object->is_offloaded = was_offloaded;
}

/*
 * Something is new, or its flags are. What is to be said to the bridge: 0 if
 * hardware has it; -EOPNOTSUPP if software is to go on by itself, or a refusal.
 */
int ekho_bridge_add(struct ekho_firmware_port *port,
		    const struct ekho_object_key *key, u32 object_flags,
		    u16 vlan_flags, u32 flags)
{
	struct ekho_object *object = ekho_object_find(port, key);
	bool is_new = !object, is_same, was_offloaded;
	u16 old_vlan_flags;
	int err;

	lockdep_assert_held(&port->lock);
	if (is_new)
		object = ekho_object_make(port, key);
	/* Software does what there is no room for. */
	if (IS_ERR(object))
		return -EOPNOTSUPP;
	object->is_shared = !is_new && !object->is_doubted;
	object->is_doubted = false;
	is_same = object->flags == object_flags &&
		  object->vlan_flags == vlan_flags;
	old_vlan_flags = object->vlan_flags;
	was_offloaded = object->is_offloaded;
	/* Bridges that are asked again tell of all they have. */
	if (flags & EKHO_FLOW_REPLAY && is_same && was_offloaded)
		return 0;
	object->flags = object_flags;
	object->vlan_flags = vlan_flags;
	err = ekho_object_offer(port, object, flags);
	if (!err || err == -EOPNOTSUPP)
		return err;
	if (err == -EINPROGRESS)
		return -EOPNOTSUPP;
	if (key->kind != EKHO_OBJECT_VLAN)
		return err;
	/* Other ports may have said yes to a VLAN of the bridge: it stays. */
	if (key->is_host || flags & EKHO_FLOW_REPLAY)
		return -EOPNOTSUPP;
	ekho_vlan_refused(port, object, is_new, old_vlan_flags, was_offloaded);
	return err;
}

static void ekho_object_end(struct ekho_firmware_port *port,
			    struct ekho_object *object)
{
	bool was_offloaded = object->is_offloaded;

	ekho_object_withdraw(port, object, 0);
	/* An entry that moves takes the mark along. */
	if (was_offloaded || object->is_marked)
		ekho_fdb_mark(port, object, false);
	ekho_object_remove(port, object);
}

void ekho_bridge_del(struct ekho_firmware_port *port,
		     const struct ekho_object_key *key)
{
	struct ekho_object *object = ekho_object_find(port, key);

	lockdep_assert_held(&port->lock);
	if (!object)
		return;
	if (key->kind != EKHO_OBJECT_MDB || !object->is_shared) {
		ekho_object_end(port, object);
		return;
	}
	/* Several groups may have the same MAC, and bridges do not say which. */
	object->is_doubted = true;
	WRITE_ONCE(port->has_doubts, true);
	ekho_resync();
}

/* The bridge has told all it has: what it did not tell of is gone. */
void ekho_bridge_settle(struct ekho_firmware_port *port)
{
	struct ekho_object *object, *next;

	lockdep_assert_held(&port->lock);
	if (!port->has_doubts)
		return;
	WRITE_ONCE(port->has_doubts, false);
	list_for_each_entry_safe(object, next, &port->objects, list) {
		if (object->is_doubted)
			ekho_object_end(port, object);
		cond_resched();
	}
}

/* The bridge is going to tell of all entries again. */
void ekho_bridge_withdraw_fdb(struct ekho_firmware_port *port)
{
	struct ekho_object *object, *next;

	lockdep_assert_held(&port->lock);
	list_for_each_entry_safe(object, next, &port->objects, list) {
		if (object->key.kind == EKHO_OBJECT_FDB)
			ekho_object_end(port, object);
		cond_resched();
	}
}

static int ekho_attr_call(struct ekho_firmware_port *port, u32 attr, u32 flags)
{
	struct ekho_bridge_ctx ctx = {
		.flags = flags,
		.attr = attr,
		.value = port->attrs[attr].value,
		.mask = port->attrs[attr].mask,
	};

	if (!port->ops)
		return -EOPNOTSUPP;
	return ekho_bridge_call(port, &ctx, port->ops->port_attr);
}

/* Bits outside of @mask stay as they were. */
int ekho_bridge_set(struct ekho_firmware_port *port, u32 attr, u32 value,
		    u32 mask, u32 flags)
{
	struct ekho_attr *set = &port->attrs[attr];

	lockdep_assert_held(&port->lock);
	set->value = (set->value & ~mask) | (value & mask);
	set->mask |= mask;
	return ekho_attr_call(port, attr, flags);
}

/* The port is of no bridge any more. */
void ekho_bridge_clear(struct ekho_firmware_port *port)
{
	struct ekho_object *object, *next;

	lockdep_assert_held(&port->lock);
	list_for_each_entry_safe(object, next, &port->objects, list) {
		ekho_object_withdraw(port, object, 0);
		ekho_object_remove(port, object);
		cond_resched();
	}
	WRITE_ONCE(port->has_doubts, false);
	memset(port->attrs, 0, sizeof(port->attrs));
	WRITE_ONCE(port->bridge, 0);
	ekho_bridge_set(port, EKHO_PORT_BRIDGE, 0, ~0u, 0);
	port->attrs[EKHO_PORT_BRIDGE].mask = 0;
}

/* Firmware goes: the bridge has all of it to itself. */
void ekho_bridge_detach(struct ekho_firmware_port *port)
{
	struct ekho_object *object;

	lockdep_assert_held(&port->lock);
	list_for_each_entry_reverse(object, &port->objects, list) {
		ekho_object_withdraw(port, object, EKHO_FLOW_DETACH);
		if (object->is_marked)
			ekho_fdb_mark(port, object, false);
		cond_resched();
	}
}

/* Firmware comes: attributes first, then the rest as the bridge told it. */
void ekho_bridge_replay(struct ekho_firmware_port *port)
{
	struct ekho_object *object;
	u32 attr;

	lockdep_assert_held(&port->lock);
	for (attr = 0; attr < EKHO_PORT_ATTRS; attr++)
		if (port->attrs[attr].mask)
			ekho_attr_call(port, attr, EKHO_FLOW_REPLAY);
	list_for_each_entry(object, &port->objects, list) {
		ekho_object_offer(port, object, EKHO_FLOW_REPLAY);
		cond_resched();
	}
}
