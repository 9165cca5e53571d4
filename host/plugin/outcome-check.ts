/**
 * Holds outcomes to the batch they answer, without allocating: a handle of the batch each, once, with a status and a reason that
 * go together, and nothing that is removed is held.
 */

import { BATCH_ENTRIES_MAX, type BatchEncoder } from './batch.ts';
import { OPERATION, type OutcomeRecord, REASON, REASON_NAMES, STATUS } from './records.ts';

/** Places for handles: a power of two, at most half full. */
const PLACES = BATCH_ENTRIES_MAX * 2;

export class OutcomeCheck {
  private readonly handles = new Uint32Array(PLACES);
  /** The check in which a place was filled, so that nothing has to be cleared. */
  private readonly filled = new Uint32Array(PLACES);
  /** The check in which the place's handle was answered. */
  private readonly answered = new Uint32Array(PLACES);
  private readonly operations = new Uint8Array(PLACES);
  private check = 0;

  /** Moves the valid outcomes to the front, sets the cursor's length to their number and returns how many were not. */
  run(batch: BatchEncoder, outcomes: OutcomeRecord): number {
    const total = outcomes.length;
    if (total === 0) return 0;
    this.fill(batch);
    let valid = 0;
    for (let index = 0; index < total; index++) {
      outcomes.seek(index);
      const { status, reason, handle } = outcomes;
      if (!goTogether(status, reason) || !this.answer(handle, status)) continue;
      if (valid !== index) {
        const to = outcomes.start + valid * outcomes.stride;
        outcomes.u8.copyWithin(to, outcomes.offset, outcomes.offset + outcomes.stride);
      }
      valid++;
    }
    outcomes.reset(valid);
    return total - valid;
  }

  private fill(batch: BatchEncoder): void {
    this.check = (this.check + 1) >>> 0;
    if (this.check === 0) {
      // Marks of four billion checks ago would look like this one's.
      this.filled.fill(0);
      this.answered.fill(0);
      this.check = 1;
    }
    for (let index = 0; index < batch.count; index++) {
      const handle = batch.handles[index]!;
      const place = this.place(handle);
      this.handles[place] = handle;
      this.operations[place] = batch.operations[index]!;
      this.filled[place] = this.check;
    }
  }

  /** True once for each handle of the batch. */
  private answer(handle: number, status: number): boolean {
    const place = this.place(handle);
    if (this.filled[place] !== this.check || this.answered[place] === this.check) return false;
    if (status === STATUS.trapped && this.operations[place] === OPERATION.remove) return false;
    this.answered[place] = this.check;
    return true;
  }

  /** Where the handle is, or would be. */
  private place(handle: number): number {
    // Knuth's multiplicative hash; the upper bits are the good ones.
    let place = Math.imul(handle, 0x9e3779b1) >>> 19;
    while (this.filled[place] === this.check && this.handles[place] !== handle)
      place = (place + 1) & (PLACES - 1);
    return place;
  }
}

/** Whoever refuses or fails says why; what is held, or will be, needs no reason. */
function goTogether(status: number, reason: number): boolean {
  switch (status) {
    case STATUS.trapped:
    case STATUS.pending:
      return reason === REASON.none;
    case STATUS.refused:
    case STATUS.failed:
      return reason !== REASON.none && reason < REASON_NAMES.length;
    default:
      return false;
  }
}
