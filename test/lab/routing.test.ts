/** Routing through links that need modules: VRFs, VLAN links, bonds, dummies; hardware answers as `ip route get` or traps. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LookupAnswer } from '../../host/api/schemas.ts';
import { LabSpace } from './support.ts';

interface Way {
  readonly dev: string;
  readonly gateway?: string;
}

describe('routes over VRFs and VLANs', () => {
  let space: LabSpace;

  beforeAll(async () => {
    space = new LabSpace();
    space.sysctl('net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv6.conf.all.forwarding=1');
    space.script(`
      sysctl -qw net.ipv4.conf.default.rp_filter=0
      ip link add red type vrf table 100
      ip link add blue type vrf table 200
      ip link set red up
      ip link set blue up
      for n in 0 1 2 3; do
        ip link add p$n type dummy
        ip link set p$n up
      done
      ip link set p2 master red
      ip link add link p0 name p0.10 type vlan id 10
      ip link add link p0 name p0.20 type vlan id 20
      ip link add link p1 name p1.10 type vlan id 10
      ip link set p0.20 master red
      ip link set p1.10 master blue
      for link in p0.10 p0.20 p1.10; do ip link set $link up; done
      number=1
      for link in p0 p1 p2 p3 p0.10 p0.20 p1.10; do
        ip addr add 10.$number.0.1/24 dev $link
        ip addr add 2001:db8:$number::1/64 dev $link nodad
        for host in 2 3; do
          ip neigh add 10.$number.0.$host lladdr 02:00:00:00:0$number:0$host dev $link nud permanent
          ip neigh add 2001:db8:$number::$host lladdr 02:00:00:00:0$number:0$host dev $link nud permanent
        done
        number=$((number + 1))
      done
      ip route add 203.0.113.0/24 via 10.2.0.2
      ip route add 203.0.113.0/25 via 10.5.0.2
      ip route add 203.0.113.0/24 vrf red via 10.3.0.2
      ip route add 203.0.113.64/26 vrf red via 10.6.0.2
      ip route add 203.0.113.0/24 vrf blue via 10.7.0.3
      ip route add 198.51.100.0/24 vrf blue nexthop via 10.7.0.2 nexthop via 10.7.0.3
      ip route add unreachable default vrf red metric 4278198272
      ip route add unreachable default vrf blue metric 4278198272
      ip route add 198.51.100.0/24 vrf red via 10.2.0.3 dev p1
      ip route add blackhole 203.0.113.128/26 vrf red
      ip -6 route add 2001:db8:aaaa::/48 via 2001:db8:5::2
      ip -6 route add 2001:db8:aaaa::/48 vrf red via 2001:db8:6::3
      ip -6 route add 2001:db8:aaaa::/48 vrf blue via 2001:db8:7::2
    `);
    await space.start(['p?']);
  });

  afterAll(() => space?.end());

  /** What the kernel does with a packet: the way out, or undefined if it does not forward it. */
  function kernel(words: string): Way | undefined {
    const { answers } = space.query([`route get ${words}`]);
    const answer = answers[0]?.[0] as { type?: string; dev?: string; gateway?: string } | undefined;
    if (answer?.dev === undefined || (answer.type ?? 'unicast') !== 'unicast') return undefined;
    return { dev: answer.dev, ...(answer.gateway !== undefined && { gateway: answer.gateway }) };
  }

  /** Fails unless hardware forwards as the kernel, or traps a packet that leaves as it came; returns its answer. */
  function same(query: { destination: string; source: string; in: string }): LookupAnswer {
    const { destination, source, in: iif } = query;
    const expected = kernel(`${destination} from ${source} iif ${iif}`);
    const answer = space.lookup(query);
    const what = `${JSON.stringify(query)}: kernel ${JSON.stringify(expected)}, ${JSON.stringify(answer)}`;
    if (expected === undefined) expect(answer.action, what).not.toBe('forward');
    else if (expected.dev === iif) {
      // The kernel also tells the sender of a better way (ICMP redirect).
      expect(answer, what).toMatchObject({ action: 'trap', by: 'egress is ingress' });
    } else {
      expect(answer.action, what).toBe('forward');
      const ways = answer.ways.map(({ link, gateway = destination }) => ({ dev: link, gateway }));
      expect(ways, what).toContainEqual({ gateway: destination, ...expected });
    }
    return answer;
  }

  test('nothing differs, and every kind is held', async () => {
    await space.verified();
    const { offload } = space.host.status();
    for (const row of offload) expect(row, row.kind).toMatchObject({ pending: 0, refused: 0, failed: 0 });
    expect(offload.find(({ kind }) => kind === 'router-interface')).toMatchObject({ offloaded: 7 });
  });

  test.for([
    ['p0', '10.1.0.2', 4],
    ['p1', '10.2.0.2', 2],
    ['p2', '10.3.0.2', 2],
    ['p3', '10.4.0.2', 4],
    ['p0.10', '10.5.0.2', 2],
    ['p0.20', '10.6.0.2', 2],
    ['p1.10', '10.7.0.2', 0],
  ] as const)('packets that arrive on %s', ([link, source, least]) => {
    let forwarded = 0;
    for (const destination of [
      '203.0.113.1',
      '203.0.113.65',
      '203.0.113.130',
      '203.0.113.200',
      '198.51.100.7',
      '10.2.0.3',
      '10.3.0.3',
      '10.5.0.3',
      '10.6.0.3',
      '10.7.0.3',
      '192.0.2.1',
    ]) {
      if (same({ destination, source, in: link }).action === 'forward') forwarded++;
    }
    expect(forwarded).toBeGreaterThanOrEqual(least);
  });

  test.for([
    ['p0', '2001:db8:1::2', '2001:db8:5::2', 'p0.10'],
    ['p2', '2001:db8:3::2', '2001:db8:6::3', 'p0.20'],
    ['p1', '2001:db8:2::2', '2001:db8:5::2', 'p0.10'],
  ] as const)('IPv6 packets that arrive on %s', ([link, source, gateway, out]) => {
    const answer = same({ destination: '2001:db8:aaaa::9', source, in: link });
    expect(answer.ways).toMatchObject([{ link: out, gateway }]);
  });

  test('frames leave by a VLAN link with its tag', () => {
    const tagged = same({ destination: '203.0.113.1', source: '10.1.0.2', in: 'p0' });
    expect(tagged.ways).toMatchObject([{ link: 'p0.10', vlan: 10, mac: '02:00:00:00:05:02' }]);
    const plain = same({ destination: '203.0.113.200', source: '10.1.0.2', in: 'p0' });
    expect(plain.ways[0]).not.toHaveProperty('vlan');
  });

  test('a VRF by name, without a link of arrival', () => {
    for (const vrf of ['red', 'blue']) {
      const expected = kernel(`203.0.113.1 vrf ${vrf}`);
      expect(expected).toBeDefined();
      const { action, ways } = space.lookup({ destination: '203.0.113.1', vrf });
      expect(action).toBe('forward');
      expect(ways).toMatchObject([{ link: expected!.dev, gateway: expected!.gateway }]);
    }
  });

  test('a link that changes its VRF takes its networks along', async () => {
    space.script(`
      ip link set p3 master blue
      ip neigh replace 10.4.0.2 lladdr 02:00:00:00:04:02 dev p3 nud permanent
      ip route add 203.0.113.192/26 vrf blue via 10.4.0.2
    `);
    await space.verified();
    expect(same({ destination: '203.0.113.200', source: '10.7.0.2', in: 'p1.10' }).ways).toMatchObject([
      { link: 'p3', gateway: '10.4.0.2' },
    ]);
    same({ destination: '10.4.0.2', source: '10.1.0.2', in: 'p0' });
    space.script(`
      ip link set p3 nomaster
      ip neigh replace 10.4.0.2 lladdr 02:00:00:00:04:02 dev p3 nud permanent
    `);
    await space.verified();
    same({ destination: '203.0.113.200', source: '10.7.0.2', in: 'p1.10' });
    same({ destination: '10.4.0.2', source: '10.1.0.2', in: 'p0' });
  });

  test('routes over a VLAN link that goes down', async () => {
    space.script('ip link set p0.10 down');
    await space.verified();
    same({ destination: '203.0.113.1', source: '10.1.0.2', in: 'p0' });
    space.script(`
      ip link set p0.10 up
      ip neigh replace 10.5.0.2 lladdr 02:00:00:00:05:02 dev p0.10 nud permanent
      ip route replace 203.0.113.0/25 via 10.5.0.2
    `);
    await space.verified();
    expect(same({ destination: '203.0.113.1', source: '10.1.0.2', in: 'p0' }).ways).toMatchObject([
      { link: 'p0.10', vlan: 10 },
    ]);
  });

  test('a VLAN link that is deleted', async () => {
    space.script('ip link del p0.10');
    await space.verified();
    same({ destination: '203.0.113.1', source: '10.1.0.2', in: 'p0' });
  });

  test('a resilient group', async () => {
    space.script(`
      ip nexthop add id 1 via 10.2.0.2 dev p1
      ip nexthop add id 2 via 10.4.0.2 dev p3
      ip neigh replace 10.4.0.2 lladdr 02:00:00:00:04:02 dev p3 nud permanent
      ip nexthop add id 10 group 1/2 type resilient buckets 16 idle_timer 0
      ip route add 100.64.0.0/16 nhid 10
    `);
    await space.verified();
    const answer = space.lookup({ destination: '100.64.1.1', source: '10.1.0.2', in: 'p0' });
    if (answer.action === 'forward') {
      expect(answer.ways.map(({ link }) => link).sort()).toEqual(['p1', 'p3']);
    } else expect(answer.action).toBe('trap');
    space.script('ip nexthop replace id 10 group 1 type resilient buckets 16 idle_timer 0');
    await space.verified();
    same({ destination: '100.64.1.1', source: '10.1.0.2', in: 'p0' });
    space.script('ip nexthop del id 10');
    await space.verified();
    same({ destination: '100.64.1.1', source: '10.1.0.2', in: 'p0' });
  });

  test('a port in a bond is the bond’s', async () => {
    space.script(`
      ip link add bond0 type bond mode active-backup miimon 100
      ip link set p1 down
      ip link set p1 master bond0
      ip link set bond0 up
      ip addr add 10.9.0.1/24 dev bond0
      ip neigh add 10.9.0.2 lladdr 02:00:00:00:09:02 dev bond0 nud permanent
      ip route add 100.65.0.0/16 via 10.9.0.2
    `);
    await space.verified();
    expect(space.lookup({ destination: '100.65.0.1', source: '10.1.0.2', in: 'p0' }).action).toBe('trap');
    expect(space.lookup({ destination: '203.0.113.1', source: '10.9.0.2', in: 'p1' }).action).toBe('trap');
  });

  test('a flowtable and its chain send packets to the kernel', async () => {
    space.script(`
      nft -f - <<'EOF'
      table inet f {
        flowtable ft { hook ingress priority 0; devices = { p0, p3 }; }
        chain forward { type filter hook forward priority 0; ct state established flow add @ft; }
      }
EOF
    `);
    await space.verified();
    expect(space.lookup({ destination: '10.4.0.2', source: '10.1.0.2', in: 'p0' }).action).toBe('trap');
    space.script('nft delete table inet f');
    await space.verified();
    expect(same({ destination: '10.4.0.2', source: '10.1.0.2', in: 'p0' }).action).toBe('forward');
  });
});
