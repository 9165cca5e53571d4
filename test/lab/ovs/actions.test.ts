/**
 * What flows of Open vSwitch do with packets besides sending them on: tags, rewriting and copies are hardware's, in the XDP data path and in it alone
 * (`skip_sw`), and leave as OpenFlow says; what has no place there Open vSwitch's own data path does.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { frameOf, type Ip4, numberOf, type Packet } from '../../packets/frame.ts';
import { WireEnd } from '../../packets/wire.ts';
import { faults, isLoaded, load, needsModule, SOON, Switch, unload } from '../firmware-support.ts';
import { LabSpace } from '../support.ts';
import { OpenVswitch, packetsOf } from './support.ts';

/** Packets that each case sends once its flow is there. */
const PACKETS = 20;
/** Longest that a frame too many is waited for, in milliseconds. */
const QUIET_MS = 500;
const MAC = '02:00:00:00:00:77';

const ip4 = (more: Partial<Ip4> = {}): Ip4 => ({
  is: 'ip4',
  source: '192.0.2.1',
  // Nobody's: the host behind the port takes the frame and says nothing.
  destination: '192.0.2.9',
  ttl: 64,
  l4: { is: 'udp', sport: 1000, dport: 80 },
  ...more,
});
const packet = (body: Packet['body'], more: Partial<Packet> = {}): Packet => ({
  port: 0,
  from: '02:00:00:00:00:01',
  to: '02:00:00:00:00:02',
  payload: 20,
  body,
  ...more,
});
const tag = (id: number, priority = 0) => ({ vlans: [{ id, priority }] });
const udp = (dport: number, sport = 1000) => ({ is: 'udp', sport, dport }) as const;
const tcp = (dport: number, sport = 1000) => ({ is: 'tcp', sport, dport, flags: 16 }) as const;

interface Case {
  readonly name: string;
  /** Of OpenFlow. */
  readonly match: string;
  readonly actions: string;
  readonly came: Packet;
  /** By the ports in order; absent: by none. */
  readonly leaves: readonly (Packet | undefined)[];
  /** What Open vSwitch says of its flow. */
  readonly says: RegExp;
}

const plain = packet(ip4());

const CASES: readonly Case[] = [
  {
    name: 'a tag is put on',
    match: 'udp',
    actions: 'mod_vlan_vid:10,mod_vlan_pcp:3,output:sw1',
    came: plain,
    leaves: [undefined, packet(ip4(), tag(10, 3))],
    says: /actions:push_vlan\(vid=10,pcp=3\),sw1$/,
  },
  {
    name: 'a tag is taken off, of the priority that the first packet had',
    match: 'dl_vlan=10,udp',
    actions: 'strip_vlan,output:sw1',
    came: packet(ip4(), tag(10, 5)),
    leaves: [undefined, plain],
    says: /vlan\(vid=10,pcp=5\).*actions:pop_vlan,sw1$/,
  },
  {
    name: 'a tag takes the place of another',
    match: 'dl_vlan=10,udp',
    actions: 'mod_vlan_vid:20,output:sw1',
    came: packet(ip4(), tag(10)),
    leaves: [undefined, packet(ip4(), tag(20))],
    says: /actions:pop_vlan,push_vlan\(vid=20,pcp=0\),sw1$/,
  },
  {
    name: 'Ethernet addresses are set',
    match: 'udp',
    actions: `mod_dl_src:${MAC},mod_dl_dst:02:00:00:00:00:78,output:sw1`,
    came: plain,
    leaves: [undefined, packet(ip4(), { from: MAC, to: '02:00:00:00:00:78' })],
    says: /actions:set\(eth\(/,
  },
  {
    name: 'addresses and a port of UDP are set, with checksums',
    match: 'udp',
    actions: `mod_dl_dst:${MAC},mod_nw_dst:198.51.100.7,mod_tp_dst:8080,output:sw1`,
    came: plain,
    leaves: [undefined, packet(ip4({ destination: '198.51.100.7', l4: udp(8080) }), { to: MAC })],
    says: /set\(ipv4\(dst=198\.51\.100\.7\)\).*set\(udp\(dst=8080\)\)/,
  },
  {
    name: 'a source and its port of TCP, and a tag',
    match: 'tcp',
    actions: 'mod_nw_src:198.51.100.7,mod_tp_src:99,mod_vlan_vid:30,output:sw1',
    came: packet(ip4({ l4: tcp(80) })),
    leaves: [undefined, packet(ip4({ source: '198.51.100.7', l4: tcp(80, 99) }), tag(30))],
    says: /push_vlan\(vid=30,pcp=0\),sw1$/,
  },
  {
    name: 'the packet leaves by two ports, one of them that it came by',
    match: 'udp',
    actions: 'output:sw1,in_port',
    came: plain,
    leaves: [plain, plain],
    says: /actions:sw1,sw0$/,
  },
];

let faultsBefore: string[];
let space: Switch;
let third: LabSpace;
let ends: WireEnd[];
let ovs: OpenVswitch;
let next = 0;

beforeEach((context) => needsModule(context));

beforeAll(async () => {
  faultsBefore = faults();
  try {
    load();
  } catch {
    return; // beforeEach() says why.
  }
  space = new Switch();
  third = new LabSpace();
  space.script(`
    ip link add sw2 type ekho
    ip link add eth0 netns ${third.name} link sw2 type ekho
    ip -n ${third.name} link set eth0 up
    ip link set sw2 up
  `);
  const hosts = [...space.hosts, third];
  // Silence: IPv6 has hosts and switch speak by themselves.
  for (const each of [space, ...hosts])
    each.script('sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1');
  ends = hosts.map((host) => {
    const ifindex = Number(host.run('cat', ['/sys/class/net/eth0/ifindex']));
    return new WireEnd(host.name, ifindex);
  });
  ovs = new OpenVswitch(space);
  await space.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'statistics.interval = 1']);
  await ovs.start('skip_sw', ['sw0', 'sw1', 'sw2']);
  space.hosts[1].script('ip addr add 192.0.2.3/24 dev eth0');
  // What a test does not name is dropped, but for answers.
  ovs.run('ovs-ofctl del-flows br0');
  ovs.run('ovs-ofctl add-flow br0 in_port=sw1,actions=output:sw0');
  ovs.run('ovs-ofctl -O OpenFlow13 add-meter br0 meter=1,kbps,band=type=drop,rate=1000');
}, 900_000);

afterAll(async () => {
  for (const end of ends ?? []) end[Symbol.dispose]();
  ovs?.end();
  await space?.end();
  await third?.end();
  if (isLoaded()) await unload();
});

const flowOf = (type: 'offloaded' | 'ovs') => ovs.flows(type).find((line) => line.includes('in_port(sw0)'));

/** Nothing of a test is there for the next one. */
afterEach(async () => {
  if (ovs === undefined) return;
  ovs.run('ovs-vsctl --timeout=120 clear bridge br0 mirrors');
  ovs.run('ovs-ofctl del-flows br0 in_port=sw0');
  ovs.run('ovs-appctl --timeout=60 revalidator/purge');
  await expect.poll(() => flowOf('offloaded') ?? flowOf('ovs'), SOON).toBeUndefined();
});

/** Sends packets into the first port; what the far end of each port received of them, `count` in all. */
async function sentBy(came: Packet, packets: number, count: number): Promise<string[][]> {
  const first = next;
  next += packets;
  const got = ends.map((): string[] => []);
  const take = () => {
    for (const [index, end] of ends.entries())
      for (const frame of end.received()) {
        const number = numberOf(frame);
        if (number !== undefined && number >= first) got[index]!.push(Buffer.from(frame).toString('hex'));
      }
    return got.flat().length;
  };
  for (let number = first; number < next; number++) expect(ends[0]!.send(frameOf(came, number))).toBe(true);
  await expect.poll(take, SOON).toBeGreaterThanOrEqual(count);
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  take();
  return got;
}

/** The first packet is Open vSwitch's, which makes a flow of it; waits until that is hardware's, and until all is counted. */
async function untilInHardware(came: Packet, ways: number): Promise<number> {
  const counted = async () => {
    await sentBy(came, 1, ways);
    return packetsOf(flowOf('offloaded'));
  };
  await expect.poll(counted, SOON).toBeGreaterThan(0);
  let last = -1;
  const isStill = () => {
    const before = last;
    last = packetsOf(flowOf('offloaded'));
    return last === before;
  };
  await expect.poll(isStill, { ...SOON, interval: 3000 }).toBe(true);
  return last;
}

/** The packets of a flow are hardware's, leave by these ports in this shape, and are counted there. */
async function expectInHardware({
  came,
  leaves,
  says,
}: Pick<Case, 'came' | 'leaves' | 'says'>): Promise<void> {
  const ways = leaves.filter(Boolean).length;
  const before = await untilInHardware(came, ways);
  const first = next;
  const got = await sentBy(came, PACKETS, ways * PACKETS);
  const framesOf = (one: Packet | undefined) =>
    one === undefined
      ? []
      : Array.from({ length: PACKETS }, (_, index) =>
          Buffer.from(frameOf(one, first + index)).toString('hex'),
        );
  expect(got).toEqual(ends.map((_, index) => framesOf(leaves[index])));
  await expect.poll(() => packetsOf(flowOf('offloaded')), SOON).toBe(before + PACKETS);
  expect(flowOf('offloaded')).toMatch(says);
  expect(flowOf('ovs')).toBeUndefined();
  expect(space.host.status().firmware).toMatchObject({ amiss: 0 });
}

test.each(CASES)('in hardware: $name', async (one) => {
  ovs.run(`ovs-ofctl add-flow br0 priority=10,${one.match},in_port=sw0,actions=${one.actions}`);
  await expectInHardware(one);
});

describe('a mirror of the bridge', () => {
  /** Copies of what comes in by the first port leave by the third. */
  function mirror(select: string): void {
    ovs.run(
      `ovs-vsctl --timeout=120 -- --id=@p get port sw${select === 'select_src_port' ? 0 : 1} -- --id=@out get port sw2 -- --id=@m create mirror name=m0 ${select}=@p output_port=@out -- set bridge br0 mirrors=@m`,
    );
  }

  test('in hardware: a copy of what comes in, as it came, and the packet with a tag', async () => {
    mirror('select_src_port');
    ovs.run('ovs-ofctl add-flow br0 priority=10,udp,in_port=sw0,actions=mod_vlan_vid:10,output:sw1');
    await expectInHardware({
      came: plain,
      leaves: [undefined, packet(ip4(), tag(10)), plain],
      says: /actions:sw2,push_vlan\(vid=10,pcp=0\),sw1$/,
    });
  });

  test('in hardware: a copy of what goes out', async () => {
    mirror('select_dst_port');
    ovs.run('ovs-ofctl add-flow br0 priority=10,udp,in_port=sw0,actions=output:sw1');
    await expectInHardware({ came: plain, leaves: [undefined, plain, plain], says: /actions:sw1,sw2$/ });
  });
});

/** Pings that the second host received. */
function echos(): number {
  const [names, values] = space.hosts[1]
    .run('cat', ['/proc/net/snmp'])
    .split('\n')
    .filter((line) => line.startsWith('Icmp:'))
    .map((line) => line.split(' '));
  return Number(values![names!.indexOf('InEchos')]);
}

/** The host of this process works meanwhile. */
async function ping(count: number): Promise<void> {
  const command = `ping -q -n -c ${count} -i 0.2 -W 1 192.0.2.2 || true`;
  await promisify(execFile)('ip', ['netns', 'exec', space.hosts[0].name, 'bash', '-c', command]);
}

test.each([
  ['lowers the TTL', 'dec_ttl,mod_nw_dst:192.0.2.3,output:sw1'],
  ['goes out of three ports', 'output:sw1,output:sw2,in_port'],
  ['has a meter', 'meter:1,output:sw1'],
])('a flow that %s is left to Open vSwitch’s own data path', async (_what, actions) => {
  ovs.run(`ovs-ofctl -O OpenFlow13 add-flow br0 priority=10,icmp,in_port=sw0,actions=${actions}`);
  const counts = () => [packetsOf(flowOf('ovs')), echos()];
  const isThere = async () => {
    await ping(2);
    return packetsOf(flowOf('ovs')) > 0;
  };
  await expect.poll(isThere, SOON).toBe(true);
  const before = counts();
  await ping(PACKETS);
  await expect.poll(counts, SOON).toEqual(before.map((count) => count + PACKETS));
  expect(flowOf('offloaded')).toBeUndefined();
  expect(faults().filter((line) => !faultsBefore.includes(line))).toEqual([]);
});
