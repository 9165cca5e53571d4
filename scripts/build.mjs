/** `npm run build`: compiles the plugins under plugins/ that have C sources into build/plugins/, where inputs changed. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildPlugin } from '../plugins/toolchain/build-plugin.mjs';
import { fail, ROOT, say } from './setup.mjs';

try {
  for (const entry of readdirSync(join(ROOT, 'plugins'), { withFileTypes: true })) {
    const folder = join(ROOT, 'plugins', entry.name);
    if (!entry.isDirectory() || !readdirSync(folder).some((name) => name.endsWith('.c'))) continue;
    const output = `build/plugins/${entry.name}.wasm`;
    if (await buildPlugin({ folder, output: join(ROOT, output) })) say(`Built ${output}`);
  }
} catch (error) {
  fail(error);
}
