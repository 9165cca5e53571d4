/* SPDX-License-Identifier: GPL-2.0 */
/* What is marked on behalf of one file. */
#ifndef EKHO_MARK_H
#define EKHO_MARK_H

#include <linux/notifier.h>
#include <linux/rhashtable.h>
#include <linux/spinlock.h>
#include "ekho_abi.h"

struct net;

/* mark_route.c: routes that are followed, marked or not */
struct ekho_marked_routes {
	struct net *net;
	/* The table and what is in it: routes come and go in atomic context. */
	spinlock_t lock;
	struct rhashtable table;
	struct notifier_block notifier;
};

int ekho_marked_routes_open(struct ekho_marked_routes *marks, struct net *net);
void ekho_marked_routes_close(struct ekho_marked_routes *marks, bool is_kept);
int ekho_mark_route(struct ekho_marked_routes *marks,
		    const struct ekho_mark *mark);

/* mark_nexthop.c: nexthops and buckets that are marked */
struct ekho_marked_nexthops {
	struct net *net;
	/* The table and what is in it. */
	spinlock_t lock;
	struct rhashtable table;
	struct list_head list;
	struct notifier_block notifier;
};

int ekho_marked_nexthops_open(struct ekho_marked_nexthops *marks,
			      struct net *net);
void ekho_marked_nexthops_close(struct ekho_marked_nexthops *marks,
				bool is_kept);
int ekho_mark_nexthop(struct ekho_marked_nexthops *marks,
		      const struct ekho_mark *mark);

/* mark_fdb.c: entries of bridges that are marked, or learned by hardware */
struct ekho_marked_entries {
	struct net *net;
	/* The table and what is in it: entries go in atomic context. */
	spinlock_t lock;
	struct rhashtable table;
	struct list_head list;
	struct notifier_block notifier;
	bool is_kept;
};

int ekho_marked_entries_open(struct ekho_marked_entries *marks,
			     struct net *net, bool is_kept);
void ekho_marked_entries_close(struct ekho_marked_entries *marks);
int ekho_mark_entry(struct ekho_marked_entries *marks,
		    const struct ekho_mark *mark);

#endif
