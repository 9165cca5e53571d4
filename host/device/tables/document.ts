/** `node host/device/tables/document.ts`: writes what is derived from the lists here: the program's reasons, a table in docs/xdp.md. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { REASONS, reasonsHeader } from './reasons.ts';

const ROOT = new URL('../../../', import.meta.url);
const BEGIN = '<!-- reasons: made by host/device/tables/document.ts -->\n';
const END = '<!-- /reasons -->\n';

/** docs/xdp.md with the table of reasons as it should be. */
export function document(text: string): string {
  const rows = REASONS.map(({ name, meaning }) => `| \`${name}\` | ${meaning} |\n`).join('');
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined)
    throw new Error('docs/xdp.md has no place for the reasons');
  return `${before}${BEGIN}| Reason | Meaning |\n|---|---|\n${rows}${END}${after}`;
}

export const HEADER = new URL('bpf/datapath_reasons.h', ROOT);
export const DOCUMENT = new URL('docs/xdp.md', ROOT);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(HEADER, reasonsHeader());
  if (existsSync(DOCUMENT)) writeFileSync(DOCUMENT, document(readFileSync(DOCUMENT, 'utf8')));
}
