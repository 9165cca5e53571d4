import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('a socket may be closed from its own callbacks', () => {
  const { stdout, stderr, signal } = spawnSync(process.execPath, [join(import.meta.dirname, 'closing.ts')], {
    encoding: 'utf8',
  });
  expect({ stdout, stderr, signal }).toEqual({ stdout: 'closed\n', stderr: '', signal: null });
});
