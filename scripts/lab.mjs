/**
 * `npm run lab -- COMMAND`: installs and builds what is missing, then runs the command in a virtual machine with a stock
 * Debian kernel.
 */
import { join } from 'node:path';
import { become, build, ensureModules, fail, NODE, ROOT } from './setup.mjs';

try {
  ensureModules();
  build();
  become(NODE, [join(ROOT, 'test/lab/run.ts'), ...process.argv.slice(2)]);
} catch (error) {
  fail(error);
}
