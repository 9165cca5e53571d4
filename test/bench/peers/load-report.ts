/** The part `load`: tables, plots and aims of how long a start takes, and of memory. */

import { table } from '../table.ts';
import { complete, type LoadOptions, type Loads, measureLoads, type Start } from './load.ts';
import type { Kind, Peer } from './peer.ts';
import { plot } from './plot.ts';
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

interface Group {
  readonly kind: Kind;
  readonly title: string;
  readonly sizes: readonly number[];
}

const FULL: readonly Group[] = [
  { kind: 'route4', title: 'IPv4 routes', sizes: [0, 10_000, 100_000, 1_000_000] },
  { kind: 'route6', title: 'IPv6 routes', sizes: [0, 200_000] },
  { kind: 'neighbour', title: 'neighbours', sizes: [0, 100_000] },
  { kind: 'fdb', title: 'bridge entries', sizes: [0, 100_000] },
  { kind: 'link', title: 'links', sizes: [0, 10_000] },
];
const QUICK_SIZES: Readonly<Record<Kind, readonly number[]>> = {
  route4: [0, 1000, 10_000],
  route6: [0, 2000],
  neighbour: [0, 1000],
  fdb: [0, 1000],
  link: [0, 200],
};
/** Peers by name that aims are about. */
const [LIMIT, MIRROR, PLUGIN] = ['C loop', 'EKHO, mirror', 'EKHO, softnic'];

export async function reportLoad(options: ReportOptions): Promise<void> {
  const loads: Loads[][] = [];
  const parts: string[] = [];
  for (const { kind, title, sizes } of FULL) {
    const able = [...options.peers.keys()].filter(
      ({ kinds, countsEvents }) => kinds.includes(kind) && countsEvents !== true,
    );
    const wanted = options.isQuick ? QUICK_SIZES[kind] : sizes;
    const measured = await measureLoads(able, kind, wanted, options satisfies LoadOptions);
    loads.push(measured);
    parts.push(`### ${title[0]!.toUpperCase()}${title.slice(1)}\n\n${loadTable(able, measured)}`);
  }
  const asked = [...options.peers.keys()]
    .filter(({ countsEvents }) => countsEvents !== true)
    .map(({ name, asked }) => `- **${name}**: ${asked}`)
    .join('\n');
  const routes = loads[0]!;
  const aims = aimsOf(routes);
  const text = [
    machine(options),
    '![Seconds from the start to all routes](load.svg)',
    ...parts,
    `What counts as having them:\n\n${asked}`,
    ...(aims.length === 0 ? [] : [aimsTable(aims, options)]),
  ].join('\n\n');
  console.log(`\n${text}`);
  if (options.isWritten) writePage('load', text, { load: picture(routes) });
}

function loadTable(peers: readonly Peer[], loads: readonly Loads[]): string {
  const [empty, ...filled] = loads;
  const head = [
    'seconds from the start',
    'empty',
    ...filled.map(({ size }) => size.toLocaleString('en')),
    'of the C loop',
    'bytes each',
  ];
  const last = filled.at(-1)!;
  const limit = [...last.starts].find(([{ name }]) => name === LIMIT)?.[1];
  const rows = peers.map((peer) => [
    peer.name,
    cell(empty!.starts.get(peer)),
    ...filled.map(({ starts }) => cell(starts.get(peer))),
    ratio(complete(last.starts.get(peer)), complete(limit)),
    bytesEach(peer, empty!, last),
  ]);
  return table([head, ...rows]);
}

function cell(starts: readonly Start[] | undefined): string {
  if (starts === undefined) return 'not tried';
  const good = complete(starts);
  const bad = starts.find(({ instead }) => instead !== undefined);
  if (bad !== undefined) return `${bad.instead!.toLocaleString('en')} after ${bad.seconds.toFixed(0)}`;
  return spread(good.map(({ seconds }) => seconds));
}

function ratio(starts: readonly Start[], limit: readonly Start[]): string {
  if (starts.length === 0 || limit.length === 0) return '';
  return digits(median(starts.map(({ seconds }) => seconds)) / median(limit.map(({ seconds }) => seconds)));
}

function resident(starts: readonly Start[] | undefined): number {
  return median(complete(starts).map((start) => start.resident));
}

function bytesEach(peer: Peer, empty: Loads, full: Loads): string {
  const starts = complete(full.starts.get(peer));
  if (starts.length === 0 || starts[0]!.resident === 0) return '';
  const each = (resident(starts) - resident(empty.starts.get(peer))) / full.size;
  // Of what keeps nothing, how pages happen to lie.
  return each < 1 ? '' : digits(each);
}

function aimsOf(loads: readonly Loads[]): Aim[] {
  const [empty, last] = [loads[0]!, loads.at(-1)!];
  const of = (name: string) => [...last.starts.keys()].find((peer) => peer.name === name);
  const peers = [LIMIT, MIRROR, PLUGIN].map((name) => of(name!));
  if (peers.some((peer) => complete(peer && last.starts.get(peer)).length === 0)) return [];
  const [limit, mirror, plugin] = peers.map((peer) => peer!);
  const took = (peer: Peer) => median(complete(last.starts.get(peer)).map(({ seconds }) => seconds));
  /** Without the start of the process itself, which does not grow. */
  const grown = (peer: Peer) =>
    took(peer) - median(complete(empty.starts.get(peer)).map(({ seconds }) => seconds));
  const others = [...last.starts.keys()].filter((peer) => peer.follows && !peer.name.startsWith('EKHO'));
  const quickest = Math.min(
    ...others.filter((peer) => complete(last.starts.get(peer)).length > 0).map((peer) => took(peer)),
  );
  const size = last.size.toLocaleString('en');
  const each = (resident(last.starts.get(mirror!)) - resident(empty.starts.get(mirror!))) / last.size;
  return [
    {
      what: `${size} routes into the mirror, of the C loop, without the start of either`,
      measured: grown(mirror!) / grown(limit!),
      limit: 2.5,
      unit: ' ×',
    },
    {
      what: `${size} routes into the plugin, of the C loop, without the start of either`,
      measured: grown(plugin!) / grown(limit!),
      limit: 5,
      unit: ' ×',
    },
    {
      what: 'the mirror, start included, of the quickest peer',
      measured: took(mirror!) / quickest,
      limit: 1,
      unit: ' ×',
    },
    { what: 'memory of a route in the mirror', measured: each, limit: 120, unit: ' bytes' },
  ];
}

function picture(loads: readonly Loads[]): string {
  const filled = loads.filter(({ size }) => size > 0);
  const shown = [...filled[0]!.starts.keys()].filter(({ isVariant }) => isVariant !== true);
  const series = shown.map((peer) => ({
    name: peer.name,
    points: filled
      .filter(({ starts }) => complete(starts.get(peer)).length > 0)
      .map(({ size, starts }) => {
        const seconds = complete(starts.get(peer)).map((start) => start.seconds);
        return { x: size, y: median(seconds), low: Math.min(...seconds), high: Math.max(...seconds) };
      }),
  }));
  return plot({
    title: 'From the start to all routes of the kernel',
    x: 'IPv4 routes',
    y: 'seconds',
    series: series.filter(({ points }) => points.length > 0),
  });
}
