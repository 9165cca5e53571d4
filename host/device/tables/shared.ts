/** What the host and the plugin's worker both know of a tables device: words in shared memory. */

import { TABLES } from './layout.ts';

/** Writes, removes, epoch; then the fill of each table. */
const HEAD_WORDS = 3;
/** A port's attachment: interface, mode, descriptor, why; how often somebody took the program off, and from which interface. */
const PORT_WORDS = 6;

/** How a port is attached. */
export const MODE = { none: 0, native: 1, generic: 2, tcx: 3 } as const;
export type Mode = (typeof MODE)[keyof typeof MODE];

/** Why a port is attached as it is, for people; the first where nothing is to be said. */
export const WHY = [
  '',
  'configured: `mode`',
  'on a veth, VLAN tags and unfinished checksums do not come with native frames',
  'the driver has no native XDP',
  'neither native XDP in the driver nor tcx in the kernel',
  'on a veth native XDP loses what tcx keeps, and the kernel has no tcx',
  'everything that arrives goes to the kernel: `ekho explain link`',
] as const;

/**
 * Fill of the tables and attachments of the ports. The worker writes, the host reads; descriptors belong to the process, so they
 * outlive a worker.
 */
export class SharedState {
  readonly memory: SharedArrayBuffer;
  readonly ports: number;
  readonly #words: Int32Array;

  constructor(ports: number, memory?: SharedArrayBuffer) {
    this.ports = ports;
    this.memory = memory ?? new SharedArrayBuffer(4 * (HEAD_WORDS + TABLES.length + PORT_WORDS * ports));
    this.#words = new Int32Array(this.memory);
  }

  used(table: number): number {
    return Atomics.load(this.#words, HEAD_WORDS + table);
  }

  addUsed(table: number, rows: number): void {
    Atomics.add(this.#words, HEAD_WORDS + table, rows);
  }

  get writes(): number {
    return Atomics.load(this.#words, 0) >>> 0;
  }

  get removes(): number {
    return Atomics.load(this.#words, 1) >>> 0;
  }

  addWrites(rows: number): void {
    Atomics.add(this.#words, 0, rows);
  }

  addRemoves(rows: number): void {
    Atomics.add(this.#words, 1, rows);
  }

  /** How often rows were lost that the plugin had put. */
  get epoch(): number {
    return Atomics.load(this.#words, 2) >>> 0;
  }

  lose(): void {
    Atomics.add(this.#words, 2, 1);
  }

  /** Interface index, 0 when the slot is not attached. */
  ifindex(slot: number): number {
    return Atomics.load(this.#words, this.#at(slot));
  }

  mode(slot: number): Mode {
    return Atomics.load(this.#words, this.#at(slot) + 1) as Mode;
  }

  /** Descriptor of the link, -1 for none: with mode `none`. */
  link(slot: number): number {
    return Atomics.load(this.#words, this.#at(slot) + 2);
  }

  /** Index in WHY. */
  why(slot: number): number {
    return Atomics.load(this.#words, this.#at(slot) + 3);
  }

  /** How often somebody else took the program off the interface that the slot has now. */
  detached(slot: number): number {
    const at = this.#at(slot);
    return Atomics.load(this.#words, at + 5) === this.ifindex(slot) ? Atomics.load(this.#words, at + 4) : 0;
  }

  noteDetached(slot: number): void {
    const at = this.#at(slot);
    const before = this.detached(slot);
    Atomics.store(this.#words, at + 5, this.ifindex(slot));
    Atomics.store(this.#words, at + 4, before + 1);
  }

  attach(slot: number, ifindex: number, mode: Mode, link: number, why: number): void {
    const at = this.#at(slot);
    Atomics.store(this.#words, at + 1, mode);
    Atomics.store(this.#words, at + 2, link);
    Atomics.store(this.#words, at + 3, why);
    Atomics.store(this.#words, at, ifindex);
  }

  detach(slot: number): void {
    Atomics.store(this.#words, this.#at(slot), 0);
  }

  #at(slot: number): number {
    return HEAD_WORDS + TABLES.length + PORT_WORDS * slot;
  }
}
