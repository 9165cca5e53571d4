/** From netlink bytes to objects, as the attribute tables in schema/ say. Little-endian machines. */

import { EkhoError } from '../errors.ts';
import { formatHex, formatIp4, formatIp6, formatMac } from './address.ts';
import type { Kind } from './kinds.ts';
import { FAMILIES } from './schema/families.ts';
import {
  type Attribute,
  type AttributeSet,
  type Field,
  type Scalar,
  type SelectType,
  type StructType,
  scalarSize,
  type Type,
} from './schema.ts';

/** Numbers are `number` up to 2^53-1, `bigint` beyond. */
export type Value = number | bigint | string | boolean | Value[] | Decoded;

export interface Decoded {
  [name: string]: Value;
}

/** An attribute no table names (or that came twice): kept as it is. `path` is where, e.g. `linkinfo/data` or `multipath/0`. */
export interface UnknownAttribute {
  readonly type: number;
  readonly path: string;
  /** Hex. */
  readonly bytes: string;
}

export interface DecodedObject {
  header: Decoded;
  unknown?: UnknownAttribute[];
  [attribute: string]: Value | UnknownAttribute[] | undefined;
}

/** The bytes do not follow the layout: resynchronise. `offset` counts from the start of the object. */
export class DecodeError extends EkhoError {
  readonly family: string;
  readonly attribute: string;
  readonly offset: number;

  constructor(family: string, attribute: string, offset: number, what: string) {
    super('E_DECODE', `${family}: ${attribute === '' ? 'header' : attribute} at byte ${offset}: ${what}`, {
      operation: `decode ${family}`,
    });
    this.name = 'DecodeError';
    this.family = family;
    this.attribute = attribute;
    this.offset = offset;
  }
}

/** NLA_F_NESTED and NLA_F_NET_BYTEORDER, linux/netlink.h. */
export const NESTED = 0x8000;
export const NET_BYTEORDER = 0x4000;
export const TYPE_MASK = 0x3fff;

export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;
export const AF_MPLS = 28;

/** The kernel's own attributes nest at most 10 deep; tables that refer to themselves must end somewhere. */
const DEPTH_MAX = 24;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** UTF-8; a name that is not keeps its bytes above 127 as lone surrogates U+DC80-U+DCFF, so it can be encoded again. */
function decodeString(bytes: Uint8Array, start: number, end: number): string {
  let stop = start;
  let ascii = true;
  while (stop < end && bytes[stop] !== 0) {
    if (bytes[stop]! > 0x7f) ascii = false;
    stop++;
  }
  if (ascii) {
    let text = '';
    for (let at = start; at < stop; at++) text += String.fromCharCode(bytes[at]!);
    return text;
  }
  try {
    return utf8.decode(bytes.subarray(start, stop));
  } catch {
    return Array.from(bytes.subarray(start, stop), (byte) =>
      String.fromCharCode(byte > 0x7f ? 0xdc00 + byte : byte),
    ).join('');
  }
}

function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

function readU32(bytes: Uint8Array, at: number): number {
  return (readU16(bytes, at) | (readU16(bytes, at + 2) << 16)) >>> 0;
}

function readBe16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function readBe32(bytes: Uint8Array, at: number): number {
  return ((readBe16(bytes, at) << 16) | readBe16(bytes, at + 2)) >>> 0;
}

function join64(high: number, low: number): number | bigint {
  return high < 0x200000 ? high * 0x1_0000_0000 + low : (BigInt(high) << 32n) | BigInt(low);
}

function readS64(bytes: Uint8Array, at: number): number | bigint {
  const value = BigInt.asIntN(64, BigInt(join64(readU32(bytes, at + 4), readU32(bytes, at))));
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function readScalar(type: Scalar, bytes: Uint8Array, at: number): Value {
  switch (type) {
    case 'u8':
      return bytes[at]!;
    case 's8':
      return (bytes[at]! << 24) >> 24;
    case 'u16':
      return readU16(bytes, at);
    case 's16':
      return (readU16(bytes, at) << 16) >> 16;
    case 'u32':
      return readU32(bytes, at);
    case 's32':
      return readU32(bytes, at) | 0;
    case 'u64':
      return join64(readU32(bytes, at + 4), readU32(bytes, at));
    case 's64':
      return readS64(bytes, at);
    case 'be16':
      return readBe16(bytes, at);
    case 'be32':
      return readBe32(bytes, at);
    case 'be64':
      return join64(readBe32(bytes, at), readBe32(bytes, at + 4));
    case 'ip4':
      return formatIp4(bytes, at);
    case 'ip6':
      return formatIp6(bytes, at);
    case 'mac6':
      return formatMac(bytes, at, at + 6);
  }
}

const SWAPPED: Partial<Record<string, Scalar>> = { u16: 'be16', u32: 'be32', u64: 'be64' };

class Decoder {
  readonly family: string;
  readonly bytes: Uint8Array;
  readonly start: number;
  /** Address family in the message's header. */
  addressFamily = 0;
  unknown: UnknownAttribute[] = [];

  constructor(family: string, bytes: Uint8Array, start: number) {
    this.family = family;
    this.bytes = bytes;
    this.start = start;
  }

  fail(path: string, at: number, what: string): never {
    throw new DecodeError(this.family, path, at - this.start, what);
  }

  /** Fields that are there; bytes after the known ones go to `rest`. */
  struct(type: StructType, start: number, end: number, path: string): Decoded {
    const result: Decoded = {};
    for (const field of type.fields) {
      const at = start + field.offset;
      const size = this.fieldSize(field);
      if (at >= end) return result;
      if (at + size > end) this.fail(path, start, `struct ${type.name} ends within ${field.name}`);
      result[field.name] = this.field(field.type, at, path);
    }
    if (start + type.size < end) result.rest = formatHex(this.bytes, start + type.size, end);
    return result;
  }

  fieldSize(field: Field): number {
    const type = field.type;
    if (typeof type === 'string') return scalarSize(type);
    return 'bytes' in type ? type.bytes : type.size;
  }

  field(type: Field['type'], at: number, path: string): Value {
    if (typeof type === 'string') return readScalar(type, this.bytes, at);
    if ('bytes' in type) return formatHex(this.bytes, at, at + type.bytes);
    return this.struct(type, at, at + type.size, path);
  }

  attributes(
    set: AttributeSet,
    into: Decoded,
    start: number,
    end: number,
    path: string,
    depth: number,
  ): void {
    if (depth > DEPTH_MAX) this.fail(path, start, `nested more than ${DEPTH_MAX} deep`);
    const { bytes } = this;
    let deferred:
      | { attribute: Attribute; type: SelectType; raw: number; at: number; end: number }[]
      | undefined;
    let at = start;
    while (at < end) {
      if (end - at < 4) this.fail(path, at, 'ends within an attribute header');
      const length = readU16(bytes, at);
      const raw = readU16(bytes, at + 2);
      const next = at + length;
      if (length < 4 || next > end) {
        const name = set.byNumber[raw & TYPE_MASK]?.name ?? String(raw & TYPE_MASK);
        this.fail(path === '' ? name : `${path}/${name}`, at, `length ${length} of ${end - at} bytes left`);
      }
      const attribute = set.byNumber[raw & TYPE_MASK];
      const type = attribute?.type;
      if (attribute === undefined || type === undefined) {
        this.keep(raw, path, at + 4, next);
      } else if (typeof type !== 'string' && type.kind === 'many') {
        let values = into[attribute.name] as Value[] | undefined;
        if (values === undefined) {
          values = [];
          into[attribute.name] = values;
        }
        const element = `${path === '' ? '' : `${path}/`}${attribute.name}/${values.length}`;
        values.push(this.value(type.of, raw, at + 4, next, element, depth + 1));
      } else if (attribute.name in into) {
        this.keep(raw, path, at + 4, next);
      } else if (typeof type !== 'string' && type.kind === 'select') {
        // The attribute that selects may come later; the name is entered now so that the order is kept.
        into[attribute.name] = '';
        deferred ??= [];
        deferred.push({ attribute, type, raw, at: at + 4, end: next });
      } else {
        into[attribute.name] = this.value(
          type,
          raw,
          at + 4,
          next,
          path === '' ? attribute.name : `${path}/${attribute.name}`,
          depth + 1,
        );
      }
      at = at + ((length + 3) & ~3);
    }
    if (deferred === undefined) return;
    for (const { attribute, type, raw, at: from, end: to } of deferred) {
      const selector = into[type.by];
      const key = typeof selector === 'string' || typeof selector === 'number' ? String(selector) : '';
      const chosen = Object.hasOwn(type.of, key) ? type.of[key]! : 'binary';
      into[attribute.name] = this.value(
        chosen,
        raw,
        from,
        to,
        path === '' ? attribute.name : `${path}/${attribute.name}`,
        depth + 1,
      );
    }
  }

  keep(raw: number, path: string, start: number, end: number): void {
    this.unknown.push({ type: raw & TYPE_MASK, path, bytes: formatHex(this.bytes, start, end) });
  }

  value(type: Type, raw: number, start: number, end: number, path: string, depth: number): Value {
    if (typeof type === 'string') return this.simple(type, raw, start, end, path);
    switch (type.kind) {
      case 'struct':
        return this.struct(type, start, end, path);
      case 'nest': {
        const nested: Decoded = {};
        this.attributes(type.attributes(), nested, start, end, path, depth);
        return nested;
      }
      case 'indexed':
        return this.indexed(type.of, start, end, path, depth);
      case 'array': {
        const size = typeof type.of === 'string' ? scalarSize(type.of) : type.of.size;
        if ((end - start) % size !== 0)
          this.fail(path, start, `${end - start} bytes, not a multiple of ${size}`);
        const values: Value[] = [];
        for (let at = start; at < end; at += size) values.push(this.field(type.of, at, path));
        return values;
      }
      case 'family':
        return this.value(type.of[this.addressFamily] ?? type.otherwise, raw, start, end, path, depth);
      case 'headed': {
        const headerEnd = Math.min(end, start + type.header.size);
        const result = this.struct(type.header, start, headerEnd, path);
        const from = start + ((type.header.size + 3) & ~3);
        if (from < end) this.attributes(type.attributes(), result, from, end, path, depth);
        return result;
      }
      case 'multipath':
        return this.multipath(type.header, type.attributes(), start, end, path, depth);
      case 'counted': {
        const size = typeof type.of === 'string' ? scalarSize(type.of) : type.of.size;
        const from = Math.min(end, start + type.header.size);
        if ((end - from) % size !== 0)
          this.fail(path, from, `${end - from} bytes, not a multiple of ${size}`);
        const result = this.struct(type.header, start, from, path);
        const items: Value[] = [];
        for (let at = from; at < end; at += size) items.push(this.field(type.of, at, path));
        result[type.items] = items;
        return result;
      }
      case 'via': {
        if (end - start < 2) this.fail(path, start, `${end - start} bytes, at least 2 expected`);
        const family = readU16(this.bytes, start);
        return { family, address: this.address(family, start + 2, end, path) };
      }
      case 'many':
      case 'select':
        return this.fail(path, start, 'stands where the tables do not allow it');
    }
  }

  /** Only the order counts: dumps number the same elements from 0 that notifications number from 1. */
  indexed(type: Type, start: number, end: number, path: string, depth: number): Value[] {
    if (depth > DEPTH_MAX) this.fail(path, start, `nested more than ${DEPTH_MAX} deep`);
    const values: Value[] = [];
    let at = start;
    while (at < end) {
      if (end - at < 4) this.fail(path, at, 'ends within an attribute header');
      const length = readU16(this.bytes, at);
      const raw = readU16(this.bytes, at + 2);
      if (length < 4 || at + length > end) {
        this.fail(`${path}/${values.length}`, at, `length ${length} of ${end - at} bytes left`);
      }
      values.push(this.value(type, raw, at + 4, at + length, `${path}/${values.length}`, depth + 1));
      at += (length + 3) & ~3;
    }
    return values;
  }

  multipath(
    header: StructType,
    set: AttributeSet,
    start: number,
    end: number,
    path: string,
    depth: number,
  ): Value[] {
    const values: Value[] = [];
    let at = start;
    while (at < end) {
      const element = `${path}/${values.length}`;
      if (end - at < header.size) this.fail(element, at, `ends within struct ${header.name}`);
      const length = readU16(this.bytes, at);
      if (length < header.size || at + length > end) {
        this.fail(element, at, `length ${length} of ${end - at} bytes left`);
      }
      const hop = this.struct(header, at, at + header.size, element);
      delete hop.len;
      this.attributes(set, hop, at + header.size, at + length, element, depth);
      values.push(hop);
      at += (length + 3) & ~3;
    }
    return values;
  }

  simple(type: Exclude<Type, object>, raw: number, start: number, end: number, path: string): Value {
    const length = end - start;
    switch (type) {
      case 'flag':
        if (length !== 0) this.fail(path, start, `${length} bytes, none expected`);
        return true;
      case 'string':
        return decodeString(this.bytes, start, end);
      case 'binary':
        return formatHex(this.bytes, start, end);
      case 'mac':
        return formatMac(this.bytes, start, end);
      case 'ip':
        return this.address(this.addressFamily, start, end, path);
      case 'labels':
        return this.labels(start, end, path);
      case 'bitfield32':
        if (length !== 8) this.fail(path, start, `${length} bytes, 8 expected`);
        return { value: readU32(this.bytes, start), selector: readU32(this.bytes, start + 4) };
      case 'uint':
        if (length !== 4 && length !== 8) this.fail(path, start, `${length} bytes, 4 or 8 expected`);
        return readScalar(length === 4 ? 'u32' : 'u64', this.bytes, start);
      default: {
        const size = scalarSize(type);
        if (length !== size) this.fail(path, start, `${length} bytes, ${size} expected`);
        return readScalar((raw & NET_BYTEORDER) !== 0 ? (SWAPPED[type] ?? type) : type, this.bytes, start);
      }
    }
  }

  /** Families without a text form here are `0x` and hex. */
  address(family: number, start: number, end: number, path: string): string {
    const length = end - start;
    if (family === AF_MPLS) return this.labels(start, end, path);
    if (length === 4 && family !== AF_INET6) return formatIp4(this.bytes, start);
    if (length === 16 && family !== AF_INET) return formatIp6(this.bytes, start);
    if (family === AF_INET) this.fail(path, start, `${length} bytes, 4 expected`);
    if (family === AF_INET6) this.fail(path, start, `${length} bytes, 16 expected`);
    return `0x${formatHex(this.bytes, start, end)}`;
  }

  /** linux/mpls.h struct mpls_label: label in the upper 20 bits, bottom of stack in bit 8. */
  labels(start: number, end: number, path: string): string {
    if ((end - start) % 4 !== 0 || end === start) this.fail(path, start, `${end - start} bytes of labels`);
    let text = '';
    for (let at = start; at < end; at += 4) {
      const entry = readBe32(this.bytes, at);
      // Labels of routes carry nothing but the label and, on the last, the bottom bit.
      if ((entry & 0xfff) !== (at + 4 === end ? 0x100 : 0)) return `0x${formatHex(this.bytes, start, end)}`;
      text += `${text === '' ? '' : '/'}${entry >>> 12}`;
    }
    return text;
  }
}

/**
 * Decodes the object at `bytes[start, end)`: the family's fixed header, then attributes (no nlmsghdr).
 * Throws DecodeError if the bytes do not follow the layout.
 */
export function decodeObject(kind: Kind, bytes: Uint8Array, start: number, end: number): DecodedObject {
  const family = FAMILIES[kind];
  const decoder = new Decoder(family.name, bytes, start);
  if (end - start < family.header.size) {
    decoder.fail('', start, `${end - start} bytes, ${family.header.size} expected`);
  }
  const header = decoder.struct(family.header, start, start + family.header.size, '');
  decoder.addressFamily = Number(header.family ?? 0);
  const result: Decoded = {};
  const from = start + ((family.header.size + 3) & ~3);
  if (from < end) decoder.attributes(family.attributes, result, from, end, '', 0);
  const object: DecodedObject = { header, ...result };
  if (decoder.unknown.length > 0) object.unknown = decoder.unknown;
  return object;
}
