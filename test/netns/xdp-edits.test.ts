/** Rules that edit what they redirect, in the data path on a real wire: every byte that leaves is what the edits make of what came. */
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { parseAddress } from '../../host/device/asic/address.ts';
import type { AttachMode } from '../../host/device/types.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import type { Value } from '../../host/plugin/values.ts';
import { frameOf, type Ip4, type Ip6, numberOf, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import type { Netns } from '../support/netns.ts';
import { has, hostMac, routerMac, Wires } from '../support/wires.ts';
import { address4, type Entry, entry, handle, removal, Softnic } from '../unit/softnic/softnic.ts';

const MAC = 0x020000000000;
const LIMIT_MS = 60_000;

const ip4 = (more: Partial<Ip4> = {}): Ip4 => ({
  is: 'ip4',
  source: '10.1.0.2',
  destination: '10.2.0.2',
  ttl: 64,
  l4: { is: 'udp', sport: 1000, dport: 53 },
  ...more,
});
const ip6 = (more: Partial<Ip6> = {}): Ip6 => ({
  is: 'ip6',
  source: '2001:db8::2',
  destination: '2001:db8:1::2',
  hops: 64,
  l4: { is: 'tcp', sport: 1000, dport: 80, flags: 16 },
  ...more,
});
const packet = (body: Packet['body'], more: Partial<Packet> = {}): Packet => ({
  port: 0,
  from: '02:00:00:00:01:02',
  to: '02:00:00:00:00:00',
  payload: 33,
  body,
  ...more,
});
const address6 = (high: bigint, low: bigint): Value => ({ high, low });

const V4 = { ethertype: 0x0800, family: 'ipv4' };
const V6 = { ethertype: 0x86dd, family: 'ipv6' };

interface Case {
  readonly edits: readonly string[];
  readonly values?: Record<string, Value>;
  readonly came: Packet | Uint8Array;
  /** Undefined: it is the kernel's. */
  readonly leaves?: Packet | Uint8Array;
}

/** With the DEI bit of its tag set. */
function withDei(one: Packet): Uint8Array {
  const bytes = frameOf(one, 0);
  bytes[14]! |= 0x10;
  return bytes;
}

const tag = (id: number, priority = 0) => ({ vlans: [{ id, priority }] });
const tcp = (more: object = {}) => ({ is: 'tcp', sport: 1000, dport: 80, flags: 16, ...more }) as const;
const udp = (more: object = {}) => ({ is: 'udp', sport: 1000, dport: 53, ...more }) as const;

const PUSH = { newVlan: 30, newVlanPriority: 5 };

const CASES: Record<string, Case> = {
  'a tag is put on': {
    edits: ['vlanPush'],
    values: PUSH,
    came: packet(ip4()),
    leaves: packet(ip4(), tag(30, 5)),
  },
  'a second tag is the kernel’s': { edits: ['vlanPush'], values: PUSH, came: packet(ip4(), tag(7)) },
  'a tag is taken off': { edits: ['vlanPop'], came: packet(ip4(), tag(7, 3)), leaves: packet(ip4()) },
  'no tag is taken off': { edits: ['vlanPop'], came: packet(ip4()), leaves: packet(ip4()) },
  'a tag takes the place of another': {
    edits: ['vlanPop', 'vlanPush'],
    values: PUSH,
    came: packet(ip4(), tag(7, 3)),
    leaves: packet(ip4(), tag(30, 5)),
  },
  'a tag takes the place of none': {
    edits: ['vlanPop', 'vlanPush'],
    values: PUSH,
    came: packet(ip4()),
    leaves: packet(ip4(), tag(30, 5)),
  },
  'a tag changes and keeps its DEI bit': {
    edits: ['vlanModify'],
    values: PUSH,
    came: withDei(packet(ip4(), tag(7, 3))),
    leaves: withDei(packet(ip4(), tag(30, 5))),
  },
  'a tag changes that is not there': {
    edits: ['vlanModify'],
    values: PUSH,
    came: packet(ip4()),
    leaves: packet(ip4()),
  },
  'the priority 0 of a changed tag': {
    edits: ['vlanModify'],
    values: { newVlan: 30 },
    came: packet(ip4(), tag(7)),
    leaves: packet(ip4(), tag(30)),
  },
  'a priority that may stay or go is the kernel’s': {
    edits: ['vlanModify'],
    values: { newVlan: 30 },
    came: packet(ip4(), tag(7, 3)),
  },
  'Ethernet addresses and a tag, of what is no IP': {
    edits: ['sourceMac', 'destinationMac', 'vlanPush'],
    values: { ...PUSH, newSourceMac: BigInt(MAC + 0x91), newDestinationMac: BigInt(MAC + 0x92) },
    came: packet({ is: 'raw', type: 0x88b5 }),
    leaves: packet(
      { is: 'raw', type: 0x88b5 },
      { from: '02:00:00:00:00:91', to: '02:00:00:00:00:92', ...tag(30, 5) },
    ),
  },
  'a TTL is lowered': {
    edits: ['ttlAdd'],
    values: { ...V4, newTtl: 255 },
    came: packet(ip4()),
    leaves: packet(ip4({ ttl: 63 })),
  },
  'a TTL is lowered beyond 0': {
    edits: ['ttlAdd'],
    values: { ...V4, vlan: 7, newTtl: 255 },
    came: packet(ip4({ ttl: 0 }), tag(7)),
    leaves: packet(ip4({ ttl: 255 }), tag(7)),
  },
  'a TTL is set': {
    edits: ['ttl'],
    values: { ...V4, newTtl: 9 },
    came: packet(ip4()),
    leaves: packet(ip4({ ttl: 9 })),
  },
  'a hop limit is lowered': {
    edits: ['ttlAdd'],
    values: { ...V6, newTtl: 255 },
    came: packet(ip6()),
    leaves: packet(ip6({ hops: 63 })),
  },
  'IPv4 addresses, ports and a tag': {
    edits: ['sourceAddress', 'destinationAddress', 'sourcePort', 'destinationPort', 'vlanPop', 'ttlAdd'],
    values: {
      ...V4,
      vlan: 7,
      newTtl: 254,
      newSourceAddress: address4(0xc0000207),
      newDestinationAddress: address4(0xc6336408),
      newSourcePort: 99,
      newDestinationPort: 65_535,
    },
    came: packet(ip4({ l4: tcp() }), { payload: 1000, ...tag(7) }),
    leaves: packet(
      ip4({
        source: '192.0.2.7',
        destination: '198.51.100.8',
        ttl: 62,
        l4: tcp({ sport: 99, dport: 65_535 }),
      }),
      { payload: 1000 },
    ),
  },
  'a port of UDP, an odd number of bytes': {
    edits: ['destinationPort'],
    values: { ...V4, newDestinationPort: 5000 },
    came: packet(ip4(), { payload: 64 }),
    leaves: packet(ip4({ l4: udp({ dport: 5000 }) }), { payload: 64 }),
  },
  'UDP without a checksum stays so': {
    edits: ['sourceAddress', 'sourcePort'],
    values: { ...V4, newSourceAddress: address4(0xc0000207), newSourcePort: 5000 },
    came: packet(ip4({ l4: udp({ noChecksum: true }) })),
    leaves: packet(ip4({ source: '192.0.2.7', l4: udp({ sport: 5000, noChecksum: true }) })),
  },
  'addresses under ICMP': {
    edits: ['destinationAddress'],
    values: { ...V4, newDestinationAddress: address4(0xc6336408) },
    came: packet(ip4({ l4: { is: 'icmp' } })),
    leaves: packet(ip4({ destination: '198.51.100.8', l4: { is: 'icmp' } })),
  },
  'IPv6 addresses and ports': {
    edits: ['sourceAddress', 'destinationAddress', 'destinationPort'],
    values: {
      ...V6,
      newSourceAddress: address6(0x20010db8_00770000n, 7n),
      newDestinationAddress: address6(0x20010db8_00770000n, 8n),
      newDestinationPort: 443,
    },
    came: packet(ip6()),
    leaves: packet(ip6({ source: '2001:db8:77::7', destination: '2001:db8:77::8', l4: tcp({ dport: 443 }) })),
  },
  'addresses under ICMPv6': {
    edits: ['sourceAddress'],
    values: { ...V6, newSourceAddress: address6(0x20010db8_00770000n, 7n) },
    came: packet(ip6({ l4: { is: 'icmp', type: 128 } })),
    leaves: packet(ip6({ source: '2001:db8:77::7', l4: { is: 'icmp', type: 128 } })),
  },
  'a fragment is the kernel’s': {
    edits: ['ttlAdd'],
    values: { ...V4, newTtl: 255 },
    came: packet(ip4({ moreFragments: true })),
  },
  'options are the kernel’s': {
    edits: ['ttlAdd'],
    values: { ...V4, newTtl: 255 },
    came: packet(ip4({ options: [1, 1, 1, 0] })),
  },
  'a wrong checksum is the kernel’s, which makes it right': {
    edits: ['destinationPort'],
    values: { ...V4, newDestinationPort: 5000 },
    came: packet(ip4({ l4: udp({ badChecksum: true }) })),
  },
  'a wrong checksum does not matter to a TTL': {
    edits: ['ttlAdd'],
    values: { ...V4, newTtl: 255 },
    came: packet(ip4({ l4: udp({ badChecksum: true }) })),
    leaves: packet(ip4({ ttl: 63, l4: udp({ badChecksum: true }) })),
  },
  'a wrong length of UDP is the kernel’s': {
    edits: ['destinationPort'],
    values: { ...V4, newDestinationPort: 5000 },
    came: packet(ip4({ l4: udp({ lengthError: -2 }) })),
  },
  'addresses above another protocol are the kernel’s': {
    edits: ['destinationAddress'],
    values: { ...V4, newDestinationAddress: address4(0xc6336408) },
    came: packet(ip4({ l4: { is: 'other' } })),
  },
};

const ifindexOf = (netns: Netns, link: string) =>
  Number(netns.run('cat', [`/sys/class/net/${link}/ifindex`]));

/** The data path of a router with two ports, attached in this way. */
async function started(wires: Wires, mode: AttachMode): Promise<Softnic> {
  const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
    grants: ['tables'],
    cache: join(ROOT, 'build/fixtures/cache'),
  });
  const tables = { lpm4: 100, lpm6: 100, nexthop: 16, fdb: 32, flow: 16, tunnel: 4, remote: 16 };
  const xdp = await Softnic.start(plugin, { kind: 'tables', netns: wires.router.name, mode, tables });
  const ports = [0, 1].map((index) =>
    entry('port', index, {
      ifindex: ifindexOf(wires.router, `p${index}`),
      mtu: 1500,
      mac: BigInt(MAC + index),
      flags: ['adminUp', 'carrier'],
    }),
  );
  expect(await xdp.apply(ports)).toEqual([]);
  return xdp;
}

describe.each(['native', 'generic', 'tcx'] as const)('%s', (mode) => {
  let wires: Wires;
  let ends: WireEnd[];
  let xdp: Softnic;

  beforeAll(async () => {
    wires = new Wires({ hosts: 2, routed: false });
    for (const host of wires.hosts) host.run('ethtool', ['-K', 'eth0', 'gro', 'on']);
    ends = wires.hosts.map((host) => new WireEnd(host.name, ifindexOf(host, 'eth0')));
    xdp = await started(wires, mode);
  }, 300_000);

  afterAll(async () => {
    await xdp?.[Symbol.asyncDispose]();
    for (const end of ends ?? []) end[Symbol.dispose]();
    wires?.close();
  });

  function rule({ edits, values = {} }: Case): Entry {
    return entry('acl-rule', 0, {
      stage: 'ingress',
      action: 'redirect',
      port: handle('port', 0),
      redirectPort: handle('port', 1),
      priority: 1,
      fields: ['ethertype', 'vlan'].filter((field) => field in values),
      edits: [...edits],
      ...values,
    });
  }

  const bytes = (one: Packet | Uint8Array): Uint8Array => (one instanceof Uint8Array ? one : frameOf(one, 0));
  const hex = (frame: Uint8Array) => Buffer.from(frame).toString('hex');
  /** Frames that went to the kernel; blind ones of a veth may be of an unfinished packet, for all that is known. */
  const REFUSALS = ['rule cannot edit the packet', 'checksum not filled in'];
  const refused = () =>
    xdp.device
      .status()
      .traps?.reduce((sum, { reason, packets }) => (REFUSALS.includes(reason) ? sum + packets : sum), 0) ?? 0;

  /** What the far end received, once something was or the kernel got the frame. */
  async function sent(frame: Uint8Array): Promise<string[]> {
    const before = refused();
    expect(ends[0]!.send(frame)).toBe(true);
    for (const end = performance.now() + LIMIT_MS; performance.now() < end; ) {
      // What hosts say by themselves when they come up has no number.
      const found = [...ends[1]!.received()].filter((one) => numberOf(one) !== undefined).map(hex);
      if (found.length > 0 || refused() !== before) return found;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(
      `nothing came, and nothing went to the kernel: ${JSON.stringify(xdp.device.status().traps)}`,
    );
  }

  test.each(Object.entries(CASES))('%s', async (_, one) => {
    const entries = [rule(one)];
    expect(await xdp.apply(entries)).toEqual([]);
    expect(await sent(bytes(one.came))).toEqual(one.leaves === undefined ? [] : [hex(bytes(one.leaves))]);
    expect(await xdp.apply(entries.map(removal))).toEqual([]);
  });

  test('of several rules each has its own edits, whichever came first', async () => {
    const rules = [3, 1, 2].map((index) =>
      entry('acl-rule', index, {
        stage: 'ingress',
        action: 'redirect',
        port: handle('port', 0),
        redirectPort: handle('port', 1),
        priority: index,
        fields: ['protocol'],
        protocol: [1, 6, 17][index - 1]!,
        ...(index !== 2 && { edits: ['vlanPush'], newVlan: 10 * index }),
      }),
    );
    for (const one of rules) expect(await xdp.apply([one])).toEqual([]);
    for (const [index, is] of (['icmp', 'tcp', 'udp'] as const).entries()) {
      const one = packet(ip4({ l4: { is, sport: 1, dport: 2, flags: 16 } }));
      const leaves = index === 1 ? one : { ...one, ...tag(10 * (index + 1)) };
      expect(await sent(bytes(one)), is).toEqual([hex(bytes(leaves))]);
    }
    expect(await xdp.apply(rules.map(removal))).toEqual([]);
  });

  test('the priority of a tag tells packets apart, and says nothing of what has none', async () => {
    const matches: readonly Record<string, Value>[] = [
      { vlan: 7, vlanPriority: 0 },
      { vlan: 7, vlanPriority: 5 },
      { vlan: 7 },
      {},
    ];
    const rules = matches.map((match, index) =>
      entry('acl-rule', index, {
        stage: 'ingress',
        action: 'redirect',
        port: handle('port', 0),
        redirectPort: handle('port', 1),
        priority: index,
        fields: Object.keys(match),
        edits: ['vlanPop', 'vlanPush'],
        newVlan: 20 + index,
        ...match,
      }),
    );
    expect(await xdp.apply(rules)).toEqual([]);
    // With flags of TCP, which stand in the same word.
    const body = ip4({ l4: tcp() });
    for (const [came, to] of [
      [tag(7), 20],
      [tag(7, 5), 21],
      [tag(7, 4), 22],
      [tag(8, 5), 23],
      [{}, 23],
    ] as const)
      expect(await sent(bytes(packet(body, came)))).toEqual([hex(bytes(packet(body, tag(to))))]);
    expect(await xdp.apply(rules.map(removal))).toEqual([]);
  });

  test('edits go with the action redirect alone', async () => {
    const wrong = rule({
      edits: ['vlanPop'],
      values: { action: 'drop', redirectPort: 0 },
      came: packet(ip4()),
    });
    expect(await xdp.apply([wrong])).toMatchObject([{ handle: wrong.value.handle }]);
  });
});

const macValue = (text: string): Value => BigInt(`0x${text.replaceAll(':', '')}`);

/** An address as records have it. */
function addressValue(text: string): Value {
  const { words } = parseAddress(text);
  const [w0, w1, w2, w3] = [...words].map(BigInt) as [bigint, bigint, bigint, bigint];
  return { high: (w0 << 32n) | w1, low: (w2 << 32n) | w3 };
}

/** iperf3 speaks through rules that rewrite MACs, an address and a port on the way out, and undo it on the way back. */
describe.each([
  { family: 'ipv4', v4: true },
  { family: 'ipv6', v4: false },
])('TCP in pieces larger than packets, by tcx: $family', ({ v4 }) => {
  const BYTES = 50_000_000;
  /** Where the client sends to, and where its packets arrive; the ports of both. */
  const [client, virtual, server] = v4
    ? ['10.1.0.1', '10.1.0.99', '10.2.0.1']
    : ['2001:db8:1::1', '2001:db8:1::99', '2001:db8:2::1'];
  const ports = [5300, 5201] as const;
  let wires: Wires;
  let xdp: Softnic;

  beforeEach((context) => {
    if (!has('iperf3')) context.skip('iperf3 is not installed');
  });

  beforeAll(async () => {
    wires = new Wires({ hosts: 2, routed: false, plain: false });
    const address = (text: string) => `${text}/${v4 ? 24 : 64}`;
    for (const [index, [own, other]] of [
      [client!, virtual!],
      [server!, client!],
    ].entries()) {
      const host = wires.hosts[index]!;
      if (!v4) host.sysctl('net.ipv6.conf.all.disable_ipv6=0', 'net.ipv6.conf.eth0.disable_ipv6=0');
      host.ip(`addr add ${address(own!)} dev eth0${v4 ? '' : ' nodad'}`);
      if (index === 1) host.ip(`route add ${client} dev eth0`);
      host.ip(`neigh replace ${other} lladdr ${routerMac(index)} dev eth0 nud permanent`);
    }
    xdp = await started(wires, 'tcx');
    const edit = (port: number, edits: string[], values: Record<string, Value>): Entry =>
      entry('acl-rule', port, {
        stage: 'ingress',
        action: 'redirect',
        port: handle('port', port),
        redirectPort: handle('port', 1 - port),
        priority: 1,
        family: v4 ? 'ipv4' : 'ipv6',
        fields: ['ethertype', 'protocol'],
        ethertype: v4 ? 0x0800 : 0x86dd,
        protocol: 6,
        edits: ['sourceMac', 'destinationMac', ...edits],
        newSourceMac: macValue(routerMac(1 - port)),
        newDestinationMac: macValue(hostMac(1 - port)),
        ...values,
      });
    expect(
      await xdp.apply([
        edit(0, ['destinationAddress', 'destinationPort', 'ttlAdd'], {
          newDestinationAddress: addressValue(server!),
          newDestinationPort: ports[1],
          newTtl: 255,
        }),
        edit(1, ['sourceAddress', 'sourcePort', 'ttlAdd'], {
          newSourceAddress: addressValue(virtual!),
          newSourcePort: ports[0],
          newTtl: 255,
        }),
      ]),
    ).toEqual([]);
  }, 300_000);

  afterAll(async () => {
    await xdp?.[Symbol.asyncDispose]();
    wires?.close();
  });

  test('all of it arrives, and nothing is the kernel’s', async () => {
    const listener = wires.hosts[1]!.launch('iperf3', ['-s', '-1', '--forceflush']);
    try {
      await new Promise<void>((resolve) => {
        listener.stdout.setEncoding('utf8').on('data', (text: string) => {
          if (text.includes('listening')) resolve();
        });
      });
      const child = wires.hosts[0]!.launch('iperf3', [
        ...['-c', virtual!, '-p', `${ports[0]}`, '-n', `${BYTES}`, '-J', '--connect-timeout', '20000'],
      ]);
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      await new Promise((resolve) => child.on('close', resolve));
      const report = JSON.parse(said) as { error?: string; end: { sum_received?: { bytes: number } } };
      expect(report.error).toBeUndefined();
      // What stands in sockets when the client says that it is done does not count.
      expect(report.end.sum_received?.bytes).toBeGreaterThan(BYTES / 2);
    } finally {
      listener.kill('SIGKILL');
    }
    const counter = (await xdp.counters()).get(handle('acl-rule', 0))!;
    expect(counter.bytes).toBeGreaterThan(BYTES / 2);
    // Of a size that no single packet has.
    expect(counter.bytes / counter.packets).toBeGreaterThan(1514);
    expect(
      xdp.device.status().traps?.filter(({ reason }) => reason === 'rule cannot edit the packet'),
    ).toEqual([]);
  }, 120_000);
});
