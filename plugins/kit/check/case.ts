/** Reads cases of the suite: a TOML file each, checked before any of them runs. */

import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'smol-toml';
import { Value } from 'typebox/value';
import { EkhoError } from '../../../host/errors.ts';
import { type Entry, type Kind, parseEntry } from './entry.ts';
import { ACTIONS, type CaseFile, CaseSchema, type CaseStep } from './schema.ts';
import { fill, type Numbers } from './template.ts';

/** The suite's own cases. */
export const CASES_FOLDER = fileURLToPath(new URL('../cases/', import.meta.url));

/** Interface indexes of the ports that objects of kinds with links are on. */
export const OFFLOAD_LINKS = [101, 102, 103, 104] as const;

/** Lines that one step may be repeated to: a mistyped range would fill memory. */
const LINES_MAX = 200_000;

export interface Case {
  /** The file's name without `.toml`. */
  readonly name: string;
  readonly file: string;
  readonly says: CaseFile;
  /** Those of the files it includes first. */
  readonly steps: readonly CaseStep[];
  /** Kinds of entry in it. */
  readonly kinds: ReadonlySet<Kind>;
  /** Members of its largest group. */
  readonly members: number;
  /** Interface indexes of its ports. */
  readonly ports: ReadonlySet<number>;
}

/** Cases of a folder by name. @throws EkhoError E_CASE naming file and step */
export function readCases(folder: string): Case[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.toml'));
  } catch (error) {
    throw new EkhoError('E_CASE', `${folder}: ${(error as Error).message}`, {
      remedy: 'Name a folder with cases (docs/plugins/cases.md).',
      cause: error,
    });
  }
  return names.sort().map((name) => readCase(join(folder, name)));
}

function readCase(file: string): Case {
  const says = readFile(file);
  const steps = [
    ...(says.include ?? []).flatMap((path) => readFile(included(file, path)).steps),
    ...says.steps,
  ];
  const kinds = new Set<Kind>();
  const ports = new Set<number>();
  let members = 0;
  for (const [index, step] of steps.entries()) {
    if (step.offloads !== undefined) {
      kinds.add('custom');
      for (const ifindex of OFFLOAD_LINKS) ports.add(ifindex);
    }
    for (const entry of attempt(file, index, () => entriesOf(step, says.tables))) {
      kinds.add(entry.kind);
      const { ifindex } = entry.value;
      if (entry.kind === 'port' && typeof ifindex === 'number' && ifindex > 0) ports.add(ifindex);
      members = Math.max(members, entry.members?.length ?? 0);
    }
  }
  return { name: basename(file, '.toml'), file, says, steps, kinds, members, ports };
}

/** A file of the case's own folder or, for cases of vendors, one of the suite's. */
function included(file: string, path: string): string {
  const own = join(dirname(file), path);
  try {
    readFileSync(own);
    return own;
  } catch {
    return join(CASES_FOLDER, path);
  }
}

function readFile(file: string): CaseFile {
  let says: unknown;
  try {
    says = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw invalid(file, (error as Error).message, error);
  }
  const [error] = Value.Errors(CaseSchema, says);
  if (error !== undefined)
    throw invalid(file, `${error.instancePath.replaceAll('/', '.').slice(1) || 'the file'} ${error.message}`);
  const found = says as CaseFile;
  for (const [index, step] of found.steps.entries()) {
    const actions = Object.keys(step).filter((key) => key in ACTIONS);
    if (actions.length !== 1)
      throw invalid(file, `step ${index + 1} does ${actions.join(' and ') || 'nothing'}: one thing is meant`);
  }
  return found;
}

function attempt<T>(file: string, step: number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw invalid(file, `step ${step + 1}: ${(error as Error).message}`, error);
  }
}

function invalid(file: string, what: string, cause?: unknown): EkhoError {
  return new EkhoError('E_CASE', `${file}: ${what}`, { remedy: 'See docs/plugins/cases.md.', cause });
}

/** All entries a step sends; of `capacity`, as many as a table of the size that the case gives is sent. */
function entriesOf(step: CaseStep, tables: CaseFile['tables'] = {}): Entry[] {
  const rounds = step.storm?.rounds ?? step.latency?.rounds ?? [];
  const lines = [...(step.apply ?? []), ...(step.hostile ?? []), ...rounds.flat()];
  if (step.capacity === undefined) return expand(lines, step.for);
  const { line, beyond } = step.capacity;
  const { kind } = parseEntry(fill(line, { i: 1 }));
  return expand([line], { i: [1, (tables[kind] ?? 0) + beyond] });
}

/** The entries of lines, each repeated for all numbers of `ranges`. */
export function expand(lines: readonly string[], ranges: CaseStep['for']): Entry[] {
  let numbers: Numbers[] = [{}];
  for (const [name, [first, last]] of Object.entries(ranges ?? {})) {
    if (numbers.length * (last - first + 1) > LINES_MAX) throw new RangeError(`more than ${LINES_MAX} lines`);
    numbers = numbers.flatMap((one) =>
      Array.from({ length: last - first + 1 }, (_, index) => ({ ...one, [name]: first + index })),
    );
  }
  return lines.flatMap((line) =>
    line.includes('{') ? numbers.map((one) => parseEntry(fill(line, one))) : [parseEntry(line)],
  );
}
