/** What faults are tried on: a router whose configuration changes all the time, and a host that keeps an ASIC in line with it. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LookupAnswer } from '../../host/api/schemas.ts';
import { TestHost } from '../support/host.ts';
import { askKernel, askNeighbours, objection } from '../support/kernel-answer.ts';
import type { Random } from '../support/random.ts';
import { Router } from '../support/router.ts';
import { type Command, type Probe, World } from '../support/world.ts';
import { Daemon } from './daemon.ts';
import { plugin, type Usage, until, usageOf } from './fault.ts';
import type { Spoils } from './inside.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const INSIDE = new URL('./inside.ts', import.meta.url).href;
/** Where inside.ts finds the path of its socket. */
const CONTROL = 'EKHO_CHAOS_CONTROL';
export const PORTS = 3;
export const PLUGIN = 'softnic';
/** IPv4 routes that the device has room for. */
export const ROUTES = 8192;
/** Lookups asked at the same time. */
const ASKED = 16;
/** Size of the file system that the host's files are on. */
const DISK = '48m';
/** Small enough that a storm overruns it. */
const RECEIVE_BUFFER = 90_000;
const RING = 4096;

export class Site {
  readonly random: Random;
  router: Router;
  readonly host: TestHost;
  /** A file system of its own with the plugin and its cache. */
  readonly disk = mkdtempSync(join(tmpdir(), 'ekho-chaos-'));
  readonly plugin = join(this.disk, 'plugins', `${PLUGIN}.wasm`);
  readonly cache = join(this.disk, 'cache');
  /** Socket of what is loaded into the host (inside.ts). */
  readonly #control = join(this.disk, 'control');
  readonly #world: World;
  /** Commands that were carried out, the last of them. */
  readonly history: string[] = [];

  /** Absent: without a routing daemon. */
  readonly #daemon: Daemon | undefined;

  private constructor(random: Random, withDaemon: boolean) {
    this.random = random;
    this.#world = new World(random, PORTS);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'ekho-chaos', this.disk]);
    try {
      mkdirSync(join(this.disk, 'plugins'));
      this.copyPlugin();
      this.router = new Router(PORTS);
    } catch (error) {
      this.#unmount();
      throw error;
    }
    this.#daemon = withDaemon ? new Daemon(random, PORTS) : undefined;
    this.#daemon?.start(this.router);
    this.host = new TestHost({
      netns: this.router.name,
      plugin: PLUGIN,
      isolation: 'process',
      folder: join(this.disk, 'plugins'),
      cache: this.cache,
      keepsState: true,
      receiveBuffer: RECEIVE_BUFFER,
      statisticsInterval: 1,
      tables: { lpm4: ROUTES },
      sections: ['[notifier]', `ring-size = ${RING}`],
      ahead: { module: INSIDE, env: { [CONTROL]: this.#control } },
    });
  }

  /** `withDaemon`: BIRD is on the machine, and takes part. */
  static async start(random: Random, withDaemon = false): Promise<Site> {
    const site = new Site(random, withDaemon);
    try {
      await site.host.start();
    } catch (error) {
      await site.close();
      throw error;
    }
    return site;
  }

  async close(): Promise<void> {
    await this.host.close();
    this.#daemon?.close();
    this.router.close();
    this.#unmount();
  }

  #unmount(): void {
    execFileSync('umount', ['-l', this.disk]);
    rmSync(this.disk, { recursive: true, force: true });
  }

  /** The file that vendors would drop, and the description beside it. */
  copyPlugin(folder = join(ROOT, 'build/plugins')): void {
    for (const file of readdirSync(folder))
      if (file.startsWith(`${PLUGIN}.`)) cpSync(join(folder, file), join(this.disk, 'plugins', file));
  }

  /** The namespace goes, and what runs in it. */
  removeRouter(): void {
    this.#daemon?.stop();
    this.router.close();
  }

  /** Another namespace of the same name, as the first was in the beginning. */
  remakeRouter(): void {
    this.router = new Router(PORTS, this.router.name);
    this.#daemon?.start(this.router);
  }

  /** Has what the host receives spoilt (inside.ts); resolves to what is left to be. */
  async spoil(what: Partial<Spoils>): Promise<Spoils> {
    const socket = connect(this.#control).setEncoding('utf8');
    socket.write(`${JSON.stringify(what)}\n`);
    let answer = '';
    for await (const text of socket) answer += text;
    return JSON.parse(answer);
  }

  right(within: number): Promise<void> {
    return until(within, () => this.check());
  }

  /** Random changes of the router, those that its kernel refuses among them. */
  churn(count = 60): void {
    const { commands, settings } = this.#world.changes(count);
    for (let from = 0; from < commands.length; ) {
      const { family } = commands[from]!;
      let to = from;
      while (to < commands.length && commands[to]!.family === family) to++;
      this.#carryOut(commands.slice(from, to), family);
      from = to;
    }
    // Of a link that is away there are none.
    if (settings.length > 0) this.router.run('sysctl', ['-qew', ...settings]);
    this.#daemon?.turn();
  }

  #carryOut(commands: readonly Command[], family: Command['family']): void {
    const lines = commands.map(({ line }) => line);
    const failed = this.router.batch(lines, 'ip', family === undefined ? [] : [`-${family}`]);
    this.history.push(...lines.filter((_, number) => !failed.has(number)));
    this.history.splice(0, this.history.length - 500);
  }

  /** Mirror against kernel, plan against device, and what hardware does with sampled packets against what the kernel does. */
  async check(): Promise<void> {
    const { state } = plugin(await this.host.status());
    if (state !== 'active') throw new Error(`the plugin is ${state}`);
    await this.host.verified();
    const probes = this.#world.probes(120);
    const kernel = askKernel(this.router, probes);
    const neighbours = askNeighbours(this.router);
    const hardware = await this.#askHardware(probes);
    for (const [number, probe] of probes.entries()) {
      const why = objection(probe, kernel[number]!, hardware[number]!, neighbours);
      if (why === undefined) continue;
      const said = JSON.stringify({ probe, kernel: kernel[number], hardware: hardware[number] });
      throw new Error(`${why}: ${said}\n${this.history.slice(-60).join('\n')}`);
    }
  }

  async #askHardware(probes: readonly Probe[]): Promise<LookupAnswer[]> {
    const answers: LookupAnswer[] = [];
    for (let from = 0; from < probes.length; from += ASKED) {
      const asked = probes
        .slice(from, from + ASKED)
        .map(({ family: _, ...query }) => this.host.lookup(query));
      answers.push(...(await Promise.all(asked)));
    }
    return answers;
  }

  usage(): Usage {
    return usageOf(this.host.pid);
  }

  /** Processes that the host started. */
  children(): number[] {
    const tasks = readdirSync(`/proc/${this.host.pid}/task`);
    return tasks.flatMap((task) =>
      readFileSync(`/proc/${this.host.pid}/task/${task}/children`, 'utf8')
        .trim()
        .split(/\s+/)
        .filter(Boolean)
        .map(Number),
    );
  }
}
