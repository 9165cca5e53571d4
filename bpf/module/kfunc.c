// SPDX-License-Identifier: GPL-2.0
/* What firmware programs can call, and requests that user space answers. */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include "compat.h"
#include "ekho.h"

static DEFINE_SPINLOCK(ekho_requests_lock);
/* One at most of each port. */
static LIST_HEAD(ekho_requests);
/* Firmware that goes: nobody waits for it. */
static LIST_HEAD(ekho_leaving);
static u64 ekho_request_last;

static void ekho_call_answer(struct ekho_call *call, int answer)
{
	lockdep_assert_held(&ekho_requests_lock);
	call->is_answered = true;
	call->answer = answer;
	complete(&call->done);
}

/* Gives a call its number; user space may answer it until it is closed. */
void ekho_call_open(struct ekho_call *call, const struct ekho_offload_ops *ops)
{
	const struct ekho_leave *leave;

	init_completion(&call->done);
	call->is_answered = false;
	call->ops = ops;
	spin_lock(&ekho_requests_lock);
	call->ctx.request = ++ekho_request_last;
	list_add(&call->list, &ekho_requests);
	list_for_each_entry(leave, &ekho_leaving, list)
		if (leave->ops == ops && !call->is_answered)
			ekho_call_answer(call, -ESHUTDOWN);
	spin_unlock(&ekho_requests_lock);
}

void ekho_call_close(struct ekho_call *call)
{
	spin_lock(&ekho_requests_lock);
	list_del(&call->list);
	spin_unlock(&ekho_requests_lock);
}

/* Firmware goes: nobody waits for user space any more, nor begins to. */
void ekho_calls_abort(struct ekho_leave *leave,
		      const struct ekho_offload_ops *ops)
{
	struct ekho_call *call;

	leave->ops = ops;
	spin_lock(&ekho_requests_lock);
	list_add(&leave->list, &ekho_leaving);
	list_for_each_entry(call, &ekho_requests, list)
		if (call->ops == ops && !call->is_answered)
			ekho_call_answer(call, -ESHUTDOWN);
	spin_unlock(&ekho_requests_lock);
}

/* Firmware is gone. */
void ekho_calls_aborted(struct ekho_leave *leave)
{
	spin_lock(&ekho_requests_lock);
	list_del(&leave->list);
	spin_unlock(&ekho_requests_lock);
}

static struct ekho_call *ekho_call_of(struct ekho_flow_ctx *ctx)
{
	return container_of(ctx, struct ekho_call, ctx);
}

__bpf_kfunc_start_defs();

/**
 * ekho_flow_count - tell the kernel what hardware counted since the last time
 * @ctx: of flow_stats; ctx->packets, bytes and drops are what was told so far
 * @packets: more packets
 * @bytes: more bytes
 * @drops: how many of the packets were dropped
 * @used: when the last of them came, as bpf_jiffies64() counts
 *
 * Return: 0, or -EINVAL outside of flow_stats
 */
__bpf_kfunc int ekho_flow_count(struct ekho_flow_ctx *ctx, u64 packets,
				u64 bytes, u64 drops, u64 used)
{
	struct ekho_call *call = ekho_call_of(ctx);

	if (!call->stats || !call->flow)
		return -EINVAL;
	flow_stats_update(call->stats, bytes, packets, drops, used,
			  FLOW_ACTION_HW_STATS_DELAYED);
	call->flow->packets += packets;
	call->flow->bytes += bytes;
	call->flow->drops += drops;
	ctx->packets = call->flow->packets;
	ctx->bytes = call->flow->bytes;
	ctx->drops = call->flow->drops;
	return 0;
}

/**
 * ekho_flow_explain - why a rule is refused, for whoever asked for it
 * @ctx: of flow_replace
 * @text__str: one line; cut where extended acknowledgements end
 *
 * Return: 0, or -ENOENT if nobody can be told
 */
__bpf_kfunc int ekho_flow_explain(struct ekho_flow_ctx *ctx,
				  const char *text__str)
{
	struct ekho_call *call = ekho_call_of(ctx);

	if (!call->extack)
		return -ENOENT;
	NL_SET_ERR_MSG_FMT(call->extack, "%.*s", NETLINK_MAX_FMTMSG_LEN - 1,
			   text__str);
	return 0;
}

/**
 * ekho_request_wait - wait until user space answers this call
 * @ctx: of flow_replace
 * @timeout_ms: at most EKHO_WAIT_MS_MAX
 *
 * With RTNL held (EKHO_FLOW_RTNL) whoever else needs it waits, too: user space
 * that asks rtnetlink for something before it answers is never quick enough.
 *
 * Return: what ekho_request_complete() was given; -ETIMEDOUT; -EINTR if the
 * process was killed; -ESHUTDOWN if the firmware goes; -EBUSY in a replay,
 * which nobody waits for
 */
__bpf_kfunc int ekho_request_wait(struct ekho_flow_ctx *ctx, u32 timeout_ms)
{
	struct ekho_call *call = ekho_call_of(ctx);
	long left;

	if (ctx->flags & (EKHO_FLOW_REPLAY | EKHO_FLOW_DETACH))
		return -EBUSY;
	timeout_ms = min_t(u32, timeout_ms, EKHO_WAIT_MS_MAX);
	left = wait_for_completion_killable_timeout(&call->done,
						    msecs_to_jiffies(timeout_ms));
	if (left < 0)
		return -EINTR;
	return left ? call->answer : -ETIMEDOUT;
}

/**
 * ekho_request_complete - answer a call
 * @request: its number, ctx->request
 * @answer: 0 or a negative errno
 *
 * Return: 0; -ENOENT if the call is over; -EALREADY if it was answered;
 * -EINVAL for no such answer
 */
__bpf_kfunc int ekho_request_complete(u64 request, int answer)
{
	struct ekho_call *call;
	int err = -ENOENT;

	if (answer > 0 || answer < -MAX_ERRNO)
		return -EINVAL;
	spin_lock(&ekho_requests_lock);
	list_for_each_entry(call, &ekho_requests, list) {
		if (call->ctx.request != request)
			continue;
		err = call->is_answered ? -EALREADY : 0;
		if (!err)
			ekho_call_answer(call, answer);
		break;
	}
	spin_unlock(&ekho_requests_lock);
	return err;
}

/**
 * ekho_route_mark - how the kernel shows a route that is accepted
 * @ctx: of route_replace
 * @flags: enum ekho_mark_flags; without any the route has no mark
 *
 * Return: 0 or -EINVAL
 */
__bpf_kfunc int ekho_route_mark(struct ekho_route_ctx *ctx, u32 flags)
{
	if (flags & ~EKHO_MARK_ALL)
		return -EINVAL;
	container_of(ctx, struct ekho_route_call, ctx)->mark = flags;
	return 0;
}

/**
 * ekho_nexthop_mark - how the kernel shows a nexthop or bucket that is accepted
 * @ctx: of nexthop_replace or nexthop_bucket
 * @flags: EKHO_MARK_OFFLOADED, EKHO_MARK_TRAPPED; without any it has no mark
 *
 * Return: 0 or -EINVAL
 */
__bpf_kfunc int ekho_nexthop_mark(struct ekho_nexthop_ctx *ctx, u32 flags)
{
	if (flags & ~(EKHO_MARK_OFFLOADED | EKHO_MARK_TRAPPED))
		return -EINVAL;
	container_of(ctx, struct ekho_nexthop_call, ctx)->mark = flags;
	return 0;
}

/**
 * ekho_nexthop_explain - why a nexthop is refused, for whoever asked for it
 * @ctx: of nexthop_replace or nexthop_bucket
 * @text__str: one line; cut where extended acknowledgements end
 *
 * Return: 0, or -ENOENT if nobody can be told
 */
__bpf_kfunc int ekho_nexthop_explain(struct ekho_nexthop_ctx *ctx,
				     const char *text__str)
{
	struct ekho_nexthop_call *call;

	call = container_of(ctx, struct ekho_nexthop_call, ctx);
	if (!call->extack)
		return -ENOENT;
	NL_SET_ERR_MSG_FMT(call->extack, "%.*s", NETLINK_MAX_FMTMSG_LEN - 1,
			   text__str);
	return 0;
}

/**
 * ekho_packet_forwarded - hardware has sent a frame out of other ports, too
 * @skb: what came by a port of a bridge
 *
 * The bridge then does not send it out of ports of the same switch again.
 *
 * Return: 0
 */
__bpf_kfunc int ekho_packet_forwarded(struct __sk_buff *skb)
{
	struct sk_buff *frame = (struct sk_buff *)skb;

	frame->offload_fwd_mark = 1;
	return 0;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(ekho_packet_kfuncs)
BTF_ID_FLAGS(func, ekho_packet_forwarded, KF_TRUSTED_ARGS)
BTF_KFUNCS_END(ekho_packet_kfuncs)

static const struct btf_kfunc_id_set ekho_packet_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &ekho_packet_kfuncs,
};

BTF_KFUNCS_START(ekho_ops_kfuncs)
BTF_ID_FLAGS(func, ekho_flow_count, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, ekho_flow_explain, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, ekho_request_wait, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, ekho_route_mark, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, ekho_nexthop_mark, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, ekho_nexthop_explain, KF_TRUSTED_ARGS)
BTF_KFUNCS_END(ekho_ops_kfuncs)

static const struct btf_kfunc_id_set ekho_ops_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &ekho_ops_kfuncs,
};

/* The kernel takes one set of a module for each type of program. */
BTF_KFUNCS_START(ekho_syscall_kfuncs)
BTF_ID_FLAGS(func, ekho_request_complete)
BTF_ID_FLAGS(func, ekho_marks_open, KF_SLEEPABLE)
BTF_ID_FLAGS(func, ekho_marks_set, KF_SLEEPABLE)
BTF_ID_FLAGS(func, ekho_marks_activity, KF_SLEEPABLE)
BTF_KFUNCS_END(ekho_syscall_kfuncs)

static const struct btf_kfunc_id_set ekho_syscall_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &ekho_syscall_kfuncs,
};

int ekho_kfunc_init(void)
{
	int err;

	err = register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS,
					&ekho_ops_kfunc_set);
	if (err)
		return err;
	err = register_btf_kfunc_id_set(BPF_PROG_TYPE_SYSCALL,
					&ekho_syscall_kfunc_set);
	if (err)
		return err;
	return register_btf_kfunc_id_set(BPF_PROG_TYPE_SCHED_CLS,
					 &ekho_packet_kfunc_set);
}
