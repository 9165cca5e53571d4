/**
 * Counters of planned entries, cumulative whatever the device does: a lower value than before is a new start from zero, and one
 * that nothing explains (the device was not reset, the entry not removed) is counted as running backwards. Rates are those
 * between the last two samples.
 */

import type { CounterRecord } from '../plugin/records.ts';

export interface EntryCounter {
  readonly handle: number;
  readonly packets: number;
  /** Of layer 2, as the kernel counts them: with the Ethernet header, without the checksum behind the frame. */
  readonly bytes: number;
  /** CLOCK_MONOTONIC, ns; 0 for never. Of fdb entries: as a source. */
  readonly lastUsed: number;
  /** Packets that the rate of an ACL rule dropped, since some time before this host read it first. */
  readonly drops: number;
  /** Per second, between the last two samples; 0 before there were two. */
  readonly packetRate: number;
  readonly byteRate: number;
}

/** What an entry had counted when a host ended, and what its device said then. */
export interface SavedCounter {
  readonly packets: number;
  readonly bytes: number;
  readonly devicePackets: number;
  readonly deviceBytes: number;
}

/** Samples in which entries without packets, too, are looked for among the saved ones. */
const SEARCHED = 3;

interface State {
  packets: number;
  bytes: number;
  lastUsed: number;
  devicePackets: number;
  deviceBytes: number;
  drops: number;
  deviceDrops: number;
  sampledPackets: number;
  sampledBytes: number;
  packetRate: number;
  byteRate: number;
  /** The device's `era` that its values are of; another one's may be lower. */
  era: number;
}

export interface CountersOptions {
  readonly isPlanned: (handle: number) => boolean;
  /** What an earlier host counted for the entry, asked once for each. */
  readonly saved?: ((handle: number) => SavedCounter | undefined) | undefined;
}

export class Counters {
  /** Entries that ever counted: planned ones only, so no more than the tables have places. */
  readonly #states = new Map<number, State>();
  readonly #options: CountersOptions;
  #sampled = 0;
  #samples = 0;
  #era = 0;
  #backwards = 0;

  constructor(options: CountersOptions) {
    this.#options = options;
  }

  of(handle: number): { readonly packets: number; readonly bytes: number } | undefined {
    return this.#states.get(handle);
  }

  /** The handle stands for nothing any more: what comes under it later counts from zero. */
  forget(handle: number): void {
    this.#states.delete(handle);
  }

  /** The entry was taken out of the device: what that counts for it begins anew. */
  restart(handle: number): void {
    const state = this.#states.get(handle);
    if (state !== undefined) state.devicePackets = state.deviceBytes = state.deviceDrops = 0;
  }

  /** The device may have been reset: all it counts may begin anew. */
  restartAll(): void {
    this.#era++;
    this.#backwards = 0;
  }

  get hasBackwards(): boolean {
    return this.#backwards > 0;
  }

  /** Counters that ran backwards since it was last asked. */
  takeBackwards(): number {
    const count = this.#backwards;
    this.#backwards = 0;
    return count;
  }

  take(page: CounterRecord): void {
    for (page.rewind(); page.next(); ) {
      const state = this.#states.get(page.handle) ?? this.#begin(page);
      if (state === undefined) continue;
      const { packets, bytes, drops } = page;
      if (state.era !== this.#era) state.era = this.#era;
      else if (packets < state.devicePackets || bytes < state.deviceBytes) this.#backwards++;
      state.packets += packets >= state.devicePackets ? packets - state.devicePackets : packets;
      state.bytes += bytes >= state.deviceBytes ? bytes - state.deviceBytes : bytes;
      state.drops += drops >= state.deviceDrops ? drops - state.deviceDrops : drops;
      state.deviceDrops = drops;
      state.devicePackets = packets;
      state.deviceBytes = bytes;
      state.lastUsed = Math.max(state.lastUsed, page.lastUsed);
    }
  }

  /** The first samples also look for what earlier hosts counted under handles that the device says nothing of, as they count nothing yet. */
  get isSearching(): boolean {
    return this.#samples < SEARCHED;
  }

  adopt(handle: number): void {
    if (!this.#states.has(handle)) this.#begin({ handle, packets: 0, lastUsed: 0 });
  }

  /** All pages were taken at `now`, in milliseconds of a clock that only goes on: rates are from the sample before to this one. */
  sample(now: number): void {
    const seconds = (now - this.#sampled) / 1000;
    if (seconds <= 0) return;
    const isFirst = this.#samples++ === 0;
    this.#sampled = now;
    for (const state of this.#states.values()) {
      state.packetRate = isFirst ? 0 : (state.packets - state.sampledPackets) / seconds;
      state.byteRate = isFirst ? 0 : (state.bytes - state.sampledBytes) / seconds;
      state.sampledPackets = state.packets;
      state.sampledBytes = state.bytes;
    }
  }

  *[Symbol.iterator](): Generator<EntryCounter> {
    for (const [handle, { packets, bytes, lastUsed, drops, packetRate, byteRate }] of this.#states)
      yield { handle, packets, bytes, lastUsed, drops, packetRate, byteRate };
  }

  /** For the next host. */
  *saved(): Generator<SavedCounter & { readonly handle: number }> {
    for (const [handle, { packets, bytes, devicePackets, deviceBytes }] of this.#states)
      yield { handle, packets, bytes, devicePackets, deviceBytes };
  }

  #begin({
    handle,
    packets,
    lastUsed,
  }: Pick<CounterRecord, 'handle' | 'packets' | 'lastUsed'>): State | undefined {
    if (!this.#options.isPlanned(handle)) return undefined;
    // Asking for each entry that never counted costs: the first samples do, later only what counts is asked for.
    const saved = packets > 0 || this.#samples < SEARCHED ? this.#options.saved?.(handle) : undefined;
    if (packets === 0 && lastUsed === 0 && saved === undefined) return undefined;
    const state = {
      packets: saved?.packets ?? 0,
      bytes: saved?.bytes ?? 0,
      lastUsed: 0,
      devicePackets: saved?.devicePackets ?? 0,
      deviceBytes: saved?.deviceBytes ?? 0,
      drops: 0,
      deviceDrops: 0,
      sampledPackets: saved?.packets ?? 0,
      sampledBytes: saved?.bytes ?? 0,
      packetRate: 0,
      byteRate: 0,
      // What an earlier host read may be of another one.
      era: -1,
    };
    this.#states.set(handle, state);
    return state;
  }
}
