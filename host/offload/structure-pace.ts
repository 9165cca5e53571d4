/**
 * How often the structure (ports, rules, filters) is planned again. Planning looks at all of it, and thousands of filters come in
 * hundreds of messages: planned after each, they would cost the square of their number. So planning rests as long as it took, and what
 * comes meanwhile is planned together. Nothing else goes out meanwhile, as that is to follow the structure.
 */

/** What is over sooner is not rested after, in milliseconds: a few filters wait for nothing. */
const SHORT_MS = 2;
/** The longest rest, in milliseconds. */
const REST_MAX_MS = 1000;

export class StructurePace {
  #until = 0;

  /** It was planned, or there was nothing to plan; performance.now() before and after. */
  took(began: number, ended: number): void {
    const took = ended - began;
    if (took >= SHORT_MS) this.#until = ended + Math.min(took, REST_MAX_MS);
  }

  /** Milliseconds until it may be planned again. */
  rest(now: number): number {
    return Math.max(0, this.#until - now);
  }
}
