/**
 * Objects from a bucket's values into the tables of a mirror. Values come from another machine and are believed no more than
 * that: one whose bytes do not follow the layout of their kind, or whose identity is not the one its key names, is left
 * out and counted.
 */

import { AF_BRIDGE, AF_INET, AF_INET6, AF_UNSPEC } from '../kernel/rtnetlink.ts';
import { FAMILY_OF } from '../kernel/significance.ts';
import { HashIndex } from '../mirror/hash-index.ts';
import { hashWords } from '../mirror/key.ts';
import type { ObjectTable } from '../mirror/table.ts';
import { KIND, KINDS, type KindNumber, type ObjectId } from '../mirror/types.ts';
import { decodeObject } from '../netlink/decode.ts';
import { align4, attributesAreWhole, type Datagram } from '../netlink/message.ts';
import { decodeValue, entryKey, parseKey } from './entry.ts';

/** Families of the objects of a kind; a kind that is not here has none in its first byte, or any. */
const FAMILIES = new Map<KindNumber, readonly number[]>([
  [KIND.link, [AF_UNSPEC]],
  [KIND.netconf, [AF_INET, AF_INET6]],
  [KIND.address, [AF_INET, AF_INET6]],
  [KIND.neighbour, [AF_INET, AF_INET6]],
  [KIND.fdb, [AF_BRIDGE]],
  [KIND.rule, [AF_INET, AF_INET6]],
  [KIND.route, [AF_INET, AF_INET6]],
]);
/** Longest key: a kind, a hash or 96 bytes in base64url, an alias. */
const KEY_MAX = 256;

/** Why a value was left out. */
export type Rejection = 'key' | 'format' | 'layout' | 'identity';

export class RemoteObjects {
  readonly #tableOf: (kind: KindNumber) => ObjectTable;
  readonly #isWanted: (kind: KindNumber) => boolean;
  /** By kind: ids by the hash of their key in the bucket, and the alias in it. */
  readonly #index = KINDS.map(() => new HashIndex());
  readonly #aliases: Uint16Array[] = KINDS.map(() => new Uint16Array(0));
  #found = new Uint32Array(16);

  constructor(tableOf: (kind: KindNumber) => ObjectTable, isWanted: (kind: KindNumber) => boolean) {
    this.#tableOf = tableOf;
    this.#isWanted = isWanted;
  }

  /** Returns why the value was left out, if it was; what was there under the key is then removed. */
  put(key: string, value: Uint8Array): Rejection | undefined {
    const parts = key.length > KEY_MAX ? undefined : parseKey(key);
    if (parts === undefined) return 'key';
    const { kind, alias } = parts;
    if (!this.#isWanted(kind)) return undefined;
    const hash = hashOf(key);
    const id = this.#find(kind, key, hash);
    const entry = decodeValue(value);
    const rejection =
      entry === undefined
        ? 'format'
        : !isWellFormed(kind, entry.data, entry.end)
          ? 'layout'
          : entryKey(kind, entry.data, 0, entry.end, alias) !== key
            ? 'identity'
            : undefined;
    if (entry === undefined || rejection !== undefined) {
      if (id !== 0) this.#remove(kind, id, hash);
      return rejection;
    }
    const table = this.#tableOf(kind);
    const { data, order } = entry;
    if (id === 0) {
      const matches = table.match(data, 0, entry.end);
      this.#note(kind, table.insert(matches!.hash, data, 0, entry.end, order), alias, hash);
      return undefined;
    }
    if (table.equals(id, data, 0, entry.end)) table.see(id);
    else table.replace(id, data, 0, entry.end);
    if (table.orderOf(id) !== order) table.setOrder(id, order);
    return undefined;
  }

  delete(key: string): void {
    const parts = key.length > KEY_MAX ? undefined : parseKey(key);
    if (parts === undefined || !this.#isWanted(parts.kind)) return;
    const hash = hashOf(key);
    const id = this.#find(parts.kind, key, hash);
    if (id !== 0) this.#remove(parts.kind, id, hash);
  }

  /** Removes an object by its id, as a sweep does. */
  remove(kind: KindNumber, id: ObjectId): void {
    const { data, start, end } = this.#tableOf(kind).locate(id);
    const key = entryKey(kind, data, start, end, this.#aliases[kind]![id]!);
    this.#remove(kind, id, hashOf(key!));
  }

  #find(kind: KindNumber, key: string, hash: number): ObjectId {
    const index = this.#index[kind]!;
    let count = index.find(hash, this.#found);
    if (count > this.#found.length) {
      this.#found = new Uint32Array(count * 2);
      count = index.find(hash, this.#found);
    }
    for (let at = 0; at < count; at++) {
      const id = this.#found[at]!;
      const { data, start, end } = this.#tableOf(kind).locate(id);
      if (entryKey(kind, data, start, end, this.#aliases[kind]![id]!) === key) return id;
    }
    return 0;
  }

  #note(kind: KindNumber, id: ObjectId, alias: number, hash: number): void {
    let aliases = this.#aliases[kind]!;
    if (id >= aliases.length) {
      const grown = new Uint16Array(Math.max(1024, id + 1, aliases.length * 2));
      grown.set(aliases);
      this.#aliases[kind] = aliases = grown;
    }
    aliases[id] = alias;
    this.#index[kind]!.add(hash, id);
  }

  #remove(kind: KindNumber, id: ObjectId, hash: number): void {
    this.#index[kind]!.remove(hash, id);
    this.#tableOf(kind).remove(id);
  }
}

const hashed = new Uint32Array(KEY_MAX / 4);
const hashedBytes = Buffer.from(hashed.buffer);

function hashOf(key: string): number {
  const length = hashedBytes.write(key, 'latin1');
  hashedBytes.fill(0, length, align4(length));
  return hashWords(hashed, align4(length) >>> 2);
}

/** Of a family this kind has, and readable to the last attribute. */
function isWellFormed(kind: KindNumber, data: Datagram, end: number): boolean {
  const family = FAMILY_OF[kind]!;
  const header = align4(family.header.size);
  if (end < header || !attributesAreWhole(data.words, header, end)) return false;
  if (FAMILIES.get(kind)?.includes(data.bytes[0]!) === false) return false;
  try {
    decodeObject(KINDS[kind]!, data.bytes, 0, end);
  } catch {
    return false;
  }
  return true;
}
