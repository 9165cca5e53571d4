/**
 * Messages that carry several objects, taken apart so that each object is again a valid message of its family: bridge
 * VLANs (entries and ranges), multicast database entries and router ports, tc actions.
 */

import {
  align4,
  attributeLength,
  attributesAreWhole,
  attributeType,
  type Datagram,
  findAttribute,
  LITTLE_ENDIAN,
  NLA_F_NESTED,
  NLA_HDRLEN,
} from '../netlink/message.ts';
import {
  mdbAttributes,
  mdbEntryListAttributes,
  mdbHeader,
  mdbListAttributes,
  mdbRouterAttributes,
} from '../netlink/schema/mdb.ts';
import { actionDumpAttributes, actionHeader } from '../netlink/schema/tc.ts';
import {
  bridgeVlanInfo,
  vlanAttributes,
  vlanEntryAttributes,
  vlanGlobalAttributes,
  vlanHeader,
} from '../netlink/schema/vlan.ts';

const AF_BRIDGE = 7;
/** Longest object that is made, in bytes: one attribute and its wrapping. */
const LIMIT = 0x10000 + 64;

/** Called per object; `data` is overwritten by the next. */
export type ObjectHandler = (data: Datagram, start: number, end: number) => void;

/** Builds one object at a time in the same memory. */
class Builder {
  readonly bytes = new Uint8Array(LIMIT);
  readonly data: Datagram = { bytes: this.bytes, words: new Uint32Array(this.bytes.buffer) };
  readonly view = new DataView(this.bytes.buffer);
  length = 0;

  begin(source: Datagram, start: number, header: number): void {
    this.length = 0;
    this.copy(source, start, start + header);
  }

  copy(source: Datagram, start: number, end: number): void {
    this.bytes.set(source.bytes.subarray(start, end), this.length);
    this.length += end - start;
    while ((this.length & 3) !== 0) this.bytes[this.length++] = 0;
  }

  open(type: number): number {
    const at = this.length;
    this.view.setUint16(at + 2, type | NLA_F_NESTED, LITTLE_ENDIAN);
    this.length += NLA_HDRLEN;
    return at;
  }

  close(at: number): void {
    this.view.setUint16(at, this.length - at, LITTLE_ENDIAN);
  }

  u16(type: number, value: number): void {
    const at = this.length;
    this.view.setUint32(at, 0, LITTLE_ENDIAN);
    this.view.setUint16(at, NLA_HDRLEN + 2, LITTLE_ENDIAN);
    this.view.setUint16(at + 2, type, LITTLE_ENDIAN);
    this.view.setUint16(at + 4, value, LITTLE_ENDIAN);
    this.view.setUint16(at + 6, 0, LITTLE_ENDIAN);
    this.length += 8;
  }
}

const builder = new Builder();

function forEachAttribute(
  data: Datagram,
  start: number,
  end: number,
  callback: (at: number, end: number) => void,
): boolean {
  if (!attributesAreWhole(data.words, start, end)) return false;
  for (let at = start; at < end; ) {
    const length = attributeLength(data.words, at);
    callback(at, at + length);
    at += align4(length);
  }
  return true;
}

function u16(data: Datagram, at: number): number {
  return LITTLE_ENDIAN
    ? data.bytes[at]! | (data.bytes[at + 1]! << 8)
    : (data.bytes[at]! << 8) | data.bytes[at + 1]!;
}

/** VLAN ids above this do not exist; a range never has more. */
const MAX_VID = 4094;

/** Each VLAN of each entry, ranges spelled out; and each VLAN's global options. False when malformed. */
export function splitVlans(data: Datagram, start: number, end: number, handler: ObjectHandler): boolean {
  const body = start + vlanHeader.size;
  const { entry: ENTRY, global_options: GLOBAL } = vlanAttributes.number;
  let whole = true;
  const outer = forEachAttribute(data, body, end, (at, attributeEnd) => {
    const type = attributeType(data.words, at);
    if (type !== ENTRY && type !== GLOBAL) return;
    const own = type === ENTRY ? vlanEntryAttributes.number.info : vlanGlobalAttributes.number.id;
    const rangeType = type === ENTRY ? vlanEntryAttributes.number.range : vlanGlobalAttributes.number.range;
    const inner = at + NLA_HDRLEN;
    const innerEnd = align4(attributeEnd);
    const info = findAttribute(data.words, inner, innerEnd, own);
    const range = findAttribute(data.words, inner, innerEnd, rangeType);
    if (info < 0) {
      whole = false;
      return;
    }
    const offset = type === ENTRY ? bridgeVlanInfo.offset.vid : 0;
    const first = u16(data, info + NLA_HDRLEN + offset);
    const last = range < 0 ? first : Math.min(u16(data, range + NLA_HDRLEN), MAX_VID);
    for (let vid = first; vid <= last; vid++) {
      builder.begin(data, start, vlanHeader.size);
      const nest = builder.open(type);
      const parts = forEachAttribute(data, inner, innerEnd, (part, partEnd) => {
        if (part === range) return;
        if (part === info) builder.view.setUint16(builder.length, 0, LITTLE_ENDIAN);
        const to = builder.length;
        builder.copy(data, part, partEnd);
        if (part === info) builder.view.setUint16(to + NLA_HDRLEN + offset, vid, LITTLE_ENDIAN);
      });
      builder.close(nest);
      if (!parts) whole = false;
      else handler(builder.data, 0, builder.length);
    }
  });
  return outer && whole;
}

/** Each entry of each group, and each router port. False when malformed. */
export function splitMdb(data: Datagram, start: number, end: number, handler: ObjectHandler): boolean {
  const body = start + mdbHeader.size;
  const { mdb: MDB, router: ROUTER } = mdbAttributes.number;
  const emit = (outer: number, middle: number | undefined, at: number, attributeEnd: number): void => {
    builder.begin(data, start, mdbHeader.size);
    // Dumps leave the family at 0.
    builder.bytes[0] = AF_BRIDGE;
    const first = builder.open(outer);
    const second = middle === undefined ? -1 : builder.open(middle);
    builder.copy(data, at, attributeEnd);
    if (second >= 0) builder.close(second);
    builder.close(first);
    handler(builder.data, 0, builder.length);
  };
  let whole = true;
  const outer = forEachAttribute(data, body, end, (at, attributeEnd) => {
    const type = attributeType(data.words, at);
    const inner = at + NLA_HDRLEN;
    if (type === MDB) {
      const entries = forEachAttribute(data, inner, align4(attributeEnd), (entry, entryEnd) => {
        if (attributeType(data.words, entry) !== mdbListAttributes.number.entry) return;
        const infos = forEachAttribute(data, entry + NLA_HDRLEN, align4(entryEnd), (info, infoEnd) => {
          if (attributeType(data.words, info) === mdbEntryListAttributes.number.info) {
            emit(MDB, mdbListAttributes.number.entry, info, infoEnd);
          }
        });
        if (!infos) whole = false;
      });
      if (!entries) whole = false;
    } else if (type === ROUTER) {
      const ports = forEachAttribute(data, inner, align4(attributeEnd), (port, portEnd) => {
        if (attributeType(data.words, port) === mdbRouterAttributes.number.port) {
          emit(ROUTER, undefined, port, portEnd);
        }
      });
      if (!ports) whole = false;
    }
  });
  return outer && whole;
}

/** Each action of the table. False when malformed. */
export function splitActions(data: Datagram, start: number, end: number, handler: ObjectHandler): boolean {
  const tab = findAttribute(data.words, start + actionHeader.size, end, actionDumpAttributes.number.tab);
  if (tab < 0) return true;
  const tabEnd = align4(tab + attributeLength(data.words, tab));
  return forEachAttribute(data, tab + NLA_HDRLEN, tabEnd, (action, actionEnd) => {
    builder.begin(data, start, actionHeader.size);
    const nest = builder.open(actionDumpAttributes.number.tab);
    // Its number is only its place in the message.
    const one = builder.open(1);
    builder.copy(data, action + NLA_HDRLEN, actionEnd);
    builder.close(one);
    builder.close(nest);
    handler(builder.data, 0, builder.length);
  });
}
