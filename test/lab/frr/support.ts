/** Daemons of FRR in a namespace, from Debian's package in the guest's root file system. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { pause } from '../../support/host.ts';
import type { Netns } from '../../support/netns.ts';

const DAEMONS = '/usr/lib/frr';
/** What the packages' own scripts make, which do not run in guests. */
const GROUPS = ['frr', 'frrvty'];
/** For vtysh. Where PAM has no `other`, it refuses everything. */
const PAM = ['auth', 'account', 'password', 'session']
  .map((what) => `${what} required pam_permit.so\n`)
  .join('');
/** Longest a daemon may take to end, in milliseconds. */
const END_LIMIT = 120_000;

export const hasFrr = () => existsSync(`${DAEMONS}/zebra`);

/** One router: its zebra, if it has one, and its bgpd. */
export class FrrRouter {
  readonly #space: Netns;
  readonly #folder: string;
  readonly #pids: number[] = [];

  /** @param options of zebra; undefined for a router that only speaks BGP */
  constructor(space: Netns, zebra: readonly string[] | undefined, bgp: string) {
    this.#space = space;
    this.#folder = `/run/frr/${space.name}`;
    const groups = readFileSync('/etc/group', 'utf8');
    for (const [number, group] of GROUPS.entries())
      if (!groups.includes(`${group}:`)) appendFileSync('/etc/group', `${group}:x:${900 + number}:root\n`);
    for (const service of ['frr', 'other']) writeFileSync(`/etc/pam.d/${service}`, PAM);
    for (const folder of ['/var/lib/frr', this.#folder, `/etc/frr/${space.name}`])
      mkdirSync(folder, { recursive: true });
    writeFileSync(`/etc/frr/${space.name}/vtysh.conf`, '');
    if (zebra !== undefined) this.#start('zebra', zebra, '');
    this.#start('bgpd', zebra === undefined ? ['--no_zebra'] : [], bgp);
  }

  #start(daemon: string, options: readonly string[], configuration: string): void {
    const file = `${this.#folder}/${daemon}.conf`;
    writeFileSync(file, configuration);
    const words = ['--daemon', '-N', this.#space.name, '-u', 'root', '-g', 'frr', '-f', file, '-P', '0'];
    // It keeps what it was started with open, which nobody here waits for.
    const script = `exec "$0" "$@" > ${this.#folder}/${daemon}.log 2>&1`;
    this.#space.run('bash', ['-c', script, `${DAEMONS}/${daemon}`, ...words, ...options]);
    this.#pids.push(Number(readFileSync(`${this.#folder}/${daemon}.pid`, 'utf8')));
  }

  /** What `vtysh` prints. */
  show(...commands: readonly string[]): string {
    const words = commands.flatMap((command) => ['-c', command]);
    return this.#space.run('vtysh', ['-N', this.#space.name, ...words]);
  }

  json<T>(command: string): T {
    return JSON.parse(this.show(`${command} json`)) as T;
  }

  async end(): Promise<void> {
    for (const pid of this.#pids) process.kill(pid, 'SIGTERM');
    const until = Date.now() + END_LIMIT;
    while (this.#pids.some((pid) => existsSync(`/proc/${pid}`))) {
      if (Date.now() > until) throw new Error(`daemons of FRR did not end: ${this.#pids.join(' ')}`);
      await pause(100);
    }
    for (const folder of [this.#folder, `/etc/frr/${this.#space.name}`])
      rmSync(folder, { recursive: true, force: true });
  }
}
