/** The identity key of every kind. */

import type { KeyOf } from './key.ts';
import { actionKey } from './keys/action.ts';
import { addressKey } from './keys/address.ts';
import { fdbKey } from './keys/fdb.ts';
import { flowKey } from './keys/flow.ts';
import { linkKey } from './keys/link.ts';
import { mdbKey } from './keys/mdb.ts';
import { neighbourKey } from './keys/neighbour.ts';
import { netconfKey } from './keys/netconf.ts';
import { nexthopKey } from './keys/nexthop.ts';
import { nftChainKey, nftFlowtableKey, nftRuleKey, nftTableKey } from './keys/nft.ts';
import { offloadKey } from './keys/offload.ts';
import { routeKey } from './keys/route.ts';
import { ruleKey } from './keys/rule.ts';
import { chainKey, classKey, filterKey, qdiscKey } from './keys/tc.ts';
import { vlanKey } from './keys/vlan.ts';
import { xfrmDefaultKey, xfrmPolicyKey } from './keys/xfrm.ts';
import type { Kind } from './types.ts';

export const KEYS: Readonly<Record<Kind, KeyOf>> = {
  link: linkKey,
  netconf: netconfKey,
  address: addressKey,
  neighbour: neighbourKey,
  fdb: fdbKey,
  mdb: mdbKey,
  vlan: vlanKey,
  nexthop: nexthopKey,
  rule: ruleKey,
  route: routeKey,
  qdisc: qdiscKey,
  class: classKey,
  chain: chainKey,
  filter: filterKey,
  action: actionKey,
  'xfrm-default': xfrmDefaultKey,
  'xfrm-policy': xfrmPolicyKey,
  'nft-table': nftTableKey,
  'nft-chain': nftChainKey,
  'nft-rule': nftRuleKey,
  'nft-flowtable': nftFlowtableKey,
  flow: flowKey,
  offload: offloadKey,
};
