/** Links: struct ifinfomsg, IFLA_* and what IFLA_INFO_DATA holds for each type of link. */

import {
  type AttributeSet,
  array,
  attributes,
  byFamily,
  type Family,
  indexed,
  many,
  nest,
  select,
  struct,
  type Type,
} from '../schema.ts';
import { bridgeVlanInfo, vlanQuerierAttributes } from './vlan.ts';

/** linux/rtnetlink.h struct ifinfomsg */
export const linkHeader = struct('ifinfomsg', {
  family: 'u8',
  pad1: 'u8',
  type: 'u16',
  index: 's32',
  flags: 'u32',
  change: 'u32',
});

const STATISTICS = [
  'rx_packets',
  'tx_packets',
  'rx_bytes',
  'tx_bytes',
  'rx_errors',
  'tx_errors',
  'rx_dropped',
  'tx_dropped',
  'multicast',
  'collisions',
  'rx_length_errors',
  'rx_over_errors',
  'rx_crc_errors',
  'rx_frame_errors',
  'rx_fifo_errors',
  'rx_missed_errors',
  'tx_aborted_errors',
  'tx_carrier_errors',
  'tx_fifo_errors',
  'tx_heartbeat_errors',
  'tx_window_errors',
  'rx_compressed',
  'tx_compressed',
  'rx_nohandler',
] as const;

const statistics = <Size extends 'u32' | 'u64'>(size: Size) =>
  Object.fromEntries(STATISTICS.map((name) => [name, size])) as Record<(typeof STATISTICS)[number], Size>;

/** linux/if_link.h struct rtnl_link_stats */
export const linkStatistics = struct('rtnl_link_stats', statistics('u32'));
/** linux/if_link.h struct rtnl_link_stats64 */
export const linkStatistics64 = struct('rtnl_link_stats64', {
  ...statistics('u64'),
  rx_otherhost_dropped: 'u64',
});

/** linux/if_link.h struct rtnl_link_ifmap */
export const linkMap = struct('rtnl_link_ifmap', {
  mem_start: 'u64',
  mem_end: 'u64',
  base_addr: 'u64',
  irq: 'u16',
  dma: 'u8',
  port: 'u8',
});

/** linux/if_link.h struct ifla_bridge_id */
export const bridgeId = struct('ifla_bridge_id', { priority: 'be16', address: 'mac6' });
/** linux/if_link.h struct ifla_cacheinfo */
export const linkCacheinfo = struct('ifla_cacheinfo', {
  max_reasm_len: 'u32',
  tstamp: 'u32',
  reachable_time: 'u32',
  retrans_time: 'u32',
});
/** linux/if_link.h struct ifla_vlan_flags */
export const linkVlanFlags = struct('ifla_vlan_flags', { flags: 'u32', mask: 'u32' });
/** linux/if_link.h struct ifla_vlan_qos_mapping */
export const linkVlanQosMapping = struct('ifla_vlan_qos_mapping', { from: 'u32', to: 'u32' });
/** linux/if_link.h struct ifla_vxlan_port_range, also of geneve */
export const linkPortRange = struct('ifla_vxlan_port_range', { low: 'be16', high: 'be16' });
/** linux/if_bridge.h struct br_boolopt_multi */
export const bridgeOptions = struct('br_boolopt_multi', { optval: 'u32', optmask: 'u32' });

export const bridgeAttributes = attributes('bridge', 'enum IFLA_BR_* in linux/if_link.h', {
  forward_delay: [1, 'u32', 'Hundredths of seconds'],
  hello_time: [2, 'u32', 'Hundredths of seconds'],
  max_age: [3, 'u32', 'Hundredths of seconds'],
  ageing_time: [4, 'u32', 'Hundredths of seconds a learned address lives'],
  stp_state: [5, 'u32', '0 off, 1 kernel, 2 user space'],
  priority: [6, 'u16', 'Bridge priority'],
  vlan_filtering: [7, 'u8', 'VLANs are filtered'],
  vlan_protocol: [8, 'be16', 'Ethertype of VLAN tags'],
  group_fwd_mask: [9, 'u16', 'Link-local groups that are forwarded, a bit per last address byte'],
  root_id: [10, bridgeId, 'Root bridge'],
  bridge_id: [11, bridgeId, 'This bridge'],
  root_port: [12, 'u16', 'Port towards the root'],
  root_path_cost: [13, 'u32', 'Cost of the path to the root'],
  topology_change: [14, 'u8', 'Topology change in progress'],
  topology_change_detected: [15, 'u8', 'Topology change seen'],
  hello_timer: [16, 'u64', 'Hundredths of seconds'],
  tcn_timer: [17, 'u64', 'Hundredths of seconds'],
  topology_change_timer: [18, 'u64', 'Hundredths of seconds'],
  gc_timer: [19, 'u64', 'Hundredths of seconds'],
  group_addr: [20, 'mac', 'Address of STP frames'],
  fdb_flush: [21, 'flag', 'Request to flush the fdb'],
  mcast_router: [22, 'u8', '0 never, 1 temporary, 2 permanent'],
  mcast_snooping: [23, 'u8', 'Multicast snooping'],
  mcast_query_use_ifaddr: [24, 'u8', "Queries carry the bridge's address"],
  mcast_querier: [25, 'u8', 'Send queries'],
  mcast_hash_elasticity: [26, 'u32', 'Not used'],
  mcast_hash_max: [27, 'u32', 'Size of the multicast table'],
  mcast_last_member_cnt: [28, 'u32', 'Last member queries'],
  mcast_startup_query_cnt: [29, 'u32', 'Startup queries'],
  mcast_last_member_intvl: [30, 'u64', 'Hundredths of seconds'],
  mcast_membership_intvl: [31, 'u64', 'Hundredths of seconds'],
  mcast_querier_intvl: [32, 'u64', 'Hundredths of seconds'],
  mcast_query_intvl: [33, 'u64', 'Hundredths of seconds'],
  mcast_query_response_intvl: [34, 'u64', 'Hundredths of seconds'],
  mcast_startup_query_intvl: [35, 'u64', 'Hundredths of seconds'],
  nf_call_iptables: [36, 'u8', 'IPv4 frames pass iptables'],
  nf_call_ip6tables: [37, 'u8', 'IPv6 frames pass ip6tables'],
  nf_call_arptables: [38, 'u8', 'ARP frames pass arptables'],
  vlan_default_pvid: [39, 'u16', 'VLAN of new ports'],
  pad: [40, 'binary', 'Padding'],
  vlan_stats_enabled: [41, 'u8', 'Counters per VLAN'],
  mcast_stats_enabled: [42, 'u8', 'Counters of IGMP and MLD'],
  mcast_igmp_version: [43, 'u8', 'IGMP version'],
  mcast_mld_version: [44, 'u8', 'MLD version'],
  vlan_stats_per_port: [45, 'u8', 'Counters per VLAN and port'],
  multi_boolopt: [46, bridgeOptions, 'BR_BOOLOPT_*'],
  mcast_querier_state: [47, nest(() => vlanQuerierAttributes), 'The querier'],
  fdb_n_learned: [48, 'u32', 'Learned fdb entries'],
  fdb_max_learned: [49, 'u32', 'Limit of learned fdb entries'],
  stp_mode: [50, 'u32', '0 auto, 1 user, 2 kernel'],
});

export const bridgePortAttributes = attributes('bridge port', 'enum IFLA_BRPORT_* in linux/if_link.h', {
  state: [1, 'u8', 'BR_STATE_*: 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking'],
  priority: [2, 'u16', 'STP priority'],
  cost: [3, 'u32', 'STP cost'],
  mode: [4, 'u8', 'Hairpin'],
  guard: [5, 'u8', 'BPDU guard'],
  protect: [6, 'u8', 'Root block'],
  fast_leave: [7, 'u8', 'Multicast fast leave'],
  learning: [8, 'u8', 'Learn source addresses'],
  unicast_flood: [9, 'u8', 'Flood unknown unicast'],
  proxyarp: [10, 'u8', 'Answer ARP'],
  learning_sync: [11, 'u8', 'Addresses learned by hardware go into the fdb'],
  proxyarp_wifi: [12, 'u8', 'Answer ARP for wireless'],
  root_id: [13, bridgeId, 'Root bridge'],
  bridge_id: [14, bridgeId, 'Designated bridge'],
  designated_port: [15, 'u16', 'Designated port'],
  designated_cost: [16, 'u16', 'Designated cost'],
  id: [17, 'u16', 'Port id'],
  no: [18, 'u16', 'Port number'],
  topology_change_ack: [19, 'u8', 'Topology change acknowledged'],
  config_pending: [20, 'u8', 'Configuration frame pending'],
  message_age_timer: [21, 'u64', 'Hundredths of seconds'],
  forward_delay_timer: [22, 'u64', 'Hundredths of seconds'],
  hold_timer: [23, 'u64', 'Hundredths of seconds'],
  flush: [24, 'flag', 'Request to flush the fdb'],
  multicast_router: [25, 'u8', 'MDB_RTR_TYPE_*'],
  pad: [26, 'binary', 'Padding'],
  mcast_flood: [27, 'u8', 'Flood multicast'],
  mcast_to_ucast: [28, 'u8', 'Multicast to unicast'],
  vlan_tunnel: [29, 'u8', 'VLAN to tunnel mapping'],
  bcast_flood: [30, 'u8', 'Flood broadcast'],
  group_fwd_mask: [31, 'u16', 'Link-local groups that are forwarded'],
  neigh_suppress: [32, 'u8', 'ARP and ND suppression'],
  isolated: [33, 'u8', 'Isolated from other isolated ports'],
  backup_port: [34, 'u32', 'Port that takes over without carrier'],
  mrp_ring_open: [35, 'u8', 'MRP ring is open'],
  mrp_in_open: [36, 'u8', 'MRP interconnect is open'],
  mcast_eht_hosts_limit: [37, 'u32', 'Limit of tracked hosts'],
  mcast_eht_hosts_cnt: [38, 'u32', 'Tracked hosts'],
  locked: [39, 'u8', 'Only known source addresses may send'],
  mab: [40, 'u8', 'MAC authentication bypass'],
  mcast_n_groups: [41, 'u32', 'Groups joined'],
  mcast_max_groups: [42, 'u32', 'Groups allowed'],
  neigh_vlan_suppress: [43, 'u8', 'ARP and ND suppression per VLAN'],
  backup_nhid: [44, 'u32', 'Nexthop of the backup port'],
  neigh_forward_grat: [45, 'u8', 'Forward gratuitous ARP and unsolicited NA'],
});

export const linkVlanQosAttributes = attributes('vlan qos', 'enum IFLA_VLAN_QOS_* in linux/if_link.h', {
  mapping: [1, many(linkVlanQosMapping), 'Priority mapping'],
});

export const linkVlanAttributes = attributes('vlan link', 'enum IFLA_VLAN_* in linux/if_link.h', {
  id: [1, 'u16', 'VLAN id'],
  flags: [2, linkVlanFlags, 'VLAN_FLAG_*'],
  egress_qos: [3, nest(() => linkVlanQosAttributes), 'From skb priority to VLAN priority'],
  ingress_qos: [4, nest(() => linkVlanQosAttributes), 'From VLAN priority to skb priority'],
  protocol: [5, 'be16', 'Ethertype of the tag'],
});

export const vxlanAttributes = attributes('vxlan', 'enum IFLA_VXLAN_* in linux/if_link.h', {
  id: [1, 'u32', 'VXLAN network id'],
  group: [2, 'ip4', 'Remote or multicast group'],
  link: [3, 'u32', 'Underlying link'],
  local: [4, 'ip4', 'Source address'],
  ttl: [5, 'u8', 'Outer TTL'],
  tos: [6, 'u8', 'Outer TOS, 1 to inherit'],
  learning: [7, 'u8', 'Learn remotes'],
  ageing: [8, 'u32', 'Seconds a learned entry lives'],
  limit: [9, 'u32', 'Limit of fdb entries'],
  port_range: [10, linkPortRange, 'UDP source ports'],
  proxy: [11, 'u8', 'Answer ARP'],
  rsc: [12, 'u8', 'Route short circuit'],
  l2miss: [13, 'u8', 'Notify on unknown addresses'],
  l3miss: [14, 'u8', 'Notify on unknown neighbours'],
  port: [15, 'be16', 'UDP destination port'],
  group6: [16, 'ip6', 'Remote or multicast group'],
  local6: [17, 'ip6', 'Source address'],
  udp_csum: [18, 'u8', 'UDP checksums over IPv4'],
  udp_zero_csum6_tx: [19, 'u8', 'No UDP checksums sent over IPv6'],
  udp_zero_csum6_rx: [20, 'u8', 'Zero UDP checksums accepted over IPv6'],
  remcsum_tx: [21, 'u8', 'Remote checksum offload sent'],
  remcsum_rx: [22, 'u8', 'Remote checksum offload accepted'],
  gbp: [23, 'flag', 'Group policy extension'],
  remcsum_nopartial: [24, 'flag', 'Remote checksum offload without partial checksums'],
  collect_metadata: [25, 'u8', 'External: the tunnel is set per packet'],
  label: [26, 'be32', 'IPv6 flow label'],
  gpe: [27, 'flag', 'Generic protocol extension'],
  ttl_inherit: [28, 'u8', 'Outer TTL is the inner one'],
  df: [29, 'u8', '0 unset, 1 set, 2 inherit'],
  vnifilter: [30, 'u8', 'Filter by network id'],
  localbypass: [31, 'u8', 'Local remotes are short cut'],
  label_policy: [32, 'u32', '0 fixed, 1 inherit'],
  reserved_bits: [33, 'binary', 'Header bits that are ignored'],
  mc_route: [34, 'u8', 'Multicast is routed'],
});

export const macvlanAttributes = attributes('macvlan', 'enum IFLA_MACVLAN_* in linux/if_link.h', {
  mode: [1, 'u32', '1 private, 2 vepa, 4 bridge, 8 passthru, 16 source'],
  flags: [2, 'u16', 'MACVLAN_FLAG_*'],
  macaddr_mode: [3, 'u32', 'Request to change the addresses of source mode'],
  macaddr: [4, many('mac'), 'Address of source mode'],
  macaddr_data: [5, nest(() => macvlanAddressesAttributes), 'Addresses of source mode'],
  macaddr_count: [6, 'u32', 'Number of addresses of source mode'],
  bc_queue_len: [7, 'u32', 'Broadcast queue asked for'],
  bc_queue_len_used: [8, 'u32', 'Broadcast queue in use'],
  bc_cutoff: [9, 's32', 'Broadcasts beyond this many are not queued'],
});

export const macvlanAddressesAttributes = attributes(
  'macvlan addresses',
  'enum IFLA_MACVLAN_* in linux/if_link.h',
  { macaddr: [4, many('mac'), 'Address of source mode'] },
);

export const ipvlanAttributes = attributes('ipvlan', 'enum IFLA_IPVLAN_* in linux/if_link.h', {
  mode: [1, 'u16', '0 l2, 1 l3, 2 l3s'],
  flags: [2, 'u16', 'IPVLAN_F_*'],
});

export const vethAttributes = attributes('veth', 'enum VETH_INFO_* in linux/veth.h', {
  peer: [
    1,
    { kind: 'headed', header: linkHeader, attributes: (): AttributeSet => linkAttributes },
    'The other end',
  ],
});

export const vrfAttributes = attributes('vrf', 'enum IFLA_VRF_* in linux/if_link.h', {
  table: [1, 'u32', 'Routing table'],
});

export const vrfPortAttributes = attributes('vrf port', 'enum IFLA_VRF_PORT_* in linux/if_link.h', {
  table: [1, 'u32', 'Routing table'],
});

export const bondAdAttributes = attributes('bond aggregator', 'enum IFLA_BOND_AD_INFO_* in linux/if_link.h', {
  aggregator: [1, 'u16', 'Aggregator id'],
  num_ports: [2, 'u16', 'Ports'],
  actor_key: [3, 'u16', 'Own key'],
  partner_key: [4, 'u16', "Partner's key"],
  partner_mac: [5, 'mac', "Partner's address"],
});

export const bondAttributes = attributes('bond', 'enum IFLA_BOND_* in linux/if_link.h', {
  mode: [1, 'u8', 'BOND_MODE_*'],
  active_slave: [2, 'u32', 'Active slave'],
  miimon: [3, 'u32', 'Milliseconds between link checks'],
  updelay: [4, 'u32', 'Milliseconds'],
  downdelay: [5, 'u32', 'Milliseconds'],
  use_carrier: [6, 'u8', 'Carrier decides'],
  arp_interval: [7, 'u32', 'Milliseconds'],
  arp_ip_target: [8, indexed('ip4'), 'ARP targets'],
  arp_validate: [9, 'u32', 'Which ARP replies count'],
  arp_all_targets: [10, 'u32', 'Any or all targets must answer'],
  primary: [11, 'u32', 'Primary slave'],
  primary_reselect: [12, 'u8', 'When the primary takes over'],
  fail_over_mac: [13, 'u8', 'Which address is used'],
  xmit_hash_policy: [14, 'u8', 'What is hashed'],
  resend_igmp: [15, 'u32', 'IGMP reports after a failover'],
  num_peer_notif: [16, 'u8', 'Gratuitous ARPs after a failover'],
  all_slaves_active: [17, 'u8', 'Frames on inactive slaves are kept'],
  min_links: [18, 'u32', 'Slaves needed for carrier'],
  lp_interval: [19, 'u32', 'Seconds between learning packets'],
  packets_per_slave: [20, 'u32', 'Round robin packets'],
  ad_lacp_rate: [21, 'u8', '0 slow, 1 fast'],
  ad_select: [22, 'u8', 'How an aggregator is chosen'],
  ad_info: [23, nest(() => bondAdAttributes), 'Active aggregator'],
  ad_actor_sys_prio: [24, 'u16', 'System priority'],
  ad_user_port_key: [25, 'u16', 'User part of the port key'],
  ad_actor_system: [26, 'mac', 'System address'],
  tlb_dynamic_lb: [27, 'u8', 'Dynamic load balancing'],
  peer_notif_delay: [28, 'u32', 'Milliseconds between notifications'],
  ad_lacp_active: [29, 'u8', 'Send LACP frames unasked'],
  missed_max: [30, 'u8', 'Missed ARP replies allowed'],
  ns_ip6_target: [31, indexed('ip6'), 'Neighbour solicitation targets'],
  coupled_control: [32, 'u8', 'Coupled control state machine'],
  broadcast_neigh: [33, 'u8', 'ARP and ND on every slave'],
  lacp_strict: [34, 'u8', 'Only with an LACP partner'],
});

export const bondSlaveAttributes = attributes('bond slave', 'enum IFLA_BOND_SLAVE_* in linux/if_link.h', {
  state: [1, 'u8', '0 active, 1 backup'],
  mii_status: [2, 'u8', 'BOND_LINK_*'],
  link_failure_count: [3, 'u32', 'Link failures'],
  perm_hwaddr: [4, 'mac', 'Own address'],
  queue_id: [5, 'u16', 'Queue'],
  ad_aggregator_id: [6, 'u16', 'Aggregator id'],
  ad_actor_oper_port_state: [7, 'u8', 'LACP state, own'],
  ad_partner_oper_port_state: [8, 'u16', "LACP state, partner's"],
  prio: [9, 's32', 'Failover priority'],
  actor_port_prio: [10, 'u16', 'LACP port priority'],
  ad_churn_actor_state: [11, 'u8', 'Churn machine, own'],
  ad_churn_partner_state: [12, 'u8', "Churn machine, partner's"],
});

export const geneveAttributes = attributes('geneve', 'enum IFLA_GENEVE_* in linux/if_link.h', {
  id: [1, 'u32', 'Network id'],
  remote: [2, 'ip4', 'Remote'],
  ttl: [3, 'u8', 'Outer TTL'],
  tos: [4, 'u8', 'Outer TOS'],
  port: [5, 'be16', 'UDP destination port'],
  collect_metadata: [6, 'flag', 'External: the tunnel is set per packet'],
  remote6: [7, 'ip6', 'Remote'],
  udp_csum: [8, 'u8', 'UDP checksums over IPv4'],
  udp_zero_csum6_tx: [9, 'u8', 'No UDP checksums sent over IPv6'],
  udp_zero_csum6_rx: [10, 'u8', 'Zero UDP checksums accepted over IPv6'],
  label: [11, 'be32', 'IPv6 flow label'],
  ttl_inherit: [12, 'u8', 'Outer TTL is the inner one'],
  df: [13, 'u8', '0 unset, 1 set, 2 inherit'],
  inner_proto_inherit: [14, 'flag', 'Inner protocol is inherited'],
  port_range: [15, linkPortRange, 'UDP source ports'],
  gro_hint: [16, 'flag', 'GRO hints'],
  local: [17, 'ip4', 'Source address'],
  local6: [18, 'ip6', 'Source address'],
});

/** IFLA_INFO_DATA by IFLA_INFO_KIND. Types without options (ifb, dummy, nlmon) have none. */
const linkData: Readonly<Record<string, Type>> = {
  bridge: nest(() => bridgeAttributes),
  vlan: nest(() => linkVlanAttributes),
  vxlan: nest(() => vxlanAttributes),
  macvlan: nest(() => macvlanAttributes),
  macvtap: nest(() => macvlanAttributes),
  ipvlan: nest(() => ipvlanAttributes),
  ipvtap: nest(() => ipvlanAttributes),
  veth: nest(() => vethAttributes),
  vrf: nest(() => vrfAttributes),
  bond: nest(() => bondAttributes),
  geneve: nest(() => geneveAttributes),
};

/** IFLA_INFO_SLAVE_DATA by IFLA_INFO_SLAVE_KIND. */
const linkSlaveData: Readonly<Record<string, Type>> = {
  bridge: nest(() => bridgePortAttributes),
  bond: nest(() => bondSlaveAttributes),
  vrf: nest(() => vrfPortAttributes),
};

export const linkInfoAttributes = attributes('link info', 'enum IFLA_INFO_* in linux/if_link.h', {
  kind: [1, 'string', 'Type of the link'],
  data: [2, select('kind', linkData), 'Options of the type'],
  xstats: [3, 'binary', 'Counters of the type'],
  slave_kind: [4, 'string', 'Type of the master'],
  slave_data: [5, select('slave_kind', linkSlaveData), 'Options of the port in its master'],
});

export const linkXdpAttributes = attributes('link xdp', 'enum IFLA_XDP_* in linux/if_link.h', {
  fd: [1, 's32', 'Program file descriptor'],
  attached: [2, 'u8', '0 none, 1 driver, 2 generic, 3 hardware, 4 several'],
  flags: [3, 'u32', 'XDP_FLAGS_*'],
  prog_id: [4, 'u32', 'Program id'],
  drv_prog_id: [5, 'u32', 'Program id in the driver'],
  skb_prog_id: [6, 'u32', 'Program id of the generic hook'],
  hw_prog_id: [7, 'u32', 'Program id in hardware'],
  expected_fd: [8, 's32', 'Program to replace'],
});

export const linkInetAttributes = attributes('link inet', 'enum IFLA_INET_* in linux/if_link.h', {
  conf: [1, array('s32'), 'IPV4_DEVCONF_* in order'],
});

export const linkInet6Attributes = attributes('link inet6', 'enum IFLA_INET6_* in linux/if_link.h', {
  flags: [1, 'u32', 'IF_READY and others'],
  conf: [2, array('s32'), 'DEVCONF_* in order'],
  stats: [3, array('u64'), 'IPSTATS_MIB_* in order'],
  mcast: [4, 'binary', 'Not used'],
  cacheinfo: [5, linkCacheinfo, 'Times'],
  icmp6stats: [6, array('u64'), 'ICMP6_MIB_* in order'],
  token: [7, 'ip6', 'Interface identifier for autoconfiguration'],
  addr_gen_mode: [8, 'u8', '0 eui64, 1 none, 2 stable_secret, 3 random'],
  ra_mtu: [9, 'u32', 'MTU of the router advertisement'],
});

export const linkMctpAttributes = attributes('link mctp', 'enum IFLA_MCTP_* in linux/if_link.h', {
  net: [1, 'u32', 'Network'],
  phys_binding: [2, 'u8', 'Physical binding'],
});

/** IFLA_AF_SPEC of ordinary messages: one attribute per address family. */
export const linkAfSpecAttributes = attributes('link af_spec', 'AF_* in linux/socket.h', {
  inet: [2, nest(() => linkInetAttributes), 'AF_INET'],
  inet6: [10, nest(() => linkInet6Attributes), 'AF_INET6'],
  mctp: [45, nest(() => linkMctpAttributes), 'AF_MCTP'],
});

export const linkBridgeTunnelAttributes = attributes(
  'link bridge tunnel',
  'enum IFLA_BRIDGE_VLAN_TUNNEL_* in linux/if_bridge.h',
  {
    id: [1, 'u32', 'Tunnel id'],
    vid: [2, 'u16', 'VLAN id'],
    flags: [3, 'u16', 'BRIDGE_VLAN_INFO_RANGE_*'],
  },
);

/** IFLA_AF_SPEC of messages of family AF_BRIDGE. */
export const linkBridgeAfSpecAttributes = attributes(
  'link bridge af_spec',
  'enum IFLA_BRIDGE_* in linux/if_bridge.h',
  {
    flags: [0, 'u16', 'BRIDGE_FLAGS_*'],
    mode: [1, 'u16', 'BRIDGE_MODE_*'],
    vlan_info: [2, many(bridgeVlanInfo), 'A VLAN of the port'],
    vlan_tunnel_info: [3, many(nest(() => linkBridgeTunnelAttributes)), 'VLAN to tunnel mapping'],
    mrp: [4, 'binary', 'Media redundancy protocol'],
    cfm: [5, 'binary', 'Connectivity fault management'],
    mst: [6, 'binary', 'Multiple spanning trees'],
  },
);

export const linkPropertiesAttributes = attributes('link properties', 'enum IFLA_* in linux/if_link.h', {
  alt_ifname: [53, many('string'), 'Alternative name'],
});

/** linux/if_link.h struct ifla_vf_*: each names the virtual function it is about; -1 settings are unknown. */
export const vfMac = struct('ifla_vf_mac', { vf: 'u32', mac: { bytes: 32 } });
export const vfBroadcast = struct('ifla_vf_broadcast', { broadcast: { bytes: 32 } });
export const vfVlan = struct('ifla_vf_vlan', { vf: 'u32', vlan: 'u32', qos: 'u32' });
export const vfVlanInfo = struct('ifla_vf_vlan_info', {
  vf: 'u32',
  vlan: 'u32',
  qos: 'u32',
  vlan_proto: 'be16',
});
export const vfTxRate = struct('ifla_vf_tx_rate', { vf: 'u32', rate: 'u32' });
export const vfRate = struct('ifla_vf_rate', { vf: 'u32', min_tx_rate: 'u32', max_tx_rate: 'u32' });
export const vfSpoofCheck = struct('ifla_vf_spoofchk', { vf: 'u32', setting: 's32' });
export const vfTrust = struct('ifla_vf_trust', { vf: 'u32', setting: 's32' });
export const vfRssQuery = struct('ifla_vf_rss_query_en', { vf: 'u32', setting: 's32' });
export const vfLinkState = struct('ifla_vf_link_state', { vf: 'u32', link_state: 'u32' });
export const vfGuid = struct('ifla_vf_guid', { vf: 'u32', guid: 'be64' });

export const vfStatisticsAttributes = attributes('vf statistics', 'enum IFLA_VF_STATS_* in linux/if_link.h', {
  rx_packets: [0, 'u64', 'Packets received'],
  tx_packets: [1, 'u64', 'Packets sent'],
  rx_bytes: [2, 'u64', 'Bytes received'],
  tx_bytes: [3, 'u64', 'Bytes sent'],
  broadcast: [4, 'u64', 'Broadcasts received'],
  multicast: [5, 'u64', 'Multicasts received'],
  pad: [6, 'binary', 'Padding'],
  rx_dropped: [7, 'u64', 'Received and dropped'],
  tx_dropped: [8, 'u64', 'Not sent'],
});

export const vfVlanListAttributes = attributes('vf vlans', 'enum IFLA_VF_VLAN_* in linux/if_link.h', {
  info: [1, many(vfVlanInfo), 'A VLAN'],
});

export const vfAttributes = attributes('vf', 'enum IFLA_VF_* in linux/if_link.h', {
  mac: [1, vfMac, 'Link-layer address'],
  vlan: [2, vfVlan, 'VLAN'],
  tx_rate: [3, vfTxRate, 'Largest rate, megabits a second'],
  spoofchk: [4, vfSpoofCheck, 'Source addresses are checked'],
  link_state: [5, vfLinkState, '0 auto, 1 enable, 2 disable'],
  rate: [6, vfRate, 'Smallest and largest rate, megabits a second'],
  rss_query_en: [7, vfRssQuery, 'May query the RSS configuration'],
  stats: [8, nest(() => vfStatisticsAttributes), 'Counters'],
  trust: [9, vfTrust, 'Trusted'],
  ib_node_guid: [10, vfGuid, 'InfiniBand node'],
  ib_port_guid: [11, vfGuid, 'InfiniBand port'],
  vlan_list: [12, nest(() => vfVlanListAttributes), 'VLANs'],
  broadcast: [13, vfBroadcast, 'Link-layer broadcast address'],
});

export const vfListAttributes = attributes('vf list', 'enum IFLA_VF_* in linux/if_link.h', {
  info: [1, many(nest(() => vfAttributes)), 'A virtual function'],
});

export const linkProtoDownAttributes = attributes(
  'link proto down reason',
  'enum IFLA_PROTO_DOWN_REASON_* in linux/if_link.h',
  {
    mask: [1, 'u32', 'Bits to change'],
    value: [2, 'u32', 'Reasons, a bit each'],
  },
);

export const linkAttributes = attributes('link', 'enum IFLA_* in linux/if_link.h', {
  address: [1, 'mac', 'Link-layer address'],
  broadcast: [2, 'mac', 'Link-layer broadcast address'],
  ifname: [3, 'string', 'Name'],
  mtu: [4, 'u32', 'Largest packet in bytes, without the link-layer header'],
  link: [5, 'u32', 'Underlying link'],
  qdisc: [6, 'string', 'Root qdisc'],
  stats: [7, linkStatistics, 'Counters, 32 bits'],
  cost: [8, 'binary', 'Not used'],
  priority: [9, 'binary', 'Not used'],
  master: [10, 'u32', 'Bridge, bond or VRF it is a port of'],
  wireless: [11, 'binary', 'Wireless events'],
  protinfo: [
    12,
    byFamily({ 7: nest(() => bridgePortAttributes), 10: nest(() => linkInet6Attributes) }, 'binary'),
    'Options of the address family',
  ],
  txqlen: [13, 'u32', 'Transmit queue in packets'],
  map: [14, linkMap, 'Device resources'],
  weight: [15, 'u32', 'Not used'],
  operstate: [16, 'u8', 'RFC 2863 state, IF_OPER_*'],
  linkmode: [17, 'u8', '0 default, 1 dormant'],
  linkinfo: [18, nest(() => linkInfoAttributes), 'Type of the link'],
  net_ns_pid: [19, 'u32', 'Namespace, by process'],
  ifalias: [20, 'string', 'Alias'],
  num_vf: [21, 'u32', 'Virtual functions'],
  vfinfo_list: [22, nest(() => vfListAttributes), 'Virtual functions'],
  stats64: [23, linkStatistics64, 'Counters, 64 bits'],
  vf_ports: [24, 'binary', 'Port profiles'],
  port_self: [25, 'binary', 'Port profile'],
  af_spec: [
    26,
    byFamily(
      { 7: nest(() => linkBridgeAfSpecAttributes) },
      nest(() => linkAfSpecAttributes),
    ),
    'Options of each address family',
  ],
  group: [27, 'u32', 'Group'],
  net_ns_fd: [28, 'u32', 'Namespace, by file descriptor'],
  ext_mask: [29, 'u32', 'RTEXT_FILTER_* of a request'],
  promiscuity: [30, 'u32', 'Promiscuous references'],
  num_tx_queues: [31, 'u32', 'Transmit queues'],
  num_rx_queues: [32, 'u32', 'Receive queues'],
  carrier: [33, 'u8', 'Carrier'],
  phys_port_id: [34, 'binary', 'Physical port'],
  carrier_changes: [35, 'u32', 'Times the carrier changed'],
  phys_switch_id: [36, 'binary', 'Switch the port belongs to'],
  link_netnsid: [37, 's32', 'Namespace of the underlying link'],
  phys_port_name: [38, 'string', 'Name of the physical port'],
  proto_down: [39, 'u8', 'Held down by a protocol'],
  gso_max_segs: [40, 'u32', 'Segments of a GSO packet'],
  gso_max_size: [41, 'u32', 'Bytes of a GSO packet'],
  pad: [42, 'binary', 'Padding'],
  xdp: [43, nest(() => linkXdpAttributes), 'XDP programs'],
  event: [44, 'u32', 'IFLA_EVENT_*'],
  new_netnsid: [45, 's32', 'Namespace it moved to'],
  target_netnsid: [46, 's32', 'Namespace the answer is about'],
  carrier_up_count: [47, 'u32', 'Times the carrier came'],
  carrier_down_count: [48, 'u32', 'Times the carrier went'],
  new_ifindex: [49, 's32', 'Index in the new namespace'],
  min_mtu: [50, 'u32', 'Smallest MTU'],
  max_mtu: [51, 'u32', 'Largest MTU'],
  prop_list: [52, nest(() => linkPropertiesAttributes), 'Alternative names'],
  alt_ifname: [53, 'string', 'Alternative name of a request'],
  perm_address: [54, 'mac', 'Burnt-in address'],
  proto_down_reason: [55, nest(() => linkProtoDownAttributes), 'Who holds it down'],
  parent_dev_name: [56, 'string', 'Device it belongs to'],
  parent_dev_bus_name: [57, 'string', 'Bus of that device'],
  gro_max_size: [58, 'u32', 'Bytes of a GRO packet'],
  tso_max_size: [59, 'u32', 'Bytes of a TSO packet'],
  tso_max_segs: [60, 'u32', 'Segments of a TSO packet'],
  allmulti: [61, 'u32', 'All-multicast references'],
  devlink_port: [62, 'binary', 'Devlink port'],
  gso_ipv4_max_size: [63, 'u32', 'Bytes of a GSO packet, IPv4'],
  gro_ipv4_max_size: [64, 'u32', 'Bytes of a GRO packet, IPv4'],
  dpll_pin: [65, 'binary', 'Clock pin'],
  max_pacing_offload_horizon: [66, 'uint', 'Nanoseconds hardware can delay a packet'],
  netns_immutable: [67, 'u8', 'Cannot change its namespace'],
  headroom: [68, 'u16', 'Bytes needed before the packet'],
  tailroom: [69, 'u16', 'Bytes needed after the packet'],
});

export const linkFamily: Family = { name: 'link', header: linkHeader, attributes: linkAttributes };
