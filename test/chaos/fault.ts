/** What a fault is, and the ways in which an operator sees that it happened. */

import { readdirSync, readFileSync } from 'node:fs';
import type { PluginStatus, Status } from '../../host/api/schemas.ts';
import { pause, type TestHost } from '../support/host.ts';
import type { Site } from './site.ts';

/** What faults are tried on. */
export interface Place {
  readonly host: TestHost;
  /** Changes what the host follows; `count` of changes, some that the kernel refuses. */
  churn(count?: number): void;
  /** Waits until mirror, device and packets are as they should; throws when they are not within so many seconds. */
  right(within: number): Promise<void>;
  usage(): Usage;
  close(): Promise<void>;
}

export interface Usage {
  /** Resident, in bytes. */
  readonly memory: number;
  readonly descriptors: number;
}

export interface Fault<P extends Place = Site> {
  readonly name: string;
  readonly what: string;
  /** Seconds from the fault's end until all is right again. */
  readonly within: number;
  /** Does it, and takes it back. What it returns is to hold afterwards: the fault can be seen. */
  run(place: P): Promise<Seen | undefined>;
}

/** Whether status, log or metrics tell of the fault. */
export type Seen = (place: Place) => Promise<boolean>;

/** How often the check is repeated while things settle. */
const AGAIN_MS = 200;

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

/** The plugin was started again since `before`. */
export function restarted(before: Status): Seen {
  return async ({ host }) => plugin(await host.status()).restarts > plugin(before).restarts;
}

/** The log has the text, from this position on. What comes again within ten seconds is not logged twice. */
export function said(text: string, since = 0): Seen {
  return async ({ host }) => host.output.slice(since).includes(text);
}

export function all(...ways: readonly Seen[]): Seen {
  return async (site) => {
    for (const way of ways) if (!(await way(site))) return false;
    return true;
  };
}

/** Sum of a metric over its labels. */
export async function metric(site: Place, name: string): Promise<number> {
  let text = '';
  for await (const part of await site.host.client.open('/metrics', 'text/plain')) text += part;
  const samples = text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)$`, 'gm'));
  return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** The metric is above what it is now. */
export async function grows(site: Place, name: string): Promise<Seen> {
  const before = await metric(site, name);
  return async (after) => (await metric(after, name)) > before;
}

export async function whileStopped(site: Place, during: () => void): Promise<void> {
  process.kill(site.host.pid, 'SIGSTOP');
  try {
    during();
  } finally {
    process.kill(site.host.pid, 'SIGCONT');
  }
  await pause(50);
}

/** Checks until `check` does not throw any more; throws what it last threw when the time is over. */
export async function until(within: number, check: () => Promise<void>): Promise<void> {
  const limit = performance.now() + within * 1000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > limit) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`not right within ${within} s: ${why}`, { cause: error });
      }
      await pause(AGAIN_MS);
    }
  }
}

/** Of the host's own process. */
export function usageOf(pid: number): Usage {
  const resident = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return {
    memory: Number(resident![1]) * 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}
