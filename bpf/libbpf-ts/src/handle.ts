/** What every handle is: closed once, by `using` or close(), and an error with a code when used after that. */

import { BpfError } from './errors.ts';

export abstract class Handle implements Disposable {
  #closed = false;

  /** E.g. `map "flows"`: for messages. */
  abstract get title(): string;

  /** What closing frees; called once. */
  protected abstract release(): void;

  get closed(): boolean {
    return this.#closed;
  }

  /** Frees what the handle holds. Closing twice is allowed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @throws E_CLOSED */
  protected alive(): void {
    if (this.closed) throw new BpfError('E_CLOSED', `${this.title} has been closed`);
  }
}
