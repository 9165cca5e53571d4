/**
 * Every step of loading the kernel module that can fail does, one after the other, and so do those for a namespace and for a rule: what was begun is taken
 * back, and the next try succeeds. The module is built for it: test/lab/unwind.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Firmware } from '../../host/kernel/firmware/firmware.ts';
import { CAPABILITIES, faults, isLoaded, needsModule, unload } from './firmware-support.ts';
import { moduleFile, UNWIND } from './module.ts';
import { LabSpace } from './support.ts';

const PARAMETER = '/sys/module/ekho/parameters/fail_at';
/** Steps of one thing to do: with more it would never end. */
const STEPS_MAX = 200;

/** What was made to fail, so far. */
function failed(): string[] {
  const { stdout } = spawnSync('dmesg', { encoding: 'utf8', maxBuffer: 16 << 20 });
  return [...stdout.matchAll(/ekho: (\w+) is made to fail/g)].map(([, what]) => what!);
}

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
 * Does something in a namespace of its own, again and again: in the first one its first step fails, then the second, until none is left that
 * could. Gives what failed. Whether it then does what it is to do is its own affair, but not that it leaves something behind, which would be in the
 * way when it is done once more.
 */
async function failing(act: (space: LabSpace) => void, prepare = (_: LabSpace) => {}): Promise<string[]> {
  const from = failed().length;
  for (let step = 1; step < STEPS_MAX; step++) {
    const space = new LabSpace();
    try {
      prepare(space);
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
    } finally {
      writeFileSync(PARAMETER, '0');
      await space.end();
    }
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
  ip link set sw0 up
  ip link set sw1 up
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
    expect(new Set(failed())).toEqual(
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
      (space) => space.script(PORTS),
    );
    expect(names).toEqual(expect.arrayContaining(['kvzalloc', 'rhashtable_insert_fast']));
  });

  test('is unloaded after all that, and nothing of it stays', async () => {
    await unload();
    expect(traces()).toEqual([]);
    expect(faults()).toEqual(before);
  });
});
