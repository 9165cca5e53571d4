/** Pages through a BPF map, as rows of 32-bit words. */

import type { BpfMap, Chunk } from '../../../bpf/libbpf-ts/src/index.ts';
import type { Organisation } from './layout.ts';

/** Most rows an answer has. */
const LIMIT = 4096;

export class Reader {
  readonly #map: BpfMap;
  readonly #organisation: Organisation;
  readonly #keyWords: number;
  readonly #words: number;
  #chunks: Generator<Chunk, void, undefined> | undefined;
  #chunk: Chunk | undefined;
  /** Entry of the chunk that comes next. */
  #next = 0;
  /** Cursor that goes on where the last page ended. */
  #cursor = 0;
  #answer = new Uint32Array(1);

  constructor(map: BpfMap, organisation: Organisation, keyWords: number, words: number) {
    this.#map = map;
    this.#organisation = organisation;
    this.#keyWords = keyWords;
    this.#words = words;
  }

  /** Next cursor, then rows. With another cursor than the last answer's it starts over. */
  read(cursor: number, limit: number): Uint32Array {
    const most = Math.min(Math.max(limit, 1), LIMIT);
    if (this.#answer.length < 1 + most * this.#words) this.#answer = new Uint32Array(1 + most * this.#words);
    if (cursor === 0 || cursor !== this.#cursor || this.#chunks === undefined) {
      this.close();
      this.#chunks = this.#map.chunks();
    }
    let rows = 0;
    while (rows < most && this.#fill()) {
      if (this.#take(1 + rows * this.#words)) rows++;
    }
    const more = this.#fill();
    // Never 0, and never what an earlier page had.
    this.#cursor = more ? (this.#cursor % 0xffff) + 1 : 0;
    if (!more) this.close();
    this.#answer[0] = this.#cursor;
    return this.#answer.subarray(0, 1 + rows * this.#words);
  }

  /** False when there are no more entries. */
  #fill(): boolean {
    if (this.#chunk !== undefined && this.#next < this.#chunk.count) return true;
    const { value, done } = this.#chunks!.next();
    if (done || value === undefined) return false;
    this.#chunk = value;
    this.#next = 0;
    return true;
  }

  /** Writes the next entry into the answer at `at`; false if it is none. */
  #take(at: number): boolean {
    const { keys, values } = this.#chunk!;
    const entry = this.#next++;
    const answer = this.#answer;
    const key = new Uint32Array(keys.buffer, 0, keys.byteLength >>> 2);
    for (let word = 0; word < this.#keyWords; word++) answer[at + word] = key[entry * this.#keyWords + word]!;
    const value = new Uint32Array(values.buffer, 0, values.byteLength >>> 2);
    const width = this.#map.valueCodec.size / 4;
    const words = this.#words - this.#keyWords;
    const from = entry * width;
    if (this.#organisation === 'counters') {
      return sumCounters(value, from, width / words, answer, at + this.#keyWords);
    }
    if (this.#organisation === 'slots' && value[from] === 0) return false;
    for (let word = 0; word < words; word++) answer[at + this.#keyWords + word] = value[from + word]!;
    return true;
  }

  close(): void {
    this.#chunks?.return();
    this.#chunks = undefined;
    this.#chunk = undefined;
    this.#next = 0;
  }
}

/** One counter for all CPUs: sums of packets and bytes, the latest use. False when it never counted. */
export function sumCounters(
  from: Uint32Array,
  start: number,
  cpus: number,
  to: Uint32Array,
  at: number,
): boolean {
  let packets = 0;
  let bytes = 0;
  let used = 0;
  for (let cpu = 0, word = start; cpu < cpus; cpu++, word += 6) {
    // Whole numbers up to 2^53: at 100 Gbit/s that is eight days of bytes times a thousand.
    packets += from[word]! + from[word + 1]! * 2 ** 32;
    bytes += from[word + 2]! + from[word + 3]! * 2 ** 32;
    used = Math.max(used, from[word + 4]! + from[word + 5]! * 2 ** 32);
  }
  if (packets === 0 && used === 0) return false;
  put(to, at, packets);
  put(to, at + 2, bytes);
  put(to, at + 4, used);
  return true;
}

function put(words: Uint32Array, at: number, value: number): void {
  words[at] = value % 2 ** 32;
  words[at + 1] = Math.floor(value / 2 ** 32);
}
