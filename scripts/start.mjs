/**
 * `npm start`: installs and builds what is missing, then runs the host. Arguments go to `ekho run`, after `--demo` to
 * `ekho demo`.
 */
import { join } from 'node:path';
import { become, build, ensureModules, fail, NODE, ROOT } from './setup.mjs';

try {
  ensureModules();
  build();
  const args = process.argv.slice(2);
  const words = args.includes('--demo')
    ? ['demo', ...args.filter((arg) => arg !== '--demo')]
    : ['run', ...args];
  become(NODE, [join(ROOT, 'host/cli/ekho.mjs'), ...words]);
} catch (error) {
  fail(error);
}
