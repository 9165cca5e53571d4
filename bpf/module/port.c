// SPDX-License-Identifier: GPL-2.0
/*
 * Link type ekho: ports of a simulated switch. Each network namespace is one
 * switch; a port is wired to one other port, here or in another namespace:
 *
 *   ip link add p0 type ekho
 *   ip link add p1 link p0 type ekho
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/idr.h>
#include <net/rtnetlink.h>
#include "compat.h"
#include "switch.h"

#define EKHO_SPEED SPEED_10000
#define EKHO_FEATURES                                                    \
	(NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HW_CSUM |               \
	 NETIF_F_HIGHDMA | NETIF_F_GSO_SOFTWARE | NETIF_F_HW_TC)

struct ekho_port {
	struct net_device __rcu *peer;
	struct ekho_firmware_port *firmware;
	struct ekho_plug plug;
	int number;
};

static DEFINE_IDA(ekho_numbers);
static struct rtnl_link_ops ekho_link_ops;

static netdev_tx_t ekho_port_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct ekho_port *port = netdev_priv(dev);
	unsigned int len = skb->len;
	struct net_device *peer;

	rcu_read_lock();
	peer = rcu_dereference(port->peer);
	if (unlikely(!peer || !(READ_ONCE(peer->flags) & IFF_UP))) {
		kfree_skb(skb);
		dev_core_stats_tx_dropped_inc(dev);
		goto out;
	}
	skb_tx_timestamp(skb);
	/* What cannot be forwarded has been freed. */
	if (likely(dev_forward_skb(peer, skb) == NET_RX_SUCCESS)) {
		dev_sw_netstats_tx_add(dev, 1, len);
		dev_sw_netstats_rx_add(peer, len);
	} else {
		dev_core_stats_tx_dropped_inc(dev);
	}
out:
	rcu_read_unlock();
	return NETDEV_TX_OK;
}

/* There is carrier while both ends are up. */
static int ekho_port_open(struct net_device *dev)
{
	struct ekho_port *port = netdev_priv(dev);
	struct net_device *peer = rtnl_dereference(port->peer);

	if (peer && peer->flags & IFF_UP) {
		netif_carrier_on(dev);
		netif_carrier_on(peer);
	}
	return 0;
}

static int ekho_port_stop(struct net_device *dev)
{
	struct ekho_port *port = netdev_priv(dev);
	struct net_device *peer = rtnl_dereference(port->peer);

	netif_carrier_off(dev);
	if (peer)
		netif_carrier_off(peer);
	return 0;
}

static int ekho_port_init(struct net_device *dev)
{
	struct ekho_port *port = netdev_priv(dev);
	int err;

	port->number = ida_alloc(&ekho_numbers, GFP_KERNEL);
	if (port->number < 0)
		return port->number;
	err = ekho_plug_join(&port->plug, dev, port->number);
	if (err)
		ida_free(&ekho_numbers, port->number);
	return err;
}

static void ekho_port_uninit(struct net_device *dev)
{
	struct ekho_port *port = netdev_priv(dev);

	/* There is none if the device could not be registered. */
	if (port->firmware)
		ekho_firmware_unregister(port->firmware);
	port->firmware = NULL;
	ekho_plug_leave(&port->plug);
	ida_free(&ekho_numbers, port->number);
}

static int ekho_port_iflink(const struct net_device *dev)
{
	struct ekho_port *port = netdev_priv(dev);
	struct net_device *peer;
	int ifindex;

	rcu_read_lock();
	peer = rcu_dereference(port->peer);
	ifindex = peer ? READ_ONCE(peer->ifindex) : 0;
	rcu_read_unlock();
	return ifindex;
}

static int ekho_port_setup_tc(struct net_device *dev, enum tc_setup_type type,
			      void *type_data)
{
	struct ekho_port *port = netdev_priv(dev);

	/* Flowtables may bind a device before all of it is there. */
	if (!port->firmware)
		return -EOPNOTSUPP;
	return ekho_firmware_setup_tc(port->firmware, type, type_data);
}

static int ekho_port_set_features(struct net_device *dev,
				  netdev_features_t features)
{
	struct ekho_port *port = netdev_priv(dev);
	unsigned int offloaded;

	if (features & NETIF_F_HW_TC || !port->firmware)
		return 0;
	if (!ekho_firmware_flows(port->firmware, &offloaded))
		return 0;
	netdev_err(dev, "hw-tc-offload stays on while there are rules in hardware\n");
	return -EBUSY;
}

static const struct net_device_ops ekho_port_ops = {
	.ndo_open = ekho_port_open,
	.ndo_stop = ekho_port_stop,
	.ndo_init = ekho_port_init,
	.ndo_uninit = ekho_port_uninit,
	.ndo_start_xmit = ekho_port_xmit,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_get_iflink = ekho_port_iflink,
	.ndo_setup_tc = ekho_port_setup_tc,
	.ndo_set_features = ekho_port_set_features,
};

static const char ekho_stat_names[][ETH_GSTRING_LEN] = {
	"firmware_attached",
	"flows",
	"flows_offloaded",
};

static void ekho_port_strings(struct net_device *dev, u32 set, u8 *data)
{
	if (set == ETH_SS_STATS)
		memcpy(data, ekho_stat_names, sizeof(ekho_stat_names));
}

static int ekho_port_sset_count(struct net_device *dev, int set)
{
	return set == ETH_SS_STATS ? ARRAY_SIZE(ekho_stat_names) : -EOPNOTSUPP;
}

static void ekho_port_stats(struct net_device *dev, struct ethtool_stats *stats,
			    u64 *data)
{
	struct ekho_port *port = netdev_priv(dev);
	unsigned int offloaded;

	data[0] = ekho_firmware_attached(port->firmware);
	data[1] = ekho_firmware_flows(port->firmware, &offloaded);
	data[2] = offloaded;
}

static void ekho_port_drvinfo(struct net_device *dev,
			      struct ethtool_drvinfo *info)
{
	strscpy(info->driver, EKHO_KIND, sizeof(info->driver));
}

static int ekho_port_link_settings(struct net_device *dev,
				   struct ethtool_link_ksettings *settings)
{
	settings->base.speed = EKHO_SPEED;
	settings->base.duplex = DUPLEX_FULL;
	settings->base.port = PORT_OTHER;
	return 0;
}

static const struct ethtool_ops ekho_port_ethtool = {
	.get_drvinfo = ekho_port_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_link_ksettings = ekho_port_link_settings,
	.get_strings = ekho_port_strings,
	.get_sset_count = ekho_port_sset_count,
	.get_ethtool_stats = ekho_port_stats,
};

static void ekho_port_setup(struct net_device *dev)
{
	ether_setup(dev);
	eth_hw_addr_random(dev);
	dev->netdev_ops = &ekho_port_ops;
	dev->ethtool_ops = &ekho_port_ethtool;
	dev->needs_free_netdev = true;
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE | IFF_NO_QUEUE;
	dev->lltx = true;
	dev->features |= EKHO_FEATURES;
	dev->hw_features |= EKHO_FEATURES;
	dev->vlan_features |= EKHO_FEATURES & ~NETIF_F_HW_TC;
	dev->max_mtu = ETH_MAX_MTU;
}

/* The port that `link` names, or NULL without one. */
static struct net_device *ekho_port_peer(struct rtnl_newlink_params *params,
					 struct netlink_ext_ack *extack)
{
	struct net_device *peer;
	struct ekho_port *port;

	if (!params->tb[IFLA_LINK])
		return NULL;
	peer = __dev_get_by_index(rtnl_newlink_link_net(params),
				  nla_get_u32(params->tb[IFLA_LINK]));
	if (!peer || peer->rtnl_link_ops != &ekho_link_ops) {
		NL_SET_ERR_MSG_MOD(extack, "link is not a port of type ekho");
		return ERR_PTR(-EINVAL);
	}
	port = netdev_priv(peer);
	if (rtnl_dereference(port->peer)) {
		NL_SET_ERR_MSG_MOD(extack, "link is wired to another port");
		return ERR_PTR(-EBUSY);
	}
	return peer;
}

static int ekho_port_new_params(struct net_device *dev,
				struct rtnl_newlink_params *params,
				struct netlink_ext_ack *extack)
{
	struct ekho_port *port = netdev_priv(dev);
	struct net_device *peer = ekho_port_peer(params, extack);
	struct ekho_firmware_port *firmware;
	int err;

	if (IS_ERR(peer))
		return PTR_ERR(peer);
	netif_carrier_off(dev);
	err = register_netdevice(dev);
	if (err)
		return err;
	firmware = ekho_firmware_register(dev);
	if (IS_ERR(firmware)) {
		unregister_netdevice(dev);
		return PTR_ERR(firmware);
	}
	port->firmware = firmware;
	if (peer) {
		struct ekho_port *other = netdev_priv(peer);

		rcu_assign_pointer(port->peer, peer);
		rcu_assign_pointer(other->peer, dev);
	}
	return 0;
}

EKHO_NEWLINK(ekho_port_new)

static void ekho_port_del(struct net_device *dev, struct list_head *head)
{
	struct ekho_port *port = netdev_priv(dev);
	struct net_device *peer = rtnl_dereference(port->peer);

	RCU_INIT_POINTER(port->peer, NULL);
	if (peer) {
		struct ekho_port *other = netdev_priv(peer);

		RCU_INIT_POINTER(other->peer, NULL);
		netif_carrier_off(peer);
	}
	unregister_netdevice_queue(dev, head);
}

static struct net *ekho_port_link_net(const struct net_device *dev)
{
	struct ekho_port *port = netdev_priv(dev);
	struct net_device *peer = rtnl_dereference(port->peer);

	return peer ? dev_net(peer) : dev_net(dev);
}

static struct rtnl_link_ops ekho_link_ops = {
	.kind = EKHO_KIND,
	.priv_size = sizeof(struct ekho_port),
	.setup = ekho_port_setup,
	.newlink = ekho_port_new,
	.dellink = ekho_port_del,
	.get_link_net = ekho_port_link_net,
};

/* A port that moves to another namespace is one of that one's switch. */
static int ekho_port_event(struct notifier_block *nb, unsigned long event,
			   void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct ekho_port *port = netdev_priv(dev);

	if (event != NETDEV_REGISTER || dev->netdev_ops != &ekho_port_ops)
		return NOTIFY_DONE;
	if (port->plug.sw && net_eq(port->plug.sw->net, dev_net(dev)))
		return NOTIFY_DONE;
	ekho_plug_leave(&port->plug);
	if (ekho_plug_join(&port->plug, dev, port->number))
		netdev_warn(dev, "no port of devlink's: out of memory\n");
	return NOTIFY_DONE;
}

/* Before devlink, which ties ports that it has to their devices. */
static struct notifier_block ekho_port_notifier = {
	.notifier_call = ekho_port_event,
	.priority = INT_MAX,
};

int ekho_link_init(void)
{
	int err = ekho_switch_init();

	if (err)
		return err;
	err = register_netdevice_notifier(&ekho_port_notifier);
	if (err)
		goto err_switch;
	err = rtnl_link_register(&ekho_link_ops);
	if (err)
		goto err_notifier;
	return 0;

err_notifier:
	unregister_netdevice_notifier(&ekho_port_notifier);
err_switch:
	ekho_switch_exit();
	return err;
}

void ekho_link_exit(void)
{
	rtnl_link_unregister(&ekho_link_ops);
	unregister_netdevice_notifier(&ekho_port_notifier);
	ekho_switch_exit();
	ida_destroy(&ekho_numbers);
}
