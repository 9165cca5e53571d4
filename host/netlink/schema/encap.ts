/** Lightweight tunnel encapsulations of routes and nexthops, selected by LWTUNNEL_ENCAP_*. */

import { attributes, nest, select } from '../schema.ts';

export const encapGeneveAttributes = attributes(
  'encap geneve',
  'enum LWTUNNEL_IP_OPT_GENEVE_* in linux/lwtunnel.h',
  {
    class: [1, 'be16', 'Option class'],
    type: [2, 'u8', 'Option type'],
    data: [3, 'binary', 'Option data'],
  },
);

export const encapVxlanAttributes = attributes(
  'encap vxlan',
  'enum LWTUNNEL_IP_OPT_VXLAN_* in linux/lwtunnel.h',
  {
    gbp: [1, 'u32', 'Group policy'],
  },
);

export const encapErspanAttributes = attributes(
  'encap erspan',
  'enum LWTUNNEL_IP_OPT_ERSPAN_* in linux/lwtunnel.h',
  {
    ver: [1, 'u8', 'Version'],
    index: [2, 'be32', 'Port index'],
    dir: [3, 'u8', 'Direction'],
    hwid: [4, 'u8', 'Hardware id'],
  },
);

export const encapOptionsAttributes = attributes(
  'encap options',
  'enum LWTUNNEL_IP_OPTS_* in linux/lwtunnel.h',
  {
    geneve: [1, nest(() => encapGeneveAttributes), 'Geneve option'],
    vxlan: [2, nest(() => encapVxlanAttributes), 'VXLAN option'],
    erspan: [3, nest(() => encapErspanAttributes), 'ERSPAN option'],
  },
);

export const encapIpAttributes = attributes('encap ip', 'enum LWTUNNEL_IP_* in linux/lwtunnel.h', {
  id: [1, 'be64', 'Tunnel id'],
  dst: [2, 'ip4', 'Outer destination'],
  src: [3, 'ip4', 'Outer source'],
  ttl: [4, 'u8', 'Outer TTL'],
  tos: [5, 'u8', 'Outer TOS'],
  flags: [6, 'be16', 'TUNNEL_* flags'],
  pad: [7, 'binary', 'Padding'],
  opts: [8, nest(() => encapOptionsAttributes), 'Options of the tunnel type'],
});

export const encapIp6Attributes = attributes('encap ip6', 'enum LWTUNNEL_IP6_* in linux/lwtunnel.h', {
  id: [1, 'be64', 'Tunnel id'],
  dst: [2, 'ip6', 'Outer destination'],
  src: [3, 'ip6', 'Outer source'],
  hoplimit: [4, 'u8', 'Outer hop limit'],
  tc: [5, 'u8', 'Outer traffic class'],
  flags: [6, 'be16', 'TUNNEL_* flags'],
  pad: [7, 'binary', 'Padding'],
  opts: [8, nest(() => encapOptionsAttributes), 'Options of the tunnel type'],
});

export const encapMplsAttributes = attributes('encap mpls', 'enum MPLS_IPTUNNEL_* in linux/mpls_iptunnel.h', {
  dst: [1, 'labels', 'Labels to push'],
  ttl: [2, 'u8', 'TTL of the labels'],
});

export const encapIlaAttributes = attributes('encap ila', 'enum ILA_ATTR_* in linux/ila.h', {
  locator: [1, 'u64', 'Locator'],
  identifier: [2, 'u64', 'Identifier'],
  locator_match: [3, 'u64', 'Locator to match'],
  ifindex: [4, 's32', 'Interface'],
  dir: [5, 'u32', 'Direction'],
  pad: [6, 'binary', 'Padding'],
  csum_mode: [7, 'u8', 'Checksum mode'],
  ident_type: [8, 'u8', 'Identifier type'],
  hook_type: [9, 'u8', 'Hook: 0 output, 1 input'],
});

export const encapSeg6Attributes = attributes('encap seg6', 'enum SEG6_IPTUNNEL_* in linux/seg6_iptunnel.h', {
  srh: [1, 'binary', 'struct seg6_iptunnel_encap: mode (s32), then the segment routing header'],
  src: [2, 'ip6', 'Outer source'],
});

export const encapBpfProgramAttributes = attributes(
  'encap bpf program',
  'enum LWT_BPF_PROG_* in linux/lwtunnel.h',
  {
    fd: [1, 'u32', 'Program file descriptor'],
    name: [2, 'string', 'Program name'],
  },
);

export const encapBpfAttributes = attributes('encap bpf', 'enum LWT_BPF_* in linux/lwtunnel.h', {
  in: [1, nest(() => encapBpfProgramAttributes), 'Program on input'],
  out: [2, nest(() => encapBpfProgramAttributes), 'Program on output'],
  xmit: [3, nest(() => encapBpfProgramAttributes), 'Program on transmit'],
  xmit_headroom: [4, 'u32', 'Bytes of headroom for the transmit program'],
});

export const encapSeg6LocalBpfAttributes = attributes(
  'encap seg6local bpf',
  'enum SEG6_LOCAL_BPF_PROG_* in linux/seg6_local.h',
  {
    prog: [1, 'u32', 'Program id'],
    prog_name: [2, 'string', 'Program name'],
  },
);

export const encapSeg6LocalCountersAttributes = attributes(
  'encap seg6local counters',
  'enum SEG6_LOCAL_CNT_* in linux/seg6_local.h',
  {
    pad: [1, 'binary', 'Padding'],
    packets: [2, 'u64', 'Packets'],
    bytes: [3, 'u64', 'Bytes'],
    errors: [4, 'u64', 'Errors'],
  },
);

export const encapSeg6LocalFlavorsAttributes = attributes(
  'encap seg6local flavors',
  'enum SEG6_LOCAL_FLV_* in linux/seg6_local.h',
  {
    operation: [1, 'u32', 'Flavors, a bit per SEG6_LOCAL_FLV_OP_*'],
    lcblock_bits: [2, 'u8', 'Bits of the locator block'],
    lcnode_fn_bits: [3, 'u8', 'Bits of the locator node function'],
  },
);

export const encapSeg6LocalAttributes = attributes(
  'encap seg6local',
  'enum SEG6_LOCAL_* in linux/seg6_local.h',
  {
    action: [1, 'u32', 'SEG6_LOCAL_ACTION_*'],
    srh: [2, 'binary', 'Segment routing header'],
    table: [3, 'u32', 'Table to look up in'],
    nh4: [4, 'ip4', 'IPv4 nexthop'],
    nh6: [5, 'ip6', 'IPv6 nexthop'],
    iif: [6, 'u32', 'Incoming interface'],
    oif: [7, 'u32', 'Outgoing interface'],
    bpf: [8, nest(() => encapSeg6LocalBpfAttributes), 'Program of End.BPF'],
    vrftable: [9, 'u32', 'Table of the VRF'],
    counters: [10, nest(() => encapSeg6LocalCountersAttributes), 'Counters'],
    flavors: [11, nest(() => encapSeg6LocalFlavorsAttributes), 'Flavors'],
  },
);

export const encapRplAttributes = attributes('encap rpl', 'enum RPL_IPTUNNEL_* in linux/rpl_iptunnel.h', {
  srh: [1, 'binary', 'struct ipv6_rpl_sr_hdr'],
});

export const encapIoam6Attributes = attributes(
  'encap ioam6',
  'enum IOAM6_IPTUNNEL_* in linux/ioam6_iptunnel.h',
  {
    mode: [1, 'u8', '1 inline, 2 encap, 3 auto'],
    dst: [2, 'ip6', 'Outer destination'],
    trace: [3, 'binary', 'struct ioam6_trace_hdr'],
    freq_k: [4, 'u32', 'Insert in k of n packets'],
    freq_n: [5, 'u32', 'Insert in k of n packets'],
    src: [6, 'ip6', 'Outer source'],
  },
);

export const encapXfrmAttributes = attributes('encap xfrm', 'enum LWT_XFRM_* in linux/lwtunnel.h', {
  if_id: [1, 'u32', 'XFRM interface id'],
  link: [2, 'u32', 'Underlying interface'],
});

/** linux/lwtunnel.h enum lwtunnel_encap_types */
export const ENCAP = {
  none: 0,
  mpls: 1,
  ip: 2,
  ila: 3,
  ip6: 4,
  seg6: 5,
  bpf: 6,
  seg6local: 7,
  rpl: 8,
  ioam6: 9,
  xfrm: 10,
} as const;

/** RTA_ENCAP by RTA_ENCAP_TYPE, also NHA_ENCAP by NHA_ENCAP_TYPE. */
export const encap = select('encap_type', {
  [ENCAP.mpls]: nest(() => encapMplsAttributes),
  [ENCAP.ip]: nest(() => encapIpAttributes),
  [ENCAP.ila]: nest(() => encapIlaAttributes),
  [ENCAP.ip6]: nest(() => encapIp6Attributes),
  [ENCAP.seg6]: nest(() => encapSeg6Attributes),
  [ENCAP.bpf]: nest(() => encapBpfAttributes),
  [ENCAP.seg6local]: nest(() => encapSeg6LocalAttributes),
  [ENCAP.rpl]: nest(() => encapRplAttributes),
  [ENCAP.ioam6]: nest(() => encapIoam6Attributes),
  [ENCAP.xfrm]: nest(() => encapXfrmAttributes),
});
