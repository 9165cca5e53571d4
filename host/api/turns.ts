/**
 * Readers that are sent what happens take turns: all of them together draw for SLICE_MS at a time, and then leave the event loop to others
 * for as long as that and the writing took. While the mirror is behind what the kernel announced, they wait, but for a slice in WAIT_MAX_MS.
 * However many there are, it is they who wait, and not the mirror.
 */
const SLICE_MS = 5;
const REST_MS = 5;
const WAIT_MAX_MS = 100;

export interface Drawing {
  /** Sends some; true: there is more to send now. */
  draw(): boolean;
}

export class Turns {
  readonly #isBehind: () => boolean;
  readonly #waiting = new Set<Drawing>();
  #isScheduled = false;
  /** The last slice's end. */
  #ended = 0;

  /** `isBehind`: the mirror has more to do than comes in a moment. */
  constructor(isBehind: () => boolean) {
    this.#isBehind = isBehind;
  }

  /** `drawing` has something to send. */
  ask(drawing: Drawing): void {
    this.#waiting.add(drawing);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }

  leave(drawing: Drawing): void {
    this.#waiting.delete(drawing);
  }

  readonly #run = (): void => {
    const began = performance.now();
    if (began - this.#ended < WAIT_MAX_MS && this.#isBehind()) {
      setTimeout(this.#run, REST_MS);
      return;
    }
    for (const drawing of this.#waiting) {
      this.#waiting.delete(drawing);
      // Behind the others.
      if (drawing.draw()) this.#waiting.add(drawing);
      if (performance.now() - began >= SLICE_MS) break;
    }
    // Sockets write what they were given on ticks that were asked for before this one.
    process.nextTick(() => {
      this.#ended = performance.now();
      setTimeout(this.#rested, Math.max(REST_MS, this.#ended - began));
    });
  };

  readonly #rested = (): void => {
    this.#isScheduled = this.#waiting.size > 0;
    if (this.#isScheduled) this.#run();
  };
}
