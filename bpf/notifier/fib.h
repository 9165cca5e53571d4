/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Routes, rules and the gateways of routes: what call_fib_notifiers() tells drivers (include/net/fib_notifier.h).
 * IPv4 destinations are in host order there (net/ipv4/fib_trie.c).
 */
#ifndef EKHO_NOTIFIER_FIB_H
#define EKHO_NOTIFIER_FIB_H

#include "gateway.h"

static __always_inline enum notifier_event fib_event_of(__u32 type)
{
	if (type == kernel_value(fib_event_type, FIB_EVENT_ENTRY_REPLACE))
		return EVENT_ROUTE_REPLACE;
	if (type == kernel_value(fib_event_type, FIB_EVENT_ENTRY_DEL))
		return EVENT_ROUTE_DELETE;
	if (type == kernel_value(fib_event_type, FIB_EVENT_ENTRY_APPEND))
		return EVENT_ROUTE_APPEND;
	if (type == kernel_value(fib_event_type, FIB_EVENT_ENTRY_ADD))
		return EVENT_ROUTE_ADD;
	if (type == kernel_value(fib_event_type, FIB_EVENT_NH_ADD))
		return EVENT_NEXTHOP_ADD;
	if (type == kernel_value(fib_event_type, FIB_EVENT_NH_DEL))
		return EVENT_NEXTHOP_DELETE;
	if (type == kernel_value(fib_event_type, FIB_EVENT_RULE_ADD))
		return EVENT_RULE_ADD;
	if (type == kernel_value(fib_event_type, FIB_EVENT_RULE_DEL))
		return EVENT_RULE_DELETE;
	return 0;
}

static __always_inline void read_route4(struct route_record *record, struct fib_entry_notifier_info *info,
					struct fib_info *route, struct nexthop *nexthop)
{
	__u32 dst = bpf_htonl(BPF_CORE_READ(info, dst));
	__u32 prefsrc = BPF_CORE_READ(route, fib_prefsrc);

	__builtin_memcpy(record->dst, &dst, sizeof(dst));
	__builtin_memcpy(record->prefsrc, &prefsrc, sizeof(prefsrc));
	record->table = BPF_CORE_READ(info, tb_id);
	record->priority = BPF_CORE_READ(route, fib_priority);
	record->nexthop_id = nexthop ? BPF_CORE_READ(nexthop, id) : 0;
	record->flags = BPF_CORE_READ(route, fib_flags);
	record->dst_len = BPF_CORE_READ(info, dst_len);
	record->tos = BPF_CORE_READ(info, dscp);
	record->type = BPF_CORE_READ(info, type);
	record->protocol = BPF_CORE_READ(route, fib_protocol);
	record->scope = BPF_CORE_READ(route, fib_scope);
}

static __always_inline void read_route6(struct route_record *record, struct fib6_info *route,
					struct nexthop *nexthop)
{
	bpf_probe_read_kernel(record->dst, 16, __builtin_preserve_access_index(&route->fib6_dst.addr));
	bpf_probe_read_kernel(record->src, 16, __builtin_preserve_access_index(&route->fib6_src.addr));
	bpf_probe_read_kernel(record->prefsrc, 16, __builtin_preserve_access_index(&route->fib6_prefsrc.addr));
	record->table = BPF_CORE_READ(route, fib6_table, tb6_id);
	record->priority = BPF_CORE_READ(route, fib6_metric);
	record->nexthop_id = nexthop ? BPF_CORE_READ(nexthop, id) : 0;
	record->flags = BPF_CORE_READ(route, fib6_flags);
	record->dst_len = BPF_CORE_READ(route, fib6_dst.plen);
	record->src_len = BPF_CORE_READ(route, fib6_src.plen);
	record->type = BPF_CORE_READ(route, fib6_type);
	record->protocol = BPF_CORE_READ(route, fib6_protocol);
}

/* Gateways that the route itself has. */
static __always_inline __u32 read_gateways4(struct gateway *gateways, struct fib_info *route, __u32 total)
{
	void *first = __builtin_preserve_access_index(&route->fib_nh);
	__u32 index;

	for (index = 0; index < GATEWAYS_MAX && index < total; index++)
		read_gateway(&gateways[index], first + index * bpf_core_type_size(struct fib_nh));
	return index;
}

static __always_inline struct fib_nh_common *gateway6(struct fib6_info *route)
{
	return (void *)__builtin_preserve_access_index(&route->fib6_nh);
}

/* IPv6 has a route for each, linked as siblings. */
static __always_inline __u32 read_gateways6(struct gateway *gateways, struct fib6_info *route, __u32 total)
{
	__u32 offset = bpf_core_field_offset(struct fib6_info, fib6_siblings);
	__u32 index;

	for (index = 0; index < GATEWAYS_MAX && index < total; index++) {
		read_gateway(&gateways[index], gateway6(route));
		route = (void *)BPF_CORE_READ(route, fib6_siblings.next) - offset;
	}
	return index;
}

/* How many gateways a route has, if its nexthop is an object. */
static __always_inline __u32 nexthop_total(struct nexthop *nexthop)
{
	struct nh_group *group;

	if (!BPF_CORE_READ(nexthop, is_group))
		return 1;
	group = BPF_CORE_READ(nexthop, nh_grp);
	return BPF_CORE_READ(group, num_nh);
}

#define emit_multipath(event, cookie, family)							\
	((struct route_record *)emit_reserve(sizeof(struct route_multipath_record),		\
					     sizeof(struct route_record), event, cookie, 0, family))

static __always_inline int on_route4(enum notifier_event event, __u64 cookie,
				     struct fib_entry_notifier_info *info)
{
	struct fib_info *route = BPF_CORE_READ(info, fi);
	struct nexthop *nexthop = BPF_CORE_READ(route, nh);
	__u32 total = nexthop ? nexthop_total(nexthop) : BPF_CORE_READ(route, fib_nhs);
	struct route_record *record;

	if (total > 1) {
		record = emit_multipath(event, cookie, AF_INET);
		if (!record)
			return 0;
		read_route4(record, info, route, nexthop);
		record->total = total;
		if (nexthop)
			record->count = read_group(record->gateways, BPF_CORE_READ(nexthop, nh_grp), total);
		else
			record->count = read_gateways4(record->gateways, route, total);
		submit(record);
		return 0;
	}
	record = emit(route_record, event, cookie, 0, AF_INET);
	if (!record)
		return 0;
	read_route4(record, info, route, nexthop);
	record->total = total;
	record->count = total;
	if (total == 1) {
		if (!nexthop)
			read_gateway(record->gateways, (void *)__builtin_preserve_access_index(&route->fib_nh));
		else if (BPF_CORE_READ(nexthop, is_group))
			read_group(record->gateways, BPF_CORE_READ(nexthop, nh_grp), 1);
		else
			read_nexthop(record->gateways, nexthop);
		record->header.ifindex = record->gateways[0].ifindex;
	}
	submit(record);
	return 0;
}

static __always_inline int on_route6(enum notifier_event event, __u64 cookie,
				     struct fib6_entry_notifier_info *info)
{
	struct fib6_info *route = BPF_CORE_READ(info, rt);
	struct nexthop *nexthop = BPF_CORE_READ(route, nh);
	__u32 total = nexthop ? nexthop_total(nexthop) : BPF_CORE_READ(info, nsiblings) + 1;
	struct route_record *record;

	if (total > 1) {
		record = emit_multipath(event, cookie, AF_INET6);
		if (!record)
			return 0;
		read_route6(record, route, nexthop);
		record->total = total;
		if (nexthop)
			record->count = read_group(record->gateways, BPF_CORE_READ(nexthop, nh_grp), total);
		else
			record->count = read_gateways6(record->gateways, route, total);
		submit(record);
		return 0;
	}
	record = emit(route_record, event, cookie, 0, AF_INET6);
	if (!record)
		return 0;
	read_route6(record, route, nexthop);
	record->total = total;
	record->count = total;
	if (total == 1) {
		if (!nexthop)
			read_gateway(record->gateways, gateway6(route));
		else if (BPF_CORE_READ(nexthop, is_group))
			read_group(record->gateways, BPF_CORE_READ(nexthop, nh_grp), 1);
		else
			read_nexthop(record->gateways, nexthop);
		record->header.ifindex = record->gateways[0].ifindex;
	}
	submit(record);
	return 0;
}

static __always_inline int on_fib_nexthop(enum notifier_event event, __u64 cookie,
					  struct fib_nh_notifier_info *info)
{
	struct fib_nh *nexthop = BPF_CORE_READ(info, fib_nh);
	struct fib_info *route = BPF_CORE_READ(nexthop, nh_parent);
	struct fib_nexthop_record *record;

	record = emit(fib_nexthop_record, event, cookie, 0, AF_INET);
	if (!record)
		return 0;
	read_gateway(&record->gateway, __builtin_preserve_access_index(&nexthop->nh_common));
	record->header.ifindex = record->gateway.ifindex;
	record->table = BPF_CORE_READ(route, fib_tb_id);
	record->priority = BPF_CORE_READ(route, fib_priority);
	submit(record);
	return 0;
}

static __always_inline void read_rule(struct rule_record *record, struct fib_rule *rule)
{
	bpf_probe_read_kernel(record->iif, 16, __builtin_preserve_access_index(&rule->iifname));
	bpf_probe_read_kernel(record->oif, 16, __builtin_preserve_access_index(&rule->oifname));
	record->tun_id = bpf_be64_to_cpu(BPF_CORE_READ(rule, tun_id));
	record->table = BPF_CORE_READ(rule, table);
	record->priority = BPF_CORE_READ(rule, pref);
	record->target = BPF_CORE_READ(rule, target);
	record->mark = BPF_CORE_READ(rule, mark);
	record->mark_mask = BPF_CORE_READ(rule, mark_mask);
	record->flags = BPF_CORE_READ(rule, flags);
	record->suppress_ifgroup = BPF_CORE_READ(rule, suppress_ifgroup);
	record->suppress_prefixlen = BPF_CORE_READ(rule, suppress_prefixlen);
	record->uid_start = BPF_CORE_READ(rule, uid_range.start.val);
	record->uid_end = BPF_CORE_READ(rule, uid_range.end.val);
	record->sport_start = BPF_CORE_READ(rule, sport_range.start);
	record->sport_end = BPF_CORE_READ(rule, sport_range.end);
	record->dport_start = BPF_CORE_READ(rule, dport_range.start);
	record->dport_end = BPF_CORE_READ(rule, dport_range.end);
	record->action = BPF_CORE_READ(rule, action);
	record->l3mdev = BPF_CORE_READ(rule, l3mdev);
	record->protocol = BPF_CORE_READ(rule, proto);
	record->ip_proto = BPF_CORE_READ(rule, ip_proto);
}

static __always_inline int on_rule(enum notifier_event event, __u64 cookie, __u8 family,
				   struct fib_rule_notifier_info *info)
{
	struct fib_rule *rule = BPF_CORE_READ(info, rule);
	struct rule_record *record;

	record = emit(rule_record, event, cookie, 0, family);
	if (!record)
		return 0;
	read_rule(record, rule);
	if (family == AF_INET) {
		struct fib4_rule *rule4 = (void *)rule;

		bpf_probe_read_kernel(record->dst, 4, __builtin_preserve_access_index(&rule4->dst));
		bpf_probe_read_kernel(record->src, 4, __builtin_preserve_access_index(&rule4->src));
		record->dst_len = BPF_CORE_READ(rule4, dst_len);
		record->src_len = BPF_CORE_READ(rule4, src_len);
		record->tos = BPF_CORE_READ(rule4, dscp);
	} else if (family == AF_INET6) {
		struct fib6_rule *rule6 = (void *)rule;

		bpf_probe_read_kernel(record->dst, 16, __builtin_preserve_access_index(&rule6->dst.addr));
		bpf_probe_read_kernel(record->src, 16, __builtin_preserve_access_index(&rule6->src.addr));
		record->dst_len = BPF_CORE_READ(rule6, dst.plen);
		record->src_len = BPF_CORE_READ(rule6, src.plen);
		record->tos = BPF_CORE_READ(rule6, dscp);
	}
	submit(record);
	return 0;
}

static __always_inline int on_fib(struct net *net, __u32 type, struct fib_notifier_info *info)
{
	__u64 cookie = cookie_of(net);
	enum notifier_event event;
	int family;

	if (unwanted(cookie))
		return 0;
	event = fib_event_of(type);
	if (!event)
		return 0;
	family = BPF_CORE_READ(info, family);
	if (event == EVENT_RULE_ADD || event == EVENT_RULE_DELETE)
		return on_rule(event, cookie, family, (void *)info);
	if (event == EVENT_NEXTHOP_ADD || event == EVENT_NEXTHOP_DELETE)
		return on_fib_nexthop(event, cookie, (void *)info);
	/* Multicast routes have families of their own (RTNL_FAMILY_IPMR) and other structs. */
	if (family == AF_INET)
		return on_route4(event, cookie, (void *)info);
	if (family == AF_INET6)
		return on_route6(event, cookie, (void *)info);
	return 0;
}

#endif
