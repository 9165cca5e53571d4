/** Random topologies in a namespace: our JSON from raw dumps against what the installed iproute2 prints. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatJson } from '../../host/iproute2/json.ts';
import type { Kind } from '../../host/mirror/types.ts';
import { type DecodedObject, decodeObject } from '../../host/netlink/decode.ts';
import { encodeObject } from '../../host/netlink/encode.ts';
import { NETLINK_NETFILTER } from '../../host/netlink/message.ts';
import { NetlinkClient } from '../../host/netlink/request.ts';
import { SEED } from '../support/seed.ts';
import { contextOf, differences, random, TestNamespace } from './iproute2-support.ts';

const AF_BRIDGE = 7;
const DUMPS = {
  link: [18, new Array<number>(16).fill(0)],
  address: [22, new Array<number>(8).fill(0)],
  neighbour: [30, new Array<number>(12).fill(0)],
  fdb: [30, [AF_BRIDGE, ...new Array<number>(11).fill(0)]],
  mdb: [86, [AF_BRIDGE, ...new Array<number>(7).fill(0)]],
  route: [26, new Array<number>(12).fill(0)],
  rule: [34, new Array<number>(12).fill(0)],
  nexthop: [106, new Array<number>(8).fill(0)],
  qdisc: [38, new Array<number>(20).fill(0)],
  netconf: [82, [0, 0, 0, 0]],
} as const;

/** Timers and counters that move between the two readings. */
const MOVING = new Set([
  'gc_timer',
  'hello_timer',
  'tcn_timer',
  'topology_change_timer',
  'forward_delay_timer',
  'hold_timer',
  'message_age_timer',
  'valid_life_time',
  'preferred_life_time',
  'expires',
  'unbalanced_time',
]);

const seed = SEED;

describe(`iproute2 JSON, EKHO_SEED=${seed}`, () => {
  let space: TestNamespace;
  let links: DecodedObject[];
  let nexthops: DecodedObject[];

  const dump = (kind: keyof typeof DUMPS): Promise<DecodedObject[]> => {
    const [type, payload] = DUMPS[kind];
    return space.dump(kind, type, payload);
  };
  const compare = (theirs: unknown, ours: unknown): void => {
    expect(differences(theirs, ours, MOVING).slice(0, 20)).toEqual([]);
  };

  beforeAll(async () => {
    space = new TestNamespace();
    buildTopology(space, random(seed));
    // Duplicate address detection and carrier changes are over before anything is compared.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    links = await dump('link');
    nexthops = await dump('nexthop');
  }, 240_000);

  afterAll(() => space?.close());

  test('links', async () => {
    const theirs = space.json('ip -j -d link');
    expect(theirs.length).toBeGreaterThan(8);
    compare(theirs, formatJson('link', await dump('link'), contextOf(links)));
  });

  test('addresses, grouped under their links', async () => {
    const theirs = space.json('ip -j -d addr');
    expect(theirs.flatMap((link) => link.addr_info as unknown[]).length).toBeGreaterThan(8);
    compare(theirs, formatJson('address', await dump('address'), contextOf(links)));
  });

  test('neighbours', async () => {
    const theirs = space.json('ip -j -d neigh');
    expect(theirs.length).toBeGreaterThan(10);
    compare(theirs, formatJson('neighbour', await dump('neighbour'), contextOf(links)));
  });

  test('forwarding database', async () => {
    const theirs = space.json('bridge -j fdb');
    expect(theirs.length).toBeGreaterThan(10);
    compare(theirs, formatJson('fdb', await dump('fdb'), contextOf(links)));
  });

  test('multicast database', async () => {
    const theirs = space.json('bridge -j mdb');
    expect((theirs[0]!.mdb as unknown[]).length).toBeGreaterThan(3);
    compare(theirs, formatJson('mdb', await dump('mdb'), contextOf(links)));
    compare(space.json('bridge -j -d mdb'), formatJson('mdb', await dump('mdb'), contextOf(links)));
  });

  test('routes of every type and table', async () => {
    const theirs = space.json('ip -j -d route show table all').map(renameEncap);
    expect(theirs.length).toBeGreaterThan(300);
    const ours = formatJson('route', await dump('route'), contextOf(links, nexthops));
    expect(sortedKeys(ours)).toEqual(sortedKeys(theirs));
    compare(theirs, ours);
  });

  test('nexthop objects and groups', async () => {
    const theirs = space.json('ip -j -d nexthop').map(renameEncap);
    expect(theirs.length).toBeGreaterThan(5);
    compare(theirs, formatJson('nexthop', nexthops, contextOf(links)));
  });

  test('rules', async () => {
    const rules = await dump('rule');
    for (const [option, family] of [
      ['-4', 2],
      ['-6', 10],
    ] as const) {
      const theirs = space.json(`ip -j -d ${option} rule`);
      expect(theirs.length).toBeGreaterThan(5);
      const own = rules.filter((rule) => rule.header.family === family);
      compare(theirs, formatJson('rule', own, contextOf(links)));
    }
  });

  test('netconf', async () => {
    const ours = formatJson('netconf', await dump('netconf'), contextOf(links));
    for (const name of ['all', 'v0', 'lo']) {
      const theirs = space.json('ip -j netconf').filter((entry) => entry.interface === name);
      expect(theirs.length).toBeGreaterThan(0);
      compare(
        theirs,
        ours.filter((entry) => entry.interface === name),
      );
    }
  });

  test('queueing disciplines', async () => {
    const theirs = space.json('tc -j qdisc');
    expect(theirs.map((qdisc) => qdisc.kind)).toEqual(expect.arrayContaining(['htb', 'tbf', 'clsact']));
    compare(theirs, formatJson('qdisc', await dump('qdisc'), contextOf(links)));
  });

  test('what the kernel sent is encoded again byte for byte', async () => {
    let compared = 0;
    const check = (kind: Kind, bytes: Uint8Array): void => {
      const decoded = decodeObject(kind, bytes, 0, bytes.length);
      expect(
        decoded.unknown?.filter(({ path }) => path === ''),
        JSON.stringify(decoded.unknown),
      ).toBeUndefined();
      const again = encodeObject(kind, decoded);
      // Old parts of the kernel nest without NLA_F_NESTED: that bit alone may differ.
      const differing = Array.from(again, (byte, at) => byte ^ (bytes[at] ?? -1)).filter(
        (bits) => (bits & 0x7f) !== 0,
      );
      expect({ kind, length: again.length, differing }).toEqual({
        kind,
        length: bytes.length,
        differing: [],
      });
      compared++;
    };
    for (const [kind, [type, payload]] of Object.entries(DUMPS)) {
      for (const bytes of await space.raw(kind as Kind, type, payload)) check(kind as Kind, bytes);
    }
    for (const link of links) {
      const ifindex = Number(link.header.index);
      for (const bytes of await space.raw('class', 42, tcHeader(ifindex, 0))) check('class', bytes);
      for (const parent of [0xfffffff2, 0xfffffff3, 0xffffffff]) {
        for (const bytes of await space.raw('filter', 46, tcHeader(ifindex, parent))) check('filter', bytes);
      }
    }
    expect(compared).toBeGreaterThan(700);
  });

  test('nftables', async () => {
    space.run('nft add table inet t1');
    space.run('nft add chain inet t1 c1 { type filter hook input priority 0 ; policy accept ; }');
    space.run('nft add rule inet t1 c1 ip saddr 10.0.0.0/8 tcp dport 22 counter accept');
    const client = new NetlinkClient({ protocol: NETLINK_NETFILTER, netns: space.name });
    try {
      const nft = async (kind: Kind, message: number): Promise<DecodedObject[]> => {
        const raw = await space.raw(kind, (10 << 8) | message, [0, 0, 0, 0], client);
        return raw.map((bytes) => {
          const decoded = decodeObject(kind, bytes, 0, bytes.length);
          expect(encodeObject(kind, decoded).length).toBe(bytes.length);
          return decoded;
        });
      };
      const context = contextOf(links);
      expect(formatJson('nft-table', await nft('nft-table', 1), context)).toMatchObject([
        { family: 'inet', name: 't1' },
      ]);
      expect(formatJson('nft-chain', await nft('nft-chain', 4), context)).toMatchObject([
        {
          family: 'inet',
          table: 't1',
          name: 'c1',
          hook: { hooknum: 1, priority: 0 },
          policy: 1,
          type: 'filter',
        },
      ]);
      const [rule] = await nft('nft-rule', 7);
      const expressions = (rule!.expressions as { elem: { name: string; data: unknown }[] }).elem;
      expect(expressions.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['meta', 'cmp', 'payload', 'counter', 'immediate']),
      );
      expect(expressions.find(({ name }) => name === 'counter')).toEqual({
        name: 'counter',
        data: { bytes: 0, packets: 0 },
      });
      expect(expressions.at(-1)).toEqual({
        name: 'immediate',
        data: { dreg: 0, data: { verdict: { code: 1 } } },
      });
    } finally {
      client.close();
    }
  });

  test('filters with their actions, and chains', async () => {
    let compared = 0;
    for (const link of links) {
      const ifindex = Number(link.header.index);
      for (const [word, parent] of [
        ['ingress', 0xfffffff2],
        ['egress', 0xfffffff3],
        ['root', 0xffffffff],
      ] as const) {
        const payload = [...tcHeader(ifindex, parent)];
        const filters = await space.dump('filter', 46, payload);
        if (filters.length === 0) continue;
        const theirs = space.json(`tc -j filter show dev ${String(link.ifname)} ${word}`);
        for (const filter of theirs) foldMatches(filter);
        compare(theirs, formatJson('filter', filters, contextOf(links)));
        compared += theirs.length;
        if (word === 'root') continue;
        const chains = await space.dump('chain', 102, payload);
        compare(
          space.json(`tc -j chain show dev ${String(link.ifname)} ${word}`),
          formatJson('chain', chains, contextOf(links)),
        );
      }
    }
    expect(compared).toBeGreaterThan(5);
  });
});

/** struct tcmsg */
function tcHeader(ifindex: number, parent: number): number[] {
  const bytes = new DataView(new ArrayBuffer(20));
  bytes.setInt32(4, ifindex, true);
  bytes.setUint32(12, parent, true);
  return [...new Uint8Array(bytes.buffer)];
}

/** iproute2 repeats `match` for each key: ours has the last as `match` and all in `keys`. */
function foldMatches(filter: Record<string, unknown>): void {
  const options = filter.options as Record<string, unknown> | undefined;
  if (options === undefined || !('match' in options)) return;
  const names = Object.keys(options).filter((name) => /^match#*$/.test(name));
  const keys = names.map((name) => options[name]);
  for (const name of names.slice(1)) delete options[name];
  options.match = keys.at(-1);
  const rest = Object.entries(options);
  for (const name of Object.keys(options)) delete options[name];
  for (const [name, value] of rest) {
    options[name] = value;
    if (name === 'match') options.keys = keys;
  }
}

/** iproute2 has the names of some fields of an encapsulation twice in an object: ours are `encap_…`. */
function renameEncap(route: Record<string, unknown>): Record<string, unknown> {
  const names: Record<string, string> = { 'dst#': 'encap_dst', 'id#': 'encap_id' };
  if ('table#' in route) Object.assign(names, { table: 'encap_table', 'table#': 'table' });
  if ('tos#' in route) Object.assign(names, { tos: 'encap_tos', 'tos#': 'tos' });
  const renamed = Object.entries(route).map(([name, value]): [string, unknown] => [
    names[name] ?? name,
    name === 'nh_info' ? renameEncap(value as Record<string, unknown>) : value,
  ]);
  return Object.fromEntries(renamed);
}

function sortedKeys(routes: readonly Record<string, unknown>[]): string[] {
  return routes.map((route) => `${route.table} ${route.dst} ${route.type}`).sort();
}

function buildTopology(space: TestNamespace, next: (below: number) => number): void {
  const pick = <T>(list: readonly T[]): T => list[next(list.length)]!;
  const mac = (): string =>
    `02:${Array.from({ length: 5 }, () => next(256).toString(16).padStart(2, '0')).join(':')}`;
  space.run('ip link set lo up');
  for (let pair = 0; pair < 4; pair++) {
    space.run(`ip link add v${pair} type veth peer name p${pair}`);
    space.run(`ip link set v${pair} up`);
    space.run(`ip link set p${pair} up`);
  }
  const bridge = `forward_delay ${200 + next(2000)} ageing_time ${1000 + next(9000)} priority ${4096 * next(16)}`;
  space.run(
    `ip link add br0 type bridge ${bridge} mcast_router ${next(3)} group_fwd_mask ${pick([0, 8, 16, 0x4000])}`,
  );
  space.run('ip link set br0 up');
  space.run('ip link set p2 master br0');
  space.run('ip link set p3 master br0');
  const port = `hairpin ${pick(['on', 'off'])} learning ${pick(['on', 'off'])} flood ${pick(['on', 'off'])}`;
  space.run(`ip link set p2 type bridge_slave cost ${1 + next(100)} ${port} isolated ${pick(['on', 'off'])}`);
  space.run(`ip link set p3 type bridge_slave priority ${next(60)} group_fwd_mask ${pick([0, 8, 0x4008])}`);
  space.run('ip addr add 10.0.0.1/24 dev v0');
  space.run('ip addr add 10.1.0.1/24 dev v1');
  space.run('ip addr add 2001:db8::1/64 dev v0');
  const port4789 = `ttl ${next(255)} tos ${pick(['inherit', '0x10', '0'])} ${pick(['nolearning', 'learning'])}`;
  space.run(
    `ip link add vx0 type vxlan id ${1 + next(1 << 24)} remote 10.0.0.9 dev v0 dstport 4789 ${port4789}`,
  );
  space.run(
    `ip link add vx1 type vxlan id ${1 + next(1 << 24)} group 239.1.1.${next(256)} dev v1 dstport 8472`,
  );
  space.run(
    `ip link add vx2 type vxlan id 7 local 2001:db8::1 remote 2001:db8::${1 + next(9999)} dstport 4789`,
  );
  space.run('ip link add vx3 type vxlan external dstport 4790');
  space.run(`ip link add mv0 link v0 type macvlan mode ${pick(['bridge', 'private', 'vepa'])}`);
  space.run('ip link add mv1 link v1 type macvlan mode source');
  space.run(`ip link set mv1 type macvlan macaddr add ${mac()}`);
  space.run('ip link add ifb0 type ifb');
  space.run('ip link set vx0 up');
  space.run('ip link set mv0 up');
  space.run(`ip link set v1 alias ${pick(['uplink', 'to-the-rack', 'x'])}`);
  space.run(`ip link set v2 group ${pick([0, 5, 1234])}`);
  space.run('ip link property add dev v3 altname another-name');
  space.run(`ip link set v3 mtu ${1280 + next(7000)}`);
  space.try('ip link set v3 down');

  const addresses: string[] = [];
  for (let index = 0; index < 12; index++) {
    const options = pick([
      '',
      ' noprefixroute',
      ' metric 7',
      ' scope link',
      ` valid_lft 5000 preferred_lft ${next(5000)}`,
    ]);
    addresses.push(
      `addr add 10.${2 + index}.${next(256)}.${1 + next(254)}/${8 + next(25)} dev v${next(3)}${options}`,
    );
    addresses.push(
      `addr add fd00:${next(9999)}::${1 + next(9999)}/${32 + next(97)} dev v${next(3)}${options.replace(' scope link', ' home')}`,
    );
  }
  addresses.push(
    'addr add 10.99.0.1 peer 10.99.0.2 dev v1',
    'addr add 10.98.0.1/24 brd + label v1:one dev v1',
  );
  addresses.push('addr add 10.97.0.1/24 dev v1', 'addr add 10.97.0.2/24 dev v1');
  space.batch('ip', addresses);

  const neighbours: string[] = [];
  for (let index = 0; index < 20; index++) {
    const state = pick(['permanent', 'reachable', 'stale', 'noarp']);
    const link = `v${next(2)}`;
    const options = pick(['', ' router', ' extern_learn', ` protocol ${pick(['static', 'zebra', '77'])}`]);
    neighbours.push(
      `neigh add 10.${next(2)}.0.${2 + next(250)} lladdr ${mac()} dev ${link} nud ${state}${options}`,
    );
    neighbours.push(
      `neigh add 2001:db8::${2 + next(9999)} lladdr ${mac()} dev ${link} nud ${state}${options}`,
    );
  }
  neighbours.push('neigh add proxy 10.0.0.77 dev v0', 'neigh add proxy 2001:db8::77 dev v0');
  space.batch('ip', neighbours);

  const forwarding: string[] = [];
  for (let index = 0; index < 12; index++) {
    forwarding.push(
      `fdb add ${mac()} dev p${2 + next(2)} master ${pick(['static', 'dynamic', 'permanent'])} ${pick(['', 'sticky'])}`,
    );
    forwarding.push(
      `fdb add ${mac()} dev vx0 dst 10.0.0.${2 + next(250)} ${pick(['', 'vni 99', 'port 5000', 'via v0'])}`,
    );
    forwarding.push(`fdb add ${mac()} dev vx2 dst 2001:db8::${2 + next(250)}`);
    forwarding.push(`fdb add ${mac()} dev p${next(2)} self`);
    forwarding.push(
      `mdb add dev br0 port p${2 + next(2)} grp 239.0.0.${next(256)} ${pick(['permanent', 'temp'])}`,
    );
    forwarding.push(`mdb add dev br0 port p${2 + next(2)} grp ff05::${1 + next(9999)} permanent`);
    forwarding.push(`mdb add dev br0 port p3 grp 239.9.0.${next(256)} src 10.0.0.${1 + next(250)} permanent`);
  }
  forwarding.push('mdb add dev br0 port p2 grp 01:02:03:04:05:06 permanent');
  space.batch('bridge', forwarding);

  space.batch('ip', [
    'nexthop add id 1 via 10.0.0.2 dev v0',
    'nexthop add id 2 via 10.1.0.2 dev v1 proto bgp',
    'nexthop add id 3 blackhole',
    'nexthop add id 4 via 2001:db8::2 dev v0 onlink',
    'nexthop add id 5 dev v1',
    `nexthop add id 6 encap ip id ${next(1000)} dst 10.0.0.7 via 10.0.0.3 dev v0`,
    'nexthop add id 7 via 10.0.0.9 fdb',
    `nexthop add id 10 group 1,${1 + next(200)}/2`,
    `nexthop add id 11 group 1/2,${2 + next(200)} type resilient buckets ${8 << next(3)} idle_timer ${1 + next(600)} unbalanced_timer ${next(50)}`,
    'nexthop add id 12 group 7 fdb',
  ]);

  const routes: string[] = [];
  for (let index = 0; index < 30; index++) {
    const table = pick(['', ' table 100', ' table 4000', ' table default', ` table ${1 + next(100_000)}`]);
    const protocol = pick(['', ' proto static', ' proto bgp', ' proto 99', ' proto kernel']);
    const metric = pick(['', ` metric ${next(5000)}`]);
    const more = pick([
      '',
      ' mtu 1400',
      ' mtu lock 1300 advmss 1200',
      ' rtt 100ms rttvar 50ms rto_min 40ms',
      ' initcwnd 20 initrwnd 30 quickack 1',
      ' features ecn congctl cubic',
      ' hoplimit 33 window 7 ssthresh 9 cwnd 4 reordering 5',
    ]);
    const prefix = (): string =>
      network4(`${20 + next(80)}.${next(256)}.${next(256)}.${next(256)}/${8 + next(25)}`);
    const tail = `${table}${protocol}${metric}${more}`;
    const network = (): string => `route add ${prefix()}`;
    const network6 = (): string =>
      `route add fd${next(100).toString().padStart(2, '0')}:${next(9999)}::/${32 + 16 * next(3)}`;
    routes.push(
      `${network()} ${pick(['via 10.0.0.2', 'via 10.1.0.3 dev v1', 'dev v0', 'via 9.9.9.9 dev v0 onlink', 'dev v1 scope link src 10.1.0.1', 'via inet6 2001:db8::9 dev v0'])}${tail}`,
    );
    routes.push(
      `route add ${pick(['blackhole', 'unreachable', 'prohibit', 'throw'])} ${prefix()}${table}${metric}`,
    );
    routes.push(`${network()} tos ${pick(['0x04', '0x08', '0x10'])} via 10.0.0.${2 + next(9)}${tail}`);
    routes.push(`${network()} nhid ${pick([1, 2, 3, 5, 6, 10, 11])}${table}${protocol}${metric}`);
    routes.push(
      `${network()}${tail} nexthop via 10.0.0.2 dev v0 weight ${1 + next(20)} nexthop via 10.1.0.2 dev v1 nexthop via inet6 2001:db8::5 dev v0 weight 3`,
    );
    routes.push(
      `${network()} encap ip id ${next(1000)} dst 10.0.0.${1 + next(250)} ttl ${next(255)} tos ${next(60)} ${pick(['', 'key', 'csum seq'])} dev v0${table}`,
    );
    routes.push(
      `${network6()} encap ip6 id ${next(1000)} dst fd77::${1 + next(999)} hoplimit ${next(255)} dev v0${table}`,
    );
    routes.push(
      `${network()} encap seg6 mode ${pick(['encap', 'l2encap', 'encap.red'])} segs fc00::1,fc00::${2 + next(99)} dev v0${table}`,
    );
    routes.push(`${network6()} encap seg6local action End.DT6 table ${1 + next(200)} dev v0`);
    routes.push(`${network6()} encap seg6local action End.X nh6 fc00::${next(999)} dev v0`);
    routes.push(
      `${network6()} ${pick(['via 2001:db8::2', 'dev v0', 'via 2001:db8::3 dev v0 pref high'])}${tail.replace('hoplimit 33', 'hoplimit 64')}`,
    );
    routes.push(`${network6()} nexthop via 2001:db8::2 weight 2 nexthop via 2001:db8::3${table}`);
    routes.push(`${network6()} from fd88:${next(999)}::/64 via 2001:db8::2${table}`);
    routes.push(
      `route add ${pick(['blackhole', 'unreachable', 'prohibit', 'throw'])} fd99:${next(9999)}::/64${table}${metric}`,
    );
    routes.push(`${network6()} via 2001:db8::2 expires 5000${table}`);
    routes.push(`${network()} realm ${1 + next(200)} via 10.0.0.2${table}`);
  }
  space.batch('ip', routes);

  const rules: string[] = [];
  const rules6: string[] = [];
  for (let index = 0; index < 12; index++) {
    const selector = pick([
      `from 10.${next(256)}.0.0/16`,
      `to 10.0.${next(256)}.0/24 fwmark ${next(100)}/0xff`,
      `iif ${pick(['v0', 'gone0'])} tos 0x10`,
      `oif ${pick(['v1', 'gone1'])} uidrange 10-${20 + next(1000)}`,
      `ipproto ${pick(['tcp', 'udp', '99'])} sport ${1 + next(900)}-1000 dport ${1 + next(60000)}`,
      `fwmark ${1 + next(1000)} to 10.1.2.3`,
      'not from 10.0.0.1',
    ]);
    const action = pick([
      `lookup ${pick(['main', '100', '70000'])}`,
      'lookup main suppress_prefixlength 0 suppress_ifgroup 5',
      'blackhole',
      'prohibit',
      'unreachable',
      'goto 32766',
      'goto 40000',
      'nop',
      'lookup 100 protocol bgp',
    ]);
    rules.push(`rule add ${selector} ${action} pref ${1000 + index}`);
    rules6.push(
      `rule add ${selector.replace(/10\.(\d+)\.(\d+)\.(\d+)(\/\d+)?/, 'fd00:$1::/32')} ${action} pref ${1000 + index}`,
    );
  }
  rules.push('rule add from all l3mdev pref 900', 'rule add realms 1/2 lookup main pref 800');
  rules6.push('rule add l3mdev pref 900');
  space.batch('ip', rules);
  space.batch('ip -6', rules6);

  space.batch('tc', [
    `qdisc add dev v0 root handle 1: htb default ${next(100)} r2q ${1 + next(20)}`,
    `class add dev v0 parent 1: classid 1:1 htb rate ${1 + next(100)}mbit ceil 200mbit burst ${10 + next(50)}k`,
    `class add dev v0 parent 1:1 classid 1:10 htb rate ${1 + next(900)}kbit prio ${next(7)}`,
    `qdisc add dev v0 parent 1:10 handle 10: pfifo limit ${1 + next(1000)}`,
    `qdisc add dev v1 root handle 2: tbf rate ${1 + next(1000)}mbit burst ${32 + next(100)}k latency ${1 + next(90)}ms`,
    `qdisc add dev v2 root bfifo limit ${1000 + next(100_000)}`,
    'qdisc add dev v0 clsact',
    'qdisc add dev p0 clsact',
    'qdisc add dev p1 ingress',
    'qdisc add dev p2 ingress_block 5 egress_block 6 clsact',
  ]);
  const filters: string[] = [];
  for (let index = 0; index < 10; index++) {
    const match = pick([
      `ip dst 10.${next(256)}.0.0/16`,
      `ip src 10.0.0.${next(256)}/32 match ip dport ${next(65536)} 0xffff`,
      'u32 0 0',
      `u8 ${next(256)} 0xff at 9`,
      'u32 0x0a000000 0xff000000 at nexthdr+4',
    ]);
    const control = pick([
      '',
      ` action mirred egress ${pick(['redirect', 'mirror'])} dev ${pick(['v1', 'v2'])}`,
      ' flowid 1:10',
    ]);
    const where = pick([
      'dev v0 ingress',
      'dev v0 egress',
      'dev p0 ingress',
      'dev p1 ingress',
      'dev v0 parent 1:',
    ]);
    filters.push(
      `filter add ${where} protocol ${pick(['ip', 'all', '802.1q', 'ipv6'])} pref ${1 + next(100)} ${pick(['', 'chain 3'])} u32 match ${match}${control}`,
    );
  }
  filters.push("filter add dev v0 ingress pref 200 bpf bytecode '1,6 0 0 4294967295,' flowid 1:1");
  filters.push(
    'filter add dev v0 egress pref 201 bpf bytecode 1,6:0:0:1 action mirred ingress redirect dev v2',
  );
  filters.push('filter add dev v0 ingress pref 10 u32 divisor 16', 'chain add dev v0 ingress chain 9');
  filters.push('filter add block 5 pref 3 u32 match ip dst 1.2.3.4 action mirred egress redirect dev v1');
  space.batch('tc', filters);
}

/** Clears the bits after the prefix. */
function network4(prefix: string): string {
  const [address, length] = prefix.split('/') as [string, string];
  const number = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const masked = Number(length) === 0 ? 0 : (number & (0xffffffff << (32 - Number(length)))) >>> 0;
  return `${[24, 16, 8, 0].map((shift) => (masked >>> shift) & 255).join('.')}/${length}`;
}
