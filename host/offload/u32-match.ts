/**
 * What a u32 filter matches, in the fields of rules.
 *
 * The kernel compares 32-bit words at fixed places from the network header on, whatever stands there (net/sched/cls_u32.c
 * `u32_classify`). Words of the IPv4 or IPv6 header are fields as they stand. Those behind it are fields if the filter also says which protocol
 * it is; where the header is not as long as usual, or a fragment's rest follows it, hardware that looks at fields hands the packet to the kernel.
 *
 * A packet that ends before a word leaves all filters of the priority unmatched. So words behind ports must stand after the
 * protocol's; packets that end before them are no Ethernet frames of the usual minimum, and the kernel's.
 */

import type { Decoded } from '../netlink/decode.ts';
import { ACL_FIELDS, FAMILY } from '../plugin/records.ts';
import type { AclWant } from './codecs.ts';
import { type FilterView, nested, number32 } from './kernel-view.ts';

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
/** linux/pkt_cls.h */
const TC_U32_TERMINAL = 1;
/** The kernel's own tables, one for each priority, are numbered from here on (`gen_new_htid`). */
const ROOT_TABLES = 0x800;
const TCP = 6;
/** Protocols whose ports are fields of rules: TCP, UDP, SCTP. */
const WITH_PORTS = new Set([TCP, 17, 132]);
/** Options that say nothing about which packets match. */
const UNMATCHED = new Set(['classid', 'hash', 'sel', 'act', 'flags', 'pcnt', 'pad']);
/** Bytes of the packet that words are read from. */
const BYTES_MAX = 60;

/** Where the fields of a version stand: bytes from the network header on. */
interface Places {
  readonly family: number;
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  /** Of the header: what it carries begins here. */
  readonly length: number;
  readonly icmp: number;
  /** Bits of the first two bytes that are the upper 6 of TOS or traffic class, and by how much they are shifted. */
  readonly class: readonly [bits: number, shift: number];
}

const PLACES: ReadonlyMap<number, Places> = new Map([
  [
    ETH_P_IP,
    { family: FAMILY.ipv4, protocol: 9, source: 12, destination: 16, length: 20, icmp: 1, class: [0xfc, 2] },
  ],
  [
    ETH_P_IPV6,
    { family: FAMILY.ipv6, protocol: 6, source: 8, destination: 24, length: 40, icmp: 58, class: [0xfc0, 6] },
  ],
]);

/** What takes the fields; see `MatchBuilder` in acl.ts. */
interface Fields {
  isExact: boolean;
  family: number;
  add(field: number, part: Partial<AclWant>): void;
}

/** The words a filter compares, as bytes of the packet. */
class Bytes {
  readonly mask = new Uint8Array(BYTES_MAX);
  readonly value = new Uint8Array(BYTES_MAX);

  /** False when the word contradicts another one, or is not within reach. */
  add(offset: number, mask: number, value: number): boolean {
    if (offset < 0 || offset + 4 > BYTES_MAX) return false;
    for (let byte = 0; byte < 4; byte++) {
      const at = offset + byte;
      const bits = (mask >>> (24 - 8 * byte)) & 0xff;
      const wanted = (value >>> (24 - 8 * byte)) & bits;
      if (((this.value[at]! ^ wanted) & this.mask[at]! & bits) !== 0) return false;
      this.mask[at]! |= bits;
      this.value[at]! |= wanted;
    }
    return true;
  }

  /** Takes the bits at `at` out of what is to be explained: their mask and value. */
  take(at: number, size: 1 | 2 | 4): { mask: number; value: number } {
    const read = (from: Uint8Array) => {
      let number = 0;
      for (let byte = 0; byte < size; byte++) number = number * 256 + from[at + byte]!;
      return number;
    };
    const taken = { mask: read(this.mask), value: read(this.value) };
    this.mask.fill(0, at, at + size);
    return taken;
  }

  get isExplained(): boolean {
    return this.mask.every((bits) => bits === 0);
  }
}

/** Whether the filter ever decides: one that is not terminal only leads to other tables. */
export function isTerminal(filter: FilterView): boolean {
  return (number32(nested(filter.options.sel).flags) & TC_U32_TERMINAL) !== 0;
}

/**
 * Priorities whose u32 filters are in more than the one table that the kernel makes for each: which of them it tries, and where they look,
 * depends on links.
 */
export function prioritiesWithTables(filters: readonly FilterView[]): Set<number> {
  const tables = new Map<number, number>();
  const several = new Set<number>();
  for (const { kind, chain, handle, priority } of filters) {
    if (kind !== 'u32' || chain !== 0 || handle === 0) continue;
    const table = handle >>> 20;
    const known = tables.get(priority);
    if (known === undefined) tables.set(priority, table);
    if (table < ROOT_TABLES || (known !== undefined && known !== table)) several.add(priority);
  }
  return several;
}

/** Adds the fields that the filter compares; not exact where it compares something else, too. */
export function u32Match(fields: Fields, filter: FilterView): void {
  const { options, protocol } = filter;
  const places = PLACES.get(protocol);
  const keys = (nested(options.sel).keys ?? []) as readonly Decoded[];
  const bytes = new Bytes();
  for (const name of Object.keys(options)) if (!UNMATCHED.has(name)) fields.isExact = false;
  for (const key of keys) {
    const isThere = number32(key.off) + 4 <= endOf(places, bytes);
    const isFixed = number32(key.offmask) === 0;
    if (!isFixed || !bytes.add(number32(key.off), number32(key.mask), number32(key.val)) || !isThere)
      fields.isExact = false;
  }
  if (places !== undefined) {
    fields.family = places.family;
    addHeader(fields, bytes, places);
  }
  if (!bytes.isExplained) fields.isExact = false;
}

/** How far packets reach that have what was compared so far: with fewer bytes they are the kernel's. */
function endOf(places: Places | undefined, bytes: Bytes): number {
  if (places === undefined) return 20;
  const isTcp = bytes.mask[places.protocol] === 0xff && bytes.value[places.protocol] === TCP;
  return places.length + (isTcp ? 20 : 4);
}

function addHeader(fields: Fields, bytes: Bytes, places: Places): void {
  const [bits, shift] = places.class;
  const start = bytes.take(0, 2);
  if (start.mask === bits) fields.add(ACL_FIELDS.dscp, { dscp: start.value >>> shift });
  else if (start.mask !== 0) fields.isExact = false;
  addAddress(fields, bytes, places, 'source');
  addAddress(fields, bytes, places, 'destination');
  const protocol = bytes.take(places.protocol, 1);
  if (protocol.mask === 0) return;
  if (protocol.mask !== 0xff) {
    fields.isExact = false;
    return;
  }
  fields.add(ACL_FIELDS.protocol, { protocol: protocol.value });
  if (WITH_PORTS.has(protocol.value)) addPorts(fields, bytes, places.length);
  if (protocol.value === TCP) addTcpFlags(fields, bytes, places.length + 12);
  if (protocol.value === places.icmp) addIcmp(fields, bytes, places.length);
}

function addAddress(fields: Fields, bytes: Bytes, places: Places, side: 'source' | 'destination'): void {
  const words = places.family === FAMILY.ipv4 ? 1 : 4;
  const address = [0, 0, 0, 0];
  const mask = [0, 0, 0, 0];
  for (let word = 0; word < words; word++) {
    const taken = bytes.take(places[side] + 4 * word, 4);
    address[4 - words + word] = taken.value;
    mask[4 - words + word] = taken.mask;
  }
  if (mask.every((word) => word === 0)) return;
  fields.add(side === 'source' ? ACL_FIELDS.sourceAddress : ACL_FIELDS.destinationAddress, {
    [`${side}Address`]: address,
    [`${side}Mask`]: mask,
  });
}

/** A mask of upper bits is a range of ports; others are none. */
function addPorts(fields: Fields, bytes: Bytes, at: number): void {
  for (const [place, field, name] of [
    [at, ACL_FIELDS.sourcePort, 'sourcePort'],
    [at + 2, ACL_FIELDS.destinationPort, 'destinationPort'],
  ] as const) {
    const { mask, value } = bytes.take(place, 2);
    const rest = ~mask & 0xffff;
    if (mask === 0) continue;
    if ((rest & (rest + 1)) !== 0) fields.isExact = false;
    else fields.add(field, { [name]: [value, value | rest] });
  }
}

function addTcpFlags(fields: Fields, bytes: Bytes, at: number): void {
  const { mask, value } = bytes.take(at, 2);
  if (mask === 0) return;
  // The upper four bits are the header's length.
  if (mask > 0xfff) fields.isExact = false;
  fields.add(ACL_FIELDS.tcpFlags, { tcpFlags: value & 0xfff, tcpFlagsMask: mask & 0xfff });
}

function addIcmp(fields: Fields, bytes: Bytes, at: number): void {
  for (const [place, field, name] of [
    [at, ACL_FIELDS.icmpType, 'icmpType'],
    [at + 1, ACL_FIELDS.icmpCode, 'icmpCode'],
  ] as const) {
    const { mask, value } = bytes.take(place, 1);
    if (mask === 0xff) fields.add(field, { [name]: value });
    else if (mask !== 0) fields.isExact = false;
  }
}
