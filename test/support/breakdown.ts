/** Builds softnic with a breakdown in it (test/fixtures/plugins/breakdown). */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPlugin } from '../../plugins/toolchain/build-plugin.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** As in breakdown.c, in its order. */
const BREAKDOWNS = ['traps', 'hangs', 'grows', 'lies', 'garbles'] as const;
export type Breakdown = (typeof BREAKDOWNS)[number];

/** Folder with the plugin `softnic` that breaks down once the ASIC holds `routes` IPv4 routes; 0: with every batch. */
export async function buildBreakdown(how: Breakdown, routes: number): Promise<string> {
  const folder = join(ROOT, `build/fixtures/breakdown-${how}-${routes}`);
  const sources = join(folder, `source-${process.pid}`);
  mkdirSync(sources, { recursive: true });
  try {
    cpSync(join(ROOT, 'plugins/softnic'), sources, { recursive: true });
    cpSync(join(ROOT, 'test/fixtures/plugins/breakdown'), sources, { recursive: true });
    const apply = join(sources, 'apply.c');
    writeFileSync(apply, `#define ekho_offload_apply softnic_apply\n${readFileSync(apply, 'utf8')}`);
    writeFileSync(
      join(sources, 'breakdown.h'),
      `#define BREAKS_AT ${routes}\n#define HOW ${BREAKDOWNS.indexOf(how)}\n`,
    );
    await buildPlugin({ folder: sources, output: join(folder, 'softnic.wasm') });
  } finally {
    rmSync(sources, { recursive: true, force: true });
  }
  return folder;
}
