/**
 * Values of the fields of an offload kind: as users write them, checked and made canonical, and as the words that plugins get
 * (`custom` of wit/types.wit). A word of 64 bits is two here, the lower first.
 */

import { EkhoError } from '../errors.ts';
import { formatIp4, formatIp6, parseIp } from '../netlink/address.ts';
import { DATA_WORDS, type OffloadField, type OffloadKind } from '../plugin/offload-kinds.ts';
import { nearest } from '../suggest.ts';

/** Canonical values by name, in the order of the kind's fields. */
export type Values = Readonly<Record<string, string>>;
/** As users give them. */
export type GivenValues = Readonly<Record<string, string | number | boolean>>;

/** Links by name and by number. */
export interface LinkNames {
  ifindexOf(name: string): number | undefined;
  nameOf(ifindex: number): string | undefined;
}

const LINK_NAME = /^[^\s/]{1,15}$/;
const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/;
const KILO = 1000n;
const KIBI = 1024n;
const DECIMAL: Readonly<Record<string, bigint>> = {
  '': 1n,
  k: KILO,
  m: KILO ** 2n,
  g: KILO ** 3n,
  t: KILO ** 4n,
};
const BINARY: Readonly<Record<string, bigint>> = {
  '': 1n,
  k: KIBI,
  m: KIBI ** 2n,
  g: KIBI ** 3n,
  t: KIBI ** 4n,
};

/**
 * Checks what was given for an object of the kind and fills in defaults.
 * @throws EkhoError E_USAGE naming the field and what it may be
 */
export function checkValues(kind: OffloadKind, given: GivenValues): Values {
  const names = kind.fields.map(({ name }) => name);
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const near = nearest(name, names);
    throw new EkhoError(
      'E_USAGE',
      `${kind.name} has no field ${name}${near ? `; did you mean ${near}?` : ''}`,
      {
        remedy: `Its fields: ${names.join(', ')}; \`ekho offload kinds ${kind.name}\` explains them.`,
      },
    );
  }
  const values: Record<string, string> = {};
  for (const field of kind.fields) {
    const value = Object.hasOwn(given, field.name) ? given[field.name] : undefined;
    const text = value === undefined ? field.fallback : String(value);
    if (text !== undefined) values[field.name] = canonical(kind, field, text);
    else if (field.required) {
      throw new EkhoError('E_USAGE', `${kind.name} needs ${field.name}: ${field.documentation}`, {
        remedy: `Give ${field.name}=VALUE, ${allowed(field)}.`,
      });
    }
  }
  return values;
}

/** What a field may be, in words. */
export function allowed(field: OffloadField): string {
  const unit = field.unit === '' ? '' : ` ${field.unit}`;
  switch (field.type) {
    case 'boolean':
      return 'true or false';
    case 'number32':
    case 'number64':
      return `${field.minimum} to ${field.maximum}${unit}${suffixesOf(field)}`;
    case 'text':
      return `a text of at most ${field.length} bytes`;
    case 'prefix':
      return 'an IPv4 or IPv6 prefix';
    case 'prefix4':
      return 'an IPv4 prefix';
    case 'prefix6':
      return 'an IPv6 prefix';
    case 'address':
      return 'an IPv4 or IPv6 address';
    case 'mac':
      return 'a MAC address';
    case 'link':
      return 'the name of a link';
    case 'choice':
      return `one of ${field.choices.join(', ')}`;
  }
}

function suffixesOf({ unit }: OffloadField): string {
  if (unit === 'bit/s') return ' (kbit, mbit, gbit)';
  return unit === 'bytes' ? ' (k, m, g)' : '';
}

function canonical(kind: OffloadKind, field: OffloadField, given: string): string {
  const text = given.trim();
  const found = canonicalText(field, text);
  if (found !== undefined) return found;
  throw new EkhoError('E_USAGE', `${kind.name}: ${field.name} cannot be "${given.slice(0, 80)}"`, {
    remedy: `${field.name} is ${allowed(field)}.`,
  });
}

function canonicalText(field: OffloadField, text: string): string | undefined {
  switch (field.type) {
    case 'boolean':
      if (/^(true|on|yes|1)$/.test(text)) return 'true';
      return /^(false|off|no|0)$/.test(text) ? 'false' : undefined;
    case 'number32':
    case 'number64': {
      const number = parseNumber(field, text);
      const isIn = number !== undefined && number >= BigInt(field.minimum) && number <= BigInt(field.maximum);
      return isIn ? `${number}` : undefined;
    }
    case 'text':
      return text === '' || /\p{Cc}/u.test(text) || Buffer.byteLength(text) > field.length ? undefined : text;
    case 'mac':
      return MAC.test(text.toLowerCase()) ? text.toLowerCase() : undefined;
    case 'link':
      return LINK_NAME.test(text) ? text : undefined;
    case 'choice':
      return field.choices.includes(text) ? text : undefined;
    default: {
      const prefix = parsePrefix(field, text);
      return prefix && prefixText(field, prefix);
    }
  }
}

/** `100`, and with a unit `1.5gbit` or `64k`. */
function parseNumber({ unit }: OffloadField, text: string): bigint | undefined {
  const match = /^(\d{1,20})(?:\.(\d{1,9}))?([a-z]*)$/.exec(text.toLowerCase());
  if (match === null) return undefined;
  const [, whole = '', fraction = '', word = ''] = match;
  const bare = unit === 'bit/s' ? word.replace(/bit$/, '') : unit === 'bytes' ? word.replace(/b$/, '') : word;
  const factors = unit === 'bytes' ? BINARY : DECIMAL;
  if (!Object.hasOwn(factors, bare) || (unit === '' && bare !== '')) return undefined;
  const scaled = BigInt(whole + fraction) * factors[bare]!;
  const divisor = 10n ** BigInt(fraction.length);
  return scaled % divisor === 0n ? scaled / divisor : undefined;
}

interface Prefix {
  /** 4 or 16. */
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** Undefined also for bits behind the length: it would not be clear which of the two was meant. */
function parsePrefix({ type }: OffloadField, text: string): Prefix | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const bytes = parseIp(address);
  if (bytes === undefined || rest.length > 0 || (type === 'address' && bits !== undefined)) return undefined;
  if ((type === 'prefix4' && bytes.length !== 4) || (type === 'prefix6' && bytes.length !== 16))
    return undefined;
  const full = 8 * bytes.length;
  if (bits !== undefined && !/^\d{1,3}$/.test(bits)) return undefined;
  const length = bits === undefined ? full : Number(bits);
  if (length > full) return undefined;
  for (let bit = length; bit < full; bit++)
    if (((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1) !== 0) return undefined;
  return { bytes, length };
}

function prefixText({ type }: OffloadField, { bytes, length }: Prefix): string {
  const address = bytes.length === 4 ? formatIp4(bytes, 0) : formatIp6(bytes, 0);
  return type === 'address' ? address : `${address}/${length}`;
}

/** The values of the keys, which name the object among those of its kind. */
export function nameOf(kind: OffloadKind, values: Values): string {
  return kind.fields
    .filter(({ key }) => key)
    .map(({ name }) => values[name])
    .join(' ');
}

/** An object's fields as a plugin gets them. */
export interface Packed {
  /** Bit n is set if field n has a value. */
  readonly present: number;
  readonly data: Uint32Array;
}

/** Canonical values to words; the name of a link that is not there in place of them. `portOf`: handle of a link that is a port, else 0. */
export function pack(
  kind: OffloadKind,
  values: Values,
  links: Pick<LinkNames, 'ifindexOf'>,
  portOf: (ifindex: number) => number,
): Packed | string {
  const data = new Uint32Array(2 * DATA_WORDS);
  let present = 0;
  for (const [index, field] of kind.fields.entries()) {
    const value = values[field.name];
    if (value === undefined) continue;
    present |= 1 << index;
    const at = 2 * field.word;
    if (field.type === 'link') {
      const ifindex = links.ifindexOf(value);
      if (ifindex === undefined) return value;
      data[at] = ifindex;
      data[at + 1] = portOf(ifindex);
    } else packValue(field, value, data, at);
  }
  return { present: present >>> 0, data };
}

function packValue(field: OffloadField, value: string, data: Uint32Array, at: number): void {
  switch (field.type) {
    case 'boolean':
      data[at] = value === 'true' ? 1 : 0;
      return;
    case 'number32':
    case 'number64':
      putWord(data, at, BigInt(value));
      return;
    case 'text':
      new Uint8Array(data.buffer, 4 * at, 8 * field.words).set(Buffer.from(value));
      return;
    case 'mac':
      putWord(data, at, BigInt(`0x${value.replaceAll(':', '')}`));
      return;
    case 'choice':
      data[at] = field.choices.indexOf(value);
      return;
    default: {
      const { bytes, length } = parsePrefix(field, value)!;
      data[at] = length;
      data[at + 1] = bytes.length === 4 ? 0 : 1;
      const words = wordsOfAddress(bytes);
      data.set([words[1]!, words[0]!, words[3]!, words[2]!], at + 2);
    }
  }
}

function putWord(data: Uint32Array, at: number, value: bigint): void {
  data[at] = Number(value & 0xffff_ffffn);
  data[at + 1] = Number(value >> 32n);
}

/** Four, the most significant first, IPv4 in the last. */
function wordsOfAddress(bytes: Uint8Array): number[] {
  const whole = new Uint8Array(16);
  whole.set(bytes, 16 - bytes.length);
  const view = new DataView(whole.buffer);
  return [0, 4, 8, 12].map((at) => view.getUint32(at));
}

/**
 * Words to values as a user would write them: not checked beyond what can be written at all, so pass them to `checkValues`. Undefined
 * for a value that is none.
 */
export function unpack(
  kind: OffloadKind,
  { present, data }: Packed,
  links: Pick<LinkNames, 'nameOf'>,
): Values {
  const values: Record<string, string> = {};
  for (const [index, field] of kind.fields.entries()) {
    if (((present >>> index) & 1) === 1) values[field.name] = unpackValue(field, data, 2 * field.word, links);
  }
  return values;
}

function unpackValue(
  field: OffloadField,
  data: Uint32Array,
  at: number,
  links: Pick<LinkNames, 'nameOf'>,
): string {
  const low = data[at]!;
  const high = data[at + 1]!;
  switch (field.type) {
    case 'boolean':
      return low === 0 && high === 0 ? 'false' : low === 1 && high === 0 ? 'true' : `${low}`;
    case 'number32':
    case 'number64':
      return `${(BigInt(high) << 32n) | BigInt(low)}`;
    case 'text': {
      const bytes = Buffer.from(data.buffer, data.byteOffset + 4 * at, field.length);
      const end = bytes.indexOf(0);
      return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
    }
    case 'mac': {
      const digits = ((BigInt(high) << 32n) | BigInt(low)).toString(16).padStart(12, '0');
      return digits.replace(/(?=(..)+$)(?!^)/g, ':');
    }
    case 'link':
      return links.nameOf(low) ?? `if${low}`;
    case 'choice':
      return field.choices[low] ?? `${low}`;
    default: {
      const words = [data[at + 3]!, data[at + 2]!, data[at + 5]!, data[at + 4]!];
      const bytes = new Uint8Array(16);
      const view = new DataView(bytes.buffer);
      for (const [word, value] of words.entries()) view.setUint32(4 * word, value);
      const address = high === 0 ? formatIp4(bytes, 12) : formatIp6(bytes, 0);
      return field.type === 'address' ? address : `${address}/${low}`;
    }
  }
}
