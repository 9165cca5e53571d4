/**
 * Follows a share of the mirror's transactions from the kernel's notification to the devices' answers, one at a time, and hands what it
 * saw to whoever makes spans of it. The layers a change passes tell it by the methods; where there is no tracer they tell nobody,
 * and nothing is allocated. With one, a transaction that was not chosen costs a comparison for each call.
 */

/** Batches of one transaction that are followed; further ones are sent without. */
const BATCHES_MAX = 64;
/** An answer that takes longer ends the trace without it, in milliseconds. */
const OPEN_MAX_MS = 30_000;

/** Times are milliseconds of `performance.now`. */
export interface TracedBatch {
  readonly plugin: string;
  readonly sequence: number;
  readonly entries: number;
  /** The plan began to be encoded, the slot of the ring was handed over, the plugin took it, had done it, the host took the answer. */
  readonly planned: number;
  readonly sent: number;
  began: number;
  ended: number;
  answered: number;
  /** Entries whose outcome is not plain success. */
  outcomes: number;
}

export interface ChangeTrace {
  readonly revision: number;
  readonly changes: number;
  /** The first notification was taken, the transaction ended, all who listen had been told. */
  readonly received: number;
  readonly committing: number;
  readonly committed: number;
  /** Those that were not answered have 0 there. */
  readonly batches: readonly TracedBatch[];
  /** All batches were answered. */
  readonly isWhole: boolean;
}

interface OpenTrace {
  readonly revision: number;
  readonly changes: number;
  readonly received: number;
  readonly committing: number;
  readonly committed: number;
  readonly batches: TracedBatch[];
  waiting: number;
  /** When the plan of each plugin began to be encoded. */
  readonly planned: Map<string, number>;
  /** Plans had their turn: batches from now on are of later changes. */
  isPlanned: boolean;
  readonly timer: NodeJS.Timeout;
}

const IDLE = 0;
const CHOSEN = 1;
const LEFT_OUT = 2;

export class ChangeTracer {
  readonly #sample: number;
  readonly #done: (trace: ChangeTrace) => void;
  #state = IDLE;
  #received = 0;
  #committing = 0;
  #open: OpenTrace | undefined;

  /** `sample`: share of transactions, 0 to 1; while one is followed no other is. */
  constructor(sample: number, done: (trace: ChangeTrace) => void) {
    this.#sample = sample;
    this.#done = done;
  }

  /** A notification is about to change the mirror. */
  received(): void {
    if (this.#state !== IDLE) return;
    const isChosen = this.#open === undefined && Math.random() < this.#sample;
    this.#state = isChosen ? CHOSEN : LEFT_OUT;
    if (isChosen) this.#received = performance.now();
  }

  /** The transaction ends, and those who listen are told in `listeners`. */
  committing(): void {
    if (this.#state === CHOSEN) this.#committing = performance.now();
  }

  committed(changes: number, revision: number): void {
    const isChosen = this.#state === CHOSEN;
    this.#state = IDLE;
    // What came and went within the transaction is no change.
    if (!isChosen || changes === 0) return;
    const open: OpenTrace = {
      revision,
      changes,
      received: this.#received,
      committing: this.#committing,
      committed: performance.now(),
      batches: [],
      waiting: 0,
      planned: new Map(),
      isPlanned: false,
      timer: setTimeout(() => this.#finish(open), OPEN_MAX_MS).unref(),
    };
    this.#open = open;
    // Plans that have something to send have asked for their turn before this.
    setImmediate(() => {
      open.isPlanned = true;
      this.#finishIfDone(open);
    });
  }

  /** A plan is about to be brought into batches: whether they are to be traced. */
  planning(plugin: string): boolean {
    const open = this.#open;
    if (open === undefined || open.isPlanned || open.batches.length >= BATCHES_MAX) return false;
    open.planned.set(plugin, performance.now());
    return true;
  }

  /** `planning` said yes, and this came of it. */
  sent(plugin: string, sequence: number, entries: number): void {
    const open = this.#open;
    const planned = open?.planned.get(plugin);
    if (open === undefined || planned === undefined || open.batches.length >= BATCHES_MAX) return;
    const sent = performance.now();
    open.batches.push({
      plugin,
      sequence,
      entries,
      planned,
      sent,
      began: 0,
      ended: 0,
      answered: 0,
      outcomes: 0,
    });
    open.planned.set(plugin, sent);
    open.waiting++;
  }

  /** `began` and `ended`: the plugin's work on it. */
  answered(plugin: string, sequence: number, began: number, ended: number, outcomes: number): void {
    const open = this.#open;
    const batch = open?.batches.find((one) => one.plugin === plugin && one.sequence === sequence);
    if (open === undefined || batch === undefined || batch.answered !== 0) return;
    // The plugin may have taken it before `sent` was noted, and its clock has microseconds.
    batch.began = Math.max(began, batch.sent);
    batch.ended = Math.max(ended, batch.began);
    batch.answered = Math.max(performance.now(), batch.ended);
    batch.outcomes = outcomes;
    open.waiting--;
    this.#finishIfDone(open);
  }

  /** The plugin went: what it was sent is not answered. */
  lost(plugin: string): void {
    const open = this.#open;
    if (open?.batches.some((one) => one.plugin === plugin && one.answered === 0)) this.#finish(open);
  }

  #finishIfDone(open: OpenTrace): void {
    if (open.isPlanned && open.waiting === 0) this.#finish(open);
  }

  #finish(open: OpenTrace): void {
    if (this.#open !== open) return;
    clearTimeout(open.timer);
    this.#open = undefined;
    const { revision, changes, received, committing, committed, batches, waiting } = open;
    this.#done({ revision, changes, received, committing, committed, batches, isWhole: waiting === 0 });
  }
}
