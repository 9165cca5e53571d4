/** The command and the API against a running host on a real network namespace. */
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type {
  DeviceStatus,
  Diagnosis,
  Explanation,
  LookupAnswer,
  PluginStatus,
  Status,
} from '../../host/api/schemas.ts';
import { ROOT } from '../../host/config/config.ts';
import { Bench, finish } from './cli-support.ts';

interface Shown {
  readonly dst?: string;
  readonly offload: readonly { plugin: string; state: string; reason?: string }[];
}

async function json<T>(bench: Bench, ...words: string[]): Promise<T> {
  const { code, out, err } = await bench.ekho(...words, '--json');
  expect(err).toBe('');
  expect(code).toBe(0);
  return JSON.parse(out) as T;
}

describe('a running host', () => {
  const bench = new Bench();
  beforeAll(async () => {
    bench.router();
    bench.ip('route add 203.0.113.0/24 via 198.51.100.2');
    bench.ip('route add blackhole 10.66.0.0/16');
    await bench.start('--listen', '127.0.0.1:0');
  });
  afterAll(() => bench.end());

  it('says what it does while it starts', () => {
    expect(bench.output).toContain(`socket ${bench.socket}\n`);
    expect(bench.output).toMatch(/dashboard http:\/\/127\.0\.0\.1:\d+ \(/);
    expect(bench.output).toMatch(/mirror in sync after [\d.]+ s: 5 link, /);
    expect(bench.output).toContain('plugin softnic: active (EKHO softnic ');
  });

  it('has a socket for its user only', () => {
    expect(statSync(bench.socket).mode & 0o777).toBe(0o600);
  });

  it('tells its status', async () => {
    const status = await json<Status>(bench, 'status');
    expect(status).toMatchObject({ netns: bench.name, synced: true, socket: bench.socket });
    expect(status.plugins[0]).toMatchObject({
      name: 'softnic',
      state: 'active',
      device: 'asic0',
      ports: ['p0', 'p1'],
    });
    expect(status.kinds.find(({ kind }) => kind === 'link')).toEqual({
      kind: 'link',
      state: 'synced',
      count: 5,
    });
    expect(status.offload.find(({ kind }) => kind === 'port')).toMatchObject({ offloaded: 2, failed: 0 });
    const { out } = await bench.ekho('status');
    expect(out).toMatch(/^softnic +active +asic0 +EKHO [\d.]+ +0 +p0 p1$/m);
  });

  it('is asked what it has and lacks', async () => {
    const { pid, content, findings } = await json<Diagnosis>(bench, 'doctor');
    expect(pid).toBe(bench.pid);
    expect(content).toBe(true);
    const found = new Map(findings.map((finding) => [`${finding.area} ${finding.feature}`, finding]));
    expect(found.get('netlink namespace')).toEqual({
      area: 'netlink',
      feature: 'namespace',
      status: 'available',
      detail: bench.name,
      required: true,
    });
    for (const name of ['rights CAP_BPF', 'netlink strict checking', 'netlink nftables', 'bpf ringbuf'])
      expect(found.get(name), name).toMatchObject({ status: 'available' });
    expect(found.get('plugin softnic')).toMatchObject({ status: 'available', detail: 'active' });
    const { out } = await bench.ekho('doctor');
    expect(out).toMatch(new RegExp(`^found out by the host, process ${bench.pid}\n`));
    expect(out).toMatch(/^rights +CAP_BPF +available +loading BPF programs$/m);
  });

  it('says which rights it lacks', async () => {
    const words = '--bounding-set=-bpf,-perfmon,-net_admin,-sys_admin';
    const file = bench.config('');
    const child = spawn(
      'setpriv',
      [words, process.execPath, join(ROOT, 'host/cli/ekho.mjs'), 'doctor', '-c', file],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const { out, code } = await finish(child);
    expect(out).toMatch(/^bpf +fentry +inconclusive +this process lacks CAP_BPF and CAP_PERFMON$/m);
    expect(out).toMatch(/^netlink +nftables +inconclusive +dump nft-table: Operation not permitted/m);
    expect(out).toContain('\nremedy for CAP_BPF: Run the host as root or grant CAP_BPF.\n');
    // It was not asked to do anything that needs them.
    expect(code).toBe(0);
  });

  it('follows a route into hardware and out again', async () => {
    bench.ip('route add 198.18.0.0/15 via 192.0.2.2');
    expect((await bench.ekho('wait')).code).toBe(0);
    const [route] = await json<Shown[]>(bench, 'show', 'routes', '198.18.0.0/15');
    expect(route).toMatchObject({
      type: 'unicast',
      dst: '198.18.0.0/15',
      gateway: '192.0.2.2',
      dev: 'p0',
      offload: [{ plugin: 'softnic', state: 'offloaded' }],
    });
    const { out } = await bench.ekho('show', 'route', '198.18.0.0/15');
    expect(out).toMatch(/^TYPE .* OFFLOAD$/m);
    expect(out).toMatch(/^unicast +198\.18\.0\.0\/15 +192\.0\.2\.2 +p0 .* offloaded$/m);
    const [answer] = await json<LookupAnswer[]>(bench, 'lookup', '198.18.7.7');
    expect(answer).toMatchObject({
      plugin: 'softnic',
      device: 'asic0',
      action: 'forward',
      ways: [{ link: 'p0', gateway: '192.0.2.2', mac: '02:00:00:00:00:00' }],
    });
    bench.ip('route del 198.18.0.0/15');
    await bench.ekho('wait');
    expect(await json(bench, 'show', 'routes', '198.18.0.0/15')).toEqual([]);
    expect(await json(bench, 'lookup', '198.18.7.7')).toMatchObject([{ action: 'trap' }]);
  });

  it('says what the hardware would do', async () => {
    const forward = await bench.ekho('lookup', '203.0.113.9', '--in', 'p0', '--from', '192.0.2.77');
    expect(forward).toMatchObject({ code: 0, err: '' });
    expect(forward.out).toMatch(
      /^forward dev p1 via 198\.51\.100\.2 lladdr 02:00:00:00:00:01\n {2}decided by: route\n/,
    );
    expect((await bench.ekho('lookup', '10.66.1.1')).out).toMatch(/^drop\n/);
    expect((await bench.ekho('lookup', '192.0.2.1')).out).toMatch(/^trap\n/);
  });

  it('explains objects by whatever names them', async () => {
    for (const words of [['203.0.113.0/24'], ['route', '203.0.113.0/24'], ['203.0.113.9']]) {
      const [first] = await json<Explanation[]>(bench, 'explain', ...words);
      expect(first).toMatchObject({ kind: 'route', offload: [{ plugin: 'softnic', state: 'offloaded' }] });
      expect(first!.object).toContain('203.0.113.0/24 via 198.51.100.2 dev p1');
    }
    const { out } = await bench.ekho('explain', '192.0.2.1');
    expect(out).toContain('because these packets are for this machine');
    expect((await bench.ekho('explain', 'p0')).out).toMatch(/^link p0\n {2}softnic: /);
  });

  it('verifies, and says what it compared', async () => {
    const { code, out } = await bench.ekho('verify');
    expect(out).toMatch(/^equal: \d+ objects with the kernel, \d+ entries with hardware\n$/);
    expect(code).toBe(0);
  });

  it('streams changes', async () => {
    const monitor = bench.spawn('monitor', '--json', '--kind', 'routes');
    const ended = finish(monitor);
    const lines = createInterface({ input: monitor.stdout! })[Symbol.asyncIterator]();
    // The stream has begun once a change arrives: repeat one until it does.
    let first: IteratorResult<string> | undefined;
    const next = lines.next().then((line) => {
      first = line;
    });
    for (const end = Date.now() + 60_000; Date.now() < end && first === undefined; ) {
      bench.ip('route replace 198.18.99.0/24 via 192.0.2.2');
      bench.ip('route del 198.18.99.0/24');
      await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 100))]);
    }
    const line = JSON.parse(first!.value!);
    expect(line).toMatchObject({
      kind: 'route',
      text: '198.18.99.0/24 via 192.0.2.2 dev p0',
      object: { dst: '198.18.99.0/24' },
    });
    monitor.kill('SIGINT');
    await ended;
  });

  it('tells a slow reader of changes how many it lost', async () => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ socketPath: bench.socket, path: '/api/v1/changes?kind=route' }, resolve)
        .on('error', reject)
        .end();
    });
    response.pause();
    // When the host ends, so does the stream.
    response.on('error', () => {});
    const routes = Array.from({ length: 60_000 }, (_, n) => `blackhole 11.${n >> 8}.${n & 255}.0/24`);
    expect(bench.batch(routes.map((route) => `route add ${route}`)).size).toBe(0);
    await bench.ekho('wait');
    let [told, lost, revision] = [0, 0, 0];
    for await (const line of createInterface({ input: response })) {
      const change = JSON.parse(line);
      if (change.lost !== undefined) {
        lost += change.lost;
      } else {
        expect(change.revision).toBeGreaterThan(revision);
        revision = change.revision;
        told++;
      }
      if (told + lost === routes.length) break;
    }
    response.destroy();
    expect(lost).toBeGreaterThan(0);
    // What the sockets hold, and 4 MiB.
    expect(told).toBeGreaterThan(4000);
    expect(bench.batch(routes.map((route) => `route del ${route}`)).size).toBe(0);
    await bench.ekho('wait');
  });

  it('ends quietly when its reader does', async () => {
    const reader = finish(bench.spawn('show', 'route'));
    expect((await reader).code).toBe(0);
    const shell = await finish(bench.shell('show route | head -n 1'));
    expect(shell.err).toBe('');
    expect(shell.out).toMatch(/^TYPE /);
  });

  it('restarts a plugin without touching what is right', async () => {
    const writes = async () => (await json<DeviceStatus[]>(bench, 'device', 'list'))[0]!.writes;
    const before = await writes();
    expect((await bench.ekho('plugin', 'restart', 'softnic')).code).toBe(0);
    expect((await bench.ekho('wait')).code).toBe(0);
    expect(await writes()).toBe(before);
    const [plugin] = await json<PluginStatus[]>(bench, 'plugin', 'list');
    expect(plugin).toMatchObject({ name: 'softnic', state: 'active', restarts: 1 });
    expect((await bench.ekho('plugin', 'logs', 'softnic')).out).toContain('started');
    expect((await bench.ekho('verify')).code).toBe(0);
  });

  it('shows failures of the device, and heals', async () => {
    expect((await bench.ekho('device', 'inject', 'asic0', '--fail-every', '1')).code).toBe(0);
    bench.ip('route add 198.18.1.0/24 via 192.0.2.2');
    await bench.ekho('wait');
    const [route] = await json<Shown[]>(bench, 'show', 'route', '198.18.1.0/24');
    expect(route!.offload).toMatchObject([{ state: 'failed', reason: 'device-error' }]);
    expect((await bench.ekho('explain', '198.18.1.0/24')).out).toContain('the device did not take the write');
    expect((await bench.ekho('device', 'list')).out).toContain('fails every 1');
    await bench.ekho('device', 'inject', 'asic0', '--fail-every', '0');
    const state = async () =>
      (await json<Shown[]>(bench, 'show', 'route', '198.18.1.0/24'))[0]!.offload[0]!.state;
    await expect.poll(state, { timeout: 60_000, interval: 200 }).toBe('offloaded');
  });

  it('programs a device again that lost its tables', async () => {
    expect((await bench.ekho('device', 'power-cycle', 'asic0')).code).toBe(0);
    const action = async () => (await json<LookupAnswer[]>(bench, 'lookup', '203.0.113.9'))[0]!.action;
    await expect.poll(action, { timeout: 60_000, interval: 100 }).toBe('forward');
    await bench.ekho('wait');
    expect((await bench.ekho('verify')).code).toBe(0);
  });

  it.each([
    [['show', 'ruotes'], 2, 'there is no kind "ruotes"; did you mean route?'],
    [['show', 'route', '10.0.0.0/40'], 2, '10.0.0.0/40'],
    [['show', 'route', 'dve', 'p0'], 2, '"dve" is not understood; did you mean dev?'],
    [['lookup', '10.0.0'], 2, '10.0.0'],
    [['lookup', '10.0.0.1', '--from', '2001:db8::1'], 2, 'not of one family'],
    [['lookup', '10.0.0.1', '--in', 'p9'], 1, 'there is no link p9; did you mean p0?'],
    [['lookup', '10.0.0.1', '--vrf', 'p0'], 1, 'p0 is not a VRF'],
    [['explain', '198.18.200.0/24'], 1, 'there is no route 198.18.200.0/24'],
    [['plugin', 'restart', 'x'], 1, 'there is no plugin x\nPlugins: softnic.'],
    [['device', 'power-cycle', 'x'], 1, 'there is no device x\nDevices: asic0.'],
    [['device', 'inject', 'asic0'], 2, 'no fault is named'],
  ])('%j exits %i and says why', async (words, code, message) => {
    const result = await bench.ekho(...words);
    expect(result.err).toContain(message);
    expect(result.code).toBe(code);
  });

  it('gives up waiting in time', async () => {
    // Each of several bursts takes three seconds: more than the command needs to begin.
    await bench.ekho('device', 'inject', 'asic0', '--delay', '3000000');
    const batch = Array.from(
      { length: 40_000 },
      (_, n) => `route add 11.${n >> 8}.${n & 255}.0/24 via 192.0.2.2`,
    );
    expect(bench.batch(batch).size).toBe(0);
    const result = await bench.ekho('wait', '--timeout', '0.1');
    await bench.ekho('device', 'inject', 'asic0', '--delay', '0');
    expect(result.err).toContain('not all changes are in hardware after 0.1 s');
    expect(result.code).toBe(4);
    expect((await bench.ekho('wait')).code).toBe(0);
  });

  it('refuses a second host on its socket', async () => {
    const second = await finish(bench.spawn('run', '--netns', bench.name, '--listen', 'off'));
    expect(second.err).toContain(`another host answers on ${bench.socket}`);
    expect(second.code).toBe(1);
    expect((await bench.ekho('status')).code).toBe(0);
  });

  it('refuses other users', async () => {
    chmodSync(bench.folder, 0o755);
    const result = await finish(bench.shell('status', 'nobody'));
    expect(result.err).toContain(
      `you may not use ${bench.socket}\nRun the command as the user who runs the host.`,
    );
    expect(result.code).toBe(3);
  });

  describe('on loopback', () => {
    function ask(path: string, method = 'GET', headers: Record<string, string> = {}) {
      const url = new URL(path, /http:\/\/127\.0\.0\.1:\d+/.exec(bench.output)![0]);
      return new Promise<{ status: number; type: string; body: string }>((resolve, reject) => {
        const outgoing = request(url, { method, headers }, (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (text) => {
            body += text;
          });
          response.on('end', () =>
            resolve({ status: response.statusCode!, type: response.headers['content-type'] ?? '', body }),
          );
        });
        outgoing.on('error', reject);
        outgoing.end();
      });
    }

    it('serves what changes nothing', async () => {
      expect(JSON.parse((await ask('/api/v1/status')).body)).toMatchObject({ netns: bench.name });
      expect(JSON.parse((await ask('/api/v1/objects/link?filter=p0')).body)).toMatchObject([
        { ifname: 'p0' },
      ]);
      const lines = await ask('/api/v1/objects/link', 'GET', { accept: 'application/x-ndjson' });
      expect(
        lines.body
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line).ifname),
      ).toHaveLength(5);
    });

    it('serves nothing that changes anything', async () => {
      for (const path of [
        'verify',
        'plugins/softnic/restart',
        'devices/asic0/power-cycle',
        'devices/asic0/inject',
      ]) {
        expect((await ask(`/api/v1/${path}`, 'POST')).status).toBe(403);
      }
    });

    it('refuses requests that another site made', async () => {
      expect((await ask('/api/v1/status', 'GET', { host: 'attacker.example:80' })).status).toBe(403);
      expect((await ask('/api/v1/status', 'GET', { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    });

    it('answers errors as problem documents', async () => {
      const { status, type, body } = await ask('/api/v1/objects/ruote');
      expect(status).toBe(404);
      expect(type).toContain('application/problem+json');
      expect(JSON.parse(body)).toMatchObject({
        type: 'about:blank',
        status: 404,
        code: 'E_UNKNOWN_KIND',
        detail: 'there is no kind "ruote"; did you mean route?',
      });
      expect(JSON.parse((await ask('/api/v1/lookup')).body)).toMatchObject({ status: 400, code: 'E_USAGE' });
      expect(JSON.parse((await ask('/nowhere')).body)).toMatchObject({ status: 404, code: 'E_USAGE' });
      const refused: [path: string, headers: Record<string, string>, status: number][] = [
        ['/api/v1/%zz', {}, 400],
        [`/api/v1/objects/${'x'.repeat(300)}`, {}, 414],
        ['/api/v1/status', { long: 'x'.repeat(40_000) }, 431],
      ];
      for (const [path, headers, status] of refused) {
        const { type, body } = await ask(path, 'GET', headers);
        expect(type).toContain('application/problem+json');
        expect(JSON.parse(body)).toMatchObject({ status, code: 'E_USAGE' });
      }
    });

    it('answers many who ask for the same at once', async () => {
      const answers = await Promise.all(
        Array.from({ length: 24 }, (_, n) =>
          n % 2 === 0 ? statusOf(bench.socket, 'GET', 'stats') : statusOf(bench.socket, 'POST', 'verify'),
        ),
      );
      expect(new Set(answers)).toEqual(new Set([200]));
    });
  });
});

describe('a host', () => {
  let bench: Bench;
  afterEach(() => bench.end());

  it('stops in order on Ctrl-C and leaves no socket behind', async () => {
    bench = new Bench();
    await bench.start();
    expect(await bench.stop('SIGINT')).toBe(0);
    expect(bench.output).toContain('stopping; hardware keeps what it holds');
    expect(() => statSync(bench.socket)).toThrow('ENOENT');
  });

  it('replaces the socket of one that was killed', async () => {
    bench = new Bench();
    await bench.start();
    await bench.stop('SIGKILL');
    expect(statSync(bench.socket).isSocket()).toBe(true);
    expect((await bench.ekho('status')).code).toBe(3);
    await bench.start();
    expect((await bench.ekho('status')).code).toBe(0);
  });

  it('lives on when nobody can read its log', async () => {
    bench = new Bench();
    const child = bench.shell(`run --netns ${bench.name} --listen off > /dev/full & echo $!`);
    const pid = await new Promise<number>((resolve) =>
      child.stdout!.once('data', (text) => resolve(Number(text))),
    );
    try {
      const waits = async () => (await bench.ekho('wait', '--timeout', '1.0005')).code;
      await expect.poll(waits, { timeout: 60_000, interval: 100 }).toBe(0);
      const full = await finish(bench.shell('status > /dev/full'));
      expect(full.err).toContain('cannot write to standard output: ENOSPC');
      expect(full.code).toBe(1);
    } finally {
      process.kill(pid, 'SIGTERM');
      await finish(child);
    }
  });

  it('does not replace a file that is no socket', async () => {
    bench = new Bench();
    writeFileSync(bench.socket, 'precious');
    const { code, err } = await finish(bench.spawn('run', '--netns', bench.name, '--listen', 'off'));
    expect(err).toContain(`${bench.socket} is there and is not a socket`);
    expect(code).toBe(3);
  });

  it('says that there is no such namespace', async () => {
    bench = new Bench();
    const { code, err } = await finish(bench.spawn('run', '--netns', 'ekho-nowhere', '--listen', 'off'));
    expect(err).toContain('ekho-nowhere');
    expect(code).toBe(1);
  });

  it('says that a kind is not there for it', async () => {
    bench = new Bench();
    const config = join(bench.folder, 'ekho.toml');
    writeFileSync(config, '[mirror]\nkinds = ["link", "vlan"]\n[plugin.softnic]\nenabled = false\n');
    await bench.start('--config', config);
    const message = 'ekho: route is not available: the configuration leaves it out\nAdd it to';
    const text = await bench.ekho('show', 'route');
    expect(text.err).toContain(message);
    expect(text).toMatchObject({ code: 1, out: '' });
    const array = await bench.ekho('show', 'route', '--json');
    expect(array.err).toContain(message);
    expect(array.code).toBe(1);
    expect(JSON.parse(array.out)).toEqual([]);
    const none = await bench.ekho('show', 'link', 'type', 'vrf');
    expect(none).toMatchObject({ code: 0, err: '' });
  });

  it('says that its namespace was deleted', async () => {
    bench = new Bench();
    await bench.start();
    bench.close();
    const status = async () => (await json<Status>(bench, 'status')).netns_deleted;
    await expect.poll(status, { timeout: 60_000, interval: 100 }).toBe(true);
    expect((await bench.ekho('status')).out).toContain(`${bench.name} (deleted: start the host again)`);
    for (const word of ['wait', 'verify']) {
      const { code, err } = await bench.ekho(word);
      expect(err).toContain(`network namespace ${bench.name} was deleted\nStart the host again`);
      expect(code).toBe(1);
    }
    expect((await bench.ekho('stats')).code).toBe(0);
  });

  it('says that another program has its port', async () => {
    bench = new Bench();
    await bench.start('--listen', '127.0.0.1:0');
    const listen = /127\.0\.0\.1:\d+/.exec(bench.output)![0];
    const second = await finish(
      bench.spawn(
        'run',
        '--netns',
        bench.name,
        '--listen',
        listen,
        '--socket',
        join(bench.folder, 'second.sock'),
      ),
    );
    expect(second.err).toContain('serves 127.0.0.1 port');
    expect(second.err).toContain('--listen off');
    expect(second.code).toBe(1);
  });

  it('keeps to the tables it was given, and says so', async () => {
    bench = new Bench();
    bench.router();
    await bench.start('--config', bench.config('ports = ["p0", "p1"]', 'lpm4 = 16'));
    const batch = Array.from({ length: 64 }, (_, n) => `route add 198.18.${n}.0/24 via 192.0.2.2`).join('\n');
    bench.run('ip', ['-batch', '-'], batch);
    expect((await bench.ekho('wait')).code).toBe(0);
    const routes = await json<Shown[]>(bench, 'show', 'route', 'root', '198.18.0.0/15');
    expect(routes).toHaveLength(64);
    expect(routes.some(({ offload }) => offload[0]!.reason === 'table-full')).toBe(true);
    expect((await bench.ekho('verify')).code).toBe(0);
  });

  it('says what is wrong with its plugin', async () => {
    bench = new Bench();
    const config = join(bench.folder, 'ekho.toml');
    writeFileSync(config, '[plugins]\nfolder = "."\n[plugin.broken]\ndevice = "asic0"\n[plugin.absent]\n');
    copyFileSync('/etc/hostname', join(bench.folder, 'broken.wasm'));
    await bench.start('--config', config);
    const plugins = await json<{ name: string; state: string; reason: string }[]>(bench, 'plugin', 'list');
    expect(plugins).toMatchObject([
      { name: 'broken', state: 'refused' },
      { name: 'absent', state: 'missing' },
    ]);
    expect(bench.output).toContain('plugin broken: refused: ');
    expect(bench.output).toContain('plugin absent: missing: there is no such file in ');
  });

  it('shows 100,000 routes in bounded memory while it answers others', async () => {
    bench = new Bench();
    bench.router();
    const batch = Array.from(
      { length: 100_000 },
      (_, n) => `route add 10.${n >> 16}.${(n >> 8) & 255}.${n & 255} via 192.0.2.2`,
    ).join('\n');
    bench.run('ip', ['-batch', '-'], batch);
    await bench.start();
    const before = (await json<Status>(bench, 'status')).memory_bytes;
    const delays: number[] = [];
    const idle: number[] = [];
    const measure = async (into: number[]): Promise<void> => {
      const started = performance.now();
      await ask(bench!.socket);
      into.push(performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, 20));
    };
    while (idle.length < 20) await measure(idle);
    const reading = bench.shell('show route --json | (sleep 3; wc -l)');
    const ended = finish(reading);
    while (reading.exitCode === null) await measure(delays);
    expect(Number((await ended).out)).toBeGreaterThan(100_000);
    const grown = (await json<Status>(bench, 'status')).memory_bytes - before;
    console.log(
      `while 100,000 routes were sent: status took ${Math.max(...delays).toFixed(0)} ms at most in ${delays.length}, memory grew ${(grown / 2 ** 20).toFixed(0)} MiB`,
    );
    expect(grown).toBeLessThan(100 * 2 ** 20);
    // Of the host's own making, not of a busy machine's.
    expect(median(delays)).toBeLessThan(Math.max(200, 20 * median(idle)));
  });
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function ask(socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path: '/api/v1/plugins' }, (response) => response.resume().on('end', resolve))
      .on('error', reject)
      .end();
  });
}

function statusOf(socketPath: string, method: string, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ socketPath, method, path: `/api/v1/${name}` }, (response) =>
      response.resume().on('end', () => resolve(response.statusCode!)),
    )
      .on('error', reject)
      .end();
  });
}
