/** Tables of what was measured, and the pages they are put into. */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../../host/config/config.ts';
import { table } from '../table.ts';
import type { Peer } from './peer.ts';

export interface ReportOptions {
  /** With their versions. */
  readonly peers: ReadonlyMap<Peer, string>;
  /** With the reason why they are not measured. */
  readonly missing: ReadonlyMap<Peer, string>;
  /** For temporary files. */
  readonly folder: string;
  readonly rounds: number;
  readonly limit_ms: number;
  readonly isQuick: boolean;
  /** Into docs/benchmarks. */
  readonly isWritten: boolean;
  say(line: string): void;
}

export interface Aim {
  readonly what: string;
  readonly measured: number;
  readonly limit: number;
  readonly unit: string;
}

const PAGES = join(ROOT, 'docs/benchmarks');
const BEGIN = '<!-- measured -->\n';
const END = '<!-- /measured -->';

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Three digits that mean something. */
export function digits(number: number): string {
  if (number === 0) return '0';
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(number))));
  return Math.abs(number) >= 1000
    ? Math.round(number).toLocaleString('en')
    : number.toFixed(Math.min(places, 4));
}

/** The median, and between which the others were. */
export function spread(numbers: readonly number[]): string {
  if (numbers.length === 1) return digits(numbers[0]!);
  return `${digits(median(numbers))} (${digits(Math.min(...numbers))}–${digits(Math.max(...numbers))})`;
}

export function aimsTable(aims: readonly Aim[], { isQuick }: Pick<ReportOptions, 'isQuick'>): string {
  if (isQuick) return 'Aims are for whole tables: the numbers of `--quick` say nothing of them.';
  const rows = aims.map(({ what, measured, limit, unit }) => [
    what,
    `≤ ${digits(limit)}${unit}`,
    `${digits(measured)}${unit}`,
    measured <= limit ? 'met' : '**missed**',
  ]);
  return table([['aim', 'limit', 'measured', ''], ...rows]);
}

/** Of the bench, over what else ran: `chrt` before it. */
function precedence(): string {
  const isFirst = /^policy\s*:\s*[12]$/m.test(readFileSync('/proc/self/sched', 'utf8'));
  return isFirst ? ', which the bench had precedence over (`chrt`)' : '';
}

/** Where it was measured. */
export function where(): string {
  const model = cpus()[0]?.model ?? 'unknown';
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  const load = loadavg()[0]!.toFixed(1);
  return `${availableParallelism()} × ${model}, ${memory} GiB, Linux ${release()}, Node ${process.versions.node}; load average ${load} at the end${precedence()}`;
}

/** Where and with what it was measured. */
export function machine({ peers, missing, rounds }: ReportOptions): string {
  const versions = [...new Set([...peers].map(([{ name }, version]) => `${name}: ${version}`))].join('; ');
  const left = [...missing].map(([{ name }, why]) => `\n\n${name} was left out: ${why}`).join('');
  const how =
    rounds === 1
      ? 'One round'
      : `Medians of ${rounds} rounds, in which all took turns, and the least and most of them`;
  return `${where()}. ${how}.${versions === '' ? '' : `\n\n${versions}.`}${left}`;
}

/** Puts the text between the marks of a page, and pictures beside it. */
export function writePage(name: string, text: string, pictures: Readonly<Record<string, string>>): void {
  const path = join(PAGES, `${name}.md`);
  const page = readFileSync(path, 'utf8');
  const begin = page.indexOf(BEGIN) + BEGIN.length;
  const end = page.indexOf(END);
  if (begin < BEGIN.length || end < begin) throw new Error(`${path} has no marks of what was measured`);
  writeFileSync(path, `${page.slice(0, begin)}${text}\n${page.slice(end)}`);
  for (const [picture, svg] of Object.entries(pictures)) writeFileSync(join(PAGES, `${picture}.svg`), svg);
}
