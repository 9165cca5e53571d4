/** iproute2's words choose objects; what is not understood is named with what could stand there. */

import { describe, expect, test } from 'vitest';
import { describe as describeObject } from '../../../host/iproute2/describe.ts';
import { parseSelector } from '../../../host/iproute2/selector.ts';
import type { Kind } from '../../../host/mirror/types.ts';
import type { DecodedObject } from '../../../host/netlink/decode.ts';

const NAMES: Readonly<Record<number, string>> = { 2: 'eth0', 3: 'eth1', 4: 'br0', 5: 'blue' };
const links: DecodedObject[] = [
  {
    header: { index: 2, flags: 1 },
    ifname: 'eth0',
    master: 5,
    address: '02:00:00:00:00:02',
    linkinfo: { kind: 'veth' },
  },
  { header: { index: 3, flags: 0 }, ifname: 'eth1', master: 4 },
  { header: { index: 4, flags: 1 }, ifname: 'br0', linkinfo: { kind: 'bridge' } },
  { header: { index: 5, flags: 1 }, ifname: 'blue', linkinfo: { kind: 'vrf', data: { table: 100 } } },
];
const context = {
  linkName: (ifindex: number) => NAMES[ifindex],
  link: (ifindex: number) => links.find((link) => link.header.index === ifindex),
  links: () => links,
  qdiscs: () => others.qdisc!,
};

const v4 = { family: 2, table: 254, protocol: 4, scope: 0, type: 1 };
const routes: DecodedObject[] = [
  { header: { ...v4, dst_len: 0 }, gateway: '10.0.0.1', oif: 2 },
  { header: { ...v4, dst_len: 8 }, dst: '10.0.0.0', gateway: '10.0.0.2', oif: 2, priority: 20 },
  { header: { ...v4, dst_len: 16, table: 100 }, dst: '10.1.0.0', oif: 3 },
  { header: { ...v4, dst_len: 24, type: 6 }, dst: '10.1.2.0' },
  { header: { ...v4, dst_len: 32, protocol: 186 }, dst: '10.1.2.3', nh_id: 7 },
  {
    header: { ...v4, dst_len: 16 },
    dst: '172.16.0.0',
    multipath: [
      { flags: 0, hops: 0, ifindex: 2, gateway: '10.0.0.8' },
      { flags: 0, hops: 4, ifindex: 3, via: { family: 10, address: '2001:db8::1' } },
    ],
  },
  { header: { ...v4, family: 10, dst_len: 32 }, dst: '2001:db8::', gateway: 'fe80::1', oif: 2, table: 70000 },
];
const fdb: DecodedObject[] = [
  { header: { ifindex: 2, state: 0x40 }, lladdr: '00:11:22:33:44:55', vlan: 10, master: 4 },
  { header: { ifindex: 3, state: 0x80 }, lladdr: '00:11:22:33:44:66', dst: '10.0.0.9', vni: 42 },
];
const others: Readonly<Partial<Record<Kind, DecodedObject[]>>> = {
  link: links,
  route: routes,
  fdb,
  address: [
    { header: { family: 2, prefixlen: 24, index: 2, scope: 0 }, local: '10.0.0.1', address: '10.0.0.1' },
    { header: { family: 10, prefixlen: 64, index: 3, scope: 253 }, address: 'fe80::1' },
  ],
  neighbour: [
    { header: { family: 2, ifindex: 2, state: 2 }, dst: '10.0.0.9', lladdr: '02:00:00:00:00:09' },
    { header: { family: 2, ifindex: 3, state: 0x20 }, dst: '10.0.1.9' },
  ],
  mdb: [
    {
      header: { ifindex: 4 },
      mdb: { entry: [{ info: [{ ifindex: 2, vid: 10, address: 'ef01:101::', proto: 0x800 }] }] },
    },
  ],
  vlan: [{ header: { ifindex: 2 }, entry: [{ info: { flags: 2, vid: 10 }, range: 20 }] }],
  nexthop: [
    { header: { family: 2, protocol: 4 }, id: 1, gateway: '10.0.0.2', oif: 2 },
    { header: { family: 0, protocol: 4 }, id: 10, group: [{ id: 1, weight: 4, weight_high: 0 }] },
  ],
  rule: [
    { header: { family: 2, table: 254, action: 1 }, priority: 32766, table: 254 },
    {
      header: { family: 2, src_len: 16, table: 100, action: 1 },
      priority: 5,
      src: '10.1.0.0',
      iifname: 'eth0',
    },
  ],
  filter: [
    {
      header: { ifindex: 2, handle: 1, parent: 0xfffffff2, info: (10 << 16) | 0x0008 },
      kind: 'flower',
      chain: 3,
    },
    // In a shared block, and of an ingress qdisc.
    { header: { ifindex: -1, handle: 1, parent: 22, info: (11 << 16) | 0x0008 }, kind: 'flower' },
    { header: { ifindex: 4, handle: 1, parent: 0xffff0000, info: (12 << 16) | 0x0008 }, kind: 'flower' },
  ],
  chain: [
    { header: { ifindex: 2, handle: 0, parent: 0xffff0000, info: 0 }, chain: 3 },
    { header: { ifindex: -1, handle: 0, parent: 22, info: 0 }, chain: 4 },
  ],
  qdisc: [
    { header: { ifindex: 2, handle: 0x10000, parent: 0xffffffff, info: 1 }, kind: 'htb' },
    {
      header: { ifindex: 3, handle: 0xffff0000, parent: 0xfffffff1, info: 1 },
      kind: 'clsact',
      ingress_block: 22,
      egress_block: 23,
    },
    { header: { ifindex: 4, handle: 0xffff0000, parent: 0xfffffff1, info: 1 }, kind: 'ingress' },
  ],
};

/** Descriptions of what the words choose. */
function chosen(kind: Kind, words: string): string[] {
  const list = words === '' ? [] : words.split(' ');
  return others[kind]!.filter(parseSelector(kind, list, context)).map((object) =>
    describeObject(kind, object, context),
  );
}

describe('routes', () => {
  test('descriptions are what is typed to ip', () => {
    expect(chosen('route', '')).toEqual([
      'default via 10.0.0.1 dev eth0',
      '10.0.0.0/8 via 10.0.0.2 dev eth0 metric 20',
      '10.1.0.0/16 dev eth1 table 100',
      'blackhole 10.1.2.0/24',
      '10.1.2.3 nhid 7',
      '172.16.0.0/16 nexthop via 10.0.0.8 dev eth0 nexthop via inet6 2001:db8::1 dev eth1 weight 5',
      '2001:db8::/32 via fe80::1 dev eth0 table 70000',
    ]);
  });

  test.each([
    ['10.0.0.0/8', ['10.0.0.0/8']],
    ['10/8', ['10.0.0.0/8']],
    ['10.0.0.0/255.0.0.0', ['10.0.0.0/8']],
    ['to 10.1.2.3', ['10.1.2.3']],
    ['root 10.1.0.0/16', ['10.1.0.0/16', 'blackhole', '10.1.2.3']],
    ['match 10.1.2.3', ['default', '10.0.0.0/8', '10.1.0.0/16', 'blackhole', '10.1.2.3']],
    ['default', ['default']],
    ['2001:db8::/32', ['2001:db8::/32']],
    ['dev eth1', ['10.1.0.0/16', '172.16.0.0/16']],
    ['via 10.0.0.8', ['172.16.0.0/16']],
    ['via inet6 2001:db8:0::1', ['172.16.0.0/16']],
    ['table 100', ['10.1.0.0/16']],
    ['table 70000', ['2001:db8::/32']],
    ['table main dev eth0 metric 20', ['10.0.0.0/8']],
    ['vrf blue', ['10.1.0.0/16']],
    ['proto bgp', ['10.1.2.3']],
    ['blackhole', ['blackhole']],
    ['type blackhole', ['blackhole']],
    ['blackhole 10.1.2.0/24', ['blackhole']],
    ['nhid 7', ['10.1.2.3']],
    ['family inet6', ['2001:db8::/32']],
  ])('%s', (words, wanted) => {
    expect(chosen('route', words).map((text) => text.split(' ')[0])).toEqual(wanted);
  });
});

describe('other kinds', () => {
  test.each<[Kind, string, string[]]>([
    ['link', 'eth0', ['eth0']],
    ['link', 'type bridge', ['br0']],
    ['link', 'master br0', ['eth1']],
    ['link', 'vrf blue', ['eth0']],
    ['link', 'mac 02:00:00:00:00:02 up', ['eth0']],
    ['address', '10.0.0.0/16', ['10.0.0.1/24 dev eth0']],
    ['address', 'dev eth1 scope link', ['fe80::1/64 dev eth1']],
    ['neighbour', '10.0.0.9', ['10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0']],
    ['neighbour', 'nud failed', ['10.0.1.9 dev eth1']],
    ['fdb', '00:11:22:33:44:55', ['00:11:22:33:44:55 dev eth0 vlan 10 master br0 static']],
    ['fdb', 'br br0 vlan 10', ['00:11:22:33:44:55 dev eth0 vlan 10 master br0 static']],
    ['fdb', 'dst 10.0.0.9 vni 42', ['00:11:22:33:44:66 dev eth1 dst 10.0.0.9 vni 42 self permanent']],
    ['mdb', 'grp 239.1.1.1', ['dev br0 port eth0 grp 239.1.1.1 vid 10']],
    ['vlan', 'dev eth0 vid 15', ['dev eth0 vid 10-20']],
    ['vlan', '21', []],
    ['nexthop', '10', ['id 10 group 1,5']],
    ['nexthop', 'id 1 dev eth0', ['id 1 via 10.0.0.2 dev eth0']],
    ['rule', 'pref 5', ['pref 5 from 10.1.0.0/16 iif eth0 lookup 100']],
    ['rule', 'table main', ['pref 32766 from all lookup main']],
    [
      'filter',
      'dev eth0 ingress pref 10',
      ['dev eth0 ingress protocol ip pref 10 chain 3 handle 0x1 flower'],
    ],
    ['filter', 'kind u32', []],
    ['filter', 'dev eth1 ingress', ['block 22 protocol ip pref 11 handle 0x1 flower']],
    ['filter', 'ingress dev eth1', ['block 22 protocol ip pref 11 handle 0x1 flower']],
    ['filter', 'dev eth1', ['block 22 protocol ip pref 11 handle 0x1 flower']],
    ['filter', 'dev eth1 egress', []],
    ['filter', 'dev br0 ingress', ['dev br0 parent ffff: protocol ip pref 12 handle 0x1 flower']],
    ['chain', 'dev eth0 ingress', ['dev eth0 parent ffff: chain 3']],
    ['chain', 'dev eth1 ingress', ['block 22 chain 4']],
    ['chain', 'dev eth1 egress', []],
    ['qdisc', 'dev br0 ingress', ['dev br0 ingress handle ffff: ingress']],
    ['qdisc', 'dev eth0 root', ['dev eth0 root handle 1: htb']],
  ])('%s %s', (kind, words, wanted) => {
    expect(chosen(kind, words)).toEqual(wanted);
  });
});

describe('words that are not understood', () => {
  test.each<[Kind, string, string, string]>([
    ['route', '10.0.0.0/33', 'E_BAD_ADDRESS', '"10.0.0.0/33" is not a prefix with a length of 0 to 32'],
    ['route', '10.0.0.300', 'E_BAD_ADDRESS', '"10.0.0.300" is not an IP address or prefix'],
    ['route', 'via eth0', 'E_BAD_ADDRESS', '"eth0" is not an IP address'],
    ['route', 'tabel 100', 'E_USAGE', '"tabel" is not understood; did you mean table?'],
    ['route', 'table', 'E_USAGE', 'something must follow "table"'],
    ['route', 'table nowhere', 'E_USAGE', 'there is no routing table "nowhere"'],
    ['route', 'metric many', 'E_USAGE', '"many" after "metric" is not a number'],
    ['route', 'vrf red', 'E_USAGE', 'there is no VRF "red"'],
    ['route', 'type unicorn', 'E_USAGE', 'there is no route type "unicorn"'],
    ['route', '10.0.0.0/8 11.0.0.0/8', 'E_USAGE', '"11.0.0.0/8" is not understood'],
    ['fdb', '00:11:22:33:44', 'E_USAGE', '"00:11:22:33:44" is not understood'],
    ['fdb', 'mac 00:11:22:33:44', 'E_BAD_ADDRESS', '"00:11:22:33:44" is not a MAC address'],
    ['neighbour', 'nud sleepy', 'E_USAGE', 'there is no neighbour state "sleepy"'],
    ['vlan', 'vid 5000', 'E_USAGE', '"5000" after "vid" is not a number from 0 to 4095'],
  ])('%s %s', (kind, words, code, message) => {
    expect.assertions(3);
    try {
      parseSelector(kind, words.split(' '), context);
    } catch (error) {
      expect((error as { code: string }).code).toBe(code);
      expect((error as Error).message).toContain(message);
      expect((error as { remedy: string }).remedy).toMatch(/.{10}/);
    }
  });
});
