/**
 * Rules that send copies out of another port, in the data path on a real wire, attached by tcx: who gets which frame, and that a copy is
 * of the frame as it came.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import type { Value } from '../../host/plugin/values.ts';
import { frameOf, numberOf, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { Wires } from '../support/wires.ts';
import { address4, type Entry, entry, handle, removal, Softnic } from '../unit/softnic/softnic.ts';

const PORTS = 3;
const MAC = 0x020000000000;
const BRIDGE = 100;
const RUNS = ['adminUp', 'carrier'];
const LIMIT_MS = 60_000;
/** Longest that what should not come is waited for, once the last frame came. */
const QUIET_MS = 50;

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
  const tables = { lpm4: 100, lpm6: 100, nexthop: 16, fdb: 32, flow: 16, tunnel: 4, remote: 16 };
  xdp = await Softnic.start(plugin, { kind: 'tables', netns: wires.router.name, mode: 'tcx', tables });
  expect(await xdp.apply(ifindexes.map((_, index) => port(index, RUNS)))).toEqual([]);
}, 300_000);

afterAll(async () => {
  await xdp?.[Symbol.asyncDispose]();
  for (const end of ends ?? []) end[Symbol.dispose]();
  wires?.close();
});

const port = (index: number, flags: string[], bridge = 0): Entry =>
  entry('port', index, { ifindex: ifindexes[index]!, mtu: 1500, mac: BigInt(MAC + index), bridge, flags });

const rule = (action: string, edits: string[], more: Record<string, Value> = {}): Entry =>
  entry('acl-rule', 0, {
    stage: 'ingress',
    action,
    priority: 1,
    port: handle('port', 0),
    fields: [],
    edits,
    mirrorPort: handle('port', 2),
    ...more,
  });

const came: Packet = {
  port: 0,
  from: '02:00:00:00:02:00',
  to: '02:00:00:00:02:01',
  payload: 33,
  body: {
    is: 'ip4',
    source: '10.1.0.2',
    destination: '10.2.0.2',
    ttl: 64,
    l4: { is: 'udp', sport: 1000, dport: 53 },
  },
};

const hex = (frame: Uint8Array) => Buffer.from(frame).toString('hex');

/** What each port's far end receives of a packet: `count` frames in all. */
async function receivedOf(packet: Packet, count: number): Promise<string[][]> {
  const got = ends.map((): string[] => []);
  const take = () => {
    for (const [index, end] of ends.entries())
      got[index]!.push(...[...end.received()].filter((one) => numberOf(one) === sent).map(hex));
  };
  sent++;
  expect(ends[0]!.send(frameOf(packet, sent))).toBe(true);
  for (const end = performance.now() + LIMIT_MS; got.flat().length < count && performance.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    take();
  }
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  take();
  return got;
}

/** With these entries, far ends receive these packets of one. */
async function expectCopies(
  entries: Entry[],
  leaves: readonly (Packet | undefined)[],
  packet = came,
): Promise<void> {
  expect(await xdp.apply(entries)).toEqual([]);
  const got = await receivedOf(packet, leaves.filter(Boolean).length);
  expect(got).toEqual(leaves.map((one) => (one === undefined ? [] : [hex(frameOf(one, sent))])));
  expect(await xdp.apply(entries.toReversed().map(removal))).toEqual([]);
}

test('of what leaves by another port, and of what is dropped', async () => {
  const redirect = { redirectPort: handle('port', 1) };
  await expectCopies([rule('redirect', ['mirror'], redirect)], [undefined, came, came]);
  const tagged = { ...came, vlans: [{ id: 7, priority: 3 }] };
  await expectCopies([rule('redirect', ['mirror'], redirect)], [undefined, tagged, tagged], tagged);
  await expectCopies([rule('drop', ['mirror'])], [undefined, undefined, came]);
});

test('of what the kernel gets it makes one itself, unless hardware alone has the rule', async () => {
  await expectCopies([rule('accept', ['mirror'])], [undefined, undefined, undefined]);
  await expectCopies([rule('accept', ['mirror', 'mirrorTrapped'])], [undefined, undefined, came]);
});

test.each([
  [['mirror'], 0],
  [['mirror', 'mirrorTrapped'], 1],
  [['mirror', 'mirrorTrapped', 'countTrapped'], 1],
])('of what the kernel gets %j count %i', async (edits, packets) => {
  const one = rule('accept', edits);
  expect(await xdp.apply([one])).toEqual([]);
  await receivedOf(came, packets);
  expect((await xdp.counters()).get(one.value.handle)?.packets ?? 0).toBe(packets);
  expect(await xdp.apply([removal(one)])).toEqual([]);
});

test('of what is bridged', async () => {
  const forwards = [...RUNS, 'bridgeForwarding'];
  expect(await xdp.apply([port(0, forwards, BRIDGE), port(1, forwards, BRIDGE)])).toEqual([]);
  const station = (index: number) =>
    entry('fdb-entry', index, {
      bridge: BRIDGE,
      mac: BigInt(MAC + 0x200 + index),
      action: 'forward',
      port: handle('port', index),
    });
  await expectCopies([station(0), station(1), rule('accept', ['mirror'])], [undefined, came, came]);
  expect(await xdp.apply([port(0, RUNS), port(1, RUNS)])).toEqual([]);
});

test('of what is routed, as it came', async () => {
  const over = (index: number) =>
    entry('router-interface', index, {
      port: handle('port', index),
      ifindex: ifindexes[index]!,
      mac: BigInt(MAC + index),
      mtu: 1500,
      flags: ['ipv4'],
    });
  const entries = [
    over(0),
    over(1),
    entry('nexthop', 0, {
      action: 'forward',
      routerInterface: handle('router-interface', 1),
      ifindex: ifindexes[1]!,
      gateway: address4(0x0a020002),
      destinationMac: BigInt(MAC + 0x300),
    }),
    entry('group', 0, { id: 1 }, [{ nexthop: handle('nexthop', 0), weight: 1 }]),
    entry('route', 0, {
      prefix: address4(0x0a020000),
      prefixLength: 16,
      action: 'forward',
      group: handle('group', 0),
    }),
    rule('accept', ['mirror']),
  ];
  const toRouter = { ...came, to: '02:00:00:00:00:00' };
  const routed = {
    ...came,
    from: '02:00:00:00:00:01',
    to: '02:00:00:00:03:00',
    body: { ...came.body, ttl: 63 },
  } as Packet;
  await expectCopies(entries, [undefined, routed, toRouter], toRouter);
});

test('not of what goes to the kernel by the rule itself', async () => {
  const wrong = rule('trap', ['mirror']);
  expect(await xdp.apply([wrong])).toMatchObject([{ handle: wrong.value.handle }]);
});
