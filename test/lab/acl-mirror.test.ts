/**
 * Filters that mirror, on ports whose driver asks firmware: a packet has its one copy, whoever makes it. test/netns/xdp-mirror.test.ts
 * has the data path by itself.
 */
import { afterAll, afterEach, expect, test } from 'vitest';
import { frameOf, numberOf, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { SOON, Switch, withModule } from './firmware-support.ts';
import { LabSpace } from './support.ts';

/** Packets that each case sends. */
const PACKETS = 20;
/** Longest that a copy too many is waited for, in milliseconds. */
const QUIET_MS = 500;
const MIRROR = 'action mirred egress mirror dev sw2';

const came: Packet = {
  port: 0,
  from: '02:00:00:00:00:01',
  to: '02:00:00:00:00:02',
  payload: 20,
  body: {
    is: 'ip4',
    source: '192.0.2.1',
    destination: '192.0.2.9',
    ttl: 64,
    l4: { is: 'udp', sport: 1000, dport: 80 },
  },
};

let space: Switch;
let third: LabSpace;
let ends: WireEnd[];
let next = 0;

const newFaults = withModule(async () => {
  space = new Switch();
  third = new LabSpace();
  const hosts = [...space.hosts, third];
  space.script(`
    ip link add sw2 type ekho
    ip link add eth0 netns ${third.name} link sw2 type ekho
    ip -n ${third.name} link set eth0 up
    sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    ip link set sw2 up
    tc qdisc add dev sw2 clsact
  `);
  ends = hosts.map((host) => {
    host.script('sysctl -qw net.ipv6.conf.all.disable_ipv6=1');
    return new WireEnd(host.name, Number(host.run('cat', ['/sys/class/net/eth0/ifindex'])));
  });
  await start('auto');
});

afterAll(async () => {
  for (const end of ends ?? []) end[Symbol.dispose]();
  await space?.end();
  await third?.end();
});

function start(mode: string): Promise<void> {
  const more = ['firmware.enabled = "on"', 'statistics.interval = 1', `device.device0.mode = "${mode}"`];
  return space.start(['sw?'], 'xdp', more);
}

async function add(filter: string): Promise<void> {
  space.script(`tc filter add dev sw0 ingress pref 1 ${filter}`);
  await space.settled();
}

/** What plugins say of the filters; rows of a preference by itself say nothing. */
async function offload(): Promise<unknown[]> {
  return (await space.rows('filter', 'dev', 'sw0', 'ingress')).flatMap((row) => row.offload ?? []);
}

afterEach(async () => {
  if (space === undefined) return;
  space.script('tc filter del dev sw0 ingress; ip link del br0 2> /dev/null || true');
  await space.settled();
});

/** Sends packets into the first port: how many of them each of the other two ports sends out, `expected` in all. */
async function sentBy(expected: number): Promise<number[]> {
  const first = next;
  next += PACKETS;
  const frames = Array.from({ length: PACKETS }, (_, index) => frameOf(came, first + index));
  const known = new Set(frames.map((frame) => Buffer.from(frame).toString('hex')));
  for (const frame of frames) expect(ends[0]!.send(frame)).toBe(true);
  const counts = [0, 0];
  const take = () => {
    for (const [index, end] of ends.slice(1).entries()) {
      const ours = [...end.received()].filter((one) => numberOf(one) !== undefined);
      counts[index]! += ours.length;
      // As they came, each of them.
      for (const one of ours) expect(known).toContain(Buffer.from(one).toString('hex'));
    }
    return counts[0]! + counts[1]!;
  };
  await expect.poll(take, SOON).toBeGreaterThanOrEqual(expected);
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  take();
  return counts;
}

const counted = () => space.filters('dev sw0 ingress')[0]!.packets;

test('of what goes on to the kernel hardware makes the copy, with skip_sw', async () => {
  await add(`matchall skip_sw ${MIRROR}`);
  expect(await sentBy(PACKETS)).toEqual([0, PACKETS]);
  await expect.poll(counted, SOON).toBe(PACKETS);
  expect(await offload()).toMatchObject([{ plugin: 'xdp', state: 'offloaded' }]);
  await space.verified();
});

test('of what goes on to the kernel the kernel makes it, without', async () => {
  await add(`matchall ${MIRROR}`);
  expect(space.filters('dev sw0 ingress')).toMatchObject([{ isInHardware: true }]);
  expect(await sentBy(PACKETS)).toEqual([0, PACKETS]);
});

test.each(['', 'skip_sw'])('of what leaves by another port %s', async (flag) => {
  await add(`protocol ip flower ${flag} ip_proto udp ${MIRROR} pipe action mirred egress redirect dev sw1`);
  expect(await sentBy(2 * PACKETS)).toEqual([PACKETS, PACKETS]);
  await expect.poll(counted, SOON).toBe(PACKETS);
});

test('of what is dropped', async () => {
  await add(`protocol ip flower skip_sw ip_proto udp ${MIRROR} pipe action drop`);
  expect(await sentBy(PACKETS)).toEqual([0, PACKETS]);
});

test.each(['', 'skip_sw'])('of what hardware bridges %s', async (flag) => {
  space.script(`
    ip link add br0 type bridge
    ip link set br0 up
    ip link set sw0 master br0
    ip link set sw1 master br0
    bridge fdb add ${came.from} dev sw0 master static
    bridge fdb add ${came.to} dev sw1 master static
  `);
  await add(`matchall ${flag} ${MIRROR}`);
  expect(await sentBy(2 * PACKETS)).toEqual([PACKETS, PACKETS]);
});

test.each([
  `${MIRROR} pipe action mirred egress mirror dev sw1`,
  `action vlan push id 7 pipe ${MIRROR} pipe action mirred egress redirect dev sw1`,
  `${MIRROR} pipe action trap`,
])('refused: %s', (actions) => {
  const add = `tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw ${actions}`;
  expect(space.refusal(add)).toContain('unsupported-action');
});

test('where ports are attached by XDP the kernel makes it', async () => {
  await space.stop();
  await start('generic');
  expect(space.refusal(`tc filter add dev sw0 ingress pref 1 matchall skip_sw ${MIRROR}`)).toContain(
    'xdp-mirrors: its port is attached by XDP',
  );
  await add(`matchall ${MIRROR}`);
  expect(await offload()).toMatchObject([{ plugin: 'xdp', state: 'trapped', reason: 'xdp-mirrors' }]);
  expect(await sentBy(PACKETS)).toEqual([0, PACKETS]);
  expect(newFaults()).toEqual([]);
});
