/** What the kernel's selftests print, as outcomes of the tests in them. */

export type Result = 'pass' | 'fail' | 'not applicable';

export interface Outcome {
  /** As the script calls it. */
  readonly test: string;
  /** Scripts go through their tests once or twice: SOFTWARE, HARDWARE, or what the script says it has set. */
  readonly round: string;
  readonly result: Result;
  /** Why not `pass`. */
  readonly reason: string;
}

/** Of rules for software alone (`skip_hw`). */
export const SOFTWARE = 'software';
/** Of rules for hardware alone (`skip_sw`), or of what there is no other way to have. */
export const HARDWARE = 'hardware';

const TEST = /^TEST: (.+?)\s+\[\s*(OK|FAIL|SKIP|XFAIL)\s*\]$/;
const ROUND = / \(skip_(sw|hw)\)$/;
/** With text of firmware's, or of the kernel's own; or with an error number alone. */
const REFUSAL = /^(?:Error: (?:ekho: )?|RTNETLINK answers: )(.*?)\.?$/;
/** What is to be deleted is not there: no refusal, but what follows from one. */
const MISSING = /^RTNETLINK answers: No such file or directory$/;

/**
 * The outcomes of a script on tc, in its order. A test of rules that firmware refused is not applicable, and what it said is the reason:
 * the script goes on without the rule, and what it then finds means nothing.
 *
 * @param text what it wrote to both outputs, in order
 */
export function outcomesOf(text: string): Outcome[] {
  const outcomes: Outcome[] = [];
  const seen = new Set<string>();
  let refusal = '';
  // What a test transfers may stand before its outcome.
  const lines = text.replaceAll('\0', '').split('\n');
  for (const [number, line] of lines.entries()) {
    // What follows from the first: rules that are to be deleted are not there.
    if (refusal === '' && !MISSING.test(line)) refusal = REFUSAL.exec(line)?.[1] ?? '';
    const found = testOf(lines, number);
    if (found === undefined) continue;
    const test = found.title.replace(ROUND, '');
    const skips = ROUND.exec(found.title)?.[1];
    // Those that say no round are run in both.
    const isHardware = skips === undefined ? seen.has(test) : skips === 'sw';
    seen.add(test);
    const round = isHardware ? HARDWARE : SOFTWARE;
    outcomes.push({ test, round, ...judge(found, isHardware ? refusal : '') });
    refusal = '';
  }
  return outcomes;
}

/** The outcomes of a script on a switch, where a refusal is a failure: all there is to offload it takes. */
export function switchOutcomesOf(text: string): Outcome[] {
  const outcomes: Outcome[] = [];
  const times = new Map<string, number>();
  let round = HARDWARE;
  const lines = text.split('\n');
  for (const [number, line] of lines.entries()) {
    const [, name, value] = /^INFO: Set (\w+) to (\w+)$/.exec(line) ?? [];
    if (name !== undefined) {
      round = `${name}=${value}`;
      times.clear();
    }
    const found = testOf(lines, number);
    if (found === undefined) continue;
    const time = (times.get(found.title) ?? 0) + 1;
    times.set(found.title, time);
    const test = time === 1 ? found.title : `${found.title} (${time})`;
    outcomes.push({ test, round, ...judge(found, '') });
  }
  return outcomes;
}

interface Found {
  readonly title: string;
  readonly word: string;
  /** Of what went wrong, from the line below. */
  readonly told: string;
}

function testOf(lines: readonly string[], number: number): Found | undefined {
  const [, title, word] = TEST.exec(lines[number]!) ?? [];
  if (title === undefined) return undefined;
  const told = lines[number + 1]?.startsWith('\t') ? lines[number + 1]!.trim() : '';
  return { title, word: word!, told };
}

function judge({ word, told }: Found, refusal: string): { result: Result; reason: string } {
  if (refusal !== '') return { result: 'not applicable', reason: refusal };
  if (word === 'OK') return { result: 'pass', reason: '' };
  if (word === 'SKIP') return { result: 'not applicable', reason: told };
  return { result: 'fail', reason: told };
}

/** The outcomes of tests that speak TAP as tc-testing does, all of them for hardware. */
export function tapOutcomesOf(text: string): Outcome[] {
  const lines = text.split('\n');
  return lines.flatMap((line, number): Outcome[] => {
    const [, not, test, skipped] = /^(not )?ok \d+ (\w+ - .*?)(?: # (skipped.*))?$/.exec(line) ?? [];
    if (test === undefined) return [];
    if (skipped !== undefined) return [{ test, round: HARDWARE, result: 'not applicable', reason: skipped }];
    if (not === undefined) return [{ test, round: HARDWARE, result: 'pass', reason: '' }];
    // What it has to say may be long: its first line.
    return [{ test, round: HARDWARE, result: 'fail', reason: lines[number + 1]?.trim() ?? '' }];
  });
}
