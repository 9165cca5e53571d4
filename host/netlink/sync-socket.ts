/**
 * A netlink socket whose requests are carried out before the call returns: for a plugin's worker, which has no event loop while
 * the plugin runs. Requests go out in bursts, each with its own acknowledgement.
 */

import koffi from 'koffi';
import { EkhoError } from '../errors.ts';
import {
  type Datagram,
  datagram,
  type MessageHandler,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_MIN_TYPE,
  requestMessage,
  walkMessages,
} from './message.ts';
import { acknowledgedError, type NetlinkError } from './request.ts';
import {
  errorText,
  inNetns,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  setNetlinkOption,
  setReceiveBuffer,
} from './syscall.ts';

const AF_NETLINK = 16;
/** linux/net.h: SOCK_RAW | SOCK_CLOEXEC. */
const RAW_SOCKET = 3 | 0x80000;
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
/** Longest wait for an answer. */
const PATIENCE_S = 5n;
const RECEIVE_BYTES = 256 * 1024;
const RECEIVE_BUFFER = 4 * 1024 * 1024;
/** Requests in one burst: their acknowledgements fit the receive buffer. */
const BURST = 64;
const DUMP_ATTEMPTS = 8;

const libc = koffi.load(null);
const openSocket = libc.func('int socket(int domain, int type, int protocol)');
const bindSocket = libc.func('int bind(int fd, const uint8_t *address, uint32_t length)');
const getsockname = libc.func('int getsockname(int fd, _Out_ uint8_t *address, _Inout_ uint32_t *length)');
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);
const send = libc.func('int64_t send(int fd, const uint8_t *bytes, size_t length, int flags)');
const recv = libc.func('int64_t recv(int fd, _Out_ uint8_t *bytes, size_t length, int flags)');
const close = libc.func('int close(int fd)');

export interface SyncRequest {
  readonly type: number;
  /** Beyond NLM_F_REQUEST and NLM_F_ACK. */
  readonly flags: number;
  readonly payload: Uint8Array;
}

export class SyncNetlink {
  readonly #fd: number;
  readonly #buffer: Uint8Array = new Uint8Array(RECEIVE_BYTES);
  #sequence = 0;
  /** The kernel's number for this socket: notifications of what it did itself carry it. */
  readonly port: number;

  /** Throws E_NETNS, E_NETLINK. */
  constructor(protocol: number, netns: string | undefined, groups: readonly number[] = []) {
    const open = () => openSocket(AF_NETLINK, RAW_SOCKET, protocol) as number;
    this.#fd = netns === undefined ? open() : inNetns(netns, open);
    if (this.#fd < 0) throw failure('open netlink socket');
    const address = new Uint8Array(12);
    new DataView(address.buffer).setUint16(0, AF_NETLINK, true);
    if (bindSocket(this.#fd, address, address.length) !== 0) throw failure('bind netlink socket');
    getsockname(this.#fd, address, [address.length]);
    this.port = new DataView(address.buffer).getUint32(4, true);
    for (const option of [NETLINK_GET_STRICT_CHK, NETLINK_EXT_ACK, NETLINK_CAP_ACK]) {
      setNetlinkOption(this.#fd, option);
    }
    setReceiveBuffer(this.#fd, RECEIVE_BUFFER);
    setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([PATIENCE_S, 0n]), 16);
    for (const group of groups) {
      setsockopt(this.#fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, new Uint32Array([group]), 4);
    }
  }

  /** Carries out requests in order; tells of each that the kernel refused. Throws E_NETLINK when it does not answer. */
  request(requests: readonly SyncRequest[], refused: (index: number, error: NetlinkError) => void): void {
    for (let from = 0; from < requests.length; from += BURST) {
      const burst = requests.slice(from, from + BURST);
      const first = this.#sequence + 1;
      const bytes = Buffer.concat(
        burst.map(({ type, flags, payload }) =>
          requestMessage(type, flags | NLM_F_REQUEST | NLM_F_ACK, ++this.#sequence, payload),
        ),
      );
      this.#send(bytes);
      for (let answers = 0; answers < burst.length; ) {
        walkMessages(this.#receive(), (type, flags, sequence, data, start, end) => {
          if (type !== NLMSG_ERROR || sequence < first) return;
          answers++;
          const error = acknowledgedError('write', type, flags, data, start, end);
          if (error !== undefined) refused(from + sequence - first, error);
        });
      }
    }
  }

  /** One object; false when there is none, or the kernel does not say. Throws E_NETLINK when it does not answer. */
  get(type: number, payload: Uint8Array, handler: MessageHandler): boolean {
    const sequence = ++this.#sequence;
    this.#send(requestMessage(type, NLM_F_REQUEST, sequence, payload));
    for (;;) {
      let found: boolean | undefined;
      walkMessages(this.#receive(), (type, flags, answered, data, start, end) => {
        if (answered !== sequence) return;
        found = type >= NLMSG_MIN_TYPE;
        if (found) handler(type, flags, answered, data, start, end);
      });
      if (found !== undefined) return found;
    }
  }

  /** All objects that match; once more from the beginning (after `again`) when the kernel says that they changed meanwhile. */
  dump(type: number, payload: Uint8Array, again: () => void, handler: MessageHandler): void {
    for (let attempt = 1; ; attempt++) {
      again();
      const sequence = ++this.#sequence;
      this.#send(requestMessage(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload));
      let interrupted = false;
      let failed: NetlinkError | undefined;
      for (let done = false; !done; ) {
        walkMessages(this.#receive(), (type, flags, answered, data, start, end) => {
          if (answered !== sequence) return;
          if ((flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
          if (type === NLMSG_DONE || type === NLMSG_ERROR) {
            done = true;
            failed = acknowledgedError('dump', type, flags, data, start, end);
          } else if (type >= NLMSG_MIN_TYPE) handler(type, flags, answered, data, start, end);
        });
      }
      if (failed !== undefined) throw failed;
      if (!interrupted || attempt === DUMP_ATTEMPTS) return;
    }
  }

  /** Hands over what arrived without having been asked for; false when some of it was lost. */
  drain(handler: MessageHandler): boolean {
    for (;;) {
      const length = Number(recv(this.#fd, this.#buffer, this.#buffer.length, MSG_DONTWAIT));
      if (length < 0) return koffi.errno() !== koffi.os.errno.ENOBUFS;
      walkMessages(datagram(this.#buffer.slice(0, length)), handler);
    }
  }

  close(): void {
    close(this.#fd);
  }

  #send(bytes: Uint8Array): void {
    if (Number(send(this.#fd, bytes, bytes.length, 0)) < 0) throw failure('send to the kernel');
  }

  #receive(): Datagram {
    const length = Number(recv(this.#fd, this.#buffer, this.#buffer.length, 0));
    if (length < 0) throw failure('hear from the kernel');
    return datagram(this.#buffer.slice(0, length));
  }
}

function failure(what: string): EkhoError {
  return new EkhoError('E_NETLINK', `cannot ${what}: ${errorText(koffi.errno())}`, { operation: what });
}
