/** Variants of softnic, by a fixture that stands in front of some of its functions (test/fixtures/plugins/learner, picky). */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPlugin } from '../../plugins/toolchain/build-plugin.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Files of softnic, and the function of each that the fixture has instead: the one of softnic is then `softnic_…`. */
const VARIANTS = {
  learner: { 'plugin.c': 'poll', 'apply.c': 'apply' },
  picky: { 'apply.c': 'apply' },
} as const;
export type Variant = keyof typeof VARIANTS;

/** Where `buildVariants` puts them, as NAME.wasm. */
export const VARIANTS_FOLDER = join(ROOT, 'build/fixtures/variants');

/** Builds those that are not there, or whose sources have changed. */
export async function buildVariants(): Promise<void> {
  for (const [name, functions] of Object.entries(VARIANTS)) await build(name, functions);
}

async function build(name: string, functions: Readonly<Record<string, string>>): Promise<void> {
  const sources = join(VARIANTS_FOLDER, `source-${name}-${process.pid}`);
  mkdirSync(sources, { recursive: true });
  try {
    cpSync(join(ROOT, 'plugins/softnic'), sources, { recursive: true });
    cpSync(join(ROOT, 'test/fixtures/plugins', name), sources, { recursive: true });
    for (const [file, called] of Object.entries(functions)) {
      const path = join(sources, file);
      // Not by a macro: the file may have the glue that calls it, too.
      const text = readFileSync(path, 'utf8');
      const changed = text.replace(`void ekho_offload_${called}(`, `void softnic_${called}(`);
      if (changed === text) throw new Error(`${file} of softnic has no ekho_offload_${called}`);
      writeFileSync(path, changed);
    }
    await buildPlugin({ folder: sources, output: join(VARIANTS_FOLDER, `${name}.wasm`) });
  } finally {
    rmSync(sources, { recursive: true, force: true });
  }
}
