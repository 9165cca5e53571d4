/** One fault on a site, and what must be so afterwards. */
import { pause } from '../support/host.ts';
import { type Fault, LONG_S, type Place, SHOWN, type Sign, type Signs, type Usage } from './fault.ts';

/** Beyond what the first faults left: heaps grow before they are collected. */
const MEMORY_MORE = 64 * 1024 * 1024;
const PLUGIN_MORE = 48 * 1024 * 1024;
/** The first faults may leave no more than this, all together. */
const FIRST_MORE = 128 * 1024 * 1024;
const DESCRIPTORS_MORE = 6;
/** The fault must be visible, and memory and descriptors back, within this many seconds of all being right. */
const CALM_S = 60;
/** Of the host's log, shown. */
const LOG_LINES = 60;

export const SIGNS = ['happened', 'status', 'metrics', 'log'] as const;

export interface Outcome {
  /** From the end of the fault until all was right. */
  readonly seconds: number;
  readonly signs: Signs;
}

export async function tryFault<P extends Place>(site: P, fault: Fault<P>, usual: Usage): Promise<Outcome> {
  const signs = await fault.run(site);
  const began = performance.now();
  await site.right(fault.within);
  const seconds = (performance.now() - began) / 1000;
  if (seconds > fault.within)
    throw new Error(`right after ${seconds.toFixed(1)} s, which is more than ${fault.within} s`);
  if (seconds > LONG_S) console.log(lastLines(site.host.output));
  await calm(site, signs, usual);
  return { seconds, signs };
}

/** Without those of the test's own requests. */
export function lastLines(log: string): string {
  const lines = log.split('\n').filter((line) => !line.startsWith('audit:'));
  return lines.slice(-LOG_LINES).join('\n');
}

/** What is usual after one of the first faults: heaps find their size in the first minutes. Descriptors do not. */
export function grown(usual: Usage, now: Usage, first: Usage): Usage {
  const most = (name: 'memory' | 'plugin') =>
    Math.min(Math.max(usual[name], now[name]), first[name] + FIRST_MORE);
  return { memory: most('memory'), plugin: most('plugin'), descriptors: usual.descriptors };
}

async function calm(site: Place, signs: Signs, usual: Usage): Promise<void> {
  const limit = performance.now() + CALM_S * 1000;
  const open = new Set(SIGNS);
  for (;;) {
    for (const name of open) if (await holds(signs[name])) open.delete(name);
    const wrong = open.size > 0 ? unseen([...open]) : excess(site.usage(), usual);
    if (wrong === undefined) return;
    if (performance.now() > limit) throw new Error(wrong);
    await pause(250);
  }
}

async function holds(sign: Sign): Promise<boolean> {
  return typeof sign === 'function' ? await sign() : sign === SHOWN || 'not' in sign;
}

function unseen(names: readonly string[]): string {
  return names
    .map((name) => (name === 'happened' ? 'nothing shows that it happened' : `${name}: nothing tells of it`))
    .join(', ');
}

function excess(now: Usage, usual: Usage): string | undefined {
  if (now.memory > usual.memory + MEMORY_MORE)
    return `the host has ${mebibytes(now.memory)} MiB, ${mebibytes(usual.memory)} before`;
  if (now.plugin > usual.plugin + PLUGIN_MORE)
    return `the plugin’s process has ${mebibytes(now.plugin)} MiB, ${mebibytes(usual.plugin)} before`;
  if (now.descriptors > usual.descriptors + DESCRIPTORS_MORE)
    return `the host has ${now.descriptors} descriptors, ${usual.descriptors} before`;
  return undefined;
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
