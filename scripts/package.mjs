/** `npm run package`: installs and builds what is missing, then makes the packages (packaging/main.ts). */
import { join } from 'node:path';
import { build, ensureModules, fail, NODE, ROOT, runNow } from './setup.mjs';

try {
  ensureModules();
  build();
  const words = ['--disable-warning=ExperimentalWarning', join(ROOT, 'packaging/main.ts')];
  runNow(NODE, [...words, ...process.argv.slice(2)], 'The packages could not be made; the message is above.');
} catch (error) {
  fail(error);
}
