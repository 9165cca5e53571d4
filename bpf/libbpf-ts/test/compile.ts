/** Compiles the BPF C programs beside this file with the system's clang, once per change. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

const SOURCES = join(import.meta.dirname, 'bpf');
const INCLUDE = join(import.meta.dirname, '../include');
const OUTPUT = join(import.meta.dirname, '../../../build/libbpf-ts');

function newest(...folders: string[]): number {
  const files = folders.flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)));
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

export function compileFile(source: string, output: string): void {
  const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const include = [`-I${INCLUDE}`, `-I/usr/include/${architecture}-linux-gnu`];
  const flags = ['-O2', '-g', '-target', 'bpf', '-Wall', '-Werror', ...include];
  execFileSync('clang', [...flags, '-c', source, '-o', output], { stdio: ['ignore', 'inherit', 'pipe'] });
}

/** Path of the object made from NAME.bpf.c. */
export function compile(name: string): string {
  mkdirSync(OUTPUT, { recursive: true });
  const output = join(OUTPUT, `${name}.bpf.o`);
  if (existsSync(output) && statSync(output).mtimeMs > newest(SOURCES, INCLUDE)) return output;
  // Test processes may compile the same file at once: each into its own, then into place.
  const own = `${output}.${process.pid}`;
  compileFile(join(SOURCES, `${name}.bpf.c`), own);
  renameSync(own, output);
  return output;
}

/** Compiles all of them, for a guest that has no compiler. */
export function compileAll(): void {
  for (const file of readdirSync(SOURCES)) compile(file.replace(/\.bpf\.c$/, ''));
}
