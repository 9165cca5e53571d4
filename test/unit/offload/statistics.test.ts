/** When the file with the counters is written: with each reading, unless that takes long. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Planner } from '../../../host/offload/planner.ts';
import { Statistics } from '../../../host/offload/statistics.ts';

const INTERVAL_MS = 10_000;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-counters-'));
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

/** What the file says after each reading; saving takes so many milliseconds. */
async function written(readings: number, saving_ms: number): Promise<(number | undefined)[]> {
  const file = join(folder, 'counters');
  const statistics = new Statistics({
    interval_ms: INTERVAL_MS,
    file,
    warn: (message) => expect.fail(message),
  });
  let packets = 0;
  const planner = {
    readCounters: async () => {
      packets++;
    },
    *savedCounters() {
      vi.advanceTimersByTime(saving_ms);
      yield { plugin: 'softnic', entry: 'route', packets, bytes: 0, devicePackets: packets, deviceBytes: 0 };
    },
  };
  statistics.start(planner as unknown as Planner);
  const found: (number | undefined)[] = [];
  for (let reading = 0; reading < readings; reading++) {
    await vi.advanceTimersByTimeAsync(INTERVAL_MS);
    found.push(saved(file));
  }
  await statistics.stop();
  return found;
}

function saved(file: string): number | undefined {
  try {
    return (JSON.parse(readFileSync(file, 'utf8').trim().split('\n').at(-1)!) as { packets: number }).packets;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

test('after the first minute each reading is saved', async () => {
  const none = undefined;
  expect(await written(9, 0)).toEqual([none, none, none, none, none, 6, 7, 8, 9]);
});

test('where saving takes a second, it is done once a minute', async () => {
  const found = await written(20, 1000);
  expect(found[5]).toBe(6);
  const changes = found.filter((packets, reading) => reading > 5 && packets !== found[reading - 1]);
  expect(changes).toHaveLength(2);
});

test('who is told of a reading and fails keeps neither samples nor saving from happening', async () => {
  const warnings: string[] = [];
  const samples: string[] = [];
  let fails = true;
  const statistics = new Statistics({
    interval_ms: INTERVAL_MS,
    file: join(folder, 'counters'),
    warn: (message) => warnings.push(message),
    onRead: () => {
      if (fails) throw new Error('the map is full');
    },
    onSample: () => samples.push('sample'),
  });
  const counter = { packets: 7, bytes: 0, devicePackets: 7, deviceBytes: 0 };
  const planner = {
    readCounters: async () => {},
    counters: () => [],
    savedCounters: () => [{ plugin: 'softnic', entry: 'route', ...counter }],
  };
  statistics.start(planner as unknown as Planner);
  for (let reading = 0; reading < 7; reading++) await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(samples).toHaveLength(7);
  expect(saved(join(folder, 'counters'))).toBe(7);
  await expect(statistics.now()).resolves.toEqual([]);
  expect(warnings).toEqual(['counters are not told on: the map is full']);
  // Once it went well, the next failure is told of again.
  fails = false;
  await statistics.now();
  fails = true;
  await statistics.now();
  expect(warnings).toHaveLength(2);
  await statistics.stop();
});
