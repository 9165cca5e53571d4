/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What comes faster than a rate: the generic cell rate algorithm, which is a token bucket kept as one time. */
#ifndef DATAPATH_RATE_H
#define DATAPATH_RATE_H

/* Attempts to account for a frame while other CPUs do for theirs. */
#define RATE_TRIES 8

/*
 * `due` is when what passed so far would be through at the rate. A frame that takes `cost` nanoseconds may be early by `burst`, what it takes
 * itself included; if it is not too early, it is accounted for.
 */
static __always_inline bool is_in_time(__u64 *due, __u64 cost, __u64 burst)
{
	__u64 now = bpf_ktime_get_ns();

#pragma unroll
	for (int attempt = 0; attempt < RATE_TRIES; attempt++) {
		__u64 before = *(volatile __u64 *)due;
		__u64 from = before > now ? before : now;

		if (from + cost - now > burst)
			return false;
		if (__sync_val_compare_and_swap(due, before, from + cost) == before)
			return true;
	}
	/* It passes, and is accounted for all the same. */
	__sync_fetch_and_add(due, cost);
	return true;
}

#endif
