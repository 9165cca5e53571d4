/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs that the verifier or lockdown rejects, a reason each; the test loads one at a time. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct packet {
	void *data;
};

SEC("?syscall")
int no_null_check(void *context)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&slots, &key);

	*value = 1;
	return 0;
}

SEC("?xdp")
int past_the_packet(struct xdp_md *context)
{
	unsigned char *data = (void *)(long)context->data;

	return data[100];
}

SEC("?syscall")
int leaks_a_record(void *context)
{
	__u64 *record = bpf_ringbuf_reserve(&ring, 8, 0);

	if (record)
		*record = 1;
	return 0;
}

SEC("?syscall")
int never_ends(void *context)
{
	/* Of the verifier's making: the end could be reached, but never is. */
	asm volatile("r1 = 0\n"
		     "again%=: if r1 == 1 goto end%=\n"
		     "goto again%=\n"
		     "end%=:" ::: "r1");
	return 0;
}

struct task_struct___other {
	int no_such_member;
} __attribute__((preserve_access_index));

SEC("?tp_btf/task_newtask")
int no_such_member(__u64 *context)
{
	struct task_struct___other *task = (void *)context[0];

	return task->no_such_member == 1;
}

SEC("?tp_btf/no_such_tracepoint")
int no_such_target(__u64 *context)
{
	return 0;
}

SEC("?fentry/bpf_fentry_test1")
int on_function(__u64 *context)
{
	return 0;
}

/* Loads, unless lockdown keeps kernel memory from BPF. */
SEC("?raw_tp/task_newtask")
int reads_memory(struct bpf_raw_tracepoint_args *context)
{
	int value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)context->args[0]);
	return value & 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
