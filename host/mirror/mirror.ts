/** The host's copy of the kernel's networking state: a table per kind, transactions, listeners. */

import { KEYS } from './keys.ts';
import { ObjectTable } from './table.ts';
import { dropTransient, Transaction } from './transaction.ts';
import {
  type ChangeListener,
  KINDS,
  type KindNumber,
  type KindState,
  type MirrorReader,
  type ObjectCursor,
  type ObjectId,
} from './types.ts';

const NOT_MIRRORED: KindState = { state: 'unavailable', reason: 'not mirrored' };

export class Mirror implements MirrorReader {
  readonly #transaction = new Transaction();
  readonly #tables: readonly ObjectTable[];
  readonly #cameAndWent = (kind: KindNumber, id: ObjectId): boolean => this.#tables[kind]!.cameAndWent(id);
  readonly #settle = (kind: KindNumber, id: ObjectId): void => this.#tables[kind]!.settle(id);
  readonly #states: KindState[] = KINDS.map(() => NOT_MIRRORED);
  readonly #listeners = new Set<ChangeListener>();
  readonly #stateListeners = new Set<() => void>();
  #synced = false;
  /** Listeners are being told: they may ask for it, and would be told twice. */
  #isTelling = false;

  constructor() {
    this.#tables = KINDS.map((kind, number) => new ObjectTable(number, KEYS[kind], this.#transaction));
  }

  get revision(): number {
    return this.#transaction.base;
  }

  get synced(): boolean {
    return this.#synced;
  }

  /** Changes since the last commit, transient ones included. */
  get pending(): number {
    return this.#transaction.length;
  }

  /** Bytes held by all tables. */
  get memory(): number {
    return this.#tables.reduce((sum, table) => sum + table.memory, 0);
  }

  kindState(kind: KindNumber): KindState {
    return this.#states[kind] ?? NOT_MIRRORED;
  }

  count(kind: KindNumber): number {
    return this.#tables[kind]!.count;
  }

  open(kind: KindNumber, id: ObjectId, cursor: ObjectCursor): boolean {
    return this.#tables[kind]!.open(id, cursor);
  }

  revisionOf(kind: KindNumber, id: ObjectId): number {
    return this.#tables[kind]!.revisionOf(id);
  }

  orderOf(kind: KindNumber, id: ObjectId): number {
    return this.#tables[kind]!.orderOf(id);
  }

  forEach(kind: KindNumber, callback: (id: ObjectId) => void): void {
    this.#tables[kind]!.forEach(callback);
  }

  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onState(listener: () => void): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  /** For sources: where a kind's objects are written. */
  table(kind: KindNumber): ObjectTable {
    return this.#tables[kind]!;
  }

  /** For sources: what `kindState` says from now on. */
  setKindState(kind: KindNumber, state: KindState): void {
    this.#states[kind] = state;
    this.#tellState();
  }

  /** For sources. */
  setSynced(synced: boolean): void {
    if (this.#synced === synced) return;
    this.#synced = synced;
    this.#tellState();
  }

  /**
   * Ends the transaction: tells the listeners, then frees what was deleted. All listeners are called even if one throws;
   * the first error is thrown at the end. Returns whether there is memory left to gather (call again soon).
   */
  commit(): boolean {
    const transaction = this.#transaction;
    const tables = this.#tables;
    let failure: unknown;
    if (transaction.length > 0) {
      this.#isTelling = true;
      dropTransient(transaction, this.#cameAndWent, this.#settle);
      for (const listener of this.#listeners) {
        try {
          if (transaction.length > 0) listener(transaction);
        } catch (error) {
          failure ??= error;
        }
      }
      const { kinds, ids, length } = transaction;
      for (let at = 0; at < length; at++) tables[kinds[at]!]!.settle(ids[at]!);
      transaction.reset();
      this.#isTelling = false;
    }
    let more = false;
    for (const table of tables) if (table.gather()) more = true;
    if (failure !== undefined) throw failure;
    return more;
  }

  tell(): void {
    if (!this.#isTelling && this.pending > 0) this.commit();
  }

  #tellState(): void {
    for (const listener of this.#stateListeners) listener();
  }
}
