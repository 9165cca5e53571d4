/** The log of a running host: its levels by command and API, who may change them, and what plugins write. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LogLevels, TokenAnswer } from '../../host/api/schemas.ts';
import { Client } from '../../host/cli/client.ts';
import { Bench } from './cli-support.ts';

const LIMIT = { timeout: 60_000, interval: 50 };

let bench: Bench;
let client: Client;
beforeAll(async () => {
  bench = new Bench();
  bench.router();
  const config = bench.config('ports = ["p?"]');
  await bench.start('--config', config, '--listen', '127.0.0.1:0', '--log-level', 'warn');
  client = new Client(bench.socket);
});
afterAll(() => bench.end());

it('begins as the command line says', async () => {
  const { level, components, lines } = await client.get<LogLevels>('/api/v1/log');
  expect([level, components.mirror, components.plugin]).toEqual(['warn', 'warn', 'warn']);
  expect(lines.info).toBe(2);
  expect(bench.output).not.toContain('mirror in sync');
  // Where it can be reached is always said.
  expect(bench.output).toContain(`socket ${bench.socket}\n`);
});

it('is changed by the command, for one part or for all', async () => {
  const { code, out } = await bench.ekho('log', 'level', 'trace', 'mirror');
  expect(code).toBe(0);
  expect(out).toMatch(/^mirror +trace$/m);
  expect(out).toMatch(/^planner +warn$/m);
  bench.ip('route add 198.18.0.0/15 via 192.0.2.2');
  await expect.poll(() => bench.output, LIMIT).toMatch(/^trace: mirror: \d+ changes up to revision \d+$/m);

  expect((await bench.ekho('log', 'level', 'info', 'softnic')).out).toMatch(/^plugin softnic +info$/m);
  expect((await bench.ekho('plugin', 'restart', 'softnic')).code).toBe(0);
  await expect.poll(() => bench.output, LIMIT).toContain('plugin softnic: started\n');

  const { err } = await bench.ekho('log', 'level', 'info', 'softnic');
  expect(err).toBe('');
  const slip = await bench.ekho('log', 'level', 'debug', 'plannr');
  expect(slip).toMatchObject({ code: 0, err: 'no plugin plannr yet; did you mean planner?\n' });
  expect(slip.out).toMatch(/^plugin plannr +debug$/m);

  expect((await bench.ekho('log', 'level', 'error')).code).toBe(0);
  expect(await client.get('/api/v1/log')).toMatchObject({
    level: 'error',
    components: { mirror: 'error' },
    plugins: {},
  });
  expect((await bench.ekho('log')).out).toMatch(/^lines: \d+ trace, /m);
});

it('is read again on SIGHUP', async () => {
  const file = join(bench.folder, 'ekho.toml');
  writeFileSync(
    file,
    '[plugin.softnic]\ndevice = "asic0"\nports = ["p?"]\n[log]\nlevel = "info"\nlevels = { api = "debug", host = "info" }\n',
  );
  process.kill(bench.pid, 'SIGHUP');
  await expect.poll(() => bench.output, LIMIT).toMatch(/^configuration read again: /m);
  // The option of the command wins.
  expect(await client.get('/api/v1/log')).toMatchObject({ level: 'warn', components: { mirror: 'warn' } });
  await client.get('/api/v1/devices');
  await expect.poll(() => bench.output, LIMIT).toMatch(/^debug: api: GET \/api\/v1\/devices: 200 ms=\d+$/m);
});

it('is changed on TCP by those who may, which is audited', async () => {
  const base = /http:\/\/127\.0\.0\.1:\d+/.exec(bench.output)![0];
  const { token } = await client.post<TokenAnswer>('/api/v1/tokens', { role: 'operate' });
  const put = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${base}/api/v1/log`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  expect((await put({ level: 'debug' })).status).toBe(403);
  const authorization = `Bearer ${token}`;
  expect((await put({ level: 'loud' }, { authorization })).status).toBe(400);
  expect((await put({ level: 'debug', component: 'api', plugin: 'x' }, { authorization })).status).toBe(400);
  const answer = await put({ level: 'debug', plugin: 'softnic' }, { authorization });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ plugins: { softnic: 'debug' } });
});
