/**
 * Ring buffers: records read in place from the mapping that the kernel writes (kernel/bpf/ringbuf.c).
 *
 *     page 0            page 1            page 2 …                 the same memory once more
 *     consumer position producer position data (a power of two)   data
 *     (read and write)  (read only)       (read only)             so that no record is ever split
 *
 * A record is 4 bytes of length with two flags, 4 bytes of page offset, and the data, rounded up to 8 bytes.
 */

import { BpfError } from './errors.ts';
import type { Variable } from './globals.ts';
import { Handle } from './handle.ts';
import { BpfMap } from './map.ts';
import { closeFd, duplicate, type Mapping, mapShared, pageSize } from './memory.ts';
import { type Watch, watch } from './poller.ts';

/** BPF_RINGBUF_BUSY_BIT is the sign; BPF_RINGBUF_DISCARD_BIT. */
const DISCARD = 1 << 30;
const LENGTH = DISCARD - 1;
const HEADER = 8;

/** Records read before other events of the loop get their turn: a few milliseconds of them where each takes microseconds to handle. */
const TURN_RECORDS = 1024;

/**
 * Gets a record in place: `length` bytes of `data` from `offset` on (8-byte aligned). They are the kernel's read-only memory and
 * free for it to use again after the call: read what is needed, copy what is kept, never write (the process would die).
 */
export type RecordHandler = (data: DataView, offset: number, length: number) => void;

export interface RingBufferOptions {
  /**
   * Where the program counts the records it could not reserve: a per-CPU or plain array of u64 (entry 0), as
   * libbpf-ts.bpf.h makes it, or a global variable. The kernel itself does not count them.
   */
  readonly drops?: BpfMap | Variable;
}

export interface StartOptions {
  /** Whether waiting for records keeps the process running; true. */
  readonly keepAlive?: boolean;
  /** Told after a reading when records were lost since the last time. */
  readonly onDrops?: (lost: number, total: number) => void;
  /** Told after a reading, last of all. */
  readonly onTurnEnd?: () => void;
}

export interface RingBufferStats {
  readonly records: number;
  /** Data of those records, without headers. */
  readonly bytes: number;
  /** Reserved and given up by the program. */
  readonly discarded: number;
  /** Lost for want of room, as the program counts; 0 without a counter. */
  readonly drops: number;
  readonly wakeups: number;
}

export class RingBuffer extends Handle {
  readonly title: string;
  /** Of the data, in bytes. */
  readonly size: number;
  readonly #fd: number;
  readonly #consumerMapping: Mapping;
  readonly #producerMapping: Mapping;
  readonly #consumer: BigInt64Array;
  readonly #producer: Int32Array;
  readonly #words: Int32Array;
  readonly #data: DataView;
  readonly #drops: BpfMap | Variable | undefined;
  /** Everything before it has been read; exact up to 2^53 bytes. */
  #position: number;
  #records = 0;
  #bytes = 0;
  #discarded = 0;
  #wakeups = 0;
  #dropsTold = 0;
  #draining = false;
  #watch: Watch | undefined;

  /** @throws E_VALUE for another kind of map, E_STATE before its object is loaded, E_KERNEL */
  constructor(map: BpfMap, options: RingBufferOptions = {}) {
    super();
    this.title = `ring buffer "${map.name}"`;
    if (map.type !== 'ringbuf')
      throw new BpfError('E_VALUE', `${map.title} is no ring buffer but ${map.type}`);
    this.#drops = options.drops;
    this.size = map.info().maxEntries;
    // A descriptor of its own: the ring can be read to its end after the object is closed.
    this.#fd = duplicate(map.fd);
    try {
      this.#consumerMapping = mapShared(this.#fd, 0, pageSize, true);
      try {
        this.#producerMapping = mapShared(this.#fd, pageSize, pageSize + 2 * this.size, false);
      } catch (error) {
        this.#consumerMapping.unmap();
        throw error;
      }
    } catch (error) {
      closeFd(this.#fd);
      throw error;
    }
    this.#consumer = new BigInt64Array(this.#consumerMapping.buffer, 0, 1);
    this.#producer = new Int32Array(this.#producerMapping.buffer, 0, 2);
    this.#words = new Int32Array(this.#producerMapping.buffer, pageSize);
    this.#data = new DataView(this.#producerMapping.buffer, pageSize);
    this.#position = Number(Atomics.load(this.#consumer, 0));
  }

  /**
   * Reads what is there, without waiting; returns how many records that was. Room is given back to the kernel every
   * quarter of the buffer and at the end. If the handler throws, the record counts as read and the error passes on.
   * @throws E_CLOSED, E_STATE when called from its own handler
   */
  drain(onRecord: RecordHandler, limit: number = Number.POSITIVE_INFINITY): number {
    this.alive();
    if (this.#draining) throw new BpfError('E_STATE', `${this.title} is being read already`);
    this.#draining = true;
    const mask = this.size - 1;
    const quantum = this.size / 4;
    const producer = this.#producer;
    const words = this.#words;
    const data = this.#data;
    const start = this.#position;
    let at = start % this.size;
    // Positions differ by at most the size, which is below 2^32: their low halves are enough to compare.
    let low = (start % 2 ** 32) >>> 0;
    let end = low;
    let taken = 0;
    let released = 0;
    let count = 0;
    let bytes = 0;
    try {
      while (count < limit) {
        if (low === end) {
          // Atomics: what was written before the position moved has to be seen (smp_store_release in the kernel).
          end = Atomics.load(producer, 0) >>> 0;
          if (low === end) break;
        }
        const header = Atomics.load(words, at >>> 2);
        if (header < 0) break; // reserved, not yet submitted
        const length = header & LENGTH;
        const step = (length + HEADER + 7) & ~7;
        const offset = at + HEADER;
        at = (at + step) & mask;
        low = (low + step) >>> 0;
        taken += step;
        if ((header & DISCARD) !== 0) {
          this.#discarded++;
        } else {
          count++;
          bytes += length;
          onRecord(data, offset, length);
          if (this.closed) return count;
        }
        if (taken - released >= quantum) {
          released = taken;
          Atomics.store(this.#consumer, 0, BigInt(start + taken));
        }
      }
    } finally {
      this.#draining = false;
      this.#position = start + taken;
      this.#records += count;
      this.#bytes += bytes;
      if (!this.closed && taken !== released) Atomics.store(this.#consumer, 0, BigInt(start + taken));
    }
    return count;
  }

  /**
   * Reads records as they come: a thread of its own waits for them and wakes the event loop. Long runs are cut so that
   * other events get their turn. @throws E_STATE if it was started, E_CLOSED, E_KERNEL
   */
  start(onRecord: RecordHandler, options: StartOptions = {}): void {
    this.alive();
    if (this.#watch !== undefined) throw new BpfError('E_STATE', `${this.title} has been started`);
    const { keepAlive = true, onDrops, onTurnEnd } = options;
    const turn = () => {
      const mine = this.#watch;
      if (mine === undefined) return;
      let count = 0;
      try {
        count = this.drain(onRecord, TURN_RECORDS);
        if (onDrops !== undefined && this.#watch === mine) this.#tellDrops(onDrops);
        if (onTurnEnd !== undefined && this.#watch === mine) onTurnEnd();
      } finally {
        // Also after the handler threw: the error is the process's to handle, the records go on.
        if (this.#watch === mine) {
          if (count === TURN_RECORDS) setImmediate(turn);
          else mine.rearm();
        }
      }
    };
    this.#watch = watch(this.#fd, keepAlive, () => {
      this.#wakeups++;
      turn();
    });
  }

  #tellDrops(onDrops: (lost: number, total: number) => void): void {
    const total = this.#readDrops();
    const lost = total - this.#dropsTold;
    if (lost <= 0) return;
    this.#dropsTold = total;
    onDrops(lost, total);
  }

  /** Stops what start() began; records stay in the buffer. */
  stop(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  #readDrops(): number {
    const counter = this.#drops;
    // The counter belongs to the object, which may be closed before the ring.
    if (counter === undefined || counter.closed) return this.#dropsTold;
    const value = counter instanceof BpfMap ? counter.get(0) : counter.get();
    return Array.isArray(value)
      ? value.reduce((sum: number, each) => sum + Number(each), 0)
      : Number(value ?? 0);
  }

  /** @throws E_CLOSED */
  stats(): RingBufferStats {
    this.alive();
    return {
      records: this.#records,
      bytes: this.#bytes,
      discarded: this.#discarded,
      drops: this.#readDrops(),
      wakeups: this.#wakeups,
    };
  }

  protected release(): void {
    this.stop();
    this.#producerMapping.unmap();
    this.#consumerMapping.unmap();
    closeFd(this.#fd);
  }
}
