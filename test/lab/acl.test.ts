/** tc filters of a real kernel as ACL rules: what the device does with a packet is what the filters say. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LookupAnswer, LookupQuery } from '../../host/api/schemas.ts';
import { LabSpace } from './support.ts';

const TCP = 6;
const UDP = 17;

describe('filters', () => {
  let space: LabSpace;

  beforeAll(async () => {
    space = new LabSpace();
    space.sysctl('net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv6.conf.all.forwarding=1');
    space.script(`
      for n in 0 1 2; do
        ip link add p$n type dummy
        sysctl -qw net.ipv4.conf.p$n.rp_filter=0
        ip link set p$n up
        ip addr add 10.0.$n.1/24 dev p$n
        ip addr add 2001:db8:$n::1/64 dev p$n nodad
        ip neigh add 10.0.$n.2 lladdr 02:00:00:00:0$n:02 dev p$n nud permanent
        ip neigh add 2001:db8:$n::2 lladdr 02:00:00:00:0$n:02 dev p$n nud permanent
        tc qdisc add dev p$n clsact
      done
      ip route add 192.0.2.0/24 via 10.0.1.2
      ip route add 2001:db8:100::/48 via 2001:db8:1::2
    `);
    await space.start(['p*']);
  });

  afterAll(() => space?.end());

  const ask = (query: Partial<LookupQuery>): LookupAnswer =>
    space.lookup({ destination: '192.0.2.9', source: '10.0.0.2', in: 'p0', ...query });

  /** Sets p0's ingress filters, lines of `tc filter add dev p0 ingress …`. */
  async function filters(...lines: string[]): Promise<void> {
    space.script(
      ['tc filter del dev p0 ingress', ...lines.map((line) => `tc filter add dev p0 ingress ${line}`)].join(
        '\n',
      ),
    );
    await space.verified();
  }

  /** Offload states of p0's filters, in the order of their priorities: state, or state and reason. */
  async function states(): Promise<string[]> {
    const rows = await space.rows('filter', 'dev', 'p0', 'ingress');
    return rows.flatMap(({ offload }) =>
      (offload as { state: string; reason?: string }[]).map(({ state, reason }) =>
        reason === undefined ? state : `${state} ${reason}`,
      ),
    );
  }

  test('without filters it is routed', async () => {
    expect(ask({})).toMatchObject({ action: 'forward', ways: [{ link: 'p1', mac: '02:00:00:00:01:02' }] });
  });

  test('a drop of one destination port drops only that', async () => {
    await filters('pref 10 protocol ip flower ip_proto tcp dst_port 443 action drop');
    expect(ask({ ipproto: TCP, dport: 443 }).action).toBe('drop');
    expect(ask({ ipproto: TCP, dport: 80 }).action).toBe('forward');
    expect(ask({ ipproto: UDP, dport: 443 }).action).toBe('forward');
    expect(ask({ in: 'p2', source: '10.0.2.2', ipproto: TCP, dport: 443 }).action).toBe('forward');
  });

  test('port ranges, sources and prefixes', async () => {
    await filters(
      'pref 10 protocol ip flower src_ip 10.0.0.0/30 ip_proto udp dst_port 1000-2000 action drop',
      'pref 20 protocol ip flower dst_ip 192.0.2.128/25 action trap',
    );
    expect(ask({ ipproto: UDP, dport: 1000 }).action).toBe('drop');
    expect(ask({ ipproto: UDP, dport: 2000 }).action).toBe('drop');
    expect(ask({ ipproto: UDP, dport: 2001 }).action).toBe('forward');
    expect(ask({ source: '10.0.0.4', ipproto: UDP, dport: 1500 }).action).toBe('forward');
    expect(ask({ destination: '192.0.2.200' }).action).toBe('trap');
    expect(ask({ destination: '192.0.2.200', ipproto: UDP, dport: 1500 }).action).toBe('drop');
  });

  test('the first that matches decides', async () => {
    await filters(
      'pref 10 protocol ip flower ip_proto tcp dst_port 22 action pass',
      'pref 20 protocol ip flower ip_proto tcp action drop',
      'pref 30 protocol all matchall action trap',
    );
    expect(ask({ ipproto: TCP, dport: 22 }).action).toBe('forward');
    expect(ask({ ipproto: TCP, dport: 23 }).action).toBe('drop');
    expect(ask({ ipproto: UDP, dport: 23 }).action).toBe('trap');
    expect(await states()).toEqual(['offloaded', 'offloaded', 'offloaded']);
  });

  test('a redirect leaves by the other port as it came', async () => {
    await filters('pref 10 protocol ip flower dst_ip 192.0.2.9 action mirred egress redirect dev p2');
    expect(ask({})).toMatchObject({ action: 'forward', ways: [{ link: 'p2' }] });
    expect(ask({ destination: '192.0.2.10' })).toMatchObject({ ways: [{ link: 'p1' }] });
  });

  test('IPv6', async () => {
    await filters('pref 10 protocol ipv6 flower dst_ip 2001:db8:100::9 ip_proto tcp src_port 53 action drop');
    const six = { destination: '2001:db8:100::9', source: '2001:db8:0::2', ipproto: TCP };
    expect(ask({ ...six, sport: 53 }).action).toBe('drop');
    expect(ask({ ...six, sport: 54 }).action).toBe('forward');
    expect(ask({ ipproto: TCP, sport: 53 }).action).toBe('forward');
  });

  test('what the device cannot match goes to the kernel, as wide as it must', async () => {
    await filters(
      'pref 10 protocol ip flower ip_proto tcp dst_port 80 ip_ttl 3 action drop',
      'pref 20 protocol ip flower ip_proto tcp action drop',
    );
    expect(ask({ ipproto: TCP, dport: 80 }).action).toBe('trap');
    expect(ask({ ipproto: TCP, dport: 81 }).action).toBe('drop');
    expect(await states()).toEqual(['trapped unsupported-match', 'offloaded']);
  });

  test('what the device cannot do goes to the kernel', async () => {
    await filters(
      'pref 10 protocol ip flower ip_proto tcp dst_port 80 action vlan push id 7 pipe action mirred egress redirect dev p1',
      'pref 11 protocol ip flower ip_proto tcp dst_port 81 action pedit ex munge ip ttl dec pipe action csum ip',
      'pref 12 protocol ip flower ip_proto tcp dst_port 82 action police rate 1mbit burst 10k conform-exceed drop',
      'pref 13 protocol ip flower ip_proto tcp dst_port 83 action gact pass random netrand drop 10',
      'pref 14 protocol ip flower skip_hw ip_proto tcp dst_port 84 action drop',
    );
    for (const dport of [80, 81, 82, 83, 84]) expect(ask({ ipproto: TCP, dport }).action).toBe('trap');
    expect(ask({ ipproto: TCP, dport: 85 }).action).toBe('forward');
    expect(await states()).toEqual(new Array(5).fill('trapped unsupported-action'));
  });

  test('a VLAN tag is matched, a priority within it is not', async () => {
    await filters(
      'pref 10 protocol 802.1q flower vlan_id 7 vlan_ethtype ipv4 dst_ip 192.0.2.9 action drop',
      'pref 11 protocol 802.1q flower vlan_id 8 vlan_prio 3 action drop',
    );
    expect(await states()).toEqual(['offloaded', 'trapped unsupported-match']);
    expect(ask({}).action).toBe('forward');
  });

  test('matchall, and a filter of a shared block', async () => {
    await filters();
    space.script(`
      tc qdisc del dev p0 clsact
      tc qdisc add dev p0 ingress_block 5 clsact
      tc filter add block 5 pref 1 protocol ip flower ip_proto udp action drop
      tc filter add block 5 pref 2 protocol all matchall action trap
    `);
    await space.verified();
    expect(ask({ ipproto: UDP }).action).toBe('drop');
    expect(ask({ ipproto: TCP }).action).toBe('trap');
    expect(ask({ in: 'p2', source: '10.0.2.2', ipproto: UDP }).action).toBe('forward');
    space.script('tc qdisc del dev p0 clsact; tc qdisc add dev p0 clsact');
    await space.verified();
    expect(ask({ ipproto: UDP }).action).toBe('forward');
  });

  test('a shared action that changes under its filter', async () => {
    space.script('tc actions add action gact drop index 9');
    await filters('pref 10 protocol ip flower ip_proto tcp action gact index 9');
    expect(ask({ ipproto: TCP }).action).toBe('drop');
    space.script('tc actions replace action gact pass index 9');
    await space.verified();
    expect(ask({ ipproto: TCP }).action).toBe('forward');
  });

  test('an egress filter keeps packets from leaving in hardware', async () => {
    await filters();
    space.script('tc filter add dev p1 egress protocol ip flower ip_proto tcp action drop');
    await space.verified();
    expect(ask({}).action).toBe('trap');
    space.script('tc filter del dev p1 egress');
    await space.verified();
    expect(ask({}).action).toBe('forward');
  });
});
