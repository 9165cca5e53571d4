/** Routes: struct rtmsg and RTA_*. */

import { type AttributeSet, attributes, type Family, nest, struct } from '../schema.ts';
import { encap } from './encap.ts';

/** linux/rtnetlink.h struct rtmsg; `table` is RT_TABLE_COMPAT (252) for tables above 255, see RTA_TABLE. */
export const routeHeader = struct('rtmsg', {
  family: 'u8',
  dst_len: 'u8',
  src_len: 'u8',
  tos: 'u8',
  table: 'u8',
  protocol: 'u8',
  scope: 'u8',
  type: 'u8',
  flags: 'u32',
});

/** linux/rtnetlink.h struct rtnexthop; the weight is hops + 1. */
export const routeNexthop = struct('rtnexthop', { len: 'u16', flags: 'u8', hops: 'u8', ifindex: 's32' });

/** linux/rtnetlink.h struct rta_cacheinfo; `expires` in hundredths of seconds. */
export const routeCacheinfo = struct('rta_cacheinfo', {
  clntref: 'u32',
  lastuse: 'u32',
  expires: 's32',
  error: 'u32',
  used: 'u32',
  id: 'u32',
  ts: 'u32',
  tsage: 'u32',
});

/** linux/rtnetlink.h struct rta_mfc_stats */
export const routeMulticastStatistics = struct('rta_mfc_stats', {
  packets: 'u64',
  bytes: 'u64',
  wrong_if: 'u64',
});

export const routeMetricsAttributes = attributes('route metrics', 'enum RTAX_* in linux/rtnetlink.h', {
  lock: [1, 'u32', 'Metrics that are locked, a bit per number'],
  mtu: [2, 'u32', 'Path MTU in bytes'],
  window: [3, 'u32', 'Largest window to advertise'],
  rtt: [4, 'u32', 'Round trip time, eighths of milliseconds'],
  rttvar: [5, 'u32', 'Its variance, quarters of milliseconds'],
  ssthresh: [6, 'u32', 'Slow start threshold'],
  cwnd: [7, 'u32', 'Clamp of the congestion window'],
  advmss: [8, 'u32', 'MSS to advertise'],
  reordering: [9, 'u32', 'Reordering allowed'],
  hoplimit: [10, 'u32', 'Hop limit'],
  initcwnd: [11, 'u32', 'Initial congestion window'],
  features: [12, 'u32', 'RTAX_FEATURE_*'],
  rto_min: [13, 'u32', 'Smallest retransmission timeout, milliseconds'],
  initrwnd: [14, 'u32', 'Initial receive window'],
  quickack: [15, 'u32', 'Quick acknowledgements'],
  cc_algo: [16, 'string', 'Congestion control'],
  fastopen_no_cookie: [17, 'u32', 'TCP fast open without cookie'],
});

export const routeAttributes = attributes('route', 'enum RTA_* in linux/rtnetlink.h', {
  dst: [1, 'ip', 'Destination prefix'],
  src: [2, 'ip', 'Source prefix'],
  iif: [3, 'u32', 'Incoming interface'],
  oif: [4, 'u32', 'Outgoing interface'],
  gateway: [5, 'ip', 'Gateway of the same family'],
  priority: [6, 'u32', 'Metric, lower first'],
  prefsrc: [7, 'ip', 'Preferred source address'],
  metrics: [8, nest(() => routeMetricsAttributes), 'TCP and path metrics'],
  multipath: [
    9,
    { kind: 'multipath', header: routeNexthop, attributes: (): AttributeSet => routeAttributes },
    'Nexthops of an equal-cost route',
  ],
  protoinfo: [10, 'binary', 'Not used'],
  flow: [11, 'u32', 'Realms, from in the upper 16 bits'],
  cacheinfo: [12, routeCacheinfo, 'Use and expiry'],
  session: [13, 'binary', 'Not used'],
  mp_algo: [14, 'binary', 'Not used'],
  table: [15, 'u32', 'Routing table'],
  mark: [16, 'u32', 'Mark'],
  mfc_stats: [17, routeMulticastStatistics, 'Multicast counters'],
  via: [18, { kind: 'via' }, 'Gateway of another family'],
  newdst: [19, 'labels', 'Label stack to swap to'],
  pref: [20, 'u8', 'Router preference: 0 medium, 1 high, 3 low'],
  encap_type: [21, 'u16', 'LWTUNNEL_ENCAP_*'],
  encap: [22, encap, 'Encapsulation'],
  expires: [23, 'u32', 'Lifetime in seconds'],
  pad: [24, 'binary', 'Padding'],
  uid: [25, 'u32', 'User id'],
  ttl_propagate: [26, 'u8', 'TTL propagation of MPLS'],
  ip_proto: [27, 'u8', 'IP protocol of a look-up'],
  sport: [28, 'be16', 'Source port of a look-up'],
  dport: [29, 'be16', 'Destination port of a look-up'],
  nh_id: [30, 'u32', 'Nexthop object'],
  flowlabel: [31, 'be32', 'Flow label of a look-up'],
});

export const routeFamily: Family = { name: 'route', header: routeHeader, attributes: routeAttributes };
