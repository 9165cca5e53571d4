/** What the demo forwards: two hosts with a router between, in network namespaces of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { EkhoError } from '../errors.ts';
import { inNetns } from '../netlink/syscall.ts';

/** Milliseconds between echo requests. */
const PING_MS = 5;

export const NETWORKS = ['198.51.100', '203.0.113'] as const;

export class Town {
  readonly router = `ekho-demo-${process.pid}-router`;
  readonly hosts = [`ekho-demo-${process.pid}-a`, `ekho-demo-${process.pid}-b`] as const;
  #ping: ChildProcess | undefined;

  /** Host a has 198.51.100.2 behind port pa, host b 203.0.113.2 behind pb. @throws EkhoError when `ip` refuses */
  constructor() {
    try {
      for (const name of [this.router, ...this.hosts]) {
        run('ip', ['netns', 'add', name]);
        run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
      }
      inNetns(this.router, () => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'));
      for (const [index, host] of this.hosts.entries()) {
        const [port, network] = [`p${'ab'[index]}`, NETWORKS[index]];
        const pair = `link add ${port} type veth peer name eth0 netns ${host}`;
        run('ip', ['-n', this.router, ...pair.split(' ')]);
        this.inRouter(`ip addr add ${network}.1/24 dev ${port}`);
        this.inRouter(`ip link set ${port} up`);
        for (const line of [
          `addr add ${network}.2/24 dev eth0`,
          'link set eth0 up',
          `route add default via ${network}.1`,
        ])
          run('ip', ['-n', host, ...line.split(' ')]);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A command with its words in the router's namespace. */
  inRouter(line: string): void {
    run('ip', ['netns', 'exec', this.router, ...line.split(' ')]);
  }

  /** Host a pings host b without end. */
  startTraffic(): void {
    const words = ['-q', '-i', String(PING_MS / 1000), `${NETWORKS[1]}.2`];
    this.#ping = spawn('ip', ['netns', 'exec', this.hosts[0], 'ping', ...words], { stdio: 'ignore' });
    this.#ping.on('error', () => {});
  }

  /** Packets that the router's kernel has forwarded so far (RFC 4293 ipForwDatagrams). */
  forwardedByKernel(): number {
    const text = inNetns(this.router, () => readFileSync('/proc/thread-self/net/snmp', 'utf8'));
    const [names, values] = text
      .split('\n')
      .filter((line) => line.startsWith('Ip:'))
      .map((line) => line.split(' '));
    return Number(values?.[names?.indexOf('ForwDatagrams') ?? -1]);
  }

  close(): void {
    this.#ping?.kill('SIGKILL');
    for (const name of [this.router, ...this.hosts]) {
      spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
    }
  }
}

function run(command: string, words: readonly string[]): void {
  const { error, status, stderr } = spawnSync(command, words, { encoding: 'utf8' });
  if (status === 0) return;
  throw new EkhoError(
    'E_DEMO',
    `\`${command} ${words.join(' ')}\` failed: ${error?.message ?? stderr.trim()}`,
    {
      remedy: 'The demo needs iproute2, root, and a kernel with veth.',
    },
  );
}
