/** Rust, by the cargo that is installed: the only language whose compiler does not come from npm. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { EkhoError } from '../../../host/errors.ts';
import { readLayouts, witSource } from '../../../host/plugin/package.ts';
import { ifChanged, makeComponent, version } from '../../toolchain/build-plugin.mjs';
import { generateRust } from '../generate/rust.ts';
import type { Project } from '../project.ts';
import { buildError } from './errors.ts';
import { manifestOf, withManifest } from './manifest.ts';

const TARGET = 'wasm32-unknown-unknown';
const GET_TARGET = `rustup target add ${TARGET}, or on Debian: apt-get install rustc cargo libstd-rust-dev-wasm32 lld`;
/** Diagnostics of a compilation that goes quite wrong. */
const OUTPUT_MAX = 64 * 1024 * 1024;

interface Toolchain {
  readonly cargo: string;
  readonly rustc: string;
}

export async function buildRust(project: Project): Promise<boolean> {
  const { folder, output, world } = project;
  if (!existsSync(join(folder, 'Cargo.toml')))
    throw new EkhoError('E_BUILD', `${folder} has no Cargo.toml`, {
      remedy:
        'A plugin in Rust is a crate of type cdylib: see what `ekho plugin new NAME --lang rust` makes.',
      operation: 'build',
    });
  const toolchain = await findToolchain(folder);
  writeBindings(folder, generateRust(readLayouts(), world));
  const core = readFileSync(await compile(folder, toolchain));
  const inputs = [createHash('sha256').update(core).digest('hex'), witSource(), world, manifestOf(project)];
  return ifChanged(output, JSON.stringify([inputs, version('@bytecodealliance/jco-transpile')]), async () =>
    withManifest(
      await makeComponent(core, world).catch((error) => {
        throw buildError(error, 'Make a type the plugin: ekho::export!(Type); at the top of src/lib.rs.');
      }),
      project,
    ),
  );
}

/** Only when they differ, or cargo would compile everything again. */
function writeBindings(folder: string, text: string): void {
  const file = join(folder, 'src', 'ekho.rs');
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  mkdirSync(join(folder, 'src'), { recursive: true });
  writeFileSync(file, text);
}

/** The first cargo on PATH whose rustc has the target. @throws EkhoError E_TOOL */
export async function findToolchain(folder: string): Promise<Toolchain> {
  const without: string[] = [];
  for (const path of (process.env.PATH ?? '').split(delimiter)) {
    const [cargo, rustc] = [join(path, 'cargo'), join(path, 'rustc')];
    if (!isExecutable(cargo) || !isExecutable(rustc)) continue;
    if (await hasTarget(rustc, folder)) return { cargo, rustc };
    without.push(rustc);
  }
  if (without.length === 0)
    throw new EkhoError('E_TOOL', 'there is no cargo with a rustc on PATH', {
      remedy: `Install Rust with the target ${TARGET} (https://rustup.rs and ${GET_TARGET}), or write the plugin in C, AssemblyScript or TypeScript.`,
      operation: 'build',
    });
  throw new EkhoError(
    'E_TOOL',
    `${without.join(' and ')} cannot compile to ${TARGET}: its library is not installed`,
    {
      remedy: `Install it: ${GET_TARGET}.`,
      operation: 'build',
    },
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** In the plugin’s folder, where a rust-toolchain.toml may choose another. */
async function hasTarget(rustc: string, folder: string): Promise<boolean> {
  try {
    const words = ['--print', 'target-libdir', '--target', TARGET];
    const { stdout } = await promisify(execFile)(rustc, words, { cwd: folder });
    return existsSync(stdout.trim());
  } catch {
    // No toolchain behind rustup’s proxy, or one that is broken.
    return false;
  }
}

interface Message {
  readonly reason: string;
  readonly manifest_path?: string;
  readonly filenames?: readonly string[];
}

/** Path of the core module. Warnings go to stderr. @throws EkhoError E_BUILD */
async function compile(folder: string, { cargo, rustc }: Toolchain): Promise<string> {
  const words = [
    'build',
    '--quiet',
    '--release',
    '--target',
    TARGET,
    '--message-format',
    'json-render-diagnostics',
  ];
  let found: { stdout: string; stderr: string };
  try {
    found = await promisify(execFile)(cargo, words, {
      cwd: folder,
      env: { ...process.env, RUSTC: rustc },
      maxBuffer: OUTPUT_MAX,
    });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new EkhoError('E_BUILD', `cargo: ${stderr?.trim() || message}`, {
      operation: 'build',
      cause: error,
    });
  }
  if (found.stderr !== '') process.stderr.write(found.stderr);
  const made = found.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Message)
    .filter((one) => one.reason === 'compiler-artifact' && one.manifest_path === join(folder, 'Cargo.toml'))
    .flatMap((one) => one.filenames ?? [])
    .find((file) => file.endsWith('.wasm'));
  if (made !== undefined) return made;
  throw new EkhoError('E_BUILD', 'cargo made no .wasm file', {
    remedy: 'Cargo.toml needs [lib] with crate-type = ["cdylib"].',
    operation: 'build',
  });
}
