/** Objects in the form in which they are stored, and whether two of them say the same. */

import { RULE_STATE_FLAGS } from '../mirror/keys/rule.ts';
import { Rewriter, type Span } from '../mirror/rewrite.ts';
import type { ObjectTable } from '../mirror/table.ts';
import { KIND, type KindNumber } from '../mirror/types.ts';
import type { Datagram } from '../netlink/message.ts';
import {
  align4,
  attributeLength,
  attributeType,
  HIGH_SHIFT,
  LOW_SHIFT,
  NLA_HDRLEN,
} from '../netlink/message.ts';
import { routeAttributes } from '../netlink/schema/route.ts';
import { xfrmLifetime, xfrmPolicyHeader } from '../netlink/schema/xfrm.ts';
import { IFF_UP, NUD_DELAY, NUD_REACHABLE, NUD_STALE } from './rtnetlink.ts';
import { FAMILY_OF, NOT_ANNOUNCED, NOT_ANNOUNCED_DOWN, NOT_COMPARED, NOT_STORED } from './significance.ts';

const storing = new Rewriter(NOT_STORED);
const mine = new Rewriter(NOT_COMPARED);
const theirs = new Rewriter(NOT_COMPARED);
const announced = new Rewriter(new Set([...NOT_COMPARED, ...NOT_ANNOUNCED]));
const announcedDown = new Rewriter(new Set([...NOT_COMPARED, ...NOT_ANNOUNCED_DOWN]));

const { multipath: MULTIPATH } = routeAttributes.number;

/**
 * Route and nexthop flags that tell how it fares: RTNH_F_DEAD, OFFLOAD, LINKDOWN, UNRESOLVED, TRAP, RTM_F_OFFLOAD, TRAP,
 * OFFLOAD_FAILED.
 */
const ROUTE_STATE_FLAGS = 0x1 | 0x8 | 0x10 | 0x20 | 0x40 | 0x4000 | 0x8000 | 0x20000000;
const HOP_STATE_FLAGS = 0x1 | 0x8 | 0x10 | 0x20 | 0x40;
/** RTM_F_OFFLOAD, TRAP, OFFLOAD_FAILED; RTNH_F_OFFLOAD, TRAP */
const ROUTE_MARKS = 0x4000 | 0x8000 | 0x20000000;
const HOP_MARKS = 0x8 | 0x40;
const NTF_OFFLOADED = 0x20;

/** The object as it is stored. Valid until the next call. */
export function storedForm(kind: KindNumber, data: Datagram, start: number, end: number): Span {
  const span = storing.rewrite(FAMILY_OF[kind]!, data, start, end);
  // ifinfomsg.ifi_change says what a notification is about.
  if (kind === KIND.link && span.end - span.start >= 16) span.data.words[(span.start + 12) >>> 2] = 0;
  // How much passed under a policy, and when.
  if (kind === KIND['xfrm-policy'] && span.end - span.start >= xfrmPolicyHeader.size) {
    const from = span.start + xfrmPolicyHeader.offset.curlft;
    span.data.bytes.fill(0, from, from + xfrmLifetime.size);
  }
  // nfgenmsg.res_id is the generation at the time of the message.
  if (kind >= KIND['nft-table'] && span.end - span.start >= 4)
    span.data.bytes.fill(0, span.start + 2, span.start + 4);
  if (kind === KIND.rule && span.end - span.start >= 12) {
    const flags = (span.start + 8) >>> 2;
    span.data.words[flags] = span.data.words[flags]! & ~RULE_STATE_FLAGS;
  }
  return span;
}

/** Whether the stored object and the one at `start` to `end` (in stored form) differ only in what is not compared. */
export function saysTheSame(
  table: ObjectTable,
  id: number,
  data: Datagram,
  start: number,
  end: number,
): boolean {
  const family = FAMILY_OF[table.kind]!;
  const stored = table.locate(id);
  const a = mine.rewrite(family, stored.data, stored.start, stored.end);
  const b = theirs.rewrite(family, data, start, end);
  return sameWords(a, b);
}

function sameWords(a: Span, b: Span): boolean {
  const words = (a.end - a.start) >>> 2;
  if (words !== (b.end - b.start) >>> 2) return false;
  for (let at = 0; at < words; at++) {
    if (a.data.words[(a.start >>> 2) + at] !== b.data.words[(b.start >>> 2) + at]) return false;
  }
  return true;
}

/** Whether two routes are the same configuration, whatever the state of their links and hardware. */
export function isSameRoute(
  table: ObjectTable,
  id: number,
  data: Datagram,
  start: number,
  end: number,
): boolean {
  const family = FAMILY_OF[table.kind]!;
  const stored = table.locate(id);
  const a = mine.rewrite(family, stored.data, stored.start, stored.end);
  const b = theirs.rewrite(family, data, start, end);
  clearRouteState(a);
  clearRouteState(b);
  return sameWords(a, b);
}

function clearRouteState(span: Span): void {
  const { words } = span.data;
  words[2] = words[2]! & ~ROUTE_STATE_FLAGS;
  for (let at = 12; at + NLA_HDRLEN <= span.end; ) {
    const length = attributeLength(words, at);
    if (length < NLA_HDRLEN) return;
    if (attributeType(words, at) === MULTIPATH) {
      forEachHop(span.data, at, (hop) => {
        span.data.bytes[hop + 2] = span.data.bytes[hop + 2]! & ~HOP_STATE_FLAGS;
      });
    }
    at += align4(length);
  }
}

/** Calls back with the position of each struct rtnexthop of the RTA_MULTIPATH at `at`, and its end. */
export function forEachHop(data: Datagram, at: number, callback: (hop: number, end: number) => void): void {
  const end = at + attributeLength(data.words, at);
  for (let hop = at + NLA_HDRLEN; hop + 8 <= end; ) {
    const length = (data.words[hop >>> 2]! >>> LOW_SHIFT) & 0xffff;
    if (length < 8 || length > end - hop) return;
    callback(hop, hop + length);
    hop += align4(length);
  }
}

/**
 * Only words that `verify` compares: attributes in any order, IPv6 hops in any order, neighbours used or not, without the marks of
 * what hardware has.
 */
export function comparableText(kind: KindNumber, data: Datagram, start: number, end: number): string {
  // ifinfomsg.ifi_flags
  const isDown = kind === KIND.link && (data.words[(start + 8) >>> 2]! & IFF_UP) === 0;
  const span = (isDown ? announcedDown : announced).rewrite(FAMILY_OF[kind]!, data, start, end);
  const { words, bytes } = span.data;
  if (kind === KIND.neighbour || kind === KIND.fdb) {
    // The kernel does not announce NUD_DELAY.
    const state = (span.start + 8) >>> 2;
    const low = (words[state]! >>> LOW_SHIFT) & (NUD_REACHABLE | NUD_STALE | NUD_DELAY);
    if (low !== 0) words[state] = (words[state]! & ~(0xffff << LOW_SHIFT)) | (NUD_REACHABLE << LOW_SHIFT);
  }
  clearMarks(kind, span);
  const header = align4(FAMILY_OF[kind]!.header.size);
  const parts: string[] = [];
  for (let at = span.start + header; at + NLA_HDRLEN <= span.end; ) {
    const length = attributeLength(words, at);
    if (length < NLA_HDRLEN || length > span.end - at) {
      parts.push(hex(bytes, at, span.end));
      break;
    }
    const type = (words[at >>> 2]! >>> HIGH_SHIFT) & 0x3fff;
    if (kind === KIND.route && type === MULTIPATH) {
      const hops: string[] = [];
      forEachHop(span.data, at, (hop, hopEnd) => {
        bytes[hop + 2] = bytes[hop + 2]! & ~HOP_MARKS;
        hops.push(hex(bytes, hop, hopEnd));
      });
      if (bytes[span.start] === 10) hops.sort();
      parts.push(`${type}:${hops.join('|')}`);
    } else {
      parts.push(`${type}:${hex(bytes, at + NLA_HDRLEN, at + length)}`);
    }
    at += align4(length);
  }
  return `${hex(bytes, span.start, span.start + header)} ${parts.sort().join(' ')}`;
}

/** Marks of nexthops and bridge entries are never announced, those of routes if a sysctl says so. */
function clearMarks(kind: KindNumber, { data, start }: Span): void {
  const { words } = data;
  if (kind === KIND.route) words[(start + 8) >>> 2] = words[(start + 8) >>> 2]! & ~(HOP_MARKS | ROUTE_MARKS);
  if (kind === KIND.nexthop) words[(start + 4) >>> 2] = words[(start + 4) >>> 2]! & ~HOP_MARKS;
  if (kind === KIND.fdb) data.bytes[start + 10] = data.bytes[start + 10]! & ~NTF_OFFLOADED;
}

function hex(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('hex');
}
