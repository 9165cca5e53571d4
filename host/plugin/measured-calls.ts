/** Calls that tell with each answer how much memory the plugin has by then. */

import type { Calls } from './calls.ts';
import { HEADER, headerOffset } from './ring.ts';

/** Bytes of a page of WebAssembly memory. */
const PAGE_SIZE = 65_536;

export class MeasuredCalls implements Calls {
  private readonly calls: Calls;
  private readonly memory: WebAssembly.Memory;
  private readonly words: Uint32Array;

  constructor(calls: Calls, memory: WebAssembly.Memory, slots: SharedArrayBuffer) {
    this.calls = calls;
    this.memory = memory;
    this.words = new Uint32Array(slots);
  }

  apply(slot: number): void {
    this.calls.apply(slot);
    this.tell(slot);
  }

  readback(slot: number): void {
    this.calls.readback(slot);
    this.tell(slot);
  }

  collect(slot: number): void {
    this.calls.collect(slot);
    this.tell(slot);
  }

  tables(slot: number): void {
    this.calls.tables(slot);
    this.tell(slot);
  }

  poll(slot: number): void {
    this.calls.poll(slot);
    this.tell(slot);
  }

  notify(slot: number): void {
    this.calls.notify(slot);
    this.tell(slot);
  }

  private tell(slot: number): void {
    this.words[(headerOffset(slot) >>> 2) + HEADER.memory] = this.memory.buffer.byteLength / PAGE_SIZE;
  }
}
