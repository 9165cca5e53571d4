/** What a plan does when the device answers late, says no, fails for long or starts over. */

import { describe, expect, test } from 'vitest';
import { kindOfHandle } from '../../../host/offload/entry-table.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { ResyncPace } from '../../../host/offload/resync-pace.ts';
import { ENTRY_KIND, EVENT_TYPE, FAMILY, OPERATION, REASON, STATUS } from '../../../host/plugin/records.ts';
import { FakeDevice, type FakeDeviceOptions, FakeRunner } from './fake-device.ts';
import { GATEWAY_BASE, KernelModel, type ModelRoute, PORT } from './kernel-model.ts';

const LISTENER = { fault: () => {}, down: () => {} };
const ROUTE: ModelRoute = {
  prefix: 0x0a000000,
  length: 8,
  table: 254,
  priority: 0,
  tos: 0,
  type: 'unicast',
  gateways: [1],
};

async function start(options: Partial<FakeDeviceOptions> = {}) {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.setNeighbour(1, true);
  kernel.setNeighbour(2, true);
  kernel.commit();
  const device = new FakeDevice({ routes: 1000, ...options });
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  const runner = new FakeRunner(device);
  await planner.pluginUp('fake', runner, LISTENER);
  await planner.settled();
  return { kernel, device, planner, runner };
}

const way = (device: FakeDevice, address: number) => device.lookup(0, FAMILY.ipv4, BigInt(address));
const via = (gateway: number) => ({ action: 'forward', ways: [`${PORT}/${GATEWAY_BASE + gateway}`] });

async function until(condition: () => boolean | Promise<boolean>, ms = 5000): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`not within ${ms} ms`);
}

describe('waiting', () => {
  test('goes on through a restart of the plugin', async () => {
    const { kernel, device, planner, runner } = await start();
    kernel.addRoute(ROUTE);
    kernel.commit();
    const settled = planner.settled();
    runner.kill();
    await planner.pluginUp('fake', new FakeRunner(device), LISTENER);
    await settled;
    expect(way(device, 0x0a000001)).toEqual(via(1));
    planner.close();
  });

  test('ends when it is aborted, and when the planner closes', async () => {
    const { kernel, planner, runner } = await start();
    kernel.addRoute(ROUTE);
    kernel.commit();
    runner.kill();
    await expect(planner.settled(AbortSignal.timeout(20))).rejects.toThrow();
    const settled = planner.settled();
    planner.close();
    await settled;
  });

  test('ends when the plugin is to stop for good and is down already', async () => {
    const { kernel, planner, runner } = await start();
    kernel.addRoute(ROUTE);
    kernel.commit();
    runner.kill();
    const settled = planner.settled();
    expect(await planner.retire('fake', 'clear', AbortSignal.timeout(60_000))).toBe('down');
    await settled;
    await planner.settled();
    expect(await planner.verify()).toEqual([]);
    planner.close();
  });

  test('knows whose device was cleared for good, until the plugin comes up again', async () => {
    const { kernel, planner, runner } = await start();
    kernel.addRoute(ROUTE);
    kernel.commit();
    await planner.settled();
    const { activity } = planner;
    expect(planner.isCleared('fake')).toBe(false);
    expect(await planner.retire('fake', 'clear', AbortSignal.timeout(60_000))).toBe('cleared');
    expect(planner.isCleared('fake')).toBe(true);
    expect(planner.activity).toBeGreaterThan(activity);
    await planner.pluginUp('fake', runner, { fault: () => {}, down: () => {} });
    expect(planner.isCleared('fake')).toBe(false);
    planner.close();
  });

  test('includes what the plugin completes later', async () => {
    const options: Partial<FakeDeviceOptions> & { answer?: FakeDeviceOptions['answer'] } = {};
    let late = 0;
    options.answer = (kind, _operation, handle) => {
      if (kind !== ENTRY_KIND.route) return undefined;
      late = handle;
      return { status: STATUS.pending };
    };
    const { kernel, planner, runner } = await start(options);
    kernel.addRoute(ROUTE);
    kernel.commit();
    let isSettled = false;
    const settled = planner.settled().then(() => {
      isSettled = true;
    });
    await until(() => late !== 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isSettled).toBe(false);
    runner.complete(late);
    await settled;
    planner.close();
  });
});

/** Its device loses everything before the first poll after `cutPower`, which tells of it. */
class ForgetfulRunner extends FakeRunner {
  override readonly description = { ...this.device.describe(), pollInterval: 1000 };
  #isCut = false;

  cutPower(): void {
    this.#isCut = true;
    const { routes, nexthops, groups, others } = this.device;
    for (const rows of [routes, nexthops, groups, others]) rows.clear();
  }

  override async poll(): Promise<void> {
    if (!this.#isCut) return;
    this.#isCut = false;
    // By then the plan has seen that it had nothing to send.
    await new Promise((resolve) => setTimeout(resolve, 50));
    this.tell(EVENT_TYPE.deviceReset, 0);
  }
}

describe('waiting after a power cut', () => {
  test('ends when the device has everything again, not when that was sent', async () => {
    const { kernel, planner, runner } = await start();
    const { device } = runner;
    for (let index = 0; index < 100; index++)
      kernel.addRoute({ ...ROUTE, prefix: ROUTE.prefix + index * 256, length: 24 });
    kernel.commit();
    runner.kill();
    const next = new ForgetfulRunner(device);
    await planner.pluginUp('fake', next, LISTENER);
    await planner.settled();
    const held = device.routes.size;
    expect(held).toBeGreaterThanOrEqual(100);
    next.cutPower();
    await planner.settled();
    expect(device.routes.size).toBe(held);
    expect(next.inFlight).toBe(0);
    planner.close();
  });
});

describe('pending', () => {
  test('removals give their places back once completed', async () => {
    const removals: number[] = [];
    const { kernel, planner, runner } = await start({
      routes: 1,
      answer: (kind, operation, handle) => {
        if (kind !== ENTRY_KIND.route || operation !== OPERATION.remove) return undefined;
        removals.push(handle);
        return { status: STATUS.pending };
      },
    });
    kernel.addRoute(ROUTE);
    kernel.commit();
    await planner.settled();
    kernel.deleteRoute(ROUTE);
    const other = { ...ROUTE, prefix: 0x0b000000 };
    kernel.addRoute(other);
    kernel.commit();
    await until(() => removals.length === 1);
    runner.complete(removals[0]!);
    await planner.settled();
    const route = planner.summary()[0]!.tables.find(({ kind }) => kind === 'route')!;
    expect(route).toMatchObject({ planned: 1, offloaded: 1, refused: 0 });
    planner.close();
  });
});

describe('events that cannot be', () => {
  test('are told and change nothing', async () => {
    const { kernel, planner, runner } = await start();
    kernel.addRoute(ROUTE);
    kernel.commit();
    await planner.settled();
    const handle = 0x50000000;
    runner.complete(0xf0000000);
    runner.complete(0);
    runner.complete(handle, 200);
    runner.tell(99, handle);
    // Planned and held, and not pending.
    runner.complete(handle);
    expect(runner.accusations).toHaveLength(5);
    await planner.settled();
    expect(await planner.verify()).toEqual([]);
    planner.close();
  });

  test('what is completed once is told of once; what was read back meanwhile may be completed late', async () => {
    const pending: number[] = [];
    const { kernel, planner, runner } = await start({
      answer: (kind, _operation, handle) => {
        if (kind !== ENTRY_KIND.route || pending.length > 1) return undefined;
        pending.push(handle);
        return { status: STATUS.pending };
      },
    });
    kernel.addRoute(ROUTE);
    kernel.commit();
    await until(() => pending.length === 1 && runner.inFlight === 0);
    runner.complete(pending[0]!);
    expect(runner.accusations).toEqual([]);
    runner.complete(pending[0]!);
    expect(runner.accusations).toHaveLength(1);
    kernel.addRoute({ ...ROUTE, prefix: 0x0b000000 });
    kernel.commit();
    await until(() => pending.length === 2 && runner.inFlight === 0);
    runner.tell(EVENT_TYPE.deviceReset, 0);
    await planner.settled();
    runner.complete(pending[1]!);
    expect(runner.accusations).toHaveLength(1);
    runner.complete(pending[1]!);
    expect(runner.accusations).toHaveLength(2);
    expect(await planner.verify()).toEqual([]);
    planner.close();
  });

  test('the device is read back ever more slowly when it asks for it without end', () => {
    const pace = new ResyncPace();
    const delays = Array.from({ length: 16 }, () => pace.delay(1000));
    expect(delays.slice(0, 7)).toEqual([0, 0, 0, 0, 100, 200, 400]);
    expect(delays.at(-1)).toBe(30_000);
    expect(pace.delay(1000 + 30_000 + 60_001)).toBe(0);
  });
});

describe('a device that does not take an update', () => {
  test('loses the old value when it goes on failing: the kernel forwards', async () => {
    let isBroken = false;
    const { kernel, device, planner } = await start({
      answer: (kind, operation) =>
        isBroken && kind === ENTRY_KIND.route && operation === OPERATION.put
          ? { status: STATUS.failed, reason: REASON.deviceError }
          : undefined,
    });
    kernel.addRoute(ROUTE);
    kernel.commit();
    await planner.settled();
    isBroken = true;
    kernel.addRoute({ ...ROUTE, gateways: [2] });
    kernel.commit();
    await until(() => way(device, 0x0a000001).action === 'trap');
    isBroken = false;
    await until(() => way(device, 0x0a000001).action === 'forward');
    expect(way(device, 0x0a000001)).toEqual(via(2));
    planner.close();
  });

  test('keeps a nexthop it refuses to change until nothing refers to it', async () => {
    let isBroken = false;
    const { kernel, device, planner } = await start({
      answer: (kind, operation) =>
        isBroken && kind === ENTRY_KIND.nexthop && operation === OPERATION.put
          ? { status: STATUS.refused, reason: REASON.unsupportedAction }
          : undefined,
    });
    kernel.addRoute(ROUTE);
    kernel.commit();
    await planner.settled();
    isBroken = true;
    kernel.setNeighbour(1, false);
    kernel.commit();
    await planner.settled();
    await until(() => way(device, 0x0a000001).action === 'trap');
    expect(device.faults).toEqual([]);
    planner.close();
  });

  test('is not asked to rewrite the routes of a nexthop that was busy once', async () => {
    let busy = 0;
    const { kernel, device, planner } = await start({
      answer: (kind, operation) =>
        kind === ENTRY_KIND.nexthop && operation === OPERATION.put && busy-- > 0
          ? { status: STATUS.failed, reason: REASON.busy }
          : undefined,
    });
    for (let index = 0; index < 100; index++)
      kernel.addRoute({ ...ROUTE, length: 24, prefix: (0x0a000000 | (index << 8)) >>> 0 });
    kernel.commit();
    await planner.settled();
    const before = device.writes;
    busy = 1;
    kernel.setNeighbour(1, false);
    kernel.commit();
    await until(() => way(device, 0x0a000001).action === 'trap');
    await planner.settled();
    expect(device.writes - before).toBeLessThan(5);
    planner.close();
  });

  test('gets a changed route as removal and addition when it cannot update in place, with its cover trapping meanwhile', async () => {
    const { kernel, device, planner } = await start({ updatesInPlace: false });
    kernel.addRoute({ ...ROUTE, prefix: 0, length: 0, gateways: [2] });
    kernel.addRoute(ROUTE);
    kernel.commit();
    await planner.settled();
    kernel.addRoute({ ...ROUTE, type: 'blackhole' });
    kernel.commit();
    await until(() => way(device, 0x0a000001).action === 'drop');
    await planner.settled();
    expect(await planner.verify()).toEqual([]);
    expect(device.faults).toEqual([]);
    expect(way(device, 0x0b000001)).toEqual(via(2));
    planner.close();
  });
});

describe('retries', () => {
  test('give every failed entry its turn', async () => {
    let isBroken = true;
    const asked = new Set<number>();
    const { kernel, planner } = await start({
      answer: (kind, _operation, handle) => {
        if (!isBroken || kind !== ENTRY_KIND.route) return undefined;
        asked.add(handle);
        return { status: STATUS.failed, reason: REASON.busy };
      },
    });
    for (let index = 0; index < 150; index++)
      kernel.addRoute({ ...ROUTE, length: 24, prefix: (0x0a000000 | (index << 8)) >>> 0 });
    kernel.commit();
    await planner.settled();
    expect(asked.size).toBe(150);
    asked.clear();
    await until(() => asked.size === 150);
    isBroken = false;
    await until(() => planner.summary()[0]!.tables.every(({ failed }) => failed === 0));
    planner.close();
  });

  test('never put a handle into a batch twice', async () => {
    const { kernel, planner } = await start({ failEvery: 3 });
    const runner = new FakeRunner(new FakeDevice({ routes: 1000, failEvery: 3 }));
    const commit = runner.commit.bind(runner);
    const doubles: number[] = [];
    runner.commit = () => {
      const batch = runner.begin()!;
      const handles = [...batch.handles.subarray(0, batch.count)];
      if (new Set(handles).size !== handles.length) doubles.push(...handles);
      return commit();
    };
    await planner.pluginUp('fake', runner, LISTENER);
    for (let round = 0; round < 20; round++) {
      for (let index = 0; index < 20; index++) {
        const route = {
          ...ROUTE,
          length: 24,
          prefix: (0x0a000000 | (index << 8)) >>> 0,
          gateways: [1 + ((round + index) % 2)],
        };
        if ((round + index) % 3 === 0) kernel.deleteRoute(route);
        else kernel.addRoute(route);
      }
      kernel.commit();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(doubles).toEqual([]);
    planner.close();
  });
});

describe('readback', () => {
  test('of nonsense ends the plugin, not the host', async () => {
    const { device, planner, runner } = await start();
    runner.kill();
    device.routes.set(0x12345678, {
      handle: 0x12345678,
      vrf: 0,
      family: 0,
      length: 60,
      prefix: 0n,
      action: 9,
      group: 0,
    });
    await expect(planner.pluginUp('fake', new FakeRunner(device), LISTENER)).rejects.toThrow(/read back/);
    planner.close();
  });

  test('of entries nobody planned removes them, again after a removal failed', async () => {
    let isBroken = true;
    const { kernel, device, planner, runner } = await start({
      answer: (kind, operation) =>
        isBroken && kind === ENTRY_KIND.route && operation === OPERATION.remove
          ? { status: STATUS.failed, reason: REASON.busy }
          : undefined,
    });
    kernel.addRoute(ROUTE);
    kernel.commit();
    await planner.settled();
    runner.kill();
    // Held under a handle that is planned for another prefix, and one that is planned for none.
    const [held] = [...device.routes.values()].filter(
      ({ handle }) => kindOfHandle(handle) === ENTRY_KIND.route,
    );
    device.routes.set(held!.handle, { ...held!, prefix: 0x0c000000n });
    device.routes.set(held!.handle + 7, { ...held!, handle: held!.handle + 7, prefix: 0x0d000000n });
    const next = new FakeRunner(device);
    await planner.pluginUp('fake', next, LISTENER);
    await new Promise((resolve) => setTimeout(resolve, 100));
    isBroken = false;
    await until(async () => (await planner.verify()).length === 0, 10_000);
    expect(device.routes.size).toBe(1);
    expect(way(device, 0x0a000001)).toEqual(via(1));
    planner.close();
  });
});

describe('room', () => {
  test('that a device gains is used', async () => {
    const options = { routes: 100, deviceRoutes: 3 };
    const { kernel, device, planner } = await start(options);
    for (let index = 0; index < 10; index++)
      kernel.addRoute({ ...ROUTE, length: 24, prefix: (0x0a000000 | (index << 8)) >>> 0 });
    kernel.commit();
    await planner.settled();
    expect(device.routes.size).toBe(3);
    (device.options as { deviceRoutes: number }).deviceRoutes = 100;
    await until(() => device.routes.size === 10, 25_000);
    planner.close();
  });
});
