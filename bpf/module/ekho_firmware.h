/* SPDX-License-Identifier: GPL-2.0 */
/*
 * BPF firmware for network drivers: what a driver calls so that a BPF program
 * decides about its offload, and the struct_ops that such a program fills.
 */
#ifndef EKHO_FIRMWARE_H
#define EKHO_FIRMWARE_H

#include <linux/netdevice.h>
#include "ekho_abi.h"

/*
 * Operations return 0 or a negative errno. Those of one port are called one
 * after the other and may sleep, and so are those of a switch: routes and
 * nexthops, which ask firmware that is for a whole namespace. What is left out
 * says -EOPNOTSUPP.
 */
struct ekho_offload_ops {
	/*
	 * A rule is new, or its actions are: calling it twice with the same id
	 * leaves one rule, and one that is refused is not there any more.
	 */
	int (*flow_replace)(struct ekho_flow_ctx *ctx);
	/* Called once for each rule that flow_replace accepted. */
	int (*flow_destroy)(struct ekho_flow_ctx *ctx);
	/* The kernel asks what hardware counted: ekho_flow_count(). */
	int (*flow_stats)(struct ekho_flow_ctx *ctx);
	/*
	 * An entry of a bridge, learned or not. 0: the bridge shows it as
	 * offloaded; -EINPROGRESS: accepted, and marked by whoever knows when
	 * (ekho_marks_set()). All *_destroy are called once for what was
	 * accepted.
	 */
	int (*fdb_replace)(struct ekho_bridge_ctx *ctx);
	int (*fdb_destroy)(struct ekho_bridge_ctx *ctx);
	/*
	 * A VLAN of a port; one that is refused is not added, one whose change
	 * is refused stays as it was. Of the bridge itself (EKHO_BRIDGE_HOST)
	 * what is refused is in software.
	 */
	int (*vlan_replace)(struct ekho_bridge_ctx *ctx);
	int (*vlan_destroy)(struct ekho_bridge_ctx *ctx);
	/* A group of a port; 0: the bridge shows it as offloaded. */
	int (*mdb_replace)(struct ekho_bridge_ctx *ctx);
	int (*mdb_destroy)(struct ekho_bridge_ctx *ctx);
	/* enum ekho_port_attr */
	int (*port_attr)(struct ekho_bridge_ctx *ctx);
	/*
	 * A route of the switch's namespace is new, or another one counts for
	 * its prefix; from a worker. 0: it is shown as ekho_route_mark() said,
	 * rt_offload without; -EINPROGRESS: accepted, and marked by whoever
	 * knows when; -EOPNOTSUPP: not for hardware; anything else:
	 * rt_offload_failed. One that is refused is not there any more.
	 */
	int (*route_replace)(struct ekho_route_ctx *ctx);
	/* Called once for what was accepted; prefix, table and id count. */
	int (*route_destroy)(struct ekho_route_ctx *ctx);
	/*
	 * A nexthop object is new, or is replaced; under RTNL. Answers are as
	 * of routes, but what is refused the kernel does not take either, with
	 * the text of ekho_nexthop_explain(). If it was to replace another one
	 * (EKHO_FLOW_KNOWN), that stays.
	 */
	int (*nexthop_replace)(struct ekho_nexthop_ctx *ctx);
	/* Called once for what was accepted; the id counts. */
	int (*nexthop_destroy)(struct ekho_nexthop_ctx *ctx);
	/*
	 * What one bucket of a resilient group that was accepted is for. Left
	 * out, buckets are marked as their group.
	 */
	int (*nexthop_bucket)(struct ekho_nexthop_ctx *ctx);
	/* EKHO_ABI_VERSION the programs were compiled with */
	u32 version;
	/*
	 * Inode of a network namespace and index of a port in it: of several
	 * that could serve a port the most specific does. With index 0 all
	 * ports of the namespace, with both 0 all ports.
	 */
	u32 netns, ifindex;
	/* In messages. */
	char name[EKHO_NAME_LEN];
};

struct ekho_firmware_port;

/*
 * ekho_firmware_register - let BPF firmware decide about a device's offload
 * @dev: registered, and of a driver that passes its ndo_setup_tc on
 *
 * Under RTNL. Returns the port or an ERR_PTR().
 */
struct ekho_firmware_port *ekho_firmware_register(struct net_device *dev);

/*
 * ekho_firmware_unregister - the device goes: from its ndo_uninit, when the
 * kernel has taken all rules off it
 */
void ekho_firmware_unregister(struct ekho_firmware_port *port);

/* ekho_firmware_setup_tc - all there is to do in ndo_setup_tc */
int ekho_firmware_setup_tc(struct ekho_firmware_port *port,
			   enum tc_setup_type type, void *type_data);

/* ekho_firmware_attached - whether a program is there for the port now */
bool ekho_firmware_attached(struct ekho_firmware_port *port);

/*
 * ekho_firmware_flows - rules the kernel has on the port
 * @offloaded: set to how many of them the firmware holds
 */
unsigned int ekho_firmware_flows(struct ekho_firmware_port *port,
				 unsigned int *offloaded);

#endif
