/**
 * The numbers kept per object, in pages of parallel typed arrays: growing adds a page and moves nothing. The first page
 * of a table starts small, because most kinds have few objects.
 */

export const PAGE_BITS = 15;
const PAGE_SLOTS = 1 << PAGE_BITS;
export const PAGE_MASK = PAGE_SLOTS - 1;
const FIRST_SLOTS = 64;
/** 4 + 8 + 4 + 2 + 1 + 1 */
const SLOT_BYTES = 20;

export class Page {
  /** Revision of the last change. */
  revisions: Float64Array;
  /** Address in the arena; of a free slot: the next free slot. */
  addresses: Uint32Array;
  /** Place among the objects with the same key; only when some share one. */
  orders: Int32Array | undefined;
  /** Words of the object. */
  lengths: Uint16Array;
  states: Uint8Array;
  /** Sweep in which the object was last seen. */
  seen: Uint8Array;

  constructor(slots: number) {
    this.revisions = new Float64Array(slots);
    this.addresses = new Uint32Array(slots);
    this.lengths = new Uint16Array(slots);
    this.states = new Uint8Array(slots);
    this.seen = new Uint8Array(slots);
  }

  get slots(): number {
    return this.addresses.length;
  }

  /** A larger page with the same content. */
  grown(slots: number): Page {
    const page = new Page(slots);
    page.revisions.set(this.revisions);
    page.addresses.set(this.addresses);
    page.lengths.set(this.lengths);
    page.states.set(this.states);
    page.seen.set(this.seen);
    if (this.orders !== undefined) {
      page.orders = new Int32Array(slots);
      page.orders.set(this.orders);
    }
    return page;
  }
}

export class Slots {
  readonly #pages: Page[] = [new Page(FIRST_SLOTS)];

  /** Bytes held. */
  get size(): number {
    return this.#pages.reduce((sum, page) => sum + page.slots * SLOT_BYTES, 0);
  }

  /** The page of a slot; its index there is `slot & PAGE_MASK`. */
  page(slot: number): Page {
    return this.#pages[slot >>> PAGE_BITS]!;
  }

  /** Makes sure that `slot` exists. */
  reserve(slot: number): void {
    const number = slot >>> PAGE_BITS;
    const page = this.#pages[number];
    if (page === undefined) this.#pages.push(new Page(PAGE_SLOTS));
    else if ((slot & PAGE_MASK) >= page.slots) {
      this.#pages[number] = page.grown(Math.min(PAGE_SLOTS, page.slots * 2));
    }
  }

  forgetSeen(): void {
    for (const page of this.#pages) page.seen.fill(0);
  }

  /** Those seen since the number was given are of number 1 now, all others of 0. */
  renumberSeen(since: number): void {
    for (const { seen } of this.#pages)
      for (let at = 0; at < seen.length; at++) seen[at] = seen[at]! >= since ? 1 : 0;
  }
}
