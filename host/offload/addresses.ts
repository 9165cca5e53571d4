/** IP addresses as the planner keeps them: four 32-bit words, most significant first, IPv4 in the last. */

import { formatIp4, formatIp6, parseIp } from '../netlink/address.ts';
import type { Words } from './codecs.ts';
import { AF_INET, AF_INET6, bigEndian32 } from './route-reader.ts';

export interface Address {
  readonly family: number;
  readonly words: Words;
}

/** Undefined for what is not an IP address. */
export function parseAddress(text: string): Address | undefined {
  const bytes = parseIp(text);
  if (bytes === undefined) return undefined;
  if (bytes.length === 4) return { family: AF_INET, words: [0, 0, 0, bigEndian32(bytes, 0)] };
  return {
    family: AF_INET6,
    words: [bigEndian32(bytes, 0), bigEndian32(bytes, 4), bigEndian32(bytes, 8), bigEndian32(bytes, 12)],
  };
}

/** Mask of the first `length` bits of an address. */
export function prefixMask(length: number, isV4: boolean): Words {
  const word = (bits: number) => (bits <= 0 ? 0 : bits >= 32 ? 0xffffffff : (-1 << (32 - bits)) >>> 0);
  if (isV4) return [0, 0, 0, word(length)];
  return [word(length), word(length - 32), word(length - 64), word(length - 96)];
}

export function formatAddress(family: number, words: ArrayLike<number>): string {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (let word = 0; word < 4; word++) view.setUint32(4 * word, words[word]!);
  return family === AF_INET ? formatIp4(bytes, 12) : formatIp6(bytes, 0);
}
