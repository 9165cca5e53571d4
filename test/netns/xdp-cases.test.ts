/** Plugin xdp and the whole suite of cases, on the real data path attached to links of a namespace. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { checkPlugin } from '../../plugins/kit/check/index.ts';

/** What a data path in this machine cannot show: rows that it fails to take, tables that it loses. */
const SIMULATED = [
  'batch-partial',
  'determinism',
  'fib-ipv4-delete-fail',
  'fib-ipv6-delete-fail',
  'life-power',
  'life-power-off',
  'nexthop-group-replace-error',
  'nexthop-in-group-delete-error',
  'nexthop-in-group-replace-error',
  'nexthop-replace-error',
  'nexthop-replay-error',
  'replace-refused',
];

/** A group of more members than it has room for. */
const SMALLER = ['hostile-members'];

test('the suite finds nothing wrong', { timeout: 900_000 }, async () => {
  const cache = mkdtempSync(join(tmpdir(), 'ekho-check-'));
  try {
    const { results } = await checkPlugin(join(ROOT, 'build/plugins/xdp.wasm'), { cache });
    const names = (verdict: string) =>
      results.filter((one) => one.verdict === verdict).map((one) => one.case.name);
    const failed = results.filter((one) => one.verdict === 'failed');
    expect(failed.map((one) => `${one.case.name}: ${one.why}`)).toEqual([]);
    expect(names('left out').sort()).toEqual([...SIMULATED, ...SMALLER].sort());
    expect(names('passed').length).toBeGreaterThan(70);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
});
