/** Checks the kinds of its own that a plugin declares: nothing of them is believed before. */

import { EkhoError } from '../errors.ts';

/** In the order of `field-type` of wit/plugin.wit. */
export const FIELD_TYPES = [
  'boolean',
  'number32',
  'number64',
  'text',
  'prefix',
  'prefix4',
  'prefix6',
  'address',
  'mac',
  'link',
  'choice',
] as const;
export type FieldType = (typeof FIELD_TYPES)[number];

export interface OffloadField {
  readonly name: string;
  readonly type: FieldType;
  readonly key: boolean;
  readonly required: boolean;
  /** Of numbers, in decimal digits; of others empty. */
  readonly minimum: string;
  readonly maximum: string;
  /** Bytes of a text. */
  readonly length: number;
  readonly unit: string;
  /** As a user would write it. */
  readonly fallback: string | undefined;
  readonly choices: readonly string[];
  readonly documentation: string;
  /** Where its words begin, and how many it has. */
  readonly word: number;
  readonly words: number;
}

export interface OffloadKind {
  /** `vendor:kind` */
  readonly name: string;
  readonly version: number;
  readonly documentation: string;
  /** What its objects count; empty: nothing. */
  readonly counts: string;
  readonly capacity: number;
  readonly fields: readonly OffloadField[];
}

export const OFFLOAD_KINDS_MAX = 32;
/** Words of 64 bits of one object: `data0` to `data15`. */
export const DATA_WORDS = 16;
export const KIND_NAME = /^[a-z][a-z0-9-]{0,30}:[a-z][a-z0-9-]{0,30}$/;
const FIELD_NAME = /^[a-z][a-z0-9-]{0,31}$/;
/** Names that commands and documents use for something else. */
const TAKEN = new Set(['kind', 'version', 'dev', 'source', 'id']);
const CHOICE = /^[a-z0-9][a-z0-9_.-]{0,31}$/;
const CHOICES_MAX = 64;
const TEXT_MAX = 64;
const DOCUMENTATION_MAX = 256;
const U32_MAX = 2n ** 32n - 1n;
const U64_MAX = 2n ** 64n - 1n;
const CAPACITY_MAX = 2 ** 20;

type Fields = Record<string, unknown>;
type Fail = (what: string) => never;

/** @throws EkhoError E_PLUGIN_PROTOCOL naming kind and field */
export function checkOffloadKinds(plugin: string, value: unknown): OffloadKind[] {
  const fail: Fail = (what) => {
    throw new EkhoError('E_PLUGIN_PROTOCOL', `plugin ${plugin} declares ${what}`, { operation: 'describe' });
  };
  const list = (value ?? []) as Fields[];
  if (list.length > OFFLOAD_KINDS_MAX)
    fail(`${list.length} offload kinds; at most ${OFFLOAD_KINDS_MAX} are possible`);
  const kinds: OffloadKind[] = [];
  for (const one of list) {
    const name = String(one.name);
    if (!KIND_NAME.test(name)) fail(`an offload kind whose name is not VENDOR:KIND in small letters`);
    if (kinds.some((kind) => kind.name === name)) fail(`the offload kind ${name} twice`);
    const here: Fail = (what) => fail(`the offload kind ${name} with ${what}`);
    const kind: OffloadKind = {
      name,
      version: number(one, 'version', 1, 2 ** 32 - 1, here),
      documentation: text(one, 'documentation', DOCUMENTATION_MAX, here),
      counts: text(one, 'counts', TEXT_MAX, here),
      capacity: number(one, 'capacity', 0, CAPACITY_MAX, here),
      fields: checkFields(one.fields as Fields[], here),
    };
    kinds.push(kind);
  }
  return kinds;
}

function checkFields(list: readonly Fields[], fail: Fail): OffloadField[] {
  const fields: OffloadField[] = [];
  let word = 0;
  for (const one of list) {
    const name = String(one.name);
    if (!FIELD_NAME.test(name) || TAKEN.has(name))
      fail(
        'a field whose name is not possible: 1-32 of a-z, 0-9 and -, and none of kind, version, dev, source, id',
      );
    if (fields.some((field) => field.name === name)) fail(`the field ${name} twice`);
    const field = checkField(one, name, word, (what) => fail(`a field ${name} that has ${what}`));
    word += field.words;
    fields.push(field);
  }
  if (word > DATA_WORDS) fail(`fields of ${word} words; at most ${DATA_WORDS} are possible`);
  if (!fields.some(({ key }) => key)) fail('no field that is a key');
  return fields;
}

function checkField(one: Fields, name: string, word: number, fail: Fail): OffloadField {
  const type = one.fieldType as FieldType;
  if (!FIELD_TYPES.includes(type)) fail('no type that is known');
  const isNumber = type === 'number32' || type === 'number64';
  const limit = (which: 'minimum' | 'maximum', otherwise: bigint): bigint => {
    const given = String(one[which]);
    if (given === '') return otherwise;
    if (!isNumber || !/^\d{1,20}$/.test(given)) fail(`the ${which} ${given}`);
    return BigInt(given);
  };
  const most = type === 'number32' ? U32_MAX : U64_MAX;
  const [minimum, maximum] = [limit('minimum', 0n), limit('maximum', most)];
  if (isNumber && (minimum > maximum || maximum > most)) fail('a range that is not possible');
  const length = number(one, 'length', type === 'text' ? 1 : 0, type === 'text' ? TEXT_MAX : 0, fail);
  const choices = String(one.choices).split(' ').filter(Boolean);
  const isChoice = type === 'choice';
  if (
    isChoice !== choices.length > 0 ||
    choices.length > CHOICES_MAX ||
    new Set(choices).size !== choices.length
  )
    fail('choices that are not possible');
  if (!choices.every((choice) => CHOICE.test(choice))) fail('choices that are not possible');
  const key = one.key === true;
  if (key && one.required !== true) fail('a key that is not required');
  const fallback = text(one, 'fallback', TEXT_MAX, fail);
  return {
    name,
    type,
    key,
    required: one.required === true,
    minimum: isNumber ? `${minimum}` : '',
    maximum: isNumber ? `${maximum}` : '',
    length,
    unit: text(one, 'unit', 16, fail),
    fallback: fallback === '' ? undefined : fallback,
    choices,
    documentation: text(one, 'documentation', DOCUMENTATION_MAX, fail),
    word,
    words: wordsOf(type, length),
  };
}

function wordsOf(type: FieldType, length: number): number {
  switch (type) {
    case 'text':
      return Math.ceil(length / 8);
    case 'prefix':
    case 'prefix4':
    case 'prefix6':
    case 'address':
      return 3;
    default:
      return 1;
  }
}

function number(fields: Fields, name: string, minimum: number, maximum: number, fail: Fail): number {
  const found = fields[name];
  if (typeof found !== 'number' || !(found >= minimum && found <= maximum))
    return fail(`${name} ${String(found)}, which is not ${minimum} to ${maximum}`);
  return found;
}

function text(fields: Fields, name: string, most: number, fail: Fail): string {
  const found = fields[name];
  if (typeof found !== 'string' || found.length > most || /\p{Cc}/u.test(found))
    return fail(`a ${name} that is longer than ${most} characters or not printable`);
  return found;
}
