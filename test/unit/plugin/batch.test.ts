/** Batches in canonical layout: what the setters write is what the layout says, and limits hold. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BATCH_AREA_SIZE, BATCH_ENTRIES_MAX, BatchEncoder, BatchReader } from '../../../host/plugin/batch.ts';
import { memoryViews, type RecordCursor } from '../../../host/plugin/record-cursor.ts';
import { ACTION, FAMILY, OPERATION } from '../../../host/plugin/records.ts';
import { readValue, type Value } from '../../../host/plugin/values.ts';
import { entries, layoutOf, type RandomEntry, write } from './random-batch.ts';

function make() {
  const views = memoryViews(new SharedArrayBuffer(BATCH_AREA_SIZE));
  return { batch: new BatchEncoder(views, 0), reader: new BatchReader(views, 0) };
}

function read({ batch, reader }: ReturnType<typeof make>): void {
  for (const [list, { length }] of batch.lists.entries()) reader.lists[list]!.reset(length);
}

const LISTS = {
  port: 'ports',
  'router-interface': 'routerInterfaces',
  nexthop: 'nexthops',
  group: 'groups',
  route: 'routes',
  'vlan-member': 'vlanMembers',
  'fdb-entry': 'fdbEntries',
  'acl-rule': 'aclRules',
  flow: 'flows',
  custom: 'customs',
  tunnel: 'tunnels',
  remote: 'remotes',
  'multicast-group': 'multicastGroups',
} as const;

/** Reads the current record by its accessors into the shape that `readValue` gives. */
function throughAccessors(record: RecordCursor, type: string): Record<string, Value> {
  const layout = layoutOf(type);
  if (layout.resolved.is !== 'record') throw new Error(`${type} is a record`);
  const cursor = record as unknown as Record<string, number>;
  const result: Record<string, Value> = {};
  for (const { name, layout: field } of layout.resolved.fields) {
    const member = name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (field.resolved.is === 'record') {
      const words = [0, 1, 2, 3].map((word) => BigInt(cursor[`${member}${word}`]!));
      result[member] = { high: (words[0]! << 32n) | words[1]!, low: (words[2]! << 32n) | words[3]! };
    } else if (field.resolved.is === 'enum') result[member] = field.resolved.cases[cursor[member]!]!;
    else if (field.resolved.is === 'flags') {
      const bits = cursor[member]!;
      result[member] = Object.fromEntries(
        field.resolved.cases.map((flag, bit) => [
          flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
          ((bits >>> bit) & 1) === 1,
        ]),
      );
    } else result[member] = field.size === 8 ? BigInt(cursor[member]!) : cursor[member]!;
  }
  return result;
}

/** 64-bit fields are numbers: what does not fit in 53 bits loses its lowest ones. */
function rounded(value: Value): Value {
  if (typeof value === 'bigint') return BigInt(Number(value));
  if (typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, 'high' in value ? one : rounded(one)]),
  );
}

test('accessors read what the layout says, for every field of every record', () => {
  fc.assert(
    fc.property(entries, (found) => {
      const pair = make();
      write(pair.batch, found);
      read(pair);
      const lists = new Map<string, RandomEntry[]>();
      for (const one of found) lists.set(one.type, [...(lists.get(one.type) ?? []), one]);
      for (const [type, list] of Object.entries(LISTS)) {
        const cursor = pair.reader[list];
        const expected = lists.get(type) ?? [];
        expect(cursor.length).toBe(expected.length);
        for (const { value, members } of expected) {
          expect(cursor.next()).toBe(true);
          const actual = throughAccessors(cursor, type);
          if (type !== 'group') expect(actual).toEqual(rounded(value));
          else expect(actual).toMatchObject({ handle: value.handle, id: value.id, count: members.length });
        }
        expect(cursor.next()).toBe(false);
      }
      expect([...pair.batch.handles.subarray(0, pair.batch.count)]).toEqual(
        found.map((one) => one.value.handle),
      );
    }),
    { numRuns: 60 },
  );
});

test('setters write what the layout says', () => {
  const pair = make();
  const route = pair.batch.route(OPERATION.put, 0x50000001);
  route.action = ACTION.trap;
  route.family = FAMILY.ipv6;
  route.prefixLength = 64;
  route.vrf = 10;
  route.group = 0x40000002;
  route.setPrefix(0x20010db8, 0x00000001, 0xffffffff, 0x80000000);
  const view = new DataView(route.u8.buffer);
  expect(readValue(view, route.offset, layoutOf('route'))).toEqual({
    operation: 'put',
    action: 'trap',
    family: 'ipv6',
    prefixLength: 64,
    handle: 0x50000001,
    vrf: 10,
    group: 0x40000002,
    prefix: { high: 0x20010db800000001n, low: 0xffffffff80000000n },
  });
  const entry = pair.batch.fdbEntry(OPERATION.remove, 0x70000001);
  entry.mac = 0xffeeddccbbaa;
  expect(readValue(view, entry.offset, layoutOf('fdb-entry'))).toMatchObject({
    operation: 'remove',
    mac: 0xffeeddccbbaan,
  });
  expect(entry.mac).toBe(0xffeeddccbbaa);
});

test('members stand in one run per group', () => {
  const { batch, ...rest } = make();
  batch.group(OPERATION.put, 1, 100, 2);
  batch.member(11, 1);
  batch.member(12, 65535);
  batch.group(OPERATION.put, 2, 200, 0);
  batch.group(OPERATION.put, 3, 300, 1);
  batch.member(13, 7);
  read({ batch, ...rest });
  const { groups, members } = rest.reader;
  const shown: number[][] = [];
  while (groups.next()) shown.push([groups.handle, groups.id, groups.first, groups.count]);
  expect(shown).toEqual([
    [1, 100, 0, 2],
    [2, 200, 2, 0],
    [3, 300, 2, 1],
  ]);
  expect(members.seek(2)).toBe(true);
  expect([members.group, members.nexthop, members.weight]).toEqual([3, 13, 7]);
  expect(members.seek(3)).toBe(false);
  expect(rest.reader.length).toBe(6);
});

describe('limits', () => {
  test('a batch takes as many entries as it says, of any kinds', () => {
    const { batch } = make();
    for (let count = 0; !batch.isFull; count++) {
      expect(batch.room).toBe(BATCH_ENTRIES_MAX - count);
      batch.aclRule(OPERATION.put, count + 1);
    }
    expect(batch.count).toBe(BATCH_ENTRIES_MAX);
    expect(() => batch.port(OPERATION.put, 1)).toThrow(RangeError);
    batch.reset();
    expect([batch.isEmpty, batch.room, batch.lists[8]!.length]).toEqual([true, BATCH_ENTRIES_MAX, 0]);
  });

  test('a group without room for its members is not begun', () => {
    const { batch } = make();
    expect(() => batch.group(OPERATION.put, 1, 0, BATCH_ENTRIES_MAX)).toThrow(RangeError);
    expect(batch.isEmpty).toBe(true);
    batch.group(OPERATION.put, 1, 0, BATCH_ENTRIES_MAX - 1);
    for (let count = 1; count < BATCH_ENTRIES_MAX; count++) batch.member(count, 1);
    expect(batch.isFull).toBe(true);
    expect(() => batch.member(1, 1)).toThrow(RangeError);
  });

  test('nothing comes between a group and its members', () => {
    const { batch } = make();
    batch.group(OPERATION.put, 1, 0, 1);
    expect(() => batch.route(OPERATION.put, 2)).toThrow(RangeError);
  });

  test('a reused slot starts from zero', () => {
    const { batch } = make();
    batch.route(OPERATION.put, 1).vrf = 99;
    batch.reset();
    expect(batch.route(OPERATION.put, 2).vrf).toBe(0);
  });
});
