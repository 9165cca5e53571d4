/**
 * Names of the kinds of objects, in the order they are dumped: later ones refer to earlier ones. The last is what users ask of
 * plugins, which the kernel knows nothing of.
 */
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
  'offload',
] as const;

export type Kind = (typeof KINDS)[number];

/** Those that the kernel has; the others are the host's own. */
export type KernelKind = Exclude<Kind, 'offload'>;
export const KERNEL_KINDS = KINDS.filter((kind): kind is KernelKind => kind !== 'offload');
