/** Objects as they stand in a bucket: keys that NATS takes, values of one format, and tables made from them. */
import { describe, expect, test } from 'vitest';
import { KEYS } from '../../../host/mirror/keys.ts';
import { ObjectTable } from '../../../host/mirror/table.ts';
import { Transaction } from '../../../host/mirror/transaction.ts';
import { KIND, type KINDS } from '../../../host/mirror/types.ts';
import { encodeObject } from '../../../host/netlink/encode.ts';
import { type Datagram, datagram } from '../../../host/netlink/message.ts';
import { decodeValue, encodeValue, entryKey, parseKey, VALUE_HEADER } from '../../../host/remote/entry.ts';
import { RemoteObjects } from '../../../host/remote/objects.ts';
import { encodeRecord, parseRecord } from '../../../host/remote/record.ts';

const HEADER = { order: -3, epoch: 2 ** 40, revision: 2 ** 41 };

function route(dst: string, tos = 0): Datagram {
  const header = {
    family: 2,
    dst_len: 24,
    src_len: 0,
    tos,
    table: 254,
    protocol: 3,
    scope: 0,
    type: 1,
    flags: 0,
  };
  return datagram(encodeObject('route', { header, dst, oif: 2 }));
}

function table(kind: (typeof KINDS)[number]): ObjectTable {
  return new ObjectTable(KIND[kind], KEYS[kind], new Transaction());
}

describe('a key', () => {
  test('is one that a NATS key-value bucket takes', () => {
    const data = route('192.0.2.0');
    const key = entryKey(KIND.route, data, 0, data.bytes.length, 7)!;
    expect(key).toMatch(/^route\.[-_A-Za-z0-9]+\.7$/);
    expect(parseKey(key)).toEqual({ kind: KIND.route, alias: 7 });
  });

  test('is short for a long identity too, and tells two apart', () => {
    const rule = (priority: number): string => {
      const header = { family: 10, dst_len: 128, src_len: 128, tos: 0, table: 254, action: 1, flags: 0 };
      const address = '2001:db8:ffff:ffff:ffff:ffff:ffff:1';
      const names = { iifname: 'interface-name1', oifname: 'interface-name2' };
      const object = { header, dst: address, src: address, ...names, priority };
      const data = datagram(encodeObject('rule', object));
      return entryKey(KIND.rule, data, 0, data.bytes.length, 0)!;
    };
    expect(rule(1)).toMatch(/^rule\.=[-_A-Za-z0-9]{43}\.0$/);
    expect(rule(1)).not.toBe(rule(2));
  });

  test.each([
    '',
    'route',
    'route.AA',
    'gadget.AA.0',
    'route.AA.x',
    'route.AA.01',
    'route.AA.65535',
    'route.AA.-1',
  ])('"%s" is none', (key) => expect(parseKey(key)).toBeUndefined());
});

describe('a value', () => {
  test('gives back what it was made of', () => {
    const data = route('192.0.2.0');
    const value = encodeValue(HEADER, data, 0, data.bytes.length);
    const entry = decodeValue(value)!;
    expect(entry).toMatchObject(HEADER);
    expect([...entry.data.bytes.subarray(0, entry.end)]).toEqual([...data.bytes]);
  });

  test('of another format, without an object or with half a word is none', () => {
    const data = route('192.0.2.0');
    const value = encodeValue(HEADER, data, 0, data.bytes.length);
    expect(decodeValue(value.subarray(0, VALUE_HEADER))).toBeUndefined();
    expect(decodeValue(value.subarray(0, value.length - 1))).toBeUndefined();
    expect(decodeValue(new Uint8Array(0))).toBeUndefined();
    const newer = value.slice();
    newer[0] = 2;
    expect(decodeValue(newer)).toBeUndefined();
    expect(decodeValue(new Uint8Array(VALUE_HEADER + 4 * 0x10000))).toBeUndefined();
  });
});

describe('objects of a bucket', () => {
  const routes = table('route');
  const objects = new RemoteObjects(
    () => routes,
    (kind) => kind === KIND.route,
  );
  const put = (alias: number, data: Datagram, order = 0) =>
    objects.put(
      entryKey(KIND.route, data, 0, data.bytes.length, alias)!,
      encodeValue({ ...HEADER, order }, data, 0, data.bytes.length),
    );

  test('with one identity are kept apart by their aliases, in the order their values say', () => {
    const data = route('192.0.2.0');
    expect(put(0, data, 5)).toBeUndefined();
    expect(put(3, data, 1)).toBeUndefined();
    const matches = routes.match(data, 0, data.bytes.length)!;
    expect([...matches.ids.subarray(0, matches.length)].map((id) => routes.orderOf(id))).toEqual([1, 5]);
    objects.delete(entryKey(KIND.route, data, 0, data.bytes.length, 0)!);
    expect(routes.count).toBe(1);
    objects.delete(entryKey(KIND.route, data, 0, data.bytes.length, 0)!);
    expect(routes.count).toBe(1);
    objects.delete(entryKey(KIND.route, data, 0, data.bytes.length, 3)!);
    expect(routes.count).toBe(0);
  });

  test('are left out when they are not what their key says, and what was there goes', () => {
    const [one, other] = [route('198.51.100.0'), route('203.0.113.0')];
    put(0, one);
    const key = entryKey(KIND.route, one, 0, one.bytes.length, 0)!;
    expect(objects.put(key, encodeValue(HEADER, other, 0, other.bytes.length))).toBe('identity');
    expect(routes.count).toBe(0);
    const broken = route('198.51.100.0');
    broken.bytes[12] = 200;
    expect(objects.put(key, encodeValue(HEADER, broken, 0, broken.bytes.length))).toBe('layout');
    expect(objects.put(key, new Uint8Array(3))).toBe('format');
    expect(objects.put('what', new Uint8Array(3))).toBe('key');
    expect(objects.put('link.AAAA.0', new Uint8Array(3))).toBeUndefined();
  });
});

test('a record that is none is not read', () => {
  const record = {
    format: 1 as const,
    epoch: 4,
    owner: 'o',
    host: 'h',
    machine: 'm',
    kernel: 'k',
    byte_order: 'little' as const,
    lease_s: 10,
    released: false,
    complete: true,
    revision: 9,
    kinds: { link: { state: 'synced' as const } },
  };
  expect(parseRecord(encodeRecord(record))).toEqual(record);
  expect(parseRecord(Buffer.from(JSON.stringify({ ...record, epoch: -1 })))).toBeUndefined();
  expect(
    parseRecord(Buffer.from(JSON.stringify({ ...record, kinds: { link: { state: 'odd' } } }))),
  ).toBeUndefined();
  expect(parseRecord(Buffer.from('{'))).toBeUndefined();
  expect(parseRecord(Buffer.alloc(65 * 1024, ' '))).toBeUndefined();
});
