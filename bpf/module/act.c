// SPDX-License-Identifier: GPL-2.0
/*
 * Actions of tc that are offloaded by themselves, for several rules to share:
 *
 *   tc actions add action police rate 1mbit burst 10k index 7 skip_sw
 *
 * They are of no port, so firmware for all ports of their namespace decides.
 */
#include <net/act_api.h>
#include <net/flow_offload.h>
#include <net/net_namespace.h>
#include "ekho.h"

/* The kernel names the action alone; that tells its namespace. */
static const struct net *
ekho_act_net(const struct flow_offload_action *offload)
{
	return ((const struct tc_action *)offload->cookie)->idrinfo->net;
}

/*
 * The kernel asks everybody, and counts who has the action. Devices are those
 * of other drivers, whose blocks are not taken.
 */
static int ekho_act_setup(struct net_device *dev, struct Qdisc *sch, void *priv,
			  enum tc_setup_type type, void *type_data, void *data,
			  void (*cleanup)(struct flow_block_cb *block_cb))
{
	struct ekho_firmware_port *port;

	if (dev || type != TC_SETUP_ACT)
		return -EOPNOTSUPP;
	port = ekho_port_of_actions(ekho_act_net(data));
	return port ? ekho_flow_action(port, data) : -EOPNOTSUPP;
}

/* Of blocks, of which there are none. */
static void ekho_act_release(void *priv)
{
}

static int __net_init ekho_act_net_init(struct net *net)
{
	return PTR_ERR_OR_ZERO(ekho_port_create(NULL, net, NULL));
}

static void __net_exit ekho_act_net_exit(struct net *net)
{
	struct ekho_firmware_port *port = ekho_port_of_actions(net);

	if (port)
		ekho_firmware_unregister(port);
}

static struct pernet_operations ekho_act_net_ops = {
	.init = ekho_act_net_init,
	.exit = ekho_act_net_exit,
};

int ekho_act_init(void)
{
	int err;

	err = register_pernet_subsys(&ekho_act_net_ops);
	if (err)
		return err;
	err = flow_indr_dev_register(ekho_act_setup, NULL);
	if (err)
		unregister_pernet_subsys(&ekho_act_net_ops);
	return err;
}

void ekho_act_exit(void)
{
	flow_indr_dev_unregister(ekho_act_setup, NULL, ekho_act_release);
	unregister_pernet_subsys(&ekho_act_net_ops);
}
