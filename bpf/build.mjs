/**
 * Compiles BPF C with the system's clang: `bpf/*.bpf.c` into build/bpf/*.bpf.o, where inputs changed. What an object was
 * made from is told by content, not by time: a copy of the checkout keeps its objects, also where there is no clang.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BPF = fileURLToPath(new URL('.', import.meta.url));
const OUTPUT = fileURLToPath(new URL('../build/bpf', import.meta.url));
const INCLUDES = [BPF, join(BPF, 'libbpf-ts/include')];
const FLAGS = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wall', '-Werror'];

/** Whether this machine can compile BPF programs: clang, and libbpf's headers. */
export function canBuildBpf() {
  return (
    existsSync('/usr/include/bpf/bpf_helpers.h') &&
    spawnSync('clang', ['--version'], { stdio: 'ignore' }).status === 0
  );
}

function inputsOf(source, includes) {
  const headers = includes.flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((name) => name.endsWith('.h'))
      .sort()
      .map((name) => readFileSync(join(folder, name), 'utf8')),
  );
  const inputs = JSON.stringify([readFileSync(source, 'utf8'), headers, FLAGS]);
  return createHash('sha256').update(inputs).digest('hex');
}

/**
 * Compiles one file, unless `output` was made from the same sources. One object serves every architecture: types of
 * the kernel are relocated when it is loaded.
 *
 * @param {{ source: string, output: string, includes?: string[] }} file
 * @returns {boolean} whether it had to be built
 * @throws {Error} with clang's messages, or when there is no clang
 */
export function buildBpf({ source, output, includes = INCLUDES }) {
  const hash = inputsOf(source, includes);
  const stamp = `${output}.inputs`;
  if (existsSync(output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return false;
  mkdirSync(dirname(output), { recursive: true });
  // Several processes may compile the same file at once: each into its own, then into place.
  const making = `${output}.${process.pid}`;
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const paths = [...includes, `/usr/include/${machine}-linux-gnu`].map((folder) => `-I${folder}`);
  execFileSync('clang', [...FLAGS, ...paths, '-c', source, '-o', making], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  renameSync(making, output);
  writeFileSync(stamp, hash);
  return true;
}

/**
 * Compiles all programs of the host.
 *
 * @returns {string[]} the objects that had to be built
 */
export function buildAllBpf() {
  const sources = readdirSync(BPF).filter((name) => name.endsWith('.bpf.c'));
  const files = sources.map((name) => ({
    source: join(BPF, name),
    output: join(OUTPUT, basename(name).replace(/\.c$/, '.o')),
  }));
  return files.filter(buildBpf).map(({ output }) => output);
}
