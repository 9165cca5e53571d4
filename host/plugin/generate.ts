/** `node host/plugin/generate.ts`: writes what is derived from `wit/`. Run it after a change there. */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { generateRecords } from './generate-records.ts';
import { readLayouts } from './package.ts';

const ROOT = new URL('../../', import.meta.url);

const layouts = readLayouts();
const records = fileURLToPath(new URL('host/plugin/records.ts', ROOT));
writeFileSync(records, generateRecords(layouts));
execFileSync(fileURLToPath(new URL('node_modules/.bin/biome', ROOT)), ['check', '--write', records], {
  stdio: 'inherit',
});
