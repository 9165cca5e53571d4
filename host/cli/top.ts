/** `ekho top`: the host live on a terminal, until `q`. It waits for a host that is not there, and goes on when it comes back. */
import type { SeriesAnswer, Status, TopEntries } from '../api/schemas.ts';
import { EkhoError } from '../errors.ts';
import type { Client } from './client.ts';
import { print } from './output.ts';
import { draw, type Moment, WIDTH_MIN } from './top-picture.ts';

/** Rows of the series that are asked for: the last values are among them. */
const SERIES_MS = 15_000;
const ENTRIES = 20;
/** For the host to answer. */
const ANSWER_MS = 10_000;

/** `q`, `Q`; in raw mode Ctrl-C and Ctrl-D are keys, too. */
const END_KEYS: ReadonlySet<number> = new Set([0x71, 0x51, 0x03, 0x04]);

/** Other screen, no cursor; and back. */
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

export interface TopOptions {
  readonly once?: boolean;
  /** Seconds between two pictures. */
  readonly interval: number;
}

export async function top(client: Client, { once, interval }: TopOptions): Promise<void> {
  if (once) {
    const lines = draw({
      now: await look(client),
      before: undefined,
      trouble: undefined,
      width: process.stdout.columns ?? Number.POSITIVE_INFINITY,
    });
    await print(`${lines.join('\n')}\n`);
    return;
  }
  if (!process.stdout.isTTY)
    throw new EkhoError('E_USAGE', '`ekho top` needs a terminal', {
      remedy: '`ekho top --once` prints one picture.',
    });
  // A wrong socket is told at once, and not on a screen that is gone a moment later.
  const first = await look(client);
  await live(client, first, interval);
}

async function look(client: Client, signal?: AbortSignal): Promise<Moment> {
  const limit = AbortSignal.timeout(ANSWER_MS);
  const until = signal === undefined ? limit : AbortSignal.any([limit, signal]);
  const [status, series, entries] = await Promise.all([
    client.get<Status>('/api/v1/status', until),
    client.get<SeriesAnswer>(`/api/v1/series?since=${Date.now() - SERIES_MS}`, until),
    client.get<TopEntries>(`/api/v1/stats/top?limit=${ENTRIES}`, until),
  ]);
  return { status, series, top: entries, at: performance.now() };
}

async function live(client: Client, first: Moment, interval: number): Promise<void> {
  const ended = new AbortController();
  const { stdout, stdin } = process;
  let now = first;
  let before: Moment | undefined;
  let trouble: string | undefined;
  const show = () => {
    const height = Math.max(2, stdout.rows ?? 24);
    const width = stdout.columns ?? WIDTH_MIN;
    const lines = draw({ now, before, trouble, width, height: height - 1 });
    // A reader that is slow gets the next picture instead.
    if (stdout.writableNeedDrain) return;
    stdout.write(`${HOME}${[...lines, 'q: quit'].map((line) => line + CLEAR_LINE).join('\n')}${CLEAR_BELOW}`);
  };
  const end = () => ended.abort();
  const onKey = (key: Buffer) => {
    if (key.some((byte) => END_KEYS.has(byte))) end();
  };
  stdout.write(ENTER);
  try {
    if (stdin.isTTY) {
      stdin.setRawMode(true);
      stdin.on('data', onKey);
    }
    stdout.on('resize', show);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
    show();
    while (await isAfter(interval * 1000, ended.signal)) {
      try {
        const next = await look(client, ended.signal);
        // Counters of another host say nothing about this one's.
        before = next.status.pid === now.status.pid ? now : undefined;
        now = next;
        trouble = undefined;
      } catch (error) {
        if (ended.signal.aborted) break;
        const why = error instanceof EkhoError ? error.message : (error as Error).message;
        trouble = `${why}; this is how it was ${Math.round((performance.now() - now.at) / 1000)} s ago`;
      }
      show();
    }
  } finally {
    stdout.off('resize', show);
    if (stdin.isTTY) {
      stdin.off('data', onKey);
      stdin.setRawMode(false);
      stdin.pause();
    }
    stdout.write(LEAVE);
  }
}

/** False: it was to end before. */
function isAfter(delay_ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(false);
      return;
    }
    const stop = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve(true);
    }, delay_ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}
