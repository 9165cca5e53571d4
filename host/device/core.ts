/**
 * What a device is inside the worker of the plugin it is granted to: the other end of the device interface in
 * wit/host.wit, without a WebAssembly type in sight. All of it is synchronous and called between two instructions of
 * the plugin, so it must not block for long, and it must never throw for anything the plugin passed.
 */

export interface TableInfo {
  /** Rows. */
  readonly capacity: number;
  readonly used: number;
  /** 32-bit words per row, and of its key. */
  readonly words: number;
  readonly keyWords: number;
}

export interface Completion {
  /** Rows carried out. */
  readonly done: number;
  /** Index in `asic.status` of what row `done` met; 0 when all were carried out. */
  readonly status: number;
}

/** What all of them have. */
export interface CoreDevice {
  close(): void;
}

/** `asic` of wit/host.wit. `table` is the index in `asic.table` and always valid. */
export interface AsicDeviceCore extends CoreDevice {
  info(table: number): TableInfo;
  /**
   * Rows stand at `words[start]`, `rows` × `info(table).words` words, in the plugin's own memory: read them during the
   * call, keep nothing. The returned object is reused by the next call.
   */
  write(table: number, words: Uint32Array, start: number, rows: number): Completion;
  /** As `write`, with `info(table).keyWords` words per key. */
  remove(table: number, words: Uint32Array, start: number, keys: number): Completion;
  /** Next cursor, then whole rows. The returned array (or view) is reused by the next call. */
  read(table: number, cursor: number, limit: number): Uint32Array;
  /** Next cursor, then 7 words per row that counts: cookie, packets, bytes and last-used as low and high word. */
  counters(table: number, cursor: number, limit: number): Uint32Array;
  epoch(): number;
}

export interface TablesInfo extends TableInfo {
  /** Index in `tables.organisation`. */
  readonly organisation: number;
}

/** `tables` of wit/host.wit. Apart from `find` and `info`, `table` is a number that `info` knows; `status` is the index in `tables.status`. */
export interface TablesCore extends CoreDevice {
  find(name: string): number;
  info(table: number): TablesInfo | undefined;
  /** As `AsicDeviceCore.write`. */
  put(table: number, words: Uint32Array, start: number, rows: number, added: boolean): Completion;
  remove(table: number, words: Uint32Array, start: number, keys: number): Completion;
  read(table: number, cursor: number, limit: number): Uint32Array;
  epoch(): number;
}

export interface RtnetlinkCompletion extends Completion {
  /** The kernel's error, 0 where it has none. */
  readonly errno: number;
}

/** `rtnetlink` of wit/host.wit; `table` is the index in `rtnetlink.table` and always valid. */
export interface RtnetlinkCore extends CoreDevice {
  /** Entries of the table. */
  used(table: number): number;
  /** As `AsicDeviceCore.write`. */
  write(table: number, words: Uint32Array, start: number, rows: number): RtnetlinkCompletion;
  remove(table: number, words: Uint32Array, start: number, keys: number): RtnetlinkCompletion;
  read(table: number, cursor: number, limit: number): Uint32Array;
  reason(): string;
  epoch(): number;
}
