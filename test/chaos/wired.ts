/** Two hosts that send all the time, through a router whose XDP data path a host keeps in line with its kernel. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Datapath } from '../support/datapath.ts';
import type { TestHost } from '../support/host.ts';
import type { Random } from '../support/random.ts';
import { address4, address6, Wires } from '../support/wires.ts';
import { type Place, type Usage, until, usageOf } from './fault.ts';

/** Packets sent each way for a check. */
const PACKETS = 5;
const PREFIXES = 4096;

export class WiredSite implements Place {
  readonly random: Random;
  /** Where the data path is pinned. */
  readonly state: string;
  readonly #folder: string;
  readonly #path: Datapath;
  readonly #traffic: { stop(): Promise<{ sent: number; received: number }> };

  private constructor(random: Random, folder: string, state: string, path: Datapath) {
    this.random = random;
    this.state = state;
    this.#folder = folder;
    this.#path = path;
    this.#traffic = path.wires.pingMeanwhile(0, address4(1));
  }

  static async start(random: Random): Promise<WiredSite> {
    const folder = mkdtempSync(join(tmpdir(), 'ekho-chaos-bpf-'));
    execFileSync('mount', ['-t', 'bpf', 'bpf', folder]);
    const state = join(folder, 'path');
    mkdirSync(state);
    try {
      const path = await Datapath.start(new Wires(), { mode: 'generic', state, statisticsInterval: 1 });
      return new WiredSite(random, folder, state, path);
    } catch (error) {
      unmount(folder);
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
    console.log(`of ${sent} packets sent all the while, ${received} were answered`);
    await this.#path.close();
    unmount(this.#folder);
  }

  churn(count = 60): void {
    const lines = Array.from({ length: count }, () => {
      const number = this.random.below(PREFIXES);
      const prefix = `198.${18 + (number >> 8)}.${number & 255}.0/24`;
      if (this.random.chance(0.4)) return `route del ${prefix}`;
      return `route replace ${prefix} via ${address4(this.random.below(2))}`;
    });
    this.wires.router.batch(lines);
  }

  right(within: number): Promise<void> {
    return until(within, () => this.#check());
  }

  /** What the hosts send arrives, and by the data path. */
  async #check(): Promise<void> {
    await this.host.verified();
    for (const [from, to] of [
      [0, address4(1)],
      [1, address4(0)],
      [0, address6(1)],
    ] as const) {
      const entry = `route ${to}/${to.includes(':') ? 128 : 32}`;
      const before = await this.#path.packets(entry);
      const answered = this.wires.ping(from, to, PACKETS);
      if (answered !== PACKETS) throw new Error(`${answered} of ${PACKETS} packets to ${to} were answered`);
      const by = (await this.#path.packets(entry)) - before;
      if (by < PACKETS) throw new Error(`the data path forwarded ${by} of ${PACKETS} packets to ${to}`);
    }
  }

  /** Takes the program off a port, as `bpftool` does. */
  detach(port: string): void {
    const words = ['-j', 'link', 'show', port];
    const [{ ifindex }] = JSON.parse(this.wires.router.run('ip', words)) as [{ ifindex: number }];
    const [layout] = readdirSync(this.state);
    execFileSync('bpftool', ['link', 'detach', 'pinned', join(this.state, layout!, `link-${ifindex}`)]);
  }

  usage(): Usage {
    return usageOf(this.host.pid);
  }
}

function unmount(folder: string): void {
  execFileSync('umount', ['-l', folder]);
  rmSync(folder, { recursive: true, force: true });
}
