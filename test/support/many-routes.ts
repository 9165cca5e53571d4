/** Adds many IPv4 routes quickly: netlink messages, hundreds in each system call, where `ip -batch` needs one for each. */

import { parseIp4 } from '../../host/netlink/address.ts';
import {
  MessageWriter,
  NETLINK_ROUTE,
  NLM_F_CREATE,
  NLM_F_REQUEST,
  requestMessage,
} from '../../host/netlink/message.ts';
import { routeAttributes } from '../../host/netlink/schema/route.ts';
import { NetlinkSocket } from '../../host/netlink/socket.ts';

const AF_INET = 2;
const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
const RT_TABLE_MAIN = 254;
const RTPROT_BGP = 186;
const RTN_UNICAST = 1;
const PER_SEND = 400;

/** The `at`th prefix of length 30 from 100.0.0.0 on. */
function prefixAt(at: number): Uint8Array {
  return Uint8Array.of(100, at >> 14, (at >> 6) & 255, (at & 63) << 2);
}

function message(type: number, at: number, gateway: Uint8Array): Buffer {
  const header = Uint8Array.of(AF_INET, 30, 0, 0, RT_TABLE_MAIN, RTPROT_BGP, 0, RTN_UNICAST, 0, 0, 0, 0);
  const writer = new MessageWriter()
    .raw(header)
    .attribute(routeAttributes.number.dst, prefixAt(at))
    .attribute(routeAttributes.number.gateway, gateway);
  const flags = NLM_F_REQUEST | (type === RTM_NEWROUTE ? NLM_F_CREATE : 0);
  return requestMessage(type, flags, 1, writer.bytes());
}

/** Adds (or deletes) `count` routes via `gateway`, as a routing daemon would. Resolves once the kernel has done it. */
export async function manyRoutes(
  netns: string,
  count: number,
  gateway: string,
  type: typeof RTM_NEWROUTE | typeof RTM_DELROUTE = RTM_NEWROUTE,
): Promise<void> {
  const via = parseIp4(gateway)!;
  const socket = new NetlinkSocket(
    { protocol: NETLINK_ROUTE, netns, datagramSize: 0 },
    // Only refusals are answered.
    { datagram: () => {}, truncated: () => {}, failed: () => {} },
  );
  try {
    for (let from = 0; from < count; from += PER_SEND) {
      const length = Math.min(PER_SEND, count - from);
      const messages = Buffer.concat(Array.from({ length }, (_, at) => message(type, from + at, via)));
      await new Promise<void>((resolve, reject) => {
        socket.send(messages, (error) => (error ? reject(error) : resolve()));
      });
    }
  } finally {
    socket.close();
  }
}
