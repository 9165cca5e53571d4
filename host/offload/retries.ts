/**
 * When the device is asked again: for what it failed, a few entries at first, after a delay that doubles while it goes on
 * failing and starts over when it agrees, then more at a time; for what it refused, seldom. A full or broken device sees no storm.
 */

const DELAY_MIN_MS = 50;
const DELAY_MAX_MS = 10_000;
/** What was refused is asked again this seldom, unless the wish changed or something left the table. */
const REFUSED_MS = 10_000;
const PROBE = 64;
const LIMIT = 65_536;

export interface RetriesOptions {
  readonly failing: () => number;
  readonly refused: () => number;
  /** Queues at most `limit` of them per table. */
  readonly retry: (limit: number, andRefused: boolean) => void;
}

export class Retries {
  readonly #options: RetriesOptions;
  #timer: NodeJS.Timeout | undefined;
  #due = Number.POSITIVE_INFINITY;
  #delay = DELAY_MIN_MS;
  #limit = PROBE;
  #lastFailing = 0;
  #lastRefused = 0;

  constructor(options: RetriesOptions) {
    this.#options = options;
  }

  /** Something failed or was refused: a round follows. */
  schedule(): void {
    const isFailing = this.#options.failing() > 0;
    if (!isFailing && this.#options.refused() === 0) return;
    const due = performance.now() + (isFailing ? this.#delay : REFUSED_MS);
    if (due >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => {
      this.#due = Number.POSITIVE_INFINITY;
      this.#round();
    }, due - performance.now());
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#due = Number.POSITIVE_INFINITY;
    this.#startOver();
  }

  #startOver(): void {
    this.#delay = DELAY_MIN_MS;
    this.#limit = PROBE;
    this.#lastFailing = 0;
  }

  #round(): void {
    const failing = this.#options.failing();
    const improves = failing < this.#lastFailing;
    this.#lastFailing = failing;
    if (failing === 0) this.#startOver();
    else {
      this.#delay = improves ? DELAY_MIN_MS : Math.min(DELAY_MAX_MS, this.#delay * 2);
      this.#limit = improves ? Math.min(LIMIT, this.#limit * 4) : PROBE;
    }
    const now = performance.now();
    const andRefused = now - this.#lastRefused >= REFUSED_MS - 1;
    if (andRefused) this.#lastRefused = now;
    this.#options.retry(this.#limit, andRefused);
    this.schedule();
  }
}
