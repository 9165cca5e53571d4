/** A router to test with: ports p0, p1, … whose far ends are in the same namespace, a network and neighbours on each. */
import { Netns } from './netns.ts';

export class Router extends Netns {
  readonly ports: number;

  /** Port `n` has 10.255.n.1/24 and 2001:db8:fn::1/64, and resolved neighbours .2 to .5 (or ::2 to ::5). */
  constructor(ports = 2, name?: string) {
    super(name);
    this.ports = ports;
    this.sysctl(
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
      'net.ipv6.conf.all.forwarding=1',
      'net.ipv6.conf.default.accept_dad=0',
      'net.ipv6.conf.all.accept_dad=0',
      'net.ipv6.route.max_size=2147483647',
    );
    const lines: string[] = [];
    for (let port = 0; port < ports; port++) {
      lines.push(
        `link add p${port} type veth peer name v${port}`,
        `link set p${port} up`,
        `link set v${port} up`,
        `addr add ${host4(port, 1)}/24 dev p${port}`,
        `addr add ${host6(port, 1)}/64 dev p${port} nodad`,
      );
      for (let number = 2; number <= 5; number++) {
        lines.push(
          `neigh add ${host4(port, number)} lladdr ${macOf(port, number)} dev p${port} nud permanent`,
        );
        lines.push(
          `neigh add ${host6(port, number)} lladdr ${macOf(port, number)} dev p${port} nud permanent`,
        );
      }
    }
    const failed = this.batch(lines);
    if (failed.size > 0) {
      this.close();
      throw new Error(`ip refuses: ${[...failed].map((line) => lines[line]).join('; ')}`);
    }
  }
}

/** Address of host `number` on the network of a port. */
export const host4 = (port: number, number: number): string => `10.255.${port}.${number}`;
export const host6 = (port: number, number: number): string => `2001:db8:f${port}::${number.toString(16)}`;
export const macOf = (port: number, number: number): string =>
  `02:00:00:00:0${port}:${number.toString(16).padStart(2, '0')}`;

/** The `count` routes a storm adds: /24s of 16.0.0.0/4 up, their gateways in turn the neighbours of all ports. */
export function* stormRoutes(count: number, ports: number, verb = 'add'): Generator<string> {
  for (let number = 0; number < count; number++) {
    const prefix = `${16 + Math.floor(number / 65_536)}.${Math.floor(number / 256) % 256}.${number % 256}.0/24`;
    yield `route ${verb} ${prefix} via ${host4(number % ports, 2 + (Math.floor(number / ports) % 4))}`;
  }
}
