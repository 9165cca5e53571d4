// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of nexthops and of the buckets of resilient groups. What is marked is
 * remembered until the nexthop goes, to be taken off when the file is closed.
 */
#include <linux/slab.h>
#include <net/nexthop.h>
#include "ekho.h"
#include "mark.h"

/* Nexthops and buckets of one file; those that are more cannot be marked. */
#define EKHO_MARKED_NEXTHOPS_MAX (1024 * 1024)

struct ekho_nexthop_key {
	u32 id;
	/* 0 is the nexthop itself, n is bucket n - 1. */
	u32 part;
};

struct ekho_marked_nexthop {
	struct rhash_head node;
	struct list_head list;
	struct ekho_nexthop_key key;
	/* Of a nexthop: the last part that was ever marked. */
	u32 parts;
	bool is_marked;
};

/* The table takes twice as many as it has buckets. */
static const struct rhashtable_params ekho_nexthop_params = {
	.head_offset = offsetof(struct ekho_marked_nexthop, node),
	.key_offset = offsetof(struct ekho_marked_nexthop, key),
	.key_len = sizeof(struct ekho_nexthop_key),
	.max_size = EKHO_MARKED_NEXTHOPS_MAX / 2,
	.automatic_shrinking = true,
};

static struct ekho_marked_nexthop *
ekho_nexthop_find(struct ekho_marked_nexthops *marks, u32 id, u32 part)
{
	const struct ekho_nexthop_key key = { .id = id, .part = part };

	lockdep_assert_held(&marks->lock);
	return rhashtable_lookup_fast(&marks->table, &key, ekho_nexthop_params);
}

static void ekho_nexthop_remove(struct ekho_marked_nexthops *marks,
				struct ekho_marked_nexthop *marked)
{
	lockdep_assert_held(&marks->lock);
	rhashtable_remove_fast(&marks->table, &marked->node,
			       ekho_nexthop_params);
	list_del(&marked->list);
	kfree(marked);
}

static struct ekho_marked_nexthop *
ekho_nexthop_make(struct ekho_marked_nexthops *marks, u32 id, u32 part)
{
	struct ekho_marked_nexthop *marked = ekho_nexthop_find(marks, id, part);

	if (marked)
		return marked;
	marked = kzalloc(sizeof(*marked), GFP_ATOMIC | __GFP_ACCOUNT);
	if (!marked)
		return NULL;
	marked->key.id = id;
	marked->key.part = part;
	if (rhashtable_insert_fast(&marks->table, &marked->node,
				   ekho_nexthop_params)) {
		kfree(marked);
		return NULL;
	}
	list_add_tail(&marked->list, &marks->list);
	return marked;
}

/* A part, and the nexthop that it is forgotten with. */
static int ekho_nexthop_remember(struct ekho_marked_nexthops *marks, u32 id,
				 u32 part)
{
	struct ekho_marked_nexthop *whole, *marked = NULL;

	spin_lock_bh(&marks->lock);
	whole = ekho_nexthop_make(marks, id, 0);
	if (whole)
		marked = ekho_nexthop_make(marks, id, part);
	if (marked) {
		marked->is_marked = true;
		whole->parts = max(whole->parts, part);
	}
	spin_unlock_bh(&marks->lock);
	return marked ? 0 : -ENOSPC;
}

static void ekho_nexthop_unmark(struct ekho_marked_nexthops *marks, u32 id,
				u32 part)
{
	struct ekho_marked_nexthop *marked;

	spin_lock_bh(&marks->lock);
	marked = ekho_nexthop_find(marks, id, part);
	if (marked)
		marked->is_marked = false;
	spin_unlock_bh(&marks->lock);
}

/* The nexthop is gone. */
static void ekho_nexthop_forget(struct ekho_marked_nexthops *marks, u32 id)
{
	struct ekho_marked_nexthop *marked;
	u32 part;

	spin_lock_bh(&marks->lock);
	marked = ekho_nexthop_find(marks, id, 0);
	for (part = marked ? marked->parts : 0; part; part--) {
		struct ekho_marked_nexthop *bucket;

		bucket = ekho_nexthop_find(marks, id, part);
		if (bucket)
			ekho_nexthop_remove(marks, bucket);
	}
	if (marked)
		ekho_nexthop_remove(marks, marked);
	spin_unlock_bh(&marks->lock);
}

static int ekho_nexthop_event(struct notifier_block *nb, unsigned long event,
			      void *ptr)
{
	struct ekho_marked_nexthops *marks =
		container_of(nb, struct ekho_marked_nexthops, notifier);
	struct nh_notifier_info *info = ptr;

	if (event == NEXTHOP_EVENT_DEL)
		ekho_nexthop_forget(marks, info->id);
	return NOTIFY_DONE;
}

static bool ekho_nexthop_exists(struct net *net, u32 id)
{
	bool exists;

	rcu_read_lock();
	exists = nexthop_find_by_id(net, id);
	rcu_read_unlock();
	return exists;
}

static void ekho_nexthop_show(struct ekho_marked_nexthops *marks,
			      const struct ekho_nexthop_key *key, u8 flags)
{
	bool is_offloaded = flags & EKHO_MARK_OFFLOADED;
	bool is_trapped = flags & EKHO_MARK_TRAPPED;

	if (key->part)
		nexthop_bucket_set_hw_flags(marks->net, key->id, key->part - 1,
					    is_offloaded, is_trapped);
	else
		nexthop_set_hw_flags(marks->net, key->id, is_offloaded,
				     is_trapped);
}

int ekho_mark_nexthop(struct ekho_marked_nexthops *marks,
		      const struct ekho_mark *mark)
{
	struct ekho_nexthop_key key = { .id = mark->place };
	int err;

	if (mark->kind == EKHO_MARK_BUCKET) {
		/* The kernel's own limit. */
		if (mark->number >= U16_MAX)
			return -EINVAL;
		key.part = mark->number + 1;
	}
	if (mark->flags) {
		err = ekho_nexthop_remember(marks, key.id, key.part);
		if (err)
			return err;
	} else {
		ekho_nexthop_unmark(marks, key.id, key.part);
	}
	/* Who goes from here on is told of. */
	if (!ekho_nexthop_exists(marks->net, key.id)) {
		ekho_nexthop_forget(marks, key.id);
		return -ENOENT;
	}
	ekho_nexthop_show(marks, &key, mark->flags);
	return 0;
}

/* Takes off what is marked. */
static void ekho_marked_nexthops_clear(struct ekho_marked_nexthops *marks)
{
	struct ekho_marked_nexthop *marked;

	for (;;) {
		struct ekho_nexthop_key key;
		bool is_marked = false;

		spin_lock_bh(&marks->lock);
		marked = list_first_entry_or_null(&marks->list,
						  struct ekho_marked_nexthop,
						  list);
		if (marked) {
			key = marked->key;
			is_marked = marked->is_marked;
			ekho_nexthop_remove(marks, marked);
		}
		spin_unlock_bh(&marks->lock);
		if (!marked)
			return;
		if (is_marked)
			ekho_nexthop_show(marks, &key, 0);
		cond_resched();
	}
}

static void ekho_nexthop_free(void *marked, void *unused)
{
	kfree(marked);
}

int ekho_marked_nexthops_open(struct ekho_marked_nexthops *marks,
			      struct net *net)
{
	int err;

	marks->net = net;
	spin_lock_init(&marks->lock);
	INIT_LIST_HEAD(&marks->list);
	marks->notifier.notifier_call = ekho_nexthop_event;
	err = rhashtable_init(&marks->table, &ekho_nexthop_params);
	if (err)
		return err;
	err = register_nexthop_notifier(net, &marks->notifier, NULL);
	if (err)
		rhashtable_destroy(&marks->table);
	return err;
}

void ekho_marked_nexthops_close(struct ekho_marked_nexthops *marks,
				bool is_kept)
{
	/* The kernel tells whom it does not tell any more that all is gone. */
	if (!is_kept)
		ekho_marked_nexthops_clear(marks);
	unregister_nexthop_notifier(marks->net, &marks->notifier);
	rhashtable_free_and_destroy(&marks->table, ekho_nexthop_free, NULL);
}
