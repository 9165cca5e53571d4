/**
 * Writes to a bucket, many at a time, each with the sequence that the one before it must have in the stream: whatever
 * anybody else writes in between makes the server refuse all that follows. So there is one writer at a time, and one that
 * was superseded cannot change anything.
 */

import { createInbox, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { EkhoError } from '../errors.ts';
import { subjectOf } from './connection.ts';

/** Writes that wait for their acknowledgement. */
const WINDOW = 1024;
const WINDOW_BYTES = 4 * 1024 * 1024;
/** The oldest of them may wait this long. */
const PATIENCE_MS = 10_000;
const EMPTY = new Uint8Array(0);
/** What the server says to a write whose predecessor is not the one expected, and to one that nobody stores. */
const WRONG_LAST_SEQUENCE = 10_071;
const NO_RESPONDERS = 503;

/** Somebody else wrote. */
export class SupersededError extends EkhoError {
  constructor() {
    super('E_REMOTE', 'something else wrote to the bucket');
  }
}

export class Writer {
  readonly #connection: NatsConnection;
  readonly #bucket: string;
  readonly #inbox = createInbox();
  readonly #ended = Promise.withResolvers<never>();
  /** Those who wait, and for what. */
  #waiting: { readonly isMet: () => boolean; resolve(): void; reject(error: Error): void }[] = [];
  readonly #sizes = new Uint32Array(WINDOW);
  #failure: Error | undefined;
  #closed = false;
  /** Sequence of the last message of the stream, those on their way included. */
  #last: number;
  #sent = 0;
  #acknowledged = 0;
  #bytes = 0;
  #progress = performance.now();
  readonly #timer: NodeJS.Timeout;

  /** `last`: sequence of the last message in the stream. */
  constructor(connection: NatsConnection, bucket: string, last: number) {
    this.#connection = connection;
    this.#bucket = bucket;
    this.#last = last;
    this.#ended.promise.catch(() => {});
    connection.subscribe(this.#inbox, { callback: (error, message) => this.#answer(error, message) });
    connection.closed().then(() => this.#end(new EkhoError('E_REMOTE', 'the connection to NATS was cut')));
    this.#timer = setInterval(() => {
      if (this.#sent > this.#acknowledged && performance.now() - this.#progress > PATIENCE_MS) {
        this.#end(new EkhoError('E_REMOTE', `no acknowledgement for ${PATIENCE_MS / 1000} s`));
      }
    }, PATIENCE_MS / 10);
    this.#timer.unref();
  }

  /** Rejects when a write failed: what is on its way may or may not have been stored. */
  get ended(): Promise<never> {
    return this.#ended.promise;
  }

  /** Sequence of the message written last. */
  get last(): number {
    return this.#last;
  }

  get hasRoom(): boolean {
    return this.#sent - this.#acknowledged < WINDOW && this.#bytes < WINDOW_BYTES;
  }

  put(key: string, value: Uint8Array): void {
    this.#write(key, value, undefined);
  }

  delete(key: string): void {
    this.#write(key, EMPTY, 'DEL');
  }

  /** Resolves once there is room for many. Rejects as `ended`. */
  room(): Promise<void> {
    return this.#until(
      () => this.#sent - this.#acknowledged <= WINDOW / 2 && this.#bytes <= WINDOW_BYTES / 2,
    );
  }

  /** Resolves once everything is acknowledged. Rejects as `ended`. */
  flushed(): Promise<void> {
    return this.#until(() => this.#sent === this.#acknowledged);
  }

  close(): void {
    this.#end(new EkhoError('E_REMOTE', 'the writer was closed'));
  }

  #until(isMet: () => boolean): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (isMet()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ isMet, resolve, reject });
    });
  }

  #write(key: string, value: Uint8Array, operation: string | undefined): void {
    if (this.#failure !== undefined) throw this.#failure;
    const limit = this.#connection.info?.max_payload;
    if (limit !== undefined && value.length > limit) {
      throw new EkhoError('E_REMOTE', `an object of ${value.length} bytes exceeds the server’s max_payload`, {
        remedy: 'Raise `max_payload` of the server to 1 MB.',
      });
    }
    const expectations = headers();
    expectations.set('Nats-Expected-Last-Sequence', String(this.#last));
    if (operation !== undefined) expectations.set('KV-Operation', operation);
    if (this.#sent === this.#acknowledged) this.#progress = performance.now();
    this.#connection.publish(subjectOf(this.#bucket, key), value, {
      reply: this.#inbox,
      headers: expectations,
    });
    this.#sizes[this.#sent % WINDOW] = value.length;
    this.#bytes += value.length;
    this.#sent++;
    this.#last++;
  }

  /** Answers come in the order of the writes: one stream stores them one after the other. */
  #answer(error: Error | null, message: Msg): void {
    const failure = error ?? this.#failureIn(message);
    if (failure !== undefined) {
      this.#end(failure);
      return;
    }
    this.#bytes -= this.#sizes[this.#acknowledged % WINDOW]!;
    this.#acknowledged++;
    this.#progress = performance.now();
    const met = this.#waiting.filter(({ isMet }) => isMet());
    if (met.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => !met.includes(one));
    for (const { resolve } of met) resolve();
  }

  #failureIn(message: Msg): Error | undefined {
    if (message.headers?.code === NO_RESPONDERS) {
      return new EkhoError('E_REMOTE', 'no responders: the bucket is gone');
    }
    let answer: { seq?: number; error?: { err_code?: number; description?: string } };
    try {
      answer = message.json();
    } catch (cause) {
      return cause as Error;
    }
    if (answer.error !== undefined && answer.error.err_code !== WRONG_LAST_SEQUENCE) {
      return new EkhoError('E_REMOTE', `the server refused a write: ${answer.error.description}`);
    }
    const expected = this.#last - (this.#sent - this.#acknowledged) + 1;
    return answer.seq === expected ? undefined : new SupersededError();
  }

  #end(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failure = error;
    clearInterval(this.#timer);
    this.#ended.reject(error);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
