/** The thread that sleeps in epoll_wait() and tells the main thread which ring buffers have records. */

import { parentPort, workerData } from 'node:worker_threads';
import { EPOLL_EVENT_SIZE, EVENTS_MAX, readEvent, STOP } from './epoll.ts';
import { libc } from './native.ts';

const { epoll } = workerData as { epoll: number };
/** The thread also looks up now and then on its own, so that an embedder that terminates it does not wait for ever. */
const WAIT_MAX_ms = 1000;

const events = new DataView(new ArrayBuffer(EVENTS_MAX * EPOLL_EVENT_SIZE));
// A negative count is EINTR; anything else cannot happen to a valid descriptor.
for (let running = true; running; ) {
  const count = libc.epoll_wait(epoll, events, EVENTS_MAX, WAIT_MAX_ms) as number;
  const ready: number[] = [];
  for (let index = 0; index < count; index++) {
    const slot = readEvent(events, index);
    if (slot === STOP) running = false;
    else ready.push(slot);
  }
  if (ready.length > 0) parentPort!.postMessage(ready);
}
