/** The family table of every kind. */

import type { Kind } from '../kinds.ts';
import type { Family } from '../schema.ts';
import { addressFamily } from './address.ts';
import { flowFamily } from './conntrack.ts';
import { linkFamily } from './link.ts';
import { mdbFamily } from './mdb.ts';
import { neighbourFamily } from './neighbour.ts';
import { netconfFamily } from './netconf.ts';
import { nexthopFamily } from './nexthop.ts';
import { nftChainFamily, nftFlowtableFamily, nftRuleFamily, nftTableFamily } from './nft.ts';
import { offloadFamily } from './offload.ts';
import { routeFamily } from './route.ts';
import { ruleFamily } from './rule.ts';
import { actionFamily, chainFamily, classFamily, filterFamily, qdiscFamily } from './tc.ts';
import { vlanFamily } from './vlan.ts';
import { xfrmDefaultFamily, xfrmPolicyFamily } from './xfrm.ts';

export const FAMILIES: Readonly<Record<Kind, Family>> = {
  link: linkFamily,
  netconf: netconfFamily,
  address: addressFamily,
  neighbour: neighbourFamily,
  fdb: neighbourFamily,
  mdb: mdbFamily,
  vlan: vlanFamily,
  nexthop: nexthopFamily,
  rule: ruleFamily,
  route: routeFamily,
  qdisc: qdiscFamily,
  class: classFamily,
  chain: chainFamily,
  filter: filterFamily,
  action: actionFamily,
  'xfrm-default': xfrmDefaultFamily,
  'xfrm-policy': xfrmPolicyFamily,
  'nft-table': nftTableFamily,
  'nft-chain': nftChainFamily,
  'nft-rule': nftRuleFamily,
  'nft-flowtable': nftFlowtableFamily,
  flow: flowFamily,
  offload: offloadFamily,
};
