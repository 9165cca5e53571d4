/** Multicast groups of bridges: the entries they become, and what leaves them with the kernel. */

import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { KIND } from '../../../host/mirror/types.ts';
import type { Decoded, DecodedObject } from '../../../host/netlink/decode.ts';
import { type MulticastWant, multicastWantOf } from '../../../host/offload/multicast.ts';
import { Planner } from '../../../host/offload/planner.ts';
import type { ObjectOffload } from '../../../host/offload/reasons.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import {
  ENTRY_KIND,
  MULTICAST_FAMILY,
  MulticastGroupRecord,
  PortRecord,
} from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel } from './kernel-model.ts';

const BRIDGE = 40;
const PORTS = [41, 42, 43];
/** No port: a link of a kind that is none. */
const FOREIGN = 49;
const UP = 0x10001 | 0x40;
/** Of a group that this is the field of: 239.1.2.3. */
const GROUP = 'ef01:203::';
/** Longer than a bridge takes to rely on who joined. */
const RESPONSE_MS = 11_000;

// Time passes by itself, too.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'], shouldAdvanceTime: true });
});

let planner: Planner | undefined;
afterEach(() => {
  vi.useRealTimers();
  planner?.close();
  planner = undefined;
});

const BRIDGE_DATA: Decoded = {
  vlan_filtering: 0,
  mcast_snooping: 1,
  mcast_querier: 1,
  mcast_router: 0,
  mcast_hash_max: 4096,
  mcast_query_response_intvl: 0,
  multi_boolopt: { optval: 0, optmask: 7 },
};

function bridge(data: Decoded = {}, more: Decoded = {}): DecodedObject {
  return {
    header: { family: 0, type: 1, index: BRIDGE, flags: UP, change: 0 },
    ifname: 'br0',
    mtu: 1500,
    address: '02:00:00:00:00:40',
    promiscuity: 0,
    linkinfo: { kind: 'bridge', data: { ...BRIDGE_DATA, ...data } },
    ...more,
  };
}

function port(ifindex: number, slave: Decoded = {}, master = BRIDGE): DecodedObject {
  return {
    header: { family: 0, type: 1, index: ifindex, flags: UP, change: 0 },
    ifname: `p${ifindex}`,
    mtu: 1500,
    address: `02:00:00:00:00:${ifindex}`,
    ...(master !== 0 && { master }),
    linkinfo: {
      ...(ifindex === FOREIGN && { kind: 'gretap' }),
      ...(master !== 0 && {
        slave_kind: 'bridge',
        slave_data: { state: 3, learning: 1, multicast_router: 1, ...slave },
      }),
    },
  };
}

function member(ifindex: number, more: Decoded = {}): DecodedObject {
  const info = { ifindex, state: 1, flags: 0, vid: 0, address: GROUP, proto: 0x0800, ...more };
  return { header: { family: 7, ifindex: BRIDGE }, mdb: { entry: [{ info: [info] }] } };
}

const router = (ifindex: number): DecodedObject => ({
  header: { family: 7, ifindex: BRIDGE },
  router: { port: [{ ifindex, type: 1 }] },
});

async function start(
  setup: (kernel: KernelModel) => void = () => {},
  device = new FakeDevice({ routes: 9 }),
) {
  const kernel = new KernelModel();
  kernel.put('link', bridge());
  for (const ifindex of PORTS) kernel.put('link', port(ifindex));
  kernel.put('mdb', member(PORTS[0]!));
  setup(kernel);
  kernel.commit();
  planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  const settled = async () => {
    kernel.commit();
    await planner!.settled();
    // Once more, when the bridge has asked for long enough.
    vi.advanceTimersByTime(RESPONSE_MS);
    await planner!.settled();
    expect(await planner!.verify()).toEqual([]);
    expect(device.faults).toEqual([]);
  };
  await settled();
  const held = (kind: number) => [...device.others.values()].filter((one) => one.kind === kind);
  const portsByHandle = () =>
    new Map(
      held(ENTRY_KIND.port).map(({ words }) => {
        const record = new PortRecord(memoryViews(words.buffer), 0);
        return [record.handle, record.ifindex];
      }),
    );
  const groups = (): MulticastWant[] =>
    held(ENTRY_KIND.multicastGroup).map(({ words }) =>
      multicastWantOf(new MulticastGroupRecord(memoryViews(words.buffer), 0)),
    );
  return {
    kernel,
    settled,
    groups,
    /** Interface indexes of the ports of each group. */
    portsOf: () => groups().map(({ ports }) => ports.map((handle) => portsByHandle().get(handle)).sort()),
    states: (): (ObjectOffload | undefined)[] => {
      const states: (ObjectOffload | undefined)[] = [];
      kernel.mirror.forEach(KIND.mdb, (id) => states.push(planner!.offloadOf(KIND.mdb, id)[0]));
      return states;
    },
  };
}

test('a group is one entry with all of its ports, and follows who comes and goes', async () => {
  const { kernel, settled, groups, portsOf, states } = await start();
  expect(groups()).toEqual([
    {
      family: MULTICAST_FAMILY.ipv4,
      vlan: 0,
      bridge: BRIDGE,
      address: [0, 0, 0, 0xef010203],
      ports: [expect.any(Number)],
    },
  ]);
  expect(states()).toMatchObject([{ state: 'offloaded' }]);
  kernel.put('mdb', member(PORTS[2]!));
  await settled();
  expect(portsOf()).toEqual([[PORTS[0], PORTS[2]]]);
  expect(states()).toMatchObject([{ state: 'offloaded' }, { state: 'offloaded' }]);
  kernel.remove('mdb', member(PORTS[0]!));
  await settled();
  expect(portsOf()).toEqual([[PORTS[2]]]);
  kernel.remove('mdb', member(PORTS[2]!));
  await settled();
  expect(groups()).toEqual([]);
});

test('groups by MAC, and of a VLAN', async () => {
  const mac = await start((kernel) =>
    kernel.put('mdb', member(PORTS[1]!, { address: '100:5e7f:102::', proto: 0, state: 1 })),
  );
  expect(mac.groups()).toContainEqual(
    expect.objectContaining({ family: MULTICAST_FAMILY.mac, address: [0, 0, 0x0100, 0x5e7f0102] }),
  );
  planner!.close();
  const inVlan = { header: { family: 7, ifindex: PORTS[0]! }, entry: [{ info: { flags: 6, vid: 10 } }] };
  const vlan = await start((kernel) => {
    kernel.put('link', bridge({ vlan_filtering: 1 }));
    kernel.put('vlan', inVlan);
    kernel.put('mdb', member(PORTS[0]!, { vid: 10 }));
  });
  // That of no VLAN is never looked for.
  expect(vlan.groups()).toMatchObject([{ vlan: 10 }]);
  expect(vlan.states().map((state) => state?.state)).toEqual(
    expect.arrayContaining(['trapped', 'offloaded']),
  );
});

test.each<[string, (kernel: KernelModel) => void, string]>([
  ['does not snoop', (kernel) => kernel.put('link', bridge({ mcast_snooping: 0 })), 'multicast-flooded'],
  [
    'does not ask for members',
    (kernel) => kernel.put('link', bridge({ mcast_querier: 0 })),
    'multicast-flooded',
  ],
  [
    'only just began to ask',
    (kernel) => kernel.put('link', bridge({ mcast_query_response_intvl: 2000 })),
    'multicast-flooded',
  ],
  [
    'snoops by VLAN',
    (kernel) => kernel.put('link', bridge({ multi_boolopt: { optval: 2, optmask: 7 } })),
    'multicast-flooded',
  ],
  [
    'has no room for more groups',
    (kernel) => kernel.put('link', bridge({ mcast_hash_max: 1 })),
    'multicast-flooded',
  ],
  [
    'is down',
    (kernel) =>
      kernel.put('link', {
        ...bridge(),
        header: { family: 0, type: 1, index: BRIDGE, flags: 0, change: 0 },
      }),
    'multicast-flooded',
  ],
  ['may be a router', (kernel) => kernel.put('link', bridge({ mcast_router: 1 })), 'multicast-router'],
  ['has a router at a port', (kernel) => kernel.put('mdb', router(PORTS[1]!)), 'multicast-router'],
  [
    'takes a port as a router’s always',
    (kernel) => kernel.put('link', port(PORTS[1]!, { multicast_router: 2 })),
    'multicast-router',
  ],
  [
    'takes a port as a router’s never, whoever asks there',
    (kernel) => kernel.put('link', port(PORTS[1]!, { multicast_router: 0 })),
    'multicast-router',
  ],
  [
    'is routed from',
    (kernel) =>
      kernel.put('netconf', { header: { family: 2 }, ifindex: BRIDGE, forwarding: 1, mc_forwarding: 1 }),
    'multicast-local',
  ],
  ['is listened to', (kernel) => kernel.put('link', bridge({}, { promiscuity: 1 })), 'multicast-local'],
])('where the bridge %s, the group is the kernel’s', async (_, setup, reason) => {
  const { groups, states, kernel, settled } = await start(setup);
  expect(groups()).toEqual([]);
  expect(states()[0]).toMatchObject({ state: 'trapped', reason });
  // And hardware’s again without it.
  kernel.put('link', bridge());
  for (const ifindex of PORTS) kernel.put('link', port(ifindex));
  kernel.remove('mdb', router(PORTS[1]!));
  kernel.put('netconf', { header: { family: 2 }, ifindex: BRIDGE, forwarding: 1, mc_forwarding: 0 });
  // Counted from the longest time to answer that it had.
  await settled();
  await settled();
  expect(groups()).toHaveLength(1);
});

test.each<[string, DecodedObject, string]>([
  ['this machine is a member', member(BRIDGE), 'multicast-local'],
  ['a member wants one source', member(PORTS[1]!, { source: '192.0.2.1' }), 'multicast-sources'],
  ['a member wants some sources', member(PORTS[1]!, { group_mode: 1 }), 'multicast-sources'],
  [
    'a member wants all but some sources',
    member(PORTS[1]!, { group_mode: 0, src_list: { entry: [{ address: '192.0.2.1', timer: 0 }] } }),
    'multicast-sources',
  ],
  ['a member is blocked', member(PORTS[1]!, { flags: 8 }), 'multicast-sources'],
  ['a member is at no port of the device', member(FOREIGN), 'egress-not-a-port'],
  ['a member is at a port of no bridge', member(48), 'egress-not-a-port'],
])('where %s, the group is the kernel’s', async (_, object, reason) => {
  const { groups, states, kernel, settled } = await start((kernel) => {
    kernel.put('link', port(FOREIGN));
    kernel.put('link', port(48, {}, 0));
  });
  expect(groups()).toHaveLength(1);
  kernel.put('mdb', object);
  await settled();
  expect(groups()).toEqual([]);
  expect(states()).toMatchObject([
    { state: 'trapped', reason },
    { state: 'trapped', reason },
  ]);
  kernel.remove('mdb', object);
  await settled();
  expect(groups()).toHaveLength(1);
});

test('a member at a port whose frames are queued, and one that is down', async () => {
  const { groups, states, kernel, settled } = await start();
  const header = { family: 0, ifindex: PORTS[0]!, handle: 0x1_0000, parent: 0xffff_ffff, info: 1 };
  kernel.put('qdisc', { header, kind: 'tbf' });
  await settled();
  expect(groups()).toEqual([]);
  expect(states()).toMatchObject([{ state: 'trapped', reason: 'egress-qdisc' }]);
  kernel.remove('qdisc', { header, kind: 'tbf' });
  kernel.put('link', {
    ...port(PORTS[0]!, { state: 0 }),
    header: { family: 0, type: 1, index: PORTS[0]!, flags: 0, change: 0 },
  });
  await settled();
  expect(groups()).toHaveLength(1);
});

test('a member that gets frames of its own, and more members than an entry has ports', async () => {
  const { groups, states, kernel, settled } = await start();
  kernel.put('link', port(PORTS[0]!, { mcast_to_ucast: 1 }));
  await settled();
  expect(groups()).toEqual([]);
  expect(states()).toMatchObject([{ reason: 'multicast-sources' }]);
  kernel.put('link', port(PORTS[0]!));
  for (let ifindex = 50; ifindex < 82; ifindex++) {
    kernel.put('link', port(ifindex));
    if (ifindex < 81) kernel.put('mdb', member(ifindex));
  }
  await settled();
  expect(groups()[0]!.ports).toHaveLength(32);
  kernel.put('mdb', member(81));
  await settled();
  expect(groups()).toEqual([]);
  expect(states()[0]).toMatchObject({ reason: 'multicast-ports' });
});

test.each([
  ['224.0.0.0/24', { address: 'e000:5::' }],
  ['IPv6', { address: 'ff0e::1', proto: 0x86dd }],
])('groups of %s are the kernel’s', async (_, more) => {
  const { groups, states } = await start((kernel) => {
    kernel.remove('mdb', member(PORTS[0]!));
    kernel.put('mdb', member(PORTS[0]!, more));
  });
  expect(groups()).toEqual([]);
  expect(states()).toMatchObject([{ state: 'trapped', reason: 'multicast-flooded' }]);
});

test('a bridge that was set anew has to wait again: it may have been another one meanwhile', async () => {
  const { groups, kernel, settled } = await start();
  const now = async () => {
    kernel.commit();
    await planner!.settled();
    return groups().length;
  };
  kernel.put('link', bridge({ mcast_querier: 0 }));
  kernel.put('link', bridge({ mcast_query_response_intvl: 10 }));
  expect(await now()).toBe(0);
  vi.advanceTimersByTime(9000);
  expect(await now()).toBe(0);
  await settled();
  expect(groups()).toHaveLength(1);
  // It began to ask when it took 20 s to answer.
  kernel.put('link', bridge({ mcast_query_response_intvl: 2000 }));
  expect(await now()).toBe(0);
  kernel.put('link', bridge());
  await settled();
  expect(groups()).toEqual([]);
  await settled();
  expect(groups()).toHaveLength(1);
});

test('a bridge that begins to ask in one step with another interval goes by the one before', async () => {
  const { groups, kernel, settled } = await start((kernel) =>
    kernel.put('link', bridge({ mcast_querier: 0, mcast_query_response_intvl: 2000 })),
  );
  await settled();
  kernel.put('link', bridge());
  await settled();
  expect(groups()).toEqual([]);
  await settled();
  expect(groups()).toHaveLength(1);
});

test('a bridge whose table was full snoops no more, until it is set to', async () => {
  const many = Array.from({ length: 15 }, (_, last) =>
    member(PORTS[0]!, { address: `ef01:3${last + 10}::` }),
  );
  const { groups, kernel, settled } = await start((kernel) =>
    kernel.put('link', bridge({ mcast_hash_max: 16 })),
  );
  expect(groups()).toHaveLength(1);
  for (const object of many) kernel.put('mdb', object);
  await settled();
  expect(groups()).toEqual([]);
  for (const object of many) kernel.remove('mdb', object);
  await settled();
  expect(groups()).toEqual([]);
  kernel.put('link', bridge({ mcast_hash_max: 32 }));
  await settled();
  expect(groups()).toHaveLength(1);
});

test('hardware sends no frame elsewhere than the bridge would, whoever joins, leaves and listens', async () => {
  const { groups, portsOf, kernel, settled } = await start((kernel) => {
    kernel.remove('mdb', member(PORTS[0]!));
    kernel.put('link', port(FOREIGN));
  });
  const links = [...PORTS, FOREIGN, BRIDGE];
  const addresses = ['ef01:201::', 'ef01:202::'];
  const step = fc.record({
    what: fc.constantFrom('join', 'leave', 'router', 'no router', 'filter') as fc.Arbitrary<
      'join' | 'leave' | 'router' | 'no router' | 'filter'
    >,
    link: fc.constantFrom(...links),
    group: fc.nat(addresses.length - 1),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const members = new Map<string, { link: number; group: number; isFiltered: boolean }>();
      const routers = new Set<number>();
      for (const { what, link, group } of steps) {
        const key = `${link} ${group}`;
        const object = (isFiltered = false) =>
          member(link, { address: addresses[group]!, ...(isFiltered && { group_mode: 1 }) });
        if (what === 'router') {
          kernel.put('mdb', router(link));
          routers.add(link);
        } else if (what === 'no router') {
          kernel.remove('mdb', router(link));
          routers.delete(link);
        } else if (what === 'leave') {
          kernel.remove('mdb', object());
          members.delete(key);
        } else {
          kernel.put('mdb', object(what === 'filter'));
          members.set(key, { link, group, isFiltered: what === 'filter' });
        }
      }
      kernel.commit();
      await planner!.settled();
      // br_multicast_flood() where it leads to ports of the device alone.
      const expected = addresses
        .map((_, group) => [...members.values()].filter((one) => one.group === group))
        .filter((list) => list.length > 0 && routers.size === 0)
        .filter((list) => list.every(({ link, isFiltered }) => PORTS.includes(link) && !isFiltered))
        .map((list) => list.map(({ link }) => link).sort());
      expect(portsOf().map(String).sort()).toEqual(expected.map(String).sort());
      for (const { link, group } of members.values())
        kernel.remove('mdb', member(link, { address: addresses[group]! }));
      for (const link of routers) kernel.remove('mdb', router(link));
      kernel.commit();
      await planner!.settled();
      expect(groups()).toEqual([]);
    }),
    { numRuns: 60 },
  );
  await settled();
});

test('what the device cannot hold is refused, and in its place when there is room', async () => {
  const { groups, states, kernel, settled } = await start(
    (kernel) => kernel.put('mdb', member(PORTS[1]!, { address: 'ef01:909::' })),
    new FakeDevice({ routes: 9, multicastGroups: 1 }),
  );
  expect(groups()).toHaveLength(1);
  const reasons = states().map((state) => state?.reason);
  expect(reasons.sort()).toEqual(['table-full', undefined]);
  kernel.remove('mdb', member(PORTS[0]!));
  await settled();
  expect(states()).toMatchObject([{ state: 'offloaded' }]);
});
