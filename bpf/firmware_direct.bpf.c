/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Firmware with its hardware, and no user space between them: rules of flower that drop or redirect packets to an IPv4 address go into a map. The
 * XDP program on the ports does by that map what the rules say, and the kernel is told what it counted.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "module/ekho_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ENOSPC 28
#define EEXIST 17
#define EOPNOTSUPP 95

struct ekho_offload_ops {
	int (*flow_replace)(struct ekho_flow_ctx *ctx);
	int (*flow_destroy)(struct ekho_flow_ctx *ctx);
	int (*flow_stats)(struct ekho_flow_ctx *ctx);
	__u32 version;
	__u32 netns, ifindex;
	char name[EKHO_NAME_LEN];
};

int ekho_flow_count(struct ekho_flow_ctx *flow, __u64 packets, __u64 bytes, __u64 drops, __u64 used) __ksym;
int ekho_flow_explain(struct ekho_flow_ctx *flow, const char *text__str) __ksym;

/* Which packets: one rule at most is for each, so preferences decide nothing. */
struct direct_key {
	__u32 ifindex;
	__be32 destination;
};

struct direct_rule {
	__u64 id;
	/* Since the kernel made the rule, whoever was its firmware. */
	__u64 packets, bytes;
	/* bpf_jiffies64() of the last packet. */
	__u64 used;
	/* The port that packets leave by; 0 for none. */
	__u32 output;
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct direct_key);
	__type(value, struct direct_rule);
} rules SEC(".maps");

static __always_inline struct direct_key key_of(struct ekho_flow_ctx *flow)
{
	return (struct direct_key){ .ifindex = flow->ifindex, .destination = flow->match.destination[0] };
}

static __always_inline bool is_possible(struct ekho_flow_ctx *flow)
{
	return flow->kind == EKHO_FLOW_FLOWER && flow->direction == EKHO_INGRESS && flow->chain == 0 &&
	       flow->match.keys == (EKHO_MATCH_PROTOCOL | EKHO_MATCH_IPV4) &&
	       flow->match.protocol == bpf_htons(ETH_P_IP) && flow->match.ip_protocol_mask == 0 &&
	       flow->match.source_mask[0] == 0 && flow->match.destination_mask[0] == 0xffffffff &&
	       flow->action_count == 1 &&
	       (flow->actions[0].kind == EKHO_ACTION_DROP || flow->actions[0].kind == EKHO_ACTION_REDIRECT);
}

static __always_inline int refuse(struct ekho_flow_ctx *flow)
{
	struct direct_key key = key_of(flow);
	struct direct_rule *known = bpf_map_lookup_elem(&rules, &key);

	if (!is_possible(flow)) {
		ekho_flow_explain(flow, "this firmware only drops and redirects IPv4 packets to an address");
		return -EOPNOTSUPP;
	}
	if (known && known->id != flow->id) {
		ekho_flow_explain(flow, "another rule has the packets to this address");
		return -EEXIST;
	}
	return 0;
}

/* Whoever refuses a rule that it knows has it no more: nobody destroys it. */
static __always_inline void forget(struct ekho_flow_ctx *flow)
{
	struct direct_key key = key_of(flow);
	struct direct_rule *known = bpf_map_lookup_elem(&rules, &key);

	if (known && known->id == flow->id)
		bpf_map_delete_elem(&rules, &key);
}

SEC("struct_ops.s/flow_replace")
int BPF_PROG(flow_replace, struct ekho_flow_ctx *flow)
{
	struct direct_key key = key_of(flow);
	struct direct_rule *known, rule = {
		.id = flow->id,
		.packets = flow->packets,
		.bytes = flow->bytes,
		.output = flow->actions[0].kind == EKHO_ACTION_REDIRECT ? flow->actions[0].ifindex : 0,
	};
	int err = refuse(flow);

	if (err) {
		forget(flow);
		return err;
	}
	known = bpf_map_lookup_elem(&rules, &key);
	if (known) {
		known->output = rule.output;
		return 0;
	}
	if (bpf_map_update_elem(&rules, &key, &rule, BPF_NOEXIST)) {
		ekho_flow_explain(flow, "there is no room for more rules");
		return -ENOSPC;
	}
	return 0;
}

SEC("struct_ops.s/flow_destroy")
int BPF_PROG(flow_destroy, struct ekho_flow_ctx *flow)
{
	forget(flow);
	return 0;
}

SEC("struct_ops.s/flow_stats")
int BPF_PROG(flow_stats, struct ekho_flow_ctx *flow)
{
	struct direct_key key = key_of(flow);
	struct direct_rule *rule = bpf_map_lookup_elem(&rules, &key);
	__u64 packets, bytes;

	if (!rule || rule->id != flow->id)
		return 0;
	/* One that comes just now may have its bytes told of the next time. */
	packets = rule->packets - flow->packets;
	bytes = rule->bytes - flow->bytes;
	return packets || bytes ? ekho_flow_count(flow, packets, bytes, rule->output ? 0 : packets, rule->used) : 0;
}

SEC("xdp")
int forward(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct direct_key key = { .ifindex = context->ingress_ifindex };
	struct direct_rule *rule;

	if ((void *)(ip + 1) > end || ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	key.destination = ip->daddr;
	rule = bpf_map_lookup_elem(&rules, &key);
	if (!rule)
		return XDP_PASS;
	__sync_fetch_and_add(&rule->packets, 1);
	__sync_fetch_and_add(&rule->bytes, end - data);
	rule->used = bpf_jiffies64();
	return rule->output ? bpf_redirect(rule->output, 0) : XDP_DROP;
}

SEC(".struct_ops.link")
struct ekho_offload_ops firmware = {
	.flow_replace = (void *)flow_replace,
	.flow_destroy = (void *)flow_destroy,
	.flow_stats = (void *)flow_stats,
	.version = EKHO_ABI_VERSION,
	.name = "direct",
};
