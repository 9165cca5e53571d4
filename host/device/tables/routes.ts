/** Keeps the multibit trie equal to the table `routes4`, from the rows that are put into it and removed. */

import { BpfMap, rawCodec } from '../../../bpf/libbpf-ts/src/index.ts';
import type { DeviceShare } from '../types.ts';
import { MultibitTrie, type RouteRow } from './multibit.ts';
import { waitForPrograms } from './system.ts';

/** Words of a row: struct dp_route4_key, then struct dp_route. */
const KEY_WORDS = 3;
const ROW_WORDS = 7;
/** Bits of the VRF, which come first. */
const VRF_BITS = 32;

export class Routes {
  readonly #table: BpfMap<Uint8Array, Uint8Array>;
  readonly #maps: readonly BpfMap[];
  readonly #trie: MultibitTrie;
  readonly #key = new Uint32Array(KEY_WORDS);
  readonly #keyBytes = new Uint8Array(this.#key.buffer);

  /** Reads what the table holds: whoever wrote before may have ended in between. */
  constructor(share: DeviceShare) {
    const open = (name: string) => BpfMap.borrow(share.maps![name]!);
    // Bytes: what BTF says may be read by few.
    this.#table = BpfMap.borrow(share.maps!.routes4!, {
      key: rawCodec(4 * KEY_WORDS),
      value: rawCodec(4 * (ROW_WORDS - KEY_WORDS)),
    });
    const [strides, covers, roots] = [open('route_strides'), open('route_covers'), open('route_roots')];
    const { memories } = share;
    this.#maps = [this.#table as unknown as BpfMap, strides, covers, roots];
    this.#trie = new MultibitTrie(
      {
        chunks: covers.maxEntries,
        strides: strides.memory(memories!.route_strides),
        covers: covers.memory(memories!.route_covers),
        roots: roots.memory(memories!.route_roots),
      },
      { covering: (...prefix) => this.#covering(...prefix), quiesce: waitForPrograms },
    );
    for (const { count, keys, values } of this.#table.chunks()) {
      const [key, value] = [new Uint32Array(keys.buffer), new Uint32Array(values.buffer)];
      for (let row = 0; row < count; row++)
        this.#put(key, row * KEY_WORDS, value, row * (ROW_WORDS - KEY_WORDS));
    }
    this.#trie.go();
  }

  /** Rows that the table has taken. */
  put(from: Uint32Array, start: number, rows: number): void {
    for (let row = 0, at = start; row < rows; row++, at += ROW_WORDS)
      this.#put(from, at, from, at + KEY_WORDS);
  }

  /** Keys that the table has no more. */
  remove(from: Uint32Array, start: number, rows: number): void {
    for (let row = 0, at = start; row < rows; row++, at += KEY_WORDS) {
      const bits = from[at]!;
      if (bits < VRF_BITS || bits > VRF_BITS + 32) continue;
      this.#trie.remove(swap(from[at + 1]!), swap(from[at + 2]!), bits - VRF_BITS);
    }
  }

  /** It is not known what the table holds: from now on frames are looked up there. */
  leave(): void {
    this.#trie.leave();
  }

  #put(keys: Uint32Array, at: number, values: Uint32Array, value: number): void {
    const bits = keys[at]!;
    // A prefix of VRFs: nobody makes such.
    if (bits < VRF_BITS) {
      this.leave();
      return;
    }
    this.#trie.put(
      swap(keys[at + 1]!),
      swap(keys[at + 2]!),
      bits - VRF_BITS,
      values[value]!,
      values[value + 1]!,
      values[value + 2]!,
    );
  }

  #covering(vrf: number, address: number, length: number): RouteRow | undefined {
    this.#key[0] = VRF_BITS + length;
    this.#key[1] = swap(vrf);
    this.#key[2] = swap(address);
    const bytes = this.#table.get(this.#keyBytes);
    if (bytes === undefined) return undefined;
    const [handle, action, group, own] = new Uint32Array(bytes.slice().buffer);
    return { handle: handle!, action: action!, group: group!, length: own! };
  }

  close(): void {
    for (const map of this.#maps) map.close();
  }
}

/** Between a word in network byte order and the machine's. */
function swap(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
