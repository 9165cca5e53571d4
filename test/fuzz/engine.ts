/**
 * Tries a target with changed inputs for a while. Inputs that reach code that none reached before are kept and changed further; one
 * that breaks the target's promise is made smaller and handed back.
 */
import type { Random } from '../support/random.ts';
import { Coverage } from './coverage.ts';
import { found } from './found.ts';
import { mutate } from './mutate.ts';

export interface Target {
  readonly name: string;
  /** What reads the input, and what it promises. */
  readonly what: string;
  /** Inputs to begin with. */
  seeds(random: Random): readonly Uint8Array[];
  /** Texts that mean something to it. */
  readonly words?: readonly string[];
  /** Throws when the promise is broken. Depends on nothing but the input. */
  try(input: Uint8Array): void;
}

export interface Finding {
  readonly input: Uint8Array;
  readonly error: Error;
}

export interface Report {
  readonly tries: number;
  /** Inputs that reached something new, those to begin with among them. */
  readonly kept: number;
  readonly blocks: number;
  readonly finding: Finding | undefined;
}

/** Coverage is asked for after so many: asking takes as long as many tries. */
const ROUND = 64;
const KEPT_MAX = 4096;
const SHRINKS_MAX = 2000;
/** An input that takes longer is a finding: nothing of this size may. */
const SLOW_MS = 5000;

export function fuzz(target: Target, random: Random, end: () => boolean): Report {
  const coverage = new Coverage();
  const corpus: Uint8Array[] = [];
  let tries = 0;
  const report = (finding?: Finding): Report => ({
    tries,
    kept: corpus.length,
    blocks: coverage.size,
    finding: finding && { ...finding, input: shrink(target, finding.input) },
  });
  try {
    for (const input of [...found(target.name).map(([, bytes]) => bytes), ...target.seeds(random)]) {
      tries++;
      corpus.push(input);
      const error = attempt(target, input);
      if (error !== undefined) return report({ input, error });
    }
    coverage.take();
    while (!end()) {
      const round = Array.from({ length: ROUND }, () =>
        mutate(random.pick(corpus), corpus, target.words ?? [], random),
      );
      for (const input of round) {
        tries++;
        const error = attempt(target, input);
        if (error !== undefined) return report({ input, error });
      }
      const fresh = coverage.take();
      if (fresh.size > 0) keep(target, round, coverage, fresh, corpus, random);
    }
    return report();
  } finally {
    coverage.close();
  }
}

/** Each of a round is tried again, to find those that reached the blocks that are new. */
function keep(
  target: Target,
  round: readonly Uint8Array[],
  coverage: Coverage,
  fresh: Set<string>,
  corpus: Uint8Array[],
  random: Random,
): void {
  for (const input of round) {
    if (fresh.size === 0) return;
    attempt(target, input);
    if (!coverage.strike(fresh)) continue;
    if (corpus.length < KEPT_MAX) corpus.push(input);
    else corpus[random.below(KEPT_MAX)] = input;
  }
}

function attempt(target: Target, input: Uint8Array): Error | undefined {
  const began = performance.now();
  try {
    target.try(input);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
  const took = performance.now() - began;
  return took > SLOW_MS ? new Error(`took ${Math.round(took)} ms`) : undefined;
}

/** Leaves out what need not be there for the input to break the promise. */
function shrink(target: Target, input: Uint8Array): Uint8Array {
  let best = input;
  let left = SHRINKS_MAX;
  for (let size = best.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at + size <= best.length && left > 0; left--) {
      const less = new Uint8Array(Buffer.concat([best.subarray(0, at), best.subarray(at + size)]));
      if (attempt(target, less) === undefined) at += size;
      else best = less;
    }
  }
  return best;
}
