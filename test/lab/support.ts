/** A namespace of a guest and a host on it, in the tests' own process: starting another one takes long under emulation. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { LookupAnswer, LookupQuery } from '../../host/api/schemas.ts';
import { parseConfig } from '../../host/config/config.ts';
import { Host } from '../../host/host.ts';
import type { Json } from '../../host/iproute2/context.ts';
import type { Kind } from '../../host/mirror/types.ts';
import { differences, parseJson } from '../netns/iproute2-support.ts';
import { Netns } from '../support/netns.ts';
import { VARIANTS_FOLDER, type Variant } from '../support/variants.ts';
import { PACE } from './pace.ts';

/** Longest a host may take to get everything into hardware, in milliseconds. */
const SETTLE_LIMIT = 240_000 * PACE;

/** Timers and counters that move between the two readings. */
const MOVING = new Set([
  'ageing_timer',
  'expires',
  'expires_time',
  'first_used',
  'forward_delay_timer',
  'gc_timer',
  'hello_timer',
  'hold_timer',
  'idle_time',
  'installed',
  'last_used',
  'message_age_timer',
  'preferred_life_time',
  'tcn_timer',
  'timer',
  'topology_change_timer',
  'unbalanced_time',
  'used',
  'valid_life_time',
]);

export type LabPlugin = 'softnic' | 'xdp' | Variant;

// Counters per CPU are made one by one, which takes long under emulation.
const XDP_TABLES = {
  lpm4: 1000,
  lpm6: 1000,
  nexthop: 500,
  fdb: 500,
  flow: 500,
  tunnel: 16,
  remote: 100,
  mdb: 50,
};

export interface HostOptions {
  readonly netns: string;
  readonly ports: readonly string[];
  /** On the simulated ASIC, or with `xdp` on the data path. */
  readonly plugin: LabPlugin;
  /** For what it keeps. */
  readonly folder: string;
  /** Gets what it says. */
  readonly said: string[];
  /** Further lines of its configuration. */
  readonly more?: readonly string[];
  /** Rows of the device's tables; default what is usual, and less of the data path's. */
  readonly tables?: Readonly<Record<string, number>>;
}

/** Starts a host whose device has the links that `ports` match, and waits until all is in hardware. The caller stops it. */
export async function startHost({
  netns,
  ports,
  plugin,
  folder,
  said,
  more = [],
  tables = {},
}: HostOptions): Promise<Host> {
  const sizes = Object.entries({ ...(plugin === 'xdp' && XDP_TABLES), ...tables });
  const text = [
    `mirror.netns = "${netns}"`,
    `plugin.${plugin} = { device = "device0", isolation = "worker", ports = ${JSON.stringify(ports)} }`,
    `device.device0.kind = "${plugin === 'xdp' ? 'tables' : 'asic'}"`,
    ...(plugin === 'xdp' || plugin === 'softnic'
      ? []
      : [`plugins.folder = ${JSON.stringify(VARIANTS_FOLDER)}`]),
    ...sizes.map(([name, rows]) => `device.device0.tables.${name} = ${rows}`),
    ...more,
  ].join('\n');
  const host = new Host(parseConfig(text, join(folder, 'ekho.toml')), (line) => said.push(line));
  await settled(host).catch((error) => {
    throw new Error([...said, (error as Error).message].join('\n'), { cause: error });
  });
  const { plugins } = host.status();
  expect(
    plugins.find(({ name }) => name === plugin),
    said.join('\n'),
  ).toMatchObject({ state: 'active' });
  return host;
}

/** Resolves once what was done so far is in hardware. */
export async function settled(host: Host): Promise<void> {
  await host.wait(AbortSignal.timeout(SETTLE_LIMIT));
}

export class LabSpace extends Netns {
  readonly #folder = mkdtempSync(join(tmpdir(), 'ekho-lab-'));
  #host: Host | undefined;
  /** What the host said. */
  readonly said: string[] = [];

  get host(): Host {
    return this.#host!;
  }

  /** Runs a shell script in one process. The first command that fails ends it: throws with the command and what it said. */
  script(text: string): void {
    const { status, stderr } = spawnSync('ip', ['netns', 'exec', this.name, 'bash', '-eux'], {
      input: text,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(stderr.slice(stderr.lastIndexOf('\n+ ') + 1));
  }

  /** Starts a host on it: `startHost`. */
  async start(
    ports: readonly string[],
    plugin: LabPlugin = 'softnic',
    more: readonly string[] = [],
    tables: Readonly<Record<string, number>> = {},
  ): Promise<void> {
    const options = { ports, plugin, folder: this.#folder, said: this.said, more, tables };
    this.#host = await startHost({ netns: this.name, ...options });
  }

  /** Ends the host; what hardware holds stays as it does with its device. */
  async stop(): Promise<void> {
    await this.#host?.stop();
    this.#host = undefined;
  }

  /** Resolves once what was done so far is in hardware. */
  async settled(): Promise<void> {
    await settled(this.host);
  }

  /** Fails unless mirror and kernel, plan and hardware are equal. */
  async verified(): Promise<void> {
    await this.settled();
    const { differences } = await this.host.verify();
    expect(differences).toEqual([]);
  }

  async rows(kind: Kind, ...words: string[]): Promise<Json[]> {
    return [...(await this.host.rows(kind, words))];
  }

  /** What `ip -j …`, `bridge -j …` or `tc -j …` prints. */
  json(command: string): Json[] {
    const [program, ...words] = command.split(' ');
    const text = this.run(program!, words).trim();
    return text === '' ? [] : (parseJson(text) as Json[]);
  }

  /**
   * Fails unless the host's rows of a kind and those iproute2 prints are equal in every field, but for fields that only
   * one of them has. At least `least` rows are compared; `isOurs` chooses theirs.
   */
  async compare(
    command: string,
    kind: Kind,
    least: number,
    words: readonly string[] = [],
    isOurs: (row: Json) => boolean = () => true,
  ): Promise<void> {
    const compared = async (): Promise<string[]> => {
      const theirs = this.json(command).filter(isOurs);
      if (theirs.length < least) return [`${theirs.length} rows of at least ${least}`];
      const ours: unknown = JSON.parse(JSON.stringify(await this.rows(kind, ...words)));
      const found = differences(theirs, ours, MOVING).filter(
        (line) => !line.endsWith(', ours has none') && !line.includes(': order '),
      );
      return found.slice(0, 20);
    };
    // The kernel goes on between the two: bridges learn, neighbours age.
    await expect.poll(compared, { interval: 500, message: command }).toEqual([]);
  }

  lookup(query: LookupQuery): LookupAnswer {
    return this.host.lookup(query)[0]!;
  }

  async end(): Promise<void> {
    await this.#host?.stop();
    this.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
