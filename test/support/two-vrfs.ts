/**
 * Two hosts, a DPU with a routing domain for each, and a kernel between the two domains:
 *
 *                    e0 [kernel] e1
 *                    │           │
 *                    r0          r1
 *     a ── f0 [DPU, red]       [DPU, blue] f1 ── b
 *
 * Before offloading, packets from a to b pass the DPU, the kernel and the DPU again; with it, the DPU alone.
 *
 * The domains are VRFs where the kernel has them. Elsewhere they are tables chosen by rules, and what a VRF link does (leave by it, be
 * decided by its table) a pair of links does, the far one with the MAC of the DPU's link to the kernel. That takes one more
 * look-up than a VRF, whose decrement of the TTL is given back.
 */
import { Netns } from './netns.ts';

const RED = 10;
const BLUE = 20;
/** Of the DPU's own routes to the kernel: those that are written win. */
const METRIC = 1000;
/** Of what is written: more than that of IPv6's connected routes, 256, which the kernel's routes to the same networks must not win over. */
const WRITTEN_METRIC = 300;
/** Larger ones are not given back. */
const TTL_MAX = 8;

/** Of addresses in both families. */
const FORMS = {
  4: { address: (net: number, host: number) => `192.168.${net}.${host}`, length: 24 },
  6: { address: (net: number, host: number) => `fd00:${net}::${host}`, length: 64 },
} as const;
type Version = keyof typeof FORMS;

/** What `hops` is to be before and after. */
export function hopsOf(version: Version): { before: string[]; after: string[] } {
  const { address } = FORMS[version];
  const [near, kernel, back, end] = [address(11, 1), address(101, 2), address(102, 1), address(12, 2)];
  return { before: [near, kernel, back, end], after: [near, end] };
}

export class TwoVrfs {
  readonly a = new Netns();
  readonly b = new Netns();
  readonly dpu = new Netns();
  readonly kernel = new Netns();
  /** VRF of each link of the DPU. */
  readonly #domains = new Map<string, string>();
  /** Links of the DPU that lead into a domain. */
  readonly #into: readonly [red: string, blue: string];

  /** Tables chosen by rules do for IPv4 alone: IPv6 refuses gateways that are addresses of any link outside of VRFs. */
  readonly versions: readonly Version[];

  constructor(hasVrfs: boolean) {
    this.versions = hasVrfs ? [4, 6] : [4];
    try {
      for (const router of [this.dpu, this.kernel])
        router.sysctl(
          'net.ipv4.ip_forward=1',
          'net.ipv4.conf.all.rp_filter=0',
          'net.ipv4.conf.default.rp_filter=0',
          'net.ipv4.icmp_ratelimit=0',
          'net.ipv6.conf.all.forwarding=1',
          'net.ipv6.icmp.ratelimit=0',
          // A VRF answers by an address of the link that leads back; tables chosen by rules do not matter to answers.
          `net.ipv4.icmp_errors_use_inbound_ifaddr=${hasVrfs ? 0 : 1}`,
        );
      this.#into = hasVrfs ? this.#vrfs() : this.#tables();
      this.#wire(this.a, 'a0', [11, 2], 'f0', 1);
      this.#wire(this.b, 'b0', [12, 2], 'f1', 1);
      this.#wire(this.kernel, 'e0', [101, 2], 'r0', 1);
      this.#wire(this.kernel, 'e1', [102, 2], 'r1', 1);
      if (!hasVrfs) this.#pairs();
      for (const version of this.versions) this.#ways(version);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The DPU's own routes, to the kernel, and those of the hosts. */
  #ways(version: Version): void {
    const { address } = FORMS[version];
    const { dpu } = this;
    for (const [table, front, back, near, far] of [
      [RED, 'f0', 'r0', 11, 101],
      [BLUE, 'f1', 'r1', 12, 102],
    ] as const) {
      if (this.#domains.size === 0) {
        dpu.ip(`route add ${address(near, 0)}/24 dev ${front} table ${table}`);
        // A domain's own addresses are its own, as in a VRF.
        dpu.ip(`route add local ${address(far, 1)} dev ${back} table ${table}`);
        dpu.ip(`route del local ${address(far, 1)} dev ${back} table local`);
      }
      dpu.ip(
        `-${version} route add default via ${address(far, 2)} dev ${back} table ${table} metric ${METRIC}`,
      );
    }
    this.a.ip(`-${version} route add default via ${address(11, 1)}`);
    this.b.ip(`-${version} route add default via ${address(12, 1)}`);
  }

  /** The kernel's routes to both hosts. */
  route(verb: 'add' | 'del'): void {
    for (const version of this.versions) {
      const { address, length } = FORMS[version];
      for (const [near, far] of [
        [11, 101],
        [12, 102],
      ] as const)
        this.kernel.ip(`-${version} route ${verb} ${address(near, 0)}/${length} via ${address(far, 1)}`);
    }
  }

  /** Lines of the configuration of a host that mirrors the kernel into the DPU. */
  get sections(): string[] {
    const [red, blue] = this.#into;
    return [
      '[plugin.l3-mirror]',
      'device = "dpu"',
      'ports = ["e*"]',
      'isolation = "worker"',
      '[device.dpu]',
      'kind = "rtnetlink"',
      `netns = "${this.dpu.name}"`,
      `metric = ${WRITTEN_METRIC}`,
      '[device.dpu.links.e0]',
      `link = "${red}"`,
      `table = ${RED}`,
      'via = "r0"',
      ...this.#gateways(101),
      '[device.dpu.links.e1]',
      `link = "${blue}"`,
      `table = ${BLUE}`,
      'via = "r1"',
      ...this.#gateways(102),
    ];
  }

  #gateways(net: number): string[] {
    return this.versions.map((version) => {
      const key = version === 4 ? 'gateway' : 'gateway6';
      return `${key} = "${FORMS[version].address(net, 2)}"`;
    });
  }

  /** Who answers on the way from a to b, by time to live: what traceroute shows. */
  hops(version: Version): string[] {
    const found: string[] = [];
    const end = FORMS[version].address(12, 2);
    for (let ttl = 1; ttl <= 6 && found.at(-1) !== end; ttl++) {
      const answer = this.a.run('sh', ['-c', `ping -n -c 1 -W 5 -t ${ttl} ${end} || true`]);
      found.push(/from ([0-9a-f.:]+?):? icmp_seq/i.exec(answer)?.[1] ?? 'nobody');
    }
    return found;
  }

  close(): void {
    for (const space of [this.a, this.b, this.dpu, this.kernel]) space.close();
  }

  #wire(space: Netns, link: string, [net, host]: [number, number], peer: string, other: number): void {
    const { dpu } = this;
    space.ip(`link add ${link} type veth peer name ${peer} netns ${dpu.name}`);
    if (this.#domains.size > 0) dpu.ip(`link set ${peer} master ${this.#domains.get(peer)}`);
    for (const version of this.versions) {
      const { address, length } = FORMS[version];
      const rest = version === 6 ? ' nodad' : '';
      space.ip(`addr add ${address(net, host)}/${length} dev ${link}${rest}`);
      dpu.ip(`addr add ${address(net, other)}/${length} dev ${peer}${rest}`);
    }
    space.ip(`link set ${link} up`);
    dpu.ip(`link set ${peer} up`);
  }

  #vrfs(): [string, string] {
    for (const [name, table, ...links] of [
      ['red', RED, 'f0', 'r0'],
      ['blue', BLUE, 'f1', 'r1'],
    ] as const) {
      this.dpu.ip(`link add ${name} type vrf table ${table}`);
      this.dpu.ip(`link set ${name} up`);
      for (const link of links) this.#domains.set(link, name);
    }
    return ['red', 'blue'];
  }

  #tables(): [string, string] {
    for (const [table, ...links] of [
      [RED, 'f0', 'r0', 'red1'],
      [BLUE, 'f1', 'r1', 'blue1'],
    ] as const)
      for (const link of links) this.dpu.ip(`rule add iif ${link} lookup ${table}`);
    return ['red0', 'blue0'];
  }

  #pairs(): void {
    const { dpu } = this;
    for (const [near, far, same] of [
      ['red0', 'red1', 'r0'],
      ['blue0', 'blue1', 'r1'],
    ] as const) {
      const mac = dpu.run('cat', [`/sys/class/net/${same}/address`]).trim();
      dpu.ip(`link add ${near} type veth peer name ${far}`);
      dpu.ip(`link set ${far} address ${mac}`);
      for (const link of [near, far]) dpu.ip(`link set ${link} up`);
    }
    const back = Array.from(
      { length: TTL_MAX },
      (_, at) => `iifname { red1, blue1 } ip ttl ${at + 1} ip ttl set ${at + 2} accept`,
    );
    const rules = `table ip pairs {
      chain back {
        type filter hook prerouting priority -300;
        ${back.join('\n')}
      }
    }`;
    dpu.run('nft', ['-f', '-'], rules);
  }
}
