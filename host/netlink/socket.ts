/** A netlink socket in a chosen network namespace: the netlink package's transport plus the options it lacks. */

import { RawNetlinkSocket } from 'netlink';
import { EkhoError } from '../errors.ts';
import { align4, type Datagram, datagram } from './message.ts';
import {
  findNetlinkSocket,
  inNetns,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NETLINK_NO_ENOBUFS,
  receiveBuffer,
  setNetlinkOption,
  setReceiveBuffer,
  socketBacklog,
  socketDrops,
} from './syscall.ts';

export interface NetlinkSocketOptions {
  /** NETLINK_ROUTE, NETLINK_NETFILTER, … */
  readonly protocol: number;
  /** Name or path of the network namespace; absent: the process's own. */
  readonly netns?: string | undefined;
  /** SO_RCVBUF in bytes; absent: the system's default. */
  readonly receiveBuffer?: number | undefined;
  /**
   * Bytes each receive takes; longer datagrams are truncated. 0 asks the kernel for each datagram's size first: a
   * second system call, but no large buffer per small message.
   */
  readonly datagramSize: number;
}

/** Datagrams are valid during the call that hands them over. */
export interface NetlinkSocketHandler {
  /** A datagram from the kernel. Others' are dropped. */
  datagram(data: Datagram): void;
  /** A datagram was longer than `datagramSize`: `data` is what fitted. */
  truncated(data: Datagram): void;
  /** Receiving failed; the socket may be unusable. */
  failed(error: Error): void;
}

/** Up to here a datagram is copied to one place, as notifications are: no views are made for it. */
const SHORT_BYTES = 4096;

/** The place for short datagrams, with views of each length made when it first comes. */
class Shelf {
  readonly #bytes = new Uint8Array(SHORT_BYTES);
  readonly #views: (Datagram | undefined)[] = [];

  put(buffer: Uint8Array): Datagram {
    const length = align4(buffer.length);
    const bytes = this.#bytes;
    // What fills up the last word is 0.
    for (let at = buffer.length; at < length; at++) bytes[at] = 0;
    bytes.set(buffer);
    this.#views[length >>> 2] ??= datagram(bytes.subarray(0, length));
    return this.#views[length >>> 2]!;
  }
}

/**
 * Gives the memory of a datagram back. Left to the collector, thousands of them would be given back all at once, and nothing
 * else would be done meanwhile.
 */
function release({ buffer, byteLength }: Buffer): void {
  // Not where it is a part of something larger.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

/** Not a Buffer: its `slice` is no copy, and would be empty once the memory is given back. */
function plain({ buffer, byteOffset, length }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}

/** An error thrown through the package's native code ends the process: throw it where it can be caught. */
function guard(action: () => void): void {
  try {
    action();
  } catch (error) {
    throwLater(error);
  }
}

function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

/**
 * Sockets of this thread that are open. One that is left open when the thread ends, by an error for instance, may receive while
 * the thread is taken down, on which the package's native code ends the process.
 */
const open = new Set<RawNetlinkSocket>();
process.on('exit', () => {
  for (const socket of open) socket.close();
});

export class NetlinkSocket {
  readonly #socket: RawNetlinkSocket;
  readonly #fd: number;
  /** Dumps can be restricted by the kernel. */
  readonly hasStrictChecking: boolean;
  /** Refusals come with the kernel's own text. */
  readonly hasExtendedAcks: boolean;
  #drops: number;
  #closed = false;
  readonly #shelf = new Shelf();

  /** Throws E_NETNS when the namespace cannot be entered, E_NETLINK when the kernel gives no such socket. */
  constructor(options: NetlinkSocketOptions, handler: NetlinkSocketHandler) {
    const make = (): RawNetlinkSocket =>
      new RawNetlinkSocket(options.protocol, {
        messagePeeking: options.datagramSize === 0,
        msgBufferSize: options.datagramSize,
        recvBufferSize: 0,
        sendBufferSize: 0,
      });
    try {
      this.#socket = options.netns === undefined ? make() : inNetns(options.netns, make);
    } catch (cause) {
      if (cause instanceof EkhoError) throw cause;
      throw new EkhoError('E_NETLINK', `no netlink socket for protocol ${options.protocol}: ${cause}`, {
        operation: 'open netlink socket',
        cause,
      });
    }
    try {
      this.#fd = findNetlinkSocket(options.protocol, this.#socket.address().port);
    } catch (error) {
      // No descriptor is left to look for it with: then one that nobody uses must not be kept.
      this.#socket.close();
      throw error;
    }
    open.add(this.#socket);
    // With ENOBUFS reporting on, an overrun between two receives shows as EPOLLERR, on which the package's native code
    // ends the process. The drop counter tells the same, and how many.
    setNetlinkOption(this.#fd, NETLINK_NO_ENOBUFS);
    this.hasStrictChecking = setNetlinkOption(this.#fd, NETLINK_GET_STRICT_CHK);
    this.hasExtendedAcks = setNetlinkOption(this.#fd, NETLINK_EXT_ACK);
    setNetlinkOption(this.#fd, NETLINK_CAP_ACK);
    if (options.receiveBuffer !== undefined) setReceiveBuffer(this.#fd, options.receiveBuffer);
    this.#drops = socketDrops(this.#fd);
    this.#socket.on('message', (buffer, from) => {
      if (from.port === 0) this.#hand(buffer, false, handler);
    });
    this.#socket.on('truncatedMessage', (buffer, from) => {
      if (from.port === 0) this.#hand(buffer, true, handler);
    });
    this.#socket.on('error', (error) => {
      if (!this.#closed) guard(() => handler.failed(error));
    });
  }

  #hand(buffer: Buffer, isTruncated: boolean, handler: NetlinkSocketHandler): void {
    if (this.#closed) return;
    try {
      const data = buffer.length > SHORT_BYTES ? datagram(plain(buffer)) : this.#shelf.put(buffer);
      if (isTruncated) handler.truncated(data);
      else handler.datagram(data);
    } catch (error) {
      throwLater(error);
    }
    release(buffer);
  }

  /** Size of the receive buffer as the kernel counts it: twice what was asked for, if that was granted. */
  get receiveBuffer(): number | undefined {
    return receiveBuffer(this.#fd);
  }

  /** Joins a multicast group by number (RTNLGRP_*, NFNLGRP_*); false when the kernel does not let or does not know it. */
  join(group: number): boolean {
    try {
      this.#socket.addMembership(group);
      return true;
    } catch {
      return false;
    }
  }

  /** `done` is told when the kernel did not take the message. */
  send(message: Uint8Array, done: (error: Error | undefined) => void): void {
    this.#socket.send(message, {}, (error) => guard(() => done(error)));
  }

  /** Datagrams lost since the last call because the receive buffer was full. Ask after receiving, once a turn. */
  takeDrops(): number {
    if (this.#closed) return 0;
    const drops = socketDrops(this.#fd);
    const lost = (drops - this.#drops) >>> 0;
    this.#drops = drops;
    return lost;
  }

  /** Bytes that wait to be received, as the kernel counts them. */
  get backlog(): number {
    return this.#closed ? 0 : socketBacklog(this.#fd);
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Not from within a callback of the package's own: its native code goes on there with what was closed.
    setImmediate(() => {
      open.delete(this.#socket);
      this.#socket.close();
    });
  }
}
