/** `npm run fuzz`: installs and builds what is missing, then tries inputs that are wrong (test/fuzz/run.ts). */
import { join } from 'node:path';
import { become, build, ensureModules, fail, NODE, ROOT } from './setup.mjs';

try {
  ensureModules();
  build();
  become(NODE, [join(ROOT, 'test/fuzz/run.ts'), ...process.argv.slice(2)]);
} catch (error) {
  fail(error);
}
