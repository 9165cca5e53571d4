import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** What goes wrong in the native code ends a whole process. */
function run(program: string) {
  const { stdout, stderr, signal } = spawnSync(process.execPath, [join(import.meta.dirname, program)], {
    encoding: 'utf8',
  });
  return { stdout, stderr, signal };
}

it('a socket may be closed from its own callbacks', () => {
  expect(run('closing.ts')).toEqual({ stdout: 'closed\n', stderr: '', signal: null });
});

it('a thread may end while its socket receives', () => {
  expect(run('ending.ts')).toEqual({ stdout: 'ended\n', stderr: '', signal: null });
}, 60_000);
