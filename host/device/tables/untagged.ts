/** Keeps `interfaces_untagged`, an array by port, equal to the rows of the table `interfaces_at` that are of frames without a tag. */

import { BpfMap } from '../../../bpf/libbpf-ts/src/index.ts';
import type { DeviceShare } from '../types.ts';

/** Words of a row: struct dp_interface_key (port, VLAN), then struct dp_interface_at. */
const KEY_WORDS = 2;
const ROW_WORDS = 3;

export class Untagged {
  readonly #array: BpfMap<number, number>;

  /** Reads what the table holds: whoever wrote before may have ended in between. */
  constructor(share: DeviceShare) {
    this.#array = BpfMap.borrow(share.maps!.interfaces_untagged!);
    using table = BpfMap.borrow(share.maps!.interfaces_at!);
    const held = new Map<number, number>();
    for (const { count, keys, values } of table.chunks()) {
      const [key, value] = [new Uint32Array(keys.buffer), new Uint32Array(values.buffer)];
      for (let row = 0; row < count; row++)
        if (key[row * KEY_WORDS + 1] === 0) held.set(key[row * KEY_WORDS]!, value[row]!);
    }
    for (let port = 0; port < this.#array.maxEntries; port++) {
      const wanted = held.has(port) ? held.get(port)! + 1 : 0;
      if (this.#array.get(port) !== wanted) this.#array.set(port, wanted);
    }
  }

  /** Rows that the table has taken. */
  put(from: Uint32Array, start: number, rows: number): void {
    for (let row = 0, at = start; row < rows; row++, at += ROW_WORDS)
      this.#set(from[at]!, from[at + 1]!, from[at + 2]! + 1);
  }

  /** Keys that the table has no more. */
  remove(from: Uint32Array, start: number, rows: number): void {
    for (let row = 0, at = start; row < rows; row++, at += KEY_WORDS) this.#set(from[at]!, from[at + 1]!, 0);
  }

  #set(port: number, vlan: number, value: number): void {
    if (vlan === 0 && port < this.#array.maxEntries) this.#array.set(port, value >>> 0);
  }

  close(): void {
    this.#array.close();
  }
}
