/** BIRD on a router, with a table that a script makes: routes by the hundred thousand, some of which go, come and move with each `turn`. */
import type { ChildProcess } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../support/at-exit.ts';
import type { TestHost } from '../support/host.ts';
import type { Netns } from '../support/netns.ts';
import type { Random } from '../support/random.ts';
import { host4, host6 } from '../support/router.ts';
import type { Probe } from '../support/world.ts';

/** One route of so many is IPv6's. */
const SIX_SHARE = 6;
/** Routes that change in one turn. */
const CHANGES = 1000;
/** BIRD reads its table again this seldom, however often it is told that some of it changed. */
const TURN_MS = 3000;
const HOSTS = 4;
const SAID_MAX = 2000;
/** Share of the routes that may be away just now. */
const LEAVE = 0.1;
const ANNOUNCED_MS = 300_000;

export interface DaemonOptions {
  readonly random: Random;
  /** Routes it announces, IPv4 and IPv6. */
  readonly routes: number;
  /** Ports to the gateways: as many, from this number on. */
  readonly ports: number;
  readonly first?: number;
}

export class Daemon {
  readonly #random: Random;
  readonly #ports: number;
  readonly #first: number;
  readonly #folder = temporaryFolder('ekho-bird-');
  /** Gateway of each route, as a number; 0: there is none. */
  readonly #ways: Readonly<Record<4 | 6, Uint8Array>>;
  #process: ChildProcess | undefined;
  /** The end of what it printed. */
  #said = '';
  #turned = Number.NEGATIVE_INFINITY;

  constructor({ random, routes, ports, first = 0 }: DaemonOptions) {
    this.#random = random;
    this.#ports = ports;
    this.#first = first;
    const four = fourOf(routes);
    this.#ways = { 4: new Uint8Array(four), 6: new Uint8Array(routes - four) };
    for (const ways of Object.values(this.#ways))
      for (let at = 0; at < ways.length; at++) ways[at] = this.#way();
    writeFileSync(
      join(this.#folder, 'bird.conf'),
      [4, 6]
        .map(
          (family) =>
            `protocol kernel { ipv${family} { import none; export all; }; }\nprotocol static { ipv${family};\ninclude "feed${family}";\n}`,
        )
        .concat('router id 10.255.0.1;', 'protocol device {}', '')
        .join('\n'),
    );
    this.#write();
  }

  /** Begins in a namespace; what ran before is ended. */
  start(netns: Netns): void {
    this.stop();
    const path = (name: string) => join(this.#folder, name);
    const child = netns.launch('bird', [
      '-f',
      '-c',
      path('bird.conf'),
      '-s',
      path('bird.ctl'),
      '-P',
      path('bird.pid'),
    ]);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#said = (this.#said + text).slice(-SAID_MAX);
      });
    this.#process = child;
  }

  /** Some routes change, if the last turn was not just now. */
  turn(): void {
    if (performance.now() - this.#turned < TURN_MS) return;
    for (const ways of Object.values(this.#ways))
      for (let left = CHANGES / 2; left > 0; left--)
        ways[this.#random.below(ways.length)] = this.#random.chance(0.2) ? 0 : this.#way();
    this.#write();
    const child = this.#process;
    if (child !== undefined && child.exitCode !== null)
      throw new Error(`BIRD ended: exit code ${child.exitCode}: ${this.#said}`);
    child?.kill('SIGHUP');
    this.#turned = performance.now();
  }

  /** Packets to where it has routes, or had. */
  probes(count: number): Probe[] {
    return Array.from({ length: count }, () => {
      const family = this.#random.chance(0.7) ? 4 : 6;
      const network = networkOf(family, this.#random.below(this.#ways[family].length));
      const destination = family === 4 ? network.replace(/0$/, '7') : `${network}7`;
      return { family, destination, ipproto: 17, sport: 4000, dport: 5000 };
    });
  }

  #way(): number {
    return 1 + this.#random.below(this.#ports * HOSTS);
  }

  #write(): void {
    for (const family of [4, 6] as const) {
      const lines: string[] = [];
      for (const [number, way] of this.#ways[family].entries()) {
        if (way === 0) continue;
        const port = this.#first + ((way - 1) % this.#ports);
        const host = 2 + Math.floor((way - 1) / this.#ports);
        const gateway = family === 4 ? host4(port, host) : host6(port, host);
        lines.push(`route ${networkOf(family, number)}/${family === 4 ? 24 : 64} via ${gateway};`);
      }
      writeFileSync(join(this.#folder, `feed${family}`), lines.join('\n'));
    }
  }

  /** Its routes stay. */
  stop(): void {
    this.#process?.kill('SIGKILL');
    this.#process = undefined;
  }

  close(): void {
    this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Of the routes that a daemon announces, those of IPv4. */
export function fourOf(routes: number): number {
  return routes - Math.floor(routes / SIX_SHARE);
}

/** Resolves once the host has what a daemon announces, if there is one. */
export async function announced(host: TestHost, routes: number | undefined): Promise<void> {
  if (routes === undefined) return;
  await host.until(
    `${routes} routes are announced`,
    async () => {
      const { kinds } = await host.status();
      return kinds.find(({ kind }) => kind === 'route')!.count >= routes * (1 - LEAVE);
    },
    ANNOUNCED_MS,
  );
}

/** Address of a route's network, /24 or /64. */
function networkOf(family: 4 | 6, number: number): string {
  const [high, middle, low] = [number >> 16, (number >> 8) & 255, number & 255];
  if (family === 4) return `${64 + high}.${middle}.${low}.0`;
  return `2001:db8:b${high.toString(16)}${middle.toString(16).padStart(2, '0')}:${low.toString(16)}::`;
}
