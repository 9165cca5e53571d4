/** Answers that go on, such as streams of changes, end with the token or certificate that they were asked with. */
import type { Server, ServerResponse } from 'node:http';

/** How long an answer outlives what it was asked with, at most, in milliseconds. */
const SWEEP_MS = 2_000;

export class Revocation {
  /** Answers under way: as many as there are connections at most. */
  readonly #open = new Map<ServerResponse, () => boolean>();

  constructor(server: Server) {
    const timer = setInterval(() => this.#sweep(), SWEEP_MS);
    timer.unref();
    server.once('close', () => clearInterval(timer));
  }

  /** Ends `response` once `isGood` says no. */
  watch(response: ServerResponse, isGood: () => boolean): void {
    this.#open.set(response, isGood);
    response.once('close', () => this.#open.delete(response));
  }

  #sweep(): void {
    for (const [response, isGood] of this.#open) if (!isGood()) response.destroy();
  }
}
