/** What an operator should look at first, from the host's status alone. */
import type { Status } from '../../host/api/schemas.ts';
import { count, percent } from './format.ts';
import { href } from './router.ts';

export interface Alert {
  readonly tone: 'failed' | 'trapped';
  readonly text: string;
  readonly link?: string;
}

/** A table is nearly full from here on. */
const FULL = 0.9;

export function alertsOf(status: Status): Alert[] {
  return [...mirrorAlerts(status), ...pluginAlerts(status), ...deviceAlerts(status)];
}

function* mirrorAlerts(status: Status): Generator<Alert> {
  const { netns, netns_deleted, kinds, hooks, notifier, source, publish } = status;
  if (netns_deleted) yield { tone: 'failed', text: `Network namespace ${netns} was deleted.` };
  for (const { kind, state, reason } of kinds) {
    if (state === 'syncing' && reason !== undefined)
      yield { tone: 'failed', text: `${kind}: cannot be read: ${reason}` };
  }
  if (source?.reason !== undefined) yield { tone: 'failed', text: `Source: ${source.reason}` };
  if (publish?.reason !== undefined) yield { tone: 'failed', text: `Publishing: ${publish.reason}` };
  const present = hooks?.present ?? [];
  if (present.length > 0)
    yield { tone: 'trapped', text: `Packets go to the kernel because of ${present.join(', ')}.` };
  if (notifier !== undefined && notifier.lost > 0)
    yield {
      tone: 'trapped',
      text: `${count(notifier.lost)} events of notifiers were lost; routes were read again.`,
    };
}

function* pluginAlerts({ plugins, offload }: Status): Generator<Alert> {
  for (const { name, state, reason, device } of plugins) {
    const isWanted = device !== undefined || state !== 'found';
    if (!isWanted || state === 'active' || state === 'syncing' || state === 'starting') continue;
    const text = `Plugin ${name} is ${state}${reason === undefined ? '' : `: ${reason}`}`;
    yield { tone: state === 'degraded' ? 'trapped' : 'failed', text, link: href('plugins', { name }) };
  }
  for (const { plugin, kind, failed } of offload) {
    if (failed > 0)
      yield {
        tone: 'failed',
        text: `${count(failed)} of ${kind} failed in ${plugin}, and are tried again.`,
        ...(kind === 'route' && { link: href('objects', { kind: 'route', state: 'failed' }) }),
      };
  }
}

function* deviceAlerts({ devices }: Status): Generator<Alert> {
  for (const { name, tables, faults } of devices) {
    if (faults?.poweredOff) yield { tone: 'failed', text: `Device ${name} has no power.` };
    for (const { name: table, used, capacity } of tables) {
      if (capacity > 0 && used >= FULL * capacity)
        yield {
          tone: used >= capacity ? 'failed' : 'trapped',
          text: `Table ${table} of ${name} is ${used >= capacity ? 'full' : `${percent(used / capacity)} full`}.`,
        };
    }
  }
}
