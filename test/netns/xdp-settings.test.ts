/** Settings that decide about forwarding, most of which nobody announces: what the kernel would not forward, the data path does not. */
import { afterEach, expect, test } from 'vitest';
import { frameOf } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { Datapath } from '../support/datapath.ts';
import { address4, address6, hostMac, routerMac, Wires } from '../support/wires.ts';

const PINGS = 5;

let path: Datapath | undefined;

afterEach(async () => {
  await path?.close();
  path = undefined;
});

/** Messages of IPv6 that got to host 1, by their name in the kernel's counters. */
function messages({ wires }: Datapath, name: string): number {
  const counters = wires.hosts[1]!.run('cat', ['/proc/net/snmp6']);
  return Number(new RegExp(`^Icmp6In${name}\\s+(\\d+)`, 'm').exec(counters)![1]);
}

/** Echo requests of IPv6 that got to host 1, of those that host 0 sends. */
function arrived(path: Datapath): number {
  const before = messages(path, 'Echos');
  path.wires.ping(0, address6(1), PINGS);
  return messages(path, 'Echos') - before;
}

test('IPv6 that is off at a link, or has an MTU of its own', async () => {
  path = await Datapath.start(new Wires());
  const { wires, host } = path;
  const large = (to: string) => wires.ping(0, to, PINGS, ['-M', 'do', '-s', '1400']);
  await host.settled();
  expect([large(address4(1)), large(address6(1)), arrived(path)]).toEqual([PINGS, PINGS, PINGS]);
  wires.router.sysctl('net.ipv6.conf.p1.mtu=1280');
  await host.settled();
  expect([large(address4(1)), large(address6(1)), arrived(path)]).toEqual([PINGS, 0, PINGS]);
  wires.router.sysctl('net.ipv6.conf.p0.disable_ipv6=1');
  await host.settled();
  expect([wires.ping(0, address4(1), PINGS), arrived(path)]).toEqual([PINGS, 0]);
  await host.verified();
});

test('path MTUs that the kernel learned and keeps to when it forwards: all of IPv4 is its own', async () => {
  path = await Datapath.start(new Wires());
  const { wires, host } = path;
  const byKernel = () => {
    const before = path!.forwarded().v4;
    expect(wires.ping(0, address4(1), PINGS)).toBe(PINGS);
    return path!.forwarded().v4 - before;
  };
  for (const [setting, forwarded] of [
    [1, 2 * PINGS],
    [0, 0],
  ] as const) {
    wires.router.sysctl(`net.ipv4.ip_forward_use_pmtu=${setting}`);
    await host.settled();
    expect(byKernel()).toBe(forwarded);
    const { out } = await host.ekho('explain', 'link', 'p0');
    expect(out.includes('keep to path MTUs')).toBe(setting === 1);
  }
  await host.verified();
});

test('neighbour discovery for addresses that the kernel answers for is its own, and nothing else', async () => {
  path = await Datapath.start(new Wires());
  const { wires, host } = path;
  const [{ ifindex }] = JSON.parse(wires.hosts[0]!.ip('-j link show dev eth0')) as [{ ifindex: number }];
  using wire = new WireEnd(wires.hosts[0]!.name, ifindex);
  /** Whether all solicitations for host 1 got there that host 0 sends through the router; then what the kernel forwards of pings. */
  const asked = () => {
    const before = messages(path!, 'NeighborSolicits');
    const kernel = path!.forwarded().v6;
    for (let number = 0; number < PINGS; number++) {
      const body = {
        is: 'ip6',
        source: address6(0),
        destination: address6(1),
        hops: 255,
        l4: { is: 'icmp', type: 135 },
      } as const;
      expect(
        wire.send(frameOf({ port: 0, from: hostMac(0), to: routerMac(0), body, payload: 24 }, number)),
      ).toBe(true);
    }
    // What is sent later gets there later.
    expect(wires.ping(0, address6(1), PINGS)).toBe(PINGS);
    return {
      arrived: messages(path!, 'NeighborSolicits') - before >= PINGS,
      byKernel: path!.forwarded().v6 - kernel,
    };
  };
  wires.router.ip(`neigh add proxy ${address6(1)} dev p0`);
  await host.settled();
  expect(asked()).toEqual({ arrived: true, byKernel: 0 });
  wires.router.sysctl('net.ipv6.conf.all.proxy_ndp=1');
  await host.settled();
  expect(asked()).toEqual({ arrived: false, byKernel: 0 });
  await host.verified();
});

test('a macvlan of mode source gets its copies', async () => {
  const wires = new Wires();
  wires.router.ip('link add mv0 link p0 type macvlan mode source');
  wires.router.ip(`link set link dev mv0 type macvlan macaddr add ${hostMac(0)}`);
  wires.router.ip('link set mv0 up');
  path = await Datapath.start(wires);
  await path.host.settled();
  const copies = () => Number(wires.router.run('cat', ['/sys/class/net/mv0/statistics/rx_packets']));
  const before = copies();
  expect(wires.ping(0, address4(1), PINGS)).toBe(PINGS);
  expect(copies() - before).toBeGreaterThanOrEqual(PINGS);
});
