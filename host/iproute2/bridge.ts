/** `bridge -j mdb` and `bridge -j vlan`, grouped as iproute2 groups them. Follows its bridge/mdb.c and bridge/vlan.c. */

import { formatIp4, formatMac, parseIp6 } from '../netlink/address.ts';
import type { Decoded, DecodedObject } from '../netlink/decode.ts';
import {
  type FormatContext,
  headerNumber,
  type Json,
  type KeyedObject,
  linkName,
  listOf,
  namesOf,
  numberOf,
  recordOf,
  textOf,
} from './context.ts';
import { PORT_STATES } from './link.ts';

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const MDB_PERMANENT = 1;

const MDB_FLAGS: readonly (readonly [number, string])[] = [
  [1, 'offload'],
  [2, 'fast_leave'],
  [4, 'added_by_star_ex'],
  [8, 'blocked'],
  [16, 'offload_failed'],
];

/** The entries of one message, with struct br_mdb_entry and attributes side by side. */
export function mdbEntries(object: DecodedObject): Decoded[] {
  return listOf(recordOf(object.mdb)?.entry)
    .flatMap((entry) => listOf(recordOf(entry)?.info))
    .map((info) => recordOf(info) ?? {});
}

export function mdbRouterPorts(object: DecodedObject): Decoded[] {
  return listOf(recordOf(object.router)?.port).map((port) => recordOf(port) ?? {});
}

/** The group of an entry: IPv4, IPv6 or, for protocol 0, a MAC address. */
export function mdbGroup(entry: Decoded): string {
  const address = textOf(entry.address) ?? '::';
  const bytes = parseIp6(address) ?? new Uint8Array(16);
  switch (entry.proto) {
    case ETH_P_IP:
      return formatIp4(bytes, 0);
    case ETH_P_IPV6:
      return address;
    default:
      return formatMac(bytes, 0, 6);
  }
}

/** Hundredths of seconds as `  12.34`, the way `bridge` prints timers of sources. */
function timer(value: unknown): string {
  const hundredths = numberOf(value) ?? 0;
  return `${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, '0')}`;
}

export function formatMdbEntry(object: DecodedObject, entry: Decoded, context: FormatContext): Json {
  const bridge = headerNumber(object, 'ifindex');
  const json: Json = {
    index: bridge,
    dev: linkName(context, bridge),
    port: linkName(context, numberOf(entry.ifindex) ?? 0),
    grp: mdbGroup(entry),
  };
  if (entry.source !== undefined) json.src = entry.source;
  json.state = ((numberOf(entry.state) ?? 0) & MDB_PERMANENT) !== 0 ? 'permanent' : 'temp';
  const mode = numberOf(entry.group_mode);
  if (mode !== undefined) json.filter_mode = mode === 1 ? 'include' : 'exclude';
  const sources = recordOf(entry.src_list);
  if (sources !== undefined) {
    json.source_list = listOf(sources.entry)
      .map((source) => recordOf(source) ?? {})
      .filter((source) => source.address !== undefined && source.timer !== undefined)
      .map((source) => ({ address: source.address, timer: timer(source.timer) }));
  }
  const protocol = numberOf(entry.rtprot);
  if (protocol !== undefined) json.protocol = namesOf(context).protocol(protocol);
  const flags = numberOf(entry.flags) ?? 0;
  json.flags = MDB_FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  if (entry.vid) json.vid = entry.vid;
  for (const [printed, attribute] of [
    ['dst', 'dst'],
    ['dst_port', 'dst_port'],
    ['vni', 'vni'],
    ['src_vni', 'src_vni'],
  ] as const) {
    if (entry[attribute] !== undefined) json[printed] = entry[attribute];
  }
  const via = numberOf(entry.via_ifindex);
  if (via !== undefined) json.via = linkName(context, via);
  return json;
}

export interface Member {
  /** The innermost JSON object that stands for the kernel object. */
  readonly element: Json;
  readonly id: number;
}

export interface Row {
  /** One element of iproute2's array. */
  readonly json: Json;
  readonly members: readonly Member[];
}

/** One row: all entries in `mdb`, router ports by bridge in `router`. */
export function formatMdb(objects: Iterable<KeyedObject>, context: FormatContext): Row {
  const mdb: Json[] = [];
  const router: Record<string, Json[]> = {};
  const members: Member[] = [];
  for (const { id, object } of objects) {
    for (const entry of mdbEntries(object)) {
      const element = formatMdbEntry(object, entry, context);
      mdb.push(element);
      members.push({ element, id });
    }
    const bridge = linkName(context, headerNumber(object, 'ifindex'));
    for (const port of mdbRouterPorts(object)) {
      const element: Json = { port: linkName(context, numberOf(port.ifindex) ?? 0) };
      router[bridge] ??= [];
      router[bridge].push(element);
      members.push({ element, id });
    }
  }
  return { json: { mdb, router }, members };
}

const BRIDGE_VLAN_INFO_PVID = 0x2;
const BRIDGE_VLAN_INFO_UNTAGGED = 0x4;

/** The VLAN ids of an entry of the VLAN database, first and last. */
export function vlanRange(entry: Decoded): readonly [number, number] {
  const first = numberOf(recordOf(entry.info)?.vid) ?? 0;
  return [first, Math.min(numberOf(entry.range) ?? first, 4095)];
}

export function vlanFlagNames(entry: Decoded): string[] {
  const flags = numberOf(recordOf(entry.info)?.flags) ?? 0;
  const names: string[] = [];
  if ((flags & BRIDGE_VLAN_INFO_PVID) !== 0) names.push('PVID');
  if ((flags & BRIDGE_VLAN_INFO_UNTAGGED) !== 0) names.push('Egress Untagged');
  return names;
}

export function vlanEntries(object: DecodedObject): Decoded[] {
  return listOf(object.entry).map((entry) => recordOf(entry) ?? {});
}

/** One row per port, its VLANs in order; ranges are taken apart as `bridge` does when not told to compress. */
export function* formatVlans(objects: Iterable<KeyedObject>, context: FormatContext): Generator<Row> {
  const ports = new Map<number, { vlan: number; element: Json; id: number }[]>();
  for (const { id, object } of objects) {
    const ifindex = headerNumber(object, 'ifindex');
    let vlans = ports.get(ifindex);
    for (const entry of vlanEntries(object)) {
      if (entry.info === undefined) continue;
      if (vlans === undefined) {
        vlans = [];
        ports.set(ifindex, vlans);
      }
      const [first, last] = vlanRange(entry);
      const flags = vlanFlagNames(entry);
      const state = PORT_STATES[numberOf(entry.state) ?? -1];
      for (let vlan = first; vlan <= last; vlan++) {
        const element: Json = { vlan };
        if (flags.length > 0) element.flags = flags;
        if (state !== undefined) element.state = state;
        vlans.push({ vlan, element, id });
      }
    }
  }
  for (const [ifindex, vlans] of ports) {
    vlans.sort((a, b) => a.vlan - b.vlan);
    yield {
      json: { ifname: linkName(context, ifindex), vlans: vlans.map(({ element }) => element) },
      members: vlans.map(({ element, id }) => ({ element, id })),
    };
  }
}
