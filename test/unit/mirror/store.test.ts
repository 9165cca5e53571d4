/** The packed store against a plain model: random transactions, ids, coalescing, order, memory given back. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Arena } from '../../../host/mirror/arena.ts';
import { HashIndex } from '../../../host/mirror/hash-index.ts';
import type { KeyOf } from '../../../host/mirror/key.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { ObjectTable } from '../../../host/mirror/table.ts';
import { Transaction } from '../../../host/mirror/transaction.ts';
import { KIND, OPERATION_DELETE, OPERATION_UPSERT, objectCursor } from '../../../host/mirror/types.ts';
import type { Datagram } from '../../../host/netlink/message.ts';

const seed = Date.now() & 0x7fffffff;
console.log(`store.test.ts seed ${seed}`);
const parameters = { seed, numRuns: 100 };

/** A link message whose key is `index` and whose rest is `words`. */
function link(index: number, words: readonly number[]): { data: Datagram; end: number } {
  const all = new Uint32Array([0, index, 0, 0, ...words]);
  return { data: { bytes: new Uint8Array(all.buffer), words: all }, end: all.byteLength };
}

const content = fc.array(fc.nat(0xffffffff), { maxLength: 40 });
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ put: fc.nat(30), words: content }) },
  { weight: 3, arbitrary: fc.record({ drop: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.constant({ commit: true as const }) },
);

describe('the mirror', () => {
  it('holds what a map holds, and its listeners know it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const mirror = new Mirror();
        const table = mirror.table(KIND.link);
        const model = new Map<number, readonly number[]>();
        const listener = new Map<number, string>();
        const cursor = objectCursor();
        const read = (id: number): string => {
          expect(mirror.open(KIND.link, id, cursor)).toBe(true);
          return Buffer.from(cursor.bytes.subarray(cursor.start, cursor.end)).toString('hex');
        };
        let revision = 0;
        mirror.subscribe((changes) => {
          const once = new Set<number>();
          for (let at = 0; at < changes.length; at++) {
            const id = changes.ids[at]!;
            expect(once.has(id)).toBe(false);
            once.add(id);
            if (changes.operations[at] === OPERATION_DELETE) {
              read(id); // still readable
              expect(listener.delete(id)).toBe(true);
            } else {
              expect(mirror.revisionOf(KIND.link, id)).toBeGreaterThan(revision);
              listener.set(id, read(id));
            }
          }
          expect(changes.revision).toBeGreaterThan(revision);
          revision = changes.revision;
        });
        const check = (): void => {
          expect(mirror.count(KIND.link)).toBe(model.size);
          const held: string[] = [];
          mirror.forEach(KIND.link, (id) => held.push(read(id)));
          const wanted = [...model].map(([index, words]) =>
            Buffer.from(link(index, words).data.bytes).toString('hex'),
          );
          expect(held.sort()).toEqual(wanted.sort());
        };
        for (const action of steps) {
          if ('put' in action) {
            const { data, end } = link(action.put, action.words);
            const matches = table.match(data, 0, end)!;
            if (matches.length === 0) table.insert(matches.hash, data, 0, end);
            else table.replace(matches.ids[0]!, data, 0, end);
            model.set(action.put, action.words);
          } else if ('drop' in action) {
            const { data, end } = link(action.drop, []);
            const matches = table.match(data, 0, end)!;
            expect(matches.length).toBe(model.has(action.drop) ? 1 : 0);
            if (matches.length > 0) table.remove(matches.ids[0]!);
            model.delete(action.drop);
          } else {
            mirror.commit();
            expect([...listener.values()].sort()).toEqual(
              [...model]
                .map(([index, words]) => Buffer.from(link(index, words).data.bytes).toString('hex'))
                .sort(),
            );
            expect(mirror.revision).toBeGreaterThanOrEqual(revision);
          }
          check();
        }
      }),
      parameters,
    );
  });

  it('keeps the id of an object that is replaced, or deleted and added in one transaction', () => {
    const mirror = new Mirror();
    const table = mirror.table(KIND.link);
    const put = (index: number, words: number[]): number => {
      const { data, end } = link(index, words);
      const matches = table.match(data, 0, end)!;
      if (matches.length === 0) return table.insert(matches.hash, data, 0, end);
      const id = matches.ids[0]!;
      table.replace(id, data, 0, end);
      return id;
    };
    const id = put(7, [1]);
    mirror.commit();
    const seen: [number, number][] = [];
    mirror.subscribe((changes) => {
      for (let at = 0; at < changes.length; at++) seen.push([changes.ids[at]!, changes.operations[at]!]);
    });
    expect(put(7, [1, 2, 3, 4, 5, 6, 7])).toBe(id);
    mirror.commit();
    table.remove(id);
    expect(put(7, [9])).toBe(id);
    mirror.commit();
    // An object that came and went within a transaction is not spoken of.
    const transient = put(8, [1]);
    table.remove(transient);
    mirror.commit();
    expect(seen).toEqual([
      [id, OPERATION_UPSERT],
      [id, OPERATION_UPSERT],
    ]);
    expect(mirror.open(KIND.link, transient, objectCursor())).toBe(false);
  });

  it('tells every listener even if one throws, and stays whole', () => {
    const mirror = new Mirror();
    let told = 0;
    mirror.subscribe(() => {
      throw new Error('a fault');
    });
    mirror.subscribe(() => {
      told++;
    });
    const { data, end } = link(1, []);
    const table = mirror.table(KIND.link);
    const id = table.insert(table.match(data, 0, end)!.hash, data, 0, end);
    expect(() => mirror.commit()).toThrow('a fault');
    expect(told).toBe(1);
    table.remove(id);
    expect(() => mirror.commit()).toThrow('a fault');
    expect(mirror.count(KIND.link)).toBe(0);
    expect(mirror.commit()).toBe(false);
  });
});

describe('a table', () => {
  const firstWord: KeyOf = (data, start, end, out) => {
    if (end - start < 4) return 0;
    out[0] = data.words[start >>> 2]!;
    return 1;
  };

  const object = (key: number, words: number): { data: Datagram; end: number } => {
    const all = new Uint32Array(words).fill(key);
    return { data: { bytes: new Uint8Array(all.buffer), words: all }, end: words * 4 };
  };

  it('keeps objects of one key in their order', () => {
    const table = new ObjectTable(0, firstWord, new Transaction());
    const { data, end } = object(5, 3);
    const { hash } = table.match(data, 0, end)!;
    const ids = [3, -2, 0, 1].map((order) => [order, table.insert(hash, data, 0, end, order)] as const);
    const matches = table.match(data, 0, end)!;
    const wanted = [...ids].sort((a, b) => a[0] - b[0]).map(([, id]) => id);
    expect([...matches.ids.subarray(0, matches.length)]).toEqual(wanted);
    expect(ids.map(([, id]) => table.orderOf(id))).toEqual([3, -2, 0, 1]);
  });

  it('sweeps what was not seen, also after 255 sweeps', () => {
    const table = new ObjectTable(0, firstWord, new Transaction());
    const ids = [1, 2].map((key) => {
      const { data, end } = object(key, 4);
      return table.insert(table.match(data, 0, end)!.hash, data, 0, end);
    });
    for (let sweep = 0; sweep < 600; sweep++) {
      table.beginSweep();
      expect(ids.map((id) => table.isUnseen(id))).toEqual([true, true]);
      table.see(ids[sweep & 1]!);
      expect(ids.map((id) => table.isUnseen(id))).toEqual([(sweep & 1) === 1, (sweep & 1) === 0]);
    }
  });

  it('a further round of a sweep spares what an earlier one saw, also after 255 rounds', () => {
    const table = new ObjectTable(0, firstWord, new Transaction());
    const [gone, seen, last] = [1, 2, 3].map((key) => {
      const { data, end } = object(key, 4);
      return table.insert(table.match(data, 0, end)!.hash, data, 0, end);
    }) as [number, number, number];
    for (let sweep = 0; sweep < 300; sweep++) {
      table.beginSweep();
      table.see(seen);
      const rounds = 1 + (sweep % 7);
      for (let round = 0; round < rounds; round++) {
        table.continueSweep();
        expect([gone, seen, last].map((id) => table.isUnseen(id))).toEqual([true, true, true]);
        table.see(last);
      }
      expect([gone, seen, last].map((id) => table.isSwept(id))).toEqual([true, false, false]);
    }
  });

  it('gives memory back when sizes change under many objects', () => {
    const mirror = new Mirror();
    const table = mirror.table(KIND.link);
    const count = 60_000;
    const fill = (words: number): void => {
      for (let index = 1; index <= count; index++) {
        const { data, end } = link(index, new Array(words).fill(index));
        const matches = table.match(data, 0, end)!;
        if (matches.length === 0) table.insert(matches.hash, data, 0, end);
        else table.replace(matches.ids[0]!, data, 0, end);
        if (index % 4000 === 0) mirror.commit();
      }
      while (mirror.commit());
    };
    fill(7);
    const small = table.memory;
    expect(small / count).toBeLessThan(120);
    for (const words of [9, 11, 13, 15, 17]) fill(words);
    fill(7);
    expect(table.memory).toBeLessThan(small * 2.2);
    const cursor = objectCursor();
    let right = 0;
    table.forEach((id) => {
      table.open(id, cursor);
      const words = new Uint32Array(cursor.bytes.buffer, cursor.start, (cursor.end - cursor.start) / 4);
      if (words.length === 11 && words[4] === words[1] && words[10] === words[1]) right++;
    });
    expect(right).toBe(count);
  });

  it('refuses what no netlink message can be', () => {
    const table = new ObjectTable(0, firstWord, new Transaction());
    const { data, end } = object(1, 0x10000);
    expect(() => table.insert(1, data, 0, end)).toThrow(RangeError);
    expect(() => table.insert(1, data, 0, 0)).toThrow(RangeError);
  });
});

describe('the arena', () => {
  it('never hands out the same words twice', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3000 })), { maxLength: 400 }),
        (steps) => {
          const arena = new Arena();
          const held: { address: number; words: number }[] = [];
          for (const [take, words] of steps) {
            if (take || held.length === 0) {
              const address = arena.allocate(words);
              arena.chunk(address).words.fill(address, arena.word(address), arena.word(address) + words);
              held.push({ address, words });
            } else {
              const [gone] = held.splice(words % held.length, 1);
              arena.release(gone!.address, gone!.words);
            }
            for (const { address, words: size } of held) {
              const at = arena.word(address);
              expect(
                arena
                  .chunk(address)
                  .words.subarray(at, at + size)
                  .every((word) => word === address),
              ).toBe(true);
            }
          }
        },
      ),
      { ...parameters, numRuns: 20 },
    );
  });
});

describe('the hash index', () => {
  it('finds what was added and not removed, whatever collides', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 60 })), {
          maxLength: 500,
        }),
        fc.boolean(),
        (steps, large) => {
          const index = new HashIndex();
          const model = new Map<number, Set<number>>();
          const spread = (value: number): number => (value * 0x06000001) >>> 0;
          // Enough to cut it into segments.
          if (large) for (let slot = 100; slot < 6000; slot++) index.add((slot * 2654435761) >>> 0, slot);
          for (const [add, value, slot] of steps) {
            const hash = spread(value);
            const slots = model.get(hash) ?? new Set();
            model.set(hash, slots);
            if (add && !slots.has(slot)) {
              index.add(hash, slot);
              slots.add(slot);
            } else if (!add && slots.has(slot)) {
              index.remove(hash, slot);
              slots.delete(slot);
            }
          }
          if (large) for (let slot = 100; slot < 6000; slot++) index.remove((slot * 2654435761) >>> 0, slot);
          const found = new Uint32Array(100);
          for (const [hash, slots] of model) {
            const count = index.find(hash, found);
            expect([...found.subarray(0, count)].sort()).toEqual([...slots].sort());
          }
        },
      ),
      parameters,
    );
  });
});
