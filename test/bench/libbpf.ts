/**
 * `npm run bench -- libbpf [--entries N] [--records N]`: what map operations and ring buffer records cost from TypeScript, beside a
 * C program that does the same with libbpf, in one run. Needs root, clang, cc and libbpf's headers.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { BpfObject } from '../../bpf/libbpf-ts/src/index.ts';

const ROUNDS = 5;
const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '200000' },
    records: { type: 'string', default: '2000000' },
  },
});
const entries = Number(values.entries);
const records = Number(values.records);
if (!(entries >= 1000 && entries <= 1 << 20 && records >= 10_000)) {
  console.error('--entries takes a number from 1000 to 1048576, --records one from 10000 on');
  process.exit(2);
}

type Costs = Record<
  'set' | 'get' | 'setBatch' | 'setBatchArrays' | 'getBatch' | 'entries' | 'deleteBatch' | 'record',
  number
>;

const EMIT = new Uint8Array(new Uint32Array([10_000, 1]).buffer);

/** Nanoseconds for each of `count`. */
function each(count: number, work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / count;
}

function measure(path: string): Costs {
  using object = BpfObject.open(path).load();
  const map = object.map<number, bigint>('counts');
  const value = (index: number) => BigInt(index);
  const set = each(entries, () => {
    for (let index = 0; index < entries; index++) map.set(index, value(index));
  });
  const get = each(entries, () => {
    for (let index = 0; index < entries; index++) {
      if (map.get(index) !== value(index)) throw new Error(`entry ${index} is wrong`);
    }
  });
  const setBatch = each(entries, () => {
    const keys = new Uint32Array(entries);
    const doubles = new BigUint64Array(entries);
    const words = new Uint32Array(doubles.buffer);
    for (let index = 0; index < entries; index++) {
      keys[index] = index;
      words[index * 2] = index * 2;
    }
    map.setBatch(keys, doubles);
  });
  const numbers = Array.from({ length: entries }, (_, index) => index);
  const bigs = numbers.map(BigInt);
  const setBatchArrays = each(entries, () => map.setBatch(numbers, bigs));
  let sum = 0;
  const getBatch = each(entries, () => {
    for (const chunk of map.chunks()) {
      const words = new Uint32Array(chunk.values.buffer);
      for (let index = 0; index < chunk.count; index++) sum += words[index * 2]!;
    }
  });
  let seen = 0;
  const iterate = each(entries, () => {
    for (const [, each] of map) if (each >= 0n) seen++;
  });
  if (seen !== entries) throw new Error(`${seen} of ${entries} entries were seen`);
  const keys = Uint32Array.from(numbers);
  const deleteBatch = each(entries, () => {
    if (map.deleteBatch(keys) !== entries) throw new Error('not all were there');
  });
  using ring = object.ringBuffer('events');
  const emit = object.program('emit');
  let taken = 0;
  let time_ns = 0;
  while (taken < records) {
    emit.run({ context: EMIT });
    const start = process.hrtime.bigint();
    taken += ring.drain((data, offset) => {
      sum += data.getUint32(offset, true);
    });
    time_ns += Number(process.hrtime.bigint() - start);
  }
  if (sum === 0) throw new Error('nothing was read');
  return {
    set,
    get,
    setBatch,
    setBatchArrays,
    getBatch,
    entries: iterate,
    deleteBatch,
    record: time_ns / taken,
  };
}

/** Records per second from a producer on another thread, through the waiting thread and the event loop; and what was lost. */
async function stream(path: string): Promise<{ perSecond: number; lost: number; wakeups: number }> {
  using object = BpfObject.open(path).load();
  const { fd } = object.program('emit');
  const dropped = object.variable<bigint>('dropped');
  using ring = object.ringBuffer('events', { drops: dropped });
  const serial = object.variable<bigint>('serial');
  const runs = Math.ceil(records / 1000);
  let seen = 0;
  let last = 0;
  ring.start((data, offset) => {
    seen++;
    last = data.getUint32(offset, true);
  });
  const producer = new Worker(new URL('./libbpf-producer.ts', import.meta.url), { workerData: { fd, runs } });
  const start: bigint = await new Promise((resolve, reject) => {
    producer.once('error', reject);
    producer.once('message', resolve);
  });
  await new Promise((resolve) => producer.once('exit', resolve));
  while (seen < Number(serial.get())) await new Promise((resolve) => setImmediate(resolve));
  const time_ns = Number(process.hrtime.bigint() - start);
  const { drops, wakeups } = ring.stats();
  if (seen + drops !== runs * 1000 || last !== seen - 1)
    throw new Error(`${seen} received, ${drops} lost of ${runs * 1000}`);
  return { perSecond: (seen / time_ns) * 1e9, lost: drops / (seen + drops), wakeups };
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}

const work = mkdtempSync(join(tmpdir(), 'ekho-bench-'));
try {
  const folder = import.meta.dirname;
  const object = join(work, 'libbpf.bpf.o');
  const program = join(work, 'libbpf');
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const clang = ['-O2', '-g', '-target', 'bpf', `-I/usr/include/${machine}-linux-gnu`];
  execFileSync('clang', [...clang, '-c', join(folder, 'libbpf.bpf.c'), '-o', object]);
  execFileSync('cc', ['-O2', '-o', program, join(folder, 'libbpf.c'), '-lbpf']);
  const c: Record<string, number>[] = [];
  const ts: Costs[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    c.push(JSON.parse(execFileSync(program, [object, String(entries), String(records)]).toString()));
    ts.push(measure(object));
  }
  const rows = [
    ['set', 'set', 'set'],
    ['get', 'get', 'get'],
    ['setBatch, typed arrays', 'setBatch', 'setBatch'],
    ['setBatch, arrays', 'setBatchArrays', 'setBatch'],
    ['chunks', 'getBatch', 'getBatch'],
    ['entries', 'entries', 'getBatch'],
    ['deleteBatch', 'deleteBatch', 'deleteBatch'],
    ['ring buffer record', 'record', 'record'],
  ] as const;
  console.log(`${entries} entries of u32 → u64, ${records} records of 64 bytes; median of ${ROUNDS} rounds`);
  console.log('                          TypeScript          C   ratio');
  for (const [title, mine, its] of rows) {
    const a = median(ts.map((costs) => costs[mine]));
    const b = median(c.map((costs) => costs[its]!));
    const cells = [
      `${a.toFixed(0)} ns`.padStart(10),
      `${b.toFixed(0)} ns`.padStart(10),
      (a / b).toFixed(2).padStart(7),
    ];
    console.log(`${title.padEnd(26)}${cells.join(' ')}`);
  }
  const perRecord = median(ts.map((costs) => costs.record));
  console.log(`drain: ${Math.round(1e9 / perRecord).toLocaleString('en')} records/s (aim: 1,000,000)`);
  const streams = [];
  for (let round = 0; round < ROUNDS; round++) streams.push(await stream(object));
  const rate = median(streams.map((each) => each.perSecond));
  const lost = median(streams.map((each) => each.lost));
  console.log(
    `stream from another thread: ${Math.round(rate).toLocaleString('en')} records/s, ` +
      `${(lost * 100).toFixed(1)} % lost, ${median(streams.map((each) => each.wakeups))} wake-ups`,
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}
