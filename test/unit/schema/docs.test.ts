/** docs/netlink.md is what the tables say. */

import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

test('docs/netlink.md is current', () => {
  const check = () =>
    execFileSync(process.execPath, ['scripts/docs-netlink.mjs', '--check'], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  expect(check).not.toThrow();
});
