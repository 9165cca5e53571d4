/** The notifiers of the kernel as a stream of events: attach, listen, count. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BpfError, type BpfMap, BpfObject, type RingBuffer } from '../../../bpf/libbpf-ts/src/index.ts';
import { EkhoError } from '../../errors.ts';
import { RUNGS, type Rung } from './catalogue.ts';
import { type Attached, climb, type HookState, nothingAttached } from './ladder.ts';
import { type NotifierRecord, RecordView } from './record.ts';
import { RING_DEFAULT } from './ring-size.ts';

const OBJECT = fileURLToPath(new URL('../../../build/bpf/notifier.bpf.o', import.meta.url));

/** How long after a batch the kernel is asked for calls it kept from programs. */
const MISSES_INTERVAL_ms = 100;
const RING_MIN = 1 << 12;
const RING_MAX = 1 << 30;

export interface NotifierOptions {
  /** Cookie of the only network namespace whose events are wanted; all by default. */
  readonly netns?: bigint | undefined;
  /** Size of the ring in bytes, a power of two from 4096 to 2^30. Events that find it full are lost, and counted. */
  readonly ringSize?: number | undefined;
  /** Rungs that may be used; all by default. */
  readonly rungs?: readonly Rung[] | undefined;
}

export interface NotifierHandler {
  /** The record is valid during the call only: it lies in memory that the kernel writes again afterwards. */
  onRecord(record: NotifierRecord): void;
  /** After a batch of records that were there at once. */
  onTurnEnd?(): void;
  /** After a batch, when events were lost since the last time: how many. */
  onLost?(lost: number): void;
}

export interface NotifierStats {
  /** Events the kernel side had, lost ones included: received + lost, once all is read. */
  readonly produced: bigint;
  /** Records read from the ring. */
  readonly received: bigint;
  /** Events for which the ring had no room, and `missed` ones. */
  readonly lost: bigint;
  /**
   * Calls that the kernel kept from a program because it was running on that CPU already, interrupted by them. They may have been
   * of another namespace, or of no event.
   */
  readonly missed: bigint;
  /** Received records that do not follow their layout; they are not handed on. */
  readonly malformed: bigint;
}

export class Notifier implements Disposable {
  readonly #attached: Attached | undefined;
  readonly #states: readonly HookState[];
  readonly #ring: RingBuffer | undefined;
  readonly #drops: BpfMap<number, bigint[]> | undefined;
  readonly #sequences: BpfMap<number, bigint[]> | undefined;
  readonly #view = new RecordView();
  #malformed = 0n;
  /** Calls kept from programs that onLost was told of, and the timer of the next look. */
  #missesTold = 0n;
  #missesTimer: NodeJS.Timeout | undefined;
  #final: NotifierStats | undefined;

  private constructor(attached: Attached | undefined, states: readonly HookState[]) {
    this.#attached = attached;
    this.#states = states;
    if (attached === undefined) return;
    this.#drops = attached.object.map('notifier_events_drops');
    this.#sequences = attached.object.map('notifier_sequences');
    this.#ring = attached.object.ringBuffer('notifier_events', { drops: this.#drops });
  }

  /**
   * Attaches every hook on the highest rung that this kernel grants. For want of rights or features it gives less, or nothing:
   * states() says why. @throws E_USAGE for options out of range
   */
  static open(options: NotifierOptions = {}): Notifier {
    const { netns = 0n, ringSize = RING_DEFAULT, rungs = RUNGS } = options;
    if (!(ringSize >= RING_MIN && ringSize <= RING_MAX && Number.isInteger(Math.log2(ringSize)))) {
      throw new EkhoError('E_USAGE', `a ring of ${ringSize} bytes: not a power of two from 4096 to 2^30`);
    }
    if (!existsSync(OBJECT)) {
      const reason = `${OBJECT} has not been built; install clang and libbpf-dev, and run: npm run build`;
      return new Notifier(undefined, nothingAttached(reason));
    }
    try {
      const { states, attached } = climb(() => adjusted(netns, ringSize), rungs);
      return new Notifier(attached, states);
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      const remedy = error.remedy === undefined ? '' : ` ${error.remedy}`;
      return new Notifier(undefined, nothingAttached(`${error.message}${remedy}`));
    }
  }

  states(): readonly HookState[] {
    return this.#states;
  }

  /**
   * Hands on events as they come, each CPU's in its order, those of several CPUs in the order in which they got their place in
   * the ring. @throws BpfError E_STATE if it was started, E_CLOSED
   */
  start(handler: NotifierHandler, options: { readonly keepAlive?: boolean } = {}): void {
    this.#ring?.start((data, offset, length) => this.#take(handler, data, offset, length), {
      keepAlive: options.keepAlive ?? true,
      onDrops: (lost) => handler.onLost?.(lost),
      onTurnEnd: () => {
        handler.onTurnEnd?.();
        this.#missesTimer ??= setTimeout(() => this.#tellMisses(handler), MISSES_INTERVAL_ms).unref();
      },
    });
  }

  /** Hands on what is there, without waiting; returns how many records that was. */
  drain(handler: NotifierHandler): number {
    return this.#ring?.drain((data, offset, length) => this.#take(handler, data, offset, length)) ?? 0;
  }

  #take(handler: NotifierHandler, data: DataView, offset: number, length: number): void {
    try {
      this.#view.bind(data, offset, length);
    } catch {
      this.#malformed++;
      return;
    }
    handler.onRecord(this.#view);
  }

  /** What a program interrupts is running itself, so a turn follows every miss. */
  #tellMisses(handler: NotifierHandler): void {
    this.#missesTimer = undefined;
    const misses = this.#misses();
    if (misses === this.#missesTold) return;
    const lost = Number(misses - this.#missesTold);
    this.#missesTold = misses;
    handler.onLost?.(lost);
  }

  #misses(): bigint {
    const programs = this.#attached?.programs ?? [];
    return programs.reduce((sum, program) => sum + program.info().recursionMisses, 0n);
  }

  /** After close() as they were then. */
  stats(): NotifierStats {
    if (this.#final !== undefined) return this.#final;
    const missed = this.#misses();
    return {
      produced: total(this.#sequences) + missed,
      received: BigInt(this.#ring?.stats().records ?? 0),
      lost: total(this.#drops) + missed,
      missed,
      malformed: this.#malformed,
    };
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Detaches everything; no handler is called any more. */
  close(): void {
    if (this.#final !== undefined) return;
    clearTimeout(this.#missesTimer);
    // Detached first: what is counted is all there will be.
    for (const link of this.#attached?.links ?? []) link.close();
    this.#final = this.stats();
    this.#ring?.close();
    this.#attached?.object.close();
  }
}

function adjusted(netns: bigint, ringSize: number): BpfObject {
  const object = BpfObject.open(OBJECT);
  object.variable<bigint>('only_netns').set(netns);
  object.map('notifier_events').setMaxEntries(ringSize);
  return object;
}

/** Of all CPUs. */
function total(counters: BpfMap<number, bigint[]> | undefined): bigint {
  if (counters === undefined) return 0n;
  return (counters.get(0) ?? []).reduce((sum, each) => sum + each, 0n);
}
