/**
 * `npm test [unit|netns|web|lab|guests]`: installs what the tests need, runs every check that this machine can run and lists what was
 * skipped and why, and what passed only when run again. The layer `guests` runs only when it is named. The last line is
 * `N passed, N failed, N skipped`, summed over all parts.
 *
 * `npm run lab:test -- --kernel 6.1 [FILTER…]` and other options of test/lab/suite.ts run that alone.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COMMANDS, ensurePackages, missingPackages } from './packages.mjs';
import { build, ensureModules, fail, NODE, ROOT, SetupError, say } from './setup.mjs';

/** Where Debian's rustc has the library of the target that plugins are built for. */
const RUST_TARGET = '/usr/lib/rustlib/wasm32-unknown-unknown';
const LAYERS = ['unit', 'netns', 'web', 'lab', 'guests'];
/** Runs only when it is named: it makes images of other architectures, which takes long. */
const BY_NAME = 'guests';
/** What is tested on every kernel, the tests that look closest at it. */
const CLOSEST = ['lab/kernels', 'lab/libbpf', 'lab/notifier', 'lab/last/'];
/** What takes about as long as all else of the lab. */
const FIRMWARE = 'lab/firmware';
/** Runs of the lab's suite. The two on one kernel do not begin together: the first may have to make its image. */
const LAB_RUNS = [
  ['lab firmware', [FIRMWARE]],
  ['lab 6.1', ['--kernel', '6.1', ...CLOSEST]],
  ['lab newest', ['--kernel', 'newest', ...CLOSEST]],
  ['lab', ['--besides', FIRMWARE]],
];
/** Two cores are enough; more lanes would only make what measures time less sure. */
const LANES = 2;
/** Longest one part may take, in milliseconds. */
const PART_LIMIT = 32 * 60_000;
/** That of the layer that runs only by name. */
const BY_NAME_LIMIT = 4 * 3_600_000;

/** With more the run fails: then it is not chance. */
const UNSTEADY_MAX = 2;

const isRoot = process.getuid() === 0;
const folder = mkdtempSync(join(tmpdir(), 'ekho-test-'));

try {
  const words = process.argv.slice(2);
  const end = words.findIndex((word) => word.startsWith('--'));
  const suiteWords = end < 0 ? undefined : words.slice(end);
  const wanted = suiteWords === undefined ? words : ['lab'];
  const unknown = wanted.find((layer) => !LAYERS.includes(layer));
  if (unknown !== undefined)
    throw new SetupError(`There is no test layer "${unknown}"; there are: ${LAYERS.join(', ')}.`);
  const layers = wanted.length > 0 ? wanted : LAYERS.filter((layer) => layer !== BY_NAME);
  ensureModules();
  installSystemPackages();
  build();

  const node =
    (name, ...args) =>
    () =>
      part(name, args);
  const lab = suiteWords === undefined ? LAB_RUNS : [['lab', suiteWords]];
  const run = (layer) =>
    layer === 'lab' ? lab.map(([name, words]) => node(name, 'test/lab/suite.ts', ...words)) : vitest(layer);
  const vitest = (layer) =>
    // What concerns the whole machine comes last.
    node(layer, 'scripts/projects.mjs', layer === 'netns' ? 'netns,netns-alone' : layer);
  const checks =
    wanted.length > 0
      ? []
      : [
          node('biome', 'node_modules/@biomejs/biome/bin/biome', 'check', '.'),
          node('tsc', 'node_modules/typescript/bin/tsc', '--noEmit'),
          node('tsc web', 'node_modules/typescript/bin/tsc', '--noEmit', '--project', 'web'),
        ];
  // The longest come first, so that the lanes end at about the same time.
  const parts = LAYERS.filter((layer) => layers.includes(layer)).flatMap(run);
  report(await sideBySide([...checks, ...parts]));
} catch (error) {
  fail(error);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function installSystemPackages() {
  const packages = missingPackages(Object.keys(COMMANDS));
  // For plugins in Rust. Another rustc may well be there, but without this.
  if (!existsSync(RUST_TARGET)) packages.push('rustc', 'cargo', 'libstd-rust-dev-wasm32', 'lld');
  if (ensurePackages(packages)) return;
  const hint = isRoot ? '' : '; as root they are installed';
  say(`Not installed here: ${packages.join(' ')}. Tests that need them are skipped${hint}.`);
}

/** Runs the tasks in their order, as many at a time as there are lanes. */
async function sideBySide(tasks) {
  const results = [];
  const queue = [...tasks];
  const lane = async () => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) results.push(await task());
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return results;
}

/** Runs one part; its output is shown when it is done, so that lanes do not mix. */
function part(name, args) {
  return new Promise((resolve) => {
    const started = Date.now();
    const child = spawn(NODE, args, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, EKHO_TEST_RESULTS: join(folder, `${name}.json`) },
    });
    const output = [];
    child.stdout.on('data', (data) => output.push(data));
    child.stderr.on('data', (data) => output.push(data));
    const limit = setTimeout(() => child.kill('SIGKILL'), name === BY_NAME ? BY_NAME_LIMIT : PART_LIMIT);
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      const seconds = ((Date.now() - started) / 1000).toFixed(1);
      say(`\n── ${name} (${seconds} s)`);
      process.stdout.write(Buffer.concat(output));
      if (signal) say(`${name} was ended by ${signal}`);
      resolve({ name, ok: code === 0, ...counts(name, code === 0) });
    });
  });
}

/** What scripts/projects.mjs wrote; a part without one counts as one check. */
function counts(name, ok) {
  let written;
  try {
    written = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
  } catch {
    return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: [], unsteady: [] };
  }
  // A run that failed without a failed test (an unhandled error, say) is still a failure.
  return { ...written, failed: ok ? written.failed : Math.max(written.failed, 1) };
}

function report(results) {
  const skipped = results.flatMap(({ name, skipped }) => skipped.map((test) => ({ ...test, layer: name })));
  if (skipped.length > 0) {
    say('\nSkipped:');
    for (const { layer, name, reason } of skipped) say(`  ${layer}: ${name}: ${reason}`);
  }
  const unsteady = results.flatMap(({ name, unsteady }) =>
    unsteady.map((test) => ({ ...test, layer: name })),
  );
  if (unsteady.length > 0) {
    say('\nUnsteady, passed only when run again, each a fault to be found:');
    for (const { layer, name, text } of unsteady) say(`  ${layer}: ${name}: ${text?.split('\n')[0]}`);
  }
  const failed = results.filter(({ failed }) => failed > 0);
  if (failed.length > 0)
    say(`\nFailed: ${failed.map(({ name, failed }) => `${name} (${failed})`).join(', ')}`);
  if (unsteady.length > UNSTEADY_MAX) say(`\nFailed: more than ${UNSTEADY_MAX} tests are unsteady.`);
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  say(`\n${sum('passed')} passed, ${sum('failed')} failed, ${skipped.length} skipped`);
  process.exitCode = failed.length > 0 || unsteady.length > UNSTEADY_MAX ? 1 : 0;
}
