/** The kernel's own counters of links and filters, read when asked for: the mirror does not store what changes with every packet. */

import type { Mirror } from '../mirror/mirror.ts';
import { KIND, type KindNumber } from '../mirror/types.ts';
import { type DecodedObject, decodeObject } from '../netlink/decode.ts';
import { MessageWriter, NETLINK_ROUTE } from '../netlink/message.ts';
import { type NetlinkClient, NetlinkError } from '../netlink/request.ts';
import { kindOf } from './announcements.ts';
import { ControlView } from './control-view.ts';
import { type DumpRequest, dumpRequests, GET } from './requests.ts';
import { RTM_NEWLINK } from './rtnetlink.ts';

/** struct ifinfomsg */
const IFINFOMSG_SIZE = 16;

export interface KernelCounter {
  readonly packets: number;
  /** As iproute2 prints: links with the Ethernet header, filters of ingress without it. */
  readonly bytes: number;
}

/** By kind and id in the mirror. Links: what they received. Filters: what their first action saw. */
export interface KernelCounters {
  of(kind: KindNumber, id: number): KernelCounter | undefined;
}

/** Reads links, and the filters of the links that have any. What the kernel refuses to tell is left out. */
export async function readKernelCounters(
  mirror: Mirror,
  client: Pick<NetlinkClient, 'dump'>,
): Promise<KernelCounters> {
  const control = new ControlView((kind) => mirror.table(kind));
  const links: DumpRequest = {
    type: RTM_NEWLINK + GET,
    payload: new MessageWriter().raw(new Uint8Array(IFINFOMSG_SIZE)).bytes(),
    operation: 'read the counters of links',
  };
  const counters = new Map<KindNumber, Map<number, KernelCounter>>([
    [KIND.link, await read(mirror, KIND.link, [links], client, linkCounter)],
    [
      KIND.filter,
      await read(
        mirror,
        KIND.filter,
        dumpRequests({ kind: KIND.filter }, control, undefined),
        client,
        filterCounter,
      ),
    ],
  ]);
  return { of: (kind, id) => counters.get(kind)?.get(id) };
}

async function read(
  mirror: Mirror,
  kind: KindNumber,
  requests: readonly DumpRequest[],
  client: Pick<NetlinkClient, 'dump'>,
  counterOf: (object: DecodedObject) => KernelCounter | undefined,
): Promise<Map<number, KernelCounter>> {
  const found = new Map<number, KernelCounter>();
  const table = mirror.table(kind);
  for (const request of requests) {
    try {
      await client.dump(request, (type, _flags, _sequence, data, start, end) => {
        if (end <= start || kindOf(NETLINK_ROUTE, type, data.bytes[start]!) !== kind) return;
        const matches = table.match(data, start, end);
        if (matches === undefined || matches.length === 0) return;
        const name = kind === KIND.link ? 'link' : 'filter';
        const counter = counterOf(decodeObject(name, data.bytes, start, end));
        if (counter !== undefined) found.set(matches.ids[0]!, counter);
      });
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
    }
  }
  return found;
}

type Nested = { readonly [name: string]: unknown };

function linkCounter({ stats64 }: DecodedObject): KernelCounter | undefined {
  const { rx_packets, rx_bytes } = (stats64 ?? {}) as Nested;
  return rx_packets === undefined ? undefined : { packets: Number(rx_packets), bytes: Number(rx_bytes) };
}

/** Every kind of filter has its actions under the same name; each action counts what reached it. */
function filterCounter({ options }: DecodedObject): KernelCounter | undefined {
  const { act } = (options ?? {}) as Nested;
  const first = (Array.isArray(act) ? act[0] : Object.values((act ?? {}) as Nested)[0]) as Nested | undefined;
  const { basic } = (first?.stats ?? {}) as Nested;
  const { packets, bytes } = (basic ?? {}) as Nested;
  return packets === undefined ? undefined : { packets: Number(packets), bytes: Number(bytes) };
}
