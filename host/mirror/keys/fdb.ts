/**
 * A forwarding database entry. In a bridge: bridge, MAC and VLAN, because a MAC that moves to another port is announced
 * by the new port alone (net/bridge/br_fdb.c). In a link's own database (VXLAN, unicast filters): link, MAC, VLAN and
 * VNI, likewise because of roaming; only all-zero and multicast MACs may have several remotes
 * (drivers/net/vxlan/vxlan_core.c vxlan_fdb_append), which then belong to the key.
 */

import { findAttribute, NLA_HDRLEN } from '../../netlink/message.ts';
import { neighbourAttributes } from '../../netlink/schema/neighbour.ts';
import { type KeyOf, putFound } from '../key.ts';

const {
  dst: DST,
  lladdr: LLADDR,
  vlan: VLAN,
  port: PORT,
  vni: VNI,
  ifindex: IFINDEX,
  master: MASTER,
  src_vni: SRC_VNI,
} = neighbourAttributes.number;

export const fdbKey: KeyOf = (data, start, end, out) => {
  if (end - start < 12) return 0;
  const attributes = start + 12;
  const lladdr = findAttribute(data.words, attributes, end, LLADDR);
  const master = findAttribute(data.words, attributes, end, MASTER);
  out[0] = master < 0 ? 0 : 1;
  out[1] = data.words[(master < 0 ? start + 4 : master + NLA_HDRLEN) >>> 2]!;
  let words = putFound(data, attributes, end, LLADDR, out, 2);
  words = putFound(data, attributes, end, VLAN, out, words);
  if (master >= 0) return words;
  words = putFound(data, attributes, end, SRC_VNI, out, words);
  if (lladdr >= 0 && hasOneRemote(data.bytes, lladdr + NLA_HDRLEN)) return words;
  words = putFound(data, attributes, end, DST, out, words);
  words = putFound(data, attributes, end, PORT, out, words);
  words = putFound(data, attributes, end, VNI, out, words);
  return putFound(data, attributes, end, IFINDEX, out, words);
};

function hasOneRemote(bytes: Uint8Array, at: number): boolean {
  if ((bytes[at]! & 1) !== 0) return false;
  for (let byte = 0; byte < 6; byte++) if (bytes[at + byte] !== 0) return true;
  return false;
}
