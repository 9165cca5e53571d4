/**
 * Connections of flowtables that the kernel wants in hardware (`flags offload`): first as a program and this test answer, then with a
 * host whose hardware is the XDP data path, IPv4 and IPv6, masqueraded.
 */
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Firmware, type FirmwareRule } from '../../host/kernel/firmware/firmware.ts';
import { CAPABILITIES, SOON, Switch, withModule } from './firmware-support.ts';

const PORT = 7000;
/** Seconds without a packet after which the kernel takes a flow out of the flowtable. */
const AGE = 15;
/** Packets that hardware must have forwarded in each direction. */
const ENOUGH = 10;

const FLOWTABLE = `
table inet edge {
  flowtable fast {
    hook ingress priority 0
    devices = { sw0, sw1 }
    flags offload
    counter
  }
  chain forward {
    type filter hook forward priority 0
    ct state established meta l4proto { tcp, udp } flow add @fast
  }
  chain post {
    type nat hook postrouting priority 100
    oifname sw1 masquerade
  }
}
`;

/** Sends back what comes, by TCP and UDP. */
const ECHO = `
  require('net').createServer((socket) => socket.pipe(socket)).listen(${PORT}, '::');
  const udp = require('dgram').createSocket('udp6');
  udp.on('message', (data, { port, address }) => udp.send(data, port, address));
  udp.bind(${PORT}, '::', () => console.log('listening'));
`;

/** Writes and reads until it is told to end; then it says how many bytes went there and how many came back. */
const TALKER = `
  const [, address] = process.argv;
  const socket = require('net').connect(${PORT}, address);
  socket.setNoDelay(true);
  let sent = 0, received = 0, isLast = false;
  const more = () => {
    const chunk = Buffer.alloc(3000);
    sent += chunk.length;
    socket.write(chunk);
  };
  socket.on('connect', more);
  socket.on('data', (data) => {
    received += data.length;
    if (received < sent) return;
    if (isLast) socket.end();
    else setTimeout(more, 10);
  });
  socket.on('close', () => console.log(JSON.stringify({ sent, received })));
  process.on('SIGTERM', () => { isLast = true; });
`;

/**
 * Sends datagrams from ports 8000 + \`first\` on, \`count\` of them, until it is told to end; when all have been answered it says how many each
 * has sent.
 */
const ASKER = `
  const [, address, first, count] = process.argv;
  const sent = [], received = [];
  let isLast = false;
  for (let n = 0; n < Number(count); n++) {
    const udp = require('dgram').createSocket('udp4');
    sent[n] = received[n] = 0;
    udp.on('message', () => received[n]++);
    udp.bind(8000 + Number(first) + n, () => {
      setInterval(() => isLast || udp.send('datagram', ${PORT}, address, () => sent[n]++), 50);
    });
  }
  setInterval(() => {
    if (!isLast || String(received) !== String(sent)) return;
    console.log(JSON.stringify(sent));
    process.exit();
  }, 100);
  process.on('SIGTERM', () => { isLast = true; });
`;

describe('flowtables in hardware', () => {
  let space: Switch;
  let echo: ReturnType<Switch['launch']>;

  const newFaults = withModule(async () => {
    space = new Switch();
    const [inside, outside] = space.hosts;
    space.script(`
      sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.all.forwarding=1
      ip addr add 192.0.2.1/25 dev sw0
      ip addr add 192.0.2.129/25 dev sw1
      ip addr add 2001:db8:1::1/64 dev sw0 nodad
      ip addr add 2001:db8:2::1/64 dev sw1 nodad
      ip -n ${inside.name} addr add 192.0.2.2/25 dev eth0
      ip -n ${inside.name} addr add 2001:db8:1::2/64 dev eth0 nodad
      ip -n ${inside.name} route add default via 192.0.2.1
      ip -n ${inside.name} route add default via 2001:db8:1::1
      ip -n ${outside.name} addr add 192.0.2.130/25 dev eth0
      ip -n ${outside.name} addr add 2001:db8:2::2/64 dev eth0 nodad
      nft -f - <<'END'
${FLOWTABLE}
END
      sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_flowtable_udp_timeout=${AGE} net.netfilter.nf_flowtable_tcp_timeout=${AGE}
    `);
    echo = outside.launch(process.execPath, ['-e', ECHO]);
    await once(echo.stdout, 'data');
  });

  afterAll(async () => {
    echo?.kill('SIGKILL');
    await space?.end();
  });

  /** What conntrack says of the connections from a port, or of all of them. */
  const connections = (from = '') =>
    space
      .run('cat', ['/proc/net/nf_conntrack'])
      .split('\n')
      .filter((line) => line.includes(`dport=${PORT}`) && line.includes(from));
  const inHardware = (from = '') => connections(from).some((line) => line.includes('[HW_OFFLOAD]'));
  /** Packets of both directions, as conntrack counts them. */
  const packets = (from: string) =>
    connections(from).flatMap((line) =>
      [...line.matchAll(/packets=(\d+)/g)].map(([, count]) => Number(count)),
    );

  /** Ends an ASKER once it is so: how many datagrams went there and came back, from each port. */
  async function asked(asker: typeof echo, isSo: () => unknown): Promise<number[]> {
    const said = once(asker.stdout, 'data');
    try {
      await expect.poll(isSo, SOON).toBe(true);
      asker.kill('SIGTERM');
      return JSON.parse(String((await said)[0])) as number[];
    } finally {
      asker.kill('SIGKILL');
    }
  }

  /** Takes all connections; `rules` is what it has. */
  const firmwareWith = (rules: Map<bigint, FirmwareRule>) =>
    new Firmware(
      {
        netns: space.netns,
        capabilities: {
          ...CAPABILITIES,
          match: [...CAPABILITIES.match, 'tcp', 'fragment'],
          actions: ['set', 'checksum', 'redirect'],
          kinds: ['flowtable'],
        },
      },
      {
        onReplace: (rule) => rules.set(rule.id, rule),
        onDestroy: (id) => rules.delete(id),
      },
    );

  test('a flow that hardware counts stays, and one that it does not goes', async () => {
    const rules = new Map<bigint, FirmwareRule>();
    using firmware = firmwareWith(rules);
    let told = 0n;
    /** Counts for the first connection, and for its directions at the ports that their packets come by. */
    const more = () => {
      told += 10n;
      for (const { id, ifindex, context } of rules.values())
        if (ifindex === context.match.ifindex && isOf(context.match, 8000))
          firmware.count(id, { packets: told, bytes: told * 100n, drops: 0n });
    };
    const asker = space.hosts[0].launch(process.execPath, ['-e', ASKER, '192.0.2.130', '0', '2']);
    const [first, second] = await asked(asker, () => {
      const isSo = rules.size === 8 && inHardware('sport=8000') && inHardware('sport=8001');
      if (isSo) more();
      return isSo;
    });
    more();
    expect(space.counts('sw0')).toEqual({ rules: 4, offloaded: 4 });
    expect(space.counts('sw1')).toEqual({ rules: 4, offloaded: 4 });
    const isSecondThere = () => {
      more();
      return inHardware('sport=8001');
    };
    await expect.poll(isSecondThere, SOON).toBe(false);
    expect(inHardware('sport=8000')).toBe(true);
    expect(packets('sport=8001')).toEqual([second, second]);
    const all = first! + Number(told);
    await expect.poll(() => packets('sport=8000'), SOON).toEqual([all, all]);
    await expect.poll(() => inHardware(), SOON).toBe(false);
    await expect.poll(() => rules.size, SOON).toBe(0);
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
  });

  test('a flowtable that goes takes its connections out of hardware', async () => {
    const rules = new Map<bigint, FirmwareRule>();
    using _firmware = firmwareWith(rules);
    const asker = space.hosts[0].launch(process.execPath, ['-e', ASKER, '192.0.2.130', '9', '1']);
    try {
      await expect.poll(() => rules.size === 4 && inHardware('sport=8009'), SOON).toBe(true);
      space.script('nft delete table inet edge');
      await expect.poll(() => rules.size, SOON).toBe(0);
      for (const port of ['sw0', 'sw1']) expect(space.counts(port)).toEqual({ rules: 0, offloaded: 0 });
      await expect.poll(() => inHardware('sport=8009'), SOON).toBe(false);
    } finally {
      asker.kill('SIGKILL');
      space.script(`nft flush ruleset\nnft -f - <<'END'\n${FLOWTABLE}\nEND`);
    }
  });

  describe('with a host', () => {
    beforeAll(() => space?.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'statistics.interval = 1']));

    /** Entries of connections that hardware forwarded packets by. */
    const forwarded = async () => {
      const { entries } = await space.host.stats();
      return entries.filter(({ entry, packets }) => entry.startsWith('flow ') && packets >= ENOUGH).length;
    };

    test.each([
      ['IPv4', '192.0.2.130'],
      ['IPv6', '2001:db8:2::2'],
    ])('a TCP connection of %s is in hardware, masqueraded, until its end', async (_family, address) => {
      await space.settled();
      const talker = space.hosts[0].launch(process.execPath, ['-e', TALKER, address]);
      const said = once(talker.stdout, 'data');
      try {
        await expect.poll(() => inHardware(), SOON).toBe(true);
        await expect.poll(forwarded, SOON).toBe(2);
        expect(space.counts('sw0')).toEqual({ rules: 2, offloaded: 2 });
        expect(space.counts('sw1')).toEqual({ rules: 2, offloaded: 2 });
        talker.kill('SIGTERM');
        const { sent, received } = JSON.parse(String((await said)[0])) as Record<string, number>;
        expect(received).toBe(sent);
      } finally {
        talker.kill('SIGKILL');
      }
      await expect.poll(() => inHardware(), SOON).toBe(false);
      await expect.poll(() => space.counts('sw0'), SOON).toEqual({ rules: 0, offloaded: 0 });
      await expect.poll(() => space.host.status().firmware, SOON).toMatchObject({ rules: 0 });
      await expect.poll(forwarded, SOON).toBe(0);
      await space.verified();
    });

    test('conntrack counts every packet, whoever forwarded it, and a flow that is idle goes', async () => {
      const asker = space.hosts[0].launch(process.execPath, ['-e', ASKER, '192.0.2.130', '2', '1']);
      const [sent] = await asked(asker, async () => (await forwarded()) === 2);
      await expect.poll(() => packets('sport=8002'), SOON).toEqual([sent, sent]);
      await expect.poll(() => inHardware(), SOON).toBe(false);
      expect(packets('sport=8002')).toEqual([sent, sent]);
      expect(newFaults()).toEqual([]);
    });

    test('connections that hardware has no room for are software’s, with every packet', async () => {
      await space.stop();
      await space.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'statistics.interval = 1'], { flow: 2 });
      const asker = space.hosts[0].launch(process.execPath, ['-e', ASKER, '192.0.2.130', '3', '3']);
      const reasons = async () => {
        const flows = await space.host.explain('flow', [], 10);
        return flows.flatMap(({ offload }) => offload.map(({ reason }) => reason ?? 'none')).sort();
      };
      let why: string[] = [];
      const sent = await asked(asker, async () => {
        why = await reasons();
        return why.length === 3 && (await forwarded()) === 2;
      });
      expect(why).toContain('table-full');
      for (const [n, count] of sent.entries())
        await expect.poll(() => packets(`sport=${8003 + n}`), SOON).toEqual([count, count]);
      await space.verified();
      await expect.poll(() => inHardware(), SOON).toBe(false);
    });
  });
});

function isOf(match: FirmwareRule['context']['match'], port: number): boolean {
  const big = ((port & 0xff) << 8) | (port >>> 8);
  return match.source_port === big || match.destination_port === big;
}
