// SPDX-License-Identifier: GPL-2.0
/*
 * Switches: all ports of type ekho in a network namespace are of one, which is
 * there, and a device of devlink's, from the first of them to the last.
 *
 * Ports come and go under RTNL, so a switch's devlink lock is taken inside of
 * RTNL: nothing that devlink calls may take RTNL.
 */
#include <linux/platform_device.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include "switch.h"

static LIST_HEAD(ekho_switches);

static const struct devlink_ops ekho_devlink_ops = {
};

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
	int err = -ENOMEM;

	sw = kzalloc(sizeof(*sw), GFP_KERNEL);
	if (!sw)
		return ERR_PTR(-ENOMEM);
	sw->net = net;
	INIT_LIST_HEAD(&sw->plugs);
	sw->parent = platform_device_register_simple(EKHO_KIND,
						     PLATFORM_DEVID_AUTO,
						     NULL, 0);
	if (IS_ERR(sw->parent)) {
		err = PTR_ERR(sw->parent);
		goto err_switch;
	}
	sw->devlink = devlink_alloc_ns(&ekho_devlink_ops, 0, net,
				       &sw->parent->dev);
	if (!sw->devlink)
		goto err_parent;
	devlink_register(sw->devlink);
	list_add_tail(&sw->list, &ekho_switches);
	return sw;

err_parent:
	platform_device_unregister(sw->parent);
err_switch:
	kfree(sw);
	return ERR_PTR(err);
}

static void ekho_switch_drop(struct ekho_switch *sw)
{
	list_del(&sw->list);
	devlink_unregister(sw->devlink);
	devlink_free(sw->devlink);
	platform_device_unregister(sw->parent);
	kfree(sw);
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
}

static struct pernet_operations ekho_switch_net_ops = {
	.pre_exit = ekho_switch_pre_exit,
};

int ekho_switch_init(void)
{
	return register_pernet_subsys(&ekho_switch_net_ops);
}

void ekho_switch_exit(void)
{
	unregister_pernet_subsys(&ekho_switch_net_ops);
}
