/**
 * One plugin's way from what its device holds to what it should hold: the order in which changes go out, what the
 * device answers, retries, and starting over from a readback.
 */

import { EkhoError } from '../errors.ts';
import type { NotifierRecord } from '../kernel/notifier/record.ts';
import { KIND, type KindNumber } from '../mirror/types.ts';
import {
  type CounterRecord,
  ENTRY_KIND,
  EVENT_TYPE,
  EVENT_TYPE_NAMES,
  type EventRecord,
  NOTICE_TYPE,
  OPERATION,
  REASON as OUTCOME_REASON,
  REASON_NAMES as OUTCOME_REASON_NAMES,
  STATUS as OUTCOME_STATUS,
} from '../plugin/records.ts';
import type { BatchResult, Description, Runner } from '../plugin/runner.ts';
import { Slice } from '../slices.ts';
import { Counters, type EntryCounter, type SavedCounter } from './counters.ts';
import { Desired, type PlanOptions } from './desired.ts';
import {
  type EntryTable,
  handleOf,
  indexOfHandle,
  kindOfHandle,
  STATUS_FAILED,
  STATUS_REFUSED,
} from './entry-table.ts';
import { EVENT_NOTICES } from './event-notices.ts';
import type { Missed } from './nexthops.ts';
import { OffloadStates } from './offload-state.ts';
import { PendingChanges } from './pending-changes.ts';
import { adopt, Comparison, DIFFERENCES_MAX, type Difference } from './readback.ts';
import { REASON, type Reason } from './reasons.ts';
import { ResyncPace } from './resync-pace.ts';
import { Retries } from './retries.ts';
import type { RouteEntries } from './route-entries.ts';
import { stationOf } from './stations.ts';
import { StructurePace } from './structure-pace.ts';
import { Trouble } from './trouble.ts';

/** Answers that lead to further changes a `settled` waits for; under a storm there is always more. */
const SETTLE_ROUNDS = 16;

/** Routes whose earlier counts are looked for before they count anything; those of others come with their next packet. */
const SEARCHED_ROUTES = 65_536;

/** The longest a plugin may take to complete what it answered with `pending`. */
const PENDING_MS = 30_000;

interface Waiter {
  /** The batch whose answer it waits for, -1 while there still is something to send. */
  sequence: number;
  rounds: number;
  /** What the hardware has to say by now (that it lost everything, say) is part of what it waits for. */
  isPolled: boolean;
  readonly resolve: () => void;
}

export class Plan {
  readonly #options: PlanOptions;
  readonly description: Description;
  readonly #desired: Desired;
  readonly states: OffloadStates;
  /** Tables in the order their puts go out. */
  readonly #inOrder: readonly (EntryTable<unknown> | RouteEntries)[];
  /** Those that others refer to, in the order their removals go out. */
  readonly #retiring: readonly EntryTable<unknown>[];
  readonly #counters: Counters;
  readonly #retries: Retries;
  readonly #trouble: Trouble;

  #runner: Runner | undefined;
  /** Read back and compared: changes may go out. */
  #isReady = false;
  #isFaulty = false;
  #wasSynced = false;
  #isSynced = false;
  #straysInFlight = false;
  #pumpIsScheduled = false;
  #resyncs = 0;
  /** Something the device holds could not be taken out: only a readback tells what it is now. */
  #needsReadback = false;
  readonly #pending = new PendingChanges();
  #pendingTimer: NodeJS.Timeout | undefined;
  readonly #pace = new ResyncPace();
  readonly #structurePace = new StructurePace();
  #resyncTimer: NodeJS.Timeout | undefined;
  #isCounting = false;
  readonly #waiters = new Set<Waiter>();
  #lastCommitted = 0;
  #lastAnswered = 0;
  readonly #results = new Map<number, { status: number; reason: number }>();

  constructor(options: PlanOptions, description: Description) {
    this.#options = options;
    this.description = description;
    this.#counters = new Counters({
      isPlanned: (handle) => this.#desired.isPlanned(handle),
      saved: (handle) => options.savedCounter?.(() => this.states.describe(handle)),
    });
    this.#desired = new Desired({
      ...options,
      description,
      onQueued: () => this.schedule(),
      onFreed: (handle) => this.#counters.forget(handle),
    });
    const {
      ports,
      interfaces,
      nexthops,
      groups,
      vlans,
      fdb,
      acl,
      flows,
      customs,
      tunnels,
      remotes,
      multicast,
    } = this.#desired.tables;
    const { entries } = this.#desired.routes;
    this.#inOrder = [
      ports,
      interfaces,
      nexthops,
      groups,
      entries,
      vlans,
      fdb,
      acl,
      flows,
      customs,
      tunnels,
      remotes,
      multicast,
    ] as (EntryTable<unknown> | RouteEntries)[];
    this.#retiring = [tunnels, groups, nexthops, interfaces, ports] as EntryTable<unknown>[];
    this.states = new OffloadStates(this.#desired, options, () => this.#isReady);
    this.#trouble = new Trouble({
      failing: () => this.#desired.failing,
      refused: () => this.#desired.refused,
      log: options.log,
    });
    this.#retries = new Retries({
      failing: () => this.#desired.failing + (this.#needsReadback ? 1 : 0),
      refused: () => this.#desired.refused,
      retry: (limit, andRefused) => {
        if (this.#needsReadback) {
          this.#resyncSoon('reading back again');
          return;
        }
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

  /** The plugin went: what was in flight is lost. The plan goes on, and those who wait for it wait for the next start. */
  stop(runner = this.#runner): void {
    // Another one runs already.
    if (runner !== this.#runner) return;
    this.#runner = undefined;
    this.#options.tracer?.lost(this.#options.name);
    this.#isReady = false;
    this.#straysInFlight = false;
    this.#forgetPending();
    clearTimeout(this.#resyncTimer);
    this.#desired.notices.clear();
    this.#retries.stop();
    this.#trouble.stop();
    this.#lastAnswered = this.#lastCommitted = 0;
    this.#waitAnew();
  }

  /** What those who wait saw sent or answered says nothing of what is to be sent from here on. */
  #waitAnew(): void {
    for (const waiter of this.#waiters) waiter.sequence = -1;
  }

  /** There will be no next start: another plan takes over, or none. */
  close(): void {
    this.stop();
    for (const waiter of this.#waiters) waiter.resolve();
    this.#waiters.clear();
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Entries the device failed, which are tried again. */
  get failing(): number {
    return this.#desired.failing;
  }

  /** Something went wrong in it: the next start needs another plan. */
  get isFaulty(): boolean {
    return this.#isFaulty;
  }

  /** Times what the device holds was read back to start over from it. */
  get resyncs(): number {
    return this.#resyncs;
  }

  async #resync(cause: string): Promise<void> {
    const runner = this.#runner;
    if (runner === undefined) return;
    this.#isReady = false;
    this.#needsReadback = false;
    this.#straysInFlight = false;
    this.#forgetPending();
    this.#waitAnew();
    this.#resyncs++;
    const desired = this.#desired;
    let held = 0;
    this.#counters.restartAll();
    for (const table of desired.allTables) table.forget();
    desired.routes.entries.forget();
    await runner.readback((page) => {
      held += adopt(desired, page);
    });
    if (this.#runner !== runner) return;
    // Places follow what the device already holds, so the mirror is read after it.
    this.#options.mirror.tell();
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
    if (this.#isFaulty) return;
    try {
      this.#desired.change(kind, id, isDelete);
    } catch (error) {
      this.#caught(error);
    }
  }

  /** The mirror lost or regained step with the kernel, or a kind came or went. */
  mirrorStateChanged(): void {
    const { synced } = this.#options.mirror;
    if (synced !== this.#isSynced) {
      this.#isSynced = synced;
      this.#desired.notices.add(synced ? NOTICE_TYPE.resyncFinished : NOTICE_TYPE.resyncStarted, 0, 0);
    }
    this.structureChanged();
  }

  /** Links, rules, filters or the like changed. */
  structureChanged(): void {
    this.#guard(() => this.#desired.structureChanged());
  }

  /** What the kernel told its notifiers. */
  kernelEvent(record: NotifierRecord): void {
    if ((this.description.notices & EVENT_NOTICES) === 0) return;
    this.#guard(() => this.#desired.kernelEvent(record));
  }

  /** `neighbour` undefined: it is gone. */
  neighbourChanged(...change: Parameters<Desired['neighbourChanged']>): void {
    this.#guard(() => this.#desired.neighbourChanged(...change));
  }

  // ---- to the device and back ----

  /** Sends what there is to send, soon. */
  schedule(): void {
    if (this.#pumpIsScheduled) return;
    this.#pumpIsScheduled = true;
    setImmediate(this.#afterTurn);
  }

  readonly #pump = (): void => this.pump();
  readonly #afterTurn = (): void => {
    const rest = this.#desired.structureIsDirty ? this.#structurePace.rest(performance.now()) : 0;
    if (rest > 0) {
      setTimeout(this.#afterTurn, rest);
      return;
    }
    this.#pumpIsScheduled = false;
    this.#guard(this.#pump);
  };

  /**
   * A fault here must not end the host: the plugin is started over, which reads everything back. What was thrown by mistake left
   * something half done, so that this plan does nothing more and another one is made.
   */
  #guard(action: () => void): void {
    if (this.#isFaulty) return;
    try {
      action();
    } catch (error) {
      this.#caught(error);
    }
  }

  #caught(error: unknown): void {
    this.#isFaulty = !(error instanceof EkhoError);
    this.#fail(error);
  }

  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#options.log(
      'error',
      error instanceof EkhoError ? message : `${(error as Error)?.stack ?? message}`,
    );
    const fault = error instanceof EkhoError ? error : new EkhoError('E_INTERNAL', message, { cause: error });
    this.#runner?.kill(fault);
  }

  /**
   * Batches go out until the ring is full or nothing is left. Puts go in dependency order; what others referred to
   * leaves after all puts, in reverse order, in batches of its own.
   */
  pump(): void {
    const runner = this.#runner;
    // Before the first sync what the device holds would look unwanted. Later ones leave the mirror whole all the time.
    this.#wasSynced ||= this.#options.mirror.synced;
    if (runner === undefined || !this.#isReady) return;
    if (!this.#wasSynced) {
      this.#desired.expectRoutes();
      return;
    }
    const { tracer, name } = this.#options;
    const isTraced = tracer?.planning(name) === true;
    this.#options.mirror.tell();
    const began = performance.now();
    this.#desired.settleStructure();
    this.#structurePace.took(began, performance.now());
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
        const { count } = encoder;
        this.#lastCommitted = runner.commit(isTraced);
        if (isTraced) tracer?.sent(name, this.#lastCommitted, count);
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
    this.#guard(() => this.#takeResult(result));
  }

  #takeResult(result: BatchResult): void {
    this.#lastAnswered = result.sequence;
    if (result.began !== undefined && result.ended !== undefined)
      this.#options.tracer?.answered(
        this.#options.name,
        result.sequence,
        result.began,
        result.ended,
        result.outcomes.length,
      );
    // Sent before a readback that is under way: that will tell.
    if (!this.#isReady) {
      this.#overtakePending(result.outcomes);
      return;
    }
    if (result.invalid > 0) {
      this.#overtakePending(result.outcomes);
      this.#options.log('warn', 'the plugin answered what it may not answer');
      this.#resyncSoon('reading back');
      return;
    }
    const { batch, outcomes } = result;
    if (this.#straysInFlight) {
      this.#overtakePending(outcomes);
      for (outcomes.rewind(); outcomes.next(); ) {
        if (outcomes.reason !== OUTCOME_REASON.missingReference) this.#needsReadback = true;
      }
      if (this.#needsReadback) this.#retries.schedule();
      this.schedule();
      return;
    }
    // Emptying a map that is empty makes a new one.
    if (this.#results.size > 0) this.#results.clear();
    for (outcomes.rewind(); outcomes.next(); ) {
      this.#results.set(outcomes.handle, { status: outcomes.status, reason: outcomes.reason });
    }
    const mayFail = this.#results.size > 0;
    for (let place = 0; place < batch.count; place++) {
      const handle = batch.handles[place]!;
      const operation = batch.operations[place]!;
      const outcome = mayFail ? this.#results.get(handle) : undefined;
      if (outcome?.status === OUTCOME_STATUS.pending) this.#awaitCompletion(handle, operation);
      else this.#answered(handle, operation, outcome);
    }
    this.#answersTaken();
  }

  #answersTaken(): void {
    if (this.#desired.failing + this.#desired.refused > 0) this.#retries.schedule();
    this.#trouble.look();
    this.#desired.noteAnswers();
    this.#settle();
    this.schedule();
  }

  /** Of a batch whose answers do not count. */
  #overtakePending(outcomes: BatchResult['outcomes']): void {
    for (outcomes.rewind(); outcomes.next(); )
      if (outcomes.status === OUTCOME_STATUS.pending) this.#pending.overtake(outcomes.handle);
  }

  #awaitCompletion(handle: number, operation: number): void {
    this.#pending.add(handle, operation);
    this.#pendingTimer ??= setTimeout(() => {
      this.#options.log(
        'warn',
        `${this.#pending.size} changes were not completed within ${PENDING_MS / 1000} s`,
      );
      this.#resyncSoon('reading back');
    }, PENDING_MS).unref();
  }

  #forgetPending(): void {
    this.#pending.overtakeAll();
    clearTimeout(this.#pendingTimer);
    this.#pendingTimer = undefined;
  }

  /** False if nothing of that handle was pending. */
  #completed(handle: number, reason: number): boolean {
    const operation = this.#pending.complete(handle);
    if (typeof operation === 'string') return operation === 'overtaken';
    if (this.#pending.size === 0) this.#forgetPending();
    this.#answered(handle, operation, reason === 0 ? undefined : { status: OUTCOME_STATUS.failed, reason });
    this.#answersTaken();
    return true;
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
    if (operation === OPERATION.remove) this.#counters.restart(handle);
    if (outcome === undefined) table.succeeded(index, operation);
    else if (outcome.status === OUTCOME_STATUS.trapped) table.trapped(index, operation);
    else {
      // What a change referred to was not carried out: it will be, then this can be.
      const isFinal =
        outcome.status === OUTCOME_STATUS.refused && outcome.reason !== OUTCOME_REASON.missingReference;
      const status = isFinal ? STATUS_REFUSED : STATUS_FAILED;
      table.troubledBy(index, operation, status, reasonOfOutcome(outcome.reason));
    }
  }

  /** What the hardware had to say. Only what changes the plan is looked at. */
  events(events: EventRecord): void {
    this.#guard(() => {
      let impossible = 0;
      for (events.rewind(); events.next(); ) {
        if (!this.#isPossible(events)) impossible++;
        else if (events.eventType === EVENT_TYPE.completed) {
          if (!this.#completed(events.handle, events.value)) impossible++;
        } else if (events.eventType === EVENT_TYPE.deviceReset) {
          this.#options.log('warn', 'the device lost what it held');
          this.#resyncSoon('programming it again');
        } else if (events.eventType === EVENT_TYPE.macLearned || events.eventType === EVENT_TYPE.macAged) {
          const station = stationOf(events, this.#desired, this.#options.view);
          if (station !== undefined) this.#options.onStation?.(station);
        }
      }
      if (impossible > 0)
        this.#runner?.accuse(
          `told ${impossible} events of no type, of no entry, with no reason, or of changes that were not pending`,
        );
    });
  }

  #isPossible({ eventType, handle, value }: EventRecord): boolean {
    if (eventType !== EVENT_TYPE.completed) return eventType < EVENT_TYPE_NAMES.length;
    return this.#desired.isHandle(handle) && value < OUTCOME_REASON_NAMES.length;
  }

  #resyncSoon(cause: string): void {
    if (!this.#isReady) return;
    this.#isReady = false;
    const runner = this.#runner;
    this.#resyncTimer = setTimeout(() => {
      // It went down meanwhile, or starts over already.
      if (runner !== this.#runner || this.#isReady) return;
      this.#resync(cause).catch((error: unknown) => this.#fail(error));
    }, this.#pace.delay(performance.now()));
  }

  /** Resolves once every change up to now was answered by the device (or waits for a retry), or the plan is closed. */
  settled(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiter: Waiter = { sequence: -1, rounds: 0, isPolled: false, resolve };
      this.#waiters.add(waiter);
      this.#poll().finally(() => {
        waiter.isPolled = true;
        this.schedule();
      });
      signal?.addEventListener('abort', () => this.#waiters.delete(waiter), { once: true });
      this.schedule();
    });
  }

  /** Asks the plugin for events now, if it has any to give. That it goes down meanwhile is told by `down`. */
  async #poll(): Promise<void> {
    if (this.#isReady && this.description.pollInterval !== 0) await this.#runner?.poll().catch(() => {});
  }

  #settle(): void {
    if (this.#waiters.size === 0 || !this.#isReady) return;
    const isDrained =
      !this.#desired.structureIsDirty &&
      this.#pending.size === 0 &&
      this.#inOrder.every((table) => !table.hasWork) &&
      this.#retiring.every((table) => !table.hasRetired);
    for (const waiter of this.#waiters) {
      if (waiter.sequence < 0 && isDrained) waiter.sequence = this.#lastCommitted;
      if (waiter.sequence < 0 || waiter.sequence > this.#lastAnswered || !waiter.isPolled) continue;
      // An answer may ask for more, e.g. a cover that must trap for what was refused.
      if (!isDrained && waiter.rounds < SETTLE_ROUNDS) {
        waiter.sequence = -1;
        waiter.rounds++;
      } else {
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
    }
  }

  /** Mirror against plan, and plan against readback. Tries again while the plan moves, `attempts` times at most. */
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
      differences = [...(await this.#missed()), ...comparison.finish()];
      const moved = changes !== this.#desired.changeCount || runner.inFlight > 0;
      if (differences.length === 0 || (!moved && attempt > 0)) break;
    }
    return differences;
  }

  /** What the plan has otherwise than the mirror. */
  async #missed(): Promise<Difference[]> {
    const { mirror } = this.#options;
    const found: Difference[] = [];
    const slice = new Slice();
    for (const missed of this.#eachMissed()) {
      if (missed !== undefined) found.push(missed);
      if (found.length === DIFFERENCES_MAX) break;
      if (!slice.isOver) continue;
      await slice.next();
      mirror.tell();
    }
    return found;
  }

  /** Undefined for each that is right, so that there can be a pause after it. */
  *#eachMissed(): Generator<Missed | undefined> {
    const { mirror } = this.#options;
    const { routes } = this.#desired;
    yield undefined;
    let limit = routes.idLimit;
    mirror.forEach(KIND.route, (id) => {
      limit = Math.max(limit, id + 1);
    });
    for (let id = 1; id < limit; id++) yield routes.missed(id);
    yield* this.#desired.missed();
  }

  /** Reads the counters of all entries from the device. `isSample`: rates are from the sample before to this reading. */
  async readCounters(isSample: boolean): Promise<void> {
    const runner = this.#runner;
    // A device that is slower than who asks is not asked twice at a time.
    if (runner === undefined || !this.#isReady || this.#isCounting) return;
    this.#isCounting = true;
    try {
      await runner.collect((page) => this.#takeCounters(runner, page));
    } catch (error) {
      if ((error as EkhoError).code === 'E_PLUGIN_PROTOCOL' && runner === this.#runner) this.#fail(error);
      throw error;
    } finally {
      this.#isCounting = false;
    }
    // A device that was reset says so, at the latest when it is asked.
    if (this.#counters.hasBackwards) await this.#poll();
    const backwards = this.#counters.takeBackwards();
    if (backwards > 0 && runner === this.#runner && this.#isReady)
      runner.accuse(`returned ${backwards} counters that ran backwards`);
    if (this.#counters.isSearching) this.#adoptSaved();
    if (isSample) this.#counters.sample(performance.now());
  }

  /** A device may be silent about what counts nothing yet, and earlier hosts have counted it. */
  #adoptSaved(): void {
    for (const table of this.#desired.allTables)
      for (const entry of table.entries.values()) this.#counters.adopt(table.handle(entry));
    for (let index = 1; index <= SEARCHED_ROUTES; index++)
      this.#counters.adopt(handleOf(ENTRY_KIND.route, index));
  }

  #takeCounters(runner: Runner, page: CounterRecord): void {
    let forged = 0;
    for (page.rewind(); page.next(); ) if (!this.#desired.isHandle(page.handle)) forged++;
    if (forged > 0) runner.accuse(`returned ${forged} counters of no entry`);
    this.#counters.take(page);
  }

  /** Entries that ever counted, as last read. Monotonic across restarts of the plugin. */
  counters(): EntryCounter[] {
    return [...this.#counters];
  }

  /** Of an object of an offload kind, as last read; undefined if it has no entry. */
  counterOf(kind: KindNumber, id: number): { packets: number; bytes: number } | undefined {
    const handle = kind === KIND.offload ? this.#desired.customs.handleOf(id) : 0;
    if (handle === 0) return undefined;
    const { packets = 0, bytes = 0 } = this.#counters.of(handle) ?? {};
    return { packets, bytes };
  }

  /** Neighbours and bridge addresses in use after `since`, as last read. */
  *used(since: number): Generator<{ readonly kind: KindNumber; readonly id: number }> {
    const fdb = new Set<number>();
    for (const { handle, lastUsed } of this.#counters) {
      if (lastUsed < since) continue;
      const kind = kindOfHandle(handle);
      const neighbour = kind === ENTRY_KIND.nexthop ? this.states.objectOf(handle) : undefined;
      if (neighbour !== undefined) yield neighbour;
      if (kind === ENTRY_KIND.fdbEntry || kind === ENTRY_KIND.remote) fdb.add(handle);
    }
    if (fdb.size > 0) yield* this.states.fdbOf(fdb);
  }

  *savedCounters(): Generator<SavedCounter & { readonly entry: string }> {
    for (const { handle, ...saved } of this.#counters.saved())
      yield { entry: this.states.describe(handle), ...saved };
  }
}

function reasonOfOutcome(reason: number): number {
  const name = OUTCOME_REASON_NAMES[reason] as Reason | undefined;
  return name === undefined ? REASON.invalid : (REASON[name] ?? REASON.invalid);
}
