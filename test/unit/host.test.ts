/** What is wrong with the folder of plugins is told, and the mirror goes on. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { defaultConfig } from '../../host/config/config.ts';
import { Host } from '../../host/host.ts';
import { KIND } from '../../host/mirror/types.ts';

let folder: string;
let host: Host | undefined;
let said: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-host-'));
  said = [];
});

afterEach(async () => {
  await host?.stop();
  host = undefined;
  rmSync(folder, { recursive: true });
});

/** Mirrors the links of this network namespace, which takes no rights. */
function make(plugins: string): Host {
  const config = defaultConfig();
  const made = new Host(
    {
      ...config,
      file: join(folder, 'ekho.toml'),
      mirror: { ...config.mirror, kinds: ['link'] },
      plugins: { ...config.plugins, folder: plugins, cache: join(folder, 'cache') },
    },
    (line) => said.push(line),
  );
  host = made;
  return made;
}

async function start(plugins: string): Promise<Host> {
  const made = make(plugins);
  await made.start();
  return made;
}

test('a folder that is not there', async () => {
  const gone = join(folder, 'gone');
  const made = await start(gone);
  expect(made.mirror.count(KIND.link)).toBeGreaterThan(0);
  expect(made.plugins.list()).toMatchObject([
    {
      name: 'softnic',
      state: 'missing',
      reason: expect.stringContaining(`${gone} cannot be read`),
      remedy: expect.stringContaining('another folder'),
    },
  ]);
  expect(said).toContainEqual(
    expect.stringContaining(`no plugins: the plugin folder ${gone} cannot be read`),
  );
  await expect(made.plugins.restart('softnic')).rejects.toMatchObject({ code: 'E_CONFIG' });
});

test('a host that is stopped while it starts looks for no plugins any more', async () => {
  const made = make(join(folder, 'gone'));
  const started = made.start();
  const stopped = made.stop();
  await Promise.all([started, stopped]);
  expect(said.filter((line) => line.includes('plugin'))).toEqual([]);
  expect(made.plugins.list()).toMatchObject([{ name: 'softnic', state: 'found' }]);
});

test('files that the configuration does not name, and one that is a pipe', async () => {
  writeFileSync(join(folder, 'other.wasm'), 'never read');
  execFileSync('mkfifo', [join(folder, 'softnic.wasm')]);
  const made = await start(folder);
  expect(made.mirror.count(KIND.link)).toBeGreaterThan(0);
  expect(made.plugins.list()).toMatchObject([
    { name: 'softnic', state: 'refused', reason: expect.stringContaining('not a regular file') },
    { name: 'other', state: 'found', reason: 'no [plugin.other] in the configuration, or not enabled there' },
  ]);
});
