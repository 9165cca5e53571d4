/** Identity keys: the words that make an object this object, taken from its bytes, and their hash. */

import { type Datagram, findAttribute, LOW_SHIFT, NLA_HDRLEN } from '../netlink/message.ts';

/** Longest key in words: four names of 256 bytes and some numbers. */
export const KEY_WORDS = 1024;

/**
 * Writes the key of the object at `start` to `end` into `out`, returns the number of words; 0 when the message is too
 * short to have one.
 */
export type KeyOf = (data: Datagram, start: number, end: number, out: Uint32Array) => number;

/** MurmurHash3's 32-bit mixing over words, as an unsigned number. */
export function hashWords(words: Uint32Array, length: number): number {
  let hash = 0x9747b28c;
  for (let at = 0; at < length; at++) {
    let word = Math.imul(words[at]!, 0xcc9e2d51);
    word = (word << 15) | (word >>> 17);
    hash ^= Math.imul(word, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Copies the payload of the attribute at `at`, padding included, behind its length; returns the new number of words. */
export function putAttribute(data: Datagram, at: number, out: Uint32Array, words: number): number {
  const { words: source } = data;
  const length = (source[at >>> 2]! >>> LOW_SHIFT) & 0xffff;
  const from = (at + NLA_HDRLEN) >>> 2;
  const count = Math.min((length - 1) >>> 2, KEY_WORDS - words - 1);
  out[words] = length;
  for (let word = 0; word < count; word++) out[words + 1 + word] = source[from + word]!;
  return words + 1 + count;
}

/** Like `putAttribute` for the attribute `type` among those from `start` to `end`; an absent one is a single 0. */
export function putFound(
  data: Datagram,
  start: number,
  end: number,
  type: number,
  out: Uint32Array,
  words: number,
): number {
  const at = findAttribute(data.words, start, end, type);
  if (at >= 0) return putAttribute(data, at, out, words);
  out[words] = 0;
  return words + 1;
}

/** The first four bytes of attribute `type` as a number of this machine's byte order, or `otherwise`. */
export function wordOf(data: Datagram, start: number, end: number, type: number, otherwise: number): number {
  const at = findAttribute(data.words, start, end, type);
  if (at < 0 || ((data.words[at >>> 2]! >>> LOW_SHIFT) & 0xffff) < NLA_HDRLEN + 4) return otherwise;
  return data.words[(at + NLA_HDRLEN) >>> 2]!;
}
