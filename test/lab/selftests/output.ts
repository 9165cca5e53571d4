/** What the kernel's selftests print, as outcomes of the tests in them. */

export type Result = 'pass' | 'fail' | 'not applicable';

export interface Outcome {
  /** As the script calls it. */
  readonly test: string;
  /** Whether its rules were for hardware alone (`skip_sw`). */
  readonly isHardware: boolean;
  readonly result: Result;
  /** Why not `pass`. */
  readonly reason: string;
}

const TEST = /^TEST: (.+?)\s+\[\s*(OK|FAIL|SKIP|XFAIL)\s*\]$/;
const ROUND = / \(skip_(sw|hw)\)$/;

/**
 * The outcomes of a script, in its order. A test of rules that firmware refused is not applicable, and what it said is the reason: the
 * script goes on without the rule, and what it then finds means nothing.
 *
 * @param text what it wrote to both outputs, in order
 */
export function outcomesOf(text: string): Outcome[] {
  const outcomes: Outcome[] = [];
  const seen = new Set<string>();
  let refusal = '';
  const lines = text.split('\n');
  for (const [number, line] of lines.entries()) {
    const error = /^Error: (?:ekho: )?(.*)$/.exec(line)?.[1];
    // What follows from the first: rules that are to be deleted are not there.
    if (error !== undefined && refusal === '') refusal = error.replace(/\.$/, '');
    const [, title, word] = TEST.exec(line) ?? [];
    if (title === undefined) continue;
    const test = title.replace(ROUND, '');
    const round = ROUND.exec(title)?.[1];
    // Those that say no round are run in both.
    const isHardware = round === undefined ? seen.has(test) : round === 'sw';
    seen.add(test);
    const told = lines[number + 1]?.startsWith('\t') ? lines[number + 1]!.trim() : '';
    outcomes.push({ test, isHardware, ...judge(word!, isHardware ? refusal : '', told) });
    refusal = '';
  }
  return outcomes;
}

function judge(word: string, refusal: string, told: string): { result: Result; reason: string } {
  if (refusal !== '') return { result: 'not applicable', reason: refusal };
  if (word === 'OK') return { result: 'pass', reason: '' };
  if (word === 'SKIP') return { result: 'not applicable', reason: told };
  return { result: 'fail', reason: told };
}

/** The outcomes of tests that speak TAP, all of them for hardware. */
export function tapOutcomesOf(text: string): Outcome[] {
  return [...text.matchAll(/^(not )?ok \d+ (\w+ - .*?)( # skipped.*)?$/gm)].map(([, not, test, skipped]) => ({
    test: test!,
    isHardware: true,
    result: skipped !== undefined ? 'not applicable' : not === undefined ? 'pass' : 'fail',
    reason: skipped?.slice(' # '.length) ?? '',
  }));
}
