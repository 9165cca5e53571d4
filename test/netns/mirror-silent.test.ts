/** What the kernel changes without announcing it, and routes that share a key: the mirror still equals a fresh dump. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KIND } from '../../host/mirror/types.ts';
import { MirrorBench } from './mirror-support.ts';

let bench: MirrorBench;

beforeEach(async () => {
  bench = new MirrorBench();
  bench.veth('east', 'west');
  bench.veth('north', 'south');
  bench.ip('address add 10.0.0.1/24 dev east');
  bench.ip('address add 10.1.0.1/24 dev north');
  bench.ip('address add 2001:db8::1/64 dev east nodad');
  bench.ip('address add 2001:db8:1::1/64 dev north nodad');
  await bench.sync.start();
});

afterEach(() => bench.close());

const equal = async () => expect(await bench.differences()).toEqual([]);

/** `dst via oif` of the routes to `dst`, in the order the kernel looks at them. */
function routesTo(dst: string): string[] {
  return bench
    .objects('route')
    .filter((route) => route.dst === dst)
    .sort((a, b) => bench.mirror.orderOf(KIND.route, a.id) - bench.mirror.orderOf(KIND.route, b.id))
    .map((route) => `${route.gateway ?? ''}`);
}

describe('IPv4 routes that leave without a word', () => {
  beforeEach(async () => {
    bench.batch([
      ...Array.from({ length: 200 }, (_, at) => `route add 203.0.${at}.0/24 via 10.0.0.2`),
      ...Array.from({ length: 200 }, (_, at) => `route add 198.51.${at}.0/24 via 10.1.0.2`),
      ...Array.from(
        { length: 50 },
        (_, at) => `route add 192.0.${at}.0/24 nexthop via 10.0.0.2 nexthop via 10.1.0.2`,
      ),
    ]);
    await bench.sync.barrier();
    expect(bench.count('route')).toBeGreaterThanOrEqual(450);
  });

  it('with a link that goes down', async () => {
    bench.ip('link set east down');
    await equal();
    expect(routesTo('203.0.7.0')).toEqual([]);
    expect(routesTo('198.51.7.0')).toEqual(['10.1.0.2']);
    bench.ip('link set east up');
    await equal();
  });

  it('with a link that flaps', async () => {
    for (let flap = 0; flap < 10; flap++) {
      bench.ip('link set east down');
      bench.ip('link set east up');
      bench.try('route add 203.0.7.0/24 via 10.0.0.2');
    }
    await equal();
    expect(routesTo('203.0.7.0')).toEqual(['10.0.0.2']);
  });

  it('with carrier: hops are marked', async () => {
    bench.ip('link set west down');
    await equal();
    bench.ip('link set west up');
    await equal();
  });

  it('with the link', async () => {
    bench.ip('link del east');
    await equal();
    expect(routesTo('203.0.7.0')).toEqual([]);
    expect(bench.count('address')).toBeGreaterThan(0);
  });

  it('with a move into another namespace', async () => {
    bench.ip(`link set east netns ${bench.otherNamespace()}`);
    await equal();
    expect(routesTo('203.0.7.0')).toEqual([]);
  });

  it('with their source address', async () => {
    bench.ip('address add 10.0.0.9/24 dev east');
    bench.ip('route add 203.1.0.0/24 via 10.1.0.2 src 10.0.0.9');
    bench.ip('route add 203.1.1.0/24 via 10.1.0.2 src 10.0.0.9 table 77');
    await equal();
    bench.ip('address del 10.0.0.9/24 dev east');
    await equal();
    expect(routesTo('203.1.0.0')).toEqual([]);
  });

  it('with the last address of their link', async () => {
    bench.ip('address del 10.0.0.1/24 dev east');
    await equal();
    expect(routesTo('203.0.7.0')).toEqual([]);
  });

  it('with a master that takes the link', async () => {
    bench.ip('link add br0 type bridge');
    bench.ip('link set br0 up');
    bench.ip('link set east master br0');
    await equal();
    bench.ip('link set east nomaster');
    await equal();
    bench.ip('link set east master br0');
    bench.ip('link del br0');
    await equal();
  });
});

describe('nexthop objects', () => {
  beforeEach(async () => {
    bench.ip('nexthop add id 1 via 10.0.0.2 dev east');
    bench.ip('nexthop add id 2 via 10.1.0.2 dev north');
    bench.ip('nexthop add id 3 via 2001:db8::2 dev east');
    bench.ip('nexthop add id 10 group 1/2');
    bench.batch([
      ...Array.from({ length: 100 }, (_, at) => `route add 203.0.${at}.0/24 nhid 1`),
      ...Array.from({ length: 100 }, (_, at) => `route add 198.51.${at}.0/24 nhid 10`),
      ...Array.from({ length: 20 }, (_, at) => `route add 2001:db8:${100 + at}::/48 nhid 3`),
    ]);
    await equal();
  });

  it('deleted: their routes leave, groups shrink', async () => {
    bench.ip('nexthop del id 1');
    await equal();
    expect(routesTo('203.0.7.0')).toEqual([]);
    expect(bench.objects('route').filter((route) => route.nh_id === 10)).toHaveLength(100);
    bench.ip('nexthop del id 3');
    await equal();
    expect(bench.objects('route').filter((route) => route.nh_id === 3)).toEqual([]);
    bench.ip('nexthop del id 10');
    await equal();
  });

  it('deleted without notifications of their routes', async () => {
    bench.run('sysctl', '-qw', 'net.ipv4.nexthop_compat_mode=0');
    bench.ip('nexthop del id 3');
    bench.ip('nexthop del id 1');
    await equal();
    expect(bench.objects('route').filter((route) => [1, 3].includes(Number(route.nh_id)))).toEqual([]);
  });

  it('replaced under their routes', async () => {
    bench.ip('nexthop replace id 1 via 10.1.0.3 dev north');
    await equal();
    bench.ip('nexthop replace id 10 group 2');
    await equal();
  });

  it('gone with their link', async () => {
    bench.ip('link set east down');
    await equal();
    expect(bench.objects('nexthop').map((nexthop) => nexthop.id_ ?? nexthop.id)).toHaveLength(2);
    bench.ip('link del north');
    await equal();
    expect(bench.count('nexthop')).toBe(0);
  });
});

describe('routes with the same key', () => {
  const via = (last: number) => `10.0.0.${last}`;

  it('IPv4: appended, prepended, replaced, deleted', async () => {
    bench.ip(`route add 203.0.113.0/24 via ${via(2)}`);
    await bench.sync.barrier();
    bench.ip(`route append 203.0.113.0/24 via ${via(3)}`);
    await equal();
    expect(routesTo('203.0.113.0')).toEqual([via(2), via(3)]);
    bench.ip(`route prepend 203.0.113.0/24 via ${via(4)}`);
    await equal();
    expect(routesTo('203.0.113.0')).toEqual([via(4), via(2), via(3)]);
    bench.ip(`route replace 203.0.113.0/24 via ${via(5)}`);
    await equal();
    expect(routesTo('203.0.113.0')).toEqual([via(5), via(2), via(3)]);
    bench.ip(`route del 203.0.113.0/24 via ${via(2)}`);
    await equal();
    expect(routesTo('203.0.113.0')).toEqual([via(5), via(3)]);
    bench.ip('route add 203.0.113.0/24 via 10.0.0.9 tos 8');
    bench.ip('route add 203.0.113.0/24 via 10.0.0.9 metric 9');
    await equal();
  });

  it('IPv4: a replacement keeps the id, and so does deleting and adding at once', async () => {
    bench.ip(`route add 203.0.113.0/24 via ${via(2)}`);
    await bench.sync.barrier();
    const id = () => bench.objects('route').find((route) => route.dst === '203.0.113.0')!.id;
    const before = id();
    bench.ip(`route replace 203.0.113.0/24 via ${via(3)}`);
    await equal();
    expect(id()).toBe(before);
    bench.batch(['route del 203.0.113.0/24', `route add 203.0.113.0/24 via ${via(4)}`]);
    await equal();
  });

  it('IPv4: read again in their order', async () => {
    for (const last of [2, 3, 4]) bench.ip(`route append 203.0.113.0/24 via ${via(last)}`);
    bench.ip(`route prepend 203.0.113.0/24 via ${via(5)}`);
    await equal();
    await bench.sync.resync(['route']);
    await equal();
    expect(routesTo('203.0.113.0')).toEqual([via(5), via(2), via(3), via(4)]);
  });

  it('IPv6: siblings with different attributes, of which a dump shows those of the first', async () => {
    bench.ip('-6 route add 2001:db8:9::/48 via 2001:db8::2');
    bench.ip('-6 route append 2001:db8:9::/48 via 2001:db8::3 mtu 1400');
    await equal();
    bench.ip('-6 route append 2001:db8:9::/48 via 2001:db8::4');
    await equal();
    bench.ip('-6 route del 2001:db8:9::/48 via 2001:db8::2');
    await equal();
    const [route] = bench.objects('route').filter(({ dst }) => dst === '2001:db8:9::');
    expect(route!.metrics).toEqual({ mtu: 1400 });
  });

  it('IPv6: a route between siblings, which dumps skip', async () => {
    bench.ip('-6 route add 2001:db8:9::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::3');
    bench.ip('-6 route append blackhole 2001:db8:9::/48');
    await equal();
    bench.ip('-6 route append 2001:db8:9::/48 via 2001:db8::4');
    await equal();
    bench.ip('-6 route del 2001:db8:9::/48 via 2001:db8::4');
    await equal();
    expect(bench.ip('-6 route show 2001:db8:9::/48')).toContain('blackhole');
    expect(routesTo('2001:db8:9::')).toHaveLength(2);
  });

  it('IPv6: siblings added and deleted one by one', async () => {
    const hop = (last: number) => `nexthop via 2001:db8::${last}`;
    bench.ip(`-6 route add 2001:db8:9::/48 ${hop(2)} ${hop(3)} ${hop(4)}`);
    await equal();
    bench.ip('-6 route append 2001:db8:9::/48 via 2001:db8::5');
    await equal();
    const rereads = bench.sync.status().rereads;
    bench.ip('-6 route del 2001:db8:9::/48 via 2001:db8::3');
    await equal();
    bench.ip('-6 route del 2001:db8:9::/48 via 2001:db8::2');
    await equal();
    bench.ip('-6 route del 2001:db8:9::/48 via 2001:db8::5');
    await equal();
    expect(routesTo('2001:db8:9::')).toEqual(['2001:db8::4']);
    // The messages say all there is to know.
    expect(bench.sync.status().rereads).toBe(rereads);
    bench.ip('-6 route replace 2001:db8:9::/48 via 2001:db8::6');
    await equal();
    bench.ip('-6 route del 2001:db8:9::/48');
    await equal();
    expect(routesTo('2001:db8:9::')).toEqual([]);
  });

  it('IPv6: siblings out of a link that goes down', async () => {
    bench.ip('-6 route add 2001:db8:9::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:1::2');
    await equal();
    bench.ip('link set east down');
    await equal();
    bench.ip('link set east up');
    await equal();
    bench.ip('link del north');
    await equal();
  });

  it('IPv6: on several links with the same metric', async () => {
    bench.ip('-6 route append 2001:db8:8::/48 dev east');
    bench.ip('-6 route append 2001:db8:8::/48 dev north');
    await equal();
    bench.ip('-6 route del 2001:db8:8::/48 dev east');
    await equal();
    bench.ip('link set north down');
    await equal();
  });
});

describe('traffic control that leaves without a word', () => {
  it('with its qdisc and its link', async () => {
    bench.tc('qdisc add dev east clsact');
    bench.tc('qdisc add dev north root handle 1: htb default 10');
    bench.tc('class add dev north parent 1: classid 1:10 htb rate 10mbit');
    bench.tc('filter add dev north parent 1: prio 1 protocol ip u32 match ip dst 10.2.0.0/16 flowid 1:10');
    for (let prio = 1; prio <= 20; prio++) {
      bench.tc(
        `filter add dev east ingress prio ${prio} protocol ip u32 match ip dst 10.${prio}.0.0/16 action mirred egress redirect dev north`,
      );
    }
    await equal();
    bench.tc('filter del dev east ingress prio 7');
    await equal();
    bench.tc('filter del dev east ingress');
    await equal();
    bench.tc('qdisc replace dev north root handle 2: pfifo limit 10');
    await equal();
    expect(bench.count('class')).toBe(0);
    bench.ip('link del east');
    await equal();
    bench.ip('link del north');
    await equal();
    expect(bench.count('filter')).toBe(0);
  });
});

describe('settings of a link', () => {
  const SETTINGS = [
    'gso_max_size 30000',
    'gso_max_segs 100',
    'gro_max_size 30000',
    'alias roof',
    'group 5',
    'mode dormant',
    'addrgenmode none',
    'txqueuelen 77',
    'mtu 1400',
    'address 02:00:00:00:00:99',
    'arp off',
    'multicast off',
    'allmulticast on',
    'promisc on',
  ];
  const north = () => bench.objects('link').find(({ ifname }) => ifname === 'north')!;

  it.each(['up', 'down'])('that is %s', async (state) => {
    bench.ip('link add br0 type bridge');
    bench.ip('link add near link west type macvlan');
    bench.ip('link set south master br0');
    for (const link of ['br0', 'near', 'north', 'south']) bench.ip(`link set ${link} ${state}`);
    await equal();
    bench.ip('link property add dev north altname gable');
    await equal();
    bench.run('sysctl', '-qw', 'net.ipv6.conf.north.addr_gen_mode=3');
    await equal();
    bench.ip('link set br0 type bridge ageing_time 500');
    await equal();
    bench.ip('link set south type bridge_slave cost 5');
    await equal();
    bench.ip('link set near protodown on');
    await equal();
    for (const setting of SETTINGS) {
      bench.ip(`link set north ${setting}`);
      await equal();
    }
    bench.ip('link set near protodown off');
    for (const link of ['br0', 'near', 'north', 'south']) bench.ip(`link set ${link} up`);
    await equal();
    expect(north()).toMatchObject({ ifalias: 'roof', group: 5, gso_max_size: 30000, txqlen: 77 });
    // Below, the address of the macvlan goes with it.
    await bench.sync.resync(['fdb']);
    bench.ip('link del near');
    await equal();
  });
});

describe('settings', () => {
  it.each([
    ['ipv6', 'all', 'ignore_routes_with_linkdown'],
    ['ipv6', 'default', 'ignore_routes_with_linkdown'],
    ['ipv4', 'all', 'ignore_routes_with_linkdown'],
    ['ipv4', 'all', 'bc_forwarding'],
    ['ipv4', 'default', 'bc_forwarding'],
    ['ipv4', 'north', 'bc_forwarding'],
  ])('of %s for %s: %s', async (family, link, name) => {
    for (const value of [1, 0]) {
      bench.run('sysctl', '-qw', `net.${family}.conf.${link}.${name}=${value}`);
      await equal();
    }
  });
});

describe('a neighbour that does not answer', () => {
  /** Sends one packet to it. */
  const ask = () => bench.run('sh', '-c', 'ping -c 1 -W 1 10.0.0.9 >/dev/null || true');
  const settings = (...of: string[]) =>
    bench.run('sysctl', '-qw', ...of.map((one) => `net.ipv4.neigh.east.${one}`));
  const isShown = async (state: string) => {
    await expect
      .poll(() => bench.ip('neigh show'), { timeout: 60_000 })
      .toContain(`10.0.0.9 dev east ${state}`);
  };

  it('and is asked for again', async () => {
    settings('mcast_solicit=1', 'retrans_time_ms=100');
    ask();
    await isShown('FAILED');
    await equal();
    expect(bench.objects('neighbour').map(({ dst }) => dst)).toContain('10.0.0.9');

    // From now on it stays as it is when asked for.
    settings('mcast_solicit=1000', 'retrans_time_ms=1000');
    ask();
    await isShown('INCOMPLETE');
    await equal();

    bench.ip('neigh replace 10.0.0.9 lladdr 02:00:00:00:00:09 dev east nud permanent');
    await equal();
    expect(bench.objects('neighbour').find(({ dst }) => dst === '10.0.0.9')?.header.state).toBe(0x80);
    bench.ip('neigh del 10.0.0.9 dev east');
    await equal();
    expect(bench.objects('neighbour').map(({ dst }) => dst)).not.toContain('10.0.0.9');
  });
});
