/** `ip -j -d route show table all`, `ip -j -d nexthop` and `ip -j -d rule`. Follows ip/iproute.c, ipnexthop.c and iprule.c. */

import { AF_INET, AF_INET6, AF_MPLS, type Decoded, type DecodedObject } from '../netlink/decode.ts';
import {
  type FormatContext,
  fraction,
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
import { formatEncap } from './encap.ts';
import { familyName, routeTypeName } from './names.ts';

/** linux/rtnetlink.h RTNH_F_* and RTM_F_*, in the order they are printed. */
const ROUTE_FLAGS: readonly (readonly [number, string])[] = [
  [1, 'dead'],
  [4, 'onlink'],
  [2, 'pervasive'],
  [8, 'offload'],
  [0x40, 'trap'],
  [0x100, 'notify'],
  [0x10, 'linkdown'],
  [0x20, 'unresolved'],
  [0x4000, 'rt_offload'],
  [0x8000, 'rt_trap'],
  [0x20000000, 'rt_offload_failed'],
];

const RTM_F_CLONED = 0x200;
const RTN_MULTICAST = 5;

function routeFlagNames(flags: number): string[] {
  return ROUTE_FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
}

/** Bits of an address of a family; -1 where iproute2 knows none. */
export function hostBits(family: number): number {
  switch (family) {
    case AF_INET:
      return 32;
    case AF_INET6:
      return 128;
    case AF_MPLS:
      return 20;
    default:
      return -1;
  }
}

/** Routing table of a route or rule: the attribute, or the 8 bits of the header. */
export function tableOf(object: DecodedObject): number {
  return numberOf(object.table) ?? headerNumber(object, 'table');
}

/** Destination of a route as it is typed: `default`, an address or a prefix. */
export function routeDestination(object: DecodedObject): string {
  const length = headerNumber(object, 'dst_len');
  const dst = textOf(object.dst);
  if (dst === undefined) return length === 0 ? 'default' : `0/${length}`;
  return length === hostBits(headerNumber(object, 'family')) ? dst : `${dst}/${length}`;
}

/** What a route's own fields are called that encapsulations have, too. */
const ROUTE_FIELDS = ['type', 'dst', 'table'];

export function formatRoute(object: DecodedObject, context: FormatContext): Json {
  const names = namesOf(context);
  const flags = headerNumber(object, 'flags');
  const json: Json = {
    type: routeTypeName(headerNumber(object, 'type')),
    dst: routeDestination(object),
  };
  const sourceLength = headerNumber(object, 'src_len');
  const source = textOf(object.src);
  if (source !== undefined) {
    const host = sourceLength === hostBits(headerNumber(object, 'family'));
    json.from = host ? source : `${source}/${sourceLength}`;
  } else if (sourceLength !== 0) json.src = `0/${sourceLength}`;
  if (object.nh_id !== undefined) json.nhid = object.nh_id;
  if (object.newdst !== undefined) json.to = object.newdst;
  const tos = headerNumber(object, 'tos');
  formatEncap(json, object as Decoded, context, tos === 0 ? ROUTE_FIELDS : [...ROUTE_FIELDS, 'tos']);
  if (tos !== 0) json.tos = names.dsfield(tos);
  formatGateway(json, object as Decoded);
  const oif = numberOf(object.oif);
  if (oif !== undefined) json.dev = linkName(context, oif);
  const table = tableOf(object);
  if (table !== 0) json.table = names.table(table);
  if ((flags & RTM_F_CLONED) === 0) {
    json.protocol = names.protocol(headerNumber(object, 'protocol'));
    json.scope = names.scope(headerNumber(object, 'scope'));
  }
  if (object.prefsrc !== undefined) json.prefsrc = object.prefsrc;
  if (object.priority !== undefined) json.metric = object.priority;
  json.flags = routeFlagNames(flags);
  if (object.mark) json.mark = object.mark;
  formatRealms(json, object.flow, context);
  if (object.uid !== undefined) json.uid = object.uid;
  const cacheinfo = recordOf(object.cacheinfo);
  if (cacheinfo !== undefined) formatCacheinfo(json, cacheinfo);
  const metrics = recordOf(object.metrics);
  if (metrics !== undefined) json.metrics = [formatMetrics(metrics)];
  const iif = numberOf(object.iif);
  if (iif !== undefined) json.iif = linkName(context, iif);
  const preference = numberOf(object.pref);
  if (preference !== undefined) {
    json.pref = { 0: 'medium', 1: 'high', 3: 'low' }[preference] ?? preference;
  }
  const propagate = numberOf(object.ttl_propagate);
  if (propagate !== undefined) json['ttl-propogate'] = propagate !== 0;
  const nexthop = numberOf(object.nh_id);
  const info = nexthop === undefined ? undefined : context.nexthop?.(nexthop);
  if (info !== undefined) json.nh_info = formatNexthop(info, context);
  if (Array.isArray(object.multipath)) {
    json.nexthops = listOf(object.multipath).map((hop) =>
      formatRouteNexthop(recordOf(hop) ?? {}, object, context),
    );
  }
  return json;
}

function formatGateway(json: Json, from: Decoded): void {
  if (from.gateway !== undefined) json.gateway = from.gateway;
  const via = recordOf(from.via);
  if (via === undefined) return;
  json.via = { family: familyName(numberOf(via.family) ?? 0), host: via.address };
}

function formatRealms(json: Json, value: unknown, context: FormatContext): void {
  const flow = numberOf(value);
  if (flow === undefined) return;
  const names = namesOf(context);
  const from = flow >>> 16;
  json.flow = { ...(from === 0 ? {} : { from: names.realm(from) }), to: names.realm(flow & 0xffff) };
}

function formatCacheinfo(json: Json, cacheinfo: Decoded): void {
  const field = (name: string): number => numberOf(cacheinfo[name]) ?? 0;
  if (field('expires') !== 0) json.expires = Math.trunc(field('expires') / 100);
  if (field('error') !== 0) json.error = field('error');
  if (field('id') !== 0) json.ipid = hexText(field('id'));
  if (field('ts') !== 0 || field('tsage') !== 0) {
    json.ts = hexText(field('ts'));
    json.tsage = field('tsage');
  }
}

/** linux/rtnetlink.h RTAX_*, from 2, as iproute2 names them. */
const METRICS: readonly (readonly [attribute: string, printed: string])[] = [
  ['mtu', 'mtu'],
  ['window', 'window'],
  ['rtt', 'rtt'],
  ['rttvar', 'rttvar'],
  ['ssthresh', 'ssthresh'],
  ['cwnd', 'cwnd'],
  ['advmss', 'advmss'],
  ['reordering', 'reordering'],
  ['hoplimit', 'hoplimit'],
  ['initcwnd', 'initcwnd'],
  ['features', 'features'],
  ['rto_min', 'rto_min'],
  ['initrwnd', 'initrwnd'],
  ['quickack', 'quickack'],
  ['cc_algo', 'congestion'],
  ['fastopen_no_cookie', 'fastopen_no_cookie'],
];

function formatMetrics(metrics: Decoded): Json {
  const json: Json = {};
  const locked = numberOf(metrics.lock) ?? 0;
  for (const [index, [attribute, printed]] of METRICS.entries()) {
    const value = metrics[attribute];
    if (value === undefined && (locked & (1 << (index + 2))) === 0) continue;
    if (attribute === 'cc_algo') {
      json[printed] = value;
      continue;
    }
    const number = numberOf(value) ?? 0;
    if (attribute === 'hoplimit' && number === 0xffffffff) continue;
    if (attribute === 'features') {
      if ((number & 1) !== 0) json.ecn = null;
      if ((number & ~1) !== 0) json.features = hexText(number);
    } else if (attribute === 'rtt') json[printed] = number >>> 3;
    else if (attribute === 'rttvar') json[printed] = number >>> 2;
    else json[printed] = number;
  }
  return json;
}

function formatRouteNexthop(hop: Decoded, route: DecodedObject, context: FormatContext): Json {
  const json: Json = {};
  formatEncap(json, hop, context);
  if (hop.newdst !== undefined) json.to = hop.newdst;
  formatGateway(json, hop);
  formatRealms(json, hop.flow, context);
  json.dev = linkName(context, numberOf(hop.ifindex) ?? 0);
  const hops = numberOf(hop.hops) ?? 0;
  const cloned = (headerNumber(route, 'flags') & RTM_F_CLONED) !== 0;
  if (cloned && headerNumber(route, 'type') === RTN_MULTICAST) {
    if (hops !== 1) json.ttl = hops;
  } else if (headerNumber(route, 'family') !== AF_MPLS) json.weight = hops + 1;
  json.flags = routeFlagNames(numberOf(hop.flags) ?? 0);
  return json;
}

export interface GroupMember {
  readonly id: number;
  /** 1 to 65536. */
  readonly weight: number;
}

export function groupMembers(object: DecodedObject): GroupMember[] {
  return listOf(object.group).map((value) => {
    const member = recordOf(value) ?? {};
    const weight = (numberOf(member.weight_high) ?? 0) * 256 + (numberOf(member.weight) ?? 0) + 1;
    return { id: numberOf(member.id) ?? 0, weight };
  });
}

export function formatNexthop(object: DecodedObject, context: FormatContext): Json {
  const names = namesOf(context);
  const json: Json = { id: object.id ?? 0 };
  const group = groupMembers(object);
  if (group.length > 0) {
    json.group = group.map(({ id, weight }) => (weight === 1 ? { id } : { id, weight }));
  }
  const type = numberOf(object.group_type) ?? 0;
  if (type !== 0) json.type = type === 1 ? 'resilient' : '<unknown type>';
  const resilient = recordOf(object.res_group);
  if (resilient !== undefined) {
    const seconds = (name: string): number => fraction((numberOf(resilient[name]) ?? 0) / 100);
    json.resilient_args = {
      buckets: resilient.buckets ?? 0,
      idle_timer: seconds('idle_timer'),
      unbalanced_timer: seconds('unbalanced_timer'),
      unbalanced_time: seconds('unbalanced_time'),
    };
  }
  formatEncap(json, object as Decoded, context, ['id']);
  if (object.gateway !== undefined) json.gateway = object.gateway;
  const oif = numberOf(object.oif);
  if (oif) json.dev = linkName(context, oif);
  json.scope = names.scope(headerNumber(object, 'scope'));
  if (object.blackhole !== undefined) json.blackhole = null;
  json.protocol = names.protocol(headerNumber(object, 'protocol'));
  json.flags = routeFlagNames(headerNumber(object, 'flags'));
  if (object.fdb !== undefined) json.fdb = null;
  return json;
}

const FIB_RULE_INVERT = 0x2;
const FIB_RULE_UNRESOLVED = 0x4;
const FIB_RULE_IIF_DETACHED = 0x8;
const FIB_RULE_OIF_DETACHED = 0x10;
const FR_ACT_TO_TBL = 1;
const FR_ACT_GOTO = 2;
const FR_ACT_NOP = 3;
const UINT32_MAX = 0xffffffff;

export function formatRule(object: DecodedObject, context: FormatContext): Json {
  const names = namesOf(context);
  const flags = headerNumber(object, 'flags');
  const json: Json = { priority: object.priority ?? 0 };
  if ((flags & FIB_RULE_INVERT) !== 0) json.not = null;
  formatSelector(json, object, 'src', 'all');
  formatSelector(json, object, 'dst', undefined);
  const tos = headerNumber(object, 'tos');
  if (tos !== 0) json.tos = names.dsfield(tos);
  const dscp = numberOf(object.dscp);
  if (dscp !== undefined) json.dscp = names.dsfield(dscp << 2);
  formatMark(json, object);
  if (object.iifname !== undefined) {
    json.iif = object.iifname;
    if ((flags & FIB_RULE_IIF_DETACHED) !== 0) json.iif_detached = null;
  }
  if (object.oifname !== undefined) {
    json.oif = object.oifname;
    if ((flags & FIB_RULE_OIF_DETACHED) !== 0) json.oif_detached = null;
  }
  if (object.l3mdev) json.l3mdev = null;
  const users = recordOf(object.uid_range);
  if (users !== undefined) {
    json.uid_start = users.start;
    json.uid_end = users.end;
  }
  const protocol = numberOf(object.ip_proto);
  if (protocol !== undefined) json.ipproto = names.ipProtocol(protocol);
  formatPorts(json, object, 'sport');
  formatPorts(json, object, 'dport');
  if (object.tun_id !== undefined) json.tun_id = object.tun_id;
  formatLookup(json, object, context);
  const flow = numberOf(object.flow);
  if (flow !== undefined) {
    if (flow >>> 16 !== 0) json.flow_from = names.realm(flow >>> 16);
    json.flow_to = names.realm(flow & 0xffff);
  }
  formatAction(json, object, flags);
  const by = numberOf(object.protocol);
  if (by !== undefined) json.protocol = names.protocol(by);
  return json;
}

function formatSelector(
  json: Json,
  object: DecodedObject,
  side: 'src' | 'dst',
  any: string | undefined,
): void {
  const length = headerNumber(object, `${side}_len`);
  const address = object[side];
  if (address !== undefined) {
    json[side] = address;
    if (length !== hostBits(headerNumber(object, 'family'))) json[`${side}len`] = length;
  } else if (length !== 0) {
    json[side] = '0';
    json[`${side}len`] = length;
  } else if (any !== undefined) json[side] = any;
}

function formatMark(json: Json, object: DecodedObject): void {
  const mark = numberOf(object.fwmark);
  const mask = numberOf(object.fwmask);
  if (mark === undefined && mask === undefined) return;
  json.fwmark = hexText(mark ?? 0);
  if (mask !== undefined && mask !== UINT32_MAX) json.fwmask = hexText(mask);
}

function formatPorts(json: Json, object: DecodedObject, side: 'sport' | 'dport'): void {
  const range = recordOf(object[`${side}_range`]);
  if (range === undefined) return;
  if (range.start === range.end) json[side] = range.start;
  else {
    json[`${side}_start`] = range.start;
    json[`${side}_end`] = range.end;
  }
}

function formatLookup(json: Json, object: DecodedObject, context: FormatContext): void {
  const table = tableOf(object);
  if (table === 0) return;
  json.table = namesOf(context).table(table);
  const length = numberOf(object.suppress_prefixlen);
  if (length !== undefined && length !== UINT32_MAX) json.suppress_prefixlen = length;
  const group = numberOf(object.suppress_ifgroup);
  if (group !== undefined && group !== UINT32_MAX) json.suppress_ifgroup = namesOf(context).group(group);
}

function formatAction(json: Json, object: DecodedObject, flags: number): void {
  const action = headerNumber(object, 'action');
  if (action === FR_ACT_GOTO) {
    json.goto = object.goto ?? 'none';
    if ((flags & FIB_RULE_UNRESOLVED) !== 0) json.unresolved = null;
  } else if (action === FR_ACT_NOP) json.nop = null;
  else if (action !== FR_ACT_TO_TBL) json.action = routeTypeName(action);
}

const RP_FILTERS = ['off', 'strict', 'loose'];

/** `ip -j netconf`. */
export function formatNetconf(object: DecodedObject, context: FormatContext): Json {
  const json: Json = { family: familyName(headerNumber(object, 'family')) };
  const ifindex = numberOf(object.ifindex);
  if (ifindex !== undefined) {
    json.interface = ifindex === -1 ? 'all' : ifindex === -2 ? 'default' : linkName(context, ifindex);
  }
  for (const name of [
    'forwarding',
    'rp_filter',
    'mc_forwarding',
    'proxy_neigh',
    'ignore_routes_with_linkdown',
    'input',
    'bc_forwarding',
    'force_forwarding',
  ]) {
    const value = numberOf(object[name]);
    if (value === undefined) continue;
    json[name] = name === 'rp_filter' ? (RP_FILTERS[value] ?? value) : value !== 0;
  }
  return json;
}
