/** A router between wires: ports p0, p1, … in a namespace; the test holds the other ends and sees all that leaves. */
import { Netns } from '../support/netns.ts';
import { host4, host6, macOf } from '../support/router.ts';
import { comparable, frameOf, isRedirect, numberOf, type Outer, type Packet } from './frame.ts';
import { WireEnd } from './wire.ts';

/** `ip …`, `bridge …`, `tc …`, `nft …`, `ethtool …` or `sysctl NAME=VALUE`, carried out in order. */
export type Command = string;

/** For each packet, what left: `port: bytes`, sorted. */
export type Seen = readonly (readonly string[])[];

/** Frames in flight at a time: what a wire's buffer holds easily. */
const BURST = 64;
/** Silence after which the next burst is sent, and after which what is missing is not expected any more. */
const QUIET_MS = 4;
const LATE_MS = 1500;

/** What a veth takes with an XDP program at the other end, which has one buffer a frame. */
const XDP_MTU = 3000;

/** As `ip -j -d link` has it. */
interface VxlanLink {
  readonly linkinfo?: {
    readonly info_slave_kind?: string;
    readonly info_data: {
      readonly id: number;
      readonly local: string;
      readonly port: number;
      readonly port_range: { readonly low: number; readonly high: number };
    };
  };
}

/** MAC address of a port of the router. */
export const portMac = (port: number): string => `02:aa:00:00:00:0${port}`;

export class Arena {
  readonly router = new Netns();
  readonly #far = new Netns();
  readonly #wires: WireEnd[] = [];
  readonly #ports: number;
  /** Number of the first packet sent last, and what was seen of each: what comes too late is not taken for another's. */
  #first = 0;
  #seen: string[][] = [];
  /** Of the VXLAN links that are ports of bridges. */
  #outers: readonly Outer[] = [];

  /**
   * Port n has 10.255.n.1/24 and 2001:db8:fn::1/64 and resolved neighbours 2 to 5 (test/support/router.ts). Nothing that the kernel
   * does by itself (address detection, redirects, limits on errors) depends on time.
   */
  constructor(ports: number) {
    this.#ports = ports;
    try {
      this.#build();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #build(): void {
    this.#far.sysctl('net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
    this.router.sysctl(
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
      ...['all', 'default'].flatMap((name) => [
        `net.ipv4.conf.${name}.rp_filter=0`,
        `net.ipv4.conf.${name}.send_redirects=0`,
        `net.ipv6.conf.${name}.accept_dad=0`,
        `net.ipv6.conf.${name}.router_solicitations=0`,
      ]),
      // No type of error is limited.
      'net.ipv4.icmp_ratemask=0',
      'net.ipv6.icmp.ratemask=',
      'net.ipv6.auto_flowlabels=0',
    );
    // Netfilter's checks of what bridges forward; not every kernel has them.
    for (const family of ['iptables', 'ip6tables', 'arptables'])
      this.router.run('sysctl', ['-qew', `net.bridge.bridge-nf-call-${family}=0`]);
    const lines: string[] = [];
    for (let port = 0; port < this.#ports; port++) {
      lines.push(
        `link add p${port} address ${portMac(port)} type veth peer name v${port} netns ${this.#far.name}`,
        `link set p${port} up`,
        `addr add ${host4(port, 1)}/24 dev p${port}`,
        `addr add ${host6(port, 1)}/64 dev p${port} nodad`,
      );
      for (let number = 2; number <= 5; number++) {
        for (const address of [host4(port, number), host6(port, number)])
          lines.push(`neigh add ${address} lladdr ${macOf(port, number)} dev p${port} nud permanent`);
      }
    }
    this.#must(lines, this.router.batch(lines));
    const far = Array.from({ length: this.#ports }, (_, port) => [
      `link set v${port} mtu 9000`,
      `link set v${port} up`,
    ]).flat();
    this.#must(far, this.#far.batch(far));
    for (let port = 0; port < this.#ports; port++) {
      // A gateway that nobody answers for fails at once, and not with an error some seconds later.
      for (const family of ['ipv4', 'ipv6'])
        this.router.sysctl(`net.${family}.neigh.p${port}.mcast_solicit=0`);
      const [link] = JSON.parse(this.#far.ip(`-j link show v${port}`)) as [{ ifindex: number }];
      this.#wires.push(new WireEnd(this.#far.name, link.ifindex));
    }
  }

  #must(lines: readonly string[], failed: Set<number>): void {
    if (failed.size > 0) throw new Error(`refused: ${[...failed].map((line) => lines[line]).join('; ')}`);
  }

  /** Carries out all of them; those the kernel refuses are part of it. Returns which were carried out. */
  apply(commands: readonly Command[]): boolean[] {
    const done: boolean[] = [];
    for (let from = 0; from < commands.length; ) {
      const tool = toolOf(commands[from]!);
      let to = from;
      while (to < commands.length && toolOf(commands[to]!) === tool) to++;
      const lines = commands.slice(from, to).map((command) => command.slice(tool.length + 1));
      if (tool === 'sysctl') {
        done.push(...lines.map((line) => this.#takes('sysctl', ['-qw', line])));
      } else if (tool === 'nft') {
        done.push(...lines.map((line) => this.#takes('nft', ['-f', '-'], `${line}\n`)));
      } else if (tool === 'ethtool') {
        done.push(...lines.map((line) => this.#takes('ethtool', line.split(' '))));
      } else {
        const failed = this.router.batch(lines, tool);
        done.push(...lines.map((_, line) => !failed.has(line)));
      }
      from = to;
    }
    if (commands.some((command) => command.includes('vxlan'))) this.#outers = this.#readOuters();
    return done;
  }

  #readOuters(): Outer[] {
    const links = JSON.parse(this.router.ip('-j -d link show type vxlan')) as readonly VxlanLink[];
    const defaults = this.router.run('sysctl', ['-n', 'net.ipv4.ip_local_port_range']).trim().split(/\s+/);
    return links
      .filter(({ linkinfo }) => linkinfo?.info_slave_kind === 'bridge')
      .map(({ linkinfo }) => {
        const { id: vni, local, port, port_range } = linkinfo!.info_data;
        const isOwnRange = port_range.low < port_range.high;
        const [low, high] = isOwnRange ? [port_range.low, port_range.high] : defaults.map(Number);
        return { local, port, vni, low: low!, high: high! };
      });
  }

  /** Has the far ends take frames that XDP sends, and send none that it does not take; once, before there is an XDP program. */
  allowXdp(): void {
    for (let port = 0; port < this.#ports; port++) {
      this.#far.run('ethtool', ['-K', `v${port}`, 'gro', 'on']);
      this.#far.ip(`link set v${port} mtu ${XDP_MTU}`);
    }
  }

  #takes(tool: string, args: readonly string[], input?: string): boolean {
    try {
      this.router.run(tool, args, input);
      return true;
    } catch {
      return false;
    }
  }

  /** Sends the packets in order; what left for each, as far as it has left by now. */
  async send(packets: readonly Packet[]): Promise<Seen> {
    this.#first += this.#seen.length;
    this.#seen = packets.map(() => []);
    for (let from = 0; from < packets.length; from += BURST) {
      const to = Math.min(from + BURST, packets.length);
      for (let number = from; number < to; number++)
        this.#wires[packets[number]!.port]!.send(frameOf(packets[number]!, this.#first + number));
      await this.#collect(() => false, QUIET_MS);
    }
    return this.#seen;
  }

  /** Waits for what is late: as many frames for each packet as left the other router. */
  async waitFor(expected: Seen): Promise<void> {
    const isMissing = () => this.#seen.some((frames, index) => frames.length < expected[index]!.length);
    await this.#collect(() => !isMissing(), LATE_MS);
    for (const frames of this.#seen) frames.sort();
  }

  /** Takes in frames until `isDone`, or there was none for `quiet` milliseconds. */
  async #collect(isDone: () => boolean, quiet: number): Promise<void> {
    let until = performance.now() + quiet;
    while (!isDone() && performance.now() < until) {
      if (this.#take()) until = performance.now() + quiet;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  #take(): boolean {
    let any = false;
    for (const [port, wire] of this.#wires.entries()) {
      for (const frame of wire.received()) {
        any = true;
        const number = numberOf(frame);
        if (number !== undefined && !isRedirect(frame))
          this.#seen[number - this.#first]?.push(`p${port}: ${comparable(frame, this.#outers)}`);
      }
    }
    return any;
  }

  close(): void {
    for (const wire of this.#wires.splice(0)) wire[Symbol.dispose]();
    this.router.close();
    this.#far.close();
  }
}

function toolOf(command: Command): string {
  return command.slice(0, command.indexOf(' '));
}
