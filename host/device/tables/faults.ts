/**
 * Faults between a plugin and a data path that has none: rows that are refused or fail, tables that are lost. For checks of plugins; the
 * tables underneath are the real ones, and are really emptied.
 */

import { EkhoError } from '../../errors.ts';
import type { Completion, TablesCore, TablesInfo } from '../core.ts';
import type {
  Device,
  DeviceFaults,
  DeviceShare,
  DeviceStatus,
  LookupOptions,
  PacketQuery,
  PacketVerdict,
} from '../types.ts';

/** In the order of `tables.status` of wit/host.wit. */
const OK = 0;
const REFUSED = 4;
const IO_ERROR = 6;

/** Words in shared memory. `emptied`: epoch in which the tables were last emptied, which the plugin's side does. */
const WORD = { failEvery: 0, sinceFailure: 1, refuse: 2, poweredOff: 3, epoch: 4, emptied: 5 } as const;
const WORDS = 6;
/** Rows read at a time while tables are emptied. */
const PAGE = 4096;
const NO_ROWS = new Uint32Array(1);

/** A data path whose owner tells it which faults to show. */
export class FaultyTables implements Device {
  readonly kind: string;
  readonly name: string;
  readonly share: DeviceShare;
  readonly #device: Device;
  readonly #words: Int32Array;

  /** `device` is owned from here on. */
  constructor(device: Device) {
    this.#device = device;
    this.kind = device.kind;
    this.name = device.name;
    const faults = new SharedArrayBuffer(4 * WORDS);
    this.#words = new Int32Array(faults);
    this.share = { ...device.share, faults };
  }

  lookup(packet: PacketQuery, options?: LookupOptions): PacketVerdict {
    return this.#device.lookup(packet, options);
  }

  status(): DeviceStatus {
    const status = this.#device.status();
    return { ...status, epoch: status.epoch + Atomics.load(this.#words, WORD.epoch) };
  }

  /** @throws EkhoError E_DEVICE for a delay, which it cannot show */
  inject({ failEvery, refuse, delay, poweredOff }: Partial<DeviceFaults>): void {
    const words = this.#words;
    if (delay !== undefined) throw new EkhoError('E_DEVICE', `device ${this.name} cannot be told to be slow`);
    if (failEvery !== undefined) Atomics.store(words, WORD.failEvery, failEvery);
    if (refuse !== undefined) Atomics.store(words, WORD.refuse, Number(refuse));
    if (poweredOff === undefined) return;
    if (poweredOff && Atomics.load(words, WORD.poweredOff) === 0) Atomics.add(words, WORD.epoch, 1);
    Atomics.store(words, WORD.poweredOff, Number(poweredOff));
  }

  powerCycle(): void {
    this.inject({ poweredOff: true });
    this.inject({ poweredOff: false });
  }

  /** No fault, whatever was injected before. */
  heal(): void {
    this.inject({ failEvery: 0, refuse: false, poweredOff: false });
    Atomics.store(this.#words, WORD.sinceFailure, 0);
  }

  close(): void {
    this.#device.close();
  }
}

/** The plugin's side of it. */
export class FaultyTablesCore implements TablesCore {
  readonly #core: TablesCore;
  readonly #words: Int32Array;
  readonly #completion: { done: number; status: number } = { done: 0, status: OK };

  constructor(core: TablesCore, faults: SharedArrayBuffer) {
    this.#core = core;
    this.#words = new Int32Array(faults);
  }

  find(name: string): number {
    return this.#core.find(name);
  }

  info(table: number): TablesInfo | undefined {
    this.#noticeLoss();
    return this.#core.info(table);
  }

  put(table: number, words: Uint32Array, start: number, rows: number, added: boolean): Completion {
    return this.#change(start, rows, Atomics.load(this.#words, WORD.refuse) !== 0, (at, count) =>
      this.#core.put(table, words, at, count, added),
    );
  }

  remove(table: number, words: Uint32Array, start: number, keys: number): Completion {
    return this.#change(start, keys, false, (at, count) => this.#core.remove(table, words, at, count));
  }

  /** Rows before one that fails are carried out; those behind it are not. */
  #change(
    start: number,
    rows: number,
    isRefused: boolean,
    carryOut: (at: number, rows: number) => Completion,
  ): Completion {
    this.#noticeLoss();
    const completion = this.#completion;
    completion.done = 0;
    completion.status = OK;
    if (this.#isOff) completion.status = IO_ERROR;
    else if (isRefused) completion.status = REFUSED;
    if (completion.status !== OK) return completion;
    const whole = this.#rowsUntilFailure(rows);
    if (whole > 0 || rows === 0) {
      const { done, status } = carryOut(start, whole);
      completion.done = done;
      completion.status = status;
      if (status !== OK || done < whole) return completion;
    }
    if (whole < rows) completion.status = IO_ERROR;
    return completion;
  }

  /** How many of these rows are carried out before the next one that is to fail. */
  #rowsUntilFailure(rows: number): number {
    const words = this.#words;
    const every = Atomics.load(words, WORD.failEvery);
    if (every === 0) return rows;
    const left = every - 1 - words[WORD.sinceFailure]!;
    if (rows <= left) {
      words[WORD.sinceFailure]! += rows;
      return rows;
    }
    words[WORD.sinceFailure] = 0;
    return left;
  }

  read(table: number, cursor: number, limit: number): Uint32Array {
    this.#noticeLoss();
    return this.#isOff ? NO_ROWS : this.#core.read(table, cursor, limit);
  }

  epoch(): number {
    this.#noticeLoss();
    return this.#core.epoch() + Atomics.load(this.#words, WORD.epoch);
  }

  close(): void {
    this.#core.close();
  }

  get #isOff(): boolean {
    return Atomics.load(this.#words, WORD.poweredOff) !== 0;
  }

  /** Tables are emptied by their only writer, the first time it looks after they were lost. */
  #noticeLoss(): void {
    const epoch = Atomics.load(this.#words, WORD.epoch);
    if (epoch === this.#words[WORD.emptied]) return;
    emptyTables(this.#core);
    this.#words[WORD.emptied] = epoch;
  }
}

/** Takes out every row of every table. */
export function emptyTables(core: TablesCore): void {
  for (let table = 0; core.info(table) !== undefined; table++) {
    const { words, keyWords } = core.info(table)!;
    const keys: number[] = [];
    let cursor = 0;
    do {
      const page = core.read(table, cursor, PAGE);
      for (let at = 1; at < page.length; at += words) keys.push(...page.subarray(at, at + keyWords));
      cursor = page[0]!;
    } while (cursor !== 0);
    const rows = keys.length / keyWords;
    if (rows > 0 && core.remove(table, Uint32Array.from(keys), 0, rows).done !== rows)
      throw new Error(`table ${table} of the data path cannot be emptied`);
  }
}
