/** The columns of docs/kernels.md and the files each is made from: what the suite found out on that kernel. */
import { join } from 'node:path';
import { CHECKOUT } from './machine.ts';

/** Flavour and architecture. */
export const COLUMNS = [
  ['6.1', 'amd64'],
  ['6.12', 'amd64'],
  ['newest', 'amd64'],
  ['6.12', 'arm64'],
] as const;

export const TABLE_FILE = join(CHECKOUT, 'docs/kernels.md');

export function columnFile(kernel: string, arch: string): string {
  return join(CHECKOUT, 'test/lab/kernels', `${kernel}-${arch}.json`);
}
