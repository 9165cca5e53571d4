/** Starts a plugin folder from the template of a language. */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EkhoError } from '../../host/errors.ts';
import { checkName, type Language } from './project.ts';

const TEMPLATES = fileURLToPath(new URL('./templates/', import.meta.url));

/** npm leaves a file named .gitignore out of packages, so the templates' have another name. */
const RENAMED: Readonly<Record<string, string>> = { gitignore: '.gitignore' };

/**
 * Writes the template's files to the folder `name`, with the name in place of `@NAME@`. Returns the folder and the
 * files written, relative to it.
 * @throws EkhoError E_USAGE when the name is not one or the folder has something in it already
 */
export function newPlugin(
  name: string,
  language: Language,
  parent = '.',
): { folder: string; files: readonly string[] } {
  checkName(name);
  const folder = resolve(parent, name);
  if (existsSync(folder) && readdirSync(folder).length !== 0)
    throw new EkhoError('E_USAGE', `${folder} is there already and not empty`, {
      remedy: 'Choose another name or remove the folder.',
    });
  const template = join(TEMPLATES, language);
  const files: string[] = [];
  for (const entry of readdirSync(template, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const source = join(entry.parentPath, entry.name);
    const path = join(entry.parentPath.slice(template.length + 1), RENAMED[entry.name] ?? entry.name);
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, readFileSync(source, 'utf8').replaceAll('@NAME@', name));
    files.push(path);
  }
  return { folder, files: files.sort() };
}
