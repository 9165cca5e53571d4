/* SPDX-License-Identifier: GPL-2.0 */
/* A route of a switch's namespace. */
#ifndef EKHO_ROUTE_H
#define EKHO_ROUTE_H

#include "route6.h"
#include "switch.h"

struct ekho_route_key {
	/* AF_INET, AF_INET6 */
	u8 family;
	u8 length;
	u16 unused;
	u32 table;
	u8 address[16];
};

/* A route of the kernel's, with a reference; route4 is NULL for none. */
struct ekho_route_ref {
	union {
		struct fib_info *route4;
		struct ekho_route6 *route6;
	};
	/* Of IPv4 routes. */
	u8 type;
	dscp_t dscp;
};

struct ekho_route {
	struct rhash_head node;
	struct list_head list;
	/* Empty unless the route waits. */
	struct list_head dirty;
	struct ekho_route_key key;
	u64 id;
	/* What the kernel has, under fib.lock. */
	struct ekho_route_ref wanted;
	/* Firmware is to be told although it knows, under fib.lock. */
	bool is_replayed;
	/* What firmware was asked about, under the switch's lock. */
	struct ekho_route_ref asked;
	/* Firmware has it; and the kernel shows that. */
	bool is_offloaded, is_marked;
};

/* route.c; with the switch's lock held */
void ekho_route_withdraw(struct ekho_switch *sw, struct ekho_route *route,
			 u32 flags);
u32 ekho_route_offer(struct ekho_switch *sw, struct ekho_route *route,
		     const struct ekho_route_ref *ref, u32 flags);
void ekho_route_show(struct ekho_switch *sw, struct ekho_route *route,
		     const struct ekho_route_ref *ref, u32 flags);

#endif
