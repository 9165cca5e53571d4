/** What ends and what goes on: without state the data path ends with the host, with state the next host takes it over. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { added, Datapath } from '../support/datapath.ts';
import { address4, Wires } from '../support/wires.ts';

const folder = mkdtempSync(join(tmpdir(), 'ekho-xdp-'));
const bpffs = join(folder, 'bpf');
let path: Datapath | undefined;

beforeAll(() => {
  mkdirSync(bpffs);
  execFileSync('mount', ['-t', 'bpf', 'bpf', bpffs]);
});

afterEach(async () => {
  await path?.close();
  path = undefined;
});

afterAll(() => {
  execFileSync('umount', [bpffs]);
  rmSync(folder, { recursive: true });
});

/** Object file of a program that passes everything. */
function foreign(): string {
  const file = join(folder, 'pass.o');
  const source = '__attribute__((section("xdp"), used)) int pass(void *context) { return 2; }';
  execFileSync('clang', ['-target', 'bpf', '-O2', '-g', '-x', 'c', '-c', '-', '-o', file], { input: source });
  return file;
}

/** Whether each of the router's ports has an XDP program. */
function programs(wires: Wires): boolean[] {
  const links = JSON.parse(wires.router.run('ip', ['-j', 'link'])) as { ifname: string; xdp?: object }[];
  return links.filter(({ ifname }) => /^p\d$/.test(ifname)).map(({ xdp }) => xdp !== undefined);
}

test('without state, the kernel forwards everything once the host is killed', async () => {
  path = await Datapath.start(new Wires(), { mode: 'generic' });
  const { wires, host } = path;
  expect(programs(wires)).toEqual([true, true]);
  await host.stop('SIGKILL');
  await host.until('the ports are detached', async () => !programs(wires).includes(true));
  const before = path.forwarded().v4;
  expect(wires.ping(0, address4(1), 3)).toBe(3);
  expect(path.forwarded().v4 - before).toBe(6);
});

test('a plugin that is restarted finds what it left, and no packet is lost meanwhile', async () => {
  path = await Datapath.start(new Wires(), { mode: 'generic' });
  const { wires, host } = path;
  const before = await path.traps();
  const kernel = path.forwarded();
  const pinging = wires.pingMeanwhile(0, address4(1));
  await host.restartPlugin();
  await host.settled();
  const { sent, received } = await pinging.stop();
  expect(received).toBe(sent);
  expect(added(before, await path.traps())).toEqual({});
  expect(path.forwarded()).toEqual(kernel);
  expect((await path.count(`route ${address4(1)}/32`)).packets).toBe(sent);
  await host.verified();
});

test('with state, the data path goes on without a host, and the next one takes it over', async () => {
  path = await Datapath.start(new Wires(), { mode: 'generic', state: join(bpffs, 'path') });
  const { wires, host } = path;
  const { writes } = await host.device();
  expect(writes).toBeGreaterThan(0);
  const kernel = path.forwarded();
  const pinging = wires.pingMeanwhile(0, address4(1));
  await host.stop('SIGKILL');
  expect(programs(wires)).toEqual([true, true]);
  await host.start();
  const { sent, received } = await pinging.stop();
  expect(received).toBe(sent);
  expect(path.forwarded()).toEqual(kernel);
  // What was right was not written again, and counters went on.
  expect((await host.device()).writes).toBe(0);
  expect((await path.count(`route ${address4(1)}/32`)).packets).toBe(sent);
  await host.verified();
  await host.stop();
  expect(programs(wires)).toEqual([true, true]);
});

/** Where the links are pinned. */
function pins(state: string): string {
  const [layout] = readdirSync(state);
  return join(state, layout!);
}

/** Takes the data path off a port, as `bpftool` does. */
function detach(wires: Wires, state: string, port: string): void {
  const [{ ifindex }] = JSON.parse(wires.router.run('ip', ['-j', 'link', 'show', port])) as [
    { ifindex: number },
  ];
  execFileSync('bpftool', ['link', 'detach', 'pinned', join(pins(state), `link-${ifindex}`)]);
}

test.each(['generic', 'tcx'] as const)(
  'a port that somebody takes the program off gets it again (%s)',
  async (mode) => {
    const state = join(bpffs, `detached-${mode}`);
    path = await Datapath.start(new Wires(), { mode, state });
    const { wires, host } = path;
    const entry = `route ${address4(1)}/32`;
    detach(wires, state, 'p0');
    await host.until('the data path forwards again', async () => {
      const before = await path!.packets(entry);
      wires.ping(0, address4(1), 3);
      return (await path!.packets(entry)) - before === 3;
    });
    expect((await host.device()).ports).toMatchObject([
      { link: 'p0', detached: 1 },
      { link: 'p1', detached: 0 },
    ]);
    expect((await host.ekho('status')).out).toContain('took the data path off p0 once; it was put back');
    await host.verified();
  },
);

test('a port that loses its program to another one is the kernel’s, until that is gone', async () => {
  const state = join(bpffs, 'taken');
  path = await Datapath.start(new Wires(), { mode: 'generic', state });
  const { wires, host } = path;
  const file = foreign();
  const modes = async () => (await host.device()).ports!.map(({ mode }) => mode);
  await host.until('the other program is on the port', async () => {
    try {
      detach(wires, state, 'p0');
      wires.router.run('ip', ['link', 'set', 'p0', 'xdpgeneric', 'obj', file, 'sec', 'xdp']);
      return true;
    } catch {
      // The host was quicker, and put its own back.
      return false;
    }
  });
  await host.until('the port is left to the other program', async () => (await modes())[0] === 'none');
  expect((await host.ekho('explain', 'link', 'p0')).out).toContain('an XDP program sees packets first');
  expect(wires.ping(0, address4(1), 3)).toBe(3);
  wires.router.ip('link set p0 xdpgeneric off');
  await host.until('the port is taken again', async () => (await modes())[0] === 'generic');
  await host.settled();
  const kernel = path.forwarded().v4;
  expect(wires.ping(0, address4(1), 3)).toBe(3);
  expect(path.forwarded().v4).toBe(kernel);
  await host.verified();
});

test('a folder of state that is removed under a host is there again, and the next host takes it over', async () => {
  const state = join(bpffs, 'removed');
  path = await Datapath.start(new Wires(), { mode: 'generic', state });
  const { wires, host } = path;
  const names = () =>
    existsSync(state) ? readdirSync(state).flatMap((layout) => readdirSync(join(state, layout))) : [];
  const before = names().sort();
  const kernel = path.forwarded();
  const pinging = wires.pingMeanwhile(0, address4(1));
  rmSync(state, { recursive: true });
  await host.until('all of it is pinned again', async () => names().length === before.length);
  expect(names().sort()).toEqual(before);
  await host.stop('SIGKILL');
  expect(programs(wires)).toEqual([true, true]);
  await host.start();
  const { sent, received } = await pinging.stop();
  expect(received).toBe(sent);
  expect(path.forwarded()).toEqual(kernel);
  expect((await host.device()).writes).toBe(0);
  await host.verified();
});

test('a port with somebody else’s program is the kernel’s, and says so', async () => {
  const wires = new Wires();
  path = await Datapath.start(wires, { mode: 'generic' });
  await path.host.stop();
  wires.router.run('ip', ['link', 'set', 'p0', 'xdpgeneric', 'obj', foreign(), 'sec', 'xdp']);
  await path.host.start();
  const { out } = await path.host.ekho('explain', 'link', 'p0');
  expect(out).toMatch(/an XDP program sees packets first: program \d+\n *remedy: Detach it/);
  const remedy = /xdpgeneric `ip link set LINK ([^`]+)`/.exec(out)?.[1];
  const kernel = path.forwarded().v4;
  expect(wires.ping(0, address4(1), 3)).toBe(3);
  // Requests enter by p0, answers by p1, where the data path is.
  expect(path.forwarded().v4 - kernel).toBe(3);
  expect((await path.host.device()).ports).toMatchObject([
    { link: 'p0', mode: 'none' },
    { link: 'p1', mode: 'generic' },
  ]);
  wires.router.ip(`link set p0 ${remedy}`);
  await path.host.settled();
  expect(wires.ping(0, address4(1), 3)).toBe(3);
  expect(path.forwarded().v4 - kernel).toBe(3);
});
