/** Changes of an input as decoders fear them: bits, lengths, ends that are missing, parts twice or of another input. */
import type { Random } from '../support/random.ts';

/** No input grows beyond this. */
const BYTES_MAX = 1 << 16;
const STEPS_MAX = 6;
/** Numbers at which something ends or wraps. */
const EDGES = [
  0, 1, 3, 4, 7, 8, 15, 16, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
  0xffffffff,
];

export type Corpus = readonly Uint8Array[];

/** One to a few changes in a row. `words` are texts that mean something to what reads the input. */
export function mutate(
  input: Uint8Array,
  corpus: Corpus,
  words: readonly string[],
  random: Random,
): Uint8Array {
  let bytes: Buffer = Buffer.from(input);
  for (let left = 1 + random.below(STEPS_MAX); left > 0; left--) bytes = once(bytes, corpus, words, random);
  return new Uint8Array(bytes.subarray(0, BYTES_MAX));
}

function once(bytes: Buffer, corpus: Corpus, words: readonly string[], random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const to = Math.min(bytes.length, at + random.below(64));
  const cut = (middle: Uint8Array, from = at) =>
    Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(Math.max(from, at))]);
  switch (random.below(words.length > 0 ? 10 : 9)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.below(256);
      return bytes;
    case 2:
      return edge(bytes, random);
    case 3:
      return length(bytes, random);
    case 4:
      return bytes.subarray(0, at);
    case 5:
      return cut(new Uint8Array(0), to);
    case 6:
      return cut(bytes.subarray(at, to));
    case 7:
      return cut(Uint8Array.from({ length: random.below(16) }, () => random.below(256)));
    case 8: {
      const other = random.pick(corpus);
      const from = random.below(other.length + 1);
      return cut(other.subarray(from, from + random.below(256)), random.chance(0.5) ? to : at);
    }
    default:
      return cut(Buffer.from(random.pick(words)), random.chance(0.5) ? to : at);
  }
}

/** A number of one, two or four bytes that is an edge. */
function edge(bytes: Buffer, random: Random): Buffer {
  const size = random.pick([1, 2, 4]);
  if (bytes.length < size) return bytes;
  const value = random.pick(EDGES) % 2 ** (size * 8);
  bytes.writeUIntLE(value, random.below(bytes.length - size + 1), size);
  return bytes;
}

/** A number on a word, where lengths stand, a little smaller or larger. */
function length(bytes: Buffer, random: Random): Buffer {
  const size = random.pick([2, 4]);
  if (bytes.length < 4) return bytes;
  const at = random.below(bytes.length >> 2) * 4;
  const value = bytes.readUIntLE(at, size) + random.below(17) - 8;
  bytes.writeUIntLE(((value % 2 ** (size * 8)) + 2 ** (size * 8)) % 2 ** (size * 8), at, size);
  return bytes;
}
