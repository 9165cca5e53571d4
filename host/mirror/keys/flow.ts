/** Connections: the tuple of the original direction, and the zone. */

import { flowAttributes } from '../../netlink/schema/conntrack.ts';
import { nftHeader } from '../../netlink/schema/nft.ts';
import { type KeyOf, putFound } from '../key.ts';

const { tuple_orig: TUPLE, zone: ZONE } = flowAttributes.number;

export const flowKey: KeyOf = (data, start, end, out) => {
  const attributes = start + nftHeader.size;
  if (end < attributes) return 0;
  out[0] = data.bytes[start]!;
  return putFound(data, attributes, end, ZONE, out, putFound(data, attributes, end, TUPLE, out, 1));
};
