/** Several plugins in one host: who has which port, and what one that hangs for ever means to the others. */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { buildBreakdown } from '../support/breakdown.ts';
import { TestHost } from '../support/host.ts';
import { host4, Router } from '../support/router.ts';

/** Times the one that hangs is ended and started again while the other is watched. */
const RESTARTS = 2;
const LIMIT_MS = 120_000;

let hanging: string;
let router: Router | undefined;
let host: TestHost | undefined;
let folder: string | undefined;

beforeAll(async () => {
  hanging = await buildBreakdown('hangs', 0);
}, 120_000);

afterEach(async () => {
  await host?.close();
  router?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  host = router = folder = undefined;
});

test('one that hangs with every batch is ended and started again and again; the other goes on at its own pace', async () => {
  router = new Router(4);
  folder = join(ROOT, `build/fixtures/neighbours-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(ROOT, 'build/plugins/softnic.wasm'), join(folder, 'softnic.wasm'));
  copyFileSync(join(hanging, 'softnic.wasm'), join(folder, 'hanging.wasm'));
  host = new TestHost({
    netns: router.name,
    folder,
    isolation: 'process',
    // Whatever it would have for itself: the one with the higher priority has it.
    ports: ['p*', '!p3'],
    sections: [
      '[plugin.hanging]',
      'device = "asic1"',
      'ports = ["p*"]',
      'priority = 50',
      '[device.asic1]',
      'kind = "asic"',
    ],
  });
  await host.launch();
  const plugin = async (name: string) =>
    (await host!.status()).plugins.find((plugin) => plugin.name === name)!;
  await host.until('softnic is active', async () => (await plugin('softnic')).state === 'active', LIMIT_MS);
  await host.until('the other one fell', async () => (await plugin('hanging')).restarts > 0, LIMIT_MS);

  const began = (await plugin('hanging')).restarts;
  let rounds = 0;
  for (let fallen = began; fallen < began + RESTARTS; fallen = (await plugin('hanging')).restarts) {
    const before = await host.used('lpm4');
    router.ip(`route add 16.0.${rounds}.0/24 via ${host4(rounds % 3, 2)}`);
    await host.until('it is in hardware', async () => (await host!.used('lpm4')) === before + 1, LIMIT_MS);
    expect((await plugin('hanging')).state).not.toBe('active');
    rounds++;
  }
  // Had it waited for the other, there would be one at most for each time that was ended.
  expect(rounds).toBeGreaterThan(2 * RESTARTS);

  expect(await plugin('softnic')).toMatchObject({ state: 'active', ports: ['p0', 'p1', 'p2'], restarts: 0 });
  const { ports } = await plugin('hanging');
  expect(ports).toEqual(['p3']);
  expect((await host.lookup({ destination: '16.0.1.1', in: 'p0' })).action).toBe('forward');
  const { out } = await host.ekho('plugin', 'show', 'hanging');
  expect(out).toContain('did not return from apply within 1000 ms');
}, 300_000);
