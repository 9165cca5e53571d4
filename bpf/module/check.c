// SPDX-License-Identifier: GPL-2.0
/*
 * A number for what a route does with packets: who marks a route says it, so
 * that no mark gets to a route that took the place of the one that was meant.
 * Both families count alike, and so does user space, from what the kernel shows
 * of a route (host/offload/route-check.ts).
 */
#include <net/ip6_fib.h>
#include <net/ip_fib.h>
#include <net/lwtunnel.h>
#include <net/nexthop.h>
#include "ekho.h"

static u32 ekho_check_mix(u32 check, u32 word)
{
	return rol32((check ^ word) * 0x9e3779b1, 15);
}

/* A way out. A route that has but one shows no weight. */
static u32 ekho_check_way(const struct fib_nh_common *way, bool has_weight)
{
	u32 check = ekho_check_mix(0, way->nhc_dev ? way->nhc_dev->ifindex : 0);
	unsigned int i;

	check = ekho_check_mix(check, has_weight ? way->nhc_weight : 1);
	check = ekho_check_mix(check, !!way->nhc_lwtstate);
	check = ekho_check_mix(check, way->nhc_gw_family);
	if (way->nhc_gw_family == AF_INET)
		check = ekho_check_mix(check, ntohl(way->nhc_gw.ipv4));
	else if (way->nhc_gw_family == AF_INET6)
		for (i = 0; i < 4; i++)
			check = ekho_check_mix(check,
					       ntohl(way->nhc_gw.ipv6.s6_addr32[i]));
	return check;
}

/* @ways: the sum of them, as they have no order. 0 would stand for any. */
static u32 ekho_check_route(u8 type, u8 tos, bool has_mtu, u32 ways)
{
	u32 check = ekho_check_mix(0, type);

	check = ekho_check_mix(check, tos);
	check = ekho_check_mix(check, has_mtu);
	check = ekho_check_mix(check, ways);
	return check ?: 1;
}

/* A nexthop that is an object may become another while the route stays. */
static u32 ekho_check_object(u8 tos, bool has_mtu, u32 id)
{
	return ekho_check_route(RTN_UNSPEC, tos, has_mtu, ekho_check_mix(0, id));
}

u32 ekho_check_route4(struct fib_info *route, u8 type, dscp_t dscp)
{
	u8 tos = inet_dscp_to_dsfield(dscp);
	unsigned int count, i;
	u32 ways = 0;

	/* Its ways come and go under RTNL or RCU; its number stays. */
	if (route->nh)
		return ekho_check_object(tos, route->fib_mtu, route->nh->id);
	count = fib_info_num_path(route);
	for (i = 0; i < count; i++)
		ways += ekho_check_way(fib_info_nhc(route, i), count > 1);
	return ekho_check_route(type, tos, route->fib_mtu, ways);
}

/* @routes: the siblings of a multipath one are routes, too */
u32 ekho_check_route6(struct fib6_info **routes, unsigned int count)
{
	bool has_mtu = routes[0]->fib6_metrics->metrics[RTAX_MTU - 1];
	unsigned int i;
	u32 ways = 0;

	if (routes[0]->nh)
		return ekho_check_object(0, has_mtu, routes[0]->nh->id);
	for (i = 0; i < count; i++)
		ways += ekho_check_way(&routes[i]->fib6_nh->nh_common, count > 1);
	return ekho_check_route(routes[0]->fib6_type, 0, has_mtu, ways);
}
