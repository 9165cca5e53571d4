/** A route that the device holds and whose packets it hands to the kernel all the same is no offloaded one. */
import { expect, test } from 'vitest';
import { KIND } from '../../../host/mirror/types.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { ENTRY_KIND, STATUS } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel } from './kernel-model.ts';

const MAIN = 254;

test('a route that the device traps is shown so, until it takes one in its place', async () => {
  const kernel = new KernelModel();
  kernel.setRules([MAIN]);
  for (const gateway of [1, 2]) kernel.setNeighbour(gateway, true);
  const route = (gateway: number) => ({
    table: MAIN,
    prefix: 0x0a01_0000,
    length: 16,
    priority: 0,
    type: 'unicast' as const,
    gateways: [gateway],
    tos: 0,
  });
  kernel.addRoute(route(1));
  kernel.commit();
  let isTrapping = true;
  const answer = (kind: number) =>
    kind === ENTRY_KIND.route && isTrapping ? { status: STATUS.trapped } : undefined;
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  const runner = new FakeRunner(new FakeDevice({ routes: 100, answer }));
  await planner.pluginUp('fake', runner, { fault: () => {}, down: () => {} });
  await planner.settled();
  const states = () => {
    const ids: number[] = [];
    kernel.mirror.forEach(KIND.route, (id) => ids.push(id));
    return ids.flatMap((id) => planner.offloadOf(KIND.route, id));
  };
  const inTable = () => planner.summary()[0]!.tables.find(({ kind }) => kind === 'route');
  expect(states()).toEqual([{ plugin: 'fake', state: 'trapped', reason: 'unsupported-action' }]);
  expect(inTable()).toMatchObject({ offloaded: 0, trapped: 1 });
  isTrapping = false;
  kernel.addRoute(route(2));
  kernel.commit();
  await planner.settled();
  expect(states()).toEqual([{ plugin: 'fake', state: 'offloaded' }]);
  expect(inTable()).toMatchObject({ offloaded: 1, trapped: 0 });
  planner.close();
});
