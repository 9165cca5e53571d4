/** Offload states and other conditions: always a word, never colour alone. */
import type { ComponentChildren } from 'preact';
import type { ObjectOffload } from '../../../host/api/schemas.ts';

export const OFFLOAD_STATES = ['offloaded', 'trapped', 'refused', 'failed', 'pending'] as const;
export type OffloadState = (typeof OFFLOAD_STATES)[number];

export type Tone = 'ok' | 'trapped' | 'refused' | 'failed' | 'pending' | 'none';

export function toneOf(state: string): Tone {
  switch (state) {
    case 'offloaded':
    case 'active':
    case 'available':
    case 'synced':
      return 'ok';
    case 'trapped':
    case 'degraded':
    case 'restarting':
    case 'inconclusive':
      return 'trapped';
    case 'refused':
      return 'refused';
    case 'failed':
    case 'missing':
      return 'failed';
    case 'pending':
    case 'starting':
    case 'syncing':
      return 'pending';
    default:
      return 'none';
  }
}

export function Pill({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`pill ${tone}`}>{children}</span>;
}

/** How it stands with an object: the state where there is one plugin, each with its plugin where there are more. */
export function Offload({ offload }: { offload: readonly ObjectOffload[] }) {
  if (offload.length === 0) return <span class="muted">mirrored only</span>;
  return (
    <>
      {offload.map(({ plugin, state, reason }) => (
        <span class="offload" key={plugin}>
          {offload.length > 1 && <span class="muted">{plugin} </span>}
          <Pill tone={toneOf(state)}>{state}</Pill>
          {reason !== undefined && <span class="reason"> {reason}</span>}
        </span>
      ))}
    </>
  );
}

/** The worst of an object's states, for one colour. */
export function worst(offload: readonly ObjectOffload[]): OffloadState | undefined {
  const order: OffloadState[] = ['failed', 'refused', 'trapped', 'pending', 'offloaded'];
  return order.find((state) => offload.some((one) => one.state === state));
}
