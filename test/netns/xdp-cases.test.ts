/** Plugin xdp and the whole suite of cases, on the real data path attached to links of a namespace, which fails and loses its tables where cases ask for it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { checkPlugin } from '../../plugins/kit/check/index.ts';

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
    expect(names('left out').sort()).toEqual(SMALLER);
    expect(names('passed').length).toBeGreaterThan(70);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
});
