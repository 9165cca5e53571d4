/**
 * A route: family, table, destination, source, TOS and metric. Several may share all of that: aliases added by `ip route
 * append` (net/ipv4/fib_trie.c), IPv6 routes of the same metric on different links (net/ipv6/ip6_fib.c).
 */

import { HIGH_SHIFT, LOW_SHIFT, NLA_HDRLEN, NLA_TYPE_MASK } from '../../netlink/message.ts';
import { routeAttributes } from '../../netlink/schema/route.ts';
import type { KeyOf } from '../key.ts';

const { dst: DST, src: SRC, priority: PRIORITY, table: TABLE } = routeAttributes.number;

/** The hot path of a dump of a million routes: one pass over the attributes, nothing allocated. */
export const routeKey: KeyOf = (data, start, end, out) => {
  if (end - start < 12) return 0;
  const { words, bytes } = data;
  out[0] = words[start >>> 2]!;
  out[1] = bytes[start + 4]!;
  out[2] = 0;
  let dst = 0;
  let src = 0;
  let at = start + 12;
  while (at + NLA_HDRLEN <= end) {
    const word = words[at >>> 2]!;
    const length = (word >>> LOW_SHIFT) & 0xffff;
    if (length < NLA_HDRLEN || length > end - at) return 0;
    const type = (word >>> HIGH_SHIFT) & NLA_TYPE_MASK;
    if (type === TABLE) out[1] = words[(at + NLA_HDRLEN) >>> 2]!;
    else if (type === PRIORITY) out[2] = words[(at + NLA_HDRLEN) >>> 2]!;
    else if (type === DST) dst = at;
    else if (type === SRC) src = at;
    at += (length + 3) & ~3;
  }
  let count = 3;
  if (dst !== 0) count = putAddress(words, dst, out, count);
  if (src !== 0) count = putAddress(words, src, out, count);
  return count;
};

function putAddress(words: Uint32Array, at: number, out: Uint32Array, count: number): number {
  const length = (words[at >>> 2]! >>> LOW_SHIFT) & 0xffff;
  const end = (at + length + 3) >>> 2;
  let to = count;
  for (let word = (at + NLA_HDRLEN) >>> 2; word < end && to < count + 8; word++) out[to++] = words[word]!;
  return to;
}
