/** What only the data path uses does not age in the kernel: learned addresses, neighbours; and settings that nobody announces. */
import { afterEach, expect, test } from 'vitest';
import { added, Datapath } from '../support/datapath.ts';
import type { Netns } from '../support/netns.ts';
import { address4, address6, hostMac, Wires } from '../support/wires.ts';

const LIMIT_MS = 90_000;

let path: Datapath | undefined;
let pinging: { stop(): Promise<unknown> } | undefined;

afterEach(async () => {
  await pinging?.stop();
  await path?.close();
  pinging = path = undefined;
});

interface FdbRow {
  readonly mac: string;
  /** Seconds since the kernel last had a frame from it, or was told of one. */
  readonly updated?: number;
}

test('an address stays learned as long as its station sends, although the kernel does not see it', async () => {
  const wires = new Wires({ hosts: 3, routed: false });
  const { router, hosts } = wires;
  const address = (host: number) => `10.201.0.${host + 1}`;
  router.ip('link add br0 type bridge mcast_snooping 0');
  router.ip('link set br0 up');
  hosts.forEach((host, number) => {
    router.ip(`link set p${number} master br0`);
    host.ip(`addr add ${address(number)}/24 dev eth0`);
    for (const other of [0, 1, 2])
      if (other !== number)
        host.ip(`neigh replace ${address(other)} lladdr ${hostMac(other)} dev eth0 nud permanent`);
  });
  path = await Datapath.start(wires, { statisticsInterval: 1 });
  const { host } = path;
  // Frames to host 2 do not keep it: it has fallen silent, and its own last frame is the answer to this.
  expect(wires.ping(0, address(2), 1)).toBe(1);
  hosts[2]!.sysctl('net.ipv4.icmp_echo_ignore_all=1');
  const pings = [wires.pingMeanwhile(0, address(1)), wires.pingMeanwhile(0, address(2))];
  pinging = { stop: () => Promise.all(pings.map((ping) => ping.stop())) };
  const seen = async (): Promise<number> =>
    Object.entries(await path!.traps()).reduce(
      (sum, [reason, count]) => sum + (reason.includes('mac') ? count : 0),
      0,
    );
  const ages = (): (number | undefined)[] => {
    const rows = JSON.parse(router.run('bridge', ['-s', '-j', 'fdb', 'show', 'br', 'br0'])) as FdbRow[];
    return [0, 1, 2].map((number) => rows.find(({ mac }) => mac === hostMac(number))?.updated);
  };
  await host.until('the data path has all of it', async () => {
    const before = await seen();
    const counted = await path!.count(hostMac(1));
    await host.until(
      'more goes by',
      async () => (await path!.count(hostMac(1))).packets > counted.packets + 50,
    );
    return (await seen()) === before;
  });
  const [silent] = ages().slice(2);
  expect(silent).toBeDefined();
  await host.until(
    'the silent one is older by three seconds',
    async () => ages()[2]! >= silent! + 3,
    LIMIT_MS,
  );
  await host.until(
    'those that send are younger than the silence',
    async () =>
      ages()
        .slice(0, 2)
        .every((age) => age! < ages()[2]! - 1),
    LIMIT_MS,
  );
});

test('a neighbour that only the data path uses is asked for again once it is stale', async () => {
  path = await Datapath.start(new Wires(), { statisticsInterval: 1 });
  const { wires, host } = path;
  const { router } = wires;
  router.sysctl('net.ipv4.neigh.p1.delay_first_probe_time=1', 'net.ipv6.neigh.p1.delay_first_probe_time=1');
  for (const address of [address4(1), address6(1)])
    router.ip(`neigh replace ${address} lladdr ${hostMac(1)} dev p1 nud stale`);
  await host.settled();
  const kernel = path.forwarded();
  const pings = [wires.pingMeanwhile(0, address4(1)), wires.pingMeanwhile(0, address6(1))];
  pinging = { stop: () => Promise.all(pings.map((ping) => ping.stop())) };
  const state = (address: string): string | undefined =>
    (JSON.parse(router.ip(`-j neigh show to ${address} dev p1`)) as { state?: string[] }[])[0]?.state?.[0];
  for (const address of [address4(1), address6(1)])
    await host.until(`${address} has answered`, async () => state(address) === 'REACHABLE', LIMIT_MS);
  expect(path.forwarded()).toEqual(kernel);
});

test('flows go by their ports as soon as the kernel is told to', async () => {
  const wires = new Wires({ hosts: 3 });
  wires.router.ip(
    `route add 198.51.100.0/24 nexthop via ${address4(1)} dev p1 nexthop via ${address4(2)} dev p2`,
  );
  path = await Datapath.start(wires);
  const { host } = path;
  const received = (netns: Netns): number => {
    const [, values] = netns.run('grep', ['^Ip:', '/proc/net/snmp']).split('\n');
    return Number(values!.split(' ')[3]);
  };
  /** How many gateways get some of 32 datagrams between the same addresses, to 32 ports. */
  const ways = (): number => {
    const before = wires.hosts.map(received);
    const ports = Array.from({ length: 32 }, (_, port) => `echo > /dev/udp/198.51.100.1/${port + 1}`);
    wires.hosts[0]!.run('bash', ['-c', ports.join('\n')]);
    const after = wires.hosts.map(received);
    return [1, 2].filter((number) => after[number]! > before[number]!).length;
  };
  const traps = await path.traps();
  expect(ways()).toBe(1);
  wires.router.sysctl('net.ipv4.fib_multipath_hash_policy=1');
  await host.until('ports matter', async () => ways() === 2);
  wires.router.sysctl('net.ipv4.fib_multipath_hash_policy=0');
  await host.until('ports do not matter', async () => ways() === 1);
  expect(added(traps, await path.traps())).toEqual({});
});
