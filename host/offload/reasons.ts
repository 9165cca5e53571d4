/** Offload states and the one registry of reasons: what operators read, and what docs/reasons.md is made from. */

export const OFFLOAD_STATES = ['pending', 'offloaded', 'trapped', 'refused', 'failed'] as const;
export type OffloadState = (typeof OFFLOAD_STATES)[number];

interface ReasonText {
  /** Why, as a clause after the object's name. */
  readonly why: string;
  /** What a person can do about it. */
  readonly remedy: string;
}

/** Order is the number a reason is stored as. */
const REASONS_BY_NAME = {
  none: { why: '', remedy: '' },
  'not-started': { why: 'the plugin is not running', remedy: '`ekho plugin list` says why.' },
  'table-full': {
    why: 'the device has no room left in the table',
    remedy: 'Remove entries or give the device a larger table; it is retried when room is made.',
  },
  'unsupported-kind': {
    why: 'the plugin does not hold this kind',
    remedy: 'Use a plugin whose description lists the kind.',
  },
  'unsupported-match': {
    why: 'it matches on a field the plugin cannot match',
    remedy: 'Match on fields that the plugin can: see `ekho plugin list` and docs/plugins.md.',
  },
  'unsupported-action': {
    why: 'the plugin cannot do its action',
    remedy: 'Use an action the device has, or leave it to the kernel.',
  },
  'covers-refused-prefix': {
    why: 'a more specific route is not in hardware, so this one hands its packets to the kernel',
    remedy: 'See why the more specific route is not held; this one follows by itself.',
  },
  'after-refused-filter': {
    why: 'a filter of higher priority is not in hardware',
    remedy: 'See why the filter before it is not held.',
  },
  'nexthop-unresolved': {
    why: 'the neighbour of a nexthop has no usable link-layer address',
    remedy: 'Check that the gateway answers: `ip neigh`.',
  },
  'nexthop-missing': { why: 'its nexthop object is not known', remedy: 'Check `ip nexthop`.' },
  'nexthop-refused': {
    why: 'its nexthops are not in hardware',
    remedy: 'See `ekho explain nexthop` and the nexthop tables in `ekho status`.',
  },
  'egress-not-a-port': {
    why: 'it leaves by a link that is not a port of this device',
    remedy: 'Add the link to the ports of the plugin if the device has it.',
  },
  'link-down': { why: 'its link is down or has no carrier', remedy: 'Bring the link up.' },
  'egress-filter': {
    why: 'a tc or netfilter egress filter on its link sees packets the hardware would send past it',
    remedy: 'Remove the egress filter, or leave this traffic to the kernel.',
  },
  'egress-qdisc': {
    why: 'the qdisc of its link shapes or schedules packets the hardware would send past it',
    remedy: 'Replace the root qdisc by a plain one (noqueue, pfifo_fast, fq_codel, fq, mq).',
  },
  connected: {
    why: 'hosts on a connected network are resolved one by one: each resolved neighbour is held, the rest go to the kernel',
    remedy: 'None needed.',
  },
  local: { why: 'these packets are for this machine', remedy: 'None needed.' },
  'link-scope': {
    why: 'link-local and multicast packets do not leave their link by routing: the kernel handles them',
    remedy: 'None needed.',
  },
  'kernel-answers': {
    why: 'the kernel answers these packets with an ICMP error',
    remedy: 'Use `blackhole` if dropping without an answer is wanted: hardware can do that.',
  },
  'throw-route': { why: 'a throw route sends the lookup on to the next rule', remedy: 'None needed.' },
  'tos-route': {
    why: 'the route, or one with the same prefix, depends on the TOS byte',
    remedy: 'Use the same route for every TOS value.',
  },
  'source-specific-route': {
    why: 'the route, or one with the same prefix, depends on the source address',
    remedy: 'Leave it to the kernel, or use a plugin that matches sources.',
  },
  'ambiguous-route': {
    why: 'several routes have this prefix and metric and the kernel chooses between them at run time',
    remedy: 'Give them different metrics or make them one multipath route.',
  },
  'unsupported-encap': {
    why: 'it encapsulates packets (RTA_ENCAP)',
    remedy: 'Leave it to the kernel.',
  },
  'route-mtu': { why: 'it sets an MTU of its own', remedy: 'Set the MTU on the link instead.' },
  'unsupported-type': {
    why: 'the device has no action like this route type',
    remedy: 'Leave it to the kernel.',
  },
  'group-too-large': {
    why: 'it has more nexthops than the device takes in a group',
    remedy: 'Use fewer nexthops.',
  },
  'merged-tables': {
    why: 'what the kernel does here depends on whether it ever had other rules than those it starts with, which it does not tell',
    remedy: 'Keep routes to networks out of table local, and the table default empty.',
  },
  shadowed: {
    why: 'the kernel never uses it: a route in a table consulted earlier covers it',
    remedy: 'None needed.',
  },
  'not-best': {
    why: 'the kernel never uses it: another route of this prefix is preferred',
    remedy: 'None needed.',
  },
  'nexthops-dead': { why: 'all its nexthops are dead, so the kernel skips it', remedy: 'Bring a link up.' },
  'table-not-consulted': {
    why: 'no rule leads to its table for packets from this device',
    remedy: 'Check `ip rule`.',
  },
  'policy-rule': {
    why: 'a rule that the device cannot evaluate is consulted before its table',
    remedy:
      'Check `ip rule`; rules on addresses, ports and protocol can be held by a plugin with those ACL fields.',
  },
  'rule-traps': { why: 'packets that match this rule go to the kernel', remedy: 'None needed.' },
  'vrf-fallthrough': {
    why: 'packets that miss in the VRF go on to later tables, which the kernel does',
    remedy: 'End the VRF table with `unreachable default metric 4278198272`.',
  },
  'forwarding-disabled': {
    why: 'the kernel does not forward packets that arrive here',
    remedy:
      'Set net.ipv4.conf.LINK.forwarding or net.ipv6.conf.all.forwarding to 1 if this machine is a router, and net.ipv6.conf.LINK.disable_ipv6 to 0.',
  },
  'netfilter-hook': {
    why: 'netfilter chains see forwarded packets, and do with them what hardware cannot',
    remedy:
      'Use rules that hardware can hold (docs/xdp.md), a flowtable, or remove the chains from the forwarding path; or set `netfilter = "ignore"` under [planner].',
  },
  'netfilter-unreadable': {
    why: 'netfilter cannot be read without CAP_NET_ADMIN, so its chains must be assumed to matter',
    remedy: 'Run the host as root, or set `netfilter = "ignore"` under [planner].',
  },
  'netfilter-legacy': {
    why: 'tables of iptables-legacy or ip6tables-legacy see forwarded packets, which hardware would send past them',
    remedy:
      'Remove their rules, set their policies to ACCEPT or use the -nft variants; or set `netfilter = "ignore"` under [planner].',
  },
  'netfilter-program': {
    why: 'a BPF program attached to netfilter, in this network namespace or another, may see forwarded packets',
    remedy: 'Detach it: `bpftool link`; or set `netfilter = "ignore"` under [planner].',
  },
  'tcx-attached': {
    why: 'a BPF program attached to tcx sees packets first',
    remedy: 'Detach it: `bpftool net`, `bpftool link`.',
  },
  'ipsec-policy': {
    why: 'an IPsec policy may encrypt or drop packets to these addresses, which hardware would forward in clear',
    remedy:
      'See `ekho show xfrm-policy` and `ip xfrm policy getdefault`; to offload all the same, set `xfrm = "ignore"` under [planner].',
  },
  'ipsec-unreadable': {
    why: 'IPsec policies cannot be read without CAP_NET_ADMIN, so they must be assumed to matter',
    remedy: 'Run the host as root, or set `xfrm = "ignore"` under [planner].',
  },
  'kernel-unreadable': {
    why: 'rules, per-link settings, qdiscs or filters of the kernel cannot be read, so they must be assumed to matter',
    remedy: '`ekho status` says which kind and why.',
  },
  'reverse-path': {
    why: 'rp_filter is on and the plugin cannot check the reverse path',
    remedy: 'Set net.ipv4.conf.{all,LINK}.rp_filter to 0, or use a plugin with reverse path checks.',
  },
  'source-check': {
    why: 'the kernel drops packets that come from addresses of this machine, and the device cannot tell all of those',
    remedy:
      'Keep local routes in tables that no rule with a selector leads to: `ip rule`, `ip route show table all type local`.',
  },
  'stacked-link': {
    why: 'another link takes the packets that arrive here (bond, team, MACsec, ipvlan, macvlan of mode passthru or source), or some of a bridge port’s (a VLAN link on it that is no router interface)',
    remedy: 'Use the port by itself, or as a bridge or VRF member without such links.',
  },
  'xdp-attached': {
    why: 'an XDP program sees packets first',
    remedy:
      'Detach it: `ip link set LINK xdp off`, where `ip link` shows xdpgeneric `ip link set LINK xdpgeneric off`; one that a BPF link holds: `bpftool link`.',
  },
  'bridge-option': {
    why: 'the port has a bridge option the device lacks (isolated, locked, neighbour suppression, hairpin), or is in no VLAN, or the bridge’s VLANs are of 802.1ad',
    remedy:
      'Clear the option: `bridge link set`; put the port in a VLAN: `bridge vlan add`; or `ip link set BRIDGE type bridge vlan_protocol 802.1Q`.',
  },
  'bridge-filter': {
    why: 'netfilter sees frames that the bridge forwards',
    remedy:
      'Remove chains of family bridge, or clear nf_call_iptables and nf_call_ip6tables of the bridge: `ip link set BRIDGE type bridge`.',
  },
  invalid: {
    why: 'the plugin or its device says the entry is not valid there',
    remedy:
      '`ekho plugin logs` has their words: what the configuration of the device lacks, or else a fault to report to the vendor.',
  },
  'missing-reference': {
    why: 'the plugin misses an entry this one refers to',
    remedy: 'It is retried; if it stays, restart the plugin.',
  },
  'device-error': {
    why: 'the device did not take the write',
    remedy: 'It is retried with back-off; check the device.',
  },
  'device-off': { why: 'the device is off', remedy: 'Power it on; everything is then programmed again.' },
  'ingress-filter': {
    why: 'a tc filter on the ingress side of this VLAN link sees packets first, which the device does only on ports',
    remedy: 'Put the filter on the port with a match on the VLAN, or leave this traffic to the kernel.',
  },
  'flow-zone': {
    why: 'the connection is in a conntrack zone, and packets do not say of which zone they are',
    remedy: 'Leave it to the kernel, or use no zones: `ct zone` in nftables, `-j CT --zone` in iptables.',
  },
  'flow-not-taken': {
    why: 'no router interface takes established flows: its link must be in every flowtable, outside of VRFs, with forwarding on, no policy rule may select packets, and nothing but netfilter may see them',
    remedy: 'See the links (`ekho explain link`) and `nft list flowtables`.',
  },
  'kind-unknown': {
    why: 'no plugin that runs declares this kind',
    remedy: 'See `ekho offload kinds` and `ekho plugin list`.',
  },
  'kind-version': {
    why: 'it was made for another version of its kind',
    remedy: 'Look at `ekho offload kinds` and make it again: `ekho offload del`, `ekho offload add`.',
  },
  'offload-invalid': {
    why: 'its fields are not what its kind declares',
    remedy: 'See `ekho offload kinds` and make it again.',
  },
  'link-missing': {
    why: 'there is no link of this name',
    remedy: 'It is taken up as soon as the link is there.',
  },
  'tunnel-option': {
    why: 'the VXLAN link has an option that no entry has (external, vnifilter, GBP, GPE, proxy, IPv6), is bound to a VRF, or has no local address that is this machine’s',
    remedy:
      'Give it an IPv4 address of this machine: `ip link set LINK type vxlan local ADDRESS`, and clear the option.',
  },
  'tunnel-vlan': {
    why: 'the bridge filters VLANs, and the VXLAN link is not in exactly one of them, untagged and as pvid',
    remedy: '`bridge vlan add vid VLAN dev LINK pvid untagged`, and delete its other VLANs.',
  },
  'tunnel-remote': {
    why: 'the VXLAN link has no entry for it with one IPv4 address and the link’s own port and network id',
    remedy: 'None needed where it is learned; else `bridge fdb replace MAC dev LINK dst ADDRESS self`.',
  },
  busy: { why: 'the device is busy', remedy: 'It is retried with back-off.' },
  'path-mtu': {
    why: 'forwarded packets keep to path MTUs that the kernel has learned, and hardware does not know them',
    remedy: 'Set net.ipv4.ip_forward_use_pmtu to 0.',
  },
  'proxy-ndp': {
    why: 'the kernel answers neighbour discovery for others, and the device cannot tell its messages from other packets',
    remedy:
      'Set net.ipv6.conf.all.proxy_ndp to 0 (`proxy_ndp` of single links does not matter), or use a plugin with the ACL fields protocol and icmp-type.',
  },
  'multicast-group': {
    why: 'the plugin has no entries of groups of bridges: the kernel sends their frames to the ports that want them',
    remedy: 'None needed.',
  },
  'multicast-flooded': {
    why: 'the kernel floods the group, or may do so without saying it: the bridge does not snoop, snoops by VLAN, has (nearly) as many groups as it takes, does not ask for members itself or began to only just now; or the group is in 224.0.0.0/24, of IPv6, or of no VLAN of the bridge',
    remedy:
      '`ip link set BRIDGE type bridge mcast_snooping 1 mcast_vlan_snooping 0 mcast_querier 1`; then it takes `mcast_query_response_interval`, 10 s at least, after each change of the bridge. None for groups of IPv6.',
  },
  'multicast-router': {
    why: 'routers get all groups: the bridge may be one, or a port of it leads to one or may do so without a word',
    remedy:
      '`ip link set BRIDGE type bridge mcast_router 0`, and `bridge link set dev PORT mcast_router 1` for ports; `bridge -d mdb show` has router ports.',
  },
  'multicast-local': {
    why: 'this machine gets frames of the group, too: it is a member, routes multicast, or somebody listens to all of the bridge’s frames',
    remedy: 'None needed; else see `bridge mdb show` and `ip -d link show BRIDGE` (promiscuity).',
  },
  'multicast-sources': {
    why: 'whether a port gets a frame of the group depends on who sent it, or every member gets one of its own (mcast_to_unicast)',
    remedy:
      'Leave it to the kernel, or set `mcast_igmp_version 2` of the bridge and clear `mcast_to_unicast` of its ports.',
  },
  'multicast-ports': {
    why: 'the group has more members than the 32 ports of an entry',
    remedy: 'None: the kernel copies its frames.',
  },
  'xdp-mirrors': {
    why: 'its port is attached by XDP, which cannot copy packets; tcx can',
    remedy: 'Set `mode = "tcx"` of the device: see `ekho device list` and docs/xdp.md.',
  },
} as const satisfies Record<string, ReasonText>;

export type Reason = keyof typeof REASONS_BY_NAME;
export const REASONS: Readonly<Record<Reason, ReasonText>> = REASONS_BY_NAME;
export const REASON_NAMES = Object.keys(REASONS_BY_NAME) as Reason[];
/** Number of a reason, as stored per route. */
export const REASON = Object.fromEntries(REASON_NAMES.map((name, number) => [name, number])) as Record<
  Reason,
  number
>;

/** An object's offload state in one plugin, as `show`, `explain` and the API give it. */
export interface ObjectOffload {
  readonly plugin: string;
  readonly state: OffloadState;
  readonly reason?: Reason;
  readonly detail?: string;
}
