/**
 * TCP connections over the data path while everything beneath them changes: routes go and come back by another way, an address moves
 * between the ports of a bridge, the plugin starts again. No connection is reset, nothing arrives damaged, and afterwards every frame
 * that the ports received was counted once: forwarded, or handed to the kernel.
 *
 * EKHO_TCP_SECONDS is for how long.
 */
import type { ChildProcess } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import { Datapath } from '../support/datapath.ts';
import { pause } from '../support/host.ts';
import type { Netns } from '../support/netns.ts';
import { has, hostMac, routerMac, Wires } from '../support/wires.ts';

const SECONDS = Number(process.env.EKHO_TCP_SECONDS ?? 5);
/** Rate of each connection: what the slowest machine carries beside other tests. */
const RATE = '200M';
/** Address of host 1 behind either of its links. */
const SERVER = '10.77.0.2';
const BRIDGED = ['10.201.0.2', '10.201.0.3'] as const;
/** Longest until the counters, which are read one after the other, tell of the same frames. */
const QUIET_MS = 60_000;

let path: Datapath | undefined;
const children: ChildProcess[] = [];

afterEach(async () => {
  await Promise.all(children.splice(0).map(ended));
  await path?.close();
  path = undefined;
});

/** Ends a process, and resolves once it has. */
function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const gone = new Promise<void>((resolve) => child.on('close', () => resolve()));
  child.kill('SIGKILL');
  return gone;
}

/** Host 1 is reached by p1 and p4, and host 3, behind the bridge of p2, p3 and p5, by either of the latter. */
function wired(): Wires {
  const wires = new Wires({ hosts: 4 });
  const { router, hosts } = wires;
  try {
    must(router, [
      `link add p4 address ${routerMac(4)} type veth peer name eth1 address ${hostMac(4)} netns ${hosts[1]!.name}`,
      `link add p5 address ${routerMac(5)} type veth peer name eth1 address ${hostMac(3)} netns ${hosts[3]!.name}`,
      'link set p4 up',
      'link set p5 up',
      'addr add 10.200.4.1/24 dev p4',
      `neigh replace 10.200.4.2 lladdr ${hostMac(4)} dev p4 nud permanent`,
      'link add br0 type bridge mcast_snooping 0',
      'link set br0 up',
      ...['p2', 'p3', 'p5'].flatMap((port) => [`addr flush dev ${port}`, `link set ${port} master br0`]),
      `route add ${SERVER}/32 via 10.200.1.2`,
    ]);
    // Host 3 answers by its first link, wherever its address is.
    for (const port of ['p3', 'p5']) {
      router.run('bridge', 'link set learning off flood off mcast_flood off dev'.split(' ').concat(port));
    }
    router.run('bridge', ['fdb', 'replace', hostMac(2), 'dev', 'p2', 'master', 'static']);
    router.run('bridge', ['fdb', 'replace', hostMac(3), 'dev', 'p3', 'master', 'static']);
    must(hosts[1]!, ['link set eth1 up', `addr add ${SERVER}/32 dev lo`, 'addr add 10.200.4.2/24 dev eth1']);
    for (const [index, host] of [hosts[2]!, hosts[3]!].entries()) {
      const peer = `neigh replace ${BRIDGED[1 - index]} lladdr ${hostMac(3 - index)} dev eth0 nud permanent`;
      must(host, ['addr flush dev eth0', `addr add ${BRIDGED[index]}/24 dev eth0`, peer]);
    }
    must(hosts[3]!, ['link set eth1 up']);
    for (const host of [hosts[1]!, hosts[3]!]) {
      host.run('ethtool', ['-K', 'eth1', 'tx', 'off']);
      host.sysctl(...['all', 'eth0', 'eth1'].map((name) => `net.ipv4.conf.${name}.rp_filter=0`));
    }
  } catch (error) {
    wires.close();
    throw error;
  }
  return wires;
}

function must(netns: Netns, lines: readonly string[]): void {
  const failed = netns.batch(lines);
  if (failed.size > 0) throw new Error(`ip refuses: ${lines[[...failed][0]!]}`);
}

async function connect(from: Netns, to: Netns, address: string): Promise<ChildProcess> {
  const server = to.launch('iperf3', ['-s', '--forceflush']);
  children.push(server);
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const hear = (text: string) => {
      said += text;
      if (said.includes('listening')) resolve();
    };
    for (const stream of [server.stdout, server.stderr]) stream.setEncoding('utf8').on('data', hear);
    server.on('close', () => reject(new Error(`iperf3 -s: ${said}`)));
  });
  const client = from.launch('iperf3', ['-c', address, '-t', '3600', '-b', RATE]);
  client.stdout.resume();
  client.stderr.resume();
  children.push(client);
  return client;
}

/** A line of /proc/net/snmp. */
function snmp(netns: Netns, protocol: string): Record<string, number> {
  const lines = netns.run('cat', ['/proc/net/snmp']).split('\n');
  const [names, values] = lines
    .filter((line) => line.startsWith(`${protocol}: `))
    .map((line) => line.split(' ').slice(1));
  return Object.fromEntries(names!.map((name, index) => [name, Number(values![index])]));
}

interface Sums {
  readonly received: number;
  readonly receivedBytes: number;
  readonly counted: number;
  readonly countedBytes: number;
  /** Of `counted`, those that the data path forwarded. */
  readonly forwarded: number;
}

async function sums({ host, wires }: Datapath): Promise<Sums> {
  const links = JSON.parse(wires.router.ip('-s -j link show')) as {
    ifname: string;
    stats64: { rx: { packets: number; bytes: number } };
  }[];
  const rx = links.filter(({ ifname }) => /^p\d$/.test(ifname)).map(({ stats64 }) => stats64.rx);
  const { entries } = await host.stats();
  const ports = entries.filter(({ entry }) => entry.startsWith('port: '));
  const traps = (await host.device()).traps ?? [];
  const of = (rows: readonly { packets: number; bytes: number }[], what: 'packets' | 'bytes') =>
    rows.reduce((sum, row) => sum + row[what], 0);
  return {
    received: of(rx, 'packets'),
    receivedBytes: of(rx, 'bytes'),
    counted: of(ports, 'packets') + of(traps, 'packets'),
    countedBytes: of(ports, 'bytes') + of(traps, 'bytes'),
    forwarded: of(ports, 'packets'),
  };
}

/** Once nothing is under way: the counters of two readings in a row. */
async function quiet(one: Datapath): Promise<Sums> {
  const end = performance.now() + QUIET_MS;
  for (let before = await sums(one); ; ) {
    const after = await sums(one);
    if (JSON.stringify(before) === JSON.stringify(after) || performance.now() > end) return after;
    before = after;
  }
}

test.skipIf(!has('iperf3'))(
  'connections outlive changes beneath them, and all frames are counted once (iperf3)',
  async () => {
    path = await Datapath.start(wired());
    const { wires, host } = path;
    const { router, hosts } = wires;
    const before = await quiet(path);
    const clients = [
      await connect(hosts[0]!, hosts[1]!, SERVER),
      await connect(hosts[2]!, hosts[3]!, BRIDGED[1]),
    ];
    const segments = () => [hosts[1]!, hosts[3]!].map((netns) => snmp(netns, 'Tcp').InSegs!);
    await host.until('both connections carry data', async () => segments().every((count) => count > 1000));

    const end = performance.now() + SECONDS * 1000;
    let rounds = 0;
    for (; performance.now() < end || rounds < 6; rounds++) {
      const port = rounds % 2 === 0 ? 4 : 1;
      must(router, [
        `route add ${SERVER}/32 via 10.200.${port}.2 metric 1`,
        `route del ${SERVER}/32 metric 0`,
        `route replace ${SERVER}/32 via 10.200.${port}.2`,
        `route del ${SERVER}/32 metric 1`,
        // Until the kernel has asked for it, frames to it are the kernel's.
        `neigh del 10.200.${port}.2 dev p${port}`,
      ]);
      const moved = rounds % 2 === 0 ? 'p5' : 'p3';
      router.run('bridge', ['fdb', 'replace', hostMac(3), 'dev', moved, 'master', 'static']);
      if (rounds % 4 === 2) await host.restartPlugin();
      await pause(100);
    }
    await host.settled();
    const carried = segments();
    await host.until('both connections still carry data', async () =>
      segments().every((count, index) => count > carried[index]! + 1000),
    );
    for (const netns of hosts) {
      const { OutRsts, EstabResets, InErrs, InCsumErrors } = snmp(netns, 'Tcp');
      expect({ OutRsts, EstabResets, InErrs, InCsumErrors }).toEqual({
        OutRsts: 0,
        EstabResets: 0,
        InErrs: 0,
        InCsumErrors: 0,
      });
    }
    for (const client of clients) expect(client.exitCode).toBe(null);

    await Promise.all(children.splice(0).map(ended));
    const after = await quiet(path);
    const received = after.received - before.received;
    console.log(
      `${rounds} rounds of changes, ${received} frames, ${after.forwarded - before.forwarded} of them in the data path`,
    );
    expect(received).toBe(after.counted - before.counted);
    expect(after.receivedBytes - before.receivedBytes).toBe(after.countedBytes - before.countedBytes);
    const forwarded = after.forwarded - before.forwarded;
    expect(forwarded).toBeGreaterThan(received / 2);
    expect(forwarded).toBeLessThan(received);
    await host.verified();
  },
  120_000 + SECONDS * 2000,
);
