/**
 * When the device is asked again for what it failed or refused: a few entries at first, after a delay that doubles while it goes
 * on failing and starts over when it agrees; then more at a time. A full or broken device sees no storm.
 */

const DELAY_MIN_MS = 50;
const DELAY_MAX_MS = 10_000;
/** What was refused is asked again this seldom, unless the wish changed. */
const REFUSED_MS = 60_000;
const PROBE = 64;
const LIMIT = 65_536;

export interface RetriesOptions {
  /** Entries the device failed or refused. */
  readonly troubled: () => number;
  /** Queues at most `limit` of them per table. */
  readonly retry: (limit: number, andRefused: boolean) => void;
}

export class Retries {
  readonly #options: RetriesOptions;
  #timer: NodeJS.Timeout | undefined;
  #delay = DELAY_MIN_MS;
  #limit = PROBE;
  #lastTroubled = 0;
  #lastRefused = 0;

  constructor(options: RetriesOptions) {
    this.#options = options;
  }

  /** Something is troubled: a round follows. */
  schedule(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#round();
    }, this.#delay);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#reset();
  }

  #reset(): void {
    this.#delay = DELAY_MIN_MS;
    this.#limit = PROBE;
  }

  #round(): void {
    const troubled = this.#options.troubled();
    if (troubled === 0) {
      this.#reset();
      return;
    }
    const improves = troubled < this.#lastTroubled;
    this.#lastTroubled = troubled;
    this.#delay = improves ? DELAY_MIN_MS : Math.min(DELAY_MAX_MS, this.#delay * 2);
    this.#limit = improves ? Math.min(LIMIT, this.#limit * 4) : PROBE;
    const andRefused = performance.now() - this.#lastRefused > REFUSED_MS;
    if (andRefused) this.#lastRefused = performance.now();
    this.#options.retry(this.#limit, andRefused);
    this.schedule();
  }
}
