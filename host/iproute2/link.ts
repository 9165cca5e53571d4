/** `ip -j -d link`: links with the details of their type. Follows iproute2's ip/ipaddress.c and ip/iplink_*.c. */

import { formatIp4, formatIp6, parseMac } from '../netlink/address.ts';
import type { Decoded, DecodedObject } from '../netlink/decode.ts';
import {
  copy,
  type FormatContext,
  headerNumber,
  hexText,
  type Json,
  linkName,
  listOf,
  namesOf,
  numberOf,
  recordOf,
  textOf,
} from './context.ts';
import { ethertypeName, linkTypeName } from './names.ts';

const IFF_UP = 0x1;
const IFF_POINTOPOINT = 0x10;
const IFF_RUNNING = 0x40;
const ETH_P_8021Q = 0x8100;

/** linux/if.h IFF_*, in the order they are printed. */
const LINK_FLAGS: readonly (readonly [number, string])[] = [
  [0x8, 'LOOPBACK'],
  [0x2, 'BROADCAST'],
  [0x10, 'POINTOPOINT'],
  [0x1000, 'MULTICAST'],
  [0x80, 'NOARP'],
  [0x200, 'ALLMULTI'],
  [0x100, 'PROMISC'],
  [0x400, 'MASTER'],
  [0x800, 'SLAVE'],
  [0x4, 'DEBUG'],
  [0x8000, 'DYNAMIC'],
  [0x4000, 'AUTOMEDIA'],
  [0x2000, 'PORTSEL'],
  [0x20, 'NOTRAILERS'],
  [0x1, 'UP'],
  [0x10000, 'LOWER_UP'],
  [0x20000, 'DORMANT'],
  [0x40000, 'ECHO'],
];

const OPERSTATES = ['UNKNOWN', 'NOTPRESENT', 'DOWN', 'LOWERLAYERDOWN', 'TESTING', 'DORMANT', 'UP'];
const LINK_MODES = ['DEFAULT', 'DORMANT'];
const LINK_EVENTS = [
  'NONE',
  'REBOOT',
  'FEATURE CHANGE',
  'BONDING FAILOVER',
  'NOTIFY PEERS',
  'RESEND IGMP',
  'BONDING OPTION',
];
const ADDRESS_GENERATION = ['eui64', 'none', 'stable_secret', 'random'];

/** Names for the bits of `flags` in the order of `table`, the rest as hex. */
export function flagNames(flags: number, table: readonly (readonly [number, string])[]): string[] {
  const names: string[] = [];
  let rest = flags;
  for (const [bit, name] of table) {
    if ((rest & bit) === 0) continue;
    names.push(name);
    rest &= ~bit;
  }
  if (rest !== 0) names.push((rest >>> 0).toString(16));
  return names;
}

const ARPHRD_IPV4_TUNNELS = [768, 776, 778];
const ARPHRD_IPV6_TUNNELS = [769, 823];

/** A link-layer address as iproute2 prints it: tunnels have IP addresses. `type` is ARPHRD_*. */
export function linkLayerAddress(address: string, type: number | undefined): string {
  if (type === undefined || (!ARPHRD_IPV4_TUNNELS.includes(type) && !ARPHRD_IPV6_TUNNELS.includes(type))) {
    return address;
  }
  const bytes = parseMac(address);
  if (bytes?.length === 4 && ARPHRD_IPV4_TUNNELS.includes(type)) return formatIp4(bytes, 0);
  if (bytes?.length === 16 && ARPHRD_IPV6_TUNNELS.includes(type)) return formatIp6(bytes, 0);
  return address;
}

/**
 * One link. `details` selects between `ip link` and `ip addr`, which leaves out what it does not ask the kernel for.
 */
export function formatLink(object: DecodedObject, context: FormatContext, details: 'link' | 'addr'): Json {
  const json: Json = { ifindex: headerNumber(object, 'index') };
  const lowerDown = nameAndLower(json, object, context);
  const flags = headerNumber(object, 'flags');
  const names = flagNames(flags & ~IFF_RUNNING, LINK_FLAGS);
  if ((flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) === 0) names.unshift('NO-CARRIER');
  if (lowerDown) names.push('M-DOWN');
  json.flags = names;
  copy(json, object as Decoded, { mtu: 'mtu' });
  const xdp = recordOf(object.xdp);
  if (xdp !== undefined) formatXdp(json, xdp);
  copy(json, object as Decoded, { qdisc: 'qdisc' });
  const master = numberOf(object.master);
  if (master !== undefined) json.master = linkName(context, master);
  named(json, object.operstate, OPERSTATES, 'operstate', 'operstate_index');
  if (details === 'link') named(json, object.linkmode, LINK_MODES, 'linkmode', 'linkmode_index');
  const group = numberOf(object.group);
  if (group !== undefined) json.group = namesOf(context).group(group);
  const queue = numberOf(object.txqlen);
  if (queue !== undefined && queue !== 0) json.txqlen = queue;
  const event = numberOf(object.event);
  if (event !== undefined && event !== 0) json.event = LINK_EVENTS[event] ?? event;
  formatAddresses(json, object, flags);
  const netnsid = numberOf(object.link_netnsid);
  if (netnsid !== undefined) json.link_netnsid = netnsid;
  formatProtoDown(json, object, context);
  copy(json, object as Decoded, {
    promiscuity: 'promiscuity',
    allmulti: 'allmulti',
    min_mtu: 'min_mtu',
    max_mtu: 'max_mtu',
  });
  const info = recordOf(object.linkinfo);
  if (info !== undefined) json.linkinfo = formatLinkInfo(info, context);
  if (details === 'link') formatAddressGeneration(json, object);
  copy(json, object as Decoded, {
    num_tx_queues: 'num_tx_queues',
    num_rx_queues: 'num_rx_queues',
    gso_max_size: 'gso_max_size',
    gso_max_segs: 'gso_max_segs',
    tso_max_size: 'tso_max_size',
    tso_max_segs: 'tso_max_segs',
    gro_max_size: 'gro_max_size',
    gso_ipv4_max_size: 'gso_ipv4_max_size',
    gro_ipv4_max_size: 'gro_ipv4_max_size',
    phys_port_name: 'phys_port_name',
    phys_port_id: 'phys_port_id',
    phys_switch_id: 'phys_switch_id',
    parentbus: 'parent_dev_bus_name',
    parentdev: 'parent_dev_name',
    ifalias: 'ifalias',
  });
  const functions = recordOf(object.vfinfo_list);
  if (functions !== undefined && object.num_vf !== undefined) {
    json.vfinfo_list = listOf(functions.info).map((vf) => formatVf(recordOf(vf) ?? {}, object));
  }
  const properties = recordOf(object.prop_list);
  if (properties !== undefined) json.altnames = listOf(properties.alt_ifname);
  return json;
}

const VF_LINK_STATES = ['auto', 'enable'];
const ARPHRD_ETHER = 1;

/** A virtual function (SR-IOV). */
function formatVf(vf: Decoded, object: DecodedObject): Json {
  const type = headerNumber(object, 'type');
  const octets = type === ARPHRD_ETHER ? 6 : 20;
  const address = (value: unknown): string =>
    (textOf(value) ?? '').slice(0, 2 * octets).replace(/(..)(?=.)/g, '$1:');
  const mac = recordOf(vf.mac);
  const json: Json = { vf: mac?.vf ?? 0, link_type: linkTypeName(type), address: address(mac?.mac) };
  const broadcast = recordOf(vf.broadcast);
  if (broadcast !== undefined) {
    if ((headerNumber(object, 'flags') & IFF_POINTOPOINT) !== 0) json.link_pointtopoint = true;
    json.broadcast = address(broadcast.broadcast);
  }
  const vlans = recordOf(vf.vlan_list);
  const tag = (from: Decoded): Json => {
    const printed: Json = {};
    if (from.vlan) printed.vlan = from.vlan;
    if (from.qos) printed.qos = from.qos;
    const protocol = numberOf(from.vlan_proto);
    if (protocol && protocol !== ETH_P_8021Q) printed.protocol = ethertypeName(protocol);
    return printed;
  };
  if (vlans !== undefined) json.vlan_list = listOf(vlans.info).map((info) => tag(recordOf(info) ?? {}));
  else Object.assign(json, tag(recordOf(vf.vlan) ?? {}));
  const rate = recordOf(vf.tx_rate)?.rate;
  if (rate) json.tx_rate = rate;
  const rates = recordOf(vf.rate);
  if (rates !== undefined) json.rate = { max_tx: rates.max_tx_rate, min_tx: rates.min_tx_rate };
  const setting = (printed: string, value: unknown): void => {
    const set = numberOf(recordOf(value)?.setting);
    if (set !== undefined && set !== -1) json[printed] = set !== 0;
  };
  setting('spoofchk', vf.spoofchk);
  for (const [printed, value] of [
    ['node guid', vf.ib_node_guid],
    ['port guid', vf.ib_port_guid],
  ] as const) {
    const guid = recordOf(value)?.guid;
    if (typeof guid === 'number' || typeof guid === 'bigint') {
      json[printed] = guid
        .toString(16)
        .padStart(16, '0')
        .replace(/(..)(?=.)/g, '$1:');
    }
  }
  const state = numberOf(recordOf(vf.link_state)?.link_state);
  if (state !== undefined) json.link_state = VF_LINK_STATES[state] ?? 'disable';
  setting('trust', vf.trust);
  setting('query_rss_en', vf.rss_query_en);
  return json;
}

/** Returns whether the link below is known to be down. */
function nameAndLower(json: Json, object: DecodedObject, context: FormatContext): boolean {
  const lower = numberOf(object.link);
  let down = false;
  if (lower === 0) json.link = null;
  else if (lower !== undefined && object.link_netnsid !== undefined) json.link_index = lower;
  else if (lower !== undefined) {
    json.link = linkName(context, lower);
    const below = context.link?.(lower);
    down = below !== undefined && (headerNumber(below, 'flags') & IFF_UP) === 0;
  }
  json.ifname = object.ifname ?? linkName(context, headerNumber(object, 'index'));
  return down;
}

function named(json: Json, value: unknown, names: readonly string[], key: string, indexKey: string): void {
  const number = numberOf(value);
  if (number === undefined) return;
  const name = names[number];
  if (name === undefined) json[indexKey] = number;
  else json[key] = name;
}

function formatAddresses(json: Json, object: DecodedObject, flags: number): void {
  const type = headerNumber(object, 'type');
  json.link_type = linkTypeName(type);
  const address = textOf(object.address);
  if (address !== undefined) json.address = linkLayerAddress(address, type);
  const broadcast = textOf(object.broadcast);
  if (broadcast !== undefined) {
    if ((flags & IFF_POINTOPOINT) !== 0) json.link_pointtopoint = true;
    json.broadcast = linkLayerAddress(broadcast, type);
  }
  const permanent = textOf(object.perm_address);
  if (permanent !== undefined && permanent !== address) json.permaddr = linkLayerAddress(permanent, type);
}

function formatProtoDown(json: Json, object: DecodedObject, context: FormatContext): void {
  if (numberOf(object.proto_down)) json.proto_down = true;
  const reason = numberOf(recordOf(object.proto_down_reason)?.value);
  if (reason === undefined || reason === 0) return;
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    if ((reason & (1 << bit)) !== 0) names.push(namesOf(context).protodownReason(bit));
  }
  json.proto_down_reason = names;
}

function formatAddressGeneration(json: Json, object: DecodedObject): void {
  const mode = numberOf(recordOf(recordOf(object.af_spec)?.inet6)?.addr_gen_mode);
  if (mode !== undefined) json.inet6_addr_gen_mode = ADDRESS_GENERATION[mode] ?? hexText(mode);
}

function formatXdp(json: Json, xdp: Decoded): void {
  const mode = numberOf(xdp.attached);
  if (mode === undefined || mode === 0) return;
  const attached: Json[] = [];
  for (const [attribute, attachedMode] of [
    ['skb_prog_id', 2],
    ['drv_prog_id', 1],
    ['hw_prog_id', 3],
  ] as const) {
    const id = numberOf(xdp[attribute]);
    if (id !== undefined) attached.push({ mode: attachedMode, prog: { id } });
  }
  const id = numberOf(xdp.prog_id);
  if (attached.length === 0 && id !== undefined) attached.push({ mode, prog: { id } });
  json.xdp = { mode, ...(id ? { prog: { id } } : {}), attached };
}

/** Types whose options iproute2 prints; the others have no `info_data`. */
const LINK_DATA: Readonly<Record<string, (data: Decoded, context: FormatContext) => Json>> = {
  bridge: formatBridge,
  vlan: formatVlan,
  vxlan: formatVxlan,
  macvlan: formatMacvlan,
  macvtap: formatMacvlan,
  vrf: (data) => ({ ...(data.table === undefined ? {} : { table: data.table }) }),
  bond: formatBond,
};

const LINK_SLAVE_DATA: Readonly<Record<string, (data: Decoded, context: FormatContext) => Json>> = {
  bridge: formatBridgePort,
  vrf: (data) => ({ ...(data.table === undefined ? {} : { table: data.table }) }),
  bond: formatBondSlave,
};

function formatLinkInfo(info: Decoded, context: FormatContext): Json {
  const json: Json = {};
  const kind = textOf(info.kind);
  if (kind !== undefined) {
    json.info_kind = kind;
    const format = Object.hasOwn(LINK_DATA, kind) ? LINK_DATA[kind] : undefined;
    if (format !== undefined) {
      const data = recordOf(info.data);
      json.info_data = data === undefined ? {} : format(data, context);
    }
  }
  const slave = textOf(info.slave_kind);
  if (slave !== undefined) {
    json.info_slave_kind = slave;
    const format = Object.hasOwn(LINK_SLAVE_DATA, slave) ? LINK_SLAVE_DATA[slave] : undefined;
    if (format !== undefined) {
      const data = recordOf(info.slave_data);
      json.info_slave_data = data === undefined ? {} : format(data, context);
    }
  }
  return json;
}

function bridgeId(value: unknown): string {
  const id = recordOf(value);
  // Octets without leading zeros, as ether_ntoa prints them.
  const address = (textOf(id?.address) ?? '').replace(/(^|:)0(?=[0-9a-f])/g, '$1');
  return `${(numberOf(id?.priority) ?? 0).toString(16).padStart(4, '0')}.${address}`;
}

/** Hundredths of seconds as seconds. */
function seconds(value: unknown): number {
  return (numberOf(value) ?? 0) / 100;
}

function formatBridge(data: Decoded): Json {
  const json: Json = {};
  copy(json, data, {
    forward_delay: 'forward_delay',
    hello_time: 'hello_time',
    max_age: 'max_age',
    ageing_time: 'ageing_time',
    stp_state: 'stp_state',
    priority: 'priority',
    vlan_filtering: 'vlan_filtering',
  });
  if (data.vlan_protocol !== undefined) json.vlan_protocol = ethertypeName(Number(data.vlan_protocol));
  if (data.bridge_id !== undefined) json.bridge_id = bridgeId(data.bridge_id);
  if (data.root_id !== undefined) json.root_id = bridgeId(data.root_id);
  copy(json, data, {
    root_port: 'root_port',
    root_path_cost: 'root_path_cost',
    topology_change: 'topology_change',
    topology_change_detected: 'topology_change_detected',
  });
  for (const timer of ['hello_timer', 'tcn_timer', 'topology_change_timer', 'gc_timer']) {
    if (data[timer] !== undefined) json[timer] = seconds(data[timer]);
  }
  copy(json, data, {
    fdb_n_learned: 'fdb_n_learned',
    fdb_max_learned: 'fdb_max_learned',
    vlan_default_pvid: 'vlan_default_pvid',
    vlan_stats_enabled: 'vlan_stats_enabled',
    vlan_stats_per_port: 'vlan_stats_per_port',
  });
  if (data.group_fwd_mask !== undefined) json.group_fwd_mask = hexText(Number(data.group_fwd_mask));
  copy(json, data, { group_addr: 'group_addr', mcast_snooping: 'mcast_snooping' });
  const options = recordOf(data.multi_boolopt);
  const mask = numberOf(options?.optmask) ?? 0;
  const value = numberOf(options?.optval) ?? 0;
  for (const [bit, name] of [
    [1, 'no_linklocal_learn'],
    [2, 'mcast_vlan_snooping'],
    [4, 'mst_enabled'],
  ] as const) {
    if ((mask & bit) !== 0) json[name] = (value & bit) === 0 ? 0 : 1;
  }
  copy(json, data, {
    mcast_router: 'mcast_router',
    mcast_query_use_ifaddr: 'mcast_query_use_ifaddr',
    mcast_querier: 'mcast_querier',
    mcast_hash_elasticity: 'mcast_hash_elasticity',
    mcast_hash_max: 'mcast_hash_max',
    mcast_last_member_cnt: 'mcast_last_member_cnt',
    mcast_startup_query_cnt: 'mcast_startup_query_cnt',
    mcast_last_member_intvl: 'mcast_last_member_intvl',
    mcast_membership_intvl: 'mcast_membership_intvl',
    mcast_querier_intvl: 'mcast_querier_intvl',
    mcast_query_intvl: 'mcast_query_intvl',
    mcast_query_response_intvl: 'mcast_query_response_intvl',
    mcast_startup_query_intvl: 'mcast_startup_query_intvl',
    mcast_stats_enabled: 'mcast_stats_enabled',
    mcast_igmp_version: 'mcast_igmp_version',
    mcast_mld_version: 'mcast_mld_version',
    nf_call_iptables: 'nf_call_iptables',
    nf_call_ip6tables: 'nf_call_ip6tables',
    nf_call_arptables: 'nf_call_arptables',
  });
  return json;
}

/** linux/if_bridge.h BR_STATE_* */
export const PORT_STATES = ['disabled', 'listening', 'learning', 'forwarding', 'blocking'];
const FORWARD_MASK: Readonly<Record<number, string>> = { 0: 'stp', 2: 'lacp', 14: 'lldp' };

function formatBridgePort(data: Decoded, context: FormatContext): Json {
  const json: Json = {};
  const onOff = (names: Readonly<Record<string, string>>): void => {
    for (const [printed, attribute] of Object.entries(names)) {
      if (data[attribute] !== undefined) json[printed] = data[attribute] !== 0;
    }
  };
  named(json, data.state, PORT_STATES, 'state', 'state_index');
  copy(json, data, { priority: 'priority', cost: 'cost' });
  onOff({
    hairpin: 'mode',
    guard: 'guard',
    root_block: 'protect',
    fastleave: 'fast_leave',
    learning: 'learning',
    flood: 'unicast_flood',
  });
  if (data.id !== undefined) json.id = hexText(Number(data.id));
  if (data.no !== undefined) json.no = hexText(Number(data.no));
  copy(json, data, { designated_port: 'designated_port', designated_cost: 'designated_cost' });
  if (data.bridge_id !== undefined) json.bridge_id = bridgeId(data.bridge_id);
  if (data.root_id !== undefined) json.root_id = bridgeId(data.root_id);
  for (const timer of ['hold_timer', 'message_age_timer', 'forward_delay_timer']) {
    if (data[timer] !== undefined) json[timer] = seconds(data[timer]);
  }
  copy(json, data, { topology_change_ack: 'topology_change_ack', config_pending: 'config_pending' });
  onOff({ proxy_arp: 'proxyarp', proxy_arp_wifi: 'proxyarp_wifi' });
  copy(json, data, { multicast_router: 'multicast_router' });
  onOff({
    mcast_flood: 'mcast_flood',
    bcast_flood: 'bcast_flood',
    mcast_to_unicast: 'mcast_to_ucast',
    neigh_suppress: 'neigh_suppress',
    neigh_vlan_suppress: 'neigh_vlan_suppress',
  });
  const mask = numberOf(data.group_fwd_mask);
  if (mask !== undefined) {
    json.group_fwd_mask = hexText(mask);
    const names: string[] = [];
    for (let bit = 0; bit < 16; bit++) {
      if ((mask & (1 << bit)) !== 0) names.push(FORWARD_MASK[bit] ?? hexText(1 << bit));
    }
    json.group_fwd_mask_str = names.length === 0 ? '0x0' : names.join(',');
  }
  onOff({ vlan_tunnel: 'vlan_tunnel', isolated: 'isolated', locked: 'locked', mab: 'mab' });
  const backup = numberOf(data.backup_port);
  if (backup !== undefined) json.backup_port = linkName(context, backup);
  copy(json, data, { backup_nhid: 'backup_nhid' });
  return json;
}

const VLAN_FLAGS: readonly (readonly [number, string])[] = [
  [1, 'REORDER_HDR'],
  [2, 'GVRP'],
  [8, 'MVRP'],
  [4, 'LOOSE_BINDING'],
  [16, 'BRIDGE_BINDING'],
];

function formatVlan(data: Decoded): Json {
  const json: Json = {};
  if (data.id === undefined) return json;
  const protocol = numberOf(data.protocol);
  json.protocol = protocol === undefined ? '802.1q' : ethertypeName(protocol);
  json.id = data.id;
  const flags = numberOf(recordOf(data.flags)?.flags);
  if (flags !== undefined) json.flags = flagNames(flags, VLAN_FLAGS);
  for (const map of ['ingress_qos', 'egress_qos']) {
    const mapping = recordOf(data[map]);
    if (mapping !== undefined) json[map] = listOf(mapping.mapping);
  }
  return json;
}

const VXLAN_DF = ['unset', 'set', 'inherit'];
const VXLAN_LABEL_POLICIES = ['fixed', 'inherit'];

function formatVxlan(data: Decoded, context: FormatContext): Json {
  const json: Json = {};
  const trueIf = (names: Readonly<Record<string, string>>): void => {
    for (const [printed, attribute] of Object.entries(names)) if (data[attribute]) json[printed] = true;
  };
  const flag = (names: readonly string[]): void => {
    for (const name of names) if (data[name] !== undefined) json[name] = data[name] !== 0;
  };
  trueIf({ external: 'collect_metadata', vnifilter: 'vnifilter' });
  copy(json, data, { id: 'id' });
  const group = textOf(data.group);
  const group6 = textOf(data.group6);
  if (group !== undefined) {
    const first = Number(group.split('.')[0]);
    if (group !== '0.0.0.0') json[first >= 224 && first < 240 ? 'group' : 'remote'] = group;
  } else if (group6 !== undefined && group6 !== '::') {
    json[group6.startsWith('ff') ? 'group6' : 'remote6'] = group6;
  }
  const local = textOf(data.local);
  const local6 = textOf(data.local6);
  if (local !== undefined) {
    if (local !== '0.0.0.0') json.local = local;
  } else if (local6 !== undefined && local6 !== '::') json.local6 = local6;
  const lower = numberOf(data.link);
  if (lower) json.link = linkName(context, lower);
  copy(json, data, { port_range: 'port_range', port: 'port' });
  flag(['learning']);
  trueIf({ proxy: 'proxy', rsc: 'rsc', l2miss: 'l2miss', l3miss: 'l3miss' });
  if (data.tos) json.tos = hexText(Number(data.tos));
  if (!data.ttl_inherit) copy(json, data, { ttl: 'ttl' });
  const df = VXLAN_DF[numberOf(data.df) ?? -1];
  if (df !== undefined) json.df = df;
  const policy = VXLAN_LABEL_POLICIES[numberOf(data.label_policy) ?? -1];
  if (policy !== undefined) json.label_policy = policy;
  if (data.label) json.label = hexText(Number(data.label));
  copy(json, data, { ageing: 'ageing' });
  if (data.limit) json.limit = data.limit;
  flag(['udp_csum', 'udp_zero_csum6_tx', 'udp_zero_csum6_rx']);
  trueIf({ remcsum_tx: 'remcsum_tx', remcsum_rx: 'remcsum_rx' });
  if (data.localbypass !== undefined) json.localbypass = data.localbypass !== 0;
  trueIf({ gbp: 'gbp', gpe: 'gpe' });
  return json;
}

const MACVLAN_MODES: Readonly<Record<number, string>> = {
  1: 'private',
  2: 'vepa',
  4: 'bridge',
  8: 'passthru',
  16: 'source',
};

function formatMacvlan(data: Decoded): Json {
  const json: Json = {};
  const mode = numberOf(data.mode);
  if (mode === undefined) return json;
  json.mode = MACVLAN_MODES[mode] ?? 'unknown';
  const flags = numberOf(data.flags) ?? 0;
  if ((flags & 1) !== 0) json.nopromisc = true;
  if ((flags & 2) !== 0) json.nodst = true;
  copy(json, data, { bcqueuelen: 'bc_queue_len', usedbcqueuelen: 'bc_queue_len_used', bclim: 'bc_cutoff' });
  if (mode !== 16 || data.macaddr_count === undefined) return json;
  json.macaddr_count = data.macaddr_count;
  const addresses = recordOf(data.macaddr_data);
  if (addresses !== undefined) json.macaddr_data = listOf(addresses.macaddr);
  return json;
}

const BOND_NAMES: Readonly<Record<string, readonly string[]>> = {
  mode: ['balance-rr', 'active-backup', 'balance-xor', 'broadcast', '802.3ad', 'balance-tlb', 'balance-alb'],
  arp_validate: ['none', 'active', 'backup', 'all', 'filter', 'filter_active', 'filter_backup'],
  arp_all_targets: ['any', 'all'],
  primary_reselect: ['always', 'better', 'failure'],
  fail_over_mac: ['none', 'active', 'follow'],
  xmit_hash_policy: ['layer2', 'layer3+4', 'layer2+3', 'encap2+3', 'encap3+4', 'vlan+srcmac'],
  ad_lacp_active: ['off', 'on'],
  ad_lacp_rate: ['slow', 'fast'],
  ad_select: ['stable', 'bandwidth', 'count'],
};

function formatBond(data: Decoded, context: FormatContext): Json {
  const json: Json = {};
  const name = (attribute: string): void => {
    const value = numberOf(data[attribute]);
    if (value !== undefined) json[attribute] = BOND_NAMES[attribute]?.[value] ?? null;
  };
  const slave = (attribute: string): void => {
    const ifindex = numberOf(data[attribute]);
    if (ifindex) json[attribute] = linkName(context, ifindex);
  };
  name('mode');
  slave('active_slave');
  copy(json, data, {
    miimon: 'miimon',
    updelay: 'updelay',
    downdelay: 'downdelay',
    peer_notify_delay: 'peer_notif_delay',
    use_carrier: 'use_carrier',
    arp_interval: 'arp_interval',
    arp_missed_max: 'missed_max',
  });
  for (const targets of ['arp_ip_target', 'ns_ip6_target']) {
    if (listOf(data[targets]).length > 0) json[targets] = data[targets];
  }
  if (data.arp_validate === 0) json.arp_validate = null;
  else name('arp_validate');
  name('arp_all_targets');
  slave('primary');
  name('primary_reselect');
  name('fail_over_mac');
  name('xmit_hash_policy');
  copy(json, data, {
    resend_igmp: 'resend_igmp',
    num_peer_notif: 'num_peer_notif',
    all_slaves_active: 'all_slaves_active',
    min_links: 'min_links',
    lp_interval: 'lp_interval',
    packets_per_slave: 'packets_per_slave',
  });
  name('ad_lacp_active');
  name('ad_lacp_rate');
  name('ad_select');
  const info = recordOf(data.ad_info);
  if (info !== undefined) {
    const printed: Json = {};
    copy(printed, info, {
      aggregator: 'aggregator',
      num_ports: 'num_ports',
      actor_key: 'actor_key',
      partner_key: 'partner_key',
      partner_mac: 'partner_mac',
    });
    json.ad_info = printed;
  }
  copy(json, data, {
    ad_actor_sys_prio: 'ad_actor_sys_prio',
    ad_user_port_key: 'ad_user_port_key',
    ad_actor_system: 'ad_actor_system',
    tlb_dynamic_lb: 'tlb_dynamic_lb',
  });
  return json;
}

const LACP_STATE: readonly (readonly [number, string])[] = [
  [1, 'active'],
  [2, 'short_timeout'],
  [4, 'aggregating'],
  [8, 'in_sync'],
  [16, 'collecting'],
  [32, 'distributing'],
  [64, 'defaulted'],
  [128, 'expired'],
];

function formatBondSlave(data: Decoded): Json {
  const json: Json = {};
  named(json, data.state, ['ACTIVE', 'BACKUP'], 'state', 'state_index');
  named(json, data.mii_status, ['UP', 'GOING_DOWN', 'DOWN', 'GOING_BACK'], 'mii_status', 'mii_status_index');
  copy(json, data, {
    link_failure_count: 'link_failure_count',
    perm_hwaddr: 'perm_hwaddr',
    queue_id: 'queue_id',
    prio: 'prio',
    ad_aggregator_id: 'ad_aggregator_id',
  });
  for (const side of ['ad_actor_oper_port_state', 'ad_partner_oper_port_state']) {
    const state = numberOf(data[side]);
    if (state === undefined) continue;
    json[side] = state & 0xff;
    json[`${side}_str`] = flagNames(state & 0xff, LACP_STATE);
  }
  return json;
}
