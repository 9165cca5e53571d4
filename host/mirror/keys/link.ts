/** A link is its interface index; with AF_BRIDGE too. */

import type { KeyOf } from '../key.ts';

export const linkKey: KeyOf = (data, start, end, out) => {
  if (end - start < 16) return 0;
  out[0] = data.words[(start + 4) >>> 2]!;
  return 1;
};
