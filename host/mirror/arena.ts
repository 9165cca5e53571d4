/**
 * Memory for objects of any size, in words of 4 bytes. Chunks of 1 MiB are filled from the front; freed pieces go to a
 * free list of their size, kept inside the freed pieces themselves.
 *
 *     address = chunk number << 18 | word in the chunk
 *
 * Addresses are 32 bits, so an arena holds up to 16 GiB. When free pieces that nothing fits waste more than half of a
 * large arena, `wasteful` says so and the owner moves its objects (see ObjectTable).
 */

const CHUNK_BITS = 18;
const CHUNK_WORDS = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK_WORDS - 1;
/** Sizes up to this many words have a free list each, larger ones one per STEP words. */
const EXACT_WORDS = 512;
const STEP = 64;
/** An object never needs more: a netlink attribute ends at 64 KiB. */
export const MAX_OBJECT_WORDS = 0xffff;
const CLASSES = EXACT_WORDS + Math.ceil((MAX_OBJECT_WORDS - EXACT_WORDS) / STEP) + 1;
const NOTHING = 0xffffffff;
/** Below this there is nothing worth gathering. */
const GATHER_WORDS = 4 * CHUNK_WORDS;

export interface Chunk {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

function classOf(words: number): number {
  return words <= EXACT_WORDS ? words : EXACT_WORDS + Math.ceil((words - EXACT_WORDS) / STEP);
}

function classWords(sizeClass: number): number {
  return sizeClass <= EXACT_WORDS ? sizeClass : EXACT_WORDS + (sizeClass - EXACT_WORDS) * STEP;
}

export class Arena {
  readonly #chunks: Chunk[] = [];
  readonly #free = new Uint32Array(CLASSES).fill(NOTHING);
  /** Next unused word of the last chunk. */
  #fill = CHUNK_WORDS;
  #usedWords = 0;

  /** Memory taken from the system, in bytes. */
  get size(): number {
    return this.#chunks.length * CHUNK_WORDS * 4;
  }

  /** Words in use, rounded up to their size class. */
  get usedWords(): number {
    return this.#usedWords;
  }

  get wasteful(): boolean {
    const total = this.#chunks.length * CHUNK_WORDS;
    return total > GATHER_WORDS && this.#usedWords * 2 < total;
  }

  chunk(address: number): Chunk {
    return this.#chunks[address >>> CHUNK_BITS]!;
  }

  /** Word index in its chunk. */
  word(address: number): number {
    return address & CHUNK_MASK;
  }

  /** `words` is 1 to MAX_OBJECT_WORDS. The content is undefined. */
  allocate(words: number): number {
    const sizeClass = classOf(words);
    const size = classWords(sizeClass);
    this.#usedWords += size;
    const reused = this.#free[sizeClass]!;
    if (reused !== NOTHING) {
      this.#free[sizeClass] = this.chunk(reused).words[reused & CHUNK_MASK]!;
      return reused;
    }
    if (this.#fill + size > CHUNK_WORDS) {
      this.#abandonTail();
      const words = new Uint32Array(CHUNK_WORDS);
      this.#chunks.push({ words, bytes: new Uint8Array(words.buffer) });
      this.#fill = 0;
    }
    const address = (((this.#chunks.length - 1) << CHUNK_BITS) | this.#fill) >>> 0;
    this.#fill += size;
    return address;
  }

  /** `words` as it was allocated. */
  release(address: number, words: number): void {
    const sizeClass = classOf(words);
    this.#usedWords -= classWords(sizeClass);
    this.#put(address, sizeClass);
  }

  /** Whether an object of `words` can be rewritten with `other` words where it is. */
  fitsInPlace(words: number, other: number): boolean {
    return classOf(words) === classOf(other);
  }

  /** Forgets everything and gives the memory back. */
  clear(): void {
    this.#chunks.length = 0;
    this.#free.fill(NOTHING);
    this.#fill = CHUNK_WORDS;
    this.#usedWords = 0;
  }

  #put(address: number, sizeClass: number): void {
    this.chunk(address).words[address & CHUNK_MASK] = this.#free[sizeClass]!;
    this.#free[sizeClass] = address;
  }

  /** The rest of a full chunk still serves smaller objects. */
  #abandonTail(): void {
    let left = CHUNK_WORDS - this.#fill;
    while (left > 0 && this.#chunks.length > 0) {
      const size = Math.min(left, EXACT_WORDS);
      this.#put((((this.#chunks.length - 1) << CHUNK_BITS) | (CHUNK_WORDS - left)) >>> 0, size);
      left -= size;
    }
  }
}
