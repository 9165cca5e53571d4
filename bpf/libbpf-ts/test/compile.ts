/** Compiles the BPF C programs beside this file with the system's clang, once per change. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildBpf } from '../../build.mjs';

const SOURCES = join(import.meta.dirname, 'bpf');
const INCLUDE = join(import.meta.dirname, '../include');
const OUTPUT = join(import.meta.dirname, '../../../build/libbpf-ts');

export function compileFile(source: string, output: string): void {
  buildBpf({ source, output, includes: [INCLUDE] });
}

/** Path of the object made from NAME.bpf.c. */
export function compile(name: string): string {
  const output = join(OUTPUT, `${name}.bpf.o`);
  compileFile(join(SOURCES, `${name}.bpf.c`), output);
  return output;
}

/** Compiles all of them, for a guest that has no compiler. */
export function compileAll(): void {
  for (const file of readdirSync(SOURCES)) compile(file.replace(/\.bpf\.c$/, ''));
}
