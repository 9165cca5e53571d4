/** The WIT package that this host speaks, read from `wit/`. */

import { readdirSync, readFileSync } from 'node:fs';
import { Layouts } from './layout.ts';
import { parseWit } from './wit.ts';

export const WIT_FOLDER: URL = new URL('../../wit/', import.meta.url);

/** The package's files as one text, for tools that take a package as a string. */
export function witSource(): string {
  const texts = [...witFiles().values()];
  return texts.map((text, index) => (index === 0 ? text : text.replace(/^package [^;]+;/m, ''))).join('\n');
}

export function readLayouts(): Layouts {
  return new Layouts(parseWit(witFiles()));
}

function witFiles(): Map<string, string> {
  const names = readdirSync(WIT_FOLDER).filter((name) => name.endsWith('.wit'));
  return new Map(
    names.sort().map((name) => [`wit/${name}`, readFileSync(new URL(name, WIT_FOLDER), 'utf8')]),
  );
}
