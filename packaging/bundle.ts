/**
 * Packages of many small files, each put into the file that is loaded of it: a start opens hundreds of files less, and what is loaded
 * takes less memory. Names stay, so that a stack still tells where an error comes from.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

interface Bundle {
  /** That of the package, which its ending stands for. */
  readonly format: 'esm' | 'cjs';
  /** Files below `node_modules` that are loaded; what they have in common is in one file more. */
  readonly entries: readonly string[];
}

const BUNDLES: readonly Bundle[] = [
  {
    format: 'esm',
    entries: ['typebox/build/index.mjs', 'typebox/build/value/index.mjs', 'typebox/build/system/index.mjs'],
  },
  { format: 'cjs', entries: ['fastify/fastify.js'] },
  // Loaded with the first answer.
  { format: 'cjs', entries: ['@fastify/fast-json-stringify-compiler/index.js'] },
  { format: 'cjs', entries: ['@fastify/swagger/index.js'] },
  { format: 'cjs', entries: ['pino/pino.js'] },
  {
    format: 'cjs',
    entries: ['@nats-io/transport-node/index.js', '@nats-io/jetstream/lib/mod.js', '@nats-io/kv/lib/mod.js'],
  },
];
const PACKAGE = /^(@[^/]+\/)?[^/]+/;

/** Replaces those files below `modules`, a folder `node_modules`; what leads to nothing any more stays. */
export async function bundlePackages(modules: string): Promise<void> {
  const require = createRequire(join(modules, 'bundle.js'));
  for (const { format, entries } of BUNDLES) {
    // Before they are written over.
    const names = entries.map((entry) => (format === 'cjs' ? Object.keys(require(`./${entry}`)) : []));
    const build = await rolldown({
      cwd: modules,
      input: Object.fromEntries(entries.map((entry) => [entry, join(modules, entry)])),
      platform: 'node',
      logLevel: 'silent',
    });
    const shared = `${PACKAGE.exec(entries[0]!)![0]}/bundled-[hash].${format === 'esm' ? 'mjs' : 'js'}`;
    const { output } = await build.generate({
      format,
      entryFileNames: '[name]',
      chunkFileNames: shared,
      minify: { compress: false, mangle: false, codegen: true },
    });
    await build.close();
    for (const part of output) {
      if (part.type !== 'chunk') throw new Error(`${part.fileName} of ${entries.join(', ')} is no code`);
      writeFileSync(
        join(modules, part.fileName),
        narrow(part.code) + exportHint(names[entries.indexOf(part.fileName)]),
      );
    }
  }
}

/** A single character beyond Latin-1 has V8 keep a whole source with two bytes a character; all of them stand in texts here. */
function narrow(code: string): string {
  return code.replace(/[^\0-\xff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** What Node's lexer of CommonJS modules finds the names of exports by, and nothing ever runs. */
function exportHint(names: readonly string[] = []): string {
  const plain = names.filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'default');
  return plain.length === 0 ? '' : `\n0&&(module.exports={${plain.join()}});\n`;
}
