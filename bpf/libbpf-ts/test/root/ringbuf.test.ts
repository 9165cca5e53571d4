/** Ring buffers: every record once, in order and in place; the waiting thread; drops; use after close. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BpfObject, encode, type RingBuffer } from '../../src/index.ts';
import { compile } from '../compile.ts';
import { errorOf } from '../support.ts';

interface Arguments {
  count: number;
  length: number;
  emitted: number;
}

let object: BpfObject;
let ring: RingBuffer;

beforeEach(() => {
  object = BpfObject.open(compile('basics')).load();
  ring = object.ringBuffer('events', { drops: object.map('events_drops') });
});
afterEach(() => {
  ring.close();
  object.close();
});

function emit(count: number): void {
  const context = encode(object.type<Arguments>('arguments'), { count, length: 24, emitted: 0 });
  object.program('emit').run({ context });
}

test('records come in order, without the discarded ones, over many rounds of the buffer', () => {
  const serials: number[] = [];
  let misshapen = 0;
  for (let round = 0; round < 100; round++) {
    emit(1000);
    ring.drain((data, offset, length) => {
      if (length !== 16 || offset % 8 !== 0 || data.getUint32(offset + 8, true) !== 24) misshapen++;
      serials.push(Number(data.getBigUint64(offset, true)));
    });
  }
  const expected = Array.from({ length: 100_000 }, (_, index) => index + 1).filter(
    (serial) => serial % 10 !== 0,
  );
  expect(misshapen).toBe(0);
  expect(serials).toEqual(expected);
  expect(ring.stats()).toEqual({
    records: 90_000,
    bytes: 90_000 * 16,
    discarded: 10_000,
    drops: 0,
    wakeups: 0,
  });
});

test('what does not fit is counted: produced = received + discarded + drops', () => {
  emit(50_000);
  const received = ring.drain(() => {});
  const { drops, discarded } = ring.stats();
  expect(drops).toBeGreaterThan(0);
  expect(received + discarded + drops).toBe(50_000);
});

test('a limit leaves the rest; an error of the handler loses nothing else', () => {
  emit(20);
  expect(ring.drain(() => {}, 5)).toBe(5);
  const boom = new Error('boom');
  expect(() =>
    ring.drain(() => {
      throw boom;
    }),
  ).toThrow(boom);
  expect(ring.drain(() => {})).toBe(12);
  expect(
    errorOf(() => {
      emit(1);
      ring.drain(() => ring.drain(() => {}));
    }).code,
  ).toBe('E_STATE');
});

test('a thread waits and wakes the loop; stop() ends that', async () => {
  let seen = 0;
  const drops: number[] = [];
  ring.start(() => seen++, { onDrops: (lost) => drops.push(lost) });
  expect(errorOf(() => ring.start(() => {})).code).toBe('E_STATE');
  for (let round = 0; round < 20; round++) {
    emit(100);
    const until = Date.now() + 60_000;
    while (seen < (round + 1) * 90 && Date.now() < until) await sleep(1);
  }
  expect(seen).toBe(1800);
  expect(ring.stats().wakeups).toBeGreaterThanOrEqual(20);
  expect(ring.stats().wakeups).toBeLessThanOrEqual(60);
  emit(50_000);
  while (drops.length === 0) await sleep(1);
  expect(drops.reduce((sum, lost) => sum + lost)).toBe(ring.stats().drops);
  ring.stop();
  const before = seen;
  emit(10);
  await sleep(50);
  expect(seen).toBe(before);
  ring.start(() => seen++);
  while (seen === before) await sleep(1); // what came meanwhile is not lost
});

test('a quiet ring costs no wake-ups', async () => {
  ring.start(() => {});
  await sleep(300);
  expect(ring.stats().wakeups).toBe(0);
});

test('a view kept after close is empty, not foreign memory', () => {
  emit(1);
  let kept: DataView | undefined;
  ring.drain((data) => {
    kept = data;
  });
  ring.close();
  expect(() => kept!.getUint8(0)).toThrow(TypeError);
  expect(errorOf(() => ring.drain(() => {})).code).toBe('E_CLOSED');
  expect(errorOf(() => ring.stats()).code).toBe('E_CLOSED');
});

test('closing from the handler ends the reading', () => {
  emit(20);
  let seen = 0;
  ring.drain(() => {
    if (++seen === 3) ring.close();
  });
  expect(seen).toBe(3);
});

test('the ring outlives its object', () => {
  emit(10);
  object.close();
  expect(ring.drain(() => {})).toBe(9);
  expect(ring.stats().records).toBe(9);
});

test('a process that waits for records ends when it has nothing else to do, if told so', () => {
  const index = JSON.stringify(join(import.meta.dirname, '../../src/index.ts'));
  const script = `
    const { BpfObject } = await import(${index});
    const object = BpfObject.open(${JSON.stringify(compile('basics'))}).load();
    object.ringBuffer('events').start(() => {}, { keepAlive: false });
    setTimeout(() => console.log('end'), 100);`;
  const args = ['--input-type=module', '-e', script];
  expect(execFileSync(process.execPath, args, { timeout: 60_000 }).toString()).toBe('end\n');
});
