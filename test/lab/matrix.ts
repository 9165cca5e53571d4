/**
 * docs/kernels.md, the table of what works on which kernel. The suite finds out (capabilities.ts, kernels.test.ts) and
 * leaves a file for each column; the table is made of these alone. `npm run lab:matrix` runs the suite on every column's
 * kernel and writes both; with names such as `newest-amd64` on these alone, with `--render` on none.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Capabilities, Section } from './capabilities.ts';
import { CHECKOUT, LabError } from './machine.ts';
import { COLUMNS, columnFile, TABLE_FILE } from './matrix-files.ts';

export interface Skip {
  readonly name: string;
  readonly reason: string;
}

/** What scripts/reporter.mjs tells of a test file. */
interface FileResult {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly Skip[];
}

const TESTS = 'Tests of the lab';

export type Column = Capabilities;

/** Tests that hold on every machine of a guest say nothing of its kernel. */
const NOT_SHOWN = new Set(['test/lab/kernels.test.ts']);
/** Longest the suite may take on one kernel, in milliseconds. */
const SUITE_LIMIT = 40 * 60_000;

/**
 * Writes a column's file from what a run of the suite left in `exchange`. Where only some tests ran, results of the others on
 * the same kernel stay. @throws LabError if the run fell over before its end
 */
export function record(kernel: string, arch: string, exchange: string): void {
  let capabilities: Capabilities;
  let files: Record<string, FileResult>;
  try {
    capabilities = JSON.parse(readFileSync(join(exchange, 'capabilities.json'), 'utf8'));
    files = JSON.parse(readFileSync(join(exchange, 'results.json'), 'utf8')).files;
  } catch (error) {
    throw new LabError(`The run left nothing to record: ${(error as Error).message}`);
  }
  const file = columnFile(kernel, arch);
  const before = readColumn(file);
  const others = before?.release === capabilities.release ? before.sections[TESTS] : {};
  const results = Object.entries({ ...others, ...tests(files) }).sort(([a], [b]) => (a < b ? -1 : 1));
  const column: Column = {
    ...capabilities,
    sections: { ...capabilities.sections, [TESTS]: Object.fromEntries(results) },
  };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(column, null, 2)}\n`);
}

function tests(files: Readonly<Record<string, FileResult>>): Section {
  const rows: Record<string, string> = {};
  for (const [name, { passed, failed, skipped }] of Object.entries(files)) {
    if (NOT_SHOWN.has(name)) continue;
    const why = skipped.map(asText).join('; ');
    if (failed > 0) rows[name] = `no: ${failed} failed`;
    else if (passed === 0) rows[name] = `no: ${why}`;
    else rows[name] = skipped.length === 0 ? 'yes' : `in part: ${why}`;
  }
  return rows;
}

const asText = ({ name, reason }: Skip) => `${name}: ${reason}`;

/** Whether a column says that this test skips itself there. */
export function isInTable(kernel: string, arch: string, skip: Skip): boolean {
  const column = readColumn(columnFile(kernel, arch));
  return Object.values(column?.sections[TESTS] ?? {}).some((answer) => answer.includes(asText(skip)));
}

/** Those that were recorded. */
export function readColumns(): Column[] {
  return COLUMNS.map(([kernel, arch]) => readColumn(columnFile(kernel, arch))).filter(
    (column) => column !== undefined,
  );
}

function readColumn(file: string): Column | undefined {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

/** The document; reasons stand below the tables, each once. */
export function render(columns: readonly Column[]): string {
  const notes = new Map<string, number>();
  const cell = (answer: string | undefined): string => {
    if (answer === undefined) return '';
    const [, word, why] = /^(no|in part): (.*)$/s.exec(answer) ?? [];
    if (why === undefined) return answer;
    if (!notes.has(why)) notes.set(why, notes.size + 1);
    return `${word} [${notes.get(why)}]`;
  };
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  const titles = [...new Set(columns.flatMap(({ sections }) => Object.keys(sections)))];
  let text = HEAD;
  for (const title of titles) {
    text += `\n## ${title}\n\n`;
    text += row(['', ...columns.map(({ release, arch }) => `${shortRelease(release)} ${arch}`)]);
    text += row(['---', ...columns.map(() => '---')]);
    const names = [...new Set(columns.flatMap(({ sections }) => Object.keys(sections[title] ?? {})))];
    for (const name of names) {
      text += row([name, ...columns.map(({ sections }) => cell(sections[title]?.[name]))]);
    }
  }
  text += '\n## Kernels\n\n';
  for (const { release, arch, libbpf } of columns) text += `- ${release}, ${arch}, with libbpf ${libbpf}\n`;
  text += '\n## Why not\n\n';
  for (const [why, number] of notes) text += `${number}. ${why.replaceAll('\n', ' ')}\n`;
  return text;
}

const HEAD = `# Kernels

What works on which of Debian's stock kernels, tried in [the lab](lab.md): 6.1 of Debian 12, 6.12 of Debian 13, and the newest 6.x
that Debian's archive offers. This file is written by \`npm run lab:matrix\`, of what the lab's suite finds out on each.
`;

/** 6.12.117+deb13-amd64: 6.12 */
function shortRelease(release: string): string {
  return /^\d+\.\d+/.exec(release)?.[0] ?? release;
}

if (import.meta.main) {
  const names = process.argv.slice(2);
  const wanted = names.includes('--render')
    ? []
    : COLUMNS.filter(([kernel, arch]) => names.length === 0 || names.includes(`${kernel}-${arch}`));
  let failed = 0;
  for (const [kernel, arch] of wanted) {
    const words = ['test/lab/suite.ts', '--record', '--kernel', kernel, '--arch', arch];
    const { status } = spawnSync(process.execPath, words, {
      cwd: CHECKOUT,
      stdio: 'inherit',
      timeout: SUITE_LIMIT,
    });
    if (status !== 0) failed++;
  }
  writeFileSync(TABLE_FILE, render(readColumns()));
  process.exitCode = failed > 0 ? 1 : 0;
}
