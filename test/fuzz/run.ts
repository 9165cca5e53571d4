/**
 * `npm run fuzz -- [TARGET]… [--minutes N] [--seed N] [--list]`: inputs that are made wrong in ever new ways, kept when they reach
 * code that none reached before. N minutes for each target. What breaks a promise is written to a file that the last line names.
 */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';
import { type Finding, fuzz, type Report, type Target } from './engine.ts';
import { record, tally } from './recorded.ts';
import { TARGETS } from './targets.ts';

/** A target that does not come back from one input within this time has found something, too. */
const HANGS_MS = 30_000;
const INPUT_MAX = 1 << 17;

interface Task {
  readonly name: string;
  readonly seed: number;
  readonly minutes: number;
  /** The number of tries, the length of the input that is being tried, the input. */
  readonly trying: SharedArrayBuffer;
}

interface Told extends Omit<Report, 'finding'> {
  readonly finding: { readonly input: Uint8Array; readonly stack: string } | undefined;
}

const USAGE = `Usage: npm run fuzz -- [TARGET]… [options]

  --minutes N        for each target; 1 unless told otherwise
  --seed N           the same inputs again; a new one unless told otherwise
  --list             the targets and what they promise
  --again FILE       one target tries the input of this file, once`;

if (!isMainThread) await work(workerData as Task);
else await main();

async function main(): Promise<void> {
  const given = parse();
  if (given === undefined) return;
  const { values: options, positionals } = given;
  const unknown = positionals.find((name) => !TARGETS.some((target) => target.name === name));
  const [minutes, seed] = [Number(options.minutes), Number(options.seed)];
  if (unknown !== undefined) return refuse(`there is no target "${unknown}"; --list names those there are`);
  if (!(minutes > 0) || !Number.isSafeInteger(seed))
    return refuse('--minutes takes a number above 0, --seed a whole one');
  const chosen =
    positionals.length === 0 ? TARGETS : TARGETS.filter(({ name }) => positionals.includes(name));
  if (options.again !== undefined && positionals.length !== 1)
    return refuse('--again takes one target: the one that the input is for');
  if (options.list) for (const { name, what } of TARGETS) console.log(`${name.padEnd(12)}${what}`);
  else if (options.again !== undefined) {
    if (!existsSync(options.again)) return refuse(`there is no file ${options.again}`);
    chosen[0]!.try(readFileSync(options.again));
    console.log(`${chosen[0]!.name} keeps its promise with it`);
  } else {
    console.log(`seed ${seed}, ${minutes} minutes each`);
    for (const target of chosen) await one(target, minutes, seed);
  }
}

/** Undefined: that was all. */
function parse() {
  try {
    const given = parseArgs({
      allowPositionals: true,
      options: {
        minutes: { type: 'string', default: '1' },
        seed: { type: 'string', default: String(SEED) },
        list: { type: 'boolean', default: false },
        again: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (!given.values.help) return given;
    console.log(USAGE);
  } catch (error) {
    refuse((error as Error).message);
  }
}

function refuse(why: string): void {
  console.error(`fuzz: ${why}\n\n${USAGE}`);
  process.exitCode = 2;
}

async function one({ name }: Target, minutes: number, seed: number): Promise<void> {
  const { tries, kept, blocks, finding } = await watched({
    name,
    seed,
    minutes,
    trying: new SharedArrayBuffer(8 + INPUT_MAX),
  });
  console.log(
    `${name.padEnd(12)}${tries.toLocaleString('en')} tries, ${kept} inputs kept, ${blocks.toLocaleString('en')} blocks reached`,
  );
  if (finding === undefined) return;
  const file = join(mkdtempSync(join(tmpdir(), 'ekho-fuzz-')), name);
  writeFileSync(file, finding.input);
  console.log(`${finding.stack}\n${Buffer.from(finding.input).toString('hex').slice(0, 2000)}`);
  console.log(`again with: npm run fuzz -- ${name} --again ${file}`);
  process.exitCode = 1;
}

/** Runs the target on a thread, and ends it when it hangs. */
function watched(task: Task): Promise<Told> {
  const state = new Int32Array(task.trying, 0, 2);
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: task });
    let last = -1;
    const watch = setInterval(() => {
      const tries = Atomics.load(state, 0);
      // Recording and compiling come before the first.
      if (tries !== last || tries === 0) {
        last = tries;
        return;
      }
      const input = new Uint8Array(task.trying).slice(8, 8 + Atomics.load(state, 1));
      done({ tries, kept: 0, blocks: 0, finding: { input, stack: `no answer within ${HANGS_MS} ms` } });
      void worker.terminate();
    }, HANGS_MS);
    const done = (told: Told): void => {
      clearInterval(watch);
      resolve(told);
    };
    worker.on('message', done);
    worker.on('error', (error) => {
      clearInterval(watch);
      reject(error);
    });
  });
}

async function work({ name, seed, minutes, trying }: Task): Promise<void> {
  const target = TARGETS.find((one) => one.name === name)!;
  if (name === 'object') {
    await record();
    console.log(`recorded ${tally()}`);
  }
  const state = new Int32Array(trying, 0, 2);
  const bytes = new Uint8Array(trying, 8);
  const shown: Target = {
    ...target,
    try: (input) => {
      bytes.set(input.subarray(0, INPUT_MAX));
      Atomics.store(state, 1, Math.min(input.length, INPUT_MAX));
      Atomics.add(state, 0, 1);
      target.try(input);
    },
  };
  const end = performance.now() + minutes * 60_000;
  const { finding, ...report } = fuzz(shown, new Random(seed), () => performance.now() > end);
  parentPort!.postMessage({ ...report, finding: finding && told(finding) } satisfies Told);
}

function told({ input, error }: Finding): Told['finding'] {
  return { input, stack: error.stack ?? error.message };
}
