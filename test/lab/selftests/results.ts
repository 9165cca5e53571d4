/** What became of the kernel's selftests when each of them ran last: a file of each, from which docs/firmware-selftests.md is made. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from '../machine.ts';
import { SELFTESTS, type Selftest } from './list.ts';
import type { Outcome } from './output.ts';

export const PAGE_FILE = join(CHECKOUT, 'docs/firmware-selftests.md');
const FOLDER = join(CHECKOUT, 'test/lab/selftests/results');

export interface TestResult {
  readonly test: Pick<Selftest, 'name' | 'notes'>;
  /** Of the kernel. */
  readonly release: string;
  readonly outcomes: readonly Outcome[];
  /** Where the test is of netdevsim: what it says of netdevsim itself, in the same guest. */
  readonly netdevsim?: readonly Outcome[];
}

/** Of all that ran, in the order of the list. */
export function readResults(): TestResult[] {
  return SELFTESTS.filter(({ name }) => existsSync(fileOf(name))).map((test) => ({
    test,
    ...(JSON.parse(readFileSync(fileOf(test.name), 'utf8')) as Omit<TestResult, 'test'>),
  }));
}

export function writeResult({ test, ...result }: TestResult): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(fileOf(test.name), `${JSON.stringify(result, undefined, 2)}\n`);
}

const fileOf = (name: string) => join(FOLDER, `${name}.json`);
