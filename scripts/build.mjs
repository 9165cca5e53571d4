/**
 * `npm run build`, where inputs changed: the plugins under plugins/ that have a plugin.toml or C sources into
 * build/plugins/, and BPF programs into build/bpf/.
 */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildAllBpf, canBuildBpf } from '../bpf/build.mjs';
import { buildProject } from '../plugins/kit/build/index.ts';
import { PROJECT_FILE, readProject } from '../plugins/kit/project.ts';
import { buildPlugin } from '../plugins/toolchain/build-plugin.mjs';
import { buildDashboard } from '../web/build.mjs';
import { fail, ROOT, say } from './setup.mjs';

/** Worlds of wit/host.wit, by plugin; the others are `asic-plugin`. */
const WORLDS = { xdp: 'tables-plugin' };

/** Whether it had to be built; undefined where there is nothing to build. */
async function build(name, folder, output) {
  if (existsSync(join(folder, PROJECT_FILE))) return buildProject({ ...readProject(folder), output });
  if (!readdirSync(folder).some((file) => file.endsWith('.c'))) return undefined;
  const world = WORLDS[name];
  return buildPlugin({ folder, output, ...(world && { world }) });
}

try {
  for (const entry of readdirSync(join(ROOT, 'plugins'), { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const output = `build/plugins/${entry.name}.wasm`;
    if (await build(entry.name, join(ROOT, 'plugins', entry.name), join(ROOT, output)))
      say(`Built ${output}`);
  }
  if (canBuildBpf()) {
    for (const output of buildAllBpf()) say(`Built ${output.slice(ROOT.length)}`);
  } else {
    say(
      'BPF programs are not built (the host does without them, but for the XDP data path and the demo): they need clang and libbpf-dev.',
    );
  }
  if (await buildDashboard()) say('Built build/web');
} catch (error) {
  fail(error);
}
