/** Wires between guests: two datagram sockets, a frame each. What one guest sends before the other is up is lost. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface WireEnd {
  /** Socket of this end, made by the guest, and of the other. */
  readonly local: string;
  readonly remote: string;
  readonly mac: string;
}

let made = 0;

export class Wire implements Disposable {
  readonly ends: readonly [WireEnd, WireEnd];
  readonly #folder = mkdtempSync(join(tmpdir(), 'ekho-wire-'));

  constructor() {
    const number = made++;
    const path = (end: number) => join(this.#folder, String(end));
    const end = (own: 0 | 1): WireEnd => ({
      local: path(own),
      remote: path(1 - own),
      mac: `02:ec:00:00:${number.toString(16).padStart(2, '0')}:0${own}`,
    });
    this.ends = [end(0), end(1)];
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
