/**
 * Memory that only the start needed goes back to the system once the start is over: V8 collects while the host allocates, and an idle
 * host allocates next to nothing.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { releaseFilePages, releaseFreeMemory } from '../netlink/syscall.ts';

/** After the start: threads that were of use to it alone have ended by then. */
const DELAY_MS = 10_000;
/** V8 frees its pages on other threads. */
const FREED_MS = 1000;
/** Of objects, in bytes: collecting holds up the event loop for about 2 ms a megabyte, and a host with more allocates enough for V8 to. */
const HEAP_MAX = 96 * 2 ** 20;

/** Once, some seconds from now; keeps no process alive. */
export function giveBackSoon(): void {
  setTimeout(() => {
    if (getHeapStatistics().used_heap_size <= HEAP_MAX) collectGarbage();
    setTimeout(() => {
      releaseFreeMemory();
      releaseFilePages();
    }, FREED_MS).unref();
  }, DELAY_MS).unref();
}

/** Collects all that can be. Node offers `gc` to contexts that are made while the flag is set, to no others. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options: object) => void;
  setFlagsFromString('--no-expose-gc');
  // Unlike a usual collection, it lets go of compiled code that was run once and makes the space for young objects small again.
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
