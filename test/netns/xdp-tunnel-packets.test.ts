/**
 * Bridges with VXLAN links in the XDP data path against the plain kernel, packet by packet: random options of the links, stations and
 * ways to them; random frames into the tunnels, and random packets out of them. What leaves, where, and every byte are the same, except
 * of the outer packets: the UDP source port, which must be in the link's range; the IP identification; and so the checksums of both
 * headers, which must be right (or, that of UDP, absent in both). A case that differs is made small and saved in test/packets/cases/tunnels.
 *
 * EKHO_PACKETS_RUNS raises the number of routers, EKHO_SEED repeats one. A CI run always takes the same routers.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Case, differencesOf, reportOf, type StartOffload } from '../packets/compare.ts';
import { CASES, search } from '../packets/search.ts';
import { TestHost } from '../support/host.ts';
import { SEED } from '../support/seed.ts';

const RUNS = Number(process.env.EKHO_PACKETS_RUNS ?? 1);
/** Made natively, so they are apart from the others. */
const TUNNEL_CASES = join(CASES, 'tunnels');

let host: TestHost | undefined;

/** Natively: by tcx tunnels are the kernel's. */
const xdp: StartOffload = async (arena) => {
  arena.allowXdp();
  const started = await TestHost.start({ netns: arena.router.name, plugin: 'xdp', mode: 'native' });
  host = started;
  return {
    settled: async () => {
      await started.settled();
    },
    close: () => started.close(),
  };
};

test(
  `every packet leaves as from the plain kernel (seed ${SEED})`,
  async () => {
    let tunnelled = 0;
    const bounds = { routers: RUNS, rounds: 4, changes: 6, packets: 300, folder: TUNNEL_CASES };
    const frames = await search(xdp, { scope: { tunnels: {} }, seed: SEED, ...bounds }, async () => {
      const { entries } = await host!.stats();
      for (const { entry, packets } of entries) if (entry.startsWith('tunnel')) tunnelled += packets;
    });
    expect(frames).toBeGreaterThan(50 * RUNS);
    // A router by itself may leave little to hardware: it has no way to its VTEPs, say.
    expect(tunnelled).toBeGreaterThan(0);
  },
  300_000 + RUNS * 60_000,
);

test.each(existsSync(TUNNEL_CASES) ? readdirSync(TUNNEL_CASES) : [])('%s', async (name) => {
  const one = JSON.parse(readFileSync(join(TUNNEL_CASES, name), 'utf8')) as Case;
  const differences = await differencesOf(xdp, one);
  expect(differences.map(reportOf).join('\n')).toBe('');
});
