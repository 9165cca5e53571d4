/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is to become of a frame, and the rows that decided. */
#ifndef DATAPATH_VERDICT_H
#define DATAPATH_VERDICT_H

enum verdict_action {
	/* Not decided yet. */
	VERDICT_NONE,
	VERDICT_KERNEL,
	VERDICT_DROP,
	/* Leaves unchanged. */
	VERDICT_REDIRECT,
	/* Leaves with another tag, or none. */
	VERDICT_BRIDGE,
	/* Leaves with new addresses, tag and TTL. */
	VERDICT_ROUTE,
	/* Is to be looked for among the flows first. */
	VERDICT_FLOWS,
	/* The bridge has no port for it: is to be looked for behind tunnels. */
	VERDICT_TUNNEL,
	/* UDP for this machine: may be of a tunnel. */
	VERDICT_LOCAL,
	/* Leaves in an outer packet, and out of one. */
	VERDICT_ENCAPSULATE,
	VERDICT_DECAPSULATE,
	/* Leaves as a rule edits it. */
	VERDICT_EDIT,
	/* For a multicast group of a bridge: is to be looked for among them. */
	VERDICT_GROUP,
	/* Leaves by several ports of a bridge. */
	VERDICT_COPIES,
};

/* Kept in words: the lookup hands it to user space as it is. */
struct verdict {
	__u32 action;
	/* With VERDICT_KERNEL: enum reason. */
	__u32 reason;
	/* Rows that it met, 0 for none. */
	__u32 port;
	__u32 rule;
	__u32 routing_rule;
	__u32 route;
	__u32 group;
	__u32 nexthop;
	/* Or one behind a tunnel, or a multicast group. */
	__u32 fdb;
	__u32 flow;
	/* Index of the port it leaves by; with VERDICT_COPIES the bridge. */
	__u32 out;
	/* Tag it leaves with, without the priority; 0 for none. */
	__u32 vlan;
	/* Index of the interface it came in by, DP_NONE for none. */
	__u32 ingress;
	/* EXTRA_…: one word for all, as the verifier of Linux 6.1 leaves no room for more on its stack. */
	__u32 extras;
	/* Of the new addresses to the old ones, as bpf_csum_diff() has it; of a tunnel's packet that arrived with a UDP checksum, what the
	 * pseudo header adds to it. */
	__u32 difference;
	/* The old ports; a VLAN; the address that a tunnel's packet goes to; where the frame begins in one that arrived; the row of what a
	 * rule edits. */
	__u32 detail;
	__u64 source_mac;
	__u64 destination_mac;
	/* As `fdb`, of where the frame came from. */
	__u32 source_fdb;
	__u32 tunnel;
};

/* The packet gets the addresses and ports that now stand in the frame's dp_match. */
#define EXTRA_TRANSLATES (1u << 31)
/* The frame was counted for `rule` when that matched. */
#define EXTRA_COUNTED (1u << 30)
/* What a rule does besides: DP_EDIT_BESIDES at other places, and the row of `acl_edits` that says it, plus one. */
#define EXTRA_OF(edits) (((edits) & DP_EDIT_BESIDES) << 13)
#define EXTRA_MIRROR EXTRA_OF(DP_EDIT_MIRROR)
#define EXTRA_MIRROR_TRAPPED EXTRA_OF(DP_EDIT_MIRROR_TRAPPED)
#define EXTRA_POLICE EXTRA_OF(DP_EDIT_POLICE)
#define EXTRA_POLICE_TRAPPED EXTRA_OF(DP_EDIT_POLICE_TRAPPED)
#define EXTRA_ROW 0xffffffu

static __always_inline int to_kernel(struct verdict *verdict, __u32 reason)
{
	verdict->action = VERDICT_KERNEL;
	verdict->reason = reason;
	return VERDICT_KERNEL;
}

static __always_inline int decide(struct verdict *verdict, __u32 action)
{
	verdict->action = action;
	return action;
}

/*
 * Whether a frame that came in by a port with `mode` can leave by the port at `out`: VERDICT_NONE if so. `length`
 * is without the Ethernet header and tag.
 */
static __always_inline int check_out(const struct frame *frame, struct verdict *verdict, __u32 mode, __u32 out,
				     __u32 length, const struct dp_port *port)
{
	__u32 *out_mode;

	if (port->ifindex == 0 || (port->flags & (DP_PORT_UP | DP_PORT_CARRIER)) != (DP_PORT_UP | DP_PORT_CARRIER))
		return to_kernel(verdict, REASON_EGRESS_DOWN);
	if (length > port->mtu)
		return to_kernel(verdict, REASON_EGRESS_MTU);
	out_mode = bpf_map_lookup_elem(&port_modes, &out);
	if (!out_mode || (mode & MODE_NATIVE && !(*out_mode & MODE_TAKES_FRAMES)))
		return to_kernel(verdict, REASON_EGRESS_XDP);
	if (frame->partial)
		return to_kernel(verdict, REASON_CHECKSUM);
	verdict->out = out;
	return VERDICT_NONE;
}

#endif
