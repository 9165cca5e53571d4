/**
 * What the kernel is told of packets that hardware counted for its rules: since a rule was made, while counters are of entries, which
 * live shorter or longer than the rule. What plugins read is not believed further than the kernel can bear it: nothing is told below zero
 * or beyond 64 bits, and less than before is not told on (bpf/firmware.bpf.c).
 */
import type { FirmwareCounter, FirmwareRule } from '../kernel/firmware/firmware.ts';

export interface Count {
  readonly packets: bigint;
  readonly bytes: bigint;
  /** Of the packets, those that a rate dropped. */
  readonly drops: bigint;
}

/** The counter of an entry when it was read before. */
export interface LastCount extends Count {
  /** Of the rule that the entry was for; undefined: of none. */
  readonly id: bigint | undefined;
}

const MAX = 2n ** 64n - 1n;
const NOTHING: Count = { packets: 0n, bytes: 0n, drops: 0n };

export class FirmwareCounts {
  /** What is added to the counter of a rule's entry. */
  readonly #bases = new Map<bigint, Count>();
  /** What was told of a rule last: of thousands of rules few have new packets each time. */
  readonly #told = new Map<bigint, FirmwareCounter>();
  /** Rules of which it may have been lost. */
  readonly #again = new Set<bigint>();

  /**
   * What to tell of a rule; `undefined`: nothing, or nothing new.
   *
   * @param now counter of its entry
   * @param last of the same entry; undefined: it was made since
   * @param drops whether all its packets are dropped
   */
  tell(
    rule: FirmwareRule,
    now: Count,
    last: LastCount | undefined,
    drops: boolean,
  ): FirmwareCounter | undefined {
    const { id } = rule;
    const base = this.#baseOf(rule, now, last);
    const packets = inRange(now.packets + base.packets);
    const dropped = drops ? packets : least(inRange(now.drops + base.drops), packets);
    const before = this.#told.get(id);
    const isNew = packets !== before?.packets || dropped !== before.drops;
    if (packets === 0n || !(isNew || this.#again.has(id))) return undefined;
    const told = { packets, bytes: inRange(now.bytes + base.bytes), drops: dropped };
    this.#told.set(id, told);
    this.#again.delete(id);
    return told;
  }

  /** The rule has no entry any more: what a next one counts is added to what was told. */
  leave(id: bigint): void {
    if (this.#bases.has(id)) this.#bases.set(id, this.#told.get(id) ?? NOTHING);
  }

  forget(id: bigint): void {
    this.#bases.delete(id);
    this.#told.delete(id);
    this.#again.delete(id);
  }

  /** What was told of the rule may have been lost: it is told again. */
  again(id: bigint): void {
    if (this.#told.has(id)) this.#again.add(id);
  }

  /**
   * A rule older than this host had counted what the kernel was told of it, at least, when its entry was read before it was told of
   * here. One that replaced another took over its entry, whose counter goes on: what was told of the other is not its.
   */
  #baseOf({ id, context }: FirmwareRule, now: Count, last: LastCount | undefined): Count {
    let base = this.#bases.get(id);
    if (base !== undefined) return base;
    base = NOTHING;
    if (context.packets > 0n || context.bytes > 0n) {
      const { packets, bytes, drops } = last ?? NOTHING;
      base = {
        packets: inRange(context.packets - packets),
        bytes: inRange(context.bytes - bytes),
        drops: inRange(context.drops - drops),
      };
    } else if (
      last?.id !== undefined &&
      last.id !== id &&
      last.packets <= now.packets &&
      last.bytes <= now.bytes
    )
      base = { packets: -last.packets, bytes: -last.bytes, drops: -last.drops };
    this.#bases.set(id, base);
    return base;
  }
}

function least(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}

function inRange(value: bigint): bigint {
  return value < 0n ? 0n : value > MAX ? MAX : value;
}
