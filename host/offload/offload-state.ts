/** What is known of each object's offload in one plugin: its state, the reason, and which object a handle stands for. */

import { KIND, type KindNumber, objectCursor } from '../mirror/types.ts';
import { mdbHeader } from '../netlink/schema/mdb.ts';
import {
  ACL_ACTION,
  ACL_EDITS,
  ACTION,
  ENTRY_KIND,
  FAMILY,
  ROUTER_INTERFACE_FLAGS,
} from '../plugin/records.ts';
import type { AclPlan } from './acl.ts';
import { formatAddress } from './addresses.ts';
import { type Desired, type PlanOptions, vlanKey } from './desired.ts';
import {
  type Entry,
  type EntryTable,
  indexOfHandle,
  kindOfHandle,
  STATUS_FAILED,
  STATUS_REFUSED,
} from './entry-table.ts';
import { aclKey } from './filter-rules.ts';
import { type FlowTuple, flowKey } from './flows.ts';
import type { FilterView } from './kernel-view.ts';
import type { Hop } from './nexthops.ts';
import type { PortPlan } from './ports.ts';
import { type ObjectOffload, type OffloadState, REASON, REASON_NAMES } from './reasons.ts';
import { AF_INET, littleEndian32 } from './route-reader.ts';
import type { RouteState } from './routes.ts';
import { tunnelKey } from './tunnels.ts';

const MIRRORS = ACL_EDITS.mirror | ACL_EDITS.mirrorTrapped;

export interface TableSummary {
  readonly kind: string;
  readonly capacity: number;
  readonly planned: number;
  readonly offloaded: number;
  readonly trapped: number;
  readonly refused: number;
  readonly failed: number;
}

/** A filter on one of the ports that it concerns. */
export interface FilterEntry {
  readonly filter: FilterView;
  /** Interface index. */
  readonly port: number;
  readonly drops: boolean;
  /** Of its ACL rule; undefined where none is planned. */
  readonly handle: number | undefined;
  readonly offload: ObjectOffload;
}

export class OffloadStates {
  readonly #desired: Desired;
  readonly #options: PlanOptions;
  readonly #isReady: () => boolean;
  readonly #cursor = objectCursor();

  /** `isReady`: the plugin runs and what its device holds is known. */
  constructor(desired: Desired, options: PlanOptions, isReady: () => boolean) {
    this.#desired = desired;
    this.#options = options;
    this.#isReady = isReady;
  }

  /** The entry a handle names, for people. */
  describe(handle: number): string {
    const kind = kindOfHandle(handle);
    const index = indexOfHandle(handle);
    if (kind === ENTRY_KIND.route) return this.#desired.routes.entries.describe(index);
    const key = this.#desired.tableOf(kind)?.byIndex(index)?.key;
    return key ?? `handle 0x${handle.toString(16)}`;
  }

  /** The mirror object a handle stands for, if it stands for one. */
  objectOf(handle: number): { readonly kind: KindNumber; readonly id: number } | undefined {
    const kind = kindOfHandle(handle);
    const index = indexOfHandle(handle);
    switch (kind) {
      case ENTRY_KIND.route: {
        const object = this.#desired.routes.entries.objectOf(index);
        return object && { kind: KIND[object.kind], id: object.id };
      }
      case ENTRY_KIND.port:
      case ENTRY_KIND.routerInterface: {
        const key = this.#desired.tableOf(kind)?.byIndex(index)?.key;
        const link = key === undefined ? undefined : this.#options.view.link(Number(key));
        return link && { kind: KIND.link, id: link.id };
      }
      case ENTRY_KIND.nexthop: {
        const hop = this.#desired.nexthops.hop(this.#desired.tables.nexthops.byIndex(index)?.key ?? '');
        const neighbour = hop && this.#options.neighbours.get(hop.key);
        return neighbour && { kind: KIND.neighbour, id: neighbour.id };
      }
      case ENTRY_KIND.group: {
        const id = this.#desired.tables.groups.byIndex(index)?.want?.id;
        if (id === undefined || id === 0) return undefined;
        for (const [mirrorId, nexthopId] of this.#desired.nexthopIds)
          if (nexthopId === id) return { kind: KIND.nexthop, id: mirrorId };
        return undefined;
      }
      case ENTRY_KIND.aclRule: {
        const key = this.#desired.tables.acl.byIndex(index)?.key ?? '';
        const [, name, id] = /^(rule|filter|nft \d+) (\d+)/.exec(key) ?? [];
        if (name === undefined || id === '0') return undefined;
        const kind = name === 'rule' ? KIND.rule : name === 'filter' ? KIND.filter : KIND['nft-rule'];
        return { kind, id: Number(id) };
      }
      case ENTRY_KIND.flow: {
        const id = this.#desired.flows.ownerOf(this.#desired.tables.flows.byIndex(index)?.key ?? '');
        return id === undefined ? undefined : { kind: KIND.flow, id };
      }
      case ENTRY_KIND.custom: {
        const id = this.#desired.customs.ownerOf(this.#desired.tables.customs.byIndex(index)?.key ?? '');
        return id === undefined ? undefined : { kind: KIND.offload, id };
      }
      case ENTRY_KIND.fdbEntry: {
        const key = this.#desired.tables.fdb.byIndex(index)?.key;
        for (const [id, fdbKeyOfId] of this.#desired.fdbKeys)
          if (fdbKeyOfId === key) return { kind: KIND.fdb, id };
        return undefined;
      }
      case ENTRY_KIND.multicastGroup: {
        const id = this.#desired.multicast.ownerOf(this.#desired.tables.multicast.byIndex(index)?.key ?? '');
        return id === undefined ? undefined : { kind: KIND.mdb, id };
      }
      case ENTRY_KIND.tunnel: {
        const ifindex = this.#desired.tables.tunnels.byIndex(index)?.want?.ifindex;
        const link = ifindex === undefined ? undefined : this.#options.view.link(ifindex);
        return link && { kind: KIND.link, id: link.id };
      }
      case ENTRY_KIND.remote: {
        const key = this.#desired.tables.remotes.byIndex(index)?.key;
        for (const [id, keyOfId] of this.#desired.remoteKeys)
          if (keyOfId === key) return { kind: KIND.fdb, id };
        return undefined;
      }
    }
    return undefined;
  }

  /** The objects of many fdb entries and remotes, in one go: of a remote, that of the bridge and that of the VXLAN link. */
  *fdbOf(handles: ReadonlySet<number>): Generator<{ readonly kind: KindNumber; readonly id: number }> {
    const { fdb, remotes } = this.#desired.tables;
    for (const [id, key] of this.#desired.fdbKeys)
      if (handles.has(fdb.handle(fdb.get(key)))) yield { kind: KIND.fdb, id };
    for (const [id, key] of this.#desired.remoteKeys) {
      if (!handles.has(remotes.handle(remotes.get(key)))) continue;
      yield { kind: KIND.fdb, id };
      const own = this.#desired.ownEntryOf(id);
      if (own !== undefined) yield { kind: KIND.fdb, id: own };
    }
  }

  /** Gateway and outgoing link of a nexthop handle. */
  hopOf(handle: number): Hop | undefined {
    return this.#desired.nexthops.hop(
      this.#desired.tables.nexthops.byIndex(indexOfHandle(handle))?.key ?? '',
    );
  }

  /** ifindex of a port handle. */
  portOf(handle: number): number | undefined {
    return this.#desired.tables.ports.byIndex(indexOfHandle(handle))?.want?.ifindex;
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
        const group = this.#desired.nexthops.groupById(this.#desired.nexthopIds.get(id) ?? 0);
        if (group === undefined) return undefined;
        if (group.entry === undefined) return this.#state('refused', group.reason);
        return this.#offloadOfEntry(
          this.#desired.tables.groups,
          group.entry,
          this.#trapsOf(group.hops.map(({ hop }) => hop)),
        );
      }
      case KIND.fdb: {
        const remoteKey = this.#desired.remoteKeys.get(id);
        const remote = remoteKey === undefined ? undefined : this.#desired.tables.remotes.get(remoteKey);
        if (remote !== undefined)
          return this.#offloadOfEntry(this.#desired.tables.remotes, remote, { reason: REASON.none });
        const key = this.#desired.fdbKeys.get(id);
        const entry = key === undefined ? undefined : this.#desired.tables.fdb.get(key);
        return (
          entry &&
          this.#offloadOfEntry(this.#desired.tables.fdb, entry, {
            reason: this.#desired.fdbReasons.get(id) ?? 0,
          })
        );
      }
      case KIND.vlan: {
        const vlan = this.#options.view.vlans.get(id);
        const entry = vlan && this.#desired.tables.vlans.get(vlanKey(vlan));
        return entry && this.#offloadOfEntry(this.#desired.tables.vlans, entry, { reason: REASON.none });
      }
      case KIND.mdb:
        return this.#offloadOfGroup(id);
      case KIND.flow:
        return this.#offloadOfFlow(id);
      case KIND.offload: {
        const known = this.#desired.customs.stateOf(id);
        if (known === undefined) return undefined;
        const entry = known.key === undefined ? undefined : this.#desired.tables.customs.get(known.key);
        if (entry === undefined) return this.#state('refused', known.reason, known.detail);
        return this.#offloadOfEntry(this.#desired.tables.customs, entry, { reason: REASON.none });
      }
      case KIND.rule:
        return this.#offloadOfRule(id);
      case KIND['nft-rule']: {
        const rule = this.#desired.netfilterRule(id);
        if (rule === undefined) return undefined;
        if (rule.entry === undefined) return this.#state('refused', rule.reason);
        return this.#offloadOfEntry(this.#desired.tables.acl, rule.entry, { reason: rule.reason });
      }
      case KIND['xfrm-policy']: {
        if (!this.#desired.isPolicyHeld(id)) return undefined;
        const isReady = this.#isReady();
        return this.#state(
          isReady ? 'trapped' : 'pending',
          isReady ? REASON['ipsec-policy'] : REASON['not-started'],
        );
      }
      case KIND.filter: {
        const [plan] = this.#desired.filters.plans.get(id) ?? [];
        return plan && this.#offloadOfFilter(plan);
      }
    }
    return undefined;
  }

  #offloadOfFilter({ filter, port, reason, want }: AclPlan): ObjectOffload {
    const entry = this.#desired.tables.acl.get(aclKey(filter.id, port));
    if (want === undefined || entry === undefined) return this.#state('refused', reason);
    const state = this.#offloadOfEntry(this.#desired.tables.acl, entry, {
      reason: reason === REASON.none ? this.#whyNotAt(port, want.edits ?? 0) : reason,
    });
    if (state.state !== 'offloaded') return state;
    // No packet gets to a rule of a port that hands over all, nor to one behind such a rule.
    const { ports } = this.#desired.tables;
    const portEntry = ports.get(`${port}`);
    if (portEntry !== undefined && portEntry.reason !== REASON.none)
      return this.#offloadOfEntry(ports, portEntry, { reason: portEntry.reason });
    return this.#desired.filters.isBehindEnd(port, want)
      ? this.#state('trapped', REASON['after-refused-filter'])
      : state;
  }

  /** Why what a rule does besides its action is the kernel's at this port. */
  #whyNotAt(port: number, edits: number): number {
    return (edits & MIRRORS) !== 0 && !this.canMirror(port) ? REASON['xdp-mirrors'] : REASON.none;
  }

  /** Whether there can be copies of packets that arrive by a port, by its interface index; else they are the kernel's. */
  canMirror(port: number): boolean {
    return this.#options.canMirror?.(port) !== false;
  }

  /** What became of each filter on each port that it concerns. */
  *filterEntries(): Generator<FilterEntry> {
    const { acl } = this.#desired.tables;
    for (const plans of this.#desired.filters.plans.values()) {
      for (const plan of plans) {
        const { filter, port, want } = plan;
        const entry = acl.get(aclKey(filter.id, port));
        yield {
          filter,
          port,
          drops: want?.action === ACL_ACTION.drop,
          handle: entry && acl.handle(entry),
          offload: this.#offloadOfFilter(plan),
        };
      }
    }
  }

  /** Interface indexes of the ports whose packets hardware looks at. */
  *readyPorts(): Generator<number> {
    const { ports } = this.#desired.tables;
    if (!this.#isReady()) return;
    for (const ifindex of this.#desired.portsPlan.ports.keys()) {
      const entry = ports.get(`${ifindex}`);
      if (entry === undefined) continue;
      if (this.#offloadOfEntry(ports, entry, { reason: entry.reason }).state === 'offloaded') yield ifindex;
    }
  }

  /** The first preference from which on no filter of the port gets a packet in hardware; undefined: there is none. */
  behind(ifindex: number): number | undefined {
    return this.#desired.filters.behind(ifindex);
  }

  /** The handle of a direction of a connection, if hardware has it. */
  heldFlow(want: FlowTuple): number | undefined {
    const { flows } = this.#desired.tables;
    const entry = flows.get(flowKey(want));
    if (entry === undefined || !this.#desired.takesFlows(want.family)) return undefined;
    return this.#offloadOfEntry(flows, entry, { reason: REASON.none }).state === 'offloaded'
      ? flows.handle(entry)
      : undefined;
  }

  /** Established flows of some family are met. */
  get takesFlows(): boolean {
    return this.#desired.takesFlows(FAMILY.ipv4) || this.#desired.takesFlows(FAMILY.ipv6);
  }

  /** It holds entries of bridges. */
  get takesBridges(): boolean {
    return this.#desired.tables.fdb.capacity > 0;
  }

  /** Interface indexes of all ports. */
  ports(): Iterable<number> {
    return this.#desired.portsPlan.ports.keys();
  }

  /** Places of the ACL table, and how many of them are planned. */
  get aclRoom(): { readonly capacity: number; readonly planned: number } {
    const { capacity, entries } = this.#desired.tables.acl;
    return { capacity, planned: entries.size };
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
    if (!isHeld || !this.#isReady())
      return this.#state('pending', this.#isReady() ? REASON.none : REASON['not-started']);
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
    for (const state of this.#desired.routes.statesOf(id)) return this.#offloadOfState(state);
    const table = this.#desired.routes.tableOf(id);
    if (table === undefined) return undefined;
    const reason = [
      ...(this.#desired.rulesPlans[table.family === AF_INET ? 0 : 1]?.unfollowed.values() ?? []),
    ][0];
    return this.#state('refused', reason ?? REASON['table-not-consulted']);
  }

  #offloadOfState(state: RouteState): ObjectOffload {
    switch (state.held) {
      case 'none':
        return this.#state('refused', state.reason);
      case 'refused':
      case 'failed':
        return this.#state(state.held, state.reason);
      case 'pending':
        return this.#state('pending', this.#isReady() ? REASON.none : REASON['not-started']);
    }
    if (!this.#isReady()) return this.#state('pending', REASON['not-started']);
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
    const port = this.#desired.tables.ports.get(`${link.ifindex}`);
    const { interfaces } = this.#desired.tables;
    const planned = this.#desired.portsPlan.interfaces.get(link.ifindex);
    const routed = interfaces.get(`${link.ifindex}`);
    if (port === undefined && routed === undefined) return this.#offloadOfTunnel(link.ifindex);
    if (port !== undefined) {
      const programs =
        port.reason === REASON['xdp-attached'] ? link.xdpPrograms.filter((id) => id !== 0) : [];
      const state = this.#offloadOfEntry(this.#desired.tables.ports, port, {
        reason: port.reason,
        ...(programs.length > 0 && { detail: `program ${programs.join(', ')}` }),
      });
      if (state.state !== 'offloaded' || routed === undefined || planned === undefined) return state;
    }
    const reason = planned!.reason4 !== REASON.none ? planned!.reason4 : planned!.reason6;
    const takesFlows =
      (planned!.flags & (ROUTER_INTERFACE_FLAGS.flowsIpv4 | ROUTER_INTERFACE_FLAGS.flowsIpv6)) !== 0;
    const families = [
      ...(planned!.reason4 === REASON.none ? [] : ['IPv4']),
      ...(planned!.reason6 === REASON.none ? [] : ['IPv6']),
    ];
    return this.#offloadOfEntry(interfaces, routed!, {
      reason,
      ...(families.length > 0 && {
        detail: `routing of ${families.join(' and ')} packets that arrive here${takesFlows ? ', but for established flows' : ''}`,
      }),
    });
  }

  /** A group, or a router port, of a bridge that has ports here. */
  #offloadOfGroup(id: number): ObjectOffload | undefined {
    const cursor = this.#cursor;
    if (!this.#options.mirror.open(KIND.mdb, id, cursor)) return undefined;
    const bridge = littleEndian32(cursor.bytes, cursor.start + mdbHeader.offset.ifindex);
    const isBridge = ({ want }: PortPlan) => want.bridge === bridge;
    if (!this.#desired.portsPlan.ports.values().some(isBridge)) return undefined;
    const { multicast } = this.#desired.tables;
    const known = this.#desired.multicast.stateOf(id);
    if (!this.#isReady() || known === undefined) return this.#state('pending', REASON['not-started']);
    if (multicast.capacity === 0) return this.#state('trapped', REASON['multicast-group']);
    if ('reason' in known) return this.#state('trapped', known.reason);
    const entry = multicast.get(known.key);
    if (entry === undefined) return this.#state('pending', REASON.none);
    return this.#offloadOfEntry(multicast, entry, {
      reason:
        (entry.want?.ports.length ?? 0) > 1 && !this.#copies(bridge) ? REASON['xdp-mirrors'] : REASON.none,
    });
  }

  /** Whether all ports of a bridge can send copies of what arrives there. */
  #copies(bridge: number): boolean {
    for (const [ifindex, { want }] of this.#desired.portsPlan.ports)
      if (want.bridge === bridge && !this.canMirror(ifindex)) return false;
    return true;
  }

  /** Frames of groups that arrive by a port leave in hardware, if nothing of the group itself is against it. */
  takesGroups(port: number): boolean {
    const { portsPlan, multicast, tables } = this.#desired;
    const bridge = portsPlan.ports.get(port)?.want.bridge ?? 0;
    if (tables.multicast.capacity === 0 || !multicast.takes(bridge)) return false;
    // Where there is one other port, nothing is copied.
    const others = [...portsPlan.ports.values()].filter(({ want }) => want.bridge === bridge).length - 1;
    return others <= 1 || this.#copies(bridge);
  }

  #offloadOfTunnel(ifindex: number): ObjectOffload | undefined {
    const plan = this.#desired.tunnelPlans.get(ifindex);
    if (plan === undefined) return undefined;
    if (plan.want === undefined) return this.#state('refused', plan.reason);
    const { tunnels } = this.#desired.tables;
    const entry = tunnels.get(tunnelKey(plan.want));
    return entry && this.#offloadOfEntry(tunnels, entry, { reason: REASON.none });
  }

  #offloadOfNeighbour(id: number): ObjectOffload | undefined {
    const state = this.#desired.routes.hostState(id);
    if (state !== undefined && state.held !== 'none') return this.#offloadOfState(state);
    const key = this.#options.neighbourKeys.get(id);
    const neighbour = key === undefined ? undefined : this.#options.neighbours.get(key);
    if (key === undefined || neighbour === undefined) return undefined;
    const hop = this.#desired.nexthops.hop(key);
    if (hop?.entry !== undefined)
      return this.#offloadOfEntry(this.#desired.tables.nexthops, hop.entry, { reason: hop.reason });
    if (!this.#desired.portsPlan.interfaces.has(neighbour.ifindex) || !neighbour.isHost) return undefined;
    return this.#state(
      'refused',
      neighbour.mac === undefined ? REASON['nexthop-unresolved'] : (state?.reason ?? REASON.shadowed),
    );
  }

  /** The direction that is not held, if either is not. */
  #offloadOfFlow(id: number): ObjectOffload | undefined {
    const keys = this.#desired.flows.keysOf(id);
    if (keys === undefined) return undefined;
    if (typeof keys === 'number') return this.#state('refused', keys);
    const { flows } = this.#desired.tables;
    let state: ObjectOffload | undefined;
    for (const key of keys) {
      const entry = flows.get(key);
      if (entry === undefined) continue;
      const isMet = entry.want === undefined || this.#desired.takesFlows(entry.want.family);
      const reason = isMet ? REASON.none : REASON['flow-not-taken'];
      state = this.#offloadOfEntry(flows, entry, { reason });
      if (state.state !== 'offloaded') break;
    }
    return state;
  }

  #offloadOfRule(id: number): ObjectOffload | undefined {
    const entry = this.#desired.tables.acl.get(`rule ${id}`);
    if (entry !== undefined)
      return this.#offloadOfEntry(this.#desired.tables.acl, entry, { reason: REASON['rule-traps'] });
    for (const plan of this.#desired.rulesPlans) {
      const reason = plan.unfollowed.get(id);
      if (reason !== undefined) return this.#state('refused', reason);
    }
    return this.#options.view.rules.has(id)
      ? this.#state(this.#isReady() ? 'offloaded' : 'pending', REASON.none)
      : undefined;
  }

  summary(): TableSummary[] {
    const rows: TableSummary[] = [];
    const names = [
      'port',
      'router-interface',
      'nexthop',
      'group',
      'vlan-member',
      'fdb-entry',
      'acl-rule',
      'flow',
      'custom',
      'tunnel',
      'remote',
      'multicast-group',
    ];
    for (const [index, table] of this.#desired.allTables.entries()) {
      const kind = names[index]!;
      const refused =
        kind === 'custom'
          ? this.#desired.customs.refused
          : kind === 'acl-rule'
            ? this.#desired.filters.refused
            : 0;
      const row = {
        kind,
        capacity: table.capacity,
        planned: refused,
        offloaded: 0,
        trapped: 0,
        refused,
        failed: 0,
      };
      for (const entry of table.entries.values()) {
        // What should be gone and is not counts as failed.
        if (entry.want === undefined && entry.status !== STATUS_FAILED) continue;
        row.planned++;
        if (entry.status === STATUS_REFUSED) row.refused++;
        else if (entry.status === STATUS_FAILED) row.failed++;
        else if (entry.reason !== REASON.none || entry.trapped) row.trapped++;
        else if (entry.sent !== undefined && entry.inFlight === 0) row.offloaded++;
      }
      rows.push(row);
    }
    const tally = this.#desired.routes.entries.tally();
    rows.splice(4, 0, {
      kind: 'route',
      capacity: this.#desired.routes.entries.capacity,
      planned: tally.held + tally.trapped + tally.refused + tally.failed + tally.waiting,
      offloaded: tally.held,
      trapped: tally.trapped,
      refused: tally.refused + tally.waiting,
      failed: tally.failed,
    });
    return rows;
  }
}
