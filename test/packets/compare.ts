/**
 * The same router twice, the same packets through both: one with hardware offload, one that is the plain kernel. What leaves, where
 * it leaves and every byte of it are the same, or the case is made as small as it gets and kept.
 */
import { AnyWay } from './any-way.ts';
import { Arena, type Command, type Seen } from './arena.ts';
import type { Packet } from './frame.ts';

/** What offloads: made beside a router that may be empty still, told when the router has changed. */
export interface Offload {
  /** All changes up to now are in hardware. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export type StartOffload = (arena: Arena) => Promise<Offload>;

/** A router and packets, in an order that matters. As JSON it is a regression test. */
export interface Case {
  readonly ports: number;
  readonly commands: readonly Command[];
  readonly packets: readonly Packet[];
  /** Of a route's gateways a flow may take another one than in the kernel. */
  readonly anyWay?: boolean;
}

export interface Difference {
  readonly packet: Packet;
  readonly kernel: readonly string[];
  readonly offloaded: readonly string[];
}

/** A difference in lines: the packet, then what left of each router. */
export function reportOf({ packet, kernel, offloaded }: Difference): string {
  const lines = (what: string, frames: readonly string[]) =>
    frames.length === 0 ? [`  ${what}: nothing`] : frames.map((frame) => `  ${what}: ${frame}`);
  return [JSON.stringify(packet), ...lines('kernel', kernel), ...lines('offloaded', offloaded)].join('\n');
}

/** Differences looked at again; more than that are more of the same. */
const CONFIRMED_MAX = 10;

/** Longest time a failing case is made smaller, in milliseconds. */
const SHRINK_MS = 150_000;

/** The two routers, alive: rounds of commands and packets may follow each other. */
export class Twins {
  readonly #kernel: Arena;
  readonly #offloaded: Arena;
  readonly #offload: Offload;
  readonly #anyWay: AnyWay | undefined;

  private constructor(kernel: Arena, offloaded: Arena, offload: Offload, anyWay: boolean) {
    this.#kernel = kernel;
    this.#offloaded = offloaded;
    this.#offload = offload;
    this.#anyWay = anyWay ? new AnyWay(kernel) : undefined;
  }

  static async start(ports: number, startOffload: StartOffload, anyWay = false): Promise<Twins> {
    const arenas: Arena[] = [];
    try {
      arenas.push(new Arena(ports));
      arenas.push(new Arena(ports));
      return new Twins(arenas[0]!, arenas[1]!, await startOffload(arenas[1]!), anyWay);
    } catch (error) {
      for (const arena of arenas) arena.close();
      throw error;
    }
  }

  get offloaded(): Arena {
    return this.#offloaded;
  }

  /** Changes both; returns the commands that the kernels took. */
  async apply(commands: readonly Command[]): Promise<Command[]> {
    const took = this.#kernel.apply(commands);
    const alsoTook = this.#offloaded.apply(commands);
    const odd = took.findIndex((done, index) => done !== alsoTook[index]);
    if (odd >= 0) throw new Error(`only one of the two kernels takes: ${commands[odd]}`);
    await this.#offload.settled();
    this.#anyWay?.changed();
    return commands.filter((_, index) => took[index]);
  }

  /**
   * Sends the packets through both; how many frames left the plain kernel, and where the two differ. A kernel under load drops
   * an error message now and then: what differs is sent again by itself, and counts if it differs again.
   */
  async compare(
    packets: readonly Packet[],
  ): Promise<{ readonly frames: number; readonly differences: Difference[] }> {
    const { frames, differences } = await this.#compareOnce(packets);
    const confirmed: Difference[] = [];
    for (const difference of differences.slice(0, CONFIRMED_MAX)) {
      // The kernel learns a station at the packet itself, hardware a moment later.
      await this.#offload.settled();
      const again = await this.#compareOnce([difference.packet]);
      confirmed.push(...again.differences);
    }
    return { frames, differences: confirmed };
  }

  async #compareOnce(packets: readonly Packet[]): Promise<{ frames: number; differences: Difference[] }> {
    const kernel: Seen = await this.#kernel.send(packets);
    const offloaded: Seen = await this.#offloaded.send(packets);
    await this.#offloaded.waitFor(kernel);
    await this.#kernel.waitFor(offloaded);
    const differences = packets.flatMap((packet, number) => {
      const [left, right] = [kernel[number]!, offloaded[number]!];
      const isSame = left.length === right.length && left.every((frame, index) => frame === right[index]);
      return isSame ? [] : [{ packet, kernel: left, offloaded: right }];
    });
    return {
      frames: kernel.reduce((sum, { length }) => sum + length, 0),
      differences: this.#anyWay?.remaining(differences) ?? differences,
    };
  }

  async close(): Promise<void> {
    await this.#offload.close().catch(() => {});
    this.#kernel.close();
    this.#offloaded.close();
  }
}

/** Runs a case on routers of its own. */
export async function differencesOf(startOffload: StartOffload, one: Case): Promise<Difference[]> {
  const twins = await Twins.start(one.ports, startOffload, one.anyWay);
  try {
    await twins.apply(one.commands);
    return (await twins.compare(one.packets)).differences;
  } finally {
    await twins.close();
  }
}

/**
 * A smaller case that still differs: the packets cut down to one where one is enough, then commands left out, half of them
 * at a time at first (delta debugging). Returns the case itself when it does not differ on routers of its own.
 */
export async function shrink(startOffload: StartOffload, found: Case): Promise<Case> {
  const end = performance.now() + SHRINK_MS;
  const differs = async (one: Case): Promise<boolean> =>
    performance.now() < end && (await differencesOf(startOffload, one).catch(() => [])).length > 0;
  let best = found;
  const [first] = await differencesOf(startOffload, found);
  if (first === undefined) return found;
  const alone = { ...found, packets: [first.packet] };
  if (await differs(alone)) best = alone;
  for (const part of ['commands', 'packets'] as const) {
    for (
      let size = Math.ceil(best[part].length / 2);
      size >= 1;
      size = size === 1 ? 0 : Math.ceil(size / 2)
    ) {
      for (let at = 0; at < best[part].length; ) {
        const less = { ...best, [part]: best[part].toSpliced(at, size) };
        if (await differs(less)) best = less;
        else at += size;
      }
    }
  }
  return best;
}
