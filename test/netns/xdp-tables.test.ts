/**
 * The data path against the simulated ASIC: the same entries into both, through their plugins. Both read back the same, and for
 * random packets the program says what the pipeline of docs/asic.md says. test/netns/xdp-reasons.test.ts has a frame for each reason.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PacketQuery, PacketVerdict } from '../../host/device/types.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import type { Value } from '../../host/plugin/values.ts';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';
import { Wires } from '../support/wires.ts';
import {
  address4,
  type Entry,
  entry,
  handle,
  loadSoftnic,
  removal,
  Softnic,
} from '../unit/softnic/softnic.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BRIDGE = 100;
const PORTS = 4;
const MAC = 0x020000000000;
const ROUNDS = 6;
const PACKETS = 400;
/** Few addresses, so that prefixes, rules and packets meet. */
const ADDRESSES = [0x0a000001, 0x0a000002, 0x0a000102, 0x0a010003, 0x0a010203, 0xc0a80001, 0xc0a80102];
const VLANS = [0, 5, 6];

let wires: Wires;
let asic: Softnic;
let xdp: Softnic;
let ifindexes: number[];

beforeAll(async () => {
  wires = new Wires({ hosts: PORTS, routed: false });
  ifindexes = Array.from({ length: PORTS }, (_, port) =>
    Number(wires.router.run('cat', [`/sys/class/net/p${port}/ifindex`])),
  );
  asic = await Softnic.start(await loadSoftnic());
  const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
    grants: ['tables'],
    cache: join(ROOT, 'build/fixtures/cache'),
  });
  xdp = await Softnic.start(plugin, { kind: 'tables', netns: wires.router.name });
}, 180_000);

afterAll(async () => {
  await asic?.[Symbol.asyncDispose]();
  await xdp?.[Symbol.asyncDispose]();
  wires?.close();
});

/** Both devices take it the same way. */
async function apply(entries: readonly Entry[]): Promise<void> {
  const outcomes = await xdp.apply(entries);
  expect(outcomes.map(({ handle, status }) => ({ handle, status }))).toEqual(
    (await asic.apply(entries)).map(({ handle, status }) => ({ handle, status })),
  );
}

/** Ports 0 and 1 are in a bridge that filters VLANs, 2 and 3 route. */
function fixed(): Entry[] {
  const running = ['admin-up', 'carrier'].map(camel);
  return [
    ...ifindexes.map((ifindex, port) =>
      entry('port', port, {
        ifindex,
        mtu: 1500,
        mac: BigInt(MAC + port),
        bridge: port < 2 ? BRIDGE : 0,
        flags: port < 2 ? [...running, camel('bridge-forwarding'), 'learning'] : running,
      }),
    ),
    ...[2, 3].flatMap((port) =>
      VLANS.map((vlan, number) =>
        entry('router-interface', (port - 2) * VLANS.length + number, {
          port: handle('port', port),
          ifindex: vlan === 0 ? ifindexes[port]! : 1000 + port * 10 + vlan,
          vrf: vlan === 6 ? 7 : 0,
          mac: BigInt(MAC + port),
          mtu: vlan === 5 ? 1000 : 1500,
          vlan,
          flags: vlan === 5 ? ['ipv4', camel('reverse-path-strict')] : ['ipv4', 'ipv6'],
        }),
      ),
    ),
  ];
}

const camel = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

function prefix(random: Random): { prefix: Value; prefixLength: number } {
  const prefixLength = random.pick([0, 8, 16, 24, 31, 32, 32]);
  const mask = prefixLength === 0 ? 0 : (-1 << (32 - prefixLength)) >>> 0;
  return { prefix: address4((random.pick(ADDRESSES) & mask) >>> 0), prefixLength };
}

function routing(random: Random): Entry[] {
  const nexthops = Array.from({ length: 8 }, (_, index) =>
    entry('nexthop', index, {
      action: random.weighted([
        [8, 'forward'],
        [1, 'trap'],
        [1, 'drop'],
      ]),
      routerInterface: handle('router-interface', random.below(6)),
      ifindex: ifindexes[2 + random.below(2)]!,
      gateway: address4(random.pick(ADDRESSES)),
      destinationMac: BigInt(MAC + 0x100 + index),
    }),
  );
  const groups = Array.from({ length: 6 }, (_, index) => {
    const members = Array.from({ length: 1 + random.below(4) }, () => ({
      nexthop: handle('nexthop', random.below(8)),
      weight: 1 + random.below(5),
    }));
    return entry('group', index, { id: index }, members);
  });
  const taken = new Set<string>();
  const routes: Entry[] = [];
  for (let index = 0; index < 20; index++) {
    const vrf = random.pick([0, 0, 7]);
    const { prefix: network, prefixLength } = prefix(random);
    const key = `${vrf} ${(network as { low: bigint }).low} ${prefixLength}`;
    if (taken.has(key)) continue;
    taken.add(key);
    const action = random.weighted([
      [8, 'forward'],
      [2, 'trap'],
      [1, 'drop'],
    ]);
    const group = action === 'forward' ? handle('group', random.below(6)) : 0;
    routes.push(entry('route', index, { action, prefix: network, prefixLength, vrf, group }));
  }
  return [...nexthops, ...groups, ...routes];
}

function bridging(random: Random): Entry[] {
  const members = [0, 1].flatMap((port) =>
    [5, 6]
      .filter(() => random.chance(0.8))
      .map((vlan) =>
        entry('vlan-member', port * 2 + (vlan - 5), {
          vlan,
          port: handle('port', port),
          bridge: BRIDGE,
          flags: [...(random.chance(0.4) ? ['pvid'] : []), ...(random.chance(0.5) ? ['untagged'] : [])],
        }),
      ),
  );
  const entries = Array.from({ length: 8 }, (_, index) => {
    const action = random.weighted([
      [6, 'forward'],
      [1, 'trap'],
      [1, 'drop'],
    ]);
    return entry('fdb-entry', index, {
      action,
      vlan: [0, 5, 6][index % 3]!,
      bridge: BRIDGE,
      port: action === 'forward' ? handle('port', random.below(2)) : 0,
      mac: BigInt(MAC + 0x200 + Math.floor(index / 3)),
    });
  });
  return [...members, ...entries];
}

function rules(random: Random, count: number): Entry[] {
  return Array.from({ length: count }, (_, index) => {
    const stage = random.weighted([
      [4, 'ingress'],
      [1, 'routing'],
    ]);
    const fields: string[] = [];
    const given: Record<string, Value> = {};
    const field = (chance: number, name: string, values: Record<string, Value>): void => {
      if (!random.chance(chance)) return;
      fields.push(name);
      Object.assign(given, values);
    };
    const low = random.below(200);
    field(0.3, 'sourceAddress', masked(random, 'source'));
    field(0.5, 'destinationAddress', masked(random, 'destination'));
    field(0.4, 'protocol', { protocol: random.pick([6, 17, 1]) });
    field(0.2, 'dscp', { dscp: random.pick([0, 10]) });
    field(0.2, 'vlan', { vlan: random.pick(VLANS) });
    field(0.2, 'ethertype', { ethertype: random.pick([0x0800, 0x8100, 0x86dd]) });
    field(0.2, 'sourceMac', { sourceMac: BigInt(MAC + 0x200), sourceMacMask: 0xffff_ffff_fffen });
    if (given.protocol === 6 || given.protocol === 17) {
      field(0.5, 'destinationPort', {
        destinationPortLow: low,
        destinationPortHigh: low + random.below(100),
      });
      field(0.2, 'sourcePort', { sourcePortLow: 10, sourcePortHigh: 10 });
    }
    if (given.protocol === 6) field(0.3, 'tcpFlags', { tcpFlags: 2, tcpFlagsMask: 0x12 });
    if (given.protocol === 1) field(0.5, 'icmpType', { icmpType: 8 });
    const action = stage === 'routing' ? 'trap' : random.pick(['accept', 'drop', 'trap', 'redirect']);
    return entry('acl-rule', index, {
      ...given,
      stage,
      action,
      fields,
      priority: random.below(50),
      port: random.chance(0.5) ? handle('port', random.below(PORTS)) : 0,
      redirectPort: action === 'redirect' ? handle('port', random.below(PORTS)) : 0,
    });
  });
}

function masked(random: Random, side: 'source' | 'destination'): Record<string, Value> {
  const mask = random.pick([0xffffffff, 0xffffff00, 0xff000000]);
  return {
    [`${side}Address`]: address4((random.pick(ADDRESSES) & mask) >>> 0),
    [`${side}Mask`]: address4(mask),
  };
}

function packet(random: Random): PacketQuery {
  const dotted = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
  const port = random.below(PORTS);
  const protocol = random.pick([6, 17, 1]);
  return {
    destination: dotted(random.pick(ADDRESSES)),
    source: dotted(random.pick(ADDRESSES)),
    ingress: ifindexes[port]!,
    vlan: random.pick(VLANS),
    sourceMac: MAC + 0x200 + random.below(3),
    destinationMac: port < 2 ? MAC + 0x200 + random.below(3) : MAC + port,
    protocol,
    ...(protocol === 1
      ? { icmpType: random.pick([0, 8]) }
      : { sourcePort: random.pick([10, 11]), destinationPort: random.below(300) }),
    ...(protocol === 6 && { tcpFlags: random.pick([2, 0x10, 0x12]) }),
    tos: random.pick([0, 40]),
    ttl: random.pick([64, 64, 64, 1]),
    length: random.pick([64, 64, 1200]),
  };
}

/** What must agree: rules of one priority are tried in an order of the device's own, which the generator avoids. */
function essence({ action, by, handles, ways, mayDrop }: PacketVerdict) {
  const unique = new Set(
    ways.map(({ port, ifindex, vlan, destinationMac }) => `${port} ${ifindex} ${vlan} ${destinationMac}`),
  );
  return {
    action,
    mayDrop,
    ways: [...unique].sort(),
    by,
    handles: action === 'forward' ? [...new Set(handles)].sort() : [],
  };
}

test('holds, and does with packets, what the simulated ASIC does', async () => {
  const seed = SEED;
  console.log(`seed ${seed} (EKHO_SEED)`);
  const random = new Random(seed);
  await apply(fixed());
  let before: Entry[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const entries = [...routing(random), ...bridging(random)];
    // Rules of one priority would leave their order to the device.
    const ranks = new Set<number>();
    const acl = rules(random, 1 + random.below(12)).filter(({ value }) => {
      const isNew = !ranks.has(value.priority as number);
      ranks.add(value.priority as number);
      return isNew;
    });
    for (const kind of ['acl-rule', 'fdb-entry', 'vlan-member', 'route', 'group', 'nexthop'])
      await apply(before.filter((one) => one.kind === kind).map(removal));
    before = [...entries, ...acl];
    await apply(entries);
    await apply(acl);
    expect(new Map([...(await xdp.held())].sort())).toEqual(new Map([...(await asic.held())].sort()));
    for (let count = 0; count < PACKETS; count++) {
      const query = packet(random);
      const wanted = essence(asic.device.lookup(query));
      const found = essence(xdp.device.lookup(query));
      expect(found, `seed ${seed}, round ${round}: ${JSON.stringify(query)}`).toEqual(wanted);
    }
  }
}, 300_000);
