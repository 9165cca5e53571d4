/**
 * Plugin l3-mirror on the device rtnetlink: what a kernel decides is written into another.
 *
 *     a ── dpu ── host ──┬── far ── b          before: dpu, host, far, b
 *           └────────────┘                     after:  dpu, far, b
 *
 * The host is mirrored; the DPU has a link of its own into the network behind it.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TestHost } from '../support/host.ts';
import { Netns } from '../support/netns.ts';

const ROUTES = 2000;
/** By default. */
const PROTOCOL = 210;

let a: Netns;
let b: Netns;
let dpu: Netns;
let kernel: Netns;
let far: Netns;
let offloading: TestHost | undefined;
const spaces: Netns[] = [];

beforeEach(() => {
  for (let made = 0; made < 5; made++) spaces.push(new Netns());
  [a, b, dpu, kernel, far] = spaces as [Netns, Netns, Netns, Netns, Netns];
  wire(a, 'a0', '10.1.1.2/24', dpu, 'f0', '10.1.1.1/24');
  wire(dpu, 'r0', '10.3.1.1/24', kernel, 'e0', '10.3.1.2/24');
  wire(b, 'b0', '10.2.2.2/24', far, 'q1', '10.2.2.1/24');
  // The network behind the host: a bridge in the far router.
  far.ip('link add seg type bridge');
  far.ip('link set seg up');
  far.ip('addr add 10.4.0.1/24 dev seg');
  wire(kernel, 'e1', '10.4.0.2/24', far, 's0');
  wire(dpu, 'f1', undefined, far, 's1');
  for (const port of ['s0', 's1']) far.ip(`link set ${port} master seg`);
  for (const router of [dpu, kernel, far]) {
    router.sysctl(
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
    );
  }
  for (const router of [dpu, kernel, far]) router.sysctl('net.ipv4.icmp_ratelimit=0');
  a.ip('route add default via 10.1.1.1');
  b.ip('route add default via 10.2.2.1');
  dpu.ip('route add default via 10.3.1.2 metric 1000');
  far.ip('route add default via 10.4.0.2');
  kernel.ip('route add 10.1.1.0/24 via 10.3.1.1');
  kernel.ip('route add 10.2.2.0/24 via 10.4.0.1');
  // What a packet must resolve, it has resolved.
  expect(hops()).toEqual(['10.1.1.1', '10.3.1.2', '10.4.0.1', '10.2.2.2']);
});

afterEach(async () => {
  await offloading?.close();
  offloading = undefined;
  for (const space of spaces.splice(0)) space.close();
});

function wire(
  one: Netns,
  name: string,
  address: string | undefined,
  other: Netns,
  peer: string,
  far?: string,
) {
  one.ip(`link add ${name} type veth peer name ${peer} netns ${other.name}`);
  for (const [space, link, prefix] of [
    [one, name, address],
    [other, peer, far],
  ] as const) {
    if (prefix !== undefined) space.ip(`addr add ${prefix} dev ${link}`);
    space.ip(`link set ${link} up`);
  }
}

/** Who answers on the way from a to b, by time to live. */
function hops(): string[] {
  const found: string[] = [];
  for (let ttl = 1; ttl <= 6 && found.at(-1) !== '10.2.2.2'; ttl++) {
    const answer = a.run('sh', ['-c', `ping -n -c 1 -W 5 -t ${ttl} 10.2.2.2 || true`]);
    found.push(/from (\d+\.\d+\.\d+\.\d+)/i.exec(answer)?.[1] ?? 'nobody');
  }
  return found;
}

async function start(): Promise<TestHost> {
  offloading = new TestHost({
    netns: kernel.name,
    plugin: 'l3-mirror',
    isOnlyMirror: true,
    sections: [
      '[plugin.l3-mirror]',
      'device = "dpu"',
      'ports = ["e*"]',
      '[device.dpu]',
      'kind = "rtnetlink"',
      `netns = "${dpu.name}"`,
      '[device.dpu.links.e0]',
      'link = "r0"',
      'table = 254',
      'via = "r0"',
      'gateway = "10.3.1.2"',
      '[device.dpu.links.e1]',
      'link = "f1"',
    ],
  });
  await offloading.start();
  return offloading;
}

function written(): string[] {
  return dpu.ip(`route show proto ${PROTOCOL}`).split('\n').filter(Boolean);
}

function sentByHost(): number {
  return Number(kernel.run('cat', ['/sys/class/net/e1/statistics/tx_packets']));
}

function* routes(count: number, verb: string): Generator<string> {
  for (let number = 0; number < count; number++) {
    yield `route ${verb} 20.${Math.floor(number / 256)}.${number % 256}.0/24 via 10.4.0.1`;
  }
}

test('packets take the way of the other kernel, and follow the mirrored one', async () => {
  const host = await start();
  await host.verified();
  expect(hops()).toEqual(['10.1.1.1', '10.4.0.1', '10.2.2.2']);

  kernel.batch([...routes(ROUTES, 'add')]);
  await host.settled();
  await host.verified();
  expect(written().filter((line) => line.startsWith('20.'))).toHaveLength(ROUTES);

  // What the host decides otherwise goes to it again, also out of a wider route.
  kernel.ip('route add 10.2.2.2/32 via 10.4.0.1 mtu 1400');
  kernel.ip('route add 10.2.0.0/16 via 10.4.0.1');
  kernel.ip('route add blackhole 10.2.2.128/25');
  await host.settled();
  await host.verified();
  expect(hops()).toEqual(hopsFor(await host.ekho('explain', '10.2.2.2/32')));

  kernel.batch([...routes(ROUTES, 'del')]);
  kernel.ip('route del 10.2.2.0/24');
  kernel.ip('route del 10.2.2.2/32');
  kernel.ip('route del 10.2.0.0/16');
  await host.settled();
  await host.verified();
  expect(written().filter((line) => / ?(20|10\.2)\./.test(line))).toEqual([
    expect.stringMatching(/^blackhole 10\.2\.2\.128\/25 /),
  ]);
});

/** A route with an MTU of its own may be left to the kernel. */
function hopsFor({ out }: { out: string }): string[] {
  const offloaded = /l3-mirror: offloaded/.test(out);
  return ['10.1.1.1', ...(offloaded ? [] : ['10.3.1.2']), '10.4.0.1', '10.2.2.2'];
}

test('what is not its own stays, and is said to be in the way in the kernel’s words', async () => {
  dpu.ip('route add 10.9.0.0/24 via 10.3.1.2 proto static metric 100');
  const before = dpu.ip('route show proto static');
  // As FRR writes them, whose protocols have numbers of their own.
  for (let protocol = 186; protocol <= 198; protocol++)
    dpu.ip(`route add 10.${protocol}.0.0/24 via 10.3.1.2 proto ${protocol} metric 100`);
  const frr = () => dpu.ip('route show').match(/^10\.1[89]\d\.0\.0.24 /gm);
  const host = await start();
  kernel.ip('route add 10.9.0.0/24 via 10.4.0.1');
  await host.settled();
  expect(dpu.ip('route show proto static')).toBe(before);
  expect((await host.ekho('explain', '10.9.0.0/24')).out).toMatch(/refused/);
  expect((await host.ekho('plugin', 'logs', 'l3-mirror')).out).toMatch(/File exists|already exists/);

  await host.stop();
  kernel.ip('route del 10.9.0.0/24');
  await host.start();
  expect(dpu.ip('route show proto static')).toBe(before);
  expect(frr()).toHaveLength(13);
});

test('a plugin that is restarted loses no packet, and a host that was killed leaves nothing stale', async () => {
  const host = await start();
  kernel.batch([...routes(ROUTES, 'add')]);
  await host.settled();
  expect(hops()).toEqual(['10.1.1.1', '10.4.0.1', '10.2.2.2']);

  const before = sentByHost();
  const pings = a.run.bind(a, 'ping', ['-q', '-n', '-c', '400', '-i', '0.005', '10.2.2.2']);
  const restarted = host.restartPlugin();
  expect(pings()).toMatch(/ 0% packet loss/);
  await restarted;
  await host.settled();
  await host.verified();
  // Replies pass the host the other way; of the requests it sees none.
  expect(sentByHost() - before).toBeLessThan(50);

  await host.stop('SIGKILL');
  kernel.batch([...routes(ROUTES / 2, 'del')]);
  await host.start();
  await host.verified();
  expect(written().filter((line) => line.startsWith('20.'))).toHaveLength(ROUTES / 2);
  expect(hops()).toEqual(['10.1.1.1', '10.4.0.1', '10.2.2.2']);
});

test('what somebody takes away in the other kernel is written again', async () => {
  const host = await start();
  expect(hops()).toEqual(['10.1.1.1', '10.4.0.1', '10.2.2.2']);
  dpu.ip(`nexthop flush proto ${PROTOCOL}`);
  await host.until('it is written again', async () =>
    written().some((line) => line.startsWith('10.2.2.0/24')),
  );
  dpu.ip('link set f1 down');
  await host.until('it is gone', async () => !written().some((line) => line.includes('dev f1')));
  expect(hops()).toEqual(['10.1.1.1', '10.3.1.2', '10.4.0.1', '10.2.2.2']);
  dpu.ip('link set f1 up');
  await host.until('it is there again', async () => written().some((line) => line.includes('dev f1')));
  await host.settled();
  await host.verified();
  expect(hops()).toEqual(['10.1.1.1', '10.4.0.1', '10.2.2.2']);
});
