/** Kinds of links, filters and tables that need modules: the mirror equals the kernel, and its JSON iproute2's. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LabSpace } from './support.ts';

describe('what only a full kernel has', () => {
  let space: LabSpace;

  beforeAll(async () => {
    space = new LabSpace();
    space.script(`
      ip link add d0 type dummy
      ip link add d1 type dummy
      ip link set d0 up
      ip link set d1 up
      ip link add link d0 name d0.10 type vlan id 10 ingress-qos-map 1:2 egress-qos-map 3:4
      ip link add link d0 name d0.20 type vlan protocol 802.1ad id 20 reorder_hdr off
      ip link set d0.10 up
      ip link add red type vrf table 100
      ip link set red up
      ip link add bond0 type bond mode 802.3ad miimon 100 lacp_rate fast xmit_hash_policy layer3+4
      ip link add bond1 type bond mode active-backup miimon 50
      ip link add s0 type veth peer name s0x
      ip link add s1 type veth peer name s1x
      ip link set s0 master bond0
      ip link set s1 master bond1
      ip link set bond0 up
      ip link set bond1 up
      ip link set s0x up
      ip link set s1x up
      ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 1 mcast_snooping 1 mcast_querier 1 stp_state 0
      ip link add b0 type veth peer name b0x
      ip link add b1 type veth peer name b1x
      for link in b0 b0x b1 b1x br0; do ip link set $link up; done
      ip link set b0 master br0
      ip link set b1 master br0
      bridge vlan add dev b0 vid 10-20
      bridge vlan add dev b0 vid 30 pvid untagged
      bridge vlan add dev b1 vid 10 untagged
      bridge vlan add dev br0 vid 10 self
      bridge fdb add 02:00:00:00:aa:01 dev b0 master static vlan 10
      bridge fdb add 02:00:00:00:aa:02 dev b1 master static sticky vlan 10
      bridge mdb add dev br0 port b0 grp 239.1.1.1 permanent vid 10
      bridge mdb add dev br0 port b1 grp ff3e::1 src 2001:db8::1 permanent vid 10
      ip link add vx0 type vxlan id 42 dstport 4789 local 192.0.2.1 dev d0 nolearning
      ip link add gre0x type gre local 192.0.2.1 remote 192.0.2.9 ttl 64
      ip link add mac0 link d1 type macvlan mode bridge
      ip link add d2 type dummy
      ip link add ipv0 link d2 type ipvlan mode l2
      ip addr add 192.0.2.1/24 dev d0
      ip addr add 2001:db8:1::1/64 dev d0 nodad
      ip addr add 198.51.100.1/24 dev d0.10
      ip addr add 203.0.113.1/24 dev d1
      ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev d0 nud permanent
      ip neigh add 192.0.2.3 lladdr 02:00:00:00:00:03 dev d0 nud permanent
      ip nexthop add id 1 via 192.0.2.2 dev d0
      ip nexthop add id 2 via 192.0.2.3 dev d0
      ip nexthop add id 3 via 2001:db8:1::2 dev d0
      ip nexthop add id 10 group 1/2,3
      ip nexthop add id 11 group 1/2 type resilient buckets 32 idle_timer 60 unbalanced_timer 300
      ip nexthop add id 12 via fe80::1 dev d0.10
      ip nexthop add id 13 blackhole
      ip route add 10.10.0.0/16 nhid 10
      ip route add 10.11.0.0/16 nhid 11
      ip route add 10.12.0.0/16 nhid 13
      ip route add vrf red 10.13.0.0/16 dev red
      ip -6 route add 2001:db8:10::/48 nhid 12
      ip rule add iif d0 lookup 100 pref 100
      ip rule add l3mdev pref 1000 2>/dev/null || true
      ip rule add from 10.0.0.0/8 ipproto tcp dport 80-90 lookup 100 pref 110
    `);
    space.script(`
      tc qdisc add dev d0 clsact
      tc filter add dev d0 ingress pref 10 protocol ip flower dst_ip 192.0.2.0/25 ip_proto tcp dst_port 443 action drop
      tc filter add dev d0 ingress pref 11 protocol ipv6 flower src_ip 2001:db8::/32 ip_proto udp src_port 53 action pass
      tc filter add dev d0 ingress pref 12 protocol 802.1q flower vlan_id 10 vlan_prio 3 vlan_ethtype ipv4 \
        action vlan pop pipe action mirred egress redirect dev d1
      tc filter add dev d0 ingress pref 13 protocol all flower dst_mac 02:00:00:00:00:00/ff:ff:ff:00:00:00 \
        action vlan push id 33 priority 2 protocol 802.1ad pipe action mirred egress mirror dev d1
      tc filter add dev d0 ingress pref 14 protocol ip flower ip_proto tcp tcp_flags 0x2/0x12 ip_tos 0x10/0xfc ip_ttl 64 \
        action gact drop random determ pass 5
      tc filter add dev d0 ingress pref 15 protocol ip flower ip_proto icmp type 8 code 0 action trap
      tc filter add dev d0 ingress pref 16 protocol arp flower arp_op request arp_tip 192.0.2.1 action pass
      tc filter add dev d0 ingress pref 17 protocol ip flower enc_key_id 42 enc_dst_ip 192.0.2.1 enc_dst_port 4789 \
        action tunnel_key unset pipe action mirred egress redirect dev d1
      tc filter add dev d0 ingress pref 18 protocol ip flower dst_ip 192.0.2.200 \
        action pedit ex munge ip ttl dec pipe action csum ip
      tc filter add dev d0 ingress pref 19 protocol ip flower dst_ip 192.0.2.201 action police rate 1mbit burst 10k conform-exceed drop
      tc filter add dev d0 ingress pref 20 protocol ip chain 5 flower ip_proto udp dst_port 1000-2000 action goto chain 6
      tc filter add dev d0 ingress pref 30 protocol all matchall action skbedit priority 5 pipe action ok
      tc filter add dev d0 egress pref 5 protocol ip matchall action pass
      tc qdisc add dev d1 ingress_block 22 clsact
      tc filter add block 22 pref 1 protocol ip flower dst_ip 203.0.113.7 action drop
      tc actions add action gact drop index 77
      tc actions add action vlan push id 7 index 78
      tc filter add dev d0 ingress pref 21 protocol ip flower dst_ip 192.0.2.77 action gact index 77
      tc qdisc add dev b0x root handle 1: htb default 10
      tc class add dev b0x parent 1: classid 1:10 htb rate 5mbit ceil 10mbit
      tc qdisc add dev b1x root handle 1: prio
      tc qdisc add dev b1x parent 1:1 handle 10: tbf rate 1mbit burst 10k latency 50ms
      nft -f - <<'EOF'
      table inet f {
        flowtable ft { hook ingress priority 0; devices = { d0, d1 }; }
        set s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }
        chain forward { type filter hook forward priority 0; meta l4proto tcp flow add @ft; ip daddr @s counter drop; }
      }
EOF
    `);
    await space.start(['d*']);
  });

  afterAll(() => space?.end());

  test('the mirror equals a fresh dump', async () => {
    const { objects } = await space.host.verify();
    await space.verified();
    expect(objects).toBeGreaterThan(100);
    const { kinds } = space.host.status();
    expect(kinds.filter(({ state }) => state !== 'synced')).toEqual([]);
  });

  test('links', () => space.compare('ip -j -d link', 'link', 24));
  test('addresses', () => space.compare('ip -j -d addr', 'address', 24));
  test('neighbours', () => space.compare('ip -j -d neigh', 'neighbour', 2));
  test('forwarding database', async () => {
    // A link's own multicast list, which the kernel does not announce, is not mirrored.
    const isMulticast = (mac: unknown) => (Number.parseInt(String(mac), 16) & 1) === 1;
    await space.compare('bridge -j -d fdb', 'fdb', 20, [], ({ mac }) => !isMulticast(mac));
  });
  test('multicast database', () => space.compare('bridge -j -d mdb', 'mdb', 1));
  test('VLANs of bridge ports', () => space.compare('bridge -j vlan', 'vlan', 3));
  test('nexthops and groups', () => space.compare('ip -j -d nexthop', 'nexthop', 7));
  test('routes', () => space.compare('ip -j -d route show table all', 'route', 20));
  test('rules', () => space.compare('ip -j -d rule', 'rule', 5, ['family', 'inet']));
  test('queueing disciplines', () => space.compare('tc -j qdisc', 'qdisc', 5));

  test.for(['d0 ingress', 'd0 egress'])('filters of %s', async (where) => {
    await space.compare(`tc -j filter show dev ${where}`, 'filter', 1, ['dev', ...where.split(' ')]);
  });

  test('filters of a shared block', async () => {
    await space.compare('tc -j filter show block 22', 'filter', 1, ['block', '22']);
  });

  test.for(['gact', 'vlan'])('%s actions', async (kind) => {
    const theirs = space.json(`tc -j actions list action ${kind}`);
    expect(theirs.length).toBeGreaterThan(0);
    const ours = await space.rows('action');
    expect(JSON.stringify(ours)).toContain(`"kind":"${kind}"`);
  });

  test('it stays equal when all of it goes away again', async () => {
    space.script(`
      nft delete table inet f
      ip link del br0
      ip link del bond0
      ip link del d0.10
      ip link set red down
      tc filter del dev d0 ingress pref 12
      tc qdisc del dev d1 clsact
      ip nexthop del id 1
    `);
    await space.verified();
    space.script('ip link del d0; ip link del d1; ip link del red');
    await space.verified();
  });
});
