/**
 * A plugin's worker: instantiates it, brings it up, then serves the ring until it stops or traps. Runs as one long task
 * of a pool with one thread.
 *
 * All of it happens inside the task, which a message starts, and never while a module is evaluated: a worker that
 * spins below a module's evaluation cannot be ended without taking the process along.
 */

import { parentPort } from 'node:worker_threads';
import type { CoreDevice } from '../device/core.ts';
import { openCore } from '../device/registry.ts';
import type { DeviceShare } from '../device/types.ts';
import { EkhoError, type ErrorCode } from '../errors.ts';
import type { Calls } from './calls.ts';
import { DIRECT_FUNCTIONS, DirectCalls } from './direct-calls.ts';
import { GlueCalls, type GlueExports } from './glue-calls.ts';
import { Guest } from './guest.ts';
import { hostImports, LogWriter } from './host-imports.ts';
import { Layouts } from './layout.ts';
import { memoryViews } from './record-cursor.ts';
import { CONTROL, HEADER, headerOffset, OP, PHASE, SLOTS } from './ring.ts';
import type { WitPackage } from './wit.ts';

/** What the worker is started with. */
export interface WorkerTask {
  readonly ring: SharedArrayBuffer;
  /** The WIT package, so that nothing is read from disk here. */
  readonly wit: WitPackage;
  /** URL of the transpiled glue. */
  readonly glue: string;
  /** Core modules by the file name the glue asks for. */
  readonly modules: ReadonlyMap<string, WebAssembly.Module>;
  readonly devices: readonly DeviceShare[];
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  /** Call core exports directly, where the plugin follows the usual naming; else always through the glue. */
  readonly direct: boolean;
}

/** Sent once, when the plugin is up. */
export interface UpMessage {
  /** As jco's typed API gives it, not checked. */
  readonly description: unknown;
  /** Core exports are called directly. */
  readonly direct: boolean;
}

/** Why the task ended. */
export type WorkerEnd =
  | { readonly end: 'stopped' }
  /** `configure` or `start` returned an error. */
  | { readonly end: 'refused'; readonly text: string }
  /** A call threw: the stack is the plugin's. */
  | { readonly end: 'trap'; readonly text: string }
  /** The host's own part failed. */
  | { readonly end: 'failed'; readonly text: string; readonly code: ErrorCode | undefined };

/** Longest text of an error, in UTF-16 units. */
const TEXT_MAX = 4096;

/** Bytes of a page of WebAssembly memory. */
const PAGE_SIZE = 65_536;

interface Glue extends GlueExports {
  readonly plugin: {
    describe(): unknown;
    configure(settings: readonly { name: string; value: string }[]): void;
    start(): void;
    stop(): void;
  };
}

type Instantiate = (
  getCoreModule: (name: string) => WebAssembly.Module | undefined,
  imports: object,
  instantiateCore: (
    module: WebAssembly.Module,
    imports?: Record<string, Record<string, unknown>>,
  ) => WebAssembly.Instance,
) => Glue;

export async function serve(task: WorkerTask): Promise<WorkerEnd> {
  // jco's glue looks at it in every call, and looking is slow when it is the real one.
  process.env = {};
  const control = new Int32Array(task.ring);
  const devices = new Map<string, CoreDevice>();
  try {
    control[CONTROL.phase] = PHASE.load;
    const layouts = new Layouts(task.wit);
    for (const share of task.devices) devices.set(share.kind, openCore(share));
    const { instantiate } = (await import(task.glue)) as { instantiate: Instantiate };
    return run(task, control, devices, layouts, instantiate);
  } catch (error) {
    return {
      end: 'failed',
      text: describe(error),
      code: error instanceof EkhoError ? error.code : undefined,
    };
  } finally {
    for (const device of devices.values()) device.close();
  }
}

function run(
  task: WorkerTask,
  control: Int32Array,
  devices: ReadonlyMap<string, CoreDevice>,
  layouts: Layouts,
  instantiate: Instantiate,
): WorkerEnd {
  const imports = hostImports(new LogWriter(task.ring), devices, layouts, task.direct);
  try {
    let core: WebAssembly.Exports | undefined;
    let memory: WebAssembly.Memory | undefined;
    const glue = instantiate(
      (name) => task.modules.get(name),
      imports,
      (module, imports) => {
        const instance = new WebAssembly.Instance(module, imports);
        if (Guest.fits(instance.exports, DIRECT_FUNCTIONS)) core = instance.exports;
        // One at most, see load.ts.
        if (instance.exports.memory instanceof WebAssembly.Memory) memory = instance.exports.memory;
        return instance;
      },
    );
    enter(control, PHASE.describe);
    const description = glue.plugin.describe();
    enter(control, PHASE.configure);
    const refused = attempt(() => glue.plugin.configure(task.settings)) ?? attemptStart(control, glue);
    if (refused !== undefined) return { end: 'refused', text: refused };

    const direct = task.direct && core !== undefined;
    const calls = direct
      ? new DirectCalls(core!, memoryViews(task.ring))
      : new GlueCalls(glue, task.ring, layouts);
    enter(control, PHASE.serve);
    parentPort!.postMessage({ description, direct } satisfies UpMessage);
    loop(control, new Uint32Array(task.ring), calls, memory);
    glue.plugin.stop();
    complete(control);
    return { end: 'stopped' };
  } catch (error) {
    return { end: 'trap', text: describe(error) };
  }
}

function attemptStart(control: Int32Array, glue: Glue): string | undefined {
  enter(control, PHASE.start);
  return attempt(() => glue.plugin.start());
}

/** jco turns `result<_, string>`'s error into something thrown that has a `payload`. Anything else thrown is a trap. */
function attempt(call: () => void): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    const payload = (error as { payload?: unknown } | undefined)?.payload;
    if (typeof payload === 'string') return payload.slice(0, TEXT_MAX);
    throw error;
  }
}

function enter(control: Int32Array, phase: number): void {
  // Starts the phase's time on the watchdog, which reads it with a load.
  Atomics.store(control, CONTROL.phase, phase);
}

/** Serves operations in order; returns when it has taken `stop`, not yet completed. */
function loop(
  control: Int32Array,
  words: Uint32Array,
  calls: Calls,
  memory: WebAssembly.Memory | undefined,
): void {
  let taken = 0;
  for (;;) {
    // `wait` returns at once when `submitted` is no longer what we have served, so a submission between the last
    // operation and here is not missed.
    Atomics.wait(control, CONTROL.submitted, taken);
    // Acquires everything the main thread wrote to the queue and to slots before its store.
    const submitted = Atomics.load(control, CONTROL.submitted);
    while (taken !== submitted) {
      const slot = control[CONTROL.queue + (taken & (SLOTS - 1))]!;
      const header = headerOffset(slot) >>> 2;
      words[header + HEADER.breach] = 0;
      words[header + HEADER.excess] = 0;
      taken = (taken + 1) | 0;
      switch (words[header + HEADER.op]) {
        case OP.apply:
          calls.apply(slot);
          break;
        case OP.readback:
          calls.readback(slot);
          break;
        case OP.collect:
          calls.collect(slot);
          break;
        case OP.tables:
          calls.tables(slot);
          break;
        case OP.poll:
          calls.poll(slot);
          break;
        case OP.notify:
          calls.notify(slot);
          break;
        case OP.stop:
          return;
      }
      if (memory !== undefined) control[CONTROL.memory] = memory.buffer.byteLength / PAGE_SIZE;
      complete(control);
    }
  }
}

function complete(control: Int32Array): void {
  // Releases the slot: the answer is written before the main thread can see the new count. Only this thread writes it.
  Atomics.store(control, CONTROL.completed, (control[CONTROL.completed]! + 1) | 0);
  Atomics.notify(control, CONTROL.completed);
}

function describe(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return text.slice(0, TEXT_MAX);
}
