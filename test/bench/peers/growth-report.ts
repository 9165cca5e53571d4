/** The part `growth`: what starts, changes, overruns and links that fall cost the host when there are ten and a hundred times as many. */

import { table } from '../table.ts';
import {
  churn,
  isRight,
  linkDown,
  measureFollowing,
  type Outcome,
  overrun,
  type Scenario,
} from './follow.ts';
import { complete, measureLoads, type Start } from './load.ts';
import type { Kind, Peer } from './peer.ts';
import { plot, type Series } from './plot.ts';
import {
  type Aim,
  aimsTable,
  digits,
  machine,
  median,
  type ReportOptions,
  spread,
  writePage,
} from './report.ts';

interface Sizes {
  /** Objects that are there at the start: of routes the part `load` has it. */
  readonly load: Readonly<Record<Exclude<Kind, 'route4'>, readonly number[]>>;
  /** Routes that come, change and go. */
  readonly churn: readonly number[];
  /** Routes that are there when notifications get lost. */
  readonly overrun: readonly number[];
  /** Routes over the link that falls. */
  readonly linkDown: readonly number[];
}

const FULL: Sizes = {
  load: {
    route6: [2000, 20_000, 200_000],
    neighbour: [1000, 10_000, 100_000],
    fdb: [1000, 10_000, 100_000],
    link: [100, 1000, 10_000],
  },
  churn: [2000, 20_000, 200_000],
  overrun: [10_000, 100_000, 1_000_000],
  linkDown: [1000, 10_000, 100_000],
};
const QUICK: Sizes = {
  load: { route6: [200, 2000], neighbour: [100, 1000], fdb: [100, 1000], link: [20, 200] },
  churn: [200, 2000],
  overrun: [5000, 50_000],
  linkDown: [200, 2000],
};
const TITLES = { route6: 'IPv6 routes', neighbour: 'Neighbours', fdb: 'Bridge entries', link: 'Links' };
/** Routes beside those that change. */
const BASE = 10_000;
/** Routes deleted, and added but for one, while the host stands still. */
const UNHEARD = 5000;
const NAMES = ['C loop', 'EKHO, mirror', 'EKHO, softnic'];
const MIRROR = 'EKHO, mirror';
const RECOVERY_MAX = 1.5;

/** Of one size after the other. */
type Grown = ReadonlyMap<string, readonly (readonly Outcome[])[]>;

export async function reportGrowth(options: ReportOptions): Promise<void> {
  const sizes = options.isQuick ? QUICK : FULL;
  const chosen = [...options.peers].filter(([{ name }]) => NAMES.includes(name));
  const peers = new Map(chosen);
  const following = [...peers.keys()].filter(({ follows }) => follows);
  const hosts = following.filter(({ countsEvents }) => countsEvents !== true);
  const grow = async (of: readonly number[], who: readonly Peer[], scenario: (size: number) => Scenario) => {
    const grown = new Map<string, (readonly Outcome[])[]>(who.map(({ name }) => [name, []]));
    for (const size of of) {
      options.say(`${number(size)}:`);
      const outcomes = await measureFollowing(who, scenario(size), options);
      for (const [peer, each] of outcomes) grown.get(peer.name)!.push(each);
    }
    return grown;
  };
  const starts: string[] = [];
  const memory: string[] = [];
  for (const kind of Object.keys(sizes.load) as (keyof Sizes['load'])[]) {
    const tables = await startTables(kind, sizes.load[kind], [...peers.keys()], options);
    starts.push(`${TITLES[kind]}:`, tables.seconds);
    memory.push(`${TITLES[kind]}:`, tables.memory);
  }
  const changes = await grow(sizes.churn, following, (size) => churn(BASE, size, 1));
  const lost = await grow(sizes.overrun, hosts, (size) => overrun(size, UNHEARD));
  const fallen = await grow(sizes.linkDown, hosts, (size) => linkDown(BASE, size));
  const text = [
    machine({ ...options, peers, missing: new Map() }),
    '![CPU time of changes, by how many there are](growth.svg)',
    '### Starts\n\nSeconds from the start of a process until it has all that the kernel has, less those of a start with nothing there.',
    ...starts,
    '### Memory\n\nResident MiB, less those of a start with nothing there. The C loop keeps nothing.',
    ...memory,
    `### Changes\n\nCPU seconds of 100,000 changes, when so many routes are added, replaced and deleted at the kernel’s full speed beside ${number(BASE)} that stay.`,
    growthTable(sizes.churn, changes, ({ cpu }) => cpu),
    'Seconds from the last of them until it was right:',
    growthTable(sizes.churn, changes, ({ behind }) => behind),
    `### Overruns\n\nSeconds until it was right, with so many routes there. Receive buffers have 90 kB; while the host stands still, ${number(UNHEARD)} of the routes are deleted and as many added but for one.`,
    growthTable(sizes.overrun, lost, ({ behind }) => behind),
    'Of what reading the kernel took it at its start:',
    growthTable(sizes.overrun, lost, ({ behind, reading }) => behind / reading!),
    '### Links that fall\n\nSeconds from `ip link set down` until it was right, with so many IPv4 routes over the link.',
    growthTable(sizes.linkDown, fallen, ({ behind }) => behind),
    aimsTable(aimsOf(sizes, lost), options),
  ].join('\n\n');
  console.log(`\n${text}`);
  if (options.isWritten) writePage('growth', text, { growth: picture(sizes.churn, changes) });
}

async function startTables(
  kind: Kind,
  sizes: readonly number[],
  peers: readonly Peer[],
  options: ReportOptions,
): Promise<{ readonly seconds: string; readonly memory: string }> {
  const able = peers.filter(({ kinds, countsEvents }) => kinds.includes(kind) && countsEvents !== true);
  const [empty, ...filled] = await measureLoads(able, kind, [0, ...sizes], options);
  const tableOf = (who: readonly Peer[], figure: (start: Start) => number) =>
    table([
      heads(sizes),
      ...who.map((peer) => {
        const least = median(complete(empty!.starts.get(peer)).map(figure));
        const figures = filled.map(({ starts }) =>
          complete(starts.get(peer)).map((start) => Math.max(0, figure(start) - least)),
        );
        return row(peer.name, figures);
      }),
    ]);
  const hosts = able.filter(({ name }) => name !== NAMES[0]);
  return {
    seconds: tableOf(able, ({ seconds }) => seconds),
    memory: tableOf(hosts, ({ resident }) => resident / 2 ** 20),
  };
}

function number(value: number): string {
  return value.toLocaleString('en');
}

/** The last column says by how much the last size's figure is above the first's. */
function row(name: string, figures: readonly (readonly number[])[]): string[] {
  const [first, last] = [figures[0]!, figures.at(-1)!];
  // What is too short for the clock is 0.
  const by = last.length > 0 && median(first) > 0 ? `${digits(median(last) / median(first))} ×` : '';
  return [name, ...figures.map((values) => (values.length === 0 ? '**not right**' : spread(values))), by];
}

function heads(sizes: readonly number[]): string[] {
  return ['', ...sizes.map(number), `${number(sizes.at(-1)! / sizes[0]!)} times as many`];
}

/** A column for each size. */
function growthTable(of: readonly number[], grown: Grown, figure: (outcome: Outcome) => number): string {
  const rows = [...grown].map(([name, sizes]) =>
    row(
      name,
      sizes.map((outcomes) => outcomes.filter(isRight).map(figure)),
    ),
  );
  return table([heads(of), ...rows]);
}

function aimsOf(sizes: Sizes, lost: Grown): Aim[] {
  const hosts = [...lost.values()].flat(2);
  const last = lost.get(MIRROR)?.at(-1)?.filter(isRight) ?? [];
  return [
    {
      what: 'rounds in which the host was wrong after an overrun',
      measured: hosts.filter((outcome) => !isRight(outcome)).length,
      limit: 0,
      unit: '',
    },
    ...(last.length === 0
      ? []
      : [
          {
            what: `the mirror’s recovery with ${number(sizes.overrun.at(-1)!)} routes, of reading them at its start`,
            measured: median(last.map(({ behind, reading }) => behind / reading!)),
            limit: RECOVERY_MAX,
            unit: ' ×',
          },
        ]),
  ];
}

function picture(of: readonly number[], grown: Grown): string {
  const series: Series[] = [...grown].map(([name, sizes]) => ({
    name,
    points: sizes.flatMap((outcomes, at) => {
      const known = outcomes.map(({ cpu }) => cpu).filter((value) => value > 0);
      if (known.length === 0) return [];
      return [{ x: of[at]!, y: median(known), low: Math.min(...known), high: Math.max(...known) }];
    }),
  }));
  return plot({
    title: 'CPU time of 100,000 changes',
    x: 'routes that come, change and go',
    y: 'seconds',
    series: series.filter(({ points }) => points.length > 0),
  });
}
