/** The ASIC's tables against a naive model: random writes, removals, reads and lookups give the same. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AsicDevice, openAsicCore } from '../../../host/device/asic/device.ts';
import {
  ACL,
  FDB,
  GROUP,
  LPM4,
  LPM6,
  layOut,
  MDB,
  NEXTHOP,
  NONE,
  PORT,
  ROUTER_INTERFACE,
  TABLES,
  VLAN,
} from '../../../host/device/asic/layout.ts';
import { AsicTables, W } from '../../../host/device/asic/tables.ts';
import { Model, wide } from './model.ts';
import { members, readAll, remove, row, write } from './rows.ts';

const capacities = {
  port: 3,
  'router-interface': 3,
  nexthop: 4,
  group: 4,
  lpm4: 24,
  lpm6: 24,
  vlan: 5,
  fdb: 6,
  acl: 6,
  mdb: 4,
} as const;

const cookie = fc.nat(0xffff);
const slot = fc.nat(4);
const maybeSlot = fc.oneof(slot, fc.constant(NONE));

/** Few enough bits that prefixes are under each other and come again. */
const prefix4 = fc.tuple(fc.nat(0xf), fc.nat(0xf), fc.nat(32)).map(([high, low, length]) => {
  const address = ((high << 28) | low) >>> 0;
  return { prefix: length === 0 ? 0 : (address & (-1 << (32 - length))) >>> 0, length };
});
const prefix6 = fc
  .tuple(fc.nat(0xf), fc.nat(0xf), fc.nat(0xf), fc.nat(128))
  .map(([high, middle, low, length]) => {
    const address = (BigInt(high) << 124n) | (BigInt(middle) << 62n) | BigInt(low);
    const value = (address >> BigInt(128 - length)) << BigInt(128 - length);
    const prefix = [96n, 64n, 32n, 0n].map((shift) => Number((value >> shift) & 0xffffffffn));
    return { prefix, length };
  });

const decided = fc.oneof(
  fc.record({ action: fc.constant(0), target: slot }),
  fc.record({ action: fc.constantFrom(1, 2), target: fc.constant(NONE) }),
);

const anyRow: readonly fc.Arbitrary<readonly [number, Uint32Array]>[] = [
  fc
    .tuple(cookie, slot, fc.integer({ min: 1, max: 4 }))
    .map(([cookie, slot, ifindex]) => [PORT, row(PORT, { cookie, slot, ifindex, mtu: 1500, flags: 3 })]),
  fc
    .tuple(cookie, slot, slot, fc.nat(1))
    .map(([cookie, slot, port, vlan]) => [
      ROUTER_INTERFACE,
      row(ROUTER_INTERFACE, { cookie, slot, port, ifindex: 10 + slot, mtu: 1500, vlan, flags: 3 }),
    ]),
  fc.tuple(cookie, slot, slot).map(([cookie, slot, rif]) => [
    NEXTHOP,
    row(NEXTHOP, {
      cookie,
      slot,
      action: 0,
      'router-interface': rif,
      ifindex: 9,
      'destination-mac': [2, 7],
    }),
  ]),
  fc
    .tuple(cookie, slot, fc.array(fc.tuple(slot, fc.nat(3)), { maxLength: 4 }))
    .map(([cookie, slot, some]) => [
      GROUP,
      row(GROUP, { cookie, slot, count: some.length, members: members(...some) }),
    ]),
  fc
    .tuple(cookie, fc.nat(1), prefix4, decided)
    .map(([cookie, vrf, { prefix, length }, { action, target }]) => [
      LPM4,
      row(LPM4, { cookie, vrf, prefix, length, action, group: target }),
    ]),
  fc
    .tuple(cookie, fc.nat(1), prefix6, decided)
    .map(([cookie, vrf, { prefix, length }, { action, target }]) => [
      LPM6,
      row(LPM6, { cookie, vrf, prefix, length, action, group: target }),
    ]),
  fc
    .tuple(cookie, slot, fc.integer({ min: 1, max: 3 }))
    .map(([cookie, port, vlan]) => [VLAN, row(VLAN, { cookie, bridge: 20, vlan, port, flags: 3 })]),
  fc
    .tuple(cookie, fc.nat(7), decided)
    .map(([cookie, mac, { action, target }]) => [
      FDB,
      row(FDB, { cookie, bridge: 20, mac: [2, mac], action, port: target }),
    ]),
  fc
    .tuple(cookie, fc.nat(6), fc.nat(1), fc.nat(3), maybeSlot)
    .map(([cookie, slot, stage, priority, port]) => [
      ACL,
      row(ACL, { cookie, slot, stage, action: 2, priority, port, 'redirect-port': NONE }),
    ]),
  fc
    .tuple(cookie, fc.nat(7), fc.uniqueArray(slot, { minLength: 1, maxLength: 3 }))
    .map(([cookie, group, ports]) => [
      MDB,
      row(MDB, {
        cookie,
        bridge: 20,
        family: 1,
        address: [0, 0, 0, 0xef000000 + group],
        count: ports.length,
        ports,
      }),
    ]),
];

const operation = fc.tuple(
  fc.constantFrom('put', 'put', 'put', 'remove'),
  // Routes more often: they are what there is most of.
  fc.oneof(...anyRow, anyRow[LPM4]!, anyRow[LPM6]!, anyRow[LPM4]!),
);

function text4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

function text6(address: bigint): string {
  return [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n]
    .map((shift) => ((address >> shift) & 0xffffn).toString(16))
    .join(':');
}

test('random rows: same statuses, same contents, same longest matches, same rule order as the model', () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 30, maxLength: 250 }), (operations) => {
      const device = new AsicDevice({ name: 'test', kind: 'asic', tables: capacities });
      const core = openAsicCore(device.share);
      const model = new Model(Object.values(capacities));
      // Something to refer to.
      for (let slot = 0; slot < 2; slot++) {
        for (const [table, values] of [
          [PORT, row(PORT, { slot, ifindex: slot + 1, mtu: 1500, flags: 3 })],
          [
            ROUTER_INTERFACE,
            row(ROUTER_INTERFACE, { slot, port: slot, ifindex: slot + 1, mtu: 1500, flags: 3 }),
          ],
          [
            NEXTHOP,
            row(NEXTHOP, { slot, 'router-interface': slot, ifindex: slot + 1, 'destination-mac': [2, 7] }),
          ],
          [GROUP, row(GROUP, { slot, count: 1, members: members([slot, 1]) })],
        ] as const) {
          expect(write(core, table, values)).toBe(model.put(table, values));
        }
      }
      for (const [what, [table, values]] of operations) {
        const status = what === 'put' ? write(core, table, values) : remove(core, table, values);
        const expected = what === 'put' ? model.put(table, values) : model.remove(table, values);
        expect({ what, table, status }).toEqual({ what, table, status: expected });
      }
      for (const [table, rows] of model.tables.entries()) {
        const read = readAll(core, table);
        expect(core.info(table).used).toBe(rows.size);
        expect(read.map((one) => one.join()).sort()).toEqual(
          [...rows.values()].map((one) => one.join()).sort(),
        );
      }
      for (const vrf of [0, 1]) {
        for (const held of model.tables[LPM4]!.values()) {
          const address = (held[W.lpm4Prefix]! | (held[W.lpm4Length] === 32 ? 0 : 1)) >>> 0;
          if (address >>> 28 === 0xe || address >>> 24 === 0 || address === 0xffffffff) continue;
          const verdict = device.lookup({ destination: text4(address), vrf });
          if (verdict.by.startsWith('routing acl')) continue;
          expect(verdict.handles[0]).toBe(model.longestMatch(LPM4, vrf, BigInt(address))?.[0]);
        }
        for (const held of model.tables[LPM6]!.values()) {
          const address = wide(held, W.lpm6Prefix);
          if (address >> 32n === 0n) continue;
          const verdict = device.lookup({ destination: text6(address), vrf });
          if (verdict.by.startsWith('routing acl')) continue;
          expect(verdict.handles[0]).toBe(model.longestMatch(LPM6, vrf, address)?.[0]);
        }
      }
      const order = rulesInOrder(device.share.memory!);
      const expected = [...model.tables[ACL]!.values()].sort(
        (a, b) => a[W.aclStage]! - b[W.aclStage]! || a[W.aclPriority]! - b[W.aclPriority]! || a[1]! - b[1]!,
      );
      expect(order).toEqual(expected.map((rule) => rule[1]!));
    }),
    { numRuns: 150, verbose: 1 },
  );
});

function rulesInOrder(memory: SharedArrayBuffer): number[] {
  const { words, tables } = new AsicTables(memory, layOut(capacities));
  const { order } = tables[ACL]!;
  return [...words.subarray(order + 1, order + 1 + words[order]!)];
}

test('removing keeps every other key findable, however keys collide', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat(300)), { minLength: 100, maxLength: 1500 }),
      (operations) => {
        const device = new AsicDevice({ name: 'test', kind: 'asic', tables: { lpm4: 100 } });
        const core = openAsicCore(device.share);
        const held = new Set<number>();
        for (const [add, key] of operations) {
          const values = row(LPM4, {
            cookie: key,
            prefix: (0x0a000000 + key) >>> 0,
            length: 32,
            action: 2,
            group: NONE,
          });
          const status = add ? write(core, LPM4, values) : remove(core, LPM4, values);
          if (add) expect(status).toBe(held.has(key) || held.size < 100 ? 0 : 1);
          else expect(status).toBe(held.has(key) ? 0 : 3);
          if (status === 0) held[add ? 'add' : 'delete'](key);
        }
        for (let key = 0; key <= 300; key++) {
          const { by } = device.lookup({ destination: text4(0x0a000000 + key) });
          expect(by).toBe(held.has(key) ? 'route drop' : 'lpm miss');
        }
      },
    ),
    { numRuns: 40, verbose: 1 },
  );
});

test('rows that may not be held are rejected and counted', () => {
  const device = new AsicDevice({ name: 'test', kind: 'asic' });
  const core = openAsicCore(device.share);
  const bad: [number, Uint32Array][] = [
    [PORT, row(PORT, { slot: 64, ifindex: 1 })],
    [PORT, row(PORT, { slot: 0, ifindex: 0 })],
    [PORT, row(PORT, { slot: 0, ifindex: 1, mac: [0x10000, 0] })],
    [PORT, row(PORT, { slot: 0, ifindex: 1, flags: 32 })],
    [ROUTER_INTERFACE, row(ROUTER_INTERFACE, { slot: 0, port: 0, ifindex: 1 })],
    [NEXTHOP, row(NEXTHOP, { slot: 0, action: 0, 'router-interface': NONE, 'destination-mac': [2, 1] })],
    [NEXTHOP, row(NEXTHOP, { slot: 0, action: 3, 'router-interface': NONE })],
    [GROUP, row(GROUP, { slot: 0, count: 65 })],
    [GROUP, row(GROUP, { slot: 0, count: 1, members: members([0, 1]) })],
    [LPM4, row(LPM4, { prefix: 0x0a000001, length: 24, action: 1, group: NONE })],
    [LPM4, row(LPM4, { prefix: 0, length: 33, action: 1, group: NONE })],
    [LPM4, row(LPM4, { prefix: 0, length: 0, action: 0, group: NONE })],
    [LPM4, row(LPM4, { prefix: 0, length: 0, action: 1, group: 0 })],
    [LPM6, row(LPM6, { prefix: [0, 0, 0, 1], length: 127, action: 1, group: NONE })],
    [LPM6, row(LPM6, { prefix: [0, 0, 0, 0], length: 129, action: 1, group: NONE })],
    [VLAN, row(VLAN, { bridge: 1, vlan: 4095, port: 0 })],
    [FDB, row(FDB, { bridge: 0, action: 1, port: NONE })],
    [MDB, row(MDB, { bridge: 1, family: 1, address: [0, 0, 0, 0xef010203], count: 0 })],
    [MDB, row(MDB, { bridge: 1, family: 1, address: [0, 0, 0, 0xef010203], count: 1, ports: [0] })],
    [MDB, row(MDB, { bridge: 1, family: 3, count: 1, ports: [0] })],
    [ACL, row(ACL, { slot: 0, action: 3, port: NONE, 'redirect-port': NONE })],
    [ACL, row(ACL, { slot: 0, action: 2, port: NONE, 'redirect-port': NONE, dscp: 64 })],
    [
      ACL,
      row(ACL, { slot: 0, action: 2, port: NONE, 'redirect-port': NONE, 'source-address': [1, 0, 0, 0] }),
    ],
    [ACL, row(ACL, { slot: 0, action: 2, port: NONE, 'redirect-port': NONE, 'source-port-low': 2 })],
  ];
  for (const [table, values] of bad) {
    expect({ table: TABLES[table]!.name, status: write(core, table, values) }).toEqual({
      table: TABLES[table]!.name,
      status: 2,
    });
  }
  expect(device.status().rejects).toBe(bad.length);
  expect(device.status().writes).toBe(0);
  // A list that ends before its last row.
  expect({ ...core.write(PORT, new Uint32Array(12), 0, 2) }).toEqual({ done: 0, status: 2 });
});
