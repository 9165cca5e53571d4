/** From a kernel message to the mirror's tables: which objects it is about, and whether they changed. */

import { MAX_OBJECT_WORDS } from '../mirror/arena.ts';
import { wordOf } from '../mirror/key.ts';
import type { ObjectTable } from '../mirror/table.ts';
import { KIND, type KindNumber, type ObjectId } from '../mirror/types.ts';
import {
  attributeLength,
  attributesAreWhole,
  attributeType,
  type Datagram,
  findAttribute,
  NLA_HDRLEN,
} from '../netlink/message.ts';
import { flowAttributes, IPS_OFFLOAD } from '../netlink/schema/conntrack.ts';
import { linkAttributes } from '../netlink/schema/link.ts';
import { neighbourAttributes } from '../netlink/schema/neighbour.ts';
import { xfrmPolicyAttributes, xfrmPolicyHeader } from '../netlink/schema/xfrm.ts';
import { saysTheSame, storedForm } from './comparison.ts';
import {
  applyDeletedRoute,
  applyDumpedRoute,
  applyNewRoute,
  dropIdleCacheinfo,
  isMirroredRoute,
  type RouteDoubt,
  routeTable,
} from './routes.ts';
import {
  AF_BRIDGE,
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  NTF_PROXY,
  NTF_SELF,
  NUD_INCOMPLETE,
  NUD_NOARP,
  XFRM_POLICY_FWD,
} from './rtnetlink.ts';
import { FAMILY_OF, VIRTUAL_FUNCTIONS } from './significance.ts';
import { splitActions, splitMdb, splitVlans } from './split.ts';

/** A notification, in order. */
export const LIVE = 0;
/** A notification that was held back during a dump, which may already show what it says. */
export const REPLAYED = 1;
/** Part of a dump of a whole kind. */
export const DUMPED = 2;
/** Part of a dump that was restricted to something, e.g. a link. */
export const DUMPED_IN_PART = 3;
export type Mode = typeof LIVE | typeof REPLAYED | typeof DUMPED | typeof DUMPED_IN_PART;

/** Told what messages imply beyond what they say. */
export interface Reactions extends RouteDoubt {
  /** Before an object other than a route is removed. */
  removing(kind: KindNumber, id: ObjectId, mode: Mode): void;
  /**
   * After an object other than a route was added (`fresh`) or changed; `flagsBefore` and `masterBefore` are a link's, 0
   * when fresh.
   */
  changed(
    kind: KindNumber,
    id: ObjectId,
    mode: Mode,
    fresh: boolean,
    flagsBefore: number,
    masterBefore: number,
  ): void;
  /** A bridge port changed: the message does not carry the whole link. */
  bridgePort(ifindex: number, gone: boolean): void;
  /** A link that may have virtual functions was announced: the message does not carry them. */
  functionsUntold(ifindex: number): void;
  /** A deletion stands for more than one object, e.g. all filters of a priority. */
  bulkDeletion(kind: KindNumber, ifindex: number): void;
}

/** linux/xfrm.h struct xfrm_userpolicy_id */
const POLICY_ID_SIZE = 64;
/** linux/rtnetlink.h struct ifinfomsg */
const LINK_HEADER = 16;
const { dst: DST, master: MASTER, nh_id: NH_ID } = neighbourAttributes.number;

export class Applier {
  readonly #tableOf: (kind: KindNumber) => ObjectTable;
  readonly #routeTables: ReadonlySet<number> | undefined;
  readonly #reactions: Reactions;
  #kind = 0;
  #mode: Mode = LIVE;
  readonly #put = (data: Datagram, start: number, end: number): void => this.#upsert(data, start, end);
  readonly #drop = (data: Datagram, start: number, end: number): void => this.#delete(data, start, end);

  /** `routeTables`: the only ones mirrored; absent: all. */
  constructor(
    tableOf: (kind: KindNumber) => ObjectTable,
    routeTables: ReadonlySet<number> | undefined,
    reactions: Reactions,
  ) {
    this.#tableOf = tableOf;
    this.#routeTables = routeTables;
    this.#reactions = reactions;
  }

  /** Returns false when the message does not follow its layout; then nothing was changed. */
  apply(
    kind: KindNumber,
    deleting: boolean,
    flags: number,
    mode: Mode,
    data: Datagram,
    start: number,
    end: number,
  ): boolean {
    if (kind === KIND.route) return this.#route(deleting, flags, mode, data, start, end);
    if ((end - start) >>> 2 > MAX_OBJECT_WORDS) return false;
    this.#kind = kind;
    this.#mode = mode;
    if (kind === KIND['xfrm-policy'] && deleting) return this.#deletedPolicy(data, start, end);
    const header = (FAMILY_OF[kind]!.header.size + 3) & ~3;
    if (end - start < header || !attributesAreWhole(data.words, start + header, end)) return false;
    const family = data.bytes[start]!;
    switch (kind) {
      case KIND.link:
        if (family === AF_BRIDGE) {
          this.#reactions.bridgePort(data.words[(start + 4) >>> 2]!, deleting);
          return true;
        }
        if (family !== AF_UNSPEC) return true;
        break;
      case KIND.neighbour:
        if (family !== AF_INET && family !== AF_INET6) return true;
        if (!isMirroredNeighbour(data, start)) {
          this.#delete(data, start, end);
          return true;
        }
        break;
      case KIND.address:
      case KIND.netconf:
      case KIND.rule:
        if (family !== AF_INET && family !== AF_INET6) return true;
        break;
      case KIND.fdb:
        if (family !== AF_BRIDGE || isSilentFilterEntry(data, start, end)) return true;
        break;
      case KIND['xfrm-policy']:
        if (isSocketPolicy(data, start)) return true;
        break;
      case KIND.flow:
        if (!isInFlowtable(data, start + header, end)) return true;
        break;
      case KIND.vlan:
        return splitVlans(data, start, end, deleting ? this.#drop : this.#put);
      case KIND.mdb:
        return splitMdb(data, start, end, deleting ? this.#drop : this.#put);
      case KIND.action:
        return splitActions(data, start, end, deleting ? this.#drop : this.#put);
      default:
    }
    if (deleting) this.#delete(data, start, end);
    else this.#upsert(data, start, end);
    return true;
  }

  /** Removes an object that a sweep found gone. */
  remove(kind: KindNumber, id: ObjectId, mode: Mode): void {
    if (kind !== KIND.route) this.#reactions.removing(kind, id, mode);
    this.#tableOf(kind).remove(id);
  }

  #route(deleting: boolean, flags: number, mode: Mode, data: Datagram, start: number, end: number): boolean {
    if (!isMirroredRoute(data, start, end)) return end - start >= 12;
    if (this.#routeTables !== undefined && !this.#routeTables.has(routeTable(data, start, end))) return true;
    const table = this.#tableOf(KIND.route);
    const until = data.bytes[start] === AF_INET6 ? dropIdleCacheinfo(data, start, end) : end;
    if (mode >= DUMPED) return applyDumpedRoute(table, data, start, until, mode === DUMPED);
    if (deleting) return applyDeletedRoute(table, data, start, until, mode === REPLAYED, this.#reactions);
    return applyNewRoute(table, flags, data, start, until, this.#reactions);
  }

  /** A deletion has the policy in an attribute (net/xfrm/xfrm_user.c xfrm_notify_policy). */
  #deletedPolicy(data: Datagram, start: number, end: number): boolean {
    const policy = findAttribute(data.words, start + POLICY_ID_SIZE, end, xfrmPolicyAttributes.number.policy);
    if (policy < 0) return false;
    const until = policy + attributeLength(data.words, policy);
    if (until - policy - NLA_HDRLEN < xfrmPolicyHeader.size) return false;
    this.#delete(data, policy + NLA_HDRLEN, until);
    return true;
  }

  #upsert(data: Datagram, start: number, end: number): void {
    const kind = this.#kind;
    const table = this.#tableOf(kind);
    let { data: bytes, start: from, end: to } = storedForm(kind, data, start, end);
    const matches = table.match(bytes, from, to);
    if (matches === undefined) return;
    if (matches.length === 0) {
      const id = table.insert(matches.hash, bytes, from, to);
      this.#reactions.changed(kind, id, this.#mode, true, 0, 0);
      return;
    }
    const id = matches.ids[0]!;
    if (kind === KIND.netconf && this.#mode < DUMPED) {
      const stored = table.locate(id);
      const merged = overlay(stored.data, stored.start, stored.end, bytes, from, to, 4);
      bytes = merged;
      from = 0;
      to = merged.bytes.length;
    }
    if (kind === KIND.link && this.#mode < DUMPED) {
      const stored = table.locate(id);
      const functions = functionsOf(stored.data, stored.start, stored.end);
      if (functions.length > 0) {
        const merged = joined(bytes.bytes.subarray(from, to), functions);
        bytes = merged;
        from = 0;
        to = merged.bytes.length;
        this.#reactions.functionsUntold(bytes.words[1]!);
      }
    }
    if (table.equals(id, bytes, from, to)) {
      table.see(id);
      return;
    }
    let flags = 0;
    let master = 0;
    if (kind === KIND.link) {
      const stored = table.locate(id);
      flags = linkFlags(stored.data, stored.start);
      master = linkMaster(stored.data, stored.start, stored.end);
    }
    const quiet = saysTheSame(table, id, bytes, from, to);
    table.replace(id, bytes, from, to, quiet);
    if (!quiet) this.#reactions.changed(kind, id, this.#mode, false, flags, master);
  }

  #delete(data: Datagram, start: number, end: number): void {
    const kind = this.#kind;
    const table = this.#tableOf(kind);
    const { data: bytes, start: from, end: to } = storedForm(kind, data, start, end);
    const matches = table.match(bytes, from, to);
    if (kind === KIND.filter && data.words[(start + 8) >>> 2] === 0) {
      this.#reactions.bulkDeletion(kind, data.words[(start + 4) >>> 2]!);
    }
    if (matches === undefined || matches.length === 0) return;
    const id = matches.ids[0]!;
    this.#reactions.removing(kind, id, this.#mode);
    table.remove(id);
  }
}

export function linkFlags(data: Datagram, start: number): number {
  return data.words[(start + 8) >>> 2]!;
}

/** Interface index of the link's master, 0 for none. */
export function linkMaster(data: Datagram, start: number, end: number): number {
  return wordOf(data, start + 16, end, linkAttributes.number.master, 0);
}

/**
 * The kernel announces neighbours once they are resolved or failed, not while it makes them (NUD_NONE, NUD_INCOMPLETE) and
 * not those it derives itself for multicast, broadcast and links without ARP (NUD_NOARP), nor proxy entries.
 */
function isMirroredNeighbour(data: Datagram, start: number): boolean {
  const { bytes } = data;
  if ((bytes[start + 10]! & NTF_PROXY) !== 0) return false;
  // Every state is in the low byte, on either byte order one of these two is zero.
  const state = bytes[start + 8]! | bytes[start + 9]!;
  return state !== 0 && (state & (NUD_INCOMPLETE | NUD_NOARP)) === 0;
}

/** Kernels that do not restrict dumps by status show all connections. */
function isInFlowtable(data: Datagram, start: number, end: number): boolean {
  const at = findAttribute(data.words, start, end, flowAttributes.number.status);
  if (at < 0 || attributeLength(data.words, at) < NLA_HDRLEN + 4) return false;
  const status = (data.bytes[at + NLA_HDRLEN + 2]! << 8) | data.bytes[at + NLA_HDRLEN + 3]!;
  return (status & IPS_OFFLOAD) !== 0;
}

/** Policies of sockets come and go without a word, and never see forwarded packets. */
function isSocketPolicy(data: Datagram, start: number): boolean {
  return data.bytes[start + xfrmPolicyHeader.offset.dir]! > XFRM_POLICY_FWD;
}

/** Multicast filter entries of a link follow the groups it joined; nothing announces them. */
function isSilentFilterEntry(data: Datagram, start: number, end: number): boolean {
  if (!isFilterEntry(data, start, end)) return false;
  const address = findAttribute(data.words, start + 12, end, neighbourAttributes.number.lladdr);
  return address >= 0 && (data.bytes[address + NLA_HDRLEN]! & 1) !== 0;
}

/** Whether a bridge entry is an address that the link itself receives (net/core/dev_addr_lists.c). */
export function isFilterEntry(data: Datagram, start: number, end: number): boolean {
  const { bytes, words } = data;
  if ((bytes[start + 10]! & NTF_SELF) === 0) return false;
  const attributes = start + 12;
  return (
    findAttribute(words, attributes, end, DST) < 0 &&
    findAttribute(words, attributes, end, MASTER) < 0 &&
    findAttribute(words, attributes, end, NH_ID) < 0
  );
}

/** What a stored link has of virtual functions: attributes, as they stand. */
function functionsOf(data: Datagram, start: number, end: number): Uint8Array[] {
  const attributes: Uint8Array[] = [];
  for (const { number } of VIRTUAL_FUNCTIONS) {
    const at = findAttribute(data.words, start + LINK_HEADER, end, number);
    if (at >= 0) attributes.push(data.bytes.subarray(at, at + ((attributeLength(data.words, at) + 3) & ~3)));
  }
  return attributes;
}

function joined(bytes: Uint8Array, attributes: readonly Uint8Array[]): Datagram {
  const all = new Uint8Array(Buffer.concat([bytes, ...attributes]));
  return { bytes: all, words: new Uint32Array(all.buffer) };
}

/** Notifications of settings carry only the one that changed: the stored attributes with those of the message on top. */
function overlay(
  stored: Datagram,
  storedStart: number,
  storedEnd: number,
  data: Datagram,
  start: number,
  end: number,
  header: number,
): Datagram {
  const parts: Uint8Array[] = [data.bytes.slice(start, start + header)];
  const step = (words: Uint32Array, at: number): number => (attributeLength(words, at) + 3) & ~3;
  for (let at = storedStart + header; at < storedEnd; at += step(stored.words, at)) {
    const newer = findAttribute(data.words, start + header, end, attributeType(stored.words, at));
    if (newer < 0) parts.push(stored.bytes.slice(at, at + step(stored.words, at)));
    else parts.push(data.bytes.slice(newer, newer + step(data.words, newer)));
  }
  for (let at = start + header; at < end; at += step(data.words, at)) {
    if (findAttribute(stored.words, storedStart + header, storedEnd, attributeType(data.words, at)) < 0) {
      parts.push(data.bytes.slice(at, at + step(data.words, at)));
    }
  }
  return joined(parts[0]!, parts.slice(1));
}
