/**
 * The ladder: each hook on the highest rung that the kernel grants. What the kernel's types already rule out is not tried; what
 * it then refuses to load or attach makes the hook fall one rung, and all is loaded anew.
 */

import { readFileSync } from 'node:fs';
import {
  BpfError,
  type BpfObject,
  Btf,
  type Feature,
  type Link,
  type Program,
  probe,
} from '../../../bpf/libbpf-ts/src/index.ts';
import {
  HOOKS,
  type HookEntry,
  type ProgramEntry,
  programName,
  programsOn,
  RUNGS,
  type Rung,
} from './catalogue.ts';

export interface HookState {
  readonly hook: string;
  readonly rung: Rung;
  /** The kernel's functions or tracepoints it stands on. */
  readonly target?: string;
  /** Names of the events it gives on this rung. */
  readonly events: readonly string[];
  /** Why not a higher rung. */
  readonly reason?: string;
}

export interface Attached {
  readonly object: BpfObject;
  readonly programs: readonly Program[];
  readonly links: readonly Link[];
}

const FEATURES: Readonly<Record<Exclude<Rung, 'none'>, Feature>> = {
  fentry: 'fentry',
  kprobe: 'kprobe',
  tp_btf: 'tp_btf',
  raw_tp: 'raw_tracepoint',
};

/** Why a rung cannot be had: known once for all hooks, or of one program. */
class Obstacles {
  readonly #allowed: readonly Rung[];
  readonly #features = new Map<Rung, string | undefined>();
  readonly #programs = new Map<string, string>();
  #symbols: string | undefined;

  constructor(allowed: readonly Rung[]) {
    this.#allowed = allowed;
  }

  block(program: string, reason: string): void {
    this.#programs.set(program, reason);
  }

  blocked(program: string): boolean {
    return this.#programs.has(program);
  }

  ofHook(hook: HookEntry, rung: Exclude<Rung, 'none'>): string | undefined {
    const programs = programsOn(hook, rung);
    if (programs.length === 0) return 'the kernel has no tracepoint for it';
    const feature = this.#ofRung(rung);
    if (feature !== undefined) return feature;
    for (const program of programs) {
      const reason = this.#ofProgram(hook, program, rung);
      if (reason !== undefined) return reason;
    }
    return undefined;
  }

  #ofRung(rung: Exclude<Rung, 'none'>): string | undefined {
    if (!this.#allowed.includes(rung)) return 'not asked for';
    if (!this.#features.has(rung)) {
      const answer = probe(FEATURES[rung]);
      this.#features.set(rung, answer.status === 'available' ? undefined : answer.why);
    }
    return this.#features.get(rung);
  }

  #ofProgram(hook: HookEntry, program: ProgramEntry, rung: Exclude<Rung, 'none'>): string | undefined {
    const refused = this.#programs.get(programName(program, rung));
    if (refused !== undefined) return refused;
    const { target } = program;
    if (rung === 'tp_btf' || rung === 'raw_tp') {
      const known = Btf.vmlinux().find(`btf_trace_${target}`, 'typedef') !== undefined;
      return known ? undefined : `the kernel has no tracepoint ${target}`;
    }
    // Functions that the compiler changed the arguments of are left out of BTF.
    if (Btf.vmlinux().hasFunction(target)) return undefined;
    if (this.#hasSymbol(target)) return `${target} is not in the kernel's BTF`;
    const option = hook.option === undefined ? '' : ` (${hook.option})`;
    return `the kernel has no function ${target}${option}`;
  }

  #hasSymbol(name: string): boolean {
    this.#symbols ??= kernelSymbols();
    return this.#symbols.includes(` T ${name}\n`) || this.#symbols.includes(` t ${name}\n`);
  }
}

/** Lines of address, type and name; empty where it cannot be read. */
function kernelSymbols(): string {
  try {
    return readFileSync('/proc/kallsyms', 'latin1');
  } catch {
    return '';
  }
}

interface Plan {
  readonly states: readonly HookState[];
  /** Names of the BPF functions to load. */
  readonly programs: ReadonlySet<string>;
}

function planned(obstacles: Obstacles): Plan {
  const programs = new Set<string>();
  const states = HOOKS.map((hook): HookState => {
    // Rungs by what is in their way.
    const reasons = new Map<string, Rung[]>();
    const reason = () => [...reasons].map(([why, rungs]) => `${rungs.join(', ')}: ${why}`).join('; ');
    for (const rung of RUNGS) {
      if (rung === 'none') break;
      const why = obstacles.ofHook(hook, rung);
      if (why !== undefined) {
        reasons.set(why, [...(reasons.get(why) ?? []), rung]);
        continue;
      }
      const chosen = programsOn(hook, rung);
      for (const program of chosen) programs.add(programName(program, rung));
      const target = chosen.map((program) => program.target).join(', ');
      const events = [...new Set(chosen.flatMap((program) => program.events))];
      return {
        hook: hook.name,
        rung,
        target,
        events,
        ...(reasons.size > 0 && { reason: reason() }),
      };
    }
    return { hook: hook.name, rung: 'none', events: [], reason: reason() };
  });
  return { states, programs };
}

/** All hooks on none, for one reason. */
export function nothingAttached(reason: string): readonly HookState[] {
  return HOOKS.map(({ name }) => ({ hook: name, rung: 'none', events: [], reason }));
}

/**
 * Loads and attaches; nothing is loaded where every hook is on none. `open` gives the object, not yet loaded and adjusted as
 * wanted. @throws BpfError when nothing can be loaded at all: no libbpf, no BTF
 */
export function climb(
  open: () => BpfObject,
  allowed: readonly Rung[],
): { readonly states: readonly HookState[]; readonly attached: Attached | undefined } {
  const obstacles = new Obstacles(allowed);
  // Every round rules out a program at least.
  for (;;) {
    const { states, programs } = planned(obstacles);
    if (programs.size === 0) return { states, attached: undefined };
    const object = open();
    const links: Link[] = [];
    try {
      for (const name of object.programNames) object.program(name).setAutoload(programs.has(name));
      load(object, programs, obstacles);
      for (const name of programs) links.push(attach(object, name, obstacles));
      return {
        states,
        attached: { object, programs: [...programs].map((name) => object.program(name)), links },
      };
    } catch (error) {
      for (const link of links) link.close();
      object.close();
      if (!(error instanceof Refused)) throw error;
    }
  }
}

/** A program was ruled out: plan anew. */
class Refused extends Error {}

function load(object: BpfObject, programs: ReadonlySet<string>, obstacles: Obstacles): void {
  try {
    object.load();
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    const culprit =
      error.verifier?.program ??
      [...programs].find((name) => error.messages.some((line) => line.includes(`'${name}'`)));
    if (culprit === undefined || !programs.has(culprit)) throw error;
    rule(culprit, error, obstacles);
  }
}

function attach(object: BpfObject, name: string, obstacles: Obstacles): Link {
  try {
    return object.program(name).attach();
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return rule(name, error, obstacles);
  }
}

function rule(program: string, error: BpfError, obstacles: Obstacles): never {
  if (obstacles.blocked(program)) throw error;
  obstacles.block(program, error.message);
  throw new Refused();
}
