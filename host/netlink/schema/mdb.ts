/** Multicast database of bridges (and VXLAN): struct br_port_msg and MDBA_*. */

import { attributes, type Family, headed, many, nest, struct } from '../schema.ts';

/** linux/if_bridge.h struct br_port_msg */
export const mdbHeader = struct('br_port_msg', { family: 'u8', ifindex: 'u32' });

/** linux/if_bridge.h struct br_mdb_entry; `address` holds 4, 16 or 6 used bytes by `proto` (ETH_P_IP, ETH_P_IPV6, 0). */
export const mdbEntry = struct('br_mdb_entry', {
  ifindex: 'u32',
  state: 'u8',
  flags: 'u8',
  vid: 'u16',
  address: 'ip6',
  proto: 'be16',
});

export const mdbSourceAttributes = attributes('mdb source', 'enum MDBA_MDB_SRCATTR_* in linux/if_bridge.h', {
  address: [1, 'ip', 'Source address'],
  timer: [2, 'u32', 'Expires in hundredths of seconds'],
});

export const mdbSourceListAttributes = attributes(
  'mdb source list',
  'enum MDBA_MDB_SRCLIST_* in linux/if_bridge.h',
  { entry: [1, many(nest(() => mdbSourceAttributes)), 'One source'] },
);

export const mdbEntryAttributes = attributes('mdb entry', 'enum MDBA_MDB_EATTR_* in linux/if_bridge.h', {
  timer: [1, 'u32', 'Expires in hundredths of seconds'],
  src_list: [2, nest(() => mdbSourceListAttributes), 'Sources of the filter'],
  group_mode: [3, 'u8', '0 exclude, 1 include'],
  source: [4, 'ip', 'Source of an (S, G) entry'],
  rtprot: [5, 'u8', 'Who added it, RTPROT_*'],
  dst: [6, 'ip', 'Remote VTEP'],
  dst_port: [7, 'u16', 'UDP port of the remote VTEP'],
  vni: [8, 'u32', 'VXLAN network id of the remote'],
  via_ifindex: [9, 'u32', 'Outgoing interface of the tunnel'],
  src_vni: [10, 'u32', 'VXLAN network id'],
});

export const mdbEntryListAttributes = attributes(
  'mdb entry list',
  'enum MDBA_MDB_ENTRY_* in linux/if_bridge.h',
  { info: [1, many(headed(mdbEntry, () => mdbEntryAttributes)), 'struct br_mdb_entry, then attributes'] },
);

export const mdbListAttributes = attributes('mdb list', 'enum MDBA_MDB_* in linux/if_bridge.h', {
  entry: [1, many(nest(() => mdbEntryListAttributes)), 'Entries of one group'],
});

/** struct br_mdb_port: only the port's interface index. */
export const mdbRouterPort = struct('br_mdb_port', { ifindex: 'u32' });

export const mdbRouterPortAttributes = attributes(
  'mdb router port',
  'enum MDBA_ROUTER_PATTR_* in linux/if_bridge.h',
  {
    timer: [1, 'u32', 'Expires in hundredths of seconds'],
    type: [2, 'u8', 'MDB_RTR_TYPE_*'],
    inet_timer: [3, 'u32', 'Expires as an IPv4 router port'],
    inet6_timer: [4, 'u32', 'Expires as an IPv6 router port'],
    vid: [5, 'u16', 'VLAN id'],
  },
);

export const mdbRouterAttributes = attributes('mdb router', 'enum MDBA_ROUTER_* in linux/if_bridge.h', {
  port: [1, many(headed(mdbRouterPort, () => mdbRouterPortAttributes)), 'A port behind which a router is'],
});

export const mdbAttributes = attributes('mdb', 'enum MDBA_* in linux/if_bridge.h', {
  mdb: [1, nest(() => mdbListAttributes), 'Groups'],
  router: [2, nest(() => mdbRouterAttributes), 'Router ports'],
});

export const mdbFamily: Family = { name: 'mdb', header: mdbHeader, attributes: mdbAttributes };
