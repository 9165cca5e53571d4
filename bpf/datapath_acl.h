/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Rules: tuple space search. Rules that look at the same bits are one mask and stand in one hash table, so the cost is
 * that of the masks and not of the rules; masks stand in the order of their lowest priority, so it ends when none can
 * beat what was found.
 */
#ifndef DATAPATH_ACL_H
#define DATAPATH_ACL_H

static __always_inline void mask_match(struct dp_match *to, const struct dp_match *match, const struct dp_match *bits)
{
	__u32 *out = (__u32 *)to;
	const __u32 *in = (const __u32 *)match, *mask = (const __u32 *)bits;

#pragma unroll
	for (unsigned int word = 0; word < sizeof(*to) / 4; word++)
		out[word] = in[word] & mask[word];
}

/*
 * Whether the frame is shorter than Ethernet has them (veth takes such), and ends before the four bytes that ports would be: rules may
 * come from filters that look at bytes, for which the kernel has its own ideas then.
 */
static __always_inline bool ends_before_ports(const struct frame *frame)
{
	return frame->length < frame->network_offset + (frame->ethertype == ETHERTYPE_IPV6 ? 44 : 24);
}

/*
 * First rule of a stage that matches, into `found`: handle 0 for none. A function of its own to the verifier, as judge() is.
 */
__noinline int find_rule(const struct frame *frame, __u32 state, __u32 stage, struct dp_acl *found)
{
	__u32 masks = state >> 8 & 0xff;
	__u32 index = (state & 1) * DP_MASKS;
	struct dp_acl_key key;

	if (!frame || !found)
		return 0;
	found->handle = 0;
	found->priority = 0xffffffff;
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
		if (found->priority <= mask->priority)
			break;
		key.mask = index;
		mask_match(&key.match, &frame->match, &mask->bits);
		rule = bpf_map_lookup_elem(&acl_keys, &key);
		if (rule && rule->priority < found->priority)
			*found = *rule;
	}
	return 0;
}

#endif
