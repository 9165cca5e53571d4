/**
 * Guarantee 2 against the kernel itself: for every packet the hardware does what the kernel would do, or hands the packet
 * to the kernel. Random changes of a router, random sizes of the tables, faults of the device; after each round the
 * hardware's answers are compared with `ip route get`.
 *
 * EKHO_PROPERTY_RUNS raises the number of routers, EKHO_SEED repeats one. A CI run always takes the same routers, so that it
 * tells of the change it runs for; everybody else searches on.
 */
import { afterEach, expect, test } from 'vitest';
import type { LookupAnswer } from '../../host/api/schemas.ts';
import { TestHost } from '../support/host.ts';
import { askKernel, askNeighbours, type KernelAnswer, objection } from '../support/kernel-answer.ts';
import { Random } from '../support/random.ts';
import { host4, host6, macOf, Router } from '../support/router.ts';
import { SEED } from '../support/seed.ts';
import { type Command, type Probe, World } from '../support/world.ts';

const RUNS = Number(process.env.EKHO_PROPERTY_RUNS ?? 3);
const ROUNDS = 8;
const CHANGES = 60;
const PROBES = 240;
const PORTS = 3;
/** Routers that are tried at the most, where those before left nearly everything to the kernel. */
const RUNS_MAX = 3 * RUNS;
/** Lookups asked at the same time. */
const ASKED = 16;

let router: Router | undefined;
let host: TestHost | undefined;

afterEach(async () => {
  await host?.close();
  router?.close();
  host = router = undefined;
});

async function askHardware(probes: readonly Probe[]): Promise<LookupAnswer[]> {
  const answers: LookupAnswer[] = [];
  for (let from = 0; from < probes.length; from += ASKED) {
    const asked = probes.slice(from, from + ASKED).map(({ family: _, ...query }) => host!.lookup(query));
    answers.push(...(await Promise.all(asked)));
  }
  return answers;
}

/** Runs the commands in order, in batches of one family. */
function carryOut(commands: readonly Command[]): string[] {
  const done: string[] = [];
  for (let from = 0; from < commands.length; ) {
    const { family } = commands[from]!;
    let to = from;
    while (to < commands.length && commands[to]!.family === family) to++;
    const lines = commands.slice(from, to).map(({ line }) => line);
    const failed = router!.batch(lines, 'ip', family === undefined ? [] : [`-${family}`]);
    for (const [number, line] of lines.entries()) {
      if (!failed.has(number)) done.push(`ip ${family === undefined ? '' : `-${family} `}${line}`);
    }
    from = to;
  }
  return done;
}

/** Small tables, so that not everything finds room, or large ones. */
function tablesOf(random: Random): Record<string, number> {
  if (random.chance(0.4)) return {};
  return {
    lpm4: random.pick([4, 20, 60, 1000, 1000]),
    lpm6: random.pick([4, 20, 60, 1000, 1000]),
    nexthop: random.pick([4, 12, 100]),
    group: random.pick([3, 12, 100]),
    acl: random.pick([1, 3, 100]),
    'router-interface': random.pick([2, 3, 8, 8]),
    port: random.pick([2, 3, 8, 8]),
  };
}

test(
  `hardware answers as the kernel or traps (seed ${SEED})`,
  async () => {
    const tally = { forward: 0, drop: 0, trap: 0 };
    // Rules and small tables leave most to the kernel; the test below is of what is not left to it.
    const isVacuous = () => tally.forward <= RUNS || tally.drop === 0;
    let run = 0;
    for (; run < RUNS || (isVacuous() && run < RUNS_MAX); run++) {
      const seed = SEED + run;
      const random = new Random(seed);
      const tables = tablesOf(random);
      router = new Router(PORTS);
      host = await TestHost.start({ netns: router.name, tables });
      const world = new World(random, PORTS);
      const history = [`seed ${seed}, tables ${JSON.stringify(tables)}`];
      for (let round = 0; round < ROUNDS; round++) {
        const fault = random.weighted([
          [6, {}],
          [1, { refuse: true }],
          [1, { failEvery: 1 + random.below(6) }],
        ]);
        await host.inject(fault);
        const { commands, settings } = world.changes(CHANGES);
        history.push(`round ${round}: ${JSON.stringify(fault)}`, ...carryOut(commands));
        if (settings.length > 0) {
          router.sysctl(...settings);
          history.push(`sysctl ${settings.join(' ')}`);
        }
        await host.settled();
        // What is refused is not there. What fails may still be as it was: that is told, and tried again.
        if ('failEvery' in fault) {
          await host.inject({ failEvery: 0 });
          await host.until('nothing has failed', async () => {
            const { offload } = await host!.status();
            return offload.every(({ failed, pending }) => failed === 0 && pending === 0);
          });
          await host.settled();
        }
        const probes = world.probes(PROBES);
        const kernel = askKernel(router, probes);
        const neighbours = askNeighbours(router);
        const hardware = await askHardware(probes);
        for (const [number, probe] of probes.entries()) {
          tally[hardware[number]!.action]++;
          const why = objection(probe, kernel[number]!, hardware[number]!, neighbours);
          if (why === undefined) continue;
          expect.fail(report(why, probe, kernel[number]!, hardware[number]!, history));
        }
        await host.inject({ refuse: false });
      }
      const verify = await host.verify();
      expect(verify.differences, `${host.output}${history.join('\n')}`).toEqual([]);
      await host.close();
      router.close();
      host = router = undefined;
    }
    console.log(`seed ${SEED}, ${run} routers: ${JSON.stringify(tally)}`);
    expect(tally.forward, 'packets that the hardware forwards').toBeGreaterThan(RUNS);
    expect(tally.drop, 'packets that the hardware drops').toBeGreaterThan(0);
  },
  60_000 + RUNS_MAX * 60_000,
);

function report(
  why: string,
  probe: Probe,
  kernel: KernelAnswer,
  hardware: LookupAnswer,
  history: readonly string[],
): string {
  const tables = ['-4', '-6'].map((family) => router!.run('ip', [family, 'route', 'show', 'table', 'all']));
  const rules = ['-4', '-6'].map((family) => router!.run('ip', [family, 'rule']));
  return [
    `${why}: ${JSON.stringify(probe)}`,
    `kernel: ${kernel.does}: ${kernel.said}`,
    `hardware: ${JSON.stringify(hardware)}`,
    ...history,
    ...rules,
    ...tables,
    router!.run('ip', ['nexthop']),
    router!.run('ip', ['neigh']),
    host!.output,
  ].join('\n');
}

test('with room for all and resolved gateways, everything is forwarded', async () => {
  router = new Router(PORTS);
  const routes: Command[] = [];
  const probes: Probe[] = [];
  const wanted: string[] = [];
  for (let number = 0; number < 200; number++) {
    const port = number % PORTS;
    const host = 2 + (number % 4);
    // A stranger's packets, by another port than the one they leave by.
    const arrives = `p${(port + 1) % PORTS}`;
    routes.push({ line: `route add 10.${number}.0.0/16 via ${host4(port, host)}` });
    routes.push({ line: `route add 2001:db8:${number + 256}::/48 via ${host6(port, host)}` });
    for (const destination of [`10.${number}.3.4`, `2001:db8:${number + 256}::5`]) {
      const family = destination.includes(':') ? 6 : 4;
      const source = family === 4 ? '192.168.1.1' : '2001:db8:9::9';
      const flow = { family, destination, ipproto: 17, sport: 4000, dport: 5000 } as const;
      probes.push(flow, { ...flow, source, in: arrives });
      const way = `p${port} ${family === 4 ? host4(port, host) : host6(port, host)} ${macOf(port, host)}`;
      wanted.push(way, way);
    }
  }
  carryOut(routes);
  host = await TestHost.start({ netns: router.name });
  const hardware = await askHardware(probes);
  const ways = hardware.map(({ action, by, ways }) =>
    action === 'forward' ? ways.map(({ link, gateway, mac }) => `${link} ${gateway} ${mac}`).join() : by,
  );
  expect(ways).toEqual(wanted);
  const kernel = askKernel(router, probes);
  const neighbours = askNeighbours(router);
  const objections = probes.map((probe, number) =>
    objection(probe, kernel[number]!, hardware[number]!, neighbours),
  );
  expect(objections).toEqual(probes.map(() => undefined));
}, 240_000);
