/** Long work of many readers leaves the event loop to others, and sorts as a plain sort does. */
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { sortedPlaces } from '../../../host/api/sort.ts';
import { SLICE_MS, Slice } from '../../../host/slices.ts';

/** Counts the turns of the event loop until it is stopped. */
function countTurns(): { readonly now: number; stop(): void } {
  const turns = { now: 0, stop: () => clearImmediate(next) };
  const turn = () => {
    turns.now++;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  return turns;
}

/** The clock goes on by a millisecond whenever it is looked at. */
function slowClock(): void {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now++);
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('slices', () => {
  it('run one in a turn of the event loop, each in its turn', async () => {
    slowClock();
    const turns = countTurns();
    const ran: { readonly who: number; readonly turn: number }[] = [];
    const work = async (who: number) => {
      const slice = new Slice();
      for (let step = 0; step < 4 * SLICE_MS; step++) {
        if (!slice.isOver) continue;
        await slice.next();
        ran.push({ who, turn: turns.now });
      }
    };
    await Promise.all(Array.from({ length: 50 }, (_, who) => work(who)));
    turns.stop();
    expect(ran.length).toBeGreaterThan(100);
    expect(new Set(ran.map(({ turn }) => turn)).size).toBe(ran.length);
    expect(ran.slice(0, 100).map(({ who }) => who)).toEqual(Array.from({ length: 100 }, (_, n) => n % 50));
  });
});

describe('a sort in slices', () => {
  it('gives what a stable sort gives', async () => {
    const values = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 0, maxLength: 3_000, size: 'max' });
    await fc.assert(
      fc.asyncProperty(values, async (values) => {
        const expected = values.map((_, place) => place).sort((a, b) => values[a]! - values[b]!);
        const places = await sortedPlaces(values.length, (a, b) => values[a]! - values[b]!);
        expect([...places]).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('leaves the event loop to others', async () => {
    slowClock();
    const turns = countTurns();
    const length = 20_000;
    const places = await sortedPlaces(length, (a, b) => b - a);
    turns.stop();
    expect(places[0]).toBe(length - 1);
    expect(turns.now).toBeGreaterThan(100);
  });
});
