/**
 * Plugins that are wrong in one way each: the suite says which, by the case and by what it tells. All are the template in C,
 * built once with every fault behind a number in its memory, which is then set in the file.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkPlugin } from '../../../plugins/kit/check/index.ts';
import { buildChanged, CACHE, FAULT_MARK, writeWithFault } from './plugins.ts';
import { vendorFolder } from './support.ts';

const WRONG = [
  'none',
  'calls-every-fault-invalid',
  'says-nothing-of-faults',
  'forgets-weights',
  'clears-at-start',
  'removes-before-it-writes',
  'reads-a-table-twice',
  'stops-at-the-first-fault',
  'does-not-tell-of-power',
  'traps-on-what-it-does-not-know',
  'depends-on-the-time',
  'keeps-what-it-answers',
] as const;
type Wrong = (typeof WRONG)[number];

const is = (wrong: Wrong) => `wrong == ${WRONG.indexOf(wrong)}`;

const CHANGES: readonly (readonly [string, string])[] = [
  ['#include <ekho.h>\n', `#include <ekho.h>\n\nstatic volatile const uint32_t wrong = ${FAULT_MARK};\n`],
  [
    '    outcome->reason = EKHO_REASON_TABLE_FULL;',
    `    outcome->reason = ${is('calls-every-fault-invalid')} ? EKHO_REASON_INVALID : EKHO_REASON_TABLE_FULL;`,
  ],
  [
    '  if (done.status == EKHO_ASIC_STATUS_OK ||',
    `  if (${is('depends-on-the-time')} && done.status == EKHO_ASIC_STATUS_OK && operation == EKHO_OPERATION_PUT && ekho_clock_now() / 64 % 2 == 0)
    ekho_asic_write(table_of[table], (ekho_u32_list){row, info[table].words});
  if (${is('says-nothing-of-faults')} || done.status == EKHO_ASIC_STATUS_OK ||`,
  ],
  [
    'row[5 + 2 * i] = changes->members.items[it->first + i].weight;',
    `row[5 + 2 * i] = ${is('forgets-weights')} ? 1 : changes->members.items[it->first + i].weight;`,
  ],
  [
    '  ekho_log_write(EKHO_LOG_LEVEL_INFO, EKHO_STRING("started"));',
    `  for (uint32_t i = 0; ${is('clears-at-start')} && i < 1000; i++) {
    uint32_t key[3] = {0, 0x0a010000 + (i << 8), 24};
    ekho_asic_remove(EKHO_ASIC_TABLE_LPM4, (ekho_u32_list){key, 3});
  }`,
  ],
  [
    '  ekho_asic_completion done =\n',
    `  if (${is('stops-at-the-first-fault')} && outcomes->count > 0) return;
  if (${is('removes-before-it-writes')} && table == 4)
    ekho_asic_remove(table_of[table], (ekho_u32_list){row + 1, info[table].key_words});
  ekho_asic_completion done =\n`,
  ],
  [
    'read(table_of[*table], position,',
    `read(${is('reads-a-table-twice')} && *table == 5 ? EKHO_ASIC_TABLE_LPM4 : table_of[*table], position,`,
  ],
  [
    'if (ekho_asic_epoch() == epoch) return;',
    `if (${is('does-not-tell-of-power')} || ekho_asic_epoch() == epoch) return;`,
  ],
  [
    'static uint32_t slot_of(ekho_kind kind, ekho_handle handle) {\n',
    `static uint32_t slot_of(ekho_kind kind, ekho_handle handle) {
  if (${is('traps-on-what-it-does-not-know')} && handle != 0 && handle >> 28 != (uint32_t)kind + 1) __builtin_trap();\n`,
  ],
  [
    '  result->items = ekho_alloc(count',
    `  if (${is('keeps-what-it-answers')}) ekho_keep(1);\n  result->items = ekho_alloc(count`,
  ],
];

let vendor: ReturnType<typeof vendorFolder>;
let built: Buffer;

beforeAll(async () => {
  vendor = vendorFolder();
  built = readFileSync(await buildChanged(vendor.path, 'wrong', CHANGES));
}, 300_000);

afterAll(() => vendor[Symbol.dispose]());

/** The plugin with this fault. */
const write = (wrong: Wrong) =>
  writeWithFault(built, WRONG.indexOf(wrong), join(vendor.path, `${wrong}.wasm`));

/** Cases to run (those that fail, and others near to them, that must not), and what is told of those that fail. */
const TOLD: readonly (readonly [wrong: Wrong, only: string, fails: Readonly<Record<string, RegExp>>])[] = [
  ['none', 'life-', {}],
  [
    'calls-every-fault-invalid',
    'capacity-r',
    {
      'capacity-reuse': /expected the reason table-full/,
      'capacity-route4':
        /route 13 past the end of the table: refused \(invalid\), expected refused \(table-full\)/,
      'capacity-route6': /refused \(invalid\), expected refused \(table-full\)/,
      'capacity-router-interface': /refused \(invalid\), expected refused \(table-full\)/,
    },
  ],
  [
    'says-nothing-of-faults',
    'capacity-',
    {
      'capacity-group': /15 of 15 entries went in; the table takes 10/,
      'capacity-nexthop': /15 of 15 entries went in; the table takes 10/,
      'capacity-port': /11 of 11 entries went in; the table takes 6/,
      'capacity-reuse': /put of route 11: ok, expected refused/,
      'capacity-route4': /20 of 20 entries went in; the table takes 12/,
      'capacity-route6': /20 of 20 entries went in; the table takes 12/,
      'capacity-router-interface': /9 of 9 entries went in; the table takes 4/,
    },
  ],
  [
    'forgets-weights',
    'hold-group',
    {
      'hold-group-members':
        /group 6 has members nexthop 1\*1,nexthop 2\*1 in place of nexthop 1\*20,nexthop 2\*39/,
    },
  ],
  [
    'clears-at-start',
    'life-',
    {
      'life-kill': /restart: readback: route 1 is not held/,
      'life-stop': /restart: readback: route 1 is not held/,
    },
  ],
  [
    'removes-before-it-writes',
    'replace',
    {
      'counters-replace': /route 1 counts 0 packets, it was hit by 5/,
      'replace-refused': /readback: route 1 is not held/,
      'replace-route': /the ASIC was made to write 2 rows; 1 were enough/,
    },
  ],
  ['reads-a-table-twice', 'hold-route4', { 'hold-route4': /readback lists route \d+ twice/ }],
  ['stops-at-the-first-fault', 'batch-', { 'batch-partial': /readback: route \d+ is not held/ }],
  [
    'does-not-tell-of-power',
    'life-',
    {
      'life-power': /poll does not tell device-reset/,
      'life-power-off': /poll does not tell device-reset/,
    },
  ],
  [
    'traps-on-what-it-does-not-know',
    'hostile-',
    {
      'hostile-handles': /hostile: plugin \S+ trapped: .*unreachable/,
      'hostile-references': /hostile: plugin \S+ trapped: .*unreachable/,
    },
  ],
  ['depends-on-the-time', 'determinism', { determinism: /the same changes gave another result/ }],
  ['keeps-what-it-answers', 'storm-routes', { 'storm-routes': /more than halfway; 128 KiB are allowed/ }],
];

test.each(TOLD)('%s', { timeout: 300_000 }, async (wrong, only, fails) => {
  const { results } = await checkPlugin(write(wrong), { cache: CACHE, only });
  const failed = results.filter(({ verdict }) => verdict === 'failed');
  expect(Object.fromEntries(failed.map((one) => [one.case.name, one.why]))).toEqual(
    Object.fromEntries(Object.entries(fails).map(([name, why]) => [name, expect.stringMatching(why)])),
  );
});
