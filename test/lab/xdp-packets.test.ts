/**
 * The XDP data path against the plain kernel, packet by packet, with what a stock kernel has beyond the machine's own: bridges that
 * filter VLANs, VLAN links, VRFs, flower and matchall with their actions, VXLAN. test/netns/xdp-packets.test.ts has the rest.
 *
 * EKHO_PACKETS_RUNS raises the number of routers, EKHO_SEED repeats one. A CI run always takes the same routers.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AttachMode } from '../../host/device/types.ts';
import type { Host } from '../../host/host.ts';
import type { StartOffload } from '../packets/compare.ts';
import type { Scope } from '../packets/generate.ts';
import { search } from '../packets/search.ts';
import { SEED } from '../support/seed.ts';
import { settled, startHost } from './support.ts';

const RUNS = Number(process.env.EKHO_PACKETS_RUNS ?? 1);

const EDITS: Scope = { ports: 4, ip6: true, filters: ['edits', 'edits', 'edits', 'flower'] };
/** On skbs of veths, which is tcx, and by XDP. */
const EDITS_BY_XDP = 'filters that edit, by XDP';

const SCOPES: Record<string, Scope> = {
  'VLAN links, a VRF and filters': {
    ports: 4,
    ip6: true,
    rules: true,
    vlanLinks: true,
    vrf: true,
    filters: ['flower', 'flower', 'matchall', 'u32'],
  },
  'filters that edit': EDITS,
  [EDITS_BY_XDP]: EDITS,
  'a bridge with VLANs, filters and a tunnel': {
    ports: 4,
    bridge: true,
    vlans: true,
    ip6: true,
    vxlan: true,
    filters: ['flower', 'flower', 'matchall'],
  },
};

/** Kinds of links that a router has beside its ports. */
function linksOf({ vlanLinks, vrf, bridge, vxlan }: Scope): string[] {
  const kinds = { vlan: vlanLinks, vrf, bridge, vxlan };
  return Object.entries(kinds).flatMap(([kind, isThere]) => (isThere ? [kind] : []));
}

let host: Host | undefined;

const xdp =
  (mode: AttachMode): StartOffload =>
  async (arena) => {
    const folder = mkdtempSync(join(tmpdir(), 'ekho-lab-'));
    const options = { netns: arena.router.name, ports: ['p?'], plugin: 'xdp', folder } as const;
    const started = await startHost({ ...options, said: [], more: [`device.device0.mode = "${mode}"`] });
    host = started;
    return {
      settled: () => settled(started),
      close: async () => {
        await started.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  };

test.each(Object.entries(SCOPES))(
  `every packet leaves as from the plain kernel: %s (seed ${SEED})`,
  async (name, scope) => {
    let offloaded = 0;
    const bounds = { routers: RUNS, rounds: 2, changes: 15, packets: 150 };
    const frames = await search(
      xdp(name === EDITS_BY_XDP ? 'generic' : 'auto'),
      { scope, seed: SEED, ...bounds },
      async () => {
        // Commands that a kernel refuses are left out: here it takes them all.
        const links = [...(await host!.rows('link', []))] as { linkinfo?: { info_kind?: string } }[];
        expect(links.map(({ linkinfo }) => linkinfo?.info_kind)).toEqual(
          expect.arrayContaining(linksOf(scope)),
        );
        expect([...(await host!.rows('filter', []))]).not.toEqual([]);
        const { entries } = await host!.stats();
        for (const { entry, packets } of entries) if (/^(route|fdb|filter)/.test(entry)) offloaded += packets;
      },
    );
    // How many there are depends on the seed: with none, nothing was compared.
    expect(frames).toBeGreaterThan(10 * RUNS);
    // Filters may leave little to hardware.
    expect(offloaded).toBeGreaterThan(0);
  },
  300_000 + RUNS * 120_000,
);
