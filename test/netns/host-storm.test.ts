/** A storm of routes on a running host: nothing is lost, hardware follows at once, and what did not change is not touched. */
import { afterEach, expect, test } from 'vitest';
import { TestHost } from '../support/host.ts';
import { Router, stormRoutes } from '../support/router.ts';

const ROUTES = 200_000;
/**
 * What `ekho wait` may take after the last change; on a slow machine as long as the changes took, or twice what comparing takes.
 */
const FOLLOWS_MS = 2000;

let router: Router | undefined;
let host: TestHost | undefined;

afterEach(async () => {
  await host?.close();
  router?.close();
  host = router = undefined;
});

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;

/** Runs the batch, waits for the host, checks that all is equal, and says how long each took. */
async function storm(what: string, lines: readonly string[]): Promise<void> {
  const began = performance.now();
  expect(router!.batch(lines).size, 'commands that ip refuses').toBe(0);
  const batched = performance.now();
  const waited = await host!.ekho('wait', '--timeout', '120');
  const followed = performance.now() - batched;
  const verified = performance.now();
  const verify = await host!.ekho('verify');
  const compared = performance.now() - verified;
  console.log(
    `${what}: ip -batch ${seconds(batched - began)}, ekho wait ${seconds(followed)}, ekho verify ${seconds(compared)}`,
  );
  expect(waited.err).toBe('');
  expect(verify.out, `${verify.err}${host!.output}`).toMatch(/^equal/m);
  expect(verify.code).toBe(0);
  expect(followed, 'milliseconds until the hardware had it all').toBeLessThan(
    Math.max(FOLLOWS_MS, batched - began, 2 * compared),
  );
}

async function used(table: string): Promise<number> {
  return (await host!.device()).tables.find(({ name }) => name === table)!.used;
}

test('200,000 routes are added, half of them deleted, some replaced', async () => {
  router = new Router(4);
  host = await TestHost.start({ netns: router.name, tables: { lpm4: 262_144 } });
  const before = await used('lpm4');

  await storm('200,000 routes added', [...stormRoutes(ROUTES, 4)]);
  expect(await used('lpm4')).toBe(before + ROUTES);
  const { kinds } = await host.status();
  expect(kinds.find(({ kind }) => kind === 'route')!.count).toBeGreaterThanOrEqual(ROUTES);

  const doomed = [...stormRoutes(ROUTES, 4, 'del')].filter((_, number) => number % 2 === 0);
  await storm('100,000 deleted', doomed);
  expect(await used('lpm4')).toBe(before + ROUTES / 2);

  // Another gateway for every hundredth of those that are left.
  const { writes } = await host.device();
  const moved = [...stormRoutes(ROUTES, 4, 'replace')]
    .filter((_, number) => number % 200 === 1)
    .map((line) => line.replace(/via .*/, 'via 10.255.0.5'));
  await storm('1,000 replaced', moved);
  expect(await used('lpm4')).toBe(before + ROUTES / 2);
  // A route each, and a nexthop and its group at the most.
  expect((await host.device()).writes - writes).toBeGreaterThanOrEqual(moved.length / 2);
  expect((await host.device()).writes - writes).toBeLessThanOrEqual(moved.length + 2);

  const answer = await host.lookup({ destination: '16.0.1.77' });
  expect(answer).toMatchObject({ action: 'forward', ways: [{ link: 'p0', gateway: '10.255.0.5' }] });
  expect(await host.lookup({ destination: '16.0.2.77' })).toMatchObject({ action: 'trap' });
}, 180_000);
