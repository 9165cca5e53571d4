/**
 * How one writer (the plugin's worker) and one reader (the main thread) share the memory: a sequence word is odd while
 * rows change, and the reader repeats what it read meanwhile.
 */

import { EkhoError } from '../../errors.ts';
import { HEADER } from './layout.ts';

/** How long a reader waits for a writer that has begun and does not end. */
const READER_PATIENCE_MS = 500;

/** How long a writer lets a waiting reader go first. */
const WRITER_COURTESY_MS = 2;

/** Sleeping without anybody to wake it; a mapped file cannot be waited on. */
const nobody = new Int32Array(new SharedArrayBuffer(4));

export function sleep(milliseconds: number): void {
  Atomics.wait(nobody, 0, 0, milliseconds);
}

/** Before rows change. Stores that follow are seen after the odd sequence: Atomics operations are fences. */
export function beginChange(words: Uint32Array): void {
  Atomics.store(words, HEADER.sequence, (words[HEADER.sequence]! | 1) >>> 0);
}

/** After rows changed; then lets a waiting reader in. */
export function endChange(words: Uint32Array): void {
  Atomics.store(words, HEADER.sequence, ((words[HEADER.sequence]! | 1) + 1) >>> 0);
  if (Atomics.load(words, HEADER.readersWaiting) === 0) return;
  const until = performance.now() + WRITER_COURTESY_MS;
  while (Atomics.load(words, HEADER.readersWaiting) !== 0 && performance.now() < until) sleep(0.02);
}

/**
 * Runs `read` until no row changed meanwhile. It may see half-written rows, but only in runs that are repeated.
 * @throws EkhoError E_DEVICE when a change was begun and never ended
 */
export function readUnchanged<T>(words: Uint32Array, read: () => T): T {
  const until = performance.now() + READER_PATIENCE_MS;
  try {
    for (let attempt = 0; ; attempt++) {
      const before = Atomics.load(words, HEADER.sequence);
      if ((before & 1) === 0) {
        const result = read();
        if (Atomics.load(words, HEADER.sequence) === before) return result;
      }
      if (attempt === 4) Atomics.store(words, HEADER.readersWaiting, 1);
      if (attempt > 4) sleep(0.02);
      if (performance.now() > until) {
        throw new EkhoError('E_DEVICE', 'the device is in the middle of a write that does not end', {
          remedy: 'It is repaired when the plugin that wrote is started again.',
        });
      }
    }
  } finally {
    Atomics.store(words, HEADER.readersWaiting, 0);
  }
}
