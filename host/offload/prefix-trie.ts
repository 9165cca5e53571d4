/**
 * Path-compressed binary trie of IP prefixes in typed arrays: about 22 bytes a node for IPv4, 34 for IPv6.
 *
 * A node is a number. Node 1 is the root (length 0) and always there; 0 means "no node". Nodes carry what the
 * planner needs of a prefix (see `head`, `entry`, `flags`); nodes that carry nothing only join two branches.
 * `path` is filled by every descent, root first, so that callers can propagate a change upwards without parent links.
 */

const INITIAL_CAPACITY = 1024;
/** Flags that say something of a whole subtree (fib.ts LEAK, HAS_NEIGHBOURS): a joining node starts with its child's. */
export const INHERITED_FLAGS = 3;

export class PrefixTrie {
  /** 32-bit words of an address: 1 for IPv4, 4 for IPv6, most significant first. */
  readonly words: number;
  /** Address words of node n stand at `keys[n * words]`; bits beyond the length are zero. */
  keys: Uint32Array;
  lengths: Uint8Array;
  /** Children of node n: `children[2n]` (next bit 0) and `children[2n + 1]`. */
  children: Uint32Array;
  /** First candidate of this prefix, 0 for none. */
  head: Uint32Array;
  /** Index of the hardware entry of this prefix, 0 for none. */
  entry: Uint32Array;
  flags: Uint8Array;

  /** Nodes from the root to the one last looked for, each a prefix of it. */
  readonly path = new Uint32Array(130);
  pathLength = 0;

  #used = 2;
  #free = 0;
  #count = 1;
  #capacity = INITIAL_CAPACITY;

  constructor(words: 1 | 4) {
    this.words = words;
    this.keys = new Uint32Array(INITIAL_CAPACITY * words);
    this.lengths = new Uint8Array(INITIAL_CAPACITY);
    this.children = new Uint32Array(INITIAL_CAPACITY * 2);
    this.head = new Uint32Array(INITIAL_CAPACITY);
    this.entry = new Uint32Array(INITIAL_CAPACITY);
    this.flags = new Uint8Array(INITIAL_CAPACITY);
  }

  /** Nodes in use, joining ones included. */
  get nodeCount(): number {
    return this.#count;
  }

  /** Highest node number ever used, plus one: the bound for a scan over all nodes. */
  get nodeLimit(): number {
    return this.#used;
  }

  /** The node of exactly this prefix, else 0. `path` then holds all its covering nodes. */
  find(key: Uint32Array, length: number): number {
    let node = this.#climb(key, length);
    while (this.lengths[node]! < length) {
      const child = this.children[2 * node + bitAt(key, this.lengths[node]!)]!;
      if (child === 0 || this.lengths[child]! > length) return 0;
      if (this.#common(key, child, this.lengths[child]!) < this.lengths[child]!) return 0;
      node = child;
      this.path[this.pathLength++] = node;
    }
    return node;
  }

  /** The node of this prefix, made if there is none. `path` ends with it. Bits beyond `length` must be zero. */
  insert(key: Uint32Array, length: number): number {
    let node = this.#climb(key, length);
    while (this.lengths[node]! < length) {
      const slot = 2 * node + bitAt(key, this.lengths[node]!);
      const child = this.children[slot]!;
      if (child === 0) {
        const leaf = this.#allocate(key, length);
        this.children[slot] = leaf;
        this.path[this.pathLength++] = leaf;
        return leaf;
      }
      const childLength = this.lengths[child]!;
      const common = this.#common(key, child, Math.min(length, childLength));
      if (common === childLength) {
        node = child;
        this.path[this.pathLength++] = node;
        continue;
      }
      // The new prefix parts from the child's, or lies on the way to it: a node of `common` bits goes in between.
      const between = this.#allocate(key, common);
      this.children[slot] = between;
      this.children[2 * between + bitAtNode(this.keys, child * this.words, common)] = child;
      this.flags[between] = this.flags[child]! & INHERITED_FLAGS;
      this.path[this.pathLength++] = between;
      if (common === length) return between;
      const leaf = this.#allocate(key, length);
      this.children[2 * between + bitAt(key, common)] = leaf;
      this.path[this.pathLength++] = leaf;
      return leaf;
    }
    return node;
  }

  /**
   * Shortens `path` to the nodes that cover the prefix; the last one. Prefixes that come in order, as in a dump, have most of it
   * in common.
   */
  #climb(key: Uint32Array, length: number): number {
    for (; this.pathLength > 1; this.pathLength--) {
      const node = this.path[this.pathLength - 1]!;
      const covered = this.lengths[node]!;
      if (covered <= length && this.#common(key, node, covered) === covered) return node;
    }
    this.path[0] = 1;
    this.pathLength = 1;
    return 1;
  }

  /** Drops the last node of `path`, and the joining node above it, if they carry nothing and join nothing. */
  prune(): void {
    for (let depth = this.pathLength - 1; depth > 0; depth--) {
      const node = this.path[depth]!;
      if (this.head[node] !== 0 || this.entry[node] !== 0) return;
      const left = this.children[2 * node]!;
      const right = this.children[2 * node + 1]!;
      if (left !== 0 && right !== 0) return;
      const parent = this.path[depth - 1]!;
      const slot = this.children[2 * parent] === node ? 2 * parent : 2 * parent + 1;
      this.children[slot] = left !== 0 ? left : right;
      this.#release(node);
      this.pathLength = depth;
    }
  }

  /** Fills `path` for a node known to exist. */
  pathTo(node: number): void {
    for (let word = 0; word < this.words; word++) this.#key[word] = this.keys[node * this.words + word]!;
    this.find(this.#key, this.lengths[node]!);
  }

  readonly #key = new Uint32Array(4);

  /** The longest prefix that covers the address and for which `accept` holds, else 0. */
  longest(key: Uint32Array, accept: (node: number) => boolean): number {
    const bits = this.words * 32;
    let node = 1;
    let best = 0;
    for (;;) {
      if (accept(node)) best = node;
      const length = this.lengths[node]!;
      if (length === bits) return best;
      const child = this.children[2 * node + bitAt(key, length)]!;
      if (child === 0 || this.#common(key, child, this.lengths[child]!) < this.lengths[child]!) return best;
      node = child;
    }
  }

  /** Leading bits that `key` and the node have in common, at most `limit`. */
  #common(key: Uint32Array, node: number, limit: number): number {
    const start = node * this.words;
    for (let word = 0; word < this.words; word++) {
      const difference = key[word]! ^ this.keys[start + word]!;
      if (difference !== 0) return Math.min(limit, word * 32 + Math.clz32(difference));
      if ((word + 1) * 32 >= limit) return limit;
    }
    return limit;
  }

  #allocate(key: Uint32Array, length: number): number {
    let node = this.#free;
    if (node !== 0) this.#free = this.children[2 * node]!;
    else {
      if (this.#used === this.#capacity) this.#grow();
      node = this.#used++;
    }
    this.#count++;
    const start = node * this.words;
    for (let word = 0; word < this.words; word++) {
      const keep = Math.min(32, Math.max(0, length - word * 32));
      this.keys[start + word] = keep === 0 ? 0 : key[word]! & (-1 << (32 - keep));
    }
    this.lengths[node] = length;
    this.children[2 * node] = 0;
    this.children[2 * node + 1] = 0;
    this.head[node] = 0;
    this.entry[node] = 0;
    this.flags[node] = 0;
    return node;
  }

  #release(node: number): void {
    this.children[2 * node] = this.#free;
    this.#free = node;
    this.#count--;
  }

  #grow(): void {
    // 1.5 instead of 2: at a million prefixes the copy that is thrown away is the largest garbage the planner makes.
    const capacity = Math.ceil(this.#capacity * 1.5);
    this.keys = grown(this.keys, capacity * this.words);
    this.children = grown(this.children, capacity * 2);
    this.head = grown(this.head, capacity);
    this.entry = grown(this.entry, capacity);
    this.lengths = grown(this.lengths, capacity);
    this.flags = grown(this.flags, capacity);
    this.#capacity = capacity;
  }
}

function bitAt(key: Uint32Array, position: number): 0 | 1 {
  return ((key[position >>> 5]! >>> (31 - (position & 31))) & 1) as 0 | 1;
}

function bitAtNode(keys: Uint32Array, start: number, position: number): 0 | 1 {
  return ((keys[start + (position >>> 5)]! >>> (31 - (position & 31))) & 1) as 0 | 1;
}

/** A longer copy of a typed array. */
export function grown<T extends Uint32Array | Uint16Array | Uint8Array | Float64Array>(
  array: T,
  length: number,
): T {
  const Constructor = array.constructor as new (length: number) => T;
  const copy = new Constructor(length);
  copy.set(array);
  return copy;
}
