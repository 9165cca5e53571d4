/** The interface `tables` of wit/host.wit, typed and lowered, on a device's tables. */

import type { Completion, TablesCore, TablesInfo } from '../device/core.ts';
import { type Guest, GuestTrap } from './guest.ts';
import type { Layouts } from './layout.ts';
import { cases, guestOf, type HostImports, lowered } from './lowering.ts';

/** Longest name of a table, in bytes. */
const NAME_MAX = 64;

export function tablesImports(device: TablesCore, layouts: Layouts): HostImports[string] {
  const statuses = cases(layouts, 'tables', 'status');
  const organisations = cases(layouts, 'tables', 'organisation');
  const invalid = statuses.indexOf('invalid');
  const decoder = new TextDecoder();

  const known = (table: number): TablesInfo => {
    const info = device.info(table >>> 0);
    if (info === undefined) throw new GuestTrap(`${table >>> 0} is not a table`);
    return info;
  };

  /** Tables keep their words per row and key, and asking may be a call to another process. */
  const widths = new Map<number, { readonly words: number; readonly keyWords: number }>();
  const widthOf = (table: number) => {
    let width = widths.get(table >>> 0);
    if (width === undefined) {
      const { words, keyWords } = known(table);
      width = { words, keyWords };
      widths.set(table >>> 0, width);
    }
    return width;
  };

  /** Rows or keys in a list of words, and undefined for a list that ends within one. */
  const rowsIn = (words: number, width: number) => (words % width === 0 ? words / width : undefined);
  const typed = ({ done, status }: Completion) => ({ done, status: statuses[status] });
  const nothing = { done: 0, status: 'invalid' };

  /** Lowered: carries out `action` on the list at `pointer`, its result to `result`. */
  const burst = (
    guest: Guest,
    width: number,
    pointer: number,
    length: number,
    result: number,
    action: (words: Uint32Array, start: number, rows: number) => Completion,
  ): void => {
    const at = guest.check(pointer, (length >>> 0) * 4, 4);
    const to = guest.check(result, 8, 4);
    const { u8, u32 } = guest.views;
    const rows = rowsIn(length >>> 0, width);
    const completion = rows === undefined ? undefined : action(u32, at >>> 2, rows);
    u32[to >>> 2] = completion?.done ?? 0;
    u8[to + 4] = completion?.status ?? invalid;
  };

  return {
    find: lowered(
      (name: string) => device.find(name),
      (context) => {
        const guest = guestOf(context);
        return (pointer: number, length: number) => {
          const at = guest.check(pointer, length >>> 0, 1);
          if (length >>> 0 > NAME_MAX) return -1;
          // A copy: text is not decoded from memory that may be shared.
          return device.find(decoder.decode(guest.views.u8.slice(at, at + (length >>> 0)))) | 0;
        };
      },
    ),
    info: lowered(
      (table: number) => {
        const info = known(table);
        return { ...info, organisation: organisations[info.organisation] };
      },
      (context) => {
        const guest = guestOf(context);
        return (table: number, result: number) => {
          const info = known(table);
          const to = guest.check(result, 20, 4);
          const { u8, u32 } = guest.views;
          u8[to] = info.organisation;
          u32[(to >>> 2) + 1] = info.capacity;
          u32[(to >>> 2) + 2] = info.used;
          u32[(to >>> 2) + 3] = info.words;
          u32[(to >>> 2) + 4] = info.keyWords;
        };
      },
    ),
    put: lowered(
      (table: number, words: Uint32Array, added: boolean) => {
        const rows = rowsIn(words.length, widthOf(table).words);
        return rows === undefined ? nothing : typed(device.put(table, words, 0, rows, added));
      },
      (context) => {
        const guest = guestOf(context);
        return (table: number, pointer: number, length: number, added: number, result: number) => {
          const { words } = widthOf(table);
          burst(guest, words, pointer, length, result, (from, start, rows) =>
            device.put(table >>> 0, from, start, rows, added !== 0),
          );
        };
      },
    ),
    remove: lowered(
      (table: number, words: Uint32Array) => {
        const rows = rowsIn(words.length, widthOf(table).keyWords);
        return rows === undefined ? nothing : typed(device.remove(table, words, 0, rows));
      },
      (context) => {
        const guest = guestOf(context);
        return (table: number, pointer: number, length: number, result: number) => {
          const { keyWords } = widthOf(table);
          burst(guest, keyWords, pointer, length, result, (from, start, rows) =>
            device.remove(table >>> 0, from, start, rows),
          );
        };
      },
    ),
    read: lowered(
      (table: number, cursor: number, limit: number) => {
        widthOf(table);
        return Uint32Array.from(device.read(table, cursor, limit));
      },
      (context) => {
        const guest = guestOf(context);
        return (table: number, cursor: number, limit: number, result: number) => {
          widthOf(table);
          const words = device.read(table >>> 0, cursor >>> 0, limit >>> 0);
          const at = guest.allocate(words.length * 4, 4);
          const to = guest.check(result, 8, 4);
          // After the allocation, which may have moved the memory.
          const { u32 } = guest.views;
          u32.set(words, at >>> 2);
          u32[to >>> 2] = at;
          u32[(to >>> 2) + 1] = words.length;
        };
      },
    ),
    epoch: lowered(
      () => device.epoch(),
      () => () => device.epoch(),
    ),
  };
}
