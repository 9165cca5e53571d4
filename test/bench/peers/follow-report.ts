/** The part `follow`: who keeps up with a kernel that changes, what that costs, and who is right after an overrun and a link that fell. */

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
import { type Aim, aimsTable, machine, median, type ReportOptions, spread, writePage } from './report.ts';

interface Sizes {
  /** Routes that stay, and those that come and go. */
  readonly churnBase: number;
  readonly churn: number;
  readonly overrunBase: number;
  readonly overrun: number;
  readonly linkDown: number;
}

const FULL: Sizes = {
  churnBase: 10_000,
  churn: 20_000,
  overrunBase: 200_000,
  overrun: 20_000,
  linkDown: 100_000,
};
const QUICK: Sizes = { churnBase: 1000, churn: 2000, overrunBase: 5000, overrun: 2000, linkDown: 2000 };
/** Peers by name that aims are about. */
const [MIRROR, ZEBRA] = ['EKHO, mirror', 'FRR zebra'];
/** Longest that a peer gets for being right; BIRD looks every 60 s for what it was not told. */
const LIMIT_MS = 65_000;

type Outcomes = ReadonlyMap<Peer, readonly Outcome[]>;

export async function reportFollowing(options: ReportOptions): Promise<void> {
  const sizes = options.isQuick ? QUICK : FULL;
  const peers = [...options.peers.keys()].filter(({ follows, isVariant }) => follows && isVariant !== true);
  const limits = { ...options, limit_ms: Math.min(LIMIT_MS, options.limit_ms) };
  const run = (scenario: Scenario) => measureFollowing(peers, scenario, limits);
  const churns = [1, 2].map((writers) => churn(sizes.churnBase, sizes.churn, writers));
  const [one, two] = [await run(churns[0]!), await run(churns[1]!)];
  const over = await run(overrun(sizes.overrunBase, sizes.overrun));
  const down = await run(linkDown(sizes.churnBase, sizes.linkDown));
  const number = (value: number) => value.toLocaleString('en');
  const text = [
    machine(options),
    `Right is who has what it should within ${limits.limit_ms / 1000} s.`,
    '![CPU time of changes](follow.svg)',
    `### Changes at the kernel’s full speed\n\n${number(sizes.churn)} routes are added, replaced and, but for a few, deleted beside ${number(sizes.churnBase)} that stay.`,
    churnTable(one, two),
    `### Overrun\n\nReceive buffers of 90 kB, where the peer lets them be set; while it stands still (SIGSTOP), ${number(sizes.overrun)} of ${number(sizes.overrunBase)} routes are deleted and as many added but for one.`,
    overrunTable(over),
    `### Link down\n\nA link with ${number(sizes.linkDown)} IPv4 routes over it is set down. The kernel removes them and announces none.`,
    downTable(down),
    aimsTable(aimsOf(one, over), options),
  ].join('\n\n');
  console.log(`\n${text}`);
  if (options.isWritten) writePage('follow', text, { follow: picture(one, two) });
}

function named(outcomes: Outcomes, name: string): readonly Outcome[] {
  return [...outcomes].find(([peer]) => peer.name === name)?.[1] ?? [];
}

/** Whether it ended up right: in all rounds, or how it did not. */
function verdict(outcomes: readonly Outcome[], counts: string): string {
  const bad = outcomes.find((outcome) => !isRight(outcome));
  if (bad === undefined) return 'right';
  if (bad.difference !== undefined) return `**wrong**: ${bad.difference.slice(0, 80)}`;
  if (bad.end !== undefined) return `**ended**: ${bad.end.split('\n').at(-1)!.slice(0, 80)}`;
  return `**off by ${bad.off!.toLocaleString('en')}** ${counts}`;
}

function seconds(outcomes: readonly Outcome[]): string {
  const right = outcomes.filter(isRight);
  return right.length === 0 ? '' : spread(right.map(({ behind }) => behind));
}

function cpu(outcomes: readonly Outcome[]): string {
  const known = outcomes.map((outcome) => outcome.cpu).filter((value) => !Number.isNaN(value));
  return known.length === 0 ? '' : spread(known);
}

function churnTable(one: Outcomes, two: Outcomes): string {
  const rows = [...one.keys()].map((peer) => {
    const counts = peer.countsEvents === true ? 'notifications' : 'routes';
    return [
      peer.name,
      ...[one, two].flatMap((outcomes) => {
        const of = outcomes.get(peer) ?? [];
        return [verdict(of, counts), seconds(of), cpu(of)];
      }),
    ];
  });
  const columns = ['after', 's behind', 'CPU s per 100k'];
  return table([
    ['', ...columns.map((name) => `one writer: ${name}`), ...columns.map((name) => `two: ${name}`)],
    ...rows,
  ]);
}

function overrunTable(outcomes: Outcomes): string {
  const rows = [...outcomes].map(([peer, of]) => {
    const start = peer.countsEvents === true ? '' : spread(of.map((outcome) => outcome.start));
    const counts = peer.countsEvents === true ? 'notifications' : 'routes';
    return [peer.name, verdict(of, counts), seconds(of), start];
  });
  return table([['', 'after', 's until right', 's its start took'], ...rows]);
}

function downTable(outcomes: Outcomes): string {
  const rows = [...outcomes].map(([peer, of]) => [peer.name, verdict(of, 'routes'), seconds(of)]);
  return table([['', 'after', 's until right'], ...rows]);
}

function aimsOf(one: Outcomes, over: Outcomes): Aim[] {
  const aims: Aim[] = [];
  const [mirror, zebra] = [named(one, MIRROR!), named(one, ZEBRA!)];
  const cpuOf = (of: readonly Outcome[]) => median(of.map((outcome) => outcome.cpu));
  if (mirror.length > 0 && zebra.length > 0)
    aims.push({
      what: 'CPU time of a change in the mirror, of zebra’s',
      measured: cpuOf(mirror) / cpuOf(zebra),
      limit: 1,
      unit: ' ×',
    });
  const recovered = named(over, MIRROR!);
  if (recovered.length > 0) {
    const all = [...one.values(), ...over.values()];
    const wrong = [...one, ...over]
      .filter(([peer]) => peer.name.startsWith('EKHO'))
      .flatMap(([, of]) => of)
      .filter((outcome) => !isRight(outcome)).length;
    if (all.length > 0)
      aims.push({
        what: 'rounds in which the host was wrong after changes or overruns',
        measured: wrong,
        limit: 0,
        unit: '',
      });
    aims.push({
      what: 'the mirror’s recovery from an overrun, of reading the kernel at its start',
      measured:
        median(recovered.map(({ behind }) => behind)) / median(recovered.map(({ reading }) => reading!)),
      limit: 1.5,
      unit: ' ×',
    });
  }
  return aims;
}

function picture(one: Outcomes, two: Outcomes): string {
  const series: Series[] = [...one.keys()].map((peer) => ({
    name: peer.name,
    points: [one, two].flatMap((outcomes, at) => {
      const known = (outcomes.get(peer) ?? []).map((outcome) => outcome.cpu).filter((value) => value > 0);
      if (known.length === 0) return [];
      return [{ x: at + 1, y: median(known), low: Math.min(...known), high: Math.max(...known) }];
    }),
  }));
  return plot({
    title: 'CPU time of 100,000 changes',
    x: 'writers',
    y: 'seconds',
    series: series.filter(({ points }) => points.length > 0),
  });
}
