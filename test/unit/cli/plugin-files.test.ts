/** The commands for a plugin's file, given what is no file of a plugin: one line says what it is, and nothing waits for it. */

import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../../../host/config/config.ts';
import { temporaryFolder } from '../plugin/probe.ts';

let folder: ReturnType<typeof temporaryFolder>;

beforeAll(async () => {
  folder = temporaryFolder();
  expect((await ekho('keygen', at('vendor'))).code).toBe(0);
});

afterAll(() => folder[Symbol.dispose]());

const at = (name: string) => join(folder.path, name);

async function ekho(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const command = [join(ROOT, 'host/cli/ekho.mjs'), 'plugin', ...words];
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, command, { timeout: 60_000 });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as unknown as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

test('what is signed and verified', async () => {
  const file = at('good.wasm');
  writeFileSync(file, 'some bytes');
  expect(await ekho('verify', file)).toMatchObject({
    code: 1,
    out: `${file}: not signed: there is no ${file}.sig\n`,
  });
  expect(await ekho('sign', file, '-s', at('vendor.key'))).toMatchObject({ code: 0, out: `${file}.sig\n` });
  const { ino } = statSync(`${file}.sig`);
  expect((await ekho('verify', file)).out).toMatch(
    /signed by key [0-9A-F]{16}, which is not trusted: no key was given, use --key or --config\n$/,
  );
  expect((await ekho('verify', file, '-k', at('vendor.pub'))).code).toBe(0);
  // Another file takes the old one's place: nobody reads half a signature.
  expect((await ekho('sign', file, '-s', at('vendor.key'), '-m', 'again')).code).toBe(0);
  expect(statSync(`${file}.sig`).ino).not.toBe(ino);
  expect(readdirSync(folder.path).filter((name) => name.startsWith('good'))).toEqual([
    'good.wasm',
    'good.wasm.sig',
  ]);
  expect((await ekho('verify', file, '-k', at('vendor.pub'))).out).toMatch(/: again\n$/);
});

test.each([
  ['a pipe', 'it is not a regular file', (file: string) => execFileSync('mkfifo', [file])],
  ['a device', 'it is not a regular file', (file: string) => symlinkSync('/dev/zero', file)],
  [
    'a link to nothing',
    'it is a link to a file that is not there',
    (file: string) => symlinkSync('gone', file),
  ],
  ['a link to itself', 'it is a link that leads back to itself', (file: string) => symlinkSync(file, file)],
  [
    'more than a plugin may be',
    'it is larger than 33554432 bytes',
    (file: string) => {
      writeFileSync(file, '');
      truncateSync(file, 2 ** 33);
    },
  ],
  ['no file', 'there is no such file', () => {}],
])('%s', async (name, told, make) => {
  const file = at(`${name}.wasm`);
  make(file);
  for (const words of [
    ['verify', file],
    ['sign', file, '-s', at('vendor.key')],
    ['inspect', file],
  ]) {
    const { code, out, err } = await ekho(...words);
    expect([code === 1 || code === 2, out], words.join(' ')).toEqual([true, '']);
    expect(err.split('\n')).toEqual([`ekho: ${file}: ${told}`, expect.stringMatching(/\w\.$/), '']);
  }
  expect(readdirSync(folder.path).filter((one) => one.endsWith('.sig') && one.startsWith(name))).toEqual([]);
});

test('a key that is none', async () => {
  const file = at('good.wasm');
  execFileSync('mkfifo', [at('pipe.key')]);
  writeFileSync(at('empty.key'), '');
  expect((await ekho('sign', file, '-s', at('pipe.key'))).err).toContain('it is not a regular file');
  expect((await ekho('sign', file, '-s', at('empty.key'))).err).toMatch(/secret key/);
  expect((await ekho('verify', file, '-k', at('pipe.key'))).err).toContain('it is not a regular file');
  expect((await ekho('verify', file, '-k', 'nothing')).err).toMatch(/"nothing" is not a public key/);
});
