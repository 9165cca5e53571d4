/**
 * A cursor over an array of records in canonical layout: one object moves along the array, so neither reading nor
 * writing a record allocates. `records.ts` has a class per record of `wit/types.wit`.
 */

/** The same memory seen as bytes, half words and words. All of it little-endian, as WebAssembly's memory is. */
export interface MemoryViews {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
}

export function memoryViews(buffer: ArrayBufferLike): MemoryViews {
  return {
    u8: new Uint8Array(buffer),
    u16: new Uint16Array(buffer, 0, buffer.byteLength >>> 1),
    u32: new Uint32Array(buffer, 0, buffer.byteLength >>> 2),
  };
}

if (new Uint8Array(Uint32Array.of(1).buffer)[0] !== 1) throw new Error('EKHO needs a little-endian machine');

export const WORD = 0x1_0000_0000;

export class RecordCursor {
  /** Records in the array. */
  length = 0;
  /** The record the cursor is on, -1 before the first. */
  index = -1;
  /** Byte offset of the current record in the views. */
  offset: number;
  /** Byte offset of the array. A multiple of 8. */
  readonly start: number;
  /** Bytes per record. A multiple of 4. */
  readonly stride: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;

  constructor(views: MemoryViews, start: number, stride: number) {
    this.u8 = views.u8;
    this.u16 = views.u16;
    this.u32 = views.u32;
    this.start = start;
    this.stride = stride;
    this.offset = start;
  }

  /** Go to the next record; false when there is none. Then `rewind` to start over. */
  next(): boolean {
    if (this.index + 1 >= this.length) return false;
    this.index++;
    this.offset = this.start + this.index * this.stride;
    return true;
  }

  /** Go to a record; false, and the cursor stays, when there is none of that number. */
  seek(index: number): boolean {
    if (!(index >= 0 && index < this.length)) return false;
    this.index = index;
    this.offset = this.start + index * this.stride;
    return true;
  }

  rewind(): void {
    this.index = -1;
    this.offset = this.start;
  }

  /** Hold `length` records and stand before the first. */
  reset(length: number): void {
    this.length = length;
    this.rewind();
  }

  /** Go to a new record at the end, all zero. The owner of the memory sees to it that there is room. */
  append(): void {
    this.index = this.length++;
    this.offset = this.start + this.index * this.stride;
    // A loop of words: `fill` costs more than a record has.
    const end = (this.offset + this.stride) >>> 2;
    for (let word = this.offset >>> 2; word < end; word++) this.u32[word] = 0;
  }

  /** The current record, byte for byte, is the other cursor's current record. */
  equals(other: RecordCursor): boolean {
    if (other.stride !== this.stride) return false;
    for (let byte = 0; byte < this.stride; byte++)
      if (this.u8[this.offset + byte] !== other.u8[other.offset + byte]) return false;
    return true;
  }
}
