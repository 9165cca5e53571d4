/**
 * tc filters on the ingress side of ports as ACL rules.
 *
 * The kernel tries filters by priority and the first that matches decides. A filter that hardware cannot do becomes a
 * rule that hands at least the packets it matches to the kernel, so that filters after it may stay in hardware for
 * the rest; where nothing of its match can be expressed, that is every packet, and no later filter is planned.
 */

import type { Decoded, Value } from '../netlink/decode.ts';
import { ACL_ACTION, ACL_FIELDS, ACL_STAGE, FAMILY } from '../plugin/records.ts';
import { type ActionOptions, actionOf } from './acl-actions.ts';
import { parseAddress } from './addresses.ts';
import type { AclEdits, AclWant } from './codecs.ts';
import { prioritiesWithoutOrder } from './flower-order.ts';
import { type FilterView, type KernelView, macNumber, number32, text } from './kernel-view.ts';
import { REASON } from './reasons.ts';
import { prioritiesWithTables, u32Match } from './u32-match.ts';

const ETH_P_ALL = 3;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const ETH_P_8021Q = 0x8100;
/** TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT */
const FLAG_IS_FRAGMENT = 1;
/** In the lower 16 bits of a rule's priority: behind all filters of the preference in the upper ones. */
export const LAST_OF_PREFERENCE = 0xffff;

export interface AclPlan {
  readonly filter: FilterView;
  /** Interface index of the port. */
  readonly port: number;
  /** Undefined: not planned, for `reason`. */
  readonly want: AclWant | undefined;
  /** Why its packets go to the kernel, REASON.none if they do not. */
  readonly reason: number;
  /** Interface indexes of the links that packets are redirected to, and that copies leave by; 0 for none. */
  readonly redirect: number;
  readonly mirror: number;
}

export interface AclOptions extends ActionOptions {
  /** ACL_FIELDS that the plugin has. */
  readonly aclFields: number;
}

/**
 * Rules for the ingress `filters` of one port, given in the order the kernel tries them (see link-filters.ts).
 *
 * A rule's priority follows from its filter alone, so that a filter that comes or goes leaves the other rules as they
 * are. Among filters of one priority it need not tell them apart: they match disjoint packets, or all trap.
 */
export function planFilters(
  view: KernelView,
  port: number,
  filters: readonly FilterView[],
  options: AclOptions,
): AclPlan[] {
  const plans: AclPlan[] = [];
  let isCovered = false;
  const flower = filters.filter((each) => each.kind === 'flower' && each.chain === 0 && isRealFilter(each));
  const unordered = prioritiesWithoutOrder(flower, wholeMatchOf);
  const withTables = prioritiesWithTables(filters);
  for (const filter of filters) {
    if (!isRealFilter(filter)) continue;
    const indev = indevOf(view, filter, port);
    if (indev === 'other') continue;
    if (isCovered || filter.chain !== 0) {
      plans.push({
        filter,
        port,
        want: undefined,
        reason: REASON['after-refused-filter'],
        redirect: 0,
        mirror: 0,
      });
      continue;
    }
    const isLinked = filter.kind === 'u32' && withTables.has(filter.priority);
    const match = isLinked ? protocolMatch(filter, options.aclFields) : matchOf(filter, options.aclFields);
    let { action, reason, redirect, mirror, edits } = actionOf(filter, match.want, options);
    if (!match.isExact || indev === 'unknown' || unordered.has(filter.priority))
      reason = REASON['unsupported-match'];
    if (action === undefined && reason === REASON.none) continue;
    if (reason !== REASON.none) {
      action = ACL_ACTION.trap;
      redirect = 0;
      mirror = 0;
      edits = undefined;
    }
    plans.push({
      filter,
      port,
      reason,
      redirect,
      mirror,
      want: {
        stage: ACL_STAGE.ingress,
        action: action!,
        port: 0,
        priority: filter.priority * 0x10000 + orderOf(filter),
        redirectPort: 0,
        ...match.want,
        ...edits,
      },
    });
    if (match.want.fields === 0 && reason !== REASON.none) isCovered = true;
  }
  return plans;
}

/**
 * Whether flower's `indev` lets packets of the port match. The kernel keeps the interface index and gives the name of the
 * time it was asked: a name that no link has may be a renamed link's old one.
 */
function indevOf(view: KernelView, filter: FilterView, port: number): 'any' | 'other' | 'unknown' {
  if (filter.kind !== 'flower' || filter.options.indev === undefined) return 'any';
  const name = text(filter.options.indev);
  if (view.link(port)?.name === name) return 'any';
  for (const link of view.links.values()) if (link.name === name) return 'other';
  return 'unknown';
}

/**
 * The kernel also lists each priority by itself, with handle 0, and u32 its hash tables. `fw` alone filters without a
 * handle (net/sched/cls_fw.c, the "old method").
 */
function isRealFilter(filter: FilterView): boolean {
  if (filter.kind === 'u32') return filter.options.sel !== undefined;
  return filter.handle !== 0 || filter.kind === 'fw';
}

/** Among filters of one priority. The handle of a u32 filter is its table, bucket and place. */
function orderOf({ kind, handle }: FilterView): number {
  return kind === 'u32' ? handle & 0xfff : Math.min(handle, LAST_OF_PREFERENCE - 1);
}

/** The part of an ACL rule that says which packets it is for. */
export type AclMatch = Omit<
  AclWant,
  'stage' | 'action' | 'port' | 'priority' | 'redirectPort' | keyof AclEdits
>;

const ALL_FIELDS = Object.values(ACL_FIELDS).reduce((all, field) => all | field, 0);

interface MatchOfFilter {
  readonly want: AclMatch;
  readonly isExact: boolean;
}

/** Per filter and the fields supported: the ports of a block share its filters, and plans are made over and over. */
const matches = new WeakMap<FilterView, Map<number, MatchOfFilter>>();

/** What the filter matches, as far as the fields of a plugin that has all of them say it. */
export function wholeMatchOf(filter: FilterView): AclMatch {
  return matchOf(filter, ALL_FIELDS).want;
}

/** What the filter matches, or (not exact) something that matches at least the same packets. */
function matchOf(filter: FilterView, supported: number): MatchOfFilter {
  let known = matches.get(filter);
  if (known === undefined) {
    known = new Map();
    matches.set(filter, known);
  }
  let match = known.get(supported);
  if (match === undefined) {
    match = readMatch(filter, supported);
    known.set(supported, match);
  }
  return match;
}

function readMatch(filter: FilterView, supported: number): MatchOfFilter {
  const { kind, options } = filter;
  const builder = new MatchBuilder(supported);
  if (kind === 'flower') flowerMatch(builder, options);
  else {
    builder.addProtocol(filter);
    if (kind === 'u32') u32Match(builder, filter);
    else if (kind !== 'matchall') builder.isExact = false;
  }
  return { want: builder.build(), isExact: builder.isExact };
}

/** The packets that a filter is asked about at all. */
function protocolMatch(filter: FilterView, supported: number): MatchOfFilter {
  const builder = new MatchBuilder(supported);
  builder.addProtocol(filter);
  return { want: builder.build(), isExact: false };
}

/** Collects fields; one that the plugin cannot match is left out, which widens the match. */
class MatchBuilder {
  isExact = true;
  #fields = 0;
  #parts: Partial<AclWant> = {};
  readonly #supported: number;
  family: number = FAMILY.ipv4;

  constructor(supported: number) {
    this.#supported = supported;
  }

  add(field: number, part: Partial<AclWant>): void {
    if ((this.#supported & field) === 0) {
      this.isExact = false;
      return;
    }
    this.#fields |= field;
    this.#parts = { ...this.#parts, ...part };
  }

  addProtocol({ protocol }: FilterView): void {
    if (protocol !== ETH_P_ALL) this.add(ACL_FIELDS.ethertype, { ethertype: protocol });
  }

  build(): AclMatch {
    return { family: this.family, ...this.#parts, fields: this.#fields } as AclMatch;
  }
}

/** Keys of flower that `flowerMatch` understands; any other key makes the match inexact. */
const FLOWER_PLAIN = new Set(['classid', 'act', 'flags', 'in_hw_count', 'indev', 'key_vlan_eth_type']);

function flowerMatch(builder: MatchBuilder, options: Decoded): void {
  const used = new Set(FLOWER_PLAIN);
  const take = (name: string): Value | undefined => {
    used.add(name);
    return options[name];
  };
  const ethertype = take('key_eth_type');
  const vlan = take('key_vlan_id');
  const inner = options.key_vlan_eth_type;
  if (vlan !== undefined) {
    builder.add(ACL_FIELDS.vlan, { vlan: number32(vlan) });
    const priority = take('key_vlan_prio');
    if (priority !== undefined) builder.add(ACL_FIELDS.vlanPriority, { vlanPriority: number32(priority) });
  }
  // With a tag flower's eth_type is the tag's, what it carries is vlan_eth_type.
  const isTagged = number32(ethertype) === ETH_P_8021Q;
  const network = isTagged ? number32(inner) : number32(ethertype);
  if (isTagged && vlan === undefined) builder.isExact = false;
  if (ethertype !== undefined && (network !== 0 || !isTagged))
    builder.add(ACL_FIELDS.ethertype, { ethertype: network });
  builder.family = network === ETH_P_IPV6 ? FAMILY.ipv6 : FAMILY.ipv4;

  for (const [name, field, key] of [
    ['key_eth_src', ACL_FIELDS.sourceMac, 'source'],
    ['key_eth_dst', ACL_FIELDS.destinationMac, 'destination'],
  ] as const) {
    const address = take(name);
    const mask = take(`${name}_mask`);
    if (address === undefined) continue;
    builder.add(field, {
      [`${key}Mac`]: macNumber(text(address)),
      [`${key}MacMask`]: mask === undefined ? 0xffffffffffff : macNumber(text(mask)),
    });
  }
  const version = network === ETH_P_IPV6 ? 'ipv6' : 'ipv4';
  for (const [side, field] of [
    ['src', ACL_FIELDS.sourceAddress],
    ['dst', ACL_FIELDS.destinationAddress],
  ] as const) {
    const name = `key_${version}_${side}`;
    const address = take(name);
    const mask = take(`${name}_mask`);
    if (address === undefined) continue;
    const parsed = parseAddress(text(address));
    if (parsed === undefined || (network !== ETH_P_IP && network !== ETH_P_IPV6)) {
      builder.isExact = false;
      continue;
    }
    const all =
      version === 'ipv4'
        ? ([0, 0, 0, 0xffffffff] as const)
        : ([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff] as const);
    const words = mask === undefined ? all : (parseAddress(text(mask))?.words ?? all);
    builder.add(
      field,
      side === 'src'
        ? { sourceAddress: parsed.words, sourceMask: words }
        : { destinationAddress: parsed.words, destinationMask: words },
    );
  }
  const protocol = take('key_ip_proto');
  if (protocol !== undefined) builder.add(ACL_FIELDS.protocol, { protocol: number32(protocol) });
  const tos = take('key_ip_tos');
  const tosMask = take('key_ip_tos_mask');
  if (tos !== undefined) {
    if (tosMask === undefined || number32(tosMask) === 0xfc)
      builder.add(ACL_FIELDS.dscp, { dscp: number32(tos) >>> 2 });
    else builder.isExact = false;
  }
  const layer = { 6: 'tcp', 17: 'udp', 132: 'sctp' }[number32(protocol)];
  for (const [side, field] of [
    ['src', ACL_FIELDS.sourcePort],
    ['dst', ACL_FIELDS.destinationPort],
  ] as const) {
    const low = take(`key_port_${side}_min`);
    const high = take(`key_port_${side}_max`);
    const port = layer === undefined ? undefined : take(`key_${layer}_${side}`);
    const mask = layer === undefined ? undefined : take(`key_${layer}_${side}_mask`);
    if (mask !== undefined && number32(mask) !== 0xffff) {
      builder.isExact = false;
      continue;
    }
    const ends =
      port !== undefined
        ? ([number32(port), number32(port)] as const)
        : low !== undefined && high !== undefined
          ? ([number32(low), number32(high)] as const)
          : undefined;
    if (ends !== undefined)
      builder.add(field, side === 'src' ? { sourcePort: ends } : { destinationPort: ends });
  }
  const tcpFlags = take('key_tcp_flags');
  const tcpMask = take('key_tcp_flags_mask');
  if (tcpFlags !== undefined) {
    builder.add(ACL_FIELDS.tcpFlags, {
      tcpFlags: number32(tcpFlags),
      tcpFlagsMask: tcpMask === undefined ? 0xfff : number32(tcpMask),
    });
  }
  const icmp = network === ETH_P_IPV6 ? 'key_icmpv6' : 'key_icmpv4';
  for (const [name, field] of [
    ['type', ACL_FIELDS.icmpType],
    ['code', ACL_FIELDS.icmpCode],
  ] as const) {
    const value = take(`${icmp}_${name}`);
    const mask = take(`${icmp}_${name}_mask`);
    if (value === undefined) continue;
    if (mask !== undefined && number32(mask) !== 0xff) builder.isExact = false;
    else builder.add(field, name === 'type' ? { icmpType: number32(value) } : { icmpCode: number32(value) });
  }
  const fragment = take('key_flags');
  const fragmentMask = number32(take('key_flags_mask'));
  if (fragment !== undefined && fragmentMask !== 0) {
    if (fragmentMask === FLAG_IS_FRAGMENT && number32(fragment) === 0)
      builder.add(ACL_FIELDS.unfragmented, {});
    else builder.isExact = false;
  }
  // A mask of zero bits matches everything: such a key says nothing.
  for (const name of Object.keys(options)) {
    if (used.has(name) || name.endsWith('_mask')) continue;
    const mask = options[`${name}_mask`];
    if (mask === undefined || !isZero(mask)) builder.isExact = false;
  }
}

function isZero(value: Value): boolean {
  return value === 0 || value === 0n || (typeof value === 'string' && /^[0:.]*$/.test(value));
}
