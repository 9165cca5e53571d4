/**
 * What Prometheus reads: names by its conventions, labels that are bounded by the configuration and by what the kernel has
 * kinds of. docs/metrics.md lists them; a test holds it to this table.
 */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { CountedEntry } from '../assembly/counting.ts';
import type { OffloadKindCount } from '../assembly/offloads.ts';
import type { Host } from '../host.ts';
import { OFFLOAD_STATES } from '../offload/reasons.ts';
import { ENTRY_KIND_NAMES } from '../plugin/records.ts';
import type { Status } from './schemas.ts';
import { Shared } from './shared.ts';

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Several that scrape at a time are told the same. */
const MOMENT_MS = 500;

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

interface Seen {
  readonly status: Status;
  /** Of what keeps the mirror in line with the kernel. */
  readonly sync: Readonly<Record<string, number>>;
  readonly mirrorBytes: number;
  readonly forwarded: number | undefined;
  readonly spans: Readonly<{ exported: number; failed: number }> | undefined;
  readonly log: { readonly lines: Readonly<Record<string, number>>; readonly dropped: number };
  /** Of the kinds that were asked for. */
  readonly entries: readonly CountedEntry[];
  readonly offloads: readonly OffloadKindCount[];
}

interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: (seen: Seen) => Iterable<Sample>;
}

const one = (value: number | undefined): Sample[] => (value === undefined ? [] : [[{}, value]]);

/** A counter of the synchronisation by its own name. */
function sync(counter: string, name: string, help: string): Metric {
  return { name, type: 'counter', help, samples: ({ sync }) => one(sync[counter]) };
}

export const METRICS: readonly Metric[] = [
  {
    name: 'ekho_build_info',
    type: 'gauge',
    help: 'Always 1; the version is a label.',
    samples: ({ status: { version } }) => [[{ version }, 1]],
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    help: 'When the host was started, in seconds since 1970.',
    samples: ({ status: { uptime_s } }) => one(Math.round(Date.now() / 1000 - uptime_s)),
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    help: 'Resident memory of the host.',
    samples: ({ status }) => one(status.memory_bytes),
  },
  {
    name: 'ekho_loop_held_seconds_total',
    type: 'counter',
    help: 'Time in which the host stood still, two seconds or longer at a time: it was stopped, or had no processor time.',
    samples: ({ status }) => one(status.held_s),
  },
  {
    name: 'ekho_descriptors_short_seconds_total',
    type: 'counter',
    help: 'Time in which the host had no file descriptor left: it takes no connections then.',
    samples: ({ status }) => one(status.descriptors_short_s),
  },
  {
    name: 'ekho_mirror_namespace_deleted',
    type: 'gauge',
    help: '1 when the mirrored network namespace was deleted: the host is to be started again.',
    samples: ({ status }) => one(Number(status.netns_deleted ?? false)),
  },
  {
    name: 'ekho_mirror_synced',
    type: 'gauge',
    help: '1 while the mirror is in sync with the kernel.',
    samples: ({ status }) => one(Number(status.synced)),
  },
  {
    name: 'ekho_mirror_changes_total',
    type: 'counter',
    help: 'Changes of objects: the revision.',
    samples: ({ status }) => one(status.revision),
  },
  {
    name: 'ekho_mirror_objects',
    type: 'gauge',
    help: 'Objects by kind.',
    samples: ({ status }) => status.kinds.map(({ kind, count }) => [{ kind }, count]),
  },
  {
    name: 'ekho_mirror_kind_available',
    type: 'gauge',
    help: '0 for kinds that the kernel does not give to the host.',
    samples: ({ status }) =>
      status.kinds.map(({ kind, state }) => [{ kind }, Number(state !== 'unavailable')]),
  },
  {
    name: 'ekho_mirror_memory_bytes',
    type: 'gauge',
    help: 'Memory of the mirrored objects.',
    samples: ({ mirrorBytes }) => one(mirrorBytes),
  },
  sync('notifications', 'ekho_sync_notifications_total', 'Netlink notifications received.'),
  sync(
    'overruns',
    'ekho_sync_overruns_total',
    'Times the receive buffer was too small and the kernel lost notifications.',
  ),
  sync('resyncs', 'ekho_sync_resyncs_total', 'Times kinds were read again as a whole.'),
  sync('rereads', 'ekho_sync_rereads_total', 'Dumps to find what was deleted without a word.'),
  sync(
    'foundGone',
    'ekho_sync_found_gone_total',
    'Objects found to be gone that the kernel had not announced.',
  ),
  sync(
    'malformed',
    'ekho_sync_malformed_messages_total',
    'Messages of the kernel that did not follow their layout: what they were about is read again.',
  ),
  sync(
    'interrupted',
    'ekho_sync_interrupted_dumps_total',
    'Dumps that were repeated: the kernel marked them as inconsistent, or IPv6 routes were, or may have been, deleted meanwhile.',
  ),
  {
    name: 'ekho_notifier_events_total',
    type: 'counter',
    help: 'Events of the kernel’s notifiers that were read.',
    samples: ({ status }) => one(status.notifier?.received),
  },
  {
    name: 'ekho_notifier_lost_events_total',
    type: 'counter',
    help: 'Events of the kernel’s notifiers that found the ring full.',
    samples: ({ status }) => one(status.notifier?.lost),
  },
  {
    name: 'ekho_kernel_forwarded_packets_total',
    type: 'counter',
    help: 'Packets that the kernel routed itself.',
    samples: ({ forwarded }) => one(forwarded),
  },
  {
    name: 'ekho_offload_entries',
    type: 'gauge',
    help: 'Planned entries by plugin, kind of entry and offload state.',
    samples: ({ status }) =>
      status.offload.flatMap((row) =>
        OFFLOAD_STATES.map((state): Sample => [{ plugin: row.plugin, kind: row.kind, state }, row[state]]),
      ),
  },
  {
    name: 'ekho_offload_objects',
    type: 'gauge',
    help: 'Objects of kinds that plugins declare (docs/offloads.md), by kind and offload state; `unknown` are those of kinds that none declares.',
    samples: ({ offloads }) =>
      offloads.flatMap(({ kind, states }) =>
        OFFLOAD_STATES.map((state): Sample => [{ kind, state }, states.get(state) ?? 0]),
      ),
  },
  {
    name: 'ekho_plugin_active',
    type: 'gauge',
    help: '1 while the plugin runs and its device is in line with the plan.',
    samples: ({ status }) =>
      ofPlugins(status, ({ state }) => Number(state === 'active' || state === 'degraded')),
  },
  {
    name: 'ekho_plugin_degraded',
    type: 'gauge',
    help: '1 while the plugin runs, but broke the contract within the last minute, or another version of its file does not run.',
    samples: ({ status }) => ofPlugins(status, ({ state }) => Number(state === 'degraded')),
  },
  {
    name: 'ekho_plugin_restarts_total',
    type: 'counter',
    help: 'Times the plugin was started again.',
    samples: ({ status }) => ofPlugins(status, ({ restarts }) => restarts),
  },
  {
    name: 'ekho_plugin_batches_total',
    type: 'counter',
    help: 'Batches given to the plugin since it last came up.',
    samples: ({ status }) => ofPlugins(status, ({ batches }) => batches),
  },
  {
    name: 'ekho_plugin_entries_total',
    type: 'counter',
    help: 'Entries in those batches.',
    samples: ({ status }) => ofPlugins(status, ({ entries }) => entries),
  },
  {
    name: 'ekho_plugin_apply_seconds_total',
    type: 'counter',
    help: 'Time from sending each of these batches to its answer, summed.',
    samples: ({ status }) => ofPlugins(status, ({ apply_us }) => apply_us / 1e6),
  },
  {
    name: 'ekho_device_table_used',
    type: 'gauge',
    help: 'Rows that a table of a device holds.',
    samples: ({ status }) => ofTables(status, ({ used }) => used),
  },
  {
    name: 'ekho_device_table_capacity',
    type: 'gauge',
    help: 'Rows that a table of a device can hold.',
    samples: ({ status }) => ofTables(status, ({ capacity }) => capacity),
  },
  {
    name: 'ekho_device_writes_total',
    type: 'counter',
    help: 'Rows written to the device since it was opened.',
    samples: ({ status }) => status.devices.map(({ name, writes }) => [{ device: name }, writes]),
  },
  {
    name: 'ekho_device_removes_total',
    type: 'counter',
    help: 'Rows removed from the device since it was opened.',
    samples: ({ status }) => status.devices.map(({ name, removes }) => [{ device: name }, removes]),
  },
  {
    name: 'ekho_device_resets_total',
    type: 'counter',
    help: 'Times that the device lost its tables.',
    samples: ({ status }) => status.devices.map(({ name, epoch }) => [{ device: name }, epoch]),
  },
  {
    name: 'ekho_device_detached_total',
    type: 'counter',
    help: 'Times that somebody else took the data path off a port. It is put back within a second.',
    samples: ({ status }) =>
      status.devices.flatMap(({ name, ports = [] }) =>
        ports.flatMap(({ link, detached }): Sample[] =>
          detached === undefined ? [] : [[{ device: name, link }, detached]],
        ),
      ),
  },
  {
    name: 'ekho_device_trapped_packets_total',
    type: 'counter',
    help: 'Packets that the device handed to the kernel, by reason.',
    samples: ({ status }) =>
      status.devices.flatMap(({ name, traps = [] }) =>
        traps.map(({ reason, packets }): Sample => [{ device: name, reason }, packets]),
      ),
  },
  {
    name: 'ekho_device_trapped_bytes_total',
    type: 'counter',
    help: 'Bytes of those packets, as `ip -s link` counts them.',
    samples: ({ status }) =>
      status.devices.flatMap(({ name, traps = [] }) =>
        traps.map(({ reason, bytes }): Sample => [{ device: name, reason }, bytes]),
      ),
  },
  {
    name: 'ekho_log_lines_total',
    type: 'counter',
    help: 'Lines of the log by level.',
    samples: ({ log }) => Object.entries(log.lines).map(([level, lines]): Sample => [{ level }, lines]),
  },
  {
    name: 'ekho_log_dropped_lines_total',
    type: 'counter',
    help: 'Lines of the log that its reader was too slow to take.',
    samples: ({ log }) => one(log.dropped),
  },
  {
    name: 'ekho_trace_spans_total',
    type: 'counter',
    help: 'Spans by what became of them: exported, or failed as the collector did not take them.',
    samples: ({ spans }) => Object.entries(spans ?? {}).map(([result, count]): Sample => [{ result }, count]),
  },
  {
    name: 'ekho_entry_packets_total',
    type: 'counter',
    help: 'Packets that hardware forwarded by an entry.',
    samples: ({ entries }) => ofEntries(entries, ({ packets }) => packets),
  },
  {
    name: 'ekho_entry_bytes_total',
    type: 'counter',
    help: 'Bytes of those packets, as `ip -s link` counts them.',
    samples: ({ entries }) => ofEntries(entries, ({ bytes }) => bytes),
  },
];

function ofEntries(entries: readonly CountedEntry[], value: (entry: CountedEntry) => number): Sample[] {
  return entries.map((counted) => {
    const { plugin, kind, entry } = counted;
    return [{ plugin, kind, entry }, value(counted)];
  });
}

/** Kinds of entries, with commas between. */
const KINDS_ASKED = `^(${ENTRY_KIND_NAMES.join('|')})(,(${ENTRY_KIND_NAMES.join('|')}))*$`;
/** As many as there are ports. */
const USUAL = 'port';

type OfPlugin = (plugin: Status['plugins'][number]) => number;

/** Plugins of the configuration: files that only lie in the folder have nothing to count. */
function ofPlugins({ plugins }: Status, value: OfPlugin): Sample[] {
  return plugins
    .filter(({ state, device }) => state !== 'found' || device !== undefined)
    .map((plugin) => [{ plugin: plugin.name }, value(plugin)]);
}

function ofTables(
  { devices }: Status,
  value: (table: { used: number; capacity: number }) => number,
): Sample[] {
  return devices.flatMap(({ name, tables }) =>
    tables.map((table): Sample => [{ device: name, table: table.name }, value(table)]),
  );
}

/** Serves `/metrics`, where Prometheus looks unless it is told otherwise. */
export function serveMetrics(instance: FastifyInstance, host: Host): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const status = new Shared(() => host.status(), MOMENT_MS);
  const schema = {
    summary: 'What Prometheus reads (docs/metrics.md)',
    tags: ['host'],
    produces: [METRICS_TYPE],
    querystring: Type.Object(
      { entries: Type.Optional(Type.String({ pattern: KINDS_ASKED, maxLength: 200 })) },
      { additionalProperties: false },
    ),
  };
  app.get('/metrics', { schema }, async (request, reply) => {
    const kinds = new Set((request.query.entries ?? USUAL).split(','));
    const text = metricsText({
      status: await status.get(),
      ...host.counted(),
      log: host.logs,
      spans: host.spans,
      entries: host.countedEntries(kinds),
      offloads: host.offloads.counts(),
    });
    return reply.type(METRICS_TYPE).send(text);
  });
}

/** The text exposition format. */
function metricsText(seen: Seen): string {
  let text = '';
  for (const { name, type, help, samples } of METRICS) {
    const lines = [...samples(seen)].map(([labels, value]) => `${name}${labelsText(labels)} ${value}\n`);
    if (lines.length > 0) text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
  }
  return text;
}

function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
    return `${name}="${escaped}"`;
  });
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
