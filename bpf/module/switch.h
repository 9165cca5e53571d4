/* SPDX-License-Identifier: GPL-2.0 */
/* The switch that a network namespace's ports of type ekho are of. */
#ifndef EKHO_SWITCH_H
#define EKHO_SWITCH_H

#include <net/devlink.h>
#include "ekho.h"

struct platform_device;

/* Where a port is plugged in; under RTNL. */
struct ekho_plug {
	struct list_head list;
	struct net_device *dev;
	/* NULL without one. */
	struct ekho_switch *sw;
	struct devlink_port port;
};

struct ekho_switch {
	/* Under RTNL. */
	struct list_head list;
	struct net *net;
	struct platform_device *parent;
	struct devlink *devlink;
	struct list_head plugs;
};

/* switch.c */
int ekho_plug_join(struct ekho_plug *plug, struct net_device *dev,
		   unsigned int number);
void ekho_plug_leave(struct ekho_plug *plug);
int ekho_switch_init(void);
void ekho_switch_exit(void);

#endif
