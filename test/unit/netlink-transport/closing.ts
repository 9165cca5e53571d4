/** Closes sockets from their own callbacks, with messages still to be sent; prints `closed` if it lives to tell. */

import { NETLINK_ROUTE } from '../../../host/netlink/message.ts';
import { NetlinkSocket } from '../../../host/netlink/socket.ts';
import { dumpOfLinks } from './messages.ts';

const ROUNDS = 20;

for (let round = 0; round < ROUNDS; round++) {
  const close = () => socket.close();
  const socket = new NetlinkSocket(
    { protocol: NETLINK_ROUTE, datagramSize: 65_536 },
    { datagram: close, truncated: close, failed: close },
  );
  socket.send(dumpOfLinks(), () => queueMicrotask(close));
  for (let count = 0; count < 3; count++) socket.send(dumpOfLinks(), close);
  // In which the native code would go on with what is closed.
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log('closed');
