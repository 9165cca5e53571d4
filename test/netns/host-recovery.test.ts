/**
 * Plugins and hosts that end in mid-storm, whatever the way: afterwards hardware is right, and what was right was not
 * touched. The ASIC counts what is written to it.
 */
import { afterEach, beforeAll, expect, test } from 'vitest';
import { buildBreakdown } from '../support/breakdown.ts';
import { type HostOptions, pause, TestHost } from '../support/host.ts';
import { Router, stormRoutes } from '../support/router.ts';

const PORTS = 2;
const ROUTES = 40_000;
const BREAKS_AT = 15_000;
/** Writes more than there are routes: what a change of ports or gateways may bring. */
const OTHERS = 8;

let router: Router | undefined;
let host: TestHost | undefined;
const folders = { traps: '', hangs: '', garbles: '' };

beforeAll(async () => {
  for (const how of ['traps', 'hangs', 'garbles'] as const)
    folders[how] = await buildBreakdown(how, BREAKS_AT);
});

afterEach(async () => {
  await host?.close();
  router?.close();
  host = router = undefined;
});

async function start(options: Partial<HostOptions> = {}): Promise<{ writes: number; used: number }> {
  router = new Router(PORTS);
  host = await TestHost.start({ netns: router.name, ...options });
  return { writes: (await host.device()).writes, used: await host.used('lpm4') };
}

/** All routes are held, each was written once, and hardware and kernel agree. */
async function check(before: { writes: number; used: number }): Promise<void> {
  await host!.settled();
  await host!.verified();
  expect(await host!.used('lpm4')).toBe(before.used + ROUTES);
  const writes = (await host!.device()).writes - before.writes;
  expect(writes).toBeGreaterThanOrEqual(ROUTES);
  expect(writes, `rows written for ${ROUTES} routes`).toBeLessThanOrEqual(ROUTES + OTHERS);
}

async function restarts(): Promise<number> {
  return (await host!.status()).plugins[0]!.restarts;
}

test('ekho plugin restart in mid-storm', async () => {
  const before = await start();
  const storm = router!.batchMeanwhile([...stormRoutes(ROUTES, PORTS)]);
  for (let time = 0; time < 3; time++) {
    const used = await host!.used('lpm4');
    // On a busy machine the storm may be over before the third restart.
    const enough = Math.min(used + 2001, before.used + ROUTES);
    await host!.until('the storm goes on', async () => (await host!.used('lpm4')) >= enough);
    const { code, err } = await host!.ekho('plugin', 'restart', 'softnic');
    expect(err).toBe('');
    expect(code).toBe(0);
  }
  await storm;
  await check(before);
  expect(await restarts()).toBe(3);
});

test.each(['traps', 'hangs'] as const)('a plugin that %s in mid-storm', async (how) => {
  const before = await start({ folder: folders[how] });
  await router!.batchMeanwhile([...stormRoutes(ROUTES, PORTS)]);
  await host!.until('the plugin is back', async () => {
    const { restarts, state } = (await host!.status()).plugins[0]!;
    return restarts === 1 && state === 'active';
  });
  await check(before);
  const { out } = await host!.ekho('plugin', 'logs', 'softnic');
  expect(out).toMatch(how === 'traps' ? /E_PLUGIN_TRAP/ : /E_PLUGIN_TIMEOUT/);
});

test('a plugin that answers what cannot be in mid-storm: what it holds is what counts', async () => {
  const before = await start({ folder: folders.garbles });
  await router!.batchMeanwhile([...stormRoutes(ROUTES, PORTS)]);
  await check(before);
  expect(host!.output).toContain('the plugin answered what it may not answer');
  expect(await restarts()).toBe(0);
  const { offload } = await host!.status();
  expect(offload.filter(({ refused, failed }) => refused + failed > 0)).toEqual([]);
});

test('a plugin ended three times while nothing changes: not a row is written', async () => {
  router = new Router(PORTS);
  router.batch([...stormRoutes(5000, PORTS)]);
  host = await TestHost.start({ netns: router.name });
  const { writes, removes } = await host.device();
  for (let time = 1; time <= 3; time++) {
    await host.restartPlugin();
    await host.settled();
  }
  expect(await restarts()).toBe(3);
  expect(await host.device()).toMatchObject({ writes, removes });
  await host.verified();
});

test('kill -9 of the host in mid-storm, and changes while it is gone', async () => {
  const before = await start({ keepsState: true });
  const routes = [...stormRoutes(ROUTES, PORTS)];
  const storm = router!.batchMeanwhile(routes);
  await host!.until('half of the storm is in hardware', async () => (await host!.used('lpm4')) > ROUTES / 2);
  await host!.stop('SIGKILL');
  await storm;
  const deleted = [...stormRoutes(ROUTES, PORTS, 'del')].filter((_, number) => number % 40 === 0);
  const moved = [...stormRoutes(ROUTES, PORTS, 'replace')]
    .filter((_, number) => number % 80 === 1)
    .map((line) => line.replace(/via .*/, 'via 10.255.0.5'));
  expect(router!.batch([...deleted, ...moved]).size).toBe(0);

  await host!.launch();
  const found = await host!.device();
  const held = found.tables.find(({ name }) => name === 'lpm4')!.used - before.used;
  expect(held).toBeGreaterThan(ROUTES / 2);
  await host!.settled();
  await host!.verified();
  const { writes, removes } = await host!.device();
  expect(await host!.used('lpm4')).toBe(before.used + ROUTES - deleted.length);
  // What came while it was gone is written, and of what changed no more than changed.
  const missing = ROUTES - held;
  expect(writes - found.writes).toBeLessThanOrEqual(missing + moved.length + OTHERS);
  expect(removes - found.removes).toBeLessThanOrEqual(deleted.length + OTHERS);
  console.log(
    `host gone with ${held} of ${ROUTES} routes in hardware; afterwards ${writes - found.writes} written, ${removes - found.removes} removed`,
  );
  expect(await host!.lookup({ destination: '16.0.1.77' })).toMatchObject({
    action: 'forward',
    ways: [{ gateway: '10.255.0.5' }],
  });
  expect(await host!.lookup({ destination: '16.0.0.77' })).toMatchObject({ action: 'trap' });
});

test('kill -9 and start again while nothing changes: not a row is written', async () => {
  router = new Router(PORTS);
  router.batch([...stormRoutes(5000, PORTS)]);
  host = await TestHost.start({ netns: router.name, keepsState: true });
  const { writes, removes } = await host.device();
  for (let time = 0; time < 2; time++) {
    await host.stop('SIGKILL');
    await pause(50);
    await host.start();
  }
  expect(await host.device()).toMatchObject({ writes, removes });
  await host.verified();
});
