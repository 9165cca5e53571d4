/** Policy routing rules: struct fib_rule_hdr and FRA_*. */

import { attributes, type Family, struct } from '../schema.ts';

/** linux/fib_rules.h struct fib_rule_hdr */
export const ruleHeader = struct('fib_rule_hdr', {
  family: 'u8',
  dst_len: 'u8',
  src_len: 'u8',
  tos: 'u8',
  table: 'u8',
  res1: 'u8',
  res2: 'u8',
  action: 'u8',
  flags: 'u32',
});

/** linux/fib_rules.h struct fib_rule_uid_range */
export const ruleUidRange = struct('fib_rule_uid_range', { start: 'u32', end: 'u32' });
/** linux/fib_rules.h struct fib_rule_port_range */
export const rulePortRange = struct('fib_rule_port_range', { start: 'u16', end: 'u16' });

export const ruleAttributes = attributes('rule', 'enum FRA_* in linux/fib_rules.h', {
  dst: [1, 'ip', 'Destination prefix'],
  src: [2, 'ip', 'Source prefix'],
  iifname: [3, 'string', 'Incoming interface'],
  goto: [4, 'u32', 'Priority of the rule to jump to'],
  unused2: [5, 'binary', 'Not used'],
  priority: [6, 'u32', 'Preference, lower first'],
  unused3: [7, 'binary', 'Not used'],
  unused4: [8, 'binary', 'Not used'],
  unused5: [9, 'binary', 'Not used'],
  fwmark: [10, 'u32', 'Mark'],
  flow: [11, 'u32', 'Realms, from in the upper 16 bits'],
  tun_id: [12, 'be64', 'Tunnel id'],
  suppress_ifgroup: [13, 'u32', 'Reject routes out of interfaces of this group'],
  suppress_prefixlen: [14, 'u32', 'Reject routes with at most this prefix length'],
  table: [15, 'u32', 'Routing table'],
  fwmask: [16, 'u32', 'Mask of the mark'],
  oifname: [17, 'string', 'Outgoing interface of local sockets'],
  pad: [18, 'binary', 'Padding'],
  l3mdev: [19, 'u8', 'Take the table of the VRF'],
  uid_range: [20, ruleUidRange, 'User ids'],
  protocol: [21, 'u8', 'Who added it, RTPROT_*'],
  ip_proto: [22, 'u8', 'IP protocol'],
  sport_range: [23, rulePortRange, 'Source ports'],
  dport_range: [24, rulePortRange, 'Destination ports'],
  dscp: [25, 'u8', 'DSCP'],
  flowlabel: [26, 'be32', 'IPv6 flow label'],
  flowlabel_mask: [27, 'be32', 'Mask of the flow label'],
  sport_mask: [28, 'u16', 'Mask of the source port'],
  dport_mask: [29, 'u16', 'Mask of the destination port'],
  dscp_mask: [30, 'u8', 'Mask of the DSCP'],
});

export const ruleFamily: Family = { name: 'rule', header: ruleHeader, attributes: ruleAttributes };
