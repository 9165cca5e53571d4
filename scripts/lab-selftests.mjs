/** `npm run lab:selftests`: installs and builds what is missing, then runs the kernel's own selftests on ports of the kernel module. */
import { join } from 'node:path';
import { become, build, ensureModules, fail, NODE, ROOT } from './setup.mjs';

try {
  ensureModules();
  build();
  become(NODE, [join(ROOT, 'test/lab/selftests/run.ts'), ...process.argv.slice(2)]);
} catch (error) {
  fail(error);
}
