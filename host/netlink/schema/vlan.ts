/** VLAN database of bridges: struct br_vlan_msg and BRIDGE_VLANDB_*. */

import { attributes, type Family, many, nest, struct } from '../schema.ts';
import { mdbRouterAttributes } from './mdb.ts';

/** linux/if_bridge.h struct br_vlan_msg */
export const vlanHeader = struct('br_vlan_msg', {
  family: 'u8',
  reserved1: 'u8',
  reserved2: 'u16',
  ifindex: 'u32',
});

/** linux/if_bridge.h struct bridge_vlan_info */
export const bridgeVlanInfo = struct('bridge_vlan_info', { flags: 'u16', vid: 'u16' });

export const vlanTunnelAttributes = attributes(
  'vlan tunnel',
  'enum BRIDGE_VLANDB_TINFO_* in linux/if_bridge.h',
  {
    id: [1, 'u32', 'Tunnel id'],
    cmd: [2, 'u32', 'Add or delete'],
  },
);

export const vlanStatisticsAttributes = attributes(
  'vlan statistics',
  'enum BRIDGE_VLANDB_STATS_* in linux/if_bridge.h',
  {
    rx_bytes: [1, 'u64', 'Bytes received'],
    rx_packets: [2, 'u64', 'Packets received'],
    tx_bytes: [3, 'u64', 'Bytes sent'],
    tx_packets: [4, 'u64', 'Packets sent'],
    pad: [5, 'binary', 'Padding'],
  },
);

export const vlanEntryAttributes = attributes(
  'vlan entry',
  'enum BRIDGE_VLANDB_ENTRY_* in linux/if_bridge.h',
  {
    info: [1, bridgeVlanInfo, 'Flags and VLAN id'],
    range: [2, 'u16', 'Last VLAN id of a range'],
    state: [3, 'u8', 'STP state, BR_STATE_*'],
    tunnel_info: [4, nest(() => vlanTunnelAttributes), 'Tunnel mapping'],
    stats: [5, nest(() => vlanStatisticsAttributes), 'Counters'],
    mcast_router: [6, 'u8', 'Multicast router mode'],
    mcast_n_groups: [7, 'u32', 'Groups joined'],
    mcast_max_groups: [8, 'u32', 'Groups allowed'],
    neigh_suppress: [9, 'u8', 'ARP and ND suppression'],
    neigh_forward_grat: [10, 'u8', 'Forward gratuitous ARP and unsolicited NA'],
  },
);

export const vlanQuerierAttributes = attributes(
  'vlan querier',
  'enum BRIDGE_QUERIER_* in linux/if_bridge.h',
  {
    ip_address: [1, 'ip4', 'IPv4 querier'],
    ip_port: [2, 'u32', 'Its port'],
    ip_other_timer: [3, 'u64', 'Other querier present, hundredths of seconds'],
    pad: [4, 'binary', 'Padding'],
    ipv6_address: [5, 'ip6', 'IPv6 querier'],
    ipv6_port: [6, 'u32', 'Its port'],
    ipv6_other_timer: [7, 'u64', 'Other querier present, hundredths of seconds'],
  },
);

export const vlanGlobalAttributes = attributes(
  'vlan global options',
  'enum BRIDGE_VLANDB_GOPTS_* in linux/if_bridge.h',
  {
    id: [1, 'u16', 'VLAN id'],
    range: [2, 'u16', 'Last VLAN id of a range'],
    mcast_snooping: [3, 'u8', 'Multicast snooping'],
    mcast_igmp_version: [4, 'u8', 'IGMP version'],
    mcast_mld_version: [5, 'u8', 'MLD version'],
    mcast_last_member_cnt: [6, 'u32', 'Last member queries'],
    mcast_startup_query_cnt: [7, 'u32', 'Startup queries'],
    mcast_last_member_intvl: [8, 'u64', 'Hundredths of seconds'],
    pad: [9, 'binary', 'Padding'],
    mcast_membership_intvl: [10, 'u64', 'Hundredths of seconds'],
    mcast_querier_intvl: [11, 'u64', 'Hundredths of seconds'],
    mcast_query_intvl: [12, 'u64', 'Hundredths of seconds'],
    mcast_query_response_intvl: [13, 'u64', 'Hundredths of seconds'],
    mcast_startup_query_intvl: [14, 'u64', 'Hundredths of seconds'],
    mcast_querier: [15, 'u8', 'Send queries'],
    mcast_router_ports: [16, nest(() => mdbRouterAttributes), 'Router ports'],
    mcast_querier_state: [17, nest(() => vlanQuerierAttributes), 'The querier'],
    msti: [18, 'u16', 'Multiple spanning tree instance'],
  },
);

export const vlanAttributes = attributes('vlan', 'enum BRIDGE_VLANDB_* in linux/if_bridge.h', {
  entry: [1, many(nest(() => vlanEntryAttributes)), 'A VLAN of a port or bridge'],
  global_options: [2, many(nest(() => vlanGlobalAttributes)), 'Options of a VLAN of the bridge'],
});

export const vlanFamily: Family = { name: 'vlan', header: vlanHeader, attributes: vlanAttributes };
