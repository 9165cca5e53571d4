/** Requests about nexthops, routes and neighbours of one owner: linux/nexthop.h, linux/rtnetlink.h, linux/neighbour.h. */

import { AF_INET, AF_INET6 } from '../../netlink/decode.ts';
import { MessageWriter, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../netlink/message.ts';
import { neighbourAttributes } from '../../netlink/schema/neighbour.ts';
import { nexthopAttributes } from '../../netlink/schema/nexthop.ts';
import { routeAttributes } from '../../netlink/schema/route.ts';
import type { SyncRequest } from '../../netlink/sync-socket.ts';

export const RTM_GETLINK = 18;
export const RTM_NEWROUTE = 24;
export const RTM_GETROUTE = 26;
const RTM_DELROUTE = 25;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;
const RTM_NEWNEXTHOP = 104;
export const RTM_DELNEXTHOP = 105;
export const RTM_GETNEXTHOP = 106;
const RTNH_F_ONLINK = 4;
const NUD_PERMANENT = 0x80;
const RTN_UNICAST = 1;
const RTN_BLACKHOLE = 6;

const N = nexthopAttributes.number;
const R = routeAttributes.number;
const E = neighbourAttributes.number;
/** linux/neighbour.h NDA_PROTOCOL. */
const NDA_PROTOCOL = E.protocol;

/** 0: IPv4, 1: IPv6, as in types.family. */
export type Family = number;

export function addressFamily(family: Family): number {
  return family === 0 ? AF_INET : AF_INET6;
}

/** Bytes in network order of an address in four words, the highest first; IPv4 is the last word. */
export function addressBytes(family: Family, words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [at, word] of words.entries()) view.setUint32(4 * at, word);
  return family === 0 ? bytes.subarray(12) : bytes;
}

function nexthopHeader(family: number, protocol: number): Uint8Array {
  const header = new Uint8Array(8);
  header[0] = family;
  header[2] = protocol;
  return header;
}

export interface Way {
  readonly id: number;
  readonly family: Family;
  readonly oif: number;
  /** Absent: the link itself decides (a VRF). */
  readonly gateway?: readonly number[];
}

export function putWay({ id, family, oif, gateway }: Way, protocol: number, known: boolean): SyncRequest {
  const header = nexthopHeader(addressFamily(family), protocol);
  if (gateway !== undefined) new DataView(header.buffer).setUint32(4, RTNH_F_ONLINK, true);
  const writer = new MessageWriter().raw(header).u32(N.id, id).u32(N.oif, oif);
  if (gateway !== undefined) writer.attribute(N.gateway, addressBytes(family, gateway));
  return { type: RTM_NEWNEXTHOP, flags: put(known), payload: writer.bytes() };
}

export function putBlackhole(id: number, family: Family, protocol: number, known: boolean): SyncRequest {
  const writer = new MessageWriter().raw(nexthopHeader(addressFamily(family), protocol)).u32(N.id, id);
  writer.attribute(N.blackhole, new Uint8Array(0));
  return { type: RTM_NEWNEXTHOP, flags: put(known), payload: writer.bytes() };
}

/** `members`: id and weight, 1-65535. */
export function putGroup(
  id: number,
  members: readonly (readonly [id: number, weight: number])[],
  protocol: number,
  known: boolean,
): SyncRequest {
  const list = new Uint8Array(8 * members.length);
  const view = new DataView(list.buffer);
  for (const [at, [member, weight]] of members.entries()) {
    view.setUint32(8 * at, member, true);
    view.setUint8(8 * at + 4, (weight - 1) & 0xff);
    view.setUint8(8 * at + 5, (weight - 1) >> 8);
  }
  const writer = new MessageWriter().raw(nexthopHeader(0, protocol)).u32(N.id, id).attribute(N.group, list);
  return { type: RTM_NEWNEXTHOP, flags: put(known), payload: writer.bytes() };
}

export function deleteNexthop(id: number): SyncRequest {
  return {
    type: RTM_DELNEXTHOP,
    flags: 0,
    payload: new MessageWriter().raw(nexthopHeader(0, 0)).u32(N.id, id).bytes(),
  };
}

export interface RouteKey {
  readonly family: Family;
  readonly length: number;
  readonly prefix: readonly number[];
  readonly table: number;
}

interface Owner {
  readonly protocol: number;
  readonly metric: number;
}

/** `nexthop` 0: packets are dropped. */
export function putRoute(key: RouteKey, nexthop: number, owner: Owner, known: boolean): SyncRequest {
  const writer = routeWriter(key, owner, nexthop === 0 ? RTN_BLACKHOLE : RTN_UNICAST);
  if (nexthop !== 0) writer.u32(R.nh_id, nexthop);
  return { type: RTM_NEWROUTE, flags: put(known), payload: writer.bytes() };
}

/** Deletes it only if it is the owner's (net/ipv4/fib_trie.c fib_table_delete, net/ipv6/route.c ip6_route_del). */
export function deleteRoute(key: RouteKey, owner: Owner): SyncRequest {
  return { type: RTM_DELROUTE, flags: 0, payload: routeWriter(key, owner, 0).bytes() };
}

function routeWriter({ family, length, prefix, table }: RouteKey, owner: Owner, type: number): MessageWriter {
  const header = new Uint8Array(12);
  header[0] = addressFamily(family);
  header[1] = length;
  header[5] = owner.protocol;
  header[7] = type;
  const writer = new MessageWriter().raw(header).u32(R.table, table).u32(R.priority, owner.metric);
  if (length > 0) writer.attribute(R.dst, addressBytes(family, prefix));
  return writer;
}

export function putNeighbour(way: Way, mac: Uint8Array, protocol: number): SyncRequest {
  const writer = neighbourWriter(way).attribute(E.lladdr, mac);
  writer.attribute(NDA_PROTOCOL, new Uint8Array([protocol]));
  return { type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE, payload: writer.bytes() };
}

export function deleteNeighbour(way: Way): SyncRequest {
  return { type: RTM_DELNEIGH, flags: 0, payload: neighbourWriter(way).bytes() };
}

function neighbourWriter({ family, oif, gateway }: Way): MessageWriter {
  const header = new Uint8Array(12);
  const view = new DataView(header.buffer);
  header[0] = addressFamily(family);
  view.setUint32(4, oif, true);
  view.setUint16(8, NUD_PERMANENT, true);
  return new MessageWriter().raw(header).attribute(E.dst, addressBytes(family, gateway!));
}

/** What is known to be the owner's is replaced; else it must not be there. */
function put(known: boolean): number {
  return NLM_F_CREATE | (known ? NLM_F_REPLACE : NLM_F_EXCL);
}
