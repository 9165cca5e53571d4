/** What goes wrong around a running host: notifications lost, links that flap, a namespace deleted, a device without power. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { setRouteCount } from '../support/asic-file.ts';
import { type HostOptions, TestHost } from '../support/host.ts';
import { host4, host6, Router, stormRoutes } from '../support/router.ts';

const PORTS = 2;

let router: Router | undefined;
let host: TestHost | undefined;

afterEach(async () => {
  await host?.close();
  router?.close();
  host = router = undefined;
});

async function start(options: Partial<HostOptions> = {}): Promise<void> {
  router = new Router(PORTS);
  host = await TestHost.start({ netns: router.name, ...options });
}

test('100,000 route changes past a small receive buffer: what was lost is read again', async () => {
  await start({ receiveBuffer: 4096 });
  const before = await host!.used('lpm4');
  expect(router!.batch([...stormRoutes(60_000, PORTS)]).size).toBe(0);
  const doomed = [...stormRoutes(60_000, PORTS, 'del')].filter((_, number) => number % 3 > 0);
  expect(router!.batch(doomed).size).toBe(0);
  const followed = await host!.settled();
  await host!.verified();
  expect(await host!.used('lpm4')).toBe(before + 60_000 - doomed.length);
  const { overruns, lost, resyncs } = (await host!.stats()).counters.sync!;
  console.log(
    `overruns ${overruns}, datagrams lost ${lost}, resyncs ${resyncs}; settled ${Math.round(followed)} ms after the last change`,
  );
  expect(overruns).toBeGreaterThan(0);
  expect(lost).toBeGreaterThan(0);
});

test('links flap under their routes', async () => {
  await start();
  router!.batch([...stormRoutes(5000, PORTS)]);
  await host!.settled();
  expect((await host!.lookup({ destination: '16.0.0.1' })).action).toBe('forward');

  // Down: the kernel takes the routes away without a word. No carrier: it keeps them, and nothing can leave there.
  router!.ip('link set p0 down');
  await host!.settled();
  await host!.verified();
  expect((await host!.lookup({ destination: '16.0.0.1' })).action).toBe('trap');
  expect((await host!.lookup({ destination: '16.0.1.1' })).action).toBe('forward');
  router!.ip('link set p0 up');
  router!.batch([...stormRoutes(5000, PORTS, 'replace')]);
  router!.ip('link set v1 down');
  await host!.settled();
  await host!.verified();
  expect((await host!.lookup({ destination: '16.0.1.1' })).action).toBe('trap');

  const flaps: string[] = [];
  for (let round = 0; round < 30; round++) {
    flaps.push(`link set p${round % 2} down`, `link set v${(round + 1) % 2} down`);
    flaps.push(`link set p${round % 2} up`, `link set v${(round + 1) % 2} up`);
    flaps.push(...[...stormRoutes(100, PORTS, 'replace')].slice(round, round + 50));
  }
  router!.batch(flaps);
  router!.batch([...stormRoutes(5000, PORTS, 'replace')]);
  for (let number = 2; number <= 5; number++) {
    for (const port of [0, 1])
      router!.ip(`neigh replace ${host4(port, number)} lladdr 02:00:00:00:00:01 dev p${port} nud permanent`);
  }
  await host!.settled();
  await host!.verified();
  for (const destination of ['16.0.0.1', '16.0.1.1', '16.0.19.1'])
    expect(await host!.lookup({ destination })).toMatchObject({ action: 'forward' });
});

test('a link goes down under a nexthop group: the group shrinks without a word', async () => {
  await start();
  router!.batch([
    `nexthop add id 1 via ${host4(0, 2)} dev p0`,
    `nexthop add id 2 via ${host4(1, 2)} dev p1`,
    'nexthop add id 3 group 1/2',
    'route add 203.0.113.0/24 nhid 3',
  ]);
  await host!.settled();
  const ways = async (): Promise<string[]> =>
    (await host!.lookup({ destination: '203.0.113.7' })).ways.map(({ link }) => link).sort();
  expect(await ways()).toEqual(['p0', 'p1']);
  router!.ip('link set p0 down');
  await host!.settled();
  expect(await ways()).toEqual(['p1']);
  await host!.verified();
});

test('routes that left in silence and come again stand last among those of their prefix', async () => {
  await start();
  router!.batch(['addr add 203.0.113.1/24 dev p0', 'addr add 203.0.113.1/24 dev p1']);
  await host!.settled();
  router!.batch(['link set p0 down', 'link set p0 up']);
  await host!.verified();
});

test('the last IPv4 address of a link goes and another comes: hops die and come to life in silence', async () => {
  await start();
  router!.ip(
    `route add 203.0.113.0/24 nexthop via inet6 ${host6(0, 2)} dev p0 nexthop via ${host4(1, 2)} dev p1`,
  );
  const ways = async (): Promise<string[]> => {
    await host!.settled();
    await host!.verified();
    return (await host!.lookup({ destination: '203.0.113.7' })).ways.map(({ link }) => link).sort();
  };
  expect(await ways()).toEqual(['p0', 'p1']);
  router!.ip(`addr del ${host4(0, 1)}/24 dev p0`);
  expect(await ways()).toEqual(['p1']);
  router!.ip('addr add 198.51.100.1/24 dev p0');
  expect(await ways()).toEqual(['p0', 'p1']);
});

test('ignore_routes_with_linkdown: routes without carrier come to life and die by a setting', async () => {
  await start();
  router!.batch([
    `route add 203.0.113.0/24 via ${host4(0, 2)} metric 1`,
    `route add 203.0.113.0/24 via ${host4(1, 2)} metric 2`,
    'link set v0 down',
  ]);
  const fate = async (): Promise<string> => {
    await host!.settled();
    await host!.verified();
    const { action, ways } = await host!.lookup({ destination: '203.0.113.7' });
    return [action, ...ways.map(({ link }) => link)].join(' ');
  };
  expect(await fate()).toBe('trap');
  router!.sysctl('net.ipv4.conf.p0.ignore_routes_with_linkdown=1');
  expect(await fate()).toBe('forward p1');
  router!.sysctl('net.ipv4.conf.p0.ignore_routes_with_linkdown=0');
  expect(await fate()).toBe('trap');
  router!.sysctl('net.ipv4.conf.all.ignore_routes_with_linkdown=1');
  expect(await fate()).toBe('forward p1');
});

test('the device fails: waiting says so, and how many entries are tried again', async () => {
  await start();
  router!.batch([...stormRoutes(20, PORTS)]);
  expect(await host!.ekho('wait')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^settled at revision [\d,]+\n$/),
  });
  await host!.inject({ failEvery: 1 });
  router!.batch([...stormRoutes(5, PORTS, 'del')]);
  const { code, out } = await host!.ekho('wait');
  expect(out).toMatch(
    /^settled at revision [\d,]+; \d+ entries failed in hardware, to be tried again: see `ekho status`\n$/,
  );
  expect(code).toBe(1);
  await host!.inject({ failEvery: 0 });
  await host!.until('nothing has failed', async () => (await host!.ekho('wait')).code === 0);
  await host!.verified();
});

test('ignore_routes_with_linkdown: hops are left out from the loss of a carrier on, not from the setting on', async () => {
  await start();
  router!.ip(`route add 203.0.113.0/24 nexthop via ${host4(0, 2)} dev p0 nexthop via ${host4(1, 2)} dev p1`);
  const group = async (): Promise<{ offloaded: boolean; detail: string }> => {
    await host!.settled();
    await host!.verified();
    const { out } = await host!.ekho('show', 'route', '203.0.113.0/24', '--json');
    const [route] = JSON.parse(out) as { offload: { state: string; detail?: string }[] }[];
    const { state, detail } = route!.offload[0]!;
    return { offloaded: state === 'offloaded', detail: detail ?? '' };
  };
  expect(await group()).toEqual({ offloaded: true, detail: '' });
  // The kernel goes on to choose p0 for its share of the packets.
  router!.ip('link set v0 down');
  await host!.settled();
  router!.sysctl('net.ipv4.conf.p0.ignore_routes_with_linkdown=1');
  expect(await group()).toEqual({ offloaded: false, detail: `1 of 2 nexthops: ${host4(0, 2)} dev p0` });
  router!.ip('link set v0 up');
  expect(await group()).toEqual({ offloaded: true, detail: '' });
  router!.ip('link set v0 down');
  expect(await group()).toEqual({ offloaded: true, detail: '' });
  expect((await host!.lookup({ destination: '203.0.113.7' })).ways.map(({ link }) => link)).toEqual(['p1']);
});

test('the namespace is deleted: the host stays up and says so', async () => {
  await start();
  router!.close();
  await host!.until('the host says so', async () => /network namespace \S+ was deleted/.test(host!.output));
  expect(host!.isRunning).toBe(true);
  const { code, out } = await host!.ekho('status');
  expect(code).toBe(0);
  expect(out).toContain('in sync');
  const wait = await host!.ekho('wait', '--timeout', '5');
  expect(wait.code).toBe(1);
  expect(wait.err).toMatch(/was deleted/);
  expect((await host!.ekho('show', 'route', '--json')).code).toBe(0);
  expect(await host!.stop()).toBe(0);
});

test('no file descriptor was left when the API was first to be described: it is described later', async () => {
  router = new Router(1);
  host = new TestHost({ netns: router.name, isOnlyMirror: true });
  await host.launch();
  await host.settled();
  // Whoever is connected needs no further descriptor.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const asked = request({ agent, socketPath: host!.socket, path }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode));
      });
      asked.on('error', reject).end();
    });
  const limit = (files: string) =>
    execFileSync('prlimit', ['--pid', `${host!.pid}`, `--nofile=${files}:`], { stdio: 'pipe' });
  const [, usual = ''] = /^Max open files\s+(\S+)/m.exec(readFileSync(`/proc/${host.pid}/limits`, 'utf8'))!;
  try {
    expect(await ask('/api/v1/plugins')).toBe(200);
    limit('3');
    expect(await ask('/api/v1/openapi.json')).toBe(500);
    limit(usual);
    expect(await ask('/api/v1/openapi.json')).toBe(200);
  } finally {
    agent.destroy();
  }
});

test('the device loses power: everything is programmed again, and counters go on', async () => {
  await start({ keepsState: true });
  router!.batch([...stormRoutes(3000, PORTS)]);
  await host!.settled();
  const before = await host!.device();
  const used = new Map(before.tables.map(({ name, used }) => [name, used]));
  const state = join(host!.folder, 'asic0');
  const packets = async (): Promise<number> => {
    const { entries } = await host!.stats();
    return entries.find(({ entry }) => entry.startsWith('route 16.0.7.0/24'))?.packets ?? 0;
  };
  setRouteCount(state, {}, 0x10000700, 24, 1000);
  expect(await packets()).toBe(1000);

  const { code, err } = await host!.ekho('device', 'power-cycle', 'asic0');
  expect(err).toBe('');
  expect(code).toBe(0);
  await host!.until('all is programmed again', async () => (await host!.used('lpm4')) === used.get('lpm4'));
  await host!.settled();
  await host!.verified();
  const after = await host!.device();
  expect(after.epoch).toBe(before.epoch + 1);
  expect(new Map(after.tables.map(({ name, used }) => [name, used]))).toEqual(used);
  const held = [...used.values()].reduce((sum, rows) => sum + rows, 0);
  expect(after.writes - before.writes).toBeGreaterThanOrEqual(held);
  expect(after.writes - before.writes).toBeLessThanOrEqual(held + 8);
  expect((await host!.lookup({ destination: '16.0.7.1' })).action).toBe('forward');

  expect(await packets()).toBe(1000);
  setRouteCount(state, {}, 0x10000700, 24, 50);
  expect(await packets()).toBe(1050);
});

test('the device has no power for a while: what changes meanwhile is right when it comes back', async () => {
  await start();
  router!.batch([...stormRoutes(1000, PORTS)]);
  await host!.settled();
  await host!.inject({ poweredOff: true });
  router!.batch([...stormRoutes(500, PORTS, 'del'), ...stormRoutes(2000, PORTS, 'replace')]);
  await host!.settled();
  const { offload } = await host!.status();
  const reasons = offload.map(({ kind, offloaded, failed }) => `${kind} ${offloaded} ${failed > 0}`);
  expect(reasons).toContain('route 0 true');
  expect((await host!.lookup({ destination: '16.0.7.1' })).action).toBe('trap');
  const explained = await host!.ekho('explain', '16.0.7.0/24');
  expect(explained.out).toContain('device-off');

  await host!.inject({ poweredOff: false });
  await host!.until('nothing has failed', async () => {
    const { offload } = await host!.status();
    return offload.every(({ failed, pending }) => failed === 0 && pending === 0);
  });
  await host!.verified();
  expect((await host!.lookup({ destination: '16.0.7.1' })).action).toBe('forward');
});
