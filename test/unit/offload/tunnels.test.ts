/** VXLAN links in bridges: the tunnels they become, the stations behind them, and what keeps both with the kernel. */

import { afterEach, expect, test } from 'vitest';
import { KIND, type Kind, objectCursor } from '../../../host/mirror/types.ts';
import { type Decoded, type DecodedObject, decodeObject } from '../../../host/netlink/decode.ts';
import { Planner } from '../../../host/offload/planner.ts';
import type { ObjectOffload } from '../../../host/offload/reasons.ts';
import { type RemoteWant, remoteWantOf } from '../../../host/offload/remotes.ts';
import { type TunnelWant, tunnelWantOf } from '../../../host/offload/tunnels.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import { ENTRY_KIND, RemoteRecord, TUNNEL_FLAGS, TunnelRecord } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel, routeObject } from './kernel-model.ts';

const BRIDGE = 10;
const VXLAN = 11;
const LOCAL = 0xc000_0201;
const MAC = '02:00:00:00:0a:02';
const NUD_REACHABLE = 2;
const NUD_NOARP = 0x40;
const UP = 0x10001 | 0x40;

let planner: Planner | undefined;
afterEach(() => {
  planner?.close();
  planner = undefined;
});

function bridge(data: Decoded = {}): DecodedObject {
  return {
    header: { family: 0, type: 1, index: BRIDGE, flags: UP, change: 0 },
    ifname: 'br0',
    mtu: 1500,
    address: '02:00:00:00:00:10',
    linkinfo: { kind: 'bridge', data: { vlan_filtering: 0, ...data } },
  };
}

function vxlan(data: Decoded = {}, slave: Decoded = {}): DecodedObject {
  return {
    header: { family: 0, type: 1, index: VXLAN, flags: UP, change: 0 },
    ifname: 'vx10',
    mtu: 1450,
    address: '02:00:00:00:00:11',
    master: BRIDGE,
    linkinfo: {
      kind: 'vxlan',
      data: { id: 10, local: '192.0.2.1', port: 4789, learning: 1, udp_csum: 1, ttl: 0, tos: 0, ...data },
      slave_kind: 'bridge',
      slave_data: { state: 3, learning: 1, ...slave },
    },
  };
}

function bridged(vlan = 0): DecodedObject {
  return {
    header: { family: 7, ifindex: VXLAN, state: NUD_NOARP, flags: 0, type: 0 },
    lladdr: MAC,
    master: BRIDGE,
    ...(vlan !== 0 && { vlan }),
  };
}

function own(address: string, more: Decoded = {}): DecodedObject {
  return {
    header: { family: 7, ifindex: VXLAN, state: NUD_REACHABLE, flags: 2, type: 0 },
    lladdr: MAC,
    dst: address,
    ...more,
  };
}

/** The address of this machine. */
const LOCAL_ROUTE = {
  table: 255,
  prefix: LOCAL,
  length: 32,
  priority: 0,
  type: 'local',
  gateways: [],
  tos: 0,
} as const;

async function start(setup: (kernel: KernelModel) => void = () => {}) {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.addRoute(LOCAL_ROUTE);
  kernel.put('link', bridge());
  kernel.put('link', vxlan());
  kernel.put('fdb', bridged());
  kernel.put('fdb', own('192.0.2.2'));
  setup(kernel);
  kernel.commit();
  const device = new FakeDevice({ routes: 100 });
  planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  const settled = async () => {
    kernel.commit();
    await planner!.settled();
    expect(await planner!.verify()).toEqual([]);
  };
  await settled();
  const held = (kind: number) => [...device.others.values()].filter((one) => one.kind === kind);
  /** Of the link, or of the bridge's fdb entry. */
  const stateOf = (kind: Kind): ObjectOffload | undefined => {
    const cursor = objectCursor();
    let found: ObjectOffload | undefined;
    kernel.mirror.forEach(KIND[kind], (id) => {
      if (!kernel.mirror.open(KIND[kind], id, cursor)) return;
      const { ifname, master } = decodeObject(kind, cursor.bytes, cursor.start, cursor.end);
      const isIt = kind === 'link' ? ifname === 'vx10' : master === BRIDGE;
      if (isIt) found = planner!.offloadOf(KIND[kind], id)[0];
    });
    return found;
  };
  return {
    kernel,
    settled,
    link: () => stateOf('link'),
    station: () => stateOf('fdb'),
    tunnels: (): TunnelWant[] =>
      held(ENTRY_KIND.tunnel).map(({ words }) =>
        tunnelWantOf(new TunnelRecord(memoryViews(words.buffer), 0)),
      ),
    remotes: (): RemoteWant[] =>
      held(ENTRY_KIND.remote).map(({ words }) =>
        remoteWantOf(new RemoteRecord(memoryViews(words.buffer), 0)),
      ),
  };
}

test('a VXLAN link in a bridge is a tunnel, with what its packets are made with', async () => {
  const { tunnels, link, kernel, settled } = await start();
  const { forwarding, learning, learnsAddresses, checksum, inheritTos, dontFragment } = TUNNEL_FLAGS;
  expect(tunnels()).toEqual([
    {
      ifindex: VXLAN,
      bridge: BRIDGE,
      vlan: 0,
      port: 4789,
      vni: 10,
      mtu: 1450,
      flags: forwarding | learning | learnsAddresses | checksum,
      ttl: 64,
      tos: 0,
      sourcePortLow: 32_768,
      sourcePortHigh: 60_998,
      link: 0,
      mac: 0x02_00_00_00_00_11,
      local: [0, 0, 0, LOCAL],
    },
  ]);
  expect(link()).toMatchObject({ state: 'offloaded' });
  const options = { ttl: 9, tos: 1, df: 1, port_range: { low: 1000, high: 1001 }, learning: 0, udp_csum: 0 };
  kernel.put('link', vxlan({ ...options, link: 2 }, { state: 2, learning: 0 }));
  await settled();
  expect(tunnels()).toMatchObject([
    { ttl: 9, tos: 0, flags: inheritTos | dontFragment, sourcePortLow: 1000, sourcePortHigh: 1000, link: 2 },
  ]);
});

test('a station is held where bridge and VXLAN link know it, and follows both', async () => {
  const { remotes, station, kernel, settled } = await start();
  const at = (last: number) => [expect.objectContaining({ vlan: 0, address: [0, 0, 0, 0xc000_0200 + last] })];
  expect(remotes()).toEqual(at(2));
  expect(station()).toMatchObject({ state: 'offloaded' });
  kernel.put('fdb', own('192.0.2.3'));
  await settled();
  expect(remotes()).toEqual(at(3));
  kernel.remove('fdb', own('192.0.2.3'));
  await settled();
  expect(remotes()).toEqual([]);
  expect(station()).toMatchObject({ state: 'trapped', reason: 'tunnel-remote' });
  kernel.put('fdb', own('192.0.2.4'));
  await settled();
  expect(remotes()).toEqual(at(4));
  kernel.remove('fdb', bridged());
  await settled();
  expect(remotes()).toEqual([]);
});

test.each<[string, Decoded]>([
  ['a port of its own', { port: 9999 }],
  ['a network id of its own', { vni: 77 }],
  ['a nexthop group', { nh_id: 5 }],
  ['a link that the tunnel is not bound to', { ifindex: 2 }],
])('a station with %s is the kernel’s', async (_, more) => {
  const { remotes, kernel, settled } = await start();
  kernel.put('fdb', own('192.0.2.2', more));
  await settled();
  expect(remotes()).toEqual([]);
});

test.each<[string, DecodedObject]>([
  ['metadata of each packet', vxlan({ collect_metadata: 1 })],
  ['policies of groups', vxlan({ gbp: true })],
  ['answers to ARP', vxlan({ proxy: 1 })],
  ['an address that is not this machine’s', vxlan({ local: '192.0.2.9' })],
  ['no address', vxlan({ local: '0.0.0.0' })],
])('a link with %s is no tunnel', async (_, link) => {
  const state = await start((kernel) => kernel.put('link', link));
  expect(state.tunnels()).toEqual([]);
  expect(state.remotes()).toEqual([]);
  expect(state.link()).toMatchObject({ state: 'refused', reason: 'tunnel-option' });
  expect(state.station()).toMatchObject({ state: 'trapped', reason: 'tunnel-option' });
});

test('a tunnel goes with the address it is at, and comes back with it', async () => {
  const { tunnels, kernel, settled } = await start();
  kernel.deleteRoute(LOCAL_ROUTE);
  await settled();
  expect(tunnels()).toEqual([]);
  kernel.put('route', routeObject(LOCAL_ROUTE));
  await settled();
  expect(tunnels()).toHaveLength(1);
});

test('on a bridge that filters it stands for its one VLAN', async () => {
  const member = (vid: number, flags: number): DecodedObject => ({
    header: { family: 7, ifindex: VXLAN },
    entry: [{ info: { flags, vid } }],
  });
  const { tunnels, remotes, link, kernel, settled } = await start((kernel) => {
    kernel.put('link', bridge({ vlan_filtering: 1 }));
    kernel.put('vlan', member(20, 6));
    kernel.put('fdb', bridged(20));
  });
  expect(tunnels()).toMatchObject([{ vlan: 20 }]);
  expect(remotes()).toMatchObject([{ vlan: 20 }]);
  kernel.put('vlan', member(30, 0));
  await settled();
  expect(tunnels()).toEqual([]);
  expect(link()).toMatchObject({ reason: 'tunnel-vlan' });
});

test.each<[string, (kernel: KernelModel) => void, string]>([
  [
    'netfilter sees what this machine sends',
    (kernel) => {
      const chain = { header: { family: 2 }, table: 'filter', name: 'out', policy: 1 };
      kernel.put('nft-chain', { ...chain, hook: { hooknum: 3, priority: 0 } });
      kernel.put('nft-rule', { header: { family: 2 }, table: 'filter', chain: 'out', handle: 5n });
    },
    'netfilter-hook',
  ],
  [
    'a rule is about what this machine sends',
    (kernel) =>
      kernel.put('rule', {
        header: { family: 2, dst_len: 0, src_len: 0, tos: 0, table: 100, action: 1, flags: 0 },
        priority: 5,
        table: 100,
        iifname: 'lo',
      }),
    'policy-rule',
  ],
  [
    'the bridge’s port is isolated',
    (kernel) => kernel.put('link', vxlan({}, { isolated: 1 })),
    'bridge-option',
  ],
])('where %s, it is the kernel’s', async (_, setup, reason) => {
  const { tunnels, link } = await start(setup);
  expect(tunnels()).toEqual([]);
  expect(link()).toMatchObject({ state: 'refused', reason });
});
