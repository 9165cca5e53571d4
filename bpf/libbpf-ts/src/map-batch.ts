/** Many map entries in one system call, and the same one at a time where the kernel has no batches for a map type. */

import type { Codec } from './codec.ts';
import { E2BIG, EEXIST, EINVAL, ENOENT, ENOSPC, ENOTSUPP, EOPNOTSUPP } from './errno.ts';
import { BpfError } from './errors.ts';
import { failure } from './failure.ts';
import type { BpfMap, Column } from './map.ts';
import { native } from './native.ts';

/** Entries that are encoded and handed to the kernel at once; packed columns go whole. */
const ENCODE_COUNT = 16384;
/** Entries read at once; grows when a bucket of a hash map holds more. */
const READ_COUNT = 4096;
const READ_COUNT_MAX = 1 << 22;

export interface Chunk {
  readonly count: number;
  readonly keys: Uint8Array<ArrayBuffer>;
  readonly values: Uint8Array<ArrayBuffer>;
}

/** struct bpf_map_batch_opts */
function options(flags: number): DataView {
  const opts = new DataView(new ArrayBuffer(24));
  opts.setBigUint64(0, 24n, true);
  opts.setBigUint64(8, BigInt(flags), true);
  return opts;
}

/** Map types without batches say ENOTSUPP, kernels before 5.6 EINVAL. */
function lacksBatch(errno: number): boolean {
  return errno === ENOTSUPP || errno === EOPNOTSUPP || errno === EINVAL;
}

function fail(map: BpfMap, errno: number, verb: string, done: number): BpfError {
  return failure(errno, `${verb} ${map.title}`, {
    codes: { [ENOENT]: 'E_MISSING_KEY', [E2BIG]: 'E_FULL', [EEXIST]: 'E_EXISTS', [EINVAL]: 'E_VALUE' },
    rights: [],
    done,
  });
}

/** Packed bytes of entries from `from` to `to`, and how many; arrays are encoded into `scratch`. */
class Source {
  readonly length: number;
  readonly #codec: Codec;
  readonly #column: Column<unknown>;
  readonly #packed: Uint8Array | undefined;
  readonly #scratch: ArrayBuffer | undefined;

  constructor(codec: Codec, column: Column<unknown>, what: string) {
    this.#codec = codec;
    this.#column = column;
    if (ArrayBuffer.isView(column)) {
      this.#packed = new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
      this.length = column.byteLength / codec.size;
      if (!Number.isInteger(this.length)) {
        throw new BpfError(
          'E_VALUE',
          `${what}: ${column.byteLength} bytes are not a multiple of ${codec.size}`,
        );
      }
    } else {
      this.length = column.length;
      this.#scratch = new ArrayBuffer(Math.min(column.length, ENCODE_COUNT) * codec.size);
    }
  }

  get packed(): boolean {
    return this.#packed !== undefined;
  }

  bytes(from: number, to: number): Uint8Array {
    const { size } = this.#codec;
    if (this.#packed !== undefined) return this.#packed.subarray(from * size, to * size);
    const values = this.#column as readonly unknown[];
    const scratch = this.#scratch!;
    const codec = this.#codec;
    if (codec.plain === 'u32') {
      fillU32(codec, scratch, values, from, to);
    } else if (codec.plain === 'u64') {
      fillU64(codec, scratch, values, from, to);
    } else {
      const view = new DataView(scratch);
      for (let at = from; at < to; at++) codec.write(view, (at - from) * size, values[at]);
    }
    return new Uint8Array(scratch, 0, (to - from) * size);
  }
}

function fillU32(codec: Codec, scratch: ArrayBuffer, values: readonly unknown[], from: number, to: number) {
  const words = new Uint32Array(scratch);
  for (let at = from; at < to; at++) {
    const value = values[at];
    if (typeof value === 'number' && value >>> 0 === value) words[at - from] = value;
    else codec.write(new DataView(scratch), (at - from) * 4, value);
  }
}

function fillU64(codec: Codec, scratch: ArrayBuffer, values: readonly unknown[], from: number, to: number) {
  const words = new Uint32Array(scratch);
  const bigs = new BigUint64Array(scratch);
  for (let at = from; at < to; at++) {
    const value = values[at];
    const index = at - from;
    if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) {
      words[index * 2] = value;
      words[index * 2 + 1] = Math.floor(value / 2 ** 32);
    } else if (typeof value === 'bigint' && value >= 0n && BigInt.asUintN(64, value) === value) {
      bigs[index] = value;
    } else {
      codec.write(new DataView(scratch), index * 8, value);
    }
  }
}

export function update(map: BpfMap, keys: Column<unknown>, values: Column<unknown>, flags: number): void {
  const fd = map.fd;
  const lib = native();
  const keySource = new Source(map.keyCodec, keys, `keys of ${map.title}`);
  const valueSource = new Source(map.valueCodec, values, `values of ${map.title}`);
  const total = keySource.length;
  if (valueSource.length !== total) {
    throw new BpfError('E_VALUE', `${map.title}: ${total} keys, but ${valueSource.length} values`);
  }
  const step = keySource.packed && valueSource.packed ? total : ENCODE_COUNT;
  const opts = options(flags);
  const count = new Uint32Array(1);
  for (let from = 0; from < total; from += step) {
    const to = Math.min(total, from + step);
    const keyBytes = keySource.bytes(from, to);
    const valueBytes = valueSource.bytes(from, to);
    count[0] = to - from;
    const result = lib.bpf_map_update_batch(fd, keyBytes, valueBytes, count, opts) as number;
    if (result === 0) continue;
    // On EFAULT the kernel leaves the count alone; libbpf's count is then what was asked for.
    const done = count[0] === to - from ? 0 : count[0]!;
    if (done > 0 || !lacksBatch(-result)) throw fail(map, -result, 'write a batch to', from + done);
    updateSingly(map, keyBytes, valueBytes, to - from, flags, from);
  }
}

function updateSingly(
  map: BpfMap,
  keys: Uint8Array,
  values: Uint8Array,
  count: number,
  flags: number,
  before: number,
): void {
  const fd = map.fd;
  const lib = native();
  const keySize = map.keyCodec.size;
  const valueSize = map.valueCodec.size;
  for (let at = 0; at < count; at++) {
    const key = keys.subarray(at * keySize, (at + 1) * keySize);
    const value = values.subarray(at * valueSize, (at + 1) * valueSize);
    const result = lib.bpf_map_update_elem(fd, key, value, flags) as number;
    if (result !== 0) throw fail(map, -result, 'write', before + at);
  }
}

export function remove(map: BpfMap, keys: Column<unknown>): number {
  const fd = map.fd;
  const lib = native();
  const source = new Source(map.keyCodec, keys, `keys of ${map.title}`);
  const total = source.length;
  const step = source.packed ? total : ENCODE_COUNT;
  const size = map.keyCodec.size;
  const opts = options(0);
  const count = new Uint32Array(1);
  let removed = 0;
  for (let from = 0; from < total; from += step) {
    const to = Math.min(total, from + step);
    const bytes = source.bytes(from, to);
    let at = 0;
    while (at < to - from) {
      const left = to - from - at;
      count[0] = left;
      const result = lib.bpf_map_delete_batch(fd, bytes.subarray(at * size), count, opts) as number;
      const done = result !== 0 && count[0] === left ? 0 : count[0]!;
      removed += done;
      at += done;
      if (result === 0) break;
      if (result === -ENOENT) {
        at++; // the key that stopped the batch is not there
      } else if (done === 0 && lacksBatch(-result)) {
        removed += removeSingly(map, bytes.subarray(at * size), left, from + at);
        break;
      } else {
        throw fail(map, -result, 'delete a batch from', removed);
      }
    }
  }
  return removed;
}

function removeSingly(map: BpfMap, keys: Uint8Array, count: number, before: number): number {
  const fd = map.fd;
  const lib = native();
  const size = map.keyCodec.size;
  let removed = 0;
  for (let at = 0; at < count; at++) {
    const result = lib.bpf_map_delete_elem(fd, keys.subarray(at * size, (at + 1) * size)) as number;
    if (result === 0) removed++;
    else if (result !== -ENOENT) throw fail(map, -result, 'delete from', before + at);
  }
  return removed;
}

export function* readChunks(map: BpfMap, take: boolean): Generator<Chunk, void, undefined> {
  const lib = native();
  const call = take ? lib.bpf_map_lookup_and_delete_batch : lib.bpf_map_lookup_batch;
  const opts = options(0);
  const count = new Uint32Array(1);
  // A hash map's cursor is a bucket number, another's the last key.
  let before = new Uint8Array(new ArrayBuffer(Math.max(map.keyCodec.size, 8)));
  let after = new Uint8Array(new ArrayBuffer(before.length));
  let room = Math.min(READ_COUNT, Math.max(1, map.maxEntries));
  let first = true;
  let keys = new Uint8Array(new ArrayBuffer(room * map.keyCodec.size));
  let values = new Uint8Array(new ArrayBuffer(room * map.valueCodec.size));
  for (;;) {
    count[0] = room;
    const result = call(map.fd, first ? null : before, after, keys, values, count, opts) as number;
    if (result === -ENOSPC && room < READ_COUNT_MAX) {
      room *= 2;
      keys = new Uint8Array(new ArrayBuffer(room * map.keyCodec.size));
      values = new Uint8Array(new ArrayBuffer(room * map.valueCodec.size));
      continue;
    }
    if (first && !take && lacksBatch(-result)) {
      yield* readSingly(map);
      return;
    }
    if (result !== 0 && result !== -ENOENT) throw fail(map, -result, 'read a batch of', 0);
    if (count[0]! > 0) yield { count: count[0]!, keys, values };
    if (result !== 0) return;
    [before, after] = [after, before];
    first = false;
  }
}

function* readSingly(map: BpfMap): Generator<Chunk, void, undefined> {
  const lib = native();
  let key = new Uint8Array(new ArrayBuffer(Math.max(map.keyCodec.size, 8)));
  let next = new Uint8Array(new ArrayBuffer(key.length));
  const value = new Uint8Array(new ArrayBuffer(Math.max(map.valueCodec.size, 8)));
  const limit = Math.max(1, map.maxEntries);
  for (let steps = 0, first = true; ; steps++, first = false) {
    const result = lib.bpf_map_get_next_key(map.fd, first ? null : key, next) as number;
    if (result === -ENOENT) return;
    if (result !== 0) throw fail(map, -result, 'iterate', steps);
    // The kernel starts over when the last key was deleted: without a limit that need not end.
    if (steps >= limit) {
      throw new BpfError('E_ITERATION', `${map.title} changed too much while it was iterated`, {
        done: steps,
      });
    }
    [key, next] = [next, key];
    const found = lib.bpf_map_lookup_elem(map.fd, key, value) as number;
    if (found === -ENOENT) continue; // gone since, or an empty slot
    if (found !== 0) throw fail(map, -found, 'read', steps);
    yield { count: 1, keys: key, values: value };
  }
}

export function readSlots(map: BpfMap, first: number, values: Uint8Array<ArrayBuffer>): number {
  const size = map.valueCodec.size;
  const count = new Uint32Array([values.byteLength / size]);
  if (!map.type.endsWith('array') || map.keySize !== 4 || values.byteLength % size !== 0) {
    throw new BpfError(
      'E_VALUE',
      `${map.title}: ${values.byteLength} bytes are no values of ${size} of an array`,
    );
  }
  if (first >= map.maxEntries || count[0] === 0) return 0;
  // The cursor is the key before the first one.
  const before = first === 0 ? null : new Uint32Array([first - 1]);
  const keys = new Uint32Array(count[0]!);
  const after = new Uint32Array(1);
  const result = native().bpf_map_lookup_batch(
    map.fd,
    before,
    after,
    keys,
    values,
    count,
    options(0),
  ) as number;
  if (result !== 0 && result !== -ENOENT) throw fail(map, -result, 'read a batch of', 0);
  return count[0]!;
}
