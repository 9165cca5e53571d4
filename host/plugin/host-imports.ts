/**
 * What a plugin may import, each function twice: as jco's typed API wants it, and lowered to core WebAssembly, which jco
 * uses when it is attached (`importBindings: 'hybrid'`). The lowered ones check every range against the plugin's memory.
 */

import type { AsicDeviceCore, CoreDevice, RtnetlinkCore, TablesCore } from '../device/core.ts';
import { type DeviceRation, rationed } from './device-ration.ts';
import type { Layouts } from './layout.ts';
import { CABI_LOWER, cases, checkEnum, guestOf, type HostImports, lowered } from './lowering.ts';
import { CONTROL, LOG_LINE_SIZE, LOG_LINES, LOG_OFFSET, LOG_TEXT_MAX } from './ring.ts';
import { rtnetlinkImports } from './rtnetlink-imports.ts';
import { tablesImports } from './tables-imports.ts';

/** Where a plugin's log lines go. */
export interface LogSink {
  /** @param level index in `log.level` */
  write(level: number, text: Uint8Array): void;
}

/** Lines a second that a plugin may write for long, and how many more at once. */
const LOG_RATE = 100;
const LOG_BURST = 400;

/**
 * Writes log lines to the ring in shared memory. A line beyond the rate, or that finds no room, is dropped and counted.
 */
export class LogWriter implements LogSink {
  private readonly control: Int32Array;
  private readonly bytes: Uint8Array;
  /** Lines that may be written now, as of `filledAt`. */
  private allowance = LOG_BURST;
  private filledAt = performance.now();

  constructor(ring: SharedArrayBuffer) {
    this.control = new Int32Array(ring);
    this.bytes = new Uint8Array(ring);
  }

  write(level: number, text: Uint8Array): void {
    if (!this.isWithinRate()) {
      Atomics.add(this.control, CONTROL.logDropped, 1);
      return;
    }
    const written = Atomics.load(this.control, CONTROL.logWritten);
    if (((written - Atomics.load(this.control, CONTROL.logRead)) | 0) >= LOG_LINES) {
      Atomics.add(this.control, CONTROL.logDropped, 1);
      return;
    }
    const at = LOG_OFFSET + (written & (LOG_LINES - 1)) * LOG_LINE_SIZE;
    const length = Math.min(text.length, LOG_TEXT_MAX);
    this.control[at >>> 2] = level;
    this.control[(at >>> 2) + 1] = length;
    this.bytes.set(length === text.length ? text : text.subarray(0, length), at + 8);
    // The line is complete before the reader can see that it is there.
    Atomics.store(this.control, CONTROL.logWritten, written + 1);
  }

  private isWithinRate(): boolean {
    if (this.allowance < 1) {
      const now = performance.now();
      this.allowance = Math.min(LOG_BURST, this.allowance + ((now - this.filledAt) / 1000) * LOG_RATE);
      this.filledAt = now;
      if (this.allowance < 1) return false;
    }
    this.allowance--;
    return true;
  }
}

function logImports(log: LogSink, layouts: Layouts): HostImports[string] {
  const levels = cases(layouts, 'log', 'level');
  const encoder = new TextEncoder();
  return {
    write: lowered(
      (level: string, message: string) => log.write(levels.indexOf(level), encoder.encode(message)),
      (context) => {
        const guest = guestOf(context);
        return (level: number, pointer: number, length: number) => {
          const at = guest.check(pointer, length >>> 0, 1);
          const end = at + Math.min(length >>> 0, LOG_TEXT_MAX);
          log.write(checkEnum(level, levels.length, 'log level'), guest.views.u8.subarray(at, end));
        };
      },
    ),
  };
}

function clockImports(): HostImports[string] {
  // Already in nanoseconds of CLOCK_MONOTONIC.
  const now = () => process.hrtime.bigint();
  return { now: lowered(now, () => () => process.hrtime.bigint()) };
}

function asicImports(device: AsicDeviceCore, layouts: Layouts): HostImports[string] {
  const tables = cases(layouts, 'asic', 'table');
  const statuses = cases(layouts, 'asic', 'status');
  const invalid = statuses.indexOf('invalid');

  /** Rows or keys in a list of words, and undefined for a list that ends within one. */
  const rowsIn = (words: number, width: number) => (words % width === 0 ? words / width : undefined);

  /** A table's words per row do not change, and asking may be a call to another process. */
  const widths: { readonly write: number; readonly remove: number }[] = [];
  const widthOf = (table: number) => {
    let width = widths[table];
    if (width === undefined) {
      const { words, keyWords } = device.info(table);
      width = { write: words, remove: keyWords };
      widths[table] = width;
    }
    return width;
  };

  const burst = (call: 'write' | 'remove') =>
    lowered(
      (name: string, words: Uint32Array) => {
        const table = tables.indexOf(name);
        const rows = rowsIn(words.length, widthOf(table)[call]);
        if (rows === undefined) return { done: 0, status: 'invalid' };
        const { done, status } = device[call](table, words, 0, rows);
        return { done, status: statuses[status] };
      },
      (context) => {
        const guest = guestOf(context);
        return (table: number, pointer: number, length: number, result: number) => {
          checkEnum(table, tables.length, 'asic table');
          const at = guest.check(pointer, (length >>> 0) * 4, 4);
          const to = guest.check(result, 8, 4);
          const { u8, u32 } = guest.views;
          const rows = rowsIn(length >>> 0, widthOf(table)[call]);
          if (rows === undefined) {
            u32[to >>> 2] = 0;
            u8[to + 4] = invalid;
            return;
          }
          const completion = device[call](table, u32, at >>> 2, rows);
          u32[to >>> 2] = completion.done;
          u8[to + 4] = completion.status;
        };
      },
    );

  const page = (call: 'read' | 'counters') =>
    lowered(
      (name: string, cursor: number, limit: number) =>
        Uint32Array.from(device[call](tables.indexOf(name), cursor, limit)),
      (context) => {
        const guest = guestOf(context);
        return (table: number, cursor: number, limit: number, result: number) => {
          checkEnum(table, tables.length, 'asic table');
          const words = device[call](table, cursor >>> 0, limit >>> 0);
          const at = guest.allocate(words.length * 4, 4);
          const to = guest.check(result, 8, 4);
          // After the allocation, which may have moved the memory.
          const { u32 } = guest.views;
          u32.set(words, at >>> 2);
          u32[to >>> 2] = at;
          u32[(to >>> 2) + 1] = words.length;
        };
      },
    );

  return {
    info: lowered(
      (name: string) => ({ ...device.info(tables.indexOf(name)) }),
      (context) => {
        const guest = guestOf(context);
        return (table: number, result: number) => {
          const info = device.info(checkEnum(table, tables.length, 'asic table'));
          const to = guest.check(result, 16, 4) >>> 2;
          const { u32 } = guest.views;
          u32[to] = info.capacity;
          u32[to + 1] = info.used;
          u32[to + 2] = info.words;
          u32[to + 3] = info.keyWords;
        };
      },
    ),
    write: burst('write'),
    remove: burst('remove'),
    read: page('read'),
    counters: page('counters'),
    epoch: lowered(
      () => device.epoch(),
      () => () => device.epoch(),
    ),
  };
}

/** Device interfaces that can be granted, by the name of the interface. */
const DEVICE_IMPORTS: Record<string, (device: CoreDevice, layouts: Layouts) => HostImports[string]> = {
  asic: (device, layouts) => asicImports(device as AsicDeviceCore, layouts),
  tables: (device, layouts) => tablesImports(device as TablesCore, layouts),
  rtnetlink: (device, layouts) => rtnetlinkImports(device as RtnetlinkCore, layouts),
};

/** Interfaces a plugin may always import, without version. */
export const BASE_INTERFACES: readonly string[] = ['types', 'log', 'clock'];

export const DEVICE_INTERFACES: readonly string[] = Object.keys(DEVICE_IMPORTS);

/**
 * @param devices by interface name
 * @param options.ration of device calls
 * @param options.direct attach the lowered functions; without, jco's glue does all conversion
 */
export function hostImports(
  log: LogSink,
  devices: ReadonlyMap<string, CoreDevice>,
  layouts: Layouts,
  { ration, direct }: { readonly ration?: DeviceRation; readonly direct: boolean },
): HostImports {
  const name = layouts.package.name;
  const imports: HostImports = {
    [`${name}/log`]: logImports(log, layouts)!,
    [`${name}/clock`]: clockImports()!,
  };
  for (const [kind, device] of devices) {
    const functions = DEVICE_IMPORTS[kind]!(device, layouts)!;
    imports[`${name}/${kind}`] = ration === undefined ? functions : rationed(functions, ration)!;
  }
  if (!direct)
    for (const functions of Object.values(imports))
      for (const one of Object.values(functions)) delete (one as { [CABI_LOWER]?: unknown })[CABI_LOWER];
  return imports;
}
