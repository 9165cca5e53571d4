/** Component bytes to JavaScript glue and core modules, in a process of its own with limits on time, memory and output. */

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { deserialize } from 'node:v8';
import { EkhoError } from '../errors.ts';
import { startChild } from './start-child.ts';
import { cpuSeconds, memoryMib, setResourceLimit } from './system.ts';
import type { TranspileAnswer } from './transpile-options.ts';

const CHILD = fileURLToPath(new URL('./transpile-child.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Of CPU time, so that a slow or busy machine refuses nothing it would else take: a 30 KB component takes 0.6 s. */
const CPU_MAX_S = 60;
/** However little of the CPU it gets. */
const TIME_MAX_MS = 600_000;
/** Memory in all, in MiB: more than heap and one large memory of the transpiler's. */
const MEMORY_MAX_MIB = 1536;
const WATCH_INTERVAL_MS = 100;
/** Of JavaScript heap in MiB, and of each WebAssembly memory in pages of 64 KiB (512 MiB). */
const HEAP_MAX_MIB = 512;
const WASM_PAGES_MAX = 8192;
/** Bytes of the answer: about 0.25 MB are usual. */
const OUTPUT_MAX = 16 * 1024 * 1024;
const MESSAGES_MAX = 64 * 1024;

/** Version of the transpiler. */
export function transpilerVersion(): string {
  const require = createRequire(import.meta.url);
  const entry = require.resolve('@bytecodealliance/jco-transpile/component');
  return (require(entry.replace(/vendor\/[^/]*$/, 'package.json')) as { version: string }).version;
}

/**
 * @returns file name → bytes
 * @throws EkhoError E_PLUGIN_INVALID: not a component the transpiler understands, or beyond a limit
 * @throws EkhoError E_PLUGIN_DOWN: no process can be started just now
 */
export async function transpile(component: Uint8Array): Promise<Map<string, Uint8Array>> {
  const child = startChild(
    process.execPath,
    [
      '--permission',
      // The transpiler's WASI shim starts one; it inherits the permissions.
      '--allow-worker',
      `--allow-fs-read=${ROOT}`,
      `--max-old-space-size=${HEAP_MAX_MIB}`,
      `--wasm-max-mem-pages=${WASM_PAGES_MAX}`,
      '--disable-warning=PERM0006',
      CHILD,
    ],
    { env: {}, cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] },
  );
  const chunks: Buffer[] = [];
  let size = 0;
  let messages = '';
  let limit: string | undefined;
  const end = (why: string) => {
    limit ??= why;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(
    () => end(`it took longer than ${TIME_MAX_MS / 1000} s to transpile`),
    TIME_MAX_MS,
  );
  // The system ends it, too, should this process go.
  if (child.pid !== undefined) setResourceLimit(child.pid, 'cpu', CPU_MAX_S + 1);
  const watch = setInterval(() => {
    if (cpuSeconds(child.pid) > CPU_MAX_S) end(`it took more than ${CPU_MAX_S} s of CPU time to transpile`);
    if (memoryMib(child.pid) > MEMORY_MAX_MIB) end(`it took more than ${MEMORY_MAX_MIB} MiB to transpile`);
  }, WATCH_INTERVAL_MS);
  child.stdout!.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > OUTPUT_MAX) end(`it makes more than ${OUTPUT_MAX / 2 ** 20} MiB of glue`);
    else chunks.push(chunk);
  });
  child.stderr!.on('data', (chunk: Buffer) => {
    if (messages.length < MESSAGES_MAX) messages += chunk.toString();
  });
  // A child that dies early shows in its exit, not in the broken pipe.
  child.stdin!.on('error', () => {});
  child.stdin!.end(component);
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve([code, signal]));
    });
    if (limit !== undefined) throw invalid(limit);
    if (code !== 0) {
      const text = messages.trim().split('\n').slice(0, 4).join(' ').slice(0, 400);
      throw invalid(
        `the transpiler broke down (${signal ?? `exit ${code}`})${text === '' ? '' : `: ${text}`}`,
      );
    }
  } finally {
    clearTimeout(timer);
    clearInterval(watch);
  }
  const answer = deserialize(Buffer.concat(chunks)) as TranspileAnswer;
  if ('error' in answer) throw invalid(answer.error.split('\n')[0]!.slice(0, 400));
  return new Map(answer.files);
}

function invalid(what: string): EkhoError {
  return new EkhoError('E_PLUGIN_INVALID', what, { operation: 'transpile' });
}
