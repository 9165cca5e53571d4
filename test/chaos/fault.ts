/** What a fault is, and the ways in which an operator sees that it happened. */
import type { PluginStatus, Status } from '../../host/api/schemas.ts';
import { pause } from '../support/host.ts';
import { PLUGIN, type Site } from './site.ts';

export interface Fault {
  readonly name: string;
  readonly what: string;
  /** Seconds from the fault's end until all is right again. */
  readonly within: number;
  /** Does it, and takes it back. What it returns is to hold afterwards: the fault can be seen. */
  run(site: Site): Promise<Seen | undefined>;
}

/** Whether status, log or metrics tell of the fault. */
export type Seen = (site: Site) => Promise<boolean>;

export function fault(name: string, what: string, within: number, run: Fault['run']): Fault {
  return { name, what, within, run };
}

export function plugin({ plugins }: Status): PluginStatus {
  return plugins.find(({ name }) => name === PLUGIN)!;
}

/** The plugin was started again since `before`. */
export function restarted(before: Status): Seen {
  return async ({ host }) => plugin(await host.status()).restarts > plugin(before).restarts;
}

/** The log has the text, from this position on. */
export function said(text: string, since: number): Seen {
  return async ({ host }) => host.output.slice(since).includes(text);
}

export function all(...ways: readonly Seen[]): Seen {
  return async (site) => {
    for (const way of ways) if (!(await way(site))) return false;
    return true;
  };
}

/** Sum of a metric over its labels. */
export async function metric(site: Site, name: string): Promise<number> {
  let text = '';
  for await (const part of await site.host.client.open('/metrics', 'text/plain')) text += part;
  const samples = text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)$`, 'gm'));
  return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** The metric is above what it is now. */
export async function grows(site: Site, name: string): Promise<Seen> {
  const before = await metric(site, name);
  return async (after) => (await metric(after, name)) > before;
}

export async function whileStopped(site: Site, during: () => void): Promise<void> {
  process.kill(site.host.pid, 'SIGSTOP');
  try {
    during();
  } finally {
    process.kill(site.host.pid, 'SIGCONT');
  }
  await pause(50);
}
