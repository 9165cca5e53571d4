/**
 * Filters with several actions, edits and then a redirect, on ports whose driver asks firmware: with `skip_sw` hardware alone has them,
 * and the frame that leaves is what tc's words say. test/lab/xdp-packets.test.ts compares random ones with the kernel's software.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { frameOf, type Ip4, type Packet } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { SOON, Switch, withModule } from './firmware-support.ts';

const MAC = '02:00:00:00:00:77';
const TO = 'action mirred egress redirect dev sw1';

const ip4 = (more: Partial<Ip4> = {}): Ip4 => ({
  is: 'ip4',
  source: '192.0.2.1',
  destination: '192.0.2.9',
  ttl: 64,
  l4: { is: 'tcp', sport: 1000, dport: 80, flags: 16 },
  ...more,
});
const packet = (body: Packet['body'], more: Partial<Packet> = {}): Packet => ({
  port: 0,
  from: '02:00:00:00:00:01',
  to: '02:00:00:00:00:02',
  payload: 20,
  body,
  ...more,
});
const tag = (id: number, priority = 0) => ({ vlans: [{ id, priority }] });

interface Case {
  readonly filter: string;
  readonly came: Packet;
  readonly leaves: Packet;
}

const CASES: readonly Case[] = [
  {
    filter: `protocol ip flower skip_sw ip_proto tcp action vlan push id 30 priority 3 pipe ${TO}`,
    came: packet(ip4()),
    leaves: packet(ip4(), tag(30, 3)),
  },
  {
    filter: `protocol 802.1q flower skip_sw vlan_id 7 action vlan pop pipe ${TO}`,
    came: packet(ip4(), tag(7)),
    leaves: packet(ip4()),
  },
  {
    filter: `protocol 802.1q flower skip_sw vlan_id 7 vlan_prio 5 vlan_ethtype ip action vlan pop pipe ${TO}`,
    came: packet(ip4(), tag(7, 5)),
    leaves: packet(ip4()),
  },
  {
    filter: `protocol 802.1q flower skip_sw vlan_id 7 action vlan modify id 8 pipe ${TO}`,
    came: packet(ip4(), tag(7)),
    leaves: packet(ip4(), tag(8)),
  },
  {
    filter:
      'protocol ip flower skip_sw ip_proto tcp action pedit ex munge ip dst set 198.51.100.7 munge ip ttl dec ' +
      `munge tcp dport set 8080 munge eth dst set ${MAC} pipe action csum iph and tcp pipe action vlan push id 9 pipe ${TO}`,
    came: packet(ip4()),
    leaves: packet(
      ip4({ destination: '198.51.100.7', ttl: 63, l4: { is: 'tcp', sport: 1000, dport: 8080, flags: 16 } }),
      { to: MAC, ...tag(9) },
    ),
  },
  {
    filter:
      'protocol ipv6 flower skip_sw ip_proto udp action pedit ex munge ip6 src set 2001:db8:77::7 ' +
      `munge udp sport set 53 pipe action csum udp pipe ${TO}`,
    came: packet({
      is: 'ip6',
      source: '2001:db8::1',
      destination: '2001:db8::2',
      hops: 64,
      l4: { is: 'udp', sport: 1, dport: 2 },
    }),
    leaves: packet({
      is: 'ip6',
      source: '2001:db8:77::7',
      destination: '2001:db8::2',
      hops: 64,
      l4: { is: 'udp', sport: 53, dport: 2 },
    }),
  },
];

/** What the plugin could only approach. */
const REFUSED = [
  // Checksums that stay wrong.
  `protocol ip flower skip_sw action pedit ex munge ip ttl dec pipe ${TO}`,
  `protocol ip flower skip_sw ip_proto udp action pedit ex munge ip src set 192.0.2.7 pipe action csum iph pipe ${TO}`,
  // What not all packets of the match have.
  `protocol all flower skip_sw action pedit ex munge ip ttl dec pipe action csum iph pipe ${TO}`,
  // Bits of a byte.
  `protocol ip flower skip_sw action pedit ex munge ip dsfield set 0xb8 retain 0xfc pipe action csum iph pipe ${TO}`,
  // Two tags, and one of a provider.
  `protocol ip flower skip_sw action vlan push id 7 pipe action vlan push id 8 pipe ${TO}`,
  `protocol ip flower skip_sw action vlan push protocol 802.1ad id 7 pipe ${TO}`,
  // Edited, and then the kernel's or the router's.
  'protocol ip flower skip_sw action vlan push id 7 pipe action pass',
];

let space: Switch;
let ends: WireEnd[];

const newFaults = withModule(() => {
  space = new Switch();
  // Silence: IPv6 has hosts and switch speak by themselves.
  for (const each of [space, ...space.hosts]) each.script('sysctl -qw net.ipv6.conf.all.disable_ipv6=1');
  ends = space.hosts.map((host) => {
    const ifindex = Number(host.run('cat', ['/sys/class/net/eth0/ifindex']));
    return new WireEnd(host.name, ifindex);
  });
});

afterAll(async () => {
  for (const end of ends ?? []) end[Symbol.dispose]();
  await space?.end();
});

/** With the data path attached in this way. */
function start(mode: string): Promise<void> {
  const more = ['firmware.enabled = "on"', 'statistics.interval = 1', `device.device0.mode = "${mode}"`];
  return space.start(['sw?'], 'xdp', more);
}

/** What plugins say of the filters; rows of a preference by itself say nothing. */
async function offload(): Promise<unknown[]> {
  return (await space.rows('filter', 'dev', 'sw0', 'ingress')).flatMap((row) => row.offload ?? []);
}

const hex = (frame: Uint8Array) => Buffer.from(frame).toString('hex');

describe.each(['auto', 'generic'])('ports attached as %s', (mode) => {
  beforeAll(async () => {
    if (space === undefined) return;
    await space.stop();
    await start(mode);
  }, 900_000);

  afterEach(async () => {
    if (space === undefined) return;
    space.script('tc filter del dev sw0 ingress');
    await space.settled();
  });

  test.each(CASES)('$filter', async ({ filter, came, leaves }) => {
    space.script(`tc filter add dev sw0 ingress pref 1 ${filter}`);
    await space.settled();
    const seen = new Set<string>();
    const expected = hex(frameOf(leaves, 0));
    await expect
      .poll(() => {
        ends[0]!.send(frameOf(came, 0));
        for (const frame of ends[1]!.received()) seen.add(hex(frame));
        return seen.has(expected);
      }, SOON)
      .toBe(true);
    expect([...seen].filter((frame) => frame !== expected)).toEqual([]);
    await expect.poll(() => space.filters('dev sw0 ingress')[0]!.packets, SOON).toBeGreaterThan(0);
    expect(space.filters('dev sw0 ingress')).toMatchObject([{ isInHardware: true }]);
    expect(await offload()).toMatchObject([{ plugin: 'xdp', state: 'offloaded' }]);
    await space.verified();
  });

  test.each(REFUSED)('refused: %s', (filter) => {
    expect(space.refusal(`tc filter add dev sw0 ingress pref 1 ${filter}`)).toContain('unsupported-action');
  });

  test('a filter that is not only hardware’s is the kernel’s where hardware cannot do it', async () => {
    space.script(`tc filter add dev sw0 ingress pref 1 ${REFUSED[0]!.replace('skip_sw ', '')}`);
    await space.settled();
    expect(await offload()).toMatchObject([
      { plugin: 'xdp', state: 'trapped', reason: 'unsupported-action' },
    ]);
    expect(newFaults()).toEqual([]);
  });
});
