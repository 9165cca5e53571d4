/** Counters of what a device handed to the kernel: they only grow, over restarts of device and host, and have rates. */
import { expect, test } from 'vitest';
import type { SavedEntry } from '../../../host/offload/saved-counters.ts';
import { type TrapCounter, TrapCounters } from '../../../host/offload/trap-counters.ts';

const count = (reason: string, packets: number, bytes = packets * 100): TrapCounter => ({
  reason,
  packets,
  bytes,
});

const totals = (counters: TrapCounters) =>
  counters.list().map(({ reason, packets, bytes }) => ({ reason, packets, bytes }));

test('what the device counts is told by reason, each from its first time on', () => {
  const counters = new TrapCounters('path');
  expect(counters.list()).toEqual([]);
  counters.take([count('ttl', 3)]);
  counters.take([count('ttl', 5), count('lpm miss', 2)]);
  expect(totals(counters)).toEqual([count('ttl', 5), count('lpm miss', 2)]);
});

test('a reason the device does not tell of keeps what it had', () => {
  const counters = new TrapCounters('path');
  counters.take([count('ttl', 3)]);
  counters.take([]);
  counters.take([count('ttl', 4)]);
  expect(totals(counters)).toEqual([count('ttl', 4)]);
});

test('a device that begins anew adds to what was counted', () => {
  const counters = new TrapCounters('path');
  counters.take([count('ttl', 10)]);
  counters.take([count('ttl', 4)]);
  counters.take([count('ttl', 6)]);
  expect(totals(counters)).toEqual([count('ttl', 16)]);
});

test.each([
  { device: 'went on counting', first: 25, total: 25 },
  { device: 'began anew', first: 7, total: 17 },
  { device: 'counted nothing more', first: 10, total: 10 },
])('the next host goes on where the device $device', ({ first, total }) => {
  const before = new TrapCounters('path');
  before.take([count('ttl', 10)]);
  const after = new TrapCounters('path', before.saved());
  expect(totals(after)).toEqual([count('ttl', 10)]);
  after.take([count('ttl', first)]);
  expect(totals(after)).toEqual([count('ttl', total)]);
});

test('lines of other entries in the file of counters are not taken for reasons', () => {
  const before = new TrapCounters('path');
  before.take([count('ttl', 10)]);
  const other: SavedEntry = {
    plugin: 'path',
    entry: 'route 10.0.0.0/8',
    packets: 1,
    bytes: 1,
    devicePackets: 1,
    deviceBytes: 1,
  };
  const saved = [...before.saved()];
  expect(saved.map(({ plugin }) => plugin)).toEqual(['path']);
  expect(totals(new TrapCounters('path', [other, ...saved]))).toEqual([count('ttl', 10)]);
});

test('rates are those between the last two samples', () => {
  const counters = new TrapCounters('path');
  const rates = () => {
    const { packets_per_s, bytes_per_s } = counters.list()[0]!;
    return [packets_per_s, bytes_per_s];
  };
  counters.take([count('ttl', 100)]);
  counters.sample(1000);
  expect(rates(), 'after one sample').toEqual([0, 0]);
  counters.take([count('ttl', 150)]);
  expect(rates(), 'before the next').toEqual([0, 0]);
  counters.sample(3000);
  expect(rates()).toEqual([25, 2500]);
  // A device that begins anew has no negative rate.
  counters.take([count('ttl', 10)]);
  counters.sample(4000);
  expect(rates()).toEqual([10, 1000]);
  counters.sample(4000);
  expect(rates(), 'in no time').toEqual([0, 0]);
  counters.sample(5000);
  expect(rates(), 'silence').toEqual([0, 0]);
});
