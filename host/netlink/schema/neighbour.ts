/** Neighbours and forwarding database entries: struct ndmsg and NDA_*. */

import { attributes, type Family, nest, struct } from '../schema.ts';

/** linux/neighbour.h struct ndmsg */
export const neighbourHeader = struct('ndmsg', {
  family: 'u8',
  pad1: 'u8',
  pad2: 'u16',
  ifindex: 's32',
  state: 'u16',
  flags: 'u8',
  type: 'u8',
});

/** linux/neighbour.h struct nda_cacheinfo; times are ages in hundredths of seconds. */
export const neighbourCacheinfo = struct('nda_cacheinfo', {
  confirmed: 'u32',
  used: 'u32',
  updated: 'u32',
  refcnt: 'u32',
});

export const fdbExtendedAttributes = attributes('fdb extended', 'enum NFEA_* in linux/neighbour.h', {
  activity_notify: [1, 'u8', 'FDB_NOTIFY_* flags'],
  dont_refresh: [2, 'flag', 'Do not update the used time'],
});

export const neighbourAttributes = attributes('neighbour', 'enum NDA_* in linux/neighbour.h', {
  dst: [1, 'ip', 'Network address; for fdb the remote VTEP'],
  lladdr: [2, 'mac', 'Link-layer address'],
  cacheinfo: [3, neighbourCacheinfo, 'Ages and reference count'],
  probes: [4, 'u32', 'Probes sent'],
  vlan: [5, 'u16', 'VLAN id of an fdb entry'],
  port: [6, 'be16', 'UDP port of the remote VTEP'],
  vni: [7, 'u32', 'VXLAN network id of the remote'],
  ifindex: [8, 'u32', 'Outgoing interface of the tunnel'],
  master: [9, 'u32', 'Bridge (or other master) the entry belongs to'],
  link_netnsid: [10, 's32', 'Namespace of ifindex'],
  src_vni: [11, 'u32', 'VXLAN network id it was learned in'],
  protocol: [12, 'u8', 'Who added it, RTPROT_*'],
  nh_id: [13, 'u32', 'Nexthop group of an fdb entry'],
  fdb_ext_attrs: [14, nest(() => fdbExtendedAttributes), 'Activity tracking'],
  flags_ext: [15, 'u32', 'NTF_EXT_* flags'],
  ndm_state_mask: [16, 'u16', 'States to flush'],
  ndm_flags_mask: [17, 'u8', 'Flags to flush'],
});

export const neighbourFamily: Family = {
  name: 'neighbour',
  header: neighbourHeader,
  attributes: neighbourAttributes,
};
