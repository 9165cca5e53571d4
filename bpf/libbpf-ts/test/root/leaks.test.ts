/**
 * 10,000 rounds of opening and closing each kind of handle: descriptors, mappings and memory stay where they were. Detaching
 * from a device, or the last two programs from a tracepoint, waits for the kernel's grace periods (15 to 30 ms): these have
 * fewer rounds and a closer look. The handles are the same.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BpfMap, BpfObject, Link } from '../../src/index.ts';
import { compile } from '../compile.ts';
import {
  allocatedBytes,
  errorOf,
  mappings,
  mountBpfFs,
  openDescriptors,
  residentBytes,
  Wire,
} from '../support.ts';

const ROUNDS = 10_000;
const SLOW_ROUNDS = 300;
/** Less than the smallest piece malloc gives out, in bytes: one that is lost in each round shows. */
const LEAK_MIN = 24;
const WINDOWS = 3;
/** Memory may grow by the garbage collector's heap, not with the rounds: 10,000 leaks of 6 KiB would show. */
const GROWTH_MAX = 64 << 20;

const BASICS = compile('basics');
const SMALL = compile('small');
const object = BpfObject.open(BASICS).load();
/** Beside two others, a program leaves a tracepoint without waiting (tracepoint_remove_func() in kernel/tracepoint.c). */
const others: Link[] = [];
let fs: ReturnType<typeof mountBpfFs>;
let wire: Wire;
let ifindex: number;
beforeAll(() => {
  fs = mountBpfFs();
  object.map('slots').pin(join(fs.path, 'slots'));
  using link = object.program('on_task').attach();
  link.pin(join(fs.path, 'link'));
  for (let count = 0; count < 2; count++) {
    others.push(
      object.program('on_task_btf').attach(),
      object.program('on_task').attachRawTracepoint('task_newtask'),
    );
  }
  wire = new Wire();
  ifindex = wire.ifindex;
});
afterAll(() => {
  wire[Symbol.dispose]();
  for (const link of others) link.close();
  BpfMap.unpin(join(fs.path, 'slots'));
  Link.unpin(join(fs.path, 'link'));
  fs[Symbol.dispose]();
  object.close();
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Lets the kernel's deferred work and finalizers run: memory is what is held on purpose. */
async function settle(): Promise<void> {
  for (let count = 0; count < 3; count++) {
    collect();
    await sleep(20);
  }
}

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
  ['attaching to a BTF tracepoint', () => object.program('on_task_btf').attach().close()],
  [
    'attaching to a raw tracepoint',
    () => object.program('on_task').attachRawTracepoint('task_newtask').close(),
  ],
  [
    'attaching a tc filter',
    () => wire.inside(() => object.program('count_frames').attachTc(ifindex, 'egress').close()),
  ],
  [
    'attaching XDP',
    () => wire.inside(() => object.program('count_packets').attachXdp(ifindex)).close(),
    SLOW_ROUNDS,
  ],
  [
    'attaching by tcx',
    () => wire.inside(() => object.program('count_frames').attachTcx(ifindex, 'ingress')).close(),
    SLOW_ROUNDS,
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
  const limit = LEAK_MIN * rounds;
  // What was allocated once comes in one of the windows, a leak in all of them.
  let growth = limit;
  for (let window = 0; window < WINDOWS && growth >= limit; window++) growth = await grown(round, rounds);
  expect(growth).toBeLessThan(limit);
});

/** Bytes of malloc that rounds hold afterwards; fails when descriptors, mappings or pages stay. */
async function grown(round: () => void, rounds: number): Promise<number> {
  await settle();
  const before = {
    fds: openDescriptors(),
    maps: mappings(),
    memory: residentBytes(),
    heap: allocatedBytes(),
  };
  for (let count = 0; count < rounds; count++) {
    round();
    // The loop has to turn for finalizers to run.
    if (count % 500 === 0) await sleep(0);
  }
  await settle();
  const heap = allocatedBytes() - before.heap;
  expect(openDescriptors()).toBe(before.fds);
  // V8 and malloc map pages of their own; a leaked mapping a round would be thousands.
  expect(mappings() - before.maps).toBeLessThan(rounds / 10);
  expect(residentBytes() - before.memory).toBeLessThan(GROWTH_MAX);
  return heap;
}
