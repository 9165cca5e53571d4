/** Where the mirror comes from: the kernel by netlink, or another host's mirror by NATS. */
import type { Config } from './config/config.ts';
import type { KernelCounters } from './kernel/counters.ts';
import type { UsedObject } from './kernel/refresh.ts';
import { KernelSync, type ResyncReport } from './kernel/sync.ts';
import type { Difference } from './kernel/verify.ts';
import type { Mirror } from './mirror/mirror.ts';
import { type RemoteStatus, RemoteSync } from './remote/source.ts';
import type { ChangeTracer } from './trace/change-tracer.ts';

export interface Source {
  /** Resolves once the mirror is in sync. */
  start(): Promise<void>;
  /** Resolves once everything that was announced before the call is in the mirror. */
  barrier(): Promise<void>;
  /** The mirror against what the source has now. */
  verify(): Promise<{ equal: boolean; differences: Difference[] }>;
  /** Whether the mirror has fallen behind what was announced: more waits than comes in a moment. */
  isBehind?(): boolean;
  status(): {
    readonly lastResync: ResyncReport | undefined;
    readonly isOrphaned: boolean;
  } & Partial<RemoteStatus>;
  counters(): Record<string, number>;
  /** The kernel's own counters of links and filters, where the source is a kernel. */
  readCounters?(): Promise<KernelCounters>;
  /** Tells the kernel what hardware uses. */
  refresh?(used: Iterable<UsedObject>): Promise<void>;
  close(): void;
}

export function openSource(
  mirror: Mirror,
  { mirror: { netns, kinds, tables, receiveBuffer }, source }: Config,
  onLog: (level: 'warn' | 'info', message: string) => void,
  tracer: ChangeTracer | undefined,
): Source {
  if (source !== undefined) return new RemoteSync(mirror, { ...source, kinds, onLog });
  return new KernelSync(mirror, { netns, kinds, tables, receiveBuffer, onLog, tracer });
}

/** What the source is, in words. */
export function sourceName({ mirror: { netns }, source }: Config): string {
  if (source !== undefined) return `bucket ${source.bucket} of NATS at ${source.servers.join(', ')}`;
  return netns === undefined ? 'this network namespace' : `network namespace ${netns}`;
}
