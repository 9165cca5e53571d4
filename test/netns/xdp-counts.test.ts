/**
 * Which of the packets that a rule matches count for it, in the data path on a real wire: those that hardware is done with, and of a rule
 * that hardware alone has those that go on to the kernel as well. Each of them once.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import { frameOf, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { Wires } from '../support/wires.ts';
import { type Entry, entry, handle, removal, Softnic } from '../unit/softnic/softnic.ts';

const MAC = 0x020000000000;
const BRIDGE = 100;
const IPV4 = 0x0800;
/** Of frames that say that those before them were seen. */
const LAST = 0x88b5;
const RUNS = ['adminUp', 'carrier'];
const FORWARDS = [...RUNS, 'bridgeForwarding'];
const PACKETS = 5;
const NOTHING = { packets: 0, bytes: 0 };

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
const toRouter: Packet = { ...came, to: '02:00:00:00:00:00' };
const ALL = { packets: PACKETS, bytes: PACKETS * frameOf(came, 0).length };

describe.each(['generic', 'tcx'] as const)('attached by %s', (mode) => {
  let wires: Wires;
  let ifindexes: number[];
  let end: WireEnd;
  let xdp: Softnic;

  beforeAll(async () => {
    wires = new Wires({ routed: false });
    const ifindexOf = (netns: { run: Wires['router']['run'] }, link: string) =>
      Number(netns.run('cat', [`/sys/class/net/${link}/ifindex`]));
    ifindexes = wires.hosts.map((_, port) => ifindexOf(wires.router, `p${port}`));
    end = new WireEnd(wires.hosts[0]!.name, ifindexOf(wires.hosts[0]!, 'eth0'));
    const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
      grants: ['tables'],
      cache: join(ROOT, 'build/fixtures/cache'),
    });
    const tables = { lpm4: 100, lpm6: 100, nexthop: 16, fdb: 32, flow: 16, tunnel: 4, remote: 16 };
    xdp = await Softnic.start(plugin, { kind: 'tables', netns: wires.router.name, mode, tables });
  }, 300_000);

  afterAll(async () => {
    await xdp?.[Symbol.asyncDispose]();
    end?.[Symbol.dispose]();
    wires?.close();
  });

  const port = (index: number, flags = RUNS, bridge = 0): Entry =>
    entry('port', index, { ifindex: ifindexes[index]!, mtu: 1500, mac: BigInt(MAC + index), bridge, flags });

  const rule = (index: number, ethertype: number, action: string, edits: string[] = []): Entry =>
    entry('acl-rule', index, {
      stage: 'ingress',
      action,
      priority: index + 1,
      port: handle('port', 0),
      fields: ['ethertype'],
      ethertype,
      edits,
      ...(action === 'redirect' && { redirectPort: handle('port', 1) }),
    });

  const countOf = async (one: Entry) => {
    const { packets, bytes } = (await xdp.counters()).get(one.value.handle) ?? NOTHING;
    return { packets, bytes };
  };

  /** What a rule counts of packets, beside these entries. */
  async function counted(one: Entry, packet = came, entries: Entry[] = [port(0), port(1)]) {
    const last = rule(1, LAST, 'drop');
    const all = [...entries, one, last];
    expect(await xdp.apply(all)).toEqual([]);
    for (let number = 0; number < PACKETS; number++) expect(end.send(frameOf(packet, number))).toBe(true);
    expect(end.send(frameOf({ ...packet, body: { is: 'raw', type: LAST } }, PACKETS))).toBe(true);
    await expect.poll(async () => (await countOf(last)).packets).toBe(1);
    const count = await countOf(one);
    expect(await xdp.apply(all.toReversed().map(removal))).toEqual([]);
    return count;
  }

  const station = (index: number) =>
    entry('fdb-entry', index, {
      bridge: BRIDGE,
      mac: BigInt(MAC + 0x200 + index),
      action: 'forward',
      port: handle('port', index),
    });
  const bridged = () => [port(0, FORWARDS, BRIDGE), port(1, FORWARDS, BRIDGE), station(0), station(1)];

  test.each(['accept', 'trap'])('%s: of what the kernel gets', async (action) => {
    expect(await counted(rule(0, IPV4, action))).toEqual(NOTHING);
    expect(await counted(rule(0, IPV4, action, ['countTrapped']))).toEqual(ALL);
  });

  test('of what hardware forwards', async () => {
    expect(await counted(rule(0, IPV4, 'accept'), came, bridged())).toEqual(ALL);
    expect(await counted(rule(0, IPV4, 'accept', ['countTrapped']), came, bridged())).toEqual(ALL);
  });

  test('of what no flow is found for, and no route', async () => {
    const over = entry('router-interface', 0, {
      port: handle('port', 0),
      ifindex: ifindexes[0]!,
      mac: BigInt(MAC),
      mtu: 1500,
      flags: ['ipv4', 'flowsIpv4'],
    });
    const entries = [port(0), port(1), over];
    expect(await counted(rule(0, IPV4, 'accept'), toRouter, entries)).toEqual(NOTHING);
    expect(await counted(rule(0, IPV4, 'accept', ['countTrapped']), toRouter, entries)).toEqual(ALL);
  });

  test('not of what is only asked for', async () => {
    const one = rule(0, IPV4, 'accept', ['countTrapped']);
    const entries = [port(0), port(1), one];
    expect(await xdp.apply(entries)).toEqual([]);
    const query = { ingress: ifindexes[0]!, source: '10.1.0.2', destination: '10.2.0.2' };
    expect(xdp.device.lookup(query)).toMatchObject({ action: 'trap', handles: [one.value.handle] });
    expect(await countOf(one)).toEqual(NOTHING);
    xdp.device.lookup(query, { count: true });
    expect((await countOf(one)).packets).toBe(1);
    expect(await xdp.apply(entries.toReversed().map(removal))).toEqual([]);
  });

  test.each(['drop', 'redirect'])('%s leaves nothing to count: refused', async (action) => {
    const wrong = rule(0, IPV4, action, ['countTrapped']);
    expect(await xdp.apply([port(0), port(1), wrong])).toMatchObject([{ handle: wrong.value.handle }]);
    expect(await xdp.apply([removal(port(1)), removal(port(0))])).toEqual([]);
  });
});
