/** Pages through BPF maps, as rows of 32-bit words. */

import type { BpfMap, Chunk } from '../../../bpf/libbpf-ts/src/index.ts';

/** Most rows an answer has, and most entries of an array that one read looks at. */
const LIMIT = 4096;

export interface Reader {
  /** Next cursor, then rows. Of an array, rows that are not held are left out, and an answer may be empty before the end. */
  read(cursor: number, limit: number): Uint32Array;
  close(): void;
}

/** Writes the value that stands at `from[start]` to `to[at]`; false if the entry is no row. */
type Take = (from: Uint32Array, start: number, to: Uint32Array, at: number) => boolean;

/** Reads arrays; a cursor is the index of the entry that comes next. */
export class SlotReader implements Reader {
  readonly #map: BpfMap;
  readonly #entries: number;
  readonly #words: number;
  readonly #take: Take;
  #values = new Uint8Array(0);
  #answer = new Uint32Array(1);

  /** `words` of a row. */
  constructor(map: BpfMap, words: number, take: Take) {
    this.#map = map;
    this.#entries = map.maxEntries;
    this.#words = words;
    this.#take = take;
  }

  read(cursor: number, limit: number): Uint32Array {
    const size = this.#map.valueCodec.size;
    const most = Math.min(Math.max(limit, 1), LIMIT, Math.max(0, this.#entries - cursor));
    if (this.#values.byteLength < most * size) this.#values = new Uint8Array(most * size);
    if (this.#answer.length < 1 + most * this.#words) this.#answer = new Uint32Array(1 + most * this.#words);
    const answer = this.#answer;
    const count = this.#map.readSlots(cursor, this.#values.subarray(0, most * size));
    const values = new Uint32Array(this.#values.buffer, 0, this.#values.byteLength >>> 2);
    let at = 1;
    for (let entry = 0; entry < count; entry++) {
      if (!this.#take(values, (entry * size) >>> 2, answer, at + 1)) continue;
      answer[at] = cursor + entry;
      at += this.#words;
    }
    const next = cursor + count;
    answer[0] = count > 0 && next < this.#entries ? next : 0;
    return answer.subarray(0, at);
  }

  close(): void {
    this.#values = new Uint8Array(0);
  }
}

/** Reads maps that are found by content; a cursor stands for where the last page ended, and any other starts over. */
export class ContentReader implements Reader {
  readonly #map: BpfMap;
  readonly #keyWords: number;
  readonly #words: number;
  #chunks: Generator<Chunk, void, undefined> | undefined;
  #chunk: Chunk | undefined;
  /** Entry of the chunk that comes next. */
  #next = 0;
  #cursor = 0;
  #answer = new Uint32Array(1);

  constructor(map: BpfMap, keyWords: number, words: number) {
    this.#map = map;
    this.#keyWords = keyWords;
    this.#words = words;
  }

  read(cursor: number, limit: number): Uint32Array {
    const most = Math.min(Math.max(limit, 1), LIMIT);
    if (this.#answer.length < 1 + most * this.#words) this.#answer = new Uint32Array(1 + most * this.#words);
    if (cursor === 0 || cursor !== this.#cursor || this.#chunks === undefined) {
      this.close();
      this.#chunks = this.#map.chunks();
    }
    let at = 1;
    for (let rows = 0; rows < most && this.#fill(); rows++, at += this.#words) this.#copy(at);
    const more = this.#fill();
    // Never 0, and never what the page before had.
    this.#cursor = more ? (this.#cursor % 0xffff) + 1 : 0;
    if (!more) this.close();
    this.#answer[0] = this.#cursor;
    return this.#answer.subarray(0, at);
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

  #copy(at: number): void {
    const { keys, values } = this.#chunk!;
    const entry = this.#next++;
    const answer = this.#answer;
    const keyWords = this.#keyWords;
    const width = this.#words - keyWords;
    const key = new Uint32Array(keys.buffer, 0, keys.byteLength >>> 2);
    const value = new Uint32Array(values.buffer, 0, values.byteLength >>> 2);
    for (let word = 0; word < keyWords; word++) answer[at + word] = key[entry * keyWords + word]!;
    for (let word = 0; word < width; word++) answer[at + keyWords + word] = value[entry * width + word]!;
  }

  close(): void {
    this.#chunks?.return();
    this.#chunks = undefined;
    this.#chunk = undefined;
    this.#next = 0;
  }
}

/** Of rows of an array: those whose first word is not 0. `width` words. */
export function takeSlot(width: number): Take {
  return (from, start, to, at) => {
    if (from[start] === 0) return false;
    for (let word = 0; word < width; word++) to[at + word] = from[start + word]!;
    return true;
  };
}

/** Of counters: those that ever counted, one for all of `cpus`. */
export function takeCounter(cpus: number): Take {
  return (from, start, to, at) => sumCounters(from, start, cpus, to, at);
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
