/**
 * `npm run chaos -- [--minutes N] [--pieces N | --hours N] [--seed N] [--routes N] [--fault NAME]… [--list] [--write]`: random faults of kernel, host, plugin,
 * device and machine in random order while a router changes, a routing daemon announces and hosts send. After each, within its time: the
 * mirror equals the kernel, the device equals the plan, sampled packets fare as the kernel says or go to it, memory and descriptors are as
 * before, and the fault is proven and can be seen in status, metrics and log. Pieces, hours for instance, follow one another, each with a seed and a table of its own. Needs root.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VERSION } from '../../host/version.ts';
import { BIRD } from '../bench/peers/bird.ts';
import { install } from '../bench/peers/install.ts';
import { median, where } from '../bench/peers/report.ts';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';
import type { Fault, Place } from './fault.ts';
import { DATAPATH_FAULTS } from './faults/datapath.ts';
import { buildBreakdowns } from './faults/plugin.ts';
import { FAULTS } from './faults.ts';
import { chaosOptions } from './options.mjs';
import { plotRecoveries } from './plot.ts';
import { Site } from './site.ts';
import { grown, lastLines, type Outcome, SIGNS, tryFault } from './trial.ts';
import { WiredSite } from './wired.ts';

const PAGE = fileURLToPath(new URL('../../docs/chaos.md', import.meta.url));
/** A host that lives through this many faults is then replaced by one on another router. */
const FAULTS_PER_PLACE = 40;
/** After so many, memory is what it stays. */
const FIRST_FAULTS = 10;
/** The data path's tables as they are by default have room for these. */
const ROUTES_WIRED = 50_000;
/** Beyond it the daemon's prefixes would meet other networks. */
const ROUTES_MAX = 1_000_000;

type About = Pick<Fault, 'name' | 'what' | 'within'>;

/** What came of it each time that a fault was tried. */
type Recoveries = Map<string, Outcome[]>;

interface Piece {
  readonly seed: number;
  readonly milliseconds: number;
  /** As performance.now(). */
  readonly end: number;
  readonly recoveries: Recoveries;
  /** Of the pieces before. */
  readonly earlier: Recoveries;
}

/** Somewhere to try faults. Resolves to false when something stayed wrong. */
type Ground = (piece: Piece, random: Random) => Promise<boolean>;

const ALL: readonly About[] = [...FAULTS, ...DATAPATH_FAULTS];

const options = chaosOptions(process.argv.slice(2), String(SEED));

if (options.list) {
  for (const { name, what } of ALL) console.log(`${name.padEnd(24)}${what}`);
} else await main();

async function main(): Promise<void> {
  const seed = Number(options.seed);
  const pieces = Number(options.hours ?? options.pieces);
  const minutes = options.hours === undefined ? Number(options.minutes) : 60;
  if (!Number.isSafeInteger(seed) || !(minutes > 0) || !(Number.isSafeInteger(pieces) && pieces > 0))
    return refuse('--seed, --pieces and --hours take whole numbers, --minutes one above 0.');
  const routes = Number(options.routes);
  if (!(Number.isSafeInteger(routes) && routes >= 1000 && routes <= ROUTES_MAX))
    return refuse(`--routes takes a whole number from 1000 to ${ROUTES_MAX}.`);
  const chosen = ALL.filter(({ name }) => options.fault?.includes(name) ?? true);
  const unknown = options.fault?.find((name) => !ALL.some((fault) => fault.name === name));
  if (unknown !== undefined) return refuse(`there is no fault "${unknown}"; --list names those there are.`);
  const bird = await installBird();
  const grounds = groundsFor(chosen, bird === undefined ? undefined : routes);
  if (chosen.some(({ name }) => /^plugin-(traps|hangs|grows|lies)$/.test(name))) await buildBreakdowns();
  const all: Recoveries = new Map();
  for (let piece = 0; piece < pieces; piece++) {
    const recoveries = await onePiece(seed + piece, minutes, grounds, all);
    console.log(`\n${table(recoveries)}\n`);
    if (process.exitCode === 1) return;
    for (const [name, outcomes] of recoveries) all.set(name, [...(all.get(name) ?? []), ...outcomes]);
    if (options.write)
      writePage(
        all,
        piece === 0
          ? `${minutes} minutes with seed ${seed}`
          : `${piece + 1} times ${minutes} minutes with seeds ${seed} to ${seed + piece}`,
        bird === undefined ? 'without a routing daemon' : `${routes} routes of BIRD ${bird}`,
      );
  }
}

function refuse(text: string): void {
  console.error(`chaos: ${text}`);
  process.exitCode = 2;
}

/** Its version; undefined where it cannot be had. */
async function installBird(): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-chaos-'));
  try {
    const { ready, missing } = await install([BIRD], folder);
    for (const why of missing.values()) console.log(`without BIRD: ${why}`);
    return ready.get(BIRD);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** `routes`: of BIRD; undefined: without. */
function groundsFor(chosen: readonly About[], routes: number | undefined): Ground[] {
  const among = <P extends Place>(faults: readonly Fault<P>[]) =>
    faults.filter((fault) => chosen.some(({ name }) => name === fault.name));
  const [site, path] = [among(FAULTS), among(DATAPATH_FAULTS)];
  const wired = routes && Math.min(routes, ROUTES_WIRED);
  const share = (faults: readonly About[]) => faults.length / chosen.length;
  // The one with less of the time first: a single fault of the other may take all that there is of a short run.
  return [
    ...(path.length === 0
      ? []
      : [ground(path, share(path), (random) => WiredSite.start({ random, routes: wired }))]),
    ...(site.length === 0 ? [] : [ground(site, share(site), (random) => Site.start({ random, routes }))]),
  ];
}

async function onePiece(
  seed: number,
  minutes: number,
  grounds: readonly Ground[],
  earlier: Recoveries,
): Promise<Recoveries> {
  console.log(`seed ${seed}, ${minutes} minutes`);
  const milliseconds = minutes * 60_000;
  const end = performance.now() + milliseconds;
  const piece: Piece = { seed, milliseconds, end, recoveries: new Map(), earlier };
  // What changes is another matter than in which order: how much of it there is depends on the time.
  const order = new Random(seed);
  for (let turn = 0; performance.now() < piece.end; turn++) {
    if (await grounds[turn % grounds.length]!(piece, order)) continue;
    console.log(`\nfailed; again with: npm run chaos -- --minutes ${minutes} --seed ${seed}`);
    process.exitCode = 1;
    break;
  }
  return piece.recoveries;
}

/**
 * Faults on one place after the other, until the time is over, or there were enough.
 *
 * @param share of the time of a piece: other faults are to have their turn in it, too
 */
function ground<P extends Place>(
  faults: readonly Fault<P>[],
  share: number,
  start: (random: Random) => Promise<P>,
): Ground {
  let begun = 0;
  /** Each piece has the places that its seed gives it alone. */
  let begunOf: number | undefined;
  return async ({ seed, milliseconds, end, recoveries, earlier }, order) => {
    const until = Math.min(end, performance.now() + milliseconds * share);
    const times = ({ name }: About) => (recoveries.get(name)?.length ?? 0) + (earlier.get(name)?.length ?? 0);
    if (begunOf !== seed) begun = 0;
    begunOf = seed;
    let place: P | undefined;
    let isWell = false;
    try {
      place = await start(new Random(seed + ++begun));
      place.churn(120);
      await place.right(120);
      const first = place.usage();
      let usual = first;
      console.log(
        `a host with ${mebibytes(first.memory)} MiB, its plugin with ${mebibytes(first.plugin)} MiB`,
      );
      for (let count = 0; count < FAULTS_PER_PLACE && (count === 0 || performance.now() < until); count++) {
        // Each at least once, in random order, before any comes again; what no piece had time for so far comes first.
        const least = Math.min(...faults.map(times));
        const fault = order.pick(faults.filter((one) => times(one) === least));
        process.stdout.write(fault.name.padEnd(24));
        const began = performance.now();
        const outcome = await tryFault(place, fault, usual);
        recoveries.set(fault.name, [...(recoveries.get(fault.name) ?? []), outcome]);
        const whole = ((performance.now() - began) / 1000).toFixed(1);
        const now = place.usage();
        const memory = `${mebibytes(now.memory)} and ${mebibytes(now.plugin)} MiB`;
        console.log(`right after ${outcome.seconds.toFixed(1)} s, ${whole} s in all, ${memory}`);
        if (count < FIRST_FAULTS) usual = grown(usual, now, first);
      }
      isWell = true;
    } catch (error) {
      console.log(
        `FAILED\n${error instanceof Error ? error.message : error}\n${place ? lastLines(place.host.output) : ''}`,
      );
    }
    try {
      await place?.close();
    } catch (error) {
      console.log(`FAILED\n${error instanceof Error ? error.message : error}`);
      isWell = false;
    }
    return isWell;
  };
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

/** Those that were tried, in the order of the list. */
function rowsOf(recoveries: Recoveries) {
  return ALL.flatMap(({ name, what, within }) => {
    const outcomes = recoveries.get(name) ?? [];
    const sorted = outcomes.map(({ seconds }) => seconds).sort((a, b) => a - b);
    if (sorted.length === 0) return [];
    return [{ name, what, outcomes, median: median(sorted), longest: sorted.at(-1)!, limit: within }];
  });
}

function table(recoveries: Recoveries): string {
  const lines = rowsOf(recoveries).map(({ name, what, outcomes, median, longest, limit }) => {
    const numbers = `${outcomes.length} | ${median.toFixed(1)} | ${longest.toFixed(1)} | ${limit}`;
    return `| \`${name}\` | ${what} | ${numbers} | ${seenIn(outcomes.at(-1)!)} |`;
  });
  return [
    '| fault | what | times | median s | longest s | limit s | told in |',
    '|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

/** Where the host told of it, and why not elsewhere. */
function seenIn({ signs }: Outcome): string {
  const places = SIGNS.filter((name) => name !== 'happened');
  const isTold = (name: (typeof places)[number]) =>
    !(typeof signs[name] === 'object' && 'not' in signs[name]);
  const told = places.filter(isTold);
  const reasons = new Map<string, string[]>();
  for (const name of places) {
    const sign = signs[name];
    if (typeof sign === 'object' && 'not' in sign)
      reasons.set(sign.not, [...(reasons.get(sign.not) ?? []), name]);
  }
  const missing = [...reasons].map(([why, names]) => `not in ${names.join(', ')}: ${why}`);
  return [told.join(', '), ...missing].filter(Boolean).join('; ');
}

function writePage(recoveries: Recoveries, how: string, daemon: string): void {
  const [before, rest] = readFileSync(PAGE, 'utf8').split('<!-- chaos -->\n') as [string, string];
  const after = rest.slice(rest.indexOf('<!-- /chaos -->'));
  const about = `${how}, ${daemon}, EKHO ${VERSION}; ${where()}.`;
  const picture = '![Seconds from the end of a fault until all is right](chaos.svg)';
  const text = `${about}\n\n${picture}\n\n${table(recoveries)}`;
  writeFileSync(PAGE, `${before}<!-- chaos -->\n${text}\n${after}`);
  writeFileSync(PAGE.replace(/\.md$/, '.svg'), plotRecoveries(rowsOf(recoveries)));
  console.log(`written to docs/${PAGE.slice(join(PAGE, '..').length + 1)}`);
}
