/**
 * A running plugin as the planner sees it.
 *
 * Batches go through a ring of slots in shared memory and are answered in the order they were committed:
 *
 *     const batch = runner.begin();            // undefined: all slots are in flight, `ready` will be called
 *     batch.route(OPERATION.put, handle).vrf = 0; …
 *     const sequence = runner.commit();        // listener.result(…) follows, later
 *
 * Every call that goes to the plugin keeps that order: a `readback` begun after a commit sees what the batch did. All
 * callbacks run on the main thread, never during `begin` or `commit`.
 */

import type { EkhoError } from '../errors.ts';
import type { BatchEncoder, BatchReader } from './batch.ts';
import type { OffloadKind } from './offload-kinds.ts';
import type { CounterRecord, EventRecord, NoticeRecord, OutcomeRecord, TableUsageRecord } from './records.ts';

export interface Ability {
  /** Index in `ENTRY_KIND_NAMES`. */
  readonly kind: number;
  /** Entries. */
  readonly capacity: number;
  readonly updateInPlace: boolean;
  readonly counts: boolean;
  readonly readsBack: boolean;
}

/** What the plugin said of itself (`plugin.describe`), checked. Each kind is there at most once. */
export interface Description {
  readonly vendor: string;
  readonly name: string;
  readonly version: string;
  readonly abilities: readonly Ability[];
  /** Bits of `ACL_FIELDS`. */
  readonly aclFields: number;
  /** Bits of `ACL_EDITS`. */
  readonly aclEdits: number;
  readonly groupMembers: number;
  readonly reversePath: boolean;
  readonly vlanInterfaces: boolean;
  /** Milliseconds, 0: never. */
  readonly pollInterval: number;
  /** Bits of `NOTICE_SET`. */
  readonly notices: number;
  /** Kinds of object that it declares itself; their place is the number that entries name them by. */
  readonly offloadKinds: readonly OffloadKind[];
}

/** The answer to one batch. Reused: valid only until the callback returns. */
export interface BatchResult {
  /** What `commit` returned. */
  readonly sequence: number;
  /** The batch as it was committed: `handles`, `operations`, `count`. */
  readonly batch: BatchEncoder;
  /**
   * What was not plain success. Checked: handles are of this batch and stand here once, `status` and `reason` are
   * values of theirs.
   */
  readonly outcomes: OutcomeRecord;
  /**
   * Outcomes left out because they broke the contract (`fault` tells). More than 0: what became of the batch is not
   * known, and only a readback can tell.
   */
  readonly invalid: number;
  /** Of a traced batch, when the plugin began and ended its work on it: milliseconds of `performance.now`. */
  readonly began: number | undefined;
  readonly ended: number | undefined;
}

/** The arguments of all callbacks are reused: copy what must outlive the call. */
export interface RunnerListener {
  /** Once per committed batch, in order, unless the plugin goes down first. */
  result(result: BatchResult): void;
  /** A slot became free after `begin` or `beginNotices` had returned undefined. */
  ready(): void;
  /** What the hardware had to say. Not checked beyond the count: handles may be unknown, enums without a meaning. */
  events(events: EventRecord): void;
  /** The plugin broke the contract (E_PLUGIN_PROTOCOL) but goes on. */
  fault(error: EkhoError): void;
  /** The last callback: E_PLUGIN_TRAP, E_PLUGIN_TIMEOUT, or undefined after `stop`. What is in flight is lost. */
  down(error: EkhoError | undefined): void;
}

export interface RunnerCounters {
  batches: number;
  /** Entries in those batches, members not counted. */
  entries: number;
  outcomes: number;
  /** Microseconds from the commit of each batch to its answer, summed. */
  applyMicroseconds: number;
  /** Times the plugin broke the contract. */
  faults: number;
  /** Times `begin` found no free slot. */
  ringFull: number;
  /** Log lines dropped: beyond the rate, or the host did not keep up. */
  logLinesDropped: number;
  /** Calls of its device, and how many of them were made to wait as they came at more than its rate. */
  deviceCalls: number;
  deviceWaits: number;
}

export interface Runner {
  /** The plugin file's name without `.wasm`. */
  readonly name: string;
  readonly description: Description;
  readonly counters: Readonly<RunnerCounters>;
  /** Batches committed and not answered yet. */
  readonly inFlight: number;
  /** Bytes of the plugin's own memory after its last answer; 0 before the first. */
  readonly memory: number;
  /** Set once, before the first `begin`. */
  listen(listener: RunnerListener): void;

  /** An empty batch to fill, always the same one until `commit`. Undefined when all slots are in flight or it is down. */
  begin(): BatchEncoder | undefined;
  /** Sends the batch (or notices) begun. Sequences count up by one from 1. An empty one is legal but pointless. `isTraced`: its times are taken. */
  commit(isTraced?: boolean): number;

  /** Kernel events to pass on: `append` and fill up to `NOTICES_MAX`, then `commitNotices`. Undefined as in `begin`. */
  beginNotices(): NoticeRecord | undefined;
  commitNotices(): void;

  /**
   * Everything the device holds, page by page; a page is valid during the call. Batches may be committed meanwhile and
   * take effect between two pages. Rejects with EkhoError: E_PLUGIN_PROTOCOL (pages without end or beyond the limit),
   * or the error of `down`.
   */
  readback(onPage: (page: BatchReader) => void): Promise<void>;
  /** Cumulative counters, page by page, as `readback`. */
  collect(onPage: (counters: CounterRecord) => void): Promise<void>;
  tables(onTables: (tables: TableUsageRecord) => void): Promise<void>;
  /** What it answered cannot be, which only the caller can tell: counted and told as a `fault` of it. */
  accuse(what: string): void;
  /** Asks the hardware now; `events` is called if there are any. The runner polls by itself at the described interval. */
  poll(): Promise<void>;

  /** Lets the plugin stop in order, after what was committed. Ends in `down(undefined)`, or an error if it hangs. */
  stop(): Promise<void>;
  /** Ends the worker at once, whatever it does; `down(error)` follows. */
  kill(error: EkhoError): void;
}

export { NOTICES_MAX } from './ring.ts';
