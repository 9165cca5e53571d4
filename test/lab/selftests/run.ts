/**
 * `npm run lab:selftests -- [--write] [--limit MINUTES] [NAME…]`: the kernel's selftests that try offload, in guests on ports of the module's link type, and what
 * became of each test of them. A name is a script's or a stage's (list.ts); without names all of them run. With `--write` what they said
 * takes the place of what they said before in docs/firmware-selftests.md. A stage may take an hour, or as long as is said; scripts that ended by
 * then have their results.
 */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Guest, quote } from '../guest.ts';
import { type FlavourName, image } from '../image.ts';
import { installMissing, LabError, OWN_ARCH, whyNot } from '../machine.ts';
import { buildModule } from '../module.ts';
import { SELFTESTS, type Selftest, STAGES, type Stage } from './list.ts';
import type { Outcome } from './output.ts';
import { PAGE_FILE, readResults, type TestResult, writeResult } from './results.ts';
import { netdevsim, type Source, source } from './source.ts';
import { page } from './table.ts';

const FLAVOUR: FlavourName = '6.12-selftests';

const say = (line: string) => console.error(`lab: ${line}`);
process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof LabError ? `lab: ${error.message}` : error);
  return 125;
});

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { write: { type: 'boolean', default: false }, limit: { type: 'string', default: '60' } },
  });
  const limit_ms = Number(values.limit) * 60_000;
  if (!(limit_ms > 0)) throw new LabError('--limit takes minutes');
  const tests = chosen(positionals);
  const reason = whyNot() ?? installMissing(say);
  if (reason !== undefined) throw new LabError(reason);
  const fetched = source(FLAVOUR, say);
  const results: TestResult[] = [];
  for (const stage of STAGES) {
    const ofStage = tests.filter((test) => test.stage === stage);
    if (ofStage.length > 0) results.push(...(await runStage(stage, ofStage, fetched, limit_ms)));
    // Also where a later stage fails.
    if (values.write) for (const result of results) writeResult(result);
  }
  console.log(page(results));
  if (values.write) writeFileSync(PAGE_FILE, page(readResults()));
  const silent = tests.find(({ name }) => !results.some(({ test }) => test.name === name));
  if (silent !== undefined) throw new LabError(`${silent.name} did not run as it should`);
  return 0;
}

/** @throws LabError for a name that nothing has */
function chosen(names: readonly string[]): readonly Selftest[] {
  const known = [...STAGES, ...SELFTESTS.map(({ name }) => name)];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new LabError(`${unknown} is none of ${known.join(', ')}`);
  return SELFTESTS.filter(
    ({ name, stage }) => names.length === 0 || names.includes(name) || names.includes(stage),
  );
}

/** In a guest of its own. What did not run to its end has no result. */
async function runStage(
  stage: Stage,
  tests: readonly Selftest[],
  fetched: Source,
  limit_ms: number,
): Promise<TestResult[]> {
  const started = performance.now();
  if (stage === 'switch') buildModule(image(FLAVOUR, OWN_ARCH, say), say, netdevsim(fetched));
  await using guest = await Guest.boot({ flavour: FLAVOUR, say });
  cpSync(fetched.tests, join(guest.exchange, 'selftests'), { recursive: true });
  const words = [
    'test/lab/selftests/inside.ts',
    '/run/lab/selftests',
    stage,
    ...tests.map(({ name }) => name),
  ];
  const run = guest.run(`node ${words.map(quote).join(' ')}`, {
    limit: limit_ms,
    onOutput: (stream, data) => process[stream].write(data),
  });
  // Scripts that ended before the guest did have their results.
  const how = await run.then(
    ({ code }) => `exit code ${code}`,
    (error: unknown) => {
      if (error instanceof LabError) return error.message;
      throw error;
    },
  );
  const minutes = ((performance.now() - started) / 60_000).toFixed(0);
  say(`stage ${stage}: ${tests.length} scripts, ${minutes} minutes, ${how}`);
  return tests.flatMap((test) => {
    const outcomes = outcomesIn(guest, test, test.name);
    if (outcomes.length === 0) return [];
    const beside = outcomesIn(guest, test, `${test.name}.netdevsim`);
    const { release } = guest;
    return [{ test, release, outcomes, ...(beside.length > 0 && { netdevsim: beside }) }];
  });
}

/** What a script said, if it ran to its end. */
function outcomesIn(guest: Guest, test: Selftest, name: string): Outcome[] {
  const file = join(guest.exchange, 'selftests', `${name}.log`);
  return existsSync(file) ? test.outcomes(readFileSync(file, 'utf8')) : [];
}
