/**
 * With the rules a machine starts with, IPv4 may look local and main up as one table (net/ipv4/fib_trie.c): where that and
 * one after the other differ, the kernel gets the packets.
 */

import { expect, test } from 'vitest';
import { Planner } from '../../../host/offload/planner.ts';
import { FAMILY } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel, type ModelRoute, type RouteType } from './kernel-model.ts';

const LOCAL = 255;
const MAIN = 254;
const DEFAULT = 253;

function route(table: number, prefix: number, length: number, type: RouteType = 'unicast'): ModelRoute {
  return { table, prefix, length, type, priority: 0, tos: 0, gateways: [1] };
}

async function play(...routes: readonly ModelRoute[]) {
  const kernel = new KernelModel();
  for (const [priority, table] of [
    [0, LOCAL],
    [32_766, MAIN],
    [32_767, DEFAULT],
  ] as const) {
    kernel.put('rule', {
      header: { family: 2, dst_len: 0, src_len: 0, tos: 0, table, action: 1, flags: 0 },
      priority,
      table,
    });
  }
  kernel.setNeighbour(1, true);
  for (const each of routes) kernel.addRoute(each);
  kernel.commit();
  const device = new FakeDevice({ routes: 100 });
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  const change = async (make: () => void) => {
    make();
    kernel.commit();
    await planner.settled();
  };
  await planner.settled();
  return {
    kernel,
    planner,
    change,
    lookup: (address: number) => device.lookup(0, FAMILY.ipv4, BigInt(address)).action,
  };
}

test('a route of main that one of local covers', async () => {
  const { lookup, planner } = await play(
    route(LOCAL, 0x0a000000, 8, 'blackhole'),
    route(MAIN, 0x0a010000, 16),
    route(MAIN, 0x0b000000, 8),
  );
  expect(lookup(0x0a010001)).toBe('trap');
  expect(lookup(0x0a020001)).toBe('drop');
  expect(lookup(0x0b000001)).toBe('forward');
  planner.close();
});

test('throw in local', async () => {
  const { lookup, planner } = await play(
    route(LOCAL, 0x0a010000, 16, 'throw'),
    route(MAIN, 0x0a000000, 8),
    route(MAIN, 0x0a010200, 24),
  );
  expect(lookup(0x0a010001)).toBe('trap');
  expect(lookup(0x0a020001)).toBe('forward');
  expect(lookup(0x0a010201)).toBe('forward');
  planner.close();
});

test('blackhole in main, while table default has routes', async () => {
  const { kernel, lookup, change, planner } = await play(route(MAIN, 0x0a000000, 8, 'blackhole'));
  expect(lookup(0x0a010001)).toBe('drop');
  await change(() => kernel.addRoute(route(DEFAULT, 0, 0)));
  expect(lookup(0x0a010001)).toBe('trap');
  expect(lookup(0x0b000001)).toBe('forward');
  await change(() => kernel.deleteRoute(route(DEFAULT, 0, 0)));
  expect(lookup(0x0a010001)).toBe('drop');
  planner.close();
});

test('any other rule keeps the tables apart', async () => {
  const { kernel, lookup, change, planner } = await play(
    route(LOCAL, 0x0a000000, 8, 'blackhole'),
    route(MAIN, 0x0a010000, 16),
  );
  await change(() =>
    kernel.put('rule', {
      header: { family: 2, dst_len: 0, src_len: 0, tos: 0, table: 100, action: 1, flags: 0 },
      priority: 100,
      table: 100,
    }),
  );
  expect(lookup(0x0a010001)).toBe('drop');
  planner.close();
});
