/** softnic and the example in every language pass the whole suite. */

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../../host/config/config.ts';
import { CASES_FOLDER, readCases } from '../../../plugins/kit/check/case.ts';
import { checkPlugin } from '../../../plugins/kit/check/index.ts';
import { buildPlugin } from '../../../plugins/toolchain/build-plugin.mjs';
import { buildTemplate, CACHE, hasRust } from './plugins.ts';
import { vendorFolder } from './support.ts';

/** Cases left out per plugin: one more is a plugin that declines what it should do. */
const LEFT_OUT = { softnic: 10, c: 21, assemblyscript: 21, typescript: 35, rust: 21 } as const;

test.for(Object.entries(LEFT_OUT))('%s', { timeout: 600_000 }, async ([name, leftOut], { skip }) => {
  if (name === 'rust' && !(await hasRust())) skip('no Rust with the target wasm32-unknown-unknown');
  using vendor = vendorFolder();
  let file = join(ROOT, 'build/fixtures/softnic.wasm');
  if (name === 'softnic') await buildPlugin({ folder: join(ROOT, 'plugins/softnic'), output: file });
  else file = await buildTemplate(vendor.path, name as Exclude<keyof typeof LEFT_OUT, 'softnic'>);
  const { results } = await checkPlugin(file, { cache: CACHE });
  expect(
    results.filter(({ verdict }) => verdict === 'failed').map((one) => `${one.case.name}: ${one.why}`),
  ).toEqual([]);
  expect(results.filter(({ verdict }) => verdict === 'left out').map((one) => one.case.name)).toHaveLength(
    leftOut,
  );
});

test('the kernel’s selftests are covered by name', () => {
  const covered = new Set(readCases(CASES_FOLDER).flatMap(({ says }) => says.covers ?? []));
  const fib = `ipv4_identical_routes ipv4_tos ipv4_metric ipv4_replace ipv4_delete ipv4_plen ipv4_replay ipv4_flush ipv4_error_path
    ipv4_delete_fail ipv6_add ipv6_metric ipv6_append_single ipv6_replace_single ipv6_metric_multipath ipv6_append_multipath
    ipv6_replace_multipath ipv6_append_multipath_to_single ipv6_delete_single ipv6_delete_multipath ipv6_replay_single
    ipv6_replay_multipath ipv6_error_path ipv6_delete_fail`;
  const nexthop = `nexthop_single_add_test nexthop_single_add_err_test nexthop_group_add_test nexthop_group_add_err_test
    nexthop_group_replace_test nexthop_group_replace_err_test nexthop_single_replace_test nexthop_single_replace_err_test
    nexthop_single_in_group_replace_test nexthop_single_in_group_replace_err_test nexthop_single_in_group_delete_test
    nexthop_single_in_group_delete_err_test nexthop_replay_test nexthop_replay_err_test`;
  const names = (script: string, list: string) => list.split(/\s+/).map((name) => `${script} ${name}`);
  for (const name of [...names('fib.sh', fib), ...names('nexthop.sh', nexthop)])
    expect(covered).toContain(name);
});
