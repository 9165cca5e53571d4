/** Objects as this machine's kernel sends them, by kind: what is there in a namespace with some of everything, or in our own. */
import { KernelSync } from '../../host/kernel/sync.ts';
import { Mirror } from '../../host/mirror/mirror.ts';
import { KIND, type Kind, objectCursor } from '../../host/mirror/types.ts';
import { Router } from '../support/router.ts';

const PER_KIND = 64;
const objects = new Map<Kind, Uint8Array[]>();

const LINES = [
  'link add br0 type bridge vlan_filtering 1',
  'link add vrf1 type vrf table 10',
  'link add vx0 type vxlan id 7 dstport 4789 local 10.255.0.1',
  'link add link p0 name p0.5 type vlan id 5',
  'link set v1 master br0',
  'nexthop add id 1 via 10.255.0.2 dev p0',
  'nexthop add id 2 via 10.255.1.2 dev p1',
  'nexthop add id 3 group 1/2,3',
  'route add 198.51.100.0/24 nhid 3',
  'route add 203.0.113.0/24 nexthop via 10.255.0.2 dev p0 weight 2 nexthop via 10.255.1.2 dev p1',
  'route add 192.0.2.0/24 encap mpls 100/200 via 10.255.0.2',
  'route add blackhole 192.0.2.128/25',
  'route add 2001:db8:1::/48 via 2001:db8:f0::2 mtu 1400',
  'rule add from 10.0.0.0/8 lookup 100',
];
const COMMANDS = [
  ['tc', 'qdisc add dev p0 clsact'],
  [
    'tc',
    'filter add dev p0 ingress protocol ip prio 1 flower dst_ip 10.0.0.0/8 ip_proto tcp dst_port 80 action drop',
  ],
  [
    'tc',
    'filter add dev p0 ingress protocol ip prio 2 u32 match ip dst 10.1.0.0/16 action mirred egress redirect dev p1',
  ],
  ['nft', 'add table inet t'],
  ['nft', 'add chain inet t c { type filter hook forward priority 0 ; }'],
  ['nft', 'add rule inet t c ip saddr 10.0.0.0/8 tcp dport 22 counter accept'],
  ['nft', 'add flowtable inet t f { hook ingress priority 0 ; devices = { p0, p1 } ; }'],
  ['bridge', 'fdb add 02:00:00:00:00:77 dev v1 master static'],
  ['bridge', 'mdb add dev br0 port v1 grp 239.1.1.1 permanent'],
] as const;

/** To be called before `recorded`. Without root, of the namespace we are in. */
export async function record(): Promise<void> {
  const router = process.getuid?.() === 0 ? new Router(2) : undefined;
  try {
    router?.batch(LINES);
    for (const [command, words] of COMMANDS) {
      try {
        router?.run(command, words.split(' '));
      } catch {
        // Of what this kernel lacks there is nothing to record.
      }
    }
    await read(router?.name);
  } finally {
    router?.close();
  }
}

async function read(netns: string | undefined): Promise<void> {
  const mirror = new Mirror();
  const sync = new KernelSync(mirror, { netns });
  try {
    await sync.start();
    const cursor = objectCursor();
    for (const [kind, number] of Object.entries(KIND) as [Kind, number][]) {
      const found: Uint8Array[] = [];
      mirror.forEach(number, (id) => {
        if (found.length >= PER_KIND) return;
        mirror.open(number, id, cursor);
        found.push(cursor.bytes.slice(cursor.start, cursor.end));
      });
      objects.set(kind, found);
    }
  } finally {
    sync.close();
  }
}

export function recorded(kind: Kind): readonly Uint8Array[] {
  return objects.get(kind) ?? [];
}

/** How many objects of how many kinds there are. */
export function tally(): string {
  const lists = [...objects.values()].filter(({ length }) => length > 0);
  return `${lists.reduce((sum, { length }) => sum + length, 0)} objects of ${lists.length} kinds`;
}
