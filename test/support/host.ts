/** A host as an operator runs it: its own process with a configuration file, asked through its socket. */
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  DeviceStatus,
  Faults,
  LogLine,
  LookupAnswer,
  LookupQuery,
  Stats,
  Status,
  VerifyAnswer,
} from '../../host/api/schemas.ts';
import { Client } from '../../host/cli/client.ts';
import { atExit, temporaryFolder } from './at-exit.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Not what runs the tests: it may be a wrapper that a signal does not get past. */
const NODE = join(ROOT, 'node_modules/node/bin/node');
const EKHO = join(ROOT, 'host/cli/ekho.mjs');
const START_MS = process.env.EKHO_LAB ? 240_000 : 60_000;
const STOP_MS = 15_000;
const COMMAND_MS = 120_000;

export interface HostOptions {
  /** Absent: the mirror comes from a source named in `sections`. */
  readonly netns?: string;
  /** Address of the API over TCP; default none. */
  readonly listen?: string;
  /** Further lines of the configuration file. */
  readonly sections?: readonly string[];
  /** No plugin and no device. */
  readonly isOnlyMirror?: boolean;
  /** Names or patterns of the ports; default p*. */
  readonly ports?: readonly string[];
  /** Rows per table of the ASIC. */
  readonly tables?: { readonly [table: string]: number };
  /** Keep the ASIC's state in a file, which outlives the process. */
  readonly keepsState?: boolean;
  /** Folder for what it keeps of counters and disabled plugins; default its own. */
  readonly kept?: string;
  /** Path of the device's state. */
  readonly state?: string;
  readonly receiveBuffer?: number;
  readonly netfilter?: 'trap' | 'ignore';
  /** Seconds between readings of the counters. */
  readonly statisticsInterval?: number;
  /** Folder for transpiled plugins; default one that all tests share. */
  readonly cache?: string;
  /** Folder with the plugin; default the reference plugins. */
  readonly folder?: string;
  readonly plugin?: string;
  /** Default `worker`, which starts sooner. */
  readonly isolation?: 'process' | 'worker';
  readonly onDisable?: 'clear' | 'keep';
  readonly onStop?: 'clear' | 'keep';
  /** Kind of its device; default asic, and tables for plugin xdp. */
  readonly device?: 'asic' | 'tables';
  readonly mode?: 'auto' | 'native' | 'tcx' | 'generic';
  readonly settings?: { readonly [name: string]: string };
  /** Module loaded into the host's process ahead of its own, and what it finds in the environment. */
  readonly ahead?: { readonly module: string; readonly env: { readonly [name: string]: string } };
}

export interface Output {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export class TestHost {
  readonly folder = temporaryFolder('ekho-host-');
  readonly socket = join(this.folder, 'ekho.sock');
  readonly client = new Client(this.socket);
  readonly config = join(this.folder, 'ekho.toml');
  readonly plugin: string;
  /** What all its processes printed. */
  output = '';
  /** Where each part of it ends, and when it came. */
  readonly #heard: { readonly end: number; readonly at: number }[] = [];
  #process: ChildProcess | undefined;
  readonly #ahead: HostOptions['ahead'];

  constructor(options: HostOptions) {
    this.#ahead = options.ahead;
    this.plugin = options.plugin ?? 'softnic';
    writeFileSync(this.config, toml(options, this.plugin, this.folder));
  }

  static async start(options: HostOptions): Promise<TestHost> {
    const host = new TestHost(options);
    try {
      await host.start();
    } catch (error) {
      await host.close();
      throw error;
    }
    return host;
  }

  /** Starts the process and waits until the plugin is up and all is in hardware. */
  async start(): Promise<void> {
    await this.launch();
    await this.settled(START_MS / 1000);
    const { state } = (await this.status()).plugins[0]!;
    if (state !== 'active') throw new Error(`the plugin is ${state}:\n${this.output}`);
  }

  /** Starts the process and waits until the API answers. */
  async launch(): Promise<void> {
    const seen = this.output.length;
    const ahead = this.#ahead === undefined ? [] : ['--import', this.#ahead.module];
    const child = spawn(NODE, [...ahead, EKHO, 'run', '--log-format', 'text', '--config', this.config], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, EKHO_SOCKET: undefined, ...this.#ahead?.env },
    });
    this.#process = child;
    const forget = atExit(() => child.kill('SIGKILL'));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.output += text;
        this.#heard.push({ end: this.output.length, at: performance.now() });
      });
    }
    child.on('exit', (code, signal) => {
      forget();
      this.output += `the process ended: ${signal ?? `exit code ${code}`}\n`;
    });
    const until = Date.now() + START_MS;
    while (!this.output.slice(seen).includes('socket ')) {
      if (child.exitCode !== null || Date.now() > until)
        throw new Error(`the host did not start:\n${this.output}`);
      await pause(20);
    }
  }

  /** When it last printed `text`, by `performance.now`; undefined: never. */
  saidAt(text: string): number | undefined {
    const from = this.output.lastIndexOf(text);
    if (from < 0) return undefined;
    return this.#heard.find(({ end }) => end >= from + text.length)?.at;
  }

  get isRunning(): boolean {
    return (
      this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
    );
  }

  get pid(): number {
    return this.#process!.pid!;
  }

  /** Ends the process; resolves to its exit code, null when a signal ended it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined) return null;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    const code = await ended;
    clearTimeout(timer);
    return code;
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  // ---- the API ----

  /** As `ekho wait`; resolves to how long it took, in milliseconds. */
  async settled(timeout_s = 120): Promise<number> {
    const began = performance.now();
    try {
      await this.client.get(`/api/v1/wait?timeout=${timeout_s}`);
    } catch (error) {
      const status = await this.status().catch((cause) => String(cause));
      throw new Error(`${error}\n${JSON.stringify(status)}\n${this.output}`, { cause: error });
    }
    return performance.now() - began;
  }

  /** As `ekho verify`; throws with the differences. */
  async verified(): Promise<void> {
    const { equal, differences } = await this.verify();
    if (equal) return;
    const texts = differences.slice(0, 20).map(({ side, text }) => `${side}: ${text}`);
    throw new Error(`${differences.length} differences:\n${texts.join('\n')}\n${this.output}`);
  }

  verify(): Promise<VerifyAnswer> {
    return this.client.post<VerifyAnswer>('/api/v1/verify');
  }

  status(): Promise<Status> {
    return this.client.get<Status>('/api/v1/status');
  }

  /** The last lines that the plugin wrote. */
  logs(): Promise<LogLine[]> {
    return this.client.get<LogLine[]>(`/api/v1/plugins/${this.plugin}/logs`);
  }

  stats(): Promise<Stats> {
    return this.client.get<Stats>('/api/v1/stats');
  }

  async lookup(query: LookupQuery): Promise<LookupAnswer> {
    const words = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
    const answers = await this.client.get<LookupAnswer[]>(`/api/v1/lookup?${words}`);
    return answers[0]!;
  }

  async device(): Promise<DeviceStatus> {
    const devices = await this.client.get<DeviceStatus[]>('/api/v1/devices');
    return devices[0]!;
  }

  /** Rows a table of the ASIC holds. */
  async used(table: string): Promise<number> {
    return (await this.device()).tables.find(({ name }) => name === table)!.used;
  }

  async inject(faults: Faults): Promise<void> {
    await this.client.post('/api/v1/devices/asic0/inject', faults);
  }

  async powerCycle(): Promise<void> {
    await this.client.post('/api/v1/devices/asic0/power-cycle');
  }

  async restartPlugin(): Promise<void> {
    await this.client.post(`/api/v1/plugins/${this.plugin}/restart`);
  }

  /** Resolves once `test` holds, and throws when it does not within the time. */
  async until(what: string, test: () => Promise<boolean>, limit_ms = 60_000): Promise<void> {
    const end = performance.now() + limit_ms;
    while (!(await test())) {
      if (performance.now() > end) {
        const status = JSON.stringify(await this.status().catch((error) => String(error)));
        throw new Error(`not within ${limit_ms} ms: ${what}\n${status}\n${this.output}`);
      }
      await pause(20);
    }
  }

  // ---- the command ----

  ekho(...words: readonly string[]): Promise<Output> {
    const child = spawn(NODE, [EKHO, ...words], {
      env: { ...process.env, EKHO_SOCKET: this.socket },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      err += text;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_MS);
    return new Promise((resolve) => {
      child.on('close', (code) => {
        clearTimeout(timer);
        resolve({ code, out, err });
      });
    });
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function toml(options: HostOptions, plugin: string, folder: string): string {
  const { netns, sections = [], receiveBuffer, netfilter } = options;
  const text = (value: string) => JSON.stringify(value);
  const lines = [
    '[mirror]',
    ...(netns === undefined ? [] : [`netns = ${text(netns)}`]),
    ...(receiveBuffer === undefined ? [] : [`receive-buffer = ${receiveBuffer}`]),
    '[api]',
    `socket = ${text(join(folder, 'ekho.sock'))}`,
    `listen = "${options.listen ?? 'off'}"`,
    ...(netfilter === undefined ? [] : ['[planner]', `netfilter = "${netfilter}"`]),
    '[statistics]',
    `state = ${text(join(options.kept ?? folder, 'counters'))}`,
    ...(options.statisticsInterval === undefined ? [] : [`interval = ${options.statisticsInterval}`]),
    '[plugins]',
    ...(options.folder === undefined ? [] : [`folder = ${text(options.folder)}`]),
    `state = ${text(join(options.kept ?? folder, 'disabled'))}`,
    `cache = ${text(options.cache ?? join(ROOT, 'build/fixtures/cache'))}`,
    ...(options.isOnlyMirror === true ? ['[plugin]'] : pluginLines(options, plugin, folder)),
    ...sections,
  ];
  return `${lines.join('\n')}\n`;
}

function pluginLines(options: HostOptions, plugin: string, folder: string): string[] {
  const { ports = ['p*'], tables = {}, settings = {} } = options;
  const text = (value: string) => JSON.stringify(value);
  return [
    `[plugin.${plugin}]`,
    'device = "asic0"',
    `isolation = "${options.isolation ?? 'worker'}"`,
    ...(options.onDisable === undefined ? [] : [`on-disable = "${options.onDisable}"`]),
    ...(options.onStop === undefined ? [] : [`on-stop = "${options.onStop}"`]),
    `ports = ${JSON.stringify(ports)}`,
    `[plugin.${plugin}.settings]`,
    ...Object.entries(settings).map(([name, value]) => `${name} = ${text(value)}`),
    '[device.asic0]',
    `kind = "${options.device ?? (plugin === 'xdp' ? 'tables' : 'asic')}"`,
    ...(options.mode === undefined ? [] : [`mode = "${options.mode}"`]),
    ...(options.state === undefined ? [] : [`state = ${text(options.state)}`]),
    ...(options.keepsState === true ? [`state = ${text(join(folder, 'asic0'))}`] : []),
    '[device.asic0.tables]',
    ...Object.entries(tables).map(([name, rows]) => `${name} = ${rows}`),
  ];
}
