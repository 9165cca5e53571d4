/**
 * What has to be read again: one dump runs at a time, the same scope waits at most once, many parts of a kind become the
 * whole kind, and a kind rests after a dump as long as the dump took. What notifiers hint at goes before all others.
 */

import { KINDS, type KindNumber } from '../mirror/types.ts';
import { type Scope, scopeName } from './requests.ts';

/** More scopes of one kind than this are read as the whole kind. */
const PARTS = 8;
const MIN_REST_MS = 10;
const MAX_REST_MS = 5000;

export interface Job {
  readonly name: string;
  readonly scope: Scope;
  /** The whole kind. */
  readonly whole: boolean;
  readonly done: Promise<void>;
}

interface Entry extends Job {
  notBefore: number;
  /** The last attempt failed: nobody hurries it. */
  readonly isPatient: boolean;
  readonly resolve: () => void;
}

export class Agenda {
  readonly #perform: (job: Job) => Promise<void>;
  readonly #waiting = new Map<string, Entry>();
  /** When each kind may be read again. */
  readonly #rested = new Float64Array(KINDS.length);
  /** When hints may be looked at again. */
  #hintsRested = 0;
  #running: Entry | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** `perform` must not reject. */
  constructor(perform: (job: Job) => Promise<void>) {
    this.#perform = perform;
  }

  /**
   * Puts a scope on the agenda; resolves once it was read from now on. Not before `delay` milliseconds, and where
   * `isPatient` not before that either when others are hurried.
   */
  add(scope: Scope, delay = 0, isPatient = false): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const { kind, isHinted } = scope;
    const whole = this.#waiting.get(scopeName({ kind }));
    if (whole !== undefined && !isHinted) return whole.done;
    const name = scopeName(scope);
    const known = this.#waiting.get(name);
    if (known !== undefined) return known.done;
    // 0 is for those that are hurried.
    if (isHinted) return this.#insert(scope, name, false, Math.max(1, this.#hintsRested), isPatient);
    const isWhole = name === scopeName({ kind });
    const parts = [...this.#waiting.values()].filter(({ scope }) => scope.kind === kind && !scope.isHinted);
    if (!isWhole && parts.length >= PARTS) return this.add({ kind }, delay, isPatient);
    const notBefore = Math.max(this.#rested[kind]!, performance.now() + delay);
    const done = this.#insert(scope, name, isWhole, notBefore, isPatient);
    if (isWhole) {
      // The whole covers its parts: those who wait for a part wait for it.
      for (const part of parts) {
        this.#waiting.delete(part.name);
        done.then(part.resolve);
      }
    }
    return done;
  }

  #insert(scope: Scope, name: string, whole: boolean, notBefore: number, isPatient: boolean): Promise<void> {
    let resolve: () => void = () => {};
    const done = new Promise<void>((fulfil) => {
      resolve = fulfil;
    });
    this.#waiting.set(name, { name, scope, whole, done, resolve, notBefore, isPatient });
    this.#schedule();
    return done;
  }

  /** Whether the whole kind is waiting to be read. */
  has(kind: KindNumber): boolean {
    return this.#waiting.has(scopeName({ kind }));
  }

  names(): string[] {
    const names = [...this.#waiting.keys()];
    return this.#running === undefined ? names : [this.#running.name, ...names];
  }

  /** Resolves once what was hinted at so far was looked at; lifts its rest. */
  async hinted(): Promise<void> {
    for (const entry of this.#waiting.values()) {
      if (!entry.scope.isHinted) continue;
      entry.notBefore = 0;
      this.#schedule();
      await entry.done;
      return;
    }
    if (this.#running?.scope.isHinted) await this.#running.done;
  }

  /** Lifts all rests but those after failures; returns what to wait for until everything else on the agenda is done. */
  hurry(): Promise<void>[] {
    const hurried = [...this.#waiting.values()].filter(({ isPatient }) => !isPatient);
    for (const entry of hurried) entry.notBefore = 0;
    this.#schedule();
    const waits = hurried.map((entry) => entry.done);
    if (this.#running !== undefined) waits.push(this.#running.done);
    return waits;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const entry of this.#waiting.values()) entry.resolve();
    this.#waiting.clear();
    this.#running?.resolve();
  }

  /** Later in this turn: a burst of causes becomes few dumps. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#closed || this.#running !== undefined || this.#waiting.size === 0) return;
    let earliest = Number.POSITIVE_INFINITY;
    for (const entry of this.#waiting.values()) earliest = Math.min(earliest, entry.notBefore);
    this.#timer = setTimeout(() => this.#next(), Math.max(0, earliest - performance.now()));
  }

  /** Also those that came meanwhile wait, unless they are hurried. */
  #restHints(rest: number): void {
    this.#hintsRested = performance.now() + rest;
    for (const entry of this.#waiting.values())
      if (entry.scope.isHinted && entry.notBefore !== 0) entry.notBefore = this.#hintsRested;
  }

  #next(): void {
    if (this.#closed || this.#running !== undefined) return;
    const now = performance.now();
    let best: Entry | undefined;
    for (const entry of this.#waiting.values()) {
      if (entry.notBefore > now) continue;
      // Kinds stand in order of dependency.
      if (
        best === undefined ||
        entry.scope.isHinted ||
        (!best.scope.isHinted && entry.scope.kind < best.scope.kind)
      )
        best = entry;
    }
    if (best === undefined) {
      this.#schedule();
      return;
    }
    this.#waiting.delete(best.name);
    this.#running = best;
    const entry = best;
    this.#perform(entry).finally(() => {
      const took = performance.now() - now;
      const rest = Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, took));
      if (entry.scope.isHinted) this.#restHints(rest);
      else this.#rested[entry.scope.kind] = performance.now() + rest;
      this.#running = undefined;
      entry.resolve();
      this.#schedule();
    });
  }
}
