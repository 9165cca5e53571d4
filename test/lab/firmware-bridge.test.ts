/** Bridges with ports whose driver asks firmware, as `bridge` shows them, and what becomes of frames. */
import { afterAll, describe, expect, test } from 'vitest';
import { BpfObject } from '../../bpf/libbpf-ts/src/index.ts';
import { compile } from '../../bpf/libbpf-ts/test/compile.ts';
import type { BridgeCall, BridgeKind } from '../../host/kernel/firmware/bridge.ts';
import { Firmware } from '../../host/kernel/firmware/firmware.ts';
import { inNetns } from '../../host/netlink/syscall.ts';
import { bridged, CAPABILITIES, entryOf, SOON, type Switch, unload, withModule } from './firmware-support.ts';

const MAC = '02:00:00:00:00:11';
const GROUP = '239.1.2.3';
const GROUP_MAC = '01:00:5e:01:02:03';
const ALL: readonly BridgeKind[] = ['fdb', 'vlan', 'mdb', 'attributes'];

/** Pings from the first host to the other, and how many of them were answered once more. The last is waited for so long. */
function pingsOf(space: Switch, count: number, wait_s = 60): { received: number; duplicates: number } {
  const text = space.hosts[0].run('bash', [
    '-c',
    `ping -n -c ${count} -i 0.05 -W ${wait_s} 192.0.2.2 || true`,
  ]);
  return {
    received: Number(/(\d+) received/.exec(text)?.[1]),
    duplicates: Number(/\+(\d+) duplicates/.exec(text)?.[1] ?? 0),
  };
}

const macOf = (space: Switch, host: 0 | 1) =>
  JSON.parse(space.hosts[host].run('ip', ['-j', 'link', 'show', 'eth0']))[0].address as string;

describe('bridges', () => {
  let space: Switch;

  const newFaults = withModule(() => {
    space = bridged();
  });

  afterAll(() => space?.end());

  /** Firmware, and what bridges said to it. */
  function attach(bridge: readonly BridgeKind[] = ALL) {
    const calls: BridgeCall[] = [];
    const capabilities = { ...CAPABILITIES, bridge };
    const onBridge = (call: BridgeCall) => calls.push(call);
    const firmware = new Firmware({ capabilities, netns: space.netns }, { onBridge });
    return { calls, firmware, [Symbol.dispose]: () => firmware.close() };
  }

  const entry = (mac: string) => entryOf(space, mac);
  const ping = (count: number, wait_s?: number) => pingsOf(space, count, wait_s);

  const groups = () =>
    space
      .json('bridge -j -d mdb show dev br0')
      .flatMap(({ mdb }) => (mdb ?? []) as Record<string, unknown>[])
      .filter(({ grp }) => grp === GROUP);

  const said = (calls: readonly BridgeCall[], name: string, mac?: string) =>
    calls.filter((call) => call.call === name && (mac === undefined || call.mac === mac));

  test('without firmware the bridge is software, as ever', () => {
    space.script(`bridge fdb add ${MAC} dev sw0 master static vlan 1; bridge vlan add dev sw0 vid 10`);
    expect(entry(MAC)).toEqual(['sw0', 'static']);
    expect(ping(3).received).toBe(3);
    expect(entry(macOf(space, 0))).not.toContain('offload');
    space.script(`
      bridge fdb del ${MAC} dev sw0 master vlan 1
      bridge vlan del dev sw0 vid 10
      bridge mdb add dev br0 port sw0 grp ${GROUP} permanent vid 1
    `);
    expect(groups()[0]!.flags).toEqual([]);
    space.script(`bridge mdb del dev br0 port sw0 grp ${GROUP} vid 1`);
  });

  test('entries, set and learned, are in hardware for as long as firmware and bridge have them', async () => {
    space.script(`bridge fdb add ${MAC} dev sw0 master static vlan 1`);
    ping(1);
    {
      using bridge = attach();
      // What was there before comes first.
      await expect.poll(() => entry(MAC), SOON).toEqual(['sw0', 'offload', 'static']);
      await expect.poll(() => entry(macOf(space, 1)), SOON).toEqual(['sw1', 'offload']);
      await expect.poll(() => said(bridge.calls, 'fdb-replace', MAC), SOON).toHaveLength(1);
      const [call] = said(bridge.calls, 'fdb-replace', MAC);
      expect([...call!.flags].sort()).toEqual(['replay', 'static']);
      expect(call).toMatchObject({ vlan: 1, ifindex: space.ifindex('sw0'), bridge: space.ifindex('br0') });

      space.script(`bridge fdb del ${macOf(space, 1)} dev sw1 master vlan 1`);
      await expect
        .poll(() => said(bridge.calls, 'fdb-destroy', macOf(space, 1)).length, SOON)
        .toBeGreaterThan(0);
      await expect
        .poll(() => {
          ping(1, 5);
          return entry(macOf(space, 1));
        }, SOON)
        .toEqual(['sw1', 'offload']);
      // Moved to another port: gone here, new there.
      space.script(`bridge fdb replace ${MAC} dev sw1 master static vlan 1`);
      await expect.poll(() => entry(MAC), SOON).toEqual(['sw1', 'offload', 'static']);
      await expect.poll(() => said(bridge.calls, 'fdb-destroy', MAC).length, SOON).toBe(1);
    }
    await expect.poll(() => entry(MAC), SOON).toEqual(['sw1', 'static']);
    space.script(`bridge fdb del ${MAC} dev sw1 master vlan 1`);
  });

  test('an entry that grows old leaves hardware', async () => {
    using bridge = attach();
    ping(1);
    await expect.poll(() => entry(macOf(space, 0)), SOON).toEqual(['sw0', 'offload']);
    space.script('ip link set br0 type bridge ageing_time 100');
    const ageing = () =>
      said(bridge.calls, 'port-attr')
        .filter(({ attr }) => attr === 'ageing_time')
        .at(-1);
    await expect.poll(() => ageing()?.value, SOON).toBe(1000);
    await expect
      .poll(() => said(bridge.calls, 'fdb-destroy', macOf(space, 0)).length, SOON)
      .toBeGreaterThan(0);
    space.script('ip link set br0 type bridge ageing_time 30000');
  });

  test('VLANs of ports and of the bridge, and what is set of ports', async () => {
    using bridge = attach();
    const { calls } = bridge;
    space.script(`
      bridge vlan add dev sw0 vid 20 pvid untagged
      bridge vlan add dev br0 vid 20 self
      bridge vlan del dev sw0 vid 20
      bridge vlan del dev br0 vid 20 self
      bridge link set dev sw0 learning off flood off isolated on
      bridge link set dev sw0 learning on flood on isolated off
      ip link set br0 type bridge vlan_filtering 0
      ip link set br0 type bridge vlan_filtering 1
      bridge vlan add dev sw0 vid 1 pvid untagged
    `);
    const [sw0, sw1] = [space.ifindex('sw0'), space.ifindex('sw1')];
    const vlans = () =>
      calls
        .filter(({ vlan, call }) => vlan === 20 && call.startsWith('vlan'))
        .map(({ call, ifindex, flags, vlanFlags }) =>
          [
            call,
            ifindex === sw0 ? 'sw0' : 'sw1',
            flags.has('host') ? 'host' : 'port',
            (vlanFlags ?? 0) & 6,
          ].join(' '),
        );
    await expect
      .poll(vlans, SOON)
      .toEqual([
        'vlan-replace sw0 port 6',
        'vlan-replace sw0 host 0',
        'vlan-replace sw1 host 0',
        'vlan-destroy sw0 port 6',
        'vlan-destroy sw0 host 0',
        'vlan-destroy sw1 host 0',
      ]);
    const values = (attr: string, ifindex: number) =>
      calls.filter((call) => call.attr === attr && call.ifindex === ifindex).map(({ value }) => value);
    // Learning, flooding, groups and broadcast; then groups, broadcast and isolation; each flag by itself, from what was there.
    await expect.poll(() => values('flags', sw0).at(-1), SOON).toBe(0b1111);
    expect(values('flags', sw0)).toContain(0b101100);
    expect(values('flags', sw1)).toEqual([0b1111]);
    await expect.poll(() => values('vlan_filtering', sw1), SOON).toEqual([1, 0, 1]);
    // The state that firmware is told of when it comes, and changes of it.
    expect(values('stp_state', sw1)).toEqual([3]);
    space.script('ip link set sw1 down; ip link set sw1 up');
    await expect.poll(() => values('stp_state', sw1).slice(1), SOON).toContain(0);
    await expect.poll(() => values('stp_state', sw1).at(-1), SOON).toBe(3);
  });

  test('groups are shown as offloaded', async () => {
    const add = `bridge mdb add dev br0 port sw0 grp ${GROUP} permanent vid 1`;
    const del = `bridge mdb del dev br0 port sw0 grp ${GROUP} vid 1`;
    {
      using bridge = attach();
      space.script(add);
      await expect.poll(() => groups()[0]?.flags, SOON).toEqual(['offload']);
      space.script(del);
      await expect.poll(() => said(bridge.calls, 'mdb-destroy', GROUP_MAC).length, SOON).toBe(1);
      expect(said(bridge.calls, 'mdb-replace', GROUP_MAC)).toHaveLength(1);
    }
    // Firmware that takes entries alone.
    using _bridge = attach(['fdb']);
    space.script(add);
    expect(groups()[0]!.flags).toEqual([]);
    space.script(del);
  });

  test('what hardware forwarded the bridge does not forward again, what it did not it does', () => {
    using object = BpfObject.open(compile('forwarded'));
    object.load();
    object.variable<number>('other').set(space.ifindex('sw1'));
    expect(ping(5)).toEqual({ received: 5, duplicates: 0 });
    using _link = inNetns(space.name, () =>
      object.program('forward').attachTcx(space.ifindex('sw0'), 'ingress'),
    );
    // One of hardware and one of the bridge.
    expect(ping(5).duplicates).toBeGreaterThan(0);
    object.variable<number>('tells').set(1);
    expect(ping(5)).toEqual({ received: 5, duplicates: 0 });
  });

  test('a port that leaves takes all with it, and so does the module under traffic', async () => {
    {
      using bridge = attach();
      space.script(`bridge fdb add ${MAC} dev sw1 master static vlan 1`);
      await expect.poll(() => entry(MAC), SOON).toContain('offload');
      space.script('ip link set sw1 nomaster');
      await expect.poll(() => said(bridge.calls, 'fdb-destroy', MAC).length, SOON).toBe(1);
      const left = () =>
        bridge.calls.findLast(
          ({ ifindex, call }) => call === 'port-attr' && ifindex === space.ifindex('sw1'),
        );
      await expect.poll(left, SOON).toMatchObject({ attr: 'bridge', value: 0 });
      const count = (name: string) =>
        said(bridge.calls, name).filter(({ ifindex }) => ifindex === space.ifindex('sw1')).length;
      expect(count('vlan-destroy')).toBe(count('vlan-replace'));
      space.script('ip link set sw1 master br0');
      await expect.poll(() => ping(1, 5).received, SOON).toBe(1);
    }
    // Frames, and sources that are new, while all of it goes.
    space.hosts[0].script(`
      (for n in $(seq 1 200); do
        ip link set eth0 address 02:00:00:00:01:$(printf %02x $n) 2>/dev/null || exit 0
        ping -q -c 1 -W 1 192.0.2.2 >/dev/null 2>&1
      done) </dev/null >/dev/null 2>&1 &
    `);
    for (let round = 0; round < 5; round++) {
      const bridge = attach();
      await expect.poll(() => said(bridge.calls, 'fdb-replace').length, SOON).toBeGreaterThan(0);
      bridge.firmware.close();
    }
    await unload();
    expect(newFaults()).toEqual([]);
  });
});

describe('a host on them', () => {
  let space: Switch;

  withModule(async () => {
    space = bridged();
    await space.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'firmware.marks = "on"']);
  });

  afterAll(() => space?.end());

  test('entries are shown as offloaded when the plugin has them, and only then', async () => {
    space.script(`bridge fdb add ${MAC} dev sw0 master static vlan 1`);
    await expect.poll(() => entryOf(space, MAC), SOON).toEqual(['sw0', 'offload', 'static']);
    await expect.poll(() => pingsOf(space, 2, 5).received, SOON).toBe(2);
    for (const host of [0, 1] as const)
      await expect.poll(() => entryOf(space, macOf(space, host)), SOON).toEqual([`sw${host}`, 'offload']);
    expect(pingsOf(space, 20)).toEqual({ received: 20, duplicates: 0 });
    space.script('bridge vlan add dev sw0 vid 20 && bridge vlan del dev sw0 vid 20');
    await space.verified();
  });

  test('groups are in hardware and shown so where the bridge relies on who joined, else the kernel’s', async () => {
    const [one, other] = space.hosts;
    one.script(`ip route add ${GROUP} dev eth0`);
    other.script(`
      tc qdisc add dev eth0 clsact
      tc filter add dev eth0 ingress protocol ip flower dst_ip ${GROUP} action pass
    `);
    const arrived = () => {
      const [shown] = other
        .json('tc -s -j filter show dev eth0 ingress')
        .filter(({ options }) => options !== undefined);
      return (shown!.options as { actions: { stats: { packets: number } }[] }).actions[0]!.stats.packets;
    };
    const trapped = () =>
      space.host.devices
        .list()[0]!
        .traps!.filter(({ reason }) => reason === 'destination mac is a group')
        .reduce((sum, { packets }) => sum + packets, 0);
    /** Frames to the group that got to the other host, and that went to the kernel, of 5. */
    const send = () => {
      const [start, traps] = [arrived(), trapped()];
      one.run('bash', ['-c', `ping -q -n -c 5 -i 0.05 -W 1 ${GROUP} || true`]);
      return [arrived() - start, trapped() - traps];
    };
    const flags = () =>
      space
        .json('bridge -j -d mdb show dev br0')
        .flatMap(({ mdb }) => (mdb ?? []) as Record<string, unknown>[])
        .filter(({ grp }) => grp === GROUP)
        .map(({ port, flags }) => [port, flags]);
    const states = async () => {
      await space.settled();
      const explained = await space.host.explain('mdb', ['dev', 'br0', 'grp', GROUP], 10);
      return explained.map(({ offload }) => [offload[0]?.state, offload[0]?.reason]);
    };
    const mdb = (what: string, port: string) =>
      space.script(
        `bridge mdb ${what} dev br0 port ${port} grp ${GROUP} ${what === 'add' ? 'permanent' : ''} vid 1`,
      );

    // The bridge does not ask who wants what: all ports get all frames.
    mdb('add', 'sw0');
    expect(await states()).toEqual([['trapped', 'multicast-flooded']]);
    expect(flags()).toEqual([['sw0', []]]);
    expect(send()).toEqual([5, 5]);
    mdb('del', 'sw0');

    space.script(
      'ip link set br0 type bridge mcast_query_response_interval 100 mcast_querier 1 mcast_router 0',
    );
    mdb('add', 'sw1');
    await expect.poll(states, SOON).toEqual([['offloaded', undefined]]);
    await expect.poll(send, SOON).toEqual([5, 0]);
    // The kernel asks once, when a member comes; programs hear of it within a second that it is hardware's.
    await expect
      .poll(() => {
        mdb('del', 'sw1');
        mdb('add', 'sw1');
        return flags();
      }, SOON)
      .toEqual([['sw1', ['offload']]]);
    mdb('del', 'sw1');
    // Only who sends wants it: hardware drops it.
    mdb('add', 'sw0');
    await expect.poll(states, SOON).toEqual([['offloaded', undefined]]);
    expect(flags()).toEqual([['sw0', ['offload']]]);
    expect(send()).toEqual([0, 0]);
    mdb('del', 'sw0');

    // By IGMP, which gets to the bridge.
    other.script(`ip addr add ${GROUP}/32 dev eth0 autojoin`);
    await expect.poll(flags, SOON).toEqual([['sw1', ['offload']]]);
    await expect.poll(states, SOON).toEqual([['offloaded', undefined]]);
    expect(send()).toEqual([5, 0]);
    other.script(`ip addr del ${GROUP}/32 dev eth0`);
    await expect.poll(flags, SOON).toEqual([]);
    await space.verified();
  });

  test('no mark is left when the host ends', async () => {
    expect(entryOf(space, MAC)).toEqual(['sw0', 'offload', 'static']);
    await space.stop();
    expect(entryOf(space, MAC)).toEqual(['sw0', 'static']);
  });
});
