/** Netlink messages as bytes: linux/netlink.h struct nlmsghdr, struct nlattr, and walking them without copies. */

export const NETLINK_ROUTE = 0;
export const NETLINK_XFRM = 6;
export const NETLINK_NETFILTER = 12;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP_INTR = 0x10;
/** In requests that get: NLM_F_ROOT | NLM_F_MATCH. */
export const NLM_F_DUMP = 0x300;
/** In requests and notifications that add. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** In acknowledgements. */
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;
export const NLMSG_MIN_TYPE = 0x10;

export const NLMSG_HDRLEN = 16;
export const NLA_HDRLEN = 4;
export const NLA_F_NESTED = 0x8000;
/** Without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
export const NLA_TYPE_MASK = 0x3fff;

export const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Shifts that take nla_len (or nlmsg_type) and nla_type (nlmsg_flags) out of a 32-bit word on this machine. */
export const LOW_SHIFT = LITTLE_ENDIAN ? 0 : 16;
export const HIGH_SHIFT = LITTLE_ENDIAN ? 16 : 0;

export const align4 = (length: number): number => (length + 3) & ~3;

/** One received datagram, seen as bytes and as words. Positions are bytes and multiples of 4. */
export interface Datagram {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

/** `buffer` is copied only when it does not start on a word or is not a whole number of words. */
export function datagram(buffer: Uint8Array): Datagram {
  let bytes = buffer;
  if ((bytes.byteOffset & 3) !== 0 || (bytes.length & 3) !== 0) {
    bytes = new Uint8Array(align4(buffer.length));
    bytes.set(buffer);
  }
  return { bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2) };
}

/** Called per message: `start` and `end` bound its payload in `data` (end is rounded up to 4). */
export type MessageHandler = (
  type: number,
  flags: number,
  sequence: number,
  data: Datagram,
  start: number,
  end: number,
) => void;

/** Calls `handler` for each message. Returns false when the datagram ends in what is no whole message. */
export function walkMessages(data: Datagram, handler: MessageHandler): boolean {
  const { words } = data;
  const limit = data.bytes.length;
  let at = 0;
  while (at + NLMSG_HDRLEN <= limit) {
    const word = at >>> 2;
    const length = words[word]!;
    if (length < NLMSG_HDRLEN || length > limit - at) return false;
    const next = at + align4(length);
    const kind = words[word + 1]!;
    handler(
      (kind >>> LOW_SHIFT) & 0xffff,
      (kind >>> HIGH_SHIFT) & 0xffff,
      words[word + 2]!,
      data,
      at + NLMSG_HDRLEN,
      Math.min(next, limit),
    );
    at = next;
  }
  return at >= limit;
}

/** Position of attribute `type` between `start` (the first attribute) and `end`, or -1; malformed ends are not found. */
export function findAttribute(words: Uint32Array, start: number, end: number, type: number): number {
  let at = start;
  while (at + NLA_HDRLEN <= end) {
    const word = words[at >>> 2]!;
    const length = (word >>> LOW_SHIFT) & 0xffff;
    if (length < NLA_HDRLEN || length > end - at) return -1;
    if (((word >>> HIGH_SHIFT) & NLA_TYPE_MASK) === type) return at;
    at += align4(length);
  }
  return -1;
}

/** Whether attributes fill `start` to `end` exactly. */
export function attributesAreWhole(words: Uint32Array, start: number, end: number): boolean {
  let at = start;
  while (at + NLA_HDRLEN <= end) {
    const length = (words[at >>> 2]! >>> LOW_SHIFT) & 0xffff;
    if (length < NLA_HDRLEN || length > end - at) return false;
    at += align4(length);
  }
  return at === end;
}

/** nla_len of the attribute at `at`, header included. */
export function attributeLength(words: Uint32Array, at: number): number {
  return (words[at >>> 2]! >>> LOW_SHIFT) & 0xffff;
}

export function attributeType(words: Uint32Array, at: number): number {
  return (words[at >>> 2]! >>> HIGH_SHIFT) & NLA_TYPE_MASK;
}

/** Appends to a message: headers, then attributes. Grows as needed. */
export class MessageWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  #reserve(length: number): number {
    const at = this.#length;
    const needed = at + align4(length);
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = needed;
    return at;
  }

  /** Raw bytes, e.g. a family's fixed header, padded to 4. */
  raw(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  attribute(type: number, payload: Uint8Array): this {
    const at = this.#reserve(NLA_HDRLEN + payload.length);
    this.#view.setUint16(at, NLA_HDRLEN + payload.length, LITTLE_ENDIAN);
    this.#view.setUint16(at + 2, type, LITTLE_ENDIAN);
    this.#bytes.set(payload, at + NLA_HDRLEN);
    return this;
  }

  u32(type: number, value: number): this {
    return this.attribute(type, new Uint8Array(new Uint32Array([value]).buffer));
  }

  /** What was written so far. */
  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

/** A whole message to send: header and payload. */
export function requestMessage(type: number, flags: number, sequence: number, payload: Uint8Array): Buffer {
  const length = NLMSG_HDRLEN + payload.length;
  const message = Buffer.alloc(align4(length));
  const view = new DataView(message.buffer, message.byteOffset);
  view.setUint32(0, length, LITTLE_ENDIAN);
  view.setUint16(4, type, LITTLE_ENDIAN);
  view.setUint16(6, flags, LITTLE_ENDIAN);
  view.setUint32(8, sequence, LITTLE_ENDIAN);
  message.set(payload, NLMSG_HDRLEN);
  return message;
}
