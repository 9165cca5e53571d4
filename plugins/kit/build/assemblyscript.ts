/** AssemblyScript, by asc from the npm package `assemblyscript`. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { EkhoError } from '../../../host/errors.ts';
import { readLayouts } from '../../../host/plugin/package.ts';
import { ifChanged, makeComponent } from '../../toolchain/build-plugin.mjs';
import { type AssemblyScriptBindings, generateAssemblyScript } from '../generate/assemblyscript.ts';
import type { Project } from '../project.ts';
import { buildError } from './errors.ts';
import { renameExports } from './exports.ts';
import { manifestOf, withManifest } from './manifest.ts';
import { importTool, toolVersion } from './tools.ts';

/** What asc is called with; of its module only this is used. */
interface Asc {
  main(
    args: readonly string[],
    api: {
      readFile(name: string, base: string): string | null;
      writeFile(name: string, contents: Uint8Array | string): void;
      listFiles(): string[];
      stdout: { write(text: string): void };
      stderr: { write(text: string): void };
    },
  ): Promise<{ error: Error | null }>;
}

const ENTRY = 'ekho-entry.ts';
const OPTIONS = ['--runtime', 'incremental', '-O3', '--use', 'abort='];

export async function buildAssemblyScript(project: Project): Promise<boolean> {
  const { folder, output, world } = project;
  const bindings = generateAssemblyScript(readLayouts(), world);
  // For editors; the build does not read it.
  writeFileSync(join(folder, 'ekho.ts'), bindings.bindings);
  const sources = readdirSync(folder)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => [name, readFileSync(join(folder, name), 'utf8')]);
  const asc = await importTool<Asc>(folder, 'assemblyscript', 'dist/asc.js');
  const tools = [toolVersion(folder, 'assemblyscript'), OPTIONS, bindings.entry, world, manifestOf(project)];
  return ifChanged(output, JSON.stringify([sources, tools]), async () => {
    const core = await compile(asc, folder, bindings);
    const renamed = renameExports(core, bindings.renames);
    const component = await makeComponent(renamed, world).catch((error) => {
      throw buildError(error, 'Export every function of the contract from plugin.ts (docs/plugins.md).');
    });
    return withManifest(component, project);
  });
}

async function compile(asc: Asc, folder: string, bindings: AssemblyScriptBindings): Promise<Uint8Array> {
  const made = new Map<string, Uint8Array | string>([
    [ENTRY, bindings.entry],
    ['ekho.ts', bindings.bindings],
  ]);
  let messages = '';
  const say = {
    write: (text: string) => {
      messages += text;
    },
  };
  const { error } = await asc.main([ENTRY, '--outFile', 'core.wasm', ...OPTIONS], {
    readFile: (name, base) => {
      const found = made.get(name);
      if (found !== undefined) return String(found);
      try {
        return readFileSync(resolve(folder, base, name), 'utf8');
      } catch {
        return null;
      }
    },
    writeFile: (name, contents) => void made.set(name, contents),
    listFiles: () => [],
    stdout: say,
    stderr: say,
  });
  const core = made.get('core.wasm');
  if (error === null && core instanceof Uint8Array) return core;
  throw new EkhoError('E_BUILD', `asc: ${messages.trim() || error?.message}`, {
    operation: 'build',
    cause: error,
  });
}
