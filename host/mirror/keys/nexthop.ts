/** A nexthop object is its id. */

import { nexthopAttributes } from '../../netlink/schema/nexthop.ts';
import { type KeyOf, wordOf } from '../key.ts';

const { id: ID } = nexthopAttributes.number;

export const nexthopKey: KeyOf = (data, start, end, out) => {
  if (end - start < 8) return 0;
  out[0] = wordOf(data, start + 8, end, ID, 0);
  return 1;
};
