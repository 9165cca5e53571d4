/**
 * The device's side of a plan's routes: which prefixes have a place in its table, what it was told of each, what it answered.
 * Everything per entry is a column of a typed array. Entries are numbered from 1 to the table's capacity.
 */

import type { BatchEncoder } from '../plugin/batch.ts';
import { ACTION, ENTRY_KIND, FAMILY, OPERATION, type RouteRecord } from '../plugin/records.ts';
import { FAILURES_IN_PLACE, handleOf, STATUS_FAILED, STATUS_OK, STATUS_REFUSED } from './entry-table.ts';
import {
  CANDIDATE_CONNECTED,
  type Candidates,
  type Fib,
  NEIGHBOUR_RANK,
  POLICY_RANK,
  rankOf,
  WAITING,
} from './fib.ts';
import type { Group, Nexthops } from './nexthops.ts';
import { grown } from './prefix-trie.ts';
import { REASON } from './reasons.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';

/** Entry flags. */
const QUEUED = 1;
/** The device said yes to it and has not been told to remove it. */
const CONFIRMED = 2;
/** Its answer to the last put was `trapped`. */
const TRAPPED = 4;
/** Besides the ACTIONs: what was last sent. */
const SENT_NONE = 3;
const SENT_UNKNOWN = 4;

const INITIAL = 1024;
/** Domains a readback may name; more are not taken over but removed. */
const FIBS_MAX = 1024;
/** Waiting prefixes that get a place when the device takes or loses an entry. */
const PLACE_STEP = 64;

export interface RouteEntriesOptions {
  /** By number. */
  readonly fibs: readonly Fib[];
  readonly fibOf: (family: number, vrf: number) => Fib;
  readonly candidates: Candidates;
  readonly nexthops: Nexthops;
  readonly capacity: number;
  /** A changed entry takes effect without a gap. */
  readonly updatesInPlace: boolean;
  readonly onQueued: () => void;
  /** The handle stands for nothing any more. */
  readonly onFreed: (handle: number) => void;
}

/** How an entry stands. */
export interface EntryState {
  readonly held: 'pending' | 'held' | 'refused' | 'failed';
  /** ACTION the device has, or gets. */
  readonly action: number;
  readonly reason: number;
}

export class RouteEntries {
  readonly #options: RouteEntriesOptions;
  readonly capacity: number;

  #entryFib = new Uint16Array(INITIAL);
  #entryNode = new Uint32Array(INITIAL);
  #entryWinner = new Uint32Array(INITIAL);
  #entryAction = new Uint8Array(INITIAL);
  #entryReason = new Uint8Array(INITIAL);
  #sentAction = new Uint8Array(INITIAL);
  #sentGroup = new Uint32Array(INITIAL);
  #inFlight = new Uint8Array(INITIAL);
  #status = new Uint8Array(INITIAL);
  #statusReason = new Uint8Array(INITIAL);
  /** Puts that failed in a row. */
  #failures = new Uint8Array(INITIAL);
  #entryFlags = new Uint8Array(INITIAL);
  #entriesUsed = 1;
  #freeEntries: Uint32Array = new Uint32Array(INITIAL);
  #freeEntryCount = 0;

  // FIFO of entries to compare and send: each is in it at most once, so capacity + 1 places do.
  #queue = new Uint32Array(INITIAL);
  #queueHead = 0;
  #queueLength = 0;

  readonly #key = new Uint32Array(4);
  /** The device said its table for a family is full before the declared capacity was: no new entries until one goes. */
  readonly #deviceFull = [false, false];
  readonly #scan = { fib: 0, node: 1 };
  /** Entries the device failed: they are retried. */
  failing = 0;
  /** Entries the device refused. */
  refused = 0;
  /** Where the last round of retries ended. */
  #retryFrom = 1;
  /** What the device holds under indexes of other entries (see Routes.adopt). */
  readonly #strays: { handle: number; family: number; length: number; vrf: number; words: number[] }[] = [];
  constructor(options: RouteEntriesOptions) {
    this.#options = options;
    this.capacity = options.capacity;
  }

  /** Prefixes for which there is no room. */
  get waiting(): number {
    let sum = 0;
    for (const fib of this.#options.fibs) sum += fib.waiting;
    return sum;
  }

  isPlanned(entry: number): boolean {
    return entry >= 1 && entry < this.#entriesUsed && this.#entryNode[entry] !== 0;
  }

  get hasWork(): boolean {
    return this.#queueLength > 0;
  }

  get hasStrays(): boolean {
    return this.#strays.length > 0;
  }
  /** A group's action, handle or usability changed: every entry that uses it is compared again. */
  groupChanged(group: Group): void {
    const { group: groups, info } = this.#options.candidates;
    for (let entry = 1; entry < this.#entriesUsed; entry++) {
      const winner = this.#entryWinner[entry]!;
      if (winner !== 0 && groups[winner] === group.number && (info[winner]! & CANDIDATE_CONNECTED) === 0)
        this.#enqueue(entry);
    }
  }
  // ---- what the domains ask for (FibHost) ----

  allocate(fib: Fib, node: number): number {
    if (this.#deviceFull[fib.family === AF_INET ? 0 : 1]) return 0;
    let entry = 0;
    // Entries adopted since the list was made are still in it.
    while (entry === 0 && this.#freeEntryCount > 0) {
      const free = this.#freeEntries[--this.#freeEntryCount]!;
      if (this.#entryNode[free] === 0) entry = free;
    }
    if (entry === 0 && this.#entriesUsed <= this.capacity) {
      entry = this.#entriesUsed++;
      if (entry === this.#entryNode.length) this.#growEntries(entry + 1);
    }
    if (entry !== 0) this.#bind(entry, fib.number, node);
    return entry;
  }

  #bind(entry: number, fib: number, node: number): void {
    this.#entryFib[entry] = fib;
    this.#entryNode[entry] = node;
    this.#entryWinner[entry] = 0;
    this.#sentAction[entry] = SENT_NONE;
    this.#sentGroup[entry] = 0;
    this.#inFlight[entry] = 0;
    this.#failures[entry] = 0;
    this.#status[entry] = STATUS_OK;
    this.#entryFlags[entry]! &= QUEUED;
  }

  /** Room for as many more, as far as the table has it. */
  reserve(entries: number): void {
    const wanted = Math.min(this.capacity + 1, this.#entriesUsed + entries);
    if (wanted > this.#entryNode.length) this.#growEntries(wanted);
  }

  #growEntries(atLeast: number): void {
    const length = Math.max(atLeast, Math.min(this.capacity + 1, Math.ceil(this.#entryNode.length * 1.5)));
    this.#entryFib = grown(this.#entryFib, length);
    this.#entryNode = grown(this.#entryNode, length);
    this.#entryWinner = grown(this.#entryWinner, length);
    this.#entryAction = grown(this.#entryAction, length);
    this.#entryReason = grown(this.#entryReason, length);
    this.#sentAction = grown(this.#sentAction, length);
    this.#sentGroup = grown(this.#sentGroup, length);
    this.#inFlight = grown(this.#inFlight, length);
    this.#status = grown(this.#status, length);
    this.#statusReason = grown(this.#statusReason, length);
    this.#failures = grown(this.#failures, length);
    this.#entryFlags = grown(this.#entryFlags, length);
    this.#freeEntries = grown(this.#freeEntries, length);
    const queue = new Uint32Array(length);
    for (let place = 0; place < this.#queueLength; place++) {
      queue[place] = this.#queue[(this.#queueHead + place) % this.#queue.length]!;
    }
    this.#queue = queue;
    this.#queueHead = 0;
  }

  setEntry(entry: number, winner: number, action: number, reason: number): void {
    if (
      this.#entryWinner[entry] === winner &&
      this.#entryAction[entry] === action &&
      this.#entryReason[entry] === reason &&
      winner !== 0
    ) {
      this.#enqueueIfDifferent(entry);
      return;
    }
    this.#entryWinner[entry] = winner;
    this.#entryAction[entry] = action;
    this.#entryReason[entry] = reason;
    // A different wish may be granted where the last one was refused.
    if (this.#status[entry] === STATUS_REFUSED) this.#setStatus(entry, STATUS_OK, REASON.none);
    this.#enqueue(entry);
  }

  leakChanged(entry: number): void {
    this.#enqueueIfDifferent(entry);
  }

  isPresent(entry: number): boolean {
    return this.#status[entry] === STATUS_OK;
  }

  #enqueueIfDifferent(entry: number): void {
    if ((this.#entryFlags[entry]! & QUEUED) !== 0) return;
    if (this.#entryWinner[entry] === 0) {
      this.#enqueue(entry);
      return;
    }
    this.#decide(entry);
    if (this.#decidedAction !== this.#sentAction[entry] || this.#decidedGroup !== this.#sentGroup[entry])
      this.#enqueue(entry);
  }

  #enqueue(entry: number): void {
    if ((this.#entryFlags[entry]! & QUEUED) !== 0) return;
    this.#entryFlags[entry]! |= QUEUED;
    this.#queue[(this.#queueHead + this.#queueLength) % this.#queue.length] = entry;
    this.#queueLength++;
    this.#options.onQueued();
  }

  // ---- to the device ----

  #decidedAction = 0;
  #decidedGroup = 0;
  #decidedReason = 0;

  /** What the device should do for an entry with a winner. */
  #decide(entry: number): void {
    const winner = this.#entryWinner[entry]!;
    let action = this.#entryAction[entry]!;
    let reason = this.#entryReason[entry]!;
    let handle = 0;
    if (action === ACTION.forward) {
      const group = this.#options.nexthops.group(this.#options.candidates.group[winner]!);
      action = group.action;
      reason = group.reason;
      handle = this.#options.nexthops.handleOf(group);
    }
    if (
      action !== ACTION.trap &&
      this.#options.fibs[this.#entryFib[entry]!]!.leaksBelow(this.#entryNode[entry]!)
    ) {
      action = ACTION.trap;
      reason = REASON['covers-refused-prefix'];
    }
    this.#decidedAction = action;
    this.#decidedReason = reason;
    this.#decidedGroup = action === ACTION.forward ? handle : 0;
  }

  /** Writes changes into the batch until it is full or there are none left. */
  fill(encoder: BatchEncoder): void {
    while (this.#queueLength > 0 && encoder.room > 0) {
      const entry = this.#queue[this.#queueHead]!;
      this.#queueHead = (this.#queueHead + 1) % this.#queue.length;
      this.#queueLength--;
      this.#entryFlags[entry]! &= ~QUEUED;
      if (this.#entryNode[entry] === 0) continue;
      if (this.#entryWinner[entry] === 0) {
        if (this.#inFlight[entry] === 0 && (this.#entryFlags[entry]! & CONFIRMED) === 0) this.#free(entry);
        else if (this.#sentAction[entry] !== SENT_NONE) this.#send(encoder, OPERATION.remove, entry);
        continue;
      }
      if (this.#status[entry] === STATUS_REFUSED || this.#failures[entry]! > FAILURES_IN_PLACE) {
        // The device keeps the old value of what it did not change: out with it, the kernel does the work.
        if ((this.#entryFlags[entry]! & CONFIRMED) !== 0) {
          this.#send(encoder, OPERATION.remove, entry);
          continue;
        }
        if (this.#status[entry] === STATUS_REFUSED) continue;
      }
      this.#decide(entry);
      if (this.#decidedAction === this.#sentAction[entry] && this.#decidedGroup === this.#sentGroup[entry])
        continue;
      if (!this.#options.updatesInPlace && (this.#entryFlags[entry]! & CONFIRMED) !== 0) {
        // There will be a gap, so what covers the prefix has to trap first: refuse it for the time being.
        this.#setStatus(entry, STATUS_REFUSED, REASON.busy);
        this.#enqueue(entry);
        continue;
      }
      this.#sentAction[entry] = this.#decidedAction;
      this.#sentGroup[entry] = this.#decidedGroup;
      this.#send(encoder, OPERATION.put, entry);
    }
  }

  #send(encoder: BatchEncoder, operation: number, entry: number): void {
    const fib = this.#options.fibs[this.#entryFib[entry]!]!;
    const record = encoder.route(operation, handleOf(ENTRY_KIND.route, entry));
    const { keys, lengths } = fib.trie;
    const node = this.#entryNode[entry]!;
    record.family = fib.family === AF_INET ? FAMILY.ipv4 : FAMILY.ipv6;
    record.prefixLength = lengths[node]!;
    record.vrf = fib.vrf;
    record.action = operation === OPERATION.put ? this.#sentAction[entry]! : ACTION.trap;
    record.group = operation === OPERATION.put ? this.#sentGroup[entry]! : 0;
    if (fib.family === AF_INET) record.setPrefix(0, 0, 0, keys[node]!);
    else record.setPrefix(keys[4 * node]!, keys[4 * node + 1]!, keys[4 * node + 2]!, keys[4 * node + 3]!);
    if (operation === OPERATION.remove) {
      this.#sentAction[entry] = SENT_NONE;
      this.#sentGroup[entry] = 0;
    }
    this.#inFlight[entry]!++;
  }

  succeeded(entry: number, operation: number): void {
    if (this.#inFlight[entry]! > 0) this.#inFlight[entry]!--;
    if (operation === OPERATION.put) {
      this.#entryFlags[entry] = (this.#entryFlags[entry]! & ~TRAPPED) | CONFIRMED;
      this.#failures[entry] = 0;
      if (this.#inFlight[entry] === 0 && this.#status[entry] !== STATUS_OK)
        this.#setStatus(entry, STATUS_OK, REASON.none);
      this.#placeMore();
      return;
    }
    if (this.#inFlight[entry]! > 0) return;
    this.#entryFlags[entry]! &= ~CONFIRMED;
    if (this.#entryWinner[entry] === 0) this.#enqueue(entry);
    else if (this.#status[entry] === STATUS_REFUSED) this.#giveUp(entry);
  }

  /** The device holds it but traps the packets. */
  trapped(entry: number, operation: number): void {
    this.succeeded(entry, operation);
    if (operation === OPERATION.put) this.#entryFlags[entry]! |= TRAPPED;
  }

  /** The device did not carry a change out: what it held before, it still holds. */
  troubledBy(
    entry: number,
    operation: number,
    status: typeof STATUS_REFUSED | typeof STATUS_FAILED,
    reason: number,
  ): void {
    if (this.#inFlight[entry]! > 0) this.#inFlight[entry]!--;
    if (this.#inFlight[entry]! > 0) return;
    if (operation === OPERATION.remove) {
      if (reason === REASON['missing-reference']) this.#entryFlags[entry]! &= ~CONFIRMED;
      else this.#sentAction[entry] = SENT_UNKNOWN;
    } else {
      this.#sentAction[entry] = (this.#entryFlags[entry]! & CONFIRMED) !== 0 ? SENT_UNKNOWN : SENT_NONE;
      this.#sentGroup[entry] = 0;
    }
    if (operation === OPERATION.remove && reason === REASON['missing-reference']) {
      if (this.#entryWinner[entry] === 0) this.#enqueue(entry);
      return;
    }
    if (this.#entryWinner[entry] === 0 && (this.#entryFlags[entry]! & CONFIRMED) === 0) {
      this.#enqueue(entry);
      return;
    }
    if (status === STATUS_REFUSED && reason === REASON['table-full']) {
      this.#deviceFull[this.#options.fibs[this.#entryFib[entry]!]!.family === AF_INET ? 0 : 1] = true;
    }
    if (status === STATUS_FAILED && operation === OPERATION.put && this.#failures[entry]! < 255)
      this.#failures[entry]!++;
    this.#setStatus(entry, status, reason);
    if (status === STATUS_REFUSED) {
      if ((this.#entryFlags[entry]! & CONFIRMED) !== 0) this.#enqueue(entry);
      else this.#giveUp(entry);
    }
  }

  /** A refused entry that the device does not hold: with a full table its place is given back, the prefix waits. */
  #giveUp(entry: number): void {
    if (this.#statusReason[entry] === REASON['table-full']) this.#freePlace(entry);
    else if (this.#statusReason[entry] === REASON.busy && !this.#options.updatesInPlace) {
      // The old value is gone: now the new one can come.
      this.#setStatus(entry, STATUS_OK, REASON.none);
      this.#enqueue(entry);
    }
  }

  #setStatus(entry: number, status: number, reason: number): void {
    const wasOk = this.#status[entry] === STATUS_OK;
    this.#count(this.#status[entry]!, -1);
    this.#count(status, 1);
    this.#status[entry] = status;
    this.#statusReason[entry] = reason;
    if (wasOk !== (status === STATUS_OK)) {
      this.#options.fibs[this.#entryFib[entry]!]!.presenceChanged(this.#entryNode[entry]!);
    }
  }

  /** The device no longer holds the entry and nobody wants it. */
  #free(entry: number): void {
    // Room was made: the family may have entries again.
    this.#deviceFull[this.#options.fibs[this.#entryFib[entry]!]!.family === AF_INET ? 0 : 1] = false;
    this.#freePlace(entry);
    this.#placeWaiting(PLACE_STEP);
  }

  #freePlace(entry: number): void {
    const fib = this.#options.fibs[this.#entryFib[entry]!]!;
    this.#count(this.#status[entry]!, -1);
    this.#status[entry] = STATUS_OK;
    this.#options.onFreed(handleOf(ENTRY_KIND.route, entry));
    const node = this.#entryNode[entry]!;
    this.#entryWinner[entry] = 0;
    this.#entryNode[entry] = 0;
    this.#freeEntries[this.#freeEntryCount++] = entry;
    fib.entryFreed(node);
  }

  #count(status: number, by: number): void {
    if (status === STATUS_FAILED) this.failing += by;
    else if (status === STATUS_REFUSED) this.refused += by;
  }

  get #hasRoom(): boolean {
    return this.#freeEntryCount > 0 || this.#entriesUsed <= this.capacity;
  }

  /** The device took an entry: prefixes that wait because it had said it was full may try, a few at a time. */
  #placeMore(): void {
    if (this.waiting > 0 && this.#hasRoom) this.#placeWaiting(PLACE_STEP);
  }

  /** Gives up to `limit` free places to waiting prefixes. The search goes on where the last one ended. */
  #placeWaiting(limit: number): void {
    const { fibs } = this.#options;
    let left = limit;
    for (let round = 0; round <= fibs.length && fibs.length > 0; round++) {
      const fib = fibs[this.#scan.fib % fibs.length]!;
      if (fib.waiting > 0 && !this.#deviceFull[fib.family === AF_INET ? 0 : 1]) {
        const { flags } = fib.trie;
        while (this.#scan.node < fib.trie.nodeLimit && fib.waiting > 0) {
          const node = this.#scan.node++;
          if ((flags[node]! & WAITING) === 0) continue;
          if (left-- === 0 || !fib.place(node)) {
            this.#scan.node = node;
            return;
          }
        }
      }
      this.#scan.fib = (this.#scan.fib + 1) % fibs.length;
      this.#scan.node = 1;
    }
  }

  /** Asks the device again for what it failed, or refused for a reason that may have passed. Each gets its turn. */
  retry(limit: number, andRefused: boolean): void {
    let count = 0;
    const end = this.#entriesUsed;
    for (let step = 1; step < end && count < limit; step++) {
      if (this.#retryFrom >= end) this.#retryFrom = 1;
      const entry = this.#retryFrom++;
      if (this.#status[entry] === STATUS_OK || this.#inFlight[entry] !== 0) continue;
      if (this.#status[entry] === STATUS_REFUSED) {
        if (!andRefused) continue;
        this.#setStatus(entry, STATUS_OK, REASON.none);
      }
      this.#enqueue(entry);
      count++;
    }
    if (!andRefused) return;
    // One prefix tries whether the device has room again; if it has, more follow.
    this.#deviceFull.fill(false);
    this.#placeWaiting(1);
  }

  /** Prefixes wait although there are places: the device said it was full. */
  get isHeldBack(): boolean {
    return this.#hasRoom && this.waiting > 0;
  }

  // ---- starting over ----

  /** Nothing is known of what the device holds; `adopt` says what it does. */
  forget(): void {
    this.#strays.length = 0;
    this.#deviceFull.fill(false);
    for (let entry = 1; entry < this.#entriesUsed; entry++) {
      this.#sentAction[entry] = SENT_NONE;
      this.#sentGroup[entry] = 0;
      this.#inFlight[entry] = 0;
      this.#failures[entry] = 0;
      this.#entryFlags[entry]! &= QUEUED;
      if (this.#status[entry] !== STATUS_OK) this.#setStatus(entry, STATUS_OK, REASON.none);
    }
  }

  /** The device holds this route under this entry number. */
  adopt(record: RouteRecord, entry: number): void {
    const family = record.family === FAMILY.ipv4 ? AF_INET : AF_INET6;
    const { fibs } = this.#options;
    const known = fibs.find((candidate) => candidate.family === family && candidate.vrf === record.vrf);
    const fib = known ?? (fibs.length < FIBS_MAX ? this.#options.fibOf(family, record.vrf) : undefined);
    if (fib === undefined) {
      this.#addStray(record);
      return;
    }
    const key = this.#key;
    if (family === AF_INET) key[0] = record.prefix3;
    else {
      key[0] = record.prefix0;
      key[1] = record.prefix1;
      key[2] = record.prefix2;
      key[3] = record.prefix3;
    }
    if (entry >= 1 && entry <= this.capacity) {
      if (entry >= this.#entryNode.length) this.#growEntries(entry + 1);
      while (this.#entriesUsed <= entry) this.#entryNode[this.#entriesUsed++] = 0;
      if (this.#entryNode[entry] === 0) {
        const node = fib.trie.find(key, record.prefixLength);
        if (node === 0 || fib.trie.entry[node] === 0) {
          this.#bind(entry, fib.number, 0);
          this.#entryNode[entry] = fib.adopt(key, record.prefixLength, entry);
          this.#hold(entry, record);
          return;
        }
      } else if (
        this.#entryFib[entry] === fib.number &&
        fib.trie.find(key, record.prefixLength) === this.#entryNode[entry]
      ) {
        this.#hold(entry, record);
        return;
      }
    }
    this.#addStray(record);
  }

  #addStray(record: RouteRecord): void {
    this.#strays.push({
      handle: record.handle,
      family: record.family,
      length: record.prefixLength,
      vrf: record.vrf,
      words: [record.prefix0, record.prefix1, record.prefix2, record.prefix3],
    });
  }

  #hold(entry: number, record: RouteRecord): void {
    this.#sentAction[entry] = record.action;
    this.#sentGroup[entry] = record.action === ACTION.forward ? record.group : 0;
    this.#entryFlags[entry]! |= CONFIRMED;
  }

  /** After `forget` and `adopt`: free places are listed anew and everything is compared again. */
  requeueAll(): void {
    this.#freeEntryCount = 0;
    for (let entry = this.#entriesUsed - 1; entry > 0; entry--) {
      if (this.#entryNode[entry] === 0) this.#freeEntries[this.#freeEntryCount++] = entry;
      else this.#enqueue(entry);
    }
    this.#placeWaiting(this.capacity);
  }

  fillStrays(encoder: BatchEncoder): void {
    while (this.#strays.length > 0 && encoder.room > 0) {
      const stray = this.#strays.pop()!;
      const record = encoder.route(OPERATION.remove, stray.handle);
      record.family = stray.family;
      record.prefixLength = stray.length;
      record.vrf = stray.vrf;
      record.action = ACTION.trap;
      record.setPrefix(stray.words[0]!, stray.words[1]!, stray.words[2]!, stray.words[3]!);
    }
  }
  // ---- what is known ----

  /** The candidate an entry stands for, 0 when nobody wants it any more. */
  winnerOf(entry: number): number {
    return this.#entryWinner[entry]!;
  }

  stateOf(entry: number): EntryState {
    this.#decide(entry);
    const base = { action: this.#decidedAction, reason: this.#decidedReason };
    if (this.#status[entry] === STATUS_REFUSED)
      return { ...base, held: 'refused', reason: this.#statusReason[entry]! };
    if (this.#status[entry] === STATUS_FAILED)
      return { ...base, held: 'failed', reason: this.#statusReason[entry]! };
    const isSent =
      this.#inFlight[entry] === 0 &&
      (this.#entryFlags[entry]! & QUEUED) === 0 &&
      this.#sentAction[entry] === this.#decidedAction;
    if (isSent && (this.#entryFlags[entry]! & TRAPPED) !== 0)
      return { held: 'held', action: ACTION.trap, reason: REASON['unsupported-action'] };
    return { ...base, held: isSent ? 'held' : 'pending' };
  }

  /** Entries by state, without walking the mirror: forwarding or dropping, trapping, refused, failed. */
  tally(): { held: number; trapped: number; refused: number; failed: number; waiting: number } {
    const tally = { held: 0, trapped: 0, refused: 0, failed: 0, waiting: this.waiting };
    for (let entry = 1; entry < this.#entriesUsed; entry++) {
      if (this.#entryNode[entry] === 0) continue;
      // What should be gone and is not counts, too.
      if (this.#status[entry] === STATUS_FAILED) tally.failed++;
      else if (this.#entryWinner[entry] === 0) continue;
      else if (this.#status[entry] === STATUS_REFUSED) tally.refused++;
      else if (this.#sentAction[entry] === ACTION.trap || (this.#entryFlags[entry]! & TRAPPED) !== 0)
        tally.trapped++;
      else tally.held++;
    }
    return tally;
  }

  /** Prefix of an entry, for people. */
  describe(entry: number): string {
    if (entry < 1 || entry >= this.#entriesUsed || this.#entryNode[entry] === 0) return `route ${entry}`;
    return this.#options.fibs[this.#entryFib[entry]!]!.describe(this.#entryNode[entry]!);
  }

  /** What the entry stands for, with the mirror's id. */
  objectOf(
    entry: number,
  ): { readonly kind: 'route' | 'neighbour' | 'xfrm-policy'; readonly id: number } | undefined {
    if (entry < 1 || entry >= this.#entriesUsed || this.#entryNode[entry] === 0) return undefined;
    const winner = this.#entryWinner[entry]!;
    if (winner === 0) return undefined;
    const rank = rankOf(this.#options.candidates.info[winner]!);
    const kind = rank === NEIGHBOUR_RANK ? 'neighbour' : rank === POLICY_RANK ? 'xfrm-policy' : 'route';
    return { kind, id: this.#options.candidates.object[winner]! };
  }

  /** Compares a route read back with what it should be; the text of the difference, if any. `seen` counts matches. */
  verify(record: RouteRecord, entry: number, seen: Uint8Array): string | undefined {
    if (entry < 1 || entry >= this.#entriesUsed || this.#entryNode[entry] === 0)
      return 'no such entry is planned';
    const fib = this.#options.fibs[this.#entryFib[entry]!]!;
    const node = this.#entryNode[entry]!;
    const { keys, lengths } = fib.trie;
    const sameKey =
      fib.vrf === record.vrf &&
      lengths[node] === record.prefixLength &&
      (fib.family === AF_INET
        ? record.family === FAMILY.ipv4 && keys[node] === record.prefix3
        : record.family === FAMILY.ipv6 &&
          keys[4 * node] === record.prefix0 &&
          keys[4 * node + 1] === record.prefix1 &&
          keys[4 * node + 2] === record.prefix2 &&
          keys[4 * node + 3] === record.prefix3);
    if (!sameKey) return 'its handle is planned for another prefix';
    seen[entry] = 1;
    if (this.#entryWinner[entry] === 0) return 'it should not be held any more';
    if (this.#status[entry] !== STATUS_OK) return undefined;
    this.#decide(entry);
    const group = record.action === ACTION.forward ? record.group : 0;
    if (record.action !== this.#decidedAction || group !== this.#decidedGroup) {
      return `it should have action ${this.#decidedAction} and group ${this.#decidedGroup}, not ${record.action} and ${group}`;
    }
    return undefined;
  }

  /** Entries that should be held and that `verify` did not see. */
  *unseen(seen: Uint8Array): Generator<number> {
    for (let entry = 1; entry < this.#entriesUsed; entry++) {
      if (this.#entryNode[entry] === 0 || this.#entryWinner[entry] === 0) continue;
      if (this.#status[entry] === STATUS_OK && seen[entry] === 0) yield entry;
    }
  }

  get entryLimit(): number {
    return this.#entriesUsed;
  }
}
