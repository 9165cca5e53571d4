/**
 * Changes that a plugin answered with `pending`, until `completed` tells how they ended. A completion of what never was pending
 * is a fault of the plugin; one that comes after the device was read back is not, and says nothing any more.
 *
 * There are at most as many handles as the plan has places; what stays incomplete is read back after a while.
 */
export class PendingChanges {
  /** Operations by handle, the oldest first. */
  readonly #operations = new Map<number, number[]>();
  /** How many of a handle the readback has overtaken. */
  readonly #overtaken = new Map<number, number>();

  /** Handles with a change that is waited for. */
  get size(): number {
    return this.#operations.size;
  }

  add(handle: number, operation: number): void {
    const waiting = this.#operations.get(handle);
    if (waiting === undefined) this.#operations.set(handle, [operation]);
    else waiting.push(operation);
  }

  /** A change that is not waited for: what the device holds is read back. */
  overtake(handle: number, count = 1): void {
    this.#overtaken.set(handle, (this.#overtaken.get(handle) ?? 0) + count);
  }

  /** None is waited for any more. */
  overtakeAll(): void {
    for (const [handle, operations] of this.#operations) this.overtake(handle, operations.length);
    this.#operations.clear();
  }

  /** The operation that is done; `overtaken` if nobody waits for it, `never` if nothing was pending. */
  complete(handle: number): number | 'overtaken' | 'never' {
    const waiting = this.#operations.get(handle);
    if (waiting !== undefined) {
      const operation = waiting.shift()!;
      if (waiting.length === 0) this.#operations.delete(handle);
      return operation;
    }
    const overtaken = this.#overtaken.get(handle);
    if (overtaken === undefined) return 'never';
    if (overtaken === 1) this.#overtaken.delete(handle);
    else this.#overtaken.set(handle, overtaken - 1);
    return 'overtaken';
  }
}
