// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of routes. A module cannot look up a route by its prefix, so while a
 * file is open it follows the namespace's routes: of each prefix the one that
 * counts.
 */
#include <linux/inetdevice.h>
#include <linux/slab.h>
#include <net/fib_notifier.h>
#include <net/ip6_fib.h>
#include <net/ip_fib.h>
#include "ekho.h"
#include "mark.h"
#include "route6.h"

/* Routes of one file; those that are more cannot be marked. */
#define EKHO_MARKED_ROUTES_MAX (4 * 1024 * 1024)

struct ekho_marked_key {
	/* EKHO_MARK_ROUTE4 or EKHO_MARK_ROUTE6 */
	u8 kind;
	u8 length;
	u16 unused;
	u32 table;
	u8 address[16];
};

struct ekho_marked {
	struct rhash_head node;
	struct ekho_marked_key key;
	/* What the kernel was told last: enum ekho_mark_flags. */
	u8 flags;
	/* Of IPv4 routes. */
	u8 type;
	dscp_t dscp;
	union {
		struct fib_info *route4;
		struct ekho_route6 *route6;
	};
};

/* The table takes twice as many as it has buckets. */
static const struct rhashtable_params ekho_marked_params = {
	.head_offset = offsetof(struct ekho_marked, node),
	.key_offset = offsetof(struct ekho_marked, key),
	.key_len = sizeof(struct ekho_marked_key),
	.max_size = EKHO_MARKED_ROUTES_MAX / 2,
	.automatic_shrinking = true,
};

static void ekho_marked_drop(struct ekho_marked *marked)
{
	if (marked->key.kind == EKHO_MARK_ROUTE4 && marked->route4)
		fib_info_put(marked->route4);
	if (marked->key.kind == EKHO_MARK_ROUTE6)
		ekho_route6_put(marked->route6);
}

static void ekho_marked_free(void *object, void *unused)
{
	ekho_marked_drop(object);
	kfree(object);
}

static struct ekho_marked *ekho_marked_find(struct ekho_marked_routes *marks,
					    const struct ekho_marked_key *key)
{
	lockdep_assert_held(&marks->lock);
	return rhashtable_lookup_fast(&marks->table, key, ekho_marked_params);
}

static struct ekho_marked *ekho_marked_make(struct ekho_marked_routes *marks,
					    const struct ekho_marked_key *key)
{
	struct ekho_marked *marked = ekho_marked_find(marks, key);

	if (marked)
		return marked;
	marked = kzalloc(sizeof(*marked), GFP_ATOMIC);
	if (!marked)
		return NULL;
	marked->key = *key;
	if (rhashtable_insert_fast(&marks->table, &marked->node,
				   ekho_marked_params)) {
		kfree(marked);
		return NULL;
	}
	return marked;
}

static void ekho_marked_remove(struct ekho_marked_routes *marks,
			       struct ekho_marked *marked)
{
	lockdep_assert_held(&marks->lock);
	rhashtable_remove_fast(&marks->table, &marked->node,
			       ekho_marked_params);
	ekho_marked_free(marked, NULL);
}

static void ekho_marks_on_route4(struct ekho_marked_routes *marks, unsigned long event,
				 struct fib_entry_notifier_info *info)
{
	struct ekho_marked_key key = {
		.kind = EKHO_MARK_ROUTE4,
		.length = info->dst_len,
		.table = info->tb_id,
	};
	struct ekho_marked *marked;

	*(__be32 *)key.address = htonl(info->dst);
	if (event != FIB_EVENT_ENTRY_REPLACE) {
		marked = ekho_marked_find(marks, &key);
		/* Only what is told to be gone. */
		if (marked && marked->route4 == info->fi)
			ekho_marked_remove(marks, marked);
		return;
	}
	marked = ekho_marked_make(marks, &key);
	if (!marked)
		return;
	ekho_marked_drop(marked);
	fib_info_hold(info->fi);
	marked->route4 = info->fi;
	marked->dscp = info->dscp;
	marked->type = info->type;
	marked->flags = 0;
}

static void ekho_marks_on_route6(struct ekho_marked_routes *marks, unsigned long event,
				 struct fib6_entry_notifier_info *info)
{
	struct fib6_info *rt = info->rt;
	unsigned int count = info->nsiblings + 1, i;
	struct ekho_route6 *before, *route;
	struct ekho_marked *marked;
	struct ekho_marked_key key = {
		.kind = EKHO_MARK_ROUTE6,
		.length = rt->fib6_dst.plen,
		.table = rt->fib6_table->tb6_id,
	};

	/* Those by source are of the same prefix, beside the one for all. */
	if (rt->fib6_src.plen)
		return;
	memcpy(key.address, &rt->fib6_dst.addr, sizeof(key.address));
	if (event == FIB_EVENT_ENTRY_DEL) {
		marked = ekho_marked_find(marks, &key);
		if (!marked || !marked->route6)
			return;
		before = marked->route6;
		if (!ekho_route6_has(before, rt))
			return;
		/* All of it, or one of its ways. */
		route = info->nsiblings + 1 >= before->count ?
				NULL : ekho_route6_without(before, rt);
		if (!route) {
			ekho_marked_remove(marks, marked);
			return;
		}
		marked->route6 = route;
		ekho_route6_put(before);
		return;
	}
	marked = ekho_marked_make(marks, &key);
	if (!marked)
		return;
	before = marked->route6;
	marked->route6 = NULL;
	i = before && event == FIB_EVENT_ENTRY_APPEND ? before->count : 0;
	/* Those that stay have their marks. */
	if (!i)
		marked->flags = 0;
	route = ekho_route6_alloc(i + count);
	if (route) {
		ekho_route6_fill(route, i, rt);
		while (i--)
			ekho_route6_take(route, i, before->routes[i]);
		marked->route6 = route;
	}
	ekho_route6_put(before);
	if (!route)
		ekho_marked_remove(marks, marked);
}

static int ekho_marks_event(struct notifier_block *nb, unsigned long event,
			    void *ptr)
{
	struct ekho_marked_routes *marks =
		container_of(nb, struct ekho_marked_routes, notifier);
	struct fib_notifier_info *info = ptr;

	if (event != FIB_EVENT_ENTRY_REPLACE &&
	    event != FIB_EVENT_ENTRY_APPEND && event != FIB_EVENT_ENTRY_DEL)
		return NOTIFY_DONE;
	spin_lock_bh(&marks->lock);
	if (info->family == AF_INET)
		ekho_marks_on_route4(marks, event, ptr);
	else if (info->family == AF_INET6)
		ekho_marks_on_route6(marks, event, ptr);
	spin_unlock_bh(&marks->lock);
	return NOTIFY_DONE;
}

/* The namespace's routes changed while they were told: from the beginning. */
static void ekho_marks_again(struct notifier_block *nb)
{
	struct ekho_marked_routes *marks =
		container_of(nb, struct ekho_marked_routes, notifier);

	/* Nobody else looks yet. The least of a table is always to be had. */
	rhashtable_free_and_destroy(&marks->table, ekho_marked_free, NULL);
	WARN_ON(rhashtable_init(&marks->table, &ekho_marked_params));
}

/* The route is the one that was marked, and not its successor. */
static int ekho_mark_meant(const struct ekho_mark *mark, u32 check)
{
	return mark->check && mark->check != check ? -ESTALE : 0;
}

static int ekho_mark_route4(struct ekho_marked_routes *marks,
			    const struct ekho_marked_key *key,
			    const struct ekho_mark *mark)
{
	struct fib_rt_info route = {
		.tb_id = key->table,
		.dst = *(__be32 *)key->address,
		.dst_len = key->length,
		.offload = !!(mark->flags & EKHO_MARK_OFFLOADED),
		.trap = !!(mark->flags & EKHO_MARK_TRAPPED),
		.offload_failed = !!(mark->flags & EKHO_MARK_FAILED),
	};
	struct ekho_marked *marked;
	int err = -ENOENT;

	spin_lock_bh(&marks->lock);
	marked = ekho_marked_find(marks, key);
	if (marked && marked->route4->fib_priority == mark->number) {
		route.fi = marked->route4;
		route.dscp = marked->dscp;
		route.type = marked->type;
		err = ekho_mark_meant(mark, ekho_check_route4(route.fi, route.type,
							      route.dscp));
	}
	if (!err) {
		fib_info_hold(route.fi);
		marked->flags = mark->flags;
	}
	spin_unlock_bh(&marks->lock);
	if (err)
		return err;
	fib_alias_hw_flags_set(marks->net, &route);
	fib_info_put(route.fi);
	return 0;
}

static int ekho_mark_route6(struct ekho_marked_routes *marks,
			    const struct ekho_marked_key *key,
			    const struct ekho_mark *mark)
{
	struct ekho_route6 *route;
	struct ekho_marked *marked;
	int err = -ENOENT;
	unsigned int i;

	spin_lock_bh(&marks->lock);
	marked = ekho_marked_find(marks, key);
	if (marked && marked->route6->routes[0]->fib6_metric == mark->number) {
		route = marked->route6;
		err = ekho_mark_meant(mark, ekho_check_route6(route->routes,
							      route->count));
	}
	if (!err) {
		refcount_inc(&route->references);
		marked->flags = mark->flags;
	}
	spin_unlock_bh(&marks->lock);
	if (err)
		return err;
	for (i = 0; i < route->count; i++)
		fib6_info_hw_flags_set(marks->net, route->routes[i],
				       mark->flags & EKHO_MARK_OFFLOADED,
				       mark->flags & EKHO_MARK_TRAPPED,
				       mark->flags & EKHO_MARK_FAILED);
	ekho_route6_put(route);
	return 0;
}

int ekho_mark_route(struct ekho_marked_routes *marks,
		    const struct ekho_mark *mark)
{
	bool is_v4 = mark->kind == EKHO_MARK_ROUTE4;
	struct ekho_marked_key key = {
		.kind = mark->kind,
		.length = mark->length,
		.table = mark->place,
	};

	memcpy(key.address, mark->address, is_v4 ? 4 : sizeof(key.address));
	return is_v4 ? ekho_mark_route4(marks, &key, mark) :
		       ekho_mark_route6(marks, &key, mark);
}

/* Takes off what is marked, one after the other: applying may sleep. */
static void ekho_marked_routes_clear(struct ekho_marked_routes *marks)
{
	struct rhashtable_iter iter;
	struct ekho_marked *marked;

	rhashtable_walk_enter(&marks->table, &iter);
	rhashtable_walk_start(&iter);
	while ((marked = rhashtable_walk_next(&iter))) {
		struct ekho_mark none = {};
		struct ekho_marked_key key;

		if (IS_ERR(marked) || !marked->flags)
			continue;
		/* The notifier is gone: nobody else changes the table. */
		key = marked->key;
		none.kind = key.kind;
		none.number = key.kind == EKHO_MARK_ROUTE4 ?
				      marked->route4->fib_priority :
				      marked->route6->routes[0]->fib6_metric;
		rhashtable_walk_stop(&iter);
		if (key.kind == EKHO_MARK_ROUTE4)
			ekho_mark_route4(marks, &key, &none);
		else
			ekho_mark_route6(marks, &key, &none);
		cond_resched();
		rhashtable_walk_start(&iter);
	}
	rhashtable_walk_stop(&iter);
	rhashtable_walk_exit(&iter);
}

int ekho_marked_routes_open(struct ekho_marked_routes *marks, struct net *net)
{
	int err;

	marks->net = net;
	spin_lock_init(&marks->lock);
	marks->notifier.notifier_call = ekho_marks_event;
	err = rhashtable_init(&marks->table, &ekho_marked_params);
	if (err)
		return err;
	err = register_fib_notifier(net, &marks->notifier, ekho_marks_again,
				    NULL);
	if (err)
		rhashtable_free_and_destroy(&marks->table, ekho_marked_free,
					    NULL);
	return err;
}

void ekho_marked_routes_close(struct ekho_marked_routes *marks, bool is_kept)
{
	unregister_fib_notifier(marks->net, &marks->notifier);
	if (!is_kept)
		ekho_marked_routes_clear(marks);
	rhashtable_free_and_destroy(&marks->table, ekho_marked_free, NULL);
}
