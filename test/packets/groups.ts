/** Random bridges with multicast groups, and random packets to them, from a seed. */
import type { Random } from '../support/random.ts';
import type { Command } from './arena.ts';
import type { Body, Ip4, Packet } from './frame.ts';

/** All of them are in the bridge. */
export const GROUP_PORTS = 4;

export interface GroupScope {
  /** The bridge filters VLANs. */
  readonly vlans?: boolean;
}

/** The second has the MAC address of the first; nothing is ever snooped of the last. */
const GROUPS = ['239.1.2.3', '238.129.2.3', '239.0.0.7', '232.1.1.1', '224.0.0.99'];
/** Of frames that are not IP. */
const MACS = ['01:00:5e:01:02:03', '03:00:00:00:00:77'];
const SOURCES = ['10.254.0.20', '10.254.0.21'];
const VLANS = [10, 20];
/** Neither of a station nor of a group. */
const OTHERS = ['ff:ff:ff:ff:ff:ff', '01:80:c2:00:00:0e', '02:00:00:00:77:77', '33:33:00:00:00:01'];

const stationMac = (station: number): string => `02:cc:00:00:00:0${station}`;

/** MAC address that packets to a group are sent to (RFC 1112). */
function groupMac(group: string): string {
  const [, second, third, fourth] = group.split('.').map(Number) as [number, number, number, number];
  return [
    '01',
    '00',
    '5e',
    ...[second & 127, third, fourth].map((byte) => byte.toString(16).padStart(2, '0')),
  ].join(':');
}

export class GroupGenerator {
  readonly #random: Random;
  readonly #scope: GroupScope;
  readonly #learns: boolean;

  constructor(random: Random, scope: GroupScope) {
    this.#random = random;
    this.#scope = scope;
    this.#learns = random.chance(0.5);
  }

  router(changes: number): Command[] {
    const ports = Array.from({ length: GROUP_PORTS }, (_, port) => port);
    const version = this.#random.pick(['', ' mcast_igmp_version 3']);
    return [
      ...ports.map((port) => `ethtool -K p${port} tx off`),
      `ip link add br0 address 02:aa:00:00:00:99 type bridge${this.#scope.vlans ? ' vlan_filtering 1' : ''} mcast_snooping 1 mcast_querier 1 mcast_router 0 mcast_query_response_interval 10${version}`,
      'ip link set br0 up',
      ...ports.flatMap((port) => [
        `ip addr flush dev p${port}`,
        `ip link set p${port} master br0`,
        `bridge link set dev p${port} learning ${this.#learns ? 'on' : 'off'}`,
      ]),
      ...(this.#scope.vlans ? ports.flatMap((port) => this.#vlansOf(port)) : []),
      ...ports.flatMap((port) => this.#station(port)),
      // Before options leave groups to the kernel, some are in hardware.
      ...Array.from({ length: changes }, () => this.#random.weighted(this.#memberships())()),
    ];
  }

  changes(count: number): Command[] {
    return Array.from({ length: count }, () => this.#change());
  }

  #vlansOf(port: number): Command[] {
    return [
      `bridge vlan add vid 10 dev p${port}${port < 2 ? ' pvid untagged' : ''}`,
      `bridge vlan add vid 20 dev p${port}${port === 3 ? ' pvid untagged' : ''}`,
    ];
  }

  #station(port: number): Command[] {
    const vlans = this.#scope.vlans ? VLANS.map((vlan) => ` vlan ${vlan}`) : [''];
    return vlans.map((vlan) => `bridge fdb replace ${stationMac(port)} dev p${port} master static${vlan}`);
  }

  #join(): Command {
    return this.#member('add', `p${this.#random.below(GROUP_PORTS)}`, 'permanent');
  }

  #member(what: 'add' | 'del', port: string, state: string, more = ''): Command {
    const random = this.#random;
    const group = random.weighted([
      [12, random.pick(GROUPS)],
      [3, random.pick(MACS)],
    ]);
    const vlan = this.#scope.vlans ? ` vid ${random.pick(VLANS)}` : '';
    return `bridge mdb ${what} dev br0 port ${port} grp ${group}${more}${what === 'add' ? ` ${state}` : ''}${vlan}`;
  }

  #memberships(): (readonly [number, () => Command])[] {
    return [
      [10, () => this.#join()],
      [4, () => this.#member('del', `p${this.#random.below(GROUP_PORTS)}`, '')],
      [0.5, () => this.#member('add', 'br0', 'temp')],
      [1, () => this.#member('del', 'br0', '')],
    ];
  }

  #change(): Command {
    const random = this.#random;
    const port = `p${random.below(GROUP_PORTS)}`;
    return random.weighted<() => Command>([
      ...this.#memberships(),
      [1, () => this.#member('add', port, 'permanent', ` src ${random.pick(SOURCES)}`)],
      [1, () => this.#member('del', port, '', ` src ${random.pick(SOURCES)}`)],
      [0.5, () => `ip link set br0 type bridge mcast_snooping ${random.pick([0, 1, 1])}`],
      [0.5, () => `ip link set br0 type bridge mcast_querier ${random.pick([0, 1, 1])}`],
      [0.5, () => `ip link set br0 type bridge mcast_router ${random.pick([0, 0, 0, 1, 2])}`],
      [0.5, () => `bridge link set dev ${port} mcast_router ${random.pick([0, 1, 1, 1, 2])}`],
      [1, () => `bridge link set dev ${port} mcast_to_unicast ${random.pick(['on', 'off', 'off'])}`],
      [1, () => `bridge link set dev ${port} mcast_flood ${random.pick(['on', 'off'])}`],
      [0.7, () => `bridge link set dev ${port} isolated ${random.pick(['on', 'off', 'off'])}`],
      [0.7, () => `bridge link set dev ${port} hairpin ${random.pick(['on', 'off', 'off'])}`],
      [0.7, () => `ip link set ${port} mtu ${random.pick([1500, 1500, 1400])}`],
      [0.7, () => `ip link set ${port} ${random.pick(['up', 'up', 'down'])}`],
      [this.#scope.vlans ? 1 : 0, () => `bridge vlan del vid ${random.pick(VLANS)} dev ${port}`],
      [this.#scope.vlans ? 2 : 0, () => random.pick(this.#vlansOf(Number(port.slice(1))))],
    ])();
  }

  // ---- packets ----

  packets(count: number): Packet[] {
    return Array.from({ length: count }, () => this.#packet());
  }

  #packet(): Packet {
    const random = this.#random;
    const port = random.below(GROUP_PORTS);
    const group = random.pick(GROUPS);
    const body = this.#body(group);
    const vlans = this.#tag();
    return {
      port,
      from: random.weighted([
        [20, stationMac(port)],
        // One that is known elsewhere would be learned anew.
        [this.#learns ? 0 : 2, stationMac(random.below(GROUP_PORTS))],
        [0.3, '03:00:00:00:00:01'],
        [0.3, '00:00:00:00:00:00'],
      ]),
      to: random.weighted([
        [16, body.is === 'raw' ? random.pick(MACS) : groupMac(group)],
        [1, random.pick(MACS)],
        [1, random.pick(OTHERS)],
        [1, stationMac(random.below(GROUP_PORTS))],
      ]),
      ...(vlans !== undefined && { vlans }),
      body,
      payload: random.weighted([
        [10, random.below(200)],
        [1, 1380 + random.below(100)],
      ]),
    };
  }

  #body(group: string): Body {
    const random = this.#random;
    if (random.chance(0.15)) return { is: 'raw', type: 0x88b5 };
    const odd: Partial<Ip4> = {
      ...(random.chance(0.03) && { badChecksum: true }),
      ...(random.chance(0.03) && { options: [1, 1, 1, 0] }),
      ...(random.chance(0.03) && { lengthError: random.pick([-8, 4]) }),
      ...(random.chance(0.03) && { moreFragments: true }),
      ...(random.chance(0.03) && { offset: 1 + random.below(100) }),
    };
    return {
      is: 'ip4',
      source: random.pick(SOURCES),
      destination: random.weighted([
        [16, group],
        [1, random.pick(GROUPS)],
        [0.5, '10.254.0.1'],
      ]),
      ttl: random.pick([1, 1, 64, 0]),
      l4: { is: random.pick(['udp', 'udp', 'other', 'tcp']), sport: 1000, dport: 2000 },
      ...odd,
    };
  }

  #tag(): Packet['vlans'] {
    const random = this.#random;
    return random.weighted([
      [12, undefined],
      [this.#scope.vlans ? 12 : 1, [{ id: random.pick([...VLANS, 30]), priority: random.below(8) }]],
      [0.2, [{ id: 10, type: 0x88a8 }, { id: 20 }]],
    ]);
  }
}
