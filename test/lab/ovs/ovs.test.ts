/**
 * Debian's Open vSwitch with hw-offload on ports whose driver asks firmware. With a host its flows are in the XDP data path, and in it
 * alone (`skip_sw`): what counts packets is what forwards them. Without one, what Open vSwitch asks programs for.
 */
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ACTIONS, DIRECTIONS, FLOW_KINDS, MATCH_KEYS } from '../../../host/kernel/firmware/abi.ts';
import { Firmware } from '../../../host/kernel/firmware/firmware.ts';
import { faults, isLoaded, load, needsModule, SOON, Switch, unload } from '../firmware-support.ts';
import { IDLE, OpenVswitch, packetsOf } from './support.ts';

/** They take longer than Open vSwitch lets a flow be idle. */
const PACKETS = (2.5 * IDLE) / 200;

beforeEach((context) => needsModule(context));

describe('Open vSwitch on a host', () => {
  let faultsBefore: string[];
  let space: Switch;
  let ovs: OpenVswitch;

  beforeAll(async () => {
    faultsBefore = faults();
    load();
    space = new Switch();
    ovs = new OpenVswitch(space);
    await space.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'statistics.interval = 1']);
    await ovs.start('skip_sw');
  }, 600_000);

  afterAll(async () => {
    ovs?.end();
    await space?.end();
    if (isLoaded()) await unload();
  });

  /** Has the first host send to the second one until it is told to stop. */
  function traffic(command: string): Disposable {
    const words = ['netns', 'exec', space.hosts[0].name, ...command.split(' ')];
    const process = spawn('ip', words, { stdio: 'ignore' });
    return { [Symbol.dispose]: () => process.kill('SIGKILL') };
  }

  /** How many of so many pings are answered, five a second; the host of this process works meanwhile. */
  async function ping(count: number): Promise<number> {
    const command = `ping -q -n -c ${count} -i 0.2 -W 1 192.0.2.2 || true`;
    const words = ['netns', 'exec', space.hosts[0].name, 'bash', '-c', command];
    const { stdout } = await promisify(execFile)('ip', words);
    return Number(/(\d+) received/.exec(stdout)?.[1]);
  }

  /** Waits until counters stand still. */
  async function settledCounts(counts: () => number[]): Promise<void> {
    let last = '';
    const isSame = () => {
      const before = last;
      last = String(counts());
      return last === before;
    };
    await expect.poll(isSame, { ...SOON, interval: 3000 }).toBe(true);
  }

  const offloaded = (port: string) =>
    ovs.flows('offloaded').filter((line) => line.includes(`in_port(${port})`));
  const inHardware = () =>
    space.filters('dev sw0 ingress').filter(({ isInHardware, packets }) => isInHardware && packets > 0);

  test('a flow with traffic stays in hardware, which counts each packet, and one without goes', async () => {
    /** Of both directions, as Open vSwitch and as the device count them. */
    const counts = () => ['sw0', 'sw1'].map((port) => packetsOf(offloaded(port)[0]));
    const counted = async () => {
      const { entries } = await space.host.stats();
      const flows = entries.filter(({ entry }) => entry.includes('flower'));
      return flows.reduce((sum, { packets }) => sum + packets, 0);
    };
    const areBothThere = async () => {
      await ping(5);
      return counts().every((count) => count > 0);
    };
    await expect.poll(areBothThere, SOON).toBe(true);
    // What the device counted since, the kernel is told soon.
    await settledCounts(counts);
    const before = counts();
    const beforeDevice = await counted();
    expect(await ping(PACKETS)).toBe(PACKETS);
    await expect.poll(counts, SOON).toEqual(before.map((count) => count + PACKETS));
    expect(await counted()).toBe(beforeDevice + 2 * PACKETS);
    expect(space.host.status().firmware).toMatchObject({ rules: 2, amiss: 0 });
    await expect.poll(() => ovs.flows('offloaded'), SOON).toEqual([]);
    await expect.poll(() => space.counts('sw0'), SOON).toEqual({ rules: 0, offloaded: 0 });
    await expect.poll(() => space.host.status().firmware, SOON).toMatchObject({ rules: 0, amiss: 0 });
  });

  test('flows of several masks have one preference, and are in hardware as no two overlap', async () => {
    ovs.run('ovs-ofctl add-flow br0 priority=10,icmp,in_port=sw0,nw_dst=192.0.2.2,actions=output:sw1');
    ovs.run('ovs-ofctl add-flow br0 priority=10,udp,in_port=sw0,tp_dst=9,actions=output:sw1');
    using _pings = traffic('ping -n -q -i 0.1 192.0.2.2');
    const send = () => space.hosts[0].run('bash', ['-c', 'echo > /dev/udp/192.0.2.2/9']);
    const counted = () => {
      send();
      return inHardware().map(({ pref }) => pref);
    };
    await expect.poll(counted, SOON).toHaveLength(2);
    expect(new Set(counted()).size).toBe(1);
    expect(space.host.status().firmware).toMatchObject({ amiss: 0 });
    ovs.run('ovs-ofctl del-flows br0 ip,in_port=sw0');
    expect(faults().filter((line) => !faultsBefore.includes(line))).toEqual([]);
  });
});

describe('Open vSwitch and a program', () => {
  const keys = <T extends string>(table: Readonly<Record<T, number>>) => Object.keys(table) as T[];
  let space: Switch;
  let ovs: OpenVswitch;
  let firmware: Firmware;

  beforeAll(async () => {
    load();
    space = new Switch();
    ovs = new OpenVswitch(space);
    firmware = new Firmware({
      capabilities: {
        match: keys(MATCH_KEYS),
        actions: keys(ACTIONS),
        directions: keys(DIRECTIONS),
        kinds: keys(FLOW_KINDS),
        chainMax: 0,
      },
      netns: space.netns,
    });
    await ovs.start('none');
    ovs.run('ovs-ofctl -O OpenFlow13 add-meter br0 meter=1,kbps,band=type=drop,rate=1000');
  }, 300_000);

  afterAll(async () => {
    ovs?.end();
    firmware?.close();
    await space?.end();
    if (isLoaded()) await unload();
  });

  test.each([
    ['output', 'output:sw1', ['redirect']],
    ['a tag', 'mod_vlan_vid:10,output:sw1', ['vlan_push', 'redirect']],
    ['rewriting', 'dec_ttl,mod_nw_dst:192.0.2.3,output:sw1', ['set', 'set', 'checksum', 'redirect']],
    ['a mirror', 'output:sw1,in_port', ['mirror', 'redirect']],
    ['a meter', 'meter:1,output:sw1', ['police', 'redirect']],
  ])('%s is what it is asked for', async (_what, actions, expected) => {
    ovs.run(`ovs-ofctl -O OpenFlow13 add-flow br0 icmp,in_port=sw0,actions=${actions}`);
    const port = space.ifindex('sw0');
    const asked = () => {
      space.hosts[0].run('bash', ['-c', 'ping -q -n -c 2 -i 0.1 -W 1 192.0.2.2 || true']);
      return [...firmware.rules()]
        .filter(({ ifindex, match }) => ifindex === port && match.has('fragment'))
        .map((rule) => rule.actions);
    };
    await expect.poll(asked, SOON).toContainEqual(expected);
    ovs.run('ovs-ofctl del-flows br0 icmp,in_port=sw0');
  });
});
