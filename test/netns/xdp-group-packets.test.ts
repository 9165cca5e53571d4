/**
 * Multicast groups of bridges on the XDP data path against the plain kernel, packet by packet: random members and options of the bridge,
 * random packets to the groups; what leaves, where, and every byte are the same. As test/netns/xdp-packets.test.ts does for routers.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { AttachMode } from '../../host/device/types.ts';
import type { StartOffload } from '../packets/compare.ts';
import { search } from '../packets/search.ts';
import { TestHost } from '../support/host.ts';
import { SEED } from '../support/seed.ts';

const RUNS = Number(process.env.EKHO_PACKETS_RUNS ?? 1);
/** Until a bridge that was changed relies on who joined, and the host knows it. */
const QUERY_MS = 10_500;

let host: TestHost | undefined;

const xdp =
  (mode: AttachMode): StartOffload =>
  async (arena) => {
    const started = await TestHost.start({ netns: arena.router.name, plugin: 'xdp', mode });
    host = started;
    return {
      settled: async () => {
        await started.settled();
        await sleep(QUERY_MS);
        await started.settled();
      },
      close: () => started.close(),
    };
  };

test.each(['tcx', 'generic'] as const)(
  `every packet to a group leaves as from the plain kernel: %s (seed ${SEED})`,
  async (mode) => {
    let offloaded = 0;
    const bounds = { routers: RUNS, rounds: 3, changes: 10, packets: 150 };
    const frames = await search(xdp(mode), { scope: { groups: {} }, seed: SEED, ...bounds }, async () => {
      const { entries } = await host!.stats();
      for (const { entry, packets } of entries) if (entry.includes('grp')) offloaded += packets;
    });
    expect(frames).toBeGreaterThan(50 * RUNS);
    expect(offloaded).toBeGreaterThan(10 * RUNS);
  },
  300_000 + RUNS * 60_000,
);
