/**
 * Every step of the kernel module that can fail does, one after the other: what was begun is taken back, and the next try succeeds. The module
 * is built for it: test/lab/unwind.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { BpfObject } from '../../bpf/libbpf-ts/src/index.ts';
import { Firmware } from '../../host/kernel/firmware/firmware.ts';
import { MARK_FLAGS, MARK_KIND, Marks } from '../../host/kernel/firmware/marks.ts';
import { CAPABILITIES, faults, isLoaded, needsModule, SOON, unload } from './firmware-support.ts';
import { CHECKOUT } from './machine.ts';
import { moduleFile, UNWIND } from './module.ts';
import { PACE } from './pace.ts';
import { LabSpace } from './support.ts';

const PARAMETER = '/sys/module/ekho/parameters/fail_at';
const ROUTES = join(CHECKOUT, 'build/bpf/firmware_routes.bpf.o');
/** Steps of one thing to do: with more it would never end. */
const STEPS_MAX = 200;
const MAIN = 254;

/** What the kernel said, so far. */
const said = () => spawnSync('dmesg', { encoding: 'utf8', maxBuffer: 16 << 20 }).stdout;
/** What was made to fail, so far. */
const failed = () => [...said().matchAll(/ekho: (\w+) is made to fail/g)].map(([, what]) => what!);

/** What the module has, or had, in the kernel. */
function traces(): string[] {
  const places = {
    '/sys/module': /^ekho$/,
    '/sys/kernel/btf': /^ekho$/,
    '/sys/kernel/debug': /^ekho$/,
    '/sys/bus/platform/devices': /^ekho/,
    '/sys/kernel/slab': /ekho/,
  };
  const files = Object.entries(places).flatMap(([folder, name]) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((file) => name.test(file))
          .map((file) => join(folder, file))
      : [],
  );
  const links = spawnSync('ip', ['link', 'add', 'type', 'ekho'], { encoding: 'utf8' });
  if (!links.stderr.includes('Unknown device type')) files.push(`link type ekho: ${links.stderr}`);
  const devices = execFileSync('devlink', ['dev', 'show'], { encoding: 'utf8' });
  return devices.includes('ekho') ? [...files, devices] : files;
}

/**
 * Does something in a namespace again and again: first its first step fails, then the second, until none is left that could. Gives what failed.
 * Whether it then does what it is to do is its own affair, but not that it leaves something behind, which would be in the way when it is done
 * once more.
 */
async function failing(act: (space: LabSpace) => void, prepare = ''): Promise<string[]> {
  const from = failed().length;
  const space = new LabSpace();
  try {
    space.script(prepare);
    for (let step = 1; step < STEPS_MAX; step++) {
      writeFileSync(PARAMETER, `${step}`);
      try {
        act(space);
      } catch {
        // It was to fail.
      }
      const left = Number(readFileSync(PARAMETER, 'utf8'));
      writeFileSync(PARAMETER, '0');
      if (left > 0) return failed().slice(from);
      act(space);
    }
  } finally {
    writeFileSync(PARAMETER, '0');
    await space.end();
  }
  throw new Error(`more than ${STEPS_MAX} steps`);
}

/** What the kernel would tell the module of, if something of it were still registered. */
const EVENTS = `
  ip link add d0 type dummy
  ip link add br0 type bridge
  ip link set d0 master br0
  ip link set d0 up
  ip link set br0 up
  ip addr add 192.0.2.1/24 dev br0
  ip nexthop add id 1 via 192.0.2.2 dev br0
  ip route add 198.51.100.0/24 nhid 1
  bridge fdb add 02:00:00:00:00:11 dev d0 master static
  tc actions add action police rate 1mbit burst 10k index 7
  tc actions del action police index 7
`;
const PORTS = `
  ip link add sw0 type ekho
  ip link add sw1 link sw0 type ekho
`;
const PORTS_UP = `
  ${PORTS}
  ip link set sw0 up
  ip link set sw1 up
`;
/** Without ports there is no switch either, once a worker has seen to it. */
const NO_PORTS = `
  for link in sw1 sw0; do ip link del $link 2>/dev/null || true; done
  timeout ${60 * PACE} bash -c "while compgen -G '/sys/bus/platform/devices/ekho.*'; do sleep 0.02; done"
`;

describe('the module, when a step of it fails', () => {
  let before: string[];

  beforeAll(async () => {
    if (!existsSync('/sys/kernel/debug/tracing'))
      execFileSync('mount', ['-t', 'debugfs', 'none', '/sys/kernel/debug']);
    before = faults();
    if (isLoaded()) await unload();
  });

  beforeEach((context) => needsModule(context, UNWIND));

  afterAll(async () => {
    if (isLoaded()) await unload();
  });

  test('is not loaded, and nothing of it stays', async () => {
    const from = failed().length;
    for (let step = 1; step < STEPS_MAX; step++) {
      const words = [moduleFile(release(), UNWIND), `fail_at=${step}`];
      const { status, stderr } = spawnSync('insmod', words, { encoding: 'utf8' });
      if (status === 0) break;
      expect(stderr).toContain('Cannot allocate memory');
      expect(traces(), failed().at(-1)).toEqual([]);
      const space = new LabSpace();
      space.script(EVENTS);
      await space.end();
    }
    expect(isLoaded()).toBe(true);
    writeFileSync(PARAMETER, '0');
    expect(new Set(failed().slice(from))).toEqual(
      new Set([
        'register_btf_kfunc_id_set',
        'register_bpf_struct_ops',
        'register_switchdev_notifier',
        'register_switchdev_blocking_notifier',
        'rhashtable_init',
        'alloc_workqueue',
        'register_netdevice_notifier',
        'register_pernet_subsys',
        'kvzalloc',
        'flow_indr_dev_register',
        'rtnl_link_register',
      ]),
    );
  });

  test('does without a namespace', async () => {
    const names = await failing((space) => {
      spawnSync('ip', ['netns', 'add', `${space.name}-in`]);
      spawnSync('ip', ['netns', 'del', `${space.name}-in`]);
    });
    expect(names).toEqual(['kvzalloc', 'rhashtable_init', 'rhashtable_init']);
  });

  test('does without a port', async () => {
    const names = await failing((space) => space.script(`${NO_PORTS}${PORTS}${NO_PORTS}`));
    expect(new Set(names)).toEqual(
      new Set([
        'ida_alloc',
        'kvzalloc',
        'kzalloc',
        'rhashtable_init',
        'rhashtable_insert_fast',
        'platform_device_register_simple',
        'devlink_alloc_ns',
        'devl_resource_register',
        'devl_port_register',
        'register_netdevice',
        'register_nexthop_notifier',
        'register_fib_notifier',
      ]),
    );
  });

  test('does without a rule', async () => {
    using _firmware = new Firmware({ capabilities: CAPABILITIES });
    const names = await failing(
      (space) =>
        space.script(`
          tc qdisc del dev sw0 clsact 2>/dev/null || true
          tc qdisc add dev sw0 clsact
          tc filter add dev sw0 ingress handle 1 pref 1 protocol ip flower skip_sw dst_ip 192.0.2.1 action drop
          tc filter replace dev sw0 ingress handle 1 pref 1 protocol ip flower skip_sw dst_ip 192.0.2.2 action drop
        `),
      PORTS_UP,
    );
    expect(names).toEqual(expect.arrayContaining(['kvzalloc', 'rhashtable_insert_fast']));
  });

  test('does without what a bridge has', async () => {
    using _firmware = new Firmware({ capabilities: { ...CAPABILITIES, bridge: ['fdb', 'vlan'] } });
    const names = await failing(
      (space) =>
        space.script(`
          ip link del br0 2>/dev/null || true
          ip link add br0 type bridge vlan_filtering 1
          ip link set br0 up
          ip link set sw0 master br0
          bridge vlan add dev sw0 vid 7
          bridge fdb add 02:00:00:00:00:11 dev sw0 master static vlan 7
          bridge mdb add dev br0 port sw0 grp 239.1.1.1 permanent vid 7
        `),
      PORTS_UP,
    );
    expect(names).toEqual(expect.arrayContaining(['kzalloc', 'rhashtable_insert_fast']));
  });

  test('does without a route or a nexthop', async () => {
    using object = BpfObject.open(ROUTES);
    object.load();
    using _link = object.attachStructOps('firmware');
    const names = await failing(
      (space) =>
        space.script(`
          ip route del 198.51.100.0/24 2>/dev/null || true
          ip -6 route del 2001:db8:1::/48 2>/dev/null || true
          ip nexthop flush
          ip nexthop add id 1 via 192.0.2.2 dev sw0
          ip nexthop add id 2 via 192.0.2.3 dev sw0
          ip nexthop add id 3 group 1/2
          ip nexthop add id 4 group 1/2 type resilient buckets 4
          ip nexthop replace id 2 via 192.0.2.4 dev sw0
          ip route add 198.51.100.0/24 nhid 3
          ip -6 route add 2001:db8:1::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::3
        `),
      `${PORTS_UP} ip addr add 192.0.2.1/24 dev sw0; ip addr add 2001:db8::1/64 dev sw0 nodad`,
    );
    expect(names).toEqual(expect.arrayContaining(['kvzalloc', 'kzalloc', 'rhashtable_insert_fast']));
  });

  test('has nothing of what it cannot follow in hardware', async () => {
    using object = BpfObject.open(ROUTES);
    object.load();
    using _link = object.attachStructOps('firmware');
    const space = new LabSpace();
    const unfollowed = () => said().split('routes are not followed').length;
    const [nexthops, routes] = [object.variable<number>('nexthops'), object.variable<number>('routes')];
    /** How many nexthops firmware has, how many the kernel shows as if it had, and whether firmware has routes. */
    const held = () => [
      nexthops.get(),
      space.json('ip -j nexthop show').filter(({ flags }) => (flags as string[]).includes('trap')).length,
      routes.get() > 0,
    ];
    const reasons: string[] = [];
    const prepare = `
      ip link add d0 type dummy
      ip link set d0 up
      ip addr add 192.0.2.1/24 dev d0
      ip nexthop add id 1 dev d0
      ip nexthop add id 2 dev d0
      ip nexthop add id 3 group 1/2
    `;
    try {
      space.script(prepare);
      for (let left = 0, step = 1; left === 0 && step < STEPS_MAX; step++) {
        const before = unfollowed();
        writeFileSync(PARAMETER, `${step}`);
        const { status } = spawnSync('ip', ['-n', space.name, 'link', 'add', 'sw0', 'type', 'ekho']);
        // All of it, or nothing.
        const isSo = () => {
          const isNothing = status !== 0 || unfollowed() > before;
          return isDeepStrictEqual(held(), isNothing ? [0, 0, false] : [3, 3, true]);
        };
        await expect.poll(isSo, { ...SOON, message: failed().at(-1) ?? 'no step' }).toBe(true);
        if (unfollowed() > before) reasons.push(failed().at(-1)!);
        left = Number(readFileSync(PARAMETER, 'utf8'));
        writeFileSync(PARAMETER, '0');
        space.script(NO_PORTS);
        expect(held(), failed().at(-1)).toEqual([0, 0, false]);
      }
    } finally {
      writeFileSync(PARAMETER, '0');
      await space.end();
    }
    expect(reasons).toEqual(
      expect.arrayContaining([
        'kvzalloc',
        'rhashtable_insert_fast',
        'register_nexthop_notifier',
        'register_fib_notifier',
      ]),
    );
  });

  test('does without a mark', async () => {
    const names = await failing(
      (space) => {
        using marks = new Marks(`/run/netns/${space.name}`);
        marks.set([
          {
            kind: MARK_KIND.route4,
            flags: MARK_FLAGS.offloaded,
            place: MAIN,
            length: 24,
            address: [198, 51, 100, 0],
          },
          { kind: MARK_KIND.nexthop, flags: MARK_FLAGS.offloaded, place: 1 },
        ]);
        space.script('ip route replace 203.0.113.0/24 via 192.0.2.2; ip route del 203.0.113.0/24');
      },
      `
        ip link add d0 type dummy
        ip link set d0 up
        ip addr add 192.0.2.1/24 dev d0
        ip nexthop add id 1 via 192.0.2.2 dev d0
        ip route add 198.51.100.0/24 nhid 1
      `,
    );
    expect(names).toEqual(
      expect.arrayContaining([
        'kzalloc',
        'rhashtable_init',
        'register_switchdev_notifier',
        'register_nexthop_notifier',
        'register_fib_notifier',
        'anon_inode_getfd',
      ]),
    );
  });

  test('is unloaded after all that, and nothing of it stays', async () => {
    await unload();
    expect(traces()).toEqual([]);
    expect(faults()).toEqual(before);
  });
});
