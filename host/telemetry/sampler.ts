/** Looks at the host once a second: changes, time until hardware has them, who forwards, what the process costs. */
import { closeSync, openSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { MirrorReader } from '../mirror/types.ts';
import { residentMemory } from './resident.ts';
import { Series } from './series.ts';

const SECOND_MS = 1000;
/** How often the event loop is looked at while somebody looks at the series; else shorter stalls may go unseen, and it sleeps longer. */
const LOOK_MS = 20;
const IDLE_LOOK_MS = 250;
/** Somebody who asked for the series this long ago still looks at them. */
const WATCHED_MS = 15_000;
/** A change that is not in hardware after this long counts as this long. */
const SETTLE_MAX_MS = 10_000;
/** Pause between two measurements of how long a change takes. */
const MEASURE_PAUSE_MS = 50;
/** From here on the host stood still: it was stopped, or had no processor time. */
const HELD_MS = 2000;
/** Entries that counted, beyond which their sum is not taken every second. */
const SUMMED_MAX = 20_000;

export const SERIES_NAMES = [
  'changes_per_s',
  'latency_p50_ms',
  'latency_p99_ms',
  'kernel_packets_per_s',
  'hardware_packets_per_s',
  'loop_delay_ms',
  'memory_bytes',
] as const;
export type SeriesName = (typeof SERIES_NAMES)[number];

export interface SamplerOptions {
  readonly mirror: MirrorReader;
  /** Resolves once what the mirror has is in hardware. */
  readonly settled: (signal: AbortSignal) => Promise<void>;
  /** Whether there is hardware to wait for. */
  readonly hasHardware: () => boolean;
  /** Packets that the kernel forwarded so far; undefined where that cannot be known. */
  readonly kernelPackets: () => number | undefined;
  /** Reads what hardware counted. */
  readonly readHardware: () => Promise<void>;
  /** Packets that hardware's routes forwarded, as last read; undefined where more than `limit` entries count. */
  readonly hardwarePackets: (limit: number) => number | undefined;
  /** The event loop was held for so long, at least two seconds. */
  readonly onHeld: (milliseconds: number) => void;
  /** No file descriptor was left for so long, as far as is known. */
  readonly onShort: (seconds: number) => void;
}

export class Sampler {
  readonly series = new Series<SeriesName>(SERIES_NAMES);
  /** Seconds that the event loop was held for two seconds or longer, and those in which no file descriptor was left. */
  held_s = 0;
  short_s = 0;
  readonly #options: SamplerOptions;
  #lookEvery = IDLE_LOOK_MS;
  #loop = monitorEventLoopDelay({ resolution: IDLE_LOOK_MS });
  readonly #timer: NodeJS.Timeout;
  readonly #unsubscribe: () => void;
  /** Milliseconds, of this second; bounded by the pause between them. */
  #latencies: number[] = [];
  #isMeasuring = false;
  #watched = Number.NEGATIVE_INFINITY;
  #isSampling = false;
  /** When the timer last came, and the longest that it came late since the last sample: the loop's own measure may be begun anew just then. */
  #tick = performance.now();
  #late_ms = 0;
  #before: { at: number; revision: number; kernel: number | undefined; hardware: number | undefined };

  constructor(options: SamplerOptions) {
    this.#options = options;
    this.#before = {
      at: performance.now(),
      revision: options.mirror.revision,
      kernel: undefined,
      hardware: undefined,
    };
    this.#loop.enable();
    this.#unsubscribe = options.mirror.subscribe(() => this.#measure());
    this.#timer = setInterval(() => {
      this.#noteLate(performance.now());
      void this.#sample();
    }, SECOND_MS);
    this.#timer.unref();
  }

  /** The rows after `since` (milliseconds since 1970). Whoever asks keeps the packets being counted every second. */
  after(since: number) {
    this.#watched = performance.now();
    return this.series.after(since);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
    this.#loop.disable();
  }

  /** From a change's arrival in the mirror to the devices' answer; one measurement at a time. */
  #measure(): void {
    if (this.#isMeasuring || !this.#options.hasHardware()) return;
    this.#isMeasuring = true;
    const began = performance.now();
    // The plan hears of the change in this turn of the event loop.
    queueMicrotask(() => {
      this.#options
        .settled(AbortSignal.timeout(SETTLE_MAX_MS))
        .catch(() => {})
        .then(() => {
          this.#latencies.push(performance.now() - began);
          setTimeout(() => {
            this.#isMeasuring = false;
          }, MEASURE_PAUSE_MS).unref();
        });
    });
  }

  #noteLate(now: number): void {
    this.#late_ms = Math.max(this.#late_ms, now - this.#tick - SECOND_MS);
    this.#tick = now;
  }

  async #sample(): Promise<void> {
    if (this.#isSampling) return;
    this.#isSampling = true;
    try {
      const isWatched = performance.now() - this.#watched < WATCHED_MS;
      if (isWatched) await this.#options.readHardware().catch(() => {});
      this.#add(isWatched);
    } finally {
      this.#isSampling = false;
    }
  }

  #add(isWatched: boolean): void {
    const { mirror, kernelPackets, hardwarePackets } = this.#options;
    const now = {
      at: performance.now(),
      revision: mirror.revision,
      kernel: kernelPackets(),
      hardware: isWatched ? hardwarePackets(SUMMED_MAX) : undefined,
    };
    const before = this.#before;
    this.#before = now;
    const seconds = (now.at - before.at) / 1000;
    const rate = (from: number | undefined, to: number | undefined) =>
      // Counters of entries that went, or that began again, make the sum smaller.
      from === undefined || to === undefined ? Number.NaN : Math.max(0, to - from) / seconds;
    // What is measured is the time between two looks.
    const held_ms = Math.max(this.#late_ms, this.#loop.max / 1e6 - this.#lookEvery);
    this.#late_ms = 0;
    this.#tellTrouble(held_ms, seconds);
    const sorted = this.#latencies.sort((a, b) => a - b);
    this.#latencies = [];
    this.series.add(Date.now(), {
      changes_per_s: rate(before.revision, now.revision),
      latency_p50_ms: quantile(sorted, 0.5),
      latency_p99_ms: quantile(sorted, 0.99),
      kernel_packets_per_s: rate(before.kernel, now.kernel),
      hardware_packets_per_s: rate(before.hardware, now.hardware),
      loop_delay_ms: held_ms,
      memory_bytes: residentMemory(),
    });
    this.#lookAtLoop(isWatched ? LOOK_MS : IDLE_LOOK_MS);
  }

  #tellTrouble(held_ms: number, seconds: number): void {
    if (held_ms >= HELD_MS) {
      this.held_s += held_ms / 1000;
      this.#options.onHeld(held_ms);
    }
    if (hasDescriptor()) return;
    this.short_s += seconds;
    this.#options.onShort(seconds);
  }

  /** For the next second. Every look wakes the process. */
  #lookAtLoop(every: number): void {
    if (every === this.#lookEvery) {
      this.#loop.reset();
      return;
    }
    this.#loop.disable();
    this.#lookEvery = every;
    this.#loop = monitorEventLoopDelay({ resolution: every });
    this.#loop.enable();
  }
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Whether one is left for whoever connects next. */
function hasDescriptor(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'EMFILE' && code !== 'ENFILE';
  }
}
