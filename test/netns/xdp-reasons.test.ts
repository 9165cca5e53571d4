/**
 * Every reason for which the data path hands a frame to the kernel, by a frame made for it, on a real wire: the reason's counter grows.
 * Tables are filled through the plugin; what a case changes is put back behind it.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { REASONS } from '../../host/device/tables/reasons.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import type { Value } from '../../host/plugin/values.ts';
import { frameOf, type Ip4, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { Wires } from '../support/wires.ts';
import { address4, type Entry, entry, handle, removal, Softnic } from '../unit/softnic/softnic.ts';

const PORTS = 4;
const MAC = 0x020000000000;
const BRIDGE = 100;
/** Longest a counter may take, in milliseconds. */
const LIMIT_MS = 60_000;

/** No frame can be made for these here. */
const UNREACHABLE: Readonly<Record<string, string>> = {
  'unknown port': 'a port without a row has no program, but while the row comes or goes',
  'port traps all': 'such a port has no program',
  'no room for a tag': 'frames of a veth have headroom',
};

const mac = (number: number): string => (MAC + number).toString(16).padStart(12, '0').match(/../g)!.join(':');
const at = (text: string): Value =>
  address4(text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0));
const STATION = 0x200;

let wires: Wires;
let ifindexes: number[];
let ends: WireEnd[];
let xdp: Softnic;
let sent = 0;

async function start(mode: 'auto' | 'native'): Promise<Softnic> {
  const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
    grants: ['tables'],
    cache: join(ROOT, 'build/fixtures/cache'),
  });
  const tables = { lpm4: 100, lpm6: 100, nexthop: 16, fdb: 32, flow: 16, tunnel: 4, remote: 16, mdb: 16 };
  const started = await Softnic.start(plugin, { kind: 'tables', netns: wires.router.name, mode, tables });
  expect(await started.apply(BASE())).toEqual([]);
  return started;
}

beforeAll(async () => {
  wires = new Wires({ hosts: PORTS, routed: false });
  const ifindexOf = (netns: { run: Wires['router']['run'] }, link: string) =>
    Number(netns.run('cat', [`/sys/class/net/${link}/ifindex`]));
  ifindexes = wires.hosts.map((_, port) => ifindexOf(wires.router, `p${port}`));
  ends = wires.hosts.map((host) => new WireEnd(host.name, ifindexOf(host, 'eth0')));
  xdp = await start('auto');
}, 300_000);

afterAll(async () => {
  await xdp?.[Symbol.asyncDispose]();
  for (const end of ends ?? []) end[Symbol.dispose]();
  wires?.close();
});

// ---- entries ----

const RUNS = ['adminUp', 'carrier'];
const BRIDGED = [...RUNS, 'bridgeForwarding', 'learning'];

const port = (index: number, flags: string[], more: Record<string, Value> = {}): Entry =>
  entry('port', index, {
    ifindex: ifindexes[index]!,
    mtu: 1500,
    mac: BigInt(MAC + index),
    bridge: index < 2 ? BRIDGE : 0,
    flags,
    ...more,
  });

/** Interface 0 is port 2, interface 1 port 3. */
const routerInterface = (index: number, flags: string[], mtu = 1500): Entry =>
  entry('router-interface', index, {
    port: handle('port', index + 2),
    ifindex: ifindexes[index + 2]!,
    mac: BigInt(MAC + index + 2),
    mtu,
    flags,
  });

const nexthop = (index: number, over: number, action: string): Entry =>
  entry('nexthop', index, {
    action,
    routerInterface: handle('router-interface', over),
    ifindex: ifindexes[over + 2]!,
    gateway: at('10.200.0.2'),
    destinationMac: BigInt(MAC + 0x100 + index),
  });

const group = (index: number, ...members: number[]): Entry =>
  entry(
    'group',
    index,
    { id: index + 1 },
    members.map((one) => ({ nexthop: handle('nexthop', one), weight: 1 })),
  );

const route = (index: number, prefix: string, prefixLength: number, to?: number): Entry =>
  entry('route', index, {
    prefix: at(prefix),
    prefixLength,
    action: to === undefined ? 'trap' : 'forward',
    group: to === undefined ? 0 : handle('group', to),
  });

const station = (index: number, on?: number, vlan = 0): Entry =>
  entry('fdb-entry', vlan * 8 + index, {
    bridge: BRIDGE,
    vlan,
    mac: BigInt(MAC + STATION + index),
    action: on === undefined ? 'trap' : 'forward',
    port: on === undefined ? 0 : handle('port', on),
  });

const member = (on: number, vlan: number): Entry =>
  entry('vlan-member', on * 8 + vlan, { bridge: BRIDGE, vlan, port: handle('port', on) });

const rule = (stage: string, fields: string[], values: Record<string, Value>): Entry =>
  entry('acl-rule', 0, { stage, action: 'trap', priority: 1, fields, ...values });

/** Stations 0 and 2 are behind port 0, 1 is behind port 1, 3 is the bridge's. From port 2 the way to 10.1/16 leads out of port 3. */
const BASE = (): Entry[] => [
  port(0, BRIDGED),
  port(1, BRIDGED),
  port(2, RUNS),
  port(3, RUNS),
  routerInterface(0, ['ipv4', 'ipv6']),
  routerInterface(1, ['ipv4', 'ipv6']),
  nexthop(0, 1, 'forward'),
  nexthop(1, 0, 'forward'),
  nexthop(2, 1, 'forward'),
  group(0, 0),
  group(1, 1),
  route(0, '10.1.0.0', 16, 0),
  route(1, '10.2.0.0', 16, 1),
  route(2, '10.3.0.0', 16),
  route(3, '10.9.9.9', 32),
  station(0, 0),
  station(1, 1),
  station(2, 0),
  station(3),
];

const FLOW = (): Entry =>
  entry('flow', 0, {
    protocol: 6,
    source: at('10.2.0.1'),
    destination: at('10.1.0.1'),
    sourcePort: 1000,
    destinationPort: 80,
    newSource: at('10.2.0.1'),
    newDestination: at('10.1.0.1'),
    newSourcePort: 1000,
    newDestinationPort: 80,
  });

/** At an address of this machine, with a station behind it. */
const TUNNEL = (flags: string[], more: Record<string, Value> = {}): Entry[] => [
  entry('tunnel', 0, {
    ifindex: 999,
    bridge: BRIDGE,
    port: 4789,
    vni: 10,
    mtu: 1450,
    ttl: 64,
    sourcePortLow: 1000,
    sourcePortHigh: 2000,
    mac: BigInt(MAC + 0x400),
    local: at('10.9.9.9'),
    flags,
    ...more,
  }),
  entry('remote', 0, {
    tunnel: handle('tunnel', 0),
    bridge: BRIDGE,
    mac: BigInt(MAC + STATION + 4),
    address: at('10.1.0.7'),
  }),
];

// ---- frames ----

const ip4 = (more: Partial<Ip4> = {}): Ip4 => ({
  is: 'ip4',
  source: '10.2.0.1',
  destination: '10.1.0.1',
  ttl: 64,
  l4: { is: 'udp', sport: 1000, dport: 80 },
  ...more,
});

const routed = (body: Packet['body'], more: Partial<Packet> = {}): Packet => ({
  port: 2,
  from: mac(0x300),
  to: mac(2),
  body,
  ...more,
});

const bridged = (more: Partial<Packet> = {}): Packet => ({
  port: 0,
  from: mac(STATION),
  to: mac(STATION + 1),
  body: ip4(),
  ...more,
});

const tcp = (flags: number, more: Partial<Ip4> = {}): Packet =>
  routed(ip4({ l4: { is: 'tcp', sport: 1000, dport: 80, flags }, ...more }));

/** For the station behind the tunnel. */
const entering = (more: Partial<Packet> = {}): Packet => bridged({ to: mac(STATION + 4), ...more });

/** Through the tunnel, for a station. */
const arriving = (): Packet =>
  routed({
    is: 'vxlan',
    source: '10.2.0.1',
    destination: '10.9.9.9',
    ttl: 64,
    sport: 5000,
    vni: 10,
    inner: { from: mac(STATION + 5), to: mac(STATION), body: ip4() },
  });

const bytes = (packet: Packet): Uint8Array => frameOf(packet, ++sent);

interface Case {
  /** Put before the frame, and put back behind it. */
  readonly entries?: readonly Entry[];
  readonly frame: Packet | Uint8Array;
  /** Where the frame is bytes. */
  readonly from?: number;
}

const STRICT = () => routerInterface(0, ['ipv4', 'reversePathStrict']);
const FLOWS = () => routerInterface(0, ['flowsIpv4']);

const CASES = (): Record<string, Case> => ({
  'ingress port down': { entries: [port(2, ['adminUp'])], frame: routed(ip4()) },
  'frame too short': { frame: bytes(routed(ip4())).subarray(0, 24), from: 2 },
  'unusual tag': { frame: routed(ip4(), { vlans: [{ id: 10, type: 0x88a8 }] }) },
  'not an Ethernet II frame': { frame: routed({ is: 'raw', type: 0x0010 }) },
  'no router interface': { frame: routed(ip4(), { vlans: [{ id: 9 }] }) },
  'destination mac is not the router': { frame: routed(ip4(), { to: mac(0x301) }) },
  'neither IPv4 nor IPv6': { frame: routed({ is: 'raw', type: 0x88b5 }) },
  'family not routed': { entries: [routerInterface(0, ['ipv6'])], frame: routed(ip4()) },
  'bad IP header': { frame: routed(ip4({ badChecksum: true })) },
  'IP options': { frame: routed(ip4({ options: [1, 1, 1, 0] })) },
  ttl: { frame: routed(ip4({ ttl: 1 })) },
  'destination is special': { frame: routed(ip4({ destination: '224.0.0.5' })) },
  'source is special': { frame: routed(ip4({ source: '127.0.0.1' })) },
  'source is an address of this machine': { frame: routed(ip4({ source: '10.9.9.9' })) },
  'reverse path miss': { entries: [STRICT()], frame: routed(ip4({ source: '11.0.0.1' })) },
  'reverse path unknown': { entries: [STRICT()], frame: routed(ip4({ source: '10.3.0.1' })) },
  'reverse path by another interface': { entries: [STRICT()], frame: routed(ip4({ source: '10.1.0.9' })) },
  'lpm miss': { frame: routed(ip4({ destination: '11.1.1.1' })) },
  'route trap': { frame: routed(ip4({ destination: '10.3.0.1' })) },
  'group without members': { entries: [group(0)], frame: routed(ip4()) },
  'nexthop trap': { entries: [nexthop(0, 1, 'trap')], frame: routed(ip4()) },
  'egress is ingress': { frame: routed(ip4({ destination: '10.2.0.9' })) },
  'egress port down': { entries: [port(3, ['adminUp'])], frame: routed(ip4()) },
  'egress mtu': { entries: [routerInterface(1, ['ipv4'], 1000)], frame: routed(ip4(), { payload: 1100 }) },
  'bridge port not forwarding': { entries: [port(0, RUNS)], frame: bridged() },
  'port not in vlan': { entries: [member(0, 5), member(1, 5)], frame: bridged({ vlans: [{ id: 6 }] }) },
  'no pvid': { entries: [member(0, 5)], frame: bridged() },
  'source mac not learned': { frame: bridged({ from: mac(STATION + 7) }) },
  'destination mac is a group': { frame: bridged({ to: 'ff:ff:ff:ff:ff:ff' }) },
  'fdb miss': { frame: bridged({ to: mac(STATION + 7) }) },
  'fdb trap': { frame: bridged({ to: mac(STATION + 3) }) },
  'fdb same port': { frame: bridged({ to: mac(STATION + 2) }) },
  'egress port in another bridge': { entries: [port(1, BRIDGED, { bridge: BRIDGE + 1 })], frame: bridged() },
  'egress bridge port not forwarding': { entries: [port(1, RUNS)], frame: bridged() },
  'egress port not in vlan': {
    entries: [member(0, 5), member(1, 6), station(0, 0, 5), station(1, 1, 5)],
    frame: bridged({ vlans: [{ id: 5 }] }),
  },
  'acl trap': { entries: [rule('ingress', ['protocol'], { protocol: 17 })], frame: routed(ip4()) },
  'rule cannot edit the packet': {
    entries: [
      rule('ingress', ['ethertype', 'protocol'], {
        ethertype: 0x0800,
        protocol: 17,
        action: 'redirect',
        redirectPort: handle('port', 3),
        edits: ['destinationPort'],
        newDestinationPort: 99,
      }),
    ],
    frame: routed(ip4({ l4: { is: 'udp', sport: 1, dport: 2, badChecksum: true } })),
  },
  'routing acl trap': { entries: [rule('routing', ['protocol'], { protocol: 17 })], frame: routed(ip4()) },
  'rules need more of the packet': {
    entries: [rule('ingress', ['destinationPort'], { destinationPortLow: 80, destinationPortHigh: 80 })],
    frame: routed(ip4({ moreFragments: true })),
  },
  'no established flow': { entries: [FLOWS()], frame: tcp(16) },
  'keeps its flow alive': { entries: [FLOWS(), FLOW()], frame: tcp(16) },
  'flow begins or ends': { entries: [FLOWS(), FLOW()], frame: tcp(2) },
  'flow by another interface': {
    entries: [FLOWS(), FLOW(), group(1, 2)],
    frame: tcp(16),
  },
  'tunnel needs XDP': { entries: TUNNEL(['forwarding']), frame: entering() },
  'tunnel not forwarding': { entries: TUNNEL([]), frame: entering() },
  'frame not for the tunnel': { entries: TUNNEL(['forwarding']), frame: entering({ vlans: [{ id: 5 }] }) },
  'tunnel by another link': { entries: TUNNEL(['forwarding'], { link: 998 }), frame: entering() },
  'flow over several nexthops': { entries: [FLOWS(), FLOW(), group(0, 0, 2)], frame: tcp(16) },
});

/** What arrives by a tunnel is told natively alone; copies are made by tcx alone. */
const NATIVE_CASES = (): Record<string, Case> => ({
  'unusual VXLAN header': {
    entries: TUNNEL(['forwarding']),
    frame: changed(bytes(arriving()), (view) => view.setUint8(42, 0x88)),
    from: 2,
  },
  'tunnel source not learned': { entries: TUNNEL(['forwarding', 'learning']), frame: arriving() },
  'congestion marks differ': {
    entries: TUNNEL(['forwarding']),
    frame: changed(bytes(arriving()), (view) => {
      view.setUint8(15, 2);
      view.setUint16(24, (view.getUint16(24) + 0xffff - 2) % 0xffff);
    }),
    from: 2,
  },
  'group needs copies': {
    entries: [
      port(3, [...RUNS, 'bridgeForwarding'], { bridge: BRIDGE }),
      entry('multicast-group', 0, {
        family: 'ipv4',
        bridge: BRIDGE,
        address: at('239.1.2.3'),
        count: 2,
        port0: handle('port', 1),
        port1: handle('port', 3),
      }),
    ],
    frame: bridged({ to: '01:00:5e:01:02:03', body: ip4({ destination: '239.1.2.3' }) }),
  },
  'rule copies the packet': {
    entries: [
      rule('ingress', ['protocol'], {
        protocol: 17,
        action: 'drop',
        edits: ['mirror'],
        mirrorPort: handle('port', 3),
      }),
    ],
    frame: routed(ip4()),
  },
});

// ---- tests ----

const traps = (reason: string): number =>
  xdp.device.status().traps?.find((one) => one.reason === reason)?.packets ?? 0;

/** Sends the frame, again where `again`, until its reason has counted one more. */
async function provoke(reason: string, { frame, from }: Case, again = false): Promise<void> {
  const before = traps(reason);
  const send = () => {
    const isBytes = frame instanceof Uint8Array;
    const taken = ends[isBytes ? from! : frame.port]!.send(isBytes ? frame : bytes(frame));
    expect(taken, `${reason}: sent`).toBe(true);
  };
  send();
  for (const end = performance.now() + LIMIT_MS; traps(reason) === before; ) {
    if (performance.now() > end)
      expect.fail(`${reason} does not count: ${JSON.stringify(xdp.device.status().traps)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (!again) continue;
    // The device looks again at what the ports can do.
    await xdp.runner.poll();
    send();
  }
}

/** Puts back what was before the entries. */
async function restore(entries: readonly Entry[]): Promise<void> {
  const base = new Map(BASE().map((one) => [one.value.handle, one]));
  for (const one of entries.toReversed())
    if (!base.has(one.value.handle)) expect(await xdp.apply([removal(one)])).toEqual([]);
  const changed = entries.flatMap((one) => base.get(one.value.handle) ?? []);
  if (changed.length > 0) expect(await xdp.apply(changed)).toEqual([]);
}

const provoked = new Set<string>();

test('frames that are the kernel’s go to it, each counted under its reason', async () => {
  for (const [reason, one] of Object.entries(CASES())) {
    const { entries = [] } = one;
    if (entries.length > 0) expect(await xdp.apply(entries), reason).toEqual([]);
    await provoke(reason, one);
    await restore(entries);
    provoked.add(reason);
  }
}, 300_000);

test('a frame from no station is never bridged, also where nothing is learned', async () => {
  const entries = [port(0, [...RUNS, 'bridgeForwarding'])];
  expect(await xdp.apply(entries)).toEqual([]);
  await provoke('source mac not learned', { frame: bridged({ from: '00:00:00:00:00:00' }) });
  await provoke('source mac not learned', { frame: bridged({ from: '01:00:00:00:00:01' }) });
  await restore(entries);
});

test('a transport header that lies behind the end of its packet is not read', async () => {
  // The packet ends in the middle of the header, the frame behind it.
  const cut = (is: 'tcp' | 'udp', left: number): Packet => {
    const inner = (is === 'tcp' ? 20 : 8) + 8;
    return routed(ip4({ l4: { is, sport: 1000, dport: 80, flags: 16 }, lengthError: left - inner }));
  };
  const ports = { destinationPortLow: 80, destinationPortHigh: 80 };
  for (const left of [0, 3, 7]) {
    const entries = [rule('ingress', ['destinationPort'], ports)];
    expect(await xdp.apply(entries)).toEqual([]);
    await provoke('rules need more of the packet', { frame: cut('udp', left) });
    await restore(entries);
  }
  for (const left of [0, 4, 13, 19]) {
    const entries = [FLOWS(), FLOW()];
    expect(await xdp.apply(entries)).toEqual([]);
    await provoke('no established flow', { frame: cut('tcp', left) });
    await restore(entries);
  }
});

test('ports attached natively have reasons of their own', async () => {
  await xdp[Symbol.asyncDispose]();
  xdp = await start('native');
  await provoke('egress takes no XDP frames', { frame: routed(ip4()) });
  // With GRO at its other end, a veth takes them.
  for (const host of [1, 3]) wires.hosts[host]!.run('ethtool', ['-K', 'eth0', 'gro', 'on']);
  await provoke('checksum not filled in', { frame: unfinished(bytes(routed(ip4()))), from: 2 }, true);
  provoked.add('egress takes no XDP frames').add('checksum not filled in');
  for (const [reason, one] of Object.entries(NATIVE_CASES())) {
    expect(await xdp.apply(one.entries!), reason).toEqual([]);
    await provoke(reason, one);
    await restore(one.entries!);
    provoked.add(reason);
  }
}, 300_000);

test('that is all of them', () => {
  const expected = REASONS.map(({ name }) => name).filter((name) => !(name in UNREACHABLE));
  expect([...provoked].sort()).toEqual(expected.sort());
});

function changed(frame: Uint8Array, change: (view: DataView) => void): Uint8Array {
  change(new DataView(frame.buffer));
  return frame;
}

/** The UDP checksum as the kernel leaves it to hardware: the sum of the pseudo header. */
function unfinished(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer);
  let sum = 17 + view.getUint16(38);
  for (let word = 26; word < 34; word += 2) sum += view.getUint16(word);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(40, sum);
  return frame;
}
