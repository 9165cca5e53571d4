/** TypeScript and JavaScript, by the npm package `componentize-qjs`: the component brings QuickJS along. */

import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EkhoError } from '../../../host/errors.ts';
import { readLayouts, witSource } from '../../../host/plugin/package.ts';
import { ifChanged } from '../../toolchain/build-plugin.mjs';
import { camelCase, interfacesOf } from '../generate/names.ts';
import { generateTypeScript } from '../generate/typescript.ts';
import type { Project } from '../project.ts';
import { manifestOf, withManifest } from './manifest.ts';
import { importTool, resolveTool, toolVersion } from './tools.ts';

interface Componentize {
  componentize(options: {
    readonly witPath: string;
    readonly jsSource: string;
    readonly jsPath: string;
    readonly moduleRoot: string;
    readonly world: string;
    readonly stubWasi: boolean;
    readonly sync: boolean;
  }): Promise<{ component: Uint8Array }>;
}

const ENTRY = 'ekho-entry.ts';
const SOURCE = /\.(ts|js|mjs)$/;
const BINDINGS = 'ekho.ts';

export async function buildTypeScript(project: Project): Promise<boolean> {
  const { folder, output, world } = project;
  const { bindings, entry } = generateTypeScript(readLayouts(), world);
  writeFileSync(join(folder, BINDINGS), bindings);
  const sources = readdirSync(folder)
    .filter((name) => SOURCE.test(name) && name !== ENTRY)
    .map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const);
  const { componentize } = await importTool<Componentize>(folder, 'componentize-qjs', 'index.js');
  const tools = [toolVersion(folder, 'componentize-qjs'), manifestOf(project)];
  return ifChanged(output, JSON.stringify([sources, entry, world, tools]), async () => {
    checkExports(folder, world);
    await checkTypes(folder);
    const work = mkdtempSync(join(tmpdir(), 'ekho-build-'));
    try {
      writeFileSync(join(work, 'ekho.wit'), witSource());
      const modules = join(work, 'modules');
      mkdirSync(modules);
      // Under their own names, as imports have them.
      for (const [name, text] of [...sources, [ENTRY, entry] as const])
        writeFileSync(join(modules, name), strip(name, text));
      const { component } = await componentize({
        witPath: join(work, 'ekho.wit'),
        jsSource: readFileSync(join(modules, ENTRY), 'utf8'),
        jsPath: join(modules, ENTRY),
        moduleRoot: modules,
        world,
        stubWasi: true,
        sync: true,
      });
      return withManifest(component, project);
    } catch (error) {
      if (error instanceof EkhoError) throw error;
      throw new EkhoError('E_BUILD', `componentize-qjs: ${(error as Error).message}`, {
        operation: 'build',
        cause: error,
      });
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
}

const PLUGIN = 'plugin.ts';

/** What it lacks would show as a trap when it is called. */
function checkExports(folder: string, world: string): void {
  const remedy = 'Export a constant per interface from plugin.ts (docs/plugins.md).';
  const file = join(folder, PLUGIN);
  if (!existsSync(file))
    throw new EkhoError('E_BUILD', `${folder} has no ${PLUGIN}`, { remedy, operation: 'build' });
  const text = readFileSync(file, 'utf8');
  for (const one of interfacesOf(readLayouts(), world).exports) {
    const name = camelCase(one.name);
    const exported = new RegExp(`\\bexport\\s+(?:\\w+\\s+${name}\\b|\\{[^}]*\\b${name}\\b|\\*)`);
    if (!exported.test(text))
      throw new EkhoError('E_BUILD', `${PLUGIN} does not export ${name}`, { remedy, operation: 'build' });
  }
}

function strip(name: string, text: string): string {
  if (!name.endsWith('.ts')) return text;
  // It warns that it is experimental, which is not the vendor’s business.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(text);
  } catch (error) {
    throw new EkhoError('E_BUILD', `${name}: ${(error as Error).message}`, {
      operation: 'build',
      cause: error,
    });
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** By tsc where it is installed: what it finds would otherwise show at run time, as a trap. */
async function checkTypes(folder: string): Promise<void> {
  let tsc: string;
  try {
    tsc = resolveTool(folder, 'typescript', 'bin/tsc');
  } catch {
    return;
  }
  try {
    await promisify(execFile)(process.execPath, [tsc, '--noEmit', '-p', folder], { cwd: folder });
  } catch (error) {
    const { stdout, message } = error as { stdout?: string; message: string };
    throw new EkhoError('E_BUILD', `tsc: ${stdout?.trim() || message}`, { operation: 'build', cause: error });
  }
}
