/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Rules: tuple space search. Rules that look at the same bits are one mask and stand in one hash table, so the cost is
 * that of the masks and not of the rules; masks stand in the order of their lowest priority, so it ends when none can
 * beat what was found.
 */
#ifndef DATAPATH_ACL_H
#define DATAPATH_ACL_H

struct acl_search {
	struct dp_acl_key key;
	/* NULL: nothing matches yet. */
	struct dp_acl *found;
};

static __always_inline void mask_match(struct dp_match *to, const struct dp_match *match, const struct dp_match *bits)
{
	__u32 *out = (__u32 *)to;
	const __u32 *in = (const __u32 *)match, *mask = (const __u32 *)bits;

#pragma unroll
	for (unsigned int word = 0; word < sizeof(*to) / 4; word++)
		out[word] = in[word] & mask[word];
}

/* First rule of a stage that matches, or NULL. */
static __noinline struct dp_acl *find_rule(const struct frame *frame, __u32 state, __u32 stage)
{
	struct dp_acl *found = NULL;
	struct dp_acl_key key;
	__u32 masks = state >> 8 & 0xff;
	__u32 index = (state & 1) * DP_MASKS;

	for (__u32 count = 0; count < DP_MASKS; count++, index++) {
		struct dp_acl_mask *mask;
		struct dp_acl *rule;

		if (count >= masks)
			break;
		mask = bpf_map_lookup_elem(&acl_masks, &index);
		if (!mask)
			break;
		if (mask->stage != stage)
			continue;
		if (found && found->priority <= mask->priority)
			break;
		key.mask = index;
		mask_match(&key.match, &frame->match, &mask->bits);
		rule = bpf_map_lookup_elem(&acl_keys, &key);
		if (rule && (!found || rule->priority < found->priority))
			found = rule;
	}
	return found;
}

#endif
