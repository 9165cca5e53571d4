/** The README's example prints what the README says; the published package, compiled to JavaScript, works as the sources. */

import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compile, compileFile } from '../compile.ts';

const PACKAGE = join(import.meta.dirname, '../..');
const MODULES = join(PACKAGE, '../../node_modules');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'libbpf-ts-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const node = (...args: string[]) => execFileSync(process.execPath, args).toString();

test('the example', () => {
  const readme = readFileSync(join(PACKAGE, 'README.md'), 'utf8');
  const source = readFileSync(join(PACKAGE, 'examples/tasks.ts'), 'utf8');
  const code = source.slice(source.indexOf('import'));
  expect(readme).toContain(code.replace('../src/index.ts', 'libbpf-ts'));
  const object = join(folder, 'tasks.bpf.o');
  compileFile(join(PACKAGE, 'examples/tasks.bpf.c'), object);
  const output = node(join(PACKAGE, 'examples/tasks.ts'), object);
  expect(readme).toContain(`\`\`\`\n${output}\`\`\``);
});

test('the compiled package', () => {
  const dist = join(folder, 'libbpf-ts/dist');
  const typescript = join(MODULES, 'typescript/bin/tsc');
  node(typescript, '-p', join(PACKAGE, 'tsconfig.build.json'), '--outDir', dist);
  cpSync(join(PACKAGE, 'package.json'), join(folder, 'libbpf-ts/package.json'));
  symlinkSync(MODULES, join(folder, 'libbpf-ts/node_modules'));
  const user = join(folder, 'user.mjs');
  writeFileSync(
    user,
    `import { BpfObject } from './libbpf-ts/dist/index.js';
     const object = BpfObject.open(${JSON.stringify(compile('basics'))}).load();
     const ring = object.ringBuffer('events');
     let seen = 0;
     ring.start(() => { if (++seen === 90) { console.log('seen'); ring.close(); object.close(); } });
     object.program('emit').run({ context: new Uint8Array(new Uint32Array([100, 0, 0]).buffer) });`,
  );
  expect(node(user)).toBe('seen\n');
});
