/** The command from outside where no host runs: exit codes, and messages that say what to do. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../../host/config/config.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function ekho(...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [join(ROOT, 'host/cli/ekho.mjs'), ...words], {
    env: { PATH: process.env.PATH, HOME: folder },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    err += data;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })));
}

describe('without a host', () => {
  it.each([
    [['status']],
    [['show', 'route']],
    [['verify']],
    [['wait', '--timeout', '1']],
    [['plugin', 'list']],
  ])('%j exits 3 and says how to start one', async (words) => {
    const socket = join(folder, 'none.sock');
    const { code, out, err } = await ekho(...words, '--socket', socket);
    expect(code).toBe(3);
    expect(out).toBe('');
    expect(err).toBe(
      `ekho: no host answers on ${socket}\nStart one with \`ekho run\` or \`npm start\`; if its socket is elsewhere, use --socket or EKHO_SOCKET.\n`,
    );
  });

  it('doctor looks for itself, and fails where the configuration asks for what is not there', async () => {
    const socket = join(folder, 'none.sock');
    const { code, out, err } = await ekho('doctor', '--socket', socket);
    expect(err).toBe('');
    expect(out).toMatch(
      new RegExp(`^found out by this command: no host answers on ${socket}\n\nAREA +FEATURE `),
    );
    expect(out).toMatch(/^system +node +available +26\./m);
    // The reference plugin is built for the tests.
    expect(code).toBe(0);
    const file = join(folder, 'doctor.toml');
    writeFileSync(file, '[plugin.absent]\n');
    const other = await ekho('doctor', '--config', file, '--json');
    const { content, findings } = JSON.parse(other.out);
    expect(content).toBe(false);
    expect(findings.find(({ area }: { area: string }) => area === 'plugin')).toMatchObject({
      feature: 'absent',
      status: 'unsupported',
      required: true,
    });
    expect(other.code).toBe(1);
  });

  it('says what is wrong with a path that is no socket', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const { code, err } = await ekho('status', '--socket', file);
    expect(code).toBe(3);
    expect(err).toContain(file);
  });

  it('tells another HTTP server from a host', async () => {
    const socket = join(folder, 'other.sock');
    const server = createServer((_request, response) => response.writeHead(404).end('<html>'));
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    try {
      const { code, err } = await ekho('status', '--socket', socket);
      expect(code).toBe(3);
      expect(err).toContain(`what answers on ${socket} is not an ekho host (HTTP 404)`);
    } finally {
      server.close();
    }
  });
});

describe('wrong usage exits 2', () => {
  it.each([
    [['stauts'], 'unknown command'],
    [['show'], "missing required argument 'kind'"],
    [['show', 'ruote'], 'did you mean route?'],
    [['wait', '--timeout', 'soon'], 'Use seconds'],
    [['device', 'inject', 'asic0', '--refuse', 'maybe'], 'Allowed choices are on, off'],
    [['run', '--listen', '0.0.0.0:80'], 'Give the configuration file an [api.tls]'],
    [['run', '--listen', '300.0.0.1:80'], 'Use ADDRESS:PORT'],
    [['token', 'No'], 'Use 1-64 of a-z'],
    [['config', 'check', '/nonexistent.toml'], '/nonexistent.toml: ENOENT'],
    [['run', '--socket', ''], 'the path of the socket is empty\nChoose another path'],
    [['status', '--socket', ''], 'the path of the socket is empty\nChoose another path'],
    [['run', '--socket', `/tmp/${'x'.repeat(103)}`], 'has 108 bytes, and may have 107'],
  ])('%j', async (words, message) => {
    const { code, err } = await ekho(...words);
    expect(err).toContain(message);
    expect(code).toBe(2);
  });
});

it('config check names file, line, key and remedy', async () => {
  const file = join(folder, 'bad.toml');
  writeFileSync(file, '[planner]\nnetfliter = "trap"\n');
  const { code, err } = await ekho('config', 'check', file);
  expect(code).toBe(2);
  expect(err).toBe(
    `ekho: ${file}:2: planner.netfliter: unknown key; did you mean netfilter?\ndocs/config.md lists every key.\n`,
  );
  writeFileSync(file, '[planner]\nnetfilter = "trap"\n');
  expect(await ekho('config', 'check', file)).toEqual({ code: 0, out: `${file}: ok\n`, err: '' });
});

it.each([
  ['', 'the name of the network namespace is empty'],
  ['ekho-nowhere', 'network namespace ekho-nowhere: '],
])('run enters the namespace %j before it begins anything else', async (netns, message) => {
  const socket = join(folder, 'early.sock');
  const { code, out, err } = await ekho('run', '--netns', netns, '--socket', socket, '--listen', 'off');
  expect(err).toContain(message);
  expect(err).toContain('\nList the namespaces with `ip netns list`');
  expect(out).toBe('');
  expect(code).toBe(1);
  expect(existsSync(`${socket}.lock`)).toBe(false);
});

it('help and version exit 0', async () => {
  expect((await ekho('--help')).code).toBe(0);
  expect(await ekho('--version')).toMatchObject({ code: 0, out: '0.1.0\n' });
});
