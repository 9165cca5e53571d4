/** Copies of an object without some of its attributes, at any depth, found by the attribute tables. */

import type { Datagram } from '../netlink/message.ts';
import {
  align4,
  attributeLength,
  attributesAreWhole,
  attributeType,
  findAttribute,
  LITTLE_ENDIAN,
  NLA_HDRLEN,
} from '../netlink/message.ts';
import type { Attribute, AttributeSet, Family, Type } from '../netlink/schema.ts';

/** Longest object that is rewritten, in bytes; longer ones are taken as they are. */
const LIMIT = 0xffff * 4;
/** Nesting beyond this is copied as it is: nothing the kernel sends is as deep. */
const DEPTH = 12;

export interface Span {
  data: Datagram;
  start: number;
  end: number;
}

const decoder = new TextDecoder('latin1');

export class Rewriter {
  readonly #omitted: ReadonlySet<Attribute>;
  readonly #bytes = new Uint8Array(LIMIT);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #span: Span = {
    data: { bytes: this.#bytes, words: new Uint32Array(this.#bytes.buffer) },
    start: 0,
    end: 0,
  };
  readonly #concerned = new Map<Type, boolean>();
  #length = 0;
  #family = 0;

  constructor(omitted: ReadonlySet<Attribute>) {
    this.#omitted = omitted;
  }

  /** The object without the omitted attributes, in this rewriter's memory: valid until its next call. */
  rewrite(family: Family, data: Datagram, start: number, end: number): Span {
    this.#length = 0;
    this.#family = data.bytes[start]!;
    const header = align4(family.header.size);
    if (end - start > LIMIT || end - start < header) return { data, start, end };
    this.#copy(data, start, start + header);
    this.#attributes(family.attributes, data, start + header, end, 0);
    this.#span.end = this.#length;
    return this.#span;
  }

  #copy(data: Datagram, start: number, end: number): void {
    const bytes = data.bytes;
    let to = this.#length;
    for (let at = start; at < end; at++) this.#bytes[to++] = bytes[at]!;
    while ((to & 3) !== 0) this.#bytes[to++] = 0;
    this.#length = to;
  }

  #attributes(set: AttributeSet, data: Datagram, start: number, end: number, depth: number): void {
    if (depth > DEPTH || !attributesAreWhole(data.words, start, end)) {
      this.#copy(data, start, end);
      return;
    }
    for (let at = start; at < end; ) {
      const length = attributeLength(data.words, at);
      const attribute = set.byNumber[attributeType(data.words, at)];
      if (attribute === undefined) this.#copy(data, at, at + length);
      else if (!this.#omitted.has(attribute)) {
        this.#attribute(this.#chosen(attribute.type, set, data, start, end), data, at, length, depth);
      }
      at += align4(length);
    }
  }

  /** One attribute, header included; its length is corrected afterwards. */
  #attribute(type: Type | undefined, data: Datagram, at: number, length: number, depth: number): void {
    if (type === undefined || !this.#isConcerned(type)) {
      this.#copy(data, at, at + length);
      return;
    }
    const out = this.#length;
    this.#copy(data, at, at + NLA_HDRLEN);
    this.#payload(type, data, at + NLA_HDRLEN, at + length, depth + 1);
    this.#view.setUint16(out, this.#length - out, LITTLE_ENDIAN);
  }

  #payload(type: Type, data: Datagram, start: number, end: number, depth: number): void {
    if (typeof type === 'string') {
      this.#copy(data, start, end);
    } else if (type.kind === 'nest') {
      this.#attributes(type.attributes(), data, start, align4(end), depth);
    } else if (type.kind === 'many') {
      this.#payload(type.of, data, start, end, depth);
    } else if (type.kind === 'headed' && end - start >= type.header.size) {
      const inner = start + align4(type.header.size);
      this.#copy(data, start, inner);
      this.#attributes(type.attributes(), data, inner, align4(end), depth);
    } else if (type.kind === 'indexed' && attributesAreWhole(data.words, start, align4(end))) {
      for (let at = start; at < end; ) {
        const length = attributeLength(data.words, at);
        this.#attribute(type.of, data, at, length, depth);
        at += align4(length);
      }
    } else {
      this.#copy(data, start, end);
    }
  }

  /** What a type that depends on a sibling comes to. */
  #chosen(type: Type, set: AttributeSet, data: Datagram, start: number, end: number): Type | undefined {
    if (typeof type === 'string') return type;
    if (type.kind === 'family') return type.of[this.#family] ?? type.otherwise;
    if (type.kind !== 'select') return type;
    const by = set.byName.get(type.by);
    const at = by === undefined ? -1 : findAttribute(data.words, start, end, by.number);
    if (at < 0) return undefined;
    const name = decoder.decode(data.bytes.subarray(at + NLA_HDRLEN, at + attributeLength(data.words, at)));
    return type.of[name.split('\0', 1)[0]!];
  }

  /** Whether something omitted may be inside. */
  #isConcerned(type: Type): boolean {
    if (typeof type === 'string') return false;
    const known = this.#concerned.get(type);
    if (known !== undefined) return known;
    this.#concerned.set(type, true); // tables that contain themselves: assume so while looking
    let concerned = false;
    if (type.kind === 'nest' || type.kind === 'headed') {
      concerned = type
        .attributes()
        .byNumber.some(
          (inner) => inner !== undefined && (this.#omitted.has(inner) || this.#isConcerned(inner.type)),
        );
    } else if (type.kind === 'many' || type.kind === 'indexed') {
      concerned = this.#isConcerned(type.of);
    } else if (type.kind === 'family') {
      concerned = [type.otherwise, ...Object.values(type.of)].some((inner) => this.#isConcerned(inner));
    } else if (type.kind === 'select') {
      concerned = Object.values(type.of).some((inner) => this.#isConcerned(inner));
    }
    this.#concerned.set(type, concerned);
    return concerned;
  }
}
