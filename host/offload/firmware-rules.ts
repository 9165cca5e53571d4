/**
 * Rules that the kernel asked firmware to offload, and which filter of the mirror each of them is. The kernel names neither by the
 * other: a rule has no handle, a filter no cookie. Both say the port, the chain, the preference and what is matched, and flower
 * takes no two filters that match the same (net/sched/cls_flower.c fl_ht_insert_unique).
 */

import type { FlowMatch } from '../kernel/firmware/context.ts';
import type { FirmwareRule } from '../kernel/firmware/firmware.ts';
import { ACL_FIELDS, FAMILY } from '../plugin/records.ts';
import { type AclMatch, wholeMatchOf } from './acl.ts';
import type { Words } from './codecs.ts';
import type { FlowTuple } from './flows.ts';
import type { FilterView } from './kernel-view.ts';

const ETH_P_IPV6 = 0x86dd;
const ZERO: Words = [0, 0, 0, 0];

/** Where a rule is looked for. */
interface Place {
  readonly preference: string;
  readonly match: string;
}

export class FirmwareRules {
  readonly #rules = new Map<bigint, FirmwareRule>();
  readonly #places = new Map<bigint, Place>();
  /** By port, chain and preference, then by what they match: thousands may be of one preference. */
  readonly #placed = new Map<string, Map<string, FirmwareRule[]>>();
  readonly #flows = new Map<bigint, FlowTuple>();

  get size(): number {
    return this.#rules.size;
  }

  /** Directions of connections, by the ports that their packets come by. */
  *flows(): Generator<{ readonly rule: FirmwareRule; readonly flow: FlowTuple }> {
    for (const [id, flow] of this.#flows) yield { rule: this.#rules.get(id)!, flow };
  }

  values(): Iterable<FirmwareRule> {
    return this.#rules.values();
  }

  put(rule: FirmwareRule): void {
    this.delete(rule.id);
    this.#rules.set(rule.id, rule);
    if (rule.kind === 'flowtable') {
      // The kernel asks the driver of either port, and adds up what both say: the one that packets come by speaks for it.
      if (rule.ifindex === rule.context.match.ifindex) this.#flows.set(rule.id, flowOf(rule));
      return;
    }
    // Of packets of another port: nothing is planned for it on this one.
    const { ifindex, ifindex_mask } = rule.context.match;
    if (ifindex_mask !== 0 && ifindex !== rule.ifindex) return;
    const preference = placeOf(rule.ifindex, rule.chain, rule.preference);
    const match = ruleMatch(rule);
    this.#places.set(rule.id, { preference, match });
    const there = this.#placed.get(preference) ?? new Map<string, FirmwareRule[]>();
    this.#placed.set(preference, there);
    there.set(match, [...(there.get(match) ?? []), rule]);
  }

  delete(id: bigint): void {
    this.#rules.delete(id);
    this.#flows.delete(id);
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    const there = this.#placed.get(place.preference)!;
    const left = there.get(place.match)!.filter((rule) => rule.id !== id);
    if (left.length > 0) there.set(place.match, left);
    else there.delete(place.match);
    if (there.size === 0) this.#placed.delete(place.preference);
  }

  clear(): void {
    this.#rules.clear();
    this.#flows.clear();
    this.#places.clear();
    this.#placed.clear();
  }

  /**
   * The rule that a filter is on a port. While a filter is being replaced there may be its rule from before, too: the last one
   * counts.
   */
  find(port: number, filter: FilterView): FirmwareRule | undefined {
    const there = this.#placed.get(placeOf(port, filter.chain, filter.priority));
    if (there === undefined) return undefined;
    // Of matchall there is one at a preference.
    const same = filter.kind === 'flower' ? there.get(filterMatch(filter)) : there.values().next().value;
    return same?.at(-1);
  }
}

function placeOf(port: number, chain: number, preference: number): string {
  return `${port}/${chain}/${preference}`;
}

const filterMatches = new WeakMap<FilterView, string>();

function filterMatch(filter: FilterView): string {
  let text = filterMatches.get(filter);
  if (text === undefined) {
    text = textOf(wholeMatchOf(filter));
    filterMatches.set(filter, text);
  }
  return text;
}

/** Bits that a mask leaves out do not count: netlink shows them as they were given, the driver gets them as zero. */
function textOf(match: AclMatch): string {
  const masked: Partial<Record<keyof AclMatch, unknown>> = { ...match };
  const words = (value: Words | undefined, mask: Words | undefined) =>
    value?.map((word, place) => (word & (mask?.[place] ?? 0)) >>> 0);
  const mac = (value = 0, mask = 0) => `${BigInt(value) & BigInt(mask)}`;
  if (match.sourceAddress) masked.sourceAddress = words(match.sourceAddress, match.sourceMask);
  if (match.destinationAddress)
    masked.destinationAddress = words(match.destinationAddress, match.destinationMask);
  if (match.sourceMac !== undefined) masked.sourceMac = mac(match.sourceMac, match.sourceMacMask);
  if (match.destinationMac !== undefined)
    masked.destinationMac = mac(match.destinationMac, match.destinationMacMask);
  if (match.tcpFlags !== undefined) masked.tcpFlags = match.tcpFlags & (match.tcpFlagsMask ?? 0);
  return JSON.stringify(Object.entries(masked).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Flowtables match addresses and ports as a whole. */
function flowOf({ context }: FirmwareRule): FlowTuple {
  const { family, protocol, sourceAddress, destinationAddress, sourcePort, destinationPort } = new RuleMatch(
    context.match,
  ).build();
  return {
    family,
    protocol: protocol ?? 0,
    vrf: 0,
    source: sourceAddress ?? ZERO,
    destination: destinationAddress ?? ZERO,
    sourcePort: sourcePort?.[0] ?? 0,
    destinationPort: destinationPort?.[0] ?? 0,
  };
}

function ruleMatch({ context }: FirmwareRule): string {
  return textOf(new RuleMatch(context.match).build());
}

/** A rule's match in the shape of an ACL rule's; numbers of the network are swapped as they lie in memory. */
class RuleMatch {
  readonly #match: FlowMatch;
  #fields = 0;
  #parts: Partial<AclMatch> = {};

  constructor(match: FlowMatch) {
    this.#match = match;
  }

  build(): AclMatch {
    const protocol = swap16(this.#number('protocol'));
    if (this.#number('protocol_mask') !== 0) this.#add(ACL_FIELDS.ethertype, { ethertype: protocol });
    const [tag] = this.#match.vlan as Record<'id' | 'id_mask' | 'priority' | 'priority_mask', number>[];
    if (tag?.id_mask) this.#add(ACL_FIELDS.vlan, { vlan: tag.id });
    if (tag?.id_mask && tag.priority_mask) this.#add(ACL_FIELDS.vlanPriority, { vlanPriority: tag.priority });
    this.#macs();
    this.#addresses();
    if (this.#number('ip_protocol_mask') !== 0)
      this.#add(ACL_FIELDS.protocol, { protocol: this.#number('ip_protocol') });
    if (this.#number('tos_mask') !== 0) this.#add(ACL_FIELDS.dscp, { dscp: this.#number('tos') >>> 2 });
    this.#ports('source', ACL_FIELDS.sourcePort);
    this.#ports('destination', ACL_FIELDS.destinationPort);
    this.#aboveIp();
    if (this.#number('fragment_mask') !== 0) this.#add(ACL_FIELDS.unfragmented, {});
    const family = protocol === ETH_P_IPV6 ? FAMILY.ipv6 : FAMILY.ipv4;
    return { family, ...this.#parts, fields: this.#fields } as AclMatch;
  }

  #number(name: string): number {
    return Number(this.#match[name]);
  }

  #add(field: number, part: Partial<AclMatch>): void {
    this.#fields |= field;
    this.#parts = { ...this.#parts, ...part };
  }

  #macs(): void {
    for (const [side, field] of [
      ['source', ACL_FIELDS.sourceMac],
      ['destination', ACL_FIELDS.destinationMac],
    ] as const) {
      const mask = macOf(this.#match[`${side}_mac_mask`]);
      if (mask !== 0)
        this.#add(field, { [`${side}Mac`]: macOf(this.#match[`${side}_mac`]), [`${side}MacMask`]: mask });
    }
  }

  #addresses(): void {
    for (const [side, field] of [
      ['source', ACL_FIELDS.sourceAddress],
      ['destination', ACL_FIELDS.destinationAddress],
    ] as const) {
      const mask = this.#words(`${side}_mask`);
      if (mask.some((word) => word !== 0))
        this.#add(field, { [`${side}Address`]: this.#words(side), [`${side}Mask`]: mask });
    }
  }

  /** As the planner has them: IPv4 in the last word. */
  #words(name: string): Words {
    const words = (this.#match[name] as readonly number[]).map(swap32);
    const isV6 = swap16(this.#number('protocol')) === ETH_P_IPV6;
    return (isV6 ? words : [0, 0, 0, words[0]!]) as unknown as Words;
  }

  #ports(side: 'source' | 'destination', field: number): void {
    const of = (name: string) => swap16(this.#number(`${side}_port${name}`));
    const ends =
      of('_mask') !== 0
        ? ([of(''), of('')] as const)
        : of('_max') !== 0
          ? ([of('_min'), of('_max')] as const)
          : undefined;
    if (ends !== undefined) this.#add(field, { [`${side}Port`]: ends });
  }

  #aboveIp(): void {
    const mask = swap16(this.#number('tcp_flags_mask'));
    if (mask !== 0)
      this.#add(ACL_FIELDS.tcpFlags, { tcpFlags: swap16(this.#number('tcp_flags')), tcpFlagsMask: mask });
    if (this.#number('icmp_type_mask') !== 0)
      this.#add(ACL_FIELDS.icmpType, { icmpType: this.#number('icmp_type') });
    if (this.#number('icmp_code_mask') !== 0)
      this.#add(ACL_FIELDS.icmpCode, { icmpCode: this.#number('icmp_code') });
  }
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

function swap32(value: number): number {
  return ((swap16(value & 0xffff) << 16) | swap16(value >>> 16)) >>> 0;
}

function macOf(bytes: unknown): number {
  return [...(bytes as Uint8Array)].reduce((mac, byte) => mac * 256 + byte, 0);
}
