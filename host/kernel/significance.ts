/**
 * What of an object counts. Some attributes are not worth storing (counters, times since use), some are stored but are
 * no change when they differ alone (timers that run, flags that only tell how an object fares).
 */

import { KINDS } from '../mirror/types.ts';
import { addressAttributes } from '../netlink/schema/address.ts';
import { flowAttributes } from '../netlink/schema/conntrack.ts';
import { FAMILIES } from '../netlink/schema/families.ts';
import {
  bridgeAttributes,
  bridgePortAttributes,
  linkAttributes,
  linkInet6Attributes,
  linkInetAttributes,
  linkInfoAttributes,
} from '../netlink/schema/link.ts';
import { mdbEntryAttributes, mdbRouterPortAttributes, mdbSourceAttributes } from '../netlink/schema/mdb.ts';
import { neighbourAttributes } from '../netlink/schema/neighbour.ts';
import { netconfAttributes } from '../netlink/schema/netconf.ts';
import { nexthopAttributes, nexthopResilientAttributes } from '../netlink/schema/nexthop.ts';
import {
  nftChainAttributes,
  nftCounterAttributes,
  nftFlowtableAttributes,
  nftTableAttributes,
} from '../netlink/schema/nft.ts';
import { routeAttributes } from '../netlink/schema/route.ts';
import {
  actionAttributes,
  filterAttributes,
  matchallAttributes,
  qdiscAttributes,
  u32Attributes,
} from '../netlink/schema/tc.ts';
import { vlanEntryAttributes } from '../netlink/schema/vlan.ts';
import type { Attribute, AttributeSet } from '../netlink/schema.ts';

function named<Name extends string>(
  set: AttributeSet<Name>,
  ...names: readonly NoInfer<Name>[]
): Attribute[] {
  return names.map((name) => set.byName.get(name)!);
}

/** `tm` (struct tcf_t) of every type of action. */
function actionTimes(): Attribute[] {
  const options = actionAttributes.byName.get('options')!.type;
  if (typeof options === 'string' || options.kind !== 'select') return [];
  return Object.values(options.of).flatMap((type) => {
    const times =
      typeof type !== 'string' && type.kind === 'nest' ? type.attributes().byName.get('tm') : undefined;
    return times === undefined ? [] : [times];
  });
}

/** Never stored: counters and ages, and what only notifications or only dumps carry. */
export const NOT_STORED: ReadonlySet<Attribute> = new Set([
  ...named(linkAttributes, 'stats', 'stats64', 'event', 'new_netnsid', 'new_ifindex', 'ext_mask'),
  ...named(linkInfoAttributes, 'xstats'),
  ...named(linkInetAttributes, 'conf'),
  ...named(linkInet6Attributes, 'flags', 'conf', 'stats', 'icmp6stats', 'cacheinfo'),
  ...named(neighbourAttributes, 'cacheinfo', 'probes'),
  ...named(mdbEntryAttributes, 'timer'),
  ...named(mdbSourceAttributes, 'timer'),
  ...named(mdbRouterPortAttributes, 'timer', 'inet_timer', 'inet6_timer'),
  ...named(vlanEntryAttributes, 'stats'),
  ...named(nexthopAttributes, 'group_stats', 'hw_stats_used'),
  ...named(qdiscAttributes, 'stats', 'xstats', 'stats2', 'ext_warn_msg'),
  ...named(filterAttributes, 'stats', 'xstats', 'stats2', 'ext_warn_msg'),
  ...named(actionAttributes, 'stats'),
  ...named(matchallAttributes, 'pcnt'),
  ...named(u32Attributes, 'pcnt'),
  ...actionTimes(),
  ...named(
    flowAttributes,
    'timeout',
    'counters_orig',
    'counters_reply',
    'use',
    'timestamp',
    'timestamp_event',
  ),
]);

/**
 * What only answers to requests have, and notifications leave out (net/core/rtnetlink.c rtmsg_ifinfo asks for no RTEXT_FILTER_VF):
 * kept when a link is announced, and read again.
 */
export const VIRTUAL_FUNCTIONS: readonly Attribute[] = named(
  linkAttributes,
  'num_vf',
  'vfinfo_list',
  'vf_ports',
  'port_self',
);

/**
 * Stored, and a change where one is announced; not all are: attaching XDP by a BPF link is not, nor virtual functions that are
 * made by writing to sysfs, nor how much a link takes at once (net/core/rtnetlink.c do_setlink: DO_SETLINK_MODIFIED alone), nor
 * the sysctls for how IPv6 addresses are made (net/ipv6/addrconf.c addrconf_sysctl_addr_gen_mode) and for broadcasts that are
 * forwarded (net/ipv4/devinet.c devinet_conf_proc).
 */
export const NOT_ANNOUNCED: ReadonlySet<Attribute> = new Set([
  ...named(
    linkAttributes,
    'xdp',
    'gso_max_segs',
    'gso_max_size',
    'gso_ipv4_max_size',
    'gro_max_size',
    'gro_ipv4_max_size',
    'tso_max_segs',
    'tso_max_size',
  ),
  ...named(linkInet6Attributes, 'addr_gen_mode'),
  ...named(netconfAttributes, 'bc_forwarding'),
  ...VIRTUAL_FUNCTIONS,
]);

/** Besides, what is announced of links that are up alone (net/core/dev.c netdev_state_change); that they come up is announced. */
export const NOT_ANNOUNCED_DOWN: ReadonlySet<Attribute> = new Set([
  ...NOT_ANNOUNCED,
  ...named(
    linkAttributes,
    'ifalias',
    'group',
    'linkmode',
    'operstate',
    'carrier',
    'prop_list',
    'proto_down',
    'proto_down_reason',
  ),
  ...named(linkInfoAttributes, 'data', 'slave_data'),
]);

/** Stored, but no change: running timers, and counts and states that change without a notification. */
export const NOT_COMPARED: ReadonlySet<Attribute> = new Set([
  ...named(
    linkAttributes,
    'promiscuity',
    'allmulti',
    'carrier_changes',
    'carrier_up_count',
    'carrier_down_count',
  ),
  ...named(
    bridgeAttributes,
    'hello_timer',
    'tcn_timer',
    'topology_change_timer',
    'gc_timer',
    'fdb_n_learned',
    'mcast_querier_state',
    // What spanning tree learns comes without a notification.
    'root_id',
    'root_port',
    'root_path_cost',
    'topology_change',
    'topology_change_detected',
  ),
  ...named(
    bridgePortAttributes,
    'message_age_timer',
    'forward_delay_timer',
    'hold_timer',
    'mcast_n_groups',
    // Hosts that IGMPv3 or MLDv2 reported.
    'mcast_eht_hosts_cnt',
    'root_id',
    'bridge_id',
    'designated_port',
    'designated_cost',
    'topology_change_ack',
    'config_pending',
  ),
  ...named(addressAttributes, 'cacheinfo'),
  ...named(routeAttributes, 'cacheinfo'),
  ...named(vlanEntryAttributes, 'mcast_n_groups'),
  // Set by the first dump that asks the driver for counters.
  ...named(actionAttributes, 'used_hw_stats'),
  ...named(nexthopResilientAttributes, 'unbalanced_time'),
  ...named(nftTableAttributes, 'use'),
  ...named(nftChainAttributes, 'use', 'counters'),
  ...named(nftFlowtableAttributes, 'use'),
  ...named(nftCounterAttributes, 'bytes', 'packets'),
  ...named(flowAttributes, 'protoinfo', 'seq_adj_orig', 'seq_adj_reply'),
]);

/** Family tables by kind number. */
export const FAMILY_OF = KINDS.map((kind) => FAMILIES[kind]);
