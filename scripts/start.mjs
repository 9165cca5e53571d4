/** `npm start`: installs and builds what is missing, then runs the host. Arguments go to `ekho run`. */
import { join } from 'node:path';
import { become, build, ensureModules, fail, NODE, ROOT } from './setup.mjs';

try {
  ensureModules();
  build();
  become(NODE, [join(ROOT, 'host/cli/ekho.mjs'), 'run', ...process.argv.slice(2)]);
} catch (error) {
  fail(error);
}
