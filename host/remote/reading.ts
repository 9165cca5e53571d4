/**
 * One reading of a bucket: what it holds, then each change, in the order of the stream and without a gap. A message that is
 * missing, a heartbeat that does not come, a cut, a consumer or bucket that was deleted end it; who reads starts over with
 * another. The server hands out messages as they are asked for, so a slow reader costs it nothing.
 */

import { setTimeout as sleep } from 'node:timers/promises';
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
/** While a barrier waits it looks again; after the second, in vain, also whether there is anything to wait for. */
const BARRIER_LOOK_MS = 20;
const BARRIER_DOUBT_MS = 2000;

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
  readonly #ended = new AbortController();
  #closed = false;
  /** Messages delivered, and the sequence of the last in the stream. */
  #delivered = 0;
  #sequence = 0;
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
    const { name } = await manager.consumers.add(streamOf(bucket), {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.All,
      filter_subject: subjectOf(bucket, '>'),
      inactive_threshold: INACTIVE_NS,
      mem_storage: true,
      num_replicas: 1,
    });
    const reading = new Reading(connection, bucket, name, take);
    await reading.#begin();
    return reading;
  }

  /** Resolves after so long; rejects when the reading ends before, with why. */
  async pause(milliseconds: number): Promise<void> {
    const { signal } = this.#ended;
    await sleep(milliseconds, undefined, { signal }).catch(() => {});
    signal.throwIfAborted();
  }

  /** How long ago all that was in the bucket had been handed over, as far as a barrier told; in milliseconds. */
  get behind_ms(): number {
    return performance.now() - this.#caughtUp;
  }

  /** Resolves once all that is in the bucket now was handed over. Rejects when the reading ends. */
  async barrier(): Promise<void> {
    const began = performance.now();
    const manager = await jetstreamManager(this.#connection);
    const { messages, last_seq } = (await manager.streams.info(this.#stream)).state;
    for (let doubt = began + BARRIER_DOUBT_MS; messages > 0 && this.#sequence < last_seq; ) {
      await this.pause(BARRIER_LOOK_MS);
      if (performance.now() < doubt) continue;
      // What was last then may have been taken out since: that never comes.
      const { delivered, num_pending } = await manager.consumers.info(this.#stream, this.#name);
      if (num_pending === 0 && delivered.consumer_seq === this.#delivered) break;
      doubt = performance.now() + BARRIER_DOUBT_MS;
    }
    this.#caughtUp = Math.max(this.#caughtUp, began);
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
    const { deliverySequence, streamSequence } = message.info;
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
    this.#sequence = streamSequence;
  }

  #end(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop?.();
    this.#ended.abort(error);
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
