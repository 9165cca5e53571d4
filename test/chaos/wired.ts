/**
 * Two hosts that send all the time, through a router whose XDP data path a host keeps in line with its kernel, while the router's other
 * ports and routes change at random and BIRD announces its table to the same kernel.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { atExit, temporaryFolder } from '../support/at-exit.ts';
import { Datapath } from '../support/datapath.ts';
import type { TestHost } from '../support/host.ts';
import type { Random } from '../support/random.ts';
import { portLines } from '../support/router.ts';
import { address4, address6, Wires } from '../support/wires.ts';
import { World } from '../support/world.ts';
import { compare } from './compare.ts';
import { Control } from './control.ts';
import { announced, Daemon } from './daemon.ts';
import { type Place, type Usage, until, usageOf } from './fault.ts';
import { History } from './history.ts';
import type { Spoils } from './inside.ts';

const HOSTS = 2;
/** Ports beside those of the hosts. */
const PORTS = 3;
/** Packets sent each way for a check. */
const PACKETS = 5;
const PREFIXES = 4096;
/** Of what is sent all the while so much must be answered, whatever is done to the host. */
const ANSWERED = 0.9;

export interface WiredOptions {
  readonly random: Random;
  /** Routes that BIRD announces; absent: no BIRD. */
  readonly routes?: number | undefined;
}

export class WiredSite implements Place {
  readonly random: Random;
  readonly #history = new History();
  /** Where the data path is pinned. */
  readonly state: string;
  readonly #unmount: () => void;
  readonly #path: Datapath;
  readonly #world: World;
  readonly #daemon: Daemon | undefined;
  readonly #control: Control;
  readonly #traffic: { stop(): Promise<{ sent: number; received: number }> };

  private constructor(
    options: WiredOptions,
    state: string,
    unmount: () => void,
    path: Datapath,
    control: Control,
  ) {
    const { random, routes } = options;
    this.random = random;
    this.state = state;
    this.#unmount = unmount;
    this.#path = path;
    this.#control = control;
    // Without rules: what the hosts send is to be forwarded whatever happens on other ports.
    this.#world = new World(random, PORTS, HOSTS, false);
    this.#daemon =
      routes === undefined ? undefined : new Daemon({ random, routes, ports: PORTS, first: HOSTS });
    this.#daemon?.start(path.wires.router);
    this.#traffic = path.wires.pingMeanwhile(0, address4(1));
  }

  static async start(options: WiredOptions): Promise<WiredSite> {
    const folder = temporaryFolder('ekho-chaos-bpf-');
    const unmount = mountBpf(folder);
    const sockets = temporaryFolder('ekho-chaos-');
    const state = join(folder, 'path');
    mkdirSync(state);
    let site: WiredSite;
    try {
      const wires = new Wires({ hosts: HOSTS });
      for (let port = HOSTS; port < HOSTS + PORTS; port++) wires.router.batch(portLines(port));
      const control = new Control(sockets);
      const path = await Datapath.start(wires, {
        mode: 'generic',
        state,
        statisticsInterval: 1,
        ahead: control.ahead,
      });
      site = new WiredSite(options, state, unmount, path, control);
    } catch (error) {
      unmount();
      throw error;
    }
    try {
      await announced(site.host, options.routes);
      return site;
    } catch (error) {
      await site.close().catch(() => {});
      throw error;
    }
  }

  get host(): TestHost {
    return this.#path.host;
  }

  get wires(): Wires {
    return this.#path.wires;
  }

  async close(): Promise<void> {
    const { sent, received } = await this.#traffic.stop();
    await this.#path.close();
    this.#daemon?.close();
    this.#unmount();
    console.log(`of ${sent} packets sent all the while, ${received} were answered`);
    if (!(sent > 0 && received >= sent * ANSWERED))
      throw new Error(`${sent - received} of ${sent} packets were lost`);
  }

  churn(count = 60): void {
    const { router } = this.wires;

    const lines = Array.from({ length: count }, () => {
      const number = this.random.below(PREFIXES);
      const prefix = `198.${18 + (number >> 8)}.${number & 255}.0/24`;
      if (this.random.chance(0.4)) return `route del ${prefix}`;
      return `route replace ${prefix} via ${address4(this.random.below(HOSTS))}`;
    });
    const { commands, settings } = this.#world.changes(count);
    for (const family of [undefined, 4, 6] as const) {
      const own = commands.filter((command) => command.family === family).map(({ line }) => line);
      const failed = router.batch(own, 'ip', family === undefined ? [] : [`-${family}`]);
      this.#history.add(own.filter((_, number) => !failed.has(number)));
    }
    if (settings.length > 0) router.run('sysctl', ['-qew', ...settings]);
    this.#history.add(settings.map((setting) => `sysctl ${setting}`));
    const refused = router.batch(lines);
    this.#history.add(lines.filter((_, number) => !refused.has(number)));
    this.#daemon?.turn();
  }

  right(within: number): Promise<void> {
    return until(within, () => this.#history.told(this.host, this.#check()));
  }

  /** What the hosts send arrives, and by the data path; what others would send fares as the kernel says, or goes to it. */
  async #check(): Promise<void> {
    await this.host.verified();
    for (const [from, to] of [
      [0, address4(1)],
      [1, address4(0)],
      [0, address6(1)],
    ] as const)
      await this.#checkPackets(from, to);
    const probes = [...this.#world.probes(60), ...(this.#daemon?.probes(20) ?? [])];
    await compare(this.wires.router, this.host, probes);
  }

  /** Also what is sent all the while is the data path's: the kernel forwards none of it. */
  async #checkPackets(from: number, to: string): Promise<void> {
    const entry = `route ${to}/${to.includes(':') ? 128 : 32}`;
    const before = await this.#path.packets(entry);
    const { v4, v6 } = this.#path.forwarded();
    const answered = this.wires.ping(from, to, PACKETS);
    if (answered !== PACKETS) throw new Error(`${answered} of ${PACKETS} packets to ${to} were answered`);
    const now = this.#path.forwarded();
    const byKernel = now.v4 - v4 + now.v6 - v6;
    const by = (await this.#path.packets(entry)) - before;
    if (by < PACKETS) throw new Error(`the data path forwarded ${by} of ${PACKETS} packets to ${to}`);
    if (byKernel > 0) throw new Error(`the kernel forwarded ${byKernel} packets itself`);
  }

  /** Takes the program off a port, as `bpftool` does. */
  detach(port: string): void {
    execFileSync('bpftool', ['link', 'detach', 'pinned', this.#pinOf(port)]);
  }

  /** Number of the BPF link that has the program on a port: the kernel gives none twice. */
  linkOf(port: string): number {
    const shown = execFileSync('bpftool', ['-j', 'link', 'show', 'pinned', this.#pinOf(port)]);
    return (JSON.parse(shown.toString()) as { id: number }).id;
  }

  #pinOf(port: string): string {
    const [layout] = readdirSync(this.state);
    return join(this.state, layout!, `link-${this.#link(port)[0].ifindex}`);
  }

  /** Number of the XDP program on a port. */
  programOf(port: string): number | undefined {
    return this.#link(port)[0].xdp?.prog?.id;
  }

  #link(port: string) {
    const words = ['-j', '-d', 'link', 'show', port];
    return JSON.parse(this.wires.router.run('ip', words)) as [
      { ifindex: number; xdp?: { prog?: { id: number } } },
    ];
  }

  /** As Control does. */
  spoil(what: Partial<Spoils>): Promise<Spoils> {
    return this.#control.spoil(what);
  }

  usage(): Usage {
    return usageOf(this.host.pid);
  }
}

/** Returns what takes it away again, with the folder. */
function mountBpf(folder: string): () => void {
  execFileSync('mount', ['-t', 'bpf', 'bpf', folder]);
  const unmount = () => {
    forget();
    execFileSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  };
  const forget = atExit(unmount);
  return unmount;
}
