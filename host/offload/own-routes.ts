/**
 * Routes to this machine itself and to groups of hosts. The kernel drops IPv4 packets whose source has such a route
 * (net/ipv4/fib_frontend.c fib_validate_source), so hardware must know of them, or not forward.
 *
 * A device traps sources that have a route of full length with action trap. That misses shorter ones, and those in tables
 * that rules lead only some packets to.
 */

import type { RouteReader } from './route-reader.ts';
import { AF_INET, RTN_ANYCAST, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from './route-reader.ts';

const OWN_TYPES = new Set([RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST]);
const LOOPBACK_NETWORK = 127;

interface OwnRoute {
  readonly table: number;
  /** Shorter than an address, and not the loopback network, whose packets no device routes. */
  readonly isShort: boolean;
}

export class OwnRoutes {
  readonly #routes = new Map<number, OwnRoute>();
  /** Per table: own routes, and the short ones of them. */
  readonly #counts = new Map<number, { all: number; short: number }>();
  /** Rises when a table gets its first or loses its last. */
  version = 0;

  /** The route with this mirror id is new or changed, and was just read. */
  set(id: number, route: RouteReader): void {
    const { table, length } = route;
    const isOwn = route.family === AF_INET && OWN_TYPES.has(route.type);
    const before = this.#routes.get(id);
    const isShort = length < 32 && route.prefix[0]! >>> 24 !== LOOPBACK_NETWORK;
    if (!isOwn) {
      if (before !== undefined) this.delete(id);
    } else if (before?.table !== table || before.isShort !== isShort) {
      this.delete(id);
      this.#routes.set(id, { table, isShort });
      this.#count(table, 1, isShort ? 1 : 0);
    }
  }

  delete(id: number): void {
    const route = this.#routes.get(id);
    if (route === undefined) return;
    this.#routes.delete(id);
    this.#count(route.table, -1, route.isShort ? -1 : 0);
  }

  isIn(tables: Iterable<number>): boolean {
    for (const table of tables) if ((this.#counts.get(table)?.all ?? 0) > 0) return true;
    return false;
  }

  hasShortIn(tables: Iterable<number>): boolean {
    for (const table of tables) if ((this.#counts.get(table)?.short ?? 0) > 0) return true;
    return false;
  }

  #count(table: number, all: number, short: number): void {
    const counts = this.#counts.get(table) ?? { all: 0, short: 0 };
    const before = [counts.all > 0, counts.short > 0];
    counts.all += all;
    counts.short += short;
    if (counts.all === 0) this.#counts.delete(table);
    else this.#counts.set(table, counts);
    if (before[0] !== counts.all > 0 || before[1] !== counts.short > 0) this.version++;
  }
}
