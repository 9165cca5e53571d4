/** The interface `rtnetlink` of wit/host.wit, typed and lowered. */

import type { RtnetlinkCompletion, RtnetlinkCore } from '../device/core.ts';
import { TABLES } from '../device/rtnetlink/layout.ts';
import type { Layouts } from './layout.ts';
import { cases, checkEnum, guestOf, type HostImports, lowered } from './lowering.ts';

export function rtnetlinkImports(device: RtnetlinkCore, layouts: Layouts): HostImports[string] {
  const tables = cases(layouts, 'rtnetlink', 'table');
  const statuses = cases(layouts, 'rtnetlink', 'status');
  const nothing: RtnetlinkCompletion = { done: 0, status: statuses.indexOf('invalid'), errno: 0 };
  const encoder = new TextEncoder();

  const carryOut = (
    call: 'write' | 'remove',
    table: number,
    words: Uint32Array,
    start: number,
    length: number,
  ) => {
    const width = call === 'write' ? TABLES[table]!.words : TABLES[table]!.keyWords;
    return length % width === 0 ? device[call](table, words, start, length / width) : nothing;
  };

  const burst = (call: 'write' | 'remove') =>
    lowered(
      (name: string, words: Uint32Array) => {
        const { done, status, errno } = carryOut(call, tables.indexOf(name), words, 0, words.length);
        return { done, status: statuses[status], errno };
      },
      (context) => {
        const guest = guestOf(context);
        return (table: number, pointer: number, length: number, result: number) => {
          checkEnum(table, tables.length, 'rtnetlink table');
          const at = guest.check(pointer, (length >>> 0) * 4, 4);
          const to = guest.check(result, 12, 4);
          const { u8, u32 } = guest.views;
          const { done, status, errno } = carryOut(call, table, u32, at >>> 2, length >>> 0);
          u32[to >>> 2] = done;
          u8[to + 4] = status;
          u32[(to >>> 2) + 2] = errno;
        };
      },
    );

  return {
    write: burst('write'),
    remove: burst('remove'),
    read: lowered(
      (name: string, cursor: number, limit: number) =>
        Uint32Array.from(device.read(tables.indexOf(name), cursor, limit)),
      (context) => {
        const guest = guestOf(context);
        return (table: number, cursor: number, limit: number, result: number) => {
          checkEnum(table, tables.length, 'rtnetlink table');
          const words = device.read(table, cursor >>> 0, limit >>> 0);
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
    capacity: lowered(
      (name: string) => TABLES[tables.indexOf(name)]!.capacity,
      () => (table: number) => TABLES[checkEnum(table, tables.length, 'rtnetlink table')]!.capacity,
    ),
    used: lowered(
      (name: string) => device.used(tables.indexOf(name)),
      () => (table: number) => device.used(checkEnum(table, tables.length, 'rtnetlink table')),
    ),
    reason: lowered(
      () => device.reason(),
      (context) => {
        const guest = guestOf(context);
        return (result: number) => {
          const text = encoder.encode(device.reason());
          const at = guest.allocate(text.length, 1);
          const to = guest.check(result, 8, 4);
          const { u8, u32 } = guest.views;
          u8.set(text, at);
          u32[to >>> 2] = at;
          u32[(to >>> 2) + 1] = text.length;
        };
      },
    ),
    epoch: lowered(
      () => device.epoch(),
      () => () => device.epoch(),
    ),
  };
}
