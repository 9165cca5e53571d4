/**
 * `npm run bench -- plugin`: what a route costs on its way into a plugin: encoded, through the ring, applied, answered.
 * `idle` does nothing with it and shows the way itself, in a worker by core calls and by jco's glue, and in a process of its own;
 * `softnic` programs the simulated ASIC. Beside them a plain function that reads the same batch where it was written.
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice } from '../../host/device/registry.ts';
import { BATCH_AREA_SIZE, BatchEncoder, BatchReader } from '../../host/plugin/batch.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import { type Isolation, startRunner } from '../../host/plugin/pool-runner.ts';
import { memoryViews } from '../../host/plugin/record-cursor.ts';
import { ACTION, OPERATION } from '../../host/plugin/records.ts';
import { buildPlugin } from '../../plugins/toolchain/build-plugin.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BATCHES = [1, 16, 256, 4096];
/** Distinct routes: batches put them again and again. */
const ROUTES = 65_536;
const SECONDS = 0.7;

function put(batch: BatchEncoder, index: number): void {
  const route = batch.route(OPERATION.put, 0x50000001 + index);
  route.action = ACTION.trap;
  route.prefixLength = 24;
  route.setPrefix(0, 0, 0, ((10 << 24) + (index << 8)) >>> 0);
}

function encodeOnly(size: number): number {
  const batch = new BatchEncoder(memoryViews(new SharedArrayBuffer(BATCH_AREA_SIZE)), 0);
  let index = 0;
  let changes = 0;
  const started = performance.now();
  while (performance.now() - started < SECONDS * 500) {
    for (let round = 0; round < 64; round++) {
      batch.reset();
      for (let one = 0; one < size; one++) put(batch, index++ % ROUTES);
    }
    changes += size * 64;
  }
  return ((performance.now() - started) * 1e6) / changes;
}

/** Encodes, and a function of this thread reads every field that a plugin would program. */
function plainFunction(size: number): number {
  const views = memoryViews(new SharedArrayBuffer(BATCH_AREA_SIZE));
  const batch = new BatchEncoder(views, 0);
  const reader = new BatchReader(views, 0);
  const { routes } = reader;
  let index = 0;
  let changes = 0;
  let sum = 0;
  const started = performance.now();
  while (performance.now() - started < SECONDS * 500) {
    for (let round = 0; round < 64; round++) {
      batch.reset();
      for (let one = 0; one < size; one++) put(batch, index++ % ROUTES);
      for (routes.reset(size); routes.next(); )
        sum += routes.handle + routes.action + routes.prefixLength + routes.vrf + routes.prefix0;
    }
    changes += size * 64;
  }
  if (sum === 0) throw new Error('nothing was read');
  return ((performance.now() - started) * 1e6) / changes;
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
  });
  let index = 0;
  let answered = 0;
  let until = performance.now() + 300;
  let counting = false;
  let started = 0;
  const done = Promise.withResolvers<number>();
  const fill = () => {
    for (;;) {
      const now = performance.now();
      if (now > until) {
        if (counting) return done.resolve(((now - started) * 1e6) / answered);
        // Warm.
        counting = true;
        started = now;
        answered = 0;
        until = now + SECONDS * 1000;
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

const idle = join(ROOT, 'build/fixtures/idle.wasm');
await buildPlugin({ folder: join(ROOT, 'test/fixtures/plugins/idle'), output: idle });
const softnic = join(ROOT, 'build/plugins/softnic.wasm');
await buildPlugin({ folder: join(ROOT, 'plugins/softnic'), output: softnic });

const WAYS: readonly { title: string; cost: (size: number) => number | Promise<number> }[] = [
  { title: 'encode', cost: encodeOnly },
  { title: 'function', cost: plainFunction },
  { title: 'idle worker', cost: (size) => throughPlugin(idle, 'worker', 'direct', size) },
  { title: 'idle process', cost: (size) => throughPlugin(idle, 'process', 'direct', size) },
  { title: 'idle glue', cost: (size) => throughPlugin(idle, 'worker', 'glue', size) },
  { title: 'softnic worker', cost: (size) => throughPlugin(softnic, 'worker', 'direct', size) },
  { title: 'softnic process', cost: (size) => throughPlugin(softnic, 'process', 'direct', size) },
];

console.log(['ns per route', ...WAYS.map(({ title }) => title.padStart(15))].join(' '));
for (const size of BATCHES) {
  const columns = [`batch ${size}`.padEnd(12)];
  for (const { cost } of WAYS) columns.push((await cost(size)).toFixed(1).padStart(15));
  console.log(columns.join(' '));
}
