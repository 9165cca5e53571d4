/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Neighbours: NETEVENT_NEIGH_UPDATE of call_netevent_notifiers(), or the tracepoints of net/core/neighbour.c. */
#ifndef EKHO_NOTIFIER_NEIGHBOUR_H
#define EKHO_NOTIFIER_NEIGHBOUR_H

#include "emit.h"

static __always_inline int on_neighbour(struct neighbour *neighbour)
{
	struct net_device *dev = BPF_CORE_READ(neighbour, dev);
	__u64 cookie = device_cookie(dev);
	struct neighbour_record *record;
	struct neigh_table *table;
	__u32 length;

	if (unwanted(cookie))
		return 0;
	table = BPF_CORE_READ(neighbour, tbl);
	record = emit(neighbour_record, EVENT_NEIGHBOUR_UPDATE, cookie, BPF_CORE_READ(dev, ifindex),
		      BPF_CORE_READ(table, family));
	if (!record)
		return 0;
	record->flags = BPF_CORE_READ(neighbour, flags);
	record->state = BPF_CORE_READ(neighbour, nud_state);
	record->type = BPF_CORE_READ(neighbour, type);
	record->protocol = BPF_CORE_READ(neighbour, protocol);
	record->dead = BPF_CORE_READ(neighbour, dead);
	length = BPF_CORE_READ(table, key_len);
	if (length > sizeof(record->dst))
		length = sizeof(record->dst);
	record->dst_length = length;
	bpf_probe_read_kernel(record->dst, length, __builtin_preserve_access_index(&neighbour->primary_key));
	length = BPF_CORE_READ(dev, addr_len);
	if (length > sizeof(record->lladdr))
		length = sizeof(record->lladdr);
	record->lladdr_length = length;
	bpf_probe_read_kernel(record->lladdr, length, __builtin_preserve_access_index(&neighbour->ha));
	submit(record);
	return 0;
}

static __always_inline int on_netevent(unsigned long type, void *subject)
{
	/* Other events have another subject. */
	if (type != kernel_value(netevent_notif_type, NETEVENT_NEIGH_UPDATE))
		return 0;
	return on_neighbour(subject);
}

#endif
