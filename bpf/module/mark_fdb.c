// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of entries of bridges, and entries that hardware learned by itself. What
 * is marked is remembered for as long as the entry is where it was marked; what
 * others learned is left alone.
 */
#include <linux/etherdevice.h>
#include <linux/if_bridge.h>
#include <linux/if_vlan.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/switchdev.h>
#include "ekho.h"
#include "mark.h"

/* Entries of one file; those that are more cannot be marked. */
#define EKHO_MARKED_ENTRIES_MAX (1024 * 1024)

/* A bridge has at most one entry of these. */
struct ekho_entry_key {
	u32 bridge;
	u16 vlan;
	u8 mac[ETH_ALEN];
};

struct ekho_marked_entry {
	struct rhash_head node;
	struct list_head list;
	struct ekho_entry_key key;
	u32 port;
	/* The bridge has it from here. */
	bool is_learned;
};

/* The table takes twice as many as it has buckets. */
static const struct rhashtable_params ekho_entry_params = {
	.head_offset = offsetof(struct ekho_marked_entry, node),
	.key_offset = offsetof(struct ekho_marked_entry, key),
	.key_len = sizeof(struct ekho_entry_key),
	.max_size = EKHO_MARKED_ENTRIES_MAX / 2,
	.automatic_shrinking = true,
};

static struct ekho_marked_entry *
ekho_entry_find(struct ekho_marked_entries *marks,
		const struct ekho_entry_key *key)
{
	lockdep_assert_held(&marks->lock);
	return rhashtable_lookup_fast(&marks->table, key, ekho_entry_params);
}

static void ekho_entry_remove(struct ekho_marked_entries *marks,
			      struct ekho_marked_entry *marked)
{
	lockdep_assert_held(&marks->lock);
	rhashtable_remove_fast(&marks->table, &marked->node, ekho_entry_params);
	list_del(&marked->list);
	kfree(marked);
}

static struct ekho_marked_entry *
ekho_entry_make(struct ekho_marked_entries *marks,
		const struct ekho_entry_key *key)
{
	struct ekho_marked_entry *marked = ekho_entry_find(marks, key);

	if (marked)
		return marked;
	marked = kzalloc(sizeof(*marked), GFP_ATOMIC | __GFP_ACCOUNT);
	if (!marked)
		return NULL;
	marked->key = *key;
	if (rhashtable_insert_fast(&marks->table, &marked->node,
				   ekho_entry_params)) {
		kfree(marked);
		return NULL;
	}
	list_add_tail(&marked->list, &marks->list);
	return marked;
}

static int ekho_entry_remember(struct ekho_marked_entries *marks,
			       const struct ekho_entry_key *key, u32 port,
			       bool is_learned)
{
	struct ekho_marked_entry *marked;

	spin_lock_bh(&marks->lock);
	marked = ekho_entry_make(marks, key);
	if (marked) {
		marked->port = port;
		marked->is_learned |= is_learned;
	}
	spin_unlock_bh(&marks->lock);
	return marked ? 0 : -ENOSPC;
}

/* @is_mark: one that was learned stays, without its mark */
static void ekho_entry_forget(struct ekho_marked_entries *marks,
			      const struct ekho_entry_key *key, bool is_mark)
{
	struct ekho_marked_entry *marked;

	spin_lock_bh(&marks->lock);
	marked = ekho_entry_find(marks, key);
	if (marked && !(is_mark && marked->is_learned))
		ekho_entry_remove(marks, marked);
	spin_unlock_bh(&marks->lock);
}

/* Whether the bridge has it from here, and at which port. */
static bool ekho_entry_is_ours(struct ekho_marked_entries *marks,
			       const struct ekho_entry_key *key, u32 *port)
{
	struct ekho_marked_entry *marked;
	bool is_ours;

	spin_lock_bh(&marks->lock);
	marked = ekho_entry_find(marks, key);
	is_ours = marked && marked->is_learned;
	if (is_ours)
		*port = marked->port;
	spin_unlock_bh(&marks->lock);
	return is_ours;
}

static int ekho_entry_look(struct net_device *bridge,
			   const struct ekho_entry_key *key,
			   struct ekho_fdb_entry *entry)
{
	return ekho_fdb_look(bridge, key->mac, key->vlan, entry, GFP_KERNEL);
}

static int ekho_entry_tell(struct ekho_marked_entries *marks,
			   struct net_device *dev,
			   const struct ekho_entry_key *key,
			   unsigned long event, bool is_offloaded)
{
	struct switchdev_notifier_fdb_info info = {
		/* That it was told from here. */
		.info.ctx = marks,
		.addr = key->mac,
		.vid = key->vlan,
		.offloaded = is_offloaded,
	};

	ASSERT_RTNL();
	return notifier_to_errno(call_switchdev_notifiers(event, dev,
							  &info.info, NULL));
}

/* Hardware has what the bridge has, or not. */
static int ekho_entry_mark(struct ekho_marked_entries *marks,
			   struct net_device *dev, struct net_device *bridge,
			   const struct ekho_entry_key *key, u8 flags)
{
	struct ekho_fdb_entry entry;
	int err;

	err = ekho_entry_look(bridge, key, &entry);
	if (err)
		return err;
	if (!entry.is_there || entry.port != dev->ifindex)
		return flags ? -ENOENT : 0;
	if (!flags)
		ekho_entry_forget(marks, key, true);
	else
		err = ekho_entry_remember(marks, key, dev->ifindex, false);
	if (err)
		return err;
	return ekho_entry_tell(marks, dev, key, SWITCHDEV_FDB_OFFLOADED,
			       flags & EKHO_MARK_OFFLOADED);
}

/* Hardware learned it, or learned it at another port. */
static int ekho_entry_learn(struct ekho_marked_entries *marks,
			    struct net_device *dev, struct net_device *bridge,
			    const struct ekho_entry_key *key, u8 flags)
{
	struct ekho_fdb_entry entry;
	bool is_ours;
	u32 port;
	int err;

	err = ekho_entry_look(bridge, key, &entry);
	if (err)
		return err;
	is_ours = ekho_entry_is_ours(marks, key, &port) && entry.is_learned &&
		  entry.port == port;
	/* It is of a file that kept it. */
	if (marks->is_kept && entry.is_learned && entry.port == dev->ifindex)
		is_ours = true;
	if (entry.is_there && !is_ours)
		return -EEXIST;
	err = ekho_entry_remember(marks, key, dev->ifindex, true);
	if (err)
		return err;
	err = ekho_entry_tell(marks, dev, key, SWITCHDEV_FDB_ADD_TO_BRIDGE,
			      flags & EKHO_MARK_OFFLOADED);
	if (err)
		ekho_entry_forget(marks, key, false);
	return err;
}

/* The bridge a device is a port of, or NULL. */
static struct net_device *ekho_entry_bridge(struct net_device *dev)
{
	return dev && netif_is_bridge_port(dev) ?
		       netdev_master_upper_dev_get(dev) : NULL;
}

/* What was remembered, and is no more, goes from the bridge, too. */
static int ekho_entry_take_off(struct ekho_marked_entries *marks,
			       const struct ekho_marked_entry *marked)
{
	struct net_device *dev = __dev_get_by_index(marks->net, marked->port);
	struct net_device *bridge = ekho_entry_bridge(dev);
	struct ekho_fdb_entry entry;
	int err;

	if (!bridge || bridge->ifindex != marked->key.bridge)
		return 0;
	err = ekho_entry_look(bridge, &marked->key, &entry);
	if (err || !entry.is_there || entry.port != marked->port)
		return err;
	if (!marked->is_learned)
		return ekho_entry_tell(marks, dev, &marked->key,
				       SWITCHDEV_FDB_OFFLOADED, false);
	/* Others have it there by now. */
	if (!entry.is_learned)
		return 0;
	return ekho_entry_tell(marks, dev, &marked->key,
			       SWITCHDEV_FDB_DEL_TO_BRIDGE, false);
}

/* Hardware has forgotten what it learned, and not learned elsewhere. */
static int ekho_entry_age(struct ekho_marked_entries *marks,
			  struct net_device *dev,
			  const struct ekho_entry_key *key)
{
	struct ekho_marked_entry *marked, gone;
	int err = -ENOENT;

	spin_lock_bh(&marks->lock);
	marked = ekho_entry_find(marks, key);
	if (marked && marked->is_learned && marked->port == dev->ifindex) {
		gone = *marked;
		ekho_entry_remove(marks, marked);
		err = 0;
	}
	spin_unlock_bh(&marks->lock);
	return err ?: ekho_entry_take_off(marks, &gone);
}

int ekho_mark_entry(struct ekho_marked_entries *marks,
		    const struct ekho_mark *mark)
{
	struct ekho_entry_key key = { .vlan = mark->number };
	struct net_device *dev, *bridge;
	int err = -ENODEV;

	if (!is_valid_ether_addr(mark->address) || mark->number > VLAN_VID_MASK)
		return -EINVAL;
	ether_addr_copy(key.mac, mark->address);
	rtnl_lock();
	dev = __dev_get_by_index(marks->net, mark->place);
	bridge = ekho_entry_bridge(dev);
	if (!bridge)
		goto out;
	key.bridge = bridge->ifindex;
	if (mark->kind == EKHO_MARK_FDB)
		err = ekho_entry_mark(marks, dev, bridge, &key, mark->flags);
	else if (mark->flags)
		err = ekho_entry_learn(marks, dev, bridge, &key, mark->flags);
	else
		err = ekho_entry_age(marks, dev, &key);
out:
	rtnl_unlock();
	return err;
}

/* The bridge says that an entry is at a port, or gone. */
static void ekho_entry_changed(struct ekho_marked_entries *marks,
			       const struct switchdev_notifier_fdb_info *info,
			       bool is_there, bool is_others)
{
	struct ekho_entry_key key = { .vlan = info->vid };
	struct net_device *dev = info->info.dev, *bridge = dev;
	struct ekho_marked_entry *marked;

	if (!net_eq(dev_net(dev), marks->net))
		return;
	if (!netif_is_bridge_master(dev))
		bridge = netdev_master_upper_dev_get_rcu(dev);
	if (!bridge)
		return;
	key.bridge = bridge->ifindex;
	ether_addr_copy(key.mac, info->addr);
	spin_lock_bh(&marks->lock);
	marked = ekho_entry_find(marks, &key);
	if (marked && !(is_there && marked->port == dev->ifindex))
		ekho_entry_remove(marks, marked);
	else if (marked && is_others)
		marked->is_learned = false;
	spin_unlock_bh(&marks->lock);
}

static int ekho_entry_event(struct notifier_block *nb, unsigned long event,
			    void *ptr)
{
	struct ekho_marked_entries *marks =
		container_of(nb, struct ekho_marked_entries, notifier);
	const struct switchdev_notifier_fdb_info *info = ptr;

	/* What is told from here is known. */
	if (info->info.ctx == marks)
		return NOTIFY_DONE;
	rcu_read_lock();
	switch (event) {
	case SWITCHDEV_FDB_ADD_TO_DEVICE:
		ekho_entry_changed(marks, info, true, info->added_by_user);
		break;
	case SWITCHDEV_FDB_ADD_TO_BRIDGE:
		ekho_entry_changed(marks, info, true, true);
		break;
	case SWITCHDEV_FDB_DEL_TO_DEVICE:
	case SWITCHDEV_FDB_DEL_TO_BRIDGE:
		ekho_entry_changed(marks, info, false, true);
		break;
	}
	rcu_read_unlock();
	return NOTIFY_DONE;
}

/* Takes off what is marked, and what was learned, one after the other. */
static void ekho_marked_entries_clear(struct ekho_marked_entries *marks)
{
	struct ekho_marked_entry *marked, one;

	for (;;) {
		spin_lock_bh(&marks->lock);
		marked = list_first_entry_or_null(&marks->list,
						  struct ekho_marked_entry,
						  list);
		if (marked) {
			one = *marked;
			ekho_entry_remove(marks, marked);
		}
		spin_unlock_bh(&marks->lock);
		if (!marked)
			return;
		rtnl_lock();
		ekho_entry_take_off(marks, &one);
		rtnl_unlock();
		cond_resched();
	}
}

static void ekho_entry_free(void *marked, void *unused)
{
	kfree(marked);
}

int ekho_marked_entries_open(struct ekho_marked_entries *marks,
			     struct net *net, bool is_kept)
{
	int err;

	marks->net = net;
	marks->is_kept = is_kept;
	spin_lock_init(&marks->lock);
	INIT_LIST_HEAD(&marks->list);
	marks->notifier.notifier_call = ekho_entry_event;
	/* After the bridge, which may refuse what it is told. */
	marks->notifier.priority = -1;
	err = rhashtable_init(&marks->table, &ekho_entry_params);
	if (err)
		return err;
	err = register_switchdev_notifier(&marks->notifier);
	if (err)
		rhashtable_destroy(&marks->table);
	return err;
}

void ekho_marked_entries_close(struct ekho_marked_entries *marks)
{
	if (!marks->is_kept)
		ekho_marked_entries_clear(marks);
	unregister_switchdev_notifier(&marks->notifier);
	rhashtable_free_and_destroy(&marks->table, ekho_entry_free, NULL);
}
