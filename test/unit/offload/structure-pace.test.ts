/** Planning looks at all filters: many that come one after the other are not each planned for by themselves. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { CLSACT_INGRESS } from '../../../host/offload/link-filters.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { StructurePace } from '../../../host/offload/structure-pace.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel, PORT } from './kernel-model.ts';

const THERE = 5000;
const MORE = 200;
const DROP = { kind: 'gact', options: { parms: { index: 1, capab: 0, action: 2, refcnt: 1, bindcnt: 1 } } };

function put(kernel: KernelModel, handle: number): void {
  kernel.put('filter', {
    header: { family: 0, ifindex: PORT, handle, parent: CLSACT_INGRESS, info: ((1 << 16) | 0x0008) >>> 0 },
    kind: 'flower',
    chain: 0,
    options: {
      key_eth_type: 0x0800,
      key_ipv4_dst: `10.64.${handle >>> 8}.${handle & 0xff}`,
      key_ipv4_dst_mask: '255.255.255.255',
      act: [DROP],
    },
  });
}

test('planning rests as long as it took, at most a second, and not at all if it took next to nothing', () => {
  const pace = new StructurePace();
  expect(pace.rest(0)).toBe(0);
  pace.took(100, 101);
  expect(pace.rest(101)).toBe(0);
  pace.took(200, 230);
  expect([pace.rest(230), pace.rest(250), pace.rest(300)]).toEqual([30, 10, 0]);
  pace.took(1000, 9000);
  expect(pace.rest(9000)).toBe(1000);
});

test(`${MORE} filters that come in a turn each, beside ${THERE}, are planned in a few rounds`, async () => {
  const kernel = new KernelModel();
  for (let handle = 1; handle <= THERE; handle++) put(kernel, handle);
  kernel.commit();
  const device = new FakeDevice({ routes: 10, rules: THERE + MORE });
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  let batches = 0;
  const runner = new FakeRunner(device);
  const commit = runner.commit.bind(runner);
  runner.commit = () => {
    batches++;
    return commit();
  };
  await planner.pluginUp('fake', runner, { fault: () => {}, down: () => {} });
  await planner.settled();
  const rules = device.others.size;
  batches = 0;
  for (let handle = THERE + 1; handle <= THERE + MORE; handle++) {
    put(kernel, handle);
    kernel.commit();
    await turn();
  }
  await planner.settled();
  expect(device.others.size).toBe(rules + MORE);
  expect(batches).toBeLessThan(MORE / 4);
  planner.close();
});
