/**
 * The XDP data path against the plain kernel, packet by packet: random routers, random packets; what leaves, where, and every byte
 * are the same. A case that differs is made small and saved in test/packets/cases: it is run ever after.
 *
 * EKHO_PACKETS_RUNS raises the number of routers, EKHO_SEED repeats one. A CI run always takes the same routers.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Case, differencesOf, reportOf, type StartOffload } from '../packets/compare.ts';
import type { Scope } from '../packets/generate.ts';
import { CASES, search } from '../packets/search.ts';
import { TestHost } from '../support/host.ts';
import { SEED } from '../support/seed.ts';

const RUNS = Number(process.env.EKHO_PACKETS_RUNS ?? 1);

const SCOPES: Record<string, Scope> = {
  routing: { ports: 3, ip6: true, oddities: true },
  'routing with rules': { ports: 3, ip6: true, oddities: true, rules: true },
  'routing with filters': { ports: 3, ip6: true, oddities: true, filters: ['u32'] },
  'routing with netfilter': { ports: 3, ip6: true, oddities: true, nft: true },
  'several gateways': { ports: 4, ip6: true, oddities: true, multipath: true },
  bridging: { ports: 4, bridge: true, ip6: true, oddities: true },
};

let host: TestHost | undefined;

const xdp: StartOffload = async (arena) => {
  const started = await TestHost.start({ netns: arena.router.name, plugin: 'xdp' });
  host = started;
  return {
    settled: async () => {
      await started.settled();
    },
    close: () => started.close(),
  };
};

test.each(Object.entries(SCOPES))(
  `every packet leaves as from the plain kernel: %s (seed ${SEED})`,
  async (_, scope) => {
    let offloaded = 0;
    const bounds = { routers: RUNS, rounds: 4, changes: 20, packets: 250 };
    const frames = await search(xdp, { scope, seed: SEED, ...bounds }, async () => {
      const { entries } = await host!.stats();
      for (const { entry, packets } of entries) if (/^(route|fdb|filter)/.test(entry)) offloaded += packets;
    });
    expect(frames).toBeGreaterThan(50 * RUNS);
    // Filters may leave little to hardware, chains nothing.
    if (scope.nft !== true) expect(offloaded).toBeGreaterThan(scope.filters === undefined ? 10 * RUNS : 0);
  },
  300_000 + RUNS * 60_000,
);

test.each(readdirSync(CASES).filter((name) => name.endsWith('.json')))('%s', async (name) => {
  const one = JSON.parse(readFileSync(join(CASES, name), 'utf8')) as Case;
  const differences = await differencesOf(xdp, one);
  expect(differences.map(reportOf).join('\n')).toBe('');
});
