/** What the ASIC does with packets: every stage that decides, in its order. */

import { beforeEach, describe, expect, test } from 'vitest';
import { AsicDevice, openAsicCore } from '../../../host/device/asic/device.ts';
import {
  ACL,
  FDB,
  GROUP,
  LPM4,
  LPM6,
  MDB,
  NEXTHOP,
  NONE,
  PORT,
  ROUTER_INTERFACE,
  VLAN,
} from '../../../host/device/asic/layout.ts';
import type { AsicDeviceCore } from '../../../host/device/core.ts';
import type { PacketQuery } from '../../../host/device/types.ts';
import { counters, members, type RowValues, remove, row, write } from './rows.ts';

let device: AsicDevice;
let core: AsicDeviceCore;

const UP = 1 | 2;
const FORWARDING = 4;
const LEARNING = 8;
const TRAP_ALL = 16;
const ROUTER_MAC = 0x02_00_00_00_00_01;
const PEER_MAC = 0x02_00_00_00_00_99;
const SOURCE_MAC = 1 << 0;
const ETHERTYPE = 1 << 2;
const VLAN_FIELD = 1 << 3;
const SOURCE_ADDRESS = 1 << 4;
const PROTOCOL = 1 << 6;
const DESTINATION_PORT = 1 << 9;
const TCP_FLAGS = 1 << 10;

function put(table: number, values: RowValues): void {
  expect(write(core, table, row(table, values))).toBe(0);
}

function mac(value: number): number[] {
  return [Math.floor(value / 2 ** 32), value % 2 ** 32];
}

/** Ports 11 and 12 routed, 21-23 in bridge 20. 192.0.2.0/24 goes by two members out of 12. */
beforeEach(() => {
  device = new AsicDevice({ name: 'test', kind: 'asic' });
  core = openAsicCore(device.share);
  for (const [slot, ifindex] of [11, 12].entries()) {
    put(PORT, { cookie: 100 + ifindex, slot, ifindex, mtu: 1500, mac: mac(ROUTER_MAC), flags: UP });
    put(ROUTER_INTERFACE, {
      cookie: 200 + ifindex,
      slot,
      port: slot,
      ifindex,
      mac: mac(ROUTER_MAC),
      mtu: 1500,
      flags: 3,
    });
  }
  for (const [number, ifindex] of [21, 22, 23].entries()) {
    const flags = UP | FORWARDING;
    put(PORT, { cookie: 100 + ifindex, slot: 2 + number, ifindex, mtu: 1500, bridge: 20, flags });
  }
  for (const slot of [0, 1]) {
    put(NEXTHOP, {
      cookie: 300 + slot,
      slot,
      'router-interface': 1,
      ifindex: 12,
      gateway: [0, 0, 0, 0x0a000001 + slot],
      'destination-mac': mac(PEER_MAC + slot),
    });
  }
  put(GROUP, { cookie: 400, slot: 0, count: 2, members: members([0, 1], [1, 1]) });
  put(LPM4, { cookie: 500, prefix: 0xc0000200, length: 24, group: 0 });
});

function by(query: Partial<PacketQuery>): string {
  const verdict = device.lookup({ destination: '192.0.2.7', ingress: 11, ...query });
  expect(verdict.mayTrap).toBe(verdict.action === 'trap');
  return `${verdict.action}: ${verdict.by}`;
}

describe('routing', () => {
  test('lists every way out, with what the kernel would name', () => {
    expect(device.lookup({ destination: '192.0.2.7', ingress: 11 })).toEqual({
      action: 'forward',
      by: 'route',
      handles: [500, 400, 300, 301],
      ways: [
        { nexthop: 300, port: 112, ifindex: 12, gateway: '10.0.0.1', vlan: 0, destinationMac: PEER_MAC },
        { nexthop: 301, port: 112, ifindex: 12, gateway: '10.0.0.2', vlan: 0, destinationMac: PEER_MAC + 1 },
      ],
      mayTrap: false,
      mayDrop: false,
    });
  });

  test('traps what only the kernel can answer', () => {
    expect(by({ ingress: 99 })).toBe('trap: unknown port');
    expect(by({ destinationMac: PEER_MAC })).toBe('trap: destination mac is not the router');
    expect(by({ vlan: 7 })).toBe('trap: no router interface');
    expect(by({ ttl: 1 })).toBe('trap: ttl');
    expect(by({ length: 1501 })).toBe('trap: egress mtu');
    expect(by({ ingress: 12 })).toBe('trap: egress is ingress');
    expect(by({ destination: '198.51.100.1' })).toBe('trap: lpm miss');
    expect(by({ destination: '2001:db8::1' })).toBe('trap: lpm miss');
    expect(by({ source: '2001:db8::1' })).toBe('trap: source of another family');
    for (const [address, kind] of [
      ['224.0.0.5', 'multicast'],
      ['255.255.255.255', 'broadcast'],
      ['127.0.0.1', 'loopback'],
      ['0.0.0.0', 'unspecified'],
      ['169.254.1.1', 'link-local'],
      ['ff02::1', 'multicast'],
      ['fe80::1', 'link-local'],
      ['::1', 'loopback'],
      ['::', 'unspecified'],
      ['::ffff:1.2.3.4', 'mapped'],
    ] as const) {
      expect(by({ destination: address })).toBe(`trap: destination ${kind}`);
      if (!address.includes(':')) expect(by({ source: address })).toBe(`trap: source ${kind}`);
    }
  });

  test('a text that is no address is an error', () => {
    for (const text of ['', '1.2.3', '1.2.3.256', '1::2::3', '12345::', 'x', '1:2:3:4:5:6:7:8:9']) {
      expect(() => device.lookup({ destination: text })).toThrow(
        expect.objectContaining({ code: 'E_BAD_ADDRESS' }),
      );
    }
  });

  test('a port that is down, or traps all, forwards nothing in or out', () => {
    put(PORT, { cookie: 112, slot: 1, ifindex: 12, mtu: 1500, flags: 1 });
    expect(by({})).toBe('trap: egress port down');
    put(PORT, { cookie: 111, slot: 0, ifindex: 11, mtu: 1500, flags: 1 });
    expect(by({})).toBe('trap: ingress port down');
    put(PORT, { cookie: 111, slot: 0, ifindex: 11, mtu: 1500, flags: UP | TRAP_ALL });
    expect(by({})).toBe('trap: port traps all');
  });

  test('a family that is not routed on the interface is trapped', () => {
    put(ROUTER_INTERFACE, { slot: 0, port: 0, ifindex: 11, mac: mac(ROUTER_MAC), mtu: 1500, flags: 2 });
    expect(by({})).toBe('trap: family not routed');
  });

  test('members that trap or drop are not hidden by those that forward', () => {
    put(NEXTHOP, { cookie: 301, slot: 1, action: 1, 'router-interface': 1, ifindex: 12 });
    let verdict = device.lookup({ destination: '192.0.2.7', ingress: 11 });
    expect(verdict).toMatchObject({ action: 'trap', by: 'nexthop trap', mayTrap: true, mayDrop: false });
    expect(verdict.ways.map((way) => way.nexthop)).toEqual([300]);
    put(NEXTHOP, { cookie: 301, slot: 1, action: 2, 'router-interface': NONE, ifindex: 12 });
    verdict = device.lookup({ destination: '192.0.2.7', ingress: 11 });
    expect(verdict).toMatchObject({ action: 'drop', by: 'nexthop drop', mayTrap: false, mayDrop: true });
    expect(verdict.ways.map((way) => way.nexthop)).toEqual([300]);
    put(GROUP, { cookie: 400, slot: 0, count: 2, members: members([0, 1], [1, 0]) });
    expect(by({})).toBe('forward: route');
    put(GROUP, { cookie: 400, slot: 0, count: 0 });
    expect(by({})).toBe('trap: group without members');
  });

  test('the longest prefix decides, in the domain of the interface', () => {
    put(LPM4, { cookie: 501, prefix: 0xc0000204, length: 30, action: 2, group: NONE });
    put(LPM4, { cookie: 502, prefix: 0xc0000205, length: 32, action: 1, group: NONE });
    put(LPM4, { cookie: 503, vrf: 9, prefix: 0, length: 0, action: 2, group: NONE });
    expect(by({ destination: '192.0.2.8' })).toBe('forward: route');
    expect(by({ destination: '192.0.2.4' })).toBe('drop: route drop');
    expect(by({ destination: '192.0.2.5' })).toBe('trap: route trap');
    expect(device.lookup({ destination: '192.0.2.8', vrf: 9 })).toMatchObject({
      action: 'drop',
      handles: [503],
    });
    put(ROUTER_INTERFACE, {
      slot: 0,
      port: 0,
      ifindex: 11,
      vrf: 9,
      mac: mac(ROUTER_MAC),
      mtu: 1500,
      flags: 3,
    });
    expect(by({ destination: '192.0.2.8' })).toBe('drop: route drop');
  });

  test('IPv6 is routed alike', () => {
    put(LPM6, { cookie: 600, prefix: [0x20010db8, 0, 0, 0], length: 33, group: 0 });
    expect(device.lookup({ destination: '2001:db8::7', ingress: 11 }).handles.slice(0, 2)).toEqual([
      600, 400,
    ]);
    expect(by({ destination: '2001:db8:8000::7' })).toBe('trap: lpm miss');
  });

  test('reverse path: loose wants a route, strict one by the same interface', () => {
    const interfaceRow = { slot: 0, port: 0, ifindex: 11, mac: mac(ROUTER_MAC), mtu: 1500 };
    put(ROUTER_INTERFACE, { ...interfaceRow, flags: 3 | 4 });
    expect(by({ source: '198.51.100.1' })).toBe('trap: reverse path miss');
    put(LPM4, { cookie: 505, prefix: 0xc6336400, length: 24, group: 0 });
    expect(by({ source: '198.51.100.1' })).toBe('forward: route');
    put(ROUTER_INTERFACE, { ...interfaceRow, flags: 3 | 8 });
    expect(by({ source: '198.51.100.1' })).toBe('trap: reverse path by another interface');
    put(NEXTHOP, { cookie: 310, slot: 9, action: 1, 'router-interface': 0, ifindex: 11 });
    put(GROUP, { cookie: 409, slot: 9, count: 1, members: members([9, 1]) });
    put(LPM4, { cookie: 505, prefix: 0xc6336400, length: 24, group: 9 });
    expect(by({ source: '198.51.100.1' })).toBe('forward: route');
    put(LPM4, { cookie: 505, prefix: 0xc6336400, length: 24, action: 1, group: NONE });
    expect(by({ source: '198.51.100.1' })).toBe('trap: reverse path unknown');
  });

  test('a VLAN interface is entered by its tag or its own name, and left with its tag', () => {
    put(ROUTER_INTERFACE, {
      slot: 2,
      port: 0,
      ifindex: 31,
      mac: mac(ROUTER_MAC),
      mtu: 1500,
      vlan: 7,
      flags: 3,
    });
    put(NEXTHOP, {
      cookie: 302,
      slot: 2,
      'router-interface': 2,
      ifindex: 31,
      'destination-mac': mac(PEER_MAC),
    });
    put(GROUP, { slot: 2, count: 1, members: members([2, 1]) });
    put(LPM4, { prefix: 0x0a000000, length: 8, group: 2 });
    expect(by({ ingress: 31 })).toBe('forward: route');
    expect(by({ ingress: 11, vlan: 7 })).toBe('forward: route');
    expect(by({ ingress: 31, destination: '10.1.1.1' })).toBe('trap: egress is ingress');
    expect(device.lookup({ ingress: 11, destination: '10.1.1.1' }).ways).toEqual([
      { nexthop: 302, port: 111, ifindex: 31, vlan: 7, destinationMac: PEER_MAC },
    ]);
  });
});

describe('acl', () => {
  const rule = { port: NONE, 'redirect-port': NONE };

  test('ascending priority, first match decides, accept goes on', () => {
    put(ACL, { ...rule, cookie: 701, slot: 5, action: 1, priority: 20 });
    expect(by({})).toBe('drop: acl drop');
    put(ACL, { ...rule, cookie: 702, slot: 9, action: 0, priority: 10, fields: PROTOCOL, protocol: 6 });
    expect(by({ protocol: 6 })).toBe('forward: route');
    expect(device.lookup({ destination: '192.0.2.7', ingress: 11, protocol: 6 }).handles[0]).toBe(702);
    expect(by({ protocol: 17 })).toBe('drop: acl drop');
    put(ACL, { ...rule, cookie: 702, slot: 9, action: 0, priority: 30, fields: PROTOCOL, protocol: 6 });
    expect(by({ protocol: 6 })).toBe('drop: acl drop');
    remove(core, ACL, row(ACL, { slot: 5 }));
    expect(by({ protocol: 17 })).toBe('forward: route');
  });

  test('only on its port; redirect leaves unchanged', () => {
    put(ACL, { cookie: 701, slot: 0, action: 3, port: 0, 'redirect-port': 2 });
    expect(
      device.lookup({ destination: '192.0.2.7', ingress: 11, destinationMac: PEER_MAC, ttl: 1 }),
    ).toMatchObject({
      action: 'forward',
      by: 'acl redirect',
      handles: [701],
      ways: [{ nexthop: 0, port: 121, ifindex: 21, vlan: 0, destinationMac: PEER_MAC }],
    });
    expect(by({ ingress: 12 })).toBe('trap: egress is ingress');
    expect(by({ length: 1501 })).toBe('trap: egress mtu');
  });

  test('ternary fields, ranges and flags', () => {
    const only = (fields: number, values: RowValues): void =>
      put(ACL, { ...rule, slot: 0, action: 1, fields, ...values });
    const hit = 'drop: acl drop';
    const miss = 'forward: route';
    only(SOURCE_ADDRESS, { 'source-address': [0, 0, 0, 0x0a000000], 'source-mask': [0, 0, 0, 0xff000000] });
    expect([by({ source: '10.9.9.9' }), by({ source: '11.0.0.1' }), by({})]).toEqual([hit, miss, miss]);
    only(DESTINATION_PORT, { 'destination-port-low': 80, 'destination-port-high': 90 });
    expect([79, 80, 90, 91].map((destinationPort) => by({ destinationPort }))).toEqual([
      miss,
      hit,
      hit,
      miss,
    ]);
    only(TCP_FLAGS, { 'tcp-flags': 2, 'tcp-flags-mask': 0x12 });
    expect([2, 0x12, 0x42].map((tcpFlags) => by({ tcpFlags }))).toEqual([hit, miss, hit]);
    only(SOURCE_MAC, { 'source-mac': mac(0x0a0000000000), 'source-mac-mask': mac(0xff0000000000) });
    expect([by({ sourceMac: 0x0a1234567890 }), by({ sourceMac: 0x0b1234567890 })]).toEqual([hit, miss]);
    put(ROUTER_INTERFACE, {
      slot: 2,
      port: 0,
      ifindex: 31,
      mac: mac(ROUTER_MAC),
      mtu: 1500,
      vlan: 7,
      flags: 3,
    });
    only(ETHERTYPE, { ethertype: 0x0800 });
    expect([by({}), by({ vlan: 7 })]).toEqual([hit, miss]);
    only(ETHERTYPE | VLAN_FIELD, { ethertype: 0x0800, vlan: 7 });
    expect([by({}), by({ vlan: 7 })]).toEqual([miss, hit]);
  });

  test('the routing stage sees only what is about to be routed', () => {
    put(ACL, { ...rule, slot: 0, stage: 1, action: 2 });
    expect(by({})).toBe('trap: routing acl trap');
    expect(by({ destinationMac: PEER_MAC })).toBe('trap: destination mac is not the router');
    expect(device.lookup({ destination: '192.0.2.7' }).by).toBe('routing acl trap');
  });
});

describe('bridging', () => {
  const host = 0x02_00_00_00_00_42;
  const frame = { ingress: 21, destinationMac: host };

  test('to the port of a known destination, not back and not by a port that does not forward', () => {
    expect(by(frame)).toBe('trap: fdb miss');
    put(FDB, { cookie: 800, bridge: 20, mac: mac(host), port: 3 });
    expect(device.lookup({ destination: '192.0.2.7', ...frame })).toMatchObject({
      action: 'forward',
      by: 'fdb',
      handles: [800],
      ways: [{ nexthop: 0, port: 122, ifindex: 22, vlan: 0, destinationMac: host }],
    });
    expect(by({ ...frame, ingress: 22 })).toBe('trap: fdb same port');
    expect(by({ ...frame, length: 1501 })).toBe('trap: egress mtu');
    expect(by({ ...frame, ttl: 0 })).toBe('forward: fdb');
    put(PORT, { slot: 3, ifindex: 22, mtu: 1500, bridge: 20, flags: UP });
    expect(by(frame)).toBe('trap: egress bridge port not forwarding');
    put(PORT, { slot: 3, ifindex: 22, mtu: 1500, flags: UP });
    expect(by(frame)).toBe('trap: egress port in another bridge');
    put(PORT, { slot: 2, ifindex: 21, mtu: 1500, bridge: 20, flags: UP });
    expect(by(frame)).toBe('trap: bridge port not forwarding');
  });

  test('groups, the bridge itself and entries that say so are trapped or dropped', () => {
    expect(by({ ingress: 21, destinationMac: 0xffffffffffff })).toBe('trap: destination mac is a group');
    expect(by({ ingress: 21 })).toBe('trap: addressed to the bridge');
    put(FDB, { bridge: 20, mac: mac(host), action: 1, port: NONE });
    expect(by(frame)).toBe('trap: fdb trap');
    put(FDB, { bridge: 20, mac: mac(host), action: 2, port: NONE });
    expect(by(frame)).toBe('drop: fdb drop');
  });

  test('a group goes to all of its ports that forward, but the one it came in by', () => {
    const group = { ...frame, destinationMac: 0x01_00_5e_01_02_03 };
    const ask = (query: Partial<PacketQuery> = {}) =>
      device.lookup({ destination: '239.1.2.3', ...group, ...query });
    const entry = (slots: number[], values: RowValues = {}) =>
      put(MDB, {
        cookie: 900,
        bridge: 20,
        family: 1,
        address: [0, 0, 0, 0xef010203],
        count: slots.length,
        ports: slots,
        ...values,
      });
    expect(ask().by).toBe('destination mac is a group');
    entry([2, 3, 4]);
    expect(ask()).toMatchObject({
      action: 'forward',
      by: 'group',
      handles: [900],
      ways: [{ ifindex: 22 }, { ifindex: 23 }],
      mayTrap: false,
    });
    expect(ask({ ingress: 22 }).ways.map(({ ifindex }) => ifindex)).toEqual([21, 23]);
    const kernels = [
      { protocol: 2 },
      { destinationMac: 0xffffffffffff },
      { vlan: 5 },
      { destination: '238.129.2.3' },
    ];
    for (const query of kernels) expect(ask(query).by).toBe('destination mac is a group');
    expect(ask({ length: 1501 })).toMatchObject({ action: 'trap', by: 'egress mtu', ways: [] });
    put(PORT, { slot: 4, ifindex: 23, mtu: 1500, bridge: 20, flags: UP });
    expect(ask().ways.map(({ ifindex }) => ifindex)).toEqual([22]);
    put(PORT, { slot: 4, ifindex: 23, mtu: 1500, bridge: 20, flags: 1 | FORWARDING });
    expect(ask()).toMatchObject({ action: 'trap', by: 'egress port down', ways: [] });
    put(PORT, { slot: 4, ifindex: 23, mtu: 1500, bridge: 19, flags: UP | FORWARDING });
    expect(ask()).toMatchObject({ action: 'trap', by: 'egress port in another bridge', ways: [] });
    entry([2]);
    expect(ask()).toMatchObject({ action: 'drop', by: 'group without another port' });
    put(VLAN, { bridge: 20, vlan: 5, port: 2, flags: 1 | 2 });
    put(VLAN, { bridge: 20, vlan: 5, port: 3 });
    expect(ask().by).toBe('destination mac is a group');
    entry([2, 3, 4], { vlan: 5 });
    put(PORT, { slot: 4, ifindex: 23, mtu: 1500, bridge: 20, flags: UP | FORWARDING });
    expect(ask().ways).toMatchObject([{ ifindex: 22, vlan: 5 }]);
  });

  test('a learning port traps sources that are not known on it', () => {
    put(FDB, { bridge: 20, mac: mac(host), port: 3 });
    put(PORT, { slot: 2, ifindex: 21, mtu: 1500, bridge: 20, flags: UP | FORWARDING | LEARNING });
    const sent = { ...frame, sourceMac: PEER_MAC };
    expect(by(sent)).toBe('trap: source mac not learned');
    put(FDB, { bridge: 20, mac: mac(PEER_MAC), port: 3 });
    expect(by(sent)).toBe('trap: source mac not learned');
    put(FDB, { bridge: 20, mac: mac(PEER_MAC), port: 2 });
    expect(by(sent)).toBe('forward: fdb');
  });

  test('VLANs: pvid in, membership and tag out', () => {
    put(VLAN, { bridge: 20, vlan: 5, port: 2, flags: 1 | 2 });
    put(VLAN, { bridge: 20, vlan: 6, port: 2 });
    put(FDB, { bridge: 20, vlan: 5, mac: mac(host), port: 3 });
    put(FDB, { bridge: 20, vlan: 6, mac: mac(host), port: 3 });
    expect(by(frame)).toBe('trap: egress port not in vlan');
    put(VLAN, { bridge: 20, vlan: 5, port: 3 });
    expect(device.lookup({ destination: '192.0.2.7', ...frame }).ways[0]?.vlan).toBe(5);
    put(VLAN, { bridge: 20, vlan: 5, port: 3, flags: 2 });
    expect(device.lookup({ destination: '192.0.2.7', ...frame }).ways[0]?.vlan).toBe(0);
    put(VLAN, { bridge: 20, vlan: 6, port: 3 });
    expect(device.lookup({ destination: '192.0.2.7', ...frame, vlan: 6 }).ways[0]?.vlan).toBe(6);
    expect(by({ ...frame, vlan: 9 })).toBe('trap: port not in vlan');
    put(VLAN, { bridge: 20, vlan: 5, port: 2 });
    expect(by(frame)).toBe('trap: no pvid');
    put(VLAN, { bridge: 20, vlan: 5, port: 2, flags: 1 });
    put(VLAN, { bridge: 20, vlan: 6, port: 2, flags: 1 });
    expect(by(frame)).toBe('trap: no pvid');
  });

  test('a tagged frame goes to the VLAN interface on the port before the bridge sees it', () => {
    put(ROUTER_INTERFACE, {
      slot: 2,
      port: 2,
      ifindex: 31,
      mac: mac(ROUTER_MAC),
      mtu: 1500,
      vlan: 7,
      flags: 3,
    });
    expect(by({ ingress: 21, vlan: 7 })).toBe('forward: route');
    expect(by({ ingress: 21, vlan: 8, destinationMac: host })).toBe('trap: fdb miss');
  });
});

test('counted packets add up in every row they met, and survive replacement', () => {
  for (let sourcePort = 0; sourcePort < 100; sourcePort++) {
    device.lookup({ destination: '192.0.2.7', ingress: 11, length: 100, sourcePort }, { count: true });
  }
  device.lookup({ destination: '192.0.2.7', ingress: 11 });
  expect(counters(core, LPM4).get(500)).toEqual({ packets: 100, bytes: 10_000 });
  expect(counters(core, PORT).get(111)).toEqual({ packets: 100, bytes: 10_000 });
  const shares = counters(core, NEXTHOP);
  expect(shares.get(300)!.packets + shares.get(301)!.packets).toBe(100);
  expect(shares.get(300)!.packets).toBeGreaterThan(20);
  expect(shares.get(301)!.packets).toBeGreaterThan(20);
  put(LPM4, { cookie: 999, prefix: 0xc0000200, length: 24, action: 1, group: NONE });
  expect(counters(core, LPM4).get(999)).toEqual({ packets: 100, bytes: 10_000 });
  const key = row(LPM4, { prefix: 0xc0000200, length: 24 });
  expect(remove(core, LPM4, key)).toBe(0);
  put(LPM4, { cookie: 500, prefix: 0xc0000200, length: 24, action: 1, group: NONE });
  expect(counters(core, LPM4).get(500)).toEqual({ packets: 0, bytes: 0 });
});
