// SPDX-License-Identifier: GPL-2.0
/*
 * What devlink shows of a switch and can do to it: how much room there is for
 * routes and nexthops, and a reload that applies what was set.
 */
#include <linux/platform_device.h>
#include <linux/slab.h>
#include "switch.h"

enum ekho_resource {
	EKHO_RESOURCE_IPV4 = 1,
	EKHO_RESOURCE_IPV4_FIB,
	EKHO_RESOURCE_IPV6,
	EKHO_RESOURCE_IPV6_FIB,
	EKHO_RESOURCE_NEXTHOPS,
};

static const struct {
	const char *name;
	u64 id, parent;
} ekho_resources[] = {
	{ "IPv4", EKHO_RESOURCE_IPV4, DEVLINK_RESOURCE_ID_PARENT_TOP },
	{ "fib", EKHO_RESOURCE_IPV4_FIB, EKHO_RESOURCE_IPV4 },
	{ "IPv6", EKHO_RESOURCE_IPV6, DEVLINK_RESOURCE_ID_PARENT_TOP },
	{ "fib", EKHO_RESOURCE_IPV6_FIB, EKHO_RESOURCE_IPV6 },
	{ "nexthops", EKHO_RESOURCE_NEXTHOPS, DEVLINK_RESOURCE_ID_PARENT_TOP },
};

static struct ekho_switch *ekho_switch_of(struct devlink *devlink)
{
	return *(struct ekho_switch **)devlink_priv(devlink);
}

static u64 ekho_room_used(void *room)
{
	return atomic64_read(&((struct ekho_room *)room)->used);
}

static void ekho_room_resize(struct ekho_switch *sw, struct ekho_room *room,
			     enum ekho_resource resource)
{
	u64 size;

	if (!devl_resource_size_get(sw->devlink, resource, &size))
		WRITE_ONCE(room->size, size);
}

static int ekho_resources_register(struct ekho_switch *sw)
{
	struct devlink_resource_size_params params;
	int i, err;

	devlink_resource_size_params_init(&params, 0, U64_MAX, 1,
					  DEVLINK_RESOURCE_UNIT_ENTRY);
	for (i = 0; i < ARRAY_SIZE(ekho_resources); i++) {
		err = devl_resource_register(sw->devlink, ekho_resources[i].name,
					     U64_MAX, ekho_resources[i].id,
					     ekho_resources[i].parent, &params);
		if (err) {
			devl_resources_unregister(sw->devlink);
			return err;
		}
	}
	devl_resource_occ_get_register(sw->devlink, EKHO_RESOURCE_IPV4_FIB,
				       ekho_room_used, &sw->fib.room4);
	devl_resource_occ_get_register(sw->devlink, EKHO_RESOURCE_IPV6_FIB,
				       ekho_room_used, &sw->fib.room6);
	devl_resource_occ_get_register(sw->devlink, EKHO_RESOURCE_NEXTHOPS,
				       ekho_room_used, &sw->nexthop_room);
	return 0;
}

static int ekho_reload_down(struct devlink *devlink, bool netns_change,
			    enum devlink_reload_action action,
			    enum devlink_reload_limit limit,
			    struct netlink_ext_ack *extack)
{
	struct ekho_switch *sw = ekho_switch_of(devlink);

	if (netns_change) {
		NL_SET_ERR_MSG_MOD(extack, "a switch is where its ports are: move those");
		return -EOPNOTSUPP;
	}
	mutex_lock(&sw->lock);
	ekho_switch_withdraw(sw);
	sw->is_down = true;
	mutex_unlock(&sw->lock);
	return 0;
}

static int ekho_reload_up(struct devlink *devlink,
			  enum devlink_reload_action action,
			  enum devlink_reload_limit limit, u32 *performed,
			  struct netlink_ext_ack *extack)
{
	struct ekho_switch *sw = ekho_switch_of(devlink);
	int err;

	mutex_lock(&sw->lock);
	ekho_room_resize(sw, &sw->fib.room4, EKHO_RESOURCE_IPV4_FIB);
	ekho_room_resize(sw, &sw->fib.room6, EKHO_RESOURCE_IPV6_FIB);
	ekho_room_resize(sw, &sw->nexthop_room, EKHO_RESOURCE_NEXTHOPS);
	sw->is_down = false;
	err = ekho_switch_offer(sw, extack);
	sw->is_down = err;
	mutex_unlock(&sw->lock);
	/* Who reloads wants to see all of it. */
	flush_delayed_work(&sw->fib.work);
	*performed = BIT(action);
	return err;
}

/*
 * Ports stay where they are, so this is no DRIVER_REINIT; and it is their
 * namespace that decides about the switch's.
 */
static const struct devlink_ops ekho_devlink_ops = {
	.reload_actions = BIT(DEVLINK_RELOAD_ACTION_FW_ACTIVATE),
	.reload_down = ekho_reload_down,
	.reload_up = ekho_reload_up,
};

int ekho_devlink_register(struct ekho_switch *sw)
{
	int err;

	sw->devlink = devlink_alloc_ns(&ekho_devlink_ops, sizeof(sw), sw->net,
				       &sw->parent->dev);
	if (!sw->devlink)
		return -ENOMEM;
	*(struct ekho_switch **)devlink_priv(sw->devlink) = sw;
	devl_lock(sw->devlink);
	err = ekho_resources_register(sw);
	if (!err)
		devl_register(sw->devlink);
	devl_unlock(sw->devlink);
	if (err)
		devlink_free(sw->devlink);
	return err;
}

void ekho_devlink_unregister(struct ekho_switch *sw)
{
	devl_lock(sw->devlink);
	devl_unregister(sw->devlink);
	devl_resource_occ_get_unregister(sw->devlink, EKHO_RESOURCE_NEXTHOPS);
	devl_resource_occ_get_unregister(sw->devlink, EKHO_RESOURCE_IPV6_FIB);
	devl_resource_occ_get_unregister(sw->devlink, EKHO_RESOURCE_IPV4_FIB);
	devl_resources_unregister(sw->devlink);
	devl_unlock(sw->devlink);
	devlink_free(sw->devlink);
}
