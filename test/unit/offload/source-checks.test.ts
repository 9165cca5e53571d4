/** The kernel drops IPv4 packets that come from its own addresses: what the device is told so that it does not forward them. */

import { expect, test } from 'vitest';
import { Planner } from '../../../host/offload/planner.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import { ENTRY_KIND, RouterInterfaceRecord } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel, type ModelRoute } from './kernel-model.ts';

const IPV4 = 1;
const IPV6 = 2;
const LOOSE = 4;
const STRICT = 8;

async function start(setup: (kernel: KernelModel) => void) {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  setup(kernel);
  kernel.commit();
  const device = new FakeDevice({ routes: 100 });
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  await planner.settled();
  const flags = () =>
    [...device.others.values()]
      .filter(({ kind }) => kind === ENTRY_KIND.routerInterface)
      .map(({ words }) => new RouterInterfaceRecord(memoryViews(words.buffer), 0).flags);
  const reason = () => {
    const links: (string | undefined)[] = [];
    kernel.mirror.forEach(0, (id) => links.push(planner.offloadOf(0, id)[0]?.reason));
    return links[0];
  };
  return { kernel, planner, flags, reason };
}

const own = (table: number, prefix: number, length: number): ModelRoute => ({
  table,
  prefix,
  length,
  priority: 0,
  type: 'local',
  gateways: [],
  tos: 0,
});

const fromSelector = {
  header: { family: 2, dst_len: 0, src_len: 16, tos: 0, table: 100, action: 1, flags: 0 },
  priority: 50,
  table: 100,
  src: '10.1.0.0',
};

test('addresses of full length need no more than the device does anyway', async () => {
  const { planner, flags } = await start((kernel) => kernel.addRoute(own(255, 0x0a000001, 32)));
  expect(flags()).toEqual([IPV4 | IPV6]);
  planner.close();
});

test('of a local network, only sources the device forwards to are taken', async () => {
  const { kernel, planner, flags } = await start((kernel) => kernel.addRoute(own(255, 0x7f000000, 8)));
  expect(flags()).toEqual([IPV4 | IPV6]);
  kernel.addRoute(own(254, 0x0a010000, 16));
  kernel.commit();
  await planner.settled();
  expect(flags()).toEqual([IPV4 | IPV6 | LOOSE]);
  kernel.deleteRoute(own(254, 0x0a010000, 16));
  kernel.commit();
  await planner.settled();
  expect(flags()).toEqual([IPV4 | IPV6]);
  planner.close();
});

test('local routes in a table that only some packets are led to', async () => {
  const { kernel, planner, flags, reason } = await start((kernel) => kernel.put('rule', fromSelector));
  expect(flags()).toEqual([IPV4 | IPV6]);
  kernel.addRoute(own(100, 0x0a000001, 32));
  kernel.commit();
  await planner.settled();
  expect(flags()).toEqual([IPV6]);
  expect(reason()).toBe('source-check');
  planner.close();
});

test('with reverse path checks, rules with selectors decide about sources too', async () => {
  const strict = { header: { family: 2 }, ifindex: -1, forwarding: 1, rp_filter: 1 };
  const { kernel, planner, flags, reason } = await start((kernel) => kernel.put('netconf', strict));
  expect(flags()).toEqual([IPV4 | IPV6 | STRICT]);
  kernel.put('rule', fromSelector);
  kernel.commit();
  await planner.settled();
  expect(flags()[0]! & IPV4).toBe(0);
  expect(reason()).toBe('reverse-path');
  planner.close();
});
