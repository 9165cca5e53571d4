/**
 * From BTF types to JavaScript values and back: integers to numbers (64 bits and more to bigints), structs and unions to
 * plain objects, `char[]` to strings, `unsigned char[]` to Uint8Array, other arrays to arrays, enums to numbers (written
 * also by name), pointers to bigints. A Uint8Array of the exact size is accepted for any value and copied as it is.
 * Both supported architectures are little endian.
 */

import type { Btf, BtfField, BtfMember, BtfType } from './btf.ts';
import { BpfError } from './errors.ts';

export interface Codec<T = unknown> {
  /** In bytes. */
  readonly size: number;
  readonly name: string;
  /** A plain unsigned integer of 4 or 8 bytes, for which bulk operations have a short cut. */
  readonly plain?: 'u32' | 'u64';
  /** Of a struct or union: where each member is, in bytes from its beginning. For who reads a part of it. */
  readonly members?: ReadonlyMap<string, Member>;
  read(view: DataView, offset: number): T;
  /** @throws E_VALUE */
  write(view: DataView, offset: number, value: T): void;
}

export interface Member {
  readonly offset: number;
  readonly codec: Codec;
}

/** Deepest nesting of types, and longest array, that is decoded; BTF may come from a stranger's file. */
const DEPTH_MAX = 32;
/** Types that one codec is made of, those within others counted as often as they stand there. */
const PARTS_MAX = 65_536;
const INT_SIZES: readonly number[] = [1, 2, 4, 8, 16];
/** Of the codec that is being made. */
let made = 0;

function bad(name: string, wanted: string, value: unknown): BpfError {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return new BpfError('E_VALUE', `${name}: ${wanted} expected, not ${text.slice(0, 80)}`);
}

/** Bytes as they are. */
export function rawCodec(size: number, name = `bytes[${size}]`): Codec<Uint8Array> {
  return {
    size,
    name,
    read: (view, offset) => bytesAt(view, offset, size).slice(),
    write(view, offset, value) {
      if (!(value instanceof Uint8Array) || value.length !== size) throw bad(name, `${size} bytes`, value);
      bytesAt(view, offset, size).set(value);
    },
  };
}

function bytesAt(view: DataView, offset: number, size: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, size);
}

/** Accepts a Uint8Array of the exact size besides what `codec` accepts. */
function orRaw<T>(codec: Codec<T>): Codec<T> {
  return {
    ...codec,
    write(view, offset, value) {
      if (value instanceof Uint8Array) {
        if (value.length !== codec.size)
          throw bad(codec.name, `${codec.size} bytes`, `${value.length} bytes`);
        bytesAt(view, offset, codec.size).set(value);
      } else {
        codec.write(view, offset, value);
      }
    },
  };
}

/** An integer of 1, 2, 4, 8 or 16 bytes. Of 8 and 16 bytes values are bigints; numbers are accepted where exact. */
export function intCodec(size: number, signed: boolean, name: string): Codec<number | bigint> {
  if (!INT_SIZES.includes(size)) throw new BpfError('E_BTF', `${name}: no integer has ${size} bytes`);
  const bits = size * 8;
  if (size <= 4) {
    const min = signed ? -(2 ** (bits - 1)) : 0;
    const max = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
    const check = (value: number | bigint): number => {
      const number = Number(value);
      if (!(number >= min && number <= max) || !Number.isInteger(number) || typeof value === 'string') {
        throw bad(name, `an integer from ${min} to ${max}`, value);
      }
      return number;
    };
    const common = { size, name, ...(size === 4 && !signed ? { plain: 'u32' as const } : {}) };
    switch (size) {
      case 1:
        return {
          ...common,
          read: (view, offset) => (signed ? view.getInt8(offset) : view.getUint8(offset)),
          write: (view, offset, value) => view.setInt8(offset, check(value)),
        };
      case 2:
        return {
          ...common,
          read: (view, offset) => (signed ? view.getInt16(offset, true) : view.getUint16(offset, true)),
          write: (view, offset, value) => view.setInt16(offset, check(value), true),
        };
      case 4:
        return {
          ...common,
          read: (view, offset) => (signed ? view.getInt32(offset, true) : view.getUint32(offset, true)),
          write: (view, offset, value) => view.setInt32(offset, check(value), true),
        };
    }
  }
  const low = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const high = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
  const check = (value: number | bigint): bigint => {
    if (typeof value === 'number' ? !Number.isSafeInteger(value) : typeof value !== 'bigint') {
      throw bad(name, 'a bigint or safe integer', value);
    }
    const big = BigInt(value);
    if (big < low || big > high) throw bad(name, `an integer from ${low} to ${high}`, value);
    return big;
  };
  if (size === 8) {
    return {
      size,
      name,
      ...(signed ? {} : { plain: 'u64' as const }),
      read: (view, offset) => (signed ? view.getBigInt64(offset, true) : view.getBigUint64(offset, true)),
      write: (view, offset, value) => view.setBigInt64(offset, check(value), true),
    };
  }
  return {
    size,
    name,
    read(view, offset) {
      const value = (view.getBigUint64(offset + 8, true) << 64n) | view.getBigUint64(offset, true);
      return signed ? BigInt.asIntN(128, value) : value;
    },
    write(view, offset, value) {
      const big = check(value);
      view.setBigUint64(offset, BigInt.asUintN(64, big), true);
      view.setBigInt64(offset + 8, BigInt.asIntN(64, big >> 64n), true);
    },
  };
}

/** Makes the codec of a BTF type. @throws E_BTF for types without values (functions, forward declarations) */
export function codecOf(btf: Btf, id: number, depth = 0): Codec {
  if (depth === 0) made = 0;
  const type = btf.resolve(id);
  const name = btf.typeName(id);
  limit(name, depth);
  switch (type.kind) {
    case 'int':
      if (type.boolean) return orRaw(boolCodec(type.size, name)) as Codec;
      return orRaw(intCodec(type.size, type.signed, name)) as Codec;
    case 'pointer':
      return orRaw(intCodec(8, false, name)) as Codec;
    case 'float':
      return orRaw(floatCodec(type.size, name)) as Codec;
    case 'enum':
    case 'enum64':
      return orRaw(enumCodec(type, name)) as Codec;
    case 'array':
      return arrayCodec(btf, type, name, depth);
    case 'struct':
    case 'union':
      return orRaw(recordCodec(btf, type, name, depth)) as Codec;
    default:
      throw new BpfError('E_BTF', `${name} has no values`);
  }
}

/** Types that hold each other twice, and again, would never come to an end. */
function limit(name: string, depth: number): void {
  if (depth > DEPTH_MAX || ++made > PARTS_MAX) throw new BpfError('E_BTF', `${name} is nested too deeply`);
}

function boolCodec(size: number, name: string): Codec<boolean> {
  return {
    size,
    name,
    read: (view, offset) => view.getUint8(offset) !== 0,
    write(view, offset, value) {
      if (typeof value !== 'boolean') throw bad(name, 'a boolean', value);
      view.setUint8(offset, value ? 1 : 0);
    },
  };
}

function floatCodec(size: number, name: string): Codec<number> {
  if (size !== 4 && size !== 8) throw new BpfError('E_BTF', `${name}: no number has ${size} bytes`);
  return {
    size,
    name,
    read: (view, offset) => (size === 4 ? view.getFloat32(offset, true) : view.getFloat64(offset, true)),
    write(view, offset, value) {
      if (typeof value !== 'number') throw bad(name, 'a number', value);
      if (size === 4) view.setFloat32(offset, value, true);
      else view.setFloat64(offset, value, true);
    },
  };
}

function enumCodec(type: BtfType, name: string): Codec<number | bigint | string> {
  const int = intCodec(type.size, type.signed, name);
  const values = new Map(type.values);
  return {
    size: type.size,
    name,
    read: int.read,
    write(view, offset, value) {
      if (typeof value === 'string') {
        const found = values.get(value);
        if (found === undefined) throw bad(name, `one of ${[...values.keys()].join(', ')}`, value);
        int.write(view, offset, found);
      } else {
        int.write(view, offset, value);
      }
    },
  };
}

function arrayCodec(btf: Btf, type: BtfType, name: string, depth: number): Codec {
  const element = btf.resolve(type.target);
  const length = type.length;
  if (element.kind === 'int' && element.size === 1 && !element.boolean) {
    // `char` is text; `unsigned char`, __u8 and `signed char` are bytes.
    return (element.name === 'char' ? textCodec(length, name) : orRaw(rawCodec(length, name))) as Codec;
  }
  const each = codecOf(btf, type.target, depth + 1);
  if (each.size === 0 && length > 0) throw new BpfError('E_BTF', `${name}: its elements have no size`);
  return orRaw<unknown[]>({
    size: length * each.size,
    name,
    read: (view, offset) => Array.from({ length }, (_, index) => each.read(view, offset + index * each.size)),
    write(view, offset, value) {
      if (!Array.isArray(value) || value.length !== length) throw bad(name, `an array of ${length}`, value);
      for (let index = 0; index < length; index++) each.write(view, offset + index * each.size, value[index]);
    },
  }) as Codec;
}

/** NUL-terminated UTF-8, as kernel names are; the rest is zero. */
function textCodec(size: number, name: string): Codec<string> {
  return orRaw({
    size,
    name,
    read(view, offset) {
      const bytes = Buffer.from(view.buffer, view.byteOffset + offset, size);
      const end = bytes.indexOf(0);
      return bytes.toString('utf8', 0, end < 0 ? size : end);
    },
    write(view, offset, value) {
      if (typeof value !== 'string') throw bad(name, 'a string', value);
      const bytes = Buffer.from(value, 'utf8');
      if (bytes.length >= size) throw bad(name, `at most ${size - 1} bytes of text`, value);
      const target = bytesAt(view, offset, size);
      target.fill(0);
      target.set(bytes);
    },
  });
}

interface Field extends Member {
  readonly name: string;
}

/** Members of anonymous structs and unions appear in the outer object, as they do in C. */
function fieldsOf(btf: Btf, type: BtfType, base: number, depth: number): Field[] {
  return type.members.flatMap((member: BtfMember) => {
    if (member.name === '' && member.bitSize === 0) {
      limit(type.name, depth);
      return fieldsOf(btf, btf.resolve(member.type), base + member.bitOffset / 8, depth + 1);
    }
    if (member.bitSize !== 0) {
      if (member.name === '') return []; // padding
      return [bitField(btf, member, base)];
    }
    return [
      { name: member.name, offset: base + member.bitOffset / 8, codec: codecOf(btf, member.type, depth + 1) },
    ];
  });
}

function bitField(btf: Btf, member: BtfField & { name: string }, base: number): Field {
  const type = btf.resolve(member.type);
  const { bitSize } = member;
  const first = base + Math.floor(member.bitOffset / 8);
  const shift = BigInt(member.bitOffset % 8);
  const bytes = Math.ceil(((member.bitOffset % 8) + bitSize) / 8);
  const mask = (1n << BigInt(bitSize)) - 1n;
  const wide = type.size > 4;
  const load = (view: DataView, offset: number) => {
    let value = 0n;
    for (let at = bytes - 1; at >= 0; at--) value = (value << 8n) | BigInt(view.getUint8(offset + at));
    return value;
  };
  const codec: Codec = {
    size: bytes,
    name: `${member.name}:${bitSize}`,
    read(view, offset) {
      const value = (load(view, offset) >> shift) & mask;
      const signed = type.signed ? BigInt.asIntN(bitSize, value) : value;
      if (type.boolean) return value !== 0n;
      return wide ? signed : Number(signed);
    },
    write(view, offset, given) {
      const number = typeof given === 'boolean' ? (given ? 1 : 0) : given;
      if (typeof number !== 'bigint' && !Number.isInteger(number)) throw bad(codec.name, 'an integer', given);
      const value = BigInt(number as number | bigint);
      const fits = type.signed ? BigInt.asIntN(bitSize, value) : BigInt.asUintN(bitSize, value);
      if (fits !== value) throw bad(codec.name, `an integer of ${bitSize} bits`, given);
      let whole = (load(view, offset) & ~(mask << shift)) | ((value & mask) << shift);
      for (let at = 0; at < bytes; at++, whole >>= 8n) view.setUint8(offset + at, Number(whole & 255n));
    },
  };
  return { name: member.name, offset: first, codec };
}

function recordCodec(btf: Btf, type: BtfType, name: string, depth: number): Codec<Record<string, unknown>> {
  const fields = fieldsOf(btf, type, 0, depth);
  const members = new Map<string, Member>(fields.map((field) => [field.name, field]));
  const { size } = type;
  for (const field of fields)
    if (!Number.isInteger(field.offset) || field.offset + field.codec.size > size)
      throw new BpfError('E_BTF', `${name}: member ${field.name} is not within its ${size} bytes`);
  return {
    size,
    name,
    members,
    read(view, offset) {
      const record: Record<string, unknown> = {};
      for (const field of fields) record[field.name] = field.codec.read(view, offset + field.offset);
      return record;
    },
    write(view, offset, value) {
      if (typeof value !== 'object' || value === null) throw bad(name, 'an object', value);
      // Members left out are zero, padding too: keys are compared byte by byte.
      bytesAt(view, offset, size).fill(0);
      for (const key in value) if (!members.has(key)) throw bad(name, `a member of it`, key);
      for (const field of fields) {
        const member = value[field.name];
        if (member !== undefined) field.codec.write(view, offset + field.offset, member);
      }
    },
  };
}

/** For maps without BTF: 4 bytes as an unsigned number, anything else as bytes. */
export function plainCodec(size: number): Codec {
  return (size === 4 ? orRaw(intCodec(4, false, 'u32')) : rawCodec(size)) as Codec;
}

/** A value as bytes of its own, e.g. the context of a program. @throws E_VALUE */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(codec.size);
  codec.write(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** @throws E_VALUE if there are fewer bytes than the type has */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  if (bytes.byteLength < codec.size)
    throw bad(codec.name, `${codec.size} bytes`, `${bytes.byteLength} bytes`);
  return codec.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
}
