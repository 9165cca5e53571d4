/** Some of the faults of `npm run chaos`, one after another on one host: all is right again after each. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Usage } from '../chaos/fault.ts';
import { FAULTS } from '../chaos/faults.ts';
import { Site } from '../chaos/site.ts';
import { atLeast, tryFault } from '../chaos/trial.ts';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';

const CHOSEN = ['descriptors', 'cache-corrupted', 'ifindex-reused', 'netlink-overrun', 'device-off'];

let site: Site;
let usual: Usage;

beforeAll(async () => {
  site = await Site.start({ random: new Random(SEED) });
  console.log(`seed ${SEED}: EKHO_SEED repeats it`);
  site.churn(120);
  await site.right(60);
  usual = site.usage();
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
    expect(signs.happened, `seed ${SEED}`).toBeDefined();
    usual = { ...atLeast(usual, site.usage()), descriptors: usual.descriptors };
  },
  240_000,
);
