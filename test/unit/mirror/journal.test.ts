/** The journal against a plain list of what happened, with rings so small that they go round often. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Journal } from '../../../host/mirror/journal.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { KIND, objectCursor } from '../../../host/mirror/types.ts';
import type { Datagram } from '../../../host/netlink/message.ts';

const seed = Date.now() & 0x7fffffff;
console.log(`journal.test.ts seed ${seed}`);
const LIMITS = { changes: 16, bytes: 512 };

/** A link message whose key is `index` and whose rest is `words`. */
function link(index: number, words: readonly number[]): { data: Datagram; end: number } {
  const all = new Uint32Array([0, index, 0, 0, ...words]);
  return { data: { bytes: new Uint8Array(all.buffer), words: all }, end: all.byteLength };
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ put: fc.nat(6), words: fc.array(fc.nat(0xffffffff), { maxLength: 12 }) }),
  },
  { weight: 3, arbitrary: fc.record({ drop: fc.nat(6) }) },
  { weight: 4, arbitrary: fc.constant({ commit: true as const }) },
);

interface Happened {
  readonly revision: number;
  readonly index: number;
  readonly isDelete: boolean;
  readonly bytes: string;
}

/** What listeners are told, as plain values. */
function follow(mirror: Mirror): Happened[] {
  const happened: Happened[] = [];
  const cursor = objectCursor();
  mirror.subscribe(({ length, revision, operations, ids }) => {
    for (let at = 0; at < length; at++) {
      mirror.open(KIND.link, ids[at]!, cursor);
      const { bytes, start, end } = cursor;
      happened.push({
        revision: revision - length + 1 + at,
        index: new DataView(bytes.buffer, bytes.byteOffset + start).getUint32(4, true),
        isDelete: operations[at] === 0,
        bytes: Buffer.from(bytes.subarray(start, end)).toString('hex'),
      });
    }
  });
  return happened;
}

function apply(mirror: Mirror, action: { put: number; words: number[] } | { drop: number } | object): void {
  const table = mirror.table(KIND.link);
  if ('put' in action) {
    const { data, end } = link(action.put, action.words);
    const matches = table.match(data, 0, end)!;
    if (matches.length === 0) table.insert(matches.hash, data, 0, end);
    else table.replace(matches.ids[0]!, data, 0, end);
  } else if ('drop' in action) {
    const { data, end } = link(action.drop, []);
    const matches = table.match(data, 0, end)!;
    if (matches.length > 0) table.remove(matches.ids[0]!);
  } else {
    mirror.commit();
  }
}

it('holds the last changes with the bytes of then, and nothing that it lost in part', () => {
  const cursor = objectCursor();
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const mirror = new Mirror();
      const happened = follow(mirror);
      const journal = new Journal(mirror, LIMITS);
      for (const action of [...steps, {}]) apply(mirror, action);
      expect(journal.newest).toBe(happened.at(-1)?.revision ?? 0);
      const { oldest } = journal;
      let found = 0;
      for (const { revision, isDelete, bytes } of happened) {
        const entry = journal.entry(revision);
        expect(entry !== undefined).toBe(revision >= oldest);
        if (entry === undefined) continue;
        found++;
        expect(entry).toMatchObject({ revision, kind: KIND.link, isDelete });
        expect(journal.open(revision, cursor)).toBe(true);
        expect(Buffer.from(cursor.bytes.subarray(cursor.start, cursor.end)).toString('hex')).toBe(bytes);
      }
      // At least what surely fits: an object has 64 bytes at most.
      expect(found).toBeGreaterThanOrEqual(Math.min(happened.length, LIMITS.bytes / 64 - 1));
      expect(found).toBeLessThanOrEqual(LIMITS.changes);
    }),
    { seed, numRuns: 300 },
  );
});

it('finds the history of what an object is, whatever its id was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const mirror = new Mirror();
      const happened = follow(mirror);
      const journal = new Journal(mirror, LIMITS);
      for (const action of [...steps, {}]) apply(mirror, action);
      const ids: number[] = [];
      mirror.forEach(KIND.link, (id) => ids.push(id));
      const cursor = objectCursor();
      for (const id of ids) {
        mirror.open(KIND.link, id, cursor);
        const index = new DataView(cursor.bytes.buffer, cursor.bytes.byteOffset + cursor.start).getUint32(
          4,
          true,
        );
        const expected = happened
          .filter((one) => one.index === index && one.revision >= journal.oldest)
          .map(({ revision }) => revision)
          .reverse();
        const history = await journal.historyOf(KIND.link, id, 1000);
        expect(history.map(({ revision }) => revision)).toEqual(expected);
        expect(await journal.historyOf(KIND.link, id, 1)).toEqual(history.slice(0, 1));
      }
    }),
    { seed, numRuns: 100 },
  );
});

it('keeps nothing of a first reading that is longer than its ring, whatever is read again later', () => {
  const mirror = new Mirror();
  const journal = new Journal(mirror, LIMITS);
  const is = (state: 'syncing' | 'synced') => mirror.setKindState(KIND.link, { state, reason: undefined });
  const change = (index: number) => {
    apply(mirror, { put: index, words: [] });
    mirror.commit();
    return mirror.revision;
  };
  is('syncing');
  expect(journal.entry(change(0))?.kind).toBe(KIND.link);
  for (let index = 1; index <= LIMITS.changes; index++) change(index);
  expect(journal.newest).toBe(LIMITS.changes + 1);
  expect(journal.oldest).toBe(journal.newest + 1);
  expect(journal.entry(journal.newest)).toBeUndefined();
  is('synced');
  const changed = change(100);
  is('syncing');
  const again = change(101);
  expect(journal.oldest).toBe(changed);
  expect([changed, again].map((revision) => journal.entry(revision)?.revision)).toEqual([changed, again]);
});

it('has what a kind brings that came when all others were read', () => {
  const mirror = new Mirror();
  const journal = new Journal(mirror, LIMITS);
  mirror.setSynced(true);
  mirror.setSynced(false);
  mirror.setKindState(KIND.link, { state: 'syncing', reason: undefined });
  for (let index = 0; index <= LIMITS.changes; index++) {
    apply(mirror, { put: index, words: [] });
    mirror.commit();
  }
  expect(journal.entry(mirror.revision)?.kind).toBe(KIND.link);
});
