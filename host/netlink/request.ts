/** Requests to the kernel, one at a time per client: dumps, gets and changes, with the kernel's own error text. */

import { EkhoError } from '../errors.ts';
import { BulkSocket } from './bulk.ts';
import {
  attributeLength,
  attributeType,
  type Datagram,
  type MessageHandler,
  NLA_HDRLEN,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  NLMSG_MIN_TYPE,
  requestMessage,
  walkMessages,
} from './message.ts';
import { NetlinkSocket } from './socket.ts';
import { errorText } from './syscall.ts';

/** linux/netlink.h enum nlmsgerr_attrs */
const NLMSGERR_ATTR_MSG = 1;

/** Bytes per receive of a dump: the kernel fills as much in one go, up to this. */
const DUMP_DATAGRAM = 32768;
/** After an answer that did not fit, the next attempt takes four times as much, up to this. */
const MAX_DATAGRAM = 2 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** Requests waiting for their turn. */
const QUEUE_LIMIT = 4096;

export interface NetlinkRequest {
  readonly type: number;
  /** Besides NLM_F_REQUEST. */
  readonly flags?: number;
  readonly payload: Uint8Array;
  /** For error messages, e.g. `dump route`. */
  readonly operation: string;
}

/** What the kernel's refusal means to callers that want to tell cases apart. */
export class NetlinkError extends EkhoError {
  /** Positive errno. */
  readonly errno: number;

  constructor(operation: string, errno: number, kernel: string | undefined) {
    const text = kernel === undefined ? errorText(errno) : `${errorText(errno)}: ${kernel}`;
    super('E_NETLINK', `${operation}: ${text}`, kernel === undefined ? { operation } : { operation, kernel });
    this.errno = errno;
  }
}

interface Pending {
  readonly request: NetlinkRequest;
  readonly flags: number;
  readonly handler: MessageHandler;
  readonly resolve: (interrupted: boolean) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The error of an acknowledgement or of the end of a dump: linux/netlink.h struct nlmsgerr, or just the number, then
 * NLMSGERR_ATTR_*. Returns undefined for success.
 */
export function acknowledgedError(
  operation: string,
  type: number,
  flags: number,
  data: Datagram,
  start: number,
  end: number,
): NetlinkError | undefined {
  if (end - start < 4) return undefined;
  const code = data.words[start >>> 2]! | 0;
  if (code >= 0) return undefined;
  let at = start + 4;
  if (type === NLMSG_ERROR) {
    const original = at + NLMSG_HDRLEN <= end ? data.words[at >>> 2]! : NLMSG_HDRLEN;
    at += (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HDRLEN : (original + 3) & ~3;
  }
  let kernel: string | undefined;
  if ((flags & NLM_F_ACK_TLVS) !== 0) {
    while (at + NLA_HDRLEN <= end) {
      const length = attributeLength(data.words, at);
      if (length < NLA_HDRLEN || length > end - at) break;
      if (attributeType(data.words, at) === NLMSGERR_ATTR_MSG) {
        const text = Buffer.from(
          data.bytes.buffer,
          data.bytes.byteOffset + at + NLA_HDRLEN,
          length - NLA_HDRLEN,
        );
        const zero = text.indexOf(0);
        kernel = text.toString('utf8', 0, zero < 0 ? text.length : zero);
      }
      at += (length + 3) & ~3;
    }
  }
  return new NetlinkError(operation, -code, kernel);
}

export interface NetlinkClientOptions {
  readonly protocol: number;
  readonly netns?: string | undefined;
  /** Receive on a thread of its own: for long dumps (see bulk.ts). Errors in opening then reject the first request. */
  readonly threaded?: boolean;
}

/** What an answer that did not fit is rejected with; asking again may succeed. */
export class TruncatedError extends EkhoError {
  constructor(operation: string) {
    super('E_NETLINK', `${operation}: an answer of the kernel was longer than expected`, { operation });
  }
}

export class NetlinkClient {
  readonly #options: NetlinkClientOptions;
  #socket: NetlinkSocket | BulkSocket;
  #isClosed = false;
  #datagramSize = DUMP_DATAGRAM;
  #sequence = 0;
  #current: Pending | undefined;
  #interrupted = false;
  #staysReady = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #waiting: Pending[] = [];
  readonly #onMessage: MessageHandler;

  /** Throws E_NETNS or E_NETLINK. */
  constructor(options: NetlinkClientOptions) {
    this.#options = options;
    this.#socket = this.#open();
    this.#onMessage = (type, flags, sequence, data, start, end) => {
      const current = this.#current;
      if (current === undefined || sequence !== this.#sequence) return;
      if ((flags & NLM_F_DUMP_INTR) !== 0) this.#interrupted = true;
      if (type >= NLMSG_MIN_TYPE) {
        current.handler(type, flags, sequence, data, start, end);
        return;
      }
      if (type === NLMSG_ERROR || type === NLMSG_DONE) {
        this.#finish(acknowledgedError(current.request.operation, type, flags, data, start, end));
      }
    };
  }

  /**
   * Asks for all objects that match; `handler` gets each, in memory that is only valid during the call. Resolves to whether the kernel marked the dump inconsistent
   * (NLM_F_DUMP_INTR): then something changed meanwhile and it has to be repeated. Rejects with a NetlinkError,
   * E_TIMEOUT after 30 s without an answer, or what `handler` threw.
   */
  dump(request: NetlinkRequest, handler: MessageHandler): Promise<boolean> {
    return this.#submit(request, (request.flags ?? 0) | NLM_F_DUMP, handler);
  }

  /** Asks for one object, or for a change; answers, if any, go to `handler`. Resolves once acknowledged. */
  async request(request: NetlinkRequest, handler: MessageHandler = () => {}): Promise<void> {
    await this.#submit(request, (request.flags ?? 0) | NLM_F_ACK, handler);
  }

  /** From now on the thread that receives is kept between requests: one that starts takes tens of milliseconds. */
  stayReady(): void {
    this.#staysReady = true;
  }

  #open(): NetlinkSocket | BulkSocket {
    const { protocol, netns, threaded } = this.#options;
    const Socket = threaded === true ? BulkSocket : NetlinkSocket;
    return new Socket(
      { protocol, netns, datagramSize: this.#datagramSize },
      {
        datagram: (data) => this.#receive(data),
        truncated: () => {
          this.#datagramSize = Math.min(this.#datagramSize * 4, MAX_DATAGRAM);
          this.#abandon(new TruncatedError(this.#current?.request.operation ?? 'read'));
        },
        failed: (error) => this.#abandon(error),
      },
    );
  }

  #receive(data: Datagram): void {
    this.#timer?.refresh();
    try {
      if (!walkMessages(data, this.#onMessage)) {
        this.#abandon(new EkhoError('E_NETLINK', 'an answer of the kernel is malformed'));
      }
    } catch (error) {
      this.#abandon(error as Error);
    }
  }

  #submit(request: NetlinkRequest, flags: number, handler: MessageHandler): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed || this.#waiting.length >= QUEUE_LIMIT) {
        const why = this.#isClosed ? 'the socket is closed' : 'too many requests are waiting';
        reject(new EkhoError('E_NETLINK', `${request.operation}: ${why}`, { operation: request.operation }));
        return;
      }
      if (this.#socket.closed) {
        // It could not be opened when the last one was given up, for want of a descriptor, say.
        try {
          this.#socket = this.#open();
        } catch (cause) {
          reject(cause as Error);
          return;
        }
      }
      this.#waiting.push({ request, flags: flags | NLM_F_REQUEST, handler, resolve, reject });
      if (this.#current === undefined) this.#next();
    });
  }

  #next(): void {
    const pending = this.#waiting.shift();
    this.#current = pending;
    if (pending === undefined) {
      if (this.#socket instanceof BulkSocket && !this.#socket.closed && !this.#staysReady)
        this.#socket.rest();
      return;
    }
    const { type, payload, operation } = pending.request;
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    this.#interrupted = false;
    this.#timer = setTimeout(
      () =>
        this.#abandon(
          new EkhoError('E_TIMEOUT', `${operation}: no answer in ${TIMEOUT_MS} ms`, { operation }),
        ),
      TIMEOUT_MS,
    );
    const sequence = this.#sequence;
    this.#socket.send(requestMessage(type, pending.flags, sequence, payload), (error) => {
      if (error !== undefined && this.#current === pending) {
        this.#finish(
          new EkhoError('E_NETLINK', `${operation}: ${error.message}`, { operation, cause: error }),
        );
      }
    });
  }

  #finish(error: Error | undefined): void {
    const current = this.#current;
    if (current === undefined) return;
    clearTimeout(this.#timer);
    this.#current = undefined;
    if (error === undefined) current.resolve(this.#interrupted);
    else current.reject(error);
    this.#next();
  }

  /** Answers of the request in flight are lost or not wanted: start over with a new socket, on which none is under way. */
  #abandon(error: Error): void {
    if (this.#socket.closed) return;
    this.#socket.close();
    try {
      this.#socket = this.#open();
    } catch (cause) {
      for (const pending of this.#waiting.splice(0)) pending.reject(cause as Error);
    }
    this.#finish(error);
  }

  /** Requests under way are rejected. */
  close(): void {
    this.#isClosed = true;
    this.#socket.close();
    const error = new EkhoError('E_NETLINK', 'the socket is closed');
    for (const pending of this.#waiting.splice(0)) pending.reject(error);
    this.#finish(error);
  }
}
