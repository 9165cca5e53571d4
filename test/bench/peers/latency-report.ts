/** The part `latency`: how long a change takes from the kernel to the device, and what one nexthop under a full table takes. */

import { VERSION } from '../../../host/version.ts';
import { table } from '../table.ts';
import { prepareLoop } from './c-loop.ts';
import { type Latency, measureLatencies, measureLoopLatencies, measureNexthop } from './latency.ts';
import { versionBy } from './peer.ts';
import { plot } from './plot.ts';
import { type Aim, aimsTable, machine, median, type ReportOptions, spread, writePage } from './report.ts';

const PACES = [1000, 10_000, 50_000];
const SECONDS = 5;
const ROUTES = [10_000, 100_000, 1_000_000];
/** All routes of all rounds stay, and the ASIC holds that many. */
export const ROUNDS_MAX = Math.floor(2_000_000 / (SECONDS * PACES.reduce((sum, pace) => sum + pace, 0)));
const QUICK = { paces: [1000, 10_000], seconds: 1, routes: [1000, 10_000] };

export async function reportLatency(options: ReportOptions): Promise<void> {
  const { folder, rounds, say, isQuick } = options;
  const paces = isQuick ? QUICK.paces : PACES;
  const seconds = isQuick ? QUICK.seconds : SECONDS;
  prepareLoop(folder);
  const loopVersion = versionBy('cc', ['--version'], /^(.+)/);
  const loop = await measureLoopLatencies(folder, paces, seconds, rounds, say);
  const latencies = await measureLatencies(folder, paces, seconds, rounds, say);
  const failures = [];
  for (const routes of isQuick ? QUICK.routes : ROUTES)
    failures.push(await measureNexthop(folder, routes, rounds, say));
  const number = (value: number) => value.toLocaleString('en');
  const row = (name: string, of: readonly Latency[]) => [
    number(of[0]!.wanted),
    name,
    number(Math.round(median(of.map(({ pace }) => pace)))),
    ...(['p50', 'p99', 'p999'] as const).map((percentile) => spread(of.map((one) => one[percentile]))),
  ];
  const rows = latencies.flatMap((of, at) => [row('C loop', loop[at]!), row('EKHO', of)]);
  const failed = failures.map(({ routes, milliseconds, compat }) => [
    number(routes),
    spread(milliseconds),
    spread(compat),
  ]);
  const aims: Aim[] = latencies
    .filter((of) => of[0]!.wanted === 10_000)
    .map((of) => ({
      what: 'p99 at 10,000 changes a second',
      measured: median(of.map(({ p99 }) => p99)),
      limit: 1,
      unit: ' ms',
    }));
  const last = failures.at(-1)!;
  aims.push({
    what: `a nexthop under ${number(last.routes)} routes`,
    measured: median(last.milliseconds),
    limit: 5,
    unit: ' ms',
  });
  const text = [
    machine({ ...options, peers: new Map(), missing: new Map() }),
    `C loop: ${loopVersion}; EKHO: ${VERSION}.`,
    '![Milliseconds from the kernel to the device](latency.svg)',
    table([['changes a second', '', 'as taken', 'p50 ms', 'p99 ms', 'p99.9 ms'], ...rows]),
    table([['routes over the nexthop', 'ms', 'ms, every route announced again'], ...failed]),
    aimsTable(aims, options),
  ].join('\n\n');
  console.log(`\n${text}`);
  if (!options.isWritten) return;
  const names = { p50: 'half', p99: '99 of 100', p999: '999 of 1000' } as const;
  const series = (['p50', 'p99', 'p999'] as const).map((name) => ({
    name: names[name],
    points: latencies.map((of) => {
      const values = of.map((one) => one[name]);
      return { x: of[0]!.wanted, y: median(values), low: Math.min(...values), high: Math.max(...values) };
    }),
  }));
  const svg = plot({
    title: 'From the kernel to the device',
    x: 'changes a second',
    y: 'milliseconds',
    series,
  });
  writePage('latency', text, { latency: svg });
}
