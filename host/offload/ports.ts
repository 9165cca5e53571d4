/**
 * Which links are ports of the device, what they may do in hardware, and by which router interface packets leave.
 *
 * Guarantee 2 has many corners here: whatever the kernel would do to a packet on its way in or out (netfilter, XDP, tc,
 * queueing, upper devices that take the frame) and the hardware does not do means the packet must be trapped.
 */

import type { HookState, TcxLink } from '../kernel/hooks.ts';
import { PORT_FLAGS, ROUTER_INTERFACE_FLAGS } from '../plugin/records.ts';
import type { PortWant } from './codecs.ts';
import type { KernelView, LinkView } from './kernel-view.ts';
import { number32 } from './kernel-view.ts';
import { filtersOfLinks, type LinkFilters } from './link-filters.ts';
import { REASON } from './reasons.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';

const ARPHRD_ETHER = 1;
/** linux/pkt_sched.h */
const TC_H_ROOT = 0xffffffff;
/** Root qdiscs that neither shape nor reorder between flows in a way anyone relies on. */
const PLAIN_QDISCS = new Set([
  'noqueue',
  'pfifo_fast',
  'pfifo',
  'bfifo',
  'fq_codel',
  'fq',
  'mq',
  'codel',
  'mqprio',
]);
/** IFLA_INFO_KIND of links that are front ports by default: hardware's own have none, the rest stand in for hardware. */
const PORT_KINDS = new Set(['', 'veth', 'dummy', 'netdevsim', 'ekho']);
/** Links that take the frames of the link below them by its rx_handler, whatever their options. */
const TAKING_KINDS = new Set(['macsec', 'ipvlan', 'ipvtap', 'rmnet', 'virt_wifi']);
/** The modes of macvlan in which it takes, or gets a copy of, frames for the link below: passthru, source. */
const TAKING_MACVLANS = new Set([8, 16]);
/** linux/if_ether.h */
const ETH_P_8021Q = 0x8100;
/** Masters whose ports still are ports. */
const PORT_MASTERS = new Set(['bridge', 'vrf', 'openvswitch']);
const BR_STATE_FORWARDING = 3;
/** NFPROTO_* (linux/netfilter.h) */
const NFPROTO_INET = 1;
const NFPROTO_NETDEV = 5;
const NFPROTO_BRIDGE = 7;
/** NF_INET_* hooks that forwarded packets pass: prerouting, forward, postrouting, ingress. */
const FORWARDING_HOOKS = new Set([0, 2, 4, 5]);
/** Hooks that packets from and to this machine pass: prerouting, input, output, postrouting. */
const HOST_HOOKS = new Set([0, 1, 3, 4]);
const NF_NETDEV_INGRESS = 0;
const NF_NETDEV_EGRESS = 1;

export interface PortPlan {
  readonly link: LinkView;
  readonly want: PortWant;
  /** Why every frame traps, REASON.none if not. */
  readonly trapReason: number;
}

export interface InterfacePlan {
  /** The layer-3 link: the port itself or a VLAN link on it. */
  readonly link: LinkView;
  readonly port: LinkView;
  readonly vlan: number;
  readonly vrf: number;
  /** What fits in both families. */
  readonly mtu: number;
  /** ROUTER_INTERFACE_FLAGS */
  readonly flags: number;
  /** Why IPv4 or IPv6 packets that arrive here trap. */
  readonly reason4: number;
  readonly reason6: number;
}

export interface PortsPlan {
  readonly ports: Map<number, PortPlan>;
  readonly interfaces: Map<number, InterfacePlan>;
  /** Why packets may not leave in hardware by a link that is a port or router interface. */
  readonly egressReasons: Map<number, number>;
  /** Why a bridge's frames are not bridged in hardware, by its interface index; none: no entry. */
  readonly bridgeReasons: ReadonlyMap<number, number>;
  readonly filters: LinkFilters;
  /** Of VXLAN links in bridges: why the kernel sees their frames, or their outer packets. */
  readonly tunnelReasons: ReadonlyMap<number, number>;
}

/** Whether a link is a port, by its name and whether it would be one where nothing is configured. */
export type PortChoice = (name: string, isDefault: boolean) => boolean;

export interface PortsOptions {
  /** Undefined: every Ethernet link that is hardware's own or stands in for it (PORT_KINDS). */
  readonly isPort: PortChoice | undefined;
  /** Whether an XDP or tcx program is the device's own: its data path. */
  readonly isOwnProgram?: ((id: number) => boolean) | undefined;
  readonly netfilter: 'trap' | 'ignore';
  /** Netfilter could not be read: the reason it matters. */
  readonly netfilterUnreadable: boolean;
  /** Families (AF_INET, AF_INET6) whose chains are held as ACL rules: routed packets need not go to the kernel for them. */
  readonly netfilterHeld?: ReadonlySet<number>;
  /** What sees packets besides what the mirror holds. */
  readonly hooks?: HookState | undefined;
  /** IPsec policies matter but could not be read. */
  readonly policiesUnreadable?: boolean;
  /** IPsec policies do not matter. */
  readonly ignoresPolicies?: boolean;
  /** Another kind that decides about forwarding cannot be read, though the kernel has it. */
  readonly isUnreadable?: boolean;
  readonly reversePath: boolean;
  readonly vlanInterfaces: boolean;
  /** The plugin holds established flows. */
  readonly flows?: boolean;
}

export function planPorts(view: KernelView, options: PortsOptions): PortsPlan {
  const taken = linksTakenByUppers(view);
  const hooks = netfilterHooks(view, options);
  const ports = new Map<number, PortPlan>();
  const interfaces = new Map<number, InterfacePlan>();
  const egressReasons = new Map<number, number>();
  const filters = filtersOfLinks(view);
  const egressQueues = queuedLinks(view, filters);
  const inVlans = new Set([...view.vlans.values()].map(({ ifindex }) => ifindex));
  const vlanLinks = [...view.links.values()].filter(
    ({ kind, lowerIsForeign }) => kind === 'vlan' && !lowerIsForeign,
  );
  const interfaceLinks = new Set(vlanLinks.filter((link) => isVlanInterface(link, view, taken, options)));
  /** Links whose VLAN links take frames that no entry tells of. */
  const sharedLinks = new Set(
    vlanLinks.filter((link) => !interfaceLinks.has(link)).map(({ lower }) => lower),
  );

  for (const link of view.links.values()) {
    if (!isPort(link, options)) continue;
    const master = view.link(link.master);
    let trapReason: number = REASON.none;
    if (hasForeignXdp(link, options)) trapReason = REASON['xdp-attached'];
    else if (hooks.programsIn.has(link.ifindex)) trapReason = REASON['tcx-attached'];
    else if (taken.has(link.ifindex) || (link.master !== 0 && !PORT_MASTERS.has(master?.kind ?? ''))) {
      trapReason = REASON['stacked-link'];
    } else if (hooks.ingress.has(link.name)) trapReason = REASON['netfilter-hook'];
    else if (link.slaveKind === 'bridge' && hasUnsupportedBridgeOption(link))
      trapReason = REASON['bridge-option'];
    else if (
      master?.kind === 'bridge' &&
      number32(master.data.vlan_filtering) !== 0 &&
      !inVlans.has(link.ifindex)
    ) {
      // In no VLAN: the bridge drops every frame, which no entry says.
      trapReason = REASON['bridge-option'];
    } else if (master?.kind === 'bridge' && hasUnsupportedTags(master)) trapReason = REASON['bridge-option'];
    // The kernel gives a VLAN link its frames before the bridge sees them.
    else if (master?.kind === 'bridge' && sharedLinks.has(link.ifindex)) trapReason = REASON['stacked-link'];
    const bridge = master?.kind === 'bridge' ? master.ifindex : 0;
    let flags = 0;
    if (link.up) flags |= PORT_FLAGS.adminUp;
    if (link.carrier) flags |= PORT_FLAGS.carrier;
    if (bridge !== 0 && number32(link.slaveData.state) === BR_STATE_FORWARDING && master?.up === true) {
      flags |= PORT_FLAGS.bridgeForwarding;
    }
    if (bridge !== 0 && number32(link.slaveData.learning) !== 0) flags |= PORT_FLAGS.learning;
    if (trapReason !== REASON.none) flags |= PORT_FLAGS.trapAll;
    ports.set(link.ifindex, {
      link,
      want: { ifindex: link.ifindex, mtu: link.mtu, mac: link.mac, bridge, flags },
      trapReason,
    });
    egressReasons.set(link.ifindex, egressReason(link, link, hooks, egressQueues));
  }

  for (const { link: port, want, trapReason } of ports.values()) {
    // Without an interface the kernel gets what filters leave: Open vSwitch takes it behind them.
    const isInSwitch = view.link(port.master)?.kind === 'openvswitch';
    if (want.bridge === 0 && trapReason !== REASON['stacked-link'] && !isInSwitch)
      interfaces.set(port.ifindex, interfaceOf(view, port, port, 0, options, hooks));
  }
  for (const link of interfaceLinks) {
    if (!ports.has(link.lower)) continue;
    const port = view.link(link.lower)!;
    const planned = interfaceOf(view, link, port, number32(link.data.id), options, hooks);
    const seen = ingressReason(link, hooks, filters, options);
    interfaces.set(link.ifindex, seen === REASON.none ? planned : withoutRouting(planned, seen));
    const own = egressReason(link, port, hooks, egressQueues);
    egressReasons.set(link.ifindex, own === REASON.none ? egressReasons.get(port.ifindex)! : own);
  }
  return {
    ports,
    interfaces,
    egressReasons,
    bridgeReasons: bridgeReasons(view, hooks, options.hooks?.bridgeCalls ?? { ipv4: true, ipv6: true }),
    filters,
    tunnelReasons: tunnelReasons(view, options, hooks, filters, egressQueues, taken),
  };
}

function tunnelReasons(
  view: KernelView,
  options: PortsOptions,
  hooks: Hooks,
  filters: LinkFilters,
  queued: ReadonlyMap<number, number>,
  taken: ReadonlySet<number>,
): Map<number, number> {
  const reasons = new Map<number, number>();
  for (const link of view.links.values()) {
    if (link.kind !== 'vxlan' || link.slaveKind !== 'bridge') continue;
    const master = view.link(link.master);
    let reason = ingressReason(link, hooks, filters, options);
    if (reason === REASON.none) reason = egressReason(link, link, hooks, queued);
    // Its entry says when it is down.
    if (reason === REASON['link-down']) reason = REASON.none;
    if (taken.has(link.ifindex)) reason = REASON['stacked-link'];
    if (hasUnsupportedBridgeOption(link) || (master !== undefined && hasUnsupportedTags(master)))
      reason = REASON['bridge-option'];
    reasons.set(link.ifindex, hooks.host === REASON.none ? reason : hooks.host);
  }
  return reasons;
}

/** A VLAN link that is itself a port of a bridge or bond does not route; 802.1ad is left to the kernel. */
function isVlanInterface(
  link: LinkView,
  view: KernelView,
  taken: ReadonlySet<number>,
  { vlanInterfaces }: PortsOptions,
): boolean {
  const master = view.link(link.master);
  const { protocol } = link.data;
  return (
    vlanInterfaces &&
    (master === undefined || master.kind === 'vrf') &&
    (protocol === undefined || protocol === ETH_P_8021Q) &&
    !taken.has(link.ifindex)
  );
}

/** Entries of VLANs are of 802.1Q tags alone. */
function hasUnsupportedTags({ data: { vlan_filtering, vlan_protocol } }: LinkView): boolean {
  return (
    number32(vlan_filtering) !== 0 && vlan_protocol !== undefined && number32(vlan_protocol) !== ETH_P_8021Q
  );
}

/** What sees packets that arrive by a VLAN link, after the port's own: the device has no entry for it. */
function ingressReason(link: LinkView, hooks: Hooks, filters: LinkFilters, options: PortsOptions): number {
  if (hasForeignXdp(link, options)) return REASON['xdp-attached'];
  if (hooks.programsIn.has(link.ifindex)) return REASON['tcx-attached'];
  if (hooks.ingress.has(link.name)) return REASON['netfilter-hook'];
  if (filters.ingress.has(link.ifindex)) return REASON['ingress-filter'];
  return REASON.none;
}

/** Some XDP program sees packets that arrive here before the kernel, and it is not the device. */
function hasForeignXdp({ xdpPrograms }: LinkView, { isOwnProgram }: PortsOptions): boolean {
  return xdpPrograms.some((id) => isOwnProgram?.(id) !== true);
}

function withoutRouting(planned: InterfacePlan, reason: number): InterfacePlan {
  return {
    ...planned,
    flags:
      planned.flags &
      ~(
        ROUTER_INTERFACE_FLAGS.ipv4 |
        ROUTER_INTERFACE_FLAGS.ipv6 |
        ROUTER_INTERFACE_FLAGS.flowsIpv4 |
        ROUTER_INTERFACE_FLAGS.flowsIpv6
      ),
    reason4: planned.reason4 === REASON.none ? reason : planned.reason4,
    reason6: planned.reason6 === REASON.none ? reason : planned.reason6,
  };
}

/** br_netfilter hands frames of a bridge to the hooks of the IP families if the bridge asks for it, or the namespace for all. */
function bridgeReasons(view: KernelView, hooks: Hooks, all: HookState['bridgeCalls']): Map<number, number> {
  const reasons = new Map<number, number>();
  for (const { kind, ifindex, data } of view.links.values()) {
    if (kind !== 'bridge') continue;
    const isSeen =
      hooks.bridge !== REASON.none ||
      (hooks.seesIpv4 && (all.ipv4 || number32(data.nf_call_iptables) !== 0)) ||
      (hooks.seesIpv6 && (all.ipv6 || number32(data.nf_call_ip6tables) !== 0)) ||
      // With br_netfilter, every bridge's ARP passes arptables unless that is switched off.
      (hooks.arp && (all.ipv4 || number32(data.nf_call_arptables) !== 0));
    if (isSeen) reasons.set(ifindex, REASON['bridge-filter']);
  }
  return reasons;
}

function isPort(link: LinkView, options: PortsOptions): boolean {
  if (link.type !== ARPHRD_ETHER) return false;
  const isDefault = PORT_KINDS.has(link.kind);
  if (options.isPort === undefined) return isDefault;
  return options.isPort(link.name, isDefault) && link.kind !== 'bridge' && link.kind !== 'vrf';
}

function interfaceOf(
  view: KernelView,
  link: LinkView,
  port: LinkView,
  vlan: number,
  options: PortsOptions,
  hooks: Hooks,
): InterfacePlan {
  const master = view.link(link.master);
  const vrf = master?.kind === 'vrf' ? number32(master.data.table) : 0;
  let flags = 0;
  let reason4: number = hooks.ipv4;
  const own4 = view.netconfOf(AF_INET, link.ifindex);
  if (own4?.forwarding !== true) reason4 = REASON['forwarding-disabled'];
  if (options.hooks?.usesPathMtus === true && reason4 === REASON.none) reason4 = REASON['path-mtu'];
  const reversePath = strictest(own4?.reversePath ?? 0, view.netconfOf(AF_INET, -1)?.reversePath ?? 0);
  if (reversePath !== 0 && !options.reversePath && reason4 === REASON.none) reason4 = REASON['reverse-path'];
  if (reason4 === REASON.none) flags |= ROUTER_INTERFACE_FLAGS.ipv4;
  if (reversePath === 1) flags |= ROUTER_INTERFACE_FLAGS.reversePathStrict;
  if (reversePath === 2) flags |= ROUTER_INTERFACE_FLAGS.reversePathLoose;
  let reason6: number = hooks.ipv6;
  // net/ipv6/ip6_output.c ip6_forward asks the global setting; the link's own makes it a host.
  const forwards6 =
    view.netconfOf(AF_INET6, -1)?.forwarding === true &&
    view.netconfOf(AF_INET6, link.ifindex)?.forwarding === true;
  const mtus6 = options.hooks?.ipv6Mtus;
  const mtu6 = mtus6 === undefined ? link.mtu : (mtus6[link.ifindex] ?? 0);
  if (!forwards6 || mtu6 === 0) reason6 = REASON['forwarding-disabled'];
  const proxies = view.netconfOf(AF_INET6, -1)?.proxies === true;
  if (proxies && reason6 === REASON.none && options.netfilterHeld?.has(AF_INET6) !== true)
    reason6 = REASON['proxy-ndp'];
  if (reason6 === REASON.none) flags |= ROUTER_INTERFACE_FLAGS.ipv6;
  const takesFlows = options.flows === true && vrf === 0 && hooks.policies === REASON.none;
  if (takesFlows && mayPass(reason4) && isInFlowtables(view, AF_INET, link, port))
    flags |= ROUTER_INTERFACE_FLAGS.flowsIpv4;
  if (takesFlows && mayPass(reason6) && isInFlowtables(view, AF_INET6, link, port))
    flags |= ROUTER_INTERFACE_FLAGS.flowsIpv6;
  const mtu = mtu6 === 0 ? link.mtu : Math.min(link.mtu, mtu6);
  return { link, port, vlan, vrf, mtu, flags, reason4, reason6 };
}

/** Flowtables go past the hooks of the IP families and the reverse path check, which the device makes for flows anyway. */
function mayPass(reason: number): boolean {
  return (
    reason === REASON.none ||
    reason === REASON['netfilter-hook'] ||
    reason === REASON['netfilter-legacy'] ||
    reason === REASON['netfilter-program'] ||
    reason === REASON['reverse-path']
  );
}

/**
 * Which flowtable a connection is in is not told, so the link must be in all that there are. A VLAN link may be in it by itself or by
 * the link below it (net/netfilter/nft_flow_offload.c nft_dev_forward_path).
 */
function isInFlowtables(view: KernelView, family: number, link: LinkView, port: LinkView): boolean {
  let count = 0;
  for (const flowtable of view.flowtables.values()) {
    if (flowtable.family !== family && flowtable.family !== NFPROTO_INET) continue;
    if (!flowtable.devices.has(link.name) && !flowtable.devices.has(port.name)) return false;
    count++;
  }
  return count > 0;
}

/** The kernel uses the larger of both settings (IN_DEV_RPFILTER), 2 being loose. */
function strictest(own: number, all: number): number {
  return Math.max(own, all);
}

function egressReason(
  link: LinkView,
  port: LinkView,
  hooks: Hooks,
  queued: ReadonlyMap<number, number>,
): number {
  if (!link.up || !link.carrier || !port.up || !port.carrier) return REASON['link-down'];
  if (hooks.egress.has(link.name) || hooks.programsOut.has(link.ifindex)) return REASON['egress-filter'];
  return queued.get(link.ifindex) ?? REASON.none;
}

/** Links with a qdisc or egress filter that hardware would bypass. */
function queuedLinks(view: KernelView, filters: LinkFilters): Map<number, number> {
  const reasons = new Map<number, number>();
  for (const qdisc of view.qdiscs.values()) {
    if (qdisc.parent === TC_H_ROOT && !PLAIN_QDISCS.has(qdisc.kind))
      reasons.set(qdisc.ifindex, REASON['egress-qdisc']);
  }
  for (const ifindex of filters.egress) reasons.set(ifindex, REASON['egress-filter']);
  return reasons;
}

/** Links whose frames another link takes before bridging or routing (rx_handler users that are not masters). */
function linksTakenByUppers(view: KernelView): Set<number> {
  const taken = new Set<number>();
  for (const { kind, lower, lowerIsForeign, data } of view.links.values()) {
    if (lower === 0 || lowerIsForeign) continue;
    const isTakingMacvlan =
      (kind === 'macvlan' || kind === 'macvtap') && TAKING_MACVLANS.has(number32(data.mode));
    if (isTakingMacvlan || TAKING_KINDS.has(kind)) taken.add(lower);
  }
  return taken;
}

function hasUnsupportedBridgeOption(link: LinkView): boolean {
  const { isolated, locked, neigh_suppress, proxyarp, proxyarp_wifi, mode, vlan_tunnel } = link.slaveData;
  return [isolated, locked, neigh_suppress, proxyarp, proxyarp_wifi, mode, vlan_tunnel].some(
    (value) => number32(value) !== 0,
  );
}

interface Hooks {
  /** Why forwarded packets of a family trap. */
  ipv4: number;
  ipv6: number;
  /** Something sees packets of a family, whether or not they trap for it. */
  seesIpv4: boolean;
  seesIpv6: boolean;
  bridge: number;
  /** Why IPv4 packets from and to this machine are the kernel's. */
  host: number;
  /** Why IPsec policies have packets of both families trap. */
  policies: number;
  /** Names of links with netdev chains. */
  readonly ingress: Set<string>;
  readonly egress: Set<string>;
  /** arptables-legacy sees ARP of bridges that ask for it. */
  arp: boolean;
  /** Interface indexes of links with tcx programs that are not the device's own. */
  readonly programsIn: ReadonlySet<number>;
  readonly programsOut: ReadonlySet<number>;
}

function foreign(links: readonly TcxLink[] = [], { isOwnProgram }: PortsOptions): Set<number> {
  const isForeign = ({ programs }: TcxLink) => programs.some((id) => isOwnProgram?.(id) !== true);
  return new Set(links.filter(isForeign).map(({ ifindex }) => ifindex));
}

function netfilterHooks(view: KernelView, options: PortsOptions): Hooks {
  const hooks: Hooks = {
    ipv4: REASON.none,
    ipv6: REASON.none,
    seesIpv4: false,
    seesIpv6: false,
    bridge: REASON.none,
    host: REASON.none,
    policies: REASON.none,
    ingress: new Set(),
    egress: new Set(),
    arp: false,
    programsIn: foreign(options.hooks?.tcx?.ingress, options),
    programsOut: foreign(options.hooks?.tcx?.egress, options),
  };
  if (options.isUnreadable) {
    const reason = REASON['kernel-unreadable'];
    return {
      ...hooks,
      ipv4: reason,
      ipv6: reason,
      seesIpv4: true,
      seesIpv6: true,
      bridge: reason,
      host: reason,
    };
  }
  addPolicies(view, options, hooks);
  if (options.netfilter === 'ignore') return hooks;
  if (options.netfilterUnreadable) {
    const reason = REASON['netfilter-unreadable'];
    return { ...hooks, ipv4: reason, ipv6: reason, bridge: REASON['bridge-filter'], host: reason };
  }
  if (options.hooks !== undefined) addUnmirrored(options.hooks, hooks);
  for (const chain of view.chains()) {
    // An empty base chain that accepts changes nothing.
    if (chain.hook < 0 || (chain.rules === 0 && !chain.dropsByPolicy)) continue;
    if (chain.family === NFPROTO_NETDEV) {
      for (const device of chain.devices) {
        if (chain.hook === NF_NETDEV_INGRESS) hooks.ingress.add(device);
        if (chain.hook === NF_NETDEV_EGRESS) hooks.egress.add(device);
      }
      continue;
    }
    if (chain.family === NFPROTO_BRIDGE) {
      if (FORWARDING_HOOKS.has(chain.hook)) hooks.bridge = REASON['bridge-filter'];
      continue;
    }
    if (HOST_HOOKS.has(chain.hook) && chain.family !== AF_INET6) hooks.host = REASON['netfilter-hook'];
    if (!FORWARDING_HOOKS.has(chain.hook)) continue;
    if (chain.family === AF_INET || chain.family === NFPROTO_INET) hooks.seesIpv4 = true;
    if (chain.family === AF_INET6 || chain.family === NFPROTO_INET) hooks.seesIpv6 = true;
  }
  if (view.tracksConnections(AF_INET)) hooks.seesIpv4 = true;
  if (view.tracksConnections(AF_INET6)) hooks.seesIpv6 = true;
  const isHeld = (family: number) => options.netfilterHeld?.has(family) === true;
  if (hooks.seesIpv4 && !isHeld(AF_INET)) hooks.ipv4 = REASON['netfilter-hook'];
  if (hooks.seesIpv6 && !isHeld(AF_INET6)) hooks.ipv6 = REASON['netfilter-hook'];
  hooks.seesIpv4 ||= hooks.ipv4 !== REASON.none;
  hooks.seesIpv6 ||= hooks.ipv6 !== REASON.none;
  return hooks;
}

/** Policies hold some destinations back (see policies.ts); these concern every packet. */
function addPolicies(view: KernelView, options: PortsOptions, hooks: Hooks): void {
  if (options.ignoresPolicies === true) return;
  let reason: number = REASON.none;
  if (options.policiesUnreadable === true) reason = REASON['ipsec-unreadable'];
  else if (view.blocksByDefault) reason = REASON['ipsec-policy'];
  hooks.ipv4 = reason;
  hooks.ipv6 = reason;
  hooks.policies = reason;
  hooks.host = view.policies.size > 0 ? REASON['ipsec-policy'] : reason;
}

/** Tables of iptables-legacy and BPF programs of netfilter, as far as this process may see them. */
function addUnmirrored(state: HookState, hooks: Hooks): void {
  const seen = (list: readonly unknown[] | undefined) => (list?.length ?? 0) > 0;
  const legacy = REASON['netfilter-legacy'];
  if (seen(state.legacy4)) hooks.ipv4 = hooks.host = legacy;
  if (seen(state.legacy6)) hooks.ipv6 = legacy;
  if (seen(state.legacyBridge)) hooks.bridge = REASON['bridge-filter'];
  hooks.arp = seen(state.legacyArp);
  for (const { family, hook } of state.programs ?? []) {
    if (HOST_HOOKS.has(hook) && family === AF_INET) hooks.host = REASON['netfilter-program'];
    if (!FORWARDING_HOOKS.has(hook)) continue;
    if (family === AF_INET) hooks.ipv4 = REASON['netfilter-program'];
    if (family === AF_INET6) hooks.ipv6 = REASON['netfilter-program'];
  }
}
