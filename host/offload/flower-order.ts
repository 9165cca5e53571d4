/**
 * Which flower filters go first is not always known. Those of one priority are tried mask by mask in the order the masks came, and those
 * with port ranges in the order they came, which netlink does not tell. Where no packet can match two of them it does not matter:
 * Open vSwitch has all its flows of an Ethernet type at one priority, and no two overlap.
 */
import type { AclMatch } from './acl.ts';
import type { FilterView } from './kernel-view.ts';

/** Masks of one priority that are compared with each other; with more of them the order counts as not known. */
const MASKS_MAX = 16;
/** Options of flower that are no part of its mask. */
const UNMASKED = new Set(['classid', 'act', 'flags', 'in_hw_count']);

/** Filters that look at the same bits: what they find there, as words under `mask`. */
interface Group {
  readonly mask: readonly number[];
  readonly values: (readonly number[])[];
}

/**
 * Priorities of which it is not known which filter goes first, though a packet may match two.
 *
 * @param filters of flower and chain 0
 * @param matchOf something that matches at least what the filter does
 */
export function prioritiesWithoutOrder(
  filters: Iterable<FilterView>,
  matchOf: (filter: FilterView) => AclMatch,
): Set<number> {
  const byPriority = new Map<number, FilterView[]>();
  for (const filter of filters) {
    const others = byPriority.get(filter.priority);
    if (others === undefined) byPriority.set(filter.priority, [filter]);
    else others.push(filter);
  }
  const unordered = new Set<number>();
  for (const [priority, all] of byPriority) {
    const hasOneMask = all.every((filter) => rawMask(filter) === rawMask(all[0]!));
    if (!hasOneMask && !areDisjoint(groupsOf(all, matchOf))) unordered.add(priority);
  }
  return unordered;
}

const rawMasks = new WeakMap<FilterView, string>();

/** The mask as the kernel compares it (fl_mask): which keys the filter has, and their bits. */
function rawMask(filter: FilterView): string {
  let mask = rawMasks.get(filter);
  if (mask === undefined) {
    const { options } = filter;
    const parts: string[] = [];
    for (const [name, value] of Object.entries(options)) {
      if (UNMASKED.has(name)) continue;
      // Ports of every protocol are the same two fields.
      const key = name.replace(/^key_(tcp|udp|sctp)_(src|dst)/, 'key_port_$2');
      if (/^key_port_(src|dst)_min$/.test(name)) parts.push(`range of ${filter.id}`);
      else if (!name.endsWith('_mask')) parts.push(key);
      else
        parts.push(
          `${key} ${JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}` : part))}`,
        );
    }
    mask = parts.sort().join();
    rawMasks.set(filter, mask);
  }
  return mask;
}

/** By the kernel's masks, as each of them is tried by itself. */
function groupsOf(filters: readonly FilterView[], matchOf: (filter: FilterView) => AclMatch): Group[] {
  const groups = new Map<string, Group>();
  for (const filter of filters) {
    const { mask, value } = wordsOf(matchOf(filter));
    // What is in one group by the kernel's mask is in one by these words, but for what depends on a value.
    const key = `${rawMask(filter)} ${mask}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { mask, values: [value] });
    else group.values.push(value);
  }
  return [...groups.values()];
}

function areDisjoint(groups: readonly Group[]): boolean {
  if (groups.length > MASKS_MAX) return false;
  return groups.every((one, place) => groups.slice(place + 1).every((other) => nothingMeets(one, other)));
}

/** Whether no two filters of the groups have the same under the bits that both look at. */
function nothingMeets(one: Group, other: Group): boolean {
  const both = one.mask.map((word, place) => word & other.mask[place]!);
  const under = (value: readonly number[]) => value.map((word, place) => word & both[place]!).join();
  const found = new Set(one.values.map(under));
  return !other.values.some((value) => found.has(under(value)));
}

const NO_WORDS = [0, 0, 0, 0] as const;

/** A match as words with the bits that count; ranges of ports count as all ports. */
function wordsOf(match: AclMatch): { readonly value: number[]; readonly mask: number[] } {
  const value: number[] = [];
  const mask: number[] = [];
  const put = (word: number | undefined, bits: number) => {
    value.push(word === undefined ? 0 : word & bits);
    mask.push(word === undefined ? 0 : bits);
  };
  const mac = (word: number | undefined, bits = 0) => {
    put(word === undefined ? undefined : Math.floor(word / 2 ** 32), Math.floor(bits / 2 ** 32));
    put(word === undefined ? undefined : word % 2 ** 32, bits % 2 ** 32);
  };
  const port = (ends: readonly [number, number] | undefined) =>
    put(ends !== undefined && ends[0] === ends[1] ? ends[0] : undefined, 0xffff);
  // Of the outermost header, or with a tag of what it carries: two things.
  const isTagged = match.vlan !== undefined;
  put(isTagged ? undefined : match.ethertype, 0xffff);
  put(isTagged ? match.ethertype : undefined, 0xffff);
  put(match.vlan, 0xfff);
  put(match.vlanPriority, 7);
  mac(match.sourceMac, match.sourceMacMask);
  mac(match.destinationMac, match.destinationMacMask);
  for (const [address, bits] of [
    [match.sourceAddress, match.sourceMask],
    [match.destinationAddress, match.destinationMask],
  ] as const)
    for (const place of NO_WORDS.keys()) put(address?.[place], bits?.[place] ?? 0);
  put(match.protocol, 0xff);
  put(match.dscp, 0x3f);
  port(match.sourcePort);
  port(match.destinationPort);
  put(match.tcpFlags, match.tcpFlagsMask ?? 0);
  put(match.icmpType, 0xff);
  put(match.icmpCode, 0xff);
  return { value, mask };
}
