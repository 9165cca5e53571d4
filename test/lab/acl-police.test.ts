/**
 * Filters with a rate, on ports whose driver asks firmware: hardware lets pass what the kernel's policer would, and tc shows what it dropped.
 * test/netns/xdp-police.test.ts has the data path by itself.
 */
import { afterAll, afterEach, expect, test } from 'vitest';
import { frameOf, numberOf, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { SOON, Switch, withModule } from './firmware-support.ts';

/** Packets that each case sends. */
const PACKETS = 20;
/** Longest that a packet too many is waited for, in milliseconds. */
const QUIET_MS = 500;
const TO = 'action mirred egress redirect dev sw1';
/** A byte a second: what passes is what the bucket holds, three packets of 56 bytes and some. */
const SLOW = 'rate 8bit burst 180 mtu 1600';
const THREE = `police ${SLOW} conform-exceed drop/pipe`;

const packet = (l4: 'udp' | 'tcp'): Packet => ({
  port: 0,
  from: '02:00:00:00:00:01',
  to: '02:00:00:00:00:02',
  payload: 20,
  body: {
    is: 'ip4',
    source: '192.0.2.1',
    destination: '192.0.2.9',
    ttl: 64,
    l4: { is: l4, sport: 1000, dport: 80, ...(l4 === 'tcp' && { flags: 16 }) },
  },
});
const udp = packet('udp');

let space: Switch;
let ends: WireEnd[];
let next = 0;

const newFaults = withModule(async () => {
  space = new Switch();
  // Silence: IPv6 has hosts and switch speak by themselves.
  for (const each of [space, ...space.hosts])
    each.script('sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1');
  ends = space.hosts.map(
    (host) => new WireEnd(host.name, Number(host.run('cat', ['/sys/class/net/eth0/ifindex']))),
  );
  await space.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'statistics.interval = 1']);
});

afterAll(async () => {
  for (const end of ends ?? []) end[Symbol.dispose]();
  await space?.end();
});

afterEach(async () => {
  if (space === undefined) return;
  space.script('tc filter del dev sw0 ingress');
  await space.settled();
});

async function add(...filters: readonly string[]): Promise<void> {
  for (const [index, filter] of filters.entries())
    space.script(`tc filter add dev sw0 ingress pref ${index + 1} ${filter}`);
  await space.settled();
}

/** What plugins say of the filters; rows of a preference by itself say nothing. */
async function offload(): Promise<unknown[]> {
  return (await space.rows('filter', 'dev', 'sw0', 'ingress')).flatMap((row) => row.offload ?? []);
}

/** Sends packets into the first port; how many of them leave by the second, `expected` at least. */
async function passedOf(one: Packet, expected: number, count = PACKETS): Promise<number> {
  const first = next;
  next += count;
  let passed = 0;
  const take = () => {
    for (const frame of ends[1]!.received()) if ((numberOf(frame) ?? -1) >= first) passed++;
    return passed;
  };
  for (let number = first; number < next; number++) expect(ends[0]!.send(frameOf(one, number))).toBe(true);
  await expect.poll(take, SOON).toBeGreaterThanOrEqual(expected);
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  return take();
}

interface Statistics {
  readonly packets: number;
  readonly hw_packets?: number;
  readonly drops: number;
}

/** Of the policers of the port's filters, by preference. */
function statistics(): { all: number; hardware: number; dropped: number }[] {
  return space
    .json('tc -s -j filter show dev sw0 ingress')
    .filter(({ options }) => options !== undefined)
    .map(({ options }) => {
      const [{ stats }] = (options as { actions: [{ stats: Statistics }] }).actions;
      return { all: stats.packets, hardware: stats.hw_packets ?? 0, dropped: stats.drops };
    });
}

test.each(['', 'skip_sw'])('what the bucket holds leaves, and tc has both %s', async (flag) => {
  await add(`protocol ip flower ${flag} ip_proto udp action ${THREE} ${TO}`);
  expect(await offload()).toMatchObject([{ plugin: 'xdp', state: 'offloaded' }]);
  expect(await passedOf(udp, 3)).toBe(3);
  await expect.poll(statistics, SOON).toEqual([{ all: PACKETS, hardware: PACKETS, dropped: PACKETS - 3 }]);
  await space.verified();
});

test('as many as the kernel lets pass', async () => {
  await add(`protocol ip flower skip_hw ip_proto udp action ${THREE} ${TO}`);
  expect(await passedOf(udp, 3)).toBe(3);
  expect(statistics()).toEqual([{ all: PACKETS, hardware: 0, dropped: PACKETS - 3 }]);
});

test('packets a second', async () => {
  await add(
    `protocol ip flower skip_sw ip_proto udp action police pkts_rate 1 pkts_burst 5 conform-exceed drop/pipe ${TO}`,
  );
  const since = performance.now();
  const passed = await passedOf(udp, 5);
  expect(passed).toBeGreaterThanOrEqual(5);
  expect(passed).toBeLessThanOrEqual(5 + Math.ceil((performance.now() - since) / 1000));
  await expect
    .poll(statistics, SOON)
    .toEqual([{ all: PACKETS, hardware: PACKETS, dropped: PACKETS - passed }]);
});

test('a policer that filters share, and that changes under them', async () => {
  const set = (burst: number) =>
    `action police rate 8bit burst ${burst} mtu 1600 conform-exceed drop/pipe index 7`;
  space.script(`tc actions add ${set(180)}`);
  await add(
    `protocol ip flower ip_proto udp action police index 7 ${TO}`,
    `protocol ip flower ip_proto tcp action police index 7 ${TO}`,
  );
  expect(await offload()).toMatchObject(new Array(2).fill({ plugin: 'xdp', state: 'offloaded' }));
  expect(await passedOf(udp, 2, 2)).toBe(2);
  // 68 bytes each: there is room for one.
  expect(await passedOf(packet('tcp'), 1)).toBe(1);
  expect(await passedOf(udp, 0)).toBe(0);
  // The kernel adds up what both rules say.
  const all = 2 * PACKETS + 2;
  await expect
    .poll(statistics, SOON)
    .toEqual(new Array(2).fill({ all, hardware: all, dropped: 2 * PACKETS - 1 }));
  // Much more than that has no place in the 32 bits of tc's ticks.
  space.script(`tc actions change ${set(260)}`);
  await space.settled();
  expect(await passedOf(udp, 4)).toBe(4);
  await space.verified();
  space.script(
    'tc filter del dev sw0 ingress; for n in {1..100}; do tc actions del action police index 7 && break; sleep 0.1; done',
  );
});

test('of what goes on to the kernel with skip_sw, which hardware then polices alone', async () => {
  await add(`matchall skip_sw action ${THREE.replace('drop/pipe', 'drop/ok')}`);
  await passedOf(udp, 0);
  await expect.poll(statistics, SOON).toEqual([{ all: PACKETS, hardware: PACKETS, dropped: PACKETS - 3 }]);
});

test.each([
  // What conforms goes no further, or to the next filter.
  `police ${SLOW} conform-exceed drop/ok ${TO}`,
  `police ${SLOW} conform-exceed drop/continue`,
  // What is more is not dropped.
  `police ${SLOW} conform-exceed ok/pipe ${TO}`,
  `${THREE} action ${THREE} ${TO}`,
  `mirred egress mirror dev sw1 pipe action ${THREE} ${TO}`,
  `vlan push id 7 pipe action ${THREE}`,
  `police rate 1mbit burst 10k peakrate 2mbit mtu 1600 conform-exceed drop/pipe ${TO}`,
  `police rate 1mbit burst 10k overhead 4 mtu 1600 conform-exceed drop/pipe ${TO}`,
  `police mtu 1600 conform-exceed drop/pipe ${TO}`,
])('refused: %s', (actions) => {
  const text = space.refusal(
    `tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw action ${actions}`,
  );
  expect(text).toMatch(/unsupported-action|no place for action/);
});

test('what hardware cannot do is the kernel’s', async () => {
  await add(`protocol ip flower ip_proto udp action police ${SLOW} conform-exceed drop/ok ${TO}`);
  expect(await offload()).toMatchObject([{ plugin: 'xdp', state: 'trapped', reason: 'unsupported-action' }]);
  expect(newFaults()).toEqual([]);
});
