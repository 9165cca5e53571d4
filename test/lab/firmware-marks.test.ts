/** What hardware has, as the kernel shows it: marks of routes, nexthops and bridge entries, made by the kernel module. */
import { afterAll, describe, expect, test } from 'vitest';
import { MARK_FLAGS, MARK_KIND, type Mark, Marks } from '../../host/kernel/firmware/marks.ts';
import { unload, withModule } from './firmware-support.ts';
import { LabSpace } from './support.ts';

const { offloaded, trapped, failed } = MARK_FLAGS;
const MAIN = 254;
/** More than one batch. */
const ROUTES = 5000;
const MAC = [0x02, 0, 0, 0, 0, 0x11];
const OTHER_MAC = [0x02, 0, 0, 0, 0, 0x22];

/** `10.0.0.0/8` of table main, say. */
function route(prefix: string, flags: number, number = 0): Mark {
  const [address, length] = prefix.split('/') as [string, string];
  const kind = address.includes(':') ? MARK_KIND.route6 : MARK_KIND.route4;
  return { kind, flags, place: MAIN, number, length: Number(length), address: bytesOf(address) };
}

function bytesOf(address: string): number[] {
  if (!address.includes(':')) return address.split('.').map(Number);
  const [head, tail] = address.split('::') as [string, string];
  const words = (text: string) =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const before = words(head);
  const after = words(tail);
  return [...before, ...new Array(8 - before.length - after.length).fill(0), ...after].flatMap((word) => [
    word >> 8,
    word & 255,
  ]);
}

describe('marks', () => {
  let space: LabSpace;

  const newFaults = withModule(() => {
    space = new LabSpace();
    space.script(`
      ip link add d0 type dummy
      ip link add d1 type dummy
      ip link add br0 type bridge vlan_filtering 1
      ip link add d2 type dummy
      for link in d1 d2; do ip link set $link master br0; done
      for link in d0 d1 d2 br0; do ip link set $link up; done
      ip addr add 192.0.2.1/24 dev d0
      ip addr add 2001:db8::1/64 dev d0 nodad
      ip nexthop add id 1 via 192.0.2.2 dev d0
      ip nexthop add id 2 via 192.0.2.3 dev d0
      ip nexthop add id 3 group 1/2 type resilient buckets 4 idle_timer 0
      ip route add 10.1.0.0/16 via 192.0.2.2
      ip route add 10.1.0.0/16 via 192.0.2.3 metric 100
      ip route add 10.1.0.0/24 nhid 3
      ip route add blackhole 10.2.0.0/16
      ip -6 route add 2001:db8:1::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::3
      ip -6 route add unreachable 2001:db8:2::/48 metric 7
      bridge fdb add 02:00:00:00:00:11 dev d1 master static vlan 1
    `);
  });

  afterAll(() => space?.end());

  const open = () => new Marks(`/run/netns/${space.name}`);

  /** The flags `ip` shows of each route that has any, by destination and metric. */
  function routes(family: 4 | 6): Record<string, string[]> {
    const rows = space.json(`ip -${family} -j route show`);
    const flagged = rows.flatMap(({ dst, metric, flags }) => {
      const marks = (flags as string[]).filter((flag) => flag.startsWith('rt_'));
      return marks.length === 0 ? [] : [[`${dst} ${metric ?? 0}`, marks] as const];
    });
    return Object.fromEntries(flagged);
  }

  const nexthops = () =>
    Object.fromEntries(space.json('ip -j nexthop show').map(({ id, flags }) => [String(id), flags]));

  const entry = (mac: string, link = 'd1') =>
    space
      .json(`bridge -j fdb show dev ${link}`)
      .find((row) => row.mac === mac && row.vlan === 1 && !(row.flags as string[]).includes('self'));

  test('routes of both families, multipath and unreachable ones too, until the marks are closed', () => {
    {
      using marks = open();
      const refused = marks.set([
        route('10.1.0.0/16', offloaded),
        route('10.1.0.0/24', trapped),
        route('10.2.0.0/16', failed),
        route('192.0.2.0/24', offloaded | trapped),
        route('2001:db8:1::/48', offloaded, 1024),
        route('2001:db8:2::/48', failed, 7),
      ]);
      expect(refused).toEqual(new Map());
      expect(routes(4)).toEqual({
        '10.1.0.0/16 0': ['rt_offload'],
        '10.1.0.0/24 0': ['rt_trap'],
        '10.2.0.0/16 0': ['rt_offload_failed'],
        '192.0.2.0/24 0': ['rt_offload', 'rt_trap'],
      });
      expect(routes(6)).toEqual({
        '2001:db8:1::/48 1024': ['rt_offload'],
        '2001:db8:2::/48 7': ['rt_offload_failed'],
      });
      expect(marks.set([route('10.1.0.0/16', failed), route('2001:db8:1::/48', 0, 1024)])).toEqual(new Map());
      expect(routes(4)['10.1.0.0/16 0']).toEqual(['rt_offload_failed']);
      expect(Object.keys(routes(6))).toEqual(['2001:db8:2::/48 7']);
    }
    expect(routes(4)).toEqual({});
    expect(routes(6)).toEqual({});
  });

  test('a mark is of the route that counts, and goes with it', () => {
    using marks = open();
    expect(
      marks.set([
        route('10.1.0.0/16', offloaded, 100),
        route('10.99.0.0/16', offloaded),
        route('10.1.0.0/17', offloaded),
        route('2001:db8:2::/48', offloaded, 1024),
      ]),
    ).toEqual(new Map([['ENOENT', 4]]));
    marks.set([route('10.1.0.0/16', offloaded), route('2001:db8:1::/48', offloaded, 1024)]);
    // Another one is behind it, and not marked by itself.
    space.script('ip route del 10.1.0.0/16 metric 0');
    expect(routes(4)).toEqual({});
    expect(marks.set([route('10.1.0.0/16', offloaded)])).toEqual(new Map([['ENOENT', 1]]));
    expect(marks.set([route('10.1.0.0/16', trapped, 100)])).toEqual(new Map());
    expect(routes(4)).toEqual({ '10.1.0.0/16 100': ['rt_trap'] });
    // A replaced route is a new one.
    space.script('ip route replace 10.1.0.0/16 via 192.0.2.2 metric 100');
    expect(routes(4)).toEqual({});
    space.script('ip route add 10.1.0.0/16 via 192.0.2.2');
    // Ways come and go.
    space.script('ip -6 route append 2001:db8:1::/48 via 2001:db8::4');
    expect(marks.set([route('2001:db8:1::/48', offloaded, 1024)])).toEqual(new Map());
    space.script('ip -6 route del 2001:db8:1::/48 via 2001:db8::2');
    expect(marks.set([route('2001:db8:1::/48', trapped, 1024)])).toEqual(new Map());
    expect(routes(6)).toEqual({ '2001:db8:1::/48 1024': ['rt_trap'] });
    space.script('ip -6 route del 2001:db8:1::/48');
    expect(marks.set([route('2001:db8:1::/48', offloaded, 1024)])).toEqual(new Map([['ENOENT', 1]]));
  });

  test('routes by source have no marks, and leave those of the same prefix alone', () => {
    const bySource = (source: string) => `2001:db8:2::/48 from ${source} via 2001:db8::2 metric 9`;
    space.script(`ip -6 route add ${bySource('2001:db8:3::/48')}`);
    using marks = open();
    const mark = (flags: number, metric = 7) => marks.set([route('2001:db8:2::/48', flags, metric)]);
    expect(mark(offloaded)).toEqual(new Map());
    expect(mark(offloaded, 9)).toEqual(new Map([['ENOENT', 1]]));
    space.script(`ip -6 route add ${bySource('2001:db8:4::/48')}`);
    space.script(`ip -6 route del ${bySource('2001:db8:3::/48')}`);
    expect(mark(trapped)).toEqual(new Map());
    expect(routes(6)).toEqual({ '2001:db8:2::/48 7': ['rt_trap'] });
    space.script(`ip -6 route del ${bySource('2001:db8:4::/48')}`);
    expect(mark(failed)).toEqual(new Map());
    expect(routes(6)).toEqual({ '2001:db8:2::/48 7': ['rt_offload_failed'] });
  });

  test('nexthops, and buckets of resilient groups with their use', () => {
    {
      using marks = open();
      marks.set([
        { kind: MARK_KIND.nexthop, flags: offloaded, place: 1 },
        { kind: MARK_KIND.nexthop, flags: trapped, place: 2 },
        { kind: MARK_KIND.nexthop, flags: offloaded, place: 3 },
        { kind: MARK_KIND.bucket, flags: offloaded, place: 3, number: 2 },
      ]);
      expect(nexthops()).toEqual({ 1: ['offload'], 2: ['trap'], 3: ['offload'] });
      const buckets = () => space.run('ip', ['nexthop', 'bucket', 'show', 'id', '3']).trim().split('\n');
      expect(buckets().map((line) => line.includes('offload'))).toEqual([false, false, true, false]);
      const idle = () => buckets().map((line) => Number(/idle_time (\S+)/.exec(line)?.[1]));
      marks.setActivity(3, new Uint8Array([0b0100]), 4);
      // All were made at the same time; one was used just now.
      const [first, , third] = idle() as [number, number, number];
      expect(third).toBeLessThan(first);
    }
    expect(nexthops()).toEqual({ 1: [], 2: [], 3: [] });
  });

  const indexes = new Map<string, number>();
  function ifindex(link: string): number {
    if (!indexes.has(link)) indexes.set(link, Number(space.run('cat', [`/sys/class/net/${link}/ifindex`])));
    return indexes.get(link)!;
  }
  const { fdbLearned: learned } = MARK_KIND;
  const fdb = (address: number[], flags: number, kind: Mark['kind'] = MARK_KIND.fdb, link = 'd1'): Mark => ({
    kind,
    flags,
    place: ifindex(link),
    number: 1,
    address,
  });

  test('entries of bridges: what hardware holds, and what it learned and forgot', () => {
    {
      using marks = open();
      expect(marks.set([fdb(MAC, offloaded), fdb(OTHER_MAC, offloaded, learned)])).toEqual(new Map());
      expect(entry('02:00:00:00:00:11')!.flags).toEqual(['offload']);
      expect(entry('02:00:00:00:00:22')!.flags).toEqual(['extern_learn', 'offload']);
      expect(marks.set([fdb(MAC, 0), fdb(OTHER_MAC, 0, learned)])).toEqual(new Map());
      expect(entry('02:00:00:00:00:11')!.flags).toEqual([]);
      expect(entry('02:00:00:00:00:22')).toBeUndefined();
      marks.set([fdb(MAC, offloaded), fdb(OTHER_MAC, offloaded, learned)]);
      const odd = { ...fdb(MAC, offloaded), place: 1 };
      expect(marks.set([odd, { ...fdb(MAC, 8) }])).toEqual(
        new Map([
          ['ENODEV', 1],
          ['EINVAL', 1],
        ]),
      );
    }
    expect(entry('02:00:00:00:00:11')!.flags).toEqual([]);
    expect(entry('02:00:00:00:00:22')).toBeUndefined();
  });

  test('entries that others have are theirs, before and after', () => {
    const others = '02:00:00:00:00:33';
    const OTHERS = [0x02, 0, 0, 0, 0, 0x33];
    const refusal = (name: string) => new Map([[name, 1]]);
    space.script(`bridge fdb add ${others} dev d1 master extern_learn vlan 1`);
    {
      using marks = open();
      // What the bridge has is learned and forgotten by nobody else.
      expect(marks.set([fdb(OTHERS, offloaded, learned)])).toEqual(refusal('EEXIST'));
      expect(marks.set([fdb(OTHERS, offloaded, learned, 'd2')])).toEqual(refusal('EEXIST'));
      expect(marks.set([fdb(MAC, offloaded, learned)])).toEqual(refusal('EEXIST'));
      expect(marks.set([fdb(OTHERS, 0, learned)])).toEqual(refusal('ENOENT'));
      expect(marks.set([fdb(OTHERS, offloaded, undefined, 'd2')])).toEqual(refusal('ENOENT'));
      expect(entry(others)!.flags).toEqual(['extern_learn']);
      // Hardware learns it elsewhere, and forgets where it was before: it stays.
      expect(marks.set([fdb(OTHER_MAC, offloaded, learned)])).toEqual(new Map());
      expect(marks.set([fdb(OTHER_MAC, offloaded, learned, 'd2')])).toEqual(new Map());
      expect(marks.set([fdb(OTHER_MAC, 0, learned)])).toEqual(refusal('ENOENT'));
      expect(entry('02:00:00:00:00:22', 'd2')!.flags).toEqual(['extern_learn', 'offload']);
      // A user's by now, at the same port, and at another one.
      space.script('bridge fdb replace 02:00:00:00:00:22 dev d2 master static vlan 1');
      expect(marks.set([fdb(OTHER_MAC, 0, learned, 'd2')])).toEqual(refusal('ENOENT'));
      expect(marks.set([fdb(MAC, offloaded)])).toEqual(new Map());
      space.script('bridge fdb replace 02:00:00:00:00:11 dev d2 master static vlan 1');
    }
    expect(entry(others)!.flags).toEqual(['extern_learn']);
    expect(entry('02:00:00:00:00:22', 'd2')!.state).toBe('static');
    expect(entry('02:00:00:00:00:11', 'd2')!.state).toBe('static');
    space.script(`
      bridge fdb del ${others} dev d1 master vlan 1
      bridge fdb del 02:00:00:00:00:22 dev d2 master vlan 1
      bridge fdb replace 02:00:00:00:00:11 dev d1 master static vlan 1
    `);
  });

  test('entries and nexthops that are gone are forgotten: who makes them again is left alone', () => {
    const count = 300;
    const macs = Array.from({ length: count }, (_, n) => [0x02, 0x22, 0, 0, n >> 8, n & 255]);
    const text = (mac: number[]) => mac.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
    const shown = () =>
      space
        .json('bridge -j fdb show dev d2')
        .filter(({ mac }) => (mac as string).startsWith('02:22:'))
        .map(({ flags }) => flags);
    {
      using marks = open();
      for (let round = 0; round < 3; round++) {
        expect(marks.set(macs.map((mac) => fdb(mac, offloaded, learned, 'd2')))).toEqual(new Map());
        expect(shown()).toHaveLength(count);
        space.script('ip link set d2 nomaster; ip link set d2 master br0');
        expect(shown()).toEqual([]);
      }
      expect(marks.set([{ kind: MARK_KIND.nexthop, flags: offloaded, place: 99 }])).toEqual(
        new Map([['ENOENT', 1]]),
      );
      expect(marks.set([fdb(macs[0]!, offloaded, learned, 'd2')])).toEqual(new Map());
      space.script(`bridge fdb del ${text(macs[0]!)} dev d2 master vlan 1`);
      const lines = macs.map((mac) => `fdb add ${text(mac)} dev d2 master extern_learn vlan 1`);
      space.script(`bridge -batch - <<'EOF'\n${lines.join('\n')}\nEOF`);
    }
    expect(shown()).toEqual(new Array(count).fill(['extern_learn']));
    space.script('ip link set d2 nomaster; ip link set d2 master br0');
  });

  test('what is kept by one file is taken over by the next', () => {
    const kept = () => new Marks(`/run/netns/${space.name}`, true);
    {
      using marks = kept();
      expect(marks.set([fdb(OTHER_MAC, offloaded, learned), fdb(MAC, offloaded)])).toEqual(new Map());
    }
    expect(entry('02:00:00:00:00:22')!.flags).toEqual(['extern_learn', 'offload']);
    expect(entry('02:00:00:00:00:11')!.flags).toEqual(['offload']);
    using marks = kept();
    expect(marks.set([fdb(OTHER_MAC, offloaded, learned), fdb(MAC, 0)])).toEqual(new Map());
    expect(entry('02:00:00:00:00:11')!.flags).toEqual([]);
    expect(marks.set([fdb(OTHER_MAC, 0, learned)])).toEqual(new Map());
    expect(entry('02:00:00:00:00:22')).toBeUndefined();
  });

  test(`${ROUTES} routes, those of other namespaces left alone, and nothing behind`, async () => {
    const prefixes = Array.from({ length: ROUTES }, (_, n) => `10.${64 + (n >> 8)}.${n & 255}.0/24`);
    expect(space.batch(prefixes.map((prefix) => `route add ${prefix} via 192.0.2.2`)).size).toBe(0);
    const other = new LabSpace();
    try {
      other.script('ip link add d0 type dummy; ip link set d0 up; ip route add 10.64.0.0/24 dev d0');
      using marks = open();
      expect(marks.set(prefixes.map((prefix) => route(prefix, offloaded)))).toEqual(new Map());
      expect(Object.keys(routes(4))).toHaveLength(ROUTES);
      expect(other.json('ip -j route show')[0]!.flags).toEqual([]);
      // A second follower sees the same routes, and takes off its own marks alone.
      {
        using second = open();
        expect(second.set([route('10.64.0.0/24', trapped)])).toEqual(new Map());
      }
      expect(Object.keys(routes(4))).toHaveLength(ROUTES - 1);
    } finally {
      await other.end();
    }
    expect(routes(4)).toEqual({});
    // Marks hold their namespace and the module, and let go of both.
    const marks = open();
    marks.set([route('10.64.0.0/24', offloaded)]);
    await space.end();
    marks.close();
    await unload();
    expect(newFaults()).toEqual([]);
  });
});
