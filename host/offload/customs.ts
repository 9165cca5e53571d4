/**
 * Objects of the kinds that the plugin declares, as entries. Users ask for them, the kernel has nothing of them; what they say was
 * checked where they were made (host/custom) and is checked again here, as another version of the plugin may declare otherwise.
 */

import { type CustomObject, customOf } from '../custom/object.ts';
import { checkValues, type LinkNames, nameOf, type Packed, pack, unpack } from '../custom/values.ts';
import { EkhoError } from '../errors.ts';
import { DecodeError, decodeObject } from '../netlink/decode.ts';
import { DATA_WORDS, type OffloadKind } from '../plugin/offload-kinds.ts';
import { type CustomRecord, ENTRY_KIND } from '../plugin/records.ts';
import type { EntryCodec, EntryTable } from './entry-table.ts';
import { REASON } from './reasons.ts';

export interface CustomWant extends Packed {
  /** Place in the plugin's `offloadKinds`. */
  readonly kind: number;
}

/** Byte of the first word in a record. */
const DATA_OFFSET = 16;

export const customCodec: EntryCodec<CustomWant> = {
  kind: ENTRY_KIND.custom,
  isLeaf: true,
  equal: (a, b) =>
    a.kind === b.kind && a.present === b.present && a.data.every((word, index) => word === b.data[index]),
  size: () => 1,
  encode(encoder, operation, handle, want) {
    const record = encoder.custom(operation, handle);
    record.offloadKind = want.kind;
    record.present = want.present;
    record.u32.set(want.data, (record.offset + DATA_OFFSET) >>> 2);
  },
};

/** What an object read back says. */
export function customWantOf(record: CustomRecord): CustomWant {
  const at = (record.offset + DATA_OFFSET) >>> 2;
  return {
    kind: record.offloadKind,
    present: record.present,
    data: record.u32.slice(at, at + 2 * DATA_WORDS),
  };
}

interface Known {
  /** Undefined where it has no entry. */
  readonly key: string | undefined;
  readonly reason: number;
  readonly detail?: string;
}

export interface CustomsOptions {
  readonly kinds: readonly OffloadKind[];
  readonly table: EntryTable<CustomWant>;
  readonly links: LinkNames;
  /** Handle of the link's port, 0 if it is none; undefined: the device did not take the port. */
  readonly portOf: (ifindex: number) => number;
}

export class Customs {
  readonly #options: CustomsOptions;
  /** By mirror id, of the plugin's kinds only. */
  readonly #objects = new Map<number, CustomObject>();
  readonly #known = new Map<number, Known>();
  /** Mirror id of the object whose entry it is. */
  readonly #owners = new Map<string, number>();
  /** Entries of each kind. */
  readonly #counts = new Map<string, number>();

  constructor(options: CustomsOptions) {
    this.#options = options;
  }

  /** The object's bytes in the mirror; undefined: it is gone. */
  change(id: number, cursor: { bytes: Uint8Array; start: number; end: number } | undefined): void {
    const object = cursor && decode(cursor);
    const isOurs = object !== undefined && this.#kindOf(object) !== undefined;
    if (isOurs) {
      this.#objects.set(id, object);
      this.#plan(id, object);
      return;
    }
    this.#objects.delete(id);
    this.#forget(id);
    this.#known.delete(id);
    this.#makeRoom();
  }

  /** Links came, went, or became ports. */
  structureChanged(): void {
    for (const [id, object] of this.#objects) {
      const hasLink = this.#kindOf(object)!.fields.some(({ type }) => type === 'link');
      if (hasLink) this.#plan(id, object);
    }
  }

  /** What is known of it; undefined if it is of no kind of this plugin. */
  stateOf(id: number): Known | undefined {
    return this.#known.get(id);
  }

  /** Objects without an entry, as they cannot have one. */
  get refused(): number {
    let refused = 0;
    for (const { key } of this.#known.values()) if (key === undefined) refused++;
    return refused;
  }

  /** Kinds that the plugin declares. */
  get kindCount(): number {
    return this.#options.kinds.length;
  }

  /** `xdp:meter 10.1.0.0/16`: kind and values of the keys of an entry by what it says. */
  keyOf(want: CustomWant): string {
    const { kinds, links } = this.#options;
    const kind = kinds[want.kind]!;
    return `${kind.name} ${nameOf(kind, unpack(kind, want, links))}`;
  }

  /** Handle of the object's entry, 0 if it has none. */
  handleOf(id: number): number {
    const key = this.#known.get(id)?.key;
    const { table } = this.#options;
    return key === undefined ? 0 : table.handle(table.get(key));
  }

  ownerOf(key: string): number | undefined {
    return this.#owners.get(key);
  }

  #kindOf({ kind }: CustomObject): OffloadKind | undefined {
    return this.#options.kinds.find(({ name }) => name === kind);
  }

  #plan(id: number, object: CustomObject): void {
    const planned = this.#wantOf(object);
    const key = 'want' in planned ? this.keyOf(planned.want) : undefined;
    const owner = key === undefined ? undefined : this.#owners.get(key);
    const before = this.#known.get(id)?.key;
    if (before !== key) this.#forget(id);
    if (key === undefined || !('want' in planned)) {
      this.#known.set(id, { key: undefined, ...(planned as Exclude<typeof planned, { want: CustomWant }>) });
      return;
    }
    if (owner !== undefined && owner !== id) {
      this.#known.set(id, {
        key: undefined,
        reason: REASON['offload-invalid'],
        detail: 'there is another of this name',
      });
      return;
    }
    const kind = this.#options.kinds[planned.want.kind]!;
    if (owner === undefined) {
      const count = this.#counts.get(kind.name) ?? 0;
      if (count >= kind.capacity) {
        this.#known.set(id, { key: undefined, reason: REASON['table-full'] });
        return;
      }
      this.#counts.set(kind.name, count + 1);
      this.#owners.set(key, id);
    }
    this.#known.set(id, { key, reason: REASON.none });
    this.#options.table.want(key, planned.want);
  }

  #wantOf(object: CustomObject): { want: CustomWant } | { reason: number; detail: string } {
    const { kinds, links, portOf } = this.#options;
    const kind = this.#kindOf(object)!;
    if (object.version !== 0 && object.version !== kind.version) {
      const detail = `it is of version ${object.version}, the plugin has ${kind.version}`;
      return { reason: REASON['kind-version'], detail };
    }
    if (object.problem !== undefined) return { reason: REASON['offload-invalid'], detail: object.problem };
    try {
      const packed = pack(kind, checkValues(kind, object.values), links, portOf);
      if (typeof packed === 'string') return { reason: REASON['link-missing'], detail: packed };
      return { want: { kind: kinds.indexOf(kind), ...packed } };
    } catch (error) {
      if (!(error instanceof EkhoError)) throw error;
      return { reason: REASON['offload-invalid'], detail: error.message };
    }
  }

  /** The object has no entry any more. */
  #forget(id: number): void {
    const key = this.#known.get(id)?.key;
    if (key === undefined || this.#owners.get(key) !== id) return;
    this.#owners.delete(key);
    const kind = this.#options.kinds.find(({ name }) => key.startsWith(`${name} `))!.name;
    this.#counts.set(kind, this.#counts.get(kind)! - 1);
    this.#options.table.drop(key);
  }

  /** What had no room, or was the second of a name, may have a place now. */
  #makeRoom(): void {
    for (const [id, { key, reason, detail }] of this.#known) {
      const waits = reason === REASON['table-full'] || detail?.startsWith('there is another');
      if (key === undefined && waits) this.#plan(id, this.#objects.get(id)!);
    }
  }
}

function decode({
  bytes,
  start,
  end,
}: {
  bytes: Uint8Array;
  start: number;
  end: number;
}): CustomObject | undefined {
  try {
    return customOf(decodeObject('offload', bytes, start, end));
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
