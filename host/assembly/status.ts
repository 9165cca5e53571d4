/** What `ekho status` shows: the source, the kinds, what is in hardware. */
import type { KindStatus, OffloadCounts, Status } from '../api/schemas.ts';
import type { Config } from '../config/config.ts';
import { type HookWatch, hooksStatus } from '../kernel/hooks.ts';
import type { KernelEvents } from '../kernel/kernel-events.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { KIND, KINDS, type Kind } from '../mirror/types.ts';
import type { Objects } from '../objects.ts';
import type { Planner } from '../offload/planner.ts';
import type { Publisher } from '../remote/publisher.ts';
import type { RemoteStatus } from '../remote/source.ts';
import type { Source } from '../source.ts';
import { residentMemory } from '../telemetry/resident.ts';
import type { Sampler } from '../telemetry/sampler.ts';
import { VERSION } from '../version.ts';
import type { Devices } from './devices.ts';
import type { HostFirmware } from './firmware.ts';
import type { Offloads } from './offloads.ts';
import type { Plugins } from './plugins.ts';

export interface StatusParts {
  readonly config: Config;
  readonly mirror: Mirror;
  readonly objects: Objects;
  readonly source: Source;
  readonly publisher: Publisher | undefined;
  /** Undefined where the mirror does not come from the kernel, as are `hooks`. */
  readonly events: KernelEvents | undefined;
  readonly hooks: HookWatch | undefined;
  /** Undefined where the mirror does not come from the kernel. */
  readonly firmware: HostFirmware | undefined;
  readonly planner: Planner;
  readonly offloads: Offloads;
  readonly plugins: Plugins;
  readonly devices: Devices;
  readonly sampler: Sampler;
}

/** `url`: where dashboard and API are served on TCP. */
export function statusOf(parts: StatusParts, url: string | undefined): Status {
  const { config, mirror, objects, source, hooks, plugins, devices } = parts;
  const { netns } = config.mirror;
  const { lastResync, isOrphaned, ...remote } = source.status();
  return {
    version: VERSION,
    pid: process.pid,
    uptime_s: Math.round(process.uptime() * 1000) / 1000,
    ...(netns !== undefined && { netns }),
    ...(isOrphaned && { netns_deleted: true as const }),
    ...remoteStatus(config, remote),
    ...publishStatus(config, parts.publisher),
    ...eventsStatus(parts.events),
    ...firmwareStatus(parts.firmware),
    ...(hooks && {
      hooks: hooksStatus(
        hooks.state,
        (ifindex) => objects.linkName(ifindex),
        (id) => devices.hasProgram(id),
      ),
    }),
    socket: config.api.socket,
    ...(url !== undefined && { url }),
    memory_bytes: residentMemory(),
    held_s: tenths(parts.sampler.held_s),
    descriptors_short_s: tenths(parts.sampler.short_s),
    revision: mirror.revision,
    synced: mirror.synced,
    kinds: kindsOf(config, mirror),
    ...(lastResync && {
      resync: {
        cause: lastResync.cause,
        kinds: [...lastResync.kinds],
        started: new Date(lastResync.started).toISOString(),
        ...(lastResync.duration_ms !== undefined && { duration_ms: lastResync.duration_ms }),
      },
    }),
    plugins: plugins.list(),
    offload: offloadOf(parts),
    devices: devices.list(),
  };
}

const tenths = (seconds: number): number => Math.round(seconds * 10) / 10;

/** The kinds that the configuration wants, and how far each is mirrored. */
export function kindsOf(config: Config, mirror: Mirror): KindStatus[] {
  const kinds = config.mirror.kinds;
  const wanted: readonly Kind[] | undefined = kinds && [...kinds, 'offload'];
  return KINDS.filter((kind) => wanted?.includes(kind) ?? true).map((kind) => {
    const { state, reason } = mirror.kindState(KIND[kind]);
    return {
      kind,
      state,
      count: mirror.count(KIND[kind]),
      ...(reason !== undefined && { reason }),
      ...(reason !== undefined &&
        /EPERM|not permitted/i.test(reason) && { remedy: 'Run the host as root to mirror it.' }),
    };
  });
}

function offloadOf({ planner, offloads }: StatusParts): Status['offload'] {
  const rows: OffloadCounts[] = planner.summary().flatMap(({ plugin, tables }) =>
    tables
      .filter(({ planned }) => planned > 0)
      .map(({ kind, planned, offloaded, trapped, refused, failed }) => {
        const pending = Math.max(0, planned - offloaded - trapped - refused - failed);
        return { plugin, kind, pending, offloaded, trapped, refused, failed };
      }),
  );
  for (const { plugin, state, objects } of offloads.undeclared()) {
    const none = { plugin, kind: 'custom', pending: 0, offloaded: 0, trapped: 0, refused: 0, failed: 0 };
    const at = rows.findIndex((row) => row.plugin === plugin && row.kind === none.kind);
    const row = rows[at] ?? none;
    rows.splice(at < 0 ? rows.length : at, 1, { ...row, [state]: row[state] + objects });
  }
  return rows;
}

function why(reason: string | undefined, remedy: string | undefined) {
  return {
    ...(reason !== undefined && { reason }),
    ...(reason !== undefined && remedy !== undefined && { remedy }),
  };
}

function remoteStatus(
  { source }: Config,
  { state, reason, remedy, publisher }: Partial<RemoteStatus>,
): Pick<Status, 'source'> {
  if (source === undefined || state === undefined) return {};
  return {
    source: {
      servers: [...source.servers],
      bucket: source.bucket,
      state,
      ...why(reason, remedy),
      ...(publisher && { publisher: { ...publisher } }),
    },
  };
}

function publishStatus({ publish }: Config, publisher: Publisher | undefined): Pick<Status, 'publish'> {
  const published = publisher?.status();
  if (publish === undefined || published === undefined) return {};
  return {
    publish: {
      servers: [...publish.servers],
      bucket: publish.bucket,
      state: published.state,
      ...why(published.reason, published.remedy),
      epoch: published.epoch,
      objects: published.objects,
      pending: published.pending,
    },
  };
}

function eventsStatus(events: KernelEvents | undefined): Pick<Status, 'notifier'> {
  if (events === undefined) return {};
  const { reason, hooks, ...rest } = events.status();
  return {
    notifier: {
      ...rest,
      ...(reason !== undefined && { reason }),
      hooks: hooks.map(({ hook, rung, target, reason }) => ({
        hook,
        rung,
        ...(target !== undefined && { target }),
        ...(reason !== undefined && { reason }),
      })),
    },
  };
}

function firmwareStatus(firmware: HostFirmware | undefined): Pick<Status, 'firmware'> {
  const status = firmware?.status();
  return status === undefined ? {} : { firmware: { ...status } };
}
