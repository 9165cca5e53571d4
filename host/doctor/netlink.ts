/** What the kernel's netlink gives in the mirrored namespace. */

import type { Finding } from '../api/schemas.ts';
import { EkhoError } from '../errors.ts';
import { dumpRequests, type TrafficControl } from '../kernel/requests.ts';
import { KIND } from '../mirror/types.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/message.ts';
import { NetlinkClient } from '../netlink/request.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { available, inconclusive, required, unsupported } from './findings.ts';

export interface NetlinkWish {
  readonly netns: string | undefined;
  /** Bytes. */
  readonly receiveBuffer: number;
}

export async function netlinkFindings(wish: NetlinkWish): Promise<Finding[]> {
  const { netns } = wish;
  let socket: NetlinkSocket;
  try {
    socket = new NetlinkSocket(
      { protocol: NETLINK_ROUTE, netns, receiveBuffer: wish.receiveBuffer, datagramSize: 0 },
      { datagram: () => {}, truncated: () => {}, failed: () => {} },
    );
  } catch (error) {
    if (!(error instanceof EkhoError)) throw error;
    return [required(unsupported('netlink', 'namespace', error.message, error.remedy))];
  }
  try {
    const findings = [
      required(available('netlink', 'namespace', netns ?? 'of the host')),
      optionFinding('strict checking', socket.hasStrictChecking, 'NETLINK_GET_STRICT_CHK (Linux 4.20)'),
      optionFinding('extended acks', socket.hasExtendedAcks, 'NETLINK_EXT_ACK (Linux 4.12)'),
      bufferFinding(socket.receiveBuffer, wish.receiveBuffer),
    ];
    findings.push(await nftablesFinding(netns));
    return findings;
  } finally {
    socket.close();
  }
}

function optionFinding(feature: string, isThere: boolean, option: string): Finding {
  return isThere
    ? available('netlink', feature)
    : unsupported('netlink', feature, `the kernel does not take ${option}`, 'Use a later kernel.');
}

/** The kernel doubles what it is asked for and tells the double (socket(7)). */
function bufferFinding(given: number | undefined, wanted: number): Finding {
  const feature = 'receive buffer';
  if (given === undefined) return inconclusive('netlink', feature, 'the kernel does not tell its size');
  const bytes = Math.floor(given / 2);
  if (bytes >= wanted) return available('netlink', feature, `${bytes} bytes`);
  return unsupported(
    'netlink',
    feature,
    `${bytes} bytes instead of ${wanted}: storms lead to reading again sooner`,
    `Run the host as root, grant CAP_NET_ADMIN, or raise net.core.rmem_max to ${wanted}.`,
  );
}

const NO_CONTROL: TrafficControl = { hasFlowtables: false, links: () => [], parents: () => [] };

async function nftablesFinding(netns: string | undefined): Promise<Finding> {
  const client = new NetlinkClient({ protocol: NETLINK_NETFILTER, netns });
  try {
    for (const request of dumpRequests({ kind: KIND['nft-table'] }, NO_CONTROL, undefined)) {
      await client.dump(request, () => {});
    }
    return available('netlink', 'nftables');
  } catch (error) {
    if (!(error instanceof EkhoError)) throw error;
    if (/not permitted/i.test(error.message)) {
      return inconclusive(
        'netlink',
        'nftables',
        error.message,
        'Run the host as root or grant CAP_NET_ADMIN.',
      );
    }
    const remedy = 'Load the nf_tables module, if packets are to be filtered.';
    return unsupported('netlink', 'nftables', error.message, remedy);
  } finally {
    client.close();
  }
}
