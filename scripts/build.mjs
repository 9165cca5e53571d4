/**
 * `npm run build`, where inputs changed: the plugins under plugins/ that have C sources into build/plugins/, and BPF
 * programs into build/bpf/.
 */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildAllBpf, canBuildBpf } from '../bpf/build.mjs';
import { buildPlugin } from '../plugins/toolchain/build-plugin.mjs';
import { fail, ROOT, say } from './setup.mjs';

/** Worlds of wit/host.wit, by plugin; the others are `asic-plugin`. */
const WORLDS = { xdp: 'tables-plugin', 'l3-mirror': 'rtnetlink-plugin' };

try {
  for (const entry of readdirSync(join(ROOT, 'plugins'), { withFileTypes: true })) {
    const folder = join(ROOT, 'plugins', entry.name);
    if (!entry.isDirectory() || !readdirSync(folder).some((name) => name.endsWith('.c'))) continue;
    const output = `build/plugins/${entry.name}.wasm`;
    const world = WORLDS[entry.name];
    if (await buildPlugin({ folder, output: join(ROOT, output), ...(world && { world }) }))
      say(`Built ${output}`);
  }
  if (canBuildBpf()) {
    for (const output of buildAllBpf()) say(`Built ${output.slice(ROOT.length)}`);
  } else {
    say('BPF programs are not built (the host does without them): they need clang and libbpf-dev.');
  }
} catch (error) {
  fail(error);
}
