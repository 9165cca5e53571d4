/** A little of `npm run fuzz`: every target keeps its promise for its first inputs, some changes of them, and what was found before. */
import { describe, expect, test } from 'vitest';
import { found } from '../fuzz/found.ts';
import { mutate } from '../fuzz/mutate.ts';
import { TARGETS } from '../fuzz/targets.ts';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';

const TRIES = 60;

describe.each(TARGETS)('$name: $what', (target) => {
  test(`from the seed ${SEED}`, () => {
    const random = new Random(SEED);
    const seeds = target.seeds(random);
    expect(seeds.length).toBeGreaterThan(0);
    for (const input of seeds) target.try(input);
    for (let left = TRIES; left > 0; left--) {
      const input = mutate(random.pick(seeds), seeds, target.words ?? [], random);
      try {
        target.try(input);
      } catch (error) {
        throw new Error(`input ${Buffer.from(input).toString('hex')}`, { cause: error });
      }
    }
  });

  test.each(found(target.name))('what was found before: %s', (_, input) => target.try(input));
});
