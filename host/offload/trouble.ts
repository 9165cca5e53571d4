/**
 * Tells of entries that a device refuses or fails: when there are more than were told of, once in a while, and when there are none any
 * more. What a device takes at the next attempt is not worth a line.
 */

/** So long it must last, and so long apart lines are. */
const LASTS_MS = 100;
const TELL_MS = 10_000;

export interface TroubleOptions {
  /** Entries that are so now. */
  readonly failing: () => number;
  readonly refused: () => number;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

export class Trouble {
  readonly #options: TroubleOptions;
  #failing = 0;
  #refused = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TroubleOptions) {
    this.#options = options;
  }

  /** The device answered. */
  look(): void {
    const failing = this.#options.failing();
    const refused = this.#options.refused();
    if (failing === 0 && refused === 0 && this.#failing + this.#refused > 0)
      this.#options.log('info', 'the device has taken what it refused or failed');
    if (failing === 0) this.#failing = 0;
    if (refused === 0) this.#refused = 0;
    if (this.#timer !== undefined || (failing <= this.#failing && refused <= this.#refused)) return;
    const pause = Math.max(LASTS_MS, this.#toldAt + TELL_MS - performance.now());
    this.#timer = setTimeout(() => this.#tell(), pause).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tell(): void {
    this.#timer = undefined;
    const failing = this.#options.failing();
    const refused = this.#options.refused();
    const { log } = this.#options;
    if (refused > this.#refused)
      log('warn', `the device refused ${refused} entries, which are left to the kernel (\`ekho status\`)`);
    if (failing > this.#failing) log('warn', `the device failed ${failing} entries: they are tried again`);
    if (refused > this.#refused || failing > this.#failing) this.#toldAt = performance.now();
    this.#failing = failing;
    this.#refused = refused;
  }
}
