/** Compilers from npm: found beside the plugin or beside EKHO. What is missing is named with how to get it. */

import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../../../host/config/config.ts';
import { EkhoError } from '../../../host/errors.ts';

/** Versions the kit is tested with: those of package.json. */
function wantedVersion(name: string): string {
  const { devDependencies, dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  return devDependencies[name] ?? dependencies[name] ?? 'latest';
}

/** A file of a package, from the plugin’s folder before EKHO’s own. @throws EkhoError E_TOOL */
export function resolveTool(folder: string, name: string, file: string): string {
  for (const base of [folder, ROOT]) {
    const manifest = manifestOf(name, base);
    if (manifest !== undefined) return join(dirname(manifest), file);
  }
  const where = folder === ROOT ? `in EKHO’s folder, ${ROOT}` : 'in the plugin’s folder or in EKHO’s';
  throw new EkhoError('E_TOOL', `the npm package ${name} is not installed`, {
    remedy: `Install it ${where}: npm install --no-save ${name}@${wantedVersion(name)}`,
    operation: 'build',
  });
}

function manifestOf(name: string, base: string): string | undefined {
  try {
    return findPackageJSON(name, pathToFileURL(join(base, 'package.json')));
  } catch {
    // Not there; perhaps in the next.
    return undefined;
  }
}

/** Version of a package that is used. @throws EkhoError E_TOOL */
export function toolVersion(folder: string, name: string): string {
  return JSON.parse(readFileSync(resolveTool(folder, name, 'package.json'), 'utf8')).version;
}

/** Imports a module of a package. @throws EkhoError E_TOOL */
export async function importTool<T>(folder: string, name: string, file: string): Promise<T> {
  return (await import(pathToFileURL(resolveTool(folder, name, file)).href)) as T;
}
