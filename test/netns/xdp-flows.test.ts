/**
 * Flows in the data path, entry by entry: packets of a flow leave translated byte for byte, and what the kernel's flowtable would not
 * forward goes to the kernel. The kernel here needs no flowtables: the entries come straight through the plugin.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AttachMode } from '../../host/device/types.ts';
import { type LoadedPlugin, loadPlugin } from '../../host/plugin/load.ts';
import type { Value } from '../../host/plugin/values.ts';
import { frameOf, type Ip4, type Ip6, ip6Bytes } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { hostMac, routerMac, Wires } from '../support/wires.ts';
import { address4, type Entry, entry, handle, Softnic } from '../unit/softnic/softnic.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const LIMIT = 60_000;
/** Milliseconds after which the data path knows that there is no host, and some more. */
const HOST_GONE = 7_000;
/** Frames sent at a time: the first of a second is the kernel's. */
const BURST = 16;
const TCP = { fin: 1, syn: 2, rst: 4, ack: 16 };

interface End {
  readonly address: string;
  readonly port: number;
}

/** One direction of a connection: by which port it comes, as it comes and as it leaves. */
interface Direction {
  readonly in: 0 | 1;
  readonly protocol: 'tcp' | 'udp';
  readonly source: End;
  readonly destination: End;
  readonly newSource: End;
  readonly newDestination: End;
}

const CLIENT = '10.1.0.2';
const SERVER = '192.0.2.2';
const OUTSIDE = '198.51.100.1';
const CLIENT6 = '2001:db8:1::2';
const SERVER6 = '2001:db8:2::2';
const OUTSIDE6 = '2001:db8:3::1';

/** Both directions of a connection from behind the router, which changes its source to `outside`. */
function connection(
  protocol: 'tcp' | 'udp',
  client: string,
  server: string,
  outside: string,
  port: number,
): Direction[] {
  const [from, to, as] = [
    { address: client, port },
    { address: server, port: 443 },
    { address: outside, port: outside === client ? port : port + 10_000 },
  ];
  return [
    { in: 0, protocol, source: from, destination: to, newSource: as, newDestination: to },
    { in: 1, protocol, source: to, destination: as, newSource: to, newDestination: from },
  ];
}

const FLOWS = {
  tcp: connection('tcp', CLIENT, SERVER, OUTSIDE, 40_001),
  udp: connection('udp', CLIENT, SERVER, OUTSIDE, 40_002),
  'tcp without translation': connection('tcp', CLIENT, SERVER, CLIENT, 40_003),
  'tcp over IPv6': connection('tcp', CLIENT6, SERVER6, OUTSIDE6, 40_004),
  'udp over IPv6': connection('udp', CLIENT6, SERVER6, CLIENT6, 40_005),
  'tcp that ends': connection('tcp', CLIENT, SERVER, OUTSIDE, 40_006),
};

function address(text: string): Value {
  if (!text.includes(':'))
    return address4(text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0));
  const hex = Buffer.from(ip6Bytes(text)).toString('hex');
  return { high: BigInt(`0x${hex.slice(0, 16)}`), low: BigInt(`0x${hex.slice(16)}`) };
}

function flow(index: number, one: Direction, flags: 'polled'[] = []): Entry {
  return entry('flow', index, {
    family: one.source.address.includes(':') ? 'ipv6' : 'ipv4',
    protocol: one.protocol === 'tcp' ? 6 : 17,
    flags,
    source: address(one.source.address),
    destination: address(one.destination.address),
    sourcePort: one.source.port,
    destinationPort: one.destination.port,
    newSource: address(one.newSource.address),
    newDestination: address(one.newDestination.address),
    newSourcePort: one.newSource.port,
    newDestinationPort: one.newDestination.port,
  });
}

const mac = (text: string): bigint => BigInt(`0x${text.replaceAll(':', '')}`);

/** Two ports that route nothing but flows, and the ways to the host behind each. */
function routing(ifindexes: readonly number[]): Entry[] {
  return [0, 1].flatMap((port) => [
    entry('port', port, {
      ifindex: ifindexes[port]!,
      mtu: 1500,
      mac: mac(routerMac(port)),
      flags: ['adminUp', 'carrier'],
    }),
    entry('router-interface', port, {
      port: handle('port', port),
      ifindex: ifindexes[port]!,
      mac: mac(routerMac(port)),
      mtu: 1500,
      flags: ['flowsIpv4', 'flowsIpv6'],
    }),
    ...['ipv4', 'ipv6'].flatMap((family, index) => [
      entry('nexthop', 2 * port + index, {
        family,
        routerInterface: handle('router-interface', port),
        ifindex: ifindexes[port]!,
        destinationMac: mac(hostMac(port)),
      }),
      entry('group', 2 * port + index, {}, [{ nexthop: handle('nexthop', 2 * port + index), weight: 1 }]),
      entry('route', 2 * port + index, {
        family,
        prefix: address([CLIENT, SERVER, CLIENT6, SERVER6][2 * index + port]!),
        prefixLength: family === 'ipv4' ? 32 : 128,
        group: handle('group', 2 * port + index),
      }),
    ]),
  ]);
}

const bpffs = mkdtempSync(join(tmpdir(), 'ekho-flows-'));

beforeAll(() => {
  execFileSync('mount', ['-t', 'bpf', 'bpf', bpffs]);
});

afterAll(() => {
  execFileSync('umount', [bpffs]);
  rmSync(bpffs, { recursive: true });
});

describe.each(['tcx', 'generic', 'native'] satisfies AttachMode[])('%s', (mode) => {
  let wires: Wires;
  let plugin: LoadedPlugin;
  let xdp: Softnic;
  let ends: WireEnd[];
  let number = 0;
  /** Frames that may leave. */
  const expected = new Set<string>();

  const start = () =>
    Softnic.start(plugin, { kind: 'tables', netns: wires.router.name, mode, state: join(bpffs, mode) });

  beforeAll(async () => {
    wires = new Wires({ routed: false });
    if (mode === 'native') for (const host of wires.hosts) host.run('ethtool', ['-K', 'eth0', 'gro', 'on']);
    const index = (text: string) => Number(text);
    const ifindexes = [0, 1].map((port) =>
      index(wires.router.run('cat', [`/sys/class/net/p${port}/ifindex`])),
    );
    ends = wires.hosts.map(
      (host) => new WireEnd(host.name, index(host.run('cat', ['/sys/class/net/eth0/ifindex']))),
    );
    plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
      grants: ['tables'],
      cache: join(ROOT, 'build/fixtures/cache'),
    });
    xdp = await start();
    const flows = Object.values(FLOWS).flat();
    const outcomes = await xdp.apply([...routing(ifindexes), ...flows.map((one, index) => flow(index, one))]);
    expect(outcomes).toEqual([]);
  }, 180_000);

  afterAll(async () => {
    for (const end of ends ?? []) end[Symbol.dispose]();
    await xdp?.[Symbol.asyncDispose]();
    wires?.close();
  });

  /** A frame of a flow, as it comes or as it leaves. */
  function frame(one: Direction, leaves: boolean, id: number, flags = TCP.ack, more: Partial<Ip4> = {}) {
    const out = 1 - one.in;
    const [source, destination] = leaves
      ? [one.newSource, one.newDestination]
      : [one.source, one.destination];
    const l4 = { is: one.protocol, sport: source.port, dport: destination.port, flags };
    const ends = { source: source.address, destination: destination.address, l4 };
    const ttl = leaves ? 63 : 64;
    const body: Ip4 | Ip6 = source.address.includes(':')
      ? { is: 'ip6', hops: ttl, ...ends }
      : { is: 'ip4', ttl, ...ends, ...more };
    const [from, to] = leaves ? [routerMac(out), hostMac(out)] : [hostMac(one.in), routerMac(one.in)];
    return Buffer.from(frameOf({ port: one.in, from, to, body, payload: 100 }, id));
  }

  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

  function trapped(reason: string): number {
    return xdp.device.status().traps?.find((one) => one.reason === reason)?.packets ?? 0;
  }

  async function until(what: string, isTrue: () => boolean): Promise<void> {
    for (const end = Date.now() + LIMIT; !isTrue(); ) {
      if (Date.now() > end) throw new Error(`not within ${LIMIT / 1000} s: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Sends bursts until one leaves as it should; nothing may leave that is not right. */
  async function passes(one: Direction): Promise<void> {
    const id = ++number;
    const wanted = hex(frame(one, true, id));
    expected.add(wanted);
    await until(`${one.protocol} from ${one.source.address} leaves`, () => {
      for (let count = 0; count < BURST; count++) ends[one.in]!.send(frame(one, false, id));
      return received(1 - one.in).has(wanted);
    });
  }

  /** What arrived at an end, all of it as it should be. */
  function received(end: number): Set<string> {
    // The router speaks by itself, to groups.
    const frames = new Set([...ends[end]!.received()].filter((frame) => (frame[0]! & 1) === 0).map(hex));
    for (const frame of frames) if (!expected.has(frame)) expect.fail(`left by port ${end}: ${frame}`);
    return frames;
  }

  /** Sends frames that must all go to the kernel, which has no way for them. */
  async function goesToKernel(reason: string, one: Direction, ...frames: Uint8Array[]): Promise<void> {
    const before = trapped(reason);
    for (const each of frames) ends[one.in]!.send(each);
    await until(reason, () => trapped(reason) === before + frames.length);
  }

  test.each(Object.entries(FLOWS).slice(0, 5))(
    '%s: both directions leave translated',
    async (_, directions) => {
      for (const one of directions) await passes(one);
    },
  );

  test('entries count what left by them, and the kernel is shown the rest', async () => {
    const counters = await xdp.counters();
    for (let index = 0; index < 10; index++) {
      const { packets, bytes, lastUsed } = counters.get(handle('flow', index))!;
      expect(packets).toBeGreaterThan(0);
      const length = frame(Object.values(FLOWS).flat()[index]!, false, 1).length;
      expect(bytes).toBe(packets * length);
      expect(lastUsed).toBeGreaterThan(0);
    }
    expect(trapped('keeps its flow alive')).toBeGreaterThanOrEqual(10);
  });

  test('what the kernel’s flowtable does not forward goes to the kernel', async () => {
    const [out] = FLOWS.tcp as [Direction, Direction];
    const [datagram] = FLOWS.udp as [Direction, Direction];
    await goesToKernel('ttl', out, frame(out, false, ++number, TCP.ack, { ttl: 1 }));
    await goesToKernel('flow begins or ends', out, frame(out, false, ++number, TCP.syn));
    await goesToKernel('IP options', out, frame(out, false, ++number, TCP.ack, { options: [1, 1, 1, 0] }));
    await goesToKernel(
      'no established flow',
      out,
      frame(out, false, ++number, TCP.ack, { moreFragments: true }),
    );
    const other = { ...out, source: { ...out.source, port: 1 } };
    await goesToKernel('no established flow', out, frame(other, false, ++number));
    // The same packet by the other port: the kernel's flow is bound to where its source is.
    const elsewhere = { ...datagram, in: 1 } as const;
    await goesToKernel('flow by another interface', elsewhere, frame(elsewhere, false, ++number));
    received(1);
  });

  test('a flow whose counters the kernel asks for shows it no packet', async () => {
    const [one] = FLOWS.udp as [Direction, Direction];
    const index = Object.values(FLOWS).flat().indexOf(one);
    /** With a packet that goes to the kernel for another reason, counters are new. */
    const shown = async () => {
      await goesToKernel('ttl', one, frame(one, false, ++number, 0, { ttl: 1 }));
      return trapped('keeps its flow alive');
    };
    expect(await xdp.apply([flow(index, one, ['polled'])])).toEqual([]);
    const before = await shown();
    await passes(one);
    expect(await shown()).toBe(before);
    expect(await xdp.apply([flow(index, one)])).toEqual([]);
    await passes(one);
    expect(await shown()).toBeGreaterThan(before);
  });

  test('a flow that ends is the kernel’s, in both directions', async () => {
    const [out, back] = FLOWS['tcp that ends'] as [Direction, Direction];
    await passes(out);
    await passes(back);
    const before = trapped('flow begins or ends');
    ends[0]!.send(frame(out, false, ++number, TCP.fin | TCP.ack));
    for (let count = 0; count < BURST; count++) ends[0]!.send(frame(out, false, ++number));
    for (let count = 0; count < BURST; count++) ends[1]!.send(frame(back, false, ++number));
    await until('all of it in the kernel', () => trapped('flow begins or ends') === before + 1 + 2 * BURST);
    // A connection that goes by the same addresses and ports is another one.
    const index = Object.values(FLOWS).flat().indexOf(out);
    expect(await xdp.apply([flow(index, out)])).toEqual([]);
    await passes(out);
  });

  test('while there is no host, a flow whose counters the kernel asks for shows it packets', async () => {
    const [one] = FLOWS.udp as [Direction, Direction];
    const index = Object.values(FLOWS).flat().indexOf(one);
    expect(await xdp.apply([flow(index, one, ['polled'])])).toEqual([]);
    await passes(one);
    const before = trapped('keeps its flow alive');
    await xdp[Symbol.asyncDispose]();
    for (const end = Date.now() + HOST_GONE; Date.now() < end; ) {
      expected.add(hex(frame(one, true, ++number)));
      ends[one.in]!.send(frame(one, false, number));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    xdp = await start();
    expect(trapped('keeps its flow alive')).toBeGreaterThan(before);
    received(1 - one.in);
  });
});
