/** Random objects that follow the attribute tables, for round trips. */

import fc from 'fast-check';
import type { Kind } from '../../../host/mirror/types.ts';
import { formatIp4, formatIp6, formatMac } from '../../../host/netlink/address.ts';
import type { Decoded, DecodedObject, Value } from '../../../host/netlink/decode.ts';
import { FAMILIES } from '../../../host/netlink/schema/families.ts';
import type { AttributeSet, Field, Scalar, StructType, Type } from '../../../host/netlink/schema.ts';

const DEPTH_MAX = 5;

const hex = (min: number, max: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((bytes) => Buffer.from(bytes).toString('hex'));
const ip4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => formatIp4(bytes, 0));
const ip6 = fc
  .oneof(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc
      .array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
      .map((list) => Uint8Array.from(list)),
  )
  .map((bytes) => formatIp6(bytes, 0));
const mac = (min: number, max: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((bytes) => formatMac(bytes, 0, bytes.length));
const labels = fc
  .array(fc.integer({ min: 0, max: 0xfffff }), { minLength: 1, maxLength: 3 })
  .map((list) => list.join('/'));
const unsigned64 = fc
  .bigInt({ min: 0n, max: (1n << 64n) - 1n })
  .map((value) => (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value));
const signed64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }).map((value) => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
});

function scalar(type: Scalar): fc.Arbitrary<Value> {
  switch (type) {
    case 'ip4':
      return ip4;
    case 'ip6':
      return ip6;
    case 'mac6':
      return mac(6, 6);
    case 'u64':
    case 'be64':
      return unsigned64;
    case 's64':
      return signed64;
    default: {
      const bits = Number(type.replace(/\D+/, ''));
      return type.startsWith('s')
        ? fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
        : fc.integer({ min: 0, max: 2 ** bits - 1 });
    }
  }
}

function field(type: Field['type']): fc.Arbitrary<Value> {
  if (typeof type === 'string') return scalar(type);
  return 'bytes' in type ? hex(type.bytes, type.bytes) : struct(type);
}

function struct(type: StructType): fc.Arbitrary<Decoded> {
  return fc.record(Object.fromEntries(type.fields.map(({ name, type }) => [name, field(type)])));
}

class Builder {
  readonly family: number;

  constructor(family: number) {
    this.family = family;
  }

  attributes(set: AttributeSet, depth: number): fc.Arbitrary<Decoded> {
    const all = set.byNumber.filter((attribute) => attribute !== undefined);
    return fc
      .subarray(all, { minLength: 0, maxLength: Math.min(all.length, depth === 0 ? 12 : 5) })
      .chain((chosen) => {
        const fields: Record<string, fc.Arbitrary<Value>> = {};
        const selects: { name: string; by: string; of: Readonly<Record<string, Type>> }[] = [];
        for (const { name, type } of chosen) {
          if (typeof type !== 'string' && type.kind === 'select')
            selects.push({ name, by: type.by, of: type.of });
          else fields[name] = this.value(type, depth + 1);
        }
        return fc.record(fields).chain((record) => {
          let result: fc.Arbitrary<Decoded> = fc.constant(record);
          for (const { name, by, of } of selects) {
            result = result.chain((sofar) => this.selected(sofar, set, name, by, of, depth));
          }
          return result;
        });
      });
  }

  /** Sets the attribute that selects to a known value half of the time. */
  selected(
    record: Decoded,
    set: AttributeSet,
    name: string,
    by: string,
    of: Readonly<Record<string, Type>>,
    depth: number,
  ): fc.Arbitrary<Decoded> {
    const keys = Object.keys(of);
    const { [by]: _by, ...rest } = record;
    const known = fc.constantFrom(...keys).chain((key) =>
      this.value(of[key]!, depth + 1).map((value): Decoded => {
        const selector = set.byName.get(by)!.type === 'string' ? key : Number(key);
        return { ...rest, [by]: selector, [name]: value };
      }),
    );
    const unknown = hex(0, 12).map((value): Decoded => ({ ...rest, [name]: value }));
    return fc.oneof(known, known, unknown);
  }

  address(): fc.Arbitrary<string> {
    if (this.family === 2) return ip4;
    if (this.family === 10) return ip6;
    if (this.family === 28) return labels;
    return fc.oneof(
      ip4,
      ip6,
      hex(1, 3).map((text) => `0x${text}`),
    );
  }

  value(type: Type, depth: number): fc.Arbitrary<Value> {
    if (typeof type === 'string') {
      switch (type) {
        case 'flag':
          return fc.constant(true);
        case 'string':
          return fc.string({ unit: 'binary', maxLength: 15 }).map((text) => text.replaceAll('\0', ''));
        case 'binary':
          return hex(0, 24);
        case 'mac':
          return mac(0, 20);
        case 'ip':
          return this.address();
        case 'labels':
          return labels;
        case 'bitfield32':
          return fc.record({ value: scalar('u32'), selector: scalar('u32') });
        case 'uint':
          return unsigned64;
        default:
          return scalar(type);
      }
    }
    switch (type.kind) {
      case 'struct':
        return struct(type);
      case 'nest':
        return depth > DEPTH_MAX ? fc.constant({}) : this.attributes(type.attributes(), depth);
      case 'indexed':
        return depth > DEPTH_MAX
          ? fc.constant([])
          : fc.array(this.value(type.of, depth + 1), { maxLength: 3 });
      case 'many':
        return fc.array(this.value(type.of, depth + 1), { minLength: 1, maxLength: 3 });
      case 'array':
        return fc.array(field(type.of), { maxLength: 4 });
      case 'family':
        return this.value(type.of[this.family] ?? type.otherwise, depth);
      case 'headed':
        return fc
          .tuple(
            struct(type.header),
            depth > DEPTH_MAX ? fc.constant({}) : this.attributes(type.attributes(), depth),
          )
          .map(([header, attributes]) => ({ ...header, ...attributes }));
      case 'multipath':
        return fc.array(
          fc
            .tuple(struct(type.header), this.attributes(type.attributes(), DEPTH_MAX))
            .map(([header, attributes]) => {
              const { len: _len, ...rest } = header;
              return { ...rest, ...attributes };
            }),
          { maxLength: 3 },
        );
      case 'counted':
        return fc
          .tuple(struct(type.header), fc.array(field(type.of), { maxLength: 3 }))
          .map(([header, items]) => ({ ...header, [type.items]: items }));
      case 'via':
        return fc.oneof(
          fc.record({ family: fc.constant(2), address: ip4 }),
          fc.record({ family: fc.constant(10), address: ip6 }),
        );
      case 'select':
        throw new Error('a select stands in a set');
    }
  }
}

/** An object of `kind` with random attributes, nested at most 6 deep. */
export function arbitraryObject(kind: Kind): fc.Arbitrary<DecodedObject> {
  const { header, attributes } = FAMILIES[kind];
  return fc.tuple(struct(header), fc.constantFrom(0, 2, 7, 10, 28)).chain(([fields, family]) =>
    new Builder(family).attributes(attributes, 0).map(
      (values): DecodedObject => ({
        // Not every header has a family: IPsec policies have it in their selector.
        header: header.fields.some(({ name }) => name === 'family') ? { ...fields, family } : fields,
        ...values,
      }),
    ),
  );
}
