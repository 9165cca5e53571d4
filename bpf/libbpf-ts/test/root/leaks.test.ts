/**
 * 10,000 rounds of opening and closing each kind of handle: descriptors, mappings and memory stay where they were. Detaching
 * waits for the kernel's grace periods (15 to 30 ms), so attaching has fewer rounds; the same link handles get theirs by a pin.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BpfMap, BpfObject, Link } from '../../src/index.ts';
import { compile } from '../compile.ts';
import { errorOf, mappings, mountBpfFs, openDescriptors, residentBytes, Wire } from '../support.ts';

const ROUNDS = 10_000;
const ATTACH_ROUNDS = 300;
/** Memory may grow by the garbage collector's heap, not with the rounds: 10,000 leaks of 6 KiB would show. */
const GROWTH_MAX = 64 << 20;

const BASICS = compile('basics');
const SMALL = compile('small');
const object = BpfObject.open(BASICS).load();
let fs: ReturnType<typeof mountBpfFs>;
let wire: Wire;
let ifindex: number;
beforeAll(() => {
  fs = mountBpfFs();
  object.map('slots').pin(join(fs.path, 'slots'));
  using link = object.program('on_task').attach();
  link.pin(join(fs.path, 'link'));
  wire = new Wire();
  ifindex = wire.ifindex;
});
afterAll(() => {
  wire[Symbol.dispose]();
  BpfMap.unpin(join(fs.path, 'slots'));
  Link.unpin(join(fs.path, 'link'));
  fs[Symbol.dispose]();
  object.close();
});

test.each<[string, () => void, number?]>([
  [
    'an object that is opened, loaded, used',
    () => {
      using each = BpfObject.open(SMALL).load();
      each.map<number, bigint>('slots').set(0, 1n);
      each.variable<bigint>('total').set(2n);
      each.program('nothing').run();
    },
  ],
  ['an object that is only opened', () => BpfObject.open(SMALL).close()],
  [
    'a ring buffer that is waited for',
    () => {
      using ring = object.ringBuffer('events', { drops: object.map('events_drops') });
      ring.start(() => {});
      ring.drain(() => {});
    },
  ],
  ['a link', () => Link.fromPin(join(fs.path, 'link')).close()],
  ['attaching', () => object.program('on_task').attach().close(), ATTACH_ROUNDS],
  [
    'attaching XDP',
    () => wire.inside(() => object.program('count_packets').attachXdp(ifindex)).close(),
    ATTACH_ROUNDS,
  ],
  [
    'a map',
    () => {
      using map = BpfMap.create<number, number>({ type: 'hash', keySize: 4, valueSize: 4, maxEntries: 4 });
      map.setBatch([1, 2], [3, 4]);
      for (const _entry of map) break;
    },
  ],
  ['a pinned map', () => BpfMap.fromPin(join(fs.path, 'slots')).close()],
  [
    'failures',
    () => {
      errorOf(() => BpfObject.open('/no/such/file'));
      errorOf(() => BpfMap.fromPin(join(fs.path, 'none')));
      errorOf(() => Link.fromPin(join(fs.path, 'slots')));
      errorOf(() => object.program('on_task').attachRawTracepoint('none'));
    },
  ],
])('%s', async (_name, round, rounds = ROUNDS) => {
  for (let count = 0; count < rounds / 20; count++) round();
  await sleep(20);
  const before = { fds: openDescriptors(), maps: mappings(), memory: residentBytes() };
  for (let count = 0; count < rounds; count++) {
    round();
    // The loop has to turn for finalizers to run.
    if (count % 500 === 0) await sleep(0);
  }
  await sleep(20);
  expect(openDescriptors()).toBe(before.fds);
  // V8 and malloc map pages of their own; a leaked mapping a round would be thousands.
  expect(mappings() - before.maps).toBeLessThan(rounds / 10);
  expect(residentBytes() - before.memory).toBeLessThan(GROWTH_MAX);
});
