/**
 * Marks of routes and nexthops with a host: what `ip` shows is what the plugin's hardware has, while the plan changes, when hardware is
 * full or refuses, and when the plugin or the host is not there. The simulated ASIC is the hardware.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { MARK_FLAGS, MARK_KIND, Marks } from '../../host/kernel/firmware/marks.ts';
import { pause, TestHost } from '../support/host.ts';
import { SOON, withModule } from './firmware-support.ts';
import { LabSpace } from './support.ts';

const ON = ['firmware.marks = "on"'];
/** IPv4 prefixes that hardware has room for, and routes that want to be there. */
const ROOM = 24;
const ROUTES = 40;
const BUCKETS = 4;
/** Seconds after which the kernel moves a bucket that has no traffic. */
const IDLE_S = 4;

const [O, T, F] = [['rt_offload'], ['rt_trap'], ['rt_offload_failed']];

describe('marks of a host', () => {
  let space: LabSpace;

  withModule(() => {
    space = new LabSpace();
    space.script(`
      sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.all.forwarding=1
      for n in 0 1; do
        ip link add p$n type dummy
        ip link set p$n up
        ip addr add 10.$n.0.1/24 dev p$n
        ip addr add 2001:db8:$n::1/64 dev p$n nodad
        ip neigh add 10.$n.0.2 lladdr 02:00:00:00:0$n:02 dev p$n nud permanent
        ip neigh add 2001:db8:$n::2 lladdr 02:00:00:00:0$n:02 dev p$n nud permanent
      done
      ip nexthop add id 1 via 10.0.0.2 dev p0
      ip nexthop add id 2 via 10.1.0.2 dev p1
      ip nexthop add id 3 via 10.1.0.9 dev p1
      ip nexthop add id 10 group 1/2
      ip nexthop add id 11 group 1/2 type resilient buckets ${BUCKETS} idle_timer ${IDLE_S}
      ip nexthop add id 21 via 2001:db8:0::2 dev p0
      ip nexthop add id 22 via 2001:db8:1::2 dev p1
      ip nexthop add id 20 group 21/22
      ip route add 10.10.0.0/16 via 10.0.0.2
      ip route add 10.11.0.0/16 via 10.1.0.9
      ip route add 10.12.0.0/16 nexthop via 10.0.0.2 nexthop via 10.1.0.2
      ip route add 10.13.0.0/16 nhid 10
      ip route add 10.14.0.0/16 nhid 11
      ip route add 10.15.0.0/16 nhid 3
      ip route add blackhole 10.16.0.0/16
      ip -6 route add 2001:db8:10::/48 via 2001:db8:0::2
      ip -6 route add 2001:db8:11::/48 via 2001:db8:1::9
      ip -6 route add 2001:db8:12::/48 nexthop via 2001:db8:0::2 nexthop via 2001:db8:1::2
      ip -6 route add 2001:db8:13::/48 nhid 20
      ip -6 route add unreachable 2001:db8:16::/48
    `);
  });

  afterEach(() => space?.stop());

  afterAll(() => space?.end());

  /** Marks of the routes that were added, by destination; none of what has none. */
  function routes(): Record<string, string[]> {
    const rows = [...space.json('ip -4 -j route show'), ...space.json('ip -6 -j route show')];
    const marked = rows.flatMap(({ dst, flags }) => {
      const marks = (flags as string[]).filter((flag) => flag.startsWith('rt_'));
      const isOurs = /^10\.\d\d+\.|^2001:db8:1\d/.test(String(dst));
      return isOurs && marks.length > 0 ? [[String(dst), marks] as const] : [];
    });
    return Object.fromEntries(marked);
  }

  const nexthops = () =>
    Object.fromEntries(space.json('ip -j nexthop show').map(({ id, flags }) => [String(id), flags]));

  const ALL = {
    '10.10.0.0/16': O,
    '10.11.0.0/16': T,
    '10.12.0.0/16': O,
    '10.13.0.0/16': O,
    '10.14.0.0/16': O,
    '10.15.0.0/16': T,
    '10.16.0.0/16': O,
    '2001:db8:10::/48': O,
    '2001:db8:11::/48': T,
    '2001:db8:12::/48': O,
    '2001:db8:13::/48': O,
    '2001:db8:16::/48': T,
  };
  const HOPS = {
    1: ['offload'],
    2: ['offload'],
    3: ['trap'],
    10: ['offload'],
    11: ['offload'],
    20: ['offload'],
    21: ['offload'],
    22: ['offload'],
  };

  /** Buckets of group 11, by index: the nexthop, and whether they are marked. */
  const buckets = () =>
    space.json('ip -j nexthop bucket show id 11').map(({ bucket, flags = [] }) => {
      const { index, nhid } = bucket as { index: number; nhid: number };
      return { index, nhid, flags: flags as string[] };
    });

  test('routes of all shapes, nexthops and groups, and what a neighbour has to do with them', async () => {
    await space.start(['p?'], 'softnic', ON);
    await expect.poll(routes, SOON).toEqual(ALL);
    expect(nexthops()).toEqual(HOPS);
    // Hardware has weights, and no buckets of the kernel's.
    expect(buckets().map(({ flags }) => flags)).toEqual(new Array(BUCKETS).fill([]));

    space.script('ip neigh del 10.0.0.2 dev p0; ip neigh del 2001:db8:0::2 dev p0');
    // Of several ways, those that forward go on; what is for the others the kernel gets.
    await expect.poll(routes, SOON).toMatchObject({
      '10.10.0.0/16': T,
      '10.16.0.0/16': O,
      '2001:db8:10::/48': T,
    });
    await expect.poll(nexthops, SOON).toMatchObject({ 1: ['trap'], 2: ['offload'], 21: ['trap'] });
    space.script(`
      ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev p0 nud permanent
      ip neigh add 2001:db8:0::2 lladdr 02:00:00:00:00:02 dev p0 nud permanent
      ip neigh add 10.1.0.9 lladdr 02:00:00:00:01:09 dev p1 nud permanent
    `);
    await expect.poll(routes, SOON).toEqual({ ...ALL, '10.11.0.0/16': O, '10.15.0.0/16': O });
    await expect.poll(nexthops, SOON).toEqual({ ...HOPS, 3: ['offload'] });
    // A link that is down takes routes along; IPv6 routes stay.
    space.script('ip neigh del 10.1.0.9 dev p1');
    await expect.poll(routes, SOON).toEqual(ALL);
    await space.verified();
  });

  test('no marks without the plugin, and all with it', async () => {
    await space.start(['p?'], 'softnic', ON);
    await expect.poll(routes, SOON).toEqual(ALL);
    await space.host.plugins.disable('softnic');
    await expect.poll(routes, SOON).toEqual({});
    await expect.poll(() => Object.values(nexthops()).flat(), SOON).toEqual([]);
    await space.host.plugins.enable('softnic');
    await expect.poll(routes, SOON).toEqual(ALL);
    await expect.poll(nexthops, SOON).toEqual(HOPS);
    await space.stop();
    expect(routes()).toEqual({});
  });

  test('what there is no room for has failed, until there is', async () => {
    await space.start(['p?'], 'softnic', ON, { lpm4: ROOM });
    const prefixes = Array.from({ length: ROUTES }, (_, n) => `10.20.${n}.0/24`);
    space.batch(prefixes.map((prefix) => `route add ${prefix} via 10.0.0.2`));
    await space.settled();
    const marked = (mark: readonly string[]) => {
      const shown = routes();
      return prefixes.filter((prefix) => String(shown[prefix]) === String(mark));
    };
    await expect.poll(() => marked(O).length + marked(F).length, SOON).toBe(ROUTES);
    const failed = marked(F);
    expect(failed.length).toBeGreaterThan(ROUTES - ROOM);
    expect(marked(O).length).toBeGreaterThan(0);
    space.batch(prefixes.filter((prefix) => !failed.includes(prefix)).map((prefix) => `route del ${prefix}`));
    const there = ROUTES - failed.length;
    await expect.poll(() => marked(O).length, SOON).toBeGreaterThanOrEqual(Math.min(there, failed.length));
    space.batch(failed.slice(there).map((prefix) => `route del ${prefix}`));
    await space.settled();
    await expect.poll(() => marked(O), SOON).toEqual(failed.slice(0, there));
    await space.verified();
    space.batch(failed.slice(0, there).map((prefix) => `route del ${prefix}`));
  });

  test('hardware that refuses, traps or fails says so of each route', async () => {
    space.script(`
      for n in 65 66 67 68 69; do
        ip route add 10.$n.0.0/16 via 10.0.0.2
        ip -6 route add 2001:db8:1$n::/48 via 2001:db8:0::2
      done
    `);
    await space.start(['p?'], 'picky', ON);
    const odd = { '10.65.0.0/16': O, '10.66.0.0/16': F, '10.67.0.0/16': T, '10.68.0.0/16': F };
    await expect.poll(routes, SOON).toMatchObject({ ...ALL, ...odd });
    // It failed once, and is tried again.
    await expect.poll(() => routes()['10.69.0.0/16'], SOON).toEqual(O);
    // What it refuses another route may be in place of.
    space.script('ip route replace blackhole 10.66.0.0/16; ip route replace 10.65.0.0/16 via 10.1.0.9');
    await expect
      .poll(routes, SOON)
      .toMatchObject({ ...odd, '10.66.0.0/16': O, '10.65.0.0/16': T, '10.69.0.0/16': O });
    space.script(`
      for n in 65 66 67 68 69; do
        ip route del 10.$n.0.0/16
        ip -6 route del 2001:db8:1$n::/48
      done
    `);
    await space.settled();
    await expect.poll(routes, SOON).toEqual(ALL);
  });

  test('a bucket of a resilient group that hardware uses is not moved', async () => {
    using marks = new Marks(`/run/netns/${space.name}`);
    const of = (nhid: number) => buckets().filter((bucket) => bucket.nhid === nhid);
    expect([of(1).length, of(2).length]).toEqual([2, 2]);
    // The kernel would take the first that is idle.
    const [used, idle] = of(2).map(({ index }) => index) as [number, number];
    const bits = Uint8Array.of(1 << used);
    marks.set([{ kind: MARK_KIND.bucket, flags: MARK_FLAGS.offloaded, place: 11, number: used }]);
    marks.setActivity(11, bits, BUCKETS);
    space.script(
      `ip nexthop replace id 11 group 1,3/2,1 type resilient buckets ${BUCKETS} idle_timer ${IDLE_S}`,
    );
    for (let half = 0; half < 6 * IDLE_S && of(2).length > 1; half++) {
      marks.setActivity(11, bits, BUCKETS);
      await pause(500);
    }
    expect(of(2).map(({ index }) => index)).toEqual([used]);
    expect(of(1).map(({ index }) => index)).toContain(idle);
    expect(buckets().find(({ index }) => index === used)!.flags).toContain('offload');
    space.script(`ip nexthop replace id 11 group 1/2 type resilient buckets ${BUCKETS} idle_timer ${IDLE_S}`);
    await expect.poll(() => of(2).length, SOON).toBe(2);
  });

  describe('a host that is killed', () => {
    let host: TestHost | undefined;

    afterEach(async () => {
      await host?.close();
      host = undefined;
    });

    async function start(marks: 'on' | 'keep'): Promise<TestHost> {
      host = new TestHost({
        netns: space.name,
        sections: ['[firmware]', `marks = "${marks}"`],
        keepsState: true,
        tables: { lpm4: 500, lpm6: 500, nexthop: 200, group: 100, fdb: 100, acl: 100 },
        cache: join(process.env.XDG_CACHE_HOME ?? '', 'ekho'),
      });
      await host.start();
      return host;
    }

    test('leaves no marks, and the next one has them right', async () => {
      const host = await start('on');
      await expect.poll(routes, SOON).toEqual(ALL);
      await host.stop('SIGKILL');
      await expect.poll(routes, SOON).toEqual({});
      expect(Object.values(nexthops()).flat()).toEqual([]);
      space.script('ip route replace 10.10.0.0/16 via 10.1.0.9; ip route del 10.16.0.0/16');
      await host.start();
      const { '10.16.0.0/16': _, ...left } = ALL;
      await expect.poll(routes, SOON).toEqual({ ...left, '10.10.0.0/16': T });
      await expect.poll(nexthops, SOON).toEqual(HOPS);
      space.script('ip route replace 10.10.0.0/16 via 10.0.0.2; ip route add blackhole 10.16.0.0/16');
      await expect.poll(routes, SOON).toEqual(ALL);
    });

    test('leaves its marks where they are to be kept, and the next one changes what is not right', async () => {
      const host = await start('keep');
      await expect.poll(routes, SOON).toEqual(ALL);
      await host.stop('SIGKILL');
      await pause(3000);
      expect(routes()).toEqual(ALL);
      expect(nexthops()).toEqual(HOPS);
      // A new route has no mark; one that is unresolved by now still has its own.
      space.script(`
        ip route replace 10.12.0.0/16 via 10.1.0.2
        ip neigh del 10.0.0.2 dev p0
        sysctl -qw net.ipv4.fib_notify_on_flag_change=1
      `);
      const { '10.12.0.0/16': _, ...left } = ALL;
      expect(routes()).toEqual(left);
      const monitor = space.launch('ip', ['-4', 'monitor', 'route']);
      let announced = '';
      monitor.stdout.setEncoding('utf8').on('data', (text) => {
        announced += text;
      });
      await host.start();
      await expect
        .poll(routes, SOON)
        .toMatchObject({ '10.12.0.0/16': O, '10.10.0.0/16': T, '10.16.0.0/16': O });
      monitor.kill('SIGTERM');
      await once(monitor, 'close');
      expect(announced).toContain('10.10.0.0/16');
      expect(announced).toContain('10.12.0.0/16');
      expect(announced).not.toContain('10.16.0.0/16');
      expect(announced).not.toContain('10.11.0.0/16');
      space.script('ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev p0 nud permanent');
      await expect.poll(routes, SOON).toEqual(ALL);
      await host.stop();
      expect(routes()).toEqual(ALL);
    });
  });
});
