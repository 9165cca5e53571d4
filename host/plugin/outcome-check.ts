/** Holds outcomes to the batch they answer, without allocating: a handle of the batch each, once, with known values. */

import { BATCH_ENTRIES_MAX, type BatchEncoder } from './batch.ts';
import { type OutcomeRecord, REASON_NAMES, STATUS_NAMES } from './records.ts';

/** Places for handles: a power of two, at most half full. */
const PLACES = BATCH_ENTRIES_MAX * 2;

export class OutcomeCheck {
  private readonly handles = new Uint32Array(PLACES);
  /** The check in which a place was filled, so that nothing has to be cleared. */
  private readonly filled = new Uint32Array(PLACES);
  /** The check in which the place's handle was answered. */
  private readonly answered = new Uint32Array(PLACES);
  private check = 0;

  /** Moves the valid outcomes to the front, sets the cursor's length to their number and returns how many were not. */
  run(batch: BatchEncoder, outcomes: OutcomeRecord): number {
    const total = outcomes.length;
    if (total === 0) return 0;
    this.fill(batch);
    let valid = 0;
    for (let index = 0; index < total; index++) {
      outcomes.seek(index);
      const known = outcomes.status < STATUS_NAMES.length && outcomes.reason < REASON_NAMES.length;
      if (!known || !this.answer(outcomes.handle)) continue;
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
      this.filled[place] = this.check;
    }
  }

  /** True once for each handle of the batch. */
  private answer(handle: number): boolean {
    const place = this.place(handle);
    if (this.filled[place] !== this.check || this.answered[place] === this.check) return false;
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
