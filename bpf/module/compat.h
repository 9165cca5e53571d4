/* SPDX-License-Identifier: GPL-2.0 */
/* Where kernels from 6.12 on differ. */
#ifndef EKHO_COMPAT_H
#define EKHO_COMPAT_H

#include <linux/btf.h>
#include <linux/version.h>
#include <net/rtnetlink.h>

/* Newer kernels have kfuncs that take nothing else. */
#ifndef KF_TRUSTED_ARGS
#define KF_TRUSTED_ARGS 0
#endif

/* 6.15 put the arguments of newlink into a struct. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
struct rtnl_newlink_params {
	struct net *src_net;
	struct nlattr **tb;
	struct nlattr **data;
};

#define EKHO_NEWLINK(name)                                                  \
	static int name(struct net *src_net, struct net_device *dev,        \
			struct nlattr *tb[], struct nlattr *data[],         \
			struct netlink_ext_ack *extack)                     \
	{                                                                   \
		struct rtnl_newlink_params params = { src_net, tb, data };  \
									    \
		return name##_params(dev, &params, extack);                 \
	}

static inline struct net *rtnl_newlink_link_net(struct rtnl_newlink_params *p)
{
	return p->src_net;
}
#else
#define EKHO_NEWLINK(name)                                                  \
	static int name(struct net_device *dev,                             \
			struct rtnl_newlink_params *params,                 \
			struct netlink_ext_ack *extack)                     \
	{                                                                   \
		return name##_params(dev, params, extack);                  \
	}
#endif

#endif
