/**
 * How an object of a mirror stands in a NATS key-value bucket.
 *
 *     key    KIND.IDENTITY.ALIAS       route.AgAAAP4AAAAAAAAACgEAAA.0
 *     value  u32 format, s32 order, u64 epoch, u64 revision (little-endian), then the kernel's own bytes
 *
 * IDENTITY is the object's identity key (mirror/keys.ts) in base64url, or `=` and its SHA-256 where that is long. ALIAS tells
 * apart the objects that the kernel tells apart by their order alone. Epoch and revision say when the publisher wrote the
 * value: objects that were right already when it started keep those of an earlier one.
 */

import { createHash } from 'node:crypto';
import { MAX_OBJECT_WORDS } from '../mirror/arena.ts';
import { KEY_WORDS } from '../mirror/key.ts';
import { KEYS } from '../mirror/keys.ts';
import { KIND, KINDS, type Kind, type KindNumber } from '../mirror/types.ts';
import { type Datagram, LITTLE_ENDIAN } from '../netlink/message.ts';

export const FORMAT = 1;
export const VALUE_HEADER = 24;
/** Bytes of identity up to which the key holds it as it is. */
const PLAIN_BYTES = 96;
/** Objects that share an identity. */
export const ALIAS_MAX = 0xfffe;

const words = new Uint32Array(KEY_WORDS);
const identityBytes = Buffer.from(words.buffer);

/** Key of the object at `start` to `end`; undefined when it is too short to have an identity. */
export function entryKey(
  kind: KindNumber,
  data: Datagram,
  start: number,
  end: number,
  alias: number,
): string | undefined {
  const length = KEYS[KINDS[kind]!](data, start, end, words) * 4;
  if (length === 0) return undefined;
  const identity =
    length <= PLAIN_BYTES
      ? identityBytes.toString('base64url', 0, length)
      : `=${createHash('sha256').update(identityBytes.subarray(0, length)).digest('base64url')}`;
  return `${KINDS[kind]}.${identity}.${alias}`;
}

/** The parts of a key that can be one. */
export function parseKey(key: string): { kind: KindNumber; alias: number } | undefined {
  const first = key.indexOf('.');
  const last = key.lastIndexOf('.');
  if (first < 0 || last <= first) return undefined;
  const kind = KIND[key.slice(0, first) as Kind];
  const text = key.slice(last + 1);
  const alias = Number(text);
  if (kind === undefined || !/^\d{1,5}$/.test(text) || alias > ALIAS_MAX || String(alias) !== text)
    return undefined;
  return { kind, alias };
}

export interface EntryHeader {
  /** Place among the objects of one identity. */
  order: number;
  epoch: number;
  revision: number;
}

/** A value of its own memory: the client may send it later. */
export function encodeValue(
  { order, epoch, revision }: EntryHeader,
  data: Datagram,
  start: number,
  end: number,
): Uint8Array {
  const value = new Uint8Array(VALUE_HEADER + end - start);
  const view = new DataView(value.buffer);
  view.setUint32(0, FORMAT, true);
  view.setInt32(4, order, true);
  view.setBigUint64(8, BigInt(epoch), true);
  view.setBigUint64(16, BigInt(revision), true);
  value.set(data.bytes.subarray(start, end), VALUE_HEADER);
  return value;
}

/** An object taken from a value; its bytes are good until the next call. */
export interface Entry extends EntryHeader {
  data: Datagram;
  /** Bytes of the object, from 0. */
  end: number;
}

let scratch = new Uint32Array(4096);
let scratchBytes = new Uint8Array(scratch.buffer);

/** Undefined: no value of this format, or of a size no object has. */
export function decodeValue(value: Uint8Array): Entry | undefined {
  const end = value.length - VALUE_HEADER;
  if (end <= 0 || (end & 3) !== 0 || end >>> 2 > MAX_OBJECT_WORDS) return undefined;
  const view = new DataView(value.buffer, value.byteOffset, VALUE_HEADER);
  if (view.getUint32(0, true) !== FORMAT) return undefined;
  if (end > scratchBytes.length) {
    scratch = new Uint32Array(end >>> 1);
    scratchBytes = new Uint8Array(scratch.buffer);
  }
  scratchBytes.set(value.subarray(VALUE_HEADER));
  return {
    order: view.getInt32(4, true),
    epoch: Number(view.getBigUint64(8, true)),
    revision: Number(view.getBigUint64(16, true)),
    data: { bytes: scratchBytes, words: scratch },
    end,
  };
}

/** Byte order of the kernel's numbers on this machine, as the publisher's record names it. */
export const BYTE_ORDER = LITTLE_ENDIAN ? 'little' : 'big';
