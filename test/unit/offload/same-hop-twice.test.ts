/** A multipath route may name one hop several times, which is one hop to what it refers to. */

import { expect, test } from 'vitest';
import { Planner } from '../../../host/offload/planner.ts';
import { FAMILY } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { GATEWAY_BASE, KernelModel, PORT, route24 } from './kernel-model.ts';

test('a route with one hop twice comes and goes', async () => {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.commit();
  const device = new FakeDevice({ routes: 100 });
  const faults: string[] = [];
  const planner = new Planner({
    mirror: kernel.mirror,
    netfilter: 'trap',
    xfrm: 'trap',
    log: (level, text) => level === 'error' && faults.push(text),
  });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });

  kernel.addRoute(route24(0x0a000100, [1, 1]));
  kernel.commit();
  await planner.settled();
  kernel.deleteRoute(route24(0x0a000100, [1, 1]));
  kernel.commit();
  await planner.settled();
  expect(faults).toEqual([]);

  kernel.setNeighbour(1, true);
  kernel.addRoute(route24(0x0a000200, [1, 1]));
  kernel.commit();
  await planner.settled();
  const { action, ways } = device.lookup(0, FAMILY.ipv4, 0x0a000201n);
  expect([action, new Set(ways)]).toEqual(['forward', new Set([`${PORT}/${GATEWAY_BASE + 1}`])]);
  expect(faults).toEqual([]);
  planner.close();
});
