/** A vendor's plugin folder: what its plugin.toml says, and where its component is built to. */

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'smol-toml';
import { EkhoError } from '../../host/errors.ts';
import { readLayouts } from '../../host/plugin/package.ts';

export const LANGUAGES = ['c', 'assemblyscript', 'typescript', 'rust'] as const;
export type Language = (typeof LANGUAGES)[number];

export const PROJECT_FILE = 'plugin.toml';

export interface Project {
  /** Absolute. */
  readonly folder: string;
  /** Of the plugin: its file's name without `.wasm`. */
  readonly name: string;
  readonly language: Language;
  /** For people; what the plugin describes itself as counts. */
  readonly version: string | undefined;
  /** SPDX expression. */
  readonly licence: string | undefined;
  /** World of wit/ that it is a component of. */
  readonly world: string;
  /** Absolute path of the component. */
  readonly output: string;
}

/** Names of plugins: they become names of files and of crates. */
const NAME = /^[a-z][a-z0-9-]{0,62}$/;
const NAME_REMEDY = 'Use lower-case letters, digits and hyphens, a letter first, at most 63.';

const KEYS = ['name', 'language', 'version', 'licence', 'world'];

/** @throws EkhoError E_USAGE for a name that a plugin cannot have */
export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw new EkhoError('E_USAGE', `a plugin cannot be named ${JSON.stringify(name)}`, {
    remedy: NAME_REMEDY,
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
  const optional = (key: string): string | undefined => {
    const value = values[key];
    if (value === undefined || typeof value === 'string') return value;
    throw fail(`${key} is no text`, `Write ${key} = "…".`);
  };
  const text = (key: string): string => {
    const value = optional(key);
    if (value === undefined) throw fail(`${key} is missing`, `Add ${key} = "…".`);
    return value;
  };
  const oneOf = (key: string, value: string, choices: readonly string[]): string => {
    if (choices.includes(value)) return value;
    throw fail(`there is no ${key} ${JSON.stringify(value)}`, `Use ${choices.join(', ')}.`);
  };
  for (const key of Object.keys(values))
    if (!KEYS.includes(key)) throw fail(`there is no key ${key}`, `Keys are ${KEYS.join(', ')}.`);
  const name = text('name');
  if (!NAME.test(name)) throw fail(`a plugin cannot be named ${JSON.stringify(name)}`, NAME_REMEDY);
  const absolute = resolve(folder);
  return {
    folder: absolute,
    name,
    language: oneOf('language', text('language'), LANGUAGES) as Language,
    version: optional('version'),
    licence: optional('licence'),
    world: oneOf('world', optional('world') ?? 'asic-plugin', [...readLayouts().package.worlds.keys()]),
    output: join(absolute, 'build', `${name}.wasm`),
  };
}
