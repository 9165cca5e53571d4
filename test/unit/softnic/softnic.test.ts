/** softnic in the real runtime on the simulated ASIC: what was applied is what is read back, and what failed is told. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { EkhoError } from '../../../host/errors.ts';
import type { LoadedPlugin } from '../../../host/plugin/load.ts';
import type { Value } from '../../../host/plugin/values.ts';
import { address4, type Entry, entry, handle, type Kind, loadSoftnic, removal, Softnic } from './softnic.ts';

let plugin: LoadedPlugin;
const running: Softnic[] = [];

beforeAll(async () => {
  plugin = await loadSoftnic();
});

afterEach(async () => {
  for (const softnic of running.splice(0)) await softnic[Symbol.asyncDispose]();
});

async function start(...options: Parameters<typeof Softnic.start> extends [unknown, ...infer R] ? R : never) {
  const softnic = await Softnic.start(plugin, ...options);
  running.push(softnic);
  return softnic;
}

const MAC = 0x02_00_00_00_00_01n;

function port(index: number, fields: Record<string, Value> = {}): Entry {
  return entry('port', index, {
    ifindex: 100 + index,
    mtu: 1500,
    mac: MAC,
    flags: ['adminUp', 'carrier'],
    ...fields,
  });
}

function routerInterface(index: number, fields: Record<string, Value> = {}): Entry {
  return entry('router-interface', index, {
    port: handle('port', index),
    ifindex: 100 + index,
    mac: MAC,
    mtu: 1500,
    flags: ['ipv4', 'ipv6'],
    ...fields,
  });
}

function nexthop(index: number, fields: Record<string, Value> = {}): Entry {
  return entry('nexthop', index, {
    routerInterface: handle('router-interface', 1),
    ifindex: 101,
    gateway: address4(0x0a000000 + index),
    destinationMac: 0x02_00_00_00_01_00n + BigInt(index),
    ...fields,
  });
}

function group(index: number, ...members: number[]): Entry {
  return entry(
    'group',
    index,
    { id: 7 },
    members.map((index) => ({ nexthop: handle('nexthop', index), weight: 1 })),
  );
}

function route(index: number, fields: Record<string, Value> = {}): Entry {
  return entry('route', index, {
    prefixLength: 24,
    group: handle('group', 1),
    prefix: address4(0x0b000000 + index * 256),
    ...fields,
  });
}

/** One of each that a route needs. */
const base = [port(1), routerInterface(1), nexthop(1), group(1, 1)];

test('it says what it can do, in the sizes of its ASIC', async () => {
  const { runner, log } = await start({ tables: { lpm4: 1000, nexthop: 77 } });
  expect(runner.description).toMatchObject({
    vendor: 'EKHO',
    name: 'softnic',
    aclFields: (1 << 15) - 1,
    groupMembers: 64,
    reversePath: true,
    vlanInterfaces: true,
  });
  const capacities = runner.description.abilities.map(({ capacity }) => capacity);
  expect(capacities).toEqual([64, 128, 77, 4096, 1000 + 65_536, 4096, 32_768, 1024, 4096]);
  expect(log).toEqual(['started']);
});

test('a setting it does not have, or cannot be so, is named', async () => {
  for (const [name, value, text] of [
    ['brust', '3', 'brust: no such setting; there is burst'],
    ['burst', '513', 'burst: rows in one call to the ASIC, 1-512'],
    ['burst', '', 'burst: rows in one call to the ASIC, 1-512'],
  ] as const) {
    const error = await start({}, { settings: [{ name, value }] }).then(
      () => expect.unreachable(),
      (error: EkhoError) => error,
    );
    expect(error).toBeInstanceOf(EkhoError);
    expect(error.code).toBe('E_PLUGIN_START');
    expect(error.message).toContain(text);
  }
});

/** What the entry refers to: handles. */
function references({ value, members }: Entry): number[] {
  const { port0 = 0, port1 = 0, port2 = 0 } = value;
  const found = [
    value.port,
    value.redirectPort,
    value.routerInterface,
    value.group,
    port0,
    port1,
    port2,
  ] as number[];
  return [...found, ...(members ?? []).map((member) => member.nexthop)].filter((one) => one > 0);
}

const mac = fc.bigInt({ min: 0n, max: 2n ** 48n - 1n });
const index = fc.integer({ min: 1, max: 3 });
const reference = (kind: Kind) => index.map((one) => handle(kind, one));
const action = fc.constantFrom('forward', 'trap', 'drop');
const wide = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** All that the plugin holds. */
const kinds: Record<Exclude<Kind, 'flow' | 'custom' | 'tunnel' | 'remote'>, fc.Arbitrary<Entry>> = {
  port: fc
    .tuple(index, fc.nat(), mac, fc.nat(9), fc.subarray(['adminUp', 'carrier', 'learning', 'trapAll']))
    .map(([index, mtu, mac, bridge, flags]) => port(index, { mtu, mac, bridge, flags })),
  'router-interface': fc
    .tuple(index, fc.nat(), mac, fc.nat(4094), fc.subarray(['ipv4', 'ipv6', 'reversePathStrict']))
    .map(([index, vrf, mac, vlan, flags]) => routerInterface(index, { vrf, mac, vlan, flags })),
  nexthop: fc
    .tuple(index, action, reference('router-interface'), mac, wide, wide, fc.boolean())
    .map(([index, action, routerInterface, mac, high, low, six]) =>
      nexthop(index, {
        action,
        family: six ? 'ipv6' : 'ipv4',
        routerInterface: action === 'drop' ? 0 : routerInterface,
        destinationMac: (mac & ~(1n << 40n)) | 2n,
        gateway: { high, low },
      }),
    ),
  group: fc
    .tuple(
      index,
      fc.nat(2 ** 32 - 1),
      fc.array(fc.record({ nexthop: reference('nexthop'), weight: fc.integer({ min: 1, max: 65_535 }) }), {
        maxLength: 64,
      }),
    )
    .map(([index, id, members]) => entry('group', index, { id }, members)),
  // An entry's key stays with its handle: it follows from the index.
  route: fc
    .tuple(fc.integer({ min: 1, max: 40 }), action, reference('group'))
    .map(([index, action, group]) => {
      const fields = { action, vrf: index % 3, group: action === 'forward' ? group : 0 };
      return index % 2 === 0
        ? route(index, fields)
        : route(index, {
            ...fields,
            family: 'ipv6',
            prefixLength: 65,
            prefix: { high: BigInt(index) << 32n, low: 1n << 63n },
          });
    }),
  'vlan-member': fc
    .tuple(index, fc.integer({ min: 1, max: 4 }), fc.subarray(['pvid', 'untagged']))
    .map(([port, vlan, flags]) =>
      entry('vlan-member', port * 8 + vlan, { port: handle('port', port), bridge: 9, vlan, flags }),
    ),
  'fdb-entry': fc
    .tuple(fc.integer({ min: 1, max: 12 }), action, reference('port'))
    .map(([index, action, port]) =>
      entry('fdb-entry', index, {
        action,
        bridge: 9,
        vlan: index % 3,
        mac: BigInt(index) << 30n,
        port: action === 'forward' ? port : 0,
      }),
    ),
  'multicast-group': fc
    .tuple(fc.integer({ min: 1, max: 12 }), fc.uniqueArray(reference('port'), { minLength: 1 }))
    .map(([index, ports]) =>
      entry('multicast-group', index, {
        family: ['mac', 'ipv4', 'ipv6'][index % 3]!,
        bridge: 9,
        vlan: index % 4,
        address: { high: index % 3 === 2 ? 0xff0en << 48n : 0n, low: BigInt(index) << 24n },
        count: ports.length,
        ...Object.fromEntries(ports.map((port, place) => [`port${place}`, port])),
      }),
    ),
  'acl-rule': fc
    .tuple(
      index,
      fc.constantFrom('accept', 'drop', 'trap', 'redirect'),
      reference('port'),
      fc.nat(2 ** 32 - 1),
      mac,
      mac,
      wide,
      wide,
    )
    .map(([index, action, port, priority, mac, mask, high, low]) =>
      entry('acl-rule', index, {
        action,
        port: priority % 2 === 0 ? port : 0,
        priority,
        redirectPort: action === 'redirect' ? port : 0,
        fields: ['sourceMac', 'destinationAddress', 'destinationPort', 'icmpCode'],
        family: 'ipv6',
        ethertype: priority & 0xffff,
        vlan: priority % 4096,
        protocol: priority & 0xff,
        dscp: priority & 0x3f,
        icmpType: priority & 0xff,
        icmpCode: (priority >>> 8) & 0xff,
        sourcePortLow: 3,
        sourcePortHigh: 65_535,
        destinationPortLow: 1,
        destinationPortHigh: 2,
        tcpFlags: priority & mask32(mask),
        tcpFlagsMask: mask32(mask),
        sourceMac: mac & mask,
        sourceMacMask: mask,
        destinationMac: mask & ~mac,
        destinationMacMask: mask,
        sourceAddress: { high: high & low, low: low & high },
        sourceMask: { high: low, low },
        destinationAddress: { high, low },
        destinationMask: { high, low },
      }),
    ),
};

function mask32(mask: bigint): number {
  return Number(mask & 0xffffn);
}

const changes = fc.array(
  fc.tuple(fc.integer({ min: 0, max: 3 }), fc.oneof(...Object.values(kinds), kinds.route)),
  {
    minLength: 1,
    maxLength: 60,
    size: 'max',
  },
);

/** Entries of a batch in the order they are carried out in. */
function inOrder(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((a, b) => (a.value.handle >>> 28) - (b.value.handle >>> 28));
}

test('random batches: what is read back is exactly what was put and not reported', async () => {
  for (const options of [{}, { path: 'glue' }, { settings: [{ name: 'burst', value: '3' }] }] as const) {
    const softnic = await start({}, options);
    const expected = new Map<number, Entry>();
    const found = await fc.check(
      fc.asyncProperty(changes, async (batch) => {
        const wanted = new Map<number, Entry>();
        for (const [remove, one] of batch) {
          // Rows that share what must be unique are another test's.
          const clash = [...expected.values(), ...wanted.values()].some(
            (other) =>
              other.kind === 'router-interface' &&
              other.value.handle !== one.value.handle &&
              other.value.port === one.value.port &&
              other.value.vlan === one.value.vlan,
          );
          if (!clash)
            wanted.set(one.value.handle, remove === 0 ? removal(expected.get(one.value.handle) ?? one) : one);
        }
        const outcomes = await softnic.apply([...wanted.values()]);
        const told = new Map(outcomes.map((outcome) => [outcome.handle, outcome]));
        for (const one of inOrder([...wanted.values()])) {
          const outcome = told.get(one.value.handle);
          if (one.value.operation === 'remove') {
            const used = [...expected.values()].some((other) => references(other).includes(one.value.handle));
            if (!used) expected.delete(one.value.handle);
            expect(outcome).toEqual(
              used ? { handle: one.value.handle, status: 'refused', reason: 'invalid' } : undefined,
            );
          } else {
            const missing = references(one).some((other) => !expected.has(other));
            if (!missing) expected.set(one.value.handle, one);
            expect(outcome).toEqual(
              missing
                ? { handle: one.value.handle, status: 'refused', reason: 'missing-reference' }
                : undefined,
            );
          }
        }
        expect(sorted(await softnic.held())).toEqual(sorted(expected));
      }),
      { numRuns: 60, endOnFailure: true },
    );
    expect(found.failed, `seed ${found.seed}: ${String(found.errorInstance)}`).toBe(false);
    expect(expected.size).toBeGreaterThan(20);
  }
}, 120_000);

function sorted(entries: ReadonlyMap<number, Entry>): Entry[] {
  return [...entries.values()].sort((a, b) => a.value.handle - b.value.handle);
}

test('pages show each entry once, whichever tables are empty and however long they are', async () => {
  const softnic = await start();
  const rule = entry('acl-rule', 1, { action: 'trap' });
  await softnic.apply([rule]);
  expect([...(await softnic.held()).keys()]).toEqual([rule.value.handle]);
  expect([...(await softnic.counters()).keys()]).toEqual([rule.value.handle]);
  // More than a page of routes, and of groups with all their members.
  await softnic.apply(base);
  for (let at = 0; at < 9000; at += 3000)
    await softnic.apply(Array.from({ length: 3000 }, (_, index) => route(at + index)));
  for (let at = 0; at < 200; at += 50)
    await softnic.apply(
      Array.from({ length: 50 }, (_, index) => group(at + index + 2, ...new Array(64).fill(1))),
    );
  expect((await softnic.held()).size).toBe(1 + 4 + 9000 + 200);
  expect((await softnic.counters()).size).toBe(1 + 4 + 9000 + 200);
});

test('a full table refuses what does not fit and goes on', async () => {
  const softnic = await start({ tables: { lpm4: 100, group: 3 } });
  expect(await softnic.apply(base)).toEqual([]);
  const routes = Array.from({ length: 150 }, (_, index) => route(index + 1));
  const outcomes = await softnic.apply(routes);
  expect(outcomes).toEqual(
    routes.slice(100).map(({ value: { handle } }) => ({ handle, status: 'refused', reason: 'table-full' })),
  );
  expect((await softnic.tables()).route).toEqual({ capacity: 100 + 65_536, used: 100 });
  // What is held can still be changed, and room made is used.
  expect(await softnic.apply([route(1, { action: 'trap', group: 0 })])).toEqual([]);
  expect(await softnic.apply([removal(route(2))])).toEqual([]);
  expect(await softnic.apply([route(101)])).toEqual([]);
  expect((await softnic.held()).size).toBe(104);
  expect(await softnic.apply([2, 3, 4, 5].map((index) => group(index, 1)))).toEqual(
    [4, 5].map((index) => ({ handle: handle('group', index), status: 'refused', reason: 'table-full' })),
  );
  expect(await softnic.apply([removal(group(2))])).toEqual([]);
  expect(await softnic.apply([group(4, 1)])).toEqual([]);
});

test('what the ASIC cannot or may not hold leaves what was held before', async () => {
  const softnic = await start();
  expect(await softnic.apply([...base, route(1)])).toEqual([]);
  const before = await softnic.held();
  const outcomes = await softnic.apply([
    routerInterface(2, { port: handle('port', 9) }),
    nexthop(1, { destinationMac: 0n }),
    group(1, 1, 9),
    route(1, { prefix: address4(0x0b000101) }),
    route(2, { group: handle('group', 9) }),
    route(3, { group: handle('nexthop', 1) }),
    route(4, { prefix: { high: 1n, low: 0n } }),
  ]);
  const refused = (kind: Kind, index: number, reason: string) => ({
    handle: handle(kind, index),
    status: 'refused',
    reason,
  });
  expect(outcomes).toEqual([
    refused('router-interface', 2, 'missing-reference'),
    refused('nexthop', 1, 'invalid'),
    refused('group', 1, 'missing-reference'),
    refused('route', 2, 'missing-reference'),
    refused('route', 3, 'missing-reference'),
    refused('route', 4, 'invalid'),
    refused('route', 1, 'invalid'),
  ]);
  expect(await softnic.held()).toEqual(before);
  expect(await softnic.apply([removal(port(1))])).toEqual([refused('port', 1, 'invalid')]);
  expect(softnic.device.status().rejects).toBe(3);
});

test('faults of the device become outcomes of the rows that met them', async () => {
  const softnic = await start();
  await softnic.apply(base);
  const routes = Array.from({ length: 100 }, (_, index) => route(index + 1));
  softnic.device.inject({ failEvery: 10 });
  const failed = await softnic.apply(routes);
  expect(failed.length).toBe(10);
  for (const one of failed) expect(one).toMatchObject({ status: 'failed', reason: 'device-error' });
  softnic.device.inject({ failEvery: 0 });
  expect((await softnic.held()).size).toBe(94);
  expect(
    await softnic.apply(routes.filter((one) => failed.some(({ handle }) => handle === one.value.handle))),
  ).toEqual([]);
  softnic.device.inject({ refuse: true });
  expect(await softnic.apply([route(200), nexthop(2)])).toEqual([
    { handle: handle('nexthop', 2), status: 'refused', reason: 'device-error' },
    { handle: handle('route', 200), status: 'refused', reason: 'device-error' },
  ]);
  softnic.device.inject({ refuse: false });
  expect(await softnic.apply([nexthop(2)])).toEqual([]);
});

test('a power loss is told once; until then nothing is put on what is gone', async () => {
  const softnic = await start();
  await softnic.apply([...base, route(1)]);
  softnic.device.powerCycle();
  const off = { handle: handle('route', 2), status: 'failed', reason: 'device-off' };
  expect(await softnic.apply([route(2)])).toEqual([off]);
  await softnic.runner.poll();
  await softnic.runner.poll();
  expect(softnic.events).toEqual(['device-reset']);
  expect((await softnic.held()).size).toBe(0);
  expect(await softnic.apply([route(2)])).toEqual([
    { ...off, status: 'refused', reason: 'missing-reference' },
  ]);
  expect(await softnic.apply([...base, route(2)])).toEqual([]);
  softnic.device.inject({ poweredOff: true });
  await softnic.runner.poll();
  const outcomes = await softnic.apply(base);
  expect(outcomes[0]).toEqual({ handle: handle('port', 1), status: 'failed', reason: 'device-off' });
  softnic.device.inject({ poweredOff: false });
  expect(await softnic.apply([...base, route(2)])).toEqual([]);
});

test('counters go on through an update in place, and begin anew with the entry', async () => {
  const softnic = await start();
  await softnic.apply([...base, route(1)]);
  const packet = { destination: '11.0.1.9', length: 1000 };
  for (let count = 0; count < 5; count++) softnic.device.lookup(packet, { count: true });
  const { lastUsed } = (await softnic.counters()).get(handle('route', 1))!;
  expect(Number(process.hrtime.bigint()) - lastUsed).toBeLessThan(10e9);
  expect(
    await softnic.apply([route(1, { action: 'trap', group: 0 }), nexthop(1, { destinationMac: 4n })]),
  ).toEqual([]);
  const after = await softnic.counters();
  for (const kind of ['route', 'group', 'nexthop'] as const)
    expect(after.get(handle(kind, 1))).toMatchObject({ packets: 5, bytes: 5000 });
  expect(after.get(handle('port', 1))).toEqual({ packets: 0, bytes: 0, lastUsed: 0, drops: 0 });
  await softnic.apply([removal(route(1))]);
  await softnic.apply([route(1)]);
  expect((await softnic.counters()).get(handle('route', 1))).toEqual({
    packets: 0,
    bytes: 0,
    lastUsed: 0,
    drops: 0,
  });
});

test('started again, it knows what the ASIC holds, and writes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-softnic-'));
  try {
    const config = { state: join(folder, 'state'), tables: { nexthop: 10 } };
    const first = await start(config);
    // Slots out of order: what the first three had is given to others.
    await first.apply([port(1), routerInterface(1), ...[1, 2, 3, 4, 5].map((index) => nexthop(index))]);
    await first.apply([removal(nexthop(2)), removal(nexthop(4))]);
    await first.apply([
      nexthop(7),
      nexthop(6),
      group(1, 7, 6, 1),
      ...Array.from({ length: 300 }, (_, at) => route(at)),
    ]);
    const held = await first.held();
    await running.pop()![Symbol.asyncDispose]();

    const second = await start(config);
    const { writes } = second.device.status();
    expect(await second.held()).toEqual(held);
    expect(second.device.status().writes).toBe(writes);
    expect(await second.apply([nexthop(7, { action: 'trap' }), removal(nexthop(3)), nexthop(8)])).toEqual([]);
    expect(second.device.lookup({ destination: '11.0.1.9' })).toMatchObject({
      action: 'trap',
      by: 'nexthop trap',
    });
    const now = await second.held();
    expect(now.size).toBe(held.size);
    expect(now.get(handle('group', 1))).toEqual(held.get(handle('group', 1)));
  } finally {
    for (const softnic of running.splice(0)) await softnic[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  }
});

test('an update of many entries writes each once, and leaves the others alone', async () => {
  const softnic = await start();
  await softnic.apply([...base, nexthop(2), group(2, 2)]);
  const routes = Array.from({ length: 2000 }, (_, index) => route(index + 1));
  await softnic.apply(routes);
  const before = softnic.device.status();
  expect(
    await softnic.apply(
      routes.slice(0, 500).map((_, index) => route(index + 1, { group: handle('group', 2) })),
    ),
  ).toEqual([]);
  const after = softnic.device.status();
  expect([after.writes - before.writes, after.removes - before.removes]).toEqual([500, 0]);
});
