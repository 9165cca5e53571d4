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
    const lines = Array.from({ length: ports }, (_, port) => portLines(port)).flat();
    const failed = this.batch(lines);
    if (failed.size > 0) {
      this.close();
      throw new Error(`ip refuses: ${[...failed].map((line) => lines[line]).join('; ')}`);
    }
  }
}

/** A port with its network and neighbours. */
export function portLines(port: number): string[] {
  return [`link add p${port} type veth peer name v${port}`, ...repairLines(port)];
}

/** A port that is there, up and with its network and neighbours whatever it had before. */
export function repairLines(port: number): string[] {
  const neighbours = [2, 3, 4, 5].flatMap((number) =>
    [host4(port, number), host6(port, number)].map(
      (address) => `neigh replace ${address} lladdr ${macOf(port, number)} dev p${port} nud permanent`,
    ),
  );
  return [
    `link set p${port} up`,
    `link set v${port} up`,
    `addr replace ${host4(port, 1)}/24 dev p${port}`,
    `addr replace ${host6(port, 1)}/64 dev p${port} nodad`,
    ...neighbours,
  ];
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
