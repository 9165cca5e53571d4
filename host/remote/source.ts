/**
 * A mirror that another host publishes, as a source: keeps this host's mirror equal to the bucket. A session reads the whole
 * and then the changes; what the whole did not show is swept once the publisher says that it is complete. A session
 * that breaks off leaves the mirror as it was, says so in the state of every kind, and is followed by another.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { EkhoError } from '../errors.ts';
import { inSlices } from '../kernel/slices.ts';
import type { ResyncReport } from '../kernel/sync.ts';
import { type Difference, verifyMirror } from '../kernel/verify.ts';
import { KEYS } from '../mirror/keys.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { ObjectTable } from '../mirror/table.ts';
import { TRANSACTION_ENTRIES, Transaction } from '../mirror/transaction.ts';
import { KERNEL_KINDS, KIND, KINDS, type Kind, type KindNumber, type KindState } from '../mirror/types.ts';
import { connect, type NatsOptions, remoteError } from './connection.ts';
import { BYTE_ORDER, FORMAT } from './entry.ts';
import { isMissing } from './lease.ts';
import { RemoteObjects } from './objects.ts';
import { MARK_MS } from './publisher.ts';
import { type Message, Reading } from './reading.ts';
import { formatOf, type PublisherRecord, parseRecord, RECORD_KEY } from './record.ts';

const FIRST_PAUSE_MS = 250;
const LAST_PAUSE_MS = 5000;
/** A reader further behind than this could miss that a key was deleted, for marks of deletions do not last. */
const BEHIND_MS = MARK_MS / 2;
const LOOK_MS = 250;
/** How far behind the reading is, is asked so often in the time it may be. */
const CHECKS = 10;
/** Values left out that are logged in a session. */
const REJECTIONS_LOGGED = 10;

export interface RemoteOptions extends NatsOptions {
  /** Absent: all. */
  readonly kinds?: readonly Kind[] | undefined;
  /** A reading that falls further behind starts over, in milliseconds: at most half of what the publisher keeps marks. Default BEHIND_MS. */
  readonly behind_ms?: number | undefined;
  readonly onLog?: ((level: 'warn' | 'info', message: string) => void) | undefined;
}

export interface RemoteStatus {
  readonly state: 'connecting' | 'reading' | 'following';
  readonly reason: string | undefined;
  readonly remedy: string | undefined;
  /** Undefined before its record was read. */
  readonly publisher: Pick<PublisherRecord, 'host' | 'epoch' | 'kernel' | 'revision'> | undefined;
}

export class RemoteSync {
  readonly #mirror: Mirror;
  readonly #options: RemoteOptions;
  readonly #kinds: readonly KindNumber[];
  readonly #objects: RemoteObjects;
  readonly #abort = new AbortController();
  readonly #counters = { sessions: 0, values: 0, deletions: 0, rejected: 0 };
  #state: RemoteStatus['state'] = 'connecting';
  #error: EkhoError | undefined;
  #record: PublisherRecord | undefined;
  /** When it was last renewed. */
  #heard = 0;
  #connection: NatsConnection | undefined;
  #reading: Reading | undefined;
  /** Everything the bucket held when the session began was applied, and what it did not hold swept. */
  #isWhole = false;
  #rejections = 0;
  #commitScheduled = false;
  #lastResync: ResyncReport | undefined;
  #running: Promise<void> | undefined;
  readonly #synced = Promise.withResolvers<void>();

  constructor(mirror: Mirror, options: RemoteOptions) {
    this.#mirror = mirror;
    this.#options = options;
    const wanted = new Set<Kind>(options.kinds ?? KERNEL_KINDS);
    this.#kinds = KERNEL_KINDS.filter((kind) => wanted.has(kind)).map((kind) => KIND[kind]);
    this.#objects = new RemoteObjects(
      (kind) => mirror.table(kind),
      (kind) => wanted.has(KINDS[kind]!),
    );
  }

  /** Resolves once the mirror is in sync for the first time. */
  start(): Promise<void> {
    this.#setStates();
    this.#running ??= this.#run();
    return this.#synced.promise;
  }

  /** Resolves once all that the publisher had written before the call is in the mirror. Throws E_REMOTE without a session. */
  async barrier(): Promise<void> {
    await this.#session().barrier();
    this.#commit();
  }

  /** Compares the mirror with a fresh reading of the bucket. Throws E_REMOTE without a session. */
  async verify(): Promise<{ equal: boolean; differences: Difference[] }> {
    const kinds = this.#kinds.filter((kind) => this.#mirror.kindState(kind).state !== 'unavailable');
    return verifyMirror(this.#mirror, kinds, {
      barrier: () => this.barrier(),
      snapshot: () => this.#snapshot(),
    });
  }

  status(): { lastResync: ResyncReport | undefined; isOrphaned: boolean } & RemoteStatus {
    const { host, epoch, kernel, revision } = this.#record ?? {};
    return {
      lastResync: this.#lastResync,
      isOrphaned: false,
      state: this.#state,
      reason: this.#trouble(),
      remedy: this.#error?.remedy,
      publisher:
        host === undefined ? undefined : { host, epoch: epoch!, kernel: kernel!, revision: revision! },
    };
  }

  counters(): Record<string, number> {
    return { ...this.#counters };
  }

  close(): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#synced.resolve();
    this.#reading?.close();
    void this.#connection?.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(LAST_PAUSE_MS, pause * 2)) {
      const { sessions } = this.#counters;
      try {
        await this.#follow();
      } catch (error) {
        if (signal.aborted) return;
        const before = this.#error?.message;
        this.#error = remoteError(error, this.#options);
        const { message, remedy } = this.#error;
        if (message !== before) this.#log('warn', `source: ${message}${remedy ? `. ${remedy}` : ''}`);
      }
      this.#state = 'connecting';
      this.#setStates();
      if (this.#counters.sessions > sessions) pause = FIRST_PAUSE_MS;
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** One session; ends by an error. */
  async #follow(): Promise<void> {
    const { bucket } = this.#options;
    this.#isWhole = false;
    // One of before may speak of another bucket of this name.
    this.#record = undefined;
    this.#rejections = 0;
    const connection = await connect(this.#options, 'ekho source');
    this.#connection = connection;
    try {
      for (const kind of this.#kinds) this.#mirror.table(kind).beginSweep();
      const report: ResyncReport = {
        cause: this.#error?.message ?? 'start',
        kinds: this.#kinds.map((kind) => KINDS[kind]!),
        started: Date.now(),
        duration_ms: undefined,
      };
      const began = performance.now();
      const reading = await Reading.open(connection, bucket, (message) => this.#take(message)).catch(
        (error) => {
          if (!isMissing(error)) throw error;
          throw new EkhoError(
            'E_REMOTE',
            `there is no bucket ${bucket} on ${this.#options.servers.join(', ')}`,
            {
              remedy: 'Start the host that publishes it; it makes the bucket.',
            },
          );
        },
      );
      this.#reading = reading;
      this.#state = 'reading';
      if (this.#counters.sessions > 0) this.#lastResync = report;
      await reading.barrier();
      await this.#untilComplete(reading);
      this.#checkBehind(reading);
      await this.#sweep();
      this.#isWhole = true;
      this.#counters.sessions++;
      this.#error = undefined;
      this.#state = 'following';
      this.#setStates();
      this.#synced.resolve();
      const duration_ms = Math.round(performance.now() - began);
      if (this.#lastResync === report) this.#lastResync = { ...report, duration_ms };
      await this.#watch(reading);
    } finally {
      this.#isWhole = false;
      this.#reading?.close();
      this.#reading = undefined;
      this.#connection = undefined;
      this.#commit();
      await connection.close();
    }
  }

  /** Until what was read is a whole mirror of a kernel whose numbers this machine reads. */
  async #untilComplete(reading: Reading): Promise<void> {
    for (let said = false; ; ) {
      const record = this.#record;
      if (record !== undefined && record.byte_order !== BYTE_ORDER) {
        throw new EkhoError('E_REMOTE', `${record.host} publishes ${record.byte_order}-endian objects`, {
          remedy: 'Publisher and reader must be machines of one byte order.',
        });
      }
      if (record?.complete) return;
      if (!said) {
        said = true;
        this.#error = new EkhoError('E_REMOTE', `bucket ${this.#options.bucket} is not complete yet`, {
          remedy: 'Wait for its publisher, or start it.',
        });
        this.#setStates();
      }
      await reading.pause(LOOK_MS / 10);
    }
  }

  async #watch(reading: Reading): Promise<never> {
    const every = Math.ceil((this.#options.behind_ms ?? BEHIND_MS) / CHECKS / LOOK_MS);
    for (let check = 0; ; check++) {
      await reading.pause(LOOK_MS);
      if (check % every === 0) reading.barrier().catch(() => {});
      this.#checkBehind(reading);
      this.#setStates();
    }
  }

  /** What was deleted meanwhile may have left no mark any more. */
  #checkBehind(reading: Reading): void {
    const { behind_ms = BEHIND_MS } = this.#options;
    if (reading.behind_ms <= behind_ms) return;
    throw new EkhoError('E_REMOTE', `the reading fell ${behind_ms / 1000} s behind`, {
      remedy:
        'None needed: it starts over. If it happens often, the way to the server is too slow for what changes.',
    });
  }

  #take({ key, value, isDelete }: Message): void {
    if (key === RECORD_KEY) {
      const record = isDelete ? undefined : parseRecord(value);
      const format = isDelete ? FORMAT : (formatOf(value) ?? FORMAT);
      if (format !== FORMAT) {
        throw new EkhoError(
          'E_REMOTE',
          `bucket ${this.#options.bucket} has format ${format}, and this version reads format ${FORMAT}`,
          { remedy: 'Install the same version on the host that publishes and on this one.' },
        );
      }
      if (record === undefined) this.#reject(key, 'record');
      else {
        this.#record = record;
        this.#heard = performance.now();
        if (this.#isWhole) this.#setStates();
      }
      return;
    }
    if (isDelete) {
      this.#counters.deletions++;
      this.#objects.delete(key);
    } else {
      this.#counters.values++;
      const rejection = this.#objects.put(key, value);
      if (rejection !== undefined) this.#reject(key, rejection);
    }
    this.#touch();
  }

  #reject(key: string, what: string): void {
    this.#counters.rejected++;
    if (++this.#rejections > REJECTIONS_LOGGED) return;
    this.#log(
      'warn',
      `source: the value of ${key.slice(0, 128)} is left out: its ${what} is not what it should be`,
    );
  }

  /** Removes what the session did not show. */
  async #sweep(): Promise<void> {
    for (const kind of this.#kinds) {
      const table = this.#mirror.table(kind);
      await inSlices(
        1,
        () => table.limit,
        (id) => {
          if (table.isUnseen(id)) this.#objects.remove(kind, id);
          if (this.#mirror.pending >= TRANSACTION_ENTRIES) this.#commit();
        },
        () => this.#commit(),
      );
    }
    this.#commit();
  }

  /** Fresh tables with what the bucket holds. */
  async #snapshot(): Promise<(kind: KindNumber) => ObjectTable> {
    this.#session();
    const tables = KINDS.map((kind, number) => new ObjectTable(number, KEYS[kind], new Transaction()));
    for (const table of tables) table.beginSweep();
    const objects = new RemoteObjects(
      (kind) => tables[kind]!,
      () => true,
    );
    const reading = await Reading.open(
      this.#connection!,
      this.#options.bucket,
      ({ key, value, isDelete }) => {
        if (key === RECORD_KEY) return;
        if (isDelete) objects.delete(key);
        else objects.put(key, value);
      },
    );
    await reading.barrier().finally(() => reading.discard());
    return (kind) => tables[kind]!;
  }

  #session(): Reading {
    if (this.#isWhole && this.#reading !== undefined) return this.#reading;
    const { message, remedy } = this.#error ?? {};
    throw new EkhoError('E_REMOTE', message ?? 'the published mirror was not read yet', {
      remedy: remedy ?? 'Wait until `ekho status` says that it is in sync.',
    });
  }

  /** Why the mirror may not be what the publisher's kernel has, if so. */
  #trouble(): string | undefined {
    if (this.#error !== undefined) return this.#error.message;
    if (!this.#isWhole || this.#record === undefined) return 'the bucket is being read';
    const { host, lease_s, released, complete } = this.#record;
    const silent_s = Math.floor((performance.now() - this.#heard) / 1000);
    if (released) return `${host} stopped publishing`;
    if (silent_s > lease_s) return `${host} has not been heard of for more than ${lease_s} s`;
    return complete ? undefined : `${host} is comparing the bucket with its mirror`;
  }

  /** States of the kinds, as the publisher has them while it is followed. */
  #setStates(): void {
    const trouble = this.#trouble();
    let isSynced = true;
    for (const kind of this.#kinds) {
      const state = this.#stateOf(kind, trouble);
      if (state.state === 'syncing') isSynced = false;
      const before = this.#mirror.kindState(kind);
      if (before.state !== state.state || before.reason !== state.reason) {
        this.#mirror.setKindState(kind, state);
      }
    }
    this.#mirror.setSynced(isSynced);
  }

  #stateOf(kind: KindNumber, trouble: string | undefined): KindState {
    const theirs = this.#record?.kinds[KINDS[kind]!];
    if (theirs?.state === 'unavailable' && this.#isWhole) {
      return {
        state: 'unavailable',
        reason: theirs.reason ?? 'the publisher does not mirror it',
        ...(theirs.isAbsent !== undefined && { isAbsent: theirs.isAbsent }),
      };
    }
    if (trouble !== undefined) return { state: 'syncing', reason: trouble };
    return { state: theirs?.state ?? 'synced', reason: theirs?.reason };
  }

  /** Listeners are told at the end of this turn of the event loop, or now if there is much to tell. */
  #touch(): void {
    if (this.#mirror.pending >= TRANSACTION_ENTRIES) {
      this.#commit();
    } else if (!this.#commitScheduled) {
      this.#commitScheduled = true;
      setImmediate(() => {
        this.#commitScheduled = false;
        this.#commit();
      });
    }
  }

  #commit(): void {
    try {
      if (this.#mirror.commit()) this.#touch();
    } catch (error) {
      // A listener's fault is not the source's: it surfaces as an uncaught error, the mirror is whole.
      setImmediate(() => {
        throw error;
      });
    }
  }

  #log(level: 'warn' | 'info', message: string): void {
    this.#options.onLog?.(level, message);
  }
}
