/**
 * What a device handed to the kernel, by reason: cumulative over restarts of the host, whether the device went on counting or began
 * anew (a lower count than before), with rates between the last two samples.
 */

import type { SavedEntry } from './saved-counters.ts';

/** Of their lines in the file of counters: no entry of a plan is called so. */
const PREFIX = 'to the kernel: ';

export interface TrapCounter {
  readonly reason: string;
  readonly packets: number;
  /** Of layer 2. */
  readonly bytes: number;
}

export interface TrapRate extends TrapCounter {
  /** Per second, between the last two samples; 0 before there were two. */
  readonly packets_per_s: number;
  readonly bytes_per_s: number;
}

interface State {
  packets: number;
  bytes: number;
  devicePackets: number;
  deviceBytes: number;
  sampledPackets: number;
  sampledBytes: number;
  packets_per_s: number;
  bytes_per_s: number;
}

/** As many as a device has reasons: bounded by its program. */
export class TrapCounters {
  readonly #device: string;
  readonly #states = new Map<string, State>();
  #sampled: number | undefined;

  /** `saved`: what an earlier host had for the device. */
  constructor(device: string, saved: Iterable<SavedEntry> = []) {
    this.#device = device;
    for (const { entry, packets, bytes, devicePackets, deviceBytes } of saved) {
      if (!entry.startsWith(PREFIX)) continue;
      const state = stateOf(packets, bytes, devicePackets, deviceBytes);
      this.#states.set(entry.slice(PREFIX.length), state);
    }
  }

  /** What the device counts now. */
  take(counted: readonly TrapCounter[]): void {
    for (const { reason, packets, bytes } of counted) {
      let state = this.#states.get(reason);
      if (state === undefined) {
        state = stateOf(0, 0, 0, 0);
        this.#states.set(reason, state);
      }
      state.packets += packets >= state.devicePackets ? packets - state.devicePackets : packets;
      state.bytes += bytes >= state.deviceBytes ? bytes - state.deviceBytes : bytes;
      state.devicePackets = packets;
      state.deviceBytes = bytes;
    }
  }

  /** At `now`, in milliseconds of a clock that only goes on. */
  sample(now: number): void {
    const seconds = this.#sampled === undefined ? 0 : (now - this.#sampled) / 1000;
    this.#sampled = now;
    for (const state of this.#states.values()) {
      state.packets_per_s = seconds > 0 ? (state.packets - state.sampledPackets) / seconds : 0;
      state.bytes_per_s = seconds > 0 ? (state.bytes - state.sampledBytes) / seconds : 0;
      state.sampledPackets = state.packets;
      state.sampledBytes = state.bytes;
    }
  }

  /** Those that ever counted. */
  list(): TrapRate[] {
    return [...this.#states].map(([reason, { packets, bytes, packets_per_s, bytes_per_s }]) => ({
      reason,
      packets,
      bytes,
      packets_per_s,
      bytes_per_s,
    }));
  }

  *saved(): Generator<SavedEntry> {
    for (const [reason, { packets, bytes, devicePackets, deviceBytes }] of this.#states) {
      const entry = `${PREFIX}${reason}`;
      yield { plugin: this.#device, entry, packets, bytes, devicePackets, deviceBytes };
    }
  }
}

function stateOf(packets: number, bytes: number, devicePackets: number, deviceBytes: number): State {
  return {
    packets,
    bytes,
    devicePackets,
    deviceBytes,
    sampledPackets: packets,
    sampledBytes: bytes,
    packets_per_s: 0,
    bytes_per_s: 0,
  };
}
