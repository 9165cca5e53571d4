/** The probe plugin of test/fixtures, built and running, for the tests of this folder. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice } from '../../../host/device/registry.ts';
import type { EkhoError } from '../../../host/errors.ts';
import type { BatchEncoder } from '../../../host/plugin/batch.ts';
import { type LoadedPlugin, loadPlugin } from '../../../host/plugin/load.ts';
import { type StartOptions, startRunner } from '../../../host/plugin/pool-runner.ts';
import type { EventRecord } from '../../../host/plugin/records.ts';
import type { BatchResult, Runner } from '../../../host/plugin/runner.ts';
import { buildPlugin } from '../../../plugins/toolchain/build-plugin.mjs';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** What a port's `bridge` makes the probe do, see probe.c. */
export const MISCHIEF = {
  trap: 0xbad00001,
  spin: 0xbad00002,
  grow: 0xbad00003,
  unknownHandle: 0xbad00004,
  badStatus: 0xbad00005,
  tooMany: 0xbad00006,
  twice: 0xbad00007,
  log: 0xbad00008,
  badPointer: 0xbad00009,
  slow: 0xbad0000a,
  write: 0xbad0000b,
  recurse: 0xbad0000c,
  calls: 0xbad0000d,
  answer: 0xbad0000e,
} as const;

/** A folder that is gone after `dispose`. */
export function temporaryFolder(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'ekho-plugin-test-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Path of the built component. */
export async function buildProbe(): Promise<string> {
  const output = join(ROOT, 'build/fixtures/probe.wasm');
  await buildPlugin({ folder: join(ROOT, 'test/fixtures/plugins/probe'), output });
  return output;
}

export async function loadProbe(memoryMax = 256 * 2 ** 20): Promise<LoadedPlugin> {
  const file = await buildProbe();
  return loadPlugin(file, { grants: ['asic'], cache: join(ROOT, 'build/fixtures/cache'), memoryMax });
}

export interface Answer {
  readonly sequence: number;
  readonly invalid: number;
  readonly outcomes: { handle: number; status: number; reason: number; detail: number }[];
}

function answerOf(result: BatchResult): Answer {
  const outcomes: Answer['outcomes'] = [];
  const { outcomes: cursor } = result;
  while (cursor.next()) {
    const { handle, status, reason, detail } = cursor;
    outcomes.push({ handle, status, reason, detail });
  }
  return { sequence: result.sequence, invalid: result.invalid, outcomes };
}

/** A running probe with a fresh ASIC of its own; what it answers is collected. */
export class RunningProbe {
  readonly runner: Runner & { readonly direct: boolean };
  readonly device: ReturnType<typeof openDevice>;
  readonly log: string[];
  readonly faults: EkhoError[] = [];
  readonly events: number[] = [];
  readonly down = Promise.withResolvers<EkhoError | undefined>();
  ready = 0;
  /** Takes events in place of `events`. */
  onEvents: ((events: EventRecord) => void) | undefined;
  private readonly answers = new Map<number, (answer: Answer) => void>();

  private constructor(runner: RunningProbe['runner'], device: RunningProbe['device'], log: string[]) {
    this.runner = runner;
    this.device = device;
    this.log = log;
    runner.listen({
      result: (result) => this.answers.get(result.sequence)?.(answerOf(result)),
      ready: () => this.ready++,
      events: (events) => {
        if (this.onEvents !== undefined) this.onEvents(events);
        else while (events.next()) this.events.push(events.eventType, events.vlan, events.port, events.mac);
      },
      fault: (error) => this.faults.push(error),
      down: (error) => this.down.resolve(error),
    });
  }

  static async start(plugin: LoadedPlugin, options: Partial<StartOptions> = {}): Promise<RunningProbe> {
    const device = openDevice({ kind: 'asic', name: 'probe' });
    const log: string[] = [];
    const onLog = (_: number, text: string) => log.push(text);
    try {
      const runner = await startRunner({ plugin, devices: [device.share], onLog, ...options });
      return new RunningProbe(runner, device, log);
    } catch (error) {
      device.close();
      throw error;
    }
  }

  /** Sends one batch and resolves to its answer. */
  apply(fill: (batch: BatchEncoder) => void): Promise<Answer> {
    const batch = this.runner.begin();
    if (batch === undefined) throw new Error('the ring is full');
    fill(batch);
    return new Promise((resolve) => this.answers.set(this.runner.commit(), resolve));
  }

  /** Sends a batch with one port that makes the probe misbehave. */
  mischief(what: keyof typeof MISCHIEF, amount = 0): Promise<Answer> {
    return this.apply((batch) => {
      const port = batch.port(0, 0x10000001);
      port.bridge = MISCHIEF[what];
      port.mtu = amount;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runner.stop();
    this.device.close();
  }
}
