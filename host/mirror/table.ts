/**
 * All objects of one kind, packed: an object is the kernel's own bytes in an arena, a few numbers at its slot, and an
 * entry in a hash index. The slot number is the object's id. Nothing here is a JavaScript object per object: an IPv4
 * route of 44 bytes takes about 110 of the process's memory in all.
 *
 * Deleted objects stay readable and in the index, marked, until the transaction ends: readers can still look at what
 * they lose, and an object that comes back in the same transaction keeps its id.
 */

import type { Datagram } from '../netlink/message.ts';
import { Arena, MAX_OBJECT_WORDS } from './arena.ts';
import { HashIndex } from './hash-index.ts';
import { hashWords, KEY_WORDS, type KeyOf } from './key.ts';
import { PAGE_MASK, Slots } from './slots.ts';
import type { Transaction } from './transaction.ts';
import type { KindNumber, ObjectCursor, ObjectId } from './types.ts';
import { OPERATION_DELETE, OPERATION_UPSERT } from './types.ts';

const FREE = 0;
const LIVE = 1;
/** Deleted in the open transaction. */
const GONE = 2;
/** Made in the open transaction. */
const NEW = 4;
/** Objects moved per call while a wasteful arena is being gathered. */
const GATHER_STEP = 2048;
/** Numbers of sweeps take a byte of each object; 0: before all. */
const SWEEP_MAX = 255;

const soughtKey = new Uint32Array(KEY_WORDS);
const storedKey = new Uint32Array(KEY_WORDS);

/** Ids with the same key. Reused by each lookup. */
export interface Matches {
  ids: Uint32Array;
  length: number;
  /** Hash of the key. */
  hash: number;
  /** No object has that hash, not even a deleted one. */
  isNew: boolean;
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
  readonly #slots = new Slots();
  /** Slots ever used; slot 0 never is. */
  #limit = 1;
  #freeSlot = 0;
  #count = 0;
  #sweep = 0;
  /** Number of the first round of the sweep. */
  #sweepBegan = 0;
  /** Whether some objects share a key: only then places among them are kept. */
  #ordered = false;
  readonly #matches: Matches = { ids: new Uint32Array(16), length: 0, hash: 0, isNew: false };

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
    return this.#limit;
  }

  /** Bytes this table holds. */
  get memory(): number {
    return this.#arena.size + (this.#oldArena?.size ?? 0) + this.#index.size + this.#slots.size;
  }

  has(id: ObjectId): boolean {
    return id < this.#limit && (this.#slots.page(id).states[id & PAGE_MASK]! & LIVE) !== 0;
  }

  /** Also opens objects deleted in the open transaction. */
  open(id: ObjectId, cursor: ObjectCursor): boolean {
    if (id >= this.#limit) return false;
    const page = this.#slots.page(id);
    const at = id & PAGE_MASK;
    if (page.states[at] === FREE) return false;
    const address = page.addresses[at]!;
    const arena = this.#arenaOf(id);
    const { bytes, words } = arena.chunk(address);
    cursor.bytes = bytes;
    cursor.words = words;
    cursor.start = arena.word(address) * 4;
    cursor.end = cursor.start + page.lengths[at]! * 4;
    return true;
  }

  /** 0 for an id that is not in use. */
  revisionOf(id: ObjectId): number {
    return this.has(id) ? this.#slots.page(id).revisions[id & PAGE_MASK]! : 0;
  }

  /** Place among the objects that share this one's key, lowest first; 0 when it is alone. */
  orderOf(id: ObjectId): number {
    return this.#ordered && id < this.#limit ? (this.#slots.page(id).orders?.[id & PAGE_MASK] ?? 0) : 0;
  }

  /** Position of the object's bytes as a datagram, for key functions and comparisons. */
  locate(id: ObjectId): { data: Datagram; start: number; end: number } {
    const page = this.#slots.page(id);
    const address = page.addresses[id & PAGE_MASK]!;
    const arena = this.#arenaOf(id);
    const start = arena.word(address) * 4;
    return { data: arena.chunk(address), start, end: start + page.lengths[id & PAGE_MASK]! * 4 };
  }

  forEach(callback: (id: ObjectId) => void): void {
    for (let id = 1; id < this.#limit; id++) if (this.has(id)) callback(id);
  }

  /**
   * Live objects with the key of the message at `start` to `end`, in their order. Undefined when it has no key. Valid
   * until the next call.
   */
  match(data: Datagram, start: number, end: number): Matches | undefined {
    const length = this.#keyOf(data, start, end, soughtKey);
    if (length === 0) return undefined;
    const matches = this.#matches;
    matches.hash = hashWords(soughtKey, length);
    matches.length = 0;
    const found = this.#find(matches.hash);
    matches.isNew = found === 0;
    if (matches.isNew) return matches;
    const { ids } = matches;
    let kept = 0;
    for (let at = 0; at < found; at++) {
      const id = ids[at]!;
      if (this.has(id) && this.#hasKey(id, length)) ids[kept++] = id;
    }
    matches.length = kept;
    if (kept > 1) this.#sort(matches);
    return matches;
  }

  /**
   * Adds an object under `hash` (from `match`) with its place among those of the same key. An object with the same key
   * deleted in the open transaction gives its id.
   */
  insert(hash: number, data: Datagram, start: number, end: number, order = 0): ObjectId {
    const words = (end - start) >>> 2;
    if (words === 0 || words > MAX_OBJECT_WORDS) throw new RangeError(`an object of ${words} words`);
    const matches = this.#matches;
    // A look into a large index is a cache miss: not twice for what the match just before did not find.
    let id = matches.isNew && matches.hash === hash ? 0 : this.#revive(hash, data, start, end);
    matches.isNew = false;
    if (id === 0) {
      id = this.#takeSlot();
      const page = this.#slots.page(id);
      const at = id & PAGE_MASK;
      page.states[at] = LIVE | NEW;
      page.addresses[at] = this.#arenaOf(id).allocate(words);
      page.lengths[at] = words;
      page.revisions[at] = 0;
      page.seen[at] = this.#sweep;
      this.#index.add(hash, id);
      this.#write(id, data, start, words);
    }
    this.#count++;
    if (order !== this.orderOf(id)) this.#placeAt(id, order);
    this.#note(id, OPERATION_UPSERT);
    return id;
  }

  /** Rewrites an object whose key stays the same. No change is noted when `quiet`. */
  replace(id: ObjectId, data: Datagram, start: number, end: number, quiet = false): void {
    const words = (end - start) >>> 2;
    if (words === 0 || words > MAX_OBJECT_WORDS) throw new RangeError(`an object of ${words} words`);
    const page = this.#slots.page(id);
    const at = id & PAGE_MASK;
    const before = page.lengths[at]!;
    const arena = this.#arenaOf(id);
    if (!arena.fitsInPlace(before, words)) {
      arena.release(page.addresses[at]!, before);
      page.addresses[at] = arena.allocate(words);
    }
    page.lengths[at] = words;
    page.seen[at] = this.#sweep;
    this.#write(id, data, start, words);
    if (!quiet) this.#note(id, OPERATION_UPSERT);
  }

  /** Gives an object another place among those that share its key. */
  setOrder(id: ObjectId, order: number): void {
    this.#placeAt(id, order);
    this.#note(id, OPERATION_UPSERT);
  }

  /** The kernel still has the object, as it is. */
  see(id: ObjectId): void {
    this.#slots.page(id).seen[id & PAGE_MASK] = this.#sweep;
  }

  /** Whether the object's bytes are exactly those at `start` to `end`. */
  equals(id: ObjectId, data: Datagram, start: number, end: number): boolean {
    const words = (end - start) >>> 2;
    const page = this.#slots.page(id);
    if (page.lengths[id & PAGE_MASK] !== words) return false;
    const address = page.addresses[id & PAGE_MASK]!;
    const arena = this.#arenaOf(id);
    const mine = arena.chunk(address).words;
    const theirs = data.words;
    const from = arena.word(address);
    const other = start >>> 2;
    for (let at = 0; at < words; at++) if (mine[from + at] !== theirs[other + at]) return false;
    return true;
  }

  remove(id: ObjectId): void {
    const page = this.#slots.page(id);
    const at = id & PAGE_MASK;
    page.states[at] = (page.states[at]! & NEW) | GONE;
    this.#count--;
    this.#note(id, OPERATION_DELETE);
  }

  /** Begins a sweep: objects inserted, replaced or seen from now on survive it. */
  beginSweep(): void {
    this.#sweep++;
    if (this.#sweep > SWEEP_MAX) {
      this.#slots.forgetSeen();
      this.#sweep = 1;
    }
    this.#sweepBegan = this.#sweep;
  }

  /** Begins a further round of the sweep: what was seen before is unseen again, and survives nevertheless. */
  continueSweep(): void {
    if (this.#sweep === SWEEP_MAX) {
      this.#slots.renumberSeen(this.#sweepBegan);
      this.#sweepBegan = 1;
      this.#sweep = 1;
    }
    this.#sweep++;
  }

  /** Whether a live object was seen in no round of the sweep. */
  isSwept(id: ObjectId): boolean {
    const page = this.#slots.page(id);
    const at = id & PAGE_MASK;
    return (page.states[at]! & LIVE) !== 0 && page.seen[at]! < this.#sweepBegan;
  }

  /** Whether a live object has not been seen since the sweep, or its last round, began. */
  isUnseen(id: ObjectId): boolean {
    const page = this.#slots.page(id);
    const at = id & PAGE_MASK;
    return (page.states[at]! & LIVE) !== 0 && page.seen[at] !== this.#sweep;
  }

  /** Made in the open transaction and deleted in it. */
  cameAndWent(id: ObjectId): boolean {
    return this.#slots.page(id).states[id & PAGE_MASK] === (GONE | NEW);
  }

  /** Called for each object of a finished transaction: frees what was deleted. */
  settle(id: ObjectId): void {
    const page = this.#slots.page(id);
    const at = id & PAGE_MASK;
    if ((page.states[at]! & GONE) !== 0) this.#release(id);
    else page.states[at] = LIVE;
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
    const until = Math.min(this.#limit, this.#gathered + GATHER_STEP);
    for (let id = this.#gathered; id < until; id++) {
      const page = this.#slots.page(id);
      const at = id & PAGE_MASK;
      if (page.states[at] === FREE) continue;
      const { data, start } = this.locate(id);
      const words = page.lengths[at]!;
      page.addresses[at] = this.#arena.allocate(words);
      this.#writeTo(this.#arena, page.addresses[at]!, data, start, words);
    }
    this.#gathered = until;
    if (until < this.#limit) return true;
    this.#oldArena = undefined;
    this.#gathered = Number.POSITIVE_INFINITY;
    return false;
  }

  #arenaOf(id: ObjectId): Arena {
    return id < this.#gathered ? this.#arena : this.#oldArena!;
  }

  #note(id: ObjectId, operation: number): void {
    const { revisions } = this.#slots.page(id);
    const at = id & PAGE_MASK;
    revisions[at] = this.#transaction.note(this.kind, id, operation, revisions[at]!);
  }

  #write(id: ObjectId, data: Datagram, start: number, words: number): void {
    this.#writeTo(this.#arenaOf(id), this.#slots.page(id).addresses[id & PAGE_MASK]!, data, start, words);
  }

  #writeTo(arena: Arena, address: number, data: Datagram, start: number, words: number): void {
    const target = arena.chunk(address).words;
    const out = arena.word(address);
    const source = data.words;
    const from = start >>> 2;
    for (let at = 0; at < words; at++) target[out + at] = source[from + at]!;
  }

  /** Ids with this hash, live or not, into `#matches.ids`; returns how many. */
  #find(hash: number): number {
    const matches = this.#matches;
    const found = this.#index.find(hash, matches.ids);
    if (found <= matches.ids.length) return found;
    matches.ids = new Uint32Array(found * 2);
    return this.#index.find(hash, matches.ids);
  }

  /** Whether the stored object has the key in `soughtKey`. */
  #hasKey(id: ObjectId, length: number): boolean {
    const { data, start, end } = this.locate(id);
    if (this.#keyOf(data, start, end, storedKey) !== length) return false;
    for (let at = 0; at < length; at++) if (storedKey[at] !== soughtKey[at]) return false;
    return true;
  }

  #revive(hash: number, data: Datagram, start: number, end: number): ObjectId {
    const found = this.#find(hash);
    if (found === 0) return 0;
    const length = this.#keyOf(data, start, end, soughtKey);
    for (let match = 0; match < found; match++) {
      const id = this.#matches.ids[match]!;
      const { states } = this.#slots.page(id);
      const at = id & PAGE_MASK;
      if ((states[at]! & GONE) === 0 || !this.#hasKey(id, length)) continue;
      states[at] = (states[at]! & NEW) | LIVE;
      this.replace(id, data, start, end, true);
      return id;
    }
    return 0;
  }

  #release(id: ObjectId): void {
    const { data, start, end } = this.locate(id);
    this.#index.remove(hashWords(storedKey, this.#keyOf(data, start, end, storedKey)), id);
    const page = this.#slots.page(id);
    const at = id & PAGE_MASK;
    this.#arenaOf(id).release(page.addresses[at]!, page.lengths[at]!);
    page.states[at] = FREE;
    if (page.orders !== undefined) page.orders[at] = 0;
    page.addresses[at] = this.#freeSlot;
    this.#freeSlot = id;
  }

  #takeSlot(): ObjectId {
    const free = this.#freeSlot;
    if (free !== 0) {
      this.#freeSlot = this.#slots.page(free).addresses[free & PAGE_MASK]!;
      return free;
    }
    this.#slots.reserve(this.#limit);
    return this.#limit++;
  }

  #placeAt(id: ObjectId, order: number): void {
    this.#ordered = true;
    const page = this.#slots.page(id);
    page.orders ??= new Int32Array(page.slots);
    page.orders[id & PAGE_MASK] = order;
  }

  /** Few objects share a key: insertion sort. */
  #sort(matches: Matches): void {
    if (!this.#ordered) return;
    const { ids, length } = matches;
    for (let at = 1; at < length; at++) {
      const id = ids[at]!;
      const order = this.orderOf(id);
      let to = at;
      while (to > 0 && this.orderOf(ids[to - 1]!) > order) {
        ids[to] = ids[to - 1]!;
        to--;
      }
      ids[to] = id;
    }
  }
}
