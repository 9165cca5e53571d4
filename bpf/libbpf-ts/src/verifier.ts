/** What the verifier said, made from its log: which program, where, why. */

export type VerifierKind =
  | 'null-check'
  | 'out-of-bounds'
  | 'uninitialized'
  | 'type'
  | 'helper'
  | 'reference'
  | 'loop'
  | 'too-complex'
  | 'stack'
  | 'relocation'
  | 'other';

export interface VerifierReport {
  /** Name of the program that was rejected. */
  readonly program: string;
  readonly kind: VerifierKind;
  /** The verifier's own last words, e.g. `R1 invalid mem access 'map_value_or_null'`. */
  readonly reason: string;
  /** Index of the instruction it was looking at. */
  readonly instruction: number | undefined;
  /** The line of C, where the object carries line information. */
  readonly source: string | undefined;
  /** File and line of it, where the kernel prints them (since 6.8), else undefined. */
  readonly location: string | undefined;
  readonly log: string;
}

/** First match wins: the more specific stand before the more general. */
const KINDS: readonly (readonly [RegExp, VerifierKind])[] = [
  [/invalid func unknown#195896080|CO-RE relo/i, 'relocation'],
  [/_or_null'|possibly NULL|NULL pointer/i, 'null-check'],
  [/Unreleased reference|reference leak|unlock|lock held|would lead to reference/i, 'reference'],
  [/infinite loop|back-edge|loop is too long|sequence of \d+ jumps is too complex/i, 'loop'],
  [/too (?:large|complex|many)|BPF program is too|complexity limit/i, 'too-complex'],
  [/stack/i, 'stack'],
  [
    /outside of|out of bounds|max value|min value|invalid access to|unbounded|exceeds|negative|invalid size|math between/i,
    'out-of-bounds',
  ],
  [/!read_ok|uninit/i, 'uninitialized'],
  [/unknown func|helper|kfunc|calling kernel function|cannot call|program of this type/i, 'helper'],
  [/type=|invalid mem access|expected=|has no valid|pointer|arithmetic|leads to/i, 'type'],
];

const SUMMARY = /^(?:processed \d+ insns|verification time|stack depth|max_states|peak_states|mark_read)/;
const INSTRUCTION = /^(?:from \d+ to )?(\d+): (?:\([0-9a-f]{2}\)|R\d)/;
const CONTEXT =
  /^(?:;|(?:cur|old) state:|func#|last_idx|regs=|parent |BPF_END|arg#|mark_precise|\s*$|R\d+(?:_[rw]+)?=|from \d+ to \d+)/;
const LOG = /prog '([^']+)': -- BEGIN PROG LOAD LOG --\n([\s\S]*?)-- END PROG LOAD LOG --/g;

/** Reads one program's verifier log (`verbose()` output of kernel/bpf/verifier.c). */
export function parseVerifierLog(program: string, log: string): VerifierReport {
  const lines = log.split('\n');
  let instruction: number | undefined;
  let source: string | undefined;
  let location: string | undefined;
  let reason = '';
  for (const line of lines) {
    const at = INSTRUCTION.exec(line);
    if (at !== null) {
      instruction = Number(at[1]);
    } else if (line.startsWith('; ')) {
      // `; code @ file.c:12` since 6.8, `; code` before.
      const split = /^; (.*?)(?: @ (\S+:\d+))?$/.exec(line);
      source = split?.[1];
      location = split?.[2];
    } else if (!SUMMARY.test(line) && !CONTEXT.test(line)) {
      reason = line.trim();
    }
  }
  const kind = KINDS.find(([pattern]) => pattern.test(reason))?.[1] ?? 'other';
  const relocation = kind !== 'relocation' && /195896080|<invalid CO-RE relocation>/.test(log);
  return {
    program,
    kind: relocation ? 'relocation' : kind,
    reason,
    instruction,
    source,
    location,
    log,
  };
}

/** The program logs inside what libbpf printed, in order. */
export function programLogs(text: string): { program: string; log: string }[] {
  return [...text.matchAll(LOG)].map(([, program, log]) => ({ program: program!, log: log! }));
}
