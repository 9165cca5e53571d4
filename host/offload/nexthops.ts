/**
 * Normal form of everything that says where packets go: routes point to groups, groups to hops, a hop to a neighbour
 * and a router interface. Routes that embed their gateways share groups made here, so a gateway that fails or moves is
 * one change under any number of routes. While a hop cannot forward, its hardware nexthop traps; the group and the
 * routes stay as they are.
 */

import { ACTION, ENTRY_KIND, FAMILY, OPERATION } from '../plugin/records.ts';
import { formatAddress } from './addresses.ts';
import type { Entry, EntryCodec, EntryTable } from './entry-table.ts';
import { REASON } from './reasons.ts';
import { AF_INET, type HopReader, type RouteReader, RTNH_F_DEAD } from './route-reader.ts';

/** Hops of one route that are looked at; the kernel's own limit is the size of a netlink message. */
const HOPS_MAX = 1024;

export interface NexthopWant {
  readonly action: number;
  readonly family: number;
  readonly routerInterface: number;
  readonly ifindex: number;
  /** Four words, IPv4 in the last. */
  readonly gateway: readonly [number, number, number, number];
  readonly mac: number;
}

export interface GroupWant {
  /** Kernel nexthop id, 0 for a group made here. */
  readonly id: number;
  /** Nexthop handles and weights in turn. */
  readonly members: readonly number[];
}

export const nexthopCodec: EntryCodec<NexthopWant> = {
  kind: ENTRY_KIND.nexthop,
  isLeaf: false,
  equal: (a, b) =>
    a.action === b.action &&
    a.family === b.family &&
    a.routerInterface === b.routerInterface &&
    a.ifindex === b.ifindex &&
    a.mac === b.mac &&
    a.gateway.every((word, index) => word === b.gateway[index]),
  size: () => 1,
  encode(encoder, operation, handle, want) {
    const record = encoder.nexthop(operation, handle);
    record.action = want.action;
    record.family = want.family;
    record.routerInterface = want.routerInterface;
    record.ifindex = want.ifindex;
    record.setGateway(...want.gateway);
    record.destinationMac = want.mac;
  },
};

export const groupCodec: EntryCodec<GroupWant> = {
  kind: ENTRY_KIND.group,
  isLeaf: false,
  equal: (a, b) =>
    a.id === b.id &&
    a.members.length === b.members.length &&
    a.members.every((value, index) => value === b.members[index]),
  size: (want) => 1 + want.members.length / 2,
  encode(encoder, operation, handle, want) {
    const count = operation === OPERATION.remove ? 0 : want.members.length / 2;
    encoder.group(operation, handle, want.id, count);
    for (let member = 0; member < count; member++) {
      encoder.member(want.members[2 * member]!, want.members[2 * member + 1]!);
    }
  },
};

/** A link-layer neighbour as the kernel has it. */
export interface Neighbour {
  /** Mirror id of the neighbour object. */
  readonly id: number;
  readonly ifindex: number;
  readonly family: number;
  readonly address: readonly [number, number, number, number];
  /** 48 bits; undefined while the kernel has no usable address. */
  readonly mac: number | undefined;
  /** A single host: not a multicast or broadcast mapping. */
  readonly isHost: boolean;
}

/** How packets leave by a link, as `Ports` knows it. */
export interface Egress {
  /** Handle of the router interface, 0 with a `reason`. */
  readonly routerInterface: number;
  readonly reason: number;
}

/** A gateway (or directly attached host) on a link. */
interface HopPlace {
  readonly ifindex: number;
  /** AF_INET or AF_INET6 of the gateway, 0: none given (a connected route as member of a group). */
  readonly family: number;
  readonly gateway: readonly [number, number, number, number];
  /** Stands for a blackhole nexthop object: drops. */
  readonly drops: boolean;
}

export interface Hop extends HopPlace {
  readonly key: string;
  /** Groups that have it as a member. */
  readonly groups: Set<Group>;
  entry: Entry<NexthopWant> | undefined;
  /** Why it traps, REASON.none when it forwards. */
  reason: number;
}

export interface Group {
  readonly number: number;
  /** Kernel nexthop id, 0 for a group of embedded gateways. */
  readonly id: number;
  readonly key: string;
  hops: readonly { readonly hop: Hop; readonly weight: number }[];
  /** Routes (and neighbours) that point here. */
  references: number;
  entry: Entry<GroupWant> | undefined;
  /** ACTION a route with this group gets; forward only while the group can be used. */
  action: number;
  /** Why not forward. */
  reason: number;
  readonly hash: number;
  next: Group | undefined;
}

/** What a kernel nexthop object says (struct nhmsg, NHA_*). */
export interface NexthopObject {
  readonly id: number;
  readonly blackhole: boolean;
  readonly encapsulated: boolean;
  /** Of a group: ids and weights in turn. */
  readonly group: readonly number[] | undefined;
  readonly ifindex: number;
  readonly family: number;
  readonly gateway: readonly [number, number, number, number];
}

export interface NexthopsOptions {
  /** All neighbours by `addressKey`, kept by the planner. */
  readonly neighbours: ReadonlyMap<string, Neighbour>;
  readonly nexthops: EntryTable<NexthopWant>;
  readonly groups: EntryTable<GroupWant>;
  readonly membersMax: number;
  readonly egress: (ifindex: number) => Egress;
  /** The kernel never chooses a hop that is shown as dead, by family and link; else it may. */
  readonly leavesOut: (family: number, ifindex: number) => boolean;
  /** `action`, `reason`, the handle or its usability changed: routes with this group are to be looked at. */
  readonly onGroup: (group: Group) => void;
}

/** Something that the plan has otherwise than the mirror: a change of it was missed. */
export interface Missed {
  readonly kind: 'route' | 'neighbour' | 'nexthop' | 'group';
  /** For people. */
  readonly object: string;
  readonly detail: string;
}

const NO_GATEWAY = [0, 0, 0, 0] as const;

export function addressKey(ifindex: number, family: number, words: ArrayLike<number>): string {
  return family === AF_INET
    ? `${ifindex}/${words[3]!.toString(36)}`
    : `${ifindex}/${words[0]!.toString(36)}.${words[1]!.toString(36)}.${words[2]!.toString(36)}.${words[3]!.toString(36)}`;
}

export class Nexthops {
  readonly #options: NexthopsOptions;
  readonly #hops = new Map<string, Hop>();
  readonly #hopsByIfindex = new Map<number, Set<Hop>>();
  /** By group number; 0 is never used. */
  readonly #groups: (Group | undefined)[] = [undefined];
  readonly #freeNumbers: number[] = [];
  readonly #groupsByHash = new Map<number, Group>();
  readonly #groupsById = new Map<number, Group>();
  readonly #groupsByKey = new Map<string, Group>();
  readonly #objects = new Map<number, NexthopObject>();
  /** Kernel groups that have a nexthop object as a member. */
  readonly #usedBy = new Map<number, Set<number>>();

  // Hops of the route being read: ifindex, family, four address words, weight.
  readonly #scratch = new Uint32Array(HOPS_MAX * 7);
  #scratchCount = 0;
  /** Of the route being read: its family, and whether all hops so far are dead. */
  #family = 0;
  #isDead = true;

  constructor(options: NexthopsOptions) {
    this.#options = options;
  }

  group(number: number): Group {
    return this.#groups[number]!;
  }

  get groupCount(): number {
    return this.#groups.length - 1 - this.#freeNumbers.length;
  }

  groupById(id: number): Group | undefined {
    return this.#groupsById.get(id);
  }

  /**
   * Number of the group of the route just read, made if there is none; every call must be paired with `release`.
   * 0: all its hops are dead. Allocates nothing for a group that exists.
   */
  groupOf(route: RouteReader): number {
    if (route.nexthopId !== 0) return this.#retain(this.#groupOfObject(route.nexthopId));
    this.#scratchCount = 0;
    this.#isDead = true;
    this.#family = route.family;
    if (route.isMultipath) route.forEachHop(this.#collect);
    else this.#collect(route.hop);
    if (this.#isDead) return 0;
    return this.#retain(this.#groupOfScratch());
  }

  /** Group of one directly attached host. */
  groupOfHost(ifindex: number, family: number, address: ArrayLike<number>): number {
    this.#scratchCount = 0;
    this.#push(ifindex, family, address, 1);
    return this.#retain(this.#groupOfScratch());
  }

  release(number: number): void {
    const group = this.#groups[number];
    if (group === undefined) return;
    group.references--;
    if (group.references > 0) return;
    this.#options.groups.drop(group.key);
    group.entry = undefined;
    for (const { hop } of group.hops) this.#leaveHop(hop, group);
    this.#groups[number] = undefined;
    this.#freeNumbers.push(number);
    this.#groupsByKey.delete(group.key);
    if (group.id !== 0) this.#groupsById.delete(group.id);
    else this.#unlinkHash(group);
  }

  /** A neighbour came, changed or went. */
  neighbourChanged(key: string): void {
    const hop = this.#hops.get(key);
    if (hop !== undefined) this.#resolve(hop);
  }

  hop(key: string): Hop | undefined {
    return this.#hops.get(key);
  }

  /** The way out by this link changed. */
  egressChanged(ifindex: number): void {
    for (const hop of this.#hopsByIfindex.get(ifindex) ?? []) this.#resolve(hop);
  }

  /** A kernel nexthop object came or changed. It has a group in hardware whether routes use it or not. */
  setObject(object: NexthopObject): void {
    const isNew = !this.#objects.has(object.id);
    this.#forgetMembers(object.id);
    this.#objects.set(object.id, object);
    for (let member = 0; member < (object.group?.length ?? 0); member += 2) {
      const id = object.group![member]!;
      const users = this.#usedBy.get(id);
      if (users === undefined) this.#usedBy.set(id, new Set([object.id]));
      else users.add(object.id);
    }
    if (isNew) this.#retain(this.#groupOfObject(object.id));
    this.#objectChanged(object.id);
  }

  deleteObject(id: number): void {
    if (!this.#objects.has(id)) return;
    this.#forgetMembers(id);
    this.#objects.delete(id);
    this.#objectChanged(id);
    this.release(this.#groupsById.get(id)!.number);
  }

  #forgetMembers(id: number): void {
    const members = this.#objects.get(id)?.group ?? [];
    for (let member = 0; member < members.length; member += 2) this.#usedBy.get(members[member]!)?.delete(id);
  }

  #objectChanged(id: number): void {
    const group = this.#groupsById.get(id);
    if (group !== undefined) this.#setHops(group, this.#hopsOfObject(id));
    for (const user of this.#usedBy.get(id) ?? []) {
      const outer = this.#groupsById.get(user);
      if (outer !== undefined) this.#setHops(outer, this.#hopsOfObject(user));
    }
  }

  /** The device's entry of a hop became usable, unusable or moved. */
  hopEntryChanged(entry: Entry<NexthopWant>): void {
    const hop = this.#hops.get(entry.key);
    if (hop === undefined) return;
    hop.entry = entry;
    for (const group of hop.groups) this.#plan(group);
  }

  groupEntryChanged(entry: Entry<GroupWant>): void {
    const group = this.#groupsByKey.get(entry.key);
    if (group !== undefined) this.#judge(group);
  }

  /** A group's handle for a route, 0 unless its action is forward. */
  handleOf(group: Group): number {
    return group.action === ACTION.forward ? this.#options.groups.handle(group.entry) : 0;
  }

  readonly #collect = (hop: HopReader): void => {
    if ((hop.flags & RTNH_F_DEAD) === 0) this.#isDead = false;
    else if (this.#options.leavesOut(this.#family, hop.ifindex)) return;
    this.#push(hop.ifindex, hop.gatewayFamily, hop.gateway, hop.weight);
  };

  #push(ifindex: number, family: number, address: ArrayLike<number>, weight: number): void {
    if (this.#scratchCount === HOPS_MAX) return;
    const at = this.#scratchCount++ * 7;
    this.#scratch[at] = ifindex;
    this.#scratch[at + 1] = family;
    for (let word = 0; word < 4; word++) this.#scratch[at + 2 + word] = address[word]!;
    this.#scratch[at + 6] = weight;
  }

  #groupOfScratch(): Group {
    const end = this.#scratchCount * 7;
    let hash = this.#scratchCount;
    for (let at = 0; at < end; at++) {
      hash = Math.imul(hash ^ this.#scratch[at]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    for (let group = this.#groupsByHash.get(hash); group !== undefined; group = group.next) {
      if (this.#scratchEquals(group)) return group;
    }
    const hops: { hop: Hop; weight: number }[] = [];
    let key = '';
    for (let at = 0; at < end; at += 7) {
      const address = this.#scratch.subarray(at + 2, at + 6);
      const family = this.#scratch[at + 1]!;
      const hop = this.#hop(
        this.#scratch[at]!,
        family,
        [address[0]!, address[1]!, address[2]!, address[3]!],
        false,
      );
      hops.push({ hop, weight: this.#scratch[at + 6]! });
      key += `${hop.key}*${this.#scratch[at + 6]!},`;
    }
    const group = this.#newGroup(key, 0, hash);
    group.next = this.#groupsByHash.get(hash);
    this.#groupsByHash.set(hash, group);
    this.#setHops(group, hops);
    return group;
  }

  #scratchEquals(group: Group): boolean {
    if (group.hops.length !== this.#scratchCount) return false;
    for (let index = 0; index < group.hops.length; index++) {
      const { hop, weight } = group.hops[index]!;
      const at = index * 7;
      if (hop.ifindex !== this.#scratch[at] || hop.family !== this.#scratch[at + 1]) return false;
      for (let word = 0; word < 4; word++) {
        if (hop.gateway[word] !== this.#scratch[at + 2 + word]) return false;
      }
      if (weight !== this.#scratch[at + 6]) return false;
    }
    return true;
  }

  #groupOfObject(id: number): Group {
    let group = this.#groupsById.get(id);
    if (group === undefined) {
      group = this.#newGroup(`id ${id}`, id, 0);
      this.#groupsById.set(id, group);
      this.#setHops(group, this.#hopsOfObject(id));
    }
    return group;
  }

  #hopsOfObject(id: number): { hop: Hop; weight: number }[] {
    return this.#membersOf(id).map(({ object, weight }) => {
      const { ifindex, family, gateway, drops } = wayOf(object);
      return { hop: this.#hop(ifindex, family, gateway, drops), weight };
    });
  }

  /** Of a nexthop object that is no group, itself. */
  #membersOf(id: number): { readonly object: NexthopObject; readonly weight: number }[] {
    const object = this.#objects.get(id);
    if (object === undefined) return [];
    if (object.group === undefined) return [{ object, weight: 1 }];
    const members: { object: NexthopObject; weight: number }[] = [];
    for (let member = 0; member < object.group.length; member += 2) {
      const inner = this.#objects.get(object.group[member]!);
      if (inner !== undefined && inner.group === undefined)
        members.push({ object: inner, weight: object.group[member + 1]! });
    }
    return members;
  }

  #newGroup(key: string, id: number, hash: number): Group {
    const number = this.#freeNumbers.pop() ?? this.#groups.length;
    const group: Group = {
      number,
      id,
      key,
      hops: [],
      references: 0,
      entry: undefined,
      action: ACTION.trap,
      reason: REASON['nexthop-missing'],
      hash,
      next: undefined,
    };
    this.#groups[number] = group;
    this.#groupsByKey.set(key, group);
    return group;
  }

  #retain(group: Group): number {
    group.references++;
    return group.number;
  }

  #unlinkHash(group: Group): void {
    const first = this.#groupsByHash.get(group.hash);
    if (first === group) {
      if (group.next === undefined) this.#groupsByHash.delete(group.hash);
      else this.#groupsByHash.set(group.hash, group.next);
      return;
    }
    for (let other = first; other !== undefined; other = other.next) {
      if (other.next === group) {
        other.next = group.next;
        return;
      }
    }
  }

  #setHops(group: Group, hops: readonly { readonly hop: Hop; readonly weight: number }[]): void {
    const before = group.hops;
    group.hops = hops;
    for (const { hop } of hops) hop.groups.add(group);
    for (const { hop } of before) if (!hops.some((member) => member.hop === hop)) this.#leaveHop(hop, group);
    this.#plan(group);
  }

  /** What the device should hold of the group. */
  #plan(group: Group): void {
    const { nexthops, groups, membersMax } = this.#options;
    const members: number[] = [];
    let reason: number = REASON.none;
    if (group.hops.length === 0) reason = REASON['nexthop-missing'];
    else if (group.hops.length > membersMax) reason = REASON['group-too-large'];
    else {
      for (const { hop, weight } of group.hops) {
        if (hop.entry === undefined || !nexthops.isUsable(hop.entry)) {
          reason = REASON['nexthop-refused'];
          break;
        }
        members.push(nexthops.handle(hop.entry), weight);
      }
    }
    if (reason !== REASON.none) {
      groups.drop(group.key);
      group.entry = undefined;
      this.#set(group, ACTION.trap, reason);
      return;
    }
    group.entry = groups.want(group.key, { id: group.id, members });
    this.#judge(group);
  }

  /** What routes may do with the group as it stands. */
  #judge(group: Group): void {
    if (group.entry === undefined) return;
    if (this.#options.groups.isUsable(group.entry)) this.#set(group, ACTION.forward, REASON.none);
    else this.#set(group, ACTION.trap, REASON['nexthop-refused']);
  }

  #set(group: Group, action: number, reason: number): void {
    if (group.action === action && group.reason === reason) return;
    group.action = action;
    group.reason = reason;
    // Without references no route can be waiting for it.
    if (group.references > 0) this.#options.onGroup(group);
  }

  #hop(
    ifindex: number,
    family: number,
    gateway: readonly [number, number, number, number],
    drops: boolean,
  ): Hop {
    const key = hopKey({ ifindex, family, gateway, drops });
    let hop = this.#hops.get(key);
    if (hop !== undefined) return hop;
    hop = { key, ifindex, family, gateway, groups: new Set(), entry: undefined, reason: REASON.none, drops };
    this.#hops.set(key, hop);
    const onLink = this.#hopsByIfindex.get(ifindex);
    if (onLink === undefined) this.#hopsByIfindex.set(ifindex, new Set([hop]));
    else onLink.add(hop);
    this.#resolve(hop);
    return hop;
  }

  #leaveHop(hop: Hop, group: Group): void {
    // A group may have a hop more than once.
    if (!hop.groups.delete(group) || hop.groups.size > 0) return;
    this.#options.nexthops.drop(hop.key);
    this.#hops.delete(hop.key);
    const onLink = this.#hopsByIfindex.get(hop.ifindex)!;
    onLink.delete(hop);
    if (onLink.size === 0) this.#hopsByIfindex.delete(hop.ifindex);
  }

  #resolve(hop: Hop): void {
    const { want, reason } = this.#wanted(hop);
    hop.reason = reason;
    hop.entry = this.#options.nexthops.want(hop.key, want, reason);
    for (const group of hop.groups) if (group.entry === undefined) this.#plan(group);
  }

  /** What the device should hold of the hop, by its link and its neighbour as they are. */
  #wanted(hop: Hop): { readonly want: NexthopWant; readonly reason: number } {
    const family = hop.family === AF_INET || hop.family === 0 ? FAMILY.ipv4 : FAMILY.ipv6;
    const base = { family, ifindex: hop.ifindex, gateway: hop.gateway };
    let action: number = ACTION.trap;
    let reason: number;
    let routerInterface = 0;
    let mac = 0;
    if (hop.drops) {
      action = ACTION.drop;
      reason = REASON.none;
    } else if (hop.family === 0) reason = REASON.connected;
    else {
      const egress = this.#options.egress(hop.ifindex);
      reason = egress.reason;
      if (reason === REASON.none) {
        routerInterface = egress.routerInterface;
        const neighbour = this.#options.neighbours.get(hop.key);
        if (neighbour?.mac === undefined) reason = REASON['nexthop-unresolved'];
        else {
          action = ACTION.forward;
          mac = neighbour.mac;
        }
      }
    }
    return { want: { ...base, action, routerInterface, mac }, reason };
  }

  // ---- what is checked ----

  /** The object was taken as it is. */
  isTaken(object: NexthopObject): boolean {
    return JSON.stringify(this.#objects.get(object.id)) === JSON.stringify(object);
  }

  /** What is not as links, neighbours and nexthop objects are now, or what nobody uses any more; undefined for each that is right. */
  *missed(): Generator<Missed | undefined> {
    for (const hop of this.#hops.values()) {
      yield undefined;
      const held = hop.entry?.want;
      const { want, reason } = this.#wanted(hop);
      const note = (detail: string): Missed => ({ kind: 'nexthop', object: hopText(hop), detail });
      if (hop.groups.size === 0) yield note('the plan has it for no group');
      else if (held !== undefined && (hop.reason !== reason || !nexthopCodec.equal(held, want)))
        yield note('the plan has an earlier form of it');
    }
    for (const group of this.#groups) {
      yield undefined;
      if (group === undefined) continue;
      const object = group.id === 0 ? group.hops.map(({ hop }) => hopText(hop)).join(', ') : `id ${group.id}`;
      const note = (detail: string): Missed => ({ kind: 'group', object, detail });
      const hops = group.hops.map(({ hop, weight }) => `${hop.key}*${weight}`);
      const members = this.#membersOf(group.id).map(
        ({ object, weight }) => `${hopKey(wayOf(object))}*${weight}`,
      );
      if (group.references <= 0) yield note('the plan has it for nothing');
      else if (group.id !== 0 && `${hops}` !== `${members}`) yield note('the plan has earlier members of it');
    }
  }

  /**
   * Whether the group has the hops of the route, in their order. Which dead hops the kernel may choose is known from when they died
   * (KernelView.leavesOut): they may be there or not.
   */
  hasHopsOf(route: RouteReader, number: number): boolean {
    const hops = this.#groups[number]?.hops ?? [];
    let at = 0;
    let isAlike = true;
    const look = (hop: HopReader): void => {
      const key = hopKey({
        ifindex: hop.ifindex,
        family: hop.gatewayFamily,
        gateway: hop.gateway,
        drops: false,
      });
      const member = hops[at];
      if (member?.hop.key === key && member.weight === hop.weight) at++;
      else if ((hop.flags & RTNH_F_DEAD) === 0) isAlike = false;
    };
    if (route.isMultipath) route.forEachHop(look);
    else look(route.hop);
    return isAlike && at === hops.length;
  }
}

/** Where packets to a nexthop object that is no group go. */
function wayOf({ blackhole, encapsulated, ifindex, family, gateway }: NexthopObject): HopPlace {
  if (blackhole) return { ifindex: 0, family: 0, gateway: NO_GATEWAY, drops: true };
  // An encapsulating nexthop is a hop without a gateway: it traps.
  if (encapsulated) return { ifindex, family: 0, gateway: NO_GATEWAY, drops: false };
  return { ifindex, family, gateway, drops: false };
}

/** For people. */
function hopText({ ifindex, family, gateway, drops }: HopPlace): string {
  if (drops) return 'blackhole';
  return family === 0 ? `dev ${ifindex}` : `${formatAddress(family, gateway)} dev ${ifindex}`;
}

function hopKey({
  ifindex,
  family,
  gateway,
  drops,
}: {
  readonly ifindex: number;
  readonly family: number;
  readonly gateway: ArrayLike<number>;
  readonly drops: boolean;
}): string {
  return drops ? 'blackhole' : family === 0 ? `${ifindex}` : addressKey(ifindex, family, gateway);
}
