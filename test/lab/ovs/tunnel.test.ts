/**
 * VXLAN of Open vSwitch: a host behind a port talks with one behind a tunnel. A program is asked for both directions, that out of the tunnel on
 * the tunnel's link; the plugin of a host cannot have them, and Open vSwitch's own data path does.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ACTIONS, DIRECTIONS, FLOW_KINDS, MATCH_KEYS } from '../../../host/kernel/firmware/abi.ts';
import { Firmware } from '../../../host/kernel/firmware/firmware.ts';
import { faults, isLoaded, load, needsModule, SOON, Switch, unload } from '../firmware-support.ts';
import { OpenVswitch, packetsOf } from './support.ts';

const VNI = 7;
const ICMP = 1;
/** enum ekho_tunnel_kind, ekho_tunnel_flags and ekho_tunnel_header_flags */
const VXLAN = 1;
const EXTERNAL = 1;
const HAS_CHECKSUM = 1;
const DONT_FRAGMENT = 2;
const PINGS = 20;
/** What firmware says that hardware counted. */
const COUNTED = 100_000n;

beforeEach((context) => needsModule(context));

/** The second port is the way to the tunnel's other end, a link of the kernel's. */
async function withTunnel(space: Switch, policy: 'none' | 'skip_sw'): Promise<OpenVswitch> {
  const ovs = new OpenVswitch(space);
  const [, other] = space.hosts;
  space.script(`
    ip addr add 203.0.113.1/24 dev sw1
    ip -n ${other.name} addr flush dev eth0
    ip -n ${other.name} addr add 203.0.113.2/24 dev eth0
    ip -n ${other.name} link add vx type vxlan id ${VNI} local 203.0.113.2 remote 203.0.113.1 dstport 4789
    ip -n ${other.name} link set vx address 02:00:00:00:00:02 up
    ip -n ${other.name} addr add 192.0.2.2/24 dev vx
    ip -n ${other.name} neigh replace 192.0.2.1 lladdr 02:00:00:00:00:01 dev vx nud permanent
  `);
  await ovs.start(policy, ['sw0']);
  ovs.run(
    `ovs-vsctl --timeout=120 add-port br0 vx0 -- set interface vx0 type=vxlan options:remote_ip=203.0.113.2 options:local_ip=203.0.113.1 options:key=${VNI}`,
  );
  ovs.run('ovs-ofctl add-flow br0 icmp,in_port=sw0,actions=output:vx0');
  ovs.run('ovs-ofctl add-flow br0 icmp,in_port=vx0,actions=output:sw0');
  return ovs;
}

/** How many are answered. */
function ping(space: Switch, count: number): number {
  const words = `ping -q -n -c ${count} -i 0.1 -W 5 192.0.2.2 || true`;
  return Number(/(\d+) received/.exec(space.hosts[0].run('bash', ['-c', words]))?.[1]);
}

/** Those through the tunnel, of both directions. */
const flowsOf = (ovs: OpenVswitch, type: 'offloaded' | 'ovs') =>
  ovs.flows(type).filter((line) => line.includes('tunnel('));

/** Pings until there is a flow of each direction. */
async function untilBoth(space: Switch, ovs: OpenVswitch, type: 'offloaded' | 'ovs'): Promise<void> {
  const areThere = () => ping(space, 3) === 3 && flowsOf(ovs, type).length === 2;
  await expect.poll(areThere, SOON).toBe(true);
}

describe('VXLAN of Open vSwitch and a program', () => {
  const keys = <T extends string>(table: Readonly<Record<T, number>>) => Object.keys(table) as T[];
  let space: Switch;
  let ovs: OpenVswitch;
  let firmware: Firmware;

  beforeAll(async () => {
    load();
    space = new Switch();
    firmware = new Firmware({
      capabilities: {
        match: keys(MATCH_KEYS),
        actions: keys(ACTIONS),
        directions: keys(DIRECTIONS),
        kinds: keys(FLOW_KINDS),
        chainMax: 0,
        tunnels: true,
      },
      netns: space.netns,
    });
    ovs = await withTunnel(space, 'none');
  }, 300_000);

  afterAll(async () => {
    ovs?.end();
    firmware?.close();
    await space?.end();
    if (isLoaded()) await unload();
  });

  test('both directions are asked for, with the keys of the tunnel', async () => {
    await untilBoth(space, ovs, 'offloaded');
    const link = space.ifindex('vxlan_sys_4789');
    const asked = [...firmware.rules()].filter(({ context }) => context.match.ip_protocol === ICMP);
    const into = asked.find(({ ifindex }) => ifindex === space.ifindex('sw0'))!;
    const out = asked.find(({ ifindex }) => ifindex === link)!;
    expect(into).toMatchObject({ actions: ['tunnel_set', 'redirect'] });
    expect(into.context.actions[0]).toMatchObject({
      tunnel: { key: BigInt(VNI) << 56n, flags: DONT_FRAGMENT },
    });
    expect(out).toMatchObject({ actions: ['tunnel_unset', 'redirect'] });
    expect(out.context.tunnel).toMatchObject({ kind: VXLAN, flags: EXTERNAL });
    expect(out.context.match.tunnel).toMatchObject({
      key: VNI << 24,
      flags: HAS_CHECKSUM,
      flags_mask: HAS_CHECKSUM | DONT_FRAGMENT,
    });
    for (const { id } of [into, out]) firmware.count(id, { packets: COUNTED, bytes: COUNTED, drops: 0n });
    const counted = () => flowsOf(ovs, 'offloaded').map(packetsOf);
    await expect.poll(() => counted().filter((count) => count >= COUNTED).length, SOON).toBe(2);
  });
});

describe('VXLAN of Open vSwitch and a host', () => {
  let before: string[];
  let space: Switch;
  let ovs: OpenVswitch;

  beforeAll(async () => {
    before = faults();
    load();
    space = new Switch();
    await space.start(['sw?'], 'xdp', ['firmware.enabled = "on"']);
    ovs = await withTunnel(space, 'skip_sw');
  }, 300_000);

  afterAll(async () => {
    ovs?.end();
    await space?.end();
    if (isLoaded()) await unload();
  });

  test('what the plugin cannot have Open vSwitch does itself', async () => {
    await untilBoth(space, ovs, 'ovs');
    const counts = () => flowsOf(ovs, 'ovs').map(packetsOf);
    const first = counts();
    expect(ping(space, PINGS)).toBe(PINGS);
    await expect.poll(counts, SOON).toEqual(first.map((count) => count + PINGS));
    expect(flowsOf(ovs, 'offloaded')).toEqual([]);
    const rule =
      'tc filter add dev vxlan_sys_4789 ingress pref 9 protocol ip flower verbose action drop 2>&1';
    expect(space.run('bash', ['-c', rule])).toContain('the link is a tunnel, and no port of a plugin');
    expect(faults().filter((line) => !before.includes(line))).toEqual([]);
  });
});
