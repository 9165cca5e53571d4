/** The thread of a BulkSocket: receives into slots of shared memory, waiting when all are full. */

import { parentPort, workerData } from 'node:worker_threads';
import { EkhoError } from '../errors.ts';
import type { BulkSetup, FromWorker, ToWorker } from './bulk.ts';
import type { Datagram } from './message.ts';
import { NetlinkSocket } from './socket.ts';

const { options, memory, states, slots } = workerData as BulkSetup;
const bytes = new Uint8Array(memory);
const busy = new Int32Array(states);
const size = bytes.length / slots;
let next = 0;

function tell(message: FromWorker): void {
  parentPort!.postMessage(message);
}

function hand(data: Datagram, truncated: boolean): void {
  const slot = next;
  next = (next + 1) % slots;
  // The reader sets it to 0 when it is done with the slot: a slow reader stops the receiving, and that the kernel's dump.
  Atomics.wait(busy, slot, 1);
  Atomics.store(busy, slot, 1);
  bytes.set(data.bytes, slot * size);
  tell({ slot, length: data.bytes.length, truncated });
}

try {
  const socket = new NetlinkSocket(options, {
    datagram: (data) => hand(data, false),
    truncated: (data) => hand(data, true),
    failed: (error) => tell({ failure: error.message, code: 'E_NETLINK' }),
  });
  parentPort!.on('message', (message: ToWorker) => {
    socket.send(message, (error) => {
      if (error !== undefined) tell({ failure: error.message, code: 'E_NETLINK' });
    });
  });
} catch (error) {
  tell({
    failure: (error as Error).message,
    code: error instanceof EkhoError ? error.code : 'E_INTERNAL',
  });
}
