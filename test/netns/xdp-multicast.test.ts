/**
 * Multicast groups of bridges in the data path on a real wire: who gets which frame, tagged how, and what is left to the kernel. Attached by
 * XDP a frame leaves by one port, by tcx by all that want it.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import type { Value } from '../../host/plugin/values.ts';
import { frameOf, type Ip4, numberOf, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { Wires } from '../support/wires.ts';
import { address4, type Entry, entry, handle, removal, Softnic } from '../unit/softnic/softnic.ts';

const PORTS = 4;
const MAC = 0x020000000000;
const BRIDGE = 100;
const FORWARDS = ['adminUp', 'carrier', 'bridgeForwarding'];
const LIMIT_MS = 60_000;
/** Longest that what should not come is waited for, once the last frame came. */
const QUIET_MS = 50;
const GROUP = 0xef010203;

const group = (ports: readonly number[], more: Record<string, Value> = {}, index = 0): Entry =>
  entry('multicast-group', index, {
    family: 'ipv4',
    bridge: BRIDGE,
    address: address4(GROUP),
    count: ports.length,
    ...Object.fromEntries(ports.map((port, place) => [`port${place}`, handle('port', port)])),
    ...more,
  });

const inVlan = (port: number, vlan: number, flags: string[]): Entry =>
  entry('vlan-member', port, { bridge: BRIDGE, vlan, port: handle('port', port), flags });

const ip4 = (more: Partial<Ip4> = {}): Ip4 => ({
  is: 'ip4',
  source: '10.1.0.2',
  destination: '239.1.2.3',
  ttl: 1,
  l4: { is: 'udp', sport: 1000, dport: 53 },
  ...more,
});

const came: Packet = {
  port: 0,
  from: '02:00:00:00:02:00',
  to: '01:00:5e:01:02:03',
  payload: 33,
  body: ip4(),
};

const hex = (frame: Uint8Array) => Buffer.from(frame).toString('hex');

describe.each(['generic', 'tcx'] as const)('%s', (mode) => {
  let wires: Wires;
  let ifindexes: number[];
  let ends: WireEnd[];
  let xdp: Softnic;
  let sent = 0;

  beforeAll(async () => {
    wires = new Wires({ hosts: PORTS, routed: false });
    const ifindexOf = (netns: { run: Wires['router']['run'] }, link: string) =>
      Number(netns.run('cat', [`/sys/class/net/${link}/ifindex`]));
    ifindexes = wires.hosts.map((_, port) => ifindexOf(wires.router, `p${port}`));
    ends = wires.hosts.map((host) => new WireEnd(host.name, ifindexOf(host, 'eth0')));
    const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
      grants: ['tables'],
      cache: join(ROOT, 'build/fixtures/cache'),
    });
    const tables = { lpm4: 100, lpm6: 100, nexthop: 16, fdb: 32, flow: 16, tunnel: 4, remote: 16, mdb: 16 };
    xdp = await Softnic.start(plugin, { kind: 'tables', netns: wires.router.name, mode, tables });
    expect(await xdp.apply(ifindexes.map((_, index) => port(index)))).toEqual([]);
  }, 300_000);

  afterAll(async () => {
    await xdp?.[Symbol.asyncDispose]();
    for (const end of ends ?? []) end[Symbol.dispose]();
    wires?.close();
  });

  const port = (index: number, flags: string[] = FORWARDS, more: Record<string, Value> = {}): Entry =>
    entry('port', index, {
      ifindex: ifindexes[index]!,
      mtu: 1500,
      mac: BigInt(MAC + index),
      bridge: BRIDGE,
      flags,
      ...more,
    });

  const traps = (reason: string): number =>
    xdp.device.status().traps?.find((one) => one.reason === reason)?.packets ?? 0;

  /** What each port's far end receives of a packet: `count` frames in all. */
  async function receivedOf(packet: Packet, count: number, isDone = () => true): Promise<string[][]> {
    const got = ends.map((): string[] => []);
    const take = () => {
      for (const [index, end] of ends.entries())
        got[index]!.push(...[...end.received()].filter((one) => numberOf(one) === sent).map(hex));
    };
    sent++;
    expect(ends[packet.port]!.send(frameOf(packet, sent))).toBe(true);
    const end = performance.now() + LIMIT_MS;
    while ((got.flat().length < count || !isDone()) && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      take();
    }
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    take();
    return got;
  }

  /** With these entries, far ends receive these packets of one, exactly. */
  async function expectCopies(
    entries: readonly Entry[],
    leaves: readonly (Packet | undefined)[],
    packet = came,
  ): Promise<void> {
    expect(await xdp.apply(entries)).toEqual([]);
    const got = await receivedOf(packet, leaves.filter(Boolean).length);
    expect(got).toEqual(leaves.map((one) => (one === undefined ? [] : [hex(frameOf(one, sent))])));
  }

  /** With these entries it goes to the kernel for this reason, and nowhere else. */
  async function expectTrap(entries: readonly Entry[], reason: string, packet = came): Promise<void> {
    expect(await xdp.apply(entries)).toEqual([]);
    const before = traps(reason);
    const got = await receivedOf(packet, 0, () => traps(reason) > before);
    expect(got.flat()).toEqual([]);
    expect(traps(reason), reason).toBe(before + 1);
  }

  /** Takes away what is no port, and has ports be as they were. */
  async function restore(...entries: readonly Entry[]): Promise<void> {
    expect(await xdp.apply(entries.map(removal))).toEqual([]);
    expect(await xdp.apply(ifindexes.map((_, index) => port(index)))).toEqual([]);
  }

  test('the member gets it, others do not, nor does a member that sent it', async () => {
    await expectCopies([group([1])], [undefined, came, undefined, undefined]);
    await expectCopies([group([0, 2])], [undefined, undefined, came, undefined]);
    await expectCopies([group([0])], [undefined, undefined, undefined, undefined]);
    await restore(group([0]));
  });

  test('all members get it once where frames are copied, else the kernel does', async () => {
    if (mode === 'tcx') {
      await expectCopies([group([1, 2, 3])], [undefined, came, came, came]);
      await expectCopies([group([0, 1, 3])], [undefined, came, undefined, came]);
    } else {
      await expectTrap([group([1, 2])], 'group needs copies');
    }
    await restore(group([1]));
  });

  test('it counts once', async () => {
    const members = mode === 'tcx' ? [1, 2] : [1];
    await expectCopies(
      [group(members)],
      ends.map((_, index) => (members.includes(index) ? came : undefined)),
    );
    const counters = await xdp.counters();
    expect(counters.get(handle('multicast-group', 0))).toMatchObject({ packets: 1 });
    expect(counters.get(handle('multicast-group', 0))!.lastUsed).toBeGreaterThan(0);
    await restore(group(members));
  });

  test('ports that do not forward are left out, those that are in another bridge, down or too small are the kernel’s', async () => {
    const stopped = port(1, ['adminUp', 'carrier']);
    await expectCopies([stopped, group([1, 2])], [undefined, undefined, came, undefined]);
    await expectTrap([port(1, FORWARDS, { bridge: BRIDGE + 1 })], 'egress port in another bridge');
    await expectTrap([port(1, ['adminUp', 'bridgeForwarding'])], 'egress port down');
    await expectTrap([port(1, FORWARDS, { mtu: 50 })], 'egress mtu');
    await restore(group([1, 2]));
  });

  test('groups are of an address, not of its MAC; others are of the MAC', async () => {
    const other = { ...came, body: ip4({ destination: '238.129.2.3' }) };
    await expectTrap([group([1])], 'destination mac is a group', other);
    await restore(group([1]));
    const byMac = group([1], { family: 'mac', address: { high: 0n, low: 0x01005e010203n } });
    await expectTrap([byMac], 'destination mac is a group');
    const raw: Packet = { ...came, body: { is: 'raw', type: 0x88b5 } };
    await expectCopies([], [undefined, raw, undefined, undefined], raw);
    await restore(byMac);
    const six = group([1], {
      family: 'ipv6',
      address: { high: 0xff0e_0000_0000_0000n, low: 1n },
    });
    const packet: Packet = {
      ...came,
      to: '33:33:00:00:00:01',
      body: {
        is: 'ip6',
        source: '2001:db8::1',
        destination: 'ff0e::1',
        hops: 1,
        l4: { is: 'udp', sport: 1, dport: 2 },
      },
    };
    await expectCopies([six], [undefined, packet, undefined, undefined], packet);
    const report = { ...packet, body: { ...packet.body, l4: { is: 'icmp', type: 131 } } } as Packet;
    await expectTrap([], 'destination mac is a group', report);
    await restore(six);
  });

  test.each<[string, Partial<Packet>, string]>([
    ['a wrong checksum', { body: ip4({ badChecksum: true }) }, 'bad IP header'],
    ['options', { body: ip4({ options: [1, 1, 1, 0] }) }, 'IP options'],
    ['a tag on a bridge that does not filter', { vlans: [{ id: 7 }] }, 'destination mac is a group'],
    ['the broadcast address', { to: 'ff:ff:ff:ff:ff:ff' }, 'destination mac is a group'],
    ['an address that bridges keep to themselves', { to: '01:80:c2:00:00:0e' }, 'destination mac is a group'],
  ])('frames with %s are the kernel’s', async (_, more, reason) => {
    await expectTrap([group([1])], reason, { ...came, ...more });
    await restore(group([1]));
  });

  test('reports and queries are the kernel’s, also to the group itself', async () => {
    expect(await xdp.apply([group([1])])).toEqual([]);
    const report = frameOf({ ...came, body: ip4({ l4: { is: 'other' } }) }, ++sent);
    const view = new DataView(report.buffer, report.byteOffset);
    const [protocol, check] = [23, 24];
    // IGMP in place of 253, and a header checksum that goes with it.
    view.setUint8(protocol, 2);
    const sum = view.getUint16(check) + 253 - 2;
    view.setUint16(check, (sum & 0xffff) + (sum >>> 16));
    const before = traps('destination mac is a group');
    expect(ends[0]!.send(report)).toBe(true);
    await expect.poll(() => traps('destination mac is a group'), { timeout: LIMIT_MS }).toBe(before + 1);
    expect([...ends[1]!.received()].filter((one) => numberOf(one) === sent)).toEqual([]);
    await restore(group([1]));
  });

  test('in a VLAN, copies have its tag or none, as the port is a member', async () => {
    const members = [
      inVlan(0, 10, ['pvid', 'untagged']),
      inVlan(1, 10, ['untagged', 'pvid']),
      inVlan(2, 10, []),
      inVlan(3, 20, ['pvid', 'untagged']),
    ];
    const tagged: Packet = { ...came, vlans: [{ id: 10 }] };
    const of10 = (ports: number[]) => group(ports, { vlan: 10 });
    expect(await xdp.apply(members)).toEqual([]);
    await expectCopies([of10([1, 3])], [undefined, came, undefined, undefined]);
    await expectCopies([of10([2, 3])], [undefined, undefined, tagged, undefined]);
    const urgent: Packet = { ...came, port: 2, vlans: [{ id: 10, priority: 5 }] };
    await expectCopies([of10([1])], [undefined, { ...urgent, vlans: [] }, undefined, undefined], urgent);
    // Of another VLAN it is another group.
    await expectTrap([], 'destination mac is a group', { ...came, port: 3 });
    if (mode === 'tcx') {
      await expectCopies([of10([0, 1, 2, 3])], [undefined, came, tagged, undefined]);
      const port3 = inVlan(3, 10, []);
      await expectCopies(
        [port3, of10([0, 1, 2, 3])],
        [{ ...urgent, vlans: [] }, { ...urgent, vlans: [] }, undefined, urgent],
        urgent,
      );
    }
    await restore(of10([1]), ...members);
  });

  test('asked, the device says where a packet would leave', async () => {
    expect(await xdp.apply([group([1, 2, 3])])).toEqual([]);
    const verdict = xdp.device.lookup({
      destination: '239.1.2.3',
      source: '10.1.0.2',
      ingress: ifindexes[0]!,
      sourceMac: 0x020000000200,
      destinationMac: 0x01005e010203,
      protocol: 17,
    });
    if (mode === 'tcx')
      expect(verdict).toMatchObject({
        action: 'forward',
        by: 'group',
        handles: [handle('multicast-group', 0)],
        ways: [1, 2, 3].map((index) => ({ ifindex: ifindexes[index], vlan: 0 })),
      });
    else expect(verdict).toMatchObject({ action: 'trap', by: 'group needs copies' });
    expect(await xdp.apply([group([0, 2])])).toEqual([]);
    const one = xdp.device.lookup({
      destination: '239.1.2.3',
      source: '10.1.0.2',
      ingress: ifindexes[0]!,
      destinationMac: 0x01005e010203,
      sourceMac: 0x020000000200,
    });
    expect(one).toMatchObject({ action: 'forward', by: 'group', ways: [{ ifindex: ifindexes[2] }] });
    await restore(group([0]));
  });
});
