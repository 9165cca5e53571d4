/** IPsec policies: struct xfrm_userpolicy_info and XFRMA_*, and what becomes of packets that none matches. */

import { array, attributes, type Family, struct } from '../schema.ts';

/** linux/xfrm.h struct xfrm_selector; addresses are 16 bytes, of which IPv4 uses the first 4. */
export const xfrmSelector = struct('xfrm_selector', {
  daddr: { bytes: 16 },
  saddr: { bytes: 16 },
  dport: 'be16',
  dport_mask: 'be16',
  sport: 'be16',
  sport_mask: 'be16',
  family: 'u16',
  prefixlen_d: 'u8',
  prefixlen_s: 'u8',
  proto: 'u8',
  ifindex: 's32',
  user: 'u32',
});

/** linux/xfrm.h struct xfrm_lifetime_cfg; all bits set: no limit. */
export const xfrmLifetimeLimits = struct('xfrm_lifetime_cfg', {
  soft_byte_limit: 'u64',
  hard_byte_limit: 'u64',
  soft_packet_limit: 'u64',
  hard_packet_limit: 'u64',
  soft_add_expires_seconds: 'u64',
  hard_add_expires_seconds: 'u64',
  soft_use_expires_seconds: 'u64',
  hard_use_expires_seconds: 'u64',
});

/** linux/xfrm.h struct xfrm_lifetime_cur */
export const xfrmLifetime = struct('xfrm_lifetime_cur', {
  bytes: 'u64',
  packets: 'u64',
  add_time: 'u64',
  use_time: 'u64',
});

/** linux/xfrm.h struct xfrm_userpolicy_info */
export const xfrmPolicyHeader = struct('xfrm_userpolicy_info', {
  sel: xfrmSelector,
  lft: xfrmLifetimeLimits,
  curlft: xfrmLifetime,
  priority: 'u32',
  index: 'u32',
  dir: 'u8',
  action: 'u8',
  flags: 'u8',
  share: 'u8',
});

/** linux/xfrm.h struct xfrm_user_tmpl, with struct xfrm_id laid out in it. */
export const xfrmTemplate = struct('xfrm_user_tmpl', {
  daddr: { bytes: 16 },
  spi: 'be32',
  proto: 'u8',
  pad1: { bytes: 3 },
  family: 'u16',
  pad2: 'u16',
  saddr: { bytes: 16 },
  reqid: 'u32',
  mode: 'u8',
  share: 'u8',
  optional: 'u8',
  aalgos: 'u32',
  ealgos: 'u32',
  calgos: 'u32',
});

export const xfrmPolicyType = struct('xfrm_userpolicy_type', {
  type: 'u8',
  reserved1: 'u16',
  reserved2: 'u8',
});

export const xfrmMark = struct('xfrm_mark', { v: 'u32', m: 'u32' });

export const xfrmOffload = struct('xfrm_user_offload', { ifindex: 's32', flags: 'u8' });

export const xfrmPolicyAttributes = attributes('IPsec policy', 'enum XFRMA_* in linux/xfrm.h', {
  tmpl: [5, array(xfrmTemplate), 'Transformations that packets must get, or have gone through'],
  policy: [7, xfrmPolicyHeader, 'In deletions: the policy'],
  sec_ctx: [8, 'binary', 'Security context, struct xfrm_user_sec_ctx'],
  policy_type: [16, xfrmPolicyType, '0 main, 1 sub'],
  mark: [21, xfrmMark, 'Mark and mask that packets must have'],
  pad: [27, 'binary', 'Padding'],
  offload_dev: [28, xfrmOffload, 'Device that takes the policy'],
  if_id: [31, 'u32', 'Only packets through the XFRM interface of this id'],
});

export const xfrmPolicyFamily: Family = {
  name: 'xfrm-policy',
  header: xfrmPolicyHeader,
  attributes: xfrmPolicyAttributes,
};

/** linux/xfrm.h struct xfrm_userpolicy_default: XFRM_USERPOLICY_*, 1 block, 2 accept. */
export const xfrmDefaultHeader = struct('xfrm_userpolicy_default', { in: 'u8', fwd: 'u8', out: 'u8' });

export const xfrmDefaultAttributes = attributes(
  'IPsec default',
  'struct xfrm_userpolicy_default in linux/xfrm.h',
  {},
);

export const xfrmDefaultFamily: Family = {
  name: 'xfrm-default',
  header: xfrmDefaultHeader,
  attributes: xfrmDefaultAttributes,
};
