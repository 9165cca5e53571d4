/** Long walks in slices, so that the event loop (and the API on it) is never held up for long. */

/** Longest a slice may run, in milliseconds. */
export const SLICE_MS = 8;
const CHECK_EVERY = 256;

/** Lets everything else that is ready run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Calls `step` with `from` up to (not including) what `limit` says at the time, turning the event loop in between;
 * `pause` is called before each turn. Stops early when `step` returns false.
 */
export async function inSlices(
  from: number,
  limit: () => number,
  step: (at: number) => boolean | undefined,
  pause: () => void = () => {},
): Promise<void> {
  let began = performance.now();
  for (let at = from; at < limit(); at++) {
    if (step(at) === false) return;
    if (at % CHECK_EVERY === 0 && performance.now() - began > SLICE_MS) {
      pause();
      await turn();
      began = performance.now();
    }
  }
}
