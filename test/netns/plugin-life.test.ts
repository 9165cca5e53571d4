/** A plugin's file comes, goes and is replaced while a host runs and routes change: hardware goes on, and no entry is written again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { PluginDetails } from '../../host/api/schemas.ts';
import { ROOT } from '../../host/config/config.ts';
import { embedManifest } from '../../host/plugin/manifest.ts';
import { setRouteCount } from '../support/asic-file.ts';
import { type HostOptions, TestHost } from '../support/host.ts';
import { Router, stormRoutes } from '../support/router.ts';

const SOFTNIC = join(ROOT, 'build/plugins/softnic.wasm');
const ROUTES = 20_000;
/** Of the storm: added a tenth of a second's worth at a time, at 10,000 a second. */
const STORM = 30_000;
const SLICE = 1000;
const LPM4 = 131_072;

let router: Router | undefined;
let host: TestHost | undefined;
let folder: string | undefined;

afterEach(async () => {
  await host?.close();
  router?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  host = router = folder = undefined;
});

async function start(options: Partial<HostOptions> = {}): Promise<TestHost> {
  router = new Router(4);
  folder = join(ROOT, `build/fixtures/plugins-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  copyFileSync(SOFTNIC, join(folder, 'softnic.wasm'));
  host = await TestHost.start({
    netns: router.name,
    folder,
    isolation: 'process',
    tables: { lpm4: LPM4 },
    ...options,
  });
  return host;
}

/** Puts a file in place as a whole. */
function place(bytes: Uint8Array): void {
  writeFileSync(join(folder!, 'next'), bytes);
  renameSync(join(folder!, 'next'), join(folder!, 'softnic.wasm'));
}

/** The reference plugin as another file that does the same. */
const version = (number: string) =>
  embedManifest(readFileSync(SOFTNIC), { name: 'softnic', version: number });

function plugin(): Promise<PluginDetails> {
  return host!.client.get<PluginDetails>('/api/v1/plugins/softnic');
}

/** Feeds `ip -batch` at a steady pace; resolves when it has taken all. */
async function storm(lines: readonly string[]): Promise<void> {
  const child = spawn('ip', ['-n', router!.name, '-batch', '-'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  for (let at = 0; at < lines.length; at += SLICE) {
    child.stdin.write(`${lines.slice(at, at + SLICE).join('\n')}\n`);
    await new Promise((resolve) => setTimeout(resolve, SLICE / 10));
  }
  child.stdin.end();
  expect((await ended)[0]).toBe(0);
}

test('another version takes over in a storm: what did not change is not written again', async () => {
  const { settled, device } = { settled: () => host!.settled(), device: () => host!.device() };
  await start({ keepsState: true });
  const all = [...stormRoutes(ROUTES + STORM, 4)];
  router!.batch(all.slice(0, ROUTES));
  await settled();
  const before = await device();
  const { sha256, isolation } = await plugin();
  expect(isolation).toBe('process');

  // What traffic would count, while routes change and the version does.
  const asic = join(host!.folder, 'asic0');
  const seen: number[] = [];
  let packets = 0;
  const count = async () => {
    packets += 1000;
    setRouteCount(asic, { lpm4: LPM4 }, 0x10000000, 24, packets);
    const { entries } = await host!.stats();
    seen.push(entries.find(({ entry }) => entry.startsWith('route 16.0.0.0/24'))?.packets ?? 0);
  };
  await count();
  const raging = storm(all.slice(ROUTES));
  place(version('2'));
  await host!.until(
    'the other version runs',
    async () => {
      await count();
      return (await plugin()).sha256 !== sha256;
    },
    120_000,
  );
  await raging;
  await settled();
  await host!.verified();
  const after = await device();
  expect(await plugin()).toMatchObject({ state: 'active', counters: { faults: 0 } });
  // A reading that was under way is shared: the next one has it.
  await host!.until(
    'all is counted',
    async () => {
      await count();
      return seen.at(-1) === packets;
    },
    60_000,
  );
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(after.tables.find(({ name }) => name === 'lpm4')!.used).toBe(
    before.tables.find(({ name }) => name === 'lpm4')!.used + STORM,
  );
  expect(after.writes - before.writes, 'rows written').toBe(STORM);
  expect(after.removes - before.removes, 'rows removed').toBe(0);
  expect(after.epoch).toBe(before.epoch);

  // A version that does not run leaves the one before, and nothing is written.
  const broken = Buffer.from(version('3'));
  place(broken.subarray(0, broken.length / 2));
  await host!.until('the broken one is refused', async () => (await plugin()).state === 'degraded');
  expect(await plugin()).toMatchObject({ reason: expect.stringContaining('ends too early') });
  await host!.verified();
  expect((await device()).writes).toBe(after.writes);
}, 120_000);

test('disabled, its device holds nothing, also after a restart of the host; enabled, what it held; so with its file, gone and back', async () => {
  await start();
  router!.batch(['route add 16.0.0.0/24 via 10.255.0.2']);
  await host!.settled();
  const held = async () => (await host!.device()).tables.reduce((sum, { used }) => sum + used, 0);
  const forwards = async () => (await host!.lookup({ destination: '16.0.0.1' })).action;
  const full = await held();
  expect(await forwards()).toBe('forward');
  expect(await host!.ekho('plugin', 'disable', 'softnic')).toMatchObject({ code: 0 });
  expect(await held()).toBe(0);
  expect(await plugin()).toMatchObject({ state: 'stopped', reason: 'disabled' });
  // Nobody waits for it, and nothing is missing.
  await host!.settled();
  await host!.verified();

  await host!.stop();
  await host!.launch();
  await host!.settled();
  expect(await plugin()).toMatchObject({ state: 'stopped', reason: 'disabled' });
  await host!.verified();
  expect(await held()).toBe(0);
  expect(await host!.ekho('plugin', 'enable', 'softnic')).toMatchObject({ code: 0 });
  await host!.settled();
  expect(await held()).toBe(full);
  expect(await forwards()).toBe('forward');

  rmSync(join(folder!, 'softnic.wasm'));
  await host!.until(
    'it is gone',
    async () => (await host!.status()).plugins[0]!.state === 'missing',
    120_000,
  );
  expect(await held()).toBe(0);
  place(version('2'));
  await host!.until('it is back', async () => (await host!.status()).plugins[0]!.state === 'active', 120_000);
  await host!.settled();
  await host!.verified();
  expect(await held()).toBe(full);
  const shown = await host!.ekho('plugin', 'show', 'softnic');
  expect(shown.out).toMatch(/isolation +process/);
}, 180_000);

test('disabled with `on-disable = "keep"`, its device goes on with what it holds', async () => {
  await start({ onDisable: 'keep' });
  router!.batch(['route add 16.0.0.0/24 via 10.255.0.2']);
  await host!.settled();
  const before = await host!.device();
  expect(await host!.ekho('plugin', 'disable', 'softnic')).toMatchObject({ code: 0 });
  expect(await host!.device()).toEqual(before);
  router!.batch(['route del 16.0.0.0/24']);
  await host!.settled();
  expect(await host!.device()).toEqual(before);
  expect(await host!.ekho('plugin', 'enable', 'softnic')).toMatchObject({ code: 0 });
  await host!.settled();
  await host!.verified();
  expect((await host!.device()).removes).toBeGreaterThan(before.removes);
}, 120_000);
