/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The way of every record: the namespace is compared first, then the event gets its number on this CPU, then room in the
 * ring. What finds no room is counted and leaves a gap in the numbers.
 */
#ifndef EKHO_NOTIFIER_EMIT_H
#define EKHO_NOTIFIER_EMIT_H

#include "kernel.h"
#include "libbpf-ts.bpf.h"
#include "record.h"

/* Cookie of the only namespace whose events are wanted; 0: of all. */
const volatile __u64 only_netns = 0;

/* The size is the host's to choose. */
RINGBUF(notifier_events, 1 << 22);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} notifier_sequences SEC(".maps");

static __always_inline __u64 cookie_of(struct net *net)
{
	return BPF_CORE_READ(net, net_cookie);
}

static __always_inline __u64 device_cookie(struct net_device *dev)
{
	return BPF_CORE_READ(dev, nd_net.net, net_cookie);
}

static __always_inline bool unwanted(__u64 cookie)
{
	return only_netns != 0 && only_netns != cookie;
}

/* `clear` bytes of it are zero behind the header: the ring's memory has been used before. */
static __always_inline void *emit_reserve(__u64 size, __u64 clear, enum notifier_event event, __u64 cookie,
					  int ifindex, __u8 family)
{
	struct notifier_header *header;
	__u64 *sequence, number;
	__u32 zero = 0;

	sequence = bpf_map_lookup_elem(&notifier_sequences, &zero);
	if (!sequence)
		return 0;
	/* Programs can interrupt each other on one CPU. */
	number = __sync_fetch_and_add(sequence, 1);
	header = ringbuf_reserve(notifier_events, size);
	if (!header)
		return 0;
	__builtin_memset(header + 1, 0, clear - sizeof(*header));
	header->time = bpf_ktime_get_ns();
	header->netns = cookie;
	header->sequence = number;
	header->cpu = bpf_get_smp_processor_id();
	header->ifindex = ifindex;
	header->event = event;
	header->family = family;
	__builtin_memset(header->unused, 0, sizeof(header->unused));
	return header;
}

/* A record of a struct with everything after its header zero, or NULL. */
#define emit(type, event, cookie, ifindex, family) \
	((struct type *)emit_reserve(sizeof(struct type), sizeof(struct type), event, cookie, ifindex, family))

static __always_inline void submit(void *record)
{
	bpf_ringbuf_submit(record, 0);
}

#define kernel_value(type, name) bpf_core_enum_value(enum type, name)

#endif
