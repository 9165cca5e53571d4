/** The ASIC as the plugin's worker sees it: the only side that changes rows. */

import type { AsicDeviceCore, Completion, TableInfo } from '../core.ts';
import { COUNTER_WORDS, HEAD, HEADER, type MemoryLayout, type TableLayout, VLAN } from './layout.ts';
import { beginChange, endChange, sleep } from './sequence.ts';
import { AsicTables, INVALID, IO_ERROR, OK, POWERED_OFF, REFUSED } from './tables.ts';

/** Rows changed in one go, between which readers get their turn. */
const CHUNK_ROWS = 64;

/** Most rows a read answers with. */
const MAX_READ_ROWS = 4096;

/** Longest time a burst can be told to take. */
const MAX_DELAY_US = 60_000_000;

/** Below this many microseconds a delay is spun away: sleeping is not that exact. */
const SPIN_US = 200;

const NO_ROWS = new Uint32Array(1);

type Mutable<T> = { -readonly [key in keyof T]: T[key] };

export class AsicCore implements AsicDeviceCore {
  private readonly tables: AsicTables;
  private readonly completion: Mutable<Completion> = { done: 0, status: OK };
  private readonly tableInfo: Mutable<TableInfo> = { capacity: 0, used: 0, words: 0, keyWords: 0 };
  private answer = new Uint32Array(1024);

  /** `buffer` has been checked by the main side. A writer before this one may have died in the middle of a change. */
  constructor(buffer: ArrayBufferLike, layout: MemoryLayout) {
    this.tables = new AsicTables(buffer, layout);
    const words = this.tables.words;
    if ((words[HEADER.sequence]! & 1) !== 0) {
      words[HEADER.discarded]! += this.tables.rebuild();
      endChange(words);
    }
  }

  info(number: number): TableInfo {
    const table = this.table(number);
    const info = this.tableInfo;
    info.capacity = table.capacity;
    info.used = this.tables.used(table);
    info.words = table.words;
    info.keyWords = table.keyWords;
    return info;
  }

  write(number: number, from: Uint32Array, start: number, rows: number): Completion {
    return this.burst(this.table(number), from, start, rows, false);
  }

  remove(number: number, from: Uint32Array, start: number, keys: number): Completion {
    return this.burst(this.table(number), from, start, keys, true);
  }

  read(number: number, cursor: number, limit: number): Uint32Array {
    const table = this.table(number);
    const words = this.tables.words;
    return this.page(table, cursor, limit, table.words, (slot, answer, at) => {
      const row = this.tables.row(table, slot);
      for (let word = 0; word < table.words; word++) answer[at + word] = words[row + word]!;
    });
  }

  counters(number: number, cursor: number, limit: number): Uint32Array {
    const table = this.table(number);
    const words = this.tables.words;
    // Memberships are looked at, but no packet is counted for them.
    if (number === VLAN) return NO_ROWS;
    return this.page(table, cursor, limit, 1 + COUNTER_WORDS, (slot, answer, at) => {
      answer[at] = words[this.tables.row(table, slot)]!;
      const counters = table.counters + slot * COUNTER_WORDS;
      for (let pair = 0; pair < COUNTER_WORDS; pair += 2) {
        // The main side may carry from low to high right now: it stores both at once.
        let high: number;
        do {
          high = Atomics.load(words, counters + pair + 1);
          answer[at + 1 + pair] = Atomics.load(words, counters + pair);
        } while (high !== Atomics.load(words, counters + pair + 1));
        answer[at + 2 + pair] = high;
      }
    });
  }

  epoch(): number {
    this.noticePowerLoss();
    return this.tables.words[HEADER.epoch]!;
  }

  close(): void {
    this.answer = new Uint32Array(0);
  }

  private table(number: number): TableLayout {
    this.noticePowerLoss();
    return this.tables.tables[number]!;
  }

  /** Tables are emptied by their only writer, the first time it looks after a power loss. */
  private noticePowerLoss(): void {
    const words = this.tables.words;
    const epoch = Atomics.load(words, HEADER.epoch);
    if (epoch === words[HEADER.emptied]) return;
    beginChange(words);
    this.tables.clear();
    words[HEADER.emptied] = epoch;
    endChange(words);
  }

  private burst(
    table: TableLayout,
    from: Uint32Array,
    start: number,
    count: number,
    removing: boolean,
  ): Completion {
    const words = this.tables.words;
    const completion = this.completion;
    const stride = removing ? table.keyWords : table.words;
    const delay = Atomics.load(words, HEADER.delay);
    if (delay !== 0) this.delay(delay);
    completion.done = 0;
    completion.status = OK;
    // Beyond the memory that was passed: nothing of it is carried out.
    if (start + count * stride > from.length) completion.status = INVALID;
    while (completion.done < count && completion.status === OK) {
      const done = completion.done;
      beginChange(words);
      const end = Math.min(done + CHUNK_ROWS, count);
      const status = this.chunk(table, from, start, stride, end, removing);
      endChange(words);
      this.tables.addCount(table, removing ? HEAD.removes : HEAD.writes, completion.done - done);
      if (status === INVALID) this.tables.addCount(table, HEAD.rejects, 1);
      completion.status = status;
    }
    return completion;
  }

  /** Carries out rows from `completion.done` up to `end`; how the last one ended. */
  private chunk(
    table: TableLayout,
    from: Uint32Array,
    start: number,
    stride: number,
    end: number,
    removing: boolean,
  ): number {
    const words = this.tables.words;
    const failEvery = Atomics.load(words, HEADER.failEvery);
    if (Atomics.load(words, HEADER.poweredOff) !== 0) return POWERED_OFF;
    if (!removing && Atomics.load(words, HEADER.refuse) !== 0) return REFUSED;
    let row = this.completion.done;
    let status = OK;
    while (row < end) {
      status =
        failEvery !== 0 && this.fails(failEvery)
          ? IO_ERROR
          : this.one(table, from, start + row * stride, removing);
      if (status !== OK) break;
      row++;
    }
    this.completion.done = row;
    return status;
  }

  private one(table: TableLayout, from: Uint32Array, at: number, removing: boolean): number {
    return removing ? this.tables.remove(table, from, at) : this.tables.put(table, from, at);
  }

  private fails(every: number): boolean {
    const words = this.tables.words;
    words[HEADER.sinceFailure]! += 1;
    if (words[HEADER.sinceFailure]! < every) return false;
    words[HEADER.sinceFailure] = 0;
    return true;
  }

  private delay(microseconds: number): void {
    const wanted = Math.min(microseconds, MAX_DELAY_US) / 1000;
    if (microseconds >= SPIN_US) {
      sleep(wanted);
      return;
    }
    const until = performance.now() + wanted;
    while (performance.now() < until);
  }

  private page(
    table: TableLayout,
    cursor: number,
    limit: number,
    stride: number,
    take: (slot: number, answer: Uint32Array, at: number) => void,
  ): Uint32Array {
    const most = Math.min(Math.max(limit, 1), MAX_READ_ROWS);
    if (this.answer.length < 1 + most * stride) this.answer = new Uint32Array(1 + most * stride);
    const answer = this.answer;
    const off = Atomics.load(this.tables.words, HEADER.poweredOff) !== 0;
    const end = off ? 0 : this.tables.end(table);
    let at = 1;
    let rows = 0;
    let slot = cursor;
    for (; slot < end && rows < most; slot++) {
      if (!this.tables.holds(table, slot)) continue;
      take(slot, answer, at);
      at += stride;
      rows++;
    }
    answer[0] = slot < end ? slot : 0;
    return answer.subarray(0, at);
  }
}
