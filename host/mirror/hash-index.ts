/**
 * Open-addressing hash index from 32-bit hashes to slots, several slots per hash allowed. An entry is the hash and the
 * slot next to each other, so a probe touches one cache line. The upper bits of the hash choose the place: when
 * the index doubles, entries keep their order and old and new are walked from front to back (a million in milliseconds).
 */

const MIN_BITS = 6;
const EMPTY = 0;
/** Full above 13/16. */
const LOAD_NUMERATOR = 13;
const LOAD_SHIFT = 4;

export class HashIndex {
  #bits = MIN_BITS;
  #mask = (1 << MIN_BITS) - 1;
  /** Pairs of hash and slot; slot 0 is an empty entry. */
  #entries = new Uint32Array(2 << MIN_BITS);
  #count = 0;

  get size(): number {
    return this.#entries.byteLength;
  }

  /** Entry of the first slot with this hash, or -1. */
  first(hash: number): number {
    return this.#scan(hash >>> (32 - this.#bits), hash);
  }

  /** Entry of the next slot with the hash of `entry`, or -1. */
  next(entry: number): number {
    return this.#scan((entry + 1) & this.#mask, this.#entries[entry * 2]!);
  }

  slot(entry: number): number {
    return this.#entries[entry * 2 + 1]!;
  }

  add(hash: number, slot: number): void {
    if (this.#count >= ((this.#mask + 1) * LOAD_NUMERATOR) >>> LOAD_SHIFT) this.#resize(this.#bits + 1);
    this.#place(this.#entries, this.#bits, hash, slot);
    this.#count++;
  }

  /** `slot` must be there under `hash`. */
  remove(hash: number, slot: number): void {
    let entry = this.first(hash);
    while (entry >= 0 && this.slot(entry) !== slot) entry = this.next(entry);
    if (entry < 0) throw new RangeError(`slot ${slot} is not in the index`);
    const entries = this.#entries;
    const mask = this.#mask;
    const shift = 32 - this.#bits;
    // Close the gap: whatever stands after it moves up, unless that would put it before its own place.
    let gap = entry;
    for (let at = (gap + 1) & mask; entries[at * 2 + 1] !== EMPTY; at = (at + 1) & mask) {
      const home = entries[at * 2]! >>> shift;
      if (((at - home) & mask) >= ((at - gap) & mask)) {
        entries[gap * 2] = entries[at * 2]!;
        entries[gap * 2 + 1] = entries[at * 2 + 1]!;
        gap = at;
      }
    }
    entries[gap * 2 + 1] = EMPTY;
    this.#count--;
    if (this.#bits > 16 && this.#count < (this.#mask + 1) >>> 3) this.#resize(this.#bits - 1);
  }

  clear(): void {
    this.#bits = MIN_BITS;
    this.#mask = (1 << MIN_BITS) - 1;
    this.#entries = new Uint32Array(2 << MIN_BITS);
    this.#count = 0;
  }

  #scan(from: number, hash: number): number {
    const entries = this.#entries;
    const mask = this.#mask;
    let at = from;
    while (entries[at * 2 + 1] !== EMPTY) {
      if (entries[at * 2] === hash) return at;
      at = (at + 1) & mask;
    }
    return -1;
  }

  #place(entries: Uint32Array, bits: number, hash: number, slot: number): void {
    const mask = (1 << bits) - 1;
    let at = hash >>> (32 - bits);
    while (entries[at * 2 + 1] !== EMPTY) at = (at + 1) & mask;
    entries[at * 2] = hash;
    entries[at * 2 + 1] = slot;
  }

  #resize(bits: number): void {
    const old = this.#entries;
    const entries = new Uint32Array(2 << bits);
    for (let at = 0; at < old.length; at += 2) {
      const slot = old[at + 1]!;
      if (slot !== EMPTY) this.#place(entries, bits, old[at]!, slot);
    }
    this.#entries = entries;
    this.#bits = bits;
    this.#mask = (1 << bits) - 1;
  }
}
