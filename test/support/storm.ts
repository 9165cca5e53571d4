/** A storm of route changes on a host that nobody looks at, or many do: how long after its end the mirror, and hardware, have all of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../../host/config/config.ts';
import type { Seen } from './dashboards.ts';
import { TestHost } from './host.ts';
import { Router, stormRoutes } from './router.ts';

const READERS = join(ROOT, 'test/support/dashboards.ts');
const PORTS = 4;
const LOOK_MS = 5;
const LIMIT_MS = 120_000;
const CHUNKS_PER_S = 20;

/** `rate` in changes a second; of the routes that are added, one in five `changes` stays. */
export interface Storm {
  readonly changes: number;
  readonly rate: number;
  /** None: nobody looks. */
  readonly dashboards: number;
  readonly streams: number;
}

/** Milliseconds: of the storm, and from its end until the last difference was seen. */
export interface Outcome {
  readonly took: number;
  readonly mirror: number;
  readonly hardware: number;
  /** What `ekho wait` and `ekho verify` said at the end. */
  readonly waited: string;
  readonly verified: string;
  /** Changes that did not fit into the receive buffer; what they led to was read anew, and made fewer changes. */
  readonly overrun: number;
  /** What the dashboards and streams saw, if there were any. */
  readonly seen: Seen | undefined;
}

export async function storm({ changes, rate, dashboards, streams }: Storm): Promise<Outcome> {
  const router = new Router(PORTS);
  let host: TestHost | undefined;
  let readers: Readers | undefined;
  try {
    host = await TestHost.start({ netns: router.name, tables: { lpm4: 262_144 }, listen: '127.0.0.1:0' });
    const { url } = await host.status();
    if (dashboards + streams > 0) readers = await Readers.start(url!, dashboards, streams);
    const kept = changes / 5;
    const wanted = (await routes(host)) + kept;
    const lines = [
      ...stormRoutes((changes + kept) / 2, PORTS),
      ...stormRoutes((changes - kept) / 2, PORTS, 'del'),
    ];
    const took = await feed(router.name, lines, rate);
    const ended = performance.now();
    const { mirror, waited } = await settle(host, wanted);
    const hardware = performance.now() - ended;
    const verified = (await host.ekho('verify')).out;
    const overrun = (await host.stats()).counters.sync!.lost!;
    const seen = await readers?.ask(changes - overrun);
    return { took, mirror: mirror - ended, hardware, waited, verified, overrun, seen };
  } finally {
    readers?.end();
    await host?.close();
    router.close();
  }
}

const routes = async (host: TestHost): Promise<number> =>
  (await host.status()).kinds.find(({ kind }) => kind === 'route')!.count;

/**
 * The moment up to which the mirror had another number of routes than `wanted`. The number alone would not do as an end: it passes
 * the wanted one on its way up.
 */
async function settle(host: TestHost, wanted: number): Promise<{ mirror: number; waited: string }> {
  let waited: string | undefined;
  const end = host.ekho('wait', '--timeout', String(LIMIT_MS / 1_000)).then(({ out, err }) => {
    waited = err + out;
  });
  let mirror = performance.now();
  while (waited === undefined) {
    if ((await routes(host)) !== wanted) mirror = performance.now();
    await sleep(LOOK_MS);
  }
  await end;
  return { mirror, waited };
}

/** Feeds `ip -batch` at `rate` lines a second, or as fast as it takes them; gives the milliseconds that took. */
async function feed(netns: string, lines: readonly string[], rate: number): Promise<number> {
  const child = spawn('ip', ['netns', 'exec', netns, 'ip', '-batch', '-'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const began = performance.now();
  const chunk = rate / CHUNKS_PER_S;
  for (let from = 0; from < lines.length; from += chunk) {
    const due = began + (from / rate) * 1_000 - performance.now();
    if (due > 0) await sleep(due);
    if (!child.stdin.write(`${lines.slice(from, from + chunk).join('\n')}\n`))
      await once(child.stdin, 'drain');
  }
  child.stdin.end();
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`ip -batch ended with ${code}`);
  return performance.now() - began;
}

/** Dashboards and event streams, in a process of their own. */
class Readers {
  #child: ChildProcess;
  #said = '';

  private constructor(url: string, dashboards: number, streams: number) {
    this.#child = spawn(process.execPath, [READERS, url, `${dashboards}`, `${streams}`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout!.setEncoding('utf8').on('data', (text) => {
      this.#said += text;
    });
  }

  /** Resolves once each has had an answer. */
  static async start(url: string, dashboards: number, streams: number): Promise<Readers> {
    const readers = new Readers(url, dashboards, streams);
    const until = performance.now() + LIMIT_MS;
    while (!readers.#said.includes('ready')) {
      if (performance.now() > until || readers.#child.exitCode !== null) {
        readers.end();
        throw new Error(`readers: ${readers.#said}`);
      }
      await sleep(LOOK_MS);
    }
    return readers;
  }

  async ask(changes: number): Promise<Seen> {
    this.#child.stdin!.end(String(changes));
    await once(this.#child, 'close');
    return JSON.parse(this.#said.slice(this.#said.indexOf('{'))) as Seen;
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}
