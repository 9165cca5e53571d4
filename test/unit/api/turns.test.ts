/** Readers take turns, and wait for the mirror, but not for ever. */
import { expect, it } from 'vitest';
import { type Drawing, Turns } from '../../../host/api/turns.ts';

const LIMIT = { timeout: 60_000, interval: 5 };

/** Has `left` pieces to send. */
function reader(left: number): Drawing & { drawn: number } {
  return {
    drawn: 0,
    draw() {
      this.drawn++;
      return --left > 0;
    },
  };
}

it('draws from all until there is nothing more to send', async () => {
  const turns = new Turns(() => false);
  const readers = [reader(3), reader(1), reader(7)];
  for (const each of readers) turns.ask(each);
  await expect.poll(() => readers.map(({ drawn }) => drawn), LIMIT).toEqual([3, 1, 7]);
  turns.ask(readers[1]!);
  await expect.poll(() => readers[1]!.drawn, LIMIT).toBe(2);
});

it('does not draw from who has left', async () => {
  const turns = new Turns(() => false);
  const [gone, stays] = [reader(9), reader(2)];
  turns.ask(gone);
  turns.ask(stays);
  turns.leave(gone);
  await expect.poll(() => stays.drawn, LIMIT).toBe(2);
  expect(gone.drawn).toBe(0);
});

it('goes on although the mirror is behind all the time', async () => {
  const turns = new Turns(() => true);
  const one = reader(1);
  for (const count of [1, 2, 3]) {
    turns.ask(one);
    await expect.poll(() => one.drawn, LIMIT).toBe(count);
  }
});
