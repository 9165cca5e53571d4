// SPDX-License-Identifier: GPL-2.0
/*
 * Routes of a switch's namespace: what the kernel has of each prefix.
 *
 * The kernel tells with locks held that forbid to sleep, and waits for nobody.
 * So what it tells is kept here, route by route, and a worker brings firmware
 * up to date: however quickly a route changes, it waits for its turn once.
 */
#include <linux/slab.h>
#include <net/fib_notifier.h>
#include <net/ip6_fib.h>
#include <net/ip_fib.h>
#include "route.h"

/* Routes that are brought up to date before others may have the lock. */
#define EKHO_ROUTES_AT_ONCE 64
/*
 * Jiffies, so one at least. The kernel tells of an IPv4 route here before it
 * announces it (fib_table_insert()): a mark that came first would be in that
 * announcement, too.
 */
#define EKHO_FIB_DELAY 2

/* The table takes twice as many as it has buckets. */
static const struct rhashtable_params ekho_route_params = {
	.head_offset = offsetof(struct ekho_route, node),
	.key_offset = offsetof(struct ekho_route, key),
	.key_len = sizeof(struct ekho_route_key),
	.max_size = EKHO_ROUTES_MAX / 2,
	.automatic_shrinking = true,
};

static struct ekho_room *ekho_route_room(struct ekho_fib *fib,
					 const struct ekho_route_key *key)
{
	return key->family == AF_INET ? &fib->room4 : &fib->room6;
}

static void ekho_route_hold(const struct ekho_route *route,
			    const struct ekho_route_ref *ref)
{
	if (!ref->route4)
		return;
	if (route->key.family == AF_INET)
		fib_info_hold(ref->route4);
	else
		refcount_inc(&ref->route6->references);
}

static void ekho_route_put(const struct ekho_route *route,
			   struct ekho_route_ref *ref)
{
	if (ref->route4 && route->key.family == AF_INET)
		fib_info_put(ref->route4);
	else if (ref->route6)
		ekho_route6_put(ref->route6);
	ref->route4 = NULL;
}

static void ekho_route_touch(struct ekho_switch *sw, struct ekho_route *route)
{
	lockdep_assert_held(&sw->fib.lock);
	if (list_empty(&route->dirty))
		list_add_tail(&route->dirty, &sw->fib.dirty);
	queue_delayed_work(system_unbound_wq, &sw->fib.work, EKHO_FIB_DELAY);
}

/* The kernel has another route for a prefix, or none. Takes the reference. */
static void ekho_route_want(struct ekho_switch *sw, struct ekho_route *route,
			    const struct ekho_route_ref *ref)
{
	struct ekho_room *room = ekho_route_room(&sw->fib, &route->key);

	atomic64_add(!!ref->route4 - !!route->wanted.route4, &room->used);
	ekho_route_put(route, &route->wanted);
	route->wanted = *ref;
	ekho_route_touch(sw, route);
}

static struct ekho_route *ekho_route_make(struct ekho_switch *sw,
					  const struct ekho_route_key *key)
{
	struct ekho_fib *fib = &sw->fib;
	struct ekho_route *route;
	int err;

	route = kzalloc(sizeof(*route), GFP_ATOMIC);
	if (!route)
		return ERR_PTR(-ENOMEM);
	route->key = *key;
	err = rhashtable_insert_fast(&fib->table, &route->node,
				     ekho_route_params);
	if (err) {
		kfree(route);
		return ERR_PTR(err);
	}
	route->id = ++fib->last_id;
	INIT_LIST_HEAD(&route->dirty);
	list_add_tail(&route->list, &fib->routes);
	return route;
}

/* The place of a prefix that is to have a route, or why there is none. */
static struct ekho_route *ekho_route_place(struct ekho_switch *sw,
					   const struct ekho_route_key *key,
					   struct netlink_ext_ack *extack)
{
	struct ekho_room *room = ekho_route_room(&sw->fib, key);
	struct ekho_route *route;

	route = rhashtable_lookup_fast(&sw->fib.table, key, ekho_route_params);
	if (route && route->wanted.route4)
		return route;
	if (atomic64_read(&room->used) >= READ_ONCE(room->size)) {
		NL_SET_ERR_MSG_MOD(extack, "no room in hardware for one more route (devlink resource fib)");
		return ERR_PTR(-ENOSPC);
	}
	return route ?: ekho_route_make(sw, key);
}

/* What there is no memory for is software's alone, as if nobody was asked. */
static int ekho_route_refusal(int err)
{
	return err == -ENOSPC ? err : 0;
}

static int ekho_route4_event(struct ekho_switch *sw, unsigned long event,
			     struct fib_entry_notifier_info *info)
{
	struct ekho_route_key key = {
		.family = AF_INET,
		.length = info->dst_len,
		.table = info->tb_id,
	};
	struct ekho_route_ref ref = {};
	struct ekho_route *route;

	*(__be32 *)key.address = htonl(info->dst);
	if (event == FIB_EVENT_ENTRY_DEL) {
		route = rhashtable_lookup_fast(&sw->fib.table, &key,
					       ekho_route_params);
		if (route && route->wanted.route4 == info->fi)
			ekho_route_want(sw, route, &ref);
		return 0;
	}
	if (event != FIB_EVENT_ENTRY_REPLACE)
		return 0;
	route = ekho_route_place(sw, &key, info->info.extack);
	if (IS_ERR(route))
		return ekho_route_refusal(PTR_ERR(route));
	fib_info_hold(info->fi);
	ref.route4 = info->fi;
	ref.type = info->type;
	ref.dscp = info->dscp;
	ekho_route_want(sw, route, &ref);
	return 0;
}

/* A route loses some or all of its ways. */
static void ekho_route6_del(struct ekho_switch *sw, struct ekho_route *route,
			    const struct fib6_entry_notifier_info *info)
{
	struct ekho_route6 *before = route->wanted.route6;
	struct ekho_route_ref ref = {};

	if (!ekho_route6_has(before, info->rt))
		return;
	if (info->nsiblings + 1 < before->count)
		ref.route6 = ekho_route6_without(before, info->rt);
	ekho_route_want(sw, route, &ref);
}

static int ekho_route6_event(struct ekho_switch *sw, unsigned long event,
			     struct fib6_entry_notifier_info *info)
{
	struct fib6_info *rt = info->rt;
	struct ekho_route_key key = {
		.family = AF_INET6,
		.length = rt->fib6_dst.plen,
		.table = rt->fib6_table->tb6_id,
	};
	struct ekho_route_ref ref = {};
	struct ekho_route6 *before;
	struct ekho_route *route;
	unsigned int i, kept;

	/* Routes by source are software's. */
	if (rt->fib6_src.plen)
		return 0;
	memcpy(key.address, &rt->fib6_dst.addr, sizeof(key.address));
	if (event == FIB_EVENT_ENTRY_DEL) {
		route = rhashtable_lookup_fast(&sw->fib.table, &key,
					       ekho_route_params);
		if (route)
			ekho_route6_del(sw, route, info);
		return 0;
	}
	route = ekho_route_place(sw, &key, info->info.extack);
	if (IS_ERR(route))
		return ekho_route_refusal(PTR_ERR(route));
	before = route->wanted.route6;
	kept = before && event == FIB_EVENT_ENTRY_APPEND ? before->count : 0;
	ref.route6 = ekho_route6_alloc(kept + info->nsiblings + 1);
	if (ref.route6) {
		ekho_route6_fill(ref.route6, kept, rt);
		for (i = 0; i < kept; i++)
			ekho_route6_take(ref.route6, i, before->routes[i]);
	}
	ekho_route_want(sw, route, &ref);
	return 0;
}

static int ekho_fib_event(struct notifier_block *nb, unsigned long event,
			  void *ptr)
{
	struct ekho_fib *fib = container_of(nb, struct ekho_fib, notifier);
	struct ekho_switch *sw = container_of(fib, struct ekho_switch, fib);
	struct fib_notifier_info *info = ptr;
	int err = 0;

	if (event != FIB_EVENT_ENTRY_REPLACE &&
	    event != FIB_EVENT_ENTRY_APPEND && event != FIB_EVENT_ENTRY_DEL)
		return NOTIFY_DONE;
	spin_lock_bh(&fib->lock);
	if (info->family == AF_INET)
		err = ekho_route4_event(sw, event, ptr);
	else if (info->family == AF_INET6)
		err = ekho_route6_event(sw, event, ptr);
	spin_unlock_bh(&fib->lock);
	/* The kernel deletes a route whatever it is told. */
	if (event == FIB_EVENT_ENTRY_DEL && READ_ONCE(sw->fail_route_delete)) {
		NL_SET_ERR_MSG_MOD(info->extack, "the switch is told to fail");
		err = -EINVAL;
	}
	return notifier_from_errno(err);
}

/* The kernel has none any more: unless there is one again, it is forgotten. */
static void ekho_route_forget(struct ekho_switch *sw, struct ekho_route *route)
{
	struct ekho_fib *fib = &sw->fib;
	bool is_gone;

	ekho_route_withdraw(sw, route, 0);
	route->is_marked = false;
	ekho_route_put(route, &route->asked);
	spin_lock_bh(&fib->lock);
	is_gone = !route->wanted.route4;
	if (is_gone) {
		list_del_init(&route->dirty);
		list_del(&route->list);
		rhashtable_remove_fast(&fib->table, &route->node,
				       ekho_route_params);
	}
	spin_unlock_bh(&fib->lock);
	if (is_gone)
		kfree(route);
}

/* Brings firmware up to date about one route; false if none waits. */
static bool ekho_fib_step(struct ekho_switch *sw)
{
	struct ekho_fib *fib = &sw->fib;
	struct ekho_route_ref ref;
	struct ekho_route *route;
	u32 flags;

	lockdep_assert_held(&sw->lock);
	spin_lock_bh(&fib->lock);
	route = list_first_entry_or_null(&fib->dirty, struct ekho_route, dirty);
	if (route) {
		list_del_init(&route->dirty);
		ref = route->wanted;
		ekho_route_hold(route, &ref);
		flags = route->is_replayed ? EKHO_FLOW_REPLAY : 0;
		route->is_replayed = false;
	}
	spin_unlock_bh(&fib->lock);
	if (!route)
		return false;
	if (!ref.route4) {
		ekho_route_forget(sw, route);
		return true;
	}
	flags = ekho_route_offer(sw, route, &ref, flags);
	ekho_route_show(sw, route, &ref, flags);
	ekho_route_put(route, &route->asked);
	route->asked = ref;
	return true;
}

static void ekho_fib_work(struct work_struct *work)
{
	struct ekho_fib *fib = container_of(to_delayed_work(work),
					    struct ekho_fib, work);
	struct ekho_switch *sw = container_of(fib, struct ekho_switch, fib);
	bool is_more = true;
	int i;

	while (is_more) {
		mutex_lock(&sw->lock);
		for (i = 0; is_more && i < EKHO_ROUTES_AT_ONCE; i++)
			is_more = ekho_fib_step(sw);
		mutex_unlock(&sw->lock);
		cond_resched();
	}
}

/*
 * The next of all routes, or the first one. Whoever holds the switch's lock
 * alone takes routes off the list, and others only add to its end.
 */
static struct ekho_route *ekho_fib_next(struct ekho_fib *fib,
					struct ekho_route *route)
{
	struct list_head *next;

	spin_lock_bh(&fib->lock);
	next = route ? route->list.next : fib->routes.next;
	spin_unlock_bh(&fib->lock);
	return next == &fib->routes ? NULL :
				      list_entry(next, struct ekho_route, list);
}

/* Firmware goes: software has all routes to itself. */
void ekho_fib_detach(struct ekho_switch *sw)
{
	struct ekho_route *route = NULL;

	lockdep_assert_held(&sw->lock);
	while ((route = ekho_fib_next(&sw->fib, route))) {
		ekho_route_withdraw(sw, route, EKHO_FLOW_DETACH);
		if (route->is_marked)
			ekho_route_show(sw, route, &route->asked, 0);
		cond_resched();
	}
}

/* Firmware comes: the worker asks it about each route. */
void ekho_fib_replay(struct ekho_switch *sw)
{
	struct ekho_route *route = NULL;

	lockdep_assert_held(&sw->lock);
	while ((route = ekho_fib_next(&sw->fib, route))) {
		spin_lock_bh(&sw->fib.lock);
		route->is_replayed = true;
		ekho_route_touch(sw, route);
		spin_unlock_bh(&sw->fib.lock);
		cond_resched();
	}
}

/*
 * The namespace's routes changed while they were told: from the beginning, if
 * they are told once more.
 */
static void ekho_fib_again(struct notifier_block *nb)
{
	struct ekho_fib *fib = container_of(nb, struct ekho_fib, notifier);
	struct ekho_switch *sw = container_of(fib, struct ekho_switch, fib);
	struct ekho_route_ref none = {};
	struct ekho_route *route = NULL;

	mutex_lock(&sw->lock);
	/* The kernel may have them still, with marks. */
	ekho_fib_detach(sw);
	while ((route = ekho_fib_next(fib, route))) {
		spin_lock_bh(&fib->lock);
		ekho_route_want(sw, route, &none);
		spin_unlock_bh(&fib->lock);
		cond_resched();
	}
	mutex_unlock(&sw->lock);
}

int ekho_fib_init(struct ekho_switch *sw)
{
	struct ekho_fib *fib = &sw->fib;

	spin_lock_init(&fib->lock);
	INIT_LIST_HEAD(&fib->routes);
	INIT_LIST_HEAD(&fib->dirty);
	INIT_DELAYED_WORK(&fib->work, ekho_fib_work);
	fib->notifier.notifier_call = ekho_fib_event;
	fib->room4.size = U64_MAX;
	fib->room6.size = U64_MAX;
	return rhashtable_init(&fib->table, &ekho_route_params);
}

static void ekho_route_free(void *object, void *unused)
{
	struct ekho_route *route = object;

	ekho_route_put(route, &route->wanted);
	ekho_route_put(route, &route->asked);
	kfree(route);
}

void ekho_fib_exit(struct ekho_switch *sw)
{
	cancel_delayed_work_sync(&sw->fib.work);
	rhashtable_free_and_destroy(&sw->fib.table, ekho_route_free, NULL);
}

/* Without RTNL. */
int ekho_fib_open(struct ekho_switch *sw)
{
	int err = register_fib_notifier(sw->net, &sw->fib.notifier,
					ekho_fib_again, NULL);

	/* What was told before it failed is not followed. */
	if (err)
		ekho_fib_again(&sw->fib.notifier);
	return err;
}

void ekho_fib_close(struct ekho_switch *sw)
{
	unregister_fib_notifier(sw->net, &sw->fib.notifier);
}
