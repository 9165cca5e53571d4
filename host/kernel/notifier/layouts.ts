/**
 * The records of bpf/notifier/record.h: members in their order, with the offsets that follow from it. A test holds both to be equal.
 */

export type FieldType = 'u8' | 'u16' | 'u32' | 's32' | 'u64';

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  /** From the record's start, in bytes. */
  readonly offset: number;
  /** More than one for arrays. */
  readonly count: number;
}

export interface Layout {
  /** The C struct. */
  readonly struct: string;
  readonly fields: ReadonlyMap<string, Field>;
  /** Shortest record of that layout, in bytes. */
  readonly size: number;
}

const SIZES: Readonly<Record<FieldType, number>> = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8 };

/** Members as `type name` or `type name[count]`. */
function fieldsOf(members: readonly string[], start: number): { fields: Map<string, Field>; end: number } {
  const fields = new Map<string, Field>();
  let offset = start;
  for (const member of members) {
    const [, type, name, count] = /^(\w+) (\w+)(?:\[(\d+)\])?$/.exec(member)!;
    const field = { name: name!, type: type as FieldType, offset, count: Number(count ?? 1) };
    fields.set(field.name, field);
    offset += SIZES[field.type] * field.count;
  }
  return { fields, end: offset };
}

const HEADER_FIELDS = [
  'u64 time',
  'u64 netns',
  'u64 sequence',
  'u32 cpu',
  's32 ifindex',
  'u32 event',
  'u8 family',
  'u8 unused[3]',
];
const GATEWAY_FIELDS = [
  'u8 address[16]',
  's32 ifindex',
  'u32 weight',
  'u32 nexthop_id',
  'u8 family',
  'u8 flags',
  'u8 scope',
  'u8 encap',
];

export const HEADER = fieldsOf(HEADER_FIELDS, 0);
/** struct gateway, with offsets from its own start. */
export const GATEWAY = fieldsOf(GATEWAY_FIELDS, 0);
/** Gateways in one record; those of a route or group beyond it are only counted. */
export const GATEWAYS_MAX = 32;

/** `extra`: bytes of arrays of structs at the end that every record of the layout has. */
function layout(struct: string, members: readonly string[], extra = 0): Layout {
  const { fields, end } = fieldsOf(members, HEADER.end);
  return { struct, fields, size: end + extra };
}

export const LAYOUTS = {
  route: layout(
    'route_record',
    [
      'u8 dst[16]',
      'u8 src[16]',
      'u8 prefsrc[16]',
      'u32 table',
      'u32 priority',
      'u32 nexthop_id',
      'u32 flags',
      'u8 dst_len',
      'u8 src_len',
      'u8 tos',
      'u8 type',
      'u8 protocol',
      'u8 scope',
      'u8 unused[2]',
      'u32 total',
      'u32 count',
    ],
    GATEWAY.end,
  ),
  rule: layout('rule_record', [
    'u8 dst[16]',
    'u8 src[16]',
    'u8 iif[16]',
    'u8 oif[16]',
    'u64 tun_id',
    'u32 table',
    'u32 priority',
    'u32 target',
    'u32 mark',
    'u32 mark_mask',
    'u32 flags',
    's32 suppress_ifgroup',
    's32 suppress_prefixlen',
    'u32 uid_start',
    'u32 uid_end',
    'u16 sport_start',
    'u16 sport_end',
    'u16 dport_start',
    'u16 dport_end',
    'u8 dst_len',
    'u8 src_len',
    'u8 tos',
    'u8 action',
    'u8 l3mdev',
    'u8 protocol',
    'u8 ip_proto',
    'u8 unused',
  ]),
  fibNexthop: layout('fib_nexthop_record', [...GATEWAY_FIELDS, 'u32 table', 'u32 priority']),
  nexthop: layout(
    'nexthop_record',
    [
      'u32 id',
      'u8 protocol',
      'u8 flags',
      'u8 is_group',
      'u8 is_resilient',
      'u8 is_blackhole',
      'u8 is_fdb',
      'u8 unused[2]',
      'u32 total',
      'u32 count',
      'u32 unused2',
    ],
    GATEWAY.end,
  ),
  bucket: layout('nexthop_bucket_record', [
    'u32 id',
    'u32 bucket',
    'u32 old_nexthop',
    'u32 new_nexthop',
    'u32 force',
    'u32 unused',
  ]),
  neighbour: layout('neighbour_record', [
    'u8 dst[16]',
    'u8 lladdr[32]',
    'u32 flags',
    'u8 state',
    'u8 type',
    'u8 protocol',
    'u8 dead',
    'u8 dst_length',
    'u8 lladdr_length',
    'u8 unused[6]',
  ]),
  link: layout('link_record', [
    'u8 name[16]',
    'u8 address[32]',
    'u32 flags',
    'u32 mtu',
    's32 upper',
    'u8 operstate',
    'u8 address_length',
    'u8 master',
    'u8 linking',
    'u8 upper_name[16]',
  ]),
  fdb: layout('fdb_record', ['u8 mac[6]', 'u16 vlan', 's32 bridge', 'u16 state', 'u8 flags', 'u8 ndm_flags']),
  vxlanFdb: layout('vxlan_fdb_record', [
    'u8 remote[16]',
    'u8 mac[6]',
    'u16 remote_port',
    'u32 vni',
    'u32 remote_vni',
    's32 remote_ifindex',
    'u8 flags',
    'u8 unused[3]',
  ]),
  portObject: layout('port_object_record', [
    's32 orig',
    'u32 id',
    'u32 flags',
    'u16 vlan',
    'u16 vlan_flags',
    'u8 mac[6]',
    'u8 changed',
    'u8 unused',
  ]),
  portAttribute: layout('port_attribute_record', ['s32 orig', 'u32 id', 'u64 value', 'u64 mask']),
  bridgePort: layout('bridge_port_record', ['s32 device', 'u32 tx_forward']),
} as const satisfies Record<string, Layout>;

export type LayoutName = keyof typeof LAYOUTS;
