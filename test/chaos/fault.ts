/** What a fault is, and the ways in which an operator sees that it happened. */

import { readdirSync, readFileSync } from 'node:fs';
import type { PluginStatus, Status } from '../../host/api/schemas.ts';
import { pause, type TestHost } from '../support/host.ts';
import type { Random } from '../support/random.ts';
import type { Site } from './site.ts';

/** What faults are tried on. */
export interface Place {
  readonly host: TestHost;
  readonly random: Random;
  /** Changes what the host follows; `count` of changes, some that the kernel refuses. */
  churn(count?: number): void;
  /** Waits until mirror, device and packets are as they should; throws when they are not within so many seconds. */
  right(within: number): Promise<void>;
  usage(): Usage;
  close(): Promise<void>;
}

/** `memory` is resident, in bytes. */
export interface Usage {
  readonly memory: number;
  /** Of the processes that the host started: that of the plugin. */
  readonly plugin: number;
  readonly descriptors: number;
}

export interface Fault<P extends Place = Site> {
  readonly name: string;
  readonly what: string;
  /** Seconds from the fault's end until all is right again. */
  readonly within: number;
  /** Does it, and takes it back. */
  run(place: P): Promise<Signs>;
}

/** What shows that the fault happened, whatever the host says, and where the host tells of it. */
export interface Signs {
  readonly happened: Seen | typeof SHOWN;
  readonly status: Sign;
  readonly metrics: Sign;
  readonly log: Sign;
}

/** To hold some time after the fault; or it did hold while it lasted; or why it is not told there. */
export type Sign = Seen | typeof SHOWN | { readonly not: string };
export type Seen = () => Promise<boolean>;
export const SHOWN = 'shown';

/** How often the check is repeated while things settle. */
const AGAIN_MS = 200;
/** What comes again and again is logged once in so long. */
const TELL_MS = 10_000;
const SHOWN_MS = 90_000;
/** What is not right for so long is told, so much of it. */
export const LONG_S = 8;
const LAST_MAX = 4000;

export function fault<P extends Place = Site>(
  name: string,
  what: string,
  within: number,
  run: Fault<P>['run'],
): Fault<P> {
  return { name, what, within, run };
}

/** There is but one. */
export function plugin({ plugins }: Status): PluginStatus {
  return plugins[0]!;
}

/** Waits until it is so, while the fault lasts. */
export async function shown({ host }: Place, what: string, test: Seen): Promise<typeof SHOWN> {
  await host.until(what, test, SHOWN_MS);
  return SHOWN;
}

/** The log has the text since now; with `isPaced`, or had it so shortly before that it is not told twice. */
export function said({ host }: Place, text: string, isPaced = false): Seen {
  const from = performance.now() - (isPaced ? TELL_MS : 0);
  return async () => (host.saidAt(text) ?? Number.NEGATIVE_INFINITY) >= from;
}

export function status({ host }: Place, test: (status: Status) => boolean): Seen {
  return async () => test(await host.status());
}

/** Sum of a metric over the samples that have all of the labels, as they are written. */
export async function metric(place: Place, name: string, ...labels: readonly string[]): Promise<number> {
  let text = '';
  for await (const part of await place.host.client.open('/metrics', 'text/plain')) text += part;
  let sum = 0;
  for (const [, found = '', value] of text.matchAll(new RegExp(`^${name}(\\{[^}]*\\})? ([0-9.e+-]+)$`, 'gm')))
    if (labels.every((label) => found.includes(label))) sum += Number(value);
  return sum;
}

/** The metric is above what it is now. */
export async function grows(place: Place, name: string, ...labels: readonly string[]): Promise<Seen> {
  const before = await metric(place, name, ...labels);
  return async () => (await metric(place, name, ...labels)) > before;
}

/** The plugin is started again from now on. */
export async function restarts(place: Place): Promise<Pick<Signs, 'status' | 'metrics'>> {
  const before = plugin(await place.host.status()).restarts;
  return {
    status: status(place, (now) => plugin(now).restarts > before),
    metrics: await grows(place, 'ekho_plugin_restarts_total'),
  };
}

/** The host is another process from now on. */
export async function startsAnew(place: Place): Promise<Record<'status' | 'metrics' | 'log', Seen>> {
  const { host } = place;
  const began = performance.now();
  return {
    status: status(
      place,
      ({ pid, uptime_s }) => pid === host.pid && uptime_s < (performance.now() - began) / 1000,
    ),
    metrics: await grows(place, 'process_start_time_seconds'),
    log: said(place, 'mirror in sync after'),
  };
}

export async function whileStopped({ host }: Place, during: () => void | Promise<void>): Promise<void> {
  const { pid } = host;
  process.kill(pid, 'SIGSTOP');
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) await stopped(Number(task), pid);
    await during();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await pause(50);
}

/** Resolves once the thread does not run any more. */
export async function stopped(task: number, pid = task): Promise<void> {
  const limit = performance.now() + SHOWN_MS;
  while (!isStopped(task, pid)) {
    if (performance.now() > limit) throw new Error(`thread ${task} of process ${pid} does not stop`);
    await pause(2);
  }
}

function isStopped(task: number, pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  } catch {
    // Ended meanwhile.
    return true;
  }
}

/** Checks until `check` does not throw any more; throws what it last threw when the time is over. What took long is printed. */
export async function until(within: number, check: () => Promise<void>): Promise<void> {
  const began = performance.now();
  const limit = began + within * 1000;
  let last = 'nothing: the check itself took so long';
  for (;;) {
    try {
      await check();
      break;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
      if (performance.now() > limit)
        throw new Error(`not right within ${within} s: ${last}`, { cause: error });
      await pause(AGAIN_MS);
    }
  }
  const seconds = (performance.now() - began) / 1000;
  if (seconds > LONG_S)
    console.log(`\nlast of what was wrong for ${seconds.toFixed(1)} s: ${last.slice(0, LAST_MAX)}`);
}

/** Of the host, and of what it started. */
export function usageOf(pid: number): Usage {
  return {
    memory: resident(pid),
    plugin: childrenOf(pid).reduce((sum, child) => sum + resident(child), 0),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

/** Processes that a process started. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readOf(`/proc/${pid}/task/${task}/children`).trim().split(/\s+/).filter(Boolean).map(Number),
  );
}

/** In bytes; 0 of a process that is gone. */
function resident(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readOf(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

/** Empty where it went meanwhile. */
function readOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
