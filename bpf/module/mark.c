// SPDX-License-Identifier: GPL-2.0
/*
 * Marks: whether hardware has a route, a nexthop, a bucket of one or an entry of
 * a bridge, as the kernel shows it to everybody. They hang on a file: when it is
 * closed, also by the death of who opened it, the kernel shows none of them, or
 * all of them as they are (EKHO_MARKS_KEEP).
 */
#include <linux/anon_inodes.h>
#include <linux/bitops.h>
#include <linux/btf.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/nexthop.h>
#include "ekho.h"
#include "mark.h"

struct ekho_marks {
	struct net *net;
	/* One caller at a time; outside of RTNL. */
	struct mutex lock;
	bool is_kept;
	struct ekho_marked_routes routes;
	struct ekho_marked_nexthops nexthops;
	struct ekho_marked_entries entries;
};

static int ekho_mark_one(struct ekho_marks *marks, const struct ekho_mark *mark)
{
	if (mark->flags & ~EKHO_MARK_ALL)
		return -EINVAL;
	switch (mark->kind) {
	case EKHO_MARK_ROUTE4:
	case EKHO_MARK_ROUTE6:
		return ekho_mark_route(&marks->routes, mark);
	case EKHO_MARK_NEXTHOP:
	case EKHO_MARK_BUCKET:
		return ekho_mark_nexthop(&marks->nexthops, mark);
	case EKHO_MARK_FDB:
	case EKHO_MARK_FDB_LEARNED:
		return ekho_mark_entry(&marks->entries, mark);
	}
	return -EINVAL;
}

/* Follows all that can be marked. */
static int ekho_marks_follow(struct ekho_marks *marks)
{
	int err;

	err = ekho_marked_entries_open(&marks->entries, marks->net,
				       marks->is_kept);
	if (err)
		return err;
	err = ekho_marked_nexthops_open(&marks->nexthops, marks->net);
	if (err)
		goto err_entries;
	err = ekho_marked_routes_open(&marks->routes, marks->net);
	if (err)
		goto err_nexthops;
	return 0;

err_nexthops:
	ekho_marked_nexthops_close(&marks->nexthops, true);
err_entries:
	ekho_marked_entries_close(&marks->entries);
	return err;
}

static void ekho_marks_end(struct ekho_marks *marks)
{
	ekho_marked_routes_close(&marks->routes, marks->is_kept);
	ekho_marked_nexthops_close(&marks->nexthops, marks->is_kept);
	ekho_marked_entries_close(&marks->entries);
}

static void ekho_marks_free(struct ekho_marks *marks)
{
	put_net(marks->net);
	mutex_destroy(&marks->lock);
	kfree(marks);
}

static int ekho_marks_release(struct inode *inode, struct file *file)
{
	struct ekho_marks *marks = file->private_data;

	ekho_marks_end(marks);
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
	marks = kzalloc(sizeof(*marks), GFP_KERNEL_ACCOUNT);
	if (!marks)
		goto err_net;
	marks->net = net;
	marks->is_kept = flags & EKHO_MARKS_KEEP;
	mutex_init(&marks->lock);
	err = ekho_marks_follow(marks);
	if (err)
		goto err_marks;
	err = anon_inode_getfd("ekho-marks", &ekho_marks_fops, marks, O_CLOEXEC);
	if (err >= 0)
		return err;
	ekho_marks_end(marks);
err_marks:
	ekho_marks_free(marks);
	return err;
err_net:
	put_net(net);
	return err;
}

/**
 * ekho_marks_set - show what hardware has
 * @fd: what ekho_marks_open() returned
 * @marks: array of struct ekho_mark; the result of each is written into it: 0;
 * -ENOENT for a route that is not there, or not the one of its prefix that
 * counts, an entry that is not at the port, and one to be forgotten that was not
 * learned through this file; -EEXIST for a learned one that the bridge has from
 * others; -ESTALE for a route that does not do what the mark says; -ENODEV for a
 * link that is no port of a bridge; -EINVAL; -ENOSPC
 * @marks__sz: its size in bytes
 * @count: how many of them, from the first one on
 *
 * Entries of bridges take RTNL.
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
