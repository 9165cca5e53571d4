/**
 * Readers that are sent what happens take turns: all of them together hold the event loop for SLICE_MS at a time, and leave it to the mirror
 * for PAUSE_MS between. However many there are, it is they who wait.
 */
const SLICE_MS = 5;
const PAUSE_MS = 5;

export interface Drawing {
  /** Sends some; true: there is more to send now. */
  draw(): boolean;
}

export class Turns {
  readonly #waiting = new Set<Drawing>();
  #isScheduled = false;

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
    const end = performance.now() + SLICE_MS;
    for (const drawing of this.#waiting) {
      this.#waiting.delete(drawing);
      // Behind the others.
      if (drawing.draw()) this.#waiting.add(drawing);
      if (performance.now() >= end) break;
    }
    this.#isScheduled = this.#waiting.size > 0;
    if (this.#isScheduled) setTimeout(this.#run, PAUSE_MS);
  };
}
