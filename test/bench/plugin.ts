/**
 * `npm run bench -- plugin`: what a route costs on its way into a plugin: encoded, through the ring, applied, answered.
 * `idle` does nothing with it and shows the way itself, by core calls and by jco's glue; `softnic` programs the simulated ASIC.
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice } from '../../host/device/registry.ts';
import { BATCH_AREA_SIZE, BatchEncoder } from '../../host/plugin/batch.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import { startRunner } from '../../host/plugin/pool-runner.ts';
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

async function throughPlugin(file: string, path: 'direct' | 'glue', size: number): Promise<number> {
  const plugin = await loadPlugin(file, { grants: ['asic'], cache: join(ROOT, 'build/fixtures/cache') });
  const device = openDevice({ kind: 'asic', name: 'bench' });
  const runner = await startRunner({ plugin, devices: [device.share], path, limits: { apply: 60_000 } });
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

console.log('ns per route    encode   idle direct   idle glue   glue/direct   softnic');
for (const size of BATCHES) {
  const encode = encodeOnly(size);
  const direct = await throughPlugin(idle, 'direct', size);
  const glue = await throughPlugin(idle, 'glue', size);
  const asic = await throughPlugin(softnic, 'direct', size);
  const columns = [
    `batch ${size}`.padEnd(12),
    encode.toFixed(1).padStart(9),
    direct.toFixed(1).padStart(13),
    glue.toFixed(1).padStart(11),
    (glue / direct).toFixed(1).padStart(13),
    asic.toFixed(1).padStart(9),
  ];
  console.log(columns.join(' '));
}
