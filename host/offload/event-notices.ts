/** Notices from the events of the kernel's notifiers: of what the kernel tells its drivers, what hardware may want to know early. */

import { EVENTS } from '../kernel/notifier/catalogue.ts';
import { nameOf, PORT_ATTRIBUTES } from '../kernel/notifier/names.ts';
import type { NotifierRecord } from '../kernel/notifier/record.ts';
import { FAMILY, NOTICE_SET, NOTICE_TYPE } from '../plugin/records.ts';
import type { Words } from './codecs.ts';
import type { NoticeDetails, Notices } from './notices.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';

/** Bits of `NOTICE_SET` that come from events. */
export const EVENT_NOTICES = NOTICE_SET.routes | NOTICE_SET.nexthops | NOTICE_SET.fdb | NOTICE_SET.stp;

/** The notice of each event, by the event's number. */
const NOTICE_OF = new Map<number, number>([
  [EVENTS['route-replace'].number, NOTICE_TYPE.routeChanged],
  [EVENTS['route-append'].number, NOTICE_TYPE.routeChanged],
  [EVENTS['route-delete'].number, NOTICE_TYPE.routeRemoved],
  [EVENTS['nexthop-object-replace'].number, NOTICE_TYPE.nexthopChanged],
  [EVENTS['nexthop-object-delete'].number, NOTICE_TYPE.nexthopRemoved],
  [EVENTS['fdb-add-to-device'].number, NOTICE_TYPE.fdbChanged],
  [EVENTS['fdb-delete-to-device'].number, NOTICE_TYPE.fdbRemoved],
  [EVENTS['fdb-flush'].number, NOTICE_TYPE.fdbFlushed],
  // On tracepoints, where the functions cannot be had.
  [EVENTS['fdb-add'].number, NOTICE_TYPE.fdbChanged],
  [EVENTS['fdb-learn'].number, NOTICE_TYPE.fdbChanged],
  [EVENTS['fdb-external-learn'].number, NOTICE_TYPE.fdbChanged],
  [EVENTS['fdb-delete'].number, NOTICE_TYPE.fdbRemoved],
  [EVENTS['port-attribute-set'].number, NOTICE_TYPE.stpState],
]);

/** `portOf`: handle of the port that a link is of this plugin, 0 where it is none. Returns whether there is a notice. */
export function noticeEvent(
  record: NotifierRecord,
  notices: Notices,
  portOf: (ifindex: number) => number,
): boolean {
  const type = NOTICE_OF.get(record.type);
  if (type === undefined || !notices.wants(type)) return false;
  const { ifindex } = record;
  const time = Number(record.time);
  switch (type) {
    case NOTICE_TYPE.routeChanged:
    case NOTICE_TYPE.routeRemoved: {
      const details = routeDetails(record, time);
      if (details === undefined) return false;
      notices.add(type, ifindex, portOf(ifindex), details);
      return true;
    }
    case NOTICE_TYPE.nexthopChanged:
    case NOTICE_TYPE.nexthopRemoved:
      notices.add(type, 0, 0, { value: record.number('id'), time });
      return true;
    case NOTICE_TYPE.stpState:
      if (nameOf(PORT_ATTRIBUTES, record.number('id')) !== 'stp-state') return false;
      return addOfPort(notices, type, ifindex, portOf(ifindex), { value: record.number('value'), time });
    default:
      return addOfPort(notices, type, ifindex, portOf(ifindex), {
        mac: macAt(record.bytes, record.start + record.offset('mac')),
        vlan: record.number('vlan'),
        time,
      });
  }
}

function addOfPort(
  notices: Notices,
  type: number,
  ifindex: number,
  port: number,
  details: NoticeDetails,
): boolean {
  if (port === 0) return false;
  notices.add(type, ifindex, port, details);
  return true;
}

/** Undefined for multicast routing and the like. */
function routeDetails(record: NotifierRecord, time: number): NoticeDetails | undefined {
  const { family, bytes } = record;
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const at = record.start + record.offset('dst');
  const word = (offset: number): number =>
    ((bytes[at + offset]! << 24) |
      (bytes[at + offset + 1]! << 16) |
      (bytes[at + offset + 2]! << 8) |
      bytes[at + offset + 3]!) >>>
    0;
  const address: Words = family === AF_INET ? [0, 0, 0, word(0)] : [word(0), word(4), word(8), word(12)];
  return {
    value: record.number('table'),
    family: family === AF_INET ? FAMILY.ipv4 : FAMILY.ipv6,
    address,
    prefixLength: record.number('dst_len'),
    time,
  };
}

function macAt(bytes: Uint8Array, at: number): number {
  let mac = 0;
  for (let byte = 0; byte < 6; byte++) mac = mac * 256 + bytes[at + byte]!;
  return mac;
}
