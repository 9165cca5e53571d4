/**
 * What decides how hardware may forward besides routes and neighbours: links, per-interface configuration, rules, qdiscs,
 * filters, netfilter chains, bridge VLANs. There are few of these, so they are decoded into plain objects, once for
 * all plans.
 */

import { KIND, KINDS, type Kind, type KindNumber, type MirrorReader, objectCursor } from '../mirror/types.ts';
import { type Decoded, type DecodedObject, DecodeError, decodeObject } from '../netlink/decode.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';

export interface LinkView {
  readonly id: number;
  readonly ifindex: number;
  readonly name: string;
  /** ARPHRD_* (linux/if_arp.h): 1 is Ethernet. */
  readonly type: number;
  readonly up: boolean;
  readonly carrier: boolean;
  readonly mtu: number;
  readonly mac: number;
  /** 0 for none. */
  readonly master: number;
  /** IFLA_LINK, 0 for none. */
  readonly lower: number;
  /** IFLA_LINK names a link of another namespace. */
  readonly lowerIsForeign: boolean;
  /** IFLA_INFO_KIND, empty for plain devices. */
  readonly kind: string;
  readonly data: Decoded;
  /** IFLA_INFO_SLAVE_KIND, empty when it has no master with options. */
  readonly slaveKind: string;
  readonly slaveData: Decoded;
  /** Somebody listens to all of its frames, or to all of groups. */
  readonly promiscuous: boolean;
  /** Ids of the XDP programs that see its packets. */
  readonly xdpPrograms: readonly number[];
}

export interface NetconfView {
  readonly forwarding: boolean;
  /** 0 off, 1 strict, 2 loose */
  readonly reversePath: number;
  /** Routes are not used while the link has no carrier. */
  readonly ignoresDown: boolean;
  /** Multicast is routed from there. */
  readonly routesMulticast: boolean;
  /** Of IPv6 for all links: packets for addresses that it answers for (`ip neigh show proxy`) are looked at when they are forwarded. */
  readonly proxies: boolean;
}

export interface QdiscView {
  readonly id: number;
  readonly ifindex: number;
  readonly parent: number;
  readonly handle: number;
  readonly kind: string;
  /** Shared block of its ingress side, 0 for a block of its own. */
  readonly ingressBlock: number;
  readonly egressBlock: number;
}

export interface FilterView {
  readonly id: number;
  /** Interface index, or TCM_IFINDEX_MAGIC_BLOCK with `parent` the block. */
  readonly ifindex: number;
  readonly parent: number;
  readonly handle: number;
  readonly chain: number;
  readonly priority: number;
  /** Ethertype it is for, 3 (ETH_P_ALL) for every one. */
  readonly protocol: number;
  readonly kind: string;
  readonly options: Decoded;
}

export interface ChainView {
  readonly id: number;
  readonly family: number;
  readonly table: string;
  readonly name: string;
  /** -1 for a chain without a hook. */
  readonly hook: number;
  readonly devices: readonly string[];
  /** filter, nat or route; empty without a hook. */
  readonly type: string;
  /** Chains of a hook are passed by ascending priority. */
  readonly priority: number;
  readonly dropsByPolicy: boolean;
  /** Rules in the chain. */
  readonly rules: number;
}

/** A rule of nftables. */
export interface NftRuleView {
  readonly id: number;
  /** 64 bits, as a number where that is exact. */
  readonly handle: number | bigint;
  /** Handle of the rule before it in its chain, 0 for none. */
  readonly position: number | bigint;
  readonly expressions: readonly Decoded[];
  /** Connections are tracked for it, or sockets looked up: every packet of the namespace is put together from its fragments first. */
  readonly tracks: boolean;
}

/** A flowtable of nftables: packets of its flows that arrive by these links go past netfilter's chains. */
export interface FlowtableView {
  readonly id: number;
  /** NFPROTO_* */
  readonly family: number;
  /** Names of links. */
  readonly devices: ReadonlySet<string>;
}

export interface RuleView {
  readonly id: number;
  readonly family: number;
  readonly priority: number;
  readonly decoded: DecodedObject;
}

export interface VlanView {
  readonly id: number;
  readonly ifindex: number;
  readonly vid: number;
  /** BRIDGE_VLAN_INFO_* (linux/if_bridge.h) */
  readonly flags: number;
}

/** An IPsec policy. */
export interface PolicyView {
  readonly id: number;
  /** XFRM_POLICY_* */
  readonly direction: number;
  readonly family: number;
  /** One word for IPv4, four for IPv6. */
  readonly destination: Uint32Array;
  readonly destinationLength: number;
  /** 0 for none. */
  readonly interfaceId: number;
}

/** NFPROTO_INET (linux/netfilter.h), and the NF_INET_* hooks that routed packets pass. */
const NFPROTO_INET = 1;
const NF_INET_ROUTING = new Set([0, 2, 4]);

/** TCM_IFINDEX_MAGIC_BLOCK, linux/rtnetlink.h */
export const BLOCK_IFINDEX = -1;

const WATCHED: readonly Kind[] = [
  'link',
  'netconf',
  'vlan',
  'rule',
  'qdisc',
  'filter',
  'xfrm-default',
  'xfrm-policy',
  'nft-chain',
  'nft-rule',
  'nft-flowtable',
];

const NO_PROGRAMS: readonly number[] = [];

export class KernelView {
  readonly #mirror: MirrorReader;
  readonly #cursor = objectCursor();
  readonly #watched = new Set<KindNumber>(WATCHED.map((kind) => KIND[kind]));

  readonly links = new Map<number, LinkView>();
  readonly #linkById = new Map<number, LinkView>();
  readonly #netconf = new Map<number, { readonly key: string; readonly view: NetconfView }>();
  readonly netconf = new Map<string, NetconfView>();
  /** Revisions at which links were seen to lose their carrier, and their routes to be ignored without it. */
  readonly #carrierLost = new Map<number, number>();
  readonly #ignoringSince = new Map<string, number>();
  readonly qdiscs = new Map<number, QdiscView>();
  readonly filters = new Map<number, FilterView>();
  readonly rules = new Map<number, RuleView>();
  readonly vlans = new Map<number, VlanView>();
  readonly flowtables = new Map<number, FlowtableView>();
  readonly policies = new Map<number, PolicyView>();
  /** Grows whenever a policy comes, goes or changes. */
  policyVersion = 0;
  /** Packets that no IPsec policy matches are dropped. */
  blocksByDefault = false;
  readonly #chains = new Map<number, Omit<ChainView, 'rules'>>();
  readonly #ruleChains = new Map<number, string>();
  readonly #rulesPerChain = new Map<string, Map<number, NftRuleView>>();

  constructor(mirror: MirrorReader) {
    this.#mirror = mirror;
  }

  /** Takes one change; true when it is of a kind kept here. */
  change(kind: KindNumber, id: number, isDelete: boolean): boolean {
    if (!this.#watched.has(kind)) return false;
    if (kind === KIND['xfrm-policy']) this.policyVersion++;
    const link = this.#linkById.get(id);
    const settings = this.#netconf.get(id);
    this.#forget(kind, id);
    if (!isDelete) this.#take(KINDS[kind]!, kind, id);
    if (kind === KIND.link) this.#noteCarrier(link, this.#linkById.get(id));
    if (kind === KIND.netconf) this.#noteIgnoring(settings, this.#netconf.get(id));
    return true;
  }

  link(ifindex: number): LinkView | undefined {
    return this.links.get(ifindex);
  }

  ifindexOf(name: string): number | undefined {
    for (const link of this.links.values()) if (link.name === name) return link.ifindex;
    return undefined;
  }

  nameOf(ifindex: number): string | undefined {
    return this.links.get(ifindex)?.name;
  }

  linkById(id: number): LinkView | undefined {
    return this.#linkById.get(id);
  }

  /** `ifindex` -1 for `all`. */
  netconfOf(family: number, ifindex: number): NetconfView | undefined {
    return this.netconf.get(`${family}/${ifindex}`);
  }

  /**
   * Hops over a link without carrier that its setting says to ignore take no part in choosing between those of a route.
   * The kernel leaves them out when the link loses its carrier, not when the setting changes (net/ipv4/fib_semantics.c
   * fib_rebalance, net/ipv6/route.c rt6_multipath_rebalance): true only where the setting was seen to come first.
   */
  leavesOut(family: number, ifindex: number): boolean {
    const link = this.links.get(ifindex);
    if (link === undefined || !link.up || link.carrier) return true;
    const lost = this.#carrierLost.get(ifindex);
    // For IPv4 either setting will do; that of IPv6 for all is written to every link.
    const settings = family === AF_INET ? [ifindex, -1] : [ifindex];
    const since = settings.map((index) => this.#ignoringSince.get(`${family}/${index}`) ?? Infinity);
    return lost !== undefined && Math.min(...since) < lost;
  }

  #noteCarrier(before: LinkView | undefined, link: LinkView | undefined): void {
    if (before !== undefined && before.ifindex !== link?.ifindex) this.#carrierLost.delete(before.ifindex);
    if (link === undefined) return;
    if (!link.up || link.carrier) this.#carrierLost.delete(link.ifindex);
    else if (before !== undefined && (!before.up || before.carrier))
      this.#carrierLost.set(link.ifindex, this.#mirror.revision);
  }

  #noteIgnoring(
    before: { readonly key: string; readonly view: NetconfView } | undefined,
    now: { readonly key: string; readonly view: NetconfView } | undefined,
  ): void {
    if (before !== undefined && before.key !== now?.key) this.#ignoringSince.delete(before.key);
    if (now === undefined) return;
    if (!now.view.ignoresDown) this.#ignoringSince.delete(now.key);
    else if (!this.#ignoringSince.has(now.key)) this.#ignoringSince.set(now.key, this.#mirror.revision);
  }

  *chains(): Generator<ChainView> {
    for (const chain of this.#chains.values()) {
      yield { ...chain, rules: this.#rulesPerChain.get(chainKey(chain))?.size ?? 0 };
    }
  }

  /** Address families of the routed packets that pass a rule's chain: none for a chain that is not hooked in their way. */
  familiesOfRule(id: number): readonly number[] {
    const key = this.#ruleChains.get(id);
    for (const chain of this.#chains.values()) {
      if (chainKey(chain) !== key || !NF_INET_ROUTING.has(chain.hook)) continue;
      return chain.family === NFPROTO_INET ? [AF_INET, AF_INET6] : [chain.family];
    }
    return [];
  }

  /**
   * Some rule or chain, hooked or not, has the kernel track connections of a family: it then puts fragments together before it routes
   * (net/netfilter/nf_conntrack_proto.c nf_ct_netns_do_get, net/ipv4/netfilter/nf_defrag_ipv4.c), and those that stay incomplete go nowhere.
   */
  tracksConnections(family: number): boolean {
    const concerns = (of: number) => of === family || of === NFPROTO_INET;
    for (const chain of this.#chains.values()) {
      if (!concerns(chain.family)) continue;
      if (chain.type === 'nat') return true;
      for (const rule of this.#rulesPerChain.get(chainKey(chain))?.values() ?? [])
        if (rule.tracks) return true;
    }
    return false;
  }

  /** Rules of a chain, in no order. */
  rulesOf(chain: Pick<ChainView, 'family' | 'table' | 'name'>): NftRuleView[] {
    return [...(this.#rulesPerChain.get(chainKey(chain))?.values() ?? [])];
  }

  #forget(kind: KindNumber, id: number): void {
    switch (kind) {
      case KIND.link: {
        const link = this.#linkById.get(id);
        if (link === undefined) return;
        this.#linkById.delete(id);
        if (this.links.get(link.ifindex) === link) this.links.delete(link.ifindex);
        return;
      }
      case KIND.netconf: {
        const known = this.#netconf.get(id);
        if (known === undefined) return;
        this.#netconf.delete(id);
        this.netconf.delete(known.key);
        return;
      }
      case KIND['nft-rule']: {
        const chain = this.#ruleChains.get(id);
        if (chain === undefined) return;
        this.#ruleChains.delete(id);
        const rules = this.#rulesPerChain.get(chain)!;
        rules.delete(id);
        if (rules.size === 0) this.#rulesPerChain.delete(chain);
        return;
      }
    }
    this.qdiscs.delete(kind === KIND.qdisc ? id : -1);
    this.filters.delete(kind === KIND.filter ? id : -1);
    this.rules.delete(kind === KIND.rule ? id : -1);
    this.vlans.delete(kind === KIND.vlan ? id : -1);
    this.policies.delete(kind === KIND['xfrm-policy'] ? id : -1);
    if (kind === KIND['xfrm-default']) this.blocksByDefault = false;
    this.#chains.delete(kind === KIND['nft-chain'] ? id : -1);
    this.flowtables.delete(kind === KIND['nft-flowtable'] ? id : -1);
  }

  #take(kind: Kind, number: KindNumber, id: number): void {
    if (!this.#mirror.open(number, id, this.#cursor)) return;
    let object: DecodedObject;
    try {
      object = decodeObject(kind, this.#cursor.bytes, this.#cursor.start, this.#cursor.end);
    } catch (error) {
      // The mirror counted it and reads the kind again; until then the object counts as absent.
      if (error instanceof DecodeError) return;
      throw error;
    }
    switch (kind) {
      case 'link':
        this.#takeLink(id, object);
        break;
      case 'netconf': {
        const key = `${object.header.family}/${number32(object.ifindex)}`;
        const view = {
          forwarding: number32(object.forwarding) !== 0,
          reversePath: number32(object.rp_filter),
          ignoresDown: number32(object.ignore_routes_with_linkdown) !== 0,
          routesMulticast: number32(object.mc_forwarding) !== 0,
          proxies: number32(object.proxy_neigh) !== 0,
        };
        this.#netconf.set(id, { key, view });
        this.netconf.set(key, view);
        break;
      }
      case 'qdisc':
        this.qdiscs.set(id, {
          id,
          ifindex: number32(object.header.ifindex),
          parent: number32(object.header.parent),
          handle: number32(object.header.handle),
          kind: text(object.kind),
          ingressBlock: number32(object.ingress_block),
          egressBlock: number32(object.egress_block),
        });
        break;
      case 'filter': {
        const info = number32(object.header.info);
        this.filters.set(id, {
          id,
          ifindex: number32(object.header.ifindex),
          parent: number32(object.header.parent),
          handle: number32(object.header.handle),
          chain: number32(object.chain),
          priority: info >>> 16,
          protocol: ((info & 0xff) << 8) | ((info >>> 8) & 0xff),
          kind: text(object.kind),
          options: nested(object.options),
        });
        break;
      }
      case 'rule':
        this.rules.set(id, {
          id,
          family: number32(object.header.family),
          priority: number32(object.priority),
          decoded: object,
        });
        break;
      case 'vlan': {
        const entry = Array.isArray(object.entry) ? nested(object.entry[0]) : nested(object.entry);
        const info = nested(entry.info);
        this.vlans.set(id, {
          id,
          ifindex: number32(object.header.ifindex),
          vid: number32(info.vid),
          flags: number32(info.flags),
        });
        break;
      }
      case 'xfrm-default':
        this.blocksByDefault = object.header.fwd === BLOCK || object.header.out === BLOCK;
        break;
      case 'xfrm-policy':
        this.policies.set(id, policyOf(id, object));
        break;
      case 'nft-chain': {
        const hook = nested(object.hook);
        const names = nested(hook.devs).name;
        const devices = [
          ...(Array.isArray(names) ? names.map(text) : []),
          ...(hook.dev === undefined ? [] : [text(hook.dev)]),
        ];
        this.#chains.set(id, {
          id,
          family: number32(object.header.family),
          table: text(object.table),
          name: text(object.name),
          hook: object.hook === undefined ? -1 : number32(hook.hooknum),
          devices,
          type: text(object.type),
          priority: number32(hook.priority) | 0,
          dropsByPolicy: object.policy === 0,
        });
        break;
      }
      case 'nft-flowtable': {
        const names = nested(nested(object.hook).devs).name;
        this.flowtables.set(id, {
          id,
          family: number32(object.header.family),
          devices: new Set(Array.isArray(names) ? names.map(text) : []),
        });
        break;
      }
      case 'nft-rule': {
        const chain = chainKey({
          family: number32(object.header.family),
          table: text(object.table),
          name: text(object.chain),
        });
        const { elem } = nested(object.expressions);
        const expressions = Array.isArray(elem) ? elem.map(nested) : [];
        const rule: NftRuleView = {
          id,
          handle: handleOf(object.handle),
          position: handleOf(object.position),
          expressions,
          tracks: expressions.some(({ name, data }) => isTracking(text(name), nested(data))),
        };
        this.#ruleChains.set(id, chain);
        const rules = this.#rulesPerChain.get(chain);
        if (rules === undefined) this.#rulesPerChain.set(chain, new Map([[id, rule]]));
        else rules.set(id, rule);
        break;
      }
    }
  }

  #takeLink(id: number, object: DecodedObject): void {
    const info = nested(object.linkinfo);
    const flags = number32(object.header.flags);
    const link: LinkView = {
      id,
      ifindex: number32(object.header.index),
      name: text(object.ifname),
      type: number32(object.header.type),
      up: (flags & 0x1) !== 0,
      carrier: (flags & 0x10000) !== 0,
      mtu: number32(object.mtu),
      mac: macNumber(text(object.address)),
      master: number32(object.master),
      lower: number32(object.link),
      lowerIsForeign: object.link_netnsid !== undefined,
      kind: text(info.kind),
      data: nested(info.data),
      slaveKind: text(info.slave_kind),
      slaveData: nested(info.slave_data),
      promiscuous: number32(object.promiscuity) !== 0 || number32(object.allmulti) !== 0,
      xdpPrograms: xdpPrograms(nested(object.xdp)),
    };
    this.#linkById.set(id, link);
    this.links.set(link.ifindex, link);
  }
}

function handleOf(value: unknown): number | bigint {
  return typeof value === 'number' || typeof value === 'bigint' ? value : 0;
}

/** Expressions that have connections tracked or fragments put together. */
const TRACKING = new Set([
  'ct',
  'nat',
  'masq',
  'redir',
  'notrack',
  'connlimit',
  'synproxy',
  'flow_offload',
  'socket',
  'tproxy',
  // Of iptables, whatever they are: most of them track.
  'match',
  'target',
]);
/** NFT_OBJECT_CT_HELPER, NFT_OBJECT_CT_TIMEOUT, NFT_OBJECT_CT_EXPECT, NFT_OBJECT_SYNPROXY */
const TRACKING_OBJECTS = new Set([3, 7, 9, 10]);

function isTracking(name: string, data: Decoded): boolean {
  return TRACKING.has(name) || (name === 'objref' && TRACKING_OBJECTS.has(number32(data.imm_type)));
}

function chainKey({ family, table, name }: Pick<ChainView, 'family' | 'table' | 'name'>): string {
  return `${family}/${table}/${name}`;
}

/** 0 stands for a program whose id is not told. */
function xdpPrograms(xdp: Decoded): readonly number[] {
  if (number32(xdp.attached) === 0) return NO_PROGRAMS;
  const ids = [xdp.prog_id, xdp.drv_prog_id, xdp.skb_prog_id, xdp.hw_prog_id].map(number32);
  const known = new Set(ids.filter((id) => id !== 0));
  return known.size === 0 ? [0] : [...known];
}

/** XFRM_USERPOLICY_BLOCK, linux/xfrm.h */
const BLOCK = 1;

function policyOf(id: number, object: DecodedObject): PolicyView {
  const selector = nested(object.header.sel);
  const family = number32(selector.family);
  const bytes = Buffer.from(text(selector.daddr), 'hex');
  return {
    id,
    direction: number32(object.header.dir),
    family,
    destination: Uint32Array.from({ length: family === AF_INET ? 1 : 4 }, (_, word) =>
      bytes.readUInt32BE(4 * word),
    ),
    destinationLength: number32(selector.prefixlen_d),
    interfaceId: number32(object.if_id),
  };
}

export function number32(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function nested(value: unknown): Decoded {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Decoded) : {};
}

/** 48-bit number of `00:11:22:33:44:55`, 0 for anything else. */
export function macNumber(address: string): number {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(address)
    ? Number.parseInt(address.replaceAll(':', ''), 16)
    : 0;
}
