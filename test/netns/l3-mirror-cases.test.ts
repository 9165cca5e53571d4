/** Plugin l3-mirror and the suite of cases, with a network namespace as the other kernel. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { checkPlugin } from '../../plugins/kit/check/index.ts';

/** What a kernel has no place for. */
const NOT_HELD = [
  // Handles of routes, and the router interface of a nexthop.
  'fib-ipv4-replay',
  'fib-ipv6-replay',
  'fib-ipv6-replay-multipath',
  'life-kill',
  'life-stop',
  'nexthop-replay',
  // VLANs on a bridge that does not filter them.
  'hold-fdb-entry',
  // A nexthop twice in a group.
  'readback-pages-members',
];

/** Cases of these beginnings, of those that concern it: all would take too long. */
const SOME = ['hold-', 'nexthop-', 'hostile-'];

test.each(SOME)('cases %s', { timeout: 240_000 }, async (only) => {
  const cache = mkdtempSync(join(tmpdir(), 'ekho-check-'));
  try {
    const { results } = await checkPlugin(join(ROOT, 'build/plugins/l3-mirror.wasm'), { cache, only });
    const failed = results.filter(({ verdict }) => verdict === 'failed');
    expect(failed.map((one) => one.case.name)).toEqual(NOT_HELD.filter((name) => name.includes(only)));
    expect(results.filter(({ verdict }) => verdict === 'passed').length).toBeGreaterThan(2);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
});
