/** Rows on their way to the device: those of one table go together, so that many of them cost one call. */
import {
  LogLevel,
  logWrite,
  Operation,
  OutcomeList,
  Reason,
  RtnetlinkCompletion,
  RtnetlinkStatus,
  rtnetlinkReason,
  rtnetlinkRemove,
  rtnetlinkWrite,
  Status,
} from './ekho';

/** Members of a group, at most. */
export const GROUP_MEMBERS: u32 = 128;
/** Rows after which they are sent. */
const ROWS: i32 = 64;
/** Words of a row, by table (wit/host.wit). */
export const WORDS: StaticArray<i32> = [4, 11, 4, 10, 8];
const WORDS_MAX: i32 = 11;
/** asm-generic/errno.h: what a link that is down answers. */
const ENETDOWN: u32 = 100;

/** Rows, or handles alone where they are removed. */
const words = new StaticArray<u32>((ROWS + <i32>GROUP_MEMBERS) * WORDS_MAX);
let rows: i32 = 0;
let table: u8 = 0;
let operation: u8 = 0;
/** Whether this batch's log says already what the other kernel refused. */
let isSaid: bool = false;

export function beginBatch(): void {
  rows = 0;
  isSaid = false;
}

/** Before the rows of an entry: those that wait are sent if these cannot go with them. */
export function beginEntry(ofTable: u8, withOperation: u8, outcomes: OutcomeList): void {
  if (rows >= ROWS || table !== ofTable || operation !== withOperation) send(outcomes);
  table = ofTable;
  operation = withOperation;
}

/** One more row, its first word the handle; returns where its second goes. */
export function addRow(handle: u32): i32 {
  const at = rows++ * width();
  words[at] = handle;
  return at + 1;
}

export function put(at: i32, value: u32): void {
  words[at] = value;
}

export function putWide(at: i32, value: u64): void {
  words[at] = <u32>(value >> 32);
  words[at + 1] = <u32>value;
}

function width(): i32 {
  return operation === Operation.remove ? 1 : WORDS[table];
}

/** Sends what waits. The device stops at the first row that fails; the entry it belongs to is answered for, and the rest sent. */
export function send(outcomes: OutcomeList): void {
  const size = width();
  let from: i32 = 0;
  while (from < rows) {
    const start = from * size;
    const count = (rows - from) * size;
    const done =
      operation === Operation.remove
        ? rtnetlinkRemove(table, words, start, count)
        : rtnetlinkWrite(table, words, start, count);
    from += <i32>done.done;
    if (done.status === RtnetlinkStatus.ok || from >= rows) break;
    const handle = words[from * size];
    answer(handle, done, outcomes);
    // A group has a row for each of its members.
    while (from < rows && words[from * size] === handle) from++;
  }
  rows = 0;
}

function answer(handle: u32, done: RtnetlinkCompletion, outcomes: OutcomeList): void {
  const outcome = outcomes.add();
  outcome.handle = handle;
  outcome.detail = done.errno;
  outcome.status = Status.refused;
  outcome.reason = Reason.deviceError;
  if (done.status === RtnetlinkStatus.invalid) outcome.reason = Reason.invalid;
  if (done.status === RtnetlinkStatus.missingLink) outcome.reason = Reason.missingReference;
  // What may go well the next time has failed, and the host asks again: a link may come, and one that is down go up.
  const isPassing =
    done.status === RtnetlinkStatus.missingLink ||
    done.status === RtnetlinkStatus.ioError ||
    (done.status === RtnetlinkStatus.refused && done.errno === ENETDOWN);
  if (isPassing) outcome.status = Status.failed;
  if (isSaid) return;
  isSaid = true;
  logWrite(LogLevel.warn, rtnetlinkReason());
}
