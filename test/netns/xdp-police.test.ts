/**
 * Rules with a rate, in the data path on a real wire: a token bucket as the kernel's policer has it, to the byte. Rates are so slow, or bursts so
 * large, that what passes is told by the burst alone.
 */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import type { Value } from '../../host/plugin/values.ts';
import { frameOf, type Ip4, numberOf, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import type { Netns } from '../support/netns.ts';
import { Wires } from '../support/wires.ts';
import { type Entry, entry, handle, removal, Softnic } from '../unit/softnic/softnic.ts';

const PORTS = 3;
const MAC = 0x020000000000;
const LIMIT_MS = 60_000;
/** Longest that a frame too many is waited for, once the last one came. */
const QUIET_MS = 100;
const SECOND_NS = 1_000_000_000n;
const SENT = 12;

const ip4 = (l4: Ip4['l4']): Ip4 => ({
  is: 'ip4',
  source: '10.1.0.2',
  destination: '10.2.0.2',
  ttl: 64,
  l4,
});
const packet = (l4: Ip4['l4'], more: Partial<Packet> = {}): Packet => ({
  port: 0,
  from: '02:00:00:00:01:02',
  to: '02:00:00:00:00:00',
  payload: 33,
  body: ip4(l4),
  ...more,
});
const udp = packet({ is: 'udp', sport: 1000, dport: 53 });
const tcp = packet({ is: 'tcp', sport: 1000, dport: 80, flags: 16 });
/** Of a frame of UDP, from the network header on. */
const SIZE = BigInt(frameOf(udp, 0).length - 14);

const ifindexOf = (netns: Netns, link: string) =>
  Number(netns.run('cat', [`/sys/class/net/${link}/ifindex`]));

describe.each(['native', 'generic', 'tcx'] as const)('%s', (mode) => {
  let wires: Wires;
  let ends: WireEnd[];
  let xdp: Softnic;
  let next = 0;
  let held: Entry[] = [];

  beforeAll(async () => {
    wires = new Wires({ hosts: PORTS, routed: false });
    for (const host of wires.hosts) host.run('ethtool', ['-K', 'eth0', 'gro', 'on', 'txvlan', 'off']);
    ends = wires.hosts.map((host) => new WireEnd(host.name, ifindexOf(host, 'eth0')));
    const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
      grants: ['tables'],
      cache: join(ROOT, 'build/fixtures/cache'),
    });
    const tables = { lpm4: 100, lpm6: 100, nexthop: 16, fdb: 32, flow: 16, tunnel: 4, remote: 16 };
    xdp = await Softnic.start(plugin, { kind: 'tables', netns: wires.router.name, mode, tables });
    const ports = wires.hosts.map((_, index) =>
      entry('port', index, {
        ifindex: ifindexOf(wires.router, `p${index}`),
        mtu: 1500,
        mac: BigInt(MAC + index),
        flags: ['adminUp', 'carrier'],
      }),
    );
    expect(await xdp.apply(ports)).toEqual([]);
  }, 300_000);

  afterEach(async () => {
    expect(await xdp.apply(held.toReversed().map(removal))).toEqual([]);
    held = [];
  });

  afterAll(async () => {
    await xdp?.[Symbol.asyncDispose]();
    for (const end of ends ?? []) end[Symbol.dispose]();
    wires?.close();
  });

  /** Of packets of a protocol, which leave by the second port. */
  const rule = (index: number, protocol: number, more: Record<string, Value> = {}): Entry =>
    entry('acl-rule', index, {
      stage: 'ingress',
      action: 'redirect',
      port: handle('port', 0),
      redirectPort: handle('port', 1),
      priority: 10 + index,
      fields: ['protocol'],
      protocol,
      edits: ['police'],
      police: 7,
      policeMtu: 1514,
      policeRate: 1n,
      ...more,
    });

  async function hold(...rules: Entry[]): Promise<void> {
    held = rules;
    expect(await xdp.apply(rules)).toEqual([]);
  }

  /** Sends packets; how many of them each port's far end receives: `expected` in all. */
  async function sent(packets: readonly Packet[], expected: number): Promise<number[]> {
    const first = next;
    next += packets.length;
    const counts = ends.map(() => 0);
    const take = () => {
      for (const [index, end] of ends.entries())
        for (const frame of end.received()) if ((numberOf(frame) ?? -1) >= first) counts[index]!++;
      return counts.reduce((sum, count) => sum + count, 0);
    };
    for (const [index, one] of packets.entries())
      expect(ends[0]!.send(frameOf(one, first + index))).toBe(true);
    for (const end = performance.now() + LIMIT_MS; take() < expected && performance.now() < end; )
      await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    take();
    return counts;
  }

  const many = (one: Packet, count = SENT) => Array.from({ length: count }, () => one);
  const counted = async (index: number) => (await xdp.counters()).get(handle('acl-rule', index));

  test('lets pass what the bucket holds, and counts what it drops', async () => {
    // Half a packet more than three, which takes a minute to grow to one.
    await hold(rule(0, 17, { policeBurst: (3n * SIZE + SIZE / 2n) * SECOND_NS }));
    expect(await sent(many(udp), 3)).toEqual([0, 3, 0]);
    const frame = frameOf(udp, 0).length;
    expect(await counted(0)).toMatchObject({ packets: SENT, bytes: SENT * frame, drops: SENT - 3 });
    // The bucket goes with the last rule that has it, and a new one is full, also for the same number.
    const [same] = held;
    expect(await xdp.apply([removal(same!)])).toEqual([]);
    await hold(same!);
    expect(await sent(many(udp), 3)).toEqual([0, 3, 0]);
    expect(await counted(0)).toMatchObject({ packets: SENT, drops: SENT - 3 });
  });

  test('counts packets from the network header on, a tag aside', async () => {
    const tagged = { ...udp, vlans: [{ id: 7, priority: 3 }] };
    for (const [one, burst, passes] of [
      [udp, SIZE, 1],
      [udp, SIZE - 1n, 0],
      [tagged, SIZE, 1],
      [tagged, SIZE - 1n, 0],
    ] as const) {
      await hold(rule(0, 17, { police: 100 + next, policeBurst: burst * SECOND_NS }));
      expect(await sent([one], passes)).toEqual([0, passes, 0]);
      await expect.poll(() => counted(0)).toMatchObject({ packets: 1, drops: 1 - passes });
      expect(await xdp.apply(held.map(removal))).toEqual([]);
      held = [];
    }
  });

  test('takes so many bytes for a packet at least', async () => {
    const more = { policeMinimum: 100, policeBurst: 250n * SECOND_NS };
    await hold(rule(0, 17, { ...more, police: 70 }));
    expect(await sent(many(udp), 2)).toEqual([0, 2, 0]);
    await hold(rule(0, 17, { ...more, police: 71, policeMinimum: Number(SIZE) }));
    expect(await sent(many(udp), 3)).toEqual([0, 3, 0]);
  });

  test('a rate of packets, and one that what comes is within', async () => {
    const edits = ['police', 'policePackets'];
    await hold(rule(0, 17, { edits, police: 1, policeBurst: 4n * 1000n * SECOND_NS, policeRate: 1n }));
    // 4000 packets' time: all pass.
    expect(await sent(many(udp), SENT)).toEqual([0, SENT, 0]);
    await hold(rule(0, 17, { edits, police: 2, policeBurst: 4n * SECOND_NS, policeRate: 1n }));
    const before = performance.now();
    const [, passed] = await sent(many(udp), 4);
    expect(passed).toBeGreaterThanOrEqual(4);
    expect(passed).toBeLessThanOrEqual(4 + Math.ceil((performance.now() - before) / 1000));
    // 250 microseconds for each.
    await hold(rule(0, 17, { edits, police: 3, policeBurst: SECOND_NS, policeRate: 4000n }));
    expect(await sent(many(udp), SENT)).toEqual([0, SENT, 0]);
  });

  test('rules share a bucket by its number', async () => {
    const more = { police: 20, policeBurst: (3n * SIZE + SIZE / 2n) * SECOND_NS };
    await hold(rule(0, 17, more), rule(1, 6, { ...more, edits: ['police', 'vlanPush'], newVlan: 5 }));
    expect(await sent(many(udp, 2), 2)).toEqual([0, 2, 0]);
    // A segment of TCP is 12 bytes larger, and there is room for it.
    expect(await sent(many(tcp), 1)).toEqual([0, 1, 0]);
    expect(await sent(many(udp), 0)).toEqual([0, 0, 0]);
    expect(await counted(0)).toMatchObject({ packets: SENT + 2, drops: SENT });
    expect(await counted(1)).toMatchObject({ packets: SENT, drops: SENT - 1 });
    await hold(rule(0, 17, more), rule(1, 6, { ...more, police: 21, edits: ['police'] }));
    expect(await sent([...many(udp, 1), ...many(tcp, 1)], 1)).toEqual([0, 1, 0]);
  });

  test('one that changes begins with a full bucket', async () => {
    const burst = (packets: bigint) => ({ police: 30, policeBurst: (packets * SIZE + 9n) * SECOND_NS });
    await hold(rule(0, 17, burst(2n)));
    expect(await sent(many(udp), 2)).toEqual([0, 2, 0]);
    await hold(rule(0, 17, burst(5n)));
    expect(await sent(many(udp), 5)).toEqual([0, 5, 0]);
    expect(await counted(0)).toMatchObject({ packets: 2 * SENT, drops: 2 * SENT - 7 });
  });

  test('frames that are too large', async () => {
    const more = { police: 40, policeBurst: 10_000n * SECOND_NS };
    const tagged = { ...udp, vlans: [{ id: 7, priority: 0 }] };
    await hold(rule(0, 17, { ...more, policeMtu: Number(SIZE) + 14 }));
    expect(await sent([udp, tagged, { ...udp, payload: 34 }], 2)).toEqual([0, 2, 0]);
    expect(await counted(0)).toMatchObject({ packets: 3, drops: 1 });
  });

  test('of what the kernel gets it polices itself, unless hardware alone has the rule', async () => {
    const more = { police: 50, action: 'accept', redirectPort: 0, policeBurst: 2n * SIZE * SECOND_NS };
    await hold(rule(0, 17, more));
    expect(await sent(many(udp), 0)).toEqual([0, 0, 0]);
    expect((await counted(0))?.packets ?? 0).toBe(0);
    await hold(rule(0, 17, { ...more, edits: ['police', 'policeTrapped'] }));
    expect(await sent(many(udp), 0)).toEqual([0, 0, 0]);
    await expect
      .poll(() => counted(0), { timeout: LIMIT_MS })
      .toMatchObject({ packets: SENT, drops: SENT - 2 });
  });

  // Copies are made by tcx alone.
  if (mode === 'tcx')
    test('a copy is of what passes', async () => {
      const more = { police: 60, policeBurst: (2n * SIZE + 9n) * SECOND_NS, mirrorPort: handle('port', 2) };
      await hold(rule(0, 17, { ...more, edits: ['police', 'mirror'] }));
      expect(await sent(many(udp), 4)).toEqual([0, 2, 2]);
    });

  test('not of what the rule itself leaves to the kernel, and not without a rate', async () => {
    for (const more of [{ action: 'trap', redirectPort: 0 }, { policeRate: 0n }]) {
      const wrong = rule(0, 17, { policeBurst: SECOND_NS, ...more });
      expect(await xdp.apply([wrong])).toMatchObject([{ handle: wrong.value.handle }]);
    }
  });
});
