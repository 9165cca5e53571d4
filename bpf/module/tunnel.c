// SPDX-License-Identifier: GPL-2.0
/*
 * Rules on the link of a tunnel: packets that came out of it. Such a link has no
 * driver of a device, so the kernel asks whoever registered for blocks of others
 * (indirect blocks). The link gets firmware like a port, and its rules say of
 * which tunnel they are.
 */
#include <linux/rtnetlink.h>
#include <net/pkt_cls.h>
#include <net/vxlan.h>
#include "ekho.h"

static void ekho_tunnel_describe(struct ekho_tunnel *tunnel,
				 const struct net_device *dev)
{
	const struct vxlan_dev *vxlan = netdev_priv(dev);

	tunnel->kind = EKHO_TUNNEL_VXLAN;
	tunnel->port = vxlan->cfg.dst_port;
	if (vxlan->cfg.flags & VXLAN_F_COLLECT_METADATA)
		tunnel->flags = EKHO_TUNNEL_EXTERNAL;
	else
		tunnel->key = vxlan->cfg.vni;
}

/* The block goes, after the kernel has destroyed its rules; under RTNL. */
static void ekho_tunnel_release(void *priv)
{
	struct ekho_binding *binding = priv;

	ekho_firmware_unregister(binding->port);
}

static int ekho_tunnel_bind(struct net_device *dev, struct Qdisc *sch,
			    struct flow_block_offload *bo, void *data, void *priv,
			    void (*cleanup)(struct flow_block_cb *block_cb))
{
	struct ekho_tunnel tunnel = {};
	struct ekho_firmware_port *port;
	struct ekho_binding *binding;
	struct flow_block_cb *block_cb;

	/* Bound before the module came: its first rules were never told of. */
	if (!bo->block)
		return -EOPNOTSUPP;
	ekho_tunnel_describe(&tunnel, dev);
	port = ekho_port_create(dev, NULL, &tunnel);
	if (IS_ERR(port))
		return PTR_ERR(port);
	binding = &port->bindings[EKHO_HOOK_INGRESS];
	binding->is_shared = bo->block_shared;
	block_cb = flow_indr_block_cb_alloc(ekho_flow_setup, dev, binding,
					    ekho_tunnel_release, bo, dev, sch,
					    data, priv, cleanup);
	if (IS_ERR(block_cb)) {
		ekho_firmware_unregister(port);
		return PTR_ERR(block_cb);
	}
	flow_block_cb_add(block_cb, bo);
	list_add_tail(&block_cb->driver_list, &binding->blocks);
	return 0;
}

static int ekho_tunnel_unbind(struct net_device *dev,
			      struct flow_block_offload *bo)
{
	struct flow_block_cb *block_cb;

	block_cb = flow_block_cb_lookup(bo->block, ekho_flow_setup, dev);
	if (!block_cb)
		return -ENOENT;
	flow_indr_block_cb_remove(block_cb, bo);
	list_del(&block_cb->driver_list);
	return 0;
}

static int ekho_tunnel_setup(struct net_device *dev, struct Qdisc *sch,
			     void *priv, enum tc_setup_type type,
			     void *type_data, void *data,
			     void (*cleanup)(struct flow_block_cb *block_cb))
{
	struct flow_block_offload *bo = type_data;

	if (!dev || type != TC_SETUP_BLOCK || !netif_is_vxlan(dev) ||
	    bo->binder_type != FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS)
		return -EOPNOTSUPP;
	switch (bo->command) {
	case FLOW_BLOCK_BIND:
		return ekho_tunnel_bind(dev, sch, bo, data, priv, cleanup);
	case FLOW_BLOCK_UNBIND:
		return ekho_tunnel_unbind(dev, bo);
	default:
		return -EOPNOTSUPP;
	}
}

int ekho_tunnel_init(void)
{
	return flow_indr_dev_register(ekho_tunnel_setup, NULL);
}

/* The kernel unbinds each block, for which it takes RTNL. */
void ekho_tunnel_exit(void)
{
	flow_indr_dev_unregister(ekho_tunnel_setup, NULL, ekho_tunnel_release);
}
