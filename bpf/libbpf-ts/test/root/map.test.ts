/** Maps of every kind on the machine's kernel: single entries, batches, iteration, types, errors. */

import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import {
  BpfMap,
  BpfObject,
  type DevmapValue,
  intCodec,
  possibleCpus,
  prefixKey,
  rawCodec,
} from '../../src/index.ts';
import { compile } from '../compile.ts';
import { errorOf, Wire } from '../support.ts';

const object = BpfObject.open(compile('basics')).load();
afterAll(() => object.close());

const seed = Date.now() & 0x7fffffff;

describe('hash maps', () => {
  test('structs as keys and values, by BTF', () => {
    interface Flow {
      packets: bigint;
      delta: number;
      colour: number | string;
      name: string;
      mac: Uint8Array;
      up: boolean;
      ports: number[];
      low: number;
      high: number;
      at: { x: number; y: number };
      whole: number;
    }
    const flows = object.map<{ address: number; port: number; protocol: number }, Partial<Flow>>('flows');
    const key = { address: 0x0a000001, port: 443, protocol: 6 };
    flows.set(key, {
      packets: 1n << 63n,
      delta: -7,
      colour: 'BLUE',
      name: 'eth0',
      mac: new Uint8Array([2, 0, 0, 0, 0, 1]),
      up: true,
      ports: [1, 2, 65535],
      low: 7,
      high: 31,
      at: { x: -1, y: 2 },
      whole: 0x04030201,
    });
    expect(flows.get(key)).toEqual({
      packets: 1n << 63n,
      delta: -7,
      colour: 3,
      name: 'eth0',
      mac: new Uint8Array([2, 0, 0, 0, 0, 1]),
      up: true,
      ports: [1, 2, 65535],
      low: 7,
      high: 31,
      at: { x: -1, y: 2 },
      whole: 0x04030201,
      part: new Uint8Array([1, 2, 3, 4]),
    });
    expect([...flows.keys()]).toEqual([key]);
    flows.set(key, { low: 1 }); // what is left out is zero
    expect(flows.get(key)).toMatchObject({ low: 1, high: 0, name: '', packets: 0n });
    for (const bad of [
      { low: 8 },
      { colour: 'PINK' },
      { name: 'sixteen letters!' },
      { ports: [1] },
      { packets: -1n },
      { nothing: 1 } as never,
      new Uint8Array(3) as never,
    ]) {
      expect(errorOf(() => flows.set(key, bad)).code).toBe('E_VALUE');
    }
    expect(flows.delete(key)).toBe(true);
    expect(flows.get(key)).toBeUndefined();
  });

  test('create, replace, take, full', () => {
    const tiny = object.map<number, number>('tiny');
    expect(errorOf(() => tiny.set(1, 1, 'replace')).code).toBe('E_MISSING_KEY');
    tiny.set(1, 10, 'create');
    expect(errorOf(() => tiny.set(1, 11, 'create')).code).toBe('E_EXISTS');
    tiny.set(1, 12, 'replace');
    tiny.set(2, 20);
    expect(errorOf(() => tiny.set(3, 30))).toMatchObject({ code: 'E_FULL', errno: 'E2BIG' });
    expect(errorOf(() => tiny.set(-1, 1)).code).toBe('E_VALUE');
    expect(tiny.take(1)).toBe(12);
    expect(tiny.take(1)).toBeUndefined();
    expect(tiny.has(2)).toBe(true);
    expect(tiny.delete(7)).toBe(false);
    tiny.clear();
    expect([...tiny]).toEqual([]);
  });

  test('behaves as a Map does under any operations', () => {
    using map = BpfMap.create<number, bigint>({
      type: 'hash',
      keySize: 4,
      valueSize: 8,
      maxEntries: 64,
      value: intCodec(8, false, 'u64'),
    });
    const number = fc.nat(20);
    const operation = fc.oneof(
      fc.tuple(fc.constant('set' as const), number, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })),
      fc.tuple(fc.constant('delete' as const), number, fc.constant(0n)),
      fc.tuple(fc.constant('batch' as const), number, fc.constant(5n)),
      fc.tuple(fc.constant('remove' as const), number, fc.constant(0n)),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const model = new Map<number, bigint>();
        map.clear();
        for (const [kind, key, value] of operations) {
          const keys = [key, key + 1, key + 2];
          if (kind === 'set') {
            map.set(key, value);
            model.set(key, value);
          } else if (kind === 'delete') {
            expect(map.delete(key)).toBe(model.delete(key));
          } else if (kind === 'batch') {
            map.setBatch(keys, [value, value, value]);
            for (const each of keys) model.set(each, value);
          } else {
            expect(map.deleteBatch(keys)).toBe(keys.filter((each) => model.delete(each)).length);
          }
        }
        expect(new Map([...map].sort(([a], [b]) => a - b))).toEqual(
          new Map([...model].sort(([a], [b]) => a - b)),
        );
      }),
      { seed, numRuns: 200 },
    );
  });
});

describe('batches', () => {
  test('100,000 entries as arrays and as packed bytes, read back in chunks', () => {
    const counts = object.map<number, bigint>('counts');
    const length = 100_000;
    counts.setBatch(
      Array.from({ length }, (_, index) => index),
      Array.from({ length }, (_, index) => BigInt(index) * 3n),
    );
    expect(counts.get(99_999)).toBe(299_997n);
    counts.setBatch(
      Uint32Array.from({ length }, (_, index) => index),
      new BigUint64Array(length).fill(9n),
    );
    let sum = 0n;
    let seen = 0;
    for (const [, value] of counts) {
      sum += value;
      seen++;
    }
    expect([seen, sum]).toEqual([length, 900_000n]);
    const some = Uint32Array.from({ length: 1000 }, (_, index) => index * 2 + 99_000);
    expect(counts.deleteBatch(some)).toBe(500); // half of them are beyond the end
    let taken = 0;
    for (const chunk of counts.takeChunks()) taken += chunk.count;
    expect(taken).toBe(length - 500);
    expect([...counts]).toEqual([]);
  });

  test('say how far they came', () => {
    using map = BpfMap.create<number, number>({ type: 'hash', keySize: 4, valueSize: 4, maxEntries: 3 });
    map.set(1, 5);
    const error = errorOf(() => map.setBatch([3, 2, 1, 4], [1, 1, 1, 1], 'create'));
    expect(error).toMatchObject({ code: 'E_EXISTS', done: 2 });
    expect(errorOf(() => map.setBatch([7, 8, 9], [1, 1, 1]))).toMatchObject({ code: 'E_FULL', done: 0 });
    expect(errorOf(() => map.setBatch([1], [1, 2])).code).toBe('E_VALUE');
    expect(errorOf(() => map.setBatch(new Uint8Array(5), new Uint8Array(4))).code).toBe('E_VALUE');
    map.setBatch([], []);
    expect(map.deleteBatch([])).toBe(0);
  });

  test.each([
    ['array', 4, 8],
    ['lru_hash', 4, 8],
    ['lpm_trie', 8, 8],
    ['devmap_hash', 4, 4],
  ] as const)(
    '%s: all entries come back, with the kernel’s batches or without',
    (type, keySize, valueSize) => {
      using map = BpfMap.create<Uint8Array, unknown>({
        type,
        keySize,
        valueSize,
        maxEntries: 5000,
        flags: type === 'lpm_trie' ? 1 : 0,
        key: rawCodec(keySize),
      });
      const length = type === 'lru_hash' ? 1000 : 5000;
      const keys = new Uint32Array((length * keySize) / 4);
      for (let index = 0; index < length; index++) {
        if (keySize === 8) {
          keys[index * 2] = 32;
          keys[index * 2 + 1] = index;
        } else {
          keys[index] = index;
        }
      }
      // A devmap's values are devices: lo is there everywhere.
      const values = new Uint32Array((length * valueSize) / 4).fill(1);
      map.setBatch(keys, values);
      const seen = new Set([...map.keys()].map((key) => Buffer.from(key).toString('hex')));
      expect(seen.size).toBe(length);
      if (type !== 'array') {
        expect(map.deleteBatch(keys)).toBe(length);
        expect([...map]).toEqual([]);
      }
    },
  );
});

describe('per CPU', () => {
  test('a value for each possible CPU', () => {
    const cpus = possibleCpus();
    const map = object.map<number, bigint[]>('percpu');
    const values = Array.from({ length: cpus }, (_, cpu) => BigInt(cpu + 1));
    map.set(3, values);
    map.setBatch([4, 5], [values, values]);
    expect(map.get(3)).toEqual(values);
    expect([...map].sort(([a], [b]) => a - b)).toEqual([
      [3, values],
      [4, values],
      [5, values],
    ]);
    expect(errorOf(() => map.set(3, [1n].concat(values))).code).toBe('E_VALUE');
    // 8 bytes apart, though the struct has 8 with padding: an odd one.
    const slots = object.map<number, { address: number; port: number; protocol: number }[]>('percpu_slots');
    const each = Array.from({ length: cpus }, (_, cpu) => ({ address: cpu, port: cpu + 1, protocol: 17 }));
    slots.set(1, each);
    expect(slots.get(1)).toEqual(each);
    expect([...slots].length).toBe(4);
  });
});

describe('longest prefix match', () => {
  test('the kernel finds the longest; prefixes are written as such', () => {
    const routes = object.map<Uint8Array | { length: number; address: Uint8Array }, number>('routes');
    routes.set(prefixKey('0.0.0.0/0'), 1);
    routes.set(prefixKey('10.0.0.0/8'), 8);
    routes.set({ length: 16, address: new Uint8Array([10, 1, 0, 0]) }, 16);
    expect(routes.get(prefixKey('10.1.2.3'))).toBe(16);
    expect(routes.get(prefixKey('10.2.2.3'))).toBe(8);
    expect(routes.get(prefixKey('192.0.2.1'))).toBe(1);
    const context = new Uint8Array(16);
    context.set([10, 1, 2, 3]);
    expect(object.program('look_up').run({ context }).returnValue).toBe(16);
    expect(routes.delete(prefixKey('10.1.0.0/16'))).toBe(true);
    expect(object.program('look_up').run({ context }).returnValue).toBe(8);
    expect([...routes.keys()].length).toBe(2);
    expect(errorOf(() => routes.set(prefixKey('::/0'), 1)).code).toBe('E_VALUE');
  });
});

describe('maps with descriptors', () => {
  test('devmap: a device and the program that runs there', () => {
    using wire = new Wire();
    const devices = object.map<number, DevmapValue>('devices');
    wire.inside(() => {
      devices.set(2, { ifindex: wire.ifindex });
      expect(devices.get(2)).toEqual({ ifindex: wire.ifindex, program: 0 });
      expect(errorOf(() => devices.set(1, { ifindex: 99999 })).code).toBe('E_VALUE');
      // The program in an entry has to be made for devmaps (SEC("xdp/devmap")).
      expect(
        errorOf(() => devices.set(1, { ifindex: wire.ifindex, program: object.program('drop_packets') }))
          .code,
      ).toBe('E_VALUE');
    });
    expect([...devices].map(([key]) => key)).toEqual([2]);
    expect(devices.delete(2)).toBe(true);
  });

  test('maps of maps: written as maps, read as ids, seen by programs', () => {
    const tables = object.map<number, BpfMap | number>('tables');
    using inner = BpfMap.create<number, number>({ type: 'hash', keySize: 4, valueSize: 4, maxEntries: 16 });
    inner.set(5, 77);
    tables.set(1, inner as unknown as BpfMap);
    expect(tables.get(1)).toBe(inner.info().id);
    const context = new Uint8Array(new BigUint64Array([1n, 5n]).buffer);
    expect(object.program('look_up_inner').run({ context }).returnValue).toBe(77);
    using again = BpfMap.fromId<number, number>(tables.get(1) as number);
    expect(again.get(5)).toBe(77);
    using other = BpfMap.create({ type: 'hash', keySize: 8, valueSize: 4, maxEntries: 16 });
    expect(errorOf(() => tables.set(2, other)).code).toBe('E_VALUE');
    expect(tables.delete(1)).toBe(true);
    expect(object.program('look_up_inner').run({ context }).returnValue).toBe(-1);
    using made = BpfMap.create<number, BpfMap>({
      type: 'array_of_maps',
      keySize: 4,
      valueSize: 4,
      maxEntries: 2,
      inner: inner as unknown as BpfMap,
    });
    made.set(0, inner as unknown as BpfMap);
    expect(made.get(0)).toBe(inner.info().id);
    expect(errorOf(() => BpfMap.fromId(0x7fffffff)).code).toBe('E_NOT_FOUND');
  });
});

describe('maps without keys', () => {
  test('queues', () => {
    const queue = object.map<never, number>('queue');
    for (const value of [1, 2, 3, 4]) queue.push(value);
    expect(errorOf(() => queue.push(5)).code).toBe('E_FULL');
    expect(queue.peek()).toBe(1);
    expect([queue.pop(), queue.pop(), queue.pop(), queue.pop(), queue.pop()]).toEqual([
      1,
      2,
      3,
      4,
      undefined,
    ]);
  });

  test('bloom filters', () => {
    const bloom = object.map<never, number>('bloom');
    bloom.push(7);
    expect(bloom.mayHold(7)).toBe(true);
    expect([1, 2, 3, 4, 5].some((value) => !bloom.mayHold(value))).toBe(true);
  });
});

test('sizes can be changed, maps shared, before loading', () => {
  using other = BpfObject.open(compile('basics'));
  other.map('counts').setMaxEntries(10);
  other.map('slots').reuse(object.map('slots'));
  other.load();
  expect(other.map('counts').info().maxEntries).toBe(10);
  object.map<number, bigint>('slots').set(9, 99n);
  expect(other.map<number, bigint>('slots').get(9)).toBe(99n);
});

test('a map that cannot be made says why', () => {
  const bad = () => BpfMap.create({ type: 'array', keySize: 3, valueSize: 8, maxEntries: 1 });
  expect(errorOf(bad)).toMatchObject({ code: 'E_VALUE', errno: 'EINVAL' });
});
