/**
 * A namespace of a guest with two notifiers on it, one on fentry where the kernel has that and one on kprobes: whatever is done, both
 * have to tell the same in the same order. Kernel state is folded from their events and compared with what iproute2 prints.
 */
import { expect } from 'vitest';
import { probe } from '../../bpf/libbpf-ts/src/index.ts';
import type { Rung } from '../../host/kernel/notifier/catalogue.ts';
import { Notifier } from '../../host/kernel/notifier/notifier.ts';
import type { NotifierEvent } from '../../host/kernel/notifier/record.ts';
import { netnsCookie } from '../../host/netlink/syscall.ts';
import { LabSpace } from './support.ts';

/** Kernels before 6.4 have no fentry on arm64. */
export const UPPER: Rung = probe('fentry').status === 'available' ? 'fentry' : 'kprobe';

/** What is the same for everyone who hears of an event. */
function content({
  time: _time,
  cpu: _cpu,
  sequence: _sequence,
  ...rest
}: NotifierEvent): Record<string, unknown> {
  return rest;
}

export class ToldSpace extends LabSpace {
  /** On all rungs, and on kprobes only. */
  readonly notifiers: readonly [Notifier, Notifier];
  readonly #told: readonly [NotifierEvent[], NotifierEvent[]] = [[], []];

  constructor() {
    super();
    const netns = netnsCookie(this.name);
    this.notifiers = [Notifier.open({ netns }), Notifier.open({ netns, rungs: ['kprobe'] })];
  }

  /** The rung of a hook. */
  rung(hook: string): Rung {
    return this.notifiers[0].states().find((state) => state.hook === hook)!.rung;
  }

  /** All events until now. */
  events(): readonly NotifierEvent[] {
    // The upper one is read last: what comes meanwhile, it has too.
    for (const which of [1, 0] as const) {
      this.notifiers[which].drain({ onRecord: (record) => this.#told[which].push(record.toEvent()) });
    }
    return this.#told[0];
  }

  /** Events of a hook or of some names since `from`, a length of events(). */
  since(from: number, ...names: string[]): NotifierEvent[] {
    return this.events()
      .slice(from)
      .filter(({ hook, event }) => names.length === 0 || names.includes(hook) || names.includes(event));
  }

  /** Runs a shell script and gives the events of these hooks or names that came during it. */
  told(script: string, ...names: string[]): NotifierEvent[] {
    const from = this.events().length;
    this.script(script);
    return this.since(from, ...names);
  }

  ifindex(link: string): number {
    return Number(this.json(`ip -j link show ${link}`)[0]!.ifindex);
  }

  /** Names of links by their index. */
  links(): Map<number, string> {
    return new Map(this.json('ip -j link').map(({ ifindex, ifname }) => [Number(ifindex), String(ifname)]));
  }

  /** Fails unless both notifiers told the same, nothing was lost, and no number is missing. */
  agree(): void {
    this.events();
    const [upper, kprobe] = this.#told;
    let missed = 0n;
    for (const [which, notifier] of this.notifiers.entries()) {
      const stats = notifier.stats();
      missed += stats.missed;
      expect({ which, lost: stats.lost, malformed: stats.malformed }).toEqual({
        which,
        lost: stats.missed,
        malformed: 0n,
      });
    }
    // What interrupts a program is kept from that one only.
    if (missed === 0n) {
      expect(kprobe.map(content)).toEqual(upper.slice(0, kprobe.length).map(content));
    }
    for (const numbers of Map.groupBy(upper, ({ cpu }) => cpu).values()) {
      expect(numbers.map(({ sequence }) => sequence)).toEqual(
        Array.from(numbers, (_, index) => BigInt(index)),
      );
    }
  }

  override async end(): Promise<void> {
    for (const notifier of this.notifiers) notifier.close();
    await super.end();
  }
}
