/**
 * Statistics of what hardware holds: the counters of every plugin, read in bulk at a steady pace and when somebody
 * asks. Who asks meanwhile shares the next reading.
 */

import type { EntryCounter } from './counters.ts';
import type { Planner } from './planner.ts';
import { SavedCounters, type SavedEntry } from './saved-counters.ts';

/** The file is written after so long at the latest; before, entries of an earlier host may not be planned again yet. */
const SAVE_MS = 60_000;
/** Afterwards it is written with each reading, but for writing not to take more than this part of the time. */
const SAVE_SHARE = 1 / 50;

export interface StatisticsOptions {
  /** Milliseconds between readings; 0: only when asked. */
  readonly interval_ms: number;
  /** File that keeps the counters over restarts of the host. */
  readonly file?: string | undefined;
  readonly warn: (message: string) => void;
  /** After each reading of the pace. */
  readonly onSample?: () => void;
  /** After each reading. */
  readonly onRead?: () => void;
  /** What is kept over restarts beside the planner's. */
  readonly alsoSaved?: () => Iterable<SavedEntry>;
}

export interface PluginCounters {
  readonly plugin: string;
  readonly counters: readonly EntryCounter[];
}

export class Statistics {
  readonly #options: StatisticsOptions;
  readonly #saved: SavedCounters | undefined;
  #planner: Planner | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  #lastSave = performance.now();
  #savePause_ms = SAVE_MS;
  #hasSaveFailed = false;
  #hasTellFailed = false;

  constructor(options: StatisticsOptions) {
    this.#options = options;
    this.#saved = options.file === undefined ? undefined : new SavedCounters(options.file, options.warn);
  }

  /** For the planner: what earlier hosts counted for an entry. */
  savedCounter(plugin: string, describe: () => string) {
    if (this.#saved === undefined || this.#saved.isEmpty) return undefined;
    return this.#saved.take(plugin, describe());
  }

  /** What earlier hosts counted under this name, once. */
  savedOf(name: string): Iterable<SavedEntry> {
    return this.#saved?.takeAll(name) ?? [];
  }

  start(planner: Planner): void {
    this.#planner = planner;
    const { interval_ms } = this.#options;
    if (interval_ms === 0) return;
    this.#timer = setInterval(() => {
      // A device that is slower than the pace is not asked twice at a time.
      if (this.#reading === undefined) this.#read(true).catch(() => {});
    }, interval_ms);
    this.#timer.unref();
  }

  /** The counters as of now; rates as of the last reading of the pace. */
  async now(): Promise<PluginCounters[]> {
    const isPaced = this.#timer !== undefined;
    // One that began before this call may already have passed what has counted since.
    await this.#reading?.catch(() => {});
    await (this.#reading ?? this.#read(!isPaced));
    return [...(this.#planner?.counters() ?? [])];
  }

  /** Reads a last time and writes the file. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#saved === undefined) return;
    await (this.#reading ?? this.#read(true)).catch(() => {});
    this.#save();
  }

  #read(isSample: boolean): Promise<void> {
    this.#reading = (this.#planner?.readCounters(isSample) ?? Promise.resolve()).finally(() => {
      this.#reading = undefined;
      this.#tellRead();
      if (isSample) this.#options.onSample?.();
      if (isSample && performance.now() - this.#lastSave >= this.#savePause_ms) this.#save();
    });
    return this.#reading;
  }

  /** Samples and the file do not depend on what becomes of it. */
  #tellRead(): void {
    try {
      this.#options.onRead?.();
      this.#hasTellFailed = false;
    } catch (error) {
      if (!this.#hasTellFailed) this.#options.warn(`counters are not told on: ${(error as Error).message}`);
      this.#hasTellFailed = true;
    }
  }

  *#allSaved(planner: Planner): Generator<SavedEntry> {
    yield* this.#options.alsoSaved?.() ?? [];
    yield* planner.savedCounters();
  }

  #save(): void {
    if (this.#saved === undefined || this.#planner === undefined) return;
    const began = performance.now();
    try {
      this.#saved.write(this.#allSaved(this.#planner));
      this.#hasSaveFailed = false;
    } catch (error) {
      if (!this.#hasSaveFailed) this.#options.warn(`counters are not kept: ${(error as Error).message}`);
      this.#hasSaveFailed = true;
    }
    this.#lastSave = performance.now();
    this.#savePause_ms = Math.min(SAVE_MS, (this.#lastSave - began) / SAVE_SHARE);
  }
}
