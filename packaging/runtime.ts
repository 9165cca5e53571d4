/**
 * What is installed at /usr/lib/ekho: the host as JavaScript, all that it loads by a path, its npm packages and Node. TypeScript is
 * stripped here, in place, so that lines and columns of errors stay those of the sources and nothing is left to do at a start.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { ROOT } from '../host/config/config.ts';
import { DEVICE_INTERFACES } from '../host/plugin/host-imports.ts';
import { loadPlugin } from '../host/plugin/load.ts';
import { bundlePackages } from './bundle.ts';
import { type Arch, type Module, modulesFor, writeModules } from './modules.ts';

/** Where all sources begin; whatever they name by a path that is there comes along. */
const ENTRY = 'host/cli/ekho.mjs';
const BUILT = ['build/web', 'wit', 'plugins/include', 'plugins/kit/templates', 'plugins/kit/cases'];
/** Files that are used by their ending: of build/bpf and build/plugins the stamps of what they were built from stay behind. */
const BUILT_FILES: Readonly<Record<string, string>> = { 'build/bpf': '.bpf.o', 'build/plugins': '.wasm' };
/** A path to another source, in an import or given to a worker. */
const REFERENCE = /(['"])(\.{1,2}\/[\w./-]+\.(?:ts|mjs))\1/g;

export interface RuntimeOptions {
  readonly arch: Arch;
  readonly version: string;
  /** An empty folder. */
  readonly folder: string;
}

/** Writes the tree; gives the npm packages in it. Needs `npm run build` before. */
export async function writeRuntime({ arch, version, folder }: RuntimeOptions): Promise<Module[]> {
  for (const [path, text] of sources()) write(join(folder, path), text);
  for (const path of BUILT) cpSync(join(ROOT, path), join(folder, path), { recursive: true });
  for (const [path, ending] of Object.entries(BUILT_FILES)) {
    const names = readdirSync(join(ROOT, path)).filter((name) => name.endsWith(ending));
    if (names.length === 0) throw new Error(`${path} has no ${ending} file: run \`npm run build\``);
    for (const name of names) cpSync(join(ROOT, path, name), join(folder, path, name));
  }
  await transpilePlugins(folder);
  const { name, description, license, type, dependencies, devDependencies } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  );
  const manifest = {
    name,
    version,
    description,
    license,
    private: true,
    type,
    dependencies,
    devDependencies,
  };
  write(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  const modules = modulesFor(arch);
  writeModules(modules, arch, folder);
  await bundlePackages(join(folder, 'node_modules'));
  return modules;
}

/** Path → text of every source that the command can come to load. */
function sources(): Map<string, string> {
  const found = new Map<string, string>();
  const queue = [ENTRY];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const isTypeScript = path.endsWith('.ts');
    const to = isTypeScript ? path.replace(/\.ts$/, '.js') : path;
    if (found.has(to)) continue;
    const text = readFileSync(join(ROOT, path), 'utf8');
    const from = dirname(join(ROOT, path));
    const code = isTypeScript ? stripTypeScriptTypes(text) : text;
    const renamed = code.replace(REFERENCE, (all, quote: string, reference: string) => {
      const target = join(from, reference);
      if (!existsSync(target)) return all;
      queue.push(relative(ROOT, target));
      return `${quote}${reference.replace(/\.ts$/, '.js')}${quote}`;
    });
    // What was a type is blank now.
    found.set(to, renamed.replace(/[ \t]+$/gm, ''));
  }
  return found;
}

/** The reference plugins, so that a DPU need not: it takes seconds there. */
async function transpilePlugins(folder: string): Promise<void> {
  const plugins = join(folder, 'build/plugins');
  for (const name of readdirSync(plugins))
    await loadPlugin(join(plugins, name), {
      grants: DEVICE_INTERFACES,
      cache: join(folder, 'build/transpiled'),
    });
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
