/**
 * `npm run chaos -- [--minutes N] [--seed N] [--fault NAME]… [--list] [--write]`: random faults of host, plugin, device and machine in
 * random order while the router changes. After each, within its time: the mirror equals the kernel, the device equals the plan, sampled
 * packets fare as the kernel says or go to it, memory and descriptors are as before, and the fault can be seen. Needs root.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';
import type { Fault } from './fault.ts';
import { FAULTS } from './faults.ts';
import { Site } from './site.ts';
import { tryFault } from './trial.ts';

const PAGE = fileURLToPath(new URL('../../docs/chaos.md', import.meta.url));
/** A host that lives through this many faults is then replaced by one on a new router. */
const FAULTS_PER_SITE = 40;
const LOG_LINES = 60;

interface Tally {
  readonly fault: Fault;
  /** Seconds from the end of each to all being right. */
  readonly recoveries: number[];
}

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(SEED) },
    fault: { type: 'string', multiple: true },
    list: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});

if (options.list) {
  for (const { name, what } of FAULTS) console.log(`${name.padEnd(22)}${what}`);
} else await main();

async function main(): Promise<void> {
  const seed = Number(options.seed);
  const minutes = Number(options.minutes);
  if (!Number.isSafeInteger(seed) || !(minutes > 0))
    return refuse('--seed takes a whole number, --minutes one above 0.');
  const chosen =
    options.fault === undefined ? FAULTS : FAULTS.filter(({ name }) => options.fault!.includes(name));
  const unknown = options.fault?.find((name) => !FAULTS.some((fault) => fault.name === name));
  if (unknown !== undefined) return refuse(`there is no fault "${unknown}"; --list names those there are.`);
  console.log(`seed ${seed}, ${minutes} minutes`);
  const tallies = new Map(chosen.map((fault) => [fault, { fault, recoveries: [] } as Tally]));
  const end = performance.now() + minutes * 60_000;
  const random = new Random(seed);
  let isBroken = false;
  while (performance.now() < end && !isBroken) isBroken = !(await oneSite(random, chosen, tallies, end));
  const rows = [...tallies.values()].filter(({ recoveries }) => recoveries.length > 0);
  const text = table(rows);
  console.log(`\n${text}`);
  if (isBroken) {
    console.log(`\nfailed; again with: npm run chaos -- --minutes ${minutes} --seed ${seed}`);
    process.exitCode = 1;
  } else if (options.write) writePage(text, seed, minutes);
}

function refuse(text: string): void {
  console.error(`chaos: ${text}`);
  process.exitCode = 2;
}

/** Faults on one router and host, until the time is over, or there were enough. False when something stayed wrong. */
async function oneSite(
  random: Random,
  chosen: readonly Fault[],
  tallies: ReadonlyMap<Fault, Tally>,
  end: number,
): Promise<boolean> {
  const site = await Site.start(random);
  try {
    site.churn(120);
    await site.check();
    let usual = site.usage();
    for (let count = 0; count < FAULTS_PER_SITE && performance.now() < end; count++) {
      // Each at least once, in random order, before any comes again.
      const least = Math.min(...chosen.map((fault) => tallies.get(fault)!.recoveries.length));
      const fault = random.pick(chosen.filter((one) => tallies.get(one)!.recoveries.length === least));
      process.stdout.write(`${fault.name.padEnd(22)}`);
      try {
        const seconds = await tryFault(site, fault, usual);
        tallies.get(fault)!.recoveries.push(seconds);
        console.log(`${seconds.toFixed(1)} s`);
      } catch (error) {
        console.log('FAILED');
        console.log(`${error instanceof Error ? error.message : error}\n${said(site)}`);
        return false;
      }
      // Heaps find their size in the first minutes.
      if (count < 10) usual = { ...usual, memory: Math.max(usual.memory, site.usage().memory) };
    }
    return true;
  } finally {
    await site.close();
  }
}

/** The end of the host's log. Each of the test's own requests has a line there, too. */
function said({ host }: Site): string {
  const lines = host.output.split('\n').filter((line) => !line.startsWith('audit:'));
  return lines.slice(-LOG_LINES).join('\n');
}

function table(rows: readonly Tally[]): string {
  const lines = rows.map(({ fault, recoveries }) => {
    const sorted = [...recoveries].sort((a, b) => a - b);
    const median = sorted[Math.floor((sorted.length - 1) / 2)]!;
    const all = `${sorted.length} | ${median.toFixed(1)} | ${sorted.at(-1)!.toFixed(1)} | ${fault.within}`;
    return `| \`${fault.name}\` | ${fault.what} | ${all} |`;
  });
  return [
    '| fault | what | times | median s | longest s | limit s |',
    '|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

function writePage(text: string, seed: number, minutes: number): void {
  const [before, rest] = readFileSync(PAGE, 'utf8').split('<!-- chaos -->\n') as [string, string];
  const after = rest.slice(rest.indexOf('<!-- /chaos -->'));
  const about = `${minutes} minutes with seed ${seed}, Linux ${release()}, ${cpus().length} CPUs, Node ${process.versions.node}:`;
  writeFileSync(PAGE, `${before}<!-- chaos -->\n${about}\n\n${text}\n${after}`);
  console.log(`written to docs/${PAGE.slice(join(PAGE, '..').length + 1)}`);
}
