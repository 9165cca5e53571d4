/**
 * What of a mirror stands in a bucket, and what has yet to be written. An object that is there has an alias (see entry.ts),
 * kept in a number per object. What waits is a queue of objects and of keys to delete, each once: it is never longer
 * than what the mirror and the bucket hold, however fast the mirror changes and however long the server is away.
 */

import type { Mirror } from '../mirror/mirror.ts';
import {
  type ChangeSet,
  KIND,
  KINDS,
  type KindNumber,
  type ObjectId,
  OPERATION_DELETE,
} from '../mirror/types.ts';
import type { Datagram } from '../netlink/message.ts';
import { ALIAS_MAX, encodeValue, entryKey } from './entry.ts';

const ID_LIMIT = 2 ** 32;

export type Write =
  | { readonly key: string; readonly value: Uint8Array }
  | { readonly key: string; readonly value: undefined };

export class Published {
  readonly #mirror: Mirror;
  /** By kind and id: alias + 1; 0 is not in the bucket. */
  readonly #aliases: Uint16Array[] = KINDS.map(() => new Uint16Array(0));
  /** Objects to put as kind × 2^32 + id, keys to delete; in the order of their first change. */
  readonly #queue = new Map<number | string, true>();
  /** Goes on where it was: to begin anew would walk over what was taken out before. */
  #cursor = this.#queue.keys();
  /** Objects that the bucket holds. */
  count = 0;

  constructor(mirror: Mirror) {
    this.#mirror = mirror;
  }

  /** Writes that wait. */
  get pending(): number {
    return this.#queue.size;
  }

  /** Nothing is known of the bucket. */
  forget(): void {
    for (const aliases of this.#aliases) aliases.fill(0);
    this.#queue.clear();
    this.count = 0;
  }

  /** As a listener of the mirror. */
  changed({ length, kinds, ids, operations }: ChangeSet): void {
    for (let at = 0; at < length; at++) {
      const kind = kinds[at]!;
      // This host's own.
      if (kind === KIND.offload) continue;
      const id = ids[at]!;
      if (operations[at] === OPERATION_DELETE) this.#deleted(kind, id);
      else this.#queue.set(kind * ID_LIMIT + id, true);
    }
  }

  /** The mirror has it: it is to be in the bucket. */
  want(kind: KindNumber, id: ObjectId): void {
    if (this.#aliasOf(kind, id) === 0) this.#queue.set(kind * ID_LIMIT + id, true);
  }

  /**
   * The bucket holds an object of this identity under `key`. What the mirror does not have is queued to be deleted, what it
   * has otherwise to be put.
   */
  found(key: string, kind: KindNumber, alias: number, order: number, data: Datagram, end: number): void {
    const id = entryKey(kind, data, 0, end, alias) === key ? this.#counterpart(kind, order, data, end) : 0;
    if (id === 0) {
      this.stray(key);
      return;
    }
    this.#settle(kind, id, alias);
    const table = this.#mirror.table(kind);
    const item = kind * ID_LIMIT + id;
    if (table.orderOf(id) === order && table.equals(id, data, 0, end)) this.#queue.delete(item);
    else this.#queue.set(item, true);
  }

  /** The object of this identity that says the same, else any that the bucket was not found to hold yet; 0: none. */
  #counterpart(kind: KindNumber, order: number, data: Datagram, end: number): ObjectId {
    const table = this.#mirror.table(kind);
    const matches = table.match(data, 0, end);
    let other = 0;
    for (let at = 0; matches !== undefined && at < matches.length; at++) {
      const id = matches.ids[at]!;
      if (this.#aliasOf(kind, id) !== 0) continue;
      if (table.orderOf(id) === order && table.equals(id, data, 0, end)) return id;
      other ||= id;
    }
    return other;
  }

  /** The bucket holds something under `key` that is not to be there. */
  stray(key: string): void {
    this.#queue.set(key, true);
  }

  /** The next write, taken from the queue; undefined when there is none. */
  next(epoch: number): Write | undefined {
    while (this.#queue.size > 0) {
      const { done, value: item } = this.#cursor.next();
      if (done) {
        this.#cursor = this.#queue.keys();
        continue;
      }
      this.#queue.delete(item);
      if (typeof item === 'string') return { key: item, value: undefined };
      const write = this.#put(Math.floor(item / ID_LIMIT), item % ID_LIMIT, epoch);
      if (write !== undefined) return write;
    }
    return undefined;
  }

  #put(kind: KindNumber, id: ObjectId, epoch: number): Write | undefined {
    const table = this.#mirror.table(kind);
    if (!table.has(id)) return undefined;
    const { data, start, end } = table.locate(id);
    let alias = this.#aliasOf(kind, id) - 1;
    if (alias < 0) alias = this.#freeAlias(kind, data, start, end);
    const key = alias < 0 ? undefined : entryKey(kind, data, start, end, alias);
    if (key === undefined) return undefined;
    this.#settle(kind, id, alias);
    this.#queue.delete(key);
    const order = table.orderOf(id);
    const revision = table.revisionOf(id);
    return { key, value: encodeValue({ order, epoch, revision }, data, start, end) };
  }

  /** The lowest that no other object of the identity has; -1: there is none. */
  #freeAlias(kind: KindNumber, data: Datagram, start: number, end: number): number {
    const matches = this.#mirror.table(kind).match(data, start, end);
    if (matches === undefined || matches.length <= 1) return 0;
    const taken = new Set<number>();
    for (let at = 0; at < matches.length; at++) taken.add(this.#aliasOf(kind, matches.ids[at]!) - 1);
    for (let alias = 0; alias <= ALIAS_MAX; alias++) if (!taken.has(alias)) return alias;
    return -1;
  }

  /** Its bytes can still be read. */
  #deleted(kind: KindNumber, id: ObjectId): void {
    this.#queue.delete(kind * ID_LIMIT + id);
    const alias = this.#aliasOf(kind, id) - 1;
    if (alias < 0) return;
    this.#aliases[kind]![id] = 0;
    this.count--;
    const { data, start, end } = this.#mirror.table(kind).locate(id);
    const key = entryKey(kind, data, start, end, alias);
    if (key !== undefined) this.#queue.set(key, true);
  }

  #aliasOf(kind: KindNumber, id: ObjectId): number {
    return this.#aliases[kind]![id] ?? 0;
  }

  #settle(kind: KindNumber, id: ObjectId, alias: number): void {
    let aliases = this.#aliases[kind]!;
    if (id >= aliases.length) {
      const grown = new Uint16Array(Math.max(1024, id + 1, aliases.length * 2));
      grown.set(aliases);
      this.#aliases[kind] = aliases = grown;
    }
    if (aliases[id] === 0) this.count++;
    aliases[id] = alias + 1;
  }
}
