/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The smallest object with a map, a variable and a program, for tests that load thousands. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

__u64 total;

SEC("syscall")
int nothing(void *context)
{
	__u32 key = 0;
	__u64 *slot = bpf_map_lookup_elem(&slots, &key);

	if (slot)
		total += *slot;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
