/**
 * IPv4 routes that change what the kernel does with packets of other prefixes.
 *
 * Routes to this machine itself and to groups of hosts: the kernel drops packets whose source has such a route
 * (net/ipv4/fib_frontend.c fib_validate_source). A device traps sources that have a route of full length with action trap.
 * That misses shorter ones, and those in tables that rules lead only some packets to.
 *
 * Routes of the table `default`: see fib.ts about merged tables.
 */

import type { RouteReader } from './route-reader.ts';
import { AF_INET, RTN_ANYCAST, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from './route-reader.ts';

export const RT_TABLE_DEFAULT = 253;
const RT_TABLE_LOCAL = 255;
const OWN_TYPES = new Set([RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST]);
const LOOPBACK_NETWORK = 127;

interface OwnRoute {
  readonly table: number;
  /** Shorter than an address, and not the loopback network, whose packets no device routes. */
  readonly isShort: boolean;
  /** An address of this machine (table `local`); 0 for none. */
  readonly address: number;
}

export class NotableRoutes {
  readonly #own = new Map<number, OwnRoute>();
  readonly #default = new Set<number>();
  /** Per table: own routes, and the short ones of them. */
  readonly #counts = new Map<number, { all: number; short: number }>();
  /** Routes per address. */
  readonly #addresses = new Map<number, number>();
  /** Rises when this machine gets an address or loses it. */
  addressVersion = 0;
  /** Rises when a table gets its first or loses its last. */
  version = 0;

  /** The route with this mirror id is new or changed, and was just read. */
  set(id: number, route: RouteReader): void {
    if (route.family !== AF_INET) return;
    const { table, length } = route;
    if (table === RT_TABLE_DEFAULT) {
      if (this.#default.size === 0) this.version++;
      this.#default.add(id);
    }
    const isOwn = OWN_TYPES.has(route.type);
    const before = this.#own.get(id);
    const isShort = length < 32 && route.prefix[0]! >>> 24 !== LOOPBACK_NETWORK;
    const isAddress = isOwn && route.type === RTN_LOCAL && length === 32 && table === RT_TABLE_LOCAL;
    const address = isAddress ? route.prefix[0]! : 0;
    if (!isOwn) {
      if (before !== undefined) this.#deleteOwn(id, before);
    } else if (before?.table !== table || before.isShort !== isShort || before.address !== address) {
      if (before !== undefined) this.#deleteOwn(id, before);
      this.#own.set(id, { table, isShort, address });
      this.#countAddress(address, 1);
      this.#count(table, 1, isShort ? 1 : 0);
    }
  }

  delete(id: number): void {
    if (this.#default.delete(id) && this.#default.size === 0) this.version++;
    const own = this.#own.get(id);
    if (own !== undefined) this.#deleteOwn(id, own);
  }

  get hasDefault(): boolean {
    return this.#default.size > 0;
  }

  hasOwnIn(tables: Iterable<number>): boolean {
    for (const table of tables) if ((this.#counts.get(table)?.all ?? 0) > 0) return true;
    return false;
  }

  hasShortOwnIn(tables: Iterable<number>): boolean {
    for (const table of tables) if ((this.#counts.get(table)?.short ?? 0) > 0) return true;
    return false;
  }

  /** An IPv4 address, as a word. */
  isAddress(address: number): boolean {
    return this.#addresses.has(address);
  }

  #countAddress(address: number, by: number): void {
    if (address === 0) return;
    const count = (this.#addresses.get(address) ?? 0) + by;
    if (count === 0) this.#addresses.delete(address);
    else this.#addresses.set(address, count);
    this.addressVersion++;
  }

  #deleteOwn(id: number, { table, isShort, address }: OwnRoute): void {
    this.#own.delete(id);
    this.#countAddress(address, -1);
    this.#count(table, -1, isShort ? -1 : 0);
  }

  #count(table: number, all: number, short: number): void {
    const counts = this.#counts.get(table) ?? { all: 0, short: 0 };
    const hadAny = counts.all > 0;
    const hadShort = counts.short > 0;
    counts.all += all;
    counts.short += short;
    if (counts.all === 0) this.#counts.delete(table);
    else this.#counts.set(table, counts);
    if (hadAny !== counts.all > 0 || hadShort !== counts.short > 0) this.version++;
  }
}
