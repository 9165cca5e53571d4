/** The plugin under test, running as in the host, with devices of its own; what it says is checked as it arrives. */

import { deviceKinds, openDevice } from '../../../host/device/registry.ts';
import type { Device } from '../../../host/device/types.ts';
import { EkhoError } from '../../../host/errors.ts';
import { BATCH_ENTRIES_MAX, type BatchEncoder, type BatchReader } from '../../../host/plugin/batch.ts';
import type { LoadedPlugin } from '../../../host/plugin/load.ts';
import { type StartOptions, startRunner } from '../../../host/plugin/pool-runner.ts';
import type { RecordCursor } from '../../../host/plugin/record-cursor.ts';
import {
  ENTRY_KIND_NAMES,
  EVENT_TYPE_NAMES,
  REASON_NAMES,
  STATUS_NAMES,
} from '../../../host/plugin/records.ts';
import type { BatchResult, Description, Runner } from '../../../host/plugin/runner.ts';
import { readValue, type Value, writeValue } from '../../../host/plugin/values.ts';
import type { DataPaths } from './data-paths.ts';
import { type Entry, type Kind, nameOf, recordLayout } from './entry.ts';
import { OtherKernel } from './other-kernel.ts';

/** The plugin did what the contract does not allow. */
export class Wrong extends Error {}

/** The case does not apply to this plugin. */
export class LeftOut extends Error {}

export interface Outcome {
  readonly handle: number;
  readonly status: (typeof STATUS_NAMES)[number];
  readonly reason: (typeof REASON_NAMES)[number];
}

/** An answer as the report has it. */
export function told(outcome: Outcome | undefined): string {
  return outcome === undefined ? 'ok' : `${outcome.status} (${outcome.reason})`;
}

export interface Counter {
  readonly packets: number;
  readonly bytes: number;
  readonly lastUsed: number;
}

const METHODS = {
  port: 'port',
  'router-interface': 'routerInterface',
  nexthop: 'nexthop',
  route: 'route',
  'vlan-member': 'vlanMember',
  'fdb-entry': 'fdbEntry',
  'acl-rule': 'aclRule',
  flow: 'flow',
  custom: 'custom',
  tunnel: 'tunnel',
  remote: 'remote',
  'multicast-group': 'multicastGroup',
} as const;

/** Lists of a batch whose records have handles, with their kind. */
const LISTS: readonly (readonly [list: number, kind: Kind])[] = [
  [0, 'port'],
  [1, 'router-interface'],
  [2, 'nexthop'],
  [4, 'group'],
  [5, 'route'],
  [6, 'vlan-member'],
  [7, 'fdb-entry'],
  [8, 'acl-rule'],
  [9, 'flow'],
  [10, 'custom'],
  [11, 'tunnel'],
  [12, 'remote'],
  [13, 'multicast-group'],
];

/** Log lines told of a plugin that does not start, or fails a case. */
export const LOG_LINES = 5;

/** Longer than the host's own: a busy machine must not fail a plugin. How fast it is, is a case of its own. */
const LIMITS = { apply: 10_000, call: 20_000, start: 30_000, load: 60_000 };

/** A change left `pending` that is not completed within this time is a fault. */
const PENDING_MS = 5000;

/** Adds an entry to a batch. */
export function addEntry(batch: BatchEncoder, { kind, value, members }: Entry): void {
  const operation = value.operation === 'remove' ? 1 : 0;
  if (kind === 'group') {
    const count = operation === 1 ? 0 : members!.length;
    batch.group(operation, value.handle, value.id as number, count);
    for (let index = 0; index < count; index++)
      batch.member(members![index]!.nexthop, members![index]!.weight);
    return;
  }
  const record: RecordCursor = batch[METHODS[kind]](operation, value.handle);
  writeValue(new DataView(record.u8.buffer), record.offset, recordLayout(kind), value);
}

/** Room that an entry takes in a batch. */
export function roomOf({ members }: Entry): number {
  return 1 + (members?.length ?? 0);
}

/** How the plugin is run: where, by which calls and, on the device `tables`, on which of them. */
export type Way = Pick<StartOptions, 'isolation' | 'path'> & { readonly paths?: DataPaths };

type Sizes = Readonly<Record<string, number>>;

/** A device for the plugin; what ends it, and what was made around it, goes into `closers`. */
function open(kind: string, tables: Sizes | undefined, { paths }: Way, closers: (() => void)[]): Device {
  if (kind === 'tables' && paths !== undefined) {
    const path = paths.take(tables);
    closers.push(() => paths.giveBack(path));
    return path;
  }
  const other = kind === 'rtnetlink' ? new OtherKernel() : undefined;
  if (other !== undefined) closers.push(() => other.close());
  const device = openDevice(other?.config ?? { kind, name: kind, ...(tables !== undefined && { tables }) });
  closers.unshift(() => device.close());
  return device;
}

export class Subject implements AsyncDisposable {
  readonly devices: readonly Device[];
  readonly faults: string[] = [];
  readonly log: string[] = [];
  /** Names of the events that came and were not asked for yet. */
  readonly events: string[] = [];
  private readonly plugin: LoadedPlugin;
  private readonly way: Way;
  private readonly closers: readonly (() => void)[];
  private current!: Runner;
  private readonly answers = new Map<number, (outcomes: Outcome[]) => void>();
  private readonly pending = new Map<number, (reason: number) => void>();
  private down = Promise.withResolvers<EkhoError | undefined>();
  private onReady: (() => void) | undefined;

  private constructor(
    plugin: LoadedPlugin,
    devices: readonly Device[],
    way: Way,
    closers: readonly (() => void)[],
  ) {
    this.closers = closers;
    this.plugin = plugin;
    this.devices = devices;
    this.way = way;
  }

  /** @param tables rows of the device's tables, by name */
  static async start(plugin: LoadedPlugin, tables?: Sizes, way: Way = {}): Promise<Subject> {
    const kinds = deviceKinds().filter((kind) => plugin.devices.includes(kind));
    const closers: (() => void)[] = [];
    const devices: Device[] = [];
    const end = () => {
      for (const close of closers) close();
    };
    try {
      for (const kind of kinds) devices.push(open(kind, tables, way, closers));
    } catch (error) {
      end();
      throw error;
    }
    // Its links are called by the interface indexes that cases name.
    for (const device of devices) device.linksChanged?.((link) => Number(link));
    const subject = new Subject(plugin, devices, way, closers);
    try {
      await subject.bringUp();
    } catch (error) {
      end();
      throw withLog(error, subject.log);
    }
    return subject;
  }

  get runner(): Runner {
    return this.current;
  }

  get description(): Description {
    return this.current.description;
  }

  /** What can be told to fail. */
  get faulty(): Device | undefined {
    return this.path;
  }

  /** The simulated ASIC, when the plugin works on one. */
  get asic(): Device | undefined {
    return this.devices.find(({ kind }) => kind === 'asic');
  }

  /** What can be asked what it would do with a packet. */
  get path(): Device | undefined {
    return this.devices.find(({ kind }) => kind === 'asic' || kind === 'tables');
  }

  private async bringUp(): Promise<void> {
    this.down = Promise.withResolvers();
    const { paths: _, ...way } = this.way;
    this.current = await startRunner({
      plugin: this.plugin,
      devices: this.devices.map(({ share }) => share),
      path: 'direct',
      ...way,
      limits: LIMITS,
      onLog: (_, text) => this.log.push(text),
    });
    this.current.listen({
      result: (result) => this.arrived(result),
      ready: () => this.onReady?.(),
      events: (events) => {
        while (events.next()) {
          const name = EVENT_TYPE_NAMES[events.eventType] ?? `event ${events.eventType}`;
          if (name === 'completed') this.pending.get(events.handle)?.(events.value);
          else this.events.push(name);
        }
      },
      fault: (error) => this.faults.push(error.message),
      down: (error) => this.down.resolve(error),
    });
  }

  private arrived({ sequence, outcomes }: BatchResult): void {
    const found: Outcome[] = [];
    while (outcomes.next())
      found.push({
        handle: outcomes.handle,
        status: STATUS_NAMES[outcomes.status]!,
        reason: REASON_NAMES[outcomes.reason]!,
      });
    this.answers.get(sequence)?.(found);
    this.answers.delete(sequence);
  }

  /** Rejects as soon as the plugin is down: what `wanted` waits for will not come then. */
  private alive<T>(wanted: Promise<T>): Promise<T> {
    const ended = this.down.promise.then((error) => {
      throw error ?? new Wrong('the plugin stopped by itself');
    });
    return Promise.race([wanted, ended]);
  }

  /** Commits what `add` puts into a batch as soon as there is a slot; resolves to what was not plain success. */
  async send(add: (batch: BatchEncoder) => void): Promise<Outcome[]> {
    let batch = this.current.begin();
    while (batch === undefined) {
      await this.alive(new Promise<void>((resolve) => (this.onReady = resolve)));
      batch = this.current.begin();
    }
    add(batch);
    const sequence = this.current.commit();
    return this.alive(new Promise<Outcome[]>((resolve) => this.answers.set(sequence, resolve)));
  }

  /** One batch, and what became of it once nothing is pending any more. */
  async apply(entries: readonly Entry[]): Promise<Outcome[]> {
    if (entries.reduce((sum, entry) => sum + roomOf(entry), 0) > BATCH_ENTRIES_MAX)
      throw new RangeError('more entries than a batch holds');
    // Before it is sent: a completion may come right behind the answer.
    const completed = new Map<number, Promise<number>>();
    for (const { value } of entries)
      completed.set(value.handle, new Promise((resolve) => this.pending.set(value.handle, resolve)));
    const outcomes = await this.send((batch) => {
      for (const entry of entries) addEntry(batch, entry);
    });
    if (this.faults.length > 0) throw new Wrong(this.faults[0]);
    const settled = await Promise.all(
      outcomes.map(async (outcome) => {
        if (outcome.status !== 'pending') return outcome;
        const reason = await this.completion(outcome.handle, completed.get(outcome.handle)!);
        return { ...outcome, status: 'failed' as const, reason: REASON_NAMES[reason] ?? 'none' };
      }),
    );
    this.pending.clear();
    return settled.filter(({ status, reason }) => !(status === 'failed' && reason === 'none'));
  }

  private async completion(handle: number, completed: Promise<number>): Promise<number> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Wrong(`${nameOf(handle)} stayed pending for ${PENDING_MS} ms`)),
        PENDING_MS,
      );
    });
    try {
      return await this.alive(Promise.race([completed, late]));
    } finally {
      clearTimeout(timer);
    }
  }

  /** What it says the hardware holds, by handle. Throws `Wrong` for pages that break the contract. */
  async held(): Promise<Map<number, Entry>> {
    const found = new Map<number, Entry>();
    await this.current.readback((page) => {
      const members = recordsOf(page.members, 'member');
      for (const [list, kind] of LISTS)
        for (const value of recordsOf(page.lists[list]!, kind)) {
          const entry = entryOf(kind, value, members);
          const { handle } = entry.value;
          if (found.has(handle)) throw new Wrong(`readback lists ${nameOf(handle)} twice`);
          found.set(handle, entry);
        }
    });
    return found;
  }

  async counters(): Promise<Map<number, Counter>> {
    const found = new Map<number, Counter>();
    await this.current.collect((counters) => {
      while (counters.next()) {
        const { handle, packets, bytes, lastUsed } = counters;
        if (found.has(handle)) throw new Wrong(`collect lists ${nameOf(handle)} twice`);
        found.set(handle, { packets, bytes, lastUsed });
      }
    });
    return found;
  }

  /** Entries in use by kind, summed over the tables of a kind. */
  async used(): Promise<Map<Kind, number>> {
    const found = new Map<Kind, number>();
    await this.current.tables((tables) => {
      while (tables.next()) {
        const kind = ENTRY_KIND_NAMES[tables.kind];
        if (kind === undefined) throw new Wrong(`tables lists a kind ${tables.kind}`);
        if (tables.used > tables.capacity)
          throw new Wrong(`tables says ${tables.used} of ${tables.capacity} entries of ${kind} are in use`);
        found.set(kind, (found.get(kind) ?? 0) + tables.used);
      }
    });
    return found;
  }

  async poll(): Promise<void> {
    await this.current.poll();
  }

  /** Ends it, in order or not, and starts it again on the same devices. */
  async restart(how: 'stop' | 'kill'): Promise<void> {
    if (how === 'stop') await this.current.stop();
    else this.current.kill(new EkhoError('E_PLUGIN_DOWN', 'the suite ended the plugin'));
    const error = await this.down.promise;
    if (how === 'stop' && error !== undefined) throw error;
    this.answers.clear();
    await this.bringUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.current.stop();
    for (const close of this.closers) close();
  }
}

/** What it said before it failed to start tells more than the failure. */
function withLog(error: unknown, log: readonly string[]): unknown {
  if (!(error instanceof EkhoError) || log.length === 0) return error;
  const lines = log.slice(-LOG_LINES).map((line) => `\nthe plugin said: ${line}`);
  const { remedy } = error;
  return new EkhoError(error.code, error.message + lines.join(''), {
    ...(remedy !== undefined && { remedy }),
    cause: error,
  });
}

function entryOf(kind: Kind, value: Record<string, Value>, members: Record<string, Value>[]): Entry {
  if (kind !== 'group') return { kind, value: value as Entry['value'] };
  const { first, count, ...rest } = value as Record<string, Value> & { handle: number };
  const own = members.slice(first as number, (first as number) + (count as number));
  if (own.length !== count || own.some((member) => member.group !== rest.handle))
    throw new Wrong(`readback lists ${nameOf(rest.handle)} without its members on the same page`);
  return {
    kind,
    value: rest,
    members: own.map(({ nexthop, weight }) => ({ nexthop: nexthop as number, weight: weight as number })),
  };
}

function recordsOf(records: BatchReader['lists'][number], kind: Kind | 'member'): Record<string, Value>[] {
  const view = new DataView(records.u8.buffer);
  const layout = recordLayout(kind);
  const found: Record<string, Value>[] = [];
  for (records.rewind(); records.next(); )
    found.push(readValue(view, records.offset, layout) as Record<string, Value>);
  return found;
}
