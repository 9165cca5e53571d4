/**
 * `scripts/projects.mjs PROJECT,… [FILTER…]`: the tests of vitest projects, one project after the other. A file with a failed test runs once
 * more, alone and with the same random seed; a test that then passes is unsteady: it counts as passed and is told of with its
 * error, since something, the test or what it tests, is not as sure as it should be. What happened goes to the file that EKHO_TEST_RESULTS names.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** With more failed files than these something is wrong with what is tested, and they are not run again. */
const AGAIN_MAX = 3;

const [projects, ...filters] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'ekho-projects-'));
const env = { ...process.env };
const fresh = String(Date.now() % 2 ** 31);
if (!env.CI) env.EKHO_SEED ??= fresh;
env.EKHO_FRESH_SEED ??= fresh;

try {
  const outcomes = projects.split(',').map(runProject);
  const files = Object.assign({}, ...outcomes.map(({ files }) => files));
  const failures = outcomes.flatMap(({ failures }) => failures);
  const unsteady = outcomes.flatMap(({ unsteady }) => unsteady);
  const sum = (key) => Object.values(files).reduce((total, file) => total + file[key], 0);
  if (Object.keys(files).length === 0) {
    console.log(`No test file of ${projects} matches ${filters.join(' ')}`);
    failures.push({ name: 'no test file' });
  }
  const results = {
    passed: sum('passed'),
    failed: failures.length,
    skipped: Object.values(files).flatMap(({ skipped }) => skipped),
    files,
    unsteady,
  };
  if (env.EKHO_TEST_RESULTS) writeFileSync(env.EKHO_TEST_RESULTS, JSON.stringify(results));
  process.exitCode = failures.length > 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function runProject(project) {
  const first = vitest(project, filters);
  const failed = [...new Set(first.failures.map(({ file }) => file))];
  const isHopeless = failed.length === 0 || failed.length > AGAIN_MAX || failed.includes(undefined);
  if (isHopeless) return { ...first, unsteady: [] };
  console.log(`\nOnce more: ${failed.join(', ')}`);
  const second = vitest(project, ['--no-file-parallelism', ...failed]);
  const unsteady = first.failures.filter(
    ({ file, name }) =>
      second.failures.every((other) => other.name !== name) && second.files[file]?.failed === 0,
  );
  return { files: { ...first.files, ...second.files }, failures: second.failures, unsteady };
}

/** One run: what became of each file, and each failure with its file; one outside of any file has none. */
function vitest(project, words) {
  const written = join(folder, 'results.json');
  rmSync(written, { force: true });
  spawnSync(
    process.execPath,
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--project',
      project,
      '--passWithNoTests',
      '--reporter',
      'scripts/reporter.mjs',
      ...words,
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...env, EKHO_TEST_RESULTS: written } },
  );
  try {
    const { files, failures } = JSON.parse(readFileSync(written, 'utf8'));
    return { files, failures };
  } catch {
    return { files: {}, failures: [{ name: `the run of ${project}`, text: 'it ended before it was done' }] };
  }
}
