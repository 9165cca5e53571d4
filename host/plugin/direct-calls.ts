/**
 * Calls a plugin's core exports directly: lists are copied from a slot into plugin memory as they are, and back. Bypasses
 * jco's glue (which is the reference, see glue-calls.ts), so anything thrown here means that the instance is lost.
 *
 * Sizes and offsets of the argument and result records are those of `wit/plugin.wit`; a test holds them to layout.ts.
 */

import { BATCH_ENTRIES_MAX, BATCH_LISTS, BATCH_OFFSETS, BATCH_STRIDES } from './batch.ts';
import type { Calls } from './calls.ts';
import { Guest } from './guest.ts';
import type { MemoryViews } from './record-cursor.ts';
import { CounterRecord, EventRecord, NoticeRecord, OutcomeRecord, TableUsageRecord } from './records.ts';
import { BREACH, batchOffset, EVENTS_MAX, HEADER, headerOffset, resultOffset, TABLES_MAX } from './ring.ts';
import { interfaceName } from './wit-version.ts';

/** `batch`: one list (pointer, length) after the other, all aligned to 4 bytes. */
export const BATCH_SIZE = 8 * BATCH_LISTS;
/** Alignment asked for every list: no record of ours needs more. */
const LIST_ALIGN = 8;
/** `page` of `offload` and of `stats`: `next`, then `entries` or `counters`. */
export const PAGE_ENTRIES = 4;

const APPLY = `${interfaceName('offload')}#apply`;
const READBACK = `${interfaceName('offload')}#readback`;
const POLL = `${interfaceName('offload')}#poll`;
const TABLES = `${interfaceName('offload')}#tables`;
const NOTIFY = `${interfaceName('notifier')}#notify`;
const COLLECT = `${interfaceName('stats')}#collect`;

export const DIRECT_FUNCTIONS: readonly string[] = [APPLY, READBACK, POLL, TABLES, NOTIFY, COLLECT];

export class DirectCalls implements Calls {
  private readonly guest: Guest;
  private readonly slots: MemoryViews;
  private readonly addresses = new Uint32Array(BATCH_LISTS);
  private readonly functions = new Map<string, ReturnType<Guest['function']>>();
  private readonly applyFunction;
  private readonly applyPost;

  constructor(exports: WebAssembly.Exports, slots: MemoryViews) {
    this.guest = new Guest(exports);
    this.slots = slots;
    for (const name of DIRECT_FUNCTIONS) this.functions.set(name, this.guest.function(name));
    this.applyFunction = this.guest.function(APPLY);
    this.applyPost = this.guest.postReturn(APPLY);
  }

  apply(slot: number): void {
    const { guest, slots, addresses } = this;
    const header = headerOffset(slot) >>> 2;
    const batch = batchOffset(slot);
    let entries = 0;
    for (let list = 0; list < BATCH_LISTS; list++) {
      const length = slots.u32[header + HEADER.lists + list]!;
      entries += length;
      addresses[list] = length === 0 ? 0 : guest.allocate(length * BATCH_STRIDES[list]!, LIST_ALIGN);
    }
    const record = guest.allocate(BATCH_SIZE, 4);
    // Only now: each allocation may have moved the memory.
    const { u32 } = guest.views;
    for (let list = 0; list < BATCH_LISTS; list++) {
      const length = slots.u32[header + HEADER.lists + list]!;
      u32[(record >>> 2) + list * 2] = addresses[list]!;
      u32[(record >>> 2) + list * 2 + 1] = length;
      if (length !== 0)
        guest.copyIn(addresses[list]!, slots, batch + BATCH_OFFSETS[list]!, length * BATCH_STRIDES[list]!);
    }
    const result = this.applyFunction(record) as number;
    this.takeList(guest.check(result, 8, 4), slot, OutcomeRecord.SIZE, 4, entries);
    this.applyPost?.(result);
  }

  readback(slot: number): void {
    const { guest, slots } = this;
    const header = headerOffset(slot) >>> 2;
    const limit = slots.u32[header + HEADER.limit]!;
    const result = this.call(READBACK, slots.u32[header + HEADER.cursor]!, limit) as number;
    const page = guest.check(result, PAGE_ENTRIES + BATCH_SIZE, 4);
    let entries = 0;
    for (let list = 0; list < BATCH_LISTS; list++) entries += guest.word(page + PAGE_ENTRIES + list * 8 + 4);
    slots.u32[header + HEADER.next] = guest.word(page);
    if (entries > Math.min(limit, BATCH_ENTRIES_MAX))
      slots.u32[header + HEADER.breach] = BREACH.tooManyEntries;
    else
      for (let list = 0; list < BATCH_LISTS; list++) {
        const at = page + PAGE_ENTRIES + list * 8;
        const length = guest.word(at + 4);
        slots.u32[header + HEADER.lists + list] = length;
        const stride = BATCH_STRIDES[list]!;
        if (length !== 0)
          guest.copyOut(slots, batchOffset(slot) + BATCH_OFFSETS[list]!, guest.word(at), length * stride, 4);
      }
    this.finish(READBACK, result);
  }

  collect(slot: number): void {
    const header = headerOffset(slot) >>> 2;
    const limit = this.slots.u32[header + HEADER.limit]!;
    const result = this.call(COLLECT, this.slots.u32[header + HEADER.cursor]!, limit) as number;
    const page = this.guest.check(result, PAGE_ENTRIES + 8, 4);
    this.slots.u32[header + HEADER.next] = this.guest.word(page);
    this.takeList(page + PAGE_ENTRIES, slot, CounterRecord.SIZE, 8, Math.min(limit, BATCH_ENTRIES_MAX));
    this.finish(COLLECT, result);
  }

  tables(slot: number): void {
    const result = this.call(TABLES) as number;
    this.takeList(this.guest.check(result, 8, 4), slot, TableUsageRecord.SIZE, 4, TABLES_MAX);
    this.finish(TABLES, result);
  }

  poll(slot: number): void {
    const result = this.call(POLL) as number;
    this.takeList(this.guest.check(result, 8, 4), slot, EventRecord.SIZE, 8, EVENTS_MAX);
    this.finish(POLL, result);
  }

  notify(slot: number): void {
    const length = this.slots.u32[(headerOffset(slot) >>> 2) + HEADER.results]!;
    const size = length * NoticeRecord.SIZE;
    const address = length === 0 ? 0 : this.guest.allocate(size, LIST_ALIGN);
    this.guest.copyIn(address, this.slots, resultOffset(slot), size);
    this.call(NOTIFY, address, length);
    this.guest.postReturn(NOTIFY)?.();
  }

  private call(name: string, ...args: number[]): number | bigint | undefined {
    return this.functions.get(name)!(...args);
  }

  private finish(name: string, result: number): void {
    this.guest.postReturn(name)?.(result);
  }

  /** Copies the list whose pointer and length are at `at` to the result area, at most `limit` records. */
  private takeList(at: number, slot: number, stride: number, align: number, limit: number): void {
    const { guest, slots } = this;
    const header = headerOffset(slot) >>> 2;
    const length = guest.word(at + 4);
    const taken = Math.min(length, limit);
    slots.u32[header + HEADER.results] = taken;
    slots.u32[header + HEADER.excess] = length - taken;
    if (taken !== 0) guest.copyOut(slots, resultOffset(slot), guest.word(at), taken * stride, align);
  }
}
