/** Names of the kinds of kernel objects, in the order they are dumped: later ones refer to earlier ones. */
export const KINDS = [
  'link',
  'netconf',
  'address',
  'neighbour',
  'fdb',
  'mdb',
  'vlan',
  'nexthop',
  'rule',
  'route',
  'qdisc',
  'class',
  'chain',
  'filter',
  'action',
  'xfrm-default',
  'xfrm-policy',
  'nft-table',
  'nft-chain',
  'nft-rule',
  'nft-flowtable',
  'flow',
] as const;

export type Kind = (typeof KINDS)[number];
