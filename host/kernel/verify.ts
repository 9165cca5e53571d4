/** The mirror against a fresh dump, or another fresh reading of its source: the proof of guarantee 1. */

import { EkhoError } from '../errors.ts';
import { KEYS } from '../mirror/keys.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { type Matches, ObjectTable } from '../mirror/table.ts';
import { Transaction } from '../mirror/transaction.ts';
import { KIND, KINDS, type Kind, type KindNumber } from '../mirror/types.ts';
import { type DecodedObject, decodeObject } from '../netlink/decode.ts';
import type { Datagram } from '../netlink/message.ts';
import type { NetlinkClient } from '../netlink/request.ts';
import { kindOf } from './announcements.ts';
import { Applier, DUMPED, isFilterEntry, type Reactions } from './apply.ts';
import { comparableText } from './comparison.ts';
import { ControlView } from './control-view.ts';
import { answer } from './dumps.ts';
import { dumpRequests, protocolOf } from './requests.ts';
import { isMultipath } from './routes.ts';
import { AF_INET6, NUD_FAILED, NUD_INCOMPLETE } from './rtnetlink.ts';
import { FAMILY_OF } from './significance.ts';
import { inSlices } from './slices.ts';

/** Differences listed; there may be more. */
const LISTED = 1000;
/** Comparisons while the mirror keeps changing. */
const ATTEMPTS = 20;
/** Comparisons in a row that must fail on an unchanged mirror. */
const CONFIRMATIONS = 3;
const PAUSE_MS = 150;
/** linux/neighbour.h struct ndmsg */
const NEIGHBOUR_HEADER = 12;
/** linux/if_addr.h, in ifaddrmsg.ifa_flags. */
const IFA_F_TENTATIVE = 0x40;

export interface Difference {
  readonly kind: Kind;
  /** The object as one line of JSON, or its bytes in hex; empty: the kind as a whole. */
  readonly key: string;
  /** Undefined: the kind as a whole, or an object that cannot be decoded. */
  readonly object?: DecodedObject | undefined;
  readonly side: 'kernel-only' | 'mirror-only' | 'differs';
  /** What differs: `header` or the name of an attribute and its bytes in hex, on either side; or empty. */
  readonly detail: string;
}

/** What the mirror is to be equal to. */
export interface VerifySource {
  /** Resolves once the mirror has everything that was announced before. */
  barrier(): Promise<void>;
  /** What there is now: tables of their own. */
  snapshot(): Promise<(kind: KindNumber) => ObjectTable | Promise<ObjectTable>>;
}

const NO_REACTIONS: Reactions = {
  doubt: () => {},
  siblingsDiffer: () => {},
  siblingGone: () => {},
  removing: () => {},
  changed: () => {},
  bridgePort: () => {},
  functionsUntold: () => {},
  bulkDeletion: () => {},
};

/**
 * Repeats until mirror and source agree, or the mirror stood still while they did not: some of what the kernel does
 * silently it does a little later (freeing actions), and so the mirror sees it later.
 */
export async function verifyMirror(
  mirror: Mirror,
  kinds: readonly KindNumber[],
  source: VerifySource,
): Promise<{ equal: boolean; differences: Difference[] }> {
  let unchanged = 0;
  for (let attempt = 1; ; attempt++) {
    await source.barrier();
    const revision = mirror.revision;
    const differences: Difference[] = [];
    const fresh = await source.snapshot();
    for (const kind of kinds) {
      try {
        await compare(mirror.table(kind), await fresh(kind), differences);
      } catch (error) {
        if (!(error instanceof EkhoError)) throw error;
        const detail = `cannot be compared: ${error.message}`;
        differences.push({ kind: KINDS[kind]!, key: '', side: 'differs', detail });
      }
    }
    if (differences.length === 0) return { equal: true, differences };
    await source.barrier();
    unchanged = mirror.revision === revision ? unchanged + 1 : 0;
    if (unchanged === CONFIRMATIONS || attempt === ATTEMPTS) return { equal: false, differences };
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** A table of its own with what the kernel has now. Rejects when the kernel does not say. */
export async function freshDump(
  mirror: Mirror,
  kind: KindNumber,
  tables: readonly number[] | undefined,
  client: Pick<NetlinkClient, 'dump' | 'request'>,
): Promise<ObjectTable> {
  const control = new ControlView((other) => mirror.table(other));
  const protocol = protocolOf(KINDS[kind]!);
  for (let attempt = 1; ; attempt++) {
    const table = new ObjectTable(kind, KEYS[KINDS[kind]!], new Transaction());
    const applier = new Applier(
      () => table,
      tables === undefined ? undefined : new Set(tables),
      NO_REACTIONS,
    );
    table.beginSweep();
    let interrupted = false;
    for (const request of dumpRequests({ kind }, control, tables)) {
      const again = await answer(client, request, (type, flags, _sequence, data, start, end) => {
        if (end > start && kindOf(protocol, type, data.bytes[start]!) === kind) {
          if (kind === KIND.neighbour) takeForFailed(data, start, end);
          applier.apply(kind, false, flags, DUMPED, data, start, end);
        }
      });
      if (again) interrupted = true;
    }
    if (!interrupted || attempt === ATTEMPTS) return table;
  }
}

async function compare(mine: ObjectTable, fresh: ObjectTable, differences: Difference[]): Promise<void> {
  const kind = KINDS[mine.kind]!;
  const note = (side: Difference['side'], table: ObjectTable, id: number, detail: string): void => {
    if (differences.length >= LISTED) return;
    const { data, start, end } = table.locate(id);
    differences.push({ kind, ...named(kind, data, start, end), side, detail });
  };
  fresh.beginSweep();
  await inSlices(
    1,
    () => mine.limit,
    (id) => {
      if (!mine.has(id)) return;
      const { data, start, end } = mine.locate(id);
      const matches = fresh.match(data, start, end);
      let unlike = 0;
      for (let at = 0; matches !== undefined && at < matches.length; at++) {
        const other = matches.ids[at]!;
        if (!fresh.isUnseen(other)) continue;
        if (fresh.equals(other, data, start, end) || isLike(mine, id, fresh, other)) {
          fresh.see(other);
          if (matches.length > 1 && rank(mine, id) !== at) {
            note('differs', mine, id, `place among its aliases: mirror ${rank(mine, id)} kernel ${at}`);
          }
          return;
        }
        if (unlike === 0) unlike = other;
      }
      if (matches !== undefined && mayBeSkipped(mine, id, fresh, matches)) return;
      if (unlike === 0) {
        if (!mayLeaveSilently(mine, id)) note('mirror-only', mine, id, '');
      } else {
        fresh.see(unlike);
        note('differs', mine, id, unlikeParts(mine.kind, textOf(mine, id), textOf(fresh, unlike)));
      }
    },
  );
  await inSlices(
    1,
    () => fresh.limit,
    (id) => {
      if (fresh.isUnseen(id) && !isYetUnannounced(fresh, id)) note('kernel-only', fresh, id, '');
    },
  );
}

/**
 * A neighbour that is being resolved is new, or had failed and is asked for again; neither is announced
 * (net/core/neighbour.c __neigh_event_send). Both come to what is known of it: it does not answer yet.
 */
function takeForFailed(data: Datagram, start: number, end: number): void {
  if (end - start < NEIGHBOUR_HEADER) return;
  // Every state is in the low byte, on either byte order one of these two is zero.
  for (const at of [start + 8, start + 9]) if (data.bytes[at] === NUD_INCOMPLETE) data.bytes[at] = NUD_FAILED;
}

/**
 * An IPv6 address the kernel gave itself is announced once it is known to be nobody else's (net/ipv6/addrconf.c). That a
 * neighbour failed is announced of those that were resolved or asked for, not of those nobody used yet (neigh_update).
 */
function isYetUnannounced(table: ObjectTable, id: number): boolean {
  const { data, start } = table.locate(id);
  if (mayLeaveSilently(table, id)) return true;
  if (table.kind === KIND.address) return (data.bytes[start + 2]! & IFA_F_TENTATIVE) !== 0;
  // Every state is in the low byte, on either byte order one of these two is zero.
  return table.kind === KIND.neighbour && (data.bytes[start + 8]! | data.bytes[start + 9]!) === NUD_FAILED;
}

/** An address that a link receives for a macvlan, say, comes and goes unannounced; one that `bridge fdb` sets does not. */
function mayLeaveSilently(table: ObjectTable, id: number): boolean {
  const { data, start, end } = table.locate(id);
  return table.kind === KIND.fdb && isFilterEntry(data, start, end);
}

/**
 * A dump shows the hops of an IPv6 route together and goes on behind the last of them: what stands between them, with the same
 * prefix and metric but not one of them (a blackhole, say), it skips (net/ipv6/ip6_fib.c fib6_dump_node).
 */
function mayBeSkipped(mine: ObjectTable, id: number, fresh: ObjectTable, { ids, length }: Matches): boolean {
  if (mine.kind !== KIND.route) return false;
  const { data, start, end } = mine.locate(id);
  if (data.bytes[start] !== AF_INET6 || isMultipath(data, start, end)) return false;
  for (let at = 0; at < length; at++) {
    const other = fresh.locate(ids[at]!);
    if (isMultipath(other.data, other.start, other.end)) return true;
  }
  return false;
}

/** The parts (header and attributes) that only one of two comparable texts has. */
function unlikeParts(kind: KindNumber, mine: string, fresh: string): string {
  const [a, b] = [mine.split(' '), fresh.split(' ')];
  const only = (parts: string[], others: string[]) =>
    parts
      .filter((part) => !others.includes(part))
      .map((part) => partName(kind, part))
      .join(' ') || 'nothing';
  return `mirror ${only(a, b)} kernel ${only(b, a)}`;
}

/** A part of a comparable text, `8:0011`, with the attribute's name; the header has no number. */
function partName(kind: KindNumber, part: string): string {
  const [number, bytes] = part.split(':');
  if (bytes === undefined) return `header ${number}`;
  return `${FAMILY_OF[kind]!.attributes.byNumber[Number(number)]?.name ?? `attribute ${number}`} ${bytes}`;
}

/** Place among the objects with the same key. */
function rank(table: ObjectTable, id: number): number {
  const { data, start, end } = table.locate(id);
  const matches = table.match(data, start, end);
  return matches === undefined ? -1 : matches.ids.subarray(0, matches.length).indexOf(id);
}

function textOf(table: ObjectTable, id: number): string {
  const { data, start, end } = table.locate(id);
  return comparableText(table.kind, data, start, end);
}

function isLike(mine: ObjectTable, id: number, fresh: ObjectTable, other: number): boolean {
  return textOf(mine, id) === textOf(fresh, other);
}

function named(kind: Kind, data: Datagram, start: number, end: number): Pick<Difference, 'key' | 'object'> {
  try {
    const object = decodeObject(kind, data.bytes, start, end);
    const key = JSON.stringify(object, (_, value) => (typeof value === 'bigint' ? value.toString() : value));
    return { key, object };
  } catch {
    return { key: Buffer.from(data.bytes.subarray(start, end)).toString('hex') };
  }
}
