/**
 * A multicast database object holds one entry (see host/kernel/split.ts): bridge, port, VLAN, group and source, in VXLAN also
 * the remote; or one router port of a bridge.
 */

import { findAttribute, NLA_HDRLEN } from '../../netlink/message.ts';
import {
  mdbAttributes,
  mdbEntry,
  mdbEntryAttributes,
  mdbEntryListAttributes,
  mdbHeader,
  mdbListAttributes,
  mdbRouterAttributes,
} from '../../netlink/schema/mdb.ts';
import { type KeyOf, putFound } from '../key.ts';

const { mdb: MDB, router: ROUTER } = mdbAttributes.number;
const { entry: ENTRY } = mdbListAttributes.number;
const { info: INFO } = mdbEntryListAttributes.number;
const { port: PORT } = mdbRouterAttributes.number;
const {
  source: SOURCE,
  dst: DST,
  dst_port: DST_PORT,
  vni: VNI,
  via_ifindex: IFINDEX,
  src_vni: SRC_VNI,
} = mdbEntryAttributes.number;
const BODY = mdbHeader.size;

export const mdbKey: KeyOf = (data, start, end, out) => {
  const { words, bytes } = data;
  if (end - start < BODY) return 0;
  out[0] = words[(start + mdbHeader.offset.ifindex) >>> 2]!;
  const router = findAttribute(words, start + BODY, end, ROUTER);
  if (router >= 0) {
    const port = findAttribute(words, router + NLA_HDRLEN, end, PORT);
    if (port < 0 || port + NLA_HDRLEN + 4 > end) return 0;
    out[1] = words[(port + NLA_HDRLEN) >>> 2]!;
    return 2;
  }
  const mdb = findAttribute(words, start + BODY, end, MDB);
  const entry = mdb < 0 ? -1 : findAttribute(words, mdb + NLA_HDRLEN, end, ENTRY);
  const info = entry < 0 ? -1 : findAttribute(words, entry + NLA_HDRLEN, end, INFO);
  const at = info + NLA_HDRLEN;
  if (info < 0 || at + mdbEntry.size > end) return 0;
  out[1] = words[(at + mdbEntry.offset.ifindex) >>> 2]!;
  out[2] = bytes[at + mdbEntry.offset.vid]! | (bytes[at + mdbEntry.offset.vid + 1]! << 8);
  out[3] = bytes[at + mdbEntry.offset.proto]! | (bytes[at + mdbEntry.offset.proto + 1]! << 8);
  for (let word = 0; word < 4; word++) out[4 + word] = words[((at + mdbEntry.offset.address) >>> 2) + word]!;
  const attributes = at + mdbEntry.size;
  let count = putFound(data, attributes, end, SOURCE, out, 8);
  count = putFound(data, attributes, end, DST, out, count);
  count = putFound(data, attributes, end, DST_PORT, out, count);
  count = putFound(data, attributes, end, VNI, out, count);
  count = putFound(data, attributes, end, IFINDEX, out, count);
  return putFound(data, attributes, end, SRC_VNI, out, count);
};
