/**
 * Debian's Open vSwitch with hw-offload on ports whose driver asks firmware. With a host its flows are in the XDP data path, and in it
 * alone (`skip_sw`): what counts packets is what forwards them. Without one, what Open vSwitch asks programs for.
 */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ACTIONS, DIRECTIONS, FLOW_KINDS, MATCH_KEYS } from '../../../host/kernel/firmware/abi.ts';
import { Firmware } from '../../../host/kernel/firmware/firmware.ts';
import { faults, isLoaded, load, needsModule, SOON, Switch, unload } from '../firmware-support.ts';
import { OpenVswitch, packetsOf } from './support.ts';

beforeEach((context) => needsModule(context));

describe('Open vSwitch on a host', () => {
  let before: string[];
  let space: Switch;
  let ovs: OpenVswitch;

  beforeAll(async () => {
    before = faults();
    load();
    space = new Switch();
    ovs = new OpenVswitch(space);
    await space.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'statistics.interval = 1']);
    await ovs.start('skip_sw');
  }, 300_000);

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

  const offloaded = (port: number) =>
    ovs.flows('offloaded').filter((line) => line.includes(`in_port(${port})`));
  const inHardware = () =>
    space.filters('dev sw0 ingress').filter(({ isInHardware, packets }) => isInHardware && packets > 0);

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
  });

  test('what the planner cannot express is left to Open vSwitch’s own data path', async () => {
    ovs.run('ovs-ofctl add-flow br0 priority=10,icmp,in_port=sw0,actions=dec_ttl,output:sw1');
    using _pings = traffic('ping -n -q -i 0.1 192.0.2.2');
    const soft = () => ovs.flows('ovs').find((line) => line.includes('ttl=63'));
    await expect.poll(() => packetsOf(soft()), SOON).toBeGreaterThan(20);
    expect(offloaded(1)).toEqual([]);
    ovs.run('ovs-ofctl del-flows br0 icmp,in_port=sw0');
    expect(faults().filter((line) => !before.includes(line))).toEqual([]);
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
