/**
 * What IPv6 does with each link as it is set, which nobody announces: asked for in one dump, where /proc/sys has a file for each setting
 * of each link.
 */

import { EkhoError } from '../errors.ts';
import {
  attributeLength,
  type Datagram,
  findAttribute,
  NETLINK_ROUTE,
  NLA_HDRLEN,
} from '../netlink/message.ts';
import { NetlinkClient } from '../netlink/request.ts';
import { linkAttributes, linkInet6Attributes } from '../netlink/schema/link.ts';
import { dumpConsistently } from './dumps.ts';
import { GET } from './requests.ts';
import { AF_INET6, RTM_NEWLINK } from './rtnetlink.ts';

const OPERATION = 'read IPv6 settings of links';
/** linux/rtnetlink.h struct ifinfomsg */
const HEADER = 16;
/** linux/ipv6.h, places in IFLA_INET6_CONF */
const DEVCONF_MTU6 = 2;
const DEVCONF_DISABLE_IPV6 = 26;

const { protinfo: PROTINFO } = linkAttributes.number;
const { conf: CONF } = linkInet6Attributes.number;

export class Ipv6Links {
  readonly #client: NetlinkClient;

  /** Throws E_NETNS or E_NETLINK. */
  constructor(netns: string | undefined) {
    this.#client = new NetlinkClient({ protocol: NETLINK_ROUTE, netns });
  }

  /**
   * Largest IPv6 packet that leaves by each link, by its interface index, and 0 where those that arrive are dropped (disable_ipv6). Rejects
   * with an EkhoError, also when links came and went during every attempt.
   */
  async mtus(): Promise<Readonly<Record<number, number>>> {
    let mtus: Record<number, number> = {};
    const request = {
      type: RTM_NEWLINK + GET,
      payload: Uint8Array.of(AF_INET6, ...new Uint8Array(HEADER - 1)),
      operation: OPERATION,
    };
    const isWhole = await dumpConsistently(this.#client, () => [request], {
      begin: () => {
        mtus = {};
      },
      message: (_type, _flags, _sequence, data, start, end) => note(mtus, data, start, end),
      interrupted: () => true,
    });
    if (!isWhole)
      throw new EkhoError('E_NETLINK', `${OPERATION}: they changed during each attempt`, {
        operation: OPERATION,
      });
    return mtus;
  }

  close(): void {
    this.#client.close();
  }
}

function note(mtus: Record<number, number>, { words }: Datagram, start: number, end: number): void {
  const info = findAttribute(words, start + HEADER, end, PROTINFO);
  if (info < 0) return;
  const conf = findAttribute(words, info + NLA_HDRLEN, info + attributeLength(words, info), CONF);
  if (conf < 0 || attributeLength(words, conf) < NLA_HDRLEN + 4 * (DEVCONF_DISABLE_IPV6 + 1)) return;
  const settings = (conf + NLA_HDRLEN) >>> 2;
  const ifindex = words[(start + 4) >>> 2]!;
  mtus[ifindex] = words[settings + DEVCONF_DISABLE_IPV6] !== 0 ? 0 : words[settings + DEVCONF_MTU6]!;
}
