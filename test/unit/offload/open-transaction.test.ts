/** A route that came and went while the plan was at work is never told of: the plan must not have kept anything of it. */

import { expect, test } from 'vitest';
import { Planner } from '../../../host/offload/planner.ts';
import { FAMILY } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { GATEWAY_BASE, KernelModel, PORT, route24 } from './kernel-model.ts';

test('a route that was seen before it was told of', async () => {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.setNeighbour(1, true);
  kernel.commit();
  const device = new FakeDevice({ routes: 100 });
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  await planner.settled();

  // The plan looks through the mirror for what the new domains consist of, and a route is in there that nobody was told of.
  kernel.setRules([255, 100, 254]);
  kernel.commit();
  kernel.addRoute(route24(0x0a000100));
  await planner.settled();
  kernel.deleteRoute(route24(0x0a000100));
  kernel.commit();

  // The next one takes its place in the mirror.
  kernel.addRoute(route24(0x0a000200));
  kernel.commit();
  await planner.settled();
  const forward = { action: 'forward', ways: [`${PORT}/${GATEWAY_BASE + 1}`] };
  expect(device.lookup(0, FAMILY.ipv4, 0x0a000201n)).toEqual(forward);
  expect(device.lookup(0, FAMILY.ipv4, 0x0a000101n)).not.toEqual(forward);
  planner.close();
});
