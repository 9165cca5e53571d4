/** The namespace that all peers follow, and the changes made in it. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Netns } from '../../support/netns.ts';
import { Child } from './child.ts';
import type { Kind } from './peer.ts';

/** Routes take them in turn. */
export const GATEWAYS = 8;

/** Of each eighth IPv4 route over `p1`. */
export const SECOND_GATEWAY = '10.1.0.2';

export interface Change {
  readonly action: 'add' | 'replace' | 'delete';
  readonly kind: Kind | 'nexthop';
  readonly first: number;
  readonly count: number;
  /** `p0` unless given: routes and nexthop objects go by its gateways. */
  readonly port?: 'p0' | 'p1';
  /** A nexthop object instead. */
  readonly nexthop?: number;
  /** Changes a second, each in a system call of its own; absent: as fast as the kernel takes them. */
  readonly pace?: number;
  /** Takes the time before each system call. */
  readonly stamps?: string;
}

let program = '';

/** Builds what makes changes. */
export function prepareWriter(folder: string): void {
  program = join(folder, 'write');
  execFileSync('cc', ['-O2', '-o', program, join(import.meta.dirname, 'write.c')], { stdio: 'inherit' });
}

/** Addresses, and neighbours that are known: the far ends answer nobody. */
function routedPort(port: 'p0' | 'p1'): string[] {
  const at = port[1];
  const lines = [`addr add 10.${at}.0.1/16 dev ${port}`, `addr add fd00:${at}::1/64 dev ${port} nodad`];
  for (let gateway = 2; gateway < 2 + GATEWAYS; gateway++) {
    const mac = `lladdr 02:00:00:0${at}:00:0${gateway.toString(16)} dev ${port} nud permanent`;
    lines.push(`neigh add 10.${at}.0.${gateway} ${mac}`, `neigh add fd00:${at}::${gateway} ${mac}`);
  }
  return lines;
}

export class World {
  readonly netns = new Netns();

  /** Two routed ports with eight gateways each, and a bridge with a port. */
  constructor() {
    // Addresses that the kernel makes by itself come seconds later.
    this.netns.sysctl('net.ipv6.conf.default.addr_gen_mode=1', 'net.ipv4.ip_forward=1');
    this.netns.sysctl('net.ipv6.conf.all.forwarding=1');
    // Without multicast: the kernel's neighbours of it come and go.
    const lines: string[] = ['link add br0 type bridge', 'link set br0 up multicast off'];
    for (const port of ['p0', 'p1', 'p2']) {
      lines.push(`link add ${port} type veth peer name far-${port}`);
      lines.push(`link set ${port} up multicast off`, `link set far-${port} up multicast off`);
    }
    lines.push('link set p2 master br0');
    lines.push(...routedPort('p0'), ...routedPort('p1'));
    this.#run(lines);
  }

  /** What a port that went down has lost. */
  restore(port: 'p0' | 'p1'): void {
    this.#run(routedPort(port).map((line) => line.replace(' add ', ' replace ')));
  }

  #run(lines: readonly string[]): void {
    const failed = this.netns.batch(lines);
    if (failed.size > 0) throw new Error(`not made: ${[...failed].map((line) => lines[line]).join('; ')}`);
  }

  /** Makes changes in a process of their own; resolves to how long it took, in milliseconds. */
  async change({ action, kind, first, count, port = 'p0', ...rest }: Change): Promise<number> {
    const gateway = kind === 'route6' ? `fd00:${port[1]}::2` : `10.${port[1]}.0.2`;
    const by = rest.nexthop === undefined ? gateway : `nh:${rest.nexthop}`;
    const device = kind === 'fdb' ? 'p2' : port;
    const words = [action, kind, first, count, device, by, rest.pace ?? 0, rest.stamps ?? '-'];
    const child = new Child(this.netns.name, program, words.map(String));
    const line = await child.line('').catch((error: Error) => {
      throw new Error(`${words.join(' ')}: ${error.message}`);
    });
    await child.ended;
    return Number(line) / 1e6;
  }

  close(): void {
    this.netns.close();
  }
}
