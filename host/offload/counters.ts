/** Counters of planned entries, cumulative whatever the device does: a lower value than before is a new start from zero. */

import type { CounterRecord } from '../plugin/records.ts';

export interface EntryCounter {
  readonly handle: number;
  readonly packets: number;
  readonly bytes: number;
  /** CLOCK_MONOTONIC, ns; 0 for never. */
  readonly lastUsed: number;
}

interface State {
  packets: number;
  bytes: number;
  lastUsed: number;
  devicePackets: number;
  deviceBytes: number;
}

export class Counters {
  /** Entries that ever counted: planned ones only, so no more than the tables have places. */
  readonly #states = new Map<number, State>();
  readonly #isPlanned: (handle: number) => boolean;

  constructor(isPlanned: (handle: number) => boolean) {
    this.#isPlanned = isPlanned;
  }

  /** The handle stands for nothing any more: what comes under it later counts from zero. */
  forget(handle: number): void {
    this.#states.delete(handle);
  }

  take(page: CounterRecord): void {
    for (page.rewind(); page.next(); ) {
      if (page.packets === 0 && !this.#states.has(page.handle)) continue;
      if (!this.#isPlanned(page.handle)) continue;
      this.#count(page.handle, page.packets, page.bytes, page.lastUsed);
    }
  }

  *[Symbol.iterator](): Generator<EntryCounter> {
    for (const [handle, { packets, bytes, lastUsed }] of this.#states)
      yield { handle, packets, bytes, lastUsed };
  }

  #count(handle: number, packets: number, bytes: number, lastUsed: number): void {
    let state = this.#states.get(handle);
    if (state === undefined) {
      state = { packets: 0, bytes: 0, lastUsed: 0, devicePackets: 0, deviceBytes: 0 };
      this.#states.set(handle, state);
    }
    state.packets += packets >= state.devicePackets ? packets - state.devicePackets : packets;
    state.bytes += bytes >= state.deviceBytes ? bytes - state.deviceBytes : bytes;
    state.devicePackets = packets;
    state.deviceBytes = bytes;
    state.lastUsed = Math.max(state.lastUsed, lastUsed);
  }
}
