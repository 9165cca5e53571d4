/** What hardware says of addresses it learned and forgot, as the kernel is told of it. */
import { expect, test } from 'vitest';
import { handleOf } from '../../../host/offload/entry-table.ts';
import { Planner } from '../../../host/offload/planner.ts';
import type { Station } from '../../../host/offload/stations.ts';
import { ENTRY_KIND, EVENT_TYPE } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel, PORT } from './kernel-model.ts';

const LISTENER = { fault: () => {}, down: () => {} };
const BRIDGE = 30;
const MAC = 0x02_00_00_00_00_11;
const KNOWN = 0x02_00_00_00_00_22;
const PORT_HANDLE = handleOf(ENTRY_KIND.port, 1);
const NUD_NOARP = 0x40;

async function start(
  filtering: number,
  options: { learning?: number; state?: number; locked?: number } = {},
) {
  const kernel = new KernelModel();
  const header = { family: 0, type: 1, flags: 0x10041, change: 0 };
  kernel.put('link', {
    header: { ...header, index: BRIDGE },
    ifname: 'br0',
    mtu: 1500,
    linkinfo: { kind: 'bridge', data: { vlan_filtering: filtering, vlan_protocol: 0x8100 } },
  });
  kernel.put('link', {
    header: { ...header, index: PORT },
    ifname: 'p1',
    mtu: 1500,
    address: '02:00:00:00:00:01',
    master: BRIDGE,
    linkinfo: { slave_kind: 'bridge', slave_data: { state: 3, learning: 1, ...options } },
  });
  if (filtering !== 0)
    kernel.put('vlan', { header: { family: 7, ifindex: PORT }, entry: [{ info: { flags: 0, vid: 10 } }] });
  kernel.put('fdb', {
    header: { family: 7, ifindex: PORT, state: NUD_NOARP, flags: 0, type: 0 },
    lladdr: '02:00:00:00:00:22',
    master: BRIDGE,
    ...(filtering && { vlan: 10 }),
  });
  kernel.commit();
  const told: Station[] = [];
  const retired: string[] = [];
  const planner = new Planner({
    mirror: kernel.mirror,
    netfilter: 'trap',
    xfrm: 'trap',
    log: () => {},
    onStation: (station) => told.push(station),
    onRetired: (plugin) => retired.push(plugin),
  });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  const runner = new FakeRunner(new FakeDevice({ routes: 1000 }));
  await planner.pluginUp('fake', runner, LISTENER);
  await planner.settled();
  const learn = (port: number, vlan: number, mac: number) =>
    runner.tell(EVENT_TYPE.macLearned, 0, 0, { port, vlan, mac });
  return { kernel, planner, runner, told, retired, learn };
}

test('a new address is one of the port and VLAN it was seen in', async () => {
  const { planner, told, learn } = await start(1);
  learn(PORT_HANDLE, 10, MAC);
  expect(told).toEqual([{ bridge: BRIDGE, vlan: 10, mac: MAC, ifindex: PORT, isElsewhere: false }]);
  planner.close();
});

test('without VLAN filtering there is one table of addresses', async () => {
  const { planner, told, learn } = await start(0);
  learn(PORT_HANDLE, 10, MAC);
  expect(told).toEqual([{ bridge: BRIDGE, vlan: 0, mac: MAC, ifindex: PORT, isElsewhere: false }]);
  planner.close();
});

test('what cannot be, or is somewhere already, is not told', async () => {
  const { planner, runner, told, learn } = await start(1);
  learn(PORT_HANDLE, 10, KNOWN);
  learn(PORT_HANDLE, 10, 0x01_00_5e_00_00_01);
  learn(PORT_HANDLE, 10, 0);
  learn(PORT_HANDLE, 0, MAC);
  learn(PORT_HANDLE, 4095, MAC);
  // Of which the port is no member.
  learn(PORT_HANDLE, 11, MAC);
  learn(PORT_HANDLE + 1, 10, MAC);
  learn(0xf0000000, 10, MAC);
  runner.tell(EVENT_TYPE.macAged, handleOf(ENTRY_KIND.fdbEntry, 2));
  runner.tell(EVENT_TYPE.macAged, PORT_HANDLE);
  expect(told).toEqual([]);
  planner.close();
});

test('what the bridge has at another port is told as such', async () => {
  const { planner, kernel, told, learn } = await start(1);
  kernel.put('link', {
    header: { family: 0, type: 1, flags: 0x10041, change: 0, index: PORT + 1 },
    ifname: 'p2',
    mtu: 1500,
    address: '02:00:00:00:00:02',
    master: BRIDGE,
    linkinfo: { slave_kind: 'bridge', slave_data: { state: 3, learning: 1 } },
  });
  kernel.put('vlan', { header: { family: 7, ifindex: PORT + 1 }, entry: [{ info: { flags: 0, vid: 10 } }] });
  kernel.commit();
  await planner.settled();
  learn(handleOf(ENTRY_KIND.port, 2), 10, KNOWN);
  expect(told).toEqual([{ bridge: BRIDGE, vlan: 10, mac: KNOWN, ifindex: PORT + 1, isElsewhere: true }]);
  planner.close();
});

test.each([
  ['does not learn', { learning: 0 }],
  ['blocks', { state: 4 }],
  ['is locked', { locked: 1 }],
])('a port that %s has no new addresses', async (_, options) => {
  const { planner, told, learn } = await start(1, options);
  learn(PORT_HANDLE, 10, MAC);
  expect(told).toEqual([]);
  planner.close();
});

test('an entry that has aged is the one that the handle stands for', async () => {
  const { planner, runner, told } = await start(1);
  runner.tell(EVENT_TYPE.macAged, handleOf(ENTRY_KIND.fdbEntry, 1));
  expect(told).toEqual([{ bridge: BRIDGE, vlan: 10, mac: KNOWN, ifindex: 0, isElsewhere: false }]);
  planner.close();
});

test('of a plugin that is to stop for good it is told, and nothing more is of what it learned', async () => {
  const { planner, told, retired, learn } = await start(1);
  learn(PORT_HANDLE, 10, MAC);
  expect([told.length, retired]).toEqual([1, []]);
  await planner.retire('fake', 'keep', AbortSignal.timeout(10_000));
  expect(retired).toEqual(['fake']);
  learn(PORT_HANDLE, 10, MAC + 1);
  expect(told).toHaveLength(1);
  planner.close();
});
