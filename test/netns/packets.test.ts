/** The packet comparison itself: two plain kernels agree; a difference is found, made small and saved. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Arena } from '../packets/arena.ts';
import {
  type Case,
  differencesOf,
  type Offload,
  reportOf,
  type StartOffload,
  shrink,
  Twins,
} from '../packets/compare.ts';
import { Generator, type Scope } from '../packets/generate.ts';
import { search } from '../packets/search.ts';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';

let twins: Twins | undefined;

afterEach(async () => {
  await twins?.close();
  twins = undefined;
});

const nothing: StartOffload = async () => ({ settled: async () => {}, close: async () => {} });

/** "Hardware" that answers wrongly: a route of its own that the other router has not. */
function wrongRoute(route: string): StartOffload {
  return async (arena: Arena): Promise<Offload> => ({
    settled: async () => {
      arena.router.ip(route);
    },
    close: async () => {},
  });
}

const SCOPES: Record<string, Scope> = {
  routing: { ports: 3, ip6: true, rules: true },
  bridging: { ports: 4, bridge: true, ip6: true },
  'VLANs and filters': { ports: 4, bridge: true, filters: ['u32'] },
};

test.each(Object.entries(SCOPES))(`two plain kernels agree: %s (seed ${SEED})`, async (_, scope) => {
  twins = await Twins.start(scope.ports, nothing);
  const generator = new Generator(new Random(SEED), scope);
  const commands = await twins.apply(generator.router(60));
  let frames = 0;
  for (let round = 0; round < 3; round++) {
    const compared = await twins.compare(generator.packets(300));
    const reports = compared.differences.slice(0, 5).map(reportOf);
    expect(reports.join('\n'), commands.join('\n')).toBe('');
    frames += compared.frames;
  }
  expect(frames).toBeGreaterThan(200);
});

test('a router that answers differently is found, and the case made as small as it gets', async () => {
  const generator = new Generator(new Random(SEED), { ports: 3 });
  const commands = [...generator.router(30), 'ip route replace 172.20.0.0/16 via 10.255.1.2 dev p1'];
  const probe = {
    is: 'ip4',
    source: '192.168.7.7',
    destination: '172.20.1.1',
    ttl: 64,
    l4: { is: 'udp' },
  } as const;
  const packet = { port: 0, from: '02:00:00:00:00:02', to: '02:aa:00:00:00:00', body: probe };
  const found = { ports: 3, commands, packets: [...generator.packets(40), packet, ...generator.packets(20)] };
  const wrong = wrongRoute('route replace 172.20.1.0/24 via 10.255.1.3 dev p1');
  const small = await shrink(wrong, found);
  expect(small).toEqual({
    ports: 3,
    commands: [],
    packets: [packet],
  });
  const [difference] = await differencesOf(wrong, small);
  expect(difference!.kernel).toEqual([]);
  expect(difference!.offloaded).toEqual([expect.stringMatching(/^p1: 02000000010302aa00000001/)]);
}, 120_000);

test('what a search finds is saved, and still differs when it is run from its file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-cases-'));
  try {
    // Hosts of 10.255.0.0/24 are behind port 1 to it.
    const wrong = wrongRoute('route replace 10.255.0.0/25 via 10.255.1.3 dev p1');
    const scope = { ports: 2 };
    const bounds = { seed: 1, routers: 1, rounds: 1, changes: 2, packets: 60 };
    await expect(search(wrong, { scope, folder, ...bounds })).rejects.toThrow(`saved as ${folder}`);
    const [name, ...others] = readdirSync(folder);
    expect(others).toEqual([]);
    const saved = JSON.parse(readFileSync(join(folder, name!), 'utf8')) as Case;
    expect(saved).toMatchObject({ ports: 2, commands: [], packets: [{}] });
    expect(saved.packets).toHaveLength(1);
    expect(await differencesOf(wrong, saved)).toHaveLength(1);
    expect(await differencesOf(nothing, saved)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
