/**
 * Places in the lines of a case that a number goes into: `{i}` is the number itself, `{i*2+1}` one made of it, and
 * `{10.0.0.0/24+i}` the i-th network after one, `{192.0.2.1+i}` the i-th address.
 */

import { formatAddress, parseAddress } from '../../../host/device/asic/address.ts';

export type Numbers = Readonly<Record<string, number>>;

const PLACE = /\{([^{}]*)\}/g;
const NETWORK = /^([0-9a-fA-F.:]+?)(?:\/(\d{1,3}))?\+(.+)$/;

/** Fills the places of a line. Throws SyntaxError for one that cannot be filled. */
export function fill(line: string, numbers: Numbers): string {
  return line.replaceAll(PLACE, (_, place: string) => {
    const network = /[.:]/.test(place) ? NETWORK.exec(place) : null;
    if (network === null) return String(evaluate(place, numbers));
    const [, address, length, rest] = network;
    return shifted(address!, length === undefined ? undefined : Number(length), evaluate(rest!, numbers));
  });
}

/** Sums and products, from left to right, of numbers and names: no more is needed. */
function evaluate(text: string, numbers: Numbers): number {
  const words = text.match(/[a-z]+|\d+|[-+*%]/g) ?? [];
  if (words.join('') !== text.replaceAll(' ', '')) throw new SyntaxError(`{${text}} cannot be worked out`);
  let result = term(words[0], text, numbers);
  for (let at = 1; at < words.length; at += 2) {
    const value = term(words[at + 1], text, numbers);
    if (words[at] === '+') result += value;
    else if (words[at] === '-') result -= value;
    else if (words[at] === '*') result *= value;
    else result %= value;
  }
  return result;
}

function term(word: string | undefined, text: string, numbers: Numbers): number {
  const value = word !== undefined && /^\d+$/.test(word) ? Number(word) : numbers[word ?? ''];
  if (value === undefined) throw new SyntaxError(`{${text}}: there is no number ${word ?? ''}`);
  return value;
}

function shifted(text: string, length: number | undefined, by: number): string {
  const address = parseAddress(text);
  const bits = address.six ? 128 : 32;
  let value = 0n;
  for (const word of address.words) value = (value << 32n) | BigInt(word);
  value += BigInt(by) << BigInt(bits - (length ?? bits));
  const words = Uint32Array.from([96n, 64n, 32n, 0n], (shift) => Number((value >> shift) & 0xffff_ffffn));
  return `${formatAddress(address.six, words, 0)}${length === undefined ? '' : `/${length}`}`;
}
