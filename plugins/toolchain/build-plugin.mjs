/** Builds a C plugin into a component with nothing but npm packages: clang, wasm-ld, then the WIT package embedded. */

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const WORLD_DEFAULT = 'asic-plugin';

const COMPILE = [
  '--target=wasm32',
  '-std=c23',
  '-O2',
  '-ffreestanding',
  '-fno-builtin-memcmp',
  '-mbulk-memory',
  '-mnontrapping-fptoint',
  '-msign-ext',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Iinclude',
];
const LINK = ['--no-entry', '-z', 'stack-size=65536', '--stack-first', '--gc-sections', '--strip-debug'];

/** Version of an installed package. */
export function version(name) {
  const require = createRequire(import.meta.url);
  const paths = require.resolve.paths(name) ?? [];
  for (const path of paths) {
    try {
      return JSON.parse(readFileSync(join(path, name, 'package.json'), 'utf8')).version;
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  throw new Error(`package ${name} is not installed`);
}

function read(folder, pattern) {
  const names = readdirSync(folder).filter((name) => pattern.test(name));
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

/** The WIT package as one text: only one file may have the package line. */
function witSource(files) {
  return Object.values(files)
    .map((text, index) => (index === 0 ? text : text.replace(/^package [^;]+;/m, '')))
    .join('\n');
}

/** Runs a tool of the clang package; its messages go to stderr, an error to the caller. */
async function run(tool, args, files) {
  const { commands, runLLVM } = await import('@yowasp/clang');
  // Loads its own files, without the progress lines it prints otherwise.
  await runLLVM(undefined, {}, { fetchProgress: () => {} });
  const text = new TextDecoder();
  let messages = '';
  const print = (bytes) => {
    if (bytes !== null) messages += text.decode(bytes, { stream: true });
  };
  try {
    const made = await commands[tool](args, files, { stdout: print, stderr: print });
    if (messages !== '') process.stderr.write(messages);
    return made;
  } catch (error) {
    // Its Exit error carries all files, the messages say what is wrong.
    if (messages === '') throw error;
    throw new Error(`${tool} ${args.join(' ')}\n${messages}`);
  }
}

/**
 * Compiles `folder/*.c` (with `folder/*.h` and plugins/include/) into the component `output`, unless it is there and
 * was made from the same sources by the same tools.
 *
 * @param {{ folder: string, output: string, world?: string, finish?: { inputs: unknown, apply(component: Uint8Array): Uint8Array } }} plugin
 * @returns {Promise<boolean>} whether it had to be built
 */
export async function buildPlugin({ folder, output, world = WORLD_DEFAULT, finish }) {
  const sources = read(folder, /\.[ch]$/);
  const include = read(join(ROOT, 'plugins/include'), /\.h$/);
  const wit = read(join(ROOT, 'wit'), /\.wit$/);
  const tools = ['@yowasp/clang', '@bytecodealliance/jco-transpile'].map(
    (name) => `${name}@${version(name)}`,
  );
  const inputs = JSON.stringify([sources, include, wit, tools, COMPILE, LINK, world, finish?.inputs]);
  return ifChanged(output, inputs, async () => {
    const component = await compile(sources, include, world);
    return finish?.apply(component) ?? component;
  });
}

async function compile(sources, include, world) {
  const objects = {};
  for (const name of Object.keys(sources).filter((one) => one.endsWith('.c'))) {
    const object = name.replace(/\.c$/, '.o');
    const made = await run('clang', [...COMPILE, '-c', name, '-o', object], { ...sources, include });
    objects[object] = made[object];
  }
  const linked = await run('wasm-ld', [...LINK, ...Object.keys(objects), '-o', 'core.wasm'], objects);

  return makeComponent(linked['core.wasm'], world);
}

/**
 * A component of a world of wit/ around a core module.
 *
 * @param {Uint8Array} core
 * @param {string} world
 * @returns {Promise<Uint8Array>}
 */
export async function makeComponent(core, world) {
  const { componentEmbed, componentNew } = await import('@bytecodealliance/jco-transpile/wasm-tools');
  const files = read(join(ROOT, 'wit'), /\.wit$/);
  const embedded = await componentEmbed({ binary: core, witSource: witSource(files), world });
  return componentNew(embedded, []);
}

/**
 * Writes what `make` makes to `output`, unless that is there and was made from the same inputs.
 *
 * @param {string} output
 * @param {string} inputs
 * @param {() => Promise<Uint8Array>} make
 * @returns {Promise<boolean>} whether it had to be made
 */
export async function ifChanged(output, inputs, make) {
  const hash = createHash('sha256').update(inputs).digest('hex');
  const stamp = `${output}.inputs`;
  try {
    readFileSync(output);
    if (readFileSync(stamp, 'utf8') === hash) return false;
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  const made = await make();
  mkdirSync(dirname(output), { recursive: true });
  const making = `${output}.${process.pid}`;
  writeFileSync(making, made);
  renameSync(making, output);
  writeFileSync(stamp, hash);
  return true;
}
