/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Tells the kernel what hardware has: user space puts marks into a map, as many as fit, and runs a program on them, which writes
 * into each what became of it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "libbpf-ts.bpf.h"
#include "module/ekho_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EINVAL 22

/* Marks that one run takes. */
#define MARKS 4096
/* The kernel's own limit of buckets of a resilient group. */
#define BUCKETS 65536

int ekho_marks_open(int netns, __u32 flags) __ksym;
int ekho_marks_set(int fd, void *marks, __u32 marks__sz, __u32 count) __ksym;
int ekho_marks_activity(int fd, __u32 nexthop, void *buckets, __u32 buckets__sz, __u32 count) __ksym;

struct marks_batch {
	struct ekho_mark marks[MARKS];
};
BTF_KEEP(ekho_mark);

struct marks_buckets {
	__u64 words[BUCKETS / 64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct marks_batch);
} batch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct marks_buckets);
} buckets SEC(".maps");

struct marks_call {
	/* A namespace to open, else what opening it returned. */
	__s32 fd;
	/* enum ekho_marks_flags */
	__u32 flags;
	__u32 count;
	__u32 nexthop;
	__s32 result;
};
BTF_KEEP(marks_call);

SEC("syscall")
int marks_open(struct marks_call *call)
{
	call->result = ekho_marks_open(call->fd, call->flags);
	return 0;
}

SEC("syscall")
int marks_set(struct marks_call *call)
{
	__u32 zero = 0;
	struct marks_batch *marks = bpf_map_lookup_elem(&batch, &zero);

	call->result = marks ? ekho_marks_set(call->fd, marks, sizeof(*marks), call->count) : -EINVAL;
	return 0;
}

SEC("syscall")
int marks_activity(struct marks_call *call)
{
	__u32 zero = 0;
	struct marks_buckets *active = bpf_map_lookup_elem(&buckets, &zero);

	call->result = active ? ekho_marks_activity(call->fd, call->nexthop, active, sizeof(*active), call->count) :
				-EINVAL;
	return 0;
}
