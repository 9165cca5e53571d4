/** Whatever an object holds, it can be printed, described, tabled and selected. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describe as describeObject } from '../../../host/iproute2/describe.ts';
import { formatJson, formatRows, stringify } from '../../../host/iproute2/json.ts';
import { parseSelector } from '../../../host/iproute2/selector.ts';
import { formatTable, tableHead } from '../../../host/iproute2/table.ts';
import { KINDS } from '../../../host/mirror/types.ts';
import { SEED } from '../../support/seed.ts';
import { arbitraryObject } from '../schema/arbitrary.ts';

const seed = SEED;

const context = {
  linkName: (ifindex: number) => (ifindex === 1 ? 'lo' : undefined),
  link: () => undefined,
  nexthop: () => undefined,
};

const WORDS = [
  ...[
    'dev',
    'lo',
    'via',
    'table',
    'vrf',
    'id',
    'pref',
    'vlan',
    'mac',
    '10.0.0.0/8',
    '::1',
    'default',
    '7',
    'x',
  ],
  ...[
    '00:11:22:33:44:55',
    'from',
    'to',
    'type',
    'blackhole',
    'proto',
    'nud',
    'stale',
    'ingress',
    'root',
    '10/8',
  ],
];

describe.each(KINDS)('%s', (kind) => {
  test(`every object has JSON, a table line and a description, EKHO_SEED=${seed}`, () => {
    fc.assert(
      fc.property(fc.array(arbitraryObject(kind), { maxLength: 3 }), (objects) => {
        const rows = formatJson(kind, objects, { ...context, all: true });
        expect(() => JSON.parse(stringify(rows))).not.toThrow();
        const lines = [...formatTable(kind, rows)];
        expect(lines.length).toBeGreaterThan(0);
        const keyed = objects.map((object, id) => ({ id, object }));
        for (const { members } of formatRows(kind, keyed, context)) {
          for (const { id } of members) expect(id).toBeLessThan(objects.length);
        }
        for (const object of objects) expect(typeof describeObject(kind, object, context)).toBe('string');
      }),
      { seed, numRuns: 60, endOnFailure: true },
    );
  });

  test(`any words select or are refused with a remedy, EKHO_SEED=${seed}`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...WORDS), fc.string({ maxLength: 6 })), { maxLength: 4 }),
        arbitraryObject(kind),
        (words, object) => {
          try {
            expect(typeof parseSelector(kind, words, context)(object)).toBe('boolean');
          } catch (error) {
            expect(error).toMatchObject({ code: expect.stringMatching(/^E_(USAGE|BAD_ADDRESS)$/) });
            expect((error as { remedy?: string }).remedy).toBeTruthy();
          }
        },
      ),
      { seed, numRuns: 150, endOnFailure: true },
    );
  });

  test('columns have titles', () => expect(tableHead(kind).length).toBeGreaterThan(0));
});
