/** softnic running on an ASIC of its own, and entries as plain values: for the tests of this folder. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice } from '../../../host/device/registry.ts';
import type { Device, DeviceConfig } from '../../../host/device/types.ts';
import type { BatchEncoder } from '../../../host/plugin/batch.ts';
import type { Layout } from '../../../host/plugin/layout.ts';
import { type LoadedPlugin, loadPlugin } from '../../../host/plugin/load.ts';
import { readLayouts } from '../../../host/plugin/package.ts';
import { type StartOptions, startRunner } from '../../../host/plugin/pool-runner.ts';
import type { RecordCursor } from '../../../host/plugin/record-cursor.ts';
import {
  ENTRY_KIND_NAMES,
  EVENT_TYPE_NAMES,
  REASON_NAMES,
  STATUS_NAMES,
} from '../../../host/plugin/records.ts';
import type { Runner } from '../../../host/plugin/runner.ts';
import { camelCase, readValue, type Value, writeValue } from '../../../host/plugin/values.ts';
import { buildPlugin } from '../../../plugins/toolchain/build-plugin.mjs';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const LAYOUTS = readLayouts();

export type Kind = (typeof ENTRY_KIND_NAMES)[number];

/** A record as jco's typed API has it; a group has its members in place of `first` and `count`. */
export interface Entry {
  readonly kind: Kind;
  readonly value: { readonly handle: number; readonly [field: string]: Value };
  readonly members?: readonly { readonly nexthop: number; readonly weight: number }[];
}

export interface Outcome {
  readonly handle: number;
  readonly status: string;
  readonly reason: string;
}

interface Counter {
  readonly packets: number;
  readonly bytes: number;
  readonly lastUsed: number;
  readonly drops: number;
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

/** Handle number `index` of a kind. */
export function handle(kind: Kind, index: number): number {
  return (((ENTRY_KIND_NAMES.indexOf(kind) + 1) << 28) | index) >>> 0;
}

function zero(layout: Layout): Value {
  const { resolved } = layout;
  switch (resolved.is) {
    case 'enum':
      return resolved.cases[0]!;
    case 'flags':
      return Object.fromEntries(resolved.cases.map((name) => [camelCase(name), false]));
    case 'record':
      return Object.fromEntries(resolved.fields.map(({ name, layout }) => [camelCase(name), zero(layout)]));
    default:
      return layout.size === 8 ? 0n : 0;
  }
}

/** An entry with the given fields (of flags: those that are set), all others 0. */
export function entry(
  kind: Kind,
  index: number,
  fields: Record<string, Value>,
  members?: Entry['members'],
): Entry {
  const value = zero(LAYOUTS.named('types', kind)) as Record<string, Value>;
  for (const [name, given] of Object.entries(fields)) {
    if (!(name in value)) throw new TypeError(`no field ${name} in ${kind}`);
    const flags = Array.isArray(given);
    value[name] = flags
      ? { ...(value[name] as object), ...Object.fromEntries(given.map((flag) => [flag, true])) }
      : given;
  }
  value.handle = handle(kind, index);
  if (kind !== 'group') return { kind, value: value as Entry['value'] };
  const { first: _first, count: _count, ...rest } = value;
  return { kind, value: rest as Entry['value'], members: members ?? [] };
}

export function address4(value: number): Value {
  return { high: 0n, low: BigInt(value) };
}

export function removal(entry: Entry): Entry {
  return { ...entry, value: { ...entry.value, operation: 'remove' } };
}

export async function loadSoftnic(): Promise<LoadedPlugin> {
  const output = join(ROOT, 'build/fixtures/softnic.wasm');
  await buildPlugin({ folder: join(ROOT, 'plugins/softnic'), output });
  return loadPlugin(output, { grants: ['asic'], cache: join(ROOT, 'build/fixtures/cache') });
}

function add(batch: BatchEncoder, { kind, value, members }: Entry): void {
  const operation = value.operation === 'remove' ? 1 : 0;
  if (kind === 'group') {
    batch.group(operation, value.handle, value.id as number, operation === 1 ? 0 : members!.length);
    if (operation === 0) for (const { nexthop, weight } of members!) batch.member(nexthop, weight);
    return;
  }
  const record: RecordCursor = batch[METHODS[kind]](operation, value.handle);
  writeValue(new DataView(record.u8.buffer), record.offset, LAYOUTS.named('types', kind), value);
}

function values(records: RecordCursor, type: string): Record<string, Value>[] {
  const view = new DataView(records.u8.buffer);
  const found: Record<string, Value>[] = [];
  records.rewind();
  while (records.next())
    found.push(readValue(view, records.offset, LAYOUTS.named('types', type)) as Record<string, Value>);
  return found;
}

/** Lists of a batch that have handles, with their kind. */
const LISTS: readonly (readonly [number, Kind])[] = [
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

export class Softnic implements AsyncDisposable {
  readonly runner: Runner;
  readonly device: Device;
  readonly events: string[] = [];
  readonly log: string[];
  private readonly answers = new Map<number, (outcomes: Outcome[]) => void>();

  private constructor(runner: Runner, device: Device, log: string[]) {
    this.runner = runner;
    this.device = device;
    this.log = log;
    runner.listen({
      result: ({ sequence, outcomes }) => {
        const found: Outcome[] = [];
        while (outcomes.next())
          found.push({
            handle: outcomes.handle,
            status: STATUS_NAMES[outcomes.status]!,
            reason: REASON_NAMES[outcomes.reason]!,
          });
        this.answers.get(sequence)!(found);
      },
      ready: () => {},
      events: (events) => {
        while (events.next()) this.events.push(EVENT_TYPE_NAMES[events.eventType]!);
      },
      fault: (error) => {
        throw error;
      },
      down: () => {},
    });
  }

  static async start(
    plugin: LoadedPlugin,
    config: Partial<DeviceConfig> = {},
    options: Partial<StartOptions> = {},
  ): Promise<Softnic> {
    const device = openDevice({ kind: 'asic', name: 'softnic', ...config });
    const log: string[] = [];
    try {
      return new Softnic(
        await startRunner({
          plugin,
          devices: [device.share],
          onLog: (_, text) => log.push(text),
          ...options,
        }),
        device,
        log,
      );
    } catch (error) {
      device.close();
      throw error;
    }
  }

  /** Sends one batch; what was not plain success. */
  apply(entries: readonly Entry[]): Promise<Outcome[]> {
    const batch = this.runner.begin()!;
    for (const entry of entries) add(batch, entry);
    return new Promise((resolve) => this.answers.set(this.runner.commit(), resolve));
  }

  /** What it says the ASIC holds, by handle. */
  async held(): Promise<Map<number, Entry>> {
    const found = new Map<number, Entry>();
    await this.runner.readback((page) => {
      const members = values(page.members, 'member');
      for (const [list, kind] of LISTS) {
        for (const value of values(page.lists[list]!, kind)) {
          const { first, count, ...rest } = value as Record<string, Value> & { handle: number };
          if (found.has(rest.handle)) throw new Error(`handle ${rest.handle} twice`);
          if (kind !== 'group') {
            found.set(rest.handle, { kind, value: value as Entry['value'] });
            continue;
          }
          const own = members.slice(first as number, (first as number) + (count as number));
          if (own.some((member) => member.group !== rest.handle))
            throw new Error('a member of another group');
          found.set(rest.handle, {
            kind,
            value: rest,
            members: own.map(({ nexthop, weight }) => ({
              nexthop: nexthop as number,
              weight: weight as number,
            })),
          });
        }
      }
    });
    return found;
  }

  /** Packets and bytes by handle. */
  async counters(): Promise<Map<number, Counter>> {
    const found = new Map<number, Counter>();
    await this.runner.collect((counters) => {
      while (counters.next()) {
        const { handle, packets, bytes, lastUsed, drops } = counters;
        if (found.has(handle)) throw new Error(`handle ${handle} twice`);
        found.set(handle, { packets, bytes, lastUsed, drops });
      }
    });
    return found;
  }

  async tables(): Promise<Record<string, { capacity: number; used: number }>> {
    const found: Record<string, { capacity: number; used: number }> = {};
    await this.runner.tables((tables) => {
      while (tables.next())
        found[ENTRY_KIND_NAMES[tables.kind]!] = { capacity: tables.capacity, used: tables.used };
    });
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runner.stop();
    this.device.close();
  }
}
