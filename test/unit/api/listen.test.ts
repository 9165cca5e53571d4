/** Where the API is served: which of several hosts gets a socket. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fastify } from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { listenUnix } from '../../../host/api/listen.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-listen-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('gives a socket that was left behind to one of several', async () => {
  const path = join(folder, 'ekho.sock');
  const script = `import net from 'node:net'; net.createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['--input-type=module', '--eval', script]);
  expect(statSync(path).isSocket()).toBe(true);
  const apps = Array.from({ length: 4 }, () => fastify());
  try {
    const results = await Promise.allSettled(apps.map((app) => listenUnix(app, path)));
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.map(({ reason }) => reason.code)).toEqual(Array(3).fill('E_SOCKET_BUSY'));
    expect(statSync(path).mode & 0o777).toBe(0o600);
  } finally {
    await Promise.all(apps.map((app) => app.close()));
  }
});

it('gives the socket away when its server closes', async () => {
  const path = join(folder, 'ekho.sock');
  for (let turn = 0; turn < 2; turn++) {
    const app = fastify();
    await listenUnix(app, path);
    await app.close();
    expect(existsSync(path)).toBe(false);
  }
});

it('makes the folders of its path', async () => {
  const path = join(folder, 'one', 'two', 'ekho.sock');
  const app = fastify();
  await listenUnix(app, path);
  expect(statSync(join(folder, 'one')).mode & 0o777).toBe(0o700);
  await app.close();
});

it('names the path where no folder can be made', async () => {
  const path = '/proc/ekho-test/sub/ekho.sock';
  await expect(listenUnix(fastify(), path)).rejects.toMatchObject({
    code: 'E_SOCKET_ACCESS',
    message: `cannot make the socket ${path} (ENOENT)`,
  });
});
