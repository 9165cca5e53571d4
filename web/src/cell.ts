/** A value that components follow. */
import { useEffect, useState } from 'preact/hooks';

export class Cell<T> {
  #value: T;
  readonly #listeners = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of this.#listeners) listener(value);
  }

  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export function useCell<T>(cell: Cell<T>): T {
  const [, turn] = useState<unknown>(undefined);
  useEffect(() => cell.subscribe(() => turn({})), [cell]);
  return cell.value;
}
