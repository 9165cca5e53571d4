/** What a network peer may take: requests per second, and connections that do something. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/** Requests per second of one address, and how many it may save up. */
const RATE_PER_S = 500;
const BURST = 1_000;
/** Addresses that are told apart; beyond, the one not heard of for longest is forgotten. */
const ADDRESSES_MAX = 1_024;
/** A peer that takes nothing of its answer for this long is cut off. */
const STALLED_MS = 30_000;
/** Peers at a time that have connected and not yet agreed on keys. */
const HANDSHAKES_MAX = 256;
const SWEEP_MS = 5_000;

/** A bucket per address. */
export class RateLimit {
  readonly #buckets = new Map<string, { left: number; at: number }>();

  /** Whether one more request is welcome at `now`, in milliseconds of a clock that only goes on. */
  takes(address: string, now = performance.now()): boolean {
    const bucket = this.#buckets.get(address) ?? { left: BURST, at: now };
    bucket.left = Math.min(BURST, bucket.left + ((now - bucket.at) * RATE_PER_S) / 1000);
    bucket.at = now;
    // The map's order is that of the last request.
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    if (this.#buckets.size > ADDRESSES_MAX) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }
}

interface Peer {
  /** Requests that are being answered. */
  requests: number;
  written: number;
  /** When it last took something, or had nothing to take. */
  moved: number;
}

/** Peers that have not agreed on keys yet are HANDSHAKES_MAX at most: the one that takes longest makes room for a new one. */
function guardHandshakes(server: Server): void {
  const agreeing = new Map<string, Socket>();
  // The socket of the one event is not that of the other.
  const nameOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`;
  server.on('connection', (socket: Socket) => {
    const [first] = agreeing;
    if (agreeing.size >= HANDSHAKES_MAX && first !== undefined) {
      agreeing.delete(first[0]);
      first[1].destroy();
    }
    const name = nameOf(socket);
    agreeing.set(name, socket);
    socket.once('close', () => {
      if (agreeing.get(name) === socket) agreeing.delete(name);
    });
  });
  server.on('secureConnection', (socket: Socket) => agreeing.delete(nameOf(socket)));
  server.on('tlsClientError', (_error, socket: Socket) => {
    agreeing.delete(nameOf(socket));
    socket.destroy();
  });
}

/**
 * Keeps connections at most `max`, so that those who hold many and ask nothing do not lock out others: a new one takes the
 * place of the one that has been without a request for longest; where all are being answered, it is closed.
 */
export function guardConnections(server: Server, max: number): void {
  const peers = new Map<Socket, Peer>();
  const isTls = server instanceof TlsServer;
  if (isTls) guardHandshakes(server);
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
    if (peers.size >= max) {
      const idle = [...peers].find(([, { requests }]) => requests === 0)?.[0];
      if (idle === undefined) {
        socket.destroy();
        return;
      }
      peers.delete(idle);
      idle.destroy();
    }
    peers.set(socket, { requests: 0, written: 0, moved: performance.now() });
    socket.once('close', () => peers.delete(socket));
  });
  server.on('request', ({ socket }, response) => {
    const peer = peers.get(socket);
    if (peer === undefined) return;
    peer.requests++;
    response.once('close', () => {
      peer.requests--;
      // Behind those that have waited for longer.
      if (peers.delete(socket) && !socket.destroyed) peers.set(socket, peer);
    });
  });
  const timer = setInterval(() => {
    const now = performance.now();
    for (const [socket, peer] of peers) {
      if (socket.writableLength === 0 || socket.bytesWritten !== peer.written) peer.moved = now;
      peer.written = socket.bytesWritten;
      if (now - peer.moved > STALLED_MS) socket.destroy();
    }
  }, SWEEP_MS);
  timer.unref();
  server.once('close', () => clearInterval(timer));
}
