import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { checkNeeds } from '../../../host/demo/needs.ts';

/** A folder with files of these names. */
function folderOf(...names: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-needs-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const name of names) writeFileSync(join(folder, name), '');
  return folder;
}

test('names the packages of all that is missing', () => {
  const empty = folderOf();
  expect(() => checkNeeds(empty, join(empty, 'datapath.bpf.o'))).toThrow(
    expect.objectContaining({
      code: 'E_DEMO',
      remedy: expect.stringContaining('apt install iproute2 iputils-ping clang libbpf-dev;'),
    }),
  );
});

test('without ping names ping alone', () => {
  const folder = folderOf('ip', 'tc', 'object');
  expect(() => checkNeeds(folder, join(folder, 'object'))).toThrow(
    expect.objectContaining({ message: 'the demo lacks the command ping' }),
  );
});

test('with all there says nothing', () => {
  const folder = folderOf('ip', 'tc', 'ping', 'object');
  checkNeeds(folder, join(folder, 'object'));
});
