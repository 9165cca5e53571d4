/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Routing: checks as net/ipv4/ip_input.c, ip_forward.c and net/ipv6/ip6_output.c make them, longest prefix, nexthop. */
#ifndef DATAPATH_ROUTE_H
#define DATAPATH_ROUTE_H

static __always_inline __u32 mix(__u32 hash, __u32 value)
{
	hash = (hash ^ value) * 0x85ebca6b;
	hash = (hash ^ hash >> 13) * 0xc2b2ae35;
	return hash ^ hash >> 16;
}

/*
 * Same for all packets of a flow. The kernel's own hash has a random key that it tells nobody; which member a flow
 * gets is not promised by it either, only that all of its packets get the same.
 */
static __always_inline __u32 flow_hash(const struct frame *frame)
{
	const struct dp_match *match = &frame->match;
	__u32 hash = 0x811c9dc5;

	for (int word = 0; word < 4; word++)
		hash = mix(mix(hash, match->source[word]), match->destination[word]);
	if (hash_ports & (frame->ethertype == ETHERTYPE_IPV6 ? 2 : 1))
		hash = mix(mix(hash, match->ports), frame->protocol);
	return hash;
}

/* Whether some member of a group is reached by the interface with this ifindex. */
__noinline int leads_to(__u32 index, __u32 ifindex)
{
	struct dp_group *members = bpf_map_lookup_elem(&groups, &index);

	if (!members)
		return 0;
	for (__u32 member = 0; member < DP_MEMBERS; member++) {
		struct dp_nexthop *way;
		__u32 slot;

		if (member >= members->count)
			break;
		slot = members->members[member].nexthop;
		way = bpf_map_lookup_elem(&nexthops, &slot);
		if (way && way->ifindex == ifindex)
			return 1;
	}
	return 0;
}

/* VERDICT_NONE if the source may come in by the interface (fib_validate_source in net/ipv4/fib_frontend.c). */
static __always_inline int check_source4(const struct frame *frame, const struct dp_interface *interface,
					 struct verdict *verdict)
{
	__u64 route = find_route4(interface->vrf, frame->match.source[3]);

	if (route && ROUTE_ACTION(route) == DP_TRAP && ROUTE_IS_HOST(route))
		return to_kernel(verdict, REASON_OWN_SOURCE);
	if (!(interface->flags & (DP_INTERFACE_LOOSE | DP_INTERFACE_STRICT)))
		return VERDICT_NONE;
	if (!route)
		return to_kernel(verdict, REASON_RPF_MISS);
	if (ROUTE_ACTION(route) != DP_FORWARD)
		return to_kernel(verdict, REASON_RPF_UNKNOWN);
	if (interface->flags & DP_INTERFACE_STRICT && !leads_to(ROUTE_GROUP(route), interface->ifindex))
		return to_kernel(verdict, REASON_RPF_OTHER);
	return VERDICT_NONE;
}

/* Slot of the nexthop that the flow takes, DP_NONE when there is none. */
static __always_inline __u32 choose_member(const struct dp_group *members, const struct frame *frame)
{
	__u32 low = 0, count = members->count;
	__u32 share;

	if (count == 0 || count > DP_MEMBERS || members->total == 0)
		return DP_NONE;
	if (count == 1)
		return members->members[0].nexthop;
	share = (__u64)flow_hash(frame) * members->total >> 32;
	/* The first member that ends beyond the share: at most 64 of them, so 7 halvings. */
	for (int step = 0; step < 7; step++) {
		__u32 middle = low + (count - low) / 2;

		if (low >= count || middle >= DP_MEMBERS)
			break;
		if (members->members[middle].end > share)
			count = middle;
		else
			low = middle + 1;
	}
	return low < DP_MEMBERS ? members->members[low].nexthop : DP_NONE;
}

static __always_inline int leave_by(const struct frame *frame, __u32 mode, struct verdict *verdict, __u32 slot)
{
	struct dp_nexthop *way = bpf_map_lookup_elem(&nexthops, &slot);
	struct dp_interface *interface;
	struct dp_port *port;
	__u32 index;
	__u64 word;

	if (!way)
		return to_kernel(verdict, REASON_NEXTHOP);
	verdict->nexthop = way->handle;
	word = *(volatile __u64 *)&way->way;
	if (DP_WAY_ACTION(word) == DP_DROP)
		return decide(verdict, VERDICT_DROP);
	index = DP_WAY_INTERFACE(word);
	if (DP_WAY_ACTION(word) != DP_FORWARD)
		return to_kernel(verdict, REASON_NEXTHOP);
	if (index == verdict->ingress)
		return to_kernel(verdict, REASON_EGRESS_INGRESS);
	interface = bpf_map_lookup_elem(&interfaces, &index);
	if (!interface || interface->handle == 0)
		return to_kernel(verdict, REASON_NEXTHOP);
	if (routed_length(frame) > interface->mtu)
		return to_kernel(verdict, REASON_EGRESS_MTU);
	index = interface->port;
	port = bpf_map_lookup_elem(&ports, &index);
	if (!port)
		return to_kernel(verdict, REASON_NEXTHOP);
	if (check_out(frame, verdict, mode, index, routed_length(frame), port))
		return VERDICT_KERNEL;
	verdict->source_mac = interface->mac;
	verdict->destination_mac = DP_WAY_MAC(word);
	verdict->vlan = interface->vlan;
	return decide(verdict, VERDICT_ROUTE);
}

/* A packet for the router. `interface` is where it came in. */
static __always_inline int route_packet(const struct frame *frame, __u32 mode, const struct dp_interface *interface,
					__u32 state, struct verdict *verdict)
{
	const struct dp_match *match = &frame->match;
	bool six = frame->ethertype == ETHERTYPE_IPV6;
	struct dp_group *members;
	__u64 route;
	__u32 index;

	if (frame->unroutable >= 0)
		return to_kernel(verdict, frame->unroutable);
	if (!(interface->flags & (six ? DP_INTERFACE_IPV6 : DP_INTERFACE_IPV4))) {
		bool flows = interface->flags & (six ? DP_INTERFACE_FLOWS6 : DP_INTERFACE_FLOWS4);

		return to_kernel(verdict, flows ? REASON_NO_FLOW : REASON_FAMILY);
	}
	if (state >> 16 & DP_ACL_ROUTING) {
		struct dp_acl rule = {};

		if (frame->blind && state >> 16 & DP_ACL_PORTS)
			return to_kernel(verdict, REASON_ACL_BLIND);
		find_rule(frame, state, DP_STAGE_ROUTING, &rule);
		if (rule.handle != 0) {
			verdict->routing_rule = rule.handle;
			if (DP_ACL_ACTION(rule.action) == DP_ACL_DROP)
				return decide(verdict, VERDICT_DROP);
			if (DP_ACL_ACTION(rule.action) != DP_ACL_ACCEPT)
				return to_kernel(verdict, REASON_ROUTING_ACL);
		}
	}
	if (frame->ttl <= 1)
		return to_kernel(verdict, REASON_TTL);
	if (six) {
		if (is_special6(match->destination))
			return to_kernel(verdict, REASON_DESTINATION);
		if (!(mode & MODE_NO_SOURCE) && is_special6(match->source))
			return to_kernel(verdict, REASON_SOURCE);
		route = find_route6(interface->vrf, match->destination);
	} else {
		if (is_special4(match->destination[3]))
			return to_kernel(verdict, REASON_DESTINATION);
		if (!(mode & MODE_NO_SOURCE)) {
			if (is_special4(match->source[3]))
				return to_kernel(verdict, REASON_SOURCE);
			if (check_source4(frame, interface, verdict))
				return VERDICT_KERNEL;
		}
		route = find_route4(interface->vrf, match->destination[3]);
	}
	if (!route)
		return to_kernel(verdict, REASON_LPM_MISS);
	verdict->route = ROUTE_HANDLE(route);
	if (ROUTE_ACTION(route) == DP_DROP)
		return decide(verdict, VERDICT_DROP);
	if (ROUTE_ACTION(route) != DP_FORWARD) {
		/* Of an address of this machine, perhaps; only what is told here, as there is no stack for more. */
		if (!six && ROUTE_IS_HOST(route) && frame->match.ports != 0 && frame->protocol == PROTOCOL_UDP && interface->vrf == 0)
			return decide(verdict, VERDICT_LOCAL);
		return to_kernel(verdict, REASON_ROUTE);
	}
	index = ROUTE_GROUP(route);
	members = bpf_map_lookup_elem(&groups, &index);
	if (!members)
		return to_kernel(verdict, REASON_GROUP);
	verdict->group = members->handle;
	index = choose_member(members, frame);
	if (index == DP_NONE)
		return to_kernel(verdict, REASON_GROUP);
	return leave_by(frame, mode, verdict, index);
}

#endif
