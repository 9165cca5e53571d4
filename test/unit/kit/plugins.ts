/** Plugins made of the templates, in folders that are gone afterwards. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../../host/config/config.ts';
import { buildProject } from '../../../plugins/kit/build/index.ts';
import { findToolchain } from '../../../plugins/kit/build/rust.ts';
import { newPlugin } from '../../../plugins/kit/new.ts';
import { type Language, readProject } from '../../../plugins/kit/project.ts';

/** Where transpiled plugins are kept between tests. */
export const CACHE = join(ROOT, 'build/fixtures/cache');

/** Where there is no Rust, plugins in it are not built; on Debian, `npm test` installs it. */
export async function hasRust(): Promise<boolean> {
  return findToolchain(ROOT).then(
    () => true,
    () => false,
  );
}

/** Path of the component that the template of a language builds into. */
export async function buildTemplate(parent: string, language: Language): Promise<string> {
  const { folder } = newPlugin('example', language, parent);
  const project = readProject(folder);
  await buildProject(project);
  return project.output;
}

/** The template in C with parts of its text replaced: each must be there exactly once. */
export async function buildChanged(
  parent: string,
  name: string,
  changes: readonly (readonly [from: string, to: string])[],
): Promise<string> {
  const { folder } = newPlugin(name, 'c', parent);
  const file = join(folder, 'plugin.c');
  let text = readFileSync(file, 'utf8');
  for (const [from, to] of changes) {
    if (text.split(from).length !== 2) throw new Error(`${JSON.stringify(from)} is not once in the template`);
    text = text.replace(from, () => to);
  }
  writeFileSync(file, text);
  const project = readProject(folder);
  await buildProject(project);
  return project.output;
}

/** Stands once in the file of a plugin that can be wrong in several ways: the number of the fault. */
export const FAULT_MARK = 0x57a0_4e65;

/** Writes the plugin with one of its faults as a file, and returns its path. */
export function writeWithFault(built: Buffer, fault: number, file: string): string {
  const bytes = Buffer.from(built);
  const mark = Buffer.alloc(4);
  mark.writeUInt32LE(FAULT_MARK);
  const at = bytes.indexOf(mark);
  if (at < 0 || bytes.indexOf(mark, at + 1) >= 0)
    throw new Error('the mark of the fault does not stand once');
  bytes.writeUInt32LE(fault, at);
  writeFileSync(file, bytes);
  return file;
}
