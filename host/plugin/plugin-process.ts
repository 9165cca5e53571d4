/**
 * The process that a plugin runs in under `isolation = "process"`: started with no environment, Node's permission model
 * on, and limits of the system set from outside.
 */

import type { ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EkhoError } from '../errors.ts';
import { startChild } from './start-child.ts';
import { cpuSeconds, memoryMib, type ResourceLimit, setResourceLimit, socketPair } from './system.ts';

const CHILD = fileURLToPath(new URL('./process-child.ts', import.meta.url));
/** All that the process's own program is made of. */
const PROGRAM = fileURLToPath(new URL('../', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../../package.json', import.meta.url));

/** JavaScript heap in MiB; the plugin's memory is capped in its module. */
const HEAP_MAX_MIB = 256;
/** Resident memory in MiB beyond what its WebAssembly memory may have: the heap, the engine, and some to spare. */
const MEMORY_SPARE_MIB = 768;
/** How often that is looked at. */
const MEMORY_INTERVAL_MS = 250;
const MESSAGES_MAX = 16 * 1024;
/** Between two renewals of what CPU time it may use, and what it may use beyond: a host that died renews nothing. */
const LEASE_INTERVAL_MS = 5_000;
const LEASE_S = 30;

export class PluginProcess {
  /** The host's ends of its channels. */
  readonly descriptors: readonly [number, number];
  private readonly child: ChildProcess;
  private readonly lease: NodeJS.Timeout;
  private readonly memoryWatch: NodeJS.Timeout;
  private messages = '';
  private readonly gone = Promise.withResolvers<string>();

  /** @param memoryMax bytes of WebAssembly memory that it may have */
  constructor(memoryMax: number) {
    const ends = [...socketPair()];
    try {
      ends.push(...socketPair());
      this.child = startChild(
        process.execPath,
        [
          '--permission',
          `--allow-fs-read=${PROGRAM}`,
          `--allow-fs-read=${PACKAGE}`,
          '--no-addons',
          '--disallow-code-generation-from-strings',
          `--max-old-space-size=${HEAP_MAX_MIB}`,
          '--no-warnings',
          CHILD,
        ],
        { env: {}, cwd: '/', stdio: ['ignore', 'ignore', 'pipe', ends[1], ends[3]] },
      );
    } catch (error) {
      for (const end of ends) closeSync(end);
      throw error;
    }
    const [channel, theirChannel, answers, theirAnswers] = ends as [number, number, number, number];
    this.descriptors = [channel, answers];
    closeSync(theirChannel);
    closeSync(theirAnswers);
    this.child.stderr!.on('data', (chunk: Buffer) => {
      if (this.messages.length < MESSAGES_MAX) this.messages += chunk.toString();
    });
    this.child.on('error', (error) => this.gone.resolve(error.message));
    this.child.on('close', (code, signal) => this.gone.resolve(this.describe(code, signal)));
    this.limit('core', 0);
    this.limit('fileSize', 0);
    this.renew();
    this.lease = setInterval(() => this.renew(), LEASE_INTERVAL_MS);
    this.lease.unref();
    const limit = Math.ceil(memoryMax / 2 ** 20) + MEMORY_SPARE_MIB;
    this.memoryWatch = setInterval(() => {
      if (memoryMib(this.child.pid) <= limit) return;
      this.gone.resolve(`it took more than ${limit} MiB of memory`);
      this.kill();
    }, MEMORY_INTERVAL_MS);
    this.memoryWatch.unref();
  }

  /** Once it has all it needs: it opens nothing any more. */
  seal(): void {
    this.limit('descriptors', 0);
  }

  /** Ends it at once, whatever it does. */
  kill(): void {
    this.child.kill('SIGKILL');
  }

  /** How it ended, in words, once it has. */
  get ended(): Promise<string> {
    return this.gone.promise;
  }

  /** After whoever uses the descriptors ended. */
  close(): void {
    clearInterval(this.lease);
    clearInterval(this.memoryWatch);
    this.kill();
    for (const descriptor of this.descriptors) closeSync(descriptor);
  }

  private limit(what: ResourceLimit, value: number, soft = false): void {
    const { pid, exitCode, signalCode } = this.child;
    // Of a process that ended, the number may be another's by now.
    if (pid !== undefined && exitCode === null && signalCode === null)
      setResourceLimit(pid, what, value, soft);
  }

  /** The system ends it when it has used this much CPU time, which only a process without a host can. */
  private renew(): void {
    this.limit('cpu', Math.ceil(cpuSeconds(this.child.pid)) + LEASE_S, true);
  }

  private describe(code: number | null, signal: NodeJS.Signals | null): string {
    const text = this.messages
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .slice(0, 3)
      .join(' ')
      .slice(0, 300);
    return `${signal ?? `exit ${code}`}${text === '' ? '' : `: ${text}`}`;
  }
}

/** @throws EkhoError E_PLUGIN_DOWN when the machine has no more processes or descriptors to give */
export function startPluginProcess(name: string, memoryMax: number): PluginProcess {
  try {
    return new PluginProcess(memoryMax);
  } catch (error) {
    throw new EkhoError('E_PLUGIN_DOWN', `plugin ${name} gets no process: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
