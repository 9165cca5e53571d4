/** Settings of links that decide about forwarding and that nobody announces: what the kernel would not forward, the data path does not. */
import { afterEach, expect, test } from 'vitest';
import { Datapath } from '../support/datapath.ts';
import { address4, address6, hostMac, Wires } from '../support/wires.ts';

const PINGS = 5;

let path: Datapath | undefined;

afterEach(async () => {
  await path?.close();
  path = undefined;
});

/** Echo requests of IPv6 that got to host 1, of those that host 0 sends. */
function arrived({ wires }: Datapath): number {
  const count = () =>
    Number(/^Icmp6InEchos\s+(\d+)/m.exec(wires.hosts[1]!.run('cat', ['/proc/net/snmp6']))![1]);
  const before = count();
  wires.ping(0, address6(1), PINGS);
  return count() - before;
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
