/**
 * Readers of a host's API, in a process of their own: `dashboards.ts URL DASHBOARDS STREAMS`. A dashboard asks for the status every 2 s and
 * for the series every second, as web/src/live.ts does; a stream reads changes of routes. Prints `ready` once each has had an answer. A number
 * and the end of standard input are answered, once each stream has told of so many changes, with what all of them saw: a `Seen` as JSON.
 */
import { Agent, request } from 'node:http';
import type { SeriesAnswer } from '../../host/api/schemas.ts';

export interface Seen {
  /** Milliseconds of each answer to a dashboard. */
  readonly answers_ms: {
    readonly count: number;
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
  };
  /** Answers other than 200, and connections that broke. */
  readonly faults: readonly string[];
  /** Changes each stream was told of, and those that it was told were lost. */
  readonly streams: readonly { readonly told: number; readonly lost: number }[];
}

const FAULTS_MAX = 20;
/** For streams to tell of all changes, in milliseconds after they are asked for. */
const LATE_MS = 120_000;

const [base = '', dashboards = '1', streams = '1'] = process.argv.slice(2);
const times: number[] = [];
const faults: string[] = [];
const told = Array.from({ length: Number(streams) }, () => ({ told: 0, lost: 0 }));
let begun = 0;
let isOver = false;

function fault(text: string): void {
  if (!isOver && faults.length < FAULTS_MAX) faults.push(text);
}

function get(path: string, agent: Agent): Promise<string> {
  const started = performance.now();
  return new Promise((resolve) => {
    const outgoing = request(new URL(path, base), { agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (data) => {
        text += data;
      });
      response.on('end', () => {
        times.push(performance.now() - started);
        if (response.statusCode !== 200) fault(`${path}: ${response.statusCode} ${text.slice(0, 200)}`);
        resolve(text);
      });
    });
    outgoing.on('error', (error) => {
      fault(`${path}: ${error.message}`);
      resolve('{}');
    });
    outgoing.end();
  });
}

async function dashboard(number: number): Promise<void> {
  // As many connections as a browser has to one host.
  const agent = new Agent({ keepAlive: true, maxSockets: 6 });
  let since = 0;
  const every = async (milliseconds: number, action: () => Promise<void>) => {
    // They were not all opened in the same moment.
    await new Promise((resolve) => setTimeout(resolve, (milliseconds * number) / Number(dashboards)));
    for (let turn = 0; !isOver; turn++) {
      await action();
      if (turn === 0) begun++;
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
    }
  };
  await Promise.all([
    every(2_000, async () => void (await get('/api/v1/status', agent))),
    every(1_000, async () => {
      const { times = [] } = JSON.parse(
        await get(`/api/v1/series?since=${since}`, agent),
      ) as Partial<SeriesAnswer>;
      since = times.at(-1) ?? since;
    }),
  ]);
}

function stream(seen: { told: number; lost: number }): void {
  const headers = { accept: 'text/event-stream' };
  const outgoing = request(
    new URL('/api/v1/changes?kind=route', base),
    { headers, agent: false },
    (response) => {
      begun++;
      let rest = '';
      response.setEncoding('utf8').on('data', (data: string) => {
        const parts = (rest + data).split('\n\n');
        rest = parts.pop()!;
        for (const part of parts) {
          const lost = /^event: lost\ndata: \{"lost":(\d+)/m.exec(part);
          if (lost) seen.lost += Number(lost[1]);
          else if (/^data: /m.test(part) && !/^event: hello$/m.test(part)) seen.told++;
        }
      });
      response.on('error', (error) => fault(`changes: ${error.message}`));
    },
  );
  outgoing.on('error', (error) => fault(`changes: ${error.message}`));
  outgoing.end();
}

function seen(): Seen {
  const sorted = times.sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return {
    answers_ms: { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) },
    faults,
    streams: told,
  };
}

for (let number = 0; number < Number(dashboards); number++) void dashboard(number);
for (const each of told) stream(each);
const wanted = 2 * Number(dashboards) + Number(streams);
const timer = setInterval(() => {
  if (begun < wanted) return;
  clearInterval(timer);
  console.log('ready');
}, 20);
let wish = '';
process.stdin.setEncoding('utf8').on('data', (text) => {
  wish += text;
});
process.stdin.on('end', () => {
  const until = performance.now() + LATE_MS;
  const end = () => {
    const isComplete = told.every(({ told, lost }) => told + lost >= Number(wish));
    if (!isComplete && performance.now() < until) return void setTimeout(end, 20);
    isOver = true;
    process.stdout.write(`${JSON.stringify(seen())}\n`, () => process.exit(0));
  };
  end();
});
