/**
 * The calls of a plugin that go through the ring, on a slot's arguments and with the answer in the same slot. Two ways do
 * the same: direct-calls.ts and glue-calls.ts. Whatever they throw is a trap.
 */

export interface Calls {
  apply(slot: number): void;
  readback(slot: number): void;
  collect(slot: number): void;
  tables(slot: number): void;
  poll(slot: number): void;
  notify(slot: number): void;
}
