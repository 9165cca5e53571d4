/** The JSON iproute2 prints, for any kind of object, a row at a time. */

import type { Kind } from '../mirror/types.ts';
import type { DecodedObject } from '../netlink/decode.ts';
import { formatActions } from './action.ts';
import { formatAddress } from './address.ts';
import { formatMdb, formatVlans, type Member, type Row } from './bridge.ts';
import { type FormatContext, headerNumber, type Json, type KeyedObject } from './context.ts';
import { formatFlow } from './flow.ts';
import { formatLink } from './link.ts';
import { netfilterFamily } from './names.ts';
import { formatFdb, formatNeighbour, isListedNeighbour } from './neighbour.ts';
import { formatOffload } from './offload.ts';
import { formatNetconf, formatNexthop, formatRoute, formatRule } from './route.ts';
import { formatChain, formatClass, formatFilter, formatQdisc } from './tc.ts';
import { formatPolicy, formatPolicyDefault } from './xfrm.ts';

export type { Member, Row } from './bridge.ts';
export type { FormatContext, Json, KeyedObject } from './context.ts';

type Format = (object: DecodedObject, context: FormatContext) => Json;

/** Kinds with one JSON element per object. What iproute2 does not print has the attributes as they are. */
const FORMATS: Readonly<Partial<Record<Kind, Format>>> = {
  link: (object, context) => formatLink(object, context, 'link'),
  netconf: formatNetconf,
  neighbour: formatNeighbour,
  fdb: formatFdb,
  nexthop: formatNexthop,
  rule: formatRule,
  route: formatRoute,
  qdisc: formatQdisc,
  class: formatClass,
  chain: formatChain,
  filter: formatFilter,
  action: (object, context) => ({ actions: formatActions(object.tab, context) }),
  'xfrm-default': formatPolicyDefault,
  'xfrm-policy': formatPolicy,
  flow: formatFlow,
  offload: formatOffload,
};

function formatNetfilter(object: DecodedObject): Json {
  const { header: _header, unknown: _unknown, ...attributes } = object;
  return { family: netfilterFamily(headerNumber(object, 'family')), ...attributes };
}

/**
 * Rows in the order of `objects`, one at a time; only kinds that iproute2 groups (`address` by link, `vlan` by port, `mdb`
 * in one) are gathered first. `members` of a row say which JSON object stands for which id, so that more can be added.
 */
export function* formatRows(
  kind: Kind,
  objects: Iterable<KeyedObject>,
  context: FormatContext,
): Generator<Row> {
  switch (kind) {
    case 'address':
      yield* formatAddresses(objects, context);
      return;
    case 'mdb':
      yield formatMdb(objects, context);
      return;
    case 'vlan':
      yield* formatVlans(objects, context);
      return;
  }
  const format: Format = FORMATS[kind] ?? formatNetfilter;
  for (const { id, object } of objects) {
    if (kind === 'neighbour' && context.all !== true && !isListedNeighbour(object)) continue;
    const json = format(object, context);
    yield { json, members: [{ element: json, id }] };
  }
}

function* formatAddresses(objects: Iterable<KeyedObject>, context: FormatContext): Generator<Row> {
  const byLink = new Map<number, KeyedObject[]>();
  for (const keyed of objects) {
    const ifindex = headerNumber(keyed.object, 'index');
    const list = byLink.get(ifindex);
    if (list === undefined) byLink.set(ifindex, [keyed]);
    else list.push(keyed);
  }
  for (const link of context.links?.() ?? []) {
    const ifindex = headerNumber(link, 'index');
    yield addressRow(link, ifindex, byLink.get(ifindex) ?? [], context);
    byLink.delete(ifindex);
  }
  for (const [ifindex, list] of byLink) yield addressRow(context.link?.(ifindex), ifindex, list, context);
}

function addressRow(
  link: DecodedObject | undefined,
  ifindex: number,
  addresses: readonly KeyedObject[],
  context: FormatContext,
): Row {
  const members: Member[] = addresses.map(({ id, object }) => ({
    id,
    element: formatAddress(object, context),
  }));
  const json: Json =
    link === undefined
      ? { ifindex, ifname: context.linkName(ifindex) ?? `if${ifindex}` }
      : formatLink(link, context, 'addr');
  json.addr_info = members.map(({ element }) => element);
  return { json, members };
}

/** All rows at once, without ids. For long lists use `formatRows`. */
export function formatJson(kind: Kind, objects: Iterable<DecodedObject>, context: FormatContext): Json[] {
  const keyed = function* (): Generator<KeyedObject> {
    let id = 0;
    for (const object of objects) yield { id: id++, object };
  };
  return Array.from(formatRows(kind, keyed(), context), ({ json }) => json);
}

/** JSON.rawJSON is in the engine but not yet in TypeScript's library. */
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** 64-bit numbers beyond 2^53 are written as numbers, digit for digit, as iproute2 does. */
export function stringify(json: unknown): string {
  try {
    return JSON.stringify(json);
  } catch {
    // A bigint: the replacer that writes it makes everything several times slower, so it is not the rule.
    return JSON.stringify(json, (_key, value: unknown) =>
      typeof value === 'bigint' ? rawJson(value.toString()) : value,
    );
  }
}
