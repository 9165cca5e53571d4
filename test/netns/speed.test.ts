/**
 * That a route does not cost several times what it does: the CPU time of reading the kernel, and of bringing that into hardware, against a C
 * program that receives the same dump and does nothing with it. CPU time, since the machine may do other things meanwhile; of rounds that
 * take turns the least of each counts, the one that was disturbed least.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KernelSync } from '../../host/kernel/sync.ts';
import { Mirror } from '../../host/mirror/mirror.ts';
import { KIND } from '../../host/mirror/types.ts';
import { openPipeline } from '../bench/peers/pipeline.ts';
import { manyRoutes } from '../support/many-routes.ts';
import { Netns } from '../support/netns.ts';

const ROUTES = 150_000;
const ROUNDS = 4;
/** Times what the C program takes; healthy are 8 and 20, on an idle machine as on one whose cores are all taken. */
const MIRROR_MAX = 20;
const HARDWARE_MAX = 50;

const work = mkdtempSync(join(tmpdir(), 'ekho-speed-'));
let netns: Netns;

beforeAll(async () => {
  execFileSync('cc', ['-O2', '-o', join(work, 'dump'), join(import.meta.dirname, '../bench/dump.c')]);
  netns = new Netns();
  netns.ip('link add p0 type veth peer name far0');
  for (const link of ['p0', 'far0']) netns.ip(`link set ${link} up`);
  netns.ip('addr add 10.0.0.1/16 dev p0');
  netns.ip('neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev p0 nud permanent');
  await manyRoutes(netns.name, ROUTES, '10.0.0.2');
});

afterAll(() => {
  netns?.close();
  rmSync(work, { recursive: true, force: true });
});

/** CPU milliseconds of the C program. */
function receive(): number {
  const line = execFileSync(join(work, 'dump'), [`/run/netns/${netns.name}`], { encoding: 'utf8' });
  const [, routes, cpu_ns] = line.split(' ').map(Number);
  expect(routes).toBeGreaterThanOrEqual(ROUTES);
  return cpu_ns! / 1e6;
}

/** CPU milliseconds of this process and its threads. */
async function cost(run: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** The least that `run` takes, as a multiple of the least that the C program takes. */
async function ratio(run: () => Promise<void>): Promise<number> {
  const limits: number[] = [];
  const costs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    limits.push(receive());
    costs.push(await cost(run));
  }
  return Math.min(...costs) / Math.min(...limits);
}

describe('what a route costs', () => {
  it('the mirror, against receiving it', async () => {
    const measured = await ratio(async () => {
      const mirror = new Mirror();
      const sync = new KernelSync(mirror, { netns: netns.name });
      try {
        await sync.start();
        expect(mirror.count(KIND.route)).toBeGreaterThanOrEqual(ROUTES);
      } finally {
        sync.close();
      }
    });
    console.log(`the mirror takes ${measured.toFixed(1)} times the CPU time of the C program`);
    expect(measured).toBeLessThan(MIRROR_MAX);
  });

  it('mirror, plan and softnic, against receiving it', async () => {
    const measured = await ratio(async () => {
      const pipeline = await openPipeline(netns.name, ROUTES + 1000);
      try {
        expect(pipeline.mirror.count(KIND.route)).toBeGreaterThanOrEqual(ROUTES);
      } finally {
        await pipeline.close();
      }
    });
    console.log(`as far as the ASIC, ${measured.toFixed(1)} times`);
    expect(measured).toBeLessThan(HARDWARE_MAX);
  });
});
