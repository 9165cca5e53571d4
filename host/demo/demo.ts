/**
 * `npm start -- --demo`: two hosts and a router in network namespaces, real packets, the XDP data path as hardware. Shows how packets move
 * from the kernel to hardware, back when something is refused, and to hardware again. Leaves nothing behind.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Access } from '../api/access.ts';
import { Audit } from '../api/audit.ts';
import { listenTcp, listenUnix } from '../api/listen.ts';
import { createServer, type Server } from '../api/server.ts';
import { readConfig } from '../config/config.ts';
import { EkhoError } from '../errors.ts';
import { Host } from '../host.ts';
import { checkNeeds } from './needs.ts';
import { picture, type Sample } from './picture.ts';
import { NETWORKS, Town } from './town.ts';

export interface DemoOptions {
  /** Seconds each act takes, 1 to 600. */
  readonly seconds: number;
  /** File for a picture of what happened. */
  readonly picture?: string | undefined;
  readonly say: (line: string) => void;
}

/** What one looks at between two lines. */
const SAMPLE_MS = 500;
/** Nothing that `tables` can express: it looks at the TTL. Packets of the port go to the kernel as long as it is there. */
const FILTER =
  'tc filter add dev pa ingress pref 1 protocol ip u32 match u8 0xff 0xff at 8 action mirred egress redirect dev pb';
const BAR = 30;

export async function demo(options: DemoOptions): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new EkhoError('E_DEMO', 'the demo makes network namespaces and loads BPF programs', {
      remedy: 'Run it as root: sudo npm start -- --demo',
    });
  }
  checkNeeds();
  const stopped = new AbortController();
  const stop = () => stopped.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  const show = new Show(options, stopped.signal);
  try {
    await show.run();
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
  } finally {
    await show.close();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
  }
}

class Show {
  readonly #options: DemoOptions;
  readonly #signal: AbortSignal;
  readonly #folder = mkdtempSync(join(tmpdir(), 'ekho-demo-'));
  readonly #samples: Sample[] = [];
  readonly #began = performance.now();
  #before = { at: this.#began, kernel: 0, hardware: 0 };
  #town: Town | undefined;
  #host: Host | undefined;
  readonly #servers: Server[] = [];

  constructor(options: DemoOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const { say } = this.#options;
    const town = new Town();
    this.#town = town;
    say(`host a (${NETWORKS[0]}.2) – router – host b (${NETWORKS[1]}.2); a pings b`);
    town.startTraffic();
    await this.#act('the kernel forwards, nobody else', 'kernel alone');

    const socket = await this.#startHost(town);
    say(`\n$ ekho status --socket ${socket}    works meanwhile, as every other command`);
    await this.#act('the host runs: routes and neighbours are in hardware', 'ekho run');

    town.inRouter('tc qdisc add dev pa clsact');
    town.inRouter(FILTER);
    await this.#settled();
    say(`\n$ ${FILTER}`);
    await this.#explain(['dev', 'pa', 'ingress']);
    await this.#act('a filter that the hardware cannot express', 'tc filter add …');

    town.inRouter('tc qdisc del dev pa clsact');
    await this.#settled();
    say('\n$ tc qdisc del dev pa clsact');
    await this.#act('the filter is gone', 'tc qdisc del …');

    const { equal, objects, entries } = await this.#host!.verify();
    say(
      `\nverify: ${equal ? 'equal' : 'different'}: ${objects} objects with the kernel, ${entries} entries with hardware`,
    );
    if (this.#options.picture !== undefined) {
      writeFileSync(this.#options.picture, picture(this.#samples));
      say(`picture: ${this.#options.picture}`);
    }
  }

  async #startHost(town: Town): Promise<string> {
    const socket = join(this.#folder, 'ekho.sock');
    const config = join(this.#folder, 'ekho.toml');
    const lines = [
      '[mirror]',
      `netns = "${town.router}"`,
      '[api]',
      `socket = "${socket}"`,
      'listen = "off"',
      '[plugin.xdp]',
      'device = "path"',
      'ports = ["pa", "pb"]',
      '[device.path]',
      'kind = "tables"',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    this.#options.say('\n$ ekho run');
    this.#host = new Host(readConfig(config), (line) => this.#options.say(`  ${line}`));
    const shared = { access: new Access(), audit: new Audit(() => {}) };
    const local = createServer(this.#host, { transport: 'socket', ...shared });
    this.#servers.push(local);
    await listenUnix(local, socket);
    const network = createServer(this.#host, { transport: 'network', ...shared });
    this.#servers.push(network);
    const url = await listenTcp(network, '127.0.0.1', 0);
    this.#host.url = url;
    this.#options.say(`  dashboard ${url}`);
    await this.#settled();
    return socket;
  }

  async #settled(): Promise<void> {
    await this.#host!.wait(AbortSignal.any([this.#signal, AbortSignal.timeout(60_000)]));
  }

  async #explain(words: string[]): Promise<void> {
    for (const { object, lines } of await this.#host!.explain('filter', words, 1)) {
      this.#options.say(`$ ekho explain filter ${words.join(' ')}\n${object}`);
      for (const line of lines) this.#options.say(`  ${line}`);
    }
  }

  /** Shows for some seconds who forwards. `note` is what was done before, for the picture. */
  async #act(event: string, note: string): Promise<void> {
    this.#options.say(`\n${event}`);
    const end = performance.now() + this.#options.seconds * 1000;
    // What happened since the last act, while something was done.
    await this.#sample(note);
    let seen = 0;
    while (performance.now() < end) {
      await sleep(SAMPLE_MS, undefined, { signal: this.#signal });
      const { kernel, hardware } = await this.#sample();
      const all = kernel + hardware;
      seen += all;
      this.#options.say(`  ${bar('kernel', kernel, all)}  ${bar('hardware', hardware, all)}`.trimEnd());
    }
    if (seen > 0) return;
    throw new EkhoError('E_DEMO', `no packet was forwarded in ${this.#options.seconds} s`, {
      remedy: 'Host a pings host b: does `ping` run here, and does a packet filter drop what is forwarded?',
    });
  }

  async #sample(event?: string): Promise<Sample> {
    const before = this.#before;
    const now = await this.#counts();
    this.#before = now;
    const seconds = (now.at - before.at) / 1000;
    const sample = {
      at: (now.at - this.#began) / 1000,
      kernel: (now.kernel - before.kernel) / seconds,
      hardware: (now.hardware - before.hardware) / seconds,
      event,
    };
    this.#samples.push(sample);
    return sample;
  }

  async #counts(): Promise<{ at: number; kernel: number; hardware: number }> {
    const entries = this.#host === undefined ? [] : (await this.#host.stats()).entries;
    const hardware = entries
      .filter(({ entry }) => entry.startsWith('route'))
      .reduce((sum, { packets }) => sum + packets, 0);
    return { at: performance.now(), kernel: this.#town!.forwardedByKernel(), hardware };
  }

  async close(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
    await this.#host?.stop();
    this.#town?.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function bar(name: string, rate: number, total: number): string {
  const filled = total === 0 ? 0 : Math.round((BAR * rate) / total);
  return `${name} ${String(Math.round(rate)).padStart(4)}/s ${'█'.repeat(filled).padEnd(BAR)}`;
}
