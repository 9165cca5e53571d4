/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Established flows: packets of connections that the kernel forwards past netfilter (net/netfilter/nf_flow_table_ip.c
 * nf_flow_offload_ip_hook). What the kernel would not forward by the flow is the kernel's here, too.
 */
#ifndef DATAPATH_FLOW_H
#define DATAPATH_FLOW_H

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04

/* ns after which a flow in use shows the kernel a packet again: the least a flow can live there unused is a second. */
#define FLOW_REFRESH 1000000000ull
/* ns after which a host that says nothing is gone, and tells the kernel no counters: less than any timeout of flows that is of use. */
#define HOST_GONE 5000000000ull
/* ns for which a flow that was seen to end is the kernel's: within it the host has looked whether it is still one. */
#define FLOW_REST 10000000000ull

/* Source and destination stand one behind the other, in struct dp_match and struct dp_flow. */
#define ADDRESSES 32

/* The only member of a group, DP_NONE if there are none or several: which one the kernel chose for a flow is not known. */
static __always_inline __u32 sole_member(__u32 group)
{
	struct dp_group *members = bpf_map_lookup_elem(&groups, &group);

	return members && members->count == 1 ? members->members[0].nexthop : DP_NONE;
}

static __always_inline __u64 find_route(bool six, __u32 vrf, const __u32 *address)
{
	return six ? find_route6(vrf, address) : find_route4(vrf, address[3]);
}

/* The kernel's flow is bound to the interface that the route to its source leads to. */
static __always_inline bool arrives_as_expected(const struct frame *frame, bool six, const struct dp_interface *interface)
{
	__u64 route = find_route(six, interface->vrf, frame->match.source);
	struct dp_nexthop *way;
	__u32 slot;

	if (!route || ROUTE_ACTION(route) != DP_FORWARD)
		return false;
	slot = sole_member(ROUTE_GROUP(route));
	way = bpf_map_lookup_elem(&nexthops, &slot);
	return way && way->ifindex == interface->ifindex;
}

/* The kernel sees by counters that the flow is in use. `now` may be a little before the host was seen. */
static __always_inline bool is_polled(const struct dp_flow *flow, __u64 now)
{
	return flow->flags & DP_FLOW_POLLED && (__s64)(now - host_seen) < (__s64)HOST_GONE;
}

/* Both directions are the kernel's from here on. */
static __always_inline void end_flow(struct dp_flow *flow, struct dp_flow_key *key, __u64 now)
{
	struct dp_flow *back;

	flow->ended = now;
	__builtin_memcpy(key->source, flow->new_destination, sizeof(key->source));
	__builtin_memcpy(key->destination, flow->new_source, sizeof(key->destination));
	key->ports = flow->new_ports << 16 | flow->new_ports >> 16;
	back = bpf_map_lookup_elem(&flows, key);
	if (back)
		back->ended = now;
}

/*
 * A packet for the router: VERDICT_NONE if it is of no flow. What its flow translates stands in `frame` afterwards. A function of its
 * own to the verifier, as judge() is.
 */
__noinline int forward_flow(struct frame *frame, __u32 mode, struct verdict *verdict)
{
	struct dp_interface *interface;
	struct dp_flow_key key = {};
	struct dp_flow *flow;
	__u64 route, now;
	__u32 slot;
	bool six;

	if (!frame || !verdict)
		return VERDICT_KERNEL;
	slot = verdict->ingress;
	interface = bpf_map_lookup_elem(&interfaces, &slot);
	if (!interface)
		return VERDICT_NONE;
	six = frame->ethertype == ETHERTYPE_IPV6;
	if (!(interface->flags & (six ? DP_INTERFACE_FLOWS6 : DP_INTERFACE_FLOWS4)) || frame->unroutable >= 0 ||
	    frame->blind || (frame->protocol != PROTOCOL_TCP && frame->protocol != PROTOCOL_UDP))
		return VERDICT_NONE;
	key.vrf = interface->vrf;
	key.kind = DP_FLOW_KIND(six, frame->protocol);
	key.ports = frame->match.ports;
	__builtin_memcpy(key.source, frame->match.source, sizeof(key.source));
	__builtin_memcpy(key.destination, frame->match.destination, sizeof(key.destination));
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return VERDICT_NONE;
	verdict->flow = flow->handle;
	if (frame->ttl <= 1)
		return to_kernel(verdict, REASON_TTL);
	if (six ? is_special6(frame->match.source) : is_special4(frame->match.source[3]))
		return to_kernel(verdict, REASON_SOURCE);
	if (six ? is_special6(flow->new_destination) : is_special4(flow->new_destination[3]))
		return to_kernel(verdict, REASON_DESTINATION);
	now = bpf_ktime_get_ns();
	if (frame->match.flags & (TCP_FIN | TCP_SYN | TCP_RST)) {
		if (!(mode & MODE_LOOKUP) && frame->match.flags & (TCP_FIN | TCP_RST))
			end_flow(flow, &key, now);
		return to_kernel(verdict, REASON_FLOW_ENDS);
	}
	if (flow->ended != 0 && now - flow->ended < FLOW_REST)
		return to_kernel(verdict, REASON_FLOW_ENDS);
	if (!arrives_as_expected(frame, six, interface))
		return to_kernel(verdict, REASON_FLOW_SOURCE);
	route = find_route(six, interface->vrf, flow->new_destination);
	if (!route)
		return to_kernel(verdict, REASON_LPM_MISS);
	verdict->route = ROUTE_HANDLE(route);
	if (ROUTE_ACTION(route) != DP_FORWARD)
		return to_kernel(verdict, REASON_ROUTE);
	slot = sole_member(ROUTE_GROUP(route));
	if (slot == DP_NONE)
		return to_kernel(verdict, REASON_FLOW_MEMBERS);
	if (!(mode & MODE_LOOKUP)) {
		/* Another way out than before: the kernel ends the flow and has netfilter decide again. */
		bool moved = flow->nexthop != DP_NONE && flow->nexthop != slot;

		flow->nexthop = slot;
		if (moved) {
			end_flow(flow, &key, now);
			return to_kernel(verdict, REASON_FLOW_ENDS);
		}
		if (!is_polled(flow, now) && now - flow->refreshed >= FLOW_REFRESH) {
			flow->refreshed = now;
			return to_kernel(verdict, REASON_FLOW_REFRESH);
		}
	}
	if (flow->flags & DP_FLOW_TRANSLATES) {
		struct dp_match *match = &frame->match;

		verdict->extras |= EXTRA_TRANSLATES;
		verdict->difference = bpf_csum_diff(match->source, ADDRESSES, flow->new_source, ADDRESSES, 0);
		verdict->detail = match->ports;
		match->ports = flow->new_ports;
		__builtin_memcpy(match->source, flow->new_source, sizeof(match->source));
		__builtin_memcpy(match->destination, flow->new_destination, sizeof(match->destination));
	}
	return leave_by(frame, mode, verdict, slot);
}

#endif
