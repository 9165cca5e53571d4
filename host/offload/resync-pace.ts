/**
 * How soon a device is read back again: at once a few times, then after growing pauses, so that a plugin that asks for it (or breaks the
 * contract) without end costs little. A minute without makes it forget.
 */

const FREE = 4;
const DELAY_MIN_MS = 100;
const DELAY_MAX_MS = 30_000;
const FORGET_MS = 60_000;

export class ResyncPace {
  #count = 0;
  #last = Number.NEGATIVE_INFINITY;

  /** Milliseconds to wait before the resync that is asked for at `now` (of a clock that only goes on). */
  delay(now: number): number {
    if (now - this.#last > FORGET_MS) this.#count = 0;
    const doublings = this.#count++ - FREE;
    const delay = doublings < 0 ? 0 : Math.min(DELAY_MAX_MS, DELAY_MIN_MS * 2 ** doublings);
    this.#last = now + delay;
    return delay;
  }
}
