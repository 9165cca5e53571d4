/** How long each peer takes from its start to all that the kernel has, and how much memory that takes. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { residentOf } from './child.ts';
import type { Kind, Peer, Running } from './peer.ts';
import { pause, untilCount } from './until.ts';
import { World } from './world.ts';

/** Until links that came up are done with what the kernel sends and learns by itself. */
const SETTLE_MS = 5000;
/** What a peer has of an empty namespace is known once it stays the same for this long. */
const STEADY_MS = 1500;
const STEADY_PAUSE_MS = 50;
/** Not tried: what would take as many times the limit, going by a smaller size. */
const HOPELESS = 1.5;
/** Before memory is read: what only a start needs may be given back. */
const REST_MS = 1500;

export interface Start {
  readonly seconds: number;
  /** Of them, what it says that reading took. */
  readonly reading: number | undefined;
  /** Resident, in bytes; 0 where nothing stays. */
  readonly resident: number;
  /** What it had at the end of its time; undefined: all. */
  readonly instead: number | undefined;
}

export interface Loads {
  readonly kind: Kind;
  readonly size: number;
  /** By peer; fewer than rounds where it was not complete in time. */
  readonly starts: ReadonlyMap<Peer, readonly Start[]>;
}

export interface LoadOptions {
  readonly folder: string;
  readonly rounds: number;
  /** Longest that one start may take. */
  readonly limit_ms: number;
  say(line: string): void;
}

/** One kind at each of the sizes, which grow; the first is 0, what a peer takes of an almost empty namespace. */
export async function measureLoads(
  peers: readonly Peer[],
  kind: Kind,
  sizes: readonly number[],
  options: LoadOptions,
): Promise<Loads[]> {
  const world = new World();
  /** What one object took of a start at the last size, in milliseconds. */
  const pace = new Map<Peer, number>();
  try {
    await pause(SETTLE_MS);
    const bases = new Map<Peer, number>();
    for (const peer of peers) bases.set(peer, await baseOf(peer, world, kind, options));
    const all: Loads[] = [];
    let filled = 0;
    for (const size of sizes) {
      await fill(world, kind, filled, size);
      filled = size;
      const starts = new Map<Peer, Start[]>();
      for (let round = 0; round < options.rounds; round++) {
        for (const peer of peers) {
          if ((pace.get(peer) ?? 0) * size > HOPELESS * options.limit_ms) continue;
          const start = await oneStart(peer, world, kind, bases.get(peer)!, size, options);
          starts.set(peer, [...(starts.get(peer) ?? []), start]);
          if (start.instead !== undefined) pace.set(peer, Number.POSITIVE_INFINITY);
          const short = start.instead === undefined ? '' : `, incomplete (${start.instead})`;
          options.say(
            `${kind} ${size}: ${peer.name} ${start.seconds.toFixed(3)} s, ${(start.resident / 1e6).toFixed(1)} MB${short}`,
          );
        }
      }
      for (const [peer, taken] of starts) {
        const shortest = Math.min(...taken.map(({ seconds }) => seconds));
        if (size > 0 && pace.get(peer) !== Number.POSITIVE_INFINITY) pace.set(peer, (shortest * 1000) / size);
      }
      all.push({ kind, size, starts });
    }
    return all;
  } finally {
    world.close();
  }
}

/** Of starts that had all. */
export function complete(starts: readonly Start[] | undefined): readonly Start[] {
  return (starts ?? []).filter(({ instead }) => instead === undefined);
}

/** A pair of links is two of them. */
async function fill(world: World, kind: Kind, from: number, to: number): Promise<void> {
  const per = kind === 'link' ? 2 : 1;
  if (to > from) await world.change({ action: 'add', kind, first: from / per, count: (to - from) / per });
}

/** Starts the peer in a folder of its own, and stops it whatever happens. */
export async function withPeer<T>(
  peer: Peer,
  start: { netns: string; kind: Kind; receiveBuffer?: number; folder: string },
  use: (running: Running, began: number) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(start.folder, 'peer-'));
  chmodSync(folder, 0o711);
  try {
    const began = performance.now();
    const running = await peer.start({ ...start, folder });
    try {
      return await use(running, began);
    } finally {
      await running.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function baseOf(peer: Peer, world: World, kind: Kind, options: LoadOptions): Promise<number> {
  const start = { netns: world.netns.name, kind, folder: options.folder };
  return withPeer(peer, start, async (running) => (await steadyCount(running)).count);
}

/** What it has once that does not change any more, and since when (performance.now()). */
export async function steadyCount(running: Running): Promise<{ count: number; since: number }> {
  let count = await running.count();
  let since = performance.now();
  while (performance.now() - since < STEADY_MS) {
    await pause(STEADY_PAUSE_MS);
    const now = await running.count();
    if (now === count && now >= 0) continue;
    count = now;
    since = performance.now();
  }
  return { count, since };
}

async function oneStart(
  peer: Peer,
  world: World,
  kind: Kind,
  base: number,
  size: number,
  options: LoadOptions,
): Promise<Start> {
  const start = { netns: world.netns.name, kind, folder: options.folder };
  return withPeer(peer, start, async (running, began) => {
    if (!peer.follows) {
      // The end of the list is its end: nothing changes any more.
      const seconds = (performance.now() - began) / 1000;
      const number = await running.count();
      const resident = running.pid === 0 ? 0 : residentOf(running.pid);
      return { seconds, resident, reading: undefined, instead: number >= size ? undefined : number };
    }
    const { milliseconds, instead } = await untilCount(running.count, base + size, began, options.limit_ms);
    await pause(REST_MS);
    return {
      seconds: milliseconds / 1000,
      resident: residentOf(running.pid),
      reading: running.reading,
      instead,
    };
  });
}
