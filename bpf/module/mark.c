// SPDX-License-Identifier: GPL-2.0
/*
 * Marks: whether hardware has a route, a nexthop, a bucket of one or an entry of
 * a bridge, as the kernel shows it to everybody. They hang on a file: when it is
 * closed, also by the death of who opened it, the kernel shows none of them, or
 * all of them as they are (EKHO_MARKS_KEEP).
 *
 * Routes cannot be looked up by their prefix from a module, so while a file is
 * open it follows the namespace's routes: of each prefix the one that counts.
 */
#include <linux/anon_inodes.h>
#include <linux/btf.h>
#include <linux/etherdevice.h>
#include <linux/file.h>
#include <linux/if_vlan.h>
#include <linux/inetdevice.h>
#include <linux/module.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <net/fib_notifier.h>
#include <net/ip6_fib.h>
#include <net/ip_fib.h>
#include <net/net_namespace.h>
#include <net/nexthop.h>
#include <net/switchdev.h>
#include "ekho.h"

/* Routes and marks of one file; routes that are more cannot be marked. */
#define EKHO_MARKED_MAX (4 * 1000 * 1000)

/* An IPv6 route: the siblings of a multipath one are routes, too. */
struct ekho_route6 {
	refcount_t references;
	unsigned int count;
	struct fib6_info *routes[] __counted_by(count);
};

struct ekho_marked_key {
	/* enum ekho_mark_kind, without learned */
	u8 kind;
	u8 length;
	u16 unused;
	/* As in struct ekho_mark. */
	u32 place, number;
	u8 address[16];
};

struct ekho_marked {
	struct rhash_head node;
	struct ekho_marked_key key;
	/* What the kernel was told last: enum ekho_mark_flags. */
	u8 flags;
	/* The kernel has the entry of a bridge from here. */
	bool is_learned;
	/* Of IPv4 routes. */
	u8 type;
	dscp_t dscp;
	union {
		struct fib_info *route4;
		struct ekho_route6 *route6;
	};
};

struct ekho_marks {
	struct net *net;
	/* One caller at a time. */
	struct mutex lock;
	/* The table and what is in it: routes come and go in atomic context. */
	spinlock_t table_lock;
	struct rhashtable table;
	struct notifier_block notifier;
	bool is_kept;
};

static const struct rhashtable_params ekho_marked_params = {
	.head_offset = offsetof(struct ekho_marked, node),
	.key_offset = offsetof(struct ekho_marked, key),
	.key_len = sizeof(struct ekho_marked_key),
	.max_size = EKHO_MARKED_MAX,
	.automatic_shrinking = true,
};

static void ekho_route6_put(struct ekho_route6 *route)
{
	unsigned int i;

	if (!route || !refcount_dec_and_test(&route->references))
		return;
	for (i = 0; i < route->count; i++)
		fib6_info_release(route->routes[i]);
	kfree(route);
}

static struct ekho_route6 *ekho_route6_alloc(unsigned int count)
{
	struct ekho_route6 *route;

	route = kzalloc(struct_size(route, routes, count), GFP_ATOMIC);
	if (!route)
		return NULL;
	refcount_set(&route->references, 1);
	route->count = count;
	return route;
}

static void ekho_route6_take(struct ekho_route6 *route, unsigned int i,
			     struct fib6_info *info)
{
	fib6_info_hold(info);
	route->routes[i] = info;
}

/* Adds a route and its next siblings behind @first ones that stay. */
static void ekho_route6_fill(struct ekho_route6 *route, unsigned int first,
			     struct fib6_info *info)
{
	struct fib6_info *sibling;
	unsigned int i = first;

	ekho_route6_take(route, i++, info);
	if (i == route->count)
		return;
	list_for_each_entry(sibling, &info->fib6_siblings, fib6_siblings) {
		ekho_route6_take(route, i++, sibling);
		if (i == route->count)
			return;
	}
	/* Fewer than was said. */
	route->count = i;
}

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

static struct ekho_marked *ekho_marked_find(struct ekho_marks *marks,
					    const struct ekho_marked_key *key)
{
	lockdep_assert_held(&marks->table_lock);
	return rhashtable_lookup_fast(&marks->table, key, ekho_marked_params);
}

static struct ekho_marked *ekho_marked_make(struct ekho_marks *marks,
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

static void ekho_marked_remove(struct ekho_marks *marks,
			       struct ekho_marked *marked)
{
	lockdep_assert_held(&marks->table_lock);
	rhashtable_remove_fast(&marks->table, &marked->node,
			       ekho_marked_params);
	ekho_marked_free(marked, NULL);
}

static void ekho_marks_on_route4(struct ekho_marks *marks, unsigned long event,
				 struct fib_entry_notifier_info *info)
{
	struct ekho_marked_key key = {
		.kind = EKHO_MARK_ROUTE4,
		.length = info->dst_len,
		.place = info->tb_id,
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

/* Without the routes from @info on that are gone; NULL if none is left. */
static struct ekho_route6 *ekho_route6_without(struct ekho_route6 *from,
					       const struct fib6_info *gone)
{
	struct ekho_route6 *route;
	unsigned int i, kept = 0;

	if (from->count < 2)
		return NULL;
	route = ekho_route6_alloc(from->count);
	if (!route)
		return NULL;
	for (i = 0; i < from->count; i++)
		if (from->routes[i] != gone)
			ekho_route6_take(route, kept++, from->routes[i]);
	route->count = kept;
	return route;
}

static void ekho_marks_on_route6(struct ekho_marks *marks, unsigned long event,
				 struct fib6_entry_notifier_info *info)
{
	struct fib6_info *rt = info->rt;
	unsigned int count = info->nsiblings + 1, i;
	struct ekho_route6 *before, *route;
	struct ekho_marked *marked;
	struct ekho_marked_key key = {
		.kind = EKHO_MARK_ROUTE6,
		.length = rt->fib6_dst.plen,
		.place = rt->fib6_table->tb6_id,
	};

	memcpy(key.address, &rt->fib6_dst.addr, sizeof(key.address));
	if (event == FIB_EVENT_ENTRY_DEL) {
		marked = ekho_marked_find(marks, &key);
		if (!marked || !marked->route6)
			return;
		before = marked->route6;
		/* All of it, or one of its ways. */
		for (i = 0; i < before->count && before->routes[i] != rt; i++)
			;
		if (i == before->count)
			return;
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
	struct ekho_marks *marks = container_of(nb, struct ekho_marks, notifier);
	struct fib_notifier_info *info = ptr;

	if (event != FIB_EVENT_ENTRY_REPLACE &&
	    event != FIB_EVENT_ENTRY_APPEND && event != FIB_EVENT_ENTRY_DEL)
		return NOTIFY_DONE;
	spin_lock_bh(&marks->table_lock);
	if (info->family == AF_INET)
		ekho_marks_on_route4(marks, event, ptr);
	else if (info->family == AF_INET6)
		ekho_marks_on_route6(marks, event, ptr);
	spin_unlock_bh(&marks->table_lock);
	return NOTIFY_DONE;
}

/* The namespace's routes changed while they were told: from the beginning. */
static void ekho_marks_again(struct notifier_block *nb)
{
	struct ekho_marks *marks = container_of(nb, struct ekho_marks, notifier);

	/* Nobody else looks yet. The least of a table is always to be had. */
	rhashtable_free_and_destroy(&marks->table, ekho_marked_free, NULL);
	WARN_ON(rhashtable_init(&marks->table, &ekho_marked_params));
}

/* The route is the one that was marked, and not its successor. */
static int ekho_mark_meant(const struct ekho_mark *mark, u32 check)
{
	return mark->check && mark->check != check ? -ESTALE : 0;
}

static int ekho_mark_route4(struct ekho_marks *marks,
			    const struct ekho_marked_key *key,
			    const struct ekho_mark *mark)
{
	struct fib_rt_info route = {
		.tb_id = key->place,
		.dst = *(__be32 *)key->address,
		.dst_len = key->length,
		.offload = !!(mark->flags & EKHO_MARK_OFFLOADED),
		.trap = !!(mark->flags & EKHO_MARK_TRAPPED),
		.offload_failed = !!(mark->flags & EKHO_MARK_FAILED),
	};
	struct ekho_marked *marked;
	int err = -ENOENT;

	spin_lock_bh(&marks->table_lock);
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
	spin_unlock_bh(&marks->table_lock);
	if (err)
		return err;
	fib_alias_hw_flags_set(marks->net, &route);
	fib_info_put(route.fi);
	return 0;
}

static int ekho_mark_route6(struct ekho_marks *marks,
			    const struct ekho_marked_key *key,
			    const struct ekho_mark *mark)
{
	struct ekho_route6 *route;
	struct ekho_marked *marked;
	int err = -ENOENT;
	unsigned int i;

	spin_lock_bh(&marks->table_lock);
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
	spin_unlock_bh(&marks->table_lock);
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

/* Hardware learned or forgot it, or holds what the bridge has, or not. */
static int ekho_mark_fdb(struct ekho_marks *marks,
			 const struct ekho_marked_key *key, unsigned int event,
			 bool is_offloaded)
{
	struct switchdev_notifier_fdb_info info = {
		.addr = key->address,
		.vid = key->number,
		.offloaded = is_offloaded,
	};
	struct net_device *dev;
	int err = -ENODEV;

	rcu_read_lock();
	dev = dev_get_by_index_rcu(marks->net, key->place);
	if (dev && netif_is_bridge_port(dev)) {
		err = call_switchdev_notifiers(event, dev, &info.info, NULL);
		err = notifier_to_errno(err);
	}
	rcu_read_unlock();
	return err;
}

/* Tells the kernel; what it does not know by itself is remembered. */
static int ekho_mark_apply(struct ekho_marks *marks,
			   const struct ekho_marked_key *key,
			   const struct ekho_mark *mark)
{
	bool is_offloaded = mark->flags & EKHO_MARK_OFFLOADED;
	bool is_trapped = mark->flags & EKHO_MARK_TRAPPED;

	switch (mark->kind) {
	case EKHO_MARK_ROUTE4:
		return ekho_mark_route4(marks, key, mark);
	case EKHO_MARK_ROUTE6:
		return ekho_mark_route6(marks, key, mark);
	case EKHO_MARK_NEXTHOP:
		nexthop_set_hw_flags(marks->net, key->place, is_offloaded,
				     is_trapped);
		return 0;
	case EKHO_MARK_BUCKET:
		nexthop_bucket_set_hw_flags(marks->net, key->place, key->number,
					    is_offloaded, is_trapped);
		return 0;
	case EKHO_MARK_FDB:
		return ekho_mark_fdb(marks, key, SWITCHDEV_FDB_OFFLOADED,
				     is_offloaded);
	case EKHO_MARK_FDB_LEARNED:
		return ekho_mark_fdb(marks, key,
				     mark->flags ? SWITCHDEV_FDB_ADD_TO_BRIDGE :
						   SWITCHDEV_FDB_DEL_TO_BRIDGE,
				     is_offloaded);
	}
	return -EINVAL;
}

static int ekho_mark_remember(struct ekho_marks *marks,
			      const struct ekho_marked_key *key,
			      const struct ekho_mark *mark)
{
	struct ekho_marked *marked;
	int err = 0;

	spin_lock_bh(&marks->table_lock);
	if (!mark->flags) {
		marked = ekho_marked_find(marks, key);
		if (marked)
			ekho_marked_remove(marks, marked);
	} else {
		marked = ekho_marked_make(marks, key);
		if (marked) {
			marked->flags = mark->flags;
			marked->is_learned |= mark->kind == EKHO_MARK_FDB_LEARNED;
		} else {
			err = -ENOSPC;
		}
	}
	spin_unlock_bh(&marks->table_lock);
	return err;
}

static int ekho_mark_one(struct ekho_marks *marks, const struct ekho_mark *mark)
{
	bool is_route = mark->kind == EKHO_MARK_ROUTE4 ||
			mark->kind == EKHO_MARK_ROUTE6;
	struct ekho_marked_key key = {
		.kind = mark->kind == EKHO_MARK_FDB_LEARNED ? EKHO_MARK_FDB :
							      mark->kind,
		.length = is_route ? mark->length : 0,
		.place = mark->place,
		/* Of routes it says which one is meant, not which prefix. */
		.number = is_route ? 0 : mark->number,
	};
	int err;

	if (mark->flags & ~EKHO_MARK_ALL)
		return -EINVAL;
	if (key.kind == EKHO_MARK_FDB &&
	    (!is_valid_ether_addr(mark->address) || mark->number > VLAN_VID_MASK))
		return -EINVAL;
	memcpy(key.address, mark->address, sizeof(key.address));
	/* No more than what the kind has. */
	if (key.kind == EKHO_MARK_ROUTE4)
		memset(key.address + 4, 0, sizeof(key.address) - 4);
	else if (key.kind == EKHO_MARK_FDB)
		memset(key.address + ETH_ALEN, 0, sizeof(key.address) - ETH_ALEN);
	else if (key.kind != EKHO_MARK_ROUTE6)
		memset(key.address, 0, sizeof(key.address));
	if (!is_route && mark->flags) {
		err = ekho_mark_remember(marks, &key, mark);
		if (err)
			return err;
	}
	err = ekho_mark_apply(marks, &key, mark);
	if (!is_route && (err || !mark->flags)) {
		struct ekho_mark none = { .kind = mark->kind };

		ekho_mark_remember(marks, &key, &none);
	}
	return err;
}

/* Takes off what is marked, one after the other: applying may sleep. */
static void ekho_marks_clear(struct ekho_marks *marks)
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
		none.kind = marked->is_learned ? EKHO_MARK_FDB_LEARNED :
						 key.kind;
		if (key.kind == EKHO_MARK_ROUTE4)
			none.number = marked->route4->fib_priority;
		if (key.kind == EKHO_MARK_ROUTE6)
			none.number = marked->route6->routes[0]->fib6_metric;
		rhashtable_walk_stop(&iter);
		ekho_mark_apply(marks, &key, &none);
		cond_resched();
		rhashtable_walk_start(&iter);
	}
	rhashtable_walk_stop(&iter);
	rhashtable_walk_exit(&iter);
}

static void ekho_marks_free(struct ekho_marks *marks)
{
	rhashtable_free_and_destroy(&marks->table, ekho_marked_free, NULL);
	put_net(marks->net);
	mutex_destroy(&marks->lock);
	kfree(marks);
}

static int ekho_marks_release(struct inode *inode, struct file *file)
{
	struct ekho_marks *marks = file->private_data;

	unregister_fib_notifier(marks->net, &marks->notifier);
	if (!marks->is_kept)
		ekho_marks_clear(marks);
	ekho_marks_free(marks);
	return 0;
}

static const struct file_operations ekho_marks_fops = {
	.owner = THIS_MODULE,
	.release = ekho_marks_release,
};

static struct ekho_marks *ekho_marks_of(struct file *file)
{
	return file->f_op == &ekho_marks_fops ? file->private_data :
						ERR_PTR(-EBADF);
}

__bpf_kfunc_start_defs();

/**
 * ekho_marks_open - a file whose marks the kernel shows until it is closed
 * @netns: descriptor of the network namespace, of the calling process
 * @flags: enum ekho_marks_flags
 *
 * Return: a descriptor of the calling process; -EPERM without CAP_NET_ADMIN in
 * the namespace; -EBUSY if its routes change too quickly to be followed; -EINVAL
 */
__bpf_kfunc int ekho_marks_open(int netns, u32 flags)
{
	struct ekho_marks *marks;
	struct net *net;
	int err;

	if (flags & ~EKHO_MARKS_KEEP)
		return -EINVAL;
	net = get_net_ns_by_fd(netns);
	if (IS_ERR(net))
		return PTR_ERR(net);
	err = -EPERM;
	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		goto err_net;
	err = -ENOMEM;
	marks = kzalloc(sizeof(*marks), GFP_KERNEL);
	if (!marks)
		goto err_net;
	marks->net = net;
	marks->is_kept = flags & EKHO_MARKS_KEEP;
	mutex_init(&marks->lock);
	spin_lock_init(&marks->table_lock);
	marks->notifier.notifier_call = ekho_marks_event;
	err = rhashtable_init(&marks->table, &ekho_marked_params);
	if (err)
		goto err_marks;
	err = register_fib_notifier(net, &marks->notifier, ekho_marks_again,
				    NULL);
	if (err)
		goto err_table;
	err = anon_inode_getfd("ekho-marks", &ekho_marks_fops, marks, O_CLOEXEC);
	if (err < 0)
		goto err_notifier;
	return err;

err_notifier:
	unregister_fib_notifier(net, &marks->notifier);
err_table:
	rhashtable_free_and_destroy(&marks->table, ekho_marked_free, NULL);
err_marks:
	mutex_destroy(&marks->lock);
	kfree(marks);
err_net:
	put_net(net);
	return err;
}

/**
 * ekho_marks_set - show what hardware has
 * @fd: what ekho_marks_open() returned
 * @marks: array of struct ekho_mark; the result of each is written into it: 0;
 * -ENOENT for a route that is not there, or not the one of its prefix that
 * counts; -ESTALE for one that does not do what the mark says; -ENODEV for a link that is no port of a bridge; -EINVAL; -ENOSPC
 * @marks__sz: its size in bytes
 * @count: how many of them, from the first one on
 *
 * Return: how many results are not 0, or -EBADF, -EINVAL
 */
__bpf_kfunc int ekho_marks_set(int fd, void *marks, u32 marks__sz, u32 count)
{
	struct ekho_mark *mark = marks;
	struct file *file = fget(fd);
	struct ekho_marks *set;
	int failed = 0;
	u32 i;

	if (!file)
		return -EBADF;
	set = ekho_marks_of(file);
	if (IS_ERR(set) || count > marks__sz / sizeof(*mark)) {
		fput(file);
		return IS_ERR(set) ? PTR_ERR(set) : -EINVAL;
	}
	mutex_lock(&set->lock);
	for (i = 0; i < count; i++) {
		/* User space may write to it meanwhile. */
		struct ekho_mark one = mark[i];

		mark[i].result = ekho_mark_one(set, &one);
		failed += mark[i].result != 0;
		cond_resched();
	}
	mutex_unlock(&set->lock);
	fput(file);
	return failed;
}

/**
 * ekho_marks_activity - which buckets of a resilient group have traffic
 * @fd: what ekho_marks_open() returned
 * @nexthop: id of the group
 * @buckets: a bit for each bucket, in words of the machine
 * @buckets__sz: its size in bytes
 * @count: how many buckets
 *
 * Return: 0, or -EBADF, -EINVAL
 */
__bpf_kfunc int ekho_marks_activity(int fd, u32 nexthop, void *buckets,
				    u32 buckets__sz, u32 count)
{
	struct file *file = fget(fd);
	struct ekho_marks *set;
	int err = 0;

	if (!file)
		return -EBADF;
	set = ekho_marks_of(file);
	if (IS_ERR(set))
		err = PTR_ERR(set);
	else if (count > U16_MAX ||
		 BITS_TO_LONGS(count) * sizeof(long) > buckets__sz)
		err = -EINVAL;
	else
		nexthop_res_grp_activity_update(set->net, nexthop, count,
						buckets);
	fput(file);
	return err;
}

__bpf_kfunc_end_defs();
