/**
 * All objects of one kind, packed: an object is the kernel's own bytes in an arena, a few numbers in typed arrays at
 * its slot, and an entry in a hash index. The slot number is the object's id. Nothing here is a JavaScript object per
 * object: an IPv4 route of 44 bytes takes about 80 in all.
 *
 * Deleted objects stay readable and in the index, marked, until the transaction ends: readers can still look at what
 * they lose, and an object that comes back in the same transaction keeps its id.
 */

import type { Datagram } from '../netlink/message.ts';
import { Arena, MAX_OBJECT_WORDS } from './arena.ts';
import { HashIndex } from './hash-index.ts';
import { hashWords, KEY_WORDS, type KeyOf } from './key.ts';
import type { Transaction } from './transaction.ts';
import type { KindNumber, ObjectCursor, ObjectId } from './types.ts';
import { OPERATION_DELETE, OPERATION_UPSERT } from './types.ts';

const FIRST_SLOTS = 64;
const FREE = 0;
const LIVE = 1;
/** Deleted in the open transaction. */
const GONE = 2;
/** Made in the open transaction. */
const NEW = 4;
/** Objects moved per call while a wasteful arena is being gathered. */
const GATHER_STEP = 2048;

const soughtKey = new Uint32Array(KEY_WORDS);
const storedKey = new Uint32Array(KEY_WORDS);

/** Ids with the same key. Reused by each lookup. */
export interface Matches {
  ids: Uint32Array;
  length: number;
  /** Hash of the key. */
  hash: number;
}

export class ObjectTable {
  readonly kind: KindNumber;
  readonly #keyOf: KeyOf;
  readonly #transaction: Transaction;
  #arena = new Arena();
  /** While gathering: holds the objects of slots from `#gathered` on. */
  #oldArena: Arena | undefined;
  #gathered = Number.POSITIVE_INFINITY;
  readonly #index = new HashIndex();
  /** Address in the arena; of a free slot: the next free slot. */
  #addresses = new Uint32Array(FIRST_SLOTS);
  /** Words of the object. */
  #lengths = new Uint16Array(FIRST_SLOTS);
  #revisions = new Float64Array(FIRST_SLOTS);
  #states = new Uint8Array(FIRST_SLOTS);
  /** Sweep in which the object was last seen. */
  #seen = new Uint8Array(FIRST_SLOTS);
  /** Only once two objects share a key: their order, lowest first. */
  #orders: Int32Array<ArrayBuffer> | undefined;
  /** Slots ever used; slot 0 never is. */
  #slots = 1;
  #freeSlot = 0;
  #count = 0;
  #sweep = 0;
  readonly #matches: Matches = { ids: new Uint32Array(16), length: 0, hash: 0 };

  constructor(kind: KindNumber, keyOf: KeyOf, transaction: Transaction) {
    this.kind = kind;
    this.#keyOf = keyOf;
    this.#transaction = transaction;
  }

  /** Live objects. */
  get count(): number {
    return this.#count;
  }

  /** One above the highest id in use. */
  get limit(): number {
    return this.#slots;
  }

  /** Bytes this table holds. */
  get memory(): number {
    const perSlot = 4 + 2 + 8 + 1 + 1 + (this.#orders === undefined ? 0 : 4);
    return (
      this.#arena.size + (this.#oldArena?.size ?? 0) + this.#index.size + this.#addresses.length * perSlot
    );
  }

  has(id: ObjectId): boolean {
    return id < this.#slots && (this.#states[id]! & LIVE) !== 0;
  }

  /** Also opens objects deleted in the open transaction. */
  open(id: ObjectId, cursor: ObjectCursor): boolean {
    if (id >= this.#slots || this.#states[id] === FREE) return false;
    const address = this.#addresses[id]!;
    const arena = this.#arenaOf(id);
    cursor.bytes = arena.chunk(address).bytes;
    cursor.start = arena.word(address) * 4;
    cursor.end = cursor.start + this.#lengths[id]! * 4;
    return true;
  }

  revisionOf(id: ObjectId): number {
    return id < this.#slots ? this.#revisions[id]! : 0;
  }

  /** Place among the objects that share this one's key, lowest first; 0 when it is alone. */
  orderOf(id: ObjectId): number {
    return this.#orders === undefined ? 0 : (this.#orders[id] ?? 0);
  }

  /** Position of the object's bytes as a datagram, for key functions and comparisons. */
  locate(id: ObjectId): { data: Datagram; start: number; end: number } {
    const address = this.#addresses[id]!;
    const arena = this.#arenaOf(id);
    const start = arena.word(address) * 4;
    return { data: arena.chunk(address), start, end: start + this.#lengths[id]! * 4 };
  }

  forEach(callback: (id: ObjectId) => void): void {
    for (let id = 1; id < this.#slots; id++) if ((this.#states[id]! & LIVE) !== 0) callback(id);
  }

  /**
   * Live objects with the key of the message at `start` to `end`, in their order. Undefined when it has no key. Valid
   * until the next call.
   */
  match(data: Datagram, start: number, end: number): Matches | undefined {
    const length = this.#keyOf(data, start, end, soughtKey);
    if (length === 0) return undefined;
    const hash = hashWords(soughtKey, length);
    const matches = this.#matches;
    matches.hash = hash;
    matches.length = 0;
    const index = this.#index;
    for (let entry = index.first(hash); entry >= 0; entry = index.next(entry)) {
      const id = index.slot(entry);
      if ((this.#states[id]! & LIVE) === 0 || !this.#hasKey(id, length)) continue;
      if (matches.length === matches.ids.length) {
        const ids = new Uint32Array(matches.length * 2);
        ids.set(matches.ids);
        matches.ids = ids;
      }
      matches.ids[matches.length++] = id;
    }
    if (matches.length > 1) this.#sort(matches);
    return matches;
  }

  /**
   * Adds an object under `hash` (from `match`) with its place among those of the same key. An object with the same key
   * deleted in the open transaction gives its id.
   */
  insert(hash: number, data: Datagram, start: number, end: number, order = 0): ObjectId {
    const words = (end - start) >>> 2;
    if (words === 0 || words > MAX_OBJECT_WORDS) throw new RangeError(`an object of ${words} words`);
    let id = this.#revive(hash, data, start, end);
    if (id === 0) {
      id = this.#takeSlot();
      this.#states[id] = LIVE | NEW;
      this.#addresses[id] = this.#arenaOf(id).allocate(words);
      this.#lengths[id] = words;
      this.#revisions[id] = 0;
      this.#index.add(hash, id);
      this.#write(id, data, start, words);
    }
    this.#count++;
    this.#seen[id] = this.#sweep;
    if (order !== 0 || this.#orders !== undefined) this.#placeAt(id, order);
    this.#note(id, OPERATION_UPSERT);
    return id;
  }

  /** Rewrites an object whose key stays the same. No change is noted when `quiet`. */
  replace(id: ObjectId, data: Datagram, start: number, end: number, quiet = false): void {
    const words = (end - start) >>> 2;
    if (words === 0 || words > MAX_OBJECT_WORDS) throw new RangeError(`an object of ${words} words`);
    const before = this.#lengths[id]!;
    const arena = this.#arenaOf(id);
    if (!arena.fitsInPlace(before, words)) {
      arena.release(this.#addresses[id]!, before);
      this.#addresses[id] = arena.allocate(words);
    }
    this.#lengths[id] = words;
    this.#write(id, data, start, words);
    this.#seen[id] = this.#sweep;
    if (!quiet) this.#note(id, OPERATION_UPSERT);
  }

  /** Gives an object another place among those that share its key. */
  setOrder(id: ObjectId, order: number): void {
    this.#placeAt(id, order);
    this.#note(id, OPERATION_UPSERT);
  }

  /** The kernel still has the object, as it is. */
  see(id: ObjectId): void {
    this.#seen[id] = this.#sweep;
  }

  /** Whether the object's bytes are exactly those at `start` to `end`. */
  equals(id: ObjectId, data: Datagram, start: number, end: number): boolean {
    const words = (end - start) >>> 2;
    if (this.#lengths[id] !== words) return false;
    const address = this.#addresses[id]!;
    const arena = this.#arenaOf(id);
    const mine = arena.chunk(address).words;
    const theirs = data.words;
    const from = arena.word(address);
    const other = start >>> 2;
    for (let at = 0; at < words; at++) if (mine[from + at] !== theirs[other + at]) return false;
    return true;
  }

  remove(id: ObjectId): void {
    this.#states[id] = (this.#states[id]! & NEW) | GONE;
    this.#count--;
    this.#note(id, OPERATION_DELETE);
  }

  /** Begins a sweep: objects inserted, replaced or seen from now on survive it. */
  beginSweep(): void {
    this.#sweep++;
    if (this.#sweep > 255) {
      this.#seen.fill(0);
      this.#sweep = 1;
    }
  }

  /** Whether a live object has not been seen since the sweep began. */
  isUnseen(id: ObjectId): boolean {
    return (this.#states[id]! & LIVE) !== 0 && this.#seen[id] !== this.#sweep;
  }

  /** Made in the open transaction and deleted in it. */
  cameAndWent(id: ObjectId): boolean {
    return this.#states[id] === (GONE | NEW);
  }

  /** Called for each object of a finished transaction: frees what was deleted. */
  settle(id: ObjectId): void {
    const state = this.#states[id]!;
    if ((state & GONE) !== 0) this.#release(id);
    else this.#states[id] = LIVE;
  }

  /** Moves some objects out of an arena that is mostly holes. Call it between transactions, until it returns false. */
  gather(): boolean {
    if (this.#oldArena === undefined) {
      if (!this.#arena.wasteful) return false;
      if (this.#count === 0) {
        this.#arena.clear();
        return false;
      }
      this.#oldArena = this.#arena;
      this.#arena = new Arena();
      this.#gathered = 1;
    }
    const until = Math.min(this.#slots, this.#gathered + GATHER_STEP);
    const old = this.#oldArena;
    for (let id = this.#gathered; id < until; id++) {
      if (this.#states[id] === FREE) continue;
      const words = this.#lengths[id]!;
      const from = this.#addresses[id]!;
      const to = this.#arena.allocate(words);
      const target = this.#arena.chunk(to).words;
      const source = old.chunk(from).words;
      const out = this.#arena.word(to);
      const word = old.word(from);
      for (let at = 0; at < words; at++) target[out + at] = source[word + at]!;
      this.#addresses[id] = to;
    }
    this.#gathered = until;
    if (until < this.#slots) return true;
    this.#oldArena = undefined;
    this.#gathered = Number.POSITIVE_INFINITY;
    return false;
  }

  #arenaOf(id: ObjectId): Arena {
    return id < this.#gathered ? this.#arena : this.#oldArena!;
  }

  #note(id: ObjectId, operation: number): void {
    this.#revisions[id] = this.#transaction.note(this.kind, id, operation, this.#revisions[id]!);
  }

  #write(id: ObjectId, data: Datagram, start: number, words: number): void {
    const address = this.#addresses[id]!;
    const arena = this.#arenaOf(id);
    const target = arena.chunk(address).words;
    const out = arena.word(address);
    const source = data.words;
    const from = start >>> 2;
    for (let at = 0; at < words; at++) target[out + at] = source[from + at]!;
  }

  /** Whether the stored object has the key in `soughtKey`. */
  #hasKey(id: ObjectId, length: number): boolean {
    const address = this.#addresses[id]!;
    const arena = this.#arenaOf(id);
    const start = arena.word(address) * 4;
    const end = start + this.#lengths[id]! * 4;
    if (this.#keyOf(arena.chunk(address), start, end, storedKey) !== length) return false;
    for (let at = 0; at < length; at++) if (storedKey[at] !== soughtKey[at]) return false;
    return true;
  }

  #revive(hash: number, data: Datagram, start: number, end: number): ObjectId {
    const index = this.#index;
    let entry = index.first(hash);
    if (entry < 0) return 0;
    const length = this.#keyOf(data, start, end, soughtKey);
    for (; entry >= 0; entry = index.next(entry)) {
      const id = index.slot(entry);
      const state = this.#states[id]!;
      if ((state & GONE) === 0 || !this.#hasKey(id, length)) continue;
      this.#states[id] = (state & NEW) | LIVE;
      this.replace(id, data, start, end, true);
      return id;
    }
    return 0;
  }

  #hashOf(id: ObjectId): number {
    const { data, start, end } = this.locate(id);
    return hashWords(storedKey, this.#keyOf(data, start, end, storedKey));
  }

  #release(id: ObjectId): void {
    this.#index.remove(this.#hashOf(id), id);
    this.#arenaOf(id).release(this.#addresses[id]!, this.#lengths[id]!);
    this.#states[id] = FREE;
    if (this.#orders !== undefined) this.#orders[id] = 0;
    this.#addresses[id] = this.#freeSlot;
    this.#freeSlot = id;
  }

  #takeSlot(): ObjectId {
    const free = this.#freeSlot;
    if (free !== 0) {
      this.#freeSlot = this.#addresses[free]!;
      return free;
    }
    if (this.#slots === this.#addresses.length) this.#growSlots(this.#slots * 2);
    return this.#slots++;
  }

  /** Pages never written take no memory, so the empty half costs nothing; `transfer` frees the old array at once. */
  #growSlots(slots: number): void {
    this.#addresses = new Uint32Array(this.#addresses.buffer.transfer(slots * 4));
    this.#lengths = new Uint16Array(this.#lengths.buffer.transfer(slots * 2));
    this.#revisions = new Float64Array(this.#revisions.buffer.transfer(slots * 8));
    this.#states = new Uint8Array(this.#states.buffer.transfer(slots));
    this.#seen = new Uint8Array(this.#seen.buffer.transfer(slots));
    if (this.#orders !== undefined) this.#orders = new Int32Array(this.#orders.buffer.transfer(slots * 4));
  }

  #placeAt(id: ObjectId, order: number): void {
    if (this.#orders === undefined) this.#orders = new Int32Array(this.#addresses.length);
    this.#orders[id] = order;
  }

  /** Few objects share a key: insertion sort. */
  #sort(matches: Matches): void {
    const orders = this.#orders;
    if (orders === undefined) return;
    const { ids, length } = matches;
    for (let at = 1; at < length; at++) {
      const id = ids[at]!;
      const order = orders[id]!;
      let to = at;
      while (to > 0 && orders[ids[to - 1]!]! > order) {
        ids[to] = ids[to - 1]!;
        to--;
      }
      ids[to] = id;
    }
  }
}
