/** Routes, rules and nexthops as notifiers tell them, against what `ip -j` shows; and the ladder of the kernel. */
import { release } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Json } from '../../host/iproute2/context.ts';
import { HOOKS } from '../../host/kernel/notifier/catalogue.ts';
import { ROUTE_TYPES } from '../../host/kernel/notifier/names.ts';
import type { GatewayValue } from '../../host/kernel/notifier/payloads.ts';
import type { NotifierEvent } from '../../host/kernel/notifier/record.ts';
import { ToldSpace, UPPER } from './notifier-support.ts';

let space: ToldSpace;
beforeAll(() => {
  space = new ToldSpace();
  space.script(`
    for n in 0 1; do
      ip link add d$n type dummy
      ip link set d$n up
      ip addr add 10.1.$n.1/24 dev d$n
      ip addr add 2001:db8:$n::1/64 dev d$n nodad
    done
  `);
});
afterEach(() => space.agree());
afterAll(() => space?.end());

/** Linux 6.6 and later take fentry on x86-64 functions with more than six arguments. */
const [major = 0, minor = 0] = release().split('.').map(Number);
const manyArguments = process.arch === 'arm64' || major > 6 || (major === 6 && minor >= 6);

test('every hook stands on the highest rung the kernel grants, or says why not', () => {
  for (const { name } of HOOKS) {
    const state = space.notifiers[0].states().find(({ hook }) => hook === name)!;
    const wanted = name === 'bridge-port' && !manyArguments ? 'kprobe' : UPPER;
    // The compiler may have split or inlined this one: it is not part of the kernel's interface.
    if (name === 'nexthop-bucket' && state.rung === 'none') {
      expect(state.reason).toMatch(/nh_res_bucket_migrate/);
      expect(state.events).toEqual([]);
    } else {
      expect([name, state.rung]).toEqual([name, wanted]);
      expect(state.events.length).toBeGreaterThan(0);
    }
    if (state.rung !== 'fentry') expect(state.reason).toMatch(/^fentry/);
    const kprobe = space.notifiers[1].states().find(({ hook }) => hook === name)!;
    expect(kprobe.rung).toBe(state.rung === 'none' ? 'none' : 'kprobe');
  }
});

describe('routes', () => {
  const ours = (prefix: unknown) => /^(10|2001)/.test(String(prefix));

  const gatewaysOf = (gateways: readonly GatewayValue[], links: Map<number, string>) =>
    gateways.map(({ via, ifindex, weight }) => ({ via, dev: links.get(ifindex), weight }));

  /** What the events so far add up to, by prefix and table. */
  function folded(links: Map<number, string>): Map<string, unknown> {
    const routes = new Map<string, NotifierEvent>();
    for (const event of space.since(0, 'fib')) {
      if (!event.event.startsWith('route-') || !ours(event.prefix)) continue;
      const key = `${event.prefix} ${event.table}`;
      const known = routes.get(key);
      const gateways = event.gateways as readonly GatewayValue[];
      if (event.event === 'route-replace') routes.set(key, event);
      else if (event.event === 'route-append') {
        routes.set(key, {
          ...known!,
          gateways: [...(known!.gateways as readonly GatewayValue[]), ...gateways],
        });
      } else if (known !== undefined) {
        const left = (known.gateways as readonly GatewayValue[]).filter(
          (each) => !gateways.some(({ via, ifindex }) => via === each.via && ifindex === each.ifindex),
        );
        if (event.family === 'inet' || left.length === 0) routes.delete(key);
        else routes.set(key, { ...known, gateways: left });
      }
    }
    return new Map(
      [...routes].map(
        ([key, { prefix, tos, table, type, priority, protocol, preferredSource, nexthopId, gateways }]) => [
          key,
          {
            prefix,
            tos,
            table,
            type,
            priority,
            protocol,
            preferredSource,
            nexthopId,
            gateways: type === 'unicast' ? gatewaysOf(gateways as readonly GatewayValue[], links) : [],
          },
        ],
      ),
    );
  }

  /** The same from `ip -N -j route show table all`. */
  function shown(): Map<string, unknown> {
    const bits = { '-4': 32, '-6': 128 };
    const rows = (['-4', '-6'] as const).flatMap((family) =>
      space.json(`ip ${family} -N -j route show table all`).map((row: Json) => {
        const dst = String(row.dst);
        const prefix = dst.includes('/') ? dst : `${dst}/${bits[family]}`;
        // By number, as all of -N.
        const type = ROUTE_TYPES[Number(row.type ?? 1)];
        const hops = (row.nexthops as Json[] | undefined) ?? [row];
        const gateways = hops.map(({ gateway, via, dev, weight }) => ({
          via: gateway ?? (via as Json | undefined)?.host,
          dev,
          weight: weight ?? 1,
        }));
        return {
          prefix,
          tos: Number(row.tos ?? 0),
          table: Number(row.table ?? 254),
          type,
          priority: row.metric ?? 0,
          protocol: Number(row.protocol ?? 3),
          preferredSource: row.prefsrc,
          nexthopId: row.nhid,
          gateways: type === 'unicast' ? gateways : [],
        };
      }),
    );
    // Of the routes of a prefix, the notifiers tell the one that the kernel looks at first.
    const first = rows
      .filter(({ prefix }) => ours(prefix))
      .sort((a, b) => a.tos - b.tos || Number(b.priority) - Number(a.priority));
    return new Map(first.map((row) => [`${row.prefix} ${row.table}`, row]));
  }

  function compare(least: number): void {
    const links = space.links();
    const theirs = shown();
    expect(theirs.size).toBeGreaterThanOrEqual(least);
    expect(Object.fromEntries(folded(links))).toEqual(Object.fromEntries(theirs));
  }

  test('of every shape add up to what `ip route` shows', () => {
    space.script(`
      ip route add 10.9.0.0/16 via 10.1.0.2 metric 7 proto static src 10.1.0.1
      ip route add 10.9.0.0/16 tos 0x10 via 10.1.0.3
      ip route add 10.9.1.0/24 via 10.1.0.2 table 100
      ip route add 10.8.0.0/16 nexthop via 10.1.0.2 nexthop via 10.1.1.2 weight 200
      ip route add blackhole 10.7.0.0/16
      ip route add unreachable 10.7.1.0/24 table 101
      ip route add 10.6.0.0/16 dev d1 scope link
      ip route add 10.5.0.0/16 via inet6 2001:db8:1::2
      ip -6 route add 2001:db8:9::/48 via 2001:db8:0::2 metric 9 proto 99
      ip -6 route add 2001:db8:8::/48 nexthop via 2001:db8:0::2 nexthop via 2001:db8:1::2 weight 3
      ip -6 route add prohibit 2001:db8:7::/48 table 100
    `);
    compare(13);
  });

  test('that change, join, leave and go', () => {
    space.script(`
      ip route replace 10.9.0.0/16 via 10.1.1.9 metric 7
      ip route del 10.9.0.0/16 tos 0x10
      ip route change 10.8.0.0/16 via 10.1.0.77
      ip -6 route append 2001:db8:8::/48 nexthop via 2001:db8:0::5
      ip -6 route del 2001:db8:8::/48 nexthop via 2001:db8:1::2 weight 3
      ip -6 route replace 2001:db8:9::/48 via 2001:db8:1::7 metric 9
    `);
    compare(12);
  });

  test('of a link that flaps: what the kernel drops without a word on netlink is told', () => {
    const dropped = space.told('ip link set d0 down', 'route-delete').filter(({ prefix }) => ours(prefix));
    expect(dropped.map(({ prefix }) => prefix)).toEqual(
      expect.arrayContaining(['10.8.0.0/16', '10.1.0.0/24', '10.9.1.0/24']),
    );
    expect(space.since(0, 'nexthop-delete')).toContainEqual(
      expect.objectContaining({
        ifindex: space.ifindex('d0'),
        table: 254,
        gateway: expect.objectContaining({ via: '10.1.0.77', flags: ['dead', 'linkdown'] }),
      }),
    );
    compare(5);
    space.script(`
      ip link set d0 up
      ip route add 10.9.2.0/24 nexthop via 10.1.0.2 nexthop via 10.1.1.2
    `);
    compare(7);
    // One gateway of two dies and comes back: the route stays, its gateway is told.
    const d1 = space.ifindex('d1');
    expect(space.told('ip link set d1 down', 'nexthop-delete')).toContainEqual(
      expect.objectContaining({ ifindex: d1, gateway: expect.objectContaining({ via: '10.1.1.2' }) }),
    );
    expect(space.told('ip link set d1 up', 'nexthop-add')).toContainEqual(
      expect.objectContaining({
        ifindex: d1,
        gateway: expect.objectContaining({ via: '10.1.1.2', flags: [] }),
      }),
    );
  });

  test('with more gateways than a record has room for are told with their number', () => {
    const hops = Array.from({ length: 40 }, (_, index) => `nexthop via 10.1.0.${index + 10}`).join(' ');
    const [event] = space.told(`ip route add 10.4.0.0/16 ${hops}`, 'route-replace');
    expect(event).toMatchObject({ prefix: '10.4.0.0/16', gatewaysTotal: 40 });
    const vias = (event!.gateways as readonly GatewayValue[]).map(({ via }) => via);
    expect(vias).toEqual(Array.from({ length: 32 }, (_, index) => `10.1.0.${index + 10}`));
    space.script('ip route del 10.4.0.0/16');
  });

  test('in a VRF', () => {
    space.script(`
      ip link add red type vrf table 300
      ip link set red up
      ip link add d2 type dummy
      ip link set d2 master red
      ip link set d2 up
      ip addr add 10.3.0.1/24 dev d2
      ip route add 10.3.9.0/24 via 10.3.0.2 vrf red
    `);
    compare(8);
    expect(space.since(0, 'route-replace')).toContainEqual(
      expect.objectContaining({ prefix: '10.3.9.0/24', table: 300, ifindex: space.ifindex('d2') }),
    );
    expect(space.since(0, 'link-change-upper')).toContainEqual(
      expect.objectContaining({ name: 'd2', upperName: 'red', master: true, linking: true }),
    );
    // The first VRF of a namespace brings the rules that send lookups to the tables of VRFs.
    expect(space.since(0, 'rule-add')).toContainEqual(
      expect.objectContaining({ family: 'inet', priority: 1000, l3mdev: true }),
    );
  });
});

test('rules, as `ip rule` shows them', () => {
  const from = space.events().length;
  space.script(`
    ip rule add from 10.3.0.0/16 to 10.4.0.0/16 iif d0 fwmark 0x1/0xff table 55 pref 333
    ip rule add tos 0x10 oif d1 ipproto tcp sport 10-20 dport 443 uidrange 100-200 table 56 pref 334
    ip rule add goto 333 pref 300
    ip rule add table main suppress_prefixlength 0 pref 301
    ip -6 rule add from 2001:db8::/32 prohibit pref 302
  `);
  const rule = (members: object) => expect.objectContaining(members);
  const added = space.since(from, 'rule-add');
  expect(added).toEqual([
    rule({
      family: 'inet',
      priority: 333,
      from: '10.3.0.0/16',
      to: '10.4.0.0/16',
      iif: 'd0',
      mark: 1,
      markMask: 255,
      table: 55,
      action: 'to_tbl',
    }),
    rule({
      priority: 334,
      tos: 16,
      oif: 'd1',
      ipProtocol: 6,
      sourcePorts: [10, 20],
      destinationPorts: [443, 443],
      uids: [100, 200],
      table: 56,
    }),
    rule({ priority: 300, action: 'goto', target: 333 }),
    rule({ priority: 301, table: 254, suppressPrefixLength: 0 }),
    rule({ family: 'inet6', priority: 302, from: '2001:db8::/32', action: 'prohibit' }),
  ]);
  const numbers = (rows: readonly Json[]) => rows.map(({ priority }) => Number(priority));
  const shown = [...space.json('ip -N -j rule'), ...space.json('ip -6 -N -j rule')];
  for (const { priority } of added) expect(numbers(shown)).toContain(priority);
  const deleted = space.told('ip rule del pref 333; ip -6 rule del pref 302', 'rule-delete');
  expect(deleted).toEqual([
    rule({ priority: 333, from: '10.3.0.0/16', table: 55 }),
    rule({ family: 'inet6', priority: 302 }),
  ]);
});

describe('nexthop objects', () => {
  /** What the events so far add up to. */
  function folded(links: Map<number, string>): Record<string, unknown> {
    const objects = new Map<unknown, unknown>();
    for (const { event, id, group, resilient, blackhole, gateways } of space.since(0, 'nexthop')) {
      if (event === 'nexthop-object-delete') {
        objects.delete(id);
        continue;
      }
      const members = gateways as readonly GatewayValue[];
      const [first] = members;
      objects.set(id, {
        group: group ? members.map(({ nexthopId, weight }) => ({ id: nexthopId, weight })) : undefined,
        resilient,
        blackhole,
        via: group ? undefined : first!.via,
        dev: group || blackhole ? undefined : links.get(first!.ifindex),
      });
    }
    return Object.fromEntries(objects);
  }

  function shown(): Record<string, unknown> {
    return Object.fromEntries(
      space.json('ip -j nexthop').map(({ id, group, type, blackhole, gateway, dev }) => [
        id,
        {
          group: (group as Json[] | undefined)?.map(({ id, weight }) => ({ id, weight: weight ?? 1 })),
          resilient: type === 'resilient',
          blackhole: blackhole !== undefined,
          via: gateway,
          dev: blackhole === undefined ? dev : undefined,
        },
      ]),
    );
  }

  test('and groups add up to what `ip nexthop` shows, also when members go', () => {
    space.script(`
      ip nexthop add id 10 via 10.1.0.5 dev d0
      ip nexthop add id 11 via 10.1.1.6 dev d1
      ip nexthop add id 12 dev d1
      ip nexthop add id 13 blackhole
      ip -6 nexthop add id 14 via fe80::9 dev d1
      ip nexthop add id 20 group 10,3/11
      ip nexthop add id 21 group 10/11/12
      ip nexthop replace id 12 via 10.1.1.12 dev d1
      ip nexthop replace id 21 group 10/12,9
    `);
    expect(folded(space.links())).toEqual(shown());
    const [route] = space.told('ip route add 10.2.0.0/16 nhid 20', 'route-replace');
    expect(route).toMatchObject({ prefix: '10.2.0.0/16', nexthopId: 20, gatewaysTotal: 2 });
    expect(route!.gateways).toEqual([
      expect.objectContaining({ nexthopId: 10, via: '10.1.0.5', weight: 3 }),
      expect.objectContaining({ nexthopId: 11, via: '10.1.1.6', weight: 1 }),
    ]);
    // Its route goes with the last nexthop, and netlink does not say so.
    const gone = space.told('ip nexthop del id 20', 'route-delete', 'nexthop-object-delete');
    expect(gone.map(({ event, id, prefix }) => [event, id ?? prefix])).toEqual(
      expect.arrayContaining([
        ['nexthop-object-delete', 20],
        ['route-delete', '10.2.0.0/16'],
      ]),
    );
    space.script('ip nexthop del id 10');
    expect(folded(space.links())).toEqual(shown());
    expect(shown()).toMatchObject({ 21: { group: [{ id: 12, weight: 9 }] } });
  });

  test('buckets of a resilient group move', () => {
    space.script(`
      ip nexthop add id 40 via 10.1.0.40 dev d0
      ip nexthop add id 41 via 10.1.1.41 dev d1
      ip nexthop add id 50 group 40/41 type resilient buckets 8 idle_timer 0
    `);
    const before = buckets();
    expect(before.length).toBe(8);
    const moved = space.told('ip nexthop del id 41', 'nexthop-bucket-replace');
    if (space.rung('nexthop-bucket') === 'none') {
      expect(moved).toEqual([]);
      return;
    }
    const lost = before.filter(([, nexthop]) => nexthop === 41).map(([bucket]) => bucket);
    expect(
      moved.map(({ id, bucket, oldNexthop, newNexthop, force }) => [
        id,
        bucket,
        oldNexthop,
        newNexthop,
        force,
      ]),
    ).toEqual(lost.map((bucket) => [50, bucket, 41, 40, true]));
    expect(buckets()).toEqual(before.map(([bucket]) => [bucket, 40]));
  });

  function buckets(): (readonly [bucket: number, nexthop: number])[] {
    return space
      .json('ip -j nexthop bucket show id 50')
      .map(({ bucket }) => [Number((bucket as Json).index), Number((bucket as Json).nhid)] as const)
      .sort(([a], [b]) => a - b);
  }
});
