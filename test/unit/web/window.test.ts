/** Every row of a list of any length can be scrolled to and is seen there. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  firstRow,
  fullHeight,
  HEIGHT_MAX,
  ROW,
  rowTop,
  scrollTo,
  wholeRows,
} from '../../../web/src/window.ts';

const seed = Date.now() & 0x7fffffff;
console.log(`window.test.ts seed ${seed}`);

const view = fc
  .record({ total: fc.integer({ min: 1, max: 3_000_000 }), height: fc.integer({ min: ROW, max: 3_000 }) })
  .chain(({ total, height }) =>
    fc.record({
      total: fc.constant(total),
      height: fc.constant(height),
      // Browsers scroll a little beyond.
      top: fc.double({ min: -50, max: fullHeight(total) + 50, noNaN: true }),
    }),
  );

it('begins with the first row and ends with the last', () => {
  fc.assert(
    fc.property(view, (view) => {
      expect(fullHeight(view.total)).toBeLessThanOrEqual(HEIGHT_MAX);
      expect(firstRow({ ...view, top: 0 })).toBe(0);
      const end = firstRow({ ...view, top: fullHeight(view.total) - view.height });
      // A row that is seen in part only may be before the last ones.
      expect(end + wholeRows(view.height) + 1).toBeGreaterThanOrEqual(view.total);
      expect(end).toBeLessThan(view.total);
    }),
    { seed, numRuns: 1000 },
  );
});

it('shows later rows when it is scrolled down', () => {
  fc.assert(
    fc.property(view, fc.nat(100_000), (view, more) => {
      expect(firstRow({ ...view, top: view.top + more })).toBeGreaterThanOrEqual(firstRow(view));
    }),
    { seed, numRuns: 1000 },
  );
});

it('scrolls to any row, which then stands where it is seen', () => {
  fc.assert(
    fc.property(view, fc.nat(3_000_000), (view, any) => {
      const row = any % view.total;
      const top = scrollTo(row, view) ?? view.top;
      const there = {
        ...view,
        top: Math.max(0, Math.min(top, Math.max(0, fullHeight(view.total) - view.height))),
      };
      const offset = rowTop(row, there) - there.top;
      expect(offset).toBeGreaterThan(-ROW);
      expect(offset).toBeLessThan(Math.max(view.height, ROW));
    }),
    { seed, numRuns: 1000 },
  );
});
