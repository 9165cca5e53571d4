/** Netlink datagrams made wrong: ends missing, lengths that lie, marks of an inconsistent dump, attributes of a kernel to come. */
import {
  align4,
  NLA_HDRLEN,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLMSG_HDRLEN,
  NLMSG_MIN_TYPE,
} from '../../host/netlink/message.ts';

export interface Spoiled {
  readonly data: Buffer;
  /** The receiver is to be told that the datagram was longer. */
  readonly isTruncated: boolean;
}

/** Beyond every attribute that a kernel has today. */
const UNKNOWN_TYPE = 0x3ff0;
const UNKNOWN_BYTES = 8;
/** Of a datagram that is to grow: receivers have room for 32 KiB. */
const PART_BYTES = 16_000;
/** Shorter messages are a header: the defaults of IPsec, of which nobody says when they change. */
const ATTRIBUTES_FROM = NLMSG_HDRLEN + 8;
const LENGTH = 0;
const TYPE = 4;
const FLAGS = 6;

/** Whether it is of a dump, or tells of changes; undefined where it only acknowledges. */
export function isDump(bytes: Buffer): boolean | undefined {
  if (bytes.length < NLMSG_HDRLEN || bytes.readUInt16LE(TYPE) < NLMSG_MIN_TYPE) return undefined;
  return (bytes.readUInt16LE(FLAGS) & NLM_F_MULTI) !== 0;
}

/** Another kind of damage for each number; every one can be seen by who looks at all lengths. */
export function spoil(bytes: Buffer, number: number): Spoiled {
  const data = Buffer.from(bytes);
  switch (number % 5) {
    case 0:
      return { data: data.subarray(0, data.length >> 1), isTruncated: true };
    case 1:
      return { data: data.subarray(0, align4(data.length - NLA_HDRLEN) - NLA_HDRLEN), isTruncated: false };
    case 2:
      data.writeUInt32LE(NLMSG_HDRLEN - 9, LENGTH);
      return { data, isTruncated: false };
    case 3:
      data.writeUInt32LE(data.length + 4096, LENGTH);
      return { data, isTruncated: false };
    default:
      // Says that it is longer than its message.
      return { data: withAttribute(bytes, 512, 0), isTruncated: false };
  }
}

/** Each of its messages has an attribute that nobody knows; as several datagrams, each no longer than the kernel's may be. */
export function withUnknown(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = 0; at + NLMSG_HDRLEN <= bytes.length; ) {
    const end = at + align4(bytes.readUInt32LE(at + LENGTH));
    if (end - from > PART_BYTES && at > from) {
      parts.push(bytes.subarray(from, at));
      from = at;
    }
    at = end;
  }
  parts.push(bytes.subarray(from));
  return parts.map((part) => withAttribute(part, NLA_HDRLEN + UNKNOWN_BYTES, UNKNOWN_BYTES));
}

export function interruptedDump(bytes: Buffer): Buffer {
  const data = Buffer.from(bytes);
  data.writeUInt16LE(data.readUInt16LE(FLAGS) | NLM_F_DUMP_INTR, FLAGS);
  return data;
}

/** Puts an attribute with `length` in its header and `count` bytes at the end of each message that has attributes. */
function withAttribute(bytes: Buffer, length: number, count: number): Buffer {
  const attribute = Buffer.alloc(NLA_HDRLEN + count, 0xa5);
  attribute.writeUInt16LE(length, 0);
  attribute.writeUInt16LE(UNKNOWN_TYPE, 2);
  const parts: Buffer[] = [];
  for (let at = 0; at + NLMSG_HDRLEN <= bytes.length; ) {
    const end = at + align4(bytes.readUInt32LE(at + LENGTH));
    const message = Buffer.from(bytes.subarray(at, end));
    if (message.readUInt16LE(TYPE) < NLMSG_MIN_TYPE || message.length < ATTRIBUTES_FROM) parts.push(message);
    else {
      message.writeUInt32LE(message.length + attribute.length, LENGTH);
      parts.push(message, attribute);
    }
    at = end;
  }
  return Buffer.concat(parts);
}
