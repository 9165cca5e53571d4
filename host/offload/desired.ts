/**
 * What one plugin should hold: entries of every kind, kept in step with the mirror. Nothing here talks to the plugin;
 * `Plan` carries the differences over.
 */

import { type HookState, NO_HOOKS } from '../kernel/hooks.ts';
import type { NotifierRecord } from '../kernel/notifier/record.ts';
import { KIND, type Kind, type KindNumber, type MirrorReader, objectCursor } from '../mirror/types.ts';
import { decodeObject } from '../netlink/decode.ts';
import {
  ACTION,
  ENTRY_KIND,
  FAMILY,
  NOTICE_TYPE,
  PORT_FLAGS,
  ROUTER_INTERFACE_FLAGS,
  VLAN_FLAGS,
} from '../plugin/records.ts';
import type { Description } from '../plugin/runner.ts';
import type { ChangeTracer } from '../trace/change-tracer.ts';
import type { AclOptions } from './acl.ts';
import { wantAcl } from './acl-entries.ts';
import { formatAddress, parseAddress } from './addresses.ts';
import {
  type AclWant,
  aclCodec,
  type FdbWant,
  fdbCodec,
  type PortWant,
  portCodec,
  type RouterInterfaceWant,
  routerInterfaceCodec,
  type VlanWant,
  vlanCodec,
} from './codecs.ts';
import type { SavedCounter } from './counters.ts';
import { Customs, type CustomWant, customCodec } from './customs.ts';
import { type Entry, type EntryCodec, EntryTable, indexOfHandle, kindOfHandle } from './entry-table.ts';
import { noticeEvent } from './event-notices.ts';
import { FilterRules } from './filter-rules.ts';
import { Flows, type FlowWant, flowCodec } from './flows.ts';
import { type KernelView, type LinkView, nested, number32, type VlanView } from './kernel-view.ts';
import { Multicast, type MulticastWant, multicastCodec } from './multicast.ts';
import { NeighbourReader, NUD_PERMANENT } from './neighbour-reader.ts';
import { Netfilter, type RuleInHardware } from './netfilter-rules.ts';
import {
  type Egress,
  type GroupWant,
  groupCodec,
  type Missed,
  type Neighbour,
  type NexthopObject,
  Nexthops,
  type NexthopWant,
  nexthopCodec,
} from './nexthops.ts';
import { Notices } from './notices.ts';
import { concernsForwarded, policyPrefixes } from './policies.ts';
import { type PortChoice, type PortsPlan, planPorts } from './ports.ts';
import { REASON } from './reasons.ts';
import { Remotes, type RemoteWant, remoteCodec } from './remotes.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';
import { Routes } from './routes.ts';
import { planRules, type RulesPlan } from './rules.ts';
import type { Station } from './stations.ts';
import {
  isPlainRule,
  planTunnels,
  type TunnelPlan,
  type TunnelWant,
  tunnelCodec,
  tunnelKey,
} from './tunnels.ts';

/** The mirror as the planner reads it. */
export interface PlanMirror extends MirrorReader {
  orderOf(kind: KindNumber, id: number): number;
}

export interface PlanOptions {
  /** Of the plugin. */
  readonly name: string;
  readonly mirror: PlanMirror;
  readonly view: KernelView;
  /** By `addressKey`. */
  readonly neighbours: ReadonlyMap<string, Neighbour>;
  /** Key of each neighbour object, by mirror id. */
  readonly neighbourKeys: ReadonlyMap<number, string>;
  readonly isPort: PortChoice | undefined;
  readonly isOwnProgram?: ((id: number) => boolean) | undefined;
  readonly canMirror?: ((ifindex: number) => boolean) | undefined;
  readonly netfilter: 'trap' | 'ignore';
  /** What an earlier host counted for an entry, by its text. */
  readonly savedCounter?: (describe: () => string) => SavedCounter | undefined;
  readonly xfrm: 'trap' | 'ignore';
  readonly hooks?: (() => HookState) | undefined;
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
  /** Hardware learned an address, or has not seen it for long. */
  readonly onStation?: ((station: Station) => void) | undefined;
  /** Follows batches; absent: nobody does. */
  readonly tracer?: ChangeTracer | undefined;
}

export interface DesiredOptions extends PlanOptions {
  readonly description: Description;
  /** There is something to send. */
  readonly onQueued: () => void;
  /** A handle stands for nothing any more. */
  readonly onFreed: (handle: number) => void;
}

export interface EntryTables {
  readonly ports: EntryTable<PortWant>;
  readonly interfaces: EntryTable<RouterInterfaceWant>;
  readonly nexthops: EntryTable<NexthopWant>;
  readonly groups: EntryTable<GroupWant>;
  readonly vlans: EntryTable<VlanWant>;
  readonly fdb: EntryTable<FdbWant>;
  readonly acl: EntryTable<AclWant>;
  readonly flows: EntryTable<FlowWant>;
  readonly customs: EntryTable<CustomWant>;
  readonly tunnels: EntryTable<TunnelWant>;
  readonly remotes: EntryTable<RemoteWant>;
  readonly multicast: EntryTable<MulticastWant>;
}

/** So that rules of netfilter come after all policy rules. */
const RULE_PRIORITY_MAX = 0x7fff_ffff;

/** Kinds that can keep packets from being forwarded as the routes say, besides netfilter. */
const DECIDING_KINDS = ['netconf', 'rule', 'qdisc', 'chain', 'filter'] as const;

/** The kernel has objects of the kind, or may have, and does not show them. */
function isUnreadable(mirror: Pick<PlanMirror, 'kindState'>, kind: Kind): boolean {
  const { state, isAbsent } = mirror.kindState(KIND[kind]);
  return state === 'unavailable' && isAbsent !== true;
}

export class Desired {
  readonly #options: DesiredOptions;
  readonly #cursor = objectCursor();
  readonly #neighbourReader = new NeighbourReader();
  readonly tables: EntryTables;
  /** All but the routes, in the order of their kinds. */
  readonly allTables: readonly EntryTable<unknown>[];
  readonly #byKind: (EntryTable<unknown> | undefined)[] = [];
  readonly nexthops: Nexthops;
  readonly routes: Routes;
  readonly flows: Flows;
  readonly filters: FilterRules;
  readonly customs: Customs;
  readonly multicast: Multicast;
  readonly notices: Notices;

  /** The mirror was read once: changes count from then on. */
  isLoaded = false;
  #expectsRoutes = false;
  /** Links, rules, filters or what the device takes of them changed: `replan` before sending. */
  structureIsDirty = true;
  /** Changes seen, to tell whether the plan moved. */
  changeCount = 0;

  portsPlan: PortsPlan = {
    ports: new Map(),
    interfaces: new Map(),
    egressReasons: new Map(),
    bridgeReasons: new Map(),
    filters: { ingress: new Map(), egress: new Set() },
    tunnelReasons: new Map(),
  };
  /** By interface index. */
  tunnelPlans: ReadonlyMap<number, TunnelPlan> = new Map();
  readonly #remotes = new Remotes();
  rulesPlans: RulesPlan[] = [];
  readonly fdbKeys = new Map<number, string>();
  readonly fdbReasons = new Map<number, number>();
  /** Of the bridge's entries for stations behind tunnels, by mirror id: their keys in the table of remotes. */
  readonly remoteKeys = new Map<number, string>();
  /** Kernel id of each nexthop object, by mirror id. */
  readonly nexthopIds = new Map<number, number>();
  #egress = new Map<number, Egress>();
  readonly #refusedRules = new Set<number>();
  readonly #netfilter: Netfilter;
  #lackedRoutes = false;
  #notableVersion = 0;
  #addressVersion = 0;
  #bridgeSignature = '';
  #policySignature = '';
  #hostSignature = '';
  readonly #hosts = new Map<number, string>();

  constructor(options: DesiredOptions) {
    this.#options = options;
    const { mirror, description, onQueued } = options;
    this.notices = new Notices(description.notices);
    const capacity = (kind: number) =>
      description.abilities.find((ability) => ability.kind === kind)?.capacity ?? 0;
    const updatesInPlace = (kind: number) =>
      description.abilities.find((ability) => ability.kind === kind)?.updateInPlace ?? true;
    const table = <Want>(codec: EntryCodec<Want>, onUsable?: (entry: Entry<Want>) => void) =>
      new EntryTable<Want>({
        codec,
        capacity: capacity(codec.kind),
        updatesInPlace: updatesInPlace(codec.kind),
        onQueued,
        onFreed: options.onFreed,
        ...(onUsable && { onUsable }),
      });
    const structural = () => {
      this.structureIsDirty = true;
      onQueued();
    };
    this.tables = {
      ports: table(portCodec, structural),
      interfaces: table(routerInterfaceCodec, structural),
      nexthops: table(nexthopCodec, (entry) => this.nexthops.hopEntryChanged(entry)),
      groups: table(groupCodec, (entry) => this.nexthops.groupEntryChanged(entry)),
      vlans: table(vlanCodec),
      fdb: table(fdbCodec),
      acl: table(aclCodec, structural),
      flows: table(flowCodec),
      customs: table(customCodec),
      tunnels: table(tunnelCodec, structural),
      remotes: table(remoteCodec),
      multicast: table(multicastCodec),
    };
    this.flows = new Flows(this.tables.flows);
    const portHandle = (ifindex: number) => this.tables.ports.handle(this.tables.ports.get(`${ifindex}`));
    this.#netfilter = new Netfilter(options.view, this.tables.acl, portHandle);
    this.filters = new FilterRules({ view: options.view, acl: this.tables.acl, portHandle });
    this.customs = new Customs({
      kinds: description.offloadKinds,
      table: this.tables.customs,
      links: options.view,
      portOf: (ifindex) => this.#usablePort(ifindex),
    });
    this.multicast = new Multicast({
      view: options.view,
      table: this.tables.multicast,
      ports: this.tables.ports,
      onDue: onQueued,
    });
    const {
      ports,
      interfaces,
      nexthops,
      groups,
      vlans,
      fdb,
      acl,
      flows,
      customs,
      tunnels,
      remotes,
      multicast,
    } = this.tables;
    this.allTables = [
      ports,
      interfaces,
      nexthops,
      groups,
      vlans,
      fdb,
      acl,
      flows,
      customs,
      tunnels,
      remotes,
      multicast,
    ] as EntryTable<unknown>[];
    for (const each of this.allTables) this.#byKind[each.codec.kind] = each;
    this.nexthops = new Nexthops({
      neighbours: options.neighbours,
      nexthops: this.tables.nexthops,
      groups: this.tables.groups,
      membersMax: description.groupMembers,
      egress: (ifindex) =>
        this.#egress.get(ifindex) ?? { routerInterface: 0, reason: REASON['egress-not-a-port'] },
      leavesOut: (family, ifindex) => options.view.leavesOut(family, ifindex),
      onGroup: (group) => this.routes.entries.groupChanged(group),
    });
    this.routes = new Routes({
      mirror,
      routeKind: KIND.route,
      orderOf: (id) => mirror.orderOf(KIND.route, id),
      nexthops: this.nexthops,
      capacity: capacity(ENTRY_KIND.route),
      updatesInPlace: updatesInPlace(ENTRY_KIND.route),
      onQueued,
      onFreed: options.onFreed,
    });
  }

  tableOf(kind: number): EntryTable<unknown> | undefined {
    return this.#byKind[kind];
  }

  /** The handle is one that an entry may have. */
  isHandle(handle: number): boolean {
    const kind = kindOfHandle(handle);
    const capacity =
      kind === ENTRY_KIND.route ? this.routes.entries.capacity : (this.#byKind[kind]?.capacity ?? 0);
    return indexOfHandle(handle) <= capacity;
  }

  /** The handle stands for something. */
  isPlanned(handle: number): boolean {
    const kind = kindOfHandle(handle);
    const index = indexOfHandle(handle);
    if (kind === ENTRY_KIND.route) return this.routes.entries.isPlanned(index);
    return this.#byKind[kind]?.byIndex(index) !== undefined;
  }

  /** Entries the device failed. */
  get failing(): number {
    return this.allTables.reduce((sum, table) => sum + table.failing, this.routes.entries.failing);
  }

  /** Entries the device refused, or has said it has no room for. */
  get refused(): number {
    const { refused, isHeldBack } = this.routes.entries;
    return this.allTables.reduce((sum, table) => sum + table.refused, refused + (isHeldBack ? 1 : 0));
  }

  /** Some route that should be held is not: own addresses may be among them. */
  get #lacksRoutes(): boolean {
    return (
      this.routes.entries.waiting > 0 || this.routes.entries.failing > 0 || this.routes.entries.refused > 0
    );
  }

  /** The device said yes to the last rule of netfilter or of a port, or holds one no longer: what hardware does itself changes. */
  noteAnswers(): void {
    if (this.#netfilter.hasMoved || this.filters.hasMoved) this.structureIsDirty = true;
  }

  /**
   * While the mirror is read for the first time: once what decides about tables was read, so that each route finds its domains as it
   * comes, where its bytes still are in the processor's cache, and not all of them at the end.
   */
  expectRoutes(): void {
    if (this.#expectsRoutes || !this.isLoaded) return;
    const { mirror } = this.#options;
    for (let kind = 0; kind < KIND.route; kind++) if (mirror.kindState(kind).state === 'syncing') return;
    this.#expectsRoutes = true;
    this.replan();
    this.structureIsDirty = true;
  }

  /** Plans the structure again if anything it depends on changed. */
  settleStructure(): void {
    if (this.#lacksRoutes !== this.#lackedRoutes || this.#notableChanged) this.structureIsDirty = true;
    this.noteAnswers();
    // What became unusable meanwhile may ask for another round; a plan settles after very few.
    for (let round = 0; round < 8 && this.structureIsDirty; round++) this.replan();
    if (this.multicast.isDirty) this.multicast.plan(this.portsPlan);
  }

  /** Routes came or went that more than their own packets depend on. */
  get #notableChanged(): boolean {
    const { version, addressVersion } = this.routes.notable;
    return (
      version !== this.#notableVersion ||
      (this.tunnelPlans.size > 0 && addressVersion !== this.#addressVersion)
    );
  }

  // ---- changes of the mirror ----

  /** Everything the mirror holds now. Once, after the first readback: places follow what the device already holds. */
  load(): void {
    const { mirror } = this.#options;
    this.isLoaded = true;
    this.structureIsDirty = true;
    this.replan();
    for (const neighbour of this.#options.neighbours.values()) this.#planHost(neighbour.id, neighbour);
    mirror.forEach(KIND.nexthop, (id) => this.change(KIND.nexthop, id, false));
    this.routes.load();
    for (const kind of [KIND.fdb, KIND.mdb, KIND.flow, KIND.offload]) {
      mirror.forEach(kind, (id) => this.change(kind, id, false));
    }
  }

  /** A change of one object; link, rule, filter and the like count as `structureChanged`. */
  change(kind: KindNumber, id: number, isDelete: boolean): void {
    if (!this.isLoaded) return;
    this.changeCount++;
    switch (kind) {
      case KIND.route:
        if (isDelete) this.routes.routeDeleted(id);
        else this.routes.routeChanged(id);
        if (this.#notableChanged) this.#options.onQueued();
        return;
      case KIND.nexthop:
        this.#nexthopChanged(id, isDelete);
        return;
      case KIND.fdb:
        this.#fdbChanged(id, isDelete);
        return;
      case KIND.mdb: {
        const isThere = !isDelete && this.#options.mirror.open(kind, id, this.#cursor);
        this.multicast.change(id, isThere ? this.#cursor : undefined);
        this.#options.onQueued();
        return;
      }
      case KIND.flow: {
        const isThere = !isDelete && this.#options.mirror.open(kind, id, this.#cursor);
        this.flows.change(id, isThere ? this.#cursor : undefined);
        return;
      }
      case KIND.offload: {
        const isThere = !isDelete && this.#options.mirror.open(kind, id, this.#cursor);
        this.customs.change(id, isThere ? this.#cursor : undefined);
        return;
      }
    }
  }

  structureChanged(): void {
    this.changeCount++;
    this.structureIsDirty = true;
    this.#options.onQueued();
  }

  /** What the kernel told its notifiers. */
  kernelEvent(record: NotifierRecord): void {
    if (!this.isLoaded) return;
    const isNoted = noticeEvent(record, this.notices, (ifindex) =>
      this.tables.ports.handle(this.tables.ports.get(`${ifindex}`)),
    );
    if (isNoted) this.#options.onQueued();
  }

  /** `neighbour` undefined: it is gone. */
  neighbourChanged(id: number, key: string, neighbour: Neighbour | undefined): void {
    if (!this.isLoaded) return;
    this.changeCount++;
    this.#planHost(id, neighbour);
    this.nexthops.neighbourChanged(key);
    if (neighbour === undefined || !this.portsPlan.interfaces.has(neighbour.ifindex)) return;
    const { ifindex, mac, family, address } = neighbour;
    const type = mac === undefined ? NOTICE_TYPE.neighbourFailed : NOTICE_TYPE.neighbourUpdate;
    const port = this.portsPlan.interfaces.get(ifindex)!.port.ifindex;
    this.notices.add(type, ifindex, this.tables.ports.handle(this.tables.ports.get(`${port}`)), {
      mac: mac ?? 0,
      family: family === AF_INET ? FAMILY.ipv4 : FAMILY.ipv6,
      address,
    });
    this.#options.onQueued();
  }

  #nexthopChanged(id: number, isDelete: boolean): void {
    const known = this.nexthopIds.get(id);
    if (isDelete) {
      if (known !== undefined) this.nexthops.deleteObject(known);
      this.nexthopIds.delete(id);
      return;
    }
    const object = this.#readNexthopObject(id);
    if (object === undefined) return;
    this.nexthopIds.set(id, object.id);
    this.nexthops.setObject(object);
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
    const wanted = neighbour && this.#hostInterface(neighbour);
    const place = wanted && hostPlace(wanted.vrf, neighbour);
    const known = this.#hosts.get(id);
    if (known === place) return;
    if (known !== undefined) {
      this.routes.deleteHost(id);
      this.#hosts.delete(id);
    }
    if (wanted !== undefined && neighbour !== undefined) {
      this.routes.setHost(id, neighbour.family, wanted.vrf, neighbour.ifindex, neighbour.address);
      this.#hosts.set(id, place!);
    }
  }

  #hostInterface({ mac, isHost, ifindex }: Neighbour) {
    return mac !== undefined && isHost ? this.portsPlan.interfaces.get(ifindex) : undefined;
  }

  /**
   * Neighbours, nexthops and their groups that the plan has otherwise than the mirror, undefined for each that is right. Of routes,
   * `routes.missed` tells.
   */
  *missed(): Generator<Missed | undefined> {
    const { mirror, neighbours } = this.#options;
    const there = new Set<number>();
    mirror.forEach(KIND.nexthop, (id) => there.add(id));
    for (const id of there) {
      yield undefined;
      const object = this.#readNexthopObject(id);
      if (object !== undefined && !(this.nexthopIds.get(id) === object.id && this.nexthops.isTaken(object)))
        yield { kind: 'nexthop', object: `id ${object.id}`, detail: 'the plan has not the object as it is' };
    }
    for (const [id, number] of this.nexthopIds)
      if (!there.has(id))
        yield { kind: 'nexthop', object: `id ${number}`, detail: 'the plan has an object that is gone' };
    let hosts = 0;
    for (const neighbour of neighbours.values()) {
      yield undefined;
      const wanted = this.#hostInterface(neighbour);
      const place = wanted && hostPlace(wanted.vrf, neighbour);
      const { id, family, address } = neighbour;
      if (this.#hosts.has(id)) hosts++;
      if (this.#hosts.get(id) !== place || this.routes.hasHost(id) !== (place !== undefined))
        yield {
          kind: 'neighbour',
          object: formatAddress(family, address),
          detail: 'the plan has not the route to it as it is',
        };
    }
    if (hosts !== this.#hosts.size)
      yield { kind: 'neighbour', object: '', detail: 'the plan has routes to hosts that are gone' };
    yield* this.nexthops.missed();
  }

  #fdbChanged(id: number, isDelete: boolean): void {
    const before = this.fdbKeys.get(id);
    let key: string | undefined;
    let want: FdbWant | undefined;
    let remote: RemoteWant | undefined;
    let reason: number = REASON.none;
    const reader = this.#neighbourReader;
    const isThere =
      !isDelete && this.#options.mirror.open(KIND.fdb, id, this.#cursor) && reader.read(this.#cursor);
    const bridge = isThere ? this.#options.view.link(reader.master) : undefined;
    // Entries of the device itself (`self`) are not the bridge's.
    const isBridged = isThere && reader.master !== 0 && bridge?.kind === 'bridge';
    const isRemote = isThere && reader.master === 0 && reader.addressBytes > 0;
    this.#remotes.setBridged(id, isBridged ? reader : undefined);
    if (isBridged) {
      const isLocal = (reader.state & NUD_PERMANENT) !== 0;
      const tunnel = this.tunnelPlans.get(reader.ifindex);
      const port = this.tables.ports.get(`${reader.ifindex}`);
      const isPort = this.portsPlan.ports.get(reader.ifindex)?.want.bridge === reader.master;
      // Without VLAN filtering the bridge has one address table.
      const vlan = number32(bridge.data.vlan_filtering) !== 0 ? reader.vlan : 0;
      reason = this.portsPlan.bridgeReasons.get(reader.master) ?? REASON.none;
      if (reason === REASON.none && isLocal) reason = REASON.local;
      else if (reason === REASON.none && tunnel !== undefined) {
        remote = this.#remoteOf(tunnel, reader.master, vlan, reader.mac);
        if (remote === undefined)
          reason = tunnel.reason === REASON.none ? REASON['tunnel-remote'] : tunnel.reason;
      } else if (reason === REASON.none && !isPort) reason = REASON['egress-not-a-port'];
      else if (reason === REASON.none)
        reason = this.portsPlan.egressReasons.get(reader.ifindex) ?? REASON.none;
      const forwards = reason === REASON.none && port !== undefined && this.tables.ports.isUsable(port);
      if (reason === REASON.none && !forwards && remote === undefined) reason = REASON['egress-not-a-port'];
      want = {
        action: forwards ? ACTION.forward : ACTION.trap,
        vlan,
        bridge: reader.master,
        port: forwards ? this.tables.ports.handle(port) : 0,
        mac: reader.mac,
      };
      if (remote === undefined) key = fdbKey(want);
    }
    this.#placeRemote(id, remote);
    if (before !== undefined && before !== key) this.tables.fdb.drop(before);
    if (key === undefined) {
      this.fdbKeys.delete(id);
      this.fdbReasons.delete(id);
    } else {
      this.fdbKeys.set(id, key);
      this.fdbReasons.set(id, reason);
      this.tables.fdb.want(key, want!, reason);
    }
    for (const bridged of this.#remotes.setOwn(id, isRemote ? reader : undefined))
      this.#fdbChanged(bridged, false);
  }

  #remoteOf({ want }: TunnelPlan, bridge: number, vlan: number, mac: number): RemoteWant | undefined {
    const handle = this.#tunnelHandle(want);
    if (want === undefined || handle === 0 || want.bridge !== bridge || want.vlan !== vlan) return undefined;
    return this.#remotes.want(want, handle, mac);
  }

  /** Where the bridge's entry with this mirror id is behind a tunnel; undefined: it is not. */
  #placeRemote(id: number, want: RemoteWant | undefined): void {
    const { remotes } = this.tables;
    const before = this.remoteKeys.get(id);
    const key = want && fdbKey(want);
    if (before !== undefined && before !== key) {
      this.remoteKeys.delete(id);
      remotes.drop(before);
    }
    if (key === undefined) return;
    this.remoteKeys.set(id, key);
    remotes.want(key, want!);
  }

  /** Mirror id of the VXLAN link's own entry for a station that the bridge's entry with this id says is behind it. */
  ownEntryOf(id: number): number | undefined {
    return this.#remotes.ownOf(id);
  }

  // ---- structure: ports, interfaces, rules, filters, VLANs ----

  replan(): void {
    this.structureIsDirty = false;
    const { view, isPort, isOwnProgram, netfilter, xfrm, mirror } = this.#options;
    const { aclFields, aclEdits, reversePath, vlanInterfaces } = this.#options.description;
    const canAcl = this.tables.acl.capacity > 0;
    this.#netfilter.refresh();
    const plan = planPorts(view, {
      isPort,
      isOwnProgram,
      netfilter,
      netfilterUnreadable: isUnreadable(mirror, 'nft-chain') || isUnreadable(mirror, 'nft-rule'),
      netfilterHeld: this.#netfilter.held,
      hooks: this.#options.hooks?.(),
      ignoresPolicies: xfrm === 'ignore',
      policiesUnreadable: isUnreadable(mirror, 'xfrm-policy') || isUnreadable(mirror, 'xfrm-default'),
      isUnreadable: DECIDING_KINDS.some((kind) => isUnreadable(mirror, kind)),
      reversePath,
      vlanInterfaces,
      flows: this.tables.flows.capacity > 0,
    });
    if (netfilter === 'trap') {
      this.#netfilter.replan({ aclFields: canAcl ? aclFields : 0, interfaces: plan.interfaces });
      this.noteAnswers();
    }
    const before = this.portsPlan.ports;
    this.portsPlan = plan;
    for (const [ifindex, { link }] of before) this.#notePort(link, view.link(ifindex));
    this.rulesPlans = [AF_INET, AF_INET6].map((family) =>
      planRules(view, family, {
        aclFields: canAcl ? aclFields : 0,
        refused: this.#refusedRules,
        interfaces: plan.interfaces,
      }),
    );
    this.#planSourceChecks(plan);
    this.#planFlows(plan);
    this.#planTunnels(plan);
    this.#planPorts(plan);
    this.#planInterfaces(plan);
    this.#planEgress(plan);
    this.#planRules();
    this.#planPolicies();
    this.#planFilters(plan, canAcl ? { aclFields, aclEdits } : { aclFields: 0, aclEdits: 0 });
    this.#planVlans(plan);
    this.customs.structureChanged();
    this.multicast.isDirty = true;
    const hosts = JSON.stringify([...plan.interfaces.values()].map(({ link, vrf }) => [link.ifindex, vrf]));
    if (hosts !== this.#hostSignature) {
      this.#hostSignature = hosts;
      for (const neighbour of this.#options.neighbours.values()) this.#planHost(neighbour.id, neighbour);
    }
    const bridges = JSON.stringify([
      [...plan.bridgeReasons],
      [...plan.ports.values()].map(({ link, want }) => [
        link.ifindex,
        want.bridge,
        this.tables.ports.handle(this.tables.ports.get(`${link.ifindex}`)),
        plan.egressReasons.get(link.ifindex),
      ]),
      [...view.links.values()]
        .filter(({ kind }) => kind === 'bridge')
        .map(({ ifindex, data }) => [ifindex, data.vlan_filtering]),
      [...this.tunnelPlans].map(([ifindex, { want, reason }]) => [ifindex, this.#tunnelHandle(want), reason]),
    ]);
    if (bridges !== this.#bridgeSignature) {
      this.#bridgeSignature = bridges;
      mirror.forEach(KIND.fdb, (id) => this.#fdbChanged(id, false));
    }
  }

  #notePort(before: LinkView, after: LinkView | undefined): void {
    if (before === after) return;
    const port = this.tables.ports.handle(this.tables.ports.get(`${before.ifindex}`));
    const isBridge = (ifindex: number) => this.#options.view.link(ifindex)?.kind === 'bridge';
    this.notices.compareLinks(before, after, port, isBridge);
  }

  #planPorts(plan: PortsPlan): void {
    const { ports } = this.tables;
    for (const { link, want, trapReason } of plan.ports.values()) {
      const reason = this.filters.trappedPorts.get(link.ifindex);
      const flags = reason === undefined ? want.flags : want.flags | PORT_FLAGS.trapAll;
      ports.want(`${link.ifindex}`, { ...want, flags }, trapReason === REASON.none ? reason : trapReason);
    }
    for (const key of ports.entries.keys()) if (!plan.ports.has(Number(key))) ports.drop(key);
  }

  /** What the kernel asks of the source of an IPv4 packet, where the device's own checks are not enough or not exact. */
  #planSourceChecks(plan: PortsPlan): void {
    const { reversePath } = this.#options.description;
    const { notable } = this.routes;
    this.#lackedRoutes = this.#lacksRoutes;
    this.#notableVersion = notable.version;
    const checks = ROUTER_INTERFACE_FLAGS.reversePathLoose | ROUTER_INTERFACE_FLAGS.reversePathStrict;
    const [{ domains, beyond }] = this.rulesPlans as [RulesPlan];
    for (const { vrf, tables } of domains) {
      const { tables: others, isSelective } = beyond.get(vrf)!;
      // An own address that the device has no route for, or only in a network: take only sources it forwards to.
      const distrusts = this.#lackedRoutes || notable.hasShortOwnIn(tables);
      const isBlind = notable.hasOwnIn(others) || (distrusts && !reversePath);
      for (const planned of plan.interfaces.values()) {
        if (planned.vrf !== vrf || planned.reason4 !== REASON.none) continue;
        const { flags } = planned;
        const reason4 = isBlind
          ? REASON['source-check']
          : isSelective && (flags & checks) !== 0
            ? REASON['reverse-path']
            : REASON.none;
        plan.interfaces.set(planned.link.ifindex, {
          ...planned,
          reason4,
          flags:
            reason4 !== REASON.none
              ? flags & ~ROUTER_INTERFACE_FLAGS.ipv4
              : distrusts
                ? flags | ROUTER_INTERFACE_FLAGS.reversePathLoose
                : flags,
        });
      }
    }
  }

  /** Rules that select packets may send those of a flow elsewhere, as they are before or after translation. */
  #planFlows(plan: PortsPlan): void {
    const flags = [ROUTER_INTERFACE_FLAGS.flowsIpv4, ROUTER_INTERFACE_FLAGS.flowsIpv6];
    for (const [index, { beyond }] of this.rulesPlans.entries()) {
      if (beyond.get(0)?.isSelective !== true) continue;
      for (const planned of plan.interfaces.values()) {
        if ((planned.flags & flags[index]!) !== 0)
          plan.interfaces.set(planned.link.ifindex, { ...planned, flags: planned.flags & ~flags[index]! });
      }
    }
  }

  #usablePort(ifindex: number): number {
    const { ports } = this.tables;
    const port = ports.get(`${ifindex}`);
    return port !== undefined && ports.isUsable(port) ? ports.handle(port) : 0;
  }

  /** Some router interface takes flows of a FAMILY. */
  takesFlows(family: number): boolean {
    const flag = family === FAMILY.ipv4 ? ROUTER_INTERFACE_FLAGS.flowsIpv4 : ROUTER_INTERFACE_FLAGS.flowsIpv6;
    for (const { flags } of this.portsPlan.interfaces.values()) if ((flags & flag) !== 0) return true;
    return false;
  }

  #planTunnels(plan: PortsPlan): void {
    const { view, hooks } = this.#options;
    const { tunnels, remotes } = this.tables;
    const { notable } = this.routes;
    this.#addressVersion = notable.addressVersion;
    if (tunnels.capacity === 0 || remotes.capacity === 0) return;
    const [{ unfollowed }] = this.rulesPlans as [RulesPlan];
    const rules = [...view.rules.values()].filter(({ family }) => family === AF_INET);
    this.tunnelPlans = planTunnels(view, {
      ports: plan,
      followsRules: unfollowed.size === 0 && rules.every(isPlainRule),
      isOwnAddress: (address) => notable.isAddress(address),
      outer: (hooks?.() ?? NO_HOOKS).outer,
    });
    const wanted = new Set<string>();
    for (const { want } of this.tunnelPlans.values()) {
      if (want === undefined) continue;
      wanted.add(tunnelKey(want));
      tunnels.want(tunnelKey(want), want);
    }
    for (const key of tunnels.entries.keys()) if (!wanted.has(key)) tunnels.drop(key);
  }

  /** Handle of a tunnel that remotes may refer to, 0 if they may not. */
  #tunnelHandle(want: TunnelWant | undefined): number {
    const { tunnels } = this.tables;
    const entry = want && tunnels.get(tunnelKey(want));
    return entry !== undefined && tunnels.isUsable(entry) ? tunnels.handle(entry) : 0;
  }

  #planInterfaces(plan: PortsPlan): void {
    const { ports, interfaces } = this.tables;
    for (const { link, port, vlan, vrf, mtu, flags, reason4 } of plan.interfaces.values()) {
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
        mtu,
        vlan,
        flags,
      };
      interfaces.want(`${link.ifindex}`, want, reason4);
    }
    for (const key of interfaces.entries.keys()) if (!plan.interfaces.has(Number(key))) interfaces.drop(key);
  }

  #planEgress(plan: PortsPlan): void {
    const { interfaces } = this.tables;
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
        this.nexthops.egressChanged(ifindex);
    }
    for (const ifindex of before.keys()) if (!egress.has(ifindex)) this.nexthops.egressChanged(ifindex);
  }

  #planRules(): void {
    const { acl, ports } = this.tables;
    const wanted = new Set<string>();
    for (const [index, rules] of this.rulesPlans.entries()) {
      this.routes.setDomains(index === 0 ? AF_INET : AF_INET6, rules.domains);
      for (const { rule, want, iif } of rules.acl) {
        const key = `rule ${rule.id}`;
        const port = iif === 0 ? 0 : ports.handle(ports.get(`${iif}`));
        wanted.add(key);
        // All of them trap: their order among themselves does not matter. Rules of netfilter follow.
        const priority = Math.min(rule.priority, RULE_PRIORITY_MAX);
        this.#wantAcl(key, { ...want, port, priority }, REASON['rule-traps']);
      }
    }
    for (const [key, entry] of acl.entries) {
      if (!key.startsWith('rule ')) continue;
      const id = Number(key.slice(5));
      if (!wanted.has(key)) acl.drop(key);
      if (entry.want !== undefined && !acl.isUsable(entry) && !this.#refusedRules.has(id)) {
        // The device does not hold it after all: the rule ends the list of tables.
        this.#refusedRules.add(id);
        this.structureIsDirty = true;
      }
    }
    for (const id of this.#refusedRules) if (!this.#options.view.rules.has(id)) this.#refusedRules.delete(id);
  }

  #planPolicies(): void {
    const { view, xfrm } = this.#options;
    if (xfrm === 'ignore') return;
    const vrfs = this.rulesPlans.map(({ domains }) => domains.map(({ vrf }) => vrf));
    const signature = `${view.policyVersion} ${JSON.stringify(vrfs)}`;
    if (signature === this.#policySignature) return;
    this.#policySignature = signature;
    this.routes.setPolicies(policyPrefixes(view), (family) => vrfs[family === AF_INET ? 0 : 1]!);
  }

  /** Packets that the policy with this mirror id selects are handed to the kernel. */
  isPolicyHeld(id: number): boolean {
    const policy = this.#options.view.policies.get(id);
    return policy !== undefined && this.#options.xfrm === 'trap' && concernsForwarded(policy);
  }

  #planFilters(plan: PortsPlan, can: Pick<AclOptions, 'aclFields' | 'aclEdits'>): void {
    if (this.filters.replan(plan, can)) this.#planPorts(plan);
  }

  #wantAcl(key: string, want: AclWant, reason: number): Entry<AclWant> {
    return wantAcl(this.tables.acl, key, want, reason);
  }

  /** What becomes of the packets a rule of nftables matches. Undefined: the rule is in no chain that matters to hardware. */
  netfilterRule(id: number): RuleInHardware | undefined {
    return this.#netfilter.ruleState(id);
  }

  #planVlans(plan: PortsPlan): void {
    const { vlans, ports } = this.tables;
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
}

/** linux/if_bridge.h */
const BRIDGE_VLAN_INFO_PVID = 2;
const BRIDGE_VLAN_INFO_UNTAGGED = 4;

/** Of an fdb entry, and of a remote. */
export function fdbKey({ bridge, vlan, mac }: Pick<FdbWant, 'bridge' | 'vlan' | 'mac'>): string {
  return `${bridge}/${vlan}/${mac.toString(16)}`;
}

/** Where the route of its own of a directly attached host is. */
function hostPlace(vrf: number, { ifindex, address }: Neighbour): string {
  return `${vrf}/${ifindex}/${address}`;
}

export function vlanKey({ ifindex, vid }: Pick<VlanView, 'ifindex' | 'vid'>): string {
  return `${ifindex}/${vid}`;
}
