/** The multicast side of a protocol: joins groups, hands on notifications, notices losses, and can be asked to drain. */

import {
  type Datagram,
  type MessageHandler,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  NLMSG_MIN_TYPE,
  NLMSG_NOOP,
  requestMessage,
  walkMessages,
} from '../netlink/message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';

/** Lost answers (the buffer was full) are asked for again after this many milliseconds. */
const DRAIN_RETRY_MS = 200;

export interface SubscriptionOptions {
  readonly protocol: number;
  readonly netns: string | undefined;
  readonly groups: readonly number[];
  /** Bytes. */
  readonly receiveBuffer: number;
}

export interface SubscriptionHandler {
  notification: MessageHandler;
  /** `datagrams` did not fit into the receive buffer. */
  lost(datagrams: number): void;
  /** A datagram does not follow its layout from some point on. */
  malformed(): void;
  /** The socket failed and a new one took its place: everything in between is lost. */
  failed(error: Error): void;
}

export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #handler: SubscriptionHandler;
  #socket: NetlinkSocket;
  #checkScheduled = false;
  #sequence = 0;
  readonly #drains = new Map<number, () => void>();
  readonly #onMessage: MessageHandler;
  readonly #afterTurn = (): void => {
    this.#checkScheduled = false;
    this.#checkLosses();
  };

  /** Throws E_NETNS or E_NETLINK. */
  constructor(options: SubscriptionOptions, handler: SubscriptionHandler) {
    this.#options = options;
    this.#handler = handler;
    this.#onMessage = (type, flags, sequence, data, start, end) => {
      if (type >= NLMSG_MIN_TYPE) handler.notification(type, flags, sequence, data, start, end);
      else if (type === NLMSG_ERROR) this.#drains.get(sequence)?.();
    };
    this.#socket = this.#open();
  }

  /**
   * Resolves once everything the kernel had queued before the call was handed on: the kernel's answer to an empty
   * request goes into the same queue, behind it.
   */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#sequence = (this.#sequence + 1) >>> 0 || 1;
      const sequence = this.#sequence;
      const ask = (): void => {
        if (this.#socket.closed) {
          done();
          return;
        }
        this.#socket.send(
          requestMessage(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, sequence, new Uint8Array(0)),
          () => {},
        );
      };
      const timer = setInterval(ask, DRAIN_RETRY_MS);
      const done = (): void => {
        clearInterval(timer);
        this.#drains.delete(sequence);
        this.#checkLosses();
        resolve();
      };
      this.#drains.set(sequence, done);
      ask();
    });
  }

  /** Bytes of notifications that wait to be handed on, as the kernel counts them. */
  get backlog(): number {
    return this.#socket.backlog;
  }

  close(): void {
    this.#socket.close();
    for (const done of [...this.#drains.values()]) done();
  }

  #open(): NetlinkSocket {
    const socket = new NetlinkSocket(
      {
        protocol: this.#options.protocol,
        netns: this.#options.netns,
        receiveBuffer: this.#options.receiveBuffer,
        datagramSize: 0,
      },
      {
        datagram: (data) => this.#receive(data),
        truncated: () => this.#handler.malformed(),
        failed: (error) => this.#replace(error),
      },
    );
    for (const group of this.#options.groups) socket.join(group);
    return socket;
  }

  #receive(data: Datagram): void {
    if (!this.#checkScheduled) {
      this.#checkScheduled = true;
      setImmediate(this.#afterTurn);
    }
    if (!walkMessages(data, this.#onMessage)) this.#handler.malformed();
  }

  #checkLosses(): void {
    const lost = this.#socket.takeDrops();
    if (lost > 0) this.#handler.lost(lost);
  }

  #replace(error: Error): void {
    if (this.#socket.closed) return;
    this.#socket.close();
    try {
      this.#socket = this.#open();
    } catch (cause) {
      this.#handler.failed(cause as Error);
      return;
    }
    this.#handler.failed(error);
  }
}
