/** IPsec policies by the index the kernel gives them; what holds without a policy is one object. */

import { xfrmPolicyHeader } from '../../netlink/schema/xfrm.ts';
import type { KeyOf } from '../key.ts';

export const xfrmPolicyKey: KeyOf = (data, start, end, out) => {
  if (end - start < xfrmPolicyHeader.size) return 0;
  out[0] = data.words[(start + xfrmPolicyHeader.offset.index) >>> 2]!;
  return 1;
};

export const xfrmDefaultKey: KeyOf = (_data, start, end, out) => {
  if (end - start < 4) return 0;
  out[0] = 0;
  return 1;
};
