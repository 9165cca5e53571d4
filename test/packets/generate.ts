/** Random routers and random packets that concern them, from a seed. */
import type { Random } from '../support/random.ts';
import { host4, host6, macOf } from '../support/router.ts';
import { type Command, portMac } from './arena.ts';
import type { Body, Ip4, Ip6, L4, Packet } from './frame.ts';

/** What a router may have beyond routes, for a kernel and a data path that know it. */
export interface Scope {
  readonly ports: number;
  readonly ip6?: boolean;
  readonly rules?: boolean;
  /** The last two ports are in a bridge; `vlans`: that filters VLANs. */
  readonly bridge?: boolean;
  readonly vlans?: boolean;
  /** Each port that is routed by itself has a VLAN link, too: p0.7 has the addresses that a port 4 would have, and so on. */
  readonly vlanLinks?: boolean;
  /** The last port that is routed by itself is in a VRF; some routes lead from one routing domain to the other. */
  readonly vrf?: boolean;
  /**
   * Routes to several gateways; which of them a flow takes may differ between two routers, so each of them is resolved and takes
   * packets of the same size.
   */
  readonly multipath?: boolean;
  /** Port 0's address ends a VXLAN tunnel. */
  readonly vxlan?: boolean;
  /** Chains of nftables in the way of routed packets. */
  readonly nft?: boolean;
  /** Settings of IPv6 that nobody announces, neighbour discovery that is answered for others, and packets that end before their frames. */
  readonly oddities?: boolean;
  /** Filters of tc: u32 everywhere, flower and matchall where the kernel has them. */
  /** `edits`: flower with actions that edit. */
  readonly filters?: readonly ('u32' | 'flower' | 'matchall' | 'edits')[];
}

const LENGTHS4 = [8, 16, 20, 22, 24, 24, 30, 32];
const LENGTHS6 = [32, 48, 60, 64, 64, 80, 128];
/** Hosts of the bridge's network, behind its ports. */
const STATIONS = 4;
/** VLAN of the links on ports, and the number of the first one's network. */
const VLAN = 7;
const VLAN_NETWORK = 4;
/** Addresses that a router with `proxy_ndp` answers for: one behind it, one that goes nowhere. */
const PROXIED = [host6(0, 3), '2001:db8:a::1'];
/** Table of the VRF. */
const VRF_TABLE = 100;
/** What is behind the tunnel. */
const VNI = 10;
const tunnelMac = (host: number): string => `02:dd:00:00:00:0${host}`;

/** A link that is routed, and the number its network's addresses have. */
interface Way {
  readonly dev: string;
  readonly network: number;
  /** Of the routing domain it is in. */
  readonly table?: number;
}

export class Generator {
  readonly #random: Random;
  readonly #scope: Scope;
  readonly #targets4: string[] = ['10.0.0.1'];
  readonly #targets6: string[] = ['2001:db8:a::1'];

  constructor(random: Random, scope: Scope) {
    this.#random = random;
    this.#scope = scope;
  }

  /** Ports that are routed by themselves; the bridge has the others. */
  get #routed(): number {
    return this.#scope.bridge ? this.#scope.ports - 2 : this.#scope.ports;
  }

  #way(): Way {
    const port = this.#random.below(this.#routed);
    if (this.#scope.vlanLinks && this.#random.chance(0.5))
      return { dev: `p${port}.${VLAN}`, network: VLAN_NETWORK + port };
    const isInVrf = this.#scope.vrf && port === this.#routed - 1;
    return { dev: `p${port}`, network: port, ...(isInVrf && { table: VRF_TABLE }) };
  }

  /** Where a route by that way goes: its own domain's table, or now and then the other's. */
  #table(way?: Way): string {
    if (!this.#scope.vrf) return '';
    const { table } = way ?? this.#way();
    const isLeaked = this.#random.chance(0.15);
    return (table === undefined) === isLeaked ? ` table ${VRF_TABLE}` : '';
  }

  /** What makes the router, in order. */
  router(changes: number): Command[] {
    const { ports, bridge, vlanLinks, vrf, multipath, vxlan, nft, oddities, filters = [] } = this.#scope;
    return [
      ...(bridge ? this.#bridge() : []),
      ...(vlanLinks ? this.#vlanLinks() : []),
      ...(vrf ? this.#vrf() : []),
      ...(multipath ? this.#nexthops() : []),
      ...(vxlan ? this.#tunnel() : []),
      ...(nft ? this.#chains() : []),
      ...(oddities ? this.#proxied() : []),
      ...(filters.length > 0
        ? Array.from({ length: ports }, (_, port) => `tc qdisc add dev p${port} clsact`)
        : []),
      ...this.changes(changes),
    ];
  }

  changes(count: number): Command[] {
    return Array.from({ length: count }, () => this.#change());
  }

  #change(): Command {
    const { rules, filters = [], bridge, ip6, multipath, oddities } = this.#scope;
    return this.#random.weighted<() => Command>([
      [14, () => this.#route4()],
      [ip6 ? 8 : 0, () => this.#route6()],
      [2, () => this.#neighbour()],
      [multipath ? 0 : 1, () => this.#mtu()],
      [0.5, () => this.#setting()],
      [oddities && !multipath ? 0.6 : 0, () => this.#setting6()],
      [rules ? 1 : 0, () => this.#rule()],
      [this.#scope.nft ? 8 : 0, () => this.#nftRule()],
      [filters.length > 0 ? 3 : 0, () => this.#filter()],
      [bridge ? 2 : 0, () => this.#fdb()],
      [bridge && this.#scope.vlans ? 2 : 0, () => this.#member()],
      [multipath ? 6 : 0, () => this.#multipath4()],
      [multipath && ip6 ? 4 : 0, () => this.#multipath6()],
      [multipath ? 1 : 0, () => this.#nexthopChange()],
    ])();
  }

  #vlanLinks(): Command[] {
    return Array.from({ length: this.#routed }, (_, port) => {
      const [dev, network] = [`p${port}.${VLAN}`, VLAN_NETWORK + port];
      const neighbours = [2, 3, 4, 5].flatMap((number) =>
        [host4(network, number), host6(network, number)].map(
          (address) => `ip neigh add ${address} lladdr ${macOf(network, number)} dev ${dev} nud permanent`,
        ),
      );
      return [
        `ip link add link p${port} name ${dev} type vlan id ${VLAN}`,
        `ip link set ${dev} up`,
        `ip addr add ${host4(network, 1)}/24 dev ${dev}`,
        `ip addr add ${host6(network, 1)}/64 dev ${dev} nodad`,
        // A gateway that nobody answers for fails at once (arena.ts).
        ...['ipv4', 'ipv6'].map((family) => `sysctl net/${family}/neigh/${dev}/mcast_solicit=0`),
        ...neighbours,
      ];
    }).flat();
  }

  /** A link that changes its domain loses its neighbours and its IPv6 addresses. */
  #vrf(): Command[] {
    const port = this.#routed - 1;
    const neighbours = [2, 3, 4, 5].flatMap((number) =>
      [host4(port, number), host6(port, number)].map(
        (address) => `ip neigh replace ${address} lladdr ${macOf(port, number)} dev p${port} nud permanent`,
      ),
    );
    return [
      `ip link add red type vrf table ${VRF_TABLE}`,
      'ip link set red up',
      `ip link set p${port} master red`,
      `ip addr replace ${host6(port, 1)}/64 dev p${port} nodad`,
      ...neighbours,
    ];
  }

  #tunnel(): Command[] {
    const hosts = [2, 3].flatMap((host) => [
      `ip neigh add 10.253.0.${host} lladdr ${tunnelMac(host)} dev vx10 nud permanent`,
      `bridge fdb add ${tunnelMac(host)} dev vx10 dst ${host4(0, host)}`,
    ]);
    return [
      `ip link add vx10 address ${tunnelMac(1)} type vxlan id ${VNI} local ${host4(0, 1)} dstport 4789 nolearning`,
      'ip link set vx10 up',
      'ip addr add 10.253.0.1/24 dev vx10',
      ...hosts,
      'ip route add 10.252.0.0/16 via 10.253.0.2 dev vx10',
    ];
  }

  /** Nexthop objects: 1 to 4 of IPv4, 11 to 14 of IPv6, groups 20 and 30 of them. */
  #nexthops(): Command[] {
    const each = [0, 1, 2, 3].flatMap((number) => [
      this.#nexthop(1 + number, 4),
      this.#nexthop(11 + number, 6),
    ]);
    return [...each, 'ip nexthop add id 20 group 1/2,3/3', 'ip nexthop add id 30 group 11/12/13,2'];
  }

  #nexthop(id: number, family: 4 | 6): Command {
    const { dev, network } = this.#way();
    const number = this.#random.pick([2, 3, 4, 5]);
    const gateway = family === 4 ? host4(network, number) : host6(network, number);
    return `ip nexthop replace id ${id} via ${gateway} dev ${dev}`;
  }

  #nexthopChange(): Command {
    const random = this.#random;
    return random.pick([
      this.#nexthop(1 + random.below(4), 4),
      this.#nexthop(11 + random.below(4), 6),
      `ip nexthop replace id 20 group ${random.pick(['1', '1/2', '2,5/3', '1/3/4'])}`,
      `ip nexthop replace id 30 group ${random.pick(['11', '11,9/12', '12/13/14'])}`,
    ]);
  }

  /** Some gateways of different links, with weights. */
  #gateways(family: 4 | 6): string {
    return Array.from({ length: 2 + this.#random.below(3) }, () => {
      const { dev, network } = this.#way();
      const number = this.#random.pick([2, 3, 4, 5]);
      const gateway = family === 4 ? host4(network, number) : host6(network, number);
      return `nexthop via ${gateway} dev ${dev} weight ${1 + this.#random.below(3)}`;
    }).join(' ');
  }

  #multipath4(): Command {
    const prefix = this.#prefix4();
    if (this.#random.chance(0.3)) return `ip route replace ${prefix} nhid ${this.#random.pick([1, 20])}`;
    return `ip route replace ${prefix} ${this.#gateways(4)}`;
  }

  #multipath6(): Command {
    const prefix = this.#prefix6();
    if (this.#random.chance(0.3)) return `ip route replace ${prefix} nhid ${this.#random.pick([11, 30])}`;
    return `ip route replace ${prefix} ${this.#gateways(6)}`;
  }

  #member(): Command {
    const dev = `p${this.#scope.ports - 1 - this.#random.below(2)}`;
    const vid = this.#random.pick([1, 10, 20]);
    if (this.#random.chance(0.3)) return `bridge vlan del vid ${vid} dev ${dev}`;
    return `bridge vlan add vid ${vid} dev ${dev}${this.#random.pick(['', '', ' untagged', ' pvid', ' pvid untagged'])}`;
  }

  #bridge(): Command[] {
    const [first, second] = [this.#scope.ports - 2, this.#scope.ports - 1];
    const lines = [
      `ip link add br0 address 02:aa:00:00:00:99 type bridge${this.#scope.vlans ? ' vlan_filtering 1' : ''} mcast_snooping 0`,
      'ip link set br0 up',
      ...[first, second].flatMap((port) => [`ip addr flush dev p${port}`, `ip link set p${port} master br0`]),
      'ip addr add 10.254.0.1/24 dev br0',
    ];
    for (let station = 0; station < STATIONS; station++) {
      const port = station % 2 === 0 ? first : second;
      lines.push(`bridge fdb replace ${stationMac(station)} dev p${port} master static`);
      lines.push(
        `ip neigh replace 10.254.0.${10 + station} lladdr ${stationMac(station)} dev br0 nud permanent`,
      );
    }
    if (this.#scope.vlans)
      lines.push(`bridge vlan add vid 10 dev p${first}`, `bridge vlan add vid 10 dev p${second} untagged`);
    return lines;
  }

  #fdb(): Command {
    const port = this.#scope.ports - 1 - this.#random.below(2);
    const mac = stationMac(this.#random.below(STATIONS + 2));
    const vlan = this.#scope.vlans ? ` vlan ${this.#random.pick([1, 10, 20])}` : '';
    if (this.#random.chance(0.2)) return `bridge fdb del ${mac} dev p${port} master${vlan}`;
    return `bridge fdb replace ${mac} dev p${port} master static${vlan}`;
  }

  /** A prefix that packets go to from here on. */
  #prefix4(): string {
    const random = this.#random;
    const length = random.chance(0.05) ? 0 : random.pick(LENGTHS4);
    const address = masked4(random.below(2 ** 12) + 0x0a00_0000 + (random.below(4) << 16), length);
    this.#targets4.push(textOf4(address + (length < 32 ? 1 : 0)), textOf4((address - 1) >>> 0));
    return `${textOf4(address)}/${length}`;
  }

  #route4(): Command {
    const random = this.#random;
    const prefix = this.#prefix4();
    const verb = random.weighted([
      [10, 'replace'],
      [2, 'add'],
      [1, 'append'],
      [2, 'del'],
    ]);
    if (verb === 'del') return `ip route del ${prefix}${this.#table()}`;
    return `ip route ${verb} ${random.weighted<() => string>([
      [16, () => `${prefix} ${this.#hop4()}`],
      [1, () => `blackhole ${prefix}${this.#table()}`],
      [1, () => `unreachable ${prefix}${this.#table()}`],
      [1, () => `prohibit ${prefix}${this.#table()}`],
      [1, () => `throw ${prefix}${this.#table()}`],
      [1, () => `${prefix} ${this.#onLink()}`],
      [1, () => `${prefix} ${this.#hop4()} mtu 1200`],
    ])()}`;
  }

  #onLink(): string {
    const way = this.#way();
    return `dev ${way.dev}${this.#table(way)}`;
  }

  #hop4(): string {
    const way = this.#way();
    const { dev, network } = way;
    const number = this.#random.pick([2, 3, 4, 5, 9]);
    const table = this.#table(way);
    if (this.#random.chance(0.1)) return `via inet6 ${host6(network, number)} dev ${dev}${table}`;
    return `via ${host4(network, number)} dev ${dev}${table}`;
  }

  #prefix6(): string {
    const random = this.#random;
    const length = random.pick(LENGTHS6);
    const words = [0x2001, 0x0db8, 0x000a, random.below(16), 0, 0, 0, random.below(16)];
    const prefix = masked6(words, length);
    this.#targets6.push(prefix.map((word) => word.toString(16)).join(':'));
    this.#targets6.push([...prefix.slice(0, 7), prefix[7]! | 1].map((word) => word.toString(16)).join(':'));
    return `${prefix.map((word) => word.toString(16)).join(':')}/${length}`;
  }

  #route6(): Command {
    const random = this.#random;
    const text = this.#prefix6();
    const way = this.#way();
    const { dev, network } = way;
    const table = this.#table(way);
    const gateway = () => host6(network, random.pick([2, 3, 4, 9]));
    return random.weighted<() => Command>([
      [12, () => `ip route replace ${text} via ${gateway()} dev ${dev}${table}`],
      [1, () => `ip route replace blackhole ${text}${table}`],
      [1, () => `ip route replace unreachable ${text}${table}`],
      [2, () => `ip route del ${text}${table}`],
    ])();
  }

  #neighbour(): Command {
    const { dev, network } = this.#way();
    const number = this.#random.pick([2, 3, 4, 5]);
    const isIp4 = this.#random.chance(0.7) || !this.#scope.ip6;
    const address = isIp4 ? host4(network, number) : host6(network, number);
    // Never none at all: the kernel would keep packets until it finds one.
    const mac = macOf(network, this.#random.pick([number, 0xf0]));
    return `ip neigh replace ${address} lladdr ${mac} dev ${dev} nud permanent`;
  }

  #mtu(): Command {
    return `ip link set ${this.#way().dev} mtu ${this.#random.pick([1280, 1400, 1500, 1500, 2000])}`;
  }

  #setting(): Command {
    const port = `p${this.#random.below(this.#routed)}`;
    return `sysctl ${this.#random.pick([
      `net.ipv4.conf.${port}.rp_filter=${this.#random.below(3)}`,
      `net.ipv4.conf.${port}.forwarding=${this.#random.below(2)}`,
      `net.ipv4.conf.${port}.accept_source_route=${this.#random.below(2)}`,
    ])}`;
  }

  /** Addresses that the router answers for. */
  #proxied(): Command[] {
    const ports = Array.from({ length: this.#routed }, (_, port) => `p${port}`);
    return ports.flatMap((dev) => PROXIED.map((address) => `ip neigh add proxy ${address} dev ${dev}`));
  }

  #setting6(): Command {
    const random = this.#random;
    const { dev } = this.#way();
    // Of a VLAN link, too: a name may have a point in it.
    const of = `net/ipv6/conf/${dev}`;
    return `sysctl ${random.pick([
      `${of}/disable_ipv6=${random.below(2)}`,
      `${of}/disable_ipv6=0`,
      `${of}/mtu=${random.pick([1280, 1400, 1500])}`,
      `${of}/mtu=1280`,
      `net/ipv6/conf/all/proxy_ndp=${random.below(2)}`,
    ])}`;
  }

  #rule(): Command {
    const random = this.#random;
    const what = random.pick([
      `from 192.168.0.0/${random.pick([16, 24])}`,
      `to ${random.pick(this.#targets4)}`,
      `iif p${random.below(this.#routed)}`,
    ]);
    return `ip rule add pref ${100 + random.below(20)} ${what} ${random.pick(['blackhole', 'prohibit', 'lookup main', 'lookup 99'])}`;
  }

  #chains(): Command[] {
    const random = this.#random;
    const policy = random.pick(['accept', 'accept', 'drop']);
    return [
      'nft add table inet edge',
      `nft add chain inet edge forward { type filter hook forward priority 0; policy ${policy}; }`,
      ...(random.chance(0.5)
        ? ['nft add chain inet edge early { type filter hook prerouting priority -300; }']
        : []),
      'nft add chain inet edge input { type filter hook input priority 0; }',
      ...(random.chance(0.3) ? [this.#tracking()] : []),
    ];
  }

  /** Connections are tracked for the router itself alone. */
  #tracking(): Command {
    return `nft add rule inet edge input ct state ${this.#random.pick(['invalid drop', 'established accept'])}`;
  }

  #nftRule(): Command {
    const random = this.#random;
    if (random.chance(0.03)) return 'nft flush chain inet edge forward';
    if (random.chance(0.03)) return random.pick([this.#tracking(), 'nft flush chain inet edge input']);
    const matches = [
      `ip daddr ${random.pick(this.#targets4)}`,
      `ip daddr ${random.pick(this.#targets4)}/${random.pick([8, 9, 15, 16, 24])}`,
      'ip saddr 192.168.0.0/16',
      `ip6 daddr ${random.pick(this.#targets6)}/${random.pick([33, 48, 64, 128])}`,
      `iifname "p${random.below(this.#routed)}"`,
      `oifname "p${random.below(this.#routed)}"`,
      'udp dport 53',
      `tcp sport ${random.pick(['1000-4000', '80', '{ 22, 80 }', '!= 80'])}`,
      'tcp flags & (syn | ack) == syn',
      'icmp type echo-request',
      'icmpv6 type echo-request',
      'ip protocol udp',
      'meta l4proto { tcp, udp }',
      'ip ttl 64',
      'ip dscp ef',
      'ip frag-off & 0x1fff != 0',
    ];
    const match = random.chance(0.7)
      ? random.pick(matches)
      : `${random.pick(matches.slice(0, 3))} ${random.pick(matches.slice(4))}`;
    const verdict = random.weighted([
      [6, 'accept'],
      [4, 'drop'],
      [1, 'counter accept'],
      [0.5, 'counter'],
      [0.5, 'reject'],
      [0.5, 'return'],
    ]);
    return `nft ${random.pick(['add', 'insert'])} rule inet edge ${random.chance(0.9) ? 'forward' : 'early'} ${match} ${verdict}`;
  }

  #filter(): Command {
    const random = this.#random;
    const dev = `p${random.below(this.#scope.ports)}`;
    const kind = random.pick(this.#scope.filters!);
    const redirect = `mirred egress redirect dev p${random.below(this.#scope.ports)}`;
    if (kind === 'edits')
      return `tc filter add dev ${dev} ingress pref ${1 + random.below(30)} ${this.#edits(redirect)}`;
    const rare = ['trap', 'continue', 'pipe', `mirred egress mirror dev p${random.below(this.#scope.ports)}`];
    const action = random.weighted([
      [4, 'drop'],
      [4, 'pass'],
      [4, redirect],
      [1, random.pick(kind === 'u32' ? ['continue'] : rare)],
    ]);
    const target = random.pick(this.#targets4);
    const [protocol, match] = {
      u32: () => this.#u32(target),
      flower: () => this.#flower(target),
      matchall: () => ['all', ''] as const,
    }[kind]();
    // Not every kernel has all of them. A class without actions passes, too, and that u32 has everywhere.
    const verdict = kind === 'u32' && action === 'pass' ? 'flowid 1:1' : `action ${action}`;
    return `tc filter add dev ${dev} ingress pref ${1 + random.below(30)} protocol ${protocol} ${kind} ${match} ${verdict}`;
  }

  #u32(target: string): readonly [protocol: string, match: string] {
    const random = this.#random;
    const six = () => `match ip6 dst ${random.pick(this.#targets6)}/${random.pick([32, 64, 128])}`;
    const either = (first: string, second: string) =>
      random.chance(0.5) ? `${first} ${second}` : `${second} ${first}`;
    return random.pick([
      ['ip', `match ip dst ${target}/32`],
      ['ip', `match ip dst ${target}/${random.pick([8, 16, 24])} match ip protocol 17 0xff`],
      ['ip', 'match ip src 192.168.0.0/16'],
      ['ip', 'match ip protocol 17 0xff'],
      ['ip', either('match ip protocol 17 0xff', 'match ip dport 53 0xffff')],
      ['ip', either('match ip protocol 6 0xff', `match ip sport 1000 ${random.pick(['0xffff', '0xfff8'])}`)],
      ['ip', either('match ip protocol 6 0xff', 'match u8 0x02 0x12 at 33')],
      ['ip', either('match ip protocol 1 0xff', 'match ip icmp_type 8 0xff')],
      ['ip', 'match ip dport 53 0xffff'],
      ['ip', `match ip dsfield ${random.pick(['0x10 0xfc', '0xb8 0xfc', '0x10 0xff'])}`],
      ['ip', 'match u8 64 0xff at 8'],
      ['ip', 'match udp dst 53 0xffff'],
      ['ipv6', six()],
      ['ipv6', `${six()} match ip6 protocol 6 0xff match ip6 dport 80 0xffff`],
      ['ipv6', 'match ip6 priority 0xb8 0xfc'],
      ['all', 'match u32 0 0'],
      ['all', 'match ip protocol 17 0xff'],
      ['arp', 'match u32 0 0'],
    ]);
  }

  #flower(target: string): readonly [protocol: string, match: string] {
    const random = this.#random;
    return random.pick([
      ['ip', `dst_ip ${target}`],
      ['ip', `dst_ip ${target}/${random.pick([8, 16, 24])} ip_proto udp`],
      ['ip', 'ip_proto udp dst_port 53'],
      ['ip', 'ip_proto tcp src_port 1000-4000'],
      ['ip', 'src_ip 192.168.0.0/16'],
      ['ip', 'ip_proto tcp tcp_flags 0x2/0x12'],
      ['ip', 'ip_proto icmp type 8'],
      ['ip', 'ip_flags frag'],
      ['ip', `ip_tos ${random.pick(['0x10/0xfc', '0xb8/0xfc', '3/3'])}`],
      ['ip', 'ip_ttl 64'],
      ['ipv6', `dst_ip ${random.pick(this.#targets6)}/${random.pick([32, 64, 128])}`],
      ['ipv6', 'ip_proto tcp dst_port 80'],
      ['802.1q', `vlan_id ${random.pick([VLAN, 10])}`],
      ['802.1q', `vlan_id ${random.pick([VLAN, 10])} vlan_prio ${random.pick([0, 5])}`],
      ['802.1q', `vlan_id ${random.pick([VLAN, 10])} vlan_ethtype ipv4 dst_ip ${target}/16`],
      ['all', `dst_mac ${random.pick([portMac(0), stationMac(1), 'ff:ff:ff:ff:ff:ff'])}`],
      ['all', `src_mac ${random.pick([stationMac(0), macOf(0, 2)])}`],
      ['arp', ''],
    ]);
  }

  /** Flower whose packets are edited and sent elsewhere; some of them with an action that hardware cannot do. */
  #edits(redirect: string): string {
    const random = this.#random;
    const target4 = random.pick(this.#targets4);
    const target6 = random.pick(this.#targets6);
    const frame = [
      'vlan push id 30',
      'vlan push id 30 priority 5',
      'vlan pop',
      'vlan modify id 31',
      'vlan modify id 31 priority 3',
      'vlan pop pipe action vlan push id 32 priority 1',
      'vlan push protocol 802.1ad id 33',
      `pedit ex munge eth dst set ${macOf(1, 3)}`,
      `pedit ex munge eth src set ${macOf(1, 4)} munge eth dst set ${macOf(2, 4)}`,
    ];
    const ports = (protocol: string) =>
      random.pick([
        `pedit ex munge ${protocol} dport set 8080`,
        `pedit ex munge ${protocol} sport set 99 munge ${protocol} dport set 99`,
      ]);
    const four = () =>
      random.pick(
        ['src', 'dst'].map((side) => `munge ip ${side} set ${random.pick(['10.99.0.7', target4])}`),
      );
    const six = () =>
      random.pick(['src', 'dst'].map((side) => `munge ip6 ${side} set 2001:db8:77::${random.below(9)}`));
    const [match, edits] = random.pick<readonly [string, readonly string[]]>([
      ['protocol all flower', []],
      [`protocol 802.1q flower vlan_id ${random.pick([VLAN, 10])}`, []],
      ['protocol ip flower', ['pedit ex munge ip ttl dec pipe action csum iph']],
      [
        `protocol ip flower dst_ip ${target4}/16`,
        [`pedit ex ${four()} munge ip ttl set 9 pipe action csum iph tcp udp`],
      ],
      [
        `protocol 802.1q flower vlan_id ${VLAN} vlan_ethtype ipv4`,
        [`pedit ex ${four()} pipe action csum iph tcp udp`],
      ],
      ['protocol ip flower ip_proto tcp', [`pedit ex ${four()}`, ports('tcp'), 'csum iph tcp']],
      ['protocol ip flower ip_proto udp', [`pedit ex ${four()}`, ports('udp'), 'csum iph udp']],
      ['protocol ip flower ip_proto udp dst_port 53', [ports('udp'), 'csum udp']],
      [
        'protocol ip flower ip_proto icmp',
        [`pedit ex ${four()} munge ip ttl add 200 pipe action csum iph ${random.pick(['', 'icmp'])}`],
      ],
      ['protocol ip flower ip_proto icmp', [`pedit ex ${four()} ${four()} pipe action csum iph`]],
      ['protocol ipv6 flower', ['pedit ex munge ip6 hoplimit add 0xff']],
      [`protocol ipv6 flower dst_ip ${target6}/32`, [`pedit ex ${six()} pipe action csum tcp udp icmp`]],
      ['protocol ipv6 flower ip_proto tcp', [`pedit ex ${six()}`, ports('tcp'), 'csum tcp']],
      ['protocol ipv6 flower ip_proto udp', [`pedit ex ${six()}`, ports('udp'), 'csum udp']],
      // Not all that is edited gets a checksum.
      ['protocol ip flower ip_proto udp', [`pedit ex ${four()} pipe action csum iph`]],
      ['protocol ip flower', ['pedit ex munge ip ttl dec']],
    ]);
    const tag = random.chance(edits.length === 0 ? 1 : 0.4) ? [random.pick(frame)] : [];
    const both = random.chance(0.5) ? [...tag, ...edits] : [...edits, ...tag];
    const end = random.weighted([
      [12, redirect],
      [1, 'pass'],
      [1, 'drop'],
    ]);
    return [match, ...both.map((action) => `action ${action} pipe`), `action ${end}`].join(' ');
  }

  // ---- packets ----

  packets(count: number): Packet[] {
    return Array.from({ length: count }, () => this.#packet());
  }

  #packet(): Packet {
    const random = this.#random;
    const port = random.below(this.#scope.ports);
    const isBridged = port >= this.#routed;
    const body = random.weighted<() => Body>([
      [12, () => this.#ip4(port)],
      [this.#scope.ip6 ? 6 : 1, () => this.#ip6(port)],
      [this.#scope.oddities ? 0.4 : 0, () => this.#discovery(port)],
      [this.#scope.vxlan ? 8 : 0.3, () => this.#vxlan(port)],
      [0.5, () => ({ is: 'arp', operation: 1, sender: host4(port, 2), target: '10.9.9.9' })],
      [0.3, () => ({ is: 'raw', type: random.pick([0x88b5, 0x0806, 0x0800, 0x86dd, 0x8863]) })],
    ])();
    const own = isBridged ? '02:aa:00:00:00:99' : portMac(port);
    const to = random.weighted([
      [isBridged ? 4 : 14, own],
      [isBridged ? 10 : 0, stationMac(random.below(STATIONS + 1))],
      [1, 'ff:ff:ff:ff:ff:ff'],
      [0.5, '01:00:5e:01:02:03'],
      [0.5, '33:33:00:00:00:01'],
      [1, '02:00:00:00:77:77'],
    ]);
    const vlans = random.weighted<NonNullable<Packet['vlans']>>([
      [16, []],
      [this.#scope.vlanLinks && !isBridged ? 12 : 0.2, [{ id: VLAN, priority: random.pick([0, 0, 5]) }]],
      [this.#scope.vlans ? 8 : 1, [{ id: random.pick([0, 1, 10, 20, 4095]), priority: random.below(8) }]],
      [0.3, [{ id: 10, type: 0x88a8 }, { id: 20 }]],
    ]);
    return {
      port,
      from: isBridged ? stationMac(port === this.#scope.ports - 2 ? 0 : 1) : macOf(port, 2),
      to,
      ...(vlans.length > 0 && { vlans }),
      body,
      payload: random.weighted([
        [10, random.below(64)],
        [2, 1100 + random.below(500)],
        [1, 1300 + random.below(1200)],
      ]),
      ...(this.#scope.oddities && random.chance(0.05) && { padding: 1 + random.below(40) }),
    };
  }

  /** Through the router, or to it as the end of the tunnel. */
  #vxlan(port: number): Body {
    const random = this.#random;
    const is6 = random.chance(0.2);
    return {
      is: 'vxlan',
      source: host4(Math.min(port, this.#routed - 1), random.pick([2, 3])),
      destination: random.pick([host4(0, 1), host4(0, 1), random.pick(this.#targets4)]),
      ttl: random.pick([64, 64, 64, 1]),
      sport: random.pick([50_000, 60_000]),
      vni: random.pick([VNI, VNI, VNI, VNI + 1]),
      inner: {
        from: tunnelMac(random.pick([2, 3])),
        to: random.pick([tunnelMac(1), tunnelMac(1), tunnelMac(1), 'ff:ff:ff:ff:ff:ff', tunnelMac(7)]),
        body: is6
          ? this.#ip6(port)
          : { ...this.#ip4(port), source: random.pick(['10.253.0.2', '10.252.1.1']) },
      },
    };
  }

  #l4(): L4 {
    const random = this.#random;
    return {
      is: random.weighted([
        [6, 'udp'],
        [4, 'tcp'],
        [2, 'icmp'],
        [1, 'other'],
      ]),
      sport: random.pick([53, 1000, 4000]),
      dport: random.pick([53, 80, 5000]),
      flags: random.pick([2, 16, 17, 20]),
      ...(random.chance(0.05) && { badChecksum: true }),
    };
  }

  /** Of neighbour discovery with a hop limit that it has on its link, for an address that the router may answer for. */
  #discovery(port: number): Packet['body'] {
    const random = this.#random;
    return {
      is: 'ip6',
      source: host6(Math.min(port, this.#routed - 1), 2),
      destination: random.pick([...PROXIED, random.pick(this.#targets6)]),
      hops: 255,
      l4: { is: 'icmp', type: random.pick([133, 135, 136]) },
    };
  }

  #ip4(port: number): Ip4 {
    const random = this.#random;
    return {
      is: 'ip4',
      source: random.weighted([
        [8, host4(Math.min(port, this.#routed - 1), 2)],
        [5, '192.168.7.7'],
        [2, '192.168.0.9'],
        [1, random.pick(this.#targets4)],
        [0.3, random.pick(['127.0.0.1', '0.0.0.0', '224.0.0.5', '255.255.255.255', host4(0, 1)])],
      ]),
      destination: random.weighted([
        [16, random.pick(this.#targets4)],
        [3, host4(random.below(this.#routed), random.pick([2, 3, 4, 5]))],
        [
          this.#scope.vlanLinks ? 3 : 0,
          host4(VLAN_NETWORK + random.below(this.#routed), random.pick([2, 3, 4, 5])),
        ],
        [this.#scope.vxlan ? 4 : 0, random.pick(['10.253.0.2', '10.253.0.3', '10.253.0.9', '10.252.1.1'])],
        [this.#scope.bridge ? 3 : 0, `10.254.0.${10 + random.below(STATIONS)}`],
        [1, host4(random.below(this.#routed), 1)],
        [
          0.5,
          random.pick(['224.0.0.251', '239.1.2.3', '255.255.255.255', host4(0, 255), '127.0.0.1', '0.0.0.0']),
        ],
      ]),
      ttl: random.weighted([
        [12, 64],
        [1, 0],
        [2, 1],
        [2, 2],
        [1, 255],
      ]),
      ...(random.chance(0.2) && { tos: random.pick([0x10, 0x2e << 2, 3]) }),
      l4: this.#l4(),
      ...(random.chance(0.06) && {
        options: random.pick([
          [1, 1, 1, 0],
          [7, 7, 4, 0, 0, 0, 0, 0],
          [0x94, 4, 0, 0],
          [0x83, 7, 4, 10, 255, 0, 2, 0],
        ]),
      }),
      ...(random.chance(0.3) && { dontFragment: true }),
      ...(random.chance(0.06) && { moreFragments: true }),
      ...(random.chance(0.06) && { offset: 1 + random.below(100) }),
      ...(random.chance(0.04) && { badChecksum: true }),
      ...(random.chance(0.03) && { lengthError: random.pick([-8, -2, 4, 200]) }),
      ...(this.#scope.oddities && random.chance(0.04) && { says: this.#says() }),
      ...(random.chance(0.02) && { version: random.pick([5, 6]) }),
    };
  }

  #ip6(port: number): Ip6 {
    const random = this.#random;
    return {
      is: 'ip6',
      source: random.weighted([
        [8, host6(Math.min(port, this.#routed - 1), 2)],
        [4, '2001:db8:9::9'],
        [0.4, random.pick(['::1', '::', 'fe80::1', 'ff02::1'])],
      ]),
      destination: random.weighted([
        [14, random.pick(this.#targets6)],
        [3, host6(random.below(this.#routed), random.pick([2, 3, 4, 5]))],
        [1, host6(random.below(this.#routed), 1)],
        [0.5, random.pick(['ff02::1', 'ff0e::1', 'fe80::1', '::1'])],
      ]),
      hops: random.pick([64, 64, 64, 0, 1, 2]),
      ...(random.chance(0.2) && { trafficClass: 0xb8 }),
      l4: this.#l4(),
      ...(random.chance(0.1) && {
        extension: random.pick(['hop-by-hop', 'routing', 'fragment', 'destination'] as const),
      }),
      ...(random.chance(0.03) && { lengthError: random.pick([-8, 16]) }),
      ...(this.#scope.oddities && random.chance(0.04) && { says: this.#says() }),
    };
  }

  /** So little that a header of TCP ends behind the packet; of others only what has the number can be seen to leave. */
  #says(): number {
    return this.#random.pick([0, 4, 8, 12, 13, 16, 19, 20]);
  }
}

const stationMac = (station: number): string => `02:cc:00:00:00:0${station}`;

const masked4 = (address: number, length: number): number =>
  length === 0 ? 0 : (address & (-1 << (32 - length))) >>> 0;

const textOf4 = (address: number): string =>
  [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');

function masked6(words: readonly number[], length: number): number[] {
  return words.map((word, index) => {
    const kept = Math.max(0, Math.min(16, length - index * 16));
    return word & (0xffff << (16 - kept)) & 0xffff;
  });
}
