/**
 * The search for a router on which offload and plain kernel differ: random routers, some rounds of changes to each, packets after
 * each round. What differs is made small and saved in test/packets/cases, where it is run ever after.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Random } from '../support/random.ts';
import type { Command } from './arena.ts';
import { type Case, reportOf, type StartOffload, shrink, Twins } from './compare.ts';
import { Generator, type Scope } from './generate.ts';
import { GROUP_PORTS, GroupGenerator, type GroupScope } from './groups.ts';
import { TUNNEL_PORTS, TunnelGenerator, type TunnelScope } from './tunnels.ts';

/** Cases that differed once. */
export const CASES = join(import.meta.dirname, 'cases');

/** Commands of a kind, one of which at least a kernel takes. */
const OFTEN = 6;

export interface Search {
  /** Of routers, or of bridges with tunnels, or with multicast groups. */
  readonly scope: Scope | { readonly tunnels: TunnelScope } | { readonly groups: GroupScope };
  readonly seed: number;
  readonly routers: number;
  readonly rounds: number;
  /** Changes a round; the first has twice as many. */
  readonly changes: number;
  /** Packets a round. */
  readonly packets: number;
  /** Where a case that differs is saved: test/packets/cases. */
  readonly folder?: string;
}

/** Fails with the smallest case found that differs, and saves it. Calls `sent` before each router's end; returns how many frames left the kernel. */
export async function search(
  start: StartOffload,
  { scope, seed, routers, rounds, changes, packets: many, folder = CASES }: Search,
  sent: () => Promise<void> = async () => {},
): Promise<number> {
  let frames = 0;
  const asked = new Map<string, number>();
  const taken = new Map<string, number>();
  for (let run = 0; run < routers; run++) {
    const random = new Random(seed + run);
    const { generator, ports, anyWay } = worldOf(random, scope);
    const twins = await Twins.start(ports, start, anyWay);
    let found: Case | undefined;
    try {
      const commands: string[] = [];
      for (let round = 0; round < rounds && found === undefined; round++) {
        const wanted = round === 0 ? generator.router(changes * 2) : generator.changes(changes);
        const took = await twins.apply(wanted);
        commands.push(...took);
        count(asked, wanted);
        count(taken, took);
        const packets = generator.packets(many);
        const { frames: left, differences } = await twins.compare(packets);
        frames += left;
        if (differences.length === 0) continue;
        found = { ports, commands, packets, anyWay };
        const reports = differences.slice(0, 3).map(reportOf);
        console.log(`seed ${seed + run}, round ${round}:\n${reports.join('\n')}`);
      }
      await sent();
    } finally {
      await twins.close();
    }
    if (found === undefined) continue;
    const text = JSON.stringify(await shrink(start, found), null, 2);
    const file = join(folder, `seed-${seed + run}.json`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, `${text}\n`);
    expect.fail(`saved as ${file}:\n${text}`);
  }
  // What a kernel never takes is not tested.
  for (const [what, times] of asked)
    if (times >= OFTEN) expect(taken.get(what) ?? 0, what).toBeGreaterThan(0);
  return frames;
}

function worldOf(random: Random, scope: Search['scope']) {
  if ('tunnels' in scope)
    return { generator: new TunnelGenerator(random, scope.tunnels), ports: TUNNEL_PORTS, anyWay: false };
  if ('groups' in scope)
    return { generator: new GroupGenerator(random, scope.groups), ports: GROUP_PORTS, anyWay: false };
  return { generator: new Generator(random, scope), ports: scope.ports, anyWay: scope.multipath === true };
}

/** Counts commands by what they are about, `tc filter`. */
function count(counts: Map<string, number>, commands: readonly Command[]): void {
  for (const command of commands) {
    const what = command.split(' ', command.startsWith('sysctl') ? 1 : 2).join(' ');
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
}
