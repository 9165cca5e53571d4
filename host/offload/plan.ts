/**
 * One plugin's way from what its device holds to what it should hold: the order in which changes go out, what the
 * device answers, retries, and starting over from a readback.
 */

import {
  ENTRY_KIND,
  EVENT_TYPE,
  type EventRecord,
  OPERATION,
  REASON as OUTCOME_REASON,
  REASON_NAMES as OUTCOME_REASON_NAMES,
  STATUS as OUTCOME_STATUS,
} from '../plugin/records.ts';
import type { BatchResult, Description, Runner } from '../plugin/runner.ts';
import { Counters, type EntryCounter } from './counters.ts';
import { Desired, type PlanOptions } from './desired.ts';
import {
  type EntryTable,
  indexOfHandle,
  kindOfHandle,
  STATUS_FAILED,
  STATUS_REFUSED,
} from './entry-table.ts';
import { OffloadStates } from './offload-state.ts';
import { adopt, Comparison, type Difference } from './readback.ts';
import { REASON, type Reason } from './reasons.ts';
import { Retries } from './retries.ts';
import { RouteEntries } from './route-entries.ts';

/** Answers that lead to further changes a `settled` waits for; under a storm there is always more. */
const SETTLE_ROUNDS = 16;

export class Plan {
  readonly #options: PlanOptions;
  readonly description: Description;
  readonly #desired: Desired;
  readonly states: OffloadStates;
  /** Tables in the order their puts go out. */
  readonly #inOrder: readonly (EntryTable<unknown> | RouteEntries)[];
  /** Those that others refer to, in the order their removals go out. */
  readonly #retiring: readonly EntryTable<unknown>[];
  readonly #counters = new Counters();
  readonly #retries: Retries;

  #runner: Runner | undefined;
  /** Read back and compared: changes may go out. */
  #isReady = false;
  #wasSynced = false;
  #straysInFlight = false;
  #pumpIsScheduled = false;
  #resyncs = 0;
  readonly #waiters: { sequence: number; rounds: number; resolve: () => void }[] = [];
  #lastCommitted = 0;
  #lastAnswered = 0;
  readonly #results = new Map<number, { status: number; reason: number }>();

  constructor(options: PlanOptions, description: Description) {
    this.#options = options;
    this.description = description;
    this.#desired = new Desired({ ...options, description, onQueued: () => this.schedule() });
    const { ports, interfaces, nexthops, groups, vlans, fdb, acl } = this.#desired.tables;
    const { entries } = this.#desired.routes;
    this.#inOrder = [ports, interfaces, nexthops, groups, entries, vlans, fdb, acl] as (
      | EntryTable<unknown>
      | RouteEntries
    )[];
    this.#retiring = [groups, nexthops, interfaces, ports] as EntryTable<unknown>[];
    this.states = new OffloadStates(this.#desired, options, () => this.#isReady);
    this.#retries = new Retries({
      troubled: () => this.#desired.troubled,
      retry: (limit, andRefused) => {
        for (const table of this.#desired.allTables) table.retry(limit, andRefused);
        this.#desired.routes.entries.retry(limit, andRefused);
        this.schedule();
      },
    });
  }

  // ---- life of the plugin ----

  /** The plugin runs: learn what its device holds, then make it equal to the plan. */
  async start(runner: Runner): Promise<void> {
    this.#runner = runner;
    await this.#resync('started');
  }

  /** The plugin went: what was in flight is lost. The plan goes on. */
  stop(): void {
    this.#runner = undefined;
    this.#isReady = false;
    this.#straysInFlight = false;
    this.#desired.notices.clear();
    this.#retries.stop();
    this.#lastAnswered = this.#lastCommitted = 0;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Times what the device holds was read back to start over from it. */
  get resyncs(): number {
    return this.#resyncs;
  }

  async #resync(cause: string): Promise<void> {
    const runner = this.#runner;
    if (runner === undefined) return;
    this.#isReady = false;
    this.#resyncs++;
    const desired = this.#desired;
    let held = 0;
    for (const table of desired.allTables) table.forget();
    desired.routes.entries.forget();
    await runner.readback((page) => {
      held += adopt(desired, page);
    });
    if (this.#runner !== runner) return;
    // Places follow what the device already holds, so the mirror is read after it.
    if (!desired.isLoaded) desired.load();
    for (const table of desired.allTables) table.requeueAll();
    desired.routes.entries.requeueAll();
    desired.structureIsDirty = true;
    this.#isReady = true;
    this.#options.log('info', `${cause}: the device holds ${held} entries`);
    this.schedule();
  }

  // ---- changes of the mirror ----

  /** A change of a route, nexthop or fdb entry. */
  change(kind: number, id: number, isDelete: boolean): void {
    this.#desired.change(kind, id, isDelete);
  }

  /** Links, rules, filters or the like changed. */
  structureChanged(): void {
    this.#desired.structureChanged();
  }

  /** `neighbour` undefined: it is gone. */
  neighbourChanged(...change: Parameters<Desired['neighbourChanged']>): void {
    this.#desired.neighbourChanged(...change);
  }

  // ---- to the device and back ----

  /** Sends what there is to send, soon. */
  schedule(): void {
    if (this.#pumpIsScheduled) return;
    this.#pumpIsScheduled = true;
    setImmediate(() => {
      this.#pumpIsScheduled = false;
      this.pump();
    });
  }

  /**
   * Batches go out until the ring is full or nothing is left. Puts go in dependency order; what others referred to
   * leaves after all puts, in reverse order, in batches of its own.
   */
  pump(): void {
    const runner = this.#runner;
    // Before the first sync what the device holds would look unwanted. Later ones leave the mirror whole all the time.
    this.#wasSynced ||= this.#options.mirror.synced;
    if (runner === undefined || !this.#isReady || !this.#wasSynced) return;
    this.#desired.settleStructure();
    this.#desired.notices.flush(runner);
    if (this.#straysInFlight) {
      if (runner.inFlight > 0) return;
      this.#straysInFlight = false;
    }
    for (;;) {
      const encoder = runner.begin();
      if (encoder === undefined) return;
      const stray = this.#inOrder.findLast((table) => table.hasStrays);
      if (stray !== undefined) {
        stray.fillStrays(encoder);
        this.#straysInFlight = true;
        this.#lastCommitted = runner.commit();
        return;
      }
      for (const table of this.#inOrder) {
        table.fill(encoder);
        if (table.hasWork) break;
      }
      if (encoder.count === 0) this.#retiring.find((table) => table.hasRetired)?.fillRetired(encoder);
      if (encoder.count > 0) {
        this.#lastCommitted = runner.commit();
        continue;
      }
      if (this.#retiring.some((table) => table.hasRetired) || this.#inOrder.some((table) => table.hasWork))
        continue;
      this.#settle();
      return;
    }
  }

  /** The plugin answered a batch. */
  result(result: BatchResult): void {
    this.#lastAnswered = result.sequence;
    if (this.#straysInFlight) {
      this.schedule();
      return;
    }
    if (result.invalid > 0) {
      this.#options.log(
        'warn',
        'the plugin answered what it may not answer; reading back what the device holds',
      );
      this.#resyncSoon();
      return;
    }
    const { batch, outcomes } = result;
    this.#results.clear();
    for (outcomes.rewind(); outcomes.next(); ) {
      this.#results.set(outcomes.handle, { status: outcomes.status, reason: outcomes.reason });
    }
    const mayFail = this.#results.size > 0;
    for (let place = 0; place < batch.count; place++) {
      const handle = batch.handles[place]!;
      const operation = batch.operations[place]!;
      const outcome = mayFail ? this.#results.get(handle) : undefined;
      if (outcome?.status === OUTCOME_STATUS.pending) continue;
      this.#answered(handle, operation, outcome);
    }
    if (this.#desired.troubled > 0) this.#retries.schedule();
    this.#settle();
    this.schedule();
  }

  #answered(
    handle: number,
    operation: number,
    outcome: { status: number; reason: number } | undefined,
  ): void {
    const kind = kindOfHandle(handle);
    const index = indexOfHandle(handle);
    const table = kind === ENTRY_KIND.route ? this.#desired.routes.entries : this.#desired.tableOf(kind);
    if (table === undefined) return;
    if (outcome === undefined) table.succeeded(index, operation);
    else if (outcome.status === OUTCOME_STATUS.trapped) {
      if (table instanceof RouteEntries) table.succeeded(index, operation);
      else table.trapped(index);
    } else {
      // What a change referred to was not carried out: it will be, then this can be.
      const isFinal =
        outcome.status === OUTCOME_STATUS.refused && outcome.reason !== OUTCOME_REASON.missingReference;
      const status = isFinal ? STATUS_REFUSED : STATUS_FAILED;
      table.troubledBy(index, operation, status, reasonOfOutcome(outcome.reason));
    }
  }

  events(events: EventRecord): void {
    for (events.rewind(); events.next(); ) {
      if (events.eventType === EVENT_TYPE.deviceReset) {
        this.#options.log('warn', 'the device lost what it held');
        this.#resyncSoon();
      } else if (events.eventType === EVENT_TYPE.completed) {
        const outcome =
          events.value === 0 ? undefined : { status: OUTCOME_STATUS.failed, reason: events.value };
        this.#answered(events.handle, OPERATION.put, outcome);
      }
    }
  }

  #resyncSoon(): void {
    if (!this.#isReady) return;
    this.#isReady = false;
    setImmediate(() => {
      this.#resync('resynchronising').catch((error: unknown) => {
        // The runner is going down; starting again reads back anyway.
        this.#options.log('warn', `readback: ${error instanceof Error ? error.message : String(error)}`);
      });
    });
  }

  /** Resolves once every change up to now was answered by the device (or waits for a retry). */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ sequence: -1, rounds: 0, resolve });
      this.schedule();
    });
  }

  #settle(): void {
    if (this.#waiters.length === 0) return;
    const isDrained =
      !this.#desired.structureIsDirty &&
      !this.#desired.routes.entries.hasWork &&
      this.#desired.allTables.every((table) => !table.hasWork && !table.hasRetired);
    for (let index = this.#waiters.length - 1; index >= 0; index--) {
      const waiter = this.#waiters[index]!;
      if (waiter.sequence < 0 && isDrained) waiter.sequence = this.#lastCommitted;
      if (waiter.sequence < 0 || waiter.sequence > this.#lastAnswered) continue;
      // An answer may ask for more, e.g. a cover that must trap for what was refused.
      if (!isDrained && waiter.rounds < SETTLE_ROUNDS) {
        waiter.sequence = -1;
        waiter.rounds++;
      } else {
        this.#waiters.splice(index, 1);
        waiter.resolve();
      }
    }
  }

  /** Plan against readback. Tries again while the plan moves, `attempts` times at most. */
  async verify(attempts = 10): Promise<readonly Difference[]> {
    const runner = this.#runner;
    if (runner === undefined || !this.#isReady) {
      return [{ kind: 'plugin', object: this.#options.name, detail: 'is not running' }];
    }
    let differences: readonly Difference[] = [];
    for (let attempt = 0; attempt < attempts; attempt++) {
      await this.settled();
      const changes = this.#desired.changeCount;
      const comparison = new Comparison(this.#desired, (handle) => this.states.describe(handle));
      await runner.readback((page) => comparison.take(page));
      differences = comparison.finish();
      const moved = changes !== this.#desired.changeCount || runner.inFlight > 0;
      if (differences.length === 0 || (!moved && attempt > 0)) break;
    }
    return differences;
  }

  /** Reads the counters of all entries and returns those that ever counted. Monotonic across restarts of the plugin. */
  async counters(): Promise<readonly EntryCounter[]> {
    if (this.#runner !== undefined && this.#isReady)
      await this.#runner.collect((page) => this.#counters.take(page));
    return [...this.#counters];
  }
}

function reasonOfOutcome(reason: number): number {
  const name = OUTCOME_REASON_NAMES[reason] as Reason | undefined;
  return name === undefined ? REASON.invalid : (REASON[name] ?? REASON.invalid);
}
