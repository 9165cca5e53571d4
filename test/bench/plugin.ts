/**
 * `npm run bench -- plugin [cost] [latency] [--write]`: what a route costs on its way into a plugin (encoded, through the ring, applied,
 * answered), and how long it takes to the device under load; both unless one is named. `--write` puts what was measured into
 * docs/plugins-security.md.
 *
 * `idle` looks at each route and does nothing with it: it shows the way itself, in each language and isolation, and by jco's glue
 * instead of core calls; `softnic` programs the simulated ASIC. Beside them a plain function that reads the same batch where it
 * was written.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../../host/config/config.ts';
import { openDevice } from '../../host/device/registry.ts';
import { BATCH_AREA_SIZE, BatchEncoder, BatchReader } from '../../host/plugin/batch.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import { type Isolation, startRunner } from '../../host/plugin/pool-runner.ts';
import { memoryViews } from '../../host/plugin/record-cursor.ts';
import { ACTION, OPERATION } from '../../host/plugin/records.ts';
import { buildPlugin } from '../../plugins/toolchain/build-plugin.mjs';
import { buildIdle } from './idle-plugins.ts';
import { type Latency, measureLatency } from './plugin-latency.ts';
import { table } from './table.ts';

const PAGE = join(ROOT, 'docs/plugins-security.md');
const PARTS = ['cost', 'latency'] as const;
const BATCHES = [1, 16, 256, 4096];
/** Distinct routes: batches put them again and again. */
const ROUTES = 65_536;
/** Of one round. Of several the quickest counts: the one that other work on the machine disturbed least. */
const SECONDS = 0.15;
const ROUNDS = 6;
/** Between two rounds: they stand apart, so that what disturbs one does not disturb them all. */
const REST_MS = 150;
/** Routes a second that latency is measured at, and for how long. */
const PACE = 10_000;
const LATENCY_SECONDS = 5;
/** Of these, too, the one with the shortest p99 counts. */
const LATENCY_ROUNDS = 3;

function put(batch: BatchEncoder, index: number): void {
  const route = batch.route(OPERATION.put, 0x50000001 + index);
  route.action = ACTION.trap;
  route.prefixLength = 24;
  route.setPrefix(0, 0, 0, ((10 << 24) + (index << 8)) >>> 0);
}

function encodeOnly(size: number): Promise<number> {
  const batch = new BatchEncoder(memoryViews(new SharedArrayBuffer(BATCH_AREA_SIZE)), 0);
  let index = 0;
  return quickest(size, () => {
    batch.reset();
    for (let one = 0; one < size; one++) put(batch, index++ % ROUTES);
  });
}

/** Nanoseconds per change of batches of that size. */
async function quickest(size: number, oneBatch: () => void): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(REST_MS);
    let changes = 0;
    const started = performance.now();
    while (performance.now() - started < SECONDS * 1000) {
      for (let some = 0; some < 64; some++) oneBatch();
      changes += size * 64;
    }
    best = Math.min(best, ((performance.now() - started) * 1e6) / changes);
  }
  return best;
}

/** Encodes, and a function of this thread reads every field that a plugin would program. */
async function plainFunction(size: number): Promise<number> {
  const views = memoryViews(new SharedArrayBuffer(BATCH_AREA_SIZE));
  const batch = new BatchEncoder(views, 0);
  const reader = new BatchReader(views, 0);
  const { routes } = reader;
  let index = 0;
  let sum = 0;
  const cost = await quickest(size, () => {
    batch.reset();
    for (let one = 0; one < size; one++) put(batch, index++ % ROUTES);
    for (routes.reset(size); routes.next(); )
      sum += routes.handle + routes.action + routes.prefixLength + routes.vrf + routes.prefix0;
  });
  if (sum === 0) throw new Error('nothing was read');
  return cost;
}

async function throughPlugin(
  file: string,
  isolation: Isolation,
  path: 'direct' | 'glue',
  size: number,
): Promise<number> {
  const plugin = await loadPlugin(file, { grants: ['asic'], cache: join(ROOT, 'build/fixtures/cache') });
  const device = openDevice({ kind: 'asic', name: 'bench' });
  const runner = await startRunner({
    plugin,
    devices: [device.share],
    isolation,
    path,
    limits: { apply: 60_000 },
    // It is the way that is measured.
    deviceCalls: 100_000_000,
  });
  let index = 0;
  let answered = 0;
  // The first round is to warm up, and does not count.
  let round = 0;
  let isResting = false;
  let started = performance.now();
  let until = started + 300;
  let best = Number.POSITIVE_INFINITY;
  const done = Promise.withResolvers<number>();
  const begin = () => {
    isResting = false;
    started = performance.now();
    answered = 0;
    until = started + SECONDS * 1000;
    fill();
  };
  const fill = () => {
    while (!isResting) {
      const now = performance.now();
      if (now > until) {
        if (round > 0) best = Math.min(best, ((now - started) * 1e6) / answered);
        if (round++ === ROUNDS) done.resolve(best);
        else setTimeout(begin, REST_MS);
        isResting = true;
        return;
      }
      const batch = runner.begin();
      if (batch === undefined) return;
      for (let one = 0; one < size; one++) put(batch, index++ % ROUTES);
      runner.commit();
    }
  };
  runner.listen({
    result: ({ batch }) => {
      answered += batch.count;
    },
    ready: fill,
    events: () => {},
    fault: (error) => done.reject(error),
    down: (error) => done.reject(error),
  });
  fill();
  const cost = await done.promise;
  await runner.stop();
  device.close();
  return cost;
}

/** Titles, and nanoseconds per route by batch size. */
async function costs(softnic: string): Promise<string[][]> {
  const c = await buildIdle('c');
  const assemblyscript = await buildIdle('assemblyscript');
  const typescript = await buildIdle('typescript');
  const ways: readonly { title: string; cost: (size: number) => number | Promise<number> }[] = [
    { title: 'encoding alone', cost: encodeOnly },
    { title: 'plain function', cost: plainFunction },
    ...(['worker', 'process'] as const).flatMap((isolation) => [
      { title: `C, ${isolation}`, cost: (size: number) => throughPlugin(c, isolation, 'direct', size) },
      {
        title: `AssemblyScript, ${isolation}`,
        cost: (size: number) => throughPlugin(assemblyscript, isolation, 'direct', size),
      },
      {
        title: `TypeScript (QuickJS), ${isolation}`,
        cost: (size: number) => throughPlugin(typescript, isolation, 'direct', size),
      },
    ]),
    { title: 'C by jco’s glue, worker', cost: (size) => throughPlugin(c, 'worker', 'glue', size) },
    {
      title: 'softnic and its ASIC, worker',
      cost: (size) => throughPlugin(softnic, 'worker', 'direct', size),
    },
    {
      title: 'softnic and its ASIC, process',
      cost: (size) => throughPlugin(softnic, 'process', 'direct', size),
    },
  ];
  const rows = [['ns per route', ...BATCHES.map((size) => `batch ${size.toLocaleString('en')}`)]];
  for (const { title, cost } of ways) {
    const row = [title];
    for (const size of BATCHES) row.push((await cost(size)).toFixed(0));
    rows.push(row);
    console.log(row.map((cell, column) => (column === 0 ? cell.padEnd(32) : cell.padStart(12))).join(''));
  }
  return rows;
}

async function latencies(softnic: string): Promise<string[][]> {
  const rows = [['ms from the mirror to the device', 'routes a second', 'p50', 'p99', 'longest']];
  for (const isolation of ['worker', 'process'] as const) {
    const rounds: Latency[] = [];
    while (rounds.length < LATENCY_ROUNDS)
      rounds.push(await measureLatency(softnic, isolation, PACE, PACE * LATENCY_SECONDS));
    const { pace, p50, p99, max } = rounds.reduce((best, one) => (one.p99 < best.p99 ? one : best));
    const row = [`softnic, ${isolation}`, pace.toFixed(0), ...[p50, p99, max].map((ms) => ms.toFixed(2))];
    rows.push(row);
    console.log(row.join('  '));
  }
  return rows;
}

/** Puts text between the two marks of a part. */
function write(part: (typeof PARTS)[number], text: string): void {
  const page = readFileSync(PAGE, 'utf8');
  const marks = [`<!-- bench: ${part} -->`, `<!-- end of bench: ${part} -->`] as const;
  const start = page.indexOf(marks[0]);
  const end = page.indexOf(marks[1]);
  if (start < 0 || end < start) throw new Error(`${PAGE} has no marks ${marks.join(' … ')}`);
  writeFileSync(PAGE, `${page.slice(0, start + marks[0].length)}\n${text}\n${page.slice(end)}`);
}

/** Where it was measured, and what else might have been going on. */
function machine(): string {
  const model = `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}`;
  const policy = /^policy\s*:\s*([12])$/m.exec(readFileSync('/proc/self/sched', 'utf8'));
  const priority = policy === null ? '' : ', which the bench had precedence over (`chrt`)';
  return `${model}; load average ${loadavg()[0]!.toFixed(1)} when it began${priority}`;
}

const softnic = join(ROOT, 'build/fixtures/softnic.wasm');
await buildPlugin({ folder: join(ROOT, 'plugins/softnic'), output: softnic });
const named = PARTS.filter((part) => process.argv.includes(part));
for (const part of named.length === 0 ? PARTS : named) {
  const where = machine();
  console.log(where);
  const rows = await (part === 'cost' ? costs : latencies)(softnic);
  if (process.argv.includes('--write')) write(part, `\n${where}:\n\n${table(rows)}\n`);
}
