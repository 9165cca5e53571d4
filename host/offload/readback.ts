/** What a device says it holds, read in the shape it is planned in: to start over from it, and to verify. */

import { EkhoError } from '../errors.ts';
import type { BatchReader } from '../plugin/batch.ts';
import {
  ACL_ACTION_NAMES,
  ACL_STAGE_NAMES,
  ACTION,
  ACTION_NAMES,
  ENTRY_KIND,
  ENTRY_KIND_NAMES,
  FAMILY_NAMES,
  MULTICAST_FAMILY_NAMES,
} from '../plugin/records.ts';
import { heldAclKey } from './acl-entries.ts';
import {
  type AclWant,
  aclWantOf,
  type FdbWant,
  type PortWant,
  type RouterInterfaceWant,
  type VlanWant,
} from './codecs.ts';
import { type CustomWant, customWantOf } from './customs.ts';
import { type Desired, fdbKey } from './desired.ts';
import { type EntryTable, handleOf, indexOfHandle, kindOfHandle } from './entry-table.ts';
import { type FlowWant, flowKey, flowWantOf } from './flows.ts';
import { GROUP_PORTS, type MulticastWant, multicastKey, multicastWantOf } from './multicast.ts';
import { addressKey, type GroupWant, type NexthopWant } from './nexthops.ts';
import { type RemoteWant, remoteWantOf } from './remotes.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';
import { type TunnelWant, tunnelKey, tunnelWantOf } from './tunnels.ts';

/** Differences listed by `compare`. */
export const DIFFERENCES_MAX = 1000;

/** Mirror and plan, or plan and hardware, disagree about an object or entry. */
export interface Difference {
  readonly kind: string;
  readonly object: string;
  readonly detail: string;
}

interface Visitor {
  held<Want>(table: EntryTable<Want>, key: string, handle: number, held: Want): void;
  route(routes: BatchReader['routes']): void;
}

/**
 * Calls the visitor for every entry of a page. Kinds come in dependency order, so nexthops are known before groups. The page
 * comes from the plugin: enums, lengths and handles are checked here.
 * @throws EkhoError E_PLUGIN_PROTOCOL
 */
function visit(desired: Desired, page: BatchReader, visitor: Visitor): void {
  const { tables } = desired;
  checkPage(desired, page);
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
  } = tables;
  const {
    ports: p,
    routerInterfaces: r,
    nexthops: n,
    members: m,
    groups: g,
    vlanMembers: v,
    fdbEntries: f,
    aclRules: a,
    flows: w,
    customs: c,
    tunnels: t,
    remotes: s,
    multicastGroups: u,
  } = page;
  for (p.rewind(); p.next(); ) {
    const { ifindex, mtu, mac, bridge, flags } = p;
    visitor.held<PortWant>(ports, `${ifindex}`, p.handle, { ifindex, mtu, mac, bridge, flags });
  }
  for (r.rewind(); r.next(); ) {
    const { port, ifindex, vrf, mac, mtu, vlan, flags } = r;
    visitor.held<RouterInterfaceWant>(interfaces, `${ifindex}`, r.handle, {
      port,
      ifindex,
      vrf,
      mac,
      mtu,
      vlan,
      flags,
    });
  }
  for (n.rewind(); n.next(); ) {
    const { action, family, routerInterface, ifindex } = n;
    const gateway = [n.gateway0, n.gateway1, n.gateway2, n.gateway3] as const;
    const held: NexthopWant = { action, family, routerInterface, ifindex, gateway, mac: n.destinationMac };
    visitor.held(nexthops, nexthopKey(held), n.handle, held);
  }
  for (g.rewind(); g.next(); ) {
    const members: number[] = [];
    let key = '';
    for (let member = g.first; member < g.first + g.count && m.seek(member); member++) {
      members.push(m.nexthop, m.weight);
      key += `${nexthops.byIndex(indexOfHandle(m.nexthop))?.key}*${m.weight},`;
    }
    visitor.held<GroupWant>(groups, g.id !== 0 ? `id ${g.id}` : key, g.handle, { id: g.id, members });
  }
  for (page.routes.rewind(); page.routes.next(); ) visitor.route(page.routes);
  for (v.rewind(); v.next(); ) {
    const { flags, vlan, port, bridge } = v;
    const ifindex = ports.byIndex(indexOfHandle(port))?.key;
    visitor.held<VlanWant>(vlans, `${ifindex}/${vlan}`, v.handle, { flags, vlan, port, bridge });
  }
  for (f.rewind(); f.next(); ) {
    const { action, vlan, bridge, port, mac } = f;
    const held: FdbWant = { action, vlan, bridge, port, mac };
    visitor.held(fdb, fdbKey(held), f.handle, held);
  }
  for (a.rewind(); a.next(); ) {
    const held = aclWantOf(a);
    visitor.held<AclWant>(acl, acl.byIndex(indexOfHandle(a.handle))?.key ?? heldAclKey(held), a.handle, held);
  }
  for (w.rewind(); w.next(); ) {
    const held = flowWantOf(w);
    visitor.held<FlowWant>(flows, flowKey(held), w.handle, held);
  }
  for (c.rewind(); c.next(); ) {
    const held = customWantOf(c);
    visitor.held<CustomWant>(customs, desired.customs.keyOf(held), c.handle, held);
  }
  for (t.rewind(); t.next(); ) {
    const held = tunnelWantOf(t);
    visitor.held<TunnelWant>(tunnels, tunnelKey(held), t.handle, held);
  }
  for (s.rewind(); s.next(); ) {
    const held = remoteWantOf(s);
    visitor.held<RemoteWant>(remotes, fdbKey(held), s.handle, held);
  }
  for (u.rewind(); u.next(); ) {
    const held = multicastWantOf(u);
    visitor.held<MulticastWant>(multicast, multicastKey(held), u.handle, held);
  }
}

function checkPage(desired: Desired, page: BatchReader): void {
  const { tables, routes } = desired;
  const capacities = [
    tables.ports,
    tables.interfaces,
    tables.nexthops,
    tables.groups,
    routes.entries,
    tables.vlans,
    tables.fdb,
    tables.acl,
    tables.flows,
    tables.customs,
    tables.tunnels,
    tables.remotes,
    tables.multicast,
  ];
  const check = (isRight: boolean, what: string): void => {
    if (isRight) return;
    throw new EkhoError('E_PLUGIN_PROTOCOL', `the plugin read back ${what}`, { operation: 'readback' });
  };
  const {
    ports: p,
    routerInterfaces: r,
    nexthops: n,
    groups: g,
    routes: t,
    vlanMembers: v,
    fdbEntries: f,
    aclRules: a,
    flows: w,
    customs: c,
    tunnels: u,
    remotes: s,
    multicastGroups: m,
  } = page;
  for (const [kind, list] of [p, r, n, g, t, v, f, a, w, c, u, s, m].entries()) {
    const { capacity } = capacities[kind]!;
    for (list.rewind(); list.next(); ) {
      const { handle } = list;
      const isIts = kindOfHandle(handle) === kind && indexOfHandle(handle) <= capacity;
      if (!isIts)
        check(false, `handle 0x${handle.toString(16)} as a ${ENTRY_KIND_NAMES[kind]} of ${capacity}`);
    }
  }
  for (n.rewind(); n.next(); )
    check(
      n.action < ACTION_NAMES.length && n.family < FAMILY_NAMES.length,
      'a nexthop with an unknown action or family',
    );
  for (t.rewind(); t.next(); ) {
    const isRight =
      t.action < ACTION_NAMES.length &&
      t.family < FAMILY_NAMES.length &&
      t.prefixLength <= (t.family === 0 ? 32 : 128);
    if (!isRight)
      check(false, `a route with action ${t.action}, family ${t.family}, length ${t.prefixLength}`);
  }
  for (w.rewind(); w.next(); ) check(w.family < FAMILY_NAMES.length, 'a flow with an unknown family');
  for (c.rewind(); c.next(); )
    check(c.offloadKind < desired.customs.kindCount, 'an object of a kind that it does not declare');
  for (m.rewind(); m.next(); )
    check(
      m.family < MULTICAST_FAMILY_NAMES.length && m.count <= GROUP_PORTS,
      'a multicast group of an unknown family, or of too many ports',
    );
  for (f.rewind(); f.next(); ) check(f.action < ACTION_NAMES.length, 'an fdb entry with an unknown action');
  for (a.rewind(); a.next(); ) {
    check(
      a.stage < ACL_STAGE_NAMES.length &&
        a.action < ACL_ACTION_NAMES.length &&
        a.family < FAMILY_NAMES.length,
      'an ACL rule with an unknown stage, action or family',
    );
  }
}

function nexthopKey({ action, family, ifindex, gateway }: NexthopWant): string {
  if (action === ACTION.drop) return 'blackhole';
  if (gateway.every((word) => word === 0)) return `${ifindex}`;
  return addressKey(ifindex, family === 0 ? AF_INET : AF_INET6, gateway);
}

/** Takes what the page says as what the device holds; returns how many entries that were. */
export function adopt(desired: Desired, page: BatchReader): number {
  let count = 0;
  visit(desired, page, {
    held(table, key, handle, held) {
      table.adopt(key, handle, held);
      count++;
    },
    route(routes) {
      desired.routes.entries.adopt(routes, indexOfHandle(routes.handle));
      count++;
    },
  });
  return count;
}

/** Compares what a device holds, page by page, with what it should hold. */
export class Comparison {
  readonly differences: Difference[] = [];
  readonly #desired: Desired;
  readonly #seen = new Set<number>();
  readonly #seenRoutes: Uint8Array;
  readonly #describe: (handle: number) => string;

  constructor(desired: Desired, describe: (handle: number) => string) {
    this.#desired = desired;
    this.#describe = describe;
    this.#seenRoutes = new Uint8Array(desired.routes.entries.entryLimit + 1);
  }

  take(page: BatchReader): void {
    visit(this.#desired, page, {
      held: (table, _key, handle, held) => {
        this.#seen.add(handle);
        this.#note(handle, table.verify(handle, held));
      },
      route: (routes) => {
        this.#note(
          routes.handle,
          this.#desired.routes.entries.verify(routes, indexOfHandle(routes.handle), this.#seenRoutes),
        );
      },
    });
  }

  /** After the last page: what no page had. */
  finish(): Difference[] {
    for (const table of this.#desired.allTables) {
      for (const entry of table.unseen(this.#seen))
        this.#note(table.handle(entry), 'the device does not hold it');
    }
    for (const entry of this.#desired.routes.entries.unseen(this.#seenRoutes)) {
      this.#note(handleOf(ENTRY_KIND.route, entry), 'the device does not hold it');
    }
    return this.differences;
  }

  #note(handle: number, detail: string | undefined): void {
    if (detail === undefined || this.differences.length === DIFFERENCES_MAX) return;
    this.differences.push({
      kind: ENTRY_KIND_NAMES[kindOfHandle(handle)] ?? 'entry',
      object: this.#describe(handle),
      detail,
    });
  }
}
