/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The map and the ring buffer that both sides of the bench work on. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} events SEC(".maps");

struct record {
	__u64 serial;
	__u8 payload[56];
};

struct arguments {
	__u32 count;
	__u32 silent; /* no wake-ups: the reader is called by hand */
};

__u64 serial;
__u64 dropped;

static long emit_one(__u32 index, void *context)
{
	struct arguments *arguments = *(struct arguments **)context;
	struct record *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record) {
		__sync_fetch_and_add(&dropped, 1);
		return 0;
	}
	record->serial = serial++;
	bpf_ringbuf_submit(record, arguments->silent ? BPF_RB_NO_WAKEUP : 0);
	return 0;
}

SEC("syscall")
int emit(struct arguments *arguments)
{
	bpf_loop(arguments->count, emit_one, &arguments, 0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
