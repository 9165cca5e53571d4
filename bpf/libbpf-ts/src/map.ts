/** Maps: single entries, iteration, and what a map is before and after it is loaded. Batches are in map-batch.ts. */

import { Btf } from './btf.ts';
import type { Codec } from './codec.ts';
import { MAP_TYPES, type MapType } from './constants.ts';
import { E2BIG, EBUSY, EEXIST, EINVAL, ENOENT } from './errno.ts';
import { BpfError } from './errors.ts';
import { checked, failure } from './failure.ts';
import { Handle } from './handle.ts';
import { type MapInfo, mapInfo } from './info.ts';
import * as batch from './map-batch.ts';
import { keyCodec, type Layout, valueCodec } from './map-codecs.ts';
import {
  addressOf,
  closeFd,
  copyFrom,
  duplicate,
  type Mapping,
  mappedAt,
  mapShared,
  pageSize,
} from './memory.ts';
import { native, type Pointer } from './native.ts';
import { openPin, pinFd, unpin } from './pin.ts';

/** BPF_ANY, BPF_NOEXIST, BPF_EXIST */
const UPDATE = { any: 0, create: 1, replace: 2 } as const;
export type UpdateMode = keyof typeof UPDATE;

const BPF_F_RDONLY_PROG = 1 << 7;

/** Keys or values of a batch: an array, each encoded; or packed bytes (any typed array), used as they are. */
export type Column<T> = readonly T[] | ArrayBufferView<ArrayBuffer>;

/** A map that belongs to an object. */
export interface OwnedMap {
  readonly pointer: Pointer;
  /** Whether the object is open, and loaded. */
  readonly owner: { readonly closed: boolean; readonly loaded: boolean; readonly title: string };
}

export interface MapOptions {
  /** Instead of what BTF says; the sizes must be the map's. */
  readonly key?: Codec;
  readonly value?: Codec;
}

export interface CreateMapOptions extends MapOptions {
  readonly type: MapType;
  readonly name?: string;
  /** In bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** BPF_F_… of map_flags, e.g. BPF_F_NO_PREALLOC (1), which lpm_trie requires. */
  readonly flags?: number;
  /** For maps of maps: a map like those that will be its values. */
  readonly inner?: BpfMap;
}

export class BpfMap<K = unknown, V = unknown> extends Handle {
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly keyCodec: Codec<K>;
  readonly valueCodec: Codec<V>;
  readonly #owned: OwnedMap | undefined;
  #fd: number;
  // Buffers of their own, reused by every call: they do not move, so their addresses are taken once.
  readonly #key: DataView;
  readonly #keyAddress: Pointer;
  readonly #value: DataView;
  readonly #valueAddress: Pointer;
  #mapping: Mapping | undefined;
  #isBorrowed = false;

  private constructor(name: string, layout: Layout, fd: number, owned?: OwnedMap, options: MapOptions = {}) {
    super();
    this.name = name;
    this.type = layout.type;
    this.keySize = layout.keySize;
    this.valueSize = layout.valueSize;
    this.keyCodec = fitting(options.key, layout.keySize, name) ?? (keyCodec(layout) as Codec<K>);
    this.valueCodec = fitting(options.value, layout.valueSize, name) ?? (valueCodec(layout) as Codec<V>);
    this.#fd = fd;
    this.#owned = owned;
    this.#key = new DataView(new ArrayBuffer(Math.max(this.keyCodec.size, 8)));
    this.#keyAddress = addressOf(this.#key.buffer as ArrayBuffer);
    this.#value = new DataView(new ArrayBuffer(Math.max(this.valueCodec.size, 8)));
    this.#valueAddress = addressOf(this.#value.buffer as ArrayBuffer);
  }

  /** A map of an opened object; objects call this. */
  static owned(owned: OwnedMap, name: string, btf: Btf | undefined, options?: MapOptions): BpfMap {
    const lib = native();
    const { pointer } = owned;
    const layout: Layout = {
      type: MAP_TYPES[lib.bpf_map__type(pointer) as number] ?? 'unspec',
      keySize: lib.bpf_map__key_size(pointer) as number,
      valueSize: lib.bpf_map__value_size(pointer) as number,
      btf,
      keyTypeId: lib.bpf_map__btf_key_type_id(pointer) as number,
      valueTypeId: lib.bpf_map__btf_value_type_id(pointer) as number,
    };
    return new BpfMap(name, layout, -1, owned, options);
  }

  /** Makes a map without an object. @throws E_RIGHTS, E_VALUE, E_KERNEL */
  static create<K = unknown, V = unknown>(options: CreateMapOptions): BpfMap<K, V> {
    const { type, name = '', keySize, valueSize, maxEntries, flags = 0, inner } = options;
    // struct bpf_map_create_opts
    const opts = new DataView(new ArrayBuffer(56));
    opts.setBigUint64(0, 56n, true);
    opts.setUint32(24, inner?.fd ?? 0, true);
    opts.setUint32(28, flags, true);
    const number = MAP_TYPES.indexOf(type);
    const fd = checked(
      native().bpf_map_create(number, name, keySize, valueSize, maxEntries, opts) as number,
      `create ${type} map ${JSON.stringify(name)}`,
      { codes: { [EINVAL]: 'E_VALUE', [E2BIG]: 'E_VALUE' } },
    );
    const layout = { type, keySize, valueSize, btf: undefined, keyTypeId: 0, valueTypeId: 0 };
    return new BpfMap(name, layout, fd, undefined, options) as BpfMap<K, V>;
  }

  /** Opens a pinned map; its types come from the BTF it was loaded with. @throws E_NOT_FOUND, E_PIN, E_RIGHTS */
  static fromPin<K = unknown, V = unknown>(path: string, options?: MapOptions): BpfMap<K, V> {
    return BpfMap.#fromFd(openPin(path, 'map'), path, options) as BpfMap<K, V>;
  }

  /** Opens a map of this process by a descriptor, as of another thread; it gets one of its own. @throws E_KERNEL */
  static fromFd<K = unknown, V = unknown>(fd: number, options?: MapOptions): BpfMap<K, V> {
    return BpfMap.#fromFd(duplicate(fd), `map of descriptor ${fd}`, options) as BpfMap<K, V>;
  }

  /**
   * As fromFd(), but by the given descriptor itself, which stays open for as long as the map is used; close() leaves it open. For threads
   * that may be ended at any time: what they have opened nobody closes.
   * @throws E_KERNEL
   */
  static borrow<K = unknown, V = unknown>(fd: number, options?: MapOptions): BpfMap<K, V> {
    const map = BpfMap.#ofFd(fd, `map of descriptor ${fd}`, options);
    map.#isBorrowed = true;
    return map as BpfMap<K, V>;
  }

  /** Opens a map by its id, e.g. one read from a map of maps. @throws E_NOT_FOUND, E_RIGHTS (needs CAP_SYS_ADMIN) */
  static fromId<K = unknown, V = unknown>(id: number, options?: MapOptions): BpfMap<K, V> {
    const fd = checked(native().bpf_map_get_fd_by_id(id) as number, `open map ${id}`, {
      rights: ['CAP_SYS_ADMIN'],
    });
    return BpfMap.#fromFd(fd, `map ${id}`, options) as BpfMap<K, V>;
  }

  static #fromFd(fd: number, title: string, options?: MapOptions): BpfMap {
    try {
      return BpfMap.#ofFd(fd, title, options);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  static #ofFd(fd: number, title: string, options?: MapOptions): BpfMap {
    const info = mapInfo(fd, title);
    const layout: Layout = {
      ...info,
      btf: info.btfId === 0 ? undefined : kernelBtf(info.btfId),
      keyTypeId: info.btfKeyTypeId,
      valueTypeId: info.btfValueTypeId,
    };
    return new BpfMap(info.name, layout, fd, undefined, options);
  }

  override get title(): string {
    return `map "${this.name}"`;
  }

  override get closed(): boolean {
    return super.closed || this.#owned?.owner.closed === true;
  }

  protected release(): void {
    this.#mapping?.unmap();
    if (this.#owned === undefined && !this.#isBorrowed) closeFd(this.#fd);
    this.#fd = -1;
  }

  /** The descriptor; the map keeps owning it. @throws E_CLOSED, E_STATE before the object is loaded */
  get fd(): number {
    return this.#ready();
  }

  #ready(): number {
    this.alive();
    if (this.#fd < 0) {
      const owned = this.#owned!;
      if (owned.owner.loaded) this.#fd = native().bpf_map__fd(owned.pointer) as number;
      if (this.#fd < 0) throw new BpfError('E_STATE', `${this.title} is not loaded; load the object first`);
    }
    return this.#fd;
  }

  #unloaded(what: string): Pointer {
    this.alive();
    if (this.#owned === undefined || this.#owned.owner.loaded) {
      throw new BpfError('E_STATE', `${this.title}: ${what} is possible only before its object is loaded`);
    }
    return this.#owned.pointer;
  }

  // Before loading

  /** @throws E_STATE once loaded */
  setMaxEntries(count: number): void {
    const pointer = this.#unloaded('setMaxEntries');
    checked(native().bpf_map__set_max_entries(pointer, count) as number, `set size of ${this.title}`);
  }

  /** Where load() pins it, or finds it already pinned and uses that map. @throws E_STATE once loaded */
  setPinPath(path: string): void {
    const pointer = this.#unloaded('setPinPath');
    checked(native().bpf_map__set_pin_path(pointer, path) as number, `set pin path of ${this.title}`);
  }

  /** Uses another map of the same shape instead of making one. @throws E_STATE once loaded */
  reuse(map: BpfMap): void {
    const pointer = this.#unloaded('reuse');
    checked(native().bpf_map__reuse_fd(pointer, map.fd) as number, `reuse ${map.title}`);
  }

  /** For a map of maps whose declaration does not say: a map like those that will be its values. @throws E_STATE once loaded */
  setInner(map: BpfMap): void {
    const pointer = this.#unloaded('setInner');
    checked(native().bpf_map__set_inner_map_fd(pointer, map.fd) as number, `set inner map of ${this.title}`);
  }

  /** Whether load() makes it at all; programs that use a map that is not made do not load. @throws E_STATE once loaded */
  setAutocreate(create: boolean): void {
    const pointer = this.#unloaded('setAutocreate');
    checked(native().bpf_map__set_autocreate(pointer, create) as number, `configure ${this.title}`);
  }

  get maxEntries(): number {
    if (this.#owned !== undefined) {
      this.alive();
      return native().bpf_map__max_entries(this.#owned.pointer) as number;
    }
    return this.info().maxEntries;
  }

  // Loaded

  info(): MapInfo {
    return mapInfo(this.#ready(), this.title);
  }

  /**
   * The values of an array made with BPF_F_MMAPABLE, shared with the programs, each at a multiple of 8 bytes. The same memory each time; empty
   * once the map is closed. Close a map of an object before the object. With `address`, that memoryAddress of the same map in this process:
   * where that has it, which is not to be closed before.
   * @throws E_KERNEL (another kind of map), E_CLOSED, E_STATE before the object is loaded
   */
  memory(address?: Pointer): ArrayBuffer {
    const fd = this.#ready();
    const bytes = Math.ceil((this.maxEntries * ((this.valueSize + 7) & ~7)) / pageSize) * pageSize;
    this.#mapping ??= address === undefined ? mapShared(fd, 0, bytes, true) : mappedAt(address, bytes);
    return this.#mapping.buffer;
  }

  /** Where memory() is, for other threads of this process. @throws as memory() */
  get memoryAddress(): Pointer {
    this.memory();
    return this.#mapping!.address;
  }

  #fail(errno: number, verb: string): BpfError {
    return failure(errno, `${verb} ${this.title}`, {
      codes: { [ENOENT]: 'E_MISSING_KEY', [E2BIG]: 'E_FULL', [EEXIST]: 'E_EXISTS', [EINVAL]: 'E_VALUE' },
      // Reads and writes need no capability: a refusal comes from the map's own flags.
      rights: [],
    });
  }

  /** The value, or undefined. @throws E_VALUE (key), E_CLOSED, E_STATE */
  get(key: K): V | undefined {
    const fd = this.#ready();
    this.keyCodec.write(this.#key, 0, key);
    const result = native().bpf_map_lookup_elem(fd, this.#keyAddress, this.#valueAddress) as number;
    if (result === 0) return this.valueCodec.read(this.#value, 0);
    if (result === -ENOENT) return undefined;
    throw this.#fail(-result, 'read');
  }

  has(key: K): boolean {
    const fd = this.#ready();
    this.keyCodec.write(this.#key, 0, key);
    const result = native().bpf_map_lookup_elem(fd, this.#keyAddress, this.#valueAddress) as number;
    if (result !== 0 && result !== -ENOENT) throw this.#fail(-result, 'read');
    return result === 0;
  }

  /**
   * Sets a value. `create` refuses a key that is there (E_EXISTS), `replace` one that is not (E_MISSING_KEY).
   * @throws E_VALUE, E_FULL, E_EXISTS, E_MISSING_KEY, E_CLOSED, E_STATE
   */
  set(key: K, value: V, mode: UpdateMode = 'any'): void {
    const fd = this.#ready();
    this.keyCodec.write(this.#key, 0, key);
    this.valueCodec.write(this.#value, 0, value);
    const result = native().bpf_map_update_elem(
      fd,
      this.#keyAddress,
      this.#valueAddress,
      UPDATE[mode],
    ) as number;
    if (result !== 0) throw this.#fail(-result, 'write');
  }

  /** Whether the key was there. @throws E_VALUE, E_CLOSED, E_STATE; E_VALUE for arrays, which cannot delete */
  delete(key: K): boolean {
    const fd = this.#ready();
    this.keyCodec.write(this.#key, 0, key);
    const result = native().bpf_map_delete_elem(fd, this.#keyAddress) as number;
    if (result !== 0 && result !== -ENOENT) throw this.#fail(-result, 'delete from');
    return result === 0;
  }

  /** Reads and deletes in one step (hash maps since Linux 5.14), or undefined. */
  take(key: K): V | undefined {
    const fd = this.#ready();
    this.keyCodec.write(this.#key, 0, key);
    return this.#taken(native().bpf_map_lookup_and_delete_elem(fd, this.#keyAddress, this.#valueAddress));
  }

  #taken(result: number): V | undefined {
    if (result === 0) return this.valueCodec.read(this.#value, 0);
    if (result === -ENOENT) return undefined;
    throw this.#fail(-result, 'take from');
  }

  // Queues, stacks, bloom filters: values without keys

  /** Adds a value to a queue, stack or bloom filter. @throws E_FULL, E_VALUE */
  push(value: V): void {
    const fd = this.#ready();
    this.valueCodec.write(this.#value, 0, value);
    const result = native().bpf_map_update_elem(fd, 0, this.#valueAddress, UPDATE.any) as number;
    if (result !== 0) throw this.#fail(result === -E2BIG || result === -EBUSY ? E2BIG : -result, 'push to');
  }

  /** Takes the next value of a queue or stack, or undefined if it is empty. */
  pop(): V | undefined {
    return this.#taken(native().bpf_map_lookup_and_delete_elem(this.#ready(), 0, this.#valueAddress));
  }

  /** The next value of a queue or stack, which stays there. */
  peek(): V | undefined {
    return this.#taken(native().bpf_map_lookup_elem(this.#ready(), 0, this.#valueAddress));
  }

  /** Whether a bloom filter may hold the value; false is certain. */
  mayHold(value: V): boolean {
    const fd = this.#ready();
    this.valueCodec.write(this.#value, 0, value);
    const result = native().bpf_map_lookup_elem(fd, 0, this.#valueAddress) as number;
    if (result !== 0 && result !== -ENOENT) throw this.#fail(-result, 'read');
    return result === 0;
  }

  // All entries

  /**
   * All entries, many at a time where the kernel can. Entries that come or go meanwhile may be seen or not; without
   * batches, deleting entries that are yet to come may repeat others.
   * @throws E_ITERATION after more steps than the map has room for
   */
  *entries(): Generator<[K, V], void, undefined> {
    this.#ready();
    for (const chunk of this.chunks()) {
      const keys = new DataView(chunk.keys.buffer);
      const values = new DataView(chunk.values.buffer);
      for (let index = 0; index < chunk.count; index++) {
        yield [
          this.keyCodec.read(keys, index * this.keyCodec.size),
          this.valueCodec.read(values, index * this.valueCodec.size),
        ];
      }
    }
  }

  [Symbol.iterator](): Generator<[K, V], void, undefined> {
    return this.entries();
  }

  *keys(): Generator<K, void, undefined> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): Generator<V, void, undefined> {
    for (const [, value] of this.entries()) yield value;
  }

  /** All entries as packed bytes, `count` of them in each chunk; the buffers are used again for the next one. */
  chunks(): Generator<batch.Chunk, void, undefined> {
    return batch.readChunks(this as unknown as BpfMap, false);
  }

  /**
   * Values of an array's entries from `first` on, as many as `values` has room for, packed; of per-CPU arrays the values of all CPUs.
   * Returns how many there were. @throws E_VALUE when `values` holds no whole number of them, or the map is no array
   */
  readSlots(first: number, values: Uint8Array<ArrayBuffer>): number {
    return batch.readSlots(this as unknown as BpfMap, first, values);
  }

  /** Reads and deletes all entries, as chunks() does. @throws E_NOT_SUPPORTED where the map type has no such batch */
  takeChunks(): Generator<batch.Chunk, void, undefined> {
    return batch.readChunks(this as unknown as BpfMap, true);
  }

  /**
   * Sets many entries with few system calls; one at a time where the kernel has no batches for the map type.
   * @throws as set(); `done` of the error says how many were set before it
   */
  setBatch(keys: Column<K>, values: Column<V>, mode: UpdateMode = 'any'): void {
    batch.update(this as unknown as BpfMap, keys, values, UPDATE[mode]);
  }

  /** Deletes many entries; keys that are not there are passed over. Returns how many were there. */
  deleteBatch(keys: Column<K>): number {
    return batch.remove(this as unknown as BpfMap, keys);
  }

  /** Deletes all entries. */
  clear(): void {
    const keys = [...this.chunks()].map((chunk) => chunk.keys.slice(0, chunk.count * this.keyCodec.size));
    for (const each of keys) this.deleteBatch(each);
  }

  // Pins

  /** @throws E_PIN, E_EXISTS, E_NOT_FOUND (no such folder) */
  pin(path: string): void {
    pinFd(this.#ready(), path, this.title);
  }

  /** Removes a pin. @throws E_NOT_FOUND */
  static unpin(path: string): void {
    unpin(path);
  }

  /** Whether programs may only read it (.rodata). */
  get readOnly(): boolean {
    return (this.info().flags & BPF_F_RDONLY_PROG) !== 0;
  }
}

function fitting<T>(codec: Codec | undefined, size: number, name: string): Codec<T> | undefined {
  if (codec !== undefined && codec.size !== size) {
    throw new BpfError('E_VALUE', `map "${name}": ${codec.name} has ${codec.size} bytes, the map ${size}`);
  }
  return codec as Codec<T> | undefined;
}

/** BTF a map was loaded with, or undefined where it may not be read (needs CAP_SYS_ADMIN). */
function kernelBtf(id: number): Btf | undefined {
  const lib = native();
  const pointer = lib.btf__load_from_kernel_by_id(id) as Pointer;
  if (Number(pointer) === 0) return undefined;
  try {
    const size = new Uint32Array(1);
    const data = lib.btf__raw_data(pointer, size) as Pointer;
    return new Btf(copyFrom(data, size[0]!));
  } finally {
    lib.btf__free(pointer);
  }
}
