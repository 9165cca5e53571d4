/** What a publisher says of itself, as JSON under the key `publisher` of its bucket: who it is, what its kinds are in, and its lease. */

import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { KINDS } from '../mirror/types.ts';
import { FORMAT } from './entry.ts';

export const RECORD_KEY = 'publisher';
/** Longest record that is read. */
const RECORD_BYTES = 64 * 1024;

const Text = Type.String({ maxLength: 1024 });
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

const PublisherRecord = Type.Object({
  format: Type.Literal(FORMAT),
  /** Grows by one with each publisher that takes the bucket. */
  epoch: Count,
  /** Of one run of one host. */
  owner: Text,
  host: Text,
  /** Boot and network namespace: two hosts of one of these mirror the same kernel state. */
  machine: Text,
  kernel: Text,
  byte_order: Type.Enum(['little', 'big']),
  /** Renewed at least this often, in seconds. */
  lease_s: Type.Number({ minimum: 0.5, maximum: 3600 }),
  /** It ended in order: the bucket is free. */
  released: Type.Boolean(),
  /** The bucket holds the whole mirror, and nothing else. */
  complete: Type.Boolean(),
  /** Of its mirror. */
  revision: Count,
  kinds: Type.Record(
    Type.String({ maxLength: 64 }),
    Type.Object({
      state: Type.Enum(['syncing', 'synced', 'unavailable']),
      reason: Type.Optional(Text),
      isAbsent: Type.Optional(Type.Boolean()),
    }),
  ),
});
export type PublisherRecord = Static<typeof PublisherRecord>;

/** Undefined for what is no record of this format. */
export function parseRecord(value: Uint8Array): PublisherRecord | undefined {
  const parsed = parse(value);
  return Value.Check(PublisherRecord, parsed) ? parsed : undefined;
}

/** Of a record, whatever else it says: what a later version writes may have another shape. Undefined for what is no record. */
export function formatOf(value: Uint8Array): number | undefined {
  const parsed = parse(value);
  const { format } = (parsed !== null && typeof parsed === 'object' ? parsed : {}) as { format?: unknown };
  return Number.isSafeInteger(format) ? (format as number) : undefined;
}

function parse(value: Uint8Array): unknown {
  if (value.length > RECORD_BYTES) return undefined;
  try {
    return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.length).toString());
  } catch {
    return undefined;
  }
}

export function encodeRecord(record: PublisherRecord): Uint8Array {
  const short = Object.fromEntries(
    Object.entries(record.kinds)
      .filter(([kind]) => (KINDS as readonly string[]).includes(kind))
      .map(([kind, { reason, ...rest }]) => [
        kind,
        { ...rest, ...(reason !== undefined && { reason: reason.slice(0, 1024) }) },
      ]),
  );
  return Buffer.from(JSON.stringify({ ...record, kinds: short }));
}
