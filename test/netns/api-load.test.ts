/** Two hundred dashboards and fifty event streams on a host that follows a storm of changes: nobody is turned away, and the mirror keeps up. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import type { Seen } from '../support/dashboards.ts';
import { TestHost } from '../support/host.ts';
import { Router, stormRoutes } from '../support/router.ts';

const DASHBOARDS = 200;
const STREAMS = 50;
/** Changes a second, and for how many of them. */
const RATE = 20_000;
const SECONDS = 5;
const CHUNKS_PER_S = 20;
/** For the mirror to be equal to the kernel after the last change, in milliseconds; as long as the storm on a machine that is busy. */
const FOLLOWS_MS = 1_000;

let router: Router | undefined;
let host: TestHost | undefined;
let readers: ReturnType<typeof spawn> | undefined;

afterEach(async () => {
  readers?.kill('SIGKILL');
  await host?.close();
  router?.close();
  host = router = readers = undefined;
});

/** Feeds `ip -batch` at the rate, or as fast as it takes them. */
async function feed(lines: readonly string[]): Promise<number> {
  const child = spawn('ip', ['netns', 'exec', router!.name, 'ip', '-batch', '-'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const began = performance.now();
  const chunk = RATE / CHUNKS_PER_S;
  for (let from = 0; from < lines.length; from += chunk) {
    const due = began + (from / RATE) * 1_000 - performance.now();
    if (due > 0) await new Promise((resolve) => setTimeout(resolve, due));
    if (!child.stdin.write(`${lines.slice(from, from + chunk).join('\n')}\n`))
      await once(child.stdin, 'drain');
  }
  child.stdin.end();
  const [code] = await once(child, 'close');
  expect(code).toBe(0);
  return performance.now() - began;
}

test(`${DASHBOARDS} dashboards and ${STREAMS} event streams in a storm`, async () => {
  router = new Router(4);
  host = await TestHost.start({
    netns: router.name,
    tables: { lpm4: 262_144 },
    listen: '127.0.0.1:0',
  });
  const { url } = await host.status();
  const script = join(ROOT, 'test/support/dashboards.ts');
  readers = spawn(process.execPath, [script, url!, `${DASHBOARDS}`, `${STREAMS}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let said = '';
  readers.stdout!.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  await expect.poll(() => said, { timeout: 120_000 }).toContain('ready');

  const routes = async () => (await host!.status()).kinds.find(({ kind }) => kind === 'route')!.count;
  const before = await routes();
  const kept = (RATE * SECONDS) / 5;
  const added = [...stormRoutes((RATE * SECONDS) / 2 + kept / 2, 4)];
  const deleted = [...stormRoutes((RATE * SECONDS) / 2 - kept / 2, 4, 'del')];
  const took = await feed([...added, ...deleted]);
  const ended = performance.now();
  await expect.poll(routes, { interval: 5, timeout: 120_000 }).toBe(before + kept);
  const followed = performance.now() - ended;
  const waited = await host.ekho('wait', '--timeout', '120');
  const settled = performance.now() - ended;
  const verify = await host.ekho('verify');
  expect(waited.err).toBe('');
  expect(verify.out).toMatch(/^equal/m);

  readers.stdin!.end(`${added.length + deleted.length}`);
  await once(readers, 'close');
  const seen = JSON.parse(said.slice(said.indexOf('{'))) as Seen;
  console.log(
    `${added.length + deleted.length} changes in ${took.toFixed(0)} ms; mirror ${followed.toFixed(0)} ms after, hardware ${settled.toFixed(0)} ms after; ` +
      `answers ${JSON.stringify(seen.answers_ms)}; changes told to a stream ${Math.min(...seen.streams.map(({ told }) => told))} or more, lost ${Math.max(...seen.streams.map(({ lost }) => lost))} or less`,
  );
  expect(seen.faults).toEqual([]);
  for (const { told, lost } of seen.streams)
    expect(told + lost).toBeGreaterThanOrEqual(added.length + deleted.length);
  expect(followed).toBeLessThan(Math.max(FOLLOWS_MS, took));
}, 300_000);
