/**
 * Why the data path hands a frame to the kernel: one list, from which the BPF program's numbers, the counters' names and the table
 * in docs/xdp.md come. The names of `by` in a lookup's verdict are these.
 */

export interface Reason {
  /** Name of the C constant, without REASON_. */
  readonly id: string;
  readonly name: string;
  readonly meaning: string;
}

const LIST = [
  ['UNKNOWN_PORT', 'unknown port', 'The port has no row yet, or no longer.'],
  ['PORT_DOWN', 'ingress port down', 'The port is not up, or has no carrier, as far as the tables say.'],
  ['TRAP_ALL', 'port traps all', 'Something is configured on the port that the tables cannot express.'],
  ['SHORT', 'frame too short', 'A header is not all there, or not at the beginning of the buffer.'],
  ['TAG', 'unusual tag', 'A priority tag (VLAN 0), a service tag (0x88a8) or a second tag.'],
  ['LLC', 'not an Ethernet II frame', 'An 802.3 frame with a length, such as those of spanning tree.'],
  ['NO_INTERFACE', 'no router interface', 'Nothing is routed on this port and VLAN.'],
  ['NOT_ROUTER', 'destination mac is not the router', 'Broadcast, multicast, or somebody else’s frame.'],
  ['NOT_IP', 'neither IPv4 nor IPv6', 'ARP, MPLS, PPPoE and everything else.'],
  ['FAMILY', 'family not routed', 'Forwarding is off for IPv4 or IPv6 here.'],
  [
    'BAD_HEADER',
    'bad IP header',
    'Wrong version, length or header checksum: the kernel drops and counts it.',
  ],
  ['OPTIONS', 'IP options', 'IPv4 options, IPv6 hop-by-hop options or jumbograms.'],
  ['TTL', 'ttl', 'TTL or hop limit of 1 or less: the kernel answers.'],
  ['DESTINATION', 'destination is special', 'Multicast, broadcast, loopback, unspecified, link-local.'],
  ['SOURCE', 'source is special', 'The same for the source: martians, which the kernel drops and logs.'],
  ['OWN_SOURCE', 'source is an address of this machine', 'The kernel drops it.'],
  ['RPF_MISS', 'reverse path miss', 'There is no route to the source (rp_filter).'],
  ['RPF_UNKNOWN', 'reverse path unknown', 'The route to the source does not say by which link it goes.'],
  [
    'RPF_OTHER',
    'reverse path by another interface',
    'The source is not reached by where it came from (rp_filter=1).',
  ],
  ['LPM_MISS', 'lpm miss', 'No route: the kernel answers that the network is unreachable.'],
  ['ROUTE', 'route trap', 'Addresses of this machine, and routes that could not be offloaded.'],
  ['GROUP', 'group without members', 'The route leads nowhere right now.'],
  ['NEXTHOP', 'nexthop trap', 'The neighbour is not resolved: the kernel resolves it.'],
  ['EGRESS_INGRESS', 'egress is ingress', 'It would leave where it came in: the kernel sends a redirect.'],
  ['EGRESS_DOWN', 'egress port down', 'The port it would leave by is not up, or has no carrier.'],
  ['EGRESS_MTU', 'egress mtu', 'Larger than the way out: the kernel fragments it or answers.'],
  [
    'EGRESS_XDP',
    'egress takes no XDP frames',
    'The port came in natively, and the driver of the other one takes no XDP frames.',
  ],
  [
    'CHECKSUM',
    'checksum not filled in',
    'The sender left the TCP or UDP checksum to hardware that is not there (veth).',
  ],
  ['BRIDGE_STATE', 'bridge port not forwarding', 'Spanning tree blocks the port, or it still learns.'],
  ['VLAN_MISSING', 'port not in vlan', 'The kernel drops it, as the bridge filters VLANs.'],
  ['NO_PVID', 'no pvid', 'An untagged frame on a port that takes none.'],
  ['LEARN', 'source mac not learned', 'New, moved or expired: the kernel learns it.'],
  [
    'GROUP_MAC',
    'destination mac is a group',
    'Broadcast, IGMP and ICMPv6, and multicast groups without an entry: the kernel floods or snoops.',
  ],
  [
    'GROUP_COPIES',
    'group needs copies',
    'Several ports want the frame, and this one is attached by XDP, which has a frame once.',
  ],
  ['FDB_MISS', 'fdb miss', 'Unknown destination: the kernel floods.'],
  ['FDB', 'fdb trap', 'An address of the bridge itself, or an entry that could not be offloaded.'],
  ['FDB_SAME', 'fdb same port', 'The destination is where the frame came from.'],
  ['FDB_BRIDGE', 'egress port in another bridge', 'The port left the bridge.'],
  ['EGRESS_STATE', 'egress bridge port not forwarding', 'Spanning tree blocks the way out.'],
  ['EGRESS_VLAN', 'egress port not in vlan', 'The way out is not in the frame’s VLAN.'],
  ['ACL', 'acl trap', 'A rule that hands packets to the kernel.'],
  [
    'ROUTING_ACL',
    'routing acl trap',
    'A policy rule (`ip rule`) that the tables cannot follow, or a rule of nftables that drops or that only the kernel can carry out.',
  ],
  [
    'ACL_BLIND',
    'rules need more of the packet',
    'Some rule looks behind an IP header that is fragmented, cut short or followed by extension headers.',
  ],
  [
    'ACL_EDIT',
    'rule cannot edit the packet',
    'A rule changes packets, and this one is a fragment, has options, a wrong checksum, or another tag or protocol than can be changed.',
  ],
  [
    'ACL_MIRROR',
    'rule copies the packet',
    'A rule sends a copy out of another port, and this one is attached by XDP, which has a packet once.',
  ],
  [
    'NO_FLOW',
    'no established flow',
    'Netfilter decides about the packet: it is of no flow that the kernel forwards past it.',
  ],
  [
    'FLOW_REFRESH',
    'keeps its flow alive',
    'One packet a second of every flow in use whose counters the kernel does not ask for, so that it does not grow old there.',
  ],
  [
    'FLOW_ENDS',
    'flow begins or ends',
    'TCP with SYN, FIN or RST, and what follows for some seconds; also after the way out of a flow changed.',
  ],
  [
    'FLOW_SOURCE',
    'flow by another interface',
    'The route to the source of a flow does not lead to where the packet came in, or has several members.',
  ],
  [
    'FLOW_MEMBERS',
    'flow over several nexthops',
    'Which member of a group the kernel chose for a flow is not known.',
  ],
  [
    'TUNNEL_SKB',
    'tunnel needs XDP',
    'The port is attached by tcx, which does not add or remove outer headers.',
  ],
  ['TUNNEL_STATE', 'tunnel not forwarding', 'The VXLAN link is down, or spanning tree blocks it.'],
  [
    'TUNNEL_FRAME',
    'frame not for the tunnel',
    'Tagged where the tunnel takes none, without a TTL to inherit, or the outer checksum could not be made.',
  ],
  [
    'TUNNEL_LINK',
    'tunnel by another link',
    'The route to the remote leads to another link than the VXLAN link is bound to.',
  ],
  [
    'TUNNEL_HEADER',
    'unusual VXLAN header',
    'Other flags than 0x08, a wrong UDP length, or a UDP checksum that is wrong or not filled in.',
  ],
  ['TUNNEL_SOURCE', 'tunnel source not learned', 'The inner source is not known to be behind the sender.'],
  [
    'TUNNEL_ECN',
    'congestion marks differ',
    'The outer header has congestion marks that the frame lacks (RFC 6040).',
  ],
  ['ROOM', 'no room for a tag', 'There is no headroom to add a VLAN tag or outer headers in place.'],
] as const;

export const REASONS: readonly Reason[] = LIST.map(([id, name, meaning]) => ({ id, name, meaning }));

/** bpf/datapath_reasons.h */
export function reasonsHeader(): string {
  return `/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Why a frame goes to the kernel. Generated by host/device/tables/document.ts from reasons.ts; do not edit. */
#ifndef DATAPATH_REASONS_H
#define DATAPATH_REASONS_H

enum reason {
${REASONS.map(({ id }) => `\tREASON_${id},\n`).join('')}\tREASONS,
};

#endif
`;
}
