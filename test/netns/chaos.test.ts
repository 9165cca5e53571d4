/**
 * Some of the faults of `npm run chaos`, one after another on one host at each of its places: all is right again after each. Which
 * ones, in which order and beside what changes is up to a seed, another one for each run, also in CI: EKHO_SEED repeats it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fault, Place, Usage } from '../chaos/fault.ts';
import { DATAPATH_FAULTS } from '../chaos/faults/datapath.ts';
import { FAULTS } from '../chaos/faults.ts';
import { Site } from '../chaos/site.ts';
import { grown, tryFault } from '../chaos/trial.ts';
import { WiredSite } from '../chaos/wired.ts';
import { Random } from '../support/random.ts';
import { FRESH_SEED } from '../support/seed.ts';
import { has } from '../support/wires.ts';

/** Of BIRD, where there is one. */
const ROUTES = 10_000;
const routes = has('bird') ? ROUTES : undefined;
const order = new Random(FRESH_SEED);

function tryOn<P extends Place>(
  where: string,
  faults: readonly Fault<P>[],
  count: number,
  start: () => Promise<P>,
  always?: string,
): void {
  const first = faults.filter(({ name }) => name === always);
  const others = order.shuffled(faults.filter(({ name }) => name !== always));
  const chosen = [...first, ...others.slice(0, count - first.length)];

  describe(where, () => {
    let place: P | undefined;
    let before: Usage;
    let usual: Usage;

    beforeAll(async () => {
      console.log(`EKHO_SEED=${FRESH_SEED}: ${chosen.map(({ name }) => name).join(', ')}`);
      place = await start();
      place.churn(120);
      await place.right(60);
      before = place.usage();
      usual = before;
    }, 180_000);

    afterAll(async () => {
      await place?.close();
    });

    test.each(chosen.map((fault) => [fault.name, fault] as const))(
      '%s',
      async (_, fault) => {
        // Throws where something is not right within its time, or nothing tells of the fault.
        const { signs } = await tryFault(place!, fault, usual);
        expect(signs.happened, `EKHO_SEED=${FRESH_SEED}`).toBeDefined();
        usual = grown(usual, place!.usage(), before);
      },
      240_000,
    );
  });
}

// What a damaged dump left out once was gone from the mirror, and nobody said so.
tryOn('a router', FAULTS, 5, () => Site.start({ random: order, routes }), 'dump-malformed');
tryOn('a data path with traffic', DATAPATH_FAULTS, 2, () => WiredSite.start({ random: order, routes }));
