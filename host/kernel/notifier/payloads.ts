/** What an event says, per layout: names, shapes and how each is read from the record. */

import { formatIp4, formatIp6, formatMac } from '../../netlink/address.ts';
import { GATEWAY, type LayoutName } from './layouts.ts';
import {
  ENCAPS,
  FDB_FLAGS,
  LINK_FLAGS,
  NEIGHBOUR_FLAGS,
  NEIGHBOUR_STATES,
  NEXTHOP_FLAGS,
  nameOf,
  namesOf,
  OPERSTATES,
  PORT_ATTRIBUTES,
  PORT_OBJECTS,
  ROUTE_TYPES,
  RULE_ACTIONS,
  VLAN_FLAGS,
} from './names.ts';

const AF_INET = 2;
const AF_INET6 = 10;

/** What a record gives to read payloads from. */
export interface Source {
  /** AF_*, 0 where it means nothing. */
  readonly family: number;
  /** A member of the C struct (layouts.ts) as a number, e.g. `table`; 0 where the struct has none of that name. */
  number(field: string): number;
  /** A 64-bit member. */
  wide(field: string): bigint;
  /** The record's bytes in place, and where it starts in them. */
  readonly bytes: Uint8Array;
  readonly start: number;
  /** Offset of a member in the record. */
  offset(field: string): number;
}

export interface Item {
  readonly name: string;
  readonly type: string;
  /** What it says, for the documentation. */
  readonly what: string;
  /** Undefined: left out of the event. */
  readonly read: (source: Source) => unknown;
}

/** A nexthop of a route or group. */
export interface GatewayValue {
  /** IP address; left out where the nexthop is the link itself. */
  readonly via?: string;
  readonly ifindex: number;
  readonly weight: number;
  readonly flags: readonly string[];
  readonly scope: number;
  readonly nexthopId?: number;
  readonly encap?: string | number;
}

function address(bytes: Uint8Array, at: number, family: number): string {
  return family === AF_INET6 ? formatIp6(bytes, at) : formatIp4(bytes, at);
}

function text(source: Source, field: string): string | undefined {
  const start = source.start + source.offset(field);
  let end = start;
  while (end < start + 16 && source.bytes[end] !== 0) end++;
  return end === start ? undefined : Buffer.from(source.bytes.subarray(start, end)).toString('utf8');
}

function gatewayAt(source: Source, offset: number): GatewayValue {
  const { bytes } = source;
  const at = source.start + offset;
  const byte = (name: string) => bytes[at + GATEWAY.fields.get(name)!.offset]!;
  const word = (name: string) => {
    const from = at + GATEWAY.fields.get(name)!.offset;
    return (
      (bytes[from]! | (bytes[from + 1]! << 8) | (bytes[from + 2]! << 16) | (bytes[from + 3]! << 24)) >>> 0
    );
  };
  const family = byte('family');
  const nexthopId = word('nexthop_id');
  const encap = byte('encap');
  return {
    ...(family !== 0 && { via: address(bytes, at, family) }),
    ifindex: word('ifindex') | 0,
    weight: word('weight'),
    flags: namesOf(NEXTHOP_FLAGS, byte('flags')),
    scope: byte('scope'),
    ...(nexthopId !== 0 && { nexthopId }),
    ...(encap !== 0 && { encap: nameOf(ENCAPS, encap) }),
  };
}

function gateways(source: Source, end: number): GatewayValue[] {
  return Array.from({ length: source.number('count') }, (_, index) =>
    gatewayAt(source, end + index * GATEWAY.end),
  );
}

const number = (name: string, field: string, what: string): Item => ({
  name,
  type: 'number',
  what,
  read: (source) => source.number(field),
});

/** A number that is left out where it is 0. */
const optional = (name: string, field: string, what: string): Item => ({
  name,
  type: 'number?',
  what,
  read: (source) => source.number(field) || undefined,
});

const flag = (name: string, field: string, what: string): Item => ({
  name,
  type: 'boolean',
  what,
  read: (source) => source.number(field) !== 0,
});

const named = (name: string, field: string, names: readonly string[], what: string): Item => ({
  name,
  type: 'name',
  what,
  read: (source) => nameOf(names, source.number(field)),
});

const bits = (name: string, field: string, names: readonly string[], what: string): Item => ({
  name,
  type: 'names',
  what,
  read: (source) => namesOf(names, source.number(field)),
});

/** Names of bits that are left out where there are none. */
const optionalBits = (name: string, field: string, names: readonly string[], what: string): Item => ({
  name,
  type: 'names?',
  what,
  read: (source) => {
    const value = source.number(field);
    return value === 0 ? undefined : namesOf(names, value);
  },
});

/** Only where another member is not 0. */
const where = (condition: string, item: Item): Item => ({
  ...item,
  type: `${item.type}?`,
  read: (source) => (source.number(condition) === 0 ? undefined : item.read(source)),
});

const label = (name: string, field: string, what: string): Item => ({
  name,
  type: 'text?',
  what,
  read: (source) => text(source, field),
});

const mac = (name: string, field: string, what: string): Item => ({
  name,
  type: 'MAC',
  what,
  read: (source) => {
    const at = source.start + source.offset(field);
    return formatMac(source.bytes, at, at + 6);
  },
});

const ZERO_MAC = '00:00:00:00:00:00';

const optionalMac = (name: string, field: string, what: string): Item => {
  const item = mac(name, field, what);
  const read = (source: Source) => {
    const value = item.read(source);
    return value === ZERO_MAC ? undefined : value;
  };
  return { ...item, type: 'MAC?', read };
};

const optionalFlag = (name: string, field: string, what: string): Item =>
  where(field, flag(name, field, what));

/** Bytes with a length of their own; left out where that is 0. */
const lladdr = (name: string, field: string, length: string, what: string): Item => ({
  name,
  type: 'MAC?',
  what,
  read: (source) => {
    const at = source.start + source.offset(field);
    const bytes = source.number(length);
    return bytes === 0 ? undefined : formatMac(source.bytes, at, at + bytes);
  },
});

const prefix = (name: string, field: string, length: string, what: string): Item => ({
  name,
  type: 'prefix',
  what,
  read: (source) =>
    `${address(source.bytes, source.start + source.offset(field), source.family)}/${source.number(length)}`,
});

/** A prefix that is left out where it is everything. */
const selector = (name: string, field: string, length: string, what: string): Item => {
  const item = prefix(name, field, length, what);
  return {
    ...item,
    type: 'prefix?',
    read: (source) => (source.number(length) ? item.read(source) : undefined),
  };
};

/** An address that is left out where it is all zero. */
const optionalAddress = (name: string, field: string, what: string): Item => ({
  name,
  type: 'address?',
  what,
  read: (source) => {
    const at = source.start + source.offset(field);
    const some = source.bytes.subarray(at, at + 16).some((byte) => byte !== 0);
    return some ? address(source.bytes, at, source.family) : undefined;
  },
});

const ports = (name: string, field: string, what: string): Item => ({
  name,
  type: '[number, number]?',
  what,
  read: (source) => {
    const last = source.number(`${field}_end`);
    return last === 0 ? undefined : [source.number(`${field}_start`), last];
  },
});

const SUPPRESS_NONE = -1;
const UID_ANY = 0xffff_ffff;

const family: Item = {
  name: 'family',
  type: 'inet, inet6 or number',
  what: 'address family',
  read: ({ family }) => (family === AF_INET ? 'inet' : family === AF_INET6 ? 'inet6' : family),
};

const suppress = (name: string, field: string, what: string): Item => ({
  name,
  type: 'number?',
  what,
  read: (source) => {
    const value = source.number(field);
    return value === SUPPRESS_NONE ? undefined : value;
  },
});

const gatewayList = (what: string): Item => ({
  name: 'gateways',
  type: 'list',
  what,
  read: (source) => gateways(source, source.offset('gateways')),
});

const total = number('gatewaysTotal', 'total', 'how many there are');

/** Items in the order in which events print them. */
export const PAYLOADS: Readonly<Record<LayoutName, readonly Item[]>> = {
  route: [
    family,
    prefix('prefix', 'dst', 'dst_len', 'destination'),
    selector('from', 'src', 'src_len', 'source prefix (IPv6)'),
    number('table', 'table', ''),
    number('tos', 'tos', 'IPv4: the whole field, DSCP in its upper six bits'),
    named('type', 'type', ROUTE_TYPES, 'as iproute2 names it'),
    number('priority', 'priority', 'metric'),
    number('protocol', 'protocol', 'RTPROT_*'),
    number('scope', 'scope', 'RT_SCOPE_* (IPv4)'),
    number('flags', 'flags', 'RTNH_F_* of the route (IPv4), RTF_* (IPv6)'),
    optionalAddress('preferredSource', 'prefsrc', ''),
    optional('nexthopId', 'nexthop_id', 'nexthop object'),
    gatewayList('nexthops, those of the nexthop object if it has one'),
    total,
  ],
  rule: [
    family,
    number('priority', 'priority', ''),
    named('action', 'action', RULE_ACTIONS, 'FR_ACT_*, as iproute2 names it'),
    number('table', 'table', ''),
    optional('target', 'target', 'priority that goto jumps to'),
    selector('from', 'src', 'src_len', ''),
    selector('to', 'dst', 'dst_len', ''),
    number('tos', 'tos', ''),
    label('iif', 'iif', ''),
    label('oif', 'oif', ''),
    number('mark', 'mark', ''),
    number('markMask', 'mark_mask', ''),
    flag('l3mdev', 'l3mdev', "the table is the VRF's"),
    number('protocol', 'protocol', 'RTPROT_*'),
    optional('ipProtocol', 'ip_proto', ''),
    ports('sourcePorts', 'sport', 'first and last'),
    ports('destinationPorts', 'dport', 'first and last'),
    {
      name: 'uids',
      type: '[number, number]?',
      what: 'first and last',
      read: (source) => {
        const [first, last] = [source.number('uid_start'), source.number('uid_end')];
        return first === 0 && last === UID_ANY ? undefined : [first, last];
      },
    },
    {
      name: 'tunnelId',
      type: 'decimal digits?',
      what: '',
      read: (source) => source.wide('tun_id').toString().replace(/^0$/, '') || undefined,
    },
    suppress('suppressPrefixLength', 'suppress_prefixlen', ''),
    suppress('suppressGroup', 'suppress_ifgroup', ''),
    number('flags', 'flags', 'FIB_RULE_*'),
  ],
  fibNexthop: [
    {
      name: 'gateway',
      type: 'nexthop',
      what: '',
      read: (source) => gatewayAt(source, source.offset('address')),
    },
    number('table', 'table', 'of its routes'),
    number('priority', 'priority', 'of its routes'),
  ],
  nexthop: [
    family,
    number('id', 'id', ''),
    number('protocol', 'protocol', 'RTPROT_*'),
    bits('flags', 'flags', NEXTHOP_FLAGS, ''),
    flag('group', 'is_group', ''),
    flag('resilient', 'is_resilient', ''),
    flag('blackhole', 'is_blackhole', ''),
    flag('fdb', 'is_fdb', 'for VXLAN entries'),
    gatewayList('the nexthop itself, or the members of the group'),
    total,
  ],
  bucket: [
    number('id', 'id', 'of the group'),
    number('bucket', 'bucket', ''),
    number('oldNexthop', 'old_nexthop', ''),
    number('newNexthop', 'new_nexthop', ''),
    flag('force', 'force', 'also if it is not idle'),
  ],
  neighbour: [
    family,
    {
      name: 'dst',
      type: 'address',
      what: '',
      read: (source) => {
        const at = source.start + source.offset('dst');
        const known = source.family === AF_INET || source.family === AF_INET6;
        if (known) return address(source.bytes, at, source.family);
        return formatMac(source.bytes, at, at + source.number('dst_length'));
      },
    },
    lladdr('lladdr', 'lladdr', 'lladdr_length', ''),
    bits('state', 'state', NEIGHBOUR_STATES, 'NUD_*'),
    bits('flags', 'flags', NEIGHBOUR_FLAGS, 'NTF_*'),
    number('type', 'type', 'RTN_*'),
    number('protocol', 'protocol', 'RTPROT_*'),
    flag('dead', 'dead', 'the entry is gone'),
  ],
  link: [
    label('name', 'name', ''),
    lladdr('address', 'address', 'address_length', ''),
    bits('flags', 'flags', LINK_FLAGS, 'IFF_*'),
    named('operstate', 'operstate', OPERSTATES, ''),
    number('mtu', 'mtu', ''),
    optional('upper', 'upper', 'ifindex of the link that is joined or left (link-change-upper)'),
    label('upperName', 'upper_name', ''),
    where('upper', flag('master', 'master', 'it is the master')),
    where('upper', flag('linking', 'linking', 'joined, not left')),
  ],
  fdb: [
    mac('mac', 'mac', 'all zero: of every entry (fdb-flush)'),
    number('vlan', 'vlan', '0: none'),
    bits('flags', 'flags', FDB_FLAGS, 'of switchdev'),
    optional('bridge', 'bridge', 'ifindex (tracepoints)'),
    optionalBits('state', 'state', NEIGHBOUR_STATES, 'what the user asked for (fdb-add)'),
    optionalBits('neighbourFlags', 'ndm_flags', NEIGHBOUR_FLAGS, 'what the user asked for (fdb-add)'),
  ],
  vxlanFdb: [
    mac('mac', 'mac', ''),
    number('vni', 'vni', ''),
    optionalAddress('remote', 'remote', ''),
    number('remotePort', 'remote_port', ''),
    number('remoteVni', 'remote_vni', ''),
    optional('remoteIfindex', 'remote_ifindex', ''),
    bits('flags', 'flags', FDB_FLAGS, ''),
  ],
  portObject: [
    named('object', 'id', PORT_OBJECTS, 'SWITCHDEV_OBJ_ID_*'),
    number(
      'device',
      'orig',
      'ifindex of the device the bridge named: the bridge itself for its own VLANs and groups',
    ),
    number('vlan', 'vlan', ''),
    optionalBits('vlanFlags', 'vlan_flags', VLAN_FLAGS, 'BRIDGE_VLAN_INFO_*'),
    optionalFlag('changed', 'changed', 'the VLAN was there with other flags'),
    optionalMac('mac', 'mac', 'of a multicast group'),
    number('flags', 'flags', 'SWITCHDEV_F_*'),
  ],
  portAttribute: [
    named('attribute', 'id', PORT_ATTRIBUTES, 'SWITCHDEV_ATTR_ID_*'),
    number('device', 'orig', 'ifindex of the device the bridge named'),
    {
      name: 'value',
      type: 'number',
      what: 'units are the kernel’s: ageing time in clock ticks',
      read: (source) => Number(source.wide('value')),
    },
    {
      name: 'mask',
      type: 'number',
      what: 'bits of bridge-flags that are meant; the instance of mst-state, the VLAN of vlan-msti',
      read: (source) => Number(source.wide('mask')),
    },
  ],
  bridgePort: [
    optional('device', 'device', 'ifindex of the device that forwards'),
    flag('txForward', 'tx_forward', 'it also replicates frames that the bridge sends'),
  ],
};
