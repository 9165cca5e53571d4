/** IP addresses as four words, most significant first; IPv4 in the last. */

import { EkhoError } from '../../errors.ts';

export interface Address {
  readonly six: boolean;
  readonly words: Uint32Array;
}

/** @throws EkhoError E_BAD_ADDRESS */
export function parseAddress(text: string): Address {
  const words = new Uint32Array(4);
  if (!text.includes(':')) {
    words[3] = parseDotted(text, text);
    return { six: false, words };
  }
  const halves = text.split('::');
  if (halves.length > 2) throw bad(text);
  const head = parseGroups(halves[0]!, text);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, text) : [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) throw bad(text);
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  for (let word = 0; word < 4; word++) words[word] = (groups[2 * word]! << 16) | groups[2 * word + 1]!;
  return { six: true, words };
}

/** The text of RFC 5952 for IPv6. */
export function formatAddress(six: boolean, words: Uint32Array, at: number): string {
  if (!six) {
    const low = words[at + 3]!;
    return `${low >>> 24}.${(low >>> 16) & 255}.${(low >>> 8) & 255}.${low & 255}`;
  }
  const groups: number[] = [];
  for (let word = 0; word < 4; word++) groups.push(words[at + word]! >>> 16, words[at + word]! & 0xffff);
  let start = 0;
  let length = 0;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && groups[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const text = (some: number[]): string => some.map((group) => group.toString(16)).join(':');
  if (length < 2) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

function parseGroups(part: string, text: string): number[] {
  if (part === '') return [];
  const groups: number[] = [];
  const pieces = part.split(':');
  for (const [number, piece] of pieces.entries()) {
    if (piece.includes('.') && number === pieces.length - 1) {
      const low = parseDotted(piece, text);
      groups.push(low >>> 16, low & 0xffff);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(piece)) {
      groups.push(Number.parseInt(piece, 16));
    } else {
      throw bad(text);
    }
  }
  return groups;
}

function parseDotted(part: string, text: string): number {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(part);
  if (match === null) throw bad(text);
  let value = 0;
  for (const piece of match.slice(1)) {
    if (Number(piece) > 255) throw bad(text);
    value = value * 256 + Number(piece);
  }
  return value;
}

function bad(text: string): EkhoError {
  return new EkhoError('E_BAD_ADDRESS', `${text} is not an IP address`);
}
