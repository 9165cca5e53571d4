/** Hints of notifiers, right, wrong, late and too many: the mirror goes by netlink alone, and by it sooner. */

import { isIPv4 } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HINTS_MAX } from '../../host/kernel/hints.ts';
import { AF_INET, AF_INET6 } from '../../host/kernel/rtnetlink.ts';
import { parseIp } from '../../host/netlink/address.ts';
import { MirrorBench } from './mirror-support.ts';

let bench: MirrorBench;

beforeEach(async () => {
  bench = new MirrorBench();
  bench.veth('east', 'west');
  bench.veth('north', 'south');
  bench.ip('address add 10.0.0.1/24 dev east');
  bench.ip('address add 10.1.0.1/24 dev north');
  bench.ip('address add 2001:db8::1/64 dev east nodad');
  bench.ip('nexthop add id 1 via 10.0.0.2 dev east');
  bench.ip('nexthop add id 2 via 2001:db8::2 dev east');
  await bench.sync.start();
  bench.sync.expectHints();
});

afterEach(() => bench.close());

interface Key {
  readonly table?: number;
  readonly tos?: number;
  readonly metric?: number;
}

/** As a notifier would: no route of the prefix is left. */
function gone(prefix: string, { table = 254, tos = 0, metric = 0 }: Key = {}): void {
  const [address = '', length = ''] = prefix.split('/');
  const family = isIPv4(address) ? AF_INET : AF_INET6;
  bench.sync.routeGone(family, table, Number(length), tos, metric, parseIp(address)!, 0);
}

const equal = async () => expect(await bench.differences()).toEqual([]);
const status = () => bench.sync.status();
const routes = (dst: string) => bench.objects('route').filter((route) => route.dst === dst).length;

/** Resolves once all hints were looked at. */
async function looked(): Promise<void> {
  await expect.poll(() => status().pending.filter((name) => name.includes('hinted'))).toEqual([]);
}

const prefixes = (count: number) =>
  Array.from({ length: count }, (_, at) => `203.${at >> 8}.${at & 255}.0/24`);

describe('what left without a word', () => {
  it('is found gone, in one narrow dump, and nothing else is', async () => {
    bench.batch([
      ...prefixes(300).map((prefix) => `route add ${prefix} nhid 1`),
      ...prefixes(300).map((prefix) => `route add ${prefix} via 10.1.0.2 table 77`),
    ]);
    await equal();
    bench.ip('nexthop del id 1');
    for (const prefix of prefixes(300)) gone(prefix);
    await looked();
    expect(status()).toMatchObject({ hinted: 1, foundGone: 300 });
    await equal();
    expect(bench.count('route')).toBeGreaterThanOrEqual(300);
  });

  it('whatever its key', async () => {
    bench.run('sysctl', '-qw', 'net.ipv4.nexthop_compat_mode=0');
    bench.ip('route add default nhid 1');
    bench.ip('route add 203.0.113.0/24 nhid 1 tos 8');
    bench.ip('route add 203.0.113.128/25 nhid 1 metric 7 table 1000');
    bench.ip('route add 203.0.113.200/32 nhid 1');
    bench.ip('-6 route add 2001:db8:9::/48 nhid 2 metric 5');
    bench.ip('-6 route add default nhid 2');
    await equal();
    const before = bench.count('route');
    bench.ip('nexthop del id 1');
    bench.ip('nexthop del id 2');
    gone('0.0.0.0/0');
    gone('203.0.113.0/24', { tos: 8 });
    gone('203.0.113.128/25', { metric: 7, table: 1000 });
    gone('203.0.113.200/32');
    gone('2001:db8:9::/48', { metric: 5 });
    gone('::/0', { metric: 1024 });
    await looked();
    expect(status().foundGone).toBe(6);
    expect(bench.count('route')).toBe(before - 6);
    await equal();
  });

  it('with all that share its key', async () => {
    bench.ip('route add 203.0.113.0/24 via 10.0.0.2');
    bench.ip('route append 203.0.113.0/24 via 10.0.0.3');
    await equal();
    bench.ip('link set east down');
    gone('203.0.113.0/24');
    await looked();
    expect(routes('203.0.113.0')).toBe(0);
    await equal();
  });

  it('and nexthop objects', async () => {
    bench.ip('link set east down');
    bench.sync.nexthopGone(1);
    await looked();
    await equal();
    expect(bench.count('nexthop')).toBe(0);
  });
});

describe('hints that are wrong or come late', () => {
  it('change nothing', async () => {
    bench.batch(prefixes(50).map((prefix) => `route add ${prefix} via 10.0.0.2`));
    bench.ip('route add 203.0.1.0/24 via 10.1.0.2 metric 5');
    await equal();
    const { revision } = bench.mirror;
    for (const prefix of prefixes(50)) gone(prefix);
    gone('192.0.2.0/24');
    gone('2001:db8:77::/48');
    bench.sync.nexthopGone(77);
    await looked();
    expect(status()).toMatchObject({ foundGone: 0 });
    expect(bench.mirror.revision).toBe(revision);
    await equal();
  });

  it('cost no dump where netlink said the same', async () => {
    bench.batch(prefixes(1000).map((prefix) => `route add ${prefix} via 10.0.0.2`));
    await equal();
    const { rereads } = status();
    bench.batch(prefixes(1000).map((prefix) => `route del ${prefix}`));
    // Before the announcements are read: they are waiting in the socket.
    for (const prefix of prefixes(1000)) gone(prefix);
    await looked();
    expect(routes('203.0.1.0')).toBe(0);
    expect(status()).toMatchObject({ hinted: 1, rereads, foundGone: 0 });
    // And likewise where the routes came back.
    bench.batch(prefixes(1000).map((prefix) => `route add ${prefix} via 10.0.0.2`));
    await bench.sync.barrier();
    bench.batch(
      prefixes(1000).flatMap((prefix) => [`route del ${prefix}`, `route add ${prefix} via 10.1.0.2`]),
    );
    for (const prefix of prefixes(1000)) gone(prefix);
    await looked();
    expect(status()).toMatchObject({ rereads, foundGone: 0 });
    await equal();
  });

  it('do not outlive the mirror', async () => {
    bench.ip('route add 203.0.113.0/24 via 10.0.0.2');
    gone('203.0.113.0/24');
    bench.sync.close();
    gone('203.0.113.0/24');
    bench.sync.hintsLost();
    expect(status().pending).toEqual([]);
  });
});

describe('too many', () => {
  it('beyond the limit all routes are read again', async () => {
    bench.ip('route add 203.0.113.0/24 nhid 1');
    await equal();
    bench.ip('nexthop del id 1');
    for (let at = 0; at < HINTS_MAX; at++) gone('198.18.0.0/15');
    gone('203.0.113.0/24');
    await looked();
    await bench.sync.barrier();
    expect(routes('203.0.113.0')).toBe(0);
    expect(status().foundGone).toBe(0);
    await equal();
  });

  it('lost ones make the kinds concerned be read again, once at a time', async () => {
    const { resyncs } = status();
    for (let at = 0; at < 100; at++) bench.sync.hintsLost();
    await expect.poll(() => status().lastResync?.duration_ms).toBeDefined();
    expect(status().lastResync).toMatchObject({
      cause: 'notifier records lost',
      kinds: ['nexthop', 'route'],
    });
    // Those lost meanwhile are one more.
    await expect.poll(() => status().resyncs).toBe(resyncs + 2);
    await bench.sync.barrier();
    expect(status().resyncs).toBe(resyncs + 2);
    await equal();
  });
});
