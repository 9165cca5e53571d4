/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Maps of every kind that has a wrapper, global data, a ring buffer, and programs that run without a device. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "libbpf-ts.bpf.h"

enum colour { RED = 1, GREEN = 2, BLUE = 3 };

struct flow_key {
	__u32 address;
	__u16 port;
	__u8 protocol;
};

struct flow {
	__u64 packets;
	__s32 delta;
	enum colour colour;
	char name[16];
	unsigned char mac[6];
	_Bool up;
	__u16 ports[3];
	__u32 low : 3;
	__u32 high : 5;
	struct {
		__s16 x, y;
	} at;
	union {
		__u32 whole;
		__u8 part[4];
	};
};

struct lpm_key {
	__u32 length;
	__u8 address[4];
};

#define MAP(name, kind, entries, k, v)			\
	struct {					\
		__uint(type, BPF_MAP_TYPE_##kind);	\
		__uint(max_entries, entries);		\
		__type(key, k);				\
		__type(value, v);			\
	} name SEC(".maps")

MAP(flows, HASH, 1024, struct flow_key, struct flow);
MAP(counts, HASH, 200000, __u32, __u64);
MAP(slots, ARRAY, 16, __u32, __u64);
MAP(percpu, PERCPU_HASH, 64, __u32, __u64);
MAP(percpu_slots, PERCPU_ARRAY, 4, __u32, struct flow_key);
MAP(tiny, HASH, 2, __u32, __u32);
MAP(recent, LRU_HASH, 64, __u32, __u32);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lpm_key);
	__type(value, __u32);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 8);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct bpf_devmap_val));
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__uint(value_size, 4);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__uint(value_size, 4);
} bloom SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} tables SEC(".maps");

RINGBUF(events, 1 << 16);

const volatile __u32 limit = 7;
__u64 runs;
__s32 answer = 42;
struct flow_key last = { .port = 80 };
char label[8] = "old";

struct record {
	__u64 serial;
	__u32 length;
};

BTF_KEEP(record);

struct arguments {
	__u32 count;
	__u32 length;
	__u32 emitted;
};

static __u64 serial;

struct emitting {
	struct arguments *arguments;
};

static long emit_one(__u32 index, void *context)
{
	struct emitting *emitting = context;
	struct record *record = ringbuf_reserve(events, sizeof(*record));

	serial++;
	if (!record)
		return 0;
	record->serial = serial;
	record->length = emitting->arguments->length;
	/* Every tenth is given up, to see that it is passed over. */
	if (serial % 10 == 0) {
		bpf_ringbuf_discard(record, 0);
	} else {
		bpf_ringbuf_submit(record, 0);
		emitting->arguments->emitted++;
	}
	return 0;
}

SEC("syscall")
int emit(struct arguments *arguments)
{
	struct emitting emitting = { .arguments = arguments };

	bpf_loop(arguments->count, emit_one, &emitting, 0);
	runs++;
	return limit;
}

/* Not syscall programs: those sleep, and may not use tries and maps of maps. They are only run, never attached. */
SEC("raw_tp/look_up")
int look_up(struct bpf_raw_tracepoint_args *context)
{
	struct lpm_key key = { .length = 32 };
	__u32 address = context->args[0];
	__u32 *found;

	__builtin_memcpy(key.address, &address, 4);
	found = bpf_map_lookup_elem(&routes, &key);
	return found ? *found : -1;
}

SEC("raw_tp/look_up_inner")
int look_up_inner(struct bpf_raw_tracepoint_args *context)
{
	__u32 outer = context->args[0], inner = context->args[1];
	void *table = bpf_map_lookup_elem(&tables, &outer);
	__u32 *found;

	if (!table)
		return -1;
	found = bpf_map_lookup_elem(table, &inner);
	return found ? *found : -2;
}

SEC("syscall")
int change_globals(void *context)
{
	answer = -5;
	last.address = 0x0100007f;
	last.port++;
	label[0] = 'n';
	return 0;
}

SEC("xdp")
int count_packets(struct xdp_md *context)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&slots, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	return XDP_PASS;
}

SEC("xdp")
int drop_packets(struct xdp_md *context)
{
	return XDP_DROP;
}

SEC("tc")
int count_frames(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&slots, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	return -1; /* TC_ACT_UNSPEC, TCX_NEXT: go on with the next program */
}

SEC("raw_tp/task_newtask")
int on_task(struct bpf_raw_tracepoint_args *context)
{
	__u32 key = 2;
	__u64 *count = bpf_map_lookup_elem(&slots, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

SEC("tp_btf/task_newtask")
int on_task_btf(__u64 *context)
{
	struct task_struct *task = (void *)context[0];
	__u32 key = 3;
	__u64 *pid = bpf_map_lookup_elem(&slots, &key);

	if (pid)
		*pid = task->pid;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
