/**
 * Keeps a bucket equal to the mirror: takes it (lease.ts), reads what it holds, writes the differences, deletes what is no
 * longer there, and from then on writes each change. Whatever goes wrong ends the session; the next one does the same from the
 * beginning, so there is one way for a first start, a cut, a server that lost its storage and a host that was killed.
 */

import { randomUUID } from 'node:crypto';
import { hostname, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { EkhoError } from '../errors.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { KERNEL_KINDS, KIND } from '../mirror/types.ts';
import { connect, remoteError, streamOf } from './connection.ts';
import { BYTE_ORDER, decodeValue, FORMAT, parseKey } from './entry.ts';
import { awaitFree, type BucketOptions, ensureBucket, HeldError, type Holder, machineOf } from './lease.ts';
import { Published } from './published.ts';
import { type Message, Reading } from './reading.ts';
import { encodeRecord, RECORD_KEY } from './record.ts';
import { Writer } from './writer.ts';

const FIRST_PAUSE_MS = 250;
const LAST_PAUSE_MS = 5000;
/** The record is renewed so often in the time of the lease. */
const RENEWALS = 3;
/** A deleted key leaves a mark in the stream that tells readers; it is taken out after this long. */
export const MARK_MS = 600_000;
/** More marks than this are not kept: the bucket is made anew, and readers read it again. */
const MARKS_MAX = 1_000_000;
/** Marks taken out at a time. */
const PURGES = 256;
/** Errors of JetStream: no message of that sequence, in this or that version's words. A value has taken the mark's place. */
const NOT_THERE: ReadonlySet<unknown> = new Set([10_043, 10_057]);
const GOODBYE_MS = 2000;
const SETTLE_LOOK_MS = 5;

export interface PublishOptions extends BucketOptions {
  /** As it is told to others; absent: the machine's host name. */
  readonly host?: string | undefined;
  /** Seconds. */
  readonly lease: number;
  /** Namespace that is mirrored. */
  readonly netns?: string | undefined;
  /** How long the mark of a deletion is kept, in milliseconds; default MARK_MS. Readers that fall behind by half of it start over. */
  readonly mark_ms?: number | undefined;
}

export interface PublishStatus {
  /** `refused`: another host publishes there; not tried again. */
  readonly state: 'waiting' | 'connecting' | 'writing' | 'published' | 'refused';
  readonly reason: string | undefined;
  readonly remedy: string | undefined;
  readonly epoch: number;
  /** Objects in the bucket, and writes that wait. */
  readonly objects: number;
  readonly pending: number;
}

export class Publisher {
  readonly #mirror: Mirror;
  readonly #options: PublishOptions;
  readonly #log: (level: 'warn' | 'info', message: string) => void;
  readonly #published: Published;
  readonly #me: Holder;
  readonly #unsubscribe: (() => void)[];
  readonly #abort = new AbortController();
  readonly #counters = { sessions: 0, writes: 0, deletes: 0, purged: 0, values: 0 };
  #state: PublishStatus['state'] = 'waiting';
  #error: EkhoError | undefined;
  #epoch = 0;
  #recordIsDue = false;
  #isComplete = false;
  /** Some writes are not acknowledged yet. */
  #isWriting = false;
  #connection: NatsConnection | undefined;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #marks: { readonly sequence: number; readonly at: number }[] = [];

  constructor(
    mirror: Mirror,
    options: PublishOptions,
    log: (level: 'warn' | 'info', message: string) => void,
  ) {
    this.#mirror = mirror;
    this.#options = options;
    this.#log = log;
    this.#published = new Published(mirror);
    this.#me = {
      owner: randomUUID(),
      host: options.host ?? hostname(),
      machine: machineOf(options.netns),
    };
    this.#unsubscribe = [
      mirror.subscribe((changes) => {
        this.#published.changed(changes);
        this.#wake?.();
      }),
      mirror.onState(() => {
        this.#recordIsDue = true;
        this.#wake?.();
      }),
    ];
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Tells readers that it ends, and lets go of the bucket; what it holds stays there. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#wake?.();
    const patience = setTimeout(() => void this.#connection?.close(), GOODBYE_MS);
    await this.#running;
    clearTimeout(patience);
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /** Resolves once all that the mirror has now is in the bucket, or is not to be for now. */
  async settled(): Promise<void> {
    while (this.#state === 'published' && (this.#published.pending > 0 || this.#isWriting)) {
      await sleep(SETTLE_LOOK_MS);
    }
  }

  status(): PublishStatus {
    return {
      state: this.#state,
      reason: this.#error?.message,
      remedy: this.#error?.remedy,
      epoch: this.#epoch,
      objects: this.#published.count,
      pending: this.#published.pending,
    };
  }

  counters(): Record<string, number> {
    return { ...this.#counters, objects: this.#published.count, pending: this.#published.pending };
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    await this.#mirrorInSync();
    for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(LAST_PAUSE_MS, pause * 2)) {
      const sessions = this.#counters.sessions;
      try {
        await this.#session();
      } catch (error) {
        if (signal.aborted) break;
        this.#failed(remoteError(error, this.#options));
        if (this.#state === 'refused') return;
      }
      if (this.#counters.sessions > sessions) pause = FIRST_PAUSE_MS;
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** Before its first sync the mirror would empty the bucket. */
  async #mirrorInSync(): Promise<void> {
    while (!this.#mirror.synced && !this.#abort.signal.aborted) await this.#pause(undefined);
  }

  #failed(error: EkhoError): void {
    if (error.message !== this.#error?.message) {
      this.#log('warn', `publish: ${error.message}${error.remedy ? `. ${error.remedy}` : ''}`);
    }
    this.#error = error;
    this.#state = error instanceof HeldError && !error.isSame ? 'refused' : 'waiting';
  }

  async #session(): Promise<void> {
    const { bucket } = this.#options;
    if (this.#error === undefined) this.#state = 'connecting';
    const connection = await connect(this.#options, `ekho publish ${this.#me.host}`);
    this.#connection = connection;
    this.#isComplete = false;
    let writer: Writer | undefined;
    try {
      await ensureBucket(connection, this.#options);
      const { last, epoch } = await awaitFree(connection, bucket, this.#me, (host) => {
        this.#log('info', `publish: bucket ${bucket} was left by ${host} without a word: watching its lease`);
      });
      if (this.#abort.signal.aborted) return;
      this.#epoch = Math.max(this.#epoch, epoch) + 1;
      writer = new Writer(connection, bucket, last);
      const publishing = this.#publish(connection, writer);
      publishing.catch(() => {});
      await Promise.race([publishing, writer.ended]);
      await this.#release(writer);
    } finally {
      writer?.close();
      this.#wake?.();
      await connection.close();
    }
  }

  /** Returns when the publisher is to stop. */
  async #publish(connection: NatsConnection, writer: Writer): Promise<void> {
    const { signal } = this.#abort;
    this.#putRecord(writer);
    await writer.flushed();
    this.#state = 'writing';
    await this.#compare(connection);
    for (let renewal = performance.now(); !signal.aborted; ) {
      for (;;) {
        if (performance.now() - renewal > (this.#options.lease * 1000) / RENEWALS) this.#recordIsDue = true;
        if (this.#recordIsDue) {
          renewal = performance.now();
          this.#putRecord(writer);
          await this.#purge(connection);
        }
        if (!writer.hasRoom) await writer.room();
        this.#isWriting = true;
        const write = signal.aborted ? undefined : this.#published.next(this.#epoch);
        if (write === undefined) break;
        if (write.value === undefined) this.#delete(writer, write.key);
        else {
          writer.put(write.key, write.value);
          this.#counters.writes++;
        }
      }
      await writer.flushed();
      this.#isWriting = false;
      if (signal.aborted || this.#published.pending > 0) continue;
      if (!this.#isComplete) {
        this.#isComplete = true;
        this.#counters.sessions++;
        this.#putRecord(writer);
        await writer.flushed();
        this.#error = undefined;
        this.#state = 'published';
        this.#log('info', `publish: bucket ${this.#options.bucket} holds ${this.#published.count} objects`);
        continue;
      }
      await this.#pause((this.#options.lease * 1000) / RENEWALS / 2);
    }
  }

  /** Finds what the bucket holds, and queues what is to be written and deleted. */
  async #compare(connection: NatsConnection): Promise<void> {
    const published = this.#published;
    published.forget();
    this.#marks = [];
    const reading = await Reading.open(connection, this.#options.bucket, (message) => this.#found(message));
    await reading.barrier().finally(() => reading.discard());
    for (const kind of KERNEL_KINDS) this.#mirror.forEach(KIND[kind], (id) => published.want(KIND[kind], id));
  }

  #found({ key, value, isDelete, sequence }: Message): void {
    if (key === RECORD_KEY) return;
    if (isDelete) {
      this.#marks.push({ sequence, at: performance.now() });
      return;
    }
    this.#counters.values++;
    const parts = parseKey(key);
    const entry = parts === undefined ? undefined : decodeValue(value);
    if (parts === undefined || entry === undefined) this.#published.stray(key);
    else this.#published.found(key, parts.kind, parts.alias, entry.order, entry.data, entry.end);
  }

  #delete(writer: Writer, key: string): void {
    writer.delete(key);
    this.#counters.deletes++;
    this.#marks.push({ sequence: writer.last, at: performance.now() });
  }

  /**
   * Takes out what told readers of deletions long ago, by the mark's own sequence: the key may have a value again. Not by purging the key:
   * nats-server 2.9 then takes consumers past messages that they were not given yet.
   */
  async #purge(connection: NatsConnection): Promise<void> {
    const { bucket, mark_ms = MARK_MS } = this.#options;
    const marks = this.#marks;
    if (marks.length > MARKS_MAX) {
      const manager = await jetstreamManager(connection);
      await manager.streams.delete(streamOf(bucket));
      throw new Error(
        `more than ${MARKS_MAX} deletions in ${mark_ms / 60_000} minutes: the bucket is made anew`,
      );
    }
    const until = performance.now() - mark_ms;
    if (marks.length === 0 || marks[0]!.at > until) return;
    const manager = await jetstreamManager(connection);
    const end = marks.findIndex(({ at }) => at > until);
    const old = marks.splice(0, Math.min(PURGES, end < 0 ? marks.length : end));
    await Promise.all(
      old.map(({ sequence }) =>
        manager.streams.deleteMessage(streamOf(bucket), sequence, false).catch((error) => {
          if (!NOT_THERE.has((error as { code?: unknown }).code)) throw error;
        }),
      ),
    );
    this.#counters.purged += old.length;
  }

  async #release(writer: Writer): Promise<void> {
    this.#putRecord(writer, true);
    await writer.flushed();
  }

  #putRecord(writer: Writer, released = false): void {
    this.#recordIsDue = false;
    const kinds = KERNEL_KINDS.map((kind) => [kind, this.#mirror.kindState(KIND[kind])] as const);
    writer.put(
      RECORD_KEY,
      encodeRecord({
        format: FORMAT,
        epoch: this.#epoch,
        ...this.#me,
        kernel: `${release()} ${process.arch}`,
        byte_order: BYTE_ORDER,
        lease_s: this.#options.lease,
        released,
        complete: this.#isComplete,
        revision: this.#mirror.revision,
        kinds: Object.fromEntries(
          kinds.map(([kind, { state, reason, isAbsent }]) => [
            kind,
            { state, ...(reason !== undefined && { reason }), ...(isAbsent !== undefined && { isAbsent }) },
          ]),
        ),
      }),
    );
  }

  /** Until there is something to do, or the time passed. */
  #pause(milliseconds: number | undefined): Promise<void> {
    if (this.#abort.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = milliseconds === undefined ? undefined : setTimeout(() => this.#wake?.(), milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
