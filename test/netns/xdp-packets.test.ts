/**
 * The XDP data path against the plain kernel, packet by packet: random routers, random packets; what leaves, where, and every byte
 * are the same. A case that differs is made small and printed: kept as a file in test/packets/cases it is run ever after.
 *
 * EKHO_PACKETS_RUNS raises the number of routers, EKHO_SEED repeats one. A CI run always takes the same routers.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Case, differencesOf, reportOf, type StartOffload, shrink, Twins } from '../packets/compare.ts';
import { Generator, type Scope } from '../packets/generate.ts';
import { TestHost } from '../support/host.ts';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';

const CASES = join(import.meta.dirname, '../packets/cases');
const RUNS = Number(process.env.EKHO_PACKETS_RUNS ?? 1);
const ROUNDS = 4;
const CHANGES = 20;
const PACKETS = 250;

const SCOPES: Record<string, Scope> = {
  routing: { ports: 3, ip6: true },
  'routing with rules': { ports: 3, ip6: true, rules: true },
  'routing with filters': { ports: 3, filters: ['u32'] },
  bridging: { ports: 4, bridge: true, ip6: true },
};

let twins: Twins | undefined;
let host: TestHost | undefined;

afterEach(async () => {
  await twins?.close();
  twins = undefined;
});

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

/** Packets that left in hardware, of all ports. */
async function offloaded(): Promise<number> {
  const { entries } = await host!.stats();
  return entries.reduce((sum, { entry, packets }) => (/^(route|fdb)/.test(entry) ? sum + packets : sum), 0);
}

test.each(Object.entries(SCOPES))(
  `every packet leaves as from the plain kernel: %s (seed ${SEED})`,
  async (_, scope) => {
    for (let run = 0; run < RUNS; run++) {
      const generator = new Generator(new Random(SEED + run), scope);
      const pair = await Twins.start(scope.ports, xdp);
      twins = pair;
      const commands: string[] = [];
      let frames = 0;
      for (let round = 0; round < ROUNDS; round++) {
        commands.push(
          ...(await pair.apply(round === 0 ? generator.router(CHANGES * 2) : generator.changes(CHANGES))),
        );
        const packets = generator.packets(PACKETS);
        const { frames: left, differences } = await pair.compare(packets);
        frames += left;
        if (differences.length > 0) {
          const found = { ports: scope.ports, commands, packets };
          await pair.close();
          twins = undefined;
          console.log(
            `seed ${SEED + run}, round ${round}:\n${differences.slice(0, 3).map(reportOf).join('\n')}`,
          );
          expect.fail(JSON.stringify(await shrink(xdp, found), null, 1));
        }
      }
      expect(frames).toBeGreaterThan(50);
      expect(await offloaded()).toBeGreaterThan(20);
      await pair.close();
      twins = undefined;
    }
  },
  300_000 + RUNS * 60_000,
);

test.each(readdirSync(CASES).filter((name) => name.endsWith('.json')))('%s', async (name) => {
  const one = JSON.parse(readFileSync(join(CASES, name), 'utf8')) as Case;
  const differences = await differencesOf(xdp, one);
  expect(differences.map(reportOf).join('\n')).toBe('');
});
