/** nf_tables objects: family and names; rules by handle, which is unique in their table. */

import {
  nftChainAttributes,
  nftFlowtableAttributes,
  nftHeader,
  nftRuleAttributes,
  nftTableAttributes,
} from '../../netlink/schema/nft.ts';
import { type KeyOf, putFound } from '../key.ts';

function named(...attributes: readonly number[]): KeyOf {
  return (data, start, end, out) => {
    if (end - start < nftHeader.size) return 0;
    out[0] = data.bytes[start]!;
    let words = 1;
    for (const attribute of attributes) {
      words = putFound(data, start + nftHeader.size, end, attribute, out, words);
    }
    return words;
  };
}

export const nftTableKey = named(nftTableAttributes.number.name);
export const nftChainKey = named(nftChainAttributes.number.table, nftChainAttributes.number.name);
export const nftRuleKey = named(nftRuleAttributes.number.table, nftRuleAttributes.number.handle);
export const nftFlowtableKey = named(nftFlowtableAttributes.number.table, nftFlowtableAttributes.number.name);
