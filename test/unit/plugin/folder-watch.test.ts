/** The plugin folder as others write in it: they hold up nobody, and push nobody out. */

import { appendFileSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FolderWatch, listPlugins, PLUGINS_MAX } from '../../../host/plugin/folder-watch.ts';
import { temporaryFolder } from './probe.ts';

let folder: ReturnType<typeof temporaryFolder>;
let watch: FolderWatch | undefined;
let told: string[];

beforeEach(() => {
  folder = temporaryFolder();
  told = [];
});

afterEach(() => {
  watch?.close();
  watch = undefined;
  folder[Symbol.dispose]();
});

const put = (name: string) => writeFileSync(join(folder.path, name), 'x');

async function start(wanted: readonly string[]): Promise<void> {
  const wants = (name: string) => wanted.includes(name);
  const known = await listPlugins(folder.path, wants);
  watch = new FolderWatch(folder.path, known, wants, (change, name) => told.push(`${name} ${change}`));
}

test('whoever goes on writing postpones nothing', async () => {
  await start(['vendor']);
  put('vendor.wasm');
  const writing = setInterval(() => appendFileSync(join(folder.path, 'notes.txt'), 'x'), 20);
  try {
    await expect.poll(() => told).toEqual(['vendor added']);
  } finally {
    clearInterval(writing);
  }
});

test('files with earlier names push out neither what is wanted nor what is known', async () => {
  put('known.wasm');
  put('vendor.wasm');
  await start(['vendor', 'wanted']);
  for (let count = 0; count < PLUGINS_MAX; count++) put(`${1000 + count}.wasm`);
  put('wanted.wasm');
  const others = PLUGINS_MAX - 3;
  await expect.poll(() => told.length).toBe(others + 1);
  expect(told).toContain('wanted added');
  expect(told.filter((line) => line.endsWith('removed'))).toEqual([]);
});

test('a folder that takes the place of another is followed, as is what a link in it leads to', async () => {
  const limit = { timeout: 60_000, interval: 20 };
  put('before.wasm');
  await start(['vendor']);
  const other = temporaryFolder();
  try {
    writeFileSync(join(other.path, 'target'), 'x');
    renameSync(folder.path, join(other.path, 'old'));
    mkdirSync(folder.path);
    symlinkSync(join(other.path, 'target'), join(folder.path, 'linked.wasm'));
    await expect.poll(() => told.toSorted(), limit).toEqual(['before removed', 'linked added']);
    put('vendor.wasm');
    await expect.poll(() => told, limit).toContain('vendor added');
    appendFileSync(join(other.path, 'target'), 'x');
    await expect.poll(() => told, limit).toContain('linked changed');
  } finally {
    other[Symbol.dispose]();
  }
}, 240_000);
