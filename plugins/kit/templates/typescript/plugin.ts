/**
 * @NAME@, a plugin that routes: ports, router interfaces, nexthops, groups and routes, on the simulated switch ASIC
 * (docs/asic.md). To make it one for your hardware, replace the rows and the device functions it calls: asic.….
 *
 * It remembers nothing. An entry's slot comes from its handle (the host counts indexes from 0 to below the capacity), and the
 * cookie of its row is the handle, so after a restart `readback` tells the host all that the hardware still holds.
 *
 * It holds no IPv6: the compiler passes 64-bit numbers rounded to 53 bits (see ekho.ts).
 */
import { asic, log } from './ekho.ts';
import type { AsicTable, Batch, Kind, Notifier, Offload, Operation, Outcome, Plugin, Stats } from './ekho.ts';

const NO_SLOT = 0xffffffff;
const MEMBERS_MAX = 64;
const WORD = 2 ** 32;

/** The tables it uses, in the order of their kinds. */
const TABLES: readonly AsicTable[] = ['port', 'router-interface', 'nexthop', 'group', 'lpm4'];
const KINDS: readonly Kind[] = ['port', 'router-interface', 'nexthop', 'group', 'route'];
const GROUPS = 3;
const ACTIONS = ['forward', 'trap', 'drop'] as const;
const PORT_FLAGS = ['adminUp', 'carrier', 'bridgeForwarding', 'learning', 'trapAll'] as const;
const INTERFACE_FLAGS = ['ipv4', 'ipv6', 'reversePathLoose', 'reversePathStrict'] as const;

let capacities: number[] = [];
let words: number[] = [];
let epoch = 0;

function slotOf(kind: Kind, handle: number): number {
  return handle >>> 28 === KINDS.indexOf(kind) + 1 ? handle & 0x0fffffff : NO_SLOT;
}

function handleOf(kind: Kind, slot: number): number {
  return slot === NO_SLOT ? 0 : (((KINDS.indexOf(kind) + 1) << 28) | slot) >>> 0;
}

function bits<Name extends string>(names: readonly Name[], flags: { [name in Name]?: boolean }): number {
  return names.reduce((sum, name, bit) => sum + (flags[name] ? 1 << bit : 0), 0);
}

function flags<Name extends string>(names: readonly Name[], bits: number): { [name in Name]?: boolean } {
  return Object.fromEntries(names.map((name, bit) => [name, (bits & (1 << bit)) !== 0])) as { [name in Name]?: boolean };
}

/** Numbers of more than 32 bits as two words, upper first. */
const wide = (value: number): number[] => [Math.floor(value / WORD), value % WORD];
const narrow = (upper: number, lower: number): number => upper * WORD + lower;

export const plugin: Plugin = {
  /** Who it is and what it can do: the host never asks for more. */
  describe() {
    const infos = TABLES.map((table) => asic.info(table));
    capacities = infos.map(({ capacity }) => capacity);
    words = infos.map(({ words }) => words);
    return {
      vendor: '@NAME@', name: '@NAME@', version: '0.1.0',
      abilities: KINDS.map((kind, i) => ({
        kind, capacity: capacities[i]!, updateInPlace: true, counts: true, readsBack: true,
      })),
      aclFields: {}, aclEdits: {}, notices: {}, offloadKinds: [],
      groupMembers: MEMBERS_MAX,
      reversePath: true, vlanInterfaces: true, pollInterval: 200,
    };
  },
  /** It has no settings of its own. */
  configure(settings) {
    if (settings.length > 0) throw `there is no setting ${settings[0]!.name}`;
  },
  start() {
    epoch = asic.epoch();
    log.write('info', 'started');
  },
  stop() {},
};

/** One change: `row` as the ASIC wants it, its key behind the cookie. What was not plainly carried out becomes an outcome. */
function carryOut(table: number, operation: Operation, row: number[], outcomes: Outcome[], keyWords = 1): void {
  const done = operation === 'put' ? asic.write(TABLES[table]!, row) : asic.remove(TABLES[table]!, row.slice(1, 1 + keyWords));
  // Removing what is not there leaves nothing to do.
  if (done.status === 'ok' || done.status === 'missing') return;
  const handle = row[0]!;
  const full = done.status === 'table-full' || (table <= GROUPS && row[1]! >= capacities[table]!);
  // What may go well the next time has failed; the host asks again.
  if (done.status === 'io-error') outcomes.push({ handle, status: 'failed', reason: 'device-error', detail: 0 });
  else if (done.status === 'powered-off') outcomes.push({ handle, status: 'failed', reason: 'device-off', detail: 0 });
  else outcomes.push({ handle, status: 'refused', reason: full ? 'table-full' : 'invalid', detail: 0 });
}

function apply(changes: Batch): Outcome[] {
  const outcomes: Outcome[] = [];
  for (const { operation, handle, ifindex, mtu, mac, bridge, flags } of changes.ports) {
    const row = [handle, slotOf('port', handle), ifindex, mtu, ...wide(mac), bridge, bits(PORT_FLAGS, flags)];
    carryOut(0, operation, row, outcomes);
  }
  for (const { operation, handle, port, ifindex, vrf, mac, mtu, vlan, flags } of changes.routerInterfaces) {
    const row = [handle, slotOf('router-interface', handle), slotOf('port', port), ifindex, vrf, ...wide(mac), mtu, vlan];
    carryOut(1, operation, [...row, bits(INTERFACE_FLAGS, flags)], outcomes);
  }
  for (const { operation, handle, action, routerInterface, family, ifindex, gateway, destinationMac } of changes.nexthops) {
    const row = [handle, slotOf('nexthop', handle), ACTIONS.indexOf(action), slotOf('router-interface', routerInterface), 0, ifindex];
    if (family === 'ipv6') decline(handle, operation, outcomes);
    else carryOut(2, operation, [...row, 0, 0, 0, gateway.low, ...wide(destinationMac)], outcomes);
  }
  for (const { operation, handle, id, first, count } of changes.groups) {
    const row = [handle, slotOf('group', handle), id, count];
    for (const { nexthop, weight } of changes.members.slice(first, first + count)) row.push(slotOf('nexthop', nexthop), weight);
    while (row.length < words[GROUPS]!) row.push(0);
    carryOut(GROUPS, operation, row.slice(0, words[GROUPS]!), outcomes);
  }
  for (const { operation, handle, vrf, family, prefix, prefixLength, action, group } of changes.routes) {
    const row = [handle, vrf, prefix.low, prefixLength, ACTIONS.indexOf(action), slotOf('group', group)];
    if (family === 'ipv6') decline(handle, operation, outcomes);
    else carryOut(4, operation, row, outcomes, 3);
  }
  return outcomes;
}

function decline(handle: number, operation: Operation, outcomes: Outcome[]): void {
  if (operation === 'put') outcomes.push({ handle, status: 'refused', reason: 'unsupported-match', detail: 0 });
}

/** A page is rows of one table; its cursor is the table in the upper 4 bits and the ASIC's own cursor below. */
function nextRows(read: typeof asic.read, cursor: number, limit: number, width: (table: number) => number) {
  let position = cursor & 0x0fffffff;
  for (let table = cursor >>> 28; table < TABLES.length; table++, position = 0) {
    // Members of a group count as entries too.
    const most = table === GROUPS ? Math.max(1, Math.floor(limit / (1 + MEMBERS_MAX))) : limit;
    const [more, ...found] = read(TABLES[table]!, position, most);
    const next = more !== 0 ? ((table << 28) | more!) >>> 0 : table + 1 < TABLES.length ? ((table + 1) << 28) >>> 0 : 0;
    const rows: number[][] = [];
    for (let at = 0; at < found.length; at += width(table)) rows.push(found.slice(at, at + width(table)));
    if (rows.length > 0) return { table, next, rows };
  }
  return { table: 0, next: 0, rows: [] };
}

function readback(cursor: number, limit: number): { next: number; entries: Batch } {
  const { table, next, rows } = nextRows(asic.read, cursor, limit, (table) => words[table]!);
  const entries: Batch = {
    ports: [], routerInterfaces: [], nexthops: [], members: [], groups: [], routes: [], vlanMembers: [], fdbEntries: [], aclRules: [], flows: [],
    customs: [], tunnels: [], remotes: [], multicastGroups: [],
  };
  const operation = 'put';
  for (const [handle, ...r] of rows as [number, ...number[]][]) {
    const w = (at: number) => r[at - 1]!;
    if (table === 0)
      entries.ports.push({ operation, handle, ifindex: w(2), mtu: w(3), mac: narrow(w(4), w(5)), bridge: w(6), flags: flags(PORT_FLAGS, w(7)) });
    else if (table === 1)
      entries.routerInterfaces.push({
        operation, handle, port: handleOf('port', w(2)), ifindex: w(3), vrf: w(4), mac: narrow(w(5), w(6)), mtu: w(7), vlan: w(8),
        flags: flags(INTERFACE_FLAGS, w(9)),
      });
    else if (table === 2)
      entries.nexthops.push({
        operation, handle, action: ACTIONS[w(2)]!, routerInterface: handleOf('router-interface', w(3)), family: 'ipv4',
        ifindex: w(5), gateway: { high: 0, low: w(9) }, destinationMac: narrow(w(10), w(11)),
      });
    else if (table === GROUPS) {
      entries.groups.push({ operation, handle, id: w(2), first: entries.members.length, count: w(3) });
      for (let m = 0; m < w(3); m++)
        entries.members.push({ group: handle, nexthop: handleOf('nexthop', w(4 + 2 * m)), weight: w(5 + 2 * m) });
    } else
      entries.routes.push({
        operation, handle, vrf: w(1), family: 'ipv4', prefix: { high: 0, low: w(2) }, prefixLength: w(3), action: ACTIONS[w(4)]!,
        group: handleOf('group', w(5)),
      });
  }
  return { next, entries };
}

export const offload: Offload = {
  apply,
  readback,
  /** The ASIC has one thing to say: that it lost its tables. The host then reads back and programs it again. */
  poll() {
    if (asic.epoch() === epoch) return [];
    epoch = asic.epoch();
    return [{ eventType: 'device-reset', vlan: 0, handle: 0, port: 0, value: 0, mac: 0 }];
  },
  tables() {
    return KINDS.map((kind, i) => {
      const { capacity, used } = asic.info(TABLES[i]!);
      return { kind, capacity, used };
    });
  },
};

export const stats: Stats = {
  collect(cursor, limit) {
    const { next, rows } = nextRows(asic.counters, cursor, limit, () => 7);
    const counters = rows.map(([handle, p, pp, b, bb, u, uu]) => ({
      handle: handle!, packets: narrow(pp!, p!), bytes: narrow(bb!, b!), lastUsed: narrow(uu!, u!), drops: 0,
    }));
    return { next, counters };
  },
};

/** What happens in the kernel reaches the hardware as changes. */
export const notifier: Notifier = { notify() {} };
