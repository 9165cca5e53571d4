/** What `verify` says when the planner was not told of changes. */
import { afterEach, expect, test } from 'vitest';
import { Nexthops } from '../../../host/offload/nexthops.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { GATEWAY_BASE, ip4, KernelModel, type ModelRoute, PORT, route24 } from './kernel-model.ts';

const ROUTE: ModelRoute = { ...route24(0x0a000000), length: 8 };

let planner: Planner | undefined;
afterEach(() => planner?.close());

/** A planner that holds the route; `unheard` makes changes that it is not told of. */
async function start(route: ModelRoute) {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.setNeighbour(1, true);
  kernel.setNeighbour(2, true);
  kernel.addRoute(route);
  kernel.commit();
  const { mirror } = kernel;
  const subscribe = mirror.subscribe.bind(mirror);
  let isDeaf = false;
  mirror.subscribe = (listener) =>
    subscribe((changes) => {
      if (!isDeaf) listener(changes);
    });
  planner = new Planner({ mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  const device = new FakeDevice({ routes: 1000 });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  await planner.settled();
  expect(await planner.verify()).toEqual([]);
  const unheard = (change: () => void): void => {
    change();
    isDeaf = true;
    kernel.commit();
    isDeaf = false;
  };
  return { kernel, unheard };
}

const missed = (object: string, detail: string, kind = 'route') => [{ plugin: 'fake', kind, object, detail }];

test('a route that came', async () => {
  const { kernel, unheard } = await start(ROUTE);
  unheard(() => kernel.addRoute({ ...ROUTE, prefix: 0x0b000000, priority: 7 }));
  expect(await planner!.verify()).toEqual(
    missed('11.0.0.0/8 table 254 metric 7', 'the plan does not have it'),
  );
});

test('a route that went', async () => {
  const { kernel, unheard } = await start(ROUTE);
  unheard(() => kernel.deleteRoute(ROUTE));
  expect(await planner!.verify()).toEqual(missed('10.0.0.0/8', 'the plan has a route that is gone'));
});

test.each<Partial<ModelRoute>>([{ type: 'blackhole' }, { gateways: [2] }, { gateways: [1, 2] }])(
  'a route that is now %o',
  async (other) => {
    const { kernel, unheard } = await start(ROUTE);
    unheard(() => kernel.addRoute({ ...ROUTE, ...other }));
    expect(await planner!.verify()).toEqual(
      missed('10.0.0.0/8 table 254 metric 0', 'the plan has an earlier form of it'),
    );
    // What was looked at for it stays as it was: told of, it is taken like any other.
    kernel.deleteRoute(ROUTE);
    kernel.commit();
    kernel.addRoute({ ...ROUTE, ...other });
    kernel.commit();
    expect(await planner!.verify()).toEqual([]);
  },
);

const nexthop = (id: number, gateway: number) => ({
  header: { family: 2, scope: 0, protocol: 0, flags: 0 },
  id,
  oif: PORT,
  gateway: ip4(GATEWAY_BASE + gateway),
});

test('a nexthop object that came, is another, went', async () => {
  const { kernel, unheard } = await start(ROUTE);
  kernel.put('nexthop', nexthop(7, 1));
  kernel.commit();
  expect(await planner!.verify()).toEqual([]);
  const isOther = missed('id 7', 'the plan has not the object as it is', 'nexthop');
  unheard(() => kernel.put('nexthop', nexthop(7, 2)));
  expect(await planner!.verify()).toEqual(isOther);
  kernel.put('nexthop', nexthop(7, 1));
  kernel.commit();
  unheard(() => kernel.put('nexthop', nexthop(8, 2)));
  expect(await planner!.verify()).toEqual([{ ...isOther[0], object: 'id 8' }]);
  kernel.remove('nexthop', nexthop(8, 2));
  kernel.commit();
  unheard(() => kernel.remove('nexthop', nexthop(7, 1)));
  expect(await planner!.verify()).toEqual(missed('id 7', 'the plan has an object that is gone', 'nexthop'));
});

test('a gateway that moved', async () => {
  const { kernel } = await start(ROUTE);
  const { neighbourChanged } = Nexthops.prototype;
  Nexthops.prototype.neighbourChanged = () => {};
  try {
    kernel.setNeighbour(1, false);
    kernel.commit();
  } finally {
    Nexthops.prototype.neighbourChanged = neighbourChanged;
  }
  const [difference, ...others] = await planner!.verify();
  expect(difference).toMatchObject({
    kind: 'nexthop',
    object: `${ip4(GATEWAY_BASE + 1)} dev ${PORT}`,
    detail: 'the plan has an earlier form of it',
  });
  expect(others).toEqual([]);
});

test('a group that nothing uses any more', async () => {
  const route = { ...ROUTE, gateways: [1, 2] };
  const { kernel } = await start(route);
  const { release } = Nexthops.prototype;
  Nexthops.prototype.release = function (number) {
    this.group(number).references--;
  };
  try {
    kernel.deleteRoute(route);
    kernel.commit();
  } finally {
    Nexthops.prototype.release = release;
  }
  const [difference, ...others] = await planner!.verify();
  expect(difference).toMatchObject({ kind: 'group', detail: 'the plan has it for nothing' });
  expect(others).toEqual([]);
});
