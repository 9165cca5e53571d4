// SPDX-License-Identifier: GPL-2.0
/* IPv6 routes as one thing: the siblings of a multipath one are routes, too. */
#include <linux/slab.h>
#include <net/fib_notifier.h>
#include <net/ip6_fib.h>
#include "route6.h"

void ekho_route6_put(struct ekho_route6 *route)
{
	unsigned int i;

	if (!route || !refcount_dec_and_test(&route->references))
		return;
	for (i = 0; i < route->count; i++)
		fib6_info_release(route->routes[i]);
	kfree(route);
}

struct ekho_route6 *ekho_route6_alloc(unsigned int count)
{
	struct ekho_route6 *route;

	route = kzalloc(struct_size(route, routes, count), GFP_ATOMIC);
	if (!route)
		return NULL;
	refcount_set(&route->references, 1);
	route->count = count;
	return route;
}

void ekho_route6_take(struct ekho_route6 *route, unsigned int i,
		      struct fib6_info *info)
{
	fib6_info_hold(info);
	route->routes[i] = info;
}

/* Adds a route and its next siblings behind @first ones that stay. */
void ekho_route6_fill(struct ekho_route6 *route, unsigned int first,
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

/* Without the routes from @info on that are gone; NULL if none is left. */
struct ekho_route6 *ekho_route6_without(struct ekho_route6 *from,
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

bool ekho_route6_has(const struct ekho_route6 *route,
		     const struct fib6_info *info)
{
	unsigned int i;

	for (i = 0; route && i < route->count; i++)
		if (route->routes[i] == info)
			return true;
	return false;
}
