/**
 * A netlink socket on a thread of its own, for dumps: the kernel makes a dump inside the receiving system call, and may
 * spend a tenth of a second there (walking a million routes for one it shows, waiting for the RTNL lock). The thread
 * receives into slots of shared memory; here they are handled in order, in slices that leave the event loop free.
 *
 *     kernel ── recv ──► thread ── slots (full: the thread waits) ──► event loop, 8 ms at a time
 */

import { Worker } from 'node:worker_threads';
import { EkhoError, type ErrorCode } from '../errors.ts';
import type { Datagram } from './message.ts';
import type { NetlinkSocketHandler, NetlinkSocketOptions } from './socket.ts';
import { releaseFreeMemory } from './syscall.ts';

const SLOTS = 32;
/** Longest the handling may take before the event loop gets its turn, in milliseconds. */
const SLICE_MS = 8;
const IDLE_MS = 1000;
/** How long an exiting process waits for the thread. */
const EXIT_MS = 2000;
/** Behind the states of the slots. */
const CLOSING = SLOTS;
const ENDED = SLOTS + 1;

export interface BulkSetup {
  readonly options: NetlinkSocketOptions;
  readonly memory: SharedArrayBuffer;
  /**
   * An Int32 per slot: 1 while it holds a datagram that was not handled yet. Then one that tells the thread to end at its
   * next receive, and one with which it says that it will.
   */
  readonly states: SharedArrayBuffer;
  readonly slots: number;
}

/** A message for the kernel. */
export type ToWorker = Uint8Array | 'end';
export type FromWorker =
  | { readonly slot: number; readonly length: number; readonly truncated: boolean }
  | { readonly failure: string; readonly code: ErrorCode };

export class BulkSocket {
  readonly #handler: NetlinkSocketHandler;
  readonly #options: NetlinkSocketOptions;
  /** Only while there is something to do: a thread takes some 10 MiB. */
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #memory: Uint8Array = new Uint8Array(0);
  #busy: Int32Array = new Int32Array(0);
  readonly #size: number;
  /** Handlers get every datagram here: it is overwritten by the next. */
  readonly #copy: Uint8Array<ArrayBuffer>;
  readonly #queue: { slot: number; length: number; truncated: boolean }[] = [];
  #handling = false;
  #closed = false;
  /** When the process exits, Node would end the thread wherever it is. */
  readonly #onExit = (): void => {
    const busy = this.#busy;
    this.#end();
    Atomics.wait(busy, ENDED, 0, EXIT_MS);
  };

  /** Errors in opening reach `handler.failed`. Datagrams are only valid during the call that hands them over. */
  constructor(options: NetlinkSocketOptions, handler: NetlinkSocketHandler) {
    this.#handler = handler;
    this.#size = options.datagramSize;
    this.#copy = new Uint8Array(this.#size);
    this.#options = options;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Errors in sending reach `handler.failed`. */
  send(message: Uint8Array, _done: (error: Error | undefined) => void): void {
    this.#worker ??= this.#start();
    clearTimeout(this.#idle);
    this.#worker.postMessage(message satisfies ToWorker);
  }

  /** Nothing is being asked: ends the thread unless something is soon. */
  rest(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#end(), IDLE_MS);
    this.#idle.unref();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.length = 0;
    clearTimeout(this.#idle);
    this.#end();
  }

  /** The thread ends by itself once it is out of its receive; whatever it still has to say is not heard. */
  #end(): void {
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#worker = undefined;
    process.off('exit', this.#onExit);
    worker.removeAllListeners('message');
    worker.postMessage('end' satisfies ToWorker);
    Atomics.store(this.#busy, CLOSING, 1);
    for (let slot = 0; slot < SLOTS; slot++) {
      Atomics.store(this.#busy, slot, 0);
      Atomics.notify(this.#busy, slot);
    }
    this.#queue.length = 0;
  }

  #start(): Worker {
    const memory = new SharedArrayBuffer(this.#size * SLOTS);
    const states = new SharedArrayBuffer((SLOTS + 2) * 4);
    this.#memory = new Uint8Array(memory);
    this.#busy = new Int32Array(states);
    const setup: BulkSetup = { options: this.#options, memory, states, slots: SLOTS };
    const worker = new Worker(new URL('./bulk-worker.ts', import.meta.url), {
      workerData: setup,
      name: 'netlink dumps',
      execArgv: [],
      // It holds no objects to speak of.
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 32 },
    });
    worker.on('message', (message: FromWorker) => this.#receive(message));
    worker.on('error', (error) => this.#fail(error as Error));
    worker.on('exit', () => {
      releaseFreeMemory();
      if (this.#worker !== worker) return;
      // Nobody told it to: what it was asked is answered by nobody.
      process.off('exit', this.#onExit);
      this.#worker = undefined;
      this.#fail(new EkhoError('E_NETLINK', 'the thread that receives dumps ended'));
    });
    process.on('exit', this.#onExit);
    return worker;
  }

  #receive(message: FromWorker): void {
    if (this.#closed) return;
    if ('failure' in message) {
      this.#fail(new EkhoError(message.code, message.failure));
      return;
    }
    this.#queue.push(message);
    if (!this.#handling) {
      this.#handling = true;
      setImmediate(() => this.#handle());
    }
  }

  #handle(): void {
    const began = performance.now();
    while (this.#queue.length > 0 && performance.now() - began < SLICE_MS) {
      const { slot, length, truncated } = this.#queue.shift()!;
      const from = slot * this.#size;
      this.#copy.set(this.#memory.subarray(from, from + length));
      Atomics.store(this.#busy, slot, 0);
      Atomics.notify(this.#busy, slot);
      const bytes = this.#copy.subarray(0, length);
      const data: Datagram = { bytes, words: new Uint32Array(bytes.buffer, 0, length >>> 2) };
      if (truncated) this.#handler.truncated(data);
      else this.#handler.datagram(data);
    }
    if (this.#queue.length > 0) setImmediate(() => this.#handle());
    else this.#handling = false;
  }

  #fail(error: Error): void {
    if (!this.#closed) this.#handler.failed(error);
  }
}
