/**
 * What one running plugin should hold, and the way there: entries of every kind, the order in which changes go out,
 * what the device answers, retries, and starting over from what it holds (readback).
 */

import { KIND, type KindNumber, type MirrorReader, objectCursor } from '../mirror/types.ts';
import { decodeObject } from '../netlink/decode.ts';
import type { BatchReader } from '../plugin/batch.ts';
import {
  ACTION,
  ENTRY_KIND,
  EVENT_TYPE,
  type EventRecord,
  FAMILY,
  NOTICE_TYPE,
  OPERATION,
  REASON as OUTCOME_REASON,
  REASON_NAMES as OUTCOME_REASON_NAMES,
  STATUS as OUTCOME_STATUS,
  PORT_FLAGS,
  ROUTER_INTERFACE_FLAGS,
  VLAN_FLAGS,
} from '../plugin/records.ts';
import type { BatchResult, Description, Runner } from '../plugin/runner.ts';
import { type AclPlan, planFilters } from './acl.ts';
import { formatAddress, parseAddress } from './addresses.ts';
import {
  type AclWant,
  aclCodec,
  aclWantOf,
  type FdbWant,
  fdbCodec,
  type PortWant,
  portCodec,
  type RouterInterfaceWant,
  routerInterfaceCodec,
  type VlanWant,
  vlanCodec,
} from './codecs.ts';
import {
  type Entry,
  type EntryCodec,
  EntryTable,
  handleOf,
  indexOfHandle,
  kindOfHandle,
  STATUS_FAILED,
  STATUS_REFUSED,
} from './entry-table.ts';
import { type KernelView, type LinkView, nested, number32, type VlanView } from './kernel-view.ts';
import { NeighbourReader, NUD_PERMANENT } from './neighbour-reader.ts';
import {
  addressKey,
  type Egress,
  type GroupWant,
  groupCodec,
  type Hop,
  type Neighbour,
  type NexthopObject,
  Nexthops,
  type NexthopWant,
  nexthopCodec,
} from './nexthops.ts';
import { Notices } from './notices.ts';
import { type PortsPlan, planPorts } from './ports.ts';
import { type ObjectOffload, type OffloadState, REASON, REASON_NAMES, type Reason } from './reasons.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';
import { type RouteState, Routes } from './routes.ts';
import { planRules, type RulesPlan } from './rules.ts';

/** Backoff between retries of what the device failed, ms. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 10_000;
/** What the device refused is asked again this seldom unless something relevant changed. */
const RETRY_REFUSED_MS = 60_000;
/** Entries asked again at once after a failure; doubles while the device agrees. */
const RETRY_PROBE = 64;
const RETRY_LIMIT = 65_536;
/** Answers that lead to further changes a `settled` waits for; under a storm there is always more. */
const SETTLE_ROUNDS = 16;

/** The mirror as the planner reads it. */
export interface PlanMirror extends MirrorReader {
  orderOf(kind: KindNumber, id: number): number;
}

export interface PlanOptions {
  readonly name: string;
  readonly mirror: PlanMirror;
  readonly view: KernelView;
  /** By `addressKey`. */
  readonly neighbours: ReadonlyMap<string, Neighbour>;
  /** Key of each neighbour object, by mirror id. */
  readonly neighbourKeys: ReadonlyMap<number, string>;
  readonly isPort: ((name: string) => boolean) | undefined;
  readonly netfilter: 'trap' | 'ignore';
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
}

interface PlanTables {
  readonly ports: EntryTable<PortWant>;
  readonly interfaces: EntryTable<RouterInterfaceWant>;
  readonly nexthops: EntryTable<NexthopWant>;
  readonly groups: EntryTable<GroupWant>;
  readonly vlans: EntryTable<VlanWant>;
  readonly fdb: EntryTable<FdbWant>;
  readonly acl: EntryTable<AclWant>;
}

/** Plan and hardware disagree about an entry. */
export interface Difference {
  readonly kind: string;
  readonly object: string;
  readonly detail: string;
}

/** Cumulative counters of one planned entry, from the first start of this host on. */
export interface EntryCounter {
  readonly handle: number;
  readonly packets: number;
  readonly bytes: number;
  /** CLOCK_MONOTONIC, ns; 0 for never. */
  readonly lastUsed: number;
}

interface CounterState {
  packets: number;
  bytes: number;
  lastUsed: number;
  /** What the device said last, to tell a reset. */
  devicePackets: number;
  deviceBytes: number;
}

export interface TableSummary {
  readonly kind: string;
  readonly capacity: number;
  readonly planned: number;
  readonly offloaded: number;
  readonly trapped: number;
  readonly refused: number;
  readonly failed: number;
}

export class Plan {
  readonly #options: PlanOptions;
  readonly description: Description;
  readonly #cursor = objectCursor();
  readonly #neighbourReader = new NeighbourReader();
  readonly #tables: PlanTables;
  readonly #nexthops: Nexthops;
  readonly #routes: Routes;

  #runner: Runner | undefined;
  /** Read back and compared: changes may go out. */
  #isReady = false;
  #isLoaded = false;
  #straysInFlight = false;
  #structureIsDirty = true;
  #pumpIsScheduled = false;
  #resyncs = 0;

  #portsPlan: PortsPlan = {
    ports: new Map(),
    interfaces: new Map(),
    egressReasons: new Map(),
    bridgeReason: 0,
  };
  #egress = new Map<number, Egress>();
  #aclPlans = new Map<number, AclPlan[]>();
  #rulesPlans: RulesPlan[] = [];
  readonly #refusedRules = new Set<number>();
  #trappedByAcl = new Set<number>();
  #distrustsSources = false;
  #bridgeSignature = '';
  #hostSignature = '';
  readonly #hosts = new Map<number, string>();
  readonly #fdbKeys = new Map<number, string>();
  readonly #fdbReasons = new Map<number, number>();
  readonly #nexthopIds = new Map<number, number>();

  readonly #notices = new Notices();
  #retryTimer: NodeJS.Timeout | undefined;
  #retryDelay = RETRY_MIN_MS;
  #retryLimit = RETRY_PROBE;
  #retriedCount = 0;
  #lastRefusedRetry = 0;
  readonly #counters = new Map<number, CounterState>();
  readonly #waiters: { sequence: number; rounds: number; resolve: () => void }[] = [];
  #lastCommitted = 0;
  #lastAnswered = 0;
  #changeCount = 0;
  readonly #results = new Map<number, { status: number; reason: number }>();

  constructor(options: PlanOptions, description: Description) {
    this.#options = options;
    this.description = description;
    const capacity = (kind: number) =>
      description.abilities.find((ability) => ability.kind === kind)?.capacity ?? 0;
    const onQueued = () => this.schedule();
    const table = <Want>(codec: EntryCodec<Want>, onUsable?: (entry: Entry<Want>) => void) =>
      new EntryTable<Want>({
        codec,
        capacity: capacity(codec.kind),
        onQueued,
        ...(onUsable && { onUsable }),
      });
    const structural = () => {
      this.#structureIsDirty = true;
      this.schedule();
    };
    this.#tables = {
      ports: table(portCodec, structural),
      interfaces: table(routerInterfaceCodec, structural),
      nexthops: table(nexthopCodec, (entry) => this.#nexthops.hopEntryChanged(entry)),
      groups: table(groupCodec, (entry) => this.#nexthops.groupEntryChanged(entry)),
      vlans: table(vlanCodec),
      fdb: table(fdbCodec),
      acl: table(aclCodec, structural),
    };
    this.#nexthops = new Nexthops({
      neighbours: options.neighbours,
      nexthops: this.#tables.nexthops,
      groups: this.#tables.groups,
      membersMax: description.groupMembers,
      egress: (ifindex) =>
        this.#egress.get(ifindex) ?? { routerInterface: 0, reason: REASON['egress-not-a-port'] },
      onGroup: (group) => this.#routes.groupChanged(group),
    });
    this.#routes = new Routes({
      mirror: options.mirror,
      routeKind: KIND.route,
      orderOf: (id) => options.mirror.orderOf(KIND.route, id),
      nexthops: this.#nexthops,
      capacity: capacity(ENTRY_KIND.route),
      onQueued,
    });
  }

  // ---- life of the plugin ----

  /** The plugin runs: learn what its device holds, then make it equal to the plan. */
  async start(runner: Runner): Promise<void> {
    this.#runner = runner;
    await this.resync('started');
  }

  /** The plugin went: what was in flight is lost. The plan goes on. */
  stop(): void {
    this.#runner = undefined;
    this.#isReady = false;
    this.#straysInFlight = false;
    this.#notices.clear();
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#lastAnswered = this.#lastCommitted = 0;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get resyncs(): number {
    return this.#resyncs;
  }

  /** Changes planned but not answered. */
  get inFlight(): number {
    return this.#runner?.inFlight ?? 0;
  }

  /** Reads back what the device holds and sends the differences. */
  async resync(cause: string): Promise<void> {
    const runner = this.#runner;
    if (runner === undefined) return;
    this.#isReady = false;
    this.#resyncs++;
    const counts = { held: 0 };
    for (const table of this.#allTables()) table.forget();
    this.#routes.forget();
    await runner.readback((page) => this.#adoptPage(page, counts));
    if (this.#runner !== runner) return;
    if (!this.#isLoaded) this.#load();
    for (const table of this.#allTables()) table.requeueAll();
    this.#routes.requeueAll();
    this.#structureIsDirty = true;
    this.#isReady = true;
    this.#options.log('info', `${cause}: the device holds ${counts.held} entries`);
    this.schedule();
  }

  #allTables(): EntryTable<unknown>[] {
    const { ports, interfaces, nexthops, groups, vlans, fdb, acl } = this.#tables;
    return [ports, interfaces, nexthops, groups, vlans, fdb, acl] as EntryTable<unknown>[];
  }

  #adoptPage(page: BatchReader, counts: { held: number }): void {
    const { ports, interfaces, nexthops, groups, vlans, fdb, acl } = this.#tables;
    const {
      ports: p,
      routerInterfaces: r,
      nexthops: n,
      members: m,
      groups: g,
      routes,
      vlanMembers: v,
      fdbEntries: f,
      aclRules: a,
    } = page;
    for (p.rewind(); p.next(); counts.held++) {
      ports.adopt(`${p.ifindex}`, p.handle, {
        ifindex: p.ifindex,
        mtu: p.mtu,
        mac: p.mac,
        bridge: p.bridge,
        flags: p.flags,
      });
    }
    for (r.rewind(); r.next(); counts.held++) {
      interfaces.adopt(`${r.ifindex}`, r.handle, {
        port: r.port,
        ifindex: r.ifindex,
        vrf: r.vrf,
        mac: r.mac,
        mtu: r.mtu,
        vlan: r.vlan,
        flags: r.flags,
      });
    }
    for (n.rewind(); n.next(); counts.held++) nexthops.adopt(...this.#readNexthop(page));
    for (g.rewind(); g.next(); counts.held++) {
      const members: number[] = [];
      let key = '';
      for (let member = g.first; member < g.first + g.count && m.seek(member); member++) {
        members.push(m.nexthop, m.weight);
        key += `${nexthops.byIndex(indexOfHandle(m.nexthop))?.key}*${m.weight},`;
      }
      groups.adopt(g.id !== 0 ? `id ${g.id}` : key, g.handle, { id: g.id, members });
    }
    for (routes.rewind(); routes.next(); counts.held++)
      this.#routes.adopt(routes, indexOfHandle(routes.handle));
    for (v.rewind(); v.next(); counts.held++) {
      const ifindex = ports.byIndex(indexOfHandle(v.port))?.key;
      vlans.adopt(`${ifindex}/${v.vlan}`, v.handle, {
        flags: v.flags,
        vlan: v.vlan,
        port: v.port,
        bridge: v.bridge,
      });
    }
    for (f.rewind(); f.next(); counts.held++) {
      const held = { action: f.action, vlan: f.vlan, bridge: f.bridge, port: f.port, mac: f.mac };
      fdb.adopt(fdbKey(held), f.handle, held);
    }
    for (a.rewind(); a.next(); counts.held++) {
      const held = aclWantOf(a);
      // An ACL rule does not tell which filter it stands for: planning claims it by content.
      const index = indexOfHandle(a.handle);
      acl.adopt(acl.byIndex(index)?.key ?? heldAclKey(held), a.handle, held);
    }
  }

  #readNexthop(page: BatchReader): [string, number, NexthopWant] {
    const n = page.nexthops;
    const gateway = [n.gateway0, n.gateway1, n.gateway2, n.gateway3] as const;
    const family = n.family === 0 ? AF_INET : AF_INET6;
    const hasGateway = gateway.some((word) => word !== 0);
    const key =
      n.action === ACTION.drop
        ? 'blackhole'
        : hasGateway
          ? addressKey(n.ifindex, family, gateway)
          : `${n.ifindex}`;
    return [
      key,
      n.handle,
      {
        action: n.action,
        family: n.family,
        routerInterface: n.routerInterface,
        ifindex: n.ifindex,
        gateway,
        mac: n.destinationMac,
      },
    ];
  }

  // ---- changes of the mirror ----

  /** Everything the mirror holds now. Once, after the first readback: places follow what the device already holds. */
  #load(): void {
    const { mirror } = this.#options;
    this.#isLoaded = true;
    this.#structureIsDirty = true;
    this.#replan();
    for (const neighbour of this.#options.neighbours.values()) this.#planHost(neighbour.id, neighbour);
    for (const kind of [KIND.nexthop, KIND.route, KIND.fdb]) {
      mirror.forEach(kind, (id) => this.change(kind, id, false));
    }
  }

  /** A change of one object; link, rule, filter and the like count as `structureChanged`. */
  change(kind: KindNumber, id: number, isDelete: boolean): void {
    if (!this.#isLoaded) return;
    this.#changeCount++;
    switch (kind) {
      case KIND.route:
        if (isDelete) this.#routes.routeDeleted(id);
        else this.#routes.routeChanged(id);
        return;
      case KIND.nexthop:
        this.#nexthopChanged(id, isDelete);
        return;
      case KIND.fdb:
        this.#fdbChanged(id, isDelete);
        return;
    }
  }

  structureChanged(): void {
    this.#changeCount++;
    this.#structureIsDirty = true;
    this.schedule();
  }

  /** `neighbour` undefined: it is gone. */
  neighbourChanged(id: number, key: string, neighbour: Neighbour | undefined): void {
    if (!this.#isLoaded) return;
    this.#changeCount++;
    this.#planHost(id, neighbour);
    this.#nexthops.neighbourChanged(key);
    if (neighbour === undefined || !this.#portsPlan.interfaces.has(neighbour.ifindex)) return;
    const { ifindex, mac, family, address } = neighbour;
    const type = mac === undefined ? NOTICE_TYPE.neighbourFailed : NOTICE_TYPE.neighbourUpdate;
    const port = this.#portsPlan.interfaces.get(ifindex)!.port.ifindex;
    this.#notices.add(type, ifindex, this.#tables.ports.handle(this.#tables.ports.get(`${port}`)), {
      mac: mac ?? 0,
      family: family === AF_INET ? FAMILY.ipv4 : FAMILY.ipv6,
      address,
    });
    this.schedule();
  }

  #nexthopChanged(id: number, isDelete: boolean): void {
    const known = this.#nexthopIds.get(id);
    if (isDelete) {
      if (known !== undefined) this.#nexthops.deleteObject(known);
      this.#nexthopIds.delete(id);
      return;
    }
    const object = this.#readNexthopObject(id);
    if (object === undefined) return;
    this.#nexthopIds.set(id, object.id);
    this.#nexthops.setObject(object);
  }

  #readNexthopObject(id: number): NexthopObject | undefined {
    const { mirror } = this.#options;
    if (!mirror.open(KIND.nexthop, id, this.#cursor)) return undefined;
    const object = decodeObject('nexthop', this.#cursor.bytes, this.#cursor.start, this.#cursor.end);
    // For VXLAN fdb entries, not for routes.
    if (object.fdb !== undefined) return undefined;
    const members = Array.isArray(object.group)
      ? object.group
          .map(nested)
          .flatMap((member) => [
            number32(member.id),
            number32(member.weight_high) * 256 + number32(member.weight) + 1,
          ])
      : undefined;
    const gateway = typeof object.gateway === 'string' ? parseAddress(object.gateway) : undefined;
    return {
      id: number32(object.id),
      blackhole: object.blackhole === true,
      encapsulated: object.encap !== undefined,
      group: members,
      ifindex: number32(object.oif),
      family: gateway?.family ?? 0,
      gateway: gateway?.words ?? [0, 0, 0, 0],
    };
  }

  /** A host on a connected network has a route of its own where it can be reached by a router interface. */
  #planHost(id: number, neighbour: Neighbour | undefined): void {
    const wanted =
      neighbour?.mac !== undefined && neighbour.isHost
        ? this.#portsPlan.interfaces.get(neighbour.ifindex)
        : undefined;
    const place =
      wanted === undefined ? undefined : `${wanted.vrf}/${neighbour!.ifindex}/${neighbour!.address}`;
    const known = this.#hosts.get(id);
    if (known === place) return;
    if (known !== undefined) {
      this.#routes.deleteHost(id);
      this.#hosts.delete(id);
    }
    if (wanted !== undefined && neighbour !== undefined) {
      this.#routes.setHost(id, neighbour.family, wanted.vrf, neighbour.ifindex, neighbour.address);
      this.#hosts.set(id, place!);
    }
  }

  #fdbChanged(id: number, isDelete: boolean): void {
    const before = this.#fdbKeys.get(id);
    let key: string | undefined;
    let want: FdbWant | undefined;
    let reason: number = REASON.none;
    const reader = this.#neighbourReader;
    if (!isDelete && this.#options.mirror.open(KIND.fdb, id, this.#cursor) && reader.read(this.#cursor)) {
      const bridge = this.#options.view.link(reader.master);
      // Entries of the device itself (`self`) are not the bridge's.
      if (reader.master !== 0 && bridge?.kind === 'bridge') {
        const isLocal = (reader.state & NUD_PERMANENT) !== 0;
        const port = this.#tables.ports.get(`${reader.ifindex}`);
        const isPort = this.#portsPlan.ports.get(reader.ifindex)?.want.bridge === reader.master;
        reason = this.#portsPlan.bridgeReason;
        if (reason === REASON.none && isLocal) reason = REASON.local;
        else if (reason === REASON.none && !isPort) reason = REASON['egress-not-a-port'];
        else if (reason === REASON.none)
          reason = this.#portsPlan.egressReasons.get(reader.ifindex) ?? REASON.none;
        const forwards = reason === REASON.none && port !== undefined && this.#tables.ports.isUsable(port);
        if (reason === REASON.none && !forwards) reason = REASON['egress-not-a-port'];
        want = {
          action: forwards ? ACTION.forward : ACTION.trap,
          // Without VLAN filtering the bridge has one address table.
          vlan: number32(bridge.data.vlan_filtering) !== 0 ? reader.vlan : 0,
          bridge: reader.master,
          port: forwards ? this.#tables.ports.handle(port) : 0,
          mac: reader.mac,
        };
        key = fdbKey(want);
      }
    }
    if (before !== undefined && before !== key) this.#tables.fdb.drop(before);
    if (key === undefined) {
      this.#fdbKeys.delete(id);
      this.#fdbReasons.delete(id);
      return;
    }
    this.#fdbKeys.set(id, key);
    this.#fdbReasons.set(id, reason);
    this.#tables.fdb.want(key, want!, reason);
  }

  // ---- structure: ports, interfaces, rules, filters, VLANs ----

  #replan(): void {
    this.#structureIsDirty = false;
    const { view, isPort, netfilter, mirror } = this.#options;
    const { aclFields, reversePath, vlanInterfaces } = this.description;
    const canAcl = this.#tables.acl.capacity > 0;
    const plan = planPorts(view, {
      isPort,
      netfilter,
      netfilterUnreadable: mirror.kindState(KIND['nft-chain']).state === 'unavailable',
      reversePath,
      vlanInterfaces,
    });
    const before = this.#portsPlan.ports;
    this.#portsPlan = plan;
    for (const [ifindex, { link }] of before) this.#notePort(link, view.link(ifindex));
    this.#planPorts(plan);
    this.#planInterfaces(plan);
    this.#planEgress(plan);
    this.#planRules(plan, canAcl ? aclFields : 0);
    this.#planFilters(plan, canAcl ? aclFields : 0);
    this.#planVlans(plan);
    const hosts = JSON.stringify([...plan.interfaces.values()].map(({ link, vrf }) => [link.ifindex, vrf]));
    if (hosts !== this.#hostSignature) {
      this.#hostSignature = hosts;
      for (const neighbour of this.#options.neighbours.values()) this.#planHost(neighbour.id, neighbour);
    }
    const bridges = JSON.stringify([
      plan.bridgeReason,
      [...plan.ports.values()].map(({ link, want }) => [
        link.ifindex,
        want.bridge,
        this.#tables.ports.handle(this.#tables.ports.get(`${link.ifindex}`)),
        plan.egressReasons.get(link.ifindex),
      ]),
      [...view.links.values()]
        .filter(({ kind }) => kind === 'bridge')
        .map(({ ifindex, data }) => [ifindex, data.vlan_filtering]),
    ]);
    if (bridges !== this.#bridgeSignature) {
      this.#bridgeSignature = bridges;
      mirror.forEach(KIND.fdb, (id) => this.#fdbChanged(id, false));
    }
  }

  #notePort(before: LinkView, after: LinkView | undefined): void {
    if (before === after) return;
    const port = this.#tables.ports.handle(this.#tables.ports.get(`${before.ifindex}`));
    const isBridge = (ifindex: number) => this.#options.view.link(ifindex)?.kind === 'bridge';
    this.#notices.compareLinks(before, after, port, isBridge);
  }

  #planPorts(plan: PortsPlan): void {
    const { ports } = this.#tables;
    for (const { link, want, trapReason } of plan.ports.values()) {
      const isHeld = this.#trappedByAcl.has(link.ifindex);
      const flags = isHeld ? want.flags | PORT_FLAGS.trapAll : want.flags;
      ports.want(`${link.ifindex}`, { ...want, flags }, isHeld ? REASON['unsupported-match'] : trapReason);
    }
    for (const key of ports.entries.keys()) if (!plan.ports.has(Number(key))) ports.drop(key);
  }

  #planInterfaces(plan: PortsPlan): void {
    const { ports, interfaces } = this.#tables;
    // An own address that the device has no room for would not be known as a source: take only sources it has routes to.
    this.#distrustsSources = this.#lacksRoutes;
    const checks =
      this.#distrustsSources && this.description.reversePath ? ROUTER_INTERFACE_FLAGS.reversePathLoose : 0;
    for (const { link, port, vlan, vrf, flags, reason4 } of plan.interfaces.values()) {
      const entry = ports.get(`${port.ifindex}`);
      if (entry === undefined || !ports.isUsable(entry)) {
        interfaces.drop(`${link.ifindex}`);
        continue;
      }
      const want = {
        port: ports.handle(entry),
        ifindex: link.ifindex,
        vrf,
        mac: link.mac,
        mtu: link.mtu,
        vlan,
        flags: flags | checks,
      };
      interfaces.want(`${link.ifindex}`, want, reason4);
    }
    for (const key of interfaces.entries.keys()) if (!plan.interfaces.has(Number(key))) interfaces.drop(key);
  }

  #planEgress(plan: PortsPlan): void {
    const { interfaces } = this.#tables;
    const egress = new Map<number, Egress>();
    for (const ifindex of plan.interfaces.keys()) {
      const entry = interfaces.get(`${ifindex}`);
      const reason = plan.egressReasons.get(ifindex)!;
      if (entry === undefined || !interfaces.isUsable(entry)) {
        egress.set(ifindex, { routerInterface: 0, reason: REASON['egress-not-a-port'] });
      } else
        egress.set(ifindex, {
          routerInterface: reason === REASON.none ? interfaces.handle(entry) : 0,
          reason,
        });
    }
    const before = this.#egress;
    this.#egress = egress;
    for (const [ifindex, now] of egress) {
      const then = before.get(ifindex);
      if (then?.reason !== now.reason || then.routerInterface !== now.routerInterface)
        this.#nexthops.egressChanged(ifindex);
    }
    for (const ifindex of before.keys()) if (!egress.has(ifindex)) this.#nexthops.egressChanged(ifindex);
  }

  #planRules(plan: PortsPlan, aclFields: number): void {
    const { acl, ports } = this.#tables;
    const wanted = new Set<string>();
    this.#rulesPlans = [AF_INET, AF_INET6].map((family) =>
      planRules(this.#options.view, family, {
        aclFields,
        refused: this.#refusedRules,
        interfaces: plan.interfaces,
      }),
    );
    for (const [index, rules] of this.#rulesPlans.entries()) {
      this.#routes.setDomains(index === 0 ? AF_INET : AF_INET6, rules.domains);
      for (const { rule, want, iif } of rules.acl) {
        const key = `rule ${rule.id}`;
        const port = iif === 0 ? 0 : ports.handle(ports.get(`${iif}`));
        wanted.add(key);
        // All of them trap: their order among themselves does not matter.
        this.#wantAcl(key, { ...want, port, priority: rule.priority }, REASON['rule-traps']);
      }
    }
    for (const [key, entry] of acl.entries) {
      if (!key.startsWith('rule ')) continue;
      const id = Number(key.slice(5));
      if (!wanted.has(key)) acl.drop(key);
      if (entry.want !== undefined && !acl.isUsable(entry) && !this.#refusedRules.has(id)) {
        // The device does not hold it after all: the rule ends the list of tables.
        this.#refusedRules.add(id);
        this.#structureIsDirty = true;
      }
    }
    for (const id of this.#refusedRules) if (!this.#options.view.rules.has(id)) this.#refusedRules.delete(id);
  }

  #planFilters(plan: PortsPlan, aclFields: number): void {
    const { acl, ports } = this.#tables;
    const wanted = new Set<string>();
    const trapped = new Set<number>();
    this.#aclPlans = new Map();
    if (this.#options.view.filters.size > 0) {
      for (const { link } of plan.ports.values()) {
        const port = ports.get(`${link.ifindex}`);
        const plans = planFilters(this.#options.view, link.ifindex, 1, {
          aclFields,
          egress: (ifindex) => ({
            isPort: plan.ports.has(ifindex) && ports.get(`${ifindex}`) !== undefined,
            reason: plan.egressReasons.get(ifindex) ?? REASON.none,
          }),
        });
        for (const filterPlan of plans) {
          const { filter, want, redirect } = filterPlan;
          const list = this.#aclPlans.get(filter.id);
          if (list === undefined) this.#aclPlans.set(filter.id, [filterPlan]);
          else list.push(filterPlan);
          if (want === undefined) continue;
          const key = aclKey(filter.id, link.ifindex);
          wanted.add(key);
          const redirectPort = redirect === 0 ? 0 : ports.handle(ports.get(`${redirect}`));
          const entry = this.#wantAcl(
            key,
            { ...want, port: ports.handle(port), redirectPort },
            filterPlan.reason,
          );
          // What the device does not hold would let packets pass: hand the whole port to the kernel.
          if (!acl.isUsable(entry)) trapped.add(link.ifindex);
        }
      }
    }
    for (const key of acl.entries.keys()) if (key.startsWith('filter ') && !wanted.has(key)) acl.drop(key);
    if (
      trapped.size !== this.#trappedByAcl.size ||
      [...trapped].some((ifindex) => !this.#trappedByAcl.has(ifindex))
    ) {
      this.#trappedByAcl = trapped;
      this.#planPorts(plan);
    }
    // Claimed by nobody: what an earlier host left.
    for (const [key, entry] of acl.entries)
      if (key.startsWith('held ') && entry.want === undefined) acl.requeue(entry);
  }

  #wantAcl(key: string, want: AclWant, reason: number): Entry<AclWant> {
    const { acl } = this.#tables;
    if (acl.get(key) === undefined) acl.claim(heldAclKey(want), key);
    return acl.want(key, want, reason);
  }

  #planVlans(plan: PortsPlan): void {
    const { vlans, ports } = this.#tables;
    const { view } = this.#options;
    const wanted = new Set<string>();
    for (const vlan of view.vlans.values()) {
      const port = plan.ports.get(vlan.ifindex);
      const bridge = port === undefined ? undefined : view.link(port.want.bridge);
      if (port === undefined || bridge === undefined || number32(bridge.data.vlan_filtering) === 0) continue;
      const key = vlanKey(vlan);
      wanted.add(key);
      vlans.want(key, {
        flags:
          ((vlan.flags & BRIDGE_VLAN_INFO_PVID) !== 0 ? VLAN_FLAGS.pvid : 0) |
          ((vlan.flags & BRIDGE_VLAN_INFO_UNTAGGED) !== 0 ? VLAN_FLAGS.untagged : 0),
        vlan: vlan.vid,
        port: ports.handle(ports.get(`${vlan.ifindex}`)),
        bridge: port.want.bridge,
      });
    }
    for (const key of vlans.entries.keys()) if (!wanted.has(key)) vlans.drop(key);
  }

  // ---- to the device and back ----

  /** Sends what there is to send, soon. */
  schedule(): void {
    if (this.#pumpIsScheduled) return;
    this.#pumpIsScheduled = true;
    setImmediate(() => {
      this.#pumpIsScheduled = false;
      this.pump();
    });
  }

  /**
   * Batches go out until the ring is full or nothing is left. Puts go in dependency order; what others referred to
   * leaves after all puts, in reverse order, in batches of its own.
   */
  pump(): void {
    const runner = this.#runner;
    if (runner === undefined || !this.#isReady || !this.#options.mirror.synced) return;
    // What became unusable meanwhile may ask for another round; a plan settles after very few.
    if (this.#lacksRoutes !== this.#distrustsSources) this.#structureIsDirty = true;
    for (let round = 0; round < 8 && this.#structureIsDirty; round++) this.#replan();
    this.#notices.flush(runner);
    if (this.#straysInFlight) {
      if (runner.inFlight > 0) return;
      this.#straysInFlight = false;
    }
    const { ports, interfaces, nexthops, groups, vlans, fdb, acl } = this.#tables;
    const inOrder = [ports, interfaces, nexthops, groups, this.#routes, vlans, fdb, acl];
    const retiring = [groups, nexthops, interfaces, ports];
    for (;;) {
      const encoder = runner.begin();
      if (encoder === undefined) return;
      const stray = [acl, fdb, vlans, this.#routes, groups, nexthops, interfaces, ports].find(
        (table) => table.hasStrays,
      );
      if (stray !== undefined) {
        stray.fillStrays(encoder);
        this.#straysInFlight = true;
        this.#lastCommitted = runner.commit();
        return;
      }
      for (const table of inOrder) {
        table.fill(encoder);
        if (table.hasWork) break;
      }
      if (encoder.count === 0) retiring.find((table) => table.hasRetired)?.fillRetired(encoder);
      if (encoder.count > 0) {
        this.#lastCommitted = runner.commit();
        continue;
      }
      if (retiring.some((table) => table.hasRetired) || inOrder.some((table) => table.hasWork)) continue;
      this.#settle();
      return;
    }
  }

  /** The plugin answered a batch. */
  result(result: BatchResult): void {
    this.#lastAnswered = result.sequence;
    if (this.#straysInFlight) {
      this.schedule();
      return;
    }
    if (result.invalid > 0) {
      this.#options.log(
        'warn',
        'the plugin answered what it may not answer; reading back what the device holds',
      );
      this.#resyncSoon();
      return;
    }
    const { batch, outcomes } = result;
    this.#results.clear();
    for (outcomes.rewind(); outcomes.next(); ) {
      this.#results.set(outcomes.handle, { status: outcomes.status, reason: outcomes.reason });
    }
    const mayFail = this.#results.size > 0;
    for (let place = 0; place < batch.count; place++) {
      const handle = batch.handles[place]!;
      const operation = batch.operations[place]!;
      const outcome = mayFail ? this.#results.get(handle) : undefined;
      if (outcome?.status === OUTCOME_STATUS.pending) continue;
      this.#answered(handle, operation, outcome);
    }
    if (this.#troubled > 0) this.#scheduleRetry();
    this.#settle();
    this.schedule();
  }

  #answered(
    handle: number,
    operation: number,
    outcome: { status: number; reason: number } | undefined,
  ): void {
    const kind = kindOfHandle(handle);
    const index = indexOfHandle(handle);
    const table = kind === ENTRY_KIND.route ? this.#routes : this.#tableOf(kind);
    if (table === undefined) return;
    if (outcome === undefined) table.succeeded(index, operation);
    else if (outcome.status === OUTCOME_STATUS.trapped) {
      if (table instanceof Routes) table.succeeded(index, operation);
      else table.trapped(index);
    } else {
      // What a change referred to was not carried out: it will be, then this can be.
      const isFinal =
        outcome.status === OUTCOME_STATUS.refused && outcome.reason !== OUTCOME_REASON.missingReference;
      const status = isFinal ? STATUS_REFUSED : STATUS_FAILED;
      table.troubledBy(index, operation, status, reasonOfOutcome(outcome.reason));
    }
  }

  #tableOf(kind: number): EntryTable<unknown> | undefined {
    return this.#allTables().find((table) => table.codec.kind === kind);
  }

  events(events: EventRecord): void {
    for (events.rewind(); events.next(); ) {
      if (events.eventType === EVENT_TYPE.deviceReset) {
        this.#options.log('warn', 'the device lost what it held');
        this.#resyncSoon();
      } else if (events.eventType === EVENT_TYPE.completed) {
        const outcome =
          events.value === 0 ? undefined : { status: OUTCOME_STATUS.failed, reason: events.value };
        this.#answered(events.handle, OPERATION.put, outcome);
      }
    }
  }

  #resyncSoon(): void {
    if (!this.#isReady) return;
    this.#isReady = false;
    setImmediate(() => {
      this.resync('resynchronising').catch((error: unknown) => {
        // The runner is going down; starting again reads back anyway.
        this.#options.log('warn', `readback: ${error instanceof Error ? error.message : String(error)}`);
      });
    });
  }

  /** Some route that should be held is not: own addresses may be among them. */
  get #lacksRoutes(): boolean {
    return this.#routes.waiting > 0 || this.#routes.troubled > 0;
  }

  get #troubled(): number {
    return this.#allTables().reduce((sum, table) => sum + table.troubled.size, this.#routes.troubled);
  }

  #scheduleRetry(): void {
    if (this.#retryTimer !== undefined) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.#retry();
    }, this.#retryDelay);
    this.#retryTimer.unref();
  }

  #retry(): void {
    const before = this.#troubled;
    if (before === 0 || this.#runner === undefined) {
      this.#retryDelay = RETRY_MIN_MS;
      this.#retryLimit = RETRY_PROBE;
      return;
    }
    // Fewer than after the last round: the device agrees again.
    const improves = before < this.#retriedCount;
    this.#retriedCount = before;
    this.#retryDelay = improves ? RETRY_MIN_MS : Math.min(RETRY_MAX_MS, this.#retryDelay * 2);
    this.#retryLimit = improves ? Math.min(RETRY_LIMIT, this.#retryLimit * 4) : RETRY_PROBE;
    const andRefused = performance.now() - this.#lastRefusedRetry > RETRY_REFUSED_MS;
    if (andRefused) this.#lastRefusedRetry = performance.now();
    for (const table of this.#allTables()) table.retry(this.#retryLimit, andRefused);
    this.#routes.retry(this.#retryLimit, andRefused);
    this.schedule();
    this.#scheduleRetry();
  }

  /** Resolves once every change up to now was answered by the device (or waits for a retry). */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ sequence: -1, rounds: 0, resolve });
      this.schedule();
    });
  }

  #settle(): void {
    if (this.#waiters.length === 0) return;
    const isDrained =
      !this.#structureIsDirty &&
      !this.#routes.hasWork &&
      this.#allTables().every((table) => !table.hasWork && !table.hasRetired);
    for (let index = this.#waiters.length - 1; index >= 0; index--) {
      const waiter = this.#waiters[index]!;
      if (waiter.sequence < 0 && isDrained) waiter.sequence = this.#lastCommitted;
      if (waiter.sequence < 0 || waiter.sequence > this.#lastAnswered) continue;
      // An answer may ask for more, e.g. a cover that must trap for what was refused.
      if (!isDrained && waiter.rounds < SETTLE_ROUNDS) {
        waiter.sequence = -1;
        waiter.rounds++;
      } else {
        this.#waiters.splice(index, 1);
        waiter.resolve();
      }
    }
  }

  // ---- what is known ----

  /** Plan against readback. Tries again while the plan moves, `attempts` times at most. */
  async verify(attempts = 10): Promise<Difference[]> {
    const runner = this.#runner;
    if (runner === undefined || !this.#isReady) {
      return [{ kind: 'plugin', object: this.#options.name, detail: 'is not running' }];
    }
    let differences: Difference[] = [];
    for (let attempt = 0; attempt < attempts; attempt++) {
      await this.settled();
      const changes = this.#changeCount;
      differences = await this.#compare(runner);
      if (differences.length === 0 || (changes === this.#changeCount && runner.inFlight === 0 && attempt > 0))
        break;
    }
    return differences;
  }

  async #compare(runner: Runner): Promise<Difference[]> {
    const differences: Difference[] = [];
    const seen = new Set<number>();
    const seenRoutes = new Uint8Array(this.#routes.entryLimit + 1);
    const { ports, interfaces, nexthops, groups, vlans, fdb, acl } = this.#tables;
    const note = (kind: string, handle: number, detail: string | undefined) => {
      seen.add(handle);
      if (detail !== undefined && differences.length < 1000) {
        differences.push({ kind, object: this.describe(handle), detail });
      }
    };
    await runner.readback((page) => {
      const {
        ports: p,
        routerInterfaces: r,
        nexthops: n,
        members: m,
        groups: g,
        routes,
        vlanMembers: v,
        fdbEntries: f,
        aclRules: a,
      } = page;
      for (p.rewind(); p.next(); ) {
        note(
          'port',
          p.handle,
          ports.verify(p.handle, {
            ifindex: p.ifindex,
            mtu: p.mtu,
            mac: p.mac,
            bridge: p.bridge,
            flags: p.flags,
          }),
        );
      }
      for (r.rewind(); r.next(); ) {
        const held = {
          port: r.port,
          ifindex: r.ifindex,
          vrf: r.vrf,
          mac: r.mac,
          mtu: r.mtu,
          vlan: r.vlan,
          flags: r.flags,
        };
        note('router-interface', r.handle, interfaces.verify(r.handle, held));
      }
      for (n.rewind(); n.next(); ) {
        const [, handle, held] = this.#readNexthop(page);
        note('nexthop', handle, nexthops.verify(handle, held));
      }
      for (g.rewind(); g.next(); ) {
        const members: number[] = [];
        for (let member = g.first; member < g.first + g.count && m.seek(member); member++)
          members.push(m.nexthop, m.weight);
        note('group', g.handle, groups.verify(g.handle, { id: g.id, members }));
      }
      for (routes.rewind(); routes.next(); ) {
        const detail = this.#routes.verify(routes, indexOfHandle(routes.handle), seenRoutes);
        if (detail !== undefined) note('route', routes.handle, detail);
      }
      for (v.rewind(); v.next(); ) {
        note(
          'vlan-member',
          v.handle,
          vlans.verify(v.handle, { flags: v.flags, vlan: v.vlan, port: v.port, bridge: v.bridge }),
        );
      }
      for (f.rewind(); f.next(); ) {
        const held = { action: f.action, vlan: f.vlan, bridge: f.bridge, port: f.port, mac: f.mac };
        note('fdb-entry', f.handle, fdb.verify(f.handle, held));
      }
      for (a.rewind(); a.next(); ) note('acl-rule', a.handle, acl.verify(a.handle, aclWantOf(a)));
    });
    for (const table of this.#allTables()) {
      for (const entry of table.unseen(seen))
        note('entry', table.handle(entry), 'the device does not hold it');
    }
    for (const entry of this.#routes.unseen(seenRoutes)) {
      note('route', handleOf(ENTRY_KIND.route, entry), 'the device does not hold it');
    }
    return differences;
  }

  /** The entry a handle names, for people. */
  describe(handle: number): string {
    const kind = kindOfHandle(handle);
    const index = indexOfHandle(handle);
    if (kind === ENTRY_KIND.route) return this.#routes.describe(index);
    const key = this.#tableOf(kind)?.byIndex(index)?.key;
    return key ?? `handle 0x${handle.toString(16)}`;
  }

  /** The mirror object a handle stands for, if it stands for one. */
  objectOf(handle: number): { readonly kind: KindNumber; readonly id: number } | undefined {
    const kind = kindOfHandle(handle);
    const index = indexOfHandle(handle);
    switch (kind) {
      case ENTRY_KIND.route: {
        const object = this.#routes.objectOf(index);
        return object && { kind: object.isNeighbour ? KIND.neighbour : KIND.route, id: object.id };
      }
      case ENTRY_KIND.port:
      case ENTRY_KIND.routerInterface: {
        const key = this.#tableOf(kind)?.byIndex(index)?.key;
        const link = key === undefined ? undefined : this.#options.view.link(Number(key));
        return link && { kind: KIND.link, id: link.id };
      }
      case ENTRY_KIND.nexthop: {
        const hop = this.#nexthops.hop(this.#tables.nexthops.byIndex(index)?.key ?? '');
        const neighbour = hop && this.#options.neighbours.get(hop.key);
        return neighbour && { kind: KIND.neighbour, id: neighbour.id };
      }
      case ENTRY_KIND.group: {
        const id = this.#tables.groups.byIndex(index)?.want?.id;
        if (id === undefined || id === 0) return undefined;
        for (const [mirrorId, nexthopId] of this.#nexthopIds)
          if (nexthopId === id) return { kind: KIND.nexthop, id: mirrorId };
        return undefined;
      }
      case ENTRY_KIND.aclRule: {
        const key = this.#tables.acl.byIndex(index)?.key ?? '';
        const match = /^(rule|filter) (\d+)/.exec(key);
        return match === null
          ? undefined
          : { kind: match[1] === 'rule' ? KIND.rule : KIND.filter, id: Number(match[2]) };
      }
      case ENTRY_KIND.fdbEntry: {
        const key = this.#tables.fdb.byIndex(index)?.key;
        for (const [id, fdbKeyOfId] of this.#fdbKeys) if (fdbKeyOfId === key) return { kind: KIND.fdb, id };
        return undefined;
      }
    }
    return undefined;
  }

  /** Gateway and outgoing link of a nexthop handle. */
  hopOf(handle: number): Hop | undefined {
    return this.#nexthops.hop(this.#tables.nexthops.byIndex(indexOfHandle(handle))?.key ?? '');
  }

  /** ifindex of a port handle. */
  portOf(handle: number): number | undefined {
    return this.#tables.ports.byIndex(indexOfHandle(handle))?.want?.ifindex;
  }

  /** The object's offload state, undefined when this kind of object has none here (an address, a link that is no port). */
  offloadOf(kind: KindNumber, id: number): ObjectOffload | undefined {
    switch (kind) {
      case KIND.route:
        return this.#offloadOfRoute(id);
      case KIND.link:
        return this.#offloadOfLink(id);
      case KIND.neighbour:
        return this.#offloadOfNeighbour(id);
      case KIND.nexthop: {
        const group = this.#nexthops.groupById(this.#nexthopIds.get(id) ?? 0);
        if (group === undefined) return undefined;
        if (group.entry === undefined) return this.#state('refused', group.reason);
        return this.#offloadOfEntry(
          this.#tables.groups,
          group.entry,
          this.#trapsOf(group.hops.map(({ hop }) => hop)),
        );
      }
      case KIND.fdb: {
        const key = this.#fdbKeys.get(id);
        const entry = key === undefined ? undefined : this.#tables.fdb.get(key);
        return (
          entry && this.#offloadOfEntry(this.#tables.fdb, entry, { reason: this.#fdbReasons.get(id) ?? 0 })
        );
      }
      case KIND.vlan: {
        const vlan = this.#options.view.vlans.get(id);
        const entry = vlan && this.#tables.vlans.get(vlanKey(vlan));
        return entry && this.#offloadOfEntry(this.#tables.vlans, entry, { reason: REASON.none });
      }
      case KIND.rule:
        return this.#offloadOfRule(id);
      case KIND.filter: {
        const plans = this.#aclPlans.get(id);
        if (plans === undefined || plans.length === 0) return undefined;
        const { port, reason, want } = plans[0]!;
        const entry = this.#tables.acl.get(aclKey(id, port));
        if (want === undefined || entry === undefined) return this.#state('refused', reason);
        return this.#offloadOfEntry(this.#tables.acl, entry, { reason });
      }
    }
    return undefined;
  }

  #state(state: OffloadState, reason: number, detail?: string): ObjectOffload {
    const name = REASON_NAMES[reason];
    return {
      plugin: this.#options.name,
      state,
      ...(reason !== REASON.none && name !== undefined && { reason: name }),
      ...(detail !== undefined && { detail }),
    };
  }

  #offloadOfEntry<Want>(
    table: EntryTable<Want>,
    entry: Entry<Want>,
    traps: { reason: number; detail?: string },
  ): ObjectOffload {
    if (entry.status === STATUS_REFUSED) return this.#state('refused', entry.statusReason);
    if (entry.status === STATUS_FAILED) return this.#state('failed', entry.statusReason);
    const isHeld =
      entry.inFlight === 0 &&
      entry.want !== undefined &&
      entry.sent !== undefined &&
      table.codec.equal(entry.want, entry.sent);
    if (!isHeld || !this.#isReady)
      return this.#state('pending', this.#isReady ? REASON.none : REASON['not-started']);
    if (entry.trapped) return this.#state('trapped', REASON['unsupported-action']);
    if (traps.reason !== REASON.none) return this.#state('trapped', traps.reason, traps.detail);
    return this.#state('offloaded', REASON.none);
  }

  /** Why a set of hops traps, if any of them does. */
  #trapsOf(hops: readonly Hop[]): { reason: number; detail?: string } {
    const trapping = hops.filter((hop) => hop.reason !== REASON.none && !hop.drops);
    if (trapping.length === 0) return { reason: REASON.none };
    const names = trapping.slice(0, 3).map((hop) => this.#hopName(hop));
    return {
      reason: trapping[0]!.reason,
      detail: `${trapping.length} of ${hops.length} nexthops: ${names.join(', ')}`,
    };
  }

  #hopName(hop: Hop): string {
    const link = this.#options.view.link(hop.ifindex)?.name ?? `if${hop.ifindex}`;
    return hop.family === 0 ? `dev ${link}` : `${formatAddress(hop.family, hop.gateway)} dev ${link}`;
  }

  #offloadOfRoute(id: number): ObjectOffload | undefined {
    for (const state of this.#routes.statesOf(id)) return this.#offloadOfState(state);
    const table = this.#routes.tableOf(id);
    if (table === undefined) return undefined;
    const barrier = [...(this.#rulesPlans[table.family === AF_INET ? 0 : 1]?.barriers.values() ?? [])][0];
    return this.#state('refused', barrier ?? REASON['table-not-consulted']);
  }

  #offloadOfState(state: RouteState): ObjectOffload {
    switch (state.held) {
      case 'none':
        return this.#state('refused', state.reason);
      case 'refused':
      case 'failed':
        return this.#state(state.held, state.reason);
      case 'pending':
        return this.#state('pending', this.#isReady ? REASON.none : REASON['not-started']);
    }
    if (!this.#isReady) return this.#state('pending', REASON['not-started']);
    if (state.action === ACTION.trap) return this.#state('trapped', state.reason);
    if (state.action === ACTION.forward && state.group !== undefined) {
      const traps = this.#trapsOf(state.group.hops.map(({ hop }) => hop));
      if (traps.reason !== REASON.none) return this.#state('trapped', traps.reason, traps.detail);
    }
    return this.#state('offloaded', REASON.none);
  }

  #offloadOfLink(id: number): ObjectOffload | undefined {
    const link = this.#options.view.linkById(id);
    if (link === undefined) return undefined;
    const port = this.#tables.ports.get(`${link.ifindex}`);
    const { interfaces } = this.#tables;
    const planned = this.#portsPlan.interfaces.get(link.ifindex);
    const routed = interfaces.get(`${link.ifindex}`);
    if (port === undefined && routed === undefined) return undefined;
    if (port !== undefined) {
      const state = this.#offloadOfEntry(this.#tables.ports, port, { reason: port.reason });
      if (state.state !== 'offloaded' || routed === undefined || planned === undefined) return state;
    }
    const reason = planned!.reason4 !== REASON.none ? planned!.reason4 : planned!.reason6;
    const families = [
      ...(planned!.reason4 === REASON.none ? [] : ['IPv4']),
      ...(planned!.reason6 === REASON.none ? [] : ['IPv6']),
    ];
    return this.#offloadOfEntry(interfaces, routed!, {
      reason,
      ...(families.length > 0 && { detail: `routing of ${families.join(' and ')} packets that arrive here` }),
    });
  }

  #offloadOfNeighbour(id: number): ObjectOffload | undefined {
    const state = this.#routes.hostState(id);
    if (state !== undefined && state.held !== 'none') return this.#offloadOfState(state);
    const key = this.#options.neighbourKeys.get(id);
    const neighbour = key === undefined ? undefined : this.#options.neighbours.get(key);
    if (key === undefined || neighbour === undefined) return undefined;
    const hop = this.#nexthops.hop(key);
    if (hop?.entry !== undefined)
      return this.#offloadOfEntry(this.#tables.nexthops, hop.entry, { reason: hop.reason });
    if (!this.#portsPlan.interfaces.has(neighbour.ifindex) || !neighbour.isHost) return undefined;
    return this.#state(
      'refused',
      neighbour.mac === undefined ? REASON['nexthop-unresolved'] : (state?.reason ?? REASON.shadowed),
    );
  }

  #offloadOfRule(id: number): ObjectOffload | undefined {
    const entry = this.#tables.acl.get(`rule ${id}`);
    if (entry !== undefined)
      return this.#offloadOfEntry(this.#tables.acl, entry, { reason: REASON['rule-traps'] });
    for (const plan of this.#rulesPlans) {
      const barrier = plan.barriers.get(id);
      if (barrier !== undefined) return this.#state('refused', barrier);
    }
    return this.#options.view.rules.has(id)
      ? this.#state(this.#isReady ? 'offloaded' : 'pending', REASON.none)
      : undefined;
  }

  summary(): TableSummary[] {
    const rows: TableSummary[] = [];
    const names = ['port', 'router-interface', 'nexthop', 'group', 'vlan-member', 'fdb-entry', 'acl-rule'];
    for (const [index, table] of this.#allTables().entries()) {
      const row = {
        kind: names[index]!,
        capacity: table.capacity,
        planned: 0,
        offloaded: 0,
        trapped: 0,
        refused: 0,
        failed: 0,
      };
      for (const entry of table.entries.values()) {
        if (entry.want === undefined) continue;
        row.planned++;
        if (entry.status === STATUS_REFUSED) row.refused++;
        else if (entry.status === STATUS_FAILED) row.failed++;
        else if (entry.reason !== REASON.none || entry.trapped) row.trapped++;
        else if (entry.sent !== undefined && entry.inFlight === 0) row.offloaded++;
      }
      rows.push(row);
    }
    const tally = this.#routes.tally();
    rows.splice(4, 0, {
      kind: 'route',
      capacity: this.#routes.capacity,
      planned: tally.held + tally.trapped + tally.refused + tally.failed + tally.waiting,
      offloaded: tally.held,
      trapped: tally.trapped,
      refused: tally.refused + tally.waiting,
      failed: tally.failed,
    });
    return rows;
  }

  /** Reads the counters of all entries and returns those that ever counted. Monotonic across restarts of the plugin. */
  async counters(): Promise<EntryCounter[]> {
    const runner = this.#runner;
    if (runner !== undefined && this.#isReady) {
      await runner.collect((counters) => {
        for (counters.rewind(); counters.next(); ) {
          if (counters.packets === 0 && !this.#counters.has(counters.handle)) continue;
          this.#count(counters.handle, counters.packets, counters.bytes, counters.lastUsed);
        }
      });
    }
    const rows: EntryCounter[] = [];
    for (const [handle, { packets, bytes, lastUsed }] of this.#counters)
      rows.push({ handle, packets, bytes, lastUsed });
    return rows;
  }

  #count(handle: number, packets: number, bytes: number, lastUsed: number): void {
    let state = this.#counters.get(handle);
    if (state === undefined) {
      state = { packets: 0, bytes: 0, lastUsed: 0, devicePackets: 0, deviceBytes: 0 };
      this.#counters.set(handle, state);
    }
    // Lower than before: the device counts from zero again.
    state.packets += packets >= state.devicePackets ? packets - state.devicePackets : packets;
    state.bytes += bytes >= state.deviceBytes ? bytes - state.deviceBytes : bytes;
    state.devicePackets = packets;
    state.deviceBytes = bytes;
    state.lastUsed = Math.max(state.lastUsed, lastUsed);
  }
}

/** linux/if_bridge.h */
const BRIDGE_VLAN_INFO_PVID = 2;
const BRIDGE_VLAN_INFO_UNTAGGED = 4;

function fdbKey({ bridge, vlan, mac }: FdbWant): string {
  return `${bridge}/${vlan}/${mac.toString(16)}`;
}

function vlanKey({ ifindex, vid }: VlanView): string {
  return `${ifindex}/${vid}`;
}

function aclKey(filter: number, port: number): string {
  return `filter ${filter} on ${port}`;
}

function heldAclKey(want: AclWant): string {
  return `held ${JSON.stringify(Object.entries(want).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
}

function reasonOfOutcome(reason: number): number {
  const name = OUTCOME_REASON_NAMES[reason] as Reason | undefined;
  return name === undefined ? REASON.invalid : (REASON[name] ?? REASON.invalid);
}
