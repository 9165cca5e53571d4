/** The XDP data path routes real packets between namespaces; what it cannot do right, the kernel does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { frameOf } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { attachTcx } from '../support/bpf-hooks.ts';
import { added, Datapath } from '../support/datapath.ts';
import { address4, address6, gateway4, hostMac, routerMac, Wires } from '../support/wires.ts';

describe.each(['tcx', 'generic', 'native'] as const)('%s', (mode) => {
  let path: Datapath;

  beforeAll(async () => {
    const wires = new Wires();
    // Native frames reach a veth only where somebody polls at its other end.
    if (mode === 'native') for (const host of wires.hosts) host.run('ethtool', ['-K', 'eth0', 'gro', 'on']);
    path = await Datapath.start(wires, { mode });
    const why = mode === 'native' ? {} : { why: 'configured: `mode`' };
    expect((await path.host.device()).ports).toEqual([
      { link: 'p0', mode, ...why, detached: 0 },
      { link: 'p1', mode, ...why, detached: 0 },
    ]);
  });

  afterAll(async () => {
    await path?.close();
  });

  /** Lines sent by TCP from host 0 to host 1 and counted there. */
  async function transfer(lines: number): Promise<number> {
    const { hosts } = path.wires;
    const counted = hosts[1]!.launch(process.execPath, ['-e', COUNT]);
    let output = '';
    const listening = new Promise<void>((resolve) => {
      counted.stdout.setEncoding('utf8').on('data', (text) => {
        output += text;
        if (output.includes('listening')) resolve();
      });
    });
    await listening;
    hosts[0]!.run(process.execPath, ['-e', SEND, address4(1), String(lines)]);
    await new Promise<void>((resolve) => counted.on('close', () => resolve()));
    return Number(/counted (\d+)/.exec(output)?.[1]);
  }

  const COUNT = `
  let count = 0;
  require('net').createServer((socket) => {
    socket.on('data', (data) => { for (const byte of data) if (byte === 10) count++; });
    socket.on('end', () => { socket.end(); console.log('counted', count); process.exit(); });
  }).listen(7000, () => console.log('listening'));
`;
  const SEND = `
  const [address, lines] = process.argv.slice(1);
  const socket = require('net').connect(7000, address);
  socket.end(('x'.repeat(99) + '\\n').repeat(Number(lines)));
  socket.resume();
`;

  test('pings are routed by the data path alone, and every packet is counted once', async () => {
    const { wires } = path;
    const kernel = path.forwarded();
    const traps = await path.traps();
    expect(wires.ping(0, address4(1), 20)).toBe(20);
    expect(wires.ping(0, address6(1), 20)).toBe(20);
    expect(path.forwarded()).toEqual(kernel);
    expect(added(traps, await path.traps())).toEqual({});
    // 56 bytes of data, 8 of ICMP, the IP header, 14 of Ethernet.
    expect(await path.count('port: link p0')).toEqual({ packets: 40, bytes: 20 * (98 + 118) });
    expect(await path.count('port: link p1')).toEqual({ packets: 40, bytes: 20 * (98 + 118) });
    expect(await path.count(`route ${address4(1)}/32`)).toEqual({ packets: 20, bytes: 20 * 98 });
    expect(await path.count(`route ${address6(0)}/128`)).toEqual({ packets: 20, bytes: 20 * 118 });
    await path.host.verified();
  });

  test('of programs on its links, others’ are told, not its own', async () => {
    const { host, wires } = path;
    const present = async () => (await host.status()).hooks?.present;
    // What is there was looked for.
    await host.settled();
    expect(await present()).toEqual([]);
    const { ifindex } = JSON.parse(wires.router.ip('-j link show dev p1'))[0] as { ifindex: number };
    const detach = attachTcx(wires.router.name, ifindex, 'egress');
    await host.settled();
    expect(await present()).toEqual(['tcx egress: p1']);
    detach();
    await host.settled();
    expect(await present()).toEqual([]);
  });

  test('lookup tells what the packet meets, by the program itself', async () => {
    expect(await path.host.lookup({ destination: address4(1), source: address4(0), in: 'p0' })).toMatchObject(
      {
        action: 'forward',
        by: 'route',
        ways: [{ link: 'p1', mac: hostMac(1) }],
      },
    );
    expect(await path.host.lookup({ destination: address6(0) })).toMatchObject({
      action: 'forward',
      by: 'route',
    });
    expect(await path.host.lookup({ destination: gateway4(1), in: 'p0' })).toMatchObject({
      action: 'trap',
      by: 'route trap',
    });
    expect(await path.host.lookup({ destination: '192.0.2.1', in: 'p0' })).toMatchObject({
      action: 'trap',
      by: 'lpm miss',
    });
  });

  test('what needs an answer, an option or a fragment made goes to the kernel, with a reason', async () => {
    const { wires } = path;
    const cases: [string, string, readonly string[], number, Record<string, number>][] = [
      ['a TTL of 1', address4(1), ['-t', '1'], 0, { ttl: 3 }],
      ['a hop limit of 1', address6(1), ['-t', '1'], 0, { ttl: 3 }],
      ['the router itself', gateway4(0), [], 3, { 'route trap': 3 }],
      ['record route', address4(1), ['-R'], 3, { 'IP options': 6 }],
      ['nowhere', '192.0.2.1', [], 0, { 'lpm miss': 3 }],
    ];
    for (const [what, to, options, answers, reasons] of cases) {
      const before = await path.traps();
      expect(wires.ping(0, to, 3, options), what).toBe(answers);
      expect(added(before, await path.traps()), what).toEqual(reasons);
    }
  });

  test('fragments are routed as they are; what is too large for the way out is the kernel’s', async () => {
    const { wires } = path;
    const before = await path.traps();
    expect(wires.ping(0, address4(1), 3, ['-s', '4000'])).toBe(3);
    expect(added(before, await path.traps())).toEqual({});

    wires.router.ip('link set p1 mtu 1400');
    wires.hosts[1]!.ip('link set eth0 mtu 1400');
    try {
      await path.host.settled();
      const kernel = path.forwarded().v4;
      expect(wires.ping(0, address4(1), 3, ['-s', '1400', '-M', 'dont'])).toBe(3);
      expect(added(before, await path.traps())).toEqual({ 'egress mtu': 3 });
      expect(path.forwarded().v4 - kernel).toBe(3);
    } finally {
      wires.router.ip('link set p1 mtu 1500');
      wires.hosts[1]!.ip('link set eth0 mtu 1500');
      await path.host.settled();
    }
  });

  test('a neighbour that is not resolved is the kernel’s to resolve, then the data path goes on', async () => {
    const { wires, host } = path;
    wires.router.ip(`neigh del ${address4(1)} dev p1`);
    try {
      // Else a packet passes by what hardware had, and the next one is the first that the kernel sees.
      await host.settled();
      await host.until('the resolved neighbour is in hardware', async () => {
        expect(wires.ping(0, address4(1), 1)).toBe(1);
        const { action } = await host.lookup({ destination: address4(1), in: 'p0', source: address4(0) });
        return action === 'forward';
      });
      await host.settled();
      const before = await path.traps();
      expect(wires.ping(0, address4(1), 3)).toBe(3);
      expect(added(before, await path.traps())).toEqual({});
    } finally {
      wires.router.ip(`neigh replace ${address4(1)} lladdr ${hostMac(1)} dev p1 nud permanent`);
    }
  });

  test('a packet that ends before its ports is not judged by what only fills up its frame', async () => {
    const { wires, host } = path;
    wires.router.ip('rule add pref 100 ipproto udp dport 5000 blackhole');
    const [{ ifindex }] = JSON.parse(wires.hosts[0]!.ip('-j link show dev eth0')) as [{ ifindex: number }];
    const end = new WireEnd(wires.hosts[0]!.name, ifindex);
    try {
      await host.settled();
      const kernel = path.forwarded().v4;
      const before = await path.traps();
      // Three bytes are left of 16.
      const body = { is: 'ip4', source: address4(0), destination: address4(1), ttl: 64 } as const;
      const packet = { ...body, l4: { is: 'udp', dport: 5000 }, lengthError: -13 } as const;
      const frame = frameOf({ port: 0, from: hostMac(0), to: routerMac(0), body: packet }, 1);
      expect(end.send(frame)).toBe(true);
      await host.until('the kernel forwards it', async () => path.forwarded().v4 === kernel + 1);
      expect(added(before, await path.traps())).toEqual({ 'rules need more of the packet': 1 });
    } finally {
      end[Symbol.dispose]();
      wires.router.ip('rule del pref 100');
      await host.settled();
    }
  });

  test('a TCP connection is carried whole by the data path alone', async () => {
    const kernel = path.forwarded();
    expect(await transfer(20_000)).toBe(20_000);
    // Now and then a finished checksum looks like one that is not, in native mode.
    const { v4 } = path.forwarded();
    expect(v4 - kernel.v4).toBeLessThan(mode === 'native' ? 10 : 1);
  });
});
