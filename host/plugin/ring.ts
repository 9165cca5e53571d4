/**
 * The shared memory between a runner and its worker: a ring of operations, each in a slot, and a ring of log lines.
 *
 *     control words │ queue │ log lines │ slot 0 │ slot 1 │ …
 *     slot: header words │ batch area (see batch.ts) │ result area
 *
 * One side writes each word: the main thread `submitted`, `queue` and slots it owns; the worker `completed`, `phase`, the counts of
 * device calls and the slot it works on. A slot passes to the worker with the store of `submitted` and comes back with the store of
 * `completed`. Atomics are sequentially consistent, so plain writes to a slot before such a store are seen by the side that
 * loads the new value. Operations are answered in the order they were submitted.
 */

import { BATCH_AREA_SIZE, BATCH_ENTRIES_MAX, BATCH_LISTS } from './batch.ts';
import { CounterRecord, EventRecord, NoticeRecord, OutcomeRecord, TableUsageRecord } from './records.ts';

/** Operations in flight. A power of two, so counters may wrap. */
export const SLOTS = 8;

/** What a slot asks for. Values are of no meaning outside of a process. */
export const OP = { apply: 1, readback: 2, collect: 3, tables: 4, poll: 5, notify: 6, stop: 7 } as const;

/** What the worker is doing before it serves the ring, for the watchdog. */
export const PHASE = {
  boot: 0,
  load: 1,
  instantiate: 2,
  describe: 3,
  configure: 4,
  start: 5,
  serve: 6,
} as const;
export const PHASE_NAMES = [
  'boot',
  'load',
  'instantiate',
  'describe',
  'configure',
  'start',
  'serve',
] as const;

/** Indices of control words. */
export const CONTROL = {
  submitted: 0,
  completed: 1,
  phase: 2,
  /** Log lines written and read, and how many found no room. */
  logWritten: 3,
  logRead: 4,
  logDropped: 5,
  /** Calls of devices, and how many of them had to wait (device-ration.ts). */
  deviceCalls: 6,
  deviceWaits: 7,
  /** SLOTS words: the slot of operation n is at n mod SLOTS. */
  queue: 8,
} as const;

const CONTROL_SIZE = 128;

/** Lines kept until the main thread reads them; further ones are dropped and counted. A power of two. */
export const LOG_LINES = 64;
/** Bytes of text per line; the rest is cut. */
export const LOG_TEXT_MAX = 1024;
/** Level and length as words, then the text. */
export const LOG_LINE_SIZE = 8 + LOG_TEXT_MAX;

export const LOG_OFFSET = CONTROL_SIZE;

/** Indices of a slot's header words. */
export const HEADER = {
  op: 0,
  /** `readback` and `collect`: cursor and limit. `notify`: number of notices. */
  cursor: 1,
  limit: 2,
  /** 0, or which part of the contract the plugin broke (`BREACH`). */
  breach: 3,
  /** Records in the result area. */
  results: 4,
  /** Records that the plugin returned beyond what it may. */
  excess: 5,
  /** Where to go on, 0: done. */
  next: 6,
  /** Pages of 64 KiB that the plugin's memory has. */
  memory: 7,
  /** Records per list in the batch area. */
  lists: 8,
  /** 1: the worker notes when it began and ended, in microseconds of CLOCK_MONOTONIC, their lower 32 bits. */
  traced: 29,
  began: 30,
  ended: 31,
} as const;

/** Breaches that leave nothing to read from the answer. */
export const BREACH = { none: 0, tooManyEntries: 1 } as const;

const HEADER_SIZE = 128;

export const NOTICES_MAX = 1024;
export const EVENTS_MAX = 1024;
/** Tables in one answer: a few per kind. */
export const TABLES_MAX = 64;

const RESULT_AREA_SIZE = Math.max(
  BATCH_ENTRIES_MAX * OutcomeRecord.SIZE,
  BATCH_ENTRIES_MAX * CounterRecord.SIZE,
  EVENTS_MAX * EventRecord.SIZE,
  NOTICES_MAX * NoticeRecord.SIZE,
  TABLES_MAX * TableUsageRecord.SIZE,
);

const SLOT_SIZE = HEADER_SIZE + BATCH_AREA_SIZE + RESULT_AREA_SIZE;
const SLOTS_OFFSET = Math.ceil((LOG_OFFSET + LOG_LINES * LOG_LINE_SIZE) / 64) * 64;

/** Bytes. Most of it is never touched and costs no memory. */
export const RING_SIZE = SLOTS_OFFSET + SLOTS * SLOT_SIZE;

if (
  HEADER.lists + BATCH_LISTS > HEADER.traced ||
  HEADER.ended >= HEADER_SIZE / 4 ||
  CONTROL.queue + SLOTS > CONTROL_SIZE / 4 ||
  SLOT_SIZE % 8 !== 0
)
  throw new RangeError('the ring does not fit its own layout');

/** What `began` and `ended` are set to. */
export function monotonic_us(): number {
  return Number((process.hrtime.bigint() / 1000n) & 0xffff_ffffn);
}

/** Byte offsets of a slot's parts. */
export function headerOffset(slot: number): number {
  return SLOTS_OFFSET + slot * SLOT_SIZE;
}

export function batchOffset(slot: number): number {
  return headerOffset(slot) + HEADER_SIZE;
}

export function resultOffset(slot: number): number {
  return batchOffset(slot) + BATCH_AREA_SIZE;
}
