/**
 * Plugin l3-mirror and bridges: addresses behind the ports of the mirrored kernel's bridge are those of the other's.
 *
 *     a ── f0 ┐
 *             ├ sw (DPU) ── r0 ── e0 br0 (host)
 *     b ── f1 ┘                   e1
 *
 * The DPU's ports learn nothing: what it does not know by the host goes everywhere, to the host as well.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TestHost } from '../support/host.ts';
import { Netns } from '../support/netns.ts';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
/** Addresses of the host's bridge and its ports: frames to them are handed over. */
const OWN = ['02:00:00:00:00:90', '02:00:00:00:00:91', '02:00:00:00:00:99'].map((mac) => `${mac} dev r0`);
const MANY = 500;
const PINGS = 40;

let a: Netns;
let b: Netns;
let dpu: Netns;
let kernel: Netns;
let offloading: TestHost | undefined;
const spaces: Netns[] = [];

beforeEach(() => {
  for (let made = 0; made < 4; made++) spaces.push(new Netns());
  [a, b, dpu, kernel] = spaces as [Netns, Netns, Netns, Netns];
  for (const space of spaces)
    space.sysctl('net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
  dpu.ip('link add sw type bridge');
  kernel.ip('link add br0 type bridge');
  kernel.ip('link set br0 address 02:00:00:00:00:99');
  dpu.ip(`link add f0 type veth peer name a0 netns ${a.name} address ${A}`);
  dpu.ip(`link add f1 type veth peer name b0 netns ${b.name} address ${B}`);
  kernel.ip(`link add e0 address 02:00:00:00:00:90 type veth peer name r0 netns ${dpu.name}`);
  kernel.ip('link add e1 address 02:00:00:00:00:91 type veth peer name idle');
  for (const port of ['f0', 'f1', 'r0']) join(dpu, port, 'sw');
  for (const port of ['e0', 'e1']) join(kernel, port, 'br0');
  kernel.ip('link set idle up');
  for (const [space, link, address] of [
    [a, 'a0', '10.0.0.1/24'],
    [b, 'b0', '10.0.0.2/24'],
  ] as const) {
    space.ip(`addr add ${address} dev ${link}`);
    space.ip(`link set ${link} up`);
  }
  dpu.ip('link set sw up');
  kernel.ip('link set br0 up');
});

afterEach(async () => {
  await offloading?.close();
  offloading = undefined;
  for (const space of spaces.splice(0)) space.close();
});

function join(space: Netns, port: string, bridge: string): void {
  space.ip(`link set ${port} master ${bridge}`);
  space.ip(`link set ${port} up`);
  space.run('bridge', ['link', 'set', 'dev', port, 'learning', 'off']);
}

function fdb(space: Netns, words: string): string {
  return space.run('bridge', ['fdb', ...words.split(' ')]);
}

/** Addresses that were written, each with its port. */
function written(): string[] {
  return fdb(dpu, 'show br sw')
    .split('\n')
    .filter((line) => line.includes('extern_learn'))
    .map((line) => line.split(' ').slice(0, 3).join(' '))
    .sort();
}

/** Frames that the DPU handed to the host while a pinged b. */
function handedOver(): number {
  const count = () => Number(dpu.run('cat', ['/sys/class/net/r0/statistics/tx_packets']));
  const before = count();
  expect(a.run('ping', ['-q', '-n', '-c', `${PINGS}`, '-i', '0.01', '10.0.0.2'])).toMatch(/ 0% packet loss/);
  return count() - before;
}

async function start(): Promise<TestHost> {
  offloading = new TestHost({
    netns: kernel.name,
    plugin: 'l3-mirror',
    isOnlyMirror: true,
    sections: [
      '[plugin.l3-mirror]',
      'device = "dpu"',
      'ports = ["e*"]',
      '[device.dpu]',
      'kind = "rtnetlink"',
      `netns = "${dpu.name}"`,
      '[device.dpu.links.br0]',
      'link = "sw"',
      'via = "r0"',
      '[device.dpu.links.e0]',
      'link = "f0"',
      '[device.dpu.links.e1]',
      'link = "f1"',
    ],
  });
  await offloading.start();
  return offloading;
}

async function inHardware(host: TestHost): Promise<void> {
  await host.settled();
  await host.verified();
}

test('addresses behind its ports are those of the mirrored bridge, and frames to them stay in the data path', async () => {
  const host = await start();
  expect(handedOver()).toBeGreaterThanOrEqual(2 * PINGS);

  fdb(kernel, `add ${A} dev e0 master static`);
  fdb(kernel, `add ${B} dev e1 master static`);
  await inHardware(host);
  expect(written()).toEqual([`${A} dev f0`, `${B} dev f1`, ...OWN]);
  expect(handedOver()).toBeLessThan(PINGS);

  const many = Array.from({ length: MANY }, (_, at) => `02:00:00:01:${hex(at >> 8)}:${hex(at & 255)}`);
  const batch = (verb: string) => many.map((mac) => `fdb ${verb} ${mac} dev e1 master static`);
  expect(kernel.batch(batch('add'), 'bridge', []).size).toBe(0);
  await inHardware(host);
  expect(written()).toHaveLength(MANY + 2 + OWN.length);
  kernel.batch(batch('del'), 'bridge', []);
  fdb(kernel, `replace ${B} dev e0 master static`);
  await inHardware(host);
  expect(written()).toEqual([`${A} dev f0`, `${B} dev f0`, ...OWN]);
});

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

test('what somebody takes away or puts there, and what left the mirrored kernel meanwhile', async () => {
  const theirs = '02:00:00:00:00:77';
  fdb(dpu, `add ${theirs} dev f0 master static`);
  fdb(kernel, `add ${A} dev e0 master static`);
  fdb(kernel, `add ${B} dev e1 master static`);
  fdb(kernel, `add ${theirs} dev e1 master static`);
  const host = await start();
  await inHardware(host);
  expect(fdb(dpu, `show br sw`)).toMatch(new RegExp(`${theirs} dev f0 .*static`));
  expect((await host.ekho('plugin', 'logs', 'l3-mirror')).out).toMatch(/somebody else/);

  fdb(dpu, `del ${B} dev f1 master`);
  await host.until('it is written again', async () => written().includes(`${B} dev f1`));
  dpu.ip('link set f1 nomaster');
  await host.until('it is gone', async () => !written().includes(`${B} dev f1`));
  join(dpu, 'f1', 'sw');
  await host.until('it is there again', async () => written().includes(`${B} dev f1`));

  await host.stop('SIGKILL');
  fdb(kernel, `del ${A} dev e0 master`);
  await host.start();
  await inHardware(host);
  expect(written()).toEqual([`${B} dev f1`, ...OWN]);
});
