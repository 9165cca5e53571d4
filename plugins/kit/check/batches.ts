/** Entries as batches that a plugin may get. */

import { BATCH_ENTRIES_MAX } from '../../../host/plugin/batch.ts';
import { ENTRY_KIND_NAMES } from '../../../host/plugin/records.ts';
import type { Entry } from './entry.ts';
import { roomOf } from './subject.ts';

/** In the order of dependency, so that a split never refers to what comes later; removals the other way round. */
export function batchesOf(entries: readonly Entry[], most: number): Entry[][] {
  const rank = ({ kind, value }: Entry) =>
    value.operation === 'put' ? ENTRY_KIND_NAMES.indexOf(kind) : -1 - ENTRY_KIND_NAMES.indexOf(kind);
  const batches: Entry[][] = [];
  let room = 0;
  let removing = false;
  let handles = new Set<number>();
  for (const entry of [...entries].sort((a, b) => rank(a) - rank(b))) {
    const { handle, operation } = entry.value;
    const count = batches.at(-1)?.length ?? 0;
    const turns = removing && operation === 'put';
    // Lists of a batch go by kind: removals of several kinds would go the wrong way within one.
    const mixed = operation === 'remove' && count > 0 && batches.at(-1)![0]!.kind !== entry.kind;
    if (count === 0 || count >= most || room < roomOf(entry) || turns || mixed || handles.has(handle)) {
      batches.push([]);
      room = BATCH_ENTRIES_MAX;
      handles = new Set();
    }
    removing = operation === 'remove';
    handles.add(handle);
    batches.at(-1)!.push(entry);
    room -= roomOf(entry);
  }
  return batches;
}
