/** Random bridges with VXLAN links as ports, and random packets into them and out of them, from a seed. */
import type { Random } from '../support/random.ts';
import { host4, macOf } from '../support/router.ts';
import { type Command, portMac } from './arena.ts';
import type { Body, Ip4, Ip6, L4, Packet, Vxlan } from './frame.ts';

/** Ports 0 and 1 are routed, the ways to other VTEPs; 2 and 3 are in the bridge. */
export const TUNNEL_PORTS = 4;

export interface TunnelScope {
  /** The bridge filters VLANs, and port 1 has a VLAN link, by which a VTEP is reached. */
  readonly vlans?: boolean;
}

const TUNNELS = ['vx10', 'vx20'] as const;
const VNIS = [10, 20] as const;
/** Addresses of the machine itself that tunnels have; the last is none of it. */
const LOCALS = [host4(0, 1), host4(0, 1), host4(1, 1)];
/** By the far ends of both ports, by a route, by a VLAN link. */
const VTEPS = [host4(0, 2), host4(1, 3), '192.0.2.9', '192.0.2.200', host4(5, 2)];
const BRIDGE_MAC = '02:aa:00:00:00:99';
const LOCAL_STATIONS = 4;
const REMOTE_STATIONS = 6;
const STATION_PORTS = [2, 3] as const;
const UNKNOWN_VTEP = host4(0, 4);

const localMac = (station: number): string => `02:cc:00:00:00:0${station}`;
const remoteMac = (station: number): string => `02:dd:00:00:00:0${station}`;
const tunnelMac = (tunnel: number): string => `02:bb:00:00:00:0${tunnel}`;

interface TunnelLink {
  readonly local: string;
  readonly dport: number;
  /** Whether the link learns VTEPs. Then every station speaks from its own, as above. */
  readonly learns: boolean;
}

export class TunnelGenerator {
  readonly #random: Random;
  readonly #scope: TunnelScope;
  /**
   * Whether the bridge learns from its ports. Then every station speaks where it is: two kernels learn at the same packet that one has
   * moved, hardware a moment later.
   */
  readonly #learns: boolean;
  readonly #tunnels: readonly TunnelLink[];
  /** VTEP of each remote station. */
  readonly #behind: string[] = [];
  /** Those that may move to another VTEP by speaking from there. */
  readonly #movable = new Set<number>();
  #strangers = 0;

  constructor(random: Random, scope: TunnelScope) {
    this.#random = random;
    this.#scope = scope;
    this.#learns = random.chance(0.6);
    const dport = random.pick([4789, 8472]);
    this.#tunnels = TUNNELS.map(() => ({
      local: random.pick(LOCALS),
      dport: random.chance(0.8) ? dport : 4790,
      learns: random.chance(0.3),
    }));
  }

  router(changes: number): Command[] {
    return [
      // What the kernel sends is finished, as it is for hardware that finishes nothing.
      ...Array.from({ length: TUNNEL_PORTS }, (_, port) => `ethtool -K p${port} tx off`),
      'ip route add 192.0.2.0/24 via 10.255.1.2 dev p1',
      ...(this.#scope.vlans ? this.#vlanLink() : []),
      ...this.#bridge(),
      ...TUNNELS.flatMap((_, tunnel) => this.#tunnel(tunnel)),
      ...(this.#scope.vlans ? this.#vlans() : []),
      ...this.#stations(),
      ...this.changes(changes),
    ];
  }

  changes(count: number): Command[] {
    return Array.from({ length: count }, () => this.#change());
  }

  #bridge(): Command[] {
    const vlans = this.#scope.vlans ? ' vlan_filtering 1' : '';
    return [
      `ip link add br0 address ${BRIDGE_MAC} type bridge${vlans} mcast_snooping 0`,
      'ip link set br0 up',
      ...STATION_PORTS.flatMap((port) => [
        `ip addr flush dev p${port}`,
        `ip link set p${port} master br0`,
        `bridge link set dev p${port} learning ${this.#learns ? 'on' : 'off'}`,
      ]),
      'ip addr add 10.254.0.1/24 dev br0',
      // What the machine itself answers goes to one place, whoever asked first.
      'sysctl net/ipv4/neigh/br0/mcast_solicit=0',
      ...[20, 21, 22].map(
        (host) => `ip neigh replace 10.254.0.${host} lladdr ${localMac(host % 2)} dev br0 nud permanent`,
      ),
    ];
  }

  #tunnel(tunnel: number): Command[] {
    const random = this.#random;
    const { local, dport, learns } = this.#tunnels[tunnel]!;
    const [dev, vni] = [TUNNELS[tunnel]!, VNIS[tunnel]!];
    const options = [
      random.pick(['', 'ttl inherit', 'ttl 1', 'ttl 77', 'ttl 255']),
      random.pick(['', 'tos inherit', 'tos 0x10', 'tos 0xb8', 'tos 0xbb']),
      random.pick(['', 'df set', 'df unset', 'df inherit']),
      random.pick(['', 'udpcsum', 'noudpcsum']),
      random.pick(['', '', 'srcport 2000 2008', 'srcport 5000 5001', 'srcport 7000 7000']),
      learns ? 'learning' : 'nolearning',
      random.chance(0.15) ? `dev p${random.below(2)}` : '',
    ].filter((option) => option !== '');
    const { vlans } = this.#scope;
    return [
      `ip link add ${dev} address ${tunnelMac(tunnel)} type vxlan id ${vni} local ${local} dstport ${dport} ${options.join(' ')}`,
      ...(random.chance(0.6) ? [`ip link set ${dev} mtu ${random.pick([1450, 1446, 1400])}`] : []),
      `ip link set ${dev} master br0`,
      `bridge link set dev ${dev} learning ${this.#learns ? 'on' : 'off'}`,
      `ip link set ${dev} up`,
      ...(vlans
        ? [`bridge vlan del vid 1 dev ${dev}`, `bridge vlan add vid ${vni} dev ${dev} pvid untagged`]
        : []),
      ...(random.chance(0.5)
        ? [`bridge fdb append 00:00:00:00:00:00 dev ${dev} dst ${random.pick(VTEPS)} self permanent`]
        : []),
    ];
  }

  #vlanLink(): Command[] {
    return [
      'ip link add link p1 name p1.7 type vlan id 7',
      'ip link set p1.7 up',
      `ip addr add ${host4(5, 1)}/24 dev p1.7`,
      'sysctl net/ipv4/neigh/p1.7/mcast_solicit=0',
      `ip neigh add ${host4(5, 2)} lladdr ${macOf(5, 2)} dev p1.7 nud permanent`,
    ];
  }

  #vlans(): Command[] {
    return [
      'bridge vlan add vid 10 dev p2 pvid untagged',
      'bridge vlan add vid 20 dev p2',
      'bridge vlan add vid 10 dev p3',
      'bridge vlan add vid 20 dev p3 pvid untagged',
    ];
  }

  #stations(): Command[] {
    const lines: string[] = [];
    for (let station = 0; station < LOCAL_STATIONS; station++) {
      const port = STATION_PORTS[station % 2];
      for (const vlan of this.#everyVlan())
        lines.push(`bridge fdb replace ${localMac(station)} dev p${port} master static${vlan}`);
    }
    for (let station = 0; station < REMOTE_STATIONS; station++) {
      const tunnel = station % 2;
      lines.push(
        `bridge fdb replace ${remoteMac(station)} dev ${TUNNELS[tunnel]} master static${this.#vlanOf(tunnel)}`,
      );
      lines.push(this.#remote(station));
    }
    return lines;
  }

  #everyVlan(): string[] {
    return this.#scope.vlans ? VNIS.map((vni) => ` vlan ${vni}`) : [''];
  }

  #vlanOf(tunnel: number): string {
    return this.#scope.vlans ? ` vlan ${VNIS[tunnel]}` : '';
  }

  #remote(station: number): Command {
    const random = this.#random;
    const vtep = random.pick(this.#scope.vlans ? VTEPS : VTEPS.slice(0, 4));
    this.#behind[station] = vtep;
    const rest = random.weighted([
      [12, ''],
      [0.5, ' port 4790'],
      [0.5, ' vni 77'],
      [0.5, ' via p1'],
    ]);
    const { learns } = this.#tunnels[station % 2]!;
    const kind = random.pick(
      learns ? ['static', 'permanent', 'dynamic', 'dynamic'] : ['static', 'permanent'],
    );
    if (kind === 'dynamic' && rest === '') this.#movable.add(station);
    else this.#movable.delete(station);
    return `bridge fdb replace ${remoteMac(station)} dev ${TUNNELS[station % 2]} dst ${vtep}${rest} self ${kind}`;
  }

  #change(): Command {
    const random = this.#random;
    const tunnel = random.below(2);
    const dev = TUNNELS[tunnel]!;
    const station = random.below(REMOTE_STATIONS);
    return random.weighted<() => Command>([
      [8, () => this.#remote(station)],
      [1, () => `bridge fdb del ${remoteMac(station)} dev ${TUNNELS[station % 2]} self`],
      [
        1,
        () =>
          `bridge fdb del ${remoteMac(station)} dev ${TUNNELS[station % 2]} master${this.#vlanOf(station % 2)}`,
      ],
      [
        3,
        () =>
          `bridge fdb replace ${remoteMac(station)} dev ${TUNNELS[station % 2]} master static${this.#vlanOf(station % 2)}`,
      ],
      [2, () => `ip link set ${dev} mtu ${random.pick([1500, 1450, 1446, 1300])}`],
      [1, () => `ip link set p${random.below(2)} mtu ${random.pick([1400, 1500, 1500, 1600])}`],
      [
        2,
        () =>
          `ip link set ${dev} type vxlan ${random.pick(['ttl 9', 'ttl inherit', 'tos 0x20', 'tos inherit', 'df set', 'df inherit'])}`,
      ],
      [0.4, () => `ip link set ${dev} ${random.pick(['up', 'up', 'down'])}`],
      [
        1,
        () =>
          `bridge link set dev ${dev} ${random.pick(['isolated on', 'isolated off', 'hairpin on', 'hairpin off', 'neigh_suppress on', 'neigh_suppress off', 'flood off', 'flood on'])}`,
      ],
      [4, () => this.#route()],
      [
        1,
        () =>
          `ip neigh replace ${host4(0, 2)} lladdr ${macOf(0, random.pick([2, 0xf0]))} dev p0 nud permanent`,
      ],
      [
        0.5,
        () =>
          `sysctl net.ipv4.conf.p${random.below(2)}.${random.pick(['rp_filter=1', 'rp_filter=0', 'forwarding=0', 'forwarding=1', 'forwarding=1'])}`,
      ],
      [this.#scope.vlans ? 1 : 0, () => this.#member(dev)],
    ])();
  }

  #route(): Command {
    const random = this.#random;
    const prefix = random.pick(['192.0.2.0/24', '192.0.2.0/25', '192.0.2.9/32', '192.0.2.200/32']);
    return random.weighted([
      [8, `ip route replace ${prefix} via ${host4(0, random.pick([2, 3, 9]))} dev p0`],
      [8, `ip route replace ${prefix} via ${host4(1, random.pick([2, 3]))} dev p1`],
      [1, `ip route replace ${prefix} via ${host4(1, 2)} dev p1 mtu 1300`],
      [1, `ip route replace ${prefix} via ${host4(1, 2)} dev p1 hoplimit 33`],
      [1, `ip route replace ${prefix} via ${host4(1, 2)} dev p1 src ${host4(0, 1)}`],
      [1, `ip route replace ${prefix} tos 0x10 via ${host4(0, 2)} dev p0`],
      [1, `ip route replace blackhole ${prefix}`],
      [1, `ip route replace unreachable ${prefix}`],
      [2, `ip route del ${prefix}`],
    ]);
  }

  #member(dev: string): Command {
    const random = this.#random;
    const vid = random.pick([1, 10, 20]);
    const port = random.pick(['p2', 'p3', dev]);
    if (random.chance(0.4)) return `bridge vlan del vid ${vid} dev ${port}`;
    return `bridge vlan add vid ${vid} dev ${port}${random.pick(['', ' untagged', ' pvid untagged', ' pvid untagged'])}`;
  }

  // ---- packets ----

  packets(count: number): Packet[] {
    const packets = Array.from({ length: count }, () =>
      this.#random.chance(0.5) ? this.#bridged() : this.#arriving(),
    );
    // The last ones: before the next packets everybody knows.
    for (const station of this.#movable) if (this.#random.chance(0.4)) packets.push(...this.#move(station));
    return packets;
  }

  /** A station speaks from behind another VTEP, by each of the ways that packets of it may be taken. */
  #move(station: number): Packet[] {
    const random = this.#random;
    const tunnel = station % 2;
    const { local, dport } = this.#tunnels[tunnel]!;
    const source = random.pick(VTEPS.slice(0, 4));
    this.#behind[station] = source;
    return [0, 1].map((port) => ({
      port,
      from: macOf(port, 2),
      to: portMac(port),
      body: {
        is: 'vxlan',
        source,
        destination: local,
        ttl: 64,
        sport: 50_000,
        dport,
        vni: VNIS[tunnel]!,
        inner: { from: remoteMac(station), to: localMac(random.below(LOCAL_STATIONS)), body: this.#inner() },
      },
    }));
  }

  /** In at a port of the bridge. */
  #bridged(): Packet {
    const random = this.#random;
    const at = random.below(2);
    const vlans = this.#tag();
    return {
      port: STATION_PORTS[at]!,
      from: this.#sourceAt(localMac(at + 2 * random.below(2)), localMac, this.#learns),
      to: random.weighted([
        [16, remoteMac(random.below(REMOTE_STATIONS))],
        [2, localMac(random.below(LOCAL_STATIONS))],
        [1, BRIDGE_MAC],
        [1, 'ff:ff:ff:ff:ff:ff'],
        [0.5, '01:00:5e:01:02:03'],
        [0.5, '33:33:00:00:00:01'],
        [1, '02:00:00:00:77:77'],
        [0.5, tunnelMac(0)],
        [0.3, '01:80:c2:00:00:0e'],
      ]),
      ...(vlans !== undefined && { vlans }),
      body: this.#inner(),
      payload: this.#payload(),
    };
  }

  /** In at a port that is routed, most of them for a tunnel. */
  #arriving(): Packet {
    const random = this.#random;
    const port = random.below(2);
    const isTagged = this.#scope.vlans && port === 1 && random.chance(0.3);
    return {
      port,
      from: macOf(port, 2),
      to: random.chance(0.95) ? portMac(port) : '02:00:00:00:77:77',
      ...(isTagged && { vlans: [{ id: 7 }] }),
      body: random.chance(0.9)
        ? this.#vxlan(port)
        : { ...this.#ip4(), destination: random.pick(['10.254.0.9', host4(1, 2), '192.0.2.9']) },
      payload: this.#payload(),
      ...(random.chance(0.1) && { padding: 1 + random.below(40) }),
    };
  }

  #vxlan(port: number): Vxlan {
    const random = this.#random;
    const tunnel = random.below(2);
    const { local, dport, learns } = this.#tunnels[tunnel]!;
    // A remote station of that tunnel; its own VTEP, mostly.
    const station = tunnel + 2 * random.below(REMOTE_STATIONS / 2);
    const outer = {
      ...(random.chance(0.4) && { tos: random.pick([0, 1, 2, 3, 0xb8, 0xba]) }),
      ...(random.chance(0.3) && { dontFragment: true }),
      ...(random.chance(0.03) && { moreFragments: true }),
      ...(random.chance(0.02) && { offset: 1 + random.below(100) }),
      ...(random.chance(0.03) && { options: [1, 1, 1, 0] }),
      ...(random.chance(0.03) && { badChecksum: true }),
      ...(random.chance(0.03) && { lengthError: random.pick([-8, -2, 4]) }),
    };
    const vlans = random.chance(0.04) ? [{ id: random.pick([0, 10, 20]) }] : undefined;
    return {
      is: 'vxlan',
      source: random.weighted([
        [10, this.#behind[station]!],
        [learns ? 0 : 1, random.pick(VTEPS)],
        [learns ? 0 : 1, UNKNOWN_VTEP],
        [0.3, random.pick(['127.0.0.1', '0.0.0.0', local])],
      ]),
      destination: random.chance(0.95) ? local : random.pick([host4(port, 1), '10.254.0.1', host4(1, 2)]),
      ttl: random.pick([64, 64, 64, 64, 255, 2, 1, 0]),
      sport: random.pick([50_000, 60_000]),
      dport: random.chance(0.97) ? dport : 4790,
      // Behind the other tunnel the station would be learned.
      vni: random.chance(0.95)
        ? VNIS[tunnel]!
        : random.pick(this.#learns || learns ? [11] : [11, VNIS[1 - tunnel]!]),
      ...(random.chance(0.05) && { flags: random.pick([0, 0x0c, 0x88, 0xff]) }),
      ...(random.chance(0.03) && { reserved: random.pick([1, 0x80]) }),
      ...(random.chance(0.3) && { checksum: 'none' as const }),
      ...(random.chance(0.06) && { checksum: 'bad' as const }),
      ...(random.chance(0.03) && { udpLengthError: random.pick([-4, 4, -40]) }),
      outer,
      ...(random.chance(0.97) && {
        inner: {
          from: this.#sourceAt(remoteMac(station), remoteMac, this.#learns || learns),
          to: random.weighted([
            [14, localMac(random.below(LOCAL_STATIONS))],
            [2, remoteMac(random.below(REMOTE_STATIONS))],
            [1, BRIDGE_MAC],
            [1, 'ff:ff:ff:ff:ff:ff'],
            [0.5, '01:00:5e:01:02:03'],
            [1, '02:00:00:00:77:77'],
            [0.5, tunnelMac(tunnel)],
          ]),
          ...(vlans !== undefined && { vlans }),
          body: this.#inner(),
        },
      }),
    };
  }

  /** The station's own address, one that nobody had so far or none of a station's; where nothing is learned, another station's. */
  #sourceAt(own: string, others: (station: number) => string, learns: boolean): string {
    const random = this.#random;
    return random.weighted<() => string>([
      [20, () => own],
      [
        1,
        () => `02:ee:00:00:${(this.#strangers >> 8).toString(16)}:${(this.#strangers++ & 0xff).toString(16)}`,
      ],
      [learns ? 0 : 2, () => others(random.below(LOCAL_STATIONS))],
      [0.3, () => random.pick(['00:00:00:00:00:00', '03:00:00:00:00:01', tunnelMac(0), BRIDGE_MAC])],
    ])();
  }

  #tag(): Packet['vlans'] {
    const random = this.#random;
    return random.weighted([
      [16, undefined],
      [this.#scope.vlans ? 10 : 1, [{ id: random.pick([10, 20, 10, 20, 1, 0]), priority: random.below(8) }]],
      [0.3, [{ id: 10, type: 0x88a8 }, { id: 20 }]],
    ]);
  }

  #payload(): number {
    const random = this.#random;
    return random.weighted([
      [10, random.below(64)],
      // About what fits MTUs of 1300 to 1500 with headers of tunnels.
      [3, 1230 + random.below(250)],
      [0.5, 1480 + random.below(200)],
    ]);
  }

  #inner(): Exclude<Body, Vxlan> {
    const random = this.#random;
    return random.weighted<() => Exclude<Body, Vxlan>>([
      [10, () => this.#ip4()],
      [5, () => this.#ip6()],
      [
        1,
        () => ({
          is: 'arp',
          operation: random.pick([1, 2] as const),
          sender: '10.254.0.20',
          target: '10.254.0.21',
        }),
      ],
      [1, () => ({ is: 'raw', type: random.pick([0x88b5, 0x0800, 0x86dd, 0x0806, 100]) })],
    ])();
  }

  #l4(): L4 {
    const random = this.#random;
    return {
      is: random.pick(['udp', 'udp', 'tcp', 'tcp', 'icmp', 'other'] as const),
      sport: random.pick([53, 1000, 4000]),
      dport: random.pick([53, 80, 5000]),
      flags: random.pick([2, 16, 17]),
      ...(random.chance(0.05) && { badChecksum: true }),
    };
  }

  #ip4(): Ip4 {
    const random = this.#random;
    return {
      is: 'ip4',
      source: random.pick(['10.254.0.20', '192.168.7.7']),
      destination: random.pick(['10.254.0.21', '10.254.0.22', '172.16.0.1']),
      ttl: random.pick([64, 64, 64, 255, 1, 0]),
      ...(random.chance(0.5) && { tos: random.pick([1, 2, 3, 0x10, 0xb8, 0xbb]) }),
      l4: this.#l4(),
      ...(random.chance(0.4) && { dontFragment: true }),
      ...(random.chance(0.04) && { options: [1, 1, 1, 0] }),
      ...(random.chance(0.04) && { moreFragments: true }),
      ...(random.chance(0.04) && { offset: 1 + random.below(100) }),
      ...(random.chance(0.03) && { badChecksum: true }),
      ...(random.chance(0.03) && { lengthError: random.pick([-8, -2, 4, 200]) }),
    };
  }

  #ip6(): Ip6 {
    const random = this.#random;
    return {
      is: 'ip6',
      source: '2001:db8:ff::20',
      destination: random.pick(['2001:db8:ff::21', 'ff0e::1']),
      hops: random.pick([64, 64, 1, 0, 255]),
      ...(random.chance(0.5) && { trafficClass: random.pick([1, 2, 3, 0xb8, 0xbb]) }),
      l4: this.#l4(),
      ...(random.chance(0.1) && {
        extension: random.pick(['hop-by-hop', 'routing', 'fragment', 'destination'] as const),
      }),
      ...(random.chance(0.03) && { lengthError: random.pick([-8, 16]) }),
    };
  }
}
