/** The state file of a simulated ASIC, to give its rows the packet counts that traffic would. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { COUNTER_WORDS, HEAD, LPM4, layOut, ROW_VALID } from '../../host/device/asic/layout.ts';

/** Sets packets and bytes of an IPv4 route of the default domain; throws when the ASIC does not hold it. */
export function setRouteCount(
  file: string,
  tables: { readonly [table: string]: number },
  prefix: number,
  length: number,
  packets: number,
): void {
  setCount(
    file,
    tables,
    LPM4,
    packets,
    (row) => row[1] === 0 && row[2] === prefix >>> 0 && row[3] === length,
  );
}

/** Sets packets and bytes (100 each) of the first row of a table that matches, by its words. */
export function setCount(
  file: string,
  tables: { readonly [table: string]: number },
  number: number,
  packets: number,
  matches: (row: Uint32Array) => boolean,
): void {
  const layout = layOut(tables);
  const table = layout.tables[number]!;
  const descriptor = openSync(file, 'r+');
  try {
    const read = (word: number, words: number): Uint32Array => {
      const bytes = new Uint8Array(words * 4);
      readSync(descriptor, bytes, 0, bytes.length, word * 4);
      return new Uint32Array(bytes.buffer);
    };
    const end = read(table.head + HEAD.end, 1)[0]!;
    const rows = read(table.rows, end * table.stride);
    for (let slot = 0; slot < end; slot++) {
      const row = rows.subarray(slot * table.stride, (slot + 1) * table.stride);
      if (row[table.words] !== ROW_VALID || !matches(row)) continue;
      const counts = Uint32Array.of(packets, 0, packets * 100, 0);
      writeSync(
        descriptor,
        new Uint8Array(counts.buffer),
        0,
        16,
        (table.counters + slot * COUNTER_WORDS) * 4,
      );
      return;
    }
    throw new Error('the ASIC does not hold the row');
  } finally {
    closeSync(descriptor);
  }
}
