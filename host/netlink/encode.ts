/** From objects to netlink bytes: the reverse of decode.ts, for requests and tests. Little-endian machines. */

import { EkhoError } from '../errors.ts';
import { parseHex, parseIp, parseIp4, parseIp6, parseMac } from './address.ts';
import {
  AF_INET,
  AF_INET6,
  AF_MPLS,
  type Decoded,
  type DecodedObject,
  NESTED,
  type Value,
} from './decode.ts';
import type { Kind } from './kinds.ts';
import { FAMILIES } from './schema/families.ts';
import {
  type AttributeSet,
  type Field,
  type Scalar,
  type StructType,
  scalarSize,
  type Type,
} from './schema.ts';

/** An attribute's length is 16 bits. */
const ATTRIBUTE_MAX = 0xffff;
/** Objects the kernel sends fit a dump buffer; 1 MiB is far beyond what it accepts. */
const OBJECT_MAX = 1 << 20;

class Encoder {
  readonly family: string;
  bytes = new Uint8Array(512);
  length = 0;
  addressFamily = 0;
  readonly unknown = new Map<string, { type: number; bytes: string }[]>();

  constructor(family: string) {
    this.family = family;
  }

  fail(path: string, what: string): never {
    throw new EkhoError('E_USAGE', `${this.family}: ${path === '' ? 'header' : path}: ${what}`, {
      operation: `encode ${this.family}`,
    });
  }

  /** Grows the buffer; new bytes are zero. Returns where they start. */
  reserve(size: number): number {
    const at = this.length;
    const end = at + size;
    if (end > OBJECT_MAX) this.fail('', `more than ${OBJECT_MAX} bytes`);
    if (end > this.bytes.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
    }
    this.length = end;
    return at;
  }

  align(): void {
    this.reserve(-this.length & 3);
  }

  append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length);
    this.bytes.set(bytes, at);
  }

  integer(value: Value, size: number, bigEndian: boolean, path: string): void {
    if (typeof value !== 'number' && typeof value !== 'bigint') this.fail(path, 'a number is expected');
    if (typeof value === 'number' && !Number.isSafeInteger(value)) this.fail(path, `${value} is no integer`);
    const wide = BigInt(value);
    const bits = 8 * size;
    if (wide < -(1n << BigInt(bits - 1)) || wide >= 1n << BigInt(bits)) {
      this.fail(path, `${value} does not fit ${bits} bits`);
    }
    let rest = BigInt.asUintN(bits, wide);
    const at = this.reserve(size);
    for (let index = 0; index < size; index++) {
      this.bytes[bigEndian ? at + size - 1 - index : at + index] = Number(rest & 0xffn);
      rest >>= 8n;
    }
  }

  /** `parsed` is undefined when the text was not understood. */
  text(parsed: Uint8Array | undefined, value: Value, size: number | undefined, path: string): void {
    if (parsed === undefined || (size !== undefined && parsed.length !== size)) {
      this.fail(path, `'${String(value)}' is not understood`);
    }
    this.append(parsed);
  }

  scalar(type: Scalar, value: Value, path: string): void {
    switch (type) {
      case 'ip4':
        this.text(parseIp4(String(value)), value, 4, path);
        return;
      case 'ip6':
        this.text(parseIp6(String(value)), value, 16, path);
        return;
      case 'mac6':
        this.text(parseMac(String(value)), value, 6, path);
        return;
      case 'be16':
      case 'be32':
      case 'be64':
        this.integer(value, scalarSize(type), true, path);
        return;
      default:
        this.integer(value, scalarSize(type), false, path);
        return;
    }
  }

  /** Fields that are absent at the end are not written; absent ones before are zero. */
  struct(type: StructType, value: Value, path: string): void {
    if (typeof value !== 'object' || Array.isArray(value)) this.fail(path, `struct ${type.name} is expected`);
    const start = this.length;
    let last = -1;
    for (const [index, field] of type.fields.entries()) if (field.name in value) last = index;
    for (const [index, field] of type.fields.entries()) {
      if (index > last) break;
      this.reserve(start + field.offset - this.length);
      const given = value[field.name];
      if (given === undefined) this.reserve(fieldBytes(field.type));
      else this.field(field.type, given, `${path}.${field.name}`);
    }
    if (last === type.fields.length - 1) this.reserve(start + type.size - this.length);
    const rest = value.rest;
    if (typeof rest === 'string') this.text(parseHex(rest), rest, undefined, `${path}.rest`);
  }

  field(type: Field['type'], value: Value, path: string): void {
    if (typeof type === 'string') this.scalar(type, value, path);
    else if ('bytes' in type) this.text(parseHex(String(value)), value, type.bytes, path);
    else this.struct(type, value, path);
  }

  /** Writes the header of an attribute, its payload by `write`, and padding. */
  attribute(type: number, path: string, write: () => void): void {
    const at = this.reserve(4);
    write();
    const length = this.length - at;
    if (length > ATTRIBUTE_MAX) this.fail(path, `${length} bytes, at most ${ATTRIBUTE_MAX}`);
    this.bytes[at] = length & 0xff;
    this.bytes[at + 1] = length >> 8;
    this.bytes[at + 2] = type & 0xff;
    this.bytes[at + 3] = type >> 8;
    this.align();
  }

  attributes(set: AttributeSet, values: Decoded, path: string, skip?: StructType): void {
    for (const name of Object.keys(values)) {
      if (skip !== undefined && (name in skip.offset || name === 'rest')) continue;
      const attribute = set.byName.get(name);
      const at = path === '' ? name : `${path}/${name}`;
      if (attribute === undefined) this.fail(at, 'there is no such attribute');
      const value = values[name]!;
      const { type, number } = attribute;
      if (typeof type !== 'string' && type.kind === 'many') {
        if (!Array.isArray(value)) this.fail(at, 'an array is expected');
        for (const [index, element] of value.entries()) {
          this.one(number, type.of, element, values, `${at}/${index}`);
        }
      } else {
        this.one(number, type, value, values, at);
      }
    }
    for (const { type, bytes } of this.unknown.get(path) ?? []) {
      this.attribute(type, path, () => this.text(parseHex(bytes), bytes, undefined, path));
    }
  }

  one(number: number, type: Type, value: Value, siblings: Decoded, path: string): void {
    const chosen = this.resolve(type, siblings);
    const nested = typeof chosen !== 'string' && (chosen.kind === 'nest' || chosen.kind === 'indexed');
    this.attribute(nested ? number | NESTED : number, path, () => this.value(chosen, value, path));
  }

  resolve(type: Type, siblings: Decoded): Type {
    if (typeof type === 'string') return type;
    if (type.kind === 'family') return type.of[this.addressFamily] ?? type.otherwise;
    if (type.kind !== 'select') return type;
    const key = String(siblings[type.by] ?? '');
    return Object.hasOwn(type.of, key) ? type.of[key]! : 'binary';
  }

  value(type: Type, value: Value, path: string): void {
    if (typeof type === 'string') {
      this.simple(type, value, path);
      return;
    }
    switch (type.kind) {
      case 'struct':
        this.struct(type, value, path);
        return;
      case 'nest':
        this.attributes(type.attributes(), this.record(value, path), path);
        return;
      case 'indexed':
        for (const [index, element] of this.list(value, path).entries()) {
          this.one(index + 1, type.of, element, {}, `${path}/${index}`);
        }
        return;
      case 'array':
        this.elements(type.of, this.list(value, path), path);
        return;
      case 'headed': {
        const record = this.record(value, path);
        const start = this.length;
        this.struct(type.header, record, path);
        this.align();
        const more = Object.keys(record).some((name) => !(name in type.header.offset) && name !== 'rest');
        if (more || this.unknown.has(path)) this.reserve(start + ((type.header.size + 3) & ~3) - this.length);
        this.attributes(type.attributes(), record, path, type.header);
        return;
      }
      case 'multipath':
        for (const [index, element] of this.list(value, path).entries()) {
          const at = this.length;
          const hop = this.record(element, `${path}/${index}`);
          this.struct(type.header, { len: 0, flags: 0, hops: 0, ifindex: 0, ...hop }, `${path}/${index}`);
          this.attributes(type.attributes(), hop, `${path}/${index}`, type.header);
          const length = this.length - at;
          if (length > ATTRIBUTE_MAX) this.fail(path, `${length} bytes, at most ${ATTRIBUTE_MAX}`);
          this.bytes[at] = length & 0xff;
          this.bytes[at + 1] = length >> 8;
        }
        return;
      case 'counted': {
        const record = this.record(value, path);
        const { [type.items]: items, ...header } = record;
        const start = this.length;
        this.struct(type.header, header, path);
        if (items !== undefined) this.reserve(start + type.header.size - this.length);
        this.elements(type.of, this.list(items ?? [], path), path);
        return;
      }
      case 'via': {
        const record = this.record(value, path);
        this.integer(record.family ?? 0, 2, false, path);
        this.address(Number(record.family ?? 0), String(record.address ?? ''), path);
        return;
      }
      case 'many':
      case 'select':
      case 'family':
        this.fail(path, 'stands where the tables do not allow it');
        return;
    }
  }

  /** Elements of an array are of full size, whatever fields are given. */
  elements(type: Scalar | StructType, list: readonly Value[], path: string): void {
    for (const [index, element] of list.entries()) {
      const start = this.length;
      this.field(type, element, `${path}/${index}`);
      this.reserve(start + fieldBytes(type) - this.length);
    }
  }

  record(value: Value, path: string): Decoded {
    if (typeof value !== 'object' || Array.isArray(value)) this.fail(path, 'an object is expected');
    return value;
  }

  list(value: Value, path: string): Value[] {
    if (!Array.isArray(value)) this.fail(path, 'an array is expected');
    return value;
  }

  simple(type: Exclude<Type, object>, value: Value, path: string): void {
    switch (type) {
      case 'flag':
        if (value !== true) this.fail(path, 'only true can be written: leave it out instead');
        return;
      case 'string':
        if (typeof value !== 'string') this.fail(path, 'a string is expected');
        this.append(encodeString(value));
        this.reserve(1);
        return;
      case 'binary':
        this.text(parseHex(String(value)), value, undefined, path);
        return;
      case 'mac':
        this.text(parseMac(String(value)), value, undefined, path);
        return;
      case 'ip':
        this.address(this.addressFamily, String(value), path);
        return;
      case 'labels':
        this.labels(String(value), path);
        return;
      case 'bitfield32': {
        const record = this.record(value, path);
        this.integer(record.value ?? 0, 4, false, path);
        this.integer(record.selector ?? 0, 4, false, path);
        return;
      }
      case 'uint':
        this.integer(value, Number(value) > 0xffffffff ? 8 : 4, false, path);
        return;
      default:
        this.scalar(type, value, path);
        return;
    }
  }

  address(family: number, value: string, path: string): void {
    if (value.startsWith('0x')) {
      this.text(parseHex(value.slice(2)), value, undefined, path);
      return;
    }
    if (family === AF_MPLS) {
      this.labels(value, path);
      return;
    }
    const size = family === AF_INET ? 4 : family === AF_INET6 ? 16 : undefined;
    this.text(parseIp(value), value, size, path);
    return;
  }

  labels(value: string, path: string): void {
    if (value.startsWith('0x')) {
      this.text(parseHex(value.slice(2)), value, undefined, path);
      return;
    }
    const labels = value.split('/');
    for (const [index, label] of labels.entries()) {
      if (!/^\d{1,7}$/.test(label) || Number(label) > 0xfffff)
        this.fail(path, `'${value}' is no label stack`);
      this.integer(Number(label) * 4096 + (index === labels.length - 1 ? 0x100 : 0), 4, true, path);
    }
  }
}

function fieldBytes(type: Field['type']): number {
  if (typeof type === 'string') return scalarSize(type);
  return 'bytes' in type ? type.bytes : type.size;
}

/** The reverse of how decode.ts reads strings: lone surrogates U+DC80-U+DCFF are the bytes above 127. */
function encodeString(text: string): Uint8Array {
  if (text.isWellFormed()) return new TextEncoder().encode(text);
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

/**
 * Encodes the family's fixed header and its attributes (no nlmsghdr), in the order of the object's keys.
 * Throws E_USAGE naming the attribute that cannot be written.
 */
export function encodeObject(kind: Kind, object: DecodedObject): Uint8Array {
  const family = FAMILIES[kind];
  const encoder = new Encoder(family.name);
  const { header, unknown, ...attributes } = object;
  for (const { path, type, bytes } of unknown ?? []) {
    const list = encoder.unknown.get(path);
    if (list === undefined) encoder.unknown.set(path, [{ type, bytes }]);
    else list.push({ type, bytes });
  }
  encoder.addressFamily = Number(header.family ?? 0);
  encoder.struct(family.header, header, '');
  encoder.reserve(family.header.size - encoder.length);
  encoder.align();
  encoder.attributes(family.attributes, attributes as Decoded, '');
  return encoder.bytes.slice(0, encoder.length);
}

export interface MessageHeader {
  /** RTM_NEWROUTE, RTM_GETLINK, … */
  readonly type: number;
  /** NLM_F_* */
  readonly flags: number;
  readonly sequence: number;
  /** 0 is the kernel. */
  readonly port?: number;
}

/** A whole netlink message: struct nlmsghdr (linux/netlink.h), then the object. */
export function encodeMessage(message: MessageHeader, kind: Kind, object: DecodedObject): Uint8Array {
  const payload = encodeObject(kind, object);
  const bytes = new Uint8Array(16 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, message.type, true);
  view.setUint16(6, message.flags, true);
  view.setUint32(8, message.sequence, true);
  view.setUint32(12, message.port ?? 0, true);
  bytes.set(payload, 16);
  return bytes;
}
