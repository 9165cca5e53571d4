/** What the kernel's selftests print, as the lab's table says it. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { outcomesOf, switchOutcomesOf, tapOutcomesOf } from '../../lab/selftests/output.ts';
import { PAGE_FILE, readResults } from '../../lab/selftests/results.ts';
import { page } from '../../lab/selftests/table.ts';

const SAID = `
TEST: dst_mac match (skip_hw)                                       [ OK ]
TEST: TTL match (skip_hw)                                           [FAIL]
\tDid not match on correct filter
\0\0\0TEST: create destroy chain                                          [ OK ]
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
RTNETLINK answers: No such file or directory
RTNETLINK answers: Operation not supported
We have an error talking to the kernel
TEST: mirror (skip_sw)                                              [FAIL]
RTNETLINK answers: No such file or directory
TEST: redirect (skip_sw)                                            [FAIL]
\tPackets did not come
`;

const SWITCH_SAID = `
INFO: Set fib_notify_on_flag_change to 1
TEST: IPv4 identical routes                                         [ OK ]
Error: ekho: no room in hardware for one more route.
TEST: IPv4 route delete                                             [FAIL]
\tSole route not in hardware when should
INFO: Set fib_notify_on_flag_change to 0
TEST: IPv4 identical routes                                         [ OK ]
TEST: IPv4 identical routes                                         [FAIL]
`;

test('each test has an outcome for software and one for hardware, with the reason', () => {
  const outcomes = outcomesOf(SAID);
  expect(outcomes.map(({ test, round, result, reason }) => [test, round, result, reason])).toEqual([
    ['dst_mac match', 'software', 'pass', ''],
    ['TTL match', 'software', 'fail', 'Did not match on correct filter'],
    ['create destroy chain', 'software', 'pass', ''],
    ['dst_mac match', 'hardware', 'not applicable', 'first refusal'],
    ['TTL match', 'hardware', 'not applicable', 'no place for dissector key 30'],
    ['create destroy chain', 'hardware', 'fail', 'Failed to get chain 1'],
    ['ports', 'hardware', 'not applicable', 'no such thing here'],
    ['mirror', 'hardware', 'not applicable', 'Operation not supported'],
    ['redirect', 'hardware', 'fail', 'Packets did not come'],
  ]);
  const test = { name: 'tc_flower.sh', notes: { 'create destroy chain': 'It is so by design.' } };
  const text = page([{ test, release: '6.12', outcomes }]);
  expect(text).toContain(
    '| create destroy chain | pass | fail: Failed to get chain 1. It is so by design. |',
  );
  expect(text).toContain(
    '| TTL match | fail: Did not match on correct filter | not applicable: no place for dissector key 30 |',
  );
});

test('a script on a switch has a round for each setting, and refusals are failures', () => {
  const outcomes = switchOutcomesOf(SWITCH_SAID);
  expect(outcomes.map(({ result, reason }) => [result, reason])).toEqual([
    ['pass', ''],
    ['fail', 'Sole route not in hardware when should'],
    ['pass', ''],
    ['fail', ''],
  ]);
  const [first, refused] = outcomes;
  const netdevsim = [first!, { ...refused!, reason: 'Not here either' }];
  const text = page([{ test: { name: 'fib.sh' }, release: '6.12', outcomes, netdevsim }]);
  expect(text).toContain(`
| in hardware | pass | fail | not applicable | netdevsim itself |
|---|---|---|---|---|
| [fib.sh](#fibsh) | 2 | 2 | 0 | 1 pass, 1 fail |

## fib.sh

| test | fib_notify_on_flag_change=1 | fib_notify_on_flag_change=0 | netdevsim itself |
|---|---|---|---|
| IPv4 identical routes | pass | pass | pass |
| IPv4 route delete | fail: Sole route not in hardware when should |  | fail: Not here either |
| IPv4 identical routes (2) |  | fail |  |
`);
});

test('a case of tc-testing that failed says the first thing that it has to say', () => {
  const outcomes = tapOutcomesOf(`
1..3
ok 1 e41d - Add 1M flower filters with 10 parallel tc instances
not ok 2 6f52 - Delete 1M flower filters
\tCommand exited with 1, expected 0
\tError: no.
ok 3 c9da - Replace 1M flower filters # skipped - skipped - previous setup failed 2 6f52
`);
  expect(outcomes.map(({ test, result, reason }) => [test, result, reason])).toEqual([
    ['e41d - Add 1M flower filters with 10 parallel tc instances', 'pass', ''],
    ['6f52 - Delete 1M flower filters', 'fail', 'Command exited with 1, expected 0'],
    [
      'c9da - Replace 1M flower filters',
      'not applicable',
      'skipped - skipped - previous setup failed 2 6f52',
    ],
  ]);
});

test('the page is what the scripts said last', () => {
  const results = readResults();
  expect(results.length).toBeGreaterThan(0);
  expect(readFileSync(PAGE_FILE, 'utf8'), 'run `npm run lab:selftests -- --write`').toBe(page(results));
});
