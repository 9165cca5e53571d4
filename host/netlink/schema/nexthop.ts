/** Nexthop objects and groups: struct nhmsg and NHA_*. */

import { array, attributes, type Family, many, nest, struct } from '../schema.ts';
import { encap } from './encap.ts';

/** linux/nexthop.h struct nhmsg */
export const nexthopHeader = struct('nhmsg', {
  family: 'u8',
  scope: 'u8',
  protocol: 'u8',
  resvd: 'u8',
  flags: 'u32',
});

/** linux/nexthop.h struct nexthop_grp; the weight is weight_high * 256 + weight + 1. */
export const nexthopGroupMember = struct('nexthop_grp', {
  id: 'u32',
  weight: 'u8',
  weight_high: 'u8',
  resvd2: 'u16',
});

export const nexthopResilientAttributes = attributes(
  'nexthop resilient group',
  'enum NHA_RES_GROUP_* in linux/nexthop.h',
  {
    pad: [0, 'binary', 'Padding'],
    buckets: [1, 'u16', 'Number of buckets'],
    idle_timer: [2, 'u32', 'Hundredths of seconds until a bucket is idle'],
    unbalanced_timer: [3, 'u32', 'Hundredths of seconds until buckets are moved by force'],
    unbalanced_time: [4, 'u64', 'Hundredths of seconds out of balance'],
  },
);

export const nexthopBucketAttributes = attributes(
  'nexthop resilient bucket',
  'enum NHA_RES_BUCKET_* in linux/nexthop.h',
  {
    pad: [0, 'binary', 'Padding'],
    index: [1, 'u16', 'Number of the bucket'],
    idle_time: [2, 'u64', 'Hundredths of seconds since it was used'],
    nh_id: [3, 'u32', 'Nexthop it is assigned to'],
  },
);

export const nexthopStatisticsEntryAttributes = attributes(
  'nexthop group statistics entry',
  'enum NHA_GROUP_STATS_ENTRY_* in linux/nexthop.h',
  {
    id: [1, 'u32', 'Nexthop'],
    packets: [2, 'uint', 'Packets'],
    packets_hw: [3, 'uint', 'Packets forwarded by hardware'],
  },
);

export const nexthopStatisticsAttributes = attributes(
  'nexthop group statistics',
  'enum NHA_GROUP_STATS_* in linux/nexthop.h',
  { entry: [1, many(nest(() => nexthopStatisticsEntryAttributes)), 'A member'] },
);

export const nexthopAttributes = attributes('nexthop', 'enum NHA_* in linux/nexthop.h', {
  id: [1, 'u32', 'Identifier'],
  group: [2, array(nexthopGroupMember), 'Members'],
  group_type: [3, 'u16', '0 multipath, 1 resilient'],
  blackhole: [4, 'flag', 'Drop'],
  oif: [5, 'u32', 'Outgoing interface'],
  gateway: [6, 'ip', 'Gateway'],
  encap_type: [7, 'u16', 'LWTUNNEL_ENCAP_*'],
  encap: [8, encap, 'Encapsulation'],
  groups: [9, 'flag', 'Dump only groups'],
  master: [10, 'u32', 'Dump only nexthops of this master'],
  fdb: [11, 'flag', 'For fdb entries, not for routes'],
  res_group: [12, nest(() => nexthopResilientAttributes), 'Resilient group'],
  res_bucket: [13, nest(() => nexthopBucketAttributes), 'Bucket of a resilient group'],
  op_flags: [14, 'u32', 'NHA_OP_FLAG_*'],
  group_stats: [15, nest(() => nexthopStatisticsAttributes), 'Counters of the members'],
  hw_stats_enable: [16, 'u32', 'Count in hardware'],
  hw_stats_used: [17, 'u32', 'Hardware counts'],
});

export const nexthopFamily: Family = {
  name: 'nexthop',
  header: nexthopHeader,
  attributes: nexthopAttributes,
};
