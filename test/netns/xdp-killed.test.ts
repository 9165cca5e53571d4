/** A plugin of the XDP data path that is ended where it stands: it leaves neither descriptors nor mappings in the host, however often. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openDevice } from '../../host/device/registry.ts';
import { EkhoError } from '../../host/errors.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import { startRunner } from '../../host/plugin/pool-runner.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const KILLS = 4;
/** Others of this process come and go. A plugin has more tables than that. */
const SPARE = 20;

const descriptors = () => readdirSync('/proc/self/fd').length;
const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('\n').filter(isOfMap).length;
const isOfMap = (line: string) => line.includes('bpf-map');

test('killed plugins leave nothing open', async () => {
  const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
    grants: ['tables'],
    cache: join(ROOT, 'build/fixtures/cache'),
  });
  const mappingsBefore = mappings();
  const device = openDevice({ kind: 'tables', name: 'killed', tables: { lpm4: 512 } });
  const kill = async () => {
    const runner = await startRunner({ plugin, devices: [device.share] });
    const { promise, resolve } = Promise.withResolvers<void>();
    runner.listen({ result() {}, ready() {}, events() {}, fault() {}, down: () => resolve() });
    runner.kill(new EkhoError('E_PLUGIN_DOWN', 'ended by the test'));
    await promise;
  };
  try {
    // The first brings what stays: caches, the thread pool.
    await kill();
    const [open, mapped] = [descriptors(), mappings()];
    for (let round = 0; round < KILLS; round++) await kill();
    expect(mappings()).toBe(mapped);
    expect(descriptors()).toBeLessThan(open + SPARE);
  } finally {
    device.close();
  }
  expect(mappings()).toBe(mappingsBefore);
}, 120_000);
