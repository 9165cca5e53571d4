/** Rows of the ASIC as objects of field values, for tests: words by field name, arrays for fields of several words. */

import { GROUP_FIRST_MEMBER, rowWords, TABLES, wordOf } from '../../../host/device/asic/layout.ts';
import type { AsicDeviceCore } from '../../../host/device/core.ts';

export type RowValues = Readonly<Record<string, number | readonly number[]>>;

/** A row with the given fields, all others 0. */
export function row(table: number, values: RowValues): Uint32Array {
  const words = new Uint32Array(rowWords(table));
  for (const [name, value] of Object.entries(values)) {
    words.set(typeof value === 'number' ? [value] : value, wordOf(table, name));
  }
  return words;
}

/** Status of writing one row. */
export function write(core: AsicDeviceCore, table: number, words: Uint32Array): number {
  return core.write(table, words, 0, words.length / rowWords(table)).status;
}

/** Status of removing one row by its key. */
export function remove(core: AsicDeviceCore, table: number, words: Uint32Array): number {
  return core.remove(table, words.slice(1, 1 + TABLES[table]!.keyWords), 0, 1).status;
}

/** Every row of a table, in pages of `limit`. */
export function readAll(core: AsicDeviceCore, table: number, limit = 3): Uint32Array[] {
  const words = rowWords(table);
  const rows: Uint32Array[] = [];
  let cursor = 0;
  do {
    const page = core.read(table, cursor, limit);
    for (let at = 1; at < page.length; at += words) rows.push(page.slice(at, at + words));
    cursor = page[0]!;
  } while (cursor !== 0);
  return rows;
}

/** Low words of packets and bytes by cookie. */
export function counters(
  core: AsicDeviceCore,
  table: number,
): Map<number, { packets: number; bytes: number }> {
  const found = new Map<number, { packets: number; bytes: number }>();
  let cursor = 0;
  do {
    const page = core.counters(table, cursor, 5);
    for (let at = 1; at < page.length; at += 7) {
      found.set(page[at]!, { packets: page[at + 1]!, bytes: page[at + 3]! });
    }
    cursor = page[0]!;
  } while (cursor !== 0);
  return found;
}

/** Members of a group row as its `members` field wants them. */
export function members(...pairs: readonly (readonly [nexthop: number, weight: number])[]): number[] {
  return pairs.flat();
}

export { GROUP_FIRST_MEMBER };
