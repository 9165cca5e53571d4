/** Connections through ctnetlink: struct nfgenmsg and CTA_*. Numbers are big-endian. */

import { attributes, type Family, nest } from '../schema.ts';
import { nftHeader } from './nft.ts';

const SOURCE = 'in linux/netfilter/nfnetlink_conntrack.h';

export const tupleAddressAttributes = attributes('connection addresses', `enum ctattr_ip ${SOURCE}`, {
  v4_src: [1, 'ip4', 'Source'],
  v4_dst: [2, 'ip4', 'Destination'],
  v6_src: [3, 'ip6', 'Source'],
  v6_dst: [4, 'ip6', 'Destination'],
});

export const tupleProtocolAttributes = attributes('connection protocol', `enum ctattr_l4proto ${SOURCE}`, {
  num: [1, 'u8', 'IPPROTO_*'],
  src_port: [2, 'be16', 'Source port'],
  dst_port: [3, 'be16', 'Destination port'],
  icmp_id: [4, 'be16', 'ICMP identifier'],
  icmp_type: [5, 'u8', 'ICMP type'],
  icmp_code: [6, 'u8', 'ICMP code'],
  icmpv6_id: [7, 'be16', 'ICMPv6 identifier'],
  icmpv6_type: [8, 'u8', 'ICMPv6 type'],
  icmpv6_code: [9, 'u8', 'ICMPv6 code'],
});

export const tupleAttributes = attributes('connection tuple', `enum ctattr_tuple ${SOURCE}`, {
  ip: [1, nest(() => tupleAddressAttributes), 'Addresses'],
  proto: [2, nest(() => tupleProtocolAttributes), 'Protocol and ports'],
  zone: [3, 'be16', 'Zone of this direction'],
});

export const tcpStateAttributes = attributes('connection TCP', `enum ctattr_protoinfo_tcp ${SOURCE}`, {
  state: [1, 'u8', 'TCP_CONNTRACK_*'],
  wscale_original: [2, 'u8', 'Window scale of the original direction'],
  wscale_reply: [3, 'u8', 'Window scale of the reply direction'],
  flags_original: [4, 'binary', 'struct nf_ct_tcp_flags'],
  flags_reply: [5, 'binary', 'struct nf_ct_tcp_flags'],
});

export const protocolStateAttributes = attributes('connection state', `enum ctattr_protoinfo ${SOURCE}`, {
  tcp: [1, nest(() => tcpStateAttributes), 'Of TCP'],
  dccp: [2, 'binary', 'Of DCCP'],
  sctp: [3, 'binary', 'Of SCTP'],
});

export const flowAttributes = attributes('flow', `enum ctattr_type ${SOURCE}`, {
  tuple_orig: [1, nest(() => tupleAttributes), 'The connection as its first packet came'],
  tuple_reply: [2, nest(() => tupleAttributes), 'As answers come: it tells what is translated'],
  status: [3, 'be32', 'IPS_*'],
  protoinfo: [4, nest(() => protocolStateAttributes), 'State of the protocol'],
  help: [5, 'binary', 'Helper'],
  nat_src: [6, 'binary', 'Only in requests'],
  timeout: [7, 'be32', 'Seconds left'],
  mark: [8, 'be32', 'Mark'],
  counters_orig: [9, 'binary', 'Packets and bytes'],
  counters_reply: [10, 'binary', 'Packets and bytes of the reply direction'],
  use: [11, 'be32', 'References'],
  id: [12, 'be32', 'Number of the connection'],
  nat_dst: [13, 'binary', 'Only in requests'],
  tuple_master: [14, nest(() => tupleAttributes), 'Connection that expected this one'],
  seq_adj_orig: [15, 'binary', 'Adjustment of sequence numbers'],
  seq_adj_reply: [16, 'binary', 'The same of the reply direction'],
  secmark: [17, 'be32', 'Security mark'],
  zone: [18, 'be16', 'Zone'],
  secctx: [19, 'binary', 'Security context'],
  timestamp: [20, 'binary', 'When it began'],
  mark_mask: [21, 'be32', 'Only in requests'],
  labels: [22, 'binary', 'Labels'],
  labels_mask: [23, 'binary', 'Only in requests'],
  synproxy: [24, 'binary', 'Of SYNPROXY'],
  filter: [25, 'binary', 'Only in requests'],
  status_mask: [26, 'be32', 'Only in requests'],
  timestamp_event: [27, 'be64', 'When the notification was made'],
});

/** IPS_* of linux/netfilter/nf_conntrack_common.h. */
export const IPS_SEQ_ADJUST = 1 << 6;
export const IPS_OFFLOAD = 1 << 14;
/** A driver has it (nf_flow_table_offload.c flow_offload_work_add), whom the kernel asks for its counters. */
export const IPS_HW_OFFLOAD = 1 << 15;

export const flowFamily: Family = { name: 'flow', header: nftHeader, attributes: flowAttributes };
