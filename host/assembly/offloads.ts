/** Objects of kinds that plugins declare, as the API makes and tells them. */
import type { OffloadKindStatus, OffloadObject } from '../api/schemas.ts';
import { customOf } from '../custom/object.ts';
import type { CustomStore } from '../custom/store.ts';
import { allowed, type GivenValues } from '../custom/values.ts';
import { EkhoError } from '../errors.ts';
import { KIND } from '../mirror/types.ts';
import type { Objects } from '../objects.ts';
import type { Planner } from '../offload/planner.ts';
import type { ObjectOffload } from '../offload/reasons.ts';

/** In place of kinds that nobody declares, of which there may be any number; no kind is called so. */
const UNKNOWN_KIND = 'unknown';

export interface OffloadKindCount {
  readonly kind: string;
  readonly states: ReadonlyMap<string, number>;
}

export interface Undeclared {
  /** Vendor of the kind, by whose name the plugin would be. */
  readonly plugin: string;
  readonly state: ObjectOffload['state'];
  objects: number;
}

export interface OffloadsParts {
  readonly store: CustomStore;
  readonly planner: Planner;
  readonly objects: Objects;
}

export class Offloads {
  readonly #parts: OffloadsParts;

  constructor(parts: OffloadsParts) {
    this.#parts = parts;
  }

  /** What plugins declare, and how many objects there are of each. */
  kinds(): OffloadKindStatus[] {
    const used = new Map<string, number>();
    for (const { kind } of this.list()) used.set(kind, (used.get(kind) ?? 0) + 1);
    return [...this.#parts.planner.offloadKinds().values()].map(({ fields, ...kind }) => ({
      ...kind,
      objects: used.get(kind.name) ?? 0,
      fields: fields.map((field) => {
        const { name, type, key, required, unit, fallback, choices, documentation } = field;
        return {
          name,
          type,
          key,
          required,
          allowed: allowed(field),
          ...(unit !== '' && { unit }),
          ...(fallback !== undefined && { default: fallback }),
          ...(choices.length > 0 && { choices: [...choices] }),
          documentation,
        };
      }),
    }));
  }

  /** In the order in which they came. */
  list(kind?: string): OffloadObject[] {
    const { objects } = this.#parts;
    const found: OffloadObject[] = [];
    for (const id of objects.ids(KIND.offload)) {
      const one = this.#one(id);
      if (one !== undefined && (kind === undefined || one.kind === kind)) found.push(one);
    }
    return found;
  }

  /** How many there are of each declared kind in each offload state; those of kinds that nobody declares are together. */
  counts(): OffloadKindCount[] {
    const { planner, store } = this.#parts;
    const declared = planner.offloadKinds();
    const counts = new Map([...declared.keys()].map((kind) => [kind, new Map<string, number>()]));
    const unknown = new Map<string, number>();
    for (const { id, object } of store.objects()) {
      const [first] = planner.offloadOf(KIND.offload, id);
      const states = counts.get(object.kind) ?? unknown;
      const state = first?.state ?? 'pending';
      states.set(state, (states.get(state) ?? 0) + 1);
    }
    counts.set(UNKNOWN_KIND, unknown);
    return [...counts].map(([kind, states]) => ({ kind, states }));
  }

  /** How many there are of kinds that nobody declares, by vendor: all of one kind are in the same state. */
  undeclared(): Undeclared[] {
    const { planner, store } = this.#parts;
    const declared = planner.offloadKinds();
    const kinds = new Map<string, Undeclared>();
    for (const { id, object } of store.objects()) {
      if (declared.has(object.kind)) continue;
      const known = kinds.get(object.kind);
      if (known !== undefined) known.objects++;
      else {
        const [first] = planner.offloadOf(KIND.offload, id);
        if (first !== undefined) kinds.set(object.kind, { ...first, objects: 1 });
      }
    }
    return [...kinds.values()];
  }

  /** @throws EkhoError E_UNKNOWN_OBJECT */
  get(kind: string, name: string): OffloadObject {
    const found = this.#parts.store.find(kind, name);
    const one = found && this.#one(found.id);
    if (one !== undefined) return one;
    throw new EkhoError('E_UNKNOWN_OBJECT', `there is no ${kind} ${name}`, {
      remedy: '`ekho offload show` lists them.',
    });
  }

  /** @throws EkhoError E_UNKNOWN_OBJECT (the kind), E_USAGE (a field), E_EXISTS, E_CONFIG (the state file) */
  create(kind: string, values: GivenValues, version?: number): OffloadObject {
    return this.#one(this.#parts.store.create(kind, values, version))!;
  }

  /** As `create`; one of the API that is there gets these fields. */
  put(kind: string, values: GivenValues, version?: number): OffloadObject {
    return this.#one(this.#parts.store.put(kind, values, version))!;
  }

  /** `name` says the keys, `values` the other fields. @throws as `put` */
  putNamed(kind: string, name: string, values: GivenValues, version?: number): OffloadObject {
    const { store } = this.#parts;
    const keys = store.kind(kind).fields.filter(({ key }) => key);
    const words = name.split(' ');
    if (words.length > keys.length) {
      throw new EkhoError('E_USAGE', `${kind} is named by ${keys.map((field) => field.name).join(' ')}`, {
        remedy: 'Give their values with a blank between.',
      });
    }
    const named = Object.fromEntries(words.map((word, at) => [keys[at]!.name, word]));
    return this.put(kind, { ...values, ...named }, version);
  }

  remove(kind: string, name: string): void {
    this.#parts.store.remove(kind, name);
  }

  #one(id: number): OffloadObject | undefined {
    const { objects, planner } = this.#parts;
    const decoded = objects.decode(KIND.offload, id);
    if (decoded === undefined) return undefined;
    const { kind, name, version, source, values, problem } = customOf(decoded);
    return {
      id,
      kind,
      name,
      version,
      source,
      fields: { ...values },
      ...(problem !== undefined && { problem }),
      revision: objects.mirror.revisionOf(KIND.offload, id),
      offload: planner.offloadOf(KIND.offload, id).map((state) => ({ ...state })),
      counters: planner.countersOf(KIND.offload, id),
    };
  }
}
