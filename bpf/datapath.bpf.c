/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The XDP data path: forwards by tables what it can forward as the kernel would, and hands the rest to the kernel with a counter
 * for each reason. Headers by concern: tables, frame, verdict, rules, routing, flows, bridging, multicast, translating, leaving, tunnels, policing,
 * editing, meters and samples.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "datapath_maps.h"
#include "datapath_frame.h"
#include "datapath_verdict.h"
#include "datapath_acl.h"
#include "datapath_fib.h"
#include "datapath_route.h"
#include "datapath_flow.h"
#include "datapath_bridge.h"
#include "datapath_multicast.h"
#include "datapath_translate.h"
#include "datapath_leave.h"
#include "datapath_tunnel.h"
#include "datapath_encap.h"
#include "datapath_rate.h"
#include "datapath_police.h"
#include "datapath_edit.h"
#include "datapath_skb.h"
#include "datapath_skb_edit.h"
#include "datapath_skb_multicast.h"
#include "datapath_custom.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The port of an interface index, DP_NONE for none. */
static __always_inline __u32 port_at(__u32 ifindex)
{
	__u32 slot = ifindex % NEAR_PORTS, *found;
	__u64 *near = bpf_map_lookup_elem(&ports_near, &slot);
	__u64 word = near ? *(volatile __u64 *)near : 0;

	if (word && word >> 32 == ifindex)
		return word;
	found = bpf_map_lookup_elem(&ports_at, &ifindex);
	return found ? *found : DP_NONE;
}

/* Index of the router interface that a frame of a port belongs to, DP_NONE for none. */
static __always_inline __u32 interface_at(__u32 port, __u32 vlan)
{
	struct dp_interface_key at = { .port = port, .vlan = vlan };
	struct dp_interface_at *found;

	if (vlan == 0) {
		__u32 *untagged = bpf_map_lookup_elem(&interfaces_untagged, &port);

		return untagged ? *untagged - 1 : DP_NONE;
	}
	found = bpf_map_lookup_elem(&interfaces_at, &at);
	return found ? found->interface : DP_NONE;
}

/* What a rule does besides is for whoever sends the frame on. False where copies have no port. */
static __always_inline bool note_besides(__u32 row, struct verdict *verdict)
{
	struct dp_edit *edit = bpf_map_lookup_elem(&acl_edits, &row);
	struct dp_port *out;
	__u32 index;

	if (!edit)
		return true;
	if (edit->edits & DP_EDIT_MIRROR) {
		index = edit->mirror;
		out = bpf_map_lookup_elem(&ports, &index);
		if (!out || out->ifindex == 0)
			return false;
	}
	verdict->extras = (verdict->extras & EXTRA_COUNTED) | ((row + 1) & EXTRA_ROW) | EXTRA_OF(edit->edits);
	return true;
}

/* Of a lookup: index of the port it comes in by, or DP_NONE and the interface; MODE_… */
__u32 asked_port;
__u32 asked_mode;
struct dp_interface asked_interface;
/* Whether it counts as if the packet had passed. */
__u32 asked_count;

/*
 * Of a rule that hardware alone has: what it lets pass may still be the kernel's, for which nobody counts rules. A function of its own
 * to the verifier, as judge() is.
 */
__noinline int count_rule(const struct frame *frame, __u32 mode, struct verdict *verdict)
{
	if (!frame || !verdict)
		return 0;
	/* Those that no flow has come here twice. */
	if (verdict->extras & EXTRA_COUNTED || (mode & MODE_LOOKUP && !asked_count))
		return 0;
	COUNT(acl_counts, verdict->rule, frame->length, bpf_ktime_get_coarse_ns());
	verdict->extras |= EXTRA_COUNTED;
	return 0;
}

/* Rules of stage ingress: VERDICT_NONE to go on. */
static __always_inline int pass_rules(const struct frame *frame, __u32 mode, __u32 state, struct verdict *verdict)
{
	struct dp_acl rule = {};
	struct dp_port *out;
	__u32 index;

	if (!(state >> 16 & DP_ACL_INGRESS))
		return VERDICT_NONE;
	if ((frame->blind && state >> 16 & DP_ACL_PORTS) || ends_before_ports(frame))
		return to_kernel(verdict, REASON_ACL_BLIND);
	find_rule(frame, state, DP_STAGE_INGRESS, &rule);
	if (rule.handle == 0)
		return VERDICT_NONE;
	verdict->rule = rule.handle;
	if (rule.action & DP_ACL_COUNTS)
		count_rule(frame, mode, verdict);
	if (DP_ACL_EDITS(rule.action) != 0 && !note_besides(DP_ACL_EDITS(rule.action) - 1, verdict))
		return to_kernel(verdict, REASON_ACL);
	switch (DP_ACL_ACTION(rule.action)) {
	case DP_ACL_ACCEPT:
		return VERDICT_NONE;
	case DP_ACL_DROP:
		return decide(verdict, VERDICT_DROP);
	case DP_ACL_REDIRECT:
		index = rule.port;
		out = bpf_map_lookup_elem(&ports, &index);
		if (!out)
			return to_kernel(verdict, REASON_ACL);
		if (check_out(frame, verdict, mode, index, bridged_length(frame), out))
			return VERDICT_KERNEL;
		if (DP_ACL_EDITS(rule.action) != 0)
			return check_edits(frame, DP_ACL_EDITS(rule.action) - 1, verdict);
		return decide(verdict, VERDICT_REDIRECT);
	default:
		return to_kernel(verdict, REASON_ACL);
	}
}

/*
 * What is to become of the frame. `index` is the port it came in by. A function of its own to the verifier, which checks it once
 * instead of once for each way through read_frame(); to it the pointers may be NULL.
 */
__noinline int judge(struct frame *frame, __u32 mode, __u32 index, struct verdict *verdict)
{
	struct dp_interface *interface = NULL;
	struct dp_acl_state *acl;
	struct dp_port *port;
	__u32 zero = 0, state = 0;

	if (!frame || !verdict)
		return VERDICT_KERNEL;
	acl = bpf_map_lookup_elem(&acl_state, &zero);
	if (acl)
		state = acl->state;
	if (index == DP_NONE) {
		/* Only a lookup comes without a port: it begins with routing. */
		interface = &asked_interface;
	} else {
		port = bpf_map_lookup_elem(&ports, &index);
		if (!port || port->ifindex == 0)
			return to_kernel(verdict, REASON_UNKNOWN_PORT);
		verdict->port = port->handle;
		if ((port->flags & (DP_PORT_UP | DP_PORT_CARRIER)) != (DP_PORT_UP | DP_PORT_CARRIER))
			return to_kernel(verdict, REASON_PORT_DOWN);
		if (port->flags & DP_PORT_TRAP_ALL)
			return to_kernel(verdict, REASON_TRAP_ALL);
		frame->match.port = port->handle;
		if (pass_rules(frame, mode, state, verdict))
			return verdict->action;
		verdict->ingress = interface_at(index, frame->match.vlan);
		if (verdict->ingress != DP_NONE) {
			__u32 number = verdict->ingress;

			interface = bpf_map_lookup_elem(&interfaces, &number);
		}
		/* The kernel asks a VLAN link before the bridge. */
		if (port->bridge != 0 && (frame->match.vlan == 0 || !interface))
			return bridge_frame(frame, mode, index, port, verdict);
		if (!interface || interface->handle == 0)
			return to_kernel(verdict, REASON_NO_INTERFACE);
		if (frame->destination_mac != interface->mac)
			return to_kernel(verdict, REASON_NOT_ROUTER);
	}
	if (!(mode & MODE_PAST_FLOWS) && interface->flags & (DP_INTERFACE_FLOWS4 | DP_INTERFACE_FLOWS6))
		return VERDICT_FLOWS;
	return route_packet(frame, mode, interface, state, verdict);
}

/* observe(), then judge() and forward_flow() by turns: one inside the other would need more stack than there is. */
static __always_inline int decide_on(struct frame *frame, __u32 mode, __u32 index, struct verdict *verdict)
{
	int action;

	if (index != DP_NONE && !(mode & MODE_LOOKUP) && observe(frame, index, verdict))
		return VERDICT_DROP;
	action = judge(frame, mode, index, verdict);
	if (action == VERDICT_FLOWS)
		action = forward_flow(frame, mode, verdict);
	if (action == VERDICT_NONE)
		action = judge(frame, mode | MODE_PAST_FLOWS, index, verdict);
	if (action == VERDICT_TUNNEL)
		action = send_by_tunnel(frame, mode, verdict);
	if (action == VERDICT_GROUP)
		action = send_to_group(frame, mode, index, verdict);
	return action;
}

SEC("xdp")
int datapath(struct xdp_md *context)
{
	struct verdict verdict = { .ingress = DP_NONE };
	__u32 port = port_at(context->ingress_ifindex), *mode;
	struct frame frame;
	int reason, action;

	mode = bpf_map_lookup_elem(&port_modes, &port);
	if (!mode)
		return count_kernel(REASON_UNKNOWN_PORT, context->data_end - context->data);
	reason = read_frame(&frame, (void *)(long)context->data, (void *)(long)context->data_end,
			    context->data_end - context->data, 0, *mode);
	if (reason >= 0)
		return count_kernel(reason, frame.length);
	action = decide_on(&frame, *mode, port, &verdict);
	if (verdict.extras & EXTRA_MIRROR && action != VERDICT_KERNEL)
		return count_kernel(REASON_ACL_MIRROR, frame.length);
	if (action == VERDICT_LOCAL)
		action = decide_on_tunnel(context, &frame, *mode, &verdict);
	if (verdict.extras & EXTRA_POLICE && polices(&frame, &verdict, action == VERDICT_KERNEL))
		return XDP_DROP;
	if (action == VERDICT_KERNEL)
		return count_kernel(verdict.reason, context->data_end - context->data);
	if (action == VERDICT_ENCAPSULATE)
		return encapsulate(context, &frame, &verdict, *mode);
	if (action == VERDICT_DECAPSULATE)
		return decapsulate(context, &frame, &verdict);
	if (action == VERDICT_EDIT)
		return leave_edited(context, &frame, &verdict);
	return leave(context, &frame, &verdict);
}

/*
 * The same for ports whose driver has no XDP, or not all of it: on skbs, before bridging and routing. Several packets may travel as
 * one here, checksums may be unfinished and tags stand beside the frame; all of that leaves as it came.
 */
SEC("tc")
int datapath_tcx(struct __sk_buff *skb)
{
	struct verdict verdict = { .ingress = DP_NONE };
	__u32 port = port_at(skb->ifindex), tag = 0;
	struct frame frame;
	int reason, action;

	if (port == DP_NONE)
		return skb_to_kernel(REASON_UNKNOWN_PORT, skb->len);
	if (skb->vlan_present) {
		if (skb->vlan_proto != bpf_htons(ETHERTYPE_VLAN))
			return skb_to_kernel(REASON_TAG, skb->len);
		tag = (skb->vlan_tci & 0xffff) | TAG_BESIDE;
	}
	if (!pull_headers(skb))
		return skb_to_kernel(REASON_SHORT, skb->len);
	reason = read_frame(&frame, (void *)(long)skb->data, (void *)(long)skb->data_end, skb->len, tag, 0);
	if (reason >= 0)
		return skb_to_kernel(reason, frame.length);
	if (frame.network_offset != 14)
		return skb_to_kernel(REASON_TAG, frame.length);
	if (skb->gso_size != 0)
		measure_segments(&frame, skb);
	action = decide_on(&frame, MODE_TCX, port, &verdict);
	if (action == VERDICT_EDIT && !can_edit_skb(skb, &frame, verdict.detail))
		action = to_kernel(&verdict, REASON_ACL_EDIT);
	if (verdict.extras & EXTRA_POLICE && polices(&frame, &verdict, is_kernels(action)))
		return SKB_DROP;
	if (verdict.extras & EXTRA_MIRROR)
		skb_mirror(skb, &frame, &verdict, is_kernels(action));
	switch (action) {
	case VERDICT_KERNEL:
		return skb_to_kernel(verdict.reason, frame.length);
	case VERDICT_LOCAL:
		return skb_to_kernel(REASON_ROUTE, frame.length);
	case VERDICT_ENCAPSULATE:
		return skb_to_kernel(REASON_TUNNEL_SKB, frame.length);
	case VERDICT_EDIT:
		return skb_leave_edited(skb, &frame, &verdict);
	case VERDICT_COPIES:
		return skb_leave_copies(skb, &frame, port, &verdict);
	}
	return skb_leave(skb, &frame, &verdict);
}

/* What the last lookup found. Only one lookup runs at a time. */
struct verdict looked_up;

/* The same judgement for a packet that user space made, without sending, and counted only when asked to be. */
SEC("xdp")
int datapath_lookup(struct xdp_md *context)
{
	struct verdict verdict = { .ingress = DP_NONE };
	struct frame frame;
	int reason;

	reason = read_frame(&frame, (void *)(long)context->data, (void *)(long)context->data_end,
			    context->data_end - context->data, 0, 0);
	if (reason >= 0)
		to_kernel(&verdict, reason);
	else if (decide_on(&frame, asked_mode, asked_port, &verdict) == VERDICT_LOCAL)
		decide_on_tunnel(context, &frame, asked_mode, &verdict);
	looked_up = verdict;
	if (asked_count && verdict.action == VERDICT_KERNEL)
		count_kernel(verdict.reason, frame.length);
	else if (asked_count)
		count_verdict(&verdict, frame.length);
	return XDP_PASS;
}
