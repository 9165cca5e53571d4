/** A bridge VLAN object holds one VLAN of one port or bridge, or one VLAN's options in the bridge (host/kernel/split.ts). */

import { findAttribute, NLA_HDRLEN } from '../../netlink/message.ts';
import {
  bridgeVlanInfo,
  vlanAttributes,
  vlanEntryAttributes,
  vlanGlobalAttributes,
  vlanHeader,
} from '../../netlink/schema/vlan.ts';
import type { KeyOf } from '../key.ts';

const { entry: ENTRY, global_options: GLOBAL } = vlanAttributes.number;
const { info: INFO } = vlanEntryAttributes.number;
const { id: ID } = vlanGlobalAttributes.number;
const BODY = vlanHeader.size;

export const vlanKey: KeyOf = (data, start, end, out) => {
  const { words, bytes } = data;
  if (end - start < BODY) return 0;
  out[0] = words[(start + vlanHeader.offset.ifindex) >>> 2]!;
  const entry = findAttribute(words, start + BODY, end, ENTRY);
  const global = entry < 0 ? findAttribute(words, start + BODY, end, GLOBAL) : -1;
  let vid = -1;
  if (entry >= 0) {
    const info = findAttribute(words, entry + NLA_HDRLEN, end, INFO);
    if (info >= 0) vid = info + NLA_HDRLEN + bridgeVlanInfo.offset.vid;
  } else if (global >= 0) {
    const id = findAttribute(words, global + NLA_HDRLEN, end, ID);
    if (id >= 0) vid = id + NLA_HDRLEN;
  }
  if (vid < 0 || vid + 2 > end) return 0;
  out[1] = bytes[vid]! | (bytes[vid + 1]! << 8);
  out[2] = entry >= 0 ? 0 : 1;
  return 3;
};
