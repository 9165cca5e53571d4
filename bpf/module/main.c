// SPDX-License-Identifier: GPL-2.0
/* Loading and unloading. */
#include <linux/module.h>
#include <net/rtnetlink.h>
#include "ekho.h"

static int __init ekho_init(void)
{
	int err;

	/* These two stay until the module goes: the kernel has no way back. */
	err = ekho_kfunc_init();
	if (err)
		return err;
	err = ekho_ops_init();
	if (err)
		return err;
	err = ekho_firmware_init();
	if (err)
		return err;
	err = ekho_act_init();
	if (err)
		goto err_firmware;
	err = ekho_tunnel_init();
	if (err)
		goto err_act;
	err = ekho_link_init();
	if (err)
		goto err_tunnel;
	return 0;

err_tunnel:
	ekho_tunnel_exit();
err_act:
	ekho_act_exit();
err_firmware:
	ekho_firmware_exit();
	return err;
}

static void __exit ekho_exit(void)
{
	ekho_link_exit();
	ekho_tunnel_exit();
	ekho_act_exit();
	ekho_firmware_exit();
}

module_init(ekho_init);
module_exit(ekho_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The EKHO authors");
MODULE_VERSION("0.1.0");
MODULE_DESCRIPTION("BPF firmware for network offload, and simulated switch ports that use it");
MODULE_ALIAS_RTNL_LINK(EKHO_KIND);
