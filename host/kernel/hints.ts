/**
 * What BPF notifiers say may have left the kernel without a word. A hint is no change: netlink alone decides what the mirror
 * holds. It names what to look at, so that it is looked at now rather than after the announcement of a cause (reactions.ts),
 * and so that only the part it lies in is read.
 *
 * The kernel tells its notifiers of an IPv4 prefix only what became of the best of its routes (net/ipv4/fib_trie.c
 * fib_notify_alias_delete): when the best leaves and others stay it says "replaced", when one of the others leaves it says
 * nothing. So a deletion says that no route of the prefix is left, and every route of the key it names is a suspect; a
 * replacement is no hint: nearly all of them are announced, and the rest is what reactions.ts is for.
 */

import { wordOf } from '../mirror/key.ts';
import type { ObjectTable } from '../mirror/table.ts';
import type { ObjectId } from '../mirror/types.ts';
import { align4, type Datagram, findAttribute, LITTLE_ENDIAN, NLA_HDRLEN } from '../netlink/message.ts';
import { nexthopAttributes } from '../netlink/schema/nexthop.ts';
import { routeAttributes } from '../netlink/schema/route.ts';
import type { RoutePart } from './requests.ts';
import { routeNexthopId, routeTable } from './routes.ts';
import { AF_INET } from './rtnetlink.ts';
import { inSlices } from './slices.ts';

/** Hints that wait to be looked at. Beyond, they are dropped and all routes are read again. */
export const HINTS_MAX = 65_536;
/** Nexthop ids that wait; beyond, the rest is not noted: one suffices for reading all nexthops again. */
const NEXTHOPS_MAX = 1024;

/** Words of a hint: family and lengths, table, metric, address. */
const HINT_WORDS = 7;

const { dst: DST, table: TABLE, priority: PRIORITY, oif: OIF, multipath: MULTIPATH } = routeAttributes.number;
const HEADER = 12;

/** What may be gone. */
export interface Suspects {
  readonly ids: readonly ObjectId[];
  /** The narrowest that show those that are still there; at most one per family. */
  readonly parts: readonly RoutePart[];
}

export class Hints {
  readonly #wake: () => void;
  /** Made with the first hint. */
  #waiting: Uint32Array | undefined;
  #revisions: Float64Array | undefined;
  #length = 0;
  #overflowed = false;
  #nexthops = new Set<number>();
  /** A route message with the key of a hint. */
  readonly #bytes = new Uint8Array(64);
  readonly #message: Datagram = { bytes: this.#bytes, words: new Uint32Array(this.#bytes.buffer) };
  readonly #view = new DataView(this.#bytes.buffer);

  /** `wake`: there is something to look at. Called with every hint. */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  /**
   * No route of this prefix is left in the table. `address` holds the destination's bytes at `at`, in network order;
   * `revision` is the mirror's: what changed since then needs no look.
   */
  routeGone(
    family: number,
    table: number,
    length: number,
    tos: number,
    priority: number,
    address: Uint8Array,
    at: number,
    revision: number,
  ): void {
    if (this.#length === HINTS_MAX) {
      this.#overflowed = true;
      return;
    }
    this.#waiting ??= new Uint32Array(HINTS_MAX * HINT_WORDS);
    this.#revisions ??= new Float64Array(HINTS_MAX);
    this.#revisions[this.#length] = revision;
    const words = this.#waiting;
    const to = this.#length++ * HINT_WORDS;
    words[to] = family | (length << 8) | (tos << 16);
    words[to + 1] = table;
    words[to + 2] = priority;
    const bytes = family === AF_INET ? 4 : 16;
    for (let word = 0; word * 4 < bytes; word++) {
      const from = at + word * 4;
      words[to + 3 + word] =
        (address[from]! << 24) | (address[from + 1]! << 16) | (address[from + 2]! << 8) | address[from + 3]!;
    }
    this.#wake();
  }

  /** A nexthop object left. */
  nexthopGone(id: number): void {
    if (this.#nexthops.size < NEXTHOPS_MAX) this.#nexthops.add(id);
    this.#wake();
  }

  get isEmpty(): boolean {
    return this.#length === 0 && this.#nexthops.size === 0 && !this.#overflowed;
  }

  /** Whether hints were dropped since the last call. */
  takeOverflow(): boolean {
    const overflowed = this.#overflowed;
    this.#overflowed = false;
    return overflowed;
  }

  /** Whether the mirror still has a nexthop object that was said to be gone. */
  takeNexthops(table: ObjectTable): boolean {
    const ids = this.#nexthops;
    if (ids.size === 0) return false;
    this.#nexthops = new Set();
    let found = false;
    table.forEach((id) => {
      const { data, start, end } = table.locate(id);
      if (!found && ids.has(nexthopId(data, start, end))) found = true;
    });
    return found;
  }

  /** Routes of the mirror that the hints so far are about and that nothing was announced of since. */
  async takeRoutes(table: ObjectTable): Promise<Suspects> {
    const waiting = this.#waiting;
    const revisions = this.#revisions;
    const count = this.#length;
    const ids: ObjectId[] = [];
    const parts = new Map<number, RoutePart>();
    if (waiting === undefined || revisions === undefined || count === 0) return { ids, parts: [] };
    await inSlices(
      0,
      () => count,
      (hint) => {
        const end = this.#writeKey(waiting, hint * HINT_WORDS);
        const matches = table.match(this.#message, 0, end);
        for (let at = 0; matches !== undefined && at < matches.length; at++) {
          const id = matches.ids[at]!;
          if (table.revisionOf(id) > revisions[hint]!) continue;
          ids.push(id);
          widen(parts, table, id);
        }
      },
    );
    // What came meanwhile stays for the next time.
    waiting.copyWithin(0, count * HINT_WORDS, this.#length * HINT_WORDS);
    revisions.copyWithin(0, count, this.#length);
    this.#length -= count;
    return { ids, parts: [...parts.values()] };
  }

  /** Writes the hint's key as a route message; returns its end. */
  #writeKey(hints: Uint32Array, from: number): number {
    const { words } = this.#message;
    const first = hints[from]!;
    const family = first & 0xff;
    const length = (first >>> 8) & 0xff;
    words.fill(0, 0, HEADER / 4);
    this.#bytes[0] = family;
    this.#bytes[1] = length;
    this.#bytes[3] = first >>> 16;
    let at = this.#attribute(HEADER, TABLE, 4);
    words[(at - 4) >>> 2] = hints[from + 1]!;
    at = this.#attribute(at, PRIORITY, 4);
    words[(at - 4) >>> 2] = hints[from + 2]!;
    if (length === 0) return at;
    const bytes = family === AF_INET ? 4 : 16;
    const end = this.#attribute(at, DST, bytes);
    for (let word = 0; word * 4 < bytes; word++) {
      this.#view.setUint32(at + NLA_HDRLEN + word * 4, hints[from + 3 + word]!);
    }
    return end;
  }

  /** Writes an attribute's header; returns where the next one goes. */
  #attribute(at: number, type: number, bytes: number): number {
    this.#view.setUint16(at, NLA_HDRLEN + bytes, LITTLE_ENDIAN);
    this.#view.setUint16(at + 2, type, LITTLE_ENDIAN);
    return at + NLA_HDRLEN + align4(bytes);
  }
}

/** Makes the part of the route's family wide enough to show the route. */
function widen(parts: Map<number, RoutePart>, table: ObjectTable, id: ObjectId): void {
  const { data, start, end } = table.locate(id);
  const family = data.bytes[start]!;
  const protocol = data.bytes[start + 5]!;
  const type = data.bytes[start + 7]!;
  const number = routeTable(data, start, end);
  const ifindex = linkOf(data, start, end);
  const part = parts.get(family);
  if (part === undefined) {
    parts.set(family, { family, table: number, protocol, type, ifindex });
    return;
  }
  const same =
    part.table === number && part.protocol === protocol && part.type === type && part.ifindex === ifindex;
  if (same) return;
  parts.set(family, {
    family,
    table: part.table === number ? number : 0,
    protocol: part.protocol === protocol ? protocol : 0,
    type: part.type === type ? type : 0,
    ifindex: part.ifindex === ifindex ? ifindex : 0,
  });
}

/** The one link a route goes out of by itself, 0 otherwise. */
function linkOf(data: Datagram, start: number, end: number): number {
  if (routeNexthopId(data, start, end) !== 0) return 0;
  if (findAttribute(data.words, start + HEADER, end, MULTIPATH) >= 0) return 0;
  return wordOf(data, start + HEADER, end, OIF, 0);
}

function nexthopId(data: Datagram, start: number, end: number): number {
  return wordOf(data, start + 8, end, nexthopAttributes.number.id, 0);
}
