/**
 * Objects by the page. What a request chose, in its order, is kept as a list of ids, so that the pages after the first, or any
 * other, cost what is on them, also among a million. Lists are few and the oldest goes first: who comes back for one that is
 * gone has it made again.
 */
import { randomBytes } from 'node:crypto';
import { EkhoError } from '../errors.ts';
import type { Host } from '../host.ts';
import { isField, unknownField } from '../iproute2/fields.ts';
import { parseSelector } from '../iproute2/selector.ts';
import { KIND, type Kind, type ObjectId } from '../mirror/types.ts';
import { Slice } from '../slices.ts';
import type { ObjectItem, ObjectsPage } from './schemas.ts';
import { sortedPlaces } from './sort.ts';

/** Lists that are kept, and ids in all of them: 4 bytes each. */
const LISTS_MAX = 32;
const IDS_MAX = 4 * 1024 * 1024;
/** What can be sorted by, beside fields of iproute2's JSON. */
const OWN_FIELDS: readonly string[] = ['id', 'revision', 'text', 'offload'];
/** Objects that are sorted by what is in them: their values are held meanwhile. */
export const SORTED_MAX = 200_000;

export interface Wanted {
  readonly kind: Kind;
  readonly words: readonly string[];
  /** An offload state that some plugin has it in. */
  readonly state?: string | undefined;
  readonly reason?: string | undefined;
  readonly plugin?: string | undefined;
  /** `id`, `revision`, `text`, or a field of iproute2's JSON; with `-` before it, the other way round. */
  readonly sort?: string | undefined;
}

interface Selection {
  readonly wanted: string;
  readonly ids: Uint32Array;
  readonly revision: number;
}

export interface PageOf {
  readonly limit: number;
  readonly cursor?: string | undefined;
  /** Fields of iproute2's JSON; empty: all. */
  readonly fields: readonly string[];
}

export class Selections {
  readonly #host: Host;
  readonly #selections = new Map<string, Selection>();
  #ids = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Throws E_USAGE for a cursor that is none, a field that objects of the kind do not have, or more objects to sort than can be. */
  async page(wanted: Wanted, { limit, cursor, fields }: PageOf): Promise<ObjectsPage> {
    const [name, offset] = cursor === undefined ? [undefined, 0] : parseCursor(cursor);
    const [selection, list] = await this.#selection(wanted, name);
    const end = Math.min(list.ids.length, offset + limit);
    const items: ObjectItem[] = [];
    const unmet = new Set(fields.filter((field) => !isField(wanted.kind, field)));
    for (let place = offset; place < end; place++) {
      const item = this.#item(wanted.kind, list.ids[place]!, fields, unmet);
      // Pages keep their length: what is gone since is a place with nothing in it.
      items.push(item ?? { id: list.ids[place]!, gone: true });
    }
    for (const field of unmet) throw unknownField(wanted.kind, field, []);
    return {
      selection,
      revision: list.revision,
      total: list.ids.length,
      offset,
      items,
      ...(end < list.ids.length && { next: `${selection}.${end}` }),
    };
  }

  async #selection(wanted: Wanted, name: string | undefined): Promise<[string, Selection]> {
    const words = JSON.stringify(wanted);
    const known = name === undefined ? undefined : this.#selections.get(name);
    if (known?.wanted === words) return [name!, known];
    const revision = this.#host.mirror.revision;
    const made = { wanted: words, ids: await this.#choose(wanted), revision };
    const fresh = randomBytes(6).toString('base64url');
    this.#selections.set(fresh, made);
    this.#ids += made.ids.length;
    for (const [oldest, { ids }] of this.#selections) {
      const isLast = this.#selections.size === 1;
      if (isLast || (this.#selections.size <= LISTS_MAX && this.#ids <= IDS_MAX)) break;
      this.#selections.delete(oldest);
      this.#ids -= ids.length;
    }
    return [fresh, made];
  }

  async #choose({ kind, words, state, reason, plugin, sort = 'id' }: Wanted): Promise<Uint32Array> {
    const { objects } = this.#host;
    const number = KIND[kind];
    let ids = objects.ids(number);
    if (words.length > 0) {
      const fits = parseSelector(kind, words, objects.context);
      ids = await filtered(ids, (id) => {
        const object = objects.decode(number, id);
        return object !== undefined && fits(object);
      });
    }
    if (state !== undefined || reason !== undefined || plugin !== undefined) {
      ids = await filtered(ids, (id) =>
        objects
          .offloadOf(number, id)
          .some(
            (one) =>
              (state === undefined || one.state === state) &&
              (reason === undefined || one.reason === reason) &&
              (plugin === undefined || one.plugin === plugin),
          ),
      );
    }
    return this.#sorted(kind, ids, sort);
  }

  async #sorted(kind: Kind, ids: Uint32Array, sort: string): Promise<Uint32Array> {
    const isDown = sort.startsWith('-');
    const field = isDown ? sort.slice(1) : sort;
    const { mirror } = this.#host;
    if (field === 'id') return isDown ? ids.reverse() : ids;
    if (field === 'revision') {
      const number = KIND[kind];
      const revisions = Float64Array.from(ids, (id) => mirror.revisionOf(number, id));
      return inOrder(ids, (a, b) => revisions[a]! - revisions[b]!, isDown);
    }
    if (ids.length > SORTED_MAX) {
      throw new EkhoError('E_USAGE', `${ids.length} objects are too many to sort by ${field}`, {
        remedy: `Narrow them down to ${SORTED_MAX}, or sort by id or revision.`,
      });
    }
    const values: (string | number | undefined)[] = [];
    let isKnown = OWN_FIELDS.includes(field) || isField(kind, field);
    await filtered(ids, (id) => {
      const value = this.#valueOf(kind, id, field);
      isKnown ||= value !== undefined;
      values.push(value);
      return false;
    });
    if (!isKnown) throw unknownField(kind, field, OWN_FIELDS);
    const collator = new Intl.Collator('en', { numeric: true });
    const compare = (a: number, b: number) => {
      const [one = '', other = ''] = [values[a], values[b]];
      return typeof one === 'number' && typeof other === 'number'
        ? one - other
        : collator.compare(`${one}`, `${other}`);
    };
    return inOrder(ids, compare, isDown);
  }

  /** Undefined: it has no such field. */
  #valueOf(kind: Kind, id: ObjectId, field: string): string | number | undefined {
    const number = KIND[kind];
    if (field === 'offload') {
      return this.#host.objects
        .offloadOf(number, id)
        .map(({ state, reason = '' }) => `${state} ${reason}`)
        .join(' ');
    }
    const view = this.#host.object(number, id);
    if (field === 'text') return view?.text ?? '';
    const value = view !== undefined && Object.hasOwn(view.json, field) ? view.json[field] : undefined;
    const isPlain = typeof value === 'number' || typeof value === 'string' || value === undefined;
    return isPlain ? value : JSON.stringify(value);
  }

  /** Takes from `unmet` what the object has. */
  #item(kind: Kind, id: ObjectId, fields: readonly string[], unmet: Set<string>): ObjectItem | undefined {
    const number = KIND[kind];
    const view = this.#host.object(number, id);
    if (view === undefined) return undefined;
    const { offload: _offload, ...object } = view.json;
    for (const field of unmet) if (Object.hasOwn(object, field)) unmet.delete(field);
    const kept =
      fields.length === 0
        ? object
        : Object.fromEntries(Object.entries(object).filter(([name]) => fields.includes(name)));
    return {
      id,
      revision: this.#host.mirror.revisionOf(number, id),
      text: view.text,
      offload: this.#host.objects.offloadOf(number, id).map((state) => ({ ...state })),
      object: kept,
    };
  }
}

/** `NAME.ROW`: the list, and the first row of the page. */
function parseCursor(cursor: string): [string, number] {
  const match = /^([A-Za-z0-9_-]{1,16})\.(\d{1,10})$/.exec(cursor);
  if (match === null) {
    throw new EkhoError('E_USAGE', `"${cursor}" is no cursor`, {
      remedy: 'Use `next` of the page before, or ask without a cursor.',
    });
  }
  return [match[1]!, Number(match[2])];
}

/** Those that `fits` takes, looked at in slices so that others get their turn. */
async function filtered(ids: Uint32Array, fits: (id: ObjectId) => boolean): Promise<Uint32Array> {
  const kept = new Uint32Array(ids.length);
  let length = 0;
  const slice = new Slice();
  for (const id of ids) {
    if (slice.isOver) await slice.next();
    if (fits(id)) kept[length++] = id;
  }
  return kept.slice(0, length);
}

/** `compare` takes places in `ids`. */
async function inOrder(
  ids: Uint32Array,
  compare: (a: number, b: number) => number,
  isDown: boolean,
): Promise<Uint32Array> {
  const sorted = (await sortedPlaces(ids.length, compare)).map((place) => ids[place]!);
  return isDown ? sorted.reverse() : sorted;
}
