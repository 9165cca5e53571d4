/**
 * The last changes of the mirror, each with the bytes that the object had then: what a reader that was away is told, and an
 * object's history. Recording a change copies its bytes into a ring and allocates nothing.
 *
 * The ring of changes and the ring of bytes are as long as they are: what is older than either holds is forgotten. Of a first reading that has
 * more than the ring nothing is kept.
 */

import { type Datagram, datagram } from '../netlink/message.ts';
import { Slice } from '../slices.ts';
import { KEY_WORDS } from './key.ts';
import { KEYS } from './keys.ts';
import {
  type ChangeSet,
  KINDS,
  type KindNumber,
  type MirrorReader,
  type ObjectCursor,
  type ObjectId,
  OPERATION_DELETE,
  objectCursor,
} from './types.ts';

export interface JournalLimits {
  /** Changes that are kept. */
  readonly changes: number;
  /** Bytes of objects that are kept; a multiple of 4. */
  readonly bytes: number;
}

const LIMITS: JournalLimits = { changes: 65_536, bytes: 16 * 1024 * 1024 };
/** Changes looked at between two looks at the clock. */
const STEP = 512;
/** One change. */
export interface JournalEntry {
  readonly revision: number;
  readonly kind: KindNumber;
  readonly id: ObjectId;
  readonly isDelete: boolean;
  /** When it came into the mirror: milliseconds since 1970. */
  readonly time: number;
}

const soughtKey = new Uint32Array(KEY_WORDS);
const foundKey = new Uint32Array(KEY_WORDS);

export class Journal {
  readonly #mirror: MirrorReader;
  readonly #changesMax: number;
  readonly #revisions: Float64Array;
  readonly #times: Float64Array;
  readonly #ids: Uint32Array;
  readonly #kinds: Uint8Array;
  readonly #operations: Uint8Array;
  /** Where the object's bytes begin, counted from the first byte ever recorded. */
  readonly #starts: Float64Array;
  readonly #lengths: Uint32Array;
  readonly #data: Datagram;
  readonly #cursor = objectCursor();
  /** By kind: it is being read for the first time. */
  readonly #isFirst = new Uint8Array(KINDS.length);
  readonly #wasRead = new Uint8Array(KINDS.length);
  #head = 0;
  #newest: number;
  /** No change before this one is kept. */
  #oldest: number;

  constructor(mirror: MirrorReader, { changes, bytes } = LIMITS) {
    this.#mirror = mirror;
    this.#newest = mirror.revision;
    this.#oldest = this.#newest + 1;
    this.#changesMax = changes;
    this.#revisions = new Float64Array(changes);
    this.#times = new Float64Array(changes);
    this.#ids = new Uint32Array(changes);
    this.#kinds = new Uint8Array(changes);
    this.#operations = new Uint8Array(changes);
    this.#starts = new Float64Array(changes);
    this.#lengths = new Uint32Array(changes);
    this.#data = datagram(new Uint8Array(bytes));
    mirror.subscribe((set) => this.#record(set));
    mirror.onState(() => this.#lookAtStates());
    this.#lookAtStates();
  }

  /** Revision of the last change recorded. */
  get newest(): number {
    return this.#newest;
  }

  /** Revision of the first change that is still here; `newest` + 1 where there is none. */
  get oldest(): number {
    while (this.#oldest <= this.#newest && !this.#has(this.#oldest)) this.#oldest++;
    return this.#oldest;
  }

  /** Undefined for what was forgotten, has not been, or came and went within its transaction. */
  entry(revision: number): JournalEntry | undefined {
    const at = revision % this.#changesMax;
    if (!this.#has(revision)) return undefined;
    return {
      revision,
      kind: this.#kinds[at]!,
      id: this.#ids[at]!,
      isDelete: this.#operations[at] === OPERATION_DELETE,
      time: this.#times[at]!,
    };
  }

  /** Points `cursor` at the object as it was after the change, or as it was last; valid until control returns to the event loop. */
  open(revision: number, cursor: ObjectCursor): boolean {
    const at = revision % this.#changesMax;
    if (!this.#has(revision)) return false;
    cursor.bytes = this.#data.bytes;
    cursor.words = this.#data.words;
    cursor.start = this.#starts[at]! % this.#data.bytes.length;
    cursor.end = cursor.start + this.#lengths[at]!;
    return true;
  }

  /**
   * Changes of what an object is, under whatever id, newest first, at most `limit`: a route that went and came back is one
   * object here. Looks in slices, so that others get their turn.
   */
  async historyOf(kind: KindNumber, id: ObjectId, limit: number): Promise<JournalEntry[]> {
    const key = this.#keyOfObject(kind, id);
    if (key === undefined) return [];
    const found: JournalEntry[] = [];
    const slice = new Slice();
    for (let revision = this.#newest; found.length < limit && revision >= this.oldest; revision--) {
      if (this.#isAbout(revision, kind, key)) found.push(this.entry(revision)!);
      if (revision % STEP === 0 && slice.isOver) await slice.next();
    }
    return found;
  }

  #isAbout(revision: number, kind: KindNumber, key: Uint32Array): boolean {
    const at = revision % this.#changesMax;
    if (this.#kinds[at] !== kind || !this.#has(revision)) return false;
    const start = this.#starts[at]! % this.#data.bytes.length;
    const length = KEYS[KINDS[kind]!](this.#data, start, start + this.#lengths[at]!, foundKey);
    if (length !== key.length) return false;
    for (let word = 0; word < length; word++) if (foundKey[word] !== key[word]) return false;
    return true;
  }

  #keyOfObject(kind: KindNumber, id: ObjectId): Uint32Array | undefined {
    const cursor = this.#cursor;
    if (!this.#mirror.open(kind, id, cursor)) return undefined;
    const data = datagram(cursor.bytes.slice(cursor.start, cursor.end));
    const length = KEYS[KINDS[kind]!](data, 0, data.bytes.length, soughtKey);
    return soughtKey.slice(0, length);
  }

  #lookAtStates(): void {
    for (let kind = 0; kind < KINDS.length; kind++) {
      const { state } = this.#mirror.kindState(kind);
      // A kind that comes later has few objects.
      if (state === 'synced' || this.#mirror.synced) this.#wasRead[kind] = 1;
      this.#isFirst[kind] = state === 'syncing' && this.#wasRead[kind] === 0 ? 1 : 0;
    }
  }

  #record({ length, kinds, ids, operations, revision }: ChangeSet): void {
    const now = Date.now();
    const cursor = this.#cursor;
    const first = revision - length + 1;
    const isLong = revision > this.#changesMax;
    let isForgotten = false;
    for (let place = 0; place < length; place++) {
      if (isLong && this.#isFirst[kinds[place]!] === 1) {
        isForgotten = true;
        continue;
      }
      const at = (first + place) % this.#changesMax;
      this.#kinds[at] = kinds[place]!;
      this.#ids[at] = ids[place]!;
      this.#operations[at] = operations[place]!;
      this.#times[at] = now;
      this.#revisions[at] = first + place;
      // A deleted object can still be read while listeners are told.
      this.#lengths[at] = this.#mirror.open(kinds[place]!, ids[place]!, cursor) ? this.#keep(cursor, at) : 0;
    }
    this.#newest = revision;
    this.#oldest = Math.max(this.#oldest, isForgotten ? revision + 1 : revision - this.#changesMax + 1);
  }

  #keep({ words, start, end }: ObjectCursor, at: number): number {
    const room = this.#data.bytes.length;
    const length = end - start;
    if (length > room) return 0;
    // An object lies in one piece: what is left of the ring before its end stays empty.
    const left = room - (this.#head % room);
    if (length > left) this.#head += left;
    const kept = this.#data.words;
    let to = (this.#head % room) >>> 2;
    for (let word = start >>> 2; word < end >>> 2; word++) kept[to++] = words[word]!;
    this.#starts[at] = this.#head;
    this.#head += length;
    return length;
  }

  /** Whether it was a change and its bytes were not written over since. */
  #has(revision: number): boolean {
    const at = revision % this.#changesMax;
    return (
      this.#revisions[at] === revision &&
      this.#lengths[at]! > 0 &&
      this.#starts[at]! >= this.#head - this.#data.bytes.length
    );
  }
}
