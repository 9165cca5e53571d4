/**
 * Runs the lab's tests in a guest: `test/lab/suite.ts [--kernel VERSION] [--arch ARCH] [--record] [--besides PART] [FILTER…]`,
 * filters as vitest takes them; with --besides all whose path does not have the part. Counts and skips go to the file EKHO_TEST_RESULTS names, as scripts/projects.mjs writes it, less the
 * skips that docs/kernels.md tells of: what that kernel is known to lack is not left out by accident. With --record, what
 * the kernel can do and what became of the tests go to where the table is made from.
 */
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildAllBpf } from '../../bpf/build.mjs';
import { compileAll } from '../../bpf/libbpf-ts/test/compile.ts';
import { SEED } from '../support/seed.ts';
import { buildVariants } from '../support/variants.ts';
import { NotOffered } from './archive.ts';
import { checkMemory } from './debug/check.ts';
import { Guest, quote } from './guest.ts';
import { asFlavour, DEFAULT_FLAVOUR, FLAVOURS } from './image.ts';
import { asArch, installMissing, LabError, OWN_ARCH, whyNot } from './machine.ts';
import { isInTable, record, type Skip } from './matrix.ts';
import { UNWIND } from './module.ts';

/** The suite is meant to end within half of it, in milliseconds; emulating another architecture takes longer. */
const SUITE_LIMIT = 28 * 60_000;
const FOREIGN_LIMIT = 35 * 60_000;
/** How many times as long as on another kernel anything may take on the debug kernel. */
const DEBUG_PACE = 5;

/** The one that needs a module of its own. */
const UNWIND_TEST = 'test/lab/firmware-unwind.test.ts';

/** Those of every guest. */
function filesBesides(part: string): string[] {
  return globSync('test/lab/{,last/}*.test.ts').filter((file) => !file.includes(part));
}

/** As scripts/projects.mjs writes it; the rest of it is passed on as it is. */
interface Results {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly Skip[];
}

const results = process.env.EKHO_TEST_RESULTS;
const say = (line: string) => console.log(`lab: ${line}`);

process.exitCode = await main().catch((error: unknown) => {
  // Nobody here can mend that: it counts as no test at all.
  if (error instanceof NotOffered) return nothing(error.message, []);
  console.error(error instanceof LabError ? `lab: ${error.message}` : error);
  return 1;
});

async function main(): Promise<number> {
  const { values, positionals: given } = parseArgs({
    options: {
      kernel: { type: 'string', default: DEFAULT_FLAVOUR },
      arch: { type: 'string', default: OWN_ARCH },
      record: { type: 'boolean', default: false },
      besides: { type: 'string' },
    },
    allowPositionals: true,
  });
  const positionals = values.besides === undefined ? given : filesBesides(values.besides);
  const flavour = asFlavour(values.kernel);
  const arch = asArch(values.arch);
  const reason = whyNot() ?? installMissing(say, arch);
  if (reason !== undefined) return nothing(`skipped: ${reason}`, [{ name: 'all', reason }]);
  // The guest has no clang.
  buildAllBpf();
  compileAll();
  await buildVariants();
  const started = performance.now();
  const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
  // What a guest has besides a kernel, `ovs` in `6.12-ovs`, is for tests of its own.
  const [, extra] = flavour.split('-');
  // As vitest reads filters.
  const isAll = positionals.length === 0 && extra === undefined;
  const isUnwound = isAll || positionals.some((part) => UNWIND_TEST.includes(part));
  await using guest = await Guest.boot({ flavour, arch, modules: isUnwound ? [UNWIND] : [], say });
  say(`kernel ${guest.release} ${arch} up after ${seconds()} s`);
  const words = ['node', 'scripts/projects.mjs', extra ? `lab-${extra}` : 'lab,lab-last'];
  const isDebug = FLAVOURS[flavour].kernel === 'debug';
  const pace = isDebug ? DEBUG_PACE : 1;
  const { code } = await guest.run([...words, ...positionals].map(quote).join(' '), {
    limit: (arch === OWN_ARCH ? SUITE_LIMIT : FOREIGN_LIMIT) * pace,
    env: {
      EKHO_LAB_PACE: String(pace),
      EKHO_TEST_RESULTS: '/run/lab/results.json',
      EKHO_LAB_KERNEL: flavour,
      EKHO_SEED: String(SEED),
      ...(process.env.EKHO_PACKETS_RUNS && { EKHO_PACKETS_RUNS: process.env.EKHO_PACKETS_RUNS }),
      ...(values.record && { EKHO_LAB_RECORD: '1' }),
    },
    onOutput: (stream, data) => process[stream].write(data),
  });
  // A run that fell over before its end wrote none.
  const written = join(guest.exchange, 'results.json');
  if (results && existsSync(written)) {
    const { skipped, ...counts } = JSON.parse(readFileSync(written, 'utf8')) as Results;
    const isOdd = (skip: Skip) => !isInTable(flavour, arch, skip);
    writeFileSync(results, JSON.stringify({ ...counts, skipped: skipped.filter(isOdd) }));
    for (const { name, reason } of skipped.filter((skip) => !isOdd(skip)))
      say(`not here: ${name}: ${reason}`);
  }
  if (values.record) record(flavour, arch, guest.exchange);
  if (isDebug) await checkMemory(guest);
  say(`done after ${seconds()} s`);
  return code;
}

function nothing(message: string, skipped: readonly Skip[]): number {
  say(message);
  if (results) writeFileSync(results, JSON.stringify({ passed: 0, failed: 0, skipped, unsteady: [] }));
  return 0;
}
