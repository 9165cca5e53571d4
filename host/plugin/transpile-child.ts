/**
 * The throw-away process that transpiles one component: reads it from standard input, writes one V8-serialised answer to
 * standard output. Some inputs make the transpiler panic, after which it is of no use; some make it write tens of
 * megabytes. The parent limits time and size, Node's permission model what the process may reach.
 */

import { serialize } from 'node:v8';
import { $init, generate } from '@bytecodealliance/jco-transpile/component';
import { TRANSPILE_OPTIONS, type TranspileAnswer } from './transpile-options.ts';

const chunks: Buffer[] = [];
for await (const chunk of process.stdin) chunks.push(chunk as Buffer);

let answer: TranspileAnswer;
try {
  await $init;
  const { files } = generate(new Uint8Array(Buffer.concat(chunks)), TRANSPILE_OPTIONS);
  // The engine's own check, here where nothing is lost with it.
  for (const [name, bytes] of files) if (name.endsWith('.wasm')) new WebAssembly.Module(bytes);
  answer = { files };
} catch (error) {
  answer = { error: error instanceof Error ? error.message : String(error) };
}
process.stdout.write(serialize(answer));
