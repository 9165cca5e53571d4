/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Nexthop objects: what call_nexthop_notifiers() is called for (net/ipv4/nexthop.c), and buckets of resilient groups. */
#ifndef EKHO_NOTIFIER_NEXTHOP_H
#define EKHO_NOTIFIER_NEXTHOP_H

#include "gateway.h"

static __always_inline void read_object(struct nexthop_record *record, struct nexthop *nexthop)
{
	record->id = BPF_CORE_READ(nexthop, id);
	record->protocol = BPF_CORE_READ(nexthop, protocol);
	record->flags = BPF_CORE_READ(nexthop, nh_flags);
}

static __always_inline int on_group(enum notifier_event event, __u64 cookie, struct nexthop *nexthop)
{
	struct nh_group *group = BPF_CORE_READ(nexthop, nh_grp);
	__u32 total = BPF_CORE_READ(group, num_nh);
	struct nexthop_record *record;

	record = emit_reserve(sizeof(struct nexthop_group_record), sizeof(*record), event, cookie, 0, 0);
	if (!record)
		return 0;
	read_object(record, nexthop);
	record->is_group = 1;
	record->is_resilient = BPF_CORE_READ(group, resilient);
	record->is_fdb = BPF_CORE_READ(group, fdb_nh);
	record->total = total;
	record->count = read_group(record->gateways, group, total);
	submit(record);
	return 0;
}

static __always_inline int on_nexthop(struct net *net, __u32 type, struct nexthop *nexthop)
{
	__u64 cookie = cookie_of(net);
	struct nexthop_record *record;
	enum notifier_event event;
	struct nh_info *info;

	if (unwanted(cookie))
		return 0;
	if (type == kernel_value(nexthop_event_type, NEXTHOP_EVENT_REPLACE))
		event = EVENT_NEXTHOP_OBJECT_REPLACE;
	else if (type == kernel_value(nexthop_event_type, NEXTHOP_EVENT_DEL))
		event = EVENT_NEXTHOP_OBJECT_DELETE;
	else
		return 0;
	if (BPF_CORE_READ(nexthop, is_group))
		return on_group(event, cookie, nexthop);
	info = BPF_CORE_READ(nexthop, nh_info);
	record = emit(nexthop_record, event, cookie, 0, BPF_CORE_READ(info, family));
	if (!record)
		return 0;
	read_object(record, nexthop);
	record->is_blackhole = BPF_CORE_READ(info, reject_nh);
	record->is_fdb = BPF_CORE_READ(info, fdb_nh);
	record->total = 1;
	record->count = 1;
	read_nexthop(record->gateways, nexthop);
	record->header.ifindex = record->gateways[0].ifindex;
	submit(record);
	return 0;
}

/* nh_res_bucket_migrate(): the bucket goes to the first nexthop that has too few. */
static __always_inline int on_bucket(struct nh_res_table *table, __u16 bucket, bool notify, bool force)
{
	__u64 cookie = BPF_CORE_READ(table, net, net_cookie);
	void *head = __builtin_preserve_access_index(&table->uw_nh_entries);
	void *first = BPF_CORE_READ(table, uw_nh_entries.next);
	struct nexthop_bucket_record *record;
	struct nh_grp_entry *entry;
	void *buckets;

	if (unwanted(cookie) || !notify || first == head)
		return 0;
	record = emit(nexthop_bucket_record, EVENT_NEXTHOP_BUCKET_REPLACE, cookie, 0, 0);
	if (!record)
		return 0;
	record->id = BPF_CORE_READ(table, nhg_id);
	record->bucket = bucket;
	record->force = force;
	buckets = __builtin_preserve_access_index(&table->nh_buckets);
	entry = BPF_CORE_READ((struct nh_res_bucket *)(buckets + bucket * bpf_core_type_size(struct nh_res_bucket)),
			      nh_entry);
	record->old_nexthop = entry ? BPF_CORE_READ(entry, nh, id) : 0;
	entry = first - bpf_core_field_offset(struct nh_grp_entry, res.uw_nh_entry);
	record->new_nexthop = BPF_CORE_READ(entry, nh, id);
	submit(record);
	return 0;
}

#endif
