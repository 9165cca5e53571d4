/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Firmware that decides by itself, with no user space: it accepts routes and nexthops while there is room for them, and the kernel
 * shows them as `mark` says. A place to begin for firmware that puts them into hardware.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "module/ekho_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ENOSPC 28

struct ekho_offload_ops {
	int (*route_replace)(struct ekho_route_ctx *ctx);
	int (*route_destroy)(struct ekho_route_ctx *ctx);
	int (*nexthop_replace)(struct ekho_nexthop_ctx *ctx);
	int (*nexthop_destroy)(struct ekho_nexthop_ctx *ctx);
	int (*nexthop_bucket)(struct ekho_nexthop_ctx *ctx);
	__u32 version;
	__u32 netns, ifindex;
	char name[EKHO_NAME_LEN];
};

int ekho_route_mark(struct ekho_route_ctx *route, __u32 flags) __ksym;
int ekho_nexthop_mark(struct ekho_nexthop_ctx *nexthop, __u32 flags) __ksym;
int ekho_nexthop_explain(struct ekho_nexthop_ctx *nexthop, const char *text__str) __ksym;

/* Routes of both families there is room for; set before or while it is attached. */
__u32 route_limit = ~0u;
/* Nexthop objects, groups included. */
__u32 nexthop_limit = ~0u;
/* Buckets of one resilient group. */
__u32 bucket_limit = ~0u;
__u32 mark = EKHO_MARK_TRAPPED;
__u32 routes = 0;
__u32 nexthops = 0;
/* Buckets of resilient groups that were told. */
__u32 buckets = 0;

/* Calls of one switch come one after the other, so counting is plain. */
SEC("struct_ops.s/route_replace")
int BPF_PROG(route_replace, struct ekho_route_ctx *route)
{
	if (!(route->flags & EKHO_FLOW_KNOWN)) {
		if (routes >= route_limit)
			return -ENOSPC;
		routes++;
	}
	return ekho_route_mark(route, mark);
}

SEC("struct_ops.s/route_destroy")
int BPF_PROG(route_destroy, struct ekho_route_ctx *route)
{
	routes--;
	return 0;
}

SEC("struct_ops.s/nexthop_replace")
int BPF_PROG(nexthop_replace, struct ekho_nexthop_ctx *nexthop)
{
	if (!(nexthop->flags & EKHO_FLOW_KNOWN)) {
		if (nexthops >= nexthop_limit) {
			ekho_nexthop_explain(nexthop, "the firmware has room for no more nexthops");
			return -ENOSPC;
		}
		nexthops++;
	}
	return ekho_nexthop_mark(nexthop, mark & (EKHO_MARK_OFFLOADED | EKHO_MARK_TRAPPED));
}

SEC("struct_ops.s/nexthop_destroy")
int BPF_PROG(nexthop_destroy, struct ekho_nexthop_ctx *nexthop)
{
	nexthops--;
	return 0;
}

SEC("struct_ops.s/nexthop_bucket")
int BPF_PROG(nexthop_bucket, struct ekho_nexthop_ctx *nexthop)
{
	if (nexthop->bucket >= bucket_limit)
		return -ENOSPC;
	buckets++;
	return ekho_nexthop_mark(nexthop, mark & (EKHO_MARK_OFFLOADED | EKHO_MARK_TRAPPED));
}

SEC(".struct_ops.link")
struct ekho_offload_ops firmware = {
	.route_replace = (void *)route_replace,
	.route_destroy = (void *)route_destroy,
	.nexthop_replace = (void *)nexthop_replace,
	.nexthop_destroy = (void *)nexthop_destroy,
	.nexthop_bucket = (void *)nexthop_bucket,
	.version = EKHO_ABI_VERSION,
	.name = "routes",
};
