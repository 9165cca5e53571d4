/**
 * Reads what the planner needs of a route straight from the kernel's bytes, without allocating: this runs once per
 * route and per change. Layouts: struct rtmsg, struct rtnexthop and RTA_* in linux/rtnetlink.h.
 */

import type { ObjectCursor } from '../mirror/types.ts';
import { routeAttributes, routeMetricsAttributes } from '../netlink/schema/route.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_BRIDGE = 7;

/** enum in linux/rtnetlink.h */
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BROADCAST = 3;
export const RTN_ANYCAST = 4;
export const RTN_MULTICAST = 5;
export const RTN_BLACKHOLE = 6;
export const RTN_THROW = 9;

export const RTNH_F_DEAD = 1;
export const RTNH_F_ONLINK = 4;
export const RTNH_F_LINKDOWN = 16;

export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

const RTA = routeAttributes.number;
const RTAX_MTU = routeMetricsAttributes.number.mtu;
const NLA_TYPE_MASK = 0x3fff;
const RTMSG_BYTES = 12;
const RTNEXTHOP_BYTES = 8;

/** One way out of a route, as its bytes say. Addresses are four words, most significant first, IPv4 in the last. */
export class HopReader {
  ifindex = 0;
  flags = 0;
  /** 1-65536 */
  weight = 1;
  /** AF_INET, AF_INET6 or 0 for a connected route. */
  gatewayFamily = 0;
  readonly gateway = new Uint32Array(4);
  encapsulated = false;

  reset(): void {
    this.ifindex = 0;
    this.flags = 0;
    this.weight = 1;
    this.gatewayFamily = 0;
    // Not fill(): for four words the call costs more than they do.
    const { gateway } = this;
    gateway[0] = gateway[1] = gateway[2] = gateway[3] = 0;
    this.encapsulated = false;
  }

  /** Takes RTA_GATEWAY, RTA_VIA and RTA_ENCAP; other attributes are left alone. */
  attribute(bytes: Uint8Array, type: number, start: number, length: number, family: number): void {
    if (type === RTA.gateway) this.address(bytes, start, length, family);
    else if (type === RTA.via && length >= 6) {
      this.address(bytes, start + 2, length - 2, bytes[start]! | (bytes[start + 1]! << 8));
    } else if (type === RTA.encap || type === RTA.encap_type) this.encapsulated = true;
  }

  address(bytes: Uint8Array, start: number, length: number, family: number): void {
    if (family === AF_INET && length >= 4) {
      this.gateway[0] = 0;
      this.gateway[1] = 0;
      this.gateway[2] = 0;
      this.gateway[3] = bigEndian32(bytes, start);
      this.gatewayFamily = AF_INET;
    } else if (family === AF_INET6 && length >= 16) {
      for (let word = 0; word < 4; word++) this.gateway[word] = bigEndian32(bytes, start + 4 * word);
      this.gatewayFamily = AF_INET6;
    }
  }
}

export class RouteReader {
  family = 0;
  length = 0;
  sourceLength = 0;
  tos = 0;
  table = 0;
  protocol = 0;
  scope = 0;
  type = 0;
  flags = 0;
  priority = 0;
  /** RTA_NH_ID, 0 for a route that embeds its nexthops. */
  nexthopId = 0;
  /** The route sets a path MTU. */
  hasMtu = false;
  /** Destination as the prefix trie wants it: one word for IPv4, four for IPv6. */
  readonly prefix = new Uint32Array(4);
  /** The only hop of a route without RTA_MULTIPATH. */
  readonly hop = new HopReader();
  isMultipath = false;
  #multipath = 0;
  #multipathEnd = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  /** False when the bytes are no route: the mirror has checked them, so that is a fault in this program. */
  read(cursor: ObjectCursor): boolean {
    const { bytes, start, end } = cursor;
    if (end - start < RTMSG_BYTES) return false;
    this.#bytes = bytes;
    this.family = bytes[start]!;
    this.length = bytes[start + 1]!;
    this.sourceLength = bytes[start + 2]!;
    this.tos = bytes[start + 3]!;
    this.table = bytes[start + 4]!;
    this.protocol = bytes[start + 5]!;
    this.scope = bytes[start + 6]!;
    this.type = bytes[start + 7]!;
    this.flags = littleEndian32(bytes, start + 8);
    this.priority = 0;
    this.nexthopId = 0;
    this.hasMtu = false;
    const { prefix } = this;
    prefix[0] = prefix[1] = prefix[2] = prefix[3] = 0;
    this.hop.reset();
    this.hop.flags = this.flags & 0xff;
    this.isMultipath = false;
    if (this.family !== AF_INET && this.family !== AF_INET6) return false;
    if (this.length > (this.family === AF_INET ? 32 : 128)) return false;

    for (let at = start + RTMSG_BYTES; at + 4 <= end; ) {
      const size = bytes[at]! | (bytes[at + 1]! << 8);
      if (size < 4 || at + size > end) return false;
      const type = (bytes[at + 2]! | (bytes[at + 3]! << 8)) & NLA_TYPE_MASK;
      const value = at + 4;
      const length = size - 4;
      switch (type) {
        case RTA.dst:
          if (length === 4) this.prefix[0] = bigEndian32(bytes, value);
          else if (length === 16) {
            for (let word = 0; word < 4; word++) this.prefix[word] = bigEndian32(bytes, value + 4 * word);
          }
          break;
        case RTA.table:
          if (length === 4) this.table = littleEndian32(bytes, value);
          break;
        case RTA.priority:
          if (length === 4) this.priority = littleEndian32(bytes, value);
          break;
        case RTA.oif:
          if (length === 4) this.hop.ifindex = littleEndian32(bytes, value);
          break;
        case RTA.nh_id:
          if (length === 4) this.nexthopId = littleEndian32(bytes, value);
          break;
        case RTA.metrics:
          this.#readMetrics(value, value + length);
          break;
        case RTA.multipath:
          this.isMultipath = true;
          this.#multipath = value;
          this.#multipathEnd = value + length;
          break;
        default:
          this.hop.attribute(bytes, type, value, length, this.family);
      }
      at += (size + 3) & ~3;
    }
    return true;
  }

  /** Calls back for each hop of a multipath route with one reused reader. */
  forEachHop(callback: (hop: HopReader) => void): void {
    const bytes = this.#bytes;
    const hop = this.#memberHop;
    for (let at = this.#multipath; at + RTNEXTHOP_BYTES <= this.#multipathEnd; ) {
      const size = bytes[at]! | (bytes[at + 1]! << 8);
      if (size < RTNEXTHOP_BYTES || at + size > this.#multipathEnd) return;
      hop.reset();
      hop.flags = bytes[at + 2]!;
      hop.weight = bytes[at + 3]! + 1;
      hop.ifindex = littleEndian32(bytes, at + 4);
      for (let inner = at + RTNEXTHOP_BYTES; inner + 4 <= at + size; ) {
        const innerSize = bytes[inner]! | (bytes[inner + 1]! << 8);
        if (innerSize < 4 || inner + innerSize > at + size) break;
        const type = (bytes[inner + 2]! | (bytes[inner + 3]! << 8)) & NLA_TYPE_MASK;
        hop.attribute(bytes, type, inner + 4, innerSize - 4, this.family);
        inner += (innerSize + 3) & ~3;
      }
      callback(hop);
      at += (size + 3) & ~3;
    }
  }

  readonly #memberHop = new HopReader();

  #readMetrics(start: number, end: number): void {
    for (let at = start; at + 8 <= end; ) {
      const size = this.#bytes[at]! | (this.#bytes[at + 1]! << 8);
      if (size < 4) return;
      if (((this.#bytes[at + 2]! | (this.#bytes[at + 3]! << 8)) & NLA_TYPE_MASK) === RTAX_MTU)
        this.hasMtu = true;
      at += (size + 3) & ~3;
    }
  }
}

export function bigEndian32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Netlink is in host byte order; the host runs on little-endian machines only (x64, arm64). */
export function littleEndian32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
