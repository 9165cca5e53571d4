/**
 * Long work that readers ask for, in slices. However many ask, one slice is run in each turn of the event loop, and those who ask take
 * turns: what the kernel announces waits for SLICE_MS, not for all of them.
 */

/** Longest a slice runs, in milliseconds. */
export const SLICE_MS = 5;

/** As many as there are requests: connections have a limit. */
const waiting: (() => void)[] = [];
let isScheduled = false;

/** Who begins calls `next` when `isOver` says so, and that is at once. */
export class Slice {
  #end = Number.NEGATIVE_INFINITY;

  /** Whether what has not been done yet has to wait for `next`. */
  get isOver(): boolean {
    return performance.now() >= this.#end;
  }

  /** Behind all who wait already. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      schedule();
    });
    this.#end = performance.now() + SLICE_MS;
  }
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(() => {
    isScheduled = false;
    waiting.shift()?.();
    // Immediates that are asked for here run in the next turn, after what has arrived meanwhile.
    if (waiting.length > 0) schedule();
  });
}
