/** Which notifications are about which kind, and the groups that carry them. */

import { KERNEL_KINDS, type KernelKind, KIND, type KindNumber } from '../mirror/types.ts';
import { NETLINK_XFRM } from '../netlink/message.ts';
import * as rt from './rtnetlink.ts';
import { AF_BRIDGE } from './rtnetlink.ts';

interface Announcement {
  readonly protocol?: number;
  /** Message type of an addition; deletions are one above (two for those of netfilter, and NFT_MSG_DESTROY*). */
  readonly type: number;
  readonly groups: readonly number[];
}

const ANNOUNCEMENTS: Readonly<Record<KernelKind, Announcement>> = {
  link: { type: rt.RTM_NEWLINK, groups: [rt.RTNLGRP_LINK] },
  netconf: { type: rt.RTM_NEWNETCONF, groups: [rt.RTNLGRP_IPV4_NETCONF, rt.RTNLGRP_IPV6_NETCONF] },
  address: { type: rt.RTM_NEWADDR, groups: [rt.RTNLGRP_IPV4_IFADDR, rt.RTNLGRP_IPV6_IFADDR] },
  neighbour: { type: rt.RTM_NEWNEIGH, groups: [rt.RTNLGRP_NEIGH] },
  fdb: { type: rt.RTM_NEWNEIGH, groups: [rt.RTNLGRP_NEIGH] },
  mdb: { type: rt.RTM_NEWMDB, groups: [rt.RTNLGRP_MDB] },
  vlan: { type: rt.RTM_NEWVLAN, groups: [rt.RTNLGRP_BRVLAN] },
  nexthop: { type: rt.RTM_NEWNEXTHOP, groups: [rt.RTNLGRP_NEXTHOP] },
  rule: { type: rt.RTM_NEWRULE, groups: [rt.RTNLGRP_IPV4_RULE, rt.RTNLGRP_IPV6_RULE] },
  route: { type: rt.RTM_NEWROUTE, groups: [rt.RTNLGRP_IPV4_ROUTE, rt.RTNLGRP_IPV6_ROUTE] },
  qdisc: { type: rt.RTM_NEWQDISC, groups: [rt.RTNLGRP_TC] },
  class: { type: rt.RTM_NEWTCLASS, groups: [rt.RTNLGRP_TC] },
  chain: { type: rt.RTM_NEWCHAIN, groups: [rt.RTNLGRP_TC] },
  filter: { type: rt.RTM_NEWTFILTER, groups: [rt.RTNLGRP_TC] },
  action: { type: rt.RTM_NEWACTION, groups: [rt.RTNLGRP_TC] },
  'xfrm-default': { protocol: NETLINK_XFRM, type: rt.XFRM_MSG_GETDEFAULT, groups: [rt.XFRMNLGRP_POLICY] },
  'xfrm-policy': {
    protocol: NETLINK_XFRM,
    type: rt.XFRM_MSG_NEWPOLICY,
    groups: [rt.XFRMNLGRP_POLICY, rt.XFRMNLGRP_EXPIRE, rt.XFRMNLGRP_MIGRATE],
  },
  'nft-table': { type: rt.NFT_MSG_NEWTABLE, groups: [rt.NFNLGRP_NFTABLES] },
  'nft-chain': { type: rt.NFT_MSG_NEWCHAIN, groups: [rt.NFNLGRP_NFTABLES] },
  'nft-rule': { type: rt.NFT_MSG_NEWRULE, groups: [rt.NFNLGRP_NFTABLES] },
  'nft-flowtable': { type: rt.NFT_MSG_NEWFLOWTABLE, groups: [rt.NFNLGRP_NFTABLES] },
  // See flow-watch.ts.
  flow: { type: rt.IPCTNL_MSG_CT_NEW, groups: [] },
};

const NOT_MIRRORED = -1;
const DELETING = 0x100;
/** Something of the kind changed that the message does not tell. */
const ALL = 0x200;

/** Kind by message type, DELETING added for deletions. Types of NETLINK_XFRM overlap those of the other protocols. */
const BY_TYPE = new Int16Array(0x10000).fill(NOT_MIRRORED);
const BY_XFRM_TYPE = new Int16Array(0x10000).fill(NOT_MIRRORED);
for (const kind of KERNEL_KINDS) {
  const { type, protocol } = ANNOUNCEMENTS[kind];
  if (protocol === NETLINK_XFRM) {
    BY_XFRM_TYPE[type] = KIND[kind];
    continue;
  }
  if (kind === 'fdb') continue; // shares its messages with neighbour, see kindOf
  BY_TYPE[type] = KIND[kind];
  BY_TYPE[type + (kind.startsWith('nft-') || kind === 'flow' ? 2 : 1)] = KIND[kind] | DELETING;
}
/** These dumps answer with the type of the request (net/bridge/br_mdb.c br_mdb_dump, net/sched/act_api.c tc_dump_action). */
BY_TYPE[rt.RTM_NEWMDB + 2] = KIND.mdb;
BY_TYPE[rt.RTM_NEWACTION + 2] = KIND.action;
/** NFT_MSG_DESTROY*: deletions that do not mind absence are announced so. */
BY_TYPE[rt.NFT_MSG | 26] = KIND['nft-table'] | DELETING;
BY_TYPE[rt.NFT_MSG | 27] = KIND['nft-chain'] | DELETING;
BY_TYPE[rt.NFT_MSG | 28] = KIND['nft-rule'] | DELETING;
BY_TYPE[rt.NFT_MSG | 32] = KIND['nft-flowtable'] | DELETING;

BY_XFRM_TYPE[rt.XFRM_MSG_DELPOLICY] = KIND['xfrm-policy'] | DELETING;
BY_XFRM_TYPE[rt.XFRM_MSG_UPDPOLICY] = KIND['xfrm-policy'];
/** A policy may have left with its lifetime; all have, or all of a type; templates changed. */
for (const type of [rt.XFRM_MSG_POLEXPIRE, rt.XFRM_MSG_FLUSHPOLICY, rt.XFRM_MSG_MIGRATE])
  BY_XFRM_TYPE[type] = KIND['xfrm-policy'] | ALL;

function entryOf(protocol: number, type: number): number {
  return protocol === NETLINK_XFRM ? BY_XFRM_TYPE[type]! : BY_TYPE[type]!;
}

/** The kind a message is about, -1 for none. `family` is the first byte of its header. */
export function kindOf(protocol: number, type: number, family: number): KindNumber {
  const entry = entryOf(protocol, type);
  if (entry < 0) return NOT_MIRRORED;
  const kind = entry & 0xff;
  return kind === KIND.neighbour && family === AF_BRIDGE ? KIND.fdb : kind;
}

export function isDeletion(protocol: number, type: number): boolean {
  return (entryOf(protocol, type) & DELETING) !== 0;
}

/** The message says no more than that its kind is to be read again. */
export function concernsAll(protocol: number, type: number): boolean {
  const entry = entryOf(protocol, type);
  return entry >= 0 && (entry & ALL) !== 0;
}

export function groupsOf(kinds: Iterable<KernelKind>): number[] {
  const groups = new Set<number>();
  for (const kind of kinds) for (const group of ANNOUNCEMENTS[kind].groups) groups.add(group);
  return [...groups];
}
