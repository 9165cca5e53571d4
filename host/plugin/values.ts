/**
 * Canonical memory to and from the JavaScript values of jco's typed API: enums are their names, flags objects of
 * booleans, 64-bit integers bigints, records objects with camelCase members. Slow and plain: for the reference path and
 * for tests.
 */

import type { Layout } from './layout.ts';

export type Value = number | bigint | string | boolean | Value[] | { [member: string]: Value };

export function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Reads a record, enum, flags or scalar. Lists are not followed. */
export function readValue(view: DataView, offset: number, layout: Layout): Value {
  const { resolved } = layout;
  switch (resolved.is) {
    case 'primitive':
      return readScalar(view, offset, resolved.primitive);
    case 'enum':
      return resolved.cases[readUnsigned(view, offset, layout.size)] ?? '';
    case 'flags': {
      const bits = readUnsigned(view, offset, layout.size);
      return Object.fromEntries(
        resolved.cases.map((name, bit) => [camelCase(name), ((bits >>> bit) & 1) === 1]),
      );
    }
    case 'record':
      return Object.fromEntries(
        resolved.fields.map((field) => [
          camelCase(field.name),
          readValue(view, offset + field.offset, field.layout),
        ]),
      );
    default:
      throw new TypeError(`${resolved.is} has no place in shared memory`);
  }
}

/** Writes what `readValue` reads. Throws TypeError for a value that is not of the type. */
export function writeValue(view: DataView, offset: number, layout: Layout, value: Value): void {
  const { resolved } = layout;
  switch (resolved.is) {
    case 'primitive':
      writeScalar(view, offset, resolved.primitive, value);
      break;
    case 'enum': {
      const number = resolved.cases.indexOf(value as string);
      if (number < 0) throw new TypeError(`${String(value)} is not one of ${resolved.name}`);
      writeUnsigned(view, offset, layout.size, number);
      break;
    }
    case 'flags': {
      let bits = 0;
      for (const [bit, name] of resolved.cases.entries())
        if ((value as Record<string, boolean>)[camelCase(name)] === true) bits |= 1 << bit;
      writeUnsigned(view, offset, layout.size, bits >>> 0);
      break;
    }
    case 'record':
      for (const field of resolved.fields)
        writeValue(
          view,
          offset + field.offset,
          field.layout,
          (value as Record<string, Value>)[camelCase(field.name)]!,
        );
      break;
    default:
      throw new TypeError(`${resolved.is} has no place in shared memory`);
  }
}

function readUnsigned(view: DataView, offset: number, size: number): number {
  if (size === 1) return view.getUint8(offset);
  return size === 2 ? view.getUint16(offset, true) : view.getUint32(offset, true);
}

function writeUnsigned(view: DataView, offset: number, size: number, value: number): void {
  if (size === 1) view.setUint8(offset, value);
  else if (size === 2) view.setUint16(offset, value, true);
  else view.setUint32(offset, value, true);
}

function readScalar(view: DataView, offset: number, type: string): Value {
  switch (type) {
    case 'bool':
      return view.getUint8(offset) !== 0;
    case 'u8':
    case 'u16':
    case 'u32':
      return readUnsigned(view, offset, Number(type.slice(1)) / 8);
    case 'u64':
      return view.getBigUint64(offset, true);
    default:
      throw new TypeError(`${type} is not used in shared memory`);
  }
}

function writeScalar(view: DataView, offset: number, type: string, value: Value): void {
  switch (type) {
    case 'bool':
      view.setUint8(offset, value === true ? 1 : 0);
      break;
    case 'u8':
    case 'u16':
    case 'u32':
      if (typeof value !== 'number') throw new TypeError(`${type} expected`);
      writeUnsigned(view, offset, Number(type.slice(1)) / 8, value);
      break;
    case 'u64':
      if (typeof value !== 'bigint') throw new TypeError('u64 expected');
      view.setBigUint64(offset, value, true);
      break;
    default:
      throw new TypeError(`${type} is not used in shared memory`);
  }
}
