/** Hosts of a connected network have entries of their own only where the kernel would use that network's route. */

import { expect, test } from 'vitest';
import { Planner } from '../../../host/offload/planner.ts';
import { FAMILY } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { GATEWAY_BASE, KernelModel, type ModelRoute, PORT, type RouteType } from './kernel-model.ts';

const HOST = GATEWAY_BASE + 7;

function route(length: number, type: RouteType): ModelRoute {
  const prefix = (HOST & (-1 << (32 - length))) >>> 0;
  return { table: 254, prefix, length, type, priority: 0, tos: 0, gateways: [1] };
}

test.each([
  ['its network', [], 'forward'],
  ['a throw route of its own', [route(32, 'throw')], 'trap'],
  ['a throw route of a part', [route(28, 'throw')], 'trap'],
  ['an unreachable route of its own', [route(32, 'unreachable')], 'trap'],
  ['a blackhole of a part', [route(28, 'blackhole')], 'drop'],
  ['a gateway for a part', [route(28, 'unicast')], 'forward'],
] as const)('a host behind %s', async (_, more, action) => {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.addRoute(route(24, 'connected'));
  for (const each of more) kernel.addRoute(each);
  kernel.setNeighbour(7, true);
  kernel.setNeighbour(1, true);
  kernel.commit();
  const device = new FakeDevice({ routes: 100 });
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  await planner.settled();
  const answer = device.lookup(0, FAMILY.ipv4, BigInt(HOST));
  expect(answer.action).toBe(action);
  const via = more.some(({ type }) => type === 'unicast') ? 1 : 7;
  if (action === 'forward') expect(answer.ways).toEqual([`${PORT}/${GATEWAY_BASE + via}`]);
  planner.close();
});
