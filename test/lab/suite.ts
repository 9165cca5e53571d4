/**
 * Runs the lab's tests in a guest: `test/lab/suite.ts [FILTER…]`, words as vitest takes them. Counts and skips go to the
 * file EKHO_TEST_RESULTS names, as scripts/reporter.mjs writes it.
 */
import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildAllBpf } from '../../bpf/build.mjs';
import { compileAll } from '../../bpf/libbpf-ts/test/compile.ts';
import { Guest, quote } from './guest.ts';
import { installMissing, LabError, whyNot } from './machine.ts';

/** The suite is meant to end within half of it, in milliseconds. */
const SUITE_LIMIT = 18 * 60_000;

const results = process.env.EKHO_TEST_RESULTS;

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof LabError ? `lab: ${error.message}` : error);
  return 1;
});

async function main(): Promise<number> {
  const say = (line: string) => console.log(`lab: ${line}`);
  const reason = whyNot() ?? installMissing(say);
  if (reason !== undefined) {
    say(`skipped: ${reason}`);
    if (results)
      writeFileSync(results, JSON.stringify({ passed: 0, failed: 0, skipped: [{ name: 'all', reason }] }));
    return 0;
  }
  // The guest has no clang.
  buildAllBpf();
  compileAll();
  const started = performance.now();
  const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
  await using guest = await Guest.boot({ say });
  say(`kernel ${guest.release} up after ${seconds()} s`);
  const words = ['vitest', 'run', '--project', 'lab', '--reporter', 'scripts/reporter.mjs'];
  const { code } = await guest.run([...words, ...process.argv.slice(2)].map(quote).join(' '), {
    limit: SUITE_LIMIT,
    env: { EKHO_TEST_RESULTS: '/run/lab/results.json' },
    onOutput: (stream, data) => process[stream].write(data),
  });
  // A run that fell over before its end wrote none.
  const written = join(guest.exchange, 'results.json');
  if (results && existsSync(written)) copyFileSync(written, results);
  say(`done after ${seconds()} s`);
  return code;
}
