/** `npm run lab:matrix`: installs and builds what is missing, then runs the lab's suite on each kernel and writes docs/kernels.md. */
import { join } from 'node:path';
import { become, build, ensureModules, fail, NODE, ROOT } from './setup.mjs';

try {
  ensureModules();
  build();
  become(NODE, [join(ROOT, 'test/lab/matrix.ts'), ...process.argv.slice(2)]);
} catch (error) {
  fail(error);
}
