/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Firmware that takes what a device was said to be capable of, and tells user space. A rule is accepted or refused on the spot:
 * the kernel holds RTNL while it asks. The rules themselves are in a map; the ring only says which of them changed, so that a
 * full ring loses nothing but time.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "libbpf-ts.bpf.h"
#include "module/ekho_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EINTR 4
#define EINVAL 22
#define ENOSPC 28
#define EOPNOTSUPP 95
#define EINPROGRESS 115

struct ekho_offload_ops {
	int (*flow_replace)(struct ekho_flow_ctx *ctx);
	int (*flow_destroy)(struct ekho_flow_ctx *ctx);
	int (*flow_stats)(struct ekho_flow_ctx *ctx);
	int (*fdb_replace)(struct ekho_bridge_ctx *ctx);
	int (*fdb_destroy)(struct ekho_bridge_ctx *ctx);
	int (*vlan_replace)(struct ekho_bridge_ctx *ctx);
	int (*vlan_destroy)(struct ekho_bridge_ctx *ctx);
	int (*mdb_replace)(struct ekho_bridge_ctx *ctx);
	int (*mdb_destroy)(struct ekho_bridge_ctx *ctx);
	int (*port_attr)(struct ekho_bridge_ctx *ctx);
	__u32 version;
	__u32 netns, ifindex;
	char name[EKHO_NAME_LEN];
};

int ekho_flow_count(struct ekho_flow_ctx *flow, __u64 packets, __u64 bytes, __u64 drops, __u64 used) __ksym;
int ekho_flow_explain(struct ekho_flow_ctx *flow, const char *text__str) __ksym;
int ekho_request_wait(struct ekho_flow_ctx *flow, __u32 timeout_ms) __ksym;
int ekho_request_complete(__u64 request, int answer) __ksym;

enum firmware_event {
	FIRMWARE_REPLACE = 1,
	FIRMWARE_DESTROY = 2,
	/* The kernel asks what was counted: of no rule, and no more often than every ASK_NS. */
	FIRMWARE_ASKED = 3,
	/* A call about a port of a bridge: struct firmware_bridge_record. */
	FIRMWARE_BRIDGE = 4,
};

#define ASK_NS 500000000ull

/* What the ring says: read the rule in `flows`. */
struct firmware_record {
	__u64 id;
	/* What firmware_answer is given, if `waits`. */
	__u64 request;
	/* enum firmware_event */
	__u32 event;
	__u32 waits;
};
BTF_KEEP(firmware_record);

/* What hardware counted for a rule since the kernel made it. */
struct firmware_counter {
	__u64 packets, bytes, drops;
};

RINGBUF(events, 1 << 18);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct ekho_flow_ctx);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct firmware_counter);
} counters SEC(".maps");

/*
 * What the device can do; user space sets it and may change it. Bits of enum ekho_match_keys; bit n for kind n of enum
 * ekho_action_kind, enum ekho_direction and enum ekho_flow_kind.
 */
__u32 can_match = 0;
__u32 can_act = 0;
__u32 can_face = 0;
__u32 can_kind = 0;
__u32 chain_max = 0;
/* Rules on links of tunnels. */
__u32 can_tunnel = 0;
/* Milliseconds to wait for user space: not under RTNL unless `waits_with_rtnl`. */
__u32 wait_ms = 0;
__u32 waits_with_rtnl = 0;
/* What a rule may say is decided by the port it is for, not by the above. */
__u32 by_port = 0;

static const struct ekho_flow_ctx empty;

static __always_inline void tell(__u64 id, __u64 request, __u32 event, __u32 waits)
{
	struct firmware_record *record = ringbuf_reserve(events, sizeof(*record));

	if (!record)
		return;
	record->id = id;
	record->request = request;
	record->event = event;
	record->waits = waits;
	bpf_ringbuf_submit(record, 0);
}

/* The verifier wants one constant text at each call. */
#define REFUSE(flow, text)				\
	do {						\
		ekho_flow_explain(flow, text);		\
		return -EOPNOTSUPP;			\
	} while (0)

#include "firmware_acl.h"
#include "firmware_bridge.h"

static __always_inline int check_match(struct ekho_flow_ctx *flow)
{
	__u32 lacks = flow->match.keys & ~can_match;

	if (!lacks)
		return 0;
	if (lacks & EKHO_MATCH_PORT)
		REFUSE(flow, "the device cannot match the ingress port");
	if (lacks & EKHO_MATCH_FRAGMENT)
		REFUSE(flow, "the device cannot match fragments");
	if (lacks & EKHO_MATCH_ETHERNET)
		REFUSE(flow, "the device cannot match MAC addresses");
	if (lacks & (EKHO_MATCH_VLAN | EKHO_MATCH_CVLAN))
		REFUSE(flow, "the device cannot match VLAN tags");
	if (lacks & (EKHO_MATCH_IPV4 | EKHO_MATCH_IPV6))
		REFUSE(flow, "the device cannot match IP addresses");
	if (lacks & EKHO_MATCH_PORTS)
		REFUSE(flow, "the device cannot match ports");
	if (lacks & EKHO_MATCH_PORT_RANGE)
		REFUSE(flow, "the device cannot match ranges of ports");
	if (lacks & EKHO_MATCH_TCP)
		REFUSE(flow, "the device cannot match TCP flags");
	if (lacks & EKHO_MATCH_IP)
		REFUSE(flow, "the device cannot match TOS and TTL");
	if (lacks & EKHO_MATCH_ICMP)
		REFUSE(flow, "the device cannot match ICMP types and codes");
	if (lacks & EKHO_MATCH_ARP)
		REFUSE(flow, "the device cannot match ARP");
	if (lacks & EKHO_MATCH_CT)
		REFUSE(flow, "the device cannot match connection tracking");
	if (lacks & EKHO_MATCH_TUNNEL)
		REFUSE(flow, "the device cannot match tunnels");
	REFUSE(flow, "the device cannot match protocols");
}

static __always_inline int check(struct ekho_flow_ctx *flow, const struct ekho_flow_ctx *rule)
{
	int err;

	if (by_port)
		return check_by_port(flow, rule);
	if (!(can_kind & (1u << (rule->kind & 31))))
		REFUSE(flow, "the device has no such rules");
	if (rule->tunnel.kind && !can_tunnel)
		REFUSE(flow, "the device has no rules on links of tunnels");
	if (rule->kind != EKHO_FLOW_ACTION && !(can_face & (1u << (rule->direction & 31))))
		REFUSE(flow, "the device cannot filter in this direction");
	if (rule->chain > chain_max)
		REFUSE(flow, "the device has no such chain");
	err = check_match(flow);
	if (err)
		return err;
	for (__u32 i = 0; i < EKHO_ACTIONS_MAX && i < rule->action_count; i++) {
		if (!(can_act & (1u << (rule->actions[i].kind & 31))))
			REFUSE(flow, "the device cannot do one of the actions");
	}
	return 0;
}

/* Its own copy of a rule: fields of a context cannot be indexed. */
static __always_inline struct ekho_flow_ctx *keep(struct ekho_flow_ctx *flow)
{
	__u64 id = flow->id;
	struct ekho_flow_ctx *rule = bpf_map_lookup_elem(&flows, &id);

	if (!rule) {
		bpf_map_update_elem(&flows, &id, &empty, BPF_NOEXIST);
		rule = bpf_map_lookup_elem(&flows, &id);
	}
	if (rule)
		bpf_probe_read_kernel(rule, sizeof(*rule), flow);
	return rule;
}

/* Nothing of the rule is left. */
static __always_inline void forget(__u64 id)
{
	release(id);
	bpf_map_delete_elem(&flows, &id);
	bpf_map_delete_elem(&counters, &id);
}

/* User space counts only what has a place: a rule that is gone gets none again. */
static __always_inline int is_counted(__u64 id)
{
	static const struct firmware_counter zero;

	return bpf_map_update_elem(&counters, &id, &zero, BPF_NOEXIST) == 0 || bpf_map_lookup_elem(&counters, &id);
}

SEC("struct_ops.s/flow_replace")
int BPF_PROG(flow_replace, struct ekho_flow_ctx *flow)
{
	const __u32 no_wait = EKHO_FLOW_REPLAY | (waits_with_rtnl ? 0 : EKHO_FLOW_RTNL);
	__u32 waits = wait_ms && !(flow->flags & no_wait);
	__u64 id = flow->id;
	struct ekho_flow_ctx *rule = keep(flow);
	int err;

	if (!rule || !is_counted(id)) {
		forget(id);
		ekho_flow_explain(flow, "there is no room for more rules");
		return -ENOSPC;
	}
	err = check(flow, rule);
	if (!err) {
		tell(id, flow->request, FIRMWARE_REPLACE, waits);
		if (waits) {
			err = ekho_request_wait(flow, wait_ms);
			if (err)
				ekho_flow_explain(flow, "the host refused the rule, or was too slow");
		}
	}
	if (err) {
		forget(id);
		/* It may have been told of before. */
		if (waits || flow->flags & EKHO_FLOW_KNOWN)
			tell(id, 0, FIRMWARE_DESTROY, 0);
	}
	return err;
}

SEC("struct_ops.s/flow_destroy")
int BPF_PROG(flow_destroy, struct ekho_flow_ctx *flow)
{
	__u64 id = flow->id;

	forget(id);
	tell(id, 0, FIRMWARE_DESTROY, 0);
	return 0;
}

/* When user space was last told that the kernel asks. */
static __u64 asked_at;

static __always_inline void ask(void)
{
	__u64 now = bpf_ktime_get_ns();

	if (now - asked_at < ASK_NS)
		return;
	asked_at = now;
	tell(0, 0, FIRMWARE_ASKED, 0);
}

SEC("struct_ops.s/flow_stats")
int BPF_PROG(flow_stats, struct ekho_flow_ctx *flow)
{
	__u64 id = flow->id;
	struct firmware_counter *now = bpf_map_lookup_elem(&counters, &id);
	struct firmware_counter count;

	ask();
	if (!now)
		return 0;
	count = *now;
	/* What the kernel was told cannot be taken back. */
	if (count.packets < flow->packets || count.bytes < flow->bytes || count.drops < flow->drops)
		return 0;
	if (count.packets == flow->packets && count.drops == flow->drops)
		return 0;
	return ekho_flow_count(flow, count.packets - flow->packets, count.bytes - flow->bytes,
			       count.drops - flow->drops, bpf_jiffies64());
}

struct firmware_answer {
	__u64 request;
	__s32 answer;
	/* What ekho_request_complete() said. */
	__s32 result;
};
BTF_KEEP(firmware_answer);

SEC("syscall")
int answer(struct firmware_answer *context)
{
	context->result = ekho_request_complete(context->request, context->answer);
	return 0;
}

SEC(".struct_ops.link")
struct ekho_offload_ops firmware = {
	.flow_replace = (void *)flow_replace,
	.flow_destroy = (void *)flow_destroy,
	.flow_stats = (void *)flow_stats,
	.fdb_replace = (void *)fdb_replace,
	.fdb_destroy = (void *)fdb_destroy,
	.vlan_replace = (void *)vlan_replace,
	.vlan_destroy = (void *)vlan_destroy,
	.mdb_replace = (void *)mdb_replace,
	.mdb_destroy = (void *)mdb_destroy,
	.port_attr = (void *)port_attr,
	.version = EKHO_ABI_VERSION,
	.name = "ekho",
};
