/** What the kernel is told of counters, whatever a plugin reads. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FirmwareRule } from '../../../host/kernel/firmware/firmware.ts';
import { type Count, FirmwareCounts } from '../../../host/offload/firmware-counts.ts';

const count = (packets: number, bytes: number, drops = 0): Count => ({
  packets: BigInt(packets),
  bytes: BigInt(bytes),
  drops: BigInt(drops),
});

/** A rule of which the kernel was told this much before. */
const rule = (id: bigint, told = count(0, 0)) => ({ id, context: told }) as unknown as FirmwareRule;

test('a rule counts from its beginning', () => {
  const counts = new FirmwareCounts();
  expect(counts.tell(rule(1n), count(0, 0), undefined, true)).toBeUndefined();
  expect(counts.tell(rule(1n), count(3, 300), undefined, true)).toEqual({
    packets: 3n,
    bytes: 300n,
    drops: 3n,
  });
  expect(counts.tell(rule(1n), count(4, 400), undefined, false)).toEqual({
    packets: 4n,
    bytes: 400n,
    drops: 0n,
  });
});

test('what was told is not told again, unless it may have been lost', () => {
  const counts = new FirmwareCounts();
  const tell = (packets: number) => counts.tell(rule(1n), count(packets, 60 * packets), undefined, false);
  expect(tell(3)).toMatchObject(count(3, 180));
  expect(tell(3)).toBeUndefined();
  counts.again(1n);
  expect(tell(3)).toMatchObject(count(3, 180));
  expect(tell(4)).toMatchObject(count(4, 240));
  counts.forget(1n);
  expect(tell(4)).toMatchObject(count(4, 240));
});

test('a rule that is older than the host goes on from what was told, with all that was counted since', () => {
  const counts = new FirmwareCounts();
  const none = { id: undefined };
  const older = rule(1n, count(10, 1000));
  // Its entry had counted 2 when the rule was told of.
  const last = { ...none, ...count(2, 200) };
  expect(counts.tell(older, count(5, 500), last, false)).toMatchObject(count(13, 1300));
  expect(counts.tell(older, count(6, 600), { id: 1n, ...count(5, 500) }, false)).toMatchObject(
    count(14, 1400),
  );
  // Its entry was made since.
  expect(counts.tell(rule(2n, count(10, 1000)), count(3, 300), undefined, false)).toMatchObject(
    count(13, 1300),
  );
  // The entry's counter goes on, too.
  const more = { ...none, ...count(12, 1200) };
  expect(counts.tell(rule(3n, count(10, 1000)), count(13, 1300), more, false)).toMatchObject(count(13, 1300));
});

test('a rule that took over an entry goes on from nothing', () => {
  const counts = new FirmwareCounts();
  // The rule was told of later than its entry was made.
  const before = { id: undefined, ...count(1, 100) };
  expect(counts.tell(rule(4n), count(2, 200), before, false)).toMatchObject(count(2, 200));
  const last = { id: 1n, ...count(5, 500) };
  expect(counts.tell(rule(2n), count(7, 700), last, false)).toMatchObject(count(2, 200));
  // Its entry was made anew since.
  expect(counts.tell(rule(2n), count(6, 0), last, false)).toMatchObject(count(1, 0));
  counts.forget(2n);
  expect(counts.tell(rule(2n), count(6, 60), undefined, false)).toMatchObject(count(6, 60));
});

test('a rule that leaves hardware for a while counts on with its next entry', () => {
  const counts = new FirmwareCounts();
  counts.tell(rule(1n), count(20, 2000), undefined, false);
  counts.leave(1n);
  counts.leave(1n);
  // Another entry, which another rule had before.
  expect(counts.tell(rule(1n), count(0, 0), { id: 2n, ...count(7, 700) }, false)).toBeUndefined();
  expect(counts.tell(rule(1n), count(3, 300), undefined, false)).toMatchObject(count(23, 2300));
  // One that never counted, and one that never had an entry here.
  counts.tell(rule(3n), count(0, 0), undefined, false);
  counts.leave(3n);
  counts.leave(4n);
  expect(counts.tell(rule(3n), count(1, 100), undefined, false)).toMatchObject(count(1, 100));
  expect(counts.tell(rule(4n, count(5, 500)), count(1, 100), undefined, false)).toMatchObject(count(6, 600));
});

test('what a rate dropped is told, also when it is read later than the packets', () => {
  const counts = new FirmwareCounts();
  const none = { id: undefined };
  expect(counts.tell(rule(1n), count(9, 900, 3), undefined, false)).toEqual(count(9, 900, 3));
  expect(counts.tell(rule(1n), count(9, 900, 4), undefined, false)).toEqual(count(9, 900, 4));
  expect(counts.tell(rule(1n), count(9, 900, 4), undefined, false)).toBeUndefined();
  // Never more than came.
  expect(counts.tell(rule(1n), count(9, 900, 11), undefined, false)).toEqual(count(9, 900, 9));
  // A rule older than the host, and one that took over an entry.
  const older = rule(2n, count(10, 1000, 5));
  expect(counts.tell(older, count(4, 400, 2), { ...none, ...count(3, 300, 1) }, false)).toEqual(
    count(11, 1100, 6),
  );
  expect(counts.tell(rule(3n), count(6, 600, 4), { id: 1n, ...count(4, 400, 3) }, false)).toEqual(
    count(2, 200, 1),
  );
});

test('whatever is read, what is told has its place in 64 bits', () => {
  const wild = fc.record({
    packets: fc.bigInt(-(2n ** 70n), 2n ** 70n),
    bytes: fc.bigInt(-(2n ** 70n), 2n ** 70n),
    drops: fc.bigInt(-(2n ** 70n), 2n ** 70n),
  });
  const place = (value: bigint) => value === BigInt.asUintN(64, value);
  fc.assert(
    fc.property(fc.array(wild, { maxLength: 8 }), wild, fc.boolean(), (readings, before, drops) => {
      const counts = new FirmwareCounts();
      for (const now of readings) {
        const told = counts.tell(rule(2n), now, { id: 1n, ...before }, drops);
        if (told !== undefined) expect(Object.values(told).every(place)).toBe(true);
      }
    }),
  );
});
