/** What the command prints: aligned tables, colour only on a terminal, and a quiet end when the reader closes the pipe. */
import { once } from 'node:events';
import { stripVTControlCharacters } from 'node:util';

export { plain } from '../text.ts';

const CODES = { bold: 1, red: 31, green: 32, yellow: 33, dim: 2 } as const;
export type Colour = keyof typeof CODES;

/** Colour is for people at a terminal who did not decline it (no-color.org). */
export function coloured(stream: NodeJS.WriteStream = process.stdout): boolean {
  return Boolean(stream.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

export function paint(colour: Colour, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return coloured(stream) ? `\x1b[${CODES[colour]}m${text}\x1b[0m` : text;
}

/** States in the colour of how much they need a look. */
export function paintState(state: string): string {
  switch (state) {
    case 'active':
    case 'offloaded':
    case 'synced':
    case 'equal':
      return paint('green', state);
    case 'failed':
    case 'ended':
      return paint('red', state);
    default:
      return paint('yellow', state);
  }
}

/** Columns as wide as their widest cell, two blanks between, nothing behind the last; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const right = head.map(
    (_, column) => rows.length > 0 && rows.every((row) => /^[\d,.]*%?$/.test(row[column] ?? '')),
  );
  const widths = head.map((title, column) =>
    Math.max(width(title), ...rows.map((row) => width(row[column] ?? ''))),
  );
  const line = (cells: readonly string[]) =>
    head
      .map((_, column) => {
        const cell = cells[column] ?? '';
        const blanks = ' '.repeat(widths[column]! - width(cell));
        return right[column] ? blanks + cell : cell + blanks;
      })
      .join('  ')
      .trimEnd();
  return `${[paint('bold', line(head)), ...rows.map(line)].join('\n')}\n`;
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** Writes to standard output and waits while its reader is slow. False when the reader is gone. */
export async function print(text: string): Promise<boolean> {
  if (gone) return false;
  if (!process.stdout.write(text) && !gone) {
    const done = new AbortController();
    const { signal } = done;
    // Whichever comes first; the listeners of the others must go, or each wait would leave some behind.
    await Promise.race(
      ['drain', 'close', 'error'].map((event) => once(process.stdout, event, { signal }).catch(() => {})),
    );
    done.abort();
  }
  return !gone;
}

let gone = false;
// `ekho show route | head` ends without a word.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (!gone && error.code !== 'EPIPE') {
    process.exitCode = 1;
    process.stderr.write(`ekho: cannot write to standard output: ${error.message}\n`);
  }
  gone = true;
});
// Nobody is left to tell.
process.stderr.on('error', () => {});

const NUMBER = new Intl.NumberFormat('en-US');

export function count(value: number): string {
  return NUMBER.format(value);
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
