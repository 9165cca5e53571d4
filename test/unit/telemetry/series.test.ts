/** Ten minutes of rows, and no more. */
import { expect, it } from 'vitest';
import { ROWS_MAX, Series } from '../../../host/telemetry/series.ts';

it('gives the rows after a time, oldest first, and forgets what is older than it holds', () => {
  const series = new Series(['even', 'all']);
  expect(series.after(0)).toEqual({ times: [], columns: { even: [], all: [] } });
  for (let n = 1; n <= ROWS_MAX + 10; n++) series.add(n * 1000, { even: n % 2 ? Number.NaN : n, all: n });
  const { times, columns } = series.after(0);
  expect(times).toHaveLength(ROWS_MAX);
  expect(times[0]).toBe(11_000);
  expect(columns.all.at(-1)).toBe(ROWS_MAX + 10);
  const last = series.after((ROWS_MAX + 7) * 1000);
  expect(last.columns).toEqual({
    even: [ROWS_MAX + 8, null, ROWS_MAX + 10],
    all: [ROWS_MAX + 8, ROWS_MAX + 9, ROWS_MAX + 10],
  });
});
