/** `node host/plugin/generate.ts`: writes what is derived from `wit/`. Run it after a change there. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { generateHeader } from './generate-header.ts';
import { generateRecords } from './generate-records.ts';
import { readLayouts } from './package.ts';

const ROOT = new URL('../../', import.meta.url);

const layouts = readLayouts();
const records = fileURLToPath(new URL('host/plugin/records.ts', ROOT));
writeFileSync(records, generateRecords(layouts));
execFileSync(fileURLToPath(new URL('node_modules/.bin/biome', ROOT)), ['check', '--write', records], {
  stdio: 'inherit',
});

mkdirSync(new URL('plugins/include/', ROOT), { recursive: true });
writeFileSync(new URL('plugins/include/ekho.h', ROOT), generateHeader(layouts));

// The pages of the contract.
execFileSync(process.execPath, [fileURLToPath(new URL('plugins/kit/document.ts', ROOT))], {
  stdio: 'inherit',
});
