/**
 * The device `rtnetlink` in a plugin's worker: what the plugin programs is written into another kernel by netlink.
 *
 *     nexthop    nexthop object with the plan's handle as its id, and a permanent neighbour
 *     group      a nexthop group per table, 0x4T-----: its members, or the way to the mirrored kernel while one of them is none
 *     route      in every table that decides for a link of its routing domain; `nhid` of the table's group
 *     fdb        an entry of the bridge that stands for the mirrored kernel's (fdb.ts)
 *
 * Everything else carries the device's protocol number, and nothing that does not is touched. What there is is read from the
 * kernel, never remembered; only what the kernel has no place for (handles of routes, the router interface of a nexthop)
 * is kept here, and numbered anew by the next worker.
 */

import { EkhoError } from '../../errors.ts';
import { type Datagram, NETLINK_ROUTE } from '../../netlink/message.ts';
import { NetlinkError } from '../../netlink/request.ts';
import { SyncNetlink, type SyncRequest } from '../../netlink/sync-socket.ts';
import type { RtnetlinkCompletion, RtnetlinkCore } from '../core.ts';
import type { DeviceShare } from '../types.ts';
import { BridgeEntries } from './fdb.ts';
import { FDB, GROUP, INTERFACE, NEXTHOP, ROUTE, type RoutingConfig, STATUS, TABLES } from './layout.ts';
import {
  deleteNeighbour,
  deleteNexthop,
  deleteRoute,
  type Family,
  putBlackhole,
  putGroup,
  putNeighbour,
  putRoute,
  putWay,
  RTM_DELNEIGH,
  RTM_DELNEXTHOP,
  RTM_NEWNEIGH,
  type Way,
} from './messages.ts';
import { groupId, type OwnRoute, readNexthops, readRoutes, routeKey } from './reader.ts';
import { RowError } from './row-error.ts';
import { type Domain, Targets } from './target.ts';

const RTNLGRP_LINK = 1;
const RTNLGRP_NEIGH = 3;
const RTNLGRP_NEXTHOP = 32;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const ACTION_FORWARD = 0;
const ACTION_TRAP = 1;
const ACTION_DROP = 2;
const IPV4_FLAG = 1;
const IPV6_FLAG = 2;
/** Upper 4 bits of a handle: its kind plus one (wit/types.wit). */
const KIND_ROUTE = 5;
const INDEX = 0x0fff_ffff;
/** Ids of nexthop objects: a group of a table has the table's number in bits 24 to 27. */
export const GROUP_INDEX_MAX = 0x00ff_ffff;
export const VIA_HOST = 0x5000_0000;
const EEXIST = 17;
const ENOENT = 2;
const ESRCH = 3;

interface Nexthop {
  readonly row: readonly number[];
  readonly action: number;
  readonly family: Family;
  readonly ifindex: number;
}

/** Members as nexthop handle and weight. */
type Members = readonly (readonly [nexthop: number, weight: number])[];

interface Interface {
  readonly ifindex: number;
  readonly flags: number;
}

export class RtnetlinkWriter implements RtnetlinkCore {
  readonly #netlink: SyncNetlink;
  readonly #watch: SyncNetlink;
  readonly #targets: Targets;
  readonly #config: RoutingConfig;
  readonly #interfaces = new Map<number, Interface>();
  readonly #nexthops = new Map<number, Nexthop>();
  readonly #groups = new Map<number, { id: number; members: Members }>();
  readonly #routes = new Map<string, OwnRoute>();
  readonly #routeKeys = new Map<number, string>();
  readonly #bridgeEntries: BridgeEntries;
  /** Ids of nexthop objects in the kernel that are the device's. */
  #own = new Set<number>();
  /** Of those, ways to the mirrored kernel that this worker wrote. */
  readonly #checked = new Set<number>();
  readonly #counts: Int32Array;
  #pages: readonly (readonly number[])[] = [];
  #epoch = 0;
  #reason = '';

  /** Throws E_NETNS, E_NETLINK. */
  constructor(share: DeviceShare) {
    const { routing, memory, netns } = share;
    if (routing === undefined || memory === undefined)
      throw new EkhoError('E_DEVICE', `${share.name} is no such device`);
    this.#config = routing;
    const shared = new Int32Array(memory);
    this.#counts = shared.subarray(routing.links.length);
    this.#targets = new Targets(routing, shared);
    this.#netlink = new SyncNetlink(NETLINK_ROUTE, netns);
    this.#watch = new SyncNetlink(NETLINK_ROUTE, netns, [RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_NEXTHOP]);
    this.#bridgeEntries = new BridgeEntries(this.#netlink, this.#targets, (requests, fine) =>
      this.#do(requests, fine),
    );
    this.#load();
  }

  write(table: number, words: Uint32Array, start: number, rows: number): RtnetlinkCompletion {
    const width = TABLES[table]!.words;
    const at = (row: number) => Array.from(words.subarray(start + row * width, start + (row + 1) * width));
    return this.#burst(rows, width, (row) => {
      if (table === GROUP) return this.#putRun(at, row, rows);
      if (table === INTERFACE) this.#putInterface(at(row));
      else if (table === NEXTHOP) this.#putNexthop(at(row));
      else if (table === ROUTE) this.#putRoute(at(row));
      else this.#bridgeEntries.put(at(row));
      return 1;
    });
  }

  remove(table: number, words: Uint32Array, start: number, keys: number): RtnetlinkCompletion {
    return this.#burst(keys, 0, (row) => {
      const handle = words[start + row]!;
      if (table === INTERFACE) this.#removeInterface(handle);
      else if (table === NEXTHOP) this.#removeNexthop(handle);
      else if (table === GROUP) this.#removeGroup(handle);
      else if (table === ROUTE) this.#removeRoute(handle);
      else this.#bridgeEntries.remove(handle);
      return 1;
    });
  }

  /** The rows of a group stand together; returns how many they are. */
  #putRun(at: (row: number) => number[], row: number, rows: number): number {
    const [handle, id] = at(row) as [number, number, number, number];
    const members: [number, number][] = [];
    for (let next = row; next < rows; next++) {
      const [other, , nexthop, weight] = at(next) as [number, number, number, number];
      if (other !== handle) break;
      members.push([nexthop, weight]);
    }
    this.#putGroup(handle, id, members);
    return members.length;
  }

  read(table: number, cursor: number, limit: number): Uint32Array {
    if (cursor === 0) {
      try {
        this.#load();
        this.#pages = this.#rowsOf(table);
      } catch (error) {
        this.#reason = (error as Error).message;
        this.#pages = [];
      }
    }
    let end = Math.min(this.#pages.length, cursor + Math.max(1, limit));
    // The members of a group are never split.
    while (table === GROUP && end < this.#pages.length && this.#pages[end]![0] === this.#pages[end - 1]![0])
      end++;
    const rows = this.#pages.slice(cursor, end);
    return Uint32Array.from([end < this.#pages.length ? end : 0, ...rows.flat()]);
  }

  /** Changes of links, nexthops and bridge entries that were not this device's doing. */
  epoch(): number {
    const whole = this.#watch.drain((type, _flags, _sequence, data, start, end) => {
      if (this.#isTheirs(type, data, start, end)) this.#epoch++;
    });
    if (!whole) this.#epoch++;
    return this.#epoch;
  }

  used(table: number): number {
    return this.#counts[table] ?? 0;
  }

  reason(): string {
    return this.#reason;
  }

  close(): void {
    this.#netlink.close();
    this.#watch.close();
  }

  #isTheirs(type: number, data: Datagram, start: number, end: number): boolean {
    switch (type) {
      case RTM_DELNEXTHOP:
        return this.#isLost(data.words, start, end);
      case RTM_NEWLINK:
      case RTM_DELLINK:
        return this.#targets.heard(type === RTM_DELLINK, data, start, end);
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH:
        return this.#bridgeEntries.isLost(data, start, end);
      default:
        return false;
    }
  }

  /** A nexthop object of ours is gone although we did not delete it. */
  #isLost(words: Uint32Array, start: number, end: number): boolean {
    for (let at = start + 8; at + 8 <= end; at += ((words[at >>> 2]! & 0xffff) + 3) & ~3) {
      if (words[at >>> 2]! >>> 16 === 1) return this.#own.has(words[(at >>> 2) + 1]!);
      if ((words[at >>> 2]! & 0xffff) < 4) return false;
    }
    return false;
  }

  // ---- what there is ----

  #load(): void {
    this.#targets.load(this.#netlink);
    const { protocol } = this.#config;
    const found = readNexthops(this.#netlink, protocol, (ifindex) => this.#targets.sourceOf(ifindex));
    this.#own = found.ids;
    for (const [handle, { action }] of [...this.#nexthops]) {
      // One that nothing goes by for now has no object in the kernel.
      if (!found.ways.has(handle) && action !== ACTION_TRAP) this.#nexthops.delete(handle);
    }
    for (const [handle, row] of found.ways) {
      const before = this.#nexthops.get(handle)?.row;
      const kept = before !== undefined && this.#isSame(before, row) ? before : row;
      this.#nexthops.set(handle, { row: kept, action: kept[1]!, family: kept[2]!, ifindex: kept[4]! });
    }
    for (const handle of [...this.#groups.keys()]) if (!found.groups.has(handle)) this.#groups.delete(handle);
    for (const [handle, members] of found.groups) {
      const before = this.#groups.get(handle);
      const isKept = before !== undefined && (members.length === 0 || isSameGroup(before.members, members));
      this.#groups.set(handle, isKept ? before : { id: 0, members });
    }
    const routes = readRoutes(this.#netlink, this.#config, this.#targets.domains);
    for (const [key, { handle, vrf, family }] of [...this.#routes]) {
      // What no table decides needs no trap.
      if (routes.has(key) || this.#domainsOf(vrf, family).length === 0) continue;
      this.#routes.delete(key);
      this.#routeKeys.delete(handle);
    }
    let next = 1;
    for (const [key, route] of routes) {
      const handle = this.#routes.get(key)?.handle;
      while (handle === undefined && this.#routeKeys.has(((KIND_ROUTE << 28) | next) >>> 0)) next++;
      this.#keepRoute(key, { ...route, handle: handle ?? ((KIND_ROUTE << 28) | next) >>> 0 });
    }
    this.#bridgeEntries.load();
    this.#count();
  }

  /** Apart from what the kernel does not keep: the router interface, and the gateway by way of a VRF. */
  #isSame(mine: readonly number[], theirs: readonly number[]): boolean {
    const isVrf = theirs.slice(5, 9).every((word) => word === 0);
    return mine.every((word, at) => at === 3 || (isVrf && at >= 5) || word === theirs[at]);
  }

  #rowsOf(table: number): number[][] {
    switch (table) {
      case NEXTHOP:
        return [...this.#nexthops.values()].map(({ row }) => [...row]);
      case GROUP:
        return [...this.#groups].flatMap(([handle, { id, members }]) =>
          // One that led to the mirrored kernel when this worker began: what its members are is not known.
          (members.length > 0 ? members : [[0, 1] as const]).map(([nexthop, weight]) => [
            handle,
            id,
            nexthop,
            weight,
          ]),
        );
      case ROUTE:
        return [...this.#routes.values()].map(({ handle, vrf, family, length, action, group, prefix }) => [
          handle,
          vrf,
          family,
          length,
          action,
          group,
          ...prefix,
        ]);
      case FDB:
        return this.#bridgeEntries.rows();
      default:
        return [];
    }
  }

  #count(): void {
    this.#counts[INTERFACE] = this.#interfaces.size;
    this.#counts[NEXTHOP] = this.#nexthops.size;
    this.#counts[GROUP] = this.#groups.size;
    this.#counts[ROUTE] = this.#routes.size;
    this.#counts[FDB] = this.#bridgeEntries.size;
  }

  #keepRoute(key: string, route: OwnRoute): void {
    const before = this.#routes.get(key)?.handle;
    if (before !== undefined && before !== route.handle) this.#routeKeys.delete(before);
    this.#routes.set(key, route);
    this.#routeKeys.set(route.handle, key);
  }

  // ---- changes ----

  #burst(rows: number, width: number, carryOut: (row: number) => number): RtnetlinkCompletion {
    this.#reason = '';
    for (let row = 0; row < rows; ) {
      try {
        row += carryOut(row);
      } catch (error) {
        this.#count();
        return this.#failed(row, error as Error);
      }
    }
    this.#counts[TABLES.length]! += width > 0 ? rows : 0;
    this.#counts[TABLES.length + 1]! += width > 0 ? 0 : rows;
    this.#count();
    return { done: rows, status: STATUS.ok, errno: 0 };
  }

  #failed(done: number, error: Error): RtnetlinkCompletion {
    if (error instanceof RowError) {
      this.#reason = error.message;
      return { done, status: error.status, errno: 0 };
    }
    if (!(error instanceof NetlinkError)) {
      this.#reason = error.message;
      return { done, status: STATUS.ioError, errno: 0 };
    }
    this.#reason = error.kernel ?? error.message;
    return { done, status: error.errno === EEXIST ? STATUS.foreign : STATUS.refused, errno: error.errno };
  }

  /** Carries out requests; throws the first refusal that is not among `fine`. */
  #do(requests: readonly SyncRequest[], fine: readonly number[] = []): void {
    let refusal: NetlinkError | undefined;
    this.#netlink.request(requests, (_index, error) => {
      if (!fine.includes(error.errno)) refusal ??= error;
    });
    if (refusal !== undefined) throw refusal;
  }

  #putInterface(row: readonly number[]): void {
    const [handle, ifindex, _vrf, flags] = row as [number, number, number, number];
    const before = this.#interfaces.get(handle);
    this.#interfaces.set(handle, { ifindex, flags });
    if (before?.ifindex !== ifindex || before.flags !== flags) this.#rewriteGroups(() => true);
  }

  #removeInterface(handle: number): void {
    if (this.#interfaces.delete(handle)) this.#rewriteGroups(() => true);
  }

  #putNexthop(row: readonly number[]): void {
    const [handle, action, family, , ifindex] = row as [number, number, number, number, number];
    const before = this.#nexthops.get(handle);
    const nexthop = { row, action, family, ifindex };
    const way = this.#wayOf(handle, nexthop);
    const { protocol } = this.#config;
    if (way === undefined && action === ACTION_FORWARD) {
      const name = this.#targets.map(ifindex)?.link;
      throw new RowError(
        STATUS.missingLink,
        name === undefined ? `nothing stands for link ${ifindex}` : `there is no link ${name}`,
      );
    }
    const known = this.#own.has(handle);
    this.#nexthops.set(handle, nexthop);
    if (way === undefined && before !== undefined) {
      // While nothing can go this way, groups must not: the kernel takes those away whose last member goes, and their routes.
      this.#own.delete(handle);
      this.#rewriteGroups((members) => has(members, handle));
    }
    if (action === ACTION_DROP) this.#do([putBlackhole(handle, family, protocol, known)]);
    else if (way !== undefined) {
      const mac = macBytes(row[9]!, row[10]!);
      this.#do([
        ...(way.gateway === undefined ? [] : [putNeighbour(way, mac, protocol)]),
        putWay(way, protocol, known),
      ]);
    } else {
      if (known) this.#do([deleteNexthop(handle)], [ENOENT]);
      return;
    }
    this.#own.add(handle);
    if (before !== undefined) this.#rewriteGroups((members) => has(members, handle));
  }

  #removeNexthop(handle: number): void {
    const nexthop = this.#nexthops.get(handle);
    if (nexthop === undefined) return;
    const way = this.#wayOf(handle, nexthop);
    if (this.#own.delete(handle)) {
      this.#rewriteGroups((members) => has(members, handle));
      this.#do([deleteNexthop(handle)], [ENOENT]);
    }
    this.#nexthops.delete(handle);
    if (way?.gateway !== undefined) this.#do([deleteNeighbour(way)], [ENOENT]);
  }

  #putGroup(handle: number, id: number, members: Members): void {
    if ((handle & INDEX) > GROUP_INDEX_MAX) throw new RowError(STATUS.invalid, 'the handle is too large');
    const family = this.#familyOf(members);
    const domains = this.#targets.domains.filter((one) => this.#targets.via(one, family) !== undefined);
    if (domains.length === 0) {
      this.#removeGroup(handle);
      throw new RowError(
        STATUS.invalid,
        `no table there hands over IPv${family === 0 ? 4 : 6} packets: a [device.NAME.links.LINK] needs table, via and ${family === 0 ? 'gateway' : 'gateway6'}`,
      );
    }
    this.#groups.set(handle, { id, members });
    for (const domain of domains) this.#writeGroup(handle, members, domain);
  }

  #removeGroup(handle: number): void {
    if (!this.#groups.delete(handle)) return;
    for (const { number } of this.#targets.domains) {
      const id = groupId(handle, number);
      if (this.#own.delete(id)) this.#do([deleteNexthop(id)], [ENOENT]);
    }
  }

  #putRoute(row: readonly number[]): void {
    const [handle, vrf, family, length, action, group, ...prefix] = row as [
      number,
      number,
      Family,
      number,
      number,
      number,
      ...number[],
    ];
    const key = routeKey(vrf, family, length, prefix);
    const known = this.#routes.has(key);
    const domains = this.#domainsOf(vrf, family);
    if (domains.length === 0 && action !== ACTION_TRAP) {
      throw new RowError(
        STATUS.invalid,
        `no table there decides for table ${vrf} of the mirrored kernel: a [device.NAME.links.LINK] of it needs table`,
      );
    }
    const before = this.#routeKeys.get(handle);
    if (before !== undefined && before !== key) this.#removeRoute(handle);
    for (const domain of domains) {
      const nexthop =
        action === ACTION_DROP
          ? 0
          : action === ACTION_FORWARD
            ? groupId(group, domain.number)
            : this.#viaHost(domain, family);
      const place = { family, length, prefix, table: domain.table };
      this.#do([putRoute(place, nexthop, this.#config, known)]);
    }
    this.#keepRoute(key, { handle, vrf, family, length, prefix, action, group });
  }

  #removeRoute(handle: number): void {
    const key = this.#routeKeys.get(handle);
    const route = key === undefined ? undefined : this.#routes.get(key);
    if (key === undefined || route === undefined) return;
    this.#routes.delete(key);
    this.#routeKeys.delete(handle);
    const { family, length, prefix, vrf } = route;
    for (const { table } of this.#domainsOf(vrf, family)) {
      this.#do([deleteRoute({ family, length, prefix, table }, this.#config)], [ESRCH]);
    }
  }

  // ---- from the plan to the other kernel ----

  /** Tables that decide for links of the routing domain, and can hand over what they are not to decide. */
  #domainsOf(vrf: number, family: Family): Domain[] {
    return this.#targets.domains.filter(
      (domain) => domain.vrf === vrf && this.#targets.via(domain, family) !== undefined,
    );
  }

  /** Undefined while nothing can go this way. */
  #wayOf(id: number, { action, family, ifindex, row }: Nexthop): Way | undefined {
    const map = action === ACTION_FORWARD ? this.#targets.map(ifindex) : undefined;
    const link = map === undefined ? undefined : this.#targets.link(map.link);
    if (link === undefined) return undefined;
    const gateway = row.slice(5, 9);
    return { id, family, oif: link.ifindex, ...(link.vrfTable === 0 && { gateway }) };
  }

  #rewriteGroups(concerns: (members: Members) => boolean): void {
    for (const [handle, { members }] of this.#groups) {
      if (!concerns(members)) continue;
      for (const domain of this.#targets.domains) this.#writeGroup(handle, members, domain);
    }
  }

  /** All members, or the way to the mirrored kernel if one of them cannot be taken from this table. */
  #writeGroup(handle: number, members: Members, domain: Domain): void {
    const family = this.#familyOf(members);
    if (this.#targets.via(domain, family) === undefined) return;
    const isOpen = this.#isOpen(domain, family);
    const canGo = members.every(
      ([nexthop]) =>
        this.#own.has(nexthop) &&
        !this.#leadsBack(nexthop, domain) &&
        // The kernel has what drops alone in a group or not at all.
        (members.length === 1 || this.#nexthops.get(nexthop)?.action !== ACTION_DROP),
    );
    const id = groupId(handle, domain.number);
    const chosen =
      isOpen && canGo && members.length > 0 ? members : [[this.#viaHost(domain, family), 1] as const];
    this.#do([putGroup(id, chosen, this.#config.protocol, this.#own.has(id))]);
    this.#own.add(id);
  }

  #familyOf(members: Members): Family {
    return this.#nexthops.get(members[0]?.[0] ?? 0)?.family ?? 0;
  }

  /** Into the VRF whose table this is: its own routes know better. */
  #leadsBack(handle: number, { table }: Domain): boolean {
    const map = this.#targets.map(this.#nexthops.get(handle)?.ifindex ?? 0);
    return map !== undefined && this.#targets.link(map.link)?.vrfTable === table;
  }

  /** Whether the mirrored kernel routes what arrives on the domain's link. Before it was said: as it was. */
  #isOpen({ map }: Domain, family: Family): boolean {
    const about = [...this.#interfaces.values()].filter(({ ifindex }) => this.#targets.map(ifindex) === map);
    return (
      about.length === 0 || about.every(({ flags }) => (flags & (family === 0 ? IPV4_FLAG : IPV6_FLAG)) !== 0)
    );
  }

  /** Nexthop object by which the table hands packets to the mirrored kernel. */
  #viaHost(domain: Domain, family: Family): number {
    const { oif, gateway } = this.#targets.via(domain, family)!;
    const id = (VIA_HOST | (domain.number << 4) | family) >>> 0;
    const isThere = this.#own.has(id);
    // It may be there from another configuration.
    if (isThere && this.#checked.has(id)) return id;
    this.#do([putWay({ id, family, oif, gateway }, this.#config.protocol, isThere)]);
    this.#own.add(id);
    this.#checked.add(id);
    return id;
  }
}

function isSameGroup(mine: Members, theirs: Members): boolean {
  return (
    mine.length === theirs.length &&
    mine.every(([nexthop, weight]) => theirs.some(([other, share]) => other === nexthop && share === weight))
  );
}

function has(members: Members, handle: number): boolean {
  return members.some(([nexthop]) => nexthop === handle);
}

function macBytes(high: number, low: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, high);
  view.setUint32(4, low);
  return bytes.subarray(2);
}
