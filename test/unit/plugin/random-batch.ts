/** Random batches for property tests: every record of every list with random fields. */

import fc from 'fast-check';
import { BATCH_ENTRIES_MAX, type BatchEncoder } from '../../../host/plugin/batch.ts';
import type { Layout } from '../../../host/plugin/layout.ts';
import { readLayouts } from '../../../host/plugin/package.ts';
import type { RecordCursor } from '../../../host/plugin/record-cursor.ts';
import { type Value, writeValue } from '../../../host/plugin/values.ts';

const LAYOUTS = readLayouts();

const METHODS = {
  port: 'port',
  'router-interface': 'routerInterface',
  nexthop: 'nexthop',
  group: 'group',
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

export interface RandomEntry {
  readonly type: keyof typeof METHODS;
  readonly value: Record<string, Value>;
  /** Of a group: nexthop handle and weight. */
  readonly members: readonly (readonly [number, number])[];
}

export function arbitrary(layout: Layout): fc.Arbitrary<Value> {
  const { resolved } = layout;
  switch (resolved.is) {
    case 'primitive':
      if (resolved.primitive === 'bool') return fc.boolean();
      if (resolved.primitive === 'u64') return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
      return fc.integer({ min: 0, max: 2 ** (layout.size * 8) - 1 });
    case 'enum':
      return fc.constantFrom(...resolved.cases);
    case 'flags':
      return fc.record(Object.fromEntries(resolved.cases.map((name) => [camel(name), fc.boolean()])));
    case 'record':
      return fc.record(
        Object.fromEntries(resolved.fields.map((field) => [camel(field.name), arbitrary(field.layout)])),
      );
    default:
      throw new TypeError('lists are not made here');
  }
}

function camel(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

export function layoutOf(type: string): Layout {
  return LAYOUTS.named('types', type);
}

const entry: fc.Arbitrary<RandomEntry> = fc.oneof(
  ...(Object.keys(METHODS) as RandomEntry['type'][]).map((type) =>
    fc.record({
      type: fc.constant(type),
      value: arbitrary(layoutOf(type)) as fc.Arbitrary<Record<string, Value>>,
      members: fc.array(fc.tuple(fc.nat(2 ** 32 - 1), fc.integer({ min: 1, max: 65535 })), {
        maxLength: type === 'group' ? 5 : 0,
      }),
    }),
  ),
);

/** Entries with handles that differ. */
export const entries: fc.Arbitrary<RandomEntry[]> = fc
  .array(entry, { maxLength: 60, size: 'max' })
  .map((found) => [...new Map(found.map((one) => [one.value.handle, one])).values()]);

/** Writes them, each field as the layout says: without the setters that the planner uses. */
export function write(batch: BatchEncoder, found: readonly RandomEntry[]): void {
  for (const { type, value, members } of found) {
    const operation = value.operation === 'put' ? 0 : 1;
    const handle = value.handle as number;
    if (type === 'group') {
      batch.group(operation, handle, value.id as number, members.length);
      for (const [nexthop, weight] of members) batch.member(nexthop, weight);
      continue;
    }
    const record: RecordCursor = batch[METHODS[type]](operation, handle);
    const view = new DataView(record.u8.buffer);
    writeValue(view, record.offset, layoutOf(type), value);
  }
}

if (BATCH_ENTRIES_MAX < 60 * 6) throw new Error('random batches do not fit');
