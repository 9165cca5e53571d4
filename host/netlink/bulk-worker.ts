/** The thread of a BulkSocket: receives into slots of shared memory, waiting when all are full. */

import { parentPort, workerData } from 'node:worker_threads';
import { EkhoError } from '../errors.ts';
import type { BulkSetup, FromWorker, ToWorker } from './bulk.ts';
import type { Datagram } from './message.ts';
import { NetlinkSocket } from './socket.ts';

const { options, memory, states, slots } = workerData as BulkSetup;
const bytes = new Uint8Array(memory);
const busy = new Int32Array(states);
/** Behind the states of the slots, see bulk.ts. */
const closing = slots;
const ended = slots + 1;
const size = bytes.length / slots;
let next = 0;
let socket: NetlinkSocket | undefined;

/** Lets the thread end by itself. Ending it from outside, in the middle of a receive, would end the process. */
function end(): void {
  socket?.close();
  // Not before the receive returned.
  setImmediate(() => {
    parentPort!.close();
    Atomics.store(busy, ended, 1);
    Atomics.notify(busy, ended);
  });
}

function tell(message: FromWorker): void {
  parentPort!.postMessage(message);
}

function hand(data: Datagram, truncated: boolean): void {
  if (Atomics.load(busy, closing) === 1) {
    end();
    return;
  }
  const slot = next;
  next = (next + 1) % slots;
  // The reader sets it to 0 when it is done with the slot: a slow reader stops the receiving, and that the kernel's dump.
  Atomics.wait(busy, slot, 1);
  Atomics.store(busy, slot, 1);
  bytes.set(data.bytes, slot * size);
  tell({ slot, length: data.bytes.length, truncated });
}

try {
  socket = new NetlinkSocket(options, {
    datagram: (data) => hand(data, false),
    truncated: (data) => hand(data, true),
    failed: (error) => tell({ failure: error.message, code: 'E_NETLINK' }),
  });
  parentPort!.on('message', (message: ToWorker) => {
    if (message === 'end') end();
    else
      socket?.send(message, (error) => {
        if (error !== undefined) tell({ failure: error.message, code: 'E_NETLINK' });
      });
  });
} catch (error) {
  tell({
    failure: (error as Error).message,
    code: error instanceof EkhoError ? error.code : 'E_INTERNAL',
  });
}
