/**
 * Open-addressing hash index from 32-bit hashes to slots, several slots per hash allowed. An entry is the hash and the
 * slot next to each other, so a probe touches one cache line.
 *
 * A large index is cut into 256 segments by the upper 8 bits of the hash, each of which grows by itself: a million
 * entries never move at once. Within a segment the next bits choose the place.
 */

const SEGMENT_BITS = 8;
const SEGMENTS = 1 << SEGMENT_BITS;
/** Entries up to which there is one segment. */
const SINGLE = 4096;
const MIN_BITS = 4;
const EMPTY = 0;
/** Full above 13/16, shrunk below 1/8. */
const LOAD_NUMERATOR = 13;
const LOAD_SHIFT = 4;

class Segment {
  /** Bits of the hash that chose the segment. */
  readonly skip: number;
  bits = MIN_BITS;
  mask = (1 << MIN_BITS) - 1;
  count = 0;
  /** Pairs of hash and slot; slot 0 is an empty entry. */
  entries = new Uint32Array(2 << MIN_BITS);

  constructor(skip: number) {
    this.skip = skip;
  }

  place(hash: number, slot: number): void {
    const { entries, mask } = this;
    let at = (hash << this.skip) >>> (32 - this.bits);
    while (entries[at * 2 + 1] !== EMPTY) at = (at + 1) & mask;
    entries[at * 2] = hash;
    entries[at * 2 + 1] = slot;
  }

  resize(bits: number): void {
    const old = this.entries;
    this.bits = bits;
    this.mask = (1 << bits) - 1;
    this.entries = new Uint32Array(2 << bits);
    for (let at = 0; at < old.length; at += 2) {
      const slot = old[at + 1]!;
      if (slot !== EMPTY) this.place(old[at]!, slot);
    }
  }
}

export class HashIndex {
  #segments: Segment[] = [new Segment(0)];
  /** Hash bits that choose the segment: 0 or SEGMENT_BITS. */
  #skip = 0;
  #count = 0;

  /** Bytes held. */
  get size(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.entries.byteLength, 0);
  }

  /** Writes the slots with this hash into `slots` from `slots[0]` on, as many as fit; returns how many there are. */
  find(hash: number, slots: Uint32Array): number {
    const segment = this.#segmentOf(hash);
    const { entries, mask } = segment;
    let at = (hash << segment.skip) >>> (32 - segment.bits);
    let found = 0;
    for (let slot = entries[at * 2 + 1]!; slot !== EMPTY; slot = entries[at * 2 + 1]!) {
      if (entries[at * 2] === hash) {
        if (found < slots.length) slots[found] = slot;
        found++;
      }
      at = (at + 1) & mask;
    }
    return found;
  }

  add(hash: number, slot: number): void {
    if (this.#skip === 0 && this.#count === SINGLE) this.#cut();
    const segment = this.#segmentOf(hash);
    if (segment.count >= ((segment.mask + 1) * LOAD_NUMERATOR) >>> LOAD_SHIFT) {
      segment.resize(segment.bits + 1);
    }
    segment.place(hash, slot);
    segment.count++;
    this.#count++;
  }

  /** `slot` must be there under `hash`. */
  remove(hash: number, slot: number): void {
    const segment = this.#segmentOf(hash);
    const { entries, mask, skip } = segment;
    const shift = 32 - segment.bits;
    let gap = (hash << skip) >>> shift;
    while (entries[gap * 2 + 1] !== slot || entries[gap * 2] !== hash) {
      if (entries[gap * 2 + 1] === EMPTY) throw new RangeError(`slot ${slot} is not in the index`);
      gap = (gap + 1) & mask;
    }
    // Close the gap: whatever stands after it moves up, unless that would put it before its own place.
    for (let at = (gap + 1) & mask; entries[at * 2 + 1] !== EMPTY; at = (at + 1) & mask) {
      const home = (entries[at * 2]! << skip) >>> shift;
      if (((at - home) & mask) >= ((at - gap) & mask)) {
        entries[gap * 2] = entries[at * 2]!;
        entries[gap * 2 + 1] = entries[at * 2 + 1]!;
        gap = at;
      }
    }
    entries[gap * 2 + 1] = EMPTY;
    segment.count--;
    this.#count--;
    if (this.#count === 0) this.clear();
    else if (segment.bits > MIN_BITS && segment.count < (mask + 1) >>> 3) segment.resize(segment.bits - 1);
  }

  clear(): void {
    this.#segments = [new Segment(0)];
    this.#skip = 0;
    this.#count = 0;
  }

  #segmentOf(hash: number): Segment {
    return this.#segments[this.#skip === 0 ? 0 : hash >>> (32 - SEGMENT_BITS)]!;
  }

  #cut(): void {
    const { entries } = this.#segments[0]!;
    this.#segments = Array.from({ length: SEGMENTS }, () => new Segment(SEGMENT_BITS));
    this.#skip = SEGMENT_BITS;
    this.#count = 0;
    for (let at = 0; at < entries.length; at += 2) {
      if (entries[at + 1] !== EMPTY) this.add(entries[at]!, entries[at + 1]!);
    }
  }
}
