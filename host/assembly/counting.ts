/** What was counted: by the host itself, by devices, by hardware for each entry, and beside it by the kernel. */
import type { Stats, TopEntries } from '../api/schemas.ts';
import type { KernelCounter } from '../kernel/counters.ts';
import type { KernelEvents } from '../kernel/kernel-events.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { KIND } from '../mirror/types.ts';
import type { Objects } from '../objects.ts';
import type { EntryCounter } from '../offload/counters.ts';
import { kindOfHandle } from '../offload/entry-table.ts';
import type { Planner } from '../offload/planner.ts';
import type { Statistics } from '../offload/statistics.ts';
import { ENTRY_KIND, ENTRY_KIND_NAMES } from '../plugin/records.ts';
import type { Publisher } from '../remote/publisher.ts';
import type { Source } from '../source.ts';
import type { Devices } from './devices.ts';
import type { Plugins } from './plugins.ts';
import { entryName, entryText } from './words.ts';

/** Entries listed, those with the most packets; of `countedEntries` the first of each kind, as those stay. */
const ENTRIES_MAX = 1000;
const ETHERNET_HEADER = 14;

export interface CountingParts {
  readonly mirror: Mirror;
  readonly objects: Objects;
  readonly source: Source;
  /** Undefined where the mirror does not come from the kernel. */
  readonly events: KernelEvents | undefined;
  readonly publisher: Publisher | undefined;
  readonly planner: Planner;
  readonly statistics: Statistics;
  readonly plugins: Plugins;
  readonly devices: Devices;
}

/** Every plugin reads its counters from hardware for it. */
export async function countAll(parts: CountingParts): Promise<Stats> {
  return { counters: ownCounters(parts), entries: await entryCounters(parts) };
}

function ownCounters(parts: CountingParts): Stats['counters'] {
  const { mirror, source, events, publisher, planner, plugins, devices } = parts;
  const counters: Record<string, Record<string, number>> = {
    mirror: { revision: mirror.revision, bytes: mirror.memory },
    sync: source.counters(),
  };
  if (events !== undefined) {
    const { produced, received, lost } = events.status();
    counters.notifier = { produced, received, lost };
  }
  if (publisher !== undefined) counters.publish = publisher.counters();
  for (const [name, plugin] of plugins.supervised) {
    if (plugin.counters) counters[`plugin ${name}`] = { ...plugin.counters, restarts: plugin.restarts };
  }
  for (const { plugin, resyncs } of planner.summary()) counters[`plan ${plugin}`] = { resyncs };
  for (const { name, writes, removes, epoch, traps, samples } of devices.list()) {
    if (samples !== undefined && Object.values(samples).some((count) => count > 0))
      counters[`samples of ${name}`] = { ...samples };
    counters[`device ${name}`] = { writes, removes, epoch };
    if (traps !== undefined && traps.length > 0)
      counters[`to the kernel by ${name}`] = Object.fromEntries(
        traps.map(({ reason, packets }) => [reason, packets]),
      );
  }
  return counters;
}

async function entryCounters(parts: CountingParts): Promise<Stats['entries']> {
  const { objects, source, planner, statistics } = parts;
  const all = (await statistics.now()).flatMap(({ plugin, counters }) =>
    counters.map((counter) => ({ plugin, ...counter })),
  );
  all.sort((a, b) => b.packets - a.packets);
  // What hardware counted is worth having without them; a namespace that is gone, say, is told elsewhere.
  const kernel = await source.readCounters?.().catch(() => undefined);
  return all.slice(0, ENTRIES_MAX).map(({ plugin, handle, ...counter }) => {
    const { packets, bytes, packetRate, byteRate } = counter;
    const { kind, id } = planner.resolveHandle(plugin, handle);
    const kernels = kind === undefined || id === undefined ? undefined : kernel?.of(kind, id);
    return {
      plugin,
      entry: entryText(planner, objects, plugin, handle) ?? ENTRY_KIND_NAMES[kindOfHandle(handle)] ?? 'entry',
      packets,
      bytes,
      packets_per_s: packetRate,
      bytes_per_s: byteRate,
      ...(kernels !== undefined && { kernel: kernels }),
      // The kernel's count of a port has what hardware forwarded where hardware is in the kernel's way, and not elsewhere.
      ...(kernels !== undefined && kind === KIND.filter && { total: totalOf(counter, kernels) }),
    };
  });
}

export interface CountedEntry {
  readonly plugin: string;
  readonly kind: string;
  readonly entry: string;
  readonly packets: number;
  readonly bytes: number;
}

/** As they were last read. Entries of one name, such as the parts of a filter, are one. */
export function countedEntries(
  { planner, objects }: Pick<CountingParts, 'planner' | 'objects'>,
  kinds: ReadonlySet<string>,
): CountedEntry[] {
  const found = new Map<string, CountedEntry>();
  const left = new Map([...kinds].map((kind) => [kind, ENTRIES_MAX]));
  for (const { plugin, counters } of planner.counters()) {
    for (const { handle, packets, bytes } of counters) {
      const kind = ENTRY_KIND_NAMES[kindOfHandle(handle)] ?? 'entry';
      const room = left.get(kind) ?? 0;
      if (room === 0) continue;
      const entry = entryName(planner, objects, plugin, handle) ?? kind;
      const key = `${plugin} ${kind} ${entry}`;
      const same = found.get(key) ?? { packets: 0, bytes: 0 };
      if (!found.has(key)) left.set(kind, room - 1);
      found.set(key, { plugin, kind, entry, packets: packets + same.packets, bytes: bytes + same.bytes });
    }
  }
  return [...found.values()];
}

/** The `limit` entries with the most packets a second, as they were last read; of those that count none, the ones that counted most. */
export function topEntries(
  { planner, objects }: Pick<CountingParts, 'planner' | 'objects'>,
  limit: number,
): TopEntries {
  const top: (EntryCounter & { readonly plugin: string })[] = [];
  const isBusier = (one: EntryCounter, other: EntryCounter) =>
    one.packetRate === other.packetRate ? one.packets > other.packets : one.packetRate > other.packetRate;
  for (const { plugin, counters } of planner.counters()) {
    for (const counter of counters) {
      const last = top.at(-1);
      if (counter.packets === 0 || (top.length === limit && last && !isBusier(counter, last))) continue;
      const place = top.findIndex((one) => isBusier(counter, one));
      top.splice(place < 0 ? top.length : place, 0, { plugin, ...counter });
      if (top.length > limit) top.pop();
    }
  }
  return top.map(({ plugin, handle, packets, bytes, packetRate, byteRate }) => ({
    plugin,
    entry: entryText(planner, objects, plugin, handle) ?? ENTRY_KIND_NAMES[kindOfHandle(handle)] ?? 'entry',
    packets,
    bytes,
    packets_per_s: packetRate,
    bytes_per_s: byteRate,
  }));
}

/** Filters of ingress count without the Ethernet header. */
function totalOf(hardware: KernelCounter, kernel: KernelCounter): KernelCounter {
  return {
    packets: hardware.packets + kernel.packets,
    bytes: hardware.bytes + kernel.bytes + ETHERNET_HEADER * kernel.packets,
  };
}

/** Packets that routes in hardware forwarded, as last read; undefined where more than `limit` routes count. */
export function routedPackets(planner: Planner, limit: number): number | undefined {
  let packets = 0;
  let entries = 0;
  for (const { plugin, counters } of planner.counters()) {
    for (const { handle, packets: counted } of counters) {
      if (kindOfHandle(handle) !== ENTRY_KIND.route) continue;
      if (++entries > limit) return undefined;
      const object = planner.objectOfHandle(plugin, handle);
      const states = object === undefined ? [] : planner.offloadOf(object.kind, object.id);
      if (states.some((one) => one.plugin === plugin && one.state === 'offloaded')) packets += counted;
    }
  }
  return packets;
}

/** Entries in hardware, of all plugins. */
export function offloadedEntries(planner: Planner): number {
  return planner
    .summary()
    .reduce((sum, { tables }) => sum + tables.reduce((sum, { offloaded }) => sum + offloaded, 0), 0);
}
