/**
 * One plugin file and its life: loaded, started, restarted with back-off, replaced by another version of the file, its log
 * and errors kept for the operator.
 *
 * Another version takes over when it has been loaded: the one before stops after what was sent to it, the new one starts, and
 * whoever listens reads back what the device holds, as after any start. Until that is done the one before is kept: if the new
 * one falls before, the one before is started again.
 */

import { basename } from 'node:path';
import type { DeviceShare } from '../device/types.ts';
import { EkhoError, type ErrorCode, isShortage } from '../errors.ts';
import { type LoadedPlugin, type LoadOptions, loadPlugin } from './load.ts';
import { type Isolation, type PoolRunner, type RunnerLimits, startRunner } from './pool-runner.ts';
import type { Description, Runner, RunnerCounters } from './runner.ts';
import type { PublicKey, SignaturePolicy, Trust } from './signature.ts';

const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 30_000;
/** Up this long, a plugin has earned a fresh start of its back-off; a fault this long ago is forgotten. */
const HEALTHY_MS = 60_000;
const LOG_LINES_MAX = 200;
const ERRORS_MAX = 20;
/** A start that takes longer than this is left behind when the plugin is to stop. */
const STOP_WAIT_MS = 10_000;

/** Values of `log.level` in wit/host.wit. */
const LEVELS = ['error', 'warn', 'info', 'debug'] as const;

export type PluginState =
  /** Not started yet, or `setup` has nothing for it. */
  | { readonly state: 'found' }
  /** It cannot be loaded; only another file changes that (or a restart by hand). */
  | { readonly state: 'refused'; readonly error: EkhoError }
  | { readonly state: 'starting' }
  /** Up, and its device is not in line with the plan yet. */
  | { readonly state: 'syncing' }
  | { readonly state: 'active' }
  /** Up, but it broke the contract within the last minute, or another version of its file does not run. */
  | { readonly state: 'degraded'; readonly error: EkhoError }
  /** `attempt` counts from 1; `at` is when, in milliseconds of `performance.now`. */
  | { readonly state: 'restarting'; readonly error: EkhoError; readonly attempt: number; readonly at: number }
  /** On request. */
  | { readonly state: 'stopped' };

export interface PluginLogLine {
  /** ISO 8601. */
  readonly time: string;
  readonly level: PluginLogLevel;
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
  /** Device calls a second. */
  readonly deviceCalls?: number;
  readonly path?: 'direct' | 'glue';
  /** Default: `worker` if a trusted key signed it, else `process`. */
  readonly isolation?: Isolation;
}

/** Levels of what plugins log, from the worst. */
export type PluginLogLevel = (typeof LEVELS)[number];

export interface SupervisorListener {
  /** It wrote a line, without control characters. At most 100 a second, and 400 at once. */
  logged?(plugin: SupervisedPlugin, level: PluginLogLevel, text: string): void;
  /** Described, configured and started. Call `runner.listen`, then read back and sync, then `plugin.synced()`. */
  up(plugin: SupervisedPlugin, runner: Runner): void;
  /** After the runner's own `down`: the worker is gone and the device is no longer touched. */
  down(plugin: SupervisedPlugin, error: EkhoError | undefined): void;
  /** Another version of its file is not run, and why; the one before goes on. */
  notReplaced?(plugin: SupervisedPlugin, error: EkhoError): void;
  /** It is to stop for good: see to it that its device forwards nothing, if it runs. Nobody is to wait for it. */
  withdraw?(plugin: SupervisedPlugin): Promise<void>;
}

export interface SupervisorOptions {
  /** Folder with `.wasm` files. */
  readonly folder: string;
  readonly listener: SupervisorListener;
  /** How the plugin of this name runs; undefined: not at all. Asked at every start. */
  readonly setup: (name: string) => PluginSetup | undefined;
  /** Folder for transpiled plugins. Default: the user's cache folder. */
  readonly cache?: string;
  /** Default `off`. */
  readonly signatures?: SignaturePolicy;
  readonly trustedKeys?: readonly PublicKey[];
  /** Milliseconds that `stop` waits for a start under way. Default 10,000. */
  readonly stopWait?: number;
}

/** A start under way. Once `abandoned`, what comes of it is thrown away. */
interface Start {
  abandoned: boolean;
  done: Promise<void>;
}

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
  /** The version before, until this one has shown that it runs. */
  private previous: LoadedPlugin | undefined;
  /** The version that last was in line with the plan. */
  private proven: LoadedPlugin | undefined;
  /** Why the file as it is now does not run, while the version before does. */
  private notReplaced: EkhoError | undefined;
  private isReplacing = false;
  private isolation: Isolation | undefined;
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
    if (this.current.state === 'active' && this.notReplaced !== undefined)
      return { state: 'degraded', error: this.notReplaced };
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

  /** Of the file that runs, or last did. */
  get file256(): string | undefined {
    return this.loaded?.sha256;
  }

  get trust(): Trust | undefined {
    return this.loaded?.trust;
  }

  get licence(): string | undefined {
    return this.loaded?.manifest?.licence;
  }

  /** How it runs, or last did. */
  get isolatedBy(): Isolation | undefined {
    return this.isolation;
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

  /** Stops it for good; before, if it runs, its device is left without anything that forwards. It does not come back meanwhile. */
  async retire(): Promise<void> {
    this.wanted = false;
    clearTimeout(this.timer);
    if (this.starting !== undefined)
      await endsWithin(this.starting.done, this.options.stopWait ?? STOP_WAIT_MS);
    await this.options.listener.withdraw?.(this);
    await this.stop();
    this.forgetVersions();
  }

  /** Stops it and starts it from its file, which is read again; if that cannot be loaded, from the version that ran. */
  async restart(): Promise<void> {
    const next = await this.loadAgain();
    await this.stop();
    if (next !== undefined) this.take(next);
    this.attempt = 0;
    this.restarts++;
    await this.start();
  }

  /** Why the file as it is now is not what runs, if it is not. */
  get trouble(): EkhoError | undefined {
    return this.notReplaced ?? ('error' in this.current ? this.current.error : undefined);
  }

  /**
   * The file as it is now. Undefined if there is none that runs, in which case the next start reads the file, or if it cannot be
   * loaded, which leaves the one that is loaded alone.
   */
  private async loadAgain(): Promise<LoadedPlugin | undefined> {
    const setup = this.options.setup(this.name);
    if (this.loaded === undefined || setup === undefined) return undefined;
    try {
      return await loadPlugin(this.file, this.loadOptions(setup));
    } catch (error) {
      this.keepOld(toError(error));
      return undefined;
    }
  }

  private take(next: LoadedPlugin): void {
    this.notReplaced = undefined;
    if (isSame(next, this.loaded)) return;
    // One that never ran is nothing to go back to.
    this.previous = this.loaded === this.proven ? this.loaded : undefined;
    this.loaded = next;
  }

  /**
   * The file is another one, or to be read again: takes it over if it can be loaded and is another. What cannot be loaded
   * leaves the one that runs alone; `state` says why.
   */
  reload(): Promise<void> {
    // One that has not begun will read the file as it is then.
    this.nextReload ??= this.reloading.then(() => {
      this.nextReload = undefined;
      this.reloading = this.replace();
      return this.reloading;
    });
    return this.nextReload;
  }

  private reloading: Promise<void> = Promise.resolve();
  private nextReload: Promise<void> | undefined;

  private async replace(): Promise<void> {
    await this.starting?.done;
    const setup = this.options.setup(this.name);
    if (!this.wanted || setup === undefined) return;
    const wasRefused = this.loaded === undefined;
    const next = await this.loadAgain();
    // Another attempt may have begun meanwhile, of the version before.
    await this.starting?.done;
    // It may wait for another attempt: one that cannot be loaded changes nothing about that.
    if (!this.wanted || (next === undefined && !wasRefused)) return;
    const { runner } = this;
    if (next !== undefined) {
      const isOther = !isSame(next, this.loaded);
      this.take(next);
      if (!isOther && runner !== undefined) return;
    }
    if (runner === undefined) {
      this.attempt = 0;
      await this.start();
      return;
    }
    this.current = { state: 'starting' };
    this.isReplacing = true;
    try {
      await runner.stop();
    } finally {
      this.isReplacing = false;
    }
    if (!this.wanted) return;
    this.restarts++;
    await this.start();
  }

  private keepOld(error: EkhoError): void {
    this.notReplaced = error;
    this.keepError(error);
    this.options.listener.notReplaced?.(this, error);
  }

  private forgetVersions(): void {
    this.loaded = undefined;
    this.previous = undefined;
    this.proven = undefined;
    this.notReplaced = undefined;
  }

  /** Ends it at once, whatever it does, and why if it is not on request; it comes back as after a trap. */
  kill(why?: EkhoError): void {
    this.runner?.kill(why ?? new EkhoError('E_PLUGIN_DOWN', `plugin ${this.name} was ended on request`));
  }

  /** It broke the contract in what it answered, which goes on all the same. */
  broke(error: EkhoError): void {
    this.fault = error;
    this.faultAt = performance.now();
    this.keepError(error);
  }

  /** The planner has brought its device in line. */
  synced(): void {
    if (this.current.state !== 'syncing') return;
    this.current = { state: 'active' };
    this.previous = undefined;
    this.proven = this.loaded;
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
      // That says nothing of the file.
      if (isShortage(error) || refused.code === 'E_PLUGIN_DOWN') return this.retry(refused);
      this.current = { state: 'refused', error: refused };
      this.keepError(refused);
      return;
    }
    this.isolation = setup.isolation ?? (this.loaded.trust.trust === 'trusted' ? 'worker' : 'process');
    let runner: PoolRunner;
    try {
      runner = await startRunner({
        plugin: this.loaded,
        devices: setup.devices,
        isolation: this.isolation,
        ...(setup.settings && { settings: setup.settings }),
        ...(setup.limits && { limits: setup.limits }),
        ...(setup.path && { path: setup.path }),
        ...(setup.deviceCalls !== undefined && { deviceCalls: setup.deviceCalls }),
        onLog: (level, text) => this.keepLine(level, text),
        onFault: (error) => {
          if (!start.abandoned) this.broke(error);
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
      onDamagedCopy: (folder) =>
        this.keepLine(1, `its transpiled copy in ${folder} is damaged: it is made again`),
      ...(this.options.cache !== undefined && { cache: this.options.cache }),
      ...(this.options.signatures !== undefined && { signatures: this.options.signatures }),
      ...(this.options.trustedKeys !== undefined && { trustedKeys: this.options.trustedKeys }),
      ...(setup.memoryMax !== undefined && { memoryMax: setup.memoryMax }),
    };
  }

  private wentDown(error: EkhoError | undefined): void {
    this.runner = undefined;
    if (performance.now() - this.upSince >= HEALTHY_MS) this.attempt = 0;
    this.options.listener.down(this, error);
    if (this.isReplacing) {
      if (error !== undefined) this.keepError(error);
      this.current = { state: 'starting' };
      return;
    }
    if (error !== undefined) this.retry(error);
    else this.current = { state: 'stopped' };
  }

  private retry(error: EkhoError): void {
    this.keepError(error);
    if (!this.wanted) {
      this.current = { state: 'stopped' };
      return;
    }
    if (this.previous !== undefined) {
      this.loaded = this.previous;
      this.previous = undefined;
      this.keepOld(
        new EkhoError(error.code, `another version of plugin ${this.name} does not run: ${error.message}`, {
          remedy: 'The one before goes on. Put a version there that runs.',
          cause: error,
        }),
      );
      this.attempt = 0;
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
      /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
      (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
    );
    const name = LEVELS[level] ?? 'info';
    this.log.push({ time: new Date().toISOString(), level: name, message });
    if (this.log.length > LOG_LINES_MAX) this.log.shift();
    this.options.listener.logged?.(this, name, message);
  }

  private keepError({ code, message }: EkhoError): void {
    const time = new Date().toISOString();
    const last = this.errors.at(-1);
    // The same again and again must not push out what went before it.
    if (last?.code === code && last.message === message) this.errors.pop();
    this.errors.push({ time, code, message });
    if (this.errors.length > ERRORS_MAX) this.errors.shift();
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

function isSame(one: LoadedPlugin, other: LoadedPlugin | undefined): boolean {
  return one.sha256 === other?.sha256 && one.trust.trust === other.trust.trust;
}

function toError(error: unknown): EkhoError {
  if (error instanceof EkhoError) return error;
  return new EkhoError('E_INTERNAL', (error as Error).message, { cause: error });
}
