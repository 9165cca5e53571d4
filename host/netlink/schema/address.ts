/** Interface addresses: struct ifaddrmsg and IFA_*. */

import { attributes, type Family, struct } from '../schema.ts';

/** linux/if_addr.h struct ifaddrmsg */
export const addressHeader = struct('ifaddrmsg', {
  family: 'u8',
  prefixlen: 'u8',
  flags: 'u8',
  scope: 'u8',
  index: 'u32',
});

/** linux/if_addr.h struct ifa_cacheinfo; lifetimes in seconds, stamps in hundredths of seconds since boot. */
export const addressCacheinfo = struct('ifa_cacheinfo', {
  preferred: 'u32',
  valid: 'u32',
  cstamp: 'u32',
  tstamp: 'u32',
});

export const addressAttributes = attributes('address', 'enum IFA_* in linux/if_addr.h', {
  address: [1, 'ip', 'Prefix address; the peer of a point-to-point link'],
  local: [2, 'ip', 'The address of this machine'],
  label: [3, 'string', 'Alias name, IPv4 only'],
  broadcast: [4, 'ip', 'Broadcast address'],
  anycast: [5, 'ip', 'Anycast address'],
  cacheinfo: [6, addressCacheinfo, 'Lifetimes'],
  multicast: [7, 'ip', 'Multicast address'],
  flags: [8, 'u32', 'IFA_F_*, all 32 bits'],
  rt_priority: [9, 'u32', 'Metric of the prefix route'],
  target_netnsid: [10, 's32', 'Network namespace id'],
  proto: [11, 'u8', 'Who added it, IFAPROT_*'],
});

export const addressFamily: Family = {
  name: 'address',
  header: addressHeader,
  attributes: addressAttributes,
};
