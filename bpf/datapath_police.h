/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What rules let pass at a rate, as net/sched/act_police.c tcf_police_act() does: the same bucket, in the same nanoseconds. */
#ifndef DATAPATH_POLICE_H
#define DATAPATH_POLICE_H

#define SECOND_NS 1000000000ull

/* The kernel counts from the network header on, but for the largest frame, to which it adds the Ethernet header. */
static __always_inline bool is_within(const struct frame *frame, const struct dp_edit *edit)
{
	__u64 length = frame->length - frame->network_offset, rate = edit->police_rate, amount;
	__u32 index = edit->bucket;
	struct dp_bucket *bucket;

	if (bridged_length(frame) + 14 > edit->police_mtu)
		return false;
	bucket = bpf_map_lookup_elem(&acl_buckets, &index);
	if (!bucket || rate == 0)
		return true;
	if (length < edit->police_minimum)
		length = edit->police_minimum;
	amount = edit->edits & DP_EDIT_POLICE_PACKETS ? 1 : length;
	return is_in_time(&bucket->due, amount * SECOND_NS / rate, edit->police_burst);
}

/*
 * Whether a rule drops the frame for coming too fast; it is counted then. `kernels`: the kernel gets it otherwise, and polices what it gets, unless
 * hardware alone has the rule. A function of its own to the verifier, as judge() is.
 */
__noinline int polices(const struct frame *frame, const struct verdict *verdict, int kernels)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct dp_edit *edit;
	__u32 row;

	if (!frame || !verdict)
		return 0;
	if (kernels && !(verdict->extras & EXTRA_POLICE_TRAPPED))
		return 0;
	row = (verdict->extras & EXTRA_ROW) - 1;
	edit = bpf_map_lookup_elem(&acl_edits, &row);
	if (!edit)
		return 0;
	if (is_within(frame, edit)) {
		/* Who sends the frame on counts it for the rule; that is nobody here, or who makes the copy. */
		if (kernels && !(verdict->extras & (EXTRA_MIRROR_TRAPPED | EXTRA_COUNTED)))
			COUNT(acl_counts, verdict->rule, frame->length, now);
		return 0;
	}
	COUNT(port_counts, verdict->port, frame->length, now);
	if (!(verdict->extras & EXTRA_COUNTED))
		COUNT(acl_counts, verdict->rule, frame->length, now);
	COUNT(acl_drops, verdict->rule, frame->length, now);
	return 1;
}

#endif
