/**
 * A router in a namespace of its own with hosts in theirs, on real wires (veth pairs): what a host sends really arrives, or does not.
 * Port `n` of the router is `p<n>`; host `n` has it as `eth0`.
 */
import { execFileSync } from 'node:child_process';
import { Netns } from './netns.ts';

export interface WireOptions {
  readonly hosts?: number;
  /** Lets the hosts' kernels fill in checksums and keep VLAN tags in the frame, as a real wire has them; default true. */
  readonly plain?: boolean;
  /** Addresses and routes for routing; default true. Without, hosts have no addresses and the router forwards nothing. */
  readonly routed?: boolean;
}

export class Wires {
  readonly router = new Netns();
  readonly hosts: readonly Netns[];

  constructor(options: WireOptions = {}) {
    const { hosts = 2, plain = true, routed = true } = options;
    this.hosts = Array.from({ length: hosts }, () => new Netns());
    try {
      this.#build(plain, routed);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #build(plain: boolean, routed: boolean): void {
    for (const netns of [this.router, ...this.hosts]) {
      netns.sysctl(
        'net.ipv6.conf.default.accept_dad=0',
        'net.ipv6.conf.all.accept_dad=0',
        'net.ipv6.conf.default.router_solicitations=0',
      );
    }
    this.router.sysctl(
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
    );
    this.hosts.forEach((host, number) => {
      // Silence: IPv6 has hosts speak by themselves.
      if (!routed) host.sysctl('net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
      this.router.ip(
        `link add p${number} address ${routerMac(number)} type veth peer name eth0 address ${hostMac(number)} netns ${host.name}`,
      );
      this.router.ip(`link set p${number} up`);
      host.ip('link set eth0 up');
      if (plain) host.run('ethtool', ['-K', 'eth0', 'tx', 'off', 'txvlan', 'off']);
      if (!routed) return;
      this.router.ip(`addr add ${gateway4(number)}/24 dev p${number}`);
      this.router.ip(`addr add ${gateway6(number)}/64 dev p${number} nodad`);
      host.ip(`addr add ${address4(number)}/24 dev eth0`);
      host.ip(`addr add ${address6(number)}/64 dev eth0 nodad`);
      host.ip(`route add default via ${gateway4(number)}`);
      host.ip(`-6 route add default via ${gateway6(number)}`);
      host.ip(`neigh replace ${gateway4(number)} lladdr ${routerMac(number)} dev eth0 nud permanent`);
      host.ip(`neigh replace ${gateway6(number)} lladdr ${routerMac(number)} dev eth0 nud permanent`);
      this.router.ip(
        `neigh replace ${address4(number)} lladdr ${hostMac(number)} dev p${number} nud permanent`,
      );
      this.router.ip(
        `neigh replace ${address6(number)} lladdr ${hostMac(number)} dev p${number} nud permanent`,
      );
    });
  }

  /** Sends `count` echo requests from a host as fast as answers come; how many were answered. */
  ping(from: number, to: string, count = 10, options: readonly string[] = []): number {
    const words = ['-c', String(count), '-i', '0.005', '-W', '1', ...options, to];
    let output: string;
    try {
      output = this.hosts[from]!.run('ping', words);
    } catch (error) {
      output = String((error as { stdout?: unknown }).stdout);
    }
    return Number(/(\d+) received/.exec(output)?.[1] ?? Number.NaN);
  }

  /** Pings all the time until it is stopped: how many were sent, and answered. */
  pingMeanwhile(from: number, to: string): { stop(): Promise<{ sent: number; received: number }> } {
    const child = this.hosts[from]!.launch('ping', ['-i', '0.005', '-q', to]);
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
    return {
      stop: async () => {
        child.kill('SIGINT');
        await ended;
        const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(output) ?? [];
        return { sent: Number(sent), received: Number(received) };
      },
    };
  }

  close(): void {
    for (const netns of [...this.hosts, this.router]) netns.close();
  }
}

export const routerMac = (port: number): string => `02:00:00:00:01:${hex(port)}`;
export const hostMac = (host: number): string => `02:00:00:00:02:${hex(host)}`;
export const gateway4 = (port: number): string => `10.200.${port}.1`;
export const address4 = (host: number): string => `10.200.${host}.2`;
export const gateway6 = (port: number): string => `fd00:200:${port + 1}::1`;
export const address6 = (host: number): string => `fd00:200:${host + 1}::2`;

const hex = (byte: number) => byte.toString(16).padStart(2, '0');

/** Whether a command is there. */
export function has(command: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
