/** BIRD on the router, with a table that a script makes: thousands of routes, some of which go, come and move with each `turn`. */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Netns } from '../support/netns.ts';
import type { Random } from '../support/random.ts';
import { host4, host6 } from '../support/router.ts';

const ROUTES = { 4: 3000, 6: 1000 } as const;
/** Of a hundred routes, how many change in one turn. */
const CHANGES = 3;
const HOSTS = 4;
const SAID_MAX = 2000;

export class Daemon {
  readonly #random: Random;
  readonly #ports: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'ekho-bird-'));
  /** Gateway of each route, as a number; 0: there is none. */
  readonly #ways = { 4: new Uint8Array(ROUTES[4]), 6: new Uint8Array(ROUTES[6]) };
  #process: ChildProcess | undefined;
  /** The end of what it printed. */
  #said = '';

  constructor(random: Random, ports: number) {
    this.#random = random;
    this.#ports = ports;
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

  /** Some routes change. */
  turn(): void {
    for (const ways of Object.values(this.#ways))
      for (let left = Math.ceil((ways.length * CHANGES) / 100); left > 0; left--)
        ways[this.#random.below(ways.length)] = this.#random.chance(0.2) ? 0 : this.#way();
    this.#write();
    const child = this.#process;
    if (child !== undefined && child.exitCode !== null)
      throw new Error(`BIRD ended: exit code ${child.exitCode}: ${this.#said}`);
    child?.kill('SIGHUP');
  }

  #way(): number {
    return 1 + this.#random.below(this.#ports * HOSTS);
  }

  #write(): void {
    for (const family of [4, 6] as const) {
      const lines: string[] = [];
      for (const [number, way] of this.#ways[family].entries()) {
        if (way === 0) continue;
        const [port, host] = [(way - 1) % this.#ports, 2 + Math.floor((way - 1) / this.#ports)];
        const prefix =
          family === 4
            ? `172.${16 + (number >> 8)}.${number & 255}.0/24`
            : `2001:db8:b${(number >> 8).toString(16)}:${(number & 255).toString(16)}::/64`;
        lines.push(`route ${prefix} via ${family === 4 ? host4(port, host) : host6(port, host)};`);
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
