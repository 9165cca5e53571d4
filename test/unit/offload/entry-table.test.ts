/** Entries on their way into a table and out of it, while the device answers late and there is little room. */

import { expect, test } from 'vitest';
import { EntryTable, indexOfHandle, STATUS_REFUSED } from '../../../host/offload/entry-table.ts';
import { REASON } from '../../../host/offload/reasons.ts';
import type { BatchEncoder } from '../../../host/plugin/batch.ts';
import { ENTRY_KIND, OPERATION } from '../../../host/plugin/records.ts';

interface Change {
  readonly operation: number;
  readonly index: number;
  readonly want: string;
}

function make(capacity: number, onUsable?: (key: string) => void) {
  const sent: Change[] = [];
  const encoder = { room: 1000 } as BatchEncoder;
  const table: EntryTable<string> = new EntryTable<string>({
    capacity,
    updatesInPlace: true,
    codec: {
      kind: ENTRY_KIND.group,
      isLeaf: false,
      equal: (a, b) => a === b,
      size: () => 1,
      encode: (_, operation, handle, want) => sent.push({ operation, index: indexOfHandle(handle), want }),
    },
    onQueued: () => {},
    ...(onUsable && { onUsable: (entry) => onUsable(entry.key) }),
  });
  /** Sends what there is to send, as `Plan` does, and returns it. */
  const pump = (): Change[] => {
    sent.length = 0;
    for (let round = 0; round < 4; round++) {
      table.fill(encoder);
      table.fillRetired(encoder);
    }
    return [...sent];
  };
  const pumpAndAgree = (): Change[] => {
    const changes = pump();
    for (const { index, operation } of changes) table.succeeded(index, operation);
    return changes;
  };
  return { table, pump, pumpAndAgree };
}

test('an entry dropped, wanted and dropped again while its removal is on the way leaves once', () => {
  const { table, pump, pumpAndAgree } = make(10);
  table.want('a', 'old');
  pumpAndAgree();
  table.drop('a');
  expect(pump()).toEqual([{ operation: OPERATION.remove, index: 1, want: 'old' }]);
  table.want('a', 'new');
  table.drop('a');
  table.succeeded(1, OPERATION.remove);
  expect(table.get('a')).toBeUndefined();
  table.want('a', 'newest');
  expect(pumpAndAgree()).toEqual([{ operation: OPERATION.put, index: 1, want: 'newest' }]);
  table.want('b', 'other');
  expect(pumpAndAgree()).toEqual([{ operation: OPERATION.put, index: 2, want: 'other' }]);
  expect([...table.entries.values()].every((entry) => table.isUsable(entry) && entry.confirmed)).toBe(true);
});

test('an entry that finds room when it is wanted again as before is sent', () => {
  const { table, pump, pumpAndAgree } = make(2, (key) => {
    // A refused entry may be tried again: what refers to it is wanted anew.
    if (key === 'refused' && table.get('waiting') !== undefined) table.want('waiting', 'value');
  });
  table.want('a', 'value');
  pumpAndAgree();
  table.want('refused', 'value');
  pump();
  table.troubledBy(2, OPERATION.put, STATUS_REFUSED, REASON.invalid);
  table.want('waiting', 'value');
  expect(table.get('waiting')!.index).toBe(0);
  table.drop('a');
  pumpAndAgree();
  expect(pumpAndAgree()).toContainEqual({ operation: OPERATION.put, index: 1, want: 'value' });
  expect(table.get('waiting')).toMatchObject({ index: 1, confirmed: true });
});
