/** What hardware does with sampled packets against what the kernel does with them. */
import type { LookupAnswer } from '../../host/api/schemas.ts';
import type { TestHost } from '../support/host.ts';
import { askKernel, askNeighbours, objection } from '../support/kernel-answer.ts';
import type { Netns } from '../support/netns.ts';
import type { Probe } from '../support/world.ts';

/** Lookups asked at the same time. */
const ASKED = 16;

/** Packets that the kernel would forward, and those of them that hardware does. */
export interface Forwarded {
  readonly kernel: number;
  readonly hardware: number;
  /** The first that is not forwarded by both. */
  readonly other: string;
}

/** Throws where hardware neither does what the kernel would nor hands the packet to it. */
export async function compare(netns: Netns, host: TestHost, probes: readonly Probe[]): Promise<Forwarded> {
  const kernel = askKernel(netns, probes);
  const neighbours = askNeighbours(netns);
  const hardware = await askHardware(host, probes);
  for (const [number, probe] of probes.entries()) {
    const why = objection(probe, kernel[number]!, hardware[number]!, neighbours);
    if (why === undefined) continue;
    throw new Error(
      `${why}: ${JSON.stringify({ probe, kernel: kernel[number], hardware: hardware[number] })}`,
    );
  }
  const forwarded = probes.map((_, number) => number).filter((at) => kernel[at]!.does === 'forward');
  const isOther = (at: number) => kernel[at]!.does !== 'forward' || hardware[at]!.action !== 'forward';
  const other = probes.findIndex((_, at) => isOther(at));
  return {
    kernel: forwarded.length,
    hardware: forwarded.filter((at) => hardware[at]!.action === 'forward').length,
    other: JSON.stringify([probes[other], kernel[other], hardware[other]]),
  };
}

async function askHardware(host: TestHost, probes: readonly Probe[]): Promise<LookupAnswer[]> {
  const answers: LookupAnswer[] = [];
  for (let from = 0; from < probes.length; from += ASKED) {
    const asked = probes.slice(from, from + ASKED).map(({ family: _, ...query }) => host.lookup(query));
    answers.push(...(await Promise.all(asked)));
  }
  return answers;
}
