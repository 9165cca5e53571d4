/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Programs on functions, tracepoints and tcx, for kernels that have these; each counts in its own slot. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

static __always_inline void count(__u32 slot, __u64 value)
{
	__u64 *found = bpf_map_lookup_elem(&slots, &slot);

	if (found)
		__sync_fetch_and_add(found, value);
}

SEC("fentry/do_unlinkat")
int on_entry(__u64 *context)
{
	count(0, 1);
	return 0;
}

SEC("fexit/do_unlinkat")
int on_exit(__u64 *context)
{
	/* Arguments first, then what it returned. */
	count(1, (int)context[2] == 0 ? 1 : 1000);
	return 0;
}

SEC("kprobe/do_unlinkat")
int on_probe(void *context)
{
	count(2, bpf_get_attach_cookie(context) ?: 1);
	return 0;
}

SEC("kretprobe/do_unlinkat")
int on_return(void *context)
{
	count(3, 1);
	return 0;
}

SEC("kprobe.multi")
int on_many(void *context)
{
	count(4, 1);
	return 0;
}

SEC("tracepoint/sched/sched_switch")
int on_switch(void *context)
{
	count(5, 1);
	return 0;
}

/* Not SEC("tcx/ingress"), which libbpf knows since 1.3. */
SEC("tc")
int on_frame(struct __sk_buff *skb)
{
	count(6, 1);
	return -1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
