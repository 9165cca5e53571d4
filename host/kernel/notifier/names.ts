/** Names of the kernel's numbers in events, as iproute2 prints them. */

/** include/uapi/linux/rtnetlink.h: RTN_* */
export const ROUTE_TYPES = [
  'unspec',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
  'nat',
  'xresolve',
] as const;

/** RTNH_F_* by bit */
export const NEXTHOP_FLAGS = [
  'dead',
  'pervasive',
  'onlink',
  'offload',
  'linkdown',
  'unresolved',
  'trap',
] as const;

/** include/uapi/linux/lwtunnel.h: enum lwtunnel_encap_types */
export const ENCAPS = [
  'none',
  'mpls',
  'ip',
  'ila',
  'ip6',
  'seg6',
  'bpf',
  'seg6local',
  'rpl',
  'ioam6',
  'xfrm',
] as const;

/** include/uapi/linux/fib_rules.h: FR_ACT_* */
export const RULE_ACTIONS = [
  'unspec',
  'to_tbl',
  'goto',
  'nop',
  'res3',
  'res4',
  'blackhole',
  'unreachable',
  'prohibit',
] as const;

/** NUD_* by bit */
export const NEIGHBOUR_STATES = [
  'incomplete',
  'reachable',
  'stale',
  'delay',
  'probe',
  'failed',
  'noarp',
  'permanent',
] as const;

/** NTF_* by bit; from bit 8 on NTF_EXT_* */
export const NEIGHBOUR_FLAGS = [
  'use',
  'self',
  'master',
  'proxy',
  'extern_learn',
  'offload',
  'sticky',
  'router',
  'managed',
  'locked',
  'extern_valid',
] as const;

/** IFF_* by bit */
export const LINK_FLAGS = [
  'up',
  'broadcast',
  'debug',
  'loopback',
  'pointopoint',
  'notrailers',
  'running',
  'noarp',
  'promisc',
  'allmulti',
  'master',
  'slave',
  'multicast',
  'portsel',
  'automedia',
  'dynamic',
  'lower_up',
  'dormant',
  'echo',
] as const;

/** include/uapi/linux/if.h: IF_OPER_* */
export const OPERSTATES = [
  'unknown',
  'notpresent',
  'down',
  'lowerlayerdown',
  'testing',
  'dormant',
  'up',
] as const;

/** FDB_* of bpf/notifier/record.h by bit: the bit fields of struct switchdev_notifier_fdb_info */
export const FDB_FLAGS = ['added_by_user', 'local', 'locked', 'offloaded'] as const;

/** include/net/switchdev.h: enum switchdev_obj_id */
export const PORT_OBJECTS = [
  'undefined',
  'vlan',
  'mdb',
  'host-mdb',
  'mrp',
  'mrp-ring-test',
  'mrp-ring-role',
  'mrp-ring-state',
  'mrp-in-test',
  'mrp-in-role',
  'mrp-in-state',
] as const;

/** include/uapi/linux/if_bridge.h: BRIDGE_VLAN_INFO_* by bit */
export const VLAN_FLAGS = [
  'master',
  'pvid',
  'untagged',
  'range-begin',
  'range-end',
  'brentry',
  'only-opts',
] as const;

/** include/net/switchdev.h: enum switchdev_attr_id */
export const PORT_ATTRIBUTES = [
  'undefined',
  'stp-state',
  'mst-state',
  'bridge-flags',
  'pre-bridge-flags',
  'mrouter',
  'ageing-time',
  'vlan-filtering',
  'vlan-protocol',
  'mc-disabled',
  'bridge-mrouter',
  'mst',
  'mrp-port-role',
  'vlan-msti',
] as const;

/** The name of a number, or the number itself where there is none. */
export function nameOf(names: readonly string[], value: number): string | number {
  return names[value] ?? value;
}

/** Names of the bits that are set; a bit without a name is `bitN`. */
export function namesOf(names: readonly string[], bits: number): string[] {
  const set: string[] = [];
  for (let bit = 0; bit < 32; bit++) if ((bits >>> bit) & 1) set.push(names[bit] ?? `bit${bit}`);
  return set;
}
