/** From a `.wasm` file to something a worker can instantiate: checked, transpiled, capped, cached. */

import { constants, lstat, open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EkhoError } from '../errors.ts';
import { BinaryError, capCoreModule, isSafeName, quote, readComponent } from './binary.ts';
import { defaultCacheFolder, sha256, TranspileCache } from './cache.ts';
import { BASE_INTERFACES, DEVICE_INTERFACES } from './host-imports.ts';
import { MANIFEST_SECTION, type Manifest, parseManifest } from './manifest.ts';
import {
  enforce,
  type PublicKey,
  SIGNATURE_TEXT_MAX,
  type SignaturePolicy,
  type Trust,
  verifyFile,
} from './signature.ts';
import { transpile, transpilerVersion } from './transpile.ts';
import { TRANSPILE_OPTIONS } from './transpile-options.ts';
import { checkVersion, interfaceName } from './wit-version.ts';

const EXPORTS = ['plugin', 'offload', 'notifier', 'stats'] as const;

/** Raised when the meaning of what is cached changes. */
const CACHE_FORMAT = 3;

/** What an installed host was shipped with: plugins that came with it are transpiled already. */
const SHIPPED = fileURLToPath(new URL('../../build/transpiled', import.meta.url));

const GLUE = 'plugin.js';
/** Memories of all core modules. */
const MEMORIES_MAX = 4;
const CORE_MODULE = /^plugin\.core\d*\.wasm$/;

export const MEMORY_MAX_DEFAULT = 256 * 1024 * 1024;
export const FILE_MAX_DEFAULT = 32 * 1024 * 1024;

export interface LoadOptions {
  /** Device interfaces this plugin may import, e.g. `asic`. */
  readonly grants: readonly string[];
  /** Folder for transpiled plugins. Default: the user's cache folder. */
  readonly cache?: string;
  /** Its transpiled copy was not as it was written; it is made again. */
  readonly onDamagedCopy?: (folder: string) => void;
  /** Bytes the plugin's memory may grow to. Default 256 MiB. */
  readonly memoryMax?: number;
  /** Bytes of the file. Default 32 MiB. */
  readonly fileMax?: number;
  /** Default `off`. */
  readonly signatures?: SignaturePolicy;
  readonly trustedKeys?: readonly PublicKey[];
}

export interface LoadedPlugin {
  /** The file's name without `.wasm`. */
  readonly name: string;
  readonly file: string;
  /** Of the file. */
  readonly sha256: string;
  /** Device interfaces it imports. */
  readonly devices: readonly string[];
  /** URL of the glue. */
  readonly glue: string;
  /** Source of the glue. */
  readonly source: string;
  /** Core modules by the file name the glue asks for. */
  readonly modules: ReadonlyMap<string, Uint8Array>;
  readonly cached: boolean;
  /** Bytes that its memory may grow to. */
  readonly memoryMax: number;
  /** `unsigned` also where signatures are not looked at. */
  readonly trust: Trust;
  readonly manifest: Manifest | undefined;
}

/** The file of a plugin's signature. */
export function signatureFileOf(file: string): string {
  return `${file}.sig`;
}

/**
 * @throws EkhoError E_PLUGIN_INVALID (not a plugin, or beyond a limit), E_PLUGIN_VERSION (of other interfaces), E_PLUGIN_IMPORT (imports
 * what it was not granted), E_SIGNATURE (not of this file, or not enough for the policy), E_CACHE
 */
export async function loadPlugin(file: string, options: LoadOptions): Promise<LoadedPlugin> {
  const name = basename(file, '.wasm');
  const bytes = await readLimited(file, options.fileMax ?? FILE_MAX_DEFAULT);
  const trust = await trustOf(file, bytes, options);
  const memoryMax = options.memoryMax ?? MEMORY_MAX_DEFAULT;
  try {
    const { devices, manifest } = checkNames(name, bytes, options.grants);
    const hash = sha256(bytes);
    const cache = new TranspileCache(options.cache ?? defaultCacheFolder());
    const key = sha256(
      JSON.stringify([CACHE_FORMAT, hash, transpilerVersion(), TRANSPILE_OPTIONS, memoryMax]),
    );
    const found =
      (await new TranspileCache(SHIPPED).readOnly(key)) ?? (await cache.read(key, options.onDamagedCopy));
    const entry = found ?? (await cache.write(key, checkFiles(await transpile(bytes), memoryMax)));
    return {
      name,
      file,
      sha256: hash,
      devices,
      glue: pathToFileURL(join(entry.folder, GLUE)).href,
      source: new TextDecoder().decode(entry.files.get(GLUE)),
      modules: new Map([...entry.files].filter(([name]) => CORE_MODULE.test(name))),
      cached: found !== undefined,
      memoryMax,
      trust,
      manifest,
    };
  } catch (error) {
    if (error instanceof EkhoError && error.code !== 'E_PLUGIN_INVALID') throw error;
    if (error instanceof EkhoError || error instanceof BinaryError)
      throw new EkhoError('E_PLUGIN_INVALID', `${file}: ${error.message}`, {
        remedy:
          (error instanceof EkhoError ? error.remedy : undefined) ??
          'Build it as a component of the package ekho:offload (docs/plugins.md).',
        operation: 'load',
        cause: error,
      });
    throw error;
  }
}

async function trustOf(file: string, bytes: Uint8Array, options: LoadOptions): Promise<Trust> {
  const { signatures = 'off', trustedKeys = [] } = options;
  if (signatures === 'off') return { trust: 'unsigned' };
  try {
    const trust = verifyFile(bytes, await readSignature(file), trustedKeys);
    enforce(trust, signatures);
    return trust;
  } catch (error) {
    if (!(error instanceof EkhoError)) throw error;
    throw new EkhoError(error.code, `${file}: ${error.message}`, {
      ...(error.remedy !== undefined && { remedy: error.remedy }),
      operation: 'load',
    });
  }
}

/** Text of the signature beside a plugin; undefined if there is none. */
export async function readSignature(file: string): Promise<string | undefined> {
  const path = signatureFileOf(file);
  if ((await stat(path).catch(() => undefined)) === undefined) return undefined;
  return new TextDecoder().decode(await readLimited(path, SIGNATURE_TEXT_MAX));
}

/** Opening something else than a regular file may wait for ever, or touch a device: looked at before, and once open. */
export async function readLimited(file: string, fileMax: number): Promise<Uint8Array> {
  const refuse = (what: string, cause?: unknown) =>
    new EkhoError('E_PLUGIN_INVALID', `${file}: ${what}`, {
      remedy: 'Put a component of the package ekho:offload there (docs/plugins.md), or remove it.',
      operation: 'load',
      cause,
    });
  const notRegular = 'it is not a regular file';
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    if (!(await stat(file)).isFile()) throw refuse(notRegular);
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof EkhoError) throw error;
    throw refuse(await whyUnreadable(file, error as NodeJS.ErrnoException), error);
  }
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw refuse(notRegular);
    if (found.size > fileMax) throw refuse(`it is larger than ${fileMax} bytes`);
    const bytes = new Uint8Array(found.size);
    let size = 0;
    while (size < bytes.length) {
      const { bytesRead } = await handle.read(bytes, size, bytes.length - size, size);
      if (bytesRead === 0) throw refuse('it changed while it was read');
      size += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

async function whyUnreadable(file: string, { code, message }: NodeJS.ErrnoException): Promise<string> {
  switch (code) {
    case 'ENOENT': {
      const link = await lstat(file).catch(() => undefined);
      return link === undefined ? 'there is no such file' : 'it is a link to a file that is not there';
    }
    case 'ELOOP':
      return 'it is a link that leads back to itself';
    case 'EACCES':
      return 'this user may not read it';
    default:
      return `it cannot be read: ${code ?? message}`;
  }
}

/** Checks what the component imports and exports, before any other tool sees it. Returns the devices it needs and its manifest. */
function checkNames(
  name: string,
  bytes: Uint8Array,
  grants: readonly string[],
): { devices: string[]; manifest: Manifest | undefined } {
  const { imports, exports, custom } = readComponent(bytes, [MANIFEST_SECTION]);
  const told = custom.get(MANIFEST_SECTION);
  const manifest = told && parseManifest(told);
  const devices: string[] = [];
  for (const one of [...imports, ...exports])
    if (!isSafeName(one))
      throw new BinaryError(`the name ${quote(one)} has characters that names may not have`);
  checkVersion(name, [...imports, ...exports]);
  for (const one of imports) {
    if (BASE_INTERFACES.some((short) => one === interfaceName(short))) continue;
    const short = DEVICE_INTERFACES.find((device) => one === interfaceName(device));
    if (short !== undefined) {
      if (!grants.includes(short))
        throw new EkhoError(
          'E_PLUGIN_IMPORT',
          `plugin ${name} imports ${one} and was not granted a device of that kind`,
          {
            remedy: `Grant it a device of kind ${short} in the configuration, or remove the plugin.`,
            operation: 'load',
          },
        );
      devices.push(short);
      continue;
    }
    const known = [...BASE_INTERFACES, ...DEVICE_INTERFACES].map(interfaceName);
    throw new EkhoError(
      'E_PLUGIN_IMPORT',
      `plugin ${name} imports ${quote(one)}, which this host does not offer`,
      {
        remedy: `A plugin may import ${known.join(', ')}.`,
        operation: 'load',
      },
    );
  }
  for (const one of EXPORTS) {
    const full = interfaceName(one);
    if (!exports.includes(full)) throw new BinaryError(`it does not export ${full}`);
  }
  return { devices, manifest };
}

/** What the transpiler made, with core modules checked and capped: names in them are pasted into the glue as they are. */
function checkFiles(files: ReadonlyMap<string, Uint8Array>, memoryMax: number): Map<string, Uint8Array> {
  const checked = new Map<string, Uint8Array>();
  const largest = largestMemory(files);
  let memories = 0;
  let fixed = 0;
  // The one that grows comes last: what the others have is taken off its cap.
  for (const [name, bytes] of [...files].sort(([a], [b]) => Number(a === largest) - Number(b === largest))) {
    if (name === GLUE) checked.set(name, bytes);
    else if (CORE_MODULE.test(name)) {
      const module = capCoreModule(bytes, memoryMax - fixed, name === largest);
      const unsafe = module.names.find((one) => !isSafeName(one));
      if (unsafe !== undefined)
        throw new BinaryError(
          `the name ${quote(unsafe)} in a core module has characters that names may not have`,
        );
      memories += module.memories;
      fixed += module.memoryMin;
      checked.set(name, module.bytes);
    } else throw new BinaryError(`the transpiler made a file ${quote(name)}`);
  }
  if (!checked.has(GLUE)) throw new BinaryError('the transpiler made no glue');
  if (memories > MEMORIES_MAX)
    throw new BinaryError(`it has ${memories} memories, ${MEMORIES_MAX} are allowed`);
  return checked;
}

/** The core module with the largest memory: only that one may grow. Tools add small ones for what they stub out. */
function largestMemory(files: ReadonlyMap<string, Uint8Array>): string | undefined {
  let largest: string | undefined;
  let most = -1;
  for (const [name, bytes] of files) {
    if (!CORE_MODULE.test(name)) continue;
    const { memories, memoryMin } = capCoreModule(bytes, Number.MAX_SAFE_INTEGER, false);
    if (memories === 0 || memoryMin <= most) continue;
    largest = name;
    most = memoryMin;
  }
  return largest;
}

/** For a plugin that runs within the host's own process. */
export async function compileModules({ modules }: LoadedPlugin): Promise<Map<string, WebAssembly.Module>> {
  const compiled = new Map<string, WebAssembly.Module>();
  for (const [name, bytes] of modules) compiled.set(name, await WebAssembly.compile(bytes));
  return compiled;
}
