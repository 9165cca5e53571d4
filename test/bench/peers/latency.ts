/** From the write into the kernel to the answer that the device has it: single routes at a steady pace, and a nexthop under many. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENTRY_KIND } from '../../../host/plugin/records.ts';
import { startStamping } from './c-loop.ts';
import { type Answered, openPipeline, type Pipeline } from './pipeline.ts';
import { pause } from './until.ts';
import { World } from './world.ts';

/** Not counted: the first, while everything warms up. */
const WARM_SHARE = 0.2;
/** Longest that an answer is waited for. */
const LIMIT_MS = 120_000;
const NEXTHOP = 1;
/** Number of the first route. */
const FIRST = 0;

export interface Latency {
  /** Changes a second: wanted, and as the kernel took them. */
  readonly wanted: number;
  readonly pace: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** Adds routes at each pace for some seconds, which then stay: handles of deleted ones would come back in another order. */
export async function measureLatencies(
  folder: string,
  paces: readonly number[],
  seconds: number,
  rounds: number,
  say: (line: string) => void,
): Promise<Latency[][]> {
  const world = new World();
  try {
    const all = paces.reduce((sum, pace) => sum + pace * seconds * rounds, 0);
    const pipeline = await openPipeline(world.netns.name, all + 1000);
    let first = FIRST;
    try {
      const latencies: Latency[][] = paces.map(() => []);
      for (let round = 0; round < rounds; round++) {
        for (const [at, pace] of paces.entries()) {
          const latency = await oneLatency(folder, world, pipeline, pace, first, pace * seconds);
          first += pace * seconds;
          say(told(latency));
          latencies[at]!.push(latency);
        }
      }
      return latencies;
    } finally {
      await pipeline.close();
    }
  } finally {
    world.close();
  }
}

/** Waits until `isDone` after each answer. */
function answers(pipeline: Pipeline, isDone: (answered: Answered) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not answered within ${LIMIT_MS} ms`)), LIMIT_MS);
    pipeline.onAnswer = (answered) => {
      if (!isDone(answered)) return;
      clearTimeout(timer);
      pipeline.onAnswer = undefined;
      resolve();
    };
  });
}

async function oneLatency(
  folder: string,
  world: World,
  pipeline: Pipeline,
  pace: number,
  first: number,
  changes: number,
): Promise<Latency> {
  const stamps = join(folder, 'stamps');
  const answeredAt = new Float64Array(changes);
  let answered = 0;
  const done = answers(pipeline, ({ handles, count, time }) => {
    // New routes go out in the order they came.
    for (let place = 0; place < count && answered < changes; place++)
      if (handles[place]! >>> 28 === ENTRY_KIND.route + 1) answeredAt[answered++] = time;
    return answered === changes;
  });
  const took = await world.change({ action: 'add', kind: 'route4', first, count: changes, pace, stamps });
  await done;
  const latency = latencyOf(readStamps(stamps), answeredAt, pace, took);
  await pipeline.settled();
  return latency;
}

/** The C loop's, at the same paces: what the kernel and the machine take of each. */
export async function measureLoopLatencies(
  folder: string,
  paces: readonly number[],
  seconds: number,
  rounds: number,
  say: (line: string) => void,
): Promise<Latency[][]> {
  const world = new World();
  const stamps = join(folder, 'stamps');
  const arrivals = join(folder, 'arrivals');
  try {
    const latencies: Latency[][] = paces.map(() => []);
    let first = FIRST;
    for (let round = 0; round < rounds; round++) {
      for (const [at, pace] of paces.entries()) {
        const count = pace * seconds;
        const loop = await startStamping(world.netns.name, arrivals);
        try {
          const took = await world.change({ action: 'add', kind: 'route4', first, count, pace, stamps });
          first += count;
          for (
            const until = Date.now() + LIMIT_MS;
            (await loop.ask('count', 'events')) < count;
            await pause(20)
          )
            if (Date.now() > until) throw new Error(`the C loop heard fewer than ${count} changes`);
          const latency = latencyOf(readStamps(stamps), readStamps(arrivals).subarray(0, count), pace, took);
          say(`C loop ${told(latency)}`);
          latencies[at]!.push(latency);
        } finally {
          await loop.stop();
        }
      }
    }
    return latencies;
  } finally {
    world.close();
  }
}

function told({ wanted, pace, p50, p99, p999 }: Latency): string {
  const [half, most, all] = [p50, p99, p999].map((value) => value.toFixed(3));
  return `${wanted}/s (${pace.toFixed(0)}): p50 ${half} ms, p99 ${most} ms, p99.9 ${all} ms`;
}

/** Nanoseconds as programs wrote them. */
function readStamps(file: string): Float64Array {
  const bytes = readFileSync(file);
  return Float64Array.from(new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 3), Number);
}

/** @param took milliseconds that all changes took */
function latencyOf(written: Float64Array, heard: Float64Array, wanted: number, took: number): Latency {
  const latencies = written.map((time, at) => (heard[at]! - time) / 1e6);
  if (latencies.some((latency) => !(latency >= 0))) throw new Error('routes were answered in another order');
  const sorted = latencies.subarray(Math.floor(latencies.length * WARM_SHARE)).toSorted();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return { wanted, pace: (latencies.length / took) * 1000, p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}

export interface NexthopFailure {
  readonly routes: number;
  /** Milliseconds from the replacement to the answer that the device has the new nexthop. */
  readonly milliseconds: readonly number[];
  /** And with net.ipv4.nexthop_compat_mode=1, in which the kernel announces every route again. */
  readonly compat: readonly number[];
}

/** One nexthop object under many routes goes from one gateway to another and back. */
export async function measureNexthop(
  folder: string,
  routes: number,
  rounds: number,
  say: (line: string) => void,
): Promise<NexthopFailure> {
  const world = new World();
  try {
    world.netns.ip(`nexthop add id ${NEXTHOP} via 10.0.0.2 dev p0`);
    await world.change({ action: 'add', kind: 'route4', first: 0, count: routes, nexthop: NEXTHOP });
    const pipeline = await openPipeline(world.netns.name, routes + 1000);
    const times: Record<0 | 1, number[]> = { 0: [], 1: [] };
    let port: 'p0' | 'p1' = 'p0';
    try {
      for (let round = 0; round < rounds * 2; round++) {
        for (const compat of [0, 1] as const) {
          world.netns.sysctl(`net.ipv4.nexthop_compat_mode=${compat}`);
          port = port === 'p0' ? 'p1' : 'p0';
          times[compat].push(await oneFailure(folder, world, pipeline, port));
          say(`nexthop under ${routes}, compat ${compat}: ${times[compat].at(-1)!.toFixed(3)} ms`);
          await pipeline.settled();
          await pause(500);
        }
      }
    } finally {
      await pipeline.close();
    }
    return { routes, milliseconds: times[0], compat: times[1] };
  } finally {
    world.close();
  }
}

async function oneFailure(
  folder: string,
  world: World,
  pipeline: Pipeline,
  port: 'p0' | 'p1',
): Promise<number> {
  const stamps = join(folder, 'stamps');
  let time = 0;
  // The group of the object points to other hardware: that is the one change under all routes.
  const done = answers(pipeline, (answered) => {
    for (let place = 0; place < answered.count; place++)
      if (answered.handles[place]! >>> 28 === ENTRY_KIND.group + 1) time = answered.time;
    return time > 0;
  });
  await world.change({ action: 'replace', kind: 'nexthop', first: NEXTHOP, count: 1, port, stamps });
  await done;
  return (time - Number(readFileSync(stamps).readBigInt64LE(0))) / 1e6;
}
