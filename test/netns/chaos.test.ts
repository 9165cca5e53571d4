/**
 * Some of the faults of `npm run chaos`, one after another on one host: all is right again after each. Which ones, in which order and
 * beside what changes is up to a seed, another one for each run, also in CI: EKHO_SEED repeats it.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Usage } from '../chaos/fault.ts';
import { FAULTS } from '../chaos/faults.ts';
import { Site } from '../chaos/site.ts';
import { grown, tryFault } from '../chaos/trial.ts';
import { Random } from '../support/random.ts';
import { FRESH_SEED } from '../support/seed.ts';

const COUNT = 5;
const order = new Random(FRESH_SEED);
const CHOSEN = order.shuffled(FAULTS.map(({ name }) => name)).slice(0, COUNT);

let site: Site;
let first: Usage;
let usual: Usage;

beforeAll(async () => {
  console.log(`EKHO_SEED=${FRESH_SEED}: ${CHOSEN.join(', ')}`);
  site = await Site.start({ random: order });
  site.churn(120);
  await site.right(60);
  first = site.usage();
  usual = first;
}, 180_000);

afterAll(async () => {
  await site?.close();
});

test.each(CHOSEN)(
  '%s',
  async (name) => {
    const fault = FAULTS.find((one) => one.name === name)!;
    // Throws where something is not right within its time, or nothing tells of the fault.
    const { signs } = await tryFault(site, fault, usual);
    expect(signs.happened, `EKHO_SEED=${FRESH_SEED}`).toBeDefined();
    usual = grown(usual, site.usage(), first);
  },
  240_000,
);
