/** What the kernel's selftests print, as the lab's table says it. */
import { expect, test } from 'vitest';
import { outcomesOf } from '../../lab/selftests/output.ts';
import { page } from '../../lab/selftests/table.ts';

const SAID = `
TEST: dst_mac match (skip_hw)                                       [ OK ]
TEST: TTL match (skip_hw)                                           [FAIL]
\tDid not match on correct filter
TEST: create destroy chain                                          [ OK ]
Error: first refusal.
We have an error talking to the kernel
TEST: dst_mac match (skip_sw)                                       [ OK ]
Error: ekho: no place for dissector key 30.
Error: Filter with specified priority/protocol not found.
TEST: TTL match (skip_sw)                                           [FAIL]
\tDid not match on correct filter
TEST: create destroy chain                                          [FAIL]
\tFailed to get chain 1
TEST: ports (skip_sw)                                               [SKIP]
\tno such thing here
`;

test('each test has an outcome for software and one for hardware, with the reason', () => {
  const outcomes = outcomesOf(SAID);
  expect(outcomes.map(({ test, isHardware, result, reason }) => [test, isHardware, result, reason])).toEqual([
    ['dst_mac match', false, 'pass', ''],
    ['TTL match', false, 'fail', 'Did not match on correct filter'],
    ['create destroy chain', false, 'pass', ''],
    ['dst_mac match', true, 'not applicable', 'first refusal'],
    ['TTL match', true, 'not applicable', 'no place for dissector key 30'],
    ['create destroy chain', true, 'fail', 'Failed to get chain 1'],
    ['ports', true, 'not applicable', 'no such thing here'],
  ]);
  const test = { name: 'tc_flower.sh', notes: { 'create destroy chain': 'It is so by design.' } };
  const text = page('6.12', [{ test, outcomes }]);
  expect(text).toContain(
    '| create destroy chain | pass | fail: Failed to get chain 1. It is so by design. |',
  );
  expect(text).toContain(
    '| TTL match | fail: Did not match on correct filter | not applicable: no place for dissector key 30 |',
  );
});
