/** The part `growth`: what changes, overruns and links that fall cost the host when there are ten and a hundred times as many. */

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
import type { Peer } from './peer.ts';
import { plot, type Series } from './plot.ts';
import { aimsTable, digits, machine, median, type ReportOptions, spread, writePage } from './report.ts';

interface Sizes {
  /** Routes that come, change and go. */
  readonly churn: readonly number[];
  /** Routes that are there when notifications get lost. */
  readonly overrun: readonly number[];
  /** Routes over the link that falls. */
  readonly linkDown: readonly number[];
}

const FULL: Sizes = {
  churn: [2000, 20_000, 200_000],
  overrun: [10_000, 100_000, 1_000_000],
  linkDown: [1000, 10_000, 100_000],
};
const QUICK: Sizes = { churn: [200, 2000], overrun: [5000, 50_000], linkDown: [200, 2000] };
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
  const chosen = [...options.peers].filter(([{ name, follows }]) => follows && NAMES.includes(name));
  const peers = new Map(chosen);
  const hosts = [...peers.keys()].filter(({ countsEvents }) => countsEvents !== true);
  const grow = async (of: readonly number[], who: readonly Peer[], scenario: (size: number) => Scenario) => {
    const grown = new Map<string, (readonly Outcome[])[]>(who.map(({ name }) => [name, []]));
    for (const size of of) {
      options.say(`${number(size)}:`);
      const outcomes = await measureFollowing(who, scenario(size), options);
      for (const [peer, each] of outcomes) grown.get(peer.name)!.push(each);
    }
    return grown;
  };
  const changes = await grow(sizes.churn, [...peers.keys()], (size) => churn(BASE, size, 1));
  const lost = await grow(sizes.overrun, hosts, (size) => overrun(size, UNHEARD));
  const fallen = await grow(sizes.linkDown, hosts, (size) => linkDown(BASE, size));
  const text = [
    machine({ ...options, peers, missing: new Map() }),
    '![CPU time of changes, by how many there are](growth.svg)',
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
    aims(sizes, lost),
  ].join('\n\n');
  console.log(`\n${text}`);
  if (options.isWritten) writePage('growth', text, { growth: picture(sizes.churn, changes) });
}

function number(value: number): string {
  return value.toLocaleString('en');
}

/** A column for each size. The last says by how much the last size's figure is above the first's. */
function growthTable(of: readonly number[], grown: Grown, figure: (outcome: Outcome) => number): string {
  const rows = [...grown].map(([name, sizes]) => {
    const figures = sizes.map((outcomes) => outcomes.filter(isRight).map(figure));
    const [first, last] = [figures[0]!, figures.at(-1)!];
    // What is too short for the clock is 0.
    const by = last.length > 0 && median(first) > 0 ? `${digits(median(last) / median(first))} ×` : '';
    return [name, ...figures.map((values) => (values.length === 0 ? '**not right**' : spread(values))), by];
  });
  const times = `${number(of.at(-1)! / of[0]!)} times as many`;
  return table([['', ...of.map(number), times], ...rows]);
}

function aims(sizes: Sizes, lost: Grown): string {
  const hosts = [...lost.values()].flat(2);
  const last = lost.get(MIRROR)?.at(-1)?.filter(isRight) ?? [];
  return aimsTable([
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
  ]);
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
