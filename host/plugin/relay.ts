/**
 * The host's side of a plugin that runs in a process of its own, in the worker that would else run the plugin itself: takes
 * operations from the ring, sends them over the channel, carries out device calls, and writes the answers to their slots.
 * Everything the process sends is checked here; what the plugin returned is checked as for any other.
 *
 * Several small operations are under way at a time. Together they fit in the socket's buffer, so that both sides never
 * wait for each other to read.
 */

import { serialize } from 'node:v8';
import { parentPort } from 'node:worker_threads';
import type { CoreDevice } from '../device/core.ts';
import { BATCH_ENTRIES_MAX, BATCH_LISTS, BATCH_OFFSETS, BATCH_STRIDES } from './batch.ts';
import { Channel, ChannelClosed, ChannelError } from './channel.ts';
import type { DeviceRation } from './device-ration.ts';
import { LogWriter } from './host-imports.ts';
import { TEXT_MAX, type UpMessage, type WorkerEnd } from './instance.ts';
import {
  FROM_PROCESS,
  FROM_PROCESS_MAX,
  HEADER_BYTES,
  listParts,
  type ProcessTask,
  resultStride,
  TO_PROCESS,
} from './process-messages.ts';
import { NoticeRecord } from './records.ts';
import { serveDeviceCall } from './remote-devices.ts';
import {
  BREACH,
  batchOffset,
  CONTROL,
  EVENTS_MAX,
  HEADER,
  headerOffset,
  monotonic_us,
  OP,
  PHASE,
  resultOffset,
  SLOTS,
  TABLES_MAX,
} from './ring.ts';

/** Bytes under way at a time, unless it is one operation alone. Well below net.core.wmem_default. */
const UNDER_WAY_MAX = 48 * 1024;
const DESCRIPTION_MAX = 64 * 1024;

const DECODER = new TextDecoder();

export interface RelayOptions {
  readonly ring: SharedArrayBuffer;
  /** The process's channel, and the one that device calls are answered on. */
  readonly descriptors: readonly [number, number];
  readonly task: ProcessTask;
  /** In the order of `task.devices`. */
  readonly devices: readonly CoreDevice[];
  readonly ration: DeviceRation;
}

/** Returns when the process has told why it ends, or is gone. */
export function relay(options: RelayOptions): WorkerEnd {
  const one = new Relay(options);
  try {
    return one.run();
  } catch (error) {
    if (error instanceof ChannelClosed) return { end: 'gone' };
    if (error instanceof ChannelError)
      return { end: 'failed', text: `its process sent ${error.message}`, code: 'E_PLUGIN_PROTOCOL' };
    throw error;
  }
}

class Relay {
  private readonly options: RelayOptions;
  private readonly channel: Channel;
  /** Apart, as operations may be on their way when a device is called. */
  private readonly answers: Channel;
  private readonly control: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly words: Uint32Array;
  private readonly log: LogWriter;
  private sent = 0;
  private answered = 0;
  private bytesUnderWay = 0;
  private isUp = false;

  constructor(options: RelayOptions) {
    this.options = options;
    this.channel = new Channel(options.descriptors[0], FROM_PROCESS_MAX);
    this.answers = new Channel(options.descriptors[1], 0);
    this.control = new Int32Array(options.ring);
    this.bytes = new Uint8Array(options.ring);
    this.words = new Uint32Array(options.ring);
    this.log = new LogWriter(options.ring);
  }

  run(): WorkerEnd {
    const { channel, control } = this;
    channel.put(TO_PROCESS.start, serialize(this.options.task));
    for (;;) {
      while (this.isUp && this.sent === this.answered) {
        channel.flush();
        // As in worker.ts: returns at once when something was submitted since. May be woken for what was sent already.
        Atomics.wait(control, CONTROL.submitted, this.sent);
        this.send();
      }
      if (this.isUp) this.send();
      channel.receive();
      const end = this.take();
      if (end !== undefined) return end;
    }
  }

  /** Sends what was submitted, as much as may be under way. */
  private send(): void {
    const submitted = Atomics.load(this.control, CONTROL.submitted);
    while (this.sent !== submitted) {
      const slot = this.slotOf(this.sent);
      const parts = this.operation(slot);
      const size = parts.reduce((sum, part) => sum + part.length, 0);
      if (this.sent !== this.answered && this.bytesUnderWay + size > UNDER_WAY_MAX) return;
      this.bytesUnderWay += size;
      this.sent = (this.sent + 1) | 0;
      this.channel.put(TO_PROCESS.operation, ...parts);
      const header = headerOffset(slot) >>> 2;
      if (this.words[header + HEADER.traced] !== 0) this.words[header + HEADER.began] = monotonic_us();
    }
  }

  private slotOf(operation: number): number {
    return this.control[CONTROL.queue + (operation & (SLOTS - 1))]!;
  }

  /** The slot's header and what it has for the plugin. */
  private operation(slot: number): Uint8Array[] {
    const header = headerOffset(slot) >>> 2;
    const op = this.words[header + HEADER.op]!;
    const parts = [this.bytes.subarray(headerOffset(slot), headerOffset(slot) + HEADER_BYTES)];
    if (op === OP.apply) parts.push(...listParts(this.bytes, this.words, slot));
    else if (op === OP.notify) {
      const from = resultOffset(slot);
      const length = this.words[header + HEADER.results]! * NoticeRecord.SIZE;
      parts.push(this.bytes.subarray(from, from + length));
    }
    return parts;
  }

  private take(): WorkerEnd | undefined {
    const { channel } = this;
    switch (channel.type) {
      case FROM_PROCESS.phase:
        this.enter();
        return undefined;
      case FROM_PROCESS.log:
        if (channel.length < 4 || channel.words[0]! > 3) throw new ChannelError('a log line of no level');
        this.mustRun();
        this.log.write(channel.words[0]!, channel.body.subarray(4));
        return undefined;
      case FROM_PROCESS.deviceCall:
        this.mustRun();
        this.options.ration.take();
        serveDeviceCall(channel, this.answers, this.options.task.devices, this.options.devices);
        return undefined;
      case FROM_PROCESS.up: {
        if (this.isUp || this.phase !== PHASE.serve || channel.length > DESCRIPTION_MAX)
          throw new ChannelError('a description');
        this.isUp = true;
        parentPort!.postMessage(this.json() as UpMessage);
        return undefined;
      }
      case FROM_PROCESS.answer:
        this.answer();
        return undefined;
      case FROM_PROCESS.end:
        return this.end();
      default:
        throw new ChannelError(`a message of type ${channel.type}`);
    }
  }

  private enter(): void {
    const phase = this.channel.length === 4 ? this.channel.words[0]! : 0;
    // Time on the watchdog starts afresh with each: so one after the other, and each once.
    if (phase !== this.phase + 1 || phase > PHASE.serve) throw new ChannelError('a phase');
    Atomics.store(this.control, CONTROL.phase, phase);
  }

  private get phase(): number {
    return this.control[CONTROL.phase]!;
  }

  /** Before it is instantiated, nothing of the plugin runs. */
  private mustRun(): void {
    if (this.phase < PHASE.instantiate) throw new ChannelError('what only a plugin says');
  }

  private answer(): void {
    if (this.sent === this.answered) throw new ChannelError('an answer to nothing');
    const slot = this.slotOf(this.answered);
    const header = headerOffset(slot) >>> 2;
    const { words, channel } = this;
    const op = words[header + HEADER.op]!;
    // Its answer is the end of the process (`end`): one that answers and lives on would be waited for.
    if (op === OP.stop) throw new ChannelError('an answer to stop');
    if (channel.length < HEADER_BYTES) throw new ChannelError('a short answer');
    const told = channel.words;
    let expected = 0;
    const batch = batchOffset(slot);
    for (const word of [HEADER.breach, HEADER.results, HEADER.excess, HEADER.next, HEADER.memory])
      words[header + word] = told[word]!;
    this.bytesUnderWay -= HEADER_BYTES;
    if (op === OP.readback) {
      let entries = 0;
      for (let list = 0; list < BATCH_LISTS; list++) entries += told[HEADER.lists + list]!;
      if (entries > BATCH_ENTRIES_MAX) words[header + HEADER.breach] = BREACH.tooManyEntries;
      for (let list = 0; list < BATCH_LISTS && entries <= BATCH_ENTRIES_MAX; list++) {
        const size = told[HEADER.lists + list]! * BATCH_STRIDES[list]!;
        words[header + HEADER.lists + list] = told[HEADER.lists + list]!;
        this.copy(HEADER_BYTES + expected, batch + BATCH_OFFSETS[list]!, size);
        expected += size;
      }
    } else {
      let room = resultsMax(op);
      if (op === OP.apply) {
        room = 0;
        for (let list = 0; list < BATCH_LISTS; list++) {
          room += words[header + HEADER.lists + list]!;
          this.bytesUnderWay -= words[header + HEADER.lists + list]! * BATCH_STRIDES[list]!;
        }
      } else if (op === OP.notify) this.bytesUnderWay = 0;
      if (told[HEADER.results]! > room) throw new ChannelError('more results than there may be');
      const size = told[HEADER.results]! * resultStride(op);
      this.copy(HEADER_BYTES, resultOffset(slot), size);
    }
    if (words[header + HEADER.traced] !== 0) words[header + HEADER.ended] = monotonic_us();
    this.answered = (this.answered + 1) | 0;
    if (this.answered === this.sent) this.bytesUnderWay = 0;
    // As in worker.ts.
    Atomics.store(this.control, CONTROL.completed, this.answered);
    Atomics.notify(this.control, CONTROL.completed);
  }

  private copy(from: number, to: number, size: number): void {
    if (from + size > this.channel.length) throw new ChannelError('an answer that is too short');
    if (size > 0) this.bytes.set(this.channel.body.subarray(from, from + size), to);
  }

  private end(): WorkerEnd {
    const end = this.json() as Partial<{ end: string; text: string; code: string }>;
    const text = typeof end.text === 'string' ? end.text.slice(0, TEXT_MAX) : '';
    switch (end.end) {
      case 'stopped':
        // The answer to `stop`, which is the last operation there can be.
        if (this.slotsLeft() !== OP.stop) throw new ChannelError('an end nobody asked for');
        this.answered = (this.answered + 1) | 0;
        Atomics.store(this.control, CONTROL.completed, this.answered);
        Atomics.notify(this.control, CONTROL.completed);
        return { end: 'stopped' };
      case 'refused':
        if (this.phase !== PHASE.configure && this.phase !== PHASE.start)
          throw new ChannelError('a refusal to start');
        return { end: 'refused', text };
      case 'trap':
        this.mustRun();
        return { end: 'trap', text };
      case 'failed':
        return { end: 'failed', text, code: 'E_PLUGIN_TRAP' };
      default:
        throw new ChannelError('an end without a reason');
    }
  }

  /** The operation that the oldest unanswered slot asks for; 0 for none. */
  private slotsLeft(): number {
    if (this.sent === this.answered) return 0;
    return this.words[(headerOffset(this.slotOf(this.answered)) >>> 2) + HEADER.op]!;
  }

  private json(): unknown {
    try {
      return JSON.parse(DECODER.decode(this.channel.body));
    } catch {
      throw new ChannelError('a message that is not JSON');
    }
  }
}

/** Records that the result area holds, for operations whose answer does not depend on what was sent. */
function resultsMax(op: number): number {
  switch (op) {
    case OP.collect:
      return BATCH_ENTRIES_MAX;
    case OP.tables:
      return TABLES_MAX;
    case OP.poll:
      return EVENTS_MAX;
    default:
      return 0;
  }
}
