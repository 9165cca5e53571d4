/** The reference for direct-calls.ts: the same slots, carried through jco's glue and its typed API. */

import { BATCH_LISTS, BATCH_OFFSETS, BATCH_STRIDES } from './batch.ts';
import type { Calls } from './calls.ts';
import type { Layout, Layouts } from './layout.ts';
import { BREACH, batchOffset, EVENTS_MAX, HEADER, headerOffset, resultOffset, TABLES_MAX } from './ring.ts';
import { camelCase, readValue, type Value, writeValue } from './values.ts';

type Batch = Record<string, Value[]>;

/** What the glue's `instantiate` returns, as far as it goes through the ring. */
export interface GlueExports {
  readonly offload: {
    apply(changes: Batch): Value[];
    readback(cursor: number, limit: number): { next: number; entries: Batch };
    poll(): Value[];
    tables(): Value[];
  };
  readonly notifier: { notify(notices: Value[]): void };
  readonly stats: { collect(cursor: number, limit: number): { next: number; counters: Value[] } };
}

export class GlueCalls implements Calls {
  private readonly glue: GlueExports;
  private readonly view: DataView;
  private readonly layouts: Layouts;
  /** Name and element of each list of a batch. */
  private readonly lists: { name: string; element: Layout }[];

  constructor(glue: GlueExports, slots: SharedArrayBuffer, layouts: Layouts) {
    this.glue = glue;
    this.view = new DataView(slots);
    this.layouts = layouts;
    const batch = layouts.named('types', 'batch').resolved;
    if (batch.is !== 'record') throw new TypeError('batch is not a record');
    this.lists = batch.fields.map(({ name, layout }) => {
      if (layout.resolved.is !== 'list') throw new TypeError(`${name} is not a list`);
      return { name: camelCase(name), element: layout.resolved.element };
    });
  }

  apply(slot: number): void {
    const batch: Batch = {};
    let entries = 0;
    for (const [list, { name, element }] of this.lists.entries()) {
      const length = this.header(slot, HEADER.lists + list);
      entries += length;
      batch[name] = this.read(batchOffset(slot) + BATCH_OFFSETS[list]!, element, length);
    }
    this.give(slot, 'outcome', this.glue.offload.apply(batch), entries);
  }

  readback(slot: number): void {
    const limit = this.header(slot, HEADER.limit);
    const { next, entries } = this.glue.offload.readback(this.header(slot, HEADER.cursor), limit);
    this.setHeader(slot, HEADER.next, next);
    let sum = 0;
    for (const { name } of this.lists) sum += entries[name]!.length;
    if (sum > limit) {
      this.setHeader(slot, HEADER.breach, BREACH.tooManyEntries);
      return;
    }
    for (let list = 0; list < BATCH_LISTS; list++) {
      const { name, element } = this.lists[list]!;
      const values = entries[name]!;
      this.setHeader(slot, HEADER.lists + list, values.length);
      for (const [index, value] of values.entries())
        writeValue(
          this.view,
          batchOffset(slot) + BATCH_OFFSETS[list]! + index * BATCH_STRIDES[list]!,
          element,
          value,
        );
    }
  }

  collect(slot: number): void {
    const limit = this.header(slot, HEADER.limit);
    const { next, counters } = this.glue.stats.collect(this.header(slot, HEADER.cursor), limit);
    this.setHeader(slot, HEADER.next, next);
    this.give(slot, 'counter', counters, limit);
  }

  tables(slot: number): void {
    this.give(slot, 'table-usage', this.glue.offload.tables(), TABLES_MAX);
  }

  poll(slot: number): void {
    this.give(slot, 'event', this.glue.offload.poll(), EVENTS_MAX);
  }

  notify(slot: number): void {
    const notice = this.layouts.named('types', 'notice');
    this.glue.notifier.notify(this.read(resultOffset(slot), notice, this.header(slot, HEADER.results)));
  }

  private header(slot: number, word: number): number {
    return this.view.getUint32(headerOffset(slot) + word * 4, true);
  }

  private setHeader(slot: number, word: number, value: number): void {
    this.view.setUint32(headerOffset(slot) + word * 4, value, true);
  }

  private read(offset: number, element: Layout, length: number): Value[] {
    return Array.from({ length }, (_, index) => readValue(this.view, offset + index * element.size, element));
  }

  private give(slot: number, type: string, values: Value[], limit: number): void {
    const layout = this.layouts.named('types', type);
    const taken = Math.min(values.length, limit);
    for (let index = 0; index < taken; index++)
      writeValue(this.view, resultOffset(slot) + index * layout.size, layout, values[index]!);
    this.setHeader(slot, HEADER.results, taken);
    this.setHeader(slot, HEADER.excess, values.length - taken);
  }
}
