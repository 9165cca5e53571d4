/** Every kind of object: added, changed and deleted while the mirror watches; each time it equals a fresh dump. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KINDS, type Kind } from '../../host/mirror/types.ts';
import { MirrorBench } from './mirror-support.ts';

const bench = new MirrorBench();

beforeAll(async () => {
  // IPv6 configures itself in its own time, which would disturb the counts.
  bench.run('sysctl', '-qw', 'net.ipv6.conf.default.addr_gen_mode=1', 'net.ipv6.conf.default.accept_dad=0');
  await bench.sync.start();
});

afterAll(() => bench.close());

interface Step {
  readonly title: string;
  readonly kind: Kind;
  readonly run: () => void;
  /** Objects of the kind afterwards compared with before. */
  readonly more: number;
  /** Text in one of the kind's decoded objects afterwards, or in none. */
  readonly shows?: string;
  readonly hides?: string;
}

const ip = (command: string) => () => {
  bench.ip(command);
};
const bridge = (command: string) => () => {
  bench.bridge(command);
};
const tc = (command: string) => () => {
  bench.tc(command);
};
const nft = (command: string) => () => {
  bench.run('nft', command);
};

/** Kinds seen with objects: a kind that is always empty would equal an empty dump. */
const seen = new Set<Kind>();

const steps: Step[] = [
  { title: 'a veth pair', kind: 'link', more: 2, run: ip('link add east type veth peer name west') },
  {
    title: 'links up',
    kind: 'link',
    more: 0,
    run: () => ['east', 'west'].map((l) => bench.ip(`link set ${l} up`)),
  },
  { title: 'an MTU', kind: 'link', more: 0, run: ip('link set east mtu 1400') },
  {
    title: 'an alias and an alternative name',
    kind: 'link',
    more: 0,
    run: () => {
      bench.ip('link set east alias uplink');
      bench.ip('link property add dev east altname uplink0');
    },
  },
  { title: 'a new MAC', kind: 'link', more: 0, run: ip('link set west address 02:00:00:00:00:02') },
  { title: 'a macvlan', kind: 'link', more: 1, run: ip('link add mv link east type macvlan mode bridge') },
  { title: 'an ifb', kind: 'link', more: 1, run: ip('link add sink type ifb') },
  { title: 'a rename', kind: 'link', more: 0, run: ip('link set mv name mv2') },
  {
    title: 'forwarding of a link',
    kind: 'netconf',
    more: 0,
    run: () => {
      bench.run(
        'sysctl',
        '-qw',
        'net.ipv4.conf.east.forwarding=1',
        'net.ipv4.conf.west.rp_filter=2',
        'net.ipv6.conf.east.forwarding=1',
      );
    },
  },
  {
    title: 'forwarding of all',
    kind: 'netconf',
    more: 0,
    run: () => {
      bench.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    },
  },
  {
    title: 'IPv4 addresses',
    kind: 'address',
    more: 3,
    run: () => {
      bench.ip('address add 10.0.0.1/24 dev east');
      bench.ip('address add 10.0.0.2/24 dev east');
      bench.ip('address add 10.9.0.1 peer 10.9.0.2/32 dev west');
    },
  },
  {
    title: 'IPv6 addresses',
    kind: 'address',
    more: 2,
    run: () => {
      bench.ip('address add 2001:db8::1/64 dev east nodad');
      bench.ip('address add 2001:db8:9::1/64 dev west nodad');
    },
  },
  {
    title: 'a lifetime',
    kind: 'address',
    more: 0,
    run: ip('address change 2001:db8:9::1/64 dev west valid_lft 1000 preferred_lft 500'),
  },
  {
    title: 'a secondary address less',
    kind: 'address',
    more: -1,
    run: ip('address del 10.0.0.2/24 dev east'),
  },
  {
    title: 'neighbours',
    kind: 'neighbour',
    more: 3,
    run: () => {
      bench.ip('neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev east nud permanent');
      bench.ip('neigh add 10.0.0.8 lladdr 02:00:00:00:00:08 dev east nud reachable');
      bench.ip('neigh add 2001:db8::7 lladdr 02:00:00:00:00:07 dev east nud permanent router');
    },
  },
  {
    title: 'neighbours less',
    kind: 'neighbour',
    more: -1,
    run: () => {
      bench.ip('neigh del 10.0.0.8 dev east');
    },
  },
  {
    title: 'a bridge with ports',
    kind: 'link',
    more: 5,
    run: () => {
      bench.ip('link add br0 type bridge');
      for (const n of [1, 2]) {
        bench.ip(`link add p${n} type veth peer name q${n}`);
        bench.ip(`link set p${n} master br0`);
        bench.ip(`link set p${n} up`);
        bench.ip(`link set q${n} up`);
      }
      bench.ip('link set br0 up');
    },
  },
  {
    title: 'fdb entries',
    kind: 'fdb',
    more: 0,
    shows: '02:00:00:00:01:02',
    run: () => {
      bench.bridge('fdb add 02:00:00:00:01:01 dev p1 master static');
      bench.bridge('fdb add 02:00:00:00:01:02 dev p1 master');
    },
  },
  {
    title: 'an fdb entry moved',
    kind: 'fdb',
    more: 0,
    run: bridge('fdb replace 02:00:00:00:01:01 dev p2 master static'),
  },
  {
    title: 'an fdb entry less',
    kind: 'fdb',
    more: 0,
    hides: '02:00:00:00:01:02',
    run: bridge('fdb del 02:00:00:00:01:02 dev p1 master'),
  },
  { title: 'bridge port options', kind: 'link', more: 0, run: bridge('link set dev p1 learning off cost 7') },
  {
    title: 'multicast groups',
    kind: 'mdb',
    more: 0,
    shows: 'ff0e::1',
    run: () => {
      bench.bridge('mdb add dev br0 port p1 grp 239.1.1.1 permanent');
      bench.bridge('mdb add dev br0 port p2 grp 239.1.1.1 permanent');
      bench.bridge('mdb add dev br0 port p2 grp ff0e::1 permanent');
    },
  },
  {
    title: 'a VXLAN link',
    kind: 'link',
    more: 1,
    run: ip('link add vx type vxlan id 42 dstport 4789 local 10.0.0.1 nolearning'),
  },
  {
    title: 'remotes of a VXLAN link',
    kind: 'fdb',
    more: 0,
    shows: '02:00:00:00:02:01',
    run: () => {
      bench.ip('link set vx up');
      bench.bridge('fdb append 00:00:00:00:00:00 dev vx dst 10.0.0.7');
      bench.bridge('fdb append 00:00:00:00:00:00 dev vx dst 10.0.0.8');
      bench.bridge('fdb add 02:00:00:00:02:01 dev vx dst 10.0.0.7');
    },
  },
  {
    title: 'a MAC behind another remote',
    kind: 'fdb',
    more: 0,
    run: bridge('fdb replace 02:00:00:00:02:01 dev vx dst 10.0.0.8'),
  },
  {
    title: 'a remote less',
    kind: 'fdb',
    more: 0,
    shows: '10.0.0.8',
    run: bridge('fdb del 00:00:00:00:00:00 dev vx dst 10.0.0.7'),
  },
  {
    title: 'nexthops',
    kind: 'nexthop',
    more: 4,
    run: () => {
      bench.ip('nexthop add id 1 via 10.0.0.7 dev east');
      bench.ip('nexthop add id 2 via 10.0.0.8 dev east');
      bench.ip('nexthop add id 3 blackhole');
      bench.ip('nexthop add id 10 group 1/2,5');
    },
  },
  {
    title: 'a resilient group',
    kind: 'nexthop',
    more: 1,
    run: ip('nexthop add id 11 group 1/2 type resilient buckets 8'),
  },
  {
    title: 'a nexthop changed',
    kind: 'nexthop',
    more: 0,
    run: ip('nexthop replace id 2 via 10.0.0.9 dev east'),
  },
  {
    title: 'rules',
    kind: 'rule',
    more: 4,
    run: () => {
      bench.ip('rule add from 10.1.0.0/16 lookup 100 priority 1000');
      bench.ip('rule add fwmark 0x10/0xff iif east lookup 101 priority 1001');
      bench.ip('rule add ipproto tcp dport 80-90 lookup 102 priority 1002');
      bench.ip('-6 rule add from 2001:db8:1::/48 lookup 100 priority 1000');
    },
  },
  { title: 'a rule less', kind: 'rule', more: -1, run: ip('rule del priority 1001') },
  {
    title: 'IPv4 routes',
    kind: 'route',
    more: 0,
    run: () => {
      bench.ip('route add 203.0.113.0/24 via 10.0.0.7');
      bench.ip('route add 203.0.114.0/24 via 10.0.0.7 metric 50 mtu 1300 src 10.0.0.1');
      bench.ip('route add 203.0.115.0/24 nexthop via 10.0.0.7 nexthop via 10.0.0.8 weight 3');
      bench.ip('route add blackhole 203.0.116.0/24');
      bench.ip('route add 203.0.117.0/24 nhid 10');
      bench.ip('route add default via 10.0.0.7 table 100');
    },
  },
  { title: 'a route replaced', kind: 'route', more: 0, run: ip('route replace 203.0.113.0/24 via 10.0.0.8') },
  {
    title: 'IPv6 routes',
    kind: 'route',
    more: 0,
    run: () => {
      bench.ip('-6 route add 2001:db8:1::/48 via 2001:db8::7');
      bench.ip('-6 route add 2001:db8:2::/48 nexthop via 2001:db8::7 nexthop via 2001:db8::8');
      bench.ip('-6 route add unreachable 2001:db8:3::/48');
      bench.ip('-6 route add 2001:db8:4::/48 via 2001:db8::7 table 100 expires 3000');
    },
  },
  {
    title: 'encapsulation',
    kind: 'route',
    more: 1,
    run: ip('-6 route add 2001:db8:5::/48 encap seg6 mode encap segs 2001:db8::99 dev east'),
  },
  {
    title: 'routes less',
    kind: 'route',
    more: -3,
    run: () => {
      bench.ip('route del 203.0.115.0/24');
      bench.ip('-6 route del 2001:db8:2::/48');
      bench.ip('route del default table 100');
    },
  },
  {
    title: 'a classful qdisc',
    kind: 'qdisc',
    more: 0,
    run: tc('qdisc replace dev east root handle 1: htb default 20'),
  },
  {
    title: 'classes',
    kind: 'class',
    more: 3,
    run: () => {
      bench.tc('class add dev east parent 1: classid 1:1 htb rate 100mbit');
      bench.tc('class add dev east parent 1:1 classid 1:10 htb rate 60mbit ceil 100mbit');
      bench.tc('class add dev east parent 1:1 classid 1:20 htb rate 40mbit');
    },
  },
  {
    title: 'a class changed',
    kind: 'class',
    more: 0,
    run: tc('class change dev east parent 1:1 classid 1:20 htb rate 30mbit'),
  },
  {
    title: 'a qdisc in a class',
    kind: 'qdisc',
    more: 1,
    run: tc('qdisc add dev east parent 1:10 handle 10: tbf rate 10mbit burst 10kb latency 50ms'),
  },
  { title: 'clsact', kind: 'qdisc', more: 1, run: tc('qdisc add dev west clsact') },
  {
    title: 'filters',
    kind: 'filter',
    more: 0,
    run: () => {
      bench.tc(
        'filter add dev west ingress prio 10 protocol ip u32 match ip dst 10.5.0.0/16 action mirred egress redirect dev sink',
      );
      bench.tc(
        'filter add dev west egress prio 20 protocol all u32 match u32 0 0 action mirred egress mirror dev sink',
      );
      bench.tc('filter add dev east parent 1: prio 5 protocol ip u32 match ip dport 80 0xffff flowid 1:10');
    },
  },
  { title: 'a chain', kind: 'chain', more: 0, run: tc('chain add dev west ingress chain 7') },
  {
    title: 'a filter in a chain',
    kind: 'filter',
    more: 0,
    run: tc(
      'filter add dev west ingress chain 7 prio 1 protocol ip u32 match ip src 10.6.0.0/16 action mirred egress redirect dev sink',
    ),
  },
  { title: 'a filter less', kind: 'filter', more: 0, run: tc('filter del dev west egress prio 20') },
  {
    title: 'a shared block',
    kind: 'qdisc',
    more: 0,
    run: () => {
      bench.tc('qdisc add dev p1 ingress_block 22 ingress');
      bench.tc('qdisc add dev p2 ingress_block 22 ingress');
    },
  },
  {
    title: 'a filter of a shared block',
    kind: 'filter',
    more: 0,
    run: tc(
      'filter add block 22 prio 3 protocol ip u32 match ip dst 10.8.0.0/16 action mirred egress redirect dev sink',
    ),
  },
  {
    title: 'an action of its own',
    kind: 'action',
    more: 1,
    run: tc('actions add action mirred egress redirect dev sink index 77'),
  },
  { title: 'an action less', kind: 'action', more: -1, run: tc('actions del action mirred index 77') },
  { title: 'an nf_tables table', kind: 'nft-table', more: 1, run: nft('add table inet edge') },
  {
    title: 'chains',
    kind: 'nft-chain',
    more: 2,
    run: nft(
      'add chain inet edge forward { type filter hook forward priority 0; }; add chain inet edge extra',
    ),
  },
  {
    title: 'rules of chains',
    kind: 'nft-rule',
    more: 3,
    run: () => {
      bench.run('nft', 'add rule inet edge forward ip daddr 10.0.0.0/8 counter accept');
      bench.run('nft', 'add rule inet edge forward tcp dport 22 drop');
      bench.run('nft', 'insert rule inet edge forward udp dport 53 accept');
    },
  },
  {
    title: 'IPsec policies',
    kind: 'xfrm-policy',
    more: 3,
    run: () => {
      bench.ip('xfrm policy add src 10.0.0.0/8 dst 192.168.0.0/16 dir fwd action block priority 7');
      bench.ip(
        'xfrm policy add src 10.0.0.0/8 dst 192.168.0.0/16 proto tcp dport 443 dir out mark 0x10 mask 0xff tmpl src 10.0.0.1 dst 10.0.0.7 proto esp reqid 5 mode tunnel',
      );
      bench.ip('xfrm policy add src 2001:db8::/32 dst ::/0 dir out ptype main if_id 0x2a');
    },
  },
  {
    title: 'an IPsec policy updated',
    kind: 'xfrm-policy',
    more: 0,
    run: ip('xfrm policy update src 10.0.0.0/8 dst 192.168.0.0/16 dir fwd action allow priority 9'),
    shows: '"priority":9',
  },
  {
    title: 'an IPsec policy less',
    kind: 'xfrm-policy',
    more: -1,
    run: ip('xfrm policy delete src 10.0.0.0/8 dst 192.168.0.0/16 dir fwd'),
  },
  {
    title: 'packets without an IPsec policy are dropped',
    kind: 'xfrm-default',
    more: 0,
    run: ip('xfrm policy setdefault fwd block'),
    shows: '"fwd":1',
  },
  { title: 'IPsec policies flushed', kind: 'xfrm-policy', more: -2, run: ip('xfrm policy flush') },
  {
    title: 'an IPsec policy that expires',
    kind: 'xfrm-policy',
    more: 0,
    run: () => {
      bench.ip('xfrm policy add src 10.0.0.0/8 dst 10.9.0.0/16 dir out limit time-hard 1');
      const until = Date.now() + 20_000;
      while (bench.ip('xfrm policy').includes('10.9.0.0')) expect(Date.now()).toBeLessThan(until);
    },
  },
  { title: 'a chain flushed', kind: 'nft-rule', more: -3, run: nft('flush chain inet edge forward') },
  { title: 'the table less', kind: 'nft-table', more: -1, run: nft('delete table inet edge') },
  { title: 'the clsact qdisc less', kind: 'qdisc', more: -1, run: tc('qdisc del dev west clsact') },
  { title: 'the bridge less', kind: 'link', more: -1, run: ip('link del br0') },
  { title: 'the VXLAN link less', kind: 'link', more: -1, run: ip('link del vx') },
  { title: 'nexthops less', kind: 'nexthop', more: -5, run: ip('nexthop flush') },
  { title: 'the links less', kind: 'link', more: -3, run: ip('link del east') },
];

describe('the mirror equals a fresh dump after', () => {
  for (const { title, kind, run, more, shows, hides } of steps) {
    it(`${title} (${kind})`, async () => {
      await bench.sync.barrier();
      const before = bench.count(kind);
      run();
      expect(await bench.differences()).toEqual([]);
      for (const each of KINDS) if (bench.count(each) > 0) seen.add(each);
      const text = JSON.stringify(bench.objects(kind), (_, value) =>
        typeof value === 'bigint' ? value.toString() : value,
      );
      if (shows !== undefined) expect(text).toContain(shows);
      if (hides !== undefined) expect(text).not.toContain(hides);
      if (more !== 0) expect(bench.count(kind) - before).toBe(more);
    });
  }

  it('all of that, with every kind this kernel has', () => {
    // Not on every kernel: bridge VLANs and flowtables.
    const missing = KINDS.filter(
      (kind) => !seen.has(kind) && !['vlan', 'nft-flowtable', 'flow', 'offload'].includes(kind),
    );
    expect(missing).toEqual([]);
  });

  it('all of that, without a resync or a message that was not understood', () => {
    const { resyncs, malformed, overruns } = bench.sync.status();
    expect({ malformed, overruns, logs: bench.logs }).toEqual({ malformed: 0, overruns: 0, logs: [] });
    expect(resyncs).toBeLessThanOrEqual(1);
  });
});
