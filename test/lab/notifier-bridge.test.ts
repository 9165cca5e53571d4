/** Bridges, their ports and VXLAN links as notifiers tell them, with hosts that send frames, against `bridge -j`. */
import { isDeepStrictEqual } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Json } from '../../host/iproute2/context.ts';
import { Netns } from '../support/netns.ts';
import { ToldSpace } from './notifier-support.ts';

let space: ToldSpace;
let hosts: readonly Netns[] = [];
beforeAll(() => {
  space = new ToldSpace();
  hosts = [new Netns(), new Netns()];
  // Silence: IPv6 has hosts speak by themselves.
  for (const host of hosts)
    host.sysctl('net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
  space.script(`
    ip link add br0 type bridge vlan_filtering 1 mcast_snooping 1
    ip link set br0 up
    ${hosts
      .map(
        ({ name }, index) => `
          ip link add v${index} type veth peer name eth0 netns ${name}
          ip link set v${index} master br0
          ip link set v${index} up
          ip -n ${name} link set eth0 up
          ip -n ${name} addr add 10.0.0.${index + 1}/24 dev eth0`,
      )
      .join('\n')}
  `);
});
afterEach(() => space.agree());
afterAll(async () => {
  await space?.end();
  for (const host of hosts) host.close();
});

describe('forwarding entries', () => {
  /** What the events so far add up to, without the bridge's own: the port of each MAC and VLAN. */
  function folded(): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    const links = space.links();
    for (const { event, mac, vlan, flags, ifindex } of space.since(0, 'fdb')) {
      if ((flags as string[]).includes('local')) continue;
      const key = `${mac} ${vlan}`;
      if (event === 'fdb-add-to-device') entries.set(key, links.get(ifindex));
      else entries.delete(key);
    }
    return Object.fromEntries(entries);
  }

  function shown(): Record<string, unknown> {
    const rows = space
      .json('bridge -j fdb show br br0')
      .filter(
        ({ state, ifname, flags }) =>
          state !== 'permanent' && ifname !== 'br0' && !(flags as string[]).includes('self'),
      );
    return Object.fromEntries(rows.map(({ mac, vlan, ifname }) => [`${mac} ${vlan ?? 0}`, ifname]));
  }

  /** Both are looked at together: a host may send a frame of its own accord at any time, and the bridge learns. */
  async function same(): Promise<void> {
    await expect
      .poll(() => ({ told: folded(), shown: shown() }))
      .toSatisfy(({ told, shown }) => isDeepStrictEqual(told, shown));
  }

  test('that the bridge learned from frames', async () => {
    const macs = hosts.map((host) => JSON.parse(host.run('ip', ['-j', 'link', 'show', 'eth0']))[0].address);
    hosts[0]!.run('ping', ['-c1', '-W20', '10.0.0.2']);
    await expect
      .poll(() => Object.keys(folded()))
      .toEqual(expect.arrayContaining(macs.map((mac) => `${mac} 1`)));
    await same();
    for (const [index, mac] of macs.entries()) expect(folded()[`${mac} 1`]).toBe(`v${index}`);
  });

  test('that users add, that move, and that go', async () => {
    const from = space.events().length;
    space.script(`
      bridge vlan add vid 7 dev v0
      bridge vlan add vid 7 dev v1
      bridge fdb add 02:00:00:00:00:71 dev v0 master static vlan 7
      bridge fdb add 02:00:00:00:00:72 dev v0 master static vlan 7 sticky
      bridge fdb replace 02:00:00:00:00:71 dev v1 master static vlan 7
      bridge fdb add 02:00:00:00:00:73 dev v1 master extern_learn vlan 7
    `);
    await same();
    expect(folded()).toMatchObject({
      '02:00:00:00:00:71 7': 'v1',
      '02:00:00:00:00:72 7': 'v0',
      '02:00:00:00:00:73 7': 'v1',
    });
    expect(space.since(from, 'fdb').find(({ mac }) => mac === '02:00:00:00:00:72')).toMatchObject({
      event: 'fdb-add-to-device',
      vlan: 7,
      flags: ['added_by_user'],
      ifindex: space.ifindex('v0'),
    });
    space.script('bridge fdb del 02:00:00:00:00:71 dev v1 master vlan 7; bridge vlan del vid 7 dev v0');
    await same();
  });

  test('that age, and that a link takes along', async () => {
    // In hundredths of a second; the bridge looks as often as the shortest is due.
    space.script('ip link set br0 type bridge ageing_time 100');
    const learned = () =>
      space
        .json('bridge -j fdb show br br0')
        .some(({ state, ifname }) => ifname === 'v0' && state !== 'static' && state !== 'permanent');
    await expect.poll(learned, { timeout: 60_000 }).toBe(false);
    await same();
    space.script('ip link set br0 type bridge ageing_time 30000');
    space.script('ip link set v1 down');
    await same();
    space.script('ip link set v1 up');
  });
});

describe('port objects', () => {
  test('VLANs of ports and of the bridge add up to what `bridge vlan` shows', () => {
    space.script(`
      bridge vlan add vid 10 dev v0 pvid untagged
      bridge vlan add vid 20-23 dev v0
      bridge vlan add vid 20 dev v1
      bridge vlan add vid 20 dev v1 untagged
      bridge vlan add vid 30 dev br0 self
      bridge vlan del vid 21 dev v0
    `);
    const links = space.links();
    const vlans = new Map<string, string[]>();
    for (const { event, object, device, vlan, vlanFlags } of space.since(0, 'switchdev-object')) {
      if (object !== 'vlan') continue;
      const key = `${links.get(device as number)} ${vlan}`;
      const flags = ((vlanFlags ?? []) as string[]).filter((flag) => flag === 'pvid' || flag === 'untagged');
      if (event === 'port-object-add') {
        // A port has one PVID.
        if (flags.includes('pvid')) {
          for (const [other, kept] of vlans) {
            if (other.split(' ')[0] === key.split(' ')[0])
              vlans.set(
                other,
                kept.filter((flag) => flag !== 'pvid'),
              );
          }
        }
        vlans.set(key, flags);
      } else vlans.delete(key);
    }
    const shown = space
      .json('bridge -j vlan show')
      .flatMap(({ ifname, vlans }) =>
        (vlans as Json[]).flatMap(({ vlan, vlanEnd, flags }) =>
          Array.from({ length: Number(vlanEnd ?? vlan) - Number(vlan) + 1 }, (_, index) => [
            `${ifname} ${Number(vlan) + index}`,
            [
              ...((flags as string[] | undefined)?.includes('PVID') ? ['pvid'] : []),
              ...((flags as string[] | undefined)?.includes('Egress Untagged') ? ['untagged'] : []),
            ],
          ]),
        ),
      );
    expect(shown.length).toBeGreaterThanOrEqual(9);
    expect(Object.fromEntries(vlans)).toEqual(Object.fromEntries(shown));
  });

  test('multicast groups that hosts join and leave', async () => {
    const [host] = hosts;
    const mac = '01:00:5e:01:02:03';
    const ours = (event: string) =>
      space.since(0, event).filter(({ object, mac: group }) => object === 'mdb' && group === mac);
    // The kernel joins the group of such an address, and says so by IGMP.
    host!.ip('addr add 239.1.2.3/32 dev eth0 autojoin');
    await expect.poll(() => ours('port-object-add').length, { timeout: 60_000 }).toBe(1);
    const [joined] = ours('port-object-add');
    const group = () =>
      (space.json('bridge -j mdb show')[0]!.mdb as Json[]).find(({ grp }) => grp === '239.1.2.3');
    expect(group()).toMatchObject({ port: 'v0', dev: 'br0' });
    expect(joined).toMatchObject({ ifindex: space.ifindex('v0'), vlan: group()!.vid });
    space.script('bridge mdb add dev br0 port v1 grp 239.9.9.9 permanent vid 20');
    const added = space.since(0, 'port-object-add').filter(({ mac }) => mac === '01:00:5e:09:09:09');
    const known = { object: 'mdb', vlan: 20, ifindex: space.ifindex('v1') };
    expect(added).toEqual([expect.objectContaining(known)]);
    space.script('bridge mdb del dev br0 port v1 grp 239.9.9.9 permanent vid 20');
    const deleted = space.since(0, 'port-object-delete').filter(({ mac }) => mac === '01:00:5e:09:09:09');
    expect(deleted).toEqual([expect.objectContaining(known)]);
  });
});

describe('attributes', () => {
  const last = (attribute: string, link: string) => {
    const ifindex = space.ifindex(link);
    return space
      .since(0, 'port-attribute-set')
      .findLast((event) => event.attribute === attribute && event.ifindex === ifindex);
  };

  test('STP states are those of the port', async () => {
    const states = ['disabled', 'listening', 'learning', 'forwarding', 'blocking'];
    const state = () => space.json('bridge -j link show dev v0')[0]!.state;
    const ifindex = space.ifindex('v0');
    const values = () =>
      space
        .since(0, 'port-attribute-set')
        .filter((event) => event.attribute === 'stp-state' && event.ifindex === ifindex)
        .map(({ value }) => value);
    const told = () => states[Number(last('stp-state', 'v0')!.value)];
    expect(told()).toBe(state());
    space.script('ip link set br0 type bridge stp_state 1; ip link set v0 down; ip link set v0 up');
    await expect.poll(state).toMatch(/listening|learning|forwarding/);
    await expect.poll(() => told() === state()).toBe(true);
    // It passed through the states that STP has it wait in.
    expect(values()).toContain(states.indexOf('listening'));
    space.script('ip link set br0 type bridge stp_state 0; ip link set v0 down; ip link set v0 up');
    await expect.poll(state).toBe('forwarding');
    await expect.poll(told).toBe('forwarding');
  });

  test('of the bridge: ageing time, VLAN filtering and protocol, snooping', () => {
    space.script('ip link set br0 type bridge ageing_time 12000');
    expect(last('ageing-time', 'br0')).toMatchObject({ value: 12_000 });
    space.script('ip link set br0 type bridge vlan_protocol 802.1ad');
    expect(last('vlan-protocol', 'br0')).toMatchObject({ value: 0x88a8 });
    space.script('ip link set br0 type bridge vlan_filtering 0');
    expect(last('vlan-filtering', 'br0')).toMatchObject({ value: 0 });
    space.script('ip link set br0 type bridge vlan_filtering 1 vlan_protocol 802.1Q mcast_snooping 0');
    expect(last('vlan-filtering', 'br0')).toMatchObject({ value: 1 });
    expect(last('vlan-protocol', 'br0')).toMatchObject({ value: 0x8100 });
    expect(last('mc-disabled', 'br0')).toMatchObject({ value: 1 });
  });

  test('flags of a port, with a mask of those that changed', () => {
    const count = () =>
      space.since(0, 'port-attribute-set').filter(({ attribute }) => attribute === 'bridge-flags').length;
    const before = count();
    space.script('bridge link set dev v0 learning off');
    const off = last('bridge-flags', 'v0')!;
    expect(space.json('bridge -j -d link show dev v0')[0]).toMatchObject({ learning: false });
    space.script('bridge link set dev v0 learning on');
    const on = last('bridge-flags', 'v0')!;
    expect(count()).toBe(before + 2);
    expect(on.mask).toBe(off.mask);
    const mask = BigInt(on.mask as number);
    expect(BigInt(off.value as number) & mask).toBe(0n);
    expect(BigInt(on.value as number) & mask).toBe(mask);
  });
});

test('VXLAN entries, as `bridge fdb` shows them', () => {
  const from = space.events().length;
  space.script(`
    ip link add vx0 type vxlan id 77 dstport 4789 local 10.9.0.1
    bridge fdb append 02:00:00:00:00:77 dev vx0 dst 10.5.0.1
    bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.5.0.2 port 8472 vni 78
    ip link add vx6 type vxlan id 79 dstport 4789 local 2001:db8::1
    bridge fdb append 02:00:00:00:00:79 dev vx6 dst 2001:db8::5 via v0
    bridge fdb del 02:00:00:00:00:77 dev vx0 dst 10.5.0.1
  `);
  const entry = (members: object) => expect.objectContaining(members);
  const [vx0, vx6] = [space.ifindex('vx0'), space.ifindex('vx6')];
  expect(space.since(from, 'vxlan-fdb')).toEqual([
    entry({
      event: 'vxlan-fdb-add-to-device',
      ifindex: vx0,
      mac: '02:00:00:00:00:77',
      vni: 77,
      remote: '10.5.0.1',
      remotePort: 4789,
      remoteVni: 77,
      flags: ['added_by_user'],
    }),
    entry({
      event: 'vxlan-fdb-add-to-device',
      ifindex: vx0,
      mac: '00:00:00:00:00:00',
      vni: 77,
      remote: '10.5.0.2',
      remotePort: 8472,
      remoteVni: 78,
    }),
    entry({
      event: 'vxlan-fdb-add-to-device',
      ifindex: vx6,
      mac: '02:00:00:00:00:79',
      vni: 79,
      remote: '2001:db8::5',
      remoteIfindex: space.ifindex('v0'),
    }),
    entry({
      event: 'vxlan-fdb-delete-to-device',
      ifindex: vx0,
      mac: '02:00:00:00:00:77',
      remote: '10.5.0.1',
    }),
  ]);
  const shown = space
    .json('bridge -j fdb show dev vx0')
    .map(({ mac, dst, port, vni }) => [mac, dst, port, vni]);
  expect(shown).toEqual([['00:00:00:00:00:00', '10.5.0.2', 8472, 78]]);
});

test('filters of tc and nftables are no business of the hooks', () => {
  const told = space.told(
    `
    tc qdisc add dev v0 clsact
    tc filter add dev v0 ingress flower action drop
    tc filter del dev v0 ingress
    nft add table inet filter
    nft add chain inet filter forward '{ type filter hook forward priority 0; }'
    nft delete table inet filter
  `,
    'fib',
    'nexthop',
    'switchdev-object',
  );
  expect(told).toEqual([]);
});
