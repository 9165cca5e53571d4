/**
 * `npm run bench -- dashboards [--dashboards N] [--streams N] [--rate CHANGES] [--seconds S] [--rounds N]`: how long after the end of a storm
 * of changes the mirror has all of them, and hardware, with nobody looking and with many who do. Needs root.
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { type Outcome, storm } from '../support/storm.ts';

const { values } = parseArgs({
  options: {
    dashboards: { type: 'string', default: '200' },
    streams: { type: 'string', default: '50' },
    rate: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
  },
});
const RATE = Number(values.rate);
const CHANGES = RATE * Number(values.seconds);
const AIM_MS = 1_000;

/** One round; ends the bench where the mirror or hardware did not get there. */
async function round(dashboards: number, streams: number): Promise<Outcome> {
  const outcome = await storm({ changes: CHANGES, rate: RATE, dashboards, streams });
  if (!outcome.verified.startsWith('equal')) throw new Error(outcome.waited + outcome.verified);
  if (outcome.seen !== undefined && outcome.seen.faults.length > 0)
    throw new Error(outcome.seen.faults.join('\n'));
  return outcome;
}

const alone: Outcome[] = [];
const watched: Outcome[] = [];
for (let count = 0; count < Number(values.rounds); count += 1) {
  alone.push(await round(0, 0));
  watched.push(await round(Number(values.dashboards), Number(values.streams)));
}

/** Median, and from the least to the most. */
function spread(outcomes: readonly Outcome[], of: (outcome: Outcome) => number): string {
  const sorted = outcomes.map(of).sort((a, b) => a - b);
  const [median, least, most] = [sorted[sorted.length >> 1]!, sorted[0]!, sorted.at(-1)!];
  return `${median.toFixed(0)} ms (${least.toFixed(0)}–${most.toFixed(0)})`;
}

const row = (name: string, of: (outcome: Outcome) => number) =>
  `| ${name} | ${spread(alone, of)} | ${spread(watched, of)} |`;
console.log(
  [
    `${CHANGES.toLocaleString('en')} changes, ${RATE.toLocaleString('en')} a second asked for; medians of ${values.rounds} rounds; load average ${loadavg()[0]!.toFixed(1)}`,
    '',
    `| | nobody looks | ${values.dashboards} dashboards, ${values.streams} streams |`,
    '|---|--:|--:|',
    row('the storm took', ({ took }) => took),
    row(`mirror in sync after its end (≤ ${AIM_MS} ms)`, ({ mirror }) => mirror),
    row('all in hardware after its end', ({ hardware }) => hardware),
    `| an answer to a dashboard, p50 | | ${spread(watched, ({ seen }) => seen!.answers_ms.p50)} |`,
    `| an answer to a dashboard, p99 | | ${spread(watched, ({ seen }) => seen!.answers_ms.p99)} |`,
  ].join('\n'),
);
