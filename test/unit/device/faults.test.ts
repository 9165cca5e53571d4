/** Faults the simulated ASIC can be told to show, and power. */

import { beforeEach, expect, test } from 'vitest';
import { AsicDevice, openAsicCore } from '../../../host/device/asic/device.ts';
import { LPM4, NONE } from '../../../host/device/asic/layout.ts';
import type { AsicDeviceCore } from '../../../host/device/core.ts';
import { openCore } from '../../../host/device/core-registry.ts';
import { deviceKinds, openDevice } from '../../../host/device/registry.ts';
import { readAll, row } from './rows.ts';

let device: AsicDevice;
let core: AsicDeviceCore;

beforeEach(() => {
  device = new AsicDevice({ name: 'test', kind: 'asic', tables: { lpm4: 200 } });
  core = openAsicCore(device.share);
});

function burst(count: number): { done: number; status: number } {
  const rows = new Uint32Array(count * 6);
  for (let at = 0; at < count; at++)
    rows.set(row(LPM4, { cookie: at, prefix: at, length: 32, action: 2, group: NONE }), at * 6);
  return { ...core.write(LPM4, rows, 0, count) };
}

test('every n-th row fails, and the burst stops there', () => {
  device.inject({ failEvery: 10 });
  expect(burst(25)).toEqual({ done: 9, status: 5 });
  expect(burst(5)).toEqual({ done: 5, status: 0 });
  expect(burst(5)).toEqual({ done: 4, status: 5 });
  device.inject({ failEvery: 0 });
  expect(burst(100)).toEqual({ done: 100, status: 0 });
  expect(device.status().writes).toBe(9 + 5 + 4 + 100);
});

test('refused writes change nothing; removing goes on', () => {
  burst(3);
  device.inject({ refuse: true });
  expect(burst(3)).toEqual({ done: 0, status: 4 });
  expect({ ...core.remove(LPM4, new Uint32Array([0, 1, 32]), 0, 1) }).toEqual({ done: 1, status: 0 });
});

test('a full table takes replacements but no more rows', () => {
  expect(burst(201)).toEqual({ done: 200, status: 1 });
  expect(burst(200)).toEqual({ done: 200, status: 0 });
});

test('a delay is taken once per burst', () => {
  device.inject({ delay: 20_000 });
  const before = performance.now();
  burst(100);
  expect(performance.now() - before).toBeGreaterThan(19);
});

test('power: off, tables are gone at once and nothing is taken; on, they are empty', () => {
  burst(100);
  device.inject({ poweredOff: true });
  expect(device.lookup({ destination: '10.0.0.1' })).toMatchObject({ action: 'trap', by: 'no power' });
  expect(device.status().tables[LPM4]!.used).toBe(0);
  expect(burst(10)).toEqual({ done: 0, status: 6 });
  expect(readAll(core, LPM4)).toEqual([]);
  expect(core.epoch()).toBe(1);
  device.inject({ poweredOff: false });
  expect(readAll(core, LPM4)).toEqual([]);
  expect(burst(10)).toEqual({ done: 10, status: 0 });
  expect(device.status().tables[LPM4]!.used).toBe(10);
  device.powerCycle();
  expect(core.epoch()).toBe(2);
  expect(core.info(LPM4).used).toBe(0);
  // Counts of what was done are the host's, not the ASIC's.
  expect(device.status().writes).toBe(110);
});

test('values out of range are refused', () => {
  for (const faults of [{ failEvery: -1 }, { failEvery: 1.5 }, { delay: 1e9 }]) {
    expect(() => device.inject(faults)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  }
});

test('kinds of device are opened by name on both sides', async () => {
  expect(deviceKinds()).toEqual(['asic', 'tables', 'rtnetlink']);
  const opened = openDevice({ name: 'a', kind: 'asic', tables: { lpm4: 9 } });
  expect(((await openCore(structuredClone(opened.share))) as AsicDeviceCore).info(LPM4)).toEqual({
    capacity: 9,
    used: 0,
    words: 6,
    keyWords: 3,
  });
  for (const config of [
    { name: 'a', kind: 'npu' },
    { name: 'a', kind: 'asic', tables: { lpm5: 1 } },
    { name: 'a', kind: 'asic', tables: { lpm4: 0 } },
  ]) {
    expect(() => openDevice(config)).toThrow(
      expect.objectContaining({ code: 'E_DEVICE', remedy: expect.any(String) }),
    );
  }
});
