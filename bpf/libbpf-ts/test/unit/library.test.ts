/** A libbpf that is missing, too old or not one at all; each in a process of its own, as the library is loaded once. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const INDEX = join(import.meta.dirname, '../../src/index.ts');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'libbpf-ts-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `expression` with the package as `bpf`; gives its value or the error's code and message. */
function ask(expression: string, library: string): { value?: unknown; code?: string; message?: string } {
  const script = `
    const bpf = await import(${JSON.stringify(INDEX)});
    try { console.log(JSON.stringify({ value: await (${expression}) })); }
    catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })); }`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, LIBBPF_TS_LIBRARY: library },
  });
  return JSON.parse(output.toString());
}

function library(name: string, source: string): string {
  const file = join(folder, `${name}.c`);
  const output = join(folder, `${name}.so`);
  writeFileSync(file, source);
  execFileSync('cc', ['-shared', '-fPIC', '-o', output, file]);
  return output;
}

test('the system library is loaded and tells its version', () => {
  expect(ask('bpf.libbpfVersion()', '').value).toMatchObject({ major: 1 });
});

test('missing', () => {
  const answer = ask('bpf.libbpfVersion()', join(folder, 'none.so'));
  expect(answer.code).toBe('E_LIBBPF_MISSING');
  expect(answer.message).toContain('none.so');
});

test('older than 1.0', () => {
  const path = library(
    'old',
    'unsigned libbpf_major_version(void) { return 0; } unsigned libbpf_minor_version(void) { return 8; }',
  );
  const answer = ask('bpf.libbpfVersion()', path);
  expect(answer).toMatchObject({ code: 'E_LIBBPF_OLD' });
  expect(answer.message).toContain('installed is 0.8');
});

test('so old that it does not tell its version', () => {
  const answer = ask('bpf.libbpfVersion()', library('older', 'int bpf_object__load(void *o) { return 0; }'));
  expect(answer).toMatchObject({ code: 'E_LIBBPF_OLD' });
  expect(answer.message).toContain('older than 0.6');
});

test('importing the package needs no library', () => {
  expect(ask('bpf.prefixKey("10.0.0.0/8").length', join(folder, 'none.so')).value).toBe(8);
});
