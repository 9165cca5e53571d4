/** One line that names an object as its user would type it to `ip`, `bridge` or `tc`, without the kind's own word. */

import type { Kind } from '../mirror/types.ts';
import type { Decoded, DecodedObject } from '../netlink/decode.ts';
import { mdbEntries, mdbGroup, mdbRouterPorts, vlanEntries, vlanRange } from './bridge.ts';
import {
  type FormatContext,
  headerNumber,
  linkName,
  listOf,
  namesOf,
  numberOf,
  recordOf,
  textOf,
} from './context.ts';
import { encapName } from './encap.ts';
import { describeFlow } from './flow.ts';
import { ethertypeName, familyName, netfilterFamily, routeTypeName } from './names.ts';
import { fdbState } from './neighbour.ts';
import { describeOffload } from './offload.ts';
import { groupMembers, hostBits, routeDestination, tableOf } from './route.ts';
import { filterOrder, u32Handle } from './tc.ts';
import { classId, TC_H_ROOT } from './tc-values.ts';
import { describePolicy } from './xfrm.ts';

const RT_TABLE_MAIN = 254;
const RTN_UNICAST = 1;

/** Joins the parts that are there. */
function line(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== '').join(' ');
}

/** `word value`, or nothing without a value. */
function pair(word: string, value: unknown): string | undefined {
  return value === undefined || value === '' ? undefined : `${word} ${String(value)}`;
}

function device(context: FormatContext, value: unknown, word = 'dev'): string | undefined {
  const ifindex = numberOf(value);
  return ifindex === undefined || ifindex === 0 ? undefined : `${word} ${linkName(context, ifindex)}`;
}

function gateway(from: Decoded): string | undefined {
  const via = recordOf(from.via);
  if (via !== undefined) return `via ${familyName(numberOf(via.family) ?? 0)} ${String(via.address)}`;
  return pair('via', from.gateway);
}

function encapsulation(from: Decoded): string | undefined {
  const type = numberOf(from.encap_type);
  return type === undefined || type === 0 ? undefined : `encap ${encapName(type)}`;
}

function describeRoute(object: DecodedObject, context: FormatContext): string {
  const names = namesOf(context);
  const type = headerNumber(object, 'type');
  const table = tableOf(object);
  const tos = headerNumber(object, 'tos');
  const source = textOf(object.src);
  const hops = listOf(object.multipath).map((value) => {
    const hop = recordOf(value) ?? {};
    const weight = (numberOf(hop.hops) ?? 0) + 1;
    return line(
      'nexthop',
      encapsulation(hop),
      gateway(hop),
      device(context, hop.ifindex),
      weight === 1 ? undefined : `weight ${weight}`,
    );
  });
  return line(
    type === RTN_UNICAST ? undefined : routeTypeName(type),
    routeDestination(object),
    source === undefined ? undefined : `from ${source}/${headerNumber(object, 'src_len')}`,
    tos === 0 ? undefined : `tos ${names.dsfield(tos)}`,
    pair('nhid', object.nh_id),
    encapsulation(object as Decoded),
    gateway(object as Decoded),
    device(context, object.oif),
    table === RT_TABLE_MAIN ? undefined : `table ${names.table(table)}`,
    pair('metric', object.priority),
    ...hops,
  );
}

function describeNexthop(object: DecodedObject, context: FormatContext): string {
  const group = groupMembers(object).map(({ id, weight }) => (weight === 1 ? String(id) : `${id},${weight}`));
  return line(
    `id ${String(object.id ?? 0)}`,
    group.length === 0 ? undefined : `group ${group.join('/')}`,
    object.group_type === 1 ? 'type resilient' : undefined,
    encapsulation(object as Decoded),
    gateway(object as Decoded),
    device(context, object.oif),
    object.blackhole === undefined ? undefined : 'blackhole',
    object.fdb === undefined ? undefined : 'fdb',
  );
}

const RULE_ACTIONS: Readonly<Record<number, string>> = { 2: 'goto', 3: 'nop' };

function describeRule(object: DecodedObject, context: FormatContext): string {
  const side = (name: 'src' | 'dst'): string | undefined => {
    const length = headerNumber(object, `${name}_len`);
    if (object[name] === undefined) return length === 0 ? undefined : `0/${length}`;
    const host = length === hostBits(headerNumber(object, 'family'));
    return host ? String(object[name]) : `${String(object[name])}/${length}`;
  };
  const table = tableOf(object);
  const action = headerNumber(object, 'action');
  const mark = numberOf(object.fwmark);
  const tos = headerNumber(object, 'tos');
  const then =
    action === 1
      ? `lookup ${namesOf(context).table(table)}`
      : action === 2
        ? `goto ${String(object.goto ?? 'none')}`
        : (RULE_ACTIONS[action] ?? routeTypeName(action));
  return line(
    `pref ${String(object.priority ?? 0)}`,
    (headerNumber(object, 'flags') & 2) !== 0 ? 'not' : undefined,
    `from ${side('src') ?? 'all'}`,
    pair('to', side('dst')),
    tos === 0 ? undefined : `tos ${namesOf(context).dsfield(tos)}`,
    mark === undefined ? undefined : `fwmark 0x${mark.toString(16)}`,
    pair('iif', object.iifname),
    pair('oif', object.oifname),
    object.l3mdev ? 'l3mdev' : then,
  );
}

function describeAddress(object: DecodedObject, context: FormatContext): string {
  const local = object.local ?? object.address;
  const peer = object.address !== undefined && object.address !== local ? object.address : undefined;
  const length = headerNumber(object, 'prefixlen');
  return line(
    peer === undefined ? `${String(local)}/${length}` : `${String(local)} peer ${String(peer)}/${length}`,
    device(context, headerNumber(object, 'index')),
  );
}

function describeNeighbour(object: DecodedObject, context: FormatContext): string {
  const proxy = (headerNumber(object, 'flags') & 0x08) !== 0 ? 'proxy' : undefined;
  return line(
    proxy,
    textOf(object.dst),
    pair('lladdr', object.lladdr),
    device(context, headerNumber(object, 'ifindex')),
  );
}

function describeFdb(object: DecodedObject, context: FormatContext): string {
  return line(
    textOf(object.lladdr),
    device(context, headerNumber(object, 'ifindex')),
    pair('dst', object.dst),
    pair('vni', object.vni),
    object.vlan ? `vlan ${String(object.vlan)}` : undefined,
    pair('nhid', object.nh_id),
    device(context, object.master, 'master') ?? 'self',
    fdbState(headerNumber(object, 'state')),
  );
}

function describeMdb(object: DecodedObject, context: FormatContext): string {
  const bridge = device(context, headerNumber(object, 'ifindex'));
  const entries = mdbEntries(object).map((entry) =>
    line(
      bridge,
      device(context, entry.ifindex, 'port'),
      `grp ${mdbGroup(entry)}`,
      pair('src', entry.source),
      entry.vid ? `vid ${String(entry.vid)}` : undefined,
    ),
  );
  const ports = mdbRouterPorts(object).map((port) =>
    line(bridge, device(context, port.ifindex, 'router port')),
  );
  return [...entries, ...ports].join(', ') || line(bridge);
}

function describeVlan(object: DecodedObject, context: FormatContext): string {
  const ids = vlanEntries(object).map((entry) => {
    const [first, last] = vlanRange(entry);
    return first === last ? String(first) : `${first}-${last}`;
  });
  const globals = listOf(object.global_options).map((value) => `${String(recordOf(value)?.id)} global`);
  return line(device(context, headerNumber(object, 'ifindex')), pair('vid', [...ids, ...globals].join(',')));
}

const PARENTS: Readonly<Record<number, string>> = {
  [TC_H_ROOT]: 'root',
  4294967282: 'ingress',
  4294967283: 'egress',
  4294967281: 'ingress',
};

function attachment(object: DecodedObject, context: FormatContext): string {
  const ifindex = headerNumber(object, 'ifindex');
  const parent = headerNumber(object, 'parent');
  if (ifindex === -1) return `block ${parent}`;
  return line(
    device(context, ifindex),
    PARENTS[parent] ?? (parent === 0 ? undefined : `parent ${classId(parent)}`),
  );
}

function describeFilter(object: DecodedObject, context: FormatContext): string {
  const { protocol, preference } = filterOrder(object);
  const handle = headerNumber(object, 'handle');
  const kind = textOf(object.kind);
  return line(
    attachment(object, context),
    protocol === 0 ? undefined : `protocol ${ethertypeName(protocol)}`,
    preference === 0 ? undefined : `pref ${preference}`,
    object.chain ? `chain ${String(object.chain)}` : undefined,
    handle === 0 ? undefined : `handle ${kind === 'u32' ? u32Handle(handle) : `0x${handle.toString(16)}`}`,
    kind,
  );
}

function describeAction(object: DecodedObject): string {
  return listOf(object.tab)
    .map((value) => {
      const action = recordOf(value) ?? {};
      const options = recordOf(action.options) ?? {};
      const parameters = recordOf(options.parms ?? options.parms_ex ?? options.tbf);
      return line(textOf(action.kind), pair('index', action.index ?? parameters?.index));
    })
    .join(', ');
}

function describeNetfilter(object: DecodedObject): string {
  return line(
    netfilterFamily(headerNumber(object, 'family')),
    textOf(object.table),
    textOf(object.chain),
    textOf(object.name),
    pair('handle', object.chain === undefined ? undefined : object.handle),
  );
}

const DESCRIPTIONS: Readonly<Record<Kind, (object: DecodedObject, context: FormatContext) => string>> = {
  link: (object, context) => textOf(object.ifname) ?? linkName(context, headerNumber(object, 'index')),
  netconf: (object, context) => {
    const ifindex = numberOf(object.ifindex) ?? 0;
    const name = ifindex === -1 ? 'all' : ifindex === -2 ? 'default' : linkName(context, ifindex);
    return `${familyName(headerNumber(object, 'family'))} dev ${name}`;
  },
  address: describeAddress,
  neighbour: describeNeighbour,
  fdb: describeFdb,
  mdb: describeMdb,
  vlan: describeVlan,
  nexthop: describeNexthop,
  rule: describeRule,
  route: describeRoute,
  qdisc: (object, context) =>
    line(
      attachment(object, context),
      pair('handle', classId(headerNumber(object, 'handle'))),
      textOf(object.kind),
    ),
  class: (object, context) =>
    line(
      attachment(object, context),
      pair('classid', classId(headerNumber(object, 'handle'))),
      textOf(object.kind),
    ),
  chain: (object, context) => line(attachment(object, context), pair('chain', object.chain ?? 0)),
  filter: describeFilter,
  action: describeAction,
  'xfrm-default': () => 'default',
  'xfrm-policy': describePolicy,
  'nft-table': describeNetfilter,
  'nft-chain': describeNetfilter,
  'nft-rule': describeNetfilter,
  'nft-flowtable': describeNetfilter,
  flow: describeFlow,
  offload: describeOffload,
};

/** E.g. `10.1.0.0/16 via 10.0.0.2 dev eth0` for a route, `00:11:22:33:44:55 dev v1 vlan 10 master br0` for an fdb entry. */
export function describe(kind: Kind, object: DecodedObject, context: FormatContext): string {
  return DESCRIPTIONS[kind](object, context);
}
