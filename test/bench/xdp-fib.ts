/**
 * `npm run bench -- xdp-fib [ROUTES]`: a whole FIB (default 1,000,000 IPv4 routes) into the XDP data path's tables: through the plugin and
 * the device, and beside it the same keys straight into a BPF map of the same kind, by batches and one at a time. Times as ratios
 * of the batches, memory from the kernel. Needs root.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BpfMap } from '../../bpf/libbpf-ts/src/index.ts';
import { openDevice } from '../../host/device/registry.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import { startRunner } from '../../host/plugin/pool-runner.ts';
import { ACTION, OPERATION } from '../../host/plugin/records.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ROUTES = Number(process.argv[2] ?? 1_000_000);
const BATCH = 4096;
/** BPF_F_NO_PREALLOC */
const NO_PREALLOC = 1;
const KEY = 12;
const VALUE = 16;

/** Route number `index`: /24s, and a /32 in every tenth of them. */
function routeOf(index: number): { length: number; address: number } {
  const isHost = index % 10 === 9;
  const network = (0x01000000 + (isHost ? index - 1 : index) * 256) >>> 0;
  return isHost ? { length: 32, address: network | 7 } : { length: 24, address: network };
}

async function throughPlugin(): Promise<{ seconds: number; memory: number }> {
  const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
    grants: ['tables'],
    cache: join(ROOT, 'build/fixtures/cache'),
  });
  const device = openDevice({ kind: 'tables', name: 'bench', tables: { lpm4: ROUTES } });
  try {
    const runner = await startRunner({ plugin, devices: [device.share], limits: { apply: 60_000 } });
    const done = Promise.withResolvers<number>();
    let sent = 0;
    let answered = 0;
    const started = performance.now();
    const fill = () => {
      while (sent < ROUTES) {
        const batch = runner.begin();
        if (batch === undefined) return;
        for (let one = 0; one < BATCH && sent < ROUTES; one++, sent++) {
          const { length, address } = routeOf(sent);
          const route = batch.route(OPERATION.put, 0x50000000 + sent);
          route.action = ACTION.trap;
          route.prefixLength = length;
          route.setPrefix(0, 0, 0, address);
        }
        runner.commit();
      }
    };
    runner.listen({
      result: ({ batch, outcomes }) => {
        if (outcomes.next()) done.reject(new Error('a route was not taken'));
        answered += batch.count;
        if (answered === ROUTES) done.resolve((performance.now() - started) / 1000);
      },
      ready: fill,
      events: () => {},
      fault: (error) => done.reject(error),
      down: (error) => done.reject(error),
    });
    fill();
    const seconds = await done.promise;
    const { used } = device.status().tables.find(({ name }) => name === 'routes4')!;
    if (used !== ROUTES) throw new Error(`${used} of ${ROUTES} routes are in the table`);
    const memory = memoryOf(device.share.maps!.routes4!);
    await runner.stop();
    return { seconds, memory };
  } finally {
    device.close();
  }
}

function straight(batch: number): number {
  using map = BpfMap.create({
    type: 'lpm_trie',
    keySize: KEY,
    valueSize: VALUE,
    maxEntries: ROUTES,
    flags: NO_PREALLOC,
  });
  const keys = new DataView(new ArrayBuffer(ROUTES * KEY));
  for (let index = 0; index < ROUTES; index++) {
    const { length, address } = routeOf(index);
    keys.setUint32(index * KEY, 32 + length, true);
    keys.setUint32(index * KEY + 8, address);
  }
  const values = new Uint8Array(batch * VALUE).fill(1);
  const started = performance.now();
  for (let from = 0; from < ROUTES; from += batch) {
    const rows = Math.min(batch, ROUTES - from);
    const some = new Uint8Array(keys.buffer, from * KEY, rows * KEY);
    map.setBatch(some, values.subarray(0, rows * VALUE));
  }
  return (performance.now() - started) / 1000;
}

/** What the kernel says a map takes, in bytes. */
function memoryOf(fd: number): number {
  using map = BpfMap.fromFd(fd);
  const text = readFileSync(`/proc/self/fdinfo/${map.fd}`, 'utf8');
  return Number(/^memlock:\s+(\d+)/m.exec(text)?.[1]);
}

const batches = straight(BATCH);
const singly = straight(1);
const { seconds, memory } = await throughPlugin();
const line = (title: string, time: number) =>
  console.log(
    `${title.padEnd(34)} ${time.toFixed(2).padStart(8)} s ${(time / batches).toFixed(2).padStart(8)} ${((time / ROUTES) * 1e9).toFixed(0).padStart(8)} ns`,
  );
console.log(`${ROUTES.toLocaleString('en-US')} IPv4 routes${' '.repeat(18)}     time    ratio per route`);
line(`straight, batches of ${BATCH}`, batches);
line('straight, one at a time', singly);
line('plugin and device', seconds);
console.log(`table ${(memory / 2 ** 20).toFixed(0)} MiB, ${(memory / ROUTES).toFixed(0)} bytes per route`);
