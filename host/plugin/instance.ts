/** One instance of a plugin, in whichever thread or process it runs: instantiated, configured, started, called. */

import type { CoreDevice } from '../device/core.ts';
import type { Calls } from './calls.ts';
import type { DeviceRation } from './device-ration.ts';
import { DIRECT_FUNCTIONS, DirectCalls } from './direct-calls.ts';
import { GlueCalls, type GlueExports } from './glue-calls.ts';
import { Guest } from './guest.ts';
import { hostImports, type LogSink } from './host-imports.ts';
import type { Layouts } from './layout.ts';
import { MeasuredCalls } from './measured-calls.ts';
import { memoryViews } from './record-cursor.ts';
import { OP, PHASE } from './ring.ts';

/** What `up` tells: that the plugin serves. */
export interface UpMessage {
  /** As jco's typed API gives it, not checked. */
  readonly description: unknown;
  /** Core exports are called directly. */
  readonly direct: boolean;
}

/** Why it ended. */
export type WorkerEnd =
  | { readonly end: 'stopped' }
  /** `configure` or `start` returned an error. */
  | { readonly end: 'refused'; readonly text: string }
  /** A call threw: the stack is the plugin's. */
  | { readonly end: 'trap'; readonly text: string }
  /** Its process ended without a word. */
  | { readonly end: 'gone' }
  /** The host's own part failed. */
  | { readonly end: 'failed'; readonly text: string; readonly code: string | undefined };

/** Longest text of an error, in UTF-16 units. */
export const TEXT_MAX = 4096;

interface Glue extends GlueExports {
  readonly plugin: {
    describe(): unknown;
    configure(settings: readonly { name: string; value: string }[]): void;
    start(): void;
    stop(): void;
  };
}

/** What a transpiled plugin's glue exports. */
export type Instantiate = (
  getCoreModule: (name: string) => WebAssembly.Module | undefined,
  imports: object,
  instantiateCore: (
    module: WebAssembly.Module,
    imports?: Record<string, Record<string, unknown>>,
  ) => WebAssembly.Instance,
) => Glue;

export interface InstanceOptions {
  readonly instantiate: Instantiate;
  readonly modules: ReadonlyMap<string, WebAssembly.Module>;
  readonly devices: ReadonlyMap<string, CoreDevice>;
  /** Of device calls; undefined where whoever carries them out sees to it. */
  readonly ration?: DeviceRation;
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  readonly layouts: Layouts;
  /** Call core exports directly, where the plugin follows the usual naming; else always through the glue. */
  readonly direct: boolean;
  /** Memory in the layout of ring.ts, for arguments and answers. */
  readonly slots: SharedArrayBuffer;
  readonly log: LogSink;
  /** Told before each step, which starts its time on the watchdog. */
  readonly enter: (phase: number) => void;
  readonly up: (message: UpMessage) => void;
  /** Carries out operations with `perform` until one is `stop`. */
  readonly serve: (calls: Calls) => void;
}

/** From instantiation to the end of `stop`; whatever the plugin throws is in what it returns. */
export function runInstance(options: InstanceOptions): WorkerEnd {
  const { modules, layouts, slots, enter } = options;
  try {
    let core: WebAssembly.Exports | undefined;
    let memory: WebAssembly.Memory | undefined;
    const imports = hostImports(options.log, options.devices, layouts, options);
    enter(PHASE.instantiate);
    const instantiated = new Set<WebAssembly.Module>();
    const glue = options.instantiate(
      (name) => modules.get(name),
      imports,
      (module, imports) => {
        // Memories and tables are capped a module: an instance more of it would have them again.
        if (instantiated.has(module)) throw new Error('it instantiates one of its modules twice');
        instantiated.add(module);
        const instance = new WebAssembly.Instance(module, imports);
        if (Guest.fits(instance.exports, DIRECT_FUNCTIONS)) core = instance.exports;
        // Of what tools add, no memory has this name.
        if (instance.exports.memory instanceof WebAssembly.Memory) memory = instance.exports.memory;
        return instance;
      },
    );
    enter(PHASE.describe);
    const description = glue.plugin.describe();
    enter(PHASE.configure);
    const refused = attempt(() => glue.plugin.configure(options.settings)) ?? attemptStart(enter, glue);
    if (refused !== undefined) return { end: 'refused', text: refused };

    const direct = options.direct && core !== undefined && memory !== undefined;
    const plain = direct
      ? new DirectCalls({ ...core, memory: memory! }, memoryViews(slots))
      : new GlueCalls(glue, slots, layouts);
    const calls = memory === undefined ? plain : new MeasuredCalls(plain, memory, slots);
    enter(PHASE.serve);
    options.up({ description, direct });
    options.serve(calls);
    glue.plugin.stop();
    return { end: 'stopped' };
  } catch (error) {
    return { end: 'trap', text: describeError(error) };
  }
}

/** Carries out any operation but `stop`, with the slot's arguments. */
export function perform(calls: Calls, op: number, slot: number): void {
  switch (op) {
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
  }
}

function attemptStart(enter: InstanceOptions['enter'], glue: Glue): string | undefined {
  enter(PHASE.start);
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

export function describeError(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return text.slice(0, TEXT_MAX);
}
