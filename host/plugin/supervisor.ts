/** Keeps plugins running: one per file of a folder, restarted with back-off, its log and errors kept for the operator. */

import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { DeviceShare } from '../device/types.ts';
import { EkhoError, type ErrorCode } from '../errors.ts';
import { type LoadedPlugin, type LoadOptions, loadPlugin } from './load.ts';
import { type PoolRunner, type RunnerLimits, startRunner } from './pool-runner.ts';
import type { Description, Runner, RunnerCounters } from './runner.ts';

const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 30_000;
/** Up this long, a plugin has earned a fresh start of its back-off; a fault this long ago is forgotten. */
const HEALTHY_MS = 60_000;
const LOG_LINES_MAX = 200;
const ERRORS_MAX = 20;
/** A start that takes longer than this is left behind when the plugin is to stop. */
const STOP_WAIT_MS = 10_000;
/** Files looked at in the folder, by name. */
const PLUGINS_MAX = 64;

/** Values of `log.level` in wit/host.wit. */
const LEVELS = ['error', 'warn', 'info', 'debug'] as const;

export type PluginState =
  /** Not started yet, or `setup` has nothing for it. */
  | { readonly state: 'found' }
  /** It cannot be loaded; only another file changes that (or a restart by hand). */
  | { readonly state: 'refused'; readonly error: EkhoError }
  | { readonly state: 'starting' }
  /** Up, and the planner has not brought its device in line yet. */
  | { readonly state: 'syncing' }
  | { readonly state: 'active' }
  /** Up, but it broke the contract within the last minute. */
  | { readonly state: 'degraded'; readonly error: EkhoError }
  /** `attempt` counts from 1; `at` is when, in milliseconds of `performance.now`. */
  | { readonly state: 'restarting'; readonly error: EkhoError; readonly attempt: number; readonly at: number }
  /** On request. */
  | { readonly state: 'stopped' };

export interface PluginLogLine {
  /** ISO 8601. */
  readonly time: string;
  readonly level: (typeof LEVELS)[number];
  /** Control characters are shown as escapes. */
  readonly message: string;
}

export interface PluginErrorEntry {
  readonly time: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** How one plugin is to run. */
export interface PluginSetup {
  /** Devices it is granted, at most one of a kind. */
  readonly devices: readonly DeviceShare[];
  readonly settings?: readonly { readonly name: string; readonly value: string }[];
  readonly limits?: Partial<RunnerLimits>;
  readonly memoryMax?: number;
  readonly path?: 'direct' | 'glue';
}

export interface SupervisorListener {
  /** Described, configured and started. Call `runner.listen`, then read back and sync, then `plugin.synced()`. */
  up(plugin: SupervisedPlugin, runner: Runner): void;
  /** After the runner's own `down`: the worker is gone and the device is no longer touched. */
  down(plugin: SupervisedPlugin, error: EkhoError | undefined): void;
}

export interface SupervisorOptions {
  /** Folder with `.wasm` files. */
  readonly folder: string;
  readonly listener: SupervisorListener;
  /** How the plugin of this name runs; undefined: not at all. Asked at every start. */
  readonly setup: (name: string) => PluginSetup | undefined;
  /** Folder for transpiled plugins. Default: the user's cache folder. */
  readonly cache?: string;
  /** Milliseconds that `stop` waits for a start under way. Default 10,000. */
  readonly stopWait?: number;
}

/** A start under way. Once `abandoned`, what comes of it is thrown away. */
interface Start {
  abandoned: boolean;
  done: Promise<void>;
}

/** One plugin file and its life. */
export class SupervisedPlugin {
  readonly name: string;
  readonly file: string;
  /** Starts after the first. */
  restarts = 0;
  readonly log: PluginLogLine[] = [];
  readonly errors: PluginErrorEntry[] = [];
  private readonly options: SupervisorOptions;
  private current: PluginState = { state: 'found' };
  private loaded: LoadedPlugin | undefined;
  private runner: PoolRunner | undefined;
  private lastDescription: Description | undefined;
  private attempt = 0;
  private upSince = 0;
  private faultAt = Number.NEGATIVE_INFINITY;
  private fault: EkhoError | undefined;
  private timer: NodeJS.Timeout | undefined;
  private starting: Start | undefined;
  private wanted = false;

  constructor(file: string, options: SupervisorOptions) {
    this.file = file;
    this.name = basename(file, '.wasm');
    this.options = options;
  }

  get state(): PluginState {
    if (
      this.current.state === 'active' &&
      this.fault !== undefined &&
      performance.now() - this.faultAt < HEALTHY_MS
    )
      return { state: 'degraded', error: this.fault };
    return this.current;
  }

  /** What it said of itself when it was last up. */
  get description(): Description | undefined {
    return this.lastDescription;
  }

  /** Counters since it last came up. */
  get counters(): Readonly<RunnerCounters> | undefined {
    return this.runner?.counters;
  }

  /** Resolves when it is up, refused, or waits for another attempt. */
  start(): Promise<void> {
    this.wanted = true;
    clearTimeout(this.timer);
    if (this.starting === undefined) {
      const start: Start = { abandoned: false, done: Promise.resolve() };
      this.starting = start;
      start.done = this.bringUp(start).finally(() => {
        if (this.starting === start) this.starting = undefined;
      });
    }
    return this.starting.done;
  }

  /** Lets it stop in order; what its device holds stays. A start that takes too long is left behind. */
  async stop(): Promise<void> {
    this.wanted = false;
    clearTimeout(this.timer);
    const { starting } = this;
    const limit = this.options.stopWait ?? STOP_WAIT_MS;
    if (starting !== undefined && !(await endsWithin(starting.done, limit))) {
      starting.abandoned = true;
      this.starting = undefined;
      this.keepError(
        new EkhoError('E_TIMEOUT', `plugin ${this.name} was still starting ${limit} ms after it was to stop`),
      );
    }
    await this.runner?.stop();
    this.current = { state: 'stopped' };
  }

  /** Stops it and starts it from its file, which is read again. */
  async restart(): Promise<void> {
    await this.stop();
    this.loaded = undefined;
    this.attempt = 0;
    this.restarts++;
    await this.start();
  }

  /** Ends it at once, whatever it does; it comes back as after a trap. */
  kill(): void {
    this.runner?.kill(new EkhoError('E_PLUGIN_DOWN', `plugin ${this.name} was ended on request`));
  }

  /** The planner has brought its device in line. */
  synced(): void {
    if (this.current.state === 'syncing') this.current = { state: 'active' };
  }

  private async bringUp(start: Start): Promise<void> {
    if (this.runner !== undefined) return;
    const setup = this.options.setup(this.name);
    if (setup === undefined) {
      this.current = { state: 'found' };
      return;
    }
    this.current = { state: 'starting' };
    try {
      const loaded = this.loaded ?? (await loadPlugin(this.file, this.loadOptions(setup)));
      if (start.abandoned || !this.wanted) return;
      this.loaded = loaded;
    } catch (error) {
      if (start.abandoned) return;
      const refused = toError(error);
      this.current = { state: 'refused', error: refused };
      this.keepError(refused);
      return;
    }
    let runner: PoolRunner;
    try {
      runner = await startRunner({
        plugin: this.loaded,
        devices: setup.devices,
        ...(setup.settings && { settings: setup.settings }),
        ...(setup.limits && { limits: setup.limits }),
        ...(setup.path && { path: setup.path }),
        onLog: (level, text) => this.keepLine(level, text),
        onFault: (error) => {
          if (start.abandoned) return;
          this.fault = error;
          this.faultAt = performance.now();
          this.keepError(error);
        },
        onDown: (error) => {
          if (!start.abandoned) this.wentDown(error);
        },
      });
    } catch (error) {
      if (!start.abandoned) this.retry(toError(error));
      return;
    }
    if (start.abandoned) {
      runner.kill(new EkhoError('E_PLUGIN_DOWN', `plugin ${this.name} came up after it was stopped`));
      return;
    }
    this.runner = runner;
    this.lastDescription = runner.description;
    this.upSince = performance.now();
    this.fault = undefined;
    this.current = { state: 'syncing' };
    this.options.listener.up(this, runner);
  }

  private loadOptions(setup: PluginSetup): LoadOptions {
    return {
      grants: setup.devices.map(({ kind }) => kind),
      ...(this.options.cache !== undefined && { cache: this.options.cache }),
      ...(setup.memoryMax !== undefined && { memoryMax: setup.memoryMax }),
    };
  }

  private wentDown(error: EkhoError | undefined): void {
    this.runner = undefined;
    if (performance.now() - this.upSince >= HEALTHY_MS) this.attempt = 0;
    this.options.listener.down(this, error);
    if (error !== undefined) this.retry(error);
    else this.current = { state: 'stopped' };
  }

  private retry(error: EkhoError): void {
    this.keepError(error);
    if (!this.wanted) {
      this.current = { state: 'stopped' };
      return;
    }
    const delay = Math.min(BACKOFF_MIN_MS * 2 ** this.attempt, BACKOFF_MAX_MS);
    this.attempt++;
    this.current = { state: 'restarting', error, attempt: this.attempt, at: performance.now() + delay };
    this.timer = setTimeout(() => {
      this.restarts++;
      void this.start();
    }, delay);
  }

  private keepLine(level: number, text: string): void {
    const message = text.replace(
      /\p{Cc}/gu,
      (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
    );
    this.log.push({ time: new Date().toISOString(), level: LEVELS[level] ?? 'info', message });
    if (this.log.length > LOG_LINES_MAX) this.log.shift();
  }

  private keepError({ code, message }: EkhoError): void {
    this.errors.push({ time: new Date().toISOString(), code, message });
    if (this.errors.length > ERRORS_MAX) this.errors.shift();
  }
}

/** All plugins of a folder. */
export class Supervisor {
  readonly plugins = new Map<string, SupervisedPlugin>();
  private readonly options: SupervisorOptions;
  private stopped = false;

  constructor(options: SupervisorOptions) {
    this.options = options;
  }

  /**
   * Finds the plugins and starts them, each for itself; resolves when none is starting any more.
   *
   * @throws EkhoError E_CONFIG when the folder cannot be read
   */
  async start(): Promise<void> {
    const { folder } = this.options;
    let names: string[];
    try {
      names = (await readdir(folder)).filter((name) => name.endsWith('.wasm')).sort();
    } catch (error) {
      throw new EkhoError(
        'E_CONFIG',
        `the plugin folder ${folder} cannot be read: ${(error as Error).message}`,
        {
          remedy: 'Run `npm run build`, or name another folder in the configuration.',
          cause: error,
        },
      );
    }
    if (this.stopped) return;
    for (const name of names.slice(0, PLUGINS_MAX)) {
      const plugin = new SupervisedPlugin(join(folder, name), this.options);
      this.plugins.set(plugin.name, plugin);
    }
    await Promise.all([...this.plugins.values()].map((plugin) => plugin.start()));
  }

  /** Also while they start: whichever has not by the limit is left behind. */
  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all([...this.plugins.values()].map((plugin) => plugin.stop()));
  }
}

/** Whether `promise` settles before `limit` milliseconds have passed. */
async function endsWithin(promise: Promise<void>, limit: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limit);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

function toError(error: unknown): EkhoError {
  if (error instanceof EkhoError) return error;
  return new EkhoError('E_INTERNAL', (error as Error).message, { cause: error });
}
