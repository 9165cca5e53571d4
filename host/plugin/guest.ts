/** A plugin instance's core side: its memory and core exports, and copying to and from it with every range checked. */

import { type MemoryViews, memoryViews } from './record-cursor.ts';

/** The plugin did what the canonical ABI traps for. The instance cannot be used any more. */
export class GuestTrap extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'GuestTrap';
  }
}

type CoreFunction = (...args: (number | bigint)[]) => number | bigint | undefined;

/** Up to this many bytes a loop copies faster than two calls into the engine. */
const LOOP_COPY_MAX = 256;

export class Guest {
  private readonly memory: WebAssembly.Memory;
  private readonly exports: WebAssembly.Exports;
  private readonly reallocate: CoreFunction;
  private current: MemoryViews;

  /** @param exports of the core instance that has `memory`, `cabi_realloc` and the functions */
  constructor(exports: WebAssembly.Exports) {
    this.exports = exports;
    this.memory = exports.memory as WebAssembly.Memory;
    this.reallocate = exports.cabi_realloc as CoreFunction;
    this.current = memoryViews(this.memory.buffer);
  }

  /** Whether the instance follows the naming that the direct calls rely on. Its memory may be another instance's. */
  static fits(exports: WebAssembly.Exports, functions: readonly string[]): boolean {
    return (
      typeof exports.cabi_realloc === 'function' &&
      functions.every((name) => typeof exports[name] === 'function')
    );
  }

  function(name: string): CoreFunction {
    return this.exports[name] as CoreFunction;
  }

  /** Frees what a call returned; most plugins export it, none has to. */
  postReturn(name: string): CoreFunction | undefined {
    return this.exports[`cabi_post_${name}`] as CoreFunction | undefined;
  }

  /** Views of memory as it is now: growing it detaches earlier ones. */
  get views(): MemoryViews {
    if (this.current.u8.buffer !== this.memory.buffer) this.current = memoryViews(this.memory.buffer);
    return this.current;
  }

  /** Traps unless `size` bytes at `pointer` are in memory and aligned. Returns the pointer as an unsigned number. */
  check(pointer: number, size: number, align: number): number {
    const at = pointer >>> 0;
    if (at + size > this.memory.buffer.byteLength)
      throw new GuestTrap(`${size} bytes at ${at} are outside of its memory`);
    if (at % align !== 0) throw new GuestTrap(`address ${at} is not aligned to ${align}`);
    return at;
  }

  allocate(size: number, align: number): number {
    return this.check(this.reallocate(0, 0, align, size) as number, size, align);
  }

  /** Copies `size` bytes, a multiple of 4, from `source` at a 4-aligned offset to a checked address. */
  copyIn(to: number, source: MemoryViews, from: number, size: number): void {
    copy(this.views, to, source, from, size);
  }

  /** As `copyIn`, the other way; checks the address. */
  copyOut(target: MemoryViews, to: number, from: number, size: number, align: number): void {
    copy(target, to, this.views, this.check(from, size, align), size);
  }

  word(address: number): number {
    return this.views.u32[address >>> 2]!;
  }
}

function copy(target: MemoryViews, to: number, source: MemoryViews, from: number, size: number): void {
  if (size > LOOP_COPY_MAX) {
    target.u8.set(source.u8.subarray(from, from + size), to);
    return;
  }
  const words = size >>> 2;
  for (let word = 0; word < words; word++) target.u32[(to >>> 2) + word] = source.u32[(from >>> 2) + word]!;
}
