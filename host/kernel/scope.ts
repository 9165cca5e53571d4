/** Whether an object lies in a scope: what a restricted dump would have shown had it still been there. */

import { KIND } from '../mirror/types.ts';
import type { Datagram } from '../netlink/message.ts';
import type { Scope } from './requests.ts';
import { routeGoesOut, routeNexthopId, routeTable } from './routes.ts';

export function isInScope(scope: Scope, data: Datagram, start: number, end: number): boolean {
  const { kind, ifindex, family, table } = scope;
  if (family !== undefined && data.bytes[start] !== family) return false;
  if (table !== undefined && routeTable(data, start, end) !== table) return false;
  if (ifindex === undefined) return true;
  const word = (start + 4) >>> 2;
  switch (kind) {
    case KIND.route:
      // The kernel's filter by link does not look into nexthop objects.
      return routeNexthopId(data, start, end) === 0 && routeGoesOut(data, start, end, ifindex);
    default:
      return data.words[word] === ifindex;
  }
}
