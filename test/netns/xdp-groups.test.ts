/**
 * Hosts that join and leave multicast groups of a bridge, by IGMP, in front of the XDP data path: members get each frame once, others none,
 * and hardware sends them where the kernel relies on who joined.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frameOf, numberOf, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { added, Datapath } from '../support/datapath.ts';
import { hostMac, Wires } from '../support/wires.ts';

const HOSTS = 4;
const GROUP = '239.1.2.3';
const FRAMES = 5;
const LIMIT = { timeout: 60_000, interval: 200 };
/** Longest that what should not come is waited for. */
const QUIET_MS = 200;

const address = (host: number) => `10.202.0.${host + 1}`;

describe.each(['tcx', 'generic'] as const)('%s', (mode) => {
  let path: Datapath;
  let ends: WireEnd[];
  let sent = 0;

  beforeAll(async () => {
    const wires = new Wires({ hosts: HOSTS, routed: false });
    try {
      const { router, hosts } = wires;
      router.ip(
        'link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_router 0 mcast_query_response_interval 300',
      );
      router.ip('link set br0 up');
      hosts.forEach((host, number) => {
        router.ip(`link set p${number} master br0`);
        host.ip(`addr add ${address(number)}/24 dev eth0`);
      });
      ends = hosts.map(
        (host) => new WireEnd(host.name, Number(host.run('cat', ['/sys/class/net/eth0/ifindex']))),
      );
    } catch (error) {
      wires.close();
      throw error;
    }
    path = await Datapath.start(wires, { mode });
  }, 120_000);

  afterAll(async () => {
    for (const end of ends ?? []) end[Symbol.dispose]();
    await path?.close();
  });

  const join = (host: number) => path.wires.hosts[host]!.ip(`addr add ${GROUP}/32 dev eth0 autojoin`);
  const leave = (host: number) => path.wires.hosts[host]!.ip(`addr del ${GROUP}/32 dev eth0`);

  /** What `ekho explain` says of the group's members, sorted. */
  async function states(): Promise<string[]> {
    await path.host.settled();
    const { out } = await path.host.ekho('explain', 'mdb', 'dev', 'br0', 'grp', GROUP);
    return [...out.matchAll(/^\s*xdp: (.*)$/gm)].map(([, state]) => state!).sort();
  }

  /** How often each host gets each of some frames that host 0 sends to the group. */
  async function received(): Promise<number[]> {
    for (const end of ends) for (const _ of end.received());
    const packet: Packet = {
      port: 0,
      from: hostMac(0),
      to: '01:00:5e:01:02:03',
      payload: 33,
      body: {
        is: 'ip4',
        source: address(0),
        destination: GROUP,
        ttl: 1,
        l4: { is: 'udp', sport: 1000, dport: 5000 },
      },
    };
    const first = sent + 1;
    for (let frame = 0; frame < FRAMES; frame++) expect(ends[0]!.send(frameOf(packet, ++sent))).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    return ends.map((end) => [...end.received()].filter((one) => (numberOf(one) ?? 0) >= first).length);
  }

  /** Of these frames: how many hardware counted for the group, and why others went to the kernel. */
  async function byHardware(): Promise<{ got: number[]; counted: number; traps: object }> {
    const before = await path.traps();
    const start = await path.packets(GROUP);
    const got = await received();
    const counted = (await path.packets(GROUP)) - start;
    // Reports of hosts, who answer the bridge whenever it asks, have options.
    const { 'IP options': _, ...traps } = added(before, await path.traps());
    return { got, counted, traps };
  }

  test('frames of a group that hosts joined go to them in hardware', async () => {
    join(1);
    await expect.poll(states, LIMIT).toEqual(['offloaded']);
    // The kernel learns the source first.
    await expect.poll(byHardware, LIMIT).toEqual({ got: [0, FRAMES, 0, 0], counted: FRAMES, traps: {} });
    join(2);
    if (mode === 'tcx') {
      await expect.poll(states, LIMIT).toEqual(['offloaded', 'offloaded']);
      expect(await byHardware()).toEqual({ got: [0, FRAMES, FRAMES, 0], counted: FRAMES, traps: {} });
    } else {
      await expect.poll(states, LIMIT).toEqual(['trapped (xdp-mirrors)', 'trapped (xdp-mirrors)']);
      expect(await byHardware()).toEqual({
        got: [0, FRAMES, FRAMES, 0],
        counted: 0,
        traps: { 'group needs copies': FRAMES },
      });
    }
    await path.host.verified();
  });

  test('who leaves gets no more within the time that the kernel takes, who is added by hand does', async () => {
    leave(2);
    await expect.poll(states, LIMIT).toEqual(['offloaded']);
    expect(await byHardware()).toEqual({ got: [0, FRAMES, 0, 0], counted: FRAMES, traps: {} });
    path.wires.router.run('bridge', `mdb add dev br0 port p3 grp ${GROUP} permanent`.split(' '));
    await expect.poll(async () => (await states()).length, LIMIT).toBe(2);
    expect((await byHardware()).got).toEqual([0, FRAMES, 0, FRAMES]);
    path.wires.router.run('bridge', `mdb del dev br0 port p3 grp ${GROUP}`.split(' '));
    await expect.poll(states, LIMIT).toEqual(['offloaded']);
    expect(await byHardware()).toEqual({ got: [0, FRAMES, 0, 0], counted: FRAMES, traps: {} });
  });

  test('what the kernel floods, or sends to routers, it does itself', async () => {
    const { router } = path.wires;
    const trapped = { 'destination mac is a group': FRAMES };
    router.ip('link set br0 type bridge mcast_router 2');
    await expect.poll(states, LIMIT).toEqual(['trapped (multicast-router)']);
    expect(await byHardware()).toEqual({ got: [0, FRAMES, 0, 0], counted: 0, traps: trapped });
    router.ip('link set br0 type bridge mcast_router 0');
    await expect.poll(states, LIMIT).toEqual(['offloaded']);
    router.ip('link set br0 type bridge mcast_querier 0');
    await expect.poll(states, LIMIT).toEqual(['trapped (multicast-flooded)']);
    expect(await byHardware()).toEqual({ got: [0, FRAMES, FRAMES, FRAMES], counted: 0, traps: trapped });
    router.ip('link set br0 type bridge mcast_querier 1');
    // It floods for the time of an answer, and so does hardware not.
    expect((await byHardware()).got).toEqual([0, FRAMES, FRAMES, FRAMES]);
    await expect.poll(states, LIMIT).toEqual(['offloaded']);
    expect(await byHardware()).toEqual({ got: [0, FRAMES, 0, 0], counted: FRAMES, traps: {} });
    await path.host.verified();
  });

  test('a group that nobody joined, and one with a member on this machine', async () => {
    leave(1);
    await expect.poll(states, LIMIT).toEqual([]);
    path.wires.router.run('bridge', `mdb add dev br0 port p1 grp ${GROUP} permanent`.split(' '));
    await expect.poll(states, LIMIT).toEqual(['offloaded']);
    path.wires.router.run('bridge', `mdb add dev br0 port br0 grp ${GROUP} temp`.split(' '));
    await expect.poll(states, LIMIT).toEqual(['trapped (multicast-local)', 'trapped (multicast-local)']);
    expect((await byHardware()).got).toEqual([0, FRAMES, 0, 0]);
    path.wires.router.run('bridge', `mdb del dev br0 port br0 grp ${GROUP}`.split(' '));
    await expect.poll(states, LIMIT).toEqual(['offloaded']);
    await path.host.verified();
  });
});
