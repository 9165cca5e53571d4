/**
 * `npm run bench -- footprint [--runs N] [--idle SECONDS] [--isolation worker|process] [--root FOLDER] [--write]`: what the service takes of
 * a small machine: time from its start to in sync with 10,000 objects and to all of them in hardware, memory and CPU time once it is
 * idle, with two plugins, as it is packaged (or from the tree in FOLDER). Needs root. `--write` puts the table, and which aims are met, into
 * README.md.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Status } from '../../host/api/schemas.ts';
import { Client } from '../../host/cli/client.ts';
import { ROOT } from '../../host/config/config.ts';
import { VERSION } from '../../host/version.ts';
import { writeRuntime } from '../../packaging/runtime.ts';
import { OWN_ARCH } from '../lab/machine.ts';
import { manyRoutes } from '../support/many-routes.ts';
import { Netns } from '../support/netns.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    idle: { type: 'string', default: '60' },
    isolation: { type: 'string' },
    root: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const README = join(ROOT, 'README.md');
const ROUTES = 9000;
const NEIGHBOURS = 1000;
/** What the service should take. */
const AIMS = { start_s: 3, resident_mb: 150, idle_percent: 0.5 };
const PLUGINS = new Set(['softnic', 'xdp']);
/** After the start, until what only a start needs is given back. */
const QUIET_MS = 15_000;
const START_MAX_MS = 120_000;
/** CLOCKS_PER_SEC of /proc, in Hz. */
const TICKS = 100;
const ISOLATIONS = values.isolation === undefined ? ['worker', 'process'] : [values.isolation];

interface Run {
  /** Seconds from exec to "mirror in sync", and to all that plugins can hold being in hardware. */
  readonly synced: number;
  readonly settled: number;
  /** CPU time of all processes until then. */
  readonly cpu: number;
}

interface Memory {
  readonly resident: number;
  readonly proportional: number;
  readonly anonymous: number;
}

/** The service and its configuration, in the way a package installs it. */
class Service {
  readonly #child: ChildProcess;
  readonly #client: Client;
  readonly #began = performance.now();
  readonly #synced: Promise<number>;

  constructor(root: string, folder: string) {
    const socket = join(folder, 'ekho.sock');
    this.#client = new Client(socket);
    this.#child = spawn(
      join(root, 'node_modules/node/bin/node'),
      [join(root, 'host/cli/ekho.mjs'), 'run', '--config', join(folder, 'ekho.toml'), '--socket', socket],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: join(folder, 'compiled') },
        cwd: '/',
      },
    );
    this.#synced = new Promise((resolve, reject) => {
      let text = '';
      const timer = setTimeout(() => reject(new Error(`not in sync:\n${text}`)), START_MAX_MS);
      this.#child.on('exit', () => reject(new Error(`the service ended:\n${text}`)));
      this.#child.stdout!.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (!text.includes('mirror in sync')) return;
        clearTimeout(timer);
        resolve((performance.now() - this.#began) / 1000);
      });
    });
  }

  async started(): Promise<Run> {
    const synced = await this.#synced;
    await this.#client.get(`/api/v1/wait?timeout=${START_MAX_MS / 1000}`);
    const settled = (performance.now() - this.#began) / 1000;
    return { synced, settled, cpu: this.cpuSeconds() };
  }

  status(): Promise<Status> {
    return this.#client.get<Status>('/api/v1/status');
  }

  /** Its own and those of plugins. */
  #processes(): number[] {
    const own = this.#child.pid!;
    const children = readFileSync(`/proc/${own}/task/${own}/children`, 'utf8');
    return [own, ...children.split(' ').filter(Boolean).map(Number)];
  }

  /** Of all its processes, those that ended included. */
  cpuSeconds(): number {
    let ticks = 0;
    for (const [at, pid] of this.#processes().entries()) {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const fields = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      // proc(5): utime and stime are the fields 14 and 15, those of children that were waited for 16 and 17.
      ticks += fields[11]! + fields[12]! + (at === 0 ? fields[13]! + fields[14]! : 0);
    }
    return ticks / TICKS;
  }

  /** In bytes. */
  memory(): Memory {
    const sum = { resident: 0, proportional: 0, anonymous: 0 };
    for (const pid of this.#processes()) {
      const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)![1]) * 1024;
      sum.resident += field('Rss');
      sum.proportional += field('Pss');
      sum.anonymous += field('Anonymous');
    }
    return sum;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await ended;
  }
}

/** Two ports for each plugin, and what a router of a site has. */
async function buildWorld(): Promise<Netns> {
  const netns = new Netns();
  const lines: string[] = [];
  for (const port of [0, 1, 2, 3]) {
    lines.push(`link add p${port} type veth peer name peer${port}`);
    lines.push(`link set p${port} up`, `link set peer${port} up`, `addr add 10.${port}.0.1/16 dev p${port}`);
  }
  for (let at = 0; at < NEIGHBOURS; at++) {
    const [high, low] = [(at >> 8) & 255, at & 255];
    const mac = `02:00:00:00:${high.toString(16)}:${low.toString(16)}`;
    lines.push(`neigh add 10.${at % 4}.${high + 1}.${low} lladdr ${mac} dev p${at % 4} nud permanent`);
  }
  lines.push('neigh add 10.0.0.2 lladdr 02:00:00:00:ff:ff dev p0 nud permanent');
  const failed = netns.batch(lines);
  if (failed.size > 0) throw new Error(`not made: ${[...failed].map((line) => lines[line]).join('; ')}`);
  await manyRoutes(netns.name, ROUTES, '10.0.0.2');
  return netns;
}

function configuration(netns: string, folder: string, root: string, isolation: string): string {
  return `[mirror]
netns = "${netns}"
[api]
listen = "off"
[log]
format = "text"
[plugins]
folder = "${join(root, 'build/plugins')}"
cache = "${join(folder, 'cache')}"
[plugin.softnic]
device = "asic0"
ports = ["p0", "p1"]
isolation = "${isolation}"
[plugin.xdp]
device = "xdp0"
ports = ["p2", "p3"]
isolation = "${isolation}"
[device.asic0]
kind = "asic"
[device.xdp0]
kind = "tables"
mode = "generic"
`;
}

interface Result {
  readonly runs: readonly Run[];
  readonly memory: Memory;
  /** Of one core. */
  readonly idlePercent: number;
  readonly objects: number;
}

async function measure(netns: string, root: string, isolation: string): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-footprint-'));
  writeFileSync(join(folder, 'ekho.toml'), configuration(netns, folder, root, isolation));
  const runs: Run[] = [];
  try {
    for (let left = Number(values.runs); ; left--) {
      const service = new Service(root, folder);
      try {
        const run = await service.started();
        console.log(
          `${isolation}: in sync after ${run.synced.toFixed(2)} s, in hardware after ${run.settled.toFixed(2)} s, ${run.cpu.toFixed(2)} s CPU time`,
        );
        runs.push(run);
        if (left > 1) continue;
        return { runs, ...(await idle(service, isolation)) };
      } finally {
        await service.stop();
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function idle(service: Service, isolation: string): Promise<Omit<Result, 'runs'>> {
  const { kinds, plugins } = await service.status();
  const lame = plugins.filter(({ name, state }) => state !== 'active' && PLUGINS.has(name));
  if (lame.length > 0)
    throw new Error(`not active: ${lame.map(({ name, reason }) => `${name} (${reason})`)}`);
  await sleep(QUIET_MS);
  const before = service.cpuSeconds();
  const began = performance.now();
  await sleep(Number(values.idle) * 1000);
  const idlePercent = ((service.cpuSeconds() - before) / (performance.now() - began)) * 100_000;
  const memory = service.memory();
  const [resident, proportional, anonymous] = [memory.resident, memory.proportional, memory.anonymous].map(
    megabytes,
  );
  console.log(
    `${isolation}: resident ${resident} MB (proportional ${proportional}, anonymous ${anonymous}), idle ${idlePercent.toFixed(2)} % of a core`,
  );
  return { memory, idlePercent, objects: kinds.reduce((sum, { count }) => sum + count, 0) };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

/** Which aims were met, in a sentence. */
function verdict({ runs, memory, idlePercent }: Result, isolation: string): string {
  const met = {
    'the start': median(runs.map(({ synced }) => synced)) <= AIMS.start_s,
    memory: memory.resident / 1e6 <= AIMS.resident_mb,
    'idle CPU time': idlePercent <= AIMS.idle_percent,
  };
  const names = (wanted: boolean) =>
    Object.entries(met)
      .flatMap(([name, is]) => (is === wanted ? [name] : []))
      .join(' and ');
  const how = `With plugins as ${isolation === 'worker' ? 'threads' : 'processes'}`;
  if (names(false) === '') return `${how}, all aims were met in this run.`;
  if (names(true) === '') return `${how}, none of the aims was met in this run.`;
  return `${how}, the aims for ${names(true)} were met in this run, and not that for ${names(false)}.`;
}

function page(results: ReadonlyMap<string, Result>): string {
  const all = [...results.values()];
  const row = (name: string, aim: string, value: (result: Result) => string) =>
    `| ${[name, aim, ...all.map(value)].join(' | ')} |`;
  const objects = Math.max(...all.map((result) => result.objects)).toLocaleString('en');
  return [
    `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}, load average ${loadavg()[0]!.toFixed(1)} at the end, Linux ${release().split('-')[0]}, Node ${process.versions.node}, EKHO ${VERSION}; ${objects} objects; medians of ${values.runs} starts, ${values.idle} s idle:`,
    '',
    `| | aim | ${[...results.keys()].map((isolation) => `plugins as ${isolation === 'worker' ? 'threads' : 'processes'}`).join(' | ')} |`,
    `|---|--:|${all.map(() => '--:').join('|')}|`,
    row(
      'start to in sync',
      `≤ ${AIMS.start_s} s`,
      ({ runs }) => `${median(runs.map(({ synced }) => synced)).toFixed(2)} s`,
    ),
    row(
      'start to all in hardware',
      '',
      ({ runs }) => `${median(runs.map(({ settled }) => settled)).toFixed(2)} s`,
    ),
    row('CPU time of the start', '', ({ runs }) => `${median(runs.map(({ cpu }) => cpu)).toFixed(2)} s`),
    row('resident memory', `≤ ${AIMS.resident_mb} MB`, ({ memory }) => `${megabytes(memory.resident)} MB`),
    row('of it proportional', '', ({ memory }) => `${megabytes(memory.proportional)} MB`),
    row('of it anonymous', '', ({ memory }) => `${megabytes(memory.anonymous)} MB`),
    row(
      'CPU time when idle',
      `≤ ${AIMS.idle_percent} % of a core`,
      ({ idlePercent }) => `${idlePercent.toFixed(2)} %`,
    ),
    '',
    ...[...results].map(([isolation, result]) => verdict(result, isolation)),
  ].join('\n');
}

function write(text: string): void {
  const before = readFileSync(README, 'utf8');
  const after = before.replace(
    /(<!-- footprint -->\n).*(<!-- \/footprint -->)/s,
    (_, begin, end) => `${begin}${text}\n${end}`,
  );
  if (!after.includes(text)) throw new Error(`${README} has no marks of the footprint`);
  writeFileSync(README, after);
}

const made = mkdtempSync(join(tmpdir(), 'ekho-root-'));
const results = new Map<string, Result>();
try {
  let root = values.root;
  if (root === undefined) {
    root = join(made, 'ekho');
    mkdirSync(root);
    await writeRuntime({ arch: OWN_ARCH, version: VERSION, folder: root });
  }
  const world = await buildWorld();
  try {
    for (const isolation of ISOLATIONS) results.set(isolation, await measure(world.name, root, isolation));
  } finally {
    world.close();
  }
} finally {
  rmSync(made, { recursive: true, force: true });
}
const text = page(results);
console.log(`\n${text}`);
if (values.write) write(text);
