/** What host and plugin process say to each other over their channel, and how large it may be. */

import { BATCH_ENTRIES_MAX, BATCH_LISTS, BATCH_OFFSETS, BATCH_STRIDES } from './batch.ts';
import { CounterRecord, EventRecord, OutcomeRecord, TableUsageRecord } from './records.ts';
import { batchOffset, HEADER, headerOffset, OP } from './ring.ts';
import type { WitPackage } from './wit.ts';

/** From the host. */
export const TO_PROCESS = {
  /** First: a `ProcessTask`, V8-serialised. */
  start: 1,
  /** An operation: a slot's header, then its lists or records. */
  operation: 2,
  /** What a device call returned: see remote-devices.ts. On a channel of its own. */
  deviceAnswer: 3,
} as const;

/** From the process. All of it is untrusted. */
export const FROM_PROCESS = {
  /** `PHASE`, one word. */
  phase: 1,
  /** Level, one word, then the text. */
  log: 2,
  /** An `UpMessage` as JSON. */
  up: 3,
  /** The answer to the oldest operation: a slot's header, then its lists or records. */
  answer: 4,
  deviceCall: 5,
  /** Why it ends, as JSON: a `WorkerEnd`. The last message. */
  end: 6,
} as const;

/** What a process is to run. */
export interface ProcessTask {
  readonly wit: WitPackage;
  /** Source of the transpiled glue. */
  readonly glue: string;
  /** Core modules by the file name the glue asks for. */
  readonly modules: ReadonlyMap<string, Uint8Array>;
  /** Kinds of the devices it is granted. */
  readonly devices: readonly string[];
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  readonly direct: boolean;
}

/** Bytes of a slot's header that travel. */
export const HEADER_BYTES = Math.ceil((HEADER.lists + BATCH_LISTS) / 2) * 8;

/** Parts of a batch area that its lists fill. */
export function listParts(bytes: Uint8Array, words: Uint32Array, slot: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let list = 0; list < BATCH_LISTS; list++) {
    const length = words[(headerOffset(slot) >>> 2) + HEADER.lists + list]! * BATCH_STRIDES[list]!;
    const from = batchOffset(slot) + BATCH_OFFSETS[list]!;
    if (length > 0) parts.push(bytes.subarray(from, from + length));
  }
  return parts;
}

/** Bytes of one record in the result area, by operation; 0 for those that answer otherwise. */
export function resultStride(op: number): number {
  switch (op) {
    case OP.apply:
      return OutcomeRecord.SIZE;
    case OP.collect:
      return CounterRecord.SIZE;
    case OP.tables:
      return TableUsageRecord.SIZE;
    case OP.poll:
      return EventRecord.SIZE;
    default:
      return 0;
  }
}

/** Bytes of any message of a process: a page of the largest records, and some to spare. */
export const FROM_PROCESS_MAX =
  BATCH_ENTRIES_MAX * Math.max(...BATCH_STRIDES, CounterRecord.SIZE, EventRecord.SIZE) + 4096;

/** Bytes of any message of the host: a component's files. */
export const TO_PROCESS_MAX = 256 * 1024 * 1024;
