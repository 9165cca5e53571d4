/** Per-interface protocol settings: family and interface index (-1 for all, -2 for the default). */

import { netconfAttributes } from '../../netlink/schema/netconf.ts';
import { type KeyOf, wordOf } from '../key.ts';

const { ifindex: IFINDEX } = netconfAttributes.number;

export const netconfKey: KeyOf = (data, start, end, out) => {
  if (end - start < 4) return 0;
  out[0] = data.bytes[start]!;
  out[1] = wordOf(data, start + 4, end, IFINDEX, 0);
  return 2;
};
