/** Some of the faults of `npm run chaos`, one after another on one host: all is right again after each. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Usage } from '../chaos/fault.ts';
import { FAULTS } from '../chaos/faults.ts';
import { Site } from '../chaos/site.ts';
import { atLeast, tryFault } from '../chaos/trial.ts';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';

let site: Site;
let usual: Usage;

beforeAll(async () => {
  site = await Site.start({ random: new Random(SEED) });
  site.churn(120);
  await site.check();
  usual = site.usage();
}, 180_000);

afterAll(async () => {
  await site?.close();
});

test.each(['descriptors', 'disk-full', 'cache-corrupted', 'ifindex-reused', 'netlink-overrun', 'device-off'])(
  `%s (seed ${SEED})`,
  async (name) => {
    const fault = FAULTS.find((one) => one.name === name)!;
    const { seconds } = await tryFault(site, fault, usual);
    expect(seconds).toBeLessThan(fault.within);
    usual = { ...atLeast(usual, site.usage()), descriptors: usual.descriptors };
  },
  240_000,
);
