/** The tables as the plugin's worker sees them: rows into BPF maps, in batches. */

import { BpfError, BpfMap } from '../../../bpf/libbpf-ts/src/index.ts';
import type { Completion, TablesCore, TablesInfo } from '../core.ts';
import type { DeviceShare } from '../types.ts';
import { Attachments } from './attachments.ts';
import { FaultyTablesCore } from './faults.ts';
import {
  GENERATION,
  INTERFACES_AT,
  ORGANISATIONS,
  type Organisation,
  PORTS,
  ROUTES4,
  TABLES,
} from './layout.ts';
import { ContentReader, type Reader, SlotReader, takeCounter, takeSlot } from './reader.ts';
import { Routes } from './routes.ts';
import { SharedState } from './shared.ts';
import { waitForPrograms } from './system.ts';
import { Untagged } from './untagged.ts';

/** In the order of `tables.status` of wit/host.wit. */
export const STATUS = { ok: 0, full: 1, invalid: 2, missing: 3, refused: 4, busy: 5, ioError: 6 } as const;

/** How often whoever asks for the epoch has attachments looked at again. */
const REFRESH_MS = 1000;

/** Words of a row of `ports`: struct dp_port behind the slot. */
const PORT_IFINDEX = 2;
const PORT_FLAGS = 5;

type Mutable<T> = { -readonly [key in keyof T]: T[key] };

interface Table {
  readonly number: number;
  readonly map: BpfMap;
  readonly organisation: number;
  readonly capacity: number;
  readonly keyWords: number;
  /** Of a row: counters are one for all CPUs here. */
  readonly words: number;
  readonly reader: Reader;
}

const SLOTS = ORGANISATIONS.indexOf('slots');
const COUNTERS = ORGANISATIONS.indexOf('counters');

export class MapTables implements TablesCore {
  readonly #tables: readonly Table[];
  readonly #state: SharedState;
  readonly #attachments: Attachments;
  readonly #routes: Routes;
  readonly #untagged: Untagged;
  readonly #completion: Mutable<Completion> = { done: 0, status: STATUS.ok };
  readonly #info: Mutable<TablesInfo> = { organisation: 0, capacity: 0, used: 0, words: 0, keyWords: 0 };
  #refreshed = 0;

  constructor(share: DeviceShare) {
    const maps = share.maps!;
    this.#tables = TABLES.map(({ name, organisation }, number) => {
      const map = BpfMap.borrow(maps[name]!);
      const { maxEntries } = map.info();
      const keyWords = map.keySize / 4;
      const words = keyWords + (organisation === 'counters' ? COUNTER_WORDS : map.valueSize / 4);
      const reader = readerOf(map, organisation, keyWords, words);
      return {
        number,
        map,
        organisation: ORGANISATIONS.indexOf(organisation),
        capacity: maxEntries,
        keyWords,
        words,
        reader,
      };
    });
    this.#state = new SharedState(this.#tables[PORTS]!.capacity, share.memory);
    this.#attachments = new Attachments(share, this.#state);
    this.#routes = new Routes(share);
    this.#untagged = new Untagged(share);
  }

  find(name: string): number {
    const number = TABLES.findIndex((table) => table.name === name);
    return number < 0 ? 0xffff_ffff : number;
  }

  info(number: number): TablesInfo | undefined {
    const table = this.#tables[number];
    if (table === undefined) return undefined;
    const info = this.#info;
    info.organisation = table.organisation;
    info.capacity = table.capacity;
    info.used = table.organisation === COUNTERS ? 0 : this.#state.used(number);
    info.words = table.words;
    info.keyWords = table.keyWords;
    return info;
  }

  put(number: number, from: Uint32Array, start: number, rows: number, added: boolean): Completion {
    const table = this.#tables[number]!;
    const completion = this.#completion;
    completion.done = 0;
    completion.status = STATUS.ok;
    if (number === PORTS) this.#putPorts(from, start, rows, table);
    else this.#batch(table, from, start, rows);
    if (number === INTERFACES_AT) this.#untagged.put(from, start, completion.done);
    if (number === ROUTES4) {
      this.#routes.put(from, start, completion.done);
      if (completion.status === STATUS.ioError) this.#routes.leave();
    }
    // The generation before is free to be written once no frame is judged by it any more.
    if (number === GENERATION) waitForPrograms();
    if (added && table.organisation !== COUNTERS) this.#state.addUsed(number, completion.done);
    this.#state.addWrites(completion.done);
    return completion;
  }

  /** A port is attached before its row stands, and one that cannot be attached gets none. */
  #putPorts(from: Uint32Array, start: number, rows: number, table: Table): void {
    const completion = this.#completion;
    while (completion.done < rows && completion.status === STATUS.ok) {
      const at = start + completion.done * table.words;
      const slot = from[at]!;
      if (slot >= table.capacity) completion.status = STATUS.invalid;
      else
        completion.status = this.#attachments.attach(slot, from[at + PORT_IFINDEX]!, from[at + PORT_FLAGS]!);
      if (completion.status !== STATUS.ok) break;
      const { done } = completion;
      this.#batch(table, from, at, 1);
      completion.done += done;
    }
  }

  #batch(table: Table, from: Uint32Array, start: number, rows: number): void {
    const { map, keyWords, words } = table;
    const counters = table.organisation === COUNTERS;
    const keys = new Uint32Array(rows * keyWords);
    const valueWords = words - keyWords;
    const cpus = counters ? map.valueCodec.size / (4 * COUNTER_WORDS) : 1;
    // Of a counter, one CPU has it all.
    const values = new Uint32Array(rows * valueWords * cpus);
    for (let row = 0; row < rows; row++) {
      const at = start + row * words;
      keys.set(from.subarray(at, at + keyWords), row * keyWords);
      values.set(from.subarray(at + keyWords, at + words), row * valueWords * cpus);
    }
    this.#attempt(rows, () => map.setBatch(keys, values));
  }

  remove(number: number, from: Uint32Array, start: number, rows: number): Completion {
    const table = this.#tables[number]!;
    const completion = this.#completion;
    completion.done = 0;
    completion.status = STATUS.ok;
    if (table.organisation === SLOTS || table.organisation === COUNTERS) {
      const empty = new Uint32Array(rows * table.words);
      for (let row = 0; row < rows; row++) empty[row * table.words] = from[start + row]!;
      this.#batch(table, empty, 0, rows);
      if (number === PORTS) {
        // No frame is judged by the row any more when it is detached.
        for (let row = 0; row < completion.done; row++) this.#attachments.detach(from[start + row]!);
      }
    } else {
      const keys = from.slice(start, start + rows * table.keyWords);
      this.#attempt(rows, () => this.#delete(table, keys, rows));
    }
    if (number === INTERFACES_AT) this.#untagged.remove(from, start, completion.done);
    if (number === ROUTES4) {
      this.#routes.remove(from, start, completion.done);
      if (completion.status === STATUS.ioError) this.#routes.leave();
    }
    if (table.organisation !== COUNTERS) this.#state.addUsed(number, -completion.done);
    this.#state.addRemoves(completion.done);
    return completion;
  }

  #delete({ map, keyWords }: Table, keys: Uint32Array<ArrayBuffer>, rows: number): void {
    // Which key of a batch was missing is not told.
    if (map.deleteBatch(keys) === rows) return;
    if (rows === 1) throw new BpfError('E_MISSING_KEY', 'missing');
    // They are gone, all of those that were there: what counts is that none is left.
    for (let row = 0; row < rows; row++) {
      const key = new Uint8Array(keys.buffer, keys.byteOffset + row * keyWords * 4, keyWords * 4);
      if (map.has(key)) throw new BpfError('E_KERNEL', 'a key is still there', { done: row });
    }
  }

  #attempt(rows: number, action: () => void): void {
    const completion = this.#completion;
    try {
      action();
      completion.done = rows;
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      completion.done = error.done ?? 0;
      completion.status = statusOf(error);
    }
  }

  read(number: number, cursor: number, limit: number): Uint32Array {
    return this.#tables[number]!.reader.read(cursor, limit);
  }

  epoch(): number {
    const now = performance.now();
    if (now - this.#refreshed > REFRESH_MS) {
      this.#refreshed = now;
      for (const slot of this.#attachments.refresh()) this.#losePort(slot);
    }
    return this.#state.epoch;
  }

  /** Without a program on it and without its row, the port is the kernel's, and the plugin is told that the device lost something. */
  #losePort(slot: number): void {
    const row = new Uint32Array(this.#tables[PORTS]!.words);
    row[0] = slot;
    this.#batch(this.#tables[PORTS]!, row, 0, 1);
    this.#state.addUsed(PORTS, -1);
    this.#state.lose();
  }

  close(): void {
    for (const { map, reader } of this.#tables) {
      reader.close();
      map.close();
    }
    this.#attachments.close();
    this.#routes.close();
    this.#untagged.close();
  }
}

/** Packets, bytes, last used; of two words each. */
export const COUNTER_WORDS = 6;

function readerOf(map: BpfMap, organisation: Organisation, keyWords: number, words: number): Reader {
  if (organisation === 'slots') return new SlotReader(map, words, takeSlot(words - keyWords));
  if (organisation !== 'counters') return new ContentReader(map, keyWords, words);
  return new SlotReader(map, words, takeCounter(map.valueCodec.size / (4 * COUNTER_WORDS)));
}

function statusOf(error: BpfError): number {
  // An LPM trie says so in its own way.
  if (error.errno === 'ENOSPC') return STATUS.full;
  switch (error.code) {
    case 'E_FULL':
      return STATUS.full;
    case 'E_VALUE':
      return STATUS.invalid;
    case 'E_MISSING_KEY':
      return STATUS.missing;
    default:
      return STATUS.ioError;
  }
}

/** Opens, in a plugin's worker, the device that the host described. */
export function openMapTables(share: DeviceShare): TablesCore {
  const tables = new MapTables(share);
  return share.faults === undefined ? tables : new FaultyTablesCore(tables, share.faults);
}
