/** Waiting for a peer to have what it should. */

const PAUSE_MS = 5;

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

export interface Reached {
  /** From the beginning to the end of the answer that had the number. */
  readonly milliseconds: number;
  /** Undefined: it has the number. */
  readonly instead: number | undefined;
}

/**
 * Asks until the answer is `wanted`, which may be before the call began. To answer costs a peer time as well: between two questions passes at
 * least as long as the last one took, so at most half of the peer's time goes into answers.
 */
export async function untilCount(
  count: () => Promise<number>,
  wanted: number,
  began: number,
  limit_ms: number,
): Promise<Reached> {
  for (;;) {
    const asked = performance.now();
    const number = await count();
    const now = performance.now();
    const milliseconds = now - began;
    if (number === wanted) return { milliseconds, instead: undefined };
    if (milliseconds > limit_ms) return { milliseconds, instead: number };
    await pause(Math.max(PAUSE_MS, now - asked));
  }
}
