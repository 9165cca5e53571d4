/**
 * VXLAN links in bridges as entries: which of them hardware can stand in for, and with which outer headers. What is behind them is
 * remotes.ts's business.
 */

import type { OuterDefaults } from '../kernel/hooks.ts';
import { ENTRY_KIND, TUNNEL_FLAGS, type TunnelRecord } from '../plugin/records.ts';
import { formatAddress, parseAddress } from './addresses.ts';
import type { Words } from './codecs.ts';
import type { EntryCodec } from './entry-table.ts';
import { type KernelView, type LinkView, nested, number32, type RuleView, text } from './kernel-view.ts';
import type { PortsPlan } from './ports.ts';
import { REASON } from './reasons.ts';
import { AF_INET } from './route-reader.ts';

/** BR_STATE_FORWARDING, linux/if_bridge.h */
const FORWARDING = 3;
/** BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED */
const PVID_UNTAGGED = 6;
/** IFLA_VXLAN_TOS that stands for the inner packet's. */
const INHERIT = 1;
/** enum ifla_vxlan_df */
const DF = { set: 1, inherit: 2 } as const;
/** Options that change the headers, or what becomes of frames; absent or 0 is as usual. */
const UNSUPPORTED = [
  'proxy',
  'rsc',
  'remcsum_tx',
  'remcsum_rx',
  'gbp',
  'collect_metadata',
  'gpe',
  'vnifilter',
  'group6',
  'local6',
] as const;

export interface TunnelWant {
  readonly ifindex: number;
  readonly bridge: number;
  readonly vlan: number;
  readonly port: number;
  readonly vni: number;
  readonly mtu: number;
  /** TUNNEL_FLAGS */
  readonly flags: number;
  readonly ttl: number;
  readonly tos: number;
  readonly sourcePortLow: number;
  readonly sourcePortHigh: number;
  readonly link: number;
  readonly mac: number;
  readonly local: Words;
}

export const tunnelCodec: EntryCodec<TunnelWant> = {
  kind: ENTRY_KIND.tunnel,
  isLeaf: false,
  equal: (a, b) =>
    a.ifindex === b.ifindex &&
    a.bridge === b.bridge &&
    a.vlan === b.vlan &&
    a.port === b.port &&
    a.vni === b.vni &&
    a.mtu === b.mtu &&
    a.flags === b.flags &&
    a.ttl === b.ttl &&
    a.tos === b.tos &&
    a.sourcePortLow === b.sourcePortLow &&
    a.sourcePortHigh === b.sourcePortHigh &&
    a.link === b.link &&
    a.mac === b.mac &&
    a.local.every((word, index) => word === b.local[index]),
  size: () => 1,
  encode(encoder, operation, handle, want) {
    const record = encoder.tunnel(operation, handle);
    record.ifindex = want.ifindex;
    record.bridge = want.bridge;
    record.vlan = want.vlan;
    record.port = want.port;
    record.vni = want.vni;
    record.mtu = want.mtu;
    record.flags = want.flags;
    record.ttl = want.ttl;
    record.tos = want.tos;
    record.sourcePortLow = want.sourcePortLow;
    record.sourcePortHigh = want.sourcePortHigh;
    record.link = want.link;
    record.mac = want.mac;
    record.setLocal(...want.local);
  },
};

/** What a tunnel read back says. */
export function tunnelWantOf(record: TunnelRecord): TunnelWant {
  const { ifindex, bridge, vlan, port, vni, mtu, flags, ttl, tos, sourcePortLow, sourcePortHigh, link, mac } =
    record;
  return {
    ifindex,
    bridge,
    vlan,
    port,
    vni,
    mtu,
    flags,
    ttl,
    tos,
    sourcePortLow,
    sourcePortHigh,
    link,
    mac,
    local: [record.local0, record.local1, record.local2, record.local3],
  };
}

/** For people, too: `vni 10 192.0.2.1:4789`. A link that gets another of these is another tunnel. */
export function tunnelKey({ vni, local, port }: TunnelWant): string {
  return `vni ${vni} ${formatAddress(AF_INET, local)}:${port}`;
}

export interface TunnelPlan {
  readonly link: LinkView;
  /** Undefined: no entry can say what the link does; `reason` has why. */
  readonly want?: TunnelWant | undefined;
  readonly reason: number;
}

export interface TunnelsOptions {
  readonly ports: PortsPlan;
  /** Packets from and to this machine follow no rule that the default domain does not. */
  readonly followsRules: boolean;
  /** Of IPv4, as a word. */
  readonly isOwnAddress: (address: number) => boolean;
  readonly outer: OuterDefaults;
}

/** By interface index: every VXLAN link that is a port of a bridge. */
export function planTunnels(view: KernelView, options: TunnelsOptions): Map<number, TunnelPlan> {
  const plans = new Map<number, TunnelPlan>();
  for (const link of view.links.values()) {
    if (link.kind !== 'vxlan' || link.slaveKind !== 'bridge') continue;
    const bridge = view.link(link.master);
    if (bridge?.kind !== 'bridge') continue;
    const reason = reasonAgainst(view, link, bridge, options);
    plans.set(link.ifindex, {
      link,
      reason,
      ...(reason === REASON.none && { want: wantOf(view, link, bridge, options.outer) }),
    });
  }
  return plans;
}

function reasonAgainst(
  view: KernelView,
  link: LinkView,
  bridge: LinkView,
  { ports, followsRules, isOwnAddress }: TunnelsOptions,
): number {
  const seen = ports.tunnelReasons.get(link.ifindex) ?? REASON.none;
  if (seen !== REASON.none) return seen;
  const inBridge = ports.bridgeReasons.get(bridge.ifindex) ?? REASON.none;
  if (inBridge !== REASON.none) return inBridge;
  if (!followsRules) return REASON['policy-rule'];
  const local = parseAddress(text(link.data.local));
  const isPlain = UNSUPPORTED.every((name) => !isSet(link.data[name]));
  if (!isPlain || local?.family !== AF_INET || !isOwnAddress(local.words[3])) return REASON['tunnel-option'];
  if (reservedBits(link) || isInVrf(view, number32(link.data.link))) return REASON['tunnel-option'];
  if (vlanOf(view, link, bridge) === undefined) return REASON['tunnel-vlan'];
  return REASON.none;
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== 0 && value !== false;
}

/** Bits of the header that are ignored; unless told otherwise, none but those that nothing uses. */
function reservedBits({ data }: LinkView): boolean {
  const bits = text(data.reserved_bits);
  // VXLAN_F_... : all but the flag of the network id, and the id itself (vxlan_nl2conf).
  return bits !== '' && bits.toLowerCase() !== 'f7ffffff000000ff';
}

function isInVrf(view: KernelView, ifindex: number): boolean {
  const link = view.link(ifindex);
  return link !== undefined && view.link(link.master)?.kind === 'vrf';
}

/** The one VLAN it carries, 0 where the bridge does not filter; undefined where it carries none, several, or one with its tag. */
function vlanOf(view: KernelView, link: LinkView, bridge: LinkView): number | undefined {
  if (number32(bridge.data.vlan_filtering) === 0) return 0;
  const vlans = [...view.vlans.values()].filter(({ ifindex }) => ifindex === link.ifindex);
  const [vlan] = vlans;
  if (vlans.length !== 1 || (vlan!.flags & PVID_UNTAGGED) !== PVID_UNTAGGED) return undefined;
  return vlan!.vid;
}

function wantOf(view: KernelView, link: LinkView, bridge: LinkView, outer: OuterDefaults): TunnelWant {
  const { data, slaveData } = link;
  const isForwarding = link.up && link.carrier && bridge.up && number32(slaveData.state) === FORWARDING;
  const tos = number32(data.tos);
  const df = number32(data.df);
  const range = nested(data.port_range);
  const [low, high] = [number32(range.low), number32(range.high)];
  let flags = 0;
  if (isForwarding) flags |= TUNNEL_FLAGS.forwarding;
  if (number32(slaveData.learning) !== 0) flags |= TUNNEL_FLAGS.learning;
  if (number32(data.learning) !== 0) flags |= TUNNEL_FLAGS.learnsAddresses;
  if (number32(data.udp_csum) !== 0) flags |= TUNNEL_FLAGS.checksum;
  if (isSet(data.ttl_inherit)) flags |= TUNNEL_FLAGS.inheritTtl;
  if (tos === INHERIT) flags |= TUNNEL_FLAGS.inheritTos;
  if (df === DF.set) flags |= TUNNEL_FLAGS.dontFragment;
  if (df === DF.inherit) flags |= TUNNEL_FLAGS.inheritDontFragment;
  return {
    ifindex: link.ifindex,
    bridge: bridge.ifindex,
    vlan: vlanOf(view, link, bridge)!,
    port: number32(data.port),
    vni: number32(data.id),
    mtu: link.mtu,
    flags,
    ttl: number32(data.ttl) === 0 ? outer.ttl : number32(data.ttl),
    tos: tos === INHERIT ? 0 : tos,
    // udp_flow_src_port() of include/net/udp.h: the high end is never used.
    sourcePortLow: low < high ? low : outer.portLow,
    sourcePortHigh: (low < high ? high : outer.portHigh) - 1,
    link: number32(data.link),
    mac: link.mac,
    local: parseAddress(text(data.local))!.words,
  };
}

/** A rule of IPv4 that concerns every packet, or none of the default domain: what this machine sends itself follows it as well. */
export function isPlainRule({ decoded }: RuleView): boolean {
  const { header } = decoded;
  const selectors = [
    header.src_len,
    header.dst_len,
    header.tos,
    decoded.fwmark,
    decoded.fwmask,
    decoded.ip_proto,
    decoded.tun_id,
  ];
  if (number32(decoded.l3mdev) !== 0) return true;
  return (
    selectors.every((value) => !isSet(value)) &&
    number32(header.flags) === 0 &&
    ['iifname', 'oifname', 'sport_range', 'dport_range', 'uid_range', 'dscp'].every(
      (name) => decoded[name] === undefined,
    )
  );
}
