/**
 * What a port may do in hardware: wherever the kernel does something to a packet that the device does not, the packet is the
 * kernel's, the object says why in a word, and everything is in hardware again once it is gone.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { attachTcx } from '../support/bpf-hooks.ts';
import { TestHost } from '../support/host.ts';
import { host4, host6, macOf, Router } from '../support/router.ts';

interface Offload {
  readonly state: string;
  readonly reason?: string;
  readonly detail?: string;
}

let router: Router;
let host: TestHost;

/** IPv4 and IPv6 packets of a stranger that arrive at p0 and are routed to a gateway on p1. */
const PACKETS = [
  { destination: '203.0.113.7', source: '192.168.7.7', in: 'p0' },
  { destination: '2001:db8:cafe::7', source: '2001:db8:9::7', in: 'p0' },
] as const;

/** What the hardware does with them: `forward forward`, or what traps them. */
async function fate(): Promise<string> {
  await host.settled();
  const answers = await Promise.all(PACKETS.map((packet) => host.lookup(packet)));
  return answers.map(({ action, by }) => (action === 'forward' ? action : by)).join(', ');
}

async function offloadOf(...words: readonly string[]): Promise<Offload[]> {
  await host.settled();
  const { code, out, err } = await host.ekho('show', ...words, '--json');
  expect(err).toBe('');
  expect(code).toBe(0);
  return (JSON.parse(out) as { offload: Offload[] }[]).map(({ offload }) => offload[0]!);
}

/** State and reason in one text. */
async function stateOf(...words: readonly string[]): Promise<string[]> {
  return (await offloadOf(...words)).map((offload) =>
    offload === undefined ? 'none' : `${offload.state}${offload.reason ? ` ${offload.reason}` : ''}`,
  );
}

describe('routed ports', () => {
  beforeAll(async () => {
    router = new Router(2);
    router.ip(`route add 203.0.113.0/24 via ${host4(1, 2)}`);
    router.ip(`route add 2001:db8:cafe::/48 via ${host6(1, 2)}`);
    host = await TestHost.start({ netns: router.name });
  });

  afterAll(async () => {
    await host?.close();
    router?.close();
  });

  beforeEach(async () => {
    expect(await fate()).toBe('forward, forward');
    expect(await stateOf('link', 'dev', 'p0')).toEqual(['offloaded']);
  });

  afterEach(async () => {
    expect(await fate(), 'after the test put everything back').toBe('forward, forward');
    await host.verified();
  });

  test('forwarding off where packets arrive', async () => {
    router.sysctl('net.ipv4.conf.p0.forwarding=0');
    expect(await fate()).toBe('family not routed, forward');
    expect(await offloadOf('link', 'dev', 'p0')).toMatchObject([
      { state: 'trapped', reason: 'forwarding-disabled', detail: expect.stringContaining('IPv4') },
    ]);
    const { out } = await host.ekho('explain', 'link', 'p0');
    expect(out).toContain('forwarding-disabled');
    expect(out).toContain('net.ipv4.conf');
    router.sysctl('net.ipv4.conf.p0.forwarding=1', 'net.ipv6.conf.all.forwarding=0');
    expect(await fate()).toBe('forward, family not routed');
    expect(await stateOf('link', 'dev', 'p0')).toEqual(['trapped forwarding-disabled']);
    router.sysctl('net.ipv6.conf.all.forwarding=1');
  });

  test('reverse path filter', async () => {
    router.sysctl('net.ipv4.conf.p0.rp_filter=1');
    expect(await fate()).toBe('reverse path miss, forward');
    router.ip(`route add 192.168.7.0/24 via ${host4(1, 3)}`);
    expect(await fate()).toBe('reverse path by another interface, forward');
    router.ip(`route replace 192.168.7.0/24 via ${host4(0, 3)}`);
    expect(await fate()).toBe('forward, forward');
    router.ip(`route replace 192.168.7.0/24 via ${host4(1, 3)}`);
    router.sysctl('net.ipv4.conf.p0.rp_filter=2');
    expect(await fate()).toBe('forward, forward');
    router.ip('route del 192.168.7.0/24');
    expect(await fate()).toBe('reverse path miss, forward');
    // A rule may send the way back through another table, which the device does not follow.
    router.ip('rule add pref 50 to 192.168.0.0/16 lookup 100');
    expect(await fate()).toBe('family not routed, forward');
    expect(await stateOf('link', 'dev', 'p0')).toEqual(['trapped reverse-path']);
    router.ip('rule del pref 50');
    router.sysctl('net.ipv4.conf.p0.rp_filter=0');
  });

  test('tables of iptables-legacy that do not accept everything', async () => {
    const iptables = (command: string) => router.run('iptables-legacy', command.split(' '));
    // Listing registers the table: without rules it changes nothing.
    iptables('-t filter -L -n');
    expect(await fate()).toBe('forward, forward');
    iptables('-P FORWARD DROP');
    expect(await fate()).toBe('family not routed, forward');
    expect(await stateOf('link', 'dev', 'p0')).toEqual(['trapped netfilter-legacy']);
    expect((await host.ekho('status')).out).toContain('taken into account: iptables-legacy: filter');
    iptables('-P FORWARD ACCEPT');
    expect(await fate()).toBe('forward, forward');
    iptables('-t nat -A POSTROUTING -o p1 -j MASQUERADE');
    expect(await fate()).toBe('family not routed, forward');
    iptables('-t nat -F');
    expect(await fate()).toBe('forward, forward');
    router.run('ip6tables-legacy', ['-A', 'FORWARD', '-j', 'ACCEPT']);
    expect(await fate()).toBe('forward, family not routed');
    router.run('ip6tables-legacy', ['-F']);
  });

  test('BPF programs attached to tcx', async () => {
    const { ifindex } = JSON.parse(router.ip('-j link show dev p0'))[0] as { ifindex: number };
    const detach = attachTcx(router.name, ifindex, 'ingress');
    expect(await fate()).toBe('port traps all, port traps all');
    expect(await stateOf('link', 'dev', 'p0')).toEqual(['trapped tcx-attached']);
    detach();
    expect(await fate()).toBe('forward, forward');
    const out = JSON.parse(router.ip('-j link show dev p1'))[0] as { ifindex: number };
    const detachOut = attachTcx(router.name, out.ifindex, 'egress');
    expect(await stateOf('route', '203.0.113.0/24')).toEqual(['trapped egress-filter']);
    expect((await host.ekho('status')).out).toContain('tcx egress: p1');
    detachOut();
  });

  test('IPsec policies that forwarded packets can match', async () => {
    router.ip('xfrm policy add src 10.0.0.0/8 dst 203.0.113.0/25 dir out action block');
    // One for packets to the machine itself, one for packets through an XFRM interface.
    router.ip('xfrm policy add src ::/0 dst ::/0 dir in action block');
    router.ip('xfrm policy add src ::/0 dst ::/0 dir out if_id 7 action block');
    expect(await fate()).toBe('route trap, forward');
    const half = { destination: '203.0.113.200', source: '192.168.7.7', in: 'p0' };
    expect((await host.lookup(half)).action).toBe('forward');
    expect(await stateOf('route', '203.0.113.0/24')).toEqual(['offloaded']);
    expect(await stateOf('xfrm-policy', 'dir', 'out', 'dst', '203.0.113.0/25')).toEqual([
      'trapped ipsec-policy',
    ]);
    expect(await stateOf('xfrm-policy', 'dir', 'in')).toEqual(['none']);
    await host.verified();

    // Whatever it covers stays with the kernel: routes, and hosts of a connected network.
    router.ip('xfrm policy update src 10.0.0.0/8 dst 203.0.0.0/16 dir fwd action block');
    router.ip('xfrm policy add src 0.0.0.0/0 dst 10.255.1.0/24 dir fwd action block');
    expect(await stateOf('route', '203.0.113.0/24')).toEqual(['trapped ipsec-policy']);
    const neighbour = { destination: host4(1, 3), source: '192.168.7.7', in: 'p0' };
    expect((await host.lookup(neighbour)).action).toBe('trap');
    router.ip('xfrm policy delete src 0.0.0.0/0 dst 10.255.1.0/24 dir fwd');
    await host.settled();
    expect((await host.lookup(neighbour)).action).toBe('forward');
    router.ip('xfrm policy add src ::/0 dst 2001:db8::/32 dir out action block');
    expect(await fate()).toBe('route trap, route trap');
    await host.verified();
    const { out } = await host.ekho('explain', 'route', '203.0.113.0/24');
    expect(out).toContain('ipsec-policy');
    router.ip('xfrm policy flush');
    expect(await fate()).toBe('forward, forward');

    router.ip('xfrm policy setdefault fwd block');
    expect(await fate()).toBe('family not routed, family not routed');
    expect(await stateOf('link', 'dev', 'p0')).toEqual(['trapped ipsec-policy']);
    router.ip('xfrm policy setdefault fwd accept');
  });

  test('nft chains in the forwarding path', async () => {
    // Chains that change nothing do not matter.
    router.run('nft', ['add table ip t; add chain ip t f { type filter hook forward priority 0; }']);
    expect(await fate()).toBe('forward, forward');
    // Neither do those that hardware has as rules of its own.
    router.run('nft', ['add rule ip t f ip daddr 198.51.100.9 drop']);
    expect(await fate()).toBe('forward, forward');
    router.run('nft', ['add rule ip t f ct state invalid drop']);
    expect(await fate()).toBe('family not routed, forward');
    expect(await offloadOf('link', 'dev', 'p0')).toMatchObject([
      { state: 'trapped', reason: 'netfilter-hook', detail: expect.stringContaining('IPv4') },
    ]);
    router.run('nft', ['delete table ip t']);
    expect(await fate()).toBe('forward, forward');

    router.run('nft', [
      'add table inet t; add chain inet t f { type filter hook prerouting priority 0; policy drop; }',
    ]);
    expect(await fate()).toBe('family not routed, family not routed');
    router.run('nft', ['delete table inet t']);

    // Not in the path of what is forwarded.
    router.run('nft', ['add table inet t; add chain inet t i { type filter hook input priority 0; }']);
    router.run('nft', ['add rule inet t i tcp dport 22 drop']);
    expect(await fate()).toBe('forward, forward');
    router.run('nft', ['delete table inet t']);

    router.run('nft', [
      'add table netdev t; add chain netdev t i { type filter hook ingress device p0 priority 0; }',
    ]);
    router.run('nft', ['add rule netdev t i ip saddr 192.0.2.1 drop']);
    expect(await fate()).toBe('port traps all, port traps all');
    expect(await stateOf('link', 'dev', 'p0')).toEqual(['trapped netfilter-hook']);
    router.run('nft', ['delete table netdev t']);
  });

  test('tc filters the device cannot evaluate hold back those after them', async () => {
    router.run('tc', ['qdisc', 'add', 'dev', 'p0', 'clsact']);
    const u32 = (priority: number, protocol: string, ...match: readonly string[]) =>
      router.run('tc', [
        ...['filter', 'add', 'dev', 'p0', 'ingress', 'protocol', protocol, 'prio', `${priority}`, 'u32'],
        ...['match', ...match, 'action', 'mirred', 'egress', 'redirect', 'dev', 'p1'],
      ]);
    // By TTL, which rules do not look at: what it might match is all of IPv4.
    u32(10, 'ip', 'u8', '64', '0xff', 'at', '8');
    expect(await fate()).toBe('acl trap, forward');
    expect(await stateOf('filter', 'dev', 'p0', 'ingress')).toContain('trapped unsupported-match');
    const { out } = await host.ekho('explain', 'filter', 'dev', 'p0', 'ingress');
    expect(out).toContain('unsupported-match');
    // This one might match anything, so those after it are never asked.
    u32(5, 'all', 'u8', '0x45', '0xff', 'at', '0');
    expect(await fate()).toBe('acl trap, acl trap');
    const states = await stateOf('filter', 'dev', 'p0', 'ingress');
    expect(states).toContain('trapped unsupported-match');
    expect(states).toContain('refused after-refused-filter');
    router.run('tc', ['filter', 'del', 'dev', 'p0', 'ingress', 'prio', '5']);
    expect(await fate()).toBe('acl trap, forward');
    router.run('tc', ['qdisc', 'del', 'dev', 'p0', 'clsact']);
    await host.settled();
    expect(await host.used('acl')).toBe(0);
  });

  test('filters and queues where packets leave', async () => {
    router.run('tc', ['qdisc', 'add', 'dev', 'p1', 'clsact']);
    const filter = ['u32', 'match', 'u8', '0', '0', 'at', '0'];
    router.run('tc', ['filter', 'add', 'dev', 'p1', 'egress', 'protocol', 'all', ...filter]);
    expect(await fate()).toBe('nexthop trap, nexthop trap');
    expect(await stateOf('route', '203.0.113.0/24')).toEqual(['trapped egress-filter']);
    router.run('tc', ['qdisc', 'del', 'dev', 'p1', 'clsact']);
    expect(await fate()).toBe('forward, forward');
    router.run('tc', [
      'qdisc',
      'add',
      'dev',
      'p1',
      'root',
      'tbf',
      'rate',
      '1mbit',
      'burst',
      '10k',
      'latency',
      '50ms',
    ]);
    expect(await fate()).toBe('nexthop trap, nexthop trap');
    expect(await stateOf('route', '203.0.113.0/24')).toEqual(['trapped egress-qdisc']);
    router.run('tc', ['qdisc', 'del', 'dev', 'p1', 'root']);
  });

  test('unresolved gateways', async () => {
    router.ip(`neigh del ${host4(1, 2)} dev p1`);
    expect(await fate()).toBe('nexthop trap, forward');
    expect(await stateOf('route', '203.0.113.0/24')).toEqual(['trapped nexthop-unresolved']);
    // One change resolves any number of routes.
    const { writes } = await host.device();
    router.ip(`neigh replace ${host4(1, 2)} lladdr ${macOf(1, 2)} dev p1 nud permanent`);
    expect(await fate()).toBe('forward, forward');
    // The gateway's nexthop, and the route to the gateway itself.
    expect((await host.device()).writes - writes).toBeLessThanOrEqual(4);
  });
});

test('with netfilter = "ignore" chains do not matter', async () => {
  router = new Router(2);
  try {
    router.ip(`route add 203.0.113.0/24 via ${host4(1, 2)}`);
    router.ip(`route add 2001:db8:cafe::/48 via ${host6(1, 2)}`);
    router.run('nft', ['add table inet t; add chain inet t f { type filter hook forward priority 0; }']);
    router.run('nft', ['add rule inet t f ip daddr 198.51.100.9 drop']);
    host = await TestHost.start({ netns: router.name, netfilter: 'ignore' });
    expect(await fate()).toBe('forward, forward');
  } finally {
    await host?.close();
    router.close();
  }
});

describe('bridge ports', () => {
  const MAC = '02:aa:00:00:00:01';
  const OTHER = '02:aa:00:00:00:02';

  beforeAll(async () => {
    router = new Router(3);
    router.ip('link add br0 type bridge forward_delay 0');
    router.ip('link set br0 up');
    for (const port of ['p0', 'p1']) {
      router.ip(`addr flush dev ${port}`);
      router.ip(`link set ${port} master br0`);
    }
    router.run('bridge', ['fdb', 'add', MAC, 'dev', 'p0', 'master', 'static']);
    router.run('bridge', ['fdb', 'add', OTHER, 'dev', 'p1', 'master', 'static']);
    host = await TestHost.start({ netns: router.name });
  });

  afterAll(async () => {
    await host?.close();
    router?.close();
  });

  interface FdbRow {
    readonly mac: string;
    readonly ifname: string;
    readonly master?: string;
    readonly offload: readonly Offload[];
  }

  async function fdb(mac: string): Promise<{ port: string; state: string } | undefined> {
    await host.settled();
    const rows = await host.client.get<FdbRow[]>('/api/v1/objects/fdb');
    const row = rows.find((row) => row.mac === mac && row.master === 'br0');
    if (row === undefined) return undefined;
    const { state, reason } = row.offload[0]!;
    return { port: row.ifname, state: `${state}${reason ? ` ${reason}` : ''}` };
  }

  test('static and dynamic entries are held, local ones trap, moves are changes in place', async () => {
    expect(await fdb(MAC)).toEqual({ port: 'p0', state: 'offloaded' });
    expect(await fdb(OTHER)).toEqual({ port: 'p1', state: 'offloaded' });
    const own = (JSON.parse(router.run('ip', ['-j', 'link', 'show', 'p0'])) as { address: string }[])[0]!;
    expect(await fdb(own.address)).toEqual({ port: 'p0', state: 'trapped local' });
    const { writes, removes } = await host.device();
    const held = await host.used('fdb');
    router.run('bridge', ['fdb', 'replace', MAC, 'dev', 'p1', 'master', 'static']);
    expect(await fdb(MAC)).toEqual({ port: 'p1', state: 'offloaded' });
    expect(await host.device()).toMatchObject({ writes: writes + 1, removes });
    router.run('bridge', ['fdb', 'replace', MAC, 'dev', 'p0', 'master', 'static']);
    router.run('bridge', ['fdb', 'add', '02:aa:00:00:00:03', 'dev', 'p1', 'master', 'dynamic']);
    expect(await fdb('02:aa:00:00:00:03')).toEqual({ port: 'p1', state: 'offloaded' });
    expect(await host.used('fdb')).toBe(held + 1);
    router.run('bridge', ['fdb', 'del', '02:aa:00:00:00:03', 'dev', 'p1', 'master']);
    expect(await fdb('02:aa:00:00:00:03')).toBeUndefined();
    expect(await host.used('fdb')).toBe(held);
    await host.verified();
  });

  test('ports of the bridge route nothing, others go on', async () => {
    expect(await stateOf('link', 'dev', 'p0')).toEqual(['offloaded']);
    expect(await host.lookup({ destination: host4(2, 3), in: 'p0' })).toMatchObject({
      action: 'trap',
      by: 'addressed to the bridge',
    });
    expect(await stateOf('link', 'dev', 'br0')).toEqual(['none']);
  });

  test('options the device lacks', async () => {
    for (const option of ['isolated', 'hairpin', 'neigh_suppress']) {
      router.run('bridge', ['link', 'set', 'dev', 'p0', option, 'on']);
      expect(await stateOf('link', 'dev', 'p0'), option).toEqual(['trapped bridge-option']);
      router.run('bridge', ['link', 'set', 'dev', 'p0', option, 'off']);
      expect(await stateOf('link', 'dev', 'p0'), option).toEqual(['offloaded']);
    }
  });

  test('an entry whose port goes down, and comes back', async () => {
    router.ip('link set v1 down');
    expect(await fdb(OTHER)).toEqual({ port: 'p1', state: 'trapped link-down' });
    router.ip('link set v1 up');
    expect(await fdb(OTHER)).toEqual({ port: 'p1', state: 'offloaded' });
    await host.verified();
  });

  test('netfilter in the bridge', async () => {
    router.run('nft', ['add table bridge t; add chain bridge t f { type filter hook forward priority 0; }']);
    router.run('nft', ['add rule bridge t f ether saddr 02:aa:00:00:00:01 drop']);
    expect(await fdb(MAC)).toEqual({ port: 'p0', state: 'trapped bridge-filter' });
    router.run('nft', ['delete table bridge t']);
    expect(await fdb(MAC)).toEqual({ port: 'p0', state: 'offloaded' });
  });

  test('a port that leaves the bridge routes again', async () => {
    router.ip('link set p1 nomaster');
    router.ip(`addr add ${host4(1, 1)}/24 dev p1`);
    router.ip(`neigh replace ${host4(2, 3)} lladdr ${macOf(2, 3)} dev p2 nud permanent`);
    await host.settled();
    expect(await host.lookup({ destination: host4(2, 3), source: host4(1, 7), in: 'p1' })).toMatchObject({
      action: 'forward',
      ways: [{ link: 'p2' }],
    });
    expect(await fdb(OTHER)).toBeUndefined();
    await host.verified();
  });
});
