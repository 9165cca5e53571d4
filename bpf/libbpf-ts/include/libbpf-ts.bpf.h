/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * For BPF programs: a ring buffer that counts the records it had no room for. Include <linux/bpf.h> and
 * <bpf/bpf_helpers.h> first.
 *
 *	RINGBUF(events, 1 << 20);
 *
 *	struct event *event = ringbuf_reserve(events, sizeof(*event));
 *	if (!event)
 *		return 0;	// counted
 *
 * In TypeScript: object.ringBuffer('events', { drops: object.map('events_drops') }).
 */
#ifndef LIBBPF_TS_BPF_H
#define LIBBPF_TS_BPF_H

#define RINGBUF(ring, bytes)						\
	struct {							\
		__uint(type, BPF_MAP_TYPE_RINGBUF);			\
		__uint(max_entries, bytes);				\
	} ring SEC(".maps");						\
	struct {							\
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);		\
		__uint(max_entries, 1);					\
		__type(key, __u32);					\
		__type(value, __u64);					\
	} ring##_drops SEC(".maps")

static __always_inline void *ringbuf_reserve_or_count(void *ring, void *drops, __u64 size)
{
	void *record = bpf_ringbuf_reserve(ring, size, 0);

	if (!record) {
		__u32 zero = 0;
		__u64 *count = bpf_map_lookup_elem(drops, &zero);

		/* Per CPU, but a program can interrupt another on the same one. */
		if (count)
			__sync_fetch_and_add(count, 1);
	}
	return record;
}

#define ringbuf_reserve(ring, size) ringbuf_reserve_or_count(&ring, &ring##_drops, size)

/*
 * Puts a struct into the object's BTF that only ring buffer records or arguments have, which clang would leave out:
 * BTF_KEEP(event); at file level, then object.type('event') in TypeScript.
 */
#define BTF_KEEP(name) const struct name *btf_keep_##name __attribute__((unused))

#endif
