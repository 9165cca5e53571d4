// SPDX-License-Identifier: GPL-2.0
/*
 * What a bridge has of an address. br_fdb_find_port() would not say whose the
 * entry is, nor find one of the bridge itself, so this asks as user space does.
 */
#include <linux/neighbour.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/netlink.h>
#include "ekho.h"

/* Fills @entry; 0, also if there is none, or a negative errno. */
int ekho_fdb_look(struct net_device *bridge, const u8 *mac, u16 vlan,
		  struct ekho_fdb_entry *entry, gfp_t gfp)
{
	const struct net_device_ops *ops = bridge->netdev_ops;
	const struct nlmsghdr *header;
	const struct ndmsg *message;
	const struct nlattr *more;
	struct sk_buff *skb;
	int err;

	ASSERT_RTNL();
	memset(entry, 0, sizeof(*entry));
	if (!ops->ndo_fdb_get)
		return -EOPNOTSUPP;
	skb = nlmsg_new(NLMSG_DEFAULT_SIZE, gfp);
	if (!skb)
		return -ENOMEM;
	err = ops->ndo_fdb_get(skb, NULL, bridge, mac, vlan, 0, 0, NULL);
	if (err)
		goto out;
	header = nlmsg_hdr(skb);
	message = nlmsg_data(header);
	more = nlmsg_find_attr(header, sizeof(*message), NDA_FLAGS_EXT);
	entry->is_there = true;
	entry->port = message->ndm_ifindex;
	entry->is_static = message->ndm_state & (NUD_NOARP | NUD_PERMANENT);
	entry->is_learned = message->ndm_flags & NTF_EXT_LEARNED;
	entry->is_locked = more && nla_get_u32(more) & NTF_EXT_LOCKED;
out:
	kfree_skb(skb);
	return err == -ENOENT ? 0 : err;
}
