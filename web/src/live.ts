/** What all pages follow: the host's status, whether it answers, who asks. */
import type { CallerAnswer, SeriesAnswer, Status } from '../../host/api/schemas.ts';
import { Cell } from './cell.ts';
import { get, token } from './client.ts';

const STATUS_MS = 2_000;
/** Without an answer for so long what is shown counts as stale; the answer may still come. */
const LATE_MS = 3_000;
const SERIES_MS = 1_000;
/** Rows of the series that are shown: five minutes. */
const SHOWN_ROWS = 300;

export interface Connection {
  readonly isLive: boolean;
  /** Milliseconds since 1970 of the last answer; 0: none yet. */
  readonly answered: number;
}

export const status = new Cell<Status | undefined>(undefined);
export const caller = new Cell<CallerAnswer>({ name: '', role: 'read' });
export const connection = new Cell<Connection>({ isLive: true, answered: 0 });
/** Counts the host's starts: what belongs to one run is asked for again with the next. */
export const run = new Cell(0);
export const series = new Cell<SeriesAnswer | undefined>(undefined);

let pid: number | undefined;

export async function refresh(): Promise<void> {
  const stale = () => connection.set({ isLive: false, answered: connection.value.answered });
  const late = setTimeout(stale, LATE_MS);
  try {
    const answer = await get<Status>('/status');
    if (pid !== undefined && pid !== answer.pid) {
      series.set(undefined);
      run.set(run.value + 1);
    }
    const isNew = pid !== answer.pid || !connection.value.isLive;
    pid = answer.pid;
    if (isNew) caller.set(await get<CallerAnswer>('/caller'));
    status.set(answer);
    connection.set({ isLive: true, answered: Date.now() });
  } catch {
    stale();
  } finally {
    clearTimeout(late);
  }
}

/** Asks again and again while the page can be seen; returns the function that ends it. */
export function every(milliseconds: number, action: () => Promise<void>): () => void {
  let isEnded = false;
  let timer: ReturnType<typeof setTimeout>;
  const turn = async (): Promise<void> => {
    if (!document.hidden) await action().catch(() => {});
    if (!isEnded) timer = setTimeout(turn, milliseconds);
  };
  void turn();
  return () => {
    isEnded = true;
    clearTimeout(timer);
  };
}

export function start(): void {
  every(STATUS_MS, refresh);
  token.subscribe(() => void get<CallerAnswer>('/caller').then((answer) => caller.set(answer)));
}

/** Follows the series; returns the function that ends it. */
export function followSeries(): () => void {
  return every(SERIES_MS, async () => {
    const before = series.value;
    const more = await get<SeriesAnswer>(`/series?since=${before?.times.at(-1) ?? 0}`);
    if (before === series.value) series.set(joined(before, more));
  });
}

function joined(before: SeriesAnswer | undefined, more: SeriesAnswer): SeriesAnswer {
  const join = <T>(a: readonly T[] = [], b: readonly T[]): T[] => [...a, ...b].slice(-SHOWN_ROWS);
  const columns = { ...more.columns };
  for (const name of Object.keys(columns) as (keyof typeof columns)[])
    columns[name] = join(before?.columns[name], more.columns[name]);
  return { times: join(before?.times, more.times), columns };
}
