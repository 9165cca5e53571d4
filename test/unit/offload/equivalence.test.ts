/**
 * Guarantee 2 as a property: whatever routes, rules and neighbours there are and whatever the device refuses, for every
 * address the hardware does what the kernel would do or hands the packet to the kernel.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Planner } from '../../../host/offload/planner.ts';
import { FAMILY } from '../../../host/plugin/records.ts';
import { FakeDevice, type FakeDeviceOptions, FakeRunner } from './fake-device.ts';
import { KernelModel, type ModelRoute, type RouteType } from './kernel-model.ts';

/** Prefixes of a small universe, so that they cover each other often: 10.0.0.0/8 to 10.0.x.0/24 of few values. */
const prefix = fc
  .record({
    value: fc.integer({ min: 0, max: 63 }),
    length: fc.constantFrom(0, 8, 18, 19, 20, 21, 22, 23, 24),
  })
  .map(({ value, length }) => {
    const address = (0x0a000000 | (value << 8)) >>> 0;
    return { prefix: length === 0 ? 0 : (address & (-1 << (32 - length))) >>> 0, length };
  });

const TABLES = [255, 254, 100, 253];
const route: fc.Arbitrary<ModelRoute> = fc
  .record({
    place: prefix,
    table: fc.constantFrom(254, 254, 254, 100, 255, 253),
    priority: fc.constantFrom(0, 0, 10),
    tos: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 8),
    type: fc.constantFrom<RouteType>(
      'unicast',
      'unicast',
      'unicast',
      'unicast',
      'blackhole',
      'unreachable',
      'throw',
      'connected',
      'local',
    ),
    gateways: fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
  })
  .map(({ place, ...rest }) => ({ ...place, ...rest }));

type Step =
  | { readonly do: 'add' | 'delete'; readonly route: ModelRoute }
  | { readonly do: 'neighbour'; readonly gateway: number; readonly isResolved: boolean }
  | { readonly do: 'rules'; readonly tables: readonly number[] }
  | { readonly do: 'settle' | 'restart' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('add' as const), route }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('delete' as const), route }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('neighbour' as const),
      gateway: fc.integer({ min: 1, max: 4 }),
      isResolved: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('rules' as const),
      tables: fc.subarray(TABLES, { minLength: 1 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

async function play(
  steps: readonly Step[],
  options: FakeDeviceOptions,
): Promise<{ kernel: KernelModel; device: FakeDevice; planner: Planner }> {
  const kernel = new KernelModel();
  kernel.setRules(TABLES.slice(0, 2));
  kernel.commit();
  const device = new FakeDevice(options);
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  const listener = { fault: () => {}, down: () => {} };
  planner.addPlugin({ name: 'fake', isPort: undefined });
  let runner = new FakeRunner(device);
  await planner.pluginUp('fake', runner, listener);
  const known: ModelRoute[] = [];
  for (const current of steps) {
    switch (current.do) {
      case 'add':
        known.push(current.route);
        kernel.addRoute(current.route);
        break;
      case 'delete': {
        // Half of the time one that exists.
        const target =
          current.route.priority === 0
            ? known.at(current.route.prefix % Math.max(1, known.length))
            : undefined;
        kernel.deleteRoute(target ?? current.route);
        break;
      }
      case 'neighbour':
        kernel.setNeighbour(current.gateway, current.isResolved);
        break;
      case 'rules':
        kernel.setRules(current.tables);
        break;
      case 'settle':
        kernel.commit();
        await planner.settled();
        break;
      case 'restart':
        kernel.commit();
        runner.kill();
        runner = new FakeRunner(device);
        await planner.pluginUp('fake', runner, listener);
        break;
    }
  }
  kernel.commit();
  await planner.settled();
  return { kernel, device, planner };
}

function addresses(): number[] {
  const list = [0x0b000001, 0x01020304];
  for (let value = 0; value < 64; value++) list.push((0x0a000000 | (value << 8) | 7) >>> 0);
  return list;
}

function check(kernel: KernelModel, device: FakeDevice, complete: boolean): void {
  expect(device.faults).toEqual([]);
  for (const address of addresses()) {
    const hardware = device.lookup(0, FAMILY.ipv4, BigInt(address));
    const wanted = kernel.lookup(address);
    const seen = JSON.stringify({ address: address.toString(16), hardware, wanted });
    if (hardware.action === 'drop') expect(wanted.verdict, seen).toBe('drop');
    if (hardware.action === 'forward') {
      expect(wanted.verdict, seen).toBe('forward');
      expect([...hardware.ways].sort(), seen).toEqual([...wanted.ways].sort());
    }
    if (complete && hardware.action === 'trap') {
      // Nothing was refused: only what hardware has no way to do goes to the kernel.
      const hasSelective = [...kernel.routes.values()].some(({ tos, type }) => tos !== 0 || type === 'throw');
      if (!hasSelective) expect(wanted.verdict === 'kernel' || wanted.unresolved, seen).toBe(true);
    }
  }
}

/** Raise it to search longer: a failing run prints its seed. */
const RUNS = Number(process.env.EKHO_PROPERTY_RUNS ?? 150);

describe('forwarding equivalence', () => {
  test('with room for everything', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { kernel, device, planner } = await play(steps, { routes: 1000 });
        check(kernel, device, true);
        expect(await planner.verify()).toEqual([]);
        planner.close();
      }),
      { numRuns: RUNS },
    );
  });

  test('with a small table', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 12 }),
        async (steps, routes) => {
          const { kernel, device, planner } = await play(steps, { routes });
          check(kernel, device, false);
          expect(await planner.verify()).toEqual([]);
          planner.close();
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('with a device that has less room than it says, and few nexthops', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.record({
          deviceRoutes: fc.integer({ min: 1, max: 10 }),
          nexthops: fc.integer({ min: 1, max: 4 }),
          groups: fc.integer({ min: 1, max: 4 }),
        }),
        async (steps, limits) => {
          const { kernel, device, planner } = await play(steps, { routes: 1000, ...limits });
          check(kernel, device, false);
          expect(await planner.verify()).toEqual([]);
          planner.close();
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('with a device that refuses some prefixes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 2, max: 7 }),
        async (steps, modulus) => {
          const refuses: FakeDeviceOptions['refuses'] = ({ prefix: value, length, action }) =>
            action === 0 && (Number(value >> 8n) + length) % modulus === 0;
          const { kernel, device, planner } = await play(steps, { routes: 1000, refuses });
          check(kernel, device, false);
          planner.close();
        },
      ),
      { numRuns: RUNS },
    );
  });
});

describe('a device that fails', () => {
  test('is brought right by retries', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.integer({ min: 2, max: 5 }),
        async (steps, failEvery) => {
          const { kernel, device, planner } = await play(steps, { routes: 1000, failEvery });
          delete device.options.failEvery;
          const isRight = async () =>
            (await planner.verify()).length === 0 &&
            planner.summary()[0]!.tables.every(({ failed }) => failed === 0);
          for (let attempt = 0; attempt < 40 && !(await isRight()); attempt++)
            await new Promise((resolve) => setTimeout(resolve, 20));
          expect(await isRight()).toBe(true);
          check(kernel, device, true);
          planner.close();
        },
      ),
      { numRuns: Math.ceil(RUNS / 10) },
    );
  });
});

describe('hitless', () => {
  test('nothing is written when a plugin starts over on a device that holds everything', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { kernel, device, planner } = await play(steps, { routes: 1000 });
        planner.close();
        const before = device.writes;
        const next = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
        next.addPlugin({ name: 'fake', isPort: undefined });
        await next.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
        await next.settled();
        expect(await next.verify()).toEqual([]);
        expect(device.writes - before).toBe(0);
        check(kernel, device, true);
        next.close();
      }),
      { numRuns: RUNS },
    );
  });
});
