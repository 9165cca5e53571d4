/** Switches of the kernel module as devlink shows them, and firmware that takes routes and nexthops of their namespace. */
import { execFileSync } from 'node:child_process';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { BpfObject } from '../../bpf/libbpf-ts/src/index.ts';
import { SOON, unload, withModule } from './firmware-support.ts';
import { CHECKOUT } from './machine.ts';
import { LabSpace } from './support.ts';

const OBJECT = join(CHECKOUT, 'build/bpf/firmware_routes.bpf.o');
const KNOBS = '/sys/kernel/debug/ekho';

describe('a switch', () => {
  let here: LabSpace;
  let there: LabSpace;

  const newFaults = withModule(() => {
    here = new LabSpace();
    there = new LabSpace();
  });

  afterAll(async () => {
    await here?.end();
    await there?.end();
  });

  const devices = (space: LabSpace) => Object.keys(devlink(space, 'dev').dev as object);
  const devlink = (space: LabSpace, what: string, ...which: string[]) =>
    JSON.parse(space.run('devlink', ['-j', what, 'show', ...which]));

  /** Interface, flavour and switch of each port. */
  function ports(space: LabSpace): Record<string, string>[] {
    const rows = Object.entries(devlink(space, 'port').port as Record<string, Record<string, unknown>>);
    return rows.map(([handle, { netdev, flavour, port }]) => {
      expect(handle).toBe(`${devices(space)[0]}/${port}`);
      return { netdev: netdev as string, flavour: flavour as string };
    });
  }

  const link = (space: LabSpace, name: string) => space.json(`ip -j -d link show ${name}`)[0]!;

  test('is there from the first port of a namespace to the last', async () => {
    expect(devices(here)).toEqual([]);
    here.script('ip link add sw0 type ekho; ip link add sw1 link sw0 type ekho');
    expect(devices(here)).toHaveLength(1);
    expect(ports(here)).toEqual([
      { netdev: 'sw0', flavour: 'physical' },
      { netdev: 'sw1', flavour: 'physical' },
    ]);
    expect(link(here, 'sw0').phys_switch_id).toBe(link(here, 'sw1').phys_switch_id);
    expect(link(here, 'sw0').phys_port_name).toMatch(/^p\d+$/);

    // A port is of the switch of the namespace that it is in.
    here.script(`ip link set sw1 netns ${there.name}; ip link set sw0 name left`);
    expect(ports(here)).toEqual([{ netdev: 'left', flavour: 'physical' }]);
    expect(ports(there)).toEqual([{ netdev: 'sw1', flavour: 'physical' }]);
    expect(link(there, 'sw1').phys_switch_id).not.toBe(link(here, 'left').phys_switch_id);
    here.script('ip link del left');
    expect(devices(here)).toEqual([]);
    expect(devices(there)).toHaveLength(1);
    here.script('ip link add sw0 type ekho');
    expect(devices(here)).toHaveLength(1);
  });

  /** The example firmware, for the switch. */
  function attach(space = here) {
    const object = BpfObject.open(OBJECT);
    object.setStructOps('firmware', { netns: statSync(`/run/netns/${space.name}`).ino });
    object.load();
    const link = object.attachStructOps('firmware');
    const close = () => {
      link.close();
      object.close();
    };
    return { number: (name: string) => object.variable<number>(name), close, [Symbol.dispose]: close };
  }

  /** Destinations of routes that are shown as in hardware, by their mark. */
  function marks(family: 4 | 6): Record<string, string[]> {
    const rows = here.json(`ip -${family} -j route show`);
    const marked = rows.map(({ dst, dev, metric, flags, ...more }) => {
      const hops = (more.nexthops as { flags: string[] }[] | undefined)?.flatMap((hop) => hop.flags) ?? [];
      const said = [...(flags as string[]), ...hops].filter((flag) =>
        /^(rt_)?(trap|offload|offload_failed)$/.test(flag),
      );
      return [`${dst}${dev ? ` ${dev}` : ''}${metric ? ` ${metric}` : ''}`, [...new Set(said)]] as [
        string,
        string[],
      ];
    });
    return Object.fromEntries<string[]>(marked.filter(([, said]) => said.length > 0));
  }

  /** Sizes and use of what there is room for. */
  function rooms(): Record<string, { size: number; used: number }> {
    const [tops] = Object.values(
      devlink(here, 'resource', devices(here)[0]!).resources as Record<string, Resource[]>,
    );
    return Object.fromEntries(
      tops!.flatMap(({ resources, ...top }) =>
        (resources ?? [{ ...top, name: '' }]).map(({ name, size, occ }) => [
          name === '' ? top.name : `${top.name}/${name}`,
          { size, used: occ },
        ]),
      ),
    );
  }

  interface Resource {
    readonly name: string;
    readonly size: number;
    readonly occ: number;
    readonly resources?: readonly Resource[];
  }

  const reload = (path: string, size: number) => {
    const [device] = devices(here);
    here.script(
      `devlink resource set ${device} path ${path} size ${size}; devlink dev reload ${device} action fw_activate`,
    );
  };

  test('follows routes: what firmware accepts is marked, replaced, taken off and comes again', async () => {
    here.script(`
      sysctl -qw net.ipv6.conf.all.forwarding=1
      for n in 1 2; do
        ip link add d$n type dummy
        ip link set d$n up
        ip addr add 192.0.2.$n/32 dev d$n
        ip addr add 2001:db8:$n::1/64 dev d$n nodad
      done
      ip route add 198.51.100.0/24 dev d1 metric 20
    `);
    {
      using firmware = attach();
      const shown4 = (expected: Record<string, string[]>) =>
        expect.poll(() => marks(4), SOON).toEqual(expected);
      await shown4({ '198.51.100.0/24 d1 20': ['rt_trap'] });
      // Of one prefix the route that counts, and no other.
      here.script('ip route add 198.51.100.0/24 dev d2 metric 10');
      await shown4({ '198.51.100.0/24 d2 10': ['rt_trap'] });
      here.script('ip route del 198.51.100.0/24 dev d2 metric 10');
      await shown4({ '198.51.100.0/24 d1 20': ['rt_trap'] });
      firmware.number('mark').set(1);
      here.script('ip route add 203.0.113.0/24 nexthop dev d1 nexthop dev d2');
      await shown4({ '198.51.100.0/24 d1 20': ['rt_trap'], '203.0.113.0/24': ['rt_offload'] });

      const own6 = () =>
        Object.fromEntries(Object.entries(marks(6)).filter(([dst]) => dst.startsWith('2001:db8:a')));
      here.script('ip -6 route add 2001:db8:a::/48 nexthop via 2001:db8:1::2 nexthop via 2001:db8:2::2');
      await expect.poll(own6, SOON).toEqual({ '2001:db8:a::/48 1024': ['rt_offload'] });
      here.script('ip -6 route append 2001:db8:a::/48 via 2001:db8:1::3');
      here.script('ip -6 route del 2001:db8:a::/48 via 2001:db8:1::2');
      await expect.poll(own6, SOON).toEqual({ '2001:db8:a::/48 1024': ['rt_offload'] });
      // Firmware holds what devlink counts.
      const used = () => rooms()['IPv4/fib']!.used + rooms()['IPv6/fib']!.used;
      await expect.poll(() => firmware.number('routes').get() - used(), SOON).toBe(0);

      // Refused by firmware, and by a switch that is told to fail.
      firmware.number('route_limit').set(0);
      here.script('ip route add 198.51.101.0/24 dev d1');
      await expect.poll(() => marks(4)['198.51.101.0/24 d1'], SOON).toEqual(['rt_offload_failed']);
      here.script('ip route del 198.51.101.0/24');
      firmware.number('route_limit').set(-1 >>> 0);
    }
    await expect.poll(() => [marks(4), marks(6)], SOON).toEqual([{}, {}]);
  });

  test('has as much room as devlink says', async () => {
    using _firmware = attach();
    const { used } = rooms()['IPv4/fib']!;
    reload('IPv4/fib', used + 1);
    await expect.poll(() => rooms()['IPv4/fib'], SOON).toEqual({ size: used + 1, used });
    here.script('ip route add 198.51.102.0/24 dev d1');
    expect(() => here.script('ip route add 198.51.103.0/24 dev d1')).toThrow('no room in hardware');
    await expect.poll(() => marks(4)['198.51.102.0/24 d1'], SOON).toEqual(['rt_trap']);
    // Less than there is: nothing is in hardware until there is room again.
    expect(() => reload('IPv4/fib', 1)).toThrow('more routes than');
    expect(marks(4)).toEqual({});
    reload('IPv4/fib', 1000);
    expect(marks(4)['198.51.102.0/24 d1']).toEqual(['rt_trap']);
    here.script('ip route del 198.51.102.0/24');

    if (!existsSync(KNOBS)) execFileSync('mount', ['-t', 'debugfs', 'none', '/sys/kernel/debug']);
    const device = devices(here)[0]!.split('/')[1];
    writeFileSync(`${KNOBS}/${device}/fib/fail_route_offload`, '1');
    here.script('ip route add 198.51.102.0/24 dev d1');
    await expect.poll(() => marks(4)['198.51.102.0/24 d1'], SOON).toEqual(['rt_offload_failed']);
    writeFileSync(`${KNOBS}/${device}/fib/fail_route_offload`, '0');
    here.script('ip route del 198.51.102.0/24');
  });

  /** Flags of a nexthop object that say it is in hardware. */
  const nexthop = (id: number, space = here) => {
    const row = space.json('ip -j nexthop show').find((one) => one.id === id);
    return (row?.flags as string[] | undefined)?.filter((flag) => /^(trap|offload)$/.test(flag));
  };

  /** How many buckets of a resilient group each member has, of those that are marked. */
  function buckets(id: number, space = here): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { bucket, flags = [] } of space.json(`ip -j nexthop bucket show id ${id}`)) {
      const { nhid } = bucket as { nhid: number };
      if ((flags as string[]).includes('trap')) counts[nhid] = (counts[nhid] ?? 0) + 1;
    }
    return counts;
  }

  test('has nexthops that firmware accepts, and refuses those it does not', async () => {
    here.script(`
      ip nexthop add id 1 via 192.0.2.9 dev d1 onlink
      ip nexthop add id 2 via 192.0.2.10 dev d1 onlink
    `);
    {
      using firmware = attach();
      expect([nexthop(1), nexthop(2)]).toEqual([['trap'], ['trap']]);
      here.script(
        'ip nexthop add id 10 group 1,2/2; ip nexthop add id 11 group 1/2 type resilient buckets 8',
      );
      expect([nexthop(10), nexthop(11)]).toEqual([['trap'], ['trap']]);
      expect(buckets(11)).toEqual({ 1: 4, 2: 4 });
      expect(firmware.number('buckets').get()).toBe(8);
      // Two, the weights of the one and the buckets of the other group.
      expect(rooms().nexthops).toMatchObject({ used: 2 + 3 + 8 });
      firmware.number('nexthop_limit').set(4);
      expect(() => here.script('ip nexthop add id 3 blackhole')).toThrow('room for no more nexthops');
      expect(nexthop(3)).toBeUndefined();
      here.script('ip nexthop replace id 1 via 192.0.2.11 dev d1 onlink');
      here.script('ip nexthop del id 2');
      expect(buckets(11)).toEqual({ 1: 8 });
      expect(firmware.number('nexthops').get()).toBe(3);
      here.script('ip route add 198.51.105.0/24 nhid 10');
      await expect.poll(() => marks(4)['198.51.105.0/24 d1'], SOON).toContain('rt_trap');
    }
    await expect
      .poll(() => [nexthop(1), nexthop(10), nexthop(11), buckets(11)], SOON)
      .toEqual([[], [], [], {}]);
    here.script('ip nexthop flush');
    expect(rooms().nexthops).toMatchObject({ used: 0 });
  });

  test('shows no group that was there before it as in hardware if firmware refuses a bucket', async () => {
    const space = new LabSpace();
    try {
      space.script(`
        ip link add d1 type dummy
        ip link set d1 up
        ip nexthop add id 1 dev d1
        ip nexthop add id 11 group 1 type resilient buckets 8
      `);
      using firmware = attach(space);
      firmware.number('bucket_limit').set(4);
      space.script('ip link add sw0 type ekho');
      await expect.poll(() => firmware.number('buckets').get(), SOON).toBe(4);
      await expect.poll(() => firmware.number('nexthops').get(), SOON).toBe(1);
      expect([nexthop(1, space), nexthop(11, space), buckets(11, space)]).toEqual([['trap'], [], {}]);
    } finally {
      await space.end();
    }
  });

  test('goes with its namespace and with the module', async () => {
    // Routes and nexthops that come and go while all of it does.
    here.script(`
      (while [ -d /sys/module/ekho ]; do
        ip nexthop replace id 1 via 192.0.2.9 dev d1 onlink
        ip route replace 198.51.104.0/24 nhid 1
        ip -6 route replace 2001:db8:b::/48 dev d2
        ip route del 198.51.104.0/24
        ip -6 route del 2001:db8:b::/48
        ip nexthop del id 1
      done) </dev/null >/dev/null 2>&1 &
    `);
    for (let round = 0; round < 5; round++) attach().close();
    await there.end();
    const left = () =>
      here.run('bash', ['-c', 'ls /sys/bus/platform/devices']).match(/^ekho\./gm)?.length ?? 0;
    await expect.poll(left, SOON).toBe(1);
    await unload();
    expect(left()).toBe(0);
    expect(devices(here)).toEqual([]);
    expect(newFaults()).toEqual([]);
  });
});
