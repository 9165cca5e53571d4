/**
 * Routes that share a key, and what a message about one of them means: IPv4 aliases (net/ipv4/fib_trie.c
 * fib_table_insert, fib_table_delete) and IPv6 siblings (net/ipv6/ip6_fib.c fib6_add_rt2node, net/ipv6/route.c).
 */

import { wordOf } from '../mirror/key.ts';
import type { Matches, ObjectTable } from '../mirror/table.ts';
import {
  align4,
  attributeLength,
  attributeType,
  type Datagram,
  findAttribute,
  LITTLE_ENDIAN,
  NLA_HDRLEN,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
} from '../netlink/message.ts';
import { routeAttributes } from '../netlink/schema/route.ts';
import { forEachHop, isSameRoute } from './comparison.ts';
import { AF_INET, AF_INET6, RTM_F_CLONED } from './rtnetlink.ts';

const {
  oif: OIF,
  gateway: GATEWAY,
  multipath: MULTIPATH,
  cacheinfo: CACHEINFO,
  table: TABLE,
  nh_id: NH_ID,
  encap: ENCAP,
  encap_type: ENCAP_TYPE,
  pad: PAD,
} = routeAttributes.number;
/** What each hop of a route has for itself, and what only runs. */
const OF_HOPS: ReadonlySet<number> = new Set([OIF, GATEWAY, MULTIPATH, CACHEINFO, ENCAP, ENCAP_TYPE, PAD]);
const HEADER = 12;
/** Room before the others of a key for as many new routes as one dump may show. */
const NEW_GAP = 256;

/** The table of a route message. */
export function routeTable(data: Datagram, start: number, end: number): number {
  return wordOf(data, start + HEADER, end, TABLE, data.bytes[start + 4]!);
}

/** The nexthop object a route uses, 0 for none. */
export function routeNexthopId(data: Datagram, start: number, end: number): number {
  return wordOf(data, start + HEADER, end, NH_ID, 0);
}

/** The route has several hops of its own. */
export function isMultipath(data: Datagram, start: number, end: number): boolean {
  return findAttribute(data.words, start + HEADER, end, MULTIPATH) >= 0;
}

/** Whether the message is about a configured IPv4 or IPv6 route. */
export function isMirroredRoute(data: Datagram, start: number, end: number): boolean {
  if (end - start < HEADER) return false;
  const family = data.bytes[start];
  return (family === AF_INET || family === AF_INET6) && (data.words[(start + 8) >>> 2]! & RTM_F_CLONED) === 0;
}

/**
 * Takes RTA_CACHEINFO (36 bytes, on every IPv6 route) out of the message where it stands, unless it says when the route
 * expires or why it failed. Returns the new end.
 */
export function dropIdleCacheinfo(data: Datagram, start: number, end: number): number {
  const { words } = data;
  const at = findAttribute(words, start + HEADER, end, CACHEINFO);
  if (at < 0) return end;
  const length = attributeLength(words, at);
  const expires = words[(at + NLA_HDRLEN + 8) >>> 2];
  const error = words[(at + NLA_HDRLEN + 12) >>> 2];
  if (length < NLA_HDRLEN + 16 || expires !== 0 || error !== 0) return end;
  const next = at + align4(length);
  words.copyWithin(at >>> 2, next >>> 2, end >>> 2);
  return end - (next - at);
}

/** What a source of route messages wants to hear about. */
export interface RouteDoubt {
  /** The mirror cannot know what this message changed: the table has to be read again. */
  doubt(family: number, table: number): void;
  /** The table has IPv6 routes whose hops were given different attributes: a dump shows those of the first. */
  siblingsDiffer(family: number, table: number): void;
  /** A route lost one of its hops. */
  siblingGone(family: number, table: number): void;
}

/** A route as a dump shows it. `complete`: the dump shows all routes of this key, in their order. */
export function applyDumpedRoute(
  table: ObjectTable,
  data: Datagram,
  start: number,
  end: number,
  complete: boolean,
): boolean {
  const matches = table.match(data, start, end);
  if (matches === undefined) return false;
  if (matches.length === 0) {
    table.insert(matches.hash, data, start, end);
    return true;
  }
  let seen = 0;
  let id = 0;
  for (let at = 0; at < matches.length; at++) {
    const candidate = matches.ids[at]!;
    if (!table.isUnseen(candidate)) {
      // IPv6 has no route twice. A dump does, when routes came meanwhile: it counts how many it showed (ip6_fib.c fib6_dump_table).
      if (data.bytes[start] === AF_INET6 && table.equals(candidate, data, start, end)) return true;
      seen++;
    } else if (id === 0 && table.equals(candidate, data, start, end)) id = candidate;
  }
  if (id !== 0) {
    table.see(id);
  } else {
    id = unseenTwin(table, matches, data, start, end, complete);
    if (id === 0) {
      const order = complete ? seen : placeOfNew(table, matches, data.bytes[start]!);
      id = table.insert(matches.hash, data, start, end, order);
    } else table.replace(id, data, start, end);
  }
  if (complete && table.orderOf(id) !== seen) table.setOrder(id, seen);
  return true;
}

/**
 * A dump of a part may show a new route without the others of its key: it stands behind those shown already. Where there
 * are none, IPv6 puts it last (fib6_add_rt2node), IPv4 first; where it was appended, its notification, which is to come,
 * says so.
 */
function placeOfNew(table: ObjectTable, { ids, length }: Matches, family: number): number {
  if (family === AF_INET6) return table.orderOf(ids[length - 1]!) + 1;
  for (let at = length - 1; at >= 0; at--) {
    if (!table.isUnseen(ids[at]!)) return table.orderOf(ids[at]!) + 1;
  }
  return table.orderOf(ids[0]!) - NEW_GAP;
}

function unseenTwin(
  table: ObjectTable,
  matches: Matches,
  data: Datagram,
  start: number,
  end: number,
  complete: boolean,
): number {
  let first = 0;
  for (let at = 0; at < matches.length; at++) {
    const candidate = matches.ids[at]!;
    if (!table.isUnseen(candidate)) continue;
    if (isSameRoute(table, candidate, data, start, end)) return candidate;
    if (first === 0) first = candidate;
  }
  // The only one with this key was changed rather than replaced by another: keep its id. A dump of a part does not tell.
  return complete && matches.length === 1 ? first : 0;
}

/** A route the kernel announces as new or changed. */
export function applyNewRoute(
  table: ObjectTable,
  flags: number,
  data: Datagram,
  start: number,
  end: number,
  doubts: RouteDoubt,
): boolean {
  const matches = table.match(data, start, end);
  if (matches === undefined) return false;
  const { ids, length } = matches;
  if (length === 0) {
    table.insert(matches.hash, data, start, end);
    return true;
  }
  for (let at = 0; at < length; at++) {
    const isEqual = table.equals(ids[at]!, data, start, end);
    if (!isEqual && !isSameRoute(table, ids[at]!, data, start, end)) continue;
    if (!isEqual) table.replace(ids[at]!, data, start, end);
    if (data.bytes[start] === AF_INET) cameAgain(table, matches, at, flags);
    else if (!mayHaveSiblings(data, start, end)) addedAgain(table, matches, at, flags);
    // The dump of a part showed it before it was announced: whose place it took is not known.
    if ((flags & NLM_F_REPLACE) !== 0 && length > 1)
      doubts.doubt(data.bytes[start]!, routeTable(data, start, end));
    return true;
  }
  const successor =
    data.bytes[start] === AF_INET
      ? replacedAlias(table, matches, flags, data, start, end)
      : replacedIpv6(table, matches, flags, data, start, end);
  if (successor !== 0) {
    // NLM_F_EXCL says that no other route has this key: the mirror's others left without a word.
    if ((flags & NLM_F_EXCL) !== 0 && data.bytes[start] === AF_INET) {
      for (let at = 0; at < length; at++) if (ids[at] !== successor) table.remove(ids[at]!);
    }
    if (data.bytes[start] === AF_INET6 && addsToOthers(table, successor, flags, data, start, end))
      doubts.siblingsDiffer(AF_INET6, routeTable(data, start, end));
    table.replace(successor, data, start, end);
    return true;
  }
  const append = (flags & NLM_F_APPEND) !== 0 || data.bytes[start] !== AF_INET;
  const order = append ? table.orderOf(ids[length - 1]!) + 1 : table.orderOf(ids[0]!) - 1;
  table.insert(matches.hash, data, start, end, order);
  return true;
}

/**
 * A hop that comes to those of a route may have metrics and the like of its own. The notification shows its own, a dump those of
 * the route's first hop (net/ipv6/route.c rt6_fill_node).
 */
function addsToOthers(
  table: ObjectTable,
  id: number,
  flags: number,
  data: Datagram,
  start: number,
  end: number,
): boolean {
  if ((flags & NLM_F_REPLACE) !== 0 || findAttribute(data.words, start + HEADER, end, MULTIPATH) < 0)
    return false;
  const stored = table.locate(id);
  return sharedParts(stored.data, stored.start, stored.end) !== sharedParts(data, start, end);
}

/** What a route says besides its hops, as text. */
function sharedParts(data: Datagram, start: number, end: number): string {
  const header = Buffer.from(data.bytes.subarray(start + 4, start + 8)).toString('hex');
  const parts: string[] = [];
  for (let at = start + HEADER; at + NLA_HDRLEN <= end; ) {
    const length = attributeLength(data.words, at);
    if (length < NLA_HDRLEN) break;
    if (!OF_HOPS.has(attributeType(data.words, at)))
      parts.push(Buffer.from(data.bytes.subarray(at, at + length)).toString('hex'));
    at += align4(length);
  }
  return `${header} ${parts.sort().join(' ')}`;
}

/** The kernel announces as new what the mirror has: it left without a word, and its place with it. */
function cameAgain(table: ObjectTable, { ids, length }: Matches, place: number, flags: number): void {
  const id = ids[place]!;
  const last = ids[length - 1]!;
  if ((flags & NLM_F_EXCL) !== 0) {
    for (let at = 0; at < length; at++) if (at !== place) table.remove(ids[at]!);
  } else if ((flags & NLM_F_APPEND) !== 0 && id !== last) table.setOrder(id, table.orderOf(last) + 1);
}

/**
 * IPv6 adds a route behind the others of its key (net/ipv6/ip6_fib.c fib6_add_rt2node). The dumps of two links may have shown
 * two of them in another order than that in which they were added.
 */
function addedAgain(table: ObjectTable, { ids, length }: Matches, place: number, flags: number): void {
  const last = ids[length - 1]!;
  const isAdded = (flags & (NLM_F_CREATE | NLM_F_REPLACE)) === NLM_F_CREATE;
  if (isAdded && ids[place] !== last) table.setOrder(ids[place]!, table.orderOf(last) + 1);
}

/** Which IPv4 alias the message takes the place of, 0 for none. */
function replacedAlias(
  table: ObjectTable,
  matches: Matches,
  flags: number,
  data: Datagram,
  start: number,
  end: number,
): number {
  if ((flags & (NLM_F_REPLACE | NLM_F_EXCL)) === 0) return 0;
  if ((flags & NLM_F_EXCL) !== 0) return matches.ids[0]!;
  // When a nexthop object changed, each route that uses it is announced, whichever place it has (fib_info_notify_update).
  return withNexthopId(table, matches, routeNexthopId(data, start, end)) || matches.ids[0]!;
}

function withNexthopId(table: ObjectTable, matches: Matches, nexthop: number): number {
  if (nexthop === 0) return 0;
  for (let at = 0; at < matches.length; at++) {
    const stored = table.locate(matches.ids[at]!);
    if (routeNexthopId(stored.data, stored.start, stored.end) === nexthop) return matches.ids[at]!;
  }
  return 0;
}

/** rt6_qualify_for_ecmp: it has a gateway of its own and may have siblings. */
function mayHaveSiblings(data: Datagram, start: number, end: number): boolean {
  const { words } = data;
  const attributes = start + HEADER;
  return (
    findAttribute(words, attributes, end, NH_ID) < 0 &&
    (findAttribute(words, attributes, end, GATEWAY) >= 0 ||
      findAttribute(words, attributes, end, MULTIPATH) >= 0)
  );
}

/** Siblings are announced together, so a message that may have siblings is about the one such object there is. */
function replacedIpv6(
  table: ObjectTable,
  matches: Matches,
  flags: number,
  data: Datagram,
  start: number,
  end: number,
): number {
  const known = withNexthopId(table, matches, routeNexthopId(data, start, end));
  if (known !== 0) return known;
  const siblings = mayHaveSiblings(data, start, end);
  if (!siblings && (flags & NLM_F_REPLACE) === 0) return 0;
  for (let at = 0; at < matches.length; at++) {
    const stored = table.locate(matches.ids[at]!);
    if (mayHaveSiblings(stored.data, stored.start, stored.end) === siblings) return matches.ids[at]!;
  }
  return (flags & NLM_F_REPLACE) === 0 ? 0 : matches.ids[0]!;
}

/** A route the kernel announces as deleted. `replayed`: a dump may already have shown its absence. */
export function applyDeletedRoute(
  table: ObjectTable,
  data: Datagram,
  start: number,
  end: number,
  replayed: boolean,
  doubts: RouteDoubt,
): boolean {
  const matches = table.match(data, start, end);
  if (matches === undefined) return false;
  const { ids, length } = matches;
  if (length === 0) return true;
  for (let at = 0; at < length; at++) {
    if (table.equals(ids[at]!, data, start, end) || isSameRoute(table, ids[at]!, data, start, end)) {
      table.remove(ids[at]!);
      return true;
    }
  }
  const known = withNexthopId(table, matches, routeNexthopId(data, start, end));
  if (known !== 0) {
    table.remove(known);
    return true;
  }
  if (data.bytes[start] === AF_INET6 && mayHaveSiblings(data, start, end)) {
    for (let at = 0; at < length; at++) {
      if (!removeSibling(table, ids[at]!, data, start, end)) continue;
      doubts.siblingGone(AF_INET6, routeTable(data, start, end));
      return true;
    }
  }
  if (!replayed) doubts.doubt(data.bytes[start]!, routeTable(data, start, end));
  return true;
}

/** Takes the hop (or all the hops) that the message names out of a stored route; false when it has none of them. */
function removeSibling(table: ObjectTable, id: number, data: Datagram, start: number, end: number): boolean {
  const stored = table.locate(id);
  if (!mayHaveSiblings(stored.data, stored.start, stored.end)) return false;
  const gone = hopsOf(data, start, end);
  const hops = hopsOf(stored.data, stored.start, stored.end);
  const left = hops.filter((hop) => !gone.some((other) => other.name === hop.name));
  if (left.length === hops.length) return false;
  if (left.length === 0) {
    table.remove(id);
    return true;
  }
  const rest = withHops(stored, left);
  table.replace(id, rest, 0, rest.bytes.length);
  return true;
}

interface Hop {
  /** Link and gateway as text: what the kernel tells siblings apart by. */
  readonly name: string;
  readonly ifindex: number;
  readonly flags: number;
  /** Weight less one. */
  readonly hops: number;
  /** Attributes of the hop, without RTA_OIF. */
  readonly attributes: Uint8Array;
}

function hopsOf(data: Datagram, start: number, end: number): Hop[] {
  const { words } = data;
  const multipath = findAttribute(words, start + HEADER, end, MULTIPATH);
  const gatewayName = (from: number, to: number): string => {
    const at = findAttribute(words, from, to, GATEWAY);
    if (at < 0) return '';
    return Buffer.from(data.bytes.subarray(at + NLA_HDRLEN, at + attributeLength(words, at))).toString('hex');
  };
  if (multipath < 0) {
    const ifindex = wordOf(data, start + HEADER, end, OIF, 0);
    return [
      {
        name: `${ifindex} ${gatewayName(start + HEADER, end)}`,
        ifindex,
        flags: 0,
        hops: 0,
        attributes: new Uint8Array(0),
      },
    ];
  }
  const hops: Hop[] = [];
  forEachHop(data, multipath, (hop, hopEnd) => {
    const ifindex = words[(hop + 4) >>> 2]!;
    hops.push({
      name: `${ifindex} ${gatewayName(hop + 8, hopEnd)}`,
      ifindex,
      flags: data.bytes[hop + 2]!,
      hops: data.bytes[hop + 3]!,
      attributes: data.bytes.slice(hop + 8, align4(hopEnd)),
    });
  });
  return hops;
}

/** The route with only these hops, laid out as the kernel does (net/ipv6/route.c rt6_fill_node). */
function withHops(route: { data: Datagram; start: number; end: number }, hops: readonly Hop[]): Datagram {
  const { data, start, end } = route;
  const parts: Uint8Array[] = [data.bytes.slice(start, start + HEADER)];
  for (let at = start + HEADER; at + NLA_HDRLEN <= end; ) {
    const length = attributeLength(data.words, at);
    if (attributeType(data.words, at) === MULTIPATH)
      parts.push(hops.length === 1 ? single(hops[0]!) : several(hops));
    else parts.push(data.bytes.slice(at, at + align4(length)));
    at += align4(length);
  }
  if (hops.length === 1) parts[0]![8] = parts[0]![8]! | hops[0]!.flags;
  const bytes = new Uint8Array(Buffer.concat(parts));
  return { bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2) };
}

/** Gateway, link, then the rest (encapsulation). */
function single(hop: Hop): Uint8Array {
  const oif = new Uint8Array(8);
  const view = new DataView(oif.buffer);
  view.setUint16(0, 8, LITTLE_ENDIAN);
  view.setUint16(2, OIF, LITTLE_ENDIAN);
  view.setUint32(4, hop.ifindex, LITTLE_ENDIAN);
  const first = hop.attributes.length >= 4 ? align4(firstLength(hop.attributes)) : 0;
  return Buffer.concat([hop.attributes.subarray(0, first), oif, hop.attributes.subarray(first)]);
}

function firstLength(attributes: Uint8Array): number {
  return LITTLE_ENDIAN ? attributes[0]! | (attributes[1]! << 8) : (attributes[0]! << 8) | attributes[1]!;
}

function several(hops: readonly Hop[]): Uint8Array {
  const parts: Uint8Array[] = [new Uint8Array(NLA_HDRLEN)];
  let length = NLA_HDRLEN;
  for (const hop of hops) {
    const head = new Uint8Array(8);
    const view = new DataView(head.buffer);
    view.setUint16(0, 8 + hop.attributes.length, LITTLE_ENDIAN);
    head[2] = hop.flags;
    head[3] = hop.hops;
    view.setUint32(4, hop.ifindex, LITTLE_ENDIAN);
    parts.push(head, hop.attributes);
    length += 8 + hop.attributes.length;
  }
  const view = new DataView(parts[0]!.buffer);
  view.setUint16(0, length, LITTLE_ENDIAN);
  view.setUint16(2, MULTIPATH, LITTLE_ENDIAN);
  return Buffer.concat(parts);
}

/** The links a route goes out of, by its own hops; routes of nexthop objects carry theirs where the kernel shows them. */
export function routeGoesOut(data: Datagram, start: number, end: number, ifindex: number): boolean {
  const { words } = data;
  if (wordOf(data, start + HEADER, end, OIF, 0) === ifindex) return true;
  const multipath = findAttribute(words, start + HEADER, end, MULTIPATH);
  if (multipath < 0) return false;
  let found = false;
  forEachHop(data, multipath, (hop) => {
    if (words[(hop + 4) >>> 2] === ifindex) found = true;
  });
  return found;
}
