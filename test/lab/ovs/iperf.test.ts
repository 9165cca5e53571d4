/**
 * iperf3 through a flowtable with `flags offload`, IPv4 and IPv6, both addresses of a connection translated: the kernel shows it as in
 * hardware and counts each packet, and it leaves hardware with its end, or with the flowtable. The XDP data path is the hardware.
 */
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { faults, isLoaded, load, needsModule, SOON, Switch, unload } from '../firmware-support.ts';

const PORT = 5201;
/** Packets that hardware must have forwarded before the connection is looked at. */
const ENOUGH = 200;

const FLOWTABLE = `
  flowtable fast {
    hook ingress priority 0
    devices = { sw0, sw1 }
    flags offload
    counter
  }
`;
const RULE = 'ct state established meta l4proto tcp flow add @fast';
/** Clients ask for addresses that nobody has, and come from one that is the router's. */
const ROUTER = `
table inet edge {
  ${FLOWTABLE}
  chain forward {
    type filter hook forward priority 0
    ${RULE}
  }
  chain pre {
    type nat hook prerouting priority -100
    ip daddr 198.51.100.1 dnat ip to 192.0.2.130
    ip6 daddr 2001:db8:f::1 dnat ip6 to 2001:db8:2::2
  }
  chain post {
    type nat hook postrouting priority 100
    oifname sw1 meta nfproto ipv4 snat ip to 192.0.2.131
    oifname sw1 meta nfproto ipv6 snat ip6 to 2001:db8:2::7
  }
}
`;
/** What arrives at a host. */
const counterOf = (side: 'sport' | 'dport') => `
table netdev count {
  chain in {
    type filter hook ingress device eth0 priority 0
    tcp ${side} ${PORT} counter
  }
}
`;

beforeEach((context) => needsModule(context));

describe('iperf3 through a flowtable in hardware', () => {
  let before: string[];
  let space: Switch;
  let server: ReturnType<Switch['launch']>;

  beforeAll(async () => {
    before = faults();
    load();
    space = new Switch();
    const [inside, outside] = space.hosts;
    space.script(`
      sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.all.forwarding=1
      ip addr add 192.0.2.1/25 dev sw0
      ip addr add 192.0.2.129/25 dev sw1
      ip addr add 192.0.2.131/25 dev sw1
      ip addr add 2001:db8:1::1/64 dev sw0 nodad
      ip addr add 2001:db8:2::1/64 dev sw1 nodad
      ip addr add 2001:db8:2::7/64 dev sw1 nodad
      ip -n ${inside.name} addr add 192.0.2.2/25 dev eth0
      ip -n ${inside.name} addr add 2001:db8:1::2/64 dev eth0 nodad
      ip -n ${inside.name} route add default via 192.0.2.1
      ip -n ${inside.name} route add default via 2001:db8:1::1
      ip -n ${outside.name} addr add 192.0.2.130/25 dev eth0
      ip -n ${outside.name} addr add 2001:db8:2::2/64 dev eth0 nodad
      nft -f - <<'END'
${ROUTER}
END
      sysctl -qw net.netfilter.nf_conntrack_acct=1
    `);
    // A packet is one for all who count.
    for (const [number, host] of space.hosts.entries())
      host.script(`
        ethtool -K eth0 tso off gso off gro off
        nft -f - <<'END'
${counterOf(number === 0 ? 'sport' : 'dport')}
END
      `);
    server = outside.launch('iperf3', ['-s', '-p', `${PORT}`, '--forceflush']);
    await once(server.stdout, 'data');
    await space.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'statistics.interval = 1']);
    await space.settled();
  }, 300_000);

  afterAll(async () => {
    server?.kill('SIGKILL');
    await space?.end();
    if (isLoaded()) await unload();
  });

  const connections = () =>
    space
      .run('cat', ['/proc/net/nf_conntrack'])
      .split('\n')
      .filter((line) => line.includes(`dport=${PORT}`));
  const inHardware = () => connections().filter((line) => line.includes('[HW_OFFLOAD]')).length;
  const sum = (numbers: number[]) => numbers.reduce((all, one) => all + one, 0);

  /** Of all connections, as conntrack counts: packets and bytes there, packets and bytes back. */
  function tracked(): number[] {
    const all = connections().map((line) =>
      [...line.matchAll(/(?:packets|bytes)=(\d+)/g)].map(([, count]) => Number(count)),
    );
    return [0, 1, 2, 3].map((place) => sum(all.map((counts) => counts[place]!)));
  }

  /** The same, as hosts received them. */
  function received(): number[] {
    const of = (host: 0 | 1) => {
      const text = space.hosts[host].run('nft', ['list', 'table', 'netdev', 'count']);
      const [, packets, bytes] = /packets (\d+) bytes (\d+)/.exec(text)!;
      return [Number(packets), Number(bytes)];
    };
    return [...of(1), ...of(0)];
  }

  /** Conntrack and the hosts count from nothing. */
  function forget(): void {
    space.script('conntrack -F 2>/dev/null');
    for (const host of space.hosts) host.script('nft reset rules >/dev/null');
  }

  /** Packets that hardware forwarded of connections. */
  async function forwarded(): Promise<number> {
    const { entries } = await space.host.stats();
    return sum(entries.filter(({ entry }) => entry.startsWith('flow ')).map(({ packets }) => packets));
  }

  const client = (address: string, seconds: number) =>
    space.hosts[0].launch('iperf3', [
      ...['-c', address, '-p', `${PORT}`, '-t', `${seconds}`],
      // What a slow machine can forward.
      ...['-b', '2M', '-l', '1000', '-J'],
    ]);

  test.each([
    ['IPv4', '198.51.100.1'],
    ['IPv6', '2001:db8:f::1'],
  ])('%s, both addresses translated: every packet is counted once', async (_family, address) => {
    forget();
    const iperf = client(address, 40);
    const said: string[] = [];
    iperf.stdout.setEncoding('utf8').on('data', (text) => said.push(text));
    const ended = once(iperf, 'close');
    try {
      // Its connection for control, and the one for data.
      await expect.poll(inHardware, SOON).toBe(2);
      await expect.poll(forwarded, SOON).toBeGreaterThan(ENOUGH);
      // While packets come, conntrack hears of those in hardware: the kernel asks for them every few seconds.
      const hardware = await forwarded();
      await expect.poll(() => tracked()[0], SOON).toBeGreaterThan(hardware);
      expect(iperf.exitCode).toBeNull();
      // What it has sent arrives, and no more comes.
      iperf.kill('SIGSTOP');
      await expect.poll(() => String(tracked()) === String(received()), SOON).toBe(true);
      expect(inHardware()).toBe(2);
      expect(space.counts('sw0')).toEqual({ rules: 4, offloaded: 4 });
      expect(space.counts('sw1')).toEqual({ rules: 4, offloaded: 4 });
      iperf.kill('SIGCONT');
      await ended;
    } finally {
      iperf.kill('SIGKILL');
    }
    const { end, error } = JSON.parse(said.join('')) as {
      end: { sum_sent: { bytes: number }; sum_received: { bytes: number } };
      error?: string;
    };
    expect(error).toBeUndefined();
    // Its server does not wait for the last of the data when it hears of the end by the other connection.
    expect(end.sum_received.bytes / end.sum_sent.bytes).toBeCloseTo(1, 2);
    await expect.poll(inHardware, SOON).toBe(0);
    await expect.poll(() => space.counts('sw0'), SOON).toEqual({ rules: 0, offloaded: 0 });
    await expect.poll(() => space.counts('sw1'), SOON).toEqual({ rules: 0, offloaded: 0 });
    await expect.poll(() => space.host.status().firmware, SOON).toMatchObject({ rules: 0 });
  });

  test('a flowtable that goes takes its connections out of hardware, and they go on', async () => {
    forget();
    // Longer than the test takes, which ends it.
    const iperf = client('198.51.100.1', 300);
    const more = async () => {
      const [before] = received() as [number];
      await expect.poll(() => received()[0]! - before, SOON).toBeGreaterThan(ENOUGH);
    };
    try {
      await expect.poll(inHardware, SOON).toBe(2);
      space.script('nft flush chain inet edge forward; nft delete flowtable inet edge fast');
      // The kernel frees a table by a worker.
      await expect.poll(() => space.counts('sw0'), SOON).toEqual({ rules: 0, offloaded: 0 });
      expect(inHardware()).toBe(0);
      await more();
      space.script(`nft -f - <<'END'
table inet edge { ${FLOWTABLE} }
END
nft add rule inet edge forward ${RULE}`);
      // By the one for control nothing comes before the end.
      await expect.poll(inHardware, SOON).toBe(1);
      await more();
      expect(iperf.exitCode).toBeNull();
    } finally {
      iperf.kill('SIGKILL');
    }
    await expect.poll(inHardware, SOON).toBe(0);
    expect(faults().filter((line) => !before.includes(line))).toEqual([]);
  });
});
