/* SPDX-License-Identifier: GPL-2.0 */
/* IPv6 routes as one thing: the siblings of a multipath one are routes, too. */
#ifndef EKHO_ROUTE6_H
#define EKHO_ROUTE6_H

#include <linux/refcount.h>

struct fib6_info;

struct ekho_route6 {
	refcount_t references;
	unsigned int count;
	struct fib6_info *routes[] __counted_by(count);
};

void ekho_route6_put(struct ekho_route6 *route);
struct ekho_route6 *ekho_route6_alloc(unsigned int count);
void ekho_route6_take(struct ekho_route6 *route, unsigned int i,
		      struct fib6_info *info);
void ekho_route6_fill(struct ekho_route6 *route, unsigned int first,
		      struct fib6_info *info);
struct ekho_route6 *ekho_route6_without(struct ekho_route6 *from,
					const struct fib6_info *gone);
bool ekho_route6_has(const struct ekho_route6 *route,
		     const struct fib6_info *info);

#endif
