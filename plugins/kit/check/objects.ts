/**
 * Objects of an offload kind, made from nothing but what the plugin declares of it: some with names of their own, those at the limits of each
 * field, and what a user may get wrong.
 */

import type { GivenValues } from '../../../host/custom/values.ts';
import type { OffloadField, OffloadKind } from '../../../host/plugin/offload-kinds.ts';

/** Values of a key that are worth counting. */
const MANY = 2 ** 20;
const U32_MAX = 2n ** 32n - 1n;
const U64_MAX = 2n ** 64n - 1n;

/** Longer than a name may be. */
const UNKNOWN = 'x'.repeat(33);

const PREFIXES4 = ['0.0.0.0/0', '10.1.0.0/16', '255.255.255.255/32'];
const PREFIXES6 = ['::/0', '2001:db8:1::/48', `${'ffff:'.repeat(7)}ffff/128`];
const lastAddress = (prefix: string) => prefix.split('/')[0]!;

/** How many names objects of a kind may have. */
export function namesOf(kind: OffloadKind, links: readonly string[]): number {
  return keysOf(kind).reduce((product, field) => Math.min(MANY, product * sizeOf(field, links)), 1);
}

/** An object with the n-th name; `whole`: also with those fields that it need not have. */
export function objectAt(
  kind: OffloadKind,
  n: number,
  links: readonly string[],
  { whole = true } = {},
): Record<string, string> {
  const given: Record<string, string> = {};
  let rest = n;
  for (const field of kind.fields) {
    if (field.key) {
      const size = sizeOf(field, links);
      given[field.name] = keyAt(field, rest % size, links);
      rest = Math.floor(rest / size);
    } else if (field.required ? field.fallback === undefined : whole)
      given[field.name] = field.fallback ?? limitsOf(field, links)[0] ?? '';
  }
  return given;
}

const keysOf = ({ fields }: OffloadKind) => fields.filter(({ key }) => key);

function sizeOf(field: OffloadField, links: readonly string[]): number {
  switch (field.type) {
    case 'number32':
    case 'number64':
      return Number(min(BigInt(field.maximum) - BigInt(field.minimum) + 1n, BigInt(MANY)));
    case 'text':
      return Math.min(MANY, 36 ** field.length);
    case 'boolean':
    case 'choice':
    case 'link':
      return limitsOf({ ...field, fallback: undefined }, links).length;
    default:
      return MANY;
  }
}

/** The n-th value of a field, all of them canonical and different. */
function keyAt(field: OffloadField, n: number, links: readonly string[]): string {
  const hex = (at: number) => ((n >> at) & 0xffff).toString(16);
  const bytes = [(n >> 16) & 255, (n >> 8) & 255, n & 255];
  switch (field.type) {
    case 'number32':
    case 'number64':
      return `${BigInt(field.minimum) + BigInt(n)}`;
    case 'text':
      return n.toString(36).padStart(Math.min(4, field.length), '0');
    case 'mac':
      return ['02', '00', '00', ...bytes.map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
    case 'prefix':
    case 'prefix4':
      return `10.${bytes.join('.')}/32`;
    case 'address':
      return `10.${bytes.join('.')}`;
    case 'prefix6':
      return `2001:db8:${hex(16)}:${hex(0)}::/64`;
    default:
      return limitsOf({ ...field, fallback: undefined }, links)[n]!;
  }
}

/** Values of a field at the limits of what it may be, each once; the default among them. */
export function limitsOf(field: OffloadField, links: readonly string[]): string[] {
  const found = [...(field.fallback === undefined ? [] : [field.fallback]), ...allLimits(field, links)];
  return [...new Set(found)];
}

function allLimits(field: OffloadField, links: readonly string[]): readonly string[] {
  switch (field.type) {
    case 'boolean':
      return ['false', 'true'];
    case 'number32':
    case 'number64': {
      const [low, high] = [BigInt(field.minimum), BigInt(field.maximum)];
      return [low, (low + high) / 2n, high].map(String);
    }
    case 'text':
      return ['a', 'z'.repeat(field.length), ...(field.length > 1 ? ['ä'.repeat(field.length >> 1)] : [])];
    case 'prefix':
      return [...PREFIXES4, ...PREFIXES6];
    case 'prefix4':
      return PREFIXES4;
    case 'prefix6':
      return PREFIXES6;
    case 'address':
      return [...PREFIXES4, ...PREFIXES6].map(lastAddress);
    case 'mac':
      return ['00:00:00:00:00:00', '02:00:00:00:00:01', 'ff:ff:ff:ff:ff:ff'];
    case 'link':
      return links;
    case 'choice':
      return field.choices;
  }
}

/**
 * Objects with every field at each of its limits: those of keys have names by them, those of others come one after the other under one
 * name. The first two have what they must, and everything.
 */
export function* objectsAtLimits(
  kind: OffloadKind,
  links: readonly string[],
): Generator<Record<string, string>> {
  const names = namesOf(kind, links);
  yield objectAt(kind, 0, links, { whole: false });
  yield objectAt(kind, 1 % names, links);
  for (const [index, field] of kind.fields.entries())
    for (const value of limitsOf(field, links))
      yield { ...objectAt(kind, (2 + index) % names, links), [field.name]: value };
}

/** What a user may get wrong, with what is wrong about it: no object with any of it may come to the plugin. */
export function* mistakesOf(
  kind: OffloadKind,
  links: readonly string[],
): Generator<{ readonly what: string; readonly given: GivenValues }> {
  const good = objectAt(kind, 0, links);
  yield { what: 'a field that it has not', given: { ...good, [UNKNOWN]: '1' } };
  for (const field of kind.fields) {
    const { [field.name]: _, ...without } = good;
    if (field.required && field.fallback === undefined) yield { what: `no ${field.name}`, given: without };
    for (const value of notAllowed(field))
      yield { what: `${field.name} ${JSON.stringify(value)}`, given: { ...good, [field.name]: value } };
  }
}

function notAllowed(field: OffloadField): readonly string[] {
  switch (field.type) {
    case 'boolean':
      return ['2', 'maybe', ''];
    case 'number32':
    case 'number64': {
      const most = field.type === 'number32' ? U32_MAX : U64_MAX;
      const [low, high] = [BigInt(field.minimum), BigInt(field.maximum)];
      const outside = [...(low > 0n ? [low - 1n] : []), high + 1n, most + 1n];
      return [...new Set(outside.map(String)), '-1', '1.5', 'many', ''];
    }
    case 'text':
      return ['', 'z'.repeat(field.length + 1), 'a\u0000'];
    case 'prefix':
      return ['10.0.0.0/33', '10.0.0.1/24', '::/129', '10.0.0.0/-1', 'here'];
    case 'prefix4':
      return ['10.0.0.0/33', '10.0.0.1/24', '2001:db8::/32', 'here'];
    case 'prefix6':
      return ['2001:db8::/129', '2001:db8::1/64', '10.0.0.0/8', 'here'];
    case 'address':
      return ['10.0.0.0/8', '256.0.0.1', '10.0.0', '2001:db8:::1'];
    case 'mac':
      return ['02:00:00:00:00', '02:00:00:00:00:0g', '02-00-00-00-00-01'];
    case 'link':
      return ['', 'a/b', 'longer-than-fifteen'];
    case 'choice':
      return ['', 'no such choice'];
  }
}

const min = (one: bigint, other: bigint) => (one < other ? one : other);
