/** Objects of the mirror as marks of the kernel, and which marks the kernel showed with them. */
import { MARK_FLAGS, MARK_KIND, type MarkKind, type Marks } from '../kernel/firmware/marks.ts';
import { KIND, type ObjectCursor } from '../mirror/types.ts';
import { nexthopAttributes } from '../netlink/schema/nexthop.ts';
import { NeighbourReader } from './neighbour-reader.ts';
import { checkOf } from './route-check.ts';
import { AF_BRIDGE, AF_INET, littleEndian32, RouteReader } from './route-reader.ts';
import type { StationNews } from './station-book.ts';

export type MarkedKind = typeof KIND.route | typeof KIND.nexthop | typeof KIND.fdb;

/** RTM_F_OFFLOAD, RTM_F_TRAP, RTM_F_OFFLOAD_FAILED */
const ROUTE_FLAGS = { offload: 0x4000, trap: 0x8000, failed: 0x2000_0000 } as const;
/** RTNH_F_OFFLOAD, RTNH_F_TRAP */
const NEXTHOP_FLAGS = { offload: 8, trap: 64 } as const;
const NTF_EXT_LEARNED = 0x10;
const NTF_OFFLOADED = 0x20;
/** struct nhmsg: nh_flags */
const NHMSG_FLAGS = 4;
const NHMSG_BYTES = 8;
/** NHA_ID */
const NEXTHOP_ID = nexthopAttributes.number.id;

export class MarkWriter {
  readonly #marks: Marks;
  readonly #routes = new RouteReader();
  readonly #entries = new NeighbourReader();
  readonly #address = new Uint8Array(16);
  readonly #mac = this.#address.subarray(0, 6);

  constructor(marks: Marks) {
    this.#marks = marks;
  }

  get isFull(): boolean {
    return this.#marks.isFull;
  }

  /** MARK_FLAGS that the kernel's message about the object had; what never was in hardware for the kernel has none. */
  shown(kind: MarkedKind, { bytes, start, end }: ObjectCursor): number {
    if (end - start < NHMSG_BYTES + 4) return 0;
    if (kind === KIND.fdb) return (bytes[start + 10]! & NTF_OFFLOADED) === 0 ? 0 : MARK_FLAGS.offloaded;
    if (kind === KIND.nexthop) {
      const flags = littleEndian32(bytes, start + NHMSG_FLAGS);
      if ((flags & NEXTHOP_FLAGS.offload) !== 0) return MARK_FLAGS.offloaded;
      return (flags & NEXTHOP_FLAGS.trap) === 0 ? 0 : MARK_FLAGS.trapped;
    }
    const flags = littleEndian32(bytes, start + 8);
    return (
      ((flags & ROUTE_FLAGS.offload) === 0 ? 0 : MARK_FLAGS.offloaded) |
      ((flags & ROUTE_FLAGS.trap) === 0 ? 0 : MARK_FLAGS.trapped) |
      ((flags & ROUTE_FLAGS.failed) === 0 ? 0 : MARK_FLAGS.failed)
    );
  }

  /**
   * Adds the mark of the object under the cursor.
   * @param isStation it is an entry that hardware learned
   * @returns false for what has no marks
   */
  add(kind: MarkedKind, cursor: ObjectCursor, flags: number, isStation = false): boolean {
    if (kind === KIND.route) return this.#addRoute(cursor, flags);
    // Nexthops and entries have no mark for what failed, entries none for what is trapped.
    if (kind === KIND.fdb) return this.#addEntry(cursor, flags & MARK_FLAGS.offloaded, isStation);
    return this.#addNexthop(cursor, flags & (MARK_FLAGS.offloaded | MARK_FLAGS.trapped));
  }

  #addRoute(cursor: ObjectCursor, flags: number): boolean {
    const route = this.#routes;
    if (!route.read(cursor) || route.sourceLength > 0) return false;
    const isFour = route.family === AF_INET;
    this.#address.fill(0);
    for (let byte = 0; byte < (isFour ? 4 : 16); byte++)
      this.#address[byte] = route.prefix[byte >> 2]! >>> (24 - 8 * (byte & 3));
    return this.#marks.add({
      kind: isFour ? MARK_KIND.route4 : MARK_KIND.route6,
      flags,
      place: route.table,
      number: route.priority,
      length: route.length,
      address: this.#address,
      check: checkOf(route),
    });
  }

  #addNexthop({ bytes, start, end }: ObjectCursor, flags: number): boolean {
    for (let at = start + NHMSG_BYTES; at + 8 <= end; ) {
      const size = bytes[at]! | (bytes[at + 1]! << 8);
      if (size < 4) return false;
      if (size === 8 && (bytes[at + 2]! | ((bytes[at + 3]! & 0x3f) << 8)) === NEXTHOP_ID)
        return this.#marks.add({ kind: MARK_KIND.nexthop, flags, place: littleEndian32(bytes, at + 4) });
      at += (size + 3) & ~3;
    }
    return false;
  }

  /** The entry of a bridge that is under the cursor, good until the next call; undefined: it is none. */
  entryOf(cursor: ObjectCursor): NeighbourReader | undefined {
    const entry = this.#entries;
    const isOfBridge = entry.read(cursor) && entry.family === AF_BRIDGE && entry.master !== 0 && entry.hasMac;
    return isOfBridge ? entry : undefined;
  }

  /** An address that hardware learned, or forgot. */
  addStation({ place, vlan, mac, isGone }: StationNews): void {
    this.#addPlaced(MARK_KIND.fdbLearned, isGone ? 0 : MARK_FLAGS.offloaded, place, vlan, mac);
  }

  /** The bridge has no entry of it at the port any more. */
  addGone(place: number, vlan: number, mac: number): void {
    this.#addPlaced(MARK_KIND.fdb, 0, place, vlan, mac);
  }

  #addPlaced(kind: MarkKind, flags: number, place: number, vlan: number, mac: number): boolean {
    this.#setMac(mac);
    return this.#marks.add({ kind, flags, place, number: vlan, address: this.#mac });
  }

  #setMac(mac: number): void {
    for (let byte = 0; byte < 6; byte++) this.#mac[byte] = Math.floor(mac / 2 ** (40 - 8 * byte)) % 256;
  }

  /** What hardware learned stays with it while it does not hold it: it would go with its mark when the host ends. */
  #addEntry(cursor: ObjectCursor, flags: number, isStation: boolean): boolean {
    const entry = this.entryOf(cursor);
    if (entry === undefined) return false;
    const { ifindex, vlan, mac } = entry;
    if (isStation && flags === 0)
      return this.#addPlaced(MARK_KIND.fdbLearned, MARK_FLAGS.trapped, ifindex, vlan, mac);
    return this.#addPlaced(MARK_KIND.fdb, flags, ifindex, vlan, mac);
  }
}

/** Whoever learned the entry, it was not the bridge. */
export const isExternal = ({ flags }: NeighbourReader) => (flags & NTF_EXT_LEARNED) !== 0;
