/**
 * The process of one plugin: takes its code from a channel, gives up what Node lets it reach, and serves operations until
 * it is told to stop or the host is gone. It starts under `--permission` with nothing allowed but reading this program,
 * and gives that up before any of the plugin's code is evaluated.
 */

import { syncBuiltinESMExports } from 'node:module';
import v8, { deserialize } from 'node:v8';
import { BATCH_LISTS, BATCH_OFFSETS, BATCH_STRIDES } from './batch.ts';
import { Channel, ChannelClosed } from './channel.ts';
import type { LogSink } from './host-imports.ts';
import { describeError, type Instantiate, perform, runInstance, type WorkerEnd } from './instance.ts';
import { Layouts } from './layout.ts';
import {
  FROM_PROCESS,
  HEADER_BYTES,
  listParts,
  type ProcessTask,
  resultStride,
  TO_PROCESS_MAX,
} from './process-messages.ts';
import { NoticeRecord } from './records.ts';
import { remoteDevices } from './remote-devices.ts';
import { batchOffset, HEADER, headerOffset, LOG_TEXT_MAX, OP, RING_SIZE, resultOffset } from './ring.ts';

// Ctrl-C on a terminal reaches every process of it: when this one ends is the host's to say.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});

/** Descriptors it is started with. */
const CHANNEL = 3;
const DEVICE_ANSWERS = 4;

/** Answers are kept until there is nothing more to do, but no longer than this: the host's watchdog waits for them. */
const ANSWER_DELAY_MS = 1;

const ENCODER = new TextEncoder();

/** The one slot, in a ring that nobody else sees. Pages that are not touched cost no memory. */
const slots = new SharedArrayBuffer(RING_SIZE);
const bytes: Uint8Array = new Uint8Array(slots);
const words = new Uint32Array(slots);
const SLOT = 0;
const header = headerOffset(SLOT) >>> 2;

const channel = new Channel(CHANNEL, TO_PROCESS_MAX);

const NOTHING = { value: undefined, configurable: false, writable: false };

/** Of `process`, what the permission model leaves. */
const TAKEN = ['kill', '_kill', '_debugProcess', 'dlopen', 'execve', 'chdir', 'umask'].concat([
  'setuid',
  'setgid',
  'seteuid',
  'setegid',
  'setgroups',
  'initgroups',
]);

/** What JavaScript that got out of the glue could still do: nothing is left to read, start, connect to or signal. */
function giveUp(): void {
  const { permission } = process as unknown as { permission: { drop(scope: string): void } };
  permission.drop('fs');
  for (const name of TAKEN) Object.defineProperty(process, name, NOTHING);
  // Flags of the engine take the checks out of WebAssembly, and with them the walls around its memory.
  Object.defineProperty(v8, 'setFlagsFromString', NOTHING);
  syncBuiltinESMExports();
}

async function main(): Promise<WorkerEnd> {
  channel.receive();
  const task = deserialize(channel.body) as ProcessTask;
  giveUp();
  const layouts = new Layouts(task.wit);
  const modules = new Map([...task.modules].map(([name, code]) => [name, new WebAssembly.Module(code)]));
  const devices = remoteDevices(channel, new Channel(DEVICE_ANSWERS, TO_PROCESS_MAX), task.devices);
  const glue = `data:text/javascript;base64,${Buffer.from(task.glue).toString('base64')}`;
  const { instantiate } = (await import(glue)) as { instantiate: Instantiate };
  const log: LogSink = {
    write: (level, text) =>
      channel.put(FROM_PROCESS.log, bytesOf(Uint32Array.of(level)), text.subarray(0, LOG_TEXT_MAX)),
  };
  return runInstance({
    instantiate,
    modules,
    devices,
    settings: task.settings,
    layouts,
    direct: task.direct,
    slots,
    log,
    enter: (phase) => {
      channel.put(FROM_PROCESS.phase, bytesOf(Uint32Array.of(phase)));
      channel.flush();
    },
    up: (message) => channel.put(FROM_PROCESS.up, ENCODER.encode(JSON.stringify(message))),
    serve: (calls) => {
      let flushed = performance.now();
      for (;;) {
        if (!channel.isReady) {
          channel.flush();
          channel.receive();
          flushed = performance.now();
        } else channel.receive();
        take();
        const op = words[header + HEADER.op]!;
        if (op === OP.stop) return;
        perform(calls, op, SLOT);
        answer(op);
        if (performance.now() - flushed > ANSWER_DELAY_MS) {
          channel.flush();
          flushed = performance.now();
        }
      }
    },
  });
}

/** Puts the received operation into the slot. */
function take(): void {
  const { body } = channel;
  bytes.set(body.subarray(0, HEADER_BYTES), headerOffset(SLOT));
  words[header + HEADER.breach] = 0;
  words[header + HEADER.excess] = 0;
  const op = words[header + HEADER.op];
  let from = HEADER_BYTES;
  const copy = (to: number, length: number) => {
    if (length > 0) bytes.set(body.subarray(from, from + length), to);
    from += length;
  };
  if (op === OP.notify) copy(resultOffset(SLOT), words[header + HEADER.results]! * NoticeRecord.SIZE);
  else if (op === OP.apply)
    for (let list = 0; list < BATCH_LISTS; list++)
      copy(
        batchOffset(SLOT) + BATCH_OFFSETS[list]!,
        words[header + HEADER.lists + list]! * BATCH_STRIDES[list]!,
      );
}

function answer(op: number): void {
  const parts = [bytes.subarray(headerOffset(SLOT), headerOffset(SLOT) + HEADER_BYTES)];
  if (op === OP.readback && words[header + HEADER.breach] === 0) parts.push(...listParts(bytes, words, SLOT));
  // Of notices it was told with the operation, and there is nothing to answer.
  if (op === OP.notify) words[header + HEADER.results] = 0;
  const length = words[header + HEADER.results]! * resultStride(op);
  if (length > 0) parts.push(bytes.subarray(resultOffset(SLOT), resultOffset(SLOT) + length));
  channel.put(FROM_PROCESS.answer, ...parts);
}

function bytesOf(values: Uint32Array): Uint8Array {
  return new Uint8Array(values.buffer);
}

let end: WorkerEnd;
try {
  end = await main();
} catch (error) {
  end = { end: 'failed', text: describeError(error), code: undefined };
}
try {
  channel.put(FROM_PROCESS.end, ENCODER.encode(JSON.stringify(end)));
  channel.flush();
} catch (error) {
  // The host is gone: there is nobody to tell.
  if (!(error instanceof ChannelClosed)) throw error;
}
