/** The mirror's objects as people and scripts see them: iproute2's JSON with the offload states added. */
import { describe } from './iproute2/describe.ts';
import { type FormatContext, formatRows, type Json, type KeyedObject } from './iproute2/json.ts';
import {
  KIND,
  KINDS,
  type KindNumber,
  type MirrorReader,
  type ObjectId,
  objectCursor,
} from './mirror/types.ts';
import { type DecodedObject, decodeObject } from './netlink/decode.ts';
import type { ObjectOffload } from './offload/reasons.ts';
import { Slice } from './slices.ts';

export type OffloadOf = (kind: KindNumber, id: ObjectId) => readonly ObjectOffload[];

export interface ObjectView {
  readonly text: string;
  readonly json: Json;
}

/** Decoded objects of a kind by a number of theirs, made again when one of the kind changed. */
class Directory {
  readonly #objects: Objects;
  readonly #kind: KindNumber;
  readonly #keyOf: (object: DecodedObject) => unknown;
  #entries: Map<unknown, DecodedObject> | undefined;

  constructor(objects: Objects, kind: KindNumber, keyOf: (object: DecodedObject) => unknown) {
    this.#objects = objects;
    this.#kind = kind;
    this.#keyOf = keyOf;
    objects.mirror.subscribe((changes) => {
      if (this.#entries !== undefined && changes.kinds.subarray(0, changes.length).includes(kind)) {
        this.#entries = undefined;
      }
    });
  }

  entries(): Map<unknown, DecodedObject> {
    if (this.#entries === undefined) {
      const all: [unknown, DecodedObject][] = [];
      for (const id of this.#objects.ids(this.#kind)) {
        const object = this.#objects.decode(this.#kind, id);
        if (object !== undefined) all.push([this.#keyOf(object), object]);
      }
      this.#entries = new Map(all);
    }
    return this.#entries;
  }
}

export class Objects {
  readonly mirror: MirrorReader;
  readonly context: FormatContext;
  readonly #offloadOf: OffloadOf;
  readonly #cursor = objectCursor();
  readonly #links: Directory;

  constructor(mirror: MirrorReader, offloadOf: OffloadOf) {
    this.mirror = mirror;
    this.#offloadOf = offloadOf;
    this.#links = new Directory(this, KIND.link, ({ header }) => header.index);
    const nexthops = new Directory(this, KIND.nexthop, ({ id }) => id);
    this.context = {
      linkName: (ifindex) => this.linkName(ifindex),
      link: (ifindex) => this.#links.entries().get(ifindex),
      links: () => this.#links.entries().values(),
      nexthop: (id) => nexthops.entries().get(id),
      qdiscs: () => this.#all(KIND.qdisc),
    };
  }

  *#all(kind: KindNumber): Generator<DecodedObject> {
    for (const id of this.ids(kind)) {
      const object = this.decode(kind, id);
      if (object !== undefined) yield object;
    }
  }

  linkName(ifindex: number): string | undefined {
    return this.#links.entries().get(ifindex)?.ifname as string | undefined;
  }

  /** The link of this name. */
  linkNamed(name: string): DecodedObject | undefined {
    for (const link of this.#links.entries().values()) if (link.ifname === name) return link;
    return undefined;
  }

  linkNames(): string[] {
    return [...this.#links.entries().values()].map(({ ifname }) => ifname as string);
  }

  /** Ids of a kind, in the order in which the mirror first saw them where ids were not used before. */
  ids(kind: KindNumber): Uint32Array {
    const ids = new Uint32Array(this.mirror.count(kind));
    let length = 0;
    this.mirror.forEach(kind, (id) => {
      if (length < ids.length) ids[length++] = id;
    });
    return ids.subarray(0, length).sort();
  }

  /** Ids of the objects that `wanted` takes, at most `limit`; looks for them in slices, so that others get their turn. */
  async select(
    kind: KindNumber,
    wanted: (object: DecodedObject) => boolean,
    limit = Number.POSITIVE_INFINITY,
  ): Promise<ObjectId[]> {
    const selected: ObjectId[] = [];
    const slice = new Slice();
    for (const id of this.ids(kind)) {
      if (slice.isOver) await slice.next();
      const object = this.decode(kind, id);
      if (object !== undefined && wanted(object)) selected.push(id);
      if (selected.length >= limit) break;
    }
    return selected;
  }

  decode(kind: KindNumber, id: ObjectId): DecodedObject | undefined {
    if (!this.mirror.open(kind, id, this.#cursor)) return undefined;
    const { bytes, start, end } = this.#cursor;
    return decodeObject(KINDS[kind]!, bytes, start, end);
  }

  /**
   * Rows as iproute2 prints them, each object read when its row is asked for; objects that are gone by then are left out. Each
   * element that stands for an object has its `offload` array. `isAll` says that nothing was chosen: then links without
   * addresses are rows of `address` too.
   */
  *rows(kind: KindNumber, ids: Iterable<ObjectId>, isAll: boolean): Generator<Json> {
    const { links: _links, ...chosen } = this.context;
    for (const { json, members } of formatRows(
      KINDS[kind]!,
      this.#keyed(kind, ids),
      isAll ? this.context : chosen,
    )) {
      for (const { element, id } of members) element.offload = this.#offloadOf(kind, id);
      yield json;
    }
  }

  /** One object in words and as iproute2's JSON, `id` being what it is, or was last. */
  view(kind: KindNumber, id: ObjectId, object: DecodedObject): ObjectView {
    const { links: _links, ...context } = this.context;
    const text = describe(KINDS[kind]!, object, this.context);
    for (const { json, members } of formatRows(KINDS[kind]!, [{ id, object }], context)) {
      for (const { element } of members) element.offload = this.#offloadOf(kind, id);
      return { text, json };
    }
    return { text, json: {} };
  }

  /** How it stands with an object in each plugin that has a part in it. */
  offloadOf(kind: KindNumber, id: ObjectId): readonly ObjectOffload[] {
    return this.#offloadOf(kind, id);
  }

  *#keyed(kind: KindNumber, ids: Iterable<ObjectId>): Generator<KeyedObject> {
    for (const id of ids) {
      const object = this.decode(kind, id);
      if (object !== undefined) yield { id, object };
    }
  }
}
