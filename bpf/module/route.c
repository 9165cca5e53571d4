// SPDX-License-Identifier: GPL-2.0
/* The calls of firmware about a route, and what the kernel shows of it. */
#include <linux/inetdevice.h>
#include <net/ip6_fib.h>
#include <net/ip_fib.h>
#include <net/nexthop.h>
#include "route.h"

static void ekho_way_fill(struct ekho_way *to, const struct fib_nh_common *way)
{
	memset(to, 0, sizeof(*to));
	to->ifindex = way->nhc_dev ? way->nhc_dev->ifindex : 0;
	to->weight = way->nhc_weight;
	if (way->nhc_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN))
		to->flags |= EKHO_WAY_DEAD;
	if (way->nhc_flags & RTNH_F_ONLINK)
		to->flags |= EKHO_WAY_ONLINK;
	if (way->nhc_lwtstate)
		to->flags |= EKHO_WAY_ENCAP;
	if (way->nhc_gw_family == AF_INET) {
		to->family = 4;
		to->gateway[0] = way->nhc_gw.ipv4;
	} else if (way->nhc_gw_family == AF_INET6) {
		to->family = 6;
		memcpy(to->gateway, &way->nhc_gw.ipv6, sizeof(to->gateway));
	}
}

static void ekho_route4_fill(struct ekho_route_ctx *ctx,
			     const struct ekho_route_ref *ref)
{
	struct fib_info *fi = ref->route4;
	unsigned int i;

	ctx->type = ref->type;
	ctx->tos = inet_dscp_to_dsfield(ref->dscp);
	ctx->metric = fi->fib_priority;
	ctx->check = ekho_check_route4(fi, ref->type, ref->dscp);
	if (fi->fib_mtu)
		ctx->flags |= EKHO_ROUTE_MTU;
	if (fi->nh) {
		ctx->nexthop = fi->nh->id;
		return;
	}
	ctx->way_count = fib_info_num_path(fi);
	for (i = 0; i < ctx->way_count; i++)
		ekho_way_fill(&ctx->ways[i], fib_info_nhc(fi, i));
}

static void ekho_route6_tell(struct ekho_route_ctx *ctx,
			     struct ekho_route6 *route)
{
	struct fib6_info *first = route->routes[0];
	unsigned int i;

	ctx->type = first->fib6_type;
	ctx->metric = first->fib6_metric;
	ctx->check = ekho_check_route6(route->routes, route->count);
	if (first->fib6_metrics->metrics[RTAX_MTU - 1])
		ctx->flags |= EKHO_ROUTE_MTU;
	if (first->nh) {
		ctx->nexthop = first->nh->id;
		return;
	}
	ctx->way_count = route->count;
	for (i = 0; i < ctx->way_count; i++)
		ekho_way_fill(&ctx->ways[i],
			      &route->routes[i]->fib6_nh->nh_common);
}

static unsigned int ekho_route_ways(const struct ekho_route *route,
				    const struct ekho_route_ref *ref)
{
	if (route->key.family == AF_INET6)
		return ref->route6->count;
	return ref->route4->nh ? 0 : fib_info_num_path(ref->route4);
}

/* One call of a program; 0 or a negative errno. */
static int ekho_route_call(struct ekho_switch *sw, struct ekho_route *route,
			   const struct ekho_route_ref *ref, u32 flags,
			   int (*operation)(struct ekho_route_ctx *ctx))
{
	struct ekho_route_ctx *ctx = &sw->route_call.ctx;
	int err;

	lockdep_assert_held(&sw->lock);
	if (!operation)
		return -EOPNOTSUPP;
	memset(ctx, 0, sizeof(*ctx));
	ctx->version = EKHO_ABI_VERSION;
	ctx->size = sizeof(*ctx);
	ctx->id = route->id;
	ctx->netns = sw->net->ns.inum;
	ctx->flags = flags;
	ctx->family = route->key.family == AF_INET ? 4 : 6;
	ctx->table = route->key.table;
	ctx->length = route->key.length;
	memcpy(ctx->address, route->key.address, sizeof(ctx->address));
	if (ref && route->key.family == AF_INET)
		ekho_route4_fill(ctx, ref);
	else if (ref)
		ekho_route6_tell(ctx, ref->route6);
	sw->route_call.mark = EKHO_MARK_OFFLOADED;
	err = operation(ctx);
	/* A program may return anything. */
	return err > 0 || err < -MAX_ERRNO ? -EINVAL : err;
}

void ekho_route_withdraw(struct ekho_switch *sw, struct ekho_route *route,
			 u32 flags)
{
	if (!route->is_offloaded)
		return;
	ekho_route_call(sw, route, NULL, flags, sw->ops->route_destroy);
	route->is_offloaded = false;
}

/* Asks firmware; what is to be shown: enum ekho_mark_flags. */
u32 ekho_route_offer(struct ekho_switch *sw, struct ekho_route *route,
		     const struct ekho_route_ref *ref, u32 flags)
{
	bool is_failing = READ_ONCE(sw->fail_route_offload);
	int err;

	if (!sw->ops || !sw->ops->route_replace || sw->is_down) {
		route->is_offloaded = false;
		return 0;
	}
	if (is_failing || ekho_route_ways(route, ref) > EKHO_WAYS_MAX) {
		ekho_route_withdraw(sw, route, 0);
		return is_failing ? EKHO_MARK_FAILED : 0;
	}
	if (route->is_offloaded)
		flags |= EKHO_FLOW_KNOWN;
	err = ekho_route_call(sw, route, ref, flags, sw->ops->route_replace);
	route->is_offloaded = !err || err == -EINPROGRESS;
	if (!err)
		return sw->route_call.mark;
	return route->is_offloaded || err == -EOPNOTSUPP ? 0 : EKHO_MARK_FAILED;
}

static void ekho_route4_show(struct ekho_switch *sw,
			     const struct ekho_route_key *key,
			     const struct ekho_route_ref *ref, u32 flags)
{
	struct fib_rt_info info = {
		.fi = ref->route4,
		.tb_id = key->table,
		.dst = *(__be32 *)key->address,
		.dst_len = key->length,
		.dscp = ref->dscp,
		.type = ref->type,
		.offload = !!(flags & EKHO_MARK_OFFLOADED),
		.trap = !!(flags & EKHO_MARK_TRAPPED),
		.offload_failed = !!(flags & EKHO_MARK_FAILED),
	};

	fib_alias_hw_flags_set(sw->net, &info);
}

/* @except: those of this one are left as they are */
static void ekho_route6_show(struct ekho_switch *sw, struct ekho_route6 *route,
			     const struct ekho_route6 *except, u32 flags)
{
	unsigned int i;

	for (i = 0; i < route->count; i++)
		if (!ekho_route6_has(except, route->routes[i]))
			fib6_info_hw_flags_set(sw->net, route->routes[i],
					       flags & EKHO_MARK_OFFLOADED,
					       flags & EKHO_MARK_TRAPPED,
					       flags & EKHO_MARK_FAILED);
}

static bool ekho_route_is_same(const struct ekho_route_ref *a,
			       const struct ekho_route_ref *b)
{
	return a->route4 == b->route4 && a->type == b->type &&
	       a->dscp == b->dscp;
}

/* The kernel shows @flags of @ref, and nothing of what was there before. */
void ekho_route_show(struct ekho_switch *sw, struct ekho_route *route,
		     const struct ekho_route_ref *ref, u32 flags)
{
	bool was_marked = route->is_marked;

	route->is_marked = flags;
	if (route->key.family == AF_INET6) {
		if (flags)
			ekho_route6_show(sw, ref->route6, NULL, flags);
		if (was_marked && route->asked.route6)
			ekho_route6_show(sw, route->asked.route6,
					 flags ? ref->route6 : NULL, 0);
		return;
	}
	if (flags)
		ekho_route4_show(sw, &route->key, ref, flags);
	if (was_marked && route->asked.route4 &&
	    !(flags && ekho_route_is_same(&route->asked, ref)))
		ekho_route4_show(sw, &route->key, &route->asked, 0);
}
