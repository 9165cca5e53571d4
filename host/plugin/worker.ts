/**
 * A plugin's worker: runs it, or speaks for the process that does, and serves the ring until it stops or traps. Runs as
 * one long task of a pool with one thread.
 *
 * All of it happens inside the task, which a message starts, and never while a module is evaluated: a worker that
 * spins below a module's evaluation cannot be ended without taking the process along.
 */

import { parentPort } from 'node:worker_threads';
import type { CoreDevice } from '../device/core.ts';
import { openCore } from '../device/core-registry.ts';
import type { DeviceShare } from '../device/types.ts';
import { EkhoError } from '../errors.ts';
import type { Calls } from './calls.ts';
import { DeviceRation } from './device-ration.ts';
import { LogWriter } from './host-imports.ts';
import { describeError, type Instantiate, perform, runInstance, type WorkerEnd } from './instance.ts';
import { Layouts } from './layout.ts';
import type { ProcessTask } from './process-messages.ts';
import { relay } from './relay.ts';
import { CONTROL, HEADER, headerOffset, monotonic_us, OP, PHASE, SLOTS } from './ring.ts';
import type { WitPackage } from './wit.ts';

/** What the worker is started with. */
export interface WorkerTask {
  readonly ring: SharedArrayBuffer;
  /** The WIT package, so that nothing is read from disk here. */
  readonly wit: WitPackage;
  readonly code:
    | {
        readonly isolation: 'worker';
        /** URL of the transpiled glue. */
        readonly glue: string;
        /** Core modules by the file name the glue asks for. */
        readonly modules: ReadonlyMap<string, WebAssembly.Module>;
      }
    | {
        readonly isolation: 'process';
        /** Source of the glue. */
        readonly glue: string;
        readonly modules: ReadonlyMap<string, Uint8Array>;
        /** Of the process's channels, see relay.ts. */
        readonly descriptors: readonly [number, number];
      };
  readonly devices: readonly DeviceShare[];
  /** A second. */
  readonly deviceCalls: number;
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  /** Call core exports directly, where the plugin follows the usual naming; else always through the glue. */
  readonly direct: boolean;
}

export async function serve(task: WorkerTask): Promise<WorkerEnd> {
  // jco's glue looks at it in every call, and looking is slow when it is the real one.
  process.env = {};
  const control = new Int32Array(task.ring);
  const devices = new Map<string, CoreDevice>();
  try {
    control[CONTROL.phase] = PHASE.load;
    for (const share of task.devices) devices.set(share.kind, await openCore(share));
    const ration = new DeviceRation(task.ring, task.deviceCalls);
    return await (task.code.isolation === 'process'
      ? relay(relayOptions(task, task.code, devices, ration))
      : run(task, task.code, control, devices, ration));
  } catch (error) {
    return {
      end: 'failed',
      text: describeError(error),
      code: error instanceof EkhoError ? error.code : undefined,
    };
  } finally {
    for (const device of devices.values()) device.close();
  }
}

function relayOptions(
  { ring, wit, settings, direct }: WorkerTask,
  { glue, modules, descriptors }: Extract<WorkerTask['code'], { isolation: 'process' }>,
  devices: ReadonlyMap<string, CoreDevice>,
  ration: DeviceRation,
) {
  const task: ProcessTask = { wit, glue, modules, devices: [...devices.keys()], settings, direct };
  return { ring, descriptors, task, devices: [...devices.values()], ration };
}

async function run(
  { ring, wit, settings, direct }: WorkerTask,
  { glue, modules }: Extract<WorkerTask['code'], { isolation: 'worker' }>,
  control: Int32Array,
  devices: ReadonlyMap<string, CoreDevice>,
  ration: DeviceRation,
): Promise<WorkerEnd> {
  const { instantiate } = (await import(glue)) as { instantiate: Instantiate };
  const end = runInstance({
    instantiate,
    modules,
    devices,
    ration,
    settings,
    layouts: new Layouts(wit),
    direct,
    slots: ring,
    log: new LogWriter(ring),
    // Starts the phase's time on the watchdog, which reads it with a load.
    enter: (phase) => Atomics.store(control, CONTROL.phase, phase),
    up: (message) => parentPort!.postMessage(message),
    serve: (calls) => loop(control, new Uint32Array(ring), calls),
  });
  // `stop`, the one operation that is left.
  if (end.end === 'stopped') complete(control);
  return end;
}

/** Serves operations in order; returns when it has taken `stop`, not yet completed. */
function loop(control: Int32Array, words: Uint32Array, calls: Calls): void {
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
      const op = words[header + HEADER.op]!;
      if (op === OP.stop) return;
      const isTraced = words[header + HEADER.traced] !== 0;
      if (isTraced) words[header + HEADER.began] = monotonic_us();
      perform(calls, op, slot);
      if (isTraced) words[header + HEADER.ended] = monotonic_us();
      complete(control);
    }
  }
}

function complete(control: Int32Array): void {
  // Releases the slot: the answer is written before the main thread can see the new count. Only this thread writes it.
  Atomics.store(control, CONTROL.completed, (control[CONTROL.completed]! + 1) | 0);
  Atomics.notify(control, CONTROL.completed);
}
