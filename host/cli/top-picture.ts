/** What `ekho top` shows at one moment, as lines that fit a terminal. */
import type { SeriesAnswer, Status, TopEntries } from '../api/schemas.ts';
import { bytes, type Colour, count, paint, paintState, plain, table } from './output.ts';

/** Narrower terminals get lines of this width, cut by the terminal itself. */
export const WIDTH_MIN = 80;
/** Cells of a table's fill. */
const BAR = 20;
/** A table is nearly full from here on. */
const FULL = 0.9;

export interface Moment {
  readonly status: Status;
  readonly series: SeriesAnswer;
  readonly top: TopEntries;
  /** Milliseconds of `performance.now`. */
  readonly at: number;
}

export interface Picture {
  readonly now: Moment;
  /** The one before, of the same host: rates are between the two. */
  readonly before: Moment | undefined;
  /** Why there is nothing newer than `now`. */
  readonly trouble: string | undefined;
  /** Characters and lines; without `height` all that there is. */
  readonly width: number;
  readonly height?: number;
}

/** At most `height` lines of at most `width` characters. */
export function draw(picture: Picture): string[] {
  const width = Math.max(WIDTH_MIN, picture.width);
  const { now, before, trouble } = picture;
  const blocks = [offloadBlock(now), pluginBlock(now, before), tableBlock(now), entryBlock(now)];
  const lines = [
    ...head(now),
    ...(trouble === undefined ? [] : [paint('red', plain(trouble))]),
    ...alerts(now),
  ];
  for (const block of blocks) if (block.length > 0) lines.push('', ...block);
  return lines.slice(0, picture.height).map((line) => clip(line, width));
}

const last = (values: readonly (number | null)[]): number | undefined =>
  values.findLast((value) => value !== null) ?? undefined;

function head({ status, series: { columns } }: Moment): string[] {
  const { version, netns, synced, revision, kinds, memory_bytes } = status;
  const objects = kinds.reduce((sum, kind) => sum + kind.count, 0);
  const hardware = last(columns.hardware_packets_per_s);
  const kernel = last(columns.kernel_packets_per_s);
  const all = (hardware ?? 0) + (kernel ?? 0);
  const share = all === 0 ? '' : ` (${((100 * (hardware ?? 0)) / all).toFixed(1)}% by hardware)`;
  const where = netns === undefined ? '' : `, ${plain(netns)}`;
  return [
    `${paint('bold', `ekho ${version}`)}${where}: ${synced ? paint('green', 'in sync') : paint('yellow', 'synchronising')} at revision ${count(revision)}, ${count(objects)} objects, ${bytes(memory_bytes)}`,
    `changes/s ${rate(last(columns.changes_per_s))}  until in hardware p50 ${ms(last(columns.latency_p50_ms))} p99 ${ms(last(columns.latency_p99_ms))}  packets/s hardware ${rate(hardware)} kernel ${rate(kernel)}${share}`,
  ];
}

/** What needs a look. */
function alerts({ status: { kinds, plugins, devices, offload, netns, netns_deleted } }: Moment): string[] {
  const lines: [Colour, string][] = [];
  if (netns_deleted) lines.push(['red', `network namespace ${netns} was deleted`]);
  for (const { kind, state, reason } of kinds)
    if (state === 'syncing' && reason !== undefined) lines.push(['red', `${kind}: ${reason}`]);
  for (const { name, state, reason, device } of plugins) {
    const isWell =
      ['active', 'starting', 'syncing'].includes(state) || (state === 'found' && device === undefined);
    if (!isWell) lines.push(['red', `plugin ${name} is ${state}${reason ? `: ${reason}` : ''}`]);
  }
  for (const { plugin, kind, failed } of offload)
    if (failed > 0) lines.push(['red', `${count(failed)} of ${kind} failed in ${plugin}`]);
  for (const { name, tables } of devices)
    for (const { name: of, used, capacity } of tables)
      if (capacity > 0 && used >= FULL * capacity)
        lines.push(['yellow', `table ${of} of ${name} holds ${count(used)} of ${count(capacity)}`]);
  return lines.map(([colour, text]) => paint(colour, `! ${plain(text)}`));
}

function offloadBlock({ status: { offload } }: Moment): string[] {
  if (offload.length === 0) return [];
  return rows(
    ['PLUGIN', 'KIND', 'OFFLOADED', 'TRAPPED', 'REFUSED', 'FAILED', 'PENDING'],
    offload.map(({ plugin, kind, offloaded, trapped, refused, failed, pending }) => [
      plain(plugin),
      kind,
      ...[offloaded, trapped, refused, failed, pending].map(count),
    ]),
  );
}

function pluginBlock({ status, at }: Moment, before: Moment | undefined): string[] {
  const seconds = before === undefined ? 0 : (at - before.at) / 1000;
  const known = status.plugins.filter(({ state, device }) => state !== 'found' || device !== undefined);
  if (known.length === 0) return [];
  return rows(
    ['PLUGIN', 'STATE', 'BATCHES/S', 'ENTRIES/S', 'LATENCY', 'RESTARTS', 'DEVICE'],
    known.map((plugin) => {
      const { name, state, batches, entries, apply_us, restarts, device } = plugin;
      const old = before?.status.plugins.find((one) => one.name === name);
      // Its counters begin anew when it does.
      const isSame = old !== undefined && seconds > 0 && old.batches <= batches && old.restarts === restarts;
      const more = isSame ? batches - old.batches : 0;
      // Without batches in between, the mean since it came up.
      const latency_us =
        more > 0 ? (apply_us - old!.apply_us) / more : batches === 0 ? undefined : apply_us / batches;
      return [
        plain(name),
        paintState(state),
        isSame ? rate(more / seconds) : '-',
        isSame ? rate((entries - old.entries) / seconds) : '-',
        ms(latency_us === undefined ? undefined : latency_us / 1000),
        count(restarts),
        device ?? '-',
      ];
    }),
  );
}

function tableBlock({ status: { devices } }: Moment): string[] {
  const all = devices.flatMap(({ name, tables }) => tables.map((one) => ({ device: name, ...one })));
  const used = all.filter((one) => one.used > 0).sort((a, b) => b.used / b.capacity - a.used / a.capacity);
  if (used.length === 0) return [];
  return rows(
    ['DEVICE', 'TABLE', 'FILL', '', 'USED', 'CAPACITY'],
    used.map(({ device, name, used, capacity }) => {
      const share = capacity === 0 ? 0 : Math.min(1, used / capacity);
      const full = Math.ceil(share * BAR);
      const bar = `${'#'.repeat(full)}${'.'.repeat(BAR - full)}`;
      const percent = `${Math.ceil(share * 100)}%`;
      return [device, name, share >= FULL ? paint('red', bar) : bar, percent, count(used), count(capacity)];
    }),
  );
}

function entryBlock({ top }: Moment): string[] {
  if (top.length === 0) return [];
  return rows(
    ['PACKETS/S', 'BYTES/S', 'PACKETS', 'PLUGIN', 'ENTRY'],
    top.map(({ packets_per_s, bytes_per_s, packets, plugin, entry }) => [
      rate(packets_per_s),
      rate(bytes_per_s),
      count(packets),
      plain(plugin),
      plain(entry),
    ]),
  );
}

function rows(titles: readonly string[], cells: readonly (readonly string[])[]): string[] {
  return table(titles, cells).trimEnd().split('\n');
}

function rate(value: number | undefined): string {
  return value === undefined ? '-' : count(Math.round(value));
}

function ms(value: number | undefined): string {
  return value === undefined ? '-' : `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

/** The first `width` characters, and all that sets colours. */
function clip(line: string, width: number): string {
  let left = width;
  let text = '';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what paints begins with one.
  for (const [part, code] of line.matchAll(/(\x1b\[[\d;]*m)|[^\x1b]+/g)) {
    if (code !== undefined) text += code;
    else {
      const shown = [...part].slice(0, left);
      left -= shown.length;
      text += shown.join('');
    }
  }
  return text;
}
