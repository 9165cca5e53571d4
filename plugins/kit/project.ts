/** A vendor's plugin folder: what its plugin.toml says, and where its component is built to. */

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'smol-toml';
import { EkhoError } from '../../host/errors.ts';

export const LANGUAGES = ['c', 'assemblyscript', 'typescript'] as const;
export type Language = (typeof LANGUAGES)[number];

export const PROJECT_FILE = 'plugin.toml';

export interface Project {
  /** Absolute. */
  readonly folder: string;
  /** Of the plugin: its file's name without `.wasm`. */
  readonly name: string;
  readonly language: Language;
  /** World of wit/ that it is a component of. */
  readonly world: string;
  /** Absolute path of the component. */
  readonly output: string;
}

/** Names of plugins: they become names of files and of crates. */
const NAME = /^[a-z][a-z0-9-]{0,62}$/;

/** @throws EkhoError E_USAGE for a name that a plugin cannot have */
export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw new EkhoError('E_USAGE', `a plugin cannot be named ${JSON.stringify(name)}`, {
    remedy: 'Use lower-case letters, digits and hyphens, a letter first, at most 63.',
  });
}

/** Reads `folder/plugin.toml`. @throws EkhoError E_PROJECT naming file and key */
export function readProject(folder: string): Project {
  const file = join(folder, PROJECT_FILE);
  const fail = (what: string, remedy: string, cause?: unknown) =>
    new EkhoError('E_PROJECT', `${file}: ${what}`, { remedy, cause });
  if (!existsSync(file))
    throw fail('there is no such file', 'Begin with `ekho plugin new NAME`, or go to the plugin’s folder.');
  let values: Record<string, unknown>;
  try {
    values = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw fail((error as Error).message, 'It must be TOML.', error);
  }
  const text = (key: string, fallback?: string): string => {
    const value = values[key] ?? fallback;
    if (typeof value !== 'string') throw fail(`${key} is missing`, `Add ${key} = "…".`);
    return value;
  };
  const name = text('name');
  checkName(name);
  const language = text('language');
  if (!LANGUAGES.includes(language as Language))
    throw fail(`the kit does not know the language ${language}`, `Use ${LANGUAGES.join(', ')}.`);
  const known = ['name', 'language', 'world'];
  for (const key of Object.keys(values))
    if (!known.includes(key)) throw fail(`there is no key ${key}`, `Keys are ${known.join(', ')}.`);
  const absolute = resolve(folder);
  return {
    folder: absolute,
    name,
    language: language as Language,
    world: text('world', 'asic-plugin'),
    output: join(absolute, 'build', `${name}.wasm`),
  };
}
