/**
 * Entries of one kind that a plugin should hold, and what it is known to hold. Used for every kind but routes, which
 * are too many for an object each (see route-entries.ts).
 *
 * An entry has a `want` (what the plan says) and a `sent` (what was last put on its way). Changing `want` queues the
 * entry; nothing is written until the queue is drained, and what then equals `sent` costs nothing: that is what makes
 * replanning and restarts hitless.
 */

import type { BatchEncoder } from '../plugin/batch.ts';
import { ENTRY_KIND, OPERATION } from '../plugin/records.ts';
import { REASON } from './reasons.ts';

/** How entries of one kind are compared and written. */
export interface EntryCodec<Want> {
  /** Number in `ENTRY_KIND`. */
  readonly kind: number;
  /** Nothing refers to these entries, so they may leave at once; the others leave after all puts. */
  readonly isLeaf: boolean;
  equal(a: Want, b: Want): boolean;
  /** Places in a batch a put takes. */
  size(want: Want): number;
  encode(encoder: BatchEncoder, operation: number, handle: number, want: Want): void;
}

/** Failed updates of an entry after which the old value is taken out of the device instead of asking again. */
export const FAILURES_IN_PLACE = 2;
/** Refused entries asked again when another one leaves. */
const RELEASED_RETRIES = 64;

export const STATUS_OK = 0;
export const STATUS_REFUSED = 1;
export const STATUS_FAILED = 2;

export interface Entry<Want> {
  key: string;
  /** Place in the table, 1 to capacity; 0: no room. The handle is made of it. */
  index: number;
  want: Want | undefined;
  sent: Want | undefined;
  /** What was last put or read back: says what to remove when `sent` is no longer known. */
  last: Want | undefined;
  /** Why `want` is not plain forwarding (number in REASON), for explanations only. */
  reason: number;
  /** The device said yes to a put of this handle and has not been told to remove it since. */
  confirmed: boolean;
  inFlight: number;
  /** Puts that failed in a row. */
  failures: number;
  status: typeof STATUS_OK | typeof STATUS_REFUSED | typeof STATUS_FAILED;
  /** Why the device does not hold it, with `status` other than ok. */
  statusReason: number;
  queued: boolean;
  /** The answer to the last put was `trapped`. */
  trapped: boolean;
}

/** Bits of a handle: kind + 1 above, index - 1 below. */
export function handleOf(kind: number, index: number): number {
  return (((kind + 1) << 28) | (index - 1)) >>> 0;
}

export function indexOfHandle(handle: number): number {
  return (handle & 0x0fff_ffff) + 1;
}

export function kindOfHandle(handle: number): number {
  return (handle >>> 28) - 1;
}

export interface EntryTableOptions<Want> {
  readonly codec: EntryCodec<Want>;
  readonly capacity: number;
  /** A changed entry takes effect without a gap. */
  readonly updatesInPlace: boolean;
  /** `isUsable(entry)` or its handle may have changed: what refers to it must be looked at again. */
  readonly onUsable?: (entry: Entry<Want>) => void;
  /** The table got work to do. */
  readonly onQueued: () => void;
  /** The handle stands for nothing any more. */
  readonly onFreed?: (handle: number) => void;
}

export class EntryTable<Want> {
  readonly codec: EntryCodec<Want>;
  readonly capacity: number;
  readonly #updatesInPlace: boolean;
  readonly entries = new Map<string, Entry<Want>>();
  /** Grows whenever what is known of an entry may have changed. */
  changes = 0;
  readonly #byIndex: (Entry<Want> | undefined)[] = [undefined];
  readonly #freeIndexes: number[] = [];
  readonly #options: EntryTableOptions<Want>;
  /** Entries whose `want` may differ from `sent`. Drained from the front; bounded by the number of entries. */
  #queue: Entry<Want>[] = [];
  #queueHead = 0;
  /** Entries nobody wants any more that wait until all puts are out. */
  #retired: Entry<Want>[] = [];
  /** What a device holds under handles of other entries: removed before anything else. */
  #strays: { readonly handle: number; readonly held: Want }[] = [];
  /** Entries wanted for which there is no room, oldest first. */
  readonly #waiting = new Set<Entry<Want>>();
  /** Entries the device refused or failed, for retries. */
  readonly troubled = new Set<Entry<Want>>();
  #failing = 0;

  constructor(options: EntryTableOptions<Want>) {
    this.#options = options;
    this.codec = options.codec;
    this.capacity = options.capacity;
    // What others refer to cannot leave for an update, and without an ACL rule packets would pass: always in place.
    this.#updatesInPlace =
      options.updatesInPlace || !options.codec.isLeaf || options.codec.kind === ENTRY_KIND.aclRule;
  }

  get(key: string): Entry<Want> | undefined {
    return this.entries.get(key);
  }

  byIndex(index: number): Entry<Want> | undefined {
    return this.#byIndex[index];
  }

  handle(entry: Entry<Want> | undefined): number {
    return entry === undefined || entry.index === 0 ? 0 : handleOf(this.codec.kind, entry.index);
  }

  /** Others may refer to it: it has a place and the device did not say no, or is asked to update it once more. */
  isUsable(entry: Entry<Want>): boolean {
    if (entry.index === 0 || entry.want === undefined) return false;
    return (
      entry.status === STATUS_OK ||
      (entry.status === STATUS_FAILED && entry.confirmed && !this.#mustLeave(entry))
    );
  }

  /** What the device holds of it, if anything, is not wanted. */
  #mustLeave(entry: Entry<Want>): boolean {
    if (entry.want === undefined) return true;
    if (!entry.confirmed) return false;
    return entry.status === STATUS_REFUSED || entry.failures > FAILURES_IN_PLACE;
  }

  get hasWork(): boolean {
    return this.#queueHead < this.#queue.length;
  }

  get hasStrays(): boolean {
    return this.#strays.length > 0;
  }

  get hasRetired(): boolean {
    return this.#retired.length > 0;
  }

  /** Plans an entry, or plans it differently. */
  want(key: string, want: Want, reason = REASON.none): Entry<Want> {
    const entry = this.entries.get(key) ?? this.#create(key);
    const wasUsable = this.isUsable(entry);
    const wasPlaced = entry.index !== 0;
    if (!wasPlaced) this.#place(entry);
    const changed = entry.want === undefined || !this.codec.equal(entry.want, want);
    entry.reason = reason;
    if (changed || !wasPlaced) {
      entry.want = want;
      // A different wish may be granted where the last one was refused.
      if (entry.status === STATUS_REFUSED && entry.index !== 0) this.#clearTrouble(entry);
      this.#enqueue(entry);
    }
    if (wasUsable !== this.isUsable(entry)) this.#options.onUsable?.(entry);
    return entry;
  }

  /** The entry should not be held any more. */
  drop(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined || entry.want === undefined) return;
    entry.want = undefined;
    this.#waiting.delete(entry);
    this.#clearTrouble(entry);
    this.#options.onUsable?.(entry);
    if (entry.index === 0) this.entries.delete(key);
    else this.#enqueue(entry);
  }

  /** Entries the device failed: they are retried. */
  get failing(): number {
    return this.#failing;
  }

  get refused(): number {
    return this.troubled.size - this.#failing;
  }

  /** Asks the device again for what it failed, or refused for a reason that may have passed. Each gets its turn. */
  retry(limit: number, andRefused: boolean): void {
    let count = 0;
    for (const entry of [...this.troubled]) {
      if (count === limit) return;
      if (entry.inFlight > 0 || (entry.status === STATUS_REFUSED && !andRefused)) continue;
      count++;
      this.troubled.delete(entry);
      this.troubled.add(entry);
      if (entry.status === STATUS_REFUSED) this.#clearTrouble(entry);
      entry.sent = undefined;
      this.#enqueue(entry);
    }
  }

  /** Writes puts (and, of leaves, removals) into the batch until it is full or there are no more. */
  fill(encoder: BatchEncoder): void {
    while (this.#queueHead < this.#queue.length) {
      const entry = this.#queue[this.#queueHead]!;
      const { want } = entry;
      if (this.#mustLeave(entry)) {
        // With a wish of its own: the device keeps the old value of what it did not change. The kernel does the work.
        if (this.codec.isLeaf) {
          if (encoder.room === 0) return;
          this.#advance(entry);
          this.#sendRemoval(encoder, entry);
        } else {
          this.#advance(entry);
          entry.queued = true;
          this.#retired.push(entry);
        }
        continue;
      }
      const isHeld = want === undefined || (entry.sent !== undefined && this.codec.equal(entry.sent, want));
      if (entry.index === 0 || isHeld || entry.status === STATUS_REFUSED) {
        this.#advance(entry);
        continue;
      }
      if (!this.#updatesInPlace && entry.confirmed) {
        // Out with the old value first: what misses it goes to the kernel.
        if (encoder.room === 0) return;
        this.#advance(entry);
        this.#sendRemoval(encoder, entry);
        continue;
      }
      if (encoder.room < this.codec.size(want)) return;
      this.#advance(entry);
      entry.sent = want;
      entry.last = want;
      entry.inFlight++;
      this.codec.encode(encoder, OPERATION.put, handleOf(this.codec.kind, entry.index), want);
    }
  }

  /** Writes removals of what the device holds for no entry. Their handles may be wanted again: send nothing else with them. */
  fillStrays(encoder: BatchEncoder): void {
    while (this.#strays.length > 0 && encoder.room > 0) {
      const { handle, held } = this.#strays.pop()!;
      this.codec.encode(encoder, OPERATION.remove, handle, held);
    }
  }

  /** Writes removals of entries that others referred to: only when no puts wait anywhere. */
  fillRetired(encoder: BatchEncoder): void {
    while (this.#retired.length > 0 && encoder.room > 0) {
      const entry = this.#retired.pop()!;
      entry.queued = false;
      if (this.#mustLeave(entry)) this.#sendRemoval(encoder, entry);
      else this.#enqueue(entry);
    }
  }

  #sendRemoval(encoder: BatchEncoder, entry: Entry<Want>): void {
    // Gone already: it was wanted and dropped again while its removal was on the way.
    if (entry.index === 0) return;
    if (!entry.confirmed && entry.inFlight === 0) {
      if (entry.want === undefined) this.#delete(entry);
      return;
    }
    entry.inFlight++;
    this.codec.encode(encoder, OPERATION.remove, handleOf(this.codec.kind, entry.index), entry.last as Want);
    entry.sent = undefined;
  }

  /** The device carried the change out. */
  succeeded(index: number, operation: number): void {
    this.changes++;
    const entry = this.#byIndex[index];
    if (entry === undefined) return;
    if (entry.inFlight > 0) entry.inFlight--;
    if (operation === OPERATION.put) {
      entry.confirmed = true;
      entry.trapped = false;
      entry.failures = 0;
      if (entry.inFlight === 0) this.#clearTrouble(entry);
      return;
    }
    if (entry.inFlight > 0) return;
    entry.confirmed = false;
    if (entry.want === undefined) this.#delete(entry);
    else if (entry.status === STATUS_OK) this.#enqueue(entry);
  }

  /** The device holds it but traps the packets. */
  trapped(index: number, operation: number): void {
    this.succeeded(index, operation);
    if (operation !== OPERATION.put) return;
    const entry = this.#byIndex[index];
    if (entry !== undefined) entry.trapped = true;
  }

  /** The device did not carry the change out: what it held before, it still holds. */
  troubledBy(
    index: number,
    operation: number,
    status: typeof STATUS_REFUSED | typeof STATUS_FAILED,
    reason: number,
  ): void {
    this.changes++;
    const entry = this.#byIndex[index];
    if (entry === undefined) return;
    if (entry.inFlight > 0) entry.inFlight--;
    // A later answer will say more.
    if (entry.inFlight > 0) return;
    if (operation === OPERATION.remove && reason === REASON['missing-reference']) {
      entry.confirmed = false;
      if (entry.want === undefined) this.#delete(entry);
      return;
    }
    const wasUsable = this.isUsable(entry);
    if (status === STATUS_FAILED && operation === OPERATION.put) entry.failures++;
    if (entry.status === STATUS_FAILED) this.#failing--;
    if (status === STATUS_FAILED) this.#failing++;
    entry.status = status;
    entry.statusReason = reason;
    if (operation === OPERATION.put) entry.sent = undefined;
    this.troubled.add(entry);
    if (status === STATUS_REFUSED && entry.confirmed) this.#enqueue(entry);
    if (wasUsable !== this.isUsable(entry)) this.#options.onUsable?.(entry);
  }

  /** The device starts over: nothing is known of what it holds. `adopt` then says what it does hold. */
  forget(): void {
    this.changes++;
    this.#strays = [];
    for (const entry of this.entries.values()) {
      entry.sent = undefined;
      entry.inFlight = 0;
      entry.failures = 0;
      entry.confirmed = false;
      entry.trapped = false;
      if (entry.status !== STATUS_OK && entry.index !== 0) this.#clearTrouble(entry);
    }
  }

  /** The device holds `held` under `handle`. An entry nobody wants (yet) is made for it: it goes unless wanted soon. */
  adopt(key: string, handle: number, held: Want): void {
    this.changes++;
    const index = indexOfHandle(handle);
    const owner = this.#byIndex[index];
    let entry = this.entries.get(key);
    if (
      index > this.capacity ||
      (owner !== undefined && owner !== entry) ||
      (entry !== undefined && entry.index !== 0 && entry.index !== index)
    ) {
      this.#strays.push({ handle, held });
      return;
    }
    if (entry === undefined) entry = this.#create(key);
    if (entry.index === 0) {
      // Indexes left free are listed by `requeueAll`.
      while (this.#byIndex.length <= index) this.#byIndex.push(undefined);
      this.#byIndex[index] = entry;
      entry.index = index;
      this.#waiting.delete(entry);
    }
    entry.sent = held;
    entry.last = held;
    entry.confirmed = true;
  }

  /** Gives an adopted entry the key it is planned under, where that could not be told from what the device holds. */
  claim(heldKey: string, key: string): void {
    const entry = this.entries.get(heldKey);
    if (entry === undefined || this.entries.has(key)) return;
    this.entries.delete(heldKey);
    entry.key = key;
    this.entries.set(key, entry);
  }

  /** After `forget` and `adopt`: everything is compared again. */
  requeueAll(): void {
    this.#freeIndexes.length = 0;
    for (let index = this.#byIndex.length - 1; index > 0; index--) {
      if (this.#byIndex[index] === undefined) this.#freeIndexes.push(index);
    }
    for (const entry of this.entries.values()) {
      if (entry.index === 0) this.#place(entry);
      this.#enqueue(entry);
    }
  }

  /** Looks at an entry again. */
  requeue(entry: Entry<Want>): void {
    this.#enqueue(entry);
  }

  /** Compares an entry read back with what it should be; the text of the difference, if any. */
  verify(handle: number, held: Want): string | undefined {
    const entry = this.#byIndex[indexOfHandle(handle)];
    if (entry === undefined) return 'no such entry is planned';
    if (entry.want === undefined) return 'it should not be held any more';
    if (entry.status === STATUS_OK && !this.codec.equal(entry.want, held)) {
      return `it should be ${JSON.stringify(entry.want)}, not ${JSON.stringify(held)}`;
    }
    return undefined;
  }

  /** Entries that should be held and whose handle `seen` does not have. */
  *unseen(seen: ReadonlySet<number>): Generator<Entry<Want>> {
    for (const entry of this.entries.values()) {
      if (this.isUsable(entry) && !seen.has(this.handle(entry))) yield entry;
    }
  }

  #create(key: string): Entry<Want> {
    const entry: Entry<Want> = {
      key,
      index: 0,
      want: undefined,
      sent: undefined,
      last: undefined,
      reason: REASON.none,
      confirmed: false,
      inFlight: 0,
      failures: 0,
      status: STATUS_OK,
      statusReason: REASON.none,
      queued: false,
      trapped: false,
    };
    this.entries.set(key, entry);
    return entry;
  }

  #place(entry: Entry<Want>): void {
    let index = this.#freeIndexes.pop();
    // Adopted since the list was made.
    while (index !== undefined && this.#byIndex[index] !== undefined) index = this.#freeIndexes.pop();
    if (index === undefined && this.#byIndex.length <= this.capacity) {
      index = this.#byIndex.length;
      this.#byIndex.push(undefined);
    }
    if (index === undefined) {
      entry.status = STATUS_REFUSED;
      entry.statusReason = this.capacity === 0 ? REASON['unsupported-kind'] : REASON['table-full'];
      this.#waiting.add(entry);
      return;
    }
    entry.index = index;
    this.#byIndex[index] = entry;
    this.#waiting.delete(entry);
    entry.status = STATUS_OK;
    entry.statusReason = REASON.none;
  }

  #delete(entry: Entry<Want>): void {
    this.changes++;
    this.#clearTrouble(entry);
    this.entries.delete(entry.key);
    this.#options.onFreed?.(this.handle(entry));
    this.#byIndex[entry.index] = undefined;
    this.#freeIndexes.push(entry.index);
    entry.index = 0;
    // What was refused may have stood in its way, e.g. a router interface of the same port and VLAN.
    this.retry(RELEASED_RETRIES, true);
    // The place goes to whoever waited longest.
    for (const next of this.#waiting) {
      this.#place(next);
      this.#enqueue(next);
      this.#options.onUsable?.(next);
      break;
    }
  }

  #clearTrouble(entry: Entry<Want>): void {
    if (entry.status === STATUS_OK) return;
    if (this.troubled.delete(entry) && entry.status === STATUS_FAILED) this.#failing--;
    entry.status = STATUS_OK;
    entry.statusReason = REASON.none;
    if (entry.want !== undefined) this.#options.onUsable?.(entry);
  }

  #enqueue(entry: Entry<Want>): void {
    if (entry.queued) return;
    entry.queued = true;
    this.#queue.push(entry);
    this.#options.onQueued();
  }

  #advance(entry: Entry<Want>): void {
    entry.queued = false;
    this.#queueHead++;
    if (this.#queueHead === this.#queue.length) {
      this.#queue = [];
      this.#queueHead = 0;
    }
  }
}
