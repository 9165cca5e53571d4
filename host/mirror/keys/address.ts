/** An address: family, prefix length, link, local and peer address (net/ipv4/devinet.c, net/ipv6/addrconf.c). */

import { addressAttributes } from '../../netlink/schema/address.ts';
import { type KeyOf, putFound } from '../key.ts';

const { address: ADDRESS, local: LOCAL } = addressAttributes.number;

export const addressKey: KeyOf = (data, start, end, out) => {
  if (end - start < 8) return 0;
  out[0] = data.bytes[start]! | (data.bytes[start + 1]! << 8);
  out[1] = data.words[(start + 4) >>> 2]!;
  const words = putFound(data, start + 8, end, LOCAL, out, 2);
  return putFound(data, start + 8, end, ADDRESS, out, words);
};
