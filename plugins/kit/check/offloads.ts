/**
 * What the step `offloads` does: objects of the kinds that the plugin declares itself, checked and packed as the host does it, and the words that
 * no host sends.
 */

import { CustomStore } from '../../../host/custom/store.ts';
import {
  checkValues,
  type GivenValues,
  type LinkNames,
  nameOf,
  type Packed,
  pack,
  unpack,
  type Values,
} from '../../../host/custom/values.ts';
import { EkhoError } from '../../../host/errors.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { DATA_WORDS, type OffloadField, type OffloadKind } from '../../../host/plugin/offload-kinds.ts';
import { ENTRY_KIND_NAMES } from '../../../host/plugin/records.ts';
import type { Value } from '../../../host/plugin/values.ts';
import { batchesOf } from './batches.ts';
import { OFFLOAD_LINKS } from './case.ts';
import { type Entry, nameOf as handleName, handleOf, parseEntry } from './entry.ts';
import { limitsOf, mistakesOf, namesOf, objectAt, objectsAtLimits } from './objects.ts';
import type { CaseStep } from './schema.ts';
import type { Context } from './steps.ts';
import { LeftOut, type Outcome, told, Wrong } from './subject.ts';

/** Objects of each kind that `put` makes, where it has so many names. */
const FEW = 8;
/** Kinds with more room are not filled. */
const FULL_MOST = 5000;
const BEYOND = 3;
const U32_MAX = 2 ** 32 - 1;
/** In the upper 4 bits of a handle. */
const CUSTOM = ENTRY_KIND_NAMES.indexOf('custom') + 1;

const LINKS = OFFLOAD_LINKS.map((ifindex) => `p${ifindex}`);
const NAMES: LinkNames = {
  ifindexOf: (name) => (LINKS.includes(name) ? Number(name.slice(1)) : undefined),
  nameOf: (ifindex) => `p${ifindex}`,
};

/** An object that the suite has made, with its entry. */
interface Made {
  readonly kind: OffloadKind;
  readonly values: Values;
  readonly entry: Entry;
}

export async function offloads(context: Context, what: NonNullable<CaseStep['offloads']>): Promise<void> {
  const kinds = context.subject.description.offloadKinds;
  if (kinds.length === 0) throw new LeftOut('it declares no kinds of its own');
  await putPorts(context, kinds);
  await STEPS[what](context, kinds);
  if (what === 'hostile') await context.model.containedIn(context.subject);
  else await context.model.compare(context.subject);
}

type Step = (context: Context, kinds: readonly OffloadKind[]) => Promise<void>;

const STEPS: Readonly<Record<NonNullable<CaseStep['offloads']>, Step>> = {
  async limits(context, kinds) {
    for (const kind of kinds) await putAll(context, kind, objectsAtLimits(kind, LINKS));
  },
  async put(context, kinds) {
    for (const kind of kinds) {
      // One name stays free.
      const count = Math.max(1, Math.min(FEW, kind.capacity, namesOf(kind, LINKS) - 1));
      await putAll(context, kind, numbered(kind, 0, count));
    }
  },
  async replace(context) {
    for (const { kind, values } of held(context)) {
      const free = kind.fields.filter(({ key }) => !key);
      // The last of the limits is rarely what it has.
      const others = free.map((field) => [field.name, limitsOf(field, LINKS).at(-1)!] as const);
      if (free.length > 0) await putAll(context, kind, [{ ...values, ...Object.fromEntries(others) }]);
    }
  },
  async remove(context) {
    const gone = held(context).filter((_, index) => index % 2 === 0);
    const entries = gone.map(({ entry }) => removed(entry));
    const outcomes = await send(context, entries);
    for (const { kind, values, entry } of gone) {
      const outcome = outcomes.get(entry.value.handle);
      if (outcome !== undefined)
        throw new Wrong(`remove of ${kind.name} ${nameOf(kind, values)}: ${told(outcome)}`);
    }
  },
  counters,
  mistakes,
  hostile,
  full,
};

function* numbered(kind: OffloadKind, first: number, count: number): Generator<GivenValues> {
  for (let n = first; n < first + count; n++) yield objectAt(kind, n, LINKS);
}

/** Ports for kinds that have links, where the plugin holds ports. */
async function putPorts(context: Context, kinds: readonly OffloadKind[]): Promise<void> {
  const ports = context.subject.description.abilities.find(({ kind }) => ENTRY_KIND_NAMES[kind] === 'port');
  const isThere = [...context.model.entries.values()].some(({ kind }) => kind === 'port');
  const hasLinks = kinds.some(({ fields }) => fields.some(({ type }) => type === 'link'));
  if (ports === undefined || isThere || !hasLinks) return;
  const entries = OFFLOAD_LINKS.slice(0, ports.capacity).map((ifindex, index) =>
    parseEntry(
      `put port ${index + 1} ifindex=${ifindex} mtu=1500 mac=02:00:00:00:01:0${index + 1} flags=admin-up,carrier`,
    ),
  );
  const [outcome] = (await send(context, entries)).values();
  if (outcome !== undefined) throw new Wrong(`a port for objects with links: ${told(outcome)}`);
}

/** The objects that are held, as their words say. */
function held({ model, subject }: Context): Made[] {
  const { offloadKinds } = subject.description;
  const found: Made[] = [];
  for (const entry of model.entries.values()) {
    if (entry.kind !== 'custom') continue;
    const kind = offloadKinds[entry.value.offloadKind as number];
    // A hostile one has words that say nothing.
    if (kind !== undefined) found.push({ kind, values: unpack(kind, packedOf(entry), NAMES), entry });
  }
  return found;
}

/**
 * Puts objects that the declaration allows: one whose name is held is replaced in place. The plugin may decline some of them as
 * unsupported, but not all of a kind, and none as invalid.
 */
async function putAll(context: Context, kind: OffloadKind, given: Iterable<GivenValues>): Promise<void> {
  const known = new Map(
    held(context).map((one) => [`${one.kind.name} ${nameOf(one.kind, one.values)}`, one]),
  );
  const handles = new Set([...known.values()].map(({ entry }) => entry.value.handle));
  const ofKind = [...known.values()].filter((one) => one.kind.name === kind.name).length;
  const made: Made[] = [];
  const names = new Set<string>();
  let next = 1;
  for (const one of given) {
    const values = allowedValues(kind, one);
    const name = `${kind.name} ${nameOf(kind, values)}`;
    let handle = known.get(name)?.entry.value.handle;
    if (handle === undefined) {
      if (!names.has(name) && ofKind + names.size >= kind.capacity) continue;
      while (handles.has(handleOf('custom', next))) next++;
      handle = handleOf('custom', next);
      handles.add(handle);
      names.add(name);
    }
    const entry = entryOf(context, kind, values, handle);
    const object = { kind, values, entry };
    known.set(name, object);
    made.push(object);
  }
  let declined = 0;
  // One after the other: of two with one handle each has its answer.
  for (const { values, entry } of made) {
    const outcome = (await send(context, [entry])).get(entry.value.handle);
    if (outcome === undefined || outcome.status === 'trapped') continue;
    if (outcome.status !== 'refused' || !outcome.reason.startsWith('unsupported'))
      throw new Wrong(`${shown(kind, values)}: ${told(outcome)}, and its declaration allows it`);
    declined++;
  }
  if (declined === made.length) throw new Wrong(`none of ${declined} objects of ${kind.name} is held`);
  if (declined > 0) context.figures.push(`it declines ${declined} of ${made.length} objects of ${kind.name}`);
}

function shown(kind: OffloadKind, values: Values): string {
  return `${kind.name} ${Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')}`;
}

/** As the host makes them of what a user gives; a default that is not possible is found here. */
function allowedValues(kind: OffloadKind, given: GivenValues): Values {
  try {
    return checkValues(kind, given);
  } catch (error) {
    if (!(error instanceof EkhoError)) throw error;
    throw new Wrong(`${error.message}, which its declaration gives itself`);
  }
}

function entryOf({ model, subject }: Context, kind: OffloadKind, values: Values, handle: number): Entry {
  const portOf = (ifindex: number) => {
    for (const { kind, value } of model.entries.values())
      if (kind === 'port' && value.ifindex === ifindex) return value.handle;
    return 0;
  };
  const packed = pack(kind, values, NAMES, portOf);
  if (typeof packed === 'string') throw new Wrong(`${kind.name}: no link is called ${packed}`);
  const offloadKind = subject.description.offloadKinds.findIndex(({ name }) => name === kind.name);
  return customEntry(handle, offloadKind, packed);
}

function customEntry(handle: number, offloadKind: number, { present, data }: Packed): Entry {
  const value: Record<string, Value> = { operation: 'put', offloadKind, present };
  for (let word = 0; word < DATA_WORDS; word++)
    value[`data${word}`] = (BigInt(data[2 * word + 1]!) << 32n) | BigInt(data[2 * word]!);
  return { kind: 'custom', value: { ...value, handle } };
}

function removed(entry: Entry): Entry {
  return { ...entry, value: { ...entry.value, operation: 'remove' } };
}

function packedOf({ value }: Entry): Packed {
  const data = new Uint32Array(2 * DATA_WORDS);
  for (let word = 0; word < DATA_WORDS; word++) {
    const wide = value[`data${word}`] as bigint;
    data[2 * word] = Number(wide & BigInt(U32_MAX));
    data[2 * word + 1] = Number(wide >> 32n);
  }
  return { present: value.present as number, data };
}

/** Sends entries, takes the answers into the model and gives those that are not plain success by handle. */
async function send(
  { subject, model, batch }: Context,
  entries: readonly Entry[],
): Promise<Map<number, Outcome>> {
  const outcomes = new Map<number, Outcome>();
  for (const one of batchesOf(entries, batch)) {
    const found = await subject.apply(one);
    model.take(one, found);
    for (const outcome of found) outcomes.set(outcome.handle, outcome);
  }
  return outcomes;
}

/** `collect` lists what is held and counts, and goes back for none of it. */
async function counters(context: Context): Promise<void> {
  const { subject } = context;
  const ability = subject.description.abilities.find(({ kind }) => ENTRY_KIND_NAMES[kind] === 'custom')!;
  const first = await subject.counters();
  const second = await subject.counters();
  const names = new Map(
    held(context).map(({ kind, values, entry }) => [entry.value.handle, { kind, values }]),
  );
  for (const [handle, { packets, bytes }] of second) {
    if (handle >>> 28 !== CUSTOM) continue;
    const found = names.get(handle);
    if (found === undefined) throw new Wrong(`collect lists ${handleName(handle)}, which is not held`);
    const name = `${found.kind.name} ${nameOf(found.kind, found.values)}`;
    if (!ability.counts) throw new Wrong(`collect lists ${name}, and the ability custom counts nothing`);
    if (found.kind.counts === '')
      throw new Wrong(`collect lists ${name}, and its kind says that it counts nothing`);
    const before = first.get(handle);
    if (before !== undefined && (packets < before.packets || bytes < before.bytes))
      throw new Wrong(`${name} counts ${packets} packets, and counted ${before.packets} before`);
  }
}

/** Users of the command and the API are told what is wrong, and nothing of it comes to the plugin. */
async function mistakes({ subject }: Context, kinds: readonly OffloadKind[]): Promise<void> {
  const store = new CustomStore({
    mirror: new Mirror(),
    kinds: () => new Map(kinds.map((kind) => [kind.name, kind])),
    configured: [],
    state: undefined,
    warn: () => {},
  });
  for (const kind of kinds) {
    for (const { what, given } of mistakesOf(kind, LINKS))
      try {
        store.create(kind.name, given);
        throw new Wrong(`${kind.name} with ${what} is taken`);
      } catch (error) {
        if (!(error instanceof EkhoError) || error.code !== 'E_USAGE') throw error;
      }
    allowedValues(kind, objectAt(kind, 0, LINKS, { whole: false }));
  }
  if ([...store.objects()].length > 0) throw new Wrong('an object that was refused is there');
  if (subject.faults.length > 0) throw new Wrong(subject.faults[0]);
}

/** Words outside of what is declared, each in an object of its own: any answer will do, as long as everything else stays. */
async function hostile(context: Context, kinds: readonly OffloadKind[]): Promise<void> {
  const { subject } = context;
  const handles = new Set(context.model.entries.keys());
  let handle = handleOf('custom', 1);
  while (handles.has(handle)) handle++;
  for (const [index, kind] of kinds.entries()) {
    const names = namesOf(kind, LINKS);
    const values = allowedValues(kind, objectAt(kind, names - 1, LINKS));
    // With the name of one that is held it would be another of its name, which the contract excludes.
    if (
      held(context).some(
        (one) => one.kind.name === kind.name && nameOf(kind, one.values) === nameOf(kind, values),
      )
    )
      continue;
    const packed = packedOf(entryOf(context, kind, values, handle));
    const sent = [
      ...Array.from(hostileWords(kind, packed), (one) => customEntry(handle, index, one)),
      ...[kinds.length, U32_MAX].map((other) => customEntry(handle, other, packed)),
    ];
    for (const entry of sent) {
      await subject.apply([entry]);
      // A handle is of one name at a time.
      await subject.apply([removed(entry)]);
    }
  }
}

function* hostileWords(kind: OffloadKind, { present, data }: Packed): Generator<Packed> {
  for (const bits of [0, U32_MAX]) yield { present: bits, data };
  yield { present, data: data.map(() => U32_MAX) };
  for (const field of kind.fields)
    for (const words of wordsOutside(field)) {
      const changed = data.slice();
      changed.set(words, 2 * field.word);
      yield { present, data: changed };
    }
}

/** Words that a field cannot have, each the lower 32 bits first. */
function wordsOutside(field: OffloadField): readonly (readonly number[])[] {
  switch (field.type) {
    case 'boolean':
      return [
        [2, 0],
        [0, 1],
      ];
    case 'number32':
    case 'number64':
      return [
        [0, 0],
        [0, 1],
        [U32_MAX, U32_MAX],
      ];
    case 'choice':
      return [
        [field.choices.length, 0],
        [0, 1],
        [U32_MAX, U32_MAX],
      ];
    case 'prefix':
    case 'prefix4':
    case 'prefix6':
    case 'address':
      // Bits behind the length; more bits than there are; a family that does not exist.
      return [
        [8, 0, 0, 0, U32_MAX, 0],
        [255, 0],
        [U32_MAX, 1],
        [32, 2],
      ];
    case 'mac':
      return [
        [0, 0x1_0000],
        [U32_MAX, U32_MAX],
      ];
    case 'link':
      return [
        [0, 0],
        [101, 0x1fff_ffff],
        [101, 0x2000_0000],
        [U32_MAX, U32_MAX],
      ];
    case 'text':
      // An end in its middle, and bytes that are no UTF-8.
      return [
        [0x6100_0061, 0],
        [U32_MAX, U32_MAX],
      ];
  }
}

/** As many objects of each kind as it says that there is room for; what is one too many may only be refused as that. */
async function full(context: Context, kinds: readonly OffloadKind[]): Promise<void> {
  let filled = 0;
  for (const kind of kinds) {
    const names = namesOf(kind, LINKS);
    if (names < kind.capacity || kind.capacity > FULL_MOST || kind.capacity === 0) {
      const why =
        names < kind.capacity ? `only ${names} names are possible` : `it has room for ${kind.capacity}`;
      context.figures.push(`${kind.name} is not filled: ${why}`);
      continue;
    }
    filled++;
    const entries = Array.from({ length: Math.min(names, kind.capacity + BEYOND) }, (_, n) =>
      entryOf(context, kind, allowedValues(kind, objectAt(kind, n, LINKS)), handleOf('custom', n + 1)),
    );
    const outcomes = await send(context, entries);
    for (const [index, { value }] of entries.entries()) {
      const outcome = outcomes.get(value.handle);
      if (outcome === undefined || outcome.status === 'trapped') continue;
      if (index < kind.capacity)
        throw new Wrong(`object ${index + 1} of ${kind.capacity} of ${kind.name}: ${told(outcome)}`);
      if (outcome.reason !== 'table-full')
        throw new Wrong(
          `an object past the ${kind.capacity} of ${kind.name}: ${told(outcome)}, expected table-full`,
        );
    }
    await context.model.compare(context.subject);
    const made = held(context).map(({ entry }) => removed(entry));
    const [left] = (await send(context, made)).values();
    if (left !== undefined) throw new Wrong(`remove of an object of ${kind.name}: ${told(left)}`);
  }
  if (filled === 0) throw new LeftOut(context.figures.splice(0).join('; '));
}
