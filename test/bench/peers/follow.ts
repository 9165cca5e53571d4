/** What becomes of peers while the kernel changes: how far behind they are, what they lose, what it costs them. */
import { cpuOf } from './child.ts';
import { steadyCount, withPeer } from './load.ts';
import type { Peer, Running } from './peer.ts';
import { pause, untilCount } from './until.ts';
import { GATEWAYS, SECOND_GATEWAY, World } from './world.ts';

const SETTLE_MS = 5000;
/** Route numbers that are changed begin here; those below stay. */
const MOVING = 4_000_000;
/** What counts notifications has those that it gets by then: what is lost does not come back. */
const EVENTS_MS = 10_000;
/** A peer rests that took no more CPU seconds than that for so long: what runs now and then takes some. */
const REST_MS = 1000;
const REST_CPU_S = 0.03;
const REST_PAUSE_MS = 100;
/** Routes of each writer that are left where they were moved: as many by each gateway. */
const STAYING = 20 * GATEWAYS;
/** Of sockets, where they are to overrun. */
const SMALL_BUFFER = 90_000;

export interface Outcome {
  /** From the end of the changes until it was right, in seconds. */
  readonly behind: number;
  /** What it had instead at the end of its time, from what it should; undefined: it was right. */
  readonly off: number | undefined;
  /** What was wrong though the number was right. */
  readonly difference: string | undefined;
  /** How it ended by itself. */
  readonly end: string | undefined;
  /** CPU seconds of 100,000 changes; NaN: not measured, or it never rested. */
  readonly cpu: number;
  /** Seconds that its start took, and of them reading by its own account. */
  readonly start: number;
  readonly reading: number | undefined;
}

export interface FollowOptions {
  readonly folder: string;
  readonly rounds: number;
  readonly limit_ms: number;
  say(line: string): void;
}

export interface Scenario {
  readonly name: string;
  /** Routes that are there before. */
  readonly base: number;
  readonly receiveBuffer?: number;
  /** All of it is announced, and how many routes more there are is known; else that is what a peer says that starts then. */
  readonly isAnnounced: boolean;
  /** What must be there before, beside `base`. */
  prepare?(world: World): Promise<void>;
  /** The changes are made once more before, for the CPU time they take a peer that nobody asks. */
  readonly isTimed?: boolean;
  /** Makes the changes. */
  act(world: World, pid: number): Promise<Acted>;
  /** Makes it as it was before `act`. */
  undo(world: World): Promise<void>;
}

export interface Acted {
  /** Announced or not. */
  readonly changes: number;
  /** Routes more than before, where it is known. */
  readonly more: number;
  /** Routes by SECOND_GATEWAY, by which there are no others; absent: none moved. */
  readonly moved?: number;
  /** The end, by performance.now(). */
  readonly ended: number;
}

/**
 * Adds, replaces by a route over another port and deletes `count` routes, shared by the writers, as fast as the kernel takes them; then adds one
 * more. A few of those replaced stay.
 */
export function churn(base: number, count: number, writers: number): Scenario {
  const each = Math.floor(count / writers);
  return {
    name: writers === 1 ? 'one writer' : `${writers} writers`,
    base,
    isAnnounced: true,
    isTimed: true,
    async act(world) {
      const write = async (writer: number) => {
        const range = { kind: 'route4', first: MOVING + writer * each, count: each } as const;
        await world.change({ action: 'add', ...range });
        await world.change({ action: 'replace', port: 'p1', ...range });
        await world.change({ action: 'delete', port: 'p1', ...range, count: each - STAYING });
      };
      await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
      await world.change({ action: 'add', kind: 'route4', first: MOVING - 1, count: 1 });
      const ended = performance.now();
      const staying = STAYING * writers;
      return {
        changes: each * writers * 3 - staying + 1,
        more: staying + 1,
        moved: staying / GATEWAYS,
        ended,
      };
    },
    undo: async (world) => {
      for (let writer = 1; writer <= writers; writer++) {
        const staying = { kind: 'route4', first: MOVING + writer * each - STAYING, count: STAYING } as const;
        await world.change({ action: 'delete', port: 'p1', ...staying });
      }
      await world.change({ action: 'delete', kind: 'route4', first: MOVING - 1, count: 1 });
    },
  };
}

/** While the peer stands still, more changes than its socket has room for. */
export function overrun(base: number, count: number): Scenario {
  const gone = { kind: 'route4', first: 0, count } as const;
  const come = { kind: 'route4', first: MOVING, count: count - 1 } as const;
  return {
    name: 'overrun',
    base,
    receiveBuffer: SMALL_BUFFER,
    isAnnounced: true,
    async act(world, pid) {
      process.kill(pid, 'SIGSTOP');
      try {
        await world.change({ action: 'delete', ...gone });
        await world.change({ action: 'add', ...come });
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      return { changes: count * 2 - 1, more: -1, ended: performance.now() };
    },
    async undo(world) {
      await world.change({ action: 'delete', ...come });
      await world.change({ action: 'add', ...gone });
    },
  };
}

/** A link goes down, and the kernel removes the routes over it without a word. */
export function linkDown(base: number, count: number): Scenario {
  const lost = { kind: 'route4', first: MOVING, count, port: 'p1' } as const;
  return {
    name: 'link down',
    base,
    isAnnounced: false,
    prepare: async (world) => {
      await world.change({ action: 'add', ...lost });
    },
    async act(world) {
      const before = lines(world);
      world.netns.ip('link set p1 down');
      const ended = performance.now();
      return { changes: before - lines(world), more: Number.NaN, ended };
    },
    async undo(world) {
      world.netns.ip('link set p1 up');
      world.restore('p1');
      await world.change({ action: 'add', ...lost });
    },
  };
}

/** What the kernel shows of IPv4 routes in the main table. */
function lines(world: World): number {
  return world.netns.ip('-4 route show').split('\n').length - 1;
}

export async function measureFollowing(
  peers: readonly Peer[],
  scenario: Scenario,
  options: FollowOptions,
): Promise<Map<Peer, Outcome[]>> {
  const world = new World();
  const outcomes = new Map<Peer, Outcome[]>();
  try {
    if (scenario.base > 0)
      await world.change({ action: 'add', kind: 'route4', first: 0, count: scenario.base });
    await scenario.prepare?.(world);
    await pause(SETTLE_MS);
    for (let round = 0; round < options.rounds; round++) {
      for (const peer of peers) {
        if (peer.countsEvents === true && !scenario.isAnnounced) continue;
        const wanted = scenario.isAnnounced ? undefined : await fresh(peer, world, scenario, options);
        const outcome = await oneOutcome(peer, world, scenario, wanted, options);
        outcomes.set(peer, [...(outcomes.get(peer) ?? []), outcome]);
        const { behind, off, difference, cpu, end } = outcome;
        const took = Number.isNaN(cpu) ? '' : `, ${cpu.toFixed(3)} CPU s per 100k`;
        const short = off === undefined ? '' : `, off by ${off}`;
        const how = difference === undefined ? short : `, wrong: ${difference}`;
        options.say(
          `${scenario.name}: ${peer.name} ${behind.toFixed(3)} s behind${took}${how}${end === undefined ? '' : `, ended: ${end.slice(0, 200)}`}`,
        );
      }
    }
    return outcomes;
  } finally {
    world.close();
  }
}

/** What the peer has when it starts after the changes. */
async function fresh(peer: Peer, world: World, scenario: Scenario, options: FollowOptions): Promise<number> {
  await scenario.act(world, process.pid);
  try {
    const start = { netns: world.netns.name, kind: 'route4' as const, folder: options.folder };
    return await withPeer(peer, start, async (running) => (await steadyCount(running)).count);
  } finally {
    await scenario.undo(world);
  }
}

/** It has what the kernel has, as far as it was asked. */
export function isRight({ off, difference, end }: Outcome): boolean {
  return off === undefined && difference === undefined && end === undefined;
}

async function oneOutcome(
  peer: Peer,
  world: World,
  scenario: Scenario,
  counted: number | undefined,
  options: FollowOptions,
): Promise<Outcome> {
  const { receiveBuffer } = scenario;
  const start = {
    netns: world.netns.name,
    kind: 'route4' as const,
    folder: options.folder,
    ...(receiveBuffer !== undefined && { receiveBuffer }),
  };
  return withPeer(peer, start, async (running, began) => {
    const { count: base, since } = await steadyCount(running);
    const cpu = scenario.isTimed === true ? await unaskedCpu(running, world, scenario, options) : Number.NaN;
    const heard = peer.countsEvents === true ? await running.count() : 0;
    const { changes, more, moved, ended } = await scenario.act(world, running.pid);
    try {
      const wanted = peer.countsEvents === true ? heard + changes : (counted ?? base + more);
      const limit_ms = peer.countsEvents === true ? EVENTS_MS : options.limit_ms;
      const reached = await untilCount(running.count, wanted, ended, limit_ms).catch(() => undefined);
      const instead = reached?.instead;
      const isAll = reached !== undefined && instead === undefined;
      return {
        difference: isAll ? await differenceOf(running, moved) : undefined,
        behind: (reached?.milliseconds ?? Number.NaN) / 1000,
        off: reached === undefined ? wanted : instead === undefined ? undefined : instead - wanted,
        end: reached === undefined ? (running.end ?? 'it closed its socket') : undefined,
        cpu,
        start: (since - began) / 1000,
        reading: running.reading,
      };
    } finally {
      await scenario.undo(world);
    }
  });
}

/** What is wrong in what a peer has that has as many as it should. */
async function differenceOf(running: Running, moved: number | undefined): Promise<string | undefined> {
  if (moved !== undefined && running.by !== undefined) {
    const number = await running.by(SECOND_GATEWAY);
    if (number !== moved) return `${number} of ${moved} replaced routes by their new gateway`;
  }
  return running.difference?.();
}

/**
 * CPU seconds of 100,000 changes: makes them, and looks from outside until the peer rests. To ask it how far it is would cost it time, and
 * those that are asked longer, more of it.
 */
async function unaskedCpu(
  running: Running,
  world: World,
  scenario: Scenario,
  { limit_ms }: FollowOptions,
): Promise<number> {
  const before = cpuOf(running.pid);
  const { changes, ended } = await scenario.act(world, running.pid);
  let [resting, since] = [cpuOf(running.pid), performance.now()];
  while (running.end === undefined && performance.now() - since < REST_MS) {
    if (performance.now() - ended > limit_ms) {
      resting = Number.NaN;
      break;
    }
    await pause(REST_PAUSE_MS);
    if (running.end !== undefined) break;
    const now = cpuOf(running.pid);
    if (now - resting > REST_CPU_S) [resting, since] = [now, performance.now()];
  }
  await scenario.undo(world);
  await pause(REST_PAUSE_MS);
  return running.end === undefined ? ((resting - before) / changes) * 100_000 : Number.NaN;
}
