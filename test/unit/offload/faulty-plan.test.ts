/** A mistake in the plan's own code: what it left half done is not built on. */

import { expect, test } from 'vitest';
import { Planner } from '../../../host/offload/planner.ts';
import { FAMILY } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { GATEWAY_BASE, KernelModel, PORT, route24 } from './kernel-model.ts';

test('the next start of the plugin gets a plan of the whole mirror', async () => {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.setNeighbour(1, true);
  kernel.commit();
  const device = new FakeDevice({ routes: 100 });
  const faults: string[] = [];
  let isBroken = false;
  const planner = new Planner({
    mirror: kernel.mirror,
    netfilter: 'trap',
    xfrm: 'trap',
    log: (level, text) => level === 'error' && faults.push(text),
  });
  planner.addPlugin({
    name: 'fake',
    isPort: () => {
      if (isBroken) throw new TypeError('a mistake');
      return true;
    },
  });
  let fell = false;
  const listener = { fault: () => {}, down: () => (fell = true) };
  const start = () => planner.pluginUp('fake', new FakeRunner(device), listener);
  await start();
  await planner.settled();

  isBroken = true;
  kernel.put('link', {
    header: { family: 0, type: 1, index: PORT, flags: 0x10041, change: 0 },
    ifname: 'p2',
    mtu: 1400,
  });
  kernel.addRoute(route24(0x0a000100));
  kernel.commit();
  await expect.poll(() => fell, { timeout: 60_000 }).toBe(true);
  expect(faults.join()).toContain('a mistake');
  isBroken = false;
  // Nobody plans this one: the plan is faulty, and the plugin is down.
  kernel.addRoute(route24(0x0a000200));
  kernel.commit();

  await start();
  await planner.settled();
  const forward = { action: 'forward', ways: [`${PORT}/${GATEWAY_BASE + 1}`] };
  expect(device.lookup(0, FAMILY.ipv4, 0x0a000101n)).toEqual(forward);
  expect(device.lookup(0, FAMILY.ipv4, 0x0a000201n)).toEqual(forward);
  expect(faults).toHaveLength(1);
  planner.close();
});
