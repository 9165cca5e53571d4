/**
 * One reading of a bucket: what it holds, then each change, in the order of the stream and without a gap. A message that is
 * missing, a heartbeat that does not come, a cut, a consumer or bucket that was deleted end it; who reads starts over with
 * another. The server hands out messages as they are asked for, so a slow reader costs it nothing.
 */

import { AckPolicy, DeliverPolicy, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { EkhoError } from '../errors.ts';
import { streamOf, subjectOf } from './connection.ts';

/** Messages asked for at a time. */
const MESSAGES = 2048;
const EXPIRES_MS = 6000;
const HEARTBEAT_MS = 2000;
/** After this long without its reader the server forgets a consumer, in nanoseconds. */
const INACTIVE_NS = 60e9;
const BARRIER_LOOK_MS = 20;

export interface Message {
  readonly key: string;
  /** Empty when deleted. */
  readonly value: Uint8Array;
  readonly isDelete: boolean;
  /** Sequence in the stream. */
  readonly sequence: number;
}

export class Reading {
  readonly #connection: NatsConnection;
  readonly #stream: string;
  readonly #name: string;
  readonly #prefix: number;
  readonly #take: (message: Message) => void;
  readonly #whole = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<never>();
  #isWhole = false;
  #closed = false;
  #delivered = 0;
  #caughtUp = performance.now();
  #stop: (() => void) | undefined;

  private constructor(
    connection: NatsConnection,
    bucket: string,
    name: string,
    take: (message: Message) => void,
  ) {
    this.#connection = connection;
    this.#stream = streamOf(bucket);
    this.#name = name;
    this.#prefix = subjectOf(bucket, '').length;
    this.#take = take;
    this.#whole.promise.catch(() => {});
    this.#ended.promise.catch(() => {});
    connection.closed().then((error) => {
      this.#end(error instanceof Error ? error : new EkhoError('E_REMOTE', 'the connection to NATS was cut'));
    });
  }

  /** `take` is called for each message, from before this resolves. Rejects with the client's errors. */
  static async open(
    connection: NatsConnection,
    bucket: string,
    take: (message: Message) => void,
  ): Promise<Reading> {
    const manager = await jetstreamManager(connection);
    const { name, num_pending } = await manager.consumers.add(streamOf(bucket), {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.LastPerSubject,
      filter_subject: subjectOf(bucket, '>'),
      inactive_threshold: INACTIVE_NS,
      mem_storage: true,
      num_replicas: 1,
    });
    const reading = new Reading(connection, bucket, name, take);
    if (num_pending === 0) reading.#caughtUpNow();
    await reading.#begin();
    return reading;
  }

  /** Resolves once all that the bucket held at the beginning was handed over. */
  get whole(): Promise<void> {
    return this.#whole.promise;
  }

  /** Rejects when the reading ends. */
  get ended(): Promise<never> {
    return this.#ended.promise;
  }

  /** How long ago nothing was left to read, in milliseconds. */
  get behind_ms(): number {
    return performance.now() - this.#caughtUp;
  }

  /** Resolves once all that is in the bucket now was handed over. */
  async barrier(): Promise<void> {
    const manager = await jetstreamManager(this.#connection);
    for (let target: number | undefined; ; ) {
      const { delivered, num_pending } = await manager.consumers.info(this.#stream, this.#name);
      target ??= delivered.consumer_seq + num_pending;
      // Values that are overwritten before they were read are never delivered: then nothing is pending earlier.
      const enough = num_pending === 0 ? Math.min(target, delivered.consumer_seq) : target;
      if (this.#delivered >= enough) return;
      await Promise.race([new Promise((resolve) => setTimeout(resolve, BARRIER_LOOK_MS)), this.ended]);
    }
  }

  /** The server forgets it by itself. */
  close(): void {
    this.#end(new EkhoError('E_REMOTE', 'the reading was closed'));
  }

  /** Closes it on a connection that goes on to be used. */
  async discard(): Promise<void> {
    this.close();
    if (this.#connection.isClosed()) return;
    const manager = await jetstreamManager(this.#connection, { checkAPI: false });
    await manager.consumers.delete(this.#stream, this.#name).catch(() => {});
  }

  async #begin(): Promise<void> {
    const consumer = await jetstream(this.#connection).consumers.get(this.#stream, this.#name);
    const messages = await consumer.consume({
      max_messages: MESSAGES,
      expires: EXPIRES_MS,
      idle_heartbeat: HEARTBEAT_MS,
      abort_on_missing_resource: true,
      callback: (message) => this.#message(message),
    });
    this.#stop = () => messages.stop();
    if (this.#closed) messages.stop();
    messages.closed().then((error) => {
      this.#end(error ?? new EkhoError('E_REMOTE', 'the server ended the reading'));
    });
    this.#watch(messages.status()).catch((error) => this.#end(error as Error));
  }

  async #watch(notices: AsyncIterable<{ type: string; description?: string }>): Promise<void> {
    for await (const { type, description } of notices) {
      if (this.#closed) return;
      if (BREAKING.has(type)) {
        const what = `${type.replaceAll('_', ' ')}${description ? `: ${description}` : ''}`;
        this.#end(new EkhoError('E_REMOTE', `the reading broke off: ${what}`));
      }
    }
  }

  #message(message: JsMsg): void {
    if (this.#closed) return;
    const { deliverySequence, pending, streamSequence } = message.info;
    if (deliverySequence !== this.#delivered + 1) {
      this.#end(
        new EkhoError('E_REMOTE', `messages ${this.#delivered + 1} to ${deliverySequence - 1} were lost`),
      );
      return;
    }
    try {
      this.#take({
        key: message.subject.slice(this.#prefix),
        value: message.data,
        isDelete: message.headers?.has('KV-Operation') === true,
        sequence: streamSequence,
      });
    } catch (error) {
      this.#end(error as Error);
      return;
    }
    this.#delivered = deliverySequence;
    if (pending === 0) this.#caughtUpNow();
  }

  #caughtUpNow(): void {
    this.#caughtUp = performance.now();
    if (this.#isWhole) return;
    this.#isWhole = true;
    this.#whole.resolve();
  }

  #end(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop?.();
    this.#whole.reject(error);
    this.#ended.reject(error);
  }
}

/** Notices after which messages may be missing, or never come. */
const BREAKING: ReadonlySet<string> = new Set([
  'heartbeats_missed',
  'consumer_deleted',
  'consumer_not_found',
  'stream_not_found',
  'no_responders',
  'exceeded_limits',
]);
