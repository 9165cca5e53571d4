/**
 * What users asked for of the kinds that plugins declare: from the configuration, from the API (kept in a file) and from BPF programs,
 * checked against the kinds as they are declared now, and put into the mirror. Where two ask for the same object the first of these
 * counts.
 */

import { EkhoError } from '../errors.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { KIND, type ObjectId } from '../mirror/types.ts';
import type { OffloadKind } from '../plugin/offload-kinds.ts';
import { nearest } from '../suggest.ts';
import { type CustomObject, encodeCustom } from './object.ts';
import { StateFile, type StoredObject } from './state-file.ts';
import { checkValues, type GivenValues, nameOf, type Values } from './values.ts';

/** Objects of all sources. */
export const OBJECTS_MAX = 65_536;

/** As the configuration has it; `version` 0 for any. */
export interface Requested {
  readonly kind: string;
  readonly version: number;
  readonly values: GivenValues;
}

export interface CustomStoreOptions {
  readonly mirror: Mirror;
  /** Kinds that plugins declare now, by name. */
  readonly kinds: () => ReadonlyMap<string, OffloadKind>;
  readonly configured: readonly Requested[];
  /** Undefined: objects of the API end with the host. */
  readonly state: string | undefined;
  readonly warn: (message: string) => void;
}

export class CustomStore {
  readonly #options: CustomStoreOptions;
  readonly #file: StateFile;
  #stored: StoredObject[] = [];
  /** By the name of the source. */
  readonly #others = new Map<string, readonly Requested[]>();
  /** What the mirror has, by kind and name. */
  readonly #published = new Map<string, { readonly id: ObjectId; readonly object: CustomObject }>();
  /** Warned of already. */
  readonly #told = new Set<string>();

  /** @throws EkhoError E_CONFIG for a state file that cannot be read */
  constructor(options: CustomStoreOptions) {
    this.#options = options;
    this.#file = new StateFile(options.state);
    this.#stored = this.#file.read();
    options.mirror.setKindState(KIND.offload, { state: 'synced', reason: undefined });
    this.refresh();
  }

  /** Kinds came, went or changed. */
  refresh(): void {
    const wanted = new Map<string, CustomObject>();
    for (const object of this.#objects()) {
      const key = `${object.kind} ${object.name}`;
      const first = wanted.get(key);
      if (first === undefined) wanted.set(key, object);
      else this.#tellOnce(`${key} of ${object.source} is left out: ${first.source} has it`);
    }
    this.#publish(wanted);
  }

  *#objects(): Generator<CustomObject> {
    for (const one of this.#options.configured) yield this.#objectOf(one, 'config');
    for (const one of this.#stored) yield this.#objectOf(one, 'api');
    for (const [source, list] of this.#others) for (const one of list) yield this.#objectOf(one, source);
  }

  #objectOf({ kind, version, values }: Requested, source: string): CustomObject {
    const declared = this.#options.kinds().get(kind);
    const given = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
    const raw = { kind, version, source, values: given, keys: new Set(Object.keys(given)) };
    const name = Object.values(given).join(' ');
    // Of another version nobody knows what the fields mean.
    if (declared === undefined || (version !== 0 && version !== declared.version))
      return { ...raw, name: declared === undefined ? name : keysOf(declared, given), problem: undefined };
    try {
      return { ...raw, ...checked(declared, values), problem: undefined };
    } catch (error) {
      if (!(error instanceof EkhoError)) throw error;
      return { ...raw, name, problem: error.message };
    }
  }

  #publish(wanted: ReadonlyMap<string, CustomObject>): void {
    const { mirror } = this.#options;
    const table = mirror.table(KIND.offload);
    for (const [key, { id }] of this.#published) {
      if (wanted.has(key)) continue;
      table.remove(id);
      this.#published.delete(key);
    }
    for (const [key, object] of wanted) {
      const data = encodeCustom(object);
      const end = data.bytes.length;
      const id = this.#published.get(key)?.id;
      if (id === undefined)
        this.#published.set(key, { id: table.insert(table.match(data, 0, end)!.hash, data, 0, end), object });
      else if (!table.equals(id, data, 0, end)) {
        table.replace(id, data, 0, end);
        this.#published.set(key, { id, object });
      }
    }
    mirror.commit();
  }

  // ---- what users ask for ----

  /** The kind of this name. @throws EkhoError E_UNKNOWN_OBJECT naming those there are */
  kind(name: string): OffloadKind {
    const kinds = this.#options.kinds();
    const kind = kinds.get(name);
    if (kind !== undefined) return kind;
    const near = nearest(name, kinds.keys());
    throw new EkhoError(
      'E_UNKNOWN_OBJECT',
      `no plugin declares the kind ${name}${near ? `; did you mean ${near}?` : ''}`,
      {
        remedy:
          kinds.size === 0
            ? '`ekho plugin list` shows the plugins.'
            : `Kinds: ${[...kinds.keys()].join(', ')}.`,
      },
    );
  }

  /** All there are, declared or not. */
  objects(): Iterable<{ readonly id: ObjectId; readonly object: CustomObject }> {
    return this.#published.values();
  }

  /** Id in the mirror of the object of this name: the values of its keys with a blank between, those with a default may be left out. */
  find(kind: string, name: string): { readonly id: ObjectId; readonly object: CustomObject } | undefined {
    const declared = this.#options.kinds().get(kind);
    return (
      this.#published.get(`${kind} ${name}`) ??
      (declared && this.#published.get(`${kind} ${canonicalName(declared, name)}`))
    );
  }

  /** @throws EkhoError E_UNKNOWN_OBJECT, E_USAGE, E_EXISTS, E_CONFIG */
  create(kind: string, given: GivenValues, version = 0): ObjectId {
    const declared = this.#declared(kind, version);
    const { name, values } = checked(declared, given);
    const before = this.find(kind, name);
    if (before !== undefined) {
      throw new EkhoError(
        'E_EXISTS',
        `there is ${kind} ${name} already, from ${sourceText(before.object.source)}`,
        {
          remedy: `Replace it with \`ekho offload add --replace\`, or delete it with \`ekho offload del\`.`,
        },
      );
    }
    if (this.#published.size >= OBJECTS_MAX) {
      throw new EkhoError('E_BUSY', `there are ${OBJECTS_MAX} offloads already`, { remedy: 'Delete some.' });
    }
    return this.#keep([...this.#stored, { kind, version: declared.version, values }], kind, name);
  }

  /** Makes it, or makes it anew. @throws as `create`; E_EXISTS for one that is not of the API */
  put(kind: string, given: GivenValues, version = 0): ObjectId {
    const declared = this.#declared(kind, version);
    const { name, values } = checked(declared, given);
    const before = this.find(kind, name);
    if (before === undefined) return this.create(kind, given, version);
    this.#requireOwn(before.object);
    const next = this.#stored.map((one) =>
      this.#isNamed(one, kind, name) ? { kind, version: declared.version, values } : one,
    );
    return this.#keep(next, kind, name);
  }

  /** @throws EkhoError E_UNKNOWN_OBJECT, E_EXISTS for one that is not of the API, E_CONFIG */
  remove(kind: string, name: string): void {
    const found = this.find(kind, name);
    if (found === undefined) {
      throw new EkhoError('E_UNKNOWN_OBJECT', `there is no ${kind} ${name}`, {
        remedy: '`ekho offload show` lists them.',
      });
    }
    this.#requireOwn(found.object);
    const next = this.#stored.filter((one) => !this.#isNamed(one, kind, found.object.name));
    this.#file.write(next);
    this.#stored = next;
    this.refresh();
  }

  /** What the source asks for from now on, in place of what it did. */
  setSource(source: string, requested: readonly Requested[]): void {
    const room = OBJECTS_MAX - this.#stored.length - this.#options.configured.length;
    if (requested.length > room) this.#tellOnce(`${source} asks for too many offloads: ${requested.length}`);
    this.#others.set(source, requested.slice(0, room));
    this.refresh();
  }

  #declared(name: string, version: number): OffloadKind {
    const kind = this.kind(name);
    if (version === 0 || version === kind.version) return kind;
    throw new EkhoError('E_USAGE', `${name} is declared in version ${kind.version}, not ${version}`, {
      remedy: `Leave the version out, or see \`ekho offload kinds ${name}\`.`,
    });
  }

  #isNamed(one: StoredObject, kind: string, name: string): boolean {
    return one.kind === kind && this.#objectOf(one, 'api').name === name;
  }

  #requireOwn({ kind, name, source }: CustomObject): void {
    if (source === 'api') return;
    throw new EkhoError('E_EXISTS', `${kind} ${name} is from ${sourceText(source)}`, {
      remedy: 'Change it there.',
    });
  }

  #keep(next: StoredObject[], kind: string, name: string): ObjectId {
    this.#file.write(next);
    this.#stored = next;
    this.refresh();
    return this.find(kind, name)!.id;
  }

  #tellOnce(text: string): void {
    if (this.#told.has(text) || this.#told.size >= OBJECTS_MAX) return;
    this.#told.add(text);
    this.#options.warn(text);
  }
}

function checked(kind: OffloadKind, given: GivenValues): Pick<CustomObject, 'name' | 'values' | 'keys'> {
  const values = checkValues(kind, given);
  const keys = new Set(kind.fields.filter(({ key }) => key).map(({ name }) => name));
  return { values, keys, name: nameOf(kind, values) };
}

/** Name of an object whose values are of another version: by those of its keys that are there. */
function keysOf(kind: OffloadKind, values: Values): string {
  const found = kind.fields.filter(({ name, key }) => key && values[name] !== undefined);
  return found.length === 0
    ? Object.values(values).join(' ')
    : found.map(({ name }) => values[name]).join(' ');
}

/** With the defaults of keys that were left out, each as it is written canonically. */
function canonicalName(kind: OffloadKind, name: string): string {
  const words = name.split(' ');
  const keys = kind.fields.filter(({ key }) => key);
  const given = Object.fromEntries(keys.flatMap((field, at) => (words[at] ? [[field.name, words[at]]] : [])));
  try {
    return nameOf(kind, checkValues({ ...kind, fields: keys }, given));
  } catch {
    return name;
  }
}

function sourceText(source: string): string {
  return source === 'config' ? 'the configuration' : source === 'api' ? 'the API' : source;
}
