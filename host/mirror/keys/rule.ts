/** A policy rule has no identity but all it says, less the flags that tell how it fares (net/core/fib_rules.c). */

import { KEY_WORDS, type KeyOf } from '../key.ts';

/** FIB_RULE_UNRESOLVED, FIB_RULE_IIF_DETACHED, FIB_RULE_OIF_DETACHED */
export const RULE_STATE_FLAGS = 0x1c;

export const ruleKey: KeyOf = (data, start, end, out) => {
  if (end - start < 12) return 0;
  const words = Math.min((end - start) >>> 2, KEY_WORDS);
  const from = start >>> 2;
  for (let at = 0; at < words; at++) out[at] = data.words[from + at]!;
  out[2] = out[2]! & ~RULE_STATE_FLAGS;
  return words;
};
