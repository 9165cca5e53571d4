/** Traffic control: struct tcmsg and TCA_*, the options of qdiscs, classes and filters, and actions. */

import {
  array,
  attributes,
  counted,
  type Family,
  headed,
  indexed,
  many,
  nest,
  select,
  struct,
  type Type,
} from '../schema.ts';

/** linux/rtnetlink.h struct tcmsg; of filters `info` is the priority in the upper and the ethertype (be16) in the lower half. */
export const tcHeader = struct('tcmsg', {
  family: 'u8',
  pad1: 'u8',
  pad2: 'u16',
  ifindex: 's32',
  handle: 'u32',
  parent: 'u32',
  info: 'u32',
});

/** linux/rtnetlink.h struct tcamsg */
export const actionHeader = struct('tcamsg', { family: 'u8', pad1: 'u8', pad2: 'u16' });

/** linux/pkt_sched.h struct tc_ratespec; `rate` in bytes a second. */
export const tcRate = struct('tc_ratespec', {
  cell_log: 'u8',
  linklayer: 'u8',
  overhead: 'u16',
  cell_align: 's16',
  mpu: 'u16',
  rate: 'u32',
});

/** linux/pkt_sched.h struct tc_sizespec */
export const tcSize = struct('tc_sizespec', {
  cell_log: 'u8',
  size_log: 'u8',
  cell_align: 's16',
  overhead: 's32',
  linklayer: 'u32',
  mpu: 'u32',
  mtu: 'u32',
  tsize: 'u32',
});

/** linux/rtnetlink.h struct tc_stats */
export const tcStatistics = struct('tc_stats', {
  bytes: 'u64',
  packets: 'u32',
  drops: 'u32',
  overlimits: 'u32',
  bps: 'u32',
  pps: 'u32',
  qlen: 'u32',
  backlog: 'u32',
});

/** linux/pkt_cls.h struct tcf_t; times are ages in hundredths of seconds. */
export const tcTimes = struct('tcf_t', { install: 'u64', lastuse: 'u64', expires: 'u64', firstuse: 'u64' });

export const tcBasicStatistics = struct('gnet_stats_basic', { bytes: 'u64', packets: 'u32' });
export const tcRateEstimate = struct('gnet_stats_rate_est', { bps: 'u32', pps: 'u32' });
export const tcRateEstimate64 = struct('gnet_stats_rate_est64', { bps: 'u64', pps: 'u64' });
export const tcQueueStatistics = struct('gnet_stats_queue', {
  qlen: 'u32',
  backlog: 'u32',
  drops: 'u32',
  requeues: 'u32',
  overlimits: 'u32',
});

export const tcStatistics2Attributes = attributes('tc statistics', 'enum TCA_STATS_* in linux/gen_stats.h', {
  basic: [1, tcBasicStatistics, 'Bytes and packets'],
  rate_est: [2, tcRateEstimate, 'Rates, 32 bits'],
  queue: [3, tcQueueStatistics, 'Queue'],
  app: [4, 'binary', 'Counters of the type'],
  rate_est64: [5, tcRateEstimate64, 'Rates'],
  pad: [6, 'binary', 'Padding'],
  basic_hw: [7, tcBasicStatistics, 'Bytes and packets counted by hardware'],
  pkt64: [8, 'u64', 'Packets, 64 bits'],
});

export const tcSizeTableAttributes = attributes('tc size table', 'enum TCA_STAB_* in linux/pkt_sched.h', {
  base: [1, tcSize, 'Parameters'],
  data: [2, 'binary', 'Table'],
});

/** The fields every action's parameters start with, linux/pkt_cls.h tc_gen. `action` is TC_ACT_*. */
const generic = { index: 'u32', capab: 'u32', action: 's32', refcnt: 's32', bindcnt: 's32' } as const;

export const actionGeneric = struct('tc_gen', generic);
/** linux/tc_act/tc_gact.h struct tc_gact_p */
export const actionProbability = struct('tc_gact_p', { ptype: 'u16', pval: 'u16', paction: 's32' });
/** linux/tc_act/tc_mirred.h struct tc_mirred; `eaction` 1 egress redirect, 2 egress mirror, 3 ingress redirect, 4 ingress mirror. */
export const actionMirred = struct('tc_mirred', { ...generic, eaction: 's32', ifindex: 'u32' });
export const actionVlan = struct('tc_vlan', { ...generic, v_action: 's32' });
export const actionTunnelKey = struct('tc_tunnel_key', { ...generic, t_action: 's32' });
export const actionMpls = struct('tc_mpls', { ...generic, m_action: 's32' });
export const actionCsum = struct('tc_csum', { ...generic, update_flags: 'u32' });
export const actionNat = struct('tc_nat', {
  ...generic,
  old_addr: 'ip4',
  new_addr: 'ip4',
  mask: 'ip4',
  flags: 'u32',
});
export const actionSkbmod = struct('tc_skbmod', { ...generic, flags: 'u64' });
export const actionConnmark = struct('tc_connmark', { ...generic, zone: 'u16' });
export const actionIfe = struct('tc_ife', { ...generic, flags: 'u16' });
/** linux/tc_act/tc_pedit.h struct tc_pedit_sel, then `nkeys` struct tc_pedit_key */
export const actionPedit = struct('tc_pedit_sel', { ...generic, nkeys: 'u8', flags: 'u8' });
export const actionPeditKey = struct('tc_pedit_key', {
  mask: 'be32',
  val: 'be32',
  off: 'u32',
  at: 'u32',
  offmask: 'u32',
  shift: 'u32',
});
/** linux/pkt_cls.h struct tc_police; `burst` in scheduler ticks. */
export const actionPolice = struct('tc_police', {
  index: 'u32',
  action: 's32',
  limit: 'u32',
  burst: 'u32',
  mtu: 'u32',
  rate: tcRate,
  peakrate: tcRate,
  refcnt: 's32',
  bindcnt: 's32',
  capab: 'u32',
});

export const actionGactAttributes = attributes('action gact', 'enum TCA_GACT_* in linux/tc_act/tc_gact.h', {
  tm: [1, tcTimes, 'Times'],
  parms: [2, actionGeneric, 'Parameters'],
  prob: [3, actionProbability, 'Random or deterministic alternative'],
  pad: [4, 'binary', 'Padding'],
});

export const actionMirredAttributes = attributes(
  'action mirred',
  'enum TCA_MIRRED_* in linux/tc_act/tc_mirred.h',
  {
    tm: [1, tcTimes, 'Times'],
    parms: [2, actionMirred, 'Parameters'],
    pad: [3, 'binary', 'Padding'],
    blockid: [4, 'u32', 'Shared block to send to'],
  },
);

export const actionVlanAttributes = attributes('action vlan', 'enum TCA_VLAN_* in linux/tc_act/tc_vlan.h', {
  tm: [1, tcTimes, 'Times'],
  parms: [2, actionVlan, 'Parameters; 1 pop, 2 push, 3 modify, 4 pop_eth, 5 push_eth'],
  push_vlan_id: [3, 'u16', 'VLAN id'],
  push_vlan_protocol: [4, 'be16', 'Ethertype of the tag'],
  pad: [5, 'binary', 'Padding'],
  push_vlan_priority: [6, 'u8', 'VLAN priority'],
  push_eth_dst: [7, 'mac', 'Destination MAC'],
  push_eth_src: [8, 'mac', 'Source MAC'],
});

export const tunnelGeneveAttributes = attributes(
  'tunnel geneve option',
  'enum TCA_FLOWER_KEY_ENC_OPT_GENEVE_* in linux/pkt_cls.h',
  {
    class: [1, 'be16', 'Option class'],
    type: [2, 'u8', 'Option type'],
    data: [3, 'binary', 'Option data'],
  },
);

export const tunnelVxlanAttributes = attributes(
  'tunnel vxlan option',
  'enum TCA_FLOWER_KEY_ENC_OPT_VXLAN_* in linux/pkt_cls.h',
  { gbp: [1, 'u32', 'Group policy'] },
);

export const tunnelErspanAttributes = attributes(
  'tunnel erspan option',
  'enum TCA_FLOWER_KEY_ENC_OPT_ERSPAN_* in linux/pkt_cls.h',
  {
    ver: [1, 'u8', 'Version'],
    index: [2, 'be32', 'Port index'],
    dir: [3, 'u8', 'Direction'],
    hwid: [4, 'u8', 'Hardware id'],
  },
);

export const tunnelGtpAttributes = attributes(
  'tunnel gtp option',
  'enum TCA_FLOWER_KEY_ENC_OPT_GTP_* in linux/pkt_cls.h',
  {
    pdu_type: [1, 'u8', 'PDU type'],
    qfi: [2, 'u8', 'QoS flow id'],
  },
);

export const tunnelPfcpAttributes = attributes(
  'tunnel pfcp option',
  'enum TCA_FLOWER_KEY_ENC_OPT_PFCP_* in linux/pkt_cls.h',
  {
    type: [1, 'u8', 'Type'],
    seid: [2, 'be64', 'Session endpoint id'],
  },
);

/** The options of TCA_TUNNEL_KEY_ENC_OPTS_* have the same numbers. */
export const flowerTunnelOptionsAttributes = attributes(
  'flower tunnel options',
  'enum TCA_FLOWER_KEY_ENC_OPTS_* in linux/pkt_cls.h',
  {
    geneve: [1, many(nest(() => tunnelGeneveAttributes)), 'Geneve option'],
    vxlan: [2, nest(() => tunnelVxlanAttributes), 'VXLAN option'],
    erspan: [3, nest(() => tunnelErspanAttributes), 'ERSPAN option'],
    gtp: [4, nest(() => tunnelGtpAttributes), 'GTP option'],
    pfcp: [5, nest(() => tunnelPfcpAttributes), 'PFCP option'],
  },
);

export const actionTunnelKeyAttributes = attributes(
  'action tunnel_key',
  'enum TCA_TUNNEL_KEY_* in linux/tc_act/tc_tunnel_key.h',
  {
    tm: [1, tcTimes, 'Times'],
    parms: [2, actionTunnelKey, 'Parameters; 1 set, 2 unset'],
    enc_ipv4_src: [3, 'ip4', 'Outer source'],
    enc_ipv4_dst: [4, 'ip4', 'Outer destination'],
    enc_ipv6_src: [5, 'ip6', 'Outer source'],
    enc_ipv6_dst: [6, 'ip6', 'Outer destination'],
    enc_key_id: [7, 'be32', 'Tunnel id'],
    pad: [8, 'binary', 'Padding'],
    enc_dst_port: [9, 'be16', 'UDP destination port'],
    no_csum: [10, 'u8', 'No UDP checksum'],
    enc_opts: [11, nest(() => flowerTunnelOptionsAttributes), 'Options of the tunnel type'],
    enc_tos: [12, 'u8', 'Outer TOS'],
    enc_ttl: [13, 'u8', 'Outer TTL'],
    no_frag: [14, 'flag', "Don't fragment"],
  },
);

export const actionPeditKeyAttributes = attributes(
  'action pedit key',
  'enum TCA_PEDIT_KEY_EX_* in linux/tc_act/tc_pedit.h',
  {
    htype: [1, 'u16', 'Header: 0 network, 1 eth, 2 ip4, 3 ip6, 4 tcp, 5 udp'],
    cmd: [2, 'u16', '0 set, 1 add'],
  },
);

export const actionPeditKeysAttributes = attributes(
  'action pedit keys',
  'enum TCA_PEDIT_* in linux/tc_act/tc_pedit.h',
  { key_ex: [6, many(nest(() => actionPeditKeyAttributes)), 'Header and command of a key'] },
);

const pedit = counted(actionPedit, 'keys', actionPeditKey);

export const actionPeditAttributes = attributes(
  'action pedit',
  'enum TCA_PEDIT_* in linux/tc_act/tc_pedit.h',
  {
    tm: [1, tcTimes, 'Times'],
    parms: [2, pedit, 'Parameters and keys'],
    pad: [3, 'binary', 'Padding'],
    parms_ex: [4, pedit, 'Parameters and keys of an extended edit'],
    keys_ex: [5, nest(() => actionPeditKeysAttributes), 'Header and command of each key'],
  },
);

export const actionPoliceAttributes = attributes('action police', 'enum TCA_POLICE_* in linux/pkt_cls.h', {
  tbf: [1, actionPolice, 'Parameters'],
  rate: [2, 'binary', 'Rate table'],
  peakrate: [3, 'binary', 'Peak rate table'],
  avrate: [4, 'u32', 'Average rate'],
  result: [5, 'u32', 'Action when conforming'],
  tm: [6, tcTimes, 'Times'],
  pad: [7, 'binary', 'Padding'],
  rate64: [8, 'u64', 'Bytes a second'],
  peakrate64: [9, 'u64', 'Bytes a second'],
  pktrate64: [10, 'u64', 'Packets a second'],
  pktburst64: [11, 'u64', 'Burst in packets'],
});

export const actionSkbeditAttributes = attributes(
  'action skbedit',
  'enum TCA_SKBEDIT_* in linux/tc_act/tc_skbedit.h',
  {
    tm: [1, tcTimes, 'Times'],
    parms: [2, actionGeneric, 'Parameters'],
    priority: [3, 'u32', 'Priority'],
    queue_mapping: [4, 'u16', 'Queue'],
    mark: [5, 'u32', 'Mark'],
    pad: [6, 'binary', 'Padding'],
    ptype: [7, 'u16', 'Packet type'],
    mask: [8, 'u32', 'Mask of the mark'],
    flags: [9, 'u64', 'SKBEDIT_F_*'],
    queue_mapping_max: [10, 'u16', 'Last queue'],
  },
);

export const actionSkbmodAttributes = attributes(
  'action skbmod',
  'enum TCA_SKBMOD_* in linux/tc_act/tc_skbmod.h',
  {
    tm: [1, tcTimes, 'Times'],
    parms: [2, actionSkbmod, 'Parameters'],
    dmac: [3, 'mac', 'Destination MAC'],
    smac: [4, 'mac', 'Source MAC'],
    etype: [5, 'u16', 'Ethertype'],
    pad: [6, 'binary', 'Padding'],
  },
);

export const actionCsumAttributes = attributes('action csum', 'enum TCA_CSUM_* in linux/tc_act/tc_csum.h', {
  parms: [1, actionCsum, 'Parameters'],
  tm: [2, tcTimes, 'Times'],
  pad: [3, 'binary', 'Padding'],
});

export const actionCtAttributes = attributes('action ct', 'enum TCA_CT_* in linux/tc_act/tc_ct.h', {
  parms: [1, actionGeneric, 'Parameters'],
  tm: [2, tcTimes, 'Times'],
  action: [3, 'u16', 'TCA_CT_ACT_*'],
  zone: [4, 'u16', 'Zone'],
  mark: [5, 'u32', 'Mark'],
  mark_mask: [6, 'u32', 'Mask of the mark'],
  labels: [7, 'binary', 'Labels'],
  labels_mask: [8, 'binary', 'Mask of the labels'],
  nat_ipv4_min: [9, 'ip4', 'First address'],
  nat_ipv4_max: [10, 'ip4', 'Last address'],
  nat_ipv6_min: [11, 'ip6', 'First address'],
  nat_ipv6_max: [12, 'ip6', 'Last address'],
  nat_port_min: [13, 'be16', 'First port'],
  nat_port_max: [14, 'be16', 'Last port'],
  pad: [15, 'binary', 'Padding'],
  helper_name: [16, 'string', 'Helper'],
  helper_family: [17, 'u8', 'Family of the helper'],
  helper_proto: [18, 'u8', 'IP protocol of the helper'],
});

export const actionMplsAttributes = attributes('action mpls', 'enum TCA_MPLS_* in linux/tc_act/tc_mpls.h', {
  tm: [1, tcTimes, 'Times'],
  parms: [2, actionMpls, 'Parameters; 1 pop, 2 push, 3 modify, 4 dec_ttl, 5 mac_push'],
  pad: [3, 'binary', 'Padding'],
  proto: [4, 'be16', 'Ethertype'],
  label: [5, 'u32', 'Label'],
  tc: [6, 'u8', 'Traffic class'],
  ttl: [7, 'u8', 'TTL'],
  bos: [8, 'u8', 'Bottom of stack'],
});

export const actionSampleAttributes = attributes(
  'action sample',
  'enum TCA_SAMPLE_* in linux/tc_act/tc_sample.h',
  {
    tm: [1, tcTimes, 'Times'],
    parms: [2, actionGeneric, 'Parameters'],
    rate: [3, 'u32', 'One of this many packets'],
    trunc_size: [4, 'u32', 'Bytes kept'],
    psample_group: [5, 'u32', 'Group they are sent to'],
    pad: [6, 'binary', 'Padding'],
  },
);

export const actionBpfAttributes = attributes('action bpf', 'enum TCA_ACT_BPF_* in linux/tc_act/tc_bpf.h', {
  tm: [1, tcTimes, 'Times'],
  parms: [2, actionGeneric, 'Parameters'],
  ops_len: [3, 'u16', 'Instructions of a classic program'],
  ops: [4, 'binary', 'Classic program'],
  fd: [5, 'u32', 'Program file descriptor'],
  name: [6, 'string', 'Program name'],
  pad: [7, 'binary', 'Padding'],
  tag: [8, 'binary', 'Program tag'],
  id: [9, 'u32', 'Program id'],
});

export const actionNatAttributes = attributes('action nat', 'enum TCA_NAT_* in linux/tc_act/tc_nat.h', {
  parms: [1, actionNat, 'Parameters'],
  tm: [2, tcTimes, 'Times'],
  pad: [3, 'binary', 'Padding'],
});

export const actionConnmarkAttributes = attributes(
  'action connmark',
  'enum TCA_CONNMARK_* in linux/tc_act/tc_connmark.h',
  {
    parms: [1, actionConnmark, 'Parameters'],
    tm: [2, tcTimes, 'Times'],
    pad: [3, 'binary', 'Padding'],
  },
);

/** TCA_ACT_OPTIONS by TCA_ACT_KIND. */
const actionOptions: Readonly<Record<string, Type>> = {
  gact: nest(() => actionGactAttributes),
  mirred: nest(() => actionMirredAttributes),
  vlan: nest(() => actionVlanAttributes),
  tunnel_key: nest(() => actionTunnelKeyAttributes),
  pedit: nest(() => actionPeditAttributes),
  police: nest(() => actionPoliceAttributes),
  skbedit: nest(() => actionSkbeditAttributes),
  skbmod: nest(() => actionSkbmodAttributes),
  csum: nest(() => actionCsumAttributes),
  ct: nest(() => actionCtAttributes),
  mpls: nest(() => actionMplsAttributes),
  sample: nest(() => actionSampleAttributes),
  bpf: nest(() => actionBpfAttributes),
  nat: nest(() => actionNatAttributes),
  connmark: nest(() => actionConnmarkAttributes),
};

export const actionAttributes = attributes('action', 'enum TCA_ACT_* in linux/pkt_cls.h', {
  kind: [1, 'string', 'Type of the action'],
  options: [2, select('kind', actionOptions), 'Options of the type'],
  index: [3, 'u32', 'Instance'],
  stats: [4, nest(() => tcStatistics2Attributes), 'Counters'],
  pad: [5, 'binary', 'Padding'],
  cookie: [6, 'binary', 'Cookie of the user'],
  flags: [7, 'bitfield32', 'TCA_ACT_FLAGS_*'],
  hw_stats: [8, 'bitfield32', 'Hardware counters asked for'],
  used_hw_stats: [9, 'bitfield32', 'Hardware counters in use'],
  in_hw_count: [10, 'u32', 'Devices that hold it'],
});

const actions = indexed(nest(() => actionAttributes));

export const actionDumpAttributes = attributes('action dump', 'enum TCA_ROOT_* in linux/rtnetlink.h', {
  tab: [1, actions, 'Actions'],
  flags: [2, 'bitfield32', 'TCA_ACT_FLAG_*'],
  count: [3, 'u32', 'Number of actions'],
  time_delta: [4, 'u32', 'Only those used in the last milliseconds'],
  ext_warn_msg: [5, 'string', 'Warning'],
});

export const flowerMplsEntryAttributes = attributes(
  'flower mpls entry',
  'enum TCA_FLOWER_KEY_MPLS_OPT_LSE_* in linux/pkt_cls.h',
  {
    depth: [1, 'u8', 'Depth, 1 is the top'],
    ttl: [2, 'u8', 'TTL'],
    bos: [3, 'u8', 'Bottom of stack'],
    tc: [4, 'u8', 'Traffic class'],
    label: [5, 'u32', 'Label'],
  },
);

export const flowerMplsOptionsAttributes = attributes(
  'flower mpls options',
  'enum TCA_FLOWER_KEY_MPLS_OPTS_* in linux/pkt_cls.h',
  { lse: [1, many(nest(() => flowerMplsEntryAttributes)), 'Label stack entry'] },
);

export const flowerCfmAttributes = attributes('flower cfm', 'enum TCA_FLOWER_KEY_CFM_* in linux/pkt_cls.h', {
  md_level: [1, 'u8', 'Maintenance level'],
  opcode: [2, 'u8', 'Operation'],
});

export const flowerAttributes = attributes('flower', 'enum TCA_FLOWER_* in linux/pkt_cls.h', {
  classid: [1, 'u32', 'Class or flow id'],
  indev: [2, 'string', 'Incoming interface'],
  act: [3, actions, 'Actions'],
  key_eth_dst: [4, 'mac', 'Destination MAC'],
  key_eth_dst_mask: [5, 'mac', 'Mask of eth_dst'],
  key_eth_src: [6, 'mac', 'Source MAC'],
  key_eth_src_mask: [7, 'mac', 'Mask of eth_src'],
  key_eth_type: [8, 'be16', 'Ethertype'],
  key_ip_proto: [9, 'u8', 'IP protocol'],
  key_ipv4_src: [10, 'ip4', 'IPv4 source'],
  key_ipv4_src_mask: [11, 'ip4', 'Mask of ipv4_src'],
  key_ipv4_dst: [12, 'ip4', 'IPv4 destination'],
  key_ipv4_dst_mask: [13, 'ip4', 'Mask of ipv4_dst'],
  key_ipv6_src: [14, 'ip6', 'IPv6 source'],
  key_ipv6_src_mask: [15, 'ip6', 'Mask of ipv6_src'],
  key_ipv6_dst: [16, 'ip6', 'IPv6 destination'],
  key_ipv6_dst_mask: [17, 'ip6', 'Mask of ipv6_dst'],
  key_tcp_src: [18, 'be16', 'TCP source port'],
  key_tcp_dst: [19, 'be16', 'TCP destination port'],
  key_udp_src: [20, 'be16', 'UDP source port'],
  key_udp_dst: [21, 'be16', 'UDP destination port'],
  flags: [22, 'u32', 'TCA_CLS_FLAGS_*'],
  key_vlan_id: [23, 'u16', 'VLAN id'],
  key_vlan_prio: [24, 'u8', 'VLAN priority'],
  key_vlan_eth_type: [25, 'be16', 'Ethertype after the tag'],
  key_enc_key_id: [26, 'be32', 'Tunnel id'],
  key_enc_ipv4_src: [27, 'ip4', 'Outer IPv4 source'],
  key_enc_ipv4_src_mask: [28, 'ip4', 'Mask of enc_ipv4_src'],
  key_enc_ipv4_dst: [29, 'ip4', 'Outer IPv4 destination'],
  key_enc_ipv4_dst_mask: [30, 'ip4', 'Mask of enc_ipv4_dst'],
  key_enc_ipv6_src: [31, 'ip6', 'Outer IPv6 source'],
  key_enc_ipv6_src_mask: [32, 'ip6', 'Mask of enc_ipv6_src'],
  key_enc_ipv6_dst: [33, 'ip6', 'Outer IPv6 destination'],
  key_enc_ipv6_dst_mask: [34, 'ip6', 'Mask of enc_ipv6_dst'],
  key_tcp_src_mask: [35, 'be16', 'Mask of tcp_src'],
  key_tcp_dst_mask: [36, 'be16', 'Mask of tcp_dst'],
  key_udp_src_mask: [37, 'be16', 'Mask of udp_src'],
  key_udp_dst_mask: [38, 'be16', 'Mask of udp_dst'],
  key_sctp_src_mask: [39, 'be16', 'Mask of sctp_src'],
  key_sctp_dst_mask: [40, 'be16', 'Mask of sctp_dst'],
  key_sctp_src: [41, 'be16', 'SCTP source port'],
  key_sctp_dst: [42, 'be16', 'SCTP destination port'],
  key_enc_udp_src_port: [43, 'be16', 'Outer UDP source port'],
  key_enc_udp_src_port_mask: [44, 'be16', 'Mask of enc_udp_src_port'],
  key_enc_udp_dst_port: [45, 'be16', 'Outer UDP destination port'],
  key_enc_udp_dst_port_mask: [46, 'be16', 'Mask of enc_udp_dst_port'],
  key_flags: [47, 'be32', 'TCA_FLOWER_KEY_FLAGS_*'],
  key_flags_mask: [48, 'be32', 'Mask of flags'],
  key_icmpv4_code: [49, 'u8', 'ICMP code'],
  key_icmpv4_code_mask: [50, 'u8', 'Mask of icmpv4_code'],
  key_icmpv4_type: [51, 'u8', 'ICMP type'],
  key_icmpv4_type_mask: [52, 'u8', 'Mask of icmpv4_type'],
  key_icmpv6_code: [53, 'u8', 'ICMPv6 code'],
  key_icmpv6_code_mask: [54, 'u8', 'Mask of icmpv6_code'],
  key_icmpv6_type: [55, 'u8', 'ICMPv6 type'],
  key_icmpv6_type_mask: [56, 'u8', 'Mask of icmpv6_type'],
  key_arp_sip: [57, 'ip4', 'ARP sender address'],
  key_arp_sip_mask: [58, 'ip4', 'Mask of arp_sip'],
  key_arp_tip: [59, 'ip4', 'ARP target address'],
  key_arp_tip_mask: [60, 'ip4', 'Mask of arp_tip'],
  key_arp_op: [61, 'u8', 'ARP operation'],
  key_arp_op_mask: [62, 'u8', 'Mask of arp_op'],
  key_arp_sha: [63, 'mac', 'ARP sender MAC'],
  key_arp_sha_mask: [64, 'mac', 'Mask of arp_sha'],
  key_arp_tha: [65, 'mac', 'ARP target MAC'],
  key_arp_tha_mask: [66, 'mac', 'Mask of arp_tha'],
  key_mpls_ttl: [67, 'u8', 'TTL of the top label'],
  key_mpls_bos: [68, 'u8', 'Bottom of stack'],
  key_mpls_tc: [69, 'u8', 'Traffic class of the top label'],
  key_mpls_label: [70, 'u32', 'Top label'],
  key_tcp_flags: [71, 'be16', 'TCP flags'],
  key_tcp_flags_mask: [72, 'be16', 'Mask of tcp_flags'],
  key_ip_tos: [73, 'u8', 'TOS or traffic class'],
  key_ip_tos_mask: [74, 'u8', 'Mask of ip_tos'],
  key_ip_ttl: [75, 'u8', 'TTL or hop limit'],
  key_ip_ttl_mask: [76, 'u8', 'Mask of ip_ttl'],
  key_cvlan_id: [77, 'u16', 'Inner VLAN id'],
  key_cvlan_prio: [78, 'u8', 'Inner VLAN priority'],
  key_cvlan_eth_type: [79, 'be16', 'Ethertype after the inner tag'],
  key_enc_ip_tos: [80, 'u8', 'Outer TOS'],
  key_enc_ip_tos_mask: [81, 'u8', 'Mask of enc_ip_tos'],
  key_enc_ip_ttl: [82, 'u8', 'Outer TTL'],
  key_enc_ip_ttl_mask: [83, 'u8', 'Mask of enc_ip_ttl'],
  key_enc_opts: [84, nest(() => flowerTunnelOptionsAttributes), 'Tunnel options'],
  key_enc_opts_mask: [85, nest(() => flowerTunnelOptionsAttributes), 'Mask of enc_opts'],
  in_hw_count: [86, 'u32', 'Devices that hold it'],
  key_port_src_min: [87, 'be16', 'First source port'],
  key_port_src_max: [88, 'be16', 'Last source port'],
  key_port_dst_min: [89, 'be16', 'First destination port'],
  key_port_dst_max: [90, 'be16', 'Last destination port'],
  key_ct_state: [91, 'u16', 'Connection state, TCA_FLOWER_KEY_CT_FLAGS_*'],
  key_ct_state_mask: [92, 'u16', 'Mask of ct_state'],
  key_ct_zone: [93, 'u16', 'Connection zone'],
  key_ct_zone_mask: [94, 'u16', 'Mask of ct_zone'],
  key_ct_mark: [95, 'u32', 'Connection mark'],
  key_ct_mark_mask: [96, 'u32', 'Mask of ct_mark'],
  key_ct_labels: [97, 'binary', 'Connection labels'],
  key_ct_labels_mask: [98, 'binary', 'Mask of ct_labels'],
  key_mpls_opts: [99, nest(() => flowerMplsOptionsAttributes), 'Label stack entries'],
  key_hash: [100, 'u32', 'Packet hash'],
  key_hash_mask: [101, 'u32', 'Mask of hash'],
  key_num_of_vlans: [102, 'u8', 'Number of VLAN tags'],
  key_pppoe_sid: [103, 'be16', 'PPPoE session'],
  key_ppp_proto: [104, 'be16', 'PPP protocol'],
  key_l2tpv3_sid: [105, 'be32', 'L2TPv3 session'],
  l2_miss: [106, 'u8', 'Frame missed the fdb'],
  key_cfm: [107, nest(() => flowerCfmAttributes), 'Connectivity fault management'],
  key_spi: [108, 'be32', 'IPsec SPI'],
  key_spi_mask: [109, 'be32', 'Mask of spi'],
  key_enc_flags: [110, 'be32', 'Flags of the tunnel'],
  key_enc_flags_mask: [111, 'be32', 'Mask of enc_flags'],
});

export const matchallAttributes = attributes('matchall', 'enum TCA_MATCHALL_* in linux/pkt_cls.h', {
  classid: [1, 'u32', 'Class or flow id'],
  act: [2, actions, 'Actions'],
  flags: [3, 'u32', 'TCA_CLS_FLAGS_*'],
  pcnt: [4, 'binary', 'Hits, one 64-bit number per CPU sum'],
  pad: [5, 'binary', 'Padding'],
});

/** linux/pkt_cls.h struct tc_u32_sel, then `nkeys` struct tc_u32_key */
export const u32Selector = struct('tc_u32_sel', {
  flags: 'u8',
  offshift: 'u8',
  nkeys: 'u8',
  offmask: 'be16',
  off: 'u16',
  offoff: 's16',
  hoff: 's16',
  hmask: 'be32',
});
export const u32Key = struct('tc_u32_key', { mask: 'be32', val: 'be32', off: 's32', offmask: 's32' });
/** linux/pkt_cls.h struct tc_u32_pcnt, then a count per key */
export const u32Counters = struct('tc_u32_pcnt', { rcnt: 'u64', rhit: 'u64' });
export const u32Mark = struct('tc_u32_mark', { val: 'u32', mask: 'u32', success: 'u32' });

export const u32Attributes = attributes('u32', 'enum TCA_U32_* in linux/pkt_cls.h', {
  classid: [1, 'u32', 'Class or flow id'],
  hash: [2, 'u32', 'Hash table it is in'],
  link: [3, 'u32', 'Hash table to go on in'],
  divisor: [4, 'u32', 'Buckets of a hash table'],
  sel: [5, counted(u32Selector, 'keys', u32Key), 'Keys'],
  police: [6, nest(() => actionPoliceAttributes), 'Policer'],
  act: [7, actions, 'Actions'],
  indev: [8, 'string', 'Incoming interface'],
  pcnt: [9, counted(u32Counters, 'kcnts', 'u64'), 'Hits'],
  mark: [10, u32Mark, 'Mark to match'],
  flags: [11, 'u32', 'TCA_CLS_FLAGS_*'],
  pad: [12, 'binary', 'Padding'],
});

export const bpfAttributes = attributes('bpf', 'enum TCA_BPF_* in linux/pkt_cls.h', {
  act: [1, actions, 'Actions'],
  police: [2, nest(() => actionPoliceAttributes), 'Policer'],
  classid: [3, 'u32', 'Class or flow id'],
  ops_len: [4, 'u16', 'Instructions of a classic program'],
  ops: [5, 'binary', 'Classic program'],
  fd: [6, 'u32', 'Program file descriptor'],
  name: [7, 'string', 'Program name'],
  flags: [8, 'u32', '1 direct action'],
  flags_gen: [9, 'u32', 'TCA_CLS_FLAGS_*'],
  tag: [10, 'binary', 'Program tag'],
  id: [11, 'u32', 'Program id'],
});

export const fwAttributes = attributes('fw', 'enum TCA_FW_* in linux/pkt_cls.h', {
  classid: [1, 'u32', 'Class or flow id'],
  police: [2, nest(() => actionPoliceAttributes), 'Policer'],
  indev: [3, 'string', 'Incoming interface'],
  act: [4, actions, 'Actions'],
  mask: [5, 'u32', 'Mask of the mark'],
});

export const basicAttributes = attributes('basic', 'enum TCA_BASIC_* in linux/pkt_cls.h', {
  classid: [1, 'u32', 'Class or flow id'],
  ematches: [2, 'binary', 'Extended matches'],
  act: [3, actions, 'Actions'],
  police: [4, nest(() => actionPoliceAttributes), 'Policer'],
  pcnt: [5, 'binary', 'Hits'],
  pad: [6, 'binary', 'Padding'],
});

/** TCA_OPTIONS of filters by TCA_KIND. */
const filterOptions: Readonly<Record<string, Type>> = {
  flower: nest(() => flowerAttributes),
  matchall: nest(() => matchallAttributes),
  u32: nest(() => u32Attributes),
  bpf: nest(() => bpfAttributes),
  fw: nest(() => fwAttributes),
  basic: nest(() => basicAttributes),
};

/** linux/pkt_sched.h struct tc_prio_qopt, also of pfifo_fast */
export const prioOptions = struct('tc_prio_qopt', { bands: 's32', priomap: { bytes: 16 } });
/** linux/pkt_sched.h struct tc_fifo_qopt */
export const fifoOptions = struct('tc_fifo_qopt', { limit: 'u32' });
export const multiqOptions = struct('tc_multiq_qopt', { bands: 'u16', max_bands: 'u16' });
export const mqprioOptions = struct('tc_mqprio_qopt', {
  num_tc: 'u8',
  prio_tc_map: { bytes: 16 },
  hw: 'u8',
  count: { bytes: 32 },
  offset: { bytes: 32 },
});
/** linux/pkt_sched.h struct tc_tbf_qopt; `buffer` and `mtu` in scheduler ticks. */
export const tbfOptions = struct('tc_tbf_qopt', {
  rate: tcRate,
  peakrate: tcRate,
  limit: 'u32',
  buffer: 'u32',
  mtu: 'u32',
});
/** linux/pkt_sched.h struct tc_htb_opt; `buffer` and `cbuffer` in scheduler ticks. */
export const htbClass = struct('tc_htb_opt', {
  rate: tcRate,
  ceil: tcRate,
  buffer: 'u32',
  cbuffer: 'u32',
  quantum: 'u32',
  level: 'u32',
  prio: 'u32',
});
export const htbGlobal = struct('tc_htb_glob', {
  version: 'u32',
  rate2quantum: 'u32',
  defcls: 'u32',
  debug: 'u32',
  direct_pkts: 'u32',
});
/** linux/pkt_sched.h struct tc_netem_qopt; delays in scheduler ticks. */
export const netemOptions = struct('tc_netem_qopt', {
  latency: 'u32',
  limit: 'u32',
  loss: 'u32',
  gap: 'u32',
  duplicate: 'u32',
  jitter: 'u32',
});
export const netemCorrelation = struct('tc_netem_corr', {
  delay_corr: 'u32',
  loss_corr: 'u32',
  dup_corr: 'u32',
});
export const netemReorder = struct('tc_netem_reorder', { probability: 'u32', correlation: 'u32' });
export const netemCorrupt = struct('tc_netem_corrupt', { probability: 'u32', correlation: 'u32' });
export const netemRate = struct('tc_netem_rate', {
  rate: 'u32',
  packet_overhead: 's32',
  cell_size: 'u32',
  cell_overhead: 's32',
});
export const netemSlot = struct('tc_netem_slot', {
  min_delay: 's64',
  max_delay: 's64',
  max_packets: 's32',
  max_bytes: 's32',
  dist_delay: 's64',
  dist_jitter: 's64',
});
export const netemGilbert = struct('tc_netem_gimodel', {
  p13: 'u32',
  p31: 'u32',
  p32: 'u32',
  p14: 'u32',
  p23: 'u32',
});
export const netemGilbertElliot = struct('tc_netem_gemodel', { p: 'u32', r: 'u32', h: 'u32', k1: 'u32' });

export const netemLossAttributes = attributes('netem loss', 'enum NETEM_LOSS_* in linux/pkt_sched.h', {
  gi: [1, netemGilbert, 'General intuitive model'],
  ge: [2, netemGilbertElliot, 'Gilbert-Elliot model'],
});

export const netemAttributes = attributes('netem', 'enum TCA_NETEM_* in linux/pkt_sched.h', {
  corr: [1, netemCorrelation, 'Correlations'],
  delay_dist: [2, 'binary', 'Distribution'],
  reorder: [3, netemReorder, 'Reordering'],
  corrupt: [4, netemCorrupt, 'Corruption'],
  loss_model: [5, nest(() => netemLossAttributes), 'Loss model'],
  rate: [6, netemRate, 'Rate'],
  ecn: [7, 'u32', 'Mark instead of dropping'],
  rate64: [8, 'u64', 'Bytes a second'],
  pad: [9, 'binary', 'Padding'],
  latency64: [10, 's64', 'Nanoseconds'],
  jitter64: [11, 's64', 'Nanoseconds'],
  slot: [12, netemSlot, 'Slots'],
  slot_dist: [13, 'binary', 'Distribution of slots'],
  prng_seed: [14, 'u64', 'Seed'],
});

export const htbAttributes = attributes('htb', 'enum TCA_HTB_* in linux/pkt_sched.h', {
  parms: [1, htbClass, 'Parameters of a class'],
  init: [2, htbGlobal, 'Parameters of the qdisc'],
  ctab: [3, 'binary', 'Ceil table'],
  rtab: [4, 'binary', 'Rate table'],
  direct_qlen: [5, 'u32', 'Queue of unclassified packets'],
  rate64: [6, 'u64', 'Bytes a second'],
  ceil64: [7, 'u64', 'Bytes a second'],
  pad: [8, 'binary', 'Padding'],
  offload: [9, 'flag', 'In hardware'],
});

export const tbfAttributes = attributes('tbf', 'enum TCA_TBF_* in linux/pkt_sched.h', {
  parms: [1, tbfOptions, 'Parameters'],
  rtab: [2, 'binary', 'Rate table'],
  ptab: [3, 'binary', 'Peak rate table'],
  rate64: [4, 'u64', 'Bytes a second'],
  prate64: [5, 'u64', 'Bytes a second'],
  burst: [6, 'u32', 'Burst in bytes'],
  pburst: [7, 'u32', 'Burst of the peak rate in bytes'],
  pad: [8, 'binary', 'Padding'],
});

export const fqCodelAttributes = attributes('fq_codel', 'enum TCA_FQ_CODEL_* in linux/pkt_sched.h', {
  target: [1, 'u32', 'Microseconds'],
  limit: [2, 'u32', 'Packets'],
  interval: [3, 'u32', 'Microseconds'],
  ecn: [4, 'u32', 'Mark instead of dropping'],
  flows: [5, 'u32', 'Flows'],
  quantum: [6, 'u32', 'Bytes'],
  ce_threshold: [7, 'u32', 'Microseconds'],
  drop_batch_size: [8, 'u32', 'Packets dropped at once'],
  memory_limit: [9, 'u32', 'Bytes'],
  ce_threshold_selector: [10, 'u8', 'DSCP the threshold is for'],
  ce_threshold_mask: [11, 'u8', 'Its mask'],
});

export const fqAttributes = attributes('fq', 'enum TCA_FQ_* in linux/pkt_sched.h', {
  plimit: [1, 'u32', 'Packets'],
  flow_plimit: [2, 'u32', 'Packets of a flow'],
  quantum: [3, 'u32', 'Bytes'],
  initial_quantum: [4, 'u32', 'Bytes'],
  rate_enable: [5, 'u32', 'Pacing'],
  flow_default_rate: [6, 'u32', 'Not used'],
  flow_max_rate: [7, 'u32', 'Bytes a second'],
  buckets_log: [8, 'u32', 'Logarithm of the number of buckets'],
  flow_refill_delay: [9, 'u32', 'Microseconds'],
  orphan_mask: [10, 'u32', 'Mask of hashes of packets without socket'],
  low_rate_threshold: [11, 'u32', 'Bytes a second'],
  ce_threshold: [12, 'u32', 'Microseconds'],
  timer_slack: [13, 'u32', 'Nanoseconds'],
  horizon: [14, 'u32', 'Microseconds'],
  horizon_drop: [15, 'u8', 'Drop beyond the horizon'],
  priomap: [16, prioOptions, 'Priority to band'],
  weights: [17, array('s32'), 'Weights of the bands'],
  offload_horizon: [18, 'u32', 'Microseconds'],
});

export const codelAttributes = attributes('codel', 'enum TCA_CODEL_* in linux/pkt_sched.h', {
  target: [1, 'u32', 'Microseconds'],
  limit: [2, 'u32', 'Packets'],
  interval: [3, 'u32', 'Microseconds'],
  ecn: [4, 'u32', 'Mark instead of dropping'],
  ce_threshold: [5, 'u32', 'Microseconds'],
});

/** TCA_OPTIONS of qdiscs and classes by TCA_KIND. clsact, ingress, mq and noqueue have none. */
const qdiscOptions: Readonly<Record<string, Type>> = {
  prio: prioOptions,
  pfifo_fast: prioOptions,
  pfifo: fifoOptions,
  bfifo: fifoOptions,
  pfifo_head_drop: fifoOptions,
  multiq: multiqOptions,
  mqprio: mqprioOptions,
  netem: headed(netemOptions, () => netemAttributes),
  htb: nest(() => htbAttributes),
  tbf: nest(() => tbfAttributes),
  fq_codel: nest(() => fqCodelAttributes),
  fq: nest(() => fqAttributes),
  codel: nest(() => codelAttributes),
};

const rows = <Options extends Type>(options: Options) =>
  ({
    kind: [1, 'string', 'Type'],
    options: [2, options, 'Options of the type'],
    stats: [3, tcStatistics, 'Counters, old form'],
    xstats: [4, 'binary', 'Counters of the type'],
    rate: [5, 'binary', 'Rate estimator'],
    fcnt: [6, 'u32', 'References'],
    stats2: [7, nest(() => tcStatistics2Attributes), 'Counters'],
    stab: [8, nest(() => tcSizeTableAttributes), 'Size table'],
    pad: [9, 'binary', 'Padding'],
    dump_invisible: [10, 'flag', 'Also hidden qdiscs'],
    chain: [11, 'u32', 'Chain'],
    hw_offload: [12, 'u8', 'In hardware'],
    ingress_block: [13, 'u32', 'Shared block of ingress filters'],
    egress_block: [14, 'u32', 'Shared block of egress filters'],
    dump_flags: [15, 'bitfield32', 'TCA_DUMP_FLAGS_*'],
    ext_warn_msg: [16, 'string', 'Warning'],
  }) as const;

export const qdiscAttributes = attributes(
  'qdisc',
  'enum TCA_* in linux/rtnetlink.h',
  rows(select('kind', qdiscOptions)),
);

export const filterAttributes = attributes(
  'filter',
  'enum TCA_* in linux/rtnetlink.h',
  rows(select('kind', filterOptions)),
);

export const qdiscFamily: Family = { name: 'qdisc', header: tcHeader, attributes: qdiscAttributes };
export const classFamily: Family = { name: 'class', header: tcHeader, attributes: qdiscAttributes };
export const chainFamily: Family = { name: 'chain', header: tcHeader, attributes: filterAttributes };
export const filterFamily: Family = { name: 'filter', header: tcHeader, attributes: filterAttributes };
export const actionFamily: Family = {
  name: 'action',
  header: actionHeader,
  attributes: actionDumpAttributes,
};
