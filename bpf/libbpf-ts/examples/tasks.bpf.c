/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reports every new process: its parent and its name; and counts how many each process made. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "libbpf-ts.bpf.h"

#define CLONE_THREAD 0x10000

struct event {
	__u32 parent;
	__u32 child;
	char name[16];
};
BTF_KEEP(event);
RINGBUF(events, 1 << 16);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} made SEC(".maps");

/* Only what is used, found in the running kernel's BTF at load. */
struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

const volatile __u32 only; /* 0: of every process */

SEC("tp_btf/task_newtask")
int on_task(__u64 *context)
{
	struct task_struct *task = (void *)context[0];
	__u32 parent = bpf_get_current_pid_tgid() >> 32;
	__u64 one = 1, *count;
	struct event *event;

	if (only && parent != only)
		return 0;
	if (context[1] & CLONE_THREAD)
		return 0;
	count = bpf_map_lookup_elem(&made, &parent);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&made, &parent, &one, BPF_ANY);

	event = ringbuf_reserve(events, sizeof(*event));
	if (!event)
		return 0;
	event->parent = parent;
	event->child = task->pid;
	bpf_get_current_comm(event->name, sizeof(event->name));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
