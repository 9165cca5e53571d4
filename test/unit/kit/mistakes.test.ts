/** What a newcomer does wrong is told in words that help. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EkhoError } from '../../../host/errors.ts';
import { buildProject } from '../../../plugins/kit/build/index.ts';
import { newPlugin } from '../../../plugins/kit/new.ts';
import { type Language, readProject } from '../../../plugins/kit/project.ts';
import { vendorFolder } from './support.ts';

let vendor: ReturnType<typeof vendorFolder>;

beforeEach(() => {
  vendor = vendorFolder();
});
afterEach(() => vendor[Symbol.dispose]());

/** A template with one text of one file replaced by another. */
function changed(language: Language, file: string, from: string, to: string): string {
  const { folder } = newPlugin('mynic', language, vendor.path);
  const path = join(folder, file);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
  return folder;
}

async function told(folder: string): Promise<unknown> {
  try {
    await buildProject(readProject(folder));
  } catch (error) {
    if (error instanceof EkhoError) return [error.code, error.message, error.remedy];
    throw error;
  }
  return 'it was built';
}

test.each([
  [
    'language = "c"',
    'language = "C"',
    /there is no language "C"/,
    'Use c, assemblyscript, typescript, rust.',
  ],
  ['language = "c"', 'language = 3', /language is no text/, 'Write language = "…".'],
  ['language = "c"\n', '', /language is missing/, 'Add language = "…".'],
  ['"asic-plugin"', '"asic"', /there is no world "asic"/, /^Use .*asic-plugin, /],
  ['name =', 'nmae =', /there is no key nmae/, 'Keys are name, language, version, licence, world.'],
  ['name = "mynic"', 'name = "My NIC"', /a plugin cannot be named "My NIC"/, /^Use lower-case letters/],
])('plugin.toml: %s', async (from, to, message, remedy) => {
  const folder = changed('c', 'plugin.toml', from, to);
  expect(await told(folder)).toEqual([
    'E_PROJECT',
    expect.stringMatching(message),
    expect.stringMatching(remedy),
  ]);
});

test('a function of the contract that is not there', { timeout: 120_000 }, async () => {
  const folder = changed('c', 'plugin.c', '#define EKHO_IMPLEMENT', '');
  expect(await told(folder)).toEqual([
    'E_BUILD',
    expect.stringMatching(/^the plugin has no function \w+ of ekho:offload\/\w+@/),
    expect.stringContaining('define EKHO_IMPLEMENT'),
  ]);
  rmSync(join(folder, 'plugin.c'));
  expect(await told(folder)).toEqual(['E_BUILD', `${folder} has no .c file`, expect.any(String)]);
});

test('an interface of the contract that is not exported', async () => {
  const folder = changed('typescript', 'plugin.ts', 'export const stats', 'const stats');
  const remedy = 'Export a constant per interface from plugin.ts (docs/plugins.md).';
  expect(await told(folder)).toEqual(['E_BUILD', 'plugin.ts does not export stats', remedy]);
});

test('a call of an interface that the world does not have', { timeout: 120_000 }, async () => {
  const folder = changed('assemblyscript', 'plugin.toml', '"asic-plugin"', '"tables-plugin"');
  expect(await told(folder)).toEqual([
    'E_BUILD',
    expect.stringMatching(/no exported member 'Asic/),
    undefined,
  ]);
});
