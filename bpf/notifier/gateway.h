/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Nexthops: those that routes embed, and those of nexthop objects, single or a group. */
#ifndef EKHO_NOTIFIER_GATEWAY_H
#define EKHO_NOTIFIER_GATEWAY_H

#include "emit.h"

static __always_inline void read_gateway(struct gateway *gateway, struct fib_nh_common *common)
{
	struct net_device *dev = BPF_CORE_READ(common, nhc_dev);
	struct lwtunnel_state *tunnel = BPF_CORE_READ(common, nhc_lwtstate);
	__u8 family = BPF_CORE_READ(common, nhc_gw_family);

	__builtin_memset(gateway, 0, sizeof(*gateway));
	if (family == AF_INET)
		bpf_probe_read_kernel(gateway->address, 4, __builtin_preserve_access_index(&common->nhc_gw));
	else if (family == AF_INET6)
		bpf_probe_read_kernel(gateway->address, 16, __builtin_preserve_access_index(&common->nhc_gw));
	gateway->ifindex = dev ? BPF_CORE_READ(dev, ifindex) : BPF_CORE_READ(common, nhc_oif);
	gateway->weight = BPF_CORE_READ(common, nhc_weight);
	gateway->family = family;
	gateway->flags = BPF_CORE_READ(common, nhc_flags);
	gateway->scope = BPF_CORE_READ(common, nhc_scope);
	gateway->encap = tunnel ? BPF_CORE_READ(tunnel, type) : 0;
}

/* A nexthop object that is no group. */
static __always_inline void read_nexthop(struct gateway *gateway, struct nexthop *nexthop)
{
	struct nh_info *info = BPF_CORE_READ(nexthop, nh_info);

	read_gateway(gateway, __builtin_preserve_access_index(&info->fib_nhc));
	gateway->nexthop_id = BPF_CORE_READ(nexthop, id);
}

static __always_inline struct nh_grp_entry *group_entry(struct nh_group *group, __u32 index)
{
	void *first = __builtin_preserve_access_index(&group->nh_entries);

	return first + index * bpf_core_type_size(struct nh_grp_entry);
}

/* Members of a group; returns how many were written, at most GATEWAYS_MAX. */
static __always_inline __u32 read_group(struct gateway *gateways, struct nh_group *group, __u32 total)
{
	__u32 index;

	for (index = 0; index < GATEWAYS_MAX && index < total; index++) {
		struct nh_grp_entry *entry = group_entry(group, index);

		read_nexthop(&gateways[index], BPF_CORE_READ(entry, nh));
		gateways[index].weight = BPF_CORE_READ(entry, weight);
	}
	return index;
}

#endif
