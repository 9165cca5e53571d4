/**
 * The kernel's side of a plan's routes: which domains consult each route's table, and what the kernel would do with it as far as
 * hardware can. Which routes win is fib.ts's, what the device holds of them route-entries.ts's business.
 */

import { type KindNumber, type MirrorReader, type ObjectCursor, objectCursor } from '../mirror/types.ts';
import { ACTION } from '../plugin/records.ts';
import { formatAddress } from './addresses.ts';
import {
  actionOf,
  CANDIDATE_CONNECTED,
  CANDIDATE_SELECTIVE,
  CANDIDATE_SKIP,
  CANDIDATE_THROW,
  type Candidates,
  candidateInfo,
  Fib,
  type FibHost,
  MERGED,
  MERGED_FALLING,
  NEIGHBOUR_RANK,
  POLICY_RANK,
  rankOf,
  reasonOf,
  SEPARATE,
  WAITING,
} from './fib.ts';
import type { Group, Missed, Nexthops } from './nexthops.ts';
import { NotableRoutes } from './notable-routes.ts';
import type { PolicyPrefix } from './policies.ts';
import { grown } from './prefix-trie.ts';
import { REASON } from './reasons.ts';
import { RouteEntries } from './route-entries.ts';
import {
  AF_INET,
  AF_INET6,
  RouteReader,
  RTN_ANYCAST,
  RTN_BLACKHOLE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_THROW,
  RTN_UNICAST,
} from './route-reader.ts';

/** The tables one routing domain consults, first to last. */
export interface DomainTables {
  /** VRF table, 0 for the default domain. */
  readonly vrf: number;
  readonly tables: readonly number[];
  /** These are the tables of the rules an IPv4 machine starts with. */
  readonly mayBeMerged: boolean;
}

/** What of a route's offload can be told; `Plan` makes an ObjectOffload of it. */
export interface RouteState {
  readonly held: 'none' | 'pending' | 'held' | 'refused' | 'failed';
  /** ACTION the device was last told. */
  readonly action: number;
  readonly reason: number;
  readonly group: Group | undefined;
}

const INITIAL = 1024;
/** Stands for no candidate. */
const NONE = 0;

export interface RoutesOptions {
  readonly mirror: MirrorReader;
  readonly routeKind: KindNumber;
  /** Preference among IPv4 routes of equal metric: the kernel's own order, lower first. */
  readonly orderOf: (id: number) => number;
  readonly nexthops: Nexthops;
  readonly capacity: number;
  readonly updatesInPlace: boolean;
  readonly onQueued: () => void;
  readonly onFreed: (handle: number) => void;
}

export class Routes implements FibHost {
  readonly #mirror: MirrorReader;
  readonly #kind: KindNumber;
  readonly #nexthops: Nexthops;
  readonly #options: RoutesOptions;
  readonly #cursor: ObjectCursor = objectCursor();
  readonly #reader = new RouteReader();
  readonly #otherReader = new RouteReader();

  readonly fibs: Fib[] = [];
  /** Per family and table: the domains that consult it and with which rank. */
  readonly #consulted = new Map<number, { readonly fib: Fib; readonly rank: number }[]>();

  // Candidates, numbered from 1; `object` 0 marks a free one, chained by `nextOfObject`.
  readonly candidates: Candidates = {
    object: new Uint32Array(INITIAL),
    info: new Uint32Array(INITIAL),
    group: new Uint32Array(INITIAL),
    nextInNode: new Uint32Array(INITIAL),
  };
  #candidateFib = new Uint16Array(INITIAL);
  #candidateNode = new Uint32Array(INITIAL);
  /** Next candidate of the same route in another domain. */
  #nextOfObject = new Uint32Array(INITIAL);
  #candidatesUsed = 1;
  #freeCandidate = 0;
  /** First candidate of each route, by mirror id. */
  #ofRoute = new Uint32Array(INITIAL);
  readonly #ofNeighbour = new Map<number, number>();
  /** By domain and prefix. */
  readonly #ofPolicy = new Map<string, number>();
  /** Of all tables, also those no domain consults. */
  readonly notable = new NotableRoutes();

  readonly entries: RouteEntries;
  /** All routes were taken: domains that are set find theirs in the mirror. */
  #isLoaded = false;

  constructor(options: RoutesOptions) {
    this.#options = options;
    this.#mirror = options.mirror;
    this.#kind = options.routeKind;
    this.#nexthops = options.nexthops;
    this.entries = new RouteEntries({
      fibs: this.fibs,
      fibOf: (family, vrf) => this.#fibOf(family, vrf),
      candidates: this.candidates,
      nexthops: options.nexthops,
      capacity: options.capacity,
      updatesInPlace: options.updatesInPlace,
      onQueued: options.onQueued,
      onFreed: options.onFreed,
    });
  }

  /** Prefixes for which there is no room. */
  get waiting(): number {
    return this.entries.waiting;
  }

  // ---- routes and domains ----

  /** Sets which tables each domain consults. Domains whose list changed are merged anew; what is equal stays. */
  setDomains(family: number, domains: readonly DomainTables[]): void {
    const before = new Map<number, readonly number[]>();
    for (const [key, uses] of this.#consulted) {
      for (const { fib, rank } of uses) {
        if (fib.family !== family) continue;
        const tables = (before.get(fib.vrf) as number[] | undefined) ?? [];
        tables[rank] = Math.floor(key / 2);
        before.set(fib.vrf, tables);
      }
    }
    const changed = new Set<Fib>();
    for (const domain of domains) {
      const fib = this.#fibOf(family, domain.vrf);
      const merged = !domain.mayBeMerged ? SEPARATE : this.notable.hasDefault ? MERGED_FALLING : MERGED;
      if (fib.merged !== merged || `${before.get(domain.vrf)}` !== `${domain.tables}`) changed.add(fib);
      fib.merged = merged;
      before.delete(domain.vrf);
    }
    for (const vrf of before.keys()) changed.add(this.#fibOf(family, vrf));
    if (changed.size === 0) return;

    this.#forEachCandidate((candidate) => {
      const fib = this.fibs[this.#candidateFib[candidate]!]!;
      if (changed.has(fib) && rankOf(this.candidates.info[candidate]!) < POLICY_RANK)
        this.#dropCandidate(candidate);
    });
    for (const [key, uses] of this.#consulted) {
      this.#consulted.set(
        key,
        uses.filter(({ fib }) => !changed.has(fib)),
      );
    }
    for (const domain of domains) {
      const fib = this.#fibOf(family, domain.vrf);
      if (!changed.has(fib)) continue;
      for (const [rank, table] of domain.tables.entries()) {
        const key = tableKey(family, table);
        const uses = this.#consulted.get(key) ?? [];
        uses.push({ fib, rank });
        this.#consulted.set(key, uses);
      }
    }
    if (!this.#isLoaded) return;
    this.#mirror.forEach(this.#kind, (id) => {
      if (!this.#read(id) || this.#reader.family !== family) return;
      for (const { fib, rank } of this.#consulted.get(tableKey(family, this.#reader.table)) ?? []) {
        if (changed.has(fib)) this.#addRoute(id, fib, rank);
      }
    });
  }

  /** Hands packets to these prefixes to the kernel, in every domain given. */
  setPolicies(
    prefixes: ReadonlyMap<string, PolicyPrefix>,
    domains: (family: number) => Iterable<number>,
  ): void {
    const wanted = new Set<string>();
    for (const [key, { id, family, prefix, length }] of prefixes) {
      for (const vrf of domains(family)) {
        const place = `${vrf} ${key}`;
        wanted.add(place);
        const known = this.#ofPolicy.get(place);
        if (known !== undefined) {
          this.candidates.object[known] = id;
          continue;
        }
        const fib = this.#fibOf(family, vrf);
        const candidate = this.#allocateCandidate(id, fib);
        this.candidates.info[candidate] = candidateInfo(POLICY_RANK, ACTION.trap, REASON['ipsec-policy'], 0);
        this.#ofPolicy.set(place, candidate);
        this.#candidateNode[candidate] = fib.add(prefix, length, candidate);
      }
    }
    for (const [place, candidate] of this.#ofPolicy) {
      if (wanted.has(place)) continue;
      this.#ofPolicy.delete(place);
      this.#dropCandidate(candidate);
    }
  }

  /** Takes all routes of the mirror, once; from then on each is told of. Domains are set before, so that each is read once. */
  load(): void {
    this.#isLoaded = true;
    this.#reserve(this.#mirror.count(this.#kind));
    this.#mirror.forEach(this.#kind, (id) => this.routeChanged(id));
  }

  /** True when a rule leads packets of the device to this table. */
  isConsulted(family: number, table: number): boolean {
    return (this.#consulted.get(tableKey(family, table))?.length ?? 0) > 0;
  }

  routeChanged(id: number): void {
    if (!this.#read(id)) return;
    this.notable.set(id, this.#reader);
    let candidate = id < this.#ofRoute.length ? this.#ofRoute[id]! : 0;
    if (candidate === 0) {
      const uses = this.#consulted.get(tableKey(this.#reader.family, this.#reader.table));
      if (uses === undefined) return;
      for (let use = 0; use < uses.length; use++) this.#addRoute(id, uses[use]!.fib, uses[use]!.rank);
      return;
    }
    for (; candidate !== 0; candidate = this.#nextOfObject[candidate]!) {
      const rank = rankOf(this.candidates.info[candidate]!);
      const group = this.#groupColumn(candidate);
      this.#fill(candidate, rank);
      if (group !== 0) this.#nexthops.release(group);
      this.fibs[this.#candidateFib[candidate]!]!.update(this.#candidateNode[candidate]!, rank);
    }
  }

  routeDeleted(id: number): void {
    this.notable.delete(id);
    if (id >= this.#ofRoute.length) return;
    while (this.#ofRoute[id] !== 0) this.#dropCandidate(this.#ofRoute[id]!);
  }

  /** A directly attached host that can be reached by its link-layer address; `vrf` is the domain of its link. */
  setHost(neighbour: number, family: number, vrf: number, ifindex: number, address: ArrayLike<number>): void {
    if (this.#ofNeighbour.has(neighbour)) return;
    const fib = this.#fibOf(family, vrf);
    const candidate = this.#allocateCandidate(neighbour, fib);
    this.candidates.group[candidate] = this.#nexthops.groupOfHost(ifindex, family, address);
    this.candidates.info[candidate] = candidateInfo(NEIGHBOUR_RANK, ACTION.forward, REASON.none, 0);
    const key = this.#hostKey;
    if (family === AF_INET) key[0] = address[3]!;
    else for (let word = 0; word < 4; word++) key[word] = address[word]!;
    this.#ofNeighbour.set(neighbour, candidate);
    this.#candidateNode[candidate] = fib.add(key, family === AF_INET ? 32 : 128, candidate);
  }

  readonly #hostKey = new Uint32Array(4);

  deleteHost(neighbour: number): void {
    const candidate = this.#ofNeighbour.get(neighbour);
    if (candidate !== undefined) this.#dropCandidate(candidate);
  }

  #fibOf(family: number, vrf: number): Fib {
    let fib = this.fibs.find((candidate) => candidate.family === family && candidate.vrf === vrf);
    if (fib === undefined) {
      fib = new Fib(this.fibs.length, family, vrf, family === AF_INET ? 1 : 4, this);
      this.fibs.push(fib);
    }
    return fib;
  }

  #read(id: number): boolean {
    return this.#mirror.open(this.#kind, id, this.#cursor) && this.#reader.read(this.#cursor);
  }

  /** Group number of a candidate that holds a reference, else 0. */
  #groupColumn(candidate: number): number {
    return (this.candidates.info[candidate]! & CANDIDATE_CONNECTED) !== 0
      ? 0
      : this.candidates.group[candidate]!;
  }

  #addRoute(id: number, fib: Fib, rank: number): void {
    const candidate = this.#allocateCandidate(id, fib);
    if (id >= this.#ofRoute.length)
      this.#ofRoute = grown(this.#ofRoute, Math.max(id + 1, Math.ceil(this.#ofRoute.length * 1.5)));
    this.#nextOfObject[candidate] = this.#ofRoute[id]!;
    this.#ofRoute[id] = candidate;
    this.#fill(candidate, rank);
    this.#candidateNode[candidate] = fib.add(this.#reader.prefix, this.#reader.length, candidate);
  }

  /** Columns of a candidate from the route just read: what the kernel would do, as far as the device can do it. */
  #fill(candidate: number, rank: number): void {
    const route = this.#reader;
    const columns = this.candidates;
    columns.group[candidate] = 0;
    let flags = 0;
    let action: number = ACTION.trap;
    let reason: number = REASON['unsupported-type'];
    if (route.tos !== 0) {
      flags = CANDIDATE_SELECTIVE;
      reason = REASON['tos-route'];
    } else if (route.sourceLength !== 0) {
      flags = CANDIDATE_SELECTIVE;
      reason = REASON['source-specific-route'];
    } else {
      switch (route.type) {
        case RTN_UNICAST:
          if (route.hop.encapsulated) reason = REASON['unsupported-encap'];
          else if (route.hasMtu) reason = REASON['route-mtu'];
          else if (isLinkScope(route)) reason = REASON['link-scope'];
          else if (route.nexthopId === 0 && !route.isMultipath && route.hop.gatewayFamily === 0) {
            reason = REASON.connected;
            flags = CANDIDATE_CONNECTED;
            columns.group[candidate] = route.hop.ifindex;
          } else {
            const group = this.#nexthops.groupOf(route);
            if (group === 0) {
              flags = CANDIDATE_SKIP;
              reason = REASON['nexthops-dead'];
            } else {
              columns.group[candidate] = group;
              action = ACTION.forward;
              reason = REASON.none;
            }
          }
          break;
        case RTN_LOCAL:
        case RTN_BROADCAST:
        case RTN_ANYCAST:
          reason = REASON.local;
          break;
        case RTN_MULTICAST:
          reason = REASON['link-scope'];
          break;
        case RTN_BLACKHOLE:
          action = ACTION.drop;
          reason = REASON.none;
          break;
        case RTN_THROW:
          flags = CANDIDATE_THROW;
          reason = REASON['throw-route'];
          break;
        case 7: // RTN_UNREACHABLE
        case 8: // RTN_PROHIBIT
          reason = REASON['kernel-answers'];
          break;
      }
    }
    columns.info[candidate] = candidateInfo(rank, action, reason, flags);
  }

  #allocateCandidate(object: number, fib: Fib): number {
    let candidate = this.#freeCandidate;
    if (candidate !== 0) this.#freeCandidate = this.#nextOfObject[candidate]!;
    else {
      candidate = this.#candidatesUsed++;
      if (candidate === this.candidates.object.length) this.#growCandidates();
    }
    this.candidates.object[candidate] = object;
    this.candidates.info[candidate] = 0;
    this.candidates.group[candidate] = 0;
    this.#candidateFib[candidate] = fib.number;
    this.#nextOfObject[candidate] = 0;
    return candidate;
  }

  /** Room for as many routes: most are a candidate of one domain, and an entry. */
  #reserve(routes: number): void {
    if (this.#candidatesUsed + routes > this.candidates.object.length)
      this.#growCandidates(this.#candidatesUsed + routes);
    this.entries.reserve(routes);
  }

  #growCandidates(length = Math.ceil(this.candidates.object.length * 1.5)): void {
    this.candidates.object = grown(this.candidates.object, length);
    this.candidates.info = grown(this.candidates.info, length);
    this.candidates.group = grown(this.candidates.group, length);
    this.candidates.nextInNode = grown(this.candidates.nextInNode, length);
    this.#candidateFib = grown(this.#candidateFib, length);
    this.#candidateNode = grown(this.#candidateNode, length);
    this.#nextOfObject = grown(this.#nextOfObject, length);
  }

  #dropCandidate(candidate: number): void {
    const object = this.candidates.object[candidate]!;
    const rank = rankOf(this.candidates.info[candidate]!);
    if (rank === NEIGHBOUR_RANK) this.#ofNeighbour.delete(object);
    else if (rank === POLICY_RANK) {
      // Its owner forgets it.
    } else if (this.#ofRoute[object] === candidate) this.#ofRoute[object] = this.#nextOfObject[candidate]!;
    else {
      let previous = this.#ofRoute[object]!;
      while (this.#nextOfObject[previous] !== candidate) previous = this.#nextOfObject[previous]!;
      this.#nextOfObject[previous] = this.#nextOfObject[candidate]!;
    }
    const group = this.#groupColumn(candidate);
    this.fibs[this.#candidateFib[candidate]!]!.remove(this.#candidateNode[candidate]!, candidate);
    if (group !== 0) this.#nexthops.release(group);
    this.candidates.object[candidate] = 0;
    this.#nextOfObject[candidate] = this.#freeCandidate;
    this.#freeCandidate = candidate;
  }

  #forEachCandidate(callback: (candidate: number) => void): void {
    for (let candidate = 1; candidate < this.#candidatesUsed; candidate++) {
      if (this.candidates.object[candidate] !== 0) callback(candidate);
    }
  }

  // ---- what the domains ask for (FibHost) ----

  compare(family: number, a: number, b: number): number {
    const first = this.#otherReader;
    if (!this.#mirror.open(this.#kind, a, this.#cursor) || !first.read(this.#cursor)) return 1;
    const priority = first.priority;
    if (!this.#mirror.open(this.#kind, b, this.#cursor) || !first.read(this.#cursor)) return -1;
    if (priority !== first.priority) return priority < first.priority ? -1 : 1;
    // Between IPv4 default routes the kernel chooses by how their gateways answer (fib_select_default).
    const isFirstTaken = family === AF_INET && first.length > 0;
    return isFirstTaken ? this.#options.orderOf(a) - this.#options.orderOf(b) : 0;
  }

  linkOf(group: number): number {
    return this.#nexthops.group(group).hops[0]!.hop.ifindex;
  }

  allocate(fib: Fib, node: number): number {
    return this.entries.allocate(fib, node);
  }

  setEntry(entry: number, winner: number, action: number, reason: number): void {
    this.entries.setEntry(entry, winner, action, reason);
  }

  leakChanged(entry: number): void {
    this.entries.leakChanged(entry);
  }

  isPresent(entry: number): boolean {
    return this.entries.isPresent(entry);
  }

  // ---- what is known ----

  /** States of a route, one per domain that consults its table. */
  *statesOf(id: number): Generator<RouteState> {
    for (
      let at = id < this.#ofRoute.length ? this.#ofRoute[id]! : 0;
      at !== 0;
      at = this.#nextOfObject[at]!
    ) {
      yield this.#stateOf(at);
    }
  }

  hostState(neighbour: number): RouteState | undefined {
    const candidate = this.#ofNeighbour.get(neighbour);
    return candidate === undefined ? undefined : this.#stateOf(candidate);
  }

  #stateOf(candidate: number): RouteState {
    const info = this.candidates.info[candidate]!;
    const fib = this.fibs[this.#candidateFib[candidate]!]!;
    const node = this.#candidateNode[candidate]!;
    const entry = fib.trie.entry[node]!;
    const none = { held: 'none', action: ACTION.trap, group: undefined } as const;
    if ((info & CANDIDATE_SKIP) !== 0) return { ...none, reason: REASON['nexthops-dead'] };
    const winner = entry === 0 ? 0 : this.entries.winnerOf(entry);
    if (winner === 0) {
      if ((fib.trie.flags[node]! & WAITING) === 0) return { ...none, reason: REASON.shadowed };
      return { ...none, held: 'refused', reason: REASON['table-full'] };
    }
    if (winner !== candidate) {
      if (rankOf(this.candidates.info[winner]!) === POLICY_RANK) return { ...none, reason: REASON.shadowed };
      const { object } = this.candidates;
      const isTie =
        rankOf(info) === rankOf(this.candidates.info[winner]!) &&
        this.compare(fib.family, object[candidate]!, object[winner]!) === 0;
      if (!isTie) return { ...none, reason: REASON['not-best'] };
      // The kernel may use either, so the entry traps for both.
      return { ...this.entries.stateOf(entry), group: undefined };
    }
    const isForward = actionOf(info) === ACTION.forward;
    const group = isForward ? this.#nexthops.group(this.candidates.group[candidate]!) : undefined;
    const state = this.entries.stateOf(entry);
    return { ...state, group, reason: state.reason === REASON.none ? reasonOf(info) : state.reason };
  }

  /** All routes that were taken have lower ids. */
  get idLimit(): number {
    return this.#ofRoute.length;
  }

  /**
   * What the domains take the route for, if not for what it is in the mirror now: a change was missed. Undefined: all is well.
   * Changes that were not told of yet are seen as missed.
   */
  missed(id: number): Missed | undefined {
    const route = this.#reader;
    const isThere = this.#read(id);
    const uses = isThere ? (this.#consulted.get(tableKey(route.family, route.table)) ?? []) : [];
    const note = (detail: string): Missed => ({
      kind: 'route',
      object: `${prefixText(route)} table ${route.table} metric ${route.priority}`,
      detail,
    });
    let count = 0;
    for (
      let at = id < this.#ofRoute.length ? this.#ofRoute[id]! : 0;
      at !== 0;
      at = this.#nextOfObject[at]!
    ) {
      const fib = this.fibs[this.#candidateFib[at]!]!;
      if (!isThere) {
        const object = fib.describe(this.#candidateNode[at]!);
        return { kind: 'route', object, detail: 'the plan has a route that is gone' };
      }
      const rank = rankOf(this.candidates.info[at]!);
      if (!uses.some((use) => use.fib === fib && use.rank === rank))
        return note('the plan has it for a domain that does not consult its table');
      if (!this.#isAsRead(at, rank)) return note('the plan has an earlier form of it');
      count++;
    }
    return count === uses.length ? undefined : note('the plan does not have it');
  }

  /** The candidate says of the route just read what it would say if it were filled now. */
  #isAsRead(candidate: number, rank: number): boolean {
    const { info, group } = this.candidates;
    this.#fill(NONE, rank);
    const made = this.#groupColumn(NONE);
    const isSameGroup =
      group[NONE] === group[candidate] ||
      (made !== 0 &&
        this.#reader.nexthopId === 0 &&
        this.#nexthops.hasHopsOf(this.#reader, group[candidate]!));
    const isEqual = info[NONE] === info[candidate] && isSameGroup;
    if (made !== 0) this.#nexthops.release(made);
    info[NONE] = 0;
    group[NONE] = 0;
    return isEqual;
  }

  /** The neighbour has a route of its own. */
  hasHost(neighbour: number): boolean {
    return this.#ofNeighbour.has(neighbour);
  }

  /** Family and table of a route. */
  tableOf(id: number): { readonly family: number; readonly table: number } | undefined {
    return this.#read(id) ? { family: this.#reader.family, table: this.#reader.table } : undefined;
  }
}

/** fe80::/10 and ff00::/8: hardware never routes them. */
function isLinkScope({ family, prefix }: RouteReader): boolean {
  return family === AF_INET6 && (prefix[0]! >>> 24 === 0xff || prefix[0]! >>> 22 === 0x3fa);
}

function prefixText({ family, prefix, length }: RouteReader): string {
  return `${formatAddress(family, family === AF_INET ? [0, 0, 0, prefix[0]!] : prefix)}/${length}`;
}

function tableKey(family: number, table: number): number {
  return table * 2 + (family === AF_INET ? 0 : 1);
}
