/** Ends threads, by an error or by themselves, while their sockets receive; prints `ended` if it lives to tell. */

import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { NETLINK_ROUTE } from '../../../host/netlink/message.ts';
import { NetlinkSocket } from '../../../host/netlink/socket.ts';
import { dumpOfLinks } from './messages.ts';

const ROUNDS = 30;
/** Milliseconds that a thread receives before it ends. */
const RECEIVES = 20;

if (isMainThread) {
  for (let round = 0; round < ROUNDS; round++) {
    const thread = new Worker(import.meta.filename, { workerData: round % 2 === 0 ? 'error' : 'exit' });
    thread.on('error', () => {});
    await new Promise((resolve) => thread.on('exit', resolve));
  }
  console.log('ended');
} else {
  const again = () => socket.send(dumpOfLinks(), () => {});
  const socket = new NetlinkSocket(
    { protocol: NETLINK_ROUTE, datagramSize: 65_536 },
    { datagram: again, truncated: again, failed: again },
  );
  for (let count = 0; count < 4; count++) again();
  setTimeout(() => {
    if (workerData === 'exit') process.exit(1);
    throw new Error('as a fault of the thread');
  }, RECEIVES);
}
