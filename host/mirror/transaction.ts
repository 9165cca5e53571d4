/**
 * The changes since the last commit, one entry per object. Entry n carries revision base + n + 1, so an object's own
 * revision tells whether, and where, it already stands in the open transaction: coalescing needs no lookup table.
 */

import type { ChangeSet, KindNumber, ObjectId } from './types.ts';
import { OPERATION_DELETE } from './types.ts';

/** Entries after which a transaction should be committed even if more is readable. */
export const TRANSACTION_ENTRIES = 4096;

export class Transaction implements ChangeSet {
  kinds = new Uint8Array(TRANSACTION_ENTRIES);
  operations = new Uint8Array(TRANSACTION_ENTRIES);
  ids = new Uint32Array(TRANSACTION_ENTRIES);
  length = 0;
  /** Revision of the last commit. */
  base = 0;
  /** Revision of the last change noted. */
  revision = 0;

  /** Notes a change of an object last changed at `revision`; returns the object's revision from now on. */
  note(kind: KindNumber, id: ObjectId, operation: number, revision: number): number {
    if (revision > this.base) {
      this.operations[revision - this.base - 1] = operation;
      return revision;
    }
    const at = this.length;
    if (at === this.ids.length) this.#grow();
    this.kinds[at] = kind;
    this.operations[at] = operation;
    this.ids[at] = id;
    this.length = at + 1;
    this.revision = this.base + at + 1;
    return this.revision;
  }

  /** Starts the next transaction. */
  reset(): void {
    this.base = this.revision;
    this.length = 0;
  }

  #grow(): void {
    const entries = this.ids.length * 2;
    const kinds = new Uint8Array(entries);
    const operations = new Uint8Array(entries);
    const ids = new Uint32Array(entries);
    kinds.set(this.kinds);
    operations.set(this.operations);
    ids.set(this.ids);
    this.kinds = kinds;
    this.operations = operations;
    this.ids = ids;
  }
}

/** Drops entries of objects that came and went within the transaction; `cameAndWent` decides per entry. */
export function dropTransient(
  transaction: Transaction,
  cameAndWent: (kind: KindNumber, id: ObjectId) => boolean,
  free: (kind: KindNumber, id: ObjectId) => void,
): void {
  const { kinds, operations, ids, length } = transaction;
  let kept = 0;
  for (let at = 0; at < length; at++) {
    const kind = kinds[at]!;
    const id = ids[at]!;
    if (operations[at] === OPERATION_DELETE && cameAndWent(kind, id)) {
      free(kind, id);
      continue;
    }
    kinds[kept] = kind;
    operations[kept] = operations[at]!;
    ids[kept] = id;
    kept++;
  }
  transaction.length = kept;
}
