/** The API from outside: pages of objects, history, events that go on where a reader was, roles on TCP, what is too much. */

import { readFileSync, statSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METRICS } from '../../host/api/metrics.ts';
import type {
  AuditAnswer,
  ObjectDetails,
  ObjectsPage,
  SeriesAnswer,
  Status,
  TokenAnswer,
} from '../../host/api/schemas.ts';
import { Client } from '../../host/cli/client.ts';
import { ROOT } from '../../host/config/config.ts';
import { Bench } from './cli-support.ts';

const ROUTES = 60;
const LIMIT = { timeout: 60_000, interval: 20 };

let bench: Bench;
let client: Client;
let base: URL;

beforeAll(async () => {
  bench = new Bench();
  bench.router();
  bench.batch(
    Array.from(
      { length: ROUTES },
      (_, n) => `route add 203.0.113.${4 * n}/30 via 198.51.100.${n % 2 ? 2 : 99}`,
    ),
  );
  await bench.start('--listen', '127.0.0.1:0');
  client = new Client(bench.socket);
  base = new URL(/http:\/\/127\.0\.0\.1:\d+/.exec(bench.output)![0]);
});
afterAll(() => bench.end());

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function ask(path: string, method = 'GET', headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, base), { method, headers, agent: false }, async (response) => {
      let body = '';
      for await (const chunk of response.setEncoding('utf8')) body += chunk;
      resolve({ status: response.statusCode!, headers: response.headers, body });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

/** Bytes as they are, which no library would send; gives the answer as it comes. */
function say(
  target: { readonly path: string } | { readonly host: string; readonly port: number },
  text: string,
) {
  return new Promise<string>((resolve, reject) => {
    const socket = connect(target);
    let answer = '';
    socket.setEncoding('utf8').on('data', (more) => {
      answer += more;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
    socket.write(`GET /api/v1/caller HTTP/1.1\r\nConnection: close\r\n${text}\r\n\r\n`);
  });
}

const page = async (query: string): Promise<ObjectsPage> =>
  JSON.parse((await ask(`/api/v1/objects/route?${query}`)).body) as ObjectsPage;

describe('pages of objects', () => {
  it('show every object once, in the order asked for', async () => {
    const chosen = 'filter=root&filter=203.0.113.0/24&sort=-dst&fields=dst&limit=7';
    const seen: unknown[] = [];
    let first: ObjectsPage | undefined;
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const answer = await page(cursor === '' ? chosen : `${chosen}&cursor=${cursor}`);
      first ??= answer;
      expect(answer).toMatchObject({ total: ROUTES, selection: first.selection, offset: seen.length });
      for (const item of answer.items) {
        if ('gone' in item) throw new Error('nothing left');
        expect(Object.keys(item.object)).toEqual(['dst']);
        seen.push(item.object.dst);
      }
      cursor = answer.next;
    }
    const expected = Array.from({ length: ROUTES }, (_, n) => `203.0.113.${4 * (ROUTES - 1 - n)}/30`);
    expect(seen).toEqual(expected);
  });

  it('begin at any row of a list', async () => {
    const chosen = 'filter=root&filter=203.0.113.0/24&limit=5';
    const { selection, items } = await page(chosen);
    const later = await page(`${chosen}&cursor=${selection}.3`);
    expect(later.offset).toBe(3);
    expect(later.items[0]).toEqual(items[3]);
  });

  it('are made again when their list is gone', async () => {
    const answer = await page('filter=root&filter=203.0.113.0/24&limit=5&cursor=unknown.50');
    expect(answer).toMatchObject({ offset: 50, total: ROUTES });
    expect(answer.items).toHaveLength(5);
  });

  it('keep the place of what left', async () => {
    bench.ip('route add 198.18.0.0/24 via 198.51.100.2');
    bench.ip('route add 198.18.1.0/24 via 198.51.100.2');
    await client.get('/api/v1/wait');
    const chosen = 'filter=root&filter=198.18.0.0/15&limit=1';
    const { selection, total } = await page(chosen);
    expect(total).toBe(2);
    bench.ip('route del 198.18.1.0/24');
    await client.get('/api/v1/wait');
    expect((await page(`${chosen}&cursor=${selection}.1`)).items).toEqual([
      { id: expect.any(Number), gone: true },
    ]);
    bench.ip('route del 198.18.0.0/24');
  });

  it('choose by offload state and reason', async () => {
    const all = await page('filter=root&filter=203.0.113.0/24&limit=1000');
    const trapped = await page('filter=root&filter=203.0.113.0/24&limit=1000&state=trapped');
    const offloaded = await page('filter=root&filter=203.0.113.0/24&limit=1000&state=offloaded');
    expect(trapped.total).toBe(ROUTES / 2);
    expect(trapped.total + offloaded.total).toBe(all.total);
    const unresolved = await page('state=trapped&reason=nexthop-unresolved&plugin=softnic&limit=1');
    expect(unresolved.total).toBe(ROUTES / 2);
  });

  it('refuse what is no cursor', async () => {
    const { status, body } = await ask('/api/v1/objects/route?cursor=x');
    expect(status).toBe(400);
    expect(JSON.parse(body)).toMatchObject({ code: 'E_USAGE', status: 400 });
  });
});

describe('what no request may have', () => {
  const refusal = async (path: string) => {
    const { status, body } = await ask(`/api/v1/${path}`);
    const { code, detail, remedy } = JSON.parse(body);
    return [status, code, detail, remedy];
  };

  it.each([
    ['objects/route?lmit=5', 'the query has no "lmit"; did you mean limit?', /filter, limit, cursor, sort/],
    ['objects/route?limit=0', '"limit" in the query must be >= 1', undefined],
    ['changes?knd=route', 'the query has no "knd"; did you mean kind?', /kind, source, since/],
    ['status?verbose=1', 'the query has no "verbose"', /Leave it out/],
    [
      'objects/route?sort=gatway',
      'objects of route have no field "gatway"; did you mean gateway?',
      /id, revision, text, offload, .*dst/,
    ],
    ['objects/route?sort=-nonsense', 'objects of route have no field "nonsense"', /dst/],
    ['objects/route?sort=__proto__', 'objects of route have no field "__proto__"', /dst/],
    ['objects/route?fields=dst,dve', 'objects of route have no field "dve"; did you mean dev?', /dst/],
    ['objects/route?fields=', '"fields" in the query must not have fewer than 1 characters', undefined],
  ])('is in %s', async (path, detail, remedy) => {
    const told = await refusal(path);
    expect(told).toEqual([400, 'E_USAGE', detail, remedy && expect.stringMatching(remedy)]);
  });

  it('is a field of another kind, but not one that no object has just now', async () => {
    expect((await page('fields=dst,metrics&sort=metric')).items[0]).toMatchObject({ object: {} });
    expect((await refusal('objects/link?fields=ifname,dst'))[0]).toBe(400);
  });

  it('is a value of another type in a body', async () => {
    const post = (path: string, body: unknown) => client.post(`/api/v1/${path}`, body);
    await expect(post('config/check', { text: 5 })).rejects.toMatchObject({
      message: '"text" in the body must be string',
    });
    for (const body of [{ refuse: null }, { refuse: 'true' }, { refuse: 1 }])
      await expect(post('devices/asic0/inject', body)).rejects.toMatchObject({
        message: '"refuse" in the body must be boolean',
      });
    await expect(post('devices/asic0/inject', { refsue: true })).rejects.toMatchObject({
      message: 'the body has no "refsue"; did you mean refuse?',
    });
  });

  it('is a body where none is taken, but for an empty one', async () => {
    for (const path of ['verify', 'plugins/softnic/enable', 'devices/asic0/power-cycle']) {
      await expect(client.post(`/api/v1/${path}`, { x: 1 })).rejects.toMatchObject({
        code: 'E_USAGE',
        message: 'the body has no "x"',
      });
      await expect(client.post(`/api/v1/${path}`, ['x'])).rejects.toMatchObject({
        message: 'the body must be object',
      });
    }
    await client.post('/api/v1/plugins/softnic/enable', {});
    await client.get('/api/v1/wait');
    expect(await client.post('/api/v1/verify', {})).toMatchObject({ equal: true });
  });

  it('is what would become a prototype, and that is said', async () => {
    const post = (text: string) =>
      new Promise<string>((resolve, reject) => {
        const headers = { 'content-type': 'application/json' };
        const path = '/api/v1/devices/asic0/inject';
        const outgoing = request(
          { socketPath: bench.socket, path, method: 'POST', headers },
          async (response) => {
            let body = '';
            for await (const chunk of response.setEncoding('utf8')) body += chunk;
            resolve(`${response.statusCode} ${JSON.parse(body).detail}`);
          },
        );
        outgoing.on('error', reject);
        outgoing.end(text);
      });
    for (const body of ['{"__proto__":{}}', '{"refuse":false,"constructor":{"prototype":{}}}'])
      expect(await post(body)).toBe('400 the body has a "__proto__", or a "constructor" with a "prototype"');
    expect(await post('{"__proto__":')).toMatch(/^400 .*not valid JSON/);
    expect(await post('{"refuse":false}')).toMatch(/^200 /);
  });
});

describe('one object', () => {
  it('has its history, also from before it went away', async () => {
    const route = 'route add 198.19.0.0/24 via 198.51.100.2';
    bench.ip(route);
    await client.get('/api/v1/wait');
    bench.ip('route del 198.19.0.0/24');
    await client.get('/api/v1/wait');
    bench.ip(route);
    await client.get('/api/v1/wait');
    const [item] = (await page('filter=198.19.0.0/24&limit=1')).items;
    const details = await client.get<ObjectDetails>(`/api/v1/objects/route/${item!.id}`);
    expect(details).toMatchObject({
      kind: 'route',
      text: '198.19.0.0/24 via 198.51.100.2 dev p1',
      object: { dst: '198.19.0.0/24' },
      offload: [{ plugin: 'softnic', state: 'offloaded' }],
      lines: ['softnic: offloaded'],
    });
    expect(details.history.map(({ operation }) => operation)).toEqual(['upsert', 'delete', 'upsert']);
    for (const { text } of details.history) expect(text).toBe(details.text);
    bench.ip('route del 198.19.0.0/24');
    await client.get('/api/v1/wait');
    await expect(client.get(`/api/v1/objects/route/${item!.id}`)).rejects.toMatchObject({
      code: 'E_UNKNOWN_OBJECT',
    });
  });
});

/** Events as they come. */
class Events {
  readonly events: { id?: string; event?: string; data: Record<string, unknown> }[] = [];
  #response: IncomingMessage | undefined;

  static async open(query: string, headers: Record<string, string> = {}): Promise<Events> {
    const events = new Events();
    await new Promise<void>((resolve, reject) => {
      const outgoing = request(
        new URL(`/api/v1/changes${query}`, base),
        { agent: false, headers: { accept: 'text/event-stream', ...headers } },
        (response) => {
          events.#response = response;
          let text = '';
          response.setEncoding('utf8').on('data', (chunk) => {
            text += chunk;
            const parts = text.split('\n\n');
            text = parts.pop()!;
            for (const part of parts) events.#take(part);
          });
          response.on('error', () => {});
          resolve();
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
    return events;
  }

  #take(part: string): void {
    const fields = Object.fromEntries(
      part.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
    );
    if (fields.data !== undefined) this.events.push({ ...fields, data: JSON.parse(fields.data) });
  }

  texts(): string[] {
    return this.events
      .filter(({ event }) => event === undefined)
      .map(({ data }) => `${data.operation} ${data.text}`);
  }

  close(): void {
    this.#response?.destroy();
  }
}

describe('events', () => {
  it('go on where a reader was, with what was deleted meanwhile', async () => {
    const first = await Events.open('?kind=route');
    await expect.poll(() => first.events[0]?.event, LIMIT).toBe('hello');
    bench.ip('route add 198.20.0.0/24 via 198.51.100.2');
    await expect.poll(() => first.texts(), LIMIT).toEqual(['upsert 198.20.0.0/24 via 198.51.100.2 dev p1']);
    first.close();
    const { id } = first.events.at(-1)!;
    bench.ip('route add 198.20.1.0/24 via 198.51.100.2');
    bench.ip('neigh add 198.51.100.7 lladdr 02:00:00:00:00:07 dev p1');
    bench.ip('route del 198.20.0.0/24');
    await client.get('/api/v1/wait');
    bench.ip('route del 198.20.1.0/24');
    await client.get('/api/v1/wait');

    const second = await Events.open('?kind=route', { 'last-event-id': id! });
    await expect
      .poll(() => second.texts(), LIMIT)
      .toEqual([
        'upsert 198.20.1.0/24 via 198.51.100.2 dev p1',
        'delete 198.20.0.0/24 via 198.51.100.2 dev p1',
        'delete 198.20.1.0/24 via 198.51.100.2 dev p1',
      ]);
    expect(second.events[0]!.data).toMatchObject({ reset: false });
    second.close();
  });

  it('are the same for readers that began at different changes and want different kinds', async () => {
    const { revision } = await client.get<Status>('/api/v1/status');
    const begin = Math.max(0, revision - 40);
    const readers = await Promise.all([
      Events.open(`?kind=route&since=${begin}`),
      Events.open(`?kind=route&since=${begin + 17}`),
      Events.open(`?kind=route&kind=neighbour&since=${begin}`),
    ]);
    bench.ip('route add 198.20.2.0/24 via 198.51.100.2');
    await client.get('/api/v1/wait');
    bench.ip('route del 198.20.2.0/24');
    for (const reader of readers)
      await expect
        .poll(() => reader.texts().at(-1), LIMIT)
        .toBe('delete 198.20.2.0/24 via 198.51.100.2 dev p1');
    const [all, later, mixed] = readers.map(({ events }) =>
      events.filter(({ event }) => event === undefined),
    );
    expect(all!.map(({ data }) => data.revision)).toEqual(
      all!.map(({ data }) => data.revision).toSorted((a, b) => Number(a) - Number(b)),
    );
    expect(later).toEqual(all!.filter(({ data }) => Number(data.revision) > begin + 17));
    expect(mixed!.filter(({ data }) => data.kind === 'route')).toEqual(all);
    for (const reader of readers) reader.close();
  });

  it.each([
    ['text/event-stream', 'text/event-stream'],
    ['*/*', 'application/x-ndjson'],
  ])('come with headers before there is one (%s)', async (accept, type) => {
    const headers = await new Promise<IncomingMessage['headers']>((resolve, reject) => {
      const asked = { agent: false, headers: { accept } } as const;
      const outgoing = request(new URL('/api/v1/changes?kind=action', base), asked, (response) => {
        response.on('error', () => {});
        response.destroy();
        resolve(response.headers);
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
    expect(headers).toMatchObject({
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
    });
  });

  it('tell a reader who comes from another run of the host', async () => {
    const events = await Events.open('', { 'last-event-id': 'elsewhere.3' });
    await expect.poll(() => events.events[0]?.data.reset, LIMIT).toBe(true);
    events.close();
  });
});

describe('the series', () => {
  it('has a row a second, with changes and the time until they are in hardware', async () => {
    const lines = Array.from({ length: 200 }, (_, n) => `route add 198.21.${n}.0/24 via 198.51.100.2`);
    bench.batch(lines);
    await client.get('/api/v1/wait');
    const sum = async (name: keyof SeriesAnswer['columns']) => {
      const { columns } = await client.get<SeriesAnswer>('/api/v1/series');
      return columns[name].reduce<number>((sum, value) => sum + (value ?? 0), 0);
    };
    await expect.poll(() => sum('changes_per_s'), LIMIT).toBeGreaterThan(0);
    await expect.poll(() => sum('latency_p99_ms'), LIMIT).toBeGreaterThan(0);
    expect(await sum('memory_bytes')).toBeGreaterThan(0);
    const { times } = await client.get<SeriesAnswer>('/api/v1/series');
    const later = await client.get<SeriesAnswer>(`/api/v1/series?since=${times.at(-1)}`);
    expect(later.times.every((time) => time > times.at(-1)!)).toBe(true);
    bench.batch(lines.map((line) => line.replace('add', 'del')));
  });
});

describe('on TCP', () => {
  it('whoever is on this machine reads, and changes nothing', async () => {
    expect(JSON.parse((await ask('/api/v1/caller')).body)).toEqual({ name: 'loopback', role: 'read' });
    for (const path of ['verify', 'plugins/softnic/restart', 'devices/asic0/power-cycle']) {
      const { status, body } = await ask(`/api/v1/${path}`, 'POST');
      expect([path, status, JSON.parse(body).code]).toEqual([path, 403, 'E_DENIED']);
    }
    expect((await ask('/api/v1/tokens', 'POST')).status).toBe(403);
  });

  it('a token decides what its holder may do, and the audit log says who did', async () => {
    const { token } = await client.post<TokenAnswer>('/api/v1/tokens', { role: 'operate' });
    const operate = { authorization: `Bearer ${token}` };
    expect((await ask('/api/v1/plugins/softnic/restart', 'POST', operate)).status).toBe(200);
    expect(JSON.parse((await ask('/api/v1/caller', 'GET', operate)).body)).toMatchObject({ role: 'operate' });
    const basic = { authorization: `Basic ${Buffer.from(`ekho:${token}`).toString('base64')}` };
    expect((await ask('/api/v1/verify', 'POST', basic)).status).toBe(200);
    expect((await ask('/api/v1/tokens', 'POST', operate)).status).toBe(404);

    const made = await client.post<TokenAnswer>('/api/v1/tokens', { role: 'read' });
    const reads = { authorization: `Bearer ${made.token}` };
    expect((await ask('/api/v1/plugins/softnic/restart', 'POST', reads)).status).toBe(403);
    for (const wrong of ['Bearer x', 'Bearer ', 'Basic x', 'Digest x'])
      expect((await ask('/api/v1/status', 'GET', { authorization: wrong })).status).toBe(401);

    const lines = JSON.parse((await ask('/api/v1/audit')).body) as { caller: string; request: string }[];
    expect(lines).toContainEqual(
      expect.objectContaining({
        caller: expect.stringMatching(/^session \d+$/),
        from: '127.0.0.1',
        request: 'POST /api/v1/plugins/softnic/restart',
        status: 200,
      }),
    );
    await client.put('/api/v1/log', { level: 'info' });
    expect((await client.get<AuditAnswer[]>('/api/v1/audit')).at(-1)).toMatchObject({
      caller: 'socket',
      from: `uid ${process.getuid!()} pid ${process.pid}`,
      request: 'PUT /api/v1/log',
      change: '{"level":"info"}',
      status: 200,
    });
    expect(bench.output).toMatch(/audit: session \d+: POST \/api\/v1\/plugins\/softnic\/restart: 200/);
    await client.get('/api/v1/wait');
  });

  it('keeps no stream for who asks for the head of one', async () => {
    for (let n = 0; n < 300; n++) expect((await ask('/api/v1/changes', 'HEAD')).status).toBe(404);
    const events = await Events.open('');
    await expect.poll(() => events.events[0]?.event, LIMIT).toBe('hello');
    events.close();
  });

  it('audits what is done for somebody who did not wait for the answer', async () => {
    const from = bench.output.length;
    const socket = connect(bench.socket);
    socket.on('error', () => {});
    socket.write('POST /api/v1/plugins/softnic/restart HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    // It has begun; the answer comes when the plugin is in line with its device again.
    await expect.poll(() => bench.output.slice(from), LIMIT).toContain('softnic: started');
    socket.destroy();
    await expect
      .poll(() => bench.output.slice(from), LIMIT)
      .toContain('audit: socket: POST /api/v1/plugins/softnic/restart: 200');
    await client.get('/api/v1/wait');
  });

  it('refuses requests that another site made', async () => {
    const refused: Record<string, string>[] = [
      { host: 'attacker.example:80' },
      { host: '127.0.0.1.attacker.example' },
      { 'sec-fetch-site': 'cross-site' },
      { origin: 'http://attacker.example' },
      { origin: `http://127.0.0.1:${Number(base.port) - 1}` },
    ];
    for (const headers of refused) {
      const { status, body } = await ask('/api/v1/status', 'GET', headers);
      expect([status, JSON.parse(body).code]).toEqual([403, 'E_DENIED']);
    }
    for (const host of ['localhost', '127.0.0.2:1', '[::1]:80'])
      expect((await ask('/api/v1/status', 'GET', { host })).status).toBe(200);
    const { status, headers } = await ask('/api/v1/status', 'GET', { origin: base.origin });
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'cross-origin-resource-policy': 'same-origin',
    });
    expect(headers['access-control-allow-origin']).toBeUndefined();
    expect(headers['strict-transport-security']).toBeUndefined();
  });

  it('refuses what names two hosts, or none, with a problem document', async () => {
    const { hostname: host, port } = base;
    const tcp = { host, port: Number(port) };
    expect(await say(tcp, 'Host: 127.0.0.1')).toMatch(/^HTTP\/1\.1 200 /);
    for (const target of [tcp, { path: bench.socket }])
      expect(await say(target, 'Host: 127.0.0.1\r\nHost: 127.0.0.1')).toMatch(
        /^HTTP\/1\.1 400 [\s\S]*"E_USAGE"/,
      );
    expect(await say(tcp, 'X-No: host')).toMatch(/^HTTP\/1\.1 403 [\s\S]*"E_DENIED"/);
  });

  it('says that it cannot meet what is expected of it, on both', async () => {
    const { hostname: host, port } = base;
    for (const target of [{ host, port: Number(port) }, { path: bench.socket }]) {
      const refused = await say(target, 'Host: 127.0.0.1\r\nExpect: nonsense');
      expect(refused).toMatch(
        /^HTTP\/1\.1 417 [\s\S]*application\/problem\+json[\s\S]*"nonsense\\" cannot be expected/,
      );
      expect(await say(target, 'Host: 127.0.0.1\r\nExpect: 100-continue')).toContain('HTTP/1.1 200 ');
    }
  });

  it('answers although hundreds hold connections and ask nothing', async () => {
    const idle: Socket[] = [];
    try {
      for (let n = 0; n < 1_200; n++) {
        const socket = connect(Number(base.port), base.hostname);
        socket.on('error', () => {});
        // Half of them begin a request that never ends.
        if (n % 2 === 0) socket.write('GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n');
        idle.push(socket);
        if (n % 100 === 99) await ask('/api/v1/status');
      }
      expect((await ask('/api/v1/status')).status).toBe(200);
    } finally {
      for (const socket of idle) socket.destroy();
    }
  });
});

describe('metrics', () => {
  it('are all documented, and what the host holds', async () => {
    const { body, headers } = await ask('/metrics');
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    const documented = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8');
    for (const { name, type, help } of METRICS)
      expect(documented).toContain(`| \`${name}\` | ${type} | ${help} |\n`);
    expect(documented.match(/^\| `(ekho|process)_/gm)).toHaveLength(METRICS.length);

    const values = new Map<string, number>();
    const names = new Set<string>();
    for (const line of body.trimEnd().split('\n')) {
      const comment = /^# (?:HELP|TYPE) (\w+) (.+)$/.exec(line);
      if (comment !== null) {
        names.add(comment[1]!);
        continue;
      }
      const [, name, labels = '', value] = /^([a-z_]+)(\{(?:\w+="[^"]*",?)+\})? (-?[\d.e+]+)$/.exec(line)!;
      expect(names.has(name!), line).toBe(true);
      expect(values.has(name! + labels), line).toBe(false);
      values.set(name! + labels, Number(value));
    }
    expect(values.get('ekho_mirror_synced')).toBe(1);
    expect(values.get('ekho_plugin_active{plugin="softnic"}')).toBe(1);
    const { kinds, offload } = await client.get<Status>('/api/v1/status');
    expect(values.get('ekho_mirror_objects{kind="link"}')).toBe(
      kinds.find(({ kind }) => kind === 'link')!.count,
    );
    const routes = offload.find(({ kind }) => kind === 'route')!;
    expect(values.get('ekho_offload_entries{plugin="softnic",kind="route",state="trapped"}')).toBe(
      routes.trapped,
    );
    expect(values.get('ekho_device_table_capacity{device="asic0",table="lpm4"}')).toBe(131_072);
  });
});

interface Operation {
  readonly summary?: string;
  readonly tags?: string[];
  readonly responses: { readonly [status: string]: { readonly $ref?: string; readonly content?: object } };
}

it('describes itself as OpenAPI 3.1, every path with what it answers', async () => {
  const api = JSON.parse((await ask('/api/v1/openapi.json')).body) as {
    openapi: string;
    paths: Record<string, Record<string, Operation>>;
    components: { responses: { Problem: { content: object } }; schemas: { Problem: { required: string[] } } };
  };
  expect(api.openapi).toBe('3.1.0');
  expect(Object.keys(api.paths)).toEqual(
    expect.arrayContaining(['/api/v1/status', '/api/v1/objects/{kind}', '/api/v1/plugins/{name}/restart']),
  );
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      expect([path, method, operation.summary, operation.tags]).toEqual([
        path,
        method,
        expect.any(String),
        [expect.any(String)],
      ]);
      expect([path, operation.responses.default]).toEqual([path, { $ref: '#/components/responses/Problem' }]);
    }
  }
  const { responses, schemas } = api.components;
  expect(Object.keys(responses.Problem.content)).toEqual(['application/problem+json']);
  const problem = JSON.parse((await ask('/api/v1/objects/ruote')).body);
  expect(Object.keys(problem)).toEqual(expect.arrayContaining(schemas.Problem.required));
  expect(Object.keys(api.paths['/api/v1/changes']!.get!.responses['200']!.content!)).toEqual([
    'application/x-ndjson',
    'text/event-stream',
  ]);
});

describe('the configuration', () => {
  it('is shown with what is secret taken out', async () => {
    const shown = JSON.parse((await ask('/api/v1/config')).body);
    expect(shown).toMatchObject({
      mirror: { netns: bench.name },
      plugin: [{ name: 'softnic', device: 'asic0', ports: ['p?'], priority: 100 }],
      statistics: { interval_s: 10 },
    });
    const { out } = await bench.ekho('config', 'show');
    expect(JSON.parse(out)).toEqual(shown);
  });

  it('can be checked before it is anybody’s', async () => {
    const secret = `[plugin.a]\nsettings = { community = "hush", url = "https://me:hush@example.net", fast = true }\n[tracing]\nendpoint = "http://127.0.0.1/hush"\n[api.token.b]\nrole = "read"\nsha256 = "${'a'.repeat(64)}"\n`;
    const good = await client.post<{ problems: string[]; config: unknown }>('/api/v1/config/check', {
      text: secret,
    });
    expect(good.problems).toEqual([]);
    expect(JSON.stringify(good.config)).not.toMatch(/hush|aaaa/);
    expect(JSON.stringify(good.config)).toContain('{"name":"fast","value":"true"}');
    const wrong = await client.post('/api/v1/config/check', {
      text: '[mirror]\nnetsn = "x"\n[plugin.a]\nprority = 1\n',
    });
    expect(wrong).toEqual({
      problems: [
        expect.stringContaining('ekho.toml:2: mirror.netsn: unknown key; did you mean netns?'),
        expect.stringContaining('ekho.toml:4: plugin.a.prority: unknown key; did you mean priority?'),
      ],
    });
  });

  it('is in the bundle for those who help, with all else they ask for', async () => {
    const file = join(bench.folder, 'bundle.json.gz');
    const { out, code } = await bench.ekho('support', file);
    expect(code).toBe(0);
    expect(out).toContain(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const bundle = JSON.parse(gunzipSync(readFileSync(file)).toString());
    const errors = Object.entries(bundle).filter(
      ([, part]) => (part as { error?: string }).error !== undefined,
    );
    expect(errors).toEqual([]);
    expect(bundle).toMatchObject({
      status: { netns: bench.name },
      config: { plugin: [{ name: 'softnic' }] },
      plugins: { softnic: { details: { name: 'softnic' }, logs: expect.any(Array) } },
      objects: { route: { first: { total: expect.any(Number) }, trapped: { total: expect.any(Number) } } },
      doctor: { findings: expect.any(Array) },
    });
    const again = await bench.ekho('support', file);
    expect(again.code).toBe(2);
    expect(again.err).toContain('EEXIST');
  });
});
