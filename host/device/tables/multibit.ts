/**
 * IPv4 routes as a multibit trie with strides of 16, 8 and 8 bits, next to the prefix table: bpf/datapath_fib.h finds a route in it with few
 * reads of arrays. The first stride of a VRF has an entry for each 16 bits of an address, a chunk of the others one for each byte that follows the
 * 16 or 24 bits it stands for. A route stands in all entries of its stride that its prefix covers and no longer one does. Frames
 * read while it changes: every word is written whole, a chunk is filled before anything leads to it, and what is written later is not seen
 * earlier.
 */

export const CHUNK = 256;
export const ROOTS = 256;
/** Chunks that make up a first stride, one behind the other. */
const ROOT_CHUNKS = 256;
/** Bits of the address before each stride, and up to its end. */
const BEFORE = [0, 16, 24] as const;
const UP_TO = [16, 24, 32] as const;

/** Upper half of an entry: of a route its group, action, whether it is of one address, and its length within the stride plus one. */
const NO_GROUP = 0x3f_ffff;
const ACTION_SHIFT = 22;
const HOST = 1 << 24;
const LENGTH_SHIFT = 25;
const LENGTH_MASK = 0x1f;
/** The entry leads to the chunk that its lower half names; to none: the prefix table has the routes below. */
const LEADS = 0x8000_0000;

/** struct dp_route. */
export interface RouteRow {
  readonly handle: number;
  readonly action: number;
  readonly group: number;
  readonly length: number;
}

/** Maps of bpf/datapath_maps.h as memory. */
export interface MultibitMemory {
  /** How many there are, with chunk 0, which is none. */
  readonly chunks: number;
  /** CHUNK entries for each chunk. */
  readonly strides: ArrayBufferLike;
  /** By chunk: the route that stands in the entry which leads to it. */
  readonly covers: ArrayBufferLike;
  /** By VRF modulo ROOTS: the VRF in the upper half, its first chunk in the lower. */
  readonly roots: ArrayBufferLike;
}

export interface MultibitOptions {
  /** The longest prefix of at most so many bits that the prefix table holds and that covers the address. */
  readonly covering: (vrf: number, address: number, length: number) => RouteRow | undefined;
  /** Returns when no frame is looked up any more in what it saw before. */
  readonly quiesce: () => void;
}

export class MultibitTrie {
  readonly #strides: BigUint64Array;
  readonly #halves: Uint32Array;
  readonly #covers: BigUint64Array;
  readonly #coverHalves: Uint32Array;
  readonly #roots: BigUint64Array;
  /** What stands in the map once there is all of it. */
  readonly #ownRoots = new BigUint64Array(ROOTS);
  readonly #rootHalves = new Uint32Array(this.#ownRoots.buffer);
  /** A VRF of this number modulo ROOTS has routes that only the prefix table holds. */
  readonly #elsewhere = new Uint8Array(ROOTS);
  #isLive = false;
  readonly #options: MultibitOptions;
  readonly #chunks: number;
  /** The word that is being written, by halves and whole. */
  readonly #half = new Uint32Array(2);
  readonly #word = new BigUint64Array(this.#half.buffer);
  /** Chunks from here on were never used. */
  #unused = 1;
  #free: number[] = [];
  /** Were in use, and a frame may still be in one. */
  #resting: number[] = [];
  /** As both, for first strides. */
  #freeRoots: number[] = [];
  #restingRoots: number[] = [];
  /** By chunk, or first chunk of a stride: how many of its entries are not empty. */
  readonly #counts: Uint32Array;
  readonly #path = new Uint32Array(BEFORE.length);
  readonly #fenced = new Int32Array(1);

  /** Empty, whatever was in the memory; frames are looked up in the prefix table until go(). */
  constructor({ chunks, strides, covers, roots }: MultibitMemory, options: MultibitOptions) {
    this.#strides = new BigUint64Array(strides);
    this.#halves = new Uint32Array(strides);
    this.#covers = new BigUint64Array(covers);
    this.#coverHalves = new Uint32Array(covers);
    this.#roots = new BigUint64Array(roots);
    this.#options = options;
    this.#chunks = chunks;
    this.#counts = new Uint32Array(chunks);
    if (this.#roots.some((root) => root !== 0n)) {
      this.#roots.fill(0n);
      options.quiesce();
    }
    this.#strides.fill(0n);
  }

  /** Chunks in use. */
  get used(): number {
    const roots = this.#freeRoots.length + this.#restingRoots.length;
    return this.#unused - 1 - this.#free.length - this.#resting.length - ROOT_CHUNKS * roots;
  }

  /** All that the prefix table holds has been put: frames are looked up here from now on. */
  go(): void {
    this.#isLive = true;
    this.#fence();
    for (let at = 0; at < ROOTS; at++) this.#roots[at] = this.#ownRoots[at]!;
  }

  /** Frames are looked up in the prefix table from now on: it holds what cannot stand here. */
  leave(): void {
    this.#elsewhere.fill(1);
    this.#ownRoots.fill(0n);
    this.#roots.fill(0n);
  }

  /** A route that the prefix table holds by now. Where there is no chunk left for it, frames are looked up there. */
  put(vrf: number, address: number, length: number, handle: number, action: number, group: number): void {
    let chunk = this.#root(vrf);
    let level = 0;
    for (; chunk !== 0 && length > UP_TO[level]!; level++) chunk = this.#below(chunk, address, level);
    if (chunk === 0) return;
    this.#compose(level, length, handle, action, group);
    this.#fill(chunk, level, address, length, false);
  }

  /** The prefix table has the route no more. What it covered goes to the next longer prefix, and chunks without routes are taken away. */
  remove(vrf: number, address: number, length: number): void {
    const path = this.#path;
    const at = vrf % ROOTS;
    if (this.#rootHalves[2 * at + 1] !== vrf) return;
    let level = 0;
    path[0] = this.#rootHalves[2 * at]!;
    for (; path[level] !== 0 && length > UP_TO[level]!; level++) {
      const entry = entryOf(path[level]!, address, level);
      if ((this.#halves[2 * entry + 1]! & LEADS) === 0) return;
      path[level + 1] = this.#halves[2 * entry]!;
    }
    if (path[level] === 0) return;
    const row = length === 0 ? undefined : this.#options.covering(vrf, address, length - 1);
    if (row !== undefined && (row.length > BEFORE[level]! || level === 0))
      this.#compose(level, row.length, row.handle, row.action, row.group);
    else this.#word[0] = 0n;
    this.#fill(path[level]!, level, address, length, true);
    this.#prune(vrf, address, level);
  }

  /** Takes away chunks of the path that have become empty, from `level` up. */
  #prune(vrf: number, address: number, level: number): void {
    const path = this.#path;
    for (; level > 0 && this.#counts[path[level]!] === 0; level--) {
      const chunk = path[level]!;
      const entry = entryOf(path[level - 1]!, address, level - 1);
      this.#strides[entry] = this.#covers[chunk]!;
      if (this.#coverHalves[2 * chunk + 1] === 0) this.#counts[path[level - 1]!]!--;
      this.#resting.push(chunk);
    }
    if (level > 0 || this.#counts[path[0]!] !== 0) return;
    this.#ownRoots[vrf % ROOTS] = 0n;
    this.#roots[vrf % ROOTS] = 0n;
    this.#restingRoots.push(path[0]!);
  }

  /** First chunk of a VRF's first stride, made if need be; 0 for none. */
  #root(vrf: number): number {
    const at = vrf % ROOTS;
    const chunk = this.#rootHalves[2 * at]!;
    if (chunk !== 0 && this.#rootHalves[2 * at + 1] === vrf) return chunk;
    const made = chunk === 0 && this.#elsewhere[at] === 0 ? this.#takeRoot() : 0;
    if (made === 0) {
      this.#elsewhere[at] = 1;
      return 0;
    }
    this.#rootHalves[2 * at] = made;
    this.#rootHalves[2 * at + 1] = vrf;
    this.#fence();
    if (this.#isLive) this.#roots[at] = this.#ownRoots[at]!;
    return made;
  }

  /** The chunk that the entry of an address leads to, made if need be; 0 for none. */
  #below(above: number, address: number, level: number): number {
    const entry = entryOf(above, address, level);
    const half = this.#halves[2 * entry + 1]!;
    if ((half & LEADS) !== 0) return this.#halves[2 * entry]!;
    const chunk = this.#take();
    if (chunk !== 0) this.#covers[chunk] = this.#strides[entry]!;
    if (half === 0) this.#counts[above]!++;
    this.#half[0] = chunk;
    this.#half[1] = LEADS;
    this.#fence();
    this.#strides[entry] = this.#word[0]!;
    return chunk;
  }

  /** An empty chunk; 0 for none. */
  #take(): number {
    if (this.#free.length > 0) return this.#free.pop()!;
    if (this.#unused < this.#chunks) return this.#unused++;
    if (this.#resting.length === 0) return 0;
    this.#rest();
    return this.#free.pop()!;
  }

  /** As #take(), for a first stride. */
  #takeRoot(): number {
    if (this.#freeRoots.length > 0) return this.#freeRoots.pop()!;
    if (this.#unused + ROOT_CHUNKS <= this.#chunks) {
      this.#unused += ROOT_CHUNKS;
      return this.#unused - ROOT_CHUNKS;
    }
    if (this.#restingRoots.length === 0) return 0;
    this.#rest();
    return this.#freeRoots.pop()!;
  }

  #rest(): void {
    this.#options.quiesce();
    this.#free.push(...this.#resting.splice(0));
    this.#freeRoots.push(...this.#restingRoots.splice(0));
  }

  #compose(level: number, length: number, handle: number, action: number, group: number): void {
    this.#half[0] = handle;
    this.#half[1] =
      Math.min(group, NO_GROUP) |
      ((action & 3) << ACTION_SHIFT) |
      (length === 32 ? HOST : 0) |
      ((length - BEFORE[level]! + 1) << LENGTH_SHIFT);
  }

  /**
   * What was written before is seen before what is written from here on. On arm64 stores may be seen in any order: a store that releases and
   * a load that acquires, one behind the other, let none past either.
   */
  #fence(): void {
    Atomics.store(this.#fenced, 0, 0);
    Atomics.load(this.#fenced, 0);
  }

  /** Writes the composed word where a prefix is covered: to all entries without a longer route, or only to those that have one of its length. */
  #fill(chunk: number, level: number, address: number, length: number, same: boolean): void {
    const within = length - BEFORE[level]! + 1;
    const count = 1 << (UP_TO[level]! - length);
    // The first address of the prefix; of all addresses, 0.
    const from = entryOf(chunk, length === 0 ? 0 : address & (-1 << (32 - length)), level);
    const isEmpty = this.#half[1] === 0;
    let filled = 0;
    this.#fence();
    for (let entry = from; entry < from + count; entry++) {
      const half = this.#halves[2 * entry + 1]!;
      const below = (half & LEADS) !== 0 ? this.#halves[2 * entry]! : undefined;
      if (below === 0) continue;
      const held = below === undefined ? half : this.#coverHalves[2 * below + 1]!;
      const is = (held >>> LENGTH_SHIFT) & LENGTH_MASK;
      if (same ? is !== within : is > within) continue;
      if (below !== undefined) {
        this.#covers[below] = this.#word[0]!;
        continue;
      }
      this.#strides[entry] = this.#word[0]!;
      if (half === 0) filled++;
      else if (isEmpty) filled--;
    }
    this.#counts[chunk]! += filled;
  }
}

/** Where an address stands in a chunk, or in the first stride that begins with it. */
function entryOf(chunk: number, address: number, level: number): number {
  const bits = address >>> (32 - UP_TO[level]!);
  return chunk * CHUNK + (level === 0 ? bits : bits % CHUNK);
}
