/** A neighbour: family, link, network address. Proxy entries (not mirrored) are a table of their own. */

import { neighbourAttributes } from '../../netlink/schema/neighbour.ts';
import { type KeyOf, putFound } from '../key.ts';

const { dst: DST } = neighbourAttributes.number;
const NTF_PROXY = 0x08;

export const neighbourKey: KeyOf = (data, start, end, out) => {
  if (end - start < 12) return 0;
  out[0] = data.bytes[start]! | ((data.bytes[start + 10]! & NTF_PROXY) << 8);
  out[1] = data.words[(start + 4) >>> 2]!;
  return putFound(data, start + 12, end, DST, out, 2);
};
