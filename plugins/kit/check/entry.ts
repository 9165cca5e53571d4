/**
 * Entries as the cases of the suite write them, one a line:
 *
 *     put route 7 prefix=192.0.2.0/24 group=1
 *     put group 3 members=1,2*3
 *     put multicast-group 1 bridge=50 address=239.1.1.1 ports=1,2
 *     remove route 7
 *
 * Fields are those of the WIT record and 0 when not named. Entries of a kind are numbered from 1: the index in the handle is
 * one less. 0x… is a whole handle; a reference of 0 is to nothing.
 */

import { parseAddress } from '../../../host/device/asic/address.ts';
import type { Layout } from '../../../host/plugin/layout.ts';
import { readLayouts } from '../../../host/plugin/package.ts';
import { ENTRY_KIND_NAMES } from '../../../host/plugin/records.ts';
import { camelCase, type Value } from '../../../host/plugin/values.ts';

export type Kind = (typeof ENTRY_KIND_NAMES)[number];

const LAYOUTS = readLayouts();

/** Layout of the record of a kind. */
export function recordLayout(kind: Kind | 'member'): Layout {
  return LAYOUTS.named('types', kind);
}

export interface Member {
  readonly nexthop: number;
  readonly weight: number;
}

/** Values as jco's typed API has them; a group has its members in place of `first` and `count`. */
export interface Entry {
  readonly kind: Kind;
  readonly value: { readonly handle: number; readonly [field: string]: Value };
  readonly members?: readonly Member[];
}

/** @param number counts from 1, as lines have it; the index in the handle from 0 */
export function handleOf(kind: Kind, number: number): number {
  return (((ENTRY_KIND_NAMES.indexOf(kind) + 1) << 28) | (number - 1)) >>> 0;
}

/** `route 7`, or the bare number of a handle that is of no kind. */
export function nameOf(handle: number): string {
  const kind = ENTRY_KIND_NAMES[(handle >>> 28) - 1];
  return kind === undefined ? `handle 0x${handle.toString(16)}` : `${kind} ${(handle & 0x0fff_ffff) + 1}`;
}

function isKind(word: string | undefined): word is Kind {
  return (ENTRY_KIND_NAMES as readonly string[]).includes(word ?? '');
}

/** Fields that refer to an entry of another kind than their name says. */
const REFERENCES: Readonly<Record<string, Kind>> = {
  'redirect-port': 'port',
  'mirror-port': 'port',
};

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

/** Parses a line. Throws SyntaxError saying what is wrong with it. */
export function parseEntry(line: string): Entry {
  const [operation, kind, index, ...settings] = line.trim().split(/\s+/);
  if (operation !== 'put' && operation !== 'remove') fail(line, 'it begins with put or remove');
  if (!isKind(kind)) fail(line, `the kind is one of ${ENTRY_KIND_NAMES.join(', ')}`);
  const value = zero(recordLayout(kind)) as Record<string, Value>;
  const fields: Fields = { kind, value, members: [], given: new Set() };
  value.operation = operation;
  value.handle = numberOf(line, index, (one) => handleOf(kind, one));
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    if (equals < 0) fail(line, `${setting} is not field=value`);
    set(line, fields, setting.slice(0, equals), setting.slice(equals + 1));
  }
  if (kind !== 'group') return { kind, value: value as Entry['value'] };
  const { first: _first, count: _count, ...rest } = value;
  return { kind, value: rest as Entry['value'], members: operation === 'put' ? fields.members : [] };
}

interface Fields {
  readonly kind: Kind;
  readonly value: Record<string, Value>;
  readonly members: Member[];
  readonly given: Set<string>;
}

function set(line: string, fields: Fields, name: string, text: string): void {
  const { kind, value } = fields;
  fields.given.add(name);
  if (kind === 'group' && name === 'members') {
    for (const one of text.split(',')) {
      const [nexthop, weight] = one.split('*');
      fields.members.push({
        nexthop: numberOf(line, nexthop, (index) => handleOf('nexthop', index)),
        weight: numberOf(line, weight ?? '1'),
      });
    }
    return;
  }
  if (kind === 'multicast-group' && name === 'ports') {
    const ports = text.split(',');
    value.count = ports.length;
    for (const [index, port] of ports.entries())
      value[`port${index}`] = numberOf(line, port, (one) => (one === 0 ? 0 : handleOf('port', one)));
    return;
  }
  if (kind === 'multicast-group' && name === 'address' && MAC.test(text)) {
    value.address = { high: 0n, low: wideNumber(line, text) };
    return;
  }
  if (kind === 'route' && name === 'prefix') {
    const [address, length] = text.split('/');
    setAddress(line, fields, 'prefix', address!);
    value.prefixLength = numberOf(line, length);
    return;
  }
  const { resolved } = recordLayout(kind);
  const field = resolved.is === 'record' ? resolved.fields.find((one) => one.name === name) : undefined;
  if (field === undefined) fail(line, `${kind} has no field ${name}`);
  value[camelCase(name)] = fieldValue(line, fields, name, field.layout, text);
}

function fieldValue(line: string, fields: Fields, name: string, layout: Layout, text: string): Value {
  const { resolved } = layout;
  switch (resolved.is) {
    case 'enum':
      if (!resolved.cases.includes(text)) fail(line, `${name} is one of ${resolved.cases.join(', ')}`);
      return text;
    case 'flags': {
      const names = text === '' ? [] : text.split(',');
      const wrong = names.find((one) => !resolved.cases.includes(one));
      if (wrong !== undefined) fail(line, `${name} has no ${wrong}`);
      return Object.fromEntries(resolved.cases.map((one) => [camelCase(one), names.includes(one)]));
    }
    case 'record':
      setAddress(line, fields, camelCase(name), text);
      return fields.value[camelCase(name)]!;
    case 'primitive': {
      if (resolved.alias === 'handle') {
        const kind = REFERENCES[name] ?? name;
        return numberOf(line, text, (index) =>
          index === 0 || !isKind(kind) ? index : handleOf(kind, index),
        );
      }
      if (layout.size === 8) return wideNumber(line, text);
      return numberOf(line, text);
    }
    default:
      return fail(line, `${name} cannot be set`);
  }
}

/** An address as the WIT has it; it tells the family too, unless that was named. */
function setAddress(line: string, { value, given }: Fields, field: string, text: string): void {
  let parsed: ReturnType<typeof parseAddress>;
  try {
    parsed = parseAddress(text);
  } catch {
    fail(line, `${text} is no address`);
  }
  const [a, b, c, d] = [...parsed.words].map(BigInt) as [bigint, bigint, bigint, bigint];
  value[field] = { high: (a << 32n) | b, low: (c << 32n) | d };
  if ('family' in value && !given.has('family')) value.family = parsed.six ? 'ipv6' : 'ipv4';
}

function numberOf(line: string, text: string | undefined, ofIndex = (index: number) => index): number {
  if (text !== undefined && /^0x[0-9a-f]{1,8}$/.test(text)) return Number(text);
  if (text === undefined || !/^\d{1,10}$/.test(text))
    fail(line, `${text ?? 'nothing'} stands where a number should`);
  return ofIndex(Number(text));
}

function wideNumber(line: string, text: string): bigint {
  if (MAC.test(text)) return BigInt(`0x${text.replaceAll(':', '')}`);
  if (!/^(0x[0-9a-f]{1,16}|\d{1,20})$/.test(text)) fail(line, `${text} is neither a number nor a MAC`);
  return BigInt(text);
}

function fail(line: string, what: string): never {
  throw new SyntaxError(`${JSON.stringify(line)}: ${what}`);
}

function zero(layout: Layout): Value {
  const { resolved } = layout;
  switch (resolved.is) {
    case 'enum':
      return resolved.cases[0]!;
    case 'flags':
      return Object.fromEntries(resolved.cases.map((name) => [camelCase(name), false]));
    case 'record':
      return Object.fromEntries(resolved.fields.map(({ name, layout }) => [camelCase(name), zero(layout)]));
    default:
      return layout.size === 8 ? 0n : 0;
  }
}
