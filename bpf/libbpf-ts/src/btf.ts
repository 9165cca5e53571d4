/**
 * BTF, the kernel's type information: of the running kernel, its modules, a loaded object or a file. Layout after
 * include/uapi/linux/btf.h. Only an index is built; a type is decoded when it is asked for.
 */

import { readFileSync } from 'node:fs';
import { BpfError } from './errors.ts';

const MAGIC = 0xeb9f;
const TYPE_SIZE = 12;
const VMLINUX = '/sys/kernel/btf/vmlinux';
/** Questions come in bursts; between them its 10 MB would lie idle. In milliseconds. */
const KEPT_MS = 5000;

const KINDS = [
  'void',
  'int',
  'pointer',
  'array',
  'struct',
  'union',
  'enum',
  'forward',
  'typedef',
  'volatile',
  'const',
  'restrict',
  'function',
  'prototype',
  'variable',
  'section',
  'float',
  'decl_tag',
  'type_tag',
  'enum64',
] as const;

export type BtfKind = (typeof KINDS)[number];

/** Bytes after the common part: fixed, and per entry (vlen). Index: kind. */
const TAIL: readonly (readonly [fixed: number, each: number])[] = [
  [0, 0],
  [4, 0],
  [0, 0],
  [12, 0],
  [0, 12],
  [0, 12],
  [0, 8],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 8],
  [4, 0],
  [0, 12],
  [0, 0],
  [4, 0],
  [0, 0],
  [0, 12],
];

/** Deepest that types are followed into each other. */
const DEPTH_MAX = 32;
/** Types that one question may lead to: sk_buff has some hundred members. */
const STEPS_MAX = 16_384;

export interface BtfMember {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** Size of a bit field, 0 for an ordinary member. */
  readonly bitSize: number;
}

export interface BtfType {
  readonly id: number;
  readonly kind: BtfKind;
  readonly name: string;
  /** In bytes: of int, float, struct, union, enum, enum64, section. */
  readonly size: number;
  /** What pointer, typedef, const, volatile, restrict, function, variable, tag, or an array's elements refer to; 0 is void. */
  readonly target: number;
  readonly members: readonly BtfMember[];
  /** Of enums: name and value. */
  readonly values: readonly (readonly [name: string, value: bigint])[];
  /** Of prototypes; the last one has type 0 and no name where arguments vary. */
  readonly parameters: readonly { readonly name: string; readonly type: number }[];
  /** Of sections: variables with offset and size. */
  readonly variables: readonly { readonly type: number; readonly offset: number; readonly size: number }[];
  /** Array length. */
  readonly length: number;
  readonly signed: boolean;
  readonly boolean: boolean;
}

/** A member found by name, with anonymous structs and unions looked through. */
export interface BtfField {
  readonly type: number;
  readonly bitOffset: number;
  readonly bitSize: number;
}

export class Btf {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #strings: number;
  readonly #stringsEnd: number;
  readonly #base: Btf | undefined;
  readonly #firstId: number;
  readonly #firstString: number;
  /** Offset of each type, from #firstId on. */
  readonly #offsets: Uint32Array;
  /** Types that the question which is being answered has led to. */
  #steps = 0;

  /**
   * @param bytes raw BTF (the .BTF section, or a file of /sys/kernel/btf); not copied
   * @param base for split BTF (modules): what it extends
   * @throws E_BTF
   */
  constructor(bytes: Uint8Array, base?: Btf) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#base = base;
    this.#firstId = base === undefined ? 1 : base.#firstId + base.#offsets.length;
    this.#firstString = base === undefined ? 0 : base.#firstString + (base.#stringsEnd - base.#strings);
    if (bytes.byteLength < 24 || this.#view.getUint16(0, true) !== MAGIC) {
      throw new BpfError('E_BTF', 'not BTF data of this byte order');
    }
    const header = this.#view.getUint32(4, true);
    const start = header + this.#view.getUint32(8, true);
    const end = start + this.#view.getUint32(12, true);
    this.#strings = header + this.#view.getUint32(16, true);
    this.#stringsEnd = this.#strings + this.#view.getUint32(20, true);
    if (end > bytes.byteLength || this.#stringsEnd > bytes.byteLength) {
      throw new BpfError('E_BTF', 'BTF data is cut short');
    }
    this.#offsets = this.#index(start, end);
  }

  static #vmlinux: Btf | undefined;
  static #forget: NodeJS.Timeout | undefined;

  /** The running kernel's; read again when nobody asked for a while. @throws E_BTF where the kernel has none */
  static vmlinux(): Btf {
    Btf.#vmlinux ??= Btf.fromFile(VMLINUX);
    clearTimeout(Btf.#forget);
    Btf.#forget = setTimeout(() => {
      Btf.#vmlinux = undefined;
    }, KEPT_MS);
    Btf.#forget.unref();
    return Btf.#vmlinux;
  }

  /** A loaded module's, on top of the kernel's. @throws E_BTF */
  static module(name: string): Btf {
    return Btf.fromFile(`/sys/kernel/btf/${name}`, Btf.vmlinux());
  }

  /** Raw BTF from a file. @throws E_BTF */
  static fromFile(path: string, base?: Btf): Btf {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(path);
    } catch (cause) {
      throw new BpfError('E_BTF', `no BTF at ${path}: ${(cause as Error).message}`, { cause });
    }
    return new Btf(bytes, base);
  }

  #index(start: number, end: number): Uint32Array {
    let offsets = new Uint32Array(1024);
    let count = 0;
    for (let at = start; at < end; ) {
      if (at + TYPE_SIZE > end) throw new BpfError('E_BTF', 'BTF type section is cut short');
      if (count === offsets.length) {
        const more = new Uint32Array(count * 2);
        more.set(offsets);
        offsets = more;
      }
      offsets[count++] = at;
      const info = this.#view.getUint32(at + 4, true);
      const tail = TAIL[(info >>> 24) & 0x1f];
      if (tail === undefined) throw new BpfError('E_BTF', `unknown BTF kind ${(info >>> 24) & 0x1f}`);
      at += TYPE_SIZE + tail[0] + tail[1] * (info & 0xffff);
      if (at > end) throw new BpfError('E_BTF', 'BTF type section is cut short');
    }
    return offsets.slice(0, count);
  }

  /** Highest type id. */
  get lastId(): number {
    return this.#firstId + this.#offsets.length - 1;
  }

  #string(offset: number): string {
    if (offset < this.#firstString) return this.#base!.#string(offset);
    const start = this.#strings + offset - this.#firstString;
    if (start >= this.#stringsEnd) throw new BpfError('E_BTF', `BTF string offset ${offset} is out of range`);
    const end = this.#bytes.indexOf(0, start);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start).toString('latin1');
  }

  /** Decodes a type. @throws E_BTF for an id that is not there */
  type(id: number): BtfType {
    if (id === 0) return VOID;
    if (id < this.#firstId && this.#base !== undefined) return this.#base.type(id);
    const at = this.#offsets[id - this.#firstId];
    if (at === undefined) throw new BpfError('E_BTF', `no BTF type ${id}`);
    const view = this.#view;
    const u32 = (offset: number) => view.getUint32(offset, true);
    const info = u32(at + 4);
    const kind = KINDS[(info >>> 24) & 0x1f]!;
    const count = info & 0xffff;
    const flag = info >>> 31 === 1;
    const sizeOrType = u32(at + 8);
    const tail = at + TYPE_SIZE;
    const type = { ...VOID, id, kind, name: this.#string(u32(at)) };
    const entries = <T>(bytes: number, read: (offset: number) => T): T[] =>
      Array.from({ length: count }, (_, index) => read(tail + index * bytes));
    switch (kind) {
      case 'int': {
        const encoding = u32(tail);
        return {
          ...type,
          size: sizeOrType,
          signed: ((encoding >>> 24) & 1) === 1,
          boolean: ((encoding >>> 24) & 4) === 4,
        };
      }
      case 'array':
        return { ...type, target: u32(tail), length: u32(tail + 8) };
      case 'struct':
      case 'union':
        return {
          ...type,
          size: sizeOrType,
          members: entries(12, (offset) => {
            const position = u32(offset + 8);
            return {
              name: this.#string(u32(offset)),
              type: u32(offset + 4),
              // BTF_MEMBER_BIT_OFFSET, BTF_MEMBER_BITFIELD_SIZE: only with kind_flag is the top byte a size.
              bitOffset: flag ? position & 0xffffff : position,
              bitSize: flag ? position >>> 24 : 0,
            };
          }),
        };
      case 'enum':
        return {
          ...type,
          size: sizeOrType,
          signed: flag,
          values: entries(8, (offset) => [
            this.#string(u32(offset)),
            BigInt(flag ? view.getInt32(offset + 4, true) : u32(offset + 4)),
          ]),
        };
      case 'enum64':
        return {
          ...type,
          size: sizeOrType,
          signed: flag,
          values: entries(12, (offset) => {
            const value = (BigInt(u32(offset + 8)) << 32n) | BigInt(u32(offset + 4));
            return [this.#string(u32(offset)), flag ? BigInt.asIntN(64, value) : value];
          }),
        };
      case 'prototype':
        return {
          ...type,
          target: sizeOrType,
          parameters: entries(8, (offset) => ({ name: this.#string(u32(offset)), type: u32(offset + 4) })),
        };
      case 'section':
        return {
          ...type,
          size: sizeOrType,
          variables: entries(12, (offset) => ({
            type: u32(offset),
            offset: u32(offset + 4),
            size: u32(offset + 8),
          })),
        };
      case 'float':
        return { ...type, size: sizeOrType, signed: true };
      case 'forward':
        return type;
      default:
        return { ...type, target: sizeOrType };
    }
  }

  /** Ids of all types of that name, of that kind if one is given; the base's first. */
  findAll(name: string, kind?: BtfKind): number[] {
    const found = this.#base === undefined ? [] : this.#base.findAll(name, kind);
    const wanted = this.#stringOffsets(name);
    if (wanted.size === 0) return found;
    for (let index = 0; index < this.#offsets.length; index++) {
      const at = this.#offsets[index]!;
      if (!wanted.has(this.#view.getUint32(at, true))) continue;
      if (kind !== undefined && KINDS[(this.#view.getUint32(at + 4, true) >>> 24) & 0x1f] !== kind) continue;
      found.push(this.#firstId + index);
    }
    return found;
  }

  /** Where the name stands in the strings of the base and of this; a string may be the tail of another. */
  #stringOffsets(name: string): Set<number> {
    const offsets = this.#base === undefined ? new Set<number>() : this.#base.#stringOffsets(name);
    const strings = Buffer.from(
      this.#bytes.buffer,
      this.#bytes.byteOffset + this.#strings,
      this.#stringsEnd - this.#strings,
    );
    const needle = Buffer.from(`${name}\0`, 'latin1');
    for (let at = strings.indexOf(needle); at >= 0; at = strings.indexOf(needle, at + 1)) {
      offsets.add(this.#firstString + at);
    }
    return offsets;
  }

  /** The first type of that name. */
  find(name: string, kind?: BtfKind): BtfType | undefined {
    const id = this.findAll(name, kind)[0];
    return id === undefined ? undefined : this.type(id);
  }

  /** BTF from a stranger's file may hold a loop, or types that hold others twice, and those others twice. */
  #enter(id: number, depth: number): void {
    if (depth === 0) this.#steps = 0;
    if (depth > DEPTH_MAX || ++this.#steps > STEPS_MAX)
      throw new BpfError('E_BTF', `BTF type ${id} is nested too deeply`);
  }

  /** Looks through typedefs, qualifiers, tags and variables. */
  resolve(id: number): BtfType {
    for (let depth = 0; depth < DEPTH_MAX; depth++) {
      const type = this.type(id);
      switch (type.kind) {
        case 'typedef':
        case 'volatile':
        case 'const':
        case 'restrict':
        case 'type_tag':
        case 'decl_tag':
        case 'variable':
          id = type.target;
          break;
        default:
          return type;
      }
    }
    throw new BpfError('E_BTF', `BTF type ${id} is nested too deeply`);
  }

  /** Size in bytes of any type; a pointer has 8. @throws E_BTF for types without a size */
  sizeOf(id: number): number {
    return this.#sizeOf(id, 0);
  }

  #sizeOf(id: number, depth: number): number {
    this.#enter(id, depth);
    const type = this.resolve(id);
    switch (type.kind) {
      case 'pointer':
        return 8;
      case 'array':
        return type.length * this.#sizeOf(type.target, depth + 1);
      case 'void':
      case 'forward':
      case 'function':
      case 'prototype':
        throw new BpfError('E_BTF', `${type.kind} ${type.name} has no size`);
      default:
        return type.size;
    }
  }

  /**
   * A member of a struct or union, by name or path (`dev.ifindex` steps into embedded structs), or undefined. The question
   * that bpf_core_field_exists() asks.
   */
  field(struct: string | number, path: string): BtfField | undefined {
    let id = typeof struct === 'number' ? struct : this.#structId(struct);
    let bitOffset = 0;
    let bitSize = 0;
    if (id === undefined) return undefined;
    for (const name of path.split('.')) {
      const found = this.#member(id, name, 0);
      if (found === undefined) return undefined;
      id = found.type;
      bitOffset += found.bitOffset;
      bitSize = found.bitSize;
    }
    return { type: id, bitOffset, bitSize };
  }

  #structId(name: string): number | undefined {
    return (this.find(name, 'struct') ?? this.find(name, 'union') ?? this.find(name, 'typedef'))?.id;
  }

  #member(id: number, name: string, depth: number): BtfField | undefined {
    this.#enter(id, depth);
    for (const member of this.resolve(id).members) {
      if (member.name === name) return member;
      if (member.name !== '') continue;
      const inner = this.#member(member.type, name, depth + 1);
      if (inner !== undefined) return { ...inner, bitOffset: inner.bitOffset + member.bitOffset };
    }
    return undefined;
  }

  /** Value of an enumerator, e.g. `enumerator('bpf_prog_type', 'BPF_PROG_TYPE_XDP')`, or undefined. */
  enumerator(enumeration: string, name: string): bigint | undefined {
    const type = this.find(enumeration, 'enum') ?? this.find(enumeration, 'enum64');
    return type?.values.find(([each]) => each === name)?.[1];
  }

  /** Whether the kernel (or module) has a function of that name that fentry could attach to. */
  hasFunction(name: string): boolean {
    return this.findAll(name, 'function').length > 0;
  }

  /** C's name of a type, e.g. `struct net_device *`. */
  typeName(id: number): string {
    return this.#typeName(id, 0);
  }

  #typeName(id: number, depth: number): string {
    this.#enter(id, depth);
    const type = this.type(id);
    switch (type.kind) {
      case 'pointer':
        return `${this.#typeName(type.target, depth + 1)} *`;
      case 'array':
        return `${this.#typeName(type.target, depth + 1)}[${type.length}]`;
      case 'const':
      case 'volatile':
      case 'restrict':
        return `${type.kind} ${this.#typeName(type.target, depth + 1)}`;
      case 'struct':
      case 'union':
      case 'enum':
        return `${type.kind} ${type.name || '(anonymous)'}`;
      case 'enum64':
        return `enum ${type.name || '(anonymous)'}`;
      case 'type_tag':
        return this.#typeName(type.target, depth + 1);
      case 'prototype':
        return `${this.#typeName(type.target, depth + 1)} (${type.parameters.map((each) => this.#typeName(each.type, depth + 1)).join(', ')})`;
      default:
        return type.name || type.kind;
    }
  }
}

const VOID: BtfType = {
  id: 0,
  kind: 'void',
  name: 'void',
  size: 0,
  target: 0,
  members: [],
  values: [],
  parameters: [],
  variables: [],
  length: 0,
  signed: false,
  boolean: false,
};
