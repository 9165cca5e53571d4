// SPDX-License-Identifier: GPL-2.0
/*
 * Entries of bridges on their way to firmware. Bridges tell of them in atomic
 * context, with a lock held, so they wait in one list, in the order in which
 * they were told, for a work item. Of an entry at a port only the last word
 * waits.
 *
 * A learned entry that there is no room for is software's alone. Anything else
 * that is lost would leave firmware with what the bridge has not: then all
 * entries of the port are withdrawn, and the bridge is asked for them again.
 */
#include <linux/etherdevice.h>
#include <linux/rhashtable.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/switchdev.h>
#include "ekho.h"

/* Entries of a port that wait. */
#define EKHO_FDB_WAITING_MAX 65536
/* Entries that are looked at in one go. */
#define EKHO_FDB_BATCH 64
/* Bridges are asked no more often. */
#define EKHO_FDB_RESYNC_PAUSE HZ

struct ekho_fdb_key {
	struct ekho_firmware_port *port;
	u8 mac[ETH_ALEN];
	u16 vlan;
};

struct ekho_fdb_event {
	struct rhash_head node;
	/* All that wait, and those of the port. */
	struct list_head list, port_list;
	struct ekho_fdb_key key;
	/* The port's when the bridge told. */
	u32 bridge;
	u32 object_flags, flags;
	bool is_gone;
};

static const struct rhashtable_params ekho_fdb_params = {
	.key_len = sizeof(struct ekho_fdb_key),
	.key_offset = offsetof(struct ekho_fdb_event, key),
	.head_offset = offsetof(struct ekho_fdb_event, node),
	.automatic_shrinking = true,
};

/* What waits. */
static DEFINE_SPINLOCK(ekho_fdb_lock);
static LIST_HEAD(ekho_fdb_events);
static struct rhashtable ekho_fdb_table;

static struct workqueue_struct *ekho_fdb_queue;
static void ekho_fdb_work(struct work_struct *work);
static DECLARE_WORK(ekho_fdb_worker, ekho_fdb_work);
static void ekho_resync_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(ekho_resync_worker, ekho_resync_work);
/* When bridges were asked last, in jiffies. */
static unsigned long ekho_resync_last;

/* Asks the bridges of ports that missed something. */
void ekho_resync(void)
{
	unsigned long next = READ_ONCE(ekho_resync_last) + EKHO_FDB_RESYNC_PAUSE;
	unsigned long now = jiffies;

	queue_delayed_work(ekho_fdb_queue, &ekho_resync_worker,
			   time_before(now, next) ? next - now : 0);
}

static void ekho_fdb_remove(struct ekho_fdb_event *event)
{
	lockdep_assert_held(&ekho_fdb_lock);
	rhashtable_remove_fast(&ekho_fdb_table, &event->node, ekho_fdb_params);
	list_del(&event->list);
	list_del(&event->port_list);
	event->key.port->fdb_waiting--;
}

static struct ekho_fdb_event *ekho_fdb_make(const struct ekho_fdb_key *key)
{
	struct ekho_firmware_port *port = key->port;
	struct ekho_fdb_event *event;

	lockdep_assert_held(&ekho_fdb_lock);
	if (port->fdb_waiting >= EKHO_FDB_WAITING_MAX)
		return NULL;
	event = kzalloc(sizeof(*event), GFP_ATOMIC | __GFP_NOWARN);
	if (!event)
		return NULL;
	event->key = *key;
	if (rhashtable_insert_fast(&ekho_fdb_table, &event->node,
				   ekho_fdb_params)) {
		kfree(event);
		return NULL;
	}
	list_add_tail(&event->list, &ekho_fdb_events);
	list_add_tail(&event->port_list, &port->fdb_events);
	port->fdb_waiting++;
	return event;
}

/*
 * An entry is at a port, or is not there any more. Atomic.
 * @flags: EKHO_FLOW_REPLAY or 0
 */
void ekho_fdb_tell(struct ekho_firmware_port *port,
		   const struct switchdev_notifier_fdb_info *info, bool is_gone,
		   u32 flags)
{
	struct ekho_fdb_event *event;
	struct ekho_fdb_key key;

	memset(&key, 0, sizeof(key));
	key.port = port;
	key.vlan = info->vid;
	ether_addr_copy(key.mac, info->addr);

	spin_lock_bh(&ekho_fdb_lock);
	/* The bridge is asked for all of them. */
	if (port->fdb_overrun)
		goto out;
	event = rhashtable_lookup_fast(&ekho_fdb_table, &key, ekho_fdb_params);
	/* What was told just now is newer than what a replay found. */
	if (event && flags > event->flags)
		goto out;
	if (event)
		list_move_tail(&event->list, &ekho_fdb_events);
	else
		event = ekho_fdb_make(&key);
	if (event) {
		event->bridge = READ_ONCE(port->bridge);
		event->object_flags = (info->added_by_user ? EKHO_BRIDGE_STATIC : 0) |
				      (info->locked ? EKHO_BRIDGE_LOCKED : 0);
		event->flags = flags;
		event->is_gone = is_gone;
		queue_work(ekho_fdb_queue, &ekho_fdb_worker);
	} else if (!flags && (is_gone || info->added_by_user)) {
		port->fdb_overrun = true;
		net_warn_ratelimited("%s: too many entries of the bridge change at once: all are asked for again\n",
				     port->dev->name);
		ekho_resync();
	}
out:
	spin_unlock_bh(&ekho_fdb_lock);
}

static struct ekho_fdb_event *ekho_fdb_next(void)
{
	struct ekho_fdb_event *event;

	spin_lock_bh(&ekho_fdb_lock);
	event = list_first_entry_or_null(&ekho_fdb_events,
					 struct ekho_fdb_event, list);
	if (event)
		ekho_fdb_remove(event);
	spin_unlock_bh(&ekho_fdb_lock);
	return event;
}

static void ekho_fdb_apply(const struct ekho_fdb_event *event)
{
	struct ekho_firmware_port *port = event->key.port;
	struct ekho_object_key key = {
		.kind = EKHO_OBJECT_FDB,
		.vlan = event->key.vlan,
	};

	ether_addr_copy(key.mac, event->key.mac);
	mutex_lock(&port->lock);
	/* The port may have left the bridge since. */
	if (!event->bridge || event->bridge != port->bridge)
		goto out;
	if (event->is_gone)
		ekho_bridge_del(port, &key);
	else
		ekho_bridge_add(port, &key, event->object_flags, 0,
				event->flags);
out:
	mutex_unlock(&port->lock);
}

static void ekho_fdb_work(struct work_struct *work)
{
	unsigned int left = EKHO_FDB_BATCH;
	struct ekho_fdb_event *event;

	while (left-- && (event = ekho_fdb_next())) {
		ekho_fdb_apply(event);
		kfree(event);
		cond_resched();
	}
	spin_lock_bh(&ekho_fdb_lock);
	if (!list_empty(&ekho_fdb_events))
		queue_work(ekho_fdb_queue, &ekho_fdb_worker);
	spin_unlock_bh(&ekho_fdb_lock);
}

/* Nothing of the port waits any more, and nothing of it is looked at. */
void ekho_fdb_forget(struct ekho_firmware_port *port)
{
	unsigned int left;

	ASSERT_RTNL();
	do {
		struct ekho_fdb_event *event, *next;
		LIST_HEAD(events);

		left = EKHO_FDB_BATCH;
		spin_lock_bh(&ekho_fdb_lock);
		while (left && !list_empty(&port->fdb_events)) {
			event = list_first_entry(&port->fdb_events,
						 struct ekho_fdb_event, port_list);
			ekho_fdb_remove(event);
			list_add(&event->list, &events);
			left--;
		}
		if (left)
			port->fdb_overrun = false;
		spin_unlock_bh(&ekho_fdb_lock);
		list_for_each_entry_safe(event, next, &events, list)
			kfree(event);
		cond_resched();
	} while (!left);
	/* It takes no RTNL. */
	flush_work(&ekho_fdb_worker);
}

static void ekho_port_resync(struct ekho_firmware_port *port)
{
	if (!port->bridge)
		return;
	if (READ_ONCE(port->fdb_overrun)) {
		ekho_fdb_forget(port);
		mutex_lock(&port->lock);
		ekho_bridge_withdraw_fdb(port);
		mutex_unlock(&port->lock);
		/* Entries have nothing that can fail. */
		ekho_switchdev_replay(port, true);
	}
	if (!port->has_doubts)
		return;
	/* Groups are kept rather than lost. */
	if (ekho_switchdev_replay(port, false)) {
		ekho_resync();
		return;
	}
	mutex_lock(&port->lock);
	ekho_bridge_settle(port);
	mutex_unlock(&port->lock);
}

static void ekho_resync_work(struct work_struct *work)
{
	rtnl_lock();
	WRITE_ONCE(ekho_resync_last, jiffies);
	ekho_ports_visit(ekho_port_resync);
	rtnl_unlock();
}

void ekho_fdb_open(struct ekho_firmware_port *port)
{
	INIT_LIST_HEAD(&port->fdb_events);
}

int ekho_fdb_init(void)
{
	int err = rhashtable_init(&ekho_fdb_table, &ekho_fdb_params);

	if (err)
		return err;
	/* One must go on while the other waits for it. */
	ekho_fdb_queue = alloc_workqueue("ekho_fdb", WQ_UNBOUND, 0);
	if (ekho_fdb_queue)
		return 0;
	rhashtable_destroy(&ekho_fdb_table);
	return -ENOMEM;
}

/* No port is left, and nobody tells of entries. */
void ekho_fdb_exit(void)
{
	cancel_delayed_work_sync(&ekho_resync_worker);
	destroy_workqueue(ekho_fdb_queue);
	rhashtable_destroy(&ekho_fdb_table);
}
