/** The API where other machines can reach it: nothing for strangers, roles by token and by certificate, SIGHUP. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificates, type NatsTls } from '../support/nats.ts';
import { Bench } from './cli-support.ts';

let bench: Bench;
let config: string;
let known: ReturnType<typeof certificates>;
let port: number;
let reader: string;

beforeAll(async () => {
  bench = new Bench();
  bench.router();
  known = certificates(bench.folder);
  for (const kind of ['pem', 'key'] as const)
    copyFileSync(fileOf(known.server, kind), join(bench.folder, `shown.${kind}`));
  copyFileSync(known.client.ca, join(bench.folder, 'clients.pem'));
  config = bench.config('ports = ["p?"]');
  reader = await addToken('grafana', 'read');
  await bench.start('--config', config, '--listen', '0.0.0.0:0');
  port = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(bench.output)![1]);
});
afterAll(() => bench?.end());

function fileOf({ cert, key }: NatsTls, kind: 'pem' | 'key'): string {
  return kind === 'pem' ? cert! : key!;
}

/** Makes a token as a person would, and puts its section into the file. */
async function addToken(name: string, role: string): Promise<string> {
  const { out, code } = await bench.ekho('token', name, '--role', role);
  expect(code).toBe(0);
  const [, token, section] = /^token, shown this once: (\S+)\n.*?(\[api\.token\..*)$/s.exec(out)!;
  const before = readFileSync(config, 'utf8');
  const tls = `[api.tls]\ncert = "shown.pem"\nkey = "shown.key"\nclient-ca = "clients.pem"\noperators = ["client"]\n`;
  writeFileSync(config, `${before}${before.includes('[api.tls]') ? '' : tls}${section}`);
  return token!;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

interface Asking {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly certificate?: NatsTls;
}

/** Whom the certificate is for is the host's to check here, not the client's. */
const checkServerIdentity = () => undefined;

function ask(path: string, { method = 'GET', headers = {}, certificate }: Asking = {}): Promise<Answer> {
  const shown = certificate && { cert: readFileSync(certificate.cert!), key: readFileSync(certificate.key!) };
  const ca = readFileSync(known.server.ca!);
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path,
      method,
      headers,
      ca,
      agent: false as const,
      ...shown,
      checkServerIdentity,
    };
    const outgoing = request(options, async (response) => {
      let body = '';
      for await (const chunk of response.setEncoding('utf8')) body += chunk;
      resolve({
        status: response.statusCode!,
        headers: response.headers,
        body,
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

/** A stream of changes by a token or a certificate. */
function follow(by: string | NatsTls): Promise<IncomingMessage> {
  const ca = readFileSync(known.server.ca!);
  const where = { host: '127.0.0.1', port, path: '/api/v1/changes', agent: false as const, ca };
  const shown =
    typeof by === 'string' ? bearer(by) : { cert: readFileSync(by.cert), key: readFileSync(by.key) };
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...where, ...shown, checkServerIdentity }, (response) => {
      response.on('error', () => {}).resume();
      resolve(response);
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe('a stranger', () => {
  it('gets nothing: no page, no metrics, no answer', async () => {
    for (const path of [
      '/',
      '/metrics',
      '/api/v1/status',
      '/api/v1/openapi.json',
      '/api/v1/nothing',
      '/assets/x.js',
      // What no route can have is no way round.
      '/%zz',
      `/api/v1/plugins/${'a'.repeat(300)}`,
    ]) {
      const { status, headers, body } = await ask(path);
      expect([path, status, JSON.parse(body).code]).toEqual([path, 401, 'E_DENIED']);
      expect(headers['www-authenticate']).toMatch(/^Basic /);
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
  });

  it('gets nothing by a wrong token, or a certificate of another authority', async () => {
    const wrong = await ask('/api/v1/status', bearer('x'));
    expect(wrong.status).toBe(401);
    // With `Basic` there, the dashboard's browser would ask its user instead of the dashboard.
    expect(wrong.headers['www-authenticate']).toMatch(/^Bearer /);
    expect((await ask('/api/v1/status', { certificate: known.stranger })).status).toBe(401);
  });

  it('is not heard in the clear', async () => {
    const socket = connect(port, '127.0.0.1');
    const answer = new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(text));
    });
    socket.write('GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    expect(await answer).not.toMatch(/HTTP|revision/);
  });

  it('that holds hundreds of connections without a handshake keeps nobody out', async () => {
    const idle: Socket[] = [];
    try {
      for (let n = 0; n < 600; n++) {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => {});
        idle.push(socket);
        if (n % 100 === 99) expect((await ask('/api/v1/status', bearer(reader))).status).toBe(200);
      }
    } finally {
      for (const socket of idle) socket.destroy();
    }
  });
});

describe('who is known', () => {
  it('by a token of the configuration does what its role allows', async () => {
    expect(JSON.parse((await ask('/api/v1/caller', bearer(reader))).body)).toEqual({
      name: 'token grafana',
      role: 'read',
    });
    expect((await ask('/metrics', bearer(reader))).body).toMatch(/^ekho_/m);
    expect((await ask('/api/v1/verify', { method: 'POST', ...bearer(reader) })).status).toBe(403);
    const basic = { authorization: `Basic ${Buffer.from(`anyone:${reader}`).toString('base64')}` };
    expect((await ask('/', { headers: basic })).status).toBe(200);
  });

  it('is told to come back by TLS alone', async () => {
    for (const path of ['/', '/api/v1/status', '/%zz'])
      expect((await ask(path, bearer(reader))).headers['strict-transport-security']).toBe('max-age=2592000');
    const followed = await follow(reader);
    followed.destroy();
    expect(followed.headers).toMatchObject({
      'strict-transport-security': 'max-age=2592000',
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
    });
  });

  it('by a token that `ekho dashboard` makes, which it tells how to use', async () => {
    const { out } = await bench.ekho('dashboard');
    const [, url, token] = /^(https:\S+)#token=(\S+)$/m.exec(out)!;
    expect(url).toBe(`https://127.0.0.1:${port}/`);
    expect(out).toContain(`any name, and ${token}`);
    expect((await ask('/api/v1/verify', { method: 'POST', ...bearer(token!) })).status).toBe(200);
  });

  it('by a certificate that the authority signed, of which some may operate', async () => {
    const { client, server } = known;
    expect(JSON.parse((await ask('/api/v1/caller', { certificate: client })).body)).toEqual({
      name: 'certificate client',
      role: 'operate',
    });
    expect((await ask('/api/v1/verify', { method: 'POST', certificate: client })).status).toBe(200);
    expect((await ask('/api/v1/verify', { method: 'POST', certificate: server })).status).toBe(403);
    expect(bench.output).toContain('audit: certificate client: POST /api/v1/verify: 200');
  });

  it('must ask for a host that the certificate is for', async () => {
    const headers = { ...bearer(reader).headers, host: `attacker.example:${port}` };
    for (const path of ['/api/v1/status', '/%zz']) expect((await ask(path, { headers })).status).toBe(403);
  });

  it('is told what is wrong with a path that no route can have', async () => {
    expect((await ask('/%zz', bearer(reader))).status).toBe(400);
    expect((await ask(`/api/v1/plugins/${'a'.repeat(300)}`, bearer(reader))).status).toBe(414);
    expect((await ask('/%zz', { method: 'POST', ...bearer(reader) })).status).toBe(403);
  });
});

describe('SIGHUP', () => {
  const hangUp = async (line: RegExp) => {
    const from = bench.output.length;
    process.kill(bench.pid, 'SIGHUP');
    await expect.poll(() => bench.output.slice(from), { timeout: 60_000 }).toMatch(line);
  };

  const shown = () =>
    new Promise<PeerCertificate>((resolve, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port, ca: readFileSync(known.server.ca!) });
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        resolve(socket.getPeerCertificate());
        socket.destroy();
      });
    });

  it('takes new tokens and a new certificate, and keeps all where one is wrong', async () => {
    const later = await addToken('later', 'operate');
    expect((await ask('/api/v1/caller', bearer(later))).status).toBe(401);
    await hangUp(/configuration read again: 2 tokens, certificate\n/);
    expect(JSON.parse((await ask('/api/v1/caller', bearer(later))).body)).toMatchObject({ role: 'operate' });

    expect((await shown()).subject.CN).toBe('server');
    for (const kind of ['pem', 'key'] as const)
      copyFileSync(fileOf(known.client, kind), join(bench.folder, `shown.${kind}`));
    await hangUp(/configuration read again/);
    expect((await shown()).subject.CN).toBe('client');

    copyFileSync(known.server.key!, join(bench.folder, 'shown.key'));
    await hangUp(/not read again, all stays as it was: .*shown\.key/);
    expect((await shown()).subject.CN).toBe('client');

    const followed = await follow(reader);
    const kept = await follow(later);
    const good = readFileSync(config, 'utf8');
    copyFileSync(known.client.key!, join(bench.folder, 'shown.key'));
    writeFileSync(config, good.replace(/\[api\.token\.grafana\][^[]*/, '').replace('p?', 'p0'));
    await hangUp(/1 tokens, certificate; for what changed in plugin start the host again/);
    writeFileSync(config, good.replace(/^client-ca.*\noperators.*\n/m, ''));
    await hangUp(/for what changed in api\.tls\.client-ca start the host again/);
    writeFileSync(config, good.replace(/\[api\.token\.grafana\][^[]*/, ''));
    await hangUp(/1 tokens, certificate\n/);
    expect((await ask('/api/v1/caller', bearer(reader))).status).toBe(401);
    expect((await ask('/api/v1/caller', bearer(later))).status).toBe(200);
    // A stream ends with its token, and with no other.
    await expect.poll(() => followed.destroyed, { timeout: 60_000 }).toBe(true);
    expect(kept.destroyed).toBe(false);
    kept.destroy();
  });

  it('takes no certificate any more of an authority that is gone, on connections that are there either', async () => {
    const { client, stranger } = known;
    const shown = { cert: readFileSync(client.cert), key: readFileSync(client.key) };
    const ca = readFileSync(client.ca);
    const socket = connectTls({ host: '127.0.0.1', port, ca, ...shown, checkServerIdentity });
    let text = '';
    socket.setEncoding('utf8').on('data', (data) => {
      text += data;
    });
    socket.on('error', () => {});
    const asked: string[] = [];
    const answers = async (status: string) => {
      asked.push(status);
      socket.write(`GET /api/v1/caller HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
      const seen = () => [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, code]) => code);
      await expect.poll(seen, { timeout: 60_000 }).toEqual(asked);
    };
    try {
      await answers('200');
      await hangUp(/configuration read again/);
      // The authority is the same.
      await answers('200');
      const followed = await follow(client);
      expect(followed.statusCode).toBe(200);

      copyFileSync(join(bench.folder, 'other.pem'), join(bench.folder, 'clients.pem'));
      await hangUp(/configuration read again/);
      await answers('401');
      expect((await ask('/api/v1/caller', { certificate: client })).status).toBe(401);
      expect((await ask('/api/v1/caller', { certificate: stranger })).status).toBe(200);
      await expect.poll(() => followed.destroyed, { timeout: 60_000 }).toBe(true);
    } finally {
      socket.destroy();
    }
  });
});

describe('the host does not start', () => {
  it.each([
    ['without a certificate', '', /can be reached from other machines, and there is no \[api\.tls\]/],
    [
      'with a certificate that is none',
      '[api.tls]\ncert = "ekho.toml"\nkey = "shown.key"\n',
      /no certificate in it/,
    ],
    [
      'with a file that is not there',
      '[api.tls]\ncert = "none.pem"\nkey = "shown.key"\n',
      /none\.pem: ENOENT/,
    ],
    [
      'with the key of another',
      '[api.tls]\ncert = "server.pem"\nkey = "stranger.key"\n',
      /stranger\.key: .*mismatch/,
    ],
  ])('%s', async (_name, section, error) => {
    const file = join(bench.folder, 'wrong.toml');
    writeFileSync(file, section);
    const socket = join(bench.folder, 'wrong.sock');
    const { code, err } = await bench.ekho(
      'run',
      '--config',
      file,
      '--netns',
      bench.name,
      '--socket',
      socket,
      '--listen',
      '0.0.0.0:0',
    );
    expect(err).toMatch(error);
    expect(code).toBe(2);
  });
});
