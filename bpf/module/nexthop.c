// SPDX-License-Identifier: GPL-2.0
/*
 * Nexthop objects of a switch's namespace: what the kernel has, and the calls
 * of firmware about it, which may refuse.
 *
 * The kernel asks with RTNL held and waits. A replacement is there beside what
 * it replaces until the kernel has both or none: room is needed for the two.
 */
#include <linux/debugfs.h>
#include <linux/inetdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <net/nexthop.h>
#include "switch.h"

struct ekho_nexthop {
	struct rhash_head node;
	struct list_head list;
	u32 id;
	/* enum ekho_nexthop_kind */
	u32 kind;
	/* What it takes of the room there is. */
	u64 cost;
	/* Firmware has it; and the kernel shows that. */
	bool is_offloaded, is_marked;
	/* What firmware said of it: enum ekho_mark_flags. */
	u32 mark;
	/* Of a resilient group: its buckets. */
	unsigned int way_count;
	struct ekho_way ways[] __counted_by(way_count);
};

static const struct rhashtable_params ekho_nexthop_params = {
	.head_offset = offsetof(struct ekho_nexthop, node),
	.key_offset = offsetof(struct ekho_nexthop, id),
	.key_len = sizeof(u32),
	.automatic_shrinking = true,
};

static void ekho_nexthop_way(struct ekho_way *way,
			     const struct nh_notifier_single_info *info,
			     u32 weight)
{
	memset(way, 0, sizeof(*way));
	way->id = info->id;
	way->ifindex = info->dev ? info->dev->ifindex : 0;
	way->weight = weight;
	if (info->is_reject)
		way->flags |= EKHO_WAY_BLACKHOLE;
	if (info->is_fdb)
		way->flags |= EKHO_WAY_FDB;
	if (info->has_encap)
		way->flags |= EKHO_WAY_ENCAP;
	if (info->gw_family == AF_INET) {
		way->family = 4;
		way->gateway[0] = info->ipv4;
	} else if (info->gw_family == AF_INET6) {
		way->family = 6;
		memcpy(way->gateway, &info->ipv6, sizeof(way->gateway));
	}
}

static void ekho_nexthop_fill(struct ekho_nexthop *nexthop,
			      const struct nh_notifier_info *info)
{
	unsigned int i;
	u32 weight;

	for (i = 0; i < nexthop->way_count; i++) {
		switch (info->type) {
		case NH_NOTIFIER_INFO_TYPE_GRP:
			weight = info->nh_grp->nh_entries[i].weight;
			nexthop->cost += weight;
			ekho_nexthop_way(&nexthop->ways[i],
					 &info->nh_grp->nh_entries[i].nh,
					 weight);
			break;
		case NH_NOTIFIER_INFO_TYPE_RES_TABLE:
			nexthop->cost++;
			ekho_nexthop_way(&nexthop->ways[i],
					 &info->nh_res_table->nhs[i], 0);
			break;
		default:
			nexthop->cost++;
			ekho_nexthop_way(&nexthop->ways[i], info->nh, 1);
			break;
		}
	}
}

static struct ekho_nexthop *
ekho_nexthop_make(const struct nh_notifier_info *info)
{
	struct ekho_nexthop *nexthop;
	unsigned int count = 1;
	u32 kind;

	switch (info->type) {
	case NH_NOTIFIER_INFO_TYPE_SINGLE:
		kind = EKHO_NEXTHOP_SINGLE;
		break;
	case NH_NOTIFIER_INFO_TYPE_GRP:
		kind = EKHO_NEXTHOP_GROUP;
		count = info->nh_grp->num_nh;
		break;
	case NH_NOTIFIER_INFO_TYPE_RES_TABLE:
		kind = EKHO_NEXTHOP_RESILIENT;
		count = info->nh_res_table->num_nh_buckets;
		break;
	default:
		return ERR_PTR(-EOPNOTSUPP);
	}
	nexthop = kvzalloc(struct_size(nexthop, ways, count), GFP_KERNEL);
	if (!nexthop)
		return ERR_PTR(-ENOMEM);
	nexthop->id = info->id;
	nexthop->kind = kind;
	nexthop->way_count = count;
	ekho_nexthop_fill(nexthop, info);
	return nexthop;
}

/* One call of a program; 0 or a negative errno. */
static int ekho_nexthop_call(struct ekho_switch *sw,
			     const struct ekho_nexthop *nexthop, u32 flags,
			     unsigned int bucket,
			     int (*operation)(struct ekho_nexthop_ctx *ctx),
			     struct netlink_ext_ack *extack)
{
	struct ekho_nexthop_call *call = &sw->nexthop_call;
	struct ekho_nexthop_ctx *ctx = &call->ctx;
	int err;

	lockdep_assert_held(&sw->lock);
	if (!operation)
		return -EOPNOTSUPP;
	memset(ctx, 0, sizeof(*ctx));
	ctx->version = EKHO_ABI_VERSION;
	ctx->size = sizeof(*ctx);
	ctx->netns = sw->net->ns.inum;
	ctx->id = nexthop->id;
	ctx->kind = nexthop->kind;
	ctx->flags = flags;
	ctx->bucket = bucket;
	ctx->way_count = nexthop->way_count;
	if (nexthop->kind == EKHO_NEXTHOP_RESILIENT)
		ctx->ways[0] = nexthop->ways[bucket];
	else
		memcpy(ctx->ways, nexthop->ways,
		       nexthop->way_count * sizeof(*nexthop->ways));
	call->mark = EKHO_MARK_OFFLOADED;
	call->extack = extack;
	err = operation(ctx);
	call->extack = NULL;
	/* A program may return anything. */
	return err > 0 || err < -MAX_ERRNO ? -EINVAL : err;
}

static void ekho_nexthop_show(struct ekho_switch *sw,
			      struct ekho_nexthop *nexthop, u32 mark)
{
	nexthop->is_marked |= mark;
	nexthop_set_hw_flags(sw->net, nexthop->id, mark & EKHO_MARK_OFFLOADED,
			     mark & EKHO_MARK_TRAPPED);
}

static void ekho_bucket_show(struct ekho_switch *sw,
			     struct ekho_nexthop *nexthop, unsigned int bucket,
			     u32 mark)
{
	nexthop->is_marked |= mark;
	nexthop_bucket_set_hw_flags(sw->net, nexthop->id, bucket,
				    mark & EKHO_MARK_OFFLOADED,
				    mark & EKHO_MARK_TRAPPED);
}

/* The kernel shows no mark of it any more. */
static void ekho_nexthop_unmark(struct ekho_switch *sw,
				struct ekho_nexthop *nexthop)
{
	unsigned int i;

	if (!nexthop->is_marked)
		return;
	ekho_nexthop_show(sw, nexthop, 0);
	if (nexthop->kind == EKHO_NEXTHOP_RESILIENT)
		for (i = 0; i < nexthop->way_count; i++)
			ekho_bucket_show(sw, nexthop, i, 0);
	nexthop->is_marked = false;
}

static void ekho_nexthop_withdraw(struct ekho_switch *sw,
				  struct ekho_nexthop *nexthop, u32 flags)
{
	if (!nexthop->is_offloaded)
		return;
	ekho_nexthop_call(sw, nexthop, flags, 0, sw->ops->nexthop_destroy, NULL);
	nexthop->is_offloaded = false;
}

/* Without an operation for them buckets are as the group. */
static int ekho_bucket_offer(struct ekho_switch *sw,
			     struct ekho_nexthop *nexthop, unsigned int bucket,
			     u32 flags, struct netlink_ext_ack *extack)
{
	u32 mark = nexthop->mark;
	int err = 0;

	if (sw->ops->nexthop_bucket) {
		err = ekho_nexthop_call(sw, nexthop, flags, bucket,
					sw->ops->nexthop_bucket, extack);
		mark = err ? 0 : sw->nexthop_call.mark;
	}
	if (err && err != -EINPROGRESS) {
		NL_SET_ERR_MSG_WEAK_MOD(extack, "firmware refuses the bucket");
		return err;
	}
	ekho_bucket_show(sw, nexthop, bucket, mark);
	return 0;
}

/*
 * Asks firmware. A refusal is what the kernel is told; software goes on alone
 * with what is not for hardware. Firmware may have a group and not a bucket of
 * it: then there is an error, and is_offloaded is set.
 */
static int ekho_nexthop_offer(struct ekho_switch *sw,
			      struct ekho_nexthop *nexthop, u32 flags,
			      struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err;

	if (!sw->ops || !sw->ops->nexthop_replace || sw->is_down ||
	    sw->is_closing)
		return 0;
	if (nexthop->kind == EKHO_NEXTHOP_GROUP &&
	    nexthop->way_count > EKHO_WAYS_MAX)
		return 0;
	err = ekho_nexthop_call(sw, nexthop, flags, 0,
				sw->ops->nexthop_replace, extack);
	if (err == -EOPNOTSUPP)
		return 0;
	if (err && err != -EINPROGRESS) {
		NL_SET_ERR_MSG_WEAK_MOD(extack, "firmware refuses the nexthop");
		return err;
	}
	nexthop->mark = err ? 0 : sw->nexthop_call.mark;
	nexthop->is_offloaded = true;
	ekho_nexthop_show(sw, nexthop, nexthop->mark);
	if (nexthop->kind != EKHO_NEXTHOP_RESILIENT)
		return 0;
	err = 0;
	for (i = 0; i < nexthop->way_count && !err; i++)
		err = ekho_bucket_offer(sw, nexthop, i, flags, extack);
	return err;
}

static void ekho_nexthop_free(struct ekho_switch *sw,
			      struct ekho_nexthop *nexthop)
{
	atomic64_sub(nexthop->cost, &sw->nexthop_room.used);
	list_del(&nexthop->list);
	kvfree(nexthop);
}

static struct ekho_nexthop *ekho_nexthop_find(struct ekho_switch *sw, u32 id)
{
	return rhashtable_lookup_fast(&sw->nexthop_table, &id,
				      ekho_nexthop_params);
}

static int ekho_nexthop_take(struct ekho_switch *sw,
			     struct ekho_nexthop *nexthop,
			     struct ekho_nexthop *before,
			     struct netlink_ext_ack *extack)
{
	struct ekho_room *room = &sw->nexthop_room;
	u32 flags = EKHO_FLOW_RTNL;
	int err;

	/* The kernel has it already, whatever anybody says, and nobody asks. */
	if (!before && !extack && READ_ONCE(sw->is_opening)) {
		err = ekho_nexthop_offer(sw, nexthop, flags | EKHO_FLOW_REPLAY,
					 NULL);
		if (err) {
			ekho_nexthop_withdraw(sw, nexthop, flags);
			ekho_nexthop_unmark(sw, nexthop);
		}
		return rhashtable_insert_fast(&sw->nexthop_table,
					      &nexthop->node,
					      ekho_nexthop_params);
	}
	if (atomic64_read(&room->used) + nexthop->cost > room->size) {
		NL_SET_ERR_MSG_MOD(extack, "no room in hardware for the nexthop (devlink resource nexthops)");
		return -ENOSPC;
	}
	if (before && before->is_offloaded)
		flags |= EKHO_FLOW_KNOWN;
	err = ekho_nexthop_offer(sw, nexthop, flags, extack);
	if (err && nexthop->is_offloaded && before) {
		before->is_offloaded = false;
		ekho_nexthop_unmark(sw, before);
	}
	if (err)
		return err;
	if (!before)
		return rhashtable_insert_fast(&sw->nexthop_table,
					      &nexthop->node,
					      ekho_nexthop_params);
	/* It was accepted, and its successor is software's alone. */
	if (!nexthop->is_offloaded) {
		ekho_nexthop_withdraw(sw, before, EKHO_FLOW_RTNL);
		ekho_nexthop_unmark(sw, before);
	}
	return rhashtable_replace_fast(&sw->nexthop_table, &before->node,
				       &nexthop->node, ekho_nexthop_params);
}

static int ekho_nexthop_replace(struct ekho_switch *sw,
				const struct nh_notifier_info *info)
{
	struct ekho_nexthop *before = ekho_nexthop_find(sw, info->id);
	struct ekho_nexthop *nexthop = ekho_nexthop_make(info);
	int err;

	/* What there is no memory for nobody can be asked about. */
	if (IS_ERR(nexthop))
		return PTR_ERR(nexthop);
	err = ekho_nexthop_take(sw, nexthop, before, info->extack);
	if (err) {
		ekho_nexthop_withdraw(sw, nexthop, EKHO_FLOW_RTNL);
		ekho_nexthop_unmark(sw, nexthop);
		kvfree(nexthop);
		return err;
	}
	atomic64_add(nexthop->cost, &sw->nexthop_room.used);
	list_add_tail(&nexthop->list, &sw->nexthops);
	if (before)
		ekho_nexthop_free(sw, before);
	return 0;
}

static void ekho_nexthop_del(struct ekho_switch *sw, u32 id)
{
	struct ekho_nexthop *nexthop = ekho_nexthop_find(sw, id);

	if (!nexthop)
		return;
	ekho_nexthop_withdraw(sw, nexthop, EKHO_FLOW_RTNL);
	rhashtable_remove_fast(&sw->nexthop_table, &nexthop->node,
			       ekho_nexthop_params);
	ekho_nexthop_free(sw, nexthop);
}

static int ekho_bucket_replace(struct ekho_switch *sw,
			       const struct nh_notifier_info *info)
{
	struct ekho_nexthop *nexthop = ekho_nexthop_find(sw, info->id);
	unsigned int bucket = info->nh_res_bucket->bucket_index;
	struct ekho_way before;
	int err;

	if (sw->fail_nexthop_bucket_replace) {
		NL_SET_ERR_MSG_MOD(info->extack, "the switch is told to fail");
		return -EINVAL;
	}
	if (!nexthop || nexthop->kind != EKHO_NEXTHOP_RESILIENT ||
	    bucket >= nexthop->way_count)
		return 0;
	before = nexthop->ways[bucket];
	ekho_nexthop_way(&nexthop->ways[bucket], &info->nh_res_bucket->new_nh, 0);
	if (!nexthop->is_offloaded)
		return 0;
	err = ekho_bucket_offer(sw, nexthop, bucket,
				EKHO_FLOW_RTNL | EKHO_FLOW_KNOWN, info->extack);
	/* The kernel keeps the old one, unless it is gone. */
	if (err && !info->nh_res_bucket->force)
		nexthop->ways[bucket] = before;
	return err;
}

static int ekho_nexthop_event(struct notifier_block *nb, unsigned long event,
			      void *ptr)
{
	struct ekho_switch *sw = container_of(nb, struct ekho_switch,
					      nexthop_notifier);
	struct nh_notifier_info *info = ptr;
	int err = 0;

	mutex_lock(&sw->lock);
	switch (event) {
	case NEXTHOP_EVENT_REPLACE:
		err = ekho_nexthop_replace(sw, info);
		break;
	case NEXTHOP_EVENT_DEL:
		ekho_nexthop_del(sw, info->id);
		break;
	case NEXTHOP_EVENT_RES_TABLE_PRE_REPLACE:
		if (!sw->fail_res_nexthop_group_replace)
			break;
		NL_SET_ERR_MSG_MOD(info->extack, "the switch is told to fail");
		err = -EINVAL;
		break;
	case NEXTHOP_EVENT_BUCKET_REPLACE:
		err = ekho_bucket_replace(sw, info);
		break;
	}
	mutex_unlock(&sw->lock);
	return notifier_from_errno(err);
}

/* Firmware goes: software has all of them to itself. */
void ekho_nexthops_detach(struct ekho_switch *sw)
{
	struct ekho_nexthop *nexthop;

	lockdep_assert_held(&sw->lock);
	/* Groups before those that they are of. */
	list_for_each_entry_reverse(nexthop, &sw->nexthops, list) {
		ekho_nexthop_withdraw(sw, nexthop, EKHO_FLOW_DETACH);
		ekho_nexthop_unmark(sw, nexthop);
	}
}

/* Firmware comes; what it refuses now the kernel has already. */
void ekho_nexthops_replay(struct ekho_switch *sw)
{
	struct ekho_nexthop *nexthop;

	lockdep_assert_held(&sw->lock);
	list_for_each_entry(nexthop, &sw->nexthops, list) {
		bool was_offloaded = nexthop->is_offloaded;
		u32 known = was_offloaded ? EKHO_FLOW_KNOWN : 0;

		nexthop->is_offloaded = false;
		if (ekho_nexthop_offer(sw, nexthop, EKHO_FLOW_REPLAY | known,
				       NULL) || !nexthop->is_offloaded) {
			nexthop->is_offloaded |= was_offloaded;
			ekho_nexthop_withdraw(sw, nexthop, EKHO_FLOW_REPLAY);
			ekho_nexthop_unmark(sw, nexthop);
		}
		cond_resched();
	}
}

/* "ID BUCKET": hardware has seen a packet of this bucket. */
static ssize_t ekho_activity_write(struct file *file, const char __user *from,
				   size_t size, loff_t *offset)
{
	struct ekho_switch *sw = file->private_data;
	struct ekho_nexthop *nexthop;
	unsigned long *buckets = NULL;
	unsigned int count = 0;
	char text[32] = {};
	u16 bucket;
	u32 id;

	if (*offset || size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, size))
		return -EFAULT;
	if (sscanf(text, "%u %hu", &id, &bucket) != 2)
		return -EINVAL;
	mutex_lock(&sw->lock);
	nexthop = ekho_nexthop_find(sw, id);
	if (nexthop && nexthop->kind == EKHO_NEXTHOP_RESILIENT)
		count = nexthop->way_count;
	mutex_unlock(&sw->lock);
	if (bucket >= count)
		return -EINVAL;
	buckets = bitmap_zalloc(count, GFP_KERNEL);
	if (!buckets)
		return -ENOMEM;
	__set_bit(bucket, buckets);
	/* The kernel ignores a group that has another number meanwhile. */
	nexthop_res_grp_activity_update(sw->net, id, count, buckets);
	bitmap_free(buckets);
	*offset += size;
	return size;
}

const struct file_operations ekho_activity_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = ekho_activity_write,
};

int ekho_nexthops_init(struct ekho_switch *sw)
{
	INIT_LIST_HEAD(&sw->nexthops);
	sw->nexthop_room.size = U64_MAX;
	sw->nexthop_notifier.notifier_call = ekho_nexthop_event;
	return rhashtable_init(&sw->nexthop_table, &ekho_nexthop_params);
}

void ekho_nexthops_exit(struct ekho_switch *sw)
{
	struct ekho_nexthop *nexthop, *next;

	list_for_each_entry_safe(nexthop, next, &sw->nexthops, list)
		ekho_nexthop_free(sw, nexthop);
	rhashtable_destroy(&sw->nexthop_table);
}

/* What the kernel told before it could tell no more is not followed. */
static void ekho_nexthops_forget(struct ekho_switch *sw)
{
	struct ekho_nexthop *nexthop, *next;

	mutex_lock(&sw->lock);
	ekho_nexthops_detach(sw);
	list_for_each_entry_safe(nexthop, next, &sw->nexthops, list) {
		rhashtable_remove_fast(&sw->nexthop_table, &nexthop->node,
				       ekho_nexthop_params);
		ekho_nexthop_free(sw, nexthop);
	}
	mutex_unlock(&sw->lock);
}

/* Without RTNL. */
int ekho_nexthops_open(struct ekho_switch *sw)
{
	int err;

	WRITE_ONCE(sw->is_opening, true);
	err = register_nexthop_notifier(sw->net, &sw->nexthop_notifier, NULL);
	WRITE_ONCE(sw->is_opening, false);
	if (err)
		ekho_nexthops_forget(sw);
	return err;
}

void ekho_nexthops_close(struct ekho_switch *sw)
{
	/*
	 * Those that are there still, or come before the kernel tells no more,
	 * are not to look as if hardware had them.
	 */
	mutex_lock(&sw->lock);
	sw->is_closing = true;
	ekho_nexthops_detach(sw);
	mutex_unlock(&sw->lock);
	unregister_nexthop_notifier(sw->net, &sw->nexthop_notifier);
}
