/** Numbers of linux/rtnetlink.h, linux/netfilter/nf_tables.h and linux/xfrm.h that requests and subscriptions need. */

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;

/** RTM_GET*, RTM_DEL* and RTM_NEW* of an object are 2, 1 and 0 above a multiple of 4. */
export const RTM_NEWLINK = 16;
export const RTM_NEWADDR = 20;
export const RTM_NEWROUTE = 24;
export const RTM_NEWNEIGH = 28;
export const RTM_NEWRULE = 32;
export const RTM_NEWQDISC = 36;
export const RTM_NEWTCLASS = 40;
export const RTM_NEWTFILTER = 44;
export const RTM_NEWACTION = 48;
export const RTM_NEWNETCONF = 80;
export const RTM_NEWMDB = 84;
export const RTM_NEWCHAIN = 100;
export const RTM_NEWNEXTHOP = 104;
export const RTM_NEWVLAN = 112;

/** enum rtnetlink_groups */
export const RTNLGRP_LINK = 1;
export const RTNLGRP_NEIGH = 3;
export const RTNLGRP_TC = 4;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV4_ROUTE = 7;
export const RTNLGRP_IPV4_RULE = 8;
export const RTNLGRP_IPV6_IFADDR = 9;
export const RTNLGRP_IPV6_ROUTE = 11;
export const RTNLGRP_IPV6_RULE = 19;
export const RTNLGRP_IPV4_NETCONF = 24;
export const RTNLGRP_IPV6_NETCONF = 25;
export const RTNLGRP_MDB = 26;
export const RTNLGRP_NEXTHOP = 32;
export const RTNLGRP_BRVLAN = 33;

/** Link dumps: without counters, with virtual functions (RTEXT_FILTER_*). */
export const RTEXT_FILTER_VF = 1;
export const RTEXT_FILTER_SKIP_STATS = 8;

/** BRIDGE_VLANDB_DUMP_FLAGS and what it takes. */
export const BRIDGE_VLANDB_DUMP_FLAGS = 1;
export const BRIDGE_VLANDB_DUMPF_GLOBAL = 2;

/** Route flags: found by a lookup or an exception, not configured. */
export const RTM_F_CLONED = 0x200;

/** linux/netconf.h: settings for all links. */
export const NETCONFA_IFINDEX_ALL = -1;

/** Link flags. */
export const IFF_UP = 0x1;
export const IFF_RUNNING = 0x40;
export const IFF_LOWER_UP = 0x10000;

/** Neighbour states and flags. */
export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NTF_SELF = 0x02;
export const NTF_PROXY = 0x08;

export const TC_H_ROOT = 0xffffffff;
export const TC_H_CLSACT = 0xffff0000;
export const TC_H_MIN_INGRESS = 0xfff2;
export const TC_H_MIN_EGRESS = 0xfff3;
/** tcm_ifindex of objects of a shared block. */
export const TCM_IFINDEX_MAGIC_BLOCK = 0xffffffff;

/** Message types of NETLINK_XFRM, which overlap those of NETLINK_ROUTE. */
export const XFRM_MSG_NEWPOLICY = 0x13;
export const XFRM_MSG_DELPOLICY = 0x14;
export const XFRM_MSG_GETPOLICY = 0x15;
export const XFRM_MSG_UPDPOLICY = 0x19;
export const XFRM_MSG_POLEXPIRE = 0x1b;
export const XFRM_MSG_FLUSHPOLICY = 0x1d;
export const XFRM_MSG_MIGRATE = 0x21;
export const XFRM_MSG_GETDEFAULT = 0x28;
export const XFRMNLGRP_EXPIRE = 2;
export const XFRMNLGRP_POLICY = 4;
export const XFRMNLGRP_MIGRATE = 5;
/** Directions of policies; those above are of sockets. */
export const XFRM_POLICY_FWD = 2;

/** Message types of nf_tables: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_*. */
export const NFT_MSG = 10 << 8;
export const NFT_MSG_NEWTABLE = NFT_MSG | 0;
export const NFT_MSG_NEWCHAIN = NFT_MSG | 3;
export const NFT_MSG_NEWRULE = NFT_MSG | 6;
export const NFT_MSG_NEWFLOWTABLE = NFT_MSG | 22;
export const NFNLGRP_NFTABLES = 7;

/** Message types of ctnetlink: NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_*. */
export const IPCTNL_MSG_CT_NEW = 1 << 8;
