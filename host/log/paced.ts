/** For what comes again and again: tells one of it in a while. */

/** Tells one value in `pause_ms` milliseconds, with how many were left out since the one told last. */
export function paced<T>(tell: (value: T, left: number) => void, pause_ms: number): (value: T) => void {
  let toldAt = Number.NEGATIVE_INFINITY;
  let left = 0;
  return (value) => {
    const now = performance.now();
    if (now - toldAt < pause_ms) {
      left++;
      return;
    }
    tell(value, left);
    toldAt = now;
    left = 0;
  };
}
