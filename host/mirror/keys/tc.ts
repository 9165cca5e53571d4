/** Traffic control: queueing disciplines, classes, chains and filters by link (or shared block) and handle. */

import { filterAttributes, tcHeader } from '../../netlink/schema/tc.ts';
import { type KeyOf, wordOf } from '../key.ts';

/** linux/rtnetlink.h struct tcmsg: family, ifindex, handle, parent, info. */
const HEADER = tcHeader.size;

export const qdiscKey: KeyOf = (data, start, end, out) => {
  if (end - start < HEADER) return 0;
  const word = start >>> 2;
  out[0] = data.words[word + 1]!;
  out[1] = data.words[word + 2]!;
  out[2] = data.words[word + 3]!;
  return 3;
};

export const classKey: KeyOf = (data, start, end, out) => {
  if (end - start < HEADER) return 0;
  const word = start >>> 2;
  out[0] = data.words[word + 1]!;
  out[1] = data.words[word + 2]!;
  return 2;
};

/** With a shared block, ifindex is TCM_IFINDEX_MAGIC_BLOCK and parent the block. */
export const chainKey: KeyOf = (data, start, end, out) => {
  if (end - start < HEADER) return 0;
  const word = start >>> 2;
  out[0] = data.words[word + 1]!;
  out[1] = data.words[word + 3]!;
  out[2] = wordOf(data, start + HEADER, end, filterAttributes.number.chain, 0);
  return 3;
};

/** `info` is priority and protocol. */
export const filterKey: KeyOf = (data, start, end, out) => {
  if (end - start < HEADER) return 0;
  const word = start >>> 2;
  out[0] = data.words[word + 1]!;
  out[1] = data.words[word + 2]!;
  out[2] = data.words[word + 3]!;
  out[3] = data.words[word + 4]!;
  out[4] = wordOf(data, start + HEADER, end, filterAttributes.number.chain, 0);
  return 5;
};
