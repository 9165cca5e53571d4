/** The names of fields are those that objects have. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isField, unknownField } from '../../../host/iproute2/fields.ts';
import { formatJson } from '../../../host/iproute2/json.ts';
import { KINDS } from '../../../host/mirror/types.ts';
import { arbitraryObject } from '../schema/arbitrary.ts';

const context = {
  linkName: (ifindex: number) => (ifindex === 1 ? 'lo' : undefined),
  link: () => undefined,
  nexthop: () => undefined,
  all: true,
};
/** Always the same ones: what is rare is found by looking at an object, and is no fault of the list. */
const SAMPLE = { numRuns: 100, seed: 1 };

it.each(KINDS)('%s', (kind) => {
  for (const object of fc.sample(arbitraryObject(kind), SAMPLE)) {
    for (const row of formatJson(kind, [object], context))
      expect(Object.keys(row).filter((name) => !isField(kind, name))).toEqual([]);
  }
  expect(isField(kind, 'nonsense')).toBe(false);
});

it('what is none is told apart, with what it may have been', () => {
  expect(unknownField('route', 'protocl', ['text'])).toMatchObject({
    code: 'E_USAGE',
    message: 'objects of route have no field "protocl"; did you mean protocol?',
    remedy: expect.stringMatching(/^There are: text, action, .*, protocol, /),
  });
});
