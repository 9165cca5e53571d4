/** What the package does before it is removed: plugins of a host that runs are disabled, however its file spells them. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { PluginStatus } from '../../host/api/schemas.ts';
import { ROOT } from '../../host/config/config.ts';
import { Bench, finish } from './cli-support.ts';

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
  bench.router();
  mkdirSync(join(bench.folder, 'bin'));
  const command = join(bench.folder, 'bin/ekho');
  writeFileSync(
    command,
    `#!/bin/sh\nEKHO_SOCKET=${bench.socket} exec ${process.execPath} ${join(ROOT, 'host/cli/ekho.mjs')} "$@"\n`,
  );
  chmodSync(command, 0o755);
});
afterEach(() => bench.end());

/** As dpkg runs it, where the folders that it empties are others than those of this machine. */
function remove() {
  const script = `
    for folder in /run /var/lib /sys/fs/bpf; do mount -t tmpfs none $folder; done
    mkdir /run/ekho && ln -s ${bench.socket} /run/ekho/ekho.sock
    sh ${join(ROOT, 'packaging/debian/prerm')} remove`;
  const env = { ...process.env, PATH: `${join(bench.folder, 'bin')}:${process.env.PATH}` };
  const stdio: ('ignore' | 'pipe')[] = ['ignore', 'pipe', 'pipe'];
  return finish(spawn('unshare', ['--mount', 'sh', '-ec', script], { env, stdio }), 120_000);
}

it('a plugin whose section is spelled otherwise is disabled', async () => {
  const file = join(bench.folder, 'ekho.toml');
  writeFileSync(
    file,
    '[ plugin."softnic" ] # uplink\ndevice = "asic0"\nports = ["p?"]\n[device.asic0]\nkind = "asic"\n',
  );
  await bench.start('--config', file);
  const { code, err } = await remove();
  expect([code, err]).toEqual([0, '']);
  const { out } = await bench.ekho('plugin', 'list', '--json');
  const states = (JSON.parse(out) as PluginStatus[]).filter(({ name }) => name === 'softnic');
  expect(states).toMatchObject([{ state: 'stopped' }]);
});

it('a host that does not answer keeps nobody from removing it', async () => {
  await bench.start();
  await bench.stop('SIGKILL');
  expect(await remove()).toMatchObject({ code: 0 });
});
