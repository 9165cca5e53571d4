/** `npm run chaos`: installs and builds what is missing, then tries faults (test/chaos/run.ts). */
import { join } from 'node:path';
import { become, build, ensureModules, fail, NODE, ROOT } from './setup.mjs';

try {
  ensureModules();
  build();
  become(NODE, [join(ROOT, 'test/chaos/run.ts'), ...process.argv.slice(2)]);
} catch (error) {
  fail(error);
}
