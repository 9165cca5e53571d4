/** What faults are tried on: a router whose configuration changes all the time, and a host that keeps an ASIC in line with it. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atExit, temporaryFolder } from '../support/at-exit.ts';
import { TestHost } from '../support/host.ts';
import type { Random } from '../support/random.ts';
import { host4, host6, Router, repairLines } from '../support/router.ts';
import { type Command, type Probe, World } from '../support/world.ts';
import { compare } from './compare.ts';
import { Control } from './control.ts';
import { announced, Daemon, fourOf } from './daemon.ts';
import { childrenOf, type Place, plugin, type Usage, until, usageOf } from './fault.ts';
import { History } from './history.ts';
import type { Spoils } from './inside.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const PORTS = 3;
export const PLUGIN = 'softnic';
/** IPv4 routes that the device has room for beyond what is announced. */
const ROOM = 8192;
/** Of the packets that the kernel forwards hardware is to forward this share, or all of the plain ones once rules and links are plain. */
const SHARE = 0.5;
/** As many must be there for a share to mean anything. */
const FORWARDED = 20;
const PLAIN = 32;
/** Size of the file system that the host's files are on. */
const DISK = '48m';
const FILES = 1024;
const RING = 4096;

/** Nexthop objects beside those of World, each with a route to an address of its own. */
const OBJECTS = 8;
const FIRST_OBJECT = 900;
const objectAddress = (number: number) => `198.51.100.${200 + number}`;

export interface SiteOptions {
  readonly random: Random;
  /** Routes that BIRD announces; absent: no BIRD. */
  readonly routes?: number | undefined;
}

export class Site implements Place {
  readonly random: Random;
  router: Router;
  readonly host: TestHost;
  /** A file system of its own with the plugin and its cache. */
  readonly disk = temporaryFolder('ekho-chaos-');
  readonly plugin = join(this.disk, 'plugins', `${PLUGIN}.wasm`);
  readonly cache = join(this.disk, 'cache');
  /** Elsewhere: it is to be had when the disk is full, too. */
  readonly #sockets = temporaryFolder('ekho-chaos-');
  readonly #control = new Control(this.#sockets);
  readonly #world: World;
  readonly #forget: () => void;
  readonly #history = new History();

  /** Absent: without a routing daemon. */
  readonly #daemon: Daemon | undefined;

  private constructor({ random, routes }: SiteOptions) {
    this.random = random;
    this.#world = new World(random, PORTS);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},nr_inodes=${FILES}`, 'ekho-chaos', this.disk]);
    this.#forget = atExit(() => this.#unmount());
    try {
      mkdirSync(join(this.disk, 'plugins'));
      this.copyPlugin();
      this.router = new Router(PORTS);
    } catch (error) {
      this.#unmount();
      throw error;
    }
    this.#daemon = routes === undefined ? undefined : new Daemon({ random, routes, ports: PORTS });
    this.#daemon?.start(this.router);
    this.host = new TestHost({
      netns: this.router.name,
      plugin: PLUGIN,
      isolation: 'process',
      folder: join(this.disk, 'plugins'),
      cache: this.cache,
      keepsState: true,
      statisticsInterval: 1,
      kept: this.disk,
      tables: { lpm4: fourOf(routes ?? 0) + ROOM },
      sections: ['[notifier]', `ring-size = ${RING}`],
      ahead: this.#control.ahead,
    });
  }

  static async start(options: SiteOptions): Promise<Site> {
    const site = new Site(options);
    try {
      await site.host.start();
      await announced(site.host, options.routes);
    } catch (error) {
      await site.close();
      throw error;
    }
    return site;
  }

  async close(): Promise<void> {
    await this.host.close();
    this.#daemon?.close();
    this.router.close();
    this.#unmount();
  }

  #unmount(): void {
    this.#forget();
    execFileSync('umount', ['-l', this.disk]);
    for (const folder of [this.disk, this.#sockets]) rmSync(folder, { recursive: true, force: true });
  }

  /** The file that vendors would drop, and the description beside it. */
  copyPlugin(folder = join(ROOT, 'build/plugins')): void {
    for (const file of readdirSync(folder))
      if (file.startsWith(`${PLUGIN}.`)) cpSync(join(folder, file), join(this.disk, 'plugins', file));
    // Another file than the one that hosts are shipped with, which is transpiled already: a custom section without a name.
    appendFileSync(this.plugin, Buffer.from([0, 1, 0]));
  }

  /** The namespace goes, and what runs in it. */
  removeRouter(): void {
    this.#daemon?.stop();
    this.router.close();
  }

  /** Another namespace of the same name, as the first was in the beginning. */
  remakeRouter(): void {
    this.router = new Router(PORTS, this.router.name);
    this.#daemon?.start(this.router);
  }

  /** As Control does. */
  spoil(what: Partial<Spoils>): Promise<Spoils> {
    return this.#control.spoil(what);
  }

  right(within: number): Promise<void> {
    return until(within, () => this.check());
  }

  /** Random changes of the router, those that its kernel refuses among them. */
  churn(count = 60): void {
    const { commands, settings } = this.#world.changes(count);
    for (let from = 0; from < commands.length; ) {
      const { family } = commands[from]!;
      let to = from;
      while (to < commands.length && commands[to]!.family === family) to++;
      this.#carryOut(commands.slice(from, to), family);
      from = to;
    }
    // Of a link that is away there are none.
    if (settings.length > 0) this.router.run('sysctl', ['-qew', ...settings]);
    this.#history.add(settings.map((setting) => `sysctl ${setting}`));
    this.#carryOut(this.#turnObjects(), undefined);
    this.#daemon?.turn();
  }

  /** Routes over nexthop objects that lead elsewhere each time. */
  #turnObjects(): Command[] {
    return Array.from({ length: OBJECTS }, (_, number) => {
      const port = this.random.below(PORTS);
      const gateway = host4(port, 2 + this.random.below(4));
      return [
        { line: `nexthop replace id ${FIRST_OBJECT + number} via ${gateway} dev p${port}` },
        { line: `route replace ${objectAddress(number)}/32 nhid ${FIRST_OBJECT + number}` },
      ];
    }).flat();
  }

  #objectProbes(): Probe[] {
    return Array.from({ length: OBJECTS }, (_, number) => probeOf(4, objectAddress(number)));
  }

  #carryOut(commands: readonly Command[], family: Command['family']): void {
    const lines = commands.map(({ line }) => line);
    const failed = this.router.batch(lines, 'ip', family === undefined ? [] : [`-${family}`]);
    this.#history.add(lines.filter((_, number) => !failed.has(number)));
  }

  /** Mirror against kernel, plan against device, and what hardware does with sampled packets against what the kernel does. */
  async check(): Promise<void> {
    const { state, reason, sha256 } = plugin(await this.host.status());
    if (state !== 'active') throw new Error(`the plugin is ${state}: ${reason}`);
    // A broken one may look well while nothing changes.
    if (sha256 !== createHash('sha256').update(readFileSync(this.plugin)).digest('hex'))
      throw new Error('the plugin that runs is not the one in the folder');
    await this.#history.told(this.host, this.host.verified());
    const probes = [
      ...this.#world.probes(100),
      ...this.#objectProbes(),
      ...(this.#daemon?.probes(200) ?? []),
    ];
    const { kernel, hardware } = await this.#compare(probes);
    if (kernel >= FORWARDED && hardware >= kernel * SHARE) return;
    this.plain();
    await this.host.settled();
    const all = this.#plainProbes();
    const plain = await this.#compare(all);
    if (plain.kernel < all.length || plain.hardware < all.length)
      throw new Error(
        `of ${all.length} plain packets the kernel forwards ${plain.kernel}, hardware ${plain.hardware}: ${plain.other}`,
      );
  }

  #compare(probes: readonly Probe[]) {
    return this.#history.told(this.host, compare(this.router, this.host, probes));
  }

  /** No rules but those of every kernel, all links as they were in the beginning, and some routes that nothing hides. */
  plain(): void {
    for (const family of ['-4', '-6']) {
      // In the table that is looked at first only the kernel's own routes are plain.
      const lines = ['rule flush', 'rule add pref 32766 lookup 254', 'route flush table 255 proto boot'];
      // Routes over nexthop objects cannot be flushed, but go with them.
      if (family === '-4') lines.unshift('nexthop flush');
      if (family === '-4') lines.push('rule add pref 32767 lookup 253');
      // A gateway that a route leads elsewhere is none, `onlink` or not.
      for (let port = 0; port < PORTS; port++) {
        const network = family === '-4' ? `${host4(port, 0)}/24` : `${host6(port, 0)}/64`;
        lines.push(`route flush table 254 root ${network} proto boot`);
      }
      this.router.batch(lines, 'ip', [family]);
    }
    const ports = Array.from({ length: PORTS }, (_, port) => port);
    const settings = ports.flatMap((port) => [
      `net.ipv4.conf.p${port}.rp_filter=0`,
      `net.ipv4.conf.p${port}.forwarding=1`,
      `net.ipv6.conf.p${port}.forwarding=1`,
      `net.ipv4.conf.p${port}.ignore_routes_with_linkdown=0`,
    ]);
    settings.push('net.ipv6.conf.all.ignore_routes_with_linkdown=0');
    this.router.run('sysctl', ['-qew', ...settings]);
    const routes = this.#plainProbes().map(({ family, destination }, number) => {
      const port = number % PORTS;
      return family === 4
        ? `route replace ${destination}/32 via ${host4(port, 2)} dev p${port} onlink`
        : `route replace ${destination}/128 via ${host6(port, 2)} dev p${port} onlink`;
    });
    const lines = [...ports.flatMap(repairLines), ...routes];
    const refused = [...this.router.batch(lines)].map((line) => lines[line]);
    if (refused.length > 0) throw new Error(`ip refuses: ${refused.join('; ')}`);
  }

  #plainProbes(): Probe[] {
    return Array.from({ length: PLAIN }, (_, number) => {
      const family = number % 2 === 0 ? 4 : 6;
      return probeOf(family, family === 4 ? `198.51.100.${number}` : `2001:db8:c::${number.toString(16)}`);
    });
  }

  usage(): Usage {
    return usageOf(this.host.pid);
  }

  /** Processes that the host started. */
  children(): number[] {
    return childrenOf(this.host.pid);
  }
}

function probeOf(family: Probe['family'], destination: string): Probe {
  return { family, destination, ipproto: 17, sport: 4000, dport: 5000 };
}
