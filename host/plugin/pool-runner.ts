/** The main thread's side of a running plugin: the ring, the watchdog, and the worker in a pool of one thread. */

import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { DeviceShare } from '../device/types.ts';
import { EkhoError, ERROR_CODES, type ErrorCode } from '../errors.ts';
import { BATCH_ENTRIES_MAX, BatchEncoder, BatchReader } from './batch.ts';
import { checkDescription } from './description.ts';
import { DEVICE_CALLS_DEFAULT } from './device-ration.ts';
import type { UpMessage, WorkerEnd } from './instance.ts';
import { compileModules, type LoadedPlugin } from './load.ts';
import { OutcomeCheck } from './outcome-check.ts';
import { readLayouts } from './package.ts';
import { type PluginProcess, startPluginProcess } from './plugin-process.ts';
import { type MemoryViews, memoryViews } from './record-cursor.ts';
import { CounterRecord, EventRecord, NoticeRecord, OutcomeRecord, TableUsageRecord } from './records.ts';
import {
  BREACH,
  batchOffset,
  CONTROL,
  HEADER,
  headerOffset,
  LOG_LINE_SIZE,
  LOG_LINES,
  LOG_OFFSET,
  monotonic_us,
  NOTICES_MAX,
  OP,
  PHASE,
  PHASE_NAMES,
  RING_SIZE,
  resultOffset,
  SLOTS,
} from './ring.ts';
import type { BatchResult, Description, Runner, RunnerCounters, RunnerListener } from './runner.ts';
import type { WorkerTask } from './worker.ts';

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));

/** Milliseconds. What takes longer is ended. */
export interface RunnerLimits {
  /** One batch. Default 1000. */
  readonly apply: number;
  /** Any other call while running. Default 2000. */
  readonly call: number;
  /** `configure` and `start`, and `stop`. Default 5000. */
  readonly start: number;
  /** Instantiation, with what runs in it: core modules may have a start function. Default 10000. */
  readonly instantiate: number;
  /** The worker's or process's own start. Default 60000. */
  readonly load: number;
}

export const LIMITS_DEFAULT: RunnerLimits = {
  apply: 1000,
  call: 2000,
  start: 5000,
  instantiate: 10_000,
  load: 60_000,
};

/** `process`: in a process of its own that can reach nothing. `worker`: in a thread of the host. */
export type Isolation = 'process' | 'worker';

export interface StartOptions {
  readonly plugin: LoadedPlugin;
  /** Default `worker`: for those who trust the plugin. */
  readonly isolation?: Isolation;
  readonly devices: readonly DeviceShare[];
  readonly settings?: readonly { readonly name: string; readonly value: string }[];
  readonly limits?: Partial<RunnerLimits>;
  /** Device calls a second that it may make for long, and at once. Default 100,000. */
  readonly deviceCalls?: number;
  /** `glue`: every call through jco's typed API, slow: the reference. Default `direct`. */
  readonly path?: 'direct' | 'glue';
  /** A line the plugin logged; control characters are still in it. */
  readonly onLog?: (level: number, text: string) => void;
  /** As the listener's `fault` and, after it came up, `down`: for whoever started it. Called after the listener's. */
  readonly onFault?: (error: EkhoError) => void;
  readonly onDown?: (error: EkhoError | undefined) => void;
}

/** How often the watchdog looks. Time is counted in looks, so a busy main thread does not count against a plugin. */
const WATCH_INTERVAL_MS = 20;

/** JavaScript memory of the worker; the plugin's own memory is capped in its module. Serving makes little garbage, and a worker that waits collects none. */
const WORKER_LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 4, stackSizeMb: 4 };

/** Calls that wait for a slot. */
const WAITING_MAX = 64;

/** Pages of a readback or collect that bring nothing, in a row. */
const EMPTY_PAGES_MAX = 64;
/** All pages of a readback or collect: a plugin that takes longer does not end. */
const PAGES_MS = 120_000;
/** Records in one collect or readback: some more than any plugin may declare to hold are a plugin that does not end. */
const SPARE_RECORDS = 65_536;

/** Bytes of a page of WebAssembly memory. */
const PAGE_SIZE = 65_536;

const TEXT_DECODER = new TextDecoder();

interface Slot {
  readonly number: number;
  /** Index of the slot's header in 32-bit words. */
  readonly header: number;
  readonly encoder: BatchEncoder;
  readonly page: BatchReader;
  readonly outcomes: OutcomeRecord;
  readonly counters: CounterRecord;
  readonly events: EventRecord;
  readonly tables: TableUsageRecord;
  readonly notices: NoticeRecord;
  sequence: number;
  /** When its batch was committed: milliseconds of `performance.now`. */
  committed: number;
  /** Settles the call that the slot carries, if it is not a batch. */
  settle: Settle | undefined;
}

interface Settle {
  readonly done: (slot: Slot) => void;
  readonly failed: (error: EkhoError) => void;
}

interface Waiting extends Settle {
  readonly fill: (slot: Slot) => void;
}

class PoolRunner implements Runner {
  readonly name: string;
  description!: Description;
  /** Core exports are called directly. */
  direct = false;
  readonly counters: RunnerCounters = {
    batches: 0,
    entries: 0,
    outcomes: 0,
    applyMicroseconds: 0,
    faults: 0,
    ringFull: 0,
    logLinesDropped: 0,
    deviceCalls: 0,
    deviceWaits: 0,
  };
  inFlight = 0;
  memory = 0;

  private readonly limits: RunnerLimits;
  private readonly options: StartOptions;
  private readonly ring = new SharedArrayBuffer(RING_SIZE);
  private readonly control = new Int32Array(this.ring);
  private readonly views: MemoryViews = memoryViews(this.ring);
  private readonly slots: Slot[] = [];
  private readonly free: Slot[] = [];
  private readonly waiting: Waiting[] = [];
  private readonly check = new OutcomeCheck();
  private readonly result: { -readonly [K in keyof BatchResult]: BatchResult[K] };
  private readonly pool: Piscina<WorkerTask, WorkerEnd>;
  private process: PluginProcess | undefined;
  private listener: RunnerListener | undefined;
  private batch: Slot | undefined;
  private notices: Slot | undefined;
  private submitted = 0;
  private completed = 0;
  private sequence = 0;
  private starved = false;
  private stopping = false;
  private polling = false;
  private down = false;
  private downError: EkhoError | undefined;
  private watch: NodeJS.Timeout | undefined;
  private pollTimer: NodeJS.Timeout | undefined;
  /** What the watchdog saw last, and for how many looks it has been so. */
  private seenCompleted = 0;
  private seenPhase = 0;
  private looks = 0;
  private readonly up = Promise.withResolvers<void>();
  private wasUp = false;

  constructor(options: StartOptions) {
    this.name = options.plugin.name;
    this.limits = { ...LIMITS_DEFAULT, ...options.limits };
    this.options = options;
    for (let number = 0; number < SLOTS; number++) {
      const { views } = this;
      const slot: Slot = {
        number,
        header: headerOffset(number) >>> 2,
        encoder: new BatchEncoder(views, batchOffset(number)),
        page: new BatchReader(views, batchOffset(number)),
        outcomes: new OutcomeRecord(views, resultOffset(number)),
        counters: new CounterRecord(views, resultOffset(number)),
        events: new EventRecord(views, resultOffset(number)),
        tables: new TableUsageRecord(views, resultOffset(number)),
        notices: new NoticeRecord(views, resultOffset(number)),
        sequence: 0,
        committed: 0,
        settle: undefined,
      };
      this.slots.push(slot);
      this.free.push(slot);
    }
    this.result = {
      sequence: 0,
      batch: this.slots[0]!.encoder,
      outcomes: this.slots[0]!.outcomes,
      invalid: 0,
      began: undefined,
      ended: undefined,
    };
    this.pool = new Piscina({
      filename: WORKER,
      name: 'serve',
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      // One task for life: the pool's own waiting would only add a second.
      atomics: 'disabled',
      recordTiming: false,
      env: {},
      argv: [],
      execArgv: [],
      resourceLimits: WORKER_LIMITS,
    });
    // A worker's error ends its task too, which is where it is handled; before there is one, the pool makes another worker.
    this.pool.on('error', () => {});
  }

  /** Brings the plugin up. Rejects with the reason, the worker gone. */
  async start(): Promise<void> {
    const { options } = this;
    const task: WorkerTask = {
      ring: this.ring,
      wit: readLayouts().package,
      code: await this.code(),
      devices: options.devices.filter(({ kind }) => options.plugin.devices.includes(kind)),
      deviceCalls: options.deviceCalls ?? DEVICE_CALLS_DEFAULT,
      settings: options.settings ?? [],
      direct: options.path !== 'glue',
    };
    this.wake();
    this.pool.on('message', (message: UpMessage) => this.arrive(message));
    // Ended by `kill`, it rejects; the reason is known then.
    this.pool
      .run(task)
      .catch(
        (error: unknown): WorkerEnd => ({
          end: 'failed',
          text: (error as Error).message,
          code: undefined,
        }),
      )
      .then(async (end) => this.ended(end, end.end === 'gone' ? await this.process?.ended : undefined));
    await this.up.promise;
  }

  private async code(): Promise<WorkerTask['code']> {
    const { plugin, isolation } = this.options;
    if (isolation !== 'process')
      return { isolation: 'worker', glue: plugin.glue, modules: await compileModules(plugin) };
    this.process = startPluginProcess(this.name, plugin.memoryMax);
    const { descriptors } = this.process;
    return { isolation: 'process', glue: plugin.source, modules: plugin.modules, descriptors };
  }

  listen(listener: RunnerListener): void {
    this.listener = listener;
    const { pollInterval } = this.description;
    if (pollInterval !== 0) this.pollTimer = setInterval(() => this.pollOnTimer(), pollInterval);
  }

  begin(): BatchEncoder | undefined {
    this.batch ??= this.take();
    return this.batch?.encoder;
  }

  commit(isTraced = false): number {
    const slot = this.batch;
    if (slot === undefined) throw new TypeError('commit without begin');
    this.batch = undefined;
    const { lists } = slot.encoder;
    for (let list = 0; list < lists.length; list++)
      this.views.u32[slot.header + HEADER.lists + list] = lists[list]!.length;
    slot.sequence = ++this.sequence;
    slot.committed = performance.now();
    this.inFlight++;
    this.counters.batches++;
    this.counters.entries += slot.encoder.count;
    this.submit(slot, OP.apply, Number(isTraced));
    return this.sequence;
  }

  beginNotices(): NoticeRecord | undefined {
    this.notices ??= this.take();
    return this.notices?.notices;
  }

  commitNotices(): void {
    const slot = this.notices;
    if (slot === undefined) throw new TypeError('commitNotices without beginNotices');
    if (slot.notices.length > NOTICES_MAX) throw new RangeError(`more than ${NOTICES_MAX} notices`);
    this.notices = undefined;
    this.views.u32[slot.header + HEADER.results] = slot.notices.length;
    this.submit(slot, OP.notify);
  }

  async readback(onPage: (page: BatchReader) => void): Promise<void> {
    const expected = this.description.abilities.reduce((sum, { capacity }) => sum + capacity, 0);
    const { groupMembers } = this.description;
    await this.pages(OP.readback, expected * (1 + groupMembers), (slot) => {
      const { lists } = slot.page;
      for (let list = 0; list < lists.length; list++)
        lists[list]!.reset(this.views.u32[slot.header + HEADER.lists + list]!);
      const { length } = slot.page;
      if (length !== 0) onPage(slot.page);
      return length;
    });
  }

  async collect(onPage: (counters: CounterRecord) => void): Promise<void> {
    const expected = this.description.abilities.reduce(
      (sum, one) => sum + (one.counts ? one.capacity : 0),
      0,
    );
    await this.pages(OP.collect, expected, (slot) => {
      slot.counters.reset(this.results(slot, 'counters'));
      if (slot.counters.length !== 0) onPage(slot.counters);
      return slot.counters.length;
    });
  }

  async tables(onTables: (tables: TableUsageRecord) => void): Promise<void> {
    await this.call(OP.tables, 0, (slot) => {
      slot.tables.reset(this.results(slot, 'tables'));
      onTables(slot.tables);
    });
  }

  async poll(): Promise<void> {
    await this.call(OP.poll, 0, (slot) => {
      slot.events.reset(this.results(slot, 'events'));
      if (slot.events.length !== 0) this.listener?.events(slot.events);
    });
  }

  async stop(): Promise<void> {
    if (this.down || this.stopping) return;
    this.stopping = true;
    // The worker ends by itself, which is `down`; an error of it is told there.
    await this.call(OP.stop, 0, () => {}).catch(() => {});
    await this.gone.promise;
  }

  kill(error: EkhoError): void {
    this.fall(error);
  }

  /** Resolves when the worker is no more. */
  private readonly gone = Promise.withResolvers<void>();

  private async pages(op: number, expected: number, page: (slot: Slot) => number): Promise<void> {
    const until = performance.now() + PAGES_MS;
    let cursor = 0;
    let total = 0;
    let empty = 0;
    do {
      cursor = await this.call(op, cursor, (slot) => {
        if (this.views.u32[slot.header + HEADER.breach] === BREACH.tooManyEntries)
          throw this.breach(`returned a page of more than ${BATCH_ENTRIES_MAX} entries`);
        const records = page(slot);
        total += records;
        empty = records === 0 ? empty + 1 : 0;
        return this.views.u32[slot.header + HEADER.next]!;
      });
      if (total > expected + SPARE_RECORDS || empty > EMPTY_PAGES_MAX || performance.now() > until)
        throw this.breach('returns pages without end');
    } while (cursor !== 0);
  }

  /** Records in the result area; those beyond the limit are a fault. */
  private results(slot: Slot, what: string): number {
    if (this.views.u32[slot.header + HEADER.excess] !== 0) this.fault(`returned too many ${what}`);
    return this.views.u32[slot.header + HEADER.results]!;
  }

  /** Sends one operation other than a batch; resolves to what `read` made of the answer, while the slot was held. */
  private call<T>(op: number, cursor: number, read: (slot: Slot) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.down) {
        reject(this.downError ?? stopped(this.name));
        return;
      }
      const waiting: Waiting = {
        fill: (slot) => {
          this.views.u32[slot.header + HEADER.cursor] = cursor;
          this.views.u32[slot.header + HEADER.limit] = BATCH_ENTRIES_MAX;
          slot.settle = waiting;
          this.submit(slot, op);
        },
        done: (slot) => {
          try {
            resolve(read(slot));
          } catch (error) {
            reject(error);
          }
        },
        failed: reject,
      };
      const slot = this.waiting.length === 0 ? this.free.pop() : undefined;
      if (slot !== undefined) waiting.fill(slot);
      else if (this.waiting.length < WAITING_MAX) this.waiting.push(waiting);
      else reject(new EkhoError('E_BUSY', `more than ${WAITING_MAX} calls wait for plugin ${this.name}`));
    });
  }

  private take(): Slot | undefined {
    // Calls that wait go first, so batches cannot keep them out for ever.
    if (this.down || this.stopping) return undefined;
    if (this.waiting.length !== 0 || this.free.length === 0) {
      this.counters.ringFull++;
      this.starved = true;
      return undefined;
    }
    const slot = this.free.pop()!;
    slot.encoder.reset();
    slot.notices.reset(0);
    return slot;
  }

  private submit(slot: Slot, op: number, traced = 0): void {
    if (this.down) return;
    this.views.u32[slot.header + HEADER.traced] = traced;
    this.views.u32[slot.header + HEADER.op] = op;
    this.control[CONTROL.queue + (this.submitted & (SLOTS - 1))] = slot.number;
    this.submitted = (this.submitted + 1) | 0;
    // Releases the slot and the queue entry: the worker loads the new count before it reads either.
    Atomics.store(this.control, CONTROL.submitted, this.submitted);
    Atomics.notify(this.control, CONTROL.submitted);
    this.wake();
  }

  /** Has the watchdog look, until it finds nothing under way. */
  private wake(): void {
    this.watch ??= setInterval(() => this.look(), WATCH_INTERVAL_MS);
  }

  /** Waits for the worker without blocking, for as long as it lives. */
  private async listenToRing(): Promise<void> {
    while (!this.down) {
      this.drain();
      // Not asynchronous when the worker has completed more since `drain` looked: then everyone else has a turn first.
      const { async, value } = Atomics.waitAsync(this.control, CONTROL.completed, this.completed);
      await (async ? value : setImmediate());
    }
  }

  /** Takes what the worker has answered. */
  private drain(): void {
    this.drainLog();
    // Acquires the answers: the worker's store of the count comes after they are written.
    const completed = Atomics.load(this.control, CONTROL.completed);
    while (this.completed !== completed && !this.down) {
      const slot = this.slots[this.control[CONTROL.queue + (this.completed & (SLOTS - 1))]!]!;
      this.completed = (this.completed + 1) | 0;
      this.answered(slot);
    }
    // A look of the watchdog that finds nothing would wake the host once more for each poll of an idle plugin.
    if (this.watch !== undefined && this.completed === this.submitted && this.isServing()) this.rest();
  }

  private isServing(): boolean {
    return Atomics.load(this.control, CONTROL.phase) === PHASE.serve;
  }

  private answered(slot: Slot): void {
    this.memory = this.views.u32[slot.header + HEADER.memory]! * PAGE_SIZE;
    const { settle } = slot;
    if (this.views.u32[slot.header + HEADER.op] === OP.apply) this.applied(slot);
    else if (settle !== undefined) {
      slot.settle = undefined;
      settle.done(slot);
    }
    if (this.down) return;
    this.free.push(slot);
    if (this.waiting.length !== 0) this.waiting.shift()!.fill(this.free.pop()!);
    else if (this.starved) {
      this.starved = false;
      this.listener?.ready();
    }
  }

  private applied(slot: Slot): void {
    const { result } = this;
    const { outcomes } = slot;
    outcomes.reset(this.views.u32[slot.header + HEADER.results]!);
    const excess = this.views.u32[slot.header + HEADER.excess]!;
    result.invalid = this.check.run(slot.encoder, outcomes) + excess;
    result.sequence = slot.sequence;
    result.batch = slot.encoder;
    result.outcomes = outcomes;
    this.takeTimes(slot);
    this.inFlight--;
    this.counters.outcomes += outcomes.length;
    this.counters.applyMicroseconds += Math.round((performance.now() - slot.committed) * 1000);
    if (result.invalid !== 0)
      this.fault(
        `answered a batch with ${result.invalid} outcomes that are not of it, given twice or impossible`,
      );
    this.listener?.result(result);
  }

  private takeTimes({ header }: Slot): void {
    const { result, views } = this;
    if (views.u32[header + HEADER.traced] === 0) {
      result.began = result.ended = undefined;
      return;
    }
    const now = performance.now();
    const now_us = monotonic_us();
    result.began = now - ((now_us - views.u32[header + HEADER.began]!) >>> 0) / 1000;
    result.ended = now - ((now_us - views.u32[header + HEADER.ended]!) >>> 0) / 1000;
  }

  accuse(what: string): void {
    if (!this.down) this.fault(what);
  }

  private fault(what: string): void {
    const error = this.breach(what);
    this.listener?.fault(error);
    this.options.onFault?.(error);
  }

  private breach(what: string): EkhoError {
    this.counters.faults++;
    return new EkhoError('E_PLUGIN_PROTOCOL', `plugin ${this.name} ${what}`, {
      remedy: 'This is a fault of the plugin: tell its vendor.',
    });
  }

  private drainLog(): void {
    const written = Atomics.load(this.control, CONTROL.logWritten);
    let read = this.control[CONTROL.logRead]!;
    for (; read !== written; read = (read + 1) | 0) {
      const at = LOG_OFFSET + (read & (LOG_LINES - 1)) * LOG_LINE_SIZE;
      const length = this.control[(at >>> 2) + 1]!;
      // Decoding does not work on shared memory.
      const text = TEXT_DECODER.decode(this.views.u8.slice(at + 8, at + 8 + length));
      this.options.onLog?.(this.control[at >>> 2]!, text);
    }
    Atomics.store(this.control, CONTROL.logRead, read);
    this.counters.logLinesDropped = Atomics.load(this.control, CONTROL.logDropped);
  }

  /** The words wrap, what they are added up to does not. */
  private countDeviceCalls(): void {
    const { control, counters } = this;
    counters.deviceCalls += (Atomics.load(control, CONTROL.deviceCalls) - counters.deviceCalls) >>> 0;
    counters.deviceWaits += (Atomics.load(control, CONTROL.deviceWaits) - counters.deviceWaits) >>> 0;
  }

  private pollOnTimer(): void {
    // A plugin that is slower than its interval is not asked twice at a time.
    if (this.polling || this.down || this.stopping) return;
    this.polling = true;
    this.poll()
      .catch(() => {})
      .finally(() => {
        this.polling = false;
      });
  }

  private look(): void {
    this.drainLog();
    this.countDeviceCalls();
    const completed = Atomics.load(this.control, CONTROL.completed);
    const phase = Atomics.load(this.control, CONTROL.phase);
    const idle = phase === PHASE.serve && completed === Atomics.load(this.control, CONTROL.submitted);
    if (idle) this.rest();
    if (idle || completed !== this.seenCompleted || phase !== this.seenPhase) {
      this.seenCompleted = completed;
      this.seenPhase = phase;
      this.looks = 0;
      return;
    }
    const limit = this.limitOf(phase, completed);
    if (++this.looks * WATCH_INTERVAL_MS < limit) return;
    const what = phase === PHASE.serve ? this.operationOf(completed) : PHASE_NAMES[phase];
    this.fall(
      new EkhoError(
        'E_PLUGIN_TIMEOUT',
        `plugin ${this.name} did not return from ${what} within ${limit} ms`,
        {
          operation: what!,
        },
      ),
    );
  }

  /** A plugin does nothing, and writes no line of its log, but in an operation: without one there is nothing to look at. */
  private rest(): void {
    this.drainLog();
    this.countDeviceCalls();
    clearInterval(this.watch);
    this.watch = undefined;
  }

  private opOf(completed: number): number {
    const slot = this.slots[this.control[CONTROL.queue + (completed & (SLOTS - 1))]!]!;
    return this.views.u32[slot.header + HEADER.op]!;
  }

  private operationOf(completed: number): string {
    const op = this.opOf(completed);
    return Object.entries(OP).find(([, value]) => value === op)?.[0] ?? 'a call';
  }

  private limitOf(phase: number, completed: number): number {
    if (phase === PHASE.boot || phase === PHASE.load) return this.limits.load;
    if (phase === PHASE.instantiate) return this.limits.instantiate;
    if (phase === PHASE.describe) return this.limits.call;
    if (phase !== PHASE.serve) return this.limits.start;
    const op = this.opOf(completed);
    if (op === OP.stop) return this.limits.start;
    return op === OP.apply ? this.limits.apply : this.limits.call;
  }

  private arrive(message: UpMessage): void {
    if (this.down) return;
    try {
      this.description = checkDescription(this.name, message.description);
      this.direct = message.direct;
    } catch (error) {
      // Another than EkhoError: a part is missing, as with a plugin made for another version of the interfaces.
      const known = error instanceof EkhoError;
      this.fall(known ? error : this.breach(`describes itself incompletely: ${(error as Error).message}`));
      return;
    }
    this.wasUp = true;
    this.process?.seal();
    this.up.resolve();
    void this.listenToRing();
  }

  /** @param how its process ended, where that is why */
  private ended(end: WorkerEnd, how?: string): void {
    if (!this.down) this.drain();
    const what = 'text' in end ? firstLine(end.text) : '';
    switch (end.end) {
      case 'stopped':
        this.fall(undefined);
        break;
      case 'refused':
        this.fall(
          new EkhoError('E_PLUGIN_START', `plugin ${this.name} does not start: ${end.text}`, {
            remedy: 'See its settings in the configuration and its log.',
          }),
        );
        break;
      case 'trap':
        this.fall(
          new EkhoError('E_PLUGIN_TRAP', `plugin ${this.name} trapped: ${what}`, {
            cause: new Error(end.text),
          }),
        );
        break;
      case 'gone':
        this.fall(new EkhoError('E_PLUGIN_TRAP', `the process of plugin ${this.name} ended: ${how}`));
        break;
      case 'failed':
        this.fall(
          new EkhoError(codeOf(end.code), `the worker of plugin ${this.name} ended: ${what}`, {
            cause: new Error(end.text),
          }),
        );
        break;
    }
  }

  /** The end, once. */
  private fall(error: EkhoError | undefined): void {
    if (this.down) return;
    this.drainLog();
    this.countDeviceCalls();
    this.down = true;
    this.downError = error;
    this.inFlight = 0;
    clearInterval(this.watch);
    clearInterval(this.pollTimer);
    // Ends `listenToRing`, whose promise would otherwise wait for a worker that is gone.
    Atomics.notify(this.control, CONTROL.completed);
    const reason = error ?? stopped(this.name);
    for (const slot of this.slots) {
      const { settle } = slot;
      slot.settle = undefined;
      settle?.failed(reason);
    }
    for (const waiting of this.waiting.splice(0)) waiting.failed(reason);
    const { wasUp } = this;
    const finish = () => {
      this.listener?.down(error);
      if (wasUp) this.options.onDown?.(error);
      else this.up.reject(reason);
      this.gone.resolve();
    };
    // First: the worker waits for it, and cannot be ended while it does.
    this.process?.kill();
    this.pool
      .destroy()
      .catch(() => {})
      .finally(() => {
        this.process?.close();
        finish();
      });
  }
}

function codeOf(code: string | undefined): ErrorCode {
  return code !== undefined && Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : 'E_PLUGIN_TRAP';
}

function firstLine(text: string): string {
  return text.split('\n')[0]!.slice(0, 300);
}

function stopped(name: string): EkhoError {
  return new EkhoError('E_PLUGIN_DOWN', `plugin ${name} has stopped`);
}

export type { PoolRunner };

/**
 * Starts a loaded plugin: a worker, `describe`, `configure`, `start`.
 *
 * @throws EkhoError E_PLUGIN_START (it refused), E_PLUGIN_TRAP, E_PLUGIN_TIMEOUT, E_PLUGIN_PROTOCOL (its description)
 */
export async function startRunner(options: StartOptions): Promise<PoolRunner> {
  const runner = new PoolRunner(options);
  await runner.start();
  return runner;
}
